"""What the command line changes of a running lab."""

from __future__ import annotations

import threading
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from generator.errors import Problems
from generator.lab.account.account import Account
from generator.lab.daemon import operations
from generator.lab.unkindness import Unkindness


def test_a_running_lab_becomes_as_unkind_as_said_and_stays_so_elsewhere() -> None:
    touched: list[bool] = []
    daemon: Any = SimpleNamespace(
        account=Account(Unkindness(seed=7)),
        api=SimpleNamespace(lock=threading.RLock()),
        touch=lambda: touched.append(True),
    )
    change = operations.table(daemon)["unkind"]
    assert change({"settings": ["read-lag=9", "shuffled_addresses=no"]}) == {}
    assert daemon.account.unkind == replace(Unkindness(seed=7), read_lag=9.0, shuffled_addresses=False)
    assert touched == [True]
    with pytest.raises(Problems):
        change({"settings": ["read_lag=-1"]})
