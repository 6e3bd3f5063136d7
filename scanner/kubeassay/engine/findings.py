"""From a violation to a finding: its place, excerpt, identity and fix."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import re
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from kubeassay.analysis.declared import declared_path
from kubeassay.analysis.sensitive import may_hold_secret, names_secret, sensitive_paths, shown_key
from kubeassay.checks.check import Violation
from kubeassay.engine.fixes import make_fix, make_repair
from kubeassay.engine.plan import ActiveRule
from kubeassay.model import (
    Excerpt,
    Finding,
    Fix,
    Location,
    Object,
    Outcome,
    Path,
    Related,
    SourceDocument,
    SpanTable,
    Traced,
    format_path,
    parse_path,
)
from kubeassay.model.line_hash import primary_location_line_hashes
from kubeassay.sources.yaml_reader import astral_of, lines_of

if TYPE_CHECKING:
    from kubeassay.engine.in_tree import InTree

#: A longer source line is cut around the finding.
_EXCERPT_LENGTH = 200
#: What stands where something may be secret.
MASK = "•••"
_WORDS = re.compile(r"[^\r\n]+")


@dataclass(slots=True)
class SourceText:
    """The text of one file, and what findings in it need more than once. ``given``: the text, or what makes it."""

    given: str | Callable[[], str]
    had_bom: bool = False
    #: All objects of the file: a line may show several of them.
    objects: Sequence[Object] = ()
    #: Whether it may state exceptions.
    marked: bool = True
    #: The exceptions that stand in it, by the number of their object; None while they were not looked for.
    in_tree: Mapping[int, Sequence[InTree]] | None = None
    _masks: list[tuple[int, int]] | None = None
    _hashes: dict[int, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        if not isinstance(self.given, str):
            self.given = self.given()
        return self.given

    def prepare(self, lines: Iterable[int]) -> None:
        """Compute the line hashes of many lines at once: each call reads the file from its start."""
        missing = [line for line in lines if line not in self._hashes]
        if missing:
            # GitHub hashes a byte order mark with the first line.
            text = "\ufeff" + self.text if self.had_bom else self.text
            self._hashes.update(primary_location_line_hashes(text, missing))

    def line_hash(self, line: int) -> str | None:
        return self._hashes.get(line)

    @property
    def masks(self) -> list[tuple[int, int]]:
        """The character offsets of what no report may show of the file, in order, none overlapping."""
        if self._masks is None:
            self._masks = _masks(self.objects, self.text)
        return self._masks

    def masked(self) -> str:
        """The text without what no report may show, on as many lines."""
        parts: list[str] = []
        position = 0
        for start, end in self.masks:
            parts += self.text[position:start], _WORDS.sub(MASK, self.text[start:end])
            position = end
        return "".join((*parts, self.text[position:]))


def _masks(objects: Iterable[Object], text: str) -> list[tuple[int, int]]:
    spans: list[tuple[int, int]] = []
    done: set[int] = set()
    for obj in objects:
        document = obj.document
        if id(document) not in done:
            done.add(id(document))
            for path in sensitive_paths(document):
                span = obj.spans.value_span(document, path)
                if span is not None and span[0] == span[1]:
                    span = obj.spans.key_span(document, path)
                if span is not None:
                    spans.append(span)
        if obj.duplicate_keys:
            spans += _replaced(obj, text)
    return _merged(spans)


def _merged(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if merged and start < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        elif start < end:
            merged.append((start, end))
    return merged


def _replaced(obj: Object, text: str) -> Iterable[tuple[int, int]]:
    """Where values stand that a later key of the same name replaced, and that may be secret: the object's value does
    not have them."""
    for path, locations in obj.duplicate_keys:
        for earlier, later in pairwise(locations):
            start = obj.spans.offset(earlier.end_line, earlier.end_column)
            end = obj.spans.offset(later.start_line, later.start_column)
            if start < end and (
                obj.ref.kind.lower() == "secret"
                or not _MAY_BE_SECRET.isdisjoint(path)
                or any(isinstance(step, str) and names_secret(step) for step in path)
                or may_hold_secret(text[start:end])
            ):
                yield start, end


#: Fields below which a value may be secret whatever its key is.
_MAY_BE_SECRET = frozenset({"env", "args", "command", "httpHeaders"})


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
    made_of = obj.made_of
    traced = None if made_of is None else made_of.trace(obj, violation.path, key=violation.key)
    location = obj.locate(violation.path, key=violation.key) if traced is None else traced.location
    excerpt = fix = None
    if source is not None and traced is not None:
        excerpt = _excerpt_of(traced, obj, violation)
        fix = _fix_of(active, obj, violation, fix_base, traced) if outcome == "fail" else None
    elif source is not None:
        excerpt = make_excerpt(obj, location, source, violation)
        if rule.fix and outcome == "fail" and violation.fixable and not violation.sensitive:
            base = fix_base if violation.base is None else violation.base
            if _concerns(violation.path, base, rule.fix):
                fix = make_fix(obj, source.text, base, rule.fix, rule.title)
        if violation.repair is not None and outcome == "fail":
            fix = make_repair(obj, source.text, violation.repair, rule.title)
    finding = Finding(
        outcome=outcome,
        rule=rule.id,
        controls=active.controls,
        area=rule.area,
        severity=active.severity,
        object=obj.ref,
        container=violation.container,
        path=format_path(_shown_path(violation)),
        message=violation.message,
        location=location,
        fingerprint=fingerprint(rule.id, obj, violation),
        related=(
            *(Related(message, other.locate(path)) for message, other, path in violation.related),
            *(Related(message, Location(file, line, 1, line, 1)) for message, file, line in violation.clauses),
        ),
        excerpt=excerpt,
        fix=fix,
        reason=reason,
    )
    return finding if traced is None or made_of is None else _in_source(finding, traced, made_of.steps)


def source_of(document: SourceDocument) -> SourceText:
    """The text of a source file, once for all that is found in it."""
    text = document.facts.get(SourceText)
    if text is None:
        text = document.facts[SourceText] = SourceText(document.text, document.had_bom, document.objects)
    found: SourceText = text
    return found


def _in_source(finding: Finding, traced: Traced, steps: Sequence[tuple[str, Location]]) -> Finding:
    """A finding of an object that was made out of other files, with how that was, and the line of the file it is in."""
    text = source_of(traced.document)
    line = traced.location.start_line
    text.prepare([line])
    return replace(
        finding,
        message=finding.message if traced.state != "rendering" else f"{finding.message} ({traced.said})",
        related=(*finding.related, *_steps(traced, steps)),
        line_hash=text.line_hash(line),
    )


def _steps(traced: Traced, steps: Sequence[tuple[str, Location]]) -> Iterator[Related]:
    """How a rendered object came to be, and how the place was found."""
    for what, where in steps:
        yield Related(what, where)
    if traced.state != "rendering" and traced.said:
        yield Related(traced.said, traced.location)


def _excerpt_of(traced: Traced, obj: Object, violation: Violation) -> Excerpt | None:
    """The line of a source file. What no report may show of the object may stand in it in the clear, as in a template
    that is no YAML."""
    text = source_of(traced.document)
    if traced.obj is not None:
        excerpt = make_excerpt(traced.obj, traced.location, text, replace(violation, path=traced.path))
    elif violation.sensitive:
        return None
    else:
        spans = SpanTable(traced.location.file, array("I"), lines_of(text.text), astral_of(text.text))
        bare = Object(obj.ref, {}, spans, {})
        excerpt = make_excerpt(bare, traced.location, text, violation)
    if excerpt is None or not any(secret in excerpt.text for secret in _secrets(obj)):
        return excerpt
    shown = excerpt.text
    for secret in sorted(_secrets(obj), key=len, reverse=True):
        shown = shown.replace(secret, MASK)
    return Excerpt(shown, 0, len(shown))


#: A shorter text is in many lines by chance.
_SHORTEST_SECRET = 3


def _secrets(obj: Object) -> frozenset[str]:
    """The texts of an object that no report may show, as they stand in it and, of a Secret's data, decoded."""
    known: frozenset[str] | None = obj.facts.get(_secrets)
    if known is not None:
        return known
    found: set[str] = set()
    for path in sensitive_paths(obj.value):
        value = obj.get(*path)
        if isinstance(value, str):
            found.add(value)
            found.update(line.strip() for line in value.splitlines())
            with contextlib.suppress(ValueError):
                found.add(base64.b64decode(value, validate=True).decode())
    secrets = obj.facts[_secrets] = frozenset(text for text in found if len(text) >= _SHORTEST_SECRET)
    return secrets


