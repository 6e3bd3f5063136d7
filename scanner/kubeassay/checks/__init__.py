"""Python checks: one module a rule family. A module listed here is searched for functions marked with ``@check``."""

#: The modules that carry checks. Adding a family means adding its module here, nothing else.
MODULES: tuple[str, ...] = (
    "kubeassay.checks.pod_security_baseline",
    "kubeassay.checks.pod_security_restricted",
    "kubeassay.checks.pod_hardening",
    "kubeassay.checks.images",
    "kubeassay.checks.secrets",
    "kubeassay.checks.manifest",
    "kubeassay.checks.namespaces",
    "kubeassay.checks.network_isolation",
    "kubeassay.checks.network_egress",
    "kubeassay.checks.network_paths",
    "kubeassay.checks.network_policies",
    "kubeassay.checks.rbac_roles",
    "kubeassay.checks.rbac_bindings",
    "kubeassay.checks.rbac_paths",
    "kubeassay.checks.rbac_documented",
    "kubeassay.checks.platform",
    "kubeassay.checks.autoscaling",
    "kubeassay.checks.availability",
    "kubeassay.checks.serving",
    "kubeassay.checks.scheduling",
    "kubeassay.checks.clusters",
    "kubeassay.checks.cluster_autoscaler",
    "kubeassay.checks.documented_object",
    "kubeassay.checks.quotas",
)
