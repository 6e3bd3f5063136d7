"""YAML as people write it into documents: what is valid is read as manifests are, the rest by its indentation.

A block in a document is an illustration, and often no YAML: a list below a value, a colon inside one, a tab. To give up
the block would lose all that it demands, so it is read entry by entry, and every departure is told with its line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from kubeassay.model import ReadError
from kubeassay.model.document import Node, Scalar
from kubeassay.sources.yaml_reader import Document, read_text

#: Entries nested deeper than this in what is no YAML are not read one by one.
_MAX_DEPTH = 20
#: So many problems are told of one block; a text that is nothing like YAML has one a line.
_MAX_PROBLEMS = 50

_KEY = re.compile(
    r"""(?P<key>"[^"]*"|'[^']*'|[^\s\-#'"\[\]{},&*!|>%@`][^#]*?|-[^\s#][^#]*?)\s*:(?:\s+(?P<value>.*?))?\s*\Z"""
)
_ITEM = re.compile(r"-(?:\s+(?P<value>.*?))?\s*\Z")
_COMMENT = re.compile(r"(?:^|\s)#.*\Z")
#: A value that can be meant as a text, and as nothing else of YAML.
_TEXT = re.compile(r"[\w(<>=~+.,/$€£-]")


@dataclass(slots=True)
class Loose:
    """What a text holds, as far as it could be read."""

    nodes: list[Node] = field(default_factory=list)
    problems: list[ReadError] = field(default_factory=list)


def read_loosely(text: str, file: str, first_line: int) -> Loose:
    """Read a block whose first line is line ``first_line`` of a file. Never raises for what the text may hold."""
    return _Reader(file, first_line).read(text)


@dataclass(frozen=True, slots=True)
class _Line:
    number: int
    indent: int
    text: str


class _Reader:
    def __init__(self, file: str, first_line: int) -> None:
        self._file = file
        self._first = first_line
        self._found = Loose()

    def read(self, text: str) -> Loose:
        read = read_text(text, self._file)
        found: list[tuple[int, Node]] = []
        for document in read.documents:
            if document.root is not None:
                node = self._node(document, text, self._first)
                found.append((node.line, node))
        for problem, (line, chunk) in zip(read.errors, read.unreadable, strict=True):
            number = self._first + line - 1
            # The chunk begins with its separator line, if there is one, and blank lines, which ``line`` is behind.
            lead = len(chunk) - len(chunk.lstrip("-\r\n \t"))
            skipped = len(chunk[:lead].splitlines()) - (0 if chunk[:lead].endswith(("\n", "\r")) or not lead else 1)
            lines = _lines(chunk, number - skipped)
            recovered = self._entries(lines, 0)
            self._told(
                self._first + (problem.line or 1) - 1,
                f"not valid YAML: {problem.message}; "
                + ("read entry by entry" if recovered is not None else "nothing of the block is read"),
            )
            if recovered is not None:
                found.append((recovered.line, recovered))
        self._found.nodes = [node for _, node in sorted(found, key=lambda pair: pair[0])]
        self._found.problems.sort(key=lambda problem: problem.line or 0)
        return self._found

    def _told(self, line: int, message: str) -> None:
        if len(self._found.problems) < _MAX_PROBLEMS:
            self._found.problems.append(ReadError(self._file, message, line))
        elif len(self._found.problems) == _MAX_PROBLEMS:
            self._found.problems.append(ReadError(self._file, "more of this block is no YAML, and not told", line))

    # --- what is valid ---

    def _node(self, document: Document, text: str, first_line: int) -> Node:
        for _, places in document.duplicate_keys:
            self._told(
                first_line + places[-1].start_line - 1,
                f"this key stands in line {first_line + places[0].start_line - 1}, too: the last one holds",
            )
        offsets = document.spans.offsets
        position = document.spans.position
        number = 0

        def build(value: object) -> Node:
            nonlocal number
            key_start, key_end, start, end = offsets[4 * number : 4 * number + 4]
            number += 1
            line = first_line + position(key_start if key_end > key_start else start)[0] - 1
            if isinstance(value, dict):
                return Node({key: build(member) for key, member in value.items()}, line)
            if isinstance(value, list):
                return Node(tuple(build(member) for member in value), line)
            assert value is None or isinstance(value, str | int | float | bool)
            written = text[start:end].strip()
            if isinstance(value, str) and "\n" in written and written[0] not in "\"'|>":
                parted = self._parted(written, first_line + position(start)[0] - 1, line)
                if parted is not None:
                    return parted
            return Node(value, line, value if isinstance(value, str) else written)

        return build(document.root)

    def _parted(self, written: str, number: int, line: int) -> Node | None:
        """A plain scalar that goes on in lines that look like a list or a mapping: a text to YAML, and meant as a value
        with more below it."""
        head, _, rest = written.partition("\n")
        below = _lines(rest, number + 1)
        if not below or not (_ITEM.match(below[0].text) or _KEY.match(below[0].text)):
            return None
        # The first line's indentation is not in the scalar.
        self._told(
            number, f"{head} has more below it, which YAML takes for one text: read as a value and what is below"
        )
        return Node(head, line, head, self._entries(below, 1))

    def _valid(self, lines: Sequence[_Line]) -> Node | None:
        """The node of some lines that are valid YAML; None where they are not, or hold nothing."""
        first = min((line.indent for line in lines if line.text), default=0)
        parts: list[str] = []
        number = lines[0].number
        for line in lines:
            parts += [""] * (line.number - number - len(parts))
            parts.append(f"{' ' * (line.indent - first)}{line.text}" if line.text else "")
        text = "\n".join(parts)
        read = read_text(text, self._file)
        if read.errors or len(read.documents) != 1 or read.documents[0].root is None:
            return None
        return self._node(read.documents[0], text, number)

    # --- what is not ---

    def _entries(self, lines: Sequence[_Line], depth: int) -> Node | None:
        lines = [line for line in lines if line.text and not line.text.startswith("#")]
        if not lines:
            return None
        if depth > _MAX_DEPTH:
            self._told(lines[0].number, "nested too deeply for what is not valid YAML: not read")
            return None
        entries: dict[str, Node] = {}
        members: list[Node] = []
        for group in _groups(lines):
            item = _ITEM.match(group[0].text)
            if item is not None:
                member = self._member(group, depth)
                if member is not None:
                    members.append(member)
                continue
            entry = self._entry(group, depth)
            for key, node in entry:
                if key in entries:
                    self._told(node.line, f"this key stands in line {entries[key].line}, too: the last one holds")
                entries[key] = node
        if entries and members:
            self._told(members[0].line, "a list among the keys of a mapping: its items are not read")
        if entries:
            return Node(entries, next(iter(entries.values())).line)
        return Node(tuple(members), members[0].line) if members else None

    def _member(self, group: Sequence[_Line], depth: int) -> Node | None:
        valid = self._valid(group)
        if valid is not None and valid.members:
            return valid.members[0] if len(valid.members) == 1 else valid
        first = group[0]
        content = first.text[1:].lstrip()
        if not content:
            return self._entries(group[1:], depth + 1)
        indent = first.indent + len(first.text) - len(content)
        match, rest = _KEY.match(content), [line for line in group[1:] if line.text]
        if match is not None and match["value"] and rest and all(not _ITEM.match(line.text) for line in rest[:1]):
            # Keys beside the first one, indented by more than it.
            indent = max(indent, min(line.indent for line in rest))
        inner = _Line(first.number, indent, content)
        if len(group) == 1 and _KEY.match(content) is None:
            return self._text(first.number, content)
        return self._entries([inner, *group[1:]], depth + 1)

    def _entry(self, group: Sequence[_Line], depth: int) -> list[tuple[str, Node]]:
        valid = self._valid(group)
        if valid is not None and isinstance(valid.value, dict):
            return list(valid.value.items())
        first = group[0]
        match = _KEY.match(_COMMENT.sub("", first.text))
        if match is None:
            self._told(first.number, "neither a key nor an item of a list: not read")
            return []
        key, value = match["key"].strip("\"'"), match["value"] or ""
        if not value:
            node = self._entries(group[1:], depth + 1)
            return [
                (
                    key,
                    Node(None, first.number) if node is None else Node(node.value, first.number, node.text, node.below),
                )
            ]
        scalar = self._text(first.number, value)
        if scalar is None:
            return []
        if len(group) > 1:
            below = self._entries(group[1:], depth + 1)
            if below is not None:
                self._told(first.number, f"{key} has a value, and more below it, which no YAML has: both are read")
                scalar = Node(scalar.value, scalar.line, scalar.text, below)
        return [(key, scalar)]

    def _text(self, number: int, text: str) -> Node | None:
        """A scalar of one line: what YAML makes of it, or else the text."""
        valid = self._valid([_Line(number, 0, text)])
        if valid is not None and valid.is_scalar:
            return Node(valid.value, number, valid.text)
        if not _TEXT.match(text):
            self._told(number, "a value that is not valid YAML: not read")
            return None
        self._told(number, "a value that is not valid YAML: read as a text")
        plain: Scalar = text
        return Node(plain, number, text)


def _lines(text: str, first_line: int) -> list[_Line]:
    lines: list[_Line] = []
    for number, line in enumerate(re.split(r"\r\n|\n|\r", text), start=first_line):
        stripped = line.strip(" \t")
        if stripped == "---" or stripped == "...":
            continue
        lead = line[: len(line) - len(line.lstrip(" \t"))]
        lines.append(_Line(number, len(lead.expandtabs(8)), stripped.rstrip()))
    return lines


def _groups(lines: Sequence[_Line]) -> Iterator[list[_Line]]:
    """The lines by entry: each with what stands deeper below it. The items of a list may stand below their key without
    being indented."""
    base = lines[0].indent
    group: list[_Line] = []
    for line in lines:
        is_item = _ITEM.match(line.text) is not None
        continues = bool(group) and (
            line.indent > base
            or (line.indent == base and is_item and _ITEM.match(group[0].text) is None and group[0].text.endswith(":"))
        )
        if continues:
            group.append(line)
            continue
        if group:
            yield group
        group = [line]
        # What is indented less than the first line begins a level of its own: nothing above says what it belongs to.
        base = min(base, line.indent)
    if group:
        yield group
