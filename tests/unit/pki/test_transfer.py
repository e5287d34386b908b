"""Keys change hands whole, sealed and unharmed; whatever is handed over instead is refused, and writes nothing."""

from __future__ import annotations

import io
import random
import stat
import tarfile
from pathlib import Path

import pyrage
import pytest

from generator.errors import Problem, Problems
from generator.pki import transfer
from generator.pki.store import KeyStore
from tests import keyring

PASSPHRASE = "correct horse battery staple"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, keyring.Inventory, keyring.Plan]:
    path = tmp_path_factory.mktemp("keys") / "orderbook"
    plan, _, inventory = keyring.made(path, control_planes=1, workers=1)
    return path, inventory, plan


@pytest.fixture(scope="module")
def files(cluster: tuple[Path, keyring.Inventory, keyring.Plan]) -> dict[str, bytes]:
    return transfer.collect(cluster[0])


@pytest.fixture(scope="module")
def someone() -> pyrage.x25519.Identity:
    return pyrage.x25519.Identity.generate()


def test_whoever_takes_over_has_all_of_it(
    cluster: tuple[Path, keyring.Inventory, keyring.Plan],
    files: dict[str, bytes],
    someone: pyrage.x25519.Identity,
    tmp_path: Path,
) -> None:
    path, inventory, plan = cluster
    sealed = transfer.seal(files, recipients=[str(someone.to_public())])
    assert not any(content in sealed for content in files.values() if len(content) > 16)
    opened = transfer.unseal(sealed, "file", identities=f"# created: today\n{someone}\n")
    assert opened == files
    taken = tmp_path / "keys" / "orderbook"
    assert set(transfer.restore(taken, opened, plan.cluster_id)) == set(files)
    assert KeyStore.open(taken, plan, inventory) == KeyStore.open(path, plan, inventory)
    modes = {stat.S_IMODE(one.stat().st_mode) for one in taken.rglob("*") if one.is_file()}
    assert modes == {0o600}
    assert {stat.S_IMODE(one.stat().st_mode) for one in (taken, *taken.rglob("*")) if one.is_dir()} == {0o700}
    assert transfer.restore(taken, opened, plan.cluster_id) == (), "a second time there is nothing to do"


def test_kubeconfigs_stay_here(cluster: tuple[Path, keyring.Inventory, keyring.Plan], files: dict[str, bytes]) -> None:
    (cluster[0] / "operator.conf").write_text("token: x")
    (cluster[0] / "operator.conf").chmod(0o600)
    assert transfer.collect(cluster[0]) == files


def test_a_passphrase_opens_it_and_another_does_not(files: dict[str, bytes]) -> None:
    sealed = transfer.seal(files, passphrase=PASSPHRASE)
    assert transfer.unseal(sealed, "file", passphrase=PASSPHRASE) == files
    with pytest.raises(Problem, match="can't be opened"):
        transfer.unseal(sealed, "file", passphrase=f"{PASSPHRASE}!")
    with pytest.raises(Problem, match="has 6 characters, at least 12 are asked for"):
        transfer.seal(files, passphrase="secret")


def test_what_was_changed_on_the_way_opens_nothing(files: dict[str, bytes], someone: pyrage.x25519.Identity) -> None:
    sealed = transfer.seal(files, recipients=[str(someone.to_public())])
    chance = random.Random(1)
    changed = [sealed[: chance.randrange(len(sealed))] for _ in range(40)]
    for _ in range(40):
        place = chance.randrange(len(sealed))
        changed.append(sealed[:place] + bytes([sealed[place] ^ 1 << chance.randrange(8)]) + sealed[place + 1 :])
    changed += [b"", b"x", sealed + b"x", sealed * 2]
    for one in changed:
        with pytest.raises(Problem, match="can't be opened"):
            transfer.unseal(one, "file", identities=str(someone))
    with pytest.raises(Problem, match="can't be opened"):
        transfer.unseal(sealed, "file", identities=str(pyrage.x25519.Identity.generate()))


def _tar(*members: tuple[str, bytes, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, kind, content in members:
            info = tarfile.TarInfo(name)
            info.type, info.size, info.linkname = kind, len(content), "/etc/passwd" if kind != tarfile.REGTYPE else ""
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


ID = (transfer.CLUSTER_ID, tarfile.REGTYPE, b"0" * 36)


@pytest.mark.parametrize(
    "content",
    [
        b"no archive",
        _tar(("admin.key", tarfile.REGTYPE, b"k")),
        _tar(ID, ("../../etc/cron.d/x", tarfile.REGTYPE, b"x")),
        _tar(ID, ("/etc/cron.d/x", tarfile.REGTYPE, b"x")),
        _tar(ID, ("nodes/../../x", tarfile.REGTYPE, b"x")),
        _tar(ID, ("admin.key", tarfile.SYMTYPE, b"")),
        _tar(ID, ("admin.key", tarfile.LNKTYPE, b"")),
        _tar(ID, ("nodes", tarfile.DIRTYPE, b"")),
        _tar(ID, ("fifo", tarfile.FIFOTYPE, b"")),
        _tar(ID, ("large", tarfile.REGTYPE, bytes(transfer.LIMIT_BYTES))),
    ],
)
def test_sealed_by_a_thief_it_is_refused_as_well(content: bytes, someone: pyrage.x25519.Identity) -> None:
    sealed = bytes(pyrage.encrypt(content, [someone.to_public()]))
    with pytest.raises(Problem, match="holds no keys of a cluster"):
        transfer.unseal(sealed, "file", identities=str(someone))


def test_nothing_is_written_over_and_another_cluster_s_open_nothing(files: dict[str, bytes], tmp_path: Path) -> None:
    store = tmp_path / "keys" / "orderbook"
    transfer.restore(store, files, None)
    (store / "admin.key").write_bytes(b"another")
    (store / "operator.key").unlink()
    with pytest.raises(Problems, match="is there already, and is another"):
        transfer.restore(store, files, None)
    assert not (store / "operator.key").exists(), "nothing was written"
    with pytest.raises(Problem, match="these keys are of cluster"):
        transfer.restore(tmp_path / "other" / "orderbook", files, "f" * 36)
    assert not (tmp_path / "other").exists()


def test_who_can_not_be_a_recipient_is_told(files: dict[str, bytes]) -> None:
    with pytest.raises(Problems, match="is no recipient") as caught:
        transfer.seal(files, recipients=["age1nobody", "ssh-ed25519 AAAA", "anna"])
    assert len(caught.value.problems) == 3
    with pytest.raises(Problem, match="the identity can't be read"):
        transfer.unseal(b"x", "file", identities="AGE-SECRET-KEY-1")


def test_no_keys_are_no_export(tmp_path: Path) -> None:
    with pytest.raises(Problem, match="holds no keys of a cluster"):
        transfer.collect(tmp_path / "none")
