"""What Helm says where it does not render: at the file and line of it, without values that may be secret."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from kubeassay.analysis.sensitive import names_secret, sensitive_paths
from kubeassay.model import Object, Path, ReadError
from kubeassay.sources.helm_chart import CHART, VALUES, Chart, ChartFile, mapping_in, values_object
from kubeassay.sources.helm_run import file_of
from kubeassay.sources.helm_secrets import literals
from kubeassay.sources.rendering import HelmDemand
from kubeassay.sources.yaml_reader import read_text

#: Places in what text/template and Helm's engine say (helm v3.19.5, pkg/engine/engine.go).
_PLACE = re.compile(
    r"(?:template: |error at \(|error in \()(?P<file>[^:()\n]+):(?P<line>\d+)(?::(?P<column>\d+))?\)?: ?"
)
#: Where Go's lexer comes to the end of what is not closed, it says the line at which that begins, too.
_UNCLOSED = re.compile(r"unclosed action started at (?P<file>[^:()\n]+):(?P<line>\d+)")
_YAML = re.compile(r"YAML parse error on (?P<file>[^:\n]+): (?P<what>.*)", re.DOTALL)
_SCHEMA = "values don't meet the specifications of the schema(s)"
_SCHEMA_AT = re.compile(r"^- at '(?P<path>[^'\n]*)': (?P<what>.*)$", re.MULTILINE)
_SCHEMA_CHART = re.compile(r"^(?P<chart>\S.*):$", re.MULTILINE)
#: What Helm says of values that it cannot read (pkg/cli/values/options.go, pkg/chart/loader/load.go): of a file by the
#: name that sources/helm_run.py gave it, or of a chart's own.
_OF_VALUES = re.compile(
    r"(?:failed to parse \S*/values-(?P<number>\d+)\.yaml|cannot load values\.yaml): (?P<what>.*)", re.DOTALL
)
_SUB_CHART = re.compile(r"error unpacking subchart (?P<name>\S+) in ")
_YAML_LINE = re.compile(r"\bline (\d+): ")
#: What Helm says of Chart.yaml: the field of it, and what is wrong.
_METADATA = re.compile(r"chart requires (?P<first>kubeVersion)\b|validation: chart\.metadata\.(?P<second>\w+) ")
_VALUE_PATH = re.compile(r"\.Values((?:\.\w+)+)")
_KIND_SECRET = re.compile(r"^kind:[ \t]*[\"']?Secret\b", re.MULTILINE)
_MOST = 600
_MASK = "…"


def secrets_in(chart: Chart, files: Iterable[ChartFile], demand: HelmDemand) -> list[str]:
    """Texts of values that may be secret, by the names of their keys or because a template of a Secret mentions them:
    messages are not to have them, the longest first. ``files``: the values files that are given."""
    found: set[str] = set()
    of_secrets = set(_paths_in_secrets(chart))
    for each in chart.walk():
        for key, template in each.files.items():
            if key.startswith("templates/"):
                # What is as short as three characters is in any message.
                found.update(text for text in literals(template.document().text) if len(text) > 3)
    files = [*files, *(each.files[VALUES] for each in chart.walk() if VALUES in each.files)]
    inline = [ChartFile(demand.inline.encode(), "", "")] if demand.inline else []
    for file in [*files, *inline]:
        _, obj = values_object(file)
        if obj is not None:
            found.update(_texts(obj, sensitive_paths(obj.value)))
            found.update(_texts(obj, of_secrets))
    for parameter, _ in demand.parameters:
        for part in parameter.split(","):
            key, _, value = part.partition("=")
            if names_secret(key.rpartition(".")[2]) or tuple(key.split(".")) in of_secrets:
                found.add(value)
    found.discard("")
    encoded = {b64encode(text.encode()).decode() for text in found}
    return sorted((text for text in found | encoded if len(text) > 2), key=len, reverse=True)


def _paths_in_secrets(chart: Chart) -> Iterator[tuple[str, ...]]:
    """The paths of values that templates of Secrets mention: in a chart's own values, and in those of the outermost."""
    for each in chart.walk():
        for key, file in each.files.items():
            if key.startswith("templates/") and _KIND_SECRET.search(text := file.document().text):
                for match in _VALUE_PATH.finditer(text):
                    path = tuple(match[1].split(".")[1:])
                    yield path
                    yield (*each.keys, *path)


