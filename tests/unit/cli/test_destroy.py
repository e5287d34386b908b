"""What `gen destroy` takes, and which cluster it means."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from generator.cli.destroy import _described, destroy
from generator.errors import Problem, Problems
from generator.provider.connection import Connection


def test_without_credentials_all_missing_ones_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("DIGITALOCEAN_TOKEN", "SPACES_ACCESS_KEY_ID", "SPACES_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(destroy, ["orderbook"])
    assert str(result.exception).count("is not set") == 3


def test_destroy_wants_the_right_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    connection = Connection("t", "k", "s", api_endpoint="https://127.0.0.1:1")
    for arguments in (["orderbook", "--yes", "other"], [], ["../etc"], ["Order"]):
        result = CliRunner().invoke(destroy, [*arguments, "--lab"], obj=lambda _: connection)
        assert isinstance(result.exception, Problem), arguments


def test_a_broken_description_is_passed_over_where_a_name_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("cluster.yaml").write_text("name: [")
    assert _described("orderbook", None) == ("orderbook", None)
    assert "warning: cluster.yaml is broken" in capsys.readouterr().err
    for name, file in ((None, None), ("orderbook", Path("cluster.yaml"))):
        with pytest.raises((Problem, Problems)):
            _described(name, file)
