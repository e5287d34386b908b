"""Makes the pages of docs/reference/: from the schema, from the command line, from docstrings, and by rendering."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from inspect import getdoc, ismodule
from pathlib import Path
from typing import Any, get_args, get_origin

import click
import yaml
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from generator import catalogue
from generator.cli.main import EXIT_CODES, VERBS, gen
from generator.cluster import launch_lock
from generator.cluster.kinds.kind import Action, Kind
from generator.cluster.launch_part import LaunchFacts
from generator.cluster.observed import Observed, Report
from generator.description import tutorial
from generator.description.schema import ClusterSpec, PoolSpec
from generator.documents import addons, agent, render, roster, user_data
from generator.errors import Problem, Problems
from generator.pki import bundle
from generator.pki.store import KeyStore
from generator.plan.decide import Node, Plan
from generator.plan.inventory import Inventory
from generator.plan.project import Project
from generator.provider.resources import Droplet
from generator.release.lock_file import Release

HEAD = "<!-- Made by `pytest tests/test_reference.py --update`; a test says when it is stale. -->\n\n"

# Another valid value of each key: what it changes is found by rendering both.
OTHER: Mapping[str, Any] = {
    "name": "another",
    "region": "ams3",
    "release": "mine",
    "image": None,
    "network.vpc": "10.120.0.0/20",
    "network.nodes": "10.54.0.0/24",
    "network.pods": "10.52.0.0/16",
    "network.services": "10.53.0.0/16",
    "network.datapath": None,
    "pools[].name": "server",
    "pools[].role": None,
    "pools[].schedulable": None,
    "pools[].count": 5,
    "pools[].size": "s-4vcpu-8gb",
    "access.api": ["203.0.113.9/32"],
    "spaces.bucket": "another-bucket",
    "spaces.region": "ams3",
    "addons": ["bridge", "coredns", "ingress"],
}

# Each with the module or type that holds it; a word whose place is gone fails to import.
WORDS: Mapping[str, tuple[str, Any]] = {
    "action": ("one thing to do at the provider, safe to repeat", Action),
    "addon": ("what the bootstrap job applies once the API answers: DNS, ingress, the order book", addons),
    "agent": ("what a node runs to assemble itself; an archive that every document pins by digest", agent),
    "bundle": ("one node's secrets as one archive, sealed anew at each launch", bundle),
    "catalogue": ("what is known of the provider before it is asked", catalogue),
    "document": ("one node's cloud-config, `rendered/<cluster>/nodes/<node>/user-data`", user_data),
    "droplet": ("the machine that is a node for now", Droplet),
    "inventory": ("the committed facts of each key: subject, names, expiry, fingerprint; never a secret", Inventory),
    "kind": ("a kind of thing that a cluster has in the account or in its bucket, with all that is known of it", Kind),
    "launch lock": ("the object in the bucket that keeps two launches of one cluster apart", launch_lock),
    "launch part": ("what is only known at launch and travels beside the document: addresses, a key", LaunchFacts),
    "lock": ("a release's file of digests: every binary, package and image", Release),
    "node": ("a Kubernetes node and its identity, which survives its droplet", Node),
    "observed": ("everything that was seen of a cluster, as one value", Observed),
    "plan": ("every decision about a cluster, frozen", Plan),
    "pool": ("nodes that differ only in their number", PoolSpec),
    "report": ("a node's own account of its boot", Report),
    "roster": ("the one signed object that changes while a cluster lives: who is where, what is in force", roster),
    "spec": ("what a person wrote, checked, nothing derived", ClusterSpec),
    "store": ("the private directory of keys, `keys/<cluster>/`; never committed", KeyStore),
}


def pages(directory: Path) -> dict[str, str]:
    """Make every page by its name; a project is rendered in the directory."""
    return {"description.md": description(directory), "commands.md": commands(), "words.md": words()}


def description(directory: Path) -> str:
    """List every key of a description."""
    example = yaml.safe_load(tutorial.description("orderbook", "k8s-1.36"))
    rows = []
    for path, field, annotation in _keys(ClusterSpec, ""):
        default = "" if field.default is PydanticUndefined else _written(field.default)
        needed = "yes" if field.default is PydanticUndefined else "no"
        shown = _written(_value(example, path))
        rows.append((f"`{path}`", _kind(annotation), needed, default, shown, field.description))
    table = _table(("key", "type", "needed", "unless given", "the tutorial's", "meaning"), rows)
    changes = _table(("key", "to", "what a change of it does, after the first render"), _changes(directory, example))
    return (
        f"{HEAD}# `cluster.yaml`\n\n"
        "Unknown keys, anchors, tags and words that YAML readers disagree about are mistakes.\n\n"
        f"{table}\n## What a change does\n\n"
        "Found by rendering the tutorial's cluster before and after. A node whose document changes is recreated;\n"
        "a roster or an archive of addons that changes recreates none.\n\n"
        f"{changes}"
    )


def commands() -> str:
    """List every command with its arguments, options and exit codes."""
    text = f"{HEAD}# Commands\n\n"
    text += "Data goes to stdout, everything else to stderr.\n\n"
    text += _table(("exit code", "means"), [(code, meaning) for code, meaning in EXIT_CODES.items()])
    # As the program makes it: click keeps what a command's first context says of its help.
    context = click.Context(gen, info_name="gen", **gen.context_settings)
    for verb in VERBS:
        command = gen.get_command(context, verb) if isinstance(gen, click.Group) else None
        if command is None:
            raise LookupError(verb)
        text += "".join(_command(command, click.Context(command, info_name=verb, parent=context), 2))
    return text


def words() -> str:
    """List the words that mean something of their own here, and the module of each."""
    rows = [
        (word, meaning, f"`{place.__name__ if ismodule(place) else place.__module__}`")
        for word, (meaning, place) in WORDS.items()
    ]
    text = "The project's own few words; all others are those of Kubernetes, systemd, cloud-init and DigitalOcean.\n\n"
    return f"{HEAD}# Words\n\n{text}{_table(('word', 'means', 'where'), rows)}"


def _keys(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, Any, Any]]:
    for name, field in model.model_fields.items():
        path = f"{prefix}{name}"
        inner = field.annotation
        items = get_args(inner)[0] if get_origin(inner) is tuple else None
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from _keys(inner, f"{path}.")
        elif isinstance(items, type) and issubclass(items, BaseModel):
            yield from _keys(items, f"{path}[].")
        else:
            yield path, field, inner


def _kind(annotation: Any) -> str:
    if get_origin(annotation) is tuple:
        return f"list of {_kind(get_args(annotation)[0])}"
    choices = [one for one in get_args(annotation) if isinstance(one, str)]
    if choices:
        return " or ".join(f"`{choice}`" for choice in choices)
    names = {"str": "text", "int": "whole number", "bool": "`true` or `false`", "IPv4Network": "network"}
    found = [name for word, name in names.items() if re.search(rf"\b{word}\b", str(annotation))]
    return found[-1]


def _value(example: Any, path: str) -> Any:
    for step in path.replace("[]", ".0").split("."):
        if example is None:
            return None
        example = example[int(step)] if step.isdecimal() else example.get(step)
    return example


def _written(value: Any) -> str:
    if value is None:
        return ""
    text = str(value).lower() if isinstance(value, bool) else yaml.safe_dump(value, default_flow_style=True).strip()
    return f"`{text.removesuffix('...').strip()}`"


def _changes(directory: Path, example: Any) -> Iterator[tuple[str, str, str]]:
    """Render the tutorial's cluster, then with one key changed at a time."""
    file = directory / "cluster.yaml"
    tutorial.init(directory, "orderbook", "k8s-1.36")
    project = render.refresh(Project.load(file), now=datetime.now(UTC))
    before = render.documents(project)
    project.rendered_path.mkdir(parents=True)
    (project.rendered_path / "inventory.yaml").write_bytes(before["inventory.yaml"])
    lock = (Path(render.__file__).parents[1] / "release/locks/k8s-1.36.yaml").read_text()
    (directory / "releases").mkdir()
    other_lock = lock.replace("name: k8s-1.36\n", "name: mine\n", 1).replace("unpinned", f"sha256:{'a' * 64}")
    (directory / "releases/mine.yaml").write_text(other_lock)
    for path, _, _ in _keys(ClusterSpec, ""):
        value = OTHER[path]
        if value is None:
            alone = (
                "`false` needs a pool of workers" if path.endswith("schedulable") else "nothing else is possible yet"
            )
            yield f"`{path}`", "", alone
            continue
        changed = yaml.safe_load(yaml.safe_dump(example))
        *above, last = path.replace("[]", ".0").split(".")
        place = changed
        for step in above:
            place = place[int(step) if step.isdecimal() else step]
        place[last] = value
        there = directory / "changed"
        shutil.copytree(directory / "keys", there / "keys")
        shutil.copytree(directory / "rendered", there / "rendered")
        shutil.copytree(directory / "releases", there / "releases")
        (there / "cluster.yaml").write_text(yaml.safe_dump(changed))
        yield f"`{path}`", _written(value), _effect(there / "cluster.yaml", before)
        shutil.rmtree(there)


