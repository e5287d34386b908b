"""Collects what a droplet is and says it to a presigned address; keeps nothing and changes nothing that stays.

Python's standard library alone. What is said names no secret and no address of the droplet.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

TOLD, HEARD = "run/hardway-probe/probe.json", "run/hardway-probe/heard"
METADATA = "http://169.254.169.254/metadata/v1"
MODULES = ("br_netfilter", "nf_conntrack", "nf_tables", "overlay", "wireguard")
COMMANDS = ("cloud-init", "dpkg", "ip", "modprobe", "mount", "python3", "sysctl", "systemctl", "systemd-run")
BROUGHT = ("haproxy", "nft", "wg")
PYTHON = ("cryptography", "jinja2", "yaml")
RULED, CLOSED, FOREIGN = 51820, 51822, 51821
"""UDP ports: one that the tag may use, one that no rule names, and one for a source that is nobody's in the VPC."""
SECONDS = 20.0
FAULTS = (OSError, ValueError, KeyError, TypeError, IndexError, subprocess.SubprocessError)

Facts = dict[str, Any]


class Droplet:
    """This machine, below a root."""

    def __init__(self, root: Path, told: Mapping[str, Any]) -> None:
        self.root = root
        self.told = told

    def text(self, path: str) -> str:
        """Read a file; what is not there is empty."""
        try:
            return (self.root / path).read_text(errors="replace")
        except OSError:
            return ""

    def run(self, *argv: str) -> tuple[int, str]:
        """Run a command; 127 where there is none."""
        try:
            done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False, errors="replace")
        except FileNotFoundError:
            return 127, ""
        return done.returncode, done.stdout

    def has(self, command: str) -> bool:
        """Say whether there is a command."""
        return any(shutil.which(command, path=str(self.root / place)) for place in ("usr/sbin", "usr/bin"))


def fetch(url: str, body: bytes | None = None, limit: int = 1 << 20) -> tuple[int, bytes]:
    """Ask, or put; give the status, whatever it is, and the beginning of what was answered."""
    request = urllib.request.Request(url, body, method="PUT" if body is not None else "GET")  # noqa: S310
    opener = urllib.request.build_opener(_Stay)
    try:
        with opener.open(request, timeout=SECONDS) as answer:
            return answer.status, answer.read(limit)
    except urllib.error.HTTPError as error:
        return error.code, b""


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Follow nobody: that somebody is sent elsewhere is the answer."""


def kernel(droplet: Droplet) -> Facts:
    """Say which kernel runs, what it is told, and what it could load."""
    words = droplet.text("proc/cmdline").split()
    return {
        "release": droplet.text("proc/sys/kernel/osrelease").strip(),
        "modules": [name for name in MODULES if droplet.run("modprobe", "--dry-run", "--quiet", name)[0] == 0],
        "consoles": [word.removeprefix("console=") for word in words if word.startswith("console=")],
        "cgroup": 2 if (droplet.root / "sys/fs/cgroup/cgroup.controllers").exists() else 1,
        "apparmor": droplet.text("sys/module/apparmor/parameters/enabled").strip() == "Y",
        "virtualization": droplet.run("systemd-detect-virt")[1].strip(),
        "processors": os.cpu_count(),
        "seconds_since_boot": int(float((droplet.text("proc/uptime").split() or ["0"])[0])),
    }


def cloud_init(droplet: Droplet) -> Facts:
    """Say which cloud-init there is, where it was told what to do, and whether it did what the provider adds."""
    version = droplet.run("cloud-init", "--version")[1].split()
    scripts = droplet.root / "var/lib/cloud/instance/scripts/vendor"
    return {
        "version": version[-1] if version else "",
        "datasource": droplet.text("var/lib/cloud/instance/datasource").partition(":")[0],
        "vendor_scripts_ran": scripts.is_dir() and any(scripts.iterdir()),
    }


def system(droplet: Droplet) -> Facts:
    """Say what is installed, and how the image's own set-up ends."""
    found = re.findall(r'^VERSION_CODENAME="?([^"\n]+)', droplet.text("etc/os-release"), re.MULTILINE)
    places = (droplet.root / "usr/lib/python3/dist-packages", droplet.root / "usr/local/lib/python3/dist-packages")
    python = sorted(path.name.removeprefix("python") for path in (droplet.root / "usr/lib").glob("python3.*"))
    keys = droplet.text("root/.ssh/authorized_keys")
    return {
        "codename": found[0] if found else "",
        "python": python[-1] if python else "",
        "python_modules": [name for name in PYTHON if any((place / name).is_dir() for place in places)],
        "commands": [name for name in COMMANDS if droplet.has(name)],
        "brought_by_documents": [name for name in BROUGHT if droplet.has(name)],
        "sysusers": droplet.run("systemd-sysusers")[0],
        "tmpfiles": droplet.run("systemd-tmpfiles", "--create")[0],
        "ntp": _active(droplet, "systemd-timesyncd", "chrony", "ntpsec"),
        "dpkg_is_free": _is_free(droplet.root / "var/lib/dpkg/lock-frontend"),
        "ssh_key": bool(_blob(droplet)) and _blob(droplet) in keys.split(),
    }


