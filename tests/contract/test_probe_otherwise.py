"""A lab that treats volumes, reserved addresses and Spaces keys otherwise than is believed: a probe says just that."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from types import ModuleType
from typing import Any

import pytest

from generator.clock import Clock
from generator.lab.account import api as lab_api
from generator.lab.account import droplets as lab_droplets
from generator.lab.account import reserved_ips, spaces_keys, volumes
from generator.lab.account.account import Refusal, unprocessable
from generator.lab.services import limited_keys
from generator.probe import beliefs, verdicts
from generator.probe.beliefs import Phase
from generator.probe.questions import Questions
from generator.probe.run import Run
from tests.contract.operating import versitygw
from tests.contract.test_probe import BELIEVED, OWNED, Droplets, Time, nothing_is_left
from tests.contract.world import KEY_ID, REGION, World, running

LATE = 90.0
"""Seconds after which the lab shows what is believed to show before."""
Patch = Callable[[pytest.MonkeyPatch, World], None]


def does(module: ModuleType, name: str, other: Callable[..., Any]) -> Patch:
    """Have the lab do something otherwise; `other` is given first what it did until now."""
    real = getattr(module, name)
    return lambda patch, _: patch.setattr(module, name, partial(other, real))


def refuses(
    module: ModuleType, name: str, when: Callable[..., object], status: int = 412, message: str = "no"
) -> Patch:
    """Have the lab refuse something that it does, or refuse it otherwise."""

    def other(real: Callable[..., Any], *words: Any) -> Any:
        if when(*words):
            raise Refusal(status, "no", message)
        return real(*words)

    return does(module, name, other)


def stores(odd: Callable[[World, str], bytes | None]) -> Patch:
    """Have the store refuse what keys other than the operator's ask of it, with a code."""

    def patch(_: pytest.MonkeyPatch, world: World) -> None:
        def rule(_method: str, _path: str, headers: Mapping[str, str]) -> tuple[int, bytes] | None:
            credential = headers.get("Authorization", "").partition("Credential=")[2].partition("/")[0]
            code = odd(world, credential) if credential not in ("", KEY_ID) else None
            return None if code is None else (403, b"<Error><Code>%s</Code><Message/></Error>" % code)

        world.twist.rules.append(rule)

    return patch


def same_name(real: Any, account: Any, body: Any, now: float) -> Any:
    made = real(account, {**body, "name": f"{body['name']}-{len(account.volumes)}"}, now)
    made.name = body["name"]
    return made


def mute(real: Any, *words: Any) -> Any:
    try:
        return real(*words)
    except Refusal:
        raise unprocessable("no") from None


def lets(kind: str, when: Callable[[Any, Any, Any, float], bool]) -> Callable[..., Any]:
    """Say that an action on a volume is taken where it is refused."""

    def other(real: Any, account: Any, key: str, body: Any, now: float) -> Any:
        volume = volumes.find(account, key)
        if body["type"] == kind and when(account, volume, body, now):
            return account.add_action(f"{kind}_volume", 0, volume.region, now, now, resource="volume")
        return real(account, key, body, now)

    return other


def second(real: Any, account: Any, body: Any, now: float) -> Any:
    try:
        return real(account, body, now)
    except Refusal as refusal:
        if "already has a reserved IP" not in refusal.message:
            raise
        made = real(account, {"region": "fra1"}, now)
        made.droplet = body["droplet_id"]
        return made


def take_along(real: Any, account: Any, droplet: Any, now: float) -> Any:
    for ip in [ip for ip, one in account.reserved_ips.items() if one.droplet == droplet.id]:
        del account.reserved_ips[ip]
    return real(account, droplet, now)


def take_disks_along(_: Any, account: Any, droplet: Any, now: float) -> None:
    for one in volumes.of_droplet(account, droplet, now):
        del account.volumes[one.id]


def still_held(real: Any, account: Any, one: Any) -> Any:
    droplet = account.droplets.get(one.droplet)
    is_late = droplet is not None and lab_api.time.time() < (droplet.destroyed or 0) + LATE
    return droplet if is_late else real(account, one)


def seen(real: Any, volume: Any, now: float, **fields: Callable[[Any, float], Any]) -> Any:
    return {**real(volume, now), **{name: value(volume, now) for name, value in fields.items()}}


def after(count: int) -> Callable[[World, str], bytes | None]:
    """Refuse the first so many requests."""
    asked = iter(range(count))
    return lambda *_: b"InvalidAccessKeyId" if next(asked, None) is not None else None


