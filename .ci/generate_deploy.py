"""Write what deploy/ grants, and docs/rights.md that explains it, from what the rules of the default profile need.

    python .ci/generate_deploy.py [--check]

``--check`` writes nothing, and exits with 1 where a file differs from what would be written. Kinds of Kubernetes itself
are found in its own table of resources. Of custom resources a rule names the kind alone: :data:`NAMED` says of which
API groups, and how the API calls them. A rule that needs a kind that is not there ends the program with an error.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from kubeassay.analysis.access.resources import built_in
from kubeassay.analysis.facts import CUSTOM_RESOURCES
from kubeassay.cli.manifest_text import manifest_text
from kubeassay.cli.rights import SECRETS, cluster_role, list_rules
from kubeassay.engine.live import judged_kinds
from kubeassay.engine.plan import make_plan
from kubeassay.execution.audit import everything_wanted
from kubeassay.model import KubernetesVersion, Rule
from kubeassay.policy.library import Library

ROOT = Path(__file__).parent.parent
#: The profile that the CronJob judges by.
PROFILE = "strict"
MINORS = range(25, 38)

#: Which custom resources rules look at: group → resource, as its API calls it → kind.
NAMED: Mapping[str, Mapping[str, str]] = {
    "argoproj.io": {
        "applications": "Application",
        "applicationsets": "ApplicationSet",
        "appprojects": "AppProject",
    },
    # Views of the roles of rbac.authorization.k8s.io, which clusters of OpenShift serve beside them.
    "authorization.openshift.io": {
        "clusterrolebindings": "ClusterRoleBinding",
        "clusterroles": "ClusterRole",
        "rolebindings": "RoleBinding",
        "roles": "Role",
    },
    "autoscaling.k8s.io": {"verticalpodautoscalers": "VerticalPodAutoscaler"},
    "cert-manager.io": {"certificates": "Certificate"},
    "cilium.io": {
        "ciliumclusterwidenetworkpolicies": "CiliumClusterwideNetworkPolicy",
        "ciliumnetworkpolicies": "CiliumNetworkPolicy",
    },
    "cluster.x-k8s.io": {
        "machinedeployments": "MachineDeployment",
        "machinepools": "MachinePool",
        "machinesets": "MachineSet",
    },
    "crd.antrea.io": {"clusternetworkpolicies": "ClusterNetworkPolicy", "networkpolicies": "NetworkPolicy"},
    "crd.projectcalico.org": {
        "globalnetworkpolicies": "GlobalNetworkPolicy",
        "networkpolicies": "NetworkPolicy",
    },
    "gateway.networking.k8s.io": {
        "gateways": "Gateway",
        "grpcroutes": "GRPCRoute",
        "httproutes": "HTTPRoute",
        "referencegrants": "ReferenceGrant",
        "tcproutes": "TCPRoute",
        "tlsroutes": "TLSRoute",
        "udproutes": "UDPRoute",
    },
    "helm.toolkit.fluxcd.io": {"helmreleases": "HelmRelease"},
    "install.istio.io": {"istiooperators": "IstioOperator"},
    "k8s.ovn.org": {"egressfirewalls": "EgressFirewall"},
    "karpenter.sh": {"nodepools": "NodePool", "provisioners": "Provisioner"},
    "keda.sh": {"scaledobjects": "ScaledObject"},
    "kustomize.toolkit.fluxcd.io": {"kustomizations": "Kustomization"},
    "machine.openshift.io": {"machinesets": "MachineSet"},
    "maistra.io": {
        "servicemeshcontrolplanes": "ServiceMeshControlPlane",
        "servicemeshmemberrolls": "ServiceMeshMemberRoll",
    },
    "monitoring.coreos.com": {
        "alertmanagers": "Alertmanager",
        "prometheusagents": "PrometheusAgent",
        "prometheuses": "Prometheus",
        "thanosrulers": "ThanosRuler",
    },
    "network.openshift.io": {"egressnetworkpolicies": "EgressNetworkPolicy"},
    "networking.gke.io": {"fqdnnetworkpolicies": "FQDNNetworkPolicy"},
    "networking.istio.io": {
        "destinationrules": "DestinationRule",
        "gateways": "Gateway",
        "serviceentries": "ServiceEntry",
        "virtualservices": "VirtualService",
    },
    "networking.k8s.aws": {
        "applicationnetworkpolicies": "ApplicationNetworkPolicy",
        "clusternetworkpolicies": "ClusterNetworkPolicy",
    },
    "nsx.vmware.com": {"securitypolicies": "SecurityPolicy"},
    "policy.kubesphere.io": {"namespacenetworkpolicies": "NamespaceNetworkPolicy"},
    "policy.networking.k8s.io": {
        "adminnetworkpolicies": "AdminNetworkPolicy",
        "baselineadminnetworkpolicies": "BaselineAdminNetworkPolicy",
        "clusternetworkpolicies": "ClusterNetworkPolicy",
    },
    "projectcalico.org": {
        "globalnetworkpolicies": "GlobalNetworkPolicy",
        "networkpolicies": "NetworkPolicy",
        "stagednetworkpolicies": "StagedNetworkPolicy",
    },
    "route.openshift.io": {"routes": "Route"},
    "sailoperator.io": {
        "istiorevisions": "IstioRevision",
        "istiorevisiontags": "IstioRevisionTag",
        "istios": "Istio",
        "ztunnels": "ZTunnel",
    },
    "security.antrea.tanzu.vmware.com": {
        "clusternetworkpolicies": "ClusterNetworkPolicy",
        "networkpolicies": "NetworkPolicy",
    },
    "security.istio.io": {
        "authorizationpolicies": "AuthorizationPolicy",
        "peerauthentications": "PeerAuthentication",
        "requestauthentications": "RequestAuthentication",
    },
    "source.toolkit.fluxcd.io": {
        "buckets": "Bucket",
        "gitrepositories": "GitRepository",
        "helmcharts": "HelmChart",
        "helmrepositories": "HelmRepository",
        "ocirepositories": "OCIRepository",
    },
}

#: What ``needs`` names, and no API server has: a word for many kinds, files of tools, kinds that were retired before
#: the oldest release of MINORS.
NOT_SERVED = frozenset({CUSTOM_RESOURCES, "ClusterConfig", "PodSecurityPolicy"})

#: (API group, resource) → kind.
Resources = dict[tuple[str, str], str]


@cache
def rules() -> tuple[Rule, ...]:
    """What the profile runs, at any version."""
    library = Library()
    profile = library.profile(PROFILE)
    found: dict[str, Rule] = {}
    for minor in MINORS:
        for active in make_plan(profile, library, KubernetesVersion(minor)).rules:
            found[active.rule.id] = active.rule
    return tuple(found[name] for name in sorted(found))


def resources() -> Resources:
    """The resources that the rules need."""
    wanted = everything_wanted(rules())
    served: Resources = {
        (resource.group, resource.name): resource.kind for resource in built_in() if "list" in resource.verbs
    }
    found = {key: kind for key, kind in served.items() if kind in wanted.kinds}
    for group, members in NAMED.items():
        for name, kind in members.items():
            if kind not in wanted.kinds and not wanted.custom:
                raise SystemExit(f"no rule of profile {PROFILE} needs {kind} of {group}: take it out of NAMED")
            found[group, name] = kind
    lacking = sorted(wanted.kinds - set(found.values()) - NOT_SERVED)
    if lacking:
        raise SystemExit(f"of which API group are {', '.join(lacking)}? Name them in NAMED of {Path(__file__).name}")
    return found


NOTE = (
    "# Written by .ci/generate_deploy.py from what the rules of profile {profile} need (docs/rights.md says which).\n"
    "# Change the rules, then run `make generate`."
)
SECRETS_NOTE = """\
# Kubernetes knows no right to the metadata of Secrets alone: who may list them may read them. kubeassay asks for their
# metadata (PartialObjectMetadata) and never for a value, but whoever has this token could. Leave this role out
# (../without-secrets) and the rules that need Secrets are not evaluated."""


