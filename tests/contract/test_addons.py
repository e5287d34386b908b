"""The addons as the API server, CoreDNS and Traefik themselves see them."""

from __future__ import annotations

import http.client
import json
import os
import socket
import ssl
import struct
import subprocess
import threading
import time
import urllib.request
import warnings
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from generator.documents import addons
from generator.plan.decide import Plan
from generator.release import lock_file
from tests import keyring
from tests.contract import api_server, binaries
from tests.contract.api_server import ApiServer
from tests.signed import Signed

HOST = "limit-order-book.local"
APPLY = ("apply", "--server-side", "--field-manager=hardway", "--force-conflicts", "-f")


@pytest.fixture(scope="module")
def plan() -> Plan:
    planned = keyring.planned(control_planes=1, workers=2)
    lock = lock_file.load("k8s-1.36", Path("/nonexistent"))
    return replace(planned, release=lock, addons=("bridge", "coredns", "ingress", "metrics-server", "order-book"))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, plan: Plan) -> Iterator[ApiServer]:
    """An API server to which all addons were applied once."""
    tools = binaries.find(*api_server.TOOLS)
    with api_server.running(tmp_path_factory.mktemp("api-server"), tools) as running:
        directory = running.directory / "addons"
        for path, content in addons.manifests(plan).items():
            (directory / path).parent.mkdir(parents=True, exist_ok=True)
            (directory / path).write_bytes(content)
        running.said = apply_all(running)
        yield running


def apply_all(server: ApiServer) -> list[str]:
    """Apply as the bootstrap job does: addon by addon, in the index's order; give every warning."""
    said = []
    directory = server.directory / "addons"
    for addon in json.loads((directory / "index.json").read_bytes())["addons"]:
        for path in addon["manifests"]:
            done = server.kubectl(*APPLY, str(directory / path))
            assert done.returncode == 0, f"{path}: {done.stderr}"
            said += done.stderr.splitlines()
    return said


def applied(server: ApiServer) -> list[dict[str, Any]]:
    files = sorted((server.directory / "addons").rglob("*.yaml"))
    return [item for file in files for item in yaml.safe_load_all(file.read_bytes())]


def test_applying_warns_of_nothing(server: ApiServer) -> None:
    assert server.said == []


def test_applying_again_changes_nothing(server: ApiServer) -> None:
    before = versions(server)
    assert apply_all(server) == []
    assert versions(server) == before


def versions(server: ApiServer) -> dict[str, str]:
    found = {}
    for item in applied(server):
        namespace = item["metadata"].get("namespace", "default")
        got = server.kubectl("get", item["kind"], item["metadata"]["name"], "-n", namespace, "-o", "json")
        assert got.returncode == 0, got.stderr
        found[f"{item['kind']} {namespace}/{item['metadata']['name']}"] = json.loads(got.stdout)["metadata"][
            "resourceVersion"
        ]
    return found


def test_every_pod_is_admitted(server: ApiServer) -> None:
    """Workloads are only warned about; it is their pods that the admission refuses."""
    for item in applied(server):
        if item["kind"] not in ("StatefulSet", "Deployment", "DaemonSet"):
            continue
        namespace, name = item["metadata"]["namespace"], item["metadata"]["name"]
        template = item["spec"]["template"]
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, **template["metadata"]}}
        spec = dict(template["spec"])
        claims = item["spec"].get("volumeClaimTemplates", ())
        spec["volumes"] = [
            *spec.get("volumes", ()),
            *({"name": c["metadata"]["name"], "persistentVolumeClaim": {"claimName": "x"}} for c in claims),
        ]
        file = server.directory / f"pod-{name}.json"
        file.write_text(json.dumps({**pod, "spec": spec}))
        done = server.kubectl("create", "--dry-run=server", "-n", namespace, "-f", str(file))
        assert done.returncode == 0, done.stderr
        assert "Warning" not in done.stderr


