"""Lists every certificate of a cluster in one table; the order of the rows is the order of issue."""

# ruff: noqa: E501 - the table has one row a line

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import IPv4Address
from typing import Literal, Protocol

Usage = Literal["authority", "client", "server"]
Scope = Literal["cluster", "control-plane", "node"]

AUTHORITY_LIFETIME = timedelta(days=3650)
# A node is replaced, not patched: a year is the longest a leaf may outlive the review of its node's document.
LEAF_LIFETIME = timedelta(days=365)

LOOPBACK = IPv4Address("127.0.0.1")
CLUSTER_AUTHORITY, INGRESS_AUTHORITY = "kubernetes-ca", "ingress-ca"
METRICS_SERVER, ORDER_BOOK = "metrics-server", "order-book"


class Node(Protocol):
    """What the table asks of a planned node."""

    @property
    def name(self) -> str: ...
    @property
    def address(self) -> IPv4Address: ...
    @property
    def is_control_plane(self) -> bool: ...


class Cluster(Protocol):
    """What the table asks of a plan."""

    @property
    def name(self) -> str: ...
    @property
    def cluster_id(self) -> str: ...
    @property
    def cluster_domain(self) -> str: ...
    @property
    def api_server_name(self) -> str: ...
    @property
    def kubernetes_service_ip(self) -> IPv4Address: ...
    @property
    def addons(self) -> Sequence[str]: ...
    @property
    def network(self) -> str: ...
    @property
    def order_book_host(self) -> str: ...
    @property
    def has_own_ingress_authority(self) -> bool: ...
    @property
    def nodes(self) -> Sequence[Node]: ...


@dataclass(frozen=True)
class Names:
    """Subject alternative names: what a server may be called. Only planned names and addresses, never a public one."""

    dns: tuple[str, ...] = ()
    addresses: tuple[IPv4Address, ...] = ()


@dataclass(frozen=True)
class Certificate:
    """One certificate to be issued, with every decision taken.

    `path` is where it lies in the store, without `.crt` or `.key`; `signer` is the path of its authority,
    None when it signs itself; `node` is the one node it is for, None when it is for the whole cluster.
    """

    path: str
    common_name: str
    organization: str | None
    signer: str | None
    usages: tuple[Usage, ...]
    names: Names
    node: str | None
    lifetime: timedelta

    @property
    def is_authority(self) -> bool:
        """Tell whether it signs others."""
        return "authority" in self.usages

    @property
    def is_rotated(self) -> bool:
        """Tell whether `gen rotate` makes it anew: one with which an addon serves, which is in no node's bundle."""
        return self.path in (METRICS_SERVER, ORDER_BOOK)

    @property
    def subject(self) -> str:
        """Show the subject as `CN=…,O=…`."""
        return f"CN={self.common_name}" + (f",O={self.organization}" if self.organization else "")

    @property
    def sans(self) -> tuple[str, ...]:
        """Show the names as `DNS:…` and `IP:…`, in the table's order."""
        return (*(f"DNS:{name}" for name in self.names.dns), *(f"IP:{address}" for address in self.names.addresses))


@dataclass(frozen=True)
class Row:
    """One line of the table; `{cluster}`, `{cluster_id}` and `{node}` in names are filled in per certificate.

    `served` names what a server of the whole cluster is called; `wanted` tells whether a cluster has this one at all.
    """

    name: str
    signer: str | None
    common_name: str
    organization: str | None
    usages: tuple[Usage, ...]
    scope: Scope
    names: Callable[[Cluster, Node], Names] | None = None
    served: Callable[[Cluster], Names] | None = None
    wanted: Callable[[Cluster], bool] = lambda _: True


def node_path(node: str, name: str) -> str:
    """Say where a node's own key or certificate lies in the store.

    >>> node_path("node01", "apiserver")
    'nodes/node01/apiserver'
    """
    return f"nodes/{node}/{name}"


def planned(cluster: Cluster) -> tuple[Certificate, ...]:
    """Fill the table in for one cluster: every certificate, each after its signer.

    Raises:
        ValueError: a row of the table names a signer that is not an authority above it.
    """
    check(TABLE)
    return tuple(certificate for row in TABLE for certificate in _expand(row, cluster))


def check(table: Sequence[Row]) -> None:
    """Refuse a table that can't be issued from top to bottom.

    Raises:
        ValueError: a name occurs twice, or a signer is not a cluster-wide authority of an earlier row.
    """
    above: dict[str, Row] = {}
    for row in table:
        if row.name in above:
            raise ValueError(f"certificate `{row.name}` is in the table twice")
        if row.signer is None and "authority" not in row.usages:
            raise ValueError(f"certificate `{row.name}` has no signer and is no authority")
        if row.signer is not None:
            signer = above.get(row.signer)
            if signer is None or "authority" not in signer.usages or signer.scope != "cluster":
                raise ValueError(f"certificate `{row.name}`: its signer `{row.signer}` is no authority above it")
        above[row.name] = row


def _expand(row: Row, cluster: Cluster) -> list[Certificate]:
    if not row.wanted(cluster):
        return []
    if row.scope == "cluster":
        return [_certificate(row, cluster, None)]
    nodes = [node for node in cluster.nodes if row.scope == "node" or node.is_control_plane]
    return [_certificate(row, cluster, node) for node in nodes]


