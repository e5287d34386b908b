"""The certificates as they lie in bundles, judged by OpenSSL: purposes, names, and real handshakes."""

# ruff: noqa: E501 - the tables have one handshake a line

from __future__ import annotations

import ssl
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from generator.pki import bundle
from generator.pki.store import KeyStore
from generator.plan.certificates import Certificate
from generator.plan.decide import Plan
from tests.keyring import made, planned

LEAVES = [row for row in planned(control_planes=1, workers=1).certificates if not row.is_authority]
PKI, ETCD = "etc/kubernetes/pki", "etc/etcd/pki"


class Cluster:
    """A cluster's store, and each bundle unpacked as on its node."""

    def __init__(self, directory: Path) -> None:
        # OpenSSL looks at its own clock; so these keys are made now.
        self.store_path = directory / "keys" / "orderbook"
        self.plan: Plan
        self.store: KeyStore
        self.plan, self.store, _ = made(self.store_path, now=datetime.now(UTC), control_planes=2, workers=1)
        self.nodes = directory / "nodes"
        for node in self.plan.nodes:
            for file in bundle.node_files(self.plan, node, self.store):
                path = self.nodes / node.name / file.path.removeprefix("/")
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(file.content)

    def file(self, node: str, path: str) -> str:
        return str(self.nodes / node / path)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Cluster:
    return Cluster(tmp_path_factory.mktemp("pki"))


def openssl(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["openssl", *arguments], capture_output=True, text=True, check=False)


def verify(cluster: Cluster, row: Certificate, *arguments: str) -> subprocess.CompletedProcess[str]:
    authority = cluster.store_path / f"{row.signer}.crt"
    certificate = cluster.store_path / f"{row.path}.crt"
    return openssl("verify", "-x509_strict", "-CAfile", str(authority), *arguments, str(certificate))


@pytest.mark.parametrize("row", LEAVES, ids=lambda row: row.path)
def test_each_leaf_serves_its_purposes_and_no_other(cluster: Cluster, row: Certificate) -> None:
    for usage in ("client", "server"):
        done = verify(cluster, row, "-purpose", f"ssl{usage}")
        assert (done.returncode == 0) == (usage in row.usages), done.stderr


@pytest.mark.parametrize("row", LEAVES, ids=lambda row: row.path)
def test_each_leaf_is_trusted_by_its_own_authority_alone(cluster: Cluster, row: Certificate) -> None:
    certificate = str(cluster.store_path / f"{row.path}.crt")
    for authority in cluster.plan.certificates:
        if authority.is_authority:
            done = openssl("verify", "-CAfile", str(cluster.store_path / f"{authority.path}.crt"), certificate)
            assert (done.returncode == 0) == (authority.path == row.signer), done.stderr


@pytest.mark.parametrize("row", [row for row in LEAVES if row.sans], ids=lambda row: row.path)
def test_each_server_has_its_names_and_no_other(cluster: Cluster, row: Certificate) -> None:
    planned_row = next(found for found in cluster.plan.certificates if found.path == row.path)
    for name in planned_row.names.dns:
        assert verify(cluster, row, "-verify_hostname", name).returncode == 0
    for address in planned_row.names.addresses:
        assert verify(cluster, row, "-verify_ip", str(address)).returncode == 0
    assert verify(cluster, row, "-verify_hostname", planned_row.common_name).returncode != 0
    for foreign in ("203.0.113.101", "10.110.0.5", "10.44.0.99"):
        assert verify(cluster, row, "-verify_ip", foreign).returncode != 0


def test_each_key_in_a_bundle_belongs_to_its_certificate(cluster: Cluster) -> None:
    pairs = [path for path in cluster.nodes.rglob("*.key") if path.with_suffix(".crt").exists()]
    assert len(pairs) == 2 * 9 + 2
    for path in pairs:
        key = openssl("pkey", "-in", str(path), "-pubout")
        certificate = openssl("x509", "-in", str(path.with_suffix(".crt")), "-noout", "-pubkey")
        assert key.returncode == certificate.returncode == 0
        assert key.stdout == certificate.stdout


def test_the_service_account_keys_are_a_pair_on_the_curve_everything_uses(cluster: Cluster) -> None:
    key = openssl("pkey", "-in", cluster.file("node01", f"{PKI}/sa.key"), "-pubout")
    assert key.stdout.encode() == Path(cluster.file("node01", f"{PKI}/sa.pub")).read_bytes()
    assert "prime256v1" in openssl("pkey", "-in", cluster.file("node01", f"{PKI}/sa.key"), "-noout", "-text").stdout


