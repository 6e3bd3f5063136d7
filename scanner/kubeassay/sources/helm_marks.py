"""Which line of which template printed each line of what a chart renders to, as Helm itself shows it.

The templates get a comment at the end of their lines that says which line it is, and the chart is rendered again. Where
the text without these comments is what it was before, they are right, whatever the templates do: a line of a named
template shows its own number wherever it is included. Where it is not, the line counts as unknown.

A mark is `` #<token><kind><file>.<line>(.<key>)*;``. Its kinds: ``e`` at the end of a line; ``b`` in front of an action
that prints lines of its own (``toYaml … | nindent``), which end at the ``e`` of the same line. Keys are those that the
ranges around it are at, in base64.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from kubeassay.sources.go_template import Action, Template, TemplateTextError, given_to
from kubeassay.sources.helm_chart import Chart, ChartFile, unpacked
from kubeassay.sources.helm_run import Piece
from kubeassay.sources.rendering import Limits
from kubeassay.sources.yaml_reader import lines_of

#: A line that YAML takes a comment behind: a key, or an item of a list.
_LINE = re.compile(
    r"[ \t]*(?:-[ \t]+)*(?:(?:\"[^\"\n]*\"|'[^'\n]*'|[^\s#{}\[\]&*!|>'\"%@`,?:-][^#\n]*?|-[^\s#][^#\n]*?):(?:[ \t]|\Z)"
    r"|[^\s#{}\[\]&*!|>%@`,?:])|[ \t]*-(?:[ \t]|\Z)"
)
#: The dashes in front of an item, and the key of an entry.
_DASHES = re.compile(r"[ \t]*(?:-[ \t]+)*")
_KEY = re.compile(r"(?:\"[^\"\n]*\"|'[^'\n]*'|[^\s#{}\[\]&*!|>'\"%@`,][^#\n]*?):(?=[ \t]|\Z)[ \t]*")
_PRINTS_LINES = re.compile(r"\b(?:nindent|indent|toYaml|tpl|include|template)\b")
_NINDENT = re.compile(r"\bnindent\b")
_OPENS = re.compile(r"(?:if|with|range|define|block)\b")
_ENDS = re.compile(r"end\b")
_CONTROL = re.compile(r"(?:if|with|range|define|block|else|end|break|continue)\b|\$\w+\s*:?=|\Z")


@dataclass(frozen=True, slots=True)
class Mark:
    """A line of a template. ``file``: its key in the chart's files. ``keys``: what each range around is at."""

    file: str
    line: int
    keys: tuple[str, ...]


@dataclass(slots=True)
class Marked:
    """The marks of one rendered line: ``at`` its end, and ``inside`` which action's output it is, outermost first.
    ``same``: whether the line is what it was without marks."""

    text: str
    at: list[Mark]
    inside: list[Mark]
    same: bool = True


class TemplateLines:
    """A template with its lines."""

    def __init__(self, file: ChartFile, template: Template) -> None:
        self.file = file
        self.template = template
        self.starts = lines_of(template.text)

    def line_span(self, line: int) -> tuple[int, int]:
        """The offsets of a line, without its end."""
        start = self.starts[line - 1]
        end = self.starts[line] if line < len(self.starts) else len(self.template.text)
        return start, start + len(self.template.text[start:end].rstrip("\r\n"))

    def line_at(self, offset: int) -> int:
        return bisect_right(self.starts, offset)

    def actions_in(self, start: int, end: int) -> list[Action]:
        actions = self.template.actions
        first = bisect_right(actions, start, key=lambda action: action.end)
        last = bisect_right(actions, end - 1, key=lambda action: action.start)
        return actions[first:last]

    def prefix(self, line: int) -> str:
        """What stands on a line in front of its first action; empty where an action of an earlier line ends there."""
        start, end = self.line_span(line)
        actions = self.actions_in(start, end)
        if actions and actions[0].start < start:
            return ""
        return self.template.text[start : actions[0].start if actions else end]


def is_template(key: str) -> bool:
    """Whether a file of a chart, by its path, is a template that may print objects."""
    return re.match(r"(?:charts/[^/]+/)*templates/", key) is not None and not key.endswith("/NOTES.txt")


