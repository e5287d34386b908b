"""Gives the operator a way into a running cluster: a kubeconfig with a token of a day, or with the certificate."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import yaml

from generator.clock import stamp
from generator.cluster.fleet import listed
from generator.cluster.kinds.address import listed as reserved
from generator.cluster.kube_api import Credentials, Kube
from generator.errors import Problem
from generator.files import write_atomic
from generator.pki import kubeconfig, private_directory
from generator.plan.decide import Plan
from generator.provider.digitalocean import Cloud

DAILY, CERTIFICATE = "operator.conf", "admin.conf"
"""Where in the private store the two lie."""
ACCOUNT = "/api/v1/namespaces/hardway/serviceaccounts/operator"
LONGEST = timedelta(hours=24)
SHORTEST = timedelta(minutes=10)
"""No API server gives a shorter one."""


@dataclass(frozen=True)
class Doors:
    """Where a cluster's API servers can be asked: the addresses of its control plane, and the first that answers.

    `kept` has the reserved address of a droplet, by the public one that it was made with.
    """

    addresses: tuple[str, ...]
    server: Kube | None
    kept: Mapping[str, str] = field(default_factory=dict)

    def door(self, address: str) -> str:
        """Give the address for people: the one that the node keeps, where it keeps one."""
        return self.kept.get(address, address)


def doors(plan: Plan, cloud: Cloud) -> tuple[str, ...]:
    """Find the public addresses of the nodes that take pods, where the ingress is; kept ones where there are."""
    droplets = listed(cloud, plan.cluster_tag)
    at = {node.name: one for node in plan.nodes for one in droplets if plan.node_tag(node) in one.tags and one.public}
    kept = {one.droplet: one.ip for one in reserved(cloud)} if any(node.reserved for node in plan.nodes) else {}
    serving = [at[node.name] for node in plan.nodes if node.schedulable and node.name in at]
    return tuple(kept.get(one.id, str(one.public)) for one in serving)


def serving(plan: Plan, cloud: Cloud, credentials: Credentials, proxy: str | None) -> Doors:
    """Find the control plane's droplets, and among them an API server that is ready."""
    tags = {plan.node_tag(node) for node in plan.control_planes}
    droplets = [one for one in listed(cloud, plan.cluster_tag) if tags & set(one.tags)]
    addresses = tuple(one.public for one in droplets if one.public)
    kept = {}
    if any(node.reserved for node in plan.control_planes):
        own = {one.droplet: one.ip for one in reserved(cloud)}
        kept = {one.public: own[one.id] for one in droplets if one.public and one.id in own}
    servers = (Kube(one, credentials, proxy) for one in addresses)
    return Doors(addresses, next((one for one in servers if one.ready()), None), kept)


class Access:
    """Writes kubeconfigs of one cluster into its private store.

    `address` is the public address at which its API server answers, `proxy` the way there when there is no direct one.
    """

    def __init__(self, plan: Plan, keys: Path, address: str, proxy: str | None) -> None:
        self._plan = plan
        self._keys = keys
        self._server = f"https://{address}:{plan.api_port}"
        self._proxy = proxy

    def daily(self, server: Kube, lifetime: timedelta) -> Path:
        """Write the kubeconfig of every day: a token of a service account whose rights can be taken away.

        Raises:
            Problem: the API server gives none.
        """
        token = server.token(ACCOUNT, lifetime)
        if token is None:
            hint = "it comes with the first addons: is `gen launch` through? `--certificate` works without it"
            raise Problem("the API server gives no token of `hardway/operator`", where=server.address, hint=hint)
        text = kubeconfig.operator(self._plan, self._read("kubernetes-ca.crt"), token, self._server, self._proxy)
        return self._write(DAILY, text)

    def certificate(self) -> Path:
        """Write a kubeconfig with the administrator's certificate, good for a year and in no way to be withdrawn.

        Raises:
            Problem: the store lacks it.
        """
        pair = self._read("admin.crt"), self._read("admin.key")
        text = kubeconfig.admin(self._plan, self._read("kubernetes-ca.crt"), pair, self._server, self._proxy)
        return self._write(CERTIFICATE, text)

    def _read(self, name: str) -> bytes:
        content = private_directory.read(self._keys / name)
        if content is None:
            raise Problem("is not here", where=str(self._keys / name), hint="bring it from where it is kept")
        return content

    def _write(self, name: str, text: str) -> Path:
        write_atomic(self._keys / name, text.encode(), 0o600)
        return self._keys / name


def expiry(keys: Path) -> str | None:
    """Tell until when the kubeconfig of every day holds; None where there is none that says it."""
    content = private_directory.read(keys / DAILY)
    try:
        token = yaml.safe_load(content or b"")["users"][0]["user"]["token"]
        claims = token.split(".")[1]
        ends = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["exp"]
        return stamp(datetime.fromtimestamp(ends, UTC))
    except (yaml.YAMLError, LookupError, TypeError, ValueError, AttributeError, OverflowError):
        return None
