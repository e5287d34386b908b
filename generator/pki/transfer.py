"""Hands a cluster's keys to somebody else: one file, sealed by age, which age(1) opens without this program.

Source: https://age-encryption.org/v1
"""

from __future__ import annotations

import io
import os
import re
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from generator import worktree
from generator.errors import Problem, raise_all
from generator.pki import private_directory
from generator.tar import SECRET, PackedFile, pack

LIMIT_BYTES, MOST_FILES = 16 << 20, 20_000
SHORTEST_PASSPHRASE = 12
CLUSTER_ID = "cluster-id"
LEFT_OUT = ("operator.conf", "admin.conf")
"""Kubeconfigs, which are made anew."""
_PATH = re.compile(r"[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*")


def collect(store: Path) -> dict[str, bytes]:
    """Read everything of a store, by its path below it, but what can be made anew.

    Raises:
        Problems: there is none, or it is open to others.
    """
    raise_all(private_directory.faults(store))
    found = {}
    for directory, _, names in os.walk(store, followlinks=False):
        for name in names:
            path = Path(directory, name)
            content = private_directory.read(path)
            if content is not None and not name.startswith(".tmp") and name not in LEFT_OUT:
                found[path.relative_to(store).as_posix()] = content
    if CLUSTER_ID not in found:
        raise Problem("holds no keys of a cluster", where=str(store), hint="`gen render` makes them")
    return dict(sorted(found.items()))


def seal(files: Mapping[str, bytes], *, recipients: Sequence[str] = (), passphrase: str | None = None) -> bytes:
    """Pack files and seal them, to recipients or by a passphrase.

    Raises:
        Problems: a recipient is none, or the passphrase is short.
    """
    import pyrage

    tar = pack(PackedFile(f"/{path}", content, SECRET) for path, content in files.items())
    if passphrase is not None:
        if len(passphrase) < SHORTEST_PASSPHRASE:
            message = f"the passphrase has {len(passphrase)} characters, at least {SHORTEST_PASSPHRASE} are asked for"
            raise Problem(message, hint="several words that nobody guesses; whoever reads the keys owns the cluster")
        return bytes(pyrage.passphrase.encrypt(tar, passphrase))
    return bytes(pyrage.encrypt(tar, _recipients(recipients)))


def unseal(
    sealed: bytes, where: str, *, identities: str | None = None, passphrase: str | None = None
) -> dict[str, bytes]:
    """Open what `seal` made.

    Args:
        where: names the file in messages.
        identities: the text of age's file of identities, or of a private key of SSH.

    Raises:
        Problem: it can't be opened, or holds something else than keys of a cluster.
    """
    import pyrage

    try:
        if passphrase is not None:
            tar = bytes(pyrage.passphrase.decrypt(sealed, passphrase))
        else:
            tar = bytes(pyrage.decrypt(sealed, _identities(identities or "")))
    except pyrage.DecryptError as error:
        hint = "is it the right passphrase or identity, and the whole file?"
        raise Problem(f"can't be opened: {error}", where=where, hint=hint) from None
    try:
        files = dict(_unpacked(tar))
    except (tarfile.TarError, ValueError) as error:
        raise Problem(f"holds no keys of a cluster: {error}", where=where) from None
    if CLUSTER_ID not in files:
        raise Problem(f"holds no keys of a cluster: there is no `{CLUSTER_ID}`", where=where)
    return files


def restore(store: Path, files: Mapping[str, bytes], cluster_id: str | None) -> tuple[str, ...]:
    """Write what is missing in a store, and name it; what is there is never written over.

    Args:
        cluster_id: the one that the committed inventory tells, None where there is none.

    Raises:
        Problems: the keys are another cluster's, or a file is there and is another; then nothing was written.
    """
    raise_all(private_directory.faults(store))
    told = files[CLUSTER_ID].decode(errors="replace").strip()
    if cluster_id and told != cluster_id:
        message = f"these keys are of cluster {told}, and the committed inventory is of {cluster_id}"
        raise Problem(message, where=str(store), hint="keys of another cluster of the same name open nothing here")
    present = {path: private_directory.read(store / path) for path in files}
    raise_all(
        Problem("is there already, and is another", where=str(store / path), hint="move it away if it is wrong")
        for path, content in present.items()
        if content is not None and content != files[path]
    )
    missing = [path for path, content in present.items() if content is None]
    base = store.parent
    worktree.make_directory(base.parent, base.name, mode=0o700)
    # What tells whose the rest is comes last: a store without it is none.
    for path in sorted(missing, key=lambda path: (path == CLUSTER_ID, path)):
        parts = Path(store.name, path).parent.parts
        for depth in range(1, len(parts) + 1):
            worktree.make_directory(base, "/".join(parts[:depth]), mode=0o700)
        worktree.write(base, f"{store.name}/{path}", files[path], mode=0o600)
    return tuple(missing)


def _recipients(texts: Sequence[str]) -> list[object]:
    import pyrage

    found: list[object] = []
    problems = []
    for text in texts:
        kind = pyrage.ssh if text.startswith("ssh-") else pyrage.x25519
        try:
            found.append(kind.Recipient.from_str(text))
        except pyrage.RecipientError as error:
            hint = "a recipient begins with `age1`, or is a public key of SSH; `age-keygen` makes one"
            problems.append(Problem(f"is no recipient: {error}", where=text[:40], hint=hint))
    raise_all(problems)
    return found


def _identities(text: str) -> list[object]:
    import pyrage

    try:
        if text.lstrip().startswith("-----BEGIN"):
            return [pyrage.ssh.Identity.from_buffer(text.encode())]
        lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
        return [pyrage.x25519.Identity.from_str(line) for line in lines]
    except pyrage.IdentityError as error:
        hint = "a file of `age-keygen`, or a private key of SSH without a passphrase"
        raise Problem(f"the identity can't be read: {error}", hint=hint) from None


def _unpacked(tar: bytes) -> Iterator[tuple[str, bytes]]:
    """Give the files of an archive.

    Raises:
        ValueError: one is no plain file, or lies elsewhere, or there are too many.
    """
    total = 0
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        for number, member in enumerate(archive):
            total += member.size
            if number >= MOST_FILES or total > LIMIT_BYTES:
                raise ValueError("it is too large")
            path = member.name
            if not member.isfile() or not _PATH.fullmatch(path) or ".." in path.split("/"):
                raise ValueError(f"{path[:80]!r} can't be in it")
            content = archive.extractfile(member)
            yield path, content.read() if content else b""
