"""What scanning manifests and auditing a cluster have in common: options, the plan they make, reports."""

from __future__ import annotations

import gc
import os
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any, TypeVar, get_args

import click

from kubeassay.cli.exits import exit_code
from kubeassay.cli.outputs import parse_outputs, write_reports
from kubeassay.engine.comparison import Comparison, compare
from kubeassay.engine.plan import Plan
from kubeassay.execution.demand import DEFAULT_PROFILE, Demand, Demanded, demanded, policy_warnings, template_paths
from kubeassay.model import SEVERITIES, Finding, KubernetesVersion, NotEvaluated, Outcome, Result
from kubeassay.policy.library import load_valid
from kubeassay.reporting import FORMATS, RenderOptions, render
from kubeassay.reporting.texts import printable
from kubeassay.sources.files import UsageError

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
                help="The version to judge by.  [default: the profile's]",
            ),
            click.option(
                "--rules", "rule_paths", multiple=True, metavar="PATH", help="Rule files of your own. Repeats."
            ),
            click.option(
                "--exceptions", "exception_files", multiple=True, metavar="FILE", help="Accepted findings. Repeats."
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
                help="Write a report to a file instead. Repeats.",
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

    @property
    def plan(self) -> Plan:
        return self.by.plan

    @property
    def not_understood(self) -> Sequence[NotEvaluated]:
        """What of the policy nothing judges."""
        return self.by.not_understood


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
    version = options["kubernetes_version"]
    if version is None and "kubernetesVersion" in config:
        version = KubernetesVersion.parse(str(config["kubernetesVersion"]))
    by = demanded(
        Demand(
            profile=options["profile"] or config.get("profile", DEFAULT_PROFILE),
            baselines=(*options["baselines"], *config.get("baselines", ())),
            rules=(*options["rule_paths"], *config.get("rules", ())),
            exceptions=(*options["exception_files"], *config.get("exceptions", ())),
            kubernetes_version=version,
            pod_template_paths=template_paths(config),
            show=options["show"],
        ),
        server_version,
    )
    return Judging(by, config, outputs, _previous(options))


def _previous(options: Mapping[str, Any]) -> Result | None:
    file = options["compare"]
    if file is None:
        if options["fail_on_new"]:
            raise UsageError("--fail-on-new needs --compare: new since when?")
        return None
    # Imported here: few scans are compared.
    from kubeassay.reporting.result_json import from_json

    try:
        return from_json(FilePath(file).read_bytes())
    except OSError as error:
        raise UsageError(f"--compare {file}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise UsageError(f"--compare {file}: is not a result of kubeassay: {error}") from None


def _say_compared(comparison: Comparison, file: str) -> None:
    counts = f"{len(comparison.new)} new, {len(comparison.fixed)} fixed, {len(comparison.unchanged)} unchanged"
    for word, findings in (("excepted", comparison.excepted), ("not judged now", comparison.unknown)):
        if findings:
            counts += f", {len(findings)} {word}"
    click.echo(printable(f"compared with {file}: {counts}"), err=True)
    for word, findings in (("new", comparison.new), ("fixed", comparison.fixed)):
        for finding in findings:
            where = f" at {finding.path}" if finding.path else ""
            click.echo(printable(f"{word}: {finding.severity} {finding.rule}: {finding.object}{where}"), err=True)


def report(
    judged: Judging, result: Result, options: Mapping[str, Any], asks: Callable[[Finding], bool] = lambda _: True
) -> int:
    """Write the reports; the exit code. ``asks``: as :func:`kubeassay.engine.comparison.compare` takes it."""
    # The result stays to the end: the collector is not to walk it for every report.
    gc.freeze()
    for warning in policy_warnings(judged.by, result):
        click.echo(f"warning: {warning}", err=True)
    colour = options["colour"]
    if colour is None:
        # https://no-color.org
        colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
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
        ),
    )
    if judged.outputs and not options["quiet"]:
        _say_written(result, judged.outputs)
    comparison = compare(judged.previous, result, asks) if judged.previous is not None else None
    if comparison is not None and not options["quiet"]:
        _say_compared(comparison, options["compare"])
    return exit_code(
        result,
        options["fail_on"] or judged.config.get("failOn", "high"),
        allow_incomplete=options["allow_incomplete"] or judged.config.get("allowIncomplete", False),
        counting=comparison.new if comparison is not None and options["fail_on_new"] else None,
    )


def _say_written(result: Result, outputs: Sequence[tuple[str, str]]) -> None:
    (summary,) = render("terminal", result, RenderOptions(quiet=True)).documents
    click.echo(summary.decode("utf-8"), nl=False, err=True)
    for name, path in outputs:
        click.echo(f"{name}: {path}", err=True)
