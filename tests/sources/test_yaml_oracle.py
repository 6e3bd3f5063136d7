"""Our reading against sigs.k8s.io/yaml, on texts by hand, at random, and the project's own manifests.

Where that parser reads a text we read the same; where it refuses one, so do we. The exceptions are listed below, each
with its reason. Needs Go and the module (from the module cache or a proxy); skipped without.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kit import answered, go_program
from kubeassay.sources.yaml_reader import Documents, read_text
from sources.test_yaml_values import DOCUMENTS, FALSE, NULL, NUMBERS, STRINGS, TRUE
from sources.yaml_texts import TAGS, WORDS, Texts

_MODULE = Path(__file__).parent.parent / "oracle_yaml"
_FIXTURES = Path(__file__).parents[2] / "fixtures"

#: What the parser answers: {"json": value} or {"error": message}.
Answer = dict[str, Any]
Oracle = Callable[[Iterable[str]], list[Answer]]


@pytest.fixture(scope="session")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> Oracle:
    """Asks the program of tests/oracle_yaml."""
    program = go_program("oracle_yaml", ".", tmp_path_factory.mktemp("oracle"))

    def ask(texts: Iterable[str]) -> list[Answer]:
        return answered(program, ({"text": text} for text in texts))

    return ask


def differences(texts: list[str], answers: list[Answer]) -> Iterator[str]:
    """The texts that are read otherwise, with both readings, exceptions left out."""
    for text, answer in zip(texts, answers, strict=True):
        ours = read_text(text, "test.yaml")
        if "error" in answer:
            if not ours.errors and not _may_be_laxer(text, ours):
                yield f"{text!r}: we read {_first(ours)}, Go says {answer['error']}"
        elif not _equal(answer["json"], ours) and not _may_differ(text, ours):
            yield f"{text!r}: we read {_first(ours)} {ours.errors[:1]}, Go reads {json.dumps(answer['json'])}"


def _first(read: Documents) -> str:
    """The first document as JSON, which tells true from 1 and 1 from 1.0."""
    return json.dumps(read.documents[0].root if read.documents else None, sort_keys=True)


def _equal(value: Any, read: Documents) -> bool:
    # That parser reads the first document of a text only: an error behind it is none to it.
    if read.errors and not read.documents:
        return False
    return json.dumps(value, sort_keys=True) == _first(read)


def _may_be_laxer(text: str, read: Documents) -> bool:
    """Whether we may read what that parser refuses."""
    # An escape of JSON. The API server's clients read JSON as JSON.
    if "\\/" in text:
        return True
    # Of values that a later duplicate or a merge replaces we look at the text only, not at their tags and aliases.
    if any(document.duplicate_keys for document in read.documents) or "<<" in text:
        return True
    # We accept dates that no calendar has.
    return "timestamp" in text


#: Errors of libyaml on texts that go-yaml reads. All are refusals, so nothing passes unseen.
_STRICTER = (
    # [ ] and , in a tag, which YAML does not allow there.
    "scanning a tag",
    "parsing a tag",
    "a tag followed by a comma is ambiguous",
    # The text after the first document, without a separator, is read too, and its first token before the document ends.
    "found character that cannot start any token (while scanning for the next token)",
)


def _may_differ(text: str, read: Documents) -> bool:
    """Whether our reading may be an error, or another value."""
    if any(reason in error.message for error in read.errors[:1] for reason in _STRICTER):
        return True
    # A second mark after the first: clients that split documents before they parse them skip it, as we do.
    if "---\n\ufeff" in text or text.startswith("\ufeff"):
        return True
    # Keys that differ before they become JSON strings (0x1 and "1", .nan and .nan): of two such values that parser
    # takes any, in the order of a Go map. We let the last one hold and report the key as given twice.
    return any(document.duplicate_keys for document in read.documents)


def test_table_of_scalars(oracle: Oracle) -> None:
    forms = (
        "{}",
        "a: {}\n",
        "{}: a\n",
        "- {}\n",
        "[{}, x]",
        "a: {{b: {}}}",
        "a: '{}'\n",
        'a: "{}"\n',
        "? {}\n",
        "a: {} # c\n",
    )
    words = sorted({*WORDS, *TRUE, *FALSE, *NULL, *STRINGS, *(text for text, _ in NUMBERS)})
    texts = [form.format(word) for word in words for form in forms]
    texts += [f"a: {tag}{word}\n" for word in words for tag in TAGS]
    texts += [f'a: {tag}"{word}"\n' for word in words for tag in TAGS]
    assert list(differences(texts, oracle(texts))) == []


def test_table_of_documents(oracle: Oracle) -> None:
    texts = [text for text, _ in DOCUMENTS]
    assert list(differences(texts, oracle(texts))) == []


@pytest.mark.parametrize("header", ["|", ">", "|+", ">+", "|-", ">-", "|1", ">2", "|2-", ">+3", "|0", "|-+", "|x"])
def test_block_scalars(oracle: Oracle, header: str) -> None:
    bodies = (
        *(
            "",
            "\n",
            "\n\n",
            "  x",
            "  x\n",
            "  x\n\n\n",
            "\n  x\n",
            "\n\n  x\n\n  y\n",
            "  x\n   y\n  z\n",
            "   x\n  y\n",
        ),
        *(
            "  x \n  y\t\n",
            "  \tx\n",
            "\tx\n",
            "    \n  x\n",
            "  # c\n",
            "# c\n",
            " x\n# c\n",
            "  x\n # c\n",
            "  ---\n",
        ),
    )
    texts = [
        form.format(header=header, body=body)
        for body in bodies
        for form in ("a: {header}\n{body}", "- {header}\n{body}- b\n")
    ]
    texts += [text.replace("\n", end) for text in texts for end in ("\r\n", "\r", "\x85")]
    assert list(differences(texts, oracle(texts))) == []


@pytest.mark.parametrize("seed", range(6))
def test_random_texts(oracle: Oracle, seed: int) -> None:
    made = Texts(seed)
    texts = [made.text() for _ in range(1500)]
    assert list(differences(texts, oracle(texts))) == []


@pytest.mark.parametrize("seed", range(3))
def test_random_streams(oracle: Oracle, seed: int) -> None:
    """Documents in one file are what they are alone."""
    made = Texts(1000 + seed)
    documents = [made.document().replace("\ufeff", "") for _ in range(600)]
    answers = oracle(documents)
    readable = [
        (document, answer)
        for document, answer in zip(documents, answers, strict=True)
        if "json" in answer
        and not list(differences([document], [answer]))
        and len(read_text(document, "f").documents) == 1
    ]
    assert len(readable) > 100
    for start in range(0, len(readable), 5):
        group = readable[start : start + 5]
        for separator in ("---\n", "--- # next\n", "...\n---\n"):
            joined = separator.join(document.rstrip("\n") + "\n" for document, _ in group)
            read = read_text(joined, "test.yaml")
            alone = [read_text(document.rstrip("\n") + "\n", "f").documents[0].root for document, _ in group]
            assert [json.dumps(d.root) for d in read.documents] == [json.dumps(root) for root in alone]


def test_own_manifests(oracle: Oracle) -> None:
    texts = []
    for path in sorted(_FIXTURES.rglob("*.yaml")):
        texts += [part for part in ("\n" + path.read_text(encoding="utf-8")).split("\n---\n") if part.strip()]
    assert texts
    assert list(differences(texts, oracle(texts))) == []
