"""What an image has to do to be the order book, as a check of whatever runs: the stand-in, or a person's own.

Run as a program (`scripts/order-book-contract`) it needs nothing but Python.
"""

from __future__ import annotations

import argparse
import http.client
import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

PRICE = 987654
"""A number that shows in the book only where an order of this price rests."""
SECONDS = 60.0
_CLIENT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Broken(Exception):  # noqa: N818 - it is said of the contract
    """A point of the contract that is not kept, with what was seen instead."""


@dataclass(frozen=True)
class Book:
    """An order book that answers somewhere; `restart` ends it and starts it again with the same database."""

    url: str
    restart: Callable[[], object] | None = None

    def ask(self, path: str, body: object = None, *, method: str | None = None, status: int = 200) -> str:
        """Ask, and give the answer's text.

        Raises:
            Broken: the answer has another status, or there is none.
        """
        data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        method = method or ("GET" if body is None else "POST")
        request = urllib.request.Request(f"{self.url.rstrip('/')}{path}", data, {"X-Contract": "kept"}, method=method)
        try:
            with _CLIENT.open(request, timeout=10) as answer:
                seen, text = answer.status, answer.read(1 << 20).decode(errors="replace")
        except urllib.error.HTTPError as error:
            seen, text = error.code, error.read(1 << 20).decode(errors="replace")
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise Broken(f"{method} {path} is not answered: {error}") from error
        if seen != status:
            raise Broken(f"{method} {path} is answered with {seen}, not {status}: {text.strip()[:200]!r}")
        return text

    def object(self, path: str, body: object = None, *, method: str | None = None) -> dict[str, Any]:
        """Ask for an object as JSON."""
        text = self.ask(path, body, method=method)
        try:
            value = json.loads(text)
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise Broken(f"{path} is answered with {text.strip()[:200]!r}, not with an object as JSON")
        return value

    def place(self, side: str, price: int, size: int) -> dict[str, Any]:
        """Place an order."""
        return self.object("/api/order", {"side": side, "price": price, "size": size})

    def emptied(self) -> str:
        """Empty the book, and give its text."""
        if self.object("/api/wipe", method="POST").get("ok") is not True:
            raise Broken("POST /api/wipe does not answer that it is ok")
        return self.ask("/ob")


def healthy(book: Book) -> None:
    """`GET /api/health` answers 200 and `{"ok":true}`."""
    if book.object("/api/health").get("ok") is not True:
        raise Broken("GET /api/health does not answer that it is ok")


def shows_a_page(book: Book) -> None:
    """`GET /` answers with a page in HTML on which the book's orders are."""
    book.emptied()
    before = book.ask("/")
    book.place("buy", PRICE, 1)
    page = book.ask("/")
    if "<html" not in page.lower():
        raise Broken("GET / is no page in HTML")
    if str(PRICE) in before or str(PRICE) not in page:
        raise Broken(f"the page shows no order at {PRICE} where there is one, or one where there is none")


def shows_headers(book: Book) -> None:
    """`GET /headers` answers with the request's headers as text."""
    if "x-contract: kept" not in book.ask("/headers").lower():
        raise Broken("GET /headers does not show a header of the request")


def takes_orders(book: Book) -> None:
    """`POST /api/order` takes `{"side":"buy","price":101,"size":7}`, or `sell`, and answers with the order as JSON."""
    book.emptied()
    for side, price in (("buy", 101), ("sell", 103)):
        wanted, seen = {"side": side, "price": price, "size": 7}, book.place(side, price, 7)
        if not wanted.items() <= seen.items():
            raise Broken(f"the answer to {wanted} is {seen}")


def keeps_what_rests(book: Book) -> None:
    """`GET /ob` answers with the book as text; an order that none matches rests in it."""
    empty = book.emptied()
    book.place("sell", PRICE, 1)
    book.place("buy", PRICE - 1, 1)
    text = book.ask("/ob")
    if str(PRICE) in empty or not all(str(price) in text for price in (PRICE, PRICE - 1)):
        raise Broken(f"the book with orders at {PRICE - 1} and {PRICE} is {text!r}")


