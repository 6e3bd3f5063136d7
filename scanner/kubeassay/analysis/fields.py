"""The fields of Kubernetes' own objects: what the API server drops because it does not know it, and what it refuses.

The facts come from the OpenAPI documents of the releases (``kubernetes_fields.json``, written by
``.ci/generate_fields.py``). Types are judged as the API server's JSON decoder does (sigs.k8s.io/json: field names are
case-sensitive, null means unset, no scalar is converted to another).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import count
from pathlib import Path as FilePath
from typing import Any, Final, Literal

from kubeassay.analysis.quantity import parse_quantity
from kubeassay.analysis.sensitive import shown_key
from kubeassay.model import Object, Path


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """A field that its type does not have (``unknown``), or a value of another type than the field's (``mistyped``).

    ``path`` starts at the object's root. ``expected``: for a mistyped value what the field takes ("a string"), for an
    unknown field the type that lacks it, with the release that brought or removed it ("SecurityContext before 1.30").
    ``found``: what stands there, never a value that could be secret. ``suggestion``: for an unknown field the name of
    the field of the same type that was meant, or the path from the object's root at which the field belongs, with
    ``[]`` for any item of a list.
    """

    kind: Literal["unknown", "mistyped"]
    path: Path
    expected: str
    found: str
    suggestion: str | None


# A compiled shape is one of: str, int, bool (the Python type that JSON decoding yields), a _Mark, a dict (a type: field
# → shape), a list [shape] (a list of it), a tuple (shape,) (a mapping with free keys and such values).
_Shape = Any
_Fields = dict[str, _Shape]
#: Names in their order, each with itself in lower case.
_Candidates = list[tuple[str, str]]


class _Mark:
    """A shape that several Python types satisfy."""

    __slots__ = ("expected", "types")

    def __init__(self, expected: str, *types: type) -> None:
        self.expected = expected
        self.types = types


_NUMBER: Final = _Mark("a number", int, float)
_INT_OR_STRING: Final = _Mark("an integer or a string", int, str)
_QUANTITY: Final = _Mark("a quantity such as 500m or 2Gi", str, int, float)
_ANY: Final = _Mark("any value", str, int, float, bool, dict, list)

_SCALARS: Mapping[str, _Shape] = {
    "string": str,
    "time": str,
    "integer": int,
    "boolean": bool,
    "number": _NUMBER,
    "int-or-string": _INT_OR_STRING,
    "quantity": _QUANTITY,
    "any": _ANY,
}
_EXPECTED: Mapping[Any, str] = {str: "a string", int: "an integer", bool: "true or false"}
_NONE: Final = type(None)
_RBAC: Final = "rbac.authorization.k8s.io/v1"
#: For so many unknown fields of an object it is looked up what was meant, which takes long. More are no slips.
_MAX_SUGGESTIONS: Final = 50


@cache
def _document() -> dict[str, Any]:
    path = FilePath(__file__).parent / "kubernetes_fields.json"
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return document


class _Table:
    """The fields at one release. Below the oldest known release: every field of any release.

    A type is compiled when a kind that mentions it is first met: a tree has few of the kinds that there are.
    """

    def __init__(self, minor: int) -> None:
        document = _document()
        oldest, newest = document["minors"]
        self._everything = minor < oldest
        self._minor = min(minor, newest)
        #: Type name → its compiled fields. Types refer to each other by identity.
        self._types: dict[str, _Fields] = {}
        #: id of compiled fields → type name.
        self.names: dict[int, str] = {}
        #: Type name → the names of its fields, for suggestions. Filled when asked for.
        self._candidates: dict[tuple[str, bool], _Candidates] = {}
        #: Type name → the compiled fields of it and of all that it mentions.
        self._reachable: dict[str, list[_Fields]] = {}

    def type(self, name: str) -> _Fields:
        """The compiled fields of a type."""
        fields = self._types.get(name)
        if fields is not None:
            return fields
        # It is known before its fields are: types mention themselves.
        fields = self._types[name] = {}
        self.names[id(fields)] = name
        for key, shape in _document()["types"][name].items():
            if isinstance(shape, list):
                shape, since, until = shape
                gone = (since or 0) > self._minor or (until is not None and until <= self._minor)
                if gone and not self._everything:
                    continue
            fields[key] = self._compiled(shape)
        return fields

    def _compiled(self, shape: str) -> _Shape:
        if shape[0] == "[":
            return [self._compiled(shape[1:-1])]
        if shape[0] == "{":
            return (self._compiled(shape[1:-1]),)
        return _SCALARS[shape] if shape in _SCALARS else self.type(shape)

    def reachable(self, fields: _Fields) -> list[_Fields]:
        """A type and all that it mentions: what was meant by a field is looked for in these."""
        name = self.names[id(fields)]
        found = self._reachable.get(name)
        if found is None:
            known = {id(fields): fields}
            waiting = [fields]
            while waiting:
                for shape in waiting.pop().values():
                    while type(shape) in (list, tuple):
                        shape = shape[0]
                    if type(shape) is dict and id(shape) not in known:
                        known[id(shape)] = shape
                        waiting.append(shape)
            found = self._reachable[name] = list(known.values())
        return found

    def candidates(self, fields: _Fields, *, below: bool) -> _Candidates:
        """The names of the fields of a type, or of all that it mentions, too."""
        key = (self.names[id(fields)], below)
        found = self._candidates.get(key)
        if found is None:
            types = self.reachable(fields) if below else [fields]
            names = sorted({name for known in types for name in known})
            found = self._candidates[key] = [(name, name.lower()) for name in names]
        return found


@cache
def _table(minor: int) -> _Table:
    return _Table(minor)


#: Retired API versions whose kinds have the pod templates, selectors and rules of the versions that followed.
_AS_SUCCESSOR: Mapping[str, str] = {
    **dict.fromkeys(("apps/v1beta1", "apps/v1beta2", "extensions/v1beta1"), "apps/v1"),
    **dict.fromkeys(("batch/v1beta1", "batch/v2alpha1"), "batch/v1"),
    **dict.fromkeys(("rbac.authorization.k8s.io/v1beta1", "rbac.authorization.k8s.io/v1alpha1"), _RBAC),
    "networking.k8s.io/v1beta1": "networking.k8s.io/v1",
}


@cache
def _root(api_version: str, kind: str, minor: int) -> tuple[_Fields, bool] | None:
    """The compiled fields of a kind, and whether all of its fields are known: those of a retired version are not."""
    kinds = _document()["kinds"]
    name = kinds.get(api_version, {}).get(kind)
    if name is not None:
        return _table(minor).type(name), True
    name = kinds.get(_AS_SUCCESSOR.get(api_version, ""), {}).get(kind)
    return None if name is None else (_table(minor).type(name), False)


def has_fields(api_version: str, kind: str) -> bool:
    """Whether :func:`check_fields` knows the kind."""
    return _root(api_version, kind, 0) is not None


def check_fields(api_version: str, kind: str, value: dict[str, Any], minor: int) -> list[FieldProblem]:
    """The unknown and mistyped fields of an object of Kubernetes' own kinds, in the order of the file.

    Empty for a kind that is not in the table. For a retired version of one of its kinds (``extensions/v1beta1``) only
    mistyped values are told. ``minor`` is clamped to the known releases; before them a field of any release is known.
    """
    root = _root(api_version, kind, minor)
    if root is None:
        return []
    fields, complete = root
    if _fits(value, fields):
        return []
    table = _table(minor)
    problems: list[FieldProblem] = []
    for problem in _problems(value, fields, (), (((), fields),), table, minor, unknown=count() if complete else None):
        # Whatever stands in a Secret may be what it keeps.
        secret = kind == "Secret" and problem.kind == "mistyped"
        problems.append(replace(problem, found=_kind_of(problem.found)) if secret else problem)
    return problems


def problems_of(obj: Object, minor: int) -> tuple[FieldProblem, ...]:
    """:func:`check_fields` of an object, computed once: several rules and the engine ask for it in turn."""
    key = ("fields", minor)
    found: tuple[FieldProblem, ...] | None = obj.facts.get(key)
    if found is None:
        found = obj.facts[key] = tuple(check_fields(obj.ref.api_version, obj.ref.kind, obj.value, minor))
    return found


def check_pod_spec(spec: dict[str, Any], path: Path, minor: int) -> list[FieldProblem]:
    """The mistyped values of a pod spec at ``path`` of a custom resource, whose own further fields are not judged."""
    table = _table(minor)
    fields = table.type("PodSpec")
    if _fits(spec, fields):
        return []
    return list(_problems(spec, fields, path, ((path, fields),), table, minor, unknown=None))


def _fits(value: dict[str, Any], fields: _Fields) -> bool:
    """Whether a mapping has no problem at all. The common case: no paths are built."""
    for key, item in value.items():
        shape = fields.get(key)
        if shape is None:
            return False
        kind = type(item)
        if kind is shape or kind is _NONE:
            continue
        if kind is dict:
            of = type(shape)
            if of is dict:
                if not _fits(item, shape):
                    return False
            elif of is tuple:
                of = shape[0]
                for member in item.values():
                    if type(member) is not of and not (
                        parse_quantity(member) is not None
                        if of is _QUANTITY and type(member) is str
                        else _fits_shape(member, of)
                    ):
                        return False
            elif shape is not _ANY:
                return False
        elif kind is list:
            if type(shape) is list:
                of = shape[0]
                if type(of) is dict:
                    for member in item:
                        if type(member) is dict:
                            if not _fits(member, of):
                                return False
                        elif member is not None:
                            return False
                else:
                    for member in item:
                        if type(member) is not of and not _fits_shape(member, of):
                            return False
            elif shape is not _ANY:
                return False
        elif type(shape) is not _Mark or kind not in shape.types:
            return False
        if shape is _QUANTITY and kind is str and parse_quantity(item) is None:
            return False
    return True


def _fits_shape(value: Any, shape: _Shape) -> bool:
    kind = type(value)
    if kind is shape or kind is _NONE:
        return True
    of = type(shape)
    if of is _Mark:
        if kind not in shape.types:
            return False
        return shape is not _QUANTITY or kind is not str or parse_quantity(value) is not None
    if of is dict:
        return kind is dict and _fits(value, shape)
    if of is list:
        return kind is list and all(_fits_shape(member, shape[0]) for member in value)
    if of is tuple:
        return kind is dict and all(_fits_shape(member, shape[0]) for member in value.values())
    return False


_Ancestors = tuple[tuple[Path, _Fields], ...]


def _problems(
    value: dict[str, Any],
    fields: _Fields,
    path: Path,
    ancestors: _Ancestors,
    table: _Table,
    minor: int,
    *,
    unknown: Iterator[int] | None,
) -> Iterator[FieldProblem]:
    """``unknown`` counts the unknown fields of the object; None: they are not told."""
    for key, item in value.items():
        shape = fields.get(key)
        if shape is not None:
            yield from _shape_problems(item, shape, (*path, key), ancestors, table, minor, unknown=unknown)
        elif unknown is not None:
            yield FieldProblem(
                kind="unknown",
                path=(*path, key),
                expected=_lacking_type(key, table.names[id(fields)], minor),
                found=shown_key(key),
                suggestion=_suggestion(key, fields, ancestors, table) if next(unknown) < _MAX_SUGGESTIONS else None,
            )


def _shape_problems(
    value: Any,
    shape: _Shape,
    path: Path,
    ancestors: _Ancestors,
    table: _Table,
    minor: int,
    *,
    unknown: Iterator[int] | None,
) -> Iterator[FieldProblem]:
    if value is None:
        return
    of = type(shape)
    if of is dict and type(value) is dict:
        inner = (*ancestors, (path, shape))
        yield from _problems(value, shape, path, inner, table, minor, unknown=unknown)
    elif of is list and type(value) is list:
        for number, member in enumerate(value):
            yield from _shape_problems(member, shape[0], (*path, number), ancestors, table, minor, unknown=unknown)
    elif of is tuple and type(value) is dict:
        for key, member in value.items():
            yield from _shape_problems(member, shape[0], (*path, key), ancestors, table, minor, unknown=unknown)
    elif not _fits_shape(value, shape):
        yield FieldProblem("mistyped", path, _expected(shape), _found(value, shape), None)


def _expected(shape: _Shape) -> str:
    if isinstance(shape, _Mark):
        return shape.expected
    if isinstance(shape, list):
        return "a list"
    if isinstance(shape, dict | tuple):
        return "a mapping"
    return _EXPECTED[shape]


#: Strings that are no secrets, and tell what was meant: a switch, a number with a unit, a placeholder.
_TELLING = re.compile(
    r"(?:true|false|yes|no|on|off|-?[0-9.]+ ?[A-Za-z]{0,8}|<[^<>]*>|\{\{[^{}]*\}\}|\$\{\w+\}|\$\(\w+\))\Z",
    re.IGNORECASE,
)


def _kind_of(found: str) -> str:
    """What :func:`_found` says, without the value."""
    if found.startswith("the string"):
        return "a string"
    return "a number" if found.startswith("the number") else found


def _found(value: Any, shape: _Shape) -> str:
    """What stands there. Values of string fields may be secret (a password of digits), so they are not named."""
    match value:
        case bool() if shape is str:
            return "a boolean"
        case bool():
            return "true" if value else "false"
        case int() if shape in (bool, _QUANTITY):
            return f"the number {value}"
        case int():
            return "an integer"
        case float():
            return "a number"
        case str() if shape in (bool, int, _QUANTITY) and len(value) <= 40 and _TELLING.match(value):
            return f"the string {json.dumps(value, ensure_ascii=False)}"
        case str():
            return "a string"
        case list():
            return "a list"
    return "a mapping"


def _lacking_type(field: str, type_name: str, minor: int) -> str:
    known = _document()["types"][type_name].get(field)
    # Where types of several groups have one name, the table tells them apart.
    shown = type_name.rpartition(".")[2]
    if isinstance(known, list):
        _, since, until = known
        if since is not None and minor < since:
            return f"{shown} before 1.{since}"
        return f"{shown} from 1.{until} on"
    return shown


#: Names that stand in so many types that a field of that name elsewhere says nothing about what was meant.
_COMMON_FIELDS = 8
#: How far from where a field stands its right place is looked for, in steps up and down.
_NEAR = 4


def _suggestion(field: str, fields: _Fields, ancestors: _Ancestors, table: _Table) -> str | None:
    nearest = _nearest(field, table.candidates(fields, below=False))
    if nearest is not None and nearest.lower() == field.lower():
        return nearest
    elsewhere = _right_place(field, ancestors, table)
    if elsewhere is not None or nearest is not None:
        return elsewhere or nearest
    # Both misspelt and misplaced: readonlyRootFilesystem in the container itself.
    meant = _nearest(field, table.candidates(ancestors[0][1], below=True))
    return None if meant is None else _right_place(meant, ancestors, table)


def _right_place(field: str, ancestors: _Ancestors, table: _Table) -> str | None:
    """The path at which the field exists, searched down from its parent, then from that one's parent, and so on."""
    if sum(field in fields for fields in table.reachable(ancestors[0][1])) > _COMMON_FIELDS:
        return None
    for up, (path, fields) in enumerate(reversed(ancestors)):
        down = _below(field, fields, _NEAR - up)
        if down is not None:
            return ".".join((*_steps(path), *down)).replace(".[", "[")
    return None


