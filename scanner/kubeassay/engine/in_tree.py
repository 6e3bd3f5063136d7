"""Exceptions that stand in what is scanned: annotations and comments.

Each is bound to where it stands: an annotation to its object, or to the pod template that it is on; a comment to what
is found at its line, in the object that the line is in. Nothing that it states widens that.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

from kubeassay.analysis.reading import mapping
from kubeassay.analysis.workloads import pod_templates
from kubeassay.checks.check import Violation
from kubeassay.engine.exceptions import leads
from kubeassay.model import Exception_, Finding, Location, Object, ObjectRef, Origin, Path, SubjectMatch, format_path
from kubeassay.model.place import parse_pattern

if TYPE_CHECKING:
    from kubeassay.policy.exception_imports import Equivalents
    from kubeassay.policy.exceptions import Statement

ANNOTATION = "kubeassay.dev/except"
_COMMENT = re.compile(r"kubeassay:[ \t]*except(?![\w-])")

#: So many exceptions one file may state: to read each costs time.
MOST = 1000
#: Other tools whose exceptions hold → the equals of their checks.
Imports = Mapping[str, "Equivalents"]
_IGNORE_ALL, _IGNORE = "kube-linter.io/ignore-all", "ignore-check.kube-linter.io/"
_SKIP = "checkov.io/skip"
_SKIP_COMMENT = re.compile(r"checkov:skip=(?P<check>[A-Za-z0-9_]+)(?::[ \t]*(?P<reason>.*))?")

TemplatePaths = Mapping[tuple[str, str], tuple[Path, ...]]


@dataclass(frozen=True, slots=True)
class InTree:
    """An exception, and what it is bound to. ``ref``, ``number``: its object, and which of its file that is; ``below``:
    the path that findings have to be in; ``about``: the line that they have to be at. ``path``: where it stands in the
    object. ``problem``: why it means nothing."""

    exception: Exception_
    ref: ObjectRef
    number: int
    location: Location
    path: str = ""
    below: Path = ()
    about: int | None = None
    container: str = ""
    problem: str = ""

    def accepts(self, finding: Finding, obj: Object, violation: Violation) -> bool:
        """Whether it accepts a finding of its rule. Its object is the one that it was looked up for."""
        stated = self.exception.path
        return (
            not self.problem
            and (not self.container or finding.container == self.container)
            and (self.about is None or finding.location.start_line == self.about)
            and violation.path[: len(self.below)] == self.below
            and (not stated or finding.path == stated or leads(parse_pattern(stated), violation.path, obj.value))
        )


def in_tree(
    objects: Sequence[Object],
    text: str | None,
    known_rules: Collection[str],
    template_paths: TemplatePaths,
    imports: Imports,
) -> list[InTree]:
    """The exceptions of one file. ``text`` None: of live objects, which have no comments. ``imports``: the other tools
    whose exceptions hold, too."""
    marks = ("kubeassay", "kube-linter.io", "checkov") if imports else ("kubeassay",)
    if text is not None and not any(mark in text for mark in marks):
        return []
    found = list(islice(_all(objects, text, known_rules, template_paths, imports), MOST + 1))
    if len(found) > MOST:
        found[-1] = replace(found[-1], problem=f"one file has more than {MOST:,}: this one and those behind it")
    return list(_told_apart(found))


def _all(
    objects: Sequence[Object],
    text: str | None,
    known_rules: Collection[str],
    template_paths: TemplatePaths,
    imports: Imports,
) -> Iterator[InTree]:
    for obj in objects:
        yield from _annotations(obj, text, known_rules, template_paths)
    if any(obj.made_of is not None for obj in objects):
        # What comments a tool leaves in its output is chance. Those of the files that it was made of are read there.
        text = None
    if text is not None and objects:
        yield from _comments(objects, text, known_rules)
    for obj in objects if imports else ():
        yield from _annotations_of_tools(obj, imports)
    if text is not None and objects and "checkov" in imports:
        yield from _comments_of_checkov(objects, text, imports["checkov"])


def _told_apart(found: Iterable[InTree]) -> Iterator[InTree]:
    """Those of one line and rule are of several objects, all in one line: findings have to name one."""
    seen: Counter[str] = Counter()
    for one in found:
        name = one.exception.id
        seen[name] += 1
        count = seen[name]
        yield one if count == 1 else replace(one, exception=replace(one.exception, id=f"{name}.{count}"))


def _annotations(
    obj: Object, text: str | None, known_rules: Collection[str], template_paths: TemplatePaths
) -> Iterator[InTree]:
    places: dict[Path, Path] = {}
    if ANNOTATION in mapping(mapping(obj.value.get("metadata")).get("annotations")):
        places[("metadata", "annotations", ANNOTATION)] = ()
    for template in pod_templates(obj, template_paths):
        if ANNOTATION in template.annotations:
            places.setdefault((*template.path, "metadata", "annotations", ANNOTATION), template.path)
    if not places:
        return
    # Imported here, as below: nearly no object has any.
    from kubeassay.policy.exceptions import statement

    for path, below in places.items():
        stated = obj.get(*path)
        lines = [line.strip() for line in stated.splitlines()] if isinstance(stated, str) else [""]
        for line in [line for line in lines if line and not line.startswith("#")] or [""]:
            location = _line_of(line, obj, path, text)
            yield from _stated(statement(line, known_rules), "annotation", obj, location, format_path(path), below)


def _line_of(line: str, obj: Object, path: Path, text: str | None) -> Location:
    """Where a line of an annotation stands; its key, where it is not written as it is read."""
    if obj.made_of is not None:
        return obj.locate(path, key=True)
    span = obj.value_offsets(path)
    start = text.find(line, *span) if text is not None and span is not None and line else -1
    return obj.locate(path, key=True) if start < 0 else obj.spans.region(start, start + len(line))


def _comments(objects: Sequence[Object], text: str, known_rules: Collection[str]) -> Iterator[InTree]:
    from kubeassay.policy.exceptions import statement
    from kubeassay.sources.yaml_comments import comments

    lines = [(*_lines(obj), obj) for obj in objects]
    for comment in comments(text, objects[0].file, _COMMENT):
        said = statement(_COMMENT.sub("", comment.text, count=1), known_rules)
        line = comment.about or 0
        about = [obj for first, last, obj in lines if first <= line <= last]
        problem = ""
        if comment.about is None:
            problem = "no line follows it"
        elif not about:
            problem = f"line {comment.about} is of no object"
        elif len(about) > 1:
            problem = f"line {comment.about} is of {len(about)} objects: annotate the one that is meant"
        obj = about[0] if about else _nearest(lines, comment.location.start_line)
        yield from _stated(said, "comment", obj, comment.location, "", (), comment.about, problem)


def _lines(obj: Object) -> tuple[int, int]:
    """The first and the last line of an object."""
    span = obj.value_offsets(())
    assert span is not None
    start, end = span
    last, column = obj.spans.position(end)
    # A block ends where the next thing begins.
    return obj.spans.position(start)[0], last - 1 if column == 1 and end > start else last


def _nearest(lines: Iterable[tuple[int, int, Object]], line: int) -> Object:
    return min(lines, key=lambda entry: min(abs(entry[0] - line), abs(entry[1] - line)))[2]


def _stated(
    said: Statement,
    origin: Origin,
    obj: Object,
    location: Location,
    path: str,
    below: Path,
    about: int | None = None,
    problem: str = "",
) -> Iterator[InTree]:
    for rule in said.rules or ("",):
        containers = (said.container,) if said.container else ()
        exception = Exception_(
            id=f"{location.file}:{location.start_line}#{rule}",
            rule=rule,
            match=SubjectMatch(containers=containers),
            reason=said.reason,
            path=said.path,
            owner=said.owner,
            expires=said.expires,
            file=location.file,
            line=location.start_line,
            column=location.start_column,
            origin=origin,
            in_tree=True,
        )
        yield InTree(
            exception, obj.ref, obj.number, location, path, below, about, said.container, said.problem or problem
        )


def _annotations_of_tools(obj: Object, imports: Imports) -> Iterator[InTree]:
    annotations = mapping(mapping(obj.value.get("metadata")).get("annotations"))
    for key, value in annotations.items():
        path: Path = ("metadata", "annotations", key)
        stated = value if isinstance(value, str) else ""
        if "kube-linter" in imports and key == _IGNORE_ALL:
            for check in imports["kube-linter"]:
                yield from _for_tool("kube-linter", check, imports, stated, obj, path)
        elif "kube-linter" in imports and key.startswith(_IGNORE):
            yield from _for_tool("kube-linter", key.removeprefix(_IGNORE), imports, stated, obj, path)
        elif "checkov" in imports and _SKIP in key and stated:
            check, _, reason = stated.partition("=")
            yield from _for_tool("checkov", check.strip(), imports, reason, obj, path)


def _for_tool(tool: Origin, check: str, imports: Imports, reason: str, obj: Object, path: Path) -> Iterator[InTree]:
    location = obj.locate(path, key=True)
    yield from _equals(tool, check, imports[tool], reason, obj, location, format_path(path))


def _comments_of_checkov(objects: Sequence[Object], text: str, known: Equivalents) -> Iterator[InTree]:
    """They are about the object that they stand in."""
    from kubeassay.sources.yaml_comments import comments

    lines = [(*_lines(obj), obj) for obj in objects]
    for comment in comments(text, objects[0].file, _SKIP_COMMENT):
        match = _SKIP_COMMENT.match(comment.text)
        line = comment.location.start_line
        about = [obj for first, last, obj in lines if first <= line <= last]
        if match is not None and len(about) == 1:
            reason = (match["reason"] or "").strip().strip('"')
            yield from _equals("checkov", match["check"], known, reason, about[0], comment.location, "")


def _equals(
    tool: Origin, check: str, known: Equivalents, reason: str, obj: Object, location: Location, path: str
) -> Iterator[InTree]:
    from kubeassay.policy.exception_imports import Equal, no_equal

    for number, equal in enumerate(known.get(check) or (Equal(""),), 1):
        said = reason.strip() or f"accepted for {tool}, as {check}"
        exception = Exception_(
            id=f"{location.file}:{location.start_line}#{check}" + (f".{number}" if number > 1 else ""),
            rule=equal.rule,
            match=SubjectMatch(),
            reason=said if equal.rule else no_equal(check, tool),
            path=equal.path,
            file=location.file,
            line=location.start_line,
            column=location.start_column,
            origin=tool,
            in_tree=True,
        )
        yield InTree(exception, obj.ref, obj.number, location, path)
