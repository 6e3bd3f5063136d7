"""Positions: the text that a span covers is what was read, and lines and columns are those that an editor shows."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from kubeassay.model import Location, Path
from kubeassay.sources.manifests import read_bytes
from kubeassay.sources.yaml_reader import Document, read_text
from sources.yaml_texts import Texts

# --- the naive computation ---


def naive_position(text: str, offset: int) -> tuple[int, int]:
    """Line and column of a character: line ends are LF, CRLF and CR, columns count UTF-16 units, both from 1."""
    before = text[:offset]
    if before.endswith("\r") and text[offset : offset + 1] == "\n":
        # Between the two characters of one line end.
        lines = re.split(r"\r\n|\n|\r", before[:-1])
        lines[-1] += "\r"
    else:
        lines = re.split(r"\r\n|\n|\r", before)
    return len(lines), len(lines[-1].encode("utf-16-le")) // 2 + 1


def paths(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every path of a value."""
    yield path, value
    if isinstance(value, dict):
        for key, child in value.items():
            yield from paths(child, (*path, key))
    elif isinstance(value, list):
        for number, child in enumerate(value):
            yield from paths(child, (*path, number))


def reread(text: str, start: int, end: int) -> Any:
    """The value of a part of a text, read again. Its first line is padded to its column: indentation is meaning."""
    line_start = max(text.rfind("\n", 0, start), text.rfind("\r", 0, start)) + 1
    part = " " * (start - line_start) + text[start:end]
    read = read_text(part, "part.yaml")
    if read.errors and part.lstrip()[:1] in "|>":
        # A block scalar at the root of a document has no parent to be indented against.
        read = read_text("x:" + part[1:] if part[0] == " " else "x: " + part, "part.yaml")
        assert not read.errors, (part, read.errors)
        return read.documents[0].root["x"]
    assert not read.errors, (part, read.errors)
    return read.documents[0].root if read.documents else None


def same(one: Any, other: Any) -> bool:
    return json.dumps(one) == json.dumps(other)


def check_document(text: str, document: Document) -> None:
    """Every span of a document, where no aliases are."""
    root, spans = document.root, document.spans
    for path, value in paths(root):
        span = spans.value_span(root, path)
        assert span is not None
        start, end = span
        assert 0 <= start <= end <= len(text)
        if start < end:
            assert same(reread(text, start, end), value), (path, text[start:end])
        else:
            assert value is None or value == "", (path, value)
        for offset in span:
            assert spans.position(offset) == naive_position(text, offset), (path, offset)
        key_span = spans.key_span(root, path)
        if path and isinstance(path[-1], str):
            assert key_span is not None
            key_start, key_end = key_span
            key = reread(text, key_start, key_end)
            assert json.dumps(key).strip('"') == json.dumps(path[-1]).strip('"') or str(key) == path[-1]
            assert spans.position(key_start) == naive_position(text, key_start)
            assert key_end <= start or start == end
        else:
            assert key_span is None
        for by_key in (False, True):
            check_location(text, spans.locate(root, path, key=by_key))


def check_location(text: str, location: Location) -> None:
    """A location lies inside the text, on one line, and is not reversed."""
    lines = re.split(r"\r\n|\n|\r", text)
    assert 1 <= location.start_line <= len(lines)
    assert location.end_line == location.start_line
    width = len(lines[location.start_line - 1].encode("utf-16-le")) // 2
    assert 1 <= location.start_column <= location.end_column <= width + 2


# --- random values, written in random styles ---

