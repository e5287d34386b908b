"""Emptying a node, judged by a real API server: evictions, budgets, cordons, claims on a node's own disk."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from generator.cluster import claims, drain, kube_api, kube_objects
from generator.cluster.kube_api import Credentials, Kube, NotYet
from tests.contract import api_server, binaries
from tests.contract.api_server import ApiServer

LATER = datetime.now(UTC) + timedelta(hours=1)
SPACE = "drained"


@dataclass
class Place:
    """An API server with two Nodes and a namespace."""

    server: ApiServer

    def kube(self) -> Kube:
        where = self.server.directory
        return Kube(
            "127.0.0.1", Credentials(where / "ca.crt", where / "admin.crt", where / "admin.key", "127.0.0.1"), None
        )

    def make(self, *objects: dict[str, Any]) -> None:
        file = self.server.directory / "objects.json"
        file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}))
        done = self.server.kubectl("create", "-f", str(file))
        assert done.returncode == 0, done.stderr

    def node(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.server.kubectl("get", "node", name, "-o", "json").stdout)
        return found


def pod(name: str, *, owner: str = "ReplicaSet", labels: str = "", **spec: Any) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": name, "namespace": SPACE, "labels": {"app": labels or name}}
    if owner:
        metadata["ownerReferences"] = [
            {"apiVersion": "apps/v1", "kind": owner, "name": f"own-{name}", "uid": name, "controller": True}
        ]
    container = {"name": "c", "image": "registry.k8s.io/pause"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {"nodeName": "node01", "containers": [container], **spec},
    }


def budget(of: str) -> dict[str, Any]:
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "budget", "namespace": SPACE},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": of}}},
    }


def hold(place: Place, name: str) -> None:
    """Let a pod run, and its budget say that it allows nobody to leave."""
    status = {"disruptionsAllowed": 0, "currentHealthy": 1, "desiredHealthy": 1, "expectedPods": 1}
    patch = json.dumps({"status": {**status, "observedGeneration": 1}})
    words = ("patch", "poddisruptionbudget", "budget", "-n", SPACE, "--subresource=status", "--type=merge", "-p", patch)
    assert place.server.kubectl(*words).returncode == 0
    runs = json.dumps({"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}})
    words = ("patch", "pod", name, "-n", SPACE, "--subresource=status", "--type=merge", "-p", runs)
    assert place.server.kubectl(*words).returncode == 0


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with api_server.running(tmp_path_factory.mktemp("api-server"), binaries.find(*api_server.TOOLS)) as server:
        yield server


@pytest.fixture
def place(running: ApiServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    monkeypatch.setattr(kube_api, "API_PORT", running.port)
    found = Place(running)
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": SPACE}}
    if running.kubectl("get", "namespace", SPACE).returncode != 0:
        found.make({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SPACE}}, account)
    nodes = ({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}} for name in ("node01", "node02"))
    found.make(*nodes)
    yield found
    for kind in ("pods", "poddisruptionbudgets"):
        running.kubectl("delete", kind, "-n", SPACE, "--all", "--force", "--grace-period=0")
    for kind in ("nodes", "persistentvolumes"):
        running.kubectl("delete", kind, "--all", "--wait=false")


def test_pods_leave_but_not_those_of_the_node(place: Place) -> None:
    kube = place.kube()
    place.make(pod("web"), pod("agent", owner="DaemonSet"), pod("elsewhere") | {})
    place.server.kubectl("delete", "pod", "elsewhere", "-n", SPACE, "--force", "--grace-period=0")
    work = drain.Drain("node01", LATER, force=False)
    assert work.awaited(kube) == f"{SPACE}/web to leave node01"
    work.round(kube, datetime.now(UTC))
    # No kubelet says that it has ended: it is being ended, and is awaited still.
    assert [str(one) for one in drain.stuck(kube, "node01")] == [f"{SPACE}/web"]
    assert work.awaited(kube) == f"{SPACE}/web to leave node01"
    work.round(kube, datetime.now(UTC))
    drain.settle(kube, "node01")
    assert (work.awaited(kube), drain.stuck(kube, "node01")) == ("", ())
    assert [one.metadata.name for one in kube_objects.pods_on(kube, "node01")] == ["agent"]


def test_a_budget_holds_a_pod_and_is_named_until_it_is_forced(place: Place) -> None:
    kube = place.kube()
    place.make(pod("kept"), budget("kept"))
    hold(place, "kept")
    work = drain.Drain("node01", LATER, force=False)
    work.round(kube, datetime.now(UTC))
    assert f"{SPACE}/kept (The disruption budget budget needs 1 healthy pods and has 1 currently)" in work.awaited(kube)
    assert any("budget drained/budget wants all of its 1 pods" in line for line in drain.warnings(kube, "node01"))
    early = datetime.now(UTC) - timedelta(seconds=1)
    drain.Drain("node01", early, force=False).round(kube, datetime.now(UTC))
    assert drain.stuck(kube, "node01") == ()
    drain.Drain("node01", early, force=True).round(kube, datetime.now(UTC))
    assert [str(one) for one in drain.stuck(kube, "node01")] == [f"{SPACE}/kept"]


def test_a_pod_that_nothing_makes_anew_is_named_before(place: Place) -> None:
    scratch = {"volumes": [{"name": "scratch", "emptyDir": {}}]}
    place.make(pod("alone", owner="", **scratch))
    assert drain.orphans(place.kube(), "node01") == (f"{SPACE}/alone",)
    assert drain.warnings(place.kube(), "node01") == (
        f"{SPACE}/alone has no controller: nothing makes it anew",
        f"{SPACE}/alone loses what is in its scratch",
    )


def test_a_cordon_of_ours_goes_and_a_persons_stays(place: Place) -> None:
    kube = place.kube()
    place.server.kubectl("cordon", "node02")
    for name in ("node01", "node02", "node01"):
        drain.cordon(kube, name)
        assert drain.is_cordoned(kube, name)
    assert [drain.is_cordoned_by_us(kube, name) for name in ("node01", "node02")] == [True, False]
    for name in ("node01", "node02", "node01"):
        drain.uncordon(kube, name)
    assert [drain.is_cordoned(kube, name) for name in ("node01", "node02")] == [False, True]
    assert drain.CORDONED not in place.node("node01")["metadata"].get("annotations", {})
    drain.cordon(kube, "node09")
    assert drain.is_cordoned(kube, "node09"), "no pod comes to a Node that is not there"


def test_a_node_is_forgotten_once_and_again(place: Place) -> None:
    place.make(pod("last"))
    for _ in range(2):
        drain.forget(place.kube(), "node01")
    assert place.server.kubectl("get", "node", "node01").returncode != 0


def volume(name: str, node: str, claim: str | None) -> dict[str, Any]:
    wanted = {"key": claims.HOSTNAME, "operator": "In", "values": [node]}
    spec: dict[str, Any] = {
        "accessModes": ["ReadWriteOnce"],
        "capacity": {"storage": "8Gi"},
        "local": {"path": "/data"},
        "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [wanted]}]}},
    }
    if claim is not None:
        spec["claimRef"] = {"namespace": SPACE, "name": claim}
    return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": spec}


USER = {"volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]}


def test_data_on_a_nodes_own_disk_is_found(place: Place) -> None:
    place.make(volume("ours", "node01", "data"), volume("free", "node01", None), volume("theirs", "node02", "other"))
    place.make(pod("database", **USER))
    assert [str(one) for one in claims.on(place.kube(), "node01")] == [f"{SPACE}/data (8Gi), used by database"]
    assert [str(one) for one in claims.on(place.kube(), "node02")] == [f"{SPACE}/other (8Gi)"]


def test_a_pod_at_home_is_asked_about_and_leaves_last(place: Place) -> None:
    kube = place.kube()
    place.make(volume("its", "node01", "data"), pod("database", **USER), pod("web"))
    place.make(budget("database"))
    hold(place, "database")
    early, last = (drain.Drain("node01", LATER, force=False, last=last) for last in (False, True))
    assert early.awaited(kube) == f"{SPACE}/database, {SPACE}/web to leave node01"
    early.round(kube, datetime.now(UTC))
    # That it can't leave is told while all can still be undone.
    assert f"{SPACE}/database (" in early.awaited(kube)
    place.server.kubectl("delete", "poddisruptionbudget", "budget", "-n", SPACE)
    early.round(kube, datetime.now(UTC))
    drain.settle(kube, "node01")
    assert early.awaited(kube) == ""
    assert [str(one) for one in drain.at_home(kube, "node01")] == [f"{SPACE}/database"]
    drain.Drain("node01", datetime.now(UTC), force=True).round(kube, LATER)
    assert (last.awaited(kube), drain.stuck(kube, "node01")) == (f"{SPACE}/database to leave node01", ())
    last.round(kube, datetime.now(UTC))
    assert [str(one) for one in drain.stuck(kube, "node01")] == [f"{SPACE}/database"]


def test_a_pod_at_home_that_is_the_only_one_is_asked_about_as_well(place: Place) -> None:
    """Also by a second run: else a node whose database may not leave would lose its member of etcd first."""
    kube = place.kube()
    place.make(volume("only", "node01", "data"), pod("database", **USER), budget("database"))
    hold(place, "database")
    for _ in range(2):
        work = drain.Drain("node01", LATER, force=False)
        assert work.awaited(kube) == f"{SPACE}/database to leave node01"
        work.round(kube, datetime.now(UTC))
        assert f"{SPACE}/database (The disruption budget" in work.awaited(kube)
    place.server.kubectl("delete", "poddisruptionbudget", "budget", "-n", SPACE)
    work = drain.Drain("node01", LATER, force=False)
    work.round(kube, datetime.now(UTC))
    assert work.awaited(kube) == ""
    # Once it is leaving, an earlier step is over for a run that begins anew.
    drain.Drain("node01", LATER, force=False, last=True).round(kube, datetime.now(UTC))
    work = drain.Drain("node01", LATER, force=False)
    work.round(kube, datetime.now(UTC))
    assert work.awaited(kube) == ""


def test_lists_are_read_to_their_end(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kube_objects, "PAGE", 2)
    place.make(*(pod(f"web{number}") for number in range(7)))
    assert len(drain.leaving(place.kube(), "node01")) == 7
    monkeypatch.setattr(kube_objects, "MOST_PAGES", 2)
    with pytest.raises(NotYet, match="more than 4 pods"):
        drain.leaving(place.kube(), "node01")


def test_where_nobody_answers_nothing_is_taken_for_done(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kube_api, "API_PORT", api_server.free_ports(1)[0])
    kube = place.kube()
    work = drain.Drain("node01", LATER, force=True)
    for ask in (
        lambda: work.awaited(kube),
        lambda: work.round(kube, datetime.now(UTC)),
        lambda: drain.is_cordoned(kube, "node01"),
        lambda: drain.cordon(kube, "node01"),
        lambda: drain.uncordon(kube, "node01"),
        lambda: drain.daemons(kube, "node01"),
        lambda: drain.settle(kube, "node01"),
        lambda: drain.forget(kube, "node01"),
        lambda: drain.warnings(kube, "node01"),
        lambda: claims.on(kube, "node01"),
    ):
        with pytest.raises(NotYet):
            ask()
