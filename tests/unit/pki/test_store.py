"""The private store: what is made, what is never touched, and everything that is refused."""

from __future__ import annotations

import base64
import os
import re
import stat
import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from generator.errors import Problem, Problems
from generator.files import write_atomic
from generator.pki import check as key_check
from generator.pki import private_directory
from generator.pki import store as keys
from generator.pki.issue import Issued, certificate_pem, issue, read_certificate, read_key, sans
from generator.plan.decide import Plan
from generator.plan.inventory import Inventory
from tests.keyring import CLUSTER_ID, NOW, inventory_of, made, planned

SMALL = {"control_planes": 1, "workers": 1}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "keys" / "orderbook"


@pytest.fixture
def cluster(root: Path) -> tuple[Path, Plan, Inventory]:
    plan, _, inventory = made(root, **SMALL)
    return root, plan, inventory


def contents(root: Path) -> dict[str, tuple[bytes, int]]:
    files = [path for path in root.rglob("*") if path.is_file()]
    return {str(path.relative_to(root)): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


def refused(act: Callable[[], object]) -> list[Problem]:
    with pytest.raises((Problem, Problems)) as caught:
        act()
    error = caught.value
    return list(error.problems) if isinstance(error, Problems) else [error]


def sentences(act: Callable[[], object]) -> list[str]:
    return [f"{Path(problem.where or '').name}: {problem.message}" for problem in refused(act)]


# What is made


def test_a_new_store_is_complete_and_nothing_more(cluster: tuple[Path, Plan, Inventory]) -> None:
    root, plan, _ = cluster
    assert set(contents(root)) == {"cluster-id", *key_check.names(plan)}


def test_everything_is_private_even_when_nothing_masks_modes(root: Path) -> None:
    before = os.umask(0)
    try:
        made(root, **SMALL)
    finally:
        os.umask(before)
    for path in (root.parent, root, *root.rglob("*")):
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o700 if path.is_dir() else 0o600), path


def test_a_second_run_touches_nothing(cluster: tuple[Path, Plan, Inventory]) -> None:
    root, plan, inventory = cluster
    before = contents(root)
    again = keys.ensure(root, plan, inventory, now=NOW + timedelta(days=200))
    assert contents(root) == before
    assert keys.facts(again, plan) == inventory.keys


def test_new_nodes_get_keys_and_the_others_keep_theirs(cluster: tuple[Path, Plan, Inventory]) -> None:
    root, _, inventory = cluster
    before = contents(root)
    larger = planned(inventory, control_planes=3, workers=2)
    store = keys.ensure(root, larger, inventory, now=NOW + timedelta(days=100))
    after = contents(root)
    assert before.items() <= after.items()
    assert set(after) == {"cluster-id", *key_check.names(larger)}
    rows = {fact.path: fact for fact in keys.facts(store, larger)}
    assert rows["nodes/node01/apiserver"].expires == "2027-11-22T08:30:00Z"
    assert rows["nodes/node02/apiserver"].expires == "2028-03-01T08:30:00Z"


def test_no_two_keys_are_the_same(cluster: tuple[Path, Plan, Inventory]) -> None:
    root, plan, inventory = cluster
    private = [content for name, (content, _) in contents(root).items() if not name.endswith(".crt")]
    assert len(set(private)) == len(private)
    assert len({fact.sha256 for fact in inventory.keys}) == len(inventory.keys)
    serials = {read_certificate((root / f"{row.path}.crt").read_bytes()).serial_number for row in plan.certificates}
    assert len(serials) == len(plan.certificates)


def test_facts_are_what_the_keys_are(cluster: tuple[Path, Plan, Inventory]) -> None:
    root, plan, inventory = cluster
    store = keys.KeyStore.open(root, plan, inventory, now=NOW)
    assert plan.operator_public_key
    assert inventory.key("operator") is not None
    for node in plan.nodes:
        scalar = X25519PrivateKey.from_private_bytes(_raw(store.wireguard_private(node.name)))
        assert _raw(node.wireguard_public_key) == scalar.public_key().public_bytes_raw()
    assert _raw(plan.operator_public_key) == store.operator_key.public_key().public_bytes_raw()
    row = inventory.key("nodes/node01/etcd-server")
    assert row is not None
    assert (row.subject, row.sans) == (
        "CN=etcd-server",
        ("DNS:node01", "DNS:localhost", "IP:10.44.0.1", "IP:127.0.0.1"),
    )
    assert {fact.path for fact in inventory.keys if fact.public} == {
        "operator",
        "nodes/node01/wireguard",
        "nodes/worker01/wireguard",
    }


