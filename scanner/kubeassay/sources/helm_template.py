"""Charts as Helm renders them, with ``helm template`` on a copy, without a cluster."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import replace

import yaml

from kubeassay.model import ReadError, Skipped
from kubeassay.sources.cache import digest_of
from kubeassay.sources.files import is_within
from kubeassay.sources.helm_chart import (
    CHART,
    STAND_IN,
    Chart,
    ChartError,
    ChartFile,
    ChartFiles,
    Dependency,
    chart_of,
    mapping_in,
    not_vendored,
    read_chart,
    shown,
)
from kubeassay.sources.helm_errors import errors_of, masked, secrets_in
from kubeassay.sources.helm_origin import HelmTracer, RenderedChart
from kubeassay.sources.helm_run import Piece, file_of, hooks_in, pieces, run_helm, write
from kubeassay.sources.manifests import regular_content
from kubeassay.sources.rendering import HelmDemand, Limits, Output
from kubeassay.sources.tools import Tool, ToolMissingError, find, run

_HOOK_KEY = re.compile(r"helm\.sh/hook[\"']?[ \t]*:")
#: Functions that give something else each time.
_CHANGING = re.compile(
    r"\{\{|\}\}|\b(rand(?:AlphaNum|Alpha|Ascii|Numeric|Bytes|Int)|gen(?:CA|SelfSignedCert|SignedCert|PrivateKey)\w*|"
    r"uuidv4|now|htpasswd|bcrypt|encryptAES|shuffle)\b"
)


def template(demand: HelmDemand, limits: Limits, tool: Tool | None = None) -> Output:
    """Render a chart. Never raises for what its files hold: what cannot be rendered is in ``errors``.

    ``tool``: the program; by default the one that is found.
    """
    try:
        tool = tool or find("helm")
    except ToolMissingError as missing:
        return _failed(ReadError(demand.name, f"the chart is not rendered: {missing}"))
    try:
        found = read_chart(demand, limits)
        values = list(_values(demand, limits))
        if found.remote:
            _load(found, demand, limits, tool)
        chart = chart_of(found.files, limits)
    except ChartError as refused:
        return replace(_failed(*refused.errors), made_by=tool.made_by)
    sources = found.sources | {file.real for file in values}
    made = Output("", None, sources, tool.made_by, notes=(*found.notes, *_changing(chart)))
    if chart.metadata.get("type") == "library":
        detail = "a library chart: it has named templates for others, and nothing to render"
        return replace(made, skipped=(Skipped(demand.name, "helm-library", detail),))
    ran, digest = run_helm(tool, found.files, values, demand, limits)
    if ran.failure is not None:
        return replace(made, errors=(ReadError(demand.name, f"the chart is not rendered: helm {ran.failure}"),))
    if ran.code:
        needed = [not_vendored(dependency) for dependency in found.missing]
        return replace(made, errors=(*errors_of(ran.said, chart, demand, values), *needed))
    printed = list(pieces(ran.output, chart))
    needed = [
        not_vendored(dependency)
        for dependency in found.missing
        if any(piece.source.endswith(f"/charts/{_name(dependency)}/{STAND_IN}") for piece in printed)
    ]
    if needed:
        return replace(made, errors=tuple(needed))
    kept, errors, skipped = _kept(printed, chart, demand)
    skipped += (Skipped(file.name, "helm-ignored", ".helmignore leaves it out") for file in found.left_out)
    secrets = secrets_in(chart, values, demand)
    warned = (f"{demand.name}: helm says: {masked(line, secrets)}" for line in _warnings(ran.said))
    text = "".join(f"---\n# Source: {source}\n{content}" for source, content in kept)
    return replace(
        made,
        text=text,
        tracer=HelmTracer(RenderedChart(tool, demand, limits, found.files, tuple(values), tuple(kept))),
        errors=tuple(errors),
        skipped=tuple(skipped),
        notes=(*made.notes, *warned),
        digest=digest and digest_of((), digest, demand.name, *(file.name for file in values), *_asked(demand)),
    )


def _asked(demand: HelmDemand) -> Iterator[str]:
    """What places name of what asks for a chart."""
    yield demand.asked_by
    if demand.stated is not None:
        yield from (demand.stated.document.name, demand.stated.document.text, str(demand.stated.path))


def _failed(*errors: ReadError) -> Output:
    return Output("", None, errors=errors)


def _name(dependency: Dependency) -> str:
    return dependency.alias or dependency.name


def _values(demand: HelmDemand, limits: Limits) -> Iterator[ChartFile]:
    for path in demand.values:
        real, name = os.path.realpath(path), shown(demand, path)
        if path not in demand.named and not is_within(real, demand.root):
            raise ChartError(ReadError(name, "a values file outside of what is scanned: the chart is not rendered"))
        try:
            content = regular_content(real, limits.bytes + 1)
        except OSError as error:
            message = f"cannot be read: {error.strerror}: the chart is not rendered"
            raise ChartError(ReadError(name, message)) from None
        if content is None or len(content) > limits.bytes:
            raise ChartError(ReadError(name, "no values file that can be read: the chart is not rendered"))
        yield ChartFile(content, real, name)


def _load(found: ChartFiles, demand: HelmDemand, limits: Limits, tool: Tool) -> None:
    """Let Helm load sub-charts that are not in the tree, those of Chart.lock where it names them."""
    locked, _ = mapping_in(found.files.get("Chart.lock") or found.files.get("requirements.lock"))
    entries = locked.get("dependencies")
    pinned = {
        entry.get("name"): entry.get("version")
        for entry in (entries if isinstance(entries, list) else ())
        if isinstance(entry, dict)
    }
    wanted = [
        {"name": each.name, "version": str(pinned.get(each.name) or each.version), "repository": each.repository}
        for each in found.remote
    ]
    metadata = {"apiVersion": "v2", "name": "loaded", "version": "0.0.0", "dependencies": wanted}
    with tempfile.TemporaryDirectory(prefix="kubeassay-helm-", ignore_cleanup_errors=True) as folder:
        chart = os.path.join(folder, "chart")
        write({CHART: ChartFile(yaml.safe_dump(metadata).encode(), "", "")}, chart)
        ran = run([*tool.command, "dependency", "update", "--", chart], limits, folder=folder)
        if ran.failure or ran.code:
            said = ran.failure or " ".join(ran.said.split()[:60])
            errors = (
                replace(not_vendored(each), message=f"{each.name} cannot be loaded: {said}") for each in found.remote
            )
            raise ChartError(*errors)
        loaded = os.path.join(chart, "charts")
        for name in sorted(os.listdir(loaded)):
            content = regular_content(os.path.join(loaded, name), limits.bytes + 1)
            if content is not None and len(content) <= limits.bytes:
                declared = found.remote[0].declared
                found.files[f"charts/{name}"] = ChartFile(content, "", declared.name)


def _changing(chart: Chart) -> Iterator[str]:
    """A note on what differs from run to run: findings are told apart by objects and fields, which may be among it."""
    for each in chart.walk():
        for path, file in each.files.items():
            if path.startswith("templates/"):
                document = file.document()
                match = _changing_call(document.text)
                if match is not None:
                    line = document.text.count("\n", 0, match.start(1)) + 1
                    yield f"{file.name}:{line}: {match[1]} gives something else each time that the chart is rendered"


def _changing_call(text: str) -> re.Match[str] | None:
    inside = False
    # In one pass: a text may open many actions that it does not close.
    for match in _CHANGING.finditer(text):
        if match[1] is None:
            inside = match[0] == "{{"
        elif inside:
            return match
    return None


def _kept(
    printed: Iterable[Piece], chart: Chart, demand: HelmDemand
) -> tuple[list[tuple[str, str]], list[ReadError], list[Skipped]]:
    """(template, text) of what is judged of the pieces, and what is not of them."""
    kept: list[tuple[str, str]] = []
    errors: list[ReadError] = []
    skipped: list[Skipped] = []
    for piece in printed:
        found = file_of(chart, piece.source)
        name = demand.name if found is None else found[2].name
        try:
            text = piece.content.decode("utf-8")
        except UnicodeDecodeError:
            errors.append(ReadError(name, "renders to what is no UTF-8 text"))
            continue
        hooks = [] if demand.hooks else hooks_in(piece)
        if hooks:
            line = None if found is None else _hook_line(found[2])
            skipped += (Skipped(name, "helm-hook", f"{obj} runs as a hook ({kinds})", line) for obj, kinds in hooks)
            continue
        kept.append((piece.source, text))
    return kept, errors, skipped


def _hook_line(file: ChartFile) -> int | None:
    """The only line of a template that makes a hook."""
    lines = [number for number, line in enumerate(file.document().text.split("\n"), 1) if _HOOK_KEY.search(line)]
    return lines[0] if len(lines) == 1 else None


def _warnings(said: str) -> Iterator[str]:
    for line in said.splitlines():
        # What Helm leaves out is not judged either, and it says so here.
        if re.search("warning|skipping unknown hook", line, re.IGNORECASE):
            yield re.sub(r"\A[\d/]* ?[\d:]* ?\w+\.go:\d+: ", "", line.strip())
