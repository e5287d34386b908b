"""Holds beliefs against answers: what is as believed, what differs, what nobody has said; pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from generator.probe.beliefs import Belief, Phase, written

Verdict = Literal["as believed", "differs", "no answer", "can't tell", "not asked"]


@dataclass(frozen=True)
class Row:
    """One belief and what became of it; `why` says why it was not asked."""

    belief: Belief
    answer: Any
    verdict: Verdict
    why: str = ""

    @property
    def facts(self) -> Mapping[str, Any]:
        """Give it as plain values."""
        one = self.belief
        return {
            "id": one.id,
            "belief": one.belief,
            "source": one.source,
            "phase": one.phase,
            "lab": {"file": one.lab.file, "switch": one.lab.switch, "limit": one.lab.limit or None},
            "code": {"file": one.code.file, "name": one.code.name} if one.code else None,
            "expected": dict(one.expect),
            "answer": self.answer,
            "verdict": self.verdict,
            "why": self.why or None,
        }

    def cells(self, *, in_lab: bool) -> tuple[str, ...]:
        """Give it as it is shown: belief, source, what the lab and the cloud say or should say, verdict."""
        one = self.belief
        answer = self.why if self.answer is None else written(self.answer) or "none"
        lab, cloud = (answer, one.expected) if in_lab else (one.lab.limit or one.expected, answer)
        return (one.belief, one.source, lab, cloud, self.verdict)

    @property
    def advice(self) -> str:
        """Say what of the lab has to change, and what of the program rests on it."""
        one = self.belief
        rests = f"; `{one.code.name}` in {one.code.file} rests on it" if one.code else ""
        return (
            f"{one.id}: {written(self.answer)}, not {one.expected}; change `{one.lab.switch}` in {one.lab.file}{rests}"
        )


def judge(
    beliefs: Iterable[Belief],
    answers: Mapping[str, Any],
    asked: Collection[Phase],
    *,
    in_lab: bool,
    not_asked: Mapping[Phase, str] | None = None,
) -> tuple[Row, ...]:
    """Give a row for each belief of the phases that were asked.

    Args:
        answers: what droplets and measurements say, by group and name.
        in_lab: the answers are the lab's, which can't say everything.
        not_asked: phases that this account could not be asked, and why.
    """
    rows = []
    for belief in beliefs:
        if belief.phase in asked:
            answer, why = _found(answers, belief.fact), (not_asked or {}).get(belief.phase)
            if answer is None and why is not None:
                rows.append(Row(belief, None, "not asked", why))
            else:
                rows.append(Row(belief, answer, _verdict(belief, answer, in_lab=in_lab)))
    return tuple(rows)


def differing(rows: Sequence[Row]) -> tuple[Row, ...]:
    """Give the rows that are not as believed."""
    return tuple(row for row in rows if row.verdict == "differs")


def unanswered(rows: Sequence[Row]) -> tuple[Row, ...]:
    """Give the rows that were asked and not answered."""
    return tuple(row for row in rows if row.verdict == "no answer")


def _verdict(belief: Belief, answer: Any, *, in_lab: bool) -> Verdict:
    if in_lab and belief.lab.limit:
        return "can't tell"
    if answer is None:
        return "no answer"
    ((how, value),) = belief.expect.items()
    return "as believed" if _holds(how, value, answer) else "differs"


def _holds(how: str, value: Any, answer: Any) -> bool:
    """Compare; an answer of another kind than expected is another answer.

    >>> _holds("is", True, 1), _holds("at_most", 3, 2), _holds("has", ["a"], ["b", "a"]), _holds("matches", "^1", "21")
    (False, True, True, False)
    """
    if how == "is":
        return type(value) is type(answer) and bool(value == answer)
    if how == "matches":
        return isinstance(answer, str) and re.search(value, answer) is not None
    if how == "one_of":
        return any(type(one) is type(answer) and bool(one == answer) for one in value)
    if how in ("has", "lacks"):
        if not isinstance(answer, list):
            return False
        common = [one for one in value if one in answer]
        return len(common) == len(value) if how == "has" else not common
    if not isinstance(answer, int | float) or isinstance(answer, bool):
        return False
    return bool(answer >= value if how == "at_least" else answer <= value)


def _found(answers: Mapping[str, Any], fact: str) -> Any:
    found: Any = answers
    for name in fact.split("."):
        found = found.get(name) if isinstance(found, Mapping) else None
    return found
