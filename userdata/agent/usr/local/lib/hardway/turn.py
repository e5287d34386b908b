"""Lets the API server beside etcd's leader start first; the others' nodes first become Ready through that one.

Three that start at once fight for the same seconds: on a few shared cores the first that answers comes in a third of
the time, and everything else of a boot waits for it alone. There always is a leader where etcd has a quorum, so nobody
has to be told whose turn it is.
"""

from __future__ import annotations

import json
import ssl

from hardway import fetch, here
from hardway.here import Failure
from hardway.readiness import expect, is_ready, is_served
from hardway.waiting import patiently

STATUS = "https://127.0.0.1:2379/v3/maintenance/status"
# For the first that answers, and then for this node, whose pods may wait for something else altogether.
SERVED_SECONDS, READY_SECONDS, PAUSE_SECONDS = 45, 15, 0.5
ASK_SECONDS = 3


def step() -> None:
    """Wait, bounded, until it is this node's turn; whoever waited in vain starts all the same."""
    try:
        patiently(lambda: expect("another node's API server goes first", may_start), SERVED_SECONDS, PAUSE_SECONDS)
        if not leads():
            patiently(lambda: expect("this node becomes Ready first", is_ready), READY_SECONDS, PAUSE_SECONDS)
    except Failure as failure:
        print(f"{failure}: not waited for any longer", flush=True)


def may_start() -> bool:
    """Tell whether etcd's leader is here, or some API server answers already."""
    return leads() or is_served()


def leads() -> bool:
    """Tell whether this node's own member leads etcd.

    Source: https://etcd.io/docs/v3.6/dev-guide/api_grpc_gateway/, etcdserverpb.Maintenance.Status
    """
    pki = here.at("/etc/kubernetes/pki")
    context = ssl.create_default_context(cafile=str(pki / "etcd-ca.crt"))
    context.load_cert_chain(pki / "apiserver-etcd-client.crt", pki / "apiserver-etcd-client.key")
    status, text, _ = fetch.ask(STATUS, json.dumps({}).encode(), "POST", context=context, seconds=ASK_SECONDS)
    said = here.parse(text) if status == fetch.OK else {}
    return bool(said) and said["header"]["member_id"] == said.get("leader")