def test_a_pod_that_says_nothing_is_refused_beside_the_book(server: ApiServer) -> None:
    """The namespace's label is enforced, so the test above means something."""
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "intruder"},
        "spec": {
            "serviceAccountName": "postgres",
            "containers": [{"name": "a", "image": "a"}],
        },
    }
    (server.directory / "intruder.json").write_text(json.dumps(pod))
    done = server.kubectl(
        "create", "--dry-run=server", "-n", "order-book", "-f", str(server.directory / "intruder.json")
    )
    assert "violates PodSecurity" in done.stderr


@pytest.mark.parametrize(
    ("account", "verb", "resource", "allowed"),
    [
        ("kube-system:coredns", "list", "endpointslices.discovery.k8s.io", "yes"),
        ("kube-system:coredns", "list", "secrets", "no"),
        ("ingress:traefik", "watch", "ingressclasses.networking.k8s.io", "yes"),
        ("ingress:traefik", "watch", "ingresses.networking.k8s.io", "no"),
        ("ingress:traefik", "list", "secrets", "no"),
        ("ingress:traefik", "create", "pods", "no"),
        ("metrics-server:metrics-server", "list", "secrets", "no"),
        ("metrics-server:metrics-server", "create", "pods", "no"),
        ("order-book:limit-order-book", "get", "secrets", "no"),
        ("order-book:postgres", "get", "secrets", "no"),
    ],
)
def test_rights(server: ApiServer, account: str, verb: str, resource: str, allowed: str) -> None:
    who = f"--as=system:serviceaccount:{account}"
    assert server.kubectl("auth", "can-i", verb, resource, "-A", who).stdout.strip() == allowed


def test_the_api_server_may_speak_to_kubelets(server: ApiServer) -> None:
    who = "--as=kube-apiserver-kubelet-client"
    assert server.kubectl("auth", "can-i", "create", "nodes", "--subresource=proxy", who).stdout.strip() == "yes"
    assert server.kubectl("auth", "can-i", "list", "secrets", who).stdout.strip() == "no"


def test_dns_answers_with_its_own_rights(server: ApiServer, plan: Plan) -> None:
    coredns = binaries.find("coredns")["coredns"]
    kubeconfig = server.service_account("kube-system", "coredns")
    port, ready = api_server.free_ports(2)
    rendered = yaml.safe_load(addons.manifests(plan)["coredns/config-map.yaml"])["data"]["Corefile"]
    # In a pod it finds the API server by itself; ports and the resolver are this machine's.
    corefile = rendered.replace(":1053", f":{port}").replace(":8181", f":{ready}").replace(":8080", ":0")
    corefile = corefile.replace("        ttl 30", f"        ttl 30\n        kubeconfig {kubeconfig} c")
    (server.directory / "Corefile").write_text(corefile)
    with process(server.directory / "coredns.log", str(coredns), "-conf", str(server.directory / "Corefile")):
        wait_for(f"http://127.0.0.1:{ready}/ready", server.directory / "coredns.log")
        assert resolve(port, "kube-dns.kube-system.svc.cluster.local") == str(plan.dns_ip)
        assert resolve(port, "postgres.order-book.svc.cluster.local").startswith("10.43.")
        assert resolve(port, "limit-order-book.order-book-web.svc.cluster.local").startswith("10.43.")
        assert resolve(port, "nobody.order-book.svc.cluster.local") == ""


