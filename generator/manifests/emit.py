"""Writes values as YAML that every reader takes for the same, a key to a line, and long text as it stands."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

_WORD = r"[A-Za-z0-9_./@=,+:-]*[A-Za-z0-9_./@=,+-]"
_PLAIN = re.compile(rf"(?=[A-Za-z/])(?:{_WORD})(?: (?=[A-Za-z0-9]){_WORD})*")
_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf"})
"""What some reader takes for something else than text."""
_HIDDEN = re.compile("[\x7f-\x9f\xa0\xad\u061c\u200b-\u200f\u2028-\u202f\u2060-\u206f\ufeff\ufff0-\uffff]")
_BLOCK = re.compile(rf"(?!.*{_HIDDEN.pattern})[^\x00-\x08\x0b-\x1f]*", re.DOTALL)


def text(value: Any) -> str:
    """Write one document.

    >>> print(text({"a": [{"b": "no", "c": 1}, "x:y"], "d": "e\\nf\\n", "g": {}}), end="")
    a:
    - b: "no"
      c: 1
    - x:y
    d: |
      e
      f
    g: {}
    """
    return "".join(f"{line}\n" for line in _lines(value, 0))


def _lines(value: Any, indent: int) -> Iterator[str]:
    pad = " " * indent
    if isinstance(value, dict) and value:
        for key, child in value.items():
            yield from _entry(f"{pad}{_scalar(key)}:", child, indent)
    elif isinstance(value, list) and value:
        for child in value:
            if isinstance(child, dict | list) and child:
                first, *rest = _lines(child, indent + 2)
                yield f"{pad}- {first[indent + 2 :]}"
                yield from rest
            else:
                yield from _entry(f"{pad}-", child, indent)
    else:
        yield f"{pad}{_scalar(value)}"


def _entry(head: str, child: Any, indent: int) -> Iterator[str]:
    if isinstance(child, dict | list) and child:
        yield head
        yield from _lines(child, indent if isinstance(child, list) else indent + 2)
    elif isinstance(child, str) and "\n" in child and _is_block(child):
        end = "-" if not child.endswith("\n") else "+" if child.endswith("\n\n") else ""
        yield f"{head} |{end}"
        body = child if end == "-" else child[:-1]
        yield from (f"{' ' * (indent + 2)}{line}" if line else "" for line in body.split("\n"))
    else:
        yield f"{head} {_scalar(child)}"


def _is_block(value: str) -> bool:
    """Tell whether text can stand as it is: its first line decides the indentation, so that must have none itself."""
    return value[0] not in " \n\t" and bool(_BLOCK.fullmatch(value)) and value.strip("\n ") != ""


def _quoted(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


def _scalar(value: Any) -> str:
    if isinstance(value, str):
        is_plain = _PLAIN.fullmatch(value) and value.lower() not in _WORDS and not value.endswith(":")
        return value if is_plain else _HIDDEN.sub(lambda found: f"\\u{ord(found[0]):04x}", _quoted(value))
    return json.dumps(value)
