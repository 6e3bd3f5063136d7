"""Exceptions: which of them hold, what they accept, and what is found of them themselves.

An exception accepts a finding of its rule where everything that it states fits. Those that the user points at are the
plan's; those that stand in what is scanned (:mod:`kubeassay.engine.in_tree`) come with the files, and reach no further
than their object, annotation or line.
"""

from __future__ import annotations

import datetime
import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from kubeassay.analysis.reading import items, mapping, string
from kubeassay.analysis.selectors import Selector, label_selector, labels_of
from kubeassay.checks.check import Violation, Way
from kubeassay.checks.exceptions import Usage
from kubeassay.engine.matcher import Matcher, patterns_of
from kubeassay.model import (
    ConnectionScope,
    Exception_,
    ExceptionPolicy,
    ExceptionState,
    ExceptionUse,
    Finding,
    GrantScope,
    Location,
    NotEvaluated,
    Object,
    ObjectRef,
    Origin,
    Path,
)
from kubeassay.model.place import Every, Having, Step, parse_pattern

if TYPE_CHECKING:
    from kubeassay.analysis.network.connections import Connections
    from kubeassay.engine.in_tree import InTree
    from kubeassay.engine.plan import ActiveRule

#: Exceptions that were written for other tools may be needed by these.
TOOLS: tuple[Origin, ...] = ("kyverno", "trivy", "kube-linter", "checkov")
_BINDINGS = ("RoleBinding", "ClusterRoleBinding")
_ROLES = ("Role", "ClusterRole")
_MISSING = {"reason": "a reason", "owner": "an owner", "expires": "a last day (expires)"}


@dataclass(frozen=True, slots=True)
class Situation:
    """Where and when exceptions are judged. ``cluster`` None: manifests."""

    policy: ExceptionPolicy
    today: datetime.date
    environment: str = ""
    cluster: str | None = None


def state_of(exception: Exception_, situation: Situation) -> tuple[ExceptionState, str]:
    """Whether an exception holds, and why not."""
    if not exception.rule and exception.origin in TOOLS:
        return "unmapped", exception.reason
    if exception.in_tree and not situation.policy.in_tree:
        return "refused", "stands in what is scanned"
    stated = {"reason": exception.reason, "owner": exception.owner, "expires": exception.expires}
    missing = [_MISSING[name] for name in situation.policy.required if not stated[name].strip()]
    if missing:
        return "incomplete", f"lacks {' and '.join(missing)}"
    if exception.expires and datetime.date.fromisoformat(exception.expires) < situation.today:
        return "expired", f"expired on {exception.expires}"
    if exception.environments and not _any(exception.environments, situation.environment):
        return "elsewhere", f"is for environment {', '.join(exception.environments)}"
    if exception.clusters and not _any(exception.clusters, situation.cluster or ""):
        return "elsewhere", f"is for cluster {', '.join(exception.clusters)}"
    return "holds", ""


def _any(patterns: Sequence[str], text: str) -> bool:
    """Whether a text that is known fits one of some shell patterns."""
    return bool(text) and any(fnmatchcase(text, pattern) for pattern in patterns)


class Scope:
    """What an exception accepts, compiled."""

    __slots__ = ("_connection", "_files", "_grant", "_path", "_ports", "_selector", "exception", "matcher", "number")

    def __init__(self, exception: Exception_, number: int = 0) -> None:
        """``number``: its place among all."""
        self.exception = exception
        self.number = number
        self.matcher = Matcher(exception.match)
        self._files = patterns_of(exception.files)
        self._selector: Selector | None = label_selector(exception.selector) if exception.selector else None
        self._path = parse_pattern(exception.path) if exception.path else ()
        self._grant = exception.grant if exception.grant != GrantScope() else None
        self._connection = exception.connection if exception.connection != ConnectionScope() else None
        self._ports = _connections(exception.connection.ports)

    def object(self, obj: Object) -> bool:
        """Whether an object is among those that it names."""
        if not self.matcher.object(obj.ref, obj.value):
            return False
        if self._files is not None and not self._files.match(obj.file):
            return False
        if self._selector is None:
            return True
        return self._selector.matches(labels_of(obj.value))

    def accepts(self, finding: Finding, obj: Object, violation: Violation) -> bool:
        """Whether it accepts a finding in an object, of its rule."""
        return (
            (not self.exception.fingerprint or finding.fingerprint == self.exception.fingerprint)
            and self.object(obj)
            and self.matcher.container(finding.container)
            and (not self._path or finding.path == self.exception.path or leads(self._path, violation.path, obj.value))
            and (self._grant is None or _grants(self._grant, obj, violation))
            and (self._connection is None or self._connects(violation.ways))
        )

    def _connects(self, ways: Sequence[Way]) -> bool:
        """Whether all that a finding says of ways is among what it accepts."""
        scope = self._connection
        assert scope is not None
        return bool(ways) and all(
            (not scope.sources or all(_is_end(scope.sources, name) for name in way.sources))
            and (not scope.destinations or all(_is_end(scope.destinations, name) for name in way.destinations))
            and (self._ports is None or not way.connections - self._ports)
            for way in ways
        )


