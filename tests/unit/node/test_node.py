"""The Node is made as planned, once; the resolver is one that pods can reach."""

from __future__ import annotations

from typing import Any

import pytest
from hardway import here, node, readiness
from hardway.here import Failure, Terminal


class Api:
    """An API server that knows one Node at most."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, found: dict[str, Any] | None = None) -> None:
        self.node = found
        self.calls: list[tuple[str, str]] = []
        monkeypatch.setattr(node, "api", self.ask)
        monkeypatch.setattr(node, "patch", lambda path, body, **_: self.ask("PATCH", path, body))

    def ask(self, method: str, path: str, body: Any = None, **_: object) -> tuple[int, Any]:
        self.calls.append((method, path))
        if method == "GET":
            return (200, self.node) if self.node else (404, {"message": "not found"})
        if method == "POST":
            self.node = body
            return 201, body
        assert self.node
        self.node["spec"] |= body["spec"]
        return 200, self.node


def test_makes_the_node_as_planned(monkeypatch: pytest.MonkeyPatch, facts: dict[str, Any]) -> None:
    api = Api(monkeypatch)
    node.make(facts)
    node.make(facts)
    assert api.calls == [("GET", "/api/v1/nodes/node01"), ("POST", "/api/v1/nodes"), ("GET", "/api/v1/nodes/node01")]
    assert api.node == {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": "node01", "labels": {"kubernetes.io/hostname": "node01"}},
        "spec": {"podCIDR": "10.42.0.0/24", "podCIDRs": ["10.42.0.0/24"]},
    }


def test_a_node_that_was_made_although_no_answer_came_is_made(
    monkeypatch: pytest.MonkeyPatch, facts: dict[str, Any]
) -> None:
    api = Api(monkeypatch)

    def ask(method: str, path: str, body: Any = None, **_: object) -> tuple[int, Any]:
        if method == "GET" and len(api.calls) == 0:
            api.ask("POST", path, node.planned(facts))
            return 404, {}
        return (409, {"message": "it exists"}) if method == "POST" else api.ask(method, path, body)

    monkeypatch.setattr(node, "api", ask)
    node.make(facts)
    assert [method for method, _ in api.calls] == ["POST", "GET"]


def test_a_node_that_is_not_schedulable_is_born_with_its_taint(facts: dict[str, Any]) -> None:
    spec = node.planned(facts | {"schedulable": False})["spec"]
    assert spec["taints"] == [{"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}]


def test_gives_a_node_without_one_its_pod_cidr(monkeypatch: pytest.MonkeyPatch, facts: dict[str, Any]) -> None:
    api = Api(monkeypatch, {"spec": {"taints": ["kept"]}})
    node.make(facts)
    assert api.node == {"spec": {"taints": ["kept"], "podCIDR": "10.42.0.0/24", "podCIDRs": ["10.42.0.0/24"]}}


def test_another_pod_cidr_is_the_end(monkeypatch: pytest.MonkeyPatch, facts: dict[str, Any]) -> None:
    Api(monkeypatch, {"spec": {"podCIDR": "10.42.7.0/24"}})
    with pytest.raises(Terminal, match=r"has pod CIDR 10\.42\.7\.0/24, 10\.42\.0\.0/24 is planned"):
        node.make(facts)


def test_a_refusal_is_tried_again(monkeypatch: pytest.MonkeyPatch, facts: dict[str, Any]) -> None:
    monkeypatch.setattr(node, "api", lambda *_, **__: (403, {"message": "not yet"}))
    with pytest.raises(Failure, match="answer 403: not yet") as caught:
        node.make(facts)
    assert not isinstance(caught.value, Terminal)


@pytest.mark.parametrize(
    ("resolved", "plain", "expected"),
    [
        ("nameserver 9.9.9.9\n", "nameserver 127.0.0.53\n", "/run/systemd/resolve/resolv.conf"),
        (None, "# c\nnameserver 9.9.9.9\nsearch x\n", "/etc/resolv.conf"),
        ("# none\n", "nameserver 9.9.9.9\n", "/etc/resolv.conf"),
        (None, "nameserver 127.0.0.53\n", None),
        (None, "nameserver ::1\n", None),
        (None, None, None),
    ],
)
def test_the_resolver_is_never_the_stub(resolved: str | None, plain: str | None, expected: str | None) -> None:
    for path, text in zip(node.RESOLVERS, (resolved, plain), strict=True):
        if text is not None:
            here.write(path, text)
    if expected:
        assert node.resolver() == expected
    else:
        with pytest.raises(Failure, match="beyond loopback"):
            node.resolver()


@pytest.mark.parametrize(
    ("text", "servers"),
    [
        ("nameserver\t192.0.2.53\n", ["192.0.2.53"]),
        ("nameserver\nsearch\nnameserver 192.0.2.53\n", ["192.0.2.53"]),
        ("  nameserver   192.0.2.53  # why\n", ["192.0.2.53"]),
        (
            f"{''.join(f'nameserver 192.0.2.{n}{chr(10)}' for n in (1, 2, 1, 3, 4))}",
            [f"192.0.2.{n}" for n in (1, 2, 3)],
        ),
        ("nameserver 192.0.2.1\nnameserver 192.0.2.1\n", ["192.0.2.1"]),
        ("nameserver 192.0.2.1\nnameserver 192.0.2.2\nnameserver 192.0.2.3\n", [f"192.0.2.{n}" for n in (1, 2, 3)]),
    ],
)
def test_pods_get_three_resolvers_once_each(text: str, servers: list[str]) -> None:
    here.write("/etc/resolv.conf", f"{text}search x.example\n")
    found = here.at(node.resolver()).read_text().splitlines()
    assert [
        line.split()[1] for line in found if line.split()[:1] == ["nameserver"] and len(line.split()) > 1
    ] == servers
    assert "search x.example" in found


@pytest.mark.parametrize(
    ("status", "state", "boot", "expected"),
    [(200, "True", "b", True), (200, "False", "b", False), (200, "True", "earlier", False), (404, "True", "b", False)],
)
def test_ready_means_in_this_boot(status: int, state: str, boot: str, expected: bool) -> None:
    found = {"status": {"nodeInfo": {"bootID": boot}, "conditions": [{"type": "Ready", "status": state}]}}
    assert readiness.says_ready(status, found, "b") is expected


def test_a_node_says_why_it_is_not_ready() -> None:
    why = "container runtime network not ready: cni plugin not initialized"
    conditions = [{"type": "Ready", "status": "False", "message": why}]
    with pytest.raises(Failure, match=f"^{why}$"):
        readiness.says_ready(200, {"status": {"nodeInfo": {"bootID": "b"}, "conditions": conditions}}, "b")


def test_a_node_that_never_reported_is_not_ready() -> None:
    assert not readiness.says_ready(200, {"status": {}}, "b")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Failure("127.0.0.1:7443: refused"), "the API server is not ready: 127.0.0.1:7443: refused"),
        (503, "the API server is not ready"),
    ],
)
def test_patience_ends_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, facts: dict[str, Any], no_waiting: list[float], answer: Failure | int, said: str
) -> None:
    probed: list[float] = []

    def ask(*_: object, seconds: float) -> tuple[int, Any]:
        assert seconds < 5, "what is asked too early must not hang"
        if isinstance(answer, Failure):
            raise answer
        return answer, {}

    here.write(node.RESOLVERS[0], "nameserver 9.9.9.9\n")
    monkeypatch.setattr(readiness, "api", ask)
    monkeypatch.setattr(node.survey, "take", lambda: probed.append(sum(no_waiting)))
    with pytest.raises(Failure) as caught:
        node.prepare()
    assert str(caught.value) == said
    assert probed == [120], "a broken mesh is a likely cause"


def test_readiness_is_awaited(monkeypatch: pytest.MonkeyPatch, facts: dict[str, Any], no_waiting: list[float]) -> None:
    asked: list[str] = []

    def ask(_: str, path: str) -> tuple[int, Any]:
        asked.append(path)
        state = "True" if len(asked) == 3 else "False"
        return 200, {"status": {"nodeInfo": {"bootID": "boot"}, "conditions": [{"type": "Ready", "status": state}]}}

    here.write("/proc/sys/kernel/random/boot_id", "boot\n")
    monkeypatch.setattr(readiness, "api", ask)
    monkeypatch.setattr(node.survey, "begin", lambda: asked.append("probe"))
    node.ready()
    assert asked == ["/api/v1/nodes/node01"] * 3 + ["probe"]
    assert no_waiting == [node.PAUSE_SECONDS] * 2