def _blob(droplet: Droplet) -> str:
    """Give the key itself of a line as in `authorized_keys`."""
    return [*str(droplet.told.get("ssh_key", "")).split(), "", ""][1]


def _active(droplet: Droplet, *units: str) -> bool:
    return any(droplet.run("systemctl", "is-active", "--quiet", unit)[0] == 0 for unit in units)


def _is_free(lock: Path) -> bool:
    try:
        with lock.open("r+") as file:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return True
    except BlockingIOError:
        return False
    return True


def network(droplet: Droplet) -> Facts:
    """Say who set the network up, and which interface is which."""
    renderers = {
        "ifupdown": "etc/network/interfaces.d/50-cloud-init",
        "netplan": "etc/netplan/50-cloud-init.yaml",
        "networkd": "etc/systemd/network/10-cloud-init-eth0.network",
    }
    servers = re.findall(r"^nameserver\s+(\S+)", droplet.text("etc/resolv.conf"), re.MULTILINE)
    facts: Facts = {
        "renderer": next((name for name, path in renderers.items() if (droplet.root / path).exists()), "unknown"),
        "resolver": "systemd-resolved" if servers[:1] == ["127.0.0.53"] else "the provider's" if servers else "none",
    }
    interfaces = _document()["interfaces"]
    for kind in ("public", "private"):
        mac = interfaces[kind][0]["mac"]
        for link in sorted((droplet.root / "sys/class/net").iterdir()):
            if droplet.text(f"sys/class/net/{link.name}/address").strip() == mac:
                mtu = int(droplet.text(f"sys/class/net/{link.name}/mtu"))
                facts[kind] = {"name": link.name, "mtu": mtu}
    return facts


def _document() -> Facts:
    found: Facts = json.loads(fetch(f"{METADATA}.json")[1])
    return found


def metadata(droplet: Droplet) -> Facts:
    """Say how the metadata service answers, and what the provider itself has a droplet do."""
    document = _document()
    vendor = str(document.get("vendor_data") or "")
    own = str(document.get("user_data") or "")
    public = document["interfaces"]["public"][0]
    anchor = public.get("anchor_ipv4", {}).get("ip_address", "")
    addresses = droplet.run("ip", "-4", "-o", "address")[1]
    return {
        "keys": sorted(document),
        "directory_without_slash": fetch(f"{METADATA}/interfaces")[0],
        "unknown": fetch(f"{METADATA}/no-such-thing")[0],
        "user_data_bytes": len(own.encode()),
        "anchor": bool(anchor) and f" {anchor}/" in addresses,
        "vendor_writes_hosts": "manage_etc_hosts" in vendor,
        "vendor_installs": bool(re.search(r"text/x-shellscript|^#!|\bapt(-get)?\b", vendor, re.MULTILINE)),
        "public_keys": len(document.get("public_keys") or ()),
    }


def disk(droplet: Droplet) -> Facts:
    """Say how long a small write takes to be safe, as etcd does it: median and slowest of a hundred, in ms."""
    path = droplet.root / "var/lib/hardway-probe.tmp"
    times = []
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        for _ in range(100):
            started = time.monotonic()
            os.write(descriptor, b"x" * 2048)
            os.fdatasync(descriptor)
            times.append((time.monotonic() - started) * 1000)
    finally:
        os.close(descriptor)
        path.unlink()
    return {"sync_ms": round(statistics.median(times), 2), "slowest_sync_ms": round(max(times), 2)}


