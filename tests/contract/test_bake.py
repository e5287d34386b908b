"""`gen bake` against the lab's account and a real object store: what it makes and leaves, killed at every point."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from email import message_from_string
from pathlib import Path
from typing import Any

import pytest
import yaml

from generator.bake.oven import Oven
from generator.clock import Clock
from generator.documents import committed, render
from generator.lab.account import droplets as lab_droplets
from generator.lab.account import snapshots as lab_snapshots
from generator.lab.account.account import Droplet
from generator.lab.unkindness import KIND, Unkindness
from generator.pki.store import KeyStore
from generator.plan import baking
from generator.plan.project import Project
from generator.provider import scopes
from generator.provider.digitalocean import Cloud
from generator.provider.resources import Snapshot
from generator.provider.spaces import Spaces
from tests.contract.beside import Beside
from tests.contract.operating import HASTE, Outcome, gen, ok, render_tutorial, versitygw
from tests.contract.world import REGION, World, running

GIGABYTES = 1.25
QUICK = replace(KIND, requests_per_minute=10**6, requests_per_hour=10**6)
LAUNCH = ("launch", "--yes", "--uncommitted")
WORDS = ("bake", "--yes", "--json")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with running(tmp_path / "world", versitygw(), QUICK) as made:
        yield made


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "project").mkdir()
    return render_tutorial(tmp_path / "project")


class Bakers(Beside):
    """Stands for the droplets: each says what it is told to say and switches itself off, and the lab copies disks."""

    def __init__(self, world: World, *steps: Mapping[str, Any], goes_off: bool = True) -> None:
        super().__init__()
        self._world, self._goes_off = world, goes_off
        self._steps = steps or ({"step": "fetching", "done": 1, "of": 2}, {"step": "done"})
        self._said: dict[int, int] = {}

    def turn(self) -> None:
        with self._world.api.lock:
            for one in lab_snapshots.wanted(self._world.account):
                lab_snapshots.made(self._world.account, one.id, GIGABYTES, time.time())
            living = [one for one in self._world.account.living() if one.power]
        for droplet in living:
            self._go_on(droplet)

    def _go_on(self, droplet: Droplet) -> None:
        number = self._said.get(droplet.id, 0)
        if number < len(self._steps):
            told = told_of(droplet.user_data)
            body = json.dumps({"version": 1, "name": told["name"], **self._steps[number]}).encode()
            with suppress(Exception):
                if self._world.http.request("PUT", told["url"], body=body).status == 200:
                    self._said[droplet.id] = number + 1
        elif self._goes_off:
            with self._world.api.lock:
                droplet.power = False


def told_of(user_data: str) -> Mapping[str, Any]:
    """Read what a droplet's boothook leaves on it."""
    hook = message_from_string(user_data).get_payload()[1].get_payload()  # type: ignore[union-attr]
    text = hook.split("END_OF_BAKE")[1].partition("\n")[2]  # type: ignore[union-attr]
    found: Mapping[str, Any] = json.loads(text)
    return found


def nothing_is_left(world: World, project: Project, but: tuple[str, ...] = ()) -> None:
    """Assert that but for snapshots the account is as it was, and the bucket empty."""
    account = world.account
    assert (account.living(), account.firewalls, account.keys, account.tags) == ([], {}, {}, {})
    spaces = Spaces(world.connection, bucket=project.plan.spaces_bucket, region=REGION)
    assert tuple(one.key for one in spaces.objects("")) in ((), but)


def baked(outcome: Outcome) -> dict[str, Any]:
    """Read what a run that went well says."""
    found: dict[str, Any] = json.loads(ok(outcome).out)
    return found


def naming(project: Project, image: str) -> Project:
    """Have the description name an image."""
    text = project.file.read_text().replace("image: debian-13-x64", f"image: {image}")
    assert f"image: {image}" in text
    project.file.write_text(text)
    return Project.load(project.file)


def test_it_makes_a_snapshot_once_and_leaves_nothing_else(world: World, project: Project) -> None:
    with Bakers(world):
        first = gen(world, project, *WORDS)
        told = baked(first)
        (made,) = world.account.snapshots.values()
        nothing_is_left(world, project)
        content = baking.content(project.plan, project.release)
        assert told["image"] == f"{content.name}@{made.id}"
        assert (made.name, told["made"], told["gigabytes"]) == (str(content.name), True, 2.1 + GIGABYTES)
        assert told["monthly"] == baking.monthly(2.1 + GIGABYTES) == 0.20
        assert told["images"] == len(content.images) == 8
        assert "3.35 GB, $0.20 a month until it is deleted\n" in first.err
        changes = world.fate.count
        assert changes > 8
        again = baked(gen(world, project, *WORDS))
        assert (world.fate.count, again["made"], again["image"]) == (0, False, told["image"])
        plain = ok(gen(world, project, "bake", "--yes"))
        assert yaml.safe_load(plain.out) == {"image": told["image"]}


