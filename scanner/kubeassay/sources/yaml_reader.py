"""Documents of a YAML or JSON text: their values as Kubernetes' clients see them, and the span of every key and value.

PyYAML's C parser (libyaml, from which go-yaml was translated) composes the nodes; values and spans are built from the
nodes in one walk. Its own constructors and resolvers are not used: see :mod:`kubeassay.sources.yaml_values`.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from operator import sub
from typing import Any

import yaml
from yaml.cyaml import CParser

from kubeassay.model import Location, Path, ReadError, SpanTable
from kubeassay.sources.yaml_values import TAG_PREFIX, ScalarError, key_text, resolve_plain, resolve_tagged

#: Nesting beyond this is refused. No Kubernetes schema comes near it, and it keeps every recursion far from its limits.
MAX_DEPTH = 400
#: How many values more than the text has characters may come out of aliases. An alias bomb is refused here.
MAX_ALIASED_VALUES = 100_000

_TOO_DEEP = f"nested deeper than {MAX_DEPTH} levels"
_LINE_END = re.compile(r"\r\n|\n|\r")
_ASTRAL = re.compile("[\U00010000-\U0010ffff]")
_SEPARATOR = re.compile(r"^---(?=[ \t\r\n]|\Z)", re.MULTILINE)
_YAML_DIRECTIVE = re.compile(r"^%YAML[ \t]+(?P<version>\S+)", re.MULTILINE)
_BRACKETS = re.compile(r"[\[\]{}]")
#: A block collection opens at an indentation, or behind one of these on the same line (``- - - a``, ``? ? a``).
_OPENERS = re.compile(r"[-?:][ \t]")


@dataclass(frozen=True, slots=True)
class Document:
    """One document: its root value, the spans, and the keys that were given more than once.

    ``duplicate_keys``: (path of the mapping entry, locations of all its keys in order); the last one holds.
    """

    root: Any
    spans: SpanTable
    duplicate_keys: tuple[tuple[Path, tuple[Location, ...]], ...] = ()
    #: 1-based line at which the document's content begins.
    line: int = 1


@dataclass(slots=True)
class Documents:
    """What a text holds: documents, and an error for each document that could not be read.

    ``unreadable`` are (line, text) of the documents in error, for the caller to see whether they are templates.
    """

    documents: list[Document] = field(default_factory=list)
    errors: list[ReadError] = field(default_factory=list)
    unreadable: list[tuple[int, str]] = field(default_factory=list)


class _Composer(CParser):
    """The C parser's composer, with the implicit tag resolution left to :mod:`yaml_values`."""

    def __init__(self, text: str) -> None:
        super().__init__(text)

    # An untagged node gets its "implicit" flags as its tag: for a scalar the pair (plain, quoted).
    @staticmethod
    def resolve(kind: Any, value: Any, implicit: Any) -> Any:
        return implicit

    @staticmethod
    def descend_resolver(parent: Any, index: Any) -> None:
        return None

    @staticmethod
    def ascend_resolver() -> None:
        return None


