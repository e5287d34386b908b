"""A user's own addons on a real API server: applied in order, awaited, deleted when they leave; broken ones, alone."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from generator.documents import addons, waits
from generator.files import resource
from generator.plan.decide import Plan
from tests import facts
from tests.contract import api_server, binaries
from tests.contract.api_server import ApiServer
from tests.described import TUTORIAL

sys.path.insert(0, str(resource("userdata") / "agent/usr/local/lib"))

from hardway import addon_secrets, belongings, here, kubectl
from hardway import addons as applying

LIST = re.compile(r"^addons: .*$", re.MULTILINE)
IMAGE = f"docker.io/library/app:1@sha256:{'ab' * 32}"
NAMESPACE = "apiVersion: v1\nkind: Namespace\nmetadata: {name: %s}\n"
CONFIG = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s, namespace: %s}\ndata: {a: '%s'}\n"
CLAIM = """\
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data, namespace: %s}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
"""
DEFINITION = """\
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: trades.%s}
spec:
  group: %s
  scope: Namespaced
  names: {kind: Trade, plural: trades}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec: {type: object, required: [price], properties: {price: {type: number}}}
"""
TRADE = "apiVersion: %s/v1\nkind: Trade\nmetadata: {name: first, namespace: %s}\nspec: {price: %s}\n"
DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: %s, namespace: %s}
spec:
  selector: {matchLabels: {app: %s}}
  template:
    metadata: {labels: {app: %s}}
    spec: {containers: [{name: app, image: %s}]}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with api_server.running(tmp_path_factory.mktemp("api-server"), binaries.find(*api_server.TOOLS)) as running:
        yield running


class Cluster:
    """A node whose job speaks to the server, and a description whose addons change."""

    def __init__(self, server: ApiServer, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.server, self.directory = server, directory
        self.generation = 0
        here.write(here.FACTS, json.dumps({"cluster_id": facts.CLUSTER_ID, "node": "node01"}))
        here.write(addon_secrets.KEY, base64.b64encode(bytes(32)))
        self.command = (str(server.tools["kubectl"]), f"--kubeconfig={server.directory / 'admin.conf'}")
        monkeypatch.setattr(kubectl, "KUBECTL", self.command)
        monkeypatch.setattr(waits, "TIMEOUT", "--timeout=3s")

    def plan(self, written: Mapping[str, str], after: Mapping[str, str] | None = None) -> Plan:
        """Write addons, each as one file of manifests, and plan the cluster that has them."""
        entries = ["bridge"]
        for name, text in written.items():
            (self.directory / "addons" / name).mkdir(parents=True, exist_ok=True)
            (self.directory / "addons" / name / "all.yaml").write_text(text)
            needs = f", after: [{after[name]}]" if after and name in after else ""
            entries.append(f"{{name: {name}, manifests: addons/{name}{needs}}}")
        file = self.directory / "cluster.yaml"
        file.write_text(LIST.sub(f"addons: [{', '.join(entries)}]", TUTORIAL))
        return facts.load(file).plan

    def roster(self, plan: Plan) -> dict[str, Any]:
        archive = addons.archive(addons.manifests(plan))
        self.generation += 1
        digest = hashlib.sha256(archive).hexdigest()
        here.write(f"/var/lib/hardway/addons/{digest}.tar", archive)
        return {"addons": digest, "generation": self.generation, "secrets": None}

    def apply(self, written: Mapping[str, str], after: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Let the job apply them; give how each is."""
        roster = self.roster(self.plan(written, after))
        applying.apply(roster)
        record = self.get("configmap", "hardway", "kube-system")
        assert record is not None
        assert record["data"]["addons"] == roster["addons"]
        return dict(json.loads(record["data"].get("states") or "{}"))

    def get(self, kind: str, name: str, namespace: str = "default") -> dict[str, Any] | None:
        done = self.server.kubectl("get", kind, name, "-n", namespace, "--ignore-not-found", "-o", "json")
        return dict(json.loads(done.stdout)) if done.stdout else None


@pytest.fixture
def cluster(server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    monkeypatch.setattr(here, "ROOT", tmp_path / "node")
    found = Cluster(server, tmp_path, monkeypatch)
    yield found
    found.apply({})


@pytest.fixture
def controllers(server: ApiServer) -> Iterator[None]:
    """Say of each Deployment that its pods run, but of one that is called `broken`, as nobody else is there to."""
    done = threading.Event()

    def work() -> None:
        while not done.wait(0.2):
            found = server.kubectl("get", "deployments", "-A", "-o", "json")
            for one in json.loads(found.stdout or '{"items": []}')["items"]:
                seen = one.get("status", {}).get("observedGeneration")
                if one["metadata"]["name"] == "broken" or seen == one["metadata"]["generation"]:
                    continue
                counts = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), 1)
                status = {"status": {"observedGeneration": one["metadata"]["generation"], **counts}}
                where = ("-n", one["metadata"]["namespace"], "--subresource=status", "--type=merge")
                server.kubectl("patch", "deployment", one["metadata"]["name"], *where, "-p", json.dumps(status))

    thread = threading.Thread(target=work)
    thread.start()
    yield
    done.set()
    thread.join()


