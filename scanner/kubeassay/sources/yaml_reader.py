"""Documents of a YAML or JSON text: their values as Kubernetes' clients see them, and the span of every key and value.

PyYAML's C parser (libyaml, from which go-yaml was translated) composes the nodes; values and spans are built from the
nodes in one walk. Its own constructors and resolvers are not used: see :mod:`kubeassay.sources.yaml_values`.
"""

from __future__ import annotations

import operator
import re
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any

import yaml
from yaml._yaml import CParser

from kubeassay.model import Location, Path, ReadError, SpanTable
from kubeassay.sources.json_nodes import JsonError, json_nodes
from kubeassay.sources.yaml_values import TAG_PREFIX, ScalarError, plain_key, resolve_plain, resolve_tagged, tagged_key

#: Nesting beyond this is refused. No Kubernetes schema comes near it, and it keeps every recursion far from its limits.
MAX_DEPTH = 400
#: How many values more than the text has characters may come out of aliases. An alias bomb is refused here.
MAX_ALIASED_VALUES = 100_000

#: How many documents a text may hold. Each costs about a thousand bytes of memory, and four of text.
MAX_DOCUMENTS = 100_000

_TOO_DEEP = f"nested deeper than {MAX_DEPTH} levels"
_LINE_END = re.compile(r"\r\n|\n|\r")
_ASTRAL = re.compile("[\U00010000-\U0010ffff]")
_SEPARATOR = re.compile(r"^---(?=[ \t\r\n]|\Z)", re.MULTILINE)
_YAML_DIRECTIVE = re.compile(r"^%YAML[ \t]", re.MULTILINE)
#: The non-specific tag, and where one, or a tag in front of a comma, may stand; then how both look at a node's start.
_BARE_TAG = "!"
_ODD_TAGS = re.compile(r"(?:^|[\s\[{,:?-])!(?:\s|\Z|(?:[^\s,<!]*!)?[^\s,<!]*,)")
_PROPERTIES = re.compile(r"(?:&[^\s,\[\]{}]+\s+)?!(?:(?P<bare>\s|\Z)|[^\s,<]*(?P<comma>,))?")
#: A byte order mark at the start of a line.
_INNER_BOM = re.compile("(?<=[\n\r\x85\u2028\u2029])\ufeff")
_PRIVATE_USE = [chr(number) for number in range(0xE000, 0xE200)]
#: How often a text is mended and read again, and how long it may be for that.
_MAX_MENDS = 50
_MAX_MENDED_SIZE = 2**18
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

    # An untagged scalar gets True as its tag when it is plain, False when it is quoted (``implicit`` is the pair of
    # flags of the scalar event); an untagged collection gets None.
    @staticmethod
    def resolve(kind: Any, value: Any, implicit: Any) -> Any:
        return None if value is None else implicit[0]

    # Called around every node, for path resolvers, of which there are none. Two of the cheapest callables that take
    # the arguments: a Python function here costs a tenth of the whole reading.
    descend_resolver = operator.is_
    ascend_resolver = tuple


