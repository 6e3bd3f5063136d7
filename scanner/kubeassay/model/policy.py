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
#: ``inventory``: the whole target at once, for rules that join objects. ``exception``: one exception, when everything
#: else was judged.
Subject = Literal["object", "workload", "pod", "container", "namespace", "inventory", "exception"]


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
    exceptions: ExceptionPolicy = dataclasses.field(default_factory=lambda: ExceptionPolicy())


#: How an exception was written: in a file of exceptions, as an annotation, as a comment, or for another tool.
Origin = Literal["file", "annotation", "comment", "kyverno", "trivy", "kube-linter", "checkov"]


@dataclass(frozen=True, slots=True)
class GrantScope:
    """Whom what is granted: shell patterns, any of each list; an empty list matches everything. ``subjects``:
    ``ServiceAccount NAMESPACE/NAME``, ``User NAME``, ``Group NAME``; ``roles``: ``ClusterRole NAME``, ``Role NAME``."""

    subjects: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ConnectionScope:
    """Who reaches whom: shell patterns of what reports call both ends (``frontend/web``, ``internet``), any of each
    list; an empty list matches everything. ``ports``: ``5432``, ``8000-8080``, ``53/UDP``."""

    sources: tuple[str, ...] = ()
    destinations: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Exception_:  # noqa: N801 - "Exception" is the field's word for it, and Python's own name
    """A recorded acceptance of a finding. Everything that it states has to fit: ``match``, ``selector`` and ``files``
    narrow it to objects and containers, ``path`` to fields (a pattern), ``grant`` and ``connection`` to what rules on
    them find, ``environments`` and ``clusters`` to where it is judged.

    One that stands in what is scanned (``in_tree``) is bound to its object, annotation or line besides.
    """

    id: str
    #: A rule's id, or a shell pattern of ids.
    rule: str
    match: SubjectMatch
    reason: str
    path: str = ""
    owner: str = ""
    #: ISO date of the last day on which it holds; empty: no end.
    expires: str = ""
    file: str = ""
    line: int = 0
    column: int = 1
    #: The identity of one finding; empty: any.
    fingerprint: str = ""
    #: A LabelSelector that the object's labels have to fulfil; empty: none.
    selector: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    #: Shell patterns of files; empty: all.
    files: tuple[str, ...] = ()
    environments: tuple[str, ...] = ()
    clusters: tuple[str, ...] = ()
    grant: GrantScope = GrantScope()
    connection: ConnectionScope = ConnectionScope()
    origin: Origin = "file"
    in_tree: bool = False


@dataclass(frozen=True, slots=True)
class ExceptionPolicy:
    """What a profile demands of exceptions. One that lacks something ``required`` (``reason``, ``owner``, ``expires``)
    does not hold; nor does one that stands in what is scanned, unless ``in_tree``."""

    required: tuple[str, ...] = ("reason",)
    in_tree: bool = True
