"""Says what keeps a file from being plain text, which a reviewer sees whole and a document holds as a block."""

from __future__ import annotations

from collections.abc import Iterator

from generator.errors import Problem


def decode(data: bytes) -> str:
    """Read bytes so that what is no text is left for `faults` to find."""
    return data.decode(errors="surrogateescape")


def faults(content: str, where: str) -> Iterator[Problem]:
    """Find what is not plain ASCII in lines that end where they seem to."""
    if not content.endswith("\n"):
        yield Problem("the last line has no newline", where=where)
    for number, line in enumerate(content.split("\n"), start=1):
        if not line.isascii() or not line.isprintable():
            yield Problem("not plain ASCII, or a tab", where=f"{where}:{number}")
        if line != line.rstrip():
            yield Problem("white space at the end of a line", where=f"{where}:{number}")
