"""Snapshots, from a real etcd by the real agent into a real store, to the operator who believes no byte unproved."""

from __future__ import annotations

import base64
import hmac
import json
import os
import random
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyrage
import pytest

from generator.cluster import snapshots
from generator.cluster.snapshots import ETCD, Unbelievable
from generator.cluster.state_store import StateStore
from generator.errors import Problem
from generator.pki import store as keys
from generator.plan.names import kept_key, resealed_key
from generator.plan.project import Project
from generator.provider.spaces import LONGEST_URL, Spaces
from tests.contract import keeper
from tests.contract.keeper import Keeper, bucket, dump, here, snapshot, upkeep
from tests.contract.operating import gen, ok
from tests.contract.test_launch import is_one_cluster, nothing_is_left, spaces
from tests.contract.world import Machine, World

MUTATIONS = 200
CHANGES = 44
"""A restore of three nodes changes no more than this many things."""


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return keeper.tools(tmp_path_factory.mktemp("tools"))


@pytest.fixture
def project(project: Project, tmp_path: Path, tools: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    # As if the release's etcd had been brought already.
    place = tmp_path / "cache/tools" / f"etcd-{project.release.artifact('etcd').sha256[:16]}"
    shutil.copytree(tools, place, symlinks=True)
    monkeypatch.setenv("HARDWAY_CACHE", str(tmp_path / "cache"))
    return project


@pytest.fixture
def node(
    world: World, project: Project, tools: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Keeper]:
    """The first control-plane node of a cluster that was launched: what it keeps goes to the world's store."""
    ok(gen(world, project, "launch", "--yes"))
    monkeypatch.setenv("https_proxy", str(world.connection.proxy))
    monkeypatch.setenv("SSL_CERT_FILE", str(world.connection.ca_file))
    with keeper.keeping(tmp_path, project, tools, monkeypatch) as made:
        roster = spaces(world, project).get(f"{project.plan.public_prefix}/roster.json")
        assert roster is not None
        here.write(here.ROSTER, json.loads(roster)["payload"])
        url = spaces(world, project).url(f"{project.plan.public_prefix}/")
        here.write(here.KEPT, json.dumps({"addons_url": url}))
        monkeypatch.setattr(dump, "is_there", lambda: False)
        yield made


def filled(node: Keeper, count: int = 40) -> None:
    for number in range(count):
        node.etcdctl("put", f"/registry/things/{number:03}", f"thing {number}")
    node.etcdctl("del", "/registry/things/001")
    # As events have one.
    lease = json.loads(node.etcdctl("lease", "grant", "3600"))["ID"]
    node.etcdctl("put", "/registry/things/000", "leased", f"--lease={lease:x}")


def test_what_a_node_keeps_the_operator_lists_proves_and_prunes(node: Keeper, world: World, project: Project) -> None:
    assert "none at all" in gen(world, project, "snapshot", "verify").err
    filled(node)
    first = snapshot.take()
    filled(node)
    second = snapshot.take()
    assert (first["keys"], first["etcd"]) == (40, "3.6.14")
    listed = json.loads(ok(gen(world, project, "snapshot", "list", "--json")).out)
    assert listed["doubtful"] == {}
    told = {one["name"]: one for one in listed["snapshots"]}
    assert set(told) == {first["name"], second["name"]}
    assert told[first["name"]]["verified"] is None
    said = ok(gen(world, project, "snapshot", "verify", first["name"], second["name"])).out
    assert f"etcd {first['name']} holds: revision {first['revision']}, 40 keys" in said
    listed = json.loads(ok(gen(world, project, "snapshot", "list", "--json")).out)
    assert all(one["verified"] for one in listed["snapshots"])
    assert "kept etcd: " in gen(world, project, "status").out
    # The plan keeps the last of this hour; the other goes, with all that is beside it.
    said = ok(gen(world, project, "snapshot", "prune", "--yes")).err
    assert "1 deleted, 1 stay" in said
    left = {one.key for one in StateStore(project, world.connection).bucket.objects("")}
    kept = max(first["name"], second["name"])
    assert left == {kept_key("orderbook", "etcd", kept, ending) for ending in ("age", "json", "verified")}
    assert "nothing to delete" in ok(gen(world, project, "snapshot", "prune", "--yes")).err


def test_what_a_run_left_is_pruned_and_what_nobody_vouches_for_if_that_is_said(
    node: Keeper, world: World, project: Project
) -> None:
    filled(node, 3)
    name = snapshot.take()["name"]
    store = StateStore(project, world.connection)
    place = world.directory / "buckets" / project.plan.state_bucket
    for left, ending in (("20250101T000000Z-node01", "age"), ("20250102T000000Z-node01", "verified")):
        store.bucket.put(kept_key("orderbook", "etcd", left, ending), b"cut off", content_type="text/plain")
    # One that a node is just writing; and what somebody else has put there.
    young, forged = "20250103T000000Z-node01", "29990101T000000Z-node01"
    store.bucket.put(kept_key("orderbook", "etcd", young, "age"), b"half", content_type="text/plain")
    store.bucket.put(kept_key("orderbook", "etcd", forged, "json"), b"{}", content_type="text/plain")
    listed = gen(world, project, "snapshot", "list", "--json")
    assert (listed.code, json.loads(listed.out)["lone"]) == (1, [])
    for file in place.rglob("2025010[12]*"):
        os.utime(file, (time.time() - 4000,) * 2)
    listed = gen(world, project, "snapshot", "list", "--json")
    assert json.loads(listed.out)["lone"] == ["etcd 20250101T000000Z-node01", "etcd 20250102T000000Z-node01"]
    assert "2 lack their manifest" in gen(world, project, "snapshot", "list").err
    assert "2 deleted, 1 stay" in ok(gen(world, project, "snapshot", "prune", "--yes")).err
    assert f"etcd {forged}: its manifest is none; it is never restored" in gen(world, project, "snapshot", "list").err
    assert "1 deleted, 1 stay" in ok(gen(world, project, "snapshot", "prune", "--yes", "--doubtful")).err
    ok(gen(world, project, "snapshot", "list"))
    left = {one.key for one in store.bucket.objects("")}
    kept = {kept_key("orderbook", "etcd", name, ending) for ending in ("age", "json")}
    assert left == kept | {kept_key("orderbook", "etcd", young, "age")}
    assert "2 deleted, 0 stay" in ok(gen(world, project, "snapshot", "prune", "--yes", "--all", "orderbook")).err
    assert list(store.bucket.objects("")) == []


def test_few_are_read_to_tell_the_newest(
    node: Keeper, world: World, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not those between the newest, and the newest that was tried."""
    filled(node, 3)
    names = [snapshot.take()["name"] for _ in range(4)]
    ok(gen(world, project, "snapshot", "verify", names[0]))
    store = StateStore(project, world.connection)
    for number in range(3):
        store.bucket.put(kept_key("orderbook", "etcd", f"2999010{number}T000000Z-x", "json"), b"{}", content_type="x/y")
    read: list[str] = []
    get = Spaces.get
    monkeypatch.setattr(Spaces, "get", lambda self, key, **how: read.append(key) or get(self, key, **how))
    latest = store.latest(ETCD)
    found = [one.name for one in (latest.newest, latest.verified) if one]
    assert (found, latest.count) == ([names[-1], names[0]], 7)
    assert len(read) == 3 + 1 + 2, "three of nobody, the newest, and the tried one with the word of it"


def test_what_is_kept_opens_without_this_program(node: Keeper, world: World, project: Project, tmp_path: Path) -> None:
    filled(node, 3)
    name = snapshot.take()["name"]
    sealed = StateStore(project, world.connection).bucket.get(kept_key("orderbook", "etcd", name, "age"))
    assert sealed is not None
    (tmp_path / "sealed").write_bytes(sealed)
    identity = project.keys_path / "snapshots/identity.key"
    command = ["age", "--decrypt", "-i", str(identity), "-o", str(tmp_path / "plain"), str(tmp_path / "sealed")]
    subprocess.run(command, check=True)
    snapshot.verify(tmp_path / "plain")


def test_the_node_that_leads_keeps_one_when_it_is_due(node: Keeper, world: World, project: Project) -> None:
    upkeep.step()
    upkeep.step()
    store = StateStore(project, world.connection)
    assert len(store.shelf(ETCD).snapshots) == 1
    node.etcdctl("put", "hardway/last/etcd", "1000")
    here.at(f"{upkeep.NOT_BEFORE}{snapshot.KIND}").unlink()
    upkeep.step()
    assert len(store.shelf(ETCD).snapshots) == 2


def until_full(node: Keeper, put: Callable[[int], tuple[str, str]]) -> None:
    """Write until etcd takes nothing more."""
    with suppress(here.Failure):
        for number in range(200):
            node.etcdctl("put", *put(number))
    with pytest.raises(here.Failure, match="database space exceeded"):
        node.etcdctl("put", "/registry/other", "a")


def test_a_full_etcd_is_written_to_again(node: Keeper, capfd: pytest.CaptureFixture[str]) -> None:
    """Its history fills it: it is forgotten, given back, and the alarm taken away."""
    block = "x" * 100_000
    until_full(node, lambda number: ("/registry/again", f"{number}{block}"))
    upkeep.care()
    node.etcdctl("put", "/registry/other", "a")
    assert "etcd has room again" in capfd.readouterr().out


def test_one_that_is_full_of_what_is_in_use_says_so(node: Keeper, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "FULL", 0.7)  # of a file as small as this one much is air
    block = "x" * 100_000
    until_full(node, lambda number: (f"/registry/{number}", block))
    with pytest.raises(here.Failure, match="something has to be deleted"):
        upkeep.care()


def test_the_key_on_a_node_opens_that_bucket_alone(node: Keeper, world: World, project: Project) -> None:
    found = bucket.find()
    other = bucket.Bucket(found.endpoint, found.region, project.plan.spaces_bucket, "", found.key_id, found.secret)
    with pytest.raises(here.Failure, match="AccessDenied"):
        other.put("orderbook/roster.json", b"{}", sha256(b"{}").hexdigest())
    ok(gen(world, project, "destroy", "--yes", "orderbook"))
    nothing_is_left(world, project)
    with pytest.raises(here.Failure, match="answer 403"):
        found.put("x", b"", sha256(b"").hexdigest())


Forged = tuple[bytes | None, bytes | None]
"""What lies there of a snapshot: sealed, and its manifest."""


class Thief:
    """Whoever has the bucket's key, the operator's recipient, and a snapshot that is right."""

    def __init__(self, project: Project, sealed: bytes, manifest: bytes, plain: bytes, recipient: str) -> None:
        self.project, self.sealed, self.manifest, self.plain = project, sealed, manifest, plain
        self.recipient = pyrage.x25519.Recipient.from_str(recipient)
        self.chance = random.Random(2026)

    def seal(self, plain: bytes) -> bytes:
        return bytes(pyrage.encrypt(plain, [self.recipient]))

    def told(self, key: bytes | None = None, **changed: Any) -> bytes:
        """Write the manifest with changes; with whatever key there is."""
        payload = json.dumps(json.loads(json.loads(self.manifest)["payload"]) | changed)
        key = self.chance.randbytes(32) if key is None else key
        mac = hmac.digest(key, f"{snapshots.CONTEXT}\n{payload}".encode(), "sha256")
        return json.dumps({"version": 1, "payload": payload, "mac": base64.b64encode(mac).decode()}).encode()

    def flipped(self, content: bytes) -> bytes:
        place = self.chance.randrange(len(content))
        return content[:place] + bytes([content[place] ^ (1 << self.chance.randrange(8))]) + content[place + 1 :]

    def cut(self, content: bytes) -> bytes:
        return content[: self.chance.randrange(len(content))]

    def of(self, plain: bytes, key: bytes | None = None, **changed: Any) -> Forged:
        """Seal something for the operator, and tell of it as a node would."""
        sealed = self.seal(plain)
        facts = {
            "plain_sha256": sha256(plain).hexdigest(),
            "plain_bytes": len(plain),
            "sealed_sha256": sha256(sealed).hexdigest(),
            "sealed_bytes": len(sealed),
        }
        return sealed, self.told(key, **facts | changed)


def forgeries(thief: Thief, key: bytes, other: bytes) -> list[Callable[[], Forged]]:
    """List the ways in which a snapshot can be another: what a thief of the bucket's key can do, and what nobody can.

    Args:
        key: vouches as a node does, so that what lies behind the MAC is tried as well.
        other: another cluster's data, as its etcd wrote it.
    """
    stranger = pyrage.x25519.Identity.generate().to_public()
    return [
        lambda: (thief.flipped(thief.sealed), thief.manifest),
        lambda: (thief.cut(thief.sealed), thief.manifest),
        lambda: (thief.sealed, thief.flipped(thief.manifest)),
        lambda: (thief.sealed, thief.cut(thief.manifest)),
        lambda: (thief.sealed, None),
        lambda: (None, thief.manifest),
        lambda: (thief.seal(thief.plain), thief.manifest),
        lambda: thief.of(thief.flipped(thief.plain)),
        lambda: thief.of(thief.cut(thief.plain)),
        lambda: thief.of(thief.plain),
        lambda: thief.of(other),
        lambda: (thief.sealed, thief.told(revision=10**9)),
        lambda: (bytes(pyrage.encrypt(thief.plain, [stranger])), thief.manifest),
        lambda: thief.of(thief.flipped(thief.plain), key),
        lambda: thief.of(thief.cut(thief.plain), key),
        lambda: thief.of(other, key),
        lambda: thief.of(thief.plain, key, cluster_id="0" * 36),
        lambda: thief.of(thief.plain, key, version=0),
        lambda: thief.of(thief.plain, key, revision=7),
        lambda: thief.of(thief.plain, key, keys=7),
        lambda: thief.of(thief.plain, key, hash=7),
        lambda: thief.of(thief.plain, key, etcd="3.7.0"),
        lambda: thief.of(thief.plain, key, kind="database"),
        lambda: thief.of(b"", key),
    ]


def test_two_hundred_forgeries_are_all_refused_and_none_ends_in_a_traceback(
    node: Keeper, world: World, project: Project, tmp_path: Path
) -> None:
    filled(node)
    name = snapshot.take()["name"]
    store = StateStore(project, world.connection)
    places = [kept_key("orderbook", "etcd", name, ending) for ending in ("age", "json")]
    sealed, manifest = (store.bucket.get(place) or b"" for place in places)
    identity = pyrage.x25519.Identity.from_str(keys.snapshot_identity(project.keys_path).decode().strip())
    thief = Thief(project, sealed, manifest, bytes(pyrage.decrypt(sealed, [identity])), str(identity.to_public()))
    with store.tried(store.pick(store.shelf(ETCD), ETCD)):
        pass
    node.etcdctl("put", snapshot.CLUSTER, "another")
    node.etcdctl("snapshot", "save", str(tmp_path / "other"))
    ways = forgeries(thief, keys.snapshot_key(project.keys_path), (tmp_path / "other").read_bytes())
    refusals: dict[str, int] = {}
    for number in range(MUTATIONS):
        forged = ways[number % len(ways)]()
        if forged == (sealed, manifest):
            continue
        for place, content in zip(places, forged, strict=True):
            if content is None:
                store.bucket.delete(place)
            else:
                store.bucket.put(place, content)
        with pytest.raises((Unbelievable, Problem)) as refused, store.tried(store.pick(store.shelf(ETCD), ETCD, name)):
            pass
        refusals[str(refused.value)[:40]] = refusals.get(str(refused.value)[:40], 0) + 1
    assert len(refusals) > 8, refusals


def kept(node: Keeper) -> dict[str, Any]:
    filled(node)
    return snapshot.take()


def test_a_cluster_that_lost_its_control_plane_comes_back(node: Keeper, world: World, project: Project) -> None:
    one = kept(node)
    refused = gen(world, project, "restore")
    assert "these are there still, and go" in refused.err
    assert "the Kubernetes API answers: this cluster lives" in refused.err
    assert "nobody is there to be asked" in refused.err
    assert (len(world.up()), world.restored) == (3, [])
    for name in ("node01", "node02", "node03"):
        world.destroy(name)
    assert "`gen restore` brings it back" in gen(world, project, "launch", "--yes").err
    said = ok(gen(world, project, "restore", "--yes", "orderbook")).err
    assert f"revision {one['revision']}" in said
    assert "what was written after that is gone: less than a minute, as the last word" in said
    assert "this cluster lives" not in said
    assert world.restored == [one["plain_sha256"]]
    is_one_cluster(world, project)


def test_what_is_left_of_the_control_plane_goes_when_that_is_said(node: Keeper, world: World, project: Project) -> None:
    one = kept(node)
    wrong = gen(world, project, "restore", "--yes", "other")
    assert "`--yes other` is not the cluster's name" in wrong.err
    before = {droplet.id for droplet in world.account.living()}
    ok(gen(world, project, "restore", one["name"], "--yes", "orderbook"))
    assert not before & {droplet.id for droplet in world.account.living()}
    assert world.restored == [one["plain_sha256"]]
    is_one_cluster(world, project)


@pytest.mark.parametrize(
    "number",
    [number if number % 8 == 3 else pytest.param(number, marks=pytest.mark.long) for number in range(1, CHANGES + 1)],
)
def test_killed_anywhere_it_goes_on(node: Keeper, world: World, project: Project, number: int) -> None:
    one = kept(node)
    for name in ("node01", "node02", "node03"):
        world.destroy(name)
    killed = gen(world, project, "restore", "--yes", "orderbook", die_at=number)
    assert killed.code in (-9, 0), killed.err
    verb = ("restore", "--yes", "orderbook")
    again = gen(world, project, *verb)
    # One that was through but for its end is a cluster that lives: nothing is deleted for a restore that is over.
    assert again.code == 0, again.err
    assert set(world.restored) == {one["plain_sha256"]}
    is_one_cluster(world, project)


def test_after_a_destroy_the_data_comes_back_too(node: Keeper, world: World, project: Project) -> None:
    one = kept(node)
    ok(gen(world, project, "destroy", "--yes", "orderbook"))
    nothing_is_left(world, project)
    ok(gen(world, project, "restore", "--yes", "orderbook"))
    assert world.restored == [one["plain_sha256"]]
    is_one_cluster(world, project)


def test_what_an_earlier_restore_has_left_begins_nothing(node: Keeper, world: World, project: Project) -> None:
    one = kept(node)
    ok(gen(world, project, "restore", "--yes", "orderbook"))
    left = resealed_key("orderbook", one["plain_sha256"], "f" * 32)
    spaces(world, project).put(left, b"left by one that was interrupted")
    # While etcd lives it is what an end is missing of, and nothing more is done than that.
    before = {droplet.id for droplet in world.account.living()}
    assert "a restore was begun" in ok(gen(world, project, "restore", "--yes", "orderbook")).err
    assert {droplet.id for droplet in world.account.living()} == before
    spaces(world, project).put(left, b"left by one that was interrupted")
    for name in ("node01", "node02", "node03"):
        world.destroy(name)
    asked = gen(world, project, "restore")
    assert "nobody is there to be asked" in asked.err
    assert "a restore was begun" not in asked.err
    ok(gen(world, project, "restore", "--yes", "orderbook"))
    assert world.restored == [one["plain_sha256"]] * 2
    is_one_cluster(world, project)


def test_a_first_node_that_can_fetch_no_more_is_made_anew(
    node: Keeper, world: World, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = kept(node)
    for name in ("node01", "node02", "node03"):
        world.destroy(name)
    real, fated = Machine._restore, {"all"}
    monkeypatch.setattr(
        Machine, "_restore", lambda own, *given: not fated & {"all", own.droplet.id} and real(own, *given)
    )
    stuck = gen(world, project, "restore", "--yes", "orderbook", "--timeout", "10s")
    (first,) = [droplet for droplet in world.account.living() if droplet.name == "node01"]
    fated = {first.id}
    assert (stuck.code, world.restored) == (1, [])
    first.created -= LONGEST_URL.total_seconds() + 60
    ok(gen(world, project, "restore", "--yes", "orderbook"))
    assert first.id not in {droplet.id for droplet in world.account.living()}
    assert world.restored == [one["plain_sha256"]]
    is_one_cluster(world, project)
