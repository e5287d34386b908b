"""Holds the numbers of the nodes and the public facts of every key, as they are committed beside the documents."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter

from generator import strict_yaml, validation, worktree
from generator.errors import Problem, raise_all

LIMIT_BYTES = 4 * 1024 * 1024
HIGHEST_NUMBER = 65_535
RESTORE = "the committed inventory was changed by hand: restore it from the commit before, `git log -p` shows which"
OPERATOR_KEY = "operator"
"""Path of the operator's ed25519 signing key in the store."""
ORDER_BOOK_GIVEN = "order-book-given"
"""Path of the row that tells of the user's certificate for the order book: which it is and when it ends, no more."""

_HEADER = """\
# Made by `gen render`, to be committed: the numbers of the nodes and the public facts of every key.
# A row here without its key in `keys/` is an error, never a reason to make a new key.
"""


def wireguard_key(node: str) -> str:
    """Say where a node's WireGuard key lies in the store."""
    return f"nodes/{node}/wireguard"


def report_key(node: str) -> str:
    """Say where the key lies with which a node vouches for what it reports."""
    return f"nodes/{node}/report"


_Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
_Label = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", max_length=63)]


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
        certificate: base64 of its DER; None for a key without certificate.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    path: Annotated[str, Field(pattern=r"^[a-z0-9-]+(/[a-z0-9-]+)*$")]
    subject: Annotated[str, Field(pattern=r"^(CN=[a-zA-Z0-9:. -]+(,O=[a-zA-Z0-9:. -]+)?)?$", max_length=200)] = ""
    sans: tuple[Annotated[str, Field(pattern=r"^(DNS|IP):[a-zA-Z0-9.:-]+$", max_length=260)], ...] = ()
    expires: Annotated[str, Field(pattern=r"^[0-9]{4}(-[0-9]{2}){2}T[0-9]{2}(:[0-9]{2}){2}Z$")] | None = None
    sha256: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")] = ""
    public: Annotated[str, Field(pattern=r"^[A-Za-z0-9+/]{43}=$")] | None = None
    certificate: Annotated[str, Field(pattern=r"^[A-Za-z0-9+/]+={0,2}$", max_length=8192)] | None = None


@dataclass(frozen=True)
class Inventory:
    """Everything the plan has to know besides the description.

    `signature` is the operator's, in base64, over everything that no certificate vouches for (`pki/vouching`).
    `numbers` also keeps the numbers of removed nodes; `bundles` has the SHA-256 of each node's bundle, `secrets` that
    of the sealed archive of what addons keep secret, None before it was made.
    """

    cluster_id: str
    name: str
    numbers: Mapping[str, int] = field(default_factory=dict)
    keys: tuple[KeyFact, ...] = ()
    bundles: Mapping[str, str] = field(default_factory=dict)
    secrets: str | None = None
    signature: str = ""

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
    raise_all(_contradictions(stored, document))
    return Inventory(
        stored.cluster_id, stored.name, stored.numbers, stored.keys, stored.bundles, stored.secrets, stored.signature
    )


def dump(inventory: Inventory) -> str:
    """Write an inventory, one line per node and key; equal inventories give equal text."""
    numbers = dict(sorted(inventory.numbers.items(), key=lambda pair: pair[1]))
    head = {"version": 1, "name": inventory.name, "cluster_id": inventory.cluster_id, "numbers": numbers}
    secrets = {"secrets": inventory.secrets} if inventory.secrets else {}
    bundles = {"bundles": dict(sorted(inventory.bundles.items()))}
    rows = [_line(fact) for fact in sorted(inventory.keys, key=lambda fact: fact.path)]
    keys = "keys:\n" + "".join(rows) if rows else "keys: []\n"
    signature = {"signature": inventory.signature} if inventory.signature else {}
    return _HEADER + yaml.safe_dump({**head, **secrets, **bundles, **signature}, sort_keys=False, width=2**31) + keys


def _line(fact: KeyFact) -> str:
    row: dict[str, Any] = {
        "path": fact.path,
        "subject": fact.subject,
        "sans": list(fact.sans),
        "expires": fact.expires,
        "sha256": fact.sha256,
        "public": fact.public,
        "certificate": fact.certificate,
    }
    given = {key: value for key, value in row.items() if value}
    return "- " + yaml.safe_dump(given, default_flow_style=True, sort_keys=False, width=2**31)


class _Stored(BaseModel):
    """The file as it stands."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Literal[1]
    name: _Label
    cluster_id: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
    numbers: dict[_Label, Annotated[int, Field(strict=True, ge=1, le=HIGHEST_NUMBER)]]
    secrets: _Digest | None = None
    signature: Annotated[str, StringConstraints(pattern=r"^([A-Za-z0-9+/]{86}==)?$")] = ""
    bundles: dict[_Label, _Digest]
    keys: tuple[KeyFact, ...]


def _contradictions(stored: _Stored, document: strict_yaml.Document) -> Iterator[Problem]:
    """Find rows that can't both be true, or that contradict themselves: a merge that kept both sides, or a forger."""
    taken: dict[int, str] = {}
    for node, number in stored.numbers.items():
        if number in taken:
            message = f"`{node}` and `{taken[number]}` both have number {number}: one address for two nodes"
            hint = "of a merge that kept both sides keep the side that was launched, and `gen render` again"
            yield Problem(message, where=document.where(("numbers", node)), hint=hint)
        taken.setdefault(number, node)
    seen: set[str] = set()
    for index, fact in enumerate(stored.keys):
        where = document.where(("keys", index))
        if fact.path in seen:
            yield Problem(f"`{fact.path}` is listed twice", where=where)
        seen.add(fact.path)
        if fact.public is not None and sha256(base64.b64decode(fact.public)).hexdigest() != fact.sha256:
            message = f"`public` of `{fact.path}` is not the key that its `sha256` names"
            yield Problem(message, where=where, hint=RESTORE)
