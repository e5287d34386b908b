"""Asks the API server through this node's balancer, with the kubelet's own credential or another of this node's."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator
from typing import Any

from hardway import fetch, here
from hardway.here import Failure

KUBELET = "kubelet-client"
# With the bootstrap job's credential, which control-plane nodes alone have.
KUBECTL = ("kubectl", "--kubeconfig=/etc/kubernetes/bootstrap.conf", "--cache-dir=/run/hardway/kubectl")
NOT_KNOWN = 404
# etcd takes no object of more than 1.5 MiB, and what is listed here are a few small ones.
LIMIT_BYTES = 4 << 20


def api(
    method: str,
    path: str,
    body: Any = None,
    kind: str = "application/json",
    *,
    seconds: float = 20,
    identity: str = KUBELET,
) -> tuple[int, Any]:
    """Send one request; return status and object, or its text where it is none."""
    data = json.dumps(body).encode() if body is not None else None
    headers = {"Content-Type": kind}
    context = _context(identity)
    status, text, _ = fetch.ask(_url(path), data, method, headers, context, seconds=seconds, limit_bytes=LIMIT_BYTES)
    return status, here.parse(text) if text.startswith(b"{") else text.decode(errors="replace")


def patch(path: str, body: Any, *, seconds: float = 20, identity: str = KUBELET) -> tuple[int, Any]:
    """Change an object where `body` says something else."""
    return api("PATCH", path, body, "application/merge-patch+json", seconds=seconds, identity=identity)


def watch(path: str, seconds: float, identity: str = KUBELET) -> Iterator[dict[str, Any]]:
    """Give the events of a watch as they come; it ends after so many seconds, or with the connection."""
    for line in fetch.lines(_url(path), _context(identity), seconds):
        yield here.parse(line)


def _url(path: str) -> str:
    return f"https://127.0.0.1:{here.facts()['balancer_port']}{path}"


def _context(identity: str) -> ssl.SSLContext:
    pki = here.at("/etc/kubernetes/pki")
    try:
        context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
        context.load_cert_chain(pki / f"{identity}.crt", pki / f"{identity}.key")
    except OSError as error:
        raise Failure(f"the credential {identity} can't be read: {error}") from None
    return context
