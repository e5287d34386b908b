"""Certificates with which addons serve: sealed where the manifests look for them, and the user's own judged before."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from generator.cli.main import run
from generator.errors import Problems
from generator.pki import addon_secrets, issue, served, store
from generator.pki import check as key_check
from generator.pki.store import KeyStore
from generator.plan import inventory
from generator.plan.certificates import METRICS_SERVER, ORDER_BOOK
from generator.plan.decide import Plan
from generator.plan.inventory import ORDER_BOOK_GIVEN, Inventory
from generator.plan.project import Project
from generator.plan.serving import Given
from tests import keyring
from tests.keyring import NOW
from tests.signed import Signed
from tests.unit.plan.test_images import WHOLE, described

HOST = "limit-order-book.local"
ADDONS = ("bridge", "coredns", "ingress", "metrics-server", "order-book")
NAMESPACES = ("ingress", "metrics-server", "order-book", "order-book-web")
SERVED = "it holds the server's certificate and behind it those between that and its authority, in PEM"
SECRET = "it holds one private key in PEM, without a passphrase: nobody could type it on a node"
DAY = datetime.timedelta(days=1)
ROOT = Signed("root")
BETWEEN = Signed("between", ROOT)
LEAF = Signed("leaf", BETWEEN, HOST, end=NOW + 90 * DAY)
OTHER = Signed("other", ROOT, HOST)


def files(certificate: bytes | None, key: bytes | None) -> dict[str, bytes]:
    found = {"tls.crt": certificate, "tls.key": key}
    return {path: content for path, content in found.items() if content is not None}


def put(path: Path, contents: dict[str, bytes]) -> None:
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    for place, content in contents.items():
        (path / place).write_bytes(content)
        (path / place).chmod(0o600)


@pytest.fixture
def cluster(tmp_path: Path) -> tuple[Path, Plan]:
    """A store, and the plan of a cluster that has all addons and serves with a certificate of the user's."""
    path = tmp_path / "keys" / "orderbook"
    bare = keyring.planned(Inventory(store.cluster_id(path), "orderbook", {}))
    return path, replace(bare, addons=ADDONS, given=Given("tls.crt", "tls.key"))


def told(path: Path, plan: Plan) -> list[str]:
    return [str(problem).replace(f"{path}/", "") for problem in served.mistakes(path, plan, now=NOW)]


GOOD = {
    "a whole chain": (LEAF.pem + BETWEEN.pem + ROOT.pem, LEAF),
    "a chain without its root": (LEAF.pem + BETWEEN.pem, LEAF),
    "one that the root has signed": (OTHER.pem, OTHER),
    "words between": (b"leaf\n" + LEAF.pem + b"\nthe next\n" + BETWEEN.pem, LEAF),
}
for label, made in {
    "RSA": Signed("rsa", ROOT, HOST, key=rsa.generate_private_key(65537, 2048)),
    "capital letters": Signed("capitals", ROOT, HOST.upper()),
    "one of many names": Signed("many", ROOT, "a.example.com", HOST),
    "a star": Signed("star", ROOT, "*.local"),
    "no purpose": Signed("any", ROOT, HOST, purpose=None),
    "any purpose": Signed("any", ROOT, HOST, purpose=ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE),
}.items():
    GOOD[label] = (made.pem, made)


@pytest.mark.parametrize("label", GOOD)
def test_what_serves_is_taken(cluster: tuple[Path, Plan], label: str) -> None:
    path, plan = cluster
    content, leaf = GOOD[label]
    put(path, files(content, leaf.key_pem()))
    assert told(path, plan) == []


