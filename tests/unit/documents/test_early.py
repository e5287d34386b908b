"""Images are fetched early where a pod that needs them is sure to run, and only if their digest is known."""

from __future__ import annotations

from typing import Any

import pytest

from generator.documents.early import early

DIGEST = "@sha256:" + "0" * 64
ANYWHERE = {"tolerations": [{"operator": "Exists"}]}
TAINTED = {"tolerations": [{"operator": "Exists", "key": "node-role.kubernetes.io/control-plane"}]}


def workload(kind: str, *images: str, replicas: int | None = None, **pod: Any) -> dict[str, Any]:
    containers = [{"name": f"c{number}", "image": image} for number, image in enumerate(images)]
    spec: dict[str, Any] = {"template": {"spec": {"containers": containers, **pod}}}
    return {"kind": kind, "spec": spec | ({} if replicas is None else {"replicas": replicas})}


ON_ALL, ON_FREE, NOWHERE = (["q.io/a/b" + DIGEST], []), ([], ["q.io/a/b" + DIGEST]), ([], [])


@pytest.mark.parametrize(
    ("item", "nodes", "found"),
    [
        (workload("DaemonSet", "q.io/a/b:v1" + DIGEST), 3, ON_FREE),
        (workload("DaemonSet", "q.io/a/b:v1" + DIGEST, **ANYWHERE), 3, ON_ALL),
        (workload("DaemonSet", "q.io/a/b:v1" + DIGEST, **TAINTED), 3, ON_FREE),
        (workload("Deployment", "q.io/a/b:v1" + DIGEST), 1, ON_FREE),
        (workload("Deployment", "q.io/a/b:v1" + DIGEST, replicas=2), 2, ON_FREE),
        (workload("Deployment", "q.io/a/b:v1" + DIGEST, replicas=2), 3, NOWHERE),
        (workload("StatefulSet", "q.io/a/b:v1" + DIGEST), 2, NOWHERE),
        (workload("DaemonSet", "q.io/a/b:v1"), 1, NOWHERE),
        (workload("DaemonSet", "b:v1" + DIGEST), 1, NOWHERE),
        (workload("DaemonSet", "q.io/a/b" + DIGEST, imagePullSecrets=[{"name": "pull"}]), 1, NOWHERE),
        ({"kind": "ConfigMap"}, 1, NOWHERE),
    ],
)
def test_where_a_pod_is_sure_to_run(item: dict[str, Any], nodes: int, found: tuple[list[str], list[str]]) -> None:
    assert early([item], nodes) == {"every": found[0], "schedulable": found[1]}


def test_containers_that_run_first_come_first_and_none_comes_twice() -> None:
    first = {"initContainers": [{"name": "i", "image": "q.io/first:v1" + DIGEST}]}
    here = workload("DaemonSet", "q.io/b" + DIGEST, "q.io:5000/c/d:v1" + DIGEST, **first, **ANYWHERE)
    again = workload("DaemonSet", "q.io/b:v2" + DIGEST, "q.io/e" + DIGEST)
    assert early([here, again], 3) == {
        "every": [f"{name}{DIGEST}" for name in ("q.io/first", "q.io/b", "q.io:5000/c/d")],
        "schedulable": ["q.io/e" + DIGEST],
    }