def _steps(path: Path) -> Iterator[str]:
    for step in path:
        yield f"[{step}]" if isinstance(step, int) else step


def _below(field: str, fields: _Fields, depth: int) -> tuple[str, ...] | None:
    """The shortest way down to a type that has the field; of equals the first by name."""
    level: list[tuple[tuple[str, ...], _Fields]] = [((), fields)]
    for _ in range(depth + 1):
        below: list[tuple[tuple[str, ...], _Fields]] = []
        for steps, table in level:
            if field in table:
                return (*steps, field)
            for name in sorted(table):
                shape = table[name]
                # What the system writes is no place for a field of the user's.
                if name in ("status", "metadata"):
                    continue
                if isinstance(shape, list) and isinstance(shape[0], dict):
                    below.append(((*steps, f"{name}[]"), shape[0]))
                elif isinstance(shape, dict):
                    below.append(((*steps, name), shape))
        level = below
    return None


def nearest_name(name: str, known: Mapping[str, Any] | Sequence[str]) -> str | None:
    """The known name that ``name`` was meant to be: equal but for case, else at most two edits away; None if none is.

    Short names get fewer edits: at most one for up to five characters, none for up to three.
    """
    return _nearest(name, [(candidate, candidate.lower()) for candidate in sorted(known)])


