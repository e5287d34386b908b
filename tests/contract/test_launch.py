"""A launch against the lab's account and a real object store, killed at every point and run again."""

from __future__ import annotations

import json
import re
import shutil
import signal
import stat
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email import message_from_string
from pathlib import Path

import pytest
import yaml

from generator.clock import Clock
from generator.cluster import bucket_policy, expiry_rules
from generator.cluster.destroy import Destroyer
from generator.cluster.kinds import policy
from generator.cluster.kinds.vpc import NEUTRAL
from generator.cluster.launch_lock import LaunchLock
from generator.documents import committed, render
from generator.errors import Problems
from generator.lab.account import ssh_keys
from generator.lab.account.account import Firewall
from generator.lab.unkindness import KIND
from generator.pki.store import KeyStore
from generator.plan.names import RELEASED, Owner, bundle_key, read_owner, roster_key, state_access_key, status_key
from generator.plan.project import Project
from generator.provider.spaces import Spaces
from generator.provider.ssh_key import throw_away
from tests.contract.operating import HASTE, gen, ok, versitygw
from tests.contract.world import World, launch_part, running

UNKIND = replace(
    KIND,
    read_lag=0.3,
    list_lag=0.6,
    boot_lag=0.2,
    network_lag=0.4,
    member_lag=1.0,
    key_lag=0.2,
    firewall_lag=0.3,
    failing_creates=1,
    volume_lag=0.5,
    shuffled_addresses=True,
)
FAST = Clock(sleep=lambda seconds: time.sleep(seconds / HASTE))
CHANGES = 56
"""A first launch changes no more than this many things at the provider and in the bucket."""


@pytest.fixture
def defaultless(project: Project, tmp_path: Path) -> Iterator[World]:
    with running(tmp_path, versitygw(), replace(KIND, no_default_vpc=True)) as made:
        made.inhabit(project.plan, KeyStore.open(project.keys_path, project.plan, project.inventory))
        yield made


@pytest.fixture
def unkind(project: Project, tmp_path: Path) -> Iterator[World]:
    with running(tmp_path, versitygw(), UNKIND) as made:
        made.inhabit(project.plan, KeyStore.open(project.keys_path, project.plan, project.inventory))
        yield made


def spaces(world: World, project: Project) -> Spaces:
    return Spaces(world.connection, bucket=project.plan.spaces_bucket, region=project.plan.spaces_region)


def objects(world: World, project: Project) -> list[str]:
    return sorted(one.key for one in spaces(world, project).objects(""))


def is_one_cluster(world: World, project: Project) -> None:
    """Assert that there is one of everything, and that all of it is up."""
    account, plan = world.account, project.plan
    assert sorted(droplet.name for droplet in account.living()) == [node.name for node in plan.nodes]
    assert len([vpc for vpc in account.vpcs.values() if vpc.name == "hardway-orderbook"]) == 1
    assert len(account.firewalls) == len(account.keys) == 1
    holders = {one.name: one.holder(time.time()) for one in account.volumes.values()}
    assert len(holders) == len(account.volumes)
    living = {droplet.name: droplet.id for droplet in account.living()}
    assert holders == {one.full_name: living[node.name] for node in plan.nodes for one in node.volumes}
    assert len(world.up()) == world.members() == 3
    body = spaces(world, project).get(roster_key(plan.public_prefix))
    assert body is not None
    roster = json.loads(json.loads(body)["payload"])
    assert roster["etcd"]["state"] == "existing"
    endpoints = {entry["name"]: entry["endpoint"] for entry in roster["nodes"]}
    assert endpoints == {droplet.name: droplet.vpc_address for droplet in account.living()}
    rules = spaces(world, project).lifecycle()
    assert rules is not None
    assert expiry_rules.is_planned(rules, plan.name)
    (key,) = account.spaces_keys.values()
    assert key.grants == [{"bucket": plan.state_bucket, "permission": "readwrite"}]
    assert [one for one in objects(world, project) if one.endswith(".access")] == [
        state_access_key(plan.public_prefix, roster["state_access"])
    ]
    kept = [key for key in objects(world, project) if "/status/" not in key and "/public/" not in key]
    assert kept == []


