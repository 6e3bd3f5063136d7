"""The findings as the data of an HTML page: JSON in which no text can end the element that it stands in."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from kubeassay.model import SEVERITIES, Edit, Excerpt, Finding, Outcome, Related, Result
from kubeassay.reporting.options import RenderOptions
from kubeassay.reporting.texts import printable, printable_in_place

LABELS: Mapping[Outcome, str] = {
    "fail": "Failed",
    "pass": "Passed",
    "excepted": "Excepted",
    "not-evaluated": "Not evaluated",
}
_OUTCOMES: tuple[Outcome, ...] = tuple(LABELS)


def listed(result: Result, options: RenderOptions) -> list[Finding]:
    """The findings that a page lists, by file and object."""
    return sorted(
        (finding for finding in result.findings if finding.outcome in options.show),
        key=lambda f: (f.location.file, f.object.kind, f.object.namespace or "", f.object.name, f.object.api_version),
    )


def web_page(url: str) -> str:
    """``url`` where it is a page of the web; else nothing, since a link could hold a script."""
    return url if url.startswith(("https://", "http://")) and url.isprintable() else ""


class _Numbers:
    """Values that many findings share, each once, by number."""

    def __init__(self) -> None:
        self._numbers: dict[Any, int] = {}

    def of(self, value: Any) -> int:
        return self._numbers.setdefault(value, len(self._numbers))

    @property
    def values(self) -> list[Any]:
        return list(self._numbers)


def data_of(result: Result, findings: Sequence[Finding], anchors: Mapping[str, str]) -> str:
    """The data. ``anchors``: where on the page rules are described."""
    objects, rules, areas, files = _Numbers(), _Numbers(), _Numbers(), _Numbers()
    controls = {control.id: number for number, control in enumerate(result.controls)}
    environments = _Numbers()
    for environment in result.environments:
        environments.of(printable(environment.name))
    new: set[str] = set()
    unchanged: set[str] = set()
    if result.comparison is not None:
        new = {finding.fingerprint for finding in result.comparison.new}
        unchanged = {finding.fingerprint for finding in result.comparison.unchanged}
    entries = []
    for finding in findings:
        at, ref = finding.location, finding.object
        entry: dict[str, Any] = {
            "o": _OUTCOMES.index(finding.outcome),
            "s": SEVERITIES.index(finding.severity),
            "r": rules.of(finding.rule),
            "a": areas.of(printable(finding.area)),
            "b": objects.of((printable(ref.kind), printable(ref.namespace or ""), printable(ref.name))),
            "m": printable(finding.message),
            "f": files.of(printable(at.file)),
            "l": at.start_line,
            "c": at.start_column,
            "p": printable(finding.path),
            "i": printable(finding.fingerprint),
            "k": [controls[control] for control in dict.fromkeys(finding.controls) if control in controls],
        }
        trend = ""
        if finding.outcome == "fail":
            trend = "new" if finding.fingerprint in new else "unchanged" if finding.fingerprint in unchanged else ""
        more = {
            "n": printable(finding.container or ""),
            "x": _excerpt(finding.excerpt),
            "w": [
                [printable(one.message), files.of(printable(one.location.file)), *_start(one)]
                for one in finding.related
            ],
            "d": fix_as_diff(finding),
            "e": printable(finding.exception or ""),
            "g": printable(finding.reason or ""),
            "t": trend,
            "u": printable(finding.api_path or ""),
            # Of several environments those that have it; nothing where all do.
            "v": [environments.of(printable(name)) for name in finding.environments],
        }
        entry.update((key, value) for key, value in more.items() if value)
        entries.append(entry)
    data = {
        "severities": SEVERITIES,
        "outcomes": _OUTCOMES,
        "labels": LABELS,
        "objects": objects.values,
        "rules": [
            [printable(rule), printable(result.rules[rule].title) if rule in result.rules else "", anchors.get(rule)]
            for rule in rules.values
        ],
        "areas": areas.values,
        "files": files.values,
        **({"environments": environments.values} if environments.values else {}),
        "controls": [
            {
                "id": printable(control.id),
                "title": printable(control.title),
                "clause": printable(", ".join(filter(None, (control.source.document, control.source.section)))),
                "url": web_page(control.source.url),
                "place": printable(control.source.file) + (f":{control.source.line}" if control.source.line else "")
                if control.source.file
                else "",
            }
            for control in result.controls
        ],
        "findings": entries,
    }
    text = json.dumps(data, ensure_ascii=False, check_circular=False, separators=(",", ":"))
    # Inside a script element only "<" means anything: of "</script" and of "<!--".
    return text.replace("<", "\\u003c")


def _start(related: Related) -> tuple[int, int]:
    return related.location.start_line, related.location.start_column


def _excerpt(excerpt: Excerpt | None) -> list[str] | None:
    # In three pieces: the page counts UTF-16 code units, offsets count characters.
    if excerpt is None:
        return None
    text = printable_in_place(excerpt.text)
    return [text[: excerpt.start], text[excerpt.start : excerpt.end], text[excerpt.end :]]


def fix_as_diff(finding: Finding) -> str:
    """A fix as text that can be read and copied: lines that change as in a diff, as far as the excerpt shows the line
    that an edit stands in; else where to insert, or what to replace, and by what. Empty where there is no fix."""
    if finding.fix is None or not finding.fix.edits:
        return ""
    lines: list[str] = []
    file = None
    for edit in finding.fix.edits:
        at = edit.location
        if at.file != file:
            file = at.file
            lines += [f"--- {printable(file)}", f"+++ {printable(file)}"]
        shown = _line_of(finding, edit)
        if shown is not None:
            before, old, after = shown
            changed = [printable_in_place(line) for line in _lines(before + edit.text + after)]
            lines.append(f"@@ -{at.start_line},1 +{at.start_line},{len(changed)} @@")
            # A line that is only moved stays as it is.
            kept = changed.index(old) if old in changed else None
            lines += [f"-{old}"] if kept is None else []
            lines += [f"{' ' if number == kept else '+'}{line}" for number, line in enumerate(changed)]
            continue
        lines.append(_told(edit))
        # Blanks alone would not be seen.
        lines += [f"+{printable_in_place(line)}" for line in _lines(edit.text)] if edit.text.strip() else []
    return "\n".join(lines) + "\n"


def _lines(text: str) -> list[str]:
    return text.replace("\r\n", "\n").split("\n")


def _told(edit: Edit) -> str:
    """Where an edit stands that is in a line which the finding does not show, and what it does there."""
    at = edit.location
    where = f"line {at.start_line}, column {at.start_column}"
    if (at.start_line, at.start_column) == (at.end_line, at.end_column):
        return f"@@ insert at {where} @@"
    if at.end_line != at.start_line:
        where += f" to line {at.end_line}, column {at.end_column - 1}"
    elif at.end_column - 1 > at.start_column:
        where += f" to {at.end_column - 1}"
    if not edit.text:
        return f"@@ remove {where} @@"
    if not edit.text.strip():
        return f"@@ replace {where}: by {'a blank' if edit.text == ' ' else 'blanks'} @@"
    return f"@@ replace {where} @@"


def _line_of(finding: Finding, edit: Edit) -> tuple[str, str, str] | None:
    """The line of an edit: what is in front of it, all, and what is behind it, where the excerpt shows that line as it
    is."""
    excerpt, at, line = finding.excerpt, edit.location, finding.location.start_line
    if excerpt is None or (at.file, at.start_line, at.end_line) != (finding.location.file, line, line):
        return None
    # Columns count UTF-16 code units. What is cut or masked is not the line as it is; masks are not ASCII.
    text = excerpt.text
    whole = excerpt.start == finding.location.start_column - 1 and len(text) < _CUT
    if not whole or not text.isascii() or not text.isprintable() or at.end_column - 1 > len(text):
        return None
    return text[: at.start_column - 1], text, text[at.end_column - 1 :]


#: Excerpts are cut at this many characters (engine/findings.py).
_CUT = 200
