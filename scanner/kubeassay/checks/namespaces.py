"""Pod Security Admission as namespaces configure it: their labels, and the workloads that they refuse.

Source: k8s.io/pod-security-admission v0.37.1, api/helpers.go (labels) and policy/registry.go (versions).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import NamedTuple

from kubeassay.analysis.reading import mapping
from kubeassay.analysis.workloads import PodTemplate
from kubeassay.checks import pod_security_baseline, pod_security_restricted
from kubeassay.checks.check import CheckFunction, ContainerSubject, Context, NotApplicable, Violation, check
from kubeassay.checks.registry import Registry, at_version, collect
from kubeassay.model import KubernetesVersion, Object, Path

_PREFIX = "pod-security.kubernetes.io/"
#: How many further reasons a refusal names.
_REASONS = 8
#: Weakest first.
_LEVELS = ("privileged", "baseline", "restricted")
_MODES = ("enforce", "audit", "warn")
_VERSION = re.compile(r"v1\.(0|[1-9][0-9]*)\Z")

#: What Pod Security Admission makes of a level that it does not know.
_FALLBACK = {"enforce": "restricted", "audit": "privileged", "warn": "privileged"}

#: The checks of each level, with what they judge. A restricted check replaces the baseline checks named with it.
#: Kubernetes' names for them are in the rule files (references.pss).
BASELINE_RULES: Mapping[str, str] = {
    "app-armor-profile": "pod",
    "capabilities-baseline": "container",
    "host-namespaces": "pod",
    "host-path-volumes": "pod",
    "host-ports": "container",
    "host-probes-and-host-lifecycle": "container",
    "privileged-container": "container",
    "proc-mount": "container",
    "seccomp-profile-baseline": "pod",
    "selinux-options": "pod",
    "sysctls": "pod",
    "windows-host-process": "pod",
}
RESTRICTED_RULES: Mapping[str, str] = {
    "allow-privilege-escalation": "container",
    "capabilities-restricted": "container",
    "proc-mount-restricted": "container",
    "restricted-volumes": "pod",
    "run-as-non-root": "pod",
    "run-as-user": "pod",
    "seccomp-profile-restricted": "pod",
}
OVERRIDES: Mapping[str, str] = {
    "capabilities-restricted": "capabilities-baseline",
    "proc-mount-restricted": "proc-mount",
    "restricted-volumes": "host-path-volumes",
    "seccomp-profile-restricted": "seccomp-profile-baseline",
}


def _labels(namespace: Object) -> Mapping[str, object]:
    return mapping(mapping(namespace.value.get("metadata")).get("labels"))


def enforced(namespace: Object, judged: KubernetesVersion) -> tuple[str, KubernetesVersion] | None:
    """The level that a namespace enforces and the version of the standard; None where no label says so.

    An unknown level is enforced as restricted, an unknown version as latest. A version newer than the cluster's own is
    the cluster's own: its admission knows no newer checks.
    """
    labels = _labels(namespace)
    level = labels.get(f"{_PREFIX}enforce")
    if not isinstance(level, str):
        return None
    version = labels.get(f"{_PREFIX}enforce-version")
    match = _VERSION.match(version) if isinstance(version, str) else None
    pinned = min(KubernetesVersion(int(match.group(1))), judged) if match is not None else judged
    return (level if level in _LEVELS else _FALLBACK["enforce"]), pinned


@check("namespace-pod-security-labels")
def namespace_pod_security_labels(namespace: Object, context: Context) -> Iterator[Violation]:
    wanted = context.parameters["level"]
    name = namespace.ref.name
    level = _labels(namespace).get(f"{_PREFIX}enforce")
    path = ("metadata", "labels", f"{_PREFIX}enforce")
    if not isinstance(level, str):
        if wanted != "privileged":
            yield Violation(path, f"namespace {name} enforces no Pod Security Standard")
    elif level in _LEVELS and _LEVELS.index(level) < _LEVELS.index(wanted):
        yield Violation(path, f"namespace {name} enforces {level}, which is weaker than {wanted}")


@check("namespace-pod-security-labels-invalid")
def namespace_pod_security_labels_invalid(namespace: Object, context: Context) -> Iterator[Violation]:
    """The API server refuses a new namespace with such a label. One that has it already keeps it, and is treated so."""
    labels = _labels(namespace)
    for mode in _MODES:
        key = f"{_PREFIX}{mode}"
        level = labels.get(key)
        if level is not None and level not in _LEVELS:
            message = f"{key} has no level {level}: the API server refuses it, or treats it as {_FALLBACK[mode]}"
            yield Violation(("metadata", "labels", key), message)
        key = f"{key}-version"
        version = labels.get(key)
        if version is None or version == "latest" or (isinstance(version, str) and _VERSION.match(version)):
            continue
        message = f"{key} has no version {version}: the API server refuses it, or treats it as latest"
        yield Violation(("metadata", "labels", key), message)


class _LevelCheck(NamedTuple):
    subject: str
    function: CheckFunction


@cache
def _standard() -> Registry:
    return collect((pod_security_baseline, pod_security_restricted))


@cache
def _level_checks(level: str, version: KubernetesVersion) -> tuple[_LevelCheck, ...]:
    rules = dict(BASELINE_RULES) if level != "privileged" else {}
    if level == "restricted":
        rules |= RESTRICTED_RULES
    found: dict[str, _LevelCheck] = {}
    for rule, subject in rules.items():
        function = at_version(_standard().get(rule, ()), version)
        if function is not None:
            found[rule] = _LevelCheck(subject, function)
    for rule in [rule for rule in found if rule in OVERRIDES]:
        found.pop(OVERRIDES[rule], None)
    return tuple(found.values())


@check("namespace-workloads-refused")
def namespace_workloads_refused(pod: PodTemplate, context: Context) -> Iterator[Violation | NotApplicable]:
    """Pods whose namespace is among the inputs. Exemptions of the cluster are not known, nor what an operator makes of
    a custom resource's template."""
    obj = pod.obj
    namespace = context.inventory.nearest("", "Namespace", None, obj.ref.namespace or "", obj.file)
    standard = None if namespace is None else enforced(namespace, context.kubernetes_version)
    if namespace is None or standard is None or standard[0] == "privileged" or not pod.built_in:
        yield NotApplicable()
        return
    level, version = standard
    violations = list(_violations(pod, level, version, Context(version, {})))
    if not violations:
        return
    # One finding: each reason is a finding of its own by the rule that it breaks.
    first, *others = violations
    more = f", and {len(others)} more reason{'s' if len(others) > 1 else ''}" if others else ""
    enforce: Path = ("metadata", "labels", f"{_PREFIX}enforce")
    yield Violation(
        first.path,
        f"namespace {namespace.ref.name} enforces {level} and refuses the pods: {first.message}{more}",
        container=first.container,
        base=first.base,
        related=(
            (f"Namespace {namespace.ref.name} enforces {level}", namespace, enforce),
            *((other.message, obj, other.path) for other in others[:_REASONS]),
        ),
    )


def _violations(pod: PodTemplate, level: str, version: KubernetesVersion, context: Context) -> Iterator[Violation]:
    for subject, function in _level_checks(level, version):
        subjects = (
            (pod,) if subject == "pod" else tuple(ContainerSubject(container, pod) for container in pod.containers)
        )
        for one in subjects:
            for violation in function(one, context):
                if isinstance(violation, Violation):
                    yield violation
