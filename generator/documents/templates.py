"""Renders one Jinja2 file strictly; an error names the template's file and line."""

from __future__ import annotations

import json
import traceback
from functools import cache
from pathlib import Path
from typing import Any

import jinja2

from generator.errors import Problem

SUFFIX = ".j2"


def render(path: Path, **values: object) -> str:
    """Fill a template in.

    Blocks leave no empty lines behind, and the last newline stays.

    Raises:
        Problem: the template is wrong, or asks for what it was not given.
    """
    try:
        return _template(path, path.read_text(encoding="utf-8")).render(**values)
    except jinja2.TemplateSyntaxError as error:
        raise Problem(error.message or "not a template", where=f"{_short(path)}:{error.lineno}") from error
    except (jinja2.TemplateError, AttributeError, LookupError, TypeError, ValueError) as error:
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
        place = f":{lines[-1]}" if lines else ""
        raise Problem(str(error), where=f"{_short(path)}{place}") from error


@cache
def _template(path: Path, source: str) -> jinja2.Template:
    # Compiled under the file's own name, so that a traceback has its line.
    code = _environment().compile(source, filename=str(path))
    return jinja2.Template.from_code(_environment(), code, _environment().globals)


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - what is made is no HTML; values are of checked forms
    )
    environment.filters["tojson"] = _json
    return environment


def _json(value: Any, indent: int | None = None) -> str:
    """Write JSON as it is; the built-in filter escapes it for HTML."""
    return json.dumps(value, indent=indent, default=str)


def _short(path: Path) -> str:
    """Name a template from the data directory on: `userdata/node/etc/…`."""
    parts = path.parts
    starts = [index for index, part in enumerate(parts) if part in ("userdata", "addons")]
    return str(Path(*parts[starts[-1] :])) if starts else str(path)
