"""Plans small clusters and makes their keys, for tests that need some."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from generator.description.schema import ClusterSpec
from generator.pki import store as key_store
from generator.pki.store import KeyStore
from generator.plan.decide import Plan, plan
from generator.plan.inventory import Inventory
from generator.release.lock_file import Release

NOW = datetime(2026, 11, 22, 8, 30, tzinfo=UTC)
DEBUG_UNTIL = date(2026, 12, 1)
CLUSTER_ID = "3d6f0a4e-8f5b-4c7e-9a53-0d6a3c1b2e4f"


def planned(
    inventory: Inventory | None = None,
    *,
    name: str = "orderbook",
    pool: str = "node",
    control_planes: int = 3,
    workers: int = 1,
    services: str = "10.43.0.0/16",
    debug: str | None = None,
) -> Plan:
    """Plan a cluster; without an inventory its id is `CLUSTER_ID` and it has no keys yet; `debug` names an SSH key."""
    spec = ClusterSpec.model_validate(
        {
            "name": name,
            "region": "fra1",
            "release": "k8s-1.36",
            "image": "debian-13-x64",
            "network": {
                "vpc": "10.110.0.0/20",
                "nodes": "10.44.0.0/24",
                "pods": "10.42.0.0/16",
                "services": services,
            },
            "pools": [
                {"name": pool, "role": "control-plane", "count": control_planes, "size": "s-2vcpu-4gb"},
                {
                    "name": "worker",
                    "role": "worker",
                    "count": workers,
                    "size": "s-2vcpu-4gb",
                    "volumes": [{"name": "data", "size": 10}],
                },
            ],
            "access": {"api": ["28.51.100.7/32"]},
            "spaces": {"bucket": "orderbook-hardway", "region": "fra1"},
            "addons": ["bridge", "coredns"],
            "debug": {"ssh_keys": [debug], "until": str(DEBUG_UNTIL)} if debug else None,
        }
    )
    release = Release("k8s-1.36", "v1.36.4", (), (), ())
    return plan(spec, release, inventory or Inventory(CLUSTER_ID, name, {}))


def inventory_of(planned: Plan, store: KeyStore) -> Inventory:
    """Write down what is known of a store, as `gen render` commits it."""
    numbers = {node.name: node.number for node in planned.nodes}
    return Inventory(store.cluster_id, planned.name, numbers, key_store.facts(store, planned))


def made(path: Path, *, now: datetime = NOW, **shape: int) -> tuple[Plan, KeyStore, Inventory]:
    """Make a whole store, and plan again with what is then known."""
    identity = Inventory(key_store.cluster_id(path), "orderbook", {})
    first = planned(identity, **shape)
    store = key_store.ensure(path, first, None, now=now)
    inventory = inventory_of(first, store)
    return planned(inventory, **shape), store, inventory


def unseal(sealed: bytes, key: bytes, cluster_id: str, node: str) -> bytes:
    """Open a bundle as a node does.

    Raises:
        InvalidTag: the key is another's, the bundle is for another node, or a byte has changed.
    """
    bound_to = f"hardway-bundle-v1/{cluster_id}/{node}".encode()
    return AESGCM(key).decrypt(sealed[:12], sealed[12:], bound_to)
