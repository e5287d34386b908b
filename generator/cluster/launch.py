"""Tells before a launch what it would do, and after it where the cluster is reached."""

from __future__ import annotations

from dataclasses import dataclass

from generator.cluster.addresses import public
from generator.cluster.diff import diff
from generator.cluster.kinds.kind import Action
from generator.cluster.kube_api import Kube
from generator.cluster.preflight import Availability, faults, look, skewed
from generator.cluster.site import Site
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
    raise_all(faults(site.plan, actions, offered, site.observed))
    return actions, offered


def served(site: Site) -> Served:
    """Tell where a cluster that is up is reached."""
    at = public(site.plan, site.observed)
    return Served(site.server, tuple(at[node.name] for node in site.plan.nodes if node.schedulable and node.name in at))


def door(site: Site) -> str:
    """Give the address for people of the API server that answers: the one that its node keeps, where it keeps one."""
    here, at = site.case.here, public(site.plan, site.observed)
    own = next((name for name, one in here.items() if one.public == site.server.address), None)
    return at.get(own or "", site.server.address)
