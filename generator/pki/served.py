"""Puts certificates with which addons serve among what addons keep secret: ours from the table, and the user's own.

The user's is two files beside a cluster's keys; every way in which they can't serve is told before they are sealed.
"""

from __future__ import annotations

import itertools
from collections.abc import Generator, Iterator, Mapping
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID

from generator.clock import stamp
from generator.errors import Problem
from generator.pki import addon_secrets, private_directory
from generator.pki.issue import fingerprint, is_signed_by, subject
from generator.plan import names
from generator.plan.certificates import METRICS_SERVER, ORDER_BOOK
from generator.plan.decide import Plan
from generator.plan.inventory import ORDER_BOOK_GIVEN, KeyFact
from generator.plan.serving import Given

PLACES: Mapping[str, str] = {
    METRICS_SERVER: f"{addon_secrets.DIRECTORY}/{METRICS_SERVER}/serving",
    ORDER_BOOK: f"{addon_secrets.DIRECTORY}/{names.ORDER_BOOK_WEB}/{ORDER_BOOK}",
}
"""Path of a certificate in the table, and where below the store the Secret that it becomes has its values."""
_CERTIFICATE_HINT = "it holds the server's certificate and behind it those between that and its authority, in PEM"
_KEY_HINT = "it holds one private key in PEM, without a passphrase: nobody could type it on a node"


def values(store_path: Path, plan: Plan, files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Give the content of each value by the path below the store at which one of a Secret lies.

    Args:
        store_path: where the user's files are.
        plan: says which certificates there are, and which files are the user's.
        files: what the store holds, by path below it.
    """
    found: dict[str, bytes] = {}
    for row in plan.certificates:
        if row.path in PLACES:
            found |= _secret(PLACES[row.path], files.get(f"{row.path}.crt"), files.get(f"{row.path}.key"))
    if plan.given is not None:
        pair = (private_directory.read(store_path / name) for name in (plan.given.certificate, plan.given.key))
        found |= _secret(PLACES[ORDER_BOOK], *pair)
    return found


def fact(store_path: Path, plan: Plan) -> KeyFact | None:
    """Say what may be known of the user's certificate: which it is and when it ends; None where there is none."""
    content = private_directory.read(store_path / plan.given.certificate) if plan.given else None
    if content is None:
        return None
    first = x509.load_pem_x509_certificates(content)[0]
    return KeyFact(ORDER_BOOK_GIVEN, expires=stamp(first.not_valid_after_utc), sha256=fingerprint(first))


def mistakes(store_path: Path, plan: Plan, *, now: datetime | None = None) -> Iterator[Problem]:
    """Find everything for which a certificate can't be served; without `now` nothing is expired."""
    places = [PLACES[row.path] for row in plan.certificates if row.path in PLACES]
    places += [PLACES[ORDER_BOOK]] if plan.given else []
    for place in places:
        if (store_path / place).exists():
            hint = "take that away: it is made of the certificate that the plan knows"
            yield Problem(
                "is there, where a certificate of the cluster's belongs", where=str(store_path / place), hint=hint
            )
    if plan.given is not None:
        yield from _Pair(store_path, plan.given, plan.order_book_host, now).mistakes()


def _secret(place: str, certificate: bytes | None, key: bytes | None) -> dict[str, bytes]:
    parts = {f"{place}/tls.crt": certificate, f"{place}/tls.key": key}
    return {path: content for path, content in parts.items() if content is not None}


class _Pair:
    """One look at the user's two files."""

    def __init__(self, store_path: Path, given: Given, host: str, now: datetime | None) -> None:
        self._certificate, self._key = store_path / given.certificate, store_path / given.key
        self._host, self._now = host, now

    def mistakes(self) -> Iterator[Problem]:
        chain = yield from self._chain()
        key = yield from self._private()
        if not chain:
            return
        yield from self._first(chain[0])
        for number, (one, signer) in enumerate(itertools.pairwise(chain), start=1):
            if not is_signed_by(one, signer):
                message = f"its certificate {number + 1} ({subject(signer)}) has not signed certificate {number}"
                yield self._problem(f"{message} ({subject(one)})")
        if key is not None and key.public_key() != chain[0].public_key():
            yield Problem(f"is not the key of `{self._certificate.name}`", where=str(self._key), hint=_KEY_HINT)

    def _chain(self) -> Generator[Problem, None, list[x509.Certificate] | None]:
        content = private_directory.read(self._certificate)
        if content is None:
            yield self._problem("is not there, and `order_book.certificate` names it")
            return None
        if b"PRIVATE KEY-----" in content:
            yield self._problem("holds a private key: that is served to nobody, and has a file of its own")
        try:
            return x509.load_pem_x509_certificates(content)
        except ValueError:
            yield self._problem("holds no certificates in PEM, or a damaged one")
            return None

    def _private(self) -> Generator[Problem, None, PrivateKeyTypes | None]:
        content = private_directory.read(self._key)
        wrong = "is not there, and `order_book.key` names it"
        if content is not None:
            try:
                return serialization.load_pem_private_key(content, password=None)
            except TypeError:
                wrong = "is encrypted"
            except (ValueError, UnsupportedAlgorithm):
                wrong = "holds no private key in PEM, or a damaged one"
        yield Problem(wrong, where=str(self._key), hint=_KEY_HINT)
        return None

    def _first(self, first: x509.Certificate) -> Iterator[Problem]:
        """Judge the certificate that a visitor is shown as the server's own."""
        if _is_authority(first):
            yield self._problem(f"begins with an authority's certificate ({subject(first)})")
            return
        if not _serves(first):
            yield self._problem(f"its first certificate ({subject(first)}) is not for servers")
        called = _names(first)
        if not any(_covers(name, self._host) for name in called):
            message = f"is for {', '.join(f'`{name}`' for name in called) or 'no name'}"
            hint = "`order_book.host` says under which name it is served, and a certificate has to name it"
            yield Problem(f"{message}, the order book is `{self._host}`", where=str(self._certificate), hint=hint)
        hint = "put its successor into the file, then `gen render` and `gen launch`"
        if self._now is not None and first.not_valid_after_utc <= self._now:
            message = f"expired at {stamp(first.not_valid_after_utc)}"
            yield Problem(message, where=str(self._certificate), hint=hint)
        if self._now is not None and first.not_valid_before_utc > self._now:
            message = f"does not hold before {stamp(first.not_valid_before_utc)}"
            yield Problem(message, where=str(self._certificate), hint=hint)

    def _problem(self, message: str) -> Problem:
        return Problem(message, where=str(self._certificate), hint=_CERTIFICATE_HINT)


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return bool(certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca)
    except x509.ExtensionNotFound:
        return False


def _serves(certificate: x509.Certificate) -> bool:
    """Tell whether a visitor takes it for a server's; one that says nothing of its purpose is for all."""
    try:
        purposes = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return True
    return bool({ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE} & set(purposes))


def _names(certificate: x509.Certificate) -> list[str]:
    """Name what it may be called; a common name counts for nothing, to any browser of today."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return found.get_values_for_type(x509.DNSName)


def _covers(name: str, host: str) -> bool:
    """Tell whether a name is a host's; `*` stands for the first label alone.

    >>> _covers("*.example.com", "book.example.com"), _covers("*.example.com", "a.book.example.com")
    (True, False)

    Source: RFC 9525, section 6.3
    """
    name = name.lower()
    if not name.startswith("*."):
        return name == host
    return host.partition(".")[2] == name[2:]
