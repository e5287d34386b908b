"""Shows what droplets can be made of: the distributions' images, and the account's own snapshots."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from generator.lab.account import offers, snapshots
from generator.lab.account.account import Account, not_found


def shown(account: Account, query: Mapping[str, str], now: float) -> list[dict[str, Any]]:
    """List all of them, the account's own alone (`private`), or the distributions' (`type`)."""
    own = [snapshots.shape(one) for one in snapshots.listed(account, now)]
    if query.get("private", "").lower() == "true":
        return own
    return [*(image.shape() for image in offers.IMAGES.values()), *(own if "type" not in query else ())]


def shape(account: Account, key: str, now: float) -> dict[str, Any]:
    """Give one by its number, or by its slug where it has one; or answer 404."""
    if (image := offers.image(key)) is not None:
        return image.shape()
    if (own := snapshots.find(account, key, now)) is not None:
        return snapshots.shape(own)
    raise not_found()
