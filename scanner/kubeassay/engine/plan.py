"""A plan: the rules of a profile, resolved for one Kubernetes version."""

from __future__ import annotations

import datetime
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from kubeassay.checks import registry
from kubeassay.checks.check import CheckFunction, Context, Violation
from kubeassay.engine.exceptions import Exceptions, Situation
from kubeassay.engine.in_tree import Imports
from kubeassay.engine.live import Live
from kubeassay.engine.matcher import Matcher
from kubeassay.model import (
    SEVERITIES,
    Control,
    Exception_,
    Finding,
    KubernetesVersion,
    Object,
    Path,
    Profile,
    Rule,
    Severity,
    Subject,
    SubjectMatch,
)
from kubeassay.policy.errors import PolicyError
from kubeassay.policy.library import Library, highest


@dataclass(frozen=True, slots=True)
class ActiveRule:
    """A rule as the plan runs it. ``number`` is its place in the plan; ``controls`` are those that demand it."""

    number: int
    rule: Rule
    severity: Severity
    controls: tuple[str, ...]
    function: CheckFunction
    context: Context
    match: SubjectMatch
    #: Ids of more severe rules whose findings at the same place make one of this rule superfluous.
    yields_to: tuple[str, ...] = ()


class Places(Protocol):
    """Where findings are, when their places are not those of the objects themselves."""

    def placed(self, finding: Finding, active: ActiveRule, obj: Object, violation: Violation, base: Path) -> Finding:
        """A finding about an object, at its place."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run. Rules are in order of severity, then id, so that a rule comes after those it yields to."""

    profile: Profile
    version: KubernetesVersion
    rules: tuple[ActiveRule, ...]
    by_subject: Mapping[Subject, tuple[tuple[ActiveRule, Matcher], ...]]
    #: Rules that others yield to: their places have to be remembered.
    yielded_to: frozenset[str]
    exceptions: Exceptions
    #: The rules that there are, whether they run or not.
    known_rules: frozenset[str]
    #: Other tools whose exceptions in what is scanned hold, too.
    imports: Imports
    #: (API group, kind) → paths of pod templates in custom resources.
    pod_template_paths: Mapping[tuple[str, str], tuple[Path, ...]]
    #: Subjects that passed or were not judged get a record of their own.
    show_pass: bool = False
    show_not_evaluated: bool = False
    #: How a cluster was read.
    live: Live = field(default_factory=Live)
    #: What passed is counted by file, too: a file of a cluster is an object.
    count_by_file: bool = False
    #: Of a cluster, the manifests that declare its objects.
    places: Places | None = None

    def of_subject(self, subject: Subject) -> tuple[tuple[ActiveRule, Matcher], ...]:
        return self.by_subject.get(subject, ())


def make_plan(
    profile: Profile,
    library: Library,
    version: KubernetesVersion,
    *,
    exceptions: Iterable[Exception_] = (),
    pod_template_paths: Mapping[tuple[str, str], tuple[Path, ...]] | None = None,
    show: Iterable[str] = (),
    today: datetime.date | None = None,
    in_tree_exceptions: bool | None = None,
    imports: Imports | None = None,
) -> Plan:
    """Resolve a profile. ``today``: the day that exceptions are judged by, else this day in UTC;
    ``in_tree_exceptions``: whether those in what is scanned hold, else what the profile says; ``imports``: as
    :attr:`Plan.imports`. Raises PolicyError for a
    rule that has neither an expression nor a check."""
    uses: dict[tuple[str, str, SubjectMatch], tuple[list[Severity], list[str]]] = {}
    for control in profile.controls:
        for use in control.rules:
            rule = library.rule(use.rule)
            parameters = {**{p.name: p.default for p in rule.parameters}, **use.parameters}
            key = (rule.id, json.dumps(parameters, sort_keys=True), use.match)
            severities, controls = uses.setdefault(key, ([], []))
            severities.append(use.severity or rule.severity)
            if control.id not in controls:
                controls.append(control.id)
    functions = _functions(library, {rule_id for rule_id, _, _ in uses}, version)
    active = [
        ActiveRule(
            number=0,
            rule=_needing(library.rule(rule_id), json.loads(parameters)),
            severity=highest(severities),
            controls=tuple(controls),
            function=functions[rule_id],
            context=Context(version, json.loads(parameters)),
            match=match,
        )
        for (rule_id, parameters, match), (severities, controls) in uses.items()
        if rule_id in functions
    ]
    active = _without_overridden(active)
    active.sort(key=lambda a: (SEVERITIES.index(a.severity), a.rule.id, a.controls))
    rules = tuple(replace(a, number=number) for number, a in enumerate(active))
    by_subject: dict[Subject, list[tuple[ActiveRule, Matcher]]] = {}
    for a in rules:
        by_subject.setdefault(a.rule.subject, []).append((a, Matcher(a.match)))
    shown = frozenset(show)
    policy = profile.exceptions
    if in_tree_exceptions is not None:
        policy = replace(policy, in_tree=in_tree_exceptions)
    situation = Situation(policy, today or datetime.datetime.now(datetime.UTC).date(), profile.environment)
    return Plan(
        profile=profile,
        version=version,
        rules=rules,
        by_subject={subject: tuple(members) for subject, members in by_subject.items()},
        yielded_to=frozenset(rule_id for a in rules for rule_id in a.yields_to),
        exceptions=Exceptions.of(exceptions, situation, accepting_rules(rules)),
        known_rules=frozenset(library.rules),
        imports=imports or {},
        pod_template_paths=pod_template_paths or {},
        show_pass="pass" in shown,
        show_not_evaluated="not-evaluated" in shown,
    )