_CHARACTERS = st.characters(
    exclude_categories=("Cs", "Cc", "Cn"), exclude_characters="\ufeff\ufffe\uffff\x85\u2028\u2029"
)
_TEXT = st.one_of(
    st.sampled_from(
        [
            "",
            "yes",
            "1",
            "~",
            " a",
            "a ",
            "a: b",
            "# c",
            "- x",
            "{x",
            "[",
            "*x",
            "&x",
            "!x",
            "%x",
            "|",
            ">",
            "'",
            '"',
            "---",
            "...",
            "=",
            "<<",
            "x:",
            ":x",
            "?",
        ]
    ),
    st.text(_CHARACTERS, max_size=12),
    st.text(st.sampled_from("ab \n\U0001f600é"), max_size=16),
    st.lists(st.text(st.sampled_from("ab \U0001f680"), min_size=1, max_size=30), min_size=2, max_size=4).map("\n".join),
)
_SCALARS = st.one_of(
    _TEXT,
    st.integers(-(2**63), 2**63 - 1),
    st.booleans(),
    st.none(),
    st.floats(-1e6, 1e6).filter(lambda f: f == 0 or abs(f) > 1e-4),
)
_VALUES = st.recursive(
    _SCALARS,
    lambda children: (
        st.lists(children, max_size=4) | st.dictionaries(_TEXT.filter(lambda t: len(t) < 60), children, max_size=4)
    ),
    max_leaves=15,
)


