"""Builds the user-data of a probe's droplet: the envelope of a node, and a collector in the place of a cluster."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from generator.cluster.launch_part import envelope
from generator.documents.user_data import Block, dump
from generator.files import resource

COLLECTOR = PurePosixPath("usr/local/lib/hardway_probe.py")
UNIT = "hardway-probe"
FOREIGN = ("10.42.254.1", "10.42.254.2")
"""A source that nobody in the VPC has, as a pod's is."""
WAIT_SECONDS, LISTEN_SECONDS, LONGER_SECONDS = 900, 420, 15
"""How long a droplet waits to hear who the other is, listens then, and goes on once it has heard something."""

REACHED = 51823
"""The TCP port at which a droplet is reached by its reserved address."""
PATIENCE_SECONDS = 300
"""How long a droplet waits for its volume and for its reserved address; a node waits for a volume as long."""

_RUN = "/run/hardway-probe"
_END = "END_OF_PROBE"
_FILLING = "# so that the whole is as long as the provider takes\n"
# Hears what no rule lets through from the first moment on; the collector looks at it last.
_EAR = """\
import socket
ear = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
ear.bind(("0.0.0.0", 51822))
while True:
    source = ear.recvfrom(64)[1][0]
    with open("/run/hardway-probe/heard", "a") as file:
        file.write(source + chr(10))
"""


@dataclass(frozen=True)
class Told:
    """What one droplet is told: its name, where its facts go, what to fetch, and where it hears of the other."""

    name: str
    url: str = field(repr=False)
    ssh_key: str
    downloads: Sequence[str] = ()
    peer_url: str | None = field(default=None, repr=False)
    volume: tuple[str, int] | None = None
    """The device of the volume that it comes with, and how many GiB that grows to."""
    is_reserved: bool = False
    """It gets a reserved address."""


def document() -> str:
    """Write the cloud-config: as a node's, but for what it starts, and that an SSH key of the account gets in."""
    collector = (resource("userdata") / "probe" / COLLECTOR).read_text()
    config: dict[str, Any] = {
        "manage_etc_hosts": False,
        "vendor_data": {"enabled": False},
        "ssh_pwauth": False,
        "disable_root": False,
        "users": [],
        "write_files": [{"path": f"/{COLLECTOR}", "content": Block(collector)}],
        "runcmd": [["systemd-run", "--collect", f"--unit={UNIT}", "/usr/bin/python3", f"/{COLLECTOR}"]],
    }
    return f"#cloud-config\n# made by `gen probe`\n{dump(config)}"


def user_data(told: Told, *, length: int) -> str:
    """Join the document with what this droplet is told, and fill it up to so many bytes.

    Raises:
        ValueError: it is longer as it is.
    """
    hook = _hook(told)
    bare = envelope(document(), hook)
    missing = length - len(bare)
    if missing < len(_FILLING):
        raise ValueError(f"the user-data has {len(bare):,} bytes, of {length:,}")
    filling = "#" * (missing - len(_FILLING) - 1) + "\n" if missing > len(_FILLING) else ""
    return envelope(document() + _FILLING + filling, hook)


def _hook(told: Told) -> str:
    """Write a script without a variable part outside of quoted here-documents."""
    return (
        "#!/bin/sh\n"
        "set -eu\n"
        "umask 077\n"
        f"mkdir -p {_RUN}\n"
        f"cat > {_RUN}/probe.json <<'{_END}'\n"
        f"{json.dumps(_values(told), indent=2)}\n"
        f"{_END}\n"
        f"cat > {_RUN}/ear.py <<'{_END}'\n"
        f"{_EAR}"
        f"{_END}\n"
        # at once, and not only when the system is up
        f"systemd-run --collect --no-block --property=DefaultDependencies=no --unit={UNIT}-ear"
        f" /usr/bin/python3 {_RUN}/ear.py\n"
    )


def _values(told: Told) -> Mapping[str, Any]:
    values: dict[str, Any] = {
        "version": 1,
        "name": told.name,
        "url": told.url,
        "ssh_key": told.ssh_key,
        "downloads": list(told.downloads),
    }
    if told.peer_url is not None:
        values["peer"] = {
            "url": told.peer_url,
            "foreign": list(FOREIGN),
            "seconds": WAIT_SECONDS,
            "listening": LISTEN_SECONDS,
            "longer": LONGER_SECONDS,
        }
    if told.volume is not None:
        device, gib = told.volume
        values["volume"] = {"device": device, "gib": gib, "seconds": PATIENCE_SECONDS}
    if told.is_reserved:
        values["reserved"] = {"port": REACHED, "seconds": PATIENCE_SECONDS}
    return values
