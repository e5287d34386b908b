"""Sealed secrets of addons as a real API server takes them from the bootstrap job, and as it lets them go."""

from __future__ import annotations

import base64
import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from generator.documents import addons
from generator.files import resource
from generator.pki import addon_secrets as texts
from generator.pki import sealing
from tests.contract import api_server, binaries
from tests.contract.api_server import ApiServer

sys.path.insert(0, str(resource("userdata") / "agent/usr/local/lib"))

from hardway import addon_secrets, here, kubectl
from hardway import addons as applying

CLUSTER_ID = "3f0e8a52-6a8e-4b0e-9f4c-1a2b3c4d5e6f"
KEY = bytes(range(32))
WORD, PULL = "addons/order-book/postgres/password", "addons/order-book/registry/.dockerconfigjson"
SITE = "addons/order-book/site/tls"
NAMESPACE = "apiVersion: v1\nkind: Namespace\nmetadata: {name: order-book}\n"
DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: book, namespace: order-book}
spec:
  selector: {matchLabels: {a: b}}
  template:
    metadata:
      labels: {a: b}
      annotations: {hardway/secret-postgres: "@secret/order-book/postgres@"}
    spec:
      containers: [{name: a, image: a}]
"""
INDEX = {
    "version": 1,
    "addons": [
        {
            "name": "order-book",
            "manifests": ["order-book/namespace.yaml", "order-book/deployment.yaml"],
            "namespaces": ["order-book"],
            "wait": [],
            "withdraw": [],
        }
    ],
}
FILES = {
    "index.json": json.dumps(INDEX).encode(),
    "order-book/namespace.yaml": NAMESPACE.encode(),
    "order-book/deployment.yaml": DEPLOYMENT.encode(),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with api_server.running(tmp_path_factory.mktemp("api-server"), binaries.find(*api_server.TOOLS)) as running:
        yield running


@pytest.fixture
def node(server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A control-plane node whose job speaks to the server."""

    command = (str(server.tools["kubectl"]), f"--kubeconfig={server.directory / 'admin.conf'}")
    monkeypatch.setattr(kubectl, "KUBECTL", command)
    monkeypatch.setattr(here, "ROOT", tmp_path)
    here.write(here.FACTS, json.dumps({"cluster_id": CLUSTER_ID}))
    here.write(addon_secrets.KEY, base64.b64encode(KEY))
    return tmp_path


def apply(files: dict[str, bytes], generation: int) -> dict[str, Any]:
    """Let the job apply what a roster pins, from what is kept on the node."""
    sealed = sealing.seal(sealing.ADDON_SECRETS, texts.document(texts.parse(files)), KEY, CLUSTER_ID)
    archive = addons.archive(FILES)
    roster: dict[str, Any] = {"addons": hashlib.sha256(archive).hexdigest(), "generation": generation}
    roster["secrets"] = hashlib.sha256(sealed).hexdigest()
    here.write(f"/var/lib/hardway/addons/{roster['addons']}.tar", archive)
    here.write(f"/var/lib/hardway/addons/{roster['secrets']}.sealed", sealed)
    applying.apply(roster)
    return roster


def found(server: ApiServer) -> dict[str, Any]:
    done = server.kubectl("get", "secrets", "-n", "order-book", "-o", "json")
    return {one["metadata"]["name"]: one for one in json.loads(done.stdout)["items"]}


def mark(server: ApiServer) -> str:
    path = "jsonpath={.spec.template.metadata.annotations.hardway/secret-postgres}"
    return server.kubectl("get", "deployment", "book", "-n", "order-book", "-o", path).stdout


def test_secrets_come_change_their_type_and_go(server: ApiServer, node: Path) -> None:
    pair = {f"{SITE}.crt": (server.directory / "server.crt").read_bytes()}
    pair[f"{SITE}.key"] = (server.directory / "server.key").read_bytes()
    roster = apply({WORD: b"one", PULL: b'{"auths": {}}', "addons/order-book/site/word": b"x"}, 1)
    first, before = found(server), mark(server)
    assert {name: one["type"] for name, one in first.items()} == {
        "postgres": "Opaque",
        "registry": "kubernetes.io/dockerconfigjson",
        "site": "Opaque",
    }
    assert first["postgres"]["data"] == {"password": base64.b64encode(b"one").decode()}
    record = json.loads(server.kubectl("get", "configmap", "hardway", "-n", "kube-system", "-o", "json").stdout)
    assert record["data"] == {**roster, "generation": "1"}

    apply({WORD: b"one", PULL: b'{"auths": {}}', "addons/order-book/site/word": b"x"}, 2)
    assert found(server) == first, "nothing has changed, nothing is written"
    assert mark(server) == before

    server.kubectl("create", "secret", "generic", "foreign", "-n", "order-book", "--from-literal=a=b")
    apply({WORD: b"two", **pair}, 3)
    after = found(server)
    assert {name: one["type"] for name, one in after.items()} == {
        "postgres": "Opaque",
        "site": "kubernetes.io/tls",
        "foreign": "Opaque",
    }
    assert after["postgres"]["data"] == {"password": base64.b64encode(b"two").decode()}
    assert after["postgres"]["metadata"]["uid"] == first["postgres"]["metadata"]["uid"]
    assert mark(server) not in ("", before, "@secret/order-book/postgres@")

    apply({f"{WORD}-2": b"x"}, 4)
    assert found(server)["postgres"]["data"] == {"password-2": base64.b64encode(b"x").decode()}
    apply({}, 5)
    assert found(server).keys() == {"foreign"}
    assert mark(server) == "none"
