"""``kubeassay audit`` and ``kubeassay snapshot``"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import click

from kubeassay.analysis.selectors import parse_selector
from kubeassay.cli.drift import declared
from kubeassay.cli.exits import COMPLIES, INCOMPLETE, USAGE
from kubeassay.cli.history import KEPT, History, say_first, say_kept
from kubeassay.cli.inputs import CONTEXT
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
from kubeassay.cli.outputs import details_options, write_file
from kubeassay.cli.rendering import rendering_options
from kubeassay.engine.plan import make_plan
from kubeassay.execution.audit import audit as run_audit
from kubeassay.execution.audit import everything_wanted, wanted
from kubeassay.execution.collector import idle_collector
from kubeassay.model import KubernetesVersion, Result
from kubeassay.policy.errors import PolicyError
from kubeassay.policy.library import Library
from kubeassay.reporting.texts import plural, printable
from kubeassay.sources import snapshot as snapshots
from kubeassay.sources.cluster import TIMEOUT, Api, ClusterError, Wanted, connect, read_cluster, server_version
from kubeassay.sources.files import UsageError

_F = TypeVar("_F", bound=Callable[..., Any])


def _history_options(command: _F) -> _F:
    """Where the results of one audit after the other lie."""
    return applied(
        command,
        [
            click.option(
                "--history",
                metavar="DIR",
                help="Write JSON, SARIF and HTML to a new folder in DIR, and compare with the newest result there.",
            ),
            click.option(
                "--keep",
                type=click.IntRange(min=1),
                metavar="N",
                help=f"With --history: how many results stay.  [default: {KEPT}]",
            ),
        ],
    )


def _cluster_options(command: _F) -> _F:
    """Which cluster, as whom, and what of it."""
    return applied(
        command,
        [
            click.option("--context", metavar="NAME", help="The kubeconfig's context.  [default: the current one]"),
            click.option("--kubeconfig", metavar="FILE", help="The kubeconfig.  [default: as kubectl]"),
            click.option("--namespace", "-n", "namespaces", multiple=True, help="Judge this namespace only. Repeats."),
            click.option(
                "--selector", "-l", default="", metavar="LABELS", help="Judge objects with these labels only."
            ),
            click.option("--as", "user", metavar="USER", help="Impersonate a user."),
            click.option("--as-group", "groups", multiple=True, metavar="GROUP", help="Impersonate a group. Repeats."),
            click.option(
                "--request-timeout",
                type=click.FloatRange(min=0, min_open=True),
                default=TIMEOUT,
                show_default=True,
                metavar="SECONDS",
                help="What one request may take, its answer included.",
            ),
            click.option("--cluster-name", metavar="NAME", help="The cluster in places.  [default: the kubeconfig's]"),
        ],
    )


@click.command(context_settings=CONTEXT)
@_cluster_options
@source_options
@rendering_options
@policy_options
@report_options
@_history_options
@sarif_options
@details_options
@running_options
@click.option(
    "--publish",
    type=click.Choice(["openreports", "wgpolicyk8s"]),
    is_flag=False,
    flag_value="openreports",
    help="Write the results into the cluster, as reports of that API.  [openreports where none is named]",
)
@click.option("--publish-dry-run", is_flag=True, help="With --publish: let the server check it, and write nothing.")
@click.pass_context
def audit(ctx: click.Context, /, **options: Any) -> int:
    """Judge a running cluster by a profile.

    Only lists are read, of the kinds that the profile's rules need, and of Secrets the metadata. What this user may not
    list is not evaluated.

    Exit codes: 0 complies; 1 findings at or above --fail-on; 2 wrong usage or policy, no cluster, or something could
    not be published; 3 nothing failed, but something was not evaluated or not readable.
    """
    try:
        config = configuration(options)
        history = _history(options)
        if history is not None:
            # Where there is no earlier result, everything is new.
            options = {**options, "fail_on_new": False, "only_new": options["fail_on_new"]}
        # What is wrong with the policy is said before a cluster is read.
        judged = judging(options, config)
        sources = declared(options)
        api = _connected(options)
        version = server_version(api)
        publish = _publishing(api, options)
        judged = judged.of_server(version)
        if history is not None:
            judged, options = _with_history(judged, options, history, api.connection.name)
        snapshot = _read(api, wanted(judged.plan), version, options)
        result = run_audit(
            judged.plan, snapshot, not_evaluated=judged.not_understood, processes=options["jobs"], sources=sources
        )
        if shows_pictures(judged, options):
            # Imported here: it has the analyses of all areas.
            from kubeassay.execution.pictures import with_pictures_of_cluster

            result = with_pictures_of_cluster(result, snapshot, judged.by.version)
        return _kept(
            history,
            partial(
                report,
                judged,
                result,
                options,
                lambda: iter(snapshot.files.items()),
                lambda result: publish(result, snapshot),
            ),
            options["quiet"],
        )
    except ClusterError as error:
        raise _NoClusterError(str(error)) from None
    except (PolicyError, UsageError) as error:
        raise click.UsageError(str(error), ctx) from None


@click.command(context_settings=CONTEXT)
@_cluster_options
@click.option("--output", "-o", required=True, metavar="FILE", help="The file to write; compressed if it ends in .gz.")
@click.option(
    "--profile", "-p", metavar="NAME|FILE", help="Read what this profile needs.  [default: what any rule needs]"
)
@click.option("--allow-incomplete", is_flag=True, help="Exit 0, not 3, when something was not readable.")
@click.option("--quiet", "-q", is_flag=True, help="Print nothing.")
@click.pass_context
def snapshot(ctx: click.Context, /, **options: Any) -> int:
    """Store what an audit reads, to judge it later or elsewhere (kubeassay scan FILE).

    Values of Secrets are not read, and what looks like a credential is replaced.
    """
    try:
        library = Library()
        needed = everything_wanted(library.rules.values())
        if options["profile"] is not None:
            needed = wanted(make_plan(library.profile(options["profile"]), library, KubernetesVersion.parse("latest")))
        api = _connected(options)
        found = _read(api, needed, server_version(api), options)
        write_file(Path(options["output"]), snapshots.write(found, options["output"]))
        if not options["quiet"]:
            click.echo(
                f"{options['output']}: {plural(len(found.files), 'object')} of cluster {found.cluster}", err=True
            )
    except ClusterError as error:
        raise _NoClusterError(printable(str(error))) from None
    except (PolicyError, UsageError) as error:
        raise click.UsageError(str(error), ctx) from None
    return INCOMPLETE if found.unread and not options["allow_incomplete"] else COMPLIES


class _NoClusterError(click.ClickException):
    """One line: how the command is used does not help."""

    exit_code = USAGE


def _history(options: Mapping[str, Any]) -> History | None:
    root = options["history"]
    if root is None:
        if options["keep"] is not None:
            raise UsageError("--keep needs --history")
        return None
    if options["compare"] is not None:
        raise UsageError("--history compares with the newest result there: leave --compare out")
    return History.opened(root, options["keep"] or KEPT)


def _kept(history: History | None, write: Callable[[], int], quiet: bool) -> int:
    """Write the reports, to the history, too; the exit code."""
    if history is None:
        return write()
    history.begin()
    code = write()
    if code == USAGE:
        history.fail()
    history.prune()
    if not quiet:
        say_kept(history)
    return code


def _with_history(
    judged: Judging, options: dict[str, Any], history: History, cluster: str
) -> tuple[Judging, dict[str, Any]]:
    """What is written besides, and compared with: the newest result of this cluster by this profile."""
    judged = replace(judged, outputs=[*judged.outputs, *history.outputs()])
    profile = judged.plan.profile.name
    previous = history.previous(profile, cluster)
    if previous is None:
        if not options["quiet"]:
            say_first(history.root, profile, cluster)
        return judged, options
    file, result = previous
    return replace(judged, previous=result), {**options, "compare": file, "fail_on_new": options["only_new"]}


def _connected(options: Mapping[str, Any]) -> Api:
    if options["selector"]:
        try:
            parse_selector(options["selector"])
        except ValueError as error:
            raise UsageError(f"--selector: {error}") from None
    if options["groups"] and options["user"] is None:
        raise UsageError("--as-group needs --as")
    return Api(
        connect(
            kubeconfig=options["kubeconfig"],
            context=options["context"],
            user=options["user"],
            groups=options["groups"],
            name=options["cluster_name"],
        ),
        timeout=options["request_timeout"],
    )


def _read(api: Api, needed: Wanted, version: str, options: Mapping[str, Any]) -> snapshots.Snapshot:
    progress = None if options["quiet"] or not sys.stderr.isatty() else _Progress()
    try:
        with idle_collector():
            found = read_cluster(
                api,
                needed,
                version=version,
                namespaces=options["namespaces"] or None,
                selector=options["selector"],
                progress=progress,
            )
    finally:
        if progress is not None:
            progress.end()
    if not options["quiet"]:
        for line in _said(found):
            click.echo(printable(line), err=True)
    return found


def _publishing(api: Api, options: Mapping[str, Any]) -> Callable[[Result, snapshots.Snapshot], bool]:
    """What publishes a result, and tells whether all of it was. Raises UsageError, before anything is read, where it
    cannot be."""
    if options["publish"] is None:
        if options["publish_dry_run"]:
            raise UsageError("--publish-dry-run needs --publish")
        return lambda result, snapshot: True
    # Imported here: what only reads a cluster cannot write.
    from kubeassay.execution.publish import publish, store_for
    from kubeassay.reporting.openreports import APIS

    chosen, dry_run = APIS[options["publish"]], options["publish_dry_run"]
    store = store_for(api.connection, chosen, dry_run=dry_run)

    def run(result: Result, snapshot: snapshots.Snapshot) -> bool:
        done = publish(store, chosen, result, snapshot, int(time.time()))
        if dry_run:
            for change in done.changes:
                click.echo(printable(f"would {change}"), err=True)
        if not options["quiet"]:
            would = "would be " if dry_run else ""
            counts = f"{done.created:,} created, {done.updated:,} updated, {done.removed:,} removed"
            click.echo(f"reports {would}published: {counts}, {done.unchanged:,} unchanged", err=True)
        for failure in done.failures:
            click.echo(printable(f"--publish: {failure}"), err=True)
        return not done.failures

    return run


def _said(found: snapshots.Snapshot) -> list[str]:
    """What was and was not readable: in front of the report."""
    objects, kinds = plural(len(found.files), "object"), plural(len(found.read), "kind")
    lines = [f"cluster {found.cluster}, {found.version}: read {objects} of {kinds}"]
    by_kind: dict[tuple[str, str], list[str]] = {}
    for unread in found.unread:
        where = unread.namespace or (f"all but {', '.join(unread.but)}" if unread.but else "")
        by_kind.setdefault((unread.name, unread.reason), []).append(where)
    for (kind, reason), places in by_kind.items():
        named = [place for place in places if place]
        where = f" in {', '.join(named[:5])}{f' and {len(named) - 5} more' if len(named) > 5 else ''}" if named else ""
        lines.append(f"not read: {kind}{where} ({reason})")
    return lines


class _Progress:
    """A line on a terminal that counts."""

    def __init__(self) -> None:
        self._count = 0
        self._lock = threading.Lock()

    def __call__(self, kind: str, count: int) -> None:
        with self._lock:
            self._count += count
            click.echo(f"\r\x1b[KReading {printable(kind)}: {self._count:,} objects", err=True, nl=False)

    def end(self) -> None:
        click.echo("\r\x1b[K", err=True, nl=False)
