"""Whatever the provider answers is read, or is a problem that says so; nothing else ever comes of it."""

from __future__ import annotations

import copy
import inspect
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from generator.clock import Clock
from generator.errors import Problem
from generator.provider import answers, retry
from generator.provider.retry import Answer, Exchange, inside

NETWORKS = [{"type": "private", "ip_address": "10.110.0.5"}, {"type": "public", "ip_address": "203.0.113.7"}]
PEERS = {"addresses": ["203.0.113.0/24"], "tags": ["hardway:c"]}
RIGHT: dict[str, tuple[Callable[[Any], object], dict[str, Any]]] = {
    "account": (answers.account, {"droplet_limit": 10, "status": "active"}),
    "size": (answers.size, {"slug": "c-2", "regions": ["fra1"], "available": True, "price_monthly": 42.0}),
    "image": (answers.image_regions, {"regions": ["fra1", "nyc3"]}),
    "snapshot": (
        answers.snapshot,
        {
            "id": 7,
            "name": "n",
            "type": "snapshot",
            "regions": ["fra1"],
            "min_disk_size": 25,
            "size_gigabytes": 2.34,
            "created_at": "2026-11-22T08:30:00Z",
            "status": "available",
        },
    ),
    "action": (answers.event, {"id": 7, "type": "snapshot", "status": "in-progress"}),
    "meta": (answers.total, {"total": 3}),
    "tag": (answers.tag, {"name": "hardway:c", "resources": {"count": 0}}),
    "ssh_key": (answers.ssh_key, {"id": 7, "name": "k", "fingerprint": "3b:16"}),
    "vpc": (
        answers.vpc,
        {"id": "v", "name": "n", "description": "d", "region": "fra1", "ip_range": "10.0.0.0/20", "default": False},
    ),
    "droplet": (
        answers.droplet,
        {
            "id": 1,
            "name": "node01",
            "status": "active",
            "region": {"slug": "fra1", "features": []},
            "size_slug": "c-2",
            "tags": ["a", "b"],
            "created_at": "2026-11-22T08:30:00Z",
            "vpc_uuid": "v",
            "networks": {"v4": NETWORKS, "v6": []},
        },
    ),
    "reserved_ip": (
        answers.reserved_ip,
        {"ip": "192.0.2.7", "region": {"slug": "fra1"}, "droplet": {"id": 1}, "locked": False},
    ),
    "key": (
        answers.spaces_key,
        {
            "name": "k",
            "access_key": "DO00",
            "secret_key": "s",
            "grants": [{"bucket": "b", "permission": "readwrite"}],
        },
    ),
    "volume": (
        answers.volume,
        {
            "id": "d",
            "name": "c-node01-data",
            "region": {"slug": "fra1"},
            "size_gigabytes": 10,
            "description": "d",
            "droplet_ids": [1],
        },
    ),
    "firewall": (
        answers.firewall,
        {
            "id": "f",
            "name": "n",
            "status": "succeeded",
            "tags": ["a"],
            "pending_changes": [],
            "inbound_rules": [{"protocol": "tcp", "ports": "443", "sources": PEERS}],
            "outbound_rules": [{"protocol": "tcp", "ports": "0", "destinations": PEERS}],
        },
    ),
}
WRONG: tuple[Any, ...] = (
    *(None, [], {}, "", "x", 0, -1, 1.5, True, [[]], [None], [1], {"a": None}, "\x1b[2J", "x" * 100_000),
    *(10**30, "203.0.113.5; echo x", "9999-99-99T99:99:99Z", float("inf"), float("nan"), {"v4": [{}]}, "0.0.0.0/99"),
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    for key, child in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from places(child, (*path, key))


def changed(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    result = copy.deepcopy(value)
    target = result
    for step in path[:-1]:
        target = target[step]
    target[path[-1]] = new
    return result


def without(value: Any, path: tuple[Any, ...]) -> Any:
    result = copy.deepcopy(value)
    target = result
    for step in path[:-1]:
        target = target[step]
    del target[path[-1]]
    return result


def test_every_reader_is_tried() -> None:
    readers = {value for value in vars(answers).values() if getattr(value, "__module__", "") == answers.__name__}
    public = {value for value in readers if inspect.isfunction(value) and not value.__name__.startswith("_")}
    assert public == {read for read, _ in RIGHT.values()}


@pytest.mark.parametrize("name", RIGHT)
def test_every_wrong_answer_is_read_or_is_a_problem(name: str) -> None:
    read, right = RIGHT[name]
    reader = inside(name, read)
    refusals: list[str] = []
    bodies = [{name: changed(right, path, wrong)} for path in places(right) for wrong in WRONG]
    bodies += [{name: without(right, path)} for path in places(right) if path]
    bodies += [{}, {"other": right}]
    passed_over = 0
    for body in bodies:
        try:
            passed_over += reader(Answer(200, body, {"x-request-id": "3f1c"})) is None
        except Problem as problem:
            refusals.append(problem.message)
    assert all("(request 3f1c)" in message and len(message) < 500 for message in refusals)
    assert len(bodies) > 20
    assert len(refusals) + passed_over > len(bodies) / 3


@pytest.mark.parametrize("name", RIGHT)
def test_what_is_right_is_read_with_new_fields_beside(name: str) -> None:
    read, right = RIGHT[name]
    value = inside(name, read)(Answer(200, {name: right}, {}))
    assert inside(name, read)(Answer(200, {name: {**right, "new": [1]}, "also": 1}, {})) == value


def test_nothing_may_be_null() -> None:
    droplet = {**RIGHT["droplet"][1], "networks": None, "tags": None, "vpc_uuid": None}
    read = answers.droplet(droplet)
    assert (read.public, read.private, read.tags, read.vpc) == (None, None, (), None)


def exchange(*told: Answer) -> tuple[Exchange, Callable[..., Answer], list[float]]:
    slept: list[float] = []
    queue = list(told)
    return Exchange(Clock(sleep=slept.append)), lambda **_: queue.pop(0), slept


@pytest.mark.parametrize("links", [None, [], {}, "x", {"pages": None}, {"pages": []}, {"pages": {"next": None}}, 7])
def test_a_list_whose_links_are_none_ends(links: Any) -> None:
    made, operation, _ = exchange(Answer(200, {"tags": [{"name": "a"}], "links": links, "meta": None}, {}))
    assert made.pages("tags", answers.tag, operation) == ("a",)


@pytest.mark.parametrize("entries", [None, {}, "abc", 7, {"a": 1}])
def test_a_list_that_is_none_is_a_problem(entries: Any) -> None:
    made, operation, _ = exchange(Answer(200, {"tags": entries}, {}))
    with pytest.raises(Problem, match="lacks or mistells"):
        made.pages("tags", answers.tag, operation)


def test_pages_without_end_are_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "PAGES", 3)
    page = Answer(200, {"tags": [], "links": {"pages": {"next": "https://x/?page=2"}}}, {})
    made, operation, _ = exchange(*[page] * 4)
    with pytest.raises(Problem, match="more than 3 pages"):
        made.pages("tags", answers.tag, operation)


@pytest.mark.parametrize("header", ["retry-after", "ratelimit-reset"])
@pytest.mark.parametrize("value", ["99999999999999", "9" * 400, "-1", "soon", "", "1e9", "٣", "9999999999"])
def test_a_pause_that_is_none_is_no_traceback(header: str, value: str) -> None:
    limited, fine = Answer(429, {}, {header: value}), Answer(200, {"tags": []}, {})
    made, operation, slept = exchange(limited, fine)
    refusal = ""
    try:
        made.pages("tags", answers.tag, operation)
    except Problem as problem:
        refusal = problem.message
    assert refusal in ("", "the hour's requests to DigitalOcean are spent")
    assert all(0 < pause <= retry.LONGEST_WAIT for pause in slept)


def test_a_refusal_is_shown_whatever_it_is() -> None:
    for body in ({}, {"message": None}, {"message": ["x"]}, {"message": "\x1b[2J", "request_id": ["a"]}):
        refusal = retry.Refused(Answer(422, json.loads(json.dumps(body)), {}), "x")
        assert "\x1b" not in str(refusal)
