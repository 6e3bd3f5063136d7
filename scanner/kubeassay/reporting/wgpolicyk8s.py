"""Results as wgpolicyk8s.io/v1alpha2 PolicyReports and ClusterPolicyReports: see openreports.py."""

from __future__ import annotations

from kubeassay.model import Result
from kubeassay.reporting.openreports import WGPOLICYK8S, write_for
from kubeassay.reporting.options import RenderOptions, Report


def write(result: Result, options: RenderOptions) -> Report:
    """As :func:`kubeassay.reporting.openreports.write`."""
    return write_for(WGPOLICYK8S, result)
