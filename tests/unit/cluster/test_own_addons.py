"""What is kept of addons is forgotten only once it is gone; a server that refuses or is silent is told of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from generator.cluster import addon_state, own_addons
from generator.cluster.kube_api import ADDONS_RECORD, Credentials, Kube, NotYet
from generator.errors import Problems
from generator.manifests.own import LABEL

KEPT = [["", "Namespace", "", "shop"], ["", "PersistentVolumeClaim", "shop", "data"]]
SPACE = "/api/v1/namespaces/shop"
CLAIM = f"{SPACE}/persistentvolumeclaims/data"
OURS = json.dumps({"metadata": {"labels": {LABEL: "shop"}}}).encode()


class Server(Kube):
    """Answers as `answers` says, by method and path; what it is not told to do otherwise succeeds."""

    def __init__(self, answers: Mapping[tuple[str, str], int | BaseException | None]) -> None:
        nowhere = Path("/nonexistent")
        super().__init__("203.0.113.7", Credentials(nowhere, nowhere, nowhere, "api.c.internal"), None)
        self.answers = answers
        self.record: dict[str, Any] | None = None

    def request(
        self, method: str, path: str, sent: Mapping[str, Any] | None = None, *, kind: str = "application/json"
    ) -> tuple[int | None, bytes]:
        answer = self.answers.get((method, path), HTTPStatus.OK)
        if isinstance(answer, BaseException):
            raise answer
        if method == "PATCH" and answer == HTTPStatus.OK:
            assert (path, kind) == (ADDONS_RECORD, "application/merge-patch+json")
            assert sent is not None
            self.record = json.loads(sent["data"]["states"] or "{}")
        return answer, OURS


def prune(server: Server, more: int = 0) -> list[str]:
    states = addon_state.read(json.dumps({"shop": {"state": "removed", "kept": KEPT, "more": more}}))
    said: list[str] = []
    own_addons.delete(server, states, own_addons.deletable(states, set()), said.append)
    return said


@pytest.mark.parametrize("answer", [HTTPStatus.OK, HTTPStatus.ACCEPTED, HTTPStatus.NOT_FOUND])
def test_what_is_gone_is_forgotten(answer: int) -> None:
    server = Server({("DELETE", SPACE): answer})
    assert prune(server) == [
        "PersistentVolumeClaim data of namespace shop is deleted",
        "Namespace shop is deleted",
    ]
    assert server.record == {}


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (HTTPStatus.FORBIDDEN, "it answers 403"),
        (HTTPStatus.INTERNAL_SERVER_ERROR, "it answers 500"),
        (None, "it does not answer"),
    ],
)
def test_what_could_not_be_deleted_is_told_and_kept(method: str, answer: int | None, said: str) -> None:
    server = Server({(method, CLAIM): answer})
    with pytest.raises(Problems) as caught:
        prune(server)
    (problem,) = caught.value.problems
    assert said in problem.message
    assert "PersistentVolumeClaim data" in problem.message
    assert (problem.where, problem.hint) == ("203.0.113.7", "`gen launch --prune-data` tries it again")
    assert server.record == {"shop": {"state": "removed", "kept": [KEPT[1]]}}, "the namespace alone is gone"


def test_what_had_no_room_in_the_record_is_not_forgotten() -> None:
    server = Server({})
    prune(server, more=5)
    assert server.record == {"shop": {"state": "removed", "more": 5}}


@pytest.mark.parametrize("more", ["-1", "1e999", "null", '"x"', "[]", "true1", "10000000"])
def test_what_is_no_count_counts_nothing(more: str) -> None:
    states = addon_state.read(f'{{"shop": {{"state": "applied", "more": {more}}}}}')
    assert [one.more for one in states] in ([0], [])


def test_who_is_cut_off_forgets_what_is_deleted_by_then() -> None:
    server = Server({("GET", SPACE): KeyboardInterrupt()})
    with pytest.raises(KeyboardInterrupt):
        prune(server)
    assert server.record == {"shop": {"state": "removed", "kept": [KEPT[0]]}}


@pytest.mark.parametrize("answer", [HTTPStatus.CONFLICT, None])
def test_a_record_that_is_not_taken_is_told(answer: int | None) -> None:
    with pytest.raises(NotYet, match="does not take the record of addons"):
        prune(Server({("PATCH", ADDONS_RECORD): answer}))
