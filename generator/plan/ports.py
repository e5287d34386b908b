"""Lists every port of a node and who may reach it, for the node's packet filter and the provider's firewall."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, collapse_addresses
from typing import Literal

from generator.description.values import Datapath
from generator.plan import names
from generator.release.lock_file import Role

Protocol = Literal["tcp", "udp"]
Source = Literal["anyone", "operators", "vpc", "nodes", "pods", "link", "debuggers"]
"""Who may reach a port, besides the node itself.

`operators` are the networks of `access.api`, which the provider's firewall knows: they change without a new node, so
the node itself lets anyone through there. `vpc` are droplets by their addresses in the VPC, `nodes` those of the
cluster by their planned addresses, `pods` those of every node, `link` a DHCP server. `debuggers` are the networks
of `access.api` as long as the description has `debug`, and nobody else; the node itself knows them then.
"""

CONTROL_PLANE: tuple[Role, ...] = ("control-plane",)
EVERY: tuple[Role, ...] = ("control-plane", "worker")


INWARD: Mapping[Datapath, str] = {"mesh": '"wg0"', "vpc": "@vpc"}
"""By which interface peers call, in the words of nftables; the VPC's is known to the node alone, in a set."""


@dataclass(frozen=True)
class Port:
    """One port: the unit that listens there, on nodes of which roles, and who reaches it besides the node itself.

    One that names a `datapath` is there with that alone. `pod` is the port of the pod
    behind it, where it is a pod's.
    """

    unit: str
    protocol: Protocol
    number: int
    roles: tuple[Role, ...]
    sources: tuple[Source, ...] = ()
    datapath: Datapath | None = None
    pod: int | None = None


# Not here, for containerd chooses anew at each start: the port of loopback for streams of `kubectl exec`.
PORTS = (
    Port("kube-apiserver.service", "tcp", names.API_PORT, CONTROL_PLANE, ("operators", "nodes", "pods")),
    Port("etcd.service", "tcp", 2379, CONTROL_PLANE, ("nodes",)),
    Port("etcd.service", "tcp", 2380, CONTROL_PLANE, ("nodes",)),
    Port("etcd.service", "tcp", 2381, CONTROL_PLANE),
    Port("kube-controller-manager.service", "tcp", 10257, CONTROL_PLANE),
    Port("kube-scheduler.service", "tcp", 10259, CONTROL_PLANE),
    Port("hardway-balancer.service", "tcp", names.BALANCER_PORT, EVERY),
    Port("kubelet.service", "tcp", 10248, EVERY),
    Port("kubelet.service", "tcp", 10250, EVERY, ("nodes",)),
    Port("kube-proxy.service", "tcp", 10249, EVERY),
    Port("kube-proxy.service", "tcp", 10256, EVERY),
    Port("hardway-mesh.service", "udp", names.WIREGUARD_PORT, EVERY, ("vpc",), "mesh"),
    # Nobody listens there: peers knock, for themselves and for their pods, and the refusal proves the way.
    Port("hardway-mesh.service", "tcp", 9, EVERY, ("nodes", "pods")),
    # The addon `ingress` has them as ports of the host.
    Port("containerd.service", "tcp", 80, EVERY, ("anyone",), pod=8000),
    Port("containerd.service", "tcp", 443, EVERY, ("anyone",), pod=8443),
    # The addon `metrics-server` is in the network of its host, so that no pod has to be let at kubelets; API servers
    # ask it there.
    Port("containerd.service", "tcp", names.METRICS_PORT, EVERY, ("nodes",)),
    # A DHCP server that answers to all has no connection here yet.
    Port("systemd-networkd.service", "udp", 68, EVERY, ("link",)),
    # Masked as long as nobody debugs.
    Port("ssh.service", "tcp", 22, EVERY, ("debuggers",)),
)


def of(role: Role, datapath: Datapath) -> tuple[Port, ...]:
    """List the ports of a node of that role."""
    return tuple(port for port in PORTS if role in port.roles and port.datapath in (None, datapath))


def reached_by(source: Source, datapath: Datapath) -> tuple[Port, ...]:
    """List the ports that a source may reach on some node."""
    return tuple(port for port in PORTS if source in port.sources and port.datapath in (None, datapath))


def admitted(
    role: Role,
    datapath: Datapath,
    *,
    vpc: IPv4Network,
    nodes: IPv4Network,
    pods: IPv4Network,
    debuggers: Sequence[IPv4Network] = (),
) -> tuple[str, ...]:
    """Give what the packet filter of a role accepts, as matches of nftables, one for each source and protocol."""
    matches: dict[Source, str] = {
        "anyone": "",
        "operators": "",
        "vpc": f"ip saddr {vpc} ",
        "nodes": f"iifname {INWARD[datapath]} ip saddr {nodes} ",
        "pods": f"ip saddr {pods} ",
        "link": "udp sport 67 ",
    }
    if debuggers:
        # networks that overlap are no set to nftables
        matches["debuggers"] = f"ip saddr {{ {', '.join(map(str, collapse_addresses(debuggers)))} }} "
    numbers: dict[tuple[str, Protocol], list[int]] = {}
    for source, match in matches.items():
        for port in of(role, datapath):
            if source in port.sources:
                numbers.setdefault((match, port.protocol), []).append(port.number)
    return tuple(
        f"{match}{protocol} dport {{ {', '.join(map(str, sorted(found)))} }}"
        for (match, protocol), found in numbers.items()
    )
