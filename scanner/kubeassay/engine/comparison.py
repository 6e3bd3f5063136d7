"""What changed between two results: findings are the same where their fingerprints are."""

from __future__ import annotations

from collections.abc import Callable

from kubeassay.engine.live import namespace_about
from kubeassay.model import Comparison, Finding, Result


def compare(previous: Result, now: Result, asks: Callable[[Finding], bool] = lambda _: True) -> Comparison:
    """Compare a result with an earlier one of the same target. ``asks``: whether what a finding of the earlier one is
    about was to be judged now."""
    before = {finding.fingerprint: finding for finding in previous.findings if finding.outcome == "fail"}
    failing = {finding.fingerprint: finding for finding in now.findings if finding.outcome == "fail"}
    accepted = {finding.fingerprint for finding in now.findings if finding.outcome == "excepted"}
    fixed, excepted, unknown = [], [], []
    for fingerprint, finding in before.items():
        if fingerprint in failing:
            continue
        if fingerprint in accepted:
            excepted.append(finding)
        elif asks(finding) and _was_judged(finding, now):
            fixed.append(finding)
        else:
            unknown.append(finding)
    return Comparison(
        tuple(finding for fingerprint, finding in failing.items() if fingerprint not in before),
        tuple(finding for fingerprint, finding in failing.items() if fingerprint in before),
        tuple(fixed),
        tuple(excepted),
        tuple(unknown),
    )


def _was_judged(finding: Finding, now: Result) -> bool:
    """Whether a finding that is gone is surely no more: its rule ran, and nothing that it is about went unjudged."""
    if finding.rule not in now.rules:
        return False
    namespace, file = namespace_about(finding.object), finding.location.file
    for gap in now.not_evaluated:
        if (
            gap.rule in (None, finding.rule)
            and (gap.namespace is None or namespace is None or gap.namespace == namespace)
            and (gap.file is None or gap.file == file)
        ):
            return False
    return not any(error.file == file for error in now.errors)
