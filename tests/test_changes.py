"""What `gen diff` says of a change: each file in tests/changes/ is what a person reads of one kind of it.

`pytest --update` writes them as they are now.
"""

from __future__ import annotations

import re
from dataclasses import fields, replace
from functools import cache
from hashlib import sha256
from pathlib import Path

import pytest

from generator.changes.compare import AGENT_PIN, Difference, compare
from generator.changes.markdown import LONGEST, comment
from generator.changes.text import text
from generator.changes.tree import Snapshot
from generator.documents import render
from generator.release import lock_file
from generator.release.lock_file import Release
from tests import facts
from tests.conftest import TESTS, Golden
from tests.described import TUTORIAL

POOL = re.search(r"- \{name: node.*\}", TUTORIAL)
assert POOL is not None
NODE = POOL[0]
WORKERS = "- {name: work, role: worker, count: 2, size: s-2vcpu-4gb}"
MIXED = TUTORIAL.replace(NODE, f"{NODE}\n{WORKERS}")
FIVE, ONE = NODE.replace("count: 3", "count: 5"), NODE.replace("count: 3", "count: 1")
EXCHANGED = f"{NODE.replace('count: 3', 'count: 2')}\n{ONE.replace('name: node', 'name: extra')}"
ACCESS = re.search(r"api: \[[^]]*\]", TUTORIAL)
assert ACCESS is not None

RELEASE = re.compile(r"^release: \S+", re.MULTILINE)
assert RELEASE.search(TUTORIAL)

LIST = re.search(r"^addons: \[(.*)\]$", TUTORIAL, re.MULTILINE)
assert LIST is not None
OLD, NEW = (TUTORIAL.replace(LIST[1], f"{LIST[1]}, {{name: shop, manifests: addons/{one}}}") for one in ("old", "new"))
CONFIG = "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s, namespace: shop}\ndata: {a: '%s'}\n"
SPACE = "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n"
CLAIM = "---\napiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: data, namespace: shop}\nspec: {}\n"
OWN = {
    "old": SPACE + CONFIG % ("stays", 1) + CONFIG % ("leaves", 1) + CLAIM,
    "new": SPACE + CONFIG % ("stays", 2) + CONFIG % ("comes", 1),
}

CHANGES = {
    "nothing": (TUTORIAL, TUTORIAL),
    "a-larger-size": (MIXED, MIXED.replace(WORKERS, WORKERS.replace("s-2vcpu-4gb", "s-4vcpu-8gb"))),
    "larger-workers-and-one-more": (
        MIXED,
        MIXED.replace(WORKERS, WORKERS.replace("s-2vcpu-4gb", "s-4vcpu-8gb").replace("count: 2", "count: 3")),
    ),
    "a-pool-grows": (MIXED, MIXED.replace("count: 2", "count: 4")),
    "two-at-once": (MIXED, MIXED.replace(WORKERS, WORKERS.replace("s-2vcpu-4gb}", "s-4vcpu-8gb, max_unavailable: 2}"))),
    "the-control-plane-grows": (TUTORIAL, TUTORIAL.replace(NODE, FIVE)),
    "the-control-plane-shrinks": (TUTORIAL.replace(NODE, FIVE), TUTORIAL),
    "the-only-control-plane-node-is-recreated": (
        TUTORIAL.replace(NODE, ONE),
        TUTORIAL.replace(NODE, ONE.replace("s-2vcpu-4gb", "s-4vcpu-8gb")),
    ),
    "one-is-exchanged": (TUTORIAL, TUTORIAL.replace(NODE, EXCHANGED)),
    "workers-leave": (MIXED, TUTORIAL),
    "who-may-reach-the-api": (TUTORIAL, TUTORIAL.replace(ACCESS[0], "api: [28.51.101.0/24]")),
    "somebody-debugs": (TUTORIAL, f'{TUTORIAL}\ndebug: {{ssh_keys: [anna], until: "2026-12-24"}}\n'),
    "another-file-system": (TUTORIAL, TUTORIAL.replace("size: 10}", "size: 10, filesystem: xfs}")),
    "an-addon-leaves": (TUTORIAL, re.sub(r"\s*- order-book|, order-book", "", TUTORIAL)),
    "own-addons-come": (TUTORIAL, OLD),
    "own-addons-change": (OLD, NEW),
    "own-addons-leave": (OLD, TUTORIAL),
    "another-release": (TUTORIAL, RELEASE.sub("release: next", TUTORIAL)),
    "a-kubelet-setting": (TUTORIAL, TUTORIAL),
    "other-networks": (TUTORIAL, TUTORIAL.replace("10.42.0.0/16", "10.52.0.0/16").replace("fra1", "ams3")),
}


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("descriptions")


@cache
def snapshot(scratch: Path, description: str) -> Snapshot:
    directory = scratch / str(abs(hash(description)))
    directory.mkdir(exist_ok=True)
    (directory / "cluster.yaml").write_text(description)
    (directory / "releases").mkdir(exist_ok=True)
    for name, manifests in OWN.items():
        (directory / "addons" / name).mkdir(parents=True, exist_ok=True)
        (directory / "addons" / name / "all.yaml").write_text(manifests)
    (directory / "releases" / "next.yaml").write_text(lock_file.dump(next_release()))
    project = facts.load(directory / "cluster.yaml")
    return Snapshot(project, render.documents(project))


