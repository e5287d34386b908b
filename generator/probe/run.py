"""Carries out one run: makes what the questions need, asks, removes all of it again and proves that it is gone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from ipaddress import IPv4Address
from typing import Any

from generator.catalogue import SPACES_REGIONS, USER_DATA_BYTES
from generator.clock import Clock
from generator.cluster import fleet
from generator.cluster.kinds import ssh_key, tag
from generator.errors import Problem
from generator.probe import limited_keys, report, store
from generator.probe.addresses import Addresses
from generator.probe.beliefs import Phase
from generator.probe.clean import HINT, Cleaner
from generator.probe.droplets import Lags, Orders
from generator.probe.machines import SIZE, Machines
from generator.probe.questions import NotAsked, Questions
from generator.probe.scope import Place, Scope, is_bucket
from generator.probe.surroundings import Surroundings
from generator.probe.volumes import Volumes
from generator.probe.wire import Wire
from generator.provider.connection import Connection
from generator.provider.digitalocean import Cloud
from generator.provider.retry import Unclear
from generator.provider.spaces import Spaces


@dataclass
class Run:
    """One run; `answers` fills as it goes on, `not_asked` says of phases why this account can't be asked."""

    questions: Questions
    connection: Connection
    clock: Clock
    say: Callable[[str], None]
    scope: Scope = field(default_factory=Scope.new)
    answers: dict[str, Any] = field(default_factory=dict)
    not_asked: dict[Phase, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.cloud = Cloud(self.connection, self.clock)
        self.cleaner = Cleaner(self.connection, self.cloud, self.say)
        self._wire = Wire(self.connection)
        self._lags = Lags(self.clock)
        self._orders = Orders(self.cloud, self._wire, self.scope, self._lags)
        self._api: dict[str, Any] = self.answers.setdefault("api", {})

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
        except Unclear as error:
            self.problems.append(Problem(f"DigitalOcean gave no clear answer: {error}", where=self.scope.tag))
        finally:
            self._api |= self._lags.found
            if self.questions.needs_droplets:
                self._api["failed_creations"] = self._orders.failed
            self._remove()
        return self.answers

    def _ask(self) -> None:
        asked = self.questions
        tag.make(self.cloud, self.scope.tag)
        place = self._place(self._spaces) if asked.needs_spaces else None
        if place is not None and "spaces" in asked.phases:
            self.say("asking Spaces")
            self.answers["spaces"] = store.measure(self._spaces, self.scope, place, self._wire, self.clock.sleep)
        if place is not None and "keys" in asked.phases:
            self.say("asking what a limited Spaces key opens")
            limited = self._place(self._spaces.beside(self.scope.limited_bucket))
            facts, places = self.answers.setdefault("keys", {}), (limited, place)
            ask = limited_keys.measure
            self._may("keys", lambda: ask(self.cloud, self.connection, self.scope, places, facts))
        if asked.needs_droplets:
            self._ask_droplets()

    def _may(self, phase: Phase, ask: Callable[[], object]) -> bool:
        """Ask something, if it is to be asked and this account can be."""
        if phase not in self.questions.phases:
            return False
        try:
            ask()
        except NotAsked as reason:
            self.not_asked[phase] = str(reason)
            self.say(f"{phase} are not asked about: {reason}")
            return False
        return True

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

    def _place(self, spaces: Spaces) -> Place:
        """Say where objects go, in the account first; make the bucket where it is missing."""
        place = Place(spaces.bucket, spaces.region, is_made=not spaces.bucket_exists())
        tag.make(self.cloud, self.scope.place_tag(place))
        if place.is_made:
            self.say(f"making bucket {place.bucket}")
            spaces.create_bucket()
        return place

    def _ask_droplets(self) -> None:
        asked = self.questions
        machines = Machines(self.cloud, asked, self.scope, self._spaces, self._orders, self.say)
        volumes = Volumes(self.cloud, self.scope, asked.region)
        addresses = Addresses(self.cloud, self._wire, self.scope)
        self.answers |= {"volumes": volumes.facts, "addresses": addresses.facts}
        has_volume = self._may("volumes", lambda: volumes.make(0))
        machines.is_reserved = self._may("addresses", addresses.prepare)
        if has_volume:
            machines.volumes = volumes
        if not {"node", "api", "two"} & set(asked.phases) and not (has_volume or machines.is_reserved):
            return
        around = Surroundings(self.cloud, self.scope, self._lags, self.say, is_reached=machines.is_reserved)
        self._api |= around.make(asked.region, "api" in asked.phases)
        key, fresh = around.register_key()
        machines.stand_in(around, key)
        self.say(f"making droplet {self.scope.name}, {SIZE.slug} in {asked.region}")
        first = machines.make(fresh)
        self._api[f"user_data_of_{USER_DATA_BYTES}"] = 202
        self._refusals(machines)
        droplet = machines.made[0][1].id
        if has_volume:
            self.say("asking about its volume")
            volumes.ask(droplet, lambda disks: {**machines.order(0), **disks})
        if machines.is_reserved:
            self.say("asking about its reserved address")
            addresses.ask(droplet)
        if has_volume:
            machines.await_report(first, "volume")
            volumes.replug(droplet)
        if machines.is_reserved:
            machines.await_report(first, "reserved", addresses.knock)
            addresses.move(droplet)
        if "two" in asked.phases:
            machines.await_report(first, "downloads")
            self.say("making a second droplet in the same VPC")
            second = machines.make(fresh)
            elder, younger = (int(IPv4Address(one.private or 0)) for _, one in machines.made)
            self._api["addresses_follow"] = younger == elder + 1
            reports = [machines.await_report(number) for number in (first, second)]
            self.answers.update(reports[0])
            self.answers["peer"] = report.both([one.get("peer") or {} for one in reports])
        elif "node" in asked.phases or has_volume or machines.is_reserved:
            self.answers.update(machines.await_report(first))
        if "api" in asked.phases:
            around.time_firewall()
        self._api["was_ever_open"] = self._orders.was_ever_open
        self.say("deleting the droplets")
        self._orders.end([one for _, one in machines.made])
        if machines.is_reserved:
            addresses.end()
        if has_volume:
            volumes.end()
        around.time_vpc()

    def _refusals(self, machines: Machines) -> None:
        """Order a droplet with one byte too many, once its key is known: nothing else can be wrong with it."""
        if "api" not in self.questions.phases:
            return
        too_long = USER_DATA_BYTES + 1
        with suppress(Unclear):
            answer = self.cloud.try_to_create(fleet.COLLECTION, machines.order(0, too_long))
            self._api[f"user_data_of_{too_long}"] = answer.status
            if (limit := answer.headers.get("ratelimit-limit", "")).isdecimal():
                self._api["requests_an_hour"] = int(limit)
