"""Which entry of which values file a chart's templates get a value from."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from kubeassay.model import Object, Path, SourceDocument
from kubeassay.sources.helm_chart import VALUES, Chart, ChartFile, values_object
from kubeassay.sources.rendering import HelmDemand
from kubeassay.sources.yaml_reader import read_text


@dataclass(frozen=True, slots=True)
class Entry:
    """What states a value. ``obj`` and ``document`` None: no file does, but what ``said`` names."""

    value: Any
    path: Path
    said: str
    document: SourceDocument | None = None
    obj: Object | None = None


@dataclass(frozen=True, slots=True)
class _Layer:
    root: Any
    said: str
    document: SourceDocument | None = None
    obj: Object | None = None


class Values:
    """The values of a chart and its sub-charts, in layers as Helm puts them (helm v3.19.5, pkg/chartutil/coalesce.go):
    parameters over values given inline, over values files, over the chart's own, over a sub-chart's own."""

    def __init__(self, chart: Chart, files: Sequence[ChartFile], demand: HelmDemand) -> None:
        self._chart = chart
        self._demand = demand
        self._given = [_layer(file) for file in reversed(files)]
        #: Whether a chart's own values may not be what Helm reads.
        self.uncertain = _may_ignore_values(chart)
        self._own: dict[str, _Layer | None] = {}
        self._parameters = [path for text, _ in demand.parameters for path in parameter_paths(text)]
        documents = read_text(demand.inline, "").documents if demand.inline else ()
        self._inline = _root(documents[0].root) if documents else {}

    def entry(self, chart: Chart, path: Path) -> Entry | None:
        """What states the value at a path of a chart's values; None where nothing does, or where that is not plain."""
        found = self._entries(chart, path)
        entry = next(found, None)
        if entry is not None and path[:1] == ("global",) and chart.keys:
            # A parent's global values and a sub-chart's are mixed; only one that stands alone is certain.
            return entry if next(found, None) is None else None
        return entry

    def _entries(self, chart: Chart, path: Path) -> Iterator[Entry]:
        routes = [(*chart.keys, *path)]
        if chart.keys and path[:1] == ("global",):
            routes = [(*chart.keys[:depth], *path) for depth in range(len(chart.keys) + 1)]
        for route in routes:
            if any(_touches(parameter, route) for parameter in self._parameters):
                yield Entry(None, (), f"a parameter sets {_dotted(route)}")
            found = _in(self._inline, route)
            if found is not None:
                yield self._inline_entry(found[0], route)
                if not (found[1] and isinstance(found[0], dict)):
                    return
            for layer in self._given:
                entry, hides = _look(layer, route)
                if entry is not None:
                    yield entry
                if hides:
                    return
        for level in self._lineage(chart):
            own = self._layer_of(level)
            for route in routes:
                if own is not None and route[: len(level.keys)] == level.keys:
                    entry, hides = _look(own, route[len(level.keys) :])
                    if entry is not None:
                        yield entry
                    if hides:
                        return

    def _inline_entry(self, value: Any, route: Path) -> Entry:
        by = f" of {self._demand.asked_by}" if self._demand.asked_by else ""
        said = f"the values given inline{by} set {_dotted(route)}"
        at = self._demand.stated
        if at is not None and at.obj.made_of is None:
            # What it states may be changed on the way (build variables), or be one of several that are merged.
            stated = at.obj.get(*at.path, *route)
            if type(stated) is type(value) and stated == value:
                return Entry(value, (*at.path, *route), said, at.document, at.obj)
        return Entry(value, (), said)

    def _lineage(self, chart: Chart) -> Iterator[Chart]:
        """The charts that a chart is in, outermost first, and the chart."""
        level = self._chart
        yield level
        for key in chart.keys:
            level = next((child for child in level.children if child.name == key), level)
            yield level

    def _layer_of(self, chart: Chart) -> _Layer | None:
        key = "/".join(chart.keys)
        if key not in self._own:
            file = chart.files.get(VALUES)
            self._own[key] = None if file is None else _layer(file, packed=chart.archive is not None)
        return self._own[key]


def _may_ignore_values(chart: Chart) -> bool:
    """Whether ``.helmignore`` may name a values file of a chart or of its sub-charts: taken wider than Helm does, for
    where it does, others hold."""
    ignore = chart.files.get(".helmignore")
    if ignore is None:
        return False
    patterns = [line.strip().strip("!/") for line in ignore.document().text.splitlines()]
    patterns = [pattern for pattern in patterns if pattern and not pattern.startswith("#")]
    for each in chart.walk():
        parts = f"{each.folder}{VALUES}".split("/")
        names = [*parts, *("/".join(parts[:end]) for end in range(1, len(parts) + 1))]
        if each.archive is None and any(fnmatchcase(name, pattern) for name in names for pattern in patterns):
            return True
    return False


def _layer(file: ChartFile, *, packed: bool = False) -> _Layer:
    document, obj = values_object(file)
    if packed:
        return _Layer(_root(None if obj is None else obj.value), f"the values.yaml packed in {file.name} states it")
    return _Layer(_root(None if obj is None else obj.value), f"{file.name} states it", document, obj)


def _root(value: Any) -> Any:
    """Values of a file: one that has none, or but comments, states nothing."""
    return {} if value is None else value


def _look(layer: _Layer, path: Path) -> tuple[Entry | None, bool]:
    """What a layer states at a path, and whether it hides what layers below state there."""
    found = _in(layer.root, path)
    if found is None:
        return None, False
    value, whole = found
    if not whole:
        return None, True
    return Entry(value, path, layer.said, layer.document, layer.obj), not isinstance(value, dict)


def _in(value: Any, path: Path) -> tuple[Any, bool] | None:
    """(value, True) of a path; (None, False) where something that is no mapping stands on the way; None where nothing
    is stated."""
    for step in path:
        if isinstance(value, dict):
            if step not in value:
                return None
            value = value[step]
        # The key that a range is at comes as text.
        elif isinstance(value, list) and str(step).isdigit() and int(step) < len(value):
            value = value[int(step)]
        else:
            return (None, False)
    return (value, True) if path else None


def _touches(parameter: Path, path: Path) -> bool:
    """Whether a parameter sets what is at a path, a part of it, or what it is in."""
    length = min(len(parameter), len(path))
    return parameter[:length] == path[:length]


def _dotted(path: Path) -> str:
    return ".".join(map(str, path))


def parameter_paths(text: str) -> Iterator[Path]:
    """The paths that a text of ``--set`` sets (helm.sh/helm/v3/pkg/strvals): of keys up to an index in a list."""
    for part in re.split(r"(?<!\\),(?![^{]*\})", text):
        key, equals, _ = part.partition("=")
        if equals or key:
            steps = re.split(r"(?<!\\)\.", re.sub(r"\[.*", "", key.strip()))
            yield tuple(step.replace("\\.", ".").replace("\\,", ",") for step in steps if step)
