"""A probe against the lab's account and a real object store: what it says, what it leaves, killed at every point."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email import message_from_string
from pathlib import Path
from typing import Any

import pytest

from generator.catalogue import USER_DATA_BYTES
from generator.clock import Clock
from generator.lab.account import droplets as lab_droplets
from generator.lab.account import reserved_ips
from generator.lab.account import ssh_keys as lab_keys
from generator.lab.account import tags as lab_tags
from generator.lab.account.account import Account, Droplet, Refusal
from generator.lab.unkindness import KIND, Unkindness
from generator.probe import beliefs, verdicts
from generator.probe.beliefs import PHASES, Phase
from generator.probe.questions import Questions
from generator.probe.run import Run
from generator.probe.scope import Scope
from generator.provider import scopes
from generator.provider.spaces import Spaces
from generator.provider.ssh_key import throw_away
from tests.contract.beside import Beside
from tests.contract.operating import HASTE, gen, versitygw
from tests.contract.world import REGION, World, running
from tests.unit.probe.believed import as_believed

OWN = "probes-own"
BELIEVED = replace(KIND, shuffled_addresses=True, requests_per_minute=2000)
OWNED: tuple[Phase, ...] = ("volumes", "addresses", "keys")
"""What is asked of things that clusters own and that outlive droplets."""


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with running(tmp_path, versitygw(), BELIEVED) as made:
        yield made


ORDER = {"region": REGION, "size": "s-1vcpu-1gb", "image": "debian-13-x64"}


class Droplets(Beside):
    """Stands for the machines: says of each what is believed, as its own user-data tell where."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world
        self.said: set[int] = set()

    def turn(self) -> None:
        for droplet in list(self._world.account.living()):
            if droplet.id not in self.said:
                self._say(droplet)

    def _say(self, droplet: Droplet) -> None:
        told = told_of(droplet.user_data)
        facts = as_believed("node") | {"name": told["name"], "done": "peer" not in told}
        facts |= as_believed("volumes", "volume", "replug") if "volume" in told else {}
        facts |= as_believed("addresses", "reserved") if "reserved" in told else {}
        if "peer" in told:
            answer = self._world.http.request("GET", told["peer"]["url"])
            if answer.status == 200:
                assert sorted(json.loads(answer.data).values()) == sorted(
                    one.vpc_address for one in self._world.account.living()
                )
                facts |= {"done": True, **as_believed("two", "peer")}
        with suppress(Exception):
            if self._world.http.request("PUT", told["url"], body=json.dumps(facts).encode()).status == 200:
                self.said |= {droplet.id} if facts["done"] else set()


def told_of(user_data: str) -> Mapping[str, Any]:
    """Read what a droplet's boothook leaves on it."""
    hook = message_from_string(user_data).get_payload()[1].get_payload()  # type: ignore[union-attr]
    text = hook.split("END_OF_PROBE")[1].partition("\n")[2]  # type: ignore[union-attr]
    found: Mapping[str, Any] = json.loads(text)
    return found


def run(world: World, *phases: Phase, bucket: str | None = None, clock: Clock | None = None) -> Run:
    """Carry out a run that asks so many phases."""
    fast = Clock(sleep=lambda seconds: time.sleep(seconds / HASTE))
    made = Run(Questions(phases, REGION, bucket), world.connection, clock or fast, lambda _: None)
    made.check()
    made.carry_out()
    assert made.problems == []
    return made


def verdict(one: Run) -> tuple[list[str], list[str]]:
    """Name the switches of what differs, and what was not answered."""
    rows = verdicts.judge(beliefs.load(), one.answers, one.questions.phases, in_lab=True, not_asked=one.not_asked)
    switches = sorted({row.belief.lab.switch for row in verdicts.differing(rows)})
    return switches, [row.belief.id for row in verdicts.unanswered(rows)]


def nothing_is_left(world: World) -> None:
    """Assert that the account is as it was, and Spaces empty but for others' things."""
    account = world.account
    assert (account.living(), account.firewalls, account.keys, account.tags) == ([], {}, {}, {})
    assert (account.volumes, account.reserved_ips, account.spaces_keys) == ({}, {}, {})
    assert [vpc.name for vpc in account.vpcs.values() if not vpc.default] == []
    buckets = [path.name for path in (world.directory / "buckets").iterdir() if not path.name.startswith(".")]
    assert buckets in ([], [OWN])
    spaces = [Spaces(world.connection, bucket=bucket, region=REGION) for bucket in buckets]
    assert [one.key for each in spaces for one in each.objects("")] == ["kept" for _ in buckets]


