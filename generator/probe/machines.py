"""Makes the droplets of a run, tells each what it is to say, and waits for that."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from generator import waiting
from generator.catalogue import DEBIAN_13, SIZES, USER_DATA_BYTES
from generator.cluster.kinds import ssh_key
from generator.probe import document, report
from generator.probe.document import Told
from generator.probe.droplets import Orders
from generator.probe.questions import Questions
from generator.probe.scope import Scope
from generator.probe.surroundings import Key, Surroundings
from generator.probe.volumes import LARGE, Volumes
from generator.provider.digitalocean import Cloud
from generator.provider.resources import Droplet, Json
from generator.provider.spaces import LONGEST_URL, Spaces

SIZE = SIZES["s-1vcpu-1gb"]
REPORT_POLLS = 240 * (5.0,)
"""Twenty minutes: a boot, what is fetched, and the other droplet's boot."""


class Machines:
    """One droplet, or two; the first has a volume and a reserved address where these are asked about."""

    def __init__(
        self,
        cloud: Cloud,
        questions: Questions,
        scope: Scope,
        spaces: Spaces,
        orders: Orders,
        say: Callable[[str], None],
    ) -> None:
        self._cloud, self._questions, self._scope, self._spaces = cloud, questions, scope, spaces
        self._orders, self._say = orders, say
        self.made: list[tuple[int, Droplet]] = []
        """Each with the number of its order."""
        self.volumes: Volumes | None = None
        self.is_reserved = False
        self._body: Json = {}
        self._key = ""

    def stand_in(self, around: Surroundings, key: Key) -> None:
        """Write what all orders have in common; with a key, no password is mailed."""
        asked, keys, self._key = self._questions, [key.id], key.line
        if asked.ssh_key is not None:
            keys += [one.id for one in ssh_key.listed(self._cloud, asked.ssh_key)]
        order: dict[str, Any] = {
            "region": asked.region,
            "size": SIZE.slug,
            "image": DEBIAN_13.slug,
            "ssh_keys": keys,
            "tags": [self._scope.tag],
            "ipv6": False,
            "monitoring": False,
            "backups": False,
            "with_droplet_agent": False,
        }
        self._body = order | ({"vpc_uuid": around.network.id} if around.network else {})

    def make(self, fresh_key: datetime) -> int:
        """Make a droplet and wait until it is up; give the number of its order."""
        is_first = not self.made
        number, made = self._orders.make(lambda number: self.order(number, with_disk=is_first), fresh_key)
        self.made.append((number, made))
        self.made[-1] = (number, self._orders.watch(made, self._say, self._introduce))
        return number

    def order(self, number: int, length: int = USER_DATA_BYTES, *, with_disk: bool = False) -> Json:
        """Write the request for a droplet with user-data of such a length."""
        told, disks = self._told(number), dict[str, Any]()
        if with_disk and self.volumes is not None:
            disks = {"volumes": [self.volumes.make(self._orders.failed).id]}
        device = (self.volumes.device(), LARGE) if disks and self.volumes is not None else None
        whole = Told(**told, volume=device, is_reserved=with_disk and self.is_reserved)
        return {**self._body, **disks, "name": whole.name, "user_data": document.user_data(whole, length=length)}

    def _told(self, number: int) -> dict[str, Any]:
        peers = self._spaces.presign_get(self._peers_key, LONGEST_URL) if "two" in self._questions.phases else None
        return {
            "name": self._name(number),
            "url": self._spaces.presign_put(self._report_key(number), LONGEST_URL),
            "ssh_key": self._key,
            "downloads": self._questions.downloads,
            "peer_url": peers,
        }

    def _introduce(self, address: str) -> None:
        """Tell two droplets of each other: the elder sends before the younger has booted."""
        if len(self.made) == 2:
            (elder, one), (younger, _) = self.made
            names = {self._name(elder): one.private, self._name(younger): address}
            self._spaces.put(self._peers_key, json.dumps(names).encode())

    def await_report(
        self, number: int, group: str | None = None, meanwhile: Callable[[], None] = lambda: None
    ) -> Mapping[str, Any]:
        """Wait for what a droplet says, all of it or up to a group, and look meanwhile for an open port."""
        told: set[str] = set()
        seen = next(one for other, one in self.made if other == number)

        def look() -> Mapping[str, Any] | None:
            self._orders.knock(seen)
            meanwhile()
            facts = self._report(number)
            if fresh := [name for name in facts if name in report.GROUPS and name not in told]:
                told.update(fresh)
                self._say(f"{seen.name} told of {', '.join(fresh)}")
            is_enough = facts.get("done") is True or group in facts or group in facts.get("faults", {})
            return facts if is_enough else None

        found = waiting.until(look, REPORT_POLLS, self._cloud.clock.sleep)
        if found is None:
            last = self._report(number)
            self._say(f"warning: {seen.name} said {'not everything' if len(last) > 1 else 'nothing'} in twenty minutes")
            return last
        return found

    def _report(self, number: int) -> dict[str, Any]:
        return report.read(self._spaces.get(self._report_key(number), limit_bytes=report.LIMIT_BYTES))

    def _name(self, number: int) -> str:
        return f"{self._scope.name}-{number}"

    def _report_key(self, number: int) -> str:
        return f"{self._scope.prefix}facts/{number}.json"

    @property
    def _peers_key(self) -> str:
        return f"{self._scope.prefix}peers.json"
