"""``kubeassay fleet``"""

from __future__ import annotations

import gc
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import click

from kubeassay import __version__
from kubeassay.cli.exits import COMPLIES, FINDINGS, INCOMPLETE, exit_code
from kubeassay.cli.inputs import CONTEXT
from kubeassay.cli.judging import SHOW
from kubeassay.cli.outputs import write_file, write_reports
from kubeassay.engine.comparison import compare as compare_results
from kubeassay.execution.executors import LOCAL, PROCESSES, Done, Executor, Task, executor_of
from kubeassay.execution.fleet import TargetAnswer, audit_target
from kubeassay.model import SEVERITIES, Comparison, Outcome, Result
from kubeassay.model.fleet import ComparedCounts, FleetResult, TargetRow, TargetStatus
from kubeassay.policy.errors import PolicyError
from kubeassay.policy.fleet import Fleet, FleetTarget, fleet_from
from kubeassay.policy.library import suggestion
from kubeassay.reporting import FORMATS, RenderOptions
from kubeassay.reporting.fleet import FLEET_FORMATS, render_fleet
from kubeassay.reporting.result_json import from_json
from kubeassay.reporting.texts import printable
from kubeassay.sources.files import UsageError, display_name

#: The reports on all targets, in the folder of outputs; those on one are in a folder of its name.
_COMBINED = {"json": "fleet.json", "html": "index.html"}
_RESULT = "result.json"
#: Formats that are kept in files.
_OWN_FORMATS = tuple(form.name for form in FORMATS.values() if form.suffix)
_STATUS: Mapping[int, TargetStatus] = {COMPLIES: "complies", FINDINGS: "fails", INCOMPLETE: "incomplete"}