def with_archives_open(files: Mapping[str, ChartFile], limits: Limits) -> dict[str, ChartFile]:
    """The files with sub-charts in folders where they are in archives, so that their templates can be marked. Their
    keys are what :func:`~kubeassay.sources.helm_chart.chart_of` makes of them: ``charts/db-1.0.tgz/templates/…``."""
    opened: dict[str, ChartFile] = {}
    for key, file in files.items():
        if re.fullmatch(r"(?:charts/[^/]+/)*charts/[^/._][^/]*\.tgz", key):
            inner = with_archives_open(unpacked(file, limits.bytes), limits)
            opened.update((f"{key}/{name}", each) for name, each in inner.items() if name != ".helmignore")
        else:
            opened[key] = file
    return opened


def template_lines(files: Mapping[str, ChartFile]) -> dict[str, TemplateLines]:
    """The templates among files that can be understood."""
    texts = {key: file.document().text for key, file in files.items() if is_template(key)}
    given = given_to(texts.values())
    found = {}
    for key, text in texts.items():
        try:
            found[key] = TemplateLines(files[key], Template(text, given))
        except TemplateTextError:
            # Helm will have refused it, or it is no template.
            continue
    return found


def folder_key(key: str) -> str:
    """The path of a file of an opened archive: a folder may not be named as an archive is."""
    return re.sub(r"(?<=\.tgz)(?=/)", "-opened", key)


def marked_files(
    files: Mapping[str, ChartFile], templates: Mapping[str, TemplateLines], token: str
) -> dict[str, ChartFile]:
    """The files with marks in some templates, which are numbered in their order."""
    numbers = {key: number for number, key in enumerate(templates)}
    made = {}
    for key, file in files.items():
        if key in numbers:
            file = replace(file, content=_marked_text(templates[key], numbers[key], token).encode())
        made[folder_key(key)] = file
    return made


def _marked_text(lines: TemplateLines, number: int, token: str) -> str:
    template, text = lines.template, lines.template.text
    inserts: list[tuple[int, int, str]] = [(each.at, 0, each.insert) for each in template.ranges if each.insert]

    def mark(kind: str, line: int, at: int, scope_at: int) -> None:
        keys = "".join(f".{{{{ {key} | toString | b64enc }}}}" for _, key in template.scope(scope_at).ranges)
        order = 1 if kind == "e" else 2
        inserts.append((at, order, f" #{token}{kind}{number}.{line}{keys};"))

    continued = _continued(lines)
    for line in range(1, len(lines.starts) + 1):
        if line in continued:
            continue
        start, end = lines.line_span(line)
        end = start + len(text[start:end].rstrip())
        actions = lines.actions_in(start, end)
        if end == start or (actions and (actions[-1].end > end or actions[0].start < start)):
            continue
        if actions and actions[-1].end == end and actions[-1].trims_right:
            continue
        depths = [0]
        for action in actions:
            depths.append(depths[-1] + bool(_OPENS.match(action.code)) - bool(_ENDS.match(action.code)))
        if depths[-1] != 0 or min(depths) < 0:
            continue
        prints = [action for action in actions if not _CONTROL.match(action.code)]
        prefix = text[start : actions[0].start if actions else end]
        if prefix.strip():
            if _LINE.match(prefix) is None:
                continue
            if prints and _NINDENT.search(prints[0].code) and prints[0] is actions[0]:
                mark("b", line, start + len(prefix.rstrip()), actions[0].start)
        elif len(prints) == 1 and len(actions) == 1 and _PRINTS_LINES.search(prints[0].code):
            before = len(text[: prints[0].start].rstrip())
            index = bisect_left(template.actions, prints[0].start, key=lambda action: action.start)
            previous = template.actions[index - 1] if index else None
            if previous is not None and previous.end >= before and previous.trims_right:
                continue
            mark("b", line, max(before, previous.end if previous else 0), prints[0].start)
        else:
            continue
        mark("e", line, end, end)
    parts: list[str] = []
    position = 0
    for at, _, insert in sorted(inserts, key=lambda each: each[:2]):
        parts += (text[position:at], insert)
        position = at
    return "".join((*parts, text[position:]))


