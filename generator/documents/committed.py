"""Holds what lies below `rendered/<cluster>/` beside what would be rendered: compares, writes, removes.

Whoever opens a pull request decides what lies there. So nothing is shown, overwritten or removed there but regular
files whose path this program could itself have made.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from generator import worktree
from generator.errors import Problem, raise_all
from generator.plain_text import harmless
from generator.plan.project import Project
from generator.worktree import Entry

LIMIT_BYTES = 4 * 1024 * 1024
"""Of one file; the largest that is made is a tenth of it."""

_LABEL = r"[a-z0-9]([a-z0-9-]*[a-z0-9])?"
_OURS = re.compile(
    r"inventory\.yaml|summary\.md|roster\.json|ingress-ca\.crt"
    rf"|nodes/{_LABEL}/user-data"
    rf"|addons/(index\.json|{_LABEL}/{_LABEL}\.yaml)"
    r"|agent(/[a-zA-Z0-9_][a-zA-Z0-9_.-]*)+"
)


@dataclass(frozen=True)
class Changes:
    """What writing changed, as paths below `rendered/<cluster>/`; `foreign` is what is not ours and was left alone."""

    written: tuple[str, ...]
    removed: tuple[str, ...]
    foreign: tuple[str, ...] = ()


def is_ours(path: str) -> bool:
    """Tell whether a path below `rendered/<cluster>/` is one that could have been rendered.

    >>> is_ours("nodes/node01/user-data"), is_ours("nodes/../user-data"), is_ours("x")
    (True, False, False)
    """
    return _OURS.fullmatch(path) is not None and ".." not in path.split("/")


def write(project: Project, files: Mapping[str, bytes]) -> Changes:
    """Write what differs, and remove what is no longer rendered.

    Raises:
        Problems: a link or something special is where one of our files belongs; then nothing was touched.
    """
    base, place = project.directory, project.rendered
    found = worktree.entries(base, place)
    raise_all(_in_the_way(project, found, files))
    present = _contents(project, found)
    written = [path for path, content in files.items() if present.get(path) != content]
    removed = sorted(present.keys() - files.keys())
    for path in written:
        worktree.write(base, f"{place}/{path}", files[path])
    for path in removed:
        worktree.remove(base, f"{place}/{path}", up_to=place)
    return Changes(tuple(written), tuple(removed), _foreign(found))


def difference(project: Project, files: Mapping[str, bytes]) -> str:
    """Show how what is there differs from what would be rendered, as a unified diff; empty when it does not.

    What is not ours is named, and its content not read.

    Raises:
        Problems: a link or something special is where one of our files belongs.
    """
    found = worktree.entries(project.directory, project.rendered)
    raise_all(_in_the_way(project, found, files))
    present = _contents(project, found)
    differing = (
        line
        for path in sorted(present.keys() | files.keys())
        for line in _diff(path, present.get(path), files.get(path))
    )
    foreign = (f"Only below {project.rendered}, and not a file of ours: {path}\n" for path in _foreign(found))
    return harmless("".join((*differing, *foreign)))


def _foreign(found: Mapping[str, Entry]) -> tuple[str, ...]:
    return tuple(path for path in found if not is_ours(path))


def _in_the_way(project: Project, found: Mapping[str, Entry], files: Mapping[str, bytes]) -> Iterator[Problem]:
    for path, entry in found.items():
        if entry.kind != "file" and (is_ours(path) or path in files):
            what = "a symbolic link" if entry.kind == "link" else "not a regular file"
            where = str(project.rendered_path / path)
            yield Problem(f"is {what} where a file of ours should be", where=where, hint="remove it, and render again")


def _contents(project: Project, found: Mapping[str, Entry]) -> dict[str, bytes]:
    ours = [path for path, entry in found.items() if entry.kind == "file" and is_ours(path)]
    read = {
        path: worktree.read(project.directory, f"{project.rendered}/{path}", limit_bytes=LIMIT_BYTES) for path in ours
    }
    return {path: content for path, content in read.items() if content is not None}


def _diff(path: str, old: bytes | None, new: bytes | None) -> Iterator[str]:
    before, after = ((content or b"").decode(errors="replace").splitlines(keepends=True) for content in (old, new))
    names = ("/dev/null" if old is None else f"a/{path}", "/dev/null" if new is None else f"b/{path}")
    for line in difflib.unified_diff(before, after, *names):
        yield line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"
