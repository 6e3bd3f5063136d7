"""Markdown, for the step summary of GitHub Actions.

GitHub refuses a summary of more than 1 MiB: what does not fit is left out, least severe first, and counted at the top
and where it is missing. Texts of manifests stand in table cells and summaries only, with every character that means
something in Markdown or HTML written as an entity, so that none is a link, a picture, a mention or the end of an
element.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from kubeassay.model import SEVERITIES, Drift, Finding, Result
from kubeassay.reporting.markdown_page import Page, details, link, plain, prose
from kubeassay.reporting.options import RenderOptions, Report
from kubeassay.reporting.statements import (
    clause,
    clauses,
    counted,
    demanded_by,
    deployment_lines,
    difference_lines,
    environment_lines,
    gaps,
    incomplete,
    is_complete,
    listed,
    only_in,
    rendered_by,
    rest_counted,
    scanned,
    stands_in_a_file,
    subject,
)
from kubeassay.reporting.texts import plural

#: What GitHub takes of a step, in bytes.
LIMIT = 1024 * 1024
#: For the top, and the ends of what is left out.
_RESERVE = 16 * 1024
#: What was not judged takes no more of the page than this part of it.
_GAPS = 4


def write(result: Result, options: RenderOptions) -> Report:
    if result.review is not None:
        # Imported here: few results have one.
        from kubeassay.reporting.review_markdown import write_review

        return write_review(result, options)
    page = Page(LIMIT - _RESERVE)
    _sections(page, result, options)
    text = "\n".join([*_head(result, options, page.left), *page.lines]) + "\n"
    return Report((text.encode("utf-8"),))


def _head(result: Result, options: RenderOptions, left: dict[str, int]) -> Iterator[str]:
    complete = is_complete(result)
    yield f"## kubeassay: {plain(counted(result))}" + ("" if complete else ", not complete")
    yield ""
    if not complete:
        yield f"**Not everything was judged, so silence is no pass: {plain(incomplete(result))}.**"
        yield ""
    yield f"{plain(scanned(result))}<br>"
    yield plain(rest_counted(result)) + ("<br>" if result.rendered else "")
    if result.rendered:
        yield plain(rendered_by(result))
    yield ""
    if result.comparison is not None:
        new, fixed = len(result.comparison.new), len(result.comparison.fixed)
        yield f"Since the earlier result: {new:,} new, {fixed:,} mended."
        yield ""
    if left:
        words = ", ".join(f"{number:,} {what}" for what, number in left.items())
        yield f"**Not listed, since a step summary holds 1 MiB: {words}.** Another report has them."
        yield ""


def _sections(page: Page, result: Result, options: RenderOptions) -> None:
    causes: dict[tuple[str, str], list[str]] = {}
    for gap in gaps(result):
        # One cause often stops many rules.
        rules = causes.setdefault((gap.reason, gap.text), [])
        if gap.rule is not None:
            rules.append(gap.rule)
    rows = ([plain(reason), plain(text), plain(", ".join(rules) or "all")] for (reason, text), rules in causes.items())
    opening = details(f"Not judged ({len(causes):,})")
    page.table(
        "causes for not judging", opening, ["reason", "what", "rules"], rows, "</details>", most=page.room // _GAPS
    )
    deployed = [[plain(name), plain(said)] for name, said in deployment_lines(result)]
    opening = [f"### deployed ({len(deployed):,})"]
    page.table("deployed", opening, ["by", "judged"], deployed, most=page.room // _GAPS)
    environments = [[plain(name), plain(said)] for name, said in environment_lines(result)]
    opening = [f"### environments ({len(environments):,})"]
    page.table("environments", opening, ["environment", "judged"], environments, most=page.room // _GAPS)
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
            details(f"{title} ({len(others):,})"),
            ["object", "rule", "place", "passed because" if outcome == "pass" else "reason"],
            (_other(finding, result, options) for finding in others),
            "</details>",
        )
    if result.drift is not None:
        differences = list(_drift(result.drift))
        opening = details(f"Drift ({len(differences):,})")
        page.table("differences from manifests", opening, ["what", "object", "detail"], differences, "</details>")
    lines = difference_lines(result)
    opening = details(f"Differences between environments ({plural(len(result.differences), 'object')})")
    page.table("differences between environments", opening, ["what"], ([plain(line)] for line in lines), "</details>")
    page.table(
        "controls",
        details(f"Controls ({len(result.controls):,})"),
        ["control", "baseline", "fail", "pass", "not evaluated", "excepted"],
        _controls(result),
        "</details>",
    )


def _finding(
    finding: Finding, result: Result, options: RenderOptions, known: dict[str, str], new: set[int]
) -> list[str]:
    message = f"{'**new** ' if id(finding) in new else ''}{plain(finding.message)} <code>{plain(finding.rule)}</code>"
    if finding.environments:
        message += f"<br>{plain(only_in(finding))}"
    demands = "<br>".join(map(plain, demanded_by(finding, known)[:10]))
    return [plain(subject(finding)), message, _place(finding, result, options), demands]


def _other(finding: Finding, result: Result, options: RenderOptions) -> list[str]:
    reason = finding.message if finding.outcome == "pass" else finding.reason or finding.message
    if finding.outcome == "excepted" and finding.exception:
        reason = f"{finding.exception}: {reason}"
    if finding.environments:
        reason = f"{reason} ({only_in(finding)})"
    rule = f"<code>{plain(finding.rule)}</code>"
    return [plain(subject(finding)), rule, _place(finding, result, options), plain(reason)]


def _drift(drift: Drift) -> Iterator[list[str]]:
    """In what the cluster is not what manifests declare."""
    for missing in drift.missing:
        place = f"{missing.location.file}:{missing.location.start_line}"
        yield ["not in the cluster", plain(str(missing.object)), plain(f"declared at {place}")]
    for changed in drift.changed:
        place = f"{changed.location.file}:{changed.location.start_line}"
        yield ["changed", plain(str(changed.object)), plain(f"{changed.detail} (declared at {place})")]
    for undeclared in drift.undeclared:
        yield ["not declared", plain(str(undeclared.object)), plain(undeclared.file)]
    for entry in drift.not_compared:
        yield [f"not compared: {plain(entry.reason)}", plain(entry.file or ""), plain(entry.detail)]


def _remedies(page: Page, result: Result, found: Iterable[Finding]) -> None:
    failed = sorted({finding.rule for finding in found if finding.outcome == "fail"} & set(result.rules))
    rows = []
    for name in failed:
        rule = result.rules[name]
        texts = [prose(text) for text in (rule.rationale, rule.remediation)]
        rows.append([f"<code>{plain(name)}</code><br>{plain(rule.title)}", *texts])
    opening = details(f"How to comply ({plural(len(rows), 'rule')})")
    page.table("rules' texts", opening, ["rule", "why", "how"], rows, "</details>")


def _controls(result: Result) -> Iterator[list[str]]:
    for control in result.controls:
        counts = result.summary.by_control.get(control.id)
        numbers = (counts.fail, counts.passed, counts.not_evaluated, counts.excepted) if counts else (0, 0, 0, 0)
        yield [plain(clause(control)), plain(control.baseline), *(f"{number:,}" for number in numbers)]


def _place(finding: Finding, result: Result, options: RenderOptions) -> str:
    place = finding.location
    if not stands_in_a_file(finding, result):
        return f"<code>{plain(place.file)}:{place.start_line}</code>"
    return link(place, options.link_base)
