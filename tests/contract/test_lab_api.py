"""The real pydo client takes the lab for DigitalOcean: over TLS, with its errors, lags and lost answers."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, ResourceExistsError
from pydo import Client

from generator.lab.account import vpcs
from generator.lab.account.account import Account
from generator.lab.account.api import Api
from generator.lab.services.authority import Authority
from generator.lab.unkindness import KIND, Unkindness
from generator.lab.webserver import Server, tcp_listener

TOKEN = "dop_v1_" + "a" * 64
ORDER = {"name": "node01", "region": "fra1", "size": "s-2vcpu-4gb", "image": "debian-13-x64", "tags": ["hardway:c"]}

Serve = Callable[..., tuple[Client, Account]]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Serve an account on loopback under the lab's authority, and give a client that trusts that alone."""
    authority = Authority(tmp_path / "authority")
    certificate, key = authority.issue(["localhost"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    servers = []

    def start(unkind: Unkindness = KIND, token: str = TOKEN) -> tuple[Client, Account]:
        account = Account(unkind)
        vpcs.add_defaults(account, time.time())
        api = Api(account, TOKEN, tmp_path / "api.jsonl", lambda _: None)
        server = Server(tcp_listener("127.0.0.1", 0), api.respond, context)
        client = Client(
            token=token,
            endpoint=f"https://localhost:{server.port}",
            connection_verify=str(authority.certificate_file),
            retry_total=0,
        )
        servers.append((server, client))
        return client, account

    yield start
    for server, client in servers:
        client.close()
        server.close()


def test_a_wrong_token_raises(serve: Serve) -> None:
    client, _ = serve(token="dop_v1_" + "b" * 64)
    with pytest.raises(ClientAuthenticationError):
        client.account.get()


def test_the_life_of_a_cluster(serve: Serve) -> None:
    client, _ = serve()
    assert client.account.get()["account"]["status"] == "active"
    assert "s-2vcpu-4gb" in [size["slug"] for size in client.sizes.list(per_page=200)["sizes"]]
    assert client.images.get("debian-13-x64")["image"]["regions"]
    vpc = client.vpcs.create(body={"name": "c", "region": "fra1", "ip_range": "10.110.0.0/20"})["vpc"]["id"]
    client.tags.create(body={"name": "hardway:c"})
    rules = {
        "inbound_rules": [{"protocol": "tcp", "ports": "6443", "sources": {"addresses": ["28.51.100.7/32"]}}],
        "outbound_rules": [{"protocol": "tcp", "ports": "all", "destinations": {"addresses": ["0.0.0.0/0", "::/0"]}}],
    }
    firewall = client.firewalls.create(body={"name": "orderbook", "tags": ["hardway:c"], **rules})["firewall"]["id"]
    made = client.droplets.create(body=ORDER | {"vpc_uuid": vpc, "user_data": "#cloud-config\n"})
    number = made["droplet"]["id"]
    droplet = client.droplets.get(number)["droplet"]
    assert droplet["status"] == "active"
    assert {network["type"] for network in droplet["networks"]["v4"]} == {"private", "public"}
    assert client.droplets.list(tag_name="hardway:c")["meta"]["total"] == 1
    assert client.firewalls.get(firewall)["firewall"]["status"] == "succeeded"
    assert client.actions.get(made["links"]["actions"][0]["id"])["action"]["status"] == "completed"
    assert client.droplets.destroy(number) is None
    assert client.firewalls.delete(firewall) is None
    assert client.tags.delete("hardway:c") is None
    assert client.vpcs.delete(vpc) is None


@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.droplets.get(1),
        lambda client: client.droplets.destroy(1),
        lambda client: client.vpcs.get("x"),
        lambda client: client.firewalls.get("x"),
        lambda client: client.tags.get("x"),
        lambda client: client.ssh_keys.get("x"),
        lambda client: client.images.get("beos"),
    ],
)
def test_pydo_hands_404_out_as_a_result(serve: Serve, call: Callable[[Client], Any]) -> None:
    client, _ = serve()
    assert call(client)["id"] == "not_found"


@pytest.mark.parametrize(
    ("call", "status"),
    [
        (lambda client: client.droplets.create(body=ORDER | {"size": "x"}), 422),
        (lambda client: client.droplets.create(body=ORDER | {"user_data": "x" * 65537}), 422),
        (lambda client: client.firewalls.create(body={"name": "c"}), 422),
        (lambda client: client.vpcs.create(body={"name": "c", "region": "fra1", "ip_range": "8.8.8.0/24"}), 422),
    ],
)
def test_other_errors_raise(serve: Serve, call: Callable[[Client], Any], status: int) -> None:
    client, _ = serve()
    with pytest.raises(HttpResponseError) as caught:
        call(client)
    assert caught.value.status_code == status
    assert caught.value.response.json()["id"] == "unprocessable_entity"
    assert caught.value.response.headers["ratelimit-limit"] == "5000"


def test_a_vpc_with_members_is_409(serve: Serve) -> None:
    client, _ = serve(replace(KIND, member_lag=60))
    vpc = client.vpcs.create(body={"name": "c", "region": "fra1", "ip_range": "10.110.0.0/20"})["vpc"]["id"]
    number = client.droplets.create(body=ORDER | {"vpc_uuid": vpc})["droplet"]["id"]
    client.droplets.destroy(number)
    with pytest.raises(ResourceExistsError):
        client.vpcs.delete(vpc)


def test_a_droplet_is_not_found_at_first_and_then_without_addresses(serve: Serve) -> None:
    client, _ = serve(replace(KIND, read_lag=0.4, boot_lag=0.4, network_lag=1.0))
    number = client.droplets.create(body=ORDER)["droplet"]["id"]
    assert client.droplets.get(number)["id"] == "not_found"
    seen = set()
    deadline = time.time() + 10
    while time.time() < deadline:
        droplet = client.droplets.get(number).get("droplet")
        if droplet:
            seen.add((droplet["status"], len(droplet["networks"]["v4"])))
        if ("active", 2) in seen:
            break
        time.sleep(0.02)
    assert {("active", 0), ("active", 1), ("active", 2)} <= seen


def test_a_creation_that_answers_500_happened(serve: Serve) -> None:
    client, account = serve(replace(KIND, failing_creates=1))
    with pytest.raises(HttpResponseError) as caught:
        client.droplets.create(body=ORDER)
    assert caught.value.status_code == 500
    assert [droplet["name"] for droplet in client.droplets.list(tag_name="hardway:c")["droplets"]] == ["node01"]
    assert len(account.living()) == 1


def test_every_answer_says_what_is_left_of_the_limit(serve: Serve) -> None:
    client, _ = serve()
    take = {"cls": lambda pipeline, _body, _headers: pipeline.http_response.headers}
    first, second = client.account.get(**take), client.account.get(**take)
    assert int(first["ratelimit-remaining"]) - int(second["ratelimit-remaining"]) == 1
    assert first["x-request-id"] != second["x-request-id"]
    assert first["date"]
