"""JUnit XML, for the test reports of Jenkins, GitLab and others.

The form is that of junit-10.xsd of Jenkins' xUnit plug-in, the newest of those that consumers go by: the older one of
windyroad demands times and a host name, which no report of ours has. A suite is an area: a test case for each of its
findings. The suite ``controls`` has one for each control that nothing breaks: passed, or skipped where nothing was
judged. The suite ``not evaluated`` has what was not judged; since a skipped test is green in most consumers,
``complete`` is a test case of its own, an error for an incomplete result.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from xml.sax.saxutils import escape, quoteattr

from kubeassay.model import Control, Finding, Result
from kubeassay.reporting.options import RenderOptions, Report
from kubeassay.reporting.statements import (
    clauses,
    counted,
    demanded_by,
    environments_told,
    gaps,
    incomplete,
    is_complete,
    listed,
    only_in,
    rest_counted,
    scanned,
    subject,
)
from kubeassay.reporting.texts import inert, plural, printable, utc


@dataclass(frozen=True, slots=True)
class _Case:
    """A test case. ``outcome``: the name of its element, empty for one that passed. ``text``: printable lines."""

    group: str
    name: str
    outcome: str = ""
    type: str = ""
    message: str = ""
    text: Sequence[str] = field(default=())


def write(result: Result, options: RenderOptions) -> Report:
    suites = [
        *_areas(result, options),
        ("controls", [_control(control, result) for control in result.controls if not _fails(control, result)]),
        ("environments", list(_environments(result))),
        ("not evaluated", [_complete(result, options), *_unjudged(result)]),
    ]
    lines = ['<?xml version="1.0" encoding="UTF-8"?>']
    totals: Counter[str] = Counter()
    written: list[str] = []
    for name, cases in suites:
        if not cases:
            continue
        counts = Counter(case.outcome for case in cases)
        totals += counts
        totals["tests"] += len(cases)
        time = "" if options.time is None else f" timestamp={quoteattr(utc(options.time).removesuffix('Z'))}"
        written.append(
            f'  <testsuite name={quoteattr(name)} tests="{len(cases)}" failures="{counts["failure"]}"'
            f' errors="{counts["error"]}" skipped="{counts["skipped"]}"{time}>'
        )
        written += _unique(cases)
        written.append("  </testsuite>")
    lines.append(
        f'<testsuites name={quoteattr(scanned(result))} tests="{totals["tests"]}" failures="{totals["failure"]}"'
        f' errors="{totals["error"]}">'
    )
    return Report((("\n".join([*lines, *written, "</testsuites>"]) + "\n").encode("utf-8"),))


def _unique(cases: Sequence[_Case]) -> Iterator[str]:
    # Consumers take two test cases of one class and name for one.
    used: set[tuple[str, str]] = set()
    numbers: Counter[tuple[str, str]] = Counter()
    for case in cases:
        name, key = case.name, (case.group, case.name)
        while (case.group, name) in used:
            numbers[key] += 1
            name = f"{case.name} ({numbers[key] + 1})"
        used.add((case.group, name))
        head = f"    <testcase classname={quoteattr(case.group)} name={quoteattr(name)}"
        if not case.outcome:
            yield head + "/>"
            continue
        yield head + ">"
        kind = f" type={quoteattr(case.type)}" if case.type else ""
        text = escape("\n".join(map(inert, case.text)))
        yield f"      <{case.outcome}{kind} message={quoteattr(case.message)}>{text}</{case.outcome}>"
        yield "    </testcase>"


def _areas(result: Result, options: RenderOptions) -> list[tuple[str, list[_Case]]]:
    known = clauses(result)
    areas: dict[str, list[_Case]] = {}
    for finding in listed(result, options):
        areas.setdefault(printable(finding.area).strip() or "other", []).append(_finding(finding, result, known))
    return [(f"area {area}", areas[area]) for area in sorted(areas)]


def _finding(finding: Finding, result: Result, known: dict[str, str]) -> _Case:
    path = f": {printable(finding.path)}" if finding.path else ""
    group, name = printable(finding.rule), subject(finding) + path
    place = finding.location
    text = [f"{printable(place.file)}:{place.start_line}:{place.start_column}", *demanded_by(finding, known)]
    if finding.environments:
        text.append(only_in(finding))
    for related in finding.related:
        place = related.location
        text.append(f"{printable(place.file)}:{place.start_line}:{place.start_column}: {printable(related.message)}")
    message = printable(finding.message) + (f" ({only_in(finding)})" if finding.environments else "")
    if finding.outcome == "fail":
        rule = result.rules.get(finding.rule)
        if rule is not None and rule.remediation.strip():
            text.append("How to comply: " + printable(" ".join(rule.remediation.split())))
        return _Case(group, name, "failure", finding.severity, message, text)
    if finding.outcome == "pass":
        return _Case(group, name)
    reason = printable(finding.reason or "")
    word = f"excepted by {printable(finding.exception or '')}" if finding.outcome == "excepted" else "not evaluated"
    return _Case(group, name, "skipped", "", f"{word}: {reason or message}", text)


def _fails(control: Control, result: Result) -> bool:
    counts = result.summary.by_control.get(control.id)
    return counts is not None and counts.fail > 0


def _control(control: Control, result: Result) -> _Case:
    """A control that no finding stands for."""
    group, name = printable(control.baseline), printable(f"{control.id} {control.title}")
    counts = result.summary.by_control.get(control.id)
    text = [clauses(result)[control.id]]
    if counts is None or not (counts.passed or counts.not_evaluated or counts.excepted):
        return _Case(group, name, "skipped", "", "nothing that it applies to is among the inputs", text)
    if counts.not_evaluated:
        of = plural(counts.passed + counts.not_evaluated + counts.excepted, "time")
        return _Case(group, name, "skipped", "", f"not evaluated: {counts.not_evaluated:,} of {of}", text)
    if counts.excepted:
        return _Case(group, name, "skipped", "", f"excepted: {plural(counts.excepted, 'finding')}", text)
    return _Case(group, name)


def _complete(result: Result, options: RenderOptions) -> _Case:
    group, name = "kubeassay", "complete: everything was read and judged"
    if is_complete(result):
        return _Case(group, name)
    text = [scanned(result), counted(result), rest_counted(result)]
    waived = options.allow_incomplete and not any(gap.reason == "rule-error" for gap in gaps(result))
    return _Case(group, name, "skipped" if waived else "error", "incomplete", incomplete(result), text)


def _environments(result: Result) -> Iterator[_Case]:
    """What was judged of each: what fails in one has a test case of its own."""
    for line in environments_told(result):
        yield _Case("kubeassay environments", line)


def _unjudged(result: Result) -> Iterator[_Case]:
    for gap in gaps(result):
        rule = gap.rule or "all rules"
        if gap.severe:
            yield _Case(rule, gap.text, "error", gap.reason, gap.text)
        else:
            yield _Case(rule, gap.text, "skipped", gap.reason, f"not evaluated: {gap.reason}", [gap.text])
