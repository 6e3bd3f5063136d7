"""What the views of an HTML page show beside the findings: compliance, gaps, exceptions, and choices of filters."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from kubeassay.model import (
    SEVERITIES,
    Control,
    ControlSummary,
    Drift,
    EnvironmentResult,
    Finding,
    Location,
    NotEvaluated,
    Result,
    Source,
)
from kubeassay.reporting.html_data import LABELS
from kubeassay.reporting.sarif import meaning
from kubeassay.reporting.texts import plural, printable

#: What becomes of a control, worst first.
STATUSES = ("fail", "not-evaluated", "excepted", "pass", "no-subject")
_WORDS = {
    "fail": "failed",
    "not-evaluated": "not evaluated",
    "excepted": "excepted",
    "pass": "passed",
    "no-subject": "without subject",
}
#: What the address calls objects without a namespace.
NO_NAMESPACE = "(none)"
#: So many kinds of objects are named of those that some rules judge.
_NAMED = 4
_PLAIN = re.compile(r"[a-z0-9][a-z0-9-]*\Z")


def findings_where(**chosen: str) -> str:
    """The address of the findings that some filters leave, as the page's script reads it."""
    return "#findings?" + urlencode({key: printable(value) for key, value in chosen.items()}, errors="replace")


def anchors(result: Result, findings: Sequence[Finding]) -> dict[str, str]:
    """Where on the page the rules of findings are described, by rule, sorted."""
    used = sorted({finding.rule for finding in findings}.intersection(result.rules))
    return {
        rule: f"rule-{rule}" if _PLAIN.match(rule) else f"rule--{number}" for number, rule in enumerate(used, start=1)
    }


def incomplete(result: Result) -> list[str]:
    """What makes a report incomplete, in a few words."""
    words = []
    if result.errors:
        words.append(plural(len(result.errors), "read error"))
    if result.summary.not_evaluated:
        words.append(f"{plural(result.summary.not_evaluated, 'outcome')} not evaluated")
    if result.not_evaluated:
        words.append(f"{plural(len(result.not_evaluated), 'gap')} told")
    return words


# --- compliance ---


def _status(counts: ControlSummary) -> str:
    # What was not judged must never look like a pass.
    if counts.fail:
        return "fail"
    if counts.not_evaluated:
        return "not-evaluated"
    if counts.excepted:
        return "excepted"
    return "pass" if counts.passed else "no-subject"


@dataclass(frozen=True, slots=True)
class ControlView:
    control: Control
    counts: ControlSummary
    status: str
    link: str


@dataclass(frozen=True, slots=True)
class BaselineView:
    name: str
    title: str
    description: str
    standard: Source | None
    #: The documents of its clauses, where it names no standard.
    documents: tuple[str, ...]
    summary: str
    controls: tuple[ControlView, ...]


@dataclass(frozen=True, slots=True)
class AreaView:
    """``controls``: how many have each status; ``findings``: those of rules of the area."""

    name: str
    controls: Mapping[str, int]
    findings: int
    link: str

    @property
    def shares(self) -> list[tuple[str, int]]:
        return [(status, self.controls[status]) for status in STATUSES]


def _view(result: Result, control: Control) -> ControlView:
    counts = result.summary.by_control.get(control.id, ControlSummary())
    return ControlView(control, counts, _status(counts), findings_where(control=control.id))


def baseline_views(result: Result) -> list[BaselineView]:
    """The controls by baseline, in the profile's order."""
    known = {baseline.name: baseline for baseline in result.profile.baselines}
    members: dict[str, list[ControlView]] = {}
    for control in result.controls:
        members.setdefault(control.baseline, []).append(_view(result, control))
    found = []
    for name, controls in members.items():
        baseline = known.get(name)
        counts = Counter(view.status for view in controls)
        said = ", ".join(f"{counts[status]:,} {_WORDS[status]}" for status in STATUSES if counts[status])
        found.append(
            BaselineView(
                name=name,
                title=(baseline.title if baseline is not None else "") or name,
                description=baseline.description if baseline is not None else "",
                standard=baseline.standard if baseline is not None and baseline.standard.document else None,
                documents=tuple(dict.fromkeys(filter(None, (view.control.source.document for view in controls)))),
                summary=f"{plural(len(controls), 'control')}: {said}",
                controls=tuple(controls),
            )
        )
    return found


