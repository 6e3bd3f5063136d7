"""What YAML scalars and keys mean: the forms in which libraries, and versions of YAML, disagree.

The expectations are those of sigs.k8s.io/yaml v1.6.0; test_yaml_oracle.py compares with the program itself.
"""

from __future__ import annotations

from typing import Any

import pytest

from kubeassay.sources.yaml_reader import read_text
from kubeassay.sources.yaml_values import ScalarError, plain_key, resolve_plain, resolve_tagged

_TAG = "tag:yaml.org,2002:"


def exactly(value: Any) -> tuple[type, Any]:
    """A value with its type: True == 1 == 1.0 in Python, not in Kubernetes."""
    return type(value), value


TRUE = ["y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"]
FALSE = ["n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"]
NULL = ["", "~", "null", "Null", "NULL"]
NUMBERS: list[tuple[str, Any]] = [
    *[("0", 0), ("-0", 0), ("+5", 5), ("12", 12), ("-12", -12)],
    *[("010", 8), ("0o10", 8), ("0O10", 8), ("-010", -8), ("-0o10", -8), ("0_10", 8), ("08", 8), ("09.5", 9.5)],
    *[("0b11", 3), ("0B11", 3), ("-0b11", -3), ("0b-1", -1), ("0x1F", 31), ("0X1f", 31), ("-0x1F", -31)],
    *[("1_000", 1000), ("1_", 1), ("1__0", 10), ("-1_0", -10), ("0x_1", 1), ("1_000.5", 1000.5)],
    *[("1e3", 1000), ("1E3", 1000), ("1e+3", 1000), ("1e-3", 0.001), ("1.e3", 1000), (".5", 0.5), ("-.5", -0.5)],
    *[("1.0", 1), ("1.", 1), ("1.5", 1.5), (".5e3", 500), (".2_001", 0.2001), ("1e20", 10**20), ("1e21", 1e21)],
    ("9223372036854775807", 2**63 - 1),
    ("9223372036854775808", 2**63),
    ("18446744073709551615", 2**64 - 1),
    # Larger ones are floats, which JSON writes with the digits that tell them apart, and zeros.
    ("18446744073709551616", 18446744073709552000),
    ("-9223372036854775808", -(2**63)),
    ("-9223372036854775809", -9223372036854776000),
    ("0xffffffffffffffff", 2**64 - 1),
    ("16777217.0", 16777217),
    ("02000000000000000000000", 2e21),
]
STRINGS = [
    *["yEs", "nO", "tRue", "oN", "nULL", "none", "nil", "=", "<<", "-", "--", "."],
    *["1:30", "190:20:30", "2020-01-01", "2001-12-14t21:59:43.10-05:00", "12:00:00"],
    *["0o8", "0o", "0b2", "0b", "0x", "0xg", "0o-1", "-0b-1", "_1", "._1", ".1_", "+", "+_", "1e", "1e+", "e3"],
    *["1e400", ".1e400", "-1e400", "1.2.3", "0x1.8p1", "inf", "nan", "Infinity", "-.nan", "+.nan"],
    *["0x10000000000000000", "100Mi", "1u", "٣", "１２", "0²"],
]


@pytest.mark.parametrize("text", TRUE)
def test_words_that_are_true(text: str) -> None:
    assert resolve_plain(text) is True


@pytest.mark.parametrize("text", FALSE)
def test_words_that_are_false(text: str) -> None:
    assert resolve_plain(text) is False


@pytest.mark.parametrize("text", NULL)
def test_words_that_are_null(text: str) -> None:
    assert resolve_plain(text) is None


@pytest.mark.parametrize(("text", "number"), NUMBERS)
def test_numbers(text: str, number: float) -> None:
    assert exactly(resolve_plain(text)) == exactly(number)


@pytest.mark.parametrize("text", STRINGS)
def test_what_only_resembles_something_else_is_a_string(text: str) -> None:
    assert resolve_plain(text) == text


@pytest.mark.parametrize("text", [".inf", ".Inf", ".INF", "+.inf", "-.inf", "-.INF", ".nan", ".NaN", ".NAN"])
def test_numbers_that_json_cannot_carry_are_refused(text: str) -> None:
    with pytest.raises(ScalarError):
        resolve_plain(text)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("y", "true"),
        ("Off", "false"),
        ("1", "1"),
        ("0x1F", "31"),
        ("010", "8"),
        ("1_000", "1000"),
        ("1.50", "1.5"),
        ("1e5", "100000"),
        ("1e6", "1e+06"),
        ("1234567.0", "1.234567e+06"),
        ("0.00001", "1e-05"),
        ("16777217.0", "1.6777216e+07"),
        ("3.5e38", ".inf"),
        ("-.Inf", "-.inf"),
        (".NaN", ".nan"),
        ("-0.0", "-0"),
        ("1:30", "1:30"),
        ("hostPID", "hostPID"),
    ],
)
def test_keys_are_strings(text: str, key: str) -> None:
    assert plain_key(text)[0] == key


