"""Outcomes: what fails, what passes, what was not judged, and that nothing is lost between them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from kit import LIBRARY, failing, places, plan_of, profile_of, scan_text
from kubeassay.engine.plan import make_plan
from kubeassay.execution.scan import scan
from kubeassay.model import (
    NEWEST_KNOWN,
    Control,
    Exception_,
    Profile,
    RuleUse,
    Source,
    SubjectMatch,
    Target,
)
from kubeassay.policy.errors import PolicyError
from kubeassay.sources.files import discover

TWO_CONTAINERS = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: frontend, labels: {team: a}}
spec:
  template:
    spec:
      containers:
        - name: app
          image: registry.example/app:1.0
          securityContext: {privileged: true}
        - name: log
          image: registry.example/log:1.0
"""


def test_each_subject_has_one_outcome() -> None:
    result = scan_text(plan_of(profile_of("privileged-container"), show=["pass"]), TWO_CONTAINERS)
    assert {(f.outcome, f.container, f.path) for f in result.findings} == {
        ("fail", "app", "spec.template.spec.containers[0].securityContext.privileged"),
        ("pass", "log", "spec.template.spec.containers[1]"),
    }
    assert (result.summary.fail, result.summary.passed) == (1, 1)
    by_control = result.summary.by_control["T-1"]
    assert (by_control.fail, by_control.passed, by_control.not_evaluated) == (1, 1, 0)


def test_passes_are_counted_and_not_listed_unless_asked_for() -> None:
    result = scan_text(plan_of(profile_of("privileged-container")), TWO_CONTAINERS)
    assert {f.outcome for f in result.findings} == {"fail"}
    assert result.summary.passed == 1


def test_an_object_with_mistyped_values_does_not_pass_and_its_findings_stay() -> None:
    text = """\
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  hostPID: "true"
  hostNetwork: true
  containers: [{name: app, image: "a:1", securityContext: {privileged: 1}}]
"""
    result = scan_text(plan_of("pss-baseline", show=["not-evaluated"]), text)
    assert places(failing(result)) == {("host-namespaces", "spec.hostNetwork", 6, 16)}
    assert result.summary.passed == 0
    assert {n.reason for n in result.not_evaluated} == {"invalid-object"}
    assert "spec.hostPID" in result.not_evaluated[0].detail
    not_judged = {f.rule for f in result.findings if f.outcome == "not-evaluated"}
    assert "privileged-container" in not_judged
    assert "host-namespaces" not in not_judged


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("apiVersion: v1\nkind: pod\nmetadata: {name: a}\nspec: {containers: [{name: a}]}\n", "unknown-kind"),
        ("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec: {}\n", "invalid-object"),
        ("apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {}\n", "invalid-object"),
        ("apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: []}\n", "invalid-object"),
        ("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec: {template: []}\n", "invalid-object"),
        ("a: 1\n", "no-objects"),
        ("", "no-objects"),
    ],
)
def test_what_could_not_be_judged_is_said(text: str, reason: str) -> None:
    result = scan_text(plan_of("pss-baseline"), text)
    assert reason in {n.reason for n in result.not_evaluated}
    assert result.summary.passed == 0


@pytest.mark.parametrize("rule", ["run-as-ids", "container-resources", "image-registry"])
def test_a_rule_that_demands_nothing_without_parameters_passes_nothing(rule: str) -> None:
    result = scan_text(plan_of(profile_of(rule)), TWO_CONTAINERS)
    assert (result.findings, result.summary.passed, result.not_evaluated) == ((), 0, ())


def test_a_key_that_stands_twice_in_json_is_ambiguous() -> None:
    text = '{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": {"hostPID": true, "hostPID": null, '
    text += '"containers": [{"name": "a", "image": "a:1"}]}}'
    assert {n.reason for n in scan_text(plan_of("pss-baseline"), text).not_evaluated} == {"ambiguous"}
    assert scan_text(plan_of("pss-baseline"), text.replace('"hostPID": true, ', "")).not_evaluated == ()