def is_named_by(description: str, project: Project) -> None:
    """Assert that a VPC's description says whose it is, and how new the roster is."""
    plan, said = project.plan, read_owner(description)
    assert said is not None
    assert said == Owner(plan.cluster_id, plan.spaces_bucket, plan.spaces_region, said.generation)
    assert abs(said.generation - time.time()) < 600


def nothing_is_left(world: World, project: Project) -> None:
    account = world.account
    assert (account.living(), account.firewalls, account.keys, account.tags) == ([], {}, {}, {})
    assert account.spaces_keys == {}
    assert [vpc.name for vpc in account.vpcs.values() if not vpc.default] == []
    assert {one.holder(time.time() + 60) for one in account.volumes.values()} <= {None}, "what is kept is free"
    assert objects(world, project) == []
    assert spaces(world, project).policy() is None
    assert spaces(world, project).lifecycle() == ()


def test_a_first_launch_in_an_unkind_world(unkind: World, project: Project) -> None:
    told = json.loads(ok(gen(unkind, project, "launch", "--yes", "--json")).out)
    is_one_cluster(unkind, project)
    assert unkind.account.failed_creates == 1
    assert told["api_requests"] < 70
    assert told["url"] == "https://limit-order-book.local/ob"
    path = Path(told["kubeconfig"])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    cluster = yaml.safe_load(path.read_text())["clusters"][0]["cluster"]
    assert cluster["tls-server-name"] == "api.orderbook.internal"
    assert cluster["proxy-url"] == unkind.connection.proxy
    assert cluster["server"] == f"https://{told['api']}:6443"
    ok(gen(unkind, project, "destroy", "--yes", "orderbook"))
    nothing_is_left(unkind, project)


def test_a_droplet_is_ordered_as_reviewed(world: World, project: Project) -> None:
    ok(gen(world, project, "launch", "--yes"))
    for droplet in world.account.living():
        document = (project.rendered_path / "nodes" / droplet.name / "user-data").read_text()
        first = message_from_string(droplet.user_data).get_payload()[0]
        assert first.get_payload() == document  # type: ignore[union-attr]
        assert droplet.keys == list(world.account.keys)
        assert len(droplet.tags) == 3
        assert droplet.features == ["private_networking"]
        launch = launch_part(droplet.user_data)
        assert launch["bundle_url"].startswith(
            "https://fra1.digitaloceanspaces.com/orderbook-hardway/orderbook/bundles/"
        )
        assert "X-Amz-Expires=7200" in launch["bundle_url"]
        assert "?" not in launch["roster_url"] + launch["addons_url"]


def test_no_droplet_is_ordered_so_that_a_password_is_mailed_or_an_agent_comes(world: World, project: Project) -> None:
    """The provider mails a root password for a droplet without a key, and brings its agent unless it is told not to.

    Source: https://docs.digitalocean.com/reference/api/ (Create a New Droplet)
    """
    ok(gen(world, project, "launch", "--yes"))
    world.destroy("node02")
    ok(gen(world, project, "launch", "--yes"))
    log = (world.directory / "api.jsonl").read_text(encoding="utf-8")
    orders = [
        call["body"]
        for call in map(json.loads, log.splitlines())
        if (call["method"], call["path"]) == ("POST", "/v2/droplets")
    ]
    assert sorted(order["name"] for order in orders) == ["node01", "node02", "node02", "node03"]
    (key,) = world.account.keys.values()
    for order in orders:
        assert order["ssh_keys"] == [key.id]
        assert order["with_droplet_agent"] is False
        assert order["monitoring"] is False
    # Its private half is nowhere: nothing that a launch leaves on the operator's machine speaks of it.
    blob = key.public_key.split()[1].encode()
    left = [path for path in project.file.parent.rglob("*") if path.is_file()]
    assert len(left) > 50
    assert [path for path in left if blob in path.read_bytes() or b"OPENSSH PRIVATE KEY" in path.read_bytes()] == []


