"""The real pydo client against a server that answers what it is told: one test for each kind of answer."""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from generator.clock import Clock
from generator.cluster import fleet as droplets
from generator.cluster.kinds import firewall as firewalls
from generator.cluster.kinds import ssh_key as ssh_keys
from generator.cluster.kinds import tag as tags
from generator.cluster.kinds import vpc as vpcs
from generator.errors import Problem
from generator.lab.services.authority import Authority
from generator.lab.webserver import Call, Reply, Server, tcp_listener
from generator.provider.connection import Connection
from generator.provider.digitalocean import Cloud
from generator.provider.resources import Rule, SshKey
from generator.provider.retry import LOOKS, POSTS, REPEATS, Refused

TOKEN = "dop_v1_" + "a" * 64
NOT_FOUND = {"id": "not_found", "message": "The resource you were accessing could not be found."}
NODE_TAG = "hardway:orderbook:node:node01"
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
ORDER = {"name": "node01", "tags": ["hardway:orderbook", NODE_TAG]}


def droplet(number: int, **more: Any) -> dict[str, Any]:
    return {
        "id": number,
        "name": "node01",
        "status": "new",
        "region": {"slug": "fra1"},
        "size_slug": "s-2vcpu-4gb",
        "tags": ORDER["tags"],
        "created_at": "2026-11-22T08:30:00Z",
        "networks": {"v4": [], "v6": []},
        **more,
    }


def vpc(**more: Any) -> dict[str, Any]:
    return {"id": "v1", "name": "c", "description": "d", "region": "fra1", "ip_range": "10.110.0.0/20", **more}


def drop(_: Call) -> Reply:
    raise ConnectionResetError


@dataclass
class Told:
    """What the server answers next, what it was asked, and how long the client slept between."""

    answers: list[Reply | Callable[[Call], Reply]] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)

    def say(self, status: int, body: Any = None, **headers: str) -> Told:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        content = b"" if body is None else json.dumps(body).encode()
        self.answers.append(Reply(status, content, {"content-type": "application/json", **named}))
        return self

    def drop(self) -> Told:
        self.answers.append(drop)
        return self

    def answer(self, call: Call) -> Reply:
        self.calls.append(call)
        answer = self.answers.pop(0)
        return answer if isinstance(answer, Reply) else answer(call)

    @property
    def asked(self) -> list[str]:
        return [f"{call.method} {call.path}" for call in self.calls]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def told(authority: Authority) -> Iterator[tuple[Told, Cloud]]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue(["localhost"]))
    told = Told()
    server = Server(tcp_listener("127.0.0.1", 0), told.answer, context)
    endpoint, ca_file = f"https://localhost:{server.port}", Path(authority.certificate_file)
    connection = Connection(TOKEN, "key", "secret", api_endpoint=endpoint, ca_file=ca_file)
    yield told, Cloud(connection, Clock(sleep=told.slept.append))
    server.close()
    assert told.answers == [], "the client asked for less than was expected"


World = tuple[Told, Cloud]


def test_the_account_comes_with_the_providers_time(told: World) -> None:
    server, cloud = told
    server.say(200, {"account": {"droplet_limit": 10, "status": "active"}})
    account, at = cloud.account()
    assert (account.droplet_limit, account.status) == (10, "active")
    assert abs(at - datetime.now(UTC)) < timedelta(seconds=10)
    assert server.calls[0].headers["authorization"] == f"Bearer {TOKEN}"


def test_all_pages_are_read(told: World) -> None:
    server, cloud = told
    server.say(200, {"droplets": [droplet(2)], "links": {"pages": {"next": "https://x/?page=2"}}, "meta": {"total": 2}})
    server.say(200, {"droplets": [droplet(1)], "links": {}, "meta": {"total": 2}})
    assert [one.id for one in droplets.listed(cloud, NODE_TAG)] == [1, 2]
    assert [call.query["page"] for call in server.calls] == ["1", "2"]
    assert server.calls[0].query["tag_name"] == NODE_TAG


