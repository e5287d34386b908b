"""Joins a reviewed document, byte for byte, with what only the launch knows, as one MIME message."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Any

from generator.catalogue import USER_DATA_BYTES
from generator.clock import stamp
from generator.errors import Problem

VERSION = 1

_TARGET = "/run/hardway/launch.json"
_END = "END_OF_LAUNCH"


@dataclass(frozen=True)
class Resealed:
    """What the operator has sealed anew for one node: where it lies, its SHA-256, and the identity of age for it.

    `plain_sha256` is that of what is in it; a node fetches no more than `sealed_bytes`.
    """

    url: str = field(repr=False)
    sha256: str
    identity: str = field(repr=False)
    plain_sha256: str
    sealed_bytes: int


@dataclass(frozen=True)
class LaunchFacts:
    """What one node is told at its launch and never in its document.

    `generation` is the lowest that the node may accept of the roster; `addons_url` is a prefix, to be followed by
    `<sha256>.tar`; after `expires` the bundle can't be fetched and no status be put. `restore` is the snapshot that
    etcd's first member begins with, where there is to be one.
    """

    node: str
    bundle_url: str = field(repr=False)
    bundle_key: bytes = field(repr=False)
    roster_url: str
    addons_url: str
    status_url: str = field(repr=False)
    generation: int
    expires: datetime
    restore: Resealed | None = None


def multipart(document: str, launch: LaunchFacts) -> str:
    """Make the user data of a droplet: the document, then a boothook that leaves `launch.json` on the node.

    cloud-init runs a boothook before everything else, and at every boot; a second cloud-config would replace the
    lists of the first.

    Raises:
        Problem: the whole is more than the provider accepts.

    Source: https://docs.cloud-init.io/en/latest/explanation/format/mime.html
    """
    text = envelope(document, _hook(launch))
    if len(text) > USER_DATA_BYTES:
        message = f"user data is {len(text):,} bytes, the provider accepts {USER_DATA_BYTES:,}"
        raise Problem(message, where=launch.node, hint=f"the document alone is {len(document):,} bytes")
    return text


def envelope(document: str, hook: str) -> str:
    """Join a cloud-config and a boothook, both plain ASCII in lines."""
    for part in (document, hook):
        if not part.isascii() or "\r" in part or not part.endswith("\n"):
            raise ValueError("a part is plain ASCII, in lines that end with a line feed")
    # Derived from what it separates, the boundary can't occur in it.
    boundary = f"hardway-{sha256((document + hook).encode()).hexdigest()[:32]}"
    return (
        f'Content-Type: multipart/mixed; boundary="{boundary}"\nMIME-Version: 1.0\n\n'
        f"--{boundary}\n{_headers('text/cloud-config', 'document.yaml')}\n{document}"
        f"\n--{boundary}\n{_headers('text/cloud-boothook', 'launch')}\n{hook}"
        f"\n--{boundary}--\n"
    )


def launch_json(launch: LaunchFacts) -> str:
    """Write the facts as the node reads them."""
    values: dict[str, Any] = {
        "version": VERSION,
        "node": launch.node,
        "bundle_url": launch.bundle_url,
        "bundle_key": base64.b64encode(launch.bundle_key).decode(),
        "roster_url": launch.roster_url,
        "addons_url": launch.addons_url,
        "status_url": launch.status_url,
        "generation": launch.generation,
        "expires": stamp(launch.expires),
    }
    if launch.restore is not None:
        values["restore"] = {
            "url": launch.restore.url,
            "sha256": launch.restore.sha256,
            "identity": launch.restore.identity,
            "sealed_bytes": launch.restore.sealed_bytes,
        }
    return json.dumps(values, indent=2) + "\n"


def _headers(kind: str, name: str) -> str:
    return (
        f'Content-Type: {kind}; charset="us-ascii"\n'
        "Content-Transfer-Encoding: 7bit\n"
        f'Content-Disposition: attachment; filename="{name}"\n'
    )


def _hook(launch: LaunchFacts) -> str:
    """Write a script without a variable part outside of one quoted here-document."""
    return (
        "#!/bin/sh\n"
        "set -eu\n"
        "umask 077\n"
        "mkdir -p /run/hardway\n"
        f"cat > {_TARGET}.new <<'{_END}'\n"
        f"{launch_json(launch)}"
        f"{_END}\n"
        f"mv {_TARGET}.new {_TARGET}\n"
    )
