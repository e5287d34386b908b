"""Asks how Spaces keys behave that are limited to one bucket: what they open, what they don't, and when they end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from generator import waiting
from generator.cluster.kinds import state_access
from generator.cluster.kinds.state_access import COLLECTION, PERMISSION
from generator.probe.droplets import PAUSE, Lags
from generator.probe.questions import NotAsked
from generator.probe.scope import Place, Scope
from generator.provider.connection import Connection
from generator.provider.digitalocean import Cloud
from generator.provider.resources import SpacesKey
from generator.provider.retry import Refused, inside
from generator.provider.spaces import Spaces, Trouble

POLLS = 180 * (PAUSE,)
_TEXT = b"one"


def measure(
    cloud: Cloud, connection: Connection, scope: Scope, places: tuple[Place, Place], facts: dict[str, Any]
) -> None:
    """Make a key, use it where it may be used and where not, and delete it; `facts` fill meanwhile.

    Args:
        places: the bucket that it is limited to, and another of the account.

    Raises:
        NotAsked: the token may not.
    """
    own, other = places
    lags, clock = Lags(cloud.clock, facts), cloud.clock
    body = {"name": scope.name, "grants": [{"bucket": own.bucket, "permission": PERMISSION}]}
    answer = cloud.try_to_create(COLLECTION, body)
    if answer.status in state_access.DENIED:
        raise NotAsked("the token may not make Spaces keys, or the account has none that are limited")
    facts["created"] = answer.status
    if answer.status >= 400:
        raise Refused(answer, f"Spaces key {scope.name}")
    key = inside(COLLECTION.key, COLLECTION.read)(answer)
    facts["secret_is_told"] = key.secret is not None

    def listed(name: str) -> SpacesKey | None:
        return next((one for one in state_access.listed(cloud, scope.name) or () if one.id == name), None)

    def noted(look: Callable[[], Any], lag: str) -> Any:
        """Look until something is found, and note for how long it is not."""
        since = clock.now()
        lags.begin(lag)

        def once() -> Any:
            if (found := look()) is None:
                lags.note(lag, since)
            return found

        return waiting.until(once, POLLS, clock.sleep)

    shown = noted(lambda: listed(key.id), "list_lag_ms")
    if shown is not None:
        facts["grants_come_back"] = shown.grants == ((own.bucket, PERMISSION),)
        facts["secret_is_told_again"] = shown.secret is not None
    if key.secret is None:
        return
    limited = replace(connection, spaces_key_id=key.id, spaces_secret=key.secret)
    inner, outer = (Spaces(limited, bucket=one.bucket, region=one.region) for one in places)
    owner = Spaces(connection, bucket=other.bucket, region=other.region)
    private = f"{scope.prefix}private"
    owner.put(private, _TEXT)
    noted(lambda: _code(lambda: inner.put(private, _TEXT)) == "" or None, "work_lag_ms")
    facts["may"] = [name for name, act in _uses(inner, private).items() if _code(act) == ""]
    facts["reads_another_bucket"] = _code(lambda: outer.get(private))
    facts["writes_another_bucket"] = _code(lambda: outer.put(private, b"two"))
    facts["sets_the_policy"] = refused = _code(lambda: inner.put_policy(_open(inner.bucket, scope.prefix)))
    if not refused:
        owner.beside(inner.bucket).put_policy(None)
    answer = cloud.try_to_create(COLLECTION, body)
    facts["name_twice"] = answer.status
    if answer.status < 400:  # what removes it has to see it
        second = inside(COLLECTION.key, COLLECTION.read)(answer)
        noted(lambda: listed(second.id), "list_lag_ms")
    facts["deleted"] = status = cloud.try_to_delete(COLLECTION, key.id, f"Spaces key {key.name}").status
    if status < 400:
        facts["opens_once_deleted"] = noted(lambda: _code(lambda: inner.objects(scope.prefix)) or None, "end_lag_ms")


def _uses(spaces: Spaces, key: str) -> Mapping[str, Callable[[], object]]:
    """Say what a node, or who restores, does with such a key."""
    return {
        "put": lambda: spaces.put(key, _TEXT),
        "get": lambda: spaces.get(key),
        "list": lambda: spaces.objects(key),
        "delete": lambda: spaces.delete(key),
    }


def _code(act: Callable[[], object]) -> str:
    """Give the code that Spaces refuse something with; none where they do it."""
    try:
        act()
    except Trouble as trouble:
        return trouble.code or "nobody"
    return ""


def _open(bucket: str, prefix: str) -> str:
    """Write a policy by which anybody may read what is not there."""
    return (
        '{"Version":"2012-10-17","Statement":[{"Sid":"probe","Effect":"Allow","Principal":"*","Action":"s3:GetObject",'
        f'"Resource":"arn:aws:s3:::{bucket}/{prefix}nothing"}}]}}'
    )
