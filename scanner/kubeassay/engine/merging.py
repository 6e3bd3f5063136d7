"""One result of those of several environments, which share files and were judged each by itself."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from kubeassay.checks.exceptions import named
from kubeassay.engine.evaluate import in_order, numbered
from kubeassay.engine.findings import MASK
from kubeassay.model import (
    Control,
    ControlSummary,
    Difference,
    EnvironmentResult,
    Exception_,
    ExceptionUse,
    Finding,
    NotEvaluated,
    Profile,
    Result,
    Summary,
    counted,
    identity,
)
from kubeassay.policy.library import highest

#: The rule that finds exceptions which accept nothing.
_UNUSED = "exception-unused"


def merged(results: Mapping[str, Result], differences: Sequence[Difference] = ()) -> Result:
    """The result of environments, by their names: what is found in several at one place is one finding, with the names
    of those that have it. Profiles may differ; a control of several counts for all of them.

    The first result gives what there is but one of (the target).
    """
    first = next(iter(results.values()))
    kept = {name: _told(name, results) for name in results}
    findings = _findings(kept, len(results))
    controls = _controls(results.values())
    severities: dict[str, Any] = {}
    for result in results.values():
        for rule, severity in result.rule_severities.items():
            severities[rule] = highest([severity, severities.get(rule, severity)])
    return replace(
        first,
        profile=_profile([result.profile for result in results.values()], controls),
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
            EnvironmentResult(name, result.profile.name, result.kubernetes_version, counted(result.summary, kept[name]))
            for name, result in results.items()
        ),
        differences=tuple(differences),
    )


def _profile(profiles: Sequence[Profile], controls: tuple[Control, ...]) -> Profile:
    """What several profiles say together; what they do not agree on is not said, but for their names."""
    names = tuple(dict.fromkeys(profile.name for profile in profiles))
    if len(names) == 1:
        return replace(profiles[0], controls=controls)

    def agreed(texts: Iterable[str]) -> str:
        different = set(texts)
        return different.pop() if len(different) == 1 else ""

    return replace(
        profiles[0],
        name=", ".join(names),
        title="; ".join(dict.fromkeys(filter(None, (profile.title for profile in profiles)))),
        description="\n\n".join(dict.fromkeys(filter(None, (profile.description for profile in profiles)))),
        controls=controls,
        baselines=tuple({baseline.name: baseline for one in profiles for baseline in one.baselines}.values()),
        environment=agreed(profile.environment for profile in profiles),
        file=agreed(profile.file for profile in profiles),
        kubernetes_version=agreed(profile.kubernetes_version for profile in profiles),
    )


def _controls(results: Iterable[Result]) -> tuple[Control, ...]:
    """The controls of all profiles; one of several has the rules that it has in any of them."""
    found: dict[tuple[str, str], Control] = {}
    for result in results:
        for control in result.controls:
            known = found.setdefault((control.baseline, control.id), control)
            more = tuple(use for use in control.rules if use not in known.rules)
            if more:
                found[control.baseline, control.id] = replace(known, rules=(*known.rules, *more))
    return tuple(found.values())


def _told(name: str, results: Mapping[str, Result]) -> list[Finding]:
    """The findings of an environment, but that an exception is without use which another one needs, or may need."""
    return [
        finding
        for finding in results[name].findings
        if finding.rule != _UNUSED or not any(_may_use(other, finding) for other in results.values())
    ]


def _may_use(result: Result, finding: Finding) -> bool:
    """Whether an exception that another environment has no use for holds in this one, which does not say the same."""
    for use in result.exceptions:
        if use.state == "holds" and _is_about(finding, use.exception):
            return not any(one.rule == _UNUSED and _is_about(one, use.exception) for one in result.findings)
    return False


def _is_about(finding: Finding, exception: Exception_) -> bool:
    """Whether a finding of a rule on exceptions is of this one. Several may stand in a line; a message begins with a
    capital."""
    place = exception.file, max(exception.line, 1)
    at = finding.location.file, finding.location.start_line
    return at == place and finding.message[1:].startswith(named(exception)[1:])


def _findings(kept: Mapping[str, Sequence[Finding]], count: int) -> tuple[Finding, ...]:
    groups: dict[tuple[Any, ...], dict[str, Finding]] = defaultdict(dict)
    more: list[Finding] = []
    for name, findings in kept.items():
        numbers: Counter[tuple[Any, ...]] = Counter()
        for finding in findings:
            alike = _alike(finding)
            # What one environment has twice (two copies of an object at one place) stays two.
            numbers[alike] += 1
            groups[*alike, numbers[alike]][name] = finding
    for group in groups.values():
        more.append(_together(group, tuple(group) if len(group) < count else ()))
    return tuple(numbered(sorted(more, key=in_order)))


def _alike(finding: Finding) -> tuple[Any, ...]:
    of = finding
    return (
        *(of.outcome, of.rule, identity(of), of.object, of.path, of.container, of.message, of.location),
        *(of.reason, of.exception),
    )


def _together(group: Mapping[str, Finding], names: tuple[str, ...]) -> Finding:
    found = list(group.values())
    finding = found[0]
    excerpts = [one.excerpt for one in found if one.excerpt is not None]
    return replace(
        finding,
        fingerprint=identity(finding),
        controls=tuple(dict.fromkeys(control for one in found for control in one.controls)),
        severity=highest([one.severity for one in found]),
        related=tuple(dict.fromkeys(related for one in found for related in one.related)),
        # What one environment takes for a secret is not shown because another does not.
        excerpt=max(excerpts, key=lambda excerpt: excerpt.text.count(MASK), default=None),
        # One that mends it in some environments alone is none.
        fix=finding.fix if all(one.fix == finding.fix for one in found) else None,
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
