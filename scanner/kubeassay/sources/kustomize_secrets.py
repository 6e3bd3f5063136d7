"""What of the words that Kustomize has for a failure no report may show: they quote what it was working on."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterator
from itertools import chain

from kubeassay.analysis.sensitive import is_secret_value, names_secret, sensitive_paths
from kubeassay.model import SourceDocument
from kubeassay.sources.kustomize_graph import Graph, decoded, name_of
from kubeassay.sources.kustomize_texts import SourceTexts, secret_fields
from kubeassay.sources.rendering import KustomizeDemand

#: Parts of messages that quote what a file holds: a patch, a literal, a line of an env file, a node or a whole object
#: (api v0.21.1, resmap/reswrangler.go; kyaml, yaml/fns.go).
_QUOTES_CONTENT = re.compile(
    r"(?i)\[patch: |literal source|invalid line|config: `|\bdata\"?:|-----BEGIN"
    r"|node contents|nodes unequal|map\[string\]|[\"']apiVersion[\"']:"
)
_KEY = re.compile(r"([\w.-]+)\s*[=:]\s*\S")
#: Shorter texts are in many messages by chance.
_SHORTEST = 4


def may_quote_secret(said: str, demand: KustomizeDemand, graph: Graph) -> bool:
    """Whether a message may have the value of a Secret in it: by how it is put, or since a value of one is in it."""
    if _QUOTES_CONTENT.search(said) or is_secret_value(said) or any(map(names_secret, _KEY.findall(said))):
        return True
    try:
        return any(value in said for value in _values(demand, graph))
    except RecursionError:
        return True


def _values(demand: KustomizeDemand, graph: Graph) -> Iterator[str]:
    """Secret texts of a build, as its files have them and as a Secret has them."""
    for text in _texts(demand, graph):
        for line in text.splitlines():
            # Of what an env file or a literal says, the value.
            for part in {line, line.partition("=")[2]}:
                value = part.strip().strip("\"'")
                if len(value) >= _SHORTEST:
                    yield value
                    yield b64encode(value.encode("utf-8", "replace")).decode().rstrip("=")


def _texts(demand: KustomizeDemand, graph: Graph) -> Iterator[str]:
    texts = SourceTexts(demand, graph.files)
    put_in = {
        reference.target
        for kustomization in graph.folders.values()
        for reference in kustomization.references
        if reference.path[0] == "secretGenerator"
    }
    for real, content in graph.files.items():
        if real in put_in:
            text = decoded(content)
            yield text[0] if text is not None else ""
        else:
            yield from _secret(texts.document(name_of(demand, real)))


def _secret(document: SourceDocument) -> Iterator[str]:
    for obj in document.objects:
        for path in chain(sensitive_paths(obj.value), secret_fields(obj.value)):
            value = obj.get(*path)
            if value is not None and not isinstance(value, bool):
                yield str(value)