def test_who_debugs_gets_in_by_the_accounts_own_keys(world: World, project: Project) -> None:
    until = datetime.now(UTC).date() + timedelta(days=3)
    project.file.write_text(f'{project.file.read_text()}debug: {{ssh_keys: [ben, anna], until: "{until}"}}\n')
    debugged = render.refresh(Project.load(project.file), now=datetime.now(UTC))
    committed.write(debugged, render.documents(debugged))
    keys = {name: ssh_keys.create(world.account, {"name": name, "public_key": throw_away().line}, 0) for name in "abc"}
    refused = gen(world, debugged, "launch", "--yes")
    assert refused.code == 1
    assert "error: ssh key ben: is in `debug.ssh_keys`, and not in the account" in refused.err
    assert "error: ssh key anna: is in `debug.ssh_keys`, and not in the account" in refused.err
    assert "hint: the account's keys are `a`, `b`, `c`; name one" in refused.err
    assert world.fate.count == 0
    keys["b"].name, keys["c"].name = "anna", "ben"
    said = ok(gen(world, debugged, "launch", "--yes")).err
    assert f"warning: `debug` is set: until {until}, who holds `ben`, `anna` logs in as root" in said
    (own,) = (key for key in world.account.keys.values() if key.name == "hardway-orderbook")
    for droplet in world.account.living():
        assert droplet.keys == [own.id, keys["c"].id, keys["b"].id]
    (wall,) = world.account.firewalls.values()
    from_people = [rule for rule in wall.inbound_rules if rule["sources"].get("addresses") == ["28.51.100.7"]]
    assert {rule["ports"] for rule in from_people} == {"22", "6443"}
    assert "warning: `debug` is set" in ok(gen(world, debugged, "status")).err
    # what is the account's stays there
    ok(gen(world, debugged, "destroy", "--yes", "orderbook"))
    assert sorted(key.name for key in world.account.keys.values()) == ["a", "anna", "ben"]


def test_a_launch_with_nothing_to_do_changes_nothing(world: World, project: Project) -> None:
    ok(gen(world, project, "launch", "--yes"))
    before = objects(world, project)
    ok(gen(world, project, "launch", "--yes"))
    assert world.fate.count == 2, "the lock is taken and given back"
    assert objects(world, project) == before
    assert "node01" in ok(gen(world, project, "status")).out


def test_a_machine_that_is_silent_is_not_taken_for_up_while_lists_still_show_it(world: World, project: Project) -> None:
    ok(gen(world, project, "launch", "--yes"))
    world.kubernetes.idle.add("node03")
    timer = threading.Timer(6, world.kubernetes.idle.clear)
    timer.start()
    ok(gen(world, project, "launch", "--yes"))
    assert not world.kubernetes.idle, "the launch was over before anything was heard of node03"
    timer.cancel()


# All kinds of change but no two alike: bucket, lock, key, tags, VPC, firewall, policy, rules, archives, secrets, the
# bucket of snapshots, its key and the roster; for each node its old status, bundle and droplet; then endpoints, bundles
# that were fetched, quorum, lock.
@pytest.mark.parametrize("change", [1, 2, 3, 4, 11, 12, 13, 14, 15, 16, 17, 18, 19, 22, 25, 26, 27, 29, 31, 33, 35, 37])
def test_a_killed_launch_is_continued_by_the_next(world: World, project: Project, change: int) -> None:
    killed = gen(world, project, "launch", "--yes", die_at=change)
    assert killed.code in (-9, 0), killed.err
    said = ok(gen(world, project, "launch", "--yes")).err
    if "lock" in [key.rpartition("/")[2] for key in objects(world, project)]:
        pytest.fail(said)
    is_one_cluster(world, project)
    assert world.fate.count < CHANGES


@pytest.mark.parametrize("change", [2, 5, 9, 20])
def test_a_killed_destroy_is_continued_by_the_next(world: World, project: Project, change: int) -> None:
    ok(gen(world, project, "launch", "--yes"))
    assert gen(world, project, "destroy", "--yes", "orderbook", die_at=change).code == -9
    ok(gen(world, project, "destroy", "--yes", "orderbook"))
    nothing_is_left(world, project)
    assert "nothing of orderbook is there" in ok(gen(world, project, "destroy", "--yes", "orderbook")).err