def area_views(result: Result) -> list[AreaView]:
    """Areas, sorted by name. A control belongs to the areas of its rules; to its baseline's where it has none."""
    areas = {baseline.name: baseline.area for baseline in result.profile.baselines}
    controls: dict[str, Counter[str]] = {}
    for control in result.controls:
        status = _view(result, control).status
        own = {result.rules[use.rule].area for use in control.rules if use.rule in result.rules}
        for area in own or {areas.get(control.baseline) or control.baseline}:
            controls.setdefault(area, Counter())[status] += 1
    findings = Counter(finding.area for finding in result.findings if finding.outcome == "fail")
    return [
        AreaView(area, {status: of[status] for status in STATUSES}, findings[area], findings_where(area=area))
        for area, of in sorted(controls.items())
    ]


# --- findings ---


@dataclass(frozen=True, slots=True)
class CountRow:
    """A namespace or object, with its failing findings by severity."""

    name: str
    link: str
    counts: Mapping[str, int]


def _rows(findings: Sequence[Finding], key: str) -> list[CountRow]:
    counts: dict[str, Counter[str]] = {}
    for finding in findings:
        if finding.outcome == "fail":
            name = str(finding.object) if key == "object" else finding.object.namespace or NO_NAMESPACE
            counts.setdefault(name, Counter())[finding.severity] += 1
    worst = sorted(counts, key=lambda name: ([-counts[name][severity] for severity in SEVERITIES], name))
    return [
        CountRow(name, findings_where(**{key: name}), {severity: counts[name][severity] for severity in SEVERITIES})
        for name in worst
    ]


def namespace_rows(findings: Sequence[Finding]) -> list[CountRow]:
    """Namespaces with findings, the worst first."""
    return _rows(findings, "namespace")


def object_rows(findings: Sequence[Finding]) -> list[CountRow]:
    """Objects with findings, the worst first."""
    return _rows(findings, "object")


#: A choice of the filters: the element's id, its label, what stands for no choice, and (value, text) of each choice.
Choice = tuple[str, str, str, list[tuple[str, str]]]


def choices(result: Result, findings: Sequence[Finding]) -> list[Choice]:
    """The choices of the filters: what occurs in the findings."""

    def same(values: set[str]) -> list[tuple[str, str]]:
        return [(value, value) for value in sorted(set(map(printable, values)))]

    used = {control for finding in findings for control in finding.controls}
    controls = [
        (printable(control.id), printable(f"{control.id} {control.title}"))
        for control in result.controls
        if control.id in used
    ]
    outcomes = [name for name in LABELS if any(finding.outcome == name for finding in findings)]
    found: list[Choice] = [
        ("by-namespace", "Namespace", "all", same({f.object.namespace or NO_NAMESPACE for f in findings})),
        ("by-area", "Area", "all", same({finding.area for finding in findings})),
        ("by-control", "Control", "all", controls),
        ("by-rule", "Rule", "all", same({finding.rule for finding in findings})),
    ]
    if set(outcomes) - {"fail"}:
        # Without a choice the script lists what failed, where anything did: most people look for that.
        failed = "fail" in outcomes
        others: list[tuple[str, str]] = [(name, LABELS[name]) for name in outcomes if name != "fail"]
        everything = [("any", "all")] if failed else []
        found.append(("by-outcome", "Outcome", LABELS["fail"] if failed else "all", [*everything, *others]))
    if result.environments:
        names = {environment.name for environment in result.environments}
        names.update(name for finding in findings for name in finding.environments)
        found.append(("by-environment", "Environment", "all", same(names)))
    if result.comparison is not None:
        found.append(("by-trend", "Since before", "all", [("new", "new"), ("unchanged", "unchanged")]))
    return found


# --- what was not judged, and what was accepted ---


@dataclass(frozen=True, slots=True)
class Cause:
    """A reason with its entries: what was not evaluated, the rules that it stopped (none: all), and the kinds of
    objects that these judge, in words."""

    name: str
    meaning: str
    entries: tuple[tuple[NotEvaluated, tuple[str, ...], str], ...]

    @property
    def stops_rules(self) -> bool:
        """Whether any entry is about some rules, and not about all."""
        return any(rules for _, rules, _ in self.entries)

    @property
    def has_places(self) -> bool:
        """Whether any entry has a place that its own words do not name."""
        return any(entry.namespace or place_of(entry) for entry, _, _ in self.entries)


def place_of(entry: NotEvaluated) -> str:
    """The file of an entry, where its own words do not name it."""
    return entry.file if entry.file and entry.file not in entry.detail else ""


def _some(names: Iterable[str]) -> str:
    listed = sorted(set(names))
    more = f" and {len(listed) - _NAMED} more" if len(listed) > _NAMED else ""
    return ", ".join(listed[:_NAMED]) + more