def needed_by() -> dict[str, set[str]]:
    """Kind → areas of the rules that need it. A rule on custom resources of any kind is not told at each."""
    found: dict[str, set[str]] = defaultdict(set)
    for rule in rules():
        for kind in everything_wanted([rule]).kinds | set(judged_kinds(rule)):
            found[kind].add(rule.area)
    return found


def page() -> str:
    found, areas = resources(), needed_by()
    lines = [
        "<!-- Written by .ci/generate_deploy.py: change the source, then run `make generate`. -->",
        "",
        "# Rights of the audit in the cluster",
        "",
        "What the ClusterRoles of `deploy/` grant: the verb `list`, and no other, on what the rules of profile",
        f"`{PROFILE}` need, and which areas of rules these are. `any` are those by which any custom resource may",
        "matter: what stands for pods, what sets up a mesh. [deploy.md](deploy.md) says how to grant less, or more.",
        "",
        "| API group | resource | needed by rules on |",
        "| --- | --- | --- |",
    ]
    for (group, name), kind in sorted(found.items()):
        by = sorted(areas.get(kind, ())) or ["any"]
        lines.append(f"| {group or 'core'} | {name} | {', '.join(by)} |")
    custom = sorted({rule.area for rule in rules() if everything_wanted([rule]).custom})
    lines += ["", f"Rules by which any custom resource may matter are those on {', '.join(custom)}.", ""]
    return "\n".join(lines)


def files() -> Mapping[Path, str]:
    found = resources()
    others = found.keys() - {SECRETS}
    secrets = cluster_role("kubeassay-secrets", [SECRETS])
    note = NOTE.format(profile=PROFILE)
    base = ROOT / "deploy" / "kustomize" / "base"
    chart = ROOT / "deploy" / "helm" / "kubeassay" / "files"
    return {
        base / "clusterrole.yaml": f"{note}\n{manifest_text(cluster_role('kubeassay', others))}",
        base / "clusterrole-secrets.yaml": f"{note}\n{SECRETS_NOTE}\n{manifest_text(secrets)}",
        chart / "rules.yaml": f"{note}\n{manifest_text(list_rules(others))}",
        ROOT / "docs" / "rights.md": page(),
    }


def main(arguments: Sequence[str]) -> int:
    different = [
        (path, text) for path, text in files().items() if not path.is_file() or path.read_text(encoding="utf-8") != text
    ]
    for path, text in different:
        if "--check" in arguments:
            print(f"{path.relative_to(ROOT)} is not what `make generate` writes")
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    return 1 if different and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
