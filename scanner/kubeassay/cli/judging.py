"""What scanning manifests and auditing a cluster have in common: options, the plan they make, reports."""

from __future__ import annotations

import datetime
import gc
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path as FilePath
from typing import Any, TypeVar, get_args

import click

from kubeassay.cli.drift import say_drift
from kubeassay.cli.exits import USAGE, exit_code
from kubeassay.cli.outputs import STDOUT, parse_outputs, write_file, write_reports
from kubeassay.engine.comparison import Accepted, accept, compare, only_new
from kubeassay.engine.plan import Plan
from kubeassay.execution.demand import (
    DEFAULT_PROFILE,
    Demand,
    Demanded,
    demanded,
    imported_files,
    policy_notes,
    template_paths,
)
from kubeassay.model import (
    SEVERITIES,
    Comparison,
    KubernetesVersion,
    NotEvaluated,
    Outcome,
    Result,
)
from kubeassay.policy.library import load_valid
from kubeassay.reporting import FORMATS, RenderOptions, render
from kubeassay.reporting.texts import plural, printable
from kubeassay.sources.files import UsageError

#: The outcomes that a result has only where it is asked for them.
_JUDGED = frozenset[Outcome]({"pass", "not-evaluated"})
_F = TypeVar("_F", bound=Callable[..., Any])


class _Show(click.ParamType[frozenset[Outcome]]):
    name = "outcomes"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> frozenset[Outcome]:
        if isinstance(value, frozenset):
            return value
        words = {part.strip() for part in value.split(",") if part.strip()}
        outcomes: dict[str, Outcome] = {outcome: outcome for outcome in get_args(Outcome)}
        unknown = words - set(outcomes)
        if unknown:
            self.fail(f"{', '.join(sorted(unknown))}: expected {', '.join(outcomes)}.", param, ctx)
        return frozenset(outcomes[word] for word in words)


class _Version(click.ParamType[KubernetesVersion]):
    name = "version"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> KubernetesVersion:
        if isinstance(value, KubernetesVersion):
            return value
        try:
            return KubernetesVersion.parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


SHOW = _Show()


class _Day(click.ParamType[datetime.date]):
    name = "date"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime.date:
        if isinstance(value, datetime.date):
            return value
        try:
            return datetime.date.fromisoformat(value)
        except ValueError:
            self.fail(f"{value} is no day; write it as 2027-03-31.", param, ctx)


def applied(command: _F, options: Sequence[Callable[[_F], _F]]) -> _F:
    """A command with options, in their order."""
    for option in reversed(options):
        command = option(command)
    return command


def policy_options(command: _F) -> _F:
    """What to judge by."""
    return applied(
        command,
        [
            click.option(
                "--profile", "-p", metavar="NAME|FILE", help=f"What to judge by.  [default: {DEFAULT_PROFILE}]"
            ),
            click.option(
                "--baseline",
                "baselines",
                multiple=True,
                metavar="NAME|FILE",
                help="Judge by this baseline, or architecture document (.md), too. Repeats.",
            ),
            click.option(
                "--kubernetes-version",
                type=_Version(),
                metavar="1.N",
                help="The version to judge by.  [default: the cluster's, or else the profile's]",
            ),
            click.option(
                "--rules", "rule_paths", multiple=True, metavar="PATH", help="Rule files of your own. Repeats."
            ),
            click.option(
                "--exceptions", "exception_files", multiple=True, metavar="FILE", help="Accepted findings. Repeats."
            ),
            click.option(
                "--import-exceptions",
                multiple=True,
                metavar="FILE|auto",
                help="Exceptions of Kyverno or Trivy; auto: Trivy's here, and kube-linter's and Checkov's. Repeats.",
            ),
            click.option(
                "--in-tree-exceptions/--no-in-tree-exceptions",
                default=None,
                help="Whether exceptions in what is judged (annotations, comments) hold.  [default: the profile's]",
            ),
            click.option(
                "--today",
                type=_Day(),
                metavar="DATE",
                help="The day that exceptions are judged by.  [default: today, in UTC]",
            ),
            click.option("--config", "config_file", metavar="FILE", help="Take options from a configuration file."),
        ],
    )


