"""Reads what addons keep secret from the paths of files, and writes all of it as one text to be sealed; no disk.

`addons/<namespace>/<secret>/<key>` of a key store is one value of one Secret. The same values always give the same
bytes, so their digest changes only when one of them does.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from generator.pki import sealing

VERSION = 1
LIMIT_BYTES = 512 * 1024
"""Of all values; etcd takes no more than 1.5 MiB at once."""
DIRECTORY = "addons"
DOCKER, TLS = frozenset({".dockerconfigjson"}), frozenset({"tls.crt", "tls.key"})

SecretType = Literal["Opaque", "kubernetes.io/dockerconfigjson", "kubernetes.io/tls"]

_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
_KEY = re.compile(r"(?!\.\.)[-._a-zA-Z0-9]{1,253}")
_HALF_WRITTEN = re.compile(r"\..*\..{8}")
_NO_DOCKER = "is no pull secret"
_HELPER = "is a pull secret without credentials"
_HELPER_HINT = "with `credsStore` or `credHelpers` docker keeps them elsewhere; here they have to be in `auths`"
_SHAPE = f"{DIRECTORY}/<namespace>/<secret>/<key>"


@dataclass(frozen=True)
class Secret:
    """One Secret; what it holds tells its type, as Kubernetes wants a pull secret and a certificate to have theirs."""

    namespace: str
    name: str
    data: Mapping[str, bytes] = field(repr=False)

    @property
    def type(self) -> SecretType:
        """Give the type that its keys are those of."""
        if self.data.keys() == DOCKER:
            return "kubernetes.io/dockerconfigjson"
        return "kubernetes.io/tls" if self.data.keys() == TLS else "Opaque"


class Mistake(NamedTuple):
    """One thing that can't become a Secret, and what to do."""

    path: str
    message: str
    hint: str


def mistakes(files: Mapping[str, bytes], namespaces: Collection[str] | None = None) -> Iterator[Mistake]:
    """Find what can't become a Secret.

    Args:
        files: content by path below the store.
        namespaces: those that the addons make, where they are known.
    """
    for path in sorted(files):
        yield from _misnamed(path, namespaces)
    size = sum(len(content) for content in files.values())
    if size > LIMIT_BYTES:
        yield Mistake(DIRECTORY, f"holds {size:,} bytes", f"at most {LIMIT_BYTES:,} are sent to a cluster as secrets")
    for secret in parse(files):
        where = f"{DIRECTORY}/{secret.namespace}/{secret.name}"
        if secret.data.keys() & TLS and secret.data.keys() != TLS:
            hint = "Kubernetes wants `tls.crt` and `tls.key` in a certificate's, and nothing else"
            yield Mistake(where, f"holds {', '.join(f'`{key}`' for key in sorted(secret.data))}", hint)
        if secret.data.keys() & DOCKER:
            wrong = docker_mistake(*secret.data.values()) if secret.data.keys() == DOCKER else _NO_DOCKER
            hint = "a pull secret holds `.dockerconfigjson` alone, as `docker login` writes it into `config.json`"
            if wrong is not None:
                yield Mistake(where, wrong, _HELPER_HINT if wrong == _HELPER else hint)


def parse(files: Mapping[str, bytes]) -> tuple[Secret, ...]:
    """Gather files into Secrets, sorted; what is no value of one is left out."""
    found: dict[tuple[str, str], dict[str, bytes]] = {}
    for path, content in sorted(files.items()):
        parts = path.split("/")
        if len(parts) == len(_SHAPE.split("/")):
            found.setdefault((parts[1], parts[2]), {})[parts[3]] = content
    return tuple(Secret(namespace, name, data) for (namespace, name), data in sorted(found.items()))


def document(secrets: Collection[Secret]) -> bytes:
    """Write Secrets as the text that is sealed."""
    values = [
        {
            "namespace": secret.namespace,
            "name": secret.name,
            "type": secret.type,
            "data": {key: base64.b64encode(content).decode() for key, content in secret.data.items()},
        }
        for secret in secrets
    ]
    text = json.dumps({"version": VERSION, "secrets": values}, separators=(",", ":"), sort_keys=True).encode()
    return sealing.padded(text)


def _misnamed(path: str, namespaces: Collection[str] | None) -> Iterator[Mistake]:
    parts = path.split("/")
    if len(parts) != len(_SHAPE.split("/")):
        yield Mistake(path, "is no value of a Secret", f"a value lies at `{_SHAPE}`")
        return
    _, namespace, name, key = parts
    if not _LABEL.fullmatch(namespace):
        yield Mistake(path, f"`{namespace}` is no namespace", "use a-z, 0-9 and `-`, at most 63 characters (RFC 1123)")
    elif namespaces is not None and namespace not in namespaces:
        known = f"it makes {', '.join(sorted(namespaces))}" if namespaces else "its addons make none"
        yield Mistake(path, f"the cluster has no namespace `{namespace}` of an addon", known)
    if not _NAME.fullmatch(name):
        yield Mistake(
            path, f"`{name}` is no name of a Secret", "use a-z, 0-9, `-` and `.`, at most 253 characters (RFC 1123)"
        )
    if not _KEY.fullmatch(key):
        yield Mistake(path, f"`{key}` is no key of a Secret", "use a-z, A-Z, 0-9, `-`, `_` and `.`")
    elif _HALF_WRITTEN.fullmatch(key):
        yield Mistake(
            path,
            f"`{key}` is named as what this program leaves when it is killed",
            "give it another name, or delete it",
        )


def docker_mistake(content: bytes) -> str | None:
    """Say what is wrong with docker's `config.json` as a pull secret; nothing when it opens some registry."""
    if _auths(content) is None:
        return _NO_DOCKER
    return None if registries(content) else _HELPER


def registries(content: bytes) -> tuple[str, ...]:
    """Name the registries to which docker's `config.json` has credentials, as it names them.

    Source: https://kubernetes.io/docs/concepts/containers/images/#config-json
    """
    auths = _auths(content) or {}
    return tuple(name for name, entry in auths.items() if isinstance(entry, dict) and _opens(entry))


def _opens(entry: Mapping[str, object]) -> bool:
    return bool(entry.get("auth") or (entry.get("username") and entry.get("password")))


def _auths(content: bytes) -> Mapping[str, object] | None:
    try:
        values = json.loads(content)
    except (ValueError, RecursionError):
        return None
    auths = values.get("auths") if isinstance(values, dict) else None
    return auths if isinstance(auths, dict) else None
