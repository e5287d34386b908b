"""Downloads are taken from any address that has the right content, and go on where they were cut off."""

from __future__ import annotations

import hashlib
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import urllib3

from generator.lab.content import fetch
from generator.lab.content.cache import Cache
from generator.lab.content.fetch import Fetcher
from tests.silent import Silent

CONTENT = bytes(range(256)) * 1000
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """Serves CONTENT at /file, other bytes at /other; remembers which ranges were asked for."""

    ranges: list[str]
    breaks: int

    def do_GET(self) -> None:
        if self.path not in ("/file", "/other"):
            self.send_error(404)
            return
        content = CONTENT if self.path == "/file" else CONTENT[::-1]
        wanted = self.headers.get("Range", "")
        type(self).ranges.append(wanted)
        start = int(wanted.removeprefix("bytes=").removesuffix("-") or 0)
        if start >= len(content):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        rest = content[start:]
        if type(self).breaks:
            type(self).breaks -= 1
            rest = rest[: len(rest) // 2]
        self.wfile.write(rest)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[str]:
    Handler.ranges = []
    Handler.breaks = 0
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{listening.server_port}"
        listening.shutdown()
        thread.join()


@pytest.fixture
def fetcher(tmp_path: Path) -> Fetcher:
    return Fetcher(Cache(tmp_path / "cache"), Silent())


def test_the_first_good_address_counts(fetcher: Fetcher, server: str) -> None:
    urls = [f"{server}/absent", f"{server}/other", f"{server}/file"]
    assert fetcher.file("file", urls, DIGEST)
    assert fetcher.cache.blob(DIGEST).read_bytes() == CONTENT
    assert fetcher.file("file", [], DIGEST)


def test_wrong_content_is_never_kept(fetcher: Fetcher, server: str) -> None:
    assert not fetcher.file("file", [f"{server}/other"], DIGEST)
    assert not fetcher.cache.has(DIGEST)
    assert not fetcher.cache.partial(DIGEST).exists()


def test_no_more_is_written_than_is_pinned(fetcher: Fetcher, server: str) -> None:
    assert not fetcher.file("file", [f"{server}/file"], DIGEST, size=len(CONTENT) - 1)
    assert not fetcher.cache.partial(DIGEST).exists()
    assert fetcher.file("file", [f"{server}/file"], DIGEST, size=len(CONTENT))


@pytest.mark.parametrize("have", [1, 100_000, len(CONTENT)])
def test_a_download_goes_on_where_it_was_cut(fetcher: Fetcher, server: str, have: int) -> None:
    fetcher.cache.partial(DIGEST).write_bytes(CONTENT[:have])
    assert fetcher.file("file", [f"{server}/file"], DIGEST)
    assert Handler.ranges == [f"bytes={have}-"]
    assert fetcher.cache.blob(DIGEST).read_bytes() == CONTENT


def test_a_beginning_that_is_wrong_is_fetched_anew(fetcher: Fetcher, server: str) -> None:
    fetcher.cache.partial(DIGEST).write_bytes(b"nonsense")
    assert fetcher.file("file", [f"{server}/file"], DIGEST)
    assert fetcher.cache.blob(DIGEST).read_bytes() == CONTENT


def test_a_connection_that_breaks_is_made_again(fetcher: Fetcher, server: str) -> None:
    Handler.breaks = 2
    assert fetcher.file("file", [f"{server}/file"], DIGEST)
    assert Handler.ranges[0] == ""
    assert all(wanted.startswith("bytes=") for wanted in Handler.ranges[1:])
    assert len(Handler.ranges) == 3


def test_a_host_that_is_away_is_asked_once(fetcher: Fetcher) -> None:
    assert not fetcher.file("file", ["http://127.0.0.1:9/file", "http://127.0.0.1:9/file"], DIGEST)
    assert fetcher.unreachable == {"127.0.0.1:9"}


def test_a_host_that_takes_connections_and_says_nothing_is_waited_for_once(tmp_path: Path) -> None:
    impatient = urllib3.PoolManager(timeout=0.3, retries=urllib3.Retry(5, connect=0, read=0))
    fetcher = Fetcher(Cache(tmp_path / "cache"), Silent(), impatient=impatient)
    with socket.create_server(("127.0.0.1", 0), backlog=8) as silent:
        host = f"127.0.0.1:{silent.getsockname()[1]}"
        begun = time.monotonic()
        for number in range(20):
            assert not fetcher.file("file", [f"http://{host}/{number}"], DIGEST)
        assert time.monotonic() - begun < 3
    assert fetcher.unreachable == {host}


def test_a_host_whose_name_nobody_tells_is_waited_for_once(fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    released = threading.Event()

    def resolve(host: str, *arguments: object, **options: object) -> None:
        asked.append(host)
        released.wait(20)
        raise OSError("no answer")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(fetch, "CONTACT_SECONDS", 0.3)
    begun = time.monotonic()
    for number in range(20):
        assert not fetcher.file("file", [f"https://nobody.test/{number}"], DIGEST)
    assert time.monotonic() - begun < 3
    assert asked == ["nobody.test"]
    released.set()
