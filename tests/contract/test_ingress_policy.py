"""In the ingress's namespace nothing runs but the ingress, as the API server itself decides."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from generator.documents import addons
from generator.plan.decide import Plan
from generator.release import lock_file
from tests import keyring
from tests.contract import api_server, binaries
from tests.contract.api_server import ApiServer
from tests.contract.test_addons import APPLY

Pod = dict[str, Any]
Change = Callable[[Pod], object]
DIGEST = "@sha256:" + "a" * 64


@pytest.fixture(scope="module")
def plan() -> Plan:
    lock = lock_file.load("k8s-1.36", Path("/nonexistent"))
    images = tuple(replace(image, digest=DIGEST.removeprefix("@")) for image in lock.images)
    return replace(keyring.planned(), release=replace(lock, images=images), addons=("bridge", "ingress"))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, plan: Plan) -> Iterator[ApiServer]:
    """An API server that has the addon, and has taken its policy up."""
    tools = binaries.find(*api_server.TOOLS)
    with api_server.running(tmp_path_factory.mktemp("api-server"), tools) as running:
        files = addons.manifests(plan)
        for addon in json.loads(files[addons.INDEX])["addons"]:
            for path in addon["manifests"]:
                (running.directory / "manifest.yaml").write_bytes(files[path])
                done = running.kubectl(*APPLY, str(running.directory / "manifest.yaml"))
                assert done.returncode == 0, done.stderr
        # The controller manager makes it in every namespace.
        running.kubectl("create", "serviceaccount", "default", "-n", "ingress")
        other = {**pod(plan), "spec": {"serviceAccountName": "traefik", "containers": [OTHER]}}
        deadline = time.monotonic() + 30
        while "ingress-pods" not in create(running, other):
            assert time.monotonic() < deadline, create(running, other) or "admitted"
            time.sleep(0.3)
        yield running


def pod(plan: Plan) -> Pod:
    """Give the pod that the DaemonSet's controller makes."""
    template = yaml.safe_load(addons.manifests(plan)["ingress/daemon-set.yaml"])["spec"]["template"]
    metadata = {**template["metadata"], "name": "traefik", "namespace": "ingress"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}


def create(server: ApiServer, wanted: Pod) -> str:
    """Try to create a pod; give what the API server says against it."""
    file = server.directory / "pod.json"
    file.write_text(json.dumps(wanted))
    done = server.kubectl("create", "--dry-run=server", "-f", str(file))
    return "" if done.returncode == 0 else done.stderr


def spec(**values: Any) -> Change:
    return lambda pod: pod["spec"].update(values)


def of_pod(**values: Any) -> Change:
    return lambda pod: pod["spec"]["securityContext"].update(values)


def without(*path: str) -> Change:
    def change(pod: Pod) -> None:
        at: Any = pod["spec"]
        for step in path[:-1]:
            at = at[0][step] if isinstance(at, list) else at[step]
        del (at[0] if isinstance(at, list) else at)[path[-1]]

    return change


def container(**values: Any) -> Change:
    return lambda pod: pod["spec"]["containers"][0].update(values)


def context(**values: Any) -> Change:
    return lambda pod: pod["spec"]["containers"][0]["securityContext"].update(values)


def volume(**source: Any) -> Change:
    return lambda pod: pod["spec"]["volumes"].append({"name": "more", **source})