def downloads(droplet: Droplet) -> Facts:
    """Say how fast the first megabytes of each address come, in KB a second."""
    speeds: dict[str, int] = {}
    said: dict[str, str] = {}
    for url in droplet.told.get("downloads", ()):
        host = url.split("/")[2]
        started = time.monotonic()
        speeds[host] = 0
        try:
            request = urllib.request.Request(url)  # noqa: S310
            with urllib.request.urlopen(request, timeout=SECONDS) as answer:  # noqa: S310
                count = sum(map(len, _pieces(answer, started + SECONDS)))
            speeds[host] = int(count / 1000 / max(time.monotonic() - started, 0.001))
        except OSError as error:
            said[host] = str(getattr(error, "code", None) or type(error).__name__)
    return {"kilobytes_a_second": speeds, "failed": said, "slowest": min(speeds.values(), default=0)}


def _pieces(answer: Any, end: float, limit: int = 8 << 20) -> Iterator[bytes]:
    while limit > 0 and time.monotonic() < end and (piece := answer.read(min(limit, 1 << 16))):
        limit -= len(piece)
        yield piece


def peer(droplet: Droplet) -> Facts:
    """Say what comes from the other droplet in the VPC: by a rule, by none, from a foreign source; send it the same.

    Who the other is comes by a presigned address, once both are known. What no rule allows is heard since the boothook.
    """
    told = droplet.told["peer"]
    known = _until(lambda: _peer(told, droplet.told["name"]), float(told["seconds"]))
    if known is None:
        return {}
    own, other, foreign, strange = known
    droplet.run("ip", "address", "add", f"{foreign}/32", "dev", "lo")
    with contextlib.ExitStack() as stack:
        ears = {port: stack.enter_context(_socket(own, port)) for port in (RULED, FOREIGN)}
        sources = {RULED: own, CLOSED: own, FOREIGN: foreign}
        mouths = {port: stack.enter_context(_socket(source)) for port, source in sources.items()}
        came = _listen(told, ears, mouths, {RULED: other, FOREIGN: strange})
    droplet.run("ip", "address", "delete", f"{foreign}/32", "dev", "lo")
    return {"ruled": came[RULED], "unruled": other in droplet.text(HEARD).split(), "foreign": came[FOREIGN]}


def _listen(
    told: Mapping[str, Any],
    ears: Mapping[int, socket.socket],
    mouths: Mapping[int, socket.socket],
    senders: Mapping[int, str],
) -> Mapping[int, bool]:
    """Send to the other all the time, and say at which ports something came from whom it should."""
    came = dict.fromkeys(ears, False)
    end = time.monotonic() + float(told["listening"])
    while time.monotonic() < end:
        for port, mouth in mouths.items():
            with contextlib.suppress(OSError):  # no neighbour yet
                mouth.sendto(b"hardway-probe", (senders[RULED], port))
        time.sleep(0.2)
        for port, ear in ears.items():
            if not came[port] and _hears(ear, senders[port]):
                came[port] = True
                if port == RULED:  # the other has to hear as well
                    end = min(end, time.monotonic() + float(told["longer"]))
    return came


def _peer(told: Mapping[str, Any], name: str) -> tuple[str, str, str, str] | None:
    """Give own address and the other's, and a foreign one of each: what comes from one's own is dropped in any case."""
    status, body = fetch(told["url"])
    if status != 200:
        return None
    addresses: Mapping[str, str] = json.loads(body)
    mine, strange = told["foreign"] if name == min(addresses) else reversed(told["foreign"])
    return addresses[name], next(address for other, address in addresses.items() if other != name), mine, strange


def _until(look: Callable[[], Any], seconds: float) -> Any:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if (found := look()) is not None:
                return found
        except FAULTS:
            pass  # asked again
        time.sleep(1)
    return None


def _socket(address: str, port: int = 0) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind((address, port))
    made.setblocking(False)
    return made


