"""Applies the addons that the roster pins; on one control-plane node at a time, and safe to repeat."""

from __future__ import annotations

import base64
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

from hardway import fetch, here
from hardway.here import Failure

TERM_SECONDS = 60
LEASE = {"name": "hardway-bootstrap", "namespace": "kube-system"}
RECORD = {"name": "hardway", "namespace": "kube-system"}
ROLE = "node-role.kubernetes.io/control-plane"
KUBECTL = ("kubectl", "--kubeconfig=/etc/kubernetes/bootstrap.conf", "--cache-dir=/run/hardway/kubectl")


def step() -> None:
    """Label this node, then apply the addons unless the cluster has them."""
    name = here.facts()["node"]
    kubectl("label", "--overwrite", "node", name, f"{ROLE}=")
    taint(name, is_schedulable=here.facts()["schedulable"])
    while is_due(roster := here.read(here.ROSTER), find("configmap", RECORD["name"])):
        if hold(name):
            with held(name):
                apply(roster["addons"], roster["generation"])
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
    """Tell whether the cluster lacks the addons of a roster; what a newer roster has brought is left alone."""
    data = record["data"] if record else {}
    return bool(data.get("addons") != roster["addons"] and int(data.get("generation", 0)) <= roster["generation"])


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


def apply(digest: str, generation: int) -> None:
    """Apply addon after addon, each awaited, and record the digest at the end, with the roster that pinned it."""
    with tarfile.open(fileobj=io.BytesIO(archive(digest))) as tar:
        found = {member.name: tar.extractfile(member) for member in tar}
        files = {name: file.read().decode() for name, file in found.items() if file}
    for addon in json.loads(files["index.json"])["addons"]:
        print(f"addon {addon['name']}", flush=True)
        for text in batches(addon, files):
            server_side(text)
        for words in addon["withdraw"]:
            kubectl(*words)
        for wait in addon["wait"]:
            kubectl(*wait, timeout=900)
    data = {"addons": digest, "generation": str(generation)}
    record = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": RECORD, "data": data}
    server_side(json.dumps(record))


def batches(addon: dict[str, Any], files: dict[str, str]) -> Iterator[str]:
    """Give what is applied one after the other: secrets come between their namespace and what needs them."""
    names = addon["manifests"]
    secrets = [json.dumps(secret_object(secret)) for secret in addon.get("secrets", [])]
    first = [name for name in names if secrets and name.endswith("/namespace.yaml")]
    for batch in ([files[name] for name in first], secrets, [files[name] for name in names if name not in first]):
        if batch:
            yield "\n---\n".join(batch)


def secret_object(secret: dict[str, str]) -> dict[str, Any]:
    """Make a Secret of a file that came in this node's bundle."""
    metadata = {"name": secret["name"], "namespace": secret["namespace"]}
    data = {secret["key"]: base64.b64encode(here.at(secret["file"]).read_bytes()).decode()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data}


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
