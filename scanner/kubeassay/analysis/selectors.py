"""Label selectors, as Kubernetes matches them.

Source: k8s.io/apimachinery v0.37.1, pkg/apis/meta/v1/helpers.go (LabelSelectorAsSelector: a null selector matches
nothing, an empty one everything) and pkg/labels/selector.go (Requirement.Matches: NotIn and DoesNotExist hold for an
object without the label).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from kubeassay.analysis.reading import items, mapping
from kubeassay.model import Path

Operator = Literal["In", "NotIn", "Exists", "DoesNotExist"]
_OPERATORS: tuple[Operator, ...] = ("In", "NotIn", "Exists", "DoesNotExist")


#: A label's name or value, and the prefix of its key (k8s.io/apimachinery v0.37.1, pkg/util/validation:
#: IsQualifiedName, IsValidLabelValue).
_NAME = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?\Z")
_PREFIX = re.compile(r"(?=.{1,253}\Z)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\Z")


@dataclass(frozen=True, slots=True)
class Requirement:
    """One condition on one label. ``path``: from the selector to what states it."""

    key: str
    operator: Operator
    values: frozenset[str]
    path: Path

    def holds(self, labels: Mapping[str, str]) -> bool:
        """Whether labels fulfil it."""
        value = labels.get(self.key)
        if self.operator == "In":
            return value is not None and value in self.values
        if self.operator == "NotIn":
            return value is None or value not in self.values
        return (value is not None) == (self.operator == "Exists")


@dataclass(frozen=True, slots=True)
class Selector:
    """A LabelSelector: all its requirements must hold; without any it selects everything.

    ``invalid`` says why an API server refuses it (empty: it does not); an invalid selector selects nothing.
    """

    requirements: tuple[Requirement, ...] = ()
    invalid: str = ""

    @property
    def everything(self) -> bool:
        return not self.requirements and not self.invalid

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether it selects an object with these labels."""
        if self.invalid:
            return False
        return all(requirement.holds(labels) for requirement in self.requirements)

    def may_match_only(self, labels: Mapping[str, str]) -> bool | None:
        """Whether it selects an object of which these labels are known, and of which others may or may not be there;
        None where that depends on them."""
        if self.invalid:
            return False
        depends = False
        for requirement in self.requirements:
            if requirement.key not in labels:
                depends = True
            elif not requirement.holds(labels):
                return False
        return None if depends else True

    def may_match(self, labels: Mapping[str, str], unknown: frozenset[str]) -> bool | None:
        """Whether it selects an object that has, besides these labels, others whose values are not known; None where
        that depends on the values."""
        if self.invalid:
            return False
        depends = False
        for requirement in self.requirements:
            if requirement.key not in unknown or requirement.key in labels:
                if not requirement.holds(labels):
                    return False
            elif requirement.operator == "DoesNotExist":
                return False
            elif requirement.operator != "Exists":
                depends = True
        return None if depends else True

    @property
    def labels(self) -> Mapping[str, str]:
        """The labels of which it takes one value alone."""
        single = [one for one in self.requirements if one.operator == "In" and len(one.values) == 1]
        return {one.key: next(iter(one.values)) for one in single}

    @property
    def key(self) -> tuple[Any, ...]:
        """Equal for selectors that select the same by the same requirements, wherever they stand."""
        return (self.invalid, *sorted((r.key, r.operator, tuple(sorted(r.values))) for r in self.requirements))

    def __str__(self) -> str:
        if self.invalid:
            return f"invalid selector ({self.invalid})"
        return ", ".join(_text(requirement) for requirement in self.requirements) or "everything"


def _text(requirement: Requirement) -> str:
    values = sorted(requirement.values)
    if requirement.operator == "In":
        return f"{requirement.key}={values[0]}" if len(values) == 1 else f"{requirement.key} in ({', '.join(values)})"
    if requirement.operator == "NotIn":
        return f"{requirement.key} not in ({', '.join(values)})"
    return requirement.key if requirement.operator == "Exists" else f"!{requirement.key}"


