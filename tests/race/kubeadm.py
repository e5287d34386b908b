"""Writes what kubeadm's droplets are given: kubeadm's own configuration, a person's script, and hardway's addons."""

from __future__ import annotations

import base64
import gzip
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import yaml

from generator.plan.decide import Plan
from tests.race import addons, content

HERE = Path(__file__).parent
TREES = {
    "bridge": (HERE / "node", HERE / "bridge"),
    "cilium": (HERE / "node", HERE / "cilium", HERE.parents[1] / "userdata" / "cilium"),
}
"""Files of a node by the network for pods; a path below is the path on the node."""
VPC = IPv4Network("10.110.0.0/24")
"""Of 254 addresses, so that the last number of a node's tells its pods' network, and every node knows every route."""
API = "kubeadm.k8s.io/v1beta4"
PACKAGES = ("libjansson4", "libnftables1", "libnftnl11", "nftables")
"""Those of the lock that its script needs: what CNI's port mapping and masquerading call."""
# The host's control groups may be of version 1, which this check refuses.
IGNORED = ("SystemVerification",)


@dataclass(frozen=True)
class Secrets:
    """What joins nodes, made beforehand so that nothing is carried from one to the next by hand."""

    token: str = field(default_factory=lambda: f"{secrets.token_hex(3)}.{secrets.token_hex(8)}")
    certificate_key: str = field(default_factory=lambda: secrets.token_hex(32))


def user_data(plan: Plan, rendered: Path, keys: Path, joining: Secrets, first: str | None = None) -> str:
    """Write the user-data of a node.

    Args:
        plan: hardway's of the same cluster.
        rendered: its directory, for the addons.
        keys: its key store, for what the order book keeps secret.
        joining: the same for all nodes.
        first: the first node's address, for the others.
    """
    files = dict(_files(plan))
    files["/etc/race/urls"] = _urls(plan)
    files["/etc/race/init.yaml"] = yaml.safe_dump_all(_init(plan, joining))
    if first is None:
        files["/etc/race/addons.yaml"] = addons.text(plan.network, rendered, keys)
    else:
        files["/etc/race/first"] = first
        files["/etc/race/join.yaml"] = yaml.safe_dump(_join(joining))
    writes = [_write(path, text) for path, text in sorted(files.items())]
    document = {"write_files": writes, "runcmd": [["/usr/local/sbin/race-node"]]}
    return "#cloud-config\n" + yaml.safe_dump(document, sort_keys=False)


def _init(plan: Plan, joining: Secrets) -> list[dict[str, Any]]:
    release, by_cilium = plan.release, plan.network == "cilium"
    repository, _, tag = release.image("coredns").reference.rpartition(":")
    return [
        {
            "apiVersion": API,
            "kind": "InitConfiguration",
            "bootstrapTokens": [{"token": joining.token}],
            "certificateKey": joining.certificate_key,
            "localAPIEndpoint": {"advertiseAddress": "@ADDRESS@"},
            "nodeRegistration": _registration(),
            "skipPhases": ["addon/kube-proxy"] if by_cilium else [],
        },
        {
            "apiVersion": API,
            "kind": "ClusterConfiguration",
            "kubernetesVersion": release.kubernetes,
            "controlPlaneEndpoint": f"@FIRST@:{plan.api_port}",
            # as hardway's keys; kubeadm's own choice takes longer to make
            "encryptionAlgorithm": "ECDSA-P256",
            "networking": {
                "dnsDomain": plan.cluster_domain,
                "podSubnet": str(plan.pod_cidr),
                "serviceSubnet": str(plan.service_cidr),
            },
            # else each node knows its own
            "controllerManager": {"extraArgs": [{"name": "allocate-node-cidrs", "value": str(by_cilium).lower()}]},
            "dns": {"imageRepository": repository.rpartition("/")[0], "imageTag": tag},
            "etcd": {"local": {"dataDir": "/var/lib/etcd", "imageTag": content.etcd_tag(release)}},
        },
        {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "mode": "nftables",
            # in a container they are the host's
            "conntrack": {"maxPerCore": 0, "min": 0},
        },
    ]


def _join(joining: Secrets) -> dict[str, Any]:
    return {
        "apiVersion": API,
        "kind": "JoinConfiguration",
        "discovery": {
            "bootstrapToken": {
                "token": joining.token,
                "apiServerEndpoint": "@FIRST@:6443",
                "unsafeSkipCAVerification": True,
            }
        },
        "controlPlane": {
            "certificateKey": joining.certificate_key,
            "localAPIEndpoint": {"advertiseAddress": "@ADDRESS@"},
        },
        "nodeRegistration": _registration(),
    }


def _registration() -> dict[str, Any]:
    return {
        "name": "@NAME@",
        "criSocket": "unix:///run/containerd/containerd.sock",
        "ignorePreflightErrors": list(IGNORED),
        "imagePullSerial": False,
        "kubeletExtraArgs": [{"name": "node-ip", "value": "@ADDRESS@"}],
        # pods run on all nodes, as on hardway's
        "taints": [],
    }


def _urls(plan: Plan) -> str:
    release = plan.release
    names = ("containerd", "runc", "cni-plugins", "kubelet", "kubectl")
    values = {name.upper().replace("-", "_"): release.artifact(name).urls[0] for name in names}
    values["KUBEADM"] = values["KUBECTL"].rpartition("/")[0] + "/kubeadm"
    values["PACKAGES"] = " ".join(package.urls[0] for package in release.packages if package.name in PACKAGES)
    values |= {"BOOK": plan.nodes[0].book, "PODS": str(plan.pod_cidr.network_address)}
    return "".join(f"{name}='{value}'\n" for name, value in values.items())


def _files(plan: Plan) -> Iterator[tuple[str, str]]:
    """Give the files that every node has."""
    values = {
        "@PAUSE@": plan.release.image("pause").reference,
        "@PODS@": str(plan.pod_cidr),
        "@SERVICES@": str(plan.service_cidr),
        "@VPC@": str(VPC),
    }
    for tree in TREES[plan.network]:
        for path in sorted(tree.rglob("*")):
            if path.is_file():
                text = path.read_text()
                for word, value in values.items():
                    text = text.replace(word, value)
                yield f"/{path.relative_to(tree).as_posix()}", text


def _write(path: str, text: str) -> dict[str, str]:
    packed = base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()
    mode = "0755" if "/sbin/" in path else "0600"
    return {"path": path, "permissions": mode, "encoding": "gz+b64", "content": packed}
