"""Where a rendered field is said to be stated, changing it there changes the field: what the tests of that share.

A tree is built, and for every scalar of every object that came of it the tracer is asked. Where it claims a place, a
copy of the tree has another value there, and is built again: the field has to change, or its object to be gone. A claim
of ``rendering`` claims nothing.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kubeassay.model import Location, Object, Traced
from kubeassay.model import Path as FieldPath
from kubeassay.sources.kustomize_build import build
from kubeassay.sources.manifests import read_bytes
from kubeassay.sources.rendering import KustomizeDemand, Limits, Output

_MISSING = object()


@dataclass(frozen=True, slots=True)
class Claim:
    """A field of a rendered object, and where it is said to be stated."""

    number: int
    obj: Object
    path: FieldPath
    traced: Traced


def write(root: Path, files: Mapping[str, str]) -> None:
    shutil.rmtree(root, ignore_errors=True)
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())


def built(root: Path, folder: str) -> Output:
    real = os.path.realpath(root)
    return build(KustomizeDemand(f"{real}/{folder}", f"{folder}/kustomization.yaml", real), Limits())


def objects_of(output: Output) -> list[Object]:
    return read_bytes(output.text.encode(), "made.yaml").objects


def _scalars(value: Any, path: FieldPath = ()) -> Iterator[FieldPath]:
    members: Iterator[tuple[Any, Any]]
    if isinstance(value, dict):
        members = iter(value.items())
    elif isinstance(value, list):
        members = iter(enumerate(value))
    else:
        yield path
        return
    for step, member in members:
        yield from _scalars(member, (*path, step))


def claims_of(output: Output) -> list[Claim]:
    assert output.tracer is not None, output.errors
    found = []
    for number, obj in enumerate(objects_of(output)):
        for path in _scalars(obj.value):
            traced = output.tracer.trace(obj, path)
            assert traced.location.start_line > 0
            if traced.state == "stated":
                found.append(Claim(number, obj, path, traced))
    return found


def _offset(text: str, line: int, column: int) -> int:
    return sum(len(one) + 1 for one in text.split("\n")[: line - 1]) + column - 1


def _other(raw: str) -> str:
    """Another value of the same type."""
    plain = raw.strip("'\"")
    if raw in ("true", "false"):
        return "false" if raw == "true" else "true"
    if raw.isdigit():
        return str(int(raw) + 1)
    return f"{raw[0]}{plain}x{raw[0]}" if raw[0] in "'\"" else f"{plain}x"


def _mutated(text: str, at: Location) -> str:
    start = _offset(text, at.start_line, at.start_column)
    end = _offset(text, at.end_line, at.end_column)
    raw = text[start:end]
    assert raw, at
    return text[:start] + _other(raw) + text[end:]


def _same(objects: list[Object], claim: Claim, before: list[Object]) -> Object | None:
    """The object of a claim among those of another build."""
    found = [obj for obj in objects if _id(obj) == _id(claim.obj)]
    if len(found) == 1:
        return found[0]
    # It has another name now, perhaps: the one at its place, if that is of its kind, and was not there.
    if len(objects) == len(before):
        other = objects[claim.number]
        if other.ref.kind == claim.obj.ref.kind and _id(other) not in set(map(_id, before)):
            return other
    return None


def _id(obj: Object) -> tuple[str, str, str | None]:
    return obj.ref.kind, obj.ref.name, obj.ref.namespace


def prove(root: Path, folder: str, files: Mapping[str, str], claims: list[Claim], before: list[Object]) -> list[str]:
    """The claims that do not hold."""
    wrong = []
    for claim in claims:
        file = claim.traced.location.file
        text = files[file]
        (root / file).write_bytes(_mutated(text, claim.traced.location).encode())
        output = built(root, folder)
        (root / file).write_bytes(text.encode())
        if output.tracer is None:
            # It cannot be built with that: what has the name of something, or selects it.
            continue
        again = _same(objects_of(output), claim, before)
        value = claim.obj.get(*claim.path)
        if again is not None and again.get(*claim.path, default=_MISSING) == value:
            at = claim.traced.location
            wrong.append(f"{claim.obj.ref} {claim.path} = {value!r}: {at.file}:{at.start_line}:{at.start_column}")
    return wrong
