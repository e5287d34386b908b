"""The application's companion against a real Postgres that restarts, crashes and comes back late."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from generator.files import resource
from tests.contract.api_server import free_ports

PASSWORD = "not-the-real-one"
BIN = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), Path("/nonexistent"))

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root for a process namespace and other users"),
    pytest.mark.skipif(not (BIN / "initdb").exists(), reason="needs Debian's `postgresql`"),
    pytest.mark.skipif(shutil.which("unshare") is None, reason="needs `unshare`"),
]

# Keeps its contract: one connection for its life, exits without a database at its start, later notices nothing.
APPLICATION = """\
trap '' PIPE
pg_isready --quiet || exit 1
pipe=$STATE/application.$$
mkfifo "$pipe"
psql --no-psqlrc --quiet <"$pipe" &
exec 3>"$pipe"
rm "$pipe"
while :; do echo "INSERT INTO orders DEFAULT VALUES;" >&3 2>/dev/null; sleep 0.2; done
"""


@dataclass(frozen=True)
class Database:
    """A Postgres of this test's own."""

    directory: Path
    port: int

    def control(self, *arguments: str) -> None:
        """Run `pg_ctl` as the server's user."""
        command = [str(BIN / "pg_ctl"), "-s", "-w", "-D", str(self.directory / "data"), "-l", "/dev/null", *arguments]
        subprocess.run(command, user="postgres", group="postgres", cwd="/", check=True, timeout=60)

    def ask(self, question: str) -> str:
        """Run one statement; empty while nobody answers."""
        command = [str(BIN / "psql"), "-XAtqc", question, f"host=127.0.0.1 port={self.port} user=postgres dbname=local"]
        done = subprocess.run(command, env={"PGPASSWORD": PASSWORD}, capture_output=True, text=True, check=False)
        return done.stdout.strip()

    def orders(self) -> int:
        """Count what the application has written."""
        return int(self.ask("SELECT count(*) FROM orders") or 0)


@dataclass(frozen=True)
class Pod:
    """The companion and the application, and what they said."""

    log: Path

    def count(self, words: str) -> int:
        """Count the lines that begin so."""
        return sum(line.startswith(words) for line in self.log.read_text().splitlines())

    def companion(self) -> int:
        """Find the companion, as this machine numbers processes."""
        (pid,) = _pids("-f", f"{self.log.parent}/watch$")
        return pid

    def descendants(self) -> list[int]:
        """Find the companion and the processes it started."""
        return [self.companion(), *_pids("-P", str(self.companion()))]


def _pids(*selection: str) -> list[int]:
    found = subprocess.run(["pgrep", "-u", "10001", *selection], capture_output=True, text=True, check=False)
    return [int(pid) for pid in found.stdout.split()]


@pytest.fixture
def directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="hardway-") as name:
        path = Path(name)
        path.chmod(0o755)
        yield path


@pytest.fixture
def database(directory: Path) -> Iterator[Database]:
    (port,) = free_ports(1)
    place = directory / "postgres"
    place.mkdir()
    shutil.chown(place, "postgres", "postgres")
    password = directory / "password"
    password.write_text(PASSWORD)
    password.chmod(0o644)
    command = [
        str(BIN / "initdb"),
        "-D",
        str(place / "data"),
        "-A",
        "scram-sha-256",
        f"--pwfile={password}",
        "-U",
        "postgres",
    ]
    subprocess.run(command, user="postgres", group="postgres", cwd="/", check=True, capture_output=True, timeout=120)
    with (place / "data/postgresql.conf").open("a") as file:
        file.write(f"port={port}\nunix_socket_directories=''\nlisten_addresses='127.0.0.1'\nfsync=off\n")
    server = Database(place, port)
    server.control("start")
    try:
        made = Database(place, port)
        subprocess.run(
            [str(BIN / "createdb"), "-h", "127.0.0.1", "-p", str(port), "-U", "postgres", "local"],
            env={"PGPASSWORD": PASSWORD}, check=True, timeout=60,
        )  # fmt: skip
        made.ask("CREATE TABLE orders (id serial)")
        yield made
    finally:
        subprocess.run(
            [str(BIN / "pg_ctl"), "-s", "-D", str(place / "data"), "-m", "immediate", "stop"],
            user="postgres", group="postgres", cwd="/", check=False, capture_output=True,
        )  # fmt: skip


