"""What a launch leaves its operator with."""

from __future__ import annotations

from pathlib import Path

from generator.cluster import outputs
from generator.provider.connection import Connection
from tests.keyring import planned


def test_the_lines_to_copy_fit_the_way_there() -> None:
    plan, path = planned(), Path("keys/orderbook/admin.conf")
    assert "url" not in outputs.facts(
        plan, Connection("t", "k", "s"), address="1.2.3.4", public=("1.2.3.4",), path=path
    )
