"""Values of custom resources held against the schemas of their definitions, as an API server does it.

Order and meaning follow k8s.io/apiextensions-apiserver v0.37.1: unknown fields are pruned
(pkg/apiserver/schema/pruning), nulls that are not nullable are dropped and defaults set (schema/defaulting), then what
is left is validated
(k8s.io/kube-openapi pkg/validation/validate, schema/listtype, schema/objectmeta). A general validator of JSON Schema
knows neither pruning nor nullable, int-or-string, embedded resources and list maps, and tells of an ``anyOf`` only that
it failed; places and fields that are dropped need a walk of our own.

Schemas and values are whatever a tree holds: the work is bounded, patterns are matched in linear time (RE2, which an
API server's Go uses, too), and what is not understood makes a value unjudged instead of valid.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from kubeassay.analysis.fields import nearest_name
from kubeassay.analysis.formats import FORMATS, matches
from kubeassay.analysis.sensitive import shown_key
from kubeassay.model import Path

#: What a walk of one value may cost: so many steps, and so many more for each node of the value.
_STEPS, _STEPS_A_NODE = 20_000, 80
#: No custom resource, and no schema, is meant to be nested as deeply as this.
_MAX_DEPTH: Final = 150
#: Of one object so many problems are told.
_MAX_PROBLEMS: Final = 50
_META_FIELDS: Final = frozenset({"apiVersion", "kind", "metadata"})
_TYPES: Mapping[str, str] = {
    "object": "a mapping",
    "array": "a list",
    "string": "a string",
    "integer": "an integer",
    "number": "a number",
    "boolean": "true or false",
}

Schema = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ResourceProblem:
    """What an API server drops (``unknown``) or refuses (``invalid``) in a custom resource.

    ``path`` starts at the object's root; of a missing field it is the path that it would have. ``message`` never holds
    the value that stands there. ``suggestion``: the name of the field that was meant. ``expected``: the type that a
    value of another type should have had ("a string").
    """

    kind: Literal["unknown", "invalid"]
    path: Path
    message: str
    suggestion: str | None = None
    expected: str | None = None


@dataclass(slots=True)
class Judgement:
    """What holding one value against its schema gave. ``unjudged``: what was not understood or too much work; None
    where everything was judged but ``rules``: the schema has CEL rules, which are not evaluated."""

    problems: list[ResourceProblem] = field(default_factory=list)
    unjudged: str | None = None
    rules: bool = False


class _TooMuchError(Exception):
    """The bound on work or depth was reached."""


class _NotUnderstoodError(Exception):
    """A part of a schema that no API server accepts."""


def judge(value: Mapping[str, Any], schema: Schema, *, prunes: bool, status: bool) -> Judgement:
    """Hold a custom resource against the schema of its version. ``prunes``: unknown fields are dropped; ``status``: the
    status is a subresource, of which nothing is taken from a manifest."""
    walk = _Walk(_STEPS + _STEPS_A_NODE * _size(value))
    judgement = walk.judgement
    given = {key: item for key, item in value.items() if not (key == "status" and status)}
    try:
        walk.rules_in(schema)
        kept = walk.kept(given, schema, (), root=True) if prunes else given
        filled = walk.filled(kept, schema, 0)
        walk.check(filled, schema, (), judgement.problems)
        walk.lists(filled, schema, (), root=True)
    except (_TooMuchError, RecursionError):
        judgement.unjudged = "the schema or the object is too large or too deep to be judged"
    except _NotUnderstoodError as error:
        judgement.unjudged = f"its definition has a schema that no API server accepts ({error})"
    # A field that is unknown, and so is missing under its right name, is told by both.
    if len(judgement.problems) > _MAX_PROBLEMS:
        del judgement.problems[_MAX_PROBLEMS:]
    return judgement


def _size(value: Any) -> int:
    count, waiting = 0, [value]
    while waiting:
        item = waiting.pop()
        count += 1
        if isinstance(item, dict):
            waiting += item.values()
        elif isinstance(item, list):
            waiting += item
    return count


def _mapping(schema: Schema, key: str) -> Mapping[str, Any]:
    value = schema.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _NotUnderstoodError(f"{key} is no mapping")
    return value


def _schemas(schema: Schema, key: str) -> list[Any]:
    value = schema.get(key)
    if value is None:
        return []
    if not isinstance(value, list):
        raise _NotUnderstoodError(f"{key} is no list")
    return value


def _known(schema: Any, what: str) -> Schema:
    if not isinstance(schema, dict):
        raise _NotUnderstoodError(f"{what} is no schema")
    if "$ref" in schema:
        raise _NotUnderstoodError("it has a $ref")
    return schema


def _limit(schema: Schema, key: str) -> int | float | None:
    value = schema.get(key)
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        return value
    raise _NotUnderstoodError(f"{key} is no number")


class _Walk:
    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.judgement = Judgement()
        #: How often something was met that could not be judged: a part that met none is certain.
        self.doubts = 0
        self.depth = 0
        #: Schema by its id → its fields that have a default.
        self._defaults: dict[int, tuple[tuple[str, Any], ...]] = {}

    def _step(self, depth: int, cost: int = 1) -> None:
        self.steps -= cost
        if self.steps < 0 or depth > _MAX_DEPTH:
            raise _TooMuchError

    def _doubt(self, why: str) -> None:
        self.doubts += 1
        self.judgement.unjudged = self.judgement.unjudged or why

    def rules_in(self, schema: Schema) -> None:
        if "x-kubernetes-validations" in schema:
            self.judgement.rules = True

    # What is dropped

    def kept(
        self, value: Any, schema: Schema | None, path: Path, *, root: bool = False, preserves: bool = False
    ) -> Any:
        """The value without its unknown fields, which are told; what of it is unchanged is not copied."""
        self._step(len(path))
        schema_or_none: Schema = {} if schema is None else schema
        preserves = preserves or schema_or_none.get("x-kubernetes-preserve-unknown-fields") is True
        if isinstance(value, dict):
            embedded = root or schema_or_none.get("x-kubernetes-embedded-resource") is True
            properties = _mapping(schema_or_none, "properties")
            further = schema_or_none.get("additionalProperties")
            result: dict[str, Any] | None = None
            for key, item in value.items():
                if embedded and key in _META_FIELDS:
                    continue
                of = properties.get(key, further)
                if of is None and not preserves:
                    self._unknown((*path, key), key, properties)
                    result = dict(value) if result is None else result
                    del result[key]
                elif of is not None and not isinstance(of, bool):
                    new = self.kept(item, _known(of, f"property {shown_key(key)}"), (*path, key))
                    if new is not item:
                        result = dict(value) if result is None else result
                        result[key] = new
            return value if result is None else result
        if isinstance(value, list):
            items = schema_or_none.get("items")
            if items is None and preserves:
                return value
            of = None if items is None else _known(items, "items")
            members = [self.kept(one, of, (*path, number), preserves=preserves) for number, one in enumerate(value)]
            return value if all(a is b for a, b in zip(members, value, strict=True)) else members
        return value

    def _unknown(self, path: Path, key: str, properties: Mapping[str, Any]) -> None:
        if len(self.judgement.problems) >= _MAX_PROBLEMS:
            return
        self._step(0, len(properties) // 4)
        meant = nearest_name(key, properties) if len(properties) <= 1000 else None
        message = f"the API server drops field {shown_key(key)}, which its definition does not have"
        if meant is not None:
            message += f"; the field is called {meant}"
        self.judgement.problems.append(ResourceProblem("unknown", path, message, meant))

    # What is set

    def filled(self, value: Any, schema: Schema | None, depth: int) -> Any:
        """The value without nulls that count as not set, and with the defaults."""
        self._step(depth)
        if schema is None:
            return value
        if isinstance(value, dict):
            properties = _mapping(schema, "properties")
            further = schema.get("additionalProperties")
            further = further if isinstance(further, dict) else None
            result: dict[str, Any] = {}
            for key, item in value.items():
                of = properties.get(key, further)
                of = None if of is None else _known(of, f"property {shown_key(key)}")
                if item is None and of is not None and not of.get("nullable"):
                    if of.get("default") is None:
                        continue
                    item = of["default"]
                result[key] = self.filled(item, of, depth + 1)
            for key, of in self._defaults_of(schema, properties):
                if key not in result:
                    result[key] = self.filled(of["default"], of, depth + 1)
            return result
        if isinstance(value, list):
            items = schema.get("items")
            of = None if items is None else _known(items, "items")
            members = []
            for member in value:
                if member is None and of is not None and not of.get("nullable"):
                    member = of.get("default")
                members.append(self.filled(member, of, depth + 1))
            return members
        return value

    def _defaults_of(self, schema: Schema, properties: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
        found = self._defaults.get(id(schema))
        if found is None:
            self._step(0, len(properties) // 8)
            found = self._defaults[id(schema)] = tuple(
                (key, of) for key, of in properties.items() if isinstance(of, dict) and of.get("default") is not None
            )
        return found

    # What is refused

    def check(self, value: Any, schema: Schema, path: Path, sink: list[ResourceProblem]) -> None:
        """Tell what a schema refuses in a value."""
        self.depth += 1
        self._step(self.depth)
        self._check(value, schema, path, sink)
        # Where a bound was reached nothing goes on, so it need not be set back then.
        self.depth -= 1

    def _check(self, value: Any, schema: Schema, path: Path, sink: list[ResourceProblem]) -> None:
        if not isinstance(schema, dict) or "$ref" in schema:
            _known(schema, "a part of it")
        self.rules_in(schema)
        before = len(sink)
        self._type(value, schema, path, sink)
        self._enum(value, schema, path, sink)
        if value is None or len(sink) > before:
            return
        if isinstance(value, str):
            self._string(value, schema, path, sink)
        elif isinstance(value, bool):
            pass
        elif isinstance(value, int | float):
            self._number(value, schema, path, sink)
        elif isinstance(value, dict):
            self._object(value, schema, path, sink)
        elif isinstance(value, list):
            self._list(value, schema, path, sink)
        self._joined(value, schema, path, sink)

    def _refuse(self, sink: list[ResourceProblem], path: Path, why: str, expected: str | None = None) -> None:
        sink.append(ResourceProblem("invalid", path, why, expected=expected))

    def _type(self, value: Any, schema: Schema, path: Path, sink: list[ResourceProblem]) -> None:
        wanted = schema.get("type")
        if schema.get("x-kubernetes-int-or-string") is True:
            fits = isinstance(value, int | str) or (isinstance(value, float) and value.is_integer())
            if value is not None and (isinstance(value, bool) or not fits):
                self._refuse(sink, path, "the API server takes an integer or a string here", "an integer or a string")
            elif value is None and not schema.get("nullable"):
                self._refuse(sink, path, "the API server refuses null here, which takes an integer or a string")
            return
        if wanted is None or wanted == "":
            return
        if not isinstance(wanted, str) or wanted not in _TYPES:
            raise _NotUnderstoodError("a type that there is not")
        if value is None:
            if not schema.get("nullable"):
                self._refuse(sink, path, f"the API server refuses null here, which takes {_TYPES[wanted]}")
        elif not _is(value, wanted):
            said = _TYPES[wanted]
            self._refuse(sink, path, f"the API server refuses {_found(value)} here, which takes {said}", said)

    def _enum(self, value: Any, schema: Schema, path: Path, sink: list[ResourceProblem]) -> None:
        allowed = _schemas(schema, "enum")
        if not allowed:
            return
        self._step(0, len(allowed) // 20)
        if not any(_equal(value, one) for one in allowed):
            shown = ", ".join(json.dumps(one, ensure_ascii=False)[:60] for one in allowed[:8])
            more = f" and {len(allowed) - 8} more" if len(allowed) > 8 else ""
            self._refuse(sink, path, f"the API server refuses the value here, which takes one of {shown}{more}")

    def _string(self, value: str, schema: Schema, path: Path, sink: list[ResourceProblem]) -> None:
        longest, shortest = _limit(schema, "maxLength"), _limit(schema, "minLength")
        if longest is not None and len(value) > longest:
            self._refuse(sink, path, f"the value is longer than the {longest} characters that its definition allows")
        if shortest is not None and len(value) < shortest:
            self._refuse(sink, path, f"the value is shorter than the {shortest} characters that its definition wants")
        pattern = schema.get("pattern")
        if pattern:
            if not isinstance(pattern, str):
                raise _NotUnderstoodError("a pattern that is no text")
            self._step(0, 20 + len(value) // 100)
            matched = matches(pattern, value)
            if matched is None:
                self._doubt("a pattern in its definition is not understood")
            elif not matched:
                shown = pattern if len(pattern) <= 120 else f"{pattern[:119]}…"
                self._refuse(sink, path, f"the value does not match the pattern of its definition, {shown}")
        wanted = schema.get("format")
        if isinstance(wanted, str) and schema.get("type") in (None, "", "string"):
            test = FORMATS.get(wanted.replace("-", ""))
            valid = True if test is None else test(value)
            if valid is None:
                self._doubt(f"whether a value has the format {shown_key(wanted)} is not known")
            elif not valid:
                self._refuse(sink, path, f"the value is no {wanted}, which its definition wants")

    def _number(self, value: int | float, schema: Schema, path: Path, sink: list[ResourceProblem]) -> None:
        most, least = _limit(schema, "maximum"), _limit(schema, "minimum")
        if most is not None:
            exclusive = schema.get("exclusiveMaximum") is True
            if value > most or (exclusive and value == most):
                self._refuse(sink, path, f"the value has to be {'less than' if exclusive else 'at most'} {most}")
        if least is not None:
            exclusive = schema.get("exclusiveMinimum") is True
            if value < least or (exclusive and value == least):
                self._refuse(sink, path, f"the value has to be {'more than' if exclusive else 'at least'} {least}")
        factor = _limit(schema, "multipleOf")
        if factor is not None:
            if factor <= 0:
                raise _NotUnderstoodError("multipleOf is not above 0")
            quotient = value / factor
            if abs(quotient - round(quotient)) > 1e-6:
                self._refuse(sink, path, f"the value has to be a multiple of {factor}")

    def _object(self, value: dict[str, Any], schema: Schema, path: Path, sink: list[ResourceProblem]) -> None:
        most, least = _limit(schema, "maxProperties"), _limit(schema, "minProperties")
        if most is not None and len(value) > most:
            self._refuse(sink, path, f"there are more than the {most} fields that its definition allows")
        if least is not None and len(value) < least:
            self._refuse(sink, path, f"there are fewer than the {least} fields that its definition wants")
        properties = _mapping(schema, "properties")
        further = schema.get("additionalProperties")
        for key, item in value.items():
            if key in properties:
                self.check(item, properties[key], (*path, key), sink)
            elif isinstance(further, dict):
                self.check(item, further, (*path, key), sink)
            elif further is False:
                self._refuse(sink, (*path, key), f"its definition forbids the field {shown_key(key)}")
        required = _schemas(schema, "required")
        self._step(0, len(required) // 8)
        for key in required:
            if not isinstance(key, str):
                raise _NotUnderstoodError("a required field without a name")
            if key not in value:
                self._refuse(sink, (*path, key), f"the API server refuses the object without field {shown_key(key)}")
        if schema.get("x-kubernetes-embedded-resource") is True:
            for key in ("apiVersion", "kind"):
                if not isinstance(value.get(key), str) or not value[key]:
                    self._refuse(sink, (*path, key), f"an embedded object needs {key}")

    def _list(self, value: list[Any], schema: Schema, path: Path, sink: list[ResourceProblem]) -> None:
        most, least = _limit(schema, "maxItems"), _limit(schema, "minItems")
        if most is not None and len(value) > most:
            self._refuse(sink, path, f"there are more than the {most} items that its definition allows")
        if least is not None and len(value) < least:
            self._refuse(sink, path, f"there are fewer than the {least} items that its definition wants")
        items = schema.get("items")
        if items is not None:
            of = _known(items, "items")
            for number, member in enumerate(value):
                self.check(member, of, (*path, number), sink)

    def _joined(self, value: Any, schema: Schema, path: Path, sink: list[ResourceProblem]) -> None:
        for part in _schemas(schema, "allOf"):
            self.check(value, part, path, sink)
        if schema.get("not") is not None:
            answer = self._fits(value, schema["not"], path)
            if answer:
                self._refuse(sink, path, "the value is what its definition excludes (not)")
        alternatives = _schemas(schema, "anyOf")
        if alternatives:
            answers = [self._fits(value, part, path) for part in alternatives]
            if True not in answers and None not in answers:
                self._refuse(sink, path, _none_of("anyOf", alternatives))
        alternatives = _schemas(schema, "oneOf")
        if alternatives:
            answers = [self._fits(value, part, path) for part in alternatives]
            if answers.count(True) > 1:
                said = _fields_of(alternatives, [answer is True for answer in answers])
                self._refuse(sink, path, f"the value fits several of what its definition takes one of (oneOf){said}")
            elif True not in answers and None not in answers:
                self._refuse(sink, path, _none_of("oneOf", alternatives))

    def _fits(self, value: Any, schema: Any, path: Path) -> bool | None:
        """Whether a value fits; None where that is not known."""
        doubts = self.doubts
        refused: list[ResourceProblem] = []
        self.check(value, schema, path, refused)
        if refused:
            return False
        return True if self.doubts == doubts else None

    # Lists that are sets or maps

    def lists(self, value: Any, schema: Schema, path: Path, *, root: bool = False) -> None:
        """Tell of items that stand twice in a list that is a set or a map."""
        self._step(len(path))
        if isinstance(value, dict):
            properties = _mapping(schema, "properties")
            further = schema.get("additionalProperties")
            for key, item in value.items():
                of = properties.get(key, further)
                if isinstance(of, dict) and isinstance(item, dict | list) and not (root and key == "metadata"):
                    self.lists(item, of, (*path, key))
        elif isinstance(value, list):
            kind = schema.get("x-kubernetes-list-type")
            if kind in ("set", "map"):
                self._twice(
                    value, schema, path, keys=_schemas(schema, "x-kubernetes-list-map-keys") if kind == "map" else None
                )
            of = schema.get("items")
            if isinstance(of, dict):
                for number, member in enumerate(value):
                    if isinstance(member, dict | list):
                        self.lists(member, of, (*path, number))

    def _twice(self, value: list[Any], schema: Schema, path: Path, *, keys: list[Any] | None) -> None:
        seen: set[str] = set()
        for number, member in enumerate(value):
            if keys is not None:
                if not isinstance(member, dict):
                    continue
                member = [[key, member[key]] for key in keys if isinstance(key, str) and key in member]
            text = json.dumps(member, sort_keys=True)
            self._step(0, 1 + len(text) // 100)
            if text in seen:
                by = "" if keys is None else f" of the same {', '.join(shown_key(str(key)) for key in keys)}"
                why = f"the API server refuses a second item{by} in this list"
                self._refuse(self.judgement.problems, (*path, number), why)
            seen.add(text)


def _is(value: Any, wanted: str) -> bool:
    match wanted:
        case "object":
            return isinstance(value, dict)
        case "array":
            return isinstance(value, list)
        case "string":
            return isinstance(value, str)
        case "boolean":
            return isinstance(value, bool)
        case "integer":
            whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
            return whole and not isinstance(value, bool)
    return isinstance(value, int | float) and not isinstance(value, bool)


def _found(value: Any) -> str:
    match value:
        case bool():
            return "a boolean"
        case int():
            return "an integer"
        case float():
            return "a number"
        case str():
            return "a string"
        case list():
            return "a list"
    return "a mapping"


def _equal(value: Any, allowed: Any) -> bool:
    """Equal as JSON: true is not 1."""
    if isinstance(value, bool) or isinstance(allowed, bool):
        return value is allowed
    if isinstance(value, dict | list):
        return type(value) is type(allowed) and json.dumps(value, sort_keys=True) == json.dumps(allowed, sort_keys=True)
    return bool(value == allowed)


def _none_of(word: str, alternatives: list[Any]) -> str:
    return f"the value fits none of what its definition takes one of ({word}){_fields_of(alternatives, None)}"


def _fields_of(alternatives: list[Any], chosen: list[bool] | None) -> str:
    """The fields that tell alternatives apart, where each is told by the fields that it requires."""
    names: list[str] = []
    for number, one in enumerate(alternatives):
        if chosen is not None and not chosen[number]:
            continue
        required = one.get("required") if isinstance(one, dict) else None
        if not isinstance(required, list) or not all(isinstance(name, str) for name in required) or len(required) != 1:
            return ""
        names.append(shown_key(required[0]))
    return f": {', '.join(names[:12])}" if names else ""