def server(cluster: Cluster, node: str, pair: str, clients: str) -> ssl.SSLContext:
    """Serve as a component does: with its pair, for clients of one authority only."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cluster.file(node, f"{pair}.crt"), cluster.file(node, f"{pair}.key"))
    context.load_verify_locations(cluster.file(node, clients))
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def client(cluster: Cluster, node: str, authority: str, pair: str | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cluster.file(node, authority))
    if pair is not None:
        context.load_cert_chain(cluster.file(node, f"{pair}.crt"), cluster.file(node, f"{pair}.key"))
    return context


def shake(serving: ssl.SSLContext, asking: ssl.SSLContext, name: str) -> None:
    """Let two sides shake hands in memory, until both are done or one refuses."""
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [serving.wrap_bio(up, down, server_side=True), asking.wrap_bio(down, up, server_hostname=name)]
    for _ in range(10):
        waiting = []
        for side in sides:
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                waiting.append(side)
        if not waiting:
            # In TLS 1.3 a client is done before the server has looked at its certificate.
            sides[0].write(b"welcome")
            assert sides[1].read(7) == b"welcome"
            return
    raise AssertionError("the handshake does not end")


API = (f"{PKI}/apiserver", f"{PKI}/ca.crt")
KUBELET = (f"{PKI}/kubelet", f"{PKI}/ca.crt")
ETCD_CLIENTS = (f"{ETCD}/server", f"{ETCD}/ca.crt")
ETCD_PEERS = (f"{ETCD}/peer", f"{ETCD}/peer-ca.crt")

ALLOWED = [
    ("a kubelet at its balancer", "node01", API, "worker01", f"{PKI}/ca.crt", f"{PKI}/kubelet-client", "127.0.0.1"),
    ("a pod at the service", "node01", API, "worker01", f"{PKI}/ca.crt", f"{PKI}/kubelet-client", "10.43.0.1"),
    ("a pod by name", "node02", API, "worker01", f"{PKI}/ca.crt", f"{PKI}/kubelet-client", "kubernetes.default.svc"),
    ("a person", "node02", API, "worker01", f"{PKI}/ca.crt", f"{PKI}/kubelet-client", "api.orderbook.internal"),
    ("an API server at a kubelet", "worker01", KUBELET, "node01", f"{PKI}/ca.crt", f"{PKI}/apiserver-kubelet-client", "10.44.0.3"),
    ("an API server at etcd", "node01", ETCD_CLIENTS, "node01", f"{PKI}/etcd-ca.crt", f"{PKI}/apiserver-etcd-client", "127.0.0.1"),
    ("an API server at another etcd", "node02", ETCD_CLIENTS, "node01", f"{PKI}/etcd-ca.crt", f"{PKI}/apiserver-etcd-client", "10.44.0.2"),
    ("etcd's gateway at itself", "node01", ETCD_CLIENTS, "node01", f"{ETCD}/ca.crt", f"{ETCD}/server", "10.44.0.1"),
    ("an etcd peer", "node01", ETCD_PEERS, "node02", f"{ETCD}/peer-ca.crt", f"{ETCD}/peer", "10.44.0.1"),
]  # fmt: skip

REFUSED = [
    ("nobody at the API server", "node01", API, "worker01", f"{PKI}/ca.crt", None, "127.0.0.1"),
    ("nobody at a kubelet", "worker01", KUBELET, "node01", f"{PKI}/ca.crt", None, "10.44.0.3"),
    ("nobody at etcd", "node01", ETCD_CLIENTS, "node01", f"{ETCD}/ca.crt", None, "127.0.0.1"),
    ("nobody at an etcd peer", "node01", ETCD_PEERS, "node02", f"{ETCD}/peer-ca.crt", None, "10.44.0.1"),
    ("a kubelet's server certificate as client", "node01", API, "worker01", f"{PKI}/ca.crt", f"{PKI}/kubelet", "127.0.0.1"),
    ("an etcd client at the API server", "node01", API, "node01", f"{PKI}/ca.crt", f"{PKI}/apiserver-etcd-client", "127.0.0.1"),
    ("a front proxy at the API server", "node01", API, "node01", f"{PKI}/ca.crt", f"{PKI}/front-proxy-client", "127.0.0.1"),
    ("a kubelet at etcd", "node01", ETCD_CLIENTS, "node02", f"{ETCD}/ca.crt", f"{PKI}/kubelet-client", "10.44.0.1"),
    ("an etcd client at an etcd peer", "node01", ETCD_PEERS, "node02", f"{ETCD}/peer-ca.crt", f"{PKI}/apiserver-etcd-client", "10.44.0.1"),
    ("an etcd peer at etcd's clients' port", "node01", ETCD_CLIENTS, "node02", f"{ETCD}/ca.crt", f"{ETCD}/peer", "10.44.0.1"),
    ("a public address", "node01", API, "worker01", f"{PKI}/ca.crt", f"{PKI}/kubelet-client", "203.0.113.101"),
    ("a kubelet that says it is the API", "worker01", KUBELET, "node01", f"{PKI}/ca.crt", f"{PKI}/kubelet-client", "10.43.0.1"),
    ("an etcd of another address", "node02", ETCD_PEERS, "node01", f"{ETCD}/peer-ca.crt", f"{ETCD}/peer", "10.44.0.1"),
]  # fmt: skip


@pytest.mark.parametrize(("who", "at", "serving", "node", "authority", "pair", "name"), ALLOWED, ids=lambda v: str(v))
def test_those_who_may_are_let_in(
    cluster: Cluster, who: str, at: str, serving: tuple[str, str], node: str, authority: str, pair: str, name: str
) -> None:
    shake(server(cluster, at, *serving), client(cluster, node, authority, pair), name)


@pytest.mark.parametrize(("who", "at", "serving", "node", "authority", "pair", "name"), REFUSED, ids=lambda v: str(v))
def test_those_who_may_not_are_kept_out(
    cluster: Cluster, who: str, at: str, serving: tuple[str, str], node: str, authority: str, pair: str, name: str
) -> None:
    with pytest.raises(ssl.SSLError):
        shake(server(cluster, at, *serving), client(cluster, node, authority, pair), name)
