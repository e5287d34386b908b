"""In the namespace of metrics-server nothing runs but that, as it is deployed; the API server itself decides."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from generator.documents import addons
from generator.plan.decide import Plan
from generator.release import lock_file
from tests import keyring
from tests.contract import api_server, binaries
from tests.contract.api_server import ApiServer
from tests.contract.test_addons import APPLY
from tests.contract.test_ingress_policy import DIGEST, OTHER, Change, Pod, container, create, spec, without

ADDRESS = {"name": "NODE_ADDRESS", "valueFrom": {"fieldRef": {"fieldPath": "status.hostIP"}}}
VIOLATIONS: dict[str, Change] = {
    "another image": container(image=OTHER["image"]),
    "another command": container(command=["/bin/sh"]),
    "no arguments": without("containers", "args"),
    "an argument more": lambda pod: pod["spec"]["containers"][0]["args"].append("--kubelet-insecure-tls"),
    "an argument less": lambda pod: pod["spec"]["containers"][0]["args"].pop(),
    "another argument": lambda pod: pod["spec"]["containers"][0]["args"].__setitem__(0, "--bind-address=0.0.0.0"),
    "no environment": without("containers", "env"),
    "a variable more": container(env=[ADDRESS, {"name": "HTTPS_PROXY", "value": "http://203.0.113.7"}]),
    "an address of its own": container(env=[{"name": "NODE_ADDRESS", "value": "0.0.0.0"}]),
    "another address": container(
        env=[{"name": "NODE_ADDRESS", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}]
    ),
    "an environment of a ConfigMap": container(envFrom=[{"configMapRef": {"name": "kube-root-ca.crt"}}]),
    "the host's processes": spec(hostPID=True),
}


@pytest.fixture(scope="module")
def plan() -> Plan:
    lock = lock_file.load("k8s-1.36", Path("/nonexistent"))
    images = tuple(replace(image, digest=DIGEST.removeprefix("@")) for image in lock.images)
    return replace(keyring.planned(), release=replace(lock, images=images), addons=("bridge", "metrics-server"))


def pod(plan: Plan) -> Pod:
    """Give the pod that the Deployment's controller makes."""
    template = yaml.safe_load(addons.manifests(plan)["metrics-server/deployment.yaml"])["spec"]["template"]
    metadata = {**template["metadata"], "name": "metrics-server", "namespace": "metrics-server"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, plan: Plan) -> Iterator[ApiServer]:
    """An API server that has the namespace, and has taken its policy up."""
    directory = tmp_path_factory.mktemp("api-server")
    with api_server.running(directory, binaries.find(*api_server.TOOLS)) as running:
        files = addons.manifests(plan)
        for addon in json.loads(files[addons.INDEX])["addons"]:
            for path in addon["manifests"]:
                if path != "metrics-server/api-service.yaml":  # it would have no server here
                    (directory / "manifest.yaml").write_bytes(files[path])
                    done = running.kubectl(*APPLY, str(directory / "manifest.yaml"))
                    assert done.returncode == 0, done.stderr
        other = copy.deepcopy(pod(plan))
        other["spec"]["containers"][0]["image"] = OTHER["image"]
        deadline = time.monotonic() + 30
        while "metrics-server-pods" not in create(running, other):
            assert time.monotonic() < deadline, create(running, other) or "admitted"
            time.sleep(0.3)
        yield running


def test_metrics_server_itself_is_admitted(server: ApiServer, plan: Plan) -> None:
    assert create(server, pod(plan)) == ""


@pytest.mark.parametrize("violation", VIOLATIONS)
def test_everything_else_is_refused(server: ApiServer, plan: Plan, violation: str) -> None:
    wanted = copy.deepcopy(pod(plan))
    VIOLATIONS[violation](wanted)
    assert wanted != pod(plan)
    said = create(server, wanted)
    assert "ValidatingAdmissionPolicy 'metrics-server-pods' with binding 'metrics-server-pods' denied" in said
