"""Says how each file of a lock is made from source: which Go module holds its commands, built with which settings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from generator.lab.content.golang import SOURCE, Copy, GoRecipe
from generator.release.lock_file import Release

KUBERNETES = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubectl")
ORDER_BOOK = Path(__file__).parent / "orderbook"
# The lab's own services; no lock names them, nothing of them reaches a cluster.
REGISTRY_VERSION = "v3.1.2"
OBJECT_STORE_VERSION = "v1.8.0"


def kubernetes(version: str) -> GoRecipe:
    """All commands of Kubernetes: they share most of what is compiled."""
    major, minor, _ = version.removeprefix("v").split(".")
    package = "k8s.io/component-base/version"
    return GoRecipe(
        "kubernetes",
        "k8s.io/kubernetes",
        version,
        {name: f"k8s.io/kubernetes/cmd/{name}" for name in KUBERNETES},
        own=SOURCE / "kubernetes",
        # the switch that upstream's releases are built with: cloud providers live elsewhere
        tags="providerless",
        stamps={
            f"{package}.gitVersion": "{version}",
            f"{package}.gitMajor": major,
            f"{package}.gitMinor": minor,
            f"{package}.gitTreeState": "clean",
        },
    )


def etcd(version: str) -> GoRecipe:
    """The server and its two command-line tools."""
    return GoRecipe(
        "etcd",
        "go.etcd.io/etcd/server/v3",
        version,
        {
            "etcd": "go.etcd.io/etcd/server/v3",
            "etcdctl": "go.etcd.io/etcd/etcdctl/v3",
            "etcdutl": "go.etcd.io/etcd/etcdutl/v3",
        },
        own=SOURCE / "etcd",
    )


def containerd(version: str) -> GoRecipe:
    """The runtime without the snapshotters that need C libraries."""
    return GoRecipe(
        "containerd",
        "github.com/containerd/containerd/v2",
        version,
        {name: f"./cmd/{name}" for name in ("containerd", "containerd-shim-runc-v2", "ctr")},
        tags="netgo,osusergo,static_build,no_btrfs,no_zfs,no_devmapper",
        stamps={"github.com/containerd/containerd/v2/version.Version": "{version}"},
    )


def runc(version: str) -> GoRecipe:
    """Partly C (it enters namespaces before Go's runtime starts) and with seccomp, which pods ask for by default."""
    return GoRecipe(
        "runc", "github.com/opencontainers/runc", version, {"runc": "."}, tags="seccomp,netgo,osusergo", cgo=True
    )


def cni_plugins(version: str) -> GoRecipe:
    """The plugins that the datapath names."""
    return GoRecipe(
        "cni-plugins",
        "github.com/containernetworking/plugins",
        version,
        {
            "bridge": "./plugins/main/bridge",
            "host-local": "./plugins/ipam/host-local",
            "loopback": "./plugins/main/loopback",
            "portmap": "./plugins/meta/portmap",
        },
        stamps={"github.com/containernetworking/plugins/pkg/utils/buildversion.BuildVersion": "{version}"},
    )


def coredns(version: str) -> GoRecipe:
    """The DNS server with all its plugins, as upstream's image has it."""
    return GoRecipe("coredns", "github.com/coredns/coredns", version, {"coredns": "."})


def metrics_server(version: str) -> GoRecipe:
    """The API of what nodes and pods use."""
    return GoRecipe(
        "metrics-server",
        "sigs.k8s.io/metrics-server",
        version,
        {"metrics-server": "./cmd/metrics-server"},
        stamps={"k8s.io/client-go/pkg/version.gitVersion": "{version}"},
    )


def traefik(version: str) -> GoRecipe:
    """The ingress; a nested module, a fork and SDKs of DNS providers, which the module proxy lacks, are replaced."""
    return GoRecipe(
        "traefik",
        "github.com/traefik/traefik/v3",
        version,
        {"traefik": "github.com/traefik/traefik/v3/cmd/traefik"},
        own=SOURCE / "traefik",
        copies=(
            Copy("github.com/abbot/go-http-auth", "v0.4.0", "auth"),
            Copy("github.com/go-acme/lego/v5", "v5.4.1", "lego"),
        ),
        stamps={"github.com/traefik/traefik/v3/pkg/version.Version": "{number}"},
    )


def cilium(version: str) -> GoRecipe:
    """The agent, what the runtime calls for each pod, and the operator without any cloud's addresses.

    Two modules that the module proxy lacks are replaced: a revision by the release after it, and a nested one.
    """
    package = "github.com/cilium/cilium"
    return GoRecipe(
        "cilium",
        package,
        version,
        {
            "cilium-agent": f"{package}/daemon",
            "cilium-cni": f"{package}/plugins/cilium-cni",
            "cilium-operator-generic": f"{package}/operator",
        },
        own=SOURCE / "cilium",
        tags="ipam_provider_operator",
        stamps={f"{package}/pkg/version.ciliumVersion": "{number}"},
    )


def order_book() -> GoRecipe:
    """The stand-in for the application, whose own source is published without a licence."""
    return GoRecipe("order-book", "hardway/orderbook", "", {"orderbook": "."}, own=ORDER_BOOK)


def tools() -> tuple[GoRecipe, ...]:
    """The services that the lab itself runs: an object store and a registry."""
    return (
        GoRecipe(
            "versitygw",
            "github.com/versity/versitygw",
            OBJECT_STORE_VERSION,
            {"versitygw": "./cmd/versitygw"},
            stamps={"main.Version": "{version}"},
        ),
        GoRecipe(
            "registry",
            "github.com/distribution/distribution/v3",
            REGISTRY_VERSION,
            {"registry": "./cmd/registry"},
            stamps={"github.com/distribution/distribution/v3/version.version": "{version}"},
        ),
    )


def artifacts(release: Release) -> Mapping[str, GoRecipe]:
    """Artifact name to the recipe that makes its binaries."""
    whole = kubernetes(release.kubernetes)
    makers = {"etcd": etcd, "containerd": containerd, "runc": runc, "cni-plugins": cni_plugins}
    return dict.fromkeys(KUBERNETES, whole) | {
        name: maker(release.artifact(name).version) for name, maker in makers.items()
    }
