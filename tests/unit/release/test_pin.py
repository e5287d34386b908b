"""`gen release pin` writes what registries say of images without digest, and says of all others whether it holds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from generator.cli.main import run
from generator.errors import Problem, Problems
from generator.manifests import pins
from generator.release import lock_file, pin, registry
from generator.release.lock_file import Image, Release

from ... import registries
from ...registries import Registry
from ..plan.test_images import described

POD = """\
apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: default}}
spec: {{containers: [{{name: a, image: "{image}"}}]}}
"""
TWICE = f"{{reference: 'quay.io/a/b:1', digest: 'sha256:{'ab' * 32}'}}"
REPOSITORIES = {"pause": "pause", "coredns": "coredns/coredns", "traefik": "library/traefik"}
REPOSITORIES |= {"metrics-server": "metrics-server/metrics-server"}
REPOSITORIES |= {"cilium": "cilium/cilium", "cilium-operator": "cilium/operator-generic"}
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


def add_all(served: Registry) -> dict[str, str]:
    """Put every image into the registry, one of them for several platforms; name to digest."""
    return {
        name: served.add(repository, "1.0", *(("arm64", "amd64") if name == "postgres" else ()))
        for name, repository in REPOSITORIES.items()
    }


def test_every_image_gets_the_digest_of_its_tag(served: Registry, capsys: pytest.CaptureFixture[str]) -> None:
    digests = add_all(served)
    release = lock(served, pause=digests["pause"])
    path = write(release)
    assert run(["release", "pin", "mine"]) == 0
    pinned = lock_file.load("mine", Path())
    assert {image.name: image.digest for image in pinned.images} == digests
    assert replace(pinned, images=()) == replace(release, images=())
    assert any(asked.startswith("/token?") for asked in served.asked)
    said = capsys.readouterr().err
    assert f"{served.reference('pause', '1.0')}: as pinned\n" in said
    assert "wrote releases/mine.yaml" in said
    before = path.read_bytes()
    assert run(["release", "pin", "mine"]) == 0
    said = capsys.readouterr().err
    assert said.count(": as pinned\n") == len(said.splitlines()) == len(REPOSITORIES)
    assert path.read_bytes() == before


def test_a_tag_that_has_moved_on_is_told_and_its_digest_stays(
    served: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    digests = add_all(served)
    path = write(lock(served, **digests))
    before = path.read_bytes()
    newer = served.add("library/postgres", "1.0", "amd64", "arm64")
    assert newer != digests["postgres"]
    assert run(["release", "pin", "mine"]) == 0
    reference = served.reference("library/postgres", "1.0")
    warning = (
        f"warning: {reference}: the tag means {newer} by now; {digests['postgres']} stays\n  hint: to take the new one"
    )
    said = capsys.readouterr().err
    assert warning in said
    assert said.count("warning") == 1
    assert path.read_bytes() == before


def test_a_digest_that_its_registry_does_not_have_is_a_problem(
    served: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = f"sha256:{'a' * 64}"
    path = write(lock(served, **{**add_all(served), "traefik": wrong}))
    before = path.read_bytes()
    assert run(["release", "pin", "mine"]) == 1
    message = (
        f"error: {served.reference('library/traefik', '1.0')}: the registry answered 404 for {wrong}, which is pinned"
    )
    assert message in capsys.readouterr().err
    assert path.read_bytes() == before


def test_the_description_says_which_release_and_which_images(
    served: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    digests = add_all(served)
    write(lock(served))
    described(Path(), addons="addons: [bridge, coredns]", release="mine")
    assert run(["release", "pin"]) == 0
    assert {one.name for one in lock_file.load("mine", Path()).images if one.is_pinned} == {"pause", "coredns"}
    assert not any("postgres" in path for path in served.asked)
    own = f"docker.io/me/book:1@{digests['order-book']}"
    described(Path(), release="mine", more=f"order_book: {{image: '{own}', pull_secret: docker.json}}\n")
    capsys.readouterr()
    assert run(["release", "pin"]) == 0
    assert (
        f"{own}: not asked for, since `order_book.pull_secret` says that not everybody may\n" in capsys.readouterr().err
    )
    assert [one.name for one in lock_file.load("mine", Path()).unpinned] == ["order-book"]


def test_the_descriptions_own_image_is_asked_for_and_left_to_a_person(
    served: Registry, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    digests = add_all(served)
    monkeypatch.setitem(registry.HOSTS, "registry.example.com", f"registry.test:{served.port}")
    path = write(lock(served, **{**digests, "order-book": "unpinned"}))
    before = path.read_bytes()
    own = "registry.example.com/amagnu/limit-order-book:1.0"
    described(Path(), release="mine", more=f"order_book: {{image: '{own}'}}\n")
    assert run(["release", "pin"]) == 0
    said = capsys.readouterr().err
    assert f"next: `order_book.image: {own}@{digests['order-book']}` in cluster.yaml\n" in said
    assert "wrote" not in said
    assert path.read_bytes() == before


def test_a_lock_of_the_program_is_pinned_under_another_name_and_what_was_found_stays(
    served: Registry, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    known = lock_file.load("k8s-1.36", Path())
    for host in ("registry.k8s.io", "docker.io", "quay.io"):
        monkeypatch.setitem(registry.HOSTS, host, f"registry.test:{served.port}")
    tags = {image.name: registry.split(image.reference)[1:] for image in known.images}
    digests = {name: served.add(*place) for name, place in tags.items()}
    bare = tuple(replace(image, digest="unpinned") for image in known.images)
    load = lock_file.load

    def unpinned(name: str, beside: Path) -> Release:
        return replace(known, images=bare) if name == "k8s-1.36" else load(name, beside)

    monkeypatch.setattr(lock_file, "load", unpinned)
    served.private.add("amagnu/limit-order-book")
    assert run(["release", "pin", "k8s-1.36"]) == 1
    assert "`release: k8s-1.36-pinned` in the description" in capsys.readouterr().err
    assert [image.name for image in load("k8s-1.36-pinned", Path()).unpinned] == ["order-book"]
    served.private.clear()
    served.add(*tags["coredns"], "amd64", "arm64")
    assert run(["release", "pin", "k8s-1.36"]) == 0
    assert "the tag means" in capsys.readouterr().err
    assert {image.name: image.digest for image in load("k8s-1.36-pinned", Path()).images} == digests
    assert load("k8s-1.36", Path()) == known


def test_all_that_is_in_the_way_is_said_and_what_was_found_is_kept(
    served: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    found = served.add("pause", "1.0")
    served.add("coredns/coredns", "1.0", "arm64", "s390x")
    served.content["/v2/library/traefik/manifests/1.0"] = b"<html>please log in</html>"
    served.private.add("amagnu/limit-order-book")
    path = write(lock(served))
    assert run(["release", "pin", "mine"]) == 1
    said = capsys.readouterr().err
    for name, message in {
        "coredns": "the image is not made for linux/amd64",
        "traefik": "what the registry sent is no manifest",
        "postgres": "the registry answered 404",
        "order-book": "no token for anybody: 401\n  hint: is the image private",
    }.items():
        assert f"error: {served.reference(REPOSITORIES[name], '1.0')}: {message}" in said
    assert "wrote releases/mine.yaml" in said
    assert lock_file.load("mine", Path()) == lock(served, pause=found)
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_where_nothing_is_found_nothing_is_written(served: Registry, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(lock(served))
    before = path.stat()
    assert run(["release", "pin", "mine"]) == 1
    said = capsys.readouterr().err
    assert said.count("error: ") == len(REPOSITORIES)
    assert "wrote" not in said
    assert path.stat() == before


def test_a_rate_limit_is_called_one_and_not_asked_again(served: Registry, capsys: pytest.CaptureFixture[str]) -> None:
    digests = add_all(served)
    served.limit = 2
    write(lock(served))
    assert run(["release", "pin", "mine"]) == 1
    said = capsys.readouterr().err
    for name in ("traefik", "metrics-server", "postgres", "order-book"):
        problem = f"{served.reference(REPOSITORIES[name], '1.0')}: the registry answers no more for now"
        assert f"error: {problem}: its rate limit is used up (429)\n  hint: what is asked without logging in" in said
    assert not any("postgres" in path for path in served.asked)
    pinned = {image.name: image.digest for image in lock_file.load("mine", Path()).images if image.is_pinned}
    assert pinned == {name: digests[name] for name in ("pause", "coredns")}


def test_a_registry_that_is_away_is_asked_once(served: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    release = lock(served)
    images = tuple(replace(image, reference=f"127.0.0.1:9/{image.name}:1.0") for image in release.images)
    asked: list[str] = []
    request = registry.urllib3.PoolManager.request

    def counted(self: object, method: str, url: str, **options: object) -> object:
        asked.append(url)
        return request(self, method, url, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(registry.urllib3.PoolManager, "request", counted)
    answers = pin.ask(images, registry.pool())
    assert [problem.message for problem in answers.problems] == ["the registry cannot be reached"] * len(REPOSITORIES)
    assert len(asked) == 1


def test_what_is_not_what_its_digest_says_is_refused(served: Registry) -> None:
    digest = served.add("pause", "1.0")
    served.content[f"/v2/pause/manifests/{digest}"] = b'{"manifests": []}'
    repository = registry.Repository(served.reference("pause", "1.0"), registry.pool())
    with pytest.raises(Problem, match=f"the registry sent .* for {digest}"):
        repository.manifest(digest)


def test_images_of_own_addons_are_pinned_beside_the_description(
    served: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    release = lock(served, **add_all(served))
    digest, kept = served.add("me/app", "1.0"), f"sha256:{'ab' * 32}"
    write(release)
    app, other, gone = (served.reference(f"me/{name}", "1.0") for name in ("app", "other", "gone"))
    Path("addons").mkdir()
    images = (app, release.images[0].reference, f"quay.io/x/y@{kept}", other)
    Path("addons/pods.yaml").write_text("---\n".join(POD.format(name=f"p{n}", image=i) for n, i in enumerate(images)))
    Path("addons.lock").write_text(f"version: 1\nimages:\n- {{reference: '{gone}', digest: '{kept}'}}\n")
    with pytest.raises(Problems, match="has no digest"):
        described(Path(), addons="addons: [bridge, {name: shop, manifests: addons}]", release="mine")
    assert run(["release", "pin"]) == 1
    said = capsys.readouterr().err
    assert f"{app}@{digest}\n" in said
    assert "wrote addons.lock\n" in said
    assert f"error: {other}: " in said
    assert pins.load(Path()) == {app: digest}, "what is found is kept, what nothing runs is not"
    served.add("me/other", "1.0")
    assert run(["release", "pin"]) == 0
    assert pins.load(Path()).keys() == {app, other}
    before = Path("addons.lock").read_bytes()
    assert run(["release", "pin"]) == 0
    assert Path("addons.lock").read_bytes() == before


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("version: 2\nimages: []\n", "addons.lock:1: `version` is 2"),
        ("version: 1\nimages: [{reference: nginx, digest: x}]\n", "addons.lock:2: `images[0].reference` is 'nginx'"),
        ("version: 1\nimages: [{reference: 'quay.io/a/b:1', digest: x}]\n", "not `sha256:` and 64 hex digits"),
        ("version: 1\nimages: [7]\n", "addons.lock:2: `images[0]` is 7"),
        (f"version: 1\nimages: [{', '.join(2 * [TWICE])}]\n", "`quay.io/a/b:1` is listed twice"),
    ],
)
def test_what_is_wrong_in_the_lock_of_addons_is_said(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "addons.lock").write_text(text)
    with pytest.raises(Problems) as caught:
        pins.load(tmp_path)
    assert message in str(caught.value)
