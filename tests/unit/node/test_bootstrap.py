"""Addons are applied by one node at a time, in order, only as the roster pins them, and not again."""

from __future__ import annotations

import base64
import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hardway import bootstrap, here
from hardway.here import Failure

from generator.documents import addons

from .conftest import Answer, Store

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
SECRET = {"namespace": "order-book", "name": "postgres", "key": "password", "file": "/etc/hardway/secrets/word"}
INDEX = {
    "version": 1,
    "addons": [
        {
            "name": "base",
            "manifests": ["base/role.yaml"],
            "secrets": [],
            "wait": [],
            "withdraw": [["delete", "role", "--selector=old"]],
        },
        {"name": "bridge", "manifests": [], "wait": [], "withdraw": []},
        {
            "name": "order-book",
            "manifests": ["order-book/namespace.yaml", "order-book/service.yaml"],
            "secrets": [SECRET],
            "wait": [["rollout", "status", "deployment/x", "-n", "order-book", "--timeout=300s"]],
            "withdraw": [],
        },
    ],
}
FILES = {
    "index.json": json.dumps(INDEX).encode(),
    "base/role.yaml": b"kind: Role",
    "order-book/namespace.yaml": b"kind: Namespace",
    "order-book/service.yaml": b"kind: Service",
}
ARCHIVE = addons.archive(FILES)
DIGEST = hashlib.sha256(ARCHIVE).hexdigest()


