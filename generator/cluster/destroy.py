"""Removes all that a launch made, found by the token and the cluster's name alone, and proves that it is gone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

from generator.clock import Clock
from generator.cluster.diff import OWNED, RELEASED
from generator.cluster.launch_lock import Lock
from generator.cluster.observed import bundles_prefix, lock_key, object_name
from generator.errors import Problem, Problems
from generator.provider.connection import Connection
from generator.provider.digitalocean import Cloud
from generator.provider.resources import Droplet, Firewall, SshKey, Vpc
from generator.provider.retry import LOOKS
from generator.provider.spaces import Spaces, Stored, Trouble

POLL = 5.0
POLLS = 120
"""Ten minutes: a VPC counts droplets as members for a while after they are gone."""
IN_FLIGHT_SECONDS = 60


@dataclass(frozen=True)
class Remains:
    """What is there of a cluster.

    `vpcs` has no VPC that was released already; `public` are prefixes that anyone may read.
    """

    droplets: tuple[Droplet, ...] = ()
    firewalls: tuple[Firewall, ...] = ()
    ssh_keys: tuple[SshKey, ...] = ()
    tags: tuple[str, ...] = ()
    vpcs: tuple[Vpc, ...] = ()
    objects: tuple[Stored, ...] = ()
    public: tuple[str, ...] = ()

    def lines(self) -> tuple[str, ...]:
        """Name every object, one a line; objects in the bucket are counted."""
        named = [
            *(f"droplet  {one.name} ({one.id}), {one.public or 'no address yet'}" for one in self.droplets),
            *(f"firewall {one.name}" for one in self.firewalls),
            *(f"ssh key  {one.name}" for one in self.ssh_keys),
            *(f"vpc      {one.name} {one.ip_range}" for one in self.vpcs),
            *(f"tag      {one}" for one in self.tags),
        ]
        if self.objects:
            named.append(f"objects  {len(self.objects)}, {sum(one.size for one in self.objects):,} bytes")
        named += [f"policy   anyone may read {prefix}/*" for prefix in self.public]
        return tuple(named)


class Destroyer:
    """Finds and removes one cluster.

    The bucket is the one given, else the one that the VPC's description names. Where the cluster's id is known, no
    other cluster of its name is touched. `trouble` is what was wrong with Spaces first: the account's objects go
    nevertheless, as they cost money.
    """

    def __init__(
        self,
        cluster: str,
        connection: Connection,
        clock: Clock,
        say: Callable[[str], None],
        *,
        bucket: tuple[str, str] | None,
        cluster_id: str | None = None,
    ) -> None:
        self._cluster = cluster
        self._tag = f"hardway:{cluster}"
        self._name = object_name(cluster)
        self._connection = connection
        self._clock = clock
        self._say = say
        self._cloud = Cloud(connection, clock)
        self._id = cluster_id
        self._bucket_is_given = bucket is not None
        self._spaces = self._open(bucket) if bucket else None
        self.trouble: Trouble | None = None

    def find(self) -> Remains:
        """List everything that carries the cluster's tag or name.

        Raises:
            Problem: the name is another cluster's.
        """
        vpcs = tuple(vpc for vpc in self._cloud.vpcs() if vpc.name == self._name and OWNED.search(vpc.description))
        owner = next((found for vpc in vpcs if (found := OWNED.search(vpc.description))), None)
        if owner and self._id not in (None, owner["id"]):
            message = f"belongs to another cluster of this name, {owner['id']}; nothing was deleted"
            hint = f"this directory's is {self._id}; `gen destroy {self._cluster}` elsewhere goes by the name alone"
            raise Problem(message, where=f"vpc {self._name}", hint=hint)
        if self._spaces is None and owner:
            self._spaces = self._open((owner["bucket"], owner["region"]))
        firewalls = self._cloud.firewalls(self._name)
        remains = Remains(
            droplets=self._cloud.droplets(self._tag),
            firewalls=tuple(one for one in firewalls if self._tag in one.tags or not one.tags),
            ssh_keys=self._cloud.ssh_keys(self._name),
            tags=tuple(sorted(self._cloud.tags(self._tag))),
            vpcs=vpcs,
        )
        with self._noted():
            if self._spaces is not None and self._spaces.bucket_exists():
                public = tuple(one for one in self._spaces.public_prefixes() if one.startswith(f"{self._cluster}/"))
                return replace(remains, objects=self._spaces.objects(f"{self._cluster}/"), public=public)
        return remains

    def destroy(self, remains: Remains) -> None:
        """Remove what was found, droplets first, and look again.

        Raises:
            Problem: something is still there.
            Problems: Spaces were in trouble; everything else is gone.
        """
        with ExitStack() as stack:
            stack.enter_context(self._noted())
            lock = self._lock(stack)
            self._droplets(remains, lock)
            for firewall in remains.firewalls:
                self._say(f"delete firewall {firewall.name}")
                self._cloud.delete_firewall(firewall)
            for key in remains.ssh_keys:
                self._say(f"delete ssh key {key.name}")
                self._cloud.delete_ssh_key(key)
            for tag in remains.tags:
                self._say(f"delete tag {tag}")
                self._cloud.delete_tag(tag)
            with self._noted():
                self._empty()
        # The VPC's description names the bucket, so it goes last; while nothing else names it, not before it is empty.
        is_kept = self.trouble is not None and not self._bucket_is_given
        for vpc in () if is_kept else remains.vpcs:
            self._delete_vpc(vpc)
        self._prove(is_kept=is_kept)
        if self.trouble:
            self._admit(self.trouble, is_kept=is_kept)

    @contextmanager
    def _noted(self) -> Iterator[None]:
        """Keep the first trouble with Spaces for the end."""
        try:
            yield
        except Trouble as trouble:
            self.trouble = self.trouble or trouble

    def _admit(self, trouble: Trouble, *, is_kept: bool) -> None:
        bucket = self._spaces.bucket if self._spaces else ""
        left = f"objects below {self._cluster}/ are left, if there were any"
        hint = f"`gen destroy {self._cluster}` once Spaces answer, or delete them yourself"
        if is_kept:
            left += f"; so is the vpc {self._name}, which costs nothing and names the bucket"
        raise Problems([trouble, Problem(left, where=f"bucket {bucket}", hint=hint)])

    def _lock(self, stack: ExitStack) -> Lock | None:
        """Take the lock, if Spaces answer; without them there is none to be had, and none to be respected."""
        with self._noted():
            if self.trouble is None and self._spaces is not None and self._spaces.bucket_exists():
                return stack.enter_context(Lock(self._spaces, self._cluster, self._clock, self._say))
        return None

    def _droplets(self, remains: Remains, lock: Lock | None) -> None:
        """Delete droplets until none is listed, and each that was is really gone.

        A bundle that was put a moment ago, or can't be seen, may belong to a droplet that lists don't show yet.
        """
        newest = max((one.modified for one in remains.objects if self._is_bundle(one)), default=None)
        in_flight = newest is not None and (self._clock.now() - newest).total_seconds() < IN_FLIGHT_SECONDS
        quiet = len(LOOKS) if in_flight or self.trouble else 1
        going: dict[int, Droplet] = {}
        for _ in range(POLLS):
            with self._noted():
                if lock:
                    lock.keep()
            listed = self._cloud.droplets(self._tag)
            for droplet in listed:
                if droplet.id not in going:
                    self._say(f"delete droplet {droplet.name} ({droplet.id})")
                self._cloud.delete_droplet(droplet)
                going[droplet.id] = droplet
            if not listed and all(self._cloud.droplet(number) is None for number in going):
                quiet -= 1
                if quiet <= 0:
                    return
            self._clock.sleep(POLL)
        raise Problem("can't be deleted", where=f"droplets tagged {self._tag}", hint="destroy again, it goes on")

    def _is_bundle(self, stored: Stored) -> bool:
        return stored.key.startswith(bundles_prefix(self._cluster))

    def _empty(self) -> None:
        spaces = self._spaces
        if self.trouble or spaces is None or not spaces.bucket_exists():
            return
        self._say(f"delete objects below {self._cluster}/ in bucket {spaces.bucket}")
        for stored in spaces.objects(f"{self._cluster}/"):
            if stored.key != lock_key(self._cluster):
                spaces.delete(stored.key)
        spaces.withdraw_public_read(self._cluster)

    def _delete_vpc(self, vpc: Vpc) -> None:
        if vpc.default:
            self._say(f"release vpc {vpc.name}: the provider made it its region's default, which can't be deleted")
            self._cloud.describe_vpc(vpc, RELEASED)
            return
        self._say(f"delete vpc {vpc.name}")
        for _ in range(POLLS):
            if self._cloud.delete_vpc(vpc):
                return
            self._clock.sleep(POLL)
        hint = "destroy again in some minutes"
        raise Problem("still counts members that are gone", where=f"vpc {vpc.name}", hint=hint)

    def _prove(self, *, is_kept: bool) -> None:
        """Look again at everything, but for a VPC that is kept; lists may show what is gone for some seconds."""
        left: tuple[str, ...] = ()
        for pause in (*LOOKS, None):
            found = self.find()
            left = (replace(found, vpcs=()) if is_kept else found).lines()
            if not left or pause is None:
                break
            self._clock.sleep(pause)
        if left:
            raise Problem(f"still there: {'; '.join(left)}", where=self._cluster, hint="destroy again, it goes on")

    def _open(self, bucket: tuple[str, str]) -> Spaces:
        name, region = bucket
        return Spaces(self._connection, bucket=name, region=region)
