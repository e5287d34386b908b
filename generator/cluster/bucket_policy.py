"""Compares a bucket's policy with what is planned, which is that anyone may read below one prefix; pure.

The bucket may be shared: a statement is the cluster's own when all its resources lie below the cluster's prefix, is
nobody's business here when none of them can reach that, and everything else is wider than planned.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucket-policies.html
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Literal

ARN = "arn:aws:s3:::"
READ = "s3:GetObject"
PLANNED_KEYS = {"Sid", "Effect", "Principal", "Action", "Resource"}
NEGATIONS = {"NotPrincipal": "all but some", "NotAction": "all actions but some", "NotResource": "all objects but some"}
KEYS = {*PLANNED_KEYS, *NEGATIONS, "Condition"}

Reach = Literal["own", "elsewhere", "beyond"]


class Unreadable(ValueError):  # noqa: N818 - what it is
    """A policy is none."""


@dataclass(frozen=True)
class Place:
    """A cluster's place in a bucket: all below `prefix` is its own, anyone may read below `public`."""

    bucket: str
    prefix: str
    public: str

    @property
    def statement(self) -> Mapping[str, Any]:
        """Give the one statement that is planned."""
        # A Sid is unique within a policy and holds letters and digits only; a cluster's name may hold dashes.
        cluster = self.prefix.removesuffix("/")
        return {
            "Sid": f"HardwayPublicRead{sha256(cluster.encode()).hexdigest()[:16]}",
            "Effect": "Allow",
            "Principal": "*",
            "Action": READ,
            "Resource": f"{ARN}{self.bucket}/{self.public}/*",
        }


def wider(text: str | None, place: Place) -> tuple[str, ...]:
    """Say what a policy allows in the cluster's place that no launch may take back, as it is not the cluster's alone.

    >>> wider('{"Statement": []}', Place("b", "c/", "c/id/public"))
    ()
    """
    try:
        statements = _statements(text)
    except Unreadable as error:
        return (f"can't be understood: {error}",)
    return tuple(_words(one) for one in statements if _widens(one, place))


def stands_alone(text: str | None, place: Place) -> bool:
    """Tell whether nothing in a policy is another's: without it all, nobody else loses anything that is wanted."""
    try:
        return all(_reach(one, place) == "own" or _widens(one, place) for one in _statements(text))
    except Unreadable:
        return True


def own(text: str | None, place: Place) -> tuple[str, ...]:
    """Say what a policy allows by the cluster's own statements; nothing where it can't be understood."""
    try:
        return tuple(_words(one) for one in _statements(text) if _reach(one, place) == "own")
    except Unreadable:
        return ()


def unplanned(text: str | None, place: Place) -> tuple[str, ...]:
    """Say what the cluster's own statements allow beside what is planned.

    Raises:
        Unreadable: it is no policy.
    """
    found = [one for one in _statements(text) if _reach(one, place) == "own"]
    return tuple(_words(one) for one in found if not _allows_what_is_planned(one, place))


def is_planned(text: str | None, place: Place) -> bool:
    """Tell whether the cluster's own statements are the planned one."""
    found = [one for one in _statements(text) if _reach(one, place) == "own"]
    return len(found) == 1 and _allows_what_is_planned(found[0], place)


def mended(text: str | None, place: Place) -> str:
    """Write the policy with the planned statement as the only one of the cluster's own; others stay as they are."""
    return _written([*_foreign(text, place), place.statement])


def withdrawn(text: str | None, place: Place) -> str | None:
    """Write the policy without any statement of the cluster's own; None when nothing is left."""
    foreign = _foreign(text, place)
    return _written(foreign) if foreign else None


