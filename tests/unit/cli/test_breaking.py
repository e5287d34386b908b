"""`gen lab break` says for whom it can do nothing, and the certificate that it makes lacks one address alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from generator.cli import breaking
from generator.cli.breaking import Place
from generator.errors import Problem
from generator.lab.state import State
from generator.pki import issue
from generator.plan.project import Project
from tests.keyring import made


@pytest.fixture
def project(tmp_path: Path) -> Project:
    plan, _, inventory = made(tmp_path / "keys", control_planes=1, workers=1)
    found: Any = type("Project", (), {"plan": plan, "inventory": inventory, "keys_path": tmp_path / "keys"})()
    return found  # type: ignore[no-any-return]


def test_the_certificate_lacks_the_services_address_and_nothing_else(project: Project) -> None:
    place = Place(project, project.plan.nodes[0], None)  # type: ignore[arg-type]
    store = place.store()
    right, wrong = (issue.read_certificate(pem) for pem in (store.certificate(place.certificate), place.nameless()))
    assert set(issue.sans(right)) - set(issue.sans(wrong)) == {"IP:10.43.0.1"}
    assert set(issue.sans(wrong)) < set(issue.sans(right))
    assert right.public_key() == wrong.public_key()
    assert issue.is_signed_by(wrong, issue.read_certificate(store.certificate("kubernetes-ca")))


def test_an_authority_that_is_kept_elsewhere_is_asked_for(project: Project) -> None:
    key = project.keys_path / "kubernetes-ca.key"
    key.unlink()
    place = Place(project, project.plan.nodes[0], None)  # type: ignore[arg-type]
    with pytest.raises(Problem, match="is not here, and `nodes/node01/apiserver` has to be signed with it") as caught:
        place.nameless()
    assert (caught.value.where, bool(caught.value.hint)) == (str(key), True)


@pytest.mark.parametrize(
    ("what", "node", "said"),
    [
        ("routes", "node09", "there is no node `node09`"),
        ("san", "worker01", "there is no control-plane node `worker01`"),
        ("dns", "node01", "has no machine that runs"),
    ],
)
def test_who_is_not_there_is_named(
    project: Project, monkeypatch: pytest.MonkeyPatch, what: str, node: str, said: str
) -> None:
    monkeypatch.setattr(breaking.control, "call", lambda *_: {"droplets": []})
    with pytest.raises(Problem) as caught:
        list(breaking._places(State.named("lab"), project, what, node))
    assert caught.value.message == said
    assert caught.value.hint
