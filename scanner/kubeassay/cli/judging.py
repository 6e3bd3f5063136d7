"""What scanning manifests and auditing a cluster have in common: options, the plan they make, reports."""

from __future__ import annotations

import contextlib
import gc
import os
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any, TypeVar, get_args

import click

from kubeassay.cli.exits import exit_code
from kubeassay.cli.outputs import parse_outputs, write_reports
from kubeassay.engine.comparison import Comparison, compare
from kubeassay.engine.evaluate import has_expired
from kubeassay.engine.plan import Plan, make_plan
from kubeassay.model import (
    NEWEST_KNOWN,
    SEVERITIES,
    Control,
    Finding,
    KubernetesVersion,
    NotEvaluated,
    Outcome,
    Path,
    Profile,
    Result,
    RuleUse,
    Source,
    parse_path,
)
from kubeassay.policy.errors import PolicyError
from kubeassay.policy.library import Library, check_control_ids, exceptions_from, load_valid
from kubeassay.reporting import FORMATS, RenderOptions, render
from kubeassay.reporting.texts import printable
from kubeassay.sources.files import UsageError, is_markdown

if TYPE_CHECKING:
    from kubeassay.policy.document.importing import Imported

DEFAULT_PROFILE = "recommended"
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
            click.option("--show", type=_Show(), default="", help="Also list these outcomes: pass,not-evaluated."),
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
    """What the options say to judge by. ``wanted``: the version that was asked for."""

    plan: Plan
    config: Mapping[str, Any]
    outputs: Sequence[tuple[str, str]]
    not_understood: Sequence[NotEvaluated]
    wanted: KubernetesVersion
    #: The earlier result to compare with.
    previous: Result | None = None
    #: The plan at another version; None where the options say which.
    plan_at: Callable[[KubernetesVersion], Plan] | None = None

    def of_server(self, version: str) -> Judging:
        """The same, at the version that a server says of itself, where nobody says another."""
        if self.plan_at is None:
            return self
        try:
            wanted = KubernetesVersion.parse(version)
        except ValueError:
            return self
        return self if wanted == self.wanted else replace(self, plan=self.plan_at(wanted), wanted=wanted)


def configuration(options: Mapping[str, Any]) -> Mapping[str, Any]:
    """The configuration file's ``spec``."""
    spec: Mapping[str, Any] = (
        load_valid(FilePath(options["config_file"]), "configuration")["spec"] if options["config_file"] else {}
    )
    return spec


def judging(options: Mapping[str, Any], config: Mapping[str, Any], server_version: str | None = None) -> Judging:
    """The plan of what the options and the configuration demand. ``server_version``: what a server says of its version,
    which is judged by where nobody says another; the profile's where there is none, or it is not understood."""
    outputs = parse_outputs(options["outputs"])
    baselines = [*options["baselines"], *config.get("baselines", ())]
    rule_paths = [FilePath(path) for path in (*options["rule_paths"], *config.get("rules", ()))]
    imported = _imported([name for name in baselines if is_markdown(name)], rule_paths)
    library = Library(
        rule_paths,
        [FilePath(name) for name in baselines if name.endswith((".yaml", ".yml"))],
        [(found.baseline, file) for file, found in imported.items()],
    )
    profile = _with_own_rules(
        library,
        _with_baselines(
            library.profile(options["profile"] or config.get("profile", DEFAULT_PROFILE)), library, baselines
        ),
    )
    wanted = options["kubernetes_version"]
    if wanted is None and "kubernetesVersion" in config:
        wanted = KubernetesVersion.parse(str(config["kubernetesVersion"]))
    is_said = wanted is not None
    if wanted is None and server_version is not None:
        with contextlib.suppress(ValueError):
            wanted = KubernetesVersion.parse(server_version)
    if wanted is None:
        wanted = KubernetesVersion.parse(profile.kubernetes_version)
    plan_at = partial(
        make_plan,
        profile,
        library,
        exceptions=[
            exception
            for file in (*options["exception_files"], *config.get("exceptions", ()))
            for exception in exceptions_from(FilePath(file), library.rules)
        ],
        pod_template_paths=_template_paths(config),
        show=options["show"],
    )
    return Judging(
        plan_at(wanted),
        config,
        outputs,
        _not_understood(imported),
        wanted,
        _previous(options),
        None if is_said else plan_at,
    )


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
    _warn(judged.plan, result, judged.wanted)
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


