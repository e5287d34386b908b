"""Lets the command line speak to the lab's daemon: single operations over a socket file in the state directory."""

from __future__ import annotations

import http.client
import json
import os
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from generator.errors import Problem
from generator.lab.state import State
from generator.lab.webserver import Call, Reply, Server, unix_listener

# what a daemon reads on its standard input before it does anything: whoever started it has noted that it exists
RECORDED = b"recorded\n"

Operation = Callable[[Mapping[str, Any]], Mapping[str, Any]]


def socket_path(state: State) -> Path:
    """Give the daemon's socket."""
    return state.directory / "run" / "control.sock"


def serve(state: State, operations: Mapping[str, Operation]) -> Server:
    """Answer the command line; a `Problem` of an operation is told as it is."""

    def respond(call: Call) -> Reply:
        operation = operations.get(call.path.strip("/"))
        if operation is None:
            return _json(404, {"message": f"the daemon knows no {call.path}", "hint": None})
        try:
            return _json(200, operation(json.loads(call.body or b"{}")))
        except Problem as problem:
            return _json(422, {"message": problem.message, "where": problem.where, "hint": problem.hint})

    return Server(unix_listener(socket_path(state)), respond)


def call(state: State, operation: str, **arguments: Any) -> dict[str, Any]:
    """Ask the daemon for something.

    Raises:
        Problem: no daemon runs, or it says no.
    """
    require_permission(state)
    connection = _Connection(socket_path(state))
    try:
        connection.request("POST", f"/{operation}", json.dumps(arguments), {"Content-Type": "application/json"})
        response = connection.getresponse()
        answer = json.loads(response.read())
    except (OSError, http.client.HTTPException) as error:
        raise Problem(f"the lab `{state.name}` is not up", hint=_elsewhere(state)) from error
    finally:
        connection.close()
    if response.status != 200:
        raise Problem(answer["message"], where=answer.get("where"), hint=answer.get("hint"))
    return dict(answer)


def require_permission(state: State) -> None:
    """Refuse to go on where labs are somebody else's.

    Raises:
        Problem: there are labs, and this user may not look into them.
    """
    if state.labs.is_dir() and not os.access(state.labs, os.R_OK | os.X_OK):
        raise Problem("the labs belong to another user", where=str(state.labs), hint="use `sudo`")


def _elsewhere(state: State) -> str:
    others = [each for each in State.all(state) if each != state and socket_path(each).exists()]
    if not others:
        return "gen lab up"
    named = ", ".join(f"`{each.name}` (made in {each.made_in})" for each in others)
    return f"`gen lab up`; or go where it was made, or let `HARDWAY_LAB` name one of those that are: {named}"


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("lab", timeout=300)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket file instead of a host."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def _json(status: int, value: Mapping[str, Any]) -> Reply:
    return Reply(status, json.dumps(value).encode(), {"content-type": "application/json"})
