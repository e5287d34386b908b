"""Measures how Spaces behave, below the run's own prefix of one bucket."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from generator import waiting
from generator.cluster import bucket_policy, expiry_rules
from generator.probe.clean import public_place
from generator.probe.scope import Place, Scope
from generator.probe.wire import Wire
from generator.provider.spaces import Spaces

SHORT, LONG = timedelta(seconds=1), timedelta(minutes=5)
POLLS = 30 * (1.0,)
"""Half a minute: an address expires, a policy comes into force."""


def measure(
    spaces: Spaces, scope: Scope, place: Place, wire: Wire, sleep: Callable[[float], None]
) -> Mapping[str, Any]:
    """Write, read and ask, with the key, with addresses that carry a signature, and without either."""
    key, public = f"{scope.prefix}private", f"{scope.prefix}public/object"
    spaces.put(key, b"one")
    spaces.put(public, b"one")
    expired = spaces.presign_get(key, SHORT)
    facts: dict[str, Any] = {
        "second_write_is_refused": not spaces.put(key, b"two", only_new=True),
        "presigned_put": wire.ask(spaces.presign_put(f"{scope.prefix}put", LONG), b"three"),
        "presigned_get": wire.ask(spaces.presign_get(key, LONG)),
        "is_listed": any(one.key == key for one in spaces.objects(scope.prefix)),
        "missing": wire.ask(spaces.presign_get(f"{scope.prefix}missing", LONG)),
        **_policy(spaces, scope, place, wire, sleep),
    }
    if place.is_made:
        facts["rules_come_back"] = _rules(spaces, scope)

    def status() -> int | None:
        answered = wire.ask(expired)
        return None if answered == 200 else answered

    return {**facts, "expired": waiting.until(status, POLLS, sleep) or 200}


def _policy(
    spaces: Spaces, scope: Scope, place: Place, wire: Wire, sleep: Callable[[float], None]
) -> Mapping[str, Any]:
    """Let anybody read below the public prefix for a while; others' statements stay as they are."""
    own = public_place(scope, place)
    try:
        policy = bucket_policy.mended(spaces.policy(), own)
    except bucket_policy.Unreadable:
        return {}
    spaces.put_policy(policy)
    inside, outside = spaces.url(f"{own.public}/object"), spaces.url(f"{scope.prefix}private")

    def readable() -> int | None:
        return status if (status := wire.ask(inside)) == 200 else None

    found = waiting.until(readable, POLLS, sleep) or wire.ask(inside)
    return {"inside_the_policy": found, "outside_the_policy": wire.ask(outside)}


def _rules(spaces: Spaces, scope: Scope) -> bool:
    """Put a rule by which objects expire, and see whether it comes back; the bucket is the run's own."""
    name = scope.prefix.rstrip("/")
    if spaces.lifecycle() is None:
        return False
    spaces.put_lifecycle([expiry_rules.planned(name)])
    return expiry_rules.is_planned(spaces.lifecycle() or (), name)