def _texts(obj: Object, paths: Iterable[Path]) -> Iterator[str]:
    for path in paths:
        value = obj.get(*path)
        if isinstance(value, str):
            yield value
            yield from (line.strip() for line in value.splitlines())
        elif value is not None and not isinstance(value, bool):
            yield str(value)


def masked(text: str, secrets: Sequence[str]) -> str:
    """A text without the secrets, however templates changed their case."""
    for secret in secrets:
        text = re.sub(re.escape(secret), _MASK, text, flags=re.IGNORECASE)
    return text


def errors_of(said: str, chart: Chart, demand: HelmDemand, values: Sequence[ChartFile]) -> Iterator[ReadError]:
    """The errors in what Helm said: one, but for a schema, which may refuse several values."""
    secrets = secrets_in(chart, values, demand)
    _, _, text = said.rpartition("\nError: ") if "\nError: " in said else said.rpartition("Error: ")
    text = text.strip().removesuffix("Use --debug flag to render out invalid YAML").strip()
    if _SCHEMA in text:
        yield from _schema_errors(text, chart, demand, values, secrets)
        return
    of_values = _OF_VALUES.search(text)
    if of_values is not None:
        yield _values_error(of_values, text, chart, demand, values, secrets)
        return
    unclosed = _UNCLOSED.search(text)
    if unclosed is not None and (found := file_of(chart, unclosed["file"])):
        yield ReadError(found[2].name, "cannot be rendered: an action is not closed", int(unclosed["line"]))
        return
    places = [(match, found) for match in _PLACE.finditer(text) if (found := file_of(chart, match["file"]))]
    if places:
        # The innermost: what a named template could not do stands in there.
        match, (_, _, file) = places[-1]
        message = _plain(text[match.end() :]) or _plain(text)
        column = _column(file, int(match["line"]), int(match["column"])) if match["column"] else None
        yield ReadError(
            file.name, _shortened(masked(f"cannot be rendered: {message}", secrets)), int(match["line"]), column
        )
        return
    no_yaml = _YAML.search(text)
    if no_yaml is not None and (found := file_of(chart, no_yaml["file"])):
        message = f"renders to what is no YAML: {_plain(no_yaml['what'])}"
        yield ReadError(found[2].name, _shortened(masked(message, secrets)))
        return
    message = _shortened(masked(f"cannot be rendered: {_plain(text) or 'helm failed'}", secrets))
    of_metadata = _METADATA.match(text)
    if of_metadata is not None:
        yield _metadata_error(of_metadata["first"] or of_metadata["second"], text, chart, demand, message)
        return
    yield ReadError(demand.name, message)


def _values_error(
    match: re.Match[str],
    text: str,
    chart: Chart,
    demand: HelmDemand,
    values: Sequence[ChartFile],
    secrets: Sequence[str],
) -> ReadError:
    """An error of values that Helm cannot read, in the file that has them. Of what they hold nothing is told: it has no
    keys by which secrets could be known."""
    what = match["what"]
    if "cannot unmarshal" in what:
        what = "they are no mapping"
    what = _plain(re.sub(r"\bmap\[.*", _MASK, what, flags=re.DOTALL))
    if match["number"] is not None:
        number = int(match["number"])
        if number >= len(values):
            return ReadError(
                demand.name, _shortened(masked(f"the values given inline cannot be read: {what}", secrets))
            )
        file: ChartFile | None = values[number]
    else:
        of = chart
        for name in _SUB_CHART.findall(text):
            of = next((child for child in of.children if child.metadata.get("name") == name), of)
        file = of.files.get(VALUES)
    message = _shortened(masked(f"the values cannot be read: {what}: the chart is not rendered", secrets))
    if file is None:
        return ReadError(demand.name, message)
    # Helm's line is often the next one, or none.
    errors = read_text(file.document().text, file.name).errors
    if errors:
        return ReadError(file.name, message, errors[0].line, errors[0].column)
    line = _YAML_LINE.search(match["what"])
    return ReadError(file.name, message, int(line[1]) if line is not None else None)


