"""Finds secrets in any of the shapes in which they leak: as written, raw, base64, hex."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, x25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

PUBLIC = re.compile(r"\.(crt|pub)$|cluster-id$|README|\.gitignore$")


def shapes(raw: bytes) -> set[bytes]:
    """Give a secret's raw bytes in every shape that is searched for."""
    return {
        raw,
        base64.b64encode(raw),
        base64.b64encode(raw).rstrip(b"="),
        raw.hex().encode(),
        raw.hex().upper().encode(),
    }


def of_text(text: str) -> set[bytes]:
    """Give a secret that is used as text in every shape."""
    found = shapes(text.encode())
    if re.fullmatch(r"[A-Za-z0-9+/]{43}=", text):
        found |= shapes(base64.b64decode(text))
    if re.fullmatch(r"[0-9a-f]{64}", text):
        found |= shapes(bytes.fromhex(text))
    return found


def of_private_key(pem: bytes) -> set[bytes]:
    """Give a private key as its scalar, as DER, and as the lines of its PEM body."""
    key = load_pem_private_key(pem, password=None)
    if isinstance(key, ec.EllipticCurvePrivateKey):
        scalar = key.private_numbers().private_value.to_bytes(32, "big")
    else:
        assert isinstance(key, ed25519.Ed25519PrivateKey | x25519.X25519PrivateKey)
        scalar = key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
    body = [line for line in pem.splitlines() if not line.startswith(b"-----")]
    der = base64.b64decode(b"".join(body))
    # A line of the body counts if it holds much of the scalar: others are the algorithm, or the public key.
    start = der.index(scalar)
    lines, at = set(), 0
    for line in body:
        end = at + len(base64.b64decode(line))
        if min(end, start + len(scalar)) - max(at, start) >= 16:
            lines.add(line)
        at = end
    # A kubeconfig holds the whole PEM in base64 once more.
    return shapes(scalar) | shapes(der) | shapes(pem) | lines


def of_store(store: Path) -> dict[str, set[bytes]]:
    """Read every secret below a cluster's `keys/`, by the file it lies in."""
    found: dict[str, set[bytes]] = {}
    for path in sorted(store.rglob("*")):
        if not path.is_file() or PUBLIC.search(path.name) or path.suffix == ".conf":
            continue
        content = path.read_bytes()
        name = str(path.relative_to(store))
        if b"PRIVATE KEY" in content:
            found[name] = of_private_key(content)
        else:
            found[name] = of_text(content.decode().strip())
    return found


def search(secrets: Mapping[str, Iterable[bytes]], places: Mapping[str, bytes]) -> list[str]:
    """Say which secret stands in which place."""
    return [
        f"{name} in {place}"
        for place, content in places.items()
        for name, forms in secrets.items()
        if any(form in content for form in forms if len(form) >= 16)
    ]
