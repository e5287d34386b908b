"""A repository whose author may be anyone: no link is followed, nothing of others is shown, changed or removed."""

from __future__ import annotations

import base64
import os
import re
import shutil
import socket
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import pytest

from generator import worktree
from generator.cli.main import run
from generator.cluster import launchable
from generator.errors import Problem, Problems
from generator.plan.project import Project

CANARY = "canary-1b6e7a"
READING = (["check"], ["plan"], ["render", "--check"], ["release", "list"], ["release", "show"])
WRITING = (["render"], ["release", "pin"])
# Every level below the description, down to a file of ours and one that is none.
PLACES = (
    "cluster.yaml",
    "releases",
    "releases/mine.yaml",
    "rendered",
    "rendered/orderbook",
    "rendered/orderbook/inventory.yaml",
    "rendered/orderbook/summary.md",
    "rendered/orderbook/roster.json",
    "rendered/orderbook/nodes",
    "rendered/orderbook/nodes/node01",
    "rendered/orderbook/nodes/node01/user-data",
    "rendered/orderbook/nodes/node09/user-data",
    "rendered/orderbook/addons",
    "rendered/orderbook/addons/index.json",
    "rendered/orderbook/agent",
    "rendered/orderbook/agent/usr/local/lib/hardway/here.py",
    "rendered/orderbook/x",
    "rendered/orderbook/x/y/z",
)


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("hostile") / "project"
    assert run(["init", "--api", "28.51.100.7", "--directory", str(directory)]) == 0
    assert run(["render", "-f", str(directory / "cluster.yaml")]) == 0
    return directory


