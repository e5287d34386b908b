"""Runs the release's own etcd on this machine, on sockets in a directory of its own, to look into a snapshot."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from generator.errors import Problem
from generator.files import make_private_directory
from generator.provider.visitor import Visitor
from generator.release.lock_file import Artifact, Release

TOOLS = ("etcd", "etcdctl", "etcdutl")
START_SECONDS, RESTORE_SECONDS, ASK_SECONDS = 300.0, 1800, 600
_NAME = "scratch"
_PEER = "http://127.0.0.1:1"
"""What a member alone says of itself; nobody ever calls there."""


class Damaged(ValueError):  # noqa: N818 - says what it is
    """etcd does not take a snapshot, or does not find in it what is said of it."""


@dataclass(frozen=True)
class Contents:
    """What etcd says of a snapshot that it serves."""

    revision: int
    hash: int
    keys: int
    cluster_id: str


def tools(release: Release, visitor: Visitor, cache: Path) -> Path:
    """Bring the release's etcd and its tools, as a node does, and give the directory that holds them.

    Raises:
        Problem: none of the lock's addresses has them.
    """
    artifact = release.artifact("etcd")
    place = cache / f"etcd-{artifact.sha256[:16]}"
    if place.is_dir():
        return place
    make_private_directory(cache)
    reasons = []
    with tempfile.TemporaryDirectory(dir=cache, prefix=".etcd-") as work:
        archive = Path(work, "archive")
        for url in artifact.urls:
            try:
                if visitor.download(url, archive) == artifact.sha256:
                    break
                reasons.append(f"{url} has not the pinned digest")
            except Problem as problem:
                reasons.append(f"{problem.where} {problem.message}")
        else:
            raise Problem(f"can't be had: {'; '.join(reasons)}", where=f"etcd {artifact.version}")
        fresh = Path(work, "tools")
        _unpack(archive, artifact, fresh)
        # Who was first is as good.
        if not place.is_dir():
            fresh.rename(place)
    return place


def _unpack(archive: Path, artifact: Artifact, target: Path) -> None:
    target.mkdir(mode=0o700)
    with tarfile.open(archive) as files:
        for member, path in artifact.install.items():
            content = files.extractfile(member)
            if content is not None and PurePosixPath(path).name in TOOLS:
                file = target / PurePosixPath(path).name
                with file.open("wb") as out:
                    shutil.copyfileobj(content, out)
                file.chmod(0o700)


def version(tools: Path) -> str:
    """Give the version of the release's etcd."""
    return _run(tools, "etcdutl", "version").splitlines()[0].rpartition(" ")[2]


@contextmanager
def restored(tools: Path, snapshot: Path, work: Path) -> Iterator[Scratch]:
    """Restore a snapshot and serve it while the context lasts.

    Args:
        snapshot: the plain file; it is left as it is.
        work: an empty directory, with a path that is short enough for sockets.

    Raises:
        Damaged: etcd does not take it.
    """
    data = work / "data"
    _run(
        tools,
        "etcdutl",
        "snapshot",
        "restore",
        str(snapshot),
        f"--name={_NAME}",
        f"--data-dir={data}",
        f"--initial-cluster={_NAME}={_PEER}",
        f"--initial-advertise-peer-urls={_PEER}",
        seconds=RESTORE_SECONDS,
    )
    scratch = Scratch(tools, work)
    with (work / "log").open("wb") as log:
        process = subprocess.Popen(scratch.command(data), cwd=work, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        scratch.wait(process)
        yield scratch
    finally:
        process.kill()
        process.wait()


class Scratch:
    """An etcd of one member that nobody else reaches."""

    def __init__(self, tools: Path, work: Path) -> None:
        self._tools = tools
        self._work = work
        self._endpoint = f"unix://{work}/client.sock"

    def command(self, data: Path) -> list[str]:
        """Give the command that serves what was restored; it has to run in the work directory."""
        return [
            str(self._tools / "etcd"),
            f"--name={_NAME}",
            f"--data-dir={data}",
            f"--listen-client-urls={self._endpoint}",
            f"--advertise-client-urls={_PEER}",
            "--listen-peer-urls=unix://peer.sock:0",
            f"--initial-advertise-peer-urls={_PEER}",
            f"--initial-cluster={_NAME}={_PEER}",
            "--quota-backend-bytes=8589934592",
            "--log-level=error",
            "--unsafe-no-fsync",
        ]

    def wait(self, process: subprocess.Popen[bytes]) -> None:
        """Wait until it answers.

        Raises:
            Damaged: it ends, or never does.
        """
        end = time.monotonic() + START_SECONDS
        said = "it never answers"
        while process.poll() is None and time.monotonic() < end:
            try:
                self.ask("endpoint", "status", seconds=20)
            except Damaged as error:
                said = str(error)
                time.sleep(0.2)
                continue
            return
        log = (self._work / "log").read_text(errors="replace").strip().splitlines()
        raise Damaged(f"etcd does not serve it: {log[-1][:300] if log else said}")

    def ask(self, *words: str, seconds: int = ASK_SECONDS) -> Any:
        """Ask it something, and give the answer's JSON."""
        command = (*words, f"--endpoints={self._endpoint}", "--write-out=json", f"--command-timeout={seconds}s")
        return json.loads(_run(self._tools, "etcdctl", *command, seconds=seconds + 10))

    def value(self, key: str) -> str:
        """Read one key; empty where there is none."""
        found = self.ask("get", key).get("kvs") or []
        return base64.b64decode(found[0]["value"]).decode(errors="replace") if found else ""

    def keys(self, prefix: str) -> dict[str, bytes]:
        """Read everything below a prefix."""
        found = self.ask("get", prefix, "--prefix").get("kvs") or []
        return {base64.b64decode(one["key"]).decode(): base64.b64decode(one["value"]) for one in found}

    def contents(self, cluster_key: str) -> Contents:
        """Say what is in it.

        Args:
            cluster_key: where a control-plane node has written whose it is.
        """
        said = self.ask("endpoint", "hashkv")[0]["HashKV"]
        count = int(self.ask("get", "", "--prefix", "--keys-only", "--limit=1").get("count", 0))
        return Contents(int(said["hash_revision"]), int(said["hash"]), count, self.value(cluster_key))


def _run(tools: Path, tool: str, *words: str, seconds: float = 60) -> str:
    environment = {"PATH": os.environ.get("PATH", "")}
    try:
        done = subprocess.run(
            [str(tools / tool), *words], capture_output=True, text=True, timeout=seconds, env=environment
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Damaged(f"`{tool}`: {type(error).__name__}") from error
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.startswith("Error: ")] or done.stderr.splitlines()
        raise Damaged(f"`{tool}`: {(lines or ['it failed'])[-1].removeprefix('Error: ')[:300]}")
    return done.stdout