def test_the_ingress_routes_the_applications_paths_alone(server: ApiServer, plan: Plan, tmp_path: Path) -> None:
    """Over TLS, with the certificate as the job brings it; a later one is taken up as it comes."""
    traefik = binaries.find("traefik")["traefik"]
    authority, other = Signed("ingress-ca"), Signed("ingress-ca of another")
    first, next_one, wrong = (Signed("order-book", signer, HOST) for signer in (authority, authority, other))
    bring(server, first, tmp_path)
    believed = ssl.create_default_context(cadata=authority.pem.decode())
    manifest = yaml.safe_load(addons.manifests(plan)["ingress/config-map.yaml"])
    (tmp_path / "tls.yaml").write_text(manifest["data"]["tls.yaml"])
    kubeconfig = server.service_account("ingress", "traefik")
    web, tls, ping = api_server.free_ports(3)
    spec = yaml.safe_load(addons.manifests(plan)["ingress/daemon-set.yaml"])["spec"]["template"]["spec"]
    ports = {":8000": f":{web}", ":8443": f":{tls}", ":8080": f":{ping}"}
    arguments = spec["containers"][0]["args"]
    for old, new in ports.items():
        arguments = [argument.replace(f"address={old}", f"address={new}") for argument in arguments]
    assert any("=/etc/traefik/tls.yaml" in argument for argument in arguments)
    arguments = [argument.replace("/etc/traefik/", f"{tmp_path}/") for argument in arguments]
    log = server.directory / "traefik.log"
    with echo() as backend, process(log, str(traefik), *arguments, KUBECONFIG=str(kubeconfig)):
        # In a pod the Service's name leads to the application; here it leads to the echo, by an address.
        service = yaml.safe_load(addons.manifests(plan)["order-book/service-web.yaml"])
        service["spec"]["externalName"] = "127.0.0.1"
        service["spec"]["ports"][0]["targetPort"] = backend
        (server.directory / "echo.json").write_text(json.dumps(service))
        assert server.kubectl(*APPLY, str(server.directory / "echo.json")).returncode == 0
        wait_for(f"http://127.0.0.1:{ping}/ping", log)
        until(log, lambda: get(tls, HOST, "/", context=believed)[0] == 200)
        for path in ("/", "/ob", "/api/order", "/api/health", "/headers"):
            status, body = get(tls, HOST, path, context=believed)
            assert (status, body.split()[0]) == (200, path)
            assert moved(web, HOST, path) == (308, f"https://{HOST}{path}")
        for path in ("/api/wipe", "/api/wipe/", "/api", "/ob/x", "/API/WIPE", "/api/order/../wipe", "//api/wipe"):
            assert get(tls, HOST, path, context=believed)[0] == 404, path
            assert get(web, HOST, path)[0] == 404, path
        assert get(web, "other.local", "/")[0] == 404
        forged = {"X-Forwarded-For": "8.8.8.8", "X_Forwarded_For": "8.8.8.8"}
        seen = get(tls, HOST, "/headers", forged, context=believed)[1]
        assert "X-Forwarded-For:127.0.0.1" in seen
        assert "8.8.8.8" not in seen
        # Whoever asks for another name, or for none, is shown no certificate at all.
        for name in ("other.local", None):
            with pytest.raises(ssl.SSLError, match=r"UNRECOGNIZED_NAME|unrecognized name"):
                shown(tls, name)
        assert shown(tls, HOST) == first.der
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            assert shown(tls, HOST, version) == first.der
        with pytest.raises(ssl.SSLError, match=r"(?i)protocol.version"):
            shown(tls, HOST, ssl.TLSVersion.TLSv1_1)
        bring(server, next_one, tmp_path)
        until(log, lambda: shown(tls, HOST) == next_one.der)
        assert get(tls, HOST, "/ob", context=believed)[0] == 200
        bring(server, wrong, tmp_path)
        until(log, lambda: shown(tls, HOST) == wrong.der)
        assert get(tls, HOST, "/ob", context=believed)[0] == 0
        assert "ERR" not in log.read_text()


def test_wiping_is_open_where_the_description_says_so(plan: Plan) -> None:
    def paths(planned: Plan) -> set[str]:
        ingress = yaml.safe_load(addons.manifests(planned)["order-book/ingress.yaml"])
        return {path["path"] for rule in ingress["spec"]["rules"] for path in rule["http"]["paths"]}

    assert paths(replace(plan, wipe=True)) - paths(plan) == {"/api/wipe"}


