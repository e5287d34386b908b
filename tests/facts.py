"""Makes inventories of keys that nobody made: every fact is a function of its name, so golden files hold no key."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import replace
from datetime import date
from hashlib import sha256
from pathlib import Path

from generator.pki import plain_keys
from generator.plan.debugging import Debugging
from generator.plan.decide import Plan
from generator.plan.inventory import Inventory, KeyFact
from generator.plan.project import Project

CLUSTER_ID = "0f1e2d3c-4b5a-4978-8695-a4b3c2d1e0ff"


def load(file: Path, inventory: Inventory | None = None) -> Project:
    """Load a description with made-up facts for all of its keys."""
    bare = Project.load(file)
    named = replace(bare, inventory=inventory or Inventory(CLUSTER_ID, bare.spec.name))
    planned = named.plan
    names = [node.name for node in planned.nodes]
    known = inventory.numbers if inventory else {}
    facts = Inventory(
        cluster_id=CLUSTER_ID,
        name=planned.name,
        numbers={**known, **{node.name: node.number for node in planned.nodes}},
        keys=(
            *(_material(item.path, published=item.kind.is_published) for item in plain_keys.planned(names)),
            *(
                KeyFact(
                    row.path,
                    row.subject,
                    row.sans,
                    "2027-11-22T08:30:00Z",
                    _digest(row.path),
                    certificate=_shown(row.path) if row.is_authority else None,
                )
                for row in planned.certificates
            ),
        ),
        bundles={name: _digest(f"bundle of {name}") for name in names},
        secrets=_digest("secrets of addons"),
    )
    return replace(named, inventory=facts)


def debugged(plan: Plan) -> Plan:
    """Give the same cluster while two people debug it."""
    return replace(plan, debug=Debugging(("anna", "ben's laptop"), date(2026, 12, 24)))


def _material(path: str, *, published: bool) -> KeyFact:
    public = sha256(f"public {path}".encode()).digest()
    shown = b64encode(public).decode() if published else None
    return KeyFact(path, sha256=sha256(public).hexdigest(), public=shown)


def _shown(path: str) -> str:
    """Give something in the place of an authority's certificate, which others are told of."""
    return b64encode(f"certificate of {path}".encode()).decode()


def _digest(name: str) -> str:
    return sha256(name.encode()).hexdigest()