def _nearest(name: str, known: _Candidates) -> str | None:
    lower = name.lower()
    allowed = 0 if len(name) <= 3 else 1 if len(name) <= 5 else 2
    best: tuple[int, str] | None = None
    for candidate, candidate_lower in known:
        if candidate_lower == lower:
            return candidate
        distance = edit_distance(lower, candidate_lower, allowed)
        if distance <= allowed and (best is None or distance < best[0]):
            best = (distance, candidate)
    return None if best is None else best[1]


def edit_distance(first: str, second: str, limit: int) -> int:
    """Insertions, deletions, replacements and swaps of neighbours that turn one text into the other; limit + 1 where
    more than ``limit`` are needed."""
    if abs(len(first) - len(second)) > limit:
        return limit + 1
    before: list[int] = []
    row = list(range(len(second) + 1))
    for i, a in enumerate(first, 1):
        previous, row, older = row, [i], before
        for j, b in enumerate(second, 1):
            cost = min(previous[j] + 1, row[j - 1] + 1, previous[j - 1] + (a != b))
            if i > 1 and j > 1 and a == second[j - 2] and first[i - 2] == b:
                cost = min(cost, older[j - 2] + 1)
            row.append(cost)
        before = previous
        if min(row) > limit:
            return limit + 1
    return min(row[-1], limit + 1)


