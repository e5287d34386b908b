"""A user's addons as they are rendered: in order, by digest, with our label, each object in a file of its own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from generator.cluster import addon_state
from generator.documents import addons, summary, waits
from generator.errors import Problems
from generator.manifests import kinds, own, rules
from generator.manifests.own import OwnAddon
from generator.plan.project import Project
from tests import facts
from tests.described import TUTORIAL

DIGEST = f"sha256:{'ab' * 32}"
NAMESPACE = "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n"
SERVER = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: hook, namespace: shop}
spec:
  selector: {matchLabels: {app: hook}}
  template:
    metadata: {labels: {app: hook}}
    spec:
      containers:
      - name: a
        image: quay.io/me/hook:1
        envFrom: [{secretRef: {name: api}}]
      volumes: [{name: t, secret: {secretName: tls}}, {name: m, image: {reference: "me/model:2"}}]
---
apiVersion: v1
kind: Service
metadata: {name: hook, namespace: shop}
spec: {selector: {app: hook}, ports: [{port: 443}]}
"""
HOOK = """\
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: hook.example.com}
webhooks: [{name: hook.example.com, clientConfig: {service: {name: hook, namespace: shop}}}]
"""
METRICS = """\
apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: {name: v1.metrics.example.com}
spec: {group: metrics.example.com, version: v1, service: {name: hook, namespace: shop}}
"""
DEFINITION = """\
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: trades.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {kind: Trade, plural: trades}
  versions: [{name: v1, served: true, storage: true}]
"""
TRADE = "apiVersion: example.com/v1\nkind: Trade\nmetadata: {name: first, namespace: shop}\n"
JOB = """\
apiVersion: batch/v1
kind: Job
metadata: {name: load, namespace: shop}
spec: {template: {spec: {containers: [{name: a, image: "quay.io/me/hook:1"}]}}}
"""
LOCK = f"""\
version: 1
images:
- {{reference: "quay.io/me/hook:1", digest: {DIGEST}}}
- {{reference: "docker.io/me/model:2", digest: {DIGEST}}}
"""


def write(directory: Path, files: Mapping[str, str], entries: str, lock: str = LOCK) -> Path:
    for name, text in files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text)
    (directory / "addons.lock").write_text(lock)
    file = directory / "cluster.yaml"
    file.write_text(TUTORIAL.replace("order-book]", f"order-book, {entries}]"))
    return file


@pytest.fixture
def shop(tmp_path: Path) -> OwnAddon:
    whole = "---\n".join((TRADE, HOOK, METRICS, JOB, SERVER, DEFINITION, NAMESPACE))
    (found,) = Project.load(write(tmp_path, {"a/all.yaml": whole}, "{name: shop, manifests: a}")).own
    return found


def test_what_is_referred_to_comes_first_and_what_is_judged_last(shop: OwnAddon) -> None:
    assert [one.kind for one in shop.identities] == [
        *("Namespace", "CustomResourceDefinition", "Service", "Deployment", "Job", "ValidatingWebhookConfiguration"),
        *("APIService", "Trade"),
    ]


def test_it_is_waited_where_something_depends_on_it(tmp_path: Path, shop: OwnAddon) -> None:
    file = tmp_path / "cluster.yaml"
    index = json.loads(addons.manifests(facts.load(file).plan)["index.json"])
    (entry,) = (one for one in index["addons"] if one["name"] == "shop")
    pauses = {path: [" ".join(words[:3]) for words in lines] for path, lines in entry["pauses"].items()}
    ready = "wait --for=jsonpath={.endpoints[0].conditions.ready}=true endpointslice"
    assert pauses == {
        "shop/custom-resource-definition-trades-example-com.yaml": [
            "wait --for=condition=Established crd/trades.example.com"
        ],
        "shop/job-load.yaml": ["rollout status deployment/hook", ready],
        "shop/validating-webhook-configuration-hook-example-com.yaml": ["rollout status deployment/hook", ready],
        "shop/api-service-v1-metrics-example-com.yaml": [
            "wait --for=condition=Available apiservice/v1.metrics.example.com"
        ],
    }
    assert [" ".join(words[:3]) for words in entry["wait"]] == [
        "rollout status deployment/hook",
        "wait --for=condition=Complete job/load",
    ]
    assert entry["manifests"] == [f"{path}" for path in shop.files]


