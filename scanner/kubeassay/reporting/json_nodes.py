"""Values of a JSON document that is read, with their places in it for messages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn, TypeVar, cast

from kubeassay.model import SEVERITIES, Location, ObjectRef, Severity

_T = TypeVar("_T")


class Node:
    """A value of the document and the path to it, for messages."""

    __slots__ = ("path", "value")

    def __init__(self, value: Any, path: str) -> None:
        self.value = value
        self.path = path

    def refuse(self, expected: str) -> NoReturn:
        found = {dict: "an object", list: "a list", str: "a text", bool: "a boolean", type(None): "null"}.get(
            type(self.value), "a number"
        )
        raise ValueError(f"{self.path or 'the document'} is {found}; expected {expected}")

    def __getitem__(self, key: str) -> Node:
        child = self.get(key)
        if child is None:
            raise ValueError(f"{self.path}{'.' if self.path else ''}{key} is missing")
        return child

    def get(self, key: str) -> Node | None:
        if not isinstance(self.value, dict):
            self.refuse("an object")
        if key not in self.value:
            return None
        return Node(self.value[key], f"{self.path}.{key}" if self.path else key)

    def text(self) -> str:
        if not isinstance(self.value, str):
            self.refuse("a text")
        return self.value

    def boolean(self) -> bool:
        if not isinstance(self.value, bool):
            self.refuse("a boolean")
        return self.value

    def text_or_none(self) -> str | None:
        return None if self.value is None else self.text()

    def integer(self, least: int = 0) -> int:
        if not isinstance(self.value, int) or isinstance(self.value, bool) or self.value < least:
            self.refuse(f"a whole number, {least} or more")
        return self.value

    def integer_or_none(self) -> int | None:
        return None if self.value is None else self.integer(1)

    def one_of(self, words: tuple[_T, ...]) -> _T:
        if self.value not in words or not isinstance(self.value, str):
            self.refuse("one of " + ", ".join(map(str, words)))
        return cast(_T, self.value)

    def severity(self) -> Severity:
        return self.one_of(SEVERITIES)

    def mapping(self) -> dict[str, Any]:
        if not isinstance(self.value, dict):
            self.refuse("an object")
        return self.value

    def tuple_of(self, read: Callable[[Node], _T]) -> tuple[_T, ...]:
        if not isinstance(self.value, list):
            self.refuse("a list")
        return tuple(read(Node(item, f"{self.path}[{index}]")) for index, item in enumerate(self.value))

    def tuple_where_given(self, key: str, read: Callable[[Node], _T]) -> tuple[_T, ...]:
        """A list that not every document has."""
        child = self.get(key)
        return () if child is None else child.tuple_of(read)

    def texts(self) -> tuple[str, ...]:
        return self.tuple_of(Node.text)

    def mapping_of(self, read: Callable[[Node], _T]) -> dict[str, _T]:
        return {key: read(Node(item, f"{self.path}[{key!r:.60}]")) for key, item in self.mapping().items()}

    def optional(self, read: Callable[[Node], _T]) -> _T | None:
        return None if self.value is None else read(self)


def read_object(node: Node) -> ObjectRef:
    """What names an object, as results have it."""
    return ObjectRef(
        node["apiVersion"].text(), node["kind"].text(), node["namespace"].text_or_none(), node["name"].text()
    )


def read_location(node: Node) -> Location:
    """A region of a file, as results have it."""
    location = Location(
        node["file"].text(),
        node["startLine"].integer(1),
        node["startColumn"].integer(1),
        node["endLine"].integer(1),
        node["endColumn"].integer(1),
    )
    if (location.end_line, location.end_column) < (location.start_line, location.start_column):
        raise ValueError(f"{node.path} ends before it begins")
    return location
