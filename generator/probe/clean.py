"""Removes whatever runs of the probe have made, found by tags and names alone, and proves that it is gone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from generator import waiting
from generator.cluster import bucket_policy, fleet
from generator.cluster.kinds import address, droplet, firewall, ssh_key, state_access, tag, volume, vpc
from generator.errors import Problem
from generator.probe.questions import DENIED
from generator.probe.scope import Place, Scope, scopes
from generator.provider.connection import Connection
from generator.provider.digitalocean import Cloud
from generator.provider.resources import ReservedIp, SpacesKey, Volume, Vpc
from generator.provider.retry import LOOKS, Refused
from generator.provider.spaces import Spaces, Trouble

HINT = "`gen probe --clean` goes on"


@dataclass(frozen=True)
class Cleaner:
    """Looks for what runs have made, and removes it."""

    connection: Connection
    cloud: Cloud
    say: Callable[[str], None]

    def left(self) -> tuple[Scope, ...]:
        """Find the runs of which something is left."""
        return scopes(self.cloud.list(tag.COLLECTION))

    def lines(self, scope: Scope) -> tuple[str, ...]:
        """Show what a run has made, one line each."""
        return tuple(self._lines(scope))

    def remove(self, scope: Scope, *, is_known: bool = False) -> None:
        """Remove what a run has made, and look again.

        What lies in Spaces can be out of reach; the account's things cost money and go nevertheless, but for the tags
        that say where the rest is.

        Args:
            is_known: the run has just seen all of its droplets go; else one may be so new that lists lack it.

        Raises:
            Problem: something is still there.
        """
        # Those first that a droplet has: without it nothing may say that they are the run's.
        quiet = 1 if is_known else len(LOOKS)
        if not fleet.clear(self.cloud, scope.tag, self.say, quiet, lambda: self._release(scope)):
            raise Problem("can't be deleted", where=f"droplets tagged {scope.tag}", hint=HINT)
        self._release(scope)
        for disk in self._volumes(scope):
            self.say(f"delete volume {disk.name}")
            if not waiting.until(lambda: volume.erase(self.cloud, disk), volume.LET_GO, self.cloud.clock.sleep):  # noqa: B023
                raise Problem("is attached still", where=f"volume {disk.name}", hint=HINT)
        for access in self._keys(scope):
            self.say(f"delete Spaces key {access.name}")
            self.cloud.delete(state_access.COLLECTION, access.id, f"Spaces key {access.name}")
        for wall in firewall.listed(self.cloud, scope.name):
            self.say(f"delete firewall {wall.name}")
            firewall.erase(self.cloud, wall)
        for key in ssh_key.listed(self.cloud, scope.name):
            self.say(f"delete ssh key {key.name}")
            ssh_key.erase(self.cloud, key)
        for network in self._vpcs(scope):
            self.say(f"delete vpc {network.name}")
            if not waiting.until(lambda: vpc.erase(self.cloud, network) or None, vpc.POLLS, self.cloud.clock.sleep):  # noqa: B023
                raise Problem("still counts members that are gone", where=f"vpc {network.name}", hint=HINT)
        trouble = self._empty(scope)
        if trouble is not None:
            raise Problem(trouble.message, where=trouble.where, hint=f"everything else is gone; {HINT}")
        for one in sorted(tag.listed(self.cloud, scope.tag), reverse=True):
            self.say(f"delete tag {one}")
            tag.erase(self.cloud, one)
        if left := self.lines(scope):
            raise Problem(f"is still there: {'; '.join(left)}", where=scope.tag, hint=HINT)

    def _lines(self, scope: Scope) -> Iterator[str]:
        yield from droplet.DROPLET.lines(fleet.listed(self.cloud, scope.tag))
        yield from firewall.FIREWALL.lines(firewall.listed(self.cloud, scope.name))
        yield from ssh_key.SSH_KEY.lines(ssh_key.listed(self.cloud, scope.name))
        yield from vpc.VPC.lines(self._vpcs(scope))
        yield from address.ADDRESS.lines(self._addresses(scope))
        yield from volume.VOLUME.lines(self._volumes(scope))
        yield from (f"key      {one.name}, for Spaces" for one in self._keys(scope))
        tags = tag.listed(self.cloud, scope.tag)
        for place in scope.places(tags):
            yield f"objects  below {scope.prefix} in bucket {place.bucket}" + (", and that" if place.is_made else "")
        yield from (f"tag      {one}" for one in sorted(tags))

    def _vpcs(self, scope: Scope) -> list[Vpc]:
        return [one for one in vpc.listed(self.cloud) if one.name == scope.name]

    def _release(self, scope: Scope) -> None:
        for one in self._addresses(scope):
            self.say(f"release address {one.ip}")
            address.release(self.cloud, one.ip)

    def _addresses(self, scope: Scope) -> list[ReservedIp]:
        """List those that its droplets have, and those that are noted as its own and that nobody has."""
        there = address.allowed(self.cloud, needed=False)
        own = {one.id for one in fleet.listed(self.cloud, scope.tag)} if there else set()
        noted = set(scope.addresses(tag.listed(self.cloud, scope.tag))) if there else set()
        return [one for one in there if one.droplet in own or (one.ip in noted and not self._is_held(one))]

    def _is_held(self, one: ReservedIp) -> bool:
        return one.droplet is not None and fleet.read(self.cloud, one.droplet) is not None

    def _volumes(self, scope: Scope) -> list[Volume]:
        """List its volumes; none where the token may not, which then made none."""
        try:
            return [one for one in volume.listed(self.cloud) if scope.has_volume(one.name)]
        except Refused as error:
            if error.status not in DENIED:
                raise
            return []

    def _keys(self, scope: Scope) -> tuple[SpacesKey, ...]:
        return state_access.listed(self.cloud, scope.name) or ()

    def _empty(self, scope: Scope) -> Problem | None:
        """Remove what lies in buckets; give the first trouble."""
        try:
            for place in scope.places(tag.listed(self.cloud, scope.tag)):
                spaces = Spaces(self.connection, bucket=place.bucket, region=place.region)
                if spaces.bucket_exists():
                    self._empty_place(spaces, scope, place)
        except (Trouble, bucket_policy.Unreadable) as trouble:
            return trouble if isinstance(trouble, Trouble) else Problem(f"the bucket's policy: {trouble}")
        return None

    def _empty_place(self, spaces: Spaces, scope: Scope, place: Place) -> None:
        for stored in spaces.objects(scope.prefix):
            self.say(f"delete object {stored.key} in bucket {place.bucket}")
            spaces.delete(stored.key)
        if place.is_made:
            self.say(f"delete bucket {place.bucket}")
            if not spaces.delete_bucket():
                self.say(f"warning: bucket {place.bucket} stays, something else is in it")
            return
        text, own = spaces.policy(), public_place(scope, place)
        if bucket_policy.own(text, own):
            self.say(f"withdraw the policy for {own.public} in bucket {place.bucket}")
            spaces.put_policy(bucket_policy.withdrawn(text, own))


def public_place(scope: Scope, place: Place) -> bucket_policy.Place:
    """Say below what of a bucket anybody is to read while the probe looks whether they can."""
    return bucket_policy.Place(place.bucket, scope.prefix, f"{scope.prefix}public")
