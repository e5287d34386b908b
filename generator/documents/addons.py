"""Renders `addons/` into the manifests that the bootstrap job applies, their order and their archive."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from generator.documents import templates
from generator.files import resource
from generator.plan.decide import Plan
from generator.tar import PUBLIC, PackedFile, pack

INDEX = "index.json"
ALWAYS = "base"
# The CNI file of `bridge` holds the node's own pod CIDR, so it is part of the node's document.
IN_THE_DOCUMENT = frozenset({"bridge"})

# What others refer to comes before what refers to it.
RANK = {
    "Namespace": 0,
    "ResourceQuota": 1,
    "StorageClass": 1,
    "PersistentVolume": 2,
    "ServiceAccount": 3,
    "ClusterRole": 4,
    "ClusterRoleBinding": 5,
    "Role": 6,
    "RoleBinding": 7,
    "ConfigMap": 8,
    "Service": 9,
    "NetworkPolicy": 10,
    "PodDisruptionBudget": 10,
    "StatefulSet": 11,
    "Deployment": 12,
    "DaemonSet": 13,
    "IngressClass": 14,
    "Ingress": 15,
    "APIService": 15,
    "ValidatingAdmissionPolicy": 6,
    "ValidatingAdmissionPolicyBinding": 7,
}
AWAITED = ("StatefulSet", "Deployment", "DaemonSet")
WAIT_TIMEOUT = "300s"
SERVED_LABEL = "hardway/ingress"
"""Label of the ingress's Roles and their bindings; its value is their namespace."""


def manifests(plan: Plan) -> dict[str, bytes]:
    """Render the plan's addons and their index.

    Returns:
        Content by path below `addons/`: `<addon>/<kind>.yaml` in the order of application, then `index.json`.
    """
    names = tuple(dict.fromkeys((ALWAYS, *plan.addons)))
    rendered = {name: _addon(name, plan) for name in names}
    files = {path: text.encode() for addon in rendered.values() for path, (text, _) in addon.items()}
    # All namespaces come before everything: an addon may have something in that of a later one.
    spaces = [path for addon in rendered.values() for path, (_, items) in addon.items() if _rank(items) == 0]
    index = []
    for name, addon in rendered.items():
        objects = [item for _, items in addon.values() for item in items]
        index.append(
            {
                "name": name,
                "manifests": (spaces if name == ALWAYS else []) + [path for path in addon if path not in spaces],
                "namespaces": [item["metadata"]["name"] for item in objects if item["kind"] == "Namespace"],
                "wait": [_wait(item) for item in objects if item["kind"] in AWAITED],
                "withdraw": [_withdraw(plan)] if name == ALWAYS else [],
            }
        )
    text = json.dumps({"version": 1, "addons": index}, indent=2)
    return files | {INDEX: text.encode() + b"\n"}


def namespaces(files: Mapping[str, bytes]) -> frozenset[str]:
    """Name the namespaces in which addons may keep secrets: those that they make, but for what is always there."""
    index = json.loads(files[INDEX])["addons"]
    return frozenset(name for addon in index if addon["name"] != ALWAYS for name in addon["namespaces"])


def workloads(files: Mapping[str, bytes]) -> tuple[tuple[str, str, str], ...]:
    """Name what has to run for the addons to be up, as kind, namespace and name."""
    objects = (item for path, text in files.items() if path != INDEX for item in yaml.safe_load_all(text))
    return tuple(
        (item["kind"], item["metadata"]["namespace"], item["metadata"]["name"])
        for item in objects
        if item and item["kind"] in AWAITED
    )


def archive(files: Mapping[str, bytes]) -> bytes:
    """Pack what `manifests` gave into a tar that depends on nothing else."""
    return pack(PackedFile(f"/{path}", content, PUBLIC) for path, content in files.items())


def digest(files: Mapping[str, bytes]) -> str:
    """Give the SHA-256 of the archive: its name in Spaces, and what the roster pins."""
    return hashlib.sha256(archive(files)).hexdigest()


def _addon(name: str, plan: Plan) -> dict[str, tuple[str, tuple[dict[str, Any], ...]]]:
    """Render one addon's files, in the order of application, each with the objects it holds."""
    if name in IN_THE_DOCUMENT:
        return {}
    rendered = {}
    for source in (resource("addons") / name).iterdir():
        if not source.name.endswith((".yaml", ".yaml.j2")):
            continue
        text = _text(source, plan)
        if items := tuple(item for item in yaml.safe_load_all(text) if item):
            rendered[f"{name}/{source.name.removesuffix(templates.SUFFIX)}"] = (text, items)
    return dict(sorted(rendered.items(), key=lambda file: (_rank(file[1][1]), file[0])))


def _text(source: Path, plan: Plan) -> str:
    """Give a file as it is applied; only one whose name ends in `.j2` is a template."""
    if source.suffix != templates.SUFFIX:
        return source.read_text(encoding="utf-8")

    def config_digest(name: str) -> str:
        # In a pod's annotations, so that pods are replaced when the configuration they read at their start changes.
        return hashlib.sha256(_text(source.with_name(name), plan).encode()).hexdigest()[:16]

    return templates.render(source, plan=plan, digest=config_digest)


def _rank(objects: Iterable[Mapping[str, Any]]) -> int:
    return max((RANK[item["kind"]] for item in objects), default=0)


def _withdraw(plan: Plan) -> list[str]:
    """Give kubectl's arguments that take the ingress's rights away where the description gives it none."""
    served = ",".join(plan.served_namespaces)
    selector = f"{SERVED_LABEL},{SERVED_LABEL} notin ({served})" if served else SERVED_LABEL
    return ["delete", "role,rolebinding", "--all-namespaces", f"--selector={selector}"]


def _wait(item: Mapping[str, Any]) -> list[str]:
    """Give kubectl's arguments that wait until a workload runs as applied."""
    workload = f"{item['kind'].lower()}/{item['metadata']['name']}"
    return ["rollout", "status", workload, "-n", item["metadata"]["namespace"], f"--timeout={WAIT_TIMEOUT}"]
