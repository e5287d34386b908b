"""The metadata service knows a droplet by its address, and has the paths and answers of the real one."""

from __future__ import annotations

import json
from email import message_from_string
from ipaddress import IPv4Address, IPv4Interface

import pytest

from generator.lab.account import vpcs
from generator.lab.account.account import Account
from generator.lab.account.droplets import create
from generator.lab.daemon.config_drive import config_drive, vendor_data
from generator.lab.machines.port import Port
from generator.lab.services.metadata import Facts, Metadata
from generator.lab.unkindness import KIND
from generator.lab.webserver import Call, Reply

ORDER = {
    "name": "node01",
    "region": "fra1",
    "size": "s-2vcpu-4gb",
    "image": "debian-13-x64",
    "user_data": "#cloud-config\n",
}


@pytest.fixture
def facts() -> Facts:
    account = Account(KIND)
    vpcs.add_defaults(account, 0)
    droplet = create(account, {**ORDER, "tags": ["hardway:c", "hardway:c:node:node01"]}, 0)[0]
    port = Port.planned(
        droplet.id, IPv4Address(droplet.public_address), IPv4Interface(f"{droplet.vpc_address}/20"), "fra1"
    )
    return Facts(droplet, port, ("ssh-ed25519 AAAA",), vendor_data(60))


def ask(facts: Facts, path: str, peer: str | None = None) -> Reply:
    service = Metadata(lambda address: facts if address == facts.droplet.public_address else None)
    return service.respond(Call("GET", path, peer=peer or facts.droplet.public_address))


def test_the_document_tells_a_droplet_all_about_itself(facts: Facts) -> None:
    reply = ask(facts, "/metadata/v1.json")
    value = json.loads(reply.body)
    assert value["droplet_id"] == facts.droplet.id
    assert value["hostname"] == "node01"
    assert value["tags"] == ["hardway:c", "hardway:c:node:node01"]
    assert value["interfaces"]["public"][0]["ipv4"] == {
        "ip_address": facts.droplet.public_address,
        "netmask": "255.255.255.0",
        "gateway": "203.0.113.1",
    }
    private = value["interfaces"]["private"][0]
    assert (private["ipv4"]["ip_address"], private["ipv4"]["netmask"]) == (facts.droplet.vpc_address, "255.255.240.0")
    assert private["mac"] == facts.port.vpc_mac
    assert value["user_data"] == ORDER["user_data"], "any process may read it, as on the real one"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/metadata/v1/id", 200),
        ("/metadata/v1", 301),
        ("/metadata/v1/", 200),
        ("/metadata/v1/interfaces", 301),
        ("/metadata/v1/interfaces/private/0/ipv4/address", 200),
        ("/metadata/v1/interfaces/private/1/ipv4/address", 404),
        ("/metadata/v1/interfaces/public/0/mac", 200),
        ("/metadata/v1/id/", 200),
        ("/metadata/v1/nothing", 404),
        ("/metadata/v2/id", 404),
        ("/metadata/v1x", 404),
        ("/", 404),
    ],
)
def test_paths_have_the_answers_of_the_real_service(facts: Facts, path: str, status: int) -> None:
    reply = ask(facts, path)
    assert reply.status == status
    if status == 301:
        assert reply.headers["location"] == f"{path}/"


def test_texts_are_plain_and_directories_list_their_names(facts: Facts) -> None:
    assert ask(facts, "/metadata/v1/user-data").body == b"#cloud-config\n"
    assert ask(facts, "/metadata/v1/interfaces/private/0/ipv4/address").body.decode() == facts.droplet.vpc_address
    assert ask(facts, "/metadata/v1/tags").body == b"hardway:c\nhardway:c:node:node01"
    index = ask(facts, "/metadata/v1/").body.decode().splitlines()
    assert {"id", "hostname", "user-data", "vendor-data", "interfaces/", "dns/", "tags"} <= set(index)


def test_a_stranger_is_told_nothing(facts: Facts) -> None:
    assert ask(facts, "/metadata/v1.json", peer="203.0.113.250").status == 404
    assert Metadata(lambda _: facts).respond(Call("PUT", "/metadata/v1/id")).status == 404


def test_the_config_drive_holds_what_was_ordered(facts: Facts) -> None:
    drive = config_drive(facts.droplet, facts.public_keys, 60)
    assert drive.user_data == ORDER["user_data"]
    assert drive.meta_data["hostname"] == "node01"
    assert drive.meta_data["instance-id"] == str(facts.droplet.id)


def test_vendor_data_are_multipart_and_hold_the_lock_only_if_wished() -> None:
    parts = [part.get_content_type() for part in message_from_string(vendor_data(60)).get_payload()]  # type: ignore[union-attr]
    assert parts == ["text/cloud-config", "text/x-shellscript"]
    assert "manage_etc_hosts: true" in vendor_data(0)
    assert "sleep(60)" in vendor_data(60)
    assert "lock-frontend" not in vendor_data(0)
