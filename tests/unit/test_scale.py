"""The section on scale is what was measured; the store and the clock of ghosts are what a launch believes of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from generator.lab.webserver import Call
from tests.scale import figures
from tests.scale.figures import Figure
from tests.scale.store import PAGE, Store

ONE = Figure(10, 1, 60, 2**20, 40_000, 3_000, {"POST /v2/droplets": 10, "GET /v2/droplets": 8}, 0, 100, 60, 5, 90, 80)
TEN = Figure(
    100, 9, 70, 2**22, 40_000, 30_000, {"POST /v2/droplets": 100, "GET /v2/droplets": 17}, 1, 1000, 90, 50, 95, 90
)


def test_the_section_is_what_was_measured() -> None:
    kept = figures.read()
    assert [one.nodes for one in kept] == [10, 50, 100, 250, 500]
    assert figures.section(kept) in figures.PAGE.read_text()


def test_the_kept_figures_hold_what_is_aimed_at() -> None:
    for one in figures.read():
        assert one.nodes < 50 or one.each < 4
        assert one.document <= 49_152
        assert one.asked["POST /v2/tags"] == 1
        assert one.lines < 250


def test_a_section_says_what_each_node_costs() -> None:
    text = figures.section([ONE, TEN])
    assert "From 10 to 100 nodes each costs 1.10 requests more; what a launch costs without any is 7." in text
    assert "| per node | 1.80 | 1.17 |" in text
    assert "| `POST /v2/droplets` | 10 | 100 |" in text


def test_the_section_takes_the_place_of_what_it_was_and_leaves_the_others(tmp_path: Path) -> None:
    page, file = tmp_path / "page.md", tmp_path / "measured.json"
    page.write_text("# Performance\n\n## Race\n\nfast\n\n## Scale\n\nold\n\n## Boot\n\nshort\n")
    figures.keep([TEN], file, page)
    figures.keep([ONE], file, page)
    text = page.read_text()
    assert text.startswith("# Performance\n\n## Race\n\nfast\n\n## Scale\n\n`scripts/scale`")
    assert text.endswith("\n\n## Boot\n\nshort\n")
    assert "old" not in text
    assert text.count(figures.TITLE) == 1
    assert figures.section([ONE, TEN]) in text
    assert [one["nodes"] for one in json.loads(file.read_text())] == [10, 100]
    page.unlink()
    figures.keep([ONE], file, page)
    assert page.read_text() == f"# Performance\n\n{figures.section([ONE, TEN])}"


SIGNED = {"X-Amz-Signature": "s"}


@pytest.fixture
def store() -> Store:
    found = Store(lambda: 1_795_000_000.0)
    found.respond(Call("PUT", "/b", headers={"authorization": "AWS4"}))
    return found


def test_nobody_reads_without_a_signature_but_where_the_policy_lets_them(store: Store) -> None:
    for key in ("public/a", "private/a"):
        assert store.respond(Call("PUT", f"/b/{key}", SIGNED, body=b"x")).status == 200
    assert store.respond(Call("GET", "/b/public/a")).status == 403
    allowed = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/public/*", "Principal": "*"}
    policy = json.dumps({"Statement": [allowed]}).encode()
    store.respond(Call("PUT", "/b", {"policy": "", **SIGNED}, body=policy))
    assert store.respond(Call("GET", "/b/public/a")).body == b"x"
    assert store.respond(Call("GET", "/b/private/a")).status == 403
    assert store.respond(Call("PUT", "/b/public/a", body=b"y")).status == 403


def test_what_is_there_is_not_made_anew_where_only_a_new_one_is_wanted(store: Store) -> None:
    once = Call("PUT", "/b/lock", SIGNED, {"if-none-match": "*"}, b"1")
    assert [store.respond(once).status for _ in range(2)] == [200, 412]


def test_a_list_goes_on_where_it_ended(store: Store) -> None:
    for number in range(PAGE + 1):
        store.respond(Call("PUT", f"/b/k/{number:05}", SIGNED, body=b"x"))
    first = store.respond(Call("GET", "/b", {"list-type": "2", "prefix": "k/", **SIGNED})).body.decode()
    assert first.count("<Key>") == PAGE
    after = first.split("<NextContinuationToken>")[1].split("<")[0]
    query = {"list-type": "2", "prefix": "k/", "continuation-token": after, **SIGNED}
    assert store.respond(Call("GET", "/b", query)).body.decode().count("<Key>") == 1
