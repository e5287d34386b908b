"""Brings a cluster up: what is missing is made, until every node is ready and the addons are applied.

A launch that was killed is continued by the next one, and one that has nothing to do changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from generator.cluster.assembly import Assembly
from generator.cluster.diff import diff
from generator.cluster.engine import Engine, Event
from generator.cluster.kinds.kind import Action
from generator.cluster.kube_api import Kube
from generator.cluster.launch_lock import LaunchLock
from generator.cluster.phase_table import PhaseTable
from generator.cluster.preflight import Availability, faults, look, skewed
from generator.cluster.site import Site
from generator.cluster.watch import Watch
from generator.errors import raise_all


@dataclass(frozen=True)
class Served:
    """A cluster that is up: the API server that answers, and the public addresses at which the ingress does."""

    server: Kube
    public: tuple[str, ...]


def rehearse(site: Site) -> tuple[tuple[Action, ...], Availability]:
    """Look at everything and say what is to be done, changing nothing.

    Raises:
        Problems: everything that would stop the launch.
    """
    offered, time = look(site.cloud, site.plan)
    raise_all(skewed(site.clock.now(), time))
    actions = diff(site.plan, site.documents, site.observed)
    raise_all(faults(site.plan, actions, offered))
    return actions, offered


def launch(site: Site, table: PhaseTable, *, timeout: timedelta, tell: Callable[[Event], None]) -> Served:
    """Do what is to be done, and wait until the cluster serves.

    Raises:
        Problem: a node failed, or time is up; what the nodes say was shown.
        Problems: something came up that can't be repaired.
    """
    watch = Watch(table, site.clock.now() + timeout)
    if not site.spaces.bucket_exists():
        site.spaces.create_bucket()
    with LaunchLock(site.spaces, site.plan.name, site.clock, table.say) as lock:
        site.look(anew=True)
        assembly = Assembly(table.say, lock.keep)
        Engine(site, lock, watch, tell).run(assembly.steps())
    return served(site)


def served(site: Site) -> Served:
    """Tell where a cluster that is up is reached."""
    here = site.case.here
    takes_pods = [here[node.name] for node in site.plan.nodes if node.schedulable and node.name in here]
    return Served(site.server, tuple(one.public for one in takes_pods if one.public is not None))
