"""The collector on a droplet of its own below a temporary directory, with the lab's metadata service before it."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path
from typing import Any

import pytest

from generator.files import resource
from generator.lab.account import droplets as lab_droplets
from generator.lab.account import vpcs
from generator.lab.account.account import Account
from generator.lab.daemon.config_drive import vendor_data
from generator.lab.machines.port import Port
from generator.lab.services.metadata import Facts, Metadata
from generator.lab.unkindness import KIND
from generator.lab.webserver import Server, tcp_listener
from generator.probe import beliefs, report, surroundings, verdicts

sys.path.insert(0, str(resource("userdata") / "probe/usr/local/lib"))

import hardway_probe
from hardway_probe import Droplet

LINE = "ssh-ed25519 AAAAkey hardway"
FILES = {
    "proc/cmdline": "BOOT_IMAGE=/x console=tty0 console=ttyS0,115200 ro\n",
    "proc/sys/kernel/osrelease": "6.12.48+deb13-cloud-amd64\n",
    "proc/uptime": "31.52 20.11\n",
    "sys/fs/cgroup/cgroup.controllers": "cpu memory\n",
    "sys/module/apparmor/parameters/enabled": "Y\n",
    "var/lib/cloud/instance/datasource": "DataSourceConfigDrive: DataSourceConfigDrive [net,ver=2][source=/dev/vdb]\n",
    "var/lib/dpkg/lock-frontend": "",
    "etc/os-release": 'NAME="Debian GNU/Linux"\nVERSION_CODENAME=trixie\n',
    "etc/resolv.conf": "# by systemd-resolved\nnameserver 127.0.0.53\nsearch .\n",
    "etc/network/interfaces.d/50-cloud-init": "auto eth0\n",
    "root/.ssh/authorized_keys": f"{LINE}\n",
    "usr/lib/python3.13/os.py": "",
    "usr/lib/python3/dist-packages/cryptography/__init__.py": "",
    "usr/lib/python3/dist-packages/jinja2/__init__.py": "",
    "usr/lib/python3/dist-packages/yaml/__init__.py": "",
    "sys/class/net/eth0/mtu": "1500\n",
    "sys/class/net/eth1/mtu": "1500\n",
    "sys/class/net/lo/mtu": "65536\n",
}
OUTPUT = {"cloud-init": "/usr/bin/cloud-init 25.1.4\n", "systemd-detect-virt": "kvm\n"}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A droplet as it is believed to be; no command of this machine is run."""
    root = tmp_path / "droplet"
    monkeypatch.setenv("no_proxy", "*")
    for path, text in FILES.items():
        write(root, path, text)
    for command in hardway_probe.COMMANDS:
        write(root, f"usr/bin/{command}", "#!/bin/sh\n")
        (root / "usr/bin" / command).chmod(0o755)

    def run(_: Droplet, *argv: str) -> tuple[int, str]:
        return 0, OUTPUT.get(argv[0], "")

    monkeypatch.setattr(Droplet, "run", run)
    return root


def write(root: Path, path: str, text: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


@pytest.fixture
def metadata(root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Facts]:
    """The lab's metadata service, for a droplet with user-data of the greatest length."""
    account = Account(KIND)
    vpcs.add_defaults(account, 1.0)
    order = {
        "name": "probe",
        "region": "fra1",
        "size": "s-1vcpu-1gb",
        "image": "debian-13-x64",
        "user_data": "#" * 65536,
    }
    account.failed_creates = 9
    (made,) = lab_droplets.create(account, order, 1.0)
    port = Port.planned(made.id, IPv4Address(made.public_address), IPv4Interface(f"{made.vpc_address}/20"), made.region)
    write(root, "sys/class/net/eth0/address", f"{port.public_mac}\n")
    write(root, "sys/class/net/eth1/address", f"{port.vpc_mac}\n")
    facts = Facts(made, port, (LINE,), vendor_data(150))
    monkeypatch.setitem(OUTPUT, "ip", f"2: eth0    inet {port.anchor} brd 10.19.255.255 scope global eth0\n")
    server = Server(tcp_listener("127.0.0.1", 0), Metadata(lambda _: facts).respond)
    monkeypatch.setattr(hardway_probe, "METADATA", f"http://127.0.0.1:{server.port}/metadata/v1")
    yield facts
    server.close()


@pytest.fixture
def store() -> Iterator[tuple[str, list[bytes], dict[str, bytes]]]:
    """An address that takes what is put, what came, and what is given."""
    came: list[bytes] = []
    given: dict[str, bytes] = {}

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *arguments: Any) -> None:
            pass

        def do_PUT(self) -> None:
            came.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def do_GET(self) -> None:
            self.send_response(200 if self.path in given else 404)
            self.end_headers()
            self.wfile.write(given.get(self.path, b""))

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", came, given
    server.shutdown()
    thread.join()
    server.server_close()