class _RefusedError(ValueError):
    """A document that is well-formed YAML and still not acceptable. Carries the node's character offset."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.offset = offset


#: What plain scalars were resolved to: most words of a manifest stand in every other one.
PlainScalars = dict[str, Any]
_MAX_REMEMBERED = 100_000


def read_text(text: str, file: str, remembered: PlainScalars | None = None) -> Documents:
    """Read all documents of a text (without byte-order mark). Never raises for anything that the text may hold.

    ``remembered``, passed to every call of a run, saves resolving the same plain scalars again.

    A document that cannot be read costs one error with its line and column; the others are returned.
    """
    line_starts = lines_of(text)
    astral = astral_of(text)
    found = Documents()
    plain: PlainScalars = {} if remembered is None else remembered
    if len(plain) > _MAX_REMEMBERED:
        plain.clear()
    try:
        found.documents.extend(_compose(text, 0, file, line_starts, astral, plain, _longest_line(text, line_starts)))
    except (yaml.YAMLError, _RefusedError, RecursionError) as error:
        # Something in the text is wrong. Documents are separate texts to Kubernetes' clients: read each by itself.
        documents = _json_documents(text, 0, file, line_starts, astral, plain)
        if documents:
            found.documents = documents
            return found
        starts = sorted({0, *(match.start() for match in _SEPARATOR.finditer(text))})
        if len(starts) == 1 or len(starts) > MAX_DOCUMENTS:
            _record(found, error, text, 0, file, line_starts, astral)
            return found
        found.documents.clear()
        for start, end in zip(starts, [*starts[1:], len(text)], strict=True):
            chunk = text[start:end]
            read: list[Document] = []
            try:
                # What was read of a chunk before its error stays.
                longest = max(map(len, chunk.splitlines()), default=0)
                for document in _compose(chunk, start, file, line_starts, astral, plain, longest):
                    read.append(document)
            except (yaml.YAMLError, _RefusedError, RecursionError) as chunk_error:
                documents = _json_documents(chunk, start, file, line_starts, astral, plain)
                if documents:
                    read = documents
                else:
                    _record(found, chunk_error, chunk, start, file, line_starts, astral)
            found.documents += read
    return found


def _json_documents(
    text: str, offset: int, file: str, line_starts: array[int], astral: array[int], plain: PlainScalars
) -> list[Document]:
    """The documents of a text that is JSON and not YAML; none where it is not JSON or begins with no object."""
    if not text.removeprefix("---").lstrip(" \t\r\n").startswith("{"):
        return []
    text = " " * 3 + text[3:] if text.startswith("---") else text
    try:
        return [
            _Builder(text, offset, file, line_starts, astral, plain).document(node)
            for node in json_nodes(text, MAX_DEPTH)
        ]
    except (JsonError, _RefusedError):
        return []


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
    if isinstance(error, _RefusedError):
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
        if chunk[offset - start : offset - start + 1] == "\t":
            message = "a tab where YAML allows none: indent with spaces"
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


def lines_of(text: str) -> array[int]:
    """The offsets at which the lines of a text begin."""
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


def astral_of(text: str) -> array[int]:
    """The offsets of the characters beyond the Basic Multilingual Plane."""
    if text.isascii():
        return array("I")
    return array("I", (match.start() for match in _ASTRAL.finditer(text)))


def _compose(
    text: str,
    offset: int,
    file: str,
    line_starts: array[int],
    astral: array[int],
    plain: PlainScalars,
    longest_line: int,
) -> Iterator[Document]:
    """The documents of a text, up to the first that cannot be read."""
    refused = _refused_directive(text)
    if refused is not None:
        text = text[:refused]
    _refuse_depth(text, offset, longest_line)
    mended = _Mended(text)
    nodes = _nodes
    read = 0
    while True:
        try:
            for node in islice(nodes(mended), read, None):
                if read == MAX_DOCUMENTS:
                    raise _RefusedError(f"more than {MAX_DOCUMENTS:,} documents", node.start_mark.index + offset)
                yield _Builder(text, offset, file, line_starts, astral, plain).document(node)
                read += 1
            break
        except yaml.composer.ComposerError as error:
            if "duplicate anchor" not in str(error.context) or nodes is _nodes_from_events:
                raise
            nodes = _nodes_from_events
        except yaml.scanner.ScannerError as error:
            if not mended.mend(error):
                raise
    if refused is not None:
        raise _RefusedError("found incompatible YAML document: only %YAML 1.1 is accepted", offset + refused)


class _Mended:
    """A text in which what go-yaml reads and libyaml does not is written in characters that both read.

    The text keeps its length, so offsets hold. :meth:`finish` puts the meaning back into the nodes.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        #: Stand-in → what it stands for.
        self.table: dict[int, str] = {}
        self._stand_ins: dict[str, str] = {}
        self._mends = 0
        if "\ufeff" in text:
            # libyaml skips the mark at the start of any line, go-yaml has it as a character.
            self.text = _INNER_BOM.sub(self._inner_mark, text)
        self._odd_tags = "!" in text and _ODD_TAGS.search(text) is not None

    def _inner_mark(self, match: re.Match[str]) -> str:
        line = self.text.rfind("\n", 0, match.start() - 1) + 1
        # At the start of a document go-yaml skips it, too.
        return match[0] if _SEPARATOR.match(self.text, line) else self._stand_in("\ufeff")

    def _stand_in(self, meaning: str) -> str:
        if meaning not in self._stand_ins:
            used = set(self.text).union(self._stand_ins.values())
            character = next((c for c in _PRIVATE_USE if c not in used), None)
            if character is None:
                raise _RefusedError("too many characters of the private use area", 0)
            self._stand_ins[meaning] = character
            self.table[ord(character)] = meaning
        return self._stand_ins[meaning]

    def _replace(self, offset: int, meaning: str) -> None:
        self.text = self.text[:offset] + self._stand_in(meaning) + self.text[offset + 1 :]

    def mend(self, error: yaml.scanner.ScannerError) -> bool:
        """Mend the cause of an error. False where it has to stand."""
        mark: Any = error.problem_mark
        if mark is None or self._mends >= _MAX_MENDS or len(self.text) > _MAX_MENDED_SIZE:
            return False
        self._mends += 1
        if error.problem == "found unexpected ':'":
            # [a:] has the item "a:".
            self._replace(mark.index, ":")
            return True
        if error.problem == "found unknown escape character" and self.text[mark.index : mark.index + 2] == "\\'":
            self._replace(mark.index, "")
            return True
        return False

    def finish(self, root: Any) -> Any:
        """The root node of a document, with the meaning of what was mended, and the tag ``!`` where it stands."""
        if not (self.table or self._odd_tags):
            return root
        seen: set[int] = set()
        stack = [root]
        while stack:
            node = stack.pop()
            if id(node) in seen:
                continue
            seen.add(id(node))
            if node.__class__ is not _ScalarNode:
                stack.extend(chain.from_iterable(node.value) if node.__class__ is _MappingNode else node.value)
                continue
            if self._odd_tags:
                self._tag(node)
            if self.table:
                node.value = node.value.translate(self.table)
        return root

    def _tag(self, node: Any) -> None:
        match = _PROPERTIES.match(self.text, node.start_mark.index)
        if match is None:
            return
        if match["comma"] and not node.value:
            # libyaml ends the tag at the comma, go-yaml makes the comma a part of it.
            raise yaml.scanner.ScannerError(None, None, "a tag followed by a comma is ambiguous", node.start_mark)
        if match["bare"] is not None and node.tag is True:
            # A string; the parser reports it as untagged.
            node.tag = _BARE_TAG


