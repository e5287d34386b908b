"""Boots one real machine: what it finds, how it is entered, what a power cut leaves, and that nothing stays behind."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from generator.documents.user_data import overdue
from generator.errors import Problem
from generator.lab.machines import cgroups, host, network, root
from generator.lab.machines.machine import ConfigDrive, Machine
from generator.lab.machines.port import Port
from generator.lab.process import Process
from generator.lab.state import State
from tests.lab.inside import cut_power_and_boot, execute, first_process
from tests.silent import Silent

PORT = Port.planned(7, IPv4Address("203.0.113.107"), IPv4Interface("10.110.0.12/20"), "fra1")
MEMORY_MIB = 2048
USER_DATA = f"""\
#cloud-config
bootcmd:
- [systemd-run, --no-block, --quiet, sh, -c, {json.dumps(overdue(1))}]
write_files:
- {{path: /etc/written, content: "by the document\\n", permissions: '0640'}}
runcmd:
- [sh, -c, "echo ran >> /root/runs"]
"""
VENDOR_DATA = "#cloud-config\nmanage_etc_hosts: true\n"


def certificate() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a lab's authority")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now - timedelta(hours=1), now + timedelta(1))
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


def until(probe: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not probe():
        assert time.monotonic() < end, "not in time"
        time.sleep(0.1)


def said(machine: Machine, *argv: str) -> str:
    done = execute(machine, argv, timeout_seconds=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def is_up(machine: Machine) -> bool:
    if first_process(machine) is None:
        return False
    return execute(machine, ["systemctl", "is-system-running"]).stdout.strip() in ("running", "degraded")


@pytest.fixture(scope="module")
def authority() -> bytes:
    return certificate()


@pytest.fixture(scope="module")
def machine(state: State, authority: bytes) -> Machine:
    """A machine that has come up."""
    base = root.build(state.cache, Silent())
    layer = root.layer(state, base, authority)
    network.create(state)
    network.add_vpc(state, IPv4Network("10.110.0.0/20"))
    drive = ConfigDrive({"uuid": "7", "hostname": "node01"}, USER_DATA, VENDOR_DATA)
    machine = Machine.create(state, PORT, MEMORY_MIB, base, layer, drive)
    assert not machine.is_running
    machine.boot()
    until(lambda: is_up(machine))
    return machine


def test_document_and_config_drive_arrive(machine: Machine) -> None:
    assert said(machine, "hostname") == "node01"
    assert said(machine, "cat", "/etc/written") == "by the document"
    assert said(machine, "stat", "-c", "%a", "/etc/written") == "640"
    assert said(machine, "cat", "/root/runs") == "ran"
    assert "manage_etc_hosts" in said(machine, "cat", "/etc/hosts")
    assert "DataSourceConfigDrive" in said(machine, "cloud-init", "status", "--long")


def test_everything_came_up(machine: Machine) -> None:
    assert said(machine, "systemctl", "--failed", "--no-legend", "--plain") == ""
    assert "Welcome to Debian GNU/Linux 13" in machine.console_log.read_text(errors="replace")


def test_a_boot_that_comes_to_nothing_is_told_on_the_console_alone(machine: Machine) -> None:
    """What a container's kernel logs and its host's terminals show is not the droplet's."""
    until(lambda: "hardway: nothing reports" in machine.console_log.read_text(errors="replace"))
    until(lambda: re.search(r"hardway: eth0.* UP ", machine.console_log.read_text(errors="replace")) is not None)
    text = machine.console_log.read_text(errors="replace")
    assert re.search(r"hardway: status: (running|done|not started)", text)
    assert "nothing reports" not in subprocess.run(["dmesg"], capture_output=True, text=True, check=False).stdout


