"""An API server of the size that replacing nodes needs: Nodes, pods, ConfigMaps, and control-plane nodes that answer.

What is put where nodes are asked is verified as a node does it, and answered at once by the machines that live.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from generator.clock import stamp
from generator.cluster import access
from generator.cluster.channel import CONTEXT, PLACE
from generator.cluster.gate import LISTS
from generator.cluster.kube_api import ADDONS_RECORD, REPORT
from generator.cluster.leases import PLACE as LEASES
from generator.documents import addons
from generator.lab.webserver import Call, Reply
from generator.pki import signature
from tests.reports import wrapped

if TYPE_CHECKING:
    from tests.contract.world import Machine, World

EMPTY = ("/apis/policy/v1/poddisruptionbudgets", "/api/v1/persistentvolumes")
NODE = re.compile(r"/api/v1/nodes/([^/]+)")
EVICTION = re.compile(r"/api/v1/namespaces/([^/]+)/pods/([^/]+)/eviction")


@dataclass
class LittleKubernetes:
    """What etcd would hold; `lists` is what any other list has, by its path."""

    world: World
    nodes: dict[str, dict[str, Any]] = field(default_factory=dict)
    maps: dict[str, dict[str, str]] = field(default_factory=dict)
    pods: dict[str, str] = field(default_factory=dict)
    claims: dict[str, str] = field(default_factory=dict)
    """The claim that a pod uses."""
    lists: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    lacking: set[str] = field(default_factory=set)
    """Workloads of addons that have no pod."""
    idle: set[str] = field(default_factory=set)
    """Nodes whose kubelet does not reach the API, and is not missed yet."""
    retired: set[int] = field(default_factory=set)
    states: dict[str, Any] = field(default_factory=dict)
    """How addons of the user's own are, as the job records it."""
    objects: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What can be read, and deleted, by its path."""
    asked: list[tuple[str, str]] = field(default_factory=list)

    def respond(self, call: Call) -> Reply:
        """Answer one request."""
        if call.path == "/readyz":
            return Reply(200, b"ok")
        if call.path == ADDONS_RECORD and call.method == "PATCH":
            self.states = json.loads(json.loads(call.body)["data"]["states"] or "{}")
            return _json(200, {})
        if call.path == ADDONS_RECORD:
            states = {"states": json.dumps(self.states)} if self.states else {}
            data = {"addons": self.world.applied, "secrets": self.world.applied_secrets, **states}
            return Reply(404, b"{}") if self.world.applied is None else _json(200, {"data": data})
        if call.path == f"{access.ACCOUNT}/token":
            return _json(201, {"status": {"token": "of a day"}})
        if call.path == "/api/v1/nodes":
            ready = self._ready()
            return _json(200, {"items": [self._node(name, ready) for name in sorted(self._known())]})
        if (found := NODE.fullmatch(call.path)) is not None:
            return self._one_node(call, found[1])
        if call.path.startswith(PLACE):
            return self._config_map(call, call.path.removeprefix(PLACE).lstrip("/"))
        if call.path == "/api/v1/pods":
            node = call.query["fieldSelector"].removeprefix("spec.nodeName=")
            found_there = [_pod(name, on, self.claims.get(name)) for name, on in self.pods.items() if on == node]
            return _json(200, {"items": found_there})
        if (found := EVICTION.fullmatch(call.path)) is not None:
            pod = f"{found[1]}/{found[2]}"
            self.asked.append(("may leave" if "dryRun" in call.query else "evict", pod))
            if "dryRun" not in call.query:
                self.pods.pop(pod, None)
            return _json(201, {})
        if call.path in self.objects:
            return _json(200, self.objects.pop(call.path) if call.method == "DELETE" else self.objects[call.path])
        assert call.method == "GET", call
        if call.path in LISTS.values():
            return _json(200, {"items": self._workloads(call.path)})
        if call.path == LEASES:
            alive = {one.droplet.name for one in self.world.machines.values() if one.alive}
            return _json(200, {"items": [self._lease(name, alive) for name in sorted(self._known())]})
        assert call.path in EMPTY or call.path in self.lists, call
        return _json(200, {"items": self.lists.get(call.path, [])})

    def bookkeeping(self, machine: Machine) -> dict[str, Any]:
        """Tell what a member sees of etcd."""
        with self.world.api.lock:
            return _bookkeeping(self, machine)

    def _known(self) -> set[str]:
        for machine in self.world.machines.values():
            if machine.joined:
                self.nodes.setdefault(machine.droplet.name, {"spec": {}, "annotations": {}})
        return set(self.nodes)

    def _ready(self) -> set[str]:
        return {machine.droplet.name for machine in self.world.machines.values() if machine.alive and machine.ready}

    def _node(self, name: str, ready: set[str]) -> dict[str, Any]:
        known = self.nodes[name]
        annotations = known["annotations"] | {REPORT: self.world.reports.get(name, "")}
        return {
            "metadata": {"name": name, "annotations": annotations},
            "spec": known["spec"],
            "status": {"conditions": [{"type": "Ready", "status": "True" if name in ready else "Unknown"}]},
        }

    def _workloads(self, path: str) -> list[dict[str, Any]]:
        plan = self.world.plan
        wanted = addons.workloads(addons.manifests(plan)) if plan else ()
        counts = {name: 0 if name in self.lacking else 1 for _, _, name in wanted}
        return [
            {
                "metadata": {"name": name, "namespace": namespace},
                "spec": {"replicas": 1},
                "status": {"availableReplicas": counts[name], "updatedReplicas": counts[name]},
            }
            for kind, namespace, name in wanted
            if LISTS[kind] == path
        ]

    def _lease(self, name: str, alive: set[str]) -> dict[str, Any]:
        is_idle = name in self.idle or name not in alive
        return {
            "metadata": {"name": name},
            "spec": {"renewTime": "long ago" if is_idle else datetime.now(UTC).isoformat()},
        }

    def _one_node(self, call: Call, name: str) -> Reply:
        if name not in self._known():
            return Reply(404, b"{}")
        if call.method == "DELETE":
            del self.nodes[name]
            for machine in self.world.machines.values():
                machine.joined = machine.joined and machine.droplet.name != name
            return Reply(200, b"{}")
        if call.method == "PATCH":
            change = json.loads(call.body)
            for place, said in (("spec", change.get("spec")), ("annotations", change["metadata"]["annotations"])):
                merged = self.nodes[name][place] | (said or {})
                self.nodes[name][place] = {key: value for key, value in merged.items() if value is not None}
        return _json(200, self._node(name, self._ready()))

    def _config_map(self, call: Call, name: str) -> Reply:
        if call.method == "POST":
            made = json.loads(call.body)
            name = made["metadata"]["name"]
            if name in self.maps:
                return Reply(409, b"{}")
            self.maps[name] = made["data"]
            self._answer(self.maps[name])
            return _json(201, {})
        if not name:
            return _json(200, {"items": [_map(one, data) for one, data in self.maps.items()]})
        if call.method == "DELETE":
            return Reply(200 if self.maps.pop(name, None) is not None else 404, b"{}")
        return _json(200, _map(name, self.maps[name])) if name in self.maps else Reply(404, b"{}")

    def _answer(self, data: dict[str, str]) -> None:
        """Let each machine that lives and is asked do what it is asked for."""
        plan = self.world.plan
        if "request" not in data or plan is None:
            return
        request = signature.verify(signature.REQUEST, data["request"].encode(), plan.operator_public_key)
        for machine in self.world.machines.values():
            node = machine.droplet.name
            if not machine.alive or not machine.joined or node not in request["nodes"]:
                continue
            self.asked.append((request["verb"], node))
            outcome = DUTIES[request["verb"]](self, machine, request["arguments"])
            said = {"cluster_id": plan.cluster_id, "node": node, "request": request["id"]}
            said |= {"time": stamp(datetime.now(UTC)), "outcome": "done", "result": outcome}
            data[f"answer.{node}"] = wrapped(CONTEXT, said, self.world.report_keys[node])


def _bookkeeping(little: LittleKubernetes, machine: Machine) -> dict[str, Any]:
    voters = little.world.voters
    alive = {one.droplet.id for one in little.world.machines.values() if one.alive}
    living = [name for name, number in voters.items() if number in alive]
    if len(living) * 2 <= len(voters):
        return {"trouble": "context deadline exceeded"}
    leader = little.world.leader if little.world.leader in living else living[0]
    little.world.leader = leader
    members = [{"id": f"{number:x}", "name": name, "urls": [], "learner": False} for name, number in voters.items()]
    own = voters.get(machine.droplet.name, 0)
    return {"member": f"{own:x}", "leader": f"{voters[leader]:x}", "learner": False, "members": members, "alarms": []}


def _etcd(little: LittleKubernetes, machine: Machine, arguments: Mapping[str, Any]) -> Any:
    return little.bookkeeping(machine)


def _lead(little: LittleKubernetes, machine: Machine, arguments: Mapping[str, Any]) -> Any:
    others = [name for name in little.world.voters if name != machine.droplet.name]
    if little.world.leader == machine.droplet.name:
        little.world.leader = others[0]
    return _etcd(little, machine, arguments)


def _remove(little: LittleKubernetes, machine: Machine, arguments: Mapping[str, Any]) -> Any:
    voters = little.world.voters
    if f"{voters.get(arguments['name'], 0):x}" == arguments["member"]:
        del voters[arguments["name"]]
        for one in little.world.machines.values():
            if f"{one.droplet.id:x}" == arguments["member"]:
                one.member = one.api = False
    return _etcd(little, machine, arguments)


def _retire(little: LittleKubernetes, machine: Machine, arguments: Mapping[str, Any]) -> Any:
    little.retired.add(machine.droplet.id)
    machine.api = False
    return {"stopped": ["kube-apiserver.service"]}


def _serve(little: LittleKubernetes, machine: Machine, arguments: Mapping[str, Any]) -> Any:
    little.retired.discard(machine.droplet.id)
    machine.api = True
    return {"started": ["kube-apiserver.service"]}


def _servers(little: LittleKubernetes, machine: Machine, arguments: Mapping[str, Any]) -> Any:
    serving = {one.droplet.name for one in little.world.machines.values() if one.alive and one.api}
    names = [node.name for node in (little.world.plan.control_planes if little.world.plan else ())]
    return [{"node": name, "trouble": None if name in serving else "refused"} for name in names]


DUTIES: Mapping[str, Callable[[LittleKubernetes, Machine, Mapping[str, Any]], Any]] = {
    "again": lambda *_: None,
    "etcd": _etcd,
    "lead": _lead,
    "remove": _remove,
    "retire": _retire,
    "serve": _serve,
    "servers": _servers,
}


def _pod(name: str, node: str, claim: str | None) -> dict[str, Any]:
    namespace, _, own = name.partition("/")
    owner = {"kind": "ReplicaSet", "name": own, "controller": True}
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": claim}}] if claim else []
    return {
        "metadata": {"name": own, "namespace": namespace, "ownerReferences": [owner]},
        "spec": {"nodeName": node, "volumes": volumes},
    }


def _map(name: str, data: Mapping[str, str]) -> dict[str, Any]:
    return {"metadata": {"name": name}, "data": dict(data)}


def _json(status: int, value: Any) -> Reply:
    return Reply(status, json.dumps(value).encode())