CLIENT = Signed("client", ROOT, HOST, purpose=ExtendedKeyUsageOID.CLIENT_AUTH)
OLD = Signed("old", ROOT, HOST, start=NOW - 9 * DAY, end=NOW)
YOUNG = Signed("young", ROOT, HOST, start=NOW + DAY)
ELSEWHERE = Signed("elsewhere", ROOT, "a.example.com", "*.limit-order-book.local")
NAMELESS = Signed(HOST, ROOT, "")
NEXT = "put its successor into the file, then `gen render` and `gen launch`"
NAMES = "`order_book.host` says under which name it is served, and a certificate has to name it"
BAD: dict[str, tuple[dict[str, bytes], list[str]]] = {
    "nothing": (
        {},
        [
            f"error: tls.crt: is not there, and `order_book.certificate` names it\n  hint: {SERVED}",
            f"error: tls.key: is not there, and `order_book.key` names it\n  hint: {SECRET}",
        ],
    ),
    "no key": (
        files(LEAF.pem + BETWEEN.pem, None),
        [f"error: tls.key: is not there, and `order_book.key` names it\n  hint: {SECRET}"],
    ),
    "no certificate": (
        files(b"certificate\n", LEAF.key_pem()),
        [f"error: tls.crt: holds no certificates in PEM, or a damaged one\n  hint: {SERVED}"],
    ),
    "a damaged certificate": (
        files(LEAF.pem.replace(b"A", b"B", 40), LEAF.key_pem()),
        [f"error: tls.crt: holds no certificates in PEM, or a damaged one\n  hint: {SERVED}"],
    ),
    "a key beside the certificate": (
        files(OTHER.pem + OTHER.key_pem(), OTHER.key_pem()),
        [f"error: tls.crt: holds a private key: that is served to nobody, and has a file of its own\n  hint: {SERVED}"],
    ),
    "a key behind a passphrase": (
        files(OTHER.pem, OTHER.key_pem(b"secret")),
        [f"error: tls.key: is encrypted\n  hint: {SECRET}"],
    ),
    "no key in its file": (
        files(OTHER.pem, OTHER.pem),
        [f"error: tls.key: holds no private key in PEM, or a damaged one\n  hint: {SECRET}"],
    ),
    "another's key": (
        files(OTHER.pem, LEAF.key_pem()),
        [f"error: tls.key: is not the key of `tls.crt`\n  hint: {SECRET}"],
    ),
    "the authority first": (
        files(BETWEEN.pem + LEAF.pem, LEAF.key_pem()),
        [
            f"error: tls.crt: begins with an authority's certificate (CN=between)\n  hint: {SERVED}",
            f"error: tls.crt: its certificate 2 (CN=leaf) has not signed certificate 1 (CN=between)\n  hint: {SERVED}",
            f"error: tls.key: is not the key of `tls.crt`\n  hint: {SECRET}",
        ],
    ),
    "a chain in disorder": (
        files(LEAF.pem + ROOT.pem + BETWEEN.pem, LEAF.key_pem()),
        [
            f"error: tls.crt: its certificate 2 (CN=root) has not signed certificate 1 (CN=leaf)\n  hint: {SERVED}",
            f"error: tls.crt: its certificate 3 (CN=between) has not signed certificate 2 (CN=root)\n  hint: {SERVED}",
        ],
    ),
    "for clients": (
        files(CLIENT.pem, CLIENT.key_pem()),
        [f"error: tls.crt: its first certificate (CN=client) is not for servers\n  hint: {SERVED}"],
    ),
    "for other names": (
        files(ELSEWHERE.pem, ELSEWHERE.key_pem()),
        [
            "error: tls.crt: is for `a.example.com`, `*.limit-order-book.local`, the order book is"
            f" `{HOST}`\n  hint: {NAMES}"
        ],
    ),
    "with a common name alone": (
        files(NAMELESS.pem, NAMELESS.key_pem()),
        [f"error: tls.crt: is for no name, the order book is `{HOST}`\n  hint: {NAMES}"],
    ),
    "that has ended": (
        files(OLD.pem, OLD.key_pem()),
        [f"error: tls.crt: expired at 2026-11-22T08:30:00Z\n  hint: {NEXT}"],
    ),
    "of tomorrow": (
        files(YOUNG.pem, YOUNG.key_pem()),
        [f"error: tls.crt: does not hold before 2026-11-23T08:30:00Z\n  hint: {NEXT}"],
    ),
}


@pytest.mark.parametrize("label", BAD)
def test_what_can_not_serve_is_told(cluster: tuple[Path, Plan], label: str) -> None:
    path, plan = cluster
    content, messages = BAD[label]
    put(path, content)
    assert told(path, plan) == messages


@pytest.mark.parametrize("label", ["nothing", "another's key", "for other names", "that has ended"])
def test_keys_are_made_for_none_that_can_not_serve(cluster: tuple[Path, Plan], label: str) -> None:
    path, plan = cluster
    content, messages = BAD[label]
    put(path, content)
    before = sorted(path.rglob("*"))
    with pytest.raises(Problems) as caught:
        store.ensure(path, plan, None, now=NOW)
    assert [str(problem).replace(f"{path}/", "") for problem in caught.value.problems] == messages
    assert sorted(path.rglob("*")) == before


def secrets(opened: KeyStore) -> dict[str, addon_secrets.Secret]:
    return {f"{one.namespace}/{one.name}": one for one in addon_secrets.parse(opened.addons)}