def _nodes(mended: _Mended) -> Iterator[Any]:
    parser = _Composer(mended.text)
    try:
        while parser.check_node():
            yield mended.finish(parser.get_node())
    finally:
        parser.dispose()


def _refused_directive(text: str) -> int | None:
    """The offset of the first document with a directive that Kubernetes' clients refuse."""
    if "%YAML" not in text or _YAML_DIRECTIVE.search(text) is None:
        return None
    parser = _Composer(text)
    try:
        while parser.check_event():
            event: Any = parser.get_event()
            if isinstance(event, yaml.DocumentStartEvent) and event.version not in (None, (1, 1)):
                mark: Any = event.start_mark
                return int(mark.index)
    except yaml.YAMLError:
        pass  # the same error comes again, with its place, when the documents are read
    finally:
        parser.dispose()
    return None


def _longest_line(text: str, line_starts: array[int]) -> int:
    return max(len(text) - line_starts[-1], max(map(operator.sub, line_starts[1:], line_starts), default=0))


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
        not line[:part].strip() or len(_OPENERS.findall(line)) > part for line in text.splitlines() if len(line) > part
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
            event: Any = parser.get_event()
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
                if depth > MAX_DEPTH:
                    mark: Any = event.start_mark
                    raise _RefusedError(_TOO_DEEP, offset + mark.index)
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
    finally:
        parser.dispose()


