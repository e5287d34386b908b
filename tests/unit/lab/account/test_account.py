"""The emulated account does what digitalocean.com's documentation and its users report, as a table of behaviours."""

from __future__ import annotations

import base64
import random
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pytest

from generator.lab.account import account as accounts
from generator.lab.account import droplets, firewalls, requests, reserved_ips, routes, snapshots, volumes, vpcs
from generator.lab.account.account import Account, Droplet, Refusal, Volume
from generator.lab.state import anchor
from generator.lab.unkindness import KIND, Unkindness

NOW = 1_795_000_000.0
KEY = "ssh-ed25519 " + base64.b64encode(b"\x00\x00\x00\x0bssh-ed25519" + b"\x00\x00\x00\x20" + bytes(32)).decode()
ORDER = {"name": "node01", "region": "fra1", "size": "s-2vcpu-4gb", "image": "debian-13-x64"}
VPC = {"name": "orderbook", "region": "fra1", "ip_range": "10.110.0.0/20"}
VOLUME = {"name": "orderbook-node01-data", "region": "fra1", "size_gigabytes": 10}
ANY = {"addresses": ["0.0.0.0/0"]}
FIREWALL = {
    "name": "orderbook",
    "tags": ["c"],
    "inbound_rules": [{"protocol": "tcp", "ports": "6443", "sources": {"addresses": ["28.51.100.7/32"]}}],
    "outbound_rules": [{"protocol": "tcp", "ports": "all", "destinations": ANY}],
}


def new(unkind: Unkindness = KIND) -> Account:
    account = Account(unkind)
    vpcs.add_defaults(account, NOW)
    return account


def ask(account: Account, method: str, path: str, now: float = NOW, body: Any = None, **query: str) -> dict[str, Any]:
    answer = routes.answer(account, requests.Request(method, path, query, body or {}), now)
    return dict(answer.body or {}, status=answer.status)


def refused(account: Account, method: str, path: str, now: float = NOW, body: Any = None, **query: str) -> Refusal:
    with pytest.raises(Refusal) as caught:
        ask(account, method, path, now, body, **query)
    return caught.value


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ({"name": "node_1"}, 422, "hostname"),
        ({"name": "a" * 256}, 422, "hostname"),
        ({"name": None}, 422, "hostname"),
        ({"names": ["a", "b"]}, 422, "Name"),
        ({"size": "s-3vcpu"}, 422, "invalid size"),
        ({"region": "fra9"}, 422, "invalid region"),
        ({"region": "nyc1", "size": "c-2"}, 422, "not available in this region"),
        ({"image": "debian-12-x64"}, 422, "invalid image"),
        ({"ssh_keys": [1]}, 422, "invalid key identifiers"),
        ({"user_data": "x" * 65537}, 422, "too long"),
        ({"user_data": "é" * 32769}, 422, "too long"),
        ({"vpc_uuid": "5a4981aa-9653-4bd1-bef5-d6bff52042e4"}, 404, "not be found"),
        ({"tags": ["a b"]}, 422, "Tag name"),
        ({"volumes": ["x"]}, 422, "volumes"),
    ],
)
def test_a_wrong_order_is_refused_and_makes_nothing(change: dict[str, Any], status: int, words: str) -> None:
    account = new()
    refusal = refused(account, "POST", "/v2/droplets", body=ORDER | change)
    assert (refusal.status, words in refusal.message) == (status, True)
    assert account.living() == []
    assert account.tags == {}


def test_the_largest_user_data_is_accepted() -> None:
    assert ask(new(), "POST", "/v2/droplets", body=ORDER | {"user_data": "x" * 65536})["status"] == 202


def test_a_young_droplet_is_known_by_and_by() -> None:
    account = new(replace(KIND, read_lag=2, list_lag=4, boot_lag=10, network_lag=6))
    made = ask(account, "POST", "/v2/droplets", body=ORDER | {"tags": ["c", "c:n"]})
    number = made["droplet"]["id"]
    assert made["droplet"]["networks"] == {"v4": [], "v6": []}
    assert "vpc_uuid" not in made["droplet"]
    assert refused(account, "GET", f"/v2/droplets/{number}").status == 404
    assert ask(account, "GET", "/v2/droplets", NOW + 1, tag_name="c")["droplets"] == []
    seen: list[tuple[str, tuple[str, ...]]] = []
    for second in range(3, 20):
        now = NOW + second
        droplet = ask(account, "GET", f"/v2/droplets/{number}", now)["droplet"]
        step = droplet["status"], tuple(network["type"] for network in droplet["networks"]["v4"])
        if step not in seen:
            seen.append(step)
    assert seen == [("new", ()), ("active", ()), ("active", ("private",)), ("active", ("private", "public"))]
    assert droplet["vpc_uuid"] == account.droplets[number].vpc
    assert [entry["id"] for entry in ask(account, "GET", "/v2/droplets", now, tag_name="c")["droplets"]] == [number]
    action = made["links"]["actions"][0]["id"]
    assert ask(account, "GET", f"/v2/actions/{action}", NOW + 1)["action"]["status"] == "in-progress"
    assert ask(account, "GET", f"/v2/actions/{action}", now)["action"]["status"] == "completed"


