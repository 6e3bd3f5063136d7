"""One result of those of several environments, which share files and were judged each by itself."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from kubeassay.engine.evaluate import in_order, numbered
from kubeassay.model import (
    ControlSummary,
    Difference,
    EnvironmentResult,
    ExceptionUse,
    Finding,
    NotEvaluated,
    Result,
    Summary,
    counted,
    identity,
)
from kubeassay.policy.library import highest


def merged(results: Mapping[str, Result], differences: Sequence[Difference] = ()) -> Result:
    """The result of environments, by their names: what is found in several at one place is one finding, with the names
    of those that have it. Profiles may differ; a control of several counts for all of them.

    The first result gives what there is but one of (the profile's name, the target).
    """
    first = next(iter(results.values()))
    findings = _findings(results)
    controls = tuple({(c.baseline, c.id): c for result in results.values() for c in result.controls}.values())
    severities: dict[str, Any] = {}
    for result in results.values():
        for rule, severity in result.rule_severities.items():
            severities[rule] = highest([severity, severities.get(rule, severity)])
    profiles = [result.profile for result in results.values()]
    profile = replace(
        first.profile,
        name=", ".join(dict.fromkeys(profile.name for profile in profiles)),
        controls=controls,
        baselines=tuple({baseline.name: baseline for p in profiles for baseline in p.baselines}.values()),
    )
    return replace(
        first,
        profile=profile,
        kubernetes_version=", ".join(dict.fromkeys(result.kubernetes_version for result in results.values())),
        summary=counted(_summary(results.values(), controls), findings),
        findings=findings,
        not_evaluated=_not_evaluated(results),
        errors=tuple(sorted({error for result in results.values() for error in result.errors}, key=_place)),
        skipped=tuple(sorted({entry for result in results.values() for entry in result.skipped}, key=_skip)),
        rules={id_: rule for result in results.values() for id_, rule in result.rules.items()},
        rule_severities=severities,
        controls=controls,
        exceptions=_exceptions(results.values(), findings),
        pictures=_pictures(results),
        environments=tuple(
            EnvironmentResult(name, result.profile.name, result.kubernetes_version, result.summary)
            for name, result in results.items()
        ),
        differences=tuple(differences),
    )


def _findings(results: Mapping[str, Result]) -> tuple[Finding, ...]:
    groups: dict[tuple[Any, ...], dict[str, Finding]] = defaultdict(dict)
    for name, result in results.items():
        for finding in result.findings:
            groups[_alike(finding)].setdefault(name, finding)
    found = []
    for group in groups.values():
        names = tuple(group)
        finding = next(iter(group.values()))
        rule = next(result.rules.get(finding.rule) for name, result in results.items() if name in group)
        if rule is not None and rule.subject == "exception" and len(names) < len(results):
            # An exception that another environment needs is not without use.
            continue
        found.append(_together(finding, group, names if len(names) < len(results) else ()))
    return tuple(numbered(sorted(found, key=in_order)))


def _alike(finding: Finding) -> tuple[Any, ...]:
    of = finding
    return (of.outcome, of.rule, identity(of), of.object, of.path, of.container, of.message, of.location, of.reason)


def _together(finding: Finding, group: Mapping[str, Finding], names: tuple[str, ...]) -> Finding:
    controls = tuple(dict.fromkeys(control for one in group.values() for control in one.controls))
    related = tuple(dict.fromkeys(related for one in group.values() for related in one.related))
    return replace(
        finding,
        fingerprint=identity(finding),
        controls=controls,
        severity=highest([one.severity for one in group.values()]),
        related=related,
        environments=names,
    )


def _summary(results: Iterable[Result], controls: Sequence[Any]) -> Summary:
    passed = not_evaluated = objects = files = 0
    by_control: dict[str, Counter[str]] = defaultdict(Counter)
    for result in results:
        summary = result.summary
        passed += summary.passed
        not_evaluated += summary.not_evaluated
        objects += summary.objects
        files += summary.files
        for control, counts in summary.by_control.items():
            by_control[control].update(passed=counts.passed, not_evaluated=counts.not_evaluated)
    return Summary(
        passed=passed,
        not_evaluated=not_evaluated,
        objects=objects,
        files=files,
        by_control={
            control.id: ControlSummary(
                passed=by_control[control.id]["passed"], not_evaluated=by_control[control.id]["not_evaluated"]
            )
            for control in controls
        },
    )


def _not_evaluated(results: Mapping[str, Result]) -> tuple[NotEvaluated, ...]:
    where: dict[NotEvaluated, list[str]] = defaultdict(list)
    for name, result in results.items():
        for entry in dict.fromkeys(result.not_evaluated):
            where[entry].append(name)
    entries = (
        entry if len(names) == len(results) else replace(entry, detail=f"{entry.detail} (in {', '.join(names)})")
        for entry, names in where.items()
    )
    return tuple(
        sorted(set(entries), key=lambda n: (n.reason, n.rule or "", n.namespace or "", n.file or "", n.detail))
    )


def _exceptions(results: Iterable[Result], findings: Iterable[Finding]) -> tuple[ExceptionUse, ...]:
    used = Counter(finding.exception for finding in findings)
    found: dict[tuple[str, str, int], ExceptionUse] = {}
    for result in results:
        for use in result.exceptions:
            exception = use.exception
            key = (exception.id, exception.file, exception.line)
            known = found.get(key)
            # One that is for a single environment holds there.
            if known is None or (known.state != "holds" and use.state == "holds"):
                found[key] = use
    return tuple(replace(use, findings=used[use.exception.id]) for use in found.values())


def _pictures(results: Mapping[str, Result]) -> Any:
    if any(result.pictures is None for result in results.values()):
        return None
    return tuple(
        replace(picture, id=f"{picture.id}-{number}", title=f"{picture.title}: {name}")
        for number, (name, result) in enumerate(results.items(), 1)
        for picture in result.pictures or ()
    )


def _place(error: Any) -> tuple[Any, ...]:
    return (error.file, error.line or 0, error.column or 0, error.message)


def _skip(entry: Any) -> tuple[Any, ...]:
    return (entry.file, entry.line or 0, entry.reason, entry.detail)