class Kubernetes:
    """What kubectl sees: objects by kind, and every call."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.calls: list[str] = []
        self.applied: list[str] = []
        self.version = 0
        monkeypatch.setattr(here, "run", self.run)

    def run(self, *argv: str, stdin: str | None = None, timeout: float = 0) -> str:
        assert argv[:3] == bootstrap.KUBECTL
        words = argv[3:]
        self.calls.append(" ".join(words[:2]))
        match words[0]:
            case "get":
                found = self.objects.get(words[1])
                return json.dumps(found) if found else ""
            case "create" | "replace":
                wanted = json.loads(stdin or "")
                version = self.objects.get("lease", {}).get("metadata", {}).get("resourceVersion")
                if wanted["metadata"].get("resourceVersion") != version:
                    raise Failure("the object has been modified")
                self.version += 1
                wanted["metadata"]["resourceVersion"] = str(self.version)
                self.objects["lease"] = wanted
            case "apply":
                self.applied.append(stdin or "")
                if '"ConfigMap"' in (stdin or ""):
                    self.objects["configmap"] = json.loads(stdin or "")
        return ""


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch, facts: dict[str, Any], launch: dict[str, Any], store: Store) -> Kubernetes:
    """A cluster without addons, and a store that has them."""
    here.write(here.ROSTER, json.dumps({"addons": DIGEST, "generation": 7}))
    here.write(SECRET["file"], "word")
    store.answers[f"/public/{DIGEST}.tar"] = Answer(ARCHIVE)
    return Kubernetes(monkeypatch)


def test_applies_in_order_and_records(cluster: Kubernetes) -> None:
    bootstrap.step()
    kinds = [text if text.startswith("kind") else json.loads(text)["kind"] for text in cluster.applied]
    assert kinds == ["kind: Role", "kind: Namespace", "Secret", "kind: Service", "ConfigMap"]
    assert cluster.calls[0] == "label --overwrite"
    assert "rollout status" in cluster.calls
    assert cluster.objects["configmap"]["data"] == {"addons": DIGEST, "generation": "7"}


def test_the_secret_comes_from_the_bundle(cluster: Kubernetes) -> None:
    bootstrap.step()
    secret = next(json.loads(text) for text in cluster.applied if '"Secret"' in text)
    assert secret["metadata"] == {"name": "postgres", "namespace": "order-book"}
    assert base64.b64decode(secret["data"]["password"]) == b"word"


def test_does_nothing_when_the_cluster_has_them(cluster: Kubernetes, store: Store) -> None:
    bootstrap.step()
    cluster.applied.clear()
    store.answers.clear()
    bootstrap.step()
    assert cluster.applied == []


def test_keeps_the_archive_for_a_time_without_the_store(cluster: Kubernetes, store: Store) -> None:
    bootstrap.step()
    store.answers.clear()
    del cluster.objects["configmap"]
    bootstrap.step()
    assert cluster.objects["configmap"]["data"] == {"addons": DIGEST, "generation": "7"}


def test_other_bytes_are_never_applied(cluster: Kubernetes, store: Store, root: Path) -> None:
    store.answers[f"/public/{DIGEST}.tar"] = Answer(ARCHIVE + b"\0")
    with pytest.raises(Failure, match="not those of the roster"):
        bootstrap.step()
    assert cluster.applied == []
    assert not (root / "var/lib/hardway/addons").exists()


def test_waits_while_another_node_applies(
    cluster: Kubernetes, monkeypatch: pytest.MonkeyPatch, no_waiting: list[float]
) -> None:
    renewed = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
    spec = {"holderIdentity": "node02", "leaseDurationSeconds": 60, "renewTime": renewed}
    cluster.objects["lease"] = {"metadata": {"resourceVersion": "5"}, "spec": spec}

    def other_is_done(seconds: float) -> None:
        no_waiting.append(seconds)
        if len(no_waiting) == 2:
            cluster.objects["configmap"] = {"data": {"addons": DIGEST}}

    monkeypatch.setattr(bootstrap.time, "sleep", other_is_done)
    bootstrap.step()
    assert len(no_waiting) == 2
    assert cluster.applied == []


def test_an_old_roster_brings_no_addons_back(cluster: Kubernetes) -> None:
    cluster.objects["configmap"] = {"data": {"addons": "1" * 64, "generation": "8"}}
    bootstrap.step()
    assert cluster.applied == []
    cluster.objects["configmap"]["data"]["generation"] = "6"
    bootstrap.step()
    assert cluster.objects["configmap"]["data"]["addons"] == DIGEST


def test_the_taint_is_as_planned(cluster: Kubernetes, monkeypatch: pytest.MonkeyPatch) -> None:
    words: list[str] = []

    def kubectl(*said: str, **_: object) -> str:
        words.append(" ".join(said))
        raise Failure('taint "node-role.kubernetes.io/control-plane:NoSchedule" not found')

    monkeypatch.setattr(bootstrap, "kubectl", kubectl)
    bootstrap.taint("node01", is_schedulable=True)
    with pytest.raises(Failure):
        bootstrap.taint("node01", is_schedulable=False)
    assert [word.rpartition(" ")[2] for word in words] == [
        f"{bootstrap.ROLE}:NoSchedule-",
        f"{bootstrap.ROLE}:NoSchedule",
    ]


@pytest.mark.parametrize(
    ("holder", "age", "expected"), [("node01", 0, True), ("node02", 59, False), ("node02", 61, True)]
)
def test_a_lease_is_free_when_it_is_ours_or_has_run_out(holder: str, age: int, expected: bool) -> None:
    renewed = f"{NOW - timedelta(seconds=age):%Y-%m-%dT%H:%M:%S.%fZ}"
    spec = {"holderIdentity": holder, "leaseDurationSeconds": 60, "renewTime": renewed}
    assert bootstrap.is_free(spec, "node01", NOW) is expected


def test_of_two_who_race_one_is_refused(cluster: Kubernetes, monkeypatch: pytest.MonkeyPatch) -> None:
    old = {"holderIdentity": "node03", "leaseDurationSeconds": 60, "renewTime": "2020-01-01T00:00:00.000000Z"}
    stale = {"metadata": {"resourceVersion": "5"}, "spec": old}
    cluster.objects["lease"] = json.loads(json.dumps(stale))
    cluster.objects["lease"]["metadata"]["resourceVersion"] = "6"
    monkeypatch.setattr(bootstrap, "find", lambda *_: stale)
    assert not bootstrap.hold("node01")
    monkeypatch.undo()


def test_the_lease_is_renewed_while_the_work_lasts(cluster: Kubernetes, monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    renewed = threading.Event()
    monkeypatch.setattr(bootstrap, "TERM_SECONDS", 0.03)
    monkeypatch.setattr(bootstrap, "hold", lambda _: renewed.set())
    with bootstrap.held("node01"):
        assert renewed.wait(5)


def test_reads_what_the_generator_packs(cluster: Kubernetes, store: Store) -> None:
    from ... import facts as tutorial
    from ...conftest import TESTS

    plan = tutorial.load(TESTS / "clusters" / "one-control-plane-two-workers.yaml").plan
    manifests = addons.manifests(plan)
    digest = addons.digest(manifests)
    here.write(here.ROSTER, json.dumps({"addons": digest, "generation": 7}))
    here.write("/etc/hardway/secrets/postgres-password", "word")
    store.answers[f"/public/{digest}.tar"] = Answer(addons.archive(manifests))
    bootstrap.step()
    assert cluster.objects["configmap"]["data"] == {"addons": digest, "generation": "7"}
    applied = "\n---\n".join(cluster.applied)
    assert all(text.decode() in applied for path, text in manifests.items() if path.endswith(".yaml"))