def test_a_destroyed_droplet_lingers_in_answers_and_in_its_vpc() -> None:
    account = new(replace(KIND, read_lag=2, list_lag=4, member_lag=8))
    vpc = ask(account, "POST", "/v2/vpcs", body=VPC)["vpc"]["id"]
    number = ask(account, "POST", "/v2/droplets", body=ORDER | {"vpc_uuid": vpc})["droplet"]["id"]
    later = NOW + 100
    assert ask(account, "DELETE", f"/v2/droplets/{number}", later)["status"] == 204
    assert account.living() == []
    assert ask(account, "GET", f"/v2/droplets/{number}", later + 0.5)["droplet"]["id"] == number
    assert refused(account, "GET", f"/v2/droplets/{number}", later + 3).status == 404
    assert refused(account, "DELETE", f"/v2/droplets/{number}", later + 3).status == 404
    assert len(ask(account, "GET", f"/v2/vpcs/{vpc}/members", later + 3)["members"]) == 1
    refusal = refused(account, "DELETE", f"/v2/vpcs/{vpc}", later + 3)
    assert (refusal.status, refusal.message) == (409, "Can not delete VPC with members")
    assert ask(account, "DELETE", f"/v2/vpcs/{vpc}", later + 9)["status"] == 204
    account.forget(later + 9)
    assert account.droplets == {}


def test_a_droplet_that_is_new_has_a_pending_event() -> None:
    account = new(replace(KIND, boot_lag=10))
    number = ask(account, "POST", "/v2/droplets", body=ORDER)["droplet"]["id"]
    assert refused(account, "DELETE", f"/v2/droplets/{number}").message == "Droplet already has a pending event."
    refusal = refused(account, "POST", f"/v2/droplets/{number}/actions", body={"type": "reboot"})
    assert refusal.status == 422


def test_one_creation_answers_500_and_yet_happened() -> None:
    account = new(replace(KIND, failing_creates=1))
    assert refused(account, "POST", "/v2/droplets", body=ORDER).status == 500
    assert [droplet.name for droplet in account.living()] == ["node01"]
    assert ask(account, "POST", "/v2/droplets", body=ORDER)["status"] == 202
    assert len(account.living()) == 2  # names are not unique


def test_a_droplet_whose_machine_fails_ends_errored_and_can_be_deleted() -> None:
    account = new(replace(KIND, boot_lag=100))
    made = ask(account, "POST", "/v2/droplets", body=ORDER)
    number, action = made["droplet"]["id"], made["links"]["actions"][0]["id"]
    droplets.fail(account, number, NOW + 1)
    assert ask(account, "GET", f"/v2/actions/{action}", NOW + 2)["action"]["status"] == "errored"
    assert ask(account, "GET", f"/v2/droplets/{number}", NOW + 200)["droplet"]["status"] == "new"
    assert ask(account, "DELETE", f"/v2/droplets/{number}", NOW + 2)["status"] == 204


def test_several_droplets_share_all_but_the_name() -> None:
    account = new()
    body = {**ORDER, "names": ["a", "b"], "user_data": "same"}
    del body["name"]
    made = ask(account, "POST", "/v2/droplets", body=body)
    assert [droplet["name"] for droplet in made["droplets"]] == ["a", "b"]
    assert len(made["links"]["actions"]) == 2
    assert {droplet.user_data for droplet in account.living()} == {"same"}
    assert refused(account, "POST", "/v2/droplets", body=body | {"names": ["n"] * 11}).status == 422


def test_the_droplet_limit_holds_halfway_through() -> None:
    account = new(replace(KIND, droplet_limit=2))
    for _ in range(2):
        ask(account, "POST", "/v2/droplets", body=ORDER)
    refusal = refused(account, "POST", "/v2/droplets", body=ORDER)
    assert "exceed your droplet limit" in refusal.message


def test_vpc_addresses_come_in_no_order_and_never_twice_in_a_row() -> None:
    account = new(replace(KIND, shuffled_addresses=True, droplet_limit=100))
    vpc = ask(account, "POST", "/v2/vpcs", body=VPC)["vpc"]["id"]
    for _ in range(20):
        ask(account, "POST", "/v2/droplets", body=ORDER | {"vpc_uuid": vpc})
    addresses = [IPv4Address(droplet.vpc_address) for droplet in account.living()]
    assert len(set(addresses)) == 20
    assert addresses != sorted(addresses)
    assert all(address in IPv4Network("10.110.0.0/20") for address in addresses)
    assert IPv4Address("10.110.0.1") not in addresses
    number = account.living()[0].id
    ask(account, "DELETE", f"/v2/droplets/{number}")
    ask(account, "POST", "/v2/droplets", body=ORDER | {"vpc_uuid": vpc})
    assert account.living()[-1].vpc_address != account.droplets[number].vpc_address
    assert account.living()[-1].public_address != account.droplets[number].public_address


