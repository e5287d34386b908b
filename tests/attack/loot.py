"""Holds what a thief has read, and finds every credential in it, whatever it lies in."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization

_PEM = re.compile(rb"-----BEGIN ([A-Z ]+)-----\n[A-Za-z0-9+/=\n]+-----END \1-----\n?")
_EMBEDDED = re.compile(rb"LS0tLS1CRUdJTi[A-Za-z0-9+/]+=*")
_TOKEN = re.compile(rb"eyJ[A-Za-z0-9_-]+\.eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_ADDRESS = re.compile(rb"https://[^\s\"']+X-Amz-Signature=[0-9a-f]{64}")
LIMIT_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True)
class Identity:
    """A credential for TLS or HTTP and whom it names; either a certificate with its key, or a token."""

    name: str
    certificate: str = field(default="", repr=False)
    key: str = field(default="", repr=False)
    token: str = field(default="", repr=False)


@dataclass(frozen=True)
class Loot:
    """Every file a thief has, by where it lay."""

    files: Mapping[str, bytes] = field(repr=False)

    def identities(self) -> list[Identity]:
        """Pair every certificate with its private key, wherever the two lie, and read every token; each once."""
        blocks = [block for content in self.files.values() for block in _blocks(content)]
        keys = {}
        for block in blocks:
            if b"PRIVATE KEY" in block.splitlines()[0]:
                key = serialization.load_pem_private_key(block, password=None)
                keys[_spki(key.public_key())] = block.decode()
        found = {}
        for block in blocks:
            if block.startswith(b"-----BEGIN CERTIFICATE-----"):
                certificate = x509.load_pem_x509_certificate(block)
                if key_pem := keys.get(_spki(certificate.public_key())):
                    found[block] = Identity(_subject(certificate), block.decode(), key_pem)
        for content in self.files.values():
            for token in _TOKEN.findall(content):
                found[token] = Identity(subject(token.decode()), token=token.decode())
        return list(found.values())

    def presigned(self) -> set[str]:
        """Find every presigned address."""
        return {found.decode() for content in self.files.values() for found in _ADDRESS.findall(content)}


def below(root: Path, *places: str) -> dict[str, bytes]:
    """Read what a thief takes from some places of a file system: every file that is not huge."""
    found: dict[str, bytes] = {}
    for place in places:
        start = root / place.lstrip("/")
        for path in [start] if start.is_file() else sorted(start.rglob("*")):
            try:
                if path.is_file() and path.stat().st_size <= LIMIT_BYTES:
                    found["/" + str(path.relative_to(root))] = path.read_bytes()
            except OSError:
                continue  # it went away, or is a device's
    return found


def subject(token: str) -> str:
    """Say whom a service account's token names, without believing it.

    >>> body = base64.urlsafe_b64encode(b'{"sub":"system:serviceaccount:a:b"}').decode().rstrip("=")
    >>> subject(f"eyJ.{body}.x")
    'system:serviceaccount:a:b'
    """
    body = token.split(".")[1]
    try:
        return str(json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))["sub"])
    except (ValueError, KeyError, binascii.Error):
        return "a token of nobody"


def _blocks(content: bytes) -> Iterator[bytes]:
    for match in _PEM.finditer(content):
        yield match[0]
    for embedded in _EMBEDDED.findall(content):
        try:
            plain = base64.b64decode(embedded)
        except binascii.Error:
            continue
        for match in _PEM.finditer(plain):
            yield match[0]


def _spki(key: object) -> bytes:
    der, form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    return bytes(key.public_bytes(der, form))  # type: ignore[attr-defined]


def _subject(certificate: x509.Certificate) -> str:
    return certificate.subject.rfc4514_string()
