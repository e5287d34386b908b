"""A dump comes back whole or not at all, judged by a real Postgres: also where its way breaks, at any byte."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.contract.keeper import dump, here
from tests.contract.test_database_watch import BIN, PASSWORD, Database, database, directory

__all__ = ["database", "directory"]

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root to be another user"),
    pytest.mark.skipif(not (BIN / "initdb").exists(), reason="needs Debian's `postgresql`"),
]
# Does in this machine's Postgres what is to be done in the pod, and writes down everything else. What it reads ends
# early where it is told so: like a connection that breaks.
KUBECTL = """\
#!/bin/sh
case " $* " in
*" exec "*)
    while [ "$1" != -- ]; do shift; done
    shift
    if [ -s "$CUT" ]; then head -c "$(cat "$CUT")" | "$@"; else "$@"; fi
    ;;
*" get "*) cat "$SINCE" 2>/dev/null || : ;;
*)
    echo "$*" >>"$CALLS"
    ! [ -e "$AWAY" ]
    ;;
esac
"""


@pytest.fixture
def brought(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Any]:
    """A database with orders, and a way to bring back the dump that was made of it."""
    kubectl = tmp_path / "kubectl"
    kubectl.write_text(KUBECTL)
    kubectl.chmod(0o755)
    for name in ("cut", "calls", "since", "away"):
        monkeypatch.setenv(name.upper(), str(tmp_path / name))
    server = {"PGHOST": "127.0.0.1", "PGPORT": str(database.port), "PGPASSWORD": PASSWORD}
    for name, value in (server | {"PATH": f"{BIN}:{os.environ['PATH']}"}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(here, "ROOT", tmp_path / "node")
    monkeypatch.setattr(dump, "KUBECTL", (str(kubectl),))
    monkeypatch.setattr(dump, "START_SECONDS", 0)
    monkeypatch.setattr(dump.keeping, "bring", lambda _, sealed, plain: shutil.copyfile(tmp_path / "kept.sql", plain))
    monkeypatch.setattr(dump.keeping, "keep", lambda _, plain, facts: shutil.copyfile(plain, tmp_path / "kept.sql"))
    database.ask("INSERT INTO orders SELECT generate_series(1, 500)")
    database.ask("CREATE INDEX first ON orders (id)")
    dump.take()
    return lambda: dump.restore({})


def calls(directory: Path) -> list[str]:
    return (directory / "calls").read_text().splitlines()


def test_it_makes_the_database_what_the_dump_has_and_nothing_else(
    database: Database, brought: Callable[[], Any], tmp_path: Path
) -> None:
    database.ask("DELETE FROM orders WHERE id > 9")
    # A newer version's, which the dump knows nothing of, and which holds on to what it replaces.
    database.ask("ALTER TABLE orders ADD PRIMARY KEY (id)")
    database.ask("CREATE TABLE trades (maker integer REFERENCES orders (id))")
    assert brought()["is_started"]
    assert database.orders() == 500
    assert database.ask("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == "1"
    assert database.ask("SELECT pg_catalog.has_schema_privilege('public', 'public', 'USAGE')") == "t"
    before, scaled, waited, started, after = calls(tmp_path)
    assert dump.STOPPED in before
    assert "--replicas=0" in scaled
    assert waited.startswith("wait ")
    assert "--replicas=1" in started
    assert after.endswith(f"{dump.STOPPED}-")


def test_one_that_is_cut_on_its_way_changes_nothing(
    database: Database, brought: Callable[[], Any], tmp_path: Path
) -> None:
    database.ask("DELETE FROM orders WHERE id > 9")
    whole = len(dump.BEGIN) + (tmp_path / "kept.sql").stat().st_size + len(dump.COMMIT)
    text = dump.BEGIN + (tmp_path / "kept.sql").read_bytes() + dump.COMMIT
    lines = [number + 1 for number, byte in enumerate(text) if byte == 10]
    for cut in {*lines[:: max(1, len(lines) // 25)], lines[-2], whole - len("COMMIT;\n"), *range(1, whole, whole // 9)}:
        (tmp_path / "cut").write_text(str(cut))
        # That it is over is all that psql sees of it, so it may call it a success.
        with contextlib.suppress(here.Failure):
            brought()
        assert database.orders() == 9, f"cut after {cut} of {whole} bytes"


def test_an_application_that_nobody_starts_is_started_later(
    database: Database, brought: Callable[[], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "away").touch()
    monkeypatch.setattr(dump.here, "run", _patient(dump.here.run))
    assert brought() == {"bytes": (tmp_path / "kept.sql").stat().st_size, "is_started": False}
    assert database.orders() == 500
    (tmp_path / "away").unlink()
    (tmp_path / "calls").unlink()
    (tmp_path / "since").write_text("1790000000")
    dump.mend()
    assert [word for word in calls(tmp_path) if "--replicas=1" in word]


def _patient(run: Callable[..., str]) -> Callable[..., str]:
    """Let everything be well but the start."""

    def one(*words: str, **more: Any) -> str:
        try:
            return run(*words, **more)
        except here.Failure:
            if "--replicas=1" in words:
                raise
            return ""

    return one
