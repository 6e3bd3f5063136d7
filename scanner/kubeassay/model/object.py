"""Kubernetes objects and the inventory of a target."""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import takewhile
from typing import Any

from kubeassay.model.place import Location, Path, SpanTable
from kubeassay.model.tracing import MadeOf

#: What an object without places has in their place.
_NOTHING = array("I")
_FIRST_LINE = array("I", (0,))


@cache
def _group(api_version: str) -> str:
    """It is asked for many times more often than there are objects."""
    return api_version.rpartition("/")[0]


@dataclass(frozen=True, slots=True, order=True)
class ObjectRef:
    """What names an object. ``namespace`` is None where the object states none (or is cluster-scoped)."""

    api_version: str
    kind: str
    namespace: str | None
    name: str

    @property
    def group(self) -> str:
        """The API group; empty for the core group."""
        return _group(self.api_version)

    def __str__(self) -> str:
        where = f"{self.namespace}/" if self.namespace else ""
        return f"{self.kind} {where}{self.name}"


class Object:
    """One Kubernetes API object, with its place.

    ``value`` is the object as a JSON client of Kubernetes sees it (dict, list, str, int, float, bool, None); it must
    not be changed. ``prefix`` is the path inside the document at which the object begins: empty, or for example
    ``("items", 3)`` for a member of a List.
    """

    __slots__ = ("_root", "duplicate_keys", "facts", "made_of", "number", "prefix", "ref", "spans", "value")

    def __init__(
        self,
        ref: ObjectRef,
        value: dict[str, Any],
        spans: SpanTable,
        root: Any,
        prefix: Path = (),
        duplicate_keys: tuple[tuple[Path, tuple[Location, ...]], ...] = (),
        number: int = 0,
    ) -> None:
        self.ref = ref
        self.value = value
        self.spans = spans
        self._root = root
        self.prefix = prefix
        self.duplicate_keys = duplicate_keys
        #: Which object of its file it is, from 0: with the file's name it finds the object again.
        self.number = number
        #: What analyses computed about this object, by their own keys, so that it is computed once.
        self.facts: dict[Any, Any] = {}
        #: Of an object that was made out of other files: what finds its places in these. It does not travel.
        self.made_of: MadeOf | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return (Object, (self.ref, self.value, self.spans, self._root, self.prefix, self.duplicate_keys, self.number))

    def with_value(self, value: dict[str, Any]) -> Object:
        """The same object at the same place with another value (for an analysis that must leave parts out)."""
        return self.as_deployed(self.ref, value)

    def as_deployed(self, ref: ObjectRef, value: dict[str, Any]) -> Object:
        """The same object at the same place, as what deploys it calls it and makes of it."""
        other = Object(ref, value, self.spans, self._root, self.prefix, self.duplicate_keys, self.number)
        other.made_of = self.made_of
        return other

    def without_places(self) -> Object:
        """The same object without its spans, which take more memory than its value. Only its file is known."""
        return Object.without_document(self.ref, self.value, self.spans.file, self.prefix, self.number)

    @classmethod
    def without_document(cls, ref: ObjectRef, value: dict[str, Any], file: str, prefix: Path, number: int) -> Object:
        """An object of which only the file is known."""
        return cls(ref, value, SpanTable(file, _NOTHING, _FIRST_LINE, _NOTHING), None, prefix, number=number)

    @property
    def document(self) -> Any:
        """The value of the whole document that the object stands in: a List, perhaps."""
        return self._root

    @property
    def file(self) -> str:
        return self.spans.file

    def locate(self, path: Path, *, key: bool = False) -> Location:
        """Where a finding about ``path`` (from this object's root) points; see :meth:`SpanTable.locate`. Of an object
        that was made out of other files, that is in one of these."""
        if self.made_of is not None:
            return self.made_of.trace(self, path, key=key).location
        return self.spans.locate(self._root, self.prefix + path, key=key)

    def key_offsets(self, path: Path) -> tuple[int, int] | None:
        """The character offsets of the key at ``path`` in the file; None where there is no such key."""
        return self.spans.key_span(self._root, self.prefix + path)

    def value_offsets(self, path: Path) -> tuple[int, int] | None:
        """The character offsets of the value at ``path`` in the file; None where there is no such value."""
        return self.spans.value_span(self._root, self.prefix + path)

    def get(self, *path: str | int, default: Any = None) -> Any:
        """The value at ``path``, or ``default`` where any step is missing or of another type."""
        value: Any = self.value
        for step in path:
            if isinstance(step, str):
                if not isinstance(value, dict) or step not in value:
                    return default
            elif not isinstance(value, list) or not 0 <= step < len(value):
                return default
            value = value[step]
        return value

    def __repr__(self) -> str:
        return f"<{self.ref} in {self.file}>"


class Inventory:
    """All objects of one target, in reading order, indexed by kind."""

    def __init__(self, objects: Iterable[Object] = ()) -> None:
        self.objects: tuple[Object, ...] = tuple(objects)
        #: What analyses computed about these objects, by their own keys, so that it is computed once.
        self.facts: dict[Any, Any] = {}
        self._by_group: dict[tuple[str, str], list[Object]] = {}

    def __iter__(self) -> Iterator[Object]:
        return iter(self.objects)

    def __len__(self) -> int:
        return len(self.objects)

    @cached_property
    def _by_kind(self) -> dict[str, list[Object]]:
        index: dict[str, list[Object]] = defaultdict(list)
        for obj in self.objects:
            index[obj.ref.kind].append(obj)
        return index

    def of_kind(self, kind: str, group: str | None = None) -> list[Object]:
        """The objects of a kind, in reading order; of one API group where ``group`` is given ("" is the core group)."""
        if group is None:
            return self._by_kind.get(kind, [])
        found = self._by_group.get((kind, group))
        if found is None:
            found = [obj for obj in self._by_kind.get(kind, ()) if obj.ref.group == group]
            self._by_group[kind, group] = found
        return found

    @cached_property
    def _by_name(self) -> dict[tuple[str, str, str | None, str], list[Object]]:
        index: dict[tuple[str, str, str | None, str], list[Object]] = defaultdict(list)
        for obj in self.objects:
            index[obj.ref.group, obj.ref.kind, obj.ref.namespace, obj.ref.name].append(obj)
        return index

    def in_several_files(
        self, agree: Callable[[Object, Object], bool] = lambda first, other: False
    ) -> Iterator[tuple[Object, Object]]:
        """Objects of which another of the same kind, namespace and name stands in another file, each with the first
        such: a tree with a folder for each environment. Those that ``agree`` may be one object."""
        for objects in self._by_name.values():
            first = objects[0]
            other = next((obj for obj in objects if obj.file != first.file and not agree(first, obj)), None)
            if other is not None and first.ref.name:
                yield first, other

    def nearest(self, group: str, kind: str, namespace: str | None, name: str, file: str) -> Object | None:
        """The object of a name; of several (a tree often holds one for each environment) the one whose file shares
        most folders with ``file``, the first of these in reading order."""
        found = self._by_name.get((group, kind, namespace, name), ())
        if len(found) < 2:
            return found[0] if found else None
        return max(found, key=lambda obj: shared_folders(obj.file, file))


def shared_folders(first: str, second: str) -> int:
    """How many folders two files share."""
    pairs = zip(first.split("/")[:-1], second.split("/")[:-1], strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
