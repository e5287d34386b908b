"""Who floods the API with events is refused by a real API server, and nobody else is."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Callable, Iterator

import pytest
import yaml

from generator.files import resource
from tests.contract import api_server, binaries
from tests.contract.api_server import ApiServer

MOST = 3000
Send = Callable[[str], int]


def limits() -> dict[str, dict[str, int]]:
    plugins = yaml.safe_load((resource("userdata") / api_server.ADMISSION).read_text())["plugins"]
    (found,) = (plugin["configuration"]["limits"] for plugin in plugins if plugin["name"] == "EventRateLimit")
    return {limit["type"]: limit for limit in found}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    tools = binaries.find(*api_server.TOOLS)
    with api_server.running(tmp_path_factory.mktemp("api-server"), tools) as running:
        for words in (
            ("create", "clusterrole", "noisy", "--verb=create", "--resource=events"),
            ("create", "clusterrolebinding", "noisy", "--clusterrole=noisy", "--group=system:serviceaccounts"),
        ):
            done = running.kubectl(*words)
            assert done.returncode == 0, done.stderr
        yield running


@pytest.fixture
def speak(server: ApiServer) -> Iterator[Callable[[str], Send]]:
    """Make a service account; gives what sends an event of it, about a pod, and tells the status."""
    context = ssl.create_default_context(cafile=str(server.directory / "ca.crt"))
    open_ones: list[http.client.HTTPSConnection] = []

    def account(name: str) -> Send:
        server.kubectl("create", "serviceaccount", name)
        token = server.kubectl("create", "token", name).stdout.strip()
        connection = http.client.HTTPSConnection("127.0.0.1", server.port, context=context, timeout=30)
        open_ones.append(connection)

        def send(pod: str) -> int:
            event = {
                "apiVersion": "v1",
                "kind": "Event",
                "metadata": {"generateName": "noise-"},
                "involvedObject": {"kind": "Pod", "namespace": "default", "name": pod},
                "source": {"component": name},
            }
            headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
            connection.request("POST", "/api/v1/namespaces/default/events", json.dumps(event), headers)
            answer = connection.getresponse()
            answer.read()
            return answer.status

        return send

    yield account
    for connection in open_ones:
        connection.close()


def test_who_floods_is_refused_and_nobody_else(speak: Callable[[str], Send]) -> None:
    flood, other = speak("flood"), speak("other")
    found = []
    while len(found) < MOST and 429 not in found:
        found.append(flood(f"pod-{len(found)}"))
    assert set(found) == {201, 429}
    assert len(found) > limits()["User"]["burst"], "a burst is let through"
    heard = []
    for number in range(50):
        found.append(flood(f"more-{number}"))
        heard.append(other(f"pod-{number}"))
    assert found.count(429) > 1
    assert set(heard) == {201}


def test_one_object_is_not_spoken_of_without_end(speak: Callable[[str], Send]) -> None:
    chatty = speak("chatty")
    burst = limits()["SourceAndObject"]["burst"]
    found = [chatty("one") for _ in range(2 * burst)]
    assert set(found[:burst]) == {201}
    assert 429 in found[burst:]
    assert chatty("two") == 201


def test_each_limit_is_of_one_client() -> None:
    assert limits().keys() == {"User", "SourceAndObject"}
    assert min(limit["qps"] for limit in limits().values()) > 0
    # The kubelet's own bounds, which a node that does its work keeps to.
    assert limits()["User"]["qps"] >= 50
