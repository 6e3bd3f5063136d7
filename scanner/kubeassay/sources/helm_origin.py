"""Where a field of what a chart renders to is stated: in a template, or in a values file.

Which template line printed a field is shown by Helm (sources/helm_marks.py). What that line prints is read from it: the
text itself, or an entry of the values, where the line prints nothing else and the entry has the very value. A field of
which that cannot be said is placed at its line in the template all the same, as ``rendering``.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from bisect import bisect_right
from dataclasses import dataclass, replace
from typing import Any, Literal

from kubeassay.model import Location, Object, Path, SourceDocument, SpanTable, Traced
from kubeassay.sources.cache import digest_of
from kubeassay.sources.go_template import Each, Expression, Reference, expression
from kubeassay.sources.helm_changes import Changes, changes_in
from kubeassay.sources.helm_chart import CHART, Chart, ChartFile, chart_of, mapping_in, values_object
from kubeassay.sources.helm_marks import (
    Mark,
    Marked,
    TemplateLines,
    is_template,
    marked_files,
    read_marks,
    template_lines,
    with_archives_open,
)
from kubeassay.sources.helm_run import Piece, file_of, hooks_in, pieces, run_helm
from kubeassay.sources.helm_secrets import template_document
from kubeassay.sources.helm_values import Entry, Values
from kubeassay.sources.manifests import read_bytes
from kubeassay.sources.rendering import RENDERED, HelmDemand, Limits
from kubeassay.sources.tools import Tool
from kubeassay.sources.yaml_reader import astral_of, lines_of

State = Literal["stated", "parent", "rendering"]
#: How often templates are marked anew where Helm does not take the marks.
_MOST_RUNS = 3


@dataclass(frozen=True, slots=True)
class RenderedChart:
    """A chart that was rendered, and by what. ``files``: the chart's, by their paths in it. ``texts``: (template, what
    it printed), as in the output."""

    tool: Tool
    demand: HelmDemand
    limits: Limits
    files: dict[str, ChartFile]
    values: tuple[ChartFile, ...]
    texts: tuple[tuple[str, str], ...]


class HelmTracer:
    """The tracer of one rendered chart (:class:`~kubeassay.model.Tracer`). It renders the chart once more, when it is
    asked first, and keeps the answer in the process."""

    def __init__(self, rendered: RenderedChart) -> None:
        self._rendered = rendered
        self._sheet: _Sheet | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return (HelmTracer, (self._rendered,))

    def trace(self, obj: Object, path: Path, *, key: bool = False) -> Traced:
        """Where a field comes from; see :class:`~kubeassay.model.Tracer`."""
        if self._sheet is None:
            self._sheet = _Sheet(self._rendered)
        return self._sheet.trace(obj, path, key=key)


@dataclass(frozen=True, slots=True)
class _Asked:
    """A field that is asked for, as far as it is there. ``path``: the field, or its nearest parent. ``line``: that of
    the rendered text that it is placed at, from 1; ``number``: that of the text that it is in."""

    obj: Object
    path: Path
    missing: bool
    as_key: bool
    place: Location
    source: str
    line: int
    number: int
    #: The line on which it ends, where it is a text that is asked for; else ``line``.
    last: int


class _Sheet:
    """A rendered chart with what is known of its lines."""

    def __init__(self, rendered: RenderedChart) -> None:
        self.demand = rendered.demand
        self.files = rendered.files
        self.texts = rendered.texts
        self.chart = chart_of(self.files, rendered.limits)
        self.values = Values(self.chart, rendered.values, self.demand)
        opened = with_archives_open(self.files, rendered.limits)
        self.templates = template_lines(opened)
        others = [file for key, file in opened.items() if not is_template(key)]
        self.changes = changes_in(
            (
                self.templates[key].template if key in self.templates else file.document().text
                for key, file in opened.items()
                if is_template(key)
            ),
            (
                *(file.document().text for file in (*others, *rendered.values)),
                self.demand.inline,
                *(text for text, _ in self.demand.parameters),
            ),
        )
        if self.values.uncertain:
            self.changes = Changes(None)
        self.marks = self._marks(rendered, opened)
        self.text = "".join(f"---\n# Source: {source}\n{text}" for source, text in self.texts)
        #: The lines at which the texts begin, from 1, behind their heads.
        self.begins: list[int] = []
        line = 1
        for _, text in self.texts:
            self.begins.append(line + 2)
            line += 2 + text.count("\n")
        self.lines = self.text.split("\n")
        self._documents: dict[str, SourceDocument] = {}
        self.objects = read_bytes(self.text.encode(), f"{self.demand.name}{RENDERED}").objects

    def _marks(self, rendered: RenderedChart, opened: dict[str, ChartFile]) -> dict[int, list[Marked]]:
        """The marks of each text. Where Helm fails with marks, those of named templates are left out, which other
        templates may do anything with."""
        # The same each time, so that the answer can be kept; no file can hold a digest of itself.
        given = [(key, file.content) for key, file in rendered.files.items()]
        given += [(f"values {number}", file.content) for number, file in enumerate(rendered.values)]
        token = f"k{digest_of(given, repr(replace(self.demand, chart='', root=''))):.16}"
        chosen = dict(self.templates)
        for _ in range(_MOST_RUNS):
            marked = marked_files(opened, chosen, token)
            ran, _ = run_helm(rendered.tool, marked, rendered.values, rendered.demand, rendered.limits)
            if ran.failure is None and ran.code == 0:
                return read_marks(self.texts, self._judged(list(pieces(ran.output, self.chart))), list(chosen), token)
            fewer = {key: each for key, each in chosen.items() if not key.rpartition("/")[2].startswith("_")}
            if len(fewer) == len(chosen):
                failed = [key for key in chosen if key.partition("templates/")[2] in ran.said]
                fewer = {key: each for key, each in chosen.items() if key not in failed}
            if ran.failure is not None or len(fewer) == len(chosen):
                break
            chosen = fewer
        return {}

    def _judged(self, printed: list[Piece]) -> list[Piece]:
        """The pieces without those that were left out (hooks): by their templates' counts."""
        return printed if self.demand.hooks else [piece for piece in printed if not hooks_in(piece)]

    # --- one field ---

    def trace(self, obj: Object, path: Path, *, key: bool) -> Traced:
        asked = self._asked(obj, path, key)
        if asked is None:
            return self._at_chart("the chart renders it")
        found = file_of(self.chart, asked.source)
        if found is None:
            return self._at_chart(f"{asked.source} renders it")
        chart, inside, file = found
        if chart.archive is not None:
            return self._packed(asked, chart, inside)
        if inside.startswith("crds/"):
            return self._of_crds(asked, file)
        known = self._known(asked)
        if known is not None:
            traced = self._by_marks(asked, known, chart)
            if traced is not None:
                return traced
        return self._best(asked, chart, f"{chart.folder}{inside}", file)

    def _asked(self, obj: Object, path: Path, key: bool) -> _Asked | None:
        if obj.number >= len(self.objects):
            return None
        mine = self.objects[obj.number]
        if mine.ref != obj.ref:
            return None
        there = path
        while there and mine.value_offsets(there) is None:
            there = there[:-1]
        place = mine.locate(path, key=key)
        number = bisect_right(self.begins, place.start_line) - 1
        if number < 0:
            return None
        value = mine.get(*there)
        as_key = key or there != path or isinstance(value, dict | list)
        span = mine.value_offsets(there)
        if not as_key and span is not None:
            as_key = mine.spans.position(span[0]) != (place.start_line, place.start_column)
        last = place.start_line
        if there == path and not key and isinstance(value, str) and span is not None:
            # What ends a text is the end of its last line.
            last = max(mine.spans.position(max(span[1] - 1, span[0]))[0], last)
        return _Asked(
            mine, there, there != path, as_key, place, self.texts[number][0], place.start_line, number, last
        )  # fmt: skip

    def _known(self, asked: _Asked) -> Marked | None:
        lines = self.marks.get(asked.number)
        at = asked.line - self.begins[asked.number]
        return lines[at] if lines is not None and at < len(lines) else None

    def _by_marks(self, asked: _Asked, known: Marked, chart: Chart) -> Traced | None:
        printed = self.lines[asked.line - 1]
        direct = [mark for mark in dict.fromkeys(known.at) if self._begins(mark, printed)]
        if len(direct) == 1:
            return self._of_line(asked, direct[0], printed, known.same, chart)
        if not direct and known.inside:
            return self._of_block(asked, known.inside[-1], chart)
        return None

    def _begins(self, mark: Mark, printed: str) -> bool:
        """Whether a rendered line begins with what its template line has in front of its first action."""
        prefix = self.templates[mark.file].prefix(mark.line).strip()
        return bool(prefix) and printed.strip().startswith(prefix)

    # --- a line of a template ---

    def _of_line(self, asked: _Asked, mark: Mark, printed: str, same: bool, chart: Chart) -> Traced:
        lines = self.templates[mark.file]
        start, end = lines.line_span(mark.line)
        text = lines.template.text[start:end]
        where = f"{lines.file.name}, line {mark.line}"
        shift = (len(text) - len(text.lstrip())) - (len(printed) - len(printed.lstrip()))
        begin, finish = (self._offset(asked.place, last) + shift for last in (False, True))
        stated = printed.strip() == text.strip() or printed.strip() == text.partition("{{/*")[0].strip()
        prefix = len(lines.prefix(mark.line))
        if asked.last > asked.line and not self._has_lines(asked, mark, shift):
            begin = start + len(text) - len(text.lstrip())
            said = f"the template makes it, from {where} on"
            return self._at_template(lines, begin, start + len(text.rstrip()), "rendering", said)
        # A key behind which an action prints nothing: that it is empty is not stated there.
        nothing = not asked.missing and asked.obj.get(*asked.path) is None and bool(lines.actions_in(start, end))
        if begin >= 0 and (stated or (asked.as_key and not nothing and finish <= prefix)) and finish <= len(text):
            state: State = "parent" if asked.missing else "stated" if same else "rendering"
            said = "the template has the field that it would be in" if asked.missing else "the template states it"
            if state == "rendering":
                said = "the template prints it, not always in the same way"
            return self._at_template(lines, start + begin, start + finish, state, said)
        column = start + len(text) - len(text.lstrip())
        whole = (column, start + len(text.rstrip()))
        if asked.as_key or not same:
            return self._at_template(lines, *whole, "rendering", f"the template prints it at {where}")
        printing = lines.actions_in(start, end)
        value = text[prefix:].strip() if len(printing) == 1 else ""
        if len(printing) == 1 and value.strip("\"'") == text[printing[0].start - start : printing[0].end - start]:
            scope = lines.template.scope(printing[0].start)
            found = expression(printing[0].code, scope)
            if found is not None:
                place = (printing[0].start, printing[0].end)
                traced = self._of_expression(asked, found, mark, chart, lines, place)
                if traced is not None:
                    return traced
        made = self._made_of(lines, printing, mark, chart)
        return self._at_template(lines, *whole, "rendering", f"the template makes it{made}")

    def _has_lines(self, asked: _Asked, mark: Mark, shift: int) -> bool:
        """Whether a template has the very lines of a text that begins on a marked line: behind that line they have no
        marks, and anything may print them."""
        lines = self.templates[mark.file]
        for number in range(1, asked.last - asked.line + 1):
            if mark.line + number > len(lines.starts):
                return False
            start, end = lines.line_span(mark.line + number)
            stated, printed = lines.template.text[start:end], self.lines[asked.line - 1 + number]
            shifted = " " * max(shift, 0) + printed[max(-shift, 0) :]
            if lines.actions_in(start, end) or shifted.rstrip() != stated.rstrip():
                return False
        return True

    def _offset(self, place: Location, last: bool) -> int:
        """How many characters of its rendered line are in front of a place."""
        spans = self.objects[0].spans
        line, column = (place.end_line, place.end_column) if last else (place.start_line, place.start_column)
        return spans.offset(line, column) - spans.line_starts[line - 1]

    def _made_of(self, lines: TemplateLines, printing: list[Any], mark: Mark, chart: Chart) -> str:
        """Of which entries a line makes what it prints, where they are known, as the end of a sentence."""
        parts = []
        for action in printing:
            found = expression(action.code, lines.template.scope(action.start))
            path = None if found is None else self._path(found.reference, lines, mark)
            if path is None:
                continue
            entry = self.values.entry(chart, path[1:]) if path[0] == "Values" and len(path) > 1 else None
            at = "." + ".".join(map(str, path))
            if entry is not None and entry.obj is not None and entry.document is not None:
                at += f" ({entry.document.name}, line {entry.obj.locate(entry.path).start_line})"
            parts.append(at)
        return f" of {' and '.join(dict.fromkeys(parts))}" if parts else ""

    def _of_expression(
        self, asked: _Asked, found: Expression, mark: Mark, chart: Chart, lines: TemplateLines, place: tuple[int, int]
    ) -> Traced | None:
        value = asked.obj.get(*asked.path)
        through = f"{lines.file.name}, line {mark.line}, takes it from there"
        path = self._path(found.reference, lines, mark)
        if path is None or self.changes.touch(path):
            return None
        entry = self._entry(chart, path)
        if entry is None or (found.default is not None and not entry.value and entry.document is not None):
            if isinstance(found.default, str) and entry_is_absent(entry) and _same(value, found.default, found):
                text = lines.template.text
                at = text.find(found.default, place[0], place[1])
                if at != -1 and text.find(found.default, at + 1, place[1]) == -1:
                    said = "the template states it as the default"
                    return self._at_template(lines, at, at + len(found.default), "stated", said)
            if isinstance(found.default, tuple) and found.default[:1] == ("Chart",):
                other = Expression(found.default, None, found.encoded)
                return self._of_expression(asked, other, mark, chart, lines, place)
            return None
        if entry.obj is None or entry.document is None:
            start, end = lines.line_span(mark.line)
            text = lines.template.text[start:end]
            begin = start + len(text) - len(text.lstrip())
            said = f"{entry.said}, which the template prints here"
            return self._at_template(lines, begin, start + len(text.rstrip()), "rendering", said)
        if not _same(value, entry.value, found):
            return None
        return self._at_entry(asked, entry, "stated", through)

    def _entry(self, chart: Chart, path: Path) -> Entry | None:
        if path[0] == "Values" and len(path) > 1:
            return self.values.entry(chart, path[1:])
        if path[0] == "Chart" and len(path) == 2 and CHART in chart.files:
            # Helm spells the fields of Chart.yaml with a capital.
            key = str(path[1])[:1].lower() + str(path[1])[1:]
            stated, _ = mapping_in(chart.files[CHART])
            document, obj = values_object(chart.files[CHART])
            if obj is not None and key in stated and key != "name":
                return Entry(stated[key], (key,), f"{document.name} states it", document, obj)
        return None

    def _path(self, reference: Reference, lines: TemplateLines, mark: Mark) -> Path | None:
        """A reference as a path, with the keys that ranges are at on the marked line."""
        scope = lines.template.scope(lines.line_span(mark.line)[1])
        keys = dict(zip((number for number, _ in scope.ranges), mark.keys, strict=False))
        path: list[str | int] = []
        for step in reference:
            if isinstance(step, Each):
                if step.range not in keys:
                    return None
                try:
                    key = b64decode(keys[step.range]).decode()
                except ValueError:
                    return None
                path.append(key)
            else:
                path.append(step)
        return tuple(path) or None

    # --- what an action prints in lines of its own ---

    def _of_block(self, asked: _Asked, mark: Mark, chart: Chart) -> Traced | None:
        lines = self.templates[mark.file]
        start, end = lines.line_span(mark.line)
        text = lines.template.text[start:end]
        whole = (start + len(text) - len(text.lstrip()), start + len(text.rstrip()))
        printing = [action for action in lines.actions_in(start, end) if action.code]
        found = expression(printing[0].code, lines.template.scope(printing[0].start)) if len(printing) == 1 else None
        if found is not None and not found.encoded:
            path = self._path(found.reference, lines, mark)
            inner = self._inside(asked, mark)
            whole_path = (*(path or ()), *(inner or ()))
            if path is not None and inner is not None and path[0] == "Values" and not self.changes.touch(whole_path):
                entry = self.values.entry(chart, whole_path[1:])
                value = asked.obj.get(*asked.path)
                if entry is not None and entry.obj is None:
                    said = f"{entry.said}, which the template prints here"
                    return self._at_template(lines, *whole, "rendering", said)
                if entry is not None and (
                    isinstance(value, dict | list) and isinstance(entry.value, type(value))
                    if isinstance(value, dict | list)
                    else _same(value, entry.value, found)
                ):
                    through = f"{lines.file.name}, line {mark.line}, prints it with what it is in"
                    return self._at_entry(asked, entry, "parent" if asked.missing else "stated", through)
        return self._at_template(lines, *whole, "rendering", "what the template includes here prints it")

    def _inside(self, asked: _Asked, mark: Mark) -> Path | None:
        """The end of a path that is in what an action printed: from the first key that stands in its lines on."""
        lines = self.marks.get(asked.number)
        if lines is None:
            return None

        def printed(path: Path) -> bool:
            span = asked.obj.key_offsets(path) or asked.obj.value_offsets(path)
            if span is None:
                return False
            at = asked.obj.spans.position(span[0])[0] - self.begins[asked.number]
            return 0 <= at < len(lines) and mark in lines[at].inside

        for size in range(1, len(asked.path) + 1):
            if printed(asked.path[:size]):
                first = asked.path[size - 1]
                if isinstance(first, int):
                    before = asked.path[: size - 1]
                    others = [number for number in range(first + 1) if printed((*before, number))]
                    first -= others[0]
                return (first, *asked.path[size:])
        return None

    # --- files that are no templates ---

    def _of_crds(self, asked: _Asked, file: ChartFile) -> Traced:
        read = read_bytes(file.content, file.name)
        document, _ = values_object(file)
        same = [obj for obj in read.objects if obj.ref == asked.obj.ref and obj.value == asked.obj.value]
        document = type(document)(file.name, read.text, read.had_bom, tuple(read.objects))
        if len(same) == 1:
            at = same[0].locate(asked.path, key=asked.as_key)
            if asked.missing:
                return Traced(at, "parent", "the file has the field that it would be in", document, same[0], asked.path)
            return Traced(at, "stated", "the file states it", document, same[0], asked.path)
        return Traced(Location(file.name, 1, 1, 1, 1), "rendering", "the file has it", document)

    def _packed(self, asked: _Asked, chart: Chart, inside: str) -> Traced:
        """What an archive has no line for: the line that asks for the archive, or an entry of values in the tree."""
        known = self._known(asked)
        traced = self._by_marks(asked, known, chart) if known is not None else None
        if traced is not None and traced.obj is not None:
            return traced
        line = ""
        if traced is not None and traced.location.file == chart.archive_name:
            line = f", line {traced.location.start_line}"
        state: State = "parent" if asked.missing else "rendering"
        said = f"{inside}{line} in {chart.archive_name} prints it"
        for dependency in self.chart.dependencies:
            if chart.keys[:1] == (dependency.alias or dependency.name,):
                document, obj = values_object(dependency.declared)
                if obj is not None:
                    return Traced(obj.locate(dependency.path), state, said, document, obj, dependency.path)
        return self._at_chart(said)

    # --- places ---

    def _at_chart(self, said: str) -> Traced:
        file = self.files[CHART]
        document, obj = values_object(file)
        at = obj.locate(("name",)) if obj is not None else Location(file.name, 1, 1, 1, 1)
        return Traced(Location(file.name, at.start_line, 1, at.start_line, at.end_column), "rendering", said, document)

    def _at_template(self, lines: TemplateLines, start: int, end: int, state: State, said: str) -> Traced:
        text = lines.template.text
        spans = SpanTable(lines.file.name, lines_of("")[:0], lines.starts, astral_of(text))
        return Traced(spans.region(start, end), state, said, self._document(lines.file))

    def _at_entry(self, asked: _Asked, entry: Entry, state: State, said: str) -> Traced:
        assert entry.obj is not None
        assert entry.document is not None
        document, obj, path = entry.document, entry.obj, _as_indexes(entry.obj, entry.path)
        if asked.obj.ref.kind == "Secret":
            # What becomes the value of a Secret is shown nowhere, whatever its key is.
            document, masked = values_object(document, secret=True)
            obj = masked or obj
        return Traced(obj.locate(path, key=asked.as_key), state, said, document, obj, path)

    def _document(self, file: ChartFile) -> SourceDocument:
        if file.name not in self._documents:
            self._documents[file.name] = template_document(file, self.objects)
        return self._documents[file.name]

    def _best(self, asked: _Asked, chart: Chart, key: str, file: ChartFile) -> Traced:
        """The line of a template that alone has the text of the rendered one, or the first line of the template."""
        said = f"{file.name} prints it"
        lines = self.templates.get(key)
        if lines is None:
            return Traced(Location(file.name, 1, 1, 1, 1), "rendering", said, self._document(file))
        texts = lines.template.text.split("\n")
        printed = self.lines[asked.line - 1].strip()
        numbers = [number for number, text in enumerate(texts, 1) if text.strip() == printed]
        if len(numbers) != 1 or not printed:
            name = re.match(r"(?:-\s+)?([\w./-]+:)", printed)
            numbers = (
                [number for number, text in enumerate(texts, 1) if name and text.strip().startswith(name[0])]
                if name is not None
                else []
            )
        line = numbers[0] if len(numbers) == 1 else 1
        if line > len(lines.starts):
            line = 1
        start, end = lines.line_span(line)
        text = lines.template.text[start:end]
        begin = start + len(text) - len(text.lstrip())
        return self._at_template(lines, begin, max(start + len(text.rstrip()), begin), "rendering", said)


def entry_is_absent(entry: Entry | None) -> bool:
    """Whether values state nothing, or what ``default`` takes for nothing."""
    return entry is None or (entry.document is not None and not entry.value)


def _as_indexes(obj: Object, path: Path) -> Path:
    """A path with numbers where lists are."""
    value: Any = obj.value
    found: list[str | int] = []
    for step in path:
        if isinstance(value, list) and isinstance(step, str) and step.isdigit():
            step = int(step)
        value = value[step]
        found.append(step)
    return tuple(found)


def _same(rendered: Any, stated: Any, through: Expression) -> bool:
    """Whether a rendered scalar is a stated one as Go prints it."""
    if isinstance(stated, dict | list) or isinstance(rendered, dict | list) or stated is None:
        return False
    if through.encoded:
        return bool(rendered == b64encode(_printed(stated).encode()).decode())
    if isinstance(rendered, str) or isinstance(stated, str):
        return _printed(rendered) == _printed(stated).strip()
    return bool(rendered == stated) and isinstance(rendered, bool) == isinstance(stated, bool)


def _printed(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e6:
        return str(int(value))
    return str(value)
