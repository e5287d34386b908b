"""Makes text from outside harmless to a terminal and to whoever reads it there."""

from __future__ import annotations

import unicodedata

LONGEST_LINE = 1000
"""What is longer is cut: nobody reads it, and it hides what follows."""

# Letters that are written from right to left reorder what stands beside them.
_REORDERING = ("R", "AL", "AN")


def harmless(text: str) -> str:
    r"""Write out every character that moves a cursor, changes colours, hides or reorders text; keep line ends.

    >>> harmless("red\x1b[31m\u202eabc\nnext")
    'red\\x1b[31m\\u202eabc\nnext'
    """
    return "\n".join(_line(line) for line in text.split("\n"))


def clean(text: str) -> str:
    r"""Take out everything that would move a terminal's cursor, change its colours or hide text.

    >>> clean("red\x1b[31m\r\n\u202e")
    'red[31m'
    """
    return "".join(char for char in text if char == " " or unicodedata.category(char)[0] not in "CZ")


def _line(line: str) -> str:
    written = "".join(character if _is_plain(character) else _escaped(character) for character in line)
    return written if len(written) <= LONGEST_LINE else f"{written[:LONGEST_LINE]}…"


def _is_plain(character: str) -> bool:
    if character == " " or " " < character < "\x7f":
        return True
    return unicodedata.category(character)[0] not in "CZ" and unicodedata.bidirectional(character) not in _REORDERING


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
