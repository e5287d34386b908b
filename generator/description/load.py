"""Reads a description and reports every mistake in it at once, with line numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import date
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, TypeAdapter, ValidationError

from generator import strict_yaml, validation
from generator.description import rules
from generator.description.schema import AddonSpec, ClusterSpec, OrderBookSpec, PoolSpec
from generator.errors import Problem, raise_all
from generator.release import lock_file
from generator.strict_yaml import Document, Location

DESCRIPTION = Path("cluster.yaml")
"""The file that is read unless another is named; keys/, rendered/ and releases/ lie beside it."""

_CREDENTIAL = re.compile(
    r"-----BEGIN|do[opr]_v1_|\bDO[A-Z0-9]{18}\b|\bAKIA[A-Z0-9]{16}\b|X-Amz-Signature"
    r"|(?=[A-Za-z0-9+/=_-]*[A-Z])(?=[A-Za-z0-9+/=_-]*[a-z])(?=[A-Za-z0-9+/=_-]*[0-9])[A-Za-z0-9+/=_-]{36,}"
)


def load(path: Path, *, today: date | None = None) -> ClusterSpec:
    """Read a description.

    Args:
        today: the day by which `debug.until` has to be right; None where what is described is compared or looked
            at, and nothing comes of it any more.

    Raises:
        Problem: the file cannot be read.
        Problems: every mistake in it.
    """
    document = strict_yaml.load(path)
    secrets = [(place, problem) for place, problem in _credentials(document, document.value, ())]
    if secrets:
        # Other sentences would quote the value.
        raise_all(problem for _, problem in secrets)
    found: list[tuple[Location, Problem]] = []
    try:
        spec = ClusterSpec.model_validate(document.value)
    except ValidationError as error:
        found = list(validation.sentences(error, document, _keys))
    else:
        found = list(document.oddities)
    draft = _draft(document.value, {place for place, _ in found}, today)
    checked = [
        Problem(finding.message, where=document.where(finding.path), hint=finding.hint)
        for finding in rules.findings(draft)
    ]
    checked += _unknown_release(document, path.parent) if ("release",) not in {place for place, _ in found} else []
    raise_all(sorted([problem for _, problem in found] + checked, key=validation.line_of))
    return spec


def _unknown_release(document: Document, beside: Path) -> list[Problem]:
    known = lock_file.known(beside)
    name = document.value.get("release") if isinstance(document.value, dict) else None
    if name is None or name in known:
        return []
    hint = validation.suggestion(name, known) or f"known: {', '.join(known)}"
    message = f"`release` is {validation.shown(name)}, and there is no such lock file"
    return [Problem(message, where=document.where(("release",)), hint=hint)]


def _keys(path: Location) -> Sequence[str]:
    """Name the known keys at a path of the description."""
    model: Any = ClusterSpec
    for step in path:
        annotation = model.model_fields[step].annotation if isinstance(step, str) else model
        model = get_args(annotation)[0] if get_args(annotation) else annotation
    return list(model.model_fields) if isinstance(model, type) and issubclass(model, BaseModel) else []


def _credentials(document: Document, value: Any, path: Location) -> Iterator[tuple[Location, Problem]]:
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield from _credentials(document, child, (*path, key))
        if isinstance(key, str) and _CREDENTIAL.search(key):
            yield path, _leak("a key", document.where((*path, key)))
    if isinstance(value, str) and _CREDENTIAL.search(value):
        yield path, _leak(f"`{validation.name_of(path)}`", document.where(path))


def _leak(what: str, where: str) -> Problem:
    hint = "credentials come from the environment; if this file was ever committed, revoke this one"
    return Problem(f"{what} looks like a credential (not shown)", where=where, hint=hint)


def _draft(value: Any, wrong: set[Location], today: date | None) -> rules.Draft:
    """Take what is right by itself, so that the other checks can go on beside a mistake."""

    def right(*path: str | int) -> bool:
        return not any(place[: len(path)] == path or path[: len(place)] == place for place in wrong)

    top: dict[str, Any] = value if isinstance(value, dict) else {}
    network = top.get("network") if right("network") or isinstance(top.get("network"), dict) else {}
    network = network if isinstance(network, dict) else {}
    names = [name for name in ("vpc", "nodes", "pods", "services") if name in network and right("network", name)]
    pools = top.get("pools")
    access = top.get("access")
    api = access.get("api") if isinstance(access, dict) else None
    ingress = top.get("ingress")
    served = ingress.get("namespaces") if isinstance(ingress, dict) else None
    served = served if isinstance(served, list) else []
    book = top.get("order_book")
    book = book if isinstance(book, dict) else {}
    spaces = top.get("spaces")
    spaces = spaces if isinstance(spaces, dict) else {}
    debug = top.get("debug")
    debug = debug if isinstance(debug, dict) else {}
    keys = debug.get("ssh_keys")
    keys = keys if isinstance(keys, list) else []
    addons = top.get("addons")
    pool, addon = TypeAdapter(PoolSpec), TypeAdapter(AddonSpec)
    return rules.Draft(
        name=top["name"] if "name" in top and right("name") else None,
        region=top["region"] if "region" in top and right("region") else None,
        networks={name: IPv4Network(network[name]) for name in names},
        pools=None
        if not isinstance(pools, list)
        else [pool.validate_python(item) if right("pools", index) else None for index, item in enumerate(pools)],
        api=None
        if not isinstance(api, list)
        else [IPv4Network(item) if right("access", "api", index) else None for index, item in enumerate(api)],
        served=[item if right("ingress", "namespaces", index) else None for index, item in enumerate(served)],
        bucket=spaces["bucket"] if "bucket" in spaces and right("spaces", "bucket") else None,
        state=spaces.get("state") if right("spaces", "state") else "",
        order_book=[key for key in OrderBookSpec.model_fields if key in book],
        addons=None
        if not isinstance(addons, list)
        else [addon.validate_python(item) if right("addons", index) else None for index, item in enumerate(addons)],
        ssh_keys=[item if right("debug", "ssh_keys", index) else None for index, item in enumerate(keys)],
        until=date.fromisoformat(debug["until"]) if "until" in debug and right("debug", "until") else None,
        today=today,
    )
