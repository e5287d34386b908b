"""Says what every kind of thing that a cluster owns can be asked, and what an action is.

A kind's file holds all that is known of it: what is planned, how it is found, how the two compare (pure, on values),
how it is made, changed and removed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, ClassVar, Generic, Literal, TypeVar

from generator.clock import Clock
from generator.cluster import crowd
from generator.cluster.launch_part import Resealed
from generator.cluster.launchable import Documents, Launchable
from generator.cluster.matching import placed
from generator.cluster.memory import Memory
from generator.cluster.observed import Found, Observed
from generator.documents import roster as rosters
from generator.errors import Problem
from generator.plain_text import harmless
from generator.plan import names
from generator.plan.decide import Plan
from generator.plan.node import Node
from generator.provider.digitalocean import Cloud
from generator.provider.resources import Droplet
from generator.provider.spaces import Spaces, Stored, Trouble

T = TypeVar("T")

Verb = Literal["refuse", "delete", "create", "update", "upload", "publish", "wait", "keep"]


@dataclass(frozen=True)
class Action:
    """One thing to do, safe to repeat.

    `refuse` stops a launch, `wait` is for a later round, `keep` is only said. `id` is the provider's.
    """

    verb: Verb
    kind: Kind[Any]
    name: str
    why: str = ""
    id: str = ""
    hint: str | None = None

    @property
    def changes(self) -> bool:
        """Tell whether it does something."""
        return self.verb not in ("refuse", "wait", "keep")

    @property
    def where(self) -> str:
        """Name its object in messages."""
        return f"{self.kind.name} {self.name}"

    @property
    def facts(self) -> dict[str, str | None]:
        """Give it as plain values."""
        values = {"verb": self.verb, "kind": self.kind.name, "name": self.name, "why": self.why, "id": self.id}
        return {**values, "hint": self.hint}

    def __str__(self) -> str:
        """Show it as one line."""
        return harmless(f"{self.verb:<7} {self.kind.name:<8} {self.name}" + (f"  ({self.why})" if self.why else ""))


def told(actions: Sequence[Action]) -> list[str]:
    """Give a line for each action; of many that are alike the first speaks for all, and the others' lines are empty."""
    lines = [str(action) for action in actions]
    numbers = crowd.alike(range(len(actions)), lambda at: (actions[at].verb, actions[at].kind.name, actions[at].why))
    for same in numbers:
        if len(same) > crowd.LINES:
            name = crowd.named([actions[at].name for at in same])
            for at in same:
                lines[at] = ""
            lines[same[0]] = str(replace(actions[same[0]], name=name))
    return lines


@dataclass(frozen=True)
class Case:
    """What a cluster should be, beside what is there."""

    plan: Plan
    documents: Documents
    observed: Observed

    @cached_property
    def here(self) -> Mapping[str, Droplet]:
        """Give each planned node's droplet, where it has one."""
        return placed(self.plan, self.observed)


@dataclass(frozen=True)
class Lookup:
    """Where a kind is looked for.

    `objects` are those below the cluster's prefix, None where there is no bucket; `is_first` says that nothing was
    looked at before, so that what lists show of the past has to be doubted.
    """

    plan: Plan
    cloud: Cloud
    spaces: Spaces
    memory: Memory
    time: datetime
    objects: Sequence[Stored] | None
    is_first: bool

    @property
    def state(self) -> Spaces:
        """Give the bucket for snapshots."""
        return self.spaces.beside(self.plan.state_bucket)


@dataclass
class Work:
    """What a launch works with; `tries` counts the droplets made for each node.

    `restore` is the snapshot that the first control-plane node begins with, while etcd is being restored.
    """

    launchable: Launchable
    cloud: Cloud
    spaces: Spaces
    clock: Clock
    lifetime: timedelta
    memory: Memory
    kinds: Sequence[Kind[Any]]
    tries: dict[str, int] = field(default_factory=dict)
    restore: Resealed | None = None

    @property
    def plan(self) -> Plan:
        """Give what was decided."""
        return self.launchable.plan

    @cached_property
    def state(self) -> Spaces:
        """Give the bucket for snapshots."""
        return self.spaces.beside(self.plan.state_bucket)


