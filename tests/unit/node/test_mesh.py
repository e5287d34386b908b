"""Peers and routes follow the roster; what WireGuard has learnt by itself is not overwritten."""

from __future__ import annotations

from typing import Any

import pytest
from hardway import mesh
from hardway.here import Failure, Terminal

from .kernel import Kernel, peer


def lines(wanted: list[dict[str, Any]], before: list[dict[str, Any]]) -> list[str]:
    return [" ".join(command) for command in mesh.commands(wanted, before, 51820)]


SET = "wg set wg0 peer key2 persistent-keepalive 25 allowed-ips 10.44.0.2/32,10.42.1.0/24"
ROUTES = ["ip route replace 10.44.0.2/32 dev wg0", "ip route replace 10.42.1.0/24 dev wg0"]


@pytest.mark.parametrize(
    ("before", "now", "endpoint"),
    [
        pytest.param([], "10.110.0.2", " endpoint 10.110.0.2:51820", id="first"),
        pytest.param([], None, "", id="unknown"),
        pytest.param([peer(2, "10.110.0.2")], "10.110.0.2", "", id="unchanged: a learnt one stays"),
        pytest.param([peer(2, "10.110.0.2")], "10.110.0.7", " endpoint 10.110.0.7:51820", id="moved"),
        pytest.param([peer(2, "10.110.0.2")], None, "", id="gone: the last one stays"),
        pytest.param([peer(2)], "10.110.0.2", " endpoint 10.110.0.2:51820", id="placed"),
    ],
)
def test_an_endpoint_is_set_when_the_roster_has_a_new_one(
    before: list[dict[str, Any]], now: str | None, endpoint: str
) -> None:
    assert lines([peer(2, now)], before) == [SET + endpoint, *ROUTES]


def test_a_peer_that_is_gone_loses_key_and_routes() -> None:
    assert lines([], [peer(2)]) == [
        "ip route flush 10.42.1.0/24 dev wg0",
        "ip route flush 10.44.0.2/32 dev wg0",
        "wg set wg0 peer key2 remove",
    ]


def test_a_new_key_keeps_the_routes() -> None:
    found = lines([peer(2, "10.110.0.2", "new")], [peer(2, "10.110.0.2")])
    assert found[0] == "wg set wg0 peer key2 remove"
    assert found[1].startswith("wg set wg0 peer new ")
    assert found[1].endswith("endpoint 10.110.0.2:51820")
    assert found[2:] == ROUTES


def test_following_twice_sets_no_endpoint_again(facts: dict[str, Any], commands: list[tuple[str, ...]]) -> None:
    roster = {"nodes": [peer(1, "10.110.0.1"), peer(2, "10.110.0.2")]}
    mesh.follow(roster)
    assert [command for command in commands if "endpoint" in command]
    assert not [command for command in commands if "key1" in command]
    commands.clear()
    mesh.follow(roster)
    assert commands
    assert not [command for command in commands if "endpoint" in command]


def test_the_device_is_the_kernels_where_it_has_one(monkeypatch: pytest.MonkeyPatch, facts: dict[str, Any]) -> None:
    kernel = Kernel(monkeypatch)
    mesh.create(facts)
    assert [line.split("private-key")[0].strip() for line in kernel.ran] == [
        "ip link add wg0 type wireguard",
        "wg set wg0",
        "ip address replace 10.44.0.1/32 dev wg0",
        "ip link set wg0 mtu 1420 up",
    ]


@pytest.mark.parametrize("found", ["/usr/bin/wireguard-go", None])
def test_the_device_is_wireguard_gos_elsewhere(
    monkeypatch: pytest.MonkeyPatch, facts: dict[str, Any], found: str | None
) -> None:
    kernel = Kernel(monkeypatch, "ip link add")
    kernel.says = "Error: Unknown device type."
    monkeypatch.setattr(mesh.shutil, "which", lambda _: found)
    if found:
        mesh.create(facts)
        assert kernel.ran[1] == "wireguard-go wg0"
    else:
        with pytest.raises(Terminal, match="the kernel has no WireGuard"):
            mesh.create(facts)


def test_a_passing_trouble_is_not_the_end(monkeypatch: pytest.MonkeyPatch, facts: dict[str, Any]) -> None:
    Kernel(monkeypatch, "ip link add")
    with pytest.raises(Failure) as caught:
        mesh.create(facts)
    assert not isinstance(caught.value, Terminal)


def test_a_fresh_device_gets_all_endpoints_again(monkeypatch: pytest.MonkeyPatch, facts: dict[str, Any]) -> None:
    kernel = Kernel(monkeypatch)
    roster = {"nodes": [peer(2, "10.110.0.2")]}
    mesh.follow(roster)
    mesh.create(facts)
    kernel.ran.clear()
    mesh.follow(roster)
    assert kernel.ran[0] == f"{SET} endpoint 10.110.0.2:51820"
