"""The roster's flow through the life of a cluster; single decisions are in tests/launch/."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from ipaddress import IPv4Network

from generator.cluster.launchable import Documents
from generator.cluster.next_roster import FORMING, changes, next_roster
from generator.cluster.node_report import Phase, Progress
from generator.cluster.observed import DROPLETS, ROSTER, Observed, Report
from generator.documents.roster import Roster
from generator.plan.decide import Plan
from generator.plan.node import Node
from generator.provider.resources import Droplet
from tests.keyring import NOW, planned

ADDONS = "a" * 64
PLAN = planned(workers=0)


def documents(plan: Plan) -> Documents:
    return Documents({node.name: f"{node.number:064x}" for node in plan.nodes}, ADDONS)


def droplets(plan: Plan, *numbers: int) -> tuple[Droplet, ...]:
    nodes = [plan.nodes[number - 1] for number in numbers]
    return tuple(Droplet(node.number, node.name, "active", "fra1", node.size, tags(plan, node), NOW) for node in nodes)


def tags(plan: Plan, node: Node) -> tuple[str, ...]:
    return plan.cluster_tag, plan.node_tag(node), plan.document_tag(documents(plan).nodes[node.name])


def settled(droplet: Droplet) -> Droplet:
    return replace(droplet, public=f"203.0.113.{droplet.id}", private=f"10.110.0.{droplet.id}")


def member(name: str, observed: Observed) -> Observed:
    number = next(node.number for node in PLAN.nodes if node.name == name)
    phases = (Phase("secrets", "done"), Phase("etcd", "done"))
    report = Report(observed.time, Progress(name, 1, phases, droplet=number), is_vouched=True)
    return replace(observed, reports={**observed.reports, name: report})


def publish(observed: Observed) -> tuple[Observed, Roster]:
    roster = next_roster(PLAN, documents(PLAN), observed)
    if not roster.etcd.token:
        roster = replace(roster, etcd=replace(roster.etcd, token=f"token {roster.generation}"))
    later = replace(observed, time=observed.time + timedelta(seconds=30))
    return later.having(ROSTER, roster), roster


def founded() -> Observed:
    """A cluster at its first launch: the roster is published, all droplets have their addresses."""
    observed, _ = publish(Observed(NOW))
    return observed.having(DROPLETS, tuple(map(settled, droplets(PLAN, 1, 2, 3))))


def test_a_first_launch_from_end_to_end() -> None:
    observed, first = publish(Observed(NOW))
    assert (first.generation, first.etcd.state) == (int(NOW.timestamp()), "new")
    assert first.etcd.new_until == NOW + FORMING
    assert {entry.endpoint for entry in first.nodes} == {None}

    observed = observed.having(DROPLETS, droplets(PLAN, 1, 2, 3))
    assert changes(PLAN, documents(PLAN), observed) == ()
    observed = observed.having(DROPLETS, tuple(map(settled, observed.droplets)))
    observed, second = publish(observed)
    assert second.generation > first.generation
    assert second.etcd == first.etcd
    assert [str(entry.endpoint) for entry in second.nodes] == ["10.110.0.1", "10.110.0.2", "10.110.0.3"]

    observed = member("node01", observed)
    assert next_roster(PLAN, documents(PLAN), observed) is observed.roster
    observed, third = publish(member("node03", observed))
    assert (third.etcd.state, third.etcd.token) == ("existing", first.etcd.token)
    assert third.generation > second.generation
    assert changes(PLAN, documents(PLAN), observed) == ()


def test_what_nobody_vouches_for_forms_no_cluster() -> None:
    observed, _ = publish(founded())
    for name in ("node01", "node02", "node03"):
        observed = member(name, observed)
        forged = {node: replace(report, is_vouched=False) for node, report in observed.reports.items()}
        assert next_roster(PLAN, documents(PLAN), replace(observed, reports=forged)) is observed.roster


def test_an_old_roster_that_was_put_back_rolls_nothing_back() -> None:
    founding, first = publish(founded())
    assert first.etcd.state == "new"
    living, last = publish(member("node02", member("node01", founding)))
    assert last.etcd.state == "existing"
    later = replace(living, reports={}, time=NOW + timedelta(days=200)).having(ROSTER, first)
    assert later.roster is first
    known = replace(later, seen=last.generation)
    assert known.roster is None
    assert known.rolled_back is first
    written = next_roster(PLAN, documents(PLAN), known)
    assert written.etcd.state == "existing"
    assert written.generation > last.generation
    assert "somebody put back generation" in changes(PLAN, documents(PLAN), known)[0]
    assert next_roster(PLAN, documents(PLAN), known.having(DROPLETS, ())).etcd.state == "new", "nothing is left to lose"


def test_a_state_that_exists_never_becomes_new() -> None:
    first, _ = publish(Observed(NOW).having(DROPLETS, droplets(PLAN, 1, 2, 3)))
    existing, _ = publish(member("node02", member("node01", first)))
    for left in ((), (1,), (1, 2, 3)):
        for ready in (None, {}):
            later = replace(existing, reports={}, ready=ready).having(DROPLETS, droplets(PLAN, *left))
            later = replace(later, time=later.time + timedelta(days=30))
            assert next_roster(PLAN, documents(PLAN), later).etcd.state == "existing"


def test_a_lost_roster_forms_nothing_while_a_control_plane_droplet_is_there() -> None:
    later = NOW + timedelta(days=3)
    for left in ((1,), (1, 2, 3)):
        roster = next_roster(PLAN, documents(PLAN), Observed(later).having(DROPLETS, droplets(PLAN, *left)))
        assert roster.etcd.state == "existing"
        assert roster.generation == int(later.timestamp())


def test_the_token_changes_only_when_nobody_can_have_read_it() -> None:
    observed, first = publish(Observed(NOW))
    late = replace(observed, time=NOW + FORMING)
    assert publish(late)[1].etcd.token not in ("", first.etcd.token)
    late = late.having(DROPLETS, tuple(map(settled, droplets(PLAN, 2))))
    renewed = next_roster(PLAN, documents(PLAN), late)
    assert (renewed.etcd.token, renewed.etcd.new_until) == (first.etcd.token, late.time + FORMING)


def test_a_worker_says_nothing_of_etcd() -> None:
    plan = planned(workers=1)
    observed = Observed(NOW).having(DROPLETS, droplets(plan, 4))
    assert next_roster(plan, documents(plan), observed).etcd.state == "new"


def test_what_a_cluster_was_founded_with_stays_while_it_lives() -> None:
    observed, first = publish(Observed(NOW))
    moved = replace(PLAN, pod_cidr=IPv4Network("10.52.0.0/16"))
    assert next_roster(moved, documents(moved), observed).founding.pods == "10.52.0.0/16"
    lives = observed.having(DROPLETS, droplets(PLAN, 1))
    assert next_roster(moved, documents(moved), lives).founding == first.founding
    assert next_roster(moved, documents(moved), Observed(NOW)).founding != first.founding