def test_a_bucket_that_is_open_to_everybody_stops_a_launch_until_it_is_mended(world: World, project: Project) -> None:
    store, bucket = spaces(world, project), project.plan.spaces_bucket
    store.create_bucket()
    wide = {"Effect": "Allow", "Principal": "*", "Action": "s3:PutObject", "Resource": f"arn:aws:s3:::{bucket}/*"}
    store.put_policy(json.dumps({"Version": "2012-10-17", "Statement": [wide]}))
    refused = gen(world, project, "launch", "--yes")
    assert refused.code == 1
    assert f"policy {bucket}: lets everybody do s3:PutObject on arn:aws:s3:::{bucket}/*" in refused.err
    mend = f"s3api delete-bucket-policy --bucket {bucket}"
    assert mend in refused.err
    assert not world.account.living() + objects(world, project)
    assert mend in gen(world, project, "status").out
    store.put_policy(None)
    ok(gen(world, project, "launch", "--yes"))
    is_one_cluster(world, project)
    own = wide | {"Resource": f"arn:aws:s3:::{bucket}/orderbook/*"}
    store.put_policy(json.dumps({"Version": "2012-10-17", "Statement": [own]}))
    assert gen(world, project, "status").code == 1
    ok(gen(world, project, "launch", "--yes"))
    assert bucket_policy.is_planned(store.policy(), policy.place(project.plan))
    ok(gen(world, project, "status"))


def test_where_a_region_has_no_vpc_its_default_is_made_first_and_is_nobodys(
    defaultless: World, project: Project
) -> None:
    ok(gen(defaultless, project, "launch", "--yes"))
    first, own = defaultless.account.vpcs.values()
    assert (first.name, first.default, first.description) == ("default-fra1", True, NEUTRAL)
    assert (own.name, own.default) == ("hardway-orderbook", False)
    is_named_by(own.description, project)
    said = ok(gen(defaultless, project, "destroy", "--yes", "orderbook")).err
    assert "what stays is vpc default-fra1, which is no cluster's" in said
    nothing_is_left(defaultless, project)
    assert list(defaultless.account.vpcs.values()) == [first]
    ok(gen(defaultless, project, "launch", "--yes"))
    assert len(defaultless.account.vpcs) == 2


def test_a_vpc_that_can_not_be_deleted_is_released_and_taken_again(world: World, project: Project) -> None:
    ok(gen(world, project, "launch", "--yes"))
    (vpc,) = (vpc for vpc in world.account.vpcs.values() if not vpc.default)
    # as it was made where there was no other, by an older version or by somebody who deleted the others since
    vpc.default = True
    said = ok(gen(world, project, "destroy", "--yes", "orderbook")).err
    assert "no droplet, firewall, key, tag or object of it is left" in said
    assert "what stays is vpc hardway-orderbook, as the default of fra1" in said
    nothing_is_left(world, project)
    assert vpc.description == RELEASED
    assert vpc.name == f"default-fra1-{vpc.id[:8]}"
    ok(gen(world, project, "launch", "--yes"))
    is_one_cluster(world, project)
    is_named_by(vpc.description, project)
    assert vpc.name == "hardway-orderbook"
    ok(gen(world, project, "destroy", "--yes", "orderbook"))
    nothing_is_left(world, project)


