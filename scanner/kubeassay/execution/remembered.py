"""A scan whose result is kept: of the same files by the same policy it is the same, and need not be worked out again.

What an entry of the cache (sources/cache.py) is found by is the digest of everything that a result depends on: names
and bytes of all files and what was seen beside them, the plan, what else is known to go unjudged, the programs that
read and judge; of what was rendered, of the files that it was made of, and the tool. What cannot be digested (a
plug-in's check, a rule in CEL, a cluster) is not kept. The files are read once, and judged as they were digested, so
that one that changes meanwhile is not kept under a digest which it does not have.

An entry holds what reports may show, so no values of Secrets. Of what comes from the plan (profile, rules, controls)
it holds nothing. It is JSON, read back with the type of every field checked: what does not fit is no result.
"""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from functools import cache
from types import FunctionType, NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import yaml
from yaml._yaml import get_version_string

from kubeassay import __version__
from kubeassay.engine.plan import Plan, rules_of
from kubeassay.execution.scan import WORTH_REMEMBERING
from kubeassay.model import (
    ExceptionUse,
    Finding,
    NotEvaluated,
    ReadError,
    Result,
    Skipped,
    Summary,
    Target,
)
from kubeassay.sources.cache import Cache, cache_folder, digest_of
from kubeassay.sources.files import Discovery, SourceFile
from kubeassay.sources.manifests import regular_content
from kubeassay.sources.rendering import Rendering

#: Larger ones are not held in memory as a whole.
_MOST = 128 * 2**20
_KIND = "result"

#: The fields of a result that an entry holds; the others are the plan's, or of other commands.
_KEPT: Mapping[str, Any] = {
    "summary": Summary,
    "findings": tuple[Finding, ...],
    "not_evaluated": tuple[NotEvaluated, ...],
    "errors": tuple[ReadError, ...],
    "skipped": tuple[Skipped, ...],
    "exceptions": tuple[ExceptionUse, ...],
}
#: The day that exceptions were judged by; empty where there are none, which no day changes.
_DAY = "day"


class _UnknownError(Exception):
    """Something of which it is not known how to digest or write it."""


def remembered(
    scan: Callable[..., Result],
    plan: Plan,
    discovery: Discovery,
    target: Target,
    *,
    stdin: bytes | None = None,
    not_evaluated: Iterable[NotEvaluated] = (),
    **options: Any,
) -> Result:
    """The result of ``scan`` (as :func:`kubeassay.execution.scan.scan` takes and gives them), from the cache where it
    is there. ``options``: what does not change it (processes, progress)."""
    unjudged = tuple(not_evaluated)

    def judged(discovery: Discovery) -> Result:
        return scan(plan, discovery, target, stdin=stdin, not_evaluated=unjudged, **options)

    size = sum(file.size for file in discovery.files) + len(stdin or b"")
    if not WORTH_REMEMBERING <= size <= _MOST or target.kind != "manifests":
        return judged(discovery)
    store = Cache.open(cache_folder(), version=__version__)
    if store is None:
        return judged(discovery)
    try:
        held = replace(discovery, files=[_held(file) for file in discovery.files])
        try:
            key = _key(plan, held, stdin, unjudged, options.get("stdin_name", "stdin"))
        except _UnknownError:
            return judged(discovery)
        known = store.get(_KIND, key)
        if known is not None:
            found = _read(known, plan, target)
            if found is not None:
                return found
        result = judged(held)
        written = _written(result, plan)
        # What would not be read back as it is does not come back at all.
        if written is not None and _read(written, plan, target) == result:
            store.put(_KIND, key, written)
        return result
    finally:
        store.close()


def _held(file: SourceFile) -> SourceFile:
    """A file with its bytes; as it is where it cannot be read, or is none."""
    if file.content is not None or file.live is not None:
        return file
    try:
        content = regular_content(file.path)
    except OSError:
        content = None
    return file if content is None else replace(file, content=content)


# What a result is found by


