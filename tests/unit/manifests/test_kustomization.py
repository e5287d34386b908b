"""A mistake in a kustomization is a message with its line, whatever is written there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from generator.errors import Problem
from generator.manifests import kustomization, matching, rules, spending

WEB = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop, labels: {a: b}}
spec:
  selector: {matchLabels: {a: b}}
  template: {metadata: {labels: {a: b}}, spec: {containers: [{name: web, image: nginx}]}}
"""


def _moved(at: int) -> str:
    return f"{{op: move, from: /{f'b{at - 1}' if at else 'spec'}, path: /b{at}/x}}"


def build(base: Path, text: str, web: str = WEB) -> tuple[list[dict[str, object]], list[str]]:
    (base / "a").mkdir(exist_ok=True)
    (base / "a/web.yaml").write_text(web)
    (base / "a/kustomization.yaml").write_text(text)
    problems: list[Problem] = []
    items = kustomization.build(base, "a", problems)
    return [item.value for item in items], [f"{Path(one.where or '').name}: {one.message}" for one in problems]


WRONG = {
    'patches: [{target: {name: "*"}, patch: "a: b"}]': "`patches[0].target.name` is '*', and not a name",
    'patches: [{target: {kind: "(a+)+"}, patch: "a: b"}]': "`patches[0].target.kind` is '(a+)+', and not a name",
    "patches: [{target: {name: [a]}, patch: 'a: b'}]": "`patches[0].target.name` is a list, and not a name",
    "patches: [{target: text, patch: 'a: b'}]": "`patches[0].target` is 'text', and not a mapping",
    "patches: [{target: {name: web}, patch: text}]": "`patches[0]` is 'text', not a patch",
    "patches: [{target: {name: web}, patch: 7}]": "`patches[0].patch` is 7, and not text",
    "patches: [{target: {name: web}, patch: 'metadata: text'}]": None,
    "patches: [{target: {name: web}, patch: 'spec: text'}]": "`spec` of Deployment is 'text', not a mapping",
    "patches: [{target: {name: web}, patch: '[{op: remove, path: /metadata}]'}]": "Deployment has no `metadata`",
    "patches: [{target: {name: web}, patch: '[{op: remove, path: /metadata/name/²}]'}]": "`patches[0]` can't be",
    "patches: [{target: {name: web}, patch: '[{op: add, path: /spec/template/spec/containers/²}]'}]": "`patches[0]`",
    "commonLabels: [a]": "`commonLabels` is a list, and not a mapping of texts",
    "commonLabels: {a: 1}": "`commonLabels` is a mapping, and not a mapping of texts",
    "commonAnnotations: text": "`commonAnnotations` is 'text', and not a mapping of texts",
    "labels: [{pairs: [a]}]": "`labels[0].pairs` is a list, and not a mapping of texts",
    "labels: [{pairs: {a: b}, includeSelectors: 5}]": "`labels[0].includeSelectors` is 5, and not true or false",
    "labels: [{pairs: {a: b}, fields: []}]": "`labels[0].fields` is not supported",
    "labels: [text]": "`labels[0]` is 'text', not a mapping",
    "namePrefix: [a]": "`namePrefix` is a list, and not text",
    "namespace: 7": "`namespace` is 7, and not text",
    "generatorOptions: [a]": "`generatorOptions` is a list, and not a mapping",
    "generatorOptions: {labels: [a]}\nconfigMapGenerator: [{name: a}]": "`generatorOptions.labels` is a list",
    "configMapGenerator: [{name: a, literals: 5}]": "`configMapGenerator[0].literals` is 5, and not a list of texts",
    "configMapGenerator: [{name: a, options: {immutable: 5}}]": "`configMapGenerator[0].options.immutable` is 5",
    "configMapGenerator: [{literals: [a=b]}]\nnamePrefix: x-": "ConfigMap has no name",
    "images: [{name: nginx, newTag: 15}]": "`images[0].newTag` is",
    "replicas: [{name: web}]": "`replicas[0]` has no `count`",
    'resources: ["a\\0.yaml"]': "is no path",
    f"resources: [{'a' * 300}.yaml]": "is no path",
    "resources: text": "`resources` is 'text', and not a list",
}


