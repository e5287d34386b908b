"""Makes `description.md`: the keys from the schema, and what a change of each does, found by carrying it out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from generator.description import rules, tutorial
from generator.description.schema import ClusterSpec
from tests.described import OPERATOR

from .effects import Effects, listed
from .keys import Key, keys

RELEASE, OTHER_RELEASE = "k8s-1.36", "of-our-own"
DEBUG = {"ssh_keys": ["anna"], "until": "2026-12-10"}
GIVEN = {"certificate": "tls.crt", "key": "tls.key"}
SHOP = {"name": "shop", "manifests": "deploy/shop"}
KUSTOMIZED = {"name": "shop", "kustomization": "deploy/test"}
WORKERS = {"name": "worker", "role": "worker", "count": 2, "size": "s-2vcpu-4gb"}


@dataclass(frozen=True)
class Change:
    """Another value of a key; None where there is none.

    `pool` is the place of the pool or addon; `workers`, `debug` and `given` say that the tutorial's cluster
    has two workers, a `debug` or a certificate of the user's beside, because the change would not be valid without;
    `own` is an addon of the user's that it has besides.
    """

    value: Any
    pool: int = 0
    workers: bool = False
    debug: bool = False
    given: bool = False
    own: Mapping[str, Any] | None = None


CHANGES: Mapping[str, Change] = {
    "name": Change("trading"),
    "region": Change("ams3"),
    "release": Change(OTHER_RELEASE),
    "image": Change("hardway-k8s-1.36-0123456789ab@7"),
    "network.vpc": Change("10.111.0.0/20"),
    "network.nodes": Change("10.45.0.0/24"),
    "network.pods": Change("10.64.0.0/16"),
    "network.services": Change("10.65.0.0/16"),
    "network.datapath": Change("vpc"),
    "pools[].name": Change("plane"),
    "pools[].role": Change("control-plane", pool=1, workers=True),
    "pools[].schedulable": Change(False, workers=True),
    "pools[].count": Change(5),
    "pools[].size": Change("s-4vcpu-8gb"),
    "pools[].max_unavailable": Change(2, pool=1, workers=True),
    "pools[].public": Change("reserved"),
    "pools[].volumes[].name": Change("disk"),
    "pools[].volumes[].size": Change(20),
    "pools[].volumes[].filesystem": Change("xfs"),
    "access.api": Change(["28.51.100.0/24"]),
    "spaces.bucket": Change("trading-hardway"),
    "spaces.region": Change("ams3"),
    "spaces.state": Change("trading-snapshots"),
    "spaces.state_key": Change("state-key"),
    "snapshots.hourly": Change(0),
    "snapshots.daily": Change(30),
    "snapshots.weekly": Change(0),
    "ingress.namespaces": Change(["shop"]),
    "order_book.host": Change("book.example.com"),
    "order_book.certificate": Change("next.crt", given=True),
    "order_book.key": Change("next.key", given=True),
    "order_book.wipe": Change(True),
    "order_book.image": Change(f"docker.io/me/book:1@sha256:{'1a2b' * 16}"),
    "order_book.pull_secret": Change("docker.json"),
    "addons[].name": Change("store", pool=-1, own=SHOP),
    "addons[].manifests": Change("deploy/other", pool=-1, own=SHOP),
    "addons[].kustomization": Change("deploy/production", pool=-1, own=KUSTOMIZED),
    "addons[].after": Change(["coredns"], pool=-1, own=SHOP),
    "debug.ssh_keys": Change(["anna", "ben"], debug=True),
    "debug.until": Change("2026-12-24", debug=True),
}

HEAD = """\
# The description

Every key of `cluster.yaml`, with its value in the tutorial's as the example. Unknown keys are refused, and so is
whatever YAML would take for something else than it looks like. `gen check` reports all mistakes at once.

