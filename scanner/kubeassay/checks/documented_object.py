"""Expectations: an object as a document demands it, compared by meaning.

A control's ``expectations`` are uses of this rule, one each (policy/library.py).
"""

from __future__ import annotations

import fnmatch
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from kubeassay.analysis.meaning import compare, covers, holds_quantity, same
from kubeassay.analysis.reading import items, mapping, string
from kubeassay.checks.check import Context, NotApplicable, NotJudged, Passed, Said, Violation, check
from kubeassay.model import Inventory, Object, Path
from kubeassay.model.place import Every, Having, Step, parse_pattern

_SHOWN = 160


class Wanted(NamedTuple):
    """Which objects an expectation is about."""

    group: str
    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        name = self.name if self.name != "*" else ""
        where = f"{self.namespace}/" if self.namespace and name else ""
        text = f"{self.kind} {where}{name}".rstrip()
        return f"{text} in {self.namespace}" if self.namespace and not name else text


@check("documented-object")
def documented_object(inventory: Inventory, context: Context) -> Iterator[Said]:
    parameters = context.parameters
    selector = mapping(parameters["object"])
    if not selector:
        yield NotApplicable()
        return
    wanted = _wanted(selector)
    document = mapping(parameters["document"])
    found = [obj for obj in inventory.of_kind(wanted.kind, wanted.group) if _selected(obj, wanted)]
    if parameters["absent"]:
        for obj in found:
            yield Violation(
                ("kind",),
                f"{_says(document, None)} no {wanted}",
                obj=obj,
                clauses=_clauses(document, None, f"no {wanted}"),
            )
        if not found:
            yield from _nowhere(inventory, wanted, document)
        return
    if not found:
        if parameters["required"]:
            yield _missing(inventory, wanted, document)
        else:
            yield from _nowhere(inventory, wanted, document)
        return
    for obj in found:
        broken = list(_judged(obj, parameters["fields"], document))
        yield from broken
        if not broken:
            yield Passed(obj)


def demands(parameters: Mapping[str, Any]) -> list[str]:
    """What an expectation demands, in words: one text a field, or one for an object of which nothing more is said."""
    wanted = _wanted(parameters["object"])
    if parameters.get("absent"):
        return [f"no {wanted}"]
    fields = parameters.get("fields", ())
    return [f"{wanted}: {field['path']} {_demand(field)}" for field in fields] or [str(wanted)]


def _wanted(selector: Mapping[str, Any]) -> Wanted:
    group, slash, _ = string(selector.get("apiVersion")).rpartition("/")
    return Wanted(
        group if slash else "", selector["kind"], string(selector.get("namespace")), selector.get("name") or "*"
    )


def _selected(obj: Object, wanted: Wanted) -> bool:
    if wanted.namespace and not _pattern(wanted.namespace)(obj.ref.namespace or ""):
        return False
    return _pattern(wanted.name)(obj.ref.name) is not None


@cache
def _pattern(text: str) -> Callable[[str], re.Match[str] | None]:
    return re.compile(fnmatch.translate(text)).match


def _nowhere(inventory: Inventory, wanted: Wanted, document: Mapping[str, Any]) -> Iterator[NotJudged]:
    """An object that may be the one that is meant: it states no namespace."""
    for obj in inventory.of_kind(wanted.kind, wanted.group):
        if wanted.namespace and not obj.ref.namespace and _pattern(wanted.name)(obj.ref.name):
            yield NotJudged(
                "no-namespace",
                f"{_says(document, None)} {wanted}; {obj.ref} states no namespace, so whether it is that is not known",
                obj,
            )
            return


def _missing(inventory: Inventory, wanted: Wanted, document: Mapping[str, Any]) -> Said:
    """Where a documented object would stand: its namespace, something in it, or another of its kind. Where nothing of
    these is among the inputs, the object may be declared elsewhere."""
    for nowhere in _nowhere(inventory, wanted, document):
        return nowhere
    place = _nearest(inventory, wanted)
    if place is None:
        where = f"of namespace {wanted.namespace}" if wanted.namespace else f"of kind {wanted.kind}"
        return NotJudged(
            "no-objects",
            f"{_says(document, None)} {wanted}; nothing {where} is among the inputs, so whether it is declared is not"
            " known",
        )
    obj, path = place
    return Violation(
        path,
        f"{_says(document, None)} {wanted}, and there is none",
        obj=obj,
        clauses=_clauses(document, None, str(wanted)),
    )


def _nearest(inventory: Inventory, wanted: Wanted) -> tuple[Object, Path] | None:
    if wanted.namespace:
        is_wanted = _pattern(wanted.namespace)
        for obj in inventory.of_kind("Namespace", ""):
            if is_wanted(obj.ref.name):
                return obj, ("metadata", "name")
        for obj in inventory:
            if obj.ref.namespace and is_wanted(obj.ref.namespace):
                return obj, ("metadata", "namespace")
        return None
    others = inventory.of_kind(wanted.kind, wanted.group)
    return (others[0], ("metadata", "name")) if others else None


