"""Says with whose certificate the order book is served, and which authorities others are told to believe."""

from __future__ import annotations

import base64
import ssl
from dataclasses import dataclass

from generator.description.schema import OrderBookSpec
from generator.plan.certificates import CLUSTER_AUTHORITY, INGRESS_AUTHORITY
from generator.plan.inventory import ORDER_BOOK_GIVEN, Inventory


@dataclass(frozen=True)
class Given:
    """A certificate of the user's, its chain behind it, and its key: names of files in the private store.

    `sha256` is that of the first certificate, empty until `gen render` has seen it.
    """

    certificate: str
    key: str
    sha256: str = ""


def given(book: OrderBookSpec, known: Inventory) -> Given | None:
    """Give the user's certificate for the order book; None where it is one of ours."""
    fact = known.key(ORDER_BOOK_GIVEN)
    seen = fact.sha256 if fact else ""
    return Given(book.certificate, book.key, seen) if book.certificate and book.key else None


def authorities(known: Inventory) -> dict[str, str]:
    """Give the certificates of those authorities that others are told to believe, in PEM by their path."""
    facts = {path: known.key(path) for path in (CLUSTER_AUTHORITY, INGRESS_AUTHORITY)}
    found = {path: fact.certificate for path, fact in facts.items() if fact and fact.certificate}
    return {path: ssl.DER_cert_to_PEM_cert(base64.b64decode(der)) for path, der in found.items()}
