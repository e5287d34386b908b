"""Addons are applied by one node at a time, in order, only as the roster pins them, and not again."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hardway import addon_secrets, addons, bootstrap, here, kube, timeline
from hardway import sealed as opening
from hardway.here import Failure

from generator.documents import addons as rendering
from generator.pki import addon_secrets as texts
from generator.pki import sealing

from .conftest import CLUSTER_ID, Answer, Store

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
KEY = bytes(range(32))
PASSWORD = {"addons/order-book/postgres/password": b"word"}
INDEX = {
    "version": 1,
    "addons": [
        {
            "name": "base",
            "manifests": ["base/role.yaml"],
            "namespaces": ["hardway"],
            "wait": [],
            "withdraw": [["delete", "role", "--selector=old"]],
        },
        {"name": "bridge", "manifests": [], "wait": [], "withdraw": []},
        {
            "name": "order-book",
            "manifests": ["order-book/namespace.yaml", "order-book/service.yaml"],
            "namespaces": ["order-book"],
            "wait": [["rollout", "status", "deployment/x", "-n", "order-book", "--timeout=300s"]],
            "withdraw": [],
        },
    ],
}
FILES = {
    "index.json": json.dumps(INDEX).encode(),
    "base/role.yaml": b"kind: Role",
    "order-book/namespace.yaml": b"kind: Namespace",
    "order-book/service.yaml": b"kind: Service # @secret/order-book/postgres@ @secret/order-book/other@",
}
ARCHIVE = rendering.archive(FILES)
DIGEST = hashlib.sha256(ARCHIVE).hexdigest()


def sealed(files: dict[str, bytes]) -> bytes:
    return sealing.seal(sealing.ADDON_SECRETS, texts.document(texts.parse(files)), KEY, CLUSTER_ID)


SEALED = hashlib.sha256(sealed(PASSWORD)).hexdigest()
DONE = {"addons": DIGEST, "generation": "7", "secrets": SEALED}


class Kubernetes:
    """What kubectl sees: objects by kind, and every call."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.calls: list[str] = []
        self.applied: list[str] = []
        self.secrets: dict[str, dict[str, Any]] = {}
        self.version = 0
        self.nodes = "node01=True "
        monkeypatch.setattr(here, "run", self.run)

    def run(self, *argv: str, stdin: str | None = None, timeout: float = 0) -> str:
        assert argv[:3] == kube.KUBECTL
        words = argv[3:]
        self.calls.append(" ".join(words[:2]))
        match words[0]:
            case "get":
                if words[1] == "secrets":
                    assert "--selector=hardway/sealed=true" in words
                    return json.dumps({"items": list(self.secrets.values())})
                if words[1] == "nodes":
                    return self.nodes
                found = self.objects.get(words[1])
                return json.dumps(found) if found else ""
            case "delete" if words[1] == "secret":
                del self.secrets[words[2]]
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
                for text in (stdin or "").split("\n---\n") if '"Secret"' in (stdin or "") else ():
                    secret = json.loads(text)
                    self.secrets[secret["metadata"]["name"]] = secret
                if '"ConfigMap"' in (stdin or ""):
                    self.objects["configmap"] = json.loads(stdin or "")
        return ""


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch, facts: dict[str, Any], launch: dict[str, Any], store: Store) -> Kubernetes:
    """A cluster without addons, and a store that has them."""
    here.write(addon_secrets.KEY, base64.b64encode(KEY) + b"\n")
    store.answers[f"/public/{DIGEST}.tar"] = Answer(ARCHIVE)
    pin(store, PASSWORD)
    return Kubernetes(monkeypatch)


def pin(store: Store, files: dict[str, bytes], generation: int = 7) -> str:
    """Let the roster pin what is sealed of these files."""
    digest = hashlib.sha256(sealed(files)).hexdigest()
    store.answers[f"/public/{digest}.sealed"] = Answer(sealed(files))
    here.write(here.ROSTER, json.dumps({"addons": DIGEST, "generation": generation, "secrets": digest}))
    return digest


def test_applies_in_order_and_records(cluster: Kubernetes) -> None:
    bootstrap.step()
    kinds = [text if text.startswith("kind") else json.loads(text)["kind"] for text in cluster.applied]
    assert kinds[:3] == ["kind: Role", "kind: Namespace", "Secret"]
    assert kinds[4:] == ["ConfigMap"]
    assert cluster.calls[0] == "label --overwrite"
    assert {"rollout status", "delete role"} <= set(cluster.calls)
    assert cluster.objects["configmap"]["data"] == DONE