def test_404_is_no_droplet(told: World) -> None:
    server, cloud = told
    server.say(404, NOT_FOUND).say(404, NOT_FOUND)
    assert droplets.read(cloud, 7) is None
    assert cloud.image_regions("beos") is None


def test_a_droplet_is_read_at_every_age(told: World) -> None:
    server, cloud = told
    networks = [{"type": "private", "ip_address": "10.110.0.5"}, {"type": "public", "ip_address": "203.0.113.7"}]
    server.say(200, {"droplet": droplet(7)})
    server.say(200, {"droplet": droplet(7, status="active")})
    server.say(200, {"droplet": droplet(7, status="active", vpc_uuid="v1", networks={"v4": networks[:1]})})
    server.say(200, {"droplet": droplet(7, status="active", vpc_uuid="v1", networks={"v4": networks})})
    seen = [droplets.read(cloud, 7) for _ in range(4)]
    assert [one.settled for one in seen if one] == [False, False, False, True]
    assert seen[3] is not None
    assert (seen[3].private, seen[3].public, seen[3].vpc) == ("10.110.0.5", "203.0.113.7", "v1")


@pytest.mark.parametrize(("status", "hint"), [(401, "`DIGITALOCEAN_TOKEN` right"), (403, "scopes"), (422, None)])
def test_a_refusal_says_what_and_why(told: World, status: int, hint: str | None) -> None:
    server, cloud = told
    server.say(status, {"id": "x", "message": "Not today", "request_id": "3f1c"})
    with pytest.raises(Refused) as caught:
        vpcs.listed(cloud)
    assert caught.value.message == f"DigitalOcean answered {status}: Not today (request 3f1c)"
    assert (hint or "") in (caught.value.hint or "")
    assert TOKEN not in str(caught.value)
    assert server.slept == []


@pytest.mark.parametrize("status", [500, 502, 503, 504, 408])
def test_a_get_is_repeated(told: World, status: int) -> None:
    server, cloud = told
    server.say(status, {"message": "oops"}).say(status).say(200, {"vpcs": [vpc()], "links": {}})
    assert [one.id for one in vpcs.listed(cloud)] == ["v1"]
    assert server.slept == list(REPEATS[:2])


def test_a_lost_connection_and_a_broken_answer_are_repeated(told: World) -> None:
    server, cloud = told
    server.drop()
    server.answers.append(Reply(200, b"<html>", {"content-type": "application/json"}))
    server.say(200, {"vpcs": [], "links": {}})
    assert vpcs.listed(cloud) == ()
    assert len(server.slept) == 2


def test_a_get_is_given_up_in_the_end(told: World) -> None:
    server, cloud = told
    for _ in range(len(REPEATS) + 1):
        server.say(503, {"message": "down"})
    with pytest.raises(Problem, match="can't be reached: 503 down"):
        vpcs.listed(cloud)
    assert server.slept == list(REPEATS)


def test_an_answer_without_what_is_needed_is_a_problem(told: World) -> None:
    server, cloud = told
    server.say(200, {"vpcs": [{"id": "v1"}], "links": {}})
    with pytest.raises(Problem, match="lacks or mistells 'name'"):
        vpcs.listed(cloud)


def test_a_list_that_is_none_is_no_empty_list(told: World) -> None:
    server, cloud = told
    server.say(200, {"links": {}}).say(200, {"droplets": None, "links": {}})
    for _ in range(2):
        with pytest.raises(Problem, match="lacks or mistells"):
            droplets.listed(cloud, NODE_TAG)


def test_a_burst_is_waited_out(told: World) -> None:
    server, cloud = told
    server.say(429, {"id": "too_many_requests"}, retry_after="42").say(200, {"vpcs": [], "links": {}})
    vpcs.listed(cloud)
    assert server.slept == [42]


def test_a_limited_post_is_sent_again(told: World) -> None:
    server, cloud = told
    server.say(429, {"id": "too_many_requests"}, retry_after="3").say(202, {"droplet": droplet(7)})
    assert droplets.make(cloud, ORDER, NODE_TAG, [], LONG_AGO).id == 7
    assert server.slept == [3]


