"""Makes a baked image: one droplet that brings everything and switches itself off, its snapshot, and nothing else left.

Each step looks first for what an earlier run has done, so that one that was cut off is gone on with.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from generator import waiting
from generator.bake import document, report
from generator.bake.report import Report
from generator.catalogue import DEBIAN_13, Size
from generator.clock import Clock
from generator.cluster import fleet
from generator.cluster.kinds import firewall, image, ssh_key, tag
from generator.cluster.preflight import LOCKED
from generator.errors import Problem, raise_all
from generator.plan import names
from generator.plan.baking import Content
from generator.plan.decide import Plan
from generator.provider.digitalocean import Cloud
from generator.provider.resources import Droplet, Snapshot
from generator.provider.spaces import LONGEST_URL, Spaces
from generator.provider.ssh_key import throw_away

GOES_ON = "`gen bake` goes on"
POLL_SECONDS = 3.0
LIMIT = timedelta(minutes=30)
"""How long a droplet may take that brings everything; it is given up then."""
OFF_POLLS = 60 * (POLL_SECONDS,)
SNAPSHOT_POLLS = 600 * (POLL_SECONDS,)
"""Half an hour: a snapshot takes about a minute for each GB of the disk that is in use.
Source: https://docs.digitalocean.com/products/snapshots/how-to/snapshot-droplets/"""
MARGIN = timedelta(minutes=2)