def collected(root: Path, **told: Any) -> dict[str, Any]:
    """Give everything that a droplet says."""
    *_, last = hardway_probe.collect(Droplet(root, {"name": "n", "ssh_key": LINE, **told}))
    return last


@pytest.mark.usefixtures("metadata")
def test_a_droplet_as_it_is_believed_to_be_says_so(
    root: Path, store: tuple[str, list[bytes], dict[str, bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, _, given = store
    given["/file"] = b"x" * 4_000_000
    said = collected(root, downloads=[f"{url}/file"])
    assert said["faults"] == {}
    rows = verdicts.judge(beliefs.load(), report.read(json.dumps(said).encode()), ("node",), in_lab=False)
    # this machine's disk and speed are its own
    odd = {row.belief.id for row in rows if row.verdict != "as believed"} - {"sync", "downloads"}
    assert odd == set()
    assert next(row.answer for row in rows if row.belief.id == "downloads") > 0


CHANGES: dict[str, Callable[[Path], object]] = {
    "kernel": lambda root: write(root, "proc/sys/kernel/osrelease", "6.12.0-generic\n"),
    "console": lambda root: write(root, "proc/cmdline", "console=ttyS0\n"),
    "cgroup": lambda root: (root / "sys/fs/cgroup/cgroup.controllers").unlink(),
    "apparmor": lambda root: write(root, "sys/module/apparmor/parameters/enabled", "N\n"),
    "boot": lambda root: write(root, "proc/uptime", "300.1 2\n"),
    "codename": lambda root: write(root, "etc/os-release", "VERSION_CODENAME=forky\n"),
    "datasource": lambda root: write(root, "var/lib/cloud/instance/datasource", "DataSourceDigitalOcean: x\n"),
    "vendor-data-off": lambda root: write(root, "var/lib/cloud/instance/scripts/vendor/part-001", "#!/bin/sh\n"),
    "python": lambda root: (root / "usr/lib/python3.14").mkdir(),
    "python-modules": lambda root: (root / "usr/lib/python3/dist-packages/yaml").rename(root / "yaml"),
    "commands": lambda root: (root / "usr/bin/sysctl").unlink(),
    "ssh-key": lambda root: write(root, "root/.ssh/authorized_keys", "ssh-ed25519 AAAAother x\n"),
    "renderer": lambda root: (root / "etc/network/interfaces.d/50-cloud-init").unlink(),
    "resolver": lambda root: write(root, "etc/resolv.conf", "nameserver 67.207.67.2\n"),
    "public-interface": lambda root: (root / "sys/class/net/eth0").rename(root / "sys/class/net/ens3"),
    "vpc-interface": lambda root: (root / "sys/class/net/eth1").rename(root / "sys/class/net/ens4"),
    "public-mtu": lambda root: write(root, "sys/class/net/eth0/mtu", "9000\n"),
    "vpc-mtu": lambda root: write(root, "sys/class/net/eth1/mtu", "1450\n"),
}


@pytest.mark.usefixtures("metadata")
@pytest.mark.parametrize("name", CHANGES)
def test_what_is_otherwise_is_told_alone(root: Path, name: str) -> None:
    before = _differing(root)
    CHANGES[name](root)
    assert _differing(root) - before == {name}


def _differing(root: Path) -> set[str]:
    rows = verdicts.judge(beliefs.load(), collected(root), ("node",), in_lab=False)
    return {row.belief.id for row in rows if row.verdict == "differs"} - {"sync"}


@pytest.mark.parametrize(
    ("name", "command", "answer"),
    [
        ("kernel-modules", "modprobe", (1, "")),
        ("cloud-init", "cloud-init", (0, "/usr/bin/cloud-init 26.1\n")),
        ("virtualization", "systemd-detect-virt", (0, "lxc\n")),
        ("sysusers", "systemd-sysusers", (1, "")),
        ("tmpfiles", "systemd-tmpfiles", (73, "")),
        ("time", "systemctl", (3, "")),
        ("anchor", "ip", (0, "2: eth0    inet 203.0.113.9/24 scope global eth0\n")),
    ],
)
@pytest.mark.usefixtures("metadata")
def test_what_a_command_answers_otherwise_is_told_alone(
    root: Path, monkeypatch: pytest.MonkeyPatch, name: str, command: str, answer: tuple[int, str]
) -> None:
    before, run = _differing(root), Droplet.run
    monkeypatch.setattr(Droplet, "run", lambda droplet, *argv: answer if argv[0] == command else run(droplet, *argv))
    assert _differing(root) - before == {name}


def test_a_held_lock_is_seen(root: Path, metadata: Facts) -> None:
    lock = root / "var/lib/dpkg/lock-frontend"
    script = "import fcntl,sys; f=open(sys.argv[1],'r+'); fcntl.lockf(f, fcntl.LOCK_EX); print(1, flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", script, str(lock)], stdin=-1, stdout=-1) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        assert _differing(root) >= {"dpkg-free"}
        holder.communicate(b"\n")
    assert "dpkg-free" not in _differing(root)


def test_without_metadata_the_rest_is_told(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardway_probe, "METADATA", "http://127.0.0.1:1/metadata/v1")
    said = collected(root)
    assert set(said["faults"]) == {"metadata", "network"}
    assert said["kernel"]["cgroup"] == 2
    assert said["done"]


def test_it_names_no_secret_and_no_address(root: Path, metadata: Facts) -> None:
    text = json.dumps(collected(root))
    for word in (LINE.split()[1], metadata.droplet.public_address, metadata.droplet.vpc_address, "#####"):
        assert word not in text


def test_it_puts_all_that_is_known_after_each_group(
    root: Path, metadata: Facts, store: tuple[str, list[bytes], dict[str, bytes]]
) -> None:
    url, came, _ = store
    told = {"name": "n", "url": f"{url}/facts", "ssh_key": LINE, "downloads": []}
    write(root, hardway_probe.TOLD, json.dumps(told))
    hardway_probe.main(root)
    said = [json.loads(body) for body in came]
    assert [one["done"] for one in said] == [False] * len(hardway_probe.GROUPS) + [True]
    assert set(said[0]) & report.GROUPS == {"kernel"}
    assert set(said[-1]) & report.GROUPS == set(hardway_probe.GROUPS)
    assert list((root / "var/lib").glob("*.tmp")) == []


def test_two_droplets_hear_each_other(
    root: Path, store: tuple[str, list[bytes], dict[str, bytes]], tmp_path: Path
) -> None:
    url, _, given = store
    given["/peers"] = json.dumps({"one": "127.0.0.21", "two": "127.0.0.22"}).encode()
    peer = {"url": f"{url}/peers", "foreign": ["127.0.0.23", "127.0.0.33"], "seconds": 5, "listening": 8, "longer": 1}
    heard: dict[str, Any] = {}

    def listen(name: str) -> None:
        heard[name] = hardway_probe.peer(Droplet(tmp_path / name, {"name": name, "peer": peer}))

    threads = [threading.Thread(target=listen, args=(name,)) for name in ("one", "two")]
    write(tmp_path / "one", hardway_probe.HEARD, "127.0.0.22\n127.0.0.22\n")
    write(tmp_path / "two", hardway_probe.HEARD, "127.0.0.9\n")
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # on loopback nothing is between them, so the foreign source comes through
    assert heard == {
        "one": {"ruled": True, "unruled": True, "foreign": True},
        "two": {"ruled": True, "unruled": False, "foreign": True},
    }


def test_who_hears_nothing_says_so(root: Path, store: tuple[str, list[bytes], dict[str, bytes]]) -> None:
    url, _, given = store
    given["/peers"] = json.dumps({"one": "127.0.0.24", "two": "127.0.0.25"}).encode()
    peer = {"url": f"{url}/peers", "foreign": ["127.0.0.26", "127.0.0.27"], "seconds": 5, "listening": 0.5, "longer": 1}
    said = hardway_probe.peer(Droplet(root, {"name": "one", "peer": peer}))
    assert said == {"ruled": False, "unruled": False, "foreign": False}
    assert (
        hardway_probe.peer(Droplet(root, {"name": "one", "peer": {**peer, "url": f"{url}/no", "seconds": 0.1}})) == {}
    )


def test_the_ports_are_those_of_the_rules() -> None:
    ports = str(hardway_probe.RULED), str(hardway_probe.FOREIGN)
    assert ports == (surroundings.RULED, surroundings.RULED_FOREIGN)
    assert str(hardway_probe.CLOSED) not in ports