def test_another_secret_of_an_addon_replaces_no_droplet(world: World, project: Project) -> None:
    ok(gen(world, project, "launch", "--yes"))
    before = [droplet.id for droplet in world.account.living()]
    [first] = [key for key in objects(world, project) if key.endswith(".sealed")]
    pull = project.keys_path / "addons/order-book/registry/.dockerconfigjson"
    pull.parent.mkdir(mode=0o700)
    pull.write_text('{"auths": {"r.example": {"auth": "YTpi"}}}')
    pull.chmod(0o600)
    assert "addons: holds other secrets than were rendered" in gen(world, project, "launch", "--yes").err
    changed = render.refresh(project, now=datetime.now(UTC))
    committed.write(changed, render.documents(changed))
    changed = Project.load(project.file)
    assert gen(world, changed, "status").code == 1
    ok(gen(world, changed, "launch", "--yes"))
    assert [droplet.id for droplet in world.account.living()] == before
    assert changed.inventory is not None
    assert world.applied_secrets == changed.inventory.secrets
    ok(gen(world, changed, "launch", "--yes"))
    [second] = [key for key in objects(world, project) if key.endswith(".sealed")]
    assert (second != first, second.endswith(f"/{world.applied_secrets}.sealed")) == (True, True)
    assert world.http.request("GET", spaces(world, project).url(second)).status == 200
    ok(gen(world, changed, "status"))


def test_left_over_bundles_are_named_and_go_with_the_next_launch(world: World, project: Project) -> None:
    ok(gen(world, project, "launch", "--yes"))
    store = spaces(world, project)
    left = bundle_key("orderbook", "node02", "0" * 32)
    store.put(left, b"sealed", facts={"expires": "2026-01-01T00:00:00Z"})
    store.put("orderbook/bundles/readme", b"")
    said = gen(world, project, "status").out
    assert re.search(r"^sealed bundle of node02, \d+s old, its address expired \d+d ago$", said, re.MULTILINE)
    assert re.search(r"^sealed bundle of nobody, orderbook/bundles/readme, ", said, re.MULTILINE)
    ok(gen(world, project, "launch", "--yes"))
    is_one_cluster(world, project)
    assert "sealed bundle" not in ok(gen(world, project, "status")).out


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_launch_gives_the_lock_back(world: World, project: Project, number: int) -> None:
    outcome = gen(world, project, "launch", "--yes", die_at=18, signal=number)
    assert outcome.code == 130, outcome.err
    assert "orderbook/lock" not in objects(world, project)
    assert "Traceback" not in outcome.err
    ok(gen(world, project, "launch", "--yes"))
    is_one_cluster(world, project)


@pytest.mark.parametrize("node", ["node01", "node02", "node03"])
def test_a_droplet_that_is_gone_is_made_again_and_no_other(world: World, project: Project, node: str) -> None:
    ok(gen(world, project, "launch", "--yes"))
    before = {droplet.name: droplet.id for droplet in world.account.living()}
    world.destroy(node)
    ok(gen(world, project, "launch", "--yes"))
    is_one_cluster(world, project)
    after = {droplet.name: droplet.id for droplet in world.account.living()}
    assert {name for name in before if before[name] != after[name]} == {node}


def test_without_quorum_nothing_is_made(world: World, project: Project) -> None:
    ok(gen(world, project, "launch", "--yes"))
    world.destroy("node01")
    world.destroy("node03")
    outcome = gen(world, project, "launch", "--yes")
    assert outcome.code == 1
    assert "droplet node01, node03: missing, so etcd has no quorum" in outcome.err
    assert world.fate.count == 0
    assert len(world.account.living()) == 1


def test_a_failed_phase_is_shown_and_ends_the_launch(world: World, project: Project) -> None:
    world.failing["node02"] = "runtime"
    outcome = gen(world, project, "launch", "--yes")
    assert outcome.code == 1
    assert "node02: runtime failed, unit hardway-runtime.service" in outcome.err
    assert "node02 | [31mruntime gave up" in outcome.err
    assert "\x1b" not in outcome.err
    world.failing.clear()
    ok(gen(world, project, "launch", "--yes"))


def with_other_addons(project: Project) -> Project:
    """Render the cluster without the order book, which changes its addons and no document."""
    before = {path: path.read_bytes() for path in project.rendered_path.glob("nodes/*/user-data")}
    assert len(before) == len(project.plan.nodes)
    project.file.write_text(
        project.file.read_text().replace("ingress, metrics-server, order-book]", "ingress, metrics-server]")
    )
    changed = render.refresh(Project.load(project.file), now=datetime.now(UTC))
    committed.write(changed, render.documents(changed))
    assert before == {path: path.read_bytes() for path in before}
    return Project.load(project.file)


