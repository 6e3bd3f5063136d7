"""What a rule on the inventory says of manifests, as sets that tests compare."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from kit import objects_in, plan_of, profile_of
from kubeassay.checks.check import NotApplicable, NotJudged, Passed
from kubeassay.model import Inventory, format_path


@dataclass(frozen=True)
class Outcome:
    """``kind``: fail, pass or not-judged. ``about``: the object. ``words``: the path of a failure, or the reason why
    something was not judged. Outcomes are equal whatever their messages are."""

    kind: str
    about: str
    words: str
    message: str = field(default="", compare=False)
    related: tuple[str, ...] = field(default=(), compare=False)


def outcomes(rule: str, text: str, **parameters: Any) -> set[Outcome]:
    """What a rule says of the objects of a manifest, with its parameters' defaults from the rule file."""
    return set(each_outcome(rule, text, **parameters))


def each_outcome(rule: str, text: str, **parameters: Any) -> list[Outcome]:
    """The same, with those that differ in their messages only."""
    (active,) = plan_of(profile_of(rule, **parameters)).rules
    found: list[Outcome] = []
    for said in active.function(Inventory(objects_in(text) if text else ()), active.context):
        if isinstance(said, NotApplicable):
            continue
        about = str(said.obj.ref) if said.obj is not None else ""
        if isinstance(said, Passed):
            found.append(Outcome("pass", about, ""))
        elif isinstance(said, NotJudged):
            found.append(Outcome("not-judged", about, said.reason, said.detail))
        else:
            related = tuple(f"{obj.ref} {format_path(path)}" for _, obj, path in said.related)
            found.append(Outcome("fail", about, format_path(said.path), said.message, related))
    return found
