"""The report on a fleet as a page that leads to the pages of its targets."""

from __future__ import annotations

from kubeassay import content
from kubeassay.model import SEVERITIES
from kubeassay.model.fleet import FleetResult
from kubeassay.reporting.fleet import STATUS_WORDS, remarks, totals
from kubeassay.reporting.options import RenderOptions, Report
from kubeassay.reporting.pages import csp_hash, templates
from kubeassay.reporting.texts import printable


def write(fleet: FleetResult, options: RenderOptions) -> Report:
    folder = content.folder("reports") / "html"
    environment = templates(folder)
    environment.filters["shown"] = printable
    style = (folder / "fleet.css").read_text(encoding="utf-8")
    page = environment.get_template("fleet.html.j2").render(
        fleet=fleet,
        policy=f"default-src 'none'; style-src '{csp_hash(style)}'; base-uri 'none'; form-action 'none'",
        style=style,
        severities=SEVERITIES,
        words=STATUS_WORDS,
        totals=list(totals(fleet)),
        remarks=remarks,
    )
    return Report((page.encode("utf-8", "replace"),))
