"""Reads what was committed at some revision, without checking it out: the description, locks, and what was rendered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from generator import git, worktree
from generator.documents import committed
from generator.errors import Problem
from generator.plan.project import Project

LIMIT_BYTES, LIMIT_FILES = committed.LIMIT_BYTES, worktree.LIMIT_ENTRIES
DEFAULTS = ("origin/HEAD", "origin/main", "origin/master", "main", "master")
"""Where the branch is looked for that a pull request goes into."""


@dataclass(frozen=True)
class Snapshot:
    """One state of a project: what is decided, and the files below `rendered/<cluster>/`."""

    project: Project
    files: Mapping[str, bytes]


def now(project: Project, files: Mapping[str, bytes]) -> Snapshot:
    """Give the state of the work tree; `files` is what would be rendered."""
    return Snapshot(project, files)


def base(directory: Path) -> str:
    """Find the commit that a pull request from here is compared with.

    Raises:
        Problem: there is no commit at all.
    """
    head = _commit(directory, "HEAD")
    if head is None:
        raise Problem(
            "has no commit to compare with", where=str(directory), hint="commit, or name one: `--against REF`"
        )
    for name in DEFAULTS:
        if _commit(directory, name) is not None:
            found = git.ask(directory, ["merge-base", "HEAD", name], accepted=(0, 1)).strip()
            if found and found != head:
                return found
    return head


@contextmanager
def at(project: Project, revision: str) -> Iterator[Snapshot | None]:
    """Give the state at a revision, None where the cluster wasn't there yet; its files are gone afterwards.

    Raises:
        Problem: there is no such revision, or a link is where a file should be.
        Problems: its description can't be read by this program.
    """
    directory = project.directory
    commit = _commit(directory, revision)
    if commit is None:
        raise Problem("is no commit here", where=f"--against {revision}", hint="`git log` shows which there are")
    description = project.file.name
    found = dict(_files(directory, commit, [description, "releases", project.rendered]))
    if description not in found:
        yield None
        return
    with TemporaryDirectory(prefix="gen-diff-") as scratch:
        for path, content in found.items():
            worktree.write(Path(scratch), path, content)
        before = Project.load(Path(scratch) / description, with_own=False)
        prefix = f"{project.rendered}/"
        rendered = {path.removeprefix(prefix): content for path, content in found.items() if path.startswith(prefix)}
        yield Snapshot(before, {path: content for path, content in rendered.items() if committed.is_ours(path)})


def files_at(project: Project, commit: str, *paths: str) -> Mapping[str, bytes]:
    """Give rendered files of a commit, or all below a directory, by their paths below `rendered/<cluster>/`.

    What git doesn't have is left out.
    """
    if _commit(project.directory, commit) is None:
        return {}
    prefix = f"{project.rendered}/"
    found = _files(project.directory, commit, [f"{prefix}{path}" for path in paths])
    return {path.removeprefix(prefix): content for path, content in found}


def _commit(directory: Path, revision: str) -> str | None:
    if revision.startswith("-"):
        return None
    words = ["rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}"]
    return git.ask(directory, words, accepted=(0, 1, 128)).strip() or None


def _files(directory: Path, commit: str, paths: list[str]) -> Iterator[tuple[str, bytes]]:
    """Read regular files of a commit, by their paths below the directory."""
    listing = git.ask(directory, ["ls-tree", "-r", "-z", "--long", commit, "--", *paths])
    lines = [line for line in listing.split("\0") if line]
    if len(lines) > LIMIT_FILES:
        raise Problem(f"holds more than {LIMIT_FILES:,} files", where=commit[:12])
    for line in lines:
        facts, _, path = line.partition("\t")
        mode, kind, blob, size = facts.split()
        if kind != "blob" or mode == "120000":
            raise Problem("is a symbolic link or a submodule, and is not followed", where=f"{commit[:12]}:{path}")
        if int(size) > LIMIT_BYTES:
            raise Problem(f"has {int(size):,} bytes, at most {LIMIT_BYTES:,} are read", where=f"{commit[:12]}:{path}")
        yield path, git.read(directory, ["cat-file", "blob", blob])
