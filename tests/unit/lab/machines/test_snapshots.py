"""A copy of a disk is the disk without what the provider keeps beside it, and outlives what stands upon it."""

from __future__ import annotations

from pathlib import Path

import pytest

from generator.lab.machines import snapshots
from generator.lab.machines.snapshots import CONFIG_DRIVE, OWN_DIRECTORIES
from generator.lab.state import State

BLOB = "var/lib/containerd/io.containerd.content.v1.content/blobs/sha256/0a"
LAYER = "var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots/1/fs/bin/sh"
DATABASES = (
    "var/lib/containerd/io.containerd.metadata.v1.bolt/meta.db",
    "var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/metadata.db",
)


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State("a-lab", tmp_path / "labs", tmp_path / "cache")


def disk(directory: Path, *paths: str) -> Path:
    """Make a droplet's directory with such files in it."""
    for name in ("upper", *(f"own/{name}" for name in OWN_DIRECTORIES)):
        (directory / name).mkdir(parents=True)
    for path in paths:
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / path).write_text(path)
    return directory


def a_disk(directory: Path) -> Path:
    own = (f"own/{path}" for path in (BLOB, LAYER, *DATABASES))
    return disk(directory, "upper/opt/x", f"upper/{CONFIG_DRIVE}/openstack/latest/user_data", *own)


def test_a_copy_has_all_of_the_disk_but_the_config_drive(state: State, tmp_path: Path) -> None:
    gigabytes = snapshots.take(state, 7, a_disk(tmp_path / "disk"), ())
    assert 0 < gigabytes < 0.001
    copy = snapshots.place(state, 7)
    assert (copy / "upper/opt/x").read_text() == "upper/opt/x"
    assert not (copy / "upper" / CONFIG_DRIVE).exists()
    assert all((copy / "own" / path).exists() for path in (BLOB, LAYER, *DATABASES))
    (tmp_path / "disk/upper/opt/x").write_text("changed since")
    assert snapshots.take(state, 7, tmp_path / "disk", ()) == gigabytes
    assert (copy / "upper/opt/x").read_text() == "upper/opt/x", "a copy that is made is not made again"


def test_a_new_disk_has_what_containerd_has_and_shares_only_what_nobody_changes(state: State, tmp_path: Path) -> None:
    snapshots.take(state, 7, a_disk(tmp_path / "disk"), ())
    own, source = disk(tmp_path / "new") / "own", snapshots.place(state, 7) / "own"
    snapshots.fill(state, 7, own)
    for path in (BLOB, LAYER, *DATABASES):
        assert (own / path).read_text() == f"own/{path}"
        assert (own / path).samefile(source / path) == (path in (BLOB, LAYER)), path


def test_a_copy_of_a_disk_that_was_a_copy_stands_upon_that(state: State, tmp_path: Path) -> None:
    snapshots.take(state, 7, a_disk(tmp_path / "one"), ())
    below = snapshots.layers(state, 7)
    snapshots.take(state, 9, disk(tmp_path / "two", "upper/opt/y"), below)
    assert snapshots.layers(state, 9) == (snapshots.place(state, 9) / "upper", *below)
    snapshots.keep(state, [9], ())
    assert snapshots.place(state, 7).is_dir(), "the later one stands upon it"
    snapshots.keep(state, [], snapshots.layers(state, 9))
    assert snapshots.place(state, 9).is_dir(), "a droplet stands upon it"
    snapshots.keep(state, [], ())
    assert list(state.snapshots.iterdir()) == []


def test_what_a_copy_left_that_was_cut_off_is_gone_with_the_next(state: State, tmp_path: Path) -> None:
    (state.snapshots / "tmp-x").mkdir(parents=True)
    snapshots.take(state, 7, a_disk(tmp_path / "disk"), ())
    assert [path.name for path in state.snapshots.iterdir()] == ["7"]
