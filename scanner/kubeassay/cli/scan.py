"""``kubeassay scan``"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any, TypeVar

import click

from kubeassay.cli.drift import declared
from kubeassay.cli.judging import (
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
from kubeassay.cli.rendering import among_files, named_renderings, render, rendering_options
from kubeassay.execution.demand import Demanded
from kubeassay.execution.environments import Environment, differences, environments, judge
from kubeassay.execution.inventory import ReadInventory
from kubeassay.execution.scan import WORTH_REMEMBERING
from kubeassay.execution.scan import scan as run_scan
from kubeassay.model import KubernetesVersion, Result, Target, Unseen
from kubeassay.policy.errors import PolicyError
from kubeassay.reporting.texts import printable
from kubeassay.sources.files import DEFAULT_MAX_FILE_SIZE, Discovery, UsageError, discover, display_name
from kubeassay.sources.manifests import STDIN_NAME, regular_content
from kubeassay.sources.snapshot import is_snapshot, read

if TYPE_CHECKING:
    from kubeassay.execution.surroundings import Surroundings

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
    "--with",
    "surroundings",
    multiple=True,
    metavar="PATH",
    help="Judge by the objects of this path or snapshot, too, and report nothing of them. Repeats.",
)
@click.option(
    "--since",
    metavar="REVISION",
    help="Report what has come since a git revision (main... : since the work left main).",
)
@click.option(
    "--matrix",
    metavar="FILE",
    help="Judge the environments that a configuration file names, each by its own profile, in one report.",
)
@reading_options
@rendering_options
@source_options
@sarif_options
@details_options
@running_options
@click.option("--no-cache", is_flag=True, help="Keep no result for the next scan of the same files, and look for none.")
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
    elsewhere = named_renderings(options) or options["matrix"] is not None
    paths = paths or (() if elsewhere else tuple(config.get("paths", ())))
    if not paths and not elsewhere:
        raise UsageError("no PATH is given (. scans the working directory)")
    snapshots = [path for path in paths if is_snapshot(path)]
    since = options["since"]
    if since is not None:
        if snapshots or "-" in paths:
            raise UsageError("--since is for paths of a git repository")
        if named_renderings(options):
            raise UsageError("--since renders what it finds in a PATH: name that instead of --kustomize or --helm")
        if options["compare"] is not None:
            raise UsageError("--since and --compare both say what to compare with")
    if options["matrix"] is not None:
        return _scan_matrix(paths, options, config)
    if snapshots:
        if len(paths) > 1:
            raise UsageError(
                f"{snapshots[0]} is a snapshot of a cluster: it is judged by itself (--with judges manifests by it)"
            )
        if options["surroundings"]:
            raise UsageError("--with is for manifests: a snapshot of a cluster is judged by itself")
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
    given, stdin = stdin, among_files(stdin, discovery, options)
    discovery = render(discovery, options, judged.by.version)
    names = [display_name(path) for path in (*paths, *options["kustomize"], *options["helm"])]
    target = Target("manifests", ", ".join([*names, STDIN_NAME] if given is not None else names))
    around = _surroundings(options, config, judged.by.version)
    if around is not None:
        target = replace(target, context=around.names)
    scan = _Scan(judged.by, target, stdin, options, around)
    found = environments(discovery)
    before = None
    if since is not None:
        before = _at(since, paths, scan)
        judged = replace(judged, previous=before.result)
    result = scan.of_all(found, pictures=shows_pictures(judged, options))
    result = _with_deployments(result, found)
    if before is not None:
        result = _reviewed(result, before, found, scan, discovery)
    read_too = discovery if around is None else around.beside(judged.plan, discovery)[1]
    return report(judged, result, options, inputs=partial(_inputs, read_too, stdin))


def _with_deployments(result: Result, found: Sequence[Environment]) -> Result:
    """A result with what deployers deploy, where they were followed."""
    if not any(environment.discovery.deployments for environment in found):
        return result
    # Imported here: few trees are followed.
    from kubeassay.execution.following import with_deployments

    return with_deployments(result, [(environment.name, environment.discovery) for environment in found])


def _surroundings(
    options: Mapping[str, Any], config: Mapping[str, Any], version: KubernetesVersion
) -> Surroundings | None:
    """What the manifests are judged by beside their own objects."""
    paths = (*options["surroundings"], *config.get("with", ()))
    if not paths:
        return None
    # Imported here: it has what audits need.
    from kubeassay.execution.surroundings import surroundings

    found = surroundings(paths, ignore=not options["no_ignore"], max_file_size=options["max_file_size"] * 2**20)
    if found.files is None:
        return found
    return replace(found, files=render(found.files, options, version, context=True))


@dataclass(frozen=True, slots=True)
class _Scan:
    """What the scans of one command have in common."""

    by: Demanded
    target: Target
    stdin: bytes | None
    options: Mapping[str, Any]
    around: Surroundings | None

    def of_all(self, found: Sequence[Environment], *, pictures: bool) -> Result:
        """The result of a tree; of one that holds several environments, of each of them."""
        return self.of_several([(environment, self.by) for environment in found], pictures=pictures)

    def of_several(self, found: Sequence[tuple[Environment, Demanded]], *, pictures: bool) -> Result:
        """The result of environments, each with what it is judged by. ``pictures``: with maps."""
        return judge(
            found,
            lambda by, discovery: self.of_one(by, discovery, pictures=pictures),
            lambda: differences([environment for environment, _ in found]),
        )

    def of_one(self, by: Demanded, discovery: Discovery, *, pictures: bool) -> Result:
        """The result of files that are judged together."""
        result = self._scanned(by, discovery)
        if not pictures:
            return result
        # Imported here: it has the analyses of all areas.
        from kubeassay.execution.pictures import with_pictures_of_files

        return with_pictures_of_files(result, discovery, by.version, self.stdin)

    def _scanned(self, by: Demanded, discovery: Discovery) -> Result:
        plan = by.plan
        if self.around is not None:
            plan, discovery = self.around.beside(plan, discovery)
        run = run_scan
        total = sum(file.size for file in discovery.files)
        if not self.options["no_cache"] and total >= WORTH_REMEMBERING:
            # Imported here: small scans are not kept.
            from kubeassay.execution.remembered import remembered

            run = partial(remembered, run_scan)
        judge = partial(
            run,
            plan,
            discovery,
            self.target,
            stdin=self.stdin,
            stdin_name=STDIN_NAME,
            processes=self.options["jobs"],
            not_evaluated=by.not_understood,
        )
        if total < _PROGRESS_FROM_BYTES or self.options["quiet"] or not sys.stderr.isatty():
            return judge()
        with click.progressbar(length=total, label="Scanning", file=sys.stderr) as bar:
            return judge(progress=bar.update)


def _inputs(discovery: Discovery, stdin: bytes | None) -> Iterator[tuple[str, bytes]]:
    """What was read, by name; read again, so that a file that has changed meanwhile has its new content."""
    if stdin is not None:
        yield STDIN_NAME, stdin
    for file in discovery.files:
        if file.live is not None:
            yield file.name, file.live[file.name]
            continue
        try:
            content = regular_content(file.path) if file.content is None else file.content
        except OSError:
            # Told as an error of the scan.
            continue
        if content is not None:
            yield file.name, content


@dataclass(frozen=True, slots=True)
class _Before:
    """The result of the same paths at a git revision, what was read of them there, and what could not be."""

    result: Result
    read: Mapping[str, ReadInventory]
    unread: tuple[str, ...]


def _reviewed(
    result: Result, before: _Before, found: Sequence[Environment], scan: _Scan, discovery: Discovery
) -> Result:
    """A result with what the change does. ``discovery``: all that is judged now."""
    # Imported here: it has the analyses of several areas.
    from kubeassay.execution.inventory import read_inventory
    from kubeassay.execution.review import inventories, with_review

    version = scan.by.version
    unread = [Unseen("before", text, unread=True) for text in before.unread]
    around = None
    if scan.around is not None:
        plan, context = scan.around.alone(scan.by.plan, discovery)
        around = read_inventory(context, version)
        missing = dict.fromkeys(f"{kind.kind or kind.group}: {kind.detail}" for kind in plan.live.unread)
        unread += [Unseen(side, text, unread=True) for text in missing for side in ("before", "after")]
    return with_review(result, before.read, inventories(found, version), version, around, unread)


def _at(revision: str, paths: Sequence[str], scan: _Scan) -> _Before:
    # Imported here: few scans are compared.
    from kubeassay.execution.review import inventories
    from kubeassay.sources.git_tree import tree_at

    options, version = scan.options, scan.by.version
    with tempfile.TemporaryDirectory(prefix="kubeassay-") as folder:
        tree = tree_at(
            revision,
            paths,
            FilePath(folder),
            ignore=not options["no_ignore"],
            max_file_size=options["max_file_size"] * 2**20,
            render=options["render"],
            follow=bool(options["follow"]),
        )
        for submodule in tree.left_out:
            said = f"warning: {submodule} is a submodule: what is found in it counts as new"
            click.echo(printable(said), err=True)
        found = environments(render(tree.discovery, {**options, "quiet": True}, version, context=True, at=tree))
        result = replace(scan, stdin=None).of_all(found, pictures=False)
        unread = [f"{submodule} is a submodule, whose files are of another repository" for submodule in tree.left_out]
        if tree.too_many:
            unread.append(f"{tree.too_many:,} files of the repository are not looked at for rendering: it is too large")
        return _Before(result, inventories(found, version), tuple(unread))


def _scan_matrix(paths: Sequence[str], options: Mapping[str, Any], config: Mapping[str, Any]) -> int:
    # Imported here: few scans are of several environments.
    from kubeassay.cli.matrix import matrix

    if options["since"] is not None:
        raise UsageError("--since compares one rendering of a PATH; --matrix is of several")
    if "-" in paths or any(map(is_snapshot, paths)):
        raise UsageError("--matrix is for files: PATH is what all of its environments have in common")
    found = matrix(options["matrix"], paths, options)
    judged = judging(options, config)
    around = _surroundings(options, config, judged.by.version)
    target = Target("manifests", display_name(options["matrix"]), context=() if around is None else around.names)
    scan = _Scan(judged.by, target, None, options, around)
    result = scan.of_several(found, pictures=shows_pictures(judged, options))
    result = _with_deployments(result, [environment for environment, _ in found])

    def inputs() -> Iterator[tuple[str, bytes]]:
        read = {name: content for environment, _ in found for name, content in _inputs(environment.discovery, None)}
        yield from read.items()

    return report(judged, result, options, inputs=inputs)


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