def _key(
    plan: Plan, discovery: Discovery, stdin: bytes | None, not_evaluated: tuple[NotEvaluated, ...], stdin_name: str
) -> str:
    files = []
    others = []
    for file in discovery.files:
        content = file.live[file.name] if file.live is not None else file.content
        if content is None:
            # It cannot be read; the next time it may be.
            raise _UnknownError
        files.append((file.name, content))
        # Every other field, those that come to be some day as well. Most files have none that says anything.
        rest = replace(file, path="", content=None, live=None, rendering=None)
        if file.rendering is not None:
            others.append((file.name, *_of_rendering(file.rendering)))
        if file.live is not None or rest != SourceFile("", file.name, file.size):
            others.append((file.live is not None, rest))
    if stdin is not None:
        files.append((f"<{stdin_name}", stdin))
    seen = _plain([replace(discovery, files=[]), others])
    judged = json.dumps([_of_plan(plan), seen, _plain(not_evaluated)], ensure_ascii=True, sort_keys=True)
    return digest_of(files, judged, _program())


def _of_rendering(rendering: Rendering) -> Iterator[Any]:
    """All that places of a rendered file, and what is made of its objects, depend on."""
    if not rendering.digest:
        raise _UnknownError
    yield from (rendering.digest, rendering.made_by, rendering.made_of.steps, rendering.environment)
    yield from (rendering.written, rendering.asked_by)
    if rendering.adjusted is not None:
        digest = getattr(rendering.adjusted, "digest", None)
        if not isinstance(digest, str):
            raise _UnknownError
        yield digest


def _of_plan(plan: Plan) -> Any:
    """Everything that a plan says; what only follows from that is left out."""
    if plan.places is not None or plan.count_by_file:
        raise _UnknownError
    for active in plan.rules:
        function = active.function
        # By its module and name it is a function of this program, whose text is digested.
        if (
            active.rule.expression is not None
            or not isinstance(function, FunctionType)
            or function.__closure__
            or not function.__module__.startswith("kubeassay.")
        ):
            raise _UnknownError
    stated = {
        field.name: getattr(plan, field.name)
        for field in fields(plan)
        if field.name not in ("rules", "by_subject", "exceptions", "places")
    }
    rules = [
        [
            {
                field.name: getattr(active, field.name)
                for field in fields(active)
                if field.name not in ("function", "context")
            },
            [active.function.__module__, getattr(active.function, "__qualname__", "")],
            active.context.kubernetes_version,
            active.context.parameters,
            len(active.context.inventory),
        ]
        for active in plan.rules
    ]
    # The day stands in the entry.
    situation = replace(plan.exceptions.situation, today=datetime.date.min)
    return _plain([stated, rules, plan.exceptions.all, situation])


def _plain(value: Any) -> Any:
    """A value as JSON that no other value has. Raises _UnknownError where it is not known to be such."""
    if value is None or value.__class__ in (bool, int, str):
        return value
    if value.__class__ is float:
        return {"float": repr(value)}
    if value.__class__ is bytes:
        return {"bytes": hashlib.blake2b(value).hexdigest()}
    if is_dataclass(value) and not isinstance(value, type):
        stated = [[field.name, _plain(getattr(value, field.name))] for field in fields(value)]
        return {value.__class__.__qualname__: stated}
    if isinstance(value, Mapping):
        # Their order may matter.
        return {"mapping": [[_plain(key), _plain(member)] for key, member in value.items()]}
    if isinstance(value, list | tuple):
        return [value.__class__.__name__, *map(_plain, value)]
    if isinstance(value, set | frozenset):
        return {"set": sorted(json.dumps(_plain(member), sort_keys=True) for member in value)}
    if hasattr(value, "isoformat"):
        return {"time": value.isoformat()}
    raise _UnknownError


