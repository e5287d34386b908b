"""Holds the numbers of the nodes and the public facts of every key, as they are committed beside the documents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter

from generator import strict_yaml, validation, worktree

LIMIT_BYTES = 4 * 1024 * 1024
OPERATOR_KEY = "operator"
"""Path of the operator's ed25519 signing key in the store."""

_HEADER = """\
# Made by `gen render`, to be committed: the numbers of the nodes and the public facts of every key.
# A row here without its key in `keys/` is an error, never a reason to make a new key.
"""


def wireguard_key(node: str) -> str:
    """Say where a node's WireGuard key lies in the store."""
    return f"nodes/{node}/wireguard"


@dataclass(frozen=True)
class KeyFact:
    """What may be known of one key.

    Args:
        path: where the key lies in the store, without extension.
        subject: `CN=…,O=…`, empty for a key without certificate.
        sans: `DNS:…` and `IP:…`.
        expires: end of the certificate in UTC, `2027-11-22T10:00:00Z`; None for a key without certificate.
        sha256: hex digest of the certificate, or of the public key.
        public: base64 of the 32 raw bytes of an ed25519 or WireGuard public key, None for others.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    path: str
    subject: str = ""
    sans: tuple[str, ...] = ()
    expires: str | None = None
    sha256: str = ""
    public: str | None = None


@dataclass(frozen=True)
class Inventory:
    """Everything the plan has to know besides the description.

    `numbers` also keeps the numbers of removed nodes; `bundles` has the SHA-256 of each node's bundle.
    """

    cluster_id: str
    name: str
    numbers: Mapping[str, int] = field(default_factory=dict)
    keys: tuple[KeyFact, ...] = ()
    bundles: Mapping[str, str] = field(default_factory=dict)

    def key(self, path: str) -> KeyFact | None:
        """Find the row of a key."""
        return next((fact for fact in self.keys if fact.path == path), None)

    def public(self, path: str) -> str:
        """Give the public part of a key, empty while there is no such row."""
        fact = self.key(path)
        return (fact.public or "") if fact else ""


def load(path: Path, *, base: Path | None = None) -> Inventory | None:
    """Read a committed inventory; None when nothing was rendered yet.

    Args:
        base: the directory below which no link is followed; the file's own unless given.

    Raises:
        Problems: the file is not as `dump` writes it.
    """
    base = base or path.parent
    data = worktree.read(base, path.relative_to(base).as_posix(), limit_bytes=LIMIT_BYTES)
    if data is None:
        return None
    document = strict_yaml.parse(data, str(path), limit_bytes=LIMIT_BYTES)
    stored = validation.read(TypeAdapter(_Stored), document, keys=lambda _: list(_Stored.model_fields))
    return Inventory(stored.cluster_id, stored.name, stored.numbers, stored.keys, stored.bundles)


def dump(inventory: Inventory) -> str:
    """Write an inventory, one line per node and key; equal inventories give equal text."""
    numbers = dict(sorted(inventory.numbers.items(), key=lambda pair: pair[1]))
    head = {"version": 1, "name": inventory.name, "cluster_id": inventory.cluster_id, "numbers": numbers}
    bundles = {"bundles": dict(sorted(inventory.bundles.items()))}
    rows = [_line(fact) for fact in sorted(inventory.keys, key=lambda fact: fact.path)]
    keys = "keys:\n" + "".join(rows) if rows else "keys: []\n"
    return _HEADER + yaml.safe_dump(head, sort_keys=False) + yaml.safe_dump(bundles, sort_keys=False) + keys


def _line(fact: KeyFact) -> str:
    row: dict[str, Any] = {
        "path": fact.path,
        "subject": fact.subject,
        "sans": list(fact.sans),
        "expires": fact.expires,
        "sha256": fact.sha256,
        "public": fact.public,
    }
    given = {key: value for key, value in row.items() if value}
    return "- " + yaml.safe_dump(given, default_flow_style=True, sort_keys=False, width=2**31)


_Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class _Stored(BaseModel):
    """The file as it stands."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Literal[1]
    name: str
    cluster_id: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
    numbers: dict[str, Annotated[int, Field(strict=True, ge=1)]]
    bundles: dict[str, _Digest]
    keys: tuple[KeyFact, ...]