def test_a_droplet_may_get_the_address_that_another_had() -> None:
    account = new(replace(KIND, recycled_addresses=True))
    vpc = ask(account, "POST", "/v2/vpcs", body=VPC)["vpc"]["id"]

    def made(name: str) -> Droplet:
        ask(account, "POST", "/v2/droplets", body=dict(ORDER, name=name, vpc_uuid=vpc))
        return account.living()[-1]

    one, two = made("node01"), made("node02")
    droplets.destroy(account, str(two.id), NOW)
    assert made("node02").vpc_address not in (one.vpc_address, two.vpc_address), "no other's is free"
    droplets.destroy(account, str(one.id), NOW)
    assert made("node01").vpc_address == two.vpc_address


def test_kind_addresses_come_in_order() -> None:
    account = new()
    vpc = ask(account, "POST", "/v2/vpcs", body=VPC)["vpc"]["id"]
    for _ in range(3):
        ask(account, "POST", "/v2/droplets", body=ORDER | {"vpc_uuid": vpc})
    assert [droplet.vpc_address for droplet in account.living()] == ["10.110.0.2", "10.110.0.3", "10.110.0.4"]


def test_the_same_seed_and_requests_give_the_same_account() -> None:
    def run(seed: int) -> str:
        account = new(Unkindness(seed=seed, failing_creates=0))
        for _ in range(3):
            ask(account, "POST", "/v2/droplets", body=ORDER)
        return account.dump()

    assert run(1) == run(1)
    assert run(1) != run(2)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": "a_b"}, "Name"),
        ({"name": "default-fra1"}, "already exists"),
        ({"region": "fra9"}, "Region"),
        ({"ip_range": "10.110.0.0/15"}, "between /16 and /28"),
        ({"ip_range": "10.110.0.0/29"}, "between /16 and /28"),
        ({"ip_range": "10.110.0.1/20"}, "invalid"),
        ({"ip_range": "8.8.0.0/20"}, "private"),
        ({"ip_range": "10.114.8.0/24"}, "overlaps with another VPC network in your account: default-fra1"),
        ({"ip_range": "10.244.0.0/20"}, "reserved"),
        ({"description": "x" * 256}, "too long"),
    ],
)
def test_a_wrong_vpc_is_refused(change: dict[str, Any], words: str) -> None:
    refusal = refused(new(), "POST", "/v2/vpcs", body=VPC | change)
    assert (refusal.status, words in refusal.message) == (422, True), refusal.message


def test_the_first_vpc_of_a_region_is_its_default_and_stays() -> None:
    account = new(replace(KIND, no_default_vpc=True))
    made = ask(account, "POST", "/v2/vpcs", body=VPC)["vpc"]
    assert made["default"] is True
    assert refused(account, "DELETE", f"/v2/vpcs/{made['id']}").status == 403
    assert ask(new(), "POST", "/v2/vpcs", body=VPC)["vpc"]["default"] is False


def test_a_fresh_key_is_unknown_to_droplets_for_a_while() -> None:
    account = new(replace(KIND, key_lag=4))
    key = ask(account, "POST", "/v2/account/keys", body={"name": "k", "public_key": KEY})["ssh_key"]
    order = ORDER | {"ssh_keys": [key["fingerprint"]]}
    assert "are invalid key identifiers for Droplet" in refused(account, "POST", "/v2/droplets", body=order).message
    assert ask(account, "POST", "/v2/droplets", NOW + 5, body=order)["status"] == 202
    again = refused(account, "POST", "/v2/account/keys", body={"name": "k2", "public_key": KEY})
    assert (again.status, again.message) == (422, "SSH Key is already in use on your account")
    assert ask(account, "GET", f"/v2/account/keys/{key['fingerprint']}")["ssh_key"] == key
    for text in ("", "ssh-ed25519", "ssh-ed25519 AAAA", "rsa AAAA"):
        assert refused(account, "POST", "/v2/account/keys", body={"name": "k", "public_key": text}).status == 422