def _statements(text: str | None) -> list[Mapping[str, Any]]:
    if text is None:
        return []
    try:
        policy = json.loads(text, object_pairs_hook=_once)
    except RecursionError as error:
        raise Unreadable("nested without end") from error
    except ValueError as error:
        raise Unreadable(str(error)) from error
    if not isinstance(policy, dict):
        raise Unreadable("it is no object")
    if unknown := policy.keys() - {"Version", "Id", "Statement"}:
        raise Unreadable(f"`{min(unknown)}` is no key of one")
    found = policy.get("Statement", [])
    found = found if isinstance(found, list) else [found]
    for one in found:
        if not isinstance(one, dict):
            raise Unreadable("a statement is no object")
        # The same word in other letters is another key to us, and perhaps not to the store.
        if unknown := one.keys() - KEYS:
            raise Unreadable(f"`{min(unknown)}` is no key of a statement")
        if one.get("Effect") not in ("Allow", "Deny"):
            raise Unreadable("a statement neither allows nor denies")
    return found


def _once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse a key that is there twice: the store may have read the other one."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Unreadable("it has a key twice")
    return found


def _foreign(text: str | None, place: Place) -> list[Mapping[str, Any]]:
    return [one for one in _statements(text) if _reach(one, place) != "own"]


def _written(statements: Sequence[Mapping[str, Any]]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def _widens(statement: Mapping[str, Any], place: Place) -> bool:
    """Tell whether a statement that isn't the cluster's own gives anything away in its place."""
    return statement["Effect"] == "Allow" and _reach(statement, place) == "beyond"


def _reach(statement: Mapping[str, Any], place: Place) -> Reach:
    resources = _several(statement.get("Resource"))
    if not resources or "NotResource" in statement:
        return "beyond"
    reaches = {_reach_of(one, place) for one in resources}
    return reaches.pop() if len(reaches) == 1 else "beyond"


def _reach_of(resource: str, place: Place) -> Reach:
    """Tell what a pattern can match; a variable may stand for anything.

    >>> place = Place("b", "c/", "c/id/public")
    >>> [_reach_of(f"arn:aws:s3:::{one}", place) for one in ("b/c/x*", "b/d/*", "b/c*", "b/?/x", "b")]
    ['own', 'elsewhere', 'beyond', 'beyond', 'beyond']
    """
    if not resource.startswith(ARN):
        return "beyond"
    pattern, start = resource.removeprefix(ARN), f"{place.bucket}/{place.prefix}"
    if pattern.startswith(start):
        return "own"
    for position, wanted in enumerate(start):
        if position == len(pattern):
            # It ends here, and so is no object of the cluster's; the bucket itself is everybody's.
            return "beyond" if "/" not in pattern else "elsewhere"
        if pattern[position] == "*" or pattern.startswith("${", position):
            return "beyond"
        if pattern[position] not in ("?", wanted):
            return "elsewhere"
    return "beyond"


def _allows_what_is_planned(statement: Mapping[str, Any], place: Place) -> bool:
    planned = place.statement
    return (
        statement.keys() <= PLANNED_KEYS
        and statement.get("Effect") == "Allow"
        and _principals(statement) == ["*"]
        and _several(statement.get("Action")) == [READ]
        and _several(statement.get("Resource")) == [planned["Resource"]]
    )


def _several(value: Any) -> list[str]:
    """Give one word or several; none where there is anything else among them."""
    found = value if isinstance(value, list) else [value]
    return found if all(isinstance(one, str) for one in found) else []


def _principals(statement: Mapping[str, Any]) -> list[str]:
    value = statement.get("Principal")
    return _several(value.get("AWS")) if isinstance(value, dict) and value.keys() == {"AWS"} else _several(value)


def _words(statement: Mapping[str, Any]) -> str:
    """Say what a statement allows."""
    who = ", ".join("everybody" if one == "*" else one for one in _principals(statement))
    who = who or ("some" if "Principal" in statement else _missing(statement, "Principal"))
    condition = " under a condition" if "Condition" in statement else ""
    what = f"{_listed(statement, 'Action')} on {_listed(statement, 'Resource')}{condition}"
    return f"lets {who} do {what}" if statement["Effect"] == "Allow" else f"forbids {who} {what}"


def _listed(statement: Mapping[str, Any], key: str) -> str:
    return ", ".join(_several(statement.get(key))) or _missing(statement, key)


def _missing(statement: Mapping[str, Any], key: str) -> str:
    return NEGATIONS[f"Not{key}"] if f"Not{key}" in statement else "what can't be read"
