"""Who leads, asked of a real etcd as a node asks it."""

from __future__ import annotations

from pathlib import Path

import pytest

from generator.plan.project import Project
from tests.contract import keeper

from hardway import fetch, turn  # isort: skip - the keeper says where the agent is


def test_the_only_member_leads(rendered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with keeper.keeping(tmp_path, Project.load(rendered / "cluster.yaml"), keeper.tools(tmp_path), monkeypatch) as node:
        monkeypatch.setattr(turn, "STATUS", f"https://127.0.0.1:{node.port}/v3/maintenance/status")
        assert turn.leads()
        told = fetch.ask

        def another(*words: object, **named: object) -> object:
            status, text, headers = told(*words, **named)  # type: ignore[arg-type]
            return status, text.replace(b'"leader":"', b'"leader":"1'), headers

        monkeypatch.setattr(fetch, "ask", another)
        assert not turn.leads(), "another member leads"
