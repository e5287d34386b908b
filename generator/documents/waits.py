"""Decides what is waited for while an addon is applied, as kubectl's arguments: in the midst of it, and at its end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from generator.manifests.kinds import JUDGES, SERVED, WORKLOADS

Object = Mapping[str, Any]
TIMEOUT, ESTABLISHED_TIMEOUT = "--timeout=300s", "--timeout=60s"
SLICE = "kubernetes.io/service-name"
"""Label of an EndpointSlice. Source: https://kubernetes.io/docs/concepts/services-networking/endpoint-slices/"""


def pauses(files: Sequence[tuple[str, Iterable[Object]]]) -> dict[str, list[list[str]]]:
    """Give what is waited for between files: by the file behind which it is.

    Kinds are established before anything is of them; who judges or extends the API runs before the API server asks
    him, and has answered before the addon's other objects are judged.

    Args:
        files: in the order of application, each with the objects it holds.
    """
    found: dict[str, list[list[str]]] = {}
    every = [item for _, items in files for item in items]
    kinds = [(path, items) for path, items in files if any(_is_definition(item) for item in items)]
    for path, _ in kinds[-1:]:
        found[path] = [_established(item) for item in every if _is_definition(item)]
    for path, items in files:
        judges = [item for item in items if _kind(item) in JUDGES]
        if judges and (before := _before(path, files)) is not None:
            words = list(_ready(judges, every))
            found[before] = [*found.get(before, ()), *(one for one in words if one not in found.get(before, ()))]
        extends = [_available(item) for item in judges if _kind(item) == "APIService" and _service(item)]
        if extends:
            found[path] = [*found.get(path, ()), *extends]
    return {path: words for path, words in found.items() if words}


def at_the_end(objects: Iterable[Object]) -> list[list[str]]:
    """Give what is waited for until an addon is up: workloads run as applied, and jobs are done."""
    found = []
    for item in objects:
        if _is_rolled(item):
            found.append(_rolled_out(item))
        elif _kind(item) == "Job" and not item["spec"].get("suspend"):
            place = ["-n", item["metadata"]["namespace"]]
            found.append(["wait", "--for=condition=Complete", f"job/{item['metadata']['name']}", *place, TIMEOUT])
    return found


def _before(path: str, files: Sequence[tuple[str, Iterable[Object]]]) -> str | None:
    names = [name for name, _ in files]
    return names[names.index(path) - 1] if names.index(path) else None


def _ready(judges: Iterable[Object], objects: Iterable[Object]) -> Iterator[list[str]]:
    """Wait for the pods behind those Services of the addon itself by which the API server will ask."""
    asked = {one for judge in judges for one in _services(judge)}
    for service in objects:
        metadata, spec = service["metadata"], service.get("spec") or {}
        place = (metadata.get("namespace"), metadata["name"])
        if _kind(service) != "Service" or place not in asked or not spec.get("selector"):
            continue
        for workload in objects:
            if _is_rolled(workload) and workload["metadata"].get("namespace") == place[0]:
                labels = (workload["spec"]["template"].get("metadata") or {}).get("labels") or {}
                if spec["selector"].items() <= labels.items():
                    yield _rolled_out(workload)
        ready = ["wait", "--for=jsonpath={.endpoints[0].conditions.ready}=true", "endpointslice"]
        yield [*ready, f"--selector={SLICE}={place[1]}", "-n", str(place[0]), TIMEOUT]


def _services(judge: Object) -> Iterator[tuple[str, str]]:
    if service := _service(judge):
        yield service["namespace"], service["name"]
    for webhook in judge.get("webhooks") or ():
        if service := (webhook.get("clientConfig") or {}).get("service"):
            yield service["namespace"], service["name"]


def _service(item: Object) -> Mapping[str, str] | None:
    found: Mapping[str, str] | None = (item.get("spec") or {}).get("service")
    return found


def _kind(item: Object) -> str | None:
    """Give the kind of an object of Kubernetes' own; others may have kinds of the same name."""
    return str(item["kind"]) if (item["apiVersion"], item["kind"]) in SERVED else None


def _is_definition(item: Object) -> bool:
    return _kind(item) == "CustomResourceDefinition"


def _is_rolled(item: Object) -> bool:
    """Tell whether kubectl can wait for it: not where pods are replaced only as somebody deletes them."""
    if _kind(item) not in WORKLOADS:
        return False
    strategy = item["spec"].get("updateStrategy") or {}
    return strategy.get("type") != "OnDelete"


def _established(item: Object) -> list[str]:
    return ["wait", "--for=condition=Established", f"crd/{item['metadata']['name']}", ESTABLISHED_TIMEOUT]


def _available(item: Object) -> list[str]:
    return ["wait", "--for=condition=Available", f"apiservice/{item['metadata']['name']}", TIMEOUT]


def _rolled_out(item: Object) -> list[str]:
    workload = f"{item['kind'].lower()}/{item['metadata']['name']}"
    return ["rollout", "status", workload, "-n", item["metadata"]["namespace"], TIMEOUT]
