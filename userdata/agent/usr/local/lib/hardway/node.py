"""Makes this node's own Node object before the kubelet starts, and awaits its readiness afterwards."""

from __future__ import annotations

from typing import Any

from hardway import here, survey
from hardway.here import Failure, Terminal
from hardway.kube import api, patch
from hardway.readiness import expect, is_ready, is_served
from hardway.waiting import patiently

MOST_SERVERS = 3  # the kubelet takes no more, and neither does the C library
OWN_RESOLVER = "/var/lib/hardway/resolv.conf"
RESOLVERS = ("/run/systemd/resolve/resolv.conf", "/etc/resolv.conf")
# An API server that begins takes questions and lets them hang.
SECONDS = 5
PAUSE_SECONDS = 0.5
DROP_IN = "/etc/kubernetes/kubelet.conf.d/10-resolv.conf"


def prepare() -> None:
    """Choose the resolver for pods, await the API, and make the Node as it is planned."""
    kind = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n"
    here.write(DROP_IN, f"{kind}resolvConf: {resolver()}\n")
    try:
        patiently(lambda: expect("the API server is not ready", is_served), 120, PAUSE_SECONDS)
    except Failure:
        survey.take()  # a broken path is a likely cause, and this is read
        raise
    make(here.facts())


def make(facts: dict[str, Any]) -> None:
    """Make the Node with the kubelet's own credential; one that is there keeps its pod CIDR."""
    wanted = planned(facts)
    path = f"/api/v1/nodes/{facts['node']}"
    status, node = api("GET", path, seconds=SECONDS)
    if status == 404:
        status, node = api("POST", "/api/v1/nodes", wanted, seconds=SECONDS)
        if status == 409:  # an answer was lost after it took effect
            status, node = api("GET", path, seconds=SECONDS)
    elif status == 200 and not node["spec"].get("podCIDR"):
        spec = {key: wanted["spec"][key] for key in ("podCIDR", "podCIDRs")}
        status, node = patch(path, {"spec": spec})
    if status not in (200, 201):
        message = node.get("message") if isinstance(node, dict) else node
        raise Failure(f"the Node can't be made: answer {status}: {message}")
    if node["spec"]["podCIDR"] != facts["pod_cidr"]:
        raise Terminal(f"the Node has pod CIDR {node['spec']['podCIDR']}, {facts['pod_cidr']} is planned: delete it")


def planned(facts: dict[str, Any]) -> dict[str, Any]:
    """Give the Node as the plan wants it; labels that say a role are not the kubelet's to set."""
    spec: dict[str, Any] = {"podCIDR": facts["pod_cidr"], "podCIDRs": [facts["pod_cidr"]]}
    if not facts["schedulable"]:
        spec["taints"] = [{"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}]
    metadata = {"name": facts["node"], "labels": {"kubernetes.io/hostname": facts["node"]}}
    return {"apiVersion": "v1", "kind": "Node", "metadata": metadata, "spec": spec}


def resolver() -> str:
    """Find the file that names servers which pods can reach too, so never the stub on loopback."""
    for path in RESOLVERS:
        lines = here.at(path).read_text().splitlines() if here.at(path).exists() else []
        words = [line.split() for line in lines]
        servers = [found[1] for found in words if len(found) > 1 and found[0] == "nameserver"]
        if not servers or any(server.startswith("127.") or server == "::1" for server in servers):
            continue
        used = list(dict.fromkeys(servers))[:MOST_SERVERS]
        if used == servers:
            return path
        others = [line for line, found in zip(lines, words, strict=True) if found[:1] in (["search"], ["options"])]
        here.write(OWN_RESOLVER, "".join(f"{line}\n" for line in (*(f"nameserver {one}" for one in used), *others)))
        return OWN_RESOLVER
    raise Failure(f"none of {', '.join(RESOLVERS)} names a server beyond loopback")


def ready() -> None:
    """Await this node's readiness in this very boot, then have the paths to its peers probed."""
    patiently(lambda: expect("the node is not ready", is_ready), 300, PAUSE_SECONDS)
    survey.begin()