def test_every_image_has_its_digest(shop: OwnAddon) -> None:
    (pods,) = (one["spec"]["template"]["spec"] for one in shop.objects if one["kind"] == "Deployment")
    assert pods["containers"][0]["image"] == f"quay.io/me/hook:1@{DIGEST}"
    assert pods["volumes"][1]["image"]["reference"] == f"docker.io/me/model:2@{DIGEST}"


def test_every_object_says_whose_it_is_and_pods_follow_their_secrets(shop: OwnAddon) -> None:
    assert {one["metadata"]["labels"][own.LABEL] for one in shop.objects} == {"shop"}
    (template,) = (one["spec"]["template"] for one in shop.objects if one["kind"] == "Deployment")
    assert template["metadata"]["annotations"] == {
        "hardway/secret-api": "@secret/shop/api@",
        "hardway/secret-tls": "@secret/shop/tls@",
    }


def test_what_is_rendered_is_what_was_read(shop: OwnAddon) -> None:
    for text, value in zip(shop.texts, shop.objects, strict=True):
        assert yaml.safe_load(text) == value
    assert len(set(shop.files)) == len(shop.files)


def test_files_of_the_same_name_are_told_apart(tmp_path: Path) -> None:
    role = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: '%s'}\nrules: []\n"
    text = "---\n".join(role % name for name in ("a:b", "a.b", "x" * 200))
    (found,) = Project.load(write(tmp_path, {"a/all.yaml": text}, "{name: shop, manifests: a}")).own
    assert len(set(found.files)) == 3
    assert all(len(path) < 100 for path in found.files)


def test_an_image_of_the_lock_needs_no_pin_of_its_own(tmp_path: Path) -> None:
    text = f"{NAMESPACE}---\n{JOB}".replace("quay.io/me/hook:1", "registry.k8s.io/pause:3.10.2")
    file = write(tmp_path, {"a/all.yaml": text}, "{name: shop, manifests: a}", "version: 1\nimages: []\n")
    (found,) = Project.load(file).own
    assert "@sha256:" in found.texts[-1]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("x" * (rules.LIMIT_BYTES + 1), "has 1,572,"),
        ("x" * (rules.LIMIT_DATA_BYTES + 1), "holds 1,048,577 bytes, at most 1,048,576 are taken"),
    ],
)
def test_what_etcd_does_not_take_is_refused(tmp_path: Path, value: str, message: str) -> None:
    text = f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: big, namespace: default}}\ndata: {{a: {value}}}\n"
    with pytest.raises(Problems, match=message):
        Project.load(write(tmp_path, {"a/all.yaml": text}, "{name: shop, manifests: a}"))


def test_a_secret_in_a_manifest_is_warned_of(tmp_path: Path) -> None:
    secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: api, namespace: shop}\nstringData: {token: hidden}\n"
    plan = facts.load(write(tmp_path, {"a/all.yaml": f"{NAMESPACE}---\n{secret}"}, "{name: shop, manifests: a}")).plan
    (said,) = [words for words in summary.caveats(plan) if "Secret api" in words]
    assert "all.yaml:5: " in said
    assert "keys/<cluster>/addons/shop/api/<key>" in said
    assert "hidden" not in said


def test_names_of_ours_are_refused_by_file_and_line(tmp_path: Path) -> None:
    text = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: traefik}\nrules: []\n"
    project = facts.load(write(tmp_path, {"a/all.yaml": text}, "{name: shop, manifests: a}"))
    ours = {own.identity(item): path for path, item in _objects(addons.manifests(_without(project)))}
    (name,) = [one.name for one in ours if one.kind == "ClusterRole" and "ingress" in ours[one]]
    (tmp_path / "a/all.yaml").write_text(text.replace("traefik", f'"{name}"'))
    with pytest.raises(Problems) as caught:
        addons.manifests(facts.load(tmp_path / "cluster.yaml").plan)
    assert "a/all.yaml:1: " in str(caught.value)
    assert "is in the addon `ingress`" in str(caught.value)


