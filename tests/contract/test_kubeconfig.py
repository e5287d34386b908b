"""Kubeconfigs, read by kubectl itself, and used to shake hands with the server they name."""

from __future__ import annotations

import base64
import json
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from generator.pki import kubeconfig
from generator.pki.store import KeyStore
from generator.plan.decide import Plan
from tests.contract.binaries import find
from tests.keyring import made

SERVER = "https://203.0.113.101:6443"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> tuple[Plan, KeyStore]:
    store_path = tmp_path_factory.mktemp("keys") / "orderbook"
    plan, store, _ = made(store_path, now=datetime.now(UTC), control_planes=1, workers=0)
    return plan, store


@pytest.fixture(scope="module")
def texts(cluster: tuple[Plan, KeyStore]) -> dict[str, str]:
    plan, store = cluster
    pair = store.certificate("admin"), store.key("admin")
    admin = kubeconfig.admin(plan, store.certificate("kubernetes-ca"), pair, SERVER, "http://127.0.0.1:3128")
    return {"admin.conf": admin, **kubeconfig.node_files(plan, plan.node("node01"), store)}


def view(path: Path, *arguments: str) -> dict[str, Any]:
    command = [str(find("kubectl")["kubectl"]), "config", "view", "--kubeconfig", str(path), "-o", "json", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return dict(json.loads(done.stdout))


NAMES = ("admin.conf", "kubelet.conf", "proxy.conf", "controller-manager.conf", "scheduler.conf", "bootstrap.conf")


@pytest.mark.parametrize("name", NAMES)
def test_kubectl_reads_all_that_is_written(texts: dict[str, str], tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text(texts[name])
    # `--minify` follows the current context and fails where that leads nowhere.
    seen = view(path, "--raw", "--minify")
    target = seen["clusters"][0]["cluster"]
    if name == "admin.conf":
        assert target["server"] == SERVER
        assert target["tls-server-name"] == "api.orderbook.internal"
        assert target["proxy-url"] == "http://127.0.0.1:3128"
    else:
        assert target["server"] == "https://127.0.0.1:7443"
        assert target.keys() == {"server", "certificate-authority-data"}
    assert seen["users"][0]["user"].keys() == {"client-certificate-data", "client-key-data"}


@pytest.mark.parametrize("name", NAMES)
def test_openssl_trusts_what_is_in_it(texts: dict[str, str], tmp_path: Path, name: str) -> None:
    config = yaml.safe_load(texts[name])
    user = config["users"][0]["user"]
    authority, certificate, key = (tmp_path / part for part in ("ca.crt", "tls.crt", "tls.key"))
    authority.write_bytes(base64.b64decode(config["clusters"][0]["cluster"]["certificate-authority-data"]))
    certificate.write_bytes(base64.b64decode(user["client-certificate-data"]))
    key.write_bytes(base64.b64decode(user["client-key-data"]))
    command = ["openssl", "verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", str(authority)]
    subprocess.run([*command, str(certificate)], check=True, capture_output=True)
    public = [
        subprocess.run(["openssl", *arguments], check=True, capture_output=True).stdout
        for arguments in (
            ("pkey", "-in", str(key), "-pubout"),
            ("x509", "-in", str(certificate), "-noout", "-pubkey"),
        )
    ]
    assert public[0] == public[1]


def test_the_server_bears_the_name_that_kubectl_will_check(
    cluster: tuple[Plan, KeyStore], texts: dict[str, str], tmp_path: Path
) -> None:
    _, store = cluster
    target = yaml.safe_load(texts["admin.conf"])["clusters"][0]["cluster"]
    (tmp_path / "ca.crt").write_bytes(base64.b64decode(target["certificate-authority-data"]))
    (tmp_path / "apiserver.crt").write_bytes(store.certificate("nodes/node01/apiserver"))
    command = ["openssl", "verify", "-purpose", "sslserver", "-CAfile", str(tmp_path / "ca.crt")]
    command += ["-verify_hostname", target["tls-server-name"], str(tmp_path / "apiserver.crt")]
    subprocess.run(command, check=True, capture_output=True)
