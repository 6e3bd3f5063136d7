"""Which kinds of objects each analysis of everything at once is made of.

A rule names the analysis in its ``needs``, so that it sees all that the analysis must see, whichever rules run beside
it: connectivity without the policies of a plug-in, say, would be wrong and not just incomplete. Constants alone, since
every start of the program reads the rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

#: Kinds whose pods an operator makes in a way that is known (analysis/network/operators.py).
_OPERATORS = ("Alertmanager", "Prometheus", "PrometheusAgent", "ThanosRuler")
_CLUSTERS = ("ClusterConfig", "Node", "NodePool", "Provisioner", "MachineDeployment", "MachinePool", "MachineSet")
_GRANTS = ("Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding")

#: Kinds of Kubernetes itself, besides workloads, that quotas count objects of.
_COUNTED = (
    "ConfigMap",
    "Endpoints",
    "EndpointSlice",
    "HorizontalPodAutoscaler",
    "Ingress",
    "Lease",
    "NetworkPolicy",
    "PersistentVolumeClaim",
    "PodDisruptionBudget",
    "ResourceClaim",
    "ResourceClaimTemplate",
    "Role",
    "RoleBinding",
    "Secret",
    "Service",
    "ServiceAccount",
)

#: In ``needs``, what stands for all kinds of groups that are not Kubernetes' own.
CUSTOM_RESOURCES = "CustomResource"

_SCALING = ("Workload", CUSTOM_RESOURCES, "HorizontalPodAutoscaler", "ScaledObject")

#: Analysis → kinds. Each is asked by the function of its name, in small letters (Mesh: by those of analysis/mesh).
FACTS: Mapping[str, tuple[str, ...]] = {
    # Clusters and their node groups, and what else makes nodes.
    "Clusters": _CLUSTERS,
    "Scheduling": (*_CLUSTERS, "LimitRange", "RuntimeClass", "Workload"),
    "Connectivity": (
        "Workload",
        # Of which any may stand for pods (analysis/network/makers.py).
        CUSTOM_RESOURCES,
        *_OPERATORS,
        "Namespace",
        "NetworkPolicy",
        "AdminNetworkPolicy",
        "BaselineAdminNetworkPolicy",
        "ClusterNetworkPolicy",
        "ApplicationNetworkPolicy",
        "CiliumClusterwideNetworkPolicy",
        "CiliumNetworkPolicy",
        "EgressFirewall",
        "EgressNetworkPolicy",
        "FQDNNetworkPolicy",
        "GlobalNetworkPolicy",
        "NamespaceNetworkPolicy",
        "SecurityPolicy",
        "StagedNetworkPolicy",
    ),
    # What is scaled may be of any kind that has the scale subresource.
    "Scaling": _SCALING,
    "Verticals": ("Workload", CUSTOM_RESOURCES, "VerticalPodAutoscaler"),
    "Disruptions": (*_SCALING, *_OPERATORS, "PodDisruptionBudget"),
    # What counts against quotas, and what says for how much: custom resources may stand for anything.
    "Quotas": (
        *_SCALING,
        *_OPERATORS,
        "VerticalPodAutoscaler",
        "Namespace",
        "ResourceQuota",
        "LimitRange",
        "RuntimeClass",
        "PriorityClass",
        "StorageClass",
        "DeviceClass",
        "Node",
        "ClusterConfig",
        "CustomResourceDefinition",
        # Of what the mesh analysis is made of: whether it adds a container to pods.
        "MutatingWebhookConfiguration",
        *_COUNTED,
    ),
    # The mesh: custom resources are Istio's own, and what installs it.
    "Authorization": (
        "Workload",
        CUSTOM_RESOURCES,
        *_OPERATORS,
        "Namespace",
        "Service",
        "ServiceAccount",
        "ConfigMap",
        "MutatingWebhookConfiguration",
    ),
    "Traffic": (
        "Workload",
        CUSTOM_RESOURCES,
        *_OPERATORS,
        "Namespace",
        "Service",
        "Ingress",
    ),
    "Grants": _GRANTS,
    "Escalations": (*_GRANTS, "ServiceAccount", "Secret", "Namespace", "Workload", *_OPERATORS),
    "Mesh": (
        "Workload",
        # Of all kinds of Istio and Linkerd, since any shows that there is a mesh; of what installs them, too.
        CUSTOM_RESOURCES,
        *_OPERATORS,
        "Namespace",
        "Service",
        "ConfigMap",
        "MutatingWebhookConfiguration",
    ),
    "Exposures": (
        "Workload",
        *_OPERATORS,
        "Namespace",
        "Service",
        "Ingress",
        "Gateway",
        "HTTPRoute",
        "GRPCRoute",
        "TLSRoute",
        "TCPRoute",
        "UDPRoute",
        "ReferenceGrant",
        "VirtualService",
        "ServiceEntry",
        "Route",
    ),
    "Storage": (
        "Workload",
        # Of which any may make claims (analysis/network/makers.py).
        CUSTOM_RESOURCES,
        "HorizontalPodAutoscaler",
        "PersistentVolume",
        "PersistentVolumeClaim",
        "StorageClass",
    ),
    "Deliveries": (
        "AppProject",
        "Application",
        "ApplicationSet",
        "Bucket",
        "GitRepository",
        "HelmRelease",
        "HelmRepository",
        "Kustomization",
        "OCIRepository",
    ),
}


def kinds_of(needs: Iterable[str]) -> tuple[str, ...]:
    """The kinds that a rule's ``needs`` name, those of analyses included, each once."""

    def kinds() -> Iterator[str]:
        for name in needs:
            yield from FACTS.get(name, (name,))

    return tuple(dict.fromkeys(kinds()))
