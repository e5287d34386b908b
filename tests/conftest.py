"""What every test may ask for: `--update` for golden files, a fixed time, a project rendered once."""

from __future__ import annotations

import os
import socket
from collections.abc import Generator
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

TESTS = Path(__file__).parent


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update", action="store_true", help="write golden files and messages as they are now")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    """Let a contract test skip where its judge is missing, but not in CI: there a judge is missing by mistake."""
    report = yield
    if report.skipped and os.environ.get("CI") and TESTS / "contract" in item.path.parents:
        report.outcome = "failed"
        report.longrepr = f"skipped in CI: {report.longrepr}"
    return report


class NetworkUsed(BaseException):
    """A test reached for another machine; no `except` of the program may hide that."""


@pytest.fixture(autouse=True)
def closed_network(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let tests reach this machine alone; those that boot machines reach them in namespaces of their own."""
    if request.node.get_closest_marker("e2e"):
        return
    connect = socket.socket.connect

    def closed(self: socket.socket, address: Any) -> None:
        if self.family != socket.AF_UNIX and not _is_here(str(address[0])):
            raise NetworkUsed(f"{address[0]} is not this machine")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", closed)


def _is_here(host: str) -> bool:
    try:
        if not ip_address(host).is_global:
            return True
    except ValueError:
        return host == "localhost"
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as own:
        try:
            own.bind((host, 0))
        except OSError:
            return False
        return True


class Golden:
    """Compares text with a file of the repository, or writes it there with `--update`."""

    def __init__(self, *, update: bool) -> None:
        self.update = update

    def check(self, path: Path, text: str) -> None:
        if self.update:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        assert path.exists(), f"{path} is missing: look at what `pytest --update` writes"
        assert text == path.read_text(encoding="utf-8"), f"{path} differs: look at what `pytest --update` changes"


@pytest.fixture(scope="session")
def golden(request: pytest.FixtureRequest) -> Golden:
    return Golden(update=request.config.getoption("--update"))


@pytest.fixture
def now() -> datetime:
    """A time for everything that asks for one."""
    return datetime(2026, 11, 22, 8, 30, tzinfo=UTC)
