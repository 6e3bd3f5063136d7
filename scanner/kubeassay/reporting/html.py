"""The report as one page of HTML that loads nothing: for reading, archiving and printing.

Templates, style and script are the files of reports/html/. The page shows findings from data that stands in it as JSON
(:mod:`kubeassay.reporting.html_data`); the script makes text nodes of them, no markup. Everything else of a scan goes
through the templates' escaping, and a Content-Security-Policy names the page's own style and script by their hashes, so
that nothing else runs even if a text got through.
"""

from __future__ import annotations

import markupsafe

from kubeassay import content
from kubeassay.model import SEVERITIES, Result
from kubeassay.reporting.html_data import LABELS, data_of, listed, web_page
from kubeassay.reporting.html_views import (
    DRIFT_COLUMNS,
    anchors,
    area_views,
    baseline_views,
    causes,
    choices,
    drift_rows,
    environment_views,
    exception_views,
    incomplete,
    namespace_rows,
    object_rows,
    place_of,
    skipped_files,
)
from kubeassay.reporting.options import RenderOptions, Report
from kubeassay.reporting.pages import csp_hash, templates
from kubeassay.reporting.statements import amount, only_in, rendered_by
from kubeassay.reporting.texts import plural, printable, shorten

#: So many rows of a table that may have any number are shown.
_LISTED = 200
#: So many namespaces stand on the first view.
_NAMESPACES = 15

#: Kinds of parts of bars: how they are coloured, and what they are called.
_BAR_KINDS = {
    "strict": ("pass", "STRICT"),
    "permissive": ("fail", "PERMISSIVE"),
    "disable": ("critical", "DISABLE"),
    "none": ("no-subject", "no proxy"),
    "not-known": ("not-evaluated", "not known"),
    "rest": ("strong", "at rest"),
    "maximum": ("middle", "more at the autoscalers' maximum"),
    "surge": ("weak", "more during a rollout"),
    "over": ("fail", "beyond the quota"),
}


def write(result: Result, options: RenderOptions) -> Report:
    return Report((to_html(result, options).encode("utf-8", "replace"),))


def to_html(result: Result, options: RenderOptions | None = None) -> str:
    """The page. The same result gives the same text, to the byte."""
    options = options or RenderOptions()
    folder = content.folder("reports") / "html"
    environment = templates(folder)
    environment.filters["shown"] = printable
    environment.filters["web_page"] = web_page
    environment.filters["place_of"] = place_of
    environment.filters["plural"] = plural
    environment.filters["only_in"] = only_in
    environment.filters["prose"] = _prose
    environment.filters["bar_kind"] = lambda kind: _BAR_KINDS.get(kind, ("no-subject", printable(kind)))
    environment.filters["short"] = lambda text, limit: shorten(printable(text), limit)
    style = (folder / "report.css").read_text(encoding="utf-8")
    script = (folder / "report.js").read_text(encoding="utf-8")
    findings = listed(result, options)
    rule_anchors = anchors(result, findings)
    namespaces = namespace_rows(findings)
    drift = drift_rows(result.drift) if result.drift is not None else []
    return environment.get_template("report.html.j2").render(
        result=result,
        policy=(
            f"default-src 'none'; style-src '{csp_hash(style)}'; script-src '{csp_hash(script)}'; "
            "base-uri 'none'; form-action 'none'"
        ),
        style=style,
        script=script,
        data=data_of(result, findings, rule_anchors),
        severities=SEVERITIES,
        labels=LABELS,
        LISTED=_LISTED,
        comparison=result.comparison,
        incomplete=incomplete(result),
        areas=area_views(result),
        namespaces=namespaces[:_NAMESPACES],
        namespaces_left_out=max(0, len(namespaces) - _NAMESPACES),
        objects=object_rows(findings)[:_NAMESPACES],
        choices=choices(result, findings),
        listed=findings,
        baselines=baseline_views(result),
        causes=causes(result),
        skipped=skipped_files(result),
        exceptions=exception_views(result),
        amount=amount(result),
        environments=environment_views(result),
        rendered_by=rendered_by(result).removeprefix("Rendered: "),
        drift=drift,
        drift_count=sum(len(rows) for _, rows in drift[:-1]),
        DRIFT_COLUMNS=DRIFT_COLUMNS,
        rules=[(result.rules[rule], anchor) for rule, anchor in rule_anchors.items()],
    )


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
