"""Images that every node needs are fetched early; what can't be had stops nobody."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hardway import addons, here, images, timeline
from hardway.here import Failure

CILIUM, TRAEFIK, BROKEN = (f"quay.io/{name}@sha256:{name}" for name in ("cilium", "traefik", "broken"))
INDEX = {"addons": [], "images": {"every": [BROKEN, CILIUM], "schedulable": [TRAEFIK]}}


@pytest.fixture(autouse=True)
def pinned(monkeypatch: pytest.MonkeyPatch, facts: dict[str, Any]) -> None:
    here.write(here.ROSTER, json.dumps({"addons": "digest"}))
    monkeypatch.setattr(addons, "archive", lambda digest: digest)
    monkeypatch.setattr(addons, "unpacked", lambda _: {"index.json": json.dumps(INDEX)})


class Containerd:
    """Has images, fetches all but one, and answers once it was asked some times."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *have: str, late: int = 0) -> None:
        self.have, self.late, self.asked = list(have), late, list[str]()
        monkeypatch.setattr(here, "run", self.run)

    def run(self, *argv: str, **_: object) -> str:
        assert argv[:4] == images.CTR
        if argv[4] == "list":
            self.late -= 1
            if self.late >= 0:
                raise Failure("no such socket")
            return "\n".join(self.have)
        self.asked.append(argv[-1])
        if argv[-1] == BROKEN:
            raise Failure("not found")
        self.have.append(argv[-1])
        return ""


def test_what_is_missing_is_fetched_once_containerd_answers(
    monkeypatch: pytest.MonkeyPatch, no_waiting: list[float]
) -> None:
    containerd = Containerd(monkeypatch, TRAEFIK, late=3)
    images.step()
    assert containerd.asked == [BROKEN, CILIUM], "one that can't be had is passed over"
    assert len(no_waiting) == 3
    images.step()
    assert containerd.asked == [BROKEN, CILIUM, BROKEN]


@pytest.mark.parametrize("schedulable", [True, False])
def test_a_node_that_takes_no_pods_fetches_only_what_runs_on_every_node(
    monkeypatch: pytest.MonkeyPatch, facts: dict[str, Any], schedulable: bool
) -> None:
    here.write(here.FACTS, json.dumps(facts | {"schedulable": schedulable}))
    containerd = Containerd(monkeypatch)
    images.step()
    assert containerd.asked == [BROKEN, CILIUM, *([TRAEFIK] if schedulable else [])]


def test_addons_of_an_older_program_name_no_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addons, "unpacked", lambda _: {"index.json": json.dumps({"addons": []})})
    containerd = Containerd(monkeypatch)
    images.step()
    assert containerd.asked == []


def test_each_is_a_step_of_the_boot_and_no_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    Containerd(monkeypatch)
    moments = iter((0.0, 1.0, 3.0, 3.0, 6.0, 6.0, 9.0))
    monkeypatch.setattr(timeline, "now", lambda: next(moments))
    images.step()
    monkeypatch.setattr(here, "run", lambda *_: "=0")
    kubelet = timeline.Phase("kubelet.service", "kubelet.service", "done", 20.0, 0, began=5.0)
    monkeypatch.setattr(timeline, "now", lambda: 0.0)
    found = timeline.spans([kubelet])
    assert [one["name"] for one in found] == ["kubelet", "image broken", "image cilium", "image traefik"]
    assert not any(one["waits"] for one in found)
