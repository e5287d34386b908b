"""The daemon serves all hosts inside the lab, keeps machines as the account says, and comes back after a kill."""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import urllib3

from generator.errors import Problem
from generator.lab import bringup
from generator.lab.connection import connection
from generator.lab.content import images
from generator.lab.content.archive import Member
from generator.lab.content.cache import Cache
from generator.lab.content.images import Settings as ImageSettings
from generator.lab.daemon import control
from generator.lab.display import Display
from generator.lab.machines import host, netns, root
from generator.lab.machines.machine import Machine
from generator.lab.process import Process, wait_until_gone
from generator.lab.settings import Settings
from generator.lab.state import DNS_ADDRESS, State
from generator.lab.unkindness import KIND
from generator.provider.connection import Connection
from tests.contract.test_lab_front import tool
from tests.e2e.harness import until
from tests.lab.inside import execute
from tests.silent import Silent

URL = "https://dl.k8s.io/release/v1.36.4/bin/linux/amd64/kubelet"
HOSTS = ("dl.k8s.io", "docker.io")


@pytest.fixture(scope="module")
def lab(state: State, tmp_path_factory: pytest.TempPathFactory) -> Iterator[State]:
    """A lab that serves one file and one image, brought up as `gen lab up` does."""
    directory = tmp_path_factory.mktemp("content")
    (directory / "kubelet").write_bytes(b"kubelet" * 1000)
    cache = Cache(directory / "cache")
    image = images.make(cache, "x", [Member("x", directory / "kubelet")], ImageSettings(["/x"], "65532:65532"))
    images.lay_out(cache, directory / "docker.io", "library/x", "1", image)
    state.claim()
    Settings(
        release="small",
        hosts=HOSTS,
        files={URL: directory / "kubelet"},
        registries={"docker.io": directory / "docker.io"},
        tools={name: tool(name) for name in ("versitygw", "registry")},
        root=root.build(state.cache, Silent()),
        regions=("fra1",),
        unkind=KIND,
    ).write(state)
    start(state)
    yield state
    process = bringup.daemon(state)
    assert process is not None
    process.kill(signal.SIGTERM)
    assert wait_until_gone([process], 20) == ()


def start(state: State) -> None:
    with Display() as display:
        bringup._start(state)
        bringup._await(state, display)


def http(state: State) -> tuple[urllib3.ProxyManager, Connection]:
    found = connection(state)
    assert found.proxy is not None
    return urllib3.ProxyManager(found.proxy, ca_certs=str(found.ca_file), retries=False, timeout=10), found


def api(state: State, method: str, path: str, body: Any = None) -> Any:
    manager, found = http(state)
    headers = {"Authorization": f"Bearer {found.token}"}
    answer = manager.request(method, f"https://api.digitalocean.com{path}", json=body, headers=headers)
    return json.loads(answer.data) if answer.data else {"status": answer.status}


def ask_for_name(state: State, name: str, kind: int = 1) -> tuple[int, str | None]:
    """Ask the lab's name server from the operator's place: result code and address."""
    question = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"
    found: list[bytes] = []

    def work() -> None:
        netns.enter(state.operator_namespace)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(5)
            packet = struct.pack(">HHHHHH", 7, 0x100, 1, 0, 0, 0) + question + struct.pack(">HH", kind, 1)
            client.sendto(packet, (str(DNS_ADDRESS), 53))
            found.append(client.recv(512))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    flags, _, answers = struct.unpack(">HHH", found[0][2:8])
    return flags & 15, socket.inet_ntoa(found[0][-4:]) if answers else None


def test_every_host_answers_under_its_name(lab: State) -> None:
    manager, _ = http(lab)
    assert api(lab, "GET", "/v2/account")["account"]["status"] == "active"
    assert manager.request("GET", URL, redirect=True, retries=3).data == b"kubelet" * 1000
    assert manager.request("GET", "https://registry-1.docker.io/v2/").status == 401
    assert manager.request("GET", "https://fra1.digitaloceanspaces.com/none/none").status in (403, 404)
    with pytest.raises(urllib3.exceptions.HTTPError, match="403"):
        manager.request("GET", "https://example.com/")


def test_names_are_those_of_the_lock_and_nothing_else(lab: State) -> None:
    for name in ("dl.k8s.io", "api.digitalocean.com", "fra1.digitaloceanspaces.com", "b.fra1.digitaloceanspaces.com"):
        assert ask_for_name(lab, name) == (0, "203.0.113.10"), name
    assert ask_for_name(lab, "dl.k8s.io", kind=28) == (0, None)
    assert ask_for_name(lab, "fra1.digitaloceanspaces.com", kind=28) == (0, None)
    for name in ("example.com", "x.dl.k8s.io", "localhost", "docker.org"):
        assert ask_for_name(lab, name) == (3, None), name


