"""The lab's wires: bridges in one network namespace, droplets' interfaces made directly between namespaces."""

from __future__ import annotations

import json
from contextlib import suppress
from ipaddress import IPv4Address, IPv4Network

from generator.lab.machines import packet_filter
from generator.lab.machines.port import Port
from generator.lab.process import run
from generator.lab.state import (
    ANCHORS,
    ANYBODY_ADDRESS,
    DNS_ADDRESS,
    METADATA_ADDRESS,
    NAMESPACES_DIRECTORY,
    OPERATOR_ADDRESS,
    OPERATOR_GATEWAY,
    PUBLIC_BRIDGE,
    PUBLIC_GATEWAY,
    SERVICES_ADDRESS,
    State,
    namespace_path,
    read_record,
    write_record,
)

# IPv4 alone, as droplets have it by default; bridged frames pass the netfilter hooks of IPv4, which know connections
_NET_SYSCTLS = (
    "net.ipv4.ip_forward=1",
    "net.ipv4.conf.all.rp_filter=0",
    "net.ipv4.conf.default.rp_filter=0",
    "net.ipv4.conf.all.send_redirects=0",
    "net.ipv4.conf.default.send_redirects=0",
    "net.ipv6.conf.all.disable_ipv6=1",
    "net.ipv6.conf.default.disable_ipv6=1",
    "net.bridge.bridge-nf-call-iptables=1",
    "net.bridge.bridge-nf-call-ip6tables=0",
    "net.bridge.bridge-nf-call-arptables=0",
    # a service behind an unprivileged user may listen on 80 and 443
    "net.ipv4.ip_unprivileged_port_start=0",
)


def create(state: State) -> None:
    """Make the lab's network, or adopt the one that is there; one that was left half made is made anew."""
    with state.locked("network"):
        if _is_complete(state):
            return
        remove_namespaces(state)
        for name in (state.net_namespace, state.operator_namespace):
            _make_namespace(name)
        run(["nsenter", f"--net={namespace_path(state.net_namespace)}", "sysctl", "-q", "-w", *_NET_SYSCTLS])
        _ip(
            state.net_namespace,
            f"link add {PUBLIC_BRIDGE} address 52:54:ff:00:00:01 type bridge stp_state 0 forward_delay 0",
            f"address add {PUBLIC_GATEWAY} dev {PUBLIC_BRIDGE}",
            *(f"address add {address}/32 dev {PUBLIC_BRIDGE}" for address in own_addresses()),
            *(f"address add {network[1]}/{network.prefixlen} dev {PUBLIC_BRIDGE}" for network in ANCHORS),
            f"link add operator type veth peer name eth0 netns {state.operator_namespace}",
            f"address add {OPERATOR_GATEWAY} dev operator",
            "link set operator up",
        )
        _ip(
            state.operator_namespace,
            f"address add {OPERATOR_ADDRESS}/{OPERATOR_GATEWAY.network.prefixlen} dev eth0",
            f"address add {ANYBODY_ADDRESS}/{OPERATOR_GATEWAY.network.prefixlen} dev eth0",
            "link set eth0 up",
            f"route add default via {OPERATOR_GATEWAY.ip} src {OPERATOR_ADDRESS}",
        )
        packet_filter.apply_antispoof(state, _ports(state), antispoof_is_on(state))
        # last: a bridge that is up says that everything before it was done
        _ip(state.net_namespace, f"link set {PUBLIC_BRIDGE} up")


def own_addresses() -> tuple[IPv4Address, ...]:
    """Give the addresses at which the lab itself answers droplets: services, names, metadata."""
    return (SERVICES_ADDRESS, DNS_ADDRESS, METADATA_ADDRESS)


def destroy(state: State) -> None:
    """Remove every namespace of the lab and the records of what was plugged in; safe to repeat."""
    with state.locked("network"):
        remove_namespaces(state)
        for path in (*state.ports.glob("*.json"), state.directory / "antispoof.json"):
            path.unlink(missing_ok=True)


def remove_namespaces(state: State) -> None:
    """Remove every namespace of the lab, and nothing else; safe to repeat."""
    # the bridges' namespace first: with it go both ends of every wire
    for name in sorted(state.namespaces, key=lambda name: name != state.net_namespace):
        _delete_namespace(state, name)
    with suppress(OSError):  # others' namespaces are there, or `ip netns` keeps it as a mount
        NAMESPACES_DIRECTORY.rmdir()


def add_vpc(state: State, network: IPv4Network) -> None:
    """Make a VPC's bridge unless it is there; a VPC has no way out of itself."""
    with state.locked("network"):
        if bridge(network) not in _links(state.net_namespace):
            _ip(state.net_namespace, f"link add {bridge(network)} type bridge stp_state 0 forward_delay 0")
        _ip(state.net_namespace, f"link set {bridge(network)} up")