@pytest.mark.parametrize("text", ["~", "null", "", "9223372036854775808"])
def test_keys_that_are_refused(text: str) -> None:
    with pytest.raises(ScalarError):
        plain_key(text)


@pytest.mark.parametrize(
    ("tag", "text", "value"),
    [
        ("str", "yes", "yes"),
        ("str", "1", "1"),
        ("int", "0x10", 16),
        ("float", "1", 1),
        ("float", "1.5", 1.5),
        ("bool", "y", True),
        ("bool", "off", False),
        ("null", "~", None),
        ("null", "", None),
        ("binary", "dHJ1ZQ==", "true"),
        ("binary", "//4=", "\ufffd\ufffd"),
        ("timestamp", "2020-01-01", "2020-01-01"),
        ("set", "x", "x"),
        ("unknown", "yes", "yes"),
    ],
)
def test_tagged_scalars(tag: str, text: str, value: Any) -> None:
    assert exactly(resolve_tagged(_TAG + tag, text)) == exactly(value)


@pytest.mark.parametrize(
    ("tag", "text"),
    [
        ("int", "x"),
        ("int", "1.5"),
        ("bool", "1"),
        ("null", "x"),
        ("float", "true"),
        ("float", ".inf"),
        ("float", "18446744073709551615"),
        ("binary", "*"),
        ("binary", "dHJ1 ZQ=="),
        ("timestamp", "yesterday"),
        ("timestamp", "1"),
    ],
)
def test_tags_that_a_scalar_does_not_fit_are_refused(tag: str, text: str) -> None:
    with pytest.raises(ScalarError):
        resolve_tagged(_TAG + tag, text)


def test_tags_that_are_not_of_yaml_leave_a_string() -> None:
    assert resolve_tagged("!vault", "yes") == "yes"


DOCUMENTS: list[tuple[str, Any]] = [
    ("a: 'yes'", {"a": "yes"}),
    ('a: "yes"', {"a": "yes"}),
    ("a: ! yes", {"a": "yes"}),
    ("a: &x ! yes", {"a": "yes"}),
    ('a: ! "yes"', {"a": "yes"}),
    ("a: !!str yes", {"a": "yes"}),
    ('a: !!bool "yes"', {"a": True}),
    ("y: 1\n1: 2\n", {"true": 1, "1": 2}),
    ("a: 1\na: 2\n", {"a": 2}),
    ("a: {b: 1}\na: {c: 2}\n", {"a": {"c": 2}}),
    # The value that a later duplicate replaces may hold anything.
    ("a: .inf\na: 2\n", {"a": 2}),
    ("a: {~: 1}\na: 2\n", {"a": 2}),
    ("b: &b {x: 1, y: 2}\na: {<<: *b, x: 3}\n", {"b": {"x": 1, "true": 2}, "a": {"x": 3, "true": 2}}),
    # A merge replaces what stands before it.
    ("b: &b {x: 1}\na: {x: 3, <<: *b}\n", {"b": {"x": 1}, "a": {"x": 1}}),
    ("a:\n  <<: [{x: 1}, {x: 2, z: 2}]\n", {"a": {"x": 1, "z": 2}}),
    ("a: {<<: {<<: {x: 1}, z: 2}}", {"a": {"x": 1, "z": 2}}),
    ('a: {"<<": {x: 1}}', {"a": {"<<": {"x": 1}}}),
    # A value "<<" has no influence on merges that follow.
    ("a: <<\nb:\n  <<: {x: 1}\n", {"a": "<<", "b": {"x": 1}}),
    ("a: &x 1\nb: &x 2\nc: *x\n", {"a": 1, "b": 2, "c": 2}),
    ("? a\n: 1\n", {"a": 1}),
    ("? {a: 1}\n", None),
    ("a: |\n  x\n  y\n", {"a": "x\ny\n"}),
    ("a: |-\n  x\n  y\n\n", {"a": "x\ny"}),
    ("a: |+\n  x\n\n", {"a": "x\n\n"}),
    ("a: >\n  x\n  y\n\n  z\n", {"a": "x y\nz\n"}),
    ("a: |2\n   x\n", {"a": " x\n"}),
    ("a: x\n  y\n\n  z\n", {"a": "x y\nz"}),
    ('a: "x\\\n  y"\n', {"a": "xy"}),
    ('a: "\\x41\\u00e9\\U0001F600\\N\\_"', {"a": "Aé\U0001f600\x85\xa0"}),
    # go-yaml knows this escape, libyaml does not.
    ('a: "it\\\'s"\n', {"a": "it's"}),
    ("a: [x:, z]\n", {"a": ["x:", "z"]}),
    ("{a: 1, b, c: }", {"a": 1, "b": None, "c": None}),
    ("[a, b, ]", ["a", "b"]),
    ('{\t"a":\t1}', {"a": 1}),
    ("a: 1\r\nb: 2\r\n", {"a": 1, "b": 2}),
    ("a: 1\rb: 2\r", {"a": 1, "b": 2}),
    ("a: 1\x85b: 2", {"a": 1, "b": 2}),
    ("%YAML 1.1\n---\na: 1\n", {"a": 1}),
    ("%TAG ! tag:example,2000:\n---\na: !x yes\n", {"a": "yes"}),
    # Of a mark at the start of a line, but not of the document, the key begins with it.
    ("a: 1\n\ufeffb: 2\n", {"a": 1, "\ufeffb": 2}),
]


