"""``kubeassay except``"""

from __future__ import annotations

import datetime
import difflib
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from kubeassay.cli.outputs import write_file
from kubeassay.model import Finding, Result
from kubeassay.model.result import identity
from kubeassay.policy.errors import PolicyError
from kubeassay.reporting.result_json import from_json
from kubeassay.reporting.texts import plural, printable

_FINGERPRINT = re.compile(r"[0-9a-f]{4,32}(:[0-9]+)?\Z")
_PLACE = re.compile(r"(?P<file>.+?):(?P<line>[0-9]+)(?::[0-9]+)?(?::(?P<rule>[a-z][a-z0-9-]*))?\Z")
_LISTED = 5


@click.command("except", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("findings", nargs=-1, required=True, metavar="FINDING...")
@click.option(
    "--from",
    "source",
    default="-",
    show_default=True,
    metavar="RESULT.json",
    help="The JSON result that has the findings (- for standard input).",
)
@click.option(
    "--file", default="exceptions.yaml", show_default=True, metavar="FILE", help="The file of exceptions to add to."
)
@click.option("--reason", required=True, metavar="TEXT", help="Why they are accepted.")
@click.option("--owner", default="", metavar="TEXT", help="Who answers for it.")
@click.option("--expires", default="", metavar="DATE", help="The last day on which they are accepted.")
@click.option("--dry-run", is_flag=True, help="Show what would be written, and write nothing.")
@click.pass_context
def except_(ctx: click.Context, /, findings: tuple[str, ...], source: str, file: str, **options: Any) -> int:
    """Accept findings: add exceptions to a file, as narrow as can be.

    FINDING is a fingerprint or its beginning, or the place that reports show: FILE:LINE, or FILE:LINE:RULE where a line
    has several.
    """
    try:
        return _except(findings, source, Path(file), **options)
    except PolicyError as error:
        raise click.UsageError(str(error), ctx) from None


def _except(
    wanted: Sequence[str], source: str, file: Path, *, reason: str, owner: str, expires: str, dry_run: bool
) -> int:
    # Imported here: only this command writes exceptions.
    from kubeassay.policy.exception_writing import appended, entry_for
    from kubeassay.policy.exceptions import is_date
    from kubeassay.policy.library import load_valid

    if not reason.strip():
        raise PolicyError("--reason is empty: why is it accepted?")
    if expires and not is_date(expires):
        raise PolicyError(f"--expires: {expires} is no day; write it as 2027-03-31")
    if expires and datetime.date.fromisoformat(expires) < datetime.datetime.now(datetime.UTC).date():
        raise PolicyError(f"--expires: {expires} has passed")
    result = _result(source)
    stated = {"reason": reason, "owner": owner, "expires": expires}
    missing = [f"--{name}" for name in result.profile.exceptions.required if not stated[name].strip()]
    if missing:
        raise PolicyError(f"profile {result.profile.name} requires {' and '.join(missing)}")
    chosen: dict[str, list[Finding]] = {}
    for text in wanted:
        found = _chosen(text, result)
        members = chosen.setdefault(identity(found), [])
        if found not in members:
            members.append(found)
    entries = []
    for fingerprint, members in chosen.items():
        # The same object in other files, for another environment perhaps, was not asked for.
        same = [finding for finding in result.findings if identity(finding) == fingerprint]
        files = [finding.location.file for finding in members] if len(same) > len(members) else []
        entries.append(entry_for(members[0], reason=reason, owner=owner, expires=expires, files=files))
    before = ""
    if file.exists():
        document = load_valid(file, "exceptions")
        _refuse_doubles(file, entries, document["spec"]["exceptions"])
        with file.open(encoding="utf-8", newline="") as stream:
            before = stream.read()
    bom = "\ufeff" if before.startswith("\ufeff") else ""
    try:
        after = bom + appended(before.removeprefix("\ufeff"), entries)
    except PolicyError as error:
        raise PolicyError(f"{file}: {error}") from None
    if dry_run:
        lines = difflib.unified_diff(
            before.splitlines(keepends=True), after.splitlines(keepends=True), str(file), str(file)
        )
        click.echo("".join(lines), nl=False)
        return 0
    # A link stays one: its target is written.
    write_file(Path(os.path.realpath(file)), after.encode("utf-8"), "--file")
    # A scan takes no file that it is not told of.
    use = "" if before else f"; a scan takes it by --exceptions {file}"
    click.echo(printable(f"{file}: {plural(len(entries), 'exception')} added{use}"), err=True)
    return 0


def _result(source: str) -> Result:
    try:
        piped = b"" if source != "-" or sys.stdin.isatty() else sys.stdin.buffer.read()
        if source == "-" and not piped.strip():
            raise PolicyError("--from RESULT.json: which result has it? (kubeassay scan … -o RESULT.json writes one)")
        return from_json(piped if source == "-" else Path(source).read_bytes())
    except OSError as error:
        raise PolicyError(f"--from {source}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise PolicyError(f"--from {source}: is not a result of kubeassay: {error}") from None


def _chosen(text: str, result: Result) -> Finding:
    """The finding that a text means. Raises PolicyError where it means none, or several."""
    open_ = [finding for finding in result.findings if finding.outcome in ("fail", "excepted")]
    found: list[Finding] = []
    place = _PLACE.match(text)
    if place is not None:
        found = [
            finding
            for finding in open_
            if finding.location.file == place["file"]
            and finding.location.start_line == int(place["line"])
            and place["rule"] in (None, finding.rule)
        ]
    if not found and _FINGERPRINT.match(text):
        found = [f for f in open_ if f.fingerprint == text] or [f for f in open_ if f.fingerprint.startswith(text)]
    if not found:
        raise PolicyError(f"{text}: no finding has this fingerprint or place")
    if len(found) > 1:
        listed = [f"{finding.fingerprint}  {_place(finding)}" for finding in found[:_LISTED]]
        more = [f"… and {len(found) - _LISTED} more"] if len(found) > _LISTED else []
        raise PolicyError(printable_lines(f"{text} means {len(found)} findings; name one:", [*listed, *more]))
    (finding,) = found
    if finding.outcome == "excepted":
        raise PolicyError(printable(f"{_place(finding)} is accepted already, by exception {finding.exception}"))
    if finding.area == "exceptions":
        raise PolicyError(printable(f"{_place(finding)}: nothing is excepted from rules on exceptions"))
    return finding


def printable_lines(head: str, lines: Sequence[str]) -> str:
    return "\n  ".join(printable(line) for line in (head, *lines))


def _place(finding: Finding) -> str:
    return f"{finding.location.file}:{finding.location.start_line}:{finding.rule}"


def _refuse_doubles(file: Path, entries: Sequence[dict[str, Any]], known: Sequence[dict[str, Any]]) -> None:
    about = ("reason", "owner", "expires", "id")
    for number, old in enumerate(known):
        scope = {key: value for key, value in old.items() if key not in about}
        for entry in entries:
            if {key: value for key, value in entry.items() if key not in about} == scope:
                name = old.get("id", f"{file}#{number + 1}")
                until = f", until {old['expires']}" if "expires" in old else ""
                raise PolicyError(f"{file}: exception {name} is to the same finding of {entry['rule']}{until}")
