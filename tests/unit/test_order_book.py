"""The check of the order book's contract: it passes what keeps it, and finds every way of not keeping it."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests import order_book
from tests.order_book import CHECKS, Book

ROOT = Path(__file__).parent.parent.parent


class Application:
    """An order book, as small as one can be, that does one thing wrong."""

    def __init__(self) -> None:
        self.wrong = ""
        self.resting: list[list[object]] = []
        self.written: list[list[object]] = []
        self.url = ""

    def restart(self) -> None:
        self.resting = [list(order) for order in self.written]

    def answer(self, method: str, path: str, headers: str, body: bytes) -> tuple[int, str]:
        book = "".join(f"{side} {price} {size}\n" for side, price, size in self.resting)
        if path == self.wrong:
            return 500, "out of order"
        if path == "/api/health":
            return 200, "fine" if self.wrong == "health without JSON" else '{"ok":true}'
        if path == "/":
            return 200, "<html>" if self.wrong == "a page without orders" else f"<HTML>{book}"
        if path == "/ob":
            return 200, "" if self.wrong == "a book without orders" else book
        if path == "/headers":
            return 200, "" if self.wrong == "no headers" else headers
        if path == "/api/wipe":
            if self.wrong != "wipes nothing":
                self.resting, self.written = [], []
            return 200, '{"ok":false}' if self.wrong == "wipes and says no" else '{"ok":true}'
        return self.order(method, body)

    def order(self, method: str, body: bytes) -> tuple[int, str]:
        if method != "POST":
            return (200, "{}") if self.wrong == "takes every method" else (405, "")
        try:
            wish = json.loads(body)
        except ValueError:
            return (500, "") if self.wrong == "bad JSON is its own fault" else (400, "")
        if wish["side"] not in ("buy", "sell"):
            if self.wrong != "takes every side":
                if self.wrong == "keeps what it refuses":
                    self.resting.append(["hold", 1, 1])
                return 400, ""
            return 200, json.dumps(wish)
        self.match(wish["side"], wish["price"], wish["size"])
        if self.wrong != "writes nothing down":
            self.written = [list(order) for order in self.resting]
        return 200, "[]" if self.wrong == "an order as a list" else json.dumps({} if self.wrong == "{}" else wish)

    def match(self, side: str, price: int, size: int) -> None:
        for order in self.resting:
            crosses = order[0] != side and (order[1] <= price if side == "buy" else order[1] >= price)  # type: ignore[operator]
            if crosses and self.wrong != "matches nothing":
                taken = order[2] if self.wrong == "fills too much" else min(size, order[2])  # type: ignore[type-var]
                order[2] -= taken  # type: ignore[operator]
                size -= taken  # type: ignore[operator]
        self.resting = [order for order in self.resting if order[2]]
        if size > 0:
            self.resting.append([side, price, size])


@pytest.fixture
def application() -> Iterator[Application]:
    made = Application()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, text = made.answer(self.command, self.path, str(self.headers), body)
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        do_POST = do_GET  # noqa: N815 - the name is http.server's

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        made.url = f"http://127.0.0.1:{listening.server_port}"
        yield made
        listening.shutdown()
        thread.join()


def broken(application: Application) -> set[str]:
    found = order_book.results(Book(application.url, application.restart))
    return {check.__name__ for check, wrong in found if wrong is not None}


def test_what_keeps_the_contract_passes(application: Application) -> None:
    assert broken(application) == set()


@pytest.mark.parametrize(
    ("wrong", "points"),
    [
        ("/api/health", {"healthy", "outlives_a_restart"}),
        ("health without JSON", {"healthy", "outlives_a_restart"}),
        ("/headers", {"shows_headers"}),
        ("no headers", {"shows_headers"}),
        ("/", {"shows_a_page"}),
        ("a page without orders", {"shows_a_page"}),
        ("a book without orders", {"keeps_what_rests", "matches", "wipes"}),
        ("{}", {"takes_orders"}),
        ("takes every method", {"refuses"}),
        ("takes every side", {"refuses"}),
        ("bad JSON is its own fault", {"refuses"}),
        ("keeps what it refuses", {"refuses"}),
        ("matches nothing", {"matches"}),
        ("fills too much", {"matches"}),
        ("writes nothing down", {"outlives_a_restart"}),
    ],
)
def test_every_way_of_breaking_it_is_found(
    application: Application, monkeypatch: pytest.MonkeyPatch, wrong: str, points: set[str]
) -> None:
    monkeypatch.setattr(order_book, "SECONDS", 0)
    application.wrong = wrong
    assert broken(application) == points


@pytest.mark.parametrize(
    "wrong", ["/api/wipe", "wipes nothing", "wipes and says no", "/api/order", "/ob", "an order as a list"]
)
def test_what_most_points_need_breaks_them(application: Application, wrong: str) -> None:
    application.wrong = wrong
    assert "wipes" in broken(application)


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ROOT / "scripts" / "order-book-contract", *arguments], capture_output=True, text=True, check=False, timeout=60
    )


def test_a_person_points_it_at_a_url(application: Application) -> None:
    answer = run("--wipe", application.url)
    assert (answer.returncode, answer.stderr) == (0, "")
    assert [line[:6] for line in answer.stdout.splitlines()] == ["ok    "] * (len(CHECKS) - 1) + ["unseen"]
    answer = run("--wipe", "--restart", "exit 3", f"{application.url}/")
    assert answer.returncode == 1
    assert answer.stdout.endswith("       `exit 3` ends with 3\n")
    application.wrong = "matches nothing"
    answer = run("--wipe", application.url)
    assert answer.returncode == 1
    assert (
        f"BROKEN {order_book.matches.__doc__}\n       of 7 bought and 7 sold there remains 'buy 101 7" in answer.stdout
    )


def test_a_book_is_not_emptied_unasked(application: Application) -> None:
    application.resting = [["buy", 1, 1]]
    answer = run(application.url)
    assert answer.returncode == 2
    assert "say --wipe if that may be" in answer.stderr
    assert application.resting == [["buy", 1, 1]]


def test_where_nothing_answers_that_is_said() -> None:
    answer = run("--wipe", "http://127.0.0.1:1")
    assert (answer.returncode, answer.stderr) == (1, "")
    assert "       GET /api/health is not answered: " in answer.stdout
    answer = run("--wipe", "127.0.0.1:3000")
    assert (answer.returncode, answer.stdout) == (2, "")
    assert "'127.0.0.1:3000' is no URL" in answer.stderr


def test_the_page_has_every_point_in_its_words() -> None:
    page = (ROOT / "docs" / "order-book.md").read_text()
    points = [line.removeprefix("* ") for line in page.splitlines() if line.startswith("* ")]
    assert points[: len(CHECKS)] == [order_book.sentence(check) for check in CHECKS]