@pytest.fixture
def project(rendered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(rendered, tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "project"


def snapshot(directory: Path) -> dict[str, bytes | str]:
    found: dict[str, bytes | str] = {}
    for path in sorted(directory.rglob("*")):
        name = path.relative_to(directory).as_posix()
        if path.is_symlink():
            found[name] = f"-> {path.readlink()}"
        elif path.is_file():
            found[name] = path.read_bytes()
        else:
            found[name] = "directory" if path.is_dir() else "special"
    return found


def to_a_secret(outside: Path) -> Path:
    (outside / "secret").write_text(CANARY)
    return outside / "secret"


def to_the_environment(_: Path) -> Path:
    return Path("/proc/self/environ")


def to_a_directory(outside: Path) -> Path:
    for name in ("user-data", "inventory.yaml", "mine.yaml", "nodes/node01/user-data", "summary.md"):
        (outside / "taken" / name).parent.mkdir(parents=True, exist_ok=True)
        (outside / "taken" / name).write_text(CANARY)
    return outside / "taken"


def to_nothing(outside: Path) -> Path:
    return outside / "nothing"


@pytest.mark.parametrize("target", [to_a_secret, to_the_environment, to_a_directory, to_nothing])
@pytest.mark.parametrize("place", PLACES)
def test_no_link_is_followed(
    project: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    place: str,
    target: Callable[[Path], Path],
) -> None:
    monkeypatch.setenv("DIGITALOCEAN_TOKEN", CANARY)
    outside = tmp_path / "outside"
    outside.mkdir()
    link = project / place
    shutil.rmtree(link) if link.is_dir() else link.unlink(missing_ok=True)
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(target(outside))
    before, keys = snapshot(outside), snapshot(project / "keys")
    for arguments in (*READING, *WRITING):
        if arguments == ["release", "pin"] and not place.startswith("releases"):
            continue  # it asks registries
        run(arguments)
        said = capsys.readouterr()
        assert CANARY not in said.out + said.err, arguments
        assert snapshot(outside) == before, arguments
        assert link.is_symlink(), arguments
    assert keys.items() <= snapshot(project / "keys").items()


def test_keys_are_not_rendered_away(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keys = snapshot(project / "keys")
    shutil.rmtree(project / "rendered/orderbook")
    (project / "rendered/orderbook").symlink_to("../keys/orderbook")
    for arguments in (["render"], ["render", "--check"], ["check"], ["plan"]):
        assert run(arguments) == 1
        assert "rendered/orderbook: is a symbolic link" in capsys.readouterr().err
    assert snapshot(project / "keys") == keys


def test_what_is_not_ours_is_named_and_left_alone(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = project / "rendered/orderbook"
    (place / "x").symlink_to("../../keys/orderbook/operator.key")
    (place / "note.txt").write_text(CANARY)
    (place / "nodes/node01/\x1b[2J").write_text(CANARY)
    os.mkfifo(place / "pipe")
    before = snapshot(place)
    assert run(["render"]) == 0
    said = capsys.readouterr().err
    assert said.count("is not a file of ours, and was left alone") == 4
    assert "\x1b" not in said
    assert snapshot(place) == before
    assert run(["render", "--check"]) == 1
    said = capsys.readouterr().out
    assert said.count("and not a file of ours") == 4
    assert (CANARY in said, "PRIVATE KEY" in said, "\x1b" in said) == (False, False, False)


def test_what_is_removed_could_have_been_rendered_and_is_said(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = project / "rendered/orderbook"
    gone = ("nodes/node09/user-data", "addons/gone/deployment.yaml", "agent/usr/local/lib/hardway/gone.py")
    for path in gone:
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        (place / path).write_text("old\n")
    assert run(["render"]) == 0
    said = capsys.readouterr().err
    for path in gone:
        assert f"removed {Path('rendered/orderbook') / path}" in said
        assert not (place / path).exists()
    assert not (place / "nodes/node09").exists()
    assert (place / "nodes/node01/user-data").exists()


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: Path(path).mkdir(), lambda path: _socket(path)])
@pytest.mark.parametrize(
    "place", ["cluster.yaml", "rendered/orderbook/inventory.yaml", "rendered/orderbook/roster.json"]
)
def test_nothing_special_is_opened(
    project: Path, capsys: pytest.CaptureFixture[str], place: str, make: Callable[[str], None]
) -> None:
    (project / place).unlink()
    make(place)
    for arguments in (["render", "--check"], ["render"]):
        assert run(arguments) == 1
        assert "not a regular file" in capsys.readouterr().err or Path(place).is_dir()


def _socket(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(path)


@pytest.mark.parametrize("place", ["cluster.yaml", "releases/mine.yaml", "rendered/orderbook/inventory.yaml"])
def test_sizes_come_first(project: Path, capsys: pytest.CaptureFixture[str], place: str) -> None:
    (project / place).parent.mkdir(exist_ok=True)
    if place.startswith("releases"):
        description = (project / "cluster.yaml").read_text()
        (project / "cluster.yaml").write_text(description.replace("release: k8s-1.36 ", "release: mine "))
    with (project / place).open("wb") as file:
        file.truncate(3 << 30)
    assert run(["check"]) == 1
    assert "the file has 3,221,225,472 bytes, at most" in capsys.readouterr().err


def test_a_tree_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worktree, "LIMIT_ENTRIES", 10)
    (tmp_path / "many").mkdir()
    for number in range(11):
        (tmp_path / "many" / str(number)).touch()
    with pytest.raises(Problem, match="holds more than 10 files"):
        worktree.entries(tmp_path, "many")
    deep = tmp_path / "deep"
    for _ in range(40):
        deep /= "d"
    deep.mkdir(parents=True)
    with pytest.raises(Problem, match="directories are more than 32 deep"):
        worktree.entries(tmp_path, "deep")


def test_init_writes_through_no_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "outside").mkdir()
    for place in ("keys", "cluster.yaml", "keys/.gitignore", "keys/README.md"):
        project = tmp_path / place.replace("/", "-")
        (project / place).parent.mkdir(parents=True)
        (project / place).symlink_to(tmp_path / "outside" / "there", target_is_directory=place == "keys")
        assert run(["init", "--directory", str(project)]) == 1, place
        assert snapshot(tmp_path / "outside") == {}, place
        assert (project / place).is_symlink()


def rows(project: Path) -> list[str]:
    return (project / "rendered/orderbook/inventory.yaml").read_text().splitlines(keepends=True)


# What an attacker writes into a committed row, together with what makes the row agree with itself.
FORGED = base64.b64encode(bytes(range(32))).decode()
FORGERIES: dict[str, tuple[str, str, str]] = {
    "the operator's key": ("path: operator,", r"public: [^,}]+", f"public: {FORGED}"),
    "a node's WireGuard key": ("path: nodes/node02/wireguard,", r"public: [^,}]+", f"public: {FORGED}"),
    "when a certificate ends": ("path: admin,", r"expires: [^,}]+", "expires: '2099-01-01T00:00:00Z'"),
    "when an authority ends": ("path: kubernetes-ca,", r"expires: [^,}]+", "expires: '2099-01-01T00:00:00Z'"),
    "a certificate's fingerprint": ("path: nodes/node01/kubelet,", r"sha256: [^,}]+", f"sha256: {'0' * 64}"),
    "whose a certificate is": ("path: admin,", r"CN=admin", "CN=nobody"),
    "a server's names": ("path: nodes/node01/apiserver,", r"DNS:localhost", "DNS:example.org"),
    "a secret's fingerprint": ("path: addons/order-book/postgres/password,", r"sha256: [^,}]+", f"sha256: {'0' * 64}"),
}


@pytest.mark.parametrize("agrees_with_itself", [False, True])
@pytest.mark.parametrize("what", FORGERIES)
def test_no_committed_fact_is_believed_where_the_keys_are(
    project: Path, capsys: pytest.CaptureFixture[str], what: str, agrees_with_itself: bool
) -> None:
    start, old, new = FORGERIES[what]
    changed = [re.sub(old, new, row) if start in row else row for row in rows(project)]
    if agrees_with_itself and "public" in new:
        digest = sha256(base64.b64decode(FORGED)).hexdigest()
        changed = [re.sub(r"sha256: [^,}]+", f"sha256: {digest}", row) if start in row else row for row in changed]
    assert changed != rows(project)
    (project / "rendered/orderbook/inventory.yaml").write_text("".join(changed))
    before = snapshot(project)
    assert run(["render"]) == 1
    assert snapshot(project) == before
    capsys.readouterr()
    with pytest.raises((Problem, Problems)):
        launchable.prepare(Project.load(project / "cluster.yaml"), now=datetime.now(UTC))
    if not agrees_with_itself and "public" in new:
        assert run(["check"]) == 1, "the row contradicts itself, which shows without keys"


def test_two_nodes_never_have_one_number(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = project / "rendered/orderbook/inventory.yaml"
    path.write_text(path.read_text().replace("node02: 2\n", "node02: 2\n  work01: 1\n", 1))
    for arguments in (*READING[:3], ["render"]):
        assert run(arguments) == 1
        said = capsys.readouterr().err
        assert "`work01` and `node01` both have number 1: one address for two nodes" in said
