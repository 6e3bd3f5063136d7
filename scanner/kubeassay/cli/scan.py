"""``kubeassay scan``"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path as FilePath
from typing import Any, TypeVar

import click

from kubeassay.cli.drift import declared
from kubeassay.cli.judging import (
    Judging,
    applied,
    configuration,
    judging,
    policy_options,
    report,
    report_options,
    running_options,
    sarif_options,
    shows_pictures,
    source_options,
)
from kubeassay.cli.outputs import details_options
from kubeassay.engine.plan import Plan
from kubeassay.execution.inventory import ReadInventory, read_inventory
from kubeassay.execution.scan import scan as run_scan
from kubeassay.model import NotEvaluated, Result, Target
from kubeassay.policy.errors import PolicyError
from kubeassay.reporting.texts import printable
from kubeassay.sources.files import DEFAULT_MAX_FILE_SIZE, Discovery, UsageError, discover, display_name
from kubeassay.sources.manifests import STDIN_NAME, regular_content
from kubeassay.sources.snapshot import is_snapshot, read

_PROGRESS_FROM_BYTES = 4_000_000
_F = TypeVar("_F", bound=Callable[..., Any])


def reading_options(command: _F) -> _F:
    """Which files of a tree are read."""
    return applied(
        command,
        [
            click.option("--no-ignore", is_flag=True, help="Read files that .gitignore or .kubeassayignore name, too."),
            click.option(
                "--max-file-size",
                type=click.IntRange(min=1),
                default=DEFAULT_MAX_FILE_SIZE // 2**20,
                show_default=True,
                metavar="MIB",
                help="Refuse larger files.",
            ),
        ],
    )


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@policy_options
@report_options
@click.option(
    "--since",
    metavar="REVISION",
    help="Report what has come since a git revision (main... : since the work left main).",
)
@reading_options
@source_options
@sarif_options
@details_options
@running_options
@click.option("--publish", is_flag=False, flag_value="openreports", hidden=True)
@click.pass_context
def scan(ctx: click.Context, /, paths: tuple[str, ...], **options: Any) -> int:
    """Judge manifests by a profile.

    PATH is a file, a directory, a glob pattern or - for standard input. A snapshot of a cluster (kubeassay snapshot) is
    judged as the cluster.

    Exit codes: 0 complies; 1 findings at or above --fail-on; 2 wrong usage or policy; 3 nothing failed, but something
    was not evaluated or not readable.
    """
    try:
        return _scan(paths, options)
    except (PolicyError, UsageError) as error:
        raise click.UsageError(str(error), ctx) from None


def _scan(paths: tuple[str, ...], options: Mapping[str, Any]) -> int:
    if options["publish"] is not None:
        raise UsageError(
            "--publish is for a running cluster (kubeassay audit --publish); a scan writes reports to a file"
            " (-o openreports=FILE)"
        )
    config = configuration(options)
    paths = paths or tuple(config.get("paths", ()))
    if not paths:
        raise UsageError("no PATH is given (. scans the working directory)")
    snapshots = [path for path in paths if is_snapshot(path)]
    since = options["since"]
    if since is not None:
        if snapshots or "-" in paths:
            raise UsageError("--since is for paths of a git repository")
        if options["compare"] is not None:
            raise UsageError("--since and --compare both say what to compare with")
    if snapshots:
        if len(paths) > 1:
            raise UsageError(f"{snapshots[0]} is a snapshot of a cluster: it is judged by itself")
        return _scan_snapshot(snapshots[0], options, config)
    if options["sources"] or options["fail_on_drift"]:
        raise UsageError(
            "--source is for a cluster (kubeassay audit) or a snapshot of one: here the manifests are judged"
        )
    judged = judging(options, config)
    stdin = None
    if "-" in paths:
        stdin = sys.stdin.buffer.read(options["max_file_size"] * 2**20 + 1)
        if len(stdin) > options["max_file_size"] * 2**20:
            raise UsageError("standard input is larger than --max-file-size")
        paths = tuple(path for path in paths if path != "-")
    discovery = discover(paths, ignore=not options["no_ignore"], max_file_size=options["max_file_size"] * 2**20)
    names = [display_name(path) for path in paths]
    target = Target("manifests", ", ".join([*names, STDIN_NAME] if stdin is not None else names))
    if since is not None:
        previous, before = _at(since, paths, judged, target, options)
        judged = replace(judged, previous=previous)
    result = _run(judged.plan, discovery, target, stdin, options, judged.not_understood)
    if since is not None:
        # Imported here: it has the analyses of several areas.
        from kubeassay.execution.review import with_review

        result = with_review(result, before, read_inventory(discovery, judged.by.version), judged.by.version)
    if shows_pictures(judged, options):
        # Imported here: it has the analyses of all areas.
        from kubeassay.execution.pictures import with_pictures_of_files

        result = with_pictures_of_files(result, discovery, judged.by.version, stdin)
    return report(judged, result, options, inputs=partial(_inputs, discovery, stdin))


def _inputs(discovery: Discovery, stdin: bytes | None) -> Iterator[tuple[str, bytes]]:
    """What was read, by name; read again, so that a file that has changed meanwhile has its new content."""
    if stdin is not None:
        yield STDIN_NAME, stdin
    for file in discovery.files:
        try:
            content = regular_content(file.path) if file.content is None else file.content
        except OSError:
            # Told as an error of the scan.
            continue
        if content is not None:
            yield file.name, content


def _at(
    revision: str, paths: Sequence[str], judged: Judging, target: Target, options: Mapping[str, Any]
) -> tuple[Result, ReadInventory]:
    """The result of the same paths at a git revision, and what was read of them there."""
    # Imported here: few scans are compared.
    from kubeassay.sources.git_tree import tree_at

    with tempfile.TemporaryDirectory(prefix="kubeassay-") as folder:
        tree = tree_at(
            revision,
            paths,
            FilePath(folder),
            ignore=not options["no_ignore"],
            max_file_size=options["max_file_size"] * 2**20,
        )
        for submodule in tree.left_out:
            said = f"warning: {submodule} is a submodule: what is found in it counts as new"
            click.echo(printable(said), err=True)
        result = _run(judged.plan, tree.discovery, target, None, options, judged.not_understood)
        return result, read_inventory(tree.discovery, judged.by.version)


def _scan_snapshot(path: str, options: Mapping[str, Any], config: Mapping[str, Any]) -> int:
    # Imported here: few scans are of a snapshot.
    from kubeassay.execution.audit import audit

    snapshot = read(path)
    judged = judging(options, config, snapshot.version)
    sources = declared(options)
    result = audit(
        judged.plan, snapshot, not_evaluated=judged.not_understood, processes=options["jobs"], sources=sources
    )
    if shows_pictures(judged, options):
        from kubeassay.execution.pictures import with_pictures_of_cluster

        result = with_pictures_of_cluster(result, snapshot, judged.by.version)
    return report(judged, result, options, lambda: iter(snapshot.files.items()))


def _run(
    plan: Plan,
    discovery: Discovery,
    target: Target,
    stdin: bytes | None,
    options: Mapping[str, Any],
    not_evaluated: Sequence[NotEvaluated],
) -> Result:
    judge = partial(
        run_scan,
        plan,
        discovery,
        target,
        stdin=stdin,
        stdin_name=STDIN_NAME,
        processes=options["jobs"],
        not_evaluated=not_evaluated,
    )
    total = sum(file.size for file in discovery.files)
    if total < _PROGRESS_FROM_BYTES or options["quiet"] or not sys.stderr.isatty():
        return judge()
    with click.progressbar(length=total, label="Scanning", file=sys.stderr) as bar:
        return judge(progress=bar.update)
