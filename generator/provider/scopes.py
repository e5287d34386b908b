"""Says which scopes a token needs: one table, and the scope that each request is refused without."""

from __future__ import annotations

import re
from collections.abc import Mapping

SCOPES: Mapping[str, tuple[str, ...]] = {
    "account": ("read",),
    "actions": ("read",),
    "block_storage": ("create", "read", "delete"),
    "block_storage_action": ("create",),
    "droplet": ("create", "read", "update", "delete"),
    "firewall": ("create", "read", "update", "delete"),
    "image": ("read", "delete"),
    "regions": ("read",),
    "reserved_ip": ("create", "read", "update", "delete"),
    "sizes": ("read",),
    "spaces_key": ("create_credentials", "read", "delete"),
    "ssh_key": ("create", "read", "delete"),
    "tag": ("create", "read", "delete"),
    "vpc": ("create", "read", "update", "delete"),
}
"""Source: https://docs.digitalocean.com/reference/api/scopes/; `actions` and `regions` are needed by others of them."""
_VERBS = {"GET": "read", "POST": "create", "PUT": "update", "PATCH": "update", "DELETE": "delete"}
_RESOURCES = {
    "account/keys": "ssh_key",
    "account": "account",
    "actions": "actions",
    "droplets": "droplet",
    "firewalls": "firewall",
    "images": "image",
    "regions": "regions",
    "reserved_ips": "reserved_ip",
    "sizes": "sizes",
    "spaces/keys": "spaces_key",
    "tags": "tag",
    "volumes/[^/]+/actions": "block_storage_action",
    "volumes": "block_storage",
    "vpcs": "vpc",
}


def needed(method: str, path: str) -> str | None:
    """Name the scope that a request needs first of all; None where nothing is known of the path.

    >>> needed("DELETE", "/v2/account/keys/5"), needed("GET", "/v2/account")
    ('ssh_key:delete', 'account:read')
    """
    found = re.match(rf"/v2/({'|'.join(_RESOURCES)})(/|$)", path)
    if found is None or method not in _VERBS:
        return None
    name = next(name for pattern, name in _RESOURCES.items() if re.fullmatch(pattern, found[1]))
    # Some say otherwise what a POST is: one makes a secret, the others move or change what is there.
    changes = {"droplet": "update", "reserved_ip": "update"}
    others = {"spaces_key": "create_credentials", **changes} if method == "POST" else {}
    is_other = name == "spaces_key" or path.endswith("/actions")
    return f"{name}:{others.get(name, _VERBS[method]) if is_other else _VERBS[method]}"


def text() -> str:
    """Name all of them in one line."""
    return "; ".join(f"{name} ({', '.join(verbs)})" for name, verbs in SCOPES.items())