def test_the_order_has_what_a_node_checks_and_nothing_that_is_secret(world: World, project: Project) -> None:
    with Bakers(world):
        ok(gen(world, project, *WORDS))
    (droplet,) = world.account.droplets.values()
    payload = message_from_string(droplet.user_data).get_payload()
    document = yaml.safe_load(payload[0].get_payload())  # type: ignore[union-attr,index]
    files = {one["path"]: one["content"] for one in document["write_files"]}
    lists = json.loads(files["/etc/hardway/artifacts.json"])
    pinned = {one.sha256 for node in project.plan.nodes for one in project.plan.artifacts(node)}
    assert {one["sha256"] for one in lists["artifacts"]} == pinned
    assert all("@sha256:" in image and image.count(":") == 1 for image in told_of(droplet.user_data)["images"])
    assert all(path.startswith(("/run/", "/etc/hardway/")) for path in files)
    assert "X-Amz-Signature" not in str(files), "what is signed is in the boothook alone"


@pytest.mark.parametrize(
    "start", [start if start == 3 else pytest.param(start, marks=pytest.mark.long) for start in range(1, 6)]
)
def test_killed_at_any_point_the_next_run_comes_to_the_same_end(world: World, project: Project, start: int) -> None:
    with Bakers(world):
        name = baked(gen(world, project, *WORDS))["image"].partition("@")[0]
        count = world.fate.count
        for point in range(start, count + 1, 5):
            world.account.snapshots.clear()
            world.account.key_lists.clear()  # of which a minute has ten
            killed = gen(world, project, *WORDS, die_at=point)
            assert killed.code in (-9, 0), (point, killed.err)  # the droplet changes something too, at its own pace
            # all but the lock was given back, which the next takes over who needs it
            was_over = not world.account.tags and bool(world.account.snapshots)
            done = gen(world, project, *WORDS)
            assert done.code == 0, (point, done.err)
            assert [one.name for one in world.account.snapshots.values()] == [name], point
            assert json.loads(done.out)["image"] == f"{name}@{next(iter(world.account.snapshots))}", point
            nothing_is_left(world, project, but=("orderbook/lock",) if was_over else ())


def test_an_unkind_provider_makes_no_difference(world: World, project: Project) -> None:
    world.account.unkind = replace(Unkindness(), requests_per_minute=10**6, read_lag=0.4, list_lag=0.4)
    with Bakers(world):
        assert baked(gen(world, project, *WORDS))["made"]
    assert len(world.account.snapshots) == 1
    assert world.account.failed_creates == 1


FAILURES = {
    "failed": ([{"step": "failed", "why": "dl.k8s.io answered 503\x1b[31m"}], "dl.k8s.io answered 503[31m"),
    "silent about why": ([{"step": "failed", "why": 7}], "it does not say why"),
    "off too early": ([{"step": "pulling", "done": 1, "of": 8}], "was switched off before it was done"),
}


@pytest.mark.parametrize("name", FAILURES)
def test_a_droplet_that_fails_is_removed_and_says_why(world: World, project: Project, name: str) -> None:
    steps, words = FAILURES[name]
    with Bakers(world, *steps, goes_off=name == "off too early"):
        outcome = gen(world, project, *WORDS)
    assert (outcome.code, outcome.out) == (1, "")
    assert words in outcome.err
    assert world.account.snapshots == {}
    nothing_is_left(world, project)


def test_a_snapshot_that_the_provider_fails_to_make_is_said(
    world: World, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lab_snapshots, "made", lambda account, number, _, now: lab_snapshots.fail(account, number, now))
    with Bakers(world):
        outcome = gen(world, project, *WORDS)
    assert "was not made: errored" in outcome.err
    nothing_is_left(world, project)


def test_what_is_in_the_way_is_said_before_anything_is_made(world: World, project: Project) -> None:
    world.account.unkind = replace(QUICK, droplet_limit=0, account_status="locked")
    outcome = gen(world, project, *WORDS)
    assert outcome.code == 1
    assert "error: the account is locked\n" in outcome.err
    assert "error: the account has its 0 droplets, and baking needs one more for some minutes\n" in outcome.err
    world.account.unkind = QUICK
    outcome = gen(world, project, "bake")
    assert outcome.err.splitlines()[-2:] == [
        "error: nobody is there to be asked",
        "  hint: `--yes` goes on without asking",
    ]
    assert world.account.tags == {}