def test_keys_are_listed_ten_times_a_minute() -> None:
    account = new()
    for _ in range(10):
        ask(account, "GET", "/v2/account/keys")
    refusal = refused(account, "GET", "/v2/account/keys")
    assert (refusal.status, refusal.retry_after) == (429, 60)
    assert ask(account, "GET", "/v2/account/keys", NOW + 61)["status"] == 200


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"tags": ["missing"]}, "tag not found: missing"),
        ({"droplet_ids": [1]}, "droplet not found"),
        ({"inbound_rules": [], "outbound_rules": []}, "at least one rule"),
        ({"inbound_rules": [{"protocol": "esp", "ports": "1", "sources": ANY}]}, "protocol"),
        ({"inbound_rules": [{"protocol": "tcp", "ports": "90-80", "sources": ANY}]}, "ports"),
        ({"inbound_rules": [{"protocol": "tcp", "ports": "70000", "sources": ANY}]}, "ports"),
        ({"inbound_rules": [{"protocol": "tcp", "sources": ANY}]}, "ports"),
        ({"inbound_rules": [{"protocol": "tcp", "ports": "80", "sources": {}}]}, "at least one of sources"),
        ({"inbound_rules": [{"protocol": "tcp", "ports": "80", "sources": {"tags": ["x"]}}]}, "tag not found: x"),
        ({"inbound_rules": [{"protocol": "tcp", "ports": "80", "sources": {"addresses": ["x"]}}]}, "address"),
        ({"inbound_rules": [{"protocol": "tcp", "ports": "80", "sources": ANY}] * 50}, "50 rules"),
        ({"tags": ["c"] * 6}, "5 tags"),
        ({"name": "-x"}, "name"),
    ],
)
def test_a_wrong_firewall_is_refused(change: dict[str, Any], words: str) -> None:
    account = new()
    ask(account, "POST", "/v2/tags", body={"name": "c"})
    refusal = refused(account, "POST", "/v2/firewalls", body=FIREWALL | change)
    assert (refusal.status, words in refusal.message) == (422, True), refusal.message


def test_a_firewall_covers_droplets_by_tag_and_tells_what_it_lets_through() -> None:
    account = new(replace(KIND, firewall_lag=4))
    ask(account, "POST", "/v2/tags", body={"name": "c"})
    mesh = {"protocol": "udp", "ports": "51820", "sources": {"tags": ["c"]}}
    echo = {"protocol": "icmp", "sources": {"tags": ["c"]}}
    body = FIREWALL | {"inbound_rules": [*FIREWALL["inbound_rules"], mesh, echo]}  # type: ignore[misc]
    made = ask(account, "POST", "/v2/firewalls", body=body)
    assert (made["status"], made["firewall"]["status"]) == (202, "succeeded")  # no droplet yet
    assert made["firewall"]["outbound_rules"][0]["ports"] == "0"
    assert refused(account, "POST", "/v2/firewalls", body=body).status == 409
    for _ in range(2):
        ask(account, "POST", "/v2/droplets", body=ORDER | {"tags": ["c"]})
    one, two = account.living()
    ask(account, "POST", "/v2/droplets", body=ORDER)
    assert firewalls.policy(account, account.living()[2]) is None
    policy = firewalls.policy(account, one)
    assert policy is not None
    own = (one.public_address, one.vpc_address, anchor("fra1", IPv4Address(one.public_address)).ip)
    assert policy.addresses == tuple(map(IPv4Address, own))
    assert [(rule.protocol, rule.ports) for rule in policy.inbound] == [
        ("tcp", (6443, 6443)),
        ("udp", (51820, 51820)),
        ("icmp", None),
    ]
    assert policy.outbound[0].ports is None
    assert IPv4Network(two.vpc_address) in policy.inbound[1].peers
    updated = ask(account, "PUT", f"/v2/firewalls/{made['firewall']['id']}", body=FIREWALL)["firewall"]
    assert updated["status"] == "waiting"
    assert {change["droplet_id"] for change in updated["pending_changes"]} == {one.id, two.id}
    later = ask(account, "GET", f"/v2/firewalls/{updated['id']}", NOW + 5)["firewall"]
    assert (later["status"], later["pending_changes"]) == ("succeeded", [])


def test_parts_of_a_firewall_are_added_and_taken_away() -> None:
    account = new()
    for tag in ("c", "d"):
        ask(account, "POST", "/v2/tags", body={"name": tag})
    path = f"/v2/firewalls/{ask(account, 'POST', '/v2/firewalls', body=FIREWALL)['firewall']['id']}"
    rule = {"protocol": "tcp", "ports": "80", "sources": ANY}
    ask(account, "POST", f"{path}/rules", body={"inbound_rules": [rule]})
    ask(account, "POST", f"{path}/tags", body={"tags": ["d"]})
    firewall = ask(account, "GET", path)["firewall"]
    assert (len(firewall["inbound_rules"]), firewall["tags"]) == (2, ["c", "d"])
    ask(account, "DELETE", f"{path}/rules", body={"inbound_rules": [rule]})
    ask(account, "DELETE", f"{path}/tags", body={"tags": ["c"]})
    firewall = ask(account, "GET", path)["firewall"]
    assert (len(firewall["inbound_rules"]), firewall["tags"]) == (1, ["d"])
    assert ask(account, "DELETE", path)["status"] == 204
    assert refused(account, "GET", path).status == 404


