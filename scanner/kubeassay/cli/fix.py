"""``kubeassay fix``"""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click

from kubeassay.cli.exits import COMPLIES, FINDINGS, INCOMPLETE
from kubeassay.cli.judging import configuration, demand_of, policy_options, running_options
from kubeassay.cli.outputs import write_file
from kubeassay.cli.scan import reading_options
from kubeassay.engine.findings import SourceText
from kubeassay.execution.demand import demanded
from kubeassay.execution.mending import Left, Mended, mend
from kubeassay.execution.scan import scan
from kubeassay.model import Finding, Target
from kubeassay.policy.errors import PolicyError
from kubeassay.policy.library import suggestion
from kubeassay.reporting.texts import inert, plural, printable, printable_in_place
from kubeassay.sources.files import Discovery, UsageError, discover
from kubeassay.sources.manifests import read_bytes, regular_content
from kubeassay.sources.snapshot import is_snapshot

#: The lines of a diff, by how they begin.
_COLOURS = {"---": "bold", "+++": "bold", "@@": "cyan", "-": "red", "+": "green"}


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@policy_options
@click.option("--rule", "rules", multiple=True, metavar="RULE", help="Fix what this rule finds only. Repeats.")
@click.option("--dry-run", is_flag=True, help="Show the changes, write nothing, exit 1 if there are any.")
@reading_options
@running_options
@click.pass_context
def fix(ctx: click.Context, /, paths: tuple[str, ...], **options: Any) -> int:
    """Apply the fixes of findings to manifests.

    Comments, order and style of the files stay; only values that a rule's fix names are set. Each change is scanned
    again: one that does not mend its finding, or changes anything else, is not made. The changes are printed as a
    diff, in which secrets are masked.

    Exit codes: 0 everything that has a fix is fixed; 1 with --dry-run, there is something to fix; 2 wrong usage or
    policy, or a file cannot be written; 3 something was not readable, or a fix was not applied.
    """
    try:
        return _fix(paths, options)
    except (PolicyError, UsageError) as error:
        raise click.UsageError(str(error), ctx) from None


def _fix(paths: tuple[str, ...], options: Mapping[str, Any]) -> int:
    config = configuration(options)
    paths = paths or tuple(config.get("paths", ()))
    if not paths:
        raise UsageError("no PATH is given (. is the working directory)")
    for path in paths:
        if path == "-":
            raise UsageError("fix changes files: standard input cannot be changed")
        if is_snapshot(path):
            raise UsageError(f"{path} is a snapshot of a cluster: fix what the cluster is made from")
    plan = demanded(demand_of(options, config)).plan
    rules = {active.rule.id for active in plan.rules}
    for rule in options["rules"]:
        if rule not in rules:
            raise UsageError(f"--rule {rule}: the profile has no such rule{suggestion(rule, rules)}")
    wanted = frozenset(options["rules"])
    discovery = discover(paths, ignore=not options["no_ignore"], max_file_size=options["max_file_size"] * 2**20)
    mended = mend(
        discovery,
        partial(scan, plan, target=Target("manifests", ""), processes=options["jobs"]),
        lambda finding: not wanted or finding.rule in wanted,
    )
    if not options["quiet"]:
        colour = options["colour"]
        click.echo("".join(_diff(mended)), nl=False, color=sys.stdout.isatty() if colour is None else colour)
    if not options["dry_run"]:
        _write(mended, discovery)
    _say(mended, options)
    if options["dry_run"] and mended.files:
        return FINDINGS
    return INCOMPLETE if mended.left or mended.result.errors else COMPLIES


def _write(mended: Mended, discovery: Discovery) -> None:
    paths = {file.name: file.path for file in discovery.files}
    for name, (before, after) in mended.files.items():
        # A link stays one: its target is written.
        path = Path(os.path.realpath(paths[name]))
        try:
            now = regular_content(path)
        except OSError as error:
            raise UsageError(f"{name}: cannot be read again: {error.strerror}") from None
        if now != before:
            raise UsageError(f"{name}: was changed while it was scanned; it is left as it is")
        write_file(path, after, "")


def _diff(mended: Mended) -> Iterator[str]:
    """The changes as a unified diff, which ``git apply`` takes where nothing in it is masked or escaped."""
    for name, contents in mended.files.items():
        before, after = (_lines(content, name) for content in contents)
        for line in difflib.unified_diff(before, after, f"a/{name}", f"b/{name}"):
            styled = _styled(line.rstrip("\r\n"))
            yield f"{styled}\n" if line.endswith("\n") else f"{styled}\n\\ No newline at end of file\n"


def _lines(content: bytes, name: str) -> list[str]:
    read = read_bytes(content, name)
    # Not str.splitlines: it splits at characters that are no line ends to git.
    return SourceText(read.given, read.had_bom, read.objects).masked().splitlines(keepends=True)


def _styled(line: str) -> str:
    colour = next((colour for start, colour in _COLOURS.items() if line.startswith(start)), None)
    # A line that stays begins with a blank: what follows may be a command to a runner.
    text = inert(printable_in_place(line))
    if colour is None:
        return text
    return click.style(text, bold=True) if colour == "bold" else click.style(text, fg=colour)


def _say(mended: Mended, options: Mapping[str, Any]) -> None:
    for error in mended.result.errors:
        where = f"{error.file}:{error.line}:{error.column}" if error.line else error.file
        click.echo(printable(f"{where}: {error.message}"), err=True)
    for left in mended.left:
        click.echo(printable(_not_fixed(left)), err=True)
    without = _unfixable(mended, frozenset(options["rules"]))
    done = "would be fixed" if options["dry_run"] else "fixed"
    said = f"{plural(len(mended.fixed), 'finding')} {done} in {plural(len(mended.files), 'file')}"
    if without:
        said += f"; {plural(len(without), 'finding')} without a fix"
    click.echo(said, err=True)


def _not_fixed(left: Left) -> str:
    place = left.finding.location
    return f"{place.file}:{place.start_line}:{place.start_column}: {left.finding.rule} is not fixed: {left.reason}"


def _unfixable(mended: Mended, rules: frozenset[str]) -> Sequence[Finding]:
    tried = {left.finding.fingerprint for left in mended.left}
    failing: Iterable[Finding] = (f for f in mended.result.findings if f.outcome == "fail")
    return [f for f in failing if f.fingerprint not in tried and (not rules or f.rule in rules)]
