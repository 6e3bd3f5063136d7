"""SARIF to keep: with excepted findings, as suppressed results, and those that are mended since an earlier result.

Not for GitHub, which would show both as open alerts: :mod:`kubeassay.reporting.sarif` is.
"""

from __future__ import annotations

from dataclasses import replace

from kubeassay.model import Result
from kubeassay.reporting import sarif
from kubeassay.reporting.options import RenderOptions, Report


def write(result: Result, options: RenderOptions) -> Report:
    return sarif.write(result, replace(options, sarif_archive=True))