def matches(book: Book) -> None:
    """A buy and a sell that meet are matched, and what is filled is in the book no more."""
    empty = book.emptied()
    book.place("buy", 101, 7)
    book.place("sell", 100, 3)
    if book.ask("/ob") == empty:
        raise Broken("of 7 bought and 3 sold nothing remains")
    book.place("sell", 101, 4)
    if (text := book.ask("/ob")) != empty:
        raise Broken(f"of 7 bought and 7 sold there remains {text!r}")


def refuses(book: Book) -> None:
    """Whatever is no order is answered with 400, another method at `/api/order` with 405, and changes nothing."""
    empty = book.emptied()
    for body in (b'{"side":', {"side": "hold", "price": 1, "size": 1}):
        book.ask("/api/order", body, status=400)
    book.ask("/api/order", method="GET", status=405)
    if book.ask("/ob") != empty:
        raise Broken("what was refused is in the book")


def wipes(book: Book) -> None:
    """`POST /api/wipe` empties the book and answers `{"ok":true}`; the Ingress leads there with `wipe: true` alone."""
    empty = book.emptied()
    book.place("buy", PRICE, 1)
    if book.ask("/ob") == empty or book.emptied() != empty:
        raise Broken("the book is not empty after /api/wipe")


def outlives_a_restart(book: Book) -> None:
    """The book is in the database: after a restart of the application it is what it was."""
    assert book.restart is not None
    book.emptied()
    book.place("buy", 101, 7)
    book.place("sell", 100, 3)
    before = book.ask("/ob")
    book.restart()
    _await(book)
    if (after := book.ask("/ob")) != before:
        raise Broken(f"the book was {before!r}, and is {after!r}")


Check = Callable[[Book], None]
CHECKS: Sequence[Check] = (
    *(healthy, shows_a_page, shows_headers, takes_orders, keeps_what_rests, matches, refuses, wipes),
    outlives_a_restart,
)


def results(book: Book) -> Iterator[tuple[Check, str | None]]:
    """Check every point, and say of each what is wrong; that of a restart only where there can be one."""
    for check in CHECKS:
        if check is outlives_a_restart and book.restart is None:
            continue
        try:
            check(book)
        except Broken as broken:
            yield check, str(broken)
        else:
            yield check, None


def sentence(check: Check) -> str:
    """Give a point of the contract in words."""
    return str(check.__doc__)


def main(arguments: Sequence[str]) -> int:
    """Check what runs at a URL; exit code 0 when it keeps the contract, 1 when not, 2 when used wrongly."""
    parser = argparse.ArgumentParser(prog="scripts/order-book-contract", description=sys.modules[__name__].__doc__)
    parser.add_argument("url", metavar="URL", help="where the application itself answers, not the Ingress")
    parser.add_argument("--wipe", action="store_true", help="yes, the book there may be emptied")
    parser.add_argument("--restart", metavar="COMMAND", help="restarts the application; its book has to come back")
    given = parser.parse_args(arguments)
    if not given.url.startswith(("http://", "https://")):
        parser.error(f"{given.url!r} is no URL: it begins with http:// or https://")
    if not given.wipe:
        parser.error("the check places orders and empties the book: say --wipe if that may be")
    broken = 0
    for check, wrong in results(Book(given.url, partial(_run, given.restart) if given.restart else None)):
        print(f"{'ok    ' if wrong is None else 'BROKEN'} {sentence(check)}", flush=True)
        if wrong is not None:
            print(f"       {wrong}", flush=True)
            broken += 1
    if not given.restart:
        print("unseen " + sentence(outlives_a_restart) + " (--restart COMMAND)")
    return 1 if broken else 0


def _run(command: str) -> None:
    code = subprocess.run(["sh", "-c", command], check=False, stdout=sys.stderr.fileno()).returncode
    if code != 0:
        raise Broken(f"`{command}` ends with {code}")


def _await(book: Book) -> None:
    end = time.monotonic() + SECONDS
    while True:
        try:
            return healthy(book)
        except Broken:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