def test_tags_count_their_droplets_and_outlive_them() -> None:
    account = new()
    number = ask(account, "POST", "/v2/droplets", body=ORDER | {"tags": ["hardway:c", "hardway:c:node:n"]})["droplet"][
        "id"
    ]
    assert ask(account, "GET", "/v2/tags/hardway:c")["tag"]["resources"]["droplets"]["count"] == 1
    assert refused(account, "POST", "/v2/tags", body={"name": "Hardway:C"}).status == 422
    assert refused(account, "POST", "/v2/tags", body={"name": "a/b"}).status == 422
    ask(account, "DELETE", f"/v2/droplets/{number}")
    assert ask(account, "GET", "/v2/tags/hardway:c")["tag"]["resources"]["count"] == 0
    assert ask(account, "DELETE", "/v2/tags/hardway:c")["status"] == 204
    assert refused(account, "GET", "/v2/tags/hardway:c").status == 404


def test_destroying_by_tag_takes_all_that_carry_it() -> None:
    account = new()
    for tag in ("a", "a", "b"):
        ask(account, "POST", "/v2/droplets", body=ORDER | {"tags": [tag]})
    assert ask(account, "DELETE", "/v2/droplets", tag_name="a")["status"] == 204
    assert [droplet.tags for droplet in account.living()] == [["b"]]


def test_power_actions_say_what_the_machine_shall_do() -> None:
    account = new()
    number = ask(account, "POST", "/v2/droplets", body=ORDER | {"user_data": "first"})["droplet"]["id"]
    droplet = account.droplets[number]
    action = ask(account, "POST", f"/v2/droplets/{number}/actions", body={"type": "power_cycle"})
    assert (action["status"], droplet.boots, droplet.disks) == (201, 1, 0)
    ask(account, "POST", f"/v2/droplets/{number}/actions", body={"type": "power_off"})
    assert ask(account, "GET", f"/v2/droplets/{number}")["droplet"]["status"] == "off"
    ask(account, "POST", f"/v2/droplets/{number}/actions", body={"type": "rebuild", "image": "debian-13-x64"})
    assert (droplet.boots, droplet.disks, droplet.power, droplet.user_data) == (2, 1, True, "first")
    assert refused(account, "POST", f"/v2/droplets/{number}/actions", body={"type": "fly"}).status == 422


def test_lists_come_in_pages() -> None:
    account = new(replace(KIND, droplet_limit=100))
    for number in range(25):
        ask(account, "POST", "/v2/droplets", body=ORDER | {"name": f"n{number}"})
    first = ask(account, "GET", "/v2/droplets")
    assert (len(first["droplets"]), first["meta"]) == (20, {"total": 25})
    assert first["links"]["pages"]["next"] == "https://api.digitalocean.com/v2/droplets?page=2"
    second = ask(account, "GET", "/v2/droplets", page="2")
    assert (len(second["droplets"]), set(second["links"]["pages"])) == (5, {"first", "prev"})
    assert ask(account, "GET", "/v2/droplets", per_page="200")["links"] == {}
    assert refused(account, "GET", "/v2/droplets", page="0").status == 422


def test_droplets_are_found_by_name_in_any_case_but_not_by_name_and_tag() -> None:
    account = new()
    ask(account, "POST", "/v2/droplets", body=ORDER)
    assert len(ask(account, "GET", "/v2/droplets", name="NODE01")["droplets"]) == 1
    assert refused(account, "GET", "/v2/droplets", name="node01", tag_name="c").status == 422


@pytest.mark.parametrize(
    "path", ["/v2/volumes/1", "/v2/droplets/1", "/v2/droplets/x", "/v2/images/beos", "/v1/account", "/"]
)
def test_what_is_not_there_is_404(path: str) -> None:
    refusal = refused(new(), "GET", path)
    assert (refusal.status, refusal.identifier) == (404, "not_found")


def made_volume(account: Account, **changes: Any) -> Volume:
    return account.volumes[ask(account, "POST", "/v2/volumes", body=VOLUME | changes)["volume"]["id"]]


def test_a_volume_is_attached_with_its_droplet_and_outlives_it() -> None:
    account = new(replace(KIND, boot_lag=2, volume_lag=4))
    volume = made_volume(account, tags=["c"])
    made = ask(account, "POST", "/v2/droplets", body=ORDER | {"volumes": [volume.id]})["droplet"]
    droplet = account.droplets[made["id"]]
    assert made["volume_ids"] == [volume.id]
    assert volumes.plugged(account, droplet, droplet.active) == [], "it takes its time"
    assert volumes.plugged(account, droplet, droplet.active + 4) == [volume]
    later = NOW + 100
    assert refused(account, "DELETE", f"/v2/volumes/{volume.id}", later).status == 409
    assert refused(account, "POST", "/v2/droplets", later, ORDER | {"volumes": [volume.id]}).status == 422
    droplets.destroy(account, str(droplet.id), later)
    shown = ask(account, "GET", f"/v2/volumes/{volume.id}", later)["volume"]
    assert shown["droplet_ids"] == [droplet.id], "a volume is let go after a while"
    assert refused(account, "POST", "/v2/droplets", later, ORDER | {"volumes": [volume.id]}).status == 422
    assert ask(account, "GET", "/v2/volumes", later + 4, name=volume.name)["volumes"][0]["droplet_ids"] == []
    ask(account, "POST", "/v2/droplets", later + 4, ORDER | {"volumes": [volume.id]})
    assert volume.holder(later + 4) != droplet.id