@pytest.mark.parametrize(
    ("service", "url"),
    [
        ("api", "https://api.digitalocean.com/v2/account"),
        ("spaces", "https://fra1.digitaloceanspaces.com/none/none"),
        ("registry", "https://registry-1.docker.io/v2/"),
        ("downloads", URL),
    ],
)
def test_each_service_can_be_stopped_and_started(lab: State, service: str, url: str) -> None:
    manager, _ = http(lab)
    before = manager.request("GET", url).status
    control.call(lab, "switch", service=service, on=False)
    assert control.call(lab, "status")["services"][service] == "stopped"
    assert manager.request("GET", url).status >= 500
    control.call(lab, "switch", service=service, on=True)
    assert manager.request("GET", url).status == before


def test_a_service_that_dies_is_started_again(lab: State) -> None:
    daemon = bringup.daemon(lab)
    assert daemon is not None
    [victim] = [pid for pid in children(daemon) if b"versitygw" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    os.kill(victim, signal.SIGKILL)
    manager, _ = http(lab)
    url = "https://fra1.digitaloceanspaces.com/none/none"
    until("Spaces again", lambda: manager.request("GET", url).status < 500, 15)


def test_a_droplet_of_the_api_is_a_machine(lab: State) -> None:
    order = {
        "name": "n1",
        "region": "fra1",
        "size": "s-1vcpu-1gb",
        "image": "debian-13-x64",
        "user_data": "#!/bin/true\n",
    }
    number = api(lab, "POST", "/v2/droplets", order)["droplet"]["id"]
    until("the machine", lambda: droplet(lab)["running"], 30)
    machine = Machine.load(lab, number)
    assert machine is not None
    until("its first boot", lambda: execute(machine, ["cloud-init", "status", "--wait"]).returncode == 0, 60)
    assert execute(machine, ["hostname"]).stdout.strip() == "n1"
    told = execute(
        machine, ["curl", "-sS", "http://169.254.169.254/metadata/v1/interfaces/public/0/ipv4/address"]
    ).stdout
    assert told == droplet(lab)["public"]
    assert execute(machine, ["curl", "-sSL", "-o", "/k", URL]).returncode == 0
    first = boot_id(machine)
    control.call(lab, "power-cycle", numbers=[number])
    until("the second boot", lambda: boot_id(machine) not in ("", first), 30)
    assert execute(machine, ["test", "-e", "/k"]).returncode == 0, "the disk is the same"


def test_a_killed_daemon_takes_the_services_along_and_another_goes_on(lab: State) -> None:
    daemon = bringup.daemon(lab)
    assert daemon is not None
    before = droplet(lab)
    machine = Machine.load(lab, before["id"])
    assert machine is not None
    boot, services = boot_id(machine), [Process.find(pid) for pid in children(daemon)]
    assert len(services) == 4
    daemon.kill()
    assert wait_until_gone([process for process in services if process is not None], 10) == ()
    with pytest.raises(Problem, match="is not up"):
        control.call(lab, "status")
    assert machine.is_running
    start(lab)
    assert droplet(lab) == before
    assert boot_id(machine) == boot
    assert api(lab, "DELETE", f"/v2/droplets/{before['id']}")["status"] == 204
    until("the machine gone", lambda: Machine.load(lab, before["id"]) is None, 30)
    assert control.call(lab, "status")["droplets"] == []


def test_a_volume_outlives_its_droplets(lab: State) -> None:
    """Its disk is there after a power cut, it comes with the next droplet as it was left, and grows under a machine."""
    volume = api(lab, "POST", "/v2/volumes", {"name": "a-data", "region": "fra1", "size_gigabytes": 1})["volume"]
    order = {"name": "n1", "region": "fra1", "size": "s-1vcpu-1gb", "image": "debian-13-x64", "volumes": [volume["id"]]}
    disk = "/dev/disk/by-id/scsi-0DO_Volume_a-data"

    def made() -> Machine:
        number = api(lab, "POST", "/v2/droplets", order)["droplet"]["id"]
        until("the machine", lambda: droplet(lab)["running"], 30)
        machine = Machine.load(lab, number)
        assert machine is not None
        until("its disk", lambda: execute(machine, ["test", "-b", disk]).returncode == 0, 30)
        return machine

    def inside(machine: Machine, command: str) -> str:
        done = execute(machine, ["sh", "-ec", command], timeout_seconds=60)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    one = made()
    assert inside(one, f"lsblk --nodeps --noheadings --bytes --output SIZE {disk}") == str(1 << 30)
    inside(one, f"mkfs.ext4 -q {disk}; mount {disk} /mnt; echo kept > /mnt/file; sync")
    first = boot_id(one)
    control.call(lab, "power-cycle", numbers=[one.number])
    until("the second boot", lambda: boot_id(one) not in ("", first), 30)
    until("its disk", lambda: execute(one, ["test", "-b", disk]).returncode == 0, 30)
    assert inside(one, f"mount {disk} /mnt; cat /mnt/file") == "kept"
    assert api(lab, "DELETE", f"/v2/volumes/{volume['id']}")["id"] == "conflict"
    assert api(lab, "POST", f"/v2/volumes/{volume['id']}/actions", {"type": "resize", "size_gigabytes": 2})["action"]
    until("its new size", lambda: inside(one, f"blockdev --getsize64 {disk}") == str(2 << 30), 15)
    assert inside(one, f"resize2fs {disk} 2>&1 | tail -1; df --output=size -BM /mnt | tail -1").endswith("M")
    api(lab, "DELETE", f"/v2/droplets/{one.number}")
    until("the machine gone", lambda: Machine.load(lab, one.number) is None, 30)
    two = made()
    assert inside(two, f"mount {disk} /mnt; cat /mnt/file") == "kept"
    api(lab, "DELETE", f"/v2/droplets/{two.number}")
    until("the machine gone", lambda: Machine.load(lab, two.number) is None, 30)
    assert api(lab, "DELETE", f"/v2/volumes/{volume['id']}")["status"] == 204
    until("its file gone", lambda: not list(lab.volumes.glob("*.img")), 15)
    assert [left for left in host.leftovers(lab) if left.kind == "loop device"] == []


def test_only_one_daemon_runs(lab: State) -> None:
    before = bringup.daemon(lab)
    bringup._start(lab)
    time.sleep(3)
    assert bringup.daemon(lab) == before
    assert control.call(lab, "stage") == {"stage": "up"}


def test_labs_run_side_by_side(lab: State) -> None:
    """Two labs have the same addresses, names and numbers, and nothing in common but the cache."""
    other = State(f"{lab.name[:17]}-other", lab.labs, lab.cache)
    other.claim()
    Settings.read(lab).write(other)
    labs = (lab, other)
    order = {
        "name": "n1",
        "region": "fra1",
        "size": "s-1vcpu-1gb",
        "image": "debian-13-x64",
        "user_data": "#!/bin/true",
    }
    try:
        start(other)
        assert [each.name for each in State.all(lab) if each in labs] == sorted(each.name for each in labs)
        assert len({connection(each).proxy for each in labs} | {connection(each).token for each in labs}) == 4
        machines = []
        for each in labs:
            number = api(each, "POST", "/v2/droplets", order)["droplet"]["id"]
            until("the machine", lambda each=each: droplet(each)["running"], 30)
            machine = Machine.load(each, number)
            assert machine is not None
            machines.append(machine)
        for machine in machines:
            done = partial(execute, machine, ["cloud-init", "status", "--wait"])
            until("its first boot", lambda done=done: done().returncode == 0, 60)
        assert boot_id(machines[0]) != boot_id(machines[1])
    finally:
        host.cleanup(other)
    assert host.leftovers(other) == ()
    assert machines[0].is_running
    assert not machines[1].is_running
    assert control.call(lab, "stage") == {"stage": "up"}
    assert api(lab, "DELETE", f"/v2/droplets/{machines[0].number}")["status"] == 204
    until("the machine gone", lambda: Machine.load(lab, machines[0].number) is None, 30)


def droplet(lab: State) -> dict[str, Any]:
    [found] = control.call(lab, "status")["droplets"]
    assert isinstance(found, dict)
    return found


def boot_id(machine: Machine) -> str:
    return execute(machine, ["cat", "/proc/sys/kernel/random/boot_id"]).stdout.strip() if machine.is_running else ""


def children(daemon: Process) -> list[int]:
    """List what the daemon's main thread started: the services, not the machines."""
    return [int(pid) for pid in Path(f"/proc/{daemon.pid}/task/{daemon.pid}/children").read_text().split()]