@dataclass
class Removal:
    """A cluster that is to be removed, known by its name alone, and its id where there is an inventory.

    `spaces` is None until something has named the bucket; `objects` is None until they were listed. `trouble` is what
    was wrong with Spaces first: what the account has goes nevertheless, as it costs money. `volumes` tells that those
    go as well, with their data. `operator_public_key` is the committed inventory's, where there is one. `owner` is what
    the VPC's description says, `vouched_bucket` what the user does. `addresses` are those that the user gives up,
    `strangers` those that stay, with the reason, and `is_sure` whether they are others'. `left` tells what can't be
    removed, and why.
    """

    cluster: str
    cloud: Cloud
    clock: Clock
    say: Callable[[str], None]
    open: Callable[[str, str], Spaces]
    spaces: Spaces | None
    cluster_id: str | None
    objects: Sequence[Stored] | None = None
    trouble: Trouble | None = None
    keep_lock: Callable[[], None] = lambda: None
    owner: names.Owner | None = None
    vouched_bucket: str | None = None
    volumes: bool = False
    operator_public_key: str | None = None
    addresses: frozenset[str] = frozenset()
    strangers: dict[str, str] = field(default_factory=dict)
    is_sure: bool = True
    left: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._bucket_is_given = self.spaces is not None

    def owns(self, objects: Sequence[Stored]) -> bool:
        """Tell whether objects are the cluster's.

        A description that an account's users write can name any bucket. The roster lies below a prefix that is the
        cluster's random id, and only who may write to the bucket can have put it there.
        """
        if self._bucket_is_given or self.owner is None or self.spaces is None:
            return self._bucket_is_given
        if self.spaces.bucket == self.vouched_bucket:
            return True
        roster = names.roster_key(names.public_prefix(self.cluster, self.owner.cluster_id))
        return any(one.key == roster for one in objects)

    def roster_addresses(self) -> frozenset[str] | None:
        """Give the reserved addresses of the cluster's roster; None where none that the operator has signed is had."""
        if self.spaces is None or self.cluster_id is None or self.operator_public_key is None:
            return None
        with self.noting_trouble():
            key = names.roster_key(names.public_prefix(self.cluster, self.cluster_id))
            body = self.spaces.get(key, limit_bytes=rosters.LIMIT_BYTES)
            if body is not None:
                with suppress(Problem):
                    roster = rosters.verify(body, self.operator_public_key, cluster_id=self.cluster_id)
                    return frozenset(str(one.public) for one in roster.nodes if one.public)
        return None

    @property
    def tag(self) -> str:
        """Give the tag of everything that the cluster has in the account."""
        return names.cluster_tag(self.cluster)

    @property
    def name(self) -> str:
        """Give the name of what there is one of."""
        return names.object_name(self.cluster)

    @property
    def lacks_its_bucket(self) -> bool:
        """Tell whether a bucket could not be emptied that only the account names: that has to stay."""
        return self.trouble is not None and not self._bucket_is_given

    @contextmanager
    def noting_trouble(self) -> Iterator[None]:
        """Keep the first trouble with Spaces for the end."""
        try:
            yield
        except Trouble as trouble:
            self.trouble = self.trouble or trouble


class Kind(ABC, Generic[T]):
    """One kind of thing; `found` is the place of what was found of it, a value of type `T`.

    Everything but `look` and `apply` has an answer for kinds to which the question does not apply.
    """

    name: str
    found: Found[T]
    goes_last: ClassVar[bool] = False
    """Whether it holds what `destroy` needs to find the rest."""

    def changes_by_itself(self, plan: Plan, observed: Observed) -> bool:  # noqa: ARG002
        """Tell whether a launch has to look again and again; pure."""
        return False

    @abstractmethod
    def look(self, lookup: Lookup) -> T:
        """Look at what is there."""

    @abstractmethod
    def apply(self, action: Action, work: Work, observed: Observed) -> Observed:
        """Carry out one action of this kind, and give what is observed with its effect."""

    def refusals(self, case: Case) -> Iterator[Action]:  # noqa: ARG002
        """Find what forbids a launch to do anything; pure."""
        yield from ()

    def surplus(self, case: Case) -> Iterator[Action]:  # noqa: ARG002
        """Find what is there and should not be; pure."""
        yield from ()

    def differences(self, case: Case) -> Iterator[Action]:  # noqa: ARG002
        """Find what should be there and is not, or is other than planned; pure."""
        yield from ()

    def order(self, node: Node, work: Work, observed: Observed) -> Mapping[str, Any]:  # noqa: ARG002
        """Give this kind's part of the request that makes a node's droplet."""
        return {}

    def remains(self, removal: Removal) -> Sequence[Any]:  # noqa: ARG002
        """Look at what is left of a cluster that is to be removed."""
        return ()

    def stays(self, remains: Sequence[Any], removal: Removal) -> bool:  # noqa: ARG002
        """Tell whether what is left has to stay."""
        return self.goes_last and removal.lacks_its_bucket

    def lines(self, remains: Sequence[Any]) -> Iterator[str]:
        """Show what is left, one line each."""
        yield from (f"{self.name:<8} {one}" for one in remains)

    def remove(self, remains: Sequence[Any], removal: Removal) -> None:
        """Remove what is left; what is gone already is as good."""

    def action(self, verb: Verb, name: str, why: str = "", id: str | int = "", hint: str | None = None) -> Action:
        """Make an action of this kind."""
        return Action(verb, self, name, why, str(id), hint)
