"""Which kinds of objects each analysis of everything at once is made of.

A rule names the analysis in its ``needs``, so that it sees all that the analysis must see, whichever rules run beside
it: connectivity without the policies of a plug-in, say, would be wrong and not just incomplete. Constants alone, since
every start of the program reads the rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

#: In ``needs``, what stands for every object that has pod templates.
WORKLOADS = "Workload"
#: Kinds whose pods an operator makes in a way that is known (analysis/network/operators.py): workloads, too.
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

_SCALING = (WORKLOADS, CUSTOM_RESOURCES, "HorizontalPodAutoscaler", "ScaledObject")

#: Istio's own kinds and what installs it are custom resources, besides these: how a mesh is set is asked of them.
_MESH = (
    WORKLOADS,
    CUSTOM_RESOURCES,
    "Namespace",
    "Service",
    "ConfigMap",
    "MutatingWebhookConfiguration",
)

#: Analysis → kinds. docs/contributing.md says which function asks each.
FACTS: Mapping[str, tuple[str, ...]] = {
    # Clusters and their node groups, and what else makes nodes.
    "Clusters": _CLUSTERS,
    "Scheduling": (*_CLUSTERS, "LimitRange", "RuntimeClass", WORKLOADS),
    "Connectivity": (
        WORKLOADS,
        # Of which any may stand for pods (analysis/network/makers.py).
        CUSTOM_RESOURCES,
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
    "Verticals": (WORKLOADS, CUSTOM_RESOURCES, "VerticalPodAutoscaler"),
    "Disruptions": (*_SCALING, "PodDisruptionBudget"),
    # What counts against quotas, and what says for how much: custom resources may stand for anything.
    "Quotas": (
        *_SCALING,
        # Whether a mesh adds a container to pods.
        *_MESH,
        "VerticalPodAutoscaler",
        "ResourceQuota",
        "LimitRange",
        "RuntimeClass",
        "PriorityClass",
        "StorageClass",
        "DeviceClass",
        "Node",
        "ClusterConfig",
        "CustomResourceDefinition",
        *_COUNTED,
    ),
    "Authorization": (*_MESH, "ServiceAccount"),
    "Traffic": (*_MESH, "Ingress"),
    "Grants": _GRANTS,
    "Escalations": (*_GRANTS, "ServiceAccount", "Secret", "Namespace", WORKLOADS),
    # Any kind of Istio or Linkerd shows that there is a mesh.
    "Mesh": _MESH,
    "Exposures": (
        WORKLOADS,
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
        WORKLOADS,
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
            for kind in FACTS.get(name, (name,)):
                yield kind
                yield from _OPERATORS if kind == WORKLOADS else ()

    return tuple(dict.fromkeys(kinds()))
