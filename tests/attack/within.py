"""Tries from inside one network namespace what a thief with some credentials tries.

Run as `nsenter --net=… python -m tests.attack.within`, with a plan on stdin; what was reached goes to stdout.
It changes nothing: writes are dry runs of the API server, which pass through authorization and admission all the same.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import http.client
import json
import socket
import ssl
import sys
import tempfile
from pathlib import Path
from typing import Any

SECONDS = 4
INTRUDER = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "intruder"},
    "spec": {
        "hostPID": True,
        "containers": [{"name": "c", "image": "intruder", "securityContext": {"privileged": True}}],
        "volumes": [{"name": "root", "hostPath": {"path": "/"}}],
    },
}
MASTER = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "ClusterRoleBinding",
    "metadata": {"name": "intruder"},
    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
    "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "intruder"}],
}
DRY = "?dryRun=All"


def main() -> None:
    plan = json.load(sys.stdin)
    with tempfile.TemporaryDirectory() as directory:
        world = Within(plan, Path(directory))
        reached = {
            "network": world.ports(),
            "kubernetes": world.kubernetes(),
            "kubelets": world.kubelets(),
            "etcd": world.etcd(),
            "metadata": world.metadata(),
        }
    json.dump({column: sorted(found) for column, found in reached.items()}, sys.stdout)


class Within:
    """One namespace, the addresses to try from it, and the credentials to try them with."""

    def __init__(self, plan: dict[str, Any], directory: Path) -> None:
        self.plan = plan
        self.directory = directory
        self.source = (plan["source"], 0) if plan.get("source") else None
        self.open: dict[str, set[int]] = {}

    def ports(self) -> set[str]:
        """Say which TCP ports answer, by target."""
        tries = [(name, address, port) for name, (address, ports) in self.plan["targets"].items() for port in ports]
        with concurrent.futures.ThreadPoolExecutor(64) as pool:
            answers = list(pool.map(lambda each: self._is_open(each[1], each[2]), tries))
        for (name, _, port), answered in zip(tries, answers, strict=True):
            if answered:
                self.open.setdefault(name, set()).add(port)
        return {f"{name}: {' '.join(map(str, sorted(ports)))}" for name, ports in self.open.items()}

    def kubernetes(self) -> set[str]:
        """Say what the API server gives to each credential, and to each token that it hands out."""
        ports = set(self.plan.get("api_ports", (443, 6443)))
        server = next((name for name in self.plan["apis"] if self.open.get(name, set()) & ports), None)
        if server is None:
            return set()
        self.address = self.plan["targets"][server][0]
        self.port = min(self.open[server] & ports)
        if any(self._is_master(identity) for identity in self.plan["identities"]):
            return {"everything"}
        reached: set[str] = set()
        queue: list[dict[str, str]] = [{"name": "nobody"}, *self.plan["identities"]]
        seen: set[str] = set()
        while queue:
            identity = queue.pop(0)
            if identity["name"] in seen and not identity.get("certificate"):
                continue
            seen.add(identity["name"])
            if self._is_authentic(identity) or identity["name"] == "nobody":
                reached |= self._rights(identity, queue)
        return {"everything"} if "everything" in reached else reached

    def _is_authentic(self, identity: dict[str, str]) -> bool:
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        return self._ask(identity, "POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", review)[0] == 201

    def _is_master(self, identity: dict[str, str]) -> bool:
        bindings = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
        return self._ask(identity, "POST", bindings + DRY, MASTER)[0] == 201

    def _rights(self, identity: dict[str, str], queue: list[dict[str, str]]) -> set[str]:
        if self._is_master(identity):
            return {"everything"}
        reached = set()
        for namespace, objects in self.plan["namespaces"].items():
            core = f"/api/v1/namespaces/{namespace}"
            listed, answer = self._ask(identity, "GET", f"{core}/secrets")
            if listed == 200:
                reached |= {f"Secret {namespace}/{item['metadata']['name']}" for item in answer["items"]}
                reached.add(f"lists Secrets of {namespace}")
            for name in objects["secrets"]:
                if self._ask(identity, "GET", f"{core}/secrets/{name}")[0] == 200:
                    reached.add(f"Secret {namespace}/{name}")
            if self._ask(identity, "POST", f"{core}/pods{DRY}", INTRUDER)[0] == 201:
                reached.add(f"root of a node by a pod in {namespace}")
            request = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "intruder"}}
            if self._ask(identity, "POST", f"{core}/configmaps{DRY}", request)[0] == 201:
                reached.add(f"writes ConfigMaps of {namespace}")
            for account in objects["accounts"]:
                reached |= self._tokens(identity, namespace, account, queue)
        for pod in self.plan["pods"]:
            path = f"/api/v1/namespaces/{pod['namespace']}/pods/{pod['name']}/exec?command=id"
            if self._ask(identity, "POST", path)[0] in (101, 400):  # it would have had to speak a stream
                reached.add(f"runs commands in pods of {pod['namespace']}")
        for node in self.plan["nodes"]:
            path = f"/api/v1/nodes/{node}{DRY}"
            if self._ask(identity, "PATCH", path, {"metadata": {"annotations": {"intruder": "here"}}})[0] == 200:
                reached.add(f"annotates Node {node}")
            if self._ask(identity, "DELETE", path)[0] == 200:
                reached.add(f"deletes Node {node}")
        masters = {"Impersonate-User": "intruder", "Impersonate-Group": "system:masters"}
        if self._ask(identity, "GET", "/api/v1/secrets", more=masters)[0] == 200:
            reached.add("everything")
        return reached

    def _tokens(self, identity: dict[str, str], namespace: str, account: str, queue: list[dict[str, str]]) -> set[str]:
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
        request: dict[str, Any] = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
        own = [pod for pod in self.plan["pods"] if (pod["namespace"], pod["account"]) == (namespace, account)]
        bound = [{"kind": "Pod", "apiVersion": "v1", "name": pod["name"], "uid": pod["uid"]} for pod in own]
        for reference in [None, *bound]:
            spec = {"boundObjectRef": reference} if reference else {}
            code, answer = self._ask(identity, "POST", path, {**request, "spec": spec})
            if code == 201:
                subject = f"system:serviceaccount:{namespace}:{account}"
                queue.append({"name": subject, "token": answer["status"]["token"]})
                return {f"token of {namespace}/{account}"}
        return set()

    def kubelets(self) -> set[str]:
        """Say whose kubelets list their pods, or would run a command in one."""
        reached = set()
        for name in self.plan["kubelets"]:
            if 10250 not in self.open.get(name, set()):
                continue
            address = self.plan["targets"][name][0]
            for identity in [{"name": "nobody"}, *self.plan["identities"]]:
                for method, path, done in (
                    ("GET", "/pods", "lists pods"),
                    ("POST", "/run/a/b/c?cmd=id", "runs commands"),
                ):
                    code, _ = self._ask(identity, method, path, server=(address, 10250))
                    if code not in (0, 401, 403):
                        reached.add(f"{name}: {done}")
        return reached

    def etcd(self) -> set[str]:
        """Say whose etcd gives its keys."""
        reached = set()
        for name in self.plan["kubelets"]:
            if 2379 not in self.open.get(name, set()):
                continue
            address = self.plan["targets"][name][0]
            everything = {"key": "AA==", "range_end": "AA==", "count_only": True}
            for identity in [{"name": "nobody"}, *self.plan["identities"]]:
                if self._ask(identity, "POST", "/v3/kv/range", everything, server=(address, 2379))[0] == 200:
                    reached.add("reads and writes every object")
        return reached

    def metadata(self) -> set[str]:
        """Say whether the provider's metadata service gives the user data."""
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection("169.254.169.254", timeout=SECONDS)
            connection.request("GET", "/metadata/v1/user-data")
            if connection.getresponse().status == 200:
                return {"user data of its droplet"}
        return set()

    def _is_open(self, address: str, port: int) -> bool:
        with contextlib.suppress(OSError), socket.create_connection((address, port), SECONDS / 2, self.source):
            return True
        return False

    def _ask(
        self,
        identity: dict[str, str],
        method: str,
        path: str,
        body: object = None,
        *,
        server: tuple[str, int] | None = None,
        more: dict[str, str] | None = None,
    ) -> tuple[int, Any]:
        address, port = server or (self.address, self.port)
        tls = ssl.create_default_context()
        tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE  # a thief does not mind whom it robs
        if identity.get("certificate"):
            file = self.directory / "identity.pem"
            file.write_text(identity["certificate"] + identity["key"])
            tls.load_cert_chain(file)
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        headers = {"Content-Type": kind, **(more or {})}
        if identity.get("token"):
            headers["Authorization"] = f"Bearer {identity['token']}"
        connection = http.client.HTTPSConnection(
            address, port, timeout=SECONDS, source_address=self.source, context=tls
        )
        try:
            connection.request(method, path, json.dumps(body) if body is not None else None, headers)
            response = connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException):
            return 0, None
        finally:
            connection.close()
        try:
            return response.status, json.loads(content)
        except ValueError:
            return response.status, None


if __name__ == "__main__":
    main()