def test_wireguard_keys_are_clamped_as_wireguard_does(cluster: tuple[Path, Plan, Inventory]) -> None:
    root, plan, _ = cluster
    raw = _raw(keys.KeyStore.open(root, plan).wireguard_private("node01"))
    assert (len(raw), raw[0] & 7, raw[31] & 192) == (32, 0, 64)


def test_the_password_means_the_same_in_a_url(cluster: tuple[Path, Plan, Inventory]) -> None:
    root, plan, _ = cluster
    word = keys.KeyStore.open(root, plan).addons["addons/order-book/postgres/password"].decode()
    assert re.fullmatch(r"[A-Za-z0-9_-]{32,}", word)


def test_nothing_secret_is_in_facts_or_in_what_is_shown_of_a_store(cluster: tuple[Path, Plan, Inventory]) -> None:
    root, plan, inventory = cluster
    store = keys.KeyStore.open(root, plan)
    shown = f"{store!r} {inventory!r}"
    assert "PRIVATE" not in shown
    for secret in (
        store.encryption_key,
        *(one.decode() for one in store.addons.values()),
        store.key("addons/secrets").decode().strip(),
        *map(store.wireguard_private, ("node01", "worker01")),
    ):
        assert secret not in shown


def test_a_cluster_keeps_the_id_it_was_given(root: Path) -> None:
    first = keys.cluster_id(root)
    assert keys.cluster_id(root) == first
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", first)
    assert keys.cluster_id(root.parent / "other") != first


# A run that is killed


class Killed(BaseException):
    pass


def killed_at(count: int) -> Callable[[Path, bytes, int], None]:
    """Write like the real thing, and die instead of the write with this number."""
    left = iter(range(count))

    def write(path: Path, data: bytes, mode: int) -> None:
        if next(left, None) is None:
            raise Killed
        write_atomic(path, data, mode)

    return write