def _is_end(patterns: Sequence[str], name: str) -> bool:
    """Whether one of some patterns means an end of a way: ``shop/web[Deployment]``, with its kind or without."""
    called, _, kind = name.partition("[")
    return any(
        fnmatchcase(called, wanted) and (not of_kind or of_kind == kind)
        for wanted, _, of_kind in (pattern.partition("[") for pattern in patterns)
    )


def _connections(ports: Sequence[str]) -> Connections | None:
    """What some ports mean together; None where none is stated."""
    if not ports:
        return None
    # Imported here: few exceptions are to connections.
    from kubeassay.analysis.network.connections import NONE, read_ports

    found = NONE
    for text in ports:
        found |= read_ports(text) or NONE
    return found


def leads(pattern: Sequence[Step], path: Path, value: Any) -> bool:
    """Whether a pattern means a path of a value. ``**`` at its start stands for any steps."""
    if pattern and pattern[0] == "**":
        rest = pattern[1:]
        cut = len(path) - len(rest)
        for step in path[: max(cut, 0)]:
            value = _below(value, step)
        return cut >= 0 and leads(rest, path[cut:], value)
    if len(pattern) != len(path):
        return False
    for wanted, step in zip(pattern, path, strict=True):
        below = _below(value, step)
        if isinstance(wanted, Every):
            fits = isinstance(step, int)
        elif isinstance(wanted, Having):
            # Of an item that may stand for several, the text is compared, as it is written in a pattern.
            fits = isinstance(step, int) and str(mapping(below).get(wanted.key)) == wanted.value
        else:
            fits = wanted == step
        if not fits:
            return False
        value = below
    return True


def _below(value: Any, step: str | int) -> Any:
    if isinstance(step, int):
        return value[step] if isinstance(value, list) and 0 <= step < len(value) else None
    return value.get(step) if isinstance(value, dict) else None


def _grants(scope: GrantScope, obj: Object, violation: Violation) -> bool:
    """Whether all that a finding in a role or binding is about is among what a scope names."""
    kind, value = obj.ref.kind, obj.value
    if obj.ref.group != "rbac.authorization.k8s.io" or kind not in (*_BINDINGS, *_ROLES):
        return False
    if kind in _ROLES:
        # Who holds a role, its bindings say, here or elsewhere.
        return not scope.subjects and _any(scope.roles, f"{kind} {obj.ref.name}")
    role = mapping(value.get("roleRef"))
    if scope.roles and not _any(scope.roles, f"{string(role.get('kind'))} {string(role.get('name'))}"):
        return False
    if not scope.subjects:
        return True
    stated = items(value.get("subjects"))
    numbers = {number for path in (violation.path, *violation.also) for number in _subject(path)}
    about = [stated[number] for number in numbers if number < len(stated)] if numbers else stated
    return bool(about) and all(_any(scope.subjects, _named(mapping(subject), obj.ref)) for subject in about)


def _subject(path: Path) -> Iterator[int]:
    if len(path) > 1 and path[0] == "subjects" and isinstance(path[1], int):
        yield path[1]


def _named(subject: Mapping[str, Any], binding: ObjectRef) -> str:
    kind, name = string(subject.get("kind")), string(subject.get("name"))
    if kind == "ServiceAccount":
        return f"{kind} {string(subject.get('namespace')) or binding.namespace or ''}/{name}"
    return f"{kind} {name}"


def exact_names(exception: Exception_) -> tuple[str, ...]:
    """The names of the objects that an exception is to; none where it may be to others."""
    names = exception.match.names
    return () if any(character in name for name in names for character in "*?[") else names