def test_interfaces_are_as_planned(machine: Machine) -> None:
    addresses = said(machine, "ip", "-4", "-o", "address")
    assert "203.0.113.107/24" in addresses
    assert "10.110.0.12/20" in addresses
    assert "default via 203.0.113.1 dev eth0" in said(machine, "ip", "route")
    assert "203.0.113.53" in said(machine, "resolvectl", "dns", "eth0")
    assert "yes" in said(machine, "resolvectl", "default-route", "eth0")


def installed(root: Path) -> set[str]:
    """Name the packages of a root, from dpkg's own file."""
    status = (root / "var/lib/dpkg/status").read_text()
    found = set()
    for paragraph in status.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in paragraph.splitlines() if ": " in line and line[0] != " ")
        if fields.get("Status", "").endswith(" installed"):
            found.add(fields["Package"])
    return found


def test_base_root_brings_nothing_that_documents_ought_to(machine: Machine) -> None:
    commands = said(
        machine, "sh", "-c", "for c in nft wg haproxy containerd runc kubelet etcd; do command -v $c; done; :"
    )
    assert commands == ""
    assert said(machine, "sh", "-c", "command -v wireguard-go") == "/usr/bin/wireguard-go"
    found = installed(machine.root)
    assert not found & {"nftables", "libnftables1", "wireguard-tools", "haproxy", "iptables", "libnftnl11"}
    assert {"cloud-init", "ifupdown", "systemd-resolved", "ca-certificates", "curl", "unattended-upgrades"} <= found


def test_lab_authority_is_trusted(machine: Machine, authority: bytes) -> None:
    done = execute(machine, ["openssl", "verify"], text=authority.decode())
    assert "OK" in done.stdout, done.stderr
    assert authority.decode().strip() in said(machine, "cat", "/etc/ssl/certs/ca-certificates.crt")


def test_size_of_the_droplet_is_what_it_sees(machine: Machine) -> None:
    assert said(machine, "sh", "-c", "grep MemTotal /proc/meminfo").split()[1] == str(MEMORY_MIB << 10)
    limits = [
        int(path.read_text())
        for hierarchy in cgroups.hierarchies()
        for name in ("memory.limit_in_bytes", "memory.max")
        if (path := hierarchy.lab(machine.state) / machine.name / name).exists()
    ]
    assert limits == [MEMORY_MIB << 20]


def test_sysctls_of_the_host_are_out_of_reach(machine: Machine) -> None:
    keys = ("vm/overcommit_memory", "kernel/panic", "kernel/pid_max", "fs/inotify/max_user_instances")
    before = {key: Path("/proc/sys", key).read_text() for key in keys}
    for key in keys:
        value = str(int(before[key]) + 1) if key != "vm/overcommit_memory" else "1"
        assert value in said(machine, "sysctl", "-w", f"{key}={value}")
        assert said(machine, "sysctl", "-n", key) == value
    assert {key: Path("/proc/sys", key).read_text() for key in keys} == before
    assert execute(machine, ["sysctl", "-w", "vm.laptop_mode=1"]).returncode != 0
    said(machine, "sysctl", "-w", "net.ipv4.ip_forward=1")


def test_modules_are_what_the_kernel_has(machine: Machine) -> None:
    for name in ("overlay", "br_netfilter", "nf_conntrack"):
        said(machine, "modprobe", name)
    assert execute(machine, ["modprobe", "no_such_module"]).returncode != 0


def test_images_can_be_unpacked(machine: Machine) -> None:
    script = (
        "cd /var/lib/containerd && mkdir -p l u w m && mount -t overlay o -o lowerdir=l,upperdir=u,workdir=w m"
        " && touch m/file && umount m && test -e u/file && rm -r l u w m"
    )
    said(machine, "sh", "-euc", script)


def test_command_runs_in_the_machine_alone(machine: Machine) -> None:
    os.environ["HARDWAY_CANARY"] = "from the host"
    try:
        assert "HARDWAY_CANARY" not in said(machine, "env")
    finally:
        del os.environ["HARDWAY_CANARY"]
    assert execute(machine, ["cat"], text="through\n").stdout == "through\n"
    done = execute(machine, ["sh", "-c", "echo out; echo err >&2; exit 7"])
    assert (done.stdout, done.stderr, done.returncode) == ("out\n", "err\n", 7)
    assert ".service" in said(machine, "cat", "/proc/self/cgroup")


