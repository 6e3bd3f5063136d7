"""Exit codes: see the README."""

from __future__ import annotations

from kubeassay.model import SEVERITIES, Result

COMPLIES = 0
FINDINGS = 1
USAGE = 2
INCOMPLETE = 3


def exit_code(result: Result, fail_on: str, *, allow_incomplete: bool) -> int:
    """The exit code of a result. ``fail_on`` is a severity, or ``none``.

    A rule that crashed is never waived by ``allow_incomplete``: it is a mistake of the tool, not of the input.
    """
    if fail_on != "none":
        counted = SEVERITIES[: SEVERITIES.index(fail_on) + 1]
        if any(result.summary.by_severity.get(severity, 0) for severity in counted):
            return FINDINGS
    if any(entry.reason == "rule-error" for entry in result.not_evaluated):
        return INCOMPLETE
    if (result.errors or result.not_evaluated) and not allow_incomplete:
        return INCOMPLETE
    return COMPLIES
