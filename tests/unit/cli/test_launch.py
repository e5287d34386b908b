from __future__ import annotations

import io
import signal
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from generator.cli.launch import _ask, _described, _end_on_signal, destroy, launch
from generator.cluster import outputs
from generator.errors import Problem, Problems
from generator.provider.connection import Access
from generator.provider.ssh_key import fingerprint, throw_away
from tests.keyring import planned


@pytest.mark.parametrize("value", ["4m", "121m", "3h", "0", "2", "2 h", "-1h", "1d", "10s", "٣h"])
def test_a_lifetime_out_of_bounds_is_wrong_usage(value: str) -> None:
    result = CliRunner().invoke(launch, ["--url-lifetime", value])
    assert result.exit_code == 2
    assert "between 5m and 2h" in result.output or "no duration" in result.output


def test_without_credentials_all_missing_ones_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("DIGITALOCEAN_TOKEN", "SPACES_ACCESS_KEY_ID", "SPACES_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(destroy, ["orderbook"])
    assert str(result.exception).count("is not set") == 3


def test_destroy_wants_the_right_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    access = Access("t", "k", "s", api_endpoint="https://127.0.0.1:1")
    for arguments in (["orderbook", "--yes", "other"], [], ["../etc"], ["Order"]):
        result = CliRunner().invoke(destroy, [*arguments, "--lab"], obj=lambda: access)
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


@pytest.mark.parametrize("answer", ["n\n", "\n"])
def test_no_is_an_answer(answer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("sys.stdin", Terminal(answer))
    with pytest.raises(Problem, match="nothing was made"):
        _ask(yes=False, question="Launch?")
    monkeypatch.setattr("sys.stdin", Terminal("y\n"))
    _ask(yes=False, question="Launch?")


def test_a_background_job_can_be_ended() -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        _end_on_signal()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_the_lines_to_copy_fit_the_way_there() -> None:
    plan, path = planned(), Path("keys/orderbook/admin.conf")
    assert "url" not in outputs.facts(plan, Access("t", "k", "s"), address="1.2.3.4", public=("1.2.3.4",), path=path)


def test_nobody_has_the_other_half_of_the_key() -> None:
    one, other = throw_away(), throw_away()
    assert one != other
    assert one.line.startswith("ssh-ed25519 AAAA")
    # ssh-keygen -l -E md5
    line = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPmLHXRkbGrg8K9TkN4CgWFrIpuoA8JZ1hYYvzxCvzQ5 x"
    assert len(fingerprint(line)) == 47
    assert fingerprint(one.line) == one.fingerprint


def test_a_lifetime_is_read() -> None:
    from generator.cli.launch import LONGEST_URL, SHORTEST_URL, Duration

    bounds = Duration(SHORTEST_URL, LONGEST_URL)
    assert bounds.convert("90m", None, None) == timedelta(minutes=90)
    assert bounds.convert("2h", None, None) == LONGEST_URL
