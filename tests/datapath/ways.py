"""Tries every way of packets once, and says of each what was seen; nothing here knows how a cluster was launched."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import median

from generator.lab.state import ANYBODY_ADDRESS
from generator.plan import ports
from generator.plan.decide import Plan
from tests.datapath.table import Row
from tests.datapath.workload import CALLERS, HOST, KNOCK, NAMESPACE, SETS, WEB, WEB_HOST, Answer, Pod, Workload, reach
from tests.e2e.harness import Cluster, run, until

METADATA = "169.254.169.254"
TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount/"
ENFORCES = {"bridge": False, "cilium": True}
"""Which CNI enforces NetworkPolicy; what a plan's first addon is not among has no row here."""
POLICY = f"""\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: guarded, namespace: {NAMESPACE}}}
spec:
  podSelector: {{matchLabels: {{app: two}}}}
  policyTypes: [Ingress]
  ingress: [{{from: [{{podSelector: {{matchLabels: {{app: one}}}}}}], ports: [{{protocol: TCP, port: {CALLERS}}}]}}]
"""
TURNS = 5
Checked = Callable[["Ways"], Row]


@dataclass
class Ways:
    """A cluster whose workload runs."""

    cluster: Cluster
    plan: Plan
    workload: Workload

    @cached_property
    def pods(self) -> tuple[Pod, ...]:
        """Give the pods with an address of their own."""
        return self.workload.of(*SETS)

    @cached_property
    def hosts(self) -> tuple[Pod, ...]:
        """Give the pods in the nodes' own network."""
        return self.workload.of(HOST)

    @cached_property
    def enforces(self) -> bool:
        """Tell whether this cluster's CNI enforces NetworkPolicy."""
        return ENFORCES[self.plan.addons[0]]

    @cached_property
    def service(self) -> str:
        """Give the address of the Service in front of the second set."""
        found = self.workload.kubectl("get", "service", "two", "-n", NAMESPACE, "-o", "jsonpath={.spec.clusterIP}")
        return found.stdout.strip()

    def row(self, name: str, good: str, wrong: Sequence[str], count: int) -> Row:
        """Sum up: how many of all were right, and the first that were not."""
        if not count:
            return Row(name, False, "nothing was tried")
        shown = f"{count - len(wrong)} of {count}: {good}" if not wrong else f"{len(wrong)} of {count} wrong; "
        return Row(name, not wrong, shown + "; ".join(wrong[:3]))


def pods_to_pods(ways: Ways) -> Row:
    """Every pod calls every other, and is known there by its own address."""
    asked = {pod: [reach("caller", f"{other.address}:{CALLERS}") for other in ways.pods] for pod in ways.pods}
    wrong = [
        f"{pod.set}@{pod.node} → {other.set}@{other.node}: {_saw(answer)}"
        for pod, answers in ways.workload.ask_all(asked).items()
        for other, answer in zip(ways.pods, answers, strict=True)
        if answer.seen != f"{other.address} {pod.address}"
    ]
    return ways.row("pod ↔ pod", "source address kept", wrong, len(ways.pods) ** 2)


def pods_to_service(ways: Ways) -> Row:
    """Every pod calls a Service; who answers has that Service's pods' address, and knows the caller by its own.

    A pod that reaches itself by a Service has to seem somebody else, or the answer would not come back.
    """
    asked = {pod: [reach("caller", f"{ways.service}:{CALLERS}")] * 8 for pod in ways.pods}
    behind = {pod.address for pod in ways.workload.of("two")}
    wrong, seen = [], set()
    for pod, answers in ways.workload.ask_all(asked).items():
        for answer in answers:
            reached, _, caller = answer.seen.partition(" ")
            seen.add(reached)
            if reached not in behind or (caller != pod.address and reached != pod.address):
                wrong.append(f"{pod.set}@{pod.node} → {ways.service}: {_saw(answer)}")
    if not wrong and seen != behind:
        wrong.append(f"only {', '.join(sorted(seen))} answered")
    return ways.row(
        "pod → Service → pod", "source address kept, every pod behind it answers", wrong, 8 * len(ways.pods)
    )


def hosts_to_service(ways: Ways) -> Row:
    """Every node calls a Service."""
    asked = {pod: [reach("caller", f"{ways.service}:{CALLERS}")] * 8 for pod in ways.hosts}
    behind = {pod.address for pod in ways.workload.of("two")}
    wrong = [
        f"{pod.node} → {ways.service}: {_saw(answer)}"
        for pod, answers in ways.workload.ask_all(asked).items()
        for answer in answers
        if answer.seen.partition(" ")[0] not in behind
    ]
    return ways.row("host → Service", "answered", wrong, 8 * len(ways.hosts))


