"""Runs the release's own kubectl on this machine, as the administrator, through the lab's proxy."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from generator.lab.content.cache import Cache
from tests.e2e.harness import Cluster, run


@dataclass
class Kubectl:
    """What a person with a kubeconfig has; the lab's own content has the program."""

    cluster: Cluster

    @cached_property
    def kubeconfig(self) -> Path:
        """Have the administrator's kubeconfig written, and give its path."""
        said = self.cluster.gen("kubeconfig", "--lab", "--certificate").stdout
        return (self.cluster.directory / said.strip()).resolve()

    @cached_property
    def program(self) -> Path:
        """Find the program that belongs to the cluster's release."""
        lock = yaml.safe_load((self.cluster.directory / "cluster.yaml").read_text())["release"]
        artifacts = yaml.safe_load((self.cluster.directory / f"releases/{lock}.yaml").read_text())["artifacts"]
        (digest,) = (each["sha256"] for each in artifacts if each["name"] == "kubectl")
        return Cache.default().blob(digest)

    def __call__(
        self, *argv: str, stdin: str | None = None, check: bool = True, timeout: float = 120
    ) -> subprocess.CompletedProcess[str]:
        """Run it."""
        words = (str(self.program), f"--kubeconfig={self.kubeconfig}", *argv)
        return run(*words, stdin=stdin, check=check, timeout=timeout)

    def items(self, *argv: str) -> list[dict[str, Any]]:
        """Read a list of objects."""
        found: list[dict[str, Any]] = json.loads(self("get", *argv, "-o", "json").stdout)["items"]
        return found
