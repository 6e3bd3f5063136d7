"""Places that are claimed for fields of a chart are proved: what is changed there changes the field.

Every scalar of every object that the chart of fixtures/charts renders to is asked for its place. Where a place is said
to state it, the text there is replaced, the chart is rendered again, and the field has to be another one. What is
missing and placed at its nearest parent: the key there is renamed, and the parent has to be gone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from charts import demand_of, leaves, render, storefront, use_helm
from kubeassay.model import Location, Object, ObjectRef, Traced
from kubeassay.model import Path as FieldPath
from kubeassay.sources.helm_template import template
from kubeassay.sources.manifests import read_bytes
from kubeassay.sources.rendering import Limits

#: What values files are given, and parameters.
VALUES: dict[str, tuple[tuple[str, ...], tuple[tuple[str, bool], ...]]] = {
    "default": ((), ()),
    "production": (("values-production.yaml",), ()),
    "staging, production": (("values-staging.yaml", "values-production.yaml"), ()),
    "production, parameters": (
        ("values-production.yaml",),
        (("privileged=true", False), ("sidecars.logs.image=registry.example/x:1", False)),
    ),
}
#: A field by the object that it is in.
Field = tuple[ObjectRef, FieldPath]


@pytest.fixture(autouse=True)
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    use_helm(monkeypatch)
    monkeypatch.chdir(tmp_path)
    storefront(tmp_path)
    return tmp_path


def _options(tree: Path, values: str) -> dict[str, Any]:
    files, parameters = VALUES[values]
    paths = tuple(str(tree / "charts/storefront" / file) for file in files)
    return {"values": paths, "parameters": parameters, "hooks": True}


def _objects(tree: Path, values: str) -> list[Object]:
    output = render(tree / "charts/storefront", **_options(tree, values))
    assert not output.errors, output.errors
    return read_bytes(output.text.encode(), "rendered").objects


def _fields(objects: list[Object]) -> dict[Field, Any]:
    return {(obj.ref, path): obj.get(*path) for obj in objects for path in leaves(obj.value)}


def _traced(tree: Path, values: str) -> Iterator[tuple[Object, FieldPath, Traced]]:
    output = template(demand_of(tree / "charts/storefront", **_options(tree, values)), Limits())
    assert output.tracer is not None
    for obj in read_bytes(output.text.encode(), "rendered").objects:
        for path in leaves(obj.value):
            yield obj, path, output.tracer.trace(obj, path)


def _replaced(tree: Path, place: Location, change: Callable[[str], str]) -> str:
    """Replace the text at a place; the text that was there."""
    assert place.start_line == place.end_line, place
    file = tree / place.file
    lines = file.read_text().split("\n")
    line = lines[place.start_line - 1]
    old = line[place.start_column - 1 : place.end_column - 1]
    lines[place.start_line - 1] = line[: place.start_column - 1] + change(old) + line[place.end_column - 1 :]
    file.write_text("\n".join(lines))
    return old


def _other(text: str) -> str:
    """Another value of the same type."""
    if text in ("true", "false"):
        return {"true": "false", "false": "true"}[text]
    if re.fullmatch(r"\d+", text):
        return str(int(text) + 1)
    quote = text[:1] if text[:1] in ('"', "'") else ""
    return f"{quote}Changed{text[len(quote) :]}"


@pytest.mark.parametrize("values", list(VALUES))
def test_what_is_changed_at_the_place_of_a_field_changes_it(tree: Path, values: str) -> None:
    before = _fields(_objects(tree, values))
    claimed: dict[Location, set[Field]] = {}
    states = {"stated": 0, "parent": 0, "rendering": 0}
    for obj, path, traced in _traced(tree, values):
        states[traced.state] += 1
        if traced.state == "stated":
            claimed.setdefault(traced.location, set()).add((obj.ref, path))
    # Of a chart that is written as most are, most places are known.
    assert states["parent"] == 0
    assert states["stated"] > 0.7 * sum(states.values()), states
    elsewhere = {field: place for place, fields in claimed.items() for field in fields}
    for place, fields in claimed.items():
        text = (tree / place.file).read_text()
        old = _replaced(tree, place, _other)
        after = _fields(_objects(tree, values))
        (tree / place.file).write_text(text)
        same = {field for field in fields if field in after and after[field] == before[field]}
        assert not same, f"{place} ({old}) does not state {same}"
        # Nor does it state what is said to be stated elsewhere. Where it is in a name, the object is another.
        names = {field[0] for field in after}
        for field in before.keys() - fields:
            if field in elsewhere and field[0] in names:
                assert after.get(field) == before[field], f"{place} ({old}) states {field}, not {elsewhere[field]}"


@pytest.mark.parametrize("values", ["default", "staging, production"])
def test_what_is_renamed_at_the_nearest_parent_of_a_missing_field_is_gone(tree: Path, values: str) -> None:
    output = template(demand_of(tree / "charts/storefront", **_options(tree, values)), Limits())
    assert output.tracer is not None
    seen: set[Location] = set()
    for obj in read_bytes(output.text.encode(), "rendered").objects:
        parents = {path[:end] for path in leaves(obj.value) for end in range(1, len(path))}
        for parent in sorted(parents, key=repr):
            if not isinstance(obj.get(*parent), dict) or not isinstance(parent[-1], str):
                continue
            traced = output.tracer.trace(obj, (*parent, "missing"))
            if traced.state != "parent" or traced.location in seen:
                continue
            seen.add(traced.location)
            text = (tree / traced.location.file).read_text()
            assert _replaced(tree, traced.location, lambda key: f"{key}Renamed") == parent[-1]
            changed = render(tree / "charts/storefront", **_options(tree, values))
            (tree / traced.location.file).write_text(text)
            after = {each.ref: each for each in read_bytes(changed.text.encode(), "rendered").objects}
            assert obj.ref not in after or after[obj.ref].get(*parent) is None, traced
    assert len(seen) > 20


def test_a_wrong_place_would_be_found(tree: Path) -> None:
    """The proof can fail: the line of the values file that does not hold changes nothing."""
    before = _fields(_objects(tree, "production"))
    lines = (tree / "charts/storefront/values.yaml").read_text().split("\n")
    number = lines.index("  automount: false") + 1
    assert _replaced(tree, Location("charts/storefront/values.yaml", number, 14, number, 19), _other) == "false"
    assert _fields(_objects(tree, "production")) == before
    assert _fields(_objects(tree, "default")) != before