def young(made: Any, now: float) -> bool:
    return now < made.created + LATE


def is_free_in_fra1(account: Any, key: str, body: Any, now: float) -> bool:
    one = account.volumes[key]
    return body["type"] == "attach" and one.region == "fra1" and one.holder(now) is None


def held(account: Any, ip: str) -> bool:
    return reserved_ips.holder(account, account.reserved_ips[ip]) is not None


def is_at_its_own(account: Any, ip: str, body: Any, _: float) -> bool:
    return body["type"] == "assign" and account.reserved_ips[ip].droplet == body["droplet_id"]


def kept() -> Callable[..., Any]:
    """Have the store know keys for good."""
    ever: dict[str, Any] = {}

    def other(real: Any, keys: Any, *words: Any) -> None:
        ever.update({key.id: key for key in keys})
        real(ever.values(), *words)

    return other


def everywhere(_real: Any, keys: Any, _bucket: str) -> Any:
    return [
        {"Permission": permission, "Access": key.id, "Type": "CanonicalUser"}
        for key in keys
        for permission in ("READ", "WRITE")
    ]


HIDDEN = partial(
    seen, droplet_ids=lambda one, now: [one.droplet] if one.holder(now) and now > one.plugged + 240 else []
)
UNGROWN = partial(seen, size_gigabytes=lambda one, now: 1 if now < one.settled + LATE else one.size_gigabytes)
TABLE: Mapping[str, tuple[Patch, set[str]]] = {
    # volumes
    "none is made": (refuses(volumes, "create", lambda *_: True), {"volume-made"}),
    "names are free": (does(volumes, "create", same_name), {"volume-name-taken"}),
    "a name is taken everywhere": (
        refuses(volumes, "create", lambda a, b, _: b["name"] in {v.name for v in a.volumes.values()}, 409, "taken"),
        {"volume-name-elsewhere"},
    ),
    "lists lag behind": (
        does(volumes, "listed", lambda real, *w: [v for v in real(*w) if not young(v, lab_api.time.time())]),
        {"volume-list-lag"},
    ),
    "it comes late": (does(volumes, "shape", HIDDEN), {"volume-comes"}),
    "it grows not": (refuses(volumes, "act", lambda a, k, b, _: b.get("size_gigabytes") == 2), {"volume-grow"}),
    "it grows late": (does(volumes, "shape", UNGROWN), {"volume-grow-lag"}),
    "it says not why": (
        does(volumes, "act", mute),
        {"volume-busy", "volume-attached-again"},
    ),
    "it shrinks": (
        does(volumes, "act", lets("resize", lambda _, v, b, __: b["size_gigabytes"] < v.size_gigabytes)),
        {"volume-shrink"},
    ),
    "a deletion is refused otherwise": (
        refuses(volumes, "delete", lambda a, key, now: a.volumes[key].holder(now) is not None, 412, "attached"),
        {"volume-attached-deleted"},
    ),
    "an order is refused for something else": (does(volumes, "chosen", mute), {"volume-attached-ordered"}),
    "regions do not matter": (
        does(volumes, "act", lets("attach", lambda a, v, b, _: a.droplets[b["droplet_id"]].region != v.region)),
        {"volume-elsewhere"},
    ),
    "it is not detached": (refuses(volumes, "act", lambda a, k, b, _: b["type"] == "detach"), {"volume-detach"}),
    "it is not attached": (refuses(volumes, "act", is_free_in_fra1), {"volume-attach"}),
    "it goes with its droplet": (does(volumes, "let_go", take_disks_along), {"volume-survives"}),
    "it is not deleted": (
        refuses(volumes, "delete", lambda a, k, now: not a.volumes[k].holder(now)),
        {"volume-deleted"},
    ),
    # addresses
    "no address is made": (refuses(reserved_ips, "create", lambda *_: True), {"address-made"}),
    "addresses are seen late": (
        does(
            reserved_ips,
            "shape",
            lambda real, a, one, now: {**real(a, one, now), **({"droplet": None} if young(one, now) else {})},
        ),
        {"address-list-lag"},
    ),
    "given again is a mistake": (refuses(reserved_ips, "act", is_at_its_own, 422, "no"), {"address-given-again"}),
    "a droplet has two": (does(reserved_ips, "create", second), {"address-second", "address-given"}),
    "it is not taken": (refuses(reserved_ips, "act", lambda a, ip, b, _: b["type"] == "unassign"), {"address-taken"}),
    "it is not given": (refuses(reserved_ips, "act", lambda a, ip, b, _: not held(a, ip)), {"address-given"}),
    "it is not released while held": (
        refuses(reserved_ips, "release", lambda a, ip, _: held(a, ip), 400, "assigned"),
        {"address-released-held"},
    ),
    "an address goes with its droplet": (
        does(lab_droplets, "end", take_along),
        {"address-survives"},
    ),
    "a dead droplet holds it": (does(reserved_ips, "holder", still_held), {"address-let-go"}),
    "it is not released": (refuses(reserved_ips, "release", lambda a, ip, _: not held(a, ip)), {"address-released"}),
    # keys
    "no key is made": (refuses(spaces_keys, "create", lambda *_: True), {"key-made"}),
    "no secret is told": (
        does(spaces_keys, "shape", lambda real, key, **_: real(key)),
        {"key-secret"},
    ),
    "secrets are told again": (
        does(spaces_keys, "shape", lambda real, key, **_: real(key, with_secret=True)),
        {"key-secret-once"},
    ),
    "keys are listed late": (
        does(spaces_keys, "listed", lambda real, *w: [k for k in real(*w) if not young(k, lab_api.time.time())]),
        {"key-list-lag"},
    ),
    "grants are told otherwise": (
        does(spaces_keys, "shape", lambda real, key, **how: {**real(key, **how), "grants": []}),
        {"key-grants"},
    ),
    "a key's name is taken": (
        refuses(spaces_keys, "create", lambda a, b, _: b["name"] in {k.name for k in a.spaces_keys.values()}, 409, "x"),
        {"key-name"},
    ),
    "a key works late": (stores(after(int(LATE))), {"key-work-lag"}),
    "who writes does not read": (
        lambda patch, _: patch.setitem(limited_keys._PERMISSIONS, "readwrite", ("WRITE",)),
        {"key-may"},
    ),
    "a key opens all buckets": (does(limited_keys, "_granted", everywhere), {"key-reads-other", "key-writes-other"}),
    "no key is deleted": (refuses(spaces_keys, "delete", lambda *_: True), {"key-deleted"}),
    "a deleted key is wrongly signed": (
        stores(lambda world, key: None if key in world.account.spaces_keys else b"SignatureDoesNotMatch"),
        {"key-ends"},
    ),
    "a deleted key lives on": (does(limited_keys, "follow", kept()), {"key-end-lag"}),
}
UNKIND = {"volume-limit", "volume-busy-lag", "volume-let-go", "address-limit", "address-busy-lag"}
"""Broken by what `gen lab unkind` takes."""
SAID = {"volume", "replug", "reserved"}
"""What a droplet says of these, which the collector's own tests change."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with running(tmp_path_factory.mktemp("otherwise"), versitygw(), BELIEVED) as made, Droplets(made):
        yield made


@pytest.fixture
def clock(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    world.account.unkind = replace(BELIEVED, requests_per_minute=10**6, requests_per_hour=10**6)
    world.api._times.clear()
    world.account.key_lists.clear()
    passing, rules = Time(), list(world.twist.rules)
    monkeypatch.setattr(lab_api, "time", passing)
    monkeypatch.setattr(world.api, "_now", passing.time)
    yield Clock(passing.now, passing.sleep)
    world.twist.rules[:] = rules


@pytest.mark.parametrize("name", TABLE)
def test_just_that_is_told_with_what_rests_on_it(world: World, clock: Clock, name: str) -> None:
    change, broken = TABLE[name]
    (phase,) = {one.phase for one in beliefs.load() if one.id in broken}
    made = Run(Questions((phase,), REGION), world.connection, clock, lambda _: None)
    with pytest.MonkeyPatch.context() as patch:
        change(patch, world)
        made.check()
        made.carry_out()
    rows = verdicts.differing(verdicts.judge(beliefs.load(), made.answers, (phase,), in_lab=True))
    assert {row.belief.id for row in rows} == broken, made.problems
    assert all("rests on it" in row.advice for row in rows if row.belief.code)
    for scope in made.cleaner.left():  # of what the lab has refused to remove
        made.cleaner.remove(scope)
    nothing_is_left(world)


def test_each_belief_is_broken_by_something() -> None:
    broken = UNKIND.union(*(ids for _, ids in TABLE.values()))
    asked: set[Phase] = set(OWNED)
    known = {one.id for one in beliefs.load() if one.phase in asked and one.fact.split(".")[0] not in SAID}
    assert known - broken == {"key-policy"}, "which the lab can't say"
    assert broken <= known