def _effect(file: Path, before: Mapping[str, bytes]) -> str:
    try:
        project = render.refresh(Project.load(file), now=datetime.now(UTC))
        after = render.documents(project)
    except (Problem, Problems) as refusal:
        first = refusal.problems[0] if isinstance(refusal, Problems) else refusal
        if "the plan says" in first.message:
            return "refused: the certificates that are made already say something else"
        return f"refused: {first.message}"
    if project.spec.name != "orderbook":
        return "describes another cluster, with keys of its own"
    changed = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    documents = {path for path in changed if path.startswith("nodes/")}
    kept = {path for path in documents if path in before and path in after}
    gone, new = documents - after.keys(), documents - before.keys()
    effects = [
        f"recreates {len(kept)} of {len(_documents(before))} nodes" if kept else "",
        f"adds {len(new)} nodes" if new else "",
        f"removes {len(gone)} nodes" if gone else "",
        "changes the addons" if any(path.startswith("addons/") for path in changed) else "",
        "changes the roster" if "roster.json" in changed else "",
    ]
    return ", ".join(filter(None, effects)) or "changes no document; the next launch sees it"


def _documents(files: Mapping[str, bytes]) -> list[str]:
    return [path for path in files if path.startswith("nodes/")]


def _command(command: click.Command, context: click.Context, depth: int) -> Iterator[str]:
    usage = " ".join(command.collect_usage_pieces(context))
    title = f"{'#' * depth} `{context.command_path}`"
    yield f"\n{title}\n\n{getdoc(command.callback)}\n\n    {context.command_path} {usage}\n"
    rows = []
    for parameter in command.get_params(context):
        if isinstance(parameter, click.Option) and parameter.name != "help" and "--help" not in parameter.opts:
            names = ", ".join(f"`{name}`" for name in (*parameter.opts, *parameter.secondary_opts))
            default = parameter.default if parameter.show_default and parameter.default is not None else ""
            rows.append((names, _takes(parameter), f"`{default}`" if default != "" else "", parameter.help or ""))
    if rows:
        yield "\n" + _table(("option", "takes", "unless given", "meaning"), rows)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            if inner is not None:
                yield from _command(inner, click.Context(inner, info_name=name, parent=context), depth + 1)


def _takes(option: click.Option) -> str:
    if option.is_flag:
        return ""
    if isinstance(option.type, click.Choice):
        return " or ".join(f"`{choice}`" for choice in option.type.choices)
    return option.metavar or {"path": "a file", "integer": "a number"}.get(option.type.name, option.type.name)


def _table(head: tuple[str, ...], rows: Any) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "".join(f"| {' | '.join(str(cell).replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)
