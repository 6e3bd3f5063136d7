"""Proof that the places which are claimed for a chart's fields are theirs: by changing what stands there."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from charts import leaves, render
from kubeassay.model import Location, Object, ObjectRef, Traced
from kubeassay.model import Path as FieldPath
from kubeassay.sources.manifests import read_bytes

#: A field by the object that it is in. Names of objects are told apart by their order where they are not by names.
Field = tuple[ObjectRef, FieldPath]


def _objects(text: str) -> list[Object]:
    return read_bytes(text.encode(), "rendered").objects


def fields_of(chart: Path, **options: Any) -> dict[Field, Any] | None:
    """The scalars of what a chart in the current folder renders to; None where it does not."""
    output = render(chart, **options)
    if output.errors:
        return None
    return {(obj.ref, path): obj.get(*path) for obj in _objects(output.text) for path in leaves(obj.value)}


def claims(chart: Path, **options: Any) -> dict[Field, Traced]:
    """What is said of the places of all scalars."""
    output = render(chart, **options)
    assert output.tracer is not None, output.errors
    return {
        (obj.ref, path): output.tracer.trace(obj, path) for obj in _objects(output.text) for path in leaves(obj.value)
    }


def parents(chart: Path, **options: Any) -> dict[Field, Traced]:
    """What is said of the places of fields that are missing in mappings, where that is their parent's. The fields are
    the parents."""
    output = render(chart, **options)
    assert output.tracer is not None, output.errors
    found = {}
    for obj in _objects(output.text):
        for parent in {path[:end] for path in leaves(obj.value) for end in range(1, len(path))}:
            if isinstance(obj.get(*parent), dict) and isinstance(parent[-1], str):
                traced = output.tracer.trace(obj, (*parent, "missing"))
                if traced.state == "parent":
                    found[obj.ref, parent] = traced
    return found


@contextmanager
def replaced(place: Location, change: Callable[[str], str] | None = None) -> Iterator[str]:
    """Another text at a place, for a while; the text that is there else."""
    file = Path(place.file)
    text = file.read_bytes().decode()
    lines = text.split("\n")
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line) + 1)
    start = starts[place.start_line - 1] + place.start_column - 1
    end = starts[place.end_line - 1] + place.end_column - 1
    old = text[start:end]
    file.write_bytes((text[:start] + (change or other)(old) + text[end:]).encode())
    try:
        yield old
    finally:
        file.write_bytes(text.encode())


def other(text: str) -> str:
    """Another value of the same type."""
    if text in ("true", "false"):
        return {"true": "false", "false": "true"}[text]
    if re.fullmatch(r"\d+", text):
        return str(int(text) + 1)
    mark = re.match(r"[|>][-+]?\n\s*|[\"']|", text)
    assert mark is not None
    return f"{mark[0]}Changed{text[mark.end() :]}"


def prove(chart: Path, traced: Mapping[Field, Traced], **options: Any) -> None:
    """Each claimed place states its fields, and none that are said to be stated elsewhere."""
    before = fields_of(chart, **options)
    assert before is not None
    claimed: dict[Location, set[Field]] = {}
    for field, each in traced.items():
        if each.state == "stated":
            claimed.setdefault(each.location, set()).add(field)
    elsewhere = {field: place for place, fields in claimed.items() for field in fields}
    for place, fields in claimed.items():
        with replaced(place) as old:
            after = fields_of(chart, **options)
        if after is None:
            # It is no longer what the chart takes: it matters, at least.
            continue
        same = {field for field in fields if field in after and after[field] == before[field]}
        assert not same, f"{place} ({old}) does not state {same}"
        # Where it is in a name, the object is another.
        names = {ref for ref, _ in after}
        for field in before.keys() - fields:
            if field in elsewhere and field[0] in names:
                assert after.get(field) == before[field], f"{place} ({old}) states {field}, not {elsewhere[field]}"


def prove_parents(chart: Path, traced: Mapping[Field, Traced], **options: Any) -> None:
    """Each parent that a missing field is placed at is stated there."""
    for place in {each.location for each in traced.values()}:
        fields = [field for field, each in traced.items() if each.location == place]
        with replaced(place, lambda key: f"{key}Renamed") as key:
            after = {obj.ref: obj for obj in _objects(render(chart, **options).text)}
        for ref, path in fields:
            assert key == path[-1], place
            assert ref not in after or after[ref].get(*path) is None, f"{place} does not state {path} of {ref}"
