"""Holds what was seen of a cluster as one value: findings by kind, the nodes' reports, the word of Kubernetes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Generic, TypeVar

from generator.cluster.addon_state import AddonState
from generator.cluster.node_report import Progress
from generator.documents.roster import Roster
from generator.provider.resources import Droplet, ReservedIp, Volume, Vpc

T = TypeVar("T")


@dataclass(frozen=True)
class Report:
    """A node's own account of itself.

    `at` is when it was given: by the store's clock where the store has it, else by the node's. Whoever has the
    bucket's key can write what `is_vouched` is False for: it is shown, and proves nothing.
    """

    at: datetime
    progress: Progress
    is_vouched: bool = False

    def is_of(self, droplet: Droplet) -> bool:
        """Tell whether this droplet gave it; its node's earlier ones do not count."""
        return self.progress.droplet == droplet.id if self.is_vouched else self.at >= droplet.created


@dataclass(frozen=True)
class Bundle:
    """A sealed bundle that lies in the bucket; its address works until `expires`."""

    key: str
    node: str
    modified: datetime
    expires: datetime


@dataclass(frozen=True)
class StateAccess:
    """What is there of the way by which control-plane nodes write snapshots.

    `sealed` has the digests of those that lie beside the roster, each with the id of its Spaces key. `keys` are the
    account's of the cluster's name, by id, None where the token may not list them; `others` are for something else.
    """

    sealed: Mapping[str, str] = field(default_factory=dict)
    keys: frozenset[str] | None = frozenset()
    others: frozenset[str] = frozenset()


@dataclass(frozen=True, eq=False)
class Found(Generic[T]):
    """The place of one kind's findings in `Observed`, and what stands there when it has none."""

    name: str
    nothing: T


# What others than their own kind ask for; every other kind declares its place in its own file.
DROPLETS: Found[tuple[Droplet, ...]] = Found("droplets", ())
BUNDLES: Found[tuple[Bundle, ...]] = Found("bundles", ())
VPCS: Found[tuple[Vpc, ...]] = Found("vpcs", ())
"""All of the account: another's may be in the way."""
VOLUMES: Found[tuple[Volume, ...]] = Found("volumes", ())
"""Those of the cluster, and those of a planned name, whosever they are."""
ADDRESSES: Found[tuple[ReservedIp, ...]] = Found("addresses", ())
"""The account's reserved addresses, whosever they are."""
STATE_ACCESS: Found[StateAccess] = Found("state access", StateAccess())
ROSTER: Found[Roster | None] = Found("roster", None)


@dataclass(frozen=True)
class Observed:
    """The state of one cluster; there is no other record of it.

    `time` is the observer's. `ready` has the nodes that Kubernetes knows and whether they are ready, None when
    no API server answered; `applied` is the digest of the addons that it has, `applied_secrets` that of their secrets,
    `addons` how those of a user's are.
    `seen` is the highest generation of the roster that the account or a control-plane node knows of; `given_up` are
    the nodes whose droplets are lost by the operator's word. `found` is read by `of`, `derived` by `once`.
    """

    time: datetime
    reports: Mapping[str, Report] = field(default_factory=dict)
    ready: Mapping[str, bool] | None = None
    applied: str | None = None
    applied_secrets: str = ""
    addons: tuple[AddonState, ...] = ()
    seen: int = 0
    given_up: frozenset[str] = frozenset()
    found: Mapping[Found[Any], Any] = field(default_factory=dict)
    derived: dict[str, tuple[object, Any]] = field(default_factory=dict, init=False, compare=False, repr=False)

    def once(self, name: str, of: object, derive: Callable[[], T]) -> T:
        """Give what follows from these very findings, for the same `of`; it is derived the first time alone."""
        known = self.derived.get(name)
        if known is None or known[0] is not of:
            known = self.derived[name] = (of, derive())
        value: T = known[1]
        return value

    def of(self, place: Found[T]) -> T:
        """Give what was found of one kind."""
        value: T = self.found.get(place, place.nothing)
        return value

    def having(self, place: Found[T], value: T) -> Observed:
        """Give the same with other findings of one kind."""
        return replace(self, found={**self.found, place: value})

    def without_report(self, node: str) -> Observed:
        """Give the same without what a node said: its droplet is another one now."""
        return replace(self, reports={name: report for name, report in self.reports.items() if name != node})

    @property
    def droplets(self) -> tuple[Droplet, ...]:
        """Give the droplets with the cluster's tag."""
        return self.of(DROPLETS)

    @property
    def bundles(self) -> tuple[Bundle, ...]:
        """Give the sealed bundles in the bucket."""
        return self.of(BUNDLES)

    @property
    def roster(self) -> Roster | None:
        """Give the roster that is published, unless somebody has put an old one back."""
        return None if self.rolled_back else self.of(ROSTER)

    @property
    def rolled_back(self) -> Roster | None:
        """Give the published roster if a newer one was there already: nothing of it holds."""
        published = self.of(ROSTER)
        return published if published is not None and published.generation < self.seen else None
