"""The stand-in keeps the application's contract against a real Postgres, both out of the images that nodes pull."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import tarfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import urllib3

from generator.lab.content import build, recipes
from generator.lab.content.cache import Cache, recipe_key
from generator.lab.content.golang import Go
from generator.release import lock_file
from tests import order_book
from tests.silent import Silent

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("go") is None, reason="needs root (a root file system of another) and Go"
)
PASSWORD = "url-safe_Password1"


@dataclass
class Server:
    """A process that is ended, or restarted, as a container would be."""

    command: list[str]
    environment: Mapping[str, str]
    stop_signal: int
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.process = subprocess.Popen(
            self.command, env=dict(self.environment), start_new_session=True, stdout=subprocess.DEVNULL
        )

    def stop(self) -> int:
        assert self.process is not None
        os.killpg(self.process.pid, self.stop_signal)
        return self.process.wait(20)


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def wait_for(port: int) -> None:
    limit = time.monotonic() + 120
    while not answers(port):
        assert time.monotonic() < limit, f"nothing listens on {port}"
        time.sleep(0.1)


@pytest.fixture(scope="module")
def made() -> lock_file.Release:
    lock = lock_file.load("k8s-1.36", Path("/nonexistent"))
    key = recipe_key(recipes.kubernetes(lock.kubernetes).inputs(Go.find().version))
    if Cache.default().result(key) is None:
        pytest.skip("not built yet: `gen lab build`")
    return build.build(lock, Silent())


def unpacked(digest: str, place: Path) -> Mapping[str, str]:
    """Unpack an image as containerd would and give its environment."""
    cache = Cache.default()
    manifest = json.loads(cache.blob(digest.removeprefix("sha256:")).read_bytes())
    for layer in manifest["layers"]:
        with tarfile.open(cache.blob(layer["digest"].removeprefix("sha256:"))) as archive:
            archive.extractall(place, numeric_owner=True, filter="fully_trusted")
    config = json.loads(cache.blob(manifest["config"]["digest"].removeprefix("sha256:")).read_bytes())
    return dict(row.split("=", 1) for row in config["config"]["Env"])


@pytest.fixture
def database(made: lock_file.Release, tmp_path: Path) -> Iterator[tuple[Server, int]]:
    port = free_port()
    root = tmp_path / "postgres"
    environment = unpacked(made.image("postgres").digest, root)
    (root / "password").write_text(PASSWORD)
    (root / "password").chmod(0o444)
    inside = 'mount -t proc proc "$1/proc" && mount --rbind /dev "$1/dev" && exec chroot --userspec=999:999 "$@"'
    given = {
        "POSTGRES_DB": "local",
        "POSTGRES_USER": "postgres",
        "POSTGRES_PASSWORD_FILE": "/password",
        "PGDATA": "/var/lib/postgresql/data/pgdata",
    }
    start = ["docker-entrypoint.sh", "postgres", "-c", f"port={port}", "-c", "logging_collector=off"]
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", inside, "sh", str(root)]
    variables = [f"{key}={value}" for key, value in {**environment, **given}.items()]
    server = Server([*command, "/usr/bin/env", "-i", *variables, *start], os.environ, signal.SIGINT)
    server.start()
    wait_for(port)
    yield server, port
    server.stop()


@pytest.fixture
def application(made: lock_file.Release, database: tuple[Server, int], tmp_path: Path) -> Iterator[tuple[Server, str]]:
    root = tmp_path / "application"
    unpacked(made.image("order-book").digest, root)
    port = free_port()
    environment = {
        "POSTGRES_HOST": "127.0.0.1",
        "POSTGRES_PORT": str(database[1]),
        "POSTGRES_DB": "local",
        "POSTGRES_USER": "postgres",
        "POSTGRES_PASSWORD": PASSWORD,
    }
    server = Server([str(root / "orderbook"), "-port", str(port)], environment, signal.SIGTERM)
    server.start()
    wait_for(port)
    yield server, f"http://127.0.0.1:{port}"
    server.stop()


def ask(url: str, method: str, path: str, body: object = None) -> tuple[int, str]:
    answer = urllib3.request(method, url + path, body=json.dumps(body) if body else None, retries=False, timeout=10)
    return answer.status, answer.data.decode()


def order(side: str, price: int, size: int) -> dict[str, object]:
    return {"side": side, "price": price, "size": size}


def test_the_stand_in_keeps_the_published_contract(application: tuple[Server, str]) -> None:
    server, url = application

    def restart() -> None:
        assert server.stop() == 0
        server.start()
        wait_for(int(url.rpartition(":")[2]))

    found = list(order_book.results(order_book.Book(url, restart)))
    assert [wrong for _, wrong in found] == [None] * len(order_book.CHECKS)


def test_orders_outlive_the_application_but_not_its_connection(
    database: tuple[Server, int], application: tuple[Server, str]
) -> None:
    server, url = application
    status, text = ask(url, "POST", "/api/order", order("buy", 101, 7))
    assert status == 200
    assert {"side": "buy", "price": 101, "size": 7}.items() <= json.loads(text).items()
    assert ask(url, "POST", "/api/order", order("sell", 100, 3))[0] == 200
    assert ask(url, "POST", "/api/order", order("sell", 105, 2))[0] == 200
    book = ask(url, "GET", "/ob")[1]
    assert [line.split() for line in book.splitlines()[1:]] == [["sell", "105", "2", "1"], ["buy", "101", "4", "1"]]

    assert server.stop() == 0
    server.start()
    wait_for(int(url.rpartition(":")[2]))
    assert ask(url, "GET", "/ob")[1] == book

    database[0].stop()
    database[0].start()
    wait_for(database[1])
    assert ask(url, "POST", "/api/order", order("buy", 1, 1))[0] == 500
    assert ask(url, "POST", "/api/order", order("buy", 1, 1))[0] == 500
    assert ask(url, "GET", "/api/health") == (200, '{"ok":true}\n')

    server.stop()
    server.start()
    wait_for(int(url.rpartition(":")[2]))
    assert ask(url, "GET", "/ob")[1] == book
    assert ask(url, "POST", "/api/order", order("buy", 1, 1))[0] == 200
    assert ask(url, "POST", "/api/wipe") == (200, '{"ok":true}\n')
    assert len(ask(url, "GET", "/ob")[1].splitlines()) == 1


def test_without_a_database_it_does_not_start(application: tuple[Server, str]) -> None:
    server, _ = application
    for wrong in ({"POSTGRES_PORT": str(free_port())}, {"POSTGRES_PASSWORD": "wrong"}):
        answer = subprocess.run(
            server.command, env={**server.environment, **wrong}, capture_output=True, timeout=20, check=False
        )
        assert answer.returncode == 1
        assert b"database cannot be used" in answer.stdout
        assert PASSWORD.encode() not in answer.stdout
