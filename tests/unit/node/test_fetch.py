"""Downloads go on where they ended, and no byte counts before its digest does."""

from __future__ import annotations

import hashlib
from email.message import Message
from pathlib import Path

import pytest
from hardway import fetch
from hardway.here import Failure

from generator.provider.visitor import NODES_HEADERS

from .conftest import Answer, Store

BODY = bytes(range(256)) * 5000
SHA256 = hashlib.sha256(BODY).hexdigest()


def ranged(headers: Message) -> Answer:
    """Answer as a server that knows ranges."""
    start = int(headers.get("Range", "bytes=0-").removeprefix("bytes=").removesuffix("-"))
    if start >= len(BODY):
        return Answer(status=416)
    return Answer(BODY[start:], 206 if start else 200)


@pytest.fixture
def part(tmp_path: Path) -> Path:
    return tmp_path / "part"


@pytest.mark.parametrize("have", [0, 1, 100_000, len(BODY) - 1])
def test_goes_on_where_it_ended(store: Store, part: Path, have: int) -> None:
    store.answers["/file"] = ranged
    part.write_bytes(BODY[:have])
    assert fetch.download(f"{store.url}/file", part, SHA256)
    assert part.read_bytes() == BODY
    assert store.requests[0][2].get("Range") == (f"bytes={have}-" if have else None)


def test_needs_no_network_for_a_whole_file(store: Store, part: Path) -> None:
    part.write_bytes(BODY)
    assert fetch.download(f"{store.url}/file", part, SHA256)
    assert store.requests == []


def test_starts_anew_where_ranges_are_unknown(store: Store, part: Path) -> None:
    store.answers["/file"] = Answer(BODY)
    part.write_bytes(b"other")
    assert fetch.download(f"{store.url}/file", part, SHA256)


def test_keeps_what_came_before_a_break(store: Store, part: Path) -> None:
    store.answers["/file"] = Answer(BODY, cut=1000)
    with pytest.raises(Failure, match=r"127\.0\.0\.1"):
        fetch.download(f"{store.url}/file", part, SHA256)
    assert part.read_bytes() == BODY[:-1000]
    store.answers["/file"] = ranged
    assert fetch.download(f"{store.url}/file", part, SHA256)


def test_a_wrong_start_is_dropped(store: Store, part: Path) -> None:
    store.answers["/file"] = ranged
    part.write_bytes(BODY + b"more")
    assert fetch.download(f"{store.url}/file", part, SHA256)
    assert [request[2].get("Range") for request in store.requests] == [f"bytes={len(BODY) + 4}-", None]


@pytest.mark.parametrize("have", [b"x", b"x" * (len(BODY) - 1), b"x" * len(BODY), b"x" * (len(BODY) + 1)])
@pytest.mark.parametrize("size", [None, len(BODY)])
def test_what_somebody_else_has_put_there_is_fetched_anew(
    store: Store, part: Path, have: bytes, size: int | None
) -> None:
    store.answers["/file"] = ranged
    part.write_bytes(have)
    assert fetch.download(f"{store.url}/file", part, SHA256, size)
    assert part.read_bytes() == BODY


def test_a_wrong_digest_leaves_nothing(store: Store, part: Path) -> None:
    store.answers["/file"] = Answer(BODY)
    assert not fetch.download(f"{store.url}/file", part, "0" * 64)
    assert not part.exists()


def test_messages_hold_no_signature(store: Store, part: Path) -> None:
    for url in (f"{store.url}/file?X-Amz-Signature=canary", "http://127.0.0.1:1/?X-Amz-Signature=canary"):
        with pytest.raises(Failure) as caught:
            fetch.download(url, part, SHA256)
        assert "canary" not in str(caught.value)
        assert "127.0.0.1" in str(caught.value)
    with pytest.raises(Failure) as caught:
        fetch.ask("http://127.0.0.1:1/?X-Amz-Signature=canary")
    assert "canary" not in str(caught.value)


def test_a_refusal_is_an_answer(store: Store) -> None:
    store.answers["/no"] = Answer(b"<Code>AccessDenied</Code>", 403)
    status, body, _ = fetch.ask(f"{store.url}/no")
    assert (status, body) == (403, b"<Code>AccessDenied</Code>")


def test_no_answer_is_read_without_end(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.answers["/file"] = Answer(BODY)
    monkeypatch.setattr(fetch, "LIMIT_BYTES", len(BODY))
    assert fetch.ask(f"{store.url}/file")[1] == BODY
    monkeypatch.setattr(fetch, "LIMIT_BYTES", len(BODY) - 1)
    with pytest.raises(Failure, match=r"sends more than 1,279,999 bytes"):
        fetch.ask(f"{store.url}/file")


def test_no_file_is_fetched_without_end(store: Store, part: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store.answers["/file"] = Answer(BODY)
    monkeypatch.setattr(fetch, "FILE_BYTES", 100_000)
    with pytest.raises(Failure, match="sends more than 100,000 bytes"):
        fetch.download(f"{store.url}/file", part, SHA256)
    assert part.stat().st_size <= 100_000


@pytest.mark.parametrize("have", [b"", BODY[:100_000], b"x" * (len(BODY) - 1)])
def test_no_more_of_a_file_is_written_than_is_pinned(store: Store, part: Path, have: bytes) -> None:
    store.answers["/file"] = Answer(BODY + b"x")
    part.write_bytes(have)
    with pytest.raises(Failure, match="sends more than"):
        fetch.download(f"{store.url}/file", part, SHA256, len(BODY))
    assert part.stat().st_size <= len(BODY)
    store.answers["/file"] = ranged
    assert any(fetch.download(f"{store.url}/file", part, SHA256, len(BODY)) for _ in range(2))


def test_what_is_as_long_as_pinned_and_wrong_is_fetched_anew(store: Store, part: Path) -> None:
    store.answers["/file"] = ranged
    part.write_bytes(b"x" * len(BODY))
    assert fetch.download(f"{store.url}/file", part, SHA256, len(BODY))


def test_a_node_reports_with_the_headers_that_a_launch_tries(store: Store) -> None:
    store.answers["/status"] = Answer(b"")
    fetch.ask(f"{store.url}/status", b"{}", "PUT")
    said = {name.title(): value for name, value in store.requests[0][2].items()}
    always = {"Host", "User-Agent", "Accept-Encoding", "Connection", "Content-Length"}
    assert {name: value for name, value in said.items() if name not in always} == NODES_HEADERS


def test_a_short_answer_is_none(store: Store) -> None:
    store.answers["/file"] = Answer(BODY, cut=1)
    with pytest.raises(Failure, match=r"127\.0\.0\.1"):
        fetch.ask(f"{store.url}/file")