def test_power_cycle_keeps_disk_and_identity(machine: Machine) -> None:
    said(machine, "sh", "-c", "echo kept > /var/lib/kubelet/kept; echo kept > /root/kept; sync")
    said(machine, "ip", "address", "add", "192.0.2.1/32", "dev", "eth1")
    boot, identity = (said(machine, "cat", path) for path in ("/proc/sys/kernel/random/boot_id", "/etc/machine-id"))
    cut_power_and_boot(machine)
    until(lambda: is_up(machine))
    assert said(machine, "cat", "/proc/sys/kernel/random/boot_id") != boot
    assert said(machine, "cat", "/etc/machine-id") == identity
    assert said(machine, "cat", "/var/lib/kubelet/kept", "/root/kept").split() == ["kept", "kept"]
    assert said(machine, "cat", "/root/runs") == "ran"
    assert "192.0.2.1" not in said(machine, "ip", "-o", "address")
    assert said(machine, "systemctl", "--failed", "--no-legend", "--plain") == ""


def test_reboot_from_within_starts_anew(machine: Machine) -> None:
    first = first_process(machine)
    said(machine, "ip", "link", "add", "wg0", "type", "bridge")
    execute(machine, ["systemctl", "reboot"])
    until(lambda: first_process(machine) not in (None, first) and is_up(machine))
    links = said(machine, "ip", "-o", "link")
    assert "wg0" not in links
    assert "203.0.113.107" in said(machine, "ip", "-o", "address")
    assert said(machine, "systemctl", "--failed", "--no-legend", "--plain") == ""


def test_machine_is_found_again_by_its_records(state: State, machine: Machine) -> None:
    assert Machine.all(state) == (machine,)
    assert Machine.load(state, 7) == machine
    assert Machine.load(state, 8) is None
    pid = first_process(machine)
    assert pid is not None
    # in a session of its own, so that what ends the lab's daemon does not reach it
    assert os.getsid(pid) != os.getsid(0)
    with pytest.raises(Problem, match="is on already"):
        machine.boot()


def test_power_cut_ends_everything_at_once(state: State, machine: Machine) -> None:
    processes = cgroups.processes(machine.state, machine.name)
    assert len(processes) > 5
    begin = time.monotonic()
    machine.kill()
    assert time.monotonic() - begin < 5
    assert not any(process.is_alive for process in processes)
    assert not machine.is_running
    assert cgroups.groups(machine.state, machine.name) == ()
    assert machine.name not in state.namespaces
    machine.kill()
    with pytest.raises(Problem, match="is off"):
        execute(machine, ["true"])


def test_power_can_be_cut_when_the_supervisor_is_gone(machine: Machine) -> None:
    machine.boot()
    pid = first_process(machine)
    assert pid is not None
    until(lambda: Path(f"/proc/{pid}/comm").read_text() == "systemd\n")
    supervisor = next(
        process for process in cgroups.processes(machine.state, machine.name) if process.pid == _parent(pid)
    )
    os.kill(supervisor.pid, signal.SIGKILL)
    until(lambda: not supervisor.is_alive)
    assert machine.is_running
    machine.kill()
    assert not machine.is_running
    assert Process.find(pid) is None


def test_cleanup_removes_a_running_lab(state: State, machine: Machine) -> None:
    machine.boot()
    kinds = {leftover.kind for leftover in host.leftovers(state)}
    assert kinds >= {"process", "namespace", "cgroup", "file"}
    # what the fixture compares at the end is what is left now
    host.cleanup(state)
    assert host.leftovers(state) == ()
    assert not state.directory.exists()
    host.cleanup(state)


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
