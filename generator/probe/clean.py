"""Removes whatever runs of the probe have made, found by tags and names alone, and proves that it is gone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from generator import waiting
from generator.cluster import bucket_policy, fleet
from generator.cluster.kinds import droplet, firewall, ssh_key, tag, vpc
from generator.errors import Problem
from generator.probe.scope import Place, Scope, scopes
from generator.provider.connection import Connection
from generator.provider.digitalocean import Cloud
from generator.provider.resources import Vpc
from generator.provider.retry import LOOKS
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
        if not fleet.clear(self.cloud, scope.tag, self.say, 1 if is_known else len(LOOKS)):
            raise Problem("can't be deleted", where=f"droplets tagged {scope.tag}", hint=HINT)
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
        tags = tag.listed(self.cloud, scope.tag)
        for place in scope.places(tags):
            yield f"objects  below {scope.prefix} in bucket {place.bucket}" + (", and that" if place.is_made else "")
        yield from (f"tag      {one}" for one in sorted(tags))

    def _vpcs(self, scope: Scope) -> list[Vpc]:
        return [one for one in vpc.listed(self.cloud) if one.name == scope.name]

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
