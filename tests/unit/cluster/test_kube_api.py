"""Whatever an API server answers is an answer or none; no traceback comes of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from generator.cluster.kube_api import REPORT, Applied, Credentials, Kube, KubeNode

NODE = {
    "metadata": {"name": "node01", "labels": {}},
    "status": {"conditions": [{"type": "Ready", "status": "True", "reason": "x"}], "nodeInfo": {"bootID": "b"}},
}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Kube:
    nowhere = Path("/nonexistent")
    return Kube("203.0.113.7", Credentials(nowhere, nowhere, nowhere, "api.c.internal"), None)


def answering(monkeypatch: pytest.MonkeyPatch, server: Kube, body: bytes) -> Kube:
    monkeypatch.setattr(server, "_get", lambda _: body)
    return server


@pytest.mark.parametrize(
    ("change", "ready"),
    [
        ({}, True),
        ({"status": None}, False),
        ({"status": {"conditions": None, "nodeInfo": None}}, False),
        ({"status": {}}, False),
        ({"status": {"conditions": [{"type": "Ready", "status": "Unknown"}]}}, False),
        ({"spec": None}, True),
    ],
)
def test_a_node_is_ready_when_it_says_so(
    monkeypatch: pytest.MonkeyPatch, server: Kube, change: dict[str, Any], ready: bool
) -> None:
    body = json.dumps({"items": [{**NODE, **change}]}).encode()
    assert answering(monkeypatch, server, body).nodes() == {"node01": KubeNode(ready, None)}


def test_a_node_leaves_its_report_at_its_node(monkeypatch: pytest.MonkeyPatch, server: Kube) -> None:
    metadata = {"name": "node01", "annotations": {REPORT: "said", "other": "x"}}
    body = json.dumps({"items": [{**NODE, "metadata": metadata}]}).encode()
    assert answering(monkeypatch, server, body).nodes() == {"node01": KubeNode(is_ready=True, report="said")}


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"null", b"[]", b"7", b'"x"', b"{}", b'{"items": null}', b'{"items": [null]}', b'{"items": {}}'),
        *(b'{"items": [{}]}', b'{"items": [{"metadata": null}]}', b'{"items": [{"metadata": {"name": 7}}]}'),
        *(
            b'{"items": [{"metadata": {"name": "a", "annotations": []}}]}',
            b'{"items": [{"metadata": {"name": "a", "annotations": {"b": 1}}}]}',
        ),
        *(b'{"items": [{"metadata": {"name": "a"}, "status": {"conditions": [{"type": 1}]}}]}', b"[" * 100_000),
        *(b'{"data": null}', b'{"data": []}', b'{"data": {"addons": null}}', b"<html>", b"\xff\xfe"),
    ],
)
def test_what_is_no_answer_is_none(monkeypatch: pytest.MonkeyPatch, server: Kube, body: bytes) -> None:
    made = answering(monkeypatch, server, body)
    assert made.nodes() is None
    assert made.addons() == Applied()


def test_nodes_of_every_page_are_known(monkeypatch: pytest.MonkeyPatch, server: Kube) -> None:
    asked = []

    def get(path: str) -> bytes:
        asked.append(path)
        name = f"node{len(asked):02}"
        more = {"continue": "a+b"} if len(asked) < 3 else {}
        return json.dumps({"items": [{**NODE, "metadata": {"name": name}}], "metadata": more}).encode()

    monkeypatch.setattr(server, "_get", get)
    assert list(server.nodes() or ()) == ["node01", "node02", "node03"]
    assert [path.partition("&")[2] for path in asked] == ["", "continue=a%2Bb", "continue=a%2Bb"]


def test_a_list_of_nodes_without_an_end_is_none(monkeypatch: pytest.MonkeyPatch, server: Kube) -> None:
    body = json.dumps({"items": [NODE], "metadata": {"continue": "on"}}).encode()
    assert answering(monkeypatch, server, body).nodes() is None
