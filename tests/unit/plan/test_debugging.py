"""Who debugs, and until when: the last day is the day that is named, and what is said of it is true on that day."""

from __future__ import annotations

from datetime import date
from ipaddress import ip_network

import pytest

from generator.plan.debugging import Debugging
from tests.keyring import DEBUG_UNTIL, planned

DEBUG = Debugging(("anna", "ben"), date(2026, 12, 31))
NETWORKS = (ip_network("28.51.100.7/32"), ip_network("28.113.2.0/24"))


def test_it_is_over_on_the_day_after() -> None:
    assert DEBUG.over == date(2027, 1, 1)


@pytest.mark.parametrize("day", [date(2026, 12, 1), date(2026, 12, 31)])
def test_it_is_said_who_gets_in_from_where_and_until_when(day: date) -> None:
    assert DEBUG.warning(day, NETWORKS) == (
        "`debug` is set: until 2026-12-31, who holds `anna`, `ben` logs in as root on every node, from 28.51.100.7/32,"
        " 28.113.2.0/24"
    )


def test_it_is_said_that_the_day_has_passed() -> None:
    said = DEBUG.warning(DEBUG.over, NETWORKS)
    assert said == "`debug.until` (2026-12-31) has passed: sshd has ended on every node, and no launch is possible"


def test_the_plan_has_it_where_the_description_has() -> None:
    assert planned().debug is None
    assert planned(debug="anna").debug == Debugging(("anna",), DEBUG_UNTIL)