def test_a_volume_is_attached_detached_and_grown_by_actions_one_after_the_other() -> None:
    account = new(replace(KIND, volume_lag=4))
    volume, place = made_volume(account), "/v2/volumes/{}/actions"
    one, two = (ask(account, "POST", "/v2/droplets", body=ORDER)["droplet"]["id"] for _ in range(2))

    def act(now: float, **body: Any) -> dict[str, Any]:
        return ask(account, "POST", place.format(volume.id), now, body)

    action = act(NOW, type="attach", droplet_id=one)["action"]
    assert (action["status"], action["type"], action["resource_type"]) == ("in-progress", "attach_volume", "volume")
    assert (
        refused(account, "POST", place.format(volume.id), NOW + 1, {"type": "detach", "droplet_id": one}).status == 422
    )
    attached = NOW + 5
    assert ask(account, "GET", f"/v2/actions/{action['id']}", attached)["action"]["status"] == "completed"
    for body in ({"type": "attach", "droplet_id": two}, {"type": "detach", "droplet_id": two}, {"type": "shrink"}):
        assert refused(account, "POST", place.format(volume.id), attached, body).status == 422
    assert (
        refused(account, "POST", place.format(volume.id), attached, {"type": "attach", "droplet_id": 1}).status == 404
    )
    for size in (10, 9, 0, "11", 16_385, True):
        assert (
            refused(
                account, "POST", place.format(volume.id), attached, {"type": "resize", "size_gigabytes": size}
            ).status
            == 422
        )
    act(attached, type="resize", size_gigabytes=11)
    assert act(attached + 5, type="detach", droplet_id=one)["status"] == 202
    assert volumes.plugged(account, account.droplets[one], attached + 10) == []
    assert (volume.holder(attached + 10), volume.size_gigabytes) == (None, 11)
    assert ask(account, "DELETE", f"/v2/volumes/{volume.id}", attached + 10)["status"] == 204


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"name": "Data"}, 422),
        ({"name": "x" * 65}, 422),
        ({"name": ""}, 422),
        ({"region": "mars1"}, 422),
        ({"size_gigabytes": 0}, 422),
        ({"size_gigabytes": 16_385}, 422),
        ({"filesystem_type": "btrfs"}, 422),
        ({"snapshot_id": "x"}, 422),
        ({}, 409),
        ({"region": "ams3"}, 201),
        ({"name": "other"}, 201),
    ],
)
def test_orders_for_volumes_are_looked_at(changes: dict[str, Any], status: int) -> None:
    account = new()
    made_volume(account)
    if status == 201:
        assert ask(account, "POST", "/v2/volumes", body=VOLUME | changes)["status"] == 201
    else:
        assert refused(account, "POST", "/v2/volumes", body=VOLUME | changes).status == status


@pytest.mark.parametrize(
    "order",
    [{"volumes": ["x"]}, {"region": "ams3"}, {"name": None, "names": ["a", "b"]}],
    ids=["unknown", "far", "two"],
)
def test_a_volume_goes_to_one_droplet_of_its_region(order: dict[str, Any]) -> None:
    account = new()
    body = {key: value for key, value in (ORDER | {"volumes": [made_volume(account).id]} | order).items() if value}
    assert refused(account, "POST", "/v2/droplets", body=body).status == 422
    assert account.living() == []


def test_there_are_not_more_volumes_than_an_account_may_have() -> None:
    account = new(replace(KIND, volume_limit=1))
    made_volume(account)
    assert refused(account, "POST", "/v2/volumes", body=VOLUME | {"name": "other"}).status == 403


def test_an_account_survives_a_restart() -> None:
    account = new(Unkindness(failing_creates=0))
    ask(account, "POST", "/v2/tags", body={"name": "c"})
    ask(account, "POST", "/v2/account/keys", body={"name": "k", "public_key": KEY})
    ask(account, "POST", "/v2/firewalls", body=FIREWALL)
    disk = ask(account, "POST", "/v2/volumes", body=VOLUME)["volume"]["id"]
    ask(account, "POST", "/v2/droplets", body=ORDER | {"tags": ["c"], "user_data": "x", "volumes": [disk]})
    again = accounts.load(account.dump())
    assert again == account
    assert again.dump() == account.dump()