def _with_baselines(profile: Profile, library: Library, names: Sequence[str]) -> Profile:
    chosen = []
    for name in names:
        if name.endswith((".yaml", ".yml")) or is_markdown(name):
            chosen.append(next(b for b in library.baselines.values() if b.file == FilePath(name).as_posix()))
        else:
            chosen.append(library.baseline(name))
    if not chosen:
        return profile
    known = {(control.baseline, control.id) for control in profile.controls}
    added = [c for baseline in chosen for c in baseline.controls if (c.baseline, c.id) not in known]
    check_control_ids((*profile.controls, *added), "--baseline")
    return replace(
        profile,
        controls=(*profile.controls, *added),
        baselines=(*profile.baselines, *(b for b in chosen if b not in profile.baselines)),
    )


def _imported(names: Sequence[str], rule_paths: Sequence[FilePath]) -> dict[str, Imported]:
    """What the documents among the baselines demand, by file."""
    if not names:
        return {}
    # Imported here: few scans are by a document.
    from kubeassay.execution.documents import all_imported

    return all_imported([FilePath(name) for name in names], Library(rule_paths))


def _not_understood(documents: Mapping[str, Imported]) -> list[NotEvaluated]:
    """What a document says and nothing judges: no pass."""
    return [
        NotEvaluated("not-understood", f"{file}:{note.line}: {note.subject or 'a block'}: {note.reason}", file=file)
        for file, found in documents.items()
        for note in found.notes
        if note.kind == "not-understood"
    ]


def _with_own_rules(library: Library, profile: Profile) -> Profile:
    """The profile with the user's rules that no control of it demands: who names a rule file wants it to run."""
    demanded = {use.rule for control in profile.controls for use in control.rules}
    own = tuple(
        Control(rule.id, rule.title, "own-rules", Source(rule.file), (RuleUse(rule.id),))
        for rule in library.own_rules
        if rule.id not in demanded
    )
    return replace(profile, controls=(*profile.controls, *own))


def _template_paths(config: Mapping[str, Any]) -> dict[tuple[str, str], tuple[Path, ...]]:
    paths: dict[tuple[str, str], tuple[Path, ...]] = {}
    for entry in config.get("podTemplatePaths", ()):
        key = (entry.get("group", ""), entry["kind"])
        try:
            paths[key] = (*paths.get(key, ()), parse_path(entry["path"]))
        except ValueError as error:
            raise PolicyError(f"podTemplatePaths: {error}") from None
    return paths


def _say_written(result: Result, outputs: Sequence[tuple[str, str]]) -> None:
    (summary,) = render("terminal", result, RenderOptions(quiet=True)).documents
    click.echo(summary.decode("utf-8"), nl=False, err=True)
    for name, path in outputs:
        click.echo(f"{name}: {path}", err=True)


def _warn(plan: Plan, result: Result, wanted: KubernetesVersion) -> None:
    """Say what the user should know of the policy that was used: nothing of it changes the result."""
    if wanted > NEWEST_KNOWN:
        click.echo(
            f"warning: Kubernetes {wanted} is newer than the newest known, {NEWEST_KNOWN}; its rules hold", err=True
        )
    used = {finding.exception for finding in result.findings if finding.exception is not None}
    for exception, _ in plan.exceptions:
        where = f"{exception.file}:{exception.line}" if exception.line else exception.file
        if has_expired(exception):
            click.echo(f"warning: {where}: exception {exception.id} expired on {exception.expires}", err=True)
        elif exception.id not in used:
            click.echo(f"warning: {where}: exception {exception.id} matches no finding", err=True)