def bring(server: ApiServer, certificate: Signed, directory: Path) -> None:
    """Apply the order book's certificate as the job does."""
    data = {"tls.crt": certificate.pem, "tls.key": certificate.key_pem()}
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "order-book", "namespace": "order-book-web"},
        "type": "kubernetes.io/tls",
        "data": {key: b64encode(value).decode() for key, value in data.items()},
    }
    (directory / "secret.json").write_text(json.dumps(secret))
    done = server.kubectl(*APPLY, str(directory / "secret.json"))
    assert done.returncode == 0, done.stderr


def until(log: Path, probe: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not probe():
        assert time.monotonic() < deadline, log.read_text()[-3000:]
        time.sleep(0.3)


def shown(port: int, name: str | None, version: ssl.TLSVersion | None = None) -> bytes:
    """Give the certificate that a visitor is shown who asks for a name, with one version of TLS if that is said."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    if version is not None:
        with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
            context.minimum_version = context.maximum_version = version
    with (
        socket.create_connection(("127.0.0.1", port), timeout=5) as plain,
        context.wrap_socket(plain, server_hostname=name) as secured,
    ):
        return secured.getpeercert(binary_form=True) or b""


def moved(port: int, host: str, path: str) -> tuple[int, str]:
    """Ask without following, and give where the answer leads."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path, headers={"Host": host})
        answer = connection.getresponse()
        return answer.status, answer.headers.get("Location", "")
    finally:
        connection.close()


@contextmanager
def process(log: Path, *command: str, **environment: str) -> Iterator[None]:
    with (
        log.open("wb") as output,
        subprocess.Popen(command, stdout=output, stderr=output, env=os.environ | environment) as running,
    ):
        try:
            yield
        finally:
            running.kill()


@contextmanager
def echo() -> Iterator[int]:
    """Serve the path and the headers of each request."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            text = " ".join([self.path, *(f"{name}:{value}" for name, value in self.headers.items())])
            self.send_response(200)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format: str, *args: object) -> None:
            pass

    backend = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=backend.serve_forever)
    thread.start()
    try:
        yield backend.server_port
    finally:
        backend.shutdown()
        backend.server_close()
        thread.join()


class Secured(http.client.HTTPConnection):
    """Connects to loopback, and speaks there with who has another name."""

    def __init__(self, port: int, name: str, context: ssl.SSLContext) -> None:
        super().__init__("127.0.0.1", port, timeout=5)
        self._name, self._given = name, context

    def connect(self) -> None:
        super().connect()
        self.sock = self._given.wrap_socket(self.sock, server_hostname=self._name)


def get(
    port: int,
    host: str,
    path: str,
    headers: Mapping[str, str] | None = None,
    *,
    context: ssl.SSLContext | None = None,
) -> tuple[int, str]:
    """Ask for a page, over TLS where somebody is believed; no answer, or none to be believed, is 0."""
    plain = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection = Secured(port, host, context) if context else plain
    try:
        connection.request("GET", path, headers={"Host": host, **(headers or {})})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    except OSError:
        return 0, ""
    finally:
        connection.close()


def wait_for(url: str, log: Path) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:
            assert time.monotonic() < deadline, log.read_text()[-3000:]
            time.sleep(0.3)


def resolve(port: int, name: str) -> str:
    """Ask for a name's first IPv4 address; empty when there is none."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    question = struct.pack(">6H", 1, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">2H", 1, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(3)
        for attempt in reversed(range(10)):
            client.sendto(question, ("127.0.0.1", port))
            try:
                answer = client.recv(1500)
                break
            except TimeoutError:
                if not attempt:
                    raise
    count = struct.unpack(">H", answer[6:8])[0]
    return socket.inet_ntoa(answer[-4:]) if count else ""