class _Refused(ValueError):
    """A document that is well-formed YAML and still not acceptable. Carries the node's character offset."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.offset = offset


def read_text(text: str, file: str) -> Documents:
    """Read all documents of a text (without byte-order mark). Never raises for anything that the text may hold.

    A document that cannot be read costs one error with its line and column; the others are returned.
    """
    line_starts = _line_starts(text)
    astral = _astral_offsets(text)
    found = Documents()
    try:
        found.documents.extend(_compose(text, 0, file, line_starts, astral))
    except (yaml.YAMLError, _Refused, RecursionError) as error:
        # Something in the text is wrong. Documents are separate texts to Kubernetes' clients: read each by itself.
        found.documents.clear()
        starts = sorted({0, *(match.start() for match in _SEPARATOR.finditer(text))})
        if len(starts) == 1:
            _record(found, error, text, 0, file, line_starts, astral)
            return found
        for start, end in zip(starts, [*starts[1:], len(text)], strict=True):
            chunk = text[start:end]
            try:
                found.documents.extend(_compose(chunk, start, file, line_starts, astral))
            except (yaml.YAMLError, _Refused, RecursionError) as chunk_error:
                _record(found, chunk_error, chunk, start, file, line_starts, astral)
    return found


def _record(
    found: Documents,
    error: Exception,
    chunk: str,
    start: int,
    file: str,
    line_starts: array[int],
    astral: array[int],
) -> None:
    spans = SpanTable(file, array("I"), line_starts, astral)
    offset = start
    if isinstance(error, _Refused):
        offset, message = error.offset, str(error)
    elif isinstance(error, RecursionError):
        message = _TOO_DEEP
    elif isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        if mark is not None:
            offset = start + mark.index
        message = error.problem or "not valid YAML"
        if error.context:
            message = f"{message} ({error.context})"
    elif isinstance(error, yaml.reader.ReaderError):
        # The C reader counts bytes for an encoding error, characters otherwise; find the character itself.
        character = error.character
        number = ord(character) if isinstance(character, str) and len(character) == 1 else character
        if isinstance(number, int):
            position = chunk.find(chr(number))
            offset = start + max(position, 0)
        message = f"the character U+{number:04X} is not allowed in YAML" if isinstance(number, int) else error.reason
    else:
        message = "not valid YAML"
    line, column = spans.position(min(offset, start + len(chunk)))
    content = start + len(chunk) - len(chunk.lstrip("-\r\n \t"))
    found.errors.append(ReadError(file=file, line=line, column=column, message=message))
    found.unreadable.append((spans.position(min(content, start + len(chunk)))[0], chunk))


def _line_starts(text: str) -> array[int]:
    starts = array("I", (0,))
    if "\r" in text:
        starts.extend(match.end() for match in _LINE_END.finditer(text))
        return starts
    position = text.find("\n")
    find = text.find
    append = starts.append
    while position != -1:
        position += 1
        append(position)
        position = find("\n", position)
    return starts


def _astral_offsets(text: str) -> array[int]:
    if text.isascii():
        return array("I")
    return array("I", (match.start() for match in _ASTRAL.finditer(text)))


def _compose(
    text: str, offset: int, file: str, line_starts: array[int], astral: array[int]
) -> Iterator[Document]:
    _refuse_directives(text, offset)
    _refuse_depth(text, offset, _longest_line(text, line_starts))
    try:
        nodes = list(_nodes(text))
    except yaml.composer.ComposerError as error:
        if "duplicate anchor" not in str(error.context):
            raise
        nodes = list(_nodes_from_events(text))
    for node in nodes:
        yield _Builder(text, offset, file, line_starts, astral).document(node)


def _nodes(text: str) -> Iterator[Any]:
    parser = _Composer(text)
    try:
        while parser.check_node():
            yield parser.get_node()
    finally:
        parser.dispose()


def _refuse_directives(text: str, offset: int) -> None:
    if "%YAML" not in text:
        return
    for match in _YAML_DIRECTIVE.finditer(text):
        if match["version"] != "1.1":
            raise _Refused("found incompatible YAML document: only %YAML 1.1 is accepted", offset + match.start())


def _longest_line(text: str, line_starts: array[int]) -> int:
    return max(len(text) - line_starts[-1], max(map(sub, line_starts[1:], line_starts), default=0))


def _may_be_deep(text: str, longest_line: int) -> bool:
    """Whether the text could nest beyond the limit: an upper bound that costs next to nothing."""
    if text.count("[") + text.count("{") > MAX_DEPTH:
        depth = 0
        for match in _BRACKETS.finditer(text):
            if match[0] in "[{":
                depth += 1
                if depth > MAX_DEPTH // 2:
                    return True
            elif depth:
                depth -= 1
    # Deep block nesting needs a line that is indented that far, or one that opens many collections at once: either is
    # a long line.
    part = MAX_DEPTH // 4
    if longest_line <= part:
        return False
    return any(
        not line[:part].strip() or len(_OPENERS.findall(line)) > part
        for line in text.splitlines()
        if len(line) > part
    )


def _refuse_depth(text: str, offset: int, longest_line: int) -> None:
    """Refuse nesting that would overflow the C composer's stack, before composing."""
    if not _may_be_deep(text, longest_line):
        return
    # Brackets also stand in strings, and indentation in block scalars: let the event parser, which does not recurse,
    # say how deep it really is.
    depth = 0
    parser = _Composer(text)
    try:
        while parser.check_event():
            event = parser.get_event()
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
                if depth > MAX_DEPTH:
                    raise _Refused(_TOO_DEEP, offset + event.start_mark.index)
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
    finally:
        parser.dispose()


