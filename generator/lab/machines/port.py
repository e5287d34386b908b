"""How one droplet is plugged into the lab's networks, and how its config drive tells it."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface
from typing import Any

from generator.lab.state import DNS_ADDRESS, PUBLIC_GATEWAY, PUBLIC_NETWORK, anchor


@dataclass(frozen=True)
class Port:
    """How one droplet is plugged in: eth0 to the public network, eth1 to its VPC.

    `anchor` is a second address of eth0: at it arrives whatever is sent to a reserved address.
    """

    number: int
    public: IPv4Address
    vpc: IPv4Interface
    anchor: IPv4Interface
    public_mac: str
    vpc_mac: str

    @classmethod
    def planned(cls, number: int, public: IPv4Address, vpc: IPv4Interface, region: str) -> Port:
        """Plan a port with hardware addresses that follow from the droplet's number."""
        tail = f"{number >> 16 & 255:02x}:{number >> 8 & 255:02x}:{number & 255:02x}"
        macs = {"public_mac": f"52:54:10:{tail}", "vpc_mac": f"52:54:20:{tail}"}
        return cls(number, public, vpc, anchor(region, public), **macs)

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Port:
        """Read what `to_record` wrote."""
        return cls(
            number=int(record["number"]),
            public=IPv4Address(record["public"]),
            vpc=IPv4Interface(record["vpc"]),
            anchor=IPv4Interface(record["anchor"]),
            public_mac=str(record["public_mac"]),
            vpc_mac=str(record["vpc_mac"]),
        )

    def to_record(self) -> dict[str, Any]:
        """Give the JSON form."""
        return {
            "number": self.number,
            "public": str(self.public),
            "vpc": str(self.vpc),
            "anchor": str(self.anchor),
            "public_mac": self.public_mac,
            "vpc_mac": self.vpc_mac,
        }

    @property
    def addresses(self) -> tuple[IPv4Address, IPv4Address]:
        """The droplet's own addresses, the public one first."""
        return (self.public, self.vpc.ip)

    @property
    def public_side(self) -> tuple[IPv4Address, ...]:
        """The addresses of eth0."""
        return (self.public, self.anchor.ip)

    @property
    def public_name(self) -> str:
        """The bridge's end of eth0."""
        return f"d{self.number}-pub"

    @property
    def vpc_name(self) -> str:
        """The bridge's end of eth1."""
        return f"d{self.number}-vpc"


def network_data(port: Port) -> dict[str, Any]:
    """Describe a droplet's interfaces for its config drive.

    The default route stands as `gateway` of the network: given as a route, cloud-init's renderer for ifupdown would ask
    for the `route` command, which Debian 13 has not. The name server stands with its network: those of all networks it
    would write to the loopback interface, where systemd-resolved does not look.

    Source: https://docs.openstack.org/nova/latest/_downloads/9119ca7ac90aa2990e762c08baea3a36/network_data.json
    """
    return {
        "links": [
            {"id": "eth0", "type": "phy", "ethernet_mac_address": port.public_mac, "mtu": 1500},
            {"id": "eth1", "type": "phy", "ethernet_mac_address": port.vpc_mac, "mtu": 1500},
        ],
        "networks": [
            {
                "id": "public-ipv4",
                "type": "ipv4",
                "link": "eth0",
                "ip_address": str(port.public),
                "netmask": str(PUBLIC_NETWORK.netmask),
                "gateway": str(PUBLIC_GATEWAY.ip),
                "routes": [],
                "services": [{"type": "dns", "address": str(DNS_ADDRESS)}],
            },
            {
                "id": "anchor-ipv4",
                "type": "ipv4",
                "link": "eth0",
                "ip_address": str(port.anchor.ip),
                "netmask": str(port.anchor.netmask),
                "routes": [],
            },
            {
                "id": "private-ipv4",
                "type": "ipv4",
                "link": "eth1",
                "ip_address": str(port.vpc.ip),
                "netmask": str(port.vpc.netmask),
                "routes": [],
            },
        ],
        "services": [],
    }