def _nodes_from_events(mended: _Mended) -> Iterator[Any]:
    """The root node of each document, composed from events: what the C composer does, but with anchors that may be
    defined again (it refuses them; YAML and Kubernetes' clients let the later definition hold)."""
    parser = _Composer(mended.text)
    try:
        anchors: dict[str, Any] = {}
        stack: list[Any] = []
        while parser.check_event():
            event: Any = parser.get_event()
            if isinstance(event, yaml.DocumentStartEvent):
                anchors = {}
                continue
            node: Any
            if isinstance(event, yaml.AliasEvent):
                if event.anchor not in anchors:
                    mark: Any = event.start_mark
                    raise yaml.composer.ComposerError(None, None, "found undefined alias", mark)
                node = anchors[event.anchor]
            elif isinstance(event, yaml.ScalarEvent):
                tag = event.implicit[0] if event.tag is None else event.tag
                node = _ScalarNode(tag, event.value, event.start_mark, event.end_mark, event.style)
            elif isinstance(event, yaml.MappingStartEvent):
                node = _MappingNode(event.tag, [], event.start_mark, None, event.flow_style)
            elif isinstance(event, yaml.SequenceStartEvent):
                node = _SequenceNode(event.tag, [], event.start_mark, None, event.flow_style)
            elif isinstance(event, yaml.CollectionEndEvent):
                node, pending = stack.pop()
                node.end_mark = event.end_mark
                if not stack:
                    yield mended.finish(node)
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
                yield mended.finish(node)
    finally:
        parser.dispose()


_MISSING = object()
_ScalarNode: Any = yaml.ScalarNode
_MappingNode: Any = yaml.MappingNode
_SequenceNode: Any = yaml.SequenceNode


