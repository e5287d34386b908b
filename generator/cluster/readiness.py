"""Judges whether a cluster serves, what it waits for, and what went wrong; pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from generator.cluster import crowd
from generator.cluster.kinds import firewall
from generator.cluster.kinds.droplet import SCREEN
from generator.cluster.kinds.kind import Case
from generator.cluster.launchable import Documents
from generator.cluster.matching import existing, ready
from generator.cluster.observed import Observed, Report
from generator.cluster.phase_table import age, last_words
from generator.errors import Problem
from generator.plan.node import Node
from generator.provider.resources import Droplet

UNHEARD = timedelta(minutes=3)
"""After so long without a first word from a droplet, what is known from outside is told."""
SILENCE = timedelta(minutes=15)
"""After so long without a word from a node that Kubernetes calls ready, its report is not waited for."""


def awaited(case: Case) -> list[str]:
    """Name what is waited for: nodes, and the addons while the cluster's own record has others or none."""
    observed, wanted = case.observed, case.documents.addons
    if observed.ready is None or has_addons(case.documents, observed):
        return missing(case)
    if observed.applied == wanted:
        return [*missing(case), "the secrets of addons"]
    has = f"those of {observed.applied[:12]}" if observed.applied else "none"
    return [*missing(case), f"the addons of {wanted[:12]} (the cluster has {has})"]


def has_addons(documents: Documents, observed: Observed) -> bool:
    """Tell whether Kubernetes has the reviewed addons with their secrets."""
    return (observed.applied, observed.applied_secrets) == (documents.addons, documents.secrets)


def missing(case: Case) -> list[str]:
    """Name the nodes that are not up, by Kubernetes' word and, while it can be heard, by their own."""
    observed, here = case.observed, case.here
    if observed.ready is None:
        return [node.name for node in case.plan.nodes]
    return [
        node.name
        for node in case.plan.nodes
        if node.name not in here
        or not observed.ready.get(node.name, False)
        or not (_is_complete(node, here[node.name], observed) or _is_silent(node, here[node.name], observed))
    ]


def all_say_that_they_are_up(case: Case) -> bool:
    """Tell whether each planned node has a droplet that reports all its phases as done."""
    return all(
        node.name in case.here and _is_complete(node, case.here[node.name], case.observed) for node in case.plan.nodes
    )


def own_report(node: str, case: Case) -> Report | None:
    """Give what a node's present droplet has reported; its predecessor's word does not count."""
    report, droplet = case.observed.reports.get(node), case.here.get(node)
    return report if report is not None and droplet is not None and report.is_of(droplet) else None


def failed(case: Case) -> list[str]:
    """Name the nodes with a failed phase.

    A report of long ago doesn't count; nor do addons that the roster has replaced.
    """
    published = case.observed.roster.generation if case.observed.roster else 0
    found = []
    for node in case.plan.nodes:
        report = own_report(node.name, case)
        if report is None or _is_silent(node, case.here[node.name], case.observed):
            continue
        phases = {phase.name for phase in report.progress.phases if phase.state == "failed"}
        if report.progress.generation < published:
            phases -= {"addons"}
        if phases:
            found.append(node.name)
    return found


def unheard(case: Case) -> Mapping[str, tuple[str, ...]]:
    """Say what is known from outside of each node that has reported nothing for long since its droplet was made."""
    found = {}
    for node in case.plan.nodes:
        droplet, observed = case.here.get(node.name), case.observed
        is_young = droplet is None or observed.time - droplet.created < UNHEARD
        if droplet is None or is_young or own_report(node.name, case) or ready(node, droplet, observed):
            continue
        addresses = f"at {droplet.public or 'no public'} and {droplet.private or 'no VPC'} address"
        found[node.name] = (
            f"{node.name}: has reported nothing for {age(droplet.created, observed.time)}; what is known from outside:",
            f"  {node.name} | droplet {droplet.id} is {droplet.status}, {addresses}",
            f"  {node.name} | {firewall.described(observed, case.plan)}",
            f"  {node.name} | its screen has its phases, and cloud-init's words: {SCREEN.format(droplet.id)}",
        )
    return found


def unwell(case: Case) -> Mapping[str, tuple[str, ...]]:
    """Say of each node that was up, and that Kubernetes calls not ready while its droplet lives, what is known."""
    found = {}
    for node in case.plan.nodes:
        droplet, observed = case.here.get(node.name), case.observed
        report = own_report(node.name, case)
        if droplet is None or observed.ready is None or observed.ready.get(node.name, True):
            continue
        if report is None or not report.progress.done("node"):
            continue  # it has not come up yet, and tells how far it is
        lines = last_words(node.name, report.progress) if report.progress.failure else ()
        found[node.name] = (
            f"{node.name}: is not Ready, its droplet {droplet.id} is {droplet.status}; "
            f"it was heard {age(report.at, observed.time)} ago",
            *lines,
            f"  `gen replace {node.name}` recreates it",
        )
    return found


def given_up(node: str, report: Report) -> Problem:
    """Say that a node's phase stays failed, and what to do."""
    current = report.progress.current
    hint = "mend its document, then `gen rollout`; before any API answers, delete the droplet and launch again"
    if current is not None and current.name == "addons":
        hint = "mend the addon, `gen render`, and launch again; its droplet can stay"
    return Problem("a phase failed, its last lines are above", where=node, hint=hint)


def late(case: Case, besides: str = "") -> Problem:
    """Say what was waited for in vain, and what to do; `besides` is what else than nodes and addons."""
    observed = case.observed
    if observed.ready is not None:
        hint = "launch again to go on waiting"
        if not has_addons(case.documents, observed):
            hint = f"`gen kubeconfig`, then `kubectl get pods -A`, shows what does not come up; {hint}"
        return Problem(f"time is up, still waiting for {crowd.named(awaited(case), 5) or besides}", hint=hint)
    if existing(case.plan, observed):
        message = "no API server answers, and as etcd exists no second cluster is formed"
        hint = (
            "is this machine's address in `access.api`? else etcd has no quorum: its members come back with their "
            "droplets; launch again to go on waiting"
        )
        return Problem(message, hint=hint)
    hint = "is this machine's address in `access.api`? launch again to go on waiting"
    return Problem("no API server answers yet", hint=hint)


def _is_complete(node: Node, droplet: Droplet, observed: Observed) -> bool:
    report = observed.reports.get(node.name)
    return report is not None and report.is_vouched and report.is_of(droplet) and report.progress.complete


def _is_silent(node: Node, droplet: Droplet, observed: Observed) -> bool:
    """Tell whether a node that Kubernetes calls ready has vouched for nothing for long."""
    report = observed.reports.get(node.name)
    heard = max(droplet.created, report.at) if report and report.is_vouched else droplet.created
    return ready(node, droplet, observed) and observed.time - heard > SILENCE
