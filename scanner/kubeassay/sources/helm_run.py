"""One run of ``helm template`` on a copy of a chart, and what it printed, by the templates that it came from."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from kubeassay.sources.helm_chart import Chart, ChartFile
from kubeassay.sources.kept_runs import run_kept
from kubeassay.sources.manifests import read_bytes
from kubeassay.sources.rendering import HelmDemand, Limits
from kubeassay.sources.tools import Ran, Tool
from kubeassay.sources.yaml_reader import read_text

#: The annotation that makes a hook of an object.
HOOK = "helm.sh/hook"
_OF_CRDS = re.compile(r"[^/]+/(?:charts/[^/]+/)*crds/")
_SOURCE = re.compile(rb"^---\n# Source: ([^\n]+)\n", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Piece:
    """What one document of a template became, or a whole file of ``crds/``. ``source``: the template as Helm names it
    (``web/charts/db/templates/service.yaml``)."""

    source: str
    content: bytes


def run_helm(
    tool: Tool, files: Mapping[str, ChartFile], values: Sequence[ChartFile], demand: HelmDemand, limits: Limits
) -> tuple[Ran, str]:
    """Run ``helm template`` on a chart's files; with the digest of what the answer depends on (kept_runs.py). It
    depends on no cluster, and no other program is run: plug-ins, post-renderers and the user's settings are not there
    (sources/tools.py)."""
    with tempfile.TemporaryDirectory(prefix="kubeassay-helm-", ignore_cleanup_errors=True) as folder:
        chart = os.path.join(folder, "chart")
        write(files, chart)
        command = [*tool.command, "template", f"--namespace={demand.namespace}"]
        if not demand.skip_crds:
            command.append("--include-crds")
        if demand.kube_version is not None:
            command.append(f"--kube-version={demand.kube_version}")
        command += (f"--api-versions={version}" for version in demand.api_versions)
        inline = [ChartFile(demand.inline.encode(), "", "")] if demand.inline else []
        for number, file in enumerate([*values, *inline]):
            # Under names of ours: Helm takes a comma for the end of a name, and some names for addresses.
            path = os.path.join(folder, f"values-{number}.yaml")
            with open(path, "wb") as stream:
                stream.write(file.content)
            command.append(f"--values={path}")
        # Helm puts all of --set-string behind all of --set (pkg/cli/values/options.go).
        command += (f"--set{'-string' if text else ''}={parameter}" for parameter, text in demand.parameters)
        return run_kept([*command, "--", demand.release, chart], limits, folder=folder)


def write(files: Mapping[str, ChartFile], folder: str) -> None:
    """Write a chart's files into a new folder."""
    os.mkdir(folder)
    made = {folder}
    for key, file in files.items():
        path = os.path.join(folder, *key.split("/"))
        directory = os.path.dirname(path)
        if directory not in made:
            os.makedirs(directory, exist_ok=True)
            made.add(directory)
        with open(path, "wb") as stream:
            stream.write(file.content)


def pieces(output: bytes, chart: Chart) -> Iterator[Piece]:
    """What Helm printed, by template. A template cannot print such a head itself: Helm splits what it prints there.

    A file of ``crds/`` can, and Helm prints it as it is: it ends where its bytes do, not at the next head.
    """
    at = _SOURCE.search(output)
    while at is not None:
        source = at[1].decode("utf-8", "replace")
        whole = b""
        if _OF_CRDS.match(source) and (found := file_of(chart, source)) is not None:
            whole = found[2].content.removeprefix(b"\xef\xbb\xbf")
        begin = at.end()
        following = _SOURCE.search(output, begin + len(whole) if output.startswith(whole, begin) else begin)
        yield Piece(source, output[begin : len(output) if following is None else following.start()])
        at = following


def hooks_in(piece: Piece) -> list[tuple[str, str]]:
    """(object, events) of a piece that Helm runs as a hook: for what its document is, not for what is in a List (helm
    v3.19.5, pkg/releaseutil/manifest_sorter.go). What stands in ``crds/`` is none."""
    if HOOK.encode() not in piece.content or _OF_CRDS.match(piece.source):
        return []
    read = read_text(piece.content.decode("utf-8", "replace"), "")
    # Of the documents that it is split into nothing is left but one; where there are more, none is left out.
    if read.errors or len(read.documents) != 1:
        return []
    root = read.documents[0].root
    metadata = root.get("metadata") if isinstance(root, dict) else None
    annotations = metadata.get("annotations") if isinstance(metadata, dict) else None
    events = annotations.get(HOOK) if isinstance(annotations, dict) else None
    if not isinstance(events, str):
        return []
    names = [str(obj.ref) for obj in read_bytes(piece.content, "").objects]
    return [(name, events) for name in names or ["what the template prints"]]


def file_of(chart: Chart, source: str) -> tuple[Chart, str, ChartFile] | None:
    """The chart that a template is of, its path in it, and the file."""
    name, _, rest = source.partition("/")
    if name != chart.name:
        return None
    while rest.startswith("charts/"):
        called, _, inner = rest.removeprefix("charts/").partition("/")
        child = next((child for child in chart.children if child.name == called), None)
        if child is None:
            break
        chart, rest = child, inner
    file = chart.files.get(rest)
    return None if file is None else (chart, rest, file)