def test_a_new_one_stands_beside_the_old_until_that_is_pruned(world: World, project: Project) -> None:
    with Bakers(world):
        old = baked(gen(world, project, *WORDS))["image"]
        new = baked(gen(world, project, *WORDS, "--anew"))["image"]
    assert old.partition("@")[0] == new.partition("@")[0]
    assert old != new
    mine = lab_snapshots.Snapshot(9, "my own", REGION, 1, 1, 25, 0, ready=0)
    world.account.snapshots[9] = mine
    project = naming(project, new)
    told = json.loads(ok(gen(world, project, "bake", "--prune", "--yes", "--json")).out)
    assert (told["deleted"], told["kept"]) == ([old], [new])
    assert sorted(world.account.snapshots) == [9, int(new.partition("@")[2])]
    assert gen(world, project, "bake", "--prune", "--json").code == 0, "there is nothing to ask about"


def test_a_launch_makes_its_droplets_of_the_snapshot_that_is_named(world: World, project: Project) -> None:
    with Bakers(world):
        told = baked(gen(world, project, *WORDS))
    project = naming(project, told["image"])
    committed.write(project, render.documents(project))
    world.inhabit(project.plan, KeyStore.open(project.keys_path, project.plan, project.inventory))
    number = int(told["image"].partition("@")[2])
    snapshot = world.account.snapshots.pop(number)
    refused = gen(world, project, *LAUNCH)
    assert refused.code == 1
    said = "no snapshot of the account has this name and this number"
    assert (
        f"error: image {told['image']}: {said}\n  hint: `gen bake` makes one; with `image: debian-13-x64`"
        in refused.err
    )
    assert world.account.living() == []
    world.account.snapshots[number] = snapshot
    ok(gen(world, project, *LAUNCH))
    assert [one.image for one in world.account.living()] == [str(number)] * 3
    gone = ok(gen(world, project, "destroy", "--yes", "orderbook"))
    assert f"the snapshot {told['image']} stays, and costs; once `image` is another one, " in gone.err
    assert list(world.account.snapshots) == [number]


def test_the_table_of_scopes_has_what_every_request_needs(world: World, project: Project) -> None:
    with Bakers(world):
        ok(gen(world, project, *WORDS))
        ok(gen(world, project, "bake", "--prune", "--yes"))
    lines = (world.directory / "api.jsonl").read_text().splitlines()
    asked = [(line["method"], line["path"].partition("?")[0]) for line in map(json.loads, lines)]
    needed = {scopes.needed(*one) for one in asked}
    assert None not in needed
    assert needed <= {f"{name}:{verb}" for name, verbs in scopes.SCOPES.items() for verb in verbs}
    assert {"droplet:update", "image:delete", "actions:read"} <= needed


def cloud_of(world: World) -> Cloud:
    return Cloud(world.connection, Clock(sleep=lambda seconds: time.sleep(seconds / HASTE)))


def a_droplet(world: World, **more: Any) -> int:
    order = {"name": "x", "region": REGION, "size": "s-1vcpu-1gb", "image": "debian-13-x64", **more}
    return lab_droplets.create(world.account, order, time.time())[0].id


def test_a_snapshot_is_asked_for_once_and_read_as_the_provider_tells_it(world: World) -> None:
    cloud, number = cloud_of(world), a_droplet(world)
    world.account.droplets[number].power = False
    event = cloud.take_snapshot(number, "hardway-x-0123456789ab")
    assert cloud.take_snapshot(number, "hardway-x-0123456789ab") == event
    assert (cloud.event(event, "it").status, cloud.snapshots()) == ("in-progress", ())
    with Bakers(world):
        while cloud.event(event, "it").status != "completed":
            time.sleep(0.02)
    (made,) = cloud.snapshots()
    assert isinstance(made, Snapshot)
    assert (made.regions, made.min_disk, made.is_ready) == ((REGION,), 25, True)
    a_droplet(world, image=made.id)
    cloud.delete_snapshot(made)
    cloud.delete_snapshot(made)
    assert cloud.snapshots() == ()


def test_an_earlier_droplet_is_gone_on_with_unless_it_failed(world: World, project: Project) -> None:
    plan, content = project.plan, baking.content(project.plan, project.release)
    spaces = Spaces(world.connection, bucket=plan.spaces_bucket, region=REGION)
    spaces.create_bucket()
    clock = Clock(sleep=lambda seconds: time.sleep(seconds / HASTE))
    oven = Oven(plan, content, baking.size(plan), cloud_of(world), spaces, clock)
    ids = [a_droplet(world, tags=[oven.tag]) for _ in range(2)]
    assert oven._usable() is not None
    assert [one.id for one in world.account.living()] == ids[:1], "a second one is nobody's"
    world.account.droplets[ids[0]].power = False
    assert oven._usable() is None, "it was switched off and has said nothing"
    assert world.account.living() == []
