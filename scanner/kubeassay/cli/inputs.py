"""Options and inputs of the commands that ask questions of a whole target: reach, can, who-can and others."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import click

from kubeassay.analysis.workloads import TEMPLATE_PATHS
from kubeassay.cli.exits import COMPLIES, INCOMPLETE
from kubeassay.cli.rendering import among_files, named_renderings, render, rendering_options
from kubeassay.execution.inventory import ReadInventory, read_inventory
from kubeassay.model import NEWEST_KNOWN, Object, format_path
from kubeassay.reporting.texts import printable
from kubeassay.sources.files import DEFAULT_MAX_FILE_SIZE, UsageError, discover
from kubeassay.sources.manifests import STDIN_NAME

#: Kinds that answers join: two of one name are two clusters, or a mistake.
_JUDGED_TOGETHER = frozenset(
    {kind for _, kind in TEMPLATE_PATHS}
    | {"Namespace", "NetworkPolicy", "Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding", "ServiceAccount"}
)

CONTEXT = {"help_option_names": ["-h", "--help"]}
_F = TypeVar("_F", bound=Callable[..., Any])


def input_options(command: _F) -> _F:
    """The options of :func:`read_inputs`."""
    for option in (
        click.option("--no-ignore", is_flag=True, help="Read files that .gitignore or .kubeassayignore name, too."),
        click.option(
            "--allow-incomplete", is_flag=True, help="Answer as if everything had been read, without exit code 3."
        ),
        click.option("--quiet", "-q", is_flag=True, help="Do not say what was not read."),
    ):
        command = option(command)
    return rendering_options(command)


def read_inputs(
    paths: Sequence[str], options: dict[str, Any], concerns: Callable[[Object], bool] = lambda _: True
) -> ReadInventory:
    """Read PATHs (files, directories, glob patterns, ``-``); the working directory where none is given. What could not
    be read is told on standard error, and which objects an API server would refuse, of those that ``concerns`` says the
    question to depend on. Raises click.UsageError for a path that there is not."""
    paths = tuple(paths) or (() if named_renderings(options) else (".",))
    limit = DEFAULT_MAX_FILE_SIZE
    stdin = sys.stdin.buffer.read(limit + 1) if "-" in paths else None
    if stdin is not None and len(stdin) > limit:
        raise click.UsageError(f"standard input is larger than {limit // 2**20} MiB")
    try:
        discovery = discover(
            tuple(path for path in paths if path != "-"), ignore=not options["no_ignore"], max_file_size=limit
        )
    except UsageError as error:
        raise click.UsageError(str(error), click.get_current_context(silent=True)) from None
    stdin = among_files(stdin, discovery, options)
    discovery = render(discovery, options, NEWEST_KNOWN)
    read = read_inventory(discovery, NEWEST_KNOWN, stdin=stdin, stdin_name=STDIN_NAME)
    # What was read stays to the end: the collector is to walk only what comes of it.
    gc.freeze()
    read = replace(read, invalid=tuple(invalid for invalid in read.invalid if concerns(invalid.obj)))
    if any(file.rendering is not None for file in discovery.files):
        # Imported here: few trees are rendered.
        from kubeassay.execution.environments import environments

        read = replace(read, environments=tuple(found.name for found in environments(discovery) if found.name))
    if not options["quiet"]:
        for message in problems(read):
            click.echo(printable(message), err=True)
    return read


def problems(read: ReadInventory) -> list[str]:
    """What an answer from these inputs does not know, a line each."""
    lines = []
    for error in read.errors:
        place = ":".join(str(part) for part in (error.file, error.line, error.column) if part is not None)
        lines.append(f"{place}: {error.message}")
    for skipped in read.skipped:
        if skipped.hides_objects:
            lines.append(f"{skipped.file}: not rendered ({skipped.detail})")
    for invalid in read.invalid:
        obj, problem = invalid.obj, invalid.problem
        at = obj.locate(problem.path)
        lines.append(
            f"{at.file}:{at.start_line}:{at.start_column}: an API server refuses {obj.ref}:"
            f" {format_path(problem.path)} takes {problem.expected}"
        )
    for obj in read.inventory.objects:
        for path, locations in obj.duplicate_keys:
            if path == ("kind",):
                at = locations[0]
                lines.append(
                    f"{at.file}:{at.start_line}:{at.start_column}: kind stands twice in one document; only the last"
                    " object is read (is a --- missing?)"
                )
    if len(read.environments) > 1:
        lines.append(
            f"what was rendered is of several environments ({', '.join(read.environments)}): everything is taken for"
            " one cluster; ask about one at a time"
        )
    several = [pair for pair in read.inventory.in_several_files() if pair[0].ref.kind in _JUDGED_TOGETHER]
    if several:
        first, other = several[0]
        more = f", and {len(several) - 1} more likewise" if len(several) > 1 else ""
        lines.append(
            f"{first.ref} stands in {first.file} and in {other.file}{more}: everything is taken for one cluster; ask"
            " about one environment at a time"
        )
    if not read.inventory.objects:
        lines.append("no Kubernetes object was found in what was given")
    return lines


def completeness(read: ReadInventory, options: dict[str, Any]) -> int:
    """The exit code of an answer that is otherwise good: 3 where something was not read."""
    return INCOMPLETE if problems(read) and not options["allow_incomplete"] else COMPLIES
