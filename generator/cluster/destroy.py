"""Removes all that a launch made, found by the token and the cluster's name alone, and proves that it is gone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from generator import waiting
from generator.catalogue import SPACES_MONTHLY
from generator.clock import Clock
from generator.cluster.kinds.address import ADDRESS
from generator.cluster.kinds.kind import Kind, Removal
from generator.cluster.kinds.registry import KINDS, REMOVAL_ORDER
from generator.cluster.kinds.volume import VOLUME
from generator.cluster.launch_lock import LaunchLock
from generator.errors import Problem, Problems, raise_all
from generator.plan import names
from generator.provider.connection import Connection
from generator.provider.digitalocean import Cloud
from generator.provider.retry import LOOKS
from generator.provider.spaces import Spaces, Trouble

Remains = Mapping[Kind[Any], Sequence[Any]]
"""What is there of a cluster, by its kind."""


class Destroyer:
    """Finds and removes one cluster.

    The bucket is the one given, as name and region, else the one that the VPC's description names: then objects in it
    stay unless something there shows that they are the cluster's, or the user vouches for it. Where the cluster's id
    is known, no other cluster of its name is touched.
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
        vouched_bucket: str | None = None,
        volumes: bool = False,
        addresses: Sequence[str] = (),
        operator_public_key: str | None = None,
    ) -> None:
        def open_bucket(name: str, region: str) -> Spaces:
            return Spaces(connection, bucket=name, region=region)

        spaces = open_bucket(*bucket) if bucket else None
        cloud = Cloud(connection, clock)
        self._removal = Removal(cluster, cloud, clock, say, open_bucket, spaces, cluster_id)
        self._removal.vouched_bucket = vouched_bucket
        self._removal.volumes = volumes
        self._removal.addresses = frozenset(addresses)
        self._removal.operator_public_key = operator_public_key

    @property
    def trouble(self) -> Trouble | None:
        """Give what was wrong with Spaces first; everything else goes nevertheless."""
        return self._removal.trouble

    @property
    def left(self) -> tuple[str, ...]:
        """Tell what of the cluster, or made for it, can't be removed, and why."""
        return tuple(self._removal.left)

    def find(self) -> Remains:
        """List everything that carries the cluster's tag or name.

        Raises:
            Problem: the name is another cluster's.
        """
        return {kind: kind.remains(self._removal) for kind in KINDS}

    def end_bucket(self, *, delete: bool) -> str | None:
        """Say what becomes of the bucket, which is not the cluster's alone, and delete it if it is empty and wished.

        Gives None where there is none, or none that is known.
        """
        spaces = self._removal.spaces
        with self._removal.noting_trouble():
            if self._removal.trouble or spaces is None or not spaces.bucket_exists():
                return None
            # A description that others write may name any bucket.
            delete = delete and self._removal.owns(())
            if delete and spaces.delete_bucket():
                return f"bucket {spaces.bucket} was empty and is deleted; its name stays taken for some days"
            costs = f"all buckets of an account cost ${SPACES_MONTHLY} a month"
            if delete:
                return f"bucket {spaces.bucket} stays, as it holds other objects; {costs}"
            return f"bucket {spaces.bucket} stays; {costs}, `--delete-bucket` deletes it if it is empty"
        return None

    @property
    def is_sure(self) -> bool:
        """Tell whether the reserved addresses that stay are others': where no roster could be read they may be ours."""
        return self._removal.is_sure

    def vouch(self, bucket: str) -> None:
        """Take the user's word that this bucket, which the VPC's description names, is the cluster's."""
        self._removal.vouched_bucket = bucket

    def staying(self, remains: Remains) -> tuple[str, ...]:
        """Show what will stay, as nothing shows that it is the cluster's."""
        return tuple(
            line
            for kind, one in remains.items()
            if kind.stays(one, self._removal) and kind is not VOLUME
            for line in kind.lines(one)
        )

    def strangers(self, remains: Remains) -> tuple[str, ...]:
        """Show the reserved addresses that stay, and why.

        Raises:
            Problems: the user names some of them that another machine has.
        """
        going, staying = {one.ip for one in remains[ADDRESS]}, self._removal.strangers
        named = sorted(self._removal.addresses)
        hint = "`--address` takes a reserved address that is at no droplet, or at one of this cluster"
        raise_all(Problem(staying[one], where=f"address {one}", hint=hint) for one in named if one in staying)
        for one in named:
            if one not in going:
                self._removal.say(f"address {one} is none of this account, or is given back already")
        return tuple(f"address  {ip}: {why}" for ip, why in sorted(staying.items()))

    def split(self, remains: Remains) -> tuple[Remains, tuple[str, ...]]:
        """Give what goes, and show the volumes that are kept with their data."""
        if not VOLUME.stays((), self._removal):
            return remains, ()
        return {kind: one for kind, one in remains.items() if kind is not VOLUME}, tuple(VOLUME.lines(remains[VOLUME]))

    def destroy(self, remains: Remains) -> None:
        """Remove what was found, and look again.

        Raises:
            Problem: something is still there.
            Problems: Spaces were in trouble; everything else is gone.
        """
        removal = self._removal
        with ExitStack() as stack:
            stack.enter_context(removal.noting_trouble())
            self._lock(stack)
            for kind in REMOVAL_ORDER:
                if not kind.goes_last:
                    kind.remove(remains[kind], removal)
        # What tells where the rest is goes when the rest is gone, the launch lock included.
        for kind in REMOVAL_ORDER:
            if kind.goes_last and not kind.stays(remains[kind], removal):
                kind.remove(remains[kind], removal)
        self._prove()
        if removal.trouble:
            self._admit(removal.trouble)

    def _lock(self, stack: ExitStack) -> None:
        """Take the launch lock, if Spaces answer; without them there is none to be had, and none to be respected."""
        removal = self._removal
        with removal.noting_trouble():
            # Nothing is written into a bucket that may be another's.
            if removal.trouble or removal.spaces is None or not removal.owns(removal.objects or ()):
                return
            if removal.spaces.bucket_exists():
                lock = stack.enter_context(LaunchLock(removal.spaces, removal.cluster, removal.clock, removal.say))

                def keep() -> None:
                    with removal.noting_trouble():
                        lock.keep()

                removal.keep_lock = keep

    def _admit(self, trouble: Trouble) -> None:
        removal = self._removal
        left = f"objects below {names.prefix(removal.cluster)} are left, if there were any"
        hint = f"`gen destroy {removal.cluster}` once Spaces answer, or delete them yourself"
        if removal.lacks_its_bucket:
            left += f"; so is the vpc {removal.name}, which costs nothing and names the bucket"
        bucket = removal.spaces.bucket if removal.spaces else ""
        raise Problems([trouble, Problem(left, where=f"bucket {bucket}", hint=hint)])

    def _prove(self) -> None:
        """Look again at everything, but for what is kept; lists may show what is gone for some seconds."""

        def is_gone() -> bool | None:
            return None if self._left() else True

        if not waiting.until(is_gone, LOOKS, self._removal.clock.sleep) and (left := self._left()):
            raise Problem(
                f"still there: {'; '.join(left)}", where=self._removal.cluster, hint="destroy again, it goes on"
            )

    def _left(self) -> tuple[str, ...]:
        found = self.find()
        return lines({kind: one for kind, one in found.items() if not kind.stays(one, self._removal)})


def lines(remains: Remains) -> tuple[str, ...]:
    """Show what is there, in the order in which it goes."""
    return tuple(line for kind in REMOVAL_ORDER if kind in remains for line in kind.lines(remains[kind]))
