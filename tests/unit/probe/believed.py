"""Makes answers of beliefs: the right ones, and for each a wrong one."""

from __future__ import annotations

from typing import Any

from generator.probe import beliefs
from generator.probe.beliefs import Belief, Phase

MATCHING = {
    "kernel": "6.12.48+deb13-cloud-amd64",
    "cloud-init": "25.1.4",
    "default-vpc-range": "10.114.0.0/20",
    "volume-busy": "422 pending already",
    "volume-attached-again": "422 already",
    "volume-attached-ordered": "422 volume",
    "address-given-again": "201",
}


def as_believed(phase: Phase, *groups: str) -> dict[str, Any]:
    """Give answers as they are believed to be, for the beliefs of one phase, or some groups of it."""
    answers: dict[str, Any] = {}
    for belief in beliefs.load():
        if belief.phase == phase and (not groups or belief.fact.split(".")[0] in groups):
            put(answers, belief.fact, right(belief))
    return answers


def right(belief: Belief) -> Any:
    """Give an answer that a belief expects."""
    ((how, value),) = belief.expect.items()
    if how == "matches":
        return MATCHING[belief.id]
    listed = {"has": lambda: [*value, "more"], "lacks": lambda: ["other"], "one_of": lambda: value[-1]}
    return listed[how]() if how in listed else value


def wrong(belief: Belief) -> Any:
    """Give an answer that is just beside what a belief expects."""
    ((how, value),) = belief.expect.items()
    if how == "is":
        return not value if isinstance(value, bool) else value + 1 if isinstance(value, int) else f"{value}x"
    if how == "one_of":
        return max(value) + 1
    if how in ("has", "lacks"):
        return value[1:] if how == "has" else [value[0], "other"]
    return "something else" if how == "matches" else value - 1 if how == "at_least" else value + 1


def put(answers: dict[str, Any], fact: str, value: Any) -> None:
    """Put an answer where a belief looks for it."""
    *way, last = fact.split(".")
    for name in way:
        answers = answers.setdefault(name, {})
    answers[last] = value