@pytest.mark.parametrize("count", range(len(key_check.names(planned(**SMALL))) + 1))
def test_a_run_killed_at_any_write_is_completed_by_the_next(
    root: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(keys, "write_atomic", killed_at(count))
        with pytest.raises(Killed):
            made(root, **SMALL)
    before = contents(root)
    assert len(before) == count
    plan, store, _ = made(root, now=NOW + timedelta(hours=1), **SMALL)
    after = contents(root)
    assert before.items() <= after.items()
    assert set(after) == {"cluster-id", *key_check.names(plan)}
    assert keys.KeyStore.open(root, plan, inventory_of(plan, store), now=NOW).files == store.files


def test_what_a_killed_write_leaves_is_swept_up(cluster: tuple[Path, Plan, Inventory]) -> None:
    root, plan, inventory = cluster
    left = root / "nodes" / "node01" / ".apiserver.key.ab_d3f9h"
    left.touch(0o600)
    keys.ensure(root, plan, inventory, now=NOW)
    assert not left.exists()
    assert set(contents(root)) == {"cluster-id", *key_check.names(plan)}


def test_two_runs_at_once_do_not_write_over_each_other(cluster: tuple[Path, Plan, Inventory]) -> None:
    root, plan, inventory = cluster
    with private_directory.held(root):
        act = lambda: keys.ensure(root, plan, inventory, now=NOW)  # noqa: E731
        assert sentences(act) == ["orderbook: another run of `gen` is making keys here"]
    keys.ensure(root, plan, inventory, now=NOW)


# What is lost


def test_a_listed_key_that_is_gone_is_never_made_again(cluster: tuple[Path, Plan, Inventory]) -> None:
    root, plan, inventory = cluster
    gone = [
        "operator.key",
        "addons/order-book/postgres/password",
        "nodes/node01/wireguard.key",
        "nodes/worker01/kubelet.crt",
    ]
    for name in [*gone, "etcd-ca.crt"]:
        (root / name).unlink()
    before = contents(root)
    problems = refused(lambda: keys.ensure(root, plan, inventory, now=NOW))
    assert [Path(problem.where or "").relative_to(root).as_posix() for problem in problems] == [
        "operator.key",
        "addons/order-book/postgres/password",
        "nodes/node01/wireguard.key",
        "etcd-ca.crt",
        "nodes/worker01/kubelet.crt",
    ]
    assert {problem.message for problem in problems} == {"is gone, the inventory lists it"}
    assert all("backup" in (problem.hint or "") for problem in problems)
    assert contents(root) == before


def test_each_file_is_missed_but_for_what_only_new_certificates_need(cluster: tuple[Path, Plan, Inventory]) -> None:
    root, plan, inventory = cluster
    elsewhere = key_check.elsewhere(plan)
    assert elsewhere == {"kubernetes-ca.key", "etcd-ca.key", "etcd-peer-ca.key", "front-proxy-ca.key"}
    for name in key_check.names(plan):
        kept = (root / name).rename(root.parent / "kept")
        acts = (
            lambda: keys.KeyStore.open(root, plan, inventory, now=NOW),
            lambda: keys.ensure(root, plan, inventory, now=NOW),
        )
        for act in acts:
            if name in elsewhere:
                act()
            else:
                assert any(Path(name).name in sentence for sentence in sentences(act)), name
        assert not (root / name).exists()
        kept.rename(root / name)


def test_a_new_node_needs_the_authorities_that_sign_for_it(cluster: tuple[Path, Plan, Inventory]) -> None:
    root, _, inventory = cluster
    grown = planned(inventory, control_planes=1, workers=2)
    authorities = sorted(key_check.elsewhere(grown))
    for name in authorities:
        (root / name).rename(root.parent / name)
    before = contents(root)
    (problem,) = refused(lambda: keys.ensure(root, grown, inventory, now=NOW))
    assert problem.where == str(root / "kubernetes-ca.key")
    assert problem.message == "is not here, and `nodes/worker02/kubelet-client` and 2 more have to be signed with it"
    assert contents(root) == before
    for name in authorities:
        (root.parent / name).rename(root / name)
    keys.ensure(root, grown, inventory, now=NOW)


def test_a_store_that_is_gone_as_a_whole_is_one_problem(cluster: tuple[Path, Plan, Inventory], tmp_path: Path) -> None:
    root, plan, inventory = cluster
    root.rename(tmp_path / "lost")
    for act in (
        lambda: keys.ensure(root, plan, inventory, now=NOW),
        lambda: keys.cluster_id(root, inventory),
    ):
        problems = refused(act)
        assert [problem.message for problem in problems] == [
            f"is empty, the inventory lists {len(inventory.keys)} keys"
        ]
        assert "backup" in (problems[0].hint or "")
    assert not root.exists()


def test_without_an_inventory_a_lost_authority_is_still_not_replaced(cluster: tuple[Path, Plan, Inventory]) -> None:
    root, plan, _ = cluster
    for name in ("kubernetes-ca.key", "kubernetes-ca.crt", "etcd-ca.key", "nodes/worker01/proxy.key"):
        (root / name).unlink()
    before = contents(root)
    assert sentences(lambda: keys.ensure(root, plan, None, now=NOW)) == [
        "kubernetes-ca.key: is gone, and `admin.crt` is signed with it",
        "etcd-ca.key: is gone, its certificate is there",
        "proxy.key: is gone, its certificate is there",
    ]
    assert contents(root) == before


def test_a_lost_id_is_not_replaced(cluster: tuple[Path, Plan, Inventory]) -> None:
    root, plan, _ = cluster
    (root / "cluster-id").unlink()
    assert sentences(lambda: keys.cluster_id(root)) == ["cluster-id: is gone, keys are there"]
    assert sentences(lambda: keys.ensure(root, plan, None, now=NOW)) == ["cluster-id: is gone, keys are there"]


def test_opening_makes_nothing(root: Path) -> None:
    plan = planned(**SMALL)
    names = key_check.names(plan)
    problems = refused(lambda: keys.KeyStore.open(root, plan))
    needed = len(names) - len(key_check.elsewhere(plan))
    assert [problem.message for problem in problems] == [
        f"`operator.key` and {needed - 1} more files of {needed} can't be found"
    ]
    assert not root.parent.exists()


def test_a_store_that_lacks_keys_says_what_it_is_enough_for(cluster: tuple[Path, Plan, Inventory]) -> None:
    root, plan, inventory = cluster
    (root / "nodes/node01/scheduler.key").unlink()
    [problem] = refused(lambda: keys.KeyStore.open(root, plan, inventory))
    assert problem.hint is not None
    every = ", ".join(f"`{verb}`" for verb in key_check.NEEDS)
    assert problem.hint.endswith(f"what is here is enough for {every}")
    (root / "operator.key").unlink()
    (root / "admin.key").unlink()
    [problem] = refused(lambda: keys.KeyStore.open(root, plan, inventory))
    assert (problem.hint or "").endswith("what is here is enough for `gen snapshot list`")
    assert key_check.enough_for(()).endswith("for no verb that needs keys")


def test_opening_tells_what_is_missing(cluster: tuple[Path, Plan, Inventory]) -> None:
    root, plan, inventory = cluster
    (root / "scheduler-unknown.key").touch(0o600)
    (root / "nodes/node01/scheduler.key").unlink()
    found = sentences(lambda: keys.KeyStore.open(root, plan, inventory))
    needed = len(key_check.names(plan)) - len(key_check.elsewhere(plan))
    assert found == [f"orderbook: `nodes/node01/scheduler.key` of {needed} can't be found"]


# What is not what it should be


def test_a_changed_description_does_not_change_a_certificate(cluster: tuple[Path, Plan, Inventory]) -> None:
    root, _, inventory = cluster
    before = contents(root)
    moved = planned(inventory, services="10.99.0.0/16", **SMALL)
    problems = refused(lambda: keys.ensure(root, moved, inventory, now=NOW))
    assert [Path(problem.where or "").name for problem in problems] == ["apiserver.crt"]
    assert "IP:10.43.0.1" in problems[0].message
    assert "IP:10.99.0.1" in problems[0].message
    assert "delete the row `nodes/node01/apiserver` of `rendered/orderbook/inventory.yaml`" in (problems[0].hint or "")
    assert contents(root) == before


def test_the_hint_for_a_certificate_that_differs_works(cluster: tuple[Path, Plan, Inventory], tmp_path: Path) -> None:
    root, _, inventory = cluster
    moved = planned(inventory, services="10.99.0.0/16", **SMALL)
    for extension in ("crt", "key"):
        (root / f"nodes/node01/apiserver.{extension}").rename(tmp_path / f"apiserver.{extension}")
    rows = tuple(fact for fact in inventory.keys if fact.path != "nodes/node01/apiserver")
    store = keys.ensure(root, moved, replace(inventory, keys=rows), now=NOW)
    assert "IP:10.99.0.1" in sans(read_certificate(store.certificate("nodes/node01/apiserver")))


def test_a_certificate_of_another_authority_is_told(cluster: tuple[Path, Plan, Inventory]) -> None:
    root, plan, _ = cluster
    row = next(row for row in plan.certificates if row.path == "nodes/node01/etcd-server")
    key = read_key((root / "nodes/node01/etcd-server.key").read_bytes())
    wrong = Issued(
        read_certificate((root / "etcd-peer-ca.crt").read_bytes()),
        read_key((root / "etcd-peer-ca.key").read_bytes()),
    )
    (root / "nodes/node01/etcd-server.crt").write_bytes(certificate_pem(issue(row, key, wrong, now=NOW)))
    found = sentences(lambda: keys.ensure(root, plan, None, now=NOW))
    assert found == [f"etcd-server.crt: it is not signed by `CN=etcd-ca {plan.cluster_id},O=orderbook`"]


def test_exchanged_keys_are_told(cluster: tuple[Path, Plan, Inventory]) -> None:
    root, plan, inventory = cluster
    one, two = root / "nodes/node01/scheduler.key", root / "nodes/node01/bootstrap.key"
    first, second = one.read_bytes(), two.read_bytes()
    one.write_bytes(second)
    two.write_bytes(first)
    assert sentences(lambda: keys.KeyStore.open(root, plan, inventory)) == [
        "scheduler.crt: its private key is another's",
        "bootstrap.crt: its private key is another's",
    ]


def test_a_store_of_another_state_than_the_inventory_is_told(cluster: tuple[Path, Plan, Inventory]) -> None:
    root, plan, inventory = cluster
    (root / "encryption.key").write_bytes(b"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n")
    found = sentences(lambda: keys.ensure(root, plan, inventory, now=NOW))
    assert len(found) == 1
    assert found[0].startswith("encryption.key: has the fingerprint ")


def test_keys_of_another_cluster_are_told(cluster: tuple[Path, Plan, Inventory]) -> None:
    root, plan, inventory = cluster
    mine = keys.cluster_id(root)
    other = replace(inventory, cluster_id=CLUSTER_ID)
    found = sentences(lambda: keys.ensure(root, plan, other, now=NOW))
    assert found == [f"orderbook: the keys are those of cluster {mine}, the inventory is of {CLUSTER_ID}"]
    elsewhere = replace(plan, cluster_id=CLUSTER_ID)
    assert f"orderbook: the keys are those of cluster {mine}, the plan is of {CLUSTER_ID}" in sentences(
        lambda: keys.KeyStore.open(root, elsewhere)
    )


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("operator.key", b"", "is damaged: it can't be read"),
        ("sa.key", b"-----BEGIN PRIVATE KEY-----\n", "is damaged: it can't be read"),
        ("encryption.key", b"not base64!", "is damaged: it is not base64"),
        ("nodes/node01/wireguard.key", b"AAAA\n", "is damaged: it holds 3 bytes, not 32"),
        ("addons/order-book/postgres/password", b"pass word", "is damaged: it is not 32 to 128 characters"),
        ("kubernetes-ca.crt", b"\0", "is damaged: it can't be read"),
        ("nodes/worker01/proxy.key", b"x", "is damaged: it can't be read"),
        ("cluster-id", b"x", "is damaged: it holds no UUID"),
    ],
)
def test_damaged_files_are_told(cluster: tuple[Path, Plan, Inventory], name: str, content: bytes, message: str) -> None:
    root, plan, _ = cluster
    (root / name).write_bytes(content)
    found = sentences(lambda: keys.ensure(root, plan, None, now=NOW))
    assert [line for line in found if line.startswith(f"{Path(name).name}: {message}")], found
    assert content.decode() not in "".join(found) or content in (b"", b"x", b"\0")


