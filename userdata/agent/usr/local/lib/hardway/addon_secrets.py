"""Brings the sealed archive of what addons keep secret, opens it, and says which Secrets that makes."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Callable, Iterable
from typing import Any

from hardway import fetch, here
from hardway.here import Failure

KEY = "/etc/hardway/addon-secrets.key"
VERSION = 1
NONCE_BYTES = 12
LABEL = {"hardway/sealed": "true"}
MARK = re.compile(r"@secret/([a-z0-9-]+)/([a-z0-9.-]+)@")


def wanted(digest: str | None) -> list[dict[str, Any]]:
    """Give the Secrets that a roster wants; none before it names an archive."""
    return [secret_object(secret) for secret in unseal(archive(digest))["secrets"]] if digest else []


def archive(digest: str) -> bytes:
    """Give the sealed archive as kept here or as the store has it, checked against the roster."""
    kept = here.at(f"/var/lib/hardway/addons/{digest}.sealed")
    if kept.exists() and hashlib.sha256(found := kept.read_bytes()).hexdigest() == digest:
        return bytes(found)
    status, body, _ = fetch.ask(f"{here.launch()['addons_url']}{digest}.sealed")
    if status != 200:
        raise Failure(f"the addons' secrets can't be fetched: answer {status}")
    if hashlib.sha256(body).hexdigest() != digest:
        raise Failure("the addons' secrets in the store are not those of the roster")
    here.write(str(kept.relative_to(here.ROOT)), body)
    return body


def unseal(sealed: bytes) -> dict[str, Any]:
    """Open the archive; it has to be this cluster's."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    key = base64.b64decode(here.at(KEY).read_bytes())
    bound_to = f"hardway-addon-secrets-v1/{here.facts()['cluster_id']}".encode()
    own = hmac.digest(hmac.digest(key, b"hardway-addon-secrets-v1 encrypt", "sha256"), b"", "sha256")
    try:
        text = AESGCM(own).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], bound_to)
    except (InvalidTag, ValueError):
        raise Failure("the addons' secrets can't be unsealed: they are damaged, or another cluster's") from None
    found = json.loads(text)
    if found["version"] != VERSION:
        raise Failure(f"the addons' secrets are of version {found['version']}, {VERSION} is known here")
    return dict(found)


def secret_object(secret: dict[str, Any]) -> dict[str, Any]:
    """Make a Secret of its entry."""
    metadata = {"name": secret["name"], "namespace": secret["namespace"], "labels": LABEL}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": secret["type"], "data": secret["data"]}


def marked(text: str, secrets: Iterable[dict[str, Any]]) -> str:
    """Write for each Secret that a pod template names a word that changes with it, so that its pods are replaced.

    Who may read the template must not be able to guess at the content: the word needs the key.
    """
    key = here.at(KEY).read_bytes()
    words = {
        (one["metadata"]["namespace"], one["metadata"]["name"]): hmac.new(
            key, json.dumps(one, sort_keys=True).encode(), "sha256"
        ).hexdigest()[:16]
        for one in secrets
    }
    return MARK.sub(lambda found: words.get((found[1], found[2]), "none"), text)


def clear(secrets: Iterable[dict[str, Any]], kubectl: Callable[..., str], *, gone: bool) -> None:
    """Delete those of our Secrets that are of another type now, which can't be changed; or those that are gone."""
    types = {(one["metadata"]["namespace"], one["metadata"]["name"]): one["type"] for one in secrets}
    label = ",".join(f"{key}={value}" for key, value in LABEL.items())
    text = kubectl("get", "secrets", "--all-namespaces", f"--selector={label}", "--output=json")
    for one in json.loads(text)["items"] if text else ():
        namespace, name = one["metadata"]["namespace"], one["metadata"]["name"]
        kind = types.get((namespace, name))
        if (kind is None) if gone else (kind not in (None, one["type"])):
            kubectl("delete", "secret", name, f"--namespace={namespace}", "--ignore-not-found")