def test_the_hours_limit_is_told(told: World) -> None:
    server, cloud = told
    server.say(429, {"id": "too_many_requests"}, ratelimit_reset=str(int(time.time()) + 1800))
    with pytest.raises(Problem, match="requests to DigitalOcean are spent"):
        vpcs.listed(cloud)
    assert server.slept == []


@pytest.mark.parametrize("status", [500, 502, 503, 504, None])
def test_a_droplet_made_behind_an_error_is_found(told: World, status: int | None) -> None:
    server, cloud = told
    server.drop() if status is None else server.say(status, {"message": "oops"}, retry_after="0")
    server.say(200, {"droplets": [], "links": {}}).say(200, {"droplets": [], "links": {}})
    server.say(200, {"droplets": [droplet(7)], "links": {}})
    assert droplets.make(cloud, ORDER, NODE_TAG, [], LONG_AGO).id == 7
    assert server.asked == ["POST /v2/droplets", *["GET /v2/droplets"] * 3]
    assert server.slept == list(LOOKS[:3])


def test_another_post_is_sent_only_after_looking_for_long(told: World) -> None:
    server, cloud = told
    server.say(500)
    for _ in LOOKS:
        server.say(200, {"droplets": [droplet(3)], "links": {}})
    server.say(202, {"droplet": droplet(9)})
    assert droplets.make(cloud, ORDER, NODE_TAG, [3], LONG_AGO).id == 9
    assert [call.method for call in server.calls] == ["POST", *["GET"] * len(LOOKS), "POST"]


def test_a_dead_one_that_lists_still_show_is_not_what_was_made(told: World) -> None:
    """Who destroyed it, and whether anybody here knows of that, tells nothing: it was there before the order."""
    server, cloud = told
    dead, made = droplet(3), droplet(7) | {"created_at": "2026-11-28T00:49:01Z"}
    server.say(500)
    server.say(200, {"droplets": [dead], "links": {}}).say(200, {"droplets": [dead, made], "links": {}})
    since = datetime(2026, 11, 28, 0, 47, 1, tzinfo=UTC)
    assert droplets.make(cloud, ORDER, NODE_TAG, [], since).id == 7
    assert server.asked == ["POST /v2/droplets", *["GET /v2/droplets"] * 2]


def test_posts_are_given_up_in_the_end(told: World) -> None:
    server, cloud = told
    for _ in range(POSTS):
        server.say(500, {"message": "no"})
        for _ in LOOKS:
            server.say(200, {"droplets": [], "links": {}})
    with pytest.raises(Problem, match="no clear answer to 3 requests: 500 no"):
        droplets.make(cloud, ORDER, NODE_TAG, [], LONG_AGO)


def test_a_fresh_key_is_waited_for(told: World) -> None:
    server, cloud = told
    server.say(422, {"id": "unprocessable_entity", "message": "7 are invalid key identifiers for Droplet creation."})
    server.say(202, {"droplet": droplet(7)})
    assert droplets.make(cloud, ORDER, NODE_TAG, [], LONG_AGO).id == 7
    assert server.slept == [droplets.KEY_LAG[0]]


def test_a_quota_is_not_waited_for(told: World) -> None:
    server, cloud = told
    server.say(422, {"message": "creating this/these droplet(s) will exceed your droplet limit"})
    with pytest.raises(Refused, match="exceed your droplet limit"):
        droplets.make(cloud, ORDER, NODE_TAG, [], LONG_AGO)
    assert server.slept == []


def test_what_exists_already_is_as_good(told: World) -> None:
    server, cloud = told
    server.say(422, {"message": "taken"}).say(200, {"tag": {"name": "hardway:c"}})
    tags.make(cloud, "hardway:c")
    server.say(422, {"message": "A VPC with that name already exists"}).say(200, {"vpcs": [vpc()], "links": {}})
    assert vpcs.make(cloud, "c", "d", "fra1", "10.110.0.0/20").id == "v1"
    server.say(422, {"message": "SSH Key is already in use"})
    server.say(200, {"ssh_key": {"id": 5, "name": "k", "fingerprint": "3b:16"}})
    assert ssh_keys.make(cloud, "k", "ssh-ed25519 AAAA", "3b:16") == SshKey(5, "k", "3b:16")
    assert server.asked[-1] == "GET /v2/account/keys/3b:16"


