"""Bundles: which secret is on which node, always the same bytes, and sealed for one node alone."""

from __future__ import annotations

import base64
from collections import defaultdict
from pathlib import Path
from random import Random

import pytest
import yaml
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from generator.pki import bundle
from generator.pki import store as key_store
from generator.pki.store import KeyStore
from generator.plan.decide import Plan
from generator.tar import PackedFile, pack
from tests.conftest import Golden
from tests.keyring import CLUSTER_ID, NOW, made, planned, unseal

GOLDEN = Path(__file__).parent.parent.parent / "golden" / "secrets.txt"
KEY = bytes(range(32))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> tuple[Plan, KeyStore]:
    plan, store, _ = made(tmp_path_factory.mktemp("keys") / "orderbook", control_planes=3, workers=1)
    return plan, store


def files(cluster: tuple[Plan, KeyStore], node: str) -> dict[str, PackedFile]:
    plan, store = cluster
    return {file.path: file for file in bundle.node_files(plan, plan.node(node), store)}


def needles(content: bytes) -> list[bytes]:
    """Give the shapes in which a file of the store can turn up in a bundle: itself, and as base64 in a kubeconfig."""
    return [content.strip(), base64.b64encode(content)]


def matrix(cluster: tuple[Plan, KeyStore]) -> str:
    """Search every bundle for every private file of the store, and write down what was found."""
    plan, store = cluster
    rows = ["# Which private key of the store is in which node's bundle, and in which file of it."]
    bundles = {node.name: bundle.node_files(plan, node, store) for node in plan.nodes}
    for name in sorted(name for name in store.files if not name.endswith(".crt")):
        rows.append(f"\n{name}")
        found = [
            f"  {node}:{file.path}"
            for node, held in bundles.items()
            for file in held
            if any(needle in file.content for needle in needles(store.files[name]))
        ]
        rows += found or ["  -"]
    return "\n".join(rows) + "\n"


def test_each_private_key_is_where_it_has_to_be_and_nowhere_else(
    cluster: tuple[Plan, KeyStore], golden: Golden
) -> None:
    golden.check(GOLDEN, matrix(cluster))


def test_what_is_issued_for_a_node_is_on_that_node_and_on_no_other(cluster: tuple[Plan, KeyStore]) -> None:
    plan, store = cluster
    packed = {node.name: bundle.node_bundle(plan, node, store) for node in plan.nodes}
    for row in plan.certificates:
        if row.node is not None:
            holders = {
                name for name, data in packed.items() if any(needle in data for needle in needles(store.key(row.path)))
            }
            assert holders == {row.node}, row.path


def test_the_readme_of_keys_says_who_may_hold_each(cluster: tuple[Plan, KeyStore]) -> None:
    page = (GOLDEN.parents[2] / "keys" / "README.md").read_text()
    names = {row.path.rpartition("/")[2] for row in cluster[0].certificates}
    assert {name for name in names if f"{name}.key`" not in page} == set()


def test_no_authority_can_sign_on_a_node(cluster: tuple[Plan, KeyStore]) -> None:
    plan, store = cluster
    packed = b"".join(bundle.node_bundle(plan, node, store) for node in plan.nodes)
    for row in plan.certificates:
        if row.is_authority:
            assert store.certificate(row.path) in packed
            assert not any(needle in packed for needle in needles(store.key(row.path)))
    for name in ("operator.key", "admin.key"):
        assert not any(needle in packed for needle in needles(store.files[name]))


def test_a_worker_gets_its_own_identity_and_nothing_else(cluster: tuple[Plan, KeyStore]) -> None:
    assert {path: file.mode for path, file in files(cluster, "worker01").items()} == {
        "/etc/hardway/report.key": 0o600,
        "/etc/hardway/wireguard.key": 0o600,
        "/etc/kubernetes/kubelet.conf": 0o600,
        "/etc/kubernetes/pki/ca.crt": 0o644,
        "/etc/kubernetes/pki/kubelet-client.crt": 0o644,
        "/etc/kubernetes/pki/kubelet-client.key": 0o600,
        "/etc/kubernetes/pki/kubelet.crt": 0o644,
        "/etc/kubernetes/pki/kubelet.key": 0o600,
        "/etc/kubernetes/proxy.conf": 0o600,
    }


def test_a_control_plane_node_gets_what_its_components_read(cluster: tuple[Plan, KeyStore]) -> None:
    found = files(cluster, "node02")
    plain = {path for path in found if not path.startswith("/etc/kubernetes/pki/")}
    assert plain == {
        "/etc/etcd/pki/ca.crt",
        "/etc/etcd/pki/peer-ca.crt",
        "/etc/etcd/pki/peer.crt",
        "/etc/etcd/pki/peer.key",
        "/etc/etcd/pki/server.crt",
        "/etc/etcd/pki/server.key",
        "/etc/hardway/addon-secrets.key",
        "/etc/hardway/report.key",
        "/etc/hardway/snapshots.key",
        "/etc/hardway/snapshots.recipient",
        "/etc/hardway/wireguard.key",
        "/etc/kubernetes/bootstrap.conf",
        "/etc/kubernetes/controller-manager.conf",
        "/etc/kubernetes/encryption.yaml",
        "/etc/kubernetes/kubelet.conf",
        "/etc/kubernetes/proxy.conf",
        "/etc/kubernetes/scheduler.conf",
    }
    pairs = (
        "apiserver",
        "apiserver-etcd-client",
        "apiserver-kubelet-client",
        "channel",
        "front-proxy-client",
        "kubelet",
    )
    assert {path.removeprefix("/etc/kubernetes/pki/") for path in set(found) - plain} == {
        *(f"{name}.{extension}" for name in (*pairs, "kubelet-client") for extension in ("crt", "key")),
        *("ca.crt", "etcd-ca.crt", "front-proxy-ca.crt", "sa.key", "sa.pub"),
    }
    for path, file in found.items():
        assert file.owner == file.group == ("etcd" if path.startswith("/etc/etcd/") else "root")
        assert file.mode == (0o644 if path.endswith(".crt") else 0o600)


