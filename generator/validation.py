"""Turns a document into a type, and everything that does not fit into sentences with file and line."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from generator.errors import Problem, Problems, raise_all
from generator.strict_yaml import Document, Location

T = TypeVar("T")

_KINDS = {
    "string_type": "text",
    "int_type": "a whole number",
    "bool_type": "`true` or `false`",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "mapping_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "dataclass_type": "a mapping",
    "frozen_set_type": "a list",
}


class Misfit(ValueError):  # noqa: N818 - it becomes a problem, with the field's name before it
    """A value that a field's own rule refuses; the sentence follows the value, the hint stands alone."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def read(adapter: TypeAdapter[T], document: Document, *, keys: Callable[[Location], Sequence[str]] = lambda _: ()) -> T:
    """Validate a document.

    Args:
        adapter: the type; its models refuse unknown keys.
        document: what was read.
        keys: the known keys at a path, for `did you mean`.

    Raises:
        Problems: everything that does not fit.
    """
    try:
        value = adapter.validate_python(document.value)
    except ValidationError as error:
        raise Problems(problem for _, problem in sentences(error, document, keys)) from error
    raise_all(problem for _, problem in document.oddities)
    return value


def sentences(
    error: ValidationError, document: Document, keys: Callable[[Location], Sequence[str]] = lambda _: ()
) -> Iterable[tuple[Location, Problem]]:
    """Say each of pydantic's findings as one problem, in the order of the file."""
    odd = {path for path, _ in document.oddities}
    found = [_sentence(details, document, keys) for details in error.errors(include_url=False)]
    found = [*document.oddities, *(pair for pair in found if pair[0] not in odd)]
    return sorted(found, key=lambda pair: line_of(pair[1]))


def line_of(problem: Problem) -> int:
    """Give the line a problem names, to show problems in the order of the file."""
    return int((problem.where or ":0").rpartition(":")[2])


def name_of(path: Location) -> str:
    """Write a path as people do: `pools[0].count`.

    >>> name_of(("pools", 0, "count"))
    'pools[0].count'
    """
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".")


def shown(value: Any) -> str:
    """Show a value as the user wrote it, shortened and on one line.

    >>> shown("a\\nb"), shown(True), shown(None)
    ("'a\\\\nb'", 'true', 'empty')
    """
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    text = ascii(value)
    return text if len(text) <= 80 else f"{text[:76]}…{text[-1]}"


def suggestion(word: str, known: Iterable[str]) -> str | None:
    """Ask whether one of the known words was meant."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"did you mean `{close[0]}`?" if close else None


def _sentence(
    details: ErrorDetails, document: Document, keys: Callable[[Location], Sequence[str]]
) -> tuple[Location, Problem]:
    path: Location = tuple(details["loc"])
    name, value, where = name_of(path), details["input"], document.where(path)
    kind, context = details["type"], details.get("ctx", {})
    if not path:
        return path, Problem(f"the file is {shown(value)}, not a mapping of keys", where=where)
    if kind in ("extra_forbidden", "unexpected_keyword_argument"):
        known = keys(path[:-1])
        hint = suggestion(str(path[-1]), known) or (f"known keys: {', '.join(known)}" if known else None)
        return path, Problem(f"`{name}` is not a known key", where=where, hint=hint)
    if kind in ("missing", "missing_argument"):
        return path, Problem(f"`{name}` is missing", where=where)
    if kind == "literal_error":
        expected = str(context["expected"]).replace(" or ", ", ").replace("'", "`")
        hint = suggestion(str(value), expected.replace("`", "").split(", "))
        return path, Problem(f"`{name}` is {shown(value)}, not one of {expected}", where=where, hint=hint)
    raised = context.get("error")
    if isinstance(raised, Misfit):
        return path, Problem(f"`{name}` is {shown(value)}: {raised.message}", where=where, hint=raised.hint)
    if kind in _KINDS:
        hint = f'write "{value}" in quotes' if kind == "string_type" and isinstance(value, int) else None
        return path, Problem(f"`{name}` is {shown(value)}, not {_KINDS[kind]}", where=where, hint=hint)
    message = details["msg"][0].lower() + details["msg"][1:]
    return path, Problem(f"`{name}` is {shown(value)}: {message}", where=where)