def _continued(lines: TemplateLines) -> set[int]:
    """The lines of a text that goes on on the next line without ``|`` or ``>``: a comment there would end it."""
    found: set[int] = set()
    # The line that a text may begin on, behind which column its next lines stand, and whether it is one of lines.
    first, depth, of_lines = 0, -1, False
    for line in range(1, len(lines.starts) + 1):
        start, end = lines.line_span(line)
        text = lines.template.text[start:end]
        words = text.strip()
        if not words:
            continue
        if first and len(text) - len(text.lstrip()) > depth and not words.startswith("{{"):
            if not of_lines:
                found.update((first, line))
            continue
        if first and of_lines and words.startswith("{{"):
            # An action in a text of lines, wherever it stands.
            continue
        first = 0
        if (begins := _begins_text(text)) is not None:
            first, (depth, of_lines) = line, begins
    return found


def _begins_text(line: str) -> tuple[int, bool] | None:
    """Whether a text that is not in quotes begins on a line: behind which column its next lines stand, and whether it
    has lines of its own (``|``, ``>``)."""
    dashes = _DASHES.match(line)
    inner = dashes.end() if dashes is not None else 0
    key = _KEY.match(line, inner)
    value = line[inner if key is None else key.end() :].strip()
    dash = line.rfind("-", 0, inner)
    if not value or value[0] in "{[&#\"'" or (key is None and dash == -1):
        return None
    return (inner if key is not None else dash), value[0] in "|>"


# --- reading them again ---


def read_marks(
    before: Sequence[tuple[str, str]], after: Sequence[Piece], keys: Sequence[str], token: str
) -> dict[int, list[Marked]]:
    """What the lines of rendered texts came from. ``before``: (template, text) without marks, ``after`` with them,
    ``keys``: the templates by their numbers. Number of a text → its lines; one whose lines are others is missing."""
    pattern = re.compile(rf" ?#{token}([be])(\d+)\.(\d+)((?:\.[A-Za-z0-9+/=]*)*);")
    texts: dict[str, list[list[Marked]]] = {}
    for piece in after:
        lines = _read_text(piece.content.decode("utf-8", "replace"), pattern, keys)
        if any(line.text.strip() for line in lines):
            texts.setdefault(piece.source, []).append(lines)
    found: dict[int, list[Marked]] = {}
    by_source: dict[str, list[tuple[int, str]]] = {}
    for number, (source, text) in enumerate(before):
        if text.strip():
            by_source.setdefault(source, []).append((number, text))
    for source, unmarked in by_source.items():
        marked = texts.get(source, [])
        if len(marked) != len(unmarked):
            continue
        for (number, text), lines in zip(unmarked, marked, strict=True):
            plain = text.split("\n")
            # Helm cuts what is blank at the end, but not where a mark stands in it.
            while plain and not plain[-1].strip():
                plain.pop()
            while lines and not lines[-1].text.strip():
                lines.pop()
            if len(plain) != len(lines):
                continue
            for line, expected in zip(lines, plain, strict=True):
                line.same = line.text == expected
            found[number] = lines
    return found


def _read_text(text: str, pattern: re.Pattern[str], keys: Sequence[str]) -> list[Marked]:
    lines: list[Marked] = []
    open_marks: list[tuple[Mark, int]] = []
    for raw in text.rstrip("\n").split("\n"):
        plain, marks = [], []
        position = 0
        for match in pattern.finditer(raw):
            plain.append(raw[position : match.start()])
            position = match.end()
            marks.append((match[1], Mark(keys[int(match[2])], int(match[3]), tuple(match[4].split(".")[1:]))))
        plain.append(raw[position:])
        line = Marked("".join(plain), [mark for _, mark in marks], [mark for mark, _ in open_marks])
        if not line.text.strip() and not lines:
            # Only the mark of what follows, where a document begins.
            open_marks += ((mark, 0) for kind, mark in marks if kind == "b")
            continue
        lines.append(line)
        for kind, mark in marks:
            if kind == "b":
                open_marks.append((mark, len(lines)))
            elif any(opened == mark for opened, _ in open_marks):
                while open_marks.pop()[0] != mark:
                    pass
    return lines


def chart_keys(chart: Chart) -> dict[str, Chart]:
    """The chart of each folder of files: of several aliases of one, any."""
    return {each.folder: each for each in chart.walk()}
