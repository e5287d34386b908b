"""A tar of ours depends on its files alone."""

from __future__ import annotations

import io
import tarfile

import pytest

from generator.tar import PUBLIC, SECRET, PackedFile, pack


def test_it_is_a_plain_tar_with_owners_by_name() -> None:
    tar = pack([PackedFile("/etc/b", b"2", SECRET, "etcd", "etcd"), PackedFile("/etc/a", b"1", PUBLIC)])
    assert tar[257:263] == b"ustar\0"
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        members = archive.getmembers()
        found = [(m.name, m.mode, m.uname, m.gname, m.uid, m.gid, m.mtime, m.isfile()) for m in members]
    assert found == [
        ("etc/a", 0o644, "root", "root", 0, 0, 0, True),
        ("etc/b", 0o600, "etcd", "etcd", 0, 0, 0, True),
    ]


@pytest.mark.parametrize("paths", [("/a", "/a"), ("a",), ("/etc/../root",)])
def test_paths_that_mean_something_else_are_refused(paths: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="can't be a path in an archive"):
        pack(PackedFile(path, b"", SECRET) for path in paths)


def test_nothing_of_a_file_is_shown_by_mistake() -> None:
    assert "secret" not in repr(PackedFile("/a", b"secret", SECRET))
