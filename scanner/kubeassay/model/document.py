"""A document that people wrote: its sections, and what its fenced blocks say, with the line of every value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from kubeassay.model.place import Path
from kubeassay.model.result import ReadError

Scalar = str | int | float | bool | None


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """A value of a block. ``line`` is that of its key, or its own where it has none.

    ``text``: a scalar as it is written, without quotes: ``1.30`` is a version there, and 1.3 as a value. ``below``:
    what stands below a scalar, which YAML has no form for and people write.
    """

    value: Scalar | tuple[Node, ...] | Mapping[str, Node]
    line: int
    text: str = ""
    below: Node | None = None

    @property
    def entries(self) -> Mapping[str, Node]:
        """The entries of a mapping; of anything else, of what stands below it; none."""
        if isinstance(self.value, Mapping):
            return self.value
        return self.below.entries if self.below is not None else {}

    @property
    def members(self) -> tuple[Node, ...]:
        """The members of a list; of anything else, of what stands below it; none."""
        if isinstance(self.value, tuple):
            return self.value
        return self.below.members if self.below is not None else ()

    @property
    def is_scalar(self) -> bool:
        return not isinstance(self.value, tuple | Mapping)

    @property
    def plain(self) -> Any:
        """The value alone, as dicts, lists and scalars."""
        if isinstance(self.value, Mapping):
            return {key: node.plain for key, node in self.value.items()}
        if isinstance(self.value, tuple):
            return [node.plain for node in self.value]
        return self.value

    def children(self) -> Iterator[tuple[str | int, Node]]:
        """(step, node) of each entry or member, what stands below a scalar included."""
        if isinstance(self.value, Mapping):
            yield from self.value.items()
        elif isinstance(self.value, tuple):
            yield from enumerate(self.value)
        elif self.below is not None:
            yield from self.below.children()

    def descendants(self) -> Iterator[Node]:
        """The node itself and all below it."""
        stack = [self]
        while stack:
            here = stack.pop()
            yield here
            stack.extend(child for _, child in here.children())

    def along(self, path: Path) -> Iterator[Node]:
        """The node itself and those that a path leads to, as far as there are any."""
        node = self
        yield node
        for step in path:
            children = dict(node.children())
            if step not in children:
                return
            node = children[step]
            yield node

    def at(self, path: Path) -> Node:
        """The node at a path, or its nearest existing parent."""
        *_, node = self.along(path)
        return node

    def has(self, path: Path) -> bool:
        """Whether there is a node at a path."""
        return sum(1 for _ in self.along(path)) > len(path)


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced (or indented) block, of a language or of none.

    ``section``: the headings that it stands under, outermost first, without the document's title. ``nodes``: what its
    YAML documents hold; none for a block that is no YAML.
    """

    language: str
    section: tuple[str, ...]
    line: int
    nodes: tuple[Node, ...] = ()


@dataclass(frozen=True, slots=True)
class Document:
    """A document. ``problems``: what could not be read as it stands, with what was made of it."""

    file: str
    title: str
    blocks: tuple[Block, ...] = ()
    problems: tuple[ReadError, ...] = ()
    #: (line, heading) of sections that hold no block.
    bare_sections: tuple[tuple[int, str], ...] = ()
