"""Does what the operator asks of a control-plane node: signed requests lie in the API, answers are put beside them."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Any

from hardway import duties, here, kube, signed, vouch
from hardway.here import Failure
from hardway.waiting import patiently

CONTEXT = "hardway-request-v1"
PLACE = "/api/v1/namespaces/hardway/configmaps"
IDENTITY = "channel"
WATCH_SECONDS = 300
PAUSE_SECONDS = 10
ANSWER_BYTES, ANSWER_SECONDS = 64 << 10, 30.0
NOTE_SECONDS = 5


def step() -> None:
    """Watch for requests and do each once, for as long as the node runs."""
    seen: set[str] = set()
    told = ""
    while True:
        try:
            follow(seen)
            told = ""
        except (Failure, ValueError, LookupError, TypeError, AttributeError) as error:
            if told != (told := f"no request can be heard: {error}"):
                print(told, flush=True)
            time.sleep(PAUSE_SECONDS)


def follow(seen: set[str]) -> None:
    """Do what is asked now, and what comes while the watch lasts.

    Args:
        seen: the requests that this process has begun.
    """
    status, found = kube.api("GET", PLACE, identity=IDENTITY)
    if status != 200:
        raise Failure(f"answer {status}")
    for item in found["items"]:
        consider(item, seen)
    version = found["metadata"]["resourceVersion"]
    query = f"watch=true&resourceVersion={version}&timeoutSeconds={WATCH_SECONDS}"
    for event in kube.watch(f"{PLACE}?{query}", WATCH_SECONDS + 30, IDENTITY):
        if event["type"] in ("ADDED", "MODIFIED"):
            consider(event["object"], seen)
        elif event["type"] == "ERROR":
            return  # too much has changed meanwhile; the list is read again


def consider(item: dict[str, Any], seen: set[str]) -> None:
    """Do a request if it is the operator's, for this node, in time, and was not begun before."""
    name, data, node = item["metadata"]["name"], item.get("data") or {}, here.facts()["node"]
    if name in seen or "request" not in data or f"answer.{node}" in data:
        return
    try:
        request = read(data["request"], name)
    except Failure as failure:
        seen.add(name)
        print(f"request {name} is ignored: {failure}", flush=True)
        return
    if node not in request["nodes"]:
        return
    seen.add(name)
    if f"begun.{node}" in data:
        say(name, {"outcome": "failed", "message": "it was interrupted; ask again"})
        return
    note(name, {f"begun.{node}": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"})
    print(f"request {name}: {request['verb']}", flush=True)
    say(name, do(request))


def read(text: str, name: str) -> dict[str, Any]:
    """Give what a request asks for.

    Raises:
        Failure: the operator has not signed it, it is of another cluster or name, or its time is over.
    """
    request = signed.verify(text.encode(), CONTEXT, here.facts())
    if (request.get("version"), request.get("id")) != (1, name):
        raise Failure("it is another's, or of a format not known here")
    if datetime.now(UTC) > datetime.fromisoformat(request["until"]):
        raise Failure("its time is over")
    return request


def do(request: dict[str, Any]) -> dict[str, Any]:
    """Do what is asked, and tell what came of it."""
    verb = duties.VERBS.get(request["verb"])
    if verb is None:
        return {"outcome": "failed", "message": f"this node's agent knows no `{request['verb']}`"}
    try:
        result = verb(request["arguments"])
    except (Failure, OSError) as failure:
        return {"outcome": "failed", "message": str(failure)[-1000:]}
    if len(json.dumps(result)) > ANSWER_BYTES:
        return {"outcome": "failed", "message": f"the answer has more than {ANSWER_BYTES:,} bytes"}
    return {"outcome": "done", "result": result}


def say(name: str, outcome: dict[str, Any]) -> None:
    """Put an answer beside its request."""
    answer = {"request": name, "time": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"} | outcome
    data = {f"answer.{here.facts()['node']}": vouch.vouched(vouch.ANSWER, answer)}
    # What was asked may have ended this node's own API server; nobody would ask for the answer a second time.
    patiently(lambda: note(name, data), ANSWER_SECONDS, 1)


def note(name: str, data: dict[str, str]) -> None:
    """Write beside a request; one that was withdrawn meanwhile is nobody's any more."""
    status, found = kube.patch(f"{PLACE}/{name}", {"data": data}, seconds=NOTE_SECONDS, identity=IDENTITY)
    if status not in (200, kube.NOT_KNOWN):
        raise Failure(f"request {name} can't be answered: {found.get('message') if isinstance(found, dict) else found}")
