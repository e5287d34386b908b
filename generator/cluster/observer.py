"""Keeps what is observed up to date while a launch works, and remembers what the provider's lists don't show yet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from generator.clock import Clock
from generator.cluster.kube_api import Credentials, Kube
from generator.cluster.matching import placed, told
from generator.cluster.observed import Observed, observe, read_bundles, read_reports, read_roster
from generator.plan.decide import Node, Plan
from generator.provider.digitalocean import Cloud
from generator.provider.resources import Droplet
from generator.provider.spaces import Spaces

READ_LAG = timedelta(minutes=2)
"""How long a droplet just made may be unknown to reads and lists."""
LIST_LAG = timedelta(minutes=1)
"""How long a droplet just deleted may be shown."""
ASK_ANYWAY = timedelta(minutes=2)
"""An API server whose node has said nothing for so long is asked itself."""


@dataclass
class Memory:
    """What this launch knows better than the provider's lists.

    `made` are droplets that no list has shown yet, `shown` those that one has, `removed` the times of deletion.
    """

    made: dict[int, Droplet] = field(default_factory=dict)
    shown: dict[int, Droplet] = field(default_factory=dict)
    removed: dict[int, datetime] = field(default_factory=dict)

    def merge(
        self, listed: tuple[Droplet, ...], now: datetime, read: Callable[[int], Droplet | None]
    ) -> tuple[Droplet, ...]:
        """Give the droplets that are there, by what a list says, what is remembered, and a second look in doubt."""
        hidden = {number for number, at in self.removed.items() if now - at < LIST_LAG}
        present = {one.id: one for one in listed if one.id not in hidden}
        for number in present:
            self.made.pop(number, None)
        for number in (*self.made, *self.shown):
            if number in present or number in hidden:
                continue
            droplet = read(number)
            if droplet is None and number in self.made and now - self.made[number].created < READ_LAG:
                droplet = self.made[number]
            if droplet is None:
                self.made.pop(number, None)
            else:
                present[number] = droplet
        self.shown = {number: one for number, one in present.items() if number not in self.made}
        return tuple(present[number] for number in sorted(present))


class Lookout:
    """Looks at one cluster again and again.

    `address` is the public address at which an API server answered last, None before one did.
    """

    def __init__(
        self, plan: Plan, cloud: Cloud, spaces: Spaces, clock: Clock, credentials: Credentials, proxy: str | None
    ) -> None:
        self._plan = plan
        self._cloud = cloud
        self._spaces = spaces
        self._clock = clock
        self._credentials = credentials
        self._proxy = proxy
        self._servers: dict[str, Kube] = {}
        self.memory = Memory()
        self.address: str | None = None

    def look(self) -> Observed:
        """Look at everything; each droplet that a list shows is read too, since lists show the dead for a while."""
        observed = observe(self._cloud, self._spaces, self._plan, time=self._clock.now())
        alive = tuple(one for one in observed.droplets if self._is_there(one, observed.time))
        return self._with_kubernetes(replace(observed, droplets=self._merge(alive, observed.time)))

    def again(self, before: Observed) -> Observed:
        """Look at what changes by itself: droplets, what the nodes report, and Kubernetes."""
        now = self._clock.now()
        objects = self._spaces.objects(f"{self._plan.name}/")
        observed = replace(
            before,
            time=now,
            droplets=self._merge(self._cloud.droplets(self._plan.cluster_tag), now),
            roster=read_roster(self._spaces, self._plan),
            bundles=read_bundles(self._spaces, self._plan.name, objects),
            reports=read_reports(self._spaces, self._plan.name, objects),
        )
        return self._with_kubernetes(observed)

    def _merge(self, listed: tuple[Droplet, ...], now: datetime) -> tuple[Droplet, ...]:
        return self.memory.merge(listed, now, self._cloud.droplet)

    def _is_there(self, droplet: Droplet, now: datetime) -> bool:
        return self._cloud.droplet(droplet.id) is not None or now - droplet.created < READ_LAG

    def _with_kubernetes(self, observed: Observed) -> Observed:
        """Ask the control plane's droplets until one answers; the one that did last comes first."""
        here = placed(self._plan, observed)
        droplets = [(node, here[node.name]) for node in self._plan.control_planes if node.name in here]
        addresses = [one.public for node, one in droplets if one.public and _may_answer(node, one, observed)]
        found = sorted((one for one in addresses if one), key=lambda one: one != self.address)
        self.address = None
        for address in found:
            server = self._servers.setdefault(address, Kube(address, self._credentials, self._proxy))
            nodes = server.nodes() if server.ready() else None
            if nodes is not None:
                self.address = address
                ready = {name: state.ready for name, state in nodes.items()}
                return replace(observed, ready=ready, applied=server.addons())
        return replace(observed, ready=None, applied=None)


def _may_answer(node: Node, droplet: Droplet, observed: Observed) -> bool:
    """Tell whether it is worth asking: not while the node itself says that its API server isn't up yet."""
    if told(node, droplet, observed, "api"):
        return True
    report = observed.reports.get(node.name)
    heard = max(droplet.created, report.at) if report else droplet.created
    return observed.time - heard > ASK_ANYWAY
