"""``kubeassay baseline``"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kubeassay.cli.exits import COMPLIES, INCOMPLETE
from kubeassay.cli.outputs import write_file
from kubeassay.policy.errors import PolicyError
from kubeassay.policy.library import Library
from kubeassay.reporting.texts import printable
from kubeassay.sources.files import UsageError

if TYPE_CHECKING:
    from kubeassay.policy.document.clauses import Note, NoteKind
    from kubeassay.policy.document.importing import Imported

_CONTEXT = {"help_option_names": ["-h", "--help"]}
#: What notes of a kind are called, in the order of the report; and whether they are told without --report.
_KINDS: dict[NoteKind, tuple[str, bool]] = {
    "not-understood": ("Not understood", True),
    "contradiction": ("Contradictions", True),
    "assumed": ("Assumed", True),
    "not-read": ("Not read", True),
    "prose": ("In words", False),
    "no-demand": ("No demand", False),
}


@click.group(context_settings=_CONTEXT)
def baseline() -> None:
    """Make a baseline of an architecture document."""


@baseline.command("import", context_settings=_CONTEXT)
@click.argument("document", metavar="DOCUMENT")
@click.option("--output", "-o", "folder", metavar="DIR", help="Write DIR/NAME.yaml.  [default: standard output]")
@click.option("--name", metavar="NAME", help="The baseline's name.  [default: the document's title]")
@click.option("--rules", "rule_paths", multiple=True, metavar="PATH", help="Rule files of your own. Repeats.")
@click.option("--report", is_flag=True, help="Also list every clause, and what is said in words.")
@click.option(
    "--format",
    "-f",
    "format_name",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="The format of what is told of the document.",
)
@click.option("--allow-incomplete", is_flag=True, help="Exit 0, not 3, when something was not understood.")
@click.pass_context
def import_(
    ctx: click.Context,
    document: str,
    folder: str | None,
    name: str | None,
    rule_paths: tuple[str, ...],
    report: bool,
    format_name: str,
    allow_incomplete: bool,
) -> int:
    """Make a baseline of what an architecture document demands.

    DOCUMENT is Markdown. Its fenced YAML blocks are read: the Kubernetes objects in them, at any depth, and settings,
    quotas, namespaces, tiers and node groups in the document's own words. Every control points at its line.

    What was not understood is listed, with what the document says against itself or against the rules.

    Exit codes: 0 everything was understood; 2 wrong usage, or nothing to judge by; 3 something was not understood.
    """
    # Imported here: the engine and the Markdown parser are for this command alone.
    from kubeassay.execution.documents import imported
    from kubeassay.policy.document.importing import as_yaml

    try:
        found = imported(Path(document), Library([Path(path) for path in rule_paths]))
    except (PolicyError, UsageError) as error:
        raise click.UsageError(str(error), ctx) from None
    if name is not None:
        if not name or "/" in name or name in (".", ".."):
            raise click.UsageError(f"--name {name}: not a name", ctx)
        found.baseline["metadata"]["name"] = name
    text = as_yaml(found.baseline)
    if folder is None:
        click.echo(text, nl=False)
    else:
        target = Path(folder) / f"{found.baseline['metadata']['name']}.yaml"
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise click.UsageError(f"--output {folder}: cannot be made: {error.strerror}", ctx) from None
        write_file(target, text.encode())
    told = _as_json(document, found) if format_name == "json" else _as_text(document, found, everything=report)
    click.echo(told, err=folder is None, nl=False)
    if folder is not None:
        click.echo(f"baseline: {target}", err=True)
    missed = any(note.kind == "not-understood" for note in found.notes)
    return INCOMPLETE if missed and not allow_incomplete else COMPLIES


def _as_text(document: str, found: Imported, *, everything: bool) -> str:
    counts = Counter(note.kind for note in found.notes)
    lines: list[str] = []
    if everything:
        lines += ["Understood", *(_line(document, c.line, c.id, c.title) for c in found.clauses), ""]
    for kind, (title, always) in _KINDS.items():
        notes = [note for note in found.notes if note.kind == kind]
        if notes and (always or everything):
            lines += [title, *(_line(document, note.line, note.subject, note.reason) for note in notes), ""]
    said = ", ".join(f"{counts[kind]} {title.lower()}" for kind, (title, _) in _KINDS.items() if counts[kind])
    lines.append(f"{printable(document)}: {len(found.clauses)} clauses{f'; {said}' if said else ''}")
    return "\n".join(lines) + "\n"


def _line(document: str, line: int, subject: str, reason: str) -> str:
    words = f"{subject}: {reason}" if subject else reason
    return f"  {printable(document)}:{line}: {printable(words)}"


def _as_json(document: str, found: Imported) -> str:
    told: dict[str, Any] = {
        "document": document,
        "clauses": [
            {"id": clause.id, "title": clause.title, "section": clause.section, "line": clause.line}
            for clause in found.clauses
        ],
        "notes": [_note(note) for note in found.notes],
    }
    return json.dumps(told, indent=2, ensure_ascii=False) + "\n"


def _note(note: Note) -> dict[str, Any]:
    return {"kind": note.kind, "line": note.line, "subject": note.subject, "reason": note.reason}