class _NodeOffsets:
    """The offsets of pairs (key node, value node): see SpanTable."""

    __slots__ = ("_nodes", "_shift")

    def __init__(self, nodes: list[Any], shift: int) -> None:
        self._nodes = nodes
        self._shift = shift

    def at(self, number: int) -> tuple[int, int, int, int]:
        key, value = self._nodes[2 * number : 2 * number + 2]
        shift = self._shift
        start = value.start_mark.index + shift
        end = value.end_mark.index + shift
        if key is value:
            return start, start, start, end
        return key.start_mark.index + shift, key.end_mark.index + shift, start, end

    def all(self) -> array[int]:
        return array("I", chain.from_iterable(map(self.at, range(len(self._nodes) // 2))))


class _Builder:
    """Builds the value of one document from its nodes, and notes the nodes in the order of the value tree."""

    __slots__ = ("budget", "careful", "duplicates", "nodes", "offset", "plain", "size", "spans")

    def __init__(
        self, text: str, offset: int, file: str, line_starts: array[int], astral: array[int], plain: PlainScalars
    ) -> None:
        self.offset = offset
        #: Pairs (key node, value node) in pre-order; a value without a key stands for both.
        self.nodes: list[Any] = []
        # Not a method of the builder: a reference cycle would keep all nodes alive.
        self.spans = SpanTable(file, _NodeOffsets(self.nodes, offset), line_starts, astral)
        self.duplicates: list[tuple[Path, tuple[Location, ...]]] = []
        self.plain = plain
        self.size = len(text)
        self.budget = self.size + MAX_ALIASED_VALUES
        #: Look for duplicate keys before any value is built.
        self.careful = False

    def document(self, node: Any) -> Document:
        self.nodes += (node, node)
        try:
            root = self.scalar(node) if node.__class__ is _ScalarNode else self.value(node, (), 1)
        except _RefusedError:
            # A later duplicate of a key may replace the value that is refused.
            del self.nodes[2:]
            self.duplicates.clear()
            self.careful = True
            self.budget = self.size + MAX_ALIASED_VALUES
            root = self.scalar(node) if node.__class__ is _ScalarNode else self.value(node, (), 1)
        line = self.spans.position(node.start_mark.index + self.offset)[0]
        return Document(root, self.spans, tuple(self.duplicates), line)

    def scalar(self, node: Any) -> Any:
        tag = node.tag
        text: str = node.value
        try:
            if tag is True:
                return resolve_plain(text)
            return text if tag is False else resolve_tagged(tag, text)
        except ScalarError as error:
            raise _RefusedError(str(error), node.start_mark.index + self.offset) from None

    def value(self, node: Any, path: Path, depth: int) -> Any:
        """The value of a collection; its descendants are noted in the order of the value tree."""
        if depth > MAX_DEPTH:
            raise _RefusedError(f"{_TOO_DEEP}, or an anchor that contains itself", node.start_mark.index + self.offset)
        items = node.value
        self.budget -= len(items)
        if self.budget < 0:
            raise _RefusedError("aliases expand to too many values", node.start_mark.index + self.offset)
        nodes = self.nodes
        append = nodes.append
        plain = self.plain
        if node.__class__ is not _MappingNode:
            values: list[Any] = []
            for number, child in enumerate(items):
                append(child)
                append(child)
                if child.__class__ is _ScalarNode:
                    values.append(child.value if child.tag is False else self.scalar(child))
                else:
                    values.append(self.value(child, (*path, number), depth + 1))
            return values
        if self.careful:
            return self.reordered(node, path, depth)
        mapping: dict[str, Any] = {}
        mark = len(nodes)
        for key_node, child in items:
            key: Any = plain.get(key_node.value, _MISSING) if key_node.tag is True else _MISSING
            if key.__class__ is not str:
                key = self.key(key_node)
            if key is None or key in mapping:
                # A merge, or a key given twice: rare, and the order of the entries has to be found first.
                del nodes[mark:]
                return self.reordered(node, path, depth)
            append(key_node)
            append(child)
            if child.__class__ is _ScalarNode:
                if child.tag is True:
                    text = child.value
                    value = plain.get(text, _MISSING)
                    if value is _MISSING:
                        value = self.scalar(child)
                        if text != "<<":  # which is a merge where it is a key
                            plain[text] = value
                    mapping[key] = value
                else:
                    mapping[key] = child.value if child.tag is False else self.scalar(child)
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
            raise _RefusedError("a mapping key must be a scalar", node.start_mark.index + self.offset)
        tag, text = node.tag, node.value
        if text == "<<" and tag in (True, _BARE_TAG, TAG_PREFIX + "merge"):
            return None
        try:
            if tag is not True:
                return text if tag is False else tagged_key(tag, text)
            key, is_string = plain_key(text)
            if is_string:
                self.plain[text] = key
            return key
        except ScalarError as error:
            raise _RefusedError(str(error), node.start_mark.index + self.offset) from None

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
            raise _RefusedError("an anchor that contains itself", node.start_mark.index + self.offset)
        self.budget -= 1
        if self.budget < 0:
            raise _RefusedError("aliases expand to too many values", node.start_mark.index + self.offset)
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
        raise _RefusedError("<< merges a mapping or a list of mappings", node.start_mark.index + self.offset)

    def duplicate(self, path: Path, key: str, earlier: Any, later: Any) -> None:
        locations = tuple(
            self.spans.region(n.start_mark.index + self.offset, n.end_mark.index + self.offset)
            for n in (earlier, later)
        )
        self.duplicates.append(((*path, key), locations))