#: What takes the place of a mistyped list item, so that the indices of the others stay: Kubernetes' own zero values.
_ZERO: Mapping[str, Any] = {"a mapping": {}, "a list": [], "a string": "", "an integer": 0, "true or false": False}


def without(value: Any, problems: Sequence[FieldProblem]) -> Any:
    """A copy of ``value`` without its mistyped values; only what lies on the way to a change is copied.

    A mistyped value of a field is removed; a mistyped item of a list becomes the empty value of its type ({}, "", 0),
    so the indices of the other items stay right. ``problems`` are those found in ``value``: their paths start at it.
    Unknown fields stay.
    """
    mistyped = [problem for problem in problems if problem.kind == "mistyped"]
    if not mistyped:
        return value
    result = _copy(value)
    # id of each copy made here: it may be changed again, and must not be copied again.
    copied = {id(result)}
    for problem in mistyped:
        parent: Any = result
        for step in problem.path[:-1]:
            child = parent[step]
            if id(child) not in copied:
                child = _copy(child)
                copied.add(id(child))
                parent[step] = child
            parent = child
        last: Any = problem.path[-1]
        if type(parent) is list:
            zero = _ZERO.get(problem.expected)
            parent[last] = _copy(zero) if isinstance(zero, dict | list) else zero
        else:
            del parent[last]
    return result


