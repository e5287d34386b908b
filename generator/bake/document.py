"""Builds the user-data of a droplet that is made to be copied: what it has to bring, and what of the agent does that.

Nothing of it stays on the disk: all but the list of files lies in memory, and the droplet removes that.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from generator.catalogue import USER_DATA_BYTES
from generator.cluster.launch_part import envelope
from generator.documents import agent
from generator.documents.user_data import LOGINS, MASKED, Block, dump
from generator.files import resource
from generator.manifests.images import kept_as
from generator.plan.baking import Content
from generator.release.lock_file import Artifact, Package

UNIT = "hardway-bake"
SCRIPT = PurePosixPath("usr/local/lib/hardway_bake.py")
_RUN = f"/run/{UNIT}"
_LAUNCH = "/run/hardway/launch.json"
_AGENT = PurePosixPath("usr/local/lib/hardway")
_END = "END_OF_BAKE"
# Its database is for pods' runtimes, and this droplet never has any.
_CONTAINERD = """\
version = 3
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.cri.v1.images", "io.containerd.cri.v1.runtime"]
"""


@dataclass(frozen=True)
class Told:
    """What the droplet is told beside its document.

    `url` takes what it says of itself, `addons_url` is where a launch keeps packages.
    """

    name: str
    url: str = field(repr=False)
    addons_url: str


def document(content: Content) -> str:
    """Write the cloud-config: what is pinned, and who brings it; there is no secret in it."""
    files = {f"{_RUN}/{SCRIPT.name}": (resource("userdata") / "bake" / SCRIPT).read_text()}
    files |= {f"{_RUN}/lib/{path.relative_to(_AGENT.parent)}": text for path, text in modules("binaries").items()}
    files |= {f"{_RUN}/containerd.toml": _CONTAINERD, "/etc/hardway/artifacts.json": _listed(content)}
    config: dict[str, Any] = {
        "manage_etc_hosts": False,
        "vendor_data": {"enabled": False},
        "ssh_pwauth": False,
        "disable_root": True,
        "allow_public_ssh_keys": False,
        "users": [],
        # not for good: the next first boot decides that itself
        "bootcmd": [["systemctl", "--no-block", "--runtime", "mask", "--now", *LOGINS, *MASKED]],
        "write_files": [{"path": path, "content": Block(text)} for path, text in sorted(files.items())],
        "runcmd": [["systemd-run", "--collect", f"--unit={UNIT}", "/usr/bin/python3", f"{_RUN}/{SCRIPT.name}"]],
    }
    return f"#cloud-config\n# made by `gen bake`, for {content.name}\n{dump(config)}"


def user_data(content: Content, told: Told) -> str:
    """Join the document with what this one droplet is told.

    Raises:
        ValueError: it is more than the provider takes.
    """
    text = envelope(document(content), _hook(content, told))
    if len(text) > USER_DATA_BYTES:
        raise ValueError(f"the user-data has {len(text):,} bytes, of {USER_DATA_BYTES:,}")
    return text


def modules(first: str) -> Mapping[PurePosixPath, str]:
    """Give a module of the agent's and all of its others that it needs, by their paths on a node."""
    there = {PurePosixPath(path): data.decode() for path, data in agent.files().items()}
    found: dict[PurePosixPath, str] = {}
    missing = [first]
    while missing:
        path = _AGENT / f"{missing.pop()}.py"
        if path in there and path not in found:
            found[path] = there[path]
            missing += _needed(there[path])
    return found


def _needed(source: str) -> list[str]:
    names = []
    for one in ast.walk(ast.parse(source)):
        if isinstance(one, ast.ImportFrom) and one.module == _AGENT.name:
            names += [alias.name for alias in one.names]
        elif isinstance(one, ast.ImportFrom) and (one.module or "").startswith(f"{_AGENT.name}."):
            names.append(str(one.module).partition(".")[2])
    return names


def _listed(content: Content) -> str:
    """Write the files as a node's document does, one a line."""
    artifacts = [{**_entry(one), "install": dict(one.install)} for one in content.artifacts]
    lists = {"artifacts": artifacts, "packages": [_entry(one) for one in content.packages]}
    joint = ",\n"
    parts = [f'"{name}": [\n{joint.join(map(json.dumps, entries))}\n]' for name, entries in lists.items()]
    return f'{{\n"version": 1,\n{joint.join(parts)}\n}}\n'


def _entry(one: Artifact | Package) -> dict[str, Any]:
    size = {"size": one.size} if one.size else {}
    return {"name": one.name, "sha256": one.sha256, **size, "urls": list(one.urls)}


def _hook(content: Content, told: Told) -> str:
    """Write a script without a variable part outside of quoted here-documents."""
    values = {"version": 1, "name": told.name, "url": told.url, "images": [kept_as(image) for image in content.images]}
    launch = {"version": 1, "addons_url": told.addons_url}
    script = "#!/bin/sh\nset -eu\numask 077\n"
    for path, value in ((f"{_RUN}/told.json", values), (_LAUNCH, launch)):
        directory = PurePosixPath(path).parent
        script += f"mkdir -p {directory}\ncat > {path} <<'{_END}'\n{json.dumps(value, indent=2)}\n{_END}\n"
    return script
