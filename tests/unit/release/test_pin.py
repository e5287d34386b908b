"""`gen release pin` writes what registries say of every image, or says all that is in its way and writes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from generator.cli.main import run
from generator.cluster import launchable
from generator.errors import Problem, Problems
from generator.plan.project import Project
from generator.release import lock_file, pin, registry
from generator.release.lock_file import Image, Release

from ... import registries
from ...registries import Registry

REPOSITORIES = {"pause": "pause", "coredns": "coredns/coredns", "traefik": "library/traefik"}
REPOSITORIES |= {"postgres": "library/postgres", "order-book": "amagnu/limit-order-book"}


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    monkeypatch.chdir(tmp_path)
    with registries.serving(tmp_path / "registry", monkeypatch) as found:
        yield found


def lock(served: Registry, **digests: str) -> Release:
    """The program's lock, its images in the registry here."""
    known = lock_file.load("k8s-1.36", Path("/nonexistent"))
    images = tuple(
        Image(name, served.reference(repository, "1.0"), digests.get(name, "unpinned"))
        for name, repository in REPOSITORIES.items()
    )
    return replace(known, name="mine", images=images)


def write(release: Release) -> Path:
    path = Path("releases") / f"{release.name}.yaml"
    path.parent.mkdir()
    path.write_text(lock_file.dump(release))
    return path


def test_every_image_gets_the_digest_of_its_tag(served: Registry, capsys: pytest.CaptureFixture[str]) -> None:
    kept = f"sha256:{'a' * 64}"
    release = lock(served, pause=kept)
    path = write(release)
    digests = {"pause": kept}
    for name, repository in list(REPOSITORIES.items())[1:]:
        platforms = ("arm64", "amd64") if name == "postgres" else ()
        digests[name] = served.add(repository, "1.0", *platforms)
    assert run(["release", "pin", "mine"]) == 0
    pinned = lock_file.load("mine", Path())
    assert {image.name: image.digest for image in pinned.images} == digests
    assert replace(pinned, images=()) == replace(release, images=())
    assert "/v2/pause/manifests/1.0" not in served.asked
    assert any(asked.startswith("/token?") for asked in served.asked)
    assert "wrote releases/mine.yaml" in capsys.readouterr().err
    before = path.read_bytes()
    assert run(["release", "pin", "mine"]) == 0
    assert "every image has its digest" in capsys.readouterr().err
    assert path.read_bytes() == before


def test_the_description_says_which_release(served: Registry) -> None:
    for repository in REPOSITORIES.values():
        served.add(repository, "1.0")
    assert run(["init", "--release", "mine", "--api", "28.51.100.7"]) == 0
    write(lock(served))
    assert run(["release", "pin"]) == 0
    assert lock_file.load("mine", Path()).unpinned == ()


def test_a_lock_of_the_program_is_pinned_under_another_name(
    served: Registry, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    known = lock_file.load("k8s-1.36", Path())
    digest = f"sha256:{'a' * 64}"
    pinned = replace(known, images=tuple(replace(image, digest=digest) for image in known.images))
    monkeypatch.setattr(pin, "pin", lambda *_: pinned)
    assert run(["release", "pin", "k8s-1.36"]) == 0
    assert "`release: k8s-1.36-pinned` in the description" in capsys.readouterr().err
    assert lock_file.load("k8s-1.36-pinned", Path()) == replace(pinned, name="k8s-1.36-pinned")
    assert lock_file.load("k8s-1.36", Path()) == known


def test_all_that_is_in_the_way_is_said_and_nothing_written(
    served: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    served.add("pause", "1.0")
    served.add("coredns/coredns", "1.0", "arm64", "s390x")
    served.content["/v2/library/traefik/manifests/1.0"] = b"<html>please log in</html>"
    served.private.add("amagnu/limit-order-book")
    path = write(lock(served))
    before = path.read_bytes()
    assert run(["release", "pin", "mine"]) == 1
    said = capsys.readouterr().err
    for name, message in {
        "coredns": "the image is not made for linux/amd64",
        "traefik": "what the registry sent is no manifest",
        "postgres": "the registry answered 404",
        "order-book": "no token for anybody: 401\n  hint: is the image private",
    }.items():
        assert f"error: {served.reference(REPOSITORIES[name], '1.0')}: {message}" in said
    assert path.read_bytes() == before
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_a_registry_that_is_away_is_asked_once(served: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    release = lock(served)
    images = tuple(replace(image, reference=f"127.0.0.1:9/{image.name}:1.0") for image in release.images)
    asked: list[str] = []
    request = registry.urllib3.PoolManager.request

    def counted(self: object, method: str, url: str, **options: object) -> object:
        asked.append(url)
        return request(self, method, url, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(registry.urllib3.PoolManager, "request", counted)
    with pytest.raises(Problems) as caught:
        pin.pin(replace(release, images=images), registry.pool())
    assert [problem.message for problem in caught.value.problems] == ["the registry cannot be reached"] * 5
    assert len(asked) == 1


def test_what_is_not_what_its_digest_says_is_refused(served: Registry) -> None:
    digest = served.add("pause", "1.0")
    served.content[f"/v2/pause/manifests/{digest}"] = b'{"manifests": []}'
    repository = registry.Repository(served.reference("pause", "1.0"), registry.pool())
    with pytest.raises(Problem, match=f"the registry sent .* for {digest}"):
        repository.manifest(digest)


def test_who_is_stopped_by_an_unpinned_image_is_told_how_to_pin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["init", "--api", "28.51.100.7"]) == 0
    assert run(["render"]) == 0
    assert "gen release pin" in capsys.readouterr().err
    with pytest.raises(Problems) as caught:
        launchable.prepare(Project.load(), now=datetime.now(UTC))
    unpinned = lock_file.load("k8s-1.36", Path()).unpinned
    assert len(caught.value.problems) == len(unpinned) > 0
    assert all("gen release pin" in str(problem.hint) for problem in caught.value.problems)
