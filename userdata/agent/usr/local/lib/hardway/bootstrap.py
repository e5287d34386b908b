"""Applies the addons that the roster pins; on one control-plane node at a time, and safe to repeat."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from hardway import addon_secrets, fetch, here
from hardway.here import Failure
from hardway.kube import KUBECTL

TERM_SECONDS = 60
LEASE = {"name": "hardway-bootstrap", "namespace": "kube-system"}
RECORD = {"name": "hardway", "namespace": "kube-system"}
ROLE = "node-role.kubernetes.io/control-plane"


def step() -> None:
    """Label this node, then apply the addons unless the cluster has them."""
    name = here.facts()["node"]
    kubectl("label", "--overwrite", "node", name, f"{ROLE}=")
    taint(name, is_schedulable=here.facts()["schedulable"])
    while is_due(roster := here.read(here.ROSTER), find("configmap", RECORD["name"])):
        if hold(name):
            with held(name):
                apply(roster)
        else:
            time.sleep(3)


def taint(name: str, *, is_schedulable: bool) -> None:
    """Make the taint of this node what is planned: its Node may be older than its droplet."""
    try:
        kubectl("taint", "--overwrite", "node", name, f"{ROLE}:NoSchedule{'-' if is_schedulable else ''}")
    except Failure as error:
        if not is_schedulable or "not found" not in str(error):
            raise


def is_due(roster: dict[str, Any], record: dict[str, Any] | None) -> bool:
    """Tell whether the cluster lacks addons or secrets of a roster; what a newer roster has brought is left alone."""
    data = record["data"] if record else {}
    lacks = data.get("addons") != roster["addons"] or (data.get("secrets") or None) != roster.get("secrets")
    return bool(lacks and int(data.get("generation", 0)) <= roster["generation"])


def hold(name: str) -> bool:
    """Take or renew the lease; tell whether it is this node's now."""
    lease = find("lease", LEASE["name"])
    now = datetime.now(UTC)
    if lease and not is_free(lease["spec"], name, now):
        return False
    wanted = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        # With the resource version that was read, so that one of two who race is refused.
        "metadata": lease["metadata"] if lease else LEASE,
        "spec": {
            "holderIdentity": name,
            "leaseDurationSeconds": TERM_SECONDS,
            "renewTime": f"{now:%Y-%m-%dT%H:%M:%S.%fZ}",
        },
    }
    try:
        kubectl("replace" if lease else "create", "--filename=-", stdin=json.dumps(wanted))
    except Failure as error:
        print(f"the lease can't be had now: {error}", flush=True)
        return False
    return True


def is_free(spec: dict[str, Any], name: str, now: datetime) -> bool:
    """Tell whether a lease is ours already, or has run out."""
    until = datetime.fromisoformat(spec["renewTime"]) + timedelta(seconds=spec["leaseDurationSeconds"])
    return bool(spec["holderIdentity"] == name or now > until)


@contextmanager
def held(name: str) -> Iterator[None]:
    """Renew the lease while the work lasts."""
    done = threading.Event()

    def renew() -> None:
        while not done.wait(TERM_SECONDS / 3):
            hold(name)

    thread = threading.Thread(target=renew, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()


def archive(digest: str) -> bytes:
    """Give the addons as kept here or as the store has them, checked against the roster."""
    kept = here.at(f"/var/lib/hardway/addons/{digest}.tar")
    if kept.exists():
        return bytes(kept.read_bytes())
    status, body, _ = fetch.ask(f"{here.launch()['addons_url']}{digest}.tar")
    if status != 200:
        raise Failure(f"the addons can't be fetched: answer {status}")
    if hashlib.sha256(body).hexdigest() != digest:
        raise Failure("the addons in the store are not those of the roster")
    here.write(str(kept.relative_to(here.ROOT)), body)
    return body


def apply(roster: dict[str, Any]) -> None:
    """Apply addon after addon, each awaited, and record the digests at the end, with the roster that pinned them."""
    secrets = addon_secrets.wanted(roster.get("secrets"))
    with tarfile.open(fileobj=io.BytesIO(archive(roster["addons"]))) as tar:
        found = {member.name: tar.extractfile(member) for member in tar}
        files = {name: file.read().decode() for name, file in found.items() if file}
    addon_secrets.clear(secrets, kubectl, gone=False)
    for addon in json.loads(files["index.json"])["addons"]:
        print(f"addon {addon['name']}", flush=True)
        for text in batches(addon, files, secrets):
            server_side(text)
        for words in addon["withdraw"]:
            kubectl(*words)
        for wait in addon["wait"]:
            kubectl(*wait, timeout=900)
    addon_secrets.clear(secrets, kubectl, gone=True)
    data = {"addons": roster["addons"], "generation": str(roster["generation"]), "secrets": roster.get("secrets") or ""}
    record = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": RECORD, "data": data}
    server_side(json.dumps(record))


def batches(addon: dict[str, Any], files: dict[str, str], secrets: list[dict[str, Any]]) -> Iterator[str]:
    """Give what is applied one after the other: secrets come between their namespace and what needs them."""
    own = [json.dumps(one) for one in secrets if one["metadata"]["namespace"] in addon.get("namespaces", [])]
    first = [name for name in addon["manifests"] if own and name.endswith("/namespace.yaml")]
    rest = [addon_secrets.marked(files[name], secrets) for name in addon["manifests"] if name not in first]
    for batch in ([files[name] for name in first], own, rest):
        if batch:
            yield "\n---\n".join(batch)


def server_side(text: str) -> None:
    """Apply objects as field manager `hardway`."""
    kubectl("apply", "--server-side", "--force-conflicts", "--field-manager=hardway", "--filename=-", stdin=text)


def find(kind: str, name: str) -> dict[str, Any] | None:
    """Get an object of ours, or None."""
    text = kubectl("get", kind, name, "--namespace=kube-system", "--ignore-not-found", "--output=json")
    return json.loads(text) if text else None


def kubectl(*words: str, stdin: str | None = None, timeout: float = 120) -> str:
    """Run kubectl with the job's own credential."""
    return here.run(*KUBECTL, *words, stdin=stdin, timeout=timeout)