def _hears(ear: socket.socket, source: str) -> bool:
    try:
        while True:
            if ear.recvfrom(64)[1][0] == source:
                return True
    except BlockingIOError:
        return False


def volume(droplet: Droplet) -> Facts:
    """Say whether the volume that the droplet comes with is found where a node looks, is blank, and grows."""
    told = droplet.told["volume"]
    device, seconds = droplet.root / told["device"].lstrip("/"), float(told["seconds"])
    began = time.monotonic()
    first = _until(lambda: _size(device), seconds)
    if first is None:
        return {"comes": False}
    facts = {"comes": True, "seconds": int(time.monotonic() - began), "is_blank": _is_blank(device, first)}
    last = _until(lambda: size if (size := _size(device)) == told["gib"] << 30 else None, seconds) or _size(device) or 0
    return {**facts, "gib": last / (1 << 30) if last % (1 << 30) else last >> 30}


def replug(droplet: Droplet) -> Facts:
    """Say whether the volume comes back to the running droplet after it was taken away."""
    told = droplet.told["volume"]
    device, seconds = droplet.root / told["device"].lstrip("/"), float(told["seconds"])
    is_gone = _until(lambda: True if _size(device) is None else None, seconds) is not None
    return {"leaves": is_gone, "comes_back": is_gone and _until(lambda: _size(device), seconds) is not None}


def _size(device: Path) -> int | None:
    try:
        with device.open("rb") as disk:
            return disk.seek(0, os.SEEK_END)
    except OSError:
        return None


def _is_blank(device: Path, size: int, edge: int = 1 << 20) -> bool:
    with device.open("rb") as disk:
        for place in (0, max(0, size - edge)):
            disk.seek(place)
            if disk.read(edge).strip(b"\0"):
                return False
    return True


def reserved(droplet: Droplet) -> Facts:
    """Say whether the droplet learns that it has a reserved address, and at which of its own the packets arrive."""
    told = droplet.told["reserved"]
    with socket.create_server(("", int(told["port"]))) as door:
        door.setblocking(False)
        is_told = _until(lambda: _document()["reserved_ip"]["ipv4"]["active"] or None, float(told["seconds"]))
        came = _until(lambda: _reached(door), float(told["seconds"]))
    public = _document()["interfaces"]["public"][0]
    known = {public.get(kind, {}).get("ip_address"): name for kind, name in _PUBLIC.items()}
    return {"is_told": is_told is True, "arrives_at": known.get(came, "another") if came else "none"}


_PUBLIC = {"ipv4": "public", "anchor_ipv4": "anchor"}


def _reached(door: socket.socket) -> str:
    connection, _ = door.accept()
    with connection:
        return str(connection.getsockname()[0])


GROUPS: Mapping[str, Callable[[Droplet], Facts]] = {
    "kernel": kernel,
    "cloud_init": cloud_init,
    "system": system,
    "network": network,
    "metadata": metadata,
    "disk": disk,
    "downloads": downloads,
}
LATER: Mapping[str, tuple[str, Callable[[Droplet], Facts]]] = {
    "volume": ("volume", volume),
    "replug": ("volume", replug),
    "reserved": ("reserved", reserved),
    "peer": ("peer", peer),
}
"""What is said by who was told of it, under that name."""


def collect(droplet: Droplet) -> Iterator[Facts]:
    """Give the facts after each group of them; the last time with `done`."""
    facts: Facts = {"version": 1, "name": droplet.told["name"], "done": False, "faults": {}}
    groups = {**GROUPS, **{name: group for name, (needed, group) in LATER.items() if needed in droplet.told}}
    for name, group in groups.items():
        try:
            facts[name] = group(droplet)
        except FAULTS as error:
            facts["faults"][name] = f"{type(error).__name__}: {error}"[:200]
        yield facts
    yield {**facts, "done": True}


def main(root: Path = Path("/")) -> None:
    """Collect, and say each time all that is known; who asks waits for the last."""
    told = json.loads((root / TOLD).read_text())
    for facts in collect(Droplet(root, told)):
        for pause in (1, 2, 4, 0):
            try:
                if fetch(told["url"], json.dumps(facts).encode())[0] == 200:
                    break
            except OSError:
                pass  # said again
            time.sleep(pause)


if __name__ == "__main__":
    main()
