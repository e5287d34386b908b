"""Says what a droplet's config drive holds, and what the provider itself has the droplet do at its first boot."""

from __future__ import annotations

from collections.abc import Sequence

from generator.lab.account.account import Droplet
from generator.lab.machines.machine import ConfigDrive

_BOUNDARY = "===============provider=="
_HOLD_LOCK = """\
#!/bin/sh
# installs the provider's agents, and keeps the package manager to itself while it does
exec systemd-run --quiet --collect --unit=provider-agent-install /usr/bin/python3 -c '
import fcntl, time
locks = [open(path, "w") for path in ("/var/lib/dpkg/lock-frontend", "/var/lib/dpkg/lock", "/var/lib/apt/lists/lock")]
for lock in locks:
    fcntl.lockf(lock, fcntl.LOCK_EX)
time.sleep({seconds})
'
"""


def config_drive(droplet: Droplet, public_keys: Sequence[str], held_dpkg_lock: int) -> ConfigDrive:
    """Give what a droplet finds on its config drive.

    Source: https://cloudinit.readthedocs.io/en/latest/reference/datasources/configdrive.html
    """
    meta = {
        "uuid": str(droplet.id),
        "instance-id": str(droplet.id),
        "hostname": droplet.name,
        "local-hostname": droplet.name,
        "name": droplet.name,
        "availability_zone": droplet.region,
        "public_keys": {str(number): key for number, key in enumerate(public_keys)},
    }
    return ConfigDrive(meta, droplet.user_data, vendor_data(held_dpkg_lock))


def vendor_data(held_dpkg_lock: int) -> str:
    """Write the provider's own instructions: rewrite /etc/hosts at each boot, and once an installation that takes long.

    Args:
        held_dpkg_lock: for so many seconds dpkg and apt have to wait; 0 leaves them free.
    """
    parts = [("text/cloud-config", "#cloud-config\nmanage_etc_hosts: true\n")]
    if held_dpkg_lock:
        parts.append(("text/x-shellscript", _HOLD_LOCK.format(seconds=held_dpkg_lock)))
    lines = [f'Content-Type: multipart/mixed; boundary="{_BOUNDARY}"', "MIME-Version: 1.0", ""]
    for kind, body in parts:
        lines += [f"--{_BOUNDARY}", f'Content-Type: {kind}; charset="us-ascii"', "", body]
    return "\n".join([*lines, f"--{_BOUNDARY}--", ""])
