"""Reports: a :class:`~kubeassay.model.Result` in, bytes out. One module a format, imported when it is first used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType
from typing import cast

from kubeassay.model import Result
from kubeassay.reporting.options import RenderOptions, Report

__all__ = ["FORMATS", "Format", "RenderOptions", "Report", "render"]


@dataclass(frozen=True, slots=True)
class Format:
    """A format of reports. ``module`` has a function ``write(result, options) -> Report``."""

    name: str
    title: str
    #: The usual end of a file name, with its dot; empty where there is none.
    suffix: str
    module: str
    #: Whether it shows the maps of a result, so that they are to be made.
    pictures: bool = False

    def write(self, result: Result, options: RenderOptions) -> Report:
        return cast(Report, import_module(self.module).write(result, options))


FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        form.name: form
        for form in (
            Format("terminal", "for people, by object", ".txt", "kubeassay.reporting.terminal"),
            Format("json", "for programs; can be rendered later", ".json", "kubeassay.reporting.result_json"),
            Format("sarif", "SARIF 2.1.0, for code scanning", ".sarif", "kubeassay.reporting.sarif"),
            Format(
                "sarif-archive",
                "SARIF with what is excepted and mended, to keep",
                ".archive.sarif",
                "kubeassay.reporting.sarif_archive",
            ),
            Format("accepted", "today's findings, for --accepted", ".accepted.json", "kubeassay.reporting.accepted"),
            Format("html", "one self-contained page", ".html", "kubeassay.reporting.html", pictures=True),
            Format("markdown", "for GitHub's step summary", ".md", "kubeassay.reporting.markdown"),
            Format("github", "annotations by workflow commands", "", "kubeassay.reporting.github"),
            Format("gitlab", "Code Quality", "gl-code-quality-report.json", "kubeassay.reporting.gitlab"),
            Format("junit", "JUnit XML", ".xml", "kubeassay.reporting.junit"),
            Format("csv", "for spreadsheets", ".csv", "kubeassay.reporting.spreadsheet"),
            Format("prometheus", "for the textfile collector", ".prom", "kubeassay.reporting.prometheus"),
            Format("oscal", "OSCAL assessment results", ".oscal.json", "kubeassay.reporting.oscal"),
            Format("openreports", "Reports for kubectl", ".openreports.json", "kubeassay.reporting.openreports"),
            Format("wgpolicyk8s", "PolicyReports for kubectl", ".wgpolicyk8s.json", "kubeassay.reporting.wgpolicyk8s"),
        )
    }
)


def render(name: str, result: Result, options: RenderOptions | None = None) -> Report:
    """Write ``result`` in the format ``name``. Raises ValueError where there is no such format."""
    form = FORMATS.get(name)
    if form is None:
        raise ValueError(f"{name!r} is not a report format; expected one of {', '.join(FORMATS)}")
    return form.write(result, options or RenderOptions())
