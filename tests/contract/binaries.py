"""Finds what `gen lab build` made, or what is on PATH, for tests that ask the real thing."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from generator.errors import Problem
from generator.lab.content import recipes
from generator.lab.content.cache import Cache, recipe_key
from generator.lab.content.golang import Go
from generator.release import lock_file


def find(*names: str) -> dict[str, Path]:
    """Give the path of each binary; skips the test when one is neither built nor installed."""
    built = _built()
    found = {}
    for name in names:
        installed = shutil.which(name)
        path = built.get(name) or (Path(installed) if installed else None)
        if path is None:
            pytest.skip(f"`{name}` is not there; `gen lab build` makes it")
        found[name] = path
    return found


def _built() -> dict[str, Path]:
    lock = lock_file.load("k8s-1.36", Path.cwd())
    wanted = (
        recipes.kubernetes(lock.kubernetes),
        recipes.etcd(lock.artifact("etcd").version),
        recipes.coredns(f"v{_tag(lock, 'coredns')}"),
        recipes.metrics_server(_tag(lock, "metrics-server")),
        recipes.traefik(_tag(lock, "traefik")),
    )
    try:
        go = Go.find()
    except Problem:
        return {}
    cache = Cache.default()
    results = [cache.result(recipe_key(recipe.inputs(go.version))) or {} for recipe in wanted]
    return {name: cache.blob(digest) for outputs in results for name, digest in outputs.items()}


def _tag(lock: lock_file.Release, image: str) -> str:
    return lock.image(image).reference.rpartition(":")[2]
