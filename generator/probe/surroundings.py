"""Makes what droplets stand in, and takes the time of it: the VPC, the firewall, the SSH key."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv4Network
from typing import Any

from generator import waiting
from generator.cluster.kinds import firewall, ssh_key, tag, vpc
from generator.probe.document import FOREIGN, REACHED
from generator.probe.droplets import PAUSE, Lags
from generator.probe.scope import Scope
from generator.provider import resources
from generator.provider.digitalocean import Cloud
from generator.provider.resources import Json, Rule, Vpc
from generator.provider.retry import Unclear
from generator.provider.ssh_key import throw_away

RULED, RULED_FOREIGN = "51820", "51821"
"""UDP ports: one that the tag may use, one for a source that is nobody's in the VPC."""
RANGE = IPv4Network("10.77.0.0/16")


@dataclass(frozen=True)
class Key:
    """A registered key that nobody can use."""

    id: int
    line: str


class Surroundings:
    """What droplets of one run stand in; `network` is None where they are in their region's default VPC."""

    def __init__(
        self, cloud: Cloud, scope: Scope, lags: Lags, say: Callable[[str], None], *, is_reached: bool = False
    ) -> None:
        """Remember what is needed; `is_reached` opens the one port at which a droplet is reached from outside."""
        self.cloud, self.scope, self.say = cloud, scope, say
        self._is_reached = is_reached
        self.network: Vpc | None = None
        self._lags = lags

    def make(self, region: str, asks: bool) -> Mapping[str, Any]:
        """Make VPC and firewall; where the region has no VPC yet, ours would stay for good, so there is none.

        Args:
            asks: try what ought to be refused as well.
        """
        there, facts = vpc.listed(self.cloud), dict[str, Any]()
        default = next((one for one in there if one.region == region and one.default), None)
        facts["region_has_default_vpc"] = default is not None
        if default is None:
            self.say(f"the provider makes a default VPC for {region} now; it costs nothing and stays")
        else:
            facts["default_vpc"] = str(default.ip_range)
            free = RANGE.subnets(new_prefix=24)
            block = next(one for one in free if not any(one.overlaps(other.ip_range) for other in there))
            self.network = vpc.make(self.cloud, self.scope.name, "made by `gen probe`", region, str(block))
        if asks:
            facts["tag_twice"] = self._status(tag, {"name": self.scope.tag})
            wrong = resources.firewall_body(
                self.scope.name, self.scope.unknown_tag, self._inbound(), firewall.outbound()
            )
            if (status := self._status(firewall, wrong)) < 400:
                for wall in firewall.listed(self.cloud, self.scope.name):
                    firewall.erase(self.cloud, wall)
            facts["firewall_of_unknown_tag"] = status
        firewall.make(self.cloud, self.scope.name, self.scope.tag, self._inbound(), firewall.outbound())
        return facts

    def _status(self, kind: Any, body: Json) -> int:
        try:
            return self.cloud.try_to_create(kind.COLLECTION, body).status
        except Unclear:
            return 0

    def _inbound(self, *more: Rule) -> tuple[Rule, ...]:
        """Let UDP through by tag on one port, and from an address that is nobody's on another; all else is closed."""
        by_tag = Rule("udp", RULED, tags=(self.scope.tag,))
        foreign = tuple(f"{address}/32" for address in FOREIGN)
        reached = (Rule("tcp", str(REACHED), addresses=("0.0.0.0/0",)),) if self._is_reached else ()
        return resources.rules((by_tag, Rule("udp", RULED_FOREIGN, addresses=foreign), *reached, *more))

    def register_key(self) -> tuple[Key, datetime]:
        """Register a key, and give the moment from which it is there."""
        public = throw_away()
        made = ssh_key.make(self.cloud, self.scope.name, public.line, public.fingerprint)
        return Key(made.id, public.line), self.cloud.clock.now()

    def time_firewall(self) -> None:
        """Change the firewall while it has droplets, and look until that is in force."""
        (wall, *_) = firewall.listed(self.cloud, self.scope.name)
        more = Rule("icmp", "0", tags=(self.scope.tag,))
        firewall.change(self.cloud, wall, self.scope.tag, self._inbound(more), firewall.outbound())
        changed = self.cloud.clock.now()
        self._lags.begin("firewall_lag_ms")

        def is_in_force() -> bool | None:
            if all(one.settled for one in firewall.listed(self.cloud, self.scope.name)):
                return True
            self._lags.note("firewall_lag_ms", changed)
            return None

        waiting.until(is_in_force, 300 * (PAUSE,), self.cloud.clock.sleep)

    def time_vpc(self) -> None:
        """Delete the VPC, which still counts its droplets for a while."""
        network = self.network
        if network is None:
            return
        ended = self.cloud.clock.now()
        self._lags.begin("member_lag_ms")

        def is_gone() -> bool | None:
            if vpc.erase(self.cloud, network):
                return True
            self._lags.note("member_lag_ms", ended)
            return None

        waiting.until(is_gone, 600 * (PAUSE,), self.cloud.clock.sleep)
