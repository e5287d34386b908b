"""DNS, the API's certificate and the outside, asked as a pod does, of real servers on loopback."""

from __future__ import annotations

import json
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from hardway import here, kube, services
from hardway.here import Failure

from generator.pki import issue
from generator.plan.certificates import AUTHORITY_LIFETIME, LEAF_LIFETIME, Certificate, Names

# What is planned, moved to loopback, where everything is there.
SERVICE, DNS = "127.43.0.1", "127.43.0.10"
NODE = {"name": "node02", "role": "control-plane", "address": "127.44.0.2", "endpoint": "10.110.0.2"}
ROSTER: dict[str, Any] = {"founding": {"services": "127.43.0.0/24", "domain": "cluster.local"}, "nodes": [NODE]}
NAME = "kubernetes.default.svc.cluster.local"


@pytest.fixture
def loopback(facts: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A node whose pods' gateway is an address of loopback."""
    monkeypatch.setattr(services, "SECONDS", 0.5)
    return facts | {"pod_cidr": "127.42.0.0/24", "address": "127.44.0.1"}


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Callable[[bytes], bytes | None]], None]]:
    """Start a server of names that answers as a function says."""
    with ExitStack() as stack:
        server = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        server.bind((DNS, 0))
        monkeypatch.setattr(services, "DNS_PORT", server.getsockname()[1])
        monkeypatch.setattr(kube, "api", lambda *_, seconds: (200, {}))
        threads: list[threading.Thread] = []

        def start(answer: Callable[[bytes], bytes | None]) -> None:
            def serve() -> None:
                asked, whose = server.recvfrom(512)
                assert whose[0] == "127.42.0.1", "a pod asks, not the node"
                if (said := answer(asked)) is not None:
                    server.sendto(said, whose)

            threads.append(threading.Thread(target=serve))
            threads[-1].start()

        yield start
        for thread in threads:
            thread.join()


def record(address: str, flags: int = 0x8180) -> Callable[[bytes], bytes]:
    """Answer with an address, as CoreDNS does."""

    def answer(asked: bytes) -> bytes:
        head = asked[:2] + struct.pack("!5H", flags, 1, 1 if address else 0, 0, 0)
        found = b"\xc0\x0c" + struct.pack("!2HIH", 1, 1, 5, 4) + socket.inet_aton(address) if address else b""
        return head + asked[12:] + found

    return answer


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (record(SERVICE), []),
        (record("127.43.0.99"), [f"{DNS} says 127.43.0.99 for {NAME}, not {SERVICE}"]),
        (record("", 0x8183), [f"{DNS} says NXDOMAIN for {NAME}, not {SERVICE}"]),
        (record("", 0x8182), [f"{DNS} says SERVFAIL for {NAME}, not {SERVICE}"]),
        (record(""), [f"{DNS} says nothing for {NAME}, not {SERVICE}"]),
        (lambda _: b"short", [f"{DNS} says nothing for {NAME}, not {SERVICE}"]),
        (
            lambda asked: b"\0\0" + record(SERVICE)(asked)[2:],
            [f"{DNS} says what nobody asked for {NAME}, not {SERVICE}"],
        ),
        (lambda _: None, [f"{DNS} does not answer: no pod of DNS is ready, or the way to it is cut"]),
    ],
)
def test_dns_has_to_know_the_api(
    loopback: dict[str, Any], named: Any, answer: Callable[[bytes], bytes | None], said: list[str]
) -> None:
    named(answer)
    assert list(services.dns(loopback, ROSTER)) == said


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ((404, {}), {}),
        ((503, {}), {"dns": "the API does not say whether there is DNS"}),
        (Failure("refused"), {"dns": "the API does not say whether there is DNS"}),
    ],
)
def test_a_cluster_without_dns_is_not_asked_for_it(
    loopback: dict[str, Any], monkeypatch: pytest.MonkeyPatch, answer: Any, found: dict[str, str]
) -> None:
    def ask(*_: str, seconds: float) -> Any:
        assert seconds == services.SECONDS, "all probes have to fit one answer"
        if isinstance(answer, Failure):
            raise answer
        return answer

    monkeypatch.setattr(kube, "api", ask)
    monkeypatch.setattr(services, "CHECKS", {"dns": services.dns})
    assert services.probe(loopback, ROSTER) == found


