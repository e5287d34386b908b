"""Reads a node's journal through the API server and its kubelet: nobody can log in, and this is the only door."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice
from urllib.parse import urlencode

from generator.clock import Clock, stamp
from generator.cluster.kube_api import Kube
from generator.errors import Problem
from generator.plain_text import harmless

AT_ONCE = 4
"""So many units one question may name. Source: kubernetes `pkg/kubelet/kubelet_server_journal.go`, maxServices"""
LONGEST = 100_000
"""Lines that one question may ask for. Source: the same, maxTailLines"""
PAUSE_SECONDS = 2.0
UNIT = re.compile(r"[a-zA-Z0-9._:@-]{1,256}")
_TIME = re.compile(r"[A-Z][a-z]{2} [ 0-9][0-9] [0-9:]{8}\.[0-9]{6} ")
_NOTHING = re.compile(
    r"-- No entries --|options present and query resolved to log files .*|try without specifying options"
)
"""What is said instead of lines: by journalctl of a unit that is silent, by the kubelet of one that is none."""


class Journal:
    """The journal of one node, of the present boot.

    Args:
        server: an API server that answers.
        node: the node's name.
        units: whose lines are wanted.
    """

    def __init__(self, server: Kube, node: str, units: Sequence[str]) -> None:
        self._server = server
        self._node = node
        self._units = units

    def read(self, *, lines: int, since: datetime | None = None) -> tuple[str, ...]:
        """Give the last lines of all units, by time.

        Raises:
            Problem: the server or the kubelet does not give them.
        """
        found: list[tuple[str, str]] = []
        units = iter(self._units)
        while some := tuple(islice(units, AT_ONCE)):
            found += _timed(self._ask(some, lines, since))
        found.sort(key=lambda row: row[0])
        return tuple(harmless(line) for _, line in found[-lines:])

    def follow(self, *, lines: int, clock: Clock, show: Callable[[str], None]) -> None:
        """Show the last lines, then those that come, until interrupted."""
        seen: set[str] = set()
        since: datetime | None = None
        while True:
            now = clock.now()
            fresh = self.read(lines=lines if since is None else LONGEST, since=since)
            for line in fresh:
                if line not in seen:
                    show(line)
            # A question counts whole seconds, so that the last ones are given again.
            seen, since, lines = set(fresh), now - timedelta(seconds=2), LONGEST
            clock.sleep(PAUSE_SECONDS)

    def _ask(self, units: Sequence[str], lines: int, since: datetime | None) -> str:
        asked = [("query", unit) for unit in units] + [("tailLines", str(lines)), ("boot", "0")]
        if since is not None:
            asked.append(("sinceTime", stamp(since)))
        status, body = self._server.log(self._node, urlencode(asked))
        if status == 200:
            return body.decode(errors="replace")
        hints = {
            None: "the API server gives no answer in time: ask for fewer `--lines`",
            403: "the administrator alone may read a node's journal: are these the cluster's own keys?",
            404: "there is no such Node, or its document is of an older version, whose kubelet gives no journal",
        }
        hint = hints.get(status, "its kubelet does not answer; the droplet's screen shows its phases")
        raise Problem(f"the journal can't be read (answer {status or 'none'})", where=self._node, hint=hint)


def _timed(text: str) -> Iterator[tuple[str, str]]:
    """Give each line with its time; one that has none belongs to the line before."""
    time = ""
    for line in text.splitlines():
        if line and not _NOTHING.fullmatch(line):
            found = _TIME.match(line)
            time = found[0] if found else time
            yield time, line