def test_what_addons_keep_secret_is_in_no_bundle(cluster: tuple[Plan, KeyStore]) -> None:
    plan, store = cluster
    assert store.addons["addons/order-book/postgres/password"].isalnum(), "without a line's end"
    packed = b"".join(bundle.node_bundle(plan, node, store) for node in plan.nodes)
    for content in store.addons.values():
        assert not any(needle in packed for needle in needles(content))


def test_secrets_are_encrypted_at_rest_with_the_first_provider(cluster: tuple[Plan, KeyStore]) -> None:
    texts = {files(cluster, node)["/etc/kubernetes/encryption.yaml"].content.decode() for node in ("node01", "node03")}
    assert len(texts) == 1
    text = texts.pop()
    lines = text.splitlines()
    assert lines[lines.index("  providers:") + 1].strip() == "- secretbox:"
    values = yaml.safe_load(text)
    assert (values["apiVersion"], values["kind"]) == ("apiserver.config.k8s.io/v1", "EncryptionConfiguration")
    (rule,) = values["resources"]
    assert rule["resources"] == ["secrets"]
    assert [next(iter(provider)) for provider in rule["providers"]] == ["secretbox", "identity"]
    assert len(base64.b64decode(rule["providers"][0]["secretbox"]["keys"][0]["secret"], validate=True)) == 32


def test_a_bundle_has_the_same_bytes_every_time(cluster: tuple[Plan, KeyStore]) -> None:
    plan, store = cluster
    node = plan.node("node01")
    held = list(bundle.node_files(plan, node, store))
    first = bundle.node_bundle(plan, node, store)
    for seed in range(5):
        Random(seed).shuffle(held)
        assert pack(held) == first


def test_a_bundle_does_not_depend_on_other_workers(tmp_path: Path) -> None:
    plan, store, inventory = made(tmp_path / "orderbook", control_planes=1, workers=1)
    before = {node.name: bundle.node_bundle(plan, node, store) for node in plan.nodes}
    larger = planned(inventory, control_planes=1, workers=3)
    store = key_store.ensure(tmp_path / "orderbook", larger, inventory, now=NOW)
    after = {node.name: bundle.node_bundle(larger, node, store) for node in larger.nodes}
    assert before.items() <= after.items()
    assert len(set(after.values())) == 4


def test_only_the_right_key_and_node_unseal() -> None:
    sealed = bundle.seal(b"tar", KEY, CLUSTER_ID, "node01")
    assert unseal(sealed, KEY, CLUSTER_ID, "node01") == b"tar"
    for key, cluster_id, node in (
        (bytes(32), CLUSTER_ID, "node01"),
        (KEY, "another", "node01"),
        (KEY, CLUSTER_ID, "node02"),
    ):
        with pytest.raises((InvalidTag, ValueError)):
            unseal(sealed, key, cluster_id, node)


def test_every_changed_byte_is_noticed() -> None:
    sealed = bundle.seal(b"a tar", KEY, CLUSTER_ID, "node01")
    broken = [sealed[:place] + bytes([sealed[place] ^ 1]) + sealed[place + 1 :] for place in range(len(sealed))]
    for text in [*broken, sealed[:-1], sealed + b"\0", b"", sealed[:5], sealed[:12]]:
        with pytest.raises((InvalidTag, ValueError)):
            unseal(text, KEY, CLUSTER_ID, "node01")


def test_a_bundle_is_sealed_differently_each_time_and_shows_nothing() -> None:
    sealed = {bundle.seal(b"-----BEGIN PRIVATE KEY-----", KEY, CLUSTER_ID, "node01") for _ in range(50)}
    assert len({text[:12] for text in sealed}) == 50
    assert not any(b"PRIVATE" in text for text in sealed)


def test_the_format_is_the_one_that_nodes_unseal() -> None:
    sealed = bundle.seal(b"tar", KEY, CLUSTER_ID, "node01")
    bound = f"hardway-bundle-v1/{CLUSTER_ID}/node01".encode()
    assert AESGCM(KEY).decrypt(sealed[:12], sealed[12:], bound) == b"tar"


def test_no_secret_is_in_more_files_of_a_node_than_it_needs(cluster: tuple[Plan, KeyStore]) -> None:
    plan, store = cluster
    places: dict[str, set[str]] = defaultdict(set)
    for node in plan.nodes:
        for name, content in store.files.items():
            for file in bundle.node_files(plan, node, store):
                if not name.endswith(".crt") and any(needle in file.content for needle in needles(content)):
                    places[name].add(file.path)
    twice = {name.rsplit("/", 1)[-1] for name, found in places.items() if len(found) > 1}
    # The kubelet's own tools read the pair, the kubelet its kubeconfig.
    assert twice == {"kubelet-client.key"}