def test_whatever_a_body_holds_the_answer_is_an_answer() -> None:
    chance = random.Random(1)
    values = [None, True, 0, -1, 3.5, "", "x", "fra1", [], [1], ["x"], [None], [{}], {}, {"a": 1}, [[1]]]
    names = [
        *ORDER,
        *FIREWALL,
        *VPC,
        *VOLUME,
        "names",
        "ssh_keys",
        "volumes",
        "droplet_id",
        "user_data",
        "vpc_uuid",
        "resources",
        "sources",
        "addresses",
    ]
    orders = {
        "droplets": ORDER,
        "vpcs": VPC,
        "volumes": VOLUME,
        "firewalls": FIREWALL,
        "tags/c/resources": {},
        "account/keys": {},
    }

    def value(depth: int = 0) -> Any:
        if depth < 3 and chance.random() < 0.4:
            inner = {chance.choice(names): value(depth + 1) for _ in range(3)}
            return inner if chance.random() < 0.5 else [inner]
        return chance.choice(values)

    refused_or_not = set()
    for _ in range(3000):
        account = new()
        account.tags["c"] = NOW
        path, body = chance.choice(list(orders.items()))
        body = {**body, chance.choice(names): value(), chance.choice(names): value()}
        try:
            refused_or_not.add(ask(account, "POST", f"/v2/{path}", body=body)["status"])
        except Refusal as refusal:
            refused_or_not.add(refusal.status)
    assert refused_or_not <= {201, 202, 204, 400, 404, 409, 422}
    assert {202, 400, 422} <= refused_or_not


def test_a_key_for_spaces_tells_its_secret_once_and_is_limited_to_buckets() -> None:
    account = new()
    grants = [{"bucket": "orderbook-state", "permission": "readwrite"}]
    made = ask(account, "POST", "/v2/spaces/keys", body={"name": "n", "grants": grants})
    assert (made["status"], made["key"]["grants"], made["key"]["access_key"][:4]) == (201, grants, "DO00")
    assert len(made["key"]["secret_key"]) > 40
    [listed] = ask(account, "GET", "/v2/spaces/keys", name="n")["keys"]
    assert "secret_key" not in listed
    assert accounts.load(account.dump()).spaces_keys == account.spaces_keys
    path = f"/v2/spaces/keys/{listed['access_key']}"
    assert ask(account, "DELETE", path)["status"] == 204
    assert refused(account, "DELETE", path).status == 404


@pytest.mark.parametrize(
    "changes",
    [
        {"name": ""},
        {"grants": []},
        {"grants": [{"bucket": "b-b", "permission": "write"}]},
        {"grants": [{"bucket": "", "permission": "fullaccess"}]},
        {"grants": [{"permission": "read"}]},
    ],
)
def test_orders_for_keys_for_spaces_are_looked_at(changes: dict[str, Any]) -> None:
    body = {"name": "n", "grants": [{"bucket": "b-b", "permission": "read"}]} | changes
    assert refused(new(), "POST", "/v2/spaces/keys", body=body).status == 400


def test_an_address_is_kept_over_its_droplets_and_one_droplet_has_one() -> None:
    account = new(replace(KIND, address_lag=4))
    one, two = (ask(account, "POST", "/v2/droplets", body=ORDER)["droplet"]["id"] for _ in range(2))
    made = ask(account, "POST", "/v2/reserved_ips", body={"droplet_id": one})
    ip, path = made["reserved_ip"]["ip"], f"/v2/reserved_ips/{made['reserved_ip']['ip']}"
    assert (made["status"], made["reserved_ip"]["droplet"]["id"]) == (202, one)
    assert reserved_ips.working(account, NOW) == {}, "it takes its time"
    assert reserved_ips.working(account, NOW + 5) == {ip: account.droplets[one]}
    assert refused(account, "POST", "/v2/reserved_ips", NOW + 5, {"droplet_id": one}).status == 422
    droplets.destroy(account, str(one), NOW + 6)
    assert ask(account, "GET", path, NOW + 7)["reserved_ip"]["droplet"] is None
    assign = {"type": "assign", "droplet_id": two}
    moved = ask(account, "POST", f"{path}/actions", NOW + 8, assign)
    assert (moved["status"], moved["action"]["type"]) == (201, "assign_ip")
    assert refused(account, "POST", f"{path}/actions", NOW + 9, assign).status == 422
    assert "pending" in refused(account, "DELETE", path, NOW + 9).message
    assert reserved_ips.working(account, NOW + 20) == {ip: account.droplets[two]}
    assert accounts.load(account.dump()).reserved_ips == account.reserved_ips
    assert ask(account, "DELETE", path, NOW + 20)["status"] == 204
    assert refused(account, "GET", path, NOW + 20).status == 404


@pytest.mark.parametrize("body", [{}, {"region": "fra9"}, {"droplet_id": 1}, {"region": "fra1", "droplet_id": 1}])
def test_orders_for_addresses_are_looked_at(body: dict[str, Any]) -> None:
    assert refused(new(), "POST", "/v2/reserved_ips", body=body).status == 422


def test_an_account_has_few_addresses() -> None:
    account = new(replace(KIND, address_limit=2))
    for _ in range(2):
        ask(account, "POST", "/v2/reserved_ips", body={"region": "fra1"})
    assert "limit" in refused(account, "POST", "/v2/reserved_ips", body={"region": "fra1"}).message


SNAP = {"type": "snapshot", "name": "a copy"}


