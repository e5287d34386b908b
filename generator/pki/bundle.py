"""Gathers the secret files of one node, packs them into the same bytes every time, and seals them for one launch."""

from __future__ import annotations

import os
from dataclasses import dataclass

import yaml
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from generator.pki import kubeconfig
from generator.pki.plain_keys import ADDON_SECRETS_KEY, SNAPSHOT_KEY
from generator.pki.store import KeyStore
from generator.plan.certificates import node_path
from generator.plan.decide import Plan
from generator.plan.inventory import report_key
from generator.plan.node import Node
from generator.tar import PUBLIC, SECRET, PackedFile, pack

KEY_BYTES = 32
_NONCE_BYTES = 12


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
    _Pair("channel",                  "/etc/kubernetes/pki/channel"),
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


def node_files(plan: Plan, node: Node, store: KeyStore) -> tuple[PackedFile, ...]:
    """List everything secret that one node gets, sorted by path; what is not for its role is not in it."""
    pairs, authorities = _NODE_PAIRS, _NODE_AUTHORITIES
    files = [
        PackedFile("/etc/hardway/report.key", store.key(report_key(node.name)), SECRET),
        PackedFile("/etc/hardway/wireguard.key", f"{store.wireguard_private(node.name)}\n".encode(), SECRET),
    ]
    if node.is_control_plane:
        pairs, authorities = pairs + _CONTROL_PLANE_PAIRS, authorities + _CONTROL_PLANE_AUTHORITIES
        files += [
            PackedFile("/etc/hardway/addon-secrets.key", store.key(ADDON_SECRETS_KEY), SECRET),
            PackedFile("/etc/hardway/snapshots.key", store.key(SNAPSHOT_KEY), SECRET),
            PackedFile("/etc/hardway/snapshots.recipient", f"{store.snapshot_recipient}\n".encode(), SECRET),
            PackedFile("/etc/kubernetes/encryption.yaml", _encryption_configuration(store.encryption_key), SECRET),
            PackedFile("/etc/kubernetes/pki/sa.key", store.service_account_key, SECRET),
            PackedFile("/etc/kubernetes/pki/sa.pub", store.service_account_public, SECRET),
        ]
    for pair in authorities:
        files.append(_certificate(pair, store.certificate(pair.certificate)))
    for pair in pairs:
        path = node_path(node.name, pair.certificate)
        files.append(_certificate(pair, store.certificate(path)))
        files.append(PackedFile(f"{pair.target}.key", store.key(path), SECRET, pair.owner, pair.owner))
    for name, text in kubeconfig.node_files(plan, node, store).items():
        files.append(PackedFile(f"/etc/kubernetes/{name}", text.encode(), SECRET))
    return tuple(sorted(files, key=lambda file: file.path))


def node_bundle(plan: Plan, node: Node, store: KeyStore) -> bytes:
    """Pack a node's secret files; the node's document pins the SHA-256 of these bytes."""
    return pack(node_files(plan, node, store))


def seal(tar: bytes, key: bytes, cluster_id: str, node: str) -> bytes:
    """Encrypt a bundle for one node of one cluster: 12 bytes of nonce, then AES-256-GCM's text and tag.

    The key is to be fresh for every call; it travels in the launch part alone.
    """
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, tar, _bound_to(cluster_id, node))


def _bound_to(cluster_id: str, node: str) -> bytes:
    return f"hardway-bundle-v1/{cluster_id}/{node}".encode()


def _certificate(pair: _Pair, pem: bytes) -> PackedFile:
    return PackedFile(f"{pair.target}.crt", pem, PUBLIC, pair.owner, pair.owner)


def _encryption_configuration(key: str) -> bytes:
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
    return yaml.safe_dump(values, sort_keys=False).encode()