def accepting_rules(rules: Iterable[ActiveRule]) -> list[str]:
    """The ids of the rules of which findings may be accepted."""
    return [active.rule.id for active in rules if active.rule.subject != "exception"]


def _needing(rule: Rule, parameters: Mapping[str, Any]) -> Rule:
    """The rule with the kind that its parameters name among its needs."""
    kind: Any = parameters
    for step in rule.needs_from.split(".") if rule.needs_from else ():
        kind = kind.get(step) if isinstance(kind, dict) else None
    return replace(rule, needs=tuple(dict.fromkeys((*rule.needs, kind)))) if isinstance(kind, str) else rule


def _functions(library: Library, ids: Collection[str], version: KubernetesVersion) -> dict[str, CheckFunction]:
    """The function of each rule that applies at the version."""
    checks = dict(registry.built_in_of(ids))
    plug_ins_read = False
    functions: dict[str, CheckFunction] = {}
    for rule_id in sorted(ids):
        rule = library.rule(rule_id)
        if rule.expression is not None:
            if rule_id in checks:
                raise PolicyError(f"{rule.file}: rule {rule_id} has both an expression and a Python check")
            # Imported here: most scans have no expression to evaluate.
            from kubeassay.policy.cel import expression_check

            functions[rule_id] = expression_check(rule)
            continue
        if rule_id not in checks and not plug_ins_read:
            plug_ins_read = True
            checks = {**registry.plug_ins(), **checks}
        if rule_id not in checks:
            raise PolicyError(f"{rule.file}: rule {rule_id} has neither an expression nor a Python check")
        function = registry.at_version(checks[rule_id], version)
        if function is not None:
            functions[rule_id] = function
    return functions


def _without_overridden(active: list[ActiveRule]) -> list[ActiveRule]:
    """Apply ``overrides``: an overridden rule is left out where the overriding one is as severe; where it is more
    severe, both stay, and the overriding one keeps silent at places where the overridden one spoke."""
    dropped: set[int] = set()
    yields_to: dict[int, list[str]] = {}
    for position, a in enumerate(active):
        for overridden in a.rule.overrides:
            for other_position, other in enumerate(active):
                if other.rule.id != overridden or other.match != a.match:
                    continue
                if SEVERITIES.index(a.severity) <= SEVERITIES.index(other.severity):
                    dropped.add(other_position)
                else:
                    yields_to.setdefault(position, []).append(overridden)
    return [
        replace(a, yields_to=tuple(yields_to.get(position, ())))
        for position, a in enumerate(active)
        if position not in dropped
    ]


def rules_of(plan: Plan) -> tuple[Mapping[str, Rule], Mapping[str, Severity], tuple[Control, ...]]:
    """What a result says of the policy: rules and severities by rule id, and the controls."""
    rules: dict[str, Rule] = {}
    severities: dict[str, Severity] = {}
    for a in plan.rules:
        rules[a.rule.id] = a.rule
        severities[a.rule.id] = highest([a.severity, severities.get(a.rule.id, a.severity)])
    return dict(sorted(rules.items())), dict(sorted(severities.items())), plan.profile.controls
