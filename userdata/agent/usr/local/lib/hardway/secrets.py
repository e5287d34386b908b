"""Fetches this node's sealed bundle once, unseals and checks it, and writes its files."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import socket
import tarfile
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

from hardway import fetch, here
from hardway.here import Failure, Terminal

DONE = "/etc/hardway/secrets.done"
NONCE_BYTES = 12


def step() -> None:
    """Do nothing when the pinned bundle is in place, else bring it; then forget the unsealing key."""
    facts, done = here.facts(), here.at(DONE)
    if socket.gethostname() != facts["node"]:
        raise Terminal(f"the droplet is `{socket.gethostname()}`, its document is for `{facts['node']}`")
    if not done.exists() or done.read_text() != facts["bundle_sha256"]:
        launch = here.launch()
        if "bundle_url" not in launch:
            raise Failure("the launch part names no bundle")
        unpack(unseal(download(launch), launch["bundle_key"], facts))
        kept = {key: value for key, value in launch.items() if not key.startswith("bundle_")}
        here.write(here.KEPT, json.dumps(kept))
        os.sync()
        here.write(DONE, facts["bundle_sha256"])
        os.sync()  # who hears of it removes the bundle
        print("the bundle is unsealed, checked and written", flush=True)
    here.at(here.LAUNCH).unlink(missing_ok=True)


def download(launch: dict[str, Any]) -> bytes:
    """Fetch the sealed bundle.

    Raises:
        Terminal: its address has expired, the one thing that trying again can't mend.
        Failure: anything else; the bundle may not be there yet.
    """
    status, body, headers = fetch.ask(launch["bundle_url"])
    if status == 200:
        return body
    # By the store's clock, for ours may be wrong.
    date = headers["Date"]
    is_late = bool(date) and parsedate_to_datetime(date) > datetime.fromisoformat(launch["expires"])
    if status in (400, 403) and (is_late or b"has expired" in body):
        raise Terminal(f"the bundle's address expired ({launch['expires']}): this droplet has to be recreated")
    raise Failure(f"the bundle can't be fetched: answer {status}")


def unseal(sealed: bytes, key: str, facts: dict[str, Any]) -> bytes:
    """Open the bundle; it has to be this node's, with the content its document pins."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    bound_to = f"hardway-bundle-v1/{facts['cluster_id']}/{facts['node']}".encode()
    nonce, text = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
    try:
        content = AESGCM(base64.b64decode(key)).decrypt(nonce, text, bound_to)
    except (InvalidTag, ValueError):
        raise Terminal("the bundle can't be unsealed: it is damaged, or another node's") from None
    if hashlib.sha256(content).hexdigest() != facts["bundle_sha256"]:
        raise Terminal("the bundle's content is not what this node's document pins")
    return content


def unpack(content: bytes) -> None:
    """Write the bundle's files with their owners and modes, each whole or not at all."""
    with tarfile.open(fileobj=io.BytesIO(content)) as bundle:
        for member in bundle:
            file = bundle.extractfile(member)
            if file is None:
                raise Terminal(f"`{member.name}` of the bundle is no file")
            here.write(member.name, file.read(), member.mode, member.uname, member.gname)
