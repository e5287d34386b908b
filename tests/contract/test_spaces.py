"""The real boto3 against a real S3 server: bucket, policy, objects, signed addresses, and the lock."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest

from generator import liveness
from generator.clock import Clock
from generator.cluster import bucket_policy, expiry_rules
from generator.cluster.bucket_policy import Place
from generator.cluster.kinds import bundle
from generator.cluster.launch_lock import STALE, LaunchLock
from generator.cluster.memory import Memory
from generator.errors import Problem
from generator.provider.connection import Connection
from generator.provider.spaces import Settings, Spaces, Trouble
from tests.contract.operating import versitygw
from tests.contract.world import KEY_ID, REGION, SECRET, World, running

MINUTE = timedelta(minutes=1)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with running(tmp_path_factory.mktemp("world"), versitygw()) as made:
        yield made


@pytest.fixture
def spaces(world: World, request: pytest.FixtureRequest) -> Spaces:
    made = Spaces(world.connection, bucket=f"b-{sha256(request.node.name.encode()).hexdigest()[:16]}", region=REGION)
    made.create_bucket()
    return made


def get(world: World, url: str) -> int:
    return world.http.request("GET", url).status


def test_a_bucket_is_made_once(world: World) -> None:
    spaces = Spaces(world.connection, bucket="made-once", region=REGION)
    assert not spaces.bucket_exists()
    assert spaces.objects("c/") == ()
    spaces.create_bucket()
    spaces.create_bucket()
    assert spaces.bucket_exists()


def test_a_wrong_key_is_a_problem_with_a_hint(world: World) -> None:
    connection = Connection("t", "someone", SECRET, proxy=world.connection.proxy, ca_file=world.connection.ca_file)
    with pytest.raises(Problem) as caught:
        Spaces(connection, bucket="made-once", region=REGION).objects("c/")
    assert "SPACES_ACCESS_KEY_ID" in (caught.value.hint or "")
    assert SECRET not in str(caught.value)


def test_the_users_other_tools_are_not_asked(world: World, spaces: Spaces, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "other")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://example.invalid")
    assert Spaces(world.connection, bucket=spaces.bucket, region=REGION).bucket_exists()


def test_a_store_that_is_away_is_a_problem(world: World, tmp_path: Path) -> None:
    connection = Connection(
        "t", KEY_ID, SECRET, spaces_endpoint="https://nowhere.invalid", proxy=world.connection.proxy
    )
    with pytest.raises(Problem, match="Spaces can't be reached"):
        Spaces(connection, bucket="b", region=REGION).objects("c/")


def test_an_object_comes_back(spaces: Spaces) -> None:
    assert spaces.get("c/a") is None
    assert spaces.facts("c/a") is None
    assert spaces.put("c/a", b"\x00\xff", facts={"expires": "2026-11-22T08:30:00Z"})
    assert spaces.get("c/a") == b"\x00\xff"
    assert spaces.facts("c/a") == {"expires": "2026-11-22T08:30:00Z"}
    spaces.put("other/a", b"")
    assert [(one.key, one.size) for one in spaces.objects("c/")] == [("c/a", 2)]
    spaces.delete("c/a")
    spaces.delete("c/a")
    assert spaces.objects("c/") == ()


def test_only_one_can_be_first(spaces: Spaces) -> None:
    assert spaces.put("c/lock", b"mine", only_new=True)
    assert not spaces.put("c/lock", b"yours", only_new=True)
    assert spaces.put("c/lock", b"mine", only_new=True), "one's own first attempt is no one else's"
    assert spaces.get("c/lock") == b"mine"


def place(spaces: Spaces, public: str) -> Place:
    return Place(spaces.bucket, f"{public.split('/')[0]}/", public)


def allow(spaces: Spaces, public: str) -> None:
    spaces.put_policy(bucket_policy.mended(spaces.policy(), place(spaces, public)))


def withdraw(spaces: Spaces, cluster: str) -> None:
    spaces.put_policy(bucket_policy.withdrawn(spaces.policy(), place(spaces, f"{cluster}/")))


def statements(spaces: Spaces) -> list[dict[str, str]]:
    found: list[dict[str, str]] = json.loads(spaces.policy() or '{"Statement": []}')["Statement"]
    return found


def test_anyone_may_read_what_is_public_and_nothing_else(world: World, spaces: Spaces) -> None:
    keys = ("c/id/public/roster.json", "c/id/secret", "c/bundles/a", "other/id/public/roster.json")
    for key in keys:
        spaces.put(key, b"{}")
    assert [get(world, spaces.url(key)) for key in keys] == [403, 403, 403, 403]
    allow(spaces, "c/id/public")
    assert [get(world, spaces.url(key)) for key in keys] == [200, 403, 403, 403]
    assert bucket_policy.is_planned(spaces.policy(), place(spaces, "c/id/public"))
    assert world.http.request("PUT", spaces.url(keys[0]), body=b"mine").status == 403
    withdraw(spaces, "c")
    withdraw(spaces, "c")
    assert spaces.policy() is None
    assert [get(world, spaces.url(key)) for key in keys] == [403, 403, 403, 403]


def test_foreign_statements_stay(spaces: Spaces) -> None:
    resource = f"arn:aws:s3:::{spaces.bucket}/website/*"
    foreign = {"Sid": "Site", "Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": resource}
    spaces.put_policy(json.dumps({"Version": "2012-10-17", "Statement": [foreign]}))
    allow(spaces, "c/id/public")
    allow(spaces, "c/id2/public")
    assert statements(spaces) == [foreign, place(spaces, "c/id2/public").statement]
    withdraw(spaces, "c")
    assert statements(spaces) == [foreign]


def test_two_clusters_share_a_bucket(world: World, spaces: Spaces) -> None:
    keys = ("a-b/id/public/roster.json", "ab/id/public/roster.json")
    for key in keys:
        spaces.put(key, b"{}")
        allow(spaces, key.removesuffix("/roster.json"))
    assert len({statement["Sid"] for statement in statements(spaces)}) == 2
    assert all(statement["Sid"].isalnum() for statement in statements(spaces))
    assert [get(world, spaces.url(key)) for key in keys] == [200, 200]
    withdraw(spaces, "ab")
    assert [get(world, spaces.url(key)) for key in keys] == [200, 403]


def test_a_policy_that_lets_anyone_write_really_does_and_is_seen(world: World, spaces: Spaces) -> None:
    for pattern, seen in (("*", bucket_policy.wider), ("c/*", bucket_policy.unplanned)):
        resource = f"arn:aws:s3:::{spaces.bucket}/{pattern}"
        wide = {"Effect": "Allow", "Principal": "*", "Action": "s3:PutObject", "Resource": resource}
        spaces.put_policy(json.dumps({"Version": "2012-10-17", "Statement": [wide]}))
        assert world.http.request("PUT", spaces.url("c/bundles/x"), body=b"mine").status == 200
        assert seen(spaces.policy(), place(spaces, "c/id/public")) == (f"lets everybody do s3:PutObject on {resource}",)
    allow(spaces, "c/id/public")
    assert world.http.request("PUT", spaces.url("c/bundles/x"), body=b"mine").status == 403


def test_a_new_bucket_is_its_owners_alone(spaces: Spaces) -> None:
    assert spaces.settings() == Settings()


def test_what_a_bucket_is_set_to_is_read(world: World, spaces: Spaces) -> None:
    s3, bucket = spaces._client, spaces.bucket
    s3.put_bucket_ownership_controls(
        Bucket=bucket, OwnershipControls={"Rules": [{"ObjectOwnership": "BucketOwnerPreferred"}]}
    )
    s3.put_bucket_acl(Bucket=bucket, ACL="public-read-write")
    listing = f"{spaces.url('')}?list-type=2"
    assert get(world, listing) == 200
    s3.put_bucket_cors(
        Bucket=bucket,
        CORSConfiguration={"CORSRules": [{"AllowedOrigins": ["https://a.example", "*"], "AllowedMethods": ["GET"]}]},
    )
    found = spaces.settings()
    assert found.grants == (("all-users", "READ"), ("all-users", "WRITE"))
    assert found.cors == ("https://a.example, *",)
    s3.put_bucket_acl(Bucket=bucket, ACL="private")
    s3.delete_bucket_cors(Bucket=bucket)
    assert spaces.settings() == Settings()
    assert get(world, listing) == 403
    for state in ("Enabled", "Suspended"):
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": state})
        assert spaces.settings() == Settings(versioning=state)


def test_lifecycle_rules_come_back_and_others_are_kept(spaces: Spaces) -> None:
    assert spaces.lifecycle() == ()
    foreign = {
        "ID": "logs",
        "Filter": {"And": {"Prefix": "logs/", "Tags": [{"Key": "k", "Value": "v"}]}},
        "Status": "Enabled",
        "Expiration": {"Days": 90},
    }
    spaces.put_lifecycle([foreign, expiry_rules.planned("c")])
    found = spaces.lifecycle()
    assert found == (foreign, expiry_rules.planned("c"))
    assert expiry_rules.is_planned(found, "c")
    spaces.put_lifecycle(expiry_rules.foreign(found, "c"))
    assert spaces.lifecycle() == (foreign,)
    spaces.put_lifecycle(())
    assert spaces.lifecycle() == ()


def test_a_store_that_knows_no_rules_says_so(world: World) -> None:
    old = Spaces(world.connection, bucket="rules-old", region=REGION)
    old.create_bucket()
    assert old.lifecycle() is None


def test_a_signed_address_does_one_thing(world: World, spaces: Spaces) -> None:
    spaces.put("c/bundles/a", b"sealed")
    read, write = spaces.presign_get("c/bundles/a", MINUTE), spaces.presign_put("c/status/a.json", MINUTE)
    assert read.startswith("https://fra1.digitaloceanspaces.com/")
    assert world.http.request("GET", read).data == b"sealed"
    assert world.http.request("PUT", write, body=b"{}").status == 200
    assert spaces.get("c/status/a.json") == b"{}"
    assert world.http.request("PUT", read, body=b"x").status == 403
    assert get(world, read.replace("bundles/a", "bundles/b")) == 403
    assert world.http.request("PUT", write.replace("status/a", "status/b"), body=b"{}").status == 403


@pytest.mark.parametrize("lifetime", [timedelta(0), timedelta(hours=2, seconds=1)])
def test_no_address_lives_longer_than_two_hours(spaces: Spaces, lifetime: timedelta) -> None:
    with pytest.raises(ValueError, match="no lifetime"):
        spaces.presign_get("c/a", lifetime)


def test_bundles_say_until_when_they_are_of_use(spaces: Spaces) -> None:
    soon = (datetime.now(UTC) + timedelta(minutes=30)).replace(microsecond=0)
    facts = {"expires": soon.strftime("%Y-%m-%dT%H:%M:%SZ")}
    spaces.put(f"c/bundles/node01-{'0' * 32}.bundle", b"x", facts=facts)
    spaces.put(f"c/bundles/node02-{'1' * 32}.bundle", b"x", facts={"expires": "whenever"})
    spaces.put("c/bundles/readme", b"x")
    first, second, nobodys = bundle.listed(spaces, "c", spaces.objects("c/"), Memory())
    assert (nobodys.node, nobodys.key) == ("", "c/bundles/readme")
    assert (first.node, first.expires) == ("node01", soon)
    assert (second.node, second.expires - second.modified) == ("node02", timedelta(hours=2))


def test_an_object_without_end_is_none_of_ours(spaces: Spaces) -> None:
    spaces.put("c/lock", b"x" * 1_000_000)
    assert len(spaces.get("c/lock") or b"") == 1_000_000
    with pytest.raises(Trouble, match="c/lock: is no object of ours: more than 16,384 bytes"), lock(spaces):
        pass


def lock(spaces: Spaces, clock: Clock | None = None, said: list[str] | None = None) -> LaunchLock:
    return LaunchLock(spaces, "c", clock or Clock(), (said if said is not None else []).append)


def test_a_lock_is_held_by_one(spaces: Spaces) -> None:
    with lock(spaces) as mine:
        with pytest.raises(Problem, match=f"process {os.getpid()}.* works on this cluster since"), lock(spaces):
            pass
        mine.keep()
    assert spaces.objects("c/") == ()
    with lock(spaces):
        pass


def test_a_lock_is_given_back_by_whoever_is_interrupted(spaces: Spaces) -> None:
    with pytest.raises(KeyboardInterrupt), lock(spaces):
        raise KeyboardInterrupt
    assert spaces.objects("c/") == ()


def test_the_lock_of_a_dead_process_is_taken_over_with_a_word(spaces: Spaces) -> None:
    dead = lock(spaces)
    content = json.loads(dead._content()) | {"process": 2**22 + 1, "user": "eve\x1b[2J"}
    spaces.put("c/lock", json.dumps(content).encode())
    said: list[str] = []
    with lock(spaces, said=said):
        assert len(said) == 1
        assert "taking over the launch lock of eve[2J@" in said[0]


def test_a_process_that_was_killed_gives_its_lock_up_at_once_whoever_has_its_number(spaces: Spaces) -> None:
    """Killed and not waited for, as below a container's first process, or with its number given to another since."""
    content = json.loads(lock(spaces)._content())
    with subprocess.Popen(["sleep", "100"]) as child:
        alive = content | {"process": child.pid, "started": liveness.start_time(child.pid)}
        spaces.put("c/lock", json.dumps(alive).encode())
        with pytest.raises(Problem, match="works on this cluster"), lock(spaces):
            pass
        child.kill()
        while liveness.start_time(child.pid) is not None:
            time.sleep(0.01)
        with lock(spaces):
            pass
    spaces.put("c/lock", json.dumps(content | {"owner": "x", "started": content["started"] - 1}).encode())
    with lock(spaces):
        pass


