"""Holds how the provider is reached: credentials, endpoints, and a proxy and CA where there are any."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from generator.errors import Problem, raise_all

TOKEN = "DIGITALOCEAN_TOKEN"  # noqa: S105 - the variable's name
SPACES_KEY_ID = "SPACES_ACCESS_KEY_ID"
SPACES_SECRET = "SPACES_SECRET_ACCESS_KEY"  # noqa: S105 - the variable's name


@dataclass(frozen=True)
class Connection:
    """Credentials and endpoints of one account.

    `spaces_endpoint` may hold `{region}`. `proxy` is an HTTP CONNECT proxy for everything, droplets
    included; `ca_file` replaces the public authorities.
    """

    token: str = field(repr=False)
    spaces_key_id: str = field(repr=False)
    spaces_secret: str = field(repr=False)
    api_endpoint: str = "https://api.digitalocean.com"
    spaces_endpoint: str = "https://{region}.digitaloceanspaces.com"
    proxy: str | None = None
    ca_file: Path | None = None


def from_environment(environment: Mapping[str, str] = os.environ) -> Connection:
    """Read credentials, and overrides of both endpoints, from the environment.

    Raises:
        Problems: a variable is missing or holds white space; all are named, no value is shown.
    """
    problems = []
    for name in (TOKEN, SPACES_KEY_ID, SPACES_SECRET):
        value = environment.get(name, "")
        if not value:
            problems.append(Problem(f"`{name}` is not set", hint=f"export {name}=…, or use `--lab`"))
        elif value != value.strip() or len(value.split()) != 1:
            problems.append(Problem(f"`{name}` holds white space"))
    raise_all(problems)
    return Connection(
        token=environment[TOKEN],
        spaces_key_id=environment[SPACES_KEY_ID],
        spaces_secret=environment[SPACES_SECRET],
        api_endpoint=environment.get("DIGITALOCEAN_ENDPOINT", Connection.api_endpoint),
        spaces_endpoint=environment.get("SPACES_ENDPOINT", Connection.spaces_endpoint),
    )
