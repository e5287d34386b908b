"""Dumps the order book's database to where it outlives all nodes, and brings a dump back into it.

Both are done in the database's own pod, from outside: nothing more runs there, and no pod has a key of the bucket.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

from hardway import here, keeping
from hardway.here import Failure
from hardway.kube import KUBECTL
from hardway.waiting import patiently

KIND = "database"
# What keeps the book in its own memory, and reads it from the database when it starts.
APPLICATION = ("deployment/limit-order-book", "--namespace=order-book")
STOP_SECONDS, START_SECONDS = 120, 120
# The annotation of an application that was stopped here, with the time; who finds an old one starts it.
STOPPED = "hardway/stopped"
POD = ("exec", "--namespace=order-book", "--container=postgres", "--stdin", "postgres-0", "--")
WHOSE = ("--username=postgres", "--dbname=local")
SECONDS = 1800
END = b"-- PostgreSQL database dump complete"
# What newer versions made goes as well. A dump that is cut on its way has no end, and is undone: to the one who reads
# it a connection that breaks and an end look the same.
BEGIN = b"""BEGIN;
DROP SCHEMA public CASCADE;
CREATE SCHEMA public AUTHORIZATION pg_database_owner;
GRANT USAGE ON SCHEMA public TO PUBLIC;
"""
COMMIT = b"\nCOMMIT;\n"
TAIL_BYTES = 4096


def is_there() -> bool:
    """Tell whether the cluster has the database; while no API server answers, nobody knows, and that is a failure."""
    found = here.run(*KUBECTL, "get", "statefulset", "postgres", "--namespace=order-book", "--ignore-not-found")
    return bool(found.strip())


def take() -> dict[str, Any]:
    """Dump the database as it is now, and give the dump's manifest.

    Raises:
        Failure: it doesn't answer, the dump is cut, or it can't be put away.
    """
    with keeping.room() as room:
        file = room / "dump.sql"
        words = ("pg_dump", *WHOSE, "--clean", "--if-exists", "--no-owner", "--no-password")
        here.pipe(*KUBECTL, *POD, *words, target=file, timeout=SECONDS)
        if not is_whole(file):
            raise Failure("the dump is cut: it does not end as one")
        return keeping.keep(KIND, file, {})


def is_whole(file: Path) -> bool:
    """Tell whether a dump ends as pg_dump ends one."""
    with file.open("rb") as content:
        content.seek(max(0, file.stat().st_size - TAIL_BYTES))
        return END in content.read()


def restore(arguments: dict[str, Any]) -> dict[str, Any]:
    """Bring a dump back, all or nothing, while nobody writes: the operator has sealed it anew, for this once.

    Args:
        arguments: `url` of the sealed dump and its `sha256`, the `identity` that opens it, and the `plain_sha256`.
    """
    with keeping.room() as room:
        sealed, plain = room / "dump.age", room / "dump.sql"
        keeping.bring(arguments, sealed, plain)
        words = ("psql", *WHOSE, "--quiet", "--no-psqlrc", "--set=ON_ERROR_STOP=1")
        script = room / "script.sql"
        as_one(plain, script)
        is_started = False
        try:
            here.run(*KUBECTL, "annotate", *APPLICATION, f"{STOPPED}={int(time.time())}", "--overwrite")
            here.run(*KUBECTL, "scale", *APPLICATION, "--replicas=0")
            gone = ("wait", "pods", "--for=delete", "--selector=app.kubernetes.io/name=limit-order-book")
            here.run(*KUBECTL, *gone, APPLICATION[1], f"--timeout={STOP_SECONDS}s", timeout=2 * STOP_SECONDS)
            here.pipe(*KUBECTL, *POD, *words, source=script, timeout=SECONDS)
        finally:
            is_started = start()
        return {"bytes": plain.stat().st_size, "is_started": is_started}


def as_one(plain: Path, script: Path) -> None:
    """Write a dump as one transaction that makes the database what the dump has, and nothing else."""
    with script.open("wb") as out, plain.open("rb") as content:
        out.write(BEGIN)
        shutil.copyfileobj(content, out)
        out.write(COMMIT)


def start() -> bool:
    """Start the application again; tell whether it could be, for what came of a restore is another question."""
    try:
        patiently(lambda: here.run(*KUBECTL, "scale", *APPLICATION, "--replicas=1"), START_SECONDS, 2)
        patiently(lambda: here.run(*KUBECTL, "annotate", *APPLICATION, f"{STOPPED}-"), START_SECONDS, 2)
    except Failure as failure:
        print(f"the application does not start again: {failure}", flush=True)
        return False
    return True


def mend() -> None:
    """Start an application that was stopped for a restore which nobody carries on."""
    column = "--output=jsonpath={.metadata.annotations.hardway/stopped}"
    since = here.run(*KUBECTL, "get", *APPLICATION, "--ignore-not-found", column).strip()
    if since.isdigit() and time.time() - int(since) > SECONDS + 3 * STOP_SECONDS:
        print("the application was stopped for a restore that is over: starting it", flush=True)
        start()
