"""Rules as CEL expressions, and Kubernetes' quantity library in them."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit import failing, objects_in, plan_of, profile_of, scan_text
from kubeassay.analysis.quantity import parse_quantity
from kubeassay.checks.check import Context
from kubeassay.model import NEWEST_KNOWN, Rule
from kubeassay.policy.cel import EvaluationError, expression_check
from kubeassay.policy.errors import PolicyError
from kubeassay.policy.library import Library

POD = """\
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {tier: gold}}
spec:
  containers:
    - name: app
      image: registry.example/app:1.0
      resources: {requests: {cpu: 500m, memory: 1Gi}}
"""


def rule(expression: str, message: str = "'no'", subject: Any = "object", field: str | None = None) -> Rule:
    return Rule(
        id="test-rule",
        title="Test",
        area="platform",
        severity="low",
        subject=subject,
        rationale="",
        remediation="",
        expression=expression,
        message_expression=message,
        field=field,
        file="test-rule.yaml",
    )


def holds(expression: str, **params: Any) -> bool:
    check = expression_check(rule(expression))
    return not list(check(objects_in(POD)[0], Context(NEWEST_KNOWN, params)))


@pytest.mark.parametrize(
    "expression",
    [
        'object.kind == "Pod"',
        'object.?metadata.?labels.?tier.orValue("") == "gold"',
        "object.?metadata.?annotations.hasValue() == false",
        'object.metadata.name.startsWith("we") && "a,b".split(",").size() == 2',
        "object.spec.containers.all(c, c.?resources.?limits.hasValue() == false)",
        'cel.bind(n, object.metadata.name, n + n == "webweb")',
        'quantity("1Gi") == quantity("1024Mi")',
        'quantity("1").isGreaterThan(quantity("999m"))',
        'quantity("1k").isLessThan(quantity("1Ki"))',
        'quantity("500m").add(quantity("1500m")).asInteger() == 2',
        'quantity("2").sub(1).compareTo(quantity("1")) == 0',
        'quantity("-3").sign() == -1 && !quantity("500m").isInteger()',
        'isQuantity("1e3") && !isQuantity("1.2.3") && !isQuantity("Gi")',
        'quantity("1500m").asApproximateFloat() == 1.5',
        "params.limit == 3",
    ],
)
def test_an_expression_that_holds(expression: str) -> None:
    assert holds(expression, limit=3)


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("object.kind ==", "line 1, column"),
        ("objct.kind == 'Pod'", "undeclared reference to 'objct"),
        ("'text'", "expression is not a bool"),
        ("container.name == 'a'", "undeclared reference to 'container"),
    ],
)
def test_an_expression_that_cannot_be_compiled_is_refused_with_its_place(expression: str, message: str) -> None:
    with pytest.raises(PolicyError, match=r"test-rule\.yaml") as raised:
        expression_check(rule(expression))
    assert message in str(raised.value)


@pytest.mark.parametrize(
    "expression", ["object.spec.missing == 1", 'quantity("x").isInteger()', "object.metadata.name"]
)
def test_an_expression_that_fails_is_no_verdict(expression: str) -> None:
    check = expression_check(rule(expression))
    with pytest.raises(EvaluationError, match="test-rule"):
        list(check(objects_in(POD)[0], Context(NEWEST_KNOWN, {})))


def test_a_rule_on_containers_sees_container_pod_and_metadata_and_points_at_its_field(tmp_path: Path) -> None:
    (tmp_path / "cpu-request.yaml").write_text(
        """\
apiVersion: kubeassay.dev/v1
kind: Rule
metadata: {id: cpu-request}
spec:
  title: Too little CPU
  area: platform
  severity: medium
  subject: container
  expression: >-
    quantity(string(container.?resources.?requests.?cpu.orValue("0"))).compareTo(quantity(params.least)) >= 0
    || metadata.?labels.?tier.orValue("") != "gold" || pod.containers.size() > 1
  messageExpression: '"container %s requests too little".format([container.name])'
  field: resources.requests.cpu
  parameters: {least: {type: string, default: "1"}}
  rationale: r
  remediation: r
"""
    )
    library = Library([tmp_path])
    plan = plan_of(profile_of("cpu-request", library=library), library=library)
    found = failing(scan_text(plan, POD))
    assert [(f.message, f.container, f.path, f.location.start_line, f.location.start_column) for f in found] == [
        ("container app requests too little", "app", "spec.containers[0].resources.requests.cpu", 8, 35)
    ]
    relaxed = plan_of(profile_of("cpu-request", library=library, least="250m"), library=library)
    assert failing(scan_text(relaxed, POD)) == []


def test_an_expression_that_fails_is_reported_and_does_not_pass(tmp_path: Path) -> None:
    (tmp_path / "broken-rule.yaml").write_text(
        "apiVersion: kubeassay.dev/v1\nkind: Rule\nmetadata: {id: broken-rule}\n"
        "spec: {title: t, area: platform, severity: low, subject: object, rationale: r, remediation: r,\n"
        "  expression: object.spec.missing == 1, messageExpression: '\"m\"'}\n"
    )
    library = Library([tmp_path])
    result = scan_text(
        plan_of(profile_of("broken-rule", "privileged-container", library=library), library=library), POD
    )
    assert [(n.reason, n.rule) for n in result.not_evaluated] == [("rule-error", "broken-rule")]
    assert result.summary.passed == 1
    assert result.summary.not_evaluated == 1


def test_a_rule_on_the_inventory_cannot_be_an_expression() -> None:
    with pytest.raises(PolicyError, match="needs a Python check"):
        expression_check(replace(rule("true"), subject="inventory"))


QUANTITIES = st.builds(
    lambda sign, whole, part, suffix: f"{sign}{whole}{part}{suffix}",
    st.sampled_from(["", "+", "-"]),
    st.integers(0, 10**6),
    st.sampled_from(["", ".", ".5", ".25", ".001"]),
    st.sampled_from(["", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "e3", "E-3", "e+2"]),
)
QUANTITY_CHECKS = {
    expression: expression_check(rule(expression))
    for expression in (
        "quantity(params.a).add(quantity(params.b)) == quantity(params.b).add(quantity(params.a))",
        "quantity(params.a).add(quantity(params.b)).sub(quantity(params.b)) == quantity(params.a)",
        "quantity(params.a).isLessThan(quantity(params.b)) == quantity(params.b).isGreaterThan(quantity(params.a))",
    )
}


@given(QUANTITIES, QUANTITIES)
def test_quantity_arithmetic_in_cel_is_exact(a: str, b: str) -> None:
    context = Context(NEWEST_KNOWN, {"a": a, "b": b})
    obj = objects_in(POD)[0]
    for expression, check in QUANTITY_CHECKS.items():
        assert not list(check(obj, context)), expression


@given(QUANTITIES, QUANTITIES)
def test_quantity_comparison_in_cel_is_that_of_the_numbers(a: str, b: str) -> None:
    first, second = parse_quantity(a), parse_quantity(b)
    assert first is not None
    assert second is not None
    sign = (first > second) - (first < second)
    assert holds("quantity(params.a).compareTo(quantity(params.b)) == params.sign", a=a, b=b, sign=sign)


@given(st.integers(-(10**12), 10**12))
def test_a_quantity_reads_as_the_number_that_its_suffix_means(number: int) -> None:
    assert parse_quantity(f"{number}m") == Fraction(number, 1000)
    assert parse_quantity(f"{number}Ki") == number * 1024
    assert parse_quantity(number) == number
