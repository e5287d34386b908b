"""Gathers the secret files of one node, packs them into the same bytes every time, and seals them for one launch."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass, field

import yaml
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from generator.errors import Problem
from generator.pki import kubeconfig
from generator.pki.store import KeyStore
from generator.plan.certificates import node_path
from generator.plan.decide import Node, Plan

KEY_BYTES = 32
_NONCE_BYTES = 12
_SECRET, _PUBLIC = 0o600, 0o644


@dataclass(frozen=True)
class BundleFile:
    """One file as it will lie on the node; `path` is absolute there."""

    path: str
    content: bytes = field(repr=False)
    owner: str = "root"
    group: str = "root"
    mode: int = _SECRET


@dataclass(frozen=True)
class _Pair:
    """A certificate of the node, and where it and its key go, without extension."""

    certificate: str
    target: str
    owner: str = "root"


# fmt: off
_NODE_PAIRS: tuple[_Pair, ...] = (
    #     certificate                 on the node
    _Pair("kubelet",                  "/etc/kubernetes/pki/kubelet"),
    _Pair("kubelet-client",           "/etc/kubernetes/pki/kubelet-client"),
)
_CONTROL_PLANE_PAIRS: tuple[_Pair, ...] = (
    _Pair("apiserver",                "/etc/kubernetes/pki/apiserver"),
    _Pair("apiserver-etcd-client",    "/etc/kubernetes/pki/apiserver-etcd-client"),
    _Pair("apiserver-kubelet-client", "/etc/kubernetes/pki/apiserver-kubelet-client"),
    _Pair("front-proxy-client",       "/etc/kubernetes/pki/front-proxy-client"),
    _Pair("etcd-server",              "/etc/etcd/pki/server", "etcd"),
    _Pair("etcd-peer",                "/etc/etcd/pki/peer",   "etcd"),
)
# Of an authority only the certificate ever leaves the operator's machine.
_NODE_AUTHORITIES: tuple[_Pair, ...] = (
    _Pair("kubernetes-ca",            "/etc/kubernetes/pki/ca"),
)
_CONTROL_PLANE_AUTHORITIES: tuple[_Pair, ...] = (
    _Pair("etcd-ca",                  "/etc/kubernetes/pki/etcd-ca"),
    _Pair("front-proxy-ca",           "/etc/kubernetes/pki/front-proxy-ca"),
    _Pair("etcd-ca",                  "/etc/etcd/pki/ca",      "etcd"),
    _Pair("etcd-peer-ca",             "/etc/etcd/pki/peer-ca", "etcd"),
)
# fmt: on


def node_files(plan: Plan, node: Node, store: KeyStore) -> tuple[BundleFile, ...]:
    """List everything secret that one node gets, sorted by path; what is not for its role is not in it."""
    pairs, authorities = _NODE_PAIRS, _NODE_AUTHORITIES
    files = [BundleFile("/etc/hardway/wireguard.key", f"{store.wireguard_private(node.name)}\n".encode())]
    if node.is_control_plane:
        pairs, authorities = pairs + _CONTROL_PLANE_PAIRS, authorities + _CONTROL_PLANE_AUTHORITIES
        files += [
            BundleFile("/etc/hardway/secrets/postgres-password", store.postgres_password.encode()),
            BundleFile("/etc/kubernetes/encryption.yaml", _encryption_configuration(store.encryption_key).encode()),
            BundleFile("/etc/kubernetes/pki/sa.key", store.service_account_key),
            BundleFile("/etc/kubernetes/pki/sa.pub", store.service_account_public),
        ]
    for pair in authorities:
        files.append(_certificate(pair, store.certificate(pair.certificate)))
    for pair in pairs:
        path = node_path(node.name, pair.certificate)
        files.append(_certificate(pair, store.certificate(path)))
        files.append(BundleFile(f"{pair.target}.key", store.key(path), pair.owner, pair.owner))
    for name, text in kubeconfig.node_files(plan, node, store).items():
        files.append(BundleFile(f"/etc/kubernetes/{name}", text.encode()))
    return tuple(sorted(files, key=lambda file: file.path))


def node_bundle(plan: Plan, node: Node, store: KeyStore) -> bytes:
    """Pack a node's secret files; the node's document pins the SHA-256 of these bytes."""
    return pack(node_files(plan, node, store))


def pack(files: Iterable[BundleFile]) -> bytes:
    """Write a tar that depends on nothing but the files: sorted, without times, owners by name.

    Raises:
        ValueError: a path is relative or occurs twice.
    """
    ordered = sorted(files, key=lambda file: file.path)
    paths = [file.path for file in ordered]
    wrong = [path for path in paths if not path.startswith("/") or ".." in path.split("/") or paths.count(path) > 1]
    if wrong:
        raise ValueError(f"`{wrong[0]}` can't be a path in a bundle")
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for file in ordered:
            member = tarfile.TarInfo(file.path.removeprefix("/"))
            member.size, member.mode = len(file.content), file.mode
            member.uname, member.gname = file.owner, file.group
            archive.addfile(member, io.BytesIO(file.content))
    return buffer.getvalue()


def seal(tar: bytes, key: bytes, cluster_id: str, node: str) -> bytes:
    """Encrypt a bundle for one node of one cluster: 12 bytes of nonce, then AES-256-GCM's text and tag.

    The key is to be fresh for every call; it travels in the launch part alone.
    """
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, tar, _bound_to(cluster_id, node))


def unseal(sealed: bytes, key: bytes, cluster_id: str, node: str) -> bytes:
    """Decrypt a bundle.

    Raises:
        Problem: the key is another's, the bundle is for another node, or a byte has changed.
    """
    nonce, text = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
    try:
        return AESGCM(key).decrypt(nonce, text, _bound_to(cluster_id, node))
    except (InvalidTag, ValueError) as error:
        raise Problem("the bundle can't be unsealed: wrong key, wrong node, or damaged", where=node) from error


def _bound_to(cluster_id: str, node: str) -> bytes:
    return f"hardway-bundle-v1/{cluster_id}/{node}".encode()


def _certificate(pair: _Pair, pem: bytes) -> BundleFile:
    return BundleFile(f"{pair.target}.crt", pem, pair.owner, pair.owner, _PUBLIC)


def _encryption_configuration(key: str) -> str:
    """Write how the API server encrypts Secrets in etcd; `identity` still reads what is not encrypted.

    The first provider has to stand on the line after `providers:`, where the CIS benchmark's check looks for it.

    Source: https://kubernetes.io/docs/tasks/administer-cluster/encrypt-data/
    """
    providers = [{"secretbox": {"keys": [{"name": "key1", "secret": key}]}}, {"identity": {}}]
    values = {
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "EncryptionConfiguration",
        "resources": [{"resources": ["secrets"], "providers": providers}],
    }
    return yaml.safe_dump(values, sort_keys=False)