@pytest.mark.parametrize("text", WRONG, ids=lambda text: text[:60].replace("\0", ""))
def test_a_mistake_is_a_message(tmp_path: Path, text: str) -> None:
    whole = text if text.startswith("resources") else f"resources: [web.yaml]\n{text}"
    message = WRONG[text]
    _, problems = build(tmp_path, whole)
    assert [one for one in problems if message is not None and message in one] or (message is None and not problems)


@pytest.mark.parametrize(
    "web",
    [
        "apiVersion: v1\nkind: ConfigMap\n",
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n",
        WEB.replace("labels: {a: b}}\nspec", "labels: [a]}\nspec"),
        WEB.replace("matchLabels: {a: b}", "matchLabels: [a]"),
        WEB.replace("{matchLabels: {a: b}}", "text"),
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {name: a}\nsubjects: [a]\n",
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: a}\nspec: {ingress: [{from: [a]}]}\n",
        "apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: a}\nspec: {jobTemplate: [a]}\n",
    ],
)
def test_what_is_no_object_is_not_changed(tmp_path: Path, web: str) -> None:
    text = "resources: [web.yaml]\nnamespace: a\nnamePrefix: a-\ncommonLabels: {a: b}\ncommonAnnotations: {a: b}\n"
    items, problems = build(tmp_path, text, web)
    assert items == []
    assert len(problems) == 1
    assert problems[0].startswith("web.yaml:")


def test_replicas_of_a_kind_of_the_same_name_need_a_place(tmp_path: Path) -> None:
    theirs = "apiVersion: example.com/v1\nkind: Deployment\nmetadata: {name: web}\nspec: text\n"
    _, problems = build(tmp_path, "resources: [web.yaml]\nreplicas: [{name: web, count: 2}]\n", theirs)
    assert problems == ["kustomization.yaml:2: nothing that has replicas is called 'web'"]


@pytest.mark.parametrize("value", ["null", "{}"])
def test_what_is_empty_is_filled(tmp_path: Path, value: str) -> None:
    web = WEB.replace("{matchLabels: {a: b}}", value).replace("metadata: {labels: {a: b}}", f"metadata: {value}")
    (item,), problems = build(tmp_path, "resources: [web.yaml]\ncommonLabels: {c: d}\n", web)
    assert problems == []
    spec = item["spec"]
    assert isinstance(spec, dict)
    assert spec["selector"] == {"matchLabels": {"c": "d"}}
    assert spec["template"]["metadata"] == {"labels": {"c": "d"}}


@pytest.mark.parametrize("pattern", ["*", "a**", "(a)", "a+", "[a]", "a{3}", "a|*", "a" * 300, "a\n"])
def test_what_could_be_stretched_is_no_pattern(pattern: str) -> None:
    assert not matching.is_pattern(pattern)


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("web", "web", True),
        ("web", "web-2", False),
        (".*", "anything", True),
        ("web.*|db", "db", True),
        ("web.*|db", "a-web", False),
        ("a*b*", "", True),
        ("x-*y", "x---y", True),
        (".*" * 100 + "x", "a" * 253, False),
        ("a*" * 126, "a" * 253, True),
    ],
)
def test_a_name_fits_a_pattern_as_in_any_language(pattern: str, name: str, expected: bool) -> None:
    assert matching.is_pattern(pattern)
    assert matching.fits(pattern, name) is expected


def test_a_chain_that_doubles_is_refused_where_it_does(tmp_path: Path) -> None:
    for level in range(30):
        (tmp_path / f"a{level}").mkdir()
        (tmp_path / f"a{level}/kustomization.yaml").write_text(f"resources: [../a{level + 1}, ../a{level + 1}/]\n")
    (tmp_path / "a30").mkdir()
    (tmp_path / "a30/kustomization.yaml").write_text("resources: []\n")
    problems: list[Problem] = []
    assert kustomization.build(tmp_path, "a0", problems) == []
    assert [one.message for one in problems] == [
        f"'../a{level}/' is listed a second time" for level in range(30, 0, -1)
    ]


