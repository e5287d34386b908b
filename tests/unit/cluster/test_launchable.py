"""A launch sends nothing that would end before the cluster serves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from generator.cli.main import run
from generator.cluster.launchable import prepare
from generator.errors import Problems
from generator.plan.project import Project


@pytest.mark.parametrize(
    ("hours", "said"), [(24 * 364, None), (24 * 365 - 1, "before a launch is through"), (24 * 365 + 1, "expired at")]
)
def test_what_ends_is_refused_in_time(
    hours: int, said: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["init", "--api", "8.8.8.8"]) == 0
    assert run(["render"]) == 0
    with pytest.raises(Problems) as caught:  # the order book's image has no digest
        prepare(Project.load(), now=datetime.now(UTC) + timedelta(hours=hours))
    told = [problem.message for problem in caught.value.problems if "digest" not in problem.message]
    assert bool(told) == bool(said)
    assert said is None or said in told[0]
