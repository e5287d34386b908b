"""The kubeconfig of every day, by a real API server: it opens the cluster, ends by itself, and can be taken away."""

from __future__ import annotations

import base64
import json
import stat
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from generator.cluster import access, kube_api
from generator.cluster.access import ACCOUNT, Access, expiry
from generator.cluster.kube_api import Credentials, Kube
from generator.documents import addons
from generator.errors import Problem
from generator.plan.decide import Plan
from tests import keyring
from tests.contract import api_server, binaries
from tests.contract.api_server import ApiServer
from tests.contract.test_addons import APPLY

NEEDED = ("namespace.yaml", "service-account-operator.yaml", "cluster-role-binding-operator.yaml")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    tools = binaries.find(*api_server.TOOLS)
    with api_server.running(tmp_path_factory.mktemp("api-server"), tools) as running:
        (running.directory / "kubernetes-ca.crt").write_bytes((running.directory / "ca.crt").read_bytes())
        yield running


@pytest.fixture
def kube(server: ApiServer, monkeypatch: pytest.MonkeyPatch) -> Kube:
    monkeypatch.setattr(kube_api, "API_PORT", server.port)
    files = (server.directory / name for name in ("ca.crt", "admin.crt", "admin.key"))
    return Kube("127.0.0.1", Credentials(*files, "127.0.0.1"), None)


@pytest.fixture
def applied(server: ApiServer) -> None:
    manifests = addons.manifests(replace(keyring.planned(), addons=()))
    for name in NEEDED:
        file = server.directory / name
        file.write_bytes(manifests[f"base/{name}"])
        done = server.kubectl(*APPLY, str(file))
        assert done.returncode == 0, done.stderr


def plan_for(server: ApiServer) -> Plan:
    return replace(keyring.planned(), api_port=server.port)


def kubectl(server: ApiServer, path: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run kubectl with a kubeconfig; the test's certificate has an address and no planned name."""
    config = yaml.safe_load(path.read_text())
    del config["clusters"][0]["cluster"]["tls-server-name"]
    changed = server.directory / "used.conf"
    changed.write_text(yaml.safe_dump(config))
    return server.kubectl(*words, kubeconfig=str(changed))


def claims(path: Path) -> dict[str, object]:
    token = yaml.safe_load(path.read_text())["users"][0]["user"]["token"]
    body = token.split(".")[1]
    return dict(json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))))


def test_before_the_addons_there_is_none_and_it_says_so(server: ApiServer, kube: Kube) -> None:
    with pytest.raises(Problem, match="gives no token of `hardway/operator`") as caught:
        Access(plan_for(server), server.directory, "127.0.0.1", None).daily(kube, access.LONGEST)
    assert "`gen launch`" in (caught.value.hint or "")


def test_it_opens_the_cluster_for_a_day(server: ApiServer, kube: Kube, applied: None) -> None:
    ways = Access(plan_for(server), server.directory, "127.0.0.1", None)
    path = ways.daily(kube, access.LONGEST)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert yaml.safe_load(path.read_text())["users"][0]["user"].keys() == {"token"}
    assert kubectl(server, path, "auth", "can-i", "*", "*", "-A").stdout.strip() == "yes"
    said = claims(path)
    assert said["sub"] == "system:serviceaccount:hardway:operator"
    ends = datetime.fromtimestamp(int(str(said["exp"])), UTC)
    assert timedelta(hours=23) < ends - datetime.now(UTC) <= timedelta(hours=24, seconds=5)
    assert expiry(server.directory) == f"{ends:%Y-%m-%dT%H:%M:%SZ}"
    before = path.read_text()
    time.sleep(1.1)
    assert ways.daily(kube, access.LONGEST).read_text() != before, "it is renewed"
    short = claims(ways.daily(kube, access.SHORTEST))
    assert int(str(short["exp"])) - int(str(short["iat"])) == 600


def test_nobody_gets_a_longer_one(server: ApiServer, kube: Kube, applied: None) -> None:
    token = kube.token(ACCOUNT, timedelta(days=365))
    assert token is not None
    body = token.split(".")[1]
    said = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    assert said["exp"] - said["iat"] <= 24 * 3600


def test_removing_the_binding_ends_it_at_once(server: ApiServer, kube: Kube, applied: None) -> None:
    path = Access(plan_for(server), server.directory, "127.0.0.1", None).daily(kube, access.LONGEST)
    assert kubectl(server, path, "get", "secrets", "-A").returncode == 0
    assert server.kubectl("delete", "clusterrolebinding", "hardway-operator").returncode == 0
    refused = kubectl(server, path, "get", "secrets", "-A")
    assert "forbidden" in refused.stderr


def test_the_certificate_is_in_it_only_when_asked_for(server: ApiServer, kube: Kube, applied: None) -> None:
    ways = Access(plan_for(server), server.directory, "127.0.0.1", None)
    path = ways.certificate()
    assert path != ways.daily(kube, access.LONGEST)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert kubectl(server, path, "auth", "can-i", "*", "*", "-A").stdout.strip() == "yes"
