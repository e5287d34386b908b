"""Reads the description's keys out of the schema: path, sentence, type, default and the words of its rules."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from ipaddress import IPv4Network
from itertools import pairwise
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from generator.description.values import Rule


@dataclass(frozen=True)
class Key:
    """One key that holds a value, and no keys of its own."""

    path: str
    about: str
    field: FieldInfo

    @property
    def kind(self) -> str:
        """Name the type as a person would."""
        return _kind(self.field.annotation)

    @property
    def rules(self) -> list[str]:
        """Give the words of its rules, and of those for each entry of a list."""
        entries = get_args(self.field.annotation)
        found = [*self.field.metadata, *(one for entry in entries for one in _metadata(entry))]
        return [one.func.words for one in found if isinstance(getattr(one, "func", None), Rule)]

    @property
    def default(self) -> str:
        """Say what holds without the key."""
        if self.field.is_required():
            return "none: the key has to be there"
        return "none: it may be left out" if self.field.default is None else f"`{self.field.default}`"


def keys(model: type[BaseModel], prefix: str = "") -> Iterator[Key]:
    """List the keys that hold values, in the schema's order; `[]` stands for each entry of a list."""
    sentences = _sentences(model)
    for name, field in model.model_fields.items():
        path = f"{prefix}{name}"
        inner = _model(field.annotation)
        if inner is None:
            assert name in sentences, f"`{path}` has no line below it in the schema that says what it is"
            yield Key(path, sentences[name], field)
        else:
            is_list = get_origin(field.annotation) is tuple
            yield from keys(inner, f"{path}[]." if is_list else f"{path}.")


def _model(annotation: Any) -> type[BaseModel] | None:
    for found in (annotation, *get_args(annotation)):
        if isinstance(found, type) and issubclass(found, BaseModel):
            return found
    return None


def _sentences(model: type[BaseModel]) -> Mapping[str, str]:
    """Give the line below each key in the schema's source."""
    (body,) = (node.body for node in ast.parse(inspect.getsource(model)).body if isinstance(node, ast.ClassDef))
    return {
        key.target.id: str(ast.literal_eval(below.value))
        for key, below in pairwise(body)
        if isinstance(key, ast.AnnAssign) and isinstance(key.target, ast.Name) and isinstance(below, ast.Expr)
    }


def _metadata(annotation: Any) -> Sequence[Any]:
    return getattr(annotation, "__metadata__", ())


def _kind(annotation: Any) -> str:
    if _metadata(annotation):
        return _kind(get_args(annotation)[0])
    if get_origin(annotation) is Literal:
        return " or ".join(f"`{value}`" for value in get_args(annotation))
    if get_origin(annotation) is tuple:
        return f"list of {_kind(get_args(annotation)[0])}s"
    if NoneType in get_args(annotation):
        return _kind(next(one for one in get_args(annotation) if one is not NoneType))
    return {str: "text", int: "whole number", bool: "`true` or `false`", date: "date", IPv4Network: "IPv4 network"}[
        annotation
    ]
