"""How operator and nodes speak, through a real API server: reports at Nodes, requests and answers in a locked place."""

from __future__ import annotations

import datetime
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import NameOID

from generator.clock import Clock, stamp
from generator.cluster import channel as operators
from generator.cluster import kube_api, node_report
from generator.cluster.channel import NAMESPACE, Channel
from generator.cluster.kube_api import Credentials, Kube
from generator.documents import addons
from generator.files import resource
from generator.pki import signature
from generator.pki.store import KeyStore
from generator.plan.decide import Plan
from generator.plan.inventory import report_key
from tests import keyring
from tests.contract import api_server, binaries
from tests.contract.api_server import ApiServer
from tests.contract.test_addons import APPLY
from tests.reports import wrapped

AGENT = resource("userdata") / "agent/usr/local/lib"
PATIENCE = datetime.timedelta(seconds=20)
SHORT = datetime.timedelta(seconds=3)
# The node's own code, with verbs that leave a trace.
RUN = """
import sys, time
from pathlib import Path
sys.path.insert(0, {agent!r})
from hardway import channel, here, status, vouch
here.ROOT = Path({root!r})
def trace(arguments):
    with (here.ROOT / "trace").open("a") as file:
        file.write(arguments["word"] + "\\n")
    time.sleep(arguments.get("seconds", 0))
    if arguments["word"] == "fail":
        raise here.Failure("no luck")
    return {{"word": arguments["word"]}}
channel.duties.VERBS = {{"trace": trace}}
channel.PAUSE_SECONDS = 0.2
{statement}
"""


@dataclass
class Place:
    """A cluster's keys, its API server with the base addon, and each node's root directory."""

    plan: Plan
    store: KeyStore
    server: ApiServer
    roots: Mapping[str, Path]

    def kube(self) -> Kube:
        """Give the operator's way to the API server."""
        where = self.server.directory
        return Kube(
            "127.0.0.1", Credentials(where / "ca.crt", where / "admin.crt", where / "admin.key", "127.0.0.1"), None
        )

    def channel(self, signer: Ed25519PrivateKey | None = None, **changes: str) -> Channel:
        """Give the operator's end of the channel."""
        keys = {node.name: self.store.report_secret(node.name) for node in self.plan.nodes}
        cluster = changes.get("cluster_id", self.plan.cluster_id)
        return Channel(cluster, self.kube(), signer or self.store.operator_key, keys, Clock())

    def run(self, node: str, statement: str) -> subprocess.Popen[str]:
        """Run the agent's code as a node."""
        code = RUN.format(agent=str(AGENT), root=str(self.roots[node]), statement=statement)
        return subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    @contextmanager
    def agents(self, *nodes: str) -> Iterator[None]:
        """Let these nodes listen."""
        running = [self.run(node, "channel.step()") for node in nodes]
        try:
            yield
        finally:
            for process in running:
                process.kill()
                process.communicate()

    def trace(self, node: str) -> list[str]:
        """Give what a node has done."""
        path = self.roots[node] / "trace"
        return path.read_text().split() if path.exists() else []

    def put(self, name: str, data: Mapping[str, str]) -> None:
        """Put a ConfigMap into the namespace, as an administrator who is not the operator could."""
        file = self.server.directory / "request.json"
        metadata = {"name": name, "namespace": NAMESPACE}
        file.write_text(json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}))
        done = self.server.kubectl("create", "-f", str(file))
        assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    tools = binaries.find(*api_server.TOOLS)
    plan, store, _ = keyring.made(tmp_path_factory.mktemp("keys"), control_planes=2, workers=1)
    with api_server.running(tmp_path_factory.mktemp("api-server"), tools) as server:
        base = addons.manifests(replace(plan, addons=()))
        for name in json.loads(base[addons.INDEX])["addons"][0]["manifests"]:
            file = server.directory / name.replace("/", "-")
            file.write_bytes(base[name])
            done = server.kubectl(*APPLY, str(file))
            assert done.returncode == 0, done.stderr
        roots = {node.name: tmp_path_factory.mktemp(node.name) for node in plan.nodes}
        for node in plan.nodes:
            furnish(roots[node.name], node.name, plan, store, server)
        yield Place(plan, store, server, roots)


