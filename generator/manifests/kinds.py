"""Knows Kubernetes' own kinds: which there are, which belong to a namespace, and what is applied before what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# What the API server of the release serves, by its own word; `-` behind a kind says that it has no namespace.
# What can't be made or is no wish of anybody's (Binding, TokenReview, Event …) is left out.
_SERVED = {
    "v1": "ConfigMap Endpoints LimitRange Namespace- PersistentVolume- PersistentVolumeClaim Pod PodTemplate"
    " ReplicationController ResourceQuota Secret Service ServiceAccount",
    "admissionregistration.k8s.io/v1": "MutatingAdmissionPolicy- MutatingAdmissionPolicyBinding-"
    " MutatingWebhookConfiguration- ValidatingAdmissionPolicy- ValidatingAdmissionPolicyBinding-"
    " ValidatingWebhookConfiguration-",
    "apiextensions.k8s.io/v1": "CustomResourceDefinition-",
    "apiregistration.k8s.io/v1": "APIService-",
    "apps/v1": "ControllerRevision DaemonSet Deployment ReplicaSet StatefulSet",
    "autoscaling/v1": "HorizontalPodAutoscaler",
    "autoscaling/v2": "HorizontalPodAutoscaler",
    "batch/v1": "CronJob Job",
    "certificates.k8s.io/v1": "CertificateSigningRequest-",
    "coordination.k8s.io/v1": "Lease",
    "discovery.k8s.io/v1": "EndpointSlice",
    "flowcontrol.apiserver.k8s.io/v1": "FlowSchema- PriorityLevelConfiguration-",
    "networking.k8s.io/v1": "IPAddress- Ingress IngressClass- NetworkPolicy ServiceCIDR-",
    "node.k8s.io/v1": "RuntimeClass-",
    "policy/v1": "PodDisruptionBudget",
    "rbac.authorization.k8s.io/v1": "ClusterRole- ClusterRoleBinding- Role RoleBinding",
    "resource.k8s.io/v1": "DeviceClass- ResourceClaim ResourceClaimTemplate ResourceSlice-",
    "scheduling.k8s.io/v1": "PriorityClass-",
    "storage.k8s.io/v1": "CSIDriver- CSINode- CSIStorageCapacity StorageClass- VolumeAttachment-"
    " VolumeAttributesClass-",
}
SERVED: Mapping[tuple[str, str], bool] = {
    (version, word.rstrip("-")): not word.endswith("-") for version, words in _SERVED.items() for word in words.split()
}
"""Whether it belongs to a namespace, by apiVersion and kind."""
BROUGHT: Mapping[str, Mapping[tuple[str, str], bool]] = {
    "cilium": {
        ("cilium.io/v2", "CiliumClusterwideNetworkPolicy"): False,
        ("cilium.io/v2", "CiliumNetworkPolicy"): True,
        ("cilium.io/v2", "CiliumCIDRGroup"): False,
    },
}
"""Kinds that an addon of this program makes while it runs, in the same way."""

# What others refer to comes before what refers to it; kinds that the API server does not have by itself come last.
RANK: Mapping[str, int] = {
    kind: rank
    for rank, kinds in enumerate(
        (
            ("Namespace",),
            (
                "CustomResourceDefinition",
                "LimitRange",
                "PriorityClass",
                "ResourceQuota",
                "RuntimeClass",
                "StorageClass",
            ),
            ("CSIDriver", "DeviceClass", "PersistentVolume", "PriorityLevelConfiguration", "VolumeAttributesClass"),
            ("ServiceAccount",),
            ("ClusterRole",),
            ("ClusterRoleBinding",),
            ("Role", "MutatingAdmissionPolicy", "ValidatingAdmissionPolicy"),
            ("RoleBinding", "MutatingAdmissionPolicyBinding", "ValidatingAdmissionPolicyBinding"),
            ("ConfigMap", "NetworkPolicy", "PersistentVolumeClaim", "Secret"),
            ("Service",),
            ("Endpoints", "EndpointSlice", "PodDisruptionBudget"),
            ("StatefulSet",),
            ("Deployment", "ReplicaSet", "ReplicationController", "Pod", "PodTemplate"),
            ("DaemonSet", "CronJob", "Job"),
            ("HorizontalPodAutoscaler", "IngressClass"),
            ("Ingress",),
        )
    )
    for kind in kinds
}
OTHER, JUDGING, CUSTOM = 20, 30, 40
"""Ranks of what is not in the table, of what needs a server behind it, and of custom resources of the same addon."""
WORKLOADS = ("StatefulSet", "Deployment", "DaemonSet")
JUDGES = ("APIService", "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")
DATA = frozenset(
    {
        ("", "Namespace"),
        ("", "PersistentVolume"),
        ("", "PersistentVolumeClaim"),
        ("apiextensions.k8s.io", "CustomResourceDefinition"),
    }
)
"""What is not deleted with the rest, because data would go with it."""


def group(version: str) -> str:
    """Give the group of an apiVersion; empty for the core.

    >>> group("apps/v1"), group("v1")
    ('apps', '')
    """
    return version.rpartition("/")[0]


def rank(value: Mapping[str, Any], own_groups: frozenset[str] = frozenset()) -> int:
    """Give the place of an object in the order of application; `own_groups` are those of its addon's definitions."""
    version, kind = value["apiVersion"], value["kind"]
    if (version, kind) in SERVED:
        return JUDGING if kind in JUDGES else RANK.get(kind, OTHER)
    return CUSTOM if group(version) in own_groups else OTHER


def defined(value: Mapping[str, Any]) -> Mapping[tuple[str, str], bool]:
    """Give the kinds that a CustomResourceDefinition makes, as `SERVED` has them; nothing where it is none."""
    if (value.get("apiVersion"), value.get("kind")) != ("apiextensions.k8s.io/v1", "CustomResourceDefinition"):
        return {}
    spec = value.get("spec")
    try:
        assert isinstance(spec, dict)
        found = {
            (f"{spec['group']}/{one['name']}", str(spec["names"]["kind"])): spec["scope"] == "Namespaced"
            for one in spec["versions"]
            if one.get("served")
        }
    except (AssertionError, KeyError, TypeError, AttributeError):
        return {}
    return found