def _fix_of(active: ActiveRule, obj: Object, violation: Violation, fix_base: Path, traced: Traced) -> Fix | None:
    """A fix in the file that states a rendered field, where its object has what the rendered one has."""
    source = traced.obj
    if source is None or violation.sensitive or traced.state == "rendering" or source.ref.kind != obj.ref.kind:
        return None
    rule, text = active.rule, source_of(traced.document)
    if violation.repair is not None:
        path = declared_path(obj.value, source.value, violation.repair.path)
        if path is None or not _says_the_same(obj, violation.repair.path, source, path):
            return None
        return make_repair(source, text.text, replace(violation.repair, path=path), rule.title)
    base = fix_base if violation.base is None else violation.base
    if not (rule.fix and violation.fixable and _concerns(violation.path, base, rule.fix)):
        return None
    there = declared_path(obj.value, source.value, base)
    return None if there is None else make_fix(source, text.text, there, rule.fix, rule.title)


def _says_the_same(obj: Object, path: Path, source: Object, there: Path) -> bool:
    missing = object()
    value = source.get(*there, default=missing)
    return value is not missing and value == obj.get(*path, default=missing)


def _shown_path(violation: Violation) -> Path:
    """A violation's path. A key that Kubernetes does not have may hold what was meant as its value."""
    *parent, last = violation.path or ("",)
    return (*parent, shown_key(last)) if violation.key and isinstance(last, str) and last else violation.path


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
        _stable_path(obj.value, violation.path, violation.sensitive, obj.facts.setdefault(_stable_path, {})),
    )
    return hashlib.blake2b("\x1f".join(parts).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


#: The name of a long flag; a short one's may have its value in it (-pPASSWORD).
_FLAG = re.compile(r"--[A-Za-z][A-Za-z0-9_.-]{0,63}(?==|\Z)")

#: The fields by which Kubernetes itself tells the members of a list apart.
_MERGE_KEYS = ("name", "containerPort", "port", "mountPath", "devicePath", "ip", "key", "type", "uid")


#: Fields of the rules of roles, webhooks and network policies that are sets: in another order they say the same.
_SETS = frozenset(
    {"verbs", "apiGroups", "resources", "resourceNames", "nonResourceURLs", "ports", "from", "to", "except", "values"}
)


def _in_order(name: str, value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _in_order(key, member) for key, member in value.items()}
    if isinstance(value, list):
        members = [_in_order("", member) for member in value]
        return sorted(members, key=lambda member: json.dumps(member, sort_keys=True)) if name in _SETS else members
    return value


def _stable_path(value: Any, path: Path, sensitive: bool, digests: dict[int, str]) -> str:
    """A path in which list members are named by what they are, not by where they stand. ``digests``: those of the
    object's list members that were asked for, by identity: many findings may be in one of them."""
    parts: list[str] = []
    for step in path:
        if isinstance(step, str):
            parts.append("." + step)
            value = value.get(step) if isinstance(value, dict) else None
            continue
        members = value
        value = value[step] if isinstance(value, list) and 0 <= step < len(value) else None
        if isinstance(value, dict):
            for key in _MERGE_KEYS:
                if isinstance(value.get(key), str | int):
                    parts.append(f"[{key}={value[key]}{_protocol(value) if key in _PORTS else ''}]")
                    break
            else:
                digest = digests.get(id(value))
                if digest is None:
                    content = json.dumps(_in_order("", value), sort_keys=True)
                    digest = digests[id(value)] = hashlib.blake2b(content.encode(), digest_size=6).hexdigest()
                parts.append(f"[{digest}]")
        elif sensitive or isinstance(value, list) or value is None:
            # A hash of a short secret gives it away: the flag's name, else the position has to do.
            parts.append(f"[{(_flag(members, step) if sensitive else None) or step}]")
        else:
            parts.append(f"[={value}]")
    return "".join(parts)


_PORTS = frozenset({"containerPort", "port"})


def _protocol(port: Mapping[str, Any]) -> str:
    protocol = port.get("protocol")
    return f"/{protocol}" if isinstance(protocol, str) and protocol != "TCP" else ""


def _flag(arguments: Any, index: int) -> str | None:
    """The flag of ``--flag=value`` or of the argument before."""
    if not isinstance(arguments, list):
        return None
    for place in (index, index - 1):
        argument = arguments[place] if 0 <= place < len(arguments) else None
        if isinstance(argument, str) and argument.startswith("-"):
            match = _FLAG.match(argument)
            # The flag before belongs to this argument only when it has no value of its own.
            if match is not None and ("=" in argument) == (place == index):
                return match[0]
            return None
    return None


def make_excerpt(obj: Object, location: Location, source: SourceText, violation: Violation) -> Excerpt | None:
    """The finding's first line, secret values masked, cut to a readable length.

    Only as much of the line is looked at as is shown: a file of one line may hold thousands of findings.
    """
    starts = obj.spans.line_starts
    number = location.start_line
    text = source.text
    if number > len(starts):
        return None
    begin = starts[number - 1]
    end = starts[number] if number < len(starts) else len(text)
    while end > begin and text[end - 1] in "\r\n":
        end -= 1
    start = min(obj.spans.offset(number, location.start_column), end)
    stop = min(obj.spans.offset(location.end_line, location.end_column), end)
    masks = source.masks
    if violation.sensitive:
        span = obj.value_offsets(violation.path)
        if span is not None and not _covered(masks, span):
            # Those that cannot be shown in full are at most this far away.
            first = bisect_right(masks, start, key=_end)
            masks = _merged([span, *masks[max(first - _EXCERPT_LENGTH, 0) : first + _EXCERPT_LENGTH]])
    # A region that begins or ends within a mask takes in all of it.
    first = bisect_right(masks, start, key=_end)
    if first < len(masks) and masks[first][0] < start:
        start = max(masks[first][0], begin)
    last = bisect_left(masks, stop, key=_end)
    if last < len(masks) and masks[last][0] < stop:
        stop = min(masks[last][1], end)
    before = _masked_before(text, begin, start, masks, first)
    after, length = _masked_after(text, start, end, stop, masks, first)
    line = before + after
    start, stop = len(before), len(before) + length
    if len(line) > _EXCERPT_LENGTH:
        cut = max(0, min(start - _EXCERPT_LENGTH // 3, len(line) - _EXCERPT_LENGTH))
        line = line[cut : cut + _EXCERPT_LENGTH]
        start, stop = start - cut, stop - cut
    return Excerpt(line, min(start, len(line)), min(max(stop, start), len(line)))


def _end(mask: tuple[int, int]) -> int:
    return mask[1]


def _covered(masks: Sequence[tuple[int, int]], span: tuple[int, int]) -> bool:
    position = bisect_right(masks, span[0], key=_end)
    return position < len(masks) and masks[position][0] <= span[0] and span[1] <= masks[position][1]


def _masked_before(text: str, begin: int, start: int, masks: Sequence[tuple[int, int]], first: int) -> str:
    """The last characters of a line in front of ``start``, at least as many as an excerpt shows.

    ``first``: the number of the first mask behind them.
    """
    parts: list[str] = []
    length = 0
    while start > begin and length < _EXCERPT_LENGTH:
        mask_start, mask_end = masks[first - 1] if first else (0, 0)
        mask_end = max(mask_end, begin)
        if mask_end < start:
            parts.append(text[max(mask_end, start - _EXCERPT_LENGTH) : start])
            if start - mask_end > _EXCERPT_LENGTH:
                break
            length += start - mask_end
        if first and masks[first - 1][1] > begin:
            parts.append(MASK)
            length += len(MASK)
            start = mask_start
            first -= 1
        else:
            break
    return "".join(reversed(parts))


def _masked_after(
    text: str, start: int, end: int, stop: int, masks: Sequence[tuple[int, int]], first: int
) -> tuple[str, int]:
    """The first characters of a line from ``start`` on, at least as many as an excerpt shows where there are, and how
    many of them stand in front of ``stop``."""
    parts: list[str] = []
    length = 0
    before_stop = 0 if stop <= start else None
    while start < end and length <= _EXCERPT_LENGTH:
        mask_start, mask_end = masks[first] if first < len(masks) else (end, end)
        mask_start = min(mask_start, end)
        if start < mask_start:
            if before_stop is None and stop <= mask_start:
                before_stop = length + stop - start
            parts.append(text[start : min(mask_start, start + _EXCERPT_LENGTH + 1)])
            length += mask_start - start
            start = mask_start
        if start < end and length <= _EXCERPT_LENGTH:
            parts.append(MASK)
            length += len(MASK)
            start = mask_end
            first += 1
            if before_stop is None and stop <= mask_end:
                before_stop = length
    after = "".join(parts)
    return after, len(after) if before_stop is None else before_stop
