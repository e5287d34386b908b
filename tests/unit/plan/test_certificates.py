"""The table of certificates: order, names, and who may do what."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest

from generator.plan import certificates
from generator.plan.certificates import TABLE, Certificate
from tests.keyring import CLUSTER_ID, planned

LEAF = next(row for row in TABLE if row.name == "apiserver")
AUTHORITY = TABLE[0]


def rows(**shape: int) -> dict[str, Certificate]:
    return {row.path: row for row in planned(**shape).certificates}


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ((LEAF,), "its signer `kubernetes-ca` is no authority above it"),
        ((LEAF, AUTHORITY), "its signer `kubernetes-ca` is no authority above it"),
        ((AUTHORITY, LEAF, replace(LEAF, name="x", signer="apiserver")), "its signer `apiserver` is no authority"),
        ((AUTHORITY, AUTHORITY), "is in the table twice"),
        ((replace(LEAF, signer=None),), "has no signer and is no authority"),
    ],
)
def test_a_table_that_cannot_be_issued_from_top_to_bottom_is_refused(
    table: tuple[certificates.Row, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        certificates.check(table)


def test_a_plan_refuses_such_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certificates, "TABLE", tuple(reversed(TABLE)))
    with pytest.raises(ValueError, match="no authority above it"):
        _ = planned().certificates


def test_every_signer_is_issued_before_what_it_signs() -> None:
    seen: set[str] = set()
    for row in planned().certificates:
        assert row.signer is None or row.signer in seen
        assert row.path not in seen
        seen.add(row.path)


def test_the_api_server_answers_to_every_planned_name() -> None:
    row = rows()["nodes/node02/apiserver"]
    assert row.sans == (
        "DNS:kubernetes",
        "DNS:kubernetes.default",
        "DNS:kubernetes.default.svc",
        "DNS:kubernetes.default.svc.cluster.local",
        "DNS:localhost",
        "DNS:api.orderbook.internal",
        "DNS:node02",
        "IP:127.0.0.1",
        "IP:10.43.0.1",
        "IP:10.44.0.2",
    )


def test_etcd_answers_to_its_node_and_a_peer_to_nothing_else() -> None:
    found = rows()
    assert found["nodes/node03/etcd-server"].sans == ("DNS:node03", "DNS:localhost", "IP:10.44.0.3", "IP:127.0.0.1")
    assert found["nodes/node03/etcd-peer"].sans == ("DNS:node03", "IP:10.44.0.3")
    assert {row.common_name for path, row in found.items() if path.endswith("etcd-peer")} == {"etcd-peer"}


def test_no_address_is_one_that_the_provider_decides() -> None:
    ours = [IPv4Network(text) for text in ("10.44.0.0/24", "10.43.0.1/32", "127.0.0.1/32")]
    for row in planned(control_planes=5, workers=20).certificates:
        for address in row.names.addresses:
            assert isinstance(address, IPv4Address)
            assert any(address in network for network in ours)


def test_only_the_operator_and_the_bootstrap_job_are_masters() -> None:
    masters = {row.path for row in planned().certificates if row.organization == "system:masters"}
    assert masters == {"admin", *(f"nodes/node0{number}/bootstrap" for number in (1, 2, 3))}


def test_a_kubelet_serves_with_one_certificate_and_asks_with_the_other() -> None:
    found = rows()
    client, server = found["nodes/worker01/kubelet-client"], found["nodes/worker01/kubelet"]
    assert client.subject == server.subject == "CN=system:node:worker01,O=system:nodes"
    assert (client.usages, client.sans) == (("client",), ())
    assert (server.usages, server.sans) == (("server",), ("DNS:worker01", "IP:10.44.0.4"))


def test_a_worker_has_nothing_of_the_control_plane() -> None:
    own = {path.rsplit("/", 1)[1] for path, row in rows().items() if row.node == "worker01"}
    assert own == {"kubelet", "kubelet-client", "proxy"}


@pytest.mark.parametrize("network", ["bridge", "cilium"])
def test_nobody_is_kube_proxy_where_none_runs(network: str) -> None:
    plan = planned(workers=1)
    plan = replace(plan, addons=(network, *plan.addons[1:]))
    proxies = {row.node for row in plan.certificates if row.common_name == "system:kube-proxy"}
    assert proxies == ({node.name for node in plan.nodes} if network == "bridge" else set())


def test_another_node_changes_no_certificate_of_the_others() -> None:
    few, many = rows(workers=1), rows(workers=7)
    assert few.items() <= many.items()
    assert {row.node for path, row in many.items() if path not in few} == {f"worker0{number}" for number in range(2, 8)}


def test_authorities_bear_the_id_of_their_cluster_and_nobody_else_does() -> None:
    for row in planned().certificates:
        assert (CLUSTER_ID in row.subject) == row.is_authority


def test_the_longest_names_that_a_description_allows_fit_into_a_subject() -> None:
    long = planned(name="c" * 32, pool="p" * 24, control_planes=7)
    for row in long.certificates:
        assert len(row.common_name) <= 64
        assert len(row.organization or "") <= 64
