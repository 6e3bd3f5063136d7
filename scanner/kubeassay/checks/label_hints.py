"""Selectors that match nothing: which of their requirements is at fault, and what was perhaps meant."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from kubeassay.analysis.fields import edit_distance, nearest_name
from kubeassay.analysis.selectors import Requirement, Selector
from kubeassay.checks.network_common import shown

_DIGITS = re.compile(r"[0-9]+")


def unmet_requirement(selector: Selector, labels: Sequence[Mapping[str, str]]) -> Requirement:
    """A requirement that the labels which fulfil most do not fulfil."""
    nearest = max(labels, key=lambda one: sum(r.holds(one) for r in selector.requirements))
    unmet = [requirement for requirement in selector.requirements if not requirement.holds(nearest)]
    # One that nothing fulfils is the mistake, before one that something else does.
    return min(unmet, key=lambda requirement: any(requirement.holds(one) for one in labels))


def wanted_label(requirement: Requirement) -> str:
    """A requirement, as a message names it."""
    return f"label {Selector((requirement,))}"


def meant_labels(requirement: Requirement, labels: Iterable[Mapping[str, str]], *, near: bool = False) -> str:
    """What a requirement may have meant, of the labels that there are, as the rest of a sentence.

    ``near``: only what is nearly the same.
    """
    values: dict[str, set[str]] = defaultdict(set)
    for one in labels:
        for key, value in one.items():
            values[key].add(value)
    found: list[str] = []
    for value in sorted(requirement.values):
        of_key = sorted(values.get(requirement.key, ()))
        close = close_value(value, of_key)
        if close is not None:
            found.append(f"{requirement.key}={close}")
            continue
        other_key = nearest_name(requirement.key, sorted(values))
        if other_key is not None and other_key != requirement.key and value in values[other_key]:
            found.append(f"{other_key}={value}")
        elif not near:
            found += [f"{other}={value}" for other in sorted(values) if value in values[other]][:1]
    if found:
        return f"; is {shown(found)} meant?"
    if near or requirement.key not in values:
        return ""
    of_key = [f"{requirement.key}={value}" for value in sorted(values[requirement.key])]
    return f"; there {'is' if len(of_key) == 1 else 'are'} {shown(of_key)}"


def close_value(value: str, known: Sequence[str]) -> str | None:
    """The value that differs by a slip: not by a number, as names of a series do, nor where it is very short."""
    limit = 0 if len(value) < 3 else 1 if len(value) < 6 else 2
    found = [
        (distance, other)
        for other in known
        if (distance := edit_distance(value.lower(), other.lower(), limit)) <= limit
        and (distance == 0 or _DIGITS.sub("", value) != _DIGITS.sub("", other))
    ]
    return min(found)[1] if found else None
