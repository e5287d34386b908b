"""Carries out one run: makes what the questions need, asks, removes all of it again and proves that it is gone."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from ipaddress import IPv4Address
from typing import Any

from generator import waiting
from generator.catalogue import DEBIAN_13, SIZES, SPACES_REGIONS, USER_DATA_BYTES
from generator.clock import Clock
from generator.cluster import fleet
from generator.cluster.kinds import ssh_key, tag
from generator.errors import Problem
from generator.probe import document, report, store
from generator.probe.clean import HINT, Cleaner
from generator.probe.document import Told
from generator.probe.droplets import Lags, Orders
from generator.probe.questions import Questions
from generator.probe.scope import Place, Scope, is_bucket
from generator.probe.surroundings import Surroundings
from generator.probe.wire import Wire
from generator.provider.connection import Connection
from generator.provider.digitalocean import Cloud
from generator.provider.resources import Droplet, Json
from generator.provider.retry import Unclear
from generator.provider.spaces import LONGEST_URL, Spaces

SIZE = SIZES["s-1vcpu-1gb"]
REPORT_POLLS = 240 * (5.0,)
"""Twenty minutes: a boot, what is fetched, and the other droplet's boot."""


@dataclass
class Run:
    """One run; `answers` fills as it goes on."""

    questions: Questions
    connection: Connection
    clock: Clock
    say: Callable[[str], None]
    scope: Scope = field(default_factory=Scope.new)
    answers: dict[str, Any] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.cloud = Cloud(self.connection, self.clock)
        self.cleaner = Cleaner(self.connection, self.cloud, self.say)
        self._wire = Wire(self.connection)
        self._lags = Lags(self.clock)
        self._orders = Orders(self.cloud, self._wire, self.scope, self._lags)
        self._api: dict[str, Any] = self.answers.setdefault("api", {})
        self._made: list[tuple[int, Droplet]] = []

    def check(self) -> None:
        """Find what would end the run half way.

        Raises:
            Problem: there is something.
        """
        region, asked = self.questions.region, self.questions
        if region not in SPACES_REGIONS:
            raise Problem(f"`{region}` has no Spaces", where="--region", hint=f"known: {', '.join(SPACES_REGIONS)}")
        if asked.bucket is not None and not is_bucket(asked.bucket):
            raise Problem(f"`{asked.bucket}` is no bucket's name", where="--bucket", hint="3 to 63 of a-z, 0-9 and `-`")
        account, _ = self.cloud.account()
        wanted = (2 if "two" in asked.phases else 1) if asked.needs_droplets else 0
        if (room := account.droplet_limit - self.cloud.droplet_count()) < wanted:
            message = f"the account has room for {max(room, 0)} more droplets, the probe needs {wanted}"
            raise Problem(message, hint="ask the provider for a higher droplet limit, or destroy some")
        self._api["droplet_limit"] = account.droplet_limit
        if asked.ssh_key is not None and not ssh_key.listed(self.cloud, asked.ssh_key):
            raise Problem(f"the account has no SSH key `{asked.ssh_key}`", where="--ssh-key")

    def carry_out(self) -> Mapping[str, Any]:
        """Ask everything, and give the answers there are; whatever happens, what was made is removed.

        What went wrong, while asking or removing, is in `problems`.
        """
        try:
            self._ask()
        except Problem as problem:
            self.problems.append(problem)
        finally:
            self._api |= self._lags.found
            if self.questions.needs_droplets:
                self._api["failed_creations"] = self._orders.failed
            self._remove()
        return self.answers

    def _ask(self) -> None:
        asked = self.questions
        tag.make(self.cloud, self.scope.tag)
        place = self._place() if asked.needs_spaces else None
        if place is not None and "spaces" in asked.phases:
            self.say("asking Spaces")
            self.answers["spaces"] = store.measure(self._spaces, self.scope, place, self._wire, self.clock.sleep)
        if asked.needs_droplets:
            self._ask_droplets()

    def _remove(self) -> None:
        self.say("removing everything again")
        try:
            self.cleaner.remove(self.scope, is_known=not self.problems and not self._orders.failed)
            self.say("all of it is gone: no droplet, firewall, VPC, key, tag or object is left")
        except Problem as problem:
            self.problems.append(problem)
        except KeyboardInterrupt:
            self.say(f"something is left; {HINT}")
            raise

    @cached_property
    def _spaces(self) -> Spaces:
        bucket = self.questions.bucket or self.scope.name
        return Spaces(self.connection, bucket=bucket, region=self.questions.region)

    def _place(self) -> Place:
        """Say where objects go, in the account first; make the bucket where it is missing."""
        spaces = self._spaces
        place = Place(spaces.bucket, spaces.region, is_made=not spaces.bucket_exists())
        tag.make(self.cloud, self.scope.place_tag(place))
        if place.is_made:
            self.say(f"making bucket {place.bucket}")
            spaces.create_bucket()
        return place

    def _ask_droplets(self) -> None:
        around = Surroundings(self.cloud, self.scope, self._lags, self.say)
        self._api |= around.make(self.questions.region, "api" in self.questions.phases)
        key, fresh = around.register_key()
        self._public_key = key.line
        body = self._common(around, key.id)
        self.say(f"making droplet {self.scope.name}, {SIZE.slug} in {self.questions.region}")
        first = self._make(body, fresh)
        self._refusals(body)
        if "two" in self.questions.phases:
            self._await_report(first, lambda facts: "downloads" in facts or "downloads" in facts.get("faults", {}))
            self.say("making a second droplet in the same VPC")
            second = self._make(body, fresh)
            addresses = [int(IPv4Address(one.private or 0)) for _, one in self._made]
            self._api["addresses_follow"] = addresses[1] == addresses[0] + 1
            reports = [self._await_report(number) for number in (first, second)]
            self.answers.update(reports[0])
            self.answers["peer"] = report.both([one.get("peer") or {} for one in reports])
        elif "node" in self.questions.phases:
            self.answers.update(self._await_report(first))
        if "api" in self.questions.phases:
            around.time_firewall()
        self._api["was_ever_open"] = self._orders.was_ever_open
        self.say("deleting the droplets")
        self._orders.end([one for _, one in self._made])
        around.time_vpc()

    def _common(self, around: Surroundings, key: int) -> Json:
        """Write what all orders have in common; with a key, no password is mailed."""
        asked, keys = self.questions, [key]
        if asked.ssh_key is not None:
            keys += [one.id for one in ssh_key.listed(self.cloud, asked.ssh_key)]
        order: dict[str, Any] = {
            "region": asked.region,
            "size": SIZE.slug,
            "image": DEBIAN_13.slug,
            "ssh_keys": keys,
            "tags": [self.scope.tag],
            "ipv6": False,
            "monitoring": False,
            "backups": False,
            "with_droplet_agent": False,
        }
        return order | ({"vpc_uuid": around.network.id} if around.network else {})

    def _name(self, number: int) -> str:
        return f"{self.scope.name}-{number}"

    def _report_key(self, number: int) -> str:
        return f"{self.scope.prefix}facts/{number}.json"

    @property
    def _peers_key(self) -> str:
        return f"{self.scope.prefix}peers.json"

    def _order(self, body: Json, number: int, length: int = USER_DATA_BYTES) -> Json:
        spaces = self._spaces
        told = Told(
            name=self._name(number),
            url=spaces.presign_put(self._report_key(number), LONGEST_URL),
            ssh_key=self._public_key,
            downloads=self.questions.downloads,
            peer_url=spaces.presign_get(self._peers_key, LONGEST_URL) if "two" in self.questions.phases else None,
        )
        return {**body, "name": told.name, "user_data": document.user_data(told, length=length)}

    def _make(self, body: Json, fresh: datetime) -> int:
        number, made = self._orders.make(lambda number: self._order(body, number), fresh)
        self._made.append((number, made))
        self._api[f"user_data_of_{USER_DATA_BYTES}"] = 202
        self._made[-1] = (number, self._orders.watch(made, self.say, self._introduce))
        return number

    def _introduce(self, address: str) -> None:
        """Tell two droplets of each other: the elder sends before the younger has booted."""
        if len(self._made) == 2:
            (elder, one), (younger, _) = self._made
            names = {self._name(elder): one.private, self._name(younger): address}
            self._spaces.put(self._peers_key, json.dumps(names).encode())

    def _refusals(self, body: Json) -> None:
        """Order a droplet with one byte too many, once its key is known: nothing else can be wrong with it."""
        if "api" not in self.questions.phases:
            return
        too_long = USER_DATA_BYTES + 1
        with suppress(Unclear):
            answer = self.cloud.try_to_create(fleet.COLLECTION, self._order(body, 0, too_long))
            self._api[f"user_data_of_{too_long}"] = answer.status
            if (limit := answer.headers.get("ratelimit-limit", "")).isdecimal():
                self._api["requests_an_hour"] = int(limit)

    def _await_report(
        self, number: int, is_enough: Callable[[Mapping[str, Any]], bool] = lambda facts: facts.get("done") is True
    ) -> Mapping[str, Any]:
        """Wait for what a droplet says, and look meanwhile whether its firewall is there."""
        told: set[str] = set()
        seen = next(one for other, one in self._made if other == number)

        def look() -> Mapping[str, Any] | None:
            self._orders.knock(seen)
            facts = report.read(self._spaces.get(self._report_key(number), limit_bytes=report.LIMIT_BYTES))
            if fresh := [name for name in facts if name in report.GROUPS and name not in told]:
                told.update(fresh)
                self.say(f"{seen.name} told of {', '.join(fresh)}")
            return facts if is_enough(facts) else None

        found = waiting.until(look, REPORT_POLLS, self.clock.sleep)
        if found is None:
            last = report.read(self._spaces.get(self._report_key(number), limit_bytes=report.LIMIT_BYTES))
            self.say(f"warning: {seen.name} said {'not everything' if len(last) > 1 else 'nothing'} in twenty minutes")
            return last
        return found
