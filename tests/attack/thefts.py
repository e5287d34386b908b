"""Lists the thefts: what each takes, from where the thief goes on, and what that reached."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from generator.lab.connection import connection
from generator.lab.settings import credentials
from generator.lab.state import ANYBODY_ADDRESS
from tests.attack import bucket, stage
from tests.attack.loot import Loot, below
from tests.attack.pull_request import pull_request
from tests.attack.stage import CONTROL_PLANE, WORKER, Stage
from tests.e2e import secrets

PORTS = (22, 80, 443, 2379, 2380, 4443, 6443, 7443, 10249, 10250, 10256, 10257, 10259)
AT_ONCE = 4
Reached = dict[str, list[str]]


@dataclass(frozen=True)
class Theft:
    """One theft; `play` carries it out against a stage and says, by column, what it reached."""

    what: str
    play: Callable[[Stage], Reached]


def _document(on: Stage) -> Reached:
    taken = below(on.cluster.directory, "rendered", "cluster.yaml", "releases")
    return _from_the_internet(on, taken)


def _user_data(on: Stage) -> Reached:
    return _from_the_internet(on, {"user-data": stage.user_data(on, WORKER)})


def _user_data_in_time(on: Stage) -> Reached:
    return _from_the_internet(on, on.quick)


def _bucket_key(on: Stage) -> Reached:
    there = connection(on.cluster.lab)
    taken = bucket.everything(there)
    return _from_the_internet(on, taken) | {"bucket": bucket.with_its_key(there)}


def _state_key(on: Stage) -> Reached:
    there = on.with_state_key
    return _from_the_internet(on, bucket.snapshots(there)) | {"bucket": bucket.with_state_key(there)}


def _control_plane(on: Stage) -> Reached:
    reached = _root(CONTROL_PLANE)(on)
    reached["bucket"] = sorted({*reached["bucket"], *bucket.with_state_key(on.with_state_key)})
    return reached


def _pod(application: str) -> Callable[[Stage], Reached]:
    def play(on: Stage) -> Reached:
        pid = on.pod_process(application)
        return _reached(on, stage.mounted(pid), stage.enter(pid=pid), ())

    return play


def _root(node: str) -> Callable[[Stage], Reached]:
    def play(on: Stage) -> Reached:
        taken = stage.on_disk(on.process(node)) | {"user-data": stage.user_data(on, node)}
        return _reached(on, taken, stage.enter(namespace=on.droplets[node]["namespace"]), (node,))

    return play


def _kubeconfig(on: Stage) -> Reached:
    taken = {"operator.conf": (on.store / "operator.conf").read_bytes()}
    return _reached(on, taken, stage.enter(namespace=on.cluster.lab.operator_namespace), ())


def _pull_request(on: Stage) -> Reached:
    return {"repository": pull_request(on)}


THEFTS = (
    Theft("a document, and all that is committed", _document),
    Theft("a document with its launch part, once the node is up", _user_data),
    Theft("a document with its launch part, while the node boots", _user_data_in_time),
    Theft("the key of the bucket", _bucket_key),
    Theft("the key of the bucket for snapshots", _state_key),
    Theft("the order book's pod", _pod("limit-order-book")),
    Theft("the ingress's pod", _pod("traefik")),
    Theft("metrics-server's pod", _pod("metrics-server")),
    Theft("root of a worker", _root(WORKER)),
    Theft("root of a control-plane node", _control_plane),
    Theft("the kubeconfig of every day, on the operator's network", _kubeconfig),
    Theft("the right to open a pull request", _pull_request),
)


def play_all(on: Stage, say: Callable[[str], None]) -> dict[str, Reached]:
    """Play every theft, several at once: most of the time a thief waits for doors that stay closed."""
    _ = on.droplets, on.objects, on.with_state_key  # looked at once, before many do

    def play(theft: Theft) -> Reached:
        reached = theft.play(on)
        say(theft.what)
        return reached

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return dict(zip((theft.what for theft in THEFTS), pool.map(play, THEFTS), strict=True))


def _from_the_internet(on: Stage, taken: Mapping[str, bytes]) -> Reached:
    return _reached(
        on, taken, stage.enter(namespace=on.cluster.lab.operator_namespace), (), source=str(ANYBODY_ADDRESS)
    )


def _reached(
    on: Stage, taken: Mapping[str, bytes], command: list[str], own: tuple[str, ...], source: str = ""
) -> Reached:
    """Try everything with what was taken; `own` names the nodes whose loss is the theft itself."""
    loot = Loot(taken)
    plan = _plan(on, loot, own) | {"source": source}
    reached = stage.try_within(command, plan)
    reached["keys"] = _keys(on, loot)
    reached["bucket"] = bucket.with_addresses(connection(on.cluster.lab), loot.presigned())
    account = credentials(on.cluster.lab)
    held = {"the account's token": account.token, "the bucket's key": account.spaces_secret}
    reached["account"] = [
        name for name, value in held.items() if any(value.encode() in each for each in taken.values())
    ]
    return {column: sorted(found) for column, found in reached.items() if found}


def _plan(on: Stage, loot: Loot, own: tuple[str, ...]) -> dict[str, Any]:
    targets: dict[str, tuple[str, tuple[int, ...]]] = {}
    for number, (node, droplet) in enumerate(sorted(on.droplets.items()), start=1):
        targets[f"{node}, public"] = (droplet["public"], PORTS)
        targets[f"{node}, VPC"] = (droplet["private"], PORTS)
        targets[f"{node}, planned"] = (f"10.44.0.{number}", PORTS)
    targets |= {
        "API": ("10.43.0.1", (443,)),
        "loopback": ("127.0.0.1", PORTS),
        "database": (on.pod("postgres")["status"]["podIP"], (5432,)),
    }
    pods = [
        {
            "namespace": pod["metadata"]["namespace"],
            "name": pod["metadata"]["name"],
            "uid": pod["metadata"]["uid"],
            "account": pod["spec"]["serviceAccountName"],
        }
        for pod in on.objects["pods"]
    ]
    namespaces: dict[str, dict[str, list[str]]] = {
        item["metadata"]["name"]: {"accounts": [], "secrets": []} for item in on.objects["namespaces"]
    }
    for kind, key in (("serviceaccounts", "accounts"), ("secrets", "secrets")):
        for item in on.objects[kind]:
            namespaces[item["metadata"]["namespace"]][key].append(item["metadata"]["name"])
    nodes = [name for name in on.droplets if name not in own]
    return {
        "targets": targets,
        "apis": ["API", *(f"{node}, {way}" for node in on.droplets for way in ("planned", "public"))],
        "kubelets": [f"{node}, planned" for node in on.droplets],
        "identities": [
            {"name": each.name, "certificate": each.certificate, "key": each.key, "token": each.token}
            for each in loot.identities()
        ],
        "namespaces": namespaces,
        "nodes": nodes,
        "pods": pods,
    }


def _keys(on: Stage, loot: Loot) -> list[str]:
    """Name the keys of the operator's store that were taken, a node's together."""
    found = {hit.partition(" in ")[0] for hit in secrets.search(secrets.of_store(on.store), loot.files)}
    by_node: dict[str, set[str]] = {}
    for name in found:
        owned = re.fullmatch(r"nodes/([^/]+)/(.+?)(\.key)?", name)
        if owned:
            by_node.setdefault(owned[1], set()).add(owned[2])
    plain = {name for name in found if not name.startswith("nodes/")}
    return [*plain, *(f"{node}: {', '.join(sorted(names))}" for node, names in by_node.items())]
