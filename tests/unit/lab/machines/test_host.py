"""Checks what the lab reads of its host and decides without making anything: cgroups, processes, directories."""

from __future__ import annotations

import os
import subprocess
import sys
from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path

import pytest

from generator.errors import Problem
from generator.lab.machines import cgroups, kernel, root
from generator.lab.machines.port import Port, network_data
from generator.lab.process import Process, namespace_pids, run, wait_until_gone
from generator.lab.state import State, lab_of, name_of, read_record, write_record

HYBRID = """\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:5 - cgroup cgroup rw,cpu,cpuacct
34 31 0:31 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
50 27 0:29 / /elsewhere/cpu rw,relatime - cgroup cgroup rw,cpu,cpuacct
"""
PURE = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"


def test_hybrid_hierarchies_are_read() -> None:
    found = {each.directory.name: each for each in cgroups.parse(HYBRID)}
    assert set(found) == {"cpu,cpuacct", "memory", "systemd", "unified"}
    assert found["cpu,cpuacct"].controllers == ("cpu", "cpuacct")
    assert found["systemd"].controllers == ("name=systemd",)
    assert [each.version for each in found.values()] == [1, 1, 1, 2]
    state = State("demo", Path("/labs"), Path("/cache"))
    assert found["memory"].lab(state) == Path("/sys/fs/cgroup/memory/hardway-lab/demo")


def test_unified_hierarchy_is_read() -> None:
    (found,) = cgroups.parse(PURE)
    assert (found.directory, found.version) == (Path("/sys/fs/cgroup"), 2)


def test_process_is_known_by_its_start() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        process = Process.find(child.pid)
        assert process is not None
        assert process.is_alive
        assert Process.from_record(process.to_record()) == process
        later = Process(child.pid, process.start_time + 1)
        assert not later.is_alive
        later.kill()
        assert process.is_alive
        process.kill()
        assert wait_until_gone([process], 10) == ()
        assert Process.find(child.pid) is None
        process.kill()


def test_own_namespaces() -> None:
    assert namespace_pids(os.getpid())[-1] == os.getpid()
    assert namespace_pids(2**22 + 1) == ()


def test_failed_command_says_its_last_words() -> None:
    with pytest.raises(Problem, match="failed: second"):
        run(["sh", "-c", "echo first >&2; echo second >&2; exit 3"])
    with pytest.raises(Problem, match="exit code 4"):
        run(["sh", "-c", "exit 4"])
    assert run(["cat"], text="said") == "said"


def test_hardware_addresses_differ_and_stay_local() -> None:
    ports = [
        Port.planned(number, IPv4Address("203.0.113.1"), IPv4Interface("10.0.0.1/24"), "fra1")
        for number in (1, 255, 256, 70000)
    ]
    addresses = [address for port in ports for address in (port.public_mac, port.vpc_mac)]
    assert len(set(addresses)) == len(addresses)
    # locally administered, one receiver
    assert all(int(address[:2], 16) & 3 == 2 for address in addresses)
    assert all(len(port.vpc_name) <= 15 for port in ports)


def test_port_survives_its_record() -> None:
    port = Port.planned(3, IPv4Address("203.0.113.103"), IPv4Interface("10.110.0.5/20"), "fra1")
    assert Port.from_record(port.to_record()) == port


def test_network_data_has_one_gateway_and_the_name_server_with_it() -> None:
    data = network_data(Port.planned(3, IPv4Address("203.0.113.103"), IPv4Interface("10.110.0.5/20"), "fra1"))
    public, anchor, private = data["networks"]
    assert public["gateway"] == "203.0.113.1"
    assert "gateway" not in private | anchor
    assert (anchor["link"], anchor["ip_address"], anchor["netmask"]) == ("eth0", "10.19.0.103", "255.255.0.0")
    assert private["netmask"] == "255.255.240.0"
    assert public["services"] == [{"type": "dns", "address": "203.0.113.53"}]
    assert {link["id"] for link in data["links"]} == {public["link"], private["link"]}


def test_modules_are_listed_as_the_kernel_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "_options", lambda: {"OVERLAY_FS": "y", "VXLAN": "m"})
    listed = kernel.builtin_list().splitlines()
    assert "kernel/fs/overlayfs/overlay.ko" in listed
    assert all(line.endswith(".ko") for line in listed)


def test_names_of_namespaces() -> None:
    state = State("a-b", Path("/labs"), Path("/cache"))
    made = (state.net_namespace, state.operator_namespace, state.droplet_namespace(1), state.droplet_namespace(12))
    assert made == ("hardway-a-b-net", "hardway-a-b-operator", "hardway-a-b-d1", "hardway-a-b-d12")
    assert all(map(state.owns, made))
    for other in ("a", "b", "a-b-d1", "a-b-net", "a-b-d1-net"):
        beside = State(other, Path("/labs"), Path("/cache"))
        assert not any(map(beside.owns, made))
        assert not any(map(state.owns, (beside.net_namespace, beside.droplet_namespace(1))))
    assert not any(map(lab_of, ("hardway", "hardway-net", "hardway-d1", "hardway-a-dx", "hardway-a-d", "cni-1234")))


def test_a_directory_has_a_lab_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HARDWAY_LAB", raising=False)
    names = set()
    for place in ("one/demo", "two/demo", "x" * 60, "-- Ümlaut --", "..."):
        (tmp_path / place).mkdir(parents=True)
        monkeypatch.chdir(tmp_path / place)
        state = State.named()
        assert state == State.named(state.name)
        names.add(state.name)
    assert len(names) == 5
    assert sum(name.startswith("demo-") for name in names) == 2
    (tmp_path / "link").symlink_to(tmp_path / "one/demo")
    assert name_of(tmp_path / "link") in names
    monkeypatch.setenv("HARDWAY_LAB", "chosen")
    assert State.named().name == "chosen"


@pytest.mark.parametrize("name", ["A", "a_b", "-a", "a-", "a--b", "../a", "a/b", "x" * 25, "a b"])
def test_what_can_not_be_a_labs_name_is_said(name: str) -> None:
    with pytest.raises(Problem, match="can't be a lab's name"):
        State.named(name)


def test_directory_of_others_is_not_claimed(tmp_path: Path) -> None:
    state = State("lab", tmp_path, tmp_path)
    assert not state.is_claimed
    state.claim()
    state.claim()
    assert state.is_claimed
    assert state.directory.stat().st_mode & 0o777 == 0o700
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").touch()
    with pytest.raises(Problem, match="is not empty and no lab's"):
        State("other", tmp_path, tmp_path).claim()
    with pytest.raises(Problem, match="colon"):
        State("lab", tmp_path / "a:b", tmp_path).claim()


def test_records(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "record.json"
    assert read_record(path) is None
    write_record(path, {"version": 1})
    assert read_record(path) == {"version": 1}
    assert path.stat().st_mode & 0o777 == 0o600


def test_recipe_names_its_root() -> None:
    recipe = root.Recipe()
    assert recipe.digest == root.Recipe().digest
    assert recipe.digest != root.Recipe(packages=(*recipe.packages, "nftables")).digest
    assert not {"nftables", "wireguard-tools", "haproxy", "iptables"} & set(recipe.packages)
