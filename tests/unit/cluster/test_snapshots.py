"""What is kept of snapshots, and what is believed of their manifests."""

from __future__ import annotations

import base64
import hmac
import json
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from generator.cluster import snapshots
from generator.cluster.snapshots import ETCD, Snapshot, Unbelievable, read, surplus
from generator.plan.decide import Kept
from tests.keyring import CLUSTER_ID, planned

START = datetime(2026, 11, 2, tzinfo=UTC)  # a Monday
KEY = bytes(range(32))
SAID: dict[str, Any] = {
    "version": 1,
    "kind": "etcd",
    "name": "20261128T021018Z-node01",
    "cluster_id": CLUSTER_ID,
    "node": "node01",
    "time": "2026-11-28T02:10:18Z",
    "plain_sha256": "a" * 64,
    "plain_bytes": 100,
    "sealed_sha256": "b" * 64,
    "sealed_bytes": 120,
    "revision": 7,
    "hash": 8,
    "compact_revision": -1,
    "keys": 9,
    "etcd": "3.6.14",
}


def at(time: datetime, *, verified: bool = False) -> Snapshot:
    seen = time if verified else None
    return Snapshot(ETCD, f"{time:%Y%m%dT%H%M%SZ}-node01", "node01", time, "", 0, "", 0, verified=seen)


def manifest(key: bytes = KEY, **changed: Any) -> bytes:
    payload = json.dumps({name: value for name, value in (SAID | changed).items() if value is not ...})
    mac = hmac.digest(key, f"{snapshots.CONTEXT}\n{payload}".encode(), "sha256")
    return json.dumps({"version": 1, "payload": payload, "mac": base64.b64encode(mac).decode()}).encode()


def test_a_manifest_is_read_as_it_was_written() -> None:
    found = read(manifest(), KEY, CLUSTER_ID)
    assert (found.name, found.revision, found.keys, found.etcd) == (SAID["name"], 7, 9, "3.6.14")
    assert found.time == datetime(2026, 11, 28, 2, 10, 18, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "its manifest is none"),
        (b"[]", "its manifest is none"),
        (b"[" * 100_000, "its manifest is none"),
        (b'{"payload": "{}", "mac": null}', "no control-plane node of this cluster vouches for it"),
        (manifest(bytes(32)), "no control-plane node of this cluster vouches for it"),
        (manifest(version=2), "its manifest is of version 2, 1 is known here"),
        (manifest(cluster_id="other"), f"it is of cluster other, not of {CLUSTER_ID}"),
        (manifest(name="../../x"), "its manifest is of another form"),
        (manifest(revision="7"), "its manifest is of another form"),
        (manifest(more=1), "its manifest is of another form"),
        (manifest(keys=...), "its manifest lacks what is in it"),
    ],
)
def test_anything_else_is_told_in_words(text: bytes, words: str) -> None:
    with pytest.raises(Unbelievable) as refused:
        read(text, KEY, CLUSTER_ID)
    assert str(refused.value) == words


def test_of_each_hour_day_and_week_the_last_stays() -> None:
    plan = replace(planned(), kept=Kept(hourly=3, daily=2, weekly=2))
    every = [at(START + timedelta(minutes=20 * number)) for number in range(3 * 24 * 15)]
    stay = {one.time for one in every} - {one.time for one in surplus(every, plan)}
    end = every[-1].time
    assert end == datetime(2026, 11, 16, 23, 40, tzinfo=UTC)
    assert stay == {
        *(end, end - timedelta(hours=1), end - timedelta(hours=2)),
        datetime(2026, 11, 15, 23, 40, tzinfo=UTC),  # of the day before, and of the week before
    }


@pytest.mark.parametrize("seed", range(50))
def test_the_newest_and_the_newest_that_was_tried_always_stay_and_pruning_twice_is_pruning_once(seed: int) -> None:
    chance = random.Random(seed)
    kept = Kept(chance.randrange(0, 30), chance.randrange(1, 10), chance.randrange(0, 6))
    plan = replace(planned(), kept=kept)
    times = sorted(START + timedelta(minutes=chance.randrange(0, 60 * 24 * 60)) for _ in range(chance.randrange(1, 80)))
    every = [at(time, verified=chance.random() < 0.1) for time in times]
    chance.shuffle(every)
    stay = [one for one in every if one not in surplus(every, plan)]
    assert max(every, key=lambda one: one.time).time in {one.time for one in stay}
    tried = [one for one in every if one.verified]
    assert not tried or max(tried, key=lambda one: one.time).time in {one.time for one in stay}
    assert len(stay) <= kept.hourly + kept.daily + kept.weekly + 2
    assert surplus(stay, plan) == ()
