"""Whether etcd can do without some nodes follows from what its members say, never from the description."""

from __future__ import annotations

import itertools

import pytest

from generator.cluster import quorum
from generator.cluster.kube_api import NotYet
from generator.cluster.node_report import Etcd, Member
from generator.cluster.quorum import Council, objections
from tests.keyring import planned

PLAN = planned()

NAMES = ("node01", "node02", "node03", "node04", "node05")


def council(members: int, *, ill: tuple[str, ...] = (), learners: tuple[str, ...] = ()) -> Council:
    """Give what so many members say; those that are ill say nothing."""
    names = NAMES[:members]
    known = tuple(Member(f"{number:x}", name, name in learners) for number, name in enumerate(names, start=1))
    views = {
        name: Etcd(f"{number:x}", "1", name in learners, known)
        for number, name in enumerate(names, start=1)
        if name not in ill
    }
    return Council(views)


@pytest.mark.parametrize("members", [2, 3, 4, 5])
def test_one_may_leave_when_all_others_are_healthy(members: int) -> None:
    for name in NAMES[:members]:
        assert list(objections(council(members), [name])) == []
        found = list(objections(council(members, ill=(name,)), [name]))
        assert (found == []) == (members > 2), "of two, the one that is left can remove nobody"


@pytest.mark.parametrize("members", [2, 3, 4, 5])
def test_none_may_leave_while_another_is_ill_or_learns(members: int) -> None:
    for name, other in itertools.permutations(NAMES[:members], 2):
        found = list(objections(council(members, ill=(other,)), [name]))
        assert found
        assert other in {problem.where for problem in found}
        found = list(objections(council(members, learners=(other,)), [name]))
        assert "is a learner of etcd still" in {problem.message for problem in found} or members == 2


def test_the_only_member_never_leaves() -> None:
    [problem] = objections(council(1), ["node01"])
    assert problem.message.startswith("is etcd's only member")
    assert problem.hint is not None


def test_where_nobody_tells_nobody_is_taken_to_have_left(monkeypatch: pytest.MonkeyPatch) -> None:
    class Silent:
        plan = PLAN

        def ask(self, verb: str, nodes: object) -> dict[str, object]:
            return {}

    monkeypatch.setattr(quorum, "control_planes", lambda _: NAMES[:3])
    with pytest.raises(NotYet, match=r"tells who etcd's members are \(node01, node02 were asked\)"):
        quorum.convene(Silent(), without=["node03"])  # type: ignore[arg-type]


def test_an_alarm_speaks_against_it() -> None:
    whole = council(3)
    views = {
        name: Etcd(one.member, one.leader, one.learner, one.members, ("NOSPACE",)) for name, one in whole.views.items()
    }
    assert "etcd has an alarm: NOSPACE" in {one.message for one in objections(Council(views), ["node01"])}


def test_who_leads() -> None:
    assert council(3).leader == "node01"
    assert Council({}).leader is None
