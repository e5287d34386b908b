"""Registries are asked through the environment's proxy, and without it where the environment says so."""

from __future__ import annotations

import os
import socket
import threading
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest
import urllib3

from generator import deadline
from generator.errors import Problem
from generator.release import proxied, registry
from generator.release.registry import Repository, Unreachable

from ... import registries
from ...registries import Registry

PROXY = "proxy.test"


class Proxy:
    """Takes CONNECT, and leads each to this machine; keeps what it was told, and hands on bytes without looking."""

    def __init__(self) -> None:
        self.heads: list[str] = []
        self.answer = "200 Connection established"
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listening.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def hosts(self) -> list[str]:
        return [head.split()[1] for head in self.heads]

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self.listening.accept()
            except OSError:
                return
            threading.Thread(target=self._lead, args=(client,), daemon=True).start()

    def _lead(self, client: socket.socket) -> None:
        head = b""
        with client:
            while not head.endswith(b"\r\n\r\n"):
                head += (more := client.recv(1))
                if not more:
                    return
            self.heads.append(head.decode())
            client.sendall(f"HTTP/1.1 {self.answer}\r\n\r\n".encode())
            if not self.answer.startswith("200"):
                return
            with socket.create_connection(("127.0.0.1", int(head.split()[1].rpartition(b":")[2]))) as there:
                back = threading.Thread(target=self._copy, args=(there, client), daemon=True)
                back.start()
                self._copy(client, there)
                back.join()

    def _copy(self, source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            return


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    with registries.serving(tmp_path / "registry", monkeypatch) as found:
        yield found


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    made = Proxy()
    yield made
    made.listening.close()


def ask(served: Registry) -> str:
    return Repository(served.reference("pause", "1.0"), registry.pool()).manifest("1.0").digest


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy"])
def test_registry_and_tokens_are_asked_through_the_proxy(
    served: Registry, proxy: Proxy, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    digest = served.add("pause", "1.0")
    monkeypatch.setenv(name, f"http://{PROXY}:{proxy.port}")
    assert ask(served) == digest
    assert set(proxy.hosts) == {f"registry.test:{served.port}", f"tokens.test:{served.port}"}
    assert not any("Proxy-Authorization" in head for head in proxy.heads)


def test_without_a_scheme_it_is_http(served: Registry, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    served.add("pause", "1.0")
    monkeypatch.setenv("HTTPS_PROXY", f"{PROXY}:{proxy.port}")
    ask(served)
    assert proxy.heads


@pytest.mark.parametrize(
    ("value", "through"),
    [
        ("registry.test", {"tokens.test"}),
        ("elsewhere.test,.registry.test", {"tokens.test"}),
        ("test", set()),
        ("*", set()),
        ("registry.te", {"registry.test", "tokens.test"}),
    ],
)
def test_no_proxy_is_held_against_each_host(
    served: Registry, proxy: Proxy, monkeypatch: pytest.MonkeyPatch, value: str, through: set[str]
) -> None:
    digest = served.add("pause", "1.0")
    monkeypatch.setenv("HTTPS_PROXY", f"http://{PROXY}:{proxy.port}")
    monkeypatch.setenv("NO_PROXY", value)
    assert ask(served) == digest
    assert {host.partition(":")[0] for host in proxy.hosts} == through


def test_no_proxy_may_name_a_port(served: Registry, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    served.add("pause", "1.0")
    monkeypatch.setenv("HTTPS_PROXY", f"http://{PROXY}:{proxy.port}")
    monkeypatch.setenv("NO_PROXY", f"registry.test:{served.port}, tokens.test:1")
    ask(served)
    assert {host.partition(":")[0] for host in proxy.hosts} == {"tokens.test"}


def test_a_password_goes_to_the_proxy_alone(served: Registry, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    served.add("pause", "1.0")
    monkeypatch.setenv("HTTPS_PROXY", f"http://me:p%40ss@{PROXY}:{proxy.port}")
    ask(served)
    word = b64encode(b"me:p@ss").decode()
    assert len(proxy.heads) == 2
    assert all(f"proxy-authorization: Basic {word}\r\n" in head for head in proxy.heads)


def test_a_proxy_that_refuses_is_named_without_its_password(
    served: Registry, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy.answer = "407 Proxy Authentication Required"
    monkeypatch.setenv("HTTPS_PROXY", f"http://me:secret@{PROXY}:{proxy.port}")
    with pytest.raises(Unreachable) as caught:
        ask(served)
    assert str(caught.value) == (
        f"error: {served.reference('pause', '1.0')}: the registry cannot be reached\n  hint: it was asked through"
        f" `{PROXY}:{proxy.port}`, as `HTTPS_PROXY` says; `NO_PROXY` names hosts to reach without"
    )
    assert len(proxy.heads) == 1


@pytest.mark.parametrize(
    "value", ["socks5://secret@proxy.test:1", "http://", "http://secret@proxy.test:x", "http://[::"]
)
def test_what_is_no_proxys_address_is_a_problem(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("HTTPS_PROXY", value)
    with pytest.raises(Problem) as caught:
        proxied.manager()
    assert str(caught.value).startswith("error: `HTTPS_PROXY`: no address of a proxy (not shown")
    assert "secret" not in str(caught.value)


def test_an_answer_has_to_be_over_in_time_behind_a_proxy_too(
    served: Registry, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://{PROXY}:{proxy.port}")
    with pytest.raises(urllib3.exceptions.HTTPError, match="Read timed out"), deadline.within(0):
        registry.pool().request("GET", f"https://registry.test:{served.port}/v2/")
    assert proxy.heads
