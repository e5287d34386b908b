"""Reads the order book's pull secret, a file beside a cluster's keys, as the value of a Secret that it becomes."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from urllib.parse import urlsplit

from generator.errors import Problem
from generator.pki import addon_secrets, private_directory
from generator.plan import images
from generator.plan.decide import Plan

PLACE = f"{addon_secrets.DIRECTORY}/order-book/registry/.dockerconfigjson"
"""Whence it is sealed: the Secret that the order book's service account names among its `imagePullSecrets`."""
_HINT = 'it is written as {"auths": {"<registry>": {"auth": "<base64 of user:token>"}}}, with mode 0600'


def read(store_path: Path, plan: Plan) -> dict[str, bytes]:
    """Give the content by the path below the store at which a Secret's value lies; nothing where none is named."""
    content = private_directory.read(store_path / plan.pull_secret) if plan.pull_secret else None
    return {} if content is None else {PLACE: content}


def mistakes(store_path: Path, plan: Plan) -> Iterator[Problem]:
    """Find out that the file is missing, opens another registry or none, or is one of two pull secrets."""
    if plan.pull_secret is None:
        return
    path = store_path / plan.pull_secret
    content = private_directory.read(path)
    if (store_path / PLACE).exists():
        hint = "take that away, or the key out of the description"
        yield Problem(f"would take the place of `{PLACE}`, which is there too", where=str(path), hint=hint)
    if content is None:
        yield Problem("is not there, and `order_book.pull_secret` names it", where=str(path), hint=_HINT)
    elif wrong := addon_secrets.docker_mistake(content):
        yield Problem(wrong, where=str(path), hint=_HINT)
    else:
        yield from _of_another(path, content, plan)


def _of_another(path: Path, content: bytes, plan: Plan) -> Iterator[Problem]:
    image = plan.release.image(images.ORDER_BOOK).reference
    names = addon_secrets.registries(content)
    if not any(_opens(name, image) for name in names):
        message = f"opens {', '.join(f'`{name}`' for name in names)}, the order book's image is `{image}`"
        yield Problem(message, where=str(path), hint=_HINT)


def _opens(name: str, image: str) -> bool:
    """Tell whether the kubelet takes an entry for an image: by host, whose labels may be patterns, and start of path.

    Source: `Add`, `URLsMatch` and `Lookup` in pkg/credentialprovider/keyring.go of Kubernetes 1.36
    """
    try:
        entry = urlsplit(name if name.startswith(("https://", "http://")) else f"https://{name}")
    except ValueError:
        return False
    start = entry.path[3:] if entry.path.startswith(("/v1/", "/v2/")) else entry.path
    host, _, rest = image.partition("/")
    if host == "docker.io" and (entry.netloc, start) in (("index.docker.io", ""), ("index.docker.io", "/")):
        return True
    is_host = entry.netloc.count(".") == host.count(".") and fnmatchcase(host, entry.netloc)
    return is_host and (start == "/" or f"/{rest}".startswith(start))
