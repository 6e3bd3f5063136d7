"""What Helm says where it does not render: at the file and line of it, without values that may be secret."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from kubeassay.analysis.sensitive import names_secret, sensitive_paths
from kubeassay.model import Object, ReadError
from kubeassay.sources.helm_chart import CHART, VALUES, Chart, ChartFile, values_object
from kubeassay.sources.helm_run import file_of
from kubeassay.sources.helm_secrets import is_of_secrets, literals
from kubeassay.sources.manifests import byte_order
from kubeassay.sources.rendering import HelmDemand
from kubeassay.sources.yaml_reader import read_text

#: Places in what text/template and Helm's engine say (helm v3.19.5, pkg/engine/engine.go).
_PLACE = re.compile(
    r"(?:template: |error at \(|error in \()(?P<file>[^:()\n]+):(?P<line>\d+)(?::(?P<column>\d+))?\)?: ?"
)
_YAML = re.compile(r"YAML parse error on (?P<file>[^:\n]+): (?P<what>.*)", re.DOTALL)
#: What Helm says of values files that it cannot read (pkg/chart/loader/load.go, pkg/cli/values/options.go).
_NO_VALUES = ("cannot load values.yaml", "failed to parse ")
_METADATA = re.compile(r"chart\.metadata\.(?P<key>\w+)|chart requires kubeVersion: ")
_SCHEMA = "values don't meet the specifications of the schema(s)"
_SCHEMA_AT = re.compile(r"^- at '(?P<path>[^'\n]*)': (?P<what>.*)$", re.MULTILINE)
_SCHEMA_CHART = re.compile(r"^(?P<chart>\S.*):$", re.MULTILINE)
_MOST = 600
_MASK = "…"
#: What is as short as this is in any message.
_SHORT = 3


def secrets_in(files: Iterable[ChartFile], demand: HelmDemand) -> list[str]:
    """Texts of values that may be secret: messages are not to have them, the longest first."""
    found: set[str] = set()
    inline = [ChartFile(demand.inline.encode(), "", "")] if demand.inline else []
    for file in [*files, *inline]:
        _, obj = values_object(file)
        if obj is not None:
            found.update(_texts(obj))
    for parameter, _ in demand.parameters:
        for part in parameter.split(","):
            key, _, value = part.partition("=")
            if names_secret(key.rpartition(".")[2]):
                found.add(value)
    found.discard("")
    encoded = {b64encode(text.encode()).decode() for text in found}
    return sorted((text for text in found | encoded if len(text) > 2), key=len, reverse=True)


def _with_templates(
    secrets: Sequence[str], templates: Sequence[ChartFile], values: Sequence[ChartFile], demand: HelmDemand
) -> list[str]:
    """What may be secret in a message on templates: their own texts, too, and any value where they have a Secret."""
    found = set(secrets)
    texts = [each.document().text for each in templates]
    for text in texts:
        found.update(part for part in literals(text) if len(part) > _SHORT)
    if any(map(is_of_secrets, texts)):
        inline = [ChartFile(demand.inline.encode(), "", "")] if demand.inline else []
        for file in [*values, *inline]:
            _, obj = values_object(file)
            found.update(_leaves(None if obj is None else obj.value))
        for parameter, _ in demand.parameters:
            found.update(part.partition("=")[2] for part in parameter.split(","))
    return sorted((each for each in found if len(each) > 2), key=len, reverse=True)


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _leaves(inner)
    elif isinstance(value, str) and len(value) > _SHORT:
        yield value
        yield b64encode(value.encode()).decode()


def _texts(obj: Object) -> Iterator[str]:
    for path in sensitive_paths(obj.value):
        value = obj.get(*path)
        if isinstance(value, str):
            yield value
            yield from (line.strip() for line in value.splitlines())
        elif value is not None and not isinstance(value, bool):
            yield str(value)


def masked(text: str, secrets: Sequence[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, _MASK)
    return text


def errors_of(said: str, chart: Chart, demand: HelmDemand, values: Sequence[ChartFile]) -> Iterator[ReadError]:
    """The errors in what Helm said: one, but for a schema, which may refuse several values."""
    files = [*values, *(c.files[VALUES] for c in chart.walk() if VALUES in c.files)]
    secrets = secrets_in(files, demand)
    _, _, text = said.rpartition("\nError: ") if "\nError: " in said else said.rpartition("Error: ")
    text = text.strip().removesuffix("Use --debug flag to render out invalid YAML").strip()
    if _SCHEMA in text:
        yield from _schema_errors(text, chart, demand, values, secrets)
        return
    places = [(match, found) for match in _PLACE.finditer(text) if (found := file_of(chart, match["file"]))]
    if places:
        # The innermost: what a named template could not do stands in there.
        match, (_, _, file) = places[-1]
        secrets = _with_templates(secrets, [each for _, (_, _, each) in places], files, demand)
        message = _plain(text[match.end() :]) or _plain(text)
        line = int(match["line"])
        column = _column(file, line, int(match["column"])) if match["column"] else None
        if text[: match.start()].endswith("parse "):
            # What has no end is told where it begins; else Go may say but the character.
            if (begun := re.fullmatch(r"(?P<what>.+) started at [^:]+:(?P<line>\d+)", message)) is not None:
                message, line = begun["what"], int(begun["line"])
            message = f"it is no template: {message}"
        yield ReadError(file.name, _shortened(masked(f"cannot be rendered: {message}", secrets)), line, column)
        return
    no_yaml = _YAML.search(text)
    if no_yaml is not None and (found := file_of(chart, no_yaml["file"])):
        secrets = _with_templates(secrets, [found[2]], files, demand)
        what = re.sub(r"\Ayaml: line (\d+): ", r"line \1 of that, ", _plain(no_yaml["what"]))
        message = f"renders to what is no YAML: {what}"
        yield ReadError(found[2].name, _shortened(masked(message, secrets)))
        return
    if any(sign in text for sign in _NO_VALUES) and (broken := list(_no_values(chart, values))):
        yield from broken
        return
    message = _shortened(masked(f"cannot be rendered: {_plain(text) or 'helm failed'}", secrets))
    metadata = _METADATA.search(text)
    if metadata is not None:
        # Of the chart or of a sub-chart: that which has the very value.
        for each in chart.walk():
            key = metadata["key"] or "kubeVersion"
            described = each.files.get(CHART)
            if described is None or each.archive is not None or str(each.metadata.get(key)) not in text:
                continue
            document, obj = values_object(described)
            if obj is not None and key in obj.value:
                at = obj.locate((key,))
                yield ReadError(document.name, message, at.start_line, at.start_column)
                return
    yield ReadError(demand.name, message)


def _no_values(chart: Chart, values: Sequence[ChartFile]) -> Iterator[ReadError]:
    """What is wrong with the values files that no YAML can be read from."""
    own = (each.files[VALUES] for each in chart.walk() if VALUES in each.files)
    for file in [*values, *own]:
        mark, encoding = byte_order(file.content)
        try:
            file.content[len(mark) :].decode(encoding)
        except UnicodeDecodeError as wrong:
            line = file.content.count(b"\n", 0, len(mark) + wrong.start) + 1
            yield ReadError(file.name, "cannot be rendered: the file is no UTF-8 text", line, 1)
            continue
        read = read_text(file.document().text, file.name)
        if read.errors:
            error = read.errors[0]
            yield ReadError(file.name, f"cannot be rendered: {error.message}", error.line, error.column)
        elif read.documents and not isinstance(read.documents[0].root, dict | None):
            yield ReadError(file.name, "cannot be rendered: values are no mapping", 1, 1)


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
