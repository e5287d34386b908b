"""What a launch leaves its operator with."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from generator.cluster import outputs
from generator.plan.serving import Given
from generator.provider.connection import Connection
from tests.keyring import planned

PLAN = replace(planned(), addons=("bridge", "coredns", "ingress", "order-book"))
AUTHORITY = Path("rendered/order book/ingress-ca.crt")
PUBLIC = ("28.51.100.9", "28.51.100.10")


def test_without_the_order_book_nothing_is_said_of_it() -> None:
    path = Path("keys/orderbook/admin.conf")
    found = outputs.facts(
        planned(), Connection("t", "k", "s"), address="1.2.3.4", public=("1.2.3.4",), path=path, authority=AUTHORITY
    )
    assert "url" not in found
    assert outputs.order_book_lines(found) == []


@pytest.mark.parametrize("proxy", [None, "http://127.0.0.1:8443"])
@pytest.mark.parametrize("given", [None, Given("tls.crt", "tls.key")])
def test_the_command_fits_the_way_there_and_who_is_believed(proxy: str | None, given: Given | None) -> None:
    connection = Connection("t", "k", "s", proxy=proxy)
    found = outputs.order_book(replace(PLAN, given=given), connection, PUBLIC, AUTHORITY)
    words = shlex.split(found["curl"])
    assert words[0] == "curl"
    assert words[-1] == found["url"] == "https://limit-order-book.local/ob"
    assert found["hosts"] == "28.51.100.9 limit-order-book.local"
    assert ("--cacert" in words) == (given is None)
    assert (str(AUTHORITY) in words) == (given is None)
    assert ("--resolve" in words) == (proxy is None)
    assert (proxy in words) == (proxy is not None)
    assert "http://limit" not in found["curl"]
    lines = outputs.order_book_lines(found)
    assert lines[0] == found["curl"]
    assert ("authorities that the browser believes" in lines[1]) == (given is None)