def _judged(obj: Object, fields: Sequence[Any], document: Mapping[str, Any]) -> Iterator[Violation]:
    for field in fields:
        steps = _steps(field["path"])
        demand = _demand(field)
        absent = field.get("absent", False)
        for path, there, value in _reach(obj.value, (), steps):
            if not there or value is None:
                if absent:
                    continue
                if "default" not in field:
                    yield _broken(obj, field, document, demand, path, "is missing")
                    continue
                value = field["default"]
            elif absent:
                yield _broken(obj, field, document, demand, path, f"is {_shown(value)}")
                continue
            if not _complies(field, path, value):
                words = f"is {_shown(value)}" if there else f"is missing, which means {_shown(value)}"
                yield _broken(obj, field, document, demand, path, words)


def _complies(field: Mapping[str, Any], path: Path, value: Any) -> bool:
    reading, quantity = field.get("as"), holds_quantity(path)
    ordered = field.get("ordered", False)
    if "equals" in field and not same(field["equals"], value, reading=reading, quantity=quantity, ordered=ordered):
        return False
    if "oneOf" in field and not any(
        same(one, value, reading=reading, quantity=quantity, ordered=ordered) for one in field["oneOf"]
    ):
        return False
    if "superset" in field and not covers(value, field["superset"], reading=reading, quantity=quantity):
        return False
    if "subset" in field and not covers(field["subset"], value, reading=reading, quantity=quantity):
        return False
    if "atLeast" in field and compare(field["atLeast"], value, reading=reading) not in (0, 1):
        return False
    return "atMost" not in field or compare(field["atMost"], value, reading=reading) in (0, -1)


def _demand(field: Mapping[str, Any]) -> str:
    """What a field is to be, in words."""
    if field.get("absent"):
        return "none"
    words = []
    if "equals" in field:
        words.append(_shown(field["equals"]))
    if "oneOf" in field:
        words.append("one of " + ", ".join(_shown(one) for one in field["oneOf"]))
    if "superset" in field:
        words.append(f"at least {_shown(field['superset'])}")
    if "subset" in field:
        words.append(f"nothing but {_shown(field['subset'])}")
    if "atLeast" in field and "atMost" in field:
        words.append(f"from {_shown(field['atLeast'])} to {_shown(field['atMost'])}")
    elif "atLeast" in field:
        words.append(f"at least {_shown(field['atLeast'])}")
    elif "atMost" in field:
        words.append(f"at most {_shown(field['atMost'])}")
    return " and ".join(words) or "a value"


def _broken(
    obj: Object, field: Mapping[str, Any], document: Mapping[str, Any], demand: str, path: Path, words: str
) -> Violation:
    name = field["path"]
    line = field.get("line")
    return Violation(
        path,
        f"{name} {words}; {_says(document, line)} {demand}",
        obj=obj,
        clauses=_clauses(document, line, f"{name}: {demand}"),
    )


def _says(document: Mapping[str, Any], line: int | None) -> str:
    name = string(document.get("file")) or string(document.get("name")) or "the document"
    line = line or document.get("line")
    return f"{name} line {line} demands" if line else f"{name} demands"


def _clauses(document: Mapping[str, Any], line: int | None, words: str) -> tuple[tuple[str, str, int], ...]:
    file, line = string(document.get("file")), line or document.get("line")
    return ((f"the document demands {words}", file, line),) if file and line else ()


def _shown(value: Any) -> str:
    text = value or '""' if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


# Paths of expectations: those of findings, with [*] for every item and [key=value] for the item that has it.


def is_path(text: str) -> bool:
    """Whether a text is a path that an expectation can follow."""
    try:
        return bool(_steps(text))
    except ValueError:
        return False


def bound_problem(field: Mapping[str, Any]) -> str | None:
    """Why nothing is at least or at most what a field of an expectation states; None where something can be."""
    reading = field.get("as")
    for name in ("atLeast", "atMost"):
        if name in field and compare(field[name], field[name], reading=reading) is None:
            what = f"a {reading}" if reading else "a quantity, duration or percentage"
            return f"{field['path']}: {name} {_shown(field[name])} is not {what} that others can be compared with"
    return None


_steps = cache(parse_pattern)


def _written(value: Any) -> str | None:
    """A scalar as a path writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int | float) else None


def _reach(value: Any, path: Path, steps: Sequence[Step]) -> Iterator[tuple[Path, bool, Any]]:
    """(path, whether it is there, value) of what steps lead to; of a missing one, the path as far as it can be said.
    The items of an empty list are missing."""
    if not steps:
        yield path, True, value
        return
    step, rest = steps[0], steps[1:]
    if isinstance(step, Every):
        if not isinstance(value, list) or not value:
            yield path, False, None
        for number, item in enumerate(items(value)):
            yield from _reach(item, (*path, number), rest)
    elif isinstance(step, Having):
        # Of two items with one name either may be the one that takes effect: of variables it is the last.
        having = [n for n, item in enumerate(items(value)) if _written(mapping(item).get(step.key)) == step.value]
        for number in having:
            yield from _reach(value[number], (*path, number), rest)
        if not having:
            yield path, False, None
    elif isinstance(step, int):
        if step < len(items(value)):
            yield from _reach(items(value)[step], (*path, step), rest)
        else:
            yield path, False, None
    elif step in mapping(value):
        yield from _reach(value[step], (*path, step), rest)
    else:
        # As far as keys go: the engine points at the nearest existing parent.
        onward: list[str] = [step]
        for later in rest:
            if not isinstance(later, str):
                break
            onward.append(later)
        yield (*path, *onward), False, None
