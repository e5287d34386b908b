"""The order book's pull secret: the file that the description names, sealed as the Secret that its pods pull with."""

from __future__ import annotations

import json
from base64 import b64encode
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from generator.cli.main import run
from generator.errors import Problems
from generator.files import resource
from generator.pki import addon_secrets, pull_secret, store
from generator.pki.store import KeyStore
from generator.plan.decide import Plan
from generator.release.lock_file import Image
from tests.keyring import NOW, made
from tests.unit.plan.test_images import described

AUTH = b64encode(b"user:token").decode()
IMAGE = "docker.io/me/book:1"
HINT = '\n  hint: it is written as {"auths": {"<registry>": {"auth": "<base64 of user:token>"}}}, with mode 0600'


def docker(*names: str, **entry: str) -> bytes:
    return json.dumps({"auths": {name: entry or {"auth": AUTH} for name in names}}).encode()


def put(path: Path, content: bytes, mode: int = 0o600) -> Path:
    path.write_bytes(content)
    path.chmod(mode)
    return path


@pytest.fixture
def cluster(tmp_path: Path) -> tuple[Path, Plan]:
    path = tmp_path / "keys" / "orderbook"
    plan, _, _ = made(path)
    release = replace(plan.release, images=(Image("order-book", IMAGE, "unpinned"),))
    return path, replace(plan, release=release, pull_secret="docker.json")


def test_it_is_sealed_as_the_secret_that_the_manifests_name(cluster: tuple[Path, Plan], tmp_path: Path) -> None:
    path, plan = cluster
    content = docker("https://index.docker.io/v1/")
    put(path / "docker.json", content)
    opened = KeyStore.open(path, plan)
    (secret,) = [one for one in addon_secrets.parse(opened.addons) if one.type == "kubernetes.io/dockerconfigjson"]
    account = yaml.safe_load((resource("addons") / "order-book/service-account-limit-order-book.yaml").read_text())
    assert (secret.namespace, [{"name": secret.name}]) == (
        account["metadata"]["namespace"],
        account["imagePullSecrets"],
    )
    assert secret.data == {".dockerconfigjson": content}
    assert store.ensure(path, plan, None, now=NOW).addons == opened.addons
    before = opened.sealed_addons(("order-book",))
    assert KeyStore.open(path, replace(plan, pull_secret=None)).sealed_addons(("order-book",)) != before
    put(path / "docker.json", docker("docker.io"))
    assert KeyStore.open(path, plan).sealed_addons(("order-book",)) != before


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "is not there, and `order_book.pull_secret` names it"),
        (b"user:token", "is no pull secret"),
        (docker("docker.io", email="me@example.com"), "is a pull secret without credentials"),
        (
            b'{"auths": {"https://index.docker.io/v1/": {}}, "credsStore": "pass"}',
            "is a pull secret without credentials",
        ),
        (docker("ghcr.io", "quay.io"), f"opens `ghcr.io`, `quay.io`, the order book's image is `{IMAGE}`"),
        (docker("[", "docker.io/other"), f"opens `[`, `docker.io/other`, the order book's image is `{IMAGE}`"),
    ],
)
def test_what_is_wrong_with_it_is_told_with_its_place(
    cluster: tuple[Path, Plan], content: bytes | None, message: str
) -> None:
    path, plan = cluster
    if content is not None:
        put(path / "docker.json", content)
    for act in (lambda: KeyStore.open(path, plan), lambda: store.ensure(path, plan, None, now=NOW)):
        with pytest.raises(Problems) as caught:
            act()
        assert str(caught.value) == f"error: {path / 'docker.json'}: {message}{HINT}"


@pytest.mark.parametrize(
    ("image", "name", "opens"),
    [
        (IMAGE, "https://index.docker.io/v1/", True),
        (IMAGE, "index.docker.io", True),
        (IMAGE, "docker.io", True),
        (IMAGE, "https://docker.io/me", True),
        (IMAGE, "registry-1.docker.io", False),
        (IMAGE, "index.docker.io/me", False),
        (IMAGE, "*", False),
        ("registry.example.com:5000/a/b:1", "registry.example.com:5000", True),
        ("registry.example.com:5000/a/b:1", "registry.example.com", False),
        ("registry.example.com/a/b:1", "*.example.com", True),
        ("registry.example.com/a/b:1", "http://registry.example.com/v2/", True),
        ("registry.example.com/a/b:1", "*.com", False),
    ],
)
def test_an_entry_is_for_an_image_as_the_kubelet_takes_it(
    cluster: tuple[Path, Plan], image: str, name: str, opens: bool
) -> None:
    path, plan = cluster
    put(path / "docker.json", docker(name))
    release = replace(plan.release, images=(Image("order-book", image, "unpinned"),))
    assert bool(list(pull_secret.mistakes(path, replace(plan, release=release)))) is not opens


def test_two_pull_secrets_are_one_too_many(cluster: tuple[Path, Plan]) -> None:
    path, plan = cluster
    put(path / "docker.json", docker("docker.io"))
    (path / pull_secret.PLACE).parent.mkdir(mode=0o700, parents=True)
    put(path / pull_secret.PLACE, docker("docker.io"))
    with pytest.raises(Problems, match="would take the place of `addons/order-book/registry/"):
        KeyStore.open(path, plan)


def test_who_else_may_read_it_is_told(cluster: tuple[Path, Plan]) -> None:
    path, plan = cluster
    put(path / "docker.json", docker("docker.io"), mode=0o644)
    with pytest.raises(Problems, match="has mode 0644"):
        KeyStore.open(path, plan)


def test_nothing_of_it_is_rendered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    described(Path())
    assert run(["render"]) == 0
    before = {path: path.read_bytes() for path in Path("rendered").rglob("*") if path.is_file()}
    described(Path(), more=f"order_book: {{image: {IMAGE}, pull_secret: docker.json}}\n")
    capsys.readouterr()
    assert run(["render"]) == 1
    assert "keys/orderbook/docker.json: is not there" in capsys.readouterr().err
    described(Path(), more="order_book: {pull_secret: docker.json}\n")
    put(Path("keys/orderbook/docker.json"), docker("docker.io"))
    assert run(["render"]) == 0
    after = {path: path.read_bytes() for path in Path("rendered").rglob("*") if path.is_file()}
    assert {path.name for path in after if after[path] != before[path]} == {"inventory.yaml", "roster.json"}
    assert not any(AUTH.encode() in content for content in after.values())
    assert run(["render", "--check"]) == 0