def _certificate(row: Row, cluster: Cluster, node: Node | None) -> Certificate:
    names = row.names(cluster, node) if row.names and node else row.served(cluster) if row.served else Names()
    words = {"cluster": cluster.name, "cluster_id": cluster.cluster_id, "node": node.name if node else ""}
    return Certificate(
        path=node_path(node.name, row.name) if node else row.name,
        common_name=row.common_name.format(**words),
        organization=row.organization.format(**words) if row.organization else None,
        signer=row.signer,
        usages=row.usages,
        names=names,
        node=node.name if node else None,
        lifetime=AUTHORITY_LIFETIME if "authority" in row.usages else LEAF_LIFETIME,
    )


def _api_server(cluster: Cluster, node: Node) -> Names:
    service = ("kubernetes", "kubernetes.default", "kubernetes.default.svc")
    full = f"kubernetes.default.svc.{cluster.cluster_domain}"
    return Names(
        (*service, full, "localhost", cluster.api_server_name, node.name),
        (LOOPBACK, cluster.kubernetes_service_ip, node.address),
    )


def _etcd_server(_: Cluster, node: Node) -> Names:
    return Names((node.name, "localhost"), (node.address, LOOPBACK))


def _node(_: Cluster, node: Node) -> Names:
    return Names((node.name,), (node.address,))


def _metrics_server(_: Cluster) -> Names:
    return Names((f"{METRICS_SERVER}.{METRICS_SERVER}.svc",))


def _order_book(cluster: Cluster) -> Names:
    return Names((cluster.order_book_host,))


def _has_metrics(cluster: Cluster) -> bool:
    return METRICS_SERVER in cluster.addons


def _has_proxy(cluster: Cluster) -> bool:
    return cluster.network == "bridge"


def _has_own(cluster: Cluster) -> bool:
    return cluster.has_own_ingress_authority


_CA: tuple[Usage, ...] = ("authority",)
_CLIENT: tuple[Usage, ...] = ("client",)
_SERVER: tuple[Usage, ...] = ("server",)
_BOTH: tuple[Usage, ...] = ("server", "client")

# An identity of Kubernetes is a common name (user) and organizations (groups). `kube-apiserver-kubelet-client` has no
# group: the addons bind it to `system:kubelet-api-admin`, which is less than `system:masters`. All peers of etcd share
# one common name, because `--peer-cert-allowed-cn` takes an exact match; etcd's server certificate is a client's too,
# because its gateway dials itself. The cluster's id keeps the authorities of two clusters with one name apart.
# People's browsers are told to believe `ingress-ca`, so it is none that anything of the cluster itself believes.
# Source: https://kubernetes.io/docs/setup/best-practices/certificates/#all-certificates
# Source: https://github.com/etcd-io/etcd/blob/v3.6.14/client/pkg/transport/listener_tls.go
# fmt: off
TABLE: tuple[Row, ...] = (
    #   name                        signer            common name                        organization      usages   scope            names
    Row("kubernetes-ca",            None,             "kubernetes-ca {cluster_id}",      "{cluster}",      _CA,     "cluster"),
    Row("etcd-ca",                  None,             "etcd-ca {cluster_id}",            "{cluster}",      _CA,     "cluster"),
    Row("etcd-peer-ca",             None,             "etcd-peer-ca {cluster_id}",       "{cluster}",      _CA,     "cluster"),
    Row("front-proxy-ca",           None,             "front-proxy-ca {cluster_id}",     "{cluster}",      _CA,     "cluster"),
    Row("admin",                    "kubernetes-ca",  "admin",                           "system:masters", _CLIENT, "cluster"),
    Row("apiserver",                "kubernetes-ca",  "kube-apiserver",                  None,             _SERVER, "control-plane", _api_server),
    Row("apiserver-kubelet-client", "kubernetes-ca",  "kube-apiserver-kubelet-client",   None,             _CLIENT, "control-plane"),
    Row("apiserver-etcd-client",    "etcd-ca",        "kube-apiserver-etcd-client",      None,             _CLIENT, "control-plane"),
    Row("front-proxy-client",       "front-proxy-ca", "front-proxy-client",              None,             _CLIENT, "control-plane"),
    Row("etcd-server",              "etcd-ca",        "etcd-server",                     None,             _BOTH,   "control-plane", _etcd_server),
    Row("etcd-peer",                "etcd-peer-ca",   "etcd-peer",                       None,             _BOTH,   "control-plane", _node),
    Row("controller-manager",       "kubernetes-ca",  "system:kube-controller-manager",  None,             _CLIENT, "control-plane"),
    Row("scheduler",                "kubernetes-ca",  "system:kube-scheduler",           None,             _CLIENT, "control-plane"),
    Row("bootstrap",                "kubernetes-ca",  "hardway-bootstrap",               "system:masters", _CLIENT, "control-plane"),
    Row("channel",                  "kubernetes-ca",  "hardway:channel:{node}",   "hardway:control-plane", _CLIENT, "control-plane"),
    Row("kubelet-client",           "kubernetes-ca",  "system:node:{node}",              "system:nodes",   _CLIENT, "node"),
    Row("kubelet",                  "kubernetes-ca",  "system:node:{node}",              "system:nodes",   _SERVER, "node",          _node),
    Row("proxy",                    "kubernetes-ca",  "system:kube-proxy",               None,             _CLIENT, "node",          wanted=_has_proxy),
    Row(METRICS_SERVER,             "kubernetes-ca",  "metrics-server",                  None,             _SERVER, "cluster",       served=_metrics_server, wanted=_has_metrics),
    Row(INGRESS_AUTHORITY,          None,             "ingress-ca {cluster_id}",         "{cluster}",      _CA,     "cluster",       wanted=_has_own),
    Row(ORDER_BOOK,                 INGRESS_AUTHORITY, "order-book",                     None,             _SERVER, "cluster",       served=_order_book, wanted=_has_own),
)
# fmt: on
