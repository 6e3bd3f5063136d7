"""What no report may show of a template's text, which is no YAML that has keys to tell it by."""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain

from kubeassay.analysis.sensitive import names_secret, sensitive_paths
from kubeassay.model import Object, ObjectRef, SourceDocument, SpanTable
from kubeassay.sources.helm_chart import ChartFile
from kubeassay.sources.yaml_reader import astral_of, lines_of

_KEY_AND_TEXT = re.compile(r"""^[ \t]*(?:-[ \t]+)*["']?([\w./-]+)["']?[ \t]*:[ \t]+(\S.*)$""", re.MULTILINE)
_NAMED = re.compile(
    r"""^[ \t]*(?:-[ \t]*)?name:[ \t]*["']?([\w.-]+)["']?[ \t\r]*\n[ \t]*value:[ \t]+(\S.*)$""", re.MULTILINE
)
_IS_SECRET = re.compile(r"^kind:[ \t]*[\"']?Secret\b", re.MULTILINE)
#: An action without a text in it has no secret in it.
_PLAIN_ACTION = re.compile(r"[\"']?\{\{[^\"`]*\}\}[\"']?\Z")
_SECRET_FREE = frozenset({"apiVersion", "kind", "name", "namespace", "type"})
_SHORTEST = 4


def template_document(file: ChartFile, rendered: Iterable[Object]) -> SourceDocument:
    """A template's text. What may be secret in it are the values of a Secret that stand in it, which the one object
    has that it seems to hold: by keys' names, and whatever secret texts it printed."""
    document = file.document()
    text = document.text
    spans = sorted({*_by_names(text), *_printed(text, rendered)})
    if not spans:
        return document
    root = {"kind": "Secret", "apiVersion": "v1", "data": {str(number): "-" for number in range(len(spans))}}
    offsets = array("I", (0, 0, 0, 0) * 4)
    offsets.extend(chain.from_iterable((start, start, start, end) for start, end in spans))
    table = SpanTable(file.name, offsets, lines_of(text), astral_of(text))
    return replace(document, objects=(Object(ObjectRef("v1", "Secret", None, ""), root, table, root),))


def is_of_secrets(text: str) -> bool:
    """Whether a template seems to have a Secret."""
    return _IS_SECRET.search(text) is not None


def literals(text: str) -> Iterator[str]:
    """Texts that stand in a template where what may be secret is stated."""
    for start, end in _by_names(text):
        yield text[start:end].strip("\"'")
        yield from re.findall(r"[\"`]([^\"`\n]+)[\"`]", text[start:end])


def _by_names(text: str) -> Iterator[tuple[int, int]]:
    secret = is_of_secrets(text)
    for match in _KEY_AND_TEXT.finditer(text):
        stated = match[2].rstrip(" \t\r")
        if (names_secret(match[1]) or (secret and match[1] not in _SECRET_FREE)) and not _PLAIN_ACTION.match(stated):
            yield match.start(2), match.start(2) + len(stated)
    for match in _NAMED.finditer(text):
        stated = match[2].rstrip(" \t\r")
        if names_secret(match[1]) and not _PLAIN_ACTION.match(stated):
            yield match.start(2), match.start(2) + len(stated)


def _printed(text: str, rendered: Iterable[Object]) -> Iterator[tuple[int, int]]:
    """Where a text stands in the template that is secret in what was rendered."""
    seen: set[str] = set()
    for obj in rendered:
        for path in sensitive_paths(obj.value):
            value = obj.get(*path)
            for line in str(value).splitlines() if value is not None and not isinstance(value, bool) else ():
                words = line.strip()
                if len(words) < _SHORTEST or words in seen:
                    continue
                seen.add(words)
                start = text.find(words)
                while start != -1:
                    yield start, start + len(words)
                    start = text.find(words, start + len(words))
