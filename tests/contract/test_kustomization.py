"""Kustomizations as kubectl's own kustomize puts them together."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from generator.errors import Problem
from generator.manifests import kustomization
from tests.contract import binaries

HERE = Path(__file__).parent / "kustomizations"


def named(objects: list[dict[str, Any]]) -> Mapping[tuple[str, ...], dict[str, Any]]:
    return {
        (one["apiVersion"], one["kind"], one["metadata"].get("namespace", ""), one["metadata"]["name"]): one
        for one in objects
    }


@pytest.mark.parametrize("name", sorted(path.name for path in HERE.iterdir()))
def test_is_what_kubectl_makes_of_it(name: str) -> None:
    kubectl = binaries.find("kubectl")["kubectl"]
    done = subprocess.run([kubectl, "kustomize", str(HERE / name)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    problems: list[Problem] = []
    ours = named([item.value for item in kustomization.build(HERE, name, problems)])
    assert problems == []
    theirs = named([one for one in yaml.safe_load_all(done.stdout) if one])
    assert ours.keys() == theirs.keys()
    for key, value in theirs.items():
        assert ours[key] == value
