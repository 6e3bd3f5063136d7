"""Markdown, for the step summary of GitHub Actions.

GitHub refuses a summary of more than 1 MiB: what does not fit is left out, least severe first, and counted at the top
and where it is missing. Texts of manifests stand in table cells and summaries only, with every character that means
something in Markdown or HTML written as an entity, so that none is a link, a picture, a mention or the end of an
element.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from kubeassay.model import SEVERITIES, Drift, Finding, Result
from kubeassay.reporting.options import RenderOptions, Report
from kubeassay.reporting.statements import (
    clause,
    clauses,
    counted,
    demanded_by,
    gaps,
    incomplete,
    is_complete,
    listed,
    rest_counted,
    scanned,
    stands_in_a_file,
    subject,
)
from kubeassay.reporting.texts import plural, printable, shorten, uri_of

#: What GitHub takes of a step, in bytes.
LIMIT = 1024 * 1024
#: For the top, and the ends of what is left out.
_RESERVE = 16 * 1024
#: What was not judged takes no more of the page than this part of it.
_GAPS = 4
CELL_LIMIT = 400
#: The texts of a rule are what a reader goes by.
RULE_LIMIT = 2_000

#: Characters that could begin or end something in Markdown, written as entities.
_ENTITIES = {ord(character): f"&#{ord(character)};" for character in "\\`*_[]|~{}!"}
#: What GitHub makes links and mentions of, split by an element, since entities do not keep it from that.
_SPLIT = re.compile(r"(?<=:)//|(?<=www)\.|[@#]", re.IGNORECASE)
_CODE = re.compile(r"&#96;(.+?)&#96;")


def write(result: Result, options: RenderOptions) -> Report:
    page = _Page(LIMIT - _RESERVE)
    _sections(page, result, options)
    text = "\n".join([*_head(result, options, page.left), *page.lines]) + "\n"
    return Report((text.encode("utf-8"),))


@dataclass(slots=True)
class _Page:
    """Lines within a number of bytes, and how many rows did not fit, by what they are."""

    room: int
    lines: list[str] = field(default_factory=list)
    left: dict[str, int] = field(default_factory=dict)

    def table(
        self,
        what: str,
        opening: Sequence[str],
        head: Sequence[str],
        rows: Iterable[Sequence[str]],
        closing: str = "",
        *,
        most: int | None = None,
    ) -> None:
        """A table with what stands before and after it, or as much of it as there is room for."""
        written = [*opening, "", _row(head), _row(["---"] * len(head))]
        ending = ["", closing, ""] if closing else [""]
        room = self.room - _size(written) - _size(ending) - 200
        if most is not None:
            room = min(room, most)
        missing, some = 0, False
        for row in rows:
            line = _row(row)
            room -= _size([line])
            if missing or room < 0:
                missing += 1
            else:
                written.append(line)
                some = True
        if missing:
            self.left[what] = self.left.get(what, 0) + missing
            if some:
                written += ["", f"**… and {missing:,} more.**"]
        if some:
            written += ending
            self.lines += written
            self.room -= _size(written)


def _size(lines: Iterable[str]) -> int:
    return sum(len(line.encode("utf-8")) + 1 for line in lines)


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _head(result: Result, options: RenderOptions, left: dict[str, int]) -> Iterator[str]:
    complete = is_complete(result)
    yield f"## kubeassay: {_text(counted(result))}" + ("" if complete else ", not complete")
    yield ""
    if not complete:
        yield f"**Not everything was judged, so silence is no pass: {_text(incomplete(result))}.**"
        yield ""
    yield f"{_text(scanned(result))}<br>"
    yield _text(rest_counted(result))
    yield ""
    if result.comparison is not None:
        new, fixed = len(result.comparison.new), len(result.comparison.fixed)
        yield f"Since the earlier result: {new:,} new, {fixed:,} mended."
        yield ""
    if left:
        words = ", ".join(f"{number:,} {what}" for what, number in left.items())
        yield f"**Not listed, since a step summary holds 1 MiB: {words}.** Another report has them."
        yield ""


def _sections(page: _Page, result: Result, options: RenderOptions) -> None:
    causes: dict[tuple[str, str], list[str]] = {}
    for gap in gaps(result):
        # One cause often stops many rules.
        rules = causes.setdefault((gap.reason, gap.text), [])
        if gap.rule is not None:
            rules.append(gap.rule)
    rows = ([_text(reason), _text(text), _text(", ".join(rules) or "all")] for (reason, text), rules in causes.items())
    opening = _details(f"Not judged ({len(causes):,})")
    page.table(
        "causes for not judging", opening, ["reason", "what", "rules"], rows, "</details>", most=page.room // _GAPS
    )
    found = listed(result, options)
    known = clauses(result)
    new = set(map(id, result.comparison.new)) if result.comparison else set()
    for severity in SEVERITIES:
        failing = [finding for finding in found if finding.outcome == "fail" and finding.severity == severity]
        page.table(
            f"{severity} findings",
            [f"### {severity} ({len(failing):,})"],
            ["object", "finding", "place", "demanded by"],
            (_finding(finding, result, options, known, new) for finding in failing),
        )
    _remedies(page, result, found)
    for outcome, title in (("excepted", "Excepted"), ("not-evaluated", "Not evaluated"), ("pass", "Passed")):
        others = [finding for finding in found if finding.outcome == outcome]
        page.table(
            f"{title.lower()} ones",
            _details(f"{title} ({len(others):,})"),
            ["object", "rule", "place", "passed because" if outcome == "pass" else "reason"],
            (_other(finding, result, options) for finding in others),
            "</details>",
        )
    if result.drift is not None:
        differences = list(_drift(result.drift))
        opening = _details(f"Drift ({len(differences):,})")
        page.table("differences from manifests", opening, ["what", "object", "detail"], differences, "</details>")
    page.table(
        "controls",
        _details(f"Controls ({len(result.controls):,})"),
        ["control", "baseline", "fail", "pass", "not evaluated", "excepted"],
        _controls(result),
        "</details>",
    )


def _details(summary: str) -> list[str]:
    return ["<details>", f"<summary>{_text(summary)}</summary>"]


def _finding(
    finding: Finding, result: Result, options: RenderOptions, known: dict[str, str], new: set[int]
) -> list[str]:
    message = f"{'**new** ' if id(finding) in new else ''}{_text(finding.message)} <code>{_text(finding.rule)}</code>"
    demands = "<br>".join(map(_text, demanded_by(finding, known)[:10]))
    return [_text(subject(finding)), message, _place(finding, result, options), demands]


def _other(finding: Finding, result: Result, options: RenderOptions) -> list[str]:
    reason = finding.message if finding.outcome == "pass" else finding.reason or finding.message
    if finding.outcome == "excepted" and finding.exception:
        reason = f"{finding.exception}: {reason}"
    rule = f"<code>{_text(finding.rule)}</code>"
    return [_text(subject(finding)), rule, _place(finding, result, options), _text(reason)]


def _drift(drift: Drift) -> Iterator[list[str]]:
    """In what the cluster is not what manifests declare."""
    for missing in drift.missing:
        place = f"{missing.location.file}:{missing.location.start_line}"
        yield ["not in the cluster", _text(str(missing.object)), _text(f"declared at {place}")]
    for changed in drift.changed:
        place = f"{changed.location.file}:{changed.location.start_line}"
        yield ["changed", _text(str(changed.object)), _text(f"{changed.detail} (declared at {place})")]
    for undeclared in drift.undeclared:
        yield ["not declared", _text(str(undeclared.object)), _text(undeclared.file)]
    for entry in drift.not_compared:
        yield [f"not compared: {_text(entry.reason)}", _text(entry.file or ""), _text(entry.detail)]


def _remedies(page: _Page, result: Result, found: Iterable[Finding]) -> None:
    failed = sorted({finding.rule for finding in found if finding.outcome == "fail"} & set(result.rules))
    rows = []
    for name in failed:
        rule = result.rules[name]
        # Rules are written in Markdown, of which code alone is kept.
        texts = [_CODE.sub(r"<code>\1</code>", _text(text, RULE_LIMIT)) for text in (rule.rationale, rule.remediation)]
        rows.append([f"<code>{_text(name)}</code><br>{_text(rule.title)}", *texts])
    opening = _details(f"How to comply ({plural(len(rows), 'rule')})")
    page.table("rules' texts", opening, ["rule", "why", "how"], rows, "</details>")


def _controls(result: Result) -> Iterator[list[str]]:
    for control in result.controls:
        counts = result.summary.by_control.get(control.id)
        numbers = (counts.fail, counts.passed, counts.not_evaluated, counts.excepted) if counts else (0, 0, 0, 0)
        yield [_text(clause(control)), _text(control.baseline), *(f"{number:,}" for number in numbers)]


def _place(finding: Finding, result: Result, options: RenderOptions) -> str:
    place = finding.location
    shown = f"<code>{_text(place.file)}:{place.start_line}</code>"
    if not place.file.strip() or not stands_in_a_file(finding, result):
        return shown
    target = html.escape(f"{options.link_base}{uri_of(place.file)}#L{place.start_line}")
    return f'<a href="{target.translate(_ENTITIES)}">{shown}</a>'


def _text(text: str, limit: int = CELL_LIMIT) -> str:
    """A text that means nothing to Markdown, on one line."""
    line = html.escape(shorten(printable(" ".join(text.split())), limit), quote=False)
    escaped = line.translate(_ENTITIES)
    # Entities have a number sign of their own.
    return "&#".join(_SPLIT.sub(r"<span>\g<0></span>", part) for part in escaped.split("&#"))
