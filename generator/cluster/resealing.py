"""Seals what was opened on this machine anew, for one node and for as long as that needs to fetch it."""

from __future__ import annotations

import hashlib
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path

from generator.cluster.channel import Channel
from generator.cluster.launch_part import Resealed
from generator.errors import Problem
from generator.plan import names
from generator.plan.decide import Plan
from generator.provider.connection import Connection
from generator.provider.spaces import LONGEST_URL, Spaces
from generator.provider.visitor import Visitor


def reseal(plain: Path, plan: Plan, connection: Connection, plain_sha256: str) -> Resealed:
    """Seal a file to an identity of its own, and put it where whoever has the address finds it.

    The identity is kept nowhere: it travels to the one node that is meant, and the object goes when that has it.
    """
    import pyrage

    spaces = Spaces(connection, bucket=plan.spaces_bucket, region=plan.spaces_region)
    identity = pyrage.x25519.Identity.generate()
    place = names.resealed_key(plan.name, plain_sha256, secrets.token_hex(16))
    with tempfile.TemporaryDirectory(prefix="hardway-") as directory:
        sealed = Path(directory, "sealed")
        pyrage.encrypt_file(str(plain), str(sealed), [identity.to_public()])
        with sealed.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        size = sealed.stat().st_size
        Visitor(connection).upload(spaces.presign_put(place, LONGEST_URL), sealed)
    return Resealed(spaces.presign_get(place, LONGEST_URL), digest, f"{identity}\n", plain_sha256, size)


def is_left(plan: Plan, spaces: Spaces, plain_sha256: str, now: datetime) -> bool:
    """Tell whether something was sealed anew that nobody has forgotten yet, and that a node could still fetch."""
    start = names.resealed_key(plan.name, plain_sha256, "").removesuffix(".age")
    return any(now - one.modified < LONGEST_URL for one in spaces.objects(start))


def forget(plan: Plan, spaces: Spaces) -> None:
    """Delete all that was sealed anew."""
    for one in spaces.objects(names.resealed_prefix(plan.name)):
        spaces.delete(one.key)


@contextmanager
def resealed(plain: Path, plan: Plan, connection: Connection, plain_sha256: str) -> Iterator[Resealed]:
    """Seal a file anew while the context lasts."""
    spaces = Spaces(connection, bucket=plan.spaces_bucket, region=plan.spaces_region)
    try:
        yield reseal(plain, plan, connection, plain_sha256)
    finally:
        forget(plan, spaces)


def ask(channel: Channel, plan: Plan, given: Resealed, patience: timedelta) -> str:
    """Have a control-plane node bring a dump into the database, and name the node.

    Raises:
        Problem: it could not, or says nothing; then the database is what it was. Or the application is not back.
    """
    node = plan.control_planes[0].name
    views = channel.ask("etcd", [one.name for one in plan.control_planes], {}, patience=timedelta(seconds=45))
    node = next(iter(views), node)
    answer = channel.ask("restore-database", [node], asdict(given), patience=patience).get(node)
    if answer is None or answer.result is None:
        why = answer.message if answer else f"it did not answer within {patience.total_seconds():.0f} s"
        hint = f"`gen logs {node} hardway-channel` shows what it does; a dump comes back whole or not at all"
        raise Problem(f"could not bring the dump: {why}", where=node, hint=hint)
    if not answer.result.get("is_started"):
        hint = "the node that leads etcd starts it within the hour, once the API takes that"
        raise Problem("the database is the dump's, but the application does not start again", where=node, hint=hint)
    return node