def causes(result: Result) -> list[Cause]:
    """What was not evaluated, by reason; rules that one cause stopped together."""
    stopped: dict[tuple[str, str, str | None, str | None], tuple[NotEvaluated, list[str]]] = {}
    for entry in result.not_evaluated:
        _, rules = stopped.setdefault((entry.reason, entry.detail, entry.namespace, entry.file), (entry, []))
        if entry.rule is not None:
            rules.append(entry.rule)
    reasons: dict[str, list[tuple[NotEvaluated, tuple[str, ...], str]]] = {}
    for entry, rules in stopped.values():
        concerned = [result.rules[rule] for rule in rules if rule in result.rules]
        kinds = {kind for rule in concerned for kind in rule.needs or (rule.subject,)}
        reasons.setdefault(entry.reason, []).append((entry, tuple(dict.fromkeys(rules)), _some(kinds)))
    return [Cause(reason, meaning(reason), tuple(entries)) for reason, entries in reasons.items()]


def skipped_files(result: Result) -> list[tuple[str, list[str]]]:
    """Files with nothing to judge, by reason."""
    reasons: dict[str, list[str]] = {}
    for entry in result.skipped:
        reasons.setdefault(entry.reason, []).append(entry.file + (f":{entry.line}" if entry.line is not None else ""))
    return sorted(reasons.items())


@dataclass(frozen=True, slots=True)
class EnvironmentView:
    """One of several environments. ``lacking``: how many objects it lacks that others have."""

    result: EnvironmentResult
    link: str
    lacking: int

    @property
    def counts(self) -> list[tuple[int, str]]:
        """How many findings of each severity, each with their address."""
        of = self.result.summary.by_severity
        return [(of.get(name, 0), findings_where(environment=self.result.name, severity=name)) for name in SEVERITIES]


def environment_views(result: Result) -> list[EnvironmentView]:
    """The environments, in the result's order."""
    lacking = Counter(name for difference in result.differences for name in difference.absent)
    return [
        EnvironmentView(one, findings_where(environment=one.name), lacking[one.name]) for one in result.environments
    ]


#: Tables of drift, by title: their columns.
DRIFT_COLUMNS = {
    "Declared, and not in the cluster": ("Object", "Manifest"),
    "Otherwise in the cluster": ("Object", "Field", "What differs", "Manifest", "In the cluster"),
    "In the cluster, and not declared": ("Object", "In the cluster"),
    "Not compared": ("Reason", "What", "Where"),
}


def drift_rows(drift: Drift) -> list[tuple[str, list[tuple[str, ...]]]]:
    """The rows of each table of drift."""

    def place(location: Location) -> str:
        return f"{location.file}:{location.start_line}"

    rows: list[list[tuple[str, ...]]] = [
        [(str(one.object), place(one.location)) for one in drift.missing],
        [(str(one.object), one.path, one.detail, place(one.location), one.file) for one in drift.changed],
        [(str(one.object), one.file) for one in drift.undeclared],
        [(one.reason, one.detail, one.file or "") for one in drift.not_compared],
    ]
    return list(zip(DRIFT_COLUMNS, rows, strict=True))


@dataclass(frozen=True, slots=True)
class ExceptionView:
    """``state``: whether it holds, in words."""

    id: str
    rule: str
    reason: str
    owner: str
    expires: str
    place: str
    state: str
    count: int
    link: str


def exception_views(result: Result) -> list[ExceptionView]:
    """Exceptions that the result knows, and those that only findings name."""
    counts = Counter(f.exception for f in result.findings if f.outcome == "excepted" and f.exception is not None)
    found = []
    for use in result.exceptions:
        one = use.exception
        state = "holds" if use.state == "holds" else f"{use.state}: {use.problem}" if use.problem else use.state
        if use.state == "holds" and not counts[one.id]:
            state = "holds, and accepts no finding"
        place = one.file + (f":{one.line}" if one.line else "") if one.file else ""
        link = findings_where(outcome="excepted", q=one.id)
        found.append(
            ExceptionView(one.id, one.rule, one.reason, one.owner, one.expires, place, state, counts[one.id], link)
        )
    known = {use.exception.id for use in result.exceptions}
    told: dict[str, Finding] = {}
    for finding in result.findings:
        if finding.outcome == "excepted" and finding.exception is not None and finding.exception not in known:
            told.setdefault(finding.exception, finding)
    for name, finding in sorted(told.items()):
        # Of one that is in the findings alone nothing else is known; it may be for several rules.
        link = findings_where(outcome="excepted", q=name)
        found.append(ExceptionView(name, finding.rule, finding.reason or "", "", "", "", "holds", counts[name], link))
    return found
