"""A node's journal: units in few questions, lines by time, nothing that moves a cursor, and refusals in a sentence."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import parse_qs

import pytest

from generator.clock import Clock
from generator.cluster.journal import Journal
from generator.errors import Problem


class Server:
    """Answers for a kubelet: by unit, what journalctl would print."""

    def __init__(self, said: dict[str, str], status: int | None = 200) -> None:
        self.said, self.status = said, status
        self.asked: list[dict[str, list[str]]] = []

    def log(self, node: str, query: str) -> tuple[int | None, bytes]:
        assert node == "node01"
        self.asked.append(parse_qs(query))
        text = "".join(self.said.get(unit, "-- No entries --\n") for unit in self.asked[-1]["query"])
        return self.status, text.encode()


def line(second: int, unit: str, text: str) -> str:
    return f"Nov 27 15:12:{second:02}.634011 node01 {unit}[1]: {text}\n"


def journal(server: Server, *units: str) -> Journal:
    return Journal(server, "node01", units)  # type: ignore[arg-type]


def test_lines_of_many_units_come_by_time_and_the_last_ones_only() -> None:
    units = [f"unit{number}" for number in range(9)]
    server = Server({unit: line(30 - number, unit, "x") for number, unit in enumerate(units)})
    found = journal(server, *units).read(lines=5)
    assert [len(one["query"]) for one in server.asked] == [4, 4, 1]
    assert all(one["tailLines"] == ["5"] and one["boot"] == ["0"] for one in server.asked)
    assert [text.split("unit")[1][0] for text in found] == ["4", "3", "2", "1", "0"]


def test_a_line_without_a_time_stays_behind_its_own() -> None:
    server = Server({"a": line(1, "a", "first") + "  second\n" + line(5, "a", "last"), "b": line(3, "b", "between")})
    found = journal(server, "a", "b").read(lines=10)
    assert [text.split(": ")[-1] for text in found] == ["first", "  second", "between", "last"]


def test_nothing_moves_a_cursor() -> None:
    server = Server({"a": line(1, "a", "\x1b[31mred\x07")})
    assert journal(server, "a").read(lines=1) == (line(1, "a", "\\x1b[31mred\\x07").strip(),)


def test_where_nothing_was_logged_nothing_is_given() -> None:
    assert journal(Server({}), "a").read(lines=1) == ()
    unknown = "options present and query resolved to log files for [a]\ntry without specifying options\n"
    assert journal(Server({"a": unknown}), "a").read(lines=1) == ()


def test_a_time_is_asked_for_in_utc() -> None:
    server = Server({})
    journal(server, "a").read(lines=1, since=datetime(2026, 11, 27, 15, 0, tzinfo=UTC))
    assert server.asked[0]["sinceTime"] == ["2026-11-27T15:00:00Z"]


@pytest.mark.parametrize(
    ("status", "hint"),
    [(None, "ask for fewer"), (403, "the administrator alone"), (404, "older version"), (503, "screen")],
)
def test_a_refusal_is_a_sentence(status: int | None, hint: str) -> None:
    with pytest.raises(Problem, match="the journal can't be read") as caught:
        journal(Server({}, status), "a").read(lines=1)
    assert (caught.value.where, hint in str(caught.value.hint)) == ("node01", True)


def test_what_comes_is_shown_once() -> None:
    server = Server({"a": line(1, "a", "old")})
    shown: list[str] = []
    rounds = iter((line(1, "a", "old") + line(2, "a", "new"), line(2, "a", "new") + line(3, "a", "newer")))

    def sleep(_: float) -> None:
        try:
            server.said["a"] = next(rounds)
        except StopIteration:
            raise KeyboardInterrupt from None

    with pytest.raises(KeyboardInterrupt):
        journal(server, "a").follow(lines=10, clock=Clock(sleep=sleep), show=shown.append)
    assert [text.split(": ")[-1] for text in shown] == ["old", "new", "newer"]
