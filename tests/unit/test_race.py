"""The race's section is what was measured, its figures are medians and ratios, and its droplets are told one thing."""

from __future__ import annotations

import base64
import dataclasses
import gzip
import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

from generator.plan.decide import Plan
from generator.plan.project import Project
from generator.release import lock_file
from tests.race import addons, content, counters, course, kubeadm, picture, table, watch
from tests.race.table import Race, Run


def run(side: str, start: float, ready: float) -> Run:
    seconds = {"api": ready - 1, "ready": ready, "pods": ready + 2, "served": ready + 3}
    return Run(side, start, seconds, 100.0, 1 << 30)


RUNS = (
    run("kubeadm", 1, 91),
    run("hardway", 11, 41),
    run("kubeadm", 1, 61),
    run("hardway", 11, 31),
    run("kubeadm", 1, 71),
    run("hardway", 11, 51),
)
RACE = Race(3, "bridge", "mesh", "2 processors", "2026-11-28", RUNS)


def test_the_page_is_what_was_measured() -> None:
    text = table.PAGE.read_text()
    assert table.page(text, table.read()) == text
    assert table.PICTURE.read_text() == picture.drawing(table.read())


def test_both_sides_of_what_is_kept_ran_equally_often() -> None:
    for race in table.read():
        assert len(race.of("kubeadm")) == len(race.of("hardway")) > 0


def test_figures_are_medians_and_ratios_of_them() -> None:
    rows = {title: row for title, *row in table.cells(RACE)}
    assert rows["from the first machine's start: all Nodes Ready"] == [
        "70.0 s (60.0–90.0)",
        "30.0 s (20.0–40.0)",
        "2.33",
    ]
    assert rows["from the command: all Nodes Ready"] == ["71.0 s (61.0–91.0)", "41.0 s (31.0–51.0)", "1.73"]
    assert rows["fetched by all droplets"] == ["1,024 MiB (1,024–1,024)", "1,024 MiB (1,024–1,024)", "1.00"]


def test_one_side_alone_has_no_ratio() -> None:
    alone = dataclasses.replace(RACE, runs=RACE.of("hardway"))
    assert {row[-1] for row in table.cells(alone)} == {"–"}


def test_the_section_takes_its_own_place_and_leaves_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "FILE", tmp_path / "measured.json")
    monkeypatch.setattr(table, "PAGE", tmp_path / "page.md")
    table.keep(RACE)
    (tmp_path / "page.md").write_text((tmp_path / "page.md").read_text() + "\n## Scale\n\nOther words.\n")
    single = dataclasses.replace(RACE, nodes=1)
    table.keep(single)
    races = table.keep(dataclasses.replace(single, day="2026-11-29"))
    text = (tmp_path / "page.md").read_text()
    assert text.startswith("# Performance\n\n<!-- race")
    assert text.endswith("\n## Scale\n\nOther words.\n")
    assert text.count("## The race\n") == 1
    assert re.findall(r"^### (.*)$", text, re.MULTILINE) == ["3 nodes, `bridge`", "1 node, `bridge`"]
    assert "2026-11-29" in text
    assert races == table.read()


def test_the_picture_has_a_bar_a_milestone_and_side_and_a_dot_a_run() -> None:
    root = ElementTree.fromstring(picture.drawing([RACE]))
    space = "{http://www.w3.org/2000/svg}"
    bars = [
        one for one in root.iter(f"{space}rect") if one.get("fill") in (picture.COLOURS[side] for side in table.SIDES)
    ]
    assert len(bars) == len(table.MILESTONES) * 2
    assert len(list(root.iter(f"{space}circle"))) == len(table.MILESTONES) * len(RUNS)
    edge = float(str(root.get("width")))
    assert all(float(str(one.get("x"))) + float(str(one.get("width"))) < edge for one in bars)


def pod(name: str, ready: str) -> dict[str, object]:
    return {"metadata": {"name": name}, "status": {"conditions": [{"type": "Ready", "status": ready}]}}


def test_all_pods_are_ready_when_none_is_missing_and_none_is_not() -> None:
    pods = [pod("coredns-1", "True"), pod("etcd-node01", "True")]
    assert watch.unready(pods, {"coredns": 1}) == ""
    assert watch.unready(pods, {"coredns": 2}) == "1 of 2 coredns"
    assert watch.unready([*pods, pod("kube-proxy-1", "False")], {"coredns": 1}) == "kube-proxy-1"
    assert watch.unready([{"metadata": {"name": "new"}}], {}) == "new"