def test_everything_is_as_believed_and_nothing_is_left(world: World) -> None:
    with Droplets(world):
        assert verdict(run(world, *PHASES)) == ([], [])
    nothing_is_left(world)


def test_a_bucket_that_is_there_stays_with_its_policy(world: World) -> None:
    spaces = Spaces(world.connection, bucket=OWN, region=REGION)
    spaces.create_bucket()
    spaces.put("kept", b"kept")
    statement = {"Sid": "x", "Effect": "Allow", "Principal": "*", "Action": "s3:GetObject"}
    policy = {"Version": "2012-10-17", "Statement": [{**statement, "Resource": f"arn:aws:s3:::{OWN}/x/*"}]}
    spaces.put_policy(json.dumps(policy))
    assert verdict(run(world, "spaces", bucket=OWN)) == ([], [])
    assert json.loads(spaces.policy() or "") == policy
    nothing_is_left(world)


def test_where_a_region_has_no_vpc_none_is_made_that_would_stay_ours(world: World) -> None:
    world.account.vpcs.clear()
    assert verdict(run(world, "api")) == (["no_default_vpc"], ["default-vpc-range", "member-lag"])
    assert [(vpc.name, vpc.default) for vpc in world.account.vpcs.values()] == [(f"default-{REGION}", True)]
    nothing_is_left(world)


class Time:
    """Time that passes by sleeping alone, for the account as well."""

    def __init__(self) -> None:
        self.passed = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.passed

    def sleep(self, seconds: float) -> None:
        self.passed += timedelta(seconds=seconds)
        time.sleep(0.005)  # who stands for a machine lives in real time

    def time(self) -> float:
        return self.now().timestamp()

    def monotonic(self) -> float:
        return self.time()


@pytest.fixture
def clock(world: World, monkeypatch: pytest.MonkeyPatch) -> Clock:
    passing = Time()
    monkeypatch.setattr(world.api, "_now", passing.time)
    return Clock(passing.now, passing.sleep)


UNKIND: Mapping[str, float] = {
    "read_lag": 90,
    "list_lag": 90,
    "boot_lag": 240,
    "network_lag": 90,
    "member_lag": 300,
    "key_lag": 150,
    "firewall_lag": 150,
    "failing_creates": 2,
    "droplet_limit": 2,
    "requests_per_hour": 4000,
    "volume_lag": 150,
    "volume_limit": 2,
    "address_lag": 150,
    "address_limit": 2,
}
OF: Mapping[str, Phase] = {"volume": "volumes", "address": "addresses"}


def test_the_lab_unkind_as_it_is_is_as_believed(world: World, clock: Clock) -> None:
    world.account.unkind = replace(Unkindness(), requests_per_minute=2000)
    with Droplets(world):
        assert verdict(run(world, "api", *OWNED, clock=clock)) == ([], [])
    nothing_is_left(world)


@pytest.mark.parametrize("name", UNKIND)
def test_an_unkindness_that_nobody_believes_is_told_alone(world: World, clock: Clock, name: str) -> None:
    world.account.unkind = replace(BELIEVED, **{name: UNKIND[name]})  # type: ignore[arg-type]
    with Droplets(world):
        assert verdict(run(world, OF.get(name.partition("_")[0], "api"), clock=clock)) == ([name], [])
    nothing_is_left(world)


def test_addresses_in_order_are_told_alone(world: World) -> None:
    world.account.unkind = KIND
    with Droplets(world):
        assert verdict(run(world, "two")) == (["shuffled_addresses"], [])