def switched_off(account: Account, **order: Any) -> int:
    number: int = ask(account, "POST", "/v2/droplets", body={**ORDER, **order})["droplet"]["id"]
    account.droplets[number].power = False
    return number


def test_a_snapshot_is_there_once_it_was_made_and_an_image_then() -> None:
    account = new()
    number = switched_off(account)
    account.unkind = replace(KIND, boot_lag=4)
    actions = f"/v2/droplets/{number}/actions"
    event = ask(account, "POST", actions, body=SNAP)["action"]
    assert (event["status"], event["type"], event["resource_id"]) == ("in-progress", "snapshot", number)
    assert refused(account, "POST", actions, body=SNAP).status == 422
    assert refused(account, "DELETE", f"/v2/droplets/{number}").message == "Droplet already has a pending event."
    assert ask(account, "GET", "/v2/images", private="true")["images"] == []
    (wanted,) = snapshots.wanted(account)
    snapshots.made(account, wanted.id, 1.25, NOW)
    assert snapshots.wanted(account) == []
    assert ask(account, "GET", f"/v2/actions/{event['id']}", NOW + 1)["action"]["status"] == "in-progress"
    assert ask(account, "GET", f"/v2/actions/{event['id']}", NOW + 4)["action"]["status"] == "completed"
    assert [one["type"] for one in ask(account, "GET", actions, NOW + 4)["actions"]] == ["snapshot", "create"]
    (shown,) = ask(account, "GET", "/v2/images", NOW + 4, private="true")["images"]
    assert (shown["name"], shown["slug"], shown["public"], shown["type"]) == ("a copy", None, False, "snapshot")
    assert (shown["regions"], shown["min_disk_size"], shown["size_gigabytes"]) == (["fra1"], 80, 3.35)
    droplet = ask(account, "GET", f"/v2/droplets/{number}", NOW + 4)["droplet"]
    assert droplet["snapshot_ids"] == [shown["id"]]
    assert ask(account, "GET", f"/v2/images/{shown['id']}", NOW + 4)["image"] == shown
    types = {one["type"] for one in ask(account, "GET", "/v2/images", NOW + 4)["images"]}
    assert types == {"base", "snapshot"}
    assert {one["type"] for one in ask(account, "GET", "/v2/images", NOW + 4, type="distribution")["images"]} == {
        "base"
    }


def test_droplets_are_made_of_a_snapshot_where_it_is_and_fits() -> None:
    account = new()
    number = switched_off(account, size="s-1vcpu-2gb")
    ask(account, "POST", f"/v2/droplets/{number}/actions", body=SNAP)
    (wanted,) = snapshots.wanted(account)
    order = {**ORDER, "image": wanted.id}
    assert "invalid image" in refused(account, "POST", "/v2/droplets", body=order).message, "it is not there yet"
    snapshots.made(account, wanted.id, 1, NOW)
    made = ask(account, "POST", "/v2/droplets", body=order)["droplet"]
    assert made["image"]["id"] == wanted.id
    assert account.droplets[made["id"]].image == str(wanted.id)
    assert "invalid image" in refused(account, "POST", "/v2/droplets", body={**ORDER, "image": "a copy"}).message
    assert "smaller disk" in refused(account, "POST", "/v2/droplets", body={**order, "size": "s-1vcpu-1gb"}).message
    assert "region" in refused(account, "POST", "/v2/droplets", body={**order, "region": "nyc3"}).message
    assert ask(account, "DELETE", f"/v2/images/{wanted.id}")["status"] == 204
    assert refused(account, "DELETE", f"/v2/images/{wanted.id}").status == 404
    assert ask(account, "GET", f"/v2/droplets/{made['id']}")["droplet"]["image"] == {}, "the droplet stays"


def test_a_snapshot_that_is_refused_or_fails_leaves_none() -> None:
    account = new()
    number = ask(account, "POST", "/v2/droplets", body=ORDER)["droplet"]["id"]
    actions = f"/v2/droplets/{number}/actions"
    assert "that are off" in refused(account, "POST", actions, body=SNAP).message
    account.droplets[number].power = False
    assert "blank" in refused(account, "POST", actions, body={"type": "snapshot"}).message
    event = ask(account, "POST", actions, body=SNAP)["action"]["id"]
    (wanted,) = snapshots.wanted(account)
    snapshots.fail(account, wanted.id, NOW)
    assert ask(account, "GET", f"/v2/actions/{event}")["action"]["status"] == "errored"
    assert account.snapshots == {}
    assert ask(account, "DELETE", f"/v2/droplets/{number}")["status"] == 204


def test_a_snapshot_in_the_making_survives_a_restart_of_the_lab() -> None:
    account = new()
    ask(account, "POST", f"/v2/droplets/{switched_off(account)}/actions", body=SNAP)
    again = accounts.load(account.dump())
    assert [one.name for one in snapshots.wanted(again)] == ["a copy"]
    assert again == account