def _nodes_from_events(text: str) -> Iterator[Any]:
    """The root node of each document, composed from events: what the C composer does, but with anchors that may be
    defined again (it refuses them; YAML and Kubernetes' clients let the later definition hold)."""
    parser = _Composer(text)
    try:
        anchors: dict[str, Any] = {}
        stack: list[Any] = []
        while parser.check_event():
            event = parser.get_event()
            if isinstance(event, yaml.DocumentStartEvent):
                anchors = {}
                continue
            node: Any
            if isinstance(event, yaml.AliasEvent):
                if event.anchor not in anchors:
                    raise yaml.composer.ComposerError(None, None, "found undefined alias", event.start_mark)
                node = anchors[event.anchor]
            elif isinstance(event, yaml.ScalarEvent):
                tag = event.implicit if event.tag in (None, "!") else event.tag
                node = yaml.ScalarNode(tag, event.value, event.start_mark, event.end_mark, event.style)
            elif isinstance(event, yaml.MappingStartEvent):
                node = yaml.MappingNode(event.tag, [], event.start_mark, None, event.flow_style)
            elif isinstance(event, yaml.SequenceStartEvent):
                node = yaml.SequenceNode(event.tag, [], event.start_mark, None, event.flow_style)
            elif isinstance(event, yaml.CollectionEndEvent):
                node, pending = stack.pop()
                node.end_mark = event.end_mark
                if not stack:
                    yield node
                continue
            else:
                continue
            if getattr(event, "anchor", None) is not None and not isinstance(event, yaml.AliasEvent):
                anchors[event.anchor] = node
            if stack:
                parent, pending = stack[-1]
                if isinstance(parent, yaml.SequenceNode):
                    parent.value.append(node)
                elif pending:
                    parent.value.append((pending.pop(), node))
                else:
                    pending.append(node)
            if isinstance(event, yaml.CollectionStartEvent):
                stack.append((node, []))
            elif not stack:
                yield node
    finally:
        parser.dispose()


_MISSING = object()
#: The tag that the composer gives an untagged plain scalar: its "implicit" flags.
_PLAIN = (True, False)
_ScalarNode = yaml.ScalarNode
_MappingNode = yaml.MappingNode


def _offsets(nodes: list[Any], shift: int) -> array[int]:
    """The offsets of pairs (key node, value node): see SpanTable."""
    made = array("I")
    pairs = iter(nodes)
    for key, value in zip(pairs, pairs, strict=True):
        start = value.start_mark.index + shift
        if key is value:
            made.extend((start, start, start, value.end_mark.index + shift))
        else:
            made.extend(
                (key.start_mark.index + shift, key.end_mark.index + shift, start, value.end_mark.index + shift)
            )
    return made