@pytest.mark.parametrize("hidden", [None, PermissionError("hidden")])
def test_the_lock_of_anothers_process_that_proc_hides_stays(
    spaces: Spaces, monkeypatch: pytest.MonkeyPatch, hidden: Exception | None
) -> None:
    """As `/proc` looks with hidepid, where a signal is refused."""

    real = liveness.start_time

    def start_time(pid: int) -> int | None:
        if pid == 1 and hidden:
            raise hidden
        return None if pid == 1 else real(pid)

    def kill(_: int, signal: int) -> None:
        assert signal == 0
        raise PermissionError

    content = json.loads(lock(spaces)._content()) | {"process": 1}
    spaces.put("c/lock", json.dumps(content).encode())
    monkeypatch.setattr(liveness, "start_time", start_time)
    monkeypatch.setattr(os, "kill", kill)
    with pytest.raises(Problem, match="works on this cluster"), lock(spaces):
        pass


@pytest.mark.parametrize("elsewhere", ["host", "boot", "namespace"])
def test_a_number_means_nothing_on_another_machine(spaces: Spaces, elsewhere: str) -> None:
    content = json.loads(lock(spaces)._content()) | {"process": 2**22 + 1, elsewhere: "another"}
    spaces.put("c/lock", json.dumps(content).encode())
    with pytest.raises(Problem, match="works on this cluster"), lock(spaces):
        pass


@pytest.mark.parametrize("content", [b"", b"[]", b"garbage", b'{"host": "elsewhere", "process": 1}', b"[" * 10_000])
def test_a_lock_goes_stale(spaces: Spaces, content: bytes) -> None:
    spaces.put("c/lock", content)
    with pytest.raises(Problem, match="works on this cluster"), lock(spaces):
        pass
    later = Clock(now=lambda: datetime.now(UTC) + STALE + MINUTE)
    said: list[str] = []
    with lock(spaces, later, said):
        assert len(said) == 1


def test_whoever_slept_through_a_take_over_stops(spaces: Spaces) -> None:
    with lock(spaces) as mine:
        mine.keep()
        spaces.put("c/lock", b'{"owner": "other", "user": "bob", "host": "h", "process": 7}')
        with pytest.raises(Problem, match="taken over by bob@h"):
            mine.keep()
    assert spaces.get("c/lock") is not None, "the other's lock stays"