def test_what_was_waited_for_is_told(cluster: Kubernetes, monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = iter(range(1000))
    monkeypatch.setattr(timeline, "now", lambda: float(next(seconds)))
    bootstrap.step()
    found = [(unit, what) for unit, _, _, what in timeline.waits()]
    assert found == [("hardway-bootstrap.service", "deployment/x of namespace order-book")]


def test_the_secret_comes_from_the_sealed_archive(cluster: Kubernetes) -> None:
    bootstrap.step()
    secret = cluster.secrets["postgres"]
    assert secret["metadata"] == {"name": "postgres", "namespace": "order-book", "labels": {"hardway/sealed": "true"}}
    assert (secret["type"], base64.b64decode(secret["data"]["password"])) == ("Opaque", b"word")


def test_another_secret_is_applied_and_its_pods_are_replaced(cluster: Kubernetes, store: Store) -> None:
    bootstrap.step()
    [before] = [text for text in cluster.applied if text.startswith("kind: Service")]
    assert before.endswith(" none")
    assert "@" not in before
    bootstrap.step()
    cluster.applied.clear()
    digest = pin(store, {"addons/order-book/postgres/password": b"other"}, generation=8)
    bootstrap.step()
    assert base64.b64decode(cluster.secrets["postgres"]["data"]["password"]) == b"other"
    [after] = [text for text in cluster.applied if text.startswith("kind: Service")]
    assert after != before
    assert cluster.objects["configmap"]["data"] == {"addons": DIGEST, "generation": "8", "secrets": digest}


def test_a_secret_that_is_gone_goes_and_one_of_another_type_is_made_anew(cluster: Kubernetes, store: Store) -> None:
    pin(store, PASSWORD | {"addons/order-book/site/tls.crt": b"c"})
    bootstrap.step()
    assert cluster.secrets.keys() == {"postgres", "site"}
    cluster.calls.clear()
    pin(store, PASSWORD | {"addons/order-book/site/tls.crt": b"c", "addons/order-book/site/tls.key": b"k"}, 8)
    bootstrap.step()
    assert cluster.secrets["site"]["type"] == "kubernetes.io/tls"
    assert cluster.calls.index("delete secret") < cluster.calls.index("apply --server-side")
    pin(store, {}, 9)
    bootstrap.step()
    assert cluster.secrets == {}


@pytest.mark.parametrize("flipped", [0, 11, 12, 500, -17, -16, -1])
def test_secrets_that_were_tampered_with_are_not_opened(cluster: Kubernetes, store: Store, flipped: int) -> None:
    damaged = bytearray(sealed(PASSWORD))
    damaged[flipped] ^= 1
    with pytest.raises(Failure, match="can't be unsealed"):
        opening.unseal(addon_secrets.LABEL, bytes(damaged), "it")
    store.answers[f"/public/{SEALED}.sealed"] = Answer(bytes(damaged))
    with pytest.raises(Failure, match="not what the roster pins"):
        bootstrap.step()
    assert cluster.applied == []


@pytest.mark.parametrize("content", [b"", b"x" * 11, b"x" * 12, sealed(PASSWORD)[:-1], sealed(PASSWORD) + b"x"])
def test_what_is_no_sealed_archive_is_not_opened(cluster: Kubernetes, content: bytes) -> None:
    with pytest.raises(Failure, match="can't be unsealed"):
        opening.unseal(addon_secrets.LABEL, content, "it")


def test_another_clusters_secrets_are_not_opened(cluster: Kubernetes, store: Store) -> None:
    text = texts.document(texts.parse(PASSWORD))
    for other in (
        sealing.seal(sealing.ADDON_SECRETS, text, KEY, CLUSTER_ID[::-1]),
        sealing.seal(sealing.ADDON_SECRETS, text, KEY[::-1], CLUSTER_ID),
    ):
        with pytest.raises(Failure, match="another cluster's"):
            opening.unseal(addon_secrets.LABEL, other, "it")


def test_a_kept_archive_that_was_damaged_is_fetched_again(cluster: Kubernetes, root: Path) -> None:
    bootstrap.step()
    kept = root / f"var/lib/hardway/addons/{SEALED}.sealed"
    kept.write_bytes(b"torn")
    del cluster.objects["configmap"]
    bootstrap.step()
    assert kept.read_bytes() == sealed(PASSWORD)


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
    assert cluster.objects["configmap"]["data"] == DONE


def test_other_bytes_are_never_applied(cluster: Kubernetes, store: Store, root: Path) -> None:
    store.answers[f"/public/{DIGEST}.tar"] = Answer(ARCHIVE + b"\0")
    with pytest.raises(Failure, match="not those of the roster"):
        bootstrap.step()
    assert cluster.applied == []
    assert not list(root.glob("var/lib/hardway/addons/*.tar"))


def test_waits_while_another_node_applies(
    cluster: Kubernetes, monkeypatch: pytest.MonkeyPatch, no_waiting: list[float]
) -> None:
    renewed = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
    spec = {"holderIdentity": "node02", "leaseDurationSeconds": 60, "renewTime": renewed}
    cluster.objects["lease"] = {"metadata": {"resourceVersion": "5"}, "spec": spec}

    def other_is_done(seconds: float) -> None:
        no_waiting.append(seconds)
        if len(no_waiting) == 2:
            cluster.objects["configmap"] = {"data": {"addons": DIGEST, "secrets": SEALED}}

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


def test_ours_are_applied_at_once_and_are_up_after_those_they_need(
    cluster: Kubernetes, monkeypatch: pytest.MonkeyPatch, store: Store
) -> None:
    def addon(name: str, **more: Any) -> dict[str, Any]:
        wait = [["rollout", "status", f"deployment/{name}", "-n", name]]
        return {"name": name, "manifests": [f"{name}.yaml"], "wait": wait, "withdraw": []} | more

    def awaited(*argv: str, stdin: str | None = None, timeout: float = 0) -> str:
        if "status" in argv:
            told.append(f"wait {argv[-1]}")
            if argv[-1] == "dns":
                raise Failure("timed out")
        elif stdin and stdin.startswith("#"):
            told.append(f"apply {stdin[1:]}")
        return cluster.run(*argv, stdin=stdin, timeout=timeout)

    told: list[str] = []
    index = {"addons": [addon("dns"), addon("ingress"), addon("book", after=["dns"])]}
    files = {
        "index.json": json.dumps(index).encode(),
        **{f"{one}.yaml": f"#{one}".encode() for one in ("dns", "ingress", "book")},
    }
    monkeypatch.setattr(addons, "archive", lambda _: rendering.archive(files))
    monkeypatch.setattr(here, "run", awaited)
    with pytest.raises(Failure, match="addon dns: timed out"):
        addons.apply({"addons": "digest", "generation": 8})
    assert told == ["apply dns", "apply ingress", "apply book", "wait dns", "wait ingress"]
    states = json.loads(cluster.objects["configmap"]["data"]["states"])
    assert states == {"dns": {"state": "broken", "why": "timed out"}, "book": {"state": "waiting", "why": "for dns"}}


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
    manifests = rendering.manifests(plan)
    digest = rendering.digest(manifests)
    here.write(here.ROSTER, json.dumps({"addons": digest, "generation": 7, "secrets": SEALED}))
    store.answers[f"/public/{digest}.tar"] = Answer(rendering.archive(manifests))
    bootstrap.step()
    states = json.dumps({"shop": {"state": "applied"}})
    assert cluster.objects["configmap"]["data"] == DONE | {"addons": digest, "states": states}
    applied = "\n---\n".join(cluster.applied)
    secrets = addon_secrets.wanted(SEALED)
    texts = [addon_secrets.marked(text.decode(), secrets) for path, text in manifests.items() if path.endswith(".yaml")]
    assert all(text in applied for text in texts)
    assert "@secret" not in applied


@pytest.mark.parametrize(("count", "more"), [(0, None), (20, None), (21, 1), (70, 50)])
def test_what_is_kept_beyond_the_room_for_it_is_counted(count: int, more: int | None) -> None:
    found = addons.state("removed", "", [("", "Namespace", "", f"n{number}") for number in range(count)])
    assert len(found.get("kept", ())) == min(count, addons.MOST_KEPT)
    assert found.get("more") == more


@pytest.mark.parametrize(
    ("state", "is_unwell"),
    [("applied", False), ("removed", False), ("applying", True), ("waiting", True), ("broken", True), ("other", True)],
)
def test_whatever_is_not_up_is_tried_again(cluster: Kubernetes, state: str, is_unwell: bool) -> None:
    record = {"data": DONE | {"states": json.dumps({"shop": {"state": state}})}}
    assert addons.unwell(record) == ["shop"] * is_unwell


def test_what_was_broken_is_tried_again_after_a_while(
    cluster: Kubernetes, monkeypatch: pytest.MonkeyPatch, root: Path
) -> None:
    bootstrap.step()
    assert not addons.is_time()
    states = {"shop": {"state": "broken", "why": "x"}, "other": {"state": "applied"}}
    cluster.objects["configmap"]["data"]["states"] = json.dumps(states)
    bootstrap.step()
    assert not addons.is_time(), "it has just been tried"
    long_ago = datetime.now(UTC).timestamp() - addons.AGAIN_SECONDS
    os.utime(here.at(addons.MARK), (long_ago, long_ago))
    assert addons.is_time()
    tried: list[Any] = []
    monkeypatch.setattr(addons, "apply", lambda _, only: tried.append(only))
    bootstrap.again()
    assert tried == [["shop"]]
    assert not addons.is_time()
    del cluster.objects["configmap"]["data"]["states"]
    bootstrap.again()
    assert tried == [["shop"]]
    assert not here.at(addons.MARK).exists()


def test_what_failed_before_everything_was_there_is_tried_again_as_a_whole(
    cluster: Kubernetes, monkeypatch: pytest.MonkeyPatch
) -> None:
    states = {"states": json.dumps({"order-book": {"state": "broken", "why": "x"}})}
    cluster.objects["configmap"] = {"data": {"addons": "", "generation": "0", "secrets": ""} | states}
    bootstrap.again()
    assert cluster.objects["configmap"]["data"] == DONE
    assert any(text.startswith("kind: Role") for text in cluster.applied)


def test_a_retry_that_fails_has_its_time_before_the_next(cluster: Kubernetes, monkeypatch: pytest.MonkeyPatch) -> None:
    states = {"states": json.dumps({"order-book": {"state": "broken", "why": "x"}})}
    cluster.objects["configmap"] = {"data": {"addons": "", "generation": "0", "secrets": ""} | states}

    def fail(*_: object) -> None:
        raise Failure("addon order-book: x")

    monkeypatch.setattr(addons, "apply", fail)
    with pytest.raises(Failure):
        bootstrap.again()
    assert here.at(addons.MARK).exists()
    assert not addons.is_time()


@pytest.mark.parametrize(
    ("kind", "nodes", "said"),
    [
        ("daemonset", "node01=True node02=Unknown ", "; node02 is not ready (lost for good? `gen replace node02`)"),
        ("daemonset", "node01=True ", ""),
        ("deployment", "node02=Unknown ", ""),
    ],
)
def test_a_daemonset_that_does_not_come_up_names_the_nodes_that_are_lost(
    cluster: Kubernetes, monkeypatch: pytest.MonkeyPatch, kind: str, nodes: str, said: str
) -> None:
    run, cluster.nodes = here.run, nodes

    def late(*argv: str, **options: Any) -> str:
        if argv[3:5] == ("rollout", "status"):
            raise Failure("timed out")
        return run(*argv, **options)

    monkeypatch.setattr(here, "run", late)
    work = addons.Run(here.read(here.ROSTER), [], None, None)
    with pytest.raises(Failure) as caught:
        work.wait("bridge", [["rollout", "status", f"{kind}/x", "-n", "bridge"]])
    assert str(caught.value) == f"timed out{said}"


def test_of_many_lost_nodes_some_are_named(cluster: Kubernetes) -> None:
    cluster.nodes = "".join(f"node{number:02}=False " for number in range(1, 6))
    assert addons.absent().endswith("`gen replace node03`) and 2 more")


def test_a_broken_addon_of_ours_fails_the_step_and_others_are_applied(
    cluster: Kubernetes, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = here.run

    def broken(*argv: str, **options: Any) -> str:
        if argv[3:5] == ("delete", "role"):
            raise Failure("no role goes")
        return run(*argv, **options)

    monkeypatch.setattr(here, "run", broken)
    with pytest.raises(Failure, match="addon base: no role goes"):
        bootstrap.step()
    assert [text for text in cluster.applied if "order-book" in text] == []
    record = cluster.objects["configmap"]["data"]
    assert record["addons"] == ""
    assert json.loads(record["states"]) == {"base": {"state": "broken", "why": "no role goes"}}
    assert bootstrap.is_due(here.read(here.ROSTER), cluster.objects["configmap"])
    monkeypatch.setattr(here, "run", run)
    bootstrap.step()
    assert cluster.objects["configmap"]["data"] == DONE
