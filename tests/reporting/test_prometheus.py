"""Metrics: what Prometheus' own code says of them, the bounds of series, labels, times."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kit import answered, go_program
from kubeassay.model import NotEvaluated, ObjectRef, Result
from kubeassay.reporting import RenderOptions, render
from kubeassay.reporting import prometheus as metrics
from reporting.samples import CLEAN, DRIFT, FAILING, HOSTILE, SAMPLES
from reporting.strategies import results


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return go_program("upstream_prometheus", ".", tmp_path_factory.mktemp("upstream"))


def text_of(result: Result, options: RenderOptions | None = None) -> str:
    [document] = render("prometheus", result, options).documents
    return document.decode("utf-8")


def series(result: Result, name: str, options: RenderOptions | None = None) -> dict[tuple[str, ...], float]:
    """The values of one metric by its own labels, in their order."""
    from prometheus_client.parser import text_string_to_metric_families

    return {
        tuple(text for key, text in sample.labels.items() if key not in ("target", "profile")): sample.value
        for family in text_string_to_metric_families(text_of(result, options))
        for sample in family.samples
        if sample.name == f"kubeassay_{name}"
    }


def _asked(program: Path, results_: list[Result]) -> list[Mapping[str, object]]:
    questions = [{"text": text_of(result, RenderOptions(time=number))} for number, result in enumerate(results_)]
    return answered(program, questions)


def test_prometheus_has_nothing_against_the_samples(upstream: Path) -> None:
    answers = _asked(upstream, list(SAMPLES.values()))
    assert [answer["problems"] for answer in answers] == [[]] * len(SAMPLES)


@settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(results(), min_size=5, max_size=5))
def test_prometheus_has_nothing_against_any_result(upstream: Path, several: list[Result]) -> None:
    assert [answer["problems"] for answer in _asked(upstream, several)] == [[]] * 5


def test_prometheus_would_say_what_it_has_against_a_text(upstream: Path) -> None:
    bad = text_of(CLEAN).replace("kubeassay_objects", "kubeassay_objects_total")
    twice = text_of(CLEAN) + text_of(CLEAN).splitlines()[2] + "\n"
    timed = text_of(CLEAN).replace('"} 3\n', '"} 3 1000\n', 1)
    answers = answered(upstream, [{"text": text} for text in (bad, twice, timed)])
    assert all(answer["problems"] for answer in answers)


def test_findings_are_counted_by_severity_and_area_and_absence_is_zero() -> None:
    found = series(FAILING, "findings")
    assert found["pod-security", "critical"] == 1
    assert found["mtls", "medium"] == 1
    assert found["mtls", "critical"] == 0
    assert sum(found.values()) == FAILING.summary.fail
    assert set(series(CLEAN, "findings").values()) == {0}


def test_controls_have_all_outcomes() -> None:
    outcomes = series(FAILING, "control_outcomes")
    assert outcomes["pod-security", "PS-01", "excepted"] == 1
    assert outcomes["mtls", "MT-01", "not-evaluated"] == 1
    assert len(outcomes) == 4 * len(FAILING.controls)


def test_incomplete_is_a_value() -> None:
    assert series(CLEAN, "complete") == {(): 1}
    assert series(FAILING, "complete") == {(): 0}
    assert series(FAILING, "not_evaluated") == {("not-rendered",): 1, ("rule-error",): 1}
    assert series(FAILING, "read_errors") == {(): 2}
    assert series(FAILING, "excepted_findings") == {(): 1}


def test_there_is_no_time_unless_asked() -> None:
    assert series(CLEAN, "run_timestamp_seconds") == {}
    assert series(CLEAN, "run_timestamp_seconds", RenderOptions(time=1_790_000_000)) == {(): 1_790_000_000}


def test_namespaces_are_bounded_and_nothing_is_lost() -> None:
    finding = FAILING.findings[0]
    many = tuple(
        replace(
            finding,
            severity="critical" if number == 249 else "low",
            object=ObjectRef("v1", "Pod", f"ns-{number:03}", "web"),
        )
        for number in range(250)
    )
    found = series(replace(FAILING, findings=many), "namespace_findings")
    namespaces = {namespace for namespace, _ in found}
    assert len(namespaces) == metrics.NAMESPACE_LIMIT + 1
    assert "ns-249" in namespaces, "the most severe have series of their own"
    assert found[metrics.OTHERS, "low"] == 150
    assert sum(found.values()) == 250


def test_reasons_are_bounded_and_nothing_is_lost() -> None:
    gaps = tuple(NotEvaluated(f"reason-{number}", "") for number in range(80))
    found = series(replace(CLEAN, not_evaluated=gaps), "not_evaluated")
    assert len(found) == metrics.REASON_LIMIT + 1
    assert sum(found.values()) == 80


def test_a_namespace_cannot_be_taken_for_the_others() -> None:
    finding = replace(FAILING.findings[0], object=ObjectRef("v1", "Pod", metrics.OTHERS, "x"))
    found = series(replace(FAILING, findings=(finding,)), "namespace_findings")
    assert found[metrics.OTHERS, "critical"] == 1


def test_labels_are_escaped() -> None:
    result = replace(HOSTILE, target=replace(HOSTILE.target, name='a"} 1\nkubeassay_complete 1 \\'))
    text = text_of(result)
    assert r'target="a\"} 1\\x0akubeassay_complete 1 \\"' in text
    assert len(series(result, "complete")) == 1


def test_drift_is_counted_where_there_are_manifests_to_compare_with() -> None:
    assert series(CLEAN, "drift") == {}
    counts = series(replace(CLEAN, drift=DRIFT), "drift")
    assert counts == {("missing",): 1, ("changed",): 1, ("undeclared",): 1, ("not-compared",): 1}


def test_targets_and_profiles_tell_files_apart() -> None:
    """node_exporter refuses two files with equal series."""
    other = replace(CLEAN, target=replace(CLEAN.target, name="other"))
    lines = [{line for line in text_of(result).splitlines() if not line.startswith("#")} for result in (CLEAN, other)]
    names = [{line.rpartition(" ")[0] for line in part} for part in lines]
    assert not names[0] & names[1]
