"""Verdicts of the Pod Security Standards against the PodSecurity admission plugin: the same pods, dry-run."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from typing import Any

import pytest

from checks.pod_security_cases import CASES, CHECKS, active_rules, random_pod, violations
from kubeassay.checks import registry
from kubeassay.model import KubernetesVersion
from live.api_server import ApiServer

LABEL = "pod-security.kubernetes.io/enforce"
#: How many random pods are asked about, at each level and version.
RANDOM_ASKED = 500


def created(pod: dict[str, Any], namespace: str) -> dict[str, Any]:
    """A pod as it can be created: ephemeral containers come later only."""
    pod = copy.deepcopy(pod)
    pod["spec"].pop("ephemeralContainers", None)
    pod["metadata"] = {**(pod.get("metadata") or {}), "name": "web", "namespace": namespace}
    return pod


def completed(pod: dict[str, Any], source: random.Random) -> dict[str, Any]:
    """A random pod with what validation demands besides the fields that are judged."""
    spec = pod["spec"]
    if not spec.get("containers"):
        spec["containers"] = [{"name": "app"}]
    for field in ("containers", "initContainers"):
        spec[field] = [one for one in spec.get(field) or [] if one is not None]
        for number, one in enumerate(spec[field]):
            one["name"], one["image"] = f"{field[0]}{number}", "registry.example/app:1.0"
            for probe in ("livenessProbe", "readinessProbe", "startupProbe", "lifecycle", "ports"):
                if source.random() < 0.8:
                    one.pop(probe, None)
    spec["volumes"] = [one for one in spec.get("volumes") or [] if one is not None]
    for number, one in enumerate(spec["volumes"]):
        one["name"] = f"v{number}"
    return pod


def ours(pod: dict[str, Any], level: str, minor: int) -> list[str]:
    """The rules of a level that a pod breaks."""
    version = KubernetesVersion(minor)
    found = []
    for rule in active_rules(level, minor):
        function = registry.at_version(CHECKS[rule], version)
        assert function is not None
        if violations(pod, function, minor):
            found.append(rule)
    return found


@pytest.mark.parametrize("level", ["baseline", "restricted"])
def test_pods_are_judged_as_by_the_admission_plugin(
    api_server: ApiServer, namespaces: Callable[..., str], level: str
) -> None:
    minor = api_server.minor
    source = random.Random(level)
    for enforced in (minor, 24):
        labels = {LABEL: level, f"{LABEL}-version": f"v1.{enforced}"}
        namespace = namespaces(f"{level}-{enforced}", labels)
        cases = [case.pod for case in CASES if "ephemeral" not in case.id]
        cases += [completed(random_pod(source), source) for _ in range(RANDOM_ASKED)]
        seen = {"refused": 0, "admitted": 0, "invalid": 0}
        wrong = []
        for case in cases:
            pod = created(case, namespace)
            said = api_server.admin.create(pod, dry_run=True, strict=False)
            if said.status in (400, 422):
                # Validation comes before this admission plugin.
                seen["invalid"] += 1
                continue
            refused = said.status == 403 and "violates PodSecurity" in said.message
            assert said.ok or refused, (pod, said)
            seen["refused" if refused else "admitted"] += 1
            found = ours(pod, level, enforced)
            if bool(found) != refused:
                wrong.append((pod, found, said.message if refused else "admitted"))
        assert not wrong, f"{len(wrong)} differences: {wrong[:5]}"
        print(level, enforced, seen)
        assert min(seen["refused"], seen["admitted"]) > 20, seen