@pytest.fixture
def place(whole: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    monkeypatch.setattr(kube_api, "API_PORT", whole.server.port)
    yield whole
    for root in whole.roots.values():
        (root / "trace").unlink(missing_ok=True)
    whole.server.kubectl("delete", "configmaps", "-n", NAMESPACE, "--all")


def furnish(root: Path, node: str, plan: Plan, store: KeyStore, server: ApiServer) -> None:
    """Give a node what its document and its bundle give it, and a Node."""
    pki = root / "etc/kubernetes/pki"
    pki.mkdir(parents=True)
    identity(server.directory, pki / "kubelet-client", f"system:node:{node}", "system:nodes")
    for row in plan.certificates:
        if row.path == f"nodes/{node}/channel":
            identity(server.directory, pki / "channel", row.common_name, str(row.organization))
    shutil.copy(server.directory / "ca.crt", pki / "ca.crt")
    (root / "etc/hardway").mkdir()
    facts = {
        "cluster_id": plan.cluster_id,
        "node": node,
        "balancer_port": server.port,
        "bundle_sha256": "",
        "operator_public_key": plan.operator_public_key,
    }
    (root / "etc/hardway/node.json").write_text(json.dumps(facts))
    (root / "etc/hardway/report.key").write_bytes(store.key(report_key(node)))
    (root / "var/lib/cloud/data").mkdir(parents=True)
    (root / "var/lib/cloud/data/instance-id").write_text("11\n")
    file = server.directory / "node.json"
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "Node", "metadata": {"name": node}}))
    made = server.kubectl("create", "-f", str(file))
    assert made.returncode == 0, made.stderr


def identity(authority: Path, target: Path, user: str, group: str) -> None:
    """Issue a client certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    ca = x509.load_pem_x509_certificate((authority / "ca.crt").read_bytes())
    ca_key = serialization.load_pem_private_key((authority / "ca.key").read_bytes(), None)
    assert isinstance(ca_key, ec.EllipticCurvePrivateKey)
    now = datetime.datetime.now(datetime.UTC)
    names = [x509.NameAttribute(NameOID.COMMON_NAME, user), x509.NameAttribute(NameOID.ORGANIZATION_NAME, group)]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name(names))
        .issuer_name(ca.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(ca_key, hashes.SHA256())
    )
    target.with_suffix(".crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    pem = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    target.with_suffix(".key").write_bytes(key.private_bytes(*pem))


def test_each_node_answers_once_and_nothing_is_left(place: Place) -> None:
    with place.agents("node01", "node02"):
        for word in ("first", "second"):
            answers = place.channel().ask("trace", ["node01", "node02"], {"word": word}, patience=PATIENCE)
            assert {node: answer.result for node, answer in answers.items()} == {
                "node01": {"word": word},
                "node02": {"word": word},
            }
    assert place.trace("node01") == place.trace("node02") == ["first", "second"]
    assert not [name for name in place.kube().all_data(operators.PLACE) if name.startswith(operators.PREFIX)]


def test_who_is_not_asked_does_nothing(place: Place) -> None:
    with place.agents("node01", "node02"):
        answers = place.channel().ask("trace", ["node02"], {"word": "hello"}, patience=PATIENCE)
    assert list(answers) == ["node02"]
    assert place.trace("node01") == []


def test_what_fails_is_an_answer_too(place: Place) -> None:
    with place.agents("node01"):
        failed = place.channel().ask("trace", ["node01"], {"word": "fail"}, patience=PATIENCE)["node01"]
        unknown = place.channel().ask("dance", ["node01"], {}, patience=PATIENCE)["node01"]
    assert (failed.result, failed.message) == (None, "no luck")
    assert unknown.message == "this node's agent knows no `dance`"


def test_a_request_that_was_put_before_anyone_listens_is_done(place: Place) -> None:
    name = f"{operators.PREFIX}{'0' * 16}"
    place.put(name, {"request": request(place, id=name)})
    with place.agents("node01"):
        assert until(lambda: place.trace("node01") == ["hello"])


def test_a_request_that_was_interrupted_is_not_done_again(place: Place) -> None:
    name = f"{operators.PREFIX}{'1' * 16}"
    place.put(name, {"request": request(place, id=name, arguments={"word": "long", "seconds": 600})})
    with place.agents("node01"):
        assert until(lambda: place.trace("node01") == ["long"])
    with place.agents("node01"):
        assert until(lambda: "answer.node01" in (place.kube().data(f"{operators.PLACE}/{name}") or {}))
    data = place.kube().data(f"{operators.PLACE}/{name}") or {}
    assert "it was interrupted" in data["answer.node01"]
    assert place.trace("node01") == ["long"]


def request(
    place: Place, signer: Ed25519PrivateKey | None = None, context: str = signature.REQUEST, **changes: object
) -> str:
    """Write a request."""
    until = datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=1)
    payload = {
        "version": operators.VERSION,
        "cluster_id": place.plan.cluster_id,
        "verb": "trace",
        "nodes": ["node01"],
        "arguments": {"word": "hello"},
        "until": stamp(until),
    }
    return signature.sign(context, json.dumps(payload | changes), signer or place.store.operator_key).decode()


def until(test: Callable[[], bool], seconds: float = 20) -> bool:
    """Wait until something holds; tell whether it does."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if test():
            return True
        time.sleep(0.1)
    return False


