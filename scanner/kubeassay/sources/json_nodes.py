"""Nodes of a JSON text, for what is JSON and not YAML.

Kubernetes' clients read a text that begins with ``{`` as a stream of JSON values first (k8s.io/apimachinery,
pkg/util/yaml, NewYAMLOrJSONDecoder). Most JSON is YAML too, and is read as such. Not so: values one after another
without a separator, escaped surrogate pairs, some control characters, keys of more than 1,024 characters.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

_SPACE = re.compile(r"[ \t\r\n]*")
_TOKEN = re.compile(
    r'(?P<punctuation>[{}\[\]:,])|(?P<string>"(?:[^"\\\x00-\x1f]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4})*")'
    r"|(?P<word>true|false|null|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?)"
)
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


class JsonError(ValueError):
    """The text is not JSON at a character offset."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.offset = offset


@dataclass(slots=True)
class _Mark:
    """The part of a YAML mark that the builder of values needs."""

    index: int


def json_nodes(text: str, max_depth: int) -> Iterator[Any]:
    """The root node of each value of a JSON text, tagged as the YAML composer tags its nodes.

    Raises JsonError where the text is not JSON, or nested deeper than ``max_depth``.
    """
    return _Parser(text, max_depth).values()


class _Parser:
    def __init__(self, text: str, max_depth: int) -> None:
        self.text = text
        self.max_depth = max_depth
        self.offset = 0

    def values(self) -> Iterator[Any]:
        while True:
            self.offset = _end(_SPACE, self.text, self.offset)
            if self.offset == len(self.text):
                return
            yield self.value(1)

    def token(self) -> tuple[str, str, int, int]:
        """Kind, text, start and end of the next token, which is consumed."""
        start = _end(_SPACE, self.text, self.offset)
        match = _TOKEN.match(self.text, start)
        if match is None or match.lastgroup is None:
            raise JsonError("not valid JSON", start)
        self.offset = match.end()
        return match.lastgroup, match[0], start, self.offset

    def value(self, depth: int) -> Any:
        kind, token, start, end = self.token()
        if kind != "punctuation":
            return self.scalar(kind, token, start, end)
        if depth > self.max_depth:
            raise JsonError(f"nested deeper than {self.max_depth} levels", start)
        if token == "{":
            return self.collection(depth, start, "}")
        if token == "[":
            return self.collection(depth, start, "]")
        raise JsonError("not valid JSON", start)

    def scalar(self, kind: str, token: str, start: int, end: int) -> Any:
        if kind == "string":
            return _node(yaml.ScalarNode, False, _LONE_SURROGATE.sub("\ufffd", json.loads(token)), start, end)
        return _node(yaml.ScalarNode, True, token, start, end)

    def collection(self, depth: int, start: int, closing: str) -> Any:
        members: list[Any] = []
        node_type = yaml.MappingNode if closing == "}" else yaml.SequenceNode
        before = self.offset
        _, token, _, end = self.token()
        if token == closing:
            return _node(node_type, None, members, start, end)
        self.offset = before
        while True:
            if closing == "}":
                kind, token, key_start, key_end = self.token()
                if kind != "string":
                    raise JsonError("not valid JSON", key_start)
                key = self.scalar(kind, token, key_start, key_end)
                _, token, colon, _ = self.token()
                if token != ":":
                    raise JsonError("not valid JSON", colon)
                members.append((key, self.value(depth + 1)))
            else:
                members.append(self.value(depth + 1))
            _, token, separator, end = self.token()
            if token == closing:
                return _node(node_type, None, members, start, end)
            if token != ",":
                raise JsonError("not valid JSON", separator)


def _end(pattern: re.Pattern[str], text: str, offset: int) -> int:
    match = pattern.match(text, offset)
    return match.end() if match is not None else offset


def _node(node_type: Any, tag: Any, value: Any, start: int, end: int) -> Any:
    return node_type(tag, value, _Mark(start), _Mark(end))
