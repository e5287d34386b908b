"""What addons keep secret: which files are Secrets, and that what is sealed of them depends on nothing else."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from generator.errors import Problems
from generator.pki import addon_secrets, sealing, store
from generator.pki.addon_secrets import Secret, document, mistakes, parse
from generator.pki.store import KeyStore
from generator.plan.decide import Plan
from tests.keyring import CLUSTER_ID, NOW, made

KEY = bytes(range(32))
DOCKER = json.dumps({"auths": {"registry.example": {"auth": "dTpw"}}}).encode()
PULL = "addons/order-book/registry/.dockerconfigjson"
NAMESPACES = ("ingress", "order-book")


@pytest.fixture
def cluster(tmp_path: Path) -> tuple[Path, Plan]:
    path = tmp_path / "keys" / "orderbook"
    plan, _, _ = made(path)
    return path, plan


def put(path: Path, name: str, content: bytes, mode: int = 0o600) -> Path:
    file = path / name
    for place in (path / "addons", file.parent.parent, file.parent):
        place.mkdir(mode=0o700, exist_ok=True)
    file.write_bytes(content)
    file.chmod(mode)
    return file


def sealed(files: dict[str, bytes]) -> bytes:
    return sealing.seal(sealing.ADDON_SECRETS, document(parse(files)), KEY, CLUSTER_ID)


@pytest.mark.parametrize(
    ("keys", "kind"),
    [
        ({".dockerconfigjson"}, "kubernetes.io/dockerconfigjson"),
        ({"tls.crt", "tls.key"}, "kubernetes.io/tls"),
        ({"password"}, "Opaque"),
        ({"tls.crt", "tls.key", "ca.crt"}, "Opaque"),
    ],
)
def test_the_type_follows_from_the_keys(keys: set[str], kind: str) -> None:
    assert Secret("order-book", "x", dict.fromkeys(keys, b"")).type == kind


RIGHT = {
    "addons/order-book/postgres/password": b"\x00\xff",
    PULL: DOCKER,
    "addons/ingress/site.example/tls.crt": b"c",
    "addons/ingress/site.example/tls.key": b"k",
    "addons/ingress/x/A_b-c.D": b"",
}


def test_what_is_right_is_no_mistake() -> None:
    assert list(mistakes(RIGHT, NAMESPACES)) == []
    found = json.loads(document(parse(RIGHT)))
    assert [(one["namespace"], one["name"]) for one in found["secrets"]] == [
        ("ingress", "site.example"),
        ("ingress", "x"),
        ("order-book", "postgres"),
        ("order-book", "registry"),
    ]
    assert base64.b64decode(found["secrets"][2]["data"]["password"]) == b"\x00\xff"


@pytest.mark.parametrize(
    ("path", "content", "words"),
    [
        ("addons/x", b"", "is no value of a Secret"),
        ("addons/order-book/x", b"", "is no value of a Secret"),
        ("addons/order-book/x/y/z", b"", "is no value of a Secret"),
        ("addons/Order/x/y", b"", "`Order` is no namespace"),
        ("addons/a.b/x/y", b"", "`a.b` is no namespace"),
        (f"addons/{'a' * 64}/x/y", b"", "is no namespace"),
        ("addons/order-book\n/x/y", b"", "is no namespace"),
        ("addons/other/x/y", b"", "the cluster has no namespace `other` of an addon"),
        ("addons/kube-system/x/y", b"", "the cluster has no namespace `kube-system` of an addon"),
        ("addons/hardway/x/y", b"", "the cluster has no namespace `hardway` of an addon"),
        ("addons/order-book/X/y", b"", "`X` is no name of a Secret"),
        ("addons/order-book/-x/y", b"", "is no name of a Secret"),
        ("addons/order-book/x..y/y", b"", "is no name of a Secret"),
        (f"addons/order-book/{'a' * 254}/y", b"", "is no name of a Secret"),
        ("addons/order-book/x/..y", b"", "`..y` is no key of a Secret"),
        ("addons/order-book/x/a b", b"", "`a b` is no key of a Secret"),
        ("addons/order-book/x/y~", b"", "is no key of a Secret"),
        ("addons/order-book/x/\x1b[2J", b"", "is no key of a Secret"),
        ("addons/order-book/x/.y.abcdefgh", b"", "is named as what this program leaves"),
        ("addons/order-book/x/tls.crt", b"", "holds `tls.crt`"),
        (PULL, b"", "is no pull secret"),
        (PULL, b"[]", "is no pull secret"),
        (PULL, b"[" * 100_000, "is no pull secret"),
        (PULL, b'{"auths": []}', "is no pull secret"),
        (PULL, b'{"auths": {}}', "is a pull secret without credentials"),
        (PULL, b'{"auths": {"r.example": {}}, "credsStore": "pass"}', "is a pull secret without credentials"),
        (PULL, b"\xff", "is no pull secret"),
        ("addons/order-book/x/y", bytes(512 * 1024 + 1), "holds 524,289 bytes"),
    ],
)
def test_what_is_wrong_is_told(path: str, content: bytes, words: str) -> None:
    found = list(mistakes({**RIGHT, path: content} if len(content) < 200_000 else {path: content}, NAMESPACES))
    assert [message for _, message, _ in found if words in message], found
    assert len(found) == 1
    assert all(hint for _, _, hint in found)


def test_the_same_values_give_the_same_bytes_and_each_byte_of_them_another_digest() -> None:
    whole = sealed(RIGHT)
    assert sealed(dict(reversed(list(RIGHT.items())))) == whole
    nonces = {whole[:12]}
    for path, content in RIGHT.items():
        other = sealed({**RIGHT, path: content + b"x"})
        assert other != whole
        nonces.add(other[:12])
    assert len(nonces) == len(RIGHT) + 1, "no nonce is used for two documents"
    text = document(parse(RIGHT))
    assert sealing.seal(sealing.ADDON_SECRETS, text, KEY[::-1], CLUSTER_ID)[:12] not in nonces
    assert sealing.seal(sealing.ADDON_SECRETS, text, KEY, CLUSTER_ID[::-1])[:12] not in nonces


def test_the_length_of_a_value_does_not_show() -> None:
    sizes = {len(sealed({"addons/order-book/x/y": bytes(length)})) for length in range(1, 400, 7)}
    assert len(sizes) == 1
    assert all(not content or content not in sealed(RIGHT) for content in RIGHT.values() if len(content) > 4)


def test_a_persons_files_are_sealed_with_the_password(cluster: tuple[Path, Plan]) -> None:
    path, plan = cluster
    before = KeyStore.open(path, plan)
    put(path, PULL, DOCKER)
    after = KeyStore.open(path, plan)
    assert after.addons.keys() - before.addons.keys() == {PULL}
    assert before.sealed_addons(NAMESPACES) != after.sealed_addons(NAMESPACES)
    assert KeyStore.open(path, plan).sealed_addons(NAMESPACES) == after.sealed_addons(NAMESPACES)
    (path / PULL).unlink()
    assert KeyStore.open(path, plan).sealed_addons(NAMESPACES) == before.sealed_addons(NAMESPACES)


def test_without_the_order_book_its_password_is_not_sent(cluster: tuple[Path, Plan]) -> None:
    path, plan = cluster
    opened = KeyStore.open(path, plan)
    assert opened.sealed_addons(()) != opened.sealed_addons(("order-book",))
    put(path, PULL, DOCKER)
    with pytest.raises(Problems, match="the cluster has no namespace `order-book` of an addon"):
        KeyStore.open(path, plan).sealed_addons(("ingress",))


@pytest.mark.parametrize("name", ["addons/x", "addons/order-book/X/y", "addons/order-book/x/.y.abcdefgh"])
def test_wrong_files_stop_both_before_anything_is_made_or_swept_up(cluster: tuple[Path, Plan], name: str) -> None:
    path, plan = cluster
    file = path / name
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    file.write_bytes(b"mine")
    file.chmod(0o600)
    for act in (lambda: KeyStore.open(path, plan), lambda: store.ensure(path, plan, None, now=NOW)):
        with pytest.raises(Problems) as caught:
            act()
        assert str(file) in str(caught.value)
        assert "mine" not in str(caught.value)
    assert file.read_bytes() == b"mine"


def test_what_a_killed_run_left_of_the_password_is_swept_up(cluster: tuple[Path, Plan]) -> None:
    path, plan = cluster
    before = KeyStore.open(path, plan).sealed_addons(NAMESPACES)
    halves = [put(path, "addons/order-book/postgres/.password.abcdefgh", b"x"), path / "addons/.secrets.key.abcdefgh"]
    halves[1].write_bytes(b"x")
    halves[1].chmod(0o600)
    assert KeyStore.open(path, plan).sealed_addons(NAMESPACES) == before
    store.ensure(path, plan, None, now=NOW)
    assert not any(half.exists() for half in halves)


def test_links_and_open_modes_are_refused(cluster: tuple[Path, Plan], tmp_path: Path) -> None:
    path, plan = cluster
    file = put(path, PULL, DOCKER, mode=0o644)
    with pytest.raises(Problems, match="has mode 0644"):
        KeyStore.open(path, plan)
    file.unlink()
    (tmp_path / "elsewhere").write_bytes(DOCKER)
    file.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Problems, match="is a symbolic link"):
        KeyStore.open(path, plan)
    assert addon_secrets.DIRECTORY in str(file)