def test_an_open_port_is_told_alone(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("generator.probe.wire.Wire.is_open", lambda *_: True)
    assert verdict(run(world, "api")) == (["apply_firewall"], [])


def test_user_data_are_as_long_as_they_may_be(world: World) -> None:
    run(world, "api")
    lengths = [len(droplet.user_data) for droplet in world.account.droplets.values()]
    assert lengths == [USER_DATA_BYTES]


def changes(world: World, *words: str) -> int:
    """Count what a run changes when nobody ends it."""
    assert gen(world, None, *words).code == 0
    return world.fate.count


WORDS = ("probe", "--yes", "--only", "api", "--only", "spaces")


def test_killed_at_every_point_it_leaves_nothing_after_the_next(tmp_path: Path) -> None:
    with running(tmp_path, versitygw(), BELIEVED) as world:
        count = changes(world, *WORDS)
        nothing_is_left(world)
        assert count > 25
        world.account.unkind = replace(BELIEVED, requests_per_minute=10**6, requests_per_hour=10**6)
        for point in range(1, count + 1):
            world.account.key_lists.clear()  # of which a minute has ten, and this is many runs a minute
            killed = gen(world, None, *WORDS, die_at=point)
            assert killed.code == -9, (point, killed.err)
            done = gen(world, None, "probe", "--clean", "--yes")
            assert done.code == 0, (point, done.err)
            nothing_is_left(world)


OWNED_WORDS = ("probe", "--yes", "--only", "volumes", "--only", "addresses", "--only", "keys")


@pytest.mark.parametrize(
    "start", [start if start == 5 else pytest.param(start, marks=pytest.mark.long) for start in range(1, 13)]
)
def test_killed_at_any_point_no_volume_address_or_key_is_left_after_the_next(tmp_path: Path, start: int) -> None:
    with running(tmp_path, versitygw(), BELIEVED) as world, Droplets(world):
        count = changes(world, *OWNED_WORDS)
        nothing_is_left(world)
        assert count > 45
        world.account.unkind = replace(BELIEVED, requests_per_minute=10**6, requests_per_hour=10**6)
        for point in range(start, count + 1, 12):
            world.account.key_lists.clear()
            killed = gen(world, None, *OWNED_WORDS, die_at=point)
            assert killed.code in (-9, 0), (point, killed.err)
            done = gen(world, None, "probe", "--clean", "--yes")
            assert done.code == 0, (point, done.err)
            nothing_is_left(world)


NOT_ASKED = {
    "volumes": ({"missing_scope": "block_storage:create"}, "the token may not make volumes"),
    "addresses": ({"missing_scope": "reserved_ip:create"}, "the token may not reserve addresses"),
    "keys": ({"missing_scope": "spaces_key:create_credentials"}, "the token may not make Spaces keys, or the account"),
    "limit": ({"address_limit": 0}, "the account has all of the 0 reserved addresses that it may have"),
}


@pytest.mark.parametrize("name", NOT_ASKED)
def test_what_an_account_does_not_allow_is_not_asked_and_says_why(world: World, name: str) -> None:
    unkind, why = NOT_ASKED[name]
    world.account.unkind = replace(BELIEVED, **unkind)  # type: ignore[arg-type]
    phase = "addresses" if name == "limit" else name
    outcome = gen(world, None, "probe", "--yes", "--only", phase, "--only", "spaces", "--json")
    told = json.loads(outcome.out)
    rows = {row["id"]: row["verdict"] for row in told["rows"] if row["phase"] == phase}
    assert told["not_asked"][phase].startswith(why)
    assert set(rows.values()) - {"not asked"} <= ({"differs"} if name == "limit" else set())
    assert outcome.code == (1 if name == "limit" else 0), outcome.err
    assert f": {why}" in outcome.err
    assert world.account.droplets == {}, "what can't be asked costs nothing"
    nothing_is_left(world)


@pytest.mark.parametrize("lacking", ["block_storage", "reserved_ip", "spaces_key"])
def test_who_may_not_even_see_a_kind_probes_the_rest(world: World, lacking: str) -> None:
    world.account.unkind = replace(BELIEVED, missing_scope=f"{lacking}:read")
    assert gen(world, None, *WORDS).code == 0
    nothing_is_left(world)


def test_the_table_of_scopes_has_what_every_request_of_a_probe_needs(world: World) -> None:
    with Droplets(world):
        run(world, *OWNED)
    lines = (world.directory / "api.jsonl").read_text().splitlines()
    asked = [(line["method"], line["path"].partition("?")[0]) for line in map(json.loads, lines)]
    needed = {scopes.needed(*one) for one in asked}
    assert None not in needed
    assert needed <= {f"{name}:{verb}" for name, verbs in scopes.SCOPES.items() for verb in verbs}
    assert {"block_storage_action:create", "reserved_ip:update", "spaces_key:delete"} <= needed


def test_an_address_that_somebody_uses_meanwhile_is_left_alone(world: World) -> None:
    """A tag of a run may outlive its address, which the account may have given to another droplet since."""
    others = lab_droplets.create(world.account, {"name": "x", **ORDER}, time.time())[0]
    ip = reserved_ips.create(world.account, {"droplet_id": others.id}, time.time()).ip
    scope = Scope.new()
    lab_tags.ensure(world.account, [scope.tag, scope.address_tag(ip)], time.time())
    assert gen(world, None, "probe", "--clean", "--yes").code == 0
    assert (list(world.account.reserved_ips), world.account.tags) == ([ip], {})
    assert world.account.living() == [others]


def test_an_address_that_its_droplet_has_to_lose_first_is_released_all_the_same(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The provider says so of IPv6, and may of others; a droplet that stayed for that would cost."""
    real = reserved_ips.release

    def strict(account: Account, address: str, now: float) -> None:
        if reserved_ips.holder(account, reserved_ips.find(account, address)) is not None:
            raise Refusal(400, "bad_request", "assigned FLIP cannot be released")
        real(account, address, now)

    monkeypatch.setattr(reserved_ips, "release", strict)
    scope = Scope.new()
    (left,) = lab_droplets.create(world.account, {"name": "x", **ORDER, "tags": [scope.tag]}, time.time())
    world.account.unkind = replace(BELIEVED, address_lag=0.4)
    reserved_ips.create(world.account, {"droplet_id": left.id}, time.time())
    done = gen(world, None, "probe", "--clean", "--yes")
    assert done.code == 0, done.err
    assert done.err.index("release address") < done.err.index("delete droplet")
    nothing_is_left(world)


def test_interrupted_it_removes_what_it_made(world: World) -> None:
    outcome = gen(world, None, *WORDS, die_at=8, signal=signal.SIGTERM)
    assert (outcome.code, outcome.out) == (130, ""), outcome.err
    nothing_is_left(world)
    outcome = gen(world, None, *WORDS, die_at=19, signal=signal.SIGTERM)
    assert (outcome.code, outcome.out) == (130, "")
    assert "something is left; `gen probe --clean` goes on\n" in outcome.err
    assert gen(world, None, "probe", "--clean", "--yes").code == 0
    nothing_is_left(world)


def test_what_went_wrong_is_told_beside_what_is_known(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.account.unkind = replace(KIND, failing_creates=9)
    outcome = gen(world, None, *WORDS, "--json")
    assert outcome.code == 1
    assert outcome.err.endswith("with an error of its own\n")
    told = {row["id"]: row["verdict"] for row in json.loads(outcome.out)["rows"]}
    assert (told["policy"], told["failing-creates"], told["boot-lag"]) == ("as believed", "differs", "no answer")
    nothing_is_left(world)


def test_the_next_run_removes_what_one_left(world: World) -> None:
    assert gen(world, None, *WORDS, die_at=12).code == -9
    assert world.account.tags
    outcome = gen(world, None, *WORDS, "--json")
    assert outcome.code == 0, outcome.err
    assert "left by an earlier run" in outcome.err
    told = json.loads(outcome.out)
    assert {row["phase"] for row in told["rows"]} == {"api", "spaces"}
    assert {row["verdict"] for row in told["rows"]} == {"as believed", "can't tell"}
    nothing_is_left(world)


def test_what_is_in_the_way_is_said_before_anything_is_made(world: World) -> None:
    world.account.unkind = replace(BELIEVED, droplet_limit=0)
    outcome = gen(world, None, *WORDS)
    assert outcome.code == 1
    assert outcome.err.startswith("error: the account has room for 0 more droplets, the probe needs 1\n  hint: ")
    assert gen(world, None, *WORDS, "--region", "nyc1").err.startswith("error: --region: `nyc1` has no Spaces\n")
    world.account.unkind = BELIEVED
    assert gen(world, None, *WORDS, "--bucket", "A.b").err.startswith("error: --bucket: `A.b` is no bucket's name\n")
    outcome = gen(world, None, *WORDS, "--ssh-key", "mine")
    assert outcome.err == "error: --ssh-key: the account has no SSH key `mine`\n"
    outcome = gen(world, None, "probe")
    assert outcome.err.splitlines() == [
        "  1 droplet s-1vcpu-1gb for some minutes, $0.01; removed at the end",
        "  2 volumes of 1 and 2 GiB for some minutes, less than a cent; removed",
        "  a reserved address, of which only the minutes cost without a droplet, less than a cent; removed",
        "  2 Spaces keys for a bucket of their own; removed",
        "  some small objects in Spaces, $5 a month where the account has none yet; removed",
        "error: nobody is there to be asked",
        "  hint: `--yes` goes on without asking",
    ]
    assert world.account.tags == {}
    nothing_is_left(world)


def test_a_key_of_the_account_is_let_in_too(world: World) -> None:
    mine = lab_keys.create(world.account, {"name": "mine", "public_key": throw_away().line}, 0)
    made = Run(
        Questions(("api",), REGION, ssh_key="mine"),
        world.connection,
        Clock(sleep=lambda seconds: time.sleep(seconds / HASTE)),
        lambda _: None,
    )
    made.check()
    made.carry_out()
    (droplet,) = world.account.droplets.values()
    assert len(droplet.keys) == 2
    assert mine.id in droplet.keys
    assert list(world.account.keys) == [mine.id]
