"""Kubeconfigs: who is in which, and where each leads."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
import yaml

from generator.pki import kubeconfig
from generator.pki.issue import read_certificate, read_key, sans, subject
from generator.pki.store import KeyStore
from generator.plan.decide import Plan
from tests.keyring import made


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> tuple[Plan, KeyStore]:
    plan, store, _ = made(tmp_path_factory.mktemp("keys") / "orderbook", control_planes=1, workers=1)
    return plan, store


def subject_of(config: dict[str, Any]) -> str:
    return subject(read_certificate(base64.b64decode(config["users"][0]["user"]["client-certificate-data"])))


def test_a_node_gets_the_kubeconfigs_of_its_role(cluster: tuple[Path, KeyStore]) -> None:
    plan, store = cluster
    texts = {node.name: kubeconfig.node_files(plan, node, store) for node in plan.nodes}
    found = {
        node: {file: subject_of(yaml.safe_load(text)) for file, text in files.items()} for node, files in texts.items()
    }
    assert found == {
        "node01": {
            "kubelet.conf": "CN=system:node:node01,O=system:nodes",
            "proxy.conf": "CN=system:kube-proxy",
            "controller-manager.conf": "CN=system:kube-controller-manager",
            "scheduler.conf": "CN=system:kube-scheduler",
            "bootstrap.conf": "CN=hardway-bootstrap,O=system:masters",
        },
        "worker01": {
            "kubelet.conf": "CN=system:node:worker01,O=system:nodes",
            "proxy.conf": "CN=system:kube-proxy",
        },
    }


def test_every_kubeconfig_of_a_node_leads_to_its_own_balancer(cluster: tuple[Plan, KeyStore]) -> None:
    plan, store = cluster
    for node in plan.nodes:
        for text in kubeconfig.node_files(plan, node, store).values():
            config = yaml.safe_load(text)
            assert config["clusters"][0]["cluster"] == {
                "server": "https://127.0.0.1:7443",
                "certificate-authority-data": base64.b64encode(store.certificate("kubernetes-ca")).decode(),
            }
            assert config["current-context"] == config["contexts"][0]["name"]
            assert config["contexts"][0]["context"]["user"] == config["users"][0]["name"]
            assert config["contexts"][0]["context"]["cluster"] == config["clusters"][0]["name"]


def administrators(plan: Plan, store: KeyStore, proxy: str | None) -> str:
    pair = store.certificate("admin"), store.key("admin")
    return kubeconfig.admin(plan, store.certificate("kubernetes-ca"), pair, "https://203.0.113.101:6443", proxy)


def test_the_kubeconfig_of_every_day_holds_a_token_and_no_key(cluster: tuple[Plan, KeyStore]) -> None:
    plan, store = cluster
    text = kubeconfig.operator(plan, store.certificate("kubernetes-ca"), "t.o.k", "https://203.0.113.101:6443", None)
    config = yaml.safe_load(text)
    assert config["users"] == [{"name": "operator", "user": {"token": "t.o.k"}}]
    assert config["contexts"][0]["context"]["user"] == "operator"
    assert config["clusters"][0]["cluster"]["tls-server-name"] == plan.api_server_name


def test_the_operator_checks_a_planned_name_at_an_address_of_chance(cluster: tuple[Plan, KeyStore]) -> None:
    plan, store = cluster
    config = yaml.safe_load(administrators(plan, store, "http://127.0.0.1:3128"))
    target = config["clusters"][0]["cluster"]
    assert target["server"] == "https://203.0.113.101:6443"
    assert target["proxy-url"] == "http://127.0.0.1:3128"
    served = sans(read_certificate(store.certificate("nodes/node01/apiserver")))
    assert f"DNS:{target['tls-server-name']}" in served
    assert subject_of(config) == "CN=admin,O=system:masters"


def test_without_a_proxy_none_is_named(cluster: tuple[Plan, KeyStore]) -> None:
    plan, store = cluster
    assert "proxy-url" not in administrators(plan, store, None)


def test_key_and_certificate_of_a_kubeconfig_belong_together(cluster: tuple[Plan, KeyStore]) -> None:
    plan, store = cluster
    texts = [administrators(plan, store, None)]
    texts += [text for node in plan.nodes for text in kubeconfig.node_files(plan, node, store).values()]
    for text in texts:
        user = yaml.safe_load(text)["users"][0]["user"]
        certificate = read_certificate(base64.b64decode(user["client-certificate-data"]))
        assert read_key(base64.b64decode(user["client-key-data"])).public_key() == certificate.public_key()
