"""Says what becomes of objects of a user's own addons that are no longer rendered."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

import yaml

from generator.manifests.kinds import DATA
from generator.manifests.own import identity
from generator.manifests.reading import Identity

INDEX = "addons/index.json"


def fates(before: Mapping[str, bytes], after: Mapping[str, bytes]) -> Mapping[str, str]:
    """Give for the file of each object that left what a launch does about it; what is of ours stays, and is left out.

    Args:
        before, after: content by path below `rendered/<cluster>/`; whoever made a commit has written it.
    """
    there = set(dict(_objects(after)).values())
    left = {path: one for path, one in _objects(before) if path not in after}
    return {path: _fate(one, is_elsewhere=one in there) for path, one in left.items()}


def _fate(one: Identity, *, is_elsewhere: bool) -> str:
    if is_elsewhere:
        return "is gone: the object is in another file now, and stays"
    if (one.group, one.kind) in DATA:
        return "is gone: the object stays, with its data, until a launch with `--prune-data`"
    return "is gone: a launch deletes the object"


def _objects(files: Mapping[str, bytes]) -> Iterator[tuple[str, Identity]]:
    """Give the objects of users' addons by their file; what can't be read is nobody's."""
    try:
        index = json.loads(files.get(INDEX, b"{}"))
        names = {addon["name"] for addon in index.get("addons", ()) if "objects" in addon}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return
    for path, text in files.items():
        if path.startswith("addons/") and path.split("/")[1] in names:
            try:
                yield path, identity(yaml.safe_load(text))
            except (yaml.YAMLError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
                continue
