"""Annotations of GitHub Actions, by workflow commands on standard output.

GitHub takes ten errors, ten warnings and ten notices of a step, and drops what comes after: the most severe come first,
and the first notice says how many are left out. A result that is not complete is an error of its own, in front. Nothing
is printed but commands, each on one line, so that no text of a manifest stands where a command begins; in a command
only the line's first ``::`` and those of its properties count, and both are escaped (actions/runner,
src/Runner.Common/ActionCommand.cs).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from kubeassay.model import Finding, Result, Severity
from kubeassay.reporting.options import RenderOptions, Report
from kubeassay.reporting.statements import (
    clauses,
    counted,
    demanded_by,
    environments_told,
    gaps,
    incomplete,
    is_complete,
    listed,
    only_in,
    rest_counted,
    scanned,
    stands_in_a_file,
    subject,
)
from kubeassay.reporting.texts import printable, shorten

#: What GitHub takes of each type in a step.
LIMIT = 10
#: It cuts longer ones: titles at 255 characters, messages at 64 KiB; nobody reads so much beside a line.
TITLE_LIMIT = 255
MESSAGE_LIMIT = 2_000

_Type = Literal["error", "warning", "notice"]
_TYPES: dict[Severity, _Type] = {"critical": "error", "high": "error", "medium": "warning", "low": "notice"}
_WORDS = {"excepted": "excepted", "not-evaluated": "not judged"}


def write(result: Result, options: RenderOptions) -> Report:
    candidates: dict[_Type, list[str]] = {"error": [], "warning": [], "notice": []}
    room = {"error": LIMIT, "warning": LIMIT, "notice": LIMIT - 1}
    left: dict[str, int] = {}

    def offer(kind: _Type, word: str, command: str) -> None:
        if len(candidates[kind]) < room[kind]:
            candidates[kind].append(command)
        else:
            left[word] = left.get(word, 0) + 1

    if not is_complete(result):
        text = f"Not everything was judged, so silence is no pass: {incomplete(result)}."
        waived = options.allow_incomplete and not any(gap.reason == "rule-error" for gap in gaps(result))
        offer(
            "warning" if waived else "error",
            "",
            _command("warning" if waived else "error", "kubeassay: incomplete", text),
        )
    known = clauses(result)
    for finding in listed(result, options):
        if finding.outcome == "fail":
            kind = _TYPES[finding.severity]
            offer(kind, finding.severity, _finding(kind, finding, result, known))
        elif finding.outcome != "pass":
            offer("notice", _WORDS[finding.outcome], _finding("notice", finding, result, known))
    for gap in gaps(result):
        offer(
            "warning",
            "not evaluated",
            _command("warning", f"not evaluated: {gap.reason}", gap.text, gap.file, gap.line),
        )
    lines = [*candidates["error"], *candidates["warning"], _summary(result, left), *candidates["notice"]]
    return Report((("\n".join(lines) + "\n").encode("utf-8"),))


def _summary(result: Result, left: dict[str, int]) -> str:
    text = f"{scanned(result)}. {counted(result)}. {rest_counted(result)}."
    text += "".join(f" {line}." for line in environments_told(result))
    if left:
        words = ", ".join(f"{number:,} {word}" for word, number in left.items())
        text += f" Not annotated, since GitHub takes {LIMIT} of each type: {words}. Another report has them."
    return _command("notice", "kubeassay", text)


def _finding(kind: _Type, finding: Finding, result: Result, known: dict[str, str]) -> str:
    word = _WORDS.get(finding.outcome, finding.severity)
    text = [f"{subject(finding)}: {printable(finding.message)}"]
    if finding.outcome == "fail":
        demands = demanded_by(finding, known)
        if demands:
            text.append("Demanded by " + "; ".join(demands))
        rule = result.rules.get(finding.rule)
        if rule is not None and rule.remediation.strip():
            text.append("How to comply: " + printable(" ".join(rule.remediation.split())))
    elif finding.reason:
        text.append(printable(finding.reason))
    if finding.environments:
        text.append(f"It is {only_in(finding)}.")
    place = finding.location
    columns = (place.start_column, place.end_column) if place.start_line == place.end_line else None
    file = place.file if stands_in_a_file(finding, result) else None
    return _command(
        kind, f"{word}: {printable(finding.rule)}", "\n".join(text), file, place.start_line, place.end_line, columns
    )


def _command(
    kind: _Type,
    title: str,
    text: str,
    file: str | None = None,
    line: int | None = None,
    end_line: int | None = None,
    columns: tuple[int, int] | None = None,
) -> str:
    properties = list(_properties(file, line, end_line, columns))
    properties.append(f"title={_property(shorten(title, TITLE_LIMIT))}")
    return f"::{kind} {','.join(properties)}::{_data(shorten(text, MESSAGE_LIMIT))}"


def _properties(
    file: str | None, line: int | None, end_line: int | None, columns: tuple[int, int] | None
) -> Iterator[str]:
    if not file or not file.strip():
        return
    yield f"file={_property(printable(file))}"
    if line is not None:
        yield f"line={line}"
    if end_line is not None:
        yield f"endLine={end_line}"
    if columns is not None:
        yield f"col={columns[0]}"
        yield f"endColumn={columns[1]}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