OTHER = {"name": "other", "image": f"registry.example/other{DIGEST}"}
VIOLATIONS: dict[str, Change] = {
    "another image": container(image=OTHER["image"]),
    "the image by its tag": lambda pod: container(image=pod["spec"]["containers"][0]["image"].split("@")[0])(pod),
    "another digest of the image": lambda pod: container(
        image=pod["spec"]["containers"][0]["image"].split("@")[0] + "@sha256:" + "b" * 64
    )(pod),
    "another command": container(command=["/bin/sh"]),
    "a second container": lambda pod: pod["spec"]["containers"].append(OTHER),
    "an init container": spec(initContainers=[OTHER]),
    "another account": spec(serviceAccountName="default"),
    "no account": without("serviceAccountName"),
    "the host's network": lambda pod: (spec(hostNetwork=True)(pod), container(ports=[])(pod)),
    "the host's processes": spec(hostPID=True),
    "the host's memory": spec(hostIPC=True),
    "a host port": container(ports=[{"containerPort": 8000, "hostPort": 10250}]),
    "a directory of the host": volume(hostPath={"path": "/"}),
    "a Secret": volume(secret={"secretName": "x"}),
    "a claim": volume(persistentVolumeClaim={"claimName": "x"}),
    "a projected Secret": volume(projected={"sources": [{"secret": {"name": "x"}}]}),
    "a projected ConfigMap": volume(projected={"sources": [{"configMap": {"name": "x"}}]}),
    "an image as a volume": volume(image={"reference": OTHER["image"]}),
    "a server's directory": volume(nfs={"server": "a", "path": "/"}),
    "no context": without("securityContext"),
    "root": of_pod(runAsUser=0, runAsNonRoot=False),
    "another user": of_pod(runAsUser=1000),
    "maybe root": without("securityContext", "runAsNonRoot"),
    "no profile": without("securityContext", "seccompProfile"),
    "an open profile": of_pod(seccompProfile={"type": "Unconfined"}),
    "a sysctl": of_pod(sysctls=[{"name": "net.core.somaxconn", "value": "1024"}]),
    "SELinux": of_pod(seLinuxOptions={"role": "unconfined_r"}),
    "AppArmor": of_pod(appArmorProfile={"type": "Unconfined"}),
    "privileges": context(privileged=True, allowPrivilegeEscalation=True),
    "escalation": context(allowPrivilegeEscalation=True),
    "escalation by default": without("containers", "securityContext", "allowPrivilegeEscalation"),
    "a capability": context(capabilities={"drop": ["ALL"], "add": ["SYS_ADMIN"]}),
    "the usual capabilities": context(capabilities={}),
    "not all capabilities dropped": context(capabilities={"drop": ["NET_RAW"]}),
    "a root that is written": context(readOnlyRootFilesystem=False),
    "a container's own user": context(runAsUser=0),
    "a container's own profile": context(seccompProfile={"type": "Unconfined"}),
    "an unmasked /proc": lambda pod: (spec(hostUsers=False)(pod), context(procMount="Unmasked")(pod)),
    "a hook": container(lifecycle={"preStop": {"exec": {"command": ["a"]}}}),
    "a probe of elsewhere": container(livenessProbe={"httpGet": {"host": "10.0.0.1", "port": 80}}),
    "a probe that runs": container(readinessProbe={"exec": {"command": ["a"]}}),
    "a probe of a port elsewhere": container(livenessProbe={"tcpSocket": {"host": "10.0.0.1", "port": 80}}),
    "a probe at the start": container(startupProbe={"exec": {"command": ["a"]}}),
}


def test_the_ingress_itself_is_admitted(server: ApiServer, plan: Plan) -> None:
    assert create(server, pod(plan)) == ""


@pytest.mark.parametrize("violation", VIOLATIONS)
def test_everything_else_is_refused(server: ApiServer, plan: Plan, violation: str) -> None:
    wanted = copy.deepcopy(pod(plan))
    VIOLATIONS[violation](wanted)
    assert wanted != pod(plan)
    assert "ValidatingAdmissionPolicy 'ingress-pods' with binding 'ingress-pods' denied" in create(server, wanted)


def test_a_running_pod_gets_no_ephemeral_container_and_can_still_be_labelled(server: ApiServer, plan: Plan) -> None:
    file = server.directory / "running.json"
    file.write_text(json.dumps(pod(plan)))
    assert server.kubectl("create", "-f", str(file)).returncode == 0
    debug = server.kubectl("debug", "traefik", "-n", "ingress", f"--image={OTHER['image']}", "--attach=false")
    assert "denied request: there are init containers or ephemeral ones" in debug.stderr
    assert server.kubectl("label", "pod", "traefik", "-n", "ingress", "seen=yes").returncode == 0
    image = "registry.example/later" + DIGEST
    changed = server.kubectl("set", "image", "pod/traefik", f"traefik={image}", "-n", "ingress")
    assert "denied request: there is something else than one container" in changed.stderr