def test_it_stops_at_as_many_objects_as_an_addon_may_have(tmp_path: Path) -> None:
    entries = ", ".join(f"{{name: c{at}}}" for at in range(rules.LIMIT_OBJECTS + 1))
    items, problems = build(tmp_path, f"configMapGenerator: [{entries}]\n")
    assert items == []
    assert problems == ["a: makes more than 2,000 objects, which are not applied as one addon"]


@pytest.mark.parametrize("size", [1, 100_000])
def test_what_is_read_again_and_again_is_summed(tmp_path: Path, size: int) -> None:
    times = spending.LIMIT_READ_BYTES // (size + spending.LEAST_READ_BYTES) + 1
    (tmp_path / "text").write_bytes(b"x" * size)
    entries = ", ".join(["../text"] * times)
    items, problems = build(tmp_path, f"configMapGenerator: [{{name: c, files: [{entries}]}}]\n")
    assert items == []
    assert problems == ["a: takes more than 33,554,432 bytes for its patches and ConfigMaps"]


@pytest.mark.parametrize(
    ("operations", "message"),
    [
        (
            [f"{{op: copy, from: /metadata, path: /metadata/a{at}}}" for at in range(60)],
            "it copies more than 1,0",
        ),
        ([f"{{op: copy, from: /spec, path: /spec{'/a' * 2**at}}}" for at in range(9)], "nested deeper than 64 levels"),
        (
            [one for at in range(99) for one in (f"{{op: add, path: /b{at}, value: {{}}}}", _moved(at))],
            "nested deeper than 64 levels",
        ),
        ([f"{{op: add, path: /spec{'/a' * at}, value: {{}}}}" for at in range(1, 99)], "nested deeper than 64 levels"),
    ],
    ids=["doubles", "deep", "moved", "added"],
)
def test_a_patch_makes_nothing_huge(tmp_path: Path, operations: list[str], message: str) -> None:
    patch = "[" + ", ".join(operations) + "]"
    _, problems = build(tmp_path, f"resources: [web.yaml]\npatches: [{{target: {{name: web}}, patch: '{patch}'}}]\n")
    (found,) = problems
    assert "can't be applied to Deployment web of namespace shop: " in found
    assert message in found


def test_many_patches_make_nothing_huge_together(tmp_path: Path) -> None:
    big = WEB.replace("{name: web, image", f"{{name: {'x' * 500_000}, image")
    copy = "{target: {name: web}, patch: '[{op: copy, from: /spec, path: /metadata/a}]'}"
    items, problems = build(tmp_path, f"resources: [web.yaml]\npatches: [{', '.join([copy] * 100)}]\n", big)
    assert items == []
    assert problems == ["a: takes more than 33,554,432 bytes for its patches and ConfigMaps"]


@pytest.mark.parametrize("written", ["", ", protocol: TCP"])
def test_a_port_without_protocol_is_one_of_tcp(tmp_path: Path, written: str) -> None:
    service = "apiVersion: v1\nkind: Service\nmetadata: {name: dns}\n"
    ports = f"{{port: 53, protocol: UDP}}, {{port: 53{written}}}"
    patch = json.dumps(f"{service}spec: {{ports: [{{port: 53, targetPort: 1}}]}}\n")
    text = f"resources: [web.yaml]\npatches: [{{patch: {patch}}}]\n"
    (item,), problems = build(tmp_path, text, f"{service}spec: {{ports: [{ports}]}}\n")
    assert problems == []
    spec = item["spec"]
    assert isinstance(spec, dict)
    assert {one.get("targetPort"): one.get("protocol", "TCP") for one in spec["ports"]} == {None: "UDP", 1: "TCP"}


def test_the_key_of_an_entry_may_be_anything(tmp_path: Path) -> None:
    patch = json.dumps(f"{WEB.split('spec')[0]}spec: {{template: {{spec: {{containers: [{{name: [a]}}]}}}}}}\n")
    _, problems = build(tmp_path, f"resources: [web.yaml]\npatches: [{{patch: {patch}}}]\n")
    assert problems == []