def test_rules_for_some_namespaces_cannot_judge_an_object_that_states_none() -> None:
    profile = _profile(RuleUse("privileged-container", match=SubjectMatch(namespaces=("frontend",))))
    nowhere = scan_text(plan_of(profile), TWO_CONTAINERS.replace(", namespace: frontend", ""))
    assert {n.reason for n in nowhere.not_evaluated} == {"no-namespace"}
    elsewhere = scan_text(plan_of(profile), TWO_CONTAINERS.replace("namespace: frontend", "namespace: backend"))
    assert elsewhere.not_evaluated == ()


def test_of_several_objects_of_one_name_the_nearest_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pod = TWO_CONTAINERS.replace("namespace: frontend", "namespace: shop")
    for environment, level in (("dev", "privileged"), ("prod", "baseline")):
        (tmp_path / environment / "apps").mkdir(parents=True)
        (tmp_path / environment / "apps/web.yaml").write_text(pod + "# " + "x" * 500_000 + "\n")
        (tmp_path / environment / "namespace.yaml").write_text(
            "apiVersion: v1\nkind: Namespace\n"
            f"metadata: {{name: shop, labels: {{pod-security.kubernetes.io/enforce: {level}}}}}\n"
        )
    plan = plan_of(profile_of("namespace-workloads-refused"))
    results = [scan(plan, discover(["."]), Target("manifests", "."), processes=count) for count in (1, 2, 3, 4)]
    assert all(result == results[0] for result in results)
    assert {f.location.file for f in failing(results[0])} == {"prod/apps/web.yaml"}


def test_a_rule_that_crashes_is_reported_and_the_others_still_run() -> None:
    plan = plan_of(profile_of("privileged-container", "host-namespaces"))

    def crash(subject: object, context: object) -> list[object]:
        raise ZeroDivisionError("division by zero")

    broken = tuple(
        (replace(a, function=crash) if a.rule.id == "host-namespaces" else a, m) for a, m in plan.by_subject["pod"]
    )
    result = scan_text(replace(plan, by_subject={**plan.by_subject, "pod": broken}), TWO_CONTAINERS)
    assert [(n.reason, n.rule) for n in result.not_evaluated] == [("rule-error", "host-namespaces")]
    assert "ZeroDivisionError" in result.not_evaluated[0].detail
    assert {f.rule for f in failing(result)} == {"privileged-container"}


@pytest.mark.parametrize(
    ("match", "path", "accepted"),
    [
        (SubjectMatch(namespaces=("front*",)), "", True),
        (SubjectMatch(namespaces=("backend",)), "", False),
        (SubjectMatch(kinds=("Deployment",), names=("web",), containers=("app",)), "", True),
        (SubjectMatch(containers=("log",)), "", False),
        (SubjectMatch(labels=(("team", "a"),)), "", True),
        (SubjectMatch(labels=(("team", "b"),)), "", False),
        (SubjectMatch(names=("web",)), "spec.template.spec.containers[0].securityContext.privileged", True),
        (SubjectMatch(names=("web",)), "spec.template.spec.containers[1].securityContext.privileged", False),
    ],
)
def test_an_exception_accepts_what_it_matches(match: SubjectMatch, path: str, accepted: bool) -> None:
    exception = Exception_("E-1", "privileged-container", match, "node agent", path=path)
    result = scan_text(plan_of(profile_of("privileged-container"), exceptions=[exception]), TWO_CONTAINERS)
    assert [f.outcome for f in result.findings] == ["excepted" if accepted else "fail"]
    if accepted:
        assert (result.findings[0].exception, result.findings[0].reason) == ("E-1", "node agent")
        assert (result.summary.fail, result.summary.excepted) == (0, 1)


def test_an_exception_ends_with_its_last_day() -> None:
    expired = Exception_("E-1", "privileged-container", SubjectMatch(names=("web",)), "r", expires="2020-01-01")
    result = scan_text(plan_of(profile_of("privileged-container"), exceptions=[expired]), TWO_CONTAINERS)
    assert [f.outcome for f in result.findings] == ["fail"]


def _profile(*uses: RuleUse) -> Profile:
    controls = tuple(Control(f"T-{n}", "t", "test", Source("t"), (use,)) for n, use in enumerate(uses))
    return Profile("test", "test", "", "latest", controls)


