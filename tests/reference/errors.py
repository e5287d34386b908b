"""Makes `errors.md`: every error that names a hint, by an anchor that its words make."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from . import printed
from .printed import Printed

HEAD = """\
# Errors

Every error that names a hint, as the source says it: `{…}` is what only a run knows, and most have the place before
their words, a file with its line, a node, or an object of the provider. Where one has several hints, what was found
decides. [Troubleshooting](../troubleshooting.md) goes by what one sees, and says more of the likely ones.
"""
LONGEST = 12
"""Words of an anchor."""


@dataclass
class Error:
    """One sentence, whatever places say it, and what they hint at."""

    message: str
    hints: dict[str, None] = field(default_factory=dict)
    paths: dict[str, None] = field(default_factory=dict)

    @property
    def room(self) -> str:
        """Name the directory of the first place that says it."""
        return next(iter(self.paths)).rpartition("/")[0]

    @property
    def anchor(self) -> str:
        """Give the words that are always there; those of the hint where the message has none."""
        return "-".join((printed.words(self.message) or printed.words(next(iter(self.hints))))[:LONGEST])


def hinted(found: Sequence[Printed]) -> Mapping[str, Error]:
    """Gather what names a hint by its anchor, in the order of the files."""
    errors: dict[str, Error] = {}
    for one in found:
        for message in one.messages if one.has_hint and not one.is_passed_on else ():
            # What is passed on with a hint of its own is no sentence that another place has made.
            key = message if printed.words(message) else f"{message} {one.hints[0]}"
            error = errors.setdefault(key, Error(message))
            error.hints |= dict.fromkeys(one.hints)
            error.paths[one.path] = None
    by_anchor: dict[str, Error] = {}
    for error in errors.values():
        other = by_anchor.setdefault(error.anchor, error)
        assert other is error, f"{error.message!r} and {other.message!r} have one anchor"
    return by_anchor


def said(errors: Iterable[Error], line: str, hint: str) -> Sequence[Error]:
    """Find what can have said a line of a terminal with this hint below it."""
    fits = [one for one in errors if printed.fits(one.message, line.removeprefix("error: "), is_after_a_place=True)]
    return [one for one in fits if any(printed.fits(text, hint) for text in one.hints)]


def page() -> str:
    """Give the page."""
    return HEAD + "\n".join(_lines(hinted(printed.errors())))


def _lines(errors: Mapping[str, Error]) -> Iterator[str]:
    for room in sorted({error.room for error in errors.values()}):
        yield f"\n## `{room}`\n"
        for anchor, error in errors.items():
            if error.room == room:
                yield f"### {anchor}\n\n    error: {error.message}"
                yield from (f"      hint: {hint}" for hint in error.hints)
                yield f"\n{', '.join(f'[{path}](../../{path})' for path in error.paths)}\n"