def test_only_what_the_operator_signed_is_done(place: Place) -> None:
    names = [f"{operators.PREFIX}{number:016}" for number in range(9)]
    past = stamp(datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=5))
    good = request(place, id=names[8], arguments={"word": "good"})
    forged = [
        request(place, Ed25519PrivateKey.generate(), id=names[0]),
        request(place, context=signature.ROSTER, id=names[1]),
        request(place, id=names[2], cluster_id="0" * 36),
        request(place, id=names[3], until=past),
        request(place, id=names[0]),  # put again below another name
        request(place, id=names[5], version=2),
        "{}",
        good.replace("good", "evil"),
    ]
    with place.agents("node01"):
        for name, text in zip(names, [*forged, good], strict=True):
            place.put(name, {"request": text})
        assert until(lambda: "good" in place.trace("node01"))
    assert place.trace("node01") == ["good"]


def test_only_what_a_node_vouches_for_is_an_answer(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """An administrator, or whoever has become one, answers in a node's stead."""
    real = place.kube()
    payload = {"cluster_id": place.plan.cluster_id, "node": "node01", "outcome": "done", "result": "forged"}

    class Forging(Kube):
        def create(self, path: str, body: Mapping[str, object]) -> bool:
            assert isinstance(body["metadata"], dict)
            said = {**payload, "request": body["metadata"]["name"]}
            text = wrapped(operators.CONTEXT, said, bytes(32))
            assert isinstance(body["data"], dict)
            return super().create(path, {**body, "data": {**body["data"], "answer.node01": text}})

    monkeypatch.setattr(real, "__class__", Forging)
    channel = place.channel()
    monkeypatch.setattr(channel, "_server", real)
    assert channel.ask("trace", ["node01"], {"word": "hello"}, patience=SHORT) == {}


def test_what_a_killed_asker_has_left_is_swept(place: Place) -> None:
    past = stamp(datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=5))
    place.put(f"{operators.PREFIX}old", {"request": request(place, id=f"{operators.PREFIX}old", until=past)})
    place.put(f"{operators.PREFIX}new", {"request": request(place, id=f"{operators.PREFIX}new")})
    place.put("another", {"request": "{}"})
    place.channel().ask("trace", ["node01"], {"word": "x"}, patience=datetime.timedelta(seconds=1))
    left = set(place.kube().all_data(operators.PLACE))
    assert f"{operators.PREFIX}old" not in left
    assert {f"{operators.PREFIX}new", "another"} <= left


