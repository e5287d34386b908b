"""Says what changed in one file, in the words of that file: a key and its values, an option of a unit, or lines."""

from __future__ import annotations

import difflib
import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from generator.plain_text import harmless

MOST_LINES, LONGEST = 12, 160
MOST_BYTES = 256 * 1024
STRUCTURED = (".json", ".yaml", ".yml", ".toml", ".conflist")
DIGEST = re.compile(r"[0-9a-f]{64}")
LONG_WORD = 40
HOST = 2
"""Where an address has its host, between slashes."""
UNITS = (".service", ".timer", ".target", ".socket")
OPTIONS = ("/etc/systemd/", "/etc/sysctl.d/")
"""Where files of whatever ending have a name and a value in each line."""


def difference(path: str, before: str, after: str) -> tuple[str, ...]:
    """Say what changed, shortened; nothing where the two mean the same."""
    if before == after:
        return ()
    lines = list(_told(path, before, after)) or list(_lines(before, after))
    shown = [harmless(line)[:LONGEST] for line in lines[:MOST_LINES]]
    more = len(lines) - MOST_LINES
    return (*shown, f"and {more} more") if more > 0 else tuple(shown)


def _told(path: str, before: str, after: str) -> Iterator[str]:
    if max(len(before), len(after)) > MOST_BYTES:
        return
    if path.endswith(STRUCTURED):
        try:
            yield from changed(_parsed(path, before), _parsed(path, after))
        except (ValueError, yaml.YAMLError, RecursionError):
            return
    elif path.endswith(UNITS) or path.startswith(OPTIONS):
        yield from changed(dict(_options(before)), dict(_options(after)))


def changed(before: Any, after: Any, place: str = "") -> Iterator[str]:
    """Say of each key that differs what it was and is; of what is wholly new or gone only that.

    >>> list(changed({"maxPods": 110, "a": {"x": 1}}, {"maxPods": 60, "b": {"y": [2]}}))
    ['a is gone', 'b is new', 'maxPods 110 → 60']
    """
    was, is_now = _members(before), _members(after)
    if was is None or is_now is None:
        if isinstance(before, list) and isinstance(after, list) and len(before) == len(after) == 1:
            yield from changed(before[0], after[0], place)
        elif isinstance(before, list) and isinstance(after, list) and before and after:
            gone = [f"-{_shown(one)}" for one in before if one not in after]
            come = [f"+{_shown(one)}" for one in after if one not in before]
            if before != after:
                yield f"{place} {', '.join([*gone, *come]) or 'in another order'}".strip()
        elif before != after:
            yield f"{place} {' → '.join(_pair(_shown(before), _shown(after)))}".strip()
        return
    for key in sorted(was.keys() | is_now.keys()):
        name = f"{place}.{key}" if place else key
        if key not in was or key not in is_now:
            value = was.get(key, is_now.get(key))
            shown = "" if _members(value) is not None or value in ("", None) else f" {_shown(value)}"
            yield f"{name}{shown} is {'new' if key not in was else 'gone'}"
        else:
            yield from changed(was[key], is_now[key], name)


def _members(value: Any) -> dict[str, Any] | None:
    """Give what a value consists of by name; None where it is shown as a whole."""
    if isinstance(value, Mapping):
        return {str(key): one for key, one in value.items()}
    if isinstance(value, list) and value and all(isinstance(one, Mapping) for one in value):
        return {_name(number, one): one for number, one in enumerate(value)}
    return None


def _name(number: int, value: Mapping[str, Any]) -> str:
    """Name a member of a list: an object of Kubernetes by kind and name, others by their name or number."""
    metadata = value.get("metadata")
    if isinstance(metadata, Mapping) and "name" in metadata:
        return f"{value.get('kind', 'object')} {metadata['name']}"
    return str(value.get("name", number))


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_shown, value)) or "nothing"
    if isinstance(value, Mapping):
        return json.dumps(value, default=str)
    return "nothing" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _pair(before: str, after: str) -> tuple[str, str]:
    """Shorten what changed: of digests their beginnings, of long words that are alike the parts that differ.

    >>> _pair("https://example.com/releases/v1.2/bin/linux/kubelet", "https://example.com/releases/v1.3/bin/linux/kubelet")
    ('…/v1.2/…', '…/v1.3/…')
    """
    if DIGEST.fullmatch(before) and DIGEST.fullmatch(after) and before[:12] != after[:12]:
        return f"{before[:12]}…", f"{after[:12]}…"
    if min(len(before), len(after)) < LONG_WORD or " " in before + after:
        return before, after
    one, two = before.split("/"), after.split("/")
    head = next((place for place, (a, b) in enumerate(zip(one, two, strict=False)) if a != b), min(len(one), len(two)))
    rest_one, rest_two = one[head:], two[head:]
    same = zip(reversed(rest_one), reversed(rest_two), strict=False)
    tail = next((place for place, (a, b) in enumerate(same) if a != b), min(len(rest_one), len(rest_two)))
    if head <= HOST or not rest_one[: len(rest_one) - tail] or not rest_two[: len(rest_two) - tail]:
        return before, after  # what comes from elsewhere is shown whole
    first, last = "…/", "/…" if tail else ""
    return (
        f"{first}{'/'.join(rest_one[: len(rest_one) - tail])}{last}",
        f"{first}{'/'.join(rest_two[: len(rest_two) - tail])}{last}",
    )


def _parsed(path: str, text: str) -> Any:
    if path.endswith(".toml"):
        return tomllib.loads(text)
    if path.endswith((".json", ".conflist")):
        return json.loads(text)
    documents = [one for one in yaml.safe_load_all(text) if one is not None]
    return documents[0] if len(documents) == 1 else documents


def _options(text: str) -> Iterator[tuple[str, str]]:
    """Give a unit's options by name, each flag of a command line by itself; a repeated one by its number."""
    seen: dict[str, int] = {}
    for line in text.replace("\\\n", " ").splitlines():
        name, equals, value = line.strip().partition("=")
        if not equals or line.lstrip().startswith(("#", ";", "[")):
            continue
        words = value.split()
        flags = [word for word in words if word.startswith("--")]
        for word in flags if name.startswith("Exec") else ():
            flag, _, given = word.partition("=")
            yield f"{name} {flag}", given
        rest = " ".join(word for word in words if word not in flags) if name.startswith("Exec") else value
        seen[name] = seen.get(name, 0) + 1
        yield (name if seen[name] == 1 else f"{name} ({seen[name]})"), rest


def _lines(before: str, after: str) -> Iterator[str]:
    found = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=0)
    for line in found:
        if not line.startswith(("---", "+++", "@@")):
            yield f"{line[0]} {line[1:].strip()}"
