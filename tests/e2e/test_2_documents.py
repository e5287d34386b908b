"""What was reviewed is what booted."""

from __future__ import annotations

import base64
import email
import hashlib
import json

import yaml

from tests.e2e.harness import NODES, Cluster


def test_cloud_init_got_the_committed_document(cluster: Cluster) -> None:
    for node in NODES:
        committed = (cluster.directory / "rendered" / cluster.name / "nodes" / node / "user-data").read_bytes()
        raw = base64.b64decode(cluster.on(node, "base64", "/var/lib/cloud/instance/user-data.txt").stdout)
        first = email.message_from_bytes(raw).get_payload()[0]  # type: ignore[index]
        assert first.get_content_type() == "text/cloud-config"  # type: ignore[union-attr]
        assert hashlib.sha256(first.get_payload(decode=True)).hexdigest() == hashlib.sha256(committed).hexdigest()  # type: ignore


def test_every_file_of_the_document_lies_on_the_disk(cluster: Cluster) -> None:
    reader = (
        "import hashlib,json,os,pwd,sys\n"
        "for p in json.load(sys.stdin):\n"
        " s=os.stat(p)\n"
        " d=hashlib.sha256(open(p,'rb').read()).hexdigest()\n"
        " print(p, d, oct(s.st_mode&0o7777), pwd.getpwuid(s.st_uid).pw_name)"
    )
    for node in NODES:
        path = cluster.directory / "rendered" / cluster.name / "nodes" / node / "user-data"
        files = yaml.safe_load(path.read_text())["write_files"]
        names = json.dumps([entry["path"] for entry in files])
        done = cluster.on(node, "sh", "-c", f"echo '{names}' | python3 -c \"{reader}\"")
        found = {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines()}
        for entry in files:
            digest, mode, owner = found[entry["path"]]
            assert digest == hashlib.sha256(entry["content"].encode()).hexdigest(), entry["path"]
            assert int(mode, 8) == int(entry.get("permissions", "0644"), 8), entry["path"]
            assert owner == entry.get("owner", "root:root").split(":")[0], entry["path"]


def test_no_unit_failed_and_cloud_init_is_content(cluster: Cluster) -> None:
    for node in NODES:
        failed = cluster.on(node, "systemctl", "list-units", "--failed", "--plain", "--no-legend").stdout
        assert failed.strip() == "", f"{node}: {failed}"
        status = json.loads(cluster.on(node, "cloud-init", "status", "--format", "json", check=False).stdout)
        assert status["errors"] == [], node
        assert status["status"] == "done", node


def test_rendering_again_changes_nothing(cluster: Cluster) -> None:
    cluster.gen("render", "--check")