ADDS = TWO_CONTAINERS.replace("{privileged: true}", "{capabilities: {drop: [ALL], add: [SYS_ADMIN, CHOWN]}}")


def test_an_overriding_rule_of_the_same_severity_replaces_the_overridden_one() -> None:
    profile = _profile(RuleUse("capabilities-baseline", "high"), RuleUse("capabilities-restricted", "high"))
    found = failing(scan_text(plan_of(profile), ADDS))
    assert {f.rule for f in found} == {"capabilities-restricted"}


def test_an_overriding_rule_of_lower_severity_keeps_silent_where_the_other_spoke() -> None:
    profile = _profile(RuleUse("capabilities-baseline", "high"), RuleUse("capabilities-restricted", "medium"))
    found = failing(scan_text(plan_of(profile), ADDS))
    assert {(f.rule, f.severity, f.path.partition("securityContext.")[2]) for f in found if f.container == "app"} == {
        ("capabilities-baseline", "high", "capabilities.add[0]"),
        ("capabilities-restricted", "medium", "capabilities.add[1]"),
    }


def test_before_the_overriding_rule_exists_the_overridden_one_holds() -> None:
    found = failing(scan_text(plan_of("pss-restricted", "1.21"), ADDS))
    assert ("capabilities-baseline", "capabilities.add[0]") in {
        (f.rule, f.path.partition("securityContext.")[2]) for f in found
    }


def test_a_rule_may_be_used_with_different_parameters_for_different_subjects() -> None:
    backend = TWO_CONTAINERS.replace("namespace: frontend", "namespace: backend")
    profile = _profile(
        RuleUse("allowed-added-capabilities", parameters={"allowed": ["CHOWN"]}, match=SubjectMatch(("frontend",))),
        RuleUse("allowed-added-capabilities", parameters={"allowed": ["SYS_ADMIN"]}, match=SubjectMatch(("backend",))),
    )
    text = "---\n".join(
        t.replace("{privileged: true}", "{capabilities: {add: [SYS_ADMIN, CHOWN]}}") for t in (TWO_CONTAINERS, backend)
    )
    found = failing(scan_text(plan_of(profile), text))
    assert {(f.object.namespace, f.controls, f.path.rpartition(".")[2]) for f in found} == {
        ("frontend", ("T-0",), "add[0]"),
        ("backend", ("T-1",), "add[1]"),
    }


def test_a_control_that_narrows_a_rule_and_one_that_does_not_count_one_finding() -> None:
    narrow = RuleUse("privileged-container", "high", match=SubjectMatch(kinds=("Deployment",)))
    result = scan_text(plan_of(_profile(RuleUse("privileged-container", "medium"), narrow)), TWO_CONTAINERS)
    (found,) = failing(result)
    assert (set(found.controls), found.severity) == ({"T-0", "T-1"}, "high")
    assert (result.summary.fail, result.summary.by_severity["high"]) == (1, 1)
    assert {result.summary.by_control[control].fail for control in ("T-0", "T-1")} == {1}


def test_a_quota_that_several_clauses_ask_for_is_missing_once() -> None:
    uses = [
        RuleUse("documented-quota", parameters={"quotas": {"frontend": {name: "4"}}}) for name in ("pods", "services")
    ]
    (found,) = failing(scan_text(plan_of(_profile(*uses)), TWO_CONTAINERS))
    assert (found.controls, found.path) == (("T-0", "T-1"), "metadata.namespace")


def test_the_same_control_twice_counts_one_finding_with_both_controls() -> None:
    profile = _profile(RuleUse("privileged-container"), RuleUse("privileged-container"))
    found = failing(scan_text(plan_of(profile), TWO_CONTAINERS))
    assert [f.controls for f in found] == [("T-0", "T-1")]


def test_a_rule_without_implementation_is_refused() -> None:
    rule = replace(LIBRARY.rule("privileged-container"), id="no-such-check")

    class Library:
        def rule(self, rule_id: str) -> object:
            return rule

    with pytest.raises(PolicyError, match="neither an expression nor a Python check"):
        make_plan(_profile(RuleUse("no-such-check")), Library(), NEWEST_KNOWN)  # type: ignore[arg-type]


