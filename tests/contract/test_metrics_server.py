"""metrics-server between an API server and a kubelet: each believes the other's certificate, and no one else's."""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Address
from pathlib import Path
from threading import Thread

import pytest
import yaml

from generator.documents import addons
from generator.pki import store as key_store
from generator.pki.store import KeyStore
from generator.plan.decide import Plan
from generator.plan.inventory import Inventory
from generator.release import lock_file
from tests import keyring
from tests.contract import api_server, binaries
from tests.contract.api_server import ApiServer
from tests.contract.test_addons import APPLY, process
from tests.signed import Signed

METRICS = """\
node_cpu_usage_seconds_total {cpu} {time}
node_memory_working_set_bytes 1.048576e+08 {time}
container_cpu_usage_seconds_total{{container="book",namespace="default",pod="book"}} {cpu} {time}
container_memory_working_set_bytes{{container="book",namespace="default",pod="book"}} 2.097152e+07 {time}
container_start_time_seconds{{container="book",namespace="default",pod="book"}} 1 {time}
"""


@dataclass(frozen=True)
class Stage:
    """A cluster on loopback: its plan, its keys and its API server."""

    plan: Plan
    store: KeyStore
    server: ApiServer


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Apply the addon as the bootstrap job does; its Service leads to loopback instead of a pod."""
    keys = tmp_path_factory.mktemp("keys") / "orderbook"
    bare = keyring.planned(Inventory(key_store.cluster_id(keys), "orderbook", {}), control_planes=1, workers=0)
    here = replace(bare.nodes[0], address=IPv4Address("127.0.0.1"), schedulable=True)
    lock = lock_file.load("k8s-1.36", Path("/nonexistent"))
    plan = replace(bare, nodes=(here,), addons=("bridge", "metrics-server"), release=lock)
    store = key_store.ensure(keys, plan, None, now=datetime.now(UTC))
    plan = replace(plan, authorities={"kubernetes-ca": store.certificate("kubernetes-ca").decode()})
    directory = tmp_path_factory.mktemp("api-server")
    files = {"front-proxy-ca.crt": store.certificate("front-proxy-ca")}
    for extension, content in (
        ("crt", store.certificate("nodes/node01/front-proxy-client")),
        ("key", store.key("nodes/node01/front-proxy-client")),
    ):
        files[f"front-proxy-client.{extension}"] = content
    for name, content in files.items():
        (directory / name).write_bytes(content)
    flags = (
        f"--proxy-client-cert-file={directory}/front-proxy-client.crt",
        f"--proxy-client-key-file={directory}/front-proxy-client.key",
        "--requestheader-allowed-names=front-proxy-client",
        f"--requestheader-client-ca-file={directory}/front-proxy-ca.crt",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-username-headers=X-Remote-User",
    )
    with api_server.running(directory, binaries.find(*api_server.TOOLS), *flags) as server:
        manifests = addons.manifests(plan)
        for addon in json.loads(manifests[addons.INDEX])["addons"]:
            for path in addon["manifests"]:
                (directory / "manifest.yaml").write_bytes(manifests[path])
                done = server.kubectl(*APPLY, str(directory / "manifest.yaml"))
                assert done.returncode == 0, f"{path}: {done.stderr}"
                assert "Warning" not in done.stderr, f"{path}: {done.stderr}"
        node = {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": "node01", "labels": {"kubernetes.io/hostname": "node01"}},
            "status": {
                "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
                "conditions": [{"type": "Ready", "status": "True"}],
            },
        }
        (directory / "node.json").write_text(json.dumps(node))
        assert server.kubectl("create", "-f", str(directory / "node.json")).returncode == 0
        yield Stage(plan, store, server)


class Kubelet:
    """Answers as a kubelet does where it is asked for what is used, and keeps who has asked for what."""

    def __init__(self, certificate: bytes, key: bytes, directory: Path) -> None:
        self.asked: list[tuple[str, str]] = []
        self._cpu = 0.0
        (directory / "kubelet.crt").write_bytes(certificate)
        (directory / "kubelet.key").write_bytes(key)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(directory / "kubelet.crt", directory / "kubelet.key")
        kubelet = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                kubelet.asked.append((self.path, self.headers.get("Authorization", "")))
                kubelet._cpu += 1.5
                text = METRICS.format(cpu=kubelet._cpu, time=int(time.time() * 1000)).encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_port
        self._thread = Thread(target=self._server.serve_forever)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextmanager
def serving(stage: Stage, kubelet: Kubelet, certificate: bytes, key: bytes, log: Path) -> Iterator[None]:
    """Run metrics-server as its pod does, but for ports, and for what a pod finds by itself."""
    (port,) = api_server.free_ports(1)
    plan, server = stage.plan, stage.server
    manifests = addons.manifests(plan)
    pod = yaml.safe_load(manifests["metrics-server/deployment.yaml"])["spec"]["template"]["spec"]
    (log.parent / "tls.crt").write_bytes(certificate)
    (log.parent / "tls.key").write_bytes(key)
    (log.parent / "ca.crt").write_bytes(stage.store.certificate("kubernetes-ca"))
    kubeconfig = server.service_account("metrics-server", pod["serviceAccountName"])
    changed = {
        "$(NODE_ADDRESS)": "127.0.0.1",
        f"--secure-port={plan.metrics_port}": f"--secure-port={port}",
        "/etc/metrics-server/": f"{log.parent}/",
        "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt": f"{log.parent}/ca.crt",
    }
    arguments = list(pod["containers"][0]["args"])
    for old, new in changed.items():
        assert any(old in one for one in arguments), old
        arguments = [one.replace(old, new) for one in arguments]
    arguments += [f"--{what}kubeconfig={kubeconfig}" for what in ("", "authentication-", "authorization-")]
    service = yaml.safe_load(manifests["metrics-server/service.yaml"])
    service["spec"] = {"type": "ExternalName", "externalName": "127.0.0.1", "ports": [{"name": "https", "port": port}]}
    (log.parent / "service.json").write_text(json.dumps(service))
    server.kubectl("delete", "service", "metrics-server", "-n", "metrics-server", "--ignore-not-found")
    assert server.kubectl(*APPLY, str(log.parent / "service.json")).returncode == 0
    api = yaml.safe_load(manifests["metrics-server/api-service.yaml"])
    api["spec"]["service"]["port"] = port
    (log.parent / "api.json").write_text(json.dumps(api))
    assert server.kubectl(*APPLY, str(log.parent / "api.json")).returncode == 0
    command = str(binaries.find("metrics-server")["metrics-server"])
    with process(log, command, *arguments, f"--kubelet-port={kubelet.port}"):
        yield


def until(what: str, wanted: str, server: ApiServer, *arguments: str, log: Path) -> str:
    """Ask until an answer has some words in it."""
    end, said = time.monotonic() + 90, ""
    while wanted not in said:
        assert time.monotonic() < end, f"{what}: {said}\n{log.read_text()[-3000:]}"
        time.sleep(0.5)
        done = server.kubectl(*arguments)
        said = done.stdout + done.stderr
    return said


AVAILABLE = (
    "get",
    "apiservice",
    "v1beta1.metrics.k8s.io",
    "-o",
    'jsonpath={.status.conditions[?(@.type=="Available")]}',
)


@pytest.fixture
def kubelet(stage: Stage, tmp_path: Path) -> Iterator[Kubelet]:
    path = "nodes/node01/kubelet"
    made = Kubelet(stage.store.certificate(path), stage.store.key(path), tmp_path)
    yield made
    made.close()


def test_what_nodes_and_pods_use_is_told(stage: Stage, kubelet: Kubelet, tmp_path: Path) -> None:
    log, server = tmp_path / "metrics-server.log", stage.server
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "book", "namespace": "default"}}
    spec = {
        "nodeName": "node01",
        "containers": [{"name": "book", "image": "book"}],
        "automountServiceAccountToken": False,
    }
    (tmp_path / "pod.json").write_text(json.dumps({**pod, "spec": spec}))
    server.kubectl("create", "serviceaccount", "default")
    assert server.kubectl("create", "-f", str(tmp_path / "pod.json")).returncode == 0
    running = server.kubectl("patch", "pod", "book", "--subresource=status", "-p", '{"status": {"phase": "Running"}}')
    assert running.returncode == 0, running.stderr
    own = stage.store.certificate("metrics-server"), stage.store.key("metrics-server")
    with serving(stage, kubelet, *own, log):
        until("the aggregated API", '"status":"True"', server, *AVAILABLE, log=log)
        nodes = until("kubectl top nodes", "100Mi", server, "top", "nodes", log=log)
        pods = until("kubectl top pods", "20Mi", server, "top", "pods", log=log)
        allowed = server.kubectl("top", "pods", "--as=anybody")
        server.kubectl("create", "rolebinding", "looker", "--clusterrole=metrics-reader", "--user=looker")
        seen = until("one who may look", "20Mi", server, "top", "pods", "--as=looker", log=log)
    assert "node01" in nodes
    assert "book" in pods
    assert "book" in seen
    assert "forbidden" in allowed.stderr.lower()
    assert {path for path, _ in kubelet.asked} == {"/metrics/resource"}
    assert all(word.startswith("Bearer ") for _, word in kubelet.asked)


@pytest.mark.parametrize("whose", ["another authority's", "another node's"])
def test_no_kubelet_is_believed_that_is_another(stage: Stage, tmp_path: Path, whose: str) -> None:
    log = tmp_path / "metrics-server.log"
    foreign = Signed("system:node:node01", Signed("kubernetes-ca"), "node01")
    pair = foreign.pem, foreign.key_pem()
    if whose == "another node's":
        # of the cluster, but not for this address
        pair = stage.store.certificate("metrics-server"), stage.store.key("metrics-server")
    false = Kubelet(*pair, tmp_path)
    try:
        own = stage.store.certificate("metrics-server"), stage.store.key("metrics-server")
        with serving(stage, false, *own, log):
            end = time.monotonic() + 60
            while "x509:" not in log.read_text():
                assert time.monotonic() < end, log.read_text()[-3000:]
                time.sleep(0.5)
    finally:
        false.close()
    assert false.asked == []


def test_no_metrics_server_is_believed_that_is_another(stage: Stage, kubelet: Kubelet, tmp_path: Path) -> None:
    log = tmp_path / "metrics-server.log"
    false = Signed("metrics-server", Signed("kubernetes-ca"), "metrics-server.metrics-server.svc")
    with serving(stage, kubelet, false.pem, false.key_pem(), log):
        until("the aggregated API", "x509", stage.server, *AVAILABLE, log=log)
        assert stage.server.kubectl("top", "nodes").returncode != 0


@pytest.mark.parametrize(
    ("verb", "resource", "allowed"),
    [
        ("get", "nodes --subresource=metrics", "yes"),
        ("list", "pods", "yes"),
        ("get", "nodes --subresource=proxy", "no"),
        ("create", "nodes --subresource=proxy", "no"),
        ("list", "secrets", "no"),
        ("list", "configmaps", "no"),
        ("create", "tokenreviews.authentication.k8s.io", "no"),
        ("create", "pods", "no"),
    ],
)
def test_it_may_read_what_is_used_and_nothing_else(stage: Stage, verb: str, resource: str, allowed: str) -> None:
    who = "--as=system:serviceaccount:metrics-server:metrics-server"
    assert stage.server.kubectl("auth", "can-i", verb, *resource.split(), "-A", who).stdout.strip() == allowed
