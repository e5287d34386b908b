"""Keeps the book: who the peers are, whether etcd may form, which addons hold; the last good one is never given up."""

from __future__ import annotations

import base64
import json
from typing import Any

from hardway import fetch, here, mesh
from hardway.here import Failure

CONTEXT = b"hardway-book-v1\n"


def step() -> None:
    """Read the book again; mesh and addons follow its changes."""
    before = here.read(here.BOOK)
    book, _ = refresh()
    # What was applied is compared, not what was known: another step may have read the book first.
    if mesh.exists() and here.read(mesh.APPLIED) != mesh.peers(here.facts(), book):
        mesh.follow(book)
    if before and before["addons"] != book["addons"] and here.facts()["role"] == "control-plane":
        here.run("systemctl", "try-restart", "--no-block", "hardway-bootstrap.service")


def refresh() -> tuple[dict[str, Any], bool]:
    """Return the newest book, and whether the store has just confirmed it.

    Raises:
        Failure: no book is new enough, neither in the store nor here.
    """
    launch = here.launch()
    known = here.read(here.BOOK)
    if known and known["generation"] < launch["generation"]:
        known = None
    try:
        book = _newest(launch, known)
    except Failure as error:
        if not known:
            raise
        print(f"generation {known['generation']} of the book still holds: {error}", flush=True)
        return known, False
    if book != known:
        here.write(here.BOOK, json.dumps(book))
        print(f"generation {book['generation']} of the book holds", flush=True)
    return book, True


def _newest(launch: dict[str, Any], known: dict[str, Any] | None) -> dict[str, Any]:
    status, text, _ = fetch.ask(launch["book_url"])
    if status != 200:
        raise Failure(f"the book can't be fetched: answer {status}")
    book = verify(text, here.facts())
    lowest = known["generation"] + 1 if known else launch["generation"]
    if book != known and book["generation"] < lowest:
        raise Failure(f"the store's book is of generation {book['generation']}, at least {lowest} is due")
    return book


def verify(text: bytes, facts: dict[str, Any]) -> dict[str, Any]:
    """Return what the operator signed for this cluster; nothing is believed before its signature."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        outer = json.loads(text)
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(facts["operator_public_key"]))
        key.verify(base64.b64decode(outer["signature"]), CONTEXT + outer["payload"].encode())
        book: dict[str, Any] = json.loads(outer["payload"])
        found = book["version"], book["cluster_id"]
    except (InvalidSignature, ValueError, LookupError, TypeError, AttributeError) as error:
        raise Failure(f"the book is not as the operator signs it ({type(error).__name__})") from None
    if found != (1, facts["cluster_id"]):
        raise Failure("the book is another cluster's, or of a format not known here")
    return book