def _complete_target(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    # An option without its value, which is being written, keeps arguments from being taken.
    for file in filter(None, (ctx.params.get("file"), *ctx.args)):
        try:
            fleet = fleet_from(Path(file))
        except PolicyError:
            continue
        return [target.name for target in fleet.targets if target.name.startswith(incomplete)]
    return []


def _complete_executor(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    return [word for word in (LOCAL, PROCESSES, "dask://", "tls://") if word.startswith(incomplete)]


@click.command(context_settings=CONTEXT)
@click.argument("file", metavar="FLEET.yaml", type=click.Path())
@click.option(
    "--target",
    "-t",
    "chosen",
    multiple=True,
    metavar="NAME",
    shell_complete=_complete_target,
    help="Audit this target only. Repeats.",
)
@click.option(
    "--executor",
    default=PROCESSES,
    show_default=True,
    metavar="WHERE",
    shell_complete=_complete_executor,
    help="Where targets are audited: local (one after the other), processes (some at a time), or on the workers of a"
    " Dask scheduler: dask://HOST:PORT, tls://HOST:PORT.",
)
@click.option(
    "--jobs",
    "-j",
    type=click.IntRange(min=1),
    metavar="N",
    help="Processes to use; of Dask, targets at a time.  [default: the cores; the workers' threads]",
)
@click.option(
    "--target-timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=3600,
    show_default=True,
    metavar="SECONDS",
    help="Give up a target after so long.",
)
@click.option(
    "--format",
    "-f",
    "format_name",
    type=click.Choice(list(FLEET_FORMATS)),
    default="terminal",
    show_default=True,
    help="The format of the report on all targets on standard output.",
)
@click.option(
    "--output-dir",
    "-d",
    metavar="DIR",
    help="Write fleet.json, and the result of each target as TARGET/result.json.",
)
@click.option(
    "--output",
    "-o",
    "formats",
    multiple=True,
    type=click.Choice(_OWN_FORMATS),
    metavar="FORMAT",
    help="With --output-dir: write each target's report in this format, too; with html, index.html. Repeats.",
)
@click.option("--show", type=SHOW, default="", help="Also list these outcomes: pass,not-evaluated.")
@click.option(
    "--fail-on",
    type=click.Choice([*SEVERITIES, "none"]),
    help="Exit 1 on findings of at least this severity.  [default: the target's, or high]",
)
@click.option(
    "--allow-incomplete",
    is_flag=True,
    help="Exit 0, not 3, when something of a target was not evaluated or not readable.",
)
@click.option(
    "--compare", metavar="DIR", help="Say what is new, fixed and unchanged since an earlier run with --output-dir."
)
@click.option("--fail-on-new", is_flag=True, help="With --compare: let new findings alone fail.")
@click.option("--quiet", "-q", is_flag=True, help="Print the summary only.")
@click.pass_context
def fleet(ctx: click.Context, /, file: str, **options: Any) -> int:
    """Audit many clusters and repositories.

    FLEET.yaml names them, with what each is judged by. Each is audited in a process of its own; one that fails does not
    stop the others. Files, policy and kubeconfigs are read where the audit runs.

    Exit codes: 0 all comply; 1 findings at or above --fail-on; 2 wrong usage, fleet file or executor; 3 nothing failed,
    but a target was not audited (which nothing waives), or something of one was not evaluated or not readable.
    """
    try:
        found = fleet_from(Path(file))
        targets = _chosen(found, options["chosen"])
        folders = _folders(options)
        run = _Run(found, targets, options, folders)
        run.audit()
        return run.report()
    except (PolicyError, UsageError) as error:
        raise click.UsageError(printable_lines(str(error)), ctx) from None


def printable_lines(text: str) -> str:
    """Text of several lines for a terminal."""
    return "\n".join(map(printable, text.splitlines()))


def _chosen(found: Fleet, names: Sequence[str]) -> list[FleetTarget]:
    known = {target.name for target in found.targets}
    for name in names:
        if name not in known:
            raise UsageError(f"--target {name}: {found.file} has no such target{suggestion(name, known)}")
    return [target for target in found.targets if not names or target.name in names]


@dataclass(frozen=True, slots=True)
class _Folders:
    """Where reports go, and where those of an earlier run are."""

    output: Path | None
    previous: Path | None


def _folders(options: Mapping[str, Any]) -> _Folders:
    output = Path(options["output_dir"]) if options["output_dir"] is not None else None
    previous = Path(options["compare"]) if options["compare"] is not None else None
    if options["formats"] and output is None:
        raise UsageError("--output needs --output-dir: where to?")
    if options["fail_on_new"] and previous is None:
        raise UsageError("--fail-on-new needs --compare: new since when?")
    if previous is not None and not previous.is_dir():
        raise UsageError(f"--compare {previous}: is no directory")
    if output is not None:
        try:
            output.mkdir(parents=True, exist_ok=True)
            if previous is not None and previous.samefile(output):
                raise UsageError(
                    "--compare and --output-dir are one directory: a target that cannot be audited today would lose its"
                    " earlier result"
                )
            # Until this run has an end, none is told of.
            for name in _COMBINED.values():
                (output / name).unlink(missing_ok=True)
        except OSError as error:
            raise UsageError(f"--output-dir {output}: {error.strerror}") from None
    return _Folders(output, previous)


@dataclass(frozen=True, slots=True)
class _Earlier:
    """The earlier result of a target, and what changed since; without one, ``why_not``, where it was asked for."""

    result: Result | None = None
    comparison: Comparison | None = None
    why_not: str = ""
    is_damaged: bool = False

    def counts(self) -> ComparedCounts | None:
        found = self.comparison
        if found is None:
            return None
        return ComparedCounts(
            len(found.new), len(found.fixed), len(found.unchanged), len(found.excepted), len(found.unknown)
        )


def _file(name: str) -> str:
    """The file of a format in the folder of a target."""
    suffix = FORMATS[name].suffix
    return f"result{suffix}" if suffix.startswith(".") else suffix


@dataclass(slots=True)
class _Run:
    """One audit of a fleet. Of each target a row is kept, and not its result."""

    fleet: Fleet
    targets: Sequence[FleetTarget]
    options: Mapping[str, Any]
    folders: _Folders
    rows: dict[str, TargetRow] = field(default_factory=dict)
    codes: list[int] = field(default_factory=list)
    notes: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def audit(self) -> None:
        by_name = {target.name: target for target in self.targets}
        with executor_of(
            self.options["executor"],
            len(self.targets),
            jobs=self.options["jobs"],
            timeout=self.options["target_timeout"],
        ) as executor:
            for warning in executor.warnings:
                click.echo(printable(f"warning: {warning}"), err=True)
            progress = _Progress(len(self.targets), shown=not self.options["quiet"] and sys.stderr.isatty())
            try:
                progress.done("")
                for done in executor.completed(self._tasks(executor)):
                    self._take(by_name[done.name], done)
                    # Of a large result nothing is to be left when the next one comes.
                    gc.collect()
                    progress.done(done.name)
            finally:
                progress.end()

    def _tasks(self, executor: Executor) -> list[Task[TargetAnswer]]:
        show: frozenset[Outcome] = self.options["show"]
        call = partial(
            audit_target,
            processes=executor.processes,
            show=tuple(sorted(show)),
            pictures=any(FORMATS[name].pictures for name in self.options["formats"]),
        )
        return [Task(target.name, partial(call, target)) for target in self.targets]

    def _take(self, target: FleetTarget, done: Done[TargetAnswer]) -> None:
        answer = done.answer
        error = done.error or (answer.error if answer is not None else "")
        result = None
        if answer is not None and not error:
            try:
                result = from_json(answer.result)
            except ValueError as wrong:
                error = f"its answer is no result: {wrong}"
        source = ", ".join(target.paths) or " of ".join(
            filter(None, (target.context and f"context {target.context}", target.kubeconfig))
        )
        fail_on = self.options["fail_on"] or target.fail_on
        if result is None or answer is None:
            self._remove_reports(target)
            self.rows[target.name] = TargetRow(target.name, target.kind, source, "not-audited", fail_on, error)
            return
        self.notes[target.name] = answer.notes
        earlier = self._earlier(target, result)
        counting = None
        if earlier.comparison is not None and self.options["fail_on_new"]:
            counting = earlier.comparison.new
        code = exit_code(result, fail_on, allow_incomplete=False, counting=counting)
        allowed = self.options["allow_incomplete"] or target.allow_incomplete
        self.codes.append(exit_code(result, fail_on, allow_incomplete=allowed, counting=counting))
        if earlier.is_damaged:
            self.codes.append(INCOMPLETE)
        self.rows[target.name] = TargetRow(
            target.name,
            target.kind,
            source,
            _STATUS[code],
            fail_on,
            profile=result.profile.name,
            environment=result.profile.environment,
            kubernetes_version=result.kubernetes_version,
            summary=result.summary,
            not_evaluated=len(result.not_evaluated),
            read_errors=len(result.errors),
            comparison=earlier.counts(),
            not_compared=earlier.why_not,
            reports=self._write(target, answer.result, result, earlier, allowed=allowed),
        )

    def _earlier(self, target: FleetTarget, result: Result) -> _Earlier:
        if self.folders.previous is None:
            return _Earlier()
        file = self.folders.previous / target.name / _RESULT
        try:
            previous = from_json(file.read_bytes())
        except FileNotFoundError:
            return _Earlier(why_not="no earlier result")
        except (OSError, ValueError) as error:
            said = getattr(error, "strerror", None) or error
            return _Earlier(why_not=f"the earlier result cannot be read: {said}", is_damaged=True)
        return _Earlier(previous, compare_results(previous, result))

    def _write(
        self, target: FleetTarget, document: bytes, result: Result, earlier: _Earlier, *, allowed: bool
    ) -> dict[str, str]:
        """Write the reports of a target: format → file."""
        if self.folders.output is None:
            return {}
        folder = self.folders.output / target.name
        self._remove_reports(target)
        try:
            folder.mkdir(exist_ok=True)
        except OSError as error:
            raise UsageError(f"--output-dir {folder}: {error.strerror}") from None
        # As it came, and before all others: what cannot be rendered can be looked at.
        write_file(folder / _RESULT, document)
        others = [(name, str(folder / _file(name))) for name in self.options["formats"] if name != "json"]
        if others:
            options = RenderOptions(
                show=frozenset[Outcome](("fail", "excepted")) | self.options["show"],
                sarif_category=f"kubeassay/{result.profile.name}/{target.name}",
                allow_incomplete=allowed,
            )
            write_reports(replace(result, comparison=earlier.comparison), "terminal", others, options)
        return {name: f"{target.name}/{_file(name)}" for name in ("json", *self.options["formats"])}

    def _remove_reports(self, target: FleetTarget) -> None:
        """What an earlier run wrote of a target would be taken for what this one found."""
        if self.folders.output is None:
            return
        for name in _OWN_FORMATS:
            file = self.folders.output / target.name / _file(name)
            try:
                file.unlink(missing_ok=True)
            except OSError as error:
                raise UsageError(f"--output-dir: {file} cannot be removed: {error.strerror}") from None

    def report(self) -> int:
        """Write the reports on all targets; the exit code."""
        options, quiet = self.options, self.options["quiet"]
        rows = tuple(self.rows[target.name] for target in self.targets)
        result = FleetResult(
            tool_version=__version__,
            name=self.fleet.name,
            file=display_name(self.fleet.file),
            targets=len(self.fleet.targets),
            rows=rows,
            compared=self.folders.previous is not None,
        )
        for target in self.targets:
            for note in self.notes.get(target.name, ()):
                click.echo(printable(f"{target.name}: {note}"), err=True)
        if quiet or options["format_name"] != "terminal":
            for row in rows:
                if row.error:
                    click.echo(printable(f"{row.name}: not audited: {row.error}"), err=True)
        if self.folders.output is not None:
            for name, file in _COMBINED.items():
                if name == "json" or name in options["formats"]:
                    (document,) = render_fleet(name, result).documents
                    write_file(self.folders.output / file, document)
        rendered = render_fleet(
            options["format_name"],
            result,
            RenderOptions(quiet=quiet),
        )
        sys.stdout.buffer.writelines(rendered.documents)
        sys.stdout.buffer.flush()
        codes = [*self.codes, *(INCOMPLETE for row in rows if row.status == "not-audited")]
        return FINDINGS if FINDINGS in codes else INCOMPLETE if INCOMPLETE in codes else COMPLIES


class _Progress:
    """A line on a terminal that counts the targets that are done."""

    def __init__(self, count: int, *, shown: bool) -> None:
        self._count = count
        self._done = -1
        self._shown = shown

    def done(self, name: str) -> None:
        self._done += 1
        if self._shown:
            last = f", {name} the last" if name else ""
            click.echo(f"\r\x1b[KAudited {self._done} of {self._count} targets{last}", err=True, nl=False)

    def end(self) -> None:
        if self._shown:
            click.echo("\r\x1b[K", err=True, nl=False)