def label_selector(value: Any) -> Selector:
    """The selector that a LabelSelector (a decoded mapping) states. What is no mapping counts as empty: callers tell
    absent and empty apart where that matters."""
    value = mapping(value)
    requirements: list[Requirement] = []
    for label, wanted in mapping(value.get("matchLabels")).items():
        # A null in a map of strings decodes to the empty string; any other type is refused.
        wanted = "" if wanted is None else wanted
        if not isinstance(wanted, str):
            return Selector(invalid=f"matchLabels {label} is not a string")
        if not _is_key(label):
            return Selector(invalid=f'"{label}" is no key of a label')
        if not _is_value(wanted):
            return Selector(invalid=f'"{wanted}" is no value of a label')
        requirements.append(Requirement(label, "In", frozenset((wanted,)), ("matchLabels", label)))
    for number, expression in enumerate(items(value.get("matchExpressions"))):
        expression = mapping(expression)
        key, operator = expression.get("key"), expression.get("operator")
        values = [member if isinstance(member, str) else "" for member in items(expression.get("values"))]
        if not isinstance(key, str) or not key:
            return Selector(invalid=f"matchExpressions[{number}] has no key")
        if not _is_key(key):
            return Selector(invalid=f'"{key}" is no key of a label')
        if operator not in _OPERATORS:
            return Selector(invalid=f"matchExpressions[{number}] has no operator {operator}")
        if operator in ("In", "NotIn") and not values:
            return Selector(invalid=f"matchExpressions[{number}]: {operator} needs values")
        if operator in ("Exists", "DoesNotExist") and values:
            return Selector(invalid=f"matchExpressions[{number}]: {operator} takes no values")
        wrong = next((text for text in values if not _is_value(text)), None)
        if wrong is not None:
            return Selector(invalid=f'"{wrong}" is no value of a label')
        requirements.append(Requirement(key, operator, frozenset(values), ("matchExpressions", number)))
    return Selector(tuple(requirements))


def _is_key(text: str) -> bool:
    prefix, slash, name = text.rpartition("/")
    return bool(_NAME.match(name)) and (not slash or bool(_PREFIX.match(prefix)))


def _is_value(text: str) -> bool:
    return not text or bool(_NAME.match(text))


def labels_of(value: Any) -> Mapping[str, str]:
    """The labels of an object (its ``metadata.labels``), those that are strings; a null counts as empty."""
    labels = mapping(mapping(mapping(value).get("metadata")).get("labels"))
    return {key: "" if text is None else text for key, text in labels.items() if text is None or isinstance(text, str)}


_TERM = re.compile(
    r"\s*(?:(?P<absent>!)\s*(?P<no_key>[^\s=!,()]+)|(?P<key>[^\s=!,()]+)\s*"
    r"(?:(?P<equality>==|=|!=)\s*(?P<value>[^\s=!,()]*)|(?P<set>in|notin)\s*\((?P<values>[^()=!]*)\))?)\s*(?:,|\Z)"
)


def parse_selector(text: str) -> Selector:
    """A selector as kubectl takes it: ``a=b,c!=d,e in (f,g),h,!i``. Raises ValueError on anything else.

    Source: k8s.io/apimachinery v0.37.1, pkg/labels/selector.go (Parse).
    """
    requirements: list[Requirement] = []
    position = 0
    while position < len(text):
        match = _TERM.match(text, position)
        if match is None:
            raise ValueError(f"{text!r} is no label selector (at character {position + 1})")
        position = match.end()
        key = match["key"] or match["no_key"]
        prefix, slash, name = key.rpartition("/")
        values = frozenset(
            part.strip() for part in ((match["values"] or "").split(",") if match["set"] else [match["value"] or ""])
        )
        if not _NAME.match(name) or (slash and not _PREFIX.match(prefix)):
            raise ValueError(f"{key!r} is no label")
        if any(value and not _NAME.match(value) for value in values):
            raise ValueError(f"{text!r}: a value is none that a label can have")
        if match["absent"]:
            requirements.append(Requirement(key, "DoesNotExist", frozenset(), ()))
        elif match["equality"] or match["set"]:
            negative = match["equality"] == "!=" or match["set"] == "notin"
            requirements.append(Requirement(key, "NotIn" if negative else "In", values, ()))
        else:
            requirements.append(Requirement(key, "Exists", frozenset(), ()))
    if not requirements or text.rstrip().endswith(","):
        raise ValueError(f"{text!r} is no label selector")
    return Selector(tuple(requirements))
