"""Brings files and images that a lock pins to a droplet of which others are to be made, and takes away what is its own.

The files stay as they were fetched: a node checks each by its digest before it installs it, whoever kept it meanwhile.
The images are unpacked, as containerd has them. When all is there the droplet switches itself off.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import partial
from pathlib import Path
from typing import Any

RUN = "run/hardway-bake"
TOLD, LIBRARY, SETTINGS = f"{RUN}/told.json", f"{RUN}/lib", f"{RUN}/containerd.toml"
ARTIFACTS = "etc/hardway/artifacts.json"
CONTAINERD, CTR = "/usr/local/bin/containerd", "/usr/local/bin/ctr"
SOCKET = "/run/containerd/containerd.sock"
PULL = (CTR, "--namespace", "k8s.io", "images", "pull")
AT_ONCE = 4
FETCHED = "opt/hardway/installed"
# What only this droplet is: who it is, what it was told, what it has logged, where it was in the network.
OWN = (
    "etc/hardway",
    "etc/machine-id",
    "etc/netplan/50-cloud-init.yaml",
    "etc/network/interfaces.d/50-cloud-init*",
    "etc/ssh/ssh_host_*",
    "etc/ssh/sshd_config.d/50-cloud-init.conf",
    "etc/sudoers.d/90-cloud-init-users",
    "etc/systemd/network/*cloud-init*",
    "etc/udev/rules.d/70-persistent-net.rules",
    "home/*/.ssh",
    "root/.*_history",
    "root/.cache",
    "root/.ssh",
    "tmp/*",
    "var/cache/ldconfig/aux-cache",
    "var/lib/cloud/*",
    "var/lib/dbus/machine-id",
    "var/lib/dhcp/*",
    "var/lib/dhcpcd/*",
    "var/lib/hardway",
    "var/lib/systemd/credential.secret",
    "var/lib/systemd/random-seed",
    "var/log/journal/*",
    "var/tmp/*",
)
# Both would write again while the machine goes down.
QUIET = (("journalctl", "--relinquish-var"), ("systemctl", "stop", "systemd-random-seed.service"))

Report = Callable[[str, int, int], None]


def bring(report: Report) -> None:
    """Fetch every file that is pinned, and check it."""
    from hardway import binaries, here, installed

    items = installed.pinned()
    here.at(f"/{FETCHED}").mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        coming = [pool.submit(_patiently, partial(binaries.get, item)) for item in items]
        for count, one in enumerate(as_completed(coming), 1):
            one.result()
            report("fetching", count, len(items))


def pull(images: list[str], report: Report, root: Path = Path("/")) -> None:
    """Let containerd fetch and unpack images, in the namespace of the kubelet's."""
    from hardway import binaries, here, installed

    for item in installed.pinned():
        if {CONTAINERD, CTR} & set(item.get("install", {}).values()):
            binaries.install(item)
    with _containerd(root):
        for count, image in enumerate(images, 1):
            _patiently(partial(here.run, *PULL, image, timeout=900))
            report("pulling", count, len(images))


@contextlib.contextmanager
def _containerd(root: Path) -> Iterator[None]:
    """Run containerd for a while, without what it needs for pods."""
    from hardway.here import Failure

    server = subprocess.Popen([CONTAINERD, "--config", str(root / SETTINGS), "--log-level", "warn"])
    try:
        for _ in range(300):
            if (root / SOCKET.lstrip("/")).exists() and _succeeds(CTR, "version"):
                break
            time.sleep(0.2)
        else:
            raise Failure("containerd does not answer after a minute")
        yield
    finally:
        # it is asked to: what it has in its database has to be on the disk
        server.terminate()
        server.wait(60)


def _succeeds(*argv: str) -> bool:
    return subprocess.run(argv, capture_output=True, check=False).returncode == 0


def _patiently(work: Callable[[], object]) -> None:
    """Do something again while it fails in a way that may pass."""
    from hardway.here import Failure

    for pause in (2, 4, 8, 16, None):
        try:
            work()
            return
        except Failure:
            if pause is None:
                raise
            time.sleep(pause)


def tidy(root: Path) -> None:
    """Take away everything that the droplet has of its own, so that another's first boot is its first."""
    _leave_only_what_was_fetched(root)
    for pattern in OWN:
        for found in tuple(root.glob(pattern)):
            _remove(found)
    # empty: where it is missing, systemd would change on its own which units are enabled
    (root / "etc").mkdir(exist_ok=True)
    (root / "etc/machine-id").touch()
    for log in (root / "var/log").rglob("*"):
        if log.is_file() and not log.is_symlink():
            os.truncate(log, 0)


def _leave_only_what_was_fetched(root: Path) -> None:
    """Remove what was installed to pull images: a node installs it anew, from what it has checked."""
    for lists in json.loads((root / ARTIFACTS).read_text()).values() if (root / ARTIFACTS).exists() else ():
        for item in lists if isinstance(lists, list) else ():
            for path in item.get("install", {}).values():
                (root / path.lstrip("/")).unlink(missing_ok=True)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def reporter(told: Mapping[str, Any]) -> Callable[[Mapping[str, Any]], None]:
    """Give what tells the operator how far this is; that nobody hears it is no reason to stop."""
    from hardway import fetch
    from hardway.here import Failure

    def tell(facts: Mapping[str, Any]) -> None:
        body = json.dumps({"version": 1, "name": told["name"], **facts}).encode()
        with contextlib.suppress(Failure):
            fetch.ask(told["url"], body, "PUT", seconds=20)

    return tell


def main(root: Path = Path("/")) -> int:
    """Bring, pull, tidy, and switch off; what fails is told, and the droplet stays on."""
    sys.path.insert(0, str(root / LIBRARY))
    from hardway.here import Failure

    told = json.loads((root / TOLD).read_text())
    tell = reporter(told)

    def report(step: str, done: int, of: int) -> None:
        tell({"step": step, "done": done, "of": of})

    try:
        report("fetching", 0, 0)
        bring(report)
        pull(told["images"], report, root)
        # it has its own to write at the end of a boot
        subprocess.run(["cloud-init", "status", "--wait"], capture_output=True, check=False, timeout=600)
        report("tidying", 0, 0)
        for command in QUIET:
            subprocess.run(command, capture_output=True, check=False)
        tidy(root)
    except (Failure, OSError, subprocess.SubprocessError) as error:
        tell({"step": "failed", "why": str(error)[:600]})
        return 1
    report("done", 0, 0)
    os.sync()
    subprocess.run(["systemctl", "--no-block", "poweroff"], check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
