"""A bucket's policy beside the planned one: what a launch puts right, what it leaves alone, and what stops it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from generator.cluster.bucket_policy import Place, is_planned, mended, own, stands_alone, unplanned, wider, withdrawn

PLACE = Place("b", "c/", "c/id/public")
B = "arn:aws:s3:::b"
PUBLIC = f"{B}/c/id/public/*"


def statement(resource: Any, action: Any = "s3:GetObject", /, **others: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Principal": "*", "Action": action, "Resource": resource} | others


def without(key: str, resource: Any = PUBLIC, /, **others: Any) -> dict[str, Any]:
    return {name: value for name, value in statement(resource, **others).items() if name != key}


def policy(*statements: Any) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


PLANNED = [
    statement(PUBLIC),
    statement([PUBLIC]),
    statement(PUBLIC, ["s3:GetObject"]),
    statement(PUBLIC, Principal={"AWS": "*"}, Sid="Whatever"),
    statement(PUBLIC, Principal={"AWS": ["*"]}),
]
OWN = {
    "write in public": statement(PUBLIC, "s3:PutObject"),
    "read and write": statement(PUBLIC, ["s3:GetObject", "s3:PutObject"]),
    "all actions": statement(PUBLIC, "*"),
    "all of s3": statement(PUBLIC, "s3:*"),
    "a wildcard in the action": statement(PUBLIC, "s3:Get*"),
    "another case of the action": statement(PUBLIC, "S3:GETOBJECT"),
    "all but one action": without("Action", NotAction="s3:DeleteObject"),
    "actions that are none": statement(PUBLIC, 7),
    "read all of the prefix": statement(f"{B}/c/*"),
    "read the bundles": statement(f"{B}/c/bundles/*"),
    "read one bundle": statement(f"{B}/c/bundles/a"),
    "an earlier cluster's public prefix": statement(f"{B}/c/id0/public/*"),
    "public and more": statement([PUBLIC, f"{B}/c/status/*"]),
    "public without an end": statement(f"{B}/c/id/public*"),
    "somebody else": statement(PUBLIC, Principal={"AWS": "arn:aws:iam::1:root"}),
    "everybody and somebody": statement(PUBLIC, Principal={"AWS": ["*", "arn:aws:iam::1:root"]}),
    "another kind of principal": statement(PUBLIC, Principal={"CanonicalUser": "*"}),
    "all but somebody": without("Principal", NotPrincipal={"AWS": "arn:aws:iam::1:root"}),
    "no principal": without("Principal"),
    "under a condition": statement(PUBLIC, Condition={"IpAddress": {"aws:SourceIp": "192.0.2.1/32"}}),
    "nobody may read what is public": statement(PUBLIC, Effect="Deny"),
}
ELSEWHERE = {
    "another's": statement(f"{B}/d/*"),
    "another's, to write": statement(f"{B}/d/*", "s3:*"),
    "a longer name": statement(f"{B}/cc/*"),
    "a name alone": statement(f"{B}/c"),
    "a question mark in another": statement(f"{B}/d?c/x"),
    "another bucket": statement("arn:aws:s3:::b2/*"),
    "denied to everybody": statement(f"{B}/*", "s3:*", Effect="Deny"),
    "all but ours is denied": without("Resource", Effect="Deny", NotResource=PUBLIC),
}
WIDER = {
    "read all": (statement(f"{B}/*"), "lets everybody do s3:GetObject on arn:aws:s3:::b/*"),
    "write all": (statement(f"{B}/*", "s3:PutObject"), "s3:PutObject"),
    "list": (statement(B, "s3:ListBucket"), "lets everybody do s3:ListBucket on arn:aws:s3:::b"),
    "list under a condition": (statement(B, "s3:ListBucket", Condition={"StringLike": {"s3:prefix": "d/*"}}), "cond"),
    "change the policy": (statement(B, "s3:PutBucketPolicy"), "s3:PutBucketPolicy"),
    "bucket and objects": (statement([B, f"{B}/*"], "s3:*"), "s3:* on arn:aws:s3:::b, arn:aws:s3:::b/*"),
    "every resource": (statement("*"), "on *"),
    "every bucket": (statement("arn:aws:s3:::*"), "arn:aws:s3:::*"),
    "another partition": (statement("arn:*:s3:::b/*"), "arn:*:s3"),
    "a tenant": (statement("arn:aws:s3::t:b/c/*"), "arn:aws:s3::t"),
    "a longer name as well": (statement(f"{B}/c*"), "b/c*"),
    "a question mark": (statement(f"{B}/?/bundles/*"), "b/?/"),
    "a question mark for a slash": (statement(f"{B}?c/*"), "b?c/"),
    "a variable": (statement(f"{B}/${{aws:username}}/*"), "aws:username"),
    "ours among others'": (statement([f"{B}/c/*", f"{B}/d/*"]), "b/c/*, arn:aws:s3:::b/d/*"),
    "somebody else": (statement(f"{B}/*", "s3:*", Principal={"AWS": "arn:aws:iam::1:root"}), "arn:aws:iam::1:root"),
    "all but some objects": (without("Resource", NotResource=f"{B}/d/*"), "all objects but some"),
    "both": (statement(f"{B}/d/*", NotResource=f"{B}/d/*"), "b/d/*"),
    "no resource": (without("Resource"), "what can't be read"),
    "resources that are none": (statement([7]), "what can't be read"),
    "a map of resources": (statement({"a": "b"}), "what can't be read"),
}
UNREADABLE = {
    "nothing": "",
    "no JSON": "<Policy/>",
    "a list": "[]",
    "deep": "[" * 100_000,
    "a key twice": '{"Statement": [{"Effect": "Allow", "Effect": "Deny", "Principal": "*"}]}',
    "another key": '{"statement": []}',
    "a key in other letters": policy(statement(PUBLIC, resource=f"{B}/*")),
    "another effect": policy(statement(PUBLIC, Effect="allow")),
    "no effect": policy(without("Effect")),
    "a statement that is none": policy("Allow"),
    "statements that are none": '{"Statement": "Allow"}',
}


@pytest.mark.parametrize("planned", PLANNED)
def test_what_is_planned_is_recognised(planned: dict[str, Any]) -> None:
    for text in (policy(planned), json.dumps({"Statement": planned})):
        assert is_planned(text, PLACE)
        assert wider(text, PLACE) == ()


def test_what_is_written_is_what_is_planned() -> None:
    assert not is_planned(None, PLACE)
    assert is_planned(mended(None, PLACE), PLACE)
    assert wider(mended(None, PLACE), PLACE) == ()
    assert withdrawn(mended(None, PLACE), PLACE) is None


@pytest.mark.parametrize("name", OWN)
def test_our_own_is_put_right_and_others_stay(name: str) -> None:
    foreign = [*ELSEWHERE.values(), statement(f"{B}/*", "s3:PutObject")]
    text = policy(foreign[0], OWN[name], *foreign[1:], statement(PUBLIC))
    assert not is_planned(text, PLACE)
    assert len(own(text, PLACE)) == 2
    assert len(unplanned(text, PLACE)) == 1
    assert is_planned(mended(text, PLACE), PLACE)
    assert json.loads(mended(text, PLACE))["Statement"] == [*foreign, PLACE.statement]
    assert json.loads(withdrawn(text, PLACE) or "")["Statement"] == foreign


@pytest.mark.parametrize("name", ELSEWHERE)
def test_what_can_not_reach_us_is_left_alone(name: str) -> None:
    text = policy(ELSEWHERE[name], statement(PUBLIC))
    assert wider(text, PLACE) == ()
    assert is_planned(text, PLACE)
    assert not stands_alone(text, PLACE)


@pytest.mark.parametrize("name", WIDER)
def test_what_reaches_us_from_outside_is_named(name: str) -> None:
    found, words = WIDER[name]
    [why] = wider(policy(statement(PUBLIC), found, *ELSEWHERE.values()), PLACE)
    assert words in why
    assert stands_alone(policy(found), PLACE), "it can go as a whole: nothing else is in it"
    assert not stands_alone(policy(found, *ELSEWHERE.values()), PLACE)


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_can_not_be_understood_is_taken_for_the_worst(name: str) -> None:
    [why] = wider(UNREADABLE[name], PLACE)
    assert why.startswith("can't be understood: ")
    assert own(UNREADABLE[name], PLACE) == ()


def test_all_that_is_wider_is_named_at_once() -> None:
    found = [one for one, _ in WIDER.values()]
    assert len(wider(policy(*found), PLACE)) == len(found)