def test_changed_addons_are_waited_for(world: World, project: Project) -> None:
    ok(gen(world, project, "launch", "--yes"))
    first, changed = world.applied, with_other_addons(project)
    world.addons_lag = 4.0
    assert "publish roster   orderbook  (addons, secrets of addons)" in ok(gen(world, changed, "launch", "--yes")).err
    assert world.applied not in (None, first)
    ok(gen(world, changed, "status"))


def test_addons_that_do_not_come_up_end_a_launch(world: World, project: Project) -> None:
    ok(gen(world, project, "launch", "--yes"))
    first, changed = world.applied, with_other_addons(project)
    world.addons_lag = 1000.0
    # Nothing is heard of the nodes any more, as after the addresses for their reports have expired.
    for droplet in world.account.living():
        droplet.created -= 3600
        spaces(world, project).delete(status_key(project.plan.name, droplet.name))
    outcome = gen(world, changed, "launch", "--yes", "--timeout", "10s")
    assert outcome.code == 1
    assert "time is up, still waiting for the addons of" in outcome.err
    assert f"(the cluster has those of {str(first)[:12]})" in outcome.err
    status = gen(world, changed, "status")
    assert (status.code, "addons not applied" in status.out) == (1, True)
    world.addons_lag = 0.0
    reviewed = json.loads((changed.rendered_path / "roster.json").read_text())
    world.applied, world.applied_secrets = reviewed["addons"], reviewed["secrets"]
    ok(gen(world, changed, "launch", "--yes"))


def test_a_lost_etcd_is_never_formed_anew(world: World, project: Project) -> None:
    ok(gen(world, project, "launch", "--yes"))
    for machine in world.machines.values():
        machine.member = machine.api = machine.ready = False
    outcome = gen(world, project, "launch", "--yes", "--timeout", "10s")
    assert outcome.code == 1
    assert "as etcd exists no second cluster is formed" in outcome.err
    assert world.fate.count == 2


def thieves_objects(world: World, project: Project) -> None:
    """Do what whoever has the bucket's key can do to make a healthy node look lost."""
    store, plan = spaces(world, project), project.plan
    for node in plan.nodes:
        store.delete(status_key(plan.name, node.name))
        store.put(bundle_key(plan.name, node.name, "0" * 32), b"x", facts={"expires": "2020-01-01T00:00:00Z"})
    for droplet in world.account.living():
        droplet.created -= 3 * 3600


def test_the_buckets_word_deletes_no_droplet(world: World, project: Project) -> None:
    ok(gen(world, project, "launch", "--yes"))
    before = {droplet.id for droplet in world.account.living()}
    thieves_objects(world, project)
    world.api_is_away = True
    outcome = gen(world, project, "launch", "--yes", "--timeout", "10s")
    assert outcome.code == 1
    assert "droplet node02: looks as if it never came up, but no API server answers that could say so" in outcome.err
    assert "gen launch --give-up node02" in outcome.err
    assert "destroy orderbook" not in outcome.err
    assert {droplet.id for droplet in world.account.living()} == before
    world.api_is_away = False
    ok(gen(world, project, "launch", "--yes"))
    assert {droplet.id for droplet in world.account.living()} == before, "the nodes vouch for themselves"
    is_one_cluster(world, project)


def test_the_operators_word_is_enough(world: World, project: Project) -> None:
    ok(gen(world, project, "launch", "--yes"))
    assert gen(world, project, "launch", "--yes", "--give-up", "node09").code == 1
    before = {droplet.name: droplet.id for droplet in world.account.living()}
    thieves_objects(world, project)
    world.api_is_away = True
    gen(world, project, "launch", "--yes", "--give-up", "node02", "--timeout", "5s")
    after = {droplet.name: droplet.id for droplet in world.account.living()}
    assert before["node01"] == after["node01"]
    assert before["node03"] == after["node03"]


