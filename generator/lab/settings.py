"""Records what one lab serves, how unkind it is and what credentials it takes; written once, read by its daemon."""

from __future__ import annotations

import secrets
import string
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from generator.errors import Problem
from generator.lab.state import State, read_record, write_record
from generator.lab.unkindness import Unkindness

FIRST_PROXY_PORT = 8443


@dataclass(frozen=True)
class Settings:
    """Everything the daemon has to know.

    `files` are local paths by address, `registries` storage directories by registry, `tools` programs by name.
    """

    release: str
    hosts: tuple[str, ...]
    files: Mapping[str, Path]
    registries: Mapping[str, Path]
    tools: Mapping[str, Path]
    root: Path
    regions: tuple[str, ...]
    unkind: Unkindness

    def write(self, state: State) -> None:
        """Write the record of the lab."""
        paths = {name: _texts(getattr(self, name)) for name in ("files", "registries", "tools")}
        record = {
            "release": self.release,
            "hosts": list(self.hosts),
            "root": str(self.root),
            "regions": list(self.regions),
            "unkind": asdict(self.unkind),
            **paths,
        }
        write_record(state.directory / "settings.json", record)

    @classmethod
    def read(cls, state: State) -> Settings:
        """Read the record of the lab.

        Raises:
            Problem: there is none.
        """
        record = read_record(state.directory / "settings.json")
        if record is None:
            raise Problem("no lab was set up here", where=str(state.directory), hint="gen lab up")
        return cls(
            release=str(record["release"]),
            hosts=tuple(record["hosts"]),
            files=_paths(record["files"]),
            registries=_paths(record["registries"]),
            tools=_paths(record["tools"]),
            root=Path(record["root"]),
            regions=tuple(record["regions"]),
            unkind=Unkindness(**record["unkind"]),
        )


@dataclass(frozen=True)
class Credentials:
    """What the lab takes for the account's token and the key of its Spaces; made once, as random as real ones."""

    token: str
    spaces_key_id: str
    spaces_secret: str


def credentials(state: State) -> Credentials:
    """Read the lab's credentials, made when there are none."""
    path = state.directory / "credentials.json"
    record = read_record(path)
    if record is None:
        letters = string.ascii_uppercase + string.digits
        record = {
            "token": f"dop_v1_{secrets.token_hex(32)}",
            "spaces_key_id": "DO00" + "".join(secrets.choice(letters) for _ in range(16)),
            "spaces_secret": secrets.token_urlsafe(32),
        }
        write_record(path, record)
    return Credentials(**record)


def _texts(paths: Mapping[str, Path]) -> dict[str, str]:
    return {name: str(path) for name, path in paths.items()}


def _paths(texts: Mapping[str, Any]) -> dict[str, Path]:
    return {name: Path(text) for name, text in texts.items()}
