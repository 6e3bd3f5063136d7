"""Exit codes: see the README."""

from __future__ import annotations

from collections.abc import Iterable

from kubeassay.model import SEVERITIES, Drift, Finding, Result

COMPLIES = 0
FINDINGS = 1
USAGE = 2
INCOMPLETE = 3
#: Of what was not compared with manifests, what may hide a difference in what the audit is about.
UNCLEAR_DRIFT = frozenset({"ambiguous", "forbidden", "not-readable", "not-rendered", "other-version"})


def exit_code(
    result: Result,
    fail_on: str,
    *,
    allow_incomplete: bool,
    counting: Iterable[Finding] | None = None,
    drift: Drift | None = None,
) -> int:
    """The exit code of a result. ``fail_on`` is a severity, or ``none``; ``counting``: the findings that count, where
    these are not all; ``drift``: what counts as well.

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
    if drift:
        return FINDINGS
    if any(entry.reason == "rule-error" for entry in result.not_evaluated):
        return INCOMPLETE
    unclear = drift is not None and any(entry.reason in UNCLEAR_DRIFT for entry in drift.not_compared)
    if (result.errors or result.not_evaluated or unclear) and not allow_incomplete:
        return INCOMPLETE
    return COMPLIES