class _Builder:
    """Builds the value of one document from its nodes, and notes the nodes in the order of the value tree."""

    __slots__ = ("budget", "duplicates", "nodes", "offset", "plain", "spans")

    def __init__(
        self, text: str, offset: int, file: str, line_starts: array[int], astral: array[int]
    ) -> None:
        self.offset = offset
        #: Pairs (key node, value node) in pre-order; a value without a key stands for both.
        self.nodes: list[Any] = []
        # Not a method of the builder: a reference cycle would keep all nodes alive.
        self.spans = SpanTable(file, partial(_offsets, self.nodes, offset), line_starts, astral)
        self.duplicates: list[tuple[Path, tuple[Location, ...]]] = []
        self.plain: dict[str, Any] = {}
        self.budget = len(text) + MAX_ALIASED_VALUES

    def document(self, node: Any) -> Document:
        self.nodes += (node, node)
        root = self.scalar(node) if node.__class__ is _ScalarNode else self.value(node, (), 1)
        line = self.spans.position(node.start_mark.index + self.offset)[0]
        return Document(root, self.spans, tuple(self.duplicates), line)

    def scalar(self, node: Any) -> Any:
        tag = node.tag
        text: str = node.value
        try:
            if tag.__class__ is tuple:
                return resolve_plain(text) if tag[0] else text
            return resolve_tagged(tag, text)
        except ScalarError as error:
            raise _Refused(str(error), node.start_mark.index + self.offset) from None

    def value(self, node: Any, path: Path, depth: int) -> Any:
        """The value of a collection; its descendants are noted in the order of the value tree."""
        if depth > MAX_DEPTH:
            raise _Refused(f"{_TOO_DEEP}, or an anchor that contains itself", node.start_mark.index + self.offset)
        items = node.value
        self.budget -= len(items)
        if self.budget < 0:
            raise _Refused("aliases expand to too many values", node.start_mark.index + self.offset)
        nodes = self.nodes
        append = nodes.append
        plain = self.plain
        if node.__class__ is not _MappingNode:
            values: list[Any] = []
            for number, child in enumerate(items):
                append(child)
                append(child)
                if child.__class__ is _ScalarNode:
                    values.append(self.scalar(child))
                else:
                    values.append(self.value(child, (*path, number), depth + 1))
            return values
        mapping: dict[str, Any] = {}
        mark = len(nodes)
        for key_node, child in items:
            key: Any = plain.get(key_node.value, _MISSING) if key_node.tag == _PLAIN else _MISSING
            if key.__class__ is not str:
                key = self.key(key_node)
            if key is None or key in mapping:
                # A merge, or a key given twice: rare, and the order of the entries has to be found first.
                del nodes[mark:]
                return self.reordered(node, path, depth)
            append(key_node)
            append(child)
            if child.__class__ is _ScalarNode:
                if child.tag == _PLAIN:
                    text = child.value
                    value = plain.get(text, _MISSING)
                    if value is _MISSING:
                        value = plain[text] = self.scalar(child)
                    mapping[key] = value
                else:
                    mapping[key] = self.scalar(child)
            else:
                mapping[key] = self.value(child, (*path, key), depth + 1)
        return mapping

    def reordered(self, node: Any, path: Path, depth: int) -> dict[str, Any]:
        """The value of a mapping with merges or duplicate keys."""
        mapping: dict[str, Any] = {}
        entries = self.entries(node, path, depth)
        self.budget -= len(entries)
        for key, (key_node, child) in entries.items():
            self.nodes += (key_node, child)
            if child.__class__ is _ScalarNode:
                mapping[key] = self.scalar(child)
            else:
                mapping[key] = self.value(child, (*path, key), depth + 1)
        return mapping

    def key(self, node: Any) -> str | None:
        """The text of a key; None for a merge key. Plain keys are remembered, so that equal ones share one string."""
        if node.__class__ is not _ScalarNode:
            raise _Refused("a mapping key must be a scalar", node.start_mark.index + self.offset)
        tag = node.tag
        if node.value == "<<" and (tag == _PLAIN or tag == TAG_PREFIX + "merge"):
            return None
        scalar = self.scalar(node)
        if tag == _PLAIN:
            self.plain[node.value] = scalar
        try:
            return key_text(scalar)
        except ScalarError as error:
            raise _Refused(str(error), node.start_mark.index + self.offset) from None

    def entries(self, node: Any, path: Path, depth: int) -> dict[str, tuple[Any, Any]]:
        """The entries of a mapping that hold, merges applied: key → (key node, value node).

        A merge sets its keys where it stands: it replaces what was given before it and is replaced by what follows, as
        go-yaml v2 has it.
        """
        entries: dict[str, tuple[Any, Any]] = {}
        own: dict[str, Any] = {}
        for key_node, child in node.value:
            key = self.key(key_node)
            if key is None:
                for merged_key, merged in self.merged(child, path, depth).items():
                    entries.pop(merged_key, None)
                    entries[merged_key] = merged
                continue
            if key in own:
                self.duplicate(path, key, own[key], key_node)
            entries.pop(key, None)
            own[key] = key_node
            entries[key] = (key_node, child)
        return entries

    def merged(self, node: Any, path: Path, depth: int) -> dict[str, tuple[Any, Any]]:
        if depth > MAX_DEPTH:
            raise _Refused("an anchor that contains itself", node.start_mark.index + self.offset)
        self.budget -= 1
        if self.budget < 0:
            raise _Refused("aliases expand to too many values", node.start_mark.index + self.offset)
        if node.__class__ is _MappingNode:
            entries = self.entries(node, path, depth + 1)
            self.budget -= len(entries)
            return entries
        if isinstance(node, yaml.SequenceNode):
            merged: dict[str, tuple[Any, Any]] = {}
            # Earlier members take precedence, so the last one is applied first.
            for member in reversed(node.value):
                if member.__class__ is not _MappingNode:
                    break
                merged.update(self.merged(member, path, depth + 1))
            else:
                return merged
        raise _Refused("<< merges a mapping or a list of mappings", node.start_mark.index + self.offset)

    def duplicate(self, path: Path, key: str, earlier: Any, later: Any) -> None:
        locations = tuple(
            self.spans.region(n.start_mark.index + self.offset, n.end_mark.index + self.offset)
            for n in (earlier, later)
        )
        self.duplicates.append(((*path, key), locations))
