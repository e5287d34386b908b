"""Makes `commands.md` from the commands as click knows them, never from what a terminal shows."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

import click

from generator.cli import main

HEAD = """\
# Commands

Data goes to stdout, everything else to stderr. `-h` or `--help` on any of them shows what stands here.

| exit code | means |
|---|---|
{codes}

`gen status` says by its help when it is 1; `gen lab exec` and `gen lab logs` exit with the code of what they run.
"""


def page() -> str:
    """Give the page."""
    return "\n".join([HEAD.format(codes="\n".join(_codes())), *_command("gen", main.gen, None)])


def _codes() -> Iterator[str]:
    """Give a row for each exit code, in the words of the program's own help."""
    told = re.search(r"Exit codes: (.*?)\.$", " ".join((main.gen.help or "").split()))
    assert told, "`gen --help` lists the exit codes"
    rows = [part.split(" ", 1) for part in told[1].split(", ")]
    assert [int(code) for code, _ in rows] == [main.DONE, main.PROBLEMS, main.USAGE, main.INTERRUPTED]
    return (f"| {code} | {meaning} |" for code, meaning in rows)


def _command(name: str, command: click.Command, above: click.Context | None) -> Iterator[str]:
    """Describe a command, then those below it."""
    # As the program makes it: click keeps what a command's first context says of its help.
    context = click.Context(command, parent=above, info_name=name, **command.context_settings)
    if above is not None:
        yield from _about(command, context)
    if isinstance(command, click.Group):
        for below in command.list_commands(context):
            found = command.get_command(context, below)
            assert found is not None
            yield from _command(below, found, context)


def _about(command: click.Command, context: click.Context) -> Iterator[str]:
    yield f"## `{context.command_path}`\n"
    yield f"    {context.command_path} {' '.join(command.collect_usage_pieces(context))}\n"
    yield from (f"{' '.join(part.split())}\n" for part in inspect.cleandoc(command.help or "").split("\n\n"))
    parameters = [one for one in command.params if not getattr(one, "hidden", False)]
    if parameters:
        rows = [_row(one, context) for one in parameters]
        yield "\n".join(("| | takes | default | |", "|---|---|---|---|", *rows)) + "\n"


def _row(parameter: click.Parameter, context: click.Context) -> str:
    if isinstance(parameter, click.Option):
        names = ", ".join(f"`{name}`" for name in (*parameter.opts, *parameter.secondary_opts))
        does = parameter.help or ""
        does += " Can be given several times." if parameter.multiple else ""
    else:
        names = f"`{(parameter.name or '').upper()}`"
        does = "Has to be given" if parameter.required else "May be left out"
        does += "; several are possible." if parameter.nargs == -1 else "."
    return f"| {names} | {_takes(parameter)} | {_default(parameter, context)} | {does} |"


def _takes(parameter: click.Parameter) -> str:
    if isinstance(parameter, click.Option) and parameter.is_flag:
        return "–"
    if parameter.metavar:
        return f"`{parameter.metavar}`"
    if isinstance(parameter.type, click.Choice):
        return ", ".join(f"`{choice}`" for choice in parameter.type.choices)
    if isinstance(parameter.type, click.IntRange):
        return f"{parameter.type.min} to {parameter.type.max}"
    return "whole number" if parameter.type is click.INT else parameter.type.name


def _default(parameter: click.Parameter, context: click.Context) -> str:
    value = parameter.get_default(context)
    shown = getattr(parameter, "show_default", None)
    value = shown if isinstance(shown, str) else value
    if value in (None, False, ()) or value is getattr(click.core, "UNSET", None):
        return "–"
    return f"`{value}`"