*Rendered* says which files differ when the key changes in the tutorial's cluster, *launch* what the next launch of the
running cluster does; both were found by carrying it out. A document that changes reaches its node with a new droplet
alone: destroy the old one and launch again. The roster and the addons reach running nodes by the launch itself.
`summary.md` and `inventory.yaml` are for the reader.

"""

TOGETHER = """\
## What keys have to agree on

* No two networks overlap, and none of them a network that the provider uses itself.
* Control-plane nodes are {counts} in all, each with 2 CPUs and 4 GB at least.
* Some node takes pods: a worker, or a control-plane node that is `schedulable`. A worker can't be told not to.
* Pools have different names, and `network.vpc`, `network.nodes` and `network.pods` have room for every node.
* Volumes of a pool have different names; in the account each is named by cluster, node and volume, in 64 characters.
* Addons are {addons}, each once. The first is {networks}, and there is no other of these. {needs}. One of your own has
  `manifests` or `kustomization`, and a name that none of these has.
* `debug` is left out, or has both of its keys: the section as a whole is what nobody should need.
* A certificate of yours is both `order_book.certificate` and `order_book.key`.
"""


def page(scratch: Path) -> str:
    """Give the page; clusters are rendered below an empty directory."""
    found = list(keys(ClusterSpec))
    assert [key.path for key in found] == list(CHANGES), "CHANGES has a change to try for each key, in their order"
    effects = Effects(scratch, RELEASE, OTHER_RELEASE)
    return HEAD + "\n".join([*(_section(key, effects) for key in found), _together()])


def _section(key: Key, effects: Effects) -> str:
    change = CHANGES[key.path]
    before, after = (_tutorial(change) for _ in range(2))
    place, name = _place(after, key.path, change.pool)
    old, place[name] = place.get(name, key.field.default), change.value
    example = _shown(change.value if old in (None, ()) else WORKERS.get(name, old) if change.workers else old)
    rows = [("type", key.kind), ("default", key.default), ("takes", "; ".join(key.rules)), ("example", f"`{example}`")]
    if change.value is None:
        rows += [("a change", "there is no other value yet")]
    else:
        effect = effects.of(before, after)
        beside = ", in a cluster with two workers more" if change.workers else ""
        was = "nothing" if old in (None, ()) else f"`{_shown(old)}`"
        rows += [("a change", f"{was} to `{_shown(change.value)}`{beside}")]
        rows += [("rendered", effect.rendered), ("launch", effect.launch)]
    table = [f"| {head} | {text} |" for head, text in rows if text]
    return "\n".join([f"## `{key.path}`\n", f"{key.about}\n", "| | |", "|---|---|", *table, ""])


def _tutorial(change: Change) -> dict[str, Any]:
    value: dict[str, Any] = yaml.safe_load(tutorial.description("orderbook", RELEASE, [OPERATOR]))
    value["pools"] += [dict(WORKERS)] if change.workers else []
    value |= {"debug": dict(DEBUG)} if change.debug else {}
    value |= {"order_book": dict(GIVEN)} if change.given else {}
    value["addons"] += [dict(change.own)] if change.own else []
    return value


def _place(value: Any, path: str, pool: int) -> tuple[dict[str, Any], str]:
    """Find the mapping that has a key, and the key's name in it."""
    *steps, name = path.split(".")
    for step in steps:
        value = value.setdefault(step.removesuffix("[]"), {})
        if step.endswith("[]"):
            value = value[pool]
    return value, name


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(value)}]"
    return value if isinstance(value, str) else json.dumps(value)


def _together() -> str:
    counts = [str(count) for count in rules.CONTROL_PLANE_COUNTS]
    return TOGETHER.format(
        counts=f"{', '.join(counts[:-1])} or {counts[-1]}",
        addons=listed(list(rules.ADDONS)),
        networks=listed(list(rules.NETWORKS)),
        needs="; ".join(
            f"`{addon}` needs {listed(before)} before it" for addon, before in rules.ADDONS.items() if before
        ),
    )