def next_release() -> Release:
    """Give a lock with Kubernetes' next patch."""
    known = lock_file.load("k8s-1.36", Path())
    before, after = known.kubernetes, f"{known.kubernetes.rpartition('.')[0]}.99"
    artifacts = tuple(
        replace(
            one,
            version=after,
            urls=tuple(url.replace(before, after) for url in one.urls),
            sha256=sha256(f"{one.name} {after}".encode()).hexdigest(),
        )
        if one.version == before
        else one
        for one in known.artifacts
    )
    return replace(known, name="next", kubernetes=after, artifacts=artifacts)


def difference(scratch: Path, name: str) -> Difference:
    before, after = (snapshot(scratch, description) for description in CHANGES[name])
    if name == "a-kubelet-setting":  # as another version of hardway would set it
        for node in before.project.plan.nodes:
            path = f"nodes/{node.name}/user-data"
            text_after = after.files[path].decode().replace("podPidsLimit: 4096", "podPidsLimit: 2048")
            after = replace_file(after, path, text_after)
    return compare(before, after)


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_told(scratch: Path, name: str, golden: Golden) -> None:
    found = difference(scratch, name)
    golden.check(TESTS / "changes" / f"{name}.txt", f"{text(found)}\n")
    golden.check(TESTS / "changes" / f"{name}.md", comment(found, "main"))


def test_every_file_is_of_a_change() -> None:
    assert {path.stem for path in (TESTS / "changes").iterdir()} == set(CHANGES)


def test_every_file_of_a_document_and_only_that_is_named(scratch: Path) -> None:
    """Whatever changes in a document, the node is recreated because of that file."""
    after = snapshot(scratch, MIXED)
    document = after.files["nodes/node01/user-data"].decode()
    paths = re.findall(r"^- path: (\S+)$|^  path: (\S+)$", document, re.MULTILINE)
    assert len(paths) > 30
    for path in (found[0] or found[1] for found in paths):
        changed = document.replace(f"path: {path}\n", f"path: {path}.was\n", 1)
        assert changed != document, path
        before = replace_file(after, "nodes/node01/user-data", changed)
        found = compare(before, after)
        assert [one.node for one in found.by_fate("recreated")] == ["node01"]
        named = "the agent" if path == AGENT_PIN else path
        assert {reason.file for reason in found.by_fate("recreated")[0].reasons} == {named, f"{path}.was"}


def test_the_readme_shows_what_is_printed(scratch: Path) -> None:
    def without_sizes(shown: str) -> str:
        return re.sub(r"[0-9,]+ of ([0-9,]+ at most)", r"… of \1", shown)

    shown = text(difference(scratch, "larger-workers-and-one-more"))
    assert without_sizes(f"```\n{shown}\n```") in without_sizes((TESTS.parent / "README.md").read_text())


def test_every_field_of_the_json_is_documented() -> None:
    named = (TESTS.parent / "docs" / "ci.md").read_text()
    assert [one.name for one in fields(Difference) if f"`{one.name}`" not in named] == []


def test_equal_states_differ_in_nothing(scratch: Path) -> None:
    for description in {state for states in CHANGES.values() for state in states}:
        one = snapshot(scratch, description)
        found = compare(one, one)
        assert found.is_nothing
        assert (found.refused, found.lost, found.stages, found.doors, found.trust) == ((), (), (), (), ())


def test_a_first_render_is_all_new(scratch: Path) -> None:
    found = compare(None, snapshot(scratch, TUTORIAL))
    assert {one.fate for one in found.nodes} == {"new"}
    assert found.cost[0] == 0


def test_what_was_written_by_anybody_marks_nothing_up(scratch: Path) -> None:
    after = snapshot(scratch, TUTORIAL)
    bad = "`@everyone` <img src=x> | [a](https://x.example) \x1b[2J\u202e"
    text_before = after.files["nodes/node01/user-data"].decode()
    before = replace_file(after, "nodes/node01/user-data", text_before.replace("maxconn 2000", f"maxconn {bad}"))
    said = comment(compare(before, after), bad)
    assert "\x1b" not in said + text(compare(before, after))
    outside = re.sub(r"`[^`]*`", "", said)
    assert "everyone" not in outside.replace("to everyone", "")
    assert "<img" not in outside


def test_a_comment_is_never_too_long(scratch: Path) -> None:
    after = snapshot(scratch, MIXED)
    files = {path: content for path, content in after.files.items() if not path.startswith("addons/")}
    files |= {f"addons/coredns/{'x' * 50}{number}.yaml": b"a: 1\n" for number in range(2000)}
    said = comment(compare(replace(after, files=files), after), "main")
    assert len(said) <= LONGEST
    assert "left out" in said


def replace_file(state: Snapshot, path: str, content: str) -> Snapshot:
    return replace(state, files={**state.files, path: content.encode()})
