"""The rows of the CIS Kubernetes benchmark that rendered files decide, each by its number.

What a node that runs shows is judged by kube-bench itself, by an older benchmark: `tests/e2e/test_3_benchmark.py`.

Source: the rows that kube-bench checks as `cis-1.12`, https://github.com/aquasecurity/kube-bench/tree/main/cfg/cis-1.12
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from generator.documents import user_data
from generator.plan.decide import Plan
from tests.described import TUTORIAL

from .. import facts

STRONG = {
    f"TLS_ECDHE_{key}_WITH_AES_{cipher}" for key in ("ECDSA", "RSA") for cipher in ("128_GCM_SHA256", "256_GCM_SHA384")
}
Flags = Mapping[str, str]


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    file = tmp_path_factory.mktemp("cis") / "cluster.yaml"
    file.write_text(TUTORIAL)
    return facts.load(file).plan


@pytest.fixture(scope="module")
def files(plan: Plan) -> dict[str, user_data.NodeFile]:
    return {str(file.path): file for file in user_data.files(plan, plan.nodes[0])}


def flags(files: Mapping[str, user_data.NodeFile], unit: str) -> dict[str, str]:
    text = files[f"/etc/systemd/system/{unit}.service"].content.replace("\\\n", " ")
    (command,) = re.findall(r"^ExecStart=(.*)$", text, re.M)
    words = [word.removeprefix("--").partition("=") for word in command.split() if word.startswith("--")]
    return {name: value for name, _, value in words}


def config(files: Mapping[str, user_data.NodeFile], path: str) -> dict[str, Any]:
    read = yaml.safe_load(files[path].content)
    assert isinstance(read, dict)
    return read


def is_(name: str, value: str) -> Callable[[Flags], bool]:
    return lambda given: given.get(name) == value


def given(*names: str) -> Callable[[Flags], bool]:
    return lambda flags: all(flags.get(name) for name in names)


def absent(*names: str) -> Callable[[Flags], bool]:
    return lambda flags: not flags.keys() & set(names)


def among(name: str, *values: str) -> Callable[[Flags], bool]:
    return lambda flags: set(values) <= set(flags.get(name, "").split(","))


def at_least(name: str, number: int) -> Callable[[Flags], bool]:
    return lambda flags: int(flags.get(name, "0")) >= number


def strong(name: str) -> Callable[[Flags], bool]:
    return lambda flags: bool(flags.get(name)) and set(flags[name].split(",")) <= STRONG


API_SERVER = {
    "1.2.1 asks nobody in by flag": absent("anonymous-auth"),
    "1.2.2": absent("token-auth-file"),
    "1.2.3": among("enable-admission-plugins", "DenyServiceExternalIPs"),
    "1.2.4": given("kubelet-client-certificate", "kubelet-client-key"),
    "1.2.5": given("kubelet-certificate-authority"),
    "1.2.6 to 1.2.8": is_("authorization-mode", "Node,RBAC"),
    "1.2.10, 1.2.12, 1.2.13": absent("disable-admission-plugins"),
    "1.2.14": among("enable-admission-plugins", "NodeRestriction"),
    "1.2.15": is_("profiling", "false"),
    "1.2.16": given("audit-log-path"),
    "1.2.17": at_least("audit-log-maxage", 30),
    "1.2.18": at_least("audit-log-maxbackup", 10),
    "1.2.19": at_least("audit-log-maxsize", 100),
    "1.2.20": absent("request-timeout"),
    "1.2.21": absent("service-account-lookup"),
    "1.2.22": given("service-account-key-file", "service-account-signing-key-file", "service-account-issuer"),
    "1.2.23": given("etcd-certfile", "etcd-keyfile"),
    "1.2.24": given("tls-cert-file", "tls-private-key-file"),
    "1.2.25": given("client-ca-file"),
    "1.2.26": given("etcd-cafile"),
    "1.2.27": given("encryption-provider-config"),
    "1.2.29": strong("tls-cipher-suites"),
    "1.2.29 with TLS 1.2 at least": lambda flags: flags.get("tls-min-version") in ("VersionTLS12", "VersionTLS13"),
    "1.2.30": is_("service-account-extend-token-expiration", "false"),
    "3.1": absent("enable-bootstrap-token-auth"),
    "3.2.1": given("audit-policy-file"),
}
CONTROLLER_MANAGER = {
    "1.3.1": given("terminated-pod-gc-threshold"),
    "1.3.2": is_("profiling", "false"),
    "1.3.3": is_("use-service-account-credentials", "true"),
    "1.3.4": given("service-account-private-key-file"),
    "1.3.5": given("root-ca-file"),
    "1.3.6": lambda flags: "RotateKubeletServerCertificate" not in flags.get("feature-gates", ""),
    "1.3.7": is_("bind-address", "127.0.0.1"),
    "no node can sign a certificate": absent("cluster-signing-cert-file", "cluster-signing-key-file"),
}
SCHEDULER = {
    "1.4.1": is_("profiling", "false"),
    "1.4.2": is_("bind-address", "127.0.0.1"),
}
ETCD = {
    "2.1": given("cert-file", "key-file"),
    "2.2": is_("client-cert-auth", "true"),
    "2.3": absent("auto-tls"),
    "2.4": given("peer-cert-file", "peer-key-file"),
    "2.5": is_("peer-client-cert-auth", "true"),
    "2.6": absent("peer-auto-tls"),
    "2.7": lambda flags: flags["trusted-ca-file"] != flags["peer-trusted-ca-file"],
    "a client's certificate opens no peer port": given("peer-cert-allowed-cn"),
    "metrics stay on the node": lambda flags: flags.get("listen-metrics-urls", "").startswith("http://127.0.0.1:"),
    "nothing unsafe": absent("force-new-cluster", "unsafe-no-fsync", "enable-pprof"),
    "a cluster is never formed by a document": absent("initial-cluster", "initial-cluster-state"),
}
KUBELET = {
    "4.2.7": absent("hostname-override"),
}
TABLE = [
    (unit, name, check)
    for unit, rows in (
        ("kube-apiserver", API_SERVER),
        ("kube-controller-manager", CONTROLLER_MANAGER),
        ("kube-scheduler", SCHEDULER),
        ("etcd", ETCD),
        ("kubelet", KUBELET),
    )
    for name, check in rows.items()
]


@pytest.mark.parametrize(("unit", "name", "check"), TABLE, ids=[f"{unit}: {name}" for unit, name, _ in TABLE])
def test_flags(files: dict[str, user_data.NodeFile], unit: str, name: str, check: Callable[[Flags], bool]) -> None:
    assert check(flags(files, unit)), (name, flags(files, unit))


def test_1_1_files_are_for_root_alone(files: dict[str, user_data.NodeFile]) -> None:
    private = ("/etc/systemd/system/", "/etc/cni/net.d/", "/etc/kubernetes/", "/var/lib/kubelet/", "/etc/hardway/")
    found = {path: file.mode for path, file in files.items() if path.startswith(private)}
    assert len(found) > 20
    assert set(found.values()) == {0o600}


def test_1_1_13_no_administrator_is_on_a_node(files: dict[str, user_data.NodeFile]) -> None:
    assert not [path for path in files if path.endswith(("admin.conf", "super-admin.conf"))]


def test_1_2_1_anonymous_requests_see_health_alone(files: dict[str, user_data.NodeFile]) -> None:
    (path,) = [path for path in files if path.endswith("/authentication.yaml")]
    assert flags(files, "kube-apiserver")["authentication-config"] == path
    anonymous = config(files, path)["anonymous"]
    assert {condition["path"] for condition in anonymous["conditions"]} <= {"/healthz", "/livez", "/readyz"}


def test_3_2_2_the_audit_policy_keeps_no_bodies(files: dict[str, user_data.NodeFile]) -> None:
    rules = config(files, flags(files, "kube-apiserver")["audit-policy-file"])["rules"]
    assert {rule["level"] for rule in rules} <= {"None", "Metadata"}
    assert rules[-1] == {"level": "Metadata"}
    silent = [rule for rule in rules if rule["level"] == "None"]
    for rule in silent:
        names = {name for group in rule.get("resources", []) for name in group.get("resources", [])}
        assert not names & {"secrets", "configmaps", "pods", "serviceaccounts/token", "tokenreviews"}


def test_4_the_kubelet(files: dict[str, user_data.NodeFile]) -> None:
    path = flags(files, "kubelet")["config"]
    kubelet = config(files, path)
    assert path == "/var/lib/kubelet/config.yaml"
    assert kubelet["authentication"]["anonymous"]["enabled"] is False  # 4.2.1
    assert kubelet["authentication"]["x509"]["clientCAFile"]  # 4.2.3
    assert kubelet["authorization"]["mode"] == "Webhook"  # 4.2.2
    assert kubelet["readOnlyPort"] == 0  # 4.2.4
    assert kubelet.get("streamingConnectionIdleTimeout", "4h") != "0"  # 4.2.5
    assert kubelet.get("makeIPTablesUtilChains", True) is True  # 4.2.6
    assert kubelet.get("eventRecordQPS", 50) > 0  # 4.2.8
    assert kubelet["tlsCertFile"]  # 4.2.9
    assert kubelet["tlsPrivateKeyFile"]
    assert "rotateCertificates" not in kubelet  # 4.2.10: nothing signs requests
    assert "serverTLSBootstrap" not in kubelet
    assert set(kubelet["tlsCipherSuites"]) <= STRONG  # 4.2.12
    assert kubelet["tlsMinVersion"] in ("VersionTLS12", "VersionTLS13")
    assert kubelet["podPidsLimit"] > 0  # 4.2.13
    assert kubelet["seccompDefault"] is True  # 4.2.14
    assert kubelet["protectKernelDefaults"] is True


def test_4_3_1_kube_proxy_tells_its_metrics_to_the_node_alone(plan: Plan) -> None:
    bridged = replace(plan, addons=("bridge", *plan.addons[1:]))
    files = {str(file.path): file for file in user_data.files(bridged, plan.nodes[0])}
    (path,) = [path for path in files if "kube-proxy" in path and path.endswith(".yaml")]
    proxy = config(files, path)
    assert proxy["metricsBindAddress"].startswith("127.0.0.1:")
    assert proxy["mode"] == "nftables"


def test_4_3_where_cilium_stands_for_it_there_is_no_kube_proxy(
    plan: Plan, files: dict[str, user_data.NodeFile]
) -> None:
    assert plan.network == "cilium"
    assert [path for path in files if "kube-proxy" in path] == []
    assert "kube-proxy" not in files["/etc/hardway/artifacts.json"].content


def test_5_2_pods_are_held_to_the_baseline(files: dict[str, user_data.NodeFile]) -> None:
    (path,) = [path for path in files if path.endswith("/admission.yaml")]
    assert flags(files, "kube-apiserver")["admission-control-config-file"] == path
    plugins = {plugin["name"]: plugin["configuration"] for plugin in config(files, path)["plugins"]}
    defaults = plugins["PodSecurity"]["defaults"]
    assert defaults["enforce"] in ("baseline", "restricted")
    assert plugins["PodSecurity"]["exemptions"]["namespaces"] == ["kube-system"]


def test_certificates_give_no_server_the_rights_of_masters(plan: Plan) -> None:
    masters = {row.path.rpartition("/")[2] for row in plan.certificates if row.organization == "system:masters"}
    assert masters <= {"admin", "bootstrap"}
    for row in plan.certificates:
        if row.path.endswith("/kubelet"):
            assert row.usages == ("server",)
        if row.path.endswith("/kubelet-client"):
            assert (row.usages, row.organization) == (("client",), "system:nodes")


def test_sysctls_are_what_the_kubelet_would_set(files: dict[str, user_data.NodeFile]) -> None:
    text = "\n".join(file.content for path, file in files.items() if path.startswith("/etc/sysctl.d/"))
    settings = dict(re.findall(r"^(\S+) = (\S+)$", text, re.M))
    wanted = {"kernel.panic": "10", "kernel.panic_on_oops": "1", "vm.overcommit_memory": "1", "vm.panic_on_oom": "0"}
    assert wanted.items() <= settings.items()


def test_the_metadata_service_is_closed_to_pods(plan: Plan, files: dict[str, user_data.NodeFile]) -> None:
    rules = "\n".join(file.content for path, file in files.items() if Path(path).name == "nftables.conf")
    assert re.search(rf"ip saddr {re.escape(str(plan.pod_cidr))} ip daddr 169\.254\.\S+ (drop|reject)", rules)