class ToRule:
    """The exceptions to one rule that hold. Most name their object, so they are looked up by it."""

    __slots__ = ("_by_name", "_others")

    def __init__(self, scopes: Iterable[Scope]) -> None:
        self._by_name: dict[str, list[Scope]] = defaultdict(list)
        self._others: list[Scope] = []
        for scope in scopes:
            names = exact_names(scope.exception)
            for name in dict.fromkeys(names):
                self._by_name[name].append(scope)
            if not names:
                self._others.append(scope)

    def named(self, name: str) -> Sequence[Scope]:
        """Those that name an object of that name, in their order."""
        return self._by_name.get(name, ())

    def about(self, name: str) -> Sequence[Scope]:
        """Those that may be to an object of that name, in their order."""
        named = self.named(name)
        if not named or not self._others:
            return named or self._others
        return sorted((*named, *self._others), key=lambda scope: scope.number)


@dataclass(frozen=True, slots=True)
class Exceptions:
    """The exceptions of a plan. ``by_rule``: those that hold, by the rules that the plan has."""

    all: tuple[Exception_, ...]
    situation: Situation
    by_rule: Mapping[str, ToRule] = field(default_factory=dict)

    @classmethod
    def of(cls, exceptions: Iterable[Exception_], situation: Situation, rules: Iterable[str]) -> Exceptions:
        """``rules``: the ids that the plan has; those of rules on exceptions left out, of which nothing is accepted."""
        known = tuple(exceptions)
        rules = tuple(dict.fromkeys(rules))
        by_rule: dict[str, list[Scope]] = defaultdict(list)
        for number, exception in enumerate(known):
            if state_of(exception, situation)[0] == "holds":
                scope = Scope(exception, number)
                for rule in rules:
                    if fnmatchcase(rule, exception.rule):
                        by_rule[rule].append(scope)
        return cls(known, situation, {rule: ToRule(scopes) for rule, scopes in by_rule.items()})

    def at(self, cluster: str, rules: Iterable[str]) -> Exceptions:
        """The same for a cluster."""
        if not any(exception.clusters for exception in self.all):
            return replace(self, situation=replace(self.situation, cluster=cluster))
        return Exceptions.of(self.all, replace(self.situation, cluster=cluster), rules)

    def accepting(
        self, finding: Finding, obj: Object, violation: Violation, in_tree: Iterable[InTree]
    ) -> Exception_ | None:
        """The exception that accepts a finding: the first of the user's, else the first that stands in its object."""
        to_rule = self.by_rule.get(finding.rule)
        for scope in to_rule.about(obj.ref.name) if to_rule is not None else ():
            if scope.accepts(finding, obj, violation):
                return scope.exception
        for one in in_tree:
            fits = one.exception.rule == finding.rule and one.accepts(finding, obj, violation)
            if fits and state_of(one.exception, self.situation)[0] == "holds":
                return one.exception
        return None


def accepted(finding: Finding, exception: Exception_) -> Finding:
    """A finding that an exception accepts."""
    return replace(finding, outcome="excepted", exception=exception.id, reason=exception.reason, fix=None)


#: Where a rule judged what an exception names: (exception's id, object's file, its namespace, its name).
Judged = tuple[str, str, str | None, str]


class Watch:
    """Notes which exceptions name an object that their rule judged: only of these it is known that they are unused."""

    def __init__(self, exceptions: Exceptions, rules: Iterable[ActiveRule]) -> None:
        self._by_rule = exceptions.by_rule
        self._local = [active for active in rules if active.rule.subject not in ("inventory", "exception")]
        self._by_local: list[tuple[ActiveRule, Matcher]] = [
            (active, Matcher(active.match)) for active in self._local if active.rule.id in self._by_rule
        ]

    def __bool__(self) -> bool:
        return bool(self._by_local)

    def judged(self, rule: str, obj: Object, in_tree: Iterable[InTree] = ()) -> Iterator[Judged]:
        """A rule judged an object."""
        ref = obj.ref
        to_rule = self._by_rule.get(rule)
        for scope in to_rule.named(ref.name) if to_rule is not None else ():
            if scope.object(obj):
                yield scope.exception.id, obj.file, ref.namespace, ref.name
        for one in in_tree:
            if one.exception.rule == rule:
                yield one.exception.id, obj.file, ref.namespace, ref.name

    def read(self, obj: Object, has_pods: bool, in_tree: Sequence[InTree]) -> Iterator[Judged]:
        """An object was read, and judged by the rules that judge objects of its kind by themselves."""
        pairs = [(active, Matcher(active.match)) for active in self._local] if in_tree else self._by_local
        for active, matcher in pairs:
            if _is_judged(active, obj, has_pods) and matcher.object(obj.ref, obj.value):
                yield from self.judged(active.rule.id, obj, in_tree)