@dataclass
class Oven:
    """Bakes the image of one cluster.

    `show` hears what is done now, and how far it is; `keep` is called again and again meanwhile.
    """

    plan: Plan
    content: Content
    size: Size
    cloud: Cloud
    spaces: Spaces
    clock: Clock
    show: Callable[[str, str], None] = lambda _name, _detail: None
    keep: Callable[[], None] = lambda: None

    @property
    def tag(self) -> str:
        """Give the tag of everything that is made for it: it is made first, and goes last."""
        return f"hardway-bake:{self.content.name.digest}"

    @property
    def name(self) -> str:
        """Give the name of firewall and key; the droplet's begins with it."""
        return f"hardway-bake-{self.content.name.digest}"

    def finished(self) -> tuple[Snapshot, ...]:
        """Give the snapshots of that content that are whole and in the region, the oldest first."""
        there = image.named(image.every(self.cloud), self.content.name.at(None))
        return tuple(one for one in there if one.is_ready and self.plan.region in one.regions)

    def left(self) -> tuple[str, ...]:
        """Name what an earlier run has left, one line each."""
        droplets = (f"droplet {one.name} ({one.id})" for one in fleet.listed(self.cloud, self.tag))
        walls = (f"firewall {one.name}" for one in firewall.listed(self.cloud, self.name))
        keys = (f"ssh key {one.name}" for one in ssh_key.listed(self.cloud, self.name))
        return (*droplets, *walls, *keys, *(f"tag {one}" for one in tag.listed(self.cloud, self.tag)))

    def check(self) -> None:
        """Find what the provider would refuse half way.

        Raises:
            Problems: everything that is in the way.
        """
        account, _ = self.cloud.account()
        problems = []
        if account.status == LOCKED:
            problems.append(Problem("the account is locked", hint="the provider's support unlocks it"))
        if not fleet.listed(self.cloud, self.tag) and self.cloud.droplet_count() >= account.droplet_limit:
            message = (
                f"the account has its {account.droplet_limit} droplets, and baking needs one more for some minutes"
            )
            problems.append(Problem(message, hint="ask the provider for a higher limit, or destroy one"))
        offered = {one.slug: one for one in self.cloud.sizes()}.get(self.size.slug)
        if offered is None or not offered.available or self.plan.region not in offered.regions:
            message = f"`{self.size.slug}` can't be had in region `{self.plan.region}` now"
            problems.append(Problem(message, where="size", hint="bake later, or in another region"))
        raise_all(problems)

    def bake(self) -> Snapshot:
        """Make the snapshot and remove what it was made with.

        Raises:
            Problem: the droplet or the provider failed; nothing of it is left then but a tag at most.
        """
        self.show("droplet", f"ordering a {self.size.slug} in {self.plan.region}")
        tag.make(self.cloud, self.tag)
        try:
            droplet = self._usable() or self._order()
            self._await_done(droplet)
            made = self._copy(self._await_off(droplet))
        except Problem:
            self.clean()
            raise
        self.clean()
        return made

    def clean(self) -> None:
        """Remove everything but snapshots.

        Raises:
            Problem: the droplet does not go.
        """
        self.show("cleaning up", "the droplet, its firewall and its key go")
        if not fleet.clear(self.cloud, self.tag, lambda _: None, 1, self.keep):
            raise Problem("can't be deleted", where=f"droplets tagged {self.tag}", hint=GOES_ON)
        for wall in firewall.listed(self.cloud, self.name):
            firewall.erase(self.cloud, wall)
        for key in ssh_key.listed(self.cloud, self.name):
            ssh_key.erase(self.cloud, key)
        self.spaces.delete(self._report_key)
        for one in tag.listed(self.cloud, self.tag):
            tag.erase(self.cloud, one)

    def _usable(self) -> Droplet | None:
        """Find the droplet of an earlier run that may still come to an end, and delete those that can't."""
        usable: Droplet | None = None
        for one in fleet.listed(self.cloud, self.tag):
            said = self._report(one)
            is_whole = one.status == "off" and said.step == "done"
            is_busy = one.status in ("new", "active") and said.step != "failed" and not self._is_late(one)
            if usable is None and (is_whole or is_busy):
                usable = one
            else:
                fleet.erase(self.cloud, one)
        if usable is not None:
            self.show("droplet", f"{usable.name} is there from an earlier run")
        return usable

    def _order(self) -> Droplet:
        """Make a droplet that nobody can reach: nothing comes in, and nobody has its key."""
        if not firewall.listed(self.cloud, self.name):
            firewall.make(self.cloud, self.name, self.tag, (), firewall.outbound())
        for stale in ssh_key.listed(self.cloud, self.name):
            ssh_key.erase(self.cloud, stale)
        fresh = throw_away()
        key = ssh_key.make(self.cloud, self.name, fresh.line, fresh.fingerprint)
        name = f"{self.name}-{secrets.token_hex(3)}"
        told = document.Told(
            name,
            self.spaces.presign_put(self._report_key, LONGEST_URL),
            self.spaces.url(f"{self.plan.public_prefix}/"),
        )
        order: dict[str, Any] = {
            "name": name,
            "region": self.plan.region,
            "size": self.size.slug,
            "image": DEBIAN_13.slug,
            "ssh_keys": [key.id],
            "tags": [self.tag],
            "user_data": document.user_data(self.content, told),
            "ipv6": False,
            "monitoring": False,
            "backups": False,
            "with_droplet_agent": False,
        }
        known = {one.id for one in fleet.listed(self.cloud, self.tag)}
        return fleet.make(self.cloud, order, self.tag, known, self.clock.now() - MARGIN)

    def _await_done(self, droplet: Droplet) -> None:
        """Watch until the droplet says that everything is in place."""
        while True:
            self.keep()
            said = self._report(droplet)
            if said.step == "done":
                return
            where = f"droplet {droplet.name}"
            if said.step == "failed":
                raise Problem(f"could not bring everything: {said.why or 'it does not say why'}", where=where)
            seen = fleet.read(self.cloud, droplet.id)
            # Its last word may have come since it was asked.
            if seen is not None and seen.status == "off" and self._report(droplet).step != "done":
                raise Problem("was switched off before it was done", where=where, hint="`gen bake` begins anew")
            if self._is_late(droplet):
                message = f"is not done after {LIMIT.total_seconds() / 60:.0f} minutes, it was {said}"
                raise Problem(message, where=where, hint="`gen bake` begins anew")
            self.show("baking", str(said))
            self.clock.sleep(POLL_SECONDS)

    def _await_off(self, droplet: Droplet) -> Droplet:
        self.show("baking", "switching off")

        def look() -> Droplet | None:
            seen = fleet.read(self.cloud, droplet.id)
            return seen if seen is not None and seen.status == "off" else None

        found = waiting.until(look, OFF_POLLS, self.clock.sleep)
        if found is None:
            raise Problem("does not switch itself off", where=f"droplet {droplet.name}", hint="`gen bake` begins anew")
        return found

    def _copy(self, droplet: Droplet) -> Snapshot:
        """Have the snapshot made, and wait until it is there."""
        name = self.content.name.name
        where = f"snapshot {name}"
        self.show("snapshot", "asking for it")
        event = self.cloud.take_snapshot(droplet.id, name)

        def over() -> str | None:
            self.keep()
            status = self.cloud.event(event, where).status
            self.show("snapshot", status)
            return None if status == "in-progress" else status

        if (status := waiting.until(over, SNAPSHOT_POLLS, self.clock.sleep)) != "completed":
            raise Problem(f"was not made: {status or 'still in progress after half an hour'}", where=where)

        def look() -> Snapshot | None:
            seen = fleet.read(self.cloud, droplet.id)
            own = seen.snapshots if seen is not None else ()
            return next((one for one in image.every(self.cloud) if one.id in own and one.is_ready), None)

        made = waiting.until(look, OFF_POLLS, self.clock.sleep)
        if made is None:
            raise Problem("is made, but in no list of the account", where=where, hint=GOES_ON)
        return made

    def _report(self, droplet: Droplet) -> Report:
        return report.read(self.spaces.get(self._report_key, limit_bytes=report.LIMIT_BYTES), droplet.name)

    def _is_late(self, droplet: Droplet) -> bool:
        return self.clock.now() - droplet.created > LIMIT

    @property
    def _report_key(self) -> str:
        return names.bake_key(self.plan.name, self.content.name.digest)
