"""The roster: what is signed, what is believed, and that its number only grows."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import timedelta
from ipaddress import IPv4Address

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from generator.documents import roster
from generator.documents.roster import Etcd, Roster
from generator.errors import Problem
from generator.plan.decide import Plan
from generator.plan.inventory import Inventory, KeyFact, wireguard_key
from tests.keyring import CLUSTER_ID, NOW, planned

OPERATOR = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = base64.b64encode(OPERATOR.public_key().public_bytes_raw()).decode()
ADDONS = "ab" * 32


def plan() -> Plan:
    facts = tuple(KeyFact(wireguard_key(node), "", (), None, "", f"{node}=") for node in ("node01", "worker01"))
    return planned(Inventory(CLUSTER_ID, "orderbook", {}, facts), control_planes=1, workers=1)


def example(**changes: object) -> Roster:
    made = roster.compose(
        plan(),
        generation=1_795_336_200,
        time=NOW,
        endpoints={"node01": IPv4Address("10.110.0.5")},
        etcd=Etcd("new", "orderbook-1", NOW + timedelta(hours=1)),
        addons_sha256=ADDONS,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def signed(text: str, key: Ed25519PrivateKey = OPERATOR) -> bytes:
    return roster.sign(text, key)


def test_the_payload_is_as_the_nodes_read_it() -> None:
    assert json.loads(roster.payload(example())) == {
        "version": 2,
        "cluster_id": CLUSTER_ID,
        "generation": 1_795_336_200,
        "time": "2026-11-22T08:30:00Z",
        "founding": {
            "vpc": "10.110.0.0/20",
            "nodes": "10.44.0.0/24",
            "pods": "10.42.0.0/16",
            "services": "10.43.0.0/16",
            "domain": "cluster.local",
            "datapath": "mesh",
        },
        "nodes": [
            {
                "name": "node01",
                "number": 1,
                "role": "control-plane",
                "address": "10.44.0.1",
                "pod_cidr": "10.42.0.0/24",
                "wireguard": "node01=",
                "endpoint": "10.110.0.5",
                "public": None,
            },
            {
                "name": "worker01",
                "number": 2,
                "role": "worker",
                "address": "10.44.0.2",
                "pod_cidr": "10.42.1.0/24",
                "wireguard": "worker01=",
                "endpoint": None,
                "public": None,
            },
        ],
        "etcd": {"state": "new", "token": "orderbook-1", "new_until": "2026-11-22T09:30:00Z", "snapshot": None},
        "addons": ADDONS,
        "secrets": None,
        "state_access": None,
    }


def test_the_signature_is_over_the_context_and_the_text() -> None:
    text = roster.payload(example())
    wrapper = json.loads(signed(text))
    assert wrapper.keys() == {"version", "payload", "signature"}
    assert (wrapper["version"], wrapper["payload"]) == (1, text)
    OPERATOR.public_key().verify(base64.b64decode(wrapper["signature"]), b"hardway-roster-v1\n" + text.encode())


def test_what_was_signed_is_read_back() -> None:
    restoring = Etcd("restoring", "orderbook-1", NOW + timedelta(hours=1), "cd" * 32)
    entries = tuple(replace(entry, public=IPv4Address("203.0.113.7")) for entry in example().nodes)
    for made in (example(), example(etcd=restoring, nodes=entries, secrets="ef" * 32)):
        assert roster.verify(signed(roster.payload(made)), PUBLIC, cluster_id=CLUSTER_ID) == made


def test_a_roster_of_somebody_else_is_refused() -> None:
    data = signed(roster.payload(example()), Ed25519PrivateKey.generate())
    with pytest.raises(Problem, match="not signed by this cluster's operator"):
        roster.verify(data, PUBLIC, cluster_id=CLUSTER_ID)


def test_a_changed_payload_is_refused() -> None:
    wrapper = json.loads(signed(roster.payload(example())))
    for old, new in (("new", "existing"), ("10.110.0.5", "10.110.0.6"), (ADDONS, "cd" * 32), ("}", "} ")):
        forged = {**wrapper, "payload": wrapper["payload"].replace(old, new)}
        assert forged != wrapper
        with pytest.raises(Problem, match="not signed by"):
            roster.verify(json.dumps(forged).encode(), PUBLIC, cluster_id=CLUSTER_ID)


def test_a_signature_over_the_bare_text_is_refused() -> None:
    text = roster.payload(example())
    signature = base64.b64encode(OPERATOR.sign(text.encode())).decode()
    data = json.dumps({"version": 1, "payload": text, "signature": signature}).encode()
    with pytest.raises(Problem, match="not signed by"):
        roster.verify(data, PUBLIC, cluster_id=CLUSTER_ID)


@pytest.mark.parametrize(
    "data",
    [b"", b"{}", b"[]", b"null", b"\xff", b'{"payload": 1, "signature": ""}', b'{"payload": "", "signature": "?"}',
     b'{"payload": "\\ud800", "signature": ""}', b"[" * 100_000],
)  # fmt: skip
def test_anything_else_is_no_roster(data: bytes) -> None:
    with pytest.raises(Problem, match="the roster"):
        roster.verify(data, PUBLIC, cluster_id=CLUSTER_ID)


def test_the_roster_of_another_cluster_of_this_operator_is_refused() -> None:
    data = signed(roster.payload(example(cluster_id="other")))
    with pytest.raises(Problem, match="the roster is of cluster other"):
        roster.verify(data, PUBLIC, cluster_id=CLUSTER_ID)


@pytest.mark.parametrize("version", [1, 3])
def test_another_format_is_refused(version: int) -> None:
    text = json.dumps({**json.loads(roster.payload(example())), "version": version})
    with pytest.raises(Problem, match=f"of version {version}, this program reads 2"):
        roster.verify(signed(text), PUBLIC, cluster_id=CLUSTER_ID)


def test_a_generation_never_goes_back() -> None:
    first = roster.next_generation(None, now=NOW)
    assert first == int(NOW.timestamp())
    assert roster.next_generation(first, now=NOW - timedelta(days=400)) == first + 1
    # The object was lost after some launches: still higher than all of them.
    later = first
    for _ in range(50):
        later = roster.next_generation(later, now=NOW)
    assert roster.next_generation(None, now=NOW + timedelta(hours=1)) > later
    # An old roster was put back in the bucket: the next one is higher than what the nodes have seen since.
    assert roster.next_generation(first, now=NOW + timedelta(hours=1)) > later


def test_the_reviewed_part_has_no_endpoint_and_no_time() -> None:
    text = roster.reviewed(plan(), ADDONS)
    assert text == roster.reviewed(plan(), ADDONS)
    values = json.loads(text)
    assert values.keys() == {"version", "cluster_id", "founding", "nodes", "addons", "secrets"}
    full = json.loads(roster.payload(example()))
    assert values["nodes"] == [
        {k: v for k, v in entry.items() if k not in ("endpoint", "public")} for entry in full["nodes"]
    ]
    rest = values.keys() - {"nodes"}
    assert {key: full[key] for key in rest} == {key: values[key] for key in rest}
