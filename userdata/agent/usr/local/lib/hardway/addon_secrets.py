"""Brings the sealed archive of what addons keep secret, opens it, and says which Secrets that makes."""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Callable, Iterable
from typing import Any

from hardway import here, sealed
from hardway.sealed import KEY

LABEL = "hardway-addon-secrets-v1"
LABELS = {"hardway/sealed": "true"}
MARK = re.compile(r"@secret/([a-z0-9-]+)/([a-z0-9.-]+)@")


def wanted(digest: str | None) -> list[dict[str, Any]]:
    """Give the Secrets that a roster wants; none before it names an archive."""
    found = sealed.opened(LABEL, digest, "sealed", "the addons' secrets") if digest else {"secrets": []}
    return [secret_object(secret) for secret in found["secrets"]]


def secret_object(secret: dict[str, Any]) -> dict[str, Any]:
    """Make a Secret of its entry."""
    metadata = {"name": secret["name"], "namespace": secret["namespace"], "labels": LABELS}
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
    label = ",".join(f"{key}={value}" for key, value in LABELS.items())
    text = kubectl("get", "secrets", "--all-namespaces", f"--selector={label}", "--output=json")
    for one in json.loads(text)["items"] if text else ():
        namespace, name = one["metadata"]["namespace"], one["metadata"]["name"]
        kind = types.get((namespace, name))
        if (kind is None) if gone else (kind not in (None, one["type"])):
            kubectl("delete", "secret", name, f"--namespace={namespace}", "--ignore-not-found")