class _Dumper(yaml.SafeDumper):
    """Never aliases, and quotes what our reader would not read as a string."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _string(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    read = read_text(f"a: {text}", "t") if re.fullmatch(r"[A-Za-z0-9_.+~<=-]*", text) else None
    plain_differs = read is not None and (not read.documents or read.documents[0].root != {"a": text})
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"' if plain_differs else None)


_Dumper.add_representer(str, _string)


@st.composite
def written(draw: st.DrawFn) -> str:
    """A value as YAML text, in a random style."""
    value = draw(_VALUES)
    text: str = yaml.dump(
        value,
        Dumper=_Dumper,
        default_flow_style=draw(st.sampled_from([True, False, None])),
        default_style=draw(st.sampled_from([None, None, "'", '"'])) if draw(st.booleans()) else None,
        indent=draw(st.integers(2, 6)),
        width=draw(st.sampled_from([10, 40, 10_000])),
        allow_unicode=draw(st.booleans()),
        explicit_start=draw(st.booleans()),
        sort_keys=False,
    )
    if draw(st.booleans()):
        text = "# \U0001f600 before\n" + text
    return text


@settings(max_examples=400, deadline=None)
@given(text=written(), line_end=st.sampled_from(["\n", "\r\n", "\r"]))
def test_spans_of_what_pyyaml_writes(text: str, line_end: str) -> None:
    text = text.replace("\n", line_end)
    read = read_text(text, "test.yaml")
    assert not read.errors, read.errors
    for document in read.documents:
        check_document(text, document)


@settings(max_examples=200, deadline=None)
@given(value=_VALUES, indent=st.sampled_from([None, 0, 2, 4]), ascii_only=st.booleans())
def test_spans_of_json(value: Any, indent: int | None, ascii_only: bool) -> None:
    text = json.dumps({"value": value}, indent=indent, ensure_ascii=ascii_only)
    read = read_text(text, "test.json")
    assert not read.errors, read.errors
    (document,) = read.documents
    assert same(document.root, read_text(json.dumps({"value": value}), "t").documents[0].root)
    root, spans = document.root, document.spans
    for path, found in paths(root):
        span = spans.value_span(root, path)
        assert span is not None
        assert same(read_text('{"x":' + text[slice(*span)] + "}", "part").documents[0].root["x"], found)
        key_span = spans.key_span(root, path)
        if key_span is not None:
            assert json.loads(text[slice(*key_span)]) == path[-1]
        for offset in span:
            assert spans.position(offset) == naive_position(text, offset)


@settings(max_examples=150, deadline=None)
@given(parts=st.lists(written(), min_size=2, max_size=4), seed=st.integers(0, 99))
def test_spans_of_several_documents(parts: list[str], seed: int) -> None:
    """Positions are of the file, also where one document is broken and the others are read one by one."""
    chooser = random.Random(seed)
    documents = [part.removeprefix("--- ").removeprefix("---\n") for part in parts]
    documents = [part for part in documents if not part.startswith("---")]
    if chooser.random() < 0.5:
        documents.insert(chooser.randint(0, len(documents)), "broken: [\n")
    text = "".join(f"--- # {chooser.choice(['one', '😀', ''])}\n{part}" for part in documents)
    read = read_text(text, "test.yaml")
    for document in read.documents:
        check_document(text, document)
    assert len(read.documents) + len(read.errors) >= len(documents)


# --- by hand ---


def located(text: str, path: Path, *, key: bool = False) -> tuple[str, Location]:
    """The text that a finding about a path points at, and where."""
    read = read_text(text, "test.yaml")
    assert not read.errors, read.errors
    document = read.documents[-1]
    location = document.spans.locate(document.root, path, key=key)
    lines = re.split(r"\r\n|\n|\r", text)
    line = lines[location.start_line - 1].encode("utf-16-le")
    assert location.start_line == location.end_line
    return line[2 * (location.start_column - 1) : 2 * (location.end_column - 1)].decode("utf-16-le"), location


@pytest.mark.parametrize(
    ("text", "path", "found", "line", "column"),
    [
        ("a: yes\n", ("a",), "yes", 1, 4),
        ("a:\n  b: [x, yes]\n", ("a", "b", 1), "yes", 2, 10),
        ("a: {b: {c: on}}\n", ("a", "b", "c"), "on", 1, 12),
        ('{"a" : {"b" : true}}', ("a", "b"), "true", 1, 15),
        ("- a: 1\n  b: 2\n", (0, "b"), "2", 2, 6),
        # Of a mapping or a list its key; of a list item its first key, or the item itself.
        ("a:\n  b: 1\n", ("a",), "a", 1, 1),
        ("a: [1]\n", ("a",), "a", 1, 1),
        ("a:\n  - b: 1\n", ("a", 0), "b", 2, 5),
        ("a:\n  - - b: 1\n", ("a", 0), "b", 2, 7),
        ("- {}\n", (0,), "{}", 1, 3),
        ("- []\n", (0,), "[]", 1, 3),
        # Of a value of several lines its key.
        ("a: |\n  x\n  y\n", ("a",), "a", 1, 1),
        ("a:\n  x\n  y\n", ("a",), "a", 1, 1),
        ('k: "x\n  y"\n', ("k",), "k", 1, 1),
        ("- |\n  x\n", (0,), "|", 1, 3),
        # A value on one line below its key.
        ("a:\n  yes\n", ("a",), "yes", 2, 3),
        ("a: !!bool yes\n", ("a",), "!!bool yes", 1, 4),
        ("a: &x yes\n", ("a",), "&x yes", 1, 4),
        # Nothing to point at but the key.
        ("a:\nb: 1\n", ("a",), "a", 1, 1),
        ("a: {}\n", ("a",), "a", 1, 1),
        ("{a, b}", ("b",), "b", 1, 5),
        # Missing: the nearest parent.
        ("a:\n  b: 1\n", ("a", "c"), "a", 1, 1),
        ("a:\n  b: 1\n", ("a", "c", "d", 0), "a", 1, 1),
        ("a:\n  b: 1\n", ("c",), "a", 1, 1),
        ("a: 1\n", ("a", "b"), "a", 1, 1),
        ("a:\n  - b: 1\n", ("a", 0, "c"), "b", 2, 5),
        ("a:\n  - b: 1\n", ("a", 7, "c"), "a", 1, 1),
        # Aliases and merges: where the value is written.
        ("a: &x\n  b: yes\nc: *x\n", ("c", "b"), "yes", 2, 6),
        ("a: &x yes\nc: *x\n", ("c",), "&x yes", 1, 4),
        ("a: &x {p: yes}\nc:\n  <<: *x\n  q: 1\n", ("c", "p"), "yes", 1, 11),
        ("a: &x {p: yes}\nc:\n  <<: *x\n  p: no\n", ("c", "p"), "no", 4, 6),
        ("a: &x {p: yes}\nc:\n  p: no\n  <<: *x\n", ("c", "p"), "yes", 1, 11),
        ("c:\n  <<: [{p: yes}, {p: no, q: 1}]\n", ("c", "p"), "yes", 2, 12),
        ("c:\n  <<: [{p: yes}, {p: no, q: 1}]\n", ("c", "q"), "1", 2, 29),
        # Duplicate keys: the last.
        ("a: 1\na: 2\n", ("a",), "2", 2, 4),
        ("a: {b: 1}\nz: 0\na: {b: 2}\n", ("a", "b"), "2", 3, 8),
        ("a: 1\nb: 2\na: 3\n", ("b",), "2", 2, 4),
        ("a: .inf\na: 2\nb: yes\n", ("b",), "yes", 3, 4),
        ("a: {x: .inf, y: 1}\na: 2\nb: {c: yes}\n", ("b", "c"), "yes", 3, 8),
        # Line ends, and characters of two units.
        ("# c\r\na: 1\r\nb: yes\r\n", ("b",), "yes", 3, 4),
        ("a: 1\rb: yes\r", ("b",), "yes", 2, 4),
        ("{\U0001f600: \U0001f680, b: yes}", ("b",), "yes", 1, 13),
        ("é: ü # \U0001f600\nb: yes\n", ("b",), "yes", 2, 4),
        # libyaml counts a line at these, editors do not.
        ("a: 'x\x85\u2028'\nb: yes\n", ("b",), "yes", 2, 4),
        # Several documents, and explicit keys.
        ("a: 1\n---\nb: yes\n", ("b",), "yes", 3, 4),
        ("a: 1\n--- {b: yes}\n", ("b",), "yes", 2, 9),
        ("? a\n: yes\n", ("a",), "yes", 2, 3),
        ("? |\n  k\n: [x]\n", ("k\n",), "|", 1, 3),
        # Texts that are mended before they are read keep their positions.
        ("a: [x:, y:, {b: on}]\n", ("a", 2, "b"), "on", 1, 17),
        ('a: "it\\\'s"\nb: yes\n', ("b",), "yes", 2, 4),
        ('{"a": "\\ud83d\\ude00"}\n{"b": true}', ("b",), "true", 2, 7),
    ],
)
def test_where_findings_point(text: str, path: Path, found: str, line: int, column: int) -> None:
    text_found, location = located(text, path)
    assert (text_found, location.start_line, location.start_column) == (found, line, column)


@pytest.mark.parametrize(
    ("text", "path", "found", "line"),
    [
        ("a:\n  b: yes\n", ("a", "b"), "b", 2),
        ("a: [x, yes]\n", ("a", 1), "yes", 1),
        ("a: &x {p: yes}\nc:\n  <<: *x\n", ("c", "p"), "p", 1),
    ],
)
def test_where_findings_about_keys_point(text: str, path: Path, found: str, line: int) -> None:
    text_found, location = located(text, path, key=True)
    assert (text_found, location.start_line) == (found, line)


def test_a_byte_order_mark_moves_nothing() -> None:
    plain = read_bytes(b"a: 1\nb: yes\n", "f.yaml")
    for encoding in ("utf-8-sig", "utf-16", "utf-32"):
        marked = read_bytes("kind: A\napiVersion: b\n\U0001f600: {c: yes}\n".encode(encoding), "f.yaml")
        assert marked.had_bom
        (found,) = marked.objects
        location = found.locate(("\U0001f600", "c"))
        assert (location.start_line, location.start_column, location.end_column) == (3, 9, 12)
    assert not plain.had_bom


def test_members_of_lists_have_their_own_places() -> None:
    text = (
        "apiVersion: v1\nkind: List\nitems:\n"
        "  - {apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {x: 1, x: 2}}\n"
        "  - apiVersion: v1\n    kind: List\n    items:\n"
        "      - {apiVersion: v1, kind: ConfigMap, metadata: {name: b}, data: {z: 1, z: 2}}\n"
    )
    read = read_bytes(text.encode(), "f.yaml")
    assert {(o.ref.name, o.locate(("metadata", "name")).start_line) for o in read.objects} == {("a", 4), ("b", 8)}
    duplicates = {
        (o.ref.name, path, tuple(place.start_line for place in places))
        for o in read.objects
        for path, places in o.duplicate_keys
    }
    assert duplicates == {("a", ("data", "x"), (4, 4)), ("b", ("data", "z"), (8, 8))}


def test_duplicate_keys_name_both_places() -> None:
    (document,) = read_text("a: 1\nb:\n  c: 1\n  c: 2\na: 3\n", "f").documents
    assert {
        (path, tuple((place.start_line, place.start_column) for place in places))
        for path, places in document.duplicate_keys
    } == {(("a",), ((1, 1), (5, 1))), (("b", "c"), ((3, 3), (4, 3)))}


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ("a: 1\nb: @x\n", 2, 4),
        ("\U0001f600: @x\n", 1, 5),
        ("a: 1\r\nb: .inf\r\n", 2, 4),
        ("a: 1\n---\nb: 2\n---\nc: !!int x\n", 5, 4),
        ("a: \x07\n", 1, 4),
        ("# é\na: \x07\n", 2, 4),
        ("a: 1\n---\n\U0001f600: \x00\n", 3, 5),
    ],
)
def test_where_errors_point(text: str, line: int, column: int) -> None:
    assert {(error.line, error.column) for error in read_text(text, "f").errors} == {(line, column)}


@pytest.mark.parametrize(
    ("content", "line", "column"),
    [
        (b"a: \xff\n", 1, 4),
        (b"\xef\xbb\xbfa: 1\nb: \xff\n", 2, 4),
        ("é: 1\n".encode() + b"\xc3", 2, 1),
        ("é".encode() * 3 + b"\xff", 1, 4),
        (b"\xff\xfea\x00\n\x00b", 2, 1),
    ],
)
def test_where_bytes_that_are_no_text_are(content: bytes, line: int, column: int) -> None:
    read = read_bytes(content, "f.yaml")
    assert {(error.line, error.column) for error in read.errors} == {(line, column)}
    assert not read.objects


# --- anything at all ---


def check_anything(content: bytes, name: str) -> None:
    """Whatever a file holds: no exception, and every location can be told."""
    read = read_bytes(content, name)
    assert read.objects or read.errors or read.skipped
    for found in read.objects:
        for path, _ in paths(found.value):
            assert found.locate(path).file == name
    for error in read.errors:
        assert error.line is not None
        assert error.line >= 1
        assert error.column is not None
        assert error.column >= 1


@settings(max_examples=300, deadline=None)
@given(
    content=st.binary(max_size=60),
    mark=st.sampled_from([b"", b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff", b"\xff\xfe\0\0"]),
)
def test_any_bytes(content: bytes, mark: bytes) -> None:
    check_anything(mark + content, "f.yaml")
    check_anything(mark + content, "f.json")


@pytest.mark.parametrize("seed", range(4))
def test_any_fragments(seed: int) -> None:
    made = Texts(5000 + seed)
    head = "apiVersion: v1\nkind: ConfigMap\n"
    for _ in range(700):
        text = made.text().encode("utf-8", "replace")
        check_anything(text, "f.yaml")
        check_anything(head.encode() + text + b"\n---\n" + text, "f.yaml")
        check_anything(b'{"apiVersion": "v1", "kind": ' + text, "f.json")


@pytest.mark.parametrize("seed", range(4))
def test_positions_of_any_fragments(seed: int) -> None:
    """Positions in odd texts too: other line ends, marks, tags, anchors, merges."""
    made = Texts(9000 + seed)
    for _ in range(700):
        text = made.document()
        for document in read_text(text, "f").documents:
            for path, _ in paths(document.root):
                for span in (
                    document.spans.value_span(document.root, path),
                    document.spans.key_span(document.root, path),
                ):
                    if span is not None:
                        assert 0 <= span[0] <= span[1] <= len(text)
                        for offset in span:
                            assert document.spans.position(offset) == naive_position(text, offset)
                assert text_at(text, document.spans.locate(document.root, path)) is not None


def text_at(text: str, location: Location) -> str:
    """The text of a location, by lines and UTF-16 columns alone."""
    lines = re.split(r"\r\n|\n|\r", text)
    assert location.start_line == location.end_line <= len(lines)
    line = lines[location.start_line - 1].encode("utf-16-le")
    return line[2 * (location.start_column - 1) : 2 * (location.end_column - 1)].decode("utf-16-le")


def test_a_tab_in_the_indentation_is_called_one() -> None:
    (error,) = read_text("a:\n\tb: 1\n", "a.yaml").errors
    assert (error.line, error.column, error.message) == (2, 1, "a tab where YAML allows none: indent with spaces")
