"""The report as one page of HTML that loads nothing: for reading, archiving and printing.

Template, style and script are the files of reports/html/. Everything that comes from a scan goes through the template's
escaping, and a Content-Security-Policy names the page's own style and script by their hashes, so that nothing else runs
even if a text got through.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

import markupsafe

from kubeassay import content
from kubeassay.model import SEVERITIES, Baseline, Control, ControlSummary, Finding, NotEvaluated, Result, Rule
from kubeassay.reporting.options import RenderOptions, Report
from kubeassay.reporting.pages import csp_hash, templates
from kubeassay.reporting.texts import plural, printable, printable_in_place

_LABELS = {"fail": "Failed", "pass": "Passed", "excepted": "Excepted", "not-evaluated": "Not evaluated"}


@dataclass(frozen=True, slots=True)
class _Entry:
    """A finding with its number on the page, which is its anchor."""

    number: int
    finding: Finding
    rule: Rule | None
    controls: tuple[Control, ...]


@dataclass(frozen=True, slots=True)
class _ControlView:
    number: int
    control: Control
    counts: ControlSummary
    status: str
    entries: tuple[_Entry, ...]


def write(result: Result, options: RenderOptions) -> Report:
    return Report((to_html(result, options).encode("utf-8", "replace"),))


def to_html(result: Result, options: RenderOptions | None = None) -> str:
    """The page. The same result gives the same text, to the byte."""
    options = options or RenderOptions()
    folder = content.folder("reports") / "html"
    environment = templates(folder)
    environment.filters["shown"] = printable
    environment.filters["excerpt"] = printable_in_place
    environment.filters["web_page"] = _web_page
    environment.filters["plural"] = plural
    environment.filters["prose"] = _prose
    style = (folder / "report.css").read_text(encoding="utf-8")
    script = (folder / "report.js").read_text(encoding="utf-8")
    entries = _entries(result, options)
    policy = (
        f"default-src 'none'; style-src '{csp_hash(style)}'; script-src '{csp_hash(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    return environment.get_template("report.html.j2").render(
        result=result,
        policy=policy,
        style=style,
        script=script,
        severities=SEVERITIES,
        labels=_LABELS,
        baselines=list(_baselines(result, entries)),
        objects=[
            (file, ref, list(group))
            for (file, ref), group in groupby(entries, key=lambda e: (e.finding.location.file, e.finding.object))
        ],
        entry_count=len(entries),
        causes=_causes(result),
        skipped=_skipped(result),
        rules=[result.rules[rule] for rule in sorted({e.finding.rule for e in entries}) if rule in result.rules],
    )


def _web_page(url: str) -> str:
    """``url`` where it is a page of the web; else nothing, since a link could hold a script."""
    return url if url.startswith(("https://", "http://")) and url.isprintable() else ""


def _prose(text: str) -> markupsafe.Markup:
    """Paragraphs of a policy file's text: lines joined, those of a list kept, `code` marked."""
    html = markupsafe.Markup()
    for paragraph in text.strip().split("\n\n"):
        lines: list[str] = []
        for line in map(str.strip, paragraph.splitlines()):
            if lines and not line.startswith(("- ", "* ")):
                lines[-1] += f" {line}"
            else:
                lines.append(line)
        html += markupsafe.Markup("<p>")
        for number, line in enumerate(lines):
            if number:
                html += markupsafe.Markup("<br>")
            pieces = printable(line).split("`")
            if len(pieces) % 2 == 0:
                # A backtick without its partner is only a character.
                pieces[-2:] = [f"{pieces[-2]}`{pieces[-1]}"]
            for place, piece in enumerate(pieces):
                html += markupsafe.Markup("<code>{}</code>").format(piece) if place % 2 else markupsafe.escape(piece)
        html += markupsafe.Markup("</p>\n")
    return html


def _entries(result: Result, options: RenderOptions) -> list[_Entry]:
    controls = {control.id: control for control in result.controls}
    findings = sorted(
        (finding for finding in result.findings if finding.outcome in options.show),
        key=lambda f: (f.location.file, f.object.kind, f.object.namespace or "", f.object.name, f.object.api_version),
    )
    return [
        _Entry(
            number,
            finding,
            result.rules.get(finding.rule),
            tuple(controls[control] for control in finding.controls if control in controls),
        )
        for number, finding in enumerate(findings, 1)
    ]


def _baselines(result: Result, entries: list[_Entry]) -> Iterator[tuple[str, Baseline | None, list[_ControlView]]]:
    """The controls by baseline, in the profile's order, each with its findings."""
    by_control: dict[str, list[_Entry]] = {}
    for entry in entries:
        for control_id in dict.fromkeys(entry.finding.controls):
            by_control.setdefault(control_id, []).append(entry)
    known = {baseline.name: baseline for baseline in result.profile.baselines}
    views: dict[str, list[_ControlView]] = {}
    for number, control in enumerate(result.controls, 1):
        counts = result.summary.by_control.get(control.id, ControlSummary())
        view = _ControlView(number, control, counts, _status(counts), tuple(by_control.get(control.id, ())))
        views.setdefault(control.baseline, []).append(view)
    for name, members in views.items():
        yield name, known.get(name), members


def _status(counts: ControlSummary) -> str:
    # What was not judged must never look like a pass.
    if counts.fail:
        return "fail"
    if counts.not_evaluated:
        return "not-evaluated"
    if counts.excepted:
        return "excepted"
    return "pass" if counts.passed else "no-subject"


def _causes(result: Result) -> list[tuple[str, list[tuple[NotEvaluated, list[str]]]]]:
    """What was not evaluated: by reason, one entry a cause, with the rules that it stopped (none: all)."""
    causes: dict[tuple[str, str, str | None, str | None], tuple[NotEvaluated, list[str]]] = {}
    for entry in result.not_evaluated:
        _, rules = causes.setdefault((entry.reason, entry.detail, entry.namespace, entry.file), (entry, []))
        if entry.rule is not None:
            rules.append(entry.rule)
    reasons: dict[str, list[tuple[NotEvaluated, list[str]]]] = {}
    for cause in causes.values():
        reasons.setdefault(cause[0].reason, []).append(cause)
    return list(reasons.items())


def _skipped(result: Result) -> list[tuple[str, list[str]]]:
    reasons: dict[str, list[str]] = {}
    for entry in result.skipped:
        reasons.setdefault(entry.reason, []).append(entry.file + (f":{entry.line}" if entry.line is not None else ""))
    return sorted(reasons.items())