def test_an_expired_certificate_is_told_with_its_time(cluster: tuple[Path, Plan, Inventory]) -> None:
    root, plan, inventory = cluster
    late = NOW + timedelta(days=365)
    found = sentences(lambda: keys.KeyStore.open(root, plan, inventory, now=late))
    leaves = [row for row in plan.certificates if not row.is_authority]
    assert found == [f"{Path(row.path).name}.crt: expired at 2027-11-22T08:30:00Z" for row in leaves]
    keys.KeyStore.open(root, plan, inventory, now=late - timedelta(seconds=1))
    keys.KeyStore.open(root, plan, inventory)


def test_all_problems_are_told_at_once(cluster: tuple[Path, Plan, Inventory]) -> None:
    root, plan, inventory = cluster
    (root / "sa.key").unlink()
    (root / "encryption.key").write_bytes(b"?")
    (root / "front-proxy-ca.crt").unlink()
    found = sentences(lambda: keys.ensure(root, plan, inventory, now=NOW + timedelta(days=400)))
    assert "sa.key: is gone, the inventory lists it" in found
    assert "encryption.key: is damaged: it is not base64" in found
    assert "front-proxy-ca.crt: is gone, the inventory lists it" in found
    assert sum("expired" in line for line in found) == len([row for row in plan.certificates if not row.is_authority])


