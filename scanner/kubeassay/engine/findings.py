"""From a violation to a finding: its place, excerpt, identity and fix."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from kubeassay.analysis.sensitive import sensitive_value_paths
from kubeassay.checks.check import Violation
from kubeassay.engine.fixes import make_fix
from kubeassay.engine.plan import ActiveRule
from kubeassay.model import Excerpt, Finding, Location, Object, Outcome, Path, Related, format_path, parse_path
from kubeassay.model.line_hash import primary_location_line_hashes

#: A longer source line is cut around the finding.
_EXCERPT_LENGTH = 200
_MASK = "•••"


@dataclass(slots=True)
class SourceText:
    """The text of one file, and what findings in it need more than once."""

    text: str
    had_bom: bool = False
    _hashes: dict[int, str] = field(default_factory=dict)

    def prepare(self, lines: Iterable[int]) -> None:
        """Compute the line hashes of many lines at once: each call reads the file from its start."""
        missing = [line for line in lines if line not in self._hashes]
        if missing:
            # GitHub hashes a byte order mark with the first line.
            text = "\ufeff" + self.text if self.had_bom else self.text
            self._hashes.update(primary_location_line_hashes(text, missing))

    def line_hash(self, line: int) -> str | None:
        return self._hashes.get(line)


def make_finding(
    active: ActiveRule,
    obj: Object,
    violation: Violation,
    source: SourceText | None,
    fix_base: Path,
    *,
    outcome: Outcome = "fail",
    reason: str | None = None,
) -> Finding:
    """The finding of a violation. ``source`` None: no excerpt, fix or line hash (the text is not at hand)."""
    rule = active.rule
    location = obj.locate(violation.path, key=violation.key)
    excerpt = fix = None
    if source is not None:
        excerpt = make_excerpt(obj, location, source.text, violation)
        if rule.fix and outcome == "fail" and violation.fixable and not violation.sensitive:
            base = fix_base if violation.base is None else violation.base
            if _concerns(violation.path, base, rule.fix):
                fix = make_fix(obj, source.text, base, rule.fix, rule.title)
    return Finding(
        outcome=outcome,
        rule=rule.id,
        controls=active.controls,
        area=rule.area,
        severity=active.severity,
        object=obj.ref,
        container=violation.container,
        path=format_path(violation.path),
        message=violation.message,
        location=location,
        fingerprint=fingerprint(rule.id, obj, violation),
        related=tuple(Related(message, other.locate(path)) for message, other, path in violation.related),
        excerpt=excerpt,
        fix=fix,
        reason=reason,
    )


def _concerns(path: Path, base: Path, fix: Mapping[str, Any]) -> bool:
    """Whether a fix sets the field that a violation is about, one above or one below it: a rule may have violations
    that its fix does not mend. A field of a container may be mended by the pod's field of the same name."""
    for relative in fix:
        steps = parse_path(relative)
        target = (*base, *steps)
        length = min(len(target), len(path))
        if target[:length] == path[:length]:
            return True
        if any(path[-count:] == steps[:count] for count in range(1, len(steps) + 1)):
            return True
    return False


def fingerprint(rule_id: str, obj: Object, violation: Violation) -> str:
    """The identity of a finding: of the rule, the object, the container and the field; of no file, line or position in
    a list. 32 hexadecimal digits."""
    ref = obj.ref
    parts = (
        rule_id,
        ref.group,
        ref.kind,
        ref.namespace or "",
        ref.name,
        violation.container or "",
        _stable_path(obj.value, violation.path, violation.sensitive),
    )
    return hashlib.blake2b("\x1f".join(parts).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


#: The fields by which Kubernetes itself tells the members of a list apart.
_MERGE_KEYS = ("name", "containerPort", "port", "mountPath", "devicePath", "ip", "key", "type", "uid")


def _stable_path(value: Any, path: Path, sensitive: bool) -> str:
    """A path in which list members are named by what they are, not by where they stand."""
    parts: list[str] = []
    for step in path:
        if isinstance(step, str):
            parts.append("." + step)
            value = value.get(step) if isinstance(value, dict) else None
            continue
        value = value[step] if isinstance(value, list) and 0 <= step < len(value) else None
        if isinstance(value, dict):
            for key in _MERGE_KEYS:
                if isinstance(value.get(key), str | int):
                    parts.append(f"[{key}={value[key]}]")
                    break
            else:
                digest = hashlib.blake2b(json.dumps(value, sort_keys=True).encode(), digest_size=6).hexdigest()
                parts.append(f"[{digest}]")
        elif sensitive or isinstance(value, list) or value is None:
            # A hash of a short secret gives it away: the position has to do.
            parts.append(f"[{step}]")
        else:
            parts.append(f"[={value}]")
    return "".join(parts)


def make_excerpt(obj: Object, location: Location, text: str, violation: Violation) -> Excerpt | None:
    """The finding's first line, secret values masked, cut to a readable length."""
    starts = obj.spans.line_starts
    number = location.start_line
    if number > len(starts):
        return None
    begin = starts[number - 1]
    end = starts[number] if number < len(starts) else len(text)
    line = text[begin:end].rstrip("\r\n")
    end = begin + len(line)
    start = _offset(line, location.start_column)
    stop = _offset(line, location.end_column) if location.end_line == number else len(line)
    masks: list[tuple[int, int]] = []
    for path in _sensitive_paths(obj, violation):
        span = obj.value_offsets(path)
        if span is not None and span[0] < end and span[1] > begin:
            masks.append((max(span[0] - begin, 0), min(span[1] - begin, len(line))))
    # A violation's own value is often among the known ones: each span is masked once.
    for mask_start, mask_stop in sorted(set(masks), reverse=True):
        line = line[:mask_start] + _MASK + line[mask_stop:]
        shift = len(_MASK) - (mask_stop - mask_start)
        if start >= mask_stop:
            start += shift
        elif start > mask_start:
            start = mask_start
        if stop >= mask_stop:
            stop += shift
        elif stop > mask_start:
            stop = mask_start + len(_MASK)
    if len(line) > _EXCERPT_LENGTH:
        first = max(0, min(start - _EXCERPT_LENGTH // 3, len(line) - _EXCERPT_LENGTH))
        line = line[first : first + _EXCERPT_LENGTH]
        start, stop = max(start - first, 0), max(stop - first, 0)
    stop = min(max(stop, start), len(line))
    return Excerpt(line, min(start, len(line)), stop)


def _sensitive_paths(obj: Object, violation: Violation) -> Iterable[Path]:
    known = obj.facts.get("sensitive")
    if known is None:
        known = obj.facts["sensitive"] = tuple(sensitive_value_paths(obj))
    return (*known, violation.path) if violation.sensitive else known


def _offset(line: str, column: int) -> int:
    """The character offset of a 1-based column of UTF-16 units."""
    if line.isascii():
        return min(column - 1, len(line))
    units = 0
    for offset, character in enumerate(line):
        if units >= column - 1:
            return offset
        units += 2 if character > "\uffff" else 1
    return len(line)
