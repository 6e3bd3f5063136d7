"""What an evaluation of a live cluster must not take for absent: kinds that were not read, values that were not.

A rule that names a kind in its ``needs`` or ``context`` does not run as if there were none of it. Where the kind was
not read at all, a rule on the inventory does not run; where it was not read in some namespaces, or where it is one of
the custom resources of which any may matter, the rule can find what is wrong with the objects that were read, but
passes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kubeassay.analysis.facts import CUSTOM_RESOURCES, WORKLOADS
from kubeassay.analysis.kinds import kinds_of_group
from kubeassay.analysis.selectors import Selector
from kubeassay.analysis.workloads import BUILT_IN_GROUPS, TEMPLATE_PATHS
from kubeassay.checks.check import CheckFunction, ContainerSubject, Context, NotJudged, Said
from kubeassay.model import NotEvaluated, Object, ObjectRef, Rule
from kubeassay.model.unread import METADATA_ONLY, Unread

TEMPLATE_KINDS = frozenset(kind for _, kind in TEMPLATE_PATHS)
_NAMED = 3


def namespace_about(ref: ObjectRef) -> str | None:
    """The namespace that an object is in, or is."""
    return ref.name if ref.kind == "Namespace" and not ref.group else ref.namespace


@dataclass(frozen=True, slots=True)
class Live:
    """What is known of how a cluster was read, and which of its objects are judged. The default is that of files:
    everything was read, and is judged."""

    #: Of the cluster that is judged, or of what is judged by beside files (``elsewhere``).
    unread: tuple[Unread, ...] = ()
    #: Kinds of the core group of which only the metadata was read: :data:`METADATA_ONLY` for a cluster.
    metadata_only: frozenset[str] = frozenset()
    namespaces: frozenset[str] | None = None
    selector: Selector | None = None
    #: Places of owners of objects that the selector selects, which are judged at their owner.
    owners: frozenset[str] = frozenset()
    #: Place of an owner → its pod template as pods that differ from it run it, each form once.
    as_run: Mapping[str, tuple[Mapping[str, Any], ...]] = field(default_factory=dict)
    #: Files whose objects others are judged by, and which are not judged themselves.
    elsewhere: frozenset[str] = frozenset()
    #: (API group, kind) of deployers' objects that were followed: what they deploy is judged, or told not to be.
    followed: frozenset[tuple[str, str]] = frozenset()

    def judges(self, obj: Object) -> bool:
        """Whether an object is judged, and not only what others are judged by."""
        if obj.file in self.elsewhere:
            return False
        if self.namespaces is not None and namespace_about(obj.ref) not in self.namespaces:
            return False
        if self.selector is None:
            return True
        metadata = obj.value.get("metadata")
        labels = metadata.get("labels") if isinstance(metadata, dict) else None
        return self.selector.matches(labels if isinstance(labels, dict) else {}) or obj.file in self.owners


@dataclass(frozen=True, slots=True)
class Gaps:
    """What a rule misses. ``named``: of kinds that it names; ``possible``: of kinds of which any may matter to it."""

    named: tuple[Unread, ...] = ()
    possible: tuple[Unread, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.named or self.possible)

    @property
    def blocking(self) -> tuple[Unread, ...]:
        """Those of which nothing was read."""
        return tuple(unread for unread in self.named if unread.namespace is None and not unread.but)

    def cover(self, namespace: str | None) -> bool:
        """Whether objects that the rule names may be missing in a namespace."""
        return any(unread.covers(namespace) for unread in self.named)


def gaps_of(kinds: Iterable[str], unread: Iterable[Unread], *, namesakes: bool = False) -> Gaps:
    """What of some kinds (as ``needs`` names them) was not read. ``namesakes``: kinds of other groups that are called
    the same as one of Kubernetes' own matter, too."""
    wanted = set(kinds)
    if WORKLOADS in wanted:
        wanted = (wanted - {WORKLOADS}) | TEMPLATE_KINDS
    named, possible = [], []
    for gap in unread:
        if gap.kind in wanted or (not gap.kind and not wanted.isdisjoint(kinds_of_group(gap.group))):
            named.append(gap)
        elif gap.group not in BUILT_IN_GROUPS and (
            CUSTOM_RESOURCES in wanted
            or (not gap.kind and (any(is_custom(kind) for kind in wanted) or (namesakes and wanted)))
        ):
            possible.append(gap)
    return Gaps(tuple(named), tuple(possible))


def is_custom(kind: str) -> bool:
    """Whether a kind, as ``needs`` names it, is of custom resources alone."""
    return kind != WORKLOADS and not any(kind in kinds_of_group(group) for group in BUILT_IN_GROUPS)


def knows_no_groups(rule: Rule) -> bool:
    """Whether a rule takes objects by the name of their kind alone. Checks in Python look at the group."""
    return rule.expression is not None or bool(rule.needs_from)


def judged_kinds(rule: Rule) -> tuple[str, ...]:
    """The kinds of a cluster that are subjects of a rule on single objects (none for one on objects of any kind)."""
    if rule.subject == "exception":
        return ()
    if rule.subject == "object":
        return tuple(kind for kind in rule.needs if not (rule.manifest_only and kind in METADATA_ONLY))
    return ("Namespace",) if rule.subject == "namespace" else tuple(sorted(TEMPLATE_KINDS))


def saying(rule: str | None, gaps: Sequence[Unread], consequence: str) -> NotEvaluated:
    """What is said of a rule that misses something."""
    names = list(dict.fromkeys(_gap(gap) for gap in gaps))
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    reason = "forbidden" if any(gap.reason == "forbidden" for gap in gaps) else gaps[0].reason
    namespaces = {gap.namespace for gap in gaps}
    return NotEvaluated(
        reason,
        f"{', '.join(names[:_NAMED])}{more} could not be read: {consequence}",
        rule=rule,
        namespace=namespaces.pop() if len(namespaces) == 1 else None,
    )


def _gap(gap: Unread) -> str:
    if gap.namespace is not None:
        return f"{gap.name} in namespace {gap.namespace}"
    return f"{gap.name} in namespaces other than {', '.join(gap.but)}" if gap.but else gap.name


def readable_only(function: CheckFunction, gaps: Gaps) -> CheckFunction:
    """The function of a rule that judges a subject by other objects, silent where these may be missing."""
    where = (*gaps.named, *gaps.possible)

    def judge(subject: Any, context: Context) -> Iterable[Said]:
        obj: Object = subject.pod.obj if isinstance(subject, ContainerSubject) else getattr(subject, "obj", subject)
        namespace = namespace_about(obj.ref)
        # An object of the whole cluster may be judged by objects of any namespace.
        missing = [gap for gap in where if namespace is None or gap.covers(namespace)]
        if missing:
            said = saying(None, missing, "what is judged by it was not judged")
            return (NotJudged(said.reason, said.detail),)
        return function(subject, context)

    return judge