def report_options(command: _F) -> _F:
    """What to report, where, and when to fail."""
    return applied(
        command,
        [
            click.option(
                "--format",
                "-f",
                "format_name",
                type=click.Choice(list(FORMATS)),
                default="terminal",
                show_default=True,
                help="The format of the report on standard output.",
            ),
            click.option(
                "--output",
                "-o",
                "outputs",
                multiple=True,
                metavar="FORMAT=PATH",
                help="Write a report to a file instead (-: standard output). Repeats.",
            ),
            click.option("--show", type=SHOW, default="", help="Also list these outcomes: pass,not-evaluated."),
            click.option(
                "--fail-on",
                type=click.Choice([*SEVERITIES, "none"]),
                help="Exit 1 on findings of at least this severity.  [default: high]",
            ),
            click.option(
                "--allow-incomplete",
                is_flag=True,
                help="Exit 0, not 3, when something was not evaluated or not readable.",
            ),
            click.option(
                "--compare",
                metavar="RESULT.json",
                help="Say what is new, fixed and unchanged since an earlier JSON result.",
            ),
            click.option("--fail-on-new", is_flag=True, help="With --compare: let new findings alone fail."),
            click.option(
                "--pictures",
                is_flag=True,
                help="Keep the maps of an HTML report in JSON, too, to render it from there.",
            ),
            click.option(
                "--accepted",
                metavar="FILE",
                help="Accept the findings that are recorded in a file (-o accepted=FILE writes one).",
            ),
            click.option(
                "--evidence",
                metavar="DIR",
                help="Write to a new folder, for each control, what was judged and how, with hashes.",
            ),
        ],
    )


def source_options(command: _F) -> _F:
    """What a cluster is to be compared with."""
    return applied(
        command,
        [
            click.option(
                "--source",
                "sources",
                multiple=True,
                metavar="DIR",
                help="Find the findings' lines in the manifests that declare the cluster, and compare both. Repeats.",
            ),
            click.option(
                "--fail-on-drift",
                is_flag=True,
                help="With --source: exit 1 where the cluster is not what they declare.",
            ),
        ],
    )


def sarif_options(command: _F) -> _F:
    """Of reports in SARIF."""
    return applied(
        command,
        [
            click.option(
                "--sarif-category",
                metavar="TEXT",
                help="GitHub's category of the analysis.  [default: kubeassay/PROFILE]",
            ),
            click.option(
                "--sarif-split", is_flag=True, help="Write several SARIF files when one would exceed GitHub's limit."
            ),
        ],
    )


def running_options(command: _F) -> _F:
    """How the program runs."""
    return applied(
        command,
        [
            click.option(
                "--jobs", "-j", type=click.IntRange(min=1), metavar="N", help="Processes to use.  [default: the cores]"
            ),
            click.option("--quiet", "-q", is_flag=True, help="Print the summary only."),
            click.option("--color/--no-color", "colour", default=None, help="Colours.  [default: on a terminal]"),
        ],
    )


@dataclass(frozen=True, slots=True)
class Judging:
    """What the options say to judge by."""

    by: Demanded
    config: Mapping[str, Any]
    outputs: Sequence[tuple[str, str]]
    #: The earlier result to compare with.
    previous: Result | None = None
    #: The findings that are accepted.
    accepted: Accepted | None = None

    @property
    def plan(self) -> Plan:
        return self.by.plan

    @property
    def not_understood(self) -> Sequence[NotEvaluated]:
        """What of the policy nothing judges."""
        return self.by.not_understood

    def of_server(self, version: str) -> Judging:
        """The same, at the version that a server says of itself, where nobody says another."""
        return replace(self, by=self.by.of_server(version))


def configuration(options: Mapping[str, Any]) -> Mapping[str, Any]:
    """The configuration file's ``spec``."""
    spec: Mapping[str, Any] = (
        load_valid(FilePath(options["config_file"]), "configuration")["spec"] if options["config_file"] else {}
    )
    return spec