def pods_to_dns(ways: Ways) -> Row:
    """Every pod resolves a Service, its short name, all pods of a headless one, and a name outside."""
    domain, outside = ways.plan.cluster_domain, "registry.k8s.io"
    wanted: Mapping[str, set[str] | None] = {
        f"kubernetes.default.svc.{domain}": {str(ways.plan.kubernetes_service_ip)},
        f"two.{NAMESPACE}": {ways.service},
        f"every.{NAMESPACE}.svc.{domain}": {pod.address for pod in ways.pods},
        outside: None,
    }
    asked = {pod: [reach("lookup", name) for name in wanted] for pod in ways.pods}
    wrong = [
        f"{pod.set}@{pod.node} {name}: {_saw(answer)}"
        for pod, answers in ways.workload.ask_all(asked).items()
        for (name, addresses), answer in zip(wanted.items(), answers, strict=True)
        if not answer.seen or (addresses is not None and set(answer.seen.split()) != addresses)
    ]
    return ways.row("pod → DNS", "Services, headless ones, names outside", wrong, len(wanted) * len(ways.pods))


def pods_to_api(ways: Ways) -> Row:
    """Every pod asks the API at its Service's address and name, and trusts nobody but the cluster's authority."""
    targets = (f"https://{ways.plan.kubernetes_service_ip}/readyz", "https://kubernetes.default.svc/readyz")
    facts = {"ca": f"{TOKEN}ca.crt", "token": f"{TOKEN}token"}
    asked = {pod: [reach("get", target, seconds=8, **facts) for target in targets] for pod in ways.pods}
    wrong = [
        f"{pod.set}@{pod.node} → {target}: {_saw(answer)}"
        for pod, answers in ways.workload.ask_all(asked).items()
        for target, answer in zip(targets, answers, strict=True)
        if answer.seen != "200 ok"
    ]
    return ways.row("pod → API", "TLS verified", wrong, len(targets) * len(ways.pods))


def from_outside(ways: Ways) -> Row:
    """Somebody on the internet asks each node's ingress, and the pod behind it learns that one's address."""
    taking = [node.name for node in ways.plan.nodes if node.schedulable]
    client, wrong = str(ANYBODY_ADDRESS), []

    def answered(node: str) -> str:
        words = ["nsenter", f"--net=/run/netns/{ways.cluster.lab.operator_namespace}", "curl", "-sS", "--max-time", "8"]
        words += ["--interface", client, "-H", f"Host: {WEB_HOST}", f"http://{ways.cluster.address(node)}/caller"]
        done = run(*words, check=False)
        try:
            return str(json.loads(done.stdout)["forwarded"])
        except (ValueError, KeyError):
            return (done.stdout or done.stderr).strip()[:120]

    for node in taking:
        try:
            until(f"the ingress of {node}", lambda node=node: answered(node) == client, 30)
        except AssertionError:
            wrong.append(f"{node} saw {answered(node)!r} instead of {client}")
    return ways.row("outside → ingress → pod", "the client's address arrives", wrong, len(taking))


def policy(ways: Ways) -> Row:
    """One set may call the other's one port, and nobody else may, as soon as there is a NetworkPolicy."""
    name = "NetworkPolicy"
    twos = ways.workload.of("two")
    open_, closed = CALLERS, WEB
    kubectl = ways.workload.kubectl
    kubectl("apply", "--server-side", "-f", "-", stdin=POLICY)
    try:

        def seen() -> tuple[list[str], list[str], int]:
            asked = {
                pod: [reach("open", f"{two.address}:{port}", seconds=2) for two in twos for port in (open_, closed)]
                for pod in ways.pods
            }
            refused, passed, count = [], [], 0
            for pod, answers in ways.workload.ask_all(asked).items():
                ends = [(two, port) for two in twos for port in (open_, closed)]
                for (two, port), answer in zip(ends, answers, strict=True):
                    if pod.address == two.address:
                        continue  # nobody stands between a pod and itself
                    count += 1
                    way = f"{pod.set}@{pod.node} → {two.set}@{two.node}:{port}"
                    allowed = pod.set == "one" and port == open_
                    if allowed and not answer.seen:
                        refused.append(f"{way} is refused: {_saw(answer)}")
                    if not allowed and answer.seen:
                        passed.append(f"{way} passes")
            return refused, passed, count

        if ways.enforces:
            with contextlib.suppress(AssertionError):
                until("the policy is in force", lambda: seen()[:2] == ([], []), 30)
        refused, passed, count = seen()
    finally:
        kubectl("delete", "networkpolicy", "guarded", "-n", NAMESPACE)
    if ways.enforces:
        return ways.row(name, "what is allowed passes, all else is dropped", [*refused, *passed], count)
    if refused or not passed:
        return Row(name, False, f"is said not to be enforced, but {'; '.join(refused[:3]) or 'nothing passes'}")
    return Row(name, True, "not enforced by this CNI, as `gen check` says")


