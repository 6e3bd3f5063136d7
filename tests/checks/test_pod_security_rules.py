"""The rule files and baseline of the Pod Security Standards: complete, and true to what the checks do."""

from __future__ import annotations

import pytest
import yaml

from checks.pod_security_cases import (
    CASES,
    CHECKS,
    MINORS,
    Case,
    active_rules,
    changed,
    controls,
    rule_spec,
    violations,
)
from kubeassay.checks.check import CheckFunction
from kubeassay.content import folder
from kubeassay.engine.plan import make_plan
from kubeassay.model import NEWEST_KNOWN, KubernetesVersion, format_path, parse_path
from kubeassay.policy.library import Library

#: The ids of the checks of k8s.io/pod-security-admission v0.37.1, with their levels. The comparison with the module
#: itself is in test_pod_security_upstream.py; this list also holds where there is no Go.
UPSTREAM = {
    "appArmorProfile": "baseline",
    "capabilities_baseline": "baseline",
    "hostNamespaces": "baseline",
    "hostPathVolumes": "baseline",
    "hostPorts": "baseline",
    "hostProbesAndHostLifecycle": "baseline",
    "privileged": "baseline",
    "procMount": "baseline",
    "seLinuxOptions": "baseline",
    "seccompProfile_baseline": "baseline",
    "sysctls": "baseline",
    "windowsHostProcess": "baseline",
    "allowPrivilegeEscalation": "restricted",
    "capabilities_restricted": "restricted",
    "procMount_restricted": "restricted",
    "restrictedVolumes": "restricted",
    "runAsNonRoot": "restricted",
    "runAsUser": "restricted",
    "seccompProfile_restricted": "restricted",
}


def _newest(rule: str) -> CheckFunction:
    return CHECKS[rule][-1][1]


def test_every_upstream_check_has_one_rule() -> None:
    assert sorted(rule_spec(rule)["references"]["pss"] for rule in CHECKS) == sorted(UPSTREAM)


def test_every_rule_file_with_an_upstream_check_has_a_python_check() -> None:
    mapped = {
        path.stem
        for path in (folder("rules") / "pod-security").glob("*.yaml")
        if "pss" in yaml.safe_load(path.read_text(encoding="utf-8"))["spec"].get("references", {})
    }
    assert mapped == set(CHECKS)


def test_the_baseline_has_one_control_for_each_check_at_its_level() -> None:
    used = {(control["level"], use["id"]) for control in controls() for use in control["rules"]}
    assert used == {(UPSTREAM[rule_spec(rule)["references"]["pss"]], rule) for rule in CHECKS}


def test_control_ids_are_consecutive() -> None:
    ids = [control["id"] for control in controls()]
    assert ids == [f"PS-{number:02}" for number in range(1, len(ids) + 1)]


@pytest.mark.parametrize("level", ["baseline", "restricted"])
def test_the_profiles_hold_exactly_the_checks_of_their_level(level: str) -> None:
    library = Library()
    profile = library.profile(f"pss-{level}")
    planned = {
        minor: {
            (active.rule.id, active.severity) for active in make_plan(profile, library, KubernetesVersion(minor)).rules
        }
        for minor in MINORS
    }
    assert planned == {minor: {(rule, "high") for rule in active_rules(level, minor)} for minor in MINORS}


@pytest.mark.parametrize("rule", CHECKS)
def test_examples_do_what_they_say(rule: str) -> None:
    outcomes = set()
    for example in rule_spec(rule)["examples"]:
        assert "parameters" not in example
        ((outcome, text),) = example.items()
        outcomes.add(outcome)
        for manifest in yaml.safe_load_all(text):
            found = violations(manifest, _newest(rule), NEWEST_KNOWN.minor)
            assert bool(found) == (outcome == "fails"), text
    assert outcomes == {"fails", "passes"}


@pytest.mark.parametrize("case", [case for case in CASES if "fix" in rule_spec(case.rule)], ids=lambda case: case.id)
def test_a_fix_mends_its_finding_and_makes_no_new_one(case: Case) -> None:
    """A fix is for violations of the field that it sets: setting ``capabilities.drop`` mends none of ``add``."""
    function = _newest(case.rule)
    before = violations(case.pod, function, NEWEST_KNOWN.minor)
    subject_is_pod = rule_spec(case.rule)["subject"] == "pod"
    for violation in before:
        for field, value in rule_spec(case.rule)["fix"]["set"].items():
            if violation.path[-len(parse_path(field)) :] != parse_path(field):
                continue
            base = violation.base if violation.base is not None else ("spec",)
            assert subject_is_pod or violation.base is not None
            mended = changed(case.pod, (f"{format_path(base)}.{field}", value))
            after = {v.path for v in violations(mended, function, NEWEST_KNOWN.minor)}
            assert violation.path not in after
            assert after < {v.path for v in before}
