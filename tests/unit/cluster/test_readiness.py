"""Of a droplet that reports nothing it is told what is known from outside, once it should have begun."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from generator.cluster import readiness
from generator.cluster.kinds.firewall import FIREWALLS, inbound, outbound
from generator.cluster.kinds.kind import Case
from generator.cluster.launchable import Documents
from generator.cluster.node_report import Phase, Progress
from generator.cluster.observed import DROPLETS, Observed, Report
from generator.provider.resources import Droplet, Firewall
from tests.keyring import NOW, planned

PLAN = planned(workers=0)
FIRST = PLAN.nodes[0].name


def case(minutes: float, **changes: object) -> Case:
    droplets = tuple(
        Droplet(
            *(number, node.name, "active", "fra1", node.size, (PLAN.node_tag(node),)),
            *(NOW - timedelta(minutes=minutes), "v1", "28.1.1.1", "10.77.0.5"),
        )
        for number, node in enumerate(PLAN.nodes)
    )
    wall = Firewall("f", "hardway-orderbook", (PLAN.cluster_tag,), inbound(PLAN), outbound())
    observed = Observed(NOW, found={DROPLETS: droplets, FIREWALLS: (wall,)})
    return Case(PLAN, Documents({}, "a"), replace(observed, **changes))  # type: ignore[arg-type]


def test_nothing_is_said_of_a_young_droplet_nor_of_one_that_reports() -> None:
    assert readiness.unheard(case(2.9)) == {}
    report = Report(NOW, Progress(FIRST, 0, (Phase("secrets", "running"),)), is_vouched=False)
    assert FIRST not in readiness.unheard(case(3.1, reports={FIRST: report}))
    assert set(readiness.unheard(case(6, ready={node.name: True for node in PLAN.nodes}))) == set()


def test_what_is_known_from_outside_is_said() -> None:
    lines = readiness.unheard(case(3.1))[FIRST]
    assert lines[0].startswith(f"{FIRST}: has reported nothing for 3m06s")
    text = "\n".join(lines)
    assert "droplet 0 is active, at 28.1.1.1 and 10.77.0.5 address" in text
    assert "lets everything out, and in icmp 0 from hardway:" in text
    assert "tcp 6443 from" in text
    assert "https://cloud.digitalocean.com/droplets/0/access" in text


def test_a_firewall_that_is_missing_or_narrower_is_said() -> None:
    bare = case(3.1)
    gone = replace(bare.observed, found={**bare.observed.found, FIREWALLS: ()})
    assert "there is no firewall of the cluster's" in "\n".join(readiness.unheard(replace(bare, observed=gone))[FIRST])
    wall = Firewall("f", "hardway-orderbook", (), (), outbound()[:1])
    narrow = replace(bare.observed, found={**bare.observed.found, FIREWALLS: (wall,)})
    text = "\n".join(readiness.unheard(replace(bare, observed=narrow))[FIRST])
    assert "lets 1 rules out, and in nothing" in text