def test_another_vpc_of_the_name_is_not_taken_for_ours(told: World) -> None:
    server, cloud = told
    server.say(422, {"message": "exists"}).say(200, {"vpcs": [vpc(description="theirs")], "links": {}})
    with pytest.raises(Refused, match="exists"):
        vpcs.make(cloud, "c", "d", "fra1", "10.110.0.0/20")


def test_a_400_that_pydo_hands_out_as_a_result_is_a_refusal(told: World) -> None:
    server, cloud = told
    server.say(400, {"id": "bad_request", "message": "no rules"}).say(200, {"firewalls": [], "links": {}})
    with pytest.raises(Refused, match="no rules"):
        firewalls.make(cloud, "c", "hardway:c", (), ())


def test_a_firewall_is_read_as_it_was_written(told: World) -> None:
    server, cloud = told
    inbound = (Rule("icmp", "0", tags=("hardway:c",)), Rule("tcp", "6443", ("203.0.113.0/24", "28.51.100.7")))
    outbound = (Rule("udp", "0", ("0.0.0.0/0", "::/0")),)
    answer = {
        "id": "f1",
        "name": "hardway-c",
        "status": "succeeded",
        "tags": ["hardway:c"],
        "pending_changes": [],
        "inbound_rules": [
            {"protocol": "tcp", "ports": "6443", "sources": {"addresses": ["203.0.113.0/24", "28.51.100.7/32"]}},
            {"protocol": "icmp", "ports": "0", "sources": {"tags": ["hardway:c"]}},
        ],
        "outbound_rules": [
            {"protocol": "udp", "ports": "all", "destinations": {"addresses": ["::/0", "0.0.0.0/0"]}},
        ],
    }
    server.say(202, {"firewall": answer})
    made = firewalls.make(cloud, "hardway-c", "hardway:c", inbound, outbound)
    assert (made.inbound, made.outbound, made.settled) == (inbound, outbound, True)
    sent = json.loads(server.calls[0].body)
    assert sent["inbound_rules"][0] == {"protocol": "icmp", "ports": "0", "sources": {"tags": ["hardway:c"]}}


def test_a_firewall_with_changes_ahead_is_not_settled(told: World) -> None:
    server, cloud = told
    waiting = {"id": "f1", "name": "c", "status": "waiting", "pending_changes": [{"droplet_id": 1}]}
    server.say(200, {"firewalls": [waiting, {**waiting, "name": "other"}], "links": {}})
    assert [one.settled for one in firewalls.listed(cloud, "c")] == [False]


def test_what_is_gone_is_deleted(told: World) -> None:
    server, cloud = told
    server.say(200, {"droplets": [droplet(7)], "links": {}}).say(404, NOT_FOUND)
    droplets.erase(cloud, droplets.listed(cloud, NODE_TAG)[0])
    server.say(404, NOT_FOUND).say(502).say(204)
    tags.erase(cloud, "hardway:c")
    tags.erase(cloud, "hardway:c")


def test_a_droplet_with_a_pending_event_is_deleted_later(told: World) -> None:
    server, cloud = told
    server.say(200, {"droplets": [droplet(7)], "links": {}})
    server.say(422, {"message": "Droplet already has a pending event."}).say(204)
    droplets.erase(cloud, droplets.listed(cloud, NODE_TAG)[0])
    assert server.slept == [REPEATS[0]]


def test_a_vpc_with_members_stays_for_now(told: World) -> None:
    server, cloud = told
    server.say(200, {"vpcs": [vpc()], "links": {}})
    ours = vpcs.listed(cloud)[0]
    server.say(409, {"id": "conflict", "message": "Can not delete VPC with members"})
    server.say(403, {"id": "forbidden", "message": "Can not delete VPC with members"})
    server.say(204).say(403, {"id": "forbidden", "message": "You are not authorized"})
    assert [vpcs.erase(cloud, ours) for _ in range(3)] == [False, False, True]
    with pytest.raises(Refused, match="not authorized"):
        vpcs.erase(cloud, ours)