class Authority:
    """Signs certificates for servers of a test."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        row = Certificate("ca", "ca", None, None, ("authority",), Names(), None, AUTHORITY_LIFETIME)
        key = issue.new_key()
        self.own = issue.Issued(issue.issue(row, key, None, now=datetime.now(UTC)), key)
        here.write("/etc/kubernetes/pki/ca.crt", issue.certificate_pem(self.own.certificate))

    def context(self, *addresses: str, signer: issue.Issued | None = None) -> ssl.SSLContext:
        """Make what a server shows; for these addresses, and by the name of the API."""
        names = Names(("kubernetes",), tuple(ip_address(address) for address in addresses))  # type: ignore[arg-type]
        row = Certificate("server", "server", None, "ca", ("server",), names, None, LEAF_LIFETIME)
        key = issue.new_key()
        made = issue.issue(row, key, signer or self.own, now=datetime.now(UTC))
        file = self.directory / "server.pem"
        file.write_bytes(issue.certificate_pem(made) + issue.key_pem(key))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def serving(monkeypatch: pytest.MonkeyPatch, loopback: dict[str, Any]) -> Iterator[Callable[[ssl.SSLContext], None]]:
    """Start an API server, behind its Service's address and at the node's own."""
    with ExitStack() as stack:
        threads: list[threading.Thread] = []

        def start(context: ssl.SSLContext) -> None:
            listener = socket.create_server(("", 0))
            monkeypatch.setattr(services, "HTTPS_PORT", listener.getsockname()[1])
            loopback["api_port"] = listener.getsockname()[1]

            def serve() -> None:
                with suppress(OSError):
                    while True:
                        connection, _ = listener.accept()
                        with connection, suppress(OSError), context.wrap_socket(connection, server_side=True) as secure:
                            secure.recv(1)

            threads.append(threading.Thread(target=serve))
            threads[-1].start()
            stack.callback(listener.close)
            stack.callback(listener.shutdown, socket.SHUT_RDWR)

        yield start
    for thread in threads:
        thread.join()


def test_the_api_is_verified_at_its_service_address(
    loopback: dict[str, Any], authority: Authority, serving: Any
) -> None:
    serving(authority.context(SERVICE, "127.44.0.2"))
    assert list(services.service(loopback, ROSTER)) == []


def test_a_certificate_without_the_service_address_is_shown_with_its_node(
    loopback: dict[str, Any], authority: Authority, serving: Any
) -> None:
    serving(authority.context("127.44.0.2"))
    said = f"the API's certificate on node02 does not hold for {SERVICE}: it is for kubernetes, 127.44.0.2"
    assert list(services.service(loopback, ROSTER)) == [said]


def test_a_certificate_of_somebody_else_has_no_names(
    loopback: dict[str, Any], authority: Authority, serving: Any, tmp_path: Path
) -> None:
    ours = here.at("/etc/kubernetes/pki/ca.crt").read_bytes()
    other = Authority(tmp_path)
    here.write("/etc/kubernetes/pki/ca.crt", ours)
    serving(authority.context(SERVICE, signer=other.own))
    (said,) = services.service(loopback, ROSTER)
    assert said.startswith(f"the API's certificate on node02 does not hold for {SERVICE}: ")
    assert "it is for" not in said


def test_a_server_that_is_down_is_said_once(
    loopback: dict[str, Any], authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services, "HTTPS_PORT", 9)
    loopback["api_port"] = 9
    assert list(services.service(loopback, ROSTER)) == [f"{SERVICE} does not answer: Connection refused"]
    absent = {**ROSTER, "nodes": [NODE | {"endpoint": None}, NODE | {"role": "worker"}]}
    assert list(services.service(loopback, absent)) == [f"{SERVICE} does not answer: Connection refused"]


def test_egress_tells_pods_from_the_node(
    loopback: dict[str, Any], launch: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert list(services.egress(loopback, ROSTER)) == []
    absent = loopback | {"pod_cidr": "198.18.7.0/24"}
    (said,) = services.egress(absent, ROSTER)
    assert said.startswith("pods do not reach 127.0.0.1: ")
    assert said.endswith("; this node does: are their packets translated?")
    here.write(here.LAUNCH, json.dumps(launch | {"roster_url": "https://127.0.0.1:9/roster.json"}))
    said = "pods do not reach 127.0.0.1: Connection refused; nor does this node"
    assert list(services.egress(loopback, ROSTER)) == [said]


def test_what_can_not_be_tried_is_said_with_its_reason(
    loopback: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> Iterator[str]:
        raise Failure("there is no launch part")
        yield ""

    monkeypatch.setattr(services, "CHECKS", {"egress": fail})
    assert services.probe(loopback, ROSTER) == {"egress": "there is no launch part"}