def test_only_what_droplets_were_sent_counts() -> None:
    lines = [
        {"client": "203.0.113.101", "host": "dl.k8s.io", "bytes": 5},
        {"client": "203.0.113.250", "host": "registry.k8s.io", "bytes": 7},
        {"client": "203.0.113.101", "host": "api.digitalocean.com", "bytes": 1000},
        {"client": "28.51.100.7", "host": "fra1.digitaloceanspaces.com", "bytes": 1000},
    ]
    assert counters.sent([*(json.dumps(line) + "\n" for line in lines), '{"client": "203.0']) == 12


@pytest.fixture(params=sorted(kubeadm.TREES))
def plan(request: pytest.FixtureRequest, tmp_path: Path) -> Plan:
    file = tmp_path / "cluster.yaml"
    file.write_text(course.DESCRIPTION.format(release="k8s-1.36", count=3, cni=request.param, datapath="mesh"))
    return Project.load(file).plan


def told(plan: Plan, tmp_path: Path, first: str | None) -> dict[str, str]:
    keys, rendered = tmp_path / "keys", tmp_path / "rendered"
    for path in ("addons/order-book/postgres/password", "order-book.crt", "order-book.key"):
        (keys / path).parent.mkdir(parents=True, exist_ok=True)
        (keys / path).write_text("something")
    joining = kubeadm.Secrets("abcdef.0123456789abcdef", "00" * 32)
    document = yaml.safe_load(kubeadm.user_data(plan, rendered, keys, joining, first))
    files = {one["path"]: one for one in document["write_files"]}
    return {path: gzip.decompress(base64.b64decode(one["content"])).decode() for path, one in files.items()}


@pytest.mark.parametrize("first", [None, "10.110.0.7"])
def test_nothing_is_left_open_but_what_a_node_knows(plan: Plan, tmp_path: Path, first: str | None) -> None:
    files = told(plan, tmp_path, first)
    left = {word for text in files.values() for word in re.findall(r"@[A-Z]+@", text)}
    assert left == {"@ADDRESS@", "@FIRST@", "@NAME@"} | ({"@SUBNET@"} if plan.network == "bridge" else set())
    assert ("/etc/race/join.yaml" in files, "/etc/race/addons.yaml" in files) == (first is not None, first is None)


def test_what_the_script_fetches_is_the_locks(plan: Plan, tmp_path: Path) -> None:
    named = re.findall(r"https://\S+?(?=['\s])", told(plan, tmp_path, None)["/etc/race/urls"])
    files = (*plan.release.artifacts, *plan.release.packages)
    known = {file.urls[0] for file in files}
    (beside,) = [url for url in named if url not in known]
    assert beside.endswith(f"/{plan.release.kubernetes}/bin/linux/amd64/kubeadm")
    assert len(named) == 6 + len(kubeadm.PACKAGES)


def test_the_source_of_kubeadm_is_that_of_the_release() -> None:
    release = lock_file.load("k8s-1.36", Path())
    recipe = content.recipe(release.kubernetes)
    assert recipe.own is not None
    assert f"k8s.io/kubernetes {release.kubernetes}\n" in (recipe.own / "go.mod").read_text()


def test_addons_find_the_first_nodes_api_and_kubeadms_dns() -> None:
    environment = [{"name": name, "value": "127.0.0.1"} for name in (*addons.DOOR, "OTHER")]
    containers = [{"name": "agent", "env": environment}, {"name": "bare"}]
    agent = {"kind": "DaemonSet", "spec": {"template": {"spec": {"containers": containers}}}}
    rules = [{"ports": [{"port": 5432}]}, {"ports": [{"port": 1053}, {"port": 1053}]}]
    policy = {"kind": "NetworkPolicy", "spec": {"egress": rules}}
    for one in (agent, policy):
        addons.adapt(one)
    assert [one["value"] for one in environment] == ["@FIRST@", "6443", "127.0.0.1"]
    assert [[port["port"] for port in rule["ports"]] for rule in rules] == [[5432], [53, 53]]


def test_an_administrator_is_read_from_a_kubeconfig() -> None:
    data = {name: base64.b64encode(name.encode()).decode() for name in ("a", "c", "k")}
    cluster = {"name": "x", "cluster": {"certificate-authority-data": data["a"]}}
    user = {"name": "x", "user": {"client-certificate-data": data["c"], "client-key-data": data["k"]}}
    text = yaml.safe_dump({"clusters": [cluster], "users": [user]})
    assert watch.Credentials.of_kubeconfig(text) == watch.Credentials(b"a", b"c", b"k")
