"""Deletes a certificate and its key, so that others are made in their place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from generator.errors import Problem, raise_all
from generator.pki import check as key_check
from generator.pki import private_directory, store
from generator.plan.decide import Plan
from generator.plan.inventory import Inventory


@contextmanager
def retiring(store_path: Path, plan: Plan, rest: Inventory, path: str, *, now: datetime) -> Iterator[None]:
    """See that a certificate can be made anew, let its row go, and then delete it and its key.

    Args:
        store_path: where they lie.
        plan: has the certificate.
        rest: the inventory without its row.
        path: which it is.
        now: what has expired by then keeps another from being made.

    Raises:
        Problem: the authority's key is not here.
        Problems: the store is not what the inventory tells of, or would not be completed.
    """
    row = next(row for row in plan.certificates if row.path == path)
    own = {f"{path}.crt", f"{path}.key"}
    names = key_check.names(plan)
    raise_all(store.openness(store_path, names, plan))
    with private_directory.held(store_path):
        files = {name: content for name, content in store.contents(store_path, names).items() if name not in own}
        raise_all(_obstacles(store_path, plan, rest, files, now))
        authority = f"{row.signer}.key"
        if authority not in files:
            hint = "bring it here from where it is kept, for as long as this takes"
            message = f"is not here, and `{path}` has to be signed with it"
            raise Problem(message, where=str(store_path / authority), hint=hint)
        yield
        for name in sorted(own):
            (store_path / name).unlink(missing_ok=True)
        private_directory.settle(store_path)


def _obstacles(
    store_path: Path, plan: Plan, rest: Inventory, files: Mapping[str, bytes], now: datetime
) -> Iterator[Problem]:
    """Find what would keep a store from being completed of which no more than `files` is left, as `rest` lists it.

    Another certificate that can be made anew may have expired: it is made anew in its turn.
    """
    ageless = [row.path for row in plan.certificates if row.is_rotated]
    check = key_check.Check(store_path, plan, rest, files, now, ageless)
    yield from store.misplaced(store_path, plan, now)
    yield from store.strangers(store_path, store.read_id(store_path), plan, rest)
    yield from check.lost()
    yield from check.faults()
