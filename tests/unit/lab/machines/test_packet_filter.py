"""Checks the rules as text; that packets obey them is shown with real ones in tests/lab."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from generator.lab.machines.packet_filter import antispoof, firewall, narrowed
from generator.lab.machines.port import Port
from generator.lab.policy import DropletPolicy, Rule

PORT = Port.planned(3, IPv4Address("203.0.113.103"), IPv4Interface("10.110.0.5/20"), "fra1")


def policy(*inbound: Rule) -> dict[int, DropletPolicy]:
    return {3: DropletPolicy(PORT.addresses, inbound=inbound, outbound=())}


def lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines()]


def test_every_table_replaces_itself_in_one_transaction() -> None:
    for text in (antispoof([PORT], True), firewall({}), firewall(policy()), narrowed(PORT, 1452)):
        name = lines(text)[0]
        assert lines(text)[1] == f"delete {name}"
        assert lines(text)[2] == f"{name} {{"
        assert text.count("{") == text.count("}")


def test_without_firewalls_nothing_is_dropped() -> None:
    assert "drop" not in firewall({})


def test_a_droplet_without_rules_is_closed_both_ways() -> None:
    text = lines(firewall(policy()))
    for chain in ("chain d3_in {", "chain d3_out {"):
        begin = text.index(chain)
        assert text[begin + 1 : begin + 3] == ["drop", "}"]


def test_both_addresses_of_a_droplet_are_held() -> None:
    text = firewall(policy())
    for address in PORT.addresses:
        assert f"{address} : jump d3_in" in text
        assert f"{address} : jump d3_out" in text


def test_in_the_vpc_a_droplet_is_known_by_its_wire() -> None:
    text = firewall({3: replace(policy()[3], mac=PORT.vpc_mac)})
    assert f"ether saddr vmap {{ {PORT.vpc_mac} : jump d3_out }}" in lines(text)
    assert f"ether daddr vmap {{ {PORT.vpc_mac} : jump d3_in }}" in lines(text)


def test_overlapping_peers_become_one() -> None:
    networks = tuple(map(IPv4Network, ("10.0.0.0/8", "10.1.0.0/16", "192.0.2.0/25", "192.0.2.128/25")))
    assert "ip saddr { 10.0.0.0/8, 192.0.2.0/24 } tcp dport 80 return" in lines(
        firewall(policy(Rule("tcp", (80, 80), networks)))
    )


def test_a_rule_without_peers_lets_nothing_through() -> None:
    assert "return" not in firewall(policy(Rule("tcp", (80, 80), ())))


def test_ports_and_protocols() -> None:
    anywhere = (IPv4Network("0.0.0.0/0"),)
    rules = (Rule("tcp", (80, 80), anywhere), Rule("udp", (8000, 9000), anywhere), Rule("udp", None, anywhere))
    text = lines(firewall(policy(*rules, Rule("icmp", None, anywhere))))
    assert {"tcp dport 80 return", "udp dport 8000-9000 return"} <= set(text)
    assert {"meta l4proto udp return", "meta l4proto icmp return"} <= set(text)


def test_switching_off_opens_the_vpc_port_alone() -> None:
    held = antispoof([PORT], False)
    assert PORT.public_name in held
    assert PORT.vpc_name not in held
    assert PORT.vpc_name in antispoof([PORT], True)


def test_a_narrow_wire_is_so_both_ways_and_is_widened_again() -> None:
    text = narrowed(PORT, 1452)
    for side in ("iifname", "oifname"):
        assert f'{side} "{PORT.vpc_name}" ether type ip ip length > 1452 drop' in lines(text)
    assert lines(narrowed(PORT, None))[0] == lines(text)[0]
    assert "drop" not in narrowed(PORT, None)
