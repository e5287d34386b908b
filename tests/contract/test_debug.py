"""What Debian 13's own cloud-init, sshd and systemd make of a document with `debug`, beside one without."""

from __future__ import annotations

import io
import json
import os
import subprocess
import tarfile
from pathlib import Path

import pytest
import yaml

from generator.documents import user_data
from generator.plan.decide import Plan

from .. import facts
from ..conftest import TESTS

PLAN = facts.load(TESTS / "clusters" / "one-control-plane-two-workers.yaml").plan
DEBUGGED = facts.debugged(PLAN)
KEYS = ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEbmfjCWGmZGpxx1ltQWmYdI8dBLBKE8n/Y1F9GSSuNf anna",)
# As an image may have them that lets in whoever knows a password; what it includes comes first.
LAX = "Include /etc/ssh/sshd_config.d/*.conf\nPermitRootLogin yes\nPasswordAuthentication yes\nUsePAM yes\n"
# The module of cloud-init that writes root's keys, with the document and a droplet's keys.
ASK = """
import json, sys, types
from pathlib import Path
from cloudinit.config import cc_ssh
from cloudinit.distros import debian
from cloudinit.helpers import Paths
config, keys = json.load(sys.stdin)
distro = debian.Distro("debian", {}, Paths({}))
source = types.SimpleNamespace(publish_host_keys=lambda keys: None)
cloud = types.SimpleNamespace(distro=distro, datasource=source, get_public_ssh_keys=lambda: list(keys))
cc_ssh.handle("ssh", config, cloud, [])
print(json.dumps(Path("/root/.ssh/authorized_keys").read_text().splitlines()))
"""


@pytest.fixture(scope="module")
def base() -> Path:
    cache = Path(os.environ.get("HARDWAY_CACHE", "~/.cache/hardway")).expanduser()
    roots = sorted(path for path in cache.glob("roots/*") if (path / "usr/sbin/sshd").exists())
    if not roots or os.geteuid() != 0:
        pytest.skip("no Debian 13 here, or not root; `gen lab build` makes the lab's base")
    return roots[-1]


def within(base: Path, mount: Path, plan: Plan, script: str, text: str = "") -> str:
    """Run something where a node's files lie over the base, in a mount namespace that ends with it."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        files = {str(file.path): file.content for file in user_data.files(plan, plan.nodes[0])}
        for path, content in {**files, "/etc/ssh/sshd_config": LAX, "/run/asked": text}.items():
            member = tarfile.TarInfo(path.lstrip("/"))
            member.size, member.mode = len(content.encode()), 0o644
            tar.addfile(member, io.BytesIO(content.encode()))
    whole = f"""
        mount -t tmpfs tmpfs {mount}
        mkdir {mount}/upper {mount}/work {mount}/root
        mount -t overlay overlay -o lowerdir={base},upperdir={mount}/upper,workdir={mount}/work {mount}/root
        tar -x -C {mount}/root --no-same-owner
        mount --bind /dev {mount}/root/dev
        mkdir -p {mount}/root/run/sshd
        exec chroot {mount}/root {script}
    """
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-euc", whole]
    done = subprocess.run(command, input=archive.getvalue(), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


@pytest.mark.parametrize(("plan", "lets_in"), [(PLAN, False), (DEBUGGED, True)], ids=["without", "debug"])
def test_cloud_init_gives_root_the_droplets_keys_where_somebody_debugs(
    base: Path, tmp_path: Path, plan: Plan, lets_in: bool
) -> None:
    config = yaml.safe_load(user_data.document(plan, plan.nodes[0])) | {"ssh_deletekeys": False, "ssh_genkeytypes": []}
    config.pop("write_files")
    script = f"sh -c '/usr/bin/python3 -c \"$0\" < /run/asked' '{ASK.replace(chr(39), chr(34))}'"
    found = json.loads(within(base, tmp_path, plan, script, json.dumps([config, KEYS])).splitlines()[-1])
    assert found == (list(KEYS) if lets_in else [])


def test_sshd_takes_roots_keys_and_no_password_whatever_the_image_says(base: Path, tmp_path: Path) -> None:
    script = "sh -c 'ssh-keygen -qA && sshd -T -C user=root'"
    said = [line.partition(" ") for line in within(base, tmp_path, DEBUGGED, script).splitlines()]
    found = {name: value for name, _, value in said}
    wanted = {
        "allowusers": "root",
        "authenticationmethods": "publickey",
        "kbdinteractiveauthentication": "no",
        "passwordauthentication": "no",
        "permitrootlogin": "without-password",
        "pubkeyauthentication": "yes",
    }
    assert {name: found[name] for name in wanted} == wanted
    without = within(base, tmp_path, PLAN, script)
    assert "permitrootlogin yes" in without


def test_systemd_reads_the_day_as_it_is_meant(base: Path, tmp_path: Path) -> None:
    files = {str(file.path): file.content for file in user_data.files(DEBUGGED, PLAN.nodes[0])}
    timer = files["/etc/systemd/system/hardway-debug.timer"]
    (when,) = (line.partition("=")[2] for line in timer.splitlines() if line.startswith("OnCalendar="))
    script = f'systemd-analyze calendar --base-time="2026-11-22 08:30:00 UTC" "{when}"'
    assert "Next elapse: Fri 2026-12-25 00:00:00 UTC" in within(base, tmp_path, DEBUGGED, script)