@pytest.mark.parametrize(("text", "value"), [case for case in DOCUMENTS if case[1] is not None])
def test_documents(text: str, value: Any) -> None:
    read = read_text(text, "test.yaml")
    assert (read.errors, [document.root for document in read.documents]) == ([], [value])


@pytest.mark.parametrize(
    "text",
    [
        "? {a: 1}\n: 2\n",
        "? [a]\n: 2\n",
        "~: 1\n",
        ": 1\n",
        "a: .inf\n",
        "a: [.nan]\n",
        "a: !!int x\n",
        "a: *missing\n",
        "a: &a [*a]\n",
        "a: &a {<<: *a}\n",
        "a: {<<: 1}\n",
        "a: {<<: [1]}\n",
        "a:\n\tb: 1\n",
        "a: [\n",
        "a: 'x\n",
        "a: b: c\n",
        "a: 1\n b: 2\n",
        "a: @x\n",
        "a: \x07\n",
        # libyaml would end the tag at the comma, go-yaml makes the comma a part of the tag.
        "a: [x, !, y]\n",
        "a: {b: !!str, c: d}\n",
    ],
)
def test_documents_that_are_refused(text: str) -> None:
    read = read_text(text, "test.yaml")
    assert not read.documents
    assert read.errors


def test_a_newer_yaml_is_an_error() -> None:
    read = read_text("%YAML 1.2\n---\na: 1\n", "test.yaml")
    assert read.errors
    # The document itself is read, as clients read what a separator delimits.
    assert [document.root for document in read.documents] == [{"a": 1}]


def test_text_that_looks_like_a_directive() -> None:
    read = read_text('a: "x\n%YAML 1.2\n y"\n', "test.yaml")
    assert (read.errors, [document.root for document in read.documents]) == ([], [{"a": "x %YAML 1.2 y"}])


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("a: 1\n---\nb: 2\n", [{"a": 1}, {"b": 2}]),
        ("--- # first\na: 1\n--- # second\nb: 2\n...\n", [{"a": 1}, {"b": 2}]),
        ("---\n---\na: 1\n---\n# nothing\n", [None, {"a": 1}, None]),
        ("a: |\n  ---\n  b\n---\nc: 1\n", [{"a": "---\nb\n"}, {"c": 1}]),
        ("a: &x 1\n---\nb: &x 2\nc: *x\n", [{"a": 1}, {"b": 2, "c": 2}]),
        ('{"a": 1}\n---\n{"b": 2}\n', [{"a": 1}, {"b": 2}]),
        # JSON values need no separator.
        ('{"a": 1}{"b": 2}\n{"c": "\\ud83d\\ude00"}', [{"a": 1}, {"b": 2}, {"c": "\U0001f600"}]),
        ('{"a": 1}\n---\n{"b": "\\ud83d"}', [{"a": 1}, {"b": "\ufffd"}]),
        ('{"a": "\x7f", "' + "k" * 2000 + '": 1}', [{"a": "\x7f", "k" * 2000: 1}]),
    ],
)
def test_several_documents(text: str, values: list[Any]) -> None:
    read = read_text(text, "test.yaml")
    assert (read.errors, [document.root for document in read.documents]) == ([], values)


@pytest.mark.parametrize("broken", ["b: [\n", "b: {{ .Values.x }}\n", "b: .inf\n", "\tb: 1\n", "b: 'x\n"])
def test_a_broken_document_costs_itself_only(broken: str) -> None:
    read = read_text(f"a: 1\n---\n{broken}---\nc: 3\n", "test.yaml")
    assert [document.root for document in read.documents] == [{"a": 1}, {"c": 3}]
    # The place of an error that only the end of the document shows is the line behind it.
    assert {error.line for error in read.errors} <= {3, 4}
    assert read.errors


def test_what_stands_before_the_broken_part_of_a_document_stays() -> None:
    read = read_text("a: 1\n...\nb: [\n", "test.yaml")
    assert [document.root for document in read.documents] == [{"a": 1}]
    assert [error.line for error in read.errors] == [3]


def test_remembered_scalars_do_not_change_what_is_read() -> None:
    texts = ["a: <<\nyes: 1\n1: yes\n", "b: {<<: {x: 1}}\nc: 'yes'\nd: [yes, 1]\n1: 1\n", "yes: yes\n.5: .5\na: a\n"]
    remembered: dict[str, Any] = {}
    for text in [*texts, *texts]:
        alone = read_text(text, "f").documents[0].root
        assert read_text(text, "f", remembered).documents[0].root == alone