def test_one_that_left_the_description_is_asked_to_the_end(place: Place) -> None:
    """Its rights are not the description's to give: addons that know nothing of it are applied before it is drained."""
    shrunk = replace(place.plan, addons=(), nodes=tuple(one for one in place.plan.nodes if one.name != "node02"))
    before, after = (addons.manifests(replace(plan, addons=())) for plan in (place.plan, shrunk))
    assert before["base/role-binding.yaml"] == after["base/role-binding.yaml"]
    with place.agents("node02"):
        answers = place.channel().ask("trace", ["node02"], {"word": "hello"}, patience=PATIENCE)
    assert list(answers) == ["node02"]


@pytest.mark.parametrize("node", ["worker01", "node01"])
def test_a_kubelet_reaches_nothing_of_it(place: Place, node: str) -> None:
    name = f"{operators.PREFIX}{'2' * 16}"
    place.put(name, {"request": request(place, id=name)})
    root = place.roots[node] / "etc/kubernetes/pki"
    assert (root / "channel.key").exists() == (node == "node01")
    user = f"client-certificate: {root}/kubelet-client.crt, client-key: {root}/kubelet-client.key"
    text = api_server.KUBECONFIG.format(port=place.server.port, directory=place.server.directory, user=user)
    (place.server.directory / "worker.conf").write_text(text)
    for verb in (["get", "configmap", name], ["get", "configmaps"], ["delete", "configmap", name]):
        done = place.server.kubectl(*verb, "-n", NAMESPACE, kubeconfig="worker.conf")
        assert "forbidden" in done.stderr, verb
    patch = ["patch", "configmap", name, "-n", NAMESPACE, "--type=merge", "-p", '{"data":{"answer.node01":"x"}}']
    assert "forbidden" in place.server.kubectl(*patch, kubeconfig="worker.conf").stderr


def test_nothing_runs_in_the_namespace(place: Place) -> None:
    done = place.server.kubectl("run", "pod", "--image=x", "-n", NAMESPACE)
    assert done.returncode != 0
    assert "violates PodSecurity" in done.stderr or "exceeded quota" in done.stderr or "forbidden" in done.stderr


def annotate(place: Place, node: str, own: str) -> str:
    """Report at a Node with the credential of another; give what came of it."""
    facts = f"facts = here.facts\nhere.facts = lambda: facts() | {{'node': {node!r}}}"
    said = '{"version": 2, "boot_id": "b", "time": "2026-11-26T10:00:00Z", "generation": 7, "phases": []}'
    statement = f"{facts}\nprint(status.annotate(vouch.vouched(vouch.REPORT, {said})))"
    out, _ = place.run(own, statement).communicate(timeout=60)
    return out.strip()


def test_a_node_reports_at_its_own_node_and_at_no_other(place: Place) -> None:
    assert annotate(place, "node01", own="node01") == "True"
    assert annotate(place, "node02", own="worker01") == "False"
    nodes = place.kube().nodes()
    assert nodes is not None
    assert nodes["node02"].report is None
    found = node_report.read(
        nodes["node01"].report or "", "node01", place.plan.cluster_id, place.store.report_secret("node01")
    )
    assert found is not None
    progress, _, is_vouched = found
    assert (is_vouched, progress.droplet, progress.generation) == (True, 11, 7)


def test_the_reports_tls_is_the_clusters(place: Place) -> None:
    """The agent believes no other authority: a stranger on the balancer's port hears nothing."""
    root = place.roots["node02"]
    ca = root / "etc/kubernetes/pki/ca.crt"
    kept = ca.read_bytes()
    identity(place.server.directory, root / "other", "x", "y")
    ca.write_bytes((root / "other.crt").read_bytes())
    try:
        out, _ = place.run("node02", "print(status.annotate('x'))").communicate(timeout=60)
    finally:
        ca.write_bytes(kept)
    assert out.strip() == "False"
