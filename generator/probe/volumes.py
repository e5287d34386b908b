"""Asks how volumes behave: one that a droplet is ordered with, grows, leaves it and comes back, and outlives it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from generator import waiting
from generator.cluster import fleet
from generator.cluster.kinds import volume
from generator.plan import names
from generator.probe.droplets import POLLS, Lags, is_at, is_free
from generator.probe.questions import check_permitted, told
from generator.probe.scope import Scope
from generator.provider import answers
from generator.provider.digitalocean import Cloud
from generator.provider.resources import Json, Volume
from generator.provider.retry import Answer, Refused, inside

SMALL, LARGE = 1, 2
"""GiB of a volume, and what it grows to."""
ELSEWHERE = ("nyc3", "sfo3")
"""A region that is not the run's, or another one."""
UNPLUGGED_SECONDS = 8.0
"""How long it stays away, so that the droplet sees that it is."""


class Volumes:
    """One volume of a run that its first droplet is ordered with; `facts` fill as it goes on."""

    def __init__(self, cloud: Cloud, scope: Scope, region: str) -> None:
        self.facts: dict[str, Any] = {}
        self._cloud, self._scope, self._region = cloud, scope, region
        self._lags = Lags(cloud.clock, self.facts)
        self._made: dict[int, Volume] = {}
        self._ordered = cloud.clock.now()

    def make(self, turn: int) -> Volume:
        """Make the volume of an order; another turn has another, as an order that failed may hold its own.

        Raises:
            NotAsked: the token may not.
            Problem: it is refused.
        """
        if turn not in self._made:
            body = self._body(f"{self._scope.name}-{turn}", self._region)
            answer = self._cloud.try_to_create(volume.COLLECTION, body)
            check_permitted(answer, "make volumes")
            self.facts |= {"created": answer.status, "limit": self._cloud.account()[0].volume_limit}
            if answer.status >= 400:
                raise Refused(answer, f"volume {body['name']}")
            self._made[turn] = inside(volume.COLLECTION.key, volume.COLLECTION.read)(answer)
            self._await(lambda one: one is not None, "list_lag_ms", self._cloud.clock.now())
            self.facts["name_taken"] = self._cloud.try_to_create(volume.COLLECTION, body).status
        self._ordered = self._cloud.clock.now()
        return self._made[turn]

    @property
    def _own(self) -> Volume:
        return self._made[max(self._made)]

    def device(self) -> str:
        """Say where a droplet looks for it."""
        return names.volume_device(self._own.name)

    def ask(self, droplet: int, order: Callable[[Json], Json]) -> None:
        """Ask what a droplet's volume can do, and what ought to be refused.

        Args:
            order: writes a request for another droplet with what is given.
        """
        self._lags.begin("come_lag_ms")
        self._await(is_at(droplet), "come_lag_ms", self._ordered)
        self.facts["grow"] = self._act({"type": "resize", "size_gigabytes": LARGE, "region": self._region}).status
        attach = {"type": "attach", "droplet_id": droplet, "region": self._region}
        self.facts["busy"] = told(self._cloud.act(volume.ACTIONS, self._own.id, attach, self._where))
        if self.facts["grow"] < 400:
            self._await(lambda one: one is not None and one.size == LARGE, "grow_lag_ms", self._cloud.clock.now())
        self.facts["attached_again"] = told(self._act(attach))
        shrink = {"type": "resize", "size_gigabytes": SMALL, "region": self._region}
        self.facts["shrunk"] = self._act(shrink).status
        refused = self._cloud.try_to_delete(volume.COLLECTION, self._own.id, self._where)
        self.facts["deleted_while_attached"] = refused.status
        another = self._cloud.try_to_create(fleet.COLLECTION, order({"volumes": [self._own.id]}))
        if "limit" not in str(another.body.get("message")):  # which says nothing of volumes
            self.facts["ordered_while_attached"] = told(another, ("volume",))
        self._ask_elsewhere(droplet)

    def _ask_elsewhere(self, droplet: int) -> None:
        """Make one of the same name in another region, and ask for it here."""
        region = next(one for one in ELSEWHERE if one != self._region)
        answer = self._cloud.try_to_create(volume.COLLECTION, self._body(self._own.name, region))
        self.facts["same_name_elsewhere"] = answer.status
        if answer.status >= 400:
            return
        other = inside("volume", answers.volume)(answer)
        attach = {"type": "attach", "droplet_id": droplet, "region": region}
        self.facts["attached_from_elsewhere"] = self._cloud.act(volume.ACTIONS, other.id, attach, self._where).status
        self._cloud.try_to_delete(volume.COLLECTION, other.id, self._where)

    def replug(self, droplet: int) -> None:
        """Take it from the running droplet, and give it back."""
        detach = {"type": "detach", "droplet_id": droplet, "region": self._region}
        self.facts["detach"] = status = self._act(detach).status
        if status >= 400:
            return
        self._await(is_free, "let_go_lag_ms", self._cloud.clock.now())
        self._cloud.clock.sleep(UNPLUGGED_SECONDS)
        self.facts["attach"] = status = self._act({**detach, "type": "attach"}).status
        if status < 400:
            self._await(is_at(droplet), "come_lag_ms", self._cloud.clock.now())

    def end(self) -> None:
        """See that it outlives its droplet, and when it can be deleted; the droplet is gone."""
        ended = self._cloud.clock.now()
        self.facts["survives"] = self._find() is not None
        if not self.facts["survives"]:
            return
        self._await(is_free, "let_go_lag_ms", ended)

        def deleted() -> int | None:
            status = self._cloud.try_to_delete(volume.COLLECTION, self._own.id, self._where).status
            if status in volume.ATTACHED:
                self._lags.note("let_go_lag_ms", ended)
                return None
            return status

        self.facts["deleted"] = waiting.until(deleted, POLLS, self._cloud.clock.sleep)
        if self.facts["deleted"] == 204:
            self._await(lambda one: one is None, "list_lag_ms", self._cloud.clock.now())

    def _act(self, body: Json) -> Answer:
        """Ask something of it, as soon as it is not busy any more."""
        return self._lags.patiently(lambda: self._cloud.act(volume.ACTIONS, self._own.id, body, self._where))

    def _await(self, has_come: Callable[[Volume | None], bool], lag: str, since: datetime) -> None:
        self._lags.until(lambda: has_come(self._find()), lag, since)

    def _find(self) -> Volume | None:
        return next((one for one in volume.listed(self._cloud) if one.id == self._own.id), None)

    @property
    def _where(self) -> str:
        return f"volume {self._own.name}"

    def _body(self, name: str, region: str) -> dict[str, Any]:
        said = "made by `gen probe`, which removes it"
        return {
            "name": name,
            "region": region,
            "size_gigabytes": SMALL,
            "description": said,
            "tags": [self._scope.tag],
        }
