"""Opens a committed document into its files, to be compared by what they mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

COMMANDS = "what runs at boot"
REST = "the document itself"


def files(text: str) -> Mapping[str, str]:
    """Give a document's files by their place on the node, and what else it says under a name of its own.

    What is no document is all of it one file.
    """
    try:
        said: Any = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError):
        said = None
    if not isinstance(said, dict):
        return {REST: text}
    found: dict[str, str] = {}
    for entry in said.get("write_files") or ():
        if isinstance(entry, dict) and isinstance(entry.get("path"), str):
            mode = str(entry.get("permissions", ""))
            found[entry["path"]] = str(entry.get("content", ""))
            found[f"{entry['path']} (mode)"] = mode
    commands = {key: said[key] for key in ("bootcmd", "runcmd") if key in said}
    found[f"{COMMANDS}.yaml"] = yaml.safe_dump(commands, sort_keys=True)
    rest = {key: value for key, value in said.items() if key not in (*commands, "write_files")}
    found[f"{REST}.yaml"] = yaml.safe_dump(rest, sort_keys=True)
    return found
