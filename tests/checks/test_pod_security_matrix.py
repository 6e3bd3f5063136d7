"""Every check of the Pod Security Standards against every case, at every Kubernetes version."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from checks.pod_security_cases import CASES, CHECKS, MINORS, Case, changed, compliant_pod, found_at, violations
from kubeassay.model import format_path


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_case(case: Case) -> None:
    assert {minor: found_at(case.pod, minor) for minor in MINORS} == {minor: case.at(minor) for minor in MINORS}


def test_case_ids_are_unique() -> None:
    assert [name for name, number in Counter(case.id for case in CASES).items() if number > 1] == []


@pytest.mark.parametrize(
    ("rule", "since"), [(rule, since.minor) for rule, versions in CHECKS.items() for since, _ in versions]
)
def test_the_cases_cover_every_version_of_every_check(rule: str, since: int) -> None:
    def paths(case: Case, minor: int) -> set[str]:
        return {path for name, path in case.at(minor) if name == rule}

    cases = [case for case in CASES if case.rule == rule]
    assert any(paths(case, since) for case in cases), "no case fails"
    assert any(not paths(case, since) for case in cases), "no case passes"
    if since:
        assert any(paths(case, since - 1) != paths(case, since) for case in cases), "no case shows what changed"


def test_violations_in_a_workload_point_into_its_template() -> None:
    pod = changed(compliant_pod(), ("spec.containers[0].securityContext.privileged", True), ("spec.hostPID", True))
    template = {"metadata": {"annotations": {"container.apparmor.security.beta.kubernetes.io/app": "unconfined"}}}
    job = {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": "nightly"},
        "spec": {"jobTemplate": {"spec": {"template": {**template, "spec": pod["spec"]}}}},
    }
    root = "spec.jobTemplate.spec.template"
    assert found_at(job, 37) == {
        ("app-armor-profile", f'{root}.metadata.annotations["container.apparmor.security.beta.kubernetes.io/app"]'),
        ("privileged-container", f"{root}.spec.containers[0].securityContext.privileged"),
        ("host-namespaces", f"{root}.spec.hostPID"),
    }


def test_custom_resources_are_judged_like_built_in_ones() -> None:
    pod = changed(compliant_pod(), ("spec.volumes", [{"name": "logs", "hostPath": {"path": "/"}}]))
    rollout = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": "web"},
        "spec": {"template": {"spec": pod["spec"]}},
    }
    path = "spec.template.spec.volumes[0].hostPath"
    assert found_at(rollout, 37) == {("host-path-volumes", path), ("restricted-volumes", path)}


ODD_VALUES: list[Any] = [
    None,
    True,
    0,
    1.5,
    "x",
    "",
    [],
    {},
    [None],
    ["x"],
    [[]],
    [{}],
    {"x": {}},
    {"name": {}},
    [{"name": []}],
]


@pytest.mark.parametrize("odd", ODD_VALUES, ids=repr)
def test_no_value_of_a_custom_resource_makes_a_check_raise(odd: Any) -> None:
    """Nothing takes mistyped values out of custom resources before the checks see them."""
    fields = (
        "allowPrivilegeEscalation",
        "appArmorProfile",
        "capabilities",
        "privileged",
        "procMount",
        "runAsNonRoot",
        "runAsUser",
        "seLinuxOptions",
        "seccompProfile",
        "sysctls",
        "windowsOptions",
    )
    inner = ("type", "user", "role", "add", "drop", "hostProcess")
    changes: list[tuple[str, Any]] = [("metadata.annotations", odd), ("spec.volumes", odd), ("spec.os", odd)]
    changes += [("spec.hostUsers", odd), ("spec.hostNetwork", odd)]
    for place in ("spec", "spec.containers[0]"):
        changes += [(f"{place}.securityContext", odd)]
        changes += [(f"{place}.securityContext.{field}", odd) for field in fields]
        changes += [(f"{place}.securityContext.{field}.{part}", odd) for field in fields for part in inner]
    for field in ("ports", "livenessProbe", "lifecycle", "lifecycle.preStop", "livenessProbe.httpGet"):
        changes.append((f"spec.containers[0].{field}", odd))
    changes.append(("spec.containers[0].livenessProbe.httpGet.host", odd))
    changes.append(("metadata.annotations", {"container.apparmor.security.beta.kubernetes.io/app": odd}))
    changes.append(("spec.volumes", [{"name": odd, "hostPath": odd}, odd]))
    for change in changes:
        pod = changed(compliant_pod(), change)
        rollout = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "spec": {"template": pod}}
        for minor in (0, 18, 37):
            found_at(rollout, minor)


def test_messages_name_the_container_and_the_value() -> None:
    pod = changed(
        compliant_pod(),
        ("spec.containers[0].securityContext.capabilities.add", ["SYS_ADMIN"]),
        ("spec.initContainers[0].securityContext.privileged", True),
    )
    found = {
        (format_path(v.path), v.message, v.container)
        for versions in CHECKS.values()
        for v in violations(pod, versions[-1][1], 37)
    }
    add = "spec.containers[0].securityContext.capabilities.add[0]"
    assert found == {
        (add, "container app adds capability SYS_ADMIN", "app"),
        ("spec.initContainers[0].securityContext.privileged", "container setup runs privileged", "setup"),
    }