def metadata(ways: Ways) -> Row:
    """No pod reaches the provider's metadata, which each node does."""
    asked = {pod: [reach("open", f"{METADATA}:80")] for pod in (*ways.pods, *ways.hosts)}
    found = ways.workload.ask_all(asked)
    wrong = [f"{pod.set}@{pod.node} reaches it" for pod in ways.pods if found[pod][0].seen]
    wrong += [
        f"{pod.node} itself does not reach it: {_saw(found[pod][0])}" for pod in ways.hosts if not found[pod][0].seen
    ]
    return ways.row("pod → metadata", "unreachable, and the nodes reach it", wrong, len(asked))


def node_ports(ways: Ways) -> Row:
    """No pod reaches a port of a node that the plan doesn't give to pods, its own node's neither; somebody listens."""
    tried = sorted({port.number for port in ports.PORTS if port.protocol == "tcp"} | {CALLERS, WEB})
    callers = ways.workload.of("one")
    ends = [(host, number) for host in ways.hosts for number in tried if number != KNOCK]
    asked = {pod: [reach("open", f"{host.address}:{number}", seconds=2) for host, number in ends] for pod in callers}
    wrong = []
    for pod, answers in ways.workload.ask_all(asked).items():
        for (host, number), answer in zip(ends, answers, strict=True):
            given = number in _given(ways.plan, host.node)
            if answer.seen and not given:
                wrong.append(f"{pod.node} → {host.node}:{number} is open")
            if number == ways.plan.api_port and given and not answer.seen:
                wrong.append(f"{pod.node} → {host.node}:{number} is closed: {_saw(answer)}")
    return ways.row(
        "pod → node's ports", "closed, but for those that the plan gives to pods", wrong, len(callers) * len(ends)
    )


def full_size(ways: Ways) -> Row:
    """A packet of the planned size passes between all nodes and back in one piece, and a byte more is refused."""
    mtu = ways.plan.mtu
    ends = [(pod, other) for pod in ways.workload.of("one") for other in ways.workload.of("two")]
    asked: dict[Pod, list[dict[str, object]]] = {}
    for pod, other in ends:
        target = f"{other.address}:{CALLERS}"
        asked.setdefault(pod, []).extend([reach("echo", target, size=mtu), reach("echo", target, size=mtu + 1)])
    wrong = []
    for pod, answers in ways.workload.ask_all(asked).items():
        for number, other in enumerate(ways.workload.of("two")):
            fits, larger = answers[2 * number : 2 * number + 2]
            way = f"{pod.node} → {other.node}"
            if fits.seen != str(mtu):
                wrong.append(f"{way}: {mtu} bytes: {_saw(fits)}")
            if larger.seen:
                wrong.append(f"{way}: {mtu + 1} bytes pass in one piece")
    return ways.row("full-size packets", f"{mtu} bytes unfragmented", wrong, 2 * len(ends))


def speed(ways: Ways) -> Row:
    """What pods send to each other between two nodes, beside what these do: in turns, of which the middle counts."""
    pod = ways.workload.of("one")[0]
    other = ways.workload.of("two")[-1]
    hosts = {each.node: each for each in ways.hosts}
    try:
        turns = [
            (ways.workload.speed(pod, other), ways.workload.speed(hosts[pod.node], hosts[other.node]))
            for _ in range(TURNS)
        ]
    except AssertionError as error:
        return Row("iperf3", False, str(error))
    ratio = median(between / beside for between, beside in turns)
    between, beside = (median(each) for each in zip(*turns, strict=True))
    where = "on one node" if pod.node == other.node else "between nodes"
    shown = f"pod ↔ pod {between:,.0f} Mbit/s, host ↔ host {beside:,.0f} Mbit/s"
    return Row("iperf3", True, f"{ratio:.0%} {where}: {shown}")


WAYS: tuple[Checked, ...] = (
    pods_to_pods,
    pods_to_service,
    hosts_to_service,
    pods_to_dns,
    pods_to_api,
    from_outside,
    policy,
    metadata,
    node_ports,
    full_size,
    speed,
)


def measured(ways: Ways, checks: Sequence[Checked] = WAYS) -> Iterator[Row]:
    """Try each way."""
    for check in checks:
        yield check(ways)


def _given(plan: Plan, node: str) -> set[int]:
    """List a node's ports that pods reach: those for them, and those for everybody."""
    sources, role = {"pods", "anyone", "operators"}, plan.node(node).role
    return {port.number for port in ports.PORTS if role in port.roles and sources & set(port.sources)}


def _saw(answer: Answer) -> str:
    return answer.seen or answer.error