def judging(options: Mapping[str, Any], config: Mapping[str, Any], server_version: str | None = None) -> Judging:
    """The plan of what the options and the configuration demand. ``server_version``: as
    :func:`kubeassay.execution.demand.demanded` takes it."""
    outputs = parse_outputs(options["outputs"])
    show = options["show"] | (_JUDGED if options["evidence"] else frozenset())
    by = demanded(replace(demand_of(options, config), show=show), server_version)
    return Judging(by, config, outputs, _previous(options), _accepted(options["accepted"]))


def demand_of(options: Mapping[str, Any], config: Mapping[str, Any]) -> Demand:
    """What the options (of :func:`policy_options`) and the configuration want judged by."""
    version = options["kubernetes_version"]
    if version is None and "kubernetesVersion" in config:
        version = KubernetesVersion.parse(str(config["kubernetesVersion"]))
    return Demand(
        profile=options["profile"] or config.get("profile", DEFAULT_PROFILE),
        baselines=(*options["baselines"], *config.get("baselines", ())),
        rules=(*options["rule_paths"], *config.get("rules", ())),
        exceptions=(*options["exception_files"], *config.get("exceptions", ())),
        imports=(*options["import_exceptions"], *config.get("importExceptions", ())),
        in_tree_exceptions=options["in_tree_exceptions"],
        today=options["today"],
        kubernetes_version=version,
        pod_template_paths=template_paths(config),
    )


def _previous(options: Mapping[str, Any]) -> Result | None:
    file = options["compare"]
    if file is None:
        if options["fail_on_new"]:
            raise UsageError("--fail-on-new needs --compare: new since when?")
        return None
    return read_result(file, f"--compare {file}")


