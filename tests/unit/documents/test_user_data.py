"""Documents: a file's place in the tree is its place on the node, and what reads back is what was meant."""

from __future__ import annotations

import random
import string
import subprocess
from pathlib import Path

import pytest
import yaml

from generator.documents import user_data
from generator.errors import Problem, Problems
from generator.plan.decide import Plan
from tests.described import TUTORIAL

from ... import facts


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    file = tmp_path / "cluster.yaml"
    file.write_text(TUTORIAL)
    return facts.load(file).plan


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for role in ("node", "controlplane", "worker"):
        (tmp_path / "userdata" / role).mkdir(parents=True)
    return tmp_path / "userdata"


def put(root: Path, path: str, text: str) -> Path:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def read(text: str) -> dict[str, dict[str, str]]:
    return {file["path"]: file for file in yaml.safe_load(text)["write_files"]}


def test_place_mode_and_rendering(root: Path, plan: Plan) -> None:
    put(root, "node/etc/motd", "{{ not a template }}\n")
    put(root, "node/etc/hostname.j2", "{{ node.name }} {{ plan.name }}\n")
    put(root, "node/usr/local/sbin/tool", "#!/bin/sh\n")
    put(root, "controlplane/etc/systemd/system/etcd.service", "[Service]\n")
    put(root, "worker/etc/worker", "x\n")
    files = read(user_data.document(plan, plan.nodes[0], root=root))
    assert files["/etc/motd"]["content"] == "{{ not a template }}\n"
    assert files["/etc/hostname"]["content"] == "node01 orderbook\n"
    assert files["/usr/local/sbin/tool"]["permissions"] == "0755"
    assert files["/etc/systemd/system/etcd.service"]["permissions"] == "0600"
    assert "permissions" not in files["/etc/motd"]
    assert "/etc/worker" not in files


@pytest.mark.parametrize("mode", [0o600, 0o777])
def test_modes_on_the_node_do_not_depend_on_those_of_the_checkout(root: Path, plan: Plan, mode: int) -> None:
    put(root, "node/usr/local/sbin/tool", "#!/bin/sh\n").chmod(mode)
    put(root, "node/etc/motd", "x\n").chmod(mode)
    files = read(user_data.document(plan, plan.nodes[0], root=root))
    assert files["/usr/local/sbin/tool"]["permissions"] == "0755"
    assert "permissions" not in files["/etc/motd"]


def test_every_file_is_a_plain_block_and_reads_back(root: Path, plan: Plan) -> None:
    rng = random.Random(20261122)
    texts = ["\n", "\n\nx\n", "  indented first\nx\n", "# x\n---\n...\n- a\n", "'\n", "a: |\n  b\n", "x\n\n\n"]
    letters = string.digits + string.ascii_letters + string.punctuation + "   \n\n"
    for _ in range(200):
        text = "".join(rng.choice(letters) for _ in range(rng.randrange(120)))
        texts.append("\n".join(line.rstrip() for line in text.split("\n")) + "\n")
    for number, text in enumerate(texts):
        put(root, f"node/etc/x{number:03}", text)
    document = user_data.document(plan, plan.nodes[0], root=root)
    files = read(document)
    assert [files[f"/etc/x{number:03}"]["content"] for number in range(len(texts))] == texts
    assert document.count("  content: |") == len(files)
    assert document.isascii()


def test_head_and_what_runs(root: Path, plan: Plan) -> None:
    text = user_data.document(plan, plan.nodes[0], root=root)
    assert text.startswith("#cloud-config\n")
    config = yaml.safe_load(text)
    assert config["manage_etc_hosts"] is False
    assert config["ssh_pwauth"] is False
    assert config["disable_root"] is True
    assert config["allow_public_ssh_keys"] is False
    assert config["vendor_data"] == {"enabled": False}
    assert config["users"] == []
    assert config["runcmd"] == [
        user_data.FORGET,
        ["systemctl", "daemon-reload"],
        ["systemctl", "start", "--no-block", "hardway.target"],
    ]
    masking, overdue = config["bootcmd"]
    assert overdue[:5] == ["systemd-run", "--no-block", "--quiet", "sh", "-c"]
    assert overdue[5].startswith("sleep 180\n")
    assert {"mask", "ssh.service", "ssh.socket"} <= set(masking)
    assert not {"password", "chpasswd", "user", "ssh_authorized_keys", "ssh_import_id", "packages"} & config.keys()


def test_a_large_document_names_its_largest_files(root: Path, plan: Plan) -> None:
    put(root, "node/etc/large", "x\n" * 12_000)
    put(root, "node/etc/larger", "y\n" * 13_000)
    with pytest.raises(Problem) as caught:
        user_data.document(plan, plan.nodes[0], root=root)
    assert caught.value.where == "node01"
    assert "at most 49,152" in caught.value.message
    assert (caught.value.hint or "").startswith("largest files: /etc/larger (26,000), /etc/large (24,000)")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x \n", "white space at the end of a line"),
        ("a\tb\n", "not plain ASCII, or a tab"),
        ("a\u00e9\n", "not plain ASCII, or a tab"),
        ("a\x1b\n", "not plain ASCII, or a tab"),
        ("a\r\n", "not plain ASCII, or a tab"),
        ("x", "no newline"),
        ("", "no newline"),
    ],
)
def test_what_can_be_no_block_is_refused(root: Path, plan: Plan, text: str, message: str) -> None:
    put(root, "node/etc/x", "").write_bytes(text.encode())
    with pytest.raises(Problems) as caught:
        user_data.files(plan, plan.nodes[0], root=root)
    assert message in str(caught.value)


def test_two_files_of_one_path_are_refused(root: Path, plan: Plan) -> None:
    put(root, "node/etc/x", "a\n")
    put(root, "controlplane/etc/x.j2", "b\n")
    with pytest.raises(Problems) as caught:
        user_data.files(plan, plan.nodes[0], root=root)
    assert "`/etc/x` is made by two files" in str(caught.value)


def test_all_wrong_templates_are_named_at_once(root: Path, plan: Plan) -> None:
    put(root, "node/etc/a.j2", "x\n{{ plan.nothing }}\n")
    put(root, "controlplane/etc/b.j2", "{{ nothing }}\n")
    with pytest.raises(Problems) as caught:
        user_data.files(plan, plan.nodes[0], root=root)
    assert [problem.where for problem in caught.value.problems] == [
        "userdata/node/etc/a.j2:2",
        "userdata/controlplane/etc/b.j2:1",
    ]


def test_what_an_image_says_was_installed_counts_for_nothing_and_what_it_has_fetched_stays(tmp_path: Path) -> None:
    there = tmp_path / "installed"
    there.mkdir()
    kept = {f"kubelet-{'0f' * 32}.part", "age.part"}
    for name in (*kept, *(f"{each}-{digit * 64}" for each in ("agent", "kubelet") for digit in "0123456789abcdef")):
        (there / name).touch()
    for _ in range(2):
        subprocess.run(["sh", "-euc", user_data.FORGET.replace("/opt/hardway/installed", str(there))], check=True)
        assert {path.name for path in there.iterdir()} == kept
