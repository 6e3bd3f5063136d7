"""The report for people at a terminal: by object, with the source line of each finding."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any, Protocol

from kubeassay.model import SEVERITIES, Excerpt, Finding, Result
from kubeassay.reporting.options import RenderOptions, Report
from kubeassay.reporting.statements import (
    clauses,
    deployment_lines,
    difference_lines,
    environment_lines,
    only_in,
    rendered_by,
    scanned,
)
from kubeassay.reporting.texts import columns, inert, plural, printable, printable_in_place

_STYLES: Mapping[str, dict[str, Any]] = {
    "critical": {"fg": "bright_white", "bg": "red", "bold": True},
    "high": {"fg": "red", "bold": True},
    "medium": {"fg": "yellow", "bold": True},
    "low": {"fg": "cyan", "bold": True},
    "fail": {"fg": "red", "bold": True},
    "pass": {"fg": "green"},
    "excepted": {"fg": "blue"},
    "not-evaluated": {"fg": "magenta"},
    "error": {"fg": "red", "bold": True},
    "object": {"bold": True},
    "quiet": {"dim": True},
}
#: The word in front of a finding that is no failure.
_OUTCOME_LABELS = {"pass": "passed", "excepted": "excepted", "not-evaluated": "not judged"}
#: Columns of the widest label, "not judged".
_LABEL = 10
_INDENT = " " * (2 + _LABEL + 2)
#: Below this many columns nothing can be laid out.
_NARROWEST = 40
#: So many lines on how environments differ; each is of all objects that the same ones lack.
_MOST_LINES = 12


class _Paint(Protocol):
    def __call__(self, text: str, style: str) -> str: ...


def write(result: Result, options: RenderOptions) -> Report:
    return Report((to_text(result, options).encode("utf-8"),))


def to_text(result: Result, options: RenderOptions | None = None) -> str:
    """The report as text, ending in a line feed. Colours are in it where the options ask for them.

    Whatever comes from the scanned files is shown without control characters, so it cannot steer the terminal.
    """
    options = options or RenderOptions()
    page = _Page(result, options, _painter(colour=options.colour))
    lines = page.summary() if options.quiet else page.lines()
    return "\n".join(map(inert, lines)) + "\n"


def _painter(*, colour: bool) -> _Paint:
    if not colour:
        return lambda text, style: text
    import click

    return lambda text, style: click.style(text, **_STYLES[style])


class _Page:
    def __init__(self, result: Result, options: RenderOptions, paint: _Paint) -> None:
        self.result = result
        self.show = options.show
        self.width = max(options.width, _NARROWEST)
        self.paint = paint
        self.clauses = clauses(result)
        self.exceptions = result.exceptions_by_id

    def lines(self) -> Iterator[str]:
        live = self.result.target.kind == "cluster"
        if live:
            # What this user could not read is what every finding below has to be seen by.
            yield from self._incomplete()
        findings = [finding for finding in self.result.findings if finding.outcome in self.show]
        for (file, ref), group in groupby(
            sorted(findings, key=_by_object), key=lambda finding: (finding.location.file, finding.object)
        ):
            yield f"{self.paint(printable(file), 'object')}: {self.paint(printable(str(ref)), 'object')}"
            of_object = list(group)
            if of_object[0].api_path:
                yield from (self.paint(line, "quiet") for line in self._wrap(printable(of_object[0].api_path), "  "))
            for finding in of_object:
                yield from self._finding(finding)
            yield ""
        yield from self._remedies(findings)
        yield from self._review()
        if not live:
            yield from self._incomplete()
        yield from self._skipped()
        yield from self._differences()
        yield from self.summary()

    # Findings

    def _finding(self, finding: Finding) -> Iterator[str]:
        failed = finding.outcome == "fail"
        label = finding.severity if failed else _OUTCOME_LABELS[finding.outcome]
        head = "  " + self.paint(label, finding.severity if failed else finding.outcome)
        first, *rest = self._wrap(f"{printable(finding.message)} [{printable(finding.rule)}]", _INDENT)
        yield head + " " * (2 + _LABEL - len(label)) + first.removeprefix(_INDENT)
        yield from rest
        place = finding.location
        if finding.environments:
            yield from self._wrap(only_in(finding), _INDENT)
        yield from self._dim(f"{printable(place.file)}:{place.start_line}:{place.start_column}")
        if finding.excerpt is not None:
            yield from self._excerpt(finding.excerpt, place.start_line, failed=failed)
        for related in finding.related:
            place = related.location
            yield from self._dim(
                f"{printable(place.file)}:{place.start_line}:{place.start_column}: {printable(related.message)}"
            )
        for control in finding.controls:
            yield from self._dim(self.clauses.get(control) or printable(control))
        if finding.outcome == "excepted":
            yield from self._dim(self._exception(finding))
        elif finding.reason:
            yield from self._dim(printable(finding.reason))

    def _exception(self, finding: Finding) -> str:
        reason = f": {printable(finding.reason)}" if finding.reason else ""
        exception = self.exceptions.get(finding.exception or "")
        about: list[str] = []
        if exception is not None:
            about += ["in what was scanned"] if exception.in_tree else []
            about += [f"owner {printable(exception.owner)}"] if exception.owner else []
            about += [f"until {printable(exception.expires)}"] if exception.expires else []
        stated = f" ({', '.join(about)})" if about else ""
        return f"exception {printable(finding.exception or '')}{stated}{reason}"

    def _excerpt(self, excerpt: Excerpt, line: int, *, failed: bool) -> Iterator[str]:
        text = printable_in_place(excerpt.text)
        before, marked = text[: excerpt.start], text[excerpt.start : excerpt.end]
        # Indentation says nothing once the line stands alone; what is left of it keeps the eye on the text.
        margin = max(len(before) - len(before.lstrip(" ")) - 2, 0) if before.strip() else max(len(before) - 2, 0)
        gutter = f"{_INDENT}{line:>5} | "
        room = max(self.width - columns(gutter), 10)
        # A region far to the right of a long line: begin a little before it.
        offset = columns(text[margin : excerpt.start])
        if offset + min(columns(marked), room // 2) > room:
            margin = max(excerpt.start - room // 3, margin)
        shown = _fit(text[margin:], room)
        yield self.paint(gutter, "quiet") + shown
        offset = columns(text[margin : excerpt.start])
        length = min(max(columns(marked), 1), max(columns(shown) - offset, 1))
        style = "fail" if failed else "quiet"
        yield self.paint(f"{_INDENT}      | ", "quiet") + " " * offset + self.paint("^" * length, style)

    def _remedies(self, findings: Iterable[Finding]) -> Iterator[str]:
        failed = {finding.rule for finding in findings if finding.outcome == "fail"}
        rules = [self.result.rules[rule] for rule in sorted(failed) if rule in self.result.rules]
        remedies = [(rule.id, " ".join(rule.remediation.split())) for rule in rules if rule.remediation.strip()]
        if not remedies:
            return
        yield self.paint("How to mend", "object")
        for rule_id, remedy in remedies:
            yield from self._wrap(f"{printable(rule_id)}: {printable(remedy)}", "  ", "    ")
        yield ""

    def _review(self) -> Iterator[str]:
        if self.result.review is not None:
            # Imported here: few results have one.
            from kubeassay.reporting.review_terminal import lines

            told = list(lines(self.result.review))
            if told:
                yield self.paint("What the change does", "object")
                for line in told:
                    yield from self._wrap(line, "  ", "    ")
                yield ""

    # What is missing from the report

    def _incomplete(self) -> Iterator[str]:
        if self.result.errors:
            yield self.paint("Not read", "error")
            for error in self.result.errors:
                place = printable(error.file)
                if error.line is not None:
                    place += f":{error.line}" + (f":{error.column}" if error.column is not None else "")
                yield from self._wrap(f"{place}: {printable(error.message)}", "  ", "    ")
            yield ""
        if self.result.not_evaluated:
            yield self.paint("Not evaluated", "not-evaluated")
            # One cause often stops many rules, and one reason has many causes: say each once.
            reasons: dict[str, dict[str, list[str]]] = {}
            for entry in self.result.not_evaluated:
                text = entry.detail
                if entry.file and entry.file not in text:
                    text = f"{entry.file}: {text}"
                if entry.namespace and entry.namespace not in text:
                    text += f" (namespace {entry.namespace})"
                rules = reasons.setdefault(entry.reason, {}).setdefault(text, [])
                if entry.rule is not None:
                    rules.append(entry.rule)
            for reason, causes in reasons.items():
                yield f"  {self.paint(printable(reason), 'not-evaluated')}"
                for text, rules in causes.items():
                    scope = f" [{', '.join(rules)}]" if rules else ""
                    yield from self._wrap(printable(text + scope), "    ", "      ")
            yield ""

    def _skipped(self) -> Iterator[str]:
        if not self.result.skipped:
            return
        reasons = Counter(entry.reason for entry in self.result.skipped)
        listed = ", ".join(
            f"{number:,} {printable(reason)}" for reason, number in sorted(reasons.items(), key=lambda r: (-r[1], r[0]))
        )
        yield from (self.paint(line, "quiet") for line in self._wrap(f"Nothing to judge in: {listed}", "", "  "))
        yield ""

    def _differences(self) -> Iterator[str]:
        lines = difference_lines(self.result)
        if not lines:
            return
        yield self.paint("Differences between environments", "object")
        for told in lines[:_MOST_LINES]:
            yield from self._wrap(told, "  ", "    ")
        if lines[_MOST_LINES:]:
            yield f"  … and {plural(len(lines) - _MOST_LINES, 'more line')} like these: another report has them"
        yield ""

    def summary(self) -> Iterator[str]:
        summary = self.result.summary
        if self.result.rendered:
            yield from self._wrap(rendered_by(self.result), "")
        for name, said in (*deployment_lines(self.result), *environment_lines(self.result)):
            yield from self._wrap(f"{name}: {said}", "", "  ")
        if self.result.review is not None:
            from kubeassay.reporting.review_terminal import summary as summary_of_review

            for line in summary_of_review(self.result.review):
                yield from self._wrap(line.lstrip(), "  " if line.startswith(" ") else "", "    ")
        about = scanned(self.result)
        yield from self._wrap(about, "", "  ") if self.result.environments else [about]
        if summary.fail:
            counts = [
                self.paint(f"{summary.by_severity[severity]:,} {severity}", severity)
                for severity in SEVERITIES
                if summary.by_severity.get(severity)
            ]
            detail = f": {', '.join(counts)}" if counts else ""
            yield self.paint(plural(summary.fail, "finding"), "fail") + detail
        else:
            yield self.paint("No findings", "pass")
        rest = [f"{summary.passed:,} passed"]
        if summary.not_evaluated:
            rest.append(self.paint(f"{summary.not_evaluated:,} not evaluated", "not-evaluated"))
        if summary.excepted:
            rest.append(self.paint(f"{summary.excepted:,} excepted", "excepted"))
        yield ", ".join(rest)
        if self.result.errors:
            yield self.paint(f"{plural(len(self.result.errors), 'part')} not read", "error")
        if self.result.not_evaluated:
            reasons = Counter(entry.reason for entry in self.result.not_evaluated)
            listed = ", ".join(f"{number:,} {printable(reason)}" for reason, number in sorted(reasons.items()))
            yield self.paint(f"Incomplete: {listed}", "not-evaluated")

    # Layout

    def _dim(self, text: str) -> Iterator[str]:
        for line in self._wrap(text, _INDENT):
            yield self.paint(line, "quiet")

    def _wrap(self, text: str, indent: str, subsequent: str | None = None) -> list[str]:
        if len(indent) + len(text) <= self.width:
            return [indent + text]
        # A path or an image must stay whole, so that it can be copied.
        return textwrap.wrap(
            text,
            self.width,
            initial_indent=indent,
            subsequent_indent=indent if subsequent is None else subsequent,
            break_long_words=False,
            break_on_hyphens=False,
        ) or [indent]


def _by_object(finding: Finding) -> tuple[Any, ...]:
    # Only to bring an object's findings together: within it they keep the order of the result.
    ref = finding.object
    return finding.location.file, ref.kind, ref.namespace or "", ref.name, ref.api_version


def _fit(text: str, room: int) -> str:
    """The beginning of ``text`` that takes at most ``room`` columns, with an ellipsis where it was cut."""
    if columns(text) <= room:
        return text
    taken = 1
    for index, character in enumerate(text):
        taken += columns(character)
        if taken > room:
            return text[:index] + "…"
    return text
