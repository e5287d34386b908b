"""What is said of a silent peer by what its other addresses answer; that the kernel bears it out is in the contract."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

import pytest
from hardway import paths, reach
from hardway.reach import Echo, Pair

from .kernel import Kernel, peer

ROSTER = {"nodes": [peer(1, "10.110.0.1"), peer(2, "10.110.0.2")]}
OWN, THEIRS = "10.42.0.1", "10.42.1.1"


@pytest.fixture
def passing(monkeypatch: pytest.MonkeyPatch) -> set[tuple[str, str]]:
    """From where to where packets pass, of any size; a test may add to it."""
    found: set[tuple[str, str]] = set()

    def answered(asked: Iterable[Echo], _: float = 1) -> set[Echo]:
        return {echo for echo in asked if (echo.source, echo.target) in found}

    def refused(pairs: Iterable[Pair]) -> set[Pair]:
        return set(pairs) & found

    monkeypatch.setattr(reach, "answered", answered)
    monkeypatch.setattr(reach, "refused", refused)
    return found


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    return Kernel(monkeypatch)


def said(facts: dict[str, Any], roster: dict[str, Any] = ROSTER) -> str | None:
    (found,) = paths.probe(facts, roster)
    assert found["peer"] == "node02"
    cause: str | None = found["cause"]
    return cause


def test_a_peer_that_answers_in_full_is_right(
    facts: dict[str, Any], kernel: Kernel, passing: set[tuple[str, str]]
) -> None:
    passing.add((OWN, THEIRS))
    assert paths.probe(facts, ROSTER) == [{"peer": "node02", "icmp": True, "tcp": True, "mtu": 1420, "cause": None}]
    assert kernel.ran == [], "nothing else has to be asked"


@pytest.mark.parametrize(
    ("met", "now", "endpoint", "expected"),
    [
        (0, None, "10.110.0.2", "no handshake with 10.110.0.2: it is down, or UDP 51820 is blocked"),
        (0, None, None, "the roster has no endpoint for it, and it has not called"),
        (1795400883, None, "10.110.0.2", "no handshake from 10.110.0.2 since 2026-11-23T02:28:03Z"),
        (1795400883, "10.110.0.4", "10.110.0.2", "no handshake from 10.110.0.4 since 2026-11-23T02:28:03Z"),
    ],
)
def test_a_silent_tunnel_is_told_by_its_handshakes(
    facts: dict[str, Any],
    kernel: Kernel,
    passing: set[tuple[str, str]],
    met: int,
    now: str | None,
    endpoint: str | None,
    expected: str,
) -> None:
    kernel.handshakes["key2"] = met
    kernel.endpoints = {"key2": now} if now else {}
    assert said(facts, {"nodes": [peer(1), peer(2, endpoint)]}) == expected


@pytest.mark.parametrize(
    ("passes", "expected"),
    [
        ([], "it shook hands, but 10.44.0.2 does not answer"),
        ([("10.44.0.1", "10.44.0.2")], "10.44.0.2 answers, but packets between pods are dropped"),
        ([("10.44.0.1", "10.44.0.2"), ("10.44.0.1", THEIRS)], "node02 has no route back to 10.42.0.0/24"),
        ([("10.44.0.1", "10.44.0.2"), (OWN, "10.44.0.2")], f"10.44.0.2 answers, {THEIRS} does not"),
    ],
)
def test_a_fresh_handshake_leaves_what_lies_behind_it(
    facts: dict[str, Any],
    kernel: Kernel,
    passing: set[tuple[str, str]],
    passes: list[tuple[str, str]],
    expected: str,
) -> None:
    kernel.handshakes["key2"] = int(time.time()) - 100
    passing.update(passes)
    assert said(facts) == expected


def test_a_route_that_leads_elsewhere_comes_first(
    facts: dict[str, Any], kernel: Kernel, passing: set[tuple[str, str]]
) -> None:
    kernel.handshakes["key2"] = int(time.time())
    kernel.route = {"dev": "eth0", "gateway": "203.0.113.1"}
    assert said(facts) == "there is no route to 10.44.0.2/32: packets leave by eth0 via 203.0.113.1"


def test_a_droplet_outside_of_the_vpc_says_so(
    facts: dict[str, Any], kernel: Kernel, passing: set[tuple[str, str]]
) -> None:
    kernel.addresses = ["203.0.113.5"]
    assert said(facts) == "this droplet has no address in the VPC 10.110.0.0/20"


def test_where_others_are_reached_a_silent_node_is_not_up(
    facts: dict[str, Any], kernel: Kernel, passing: set[tuple[str, str]]
) -> None:
    plain = facts | {"datapath": "vpc", "mtu": 1500}
    roster = {"nodes": [peer(1), peer(2, "10.110.0.2"), peer(3, "10.110.0.3")]}
    kernel.route = {"dev": "eth1", "gateway": "10.110.0.2"}
    passing.add(("10.110.0.1", "10.110.0.2"))
    dropped = "frames with pod addresses are dropped on eth1: 10.110.0.2 answers, 10.44.0.2 does not"
    assert paths.probe(plain, roster)[0]["cause"] == dropped
    passing.update([("10.44.0.1", "10.44.0.3"), (OWN, "10.42.2.1")])
    first, second = paths.probe(plain, roster)
    assert first["cause"] == "10.110.0.2 answers, 10.44.0.2 does not: its hardway-mesh.service is not up"
    assert second["cause"] is None


def test_a_peer_without_droplet_is_said_to_be_nowhere(
    facts: dict[str, Any], kernel: Kernel, passing: set[tuple[str, str]]
) -> None:
    assert said(facts | {"datapath": "vpc"}, {"nodes": [peer(2)]}) == "the roster does not say where it is"
