"""Writes the tutorial's description, and keeps `keys/` out of version control."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, get_args

from generator import worktree
from generator.description import values
from generator.description.load import DESCRIPTION
from generator.errors import Problem, raise_all
from generator.files import resource
from generator.validation import Misfit, shown

Template = Literal["tutorial", "single"]
TEMPLATES = get_args(Template)
_COUNTS: Mapping[Template, int] = {"tutorial": 3, "single": 1}
_BESIDE_KEYS = (".gitignore", "README.md")
_COMMENT_COLUMN = 34
LIMIT_BYTES = 64 * 1024


def init(
    directory: Path, name: str, release: str, *, api: Sequence[str] = (), template: Template = "tutorial"
) -> tuple[Path, ...]:
    """Write what a new cluster needs, and give the files that were written.

    Args:
        directory: where they go.
        name: the cluster's.
        release: the lock to build from.
        api: networks or addresses that may reach the API.
        template: the tutorial's three nodes, or a single one.

    Raises:
        Problem: there is a description already; it is never overwritten.
        Problems: the name, the release's or an address is not possible.
    """
    raise_all(_impossible(name, release, api))
    file = directory / DESCRIPTION.name
    if os.path.lexists(file):
        hint = "edit it, or make the new cluster in another directory: `gen init --directory DIR`"
        raise Problem("there is a description already", where=str(file), hint=hint)
    directory.mkdir(parents=True, exist_ok=True)
    worktree.make_directory(directory, "keys", mode=0o700)
    files = {f"keys/{beside}": (resource("keys") / beside).read_bytes() for beside in _BESIDE_KEYS}
    files[DESCRIPTION.name] = description(name, release, api, template).encode()
    present = {path: worktree.read(directory, path, limit_bytes=LIMIT_BYTES) for path in files}
    missing = {path: content for path, content in files.items() if present[path] is None}
    for path, content in missing.items():
        worktree.write(directory, path, content)
    return tuple(directory / path for path in missing)


def description(name: str, release: str, api: Sequence[str] = (), template: Template = "tutorial") -> str:
    """Give a template's description under a name."""
    networks = ", ".join(str(values.access(each)) for each in api)
    filled = {
        "release": f"release: {release}".ljust(_COMMENT_COLUMN - 1),
        "api": f"  api: [{networks}]".ljust(_COMMENT_COLUMN - 1),
        "count": _COUNTS[template],
    }
    return _DESCRIPTION.format(name=name, **filled)


def _impossible(name: str, release: str, api: Sequence[str]) -> Iterator[Problem]:
    access = ((values.access, each) for each in api)
    for check, value in ((values.cluster_name, name), (values.release_name, release), *access):
        try:
            check(value)
        except Misfit as misfit:
            yield Problem(f"{shown(value)} is {misfit.message}", hint=misfit.hint)


_DESCRIPTION = """\
# One cluster. `gen check` reports every mistake in this file, `gen render` turns it into documents to be reviewed.
name: {name}
region: fra1                      # where the droplets are
{release} # a lock file: every binary, package and image by digest
image: debian-13-x64              # the droplet's own image, the one thing that has no digest

network:                          # four networks that may not overlap
  vpc: 10.77.0.0/20               # the provider gives each droplet an address of it; nothing is built on that
  nodes: 10.44.0.0/24             # planned addresses: node number 1 is 10.44.0.1 for life
  pods: 10.42.0.0/16              # one /24 per node: node number 1 has 10.42.0.0/24
  services: 10.43.0.0/16          # 10.43.0.1 is the API, 10.43.0.10 is DNS
  datapath: mesh                  # mesh: WireGuard between all nodes, inside the VPC; vpc: plain routes, not encrypted

pools:                            # node01, node02, …; control-plane nodes are 1, 3 or 5 in all
- {{name: node, role: control-plane, schedulable: true, count: {count}, size: s-2vcpu-4gb, volumes: [{{name: data, size: 10}}]}}

access:
{api} # who may reach port 6443: your own address on the internet; nobody else may

spaces:                           # where the nodes find their sealed secrets; a name nobody else has
  bucket: {name}-hardway
  region: fra1

ingress:
  namespaces: []                  # your own, whose Ingresses are served: the ingress reads Secrets there

# What the cluster runs, in this order. The first is the network for pods, for life: `cilium`, or `bridge`, which is
# smaller and enforces no NetworkPolicy.
addons: [cilium, coredns, ingress, metrics-server, order-book]
"""  # noqa: E501