def documents(*texts: str) -> str:
    return "---\n".join(texts)


def test_a_definition_and_what_is_of_it_come_in_one_addon(cluster: Cluster, controllers: None) -> None:
    shop = documents(
        TRADE % ("a.example.com", "one", "1.5"),
        DEPLOYMENT % ("web", "one", "web", "web", IMAGE),
        DEFINITION % ("a.example.com", "a.example.com"),
        NAMESPACE % "one",
    )
    assert cluster.apply({"shop": shop})["shop"] == {"state": "applied"}
    trade = cluster.get("trades.a.example.com", "first", "one")
    assert trade is not None
    assert (trade["spec"], trade["metadata"]["labels"]) == ({"price": 1.5}, {"hardway/addon": "shop"})
    assert cluster.apply({"shop": shop})["shop"] == {"state": "applied"}
    assert cluster.get("trades.a.example.com", "first", "one") == trade, "nothing has changed, nothing is written"


def test_what_left_is_deleted_but_what_holds_data_is_kept_and_said(cluster: Cluster) -> None:
    whole = documents(
        NAMESPACE % "two",
        CONFIG % ("stays", "two", "1"),
        CONFIG % ("leaves", "two", "1"),
        CLAIM % "two",
        DEFINITION % ("b.example.com", "b.example.com"),
        TRADE % ("b.example.com", "two", "1"),
    )
    cluster.apply({"keeper": whole, "other": CONFIG % ("foreign", "default", "1")})
    states = cluster.apply({"keeper": documents(NAMESPACE % "two", CONFIG % ("stays", "two", "2"))})
    assert cluster.get("configmap", "leaves", "two") is None
    assert cluster.get("trades.b.example.com", "first", "two") is None
    assert cluster.get("configmap", "foreign") is None, "a whole addon left"
    stays = cluster.get("configmap", "stays", "two")
    assert stays is not None
    assert stays["data"] == {"a": "2"}
    definition = ["apiextensions.k8s.io", "CustomResourceDefinition", "", "trades.b.example.com"]
    claim = ["", "PersistentVolumeClaim", "two", "data"]
    assert states["keeper"] == {"state": "applied", "kept": [definition, claim]}
    assert cluster.get("pvc", "data", "two") is not None
    assert cluster.get("crd", "trades.b.example.com") is not None
    states = cluster.apply({})
    kept = [definition, claim, ["", "Namespace", "", "two"]]
    assert states["keeper"] == {"state": "removed", "kept": kept}
    for kind, name in (("pvc", "data"), ("crd", "trades.b.example.com"), ("namespace", "two")):
        cluster.server.kubectl("delete", kind, name, "-n", "two", "--wait=false")
    cluster.server.kubectl("patch", "pvc", "data", "-n", "two", "-p", '{"metadata": {"finalizers": null}}')


def test_what_moves_to_another_addon_is_not_deleted(cluster: Cluster) -> None:
    text = CONFIG % ("moved", "default", "1")
    keeps = CONFIG % ("keeps", "default", "1")
    cluster.apply({"one": documents(text, keeps), "two": CONFIG % ("other", "default", "1")})
    before = cluster.get("configmap", "moved")
    for there in ({"two": text, "one": keeps}, {"one": text, "two": keeps}):
        cluster.apply(there)
        after = cluster.get("configmap", "moved")
        assert before is not None
        assert after is not None
        assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert cluster.get("configmap", "other") is None


def test_what_somebody_else_took_over_is_left_alone(cluster: Cluster) -> None:
    cluster.apply({"shop": documents(CONFIG % ("taken", "default", "1"), CONFIG % ("mine", "default", "1"))})
    cluster.server.kubectl("label", "configmap", "taken", "hardway/addon-")
    cluster.apply({"shop": CONFIG % ("mine", "default", "1")})
    assert cluster.get("configmap", "taken") is not None
    cluster.server.kubectl("delete", "configmap", "taken")


