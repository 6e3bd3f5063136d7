"""Exit codes: see the README."""

from __future__ import annotations

from collections.abc import Iterable

from kubeassay.model import SEVERITIES, Finding, Result

COMPLIES = 0
FINDINGS = 1
USAGE = 2
INCOMPLETE = 3


def exit_code(
    result: Result, fail_on: str, *, allow_incomplete: bool, counting: Iterable[Finding] | None = None
) -> int:
    """The exit code of a result. ``fail_on`` is a severity, or ``none``; ``counting``: the findings that count, where
    these are not all.

    A rule that crashed is never waived by ``allow_incomplete``: it is a mistake of the tool, not of the input.
    """
    if fail_on != "none":
        counted = SEVERITIES[: SEVERITIES.index(fail_on) + 1]
        if counting is not None:
            failed = any(finding.severity in counted for finding in counting)
        else:
            failed = any(result.summary.by_severity.get(severity, 0) for severity in counted)
        if failed:
            return FINDINGS
    if any(entry.reason == "rule-error" for entry in result.not_evaluated):
        return INCOMPLETE
    if (result.errors or result.not_evaluated) and not allow_incomplete:
        return INCOMPLETE
    return COMPLIES