def _copy(value: Any) -> Any:
    return dict(value) if isinstance(value, dict) else list(value)


@dataclass(frozen=True, slots=True)
class ServedKind:
    """When a built-in group serves a kind in one version: the first release, and the first that no longer does.

    None: before the oldest, or after the newest known release.
    """

    since: int | None
    until: int | None


def served_kinds() -> Mapping[str, Mapping[str, ServedKind]]:
    """API version → kind → the releases that serve it, for every group of Kubernetes itself (1.25 and later)."""
    return _served()


@cache
def _served() -> dict[str, dict[str, ServedKind]]:
    return {
        api_version: {kind: ServedKind(*span) for kind, span in kinds.items()}
        for api_version, kinds in _document()["served"].items()
    }


def metadata_problems(metadata: Any, minor: int) -> list[FieldProblem]:
    """The unknown and mistyped fields of an object's metadata, which custom resources have as every object has it."""
    if metadata is None:
        return []
    path: Path = ("metadata",)
    if not isinstance(metadata, dict):
        return [FieldProblem("mistyped", path, "a mapping", _found(metadata, {}), None)]
    table = _table(minor)
    fields = table.type("ObjectMeta")
    if _fits(metadata, fields):
        return []
    return list(_problems(metadata, fields, path, ((path, fields),), table, minor, unknown=count()))