@cache
def _program() -> str:
    """The digest of the program's own text and data, and the versions of what reads YAML: a version's number says
    nothing while it is being worked on."""
    folder = os.path.dirname(os.path.dirname(__file__))
    files = []
    for directory, directories, names in os.walk(folder):
        # Of the policy library, which is beside the program where it is installed, all that matters is in the plan.
        directories[:] = [name for name in directories if name not in ("__pycache__", "content")]
        for name in names:
            path = os.path.join(directory, name)
            try:
                with open(path, "rb") as stream:
                    files.append((os.path.relpath(path, folder), stream.read()))
            except OSError:
                raise _UnknownError from None
    if not files:
        raise _UnknownError
    return digest_of(files, __version__, sys.version, yaml.__version__, get_version_string())


# What an entry holds


def _written(result: Result, plan: Plan) -> bytes | None:
    kept = {name: _as_json(getattr(result, name)) for name in _KEPT}
    kept[_DAY] = plan.exceptions.situation.today.isoformat() if result.exceptions else ""
    try:
        return json.dumps(kept, ensure_ascii=True, separators=(",", ":")).encode()
    except (TypeError, ValueError):
        return None


def _as_json(value: Any) -> Any:
    """A field's value, without its type, which is that of the field."""
    if value is None or value.__class__ in (str, int, bool, float):
        return value
    if isinstance(value, tuple | list):
        return [_as_json(member) for member in value]
    if is_dataclass(value) and not isinstance(value, type):
        return [_as_json(getattr(value, name)) for name in _names(value.__class__)]
    if isinstance(value, Mapping):
        return {key: _as_json(member) for key, member in value.items()}
    return value


@cache
def _names(of: type) -> tuple[str, ...]:
    return tuple(field.name for field in fields(of))


def _read(content: bytes, plan: Plan, target: Target) -> Result | None:
    """The result that an entry holds; None where it holds none."""
    rules, severities, controls = rules_of(plan)
    try:
        kept = json.loads(content)
        if not isinstance(kept, dict) or kept.keys() != {*_KEPT, _DAY}:
            return None
        if kept[_DAY] not in ("", plan.exceptions.situation.today.isoformat()):
            return None
        found = {name: _reader(form)(kept[name]) for name, form in _KEPT.items()}
    except (ValueError, RecursionError):
        return None
    return Result(
        tool_version=__version__,
        profile=plan.profile,
        kubernetes_version=str(plan.version),
        target=target,
        rules=rules,
        rule_severities=severities,
        controls=controls,
        **found,
    )


@cache
def _reader(form: Any) -> Callable[[Any], Any]:
    """What reads a value of a type: it gives the value, or raises ValueError."""
    if form is Any:
        return lambda value: value
    if form in (str, int, bool, NoneType):

        def scalar(value: Any) -> Any:
            if value.__class__ is not form:
                raise ValueError
            return value

        return scalar
    origin, arguments = get_origin(form), get_args(form)
    if origin is Literal:

        def one_of(value: Any) -> Any:
            if value not in arguments:
                raise ValueError
            return value

        return one_of
    if origin in (Union, UnionType) and len(arguments) == 2 and NoneType in arguments:
        (other,) = (argument for argument in arguments if argument is not NoneType)
        present = _reader(other)
        return lambda value: None if value is None else present(value)
    if origin is tuple:
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            return _sequence(_reader(arguments[0]))
        return _several(tuple, tuple(map(_reader, arguments)))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return _mapping(_reader(arguments[1]))
    if dataclasses.is_dataclass(form) and isinstance(form, type):
        hints = get_type_hints(form)
        return _several(lambda values: form(*values), tuple(_reader(hints[name]) for name in _names(form)))
    raise TypeError(f"no way to read {form}")


def _sequence(member: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def sequence(value: Any) -> Any:
        if value.__class__ is not list:
            raise ValueError
        return tuple(map(member, value))

    return sequence


def _several(made: Callable[[Iterable[Any]], Any], members: tuple[Callable[[Any], Any], ...]) -> Callable[[Any], Any]:
    def several(value: Any) -> Any:
        if value.__class__ is not list or len(value) != len(members):
            raise ValueError
        return made([member(one) for member, one in zip(members, value, strict=True)])

    return several


def _mapping(member: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def mapping(value: Any) -> Any:
        if value.__class__ is not dict:
            raise ValueError
        return {key: member(one) for key, one in value.items()}

    return mapping