def _is_judged(active: ActiveRule, obj: Object, has_pods: bool) -> bool:
    """Whether a rule judges an object, all of it, by itself."""
    if active.match.containers:
        return False
    subject = active.rule.subject
    if subject == "object":
        return not active.rule.needs or obj.ref.kind in active.rule.needs
    if subject == "namespace":
        return obj.ref.kind == "Namespace" and not obj.ref.group
    return has_pods


def uses_of(
    exceptions: Exceptions, in_tree: Iterable[InTree], findings: Iterable[Finding]
) -> list[tuple[ExceptionUse, InTree | None]]:
    """All exceptions, with what they accept; in the order of their places."""
    count = Counter(finding.exception for finding in findings if finding.exception is not None)
    found: list[tuple[ExceptionUse, InTree | None]] = []
    for exception in exceptions.all:
        state, problem = state_of(exception, exceptions.situation)
        found.append((ExceptionUse(exception, state, count[exception.id], problem), None))
    for one in in_tree:
        state, problem = state_of(one.exception, exceptions.situation)
        if one.problem and state != "refused":
            state, problem = "malformed", one.problem
        found.append((ExceptionUse(one.exception, state, count[one.exception.id], problem), one))
    return sorted(found, key=lambda pair: _place(pair[0].exception))


def _place(exception: Exception_) -> tuple[Any, ...]:
    return exception.file, exception.line, exception.column, exception.id


def usage_of(
    use: ExceptionUse,
    judged: Iterable[Judged],
    gaps: Sequence[NotEvaluated],
    incomplete: bool,
) -> Usage:
    """Whether an exception is used. ``judged``: where its rules judged what it names; ``incomplete``: something was not
    read, or not rendered, in which there may be more of it."""
    exception = use.exception
    if use.findings:
        return "used"
    if exception.origin in TOOLS:
        return "unknown"
    places = list(judged)
    for _, file, namespace, _ in places:
        if any(_covers(gap, exception.rule, file, namespace) for gap in gaps):
            return "unknown"
    if exception.in_tree:
        return "unused" if places else "unknown"
    if incomplete or any(gap.rule is not None and fnmatchcase(gap.rule, exception.rule) for gap in gaps):
        return "unknown"
    # What it names by a pattern may be there, and not here: in a part that is not scanned today.
    names = exact_names(exception)
    return "unused" if names and set(names) <= {name for _, _, _, name in places} else "gone"


def _covers(gap: NotEvaluated, rule: str, file: str, namespace: str | None) -> bool:
    return (
        (gap.rule is None or fnmatchcase(gap.rule, rule))
        and (gap.namespace is None or namespace is None or gap.namespace == namespace)
        and (gap.file is None or gap.file == file)
    )


def finding_of(active: ActiveRule, use: ExceptionUse, one: InTree | None, violation: Violation) -> Finding:
    """What a rule finds of an exception, where that stands."""
    exception = use.exception
    ref = one.ref if one is not None else ObjectRef("kubeassay.dev/v1", "Exceptions", None, exception.file)
    line, column = max(exception.line, 1), exception.column
    location = one.location if one is not None else Location(exception.file, line, column, line, column + 1)
    path = one.path if one is not None else ""
    stated = (
        exception.rule,
        exception.match,
        exception.selector,
        exception.files,
        exception.path,
        exception.fingerprint,
    )
    identity = repr((active.rule.id, ref, path, *stated, exception.grant, exception.connection, exception.clusters))
    return Finding(
        outcome="fail",
        rule=active.rule.id,
        controls=active.controls,
        area=active.rule.area,
        severity=active.severity,
        object=ref,
        container=None,
        path=path,
        message=violation.message[:1].upper() + violation.message[1:],
        location=location,
        fingerprint=hashlib.blake2b(identity.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest(),
    )
