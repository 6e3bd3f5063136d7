"""Rules of kubeassay.checks.platform."""

from __future__ import annotations

from typing import Any

from kit import failing, plan_of, profile_of, scan_text

NAMESPACE = "apiVersion: v1\nkind: Namespace\nmetadata: {{name: {}}}\n"
POD = (
    "apiVersion: v1\nkind: Pod\nmetadata: {{name: {}{}}}\n"
    "spec: {{containers: [{{name: a, image: registry.example/a:1}}]}}\n"
)


def found(*documents: str, **parameters: Any) -> set[tuple[int, str]]:
    result = scan_text(plan_of(profile_of("documented-namespaces", **parameters)), "---\n".join(documents))
    return {(f.location.start_line, f.message) for f in failing(result)}


def test_unknown_missing_and_undeclared_namespaces() -> None:
    documents = (
        NAMESPACE.format("shop"),
        NAMESPACE.format("sandbox"),
        POD.format("web", ", namespace: elsewhere"),
        POD.format("api", ", namespace: elsewhere"),
        POD.format("anywhere", ""),
        POD.format("new", ", namespace: lab"),
    )
    assert found(*documents, namespaces=["shop", "bank", "kube-system", "lab"]) == {
        (3, "1 documented namespace is not declared: bank"),
        (26, "namespace lab of lab/new[Pod] is documented and not declared"),
        (7, "namespace sandbox is not among the documented ones"),
        (11, "namespace elsewhere of elsewhere/web[Pod] is not among the documented ones"),
    }


def test_without_parameters_or_namespaces_nothing_passes() -> None:
    result = scan_text(plan_of(profile_of("documented-namespaces")), NAMESPACE.format("shop"))
    assert (result.summary.passed, result.summary.fail) == (0, 0)
    result = scan_text(
        plan_of(profile_of("documented-namespaces", namespaces=["shop"])), POD.format("web", ", namespace: shop")
    )
    assert (result.summary.passed, result.summary.fail, result.summary.not_evaluated) == (0, 0, 1)
    assert [n.reason for n in result.not_evaluated] == ["no-objects"]


def test_what_is_documented_and_declared_passes() -> None:
    plan = plan_of(profile_of("documented-namespaces", namespaces=["shop", "bank"]))
    result = scan_text(plan, "---\n".join(NAMESPACE.format(name) for name in ("shop", "bank", "kube-system")))
    assert (result.summary.passed, result.summary.fail) == (3, 0)


def test_pods_of_operators_are_workloads_whichever_rules_run() -> None:
    alertmanager = (
        "apiVersion: monitoring.coreos.com/v1\nkind: Alertmanager\n"
        "metadata: {name: main, namespace: elsewhere}\nspec: {replicas: 2}\n"
    )
    assert found(NAMESPACE.format("shop"), alertmanager, namespaces=["shop"]) == {
        (7, "namespace elsewhere of elsewhere/main[Alertmanager] is not among the documented ones")
    }
