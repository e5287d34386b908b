"""A node believes only its operator, never goes back, and never gives up the last good roster."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hardway import here, roster
from hardway.here import Failure

from generator.documents import roster as rosters

from .conftest import CLUSTER_ID, Answer, Store

OPERATOR = Ed25519PrivateKey.generate()
PUBLIC = base64.b64encode(OPERATOR.public_key().public_bytes_raw()).decode()
ROSTER = rosters.Roster(
    CLUSTER_ID,
    100,
    datetime(2026, 11, 23, tzinfo=UTC),
    rosters.Founding("10.110.0.0/20", "10.44.0.0/24", "10.42.0.0/16", "10.43.0.0/16", "cluster.local", "mesh"),
    (rosters.Entry("node01", 1, "control-plane", "10.44.0.1", "10.42.0.0/24", "a" * 43 + "=", None),),
    rosters.Etcd("new", "token", datetime(2026, 11, 23, 1, tzinfo=UTC)),
    "0" * 64,
)


def signed(written: rosters.Roster, key: Ed25519PrivateKey = OPERATOR) -> Answer:
    return Answer(rosters.sign(rosters.payload(written), key))


@pytest.fixture(autouse=True)
def known(facts: dict[str, Any], launch: dict[str, Any], store: Store) -> None:
    here.write(here.FACTS, json.dumps(facts | {"operator_public_key": PUBLIC}))
    store.answers["/roster.json"] = signed(ROSTER)


def test_believes_the_operator_and_keeps_what_was_said() -> None:
    found, is_fresh = roster.refresh()
    assert (found["generation"], is_fresh) == (100, True)
    assert here.read(here.ROSTER) == json.loads(rosters.payload(ROSTER))


def test_goes_on_without_the_store(store: Store) -> None:
    roster.refresh()
    for answer in (Answer(status=503), Answer(b"no roster"), signed(replace(ROSTER, generation=101), _other())):
        store.answers["/roster.json"] = answer
        found, is_fresh = roster.refresh()
        assert (found["generation"], is_fresh) == (100, False)
    here.write(here.LAUNCH, json.dumps(here.launch() | {"roster_url": "http://127.0.0.1:1/roster.json"}))
    assert roster.refresh()[1] is False
    assert here.read(here.ROSTER)["generation"] == 100


def _other() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.generate()


def _tampered() -> Answer:
    wrapper = json.loads(signed(ROSTER).body)
    wrapper["payload"] = wrapper["payload"].replace("10.44.0.1", "10.44.0.9")
    return Answer(json.dumps(wrapper).encode())


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        pytest.param(signed(ROSTER, _other()), "not as the operator signs", id="another signer"),
        pytest.param(_tampered(), "not as the operator signs", id="changed"),
        pytest.param(signed(replace(ROSTER, cluster_id="other")), "another cluster", id="another cluster"),
        pytest.param(signed(replace(ROSTER, generation=99)), "at least 100 is due", id="older than the launch"),
        pytest.param(Answer(b"[]"), "not as the operator signs", id="a list"),
        pytest.param(Answer(b'{"payload": 5, "signature": ""}'), "not as the operator signs", id="no text"),
        pytest.param(Answer(b"\xff"), "not as the operator signs", id="no JSON"),
        pytest.param(Answer(b"[" * 100_000), "not as the operator signs", id="nested without end"),
        pytest.param(Answer(b"x" * 17_000_000), "sends more than 1,048,576 bytes", id="without end"),
        pytest.param(Answer(status=404), "answer 404", id="not there"),
    ],
)
def test_without_a_good_roster_there_is_none(store: Store, answer: Answer, message: str) -> None:
    store.answers["/roster.json"] = answer
    with pytest.raises(Failure, match=message):
        roster.refresh()
    assert here.read(here.ROSTER) is None


def test_never_goes_back(store: Store) -> None:
    store.answers["/roster.json"] = signed(replace(ROSTER, generation=102))
    roster.refresh()
    changed = replace(ROSTER, generation=102, addons="1" * 64)
    for older in (ROSTER, replace(ROSTER, generation=101), changed):
        store.answers["/roster.json"] = signed(older)
        found, is_fresh = roster.refresh()
        assert (found["generation"], found["addons"], is_fresh) == (102, "0" * 64, False)


def test_a_new_launch_outdates_what_is_known(store: Store) -> None:
    roster.refresh()
    here.write(here.LAUNCH, json.dumps(here.launch() | {"generation": 105}))
    with pytest.raises(Failure, match="at least 105 is due"):
        roster.refresh()
    store.answers["/roster.json"] = signed(replace(ROSTER, generation=105))
    assert roster.refresh()[0]["generation"] == 105