def remove_vpc(state: State, network: IPv4Network) -> None:
    """Remove a VPC's bridge; safe to repeat."""
    with state.locked("network"):
        if bridge(network) in _links(state.net_namespace):
            _ip(state.net_namespace, f"link delete {bridge(network)}")


def bridge(network: IPv4Network) -> str:
    """Name the bridge of a VPC by its range; ranges of one account never overlap.

    >>> bridge(IPv4Network("10.110.0.0/20"))
    'vpc-0a6e0000'
    """
    return f"vpc-{int(network.network_address):08x}"


def attach(state: State, port: Port) -> None:
    """Plug a droplet in: a fresh namespace with eth0 and eth1, down and without addresses, as after power-on."""
    with state.locked("network"):
        _detach(state, port.number)
        name = state.droplet_namespace(port.number)
        _make_namespace(name)
        # both ends are made where they belong, so the host never sees an interface
        inside = f"netns {state.net_namespace}"
        _ip(
            name,
            f"link add eth0 address {port.public_mac} type veth peer name {port.public_name} {inside}",
            f"link add eth1 address {port.vpc_mac} type veth peer name {port.vpc_name} {inside}",
        )
        write_record(state.ports / f"{port.number}.json", port.to_record())
        packet_filter.apply_antispoof(state, _ports(state), antispoof_is_on(state))
        _ip(
            state.net_namespace,
            f"link set {port.public_name} master {PUBLIC_BRIDGE}",
            f"link set {port.vpc_name} master {bridge(port.vpc.network)}",
            f"link set {port.public_name} up",
            f"link set {port.vpc_name} up",
            # an address that a destroyed droplet had comes back with other hardware
            f"neigh flush dev {PUBLIC_BRIDGE}",
        )


def detach(state: State, number: int) -> None:
    """Unplug a droplet; safe to repeat."""
    with state.locked("network"):
        _detach(state, number)
        if namespace_path(state.net_namespace).exists():
            packet_filter.apply_antispoof(state, _ports(state), antispoof_is_on(state))


def set_antispoof(state: State, enabled: bool) -> None:
    """Switch the dropping of foreign source addresses in the VPCs; the public network always drops them."""
    with state.locked("network"):
        write_record(state.directory / "antispoof.json", {"enabled": enabled})
        packet_filter.apply_antispoof(state, _ports(state), enabled)


def antispoof_is_on(state: State) -> bool:
    """Say whether VPCs drop foreign source addresses, as they do unless switched off."""
    record = read_record(state.directory / "antispoof.json")
    return record is None or bool(record["enabled"])


def _detach(state: State, number: int) -> None:
    _delete_namespace(state, state.droplet_namespace(number))
    (state.ports / f"{number}.json").unlink(missing_ok=True)


def _ports(state: State) -> tuple[Port, ...]:
    records = (read_record(path) for path in state.ports.glob("*.json"))
    return tuple(sorted((Port.from_record(record) for record in records if record), key=lambda port: port.number))


def _make_namespace(name: str) -> None:
    # not by `ip netns add`: that turns /run/netns into a mount of the host which stays
    NAMESPACES_DIRECTORY.mkdir(parents=True, exist_ok=True)
    namespace_path(name).touch()
    run(["unshare", f"--net={namespace_path(name)}", "ip", "link", "set", "lo", "up"])


def _delete_namespace(state: State, name: str) -> None:
    path = namespace_path(name)
    if not path.exists():
        return
    # the bridge's ends go now; the kernel takes those of a dead namespace down only a little later
    number = name.removeprefix(state.droplet_namespace_prefix)
    if number != name and _is_namespace_mount(str(namespace_path(state.net_namespace))):
        links = _links(state.net_namespace)
        _ip(
            state.net_namespace, *(f"link delete {end}" for end in (f"d{number}-pub", f"d{number}-vpc") if end in links)
        )
    while _is_namespace_mount(str(path)):
        run(["umount", "--lazy", str(path)])
    path.unlink()


def _is_namespace_mount(path: str) -> bool:
    with open("/proc/self/mountinfo") as file:  # noqa: PTH123 - read line by line, as it may be long
        return any(line.split(" ", 5)[4] == path for line in file)


def _is_complete(state: State) -> bool:
    if not all(
        _is_namespace_mount(str(namespace_path(name))) for name in (state.net_namespace, state.operator_namespace)
    ):
        return False
    return "UP" in _links(state.net_namespace).get(PUBLIC_BRIDGE, ())


def _links(namespace: str) -> dict[str, tuple[str, ...]]:
    links = json.loads(run(["ip", "-n", namespace, "-json", "link", "show"]))
    return {link["ifname"]: tuple(link["flags"]) for link in links}


def _ip(namespace: str, *commands: str) -> None:
    if commands:
        run(["ip", "-n", namespace, "-batch", "-"], text="\n".join(commands) + "\n")