def test_an_old_roster_that_is_put_back_rolls_nothing_back(world: World, project: Project) -> None:
    place = roster_key(project.plan.public_prefix)
    gen(world, project, "launch", "--yes", die_at=32)
    for number in range(6, 16):
        if (old := spaces(world, project).get(place)) is not None:
            break
        gen(world, project, "launch", "--yes", die_at=number)
    assert old is not None
    assert json.loads(json.loads(old)["payload"])["etcd"]["state"] == "new"
    ok(gen(world, project, "launch", "--yes"))
    before = {droplet.id for droplet in world.account.living()}
    spaces(world, project).put(place, old)
    assert "somebody put back generation" in gen(world, project, "status").out
    said = ok(gen(world, project, "launch", "--yes")).err
    assert "somebody put back generation" in said
    is_one_cluster(world, project)
    assert {droplet.id for droplet in world.account.living()} == before


def test_a_second_launch_waits_for_the_first(world: World, project: Project) -> None:
    ok(gen(world, project, "launch", "--yes"))
    with LaunchLock(spaces(world, project), "orderbook", Clock(), print):
        outcome = gen(world, project, "launch", "--yes")
        assert outcome.code == 1
        assert "works on this cluster since" in outcome.err
    ok(gen(world, project, "launch", "--yes"))


def test_destroy_finds_a_cluster_by_its_name_alone(world: World, project: Project, tmp_path: Path) -> None:
    ok(gen(world, project, "launch", "--yes"))
    before = world.fate.count
    outcome = gen(world, project, "destroy", "--yes", "other")
    assert (outcome.code, world.fate.count) == (1, 0)
    assert before
    shutil.rmtree(project.file.parent / "rendered")
    shutil.rmtree(project.keys_path)
    destroyer = Destroyer("orderbook", world.connection, FAST, print, bucket=None)
    destroyer.destroy(destroyer.find())
    nothing_is_left(world, project)