def test_a_broken_addon_stops_at_itself_and_is_mended_later(cluster: Cluster, controllers: None) -> None:
    wrong = documents(
        DEFINITION % ("c.example.com", "c.example.com"),
        TRADE % ("c.example.com", "default", "'dear'"),
    )
    written = {
        "first": wrong,
        "needs": CONFIG % ("needs", "default", "1"),
        "next": CONFIG % ("next", "default", "1"),
        "slow": DEPLOYMENT % ("broken", "default", "a", "a", IMAGE),
    }
    states = cluster.apply(written, {"needs": "first"})
    assert {name: states[name]["state"] for name in written} == {
        "first": "broken",
        "needs": "waiting",
        "next": "applied",
        "slow": "broken",
    }
    assert ".spec.price: expected numeric (int or float), got string" in states["first"]["why"]
    assert states["needs"]["why"] == "for first"
    assert "timed out waiting" in states["slow"]["why"]
    assert cluster.get("configmap", "needs") is None
    assert cluster.get("configmap", "next") is not None
    assert applying.unwell(cluster.get("configmap", "hardway", "kube-system")) == ["first", "needs", "slow"]

    mended = written | {"first": wrong.replace("'dear'", "3"), "slow": CONFIG % ("slow", "default", "1")}
    states = cluster.apply(mended, {"needs": "first"})
    assert {states[name]["state"] for name in written} == {"applied"}
    assert cluster.get("deployment", "broken") is None
    assert cluster.get("configmap", "needs") is not None


def test_only_what_was_broken_is_tried_again(cluster: Cluster) -> None:
    shop = CONFIG % ("good", "default", "1")
    roster = cluster.roster(cluster.plan({"shop": shop, "bad": DEPLOYMENT % ("broken", "default", "a", "a", IMAGE)}))
    applying.apply(roster)
    cluster.server.kubectl("delete", "configmap", "good")
    applying.apply(roster, applying.unwell(cluster.get("configmap", "hardway", "kube-system")))
    assert cluster.get("configmap", "good") is None
    record = cluster.get("configmap", "hardway", "kube-system")
    assert record is not None
    states = json.loads(record["data"]["states"])
    assert (states["bad"]["state"], states["shop"]["state"]) == ("broken", "applied")


def test_whoever_is_cut_off_leaves_what_the_next_run_needs(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut off before each of its changes: what left is gone in the end, what moved is there, nothing is forgotten."""
    old = {
        "one": documents(CONFIG % ("moves", "default", "1"), CONFIG % ("leaves", "default", "1")),
        "two": CONFIG % ("whole", "default", "1"),
    }
    new = {"one": CONFIG % ("comes", "default", "1"), "three": CONFIG % ("moves", "default", "1")}
    rosters = [cluster.roster(cluster.plan(old)), cluster.roster(cluster.plan(new))]
    run, calls = here.run, iter(range(0))

    def cut(*argv: str, **options: Any) -> str:
        if {"apply", "delete"} & {*argv} and next(calls, None) is None:
            raise KeyboardInterrupt
        return run(*argv, **options)

    step = 0
    while True:
        applying.apply(rosters[0])
        moved = cluster.get("configmap", "moves")
        calls = iter(range(step))
        monkeypatch.setattr(here, "run", cut)
        try:
            applying.apply(rosters[1])
            is_through = True
        except KeyboardInterrupt:
            is_through = False
        finally:
            monkeypatch.setattr(here, "run", run)
        applying.apply(rosters[1])
        listed = json.loads(cluster.server.kubectl("get", "configmaps", "-o", "json").stdout)["items"]
        there = {one["metadata"]["name"]: one["metadata"]["uid"] for one in listed}
        assert there.keys() & {"moves", "leaves", "whole", "comes"} == {"moves", "comes"}, step
        assert moved is not None
        assert there["moves"] == moved["metadata"]["uid"], step
        assert {"one", "two", "three"} & belongings.all_known().keys() == {"one", "three"}, step
        if is_through:
            break
        step += 1
    assert step > 8, "there is more to be cut off"


def test_every_object_passes_the_servers_own_strict_reading(server: ApiServer, tmp_path: Path) -> None:
    from tests.conftest import TESTS

    manifests = addons.manifests(facts.load(TESTS / "clusters" / "one-control-plane-two-workers.yaml").plan)
    theirs = {path: text for path, text in manifests.items() if path.startswith("shop/")}
    assert theirs
    for path in [one for addon in json.loads(manifests["index.json"])["addons"] for one in addon["manifests"]]:
        if path not in theirs:
            continue
        (tmp_path / "one.yaml").write_bytes(theirs[path])
        dry = () if path.startswith(("shop/namespace", "shop/custom")) else ("--dry-run=server",)
        apply = ("apply", "--server-side", "--validate=strict", "--field-manager=hardway", *dry, "-f")
        done = server.kubectl(*apply, str(tmp_path / "one.yaml"))
        assert done.returncode == 0, (path, done.stderr)
        assert "Warning" not in done.stderr, (path, done.stderr)
        if path.startswith("shop/custom"):
            server.kubectl("wait", "--for=condition=Established", "crd/trades.example.com", "--timeout=30s")