def test_the_users_is_sealed_and_its_end_is_known(cluster: tuple[Path, Plan]) -> None:
    path, plan = cluster
    put(path, files(LEAF.pem + BETWEEN.pem, LEAF.key_pem()))
    opened = store.ensure(path, plan, None, now=NOW)
    found = secrets(opened)["order-book-web/order-book"]
    assert found.type == "kubernetes.io/tls"
    assert found.data == {"tls.crt": LEAF.pem + BETWEEN.pem, "tls.key": LEAF.key_pem()}
    (fact,) = [fact for fact in store.facts(opened, plan) if fact.path == ORDER_BOOK_GIVEN]
    assert (fact.sha256, fact.certificate) == (LEAF.certificate.fingerprint(hashes.SHA256()).hex(), None)
    assert fact.expires == "2027-02-20T08:30:00Z"
    assert not {"ingress-ca", ORDER_BOOK} & {row.path for row in plan.certificates}


def test_ours_are_sealed_where_the_manifests_look(cluster: tuple[Path, Plan]) -> None:
    path, plan = cluster
    plan = replace(plan, given=None)
    opened = store.ensure(path, plan, None, now=NOW)
    found = secrets(opened)
    for certificate, where in {
        ORDER_BOOK: "order-book-web/order-book",
        METRICS_SERVER: "metrics-server/serving",
    }.items():
        assert found[where].type == "kubernetes.io/tls"
        assert found[where].data == {"tls.crt": opened.certificate(certificate), "tls.key": opened.key(certificate)}
    sealed = opened.sealed_addons(NAMESPACES)
    assert KeyStore.open(path, plan).sealed_addons(NAMESPACES) == sealed
    assert opened.key(ORDER_BOOK) not in sealed


@pytest.mark.parametrize("addon", [METRICS_SERVER, ORDER_BOOK])
def test_none_is_made_where_its_addon_is_not(cluster: tuple[Path, Plan], addon: str) -> None:
    path, plan = cluster
    plan = replace(plan, given=None, addons=tuple(one for one in ADDONS if one != addon))
    opened = store.ensure(path, plan, None, now=NOW)
    assert served.PLACES[addon].removeprefix("addons/") not in secrets(opened)
    assert f"{addon}.key" not in opened.files


def test_a_file_where_ours_belongs_is_told(cluster: tuple[Path, Plan]) -> None:
    path, plan = cluster
    place = path / served.PLACES[METRICS_SERVER]
    put(place, {"tls.crt": b"x"})
    (problem,) = served.mistakes(path, replace(plan, given=None))
    assert "is there, where a certificate of the cluster's belongs" in str(problem)


def test_gen_check_tells_it_where_keys_are_and_nowhere_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    described(Path(), more="order_book: {certificate: tls.crt, key: tls.key}\n")
    assert run(["check"]) == 0
    put(Path("keys/orderbook"), files(OTHER.pem, LEAF.key_pem()))
    capsys.readouterr()
    assert run(["check", "--json"]) == 1
    problems = json.loads(capsys.readouterr().out)["problems"]
    assert {"where": "keys/orderbook/tls.key", "message": "is not the key of `tls.crt`", "hint": SECRET} in problems


Rotate = Callable[[str], int]


@pytest.fixture
def rotate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rotate:
    """Verbs in a directory with a rendered cluster."""
    monkeypatch.chdir(tmp_path)
    described(Path())
    assert run(["render"]) == 0
    return lambda certificate: run(["rotate", certificate])