def test_a_bucket_that_only_a_description_names_is_left_alone(
    world: World, project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ok(gen(world, project, "launch", "--yes"))
    payroll = Spaces(world.connection, bucket="payroll", region=project.plan.spaces_region)
    payroll.create_bucket()
    payroll.put("orderbook/november.csv", b"salaries")
    (vpc,) = (vpc for vpc in world.account.vpcs.values() if not vpc.default)
    vpc.description = vpc.description.replace(" in orderbook-hardway ", " in payroll ")
    destroyer = Destroyer("orderbook", world.connection, FAST, print, bucket=None)
    remains = destroyer.find()
    (said,) = destroyer.staying(remains)
    assert said.startswith("objects  1, 8 bytes, below orderbook/ in bucket payroll; they stay")
    destroyer.destroy(remains)
    assert [one.key for one in payroll.objects("")] == ["orderbook/november.csv"], "no lock either, before or after"
    assert world.account.living() == []
    assert objects(world, project) != [], "the cluster's own are named by nobody now"


def test_a_bucket_that_the_user_vouches_for_is_emptied(world: World, project: Project) -> None:
    ok(gen(world, project, "launch", "--yes"))
    roster = roster_key(project.plan.public_prefix)
    spaces(world, project).delete(roster)
    for vouched in ("another", project.plan.spaces_bucket):
        destroyer = Destroyer("orderbook", world.connection, FAST, print, bucket=None, vouched_bucket=vouched)
        remains = destroyer.find()
        assert bool(destroyer.staying(remains)) == (vouched == "another")
    destroyer.destroy(remains)
    nothing_is_left(world, project)


def test_another_cluster_of_the_name_is_not_destroyed(world: World, project: Project) -> None:
    ok(gen(world, project, "launch", "--yes"))
    path = project.rendered_path / "inventory.yaml"
    mine = path.read_text()
    path.write_text(mine.replace(project.plan.cluster_id, "00000000-0000-4000-8000-000000000000"))
    outcome = gen(world, project, "destroy", "--yes", "orderbook")
    assert (outcome.code, world.fate.count) == (1, 0)
    assert f"belongs to another cluster of this name, {project.plan.cluster_id}" in outcome.err
    path.write_text(mine)
    ok(gen(world, project, "destroy", "--yes", "orderbook"))
    nothing_is_left(world, project)


def test_other_droplets_firewall_of_the_name_stays(world: World, project: Project) -> None:
    other = Firewall("f", "hardway-orderbook", [], [], [], ["web"], created=0.0, settled=0.0)
    world.account.firewalls["f"] = other
    outcome = gen(world, project, "launch", "--yes")
    assert (outcome.code, world.fate.count) == (1, 0)
    assert "firewall hardway-orderbook: has this cluster's name, but stands before web" in outcome.err
    world.account.firewalls.clear()
    ok(gen(world, project, "launch", "--yes"))
    world.account.firewalls["f"] = other
    ok(gen(world, project, "destroy", "--yes", "orderbook"))
    assert list(world.account.firewalls) == ["f"]


@pytest.mark.parametrize("is_described", [True, False])
def test_droplets_go_although_spaces_refuse(world: World, project: Project, is_described: bool) -> None:
    ok(gen(world, project, "launch", "--yes"))
    good = world.connection
    refused = replace(good, spaces_secret="0" * 43)
    if is_described:
        world.connection = refused
        outcome = gen(world, project, "destroy", "--yes", "orderbook")
        assert (outcome.code, "Traceback" in outcome.err) == (1, False)
        assert "error: bucket orderbook-hardway: Spaces answered" in outcome.err
        assert "bucket orderbook-hardway: objects below orderbook/ are left" in outcome.err
        world.connection = good
    else:
        destroyer = Destroyer("orderbook", refused, FAST, print, bucket=None)
        with pytest.raises(Problems, match="objects below orderbook/ are left"):
            destroyer.destroy(destroyer.find())
    account = world.account
    assert (account.living(), account.firewalls, account.keys, account.tags) == ([], {}, {}, {})
    assert objects(world, project) != []
    if is_described:
        ok(gen(world, project, "destroy", "--yes", "orderbook"))
    else:
        destroyer = Destroyer("orderbook", good, FAST, print, bucket=None)
        destroyer.destroy(destroyer.find())
    nothing_is_left(world, project)


def test_what_boots_is_what_was_committed(world: World, project: Project) -> None:
    def git(*arguments: str) -> str:
        who = ("-c", "user.name=t", "-c", "user.email=t@localhost")
        command = ["git", "-C", str(project.directory), *who, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "-q")
    outcome = gen(world, project, "launch", "--yes")
    assert (outcome.code, world.fate.count) == (1, 0)
    assert "is not committed, so nobody can have reviewed what would boot" in outcome.err
    git("add", "-A")
    git("commit", "-q", "-m", "a reviewed cluster")
    commit = git("rev-parse", "HEAD")[:12]
    assert f"what boots is commit {commit}, a reviewed cluster" in ok(gen(world, project, "launch", "--yes")).err
    assert all(f"hardway:orderbook:commit:{commit}" in droplet.tags for droplet in world.account.living())
    world.destroy("node02")
    project.file.write_text(f"{project.file.read_text()}# changed\n")
    assert gen(world, project, "launch", "--yes").code == 1
    said = ok(gen(world, project, "launch", "--yes", "--uncommitted")).err
    assert "warning: what boots is in no commit, so nothing vouches for it" in said
    ok(gen(world, project, "destroy", "--yes", "orderbook"))
    nothing_is_left(world, project)


def test_the_lab_asks_too(world: World, project: Project) -> None:
    outcome = gen(world, project, "launch")
    assert (outcome.code, world.fate.count) == (1, 0)
    assert "`--yes` goes on without asking" in outcome.err


def test_a_dry_run_shows_what_would_be_done(world: World, project: Project) -> None:
    lines = ok(gen(world, project, "launch", "--yes", "--dry-run")).out.splitlines()
    assert [line.split()[:3] for line in lines if line.startswith("create  droplet")] == [
        ["create", "droplet", name] for name in ("node01", "node02", "node03")
    ]
    assert world.fate.count == 0