@contextmanager
def pod(directory: Path, database: Database) -> Iterator[Pod]:
    """Run the script that the config map holds, beside an application that keeps the contract."""
    state = directory / "state"
    state.mkdir()
    shutil.chown(state, 10001, 10001)
    text = (resource("addons") / "order-book/config-map.yaml").read_text()
    (directory / "watch").write_text(yaml.safe_load(text)["data"]["watch"])
    (directory / "application").write_text(APPLICATION)
    log = directory / "log"
    log.touch()
    environment = {
        "PATH": f"{BIN}:/usr/bin:/bin",
        "PGHOST": "127.0.0.1",
        "PGPORT": str(database.port),
        "PGUSER": "postgres",
        "PGDATABASE": "local",
        "STATE": str(state),
        "PASSWORD_FILE": str(directory / "password"),
    }
    script = Path(__file__).with_name("pod.py")
    command = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child=KILL", sys.executable, str(script)]
    command += [str(state), str(directory / "watch"), str(directory / "application"), str(log), json.dumps(environment)]
    with subprocess.Popen(command) as running:
        try:
            yield Pod(log)
        finally:
            running.kill()


def until(probe: Callable[[], bool], what: str, log: Path, seconds: float = 40) -> None:
    deadline = time.monotonic() + seconds
    while not probe():
        assert time.monotonic() < deadline, f"{what}\n{log.read_text()}"
        time.sleep(0.2)


def test_the_application_recovers_whatever_happens_to_its_database(directory: Path, database: Database) -> None:
    with pod(directory, database) as beside:

        def serves_again(what: str) -> None:
            before = database.orders()
            until(lambda: database.orders() > before, what, beside.log)

        serves_again("after the start")
        assert beside.count("started application") == 1

        database.control("restart", "-m", "fast")
        serves_again("after a restart")
        database.control("stop", "-m", "immediate")
        time.sleep(3)
        database.control("start")
        serves_again("after being away")
        others = "backend_type = 'client backend' AND pid <> pg_backend_pid()"
        os.kill(int(database.ask(f"SELECT pid FROM pg_stat_activity WHERE {others} LIMIT 1")), 9)
        until(lambda: database.ask("SELECT 1") == "1", "crash recovery", beside.log)
        serves_again("after crash recovery")
        for _ in range(3):
            database.control("restart", "-m", "immediate")
        serves_again("after three in a row")


def test_a_healthy_application_is_left_alone(directory: Path, database: Database) -> None:
    with pod(directory, database) as beside:
        until(lambda: database.orders() > 0, "after the start", beside.log)
        time.sleep(6)
        assert beside.count("started application") == 1
        assert beside.count("connected anew") == 0
        assert PASSWORD not in beside.log.read_text()
        for pid in beside.descendants():
            for name in ("cmdline", "environ"):
                assert PASSWORD.encode() not in Path(f"/proc/{pid}/{name}").read_bytes()


def test_the_application_waits_for_its_database(directory: Path, database: Database) -> None:
    database.control("stop", "-m", "fast")
    with pod(directory, database) as beside:
        time.sleep(3)
        assert beside.count("started companion") == 1
        assert beside.count("started application") == 0
        database.control("start")
        until(lambda: database.orders() > 0, "after the database's start", beside.log)
        assert beside.count("started application") == 1


def test_a_restarted_companion_trusts_no_older_connection(directory: Path, database: Database) -> None:
    with pod(directory, database) as beside:
        until(lambda: database.orders() > 0, "after the start", beside.log)
        companion = beside.companion()
        os.kill(companion, 9)
        until(lambda: beside.count("started application") == 2, "a new application", beside.log)
        before = database.orders()
        until(lambda: database.orders() > before, "after the companion's restart", beside.log)


def test_the_companion_ends_when_told(directory: Path, database: Database) -> None:
    with pod(directory, database) as beside:
        until(lambda: database.orders() > 0, "after the start", beside.log)
        companion = beside.companion()
        os.kill(companion, 15)
        until(lambda: not Path(f"/proc/{companion}").exists(), "the companion's end", beside.log, seconds=3)