def _raw(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


# Who else may look


@pytest.mark.parametrize(
    ("name", "mode", "message"),
    [
        (".", 0o750, "has mode 0750, which lets others at it"),
        ("nodes", 0o755, "has mode 0755, which lets others at it"),
        ("nodes/node01/apiserver.key", 0o640, "has mode 0640, which lets others at it"),
        ("admin.crt", 0o604, "has mode 0604, which lets others at it"),
        ("sa.key", 0o4600, "has mode 4600, which lets others at it"),
    ],
)
def test_looser_modes_are_refused(cluster: tuple[Path, Plan, Inventory], name: str, mode: int, message: str) -> None:
    root, plan, inventory = cluster
    (root / name).chmod(mode)
    for act in (
        lambda: keys.ensure(root, plan, inventory, now=NOW),
        lambda: keys.KeyStore.open(root, plan, inventory),
        lambda: keys.cluster_id(root),
    ):
        assert sentences(act) == [f"{(root / name).name}: {message}"]


def test_stricter_modes_are_fine(cluster: tuple[Path, Plan, Inventory]) -> None:
    root, plan, inventory = cluster
    (root / "sa.key").chmod(0o400)
    keys.KeyStore.open(root, plan, inventory)


def test_links_are_refused_wherever_they_are(cluster: tuple[Path, Plan, Inventory], tmp_path: Path) -> None:
    root, plan, inventory = cluster
    (root / "sa.key").rename(tmp_path / "sa.key")
    (root / "sa.key").symlink_to(tmp_path / "sa.key")
    (root / "nodes/worker01").rename(tmp_path / "worker01")
    (root / "nodes/worker01").symlink_to(tmp_path / "worker01")
    assert sorted(sentences(lambda: keys.ensure(root, plan, inventory, now=NOW))) == [
        "sa.key: is a symbolic link",
        "worker01: is a symbolic link",
    ]


@pytest.mark.parametrize("level", ["keys/orderbook", "keys"])
def test_a_store_behind_a_link_is_refused(cluster: tuple[Path, Plan, Inventory], tmp_path: Path, level: str) -> None:
    root, plan, inventory = cluster
    (tmp_path / level).rename(tmp_path / "elsewhere")
    (tmp_path / level).symlink_to(tmp_path / "elsewhere")
    assert sentences(lambda: keys.ensure(root, plan, inventory, now=NOW)) == [f"{Path(level).name}: is a symbolic link"]


def test_a_dangling_link_is_no_empty_store(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys/orderbook").symlink_to(tmp_path / "nowhere")
    assert sentences(lambda: keys.cluster_id(tmp_path / "keys/orderbook")) == ["orderbook: is a symbolic link"]
    assert not (tmp_path / "nowhere").exists()


def test_files_of_somebody_else_are_refused(
    cluster: tuple[Path, Plan, Inventory], monkeypatch: pytest.MonkeyPatch
) -> None:
    root, plan, inventory = cluster
    stranger = os.geteuid() + 4711
    monkeypatch.setattr(os, "geteuid", lambda: stranger)
    problems = refused(lambda: keys.KeyStore.open(root, plan, inventory))
    assert problems[0].where == str(root)
    assert re.fullmatch(rf"belongs to .*, not to uid {stranger}", problems[0].message)


def test_a_pipe_in_the_store_does_not_hang(cluster: tuple[Path, Plan, Inventory]) -> None:
    root, plan, inventory = cluster
    os.mkfifo(root / "nodes/pipe", 0o600)
    assert sentences(lambda: keys.ensure(root, plan, inventory, now=NOW)) == ["pipe: is neither a file nor a directory"]


# Git


@pytest.fixture
def worktree(tmp_path: Path) -> Path:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    return tmp_path


def test_a_work_tree_that_does_not_ignore_the_keys_is_refused(worktree: Path) -> None:
    root = worktree / "keys" / "orderbook"
    problems = refused(lambda: keys.cluster_id(root))
    assert "git does not ignore" in problems[0].message
    assert str(worktree / "keys" / ".gitignore") in (problems[0].hint or "")
    assert not root.parent.exists()


def test_following_the_hint_is_enough(worktree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (worktree / "keys").mkdir()
    (worktree / "keys/.gitignore").write_text("*\n")
    monkeypatch.setenv("GIT_DIR", "/nonexistent")
    made(worktree / "keys" / "orderbook", **SMALL)


def test_a_rule_that_lets_one_key_through_is_refused(worktree: Path) -> None:
    (worktree / ".gitignore").write_text("keys/**\n!keys/**/\n!keys/**/apiserver.key\n")
    root = worktree / "keys" / "orderbook"
    keys.cluster_id(root)
    found = sentences(lambda: keys.ensure(root, planned(**SMALL), None, now=NOW))
    assert found == ["orderbook: git does not ignore `apiserver.key` here, so a commit would publish it"]


def test_keys_that_were_committed_are_refused(worktree: Path) -> None:
    root = worktree / "keys" / "orderbook"
    root.mkdir(parents=True, mode=0o700)
    (root / "note").touch(0o600)
    subprocess.run(["git", "-C", str(worktree), "add", "--force", "keys"], check=True)
    (worktree / "keys/.gitignore").write_text("*\n")
    found = sentences(lambda: keys.cluster_id(root))
    assert found == ["orderbook: git has `note` of this directory under version control"]


def test_a_work_tree_that_git_cannot_read_is_refused(worktree: Path) -> None:
    (worktree / ".git/HEAD").unlink()
    problems = refused(lambda: keys.cluster_id(worktree / "keys" / "orderbook"))
    assert "git can't say" in problems[0].message


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_a_work_tree_of_somebody_else_is_refused_with_what_git_says(
    worktree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SUDO_UID", raising=False)
    monkeypatch.setenv("HOME", str(worktree / "home"))
    (worktree / "keys").mkdir()
    (worktree / "keys/.gitignore").write_text("*\n")
    for path in (worktree, worktree / ".git"):
        os.chown(path, 4711, 4711)
    problems = refused(lambda: keys.cluster_id(worktree / "keys" / "orderbook"))
    assert "git can't say" in problems[0].message
    assert "safe.directory" in (problems[0].hint or "")