def _without(project: Project) -> Any:
    from dataclasses import replace

    return replace(project.plan, own=(), addons=tuple(name for name in project.plan.addons if name != "shop"))


def _objects(files: Mapping[str, bytes]) -> Any:
    manifests = {path: text for path, text in files.items() if path.endswith(".yaml")}
    return [(path, item) for path, text in manifests.items() for item in yaml.safe_load_all(text) if item]


def test_a_served_namespace_is_made_once_and_first(tmp_path: Path) -> None:
    file = write(tmp_path, {"a/all.yaml": NAMESPACE}, "{name: shop, manifests: a}")
    file.write_text(file.read_text().replace("namespaces: []", "namespaces: [shop, other]"))
    files = addons.manifests(facts.load(file).plan)
    made = [item["metadata"]["name"] for _, item in _objects(files) if item["kind"] == "Namespace"]
    assert sorted(name for name in made if name in ("shop", "other")) == ["other", "shop"]
    base, *others = json.loads(files["index.json"])["addons"]
    assert "shop/namespace-shop.yaml" in base["manifests"]
    assert not [path for one in others for path in one["manifests"] if path == "shop/namespace-shop.yaml"]
    assert addons.namespaces(files) >= {"shop", "other"}


def test_addons_come_in_the_order_that_after_allows(tmp_path: Path) -> None:
    config = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s, namespace: default}\n"
    files = {f"{name}/all.yaml": config % name for name in ("one", "two", "three")}
    entries = (
        "{name: one, manifests: one, after: [three]}, {name: two, manifests: two}, {name: three, manifests: three}"
    )
    plan = facts.load(write(tmp_path, files, entries)).plan
    assert plan.addons[-3:] == ("two", "three", "one")
    index = [one for one in json.loads(addons.manifests(plan)["index.json"])["addons"] if "objects" in one]
    assert [one["name"] for one in index] == ["two", "three", "one"]
    assert [one["after"] for one in index] == [[], [], ["three"]]


def test_data_is_the_same_for_all_who_spare_it() -> None:
    import sys

    from generator.files import resource

    sys.path.insert(0, str(resource("userdata") / "agent/usr/local/lib"))
    from hardway import belongings

    assert kinds.DATA == belongings.DATA == addon_state.PLACES.keys()


def test_an_extension_of_the_api_may_be_bound_to_its_one_role(tmp_path: Path) -> None:
    binding = """\
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reader, namespace: kube-system}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: %s}
subjects: [{kind: ServiceAccount, name: default, namespace: default}]
"""
    file = write(tmp_path, {"a/all.yaml": binding % rules.READER}, "{name: shop, manifests: a}")
    assert len(Project.load(file).own) == 1
    (tmp_path / "a/all.yaml").write_text(binding % "other")
    with pytest.raises(Problems, match="in `kube-system`"):
        Project.load(file)


def test_nothing_is_waited_for_that_never_comes() -> None:
    place = {"name": "a", "namespace": "b"}
    suspended = {"apiVersion": "batch/v1", "kind": "Job", "metadata": place, "spec": {"suspend": True}}
    spec = {"updateStrategy": {"type": "OnDelete"}}
    held = {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": place, "spec": spec}
    assert waits.at_the_end([suspended, held]) == []


@pytest.mark.parametrize("kind", sorted({*kinds.WORKLOADS, *kinds.JUDGES, "CustomResourceDefinition", "Job"}))
def test_nothing_is_waited_for_of_a_kind_with_the_name_of_another(kind: str) -> None:
    theirs = {"apiVersion": "example.com/v1", "kind": kind, "metadata": {"name": "a"}, "spec": {"service": "text"}}
    assert waits.at_the_end([theirs]) == []
    assert waits.pauses([("first", []), ("second", [theirs])]) == {}


def test_pods_behind_a_webhook_are_not_waited_for_where_nobody_replaces_them() -> None:
    server, service = yaml.safe_load_all(SERVER)
    server |= {"kind": "DaemonSet", "spec": {**server["spec"], "updateStrategy": {"type": "OnDelete"}}}
    found = waits.pauses([("first", [server, service]), ("hook", [yaml.safe_load(HOOK)])])
    assert [words[0] for words in found["first"]] == ["wait"]