def _tree(folder: Path) -> None:
    for number in range(40):
        text = TWO_CONTAINERS.replace("name: web", f"name: web-{number}")
        (folder / f"deployment-{number:02}.yaml").write_text(text + "# " + "x" * 20_000 + "\n")
    (folder / "broken.yaml").write_text("a: [1\n")
    (folder / "account.yaml").write_text(
        "apiVersion: v1\nkind: Namespace\n"
        "metadata: {name: frontend, labels: {pod-security.kubernetes.io/enforce: baseline}}\n"
    )


def test_one_process_and_several_give_the_same_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _tree(tmp_path)
    monkeypatch.chdir(tmp_path)
    plan = plan_of("strict", show=["pass", "not-evaluated"])
    results = [scan(plan, discover(["."]), Target("manifests", "."), processes=count) for count in (1, 2, 5)]
    assert results[0] == results[1] == results[2]
    assert {e.file for e in results[0].errors} == {"broken.yaml"}
    assert ("namespace-workloads-refused") in {f.rule for f in failing(results[0])}


def test_a_worker_that_dies_costs_only_the_file_that_kills_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    import kubeassay.execution.scan as execution

    _tree(tmp_path)
    monkeypatch.chdir(tmp_path)
    parent = os.getpid()
    read = execution.read_file

    def deadly(file: object, remembered: object = None) -> object:
        if os.getpid() != parent and file.name == "deployment-07.yaml":  # type: ignore[attr-defined]
            os.kill(os.getpid(), 9)
        return read(file, remembered)  # type: ignore[arg-type]

    # Tests before this one may have left threads behind, beside which nothing is forked.
    monkeypatch.setattr(execution.threading, "active_count", lambda: 1)
    # The share of the parent must not hold the file: give it to a worker.
    monkeypatch.setattr(execution, "read_file", deadly)
    monkeypatch.setattr(execution, "_shares", lambda files, count: [[], list(files)])
    result = scan(plan_of(profile_of("privileged-container")), discover(["."]), Target("manifests", "."), processes=2)
    assert ("deployment-07.yaml", "cannot be read: the process that read it ended abnormally") in {
        (e.file, e.message) for e in result.errors
    }
    assert {f.location.file for f in failing(result)} == {
        f"deployment-{number:02}.yaml" for number in range(40) if number != 7
    }


def test_rules_on_the_inventory_know_of_pods_that_an_operator_makes() -> None:
    custom = "apiVersion: search.example/v1\nkind: Index\nmetadata: {name: es, namespace: shop}\nspec: {image: es:9}\n"
    policy = (
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: es, namespace: shop}\n"
        "spec: {podSelector: {matchLabels: {app: es}}}\n"
    )
    plan = plan_of(profile_of("policy-selects-nothing"))
    both = TWO_CONTAINERS.replace("namespace: frontend", "namespace: shop") + "---\n" + policy
    assert {f.rule for f in failing(scan_text(plan, both))} == {"policy-selects-nothing"}
    # The labels of its pods are not known: the policy may be theirs.
    result = scan_text(plan, f"{both}---\n{custom}")
    assert failing(result) == []
    assert ("policy-selects-nothing", "unsupported") in {(n.rule, n.reason) for n in result.not_evaluated}


def test_passes_of_rules_on_the_inventory_count_in_every_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _tree(tmp_path)
    monkeypatch.chdir(tmp_path)
    plan = plan_of(
        profile_of("binding-to-missing-role", "unused-role", "policy-rules-without-effect", "secrets-readable")
    )
    role = "apiVersion: rbac.authorization.k8s.io/v1\nkind: {0}\nmetadata: {{name: r{1}, namespace: shop}}\n"
    for number in range(40):
        Path(f"role-{number}.yaml").write_text(
            role.format("Role", number)
            + "rules: [{apiGroups: [''], resources: [pods], verbs: [get]}]\n---\n"
            + role.format("RoleBinding", number)
            + f"roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: r{number}}}\n"
            "subjects: [{kind: User, apiGroup: rbac.authorization.k8s.io, name: eve}]\n" + "# " + "x" * 20_000 + "\n"
        )
    first, second = (scan(plan, discover(["."]), Target("manifests", "."), processes=count) for count in (1, 3))
    assert first == second
    assert first.summary.passed >= 80
