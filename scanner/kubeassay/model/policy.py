"""Policy: rules, controls, baselines, profiles and exceptions, as their files state them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Severity = Literal["critical", "high", "medium", "low"]
#: Most severe first.
SEVERITIES: tuple[Severity, ...] = ("critical", "high", "medium", "low")

#: What one evaluation of a rule is about. ``object``: any object. ``workload``: an object that carries pod templates.
#: ``pod``: one pod template (or Pod). ``container``: one container of one. ``namespace``: a Namespace.
#: ``inventory``: the whole target at once, for rules that join objects.
Subject = Literal["object", "workload", "pod", "container", "namespace", "inventory"]


@dataclass(frozen=True, slots=True)
class Parameter:
    """A value that a baseline or profile may set for a rule. ``type`` is a JSON Schema type name, ``schema`` a JSON
    Schema that says more."""

    name: str
    type: str
    default: Any
    description: str
    #: It is done with once policy is loaded: results do not carry it.
    schema: Mapping[str, Any] = dataclasses.field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True)
class Example:
    """A manifest (YAML text) that a rule must fail or pass, with the parameters that differ from the defaults."""

    outcome: Literal["fails", "passes"]
    text: str
    parameters: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rule:
    """One requirement on one kind of subject. The fields are those of a rule file's ``spec``, in snake case."""

    id: str
    title: str
    area: str
    severity: Severity
    subject: Subject
    rationale: str
    remediation: str
    #: CEL, true = complies; None where a Python check carries the id.
    expression: str | None = None
    message_expression: str | None = None
    #: Where a finding of an expression points, relative to the subject.
    field: str | None = None
    #: The kinds that the rule judges, for subject ``object`` (empty: all), or joins, for subject ``inventory``.
    needs: tuple[str, ...] = ()
    #: Where its parameters name one more such kind: ``object.kind``.
    needs_from: str = ""
    #: What it finds stands in manifests alone: of a cluster's objects it judges none that is read without its values.
    manifest_only: bool = False
    #: Kinds of other objects that the subject is judged by (a pod by its ServiceAccount).
    context: tuple[str, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    #: Paths (relative to the subject) to the values that mend the finding; empty where no fix is machine-applicable.
    fix: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    #: Rules that this one replaces when both are active with the same or a lower severity.
    overrides: tuple[str, ...] = ()
    #: Identifiers in catalogues: ``pss``, ``cis-kubernetes``, ``nsa-cisa``, ``owasp-k8s``, ``mitre-attack``.
    references: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    examples: tuple[Example, ...] = ()
    #: The file that defines the rule; relative to the policy library for a bundled one.
    file: str = ""


@dataclass(frozen=True, slots=True)
class Source:
    """The clause of a document that a control comes from."""

    document: str
    section: str = ""
    url: str = ""
    file: str = ""
    line: int = 0


@dataclass(frozen=True, slots=True)
class SubjectMatch:
    """Narrows a rule to some subjects: shell patterns, any of each list; an empty list matches everything."""

    namespaces: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    containers: tuple[str, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class RuleUse:
    """A rule as a control applies it."""

    rule: str
    severity: Severity | None = None
    parameters: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    match: SubjectMatch = SubjectMatch()


@dataclass(frozen=True, slots=True)
class Control:
    """One clause of a baseline, and the rules that implement it."""

    id: str
    title: str
    baseline: str
    source: Source
    rules: tuple[RuleUse, ...]
    #: The level of the standard that demands it (``baseline``, ``restricted``), where the standard has levels.
    level: str = ""


@dataclass(frozen=True, slots=True)
class Baseline:
    """A documented set of controls for one area."""

    name: str
    title: str
    area: str
    description: str
    standard: Source
    controls: tuple[Control, ...]
    file: str = ""


@dataclass(frozen=True, slots=True)
class Profile:
    """Controls chosen from baselines, with their parameters and severities resolved, for one environment."""

    name: str
    title: str
    description: str
    kubernetes_version: str
    controls: tuple[Control, ...]
    #: Baselines that the controls come from, in the order of the profile's file.
    baselines: tuple[Baseline, ...] = ()
    environment: str = ""
    file: str = ""


@dataclass(frozen=True, slots=True)
class Exception_:  # noqa: N801 - "Exception" is the field's word for it, and Python's own name
    """A recorded acceptance of a finding. ``match`` narrows it to objects and containers, ``path`` to a field."""

    id: str
    rule: str
    match: SubjectMatch
    reason: str
    path: str = ""
    owner: str = ""
    #: ISO date of the last day on which it holds; empty: no end.
    expires: str = ""
    file: str = ""
    line: int = 0
