"""GitLab's Code Quality report: a JSON array of issues.

GitLab drops issues without a description, a name of the check, a fingerprint, a path and a first line, and takes two of
one fingerprint for one. It has no place for what passed, nor for what environments differ in; what was not judged is an
issue, and so is an excepted finding, as ``info``.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from kubeassay.model import Finding, Location, Result, Severity
from kubeassay.reporting.options import RenderOptions, Report
from kubeassay.reporting.statements import Gap, clauses, demanded_by, gaps, listed, only_in, subject
from kubeassay.reporting.texts import printable, shorten

#: GitLab knows ``info``, ``minor``, ``major``, ``critical`` and ``blocker``.
SEVERITIES: Mapping[Severity, str] = {"critical": "blocker", "high": "critical", "medium": "major", "low": "minor"}
#: A merge request shows it in one line.
DESCRIPTION_LIMIT = 1_000


def write(result: Result, options: RenderOptions) -> Report:
    issues = ",\n".join(json.dumps(issue, ensure_ascii=False) for issue in _unique(_issues(result, options)))
    return Report(((f"[\n{issues}\n]\n" if issues else "[]\n").encode("utf-8"),))


def _issues(result: Result, options: RenderOptions) -> Iterator[tuple[str, dict[str, Any]]]:
    """Issues, each with what identifies it over time: no line, no file."""
    # What was not judged comes first: it is what all others have to be seen by.
    for gap in gaps(result):
        yield f"{gap.reason}\n{gap.rule}\n{gap.text}", _gap(gap)
    known = clauses(result)
    for finding in listed(result, options):
        if finding.outcome != "pass":
            identity = finding.fingerprint or f"{finding.rule}\n{finding.object}\n{finding.path}"
            # Accepting a finding resolves the issue, and opens another.
            yield f"{finding.outcome}\n{identity}", _finding(finding, known)


def _unique(issues: Iterator[tuple[str, dict[str, Any]]]) -> Iterator[dict[str, Any]]:
    seen: Counter[str] = Counter()
    for identity, issue in issues:
        seen[identity] += 1
        # Nothing but the number stands behind the last line feed, so that no identity is another's with a number.
        text = f"{identity}\n{seen[identity]}"
        issue["fingerprint"] = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
        yield issue


def _finding(finding: Finding, known: dict[str, str]) -> dict[str, Any]:
    text = f"{subject(finding)}: {printable(finding.message)}"
    if finding.environments:
        text += f" ({only_in(finding)})"
    severity = "info"
    if finding.outcome == "fail":
        severity = SEVERITIES[finding.severity]
        demands = demanded_by(finding, known)
        if demands:
            text += f" ({'; '.join(demands)})"
    elif finding.outcome == "excepted":
        reason = f": {printable(finding.reason).rstrip('.')}" if finding.reason else ""
        text = f"Excepted by {printable(finding.exception or 'an exception')}{reason}. {text}"
    else:
        text = f"Not evaluated: {printable(finding.reason or 'no reason is known').rstrip('.')}. {text}"
    return _issue(text, printable(finding.rule), severity, finding.location)


def _gap(gap: Gap) -> dict[str, Any]:
    rule = f" (rule {gap.rule})" if gap.rule else ""
    text = f"Not evaluated: {gap.text}{rule}"
    line = gap.line or 1
    return _issue(text, gap.reason, "critical" if gap.severe else "major", Location(gap.file or "", line, 1, line, 1))


def _issue(text: str, check: str, severity: str, place: Location) -> dict[str, Any]:
    # Paths are relative to the repository, and must not begin with "./".
    path = printable(place.file).lstrip("/").removeprefix("./").lstrip("/")
    return {
        "description": shorten(text, DESCRIPTION_LIMIT),
        "check_name": check if check.strip() else "unnamed",
        "fingerprint": "",
        "severity": severity,
        # What concerns no file is shown at the repository.
        "location": {
            "path": path if path.strip() else ".",
            "lines": {"begin": place.start_line, "end": place.end_line},
        },
    }
