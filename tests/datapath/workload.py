"""Runs what is measured: two pods on each node, one in each node's own network, and what they are reached by."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property

from generator.release.lock_file import Image
from tests.e2e.harness import Cluster, until
from tests.e2e.kubectl import Kubectl

NAMESPACE = "datapath"
CALLERS, WEB, SPEED = 7000, 8000, 5201
KNOCK = 9
"""What nodes admit from each other and nobody listens at: the only room for a server that measures nodes."""
SETS = ("one", "two")
HOST = "host"
WEB_HOST = "datapath.internal"
_RESTRICTED = """
        securityContext: {allowPrivilegeEscalation: false, runAsNonRoot: true, capabilities: {drop: [ALL]}}"""
_SET = """\
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: NAME, namespace: datapath}
spec:
  selector: {matchLabels: {app: NAME}}
  template:
    metadata: {labels: {app: NAME, KIND: "yes"}}
    spec:
      hostNetwork: HOST
      automountServiceAccountToken: true
      tolerations: [{operator: Exists}]
      terminationGracePeriodSeconds: 1
      containers:
      - name: probe
        image: IMAGE
        env: [{name: NODE, valueFrom: {fieldRef: {fieldPath: status.hostIP}}}]SECURITY
        readinessProbe: {tcpSocket: {port: 7000}, periodSeconds: 1}
      - name: speed
        image: IMAGE
        command: [iperf3]
        args: [SPEED]
        env: [{name: NODE, valueFrom: {fieldRef: {fieldPath: status.hostIP}}}]SECURITY
---
"""
_REST = """\
apiVersion: v1
kind: Service
metadata: {name: two, namespace: datapath}
spec: {selector: {app: two}, ports: [{name: callers, port: 7000}]}
---
apiVersion: v1
kind: Service
metadata: {name: every, namespace: datapath}
spec: {clusterIP: None, selector: {pod: "yes"}, ports: [{name: callers, port: 7000}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: datapath}
spec: {selector: {app: one}, ports: [{name: http, port: 80, targetPort: 8000}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: web
  namespace: datapath
  annotations: {nginx.ingress.kubernetes.io/ssl-redirect: "false"}
spec:
  ingressClassName: nginx
  rules:
  - host: datapath.internal
    http: {paths: [{path: /caller, pathType: Exact, backend: {service: {name: web, port: {name: http}}}}]}
"""


@dataclass(frozen=True)
class Pod:
    """One pod; `set` is the DaemonSet that it belongs to."""

    name: str
    set: str
    node: str
    address: str


@dataclass(frozen=True)
class Answer:
    """What a try has seen, or why nothing."""

    seen: str
    error: str


def reach(kind: str, target: str, *, seconds: float = 4, **more: object) -> dict[str, object]:
    """Write one try of the probe."""
    return {"kind": kind, "target": target, "seconds": seconds, **more}


@dataclass
class Workload:
    """The pods that run, and what they can be asked."""

    cluster: Cluster
    kubectl: Kubectl

    def apply(self, image: Image) -> None:
        """Run it, and wait until all of it does.

        The namespace is among those whose Ingresses the cluster serves, so it outlives this.
        """
        kubectl = self.kubectl
        kubectl("create", "namespace", NAMESPACE, check=False)
        kubectl("label", "namespace", NAMESPACE, "pod-security.kubernetes.io/enforce=privileged", "--overwrite")
        kubectl("apply", "--server-side", "-f", "-", stdin=manifest(image.pinned))
        for name in (*SETS, HOST):
            kubectl("rollout", "status", f"daemonset/{name}", "-n", NAMESPACE, "--timeout=240s", timeout=250)
        until("the pods' addresses", lambda: all(pod.address for pod in self._pods()), 30)

    def remove(self) -> None:
        """End it."""
        kinds = "daemonsets,services,ingresses,networkpolicies"
        self.kubectl("delete", kinds, "--all", "-n", NAMESPACE, "--cascade=foreground", "--timeout=120s", timeout=180)

    @cached_property
    def pods(self) -> tuple[Pod, ...]:
        """List all, in the order of nodes and sets."""
        return self._pods()

    def of(self, *sets: str) -> tuple[Pod, ...]:
        """List the pods of some sets."""
        return tuple(pod for pod in self.pods if pod.set in sets)

    def ask(self, pod: Pod, tries: Sequence[Mapping[str, object]]) -> tuple[Answer, ...]:
        """Have a pod try something."""
        words = ("exec", "-i", "-n", NAMESPACE, pod.name, "-c", "probe", "--", "probe", "try")
        done = self.kubectl(*words, stdin=json.dumps(tries), timeout=180)
        return tuple(Answer(**answer) for answer in json.loads(done.stdout))

    def ask_all(self, asked: Mapping[Pod, Sequence[Mapping[str, object]]]) -> dict[Pod, tuple[Answer, ...]]:
        """Have several pods try something, some at once."""
        with ThreadPoolExecutor(4) as pool:
            return dict(zip(asked, pool.map(lambda pod: self.ask(pod, asked[pod]), asked), strict=True))

    def speed(self, source: Pod, target: Pod, seconds: int = 3) -> float:
        """Measure how fast one pod sends to another, in Mbit/s."""
        port = KNOCK if target.set == HOST else SPEED
        words = ("exec", "-n", NAMESPACE, source.name, "-c", "speed", "--")
        words = (*words, "iperf3", "-c", target.address, "-p", str(port), "-t", str(seconds), "-J")
        done = self.kubectl(*words, check=False, timeout=60)
        answer = json.loads(done.stdout or "{}")
        if "end" not in answer or "sum_received" not in answer["end"]:
            raise AssertionError(f"iperf3 {source.node} → {target.node}: {answer.get('error', done.stderr)}")
        return float(answer["end"]["sum_received"]["bits_per_second"]) / 1e6

    def _pods(self) -> tuple[Pod, ...]:
        return tuple(sorted(_read(self.kubectl.items("pods", "-n", NAMESPACE)), key=lambda pod: (pod.node, pod.set)))


def manifest(image: str) -> str:
    """Write the objects."""
    whole = ""
    for name, host in ((SETS[0], False), (SETS[1], False), (HOST, True)):
        speed = f'"-s", "-p", "{KNOCK}", "-B", "$(NODE)"' if host else f'"-s", "-p", "{SPEED}"'
        security = "\n        securityContext: {runAsUser: 0}" if host else _RESTRICTED
        values = {"NAME": name, "KIND": "node" if host else "pod", "HOST": str(host).lower(), "IMAGE": image}
        text = _SET.replace("SECURITY", security).replace("[SPEED]", f"[{speed}]")
        for word, value in values.items():
            text = text.replace(word, value)
        whole += text
    return whole + _REST


def _read(items: Iterable[dict[str, object]]) -> Iterable[Pod]:
    for item in items:
        metadata, spec, status = (item[part] for part in ("metadata", "spec", "status"))
        assert isinstance(metadata, dict)
        assert isinstance(spec, dict)
        assert isinstance(status, dict)
        if "deletionTimestamp" not in metadata:
            node, address = str(spec.get("nodeName", "")), str(status.get("podIP", ""))
            yield Pod(str(metadata["name"]), str(metadata["labels"]["app"]), node, address)
