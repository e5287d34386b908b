"""A stolen worker gets what its pods have, and nothing by the rights of any account that it can speak for."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from generator.documents import addons
from generator.plan.decide import Plan
from generator.release import lock_file
from tests import keyring
from tests.contract import api_server, binaries
from tests.contract.api_server import ApiServer
from tests.contract.test_addons import apply_all

WORKER = "worker01"
PAYROLL = """
apiVersion: v1
kind: Namespace
metadata: {name: payroll}
---
apiVersion: v1
kind: Secret
metadata: {name: salaries, namespace: payroll}
stringData: {ceo: "1"}
---
apiVersion: v1
kind: Secret
metadata: {name: postgres, namespace: order-book}
stringData: {password: "1"}
---
apiVersion: v1
kind: Secret
metadata: {name: certificate, namespace: shop}
stringData: {key: "1"}
---
apiVersion: v1
kind: Node
metadata: {name: worker01}
---
apiVersion: v1
kind: Node
metadata: {name: node01}
"""


@pytest.fixture(scope="module")
def plan() -> Plan:
    planned = keyring.planned(control_planes=1, workers=1)
    names = ("bridge", "coredns", "ingress", "order-book")
    lock = lock_file.load("k8s-1.36", Path("/nonexistent"))
    return replace(planned, release=lock, addons=names, user_namespaces=("shop",))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, plan: Plan) -> Iterator[ApiServer]:
    """An API server with all addons, a bystander's Secret, and one pod of every kind of workload on the worker."""
    with api_server.running(tmp_path_factory.mktemp("api-server"), binaries.find(*api_server.TOOLS)) as running:
        directory = running.directory / "addons"
        for path, content in addons.manifests(plan).items():
            (directory / path).parent.mkdir(parents=True, exist_ok=True)
            (directory / path).write_bytes(content)
        apply_all(running)
        (running.directory / "payroll.yaml").write_text(PAYROLL)
        assert running.kubectl("apply", "-f", str(running.directory / "payroll.yaml")).returncode == 0
        for item in items(running, "statefulsets,deployments,daemonsets"):
            place(running, item)
        yield running


def place(server: ApiServer, workload: dict[str, Any]) -> None:
    """Make a pod of a workload and bind it to the worker, as controllers and scheduler do."""
    template, metadata = workload["spec"]["template"], workload["metadata"]
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {**template["metadata"], "name": metadata["name"], "namespace": metadata["namespace"]},
        "spec": {**template["spec"], "nodeName": WORKER, "volumes": template["spec"].get("volumes", [])},
    }
    claims = [claim["metadata"]["name"] for claim in workload["spec"].get("volumeClaimTemplates", ())]
    pod["spec"]["volumes"] += [{"name": name, "persistentVolumeClaim": {"claimName": name}} for name in claims]
    (server.directory / "pod.json").write_text(json.dumps(pod))
    done = server.kubectl("create", "-f", str(server.directory / "pod.json"))
    assert done.returncode == 0, done.stderr


def items(server: ApiServer, kinds: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(server.kubectl("get", kinds, "-A", "-o", "json").stdout)["items"]
    return found


def reached(server: ApiServer, *certificates: tuple[str, str]) -> set[str]:
    """Try everything that a thief tries, with these certificates and whatever tokens they bring."""
    namespaces: dict[str, dict[str, list[str]]] = {
        item["metadata"]["name"]: {"accounts": [], "secrets": []} for item in items(server, "namespaces")
    }
    for kind, key in (("serviceaccounts", "accounts"), ("secrets", "secrets")):
        for item in items(server, kind):
            namespaces[item["metadata"]["namespace"]][key].append(item["metadata"]["name"])
    pods = [
        {
            "namespace": pod["metadata"]["namespace"],
            "name": pod["metadata"]["name"],
            "uid": pod["metadata"]["uid"],
            "account": pod["spec"]["serviceAccountName"],
        }
        for pod in items(server, "pods")
    ]
    plan = {
        "targets": {"API": ("127.0.0.1", [server.port])},
        "apis": ["API"],
        "api_ports": [server.port],
        "kubelets": [],
        "identities": [{"name": f"CN={user}", **server.identity(user, group)} for user, group in certificates],
        "namespaces": namespaces,
        "nodes": ["node01"],
        "pods": pods,
    }
    command = [sys.executable, "-m", "tests.attack.within"]
    done = subprocess.run(command, input=json.dumps(plan), capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout)["kubernetes"])


def test_a_worker_reaches_what_its_pods_have(server: ApiServer) -> None:
    found = reached(server, (f"system:node:{WORKER}", "system:nodes"), ("system:kube-proxy", ""))
    assert found == {
        # What pods on it use, each by its name: the application and the database.
        "Secret order-book/postgres",
        # By Traefik's token: where the description has it serve Ingresses, a certificate lies beside them.
        "Secret shop/certificate",
        "lists Secrets of order-book-web",
        "lists Secrets of shop",
        # A node gets no token for a pod that asks for none, as those of the order book.
        "token of ingress/traefik",
        "token of kube-system/coredns",
    }


def test_a_right_too_much_is_found(server: ApiServer) -> None:
    """Give Traefik what it once had: the walk sees it."""
    role = ("clusterrole", "too-much", "--verb=list,watch", "--resource=secrets")
    assert server.kubectl("create", *role).returncode == 0
    binding = ("clusterrolebinding", "too-much", "--clusterrole=too-much", "--serviceaccount=ingress:traefik")
    assert server.kubectl("create", *binding).returncode == 0
    try:
        assert "Secret payroll/salaries" in reached(server, (f"system:node:{WORKER}", "system:nodes"))
    finally:
        server.kubectl("delete", "clusterrolebinding,clusterrole", "too-much")


def test_an_administrator_reaches_everything(server: ApiServer) -> None:
    assert reached(server, ("thief", "system:masters")) == {"everything"}


def test_nobody_reaches_nothing(server: ApiServer) -> None:
    assert reached(server) == set()
