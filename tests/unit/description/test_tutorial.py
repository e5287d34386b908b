"""What `gen init` writes is a description, from either template and with any address that somebody comes from."""

from __future__ import annotations

import re
from io import StringIO
from ipaddress import IPv4Network
from pathlib import Path

import pytest
import yaml

from generator.catalogue import NOBODYS
from generator.cli.main import run
from generator.description import tutorial
from generator.description.load import load
from generator.errors import Problems


@pytest.mark.parametrize(("template", "count"), [("tutorial", 3), ("single", 1)])
def test_each_template_is_right_and_renders(template: str, count: int, tmp_path: Path) -> None:
    directory = str(tmp_path)
    words = ["init", "--template", template, "--api", "8.8.8.8", "--api", "9.9.0.0/16", "--directory", directory]
    assert run(words) == 0
    spec = load(tmp_path / "cluster.yaml")
    assert [pool.count for pool in spec.pools] == [count]
    assert [str(one) for one in spec.access.api] == ["8.8.8.8/32", "9.9.0.0/16"]
    file = str(tmp_path / "cluster.yaml")
    assert (run(["check", "-f", file]), run(["render", "-f", file])) == (0, 0)


@pytest.mark.parametrize(
    ("answer", "api"),
    [("8.8.8.8\n", ["8.8.8.8/32"]), ("8.8.8.8, 9.9.0.0/16\n", ["8.8.8.8/32", "9.9.0.0/16"]), ("\n", [])],
)
def test_a_person_is_asked_for_the_address(
    answer: str, api: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = StringIO(answer)
    monkeypatch.setattr(asked, "isatty", lambda: True)
    monkeypatch.setattr("sys.stdin", asked)
    assert run(["init", "--directory", str(tmp_path)]) == 0
    written = yaml.safe_load((tmp_path / "cluster.yaml").read_text())
    assert written["access"]["api"] == api


def test_without_an_address_nothing_else_is_wrong(tmp_path: Path) -> None:
    tutorial.init(tmp_path, "orderbook", "k8s-1.36")
    with pytest.raises(Problems) as caught:
        load(tmp_path / "cluster.yaml")
    [problem] = caught.value.problems
    assert problem.message == "`access.api` is empty: nobody could reach the API"
    assert re.search(r"cluster\.yaml:\d+$", problem.where or "")


@pytest.mark.parametrize("network", sorted(map(str, NOBODYS)))
def test_an_address_that_nobody_comes_from_is_refused(network: str, tmp_path: Path) -> None:
    first = str(IPv4Network(network)[1])
    for text in {first, network}:
        if int(network.rpartition("/")[2]) < 8 and text == network:
            continue  # refused for its size
        with pytest.raises(Problems, match="nobody comes from there"):
            tutorial.init(tmp_path, "orderbook", "k8s-1.36", api=[text])
    assert not (tmp_path / "cluster.yaml").exists()


@pytest.mark.parametrize("text", ["here", "8.8.8", "8.8.8.8/33", "8.8.8.8/8", "::1", "0.0.0.0/0", ""])
def test_what_is_no_address_is_refused_and_nothing_written(text: str, tmp_path: Path) -> None:
    with pytest.raises(Problems):
        tutorial.init(tmp_path, "orderbook", "k8s-1.36", api=["8.8.8.8", text])
    assert list(tmp_path.iterdir()) == []