def read_result(file: str, named: str) -> Result:
    """An earlier JSON result. ``named``: how the user named it."""
    # Imported here: few scans are compared.
    from kubeassay.reporting.result_json import from_json

    try:
        return from_json(FilePath(file).read_bytes())
    except OSError as error:
        raise UsageError(f"{named}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise UsageError(f"{named}: is not a result of kubeassay: {error}") from None


def _accepted(file: str | None) -> Accepted | None:
    if file is None:
        return None
    from kubeassay.reporting.accepted import read

    try:
        return read(FilePath(file).read_bytes())
    except OSError as error:
        raise UsageError(f"--accepted {file}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise UsageError(f"--accepted {file}: {error}") from None


def compared(comparison: Comparison, *, with_new: bool = True) -> Iterator[str]:
    """What a comparison says, in lines: the counts first. ``with_new``: what is new one by one, too."""
    counts = f"{len(comparison.new)} new, {len(comparison.fixed)} fixed, {len(comparison.unchanged)} unchanged"
    for word, findings in (("excepted", comparison.excepted), ("not judged now", comparison.unknown)):
        if findings:
            counts += f", {len(findings)} {word}"
    yield counts
    for word, findings in (("new", comparison.new if with_new else ()), ("fixed", comparison.fixed)):
        for finding in findings:
            where = f" at {finding.path}" if finding.path else ""
            place = f" ({finding.location.file}:{finding.location.start_line})" if word == "new" else ""
            yield f"{word}: {finding.severity} {finding.rule}: {finding.object}{where}{place}"


def of_another_target(previous: Result, now: Result, file: str) -> Iterator[str]:
    """A warning, where two results are not of the same target: only who compares them knows what both hold. ``file``:
    the earlier one."""
    names = [
        f"cluster {target.name}" if target.kind == "cluster" else target.name
        for target in (previous.target, now.target)
    ]
    if names[0] != names[1]:
        yield f"warning: {file} is of {names[0]}, not of {names[1]}: what was not scanned now counts as fixed"
    if previous.target.context != now.target.context:
        yield f"warning: {file} was judged by other paths beside its own (--with): that alone may make a difference"


def shows_pictures(judged: Judging, options: Mapping[str, Any]) -> bool:
    """Whether a report is to be written that shows the maps of a target, or keeps them."""
    names = [name for name, _ in judged.outputs] or [options["format_name"]]
    return bool(options["pictures"]) or any(FORMATS[name].pictures for name in names)


def report(
    judged: Judging,
    result: Result,
    options: Mapping[str, Any],
    inputs: Callable[[], Iterator[tuple[str, bytes]]] = lambda: iter(()),
    publish: Callable[[Result], bool] = lambda _: True,
) -> int:
    """Write the reports; the exit code. ``inputs``: what was read, by name; ``publish``: what else is done
    with the result, and whether it could be."""
    # The result stays to the end: the collector is not to walk it for every report.
    gc.freeze()
    for line in policy_notes(judged.by, result):
        click.echo(printable(line), err=True)
    if judged.accepted is not None:
        result, gone = accept(result, judged.accepted, options["accepted"])
        if gone and not options["quiet"]:
            click.echo(f"{options['accepted']}: {plural(gone, 'accepted finding')} no longer found", err=True)
    if options["evidence"] is not None:
        _write_evidence(judged, result, options, inputs())
        hidden = _JUDGED - options["show"]
        result = replace(result, findings=tuple(f for f in result.findings if f.outcome not in hidden))
    comparison = compare(judged.previous, result) if judged.previous is not None else None
    since = options.get("since")
    if judged.previous is not None and since is None:
        for line in of_another_target(judged.previous, result, options["compare"]):
            click.echo(printable(line), err=True)
    if comparison is not None and since is not None:
        result = only_new(result, comparison)
    result = replace(result, comparison=comparison)
    colour = options["colour"]
    if colour is None:
        # https://no-color.org
        colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    allow_incomplete = options["allow_incomplete"] or judged.config.get("allowIncomplete", False)
    write_reports(
        result,
        options["format_name"],
        judged.outputs,
        RenderOptions(
            colour=colour,
            width=shutil.get_terminal_size((100, 24)).columns,
            quiet=options["quiet"],
            show=frozenset[Outcome](("fail", "excepted")) | options["show"],
            sarif_category=options["sarif_category"],
            sarif_split=options["sarif_split"],
            time=options["timestamp"],
            allow_incomplete=allow_incomplete,
            link_base=options["link_base"],
            pictures=options["pictures"],
        ),
    )
    if judged.outputs and not options["quiet"]:
        _say_written(result, judged.outputs)
    if comparison is not None and not options["quiet"]:
        # With --since, a report for people has what is new, and nothing else.
        listed = since is not None and ("terminal", STDOUT) in (judged.outputs or [(options["format_name"], STDOUT)])
        counts, *lines = compared(comparison, with_new=not listed)
        click.echo(printable(f"compared with {since or options['compare']}: {counts}"), err=True)
        for line in lines:
            click.echo(printable(line), err=True)
    if result.drift is not None and not options["quiet"]:
        say_drift(result)
    if not publish(result):
        return USAGE
    return exit_code(
        result,
        options["fail_on"] or judged.config.get("failOn", "high"),
        allow_incomplete=allow_incomplete,
        counting=comparison.new if comparison is not None and options["fail_on_new"] else None,
        drift=result.drift if options.get("fail_on_drift") else None,
    )


def _write_evidence(
    judged: Judging, result: Result, options: Mapping[str, Any], inputs: Iterator[tuple[str, bytes]]
) -> None:
    # Imported here: few scans are for an auditor.
    from kubeassay.reporting.evidence import evidence, sha256

    folder = FilePath(options["evidence"])
    imports = imported_files((*options["import_exceptions"], *judged.config.get("importExceptions", ())))
    exceptions = (*options["exception_files"], *judged.config.get("exceptions", ()))
    policy = (*exceptions, *imports[0], *imports[1], options["accepted"])
    try:
        if folder.exists() and any(folder.iterdir()):
            raise UsageError(f"--evidence {folder}: is not empty: evidence is not mixed with what is there")
        files = evidence(
            result,
            {name: sha256(content) for name, content in inputs},
            {str(file): sha256(FilePath(file).read_bytes()) for file in policy if file},
        )
        for name, content in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            write_file(folder / name, content)
    except OSError as error:
        raise UsageError(f"--evidence {folder}: {error.filename}: {error.strerror}") from None


def _say_written(result: Result, outputs: Sequence[tuple[str, str]]) -> None:
    (summary,) = render("terminal", result, RenderOptions(quiet=True)).documents
    click.echo(summary.decode("utf-8"), nl=False, err=True)
    for name, path in outputs:
        click.echo(f"{name}: {path}", err=True)