def state() -> dict[str, bytes]:
    return {
        str(path): path.read_bytes()
        for place in ("keys", "rendered")
        for path in Path(place).rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("certificate", [ORDER_BOOK, METRICS_SERVER])
def test_a_new_one_changes_nothing_but_what_seals_it(rotate: Rotate, certificate: str) -> None:
    before = state()
    assert rotate(certificate) == 0
    after = state()
    changed = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    assert {path for path in changed if path.startswith("keys/")} == {
        f"keys/orderbook/{certificate}.crt",
        f"keys/orderbook/{certificate}.key",
    }
    assert {path.removeprefix("rendered/orderbook/") for path in changed if path.startswith("rendered/")} <= {
        "inventory.yaml",
        "roster.json",
        "summary.md",
    }
    project = Project.load()
    KeyStore.open(project.keys_path, project.plan, project.inventory)
    assert run(["render", "--check"]) == 0


@pytest.mark.parametrize("left", ["nothing of the files", "the files", "the key"])
def test_one_that_was_cut_off_is_gone_on_with_by_rendering(rotate: Rotate, left: str) -> None:
    inventory = Path("rendered/orderbook/inventory.yaml")
    lines = inventory.read_text().splitlines(keepends=True)
    inventory.write_text("".join(line for line in lines if f"path: {ORDER_BOOK}," not in line))
    for extension in {"nothing of the files": ("crt", "key"), "the files": (), "the key": ("crt",)}[left]:
        Path(f"keys/orderbook/{ORDER_BOOK}.{extension}").unlink()
    assert run(["render"]) == 0
    project = Project.load()
    KeyStore.open(project.keys_path, project.plan, project.inventory)
    assert rotate(ORDER_BOOK) == 0


def test_without_its_authority_nothing_is_deleted(rotate: Rotate, capsys: pytest.CaptureFixture[str]) -> None:
    Path("keys/orderbook/ingress-ca.key").unlink()
    before = state()
    assert rotate(ORDER_BOOK) == 1
    assert "ingress-ca.key: is not here, and `order-book` has to be signed with it" in capsys.readouterr().err
    assert state() == before


def expired(path: str) -> None:
    """Put a certificate that has run out in the place of one, here and in the inventory."""
    project = Project.load()
    open_store = KeyStore.open(project.keys_path, project.plan, project.inventory)
    row = next(row for row in project.plan.certificates if row.path == path)
    signer = issue.Issued(
        issue.read_certificate(open_store.certificate(str(row.signer))), issue.read_key(open_store.key(str(row.signer)))
    )
    long_ago = datetime.datetime.now(datetime.UTC) - row.lifetime - 30 * DAY
    made = issue.issue(row, issue.read_key(open_store.key(path)), signer, now=long_ago)
    (project.keys_path / f"{path}.crt").write_bytes(issue.certificate_pem(made))
    assert project.inventory is not None
    fact = key_check.certificate_fact(path, made)
    keys = tuple(fact if one.path == path else one for one in project.inventory.keys)
    Path("rendered/orderbook/inventory.yaml").write_text(inventory.dump(replace(project.inventory, keys=keys)))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda keys: (keys / "admin.crt").write_bytes(b"x"), "admin.crt: is damaged"),
        (lambda keys: (keys / "admin.key").unlink(), "admin.key: is gone"),
        (lambda keys: (keys / "cluster-id").write_text(f"{keyring.CLUSTER_ID}\n"), "the keys are those of cluster"),
        (lambda keys: put(keys / "addons/ns", {"UPPER_": b"x"}), "addons/ns/UPPER_: "),
        (lambda _: expired("admin"), "admin.crt: expired at"),
    ],
)
def test_where_no_other_could_be_made_nothing_is_deleted(
    rotate: Rotate, capsys: pytest.CaptureFixture[str], spoil: Callable[[Path], object], said: str
) -> None:
    spoil(Path("keys/orderbook"))
    before = state()
    capsys.readouterr()
    assert rotate(ORDER_BOOK) == 1
    assert said in capsys.readouterr().err
    assert state() == before


def test_two_that_have_expired_are_made_anew_one_after_the_other(
    rotate: Rotate, capsys: pytest.CaptureFixture[str]
) -> None:
    expired(ORDER_BOOK)
    expired(METRICS_SERVER)
    assert rotate(ORDER_BOOK) == 1
    assert f"hint: `gen rotate {METRICS_SERVER}` makes a new one" in capsys.readouterr().err
    assert rotate(METRICS_SERVER) == 0
    project = Project.load()
    now = datetime.datetime.now(datetime.UTC)
    KeyStore.open(project.keys_path, project.plan, project.inventory, now=now)


@pytest.mark.parametrize("certificate", ["kubernetes-ca", "admin", "nodes/node01/kubelet", "", "../x"])
def test_what_is_in_a_bundle_or_signs_is_not_made_anew(
    rotate: Rotate, certificate: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = state()
    assert rotate(certificate) == 1
    assert "hint: it makes `metrics-server`, `order-book`" in capsys.readouterr().err
    assert state() == before


def test_the_users_is_theirs_to_replace(rotate: Rotate, capsys: pytest.CaptureFixture[str]) -> None:
    text = Path("cluster.yaml").read_text()
    put(Path("keys/orderbook"), files(LEAF.pem, LEAF.key_pem()))
    Path("cluster.yaml").write_text(f"{text}order_book: {{certificate: tls.crt, key: tls.key}}\n")
    assert rotate(ORDER_BOOK) == 1
    said = capsys.readouterr().err
    assert "put its successor into `keys/orderbook/tls.crt`, then `gen render` and `gen launch`" in said
    assert WHOLE in text


def test_the_users_files_may_be_there_before_any_key_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    described(Path(), more="order_book: {certificate: tls.crt, key: tls.key}\n")
    Path("keys").mkdir(mode=0o700)
    put(Path("keys/orderbook"), files(OTHER.pem, OTHER.key_pem()))
    assert run(["render"]) == 0
    assert run(["render", "--check"]) == 0
