"""What Kustomize makes of a kustomization, built from copies of the files that it may read.

The tool runs in a folder that holds these copies and nothing else, with its own restrictions on: no plug-ins, no
functions, no files from outside of a kustomization's folder.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Mapping, Sequence

from kubeassay.analysis.sensitive import is_secret_value, names_secret
from kubeassay.model import ReadError
from kubeassay.sources import tools
from kubeassay.sources.cache import digest_of
from kubeassay.sources.kept_runs import run_kept
from kubeassay.sources.kustomize_graph import Graph, kustomization_document, name_of, walk
from kubeassay.sources.kustomize_origin import KustomizeTracer
from kubeassay.sources.rendering import KustomizeDemand, Limits, Output
from kubeassay.sources.yaml_reader import Document

#: How much of what the tool says of a failure is told.
_MOST_SAID = 1000
_WARNING = re.compile(r"^# Warning:.*\n?|^\d{4}/\d\d/\d\d .*\n?", re.MULTILINE)
#: How kubectl tells a failure: behind the time and its process, and quoted, so that no two runs say the same.
_LOGGED = re.compile(r'\A[EF]\d{4} \S+ +\d+ \S+\] "command failed" err=(".*")\s*\Z', re.DOTALL)
#: Parts of messages that quote what a file holds: a patch, a literal, a line of an env file.
_QUOTES_CONTENT = re.compile(r"(?i)\[patch: |literal source|invalid line|config: `|\bdata:|-----BEGIN")
#: What every object says.
_KIND = re.compile(r"^\s*[\"']?kind[\"']?\s*:", re.MULTILINE)
#: Fields that count only in the outermost kustomization, so a kustomization on top has to say them as well.
_OUTERMOST = ("buildMetadata", "sortOptions")


def build(demand: KustomizeDemand, limits: Limits) -> Output:
    """Build a demand. Never raises for what files hold, or for what the tool does: that is in ``errors``."""
    graph = walk(demand, limits)
    sources = graph.parts
    if graph.errors:
        return Output("", None, sources, errors=tuple(graph.errors))
    try:
        tool = tools.find("kustomize")
        more = _for_charts(tool) if graph.charts else ()
    except tools.ToolMissingError as error:
        return Output("", None, sources, errors=(_failed(demand, f"is not rendered: {error}"),))
    with tempfile.TemporaryDirectory(prefix="kubeassay-", ignore_cleanup_errors=True) as scratch:
        try:
            start = _copy(demand, graph, os.path.realpath(scratch))
        except (OSError, ValueError) as error:
            said = f"is not rendered: its files cannot be copied: {getattr(error, 'strerror', None) or error}"
            return Output("", None, sources, errors=(_failed(demand, said),))
        # All that it reads is in the scratch folder.
        ran, digest = run_kept((*tool.command, start, *more), limits, folder=os.path.realpath(scratch))
        if ran.failure is None and ran.code == 0:
            try:
                text = ran.output.decode("utf-8")
            except UnicodeDecodeError:
                return Output("", None, sources, tool.made_by, (_failed(demand, "is rendered to what is no text"),))
            if not _KIND.search(text):
                # Another program, perhaps: that nothing is found in nothing says nothing.
                said = f"is not rendered: {tool.made_by} printed no object"
                return Output("", None, sources, tool.made_by, (_failed(demand, said),))
            tracer = KustomizeTracer(demand, graph)
            return Output(text, tracer, sources, tool.made_by, digest=digest and digest_of((), digest, demand.name))
        error_ = _why(demand, graph, ran, os.path.realpath(scratch))
        return Output("", None, sources, tool.made_by, errors=(error_,))


def _for_charts(tool: tools.Tool) -> Sequence[str]:
    helm = tools.find("helm")
    return ("--enable-helm", "--helm-command", helm.command[0])


def _failed(demand: KustomizeDemand, message: str) -> ReadError:
    return ReadError(demand.name, message)


def _copy(demand: KustomizeDemand, graph: Graph, scratch: str) -> str:
    """Put copies of the files into a folder, laid out as they are; the folder to build."""
    tree = os.path.join(scratch, "tree")

    def at(real: str) -> str:
        return os.path.normpath(os.path.join(tree, os.path.relpath(real, demand.root)))

    for real in graph.folders:
        os.makedirs(at(real), exist_ok=True)
    for real, content in graph.files.items():
        copy = at(real)
        os.makedirs(os.path.dirname(copy), exist_ok=True)
        with open(copy, "xb") as stream:
            stream.write(content)
    for link, target in graph.links.items():
        place = at(link)
        os.makedirs(os.path.dirname(place), exist_ok=True)
        if not os.path.lexists(place):
            os.symlink(os.path.relpath(at(target), os.path.dirname(place)), place)
    start = at(os.path.realpath(demand.directory))
    if not demand.overrides:
        return start
    return _put_on_top(demand.overrides, graph.folders[os.path.realpath(demand.directory)].file, graph, start, scratch)


def _put_on_top(overrides: Mapping[str, object], file: str, graph: Graph, start: str, scratch: str) -> str:
    """A kustomization with what a deployer changes, on top of the one that is to be built."""
    top = os.path.join(scratch, "top")
    os.mkdir(top)
    made: dict[str, object] = {"resources": [os.path.relpath(start, top)]}
    own = kustomization_document(graph.files[file], "")
    if isinstance(own, Document):
        made.update((key, own.root[key]) for key in _OUTERMOST if key in own.root)
    made.update(overrides)
    made["resources"] = [os.path.relpath(start, top)]
    with open(os.path.join(top, "kustomization.yaml"), "x", encoding="utf-8") as stream:
        # JSON is YAML.
        json.dump(made, stream, default=str)
    return top


def _why(demand: KustomizeDemand, graph: Graph, ran: tools.Ran, scratch: str) -> ReadError:
    """Why a build failed, at the entry that the tool's words name, where they name one."""
    if ran.failure is not None:
        return _failed(demand, f"is not rendered: kustomize {ran.failure}")
    said = _unlogged(_WARNING.sub("", ran.said).strip())
    for folder in (f"{scratch}/tree/", f"{scratch}/", scratch):
        said = said.replace(folder, "")
    said = " ".join(said.removeprefix("Error: ").removeprefix("error: ").split())
    place = _place(demand, graph, said)
    if _QUOTES_CONTENT.search(said) or is_secret_value(said) or any(map(names_secret, _keys(said))):
        # It may quote a Secret.
        said = "kustomize cannot build it, and what it says quotes contents of files: run it to see"
    elif len(said) > _MOST_SAID:
        said = f"{said[:_MOST_SAID]}…"
    if place is None:
        return _failed(demand, f"is not rendered: {said}")
    return ReadError(place.file, f"is not rendered: {said}", place.line, place.column)


def _unlogged(said: str) -> str:
    """A failure without what kubectl's log has around it."""
    logged = _LOGGED.match(said)
    if logged is None:
        return said
    try:
        # Go quotes as JSON does, but for a few characters that are not printable.
        return str(json.loads(logged[1]))
    except ValueError:
        return logged[1]


def _keys(said: str) -> list[str]:
    return re.findall(r"([\w.-]+)\s*[=:]\s*\S", said)


def _place(demand: KustomizeDemand, graph: Graph, said: str) -> ReadError | None:
    """The longest entry of a kustomization that a message quotes."""
    best: tuple[int, ReadError] | None = None
    for kustomization in graph.folders.values():
        name = name_of(demand, kustomization.file)
        document = kustomization_document(graph.files[kustomization.file], name)
        if isinstance(document, ReadError):
            continue
        for reference in kustomization.references:
            entry = document.root
            for step in reference.path:
                entry = entry[step]
            quoted = any(f"{mark}{entry}{end}" in said for mark, end in ("''", '""', "()", "[]", "``"))
            if quoted and (best is None or len(entry) > best[0]):
                at = document.spans.locate(document.root, reference.path)
                best = len(entry), ReadError(name, "", at.start_line, at.start_column)
    return best[1] if best else None