def _metadata_error(key: str, text: str, chart: Chart, demand: HelmDemand, message: str) -> ReadError:
    """An error at the field of Chart.yaml that Helm does not take; that may be another chart's."""
    file = chart.files.get(CHART)
    if file is not None:
        metadata, document = mapping_in(file)
        if document is not None and key in metadata and (str(metadata[key]) in text or not chart.children):
            at = document.spans.locate(document.root, (key,))
            return ReadError(file.name, message, at.start_line, at.start_column)
    return ReadError(demand.name, message)


def _plain(text: str) -> str:
    """A message on one line, without what only says how Helm got there."""
    text = re.sub(r'executing "[^"]*" at <(.*?)>: ', r"\1: ", text)
    return " ".join(re.sub(r"error converting YAML to JSON: ", "", text).split())


def _shortened(text: str) -> str:
    return text if len(text) <= _MOST else f"{text[:_MOST]}…"


def _column(file: ChartFile, line: int, byte: int) -> int | None:
    """A column, counted from 1 in UTF-16 units, of Go's, counted from 0 in bytes."""
    lines = file.document().text.encode().split(b"\n")
    if not 0 < line <= len(lines) or byte > len(lines[line - 1]):
        return None
    return len(lines[line - 1][:byte].decode("utf-8", "ignore").encode("utf-16-le")) // 2 + 1


def _schema_errors(
    text: str, chart: Chart, demand: HelmDemand, values: Sequence[ChartFile], secrets: Sequence[str]
) -> Iterator[ReadError]:
    by_name = {each.name: each for each in chart.walk()}
    position = text.index(_SCHEMA)
    heads = [match for match in _SCHEMA_CHART.finditer(text, position) if match["chart"] in by_name]
    said = False
    for head, following in zip(heads, [*heads[1:], None], strict=True):
        of = by_name[head["chart"]]
        for match in _SCHEMA_AT.finditer(text, head.end(), len(text) if following is None else following.start()):
            said = True
            keys = [key.replace("~1", "/").replace("~0", "~") for key in match["path"].split("/") if key]
            shown = ".".join(keys) or "they"
            # A message about a secret's form may state it.
            what = "" if any(map(names_secret, keys)) else f": {match['what'].strip()}"
            message = f"cannot be rendered: the values' schema refuses {shown}{what}"
            yield _stated((*of.keys, *keys), of, chart, demand, values, _shortened(masked(message, secrets)))
    if not said:
        schema = chart.files.get("values.schema.json")
        name = demand.name if schema is None else schema.name
        yield ReadError(name, _shortened(masked(f"cannot be rendered: {_plain(text[position:])}", secrets)))


def _stated(
    path: Sequence[str], of: Chart, chart: Chart, demand: HelmDemand, values: Sequence[ChartFile], message: str
) -> ReadError:
    """An error at the entry of the values file that states what is refused; where none does, at the schema."""
    layers = [(file, tuple(path)) for file in reversed(values)]
    if VALUES in chart.files:
        layers.append((chart.files[VALUES], tuple(path)))
    if of is not chart and VALUES in of.files:
        layers.append((of.files[VALUES], tuple(path[len(of.keys) :])))
    if not _inline_states(demand, path):
        for file, keys in layers:
            _, obj = values_object(file)
            steps: list[str | int] = []
            value: Any = None if obj is None else obj.value
            for key in keys:
                if isinstance(value, dict) and key in value:
                    steps.append(key)
                    value = value[key]
                elif isinstance(value, list) and key.isdigit() and int(key) < len(value):
                    steps.append(int(key))
                    value = value[int(key)]
                else:
                    break
            else:
                if obj is not None and steps:
                    at = obj.locate(tuple(steps))
                    return ReadError(file.name, message, at.start_line, at.start_column)
    schema = of.files.get("values.schema.json") or chart.files.get("values.schema.json")
    return ReadError(demand.name if schema is None else schema.name, message)


def _inline_states(demand: HelmDemand, path: Sequence[str]) -> bool:
    """Whether what is no file may state a value: then no file's line is that of it."""
    first = path[0] if path else ""
    return first in demand.inline or any(first in parameter for parameter, _ in demand.parameters)
