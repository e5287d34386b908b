"""The plan: numbers for life, addresses from numbers, and nothing but the description and the inventory in it."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from generator.description.load import load as load_description
from generator.description.schema import ClusterSpec, PoolSpec
from generator.errors import Problems
from generator.plan import decide
from generator.plan.inventory import OPERATOR_KEY, Inventory, KeyFact, wireguard_key
from generator.release import lock_file
from tests.described import TUTORIAL

RELEASE = lock_file.load("k8s-1.36", Path("nowhere"))


@pytest.fixture
def described(tmp_path: Path) -> ClusterSpec:
    file = tmp_path / "cluster.yaml"
    file.write_text(TUTORIAL)
    return load_description(file)


def with_pools(described: ClusterSpec, *pools: tuple[str, str, int]) -> ClusterSpec:
    made = tuple(
        PoolSpec.model_validate(
            {"name": name, "role": role, "count": count, "size": "s-2vcpu-4gb"}
            | ({"schedulable": True} if role == "control-plane" else {})
        )
        for name, role, count in pools
    )
    return described.model_copy(update={"pools": made})


def numbers(decided: decide.Plan) -> dict[str, int]:
    return {node.name: node.number for node in decided.nodes}


def after(decided: decide.Plan, before: Inventory | None = None) -> Inventory:
    """Make the inventory that a render of this plan commits."""
    known = before.numbers if before else {}
    return Inventory("0f1e2d3c-4b5a-4978-8695-a4b3c2d1e0ff", decided.name, {**known, **numbers(decided)})


def test_the_tutorial(described: ClusterSpec) -> None:
    decided = decide.plan(described, RELEASE, None)
    assert [node.name for node in decided.nodes] == ["node01", "node02", "node03"]
    node = decided.nodes[1]
    assert (node.address, node.pod_cidr) == (IPv4Address("10.44.0.2"), IPv4Network("10.42.1.0/24"))
    assert node.is_control_plane
    assert node.schedulable
    assert (str(decided.kubernetes_service_ip), str(decided.dns_ip)) == ("10.43.0.1", "10.43.0.10")
    assert decided.api_server_name == "api.orderbook.internal"
    assert decided.cluster_tag == "hardway:orderbook"
    assert decided.node_tag(node) == "hardway:orderbook:node:node02"
    assert decided.document_tag("ab" * 32) == "hardway:orderbook:doc:abababababababab"


def test_a_plan_is_equal_to_itself(described: ClusterSpec) -> None:
    assert decide.plan(described, RELEASE, None) == decide.plan(described, RELEASE, None)


def test_growing_one_pool_moves_no_other(described: ClusterSpec) -> None:
    small = decide.plan(with_pools(described, ("cp", "control-plane", 1), ("worker", "worker", 2)), RELEASE, None)
    large_spec = with_pools(described, ("cp", "control-plane", 3), ("worker", "worker", 2))
    large = decide.plan(large_spec, RELEASE, after(small))
    assert numbers(small) == {"cp01": 1, "worker01": 2, "worker02": 3}
    assert numbers(large) == {"cp01": 1, "worker01": 2, "worker02": 3, "cp02": 4, "cp03": 5}
    assert {node.name: node for node in small.nodes}.items() <= {node.name: node for node in large.nodes}.items()


def test_a_number_is_never_used_again_by_another(described: ClusterSpec) -> None:
    both = decide.plan(with_pools(described, ("cp", "control-plane", 1), ("a", "worker", 2)), RELEASE, None)
    gone = decide.plan(with_pools(described, ("cp", "control-plane", 1)), RELEASE, after(both))
    other_spec = with_pools(described, ("cp", "control-plane", 1), ("b", "worker", 1))
    other = decide.plan(other_spec, RELEASE, after(gone, after(both)))
    assert numbers(other) == {"cp01": 1, "b01": 4}
    back_spec = with_pools(described, ("cp", "control-plane", 1), ("a", "worker", 2))
    back = decide.plan(back_spec, RELEASE, after(other, after(gone, after(both))))
    assert numbers(back) == numbers(both)


def test_used_up_numbers_are_a_problem(described: ClusterSpec) -> None:
    known = Inventory("", "orderbook", {f"gone{number:02}": number for number in range(1, 254)})
    with pytest.raises(Problems) as caught:
        decide.plan(described, RELEASE, known)
    assert "has number 255, the networks have room for 254" in str(caught.value)
    assert len(caught.value.problems) == 2


def test_key_facts_reach_their_nodes(described: ClusterSpec) -> None:
    known = replace(
        after(decide.plan(described, RELEASE, None)),
        keys=(
            KeyFact(OPERATOR_KEY, sha256="0" * 64, public="b3A="),
            KeyFact(wireguard_key("node02"), sha256="0" * 64, public="d2c="),
        ),
        bundles={"node02": "c" * 64},
    )
    decided = decide.plan(described, RELEASE, known)
    assert decided.operator_public_key == "b3A="
    assert [node.wireguard_public_key for node in decided.nodes] == ["", "d2c=", ""]
    assert [node.bundle_sha256 for node in decided.nodes] == ["", "c" * 64, ""]
    assert decided.public_prefix == "orderbook/0f1e2d3c4b5a49788695a4b3c2d1e0ff/public"


def test_certificates_are_signed_by_one_above_and_hold_planned_addresses_only(described: ClusterSpec) -> None:
    decided = decide.plan(described, RELEASE, None)
    seen: set[str] = set()
    planned = {str(node.address) for node in decided.nodes} | {"127.0.0.1", str(decided.kubernetes_service_ip)}
    for row in decided.certificates:
        assert row.signer is None or row.signer in seen
        seen.add(row.path)
        assert {san.removeprefix("IP:") for san in row.sans if san.startswith("IP:")} <= planned


def test_roles_decide_what_is_downloaded(described: ClusterSpec) -> None:
    decided = decide.plan(with_pools(described, ("cp", "control-plane", 1), ("a", "worker", 1)), RELEASE, None)
    first, second = ({item.name for item in decided.artifacts(node)} for node in decided.nodes)
    assert first - second == {"kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl", "etcd"}
    assert second < first


def test_a_lock_that_can_not_make_a_file_system_is_refused(described: ClusterSpec) -> None:
    volume = described.pools[0].volumes[0].model_copy(update={"filesystem": "xfs"})
    pools = [described.pools[0].model_copy(update={"volumes": (volume,)}), *described.pools[1:]]
    wished = described.model_copy(update={"pools": tuple(pools)})
    assert decide.plan(wished, RELEASE, None).nodes[0].volumes[0].filesystem == "xfs"
    older = replace(RELEASE, packages=tuple(one for one in RELEASE.packages if one.filesystem is None))
    assert decide.plan(described, older, None).nodes[0].volumes[0].filesystem == "ext4"
    with pytest.raises(Problems, match="the volume data of the pool node is xfs, and the lock has no packages for"):
        decide.plan(wished, older, None)
