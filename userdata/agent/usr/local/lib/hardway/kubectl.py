"""Runs kubectl with the bootstrap job's own credential."""

from __future__ import annotations

import json
from typing import Any

from hardway import here
from hardway.kube import KUBECTL

MANAGER = "hardway"


def kubectl(*words: str, stdin: str | None = None, timeout: float = 120) -> str:
    """Run kubectl; give what it prints."""
    return here.run(*KUBECTL, *words, stdin=stdin, timeout=timeout)


def server_side(text: str) -> None:
    """Apply objects as field manager `hardway`."""
    words = ("apply", "--server-side", "--force-conflicts", f"--field-manager={MANAGER}", "--filename=-")
    kubectl(*words, stdin=text, timeout=600)


def find(kind: str, name: str, namespace: str = "kube-system") -> dict[str, Any] | None:
    """Get an object, or None."""
    place = [f"--namespace={namespace}"] if namespace else []
    text = kubectl("get", kind, name, *place, "--ignore-not-found", "--output=json")
    return json.loads(text) if text else None
