"""Mending manifests: the fixes of findings are applied to their texts, and what they became is judged again.

Fixes are made for a text as it is. Those of one round touch different places; what they make possible or superfluous
(a second field of a mapping that the first one brought) is for the next round, with the findings of the new texts. A
round whose text reads differently than its fixes say, or still has a finding that they were for, is undone.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from kubeassay.engine.fixes import applied, touch
from kubeassay.model import Edit, Finding, Path, Result, Rule, format_path, identity, parse_path
from kubeassay.sources.files import Discovery, SourceFile
from kubeassay.sources.manifests import ReadFile, byte_order, read_bytes, regular_content

#: What tells a finding from others while lines move: its file and its fingerprint; or its identity, which those of
#: objects of one name in a file have in common: their fingerprints are numbered, and move up when one is mended.
Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Left:
    """A finding whose fix is not applied, and why."""

    finding: Finding
    reason: str


@dataclass(frozen=True, slots=True)
class Mended:
    """``files``: by name, the bytes before and after. ``fixed``: as they were found, at the lines of the round that
    mended them. ``result``: of the texts as they are after the last round."""

    files: Mapping[str, tuple[bytes, bytes]]
    fixed: tuple[Finding, ...]
    left: tuple[Left, ...]
    result: Result


def mend(
    discovery: Discovery, judge: Callable[[Discovery], Result], wanted: Callable[[Finding], bool] = lambda _: True
) -> Mended:
    """Apply the fixes of the findings that are ``wanted``, in memory: nothing is written. ``judge`` scans files."""
    texts = _Texts(discovery)
    result = judge(discovery)
    rounds = _Rounds()
    while chosen := rounds.choose(result, wanted):
        trial = rounds.edited(texts, chosen, result)
        while trial:
            after = judge(texts.discovery(trial))
            unmended = {name: why for name in trial if (why := _still_wrong(name, chosen[name], result, after))}
            if not unmended:
                rounds.took(chosen)
                texts.take(trial)
                result = after
                break
            for name, why in unmended.items():
                del trial[name]
                rounds.undo(name, chosen.pop(name), why)
    return Mended(texts.changed(), tuple(rounds.fixed), tuple(rounds.left), result)


class _Rounds:
    """What was mended, and what is not to be tried again. Each round makes one of them larger."""

    def __init__(self) -> None:
        self.fixed: list[Finding] = []
        self.left: list[Left] = []
        self._refused: set[Key] = set()
        #: By identity: how many were mended, and how many there were when the first was seen.
        self._mended: Counter[Key] = Counter()
        self._there: dict[Key, int] = {}
        #: Files of which one finding at a time is mended: one of several could not be.
        self._one_by_one: set[str] = set()

    def choose(self, result: Result, wanted: Callable[[Finding], bool]) -> dict[str, list[Finding]]:
        """By file, findings whose edits do not touch each other: the first of each place."""
        chosen: dict[str, list[Finding]] = {}
        failing = Counter(_same(finding) for finding in result.findings if finding.outcome == "fail")
        self._there = {**failing, **self._there}
        taken: dict[str, list[Edit]] = defaultdict(list)
        for finding in result.findings:
            if not _mendable(finding) or not wanted(finding) or _key(finding) in self._refused:
                continue
            # Fixes that undo each other would go on for ever.
            if self._mended[_same(finding)] >= self._there[_same(finding)]:
                continue
            assert finding.fix is not None
            file = finding.location.file
            edits = taken[file]
            if edits and file in self._one_by_one:
                continue
            if not any(touch(edit, other) for edit in finding.fix.edits for other in edits):
                edits += finding.fix.edits
                chosen.setdefault(file, []).append(finding)
        return chosen

    def edited(self, texts: _Texts, chosen: dict[str, list[Finding]], result: Result) -> dict[str, bytes]:
        """The files with what is chosen; what does not become what its fixes say is taken out of ``chosen``."""
        trial: dict[str, bytes] = {}
        for name, findings in list(chosen.items()):
            content, why = _edited(texts[name], name, findings, result.rules)
            if why:
                self.undo(name, chosen.pop(name), why)
            else:
                trial[name] = content
        return trial

    def took(self, chosen: Mapping[str, Sequence[Finding]]) -> None:
        for findings in chosen.values():
            self.fixed += findings
            self._mended.update(map(_same, findings))

    def undo(self, name: str, findings: Sequence[Finding], why: str) -> None:
        if len(findings) > 1:
            self._one_by_one.add(name)
        else:
            self._refused.update(map(_key, findings))
            self.left += (Left(finding, why) for finding in findings)


def _key(finding: Finding) -> Key:
    return finding.location.file, finding.fingerprint


def _same(finding: Finding) -> Key:
    return finding.location.file, identity(finding)


def _mendable(finding: Finding) -> bool:
    fix = finding.fix
    return (
        finding.outcome == "fail"
        and fix is not None
        and bool(fix.edits)
        and all(edit.location.file == finding.location.file for edit in fix.edits)
    )


def _edited(content: bytes, name: str, findings: Sequence[Finding], rules: Mapping[str, Rule]) -> tuple[bytes, str]:
    """The bytes with the fixes of findings, and why that is not what the fixes say; empty where it is."""
    before = read_bytes(content, name)
    mark, encoding = byte_order(content)
    edits = [edit for finding in findings if finding.fix is not None for edit in finding.fix.edits]
    if not before.objects:
        return content, "the file has changed"
    text = applied(before.objects[0].spans, before.text, edits)
    edited = mark + text.encode(encoding)
    after = read_bytes(edited, name)
    if len(after.errors) > len(before.errors):
        return content, "the file could not be read with it"
    return edited, _unexpected(before, after, findings, rules)


def _unexpected(before: ReadFile, after: ReadFile, findings: Sequence[Finding], rules: Mapping[str, Rule]) -> str:
    """What has changed in the objects of a file besides what fixes set; empty where nothing has."""
    # A fix may name the version of an API that is served now: then all else that names the object is as it was.
    versions = any(finding.path == "apiVersion" for finding in findings)
    named = [
        [replace(obj.ref, api_version="") if versions else obj.ref for obj in side.objects] for side in (before, after)
    ]
    if named[0] != named[1]:
        return "the file would have other objects with it"
    expected = [
        (parse_path(path), value) for rule in {f.rule for f in findings} for path, value in rules[rule].fix.items()
    ]
    # What has no fix in its rule's file is mended where it is, beside it, or in the list that it is in.
    repaired = [parse_path(finding.path)[:-1] for finding in findings if not rules[finding.rule].fix]
    for old, new in zip(before.objects, after.objects, strict=True):
        for path, value in _changes(old.value, new.value):
            by_rule = any(path[-len(end) :] == end and value == wanted for end, wanted in expected)
            by_repair = any(
                path[: len(parent)] == parent or (isinstance(value, list) and parent[: len(path)] == path)
                for parent in repaired
            )
            if not by_rule and not by_repair:
                return f"it would change {format_path(path)} of {new.ref}, too"
    return ""


_ABSENT: Any = object()


def _changes(old: Any, new: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """The paths at which a value differs, and what is there now. What is new is told by its leaves."""
    if type(old) is type(new) and old == new:
        return
    if isinstance(new, dict) and (isinstance(old, dict) or old is None or old is _ABSENT):
        was = old if isinstance(old, dict) else {}
        if not new:
            yield path, new
        for key in {**was, **new}:
            yield from _changes(was.get(key, _ABSENT), new.get(key, _ABSENT), (*path, key))
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new) and _holds_mappings(new):
        for number, (was, now) in enumerate(zip(old, new, strict=True)):
            yield from _changes(was, now, (*path, number))
    else:
        yield path, new


def _holds_mappings(values: list[Any]) -> bool:
    return any(isinstance(value, dict) for value in values)


def _still_wrong(name: str, findings: Sequence[Finding], before: Result, after: Result) -> str:
    """Why the fixes of a file did not mend what they were for; empty where they did."""
    counts = [
        Counter(_same(f) for f in result.findings if f.outcome == "fail" and f.location.file == name)
        for result in (before, after)
    ]
    mended = Counter(map(_same, findings))
    if any(counts[1][key] > counts[0][key] - count for key, count in mended.items()):
        return "the finding would still be there"
    errors = [sum(error.file == name for error in result.errors) for result in (before, after)]
    return "the file could not be read with it" if errors[1] > errors[0] else ""


class _Texts:
    """The files of a scan, those that were changed with their new bytes."""

    def __init__(self, discovery: Discovery) -> None:
        self._discovery = discovery
        self._files = {file.name: file for file in discovery.files}
        self._before: dict[str, bytes] = {}
        self._now: dict[str, bytes] = {}

    def __getitem__(self, name: str) -> bytes:
        if name not in self._now:
            file = self._files[name]
            try:
                content = regular_content(file.path) if file.content is None else file.content
            except OSError:
                content = None
            # Gone since it was scanned: without objects no fix applies.
            self._before[name] = self._now[name] = content or b""
        return self._now[name]

    def take(self, contents: Mapping[str, bytes]) -> None:
        self._now.update(contents)

    def discovery(self, trial: Mapping[str, bytes]) -> Discovery:
        """The files, with what is tried now."""
        contents = {**self._now, **trial}
        return replace(self._discovery, files=[_with(file, contents.get(file.name)) for file in self._discovery.files])

    def changed(self) -> dict[str, tuple[bytes, bytes]]:
        return {n: (self._before[n], now) for n, now in sorted(self._now.items()) if now != self._before[n]}


def _with(file: SourceFile, content: bytes | None) -> SourceFile:
    return file if content is None else replace(file, content=content, size=len(content))
