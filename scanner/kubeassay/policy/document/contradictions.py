"""What a document demands against the rules: told, and not demanded of anybody."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from kubeassay.model import Path, Rule, Severity
from kubeassay.model.document import Document, Node
from kubeassay.policy.document.clauses import Clause, Note, Use, use_of
from kubeassay.policy.document.importing import Imported, baseline_of
from kubeassay.policy.document.objects import item_names, joined, title_of


@dataclass(frozen=True, slots=True)
class Broken:
    """A rule that an object of the document breaks, at a path of it. ``alone``: whatever stands beside it."""

    rule: str
    severity: Severity
    message: str
    obj: Node
    path: Path
    alone: bool


def resolved(found: Imported, document: Document, broken: Iterable[Broken], rules: Mapping[str, Rule]) -> Imported:
    """An import, with the contradictions told. Where what an object says breaks a rule by itself, that rule is demanded
    in the place of what it says. A rule of low severity advises, and of two objects that do not fit either may be
    wrong: what is documented stands."""
    by_object: dict[Node, list[Broken]] = {}
    notes = list(found.notes)
    for one in broken:
        title = title_of(one.obj)
        subject = "" if one.message.startswith(title) else title
        notes.append(Note("contradiction", one.obj.at(one.path).line, subject, f"{one.message} ({one.rule})"))
        if one.alone and one.severity != "low":
            by_object.setdefault(one.obj, []).append(one)
    clauses = [
        _resolved(clause, by_object[clause.obj], rules) if clause.obj in by_object else clause
        for clause in found.clauses
    ]
    return replace(
        found,
        baseline=baseline_of(document, clauses),
        clauses=tuple(clauses),
        notes=tuple(sorted(dict.fromkeys(notes), key=lambda note: (note.line, note.kind, note.subject, note.reason))),
    )


def _resolved(clause: Clause, broken: list[Broken], rules: Mapping[str, Rule]) -> Clause:
    kept: list[Use] = []
    for use in clause.rules:
        # That a role grants all of what it says would demand what the rules forbid.
        if use["id"] != "documented-roles" or "roles" not in use.get("parameters", {}):
            kept.append(use)
    against = {path for one in broken for path in _written(one.obj, one.path)}
    expectations = [_without(expected, against) for expected in clause.expectations]
    uses = {one.rule: use_of(one.rule, rules[one.rule].severity) for one in broken}
    title = clause.title
    if len(kept) < len(clause.rules) or expectations != list(clause.expectations):
        title = f"{title}; where it breaks rules, these hold"
    return replace(clause, title=title, rules=(*kept, *uses.values()), expectations=tuple(expectations))


def _without(expected: Use, against: set[str]) -> Use:
    fields: list[dict[str, Any]] = expected.get("fields", [])
    kept = [field for field in fields if field["path"] not in against]
    if len(kept) == len(fields):
        return expected
    remaining = {key: value for key, value in expected.items() if key != "fields"}
    return {**remaining, "fields": kept} if kept else remaining


def _written(node: Node, path: Path) -> Iterator[str]:
    """A path and those above it, as expectations write them: items of lists by name, where they have one."""
    text = ""
    for here, step in zip(node.along(path), path, strict=False):
        names = item_names(here)
        if isinstance(step, int) and names is not None and step < len(names):
            text = f"{text}[{names[step][0]}={names[step][1]}]"
        else:
            text = joined(text, step)
        yield text
