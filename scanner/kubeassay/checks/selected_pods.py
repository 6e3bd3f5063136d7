"""Selectors of pods that select none: a slip, or something that is not among the inputs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from kubeassay.analysis.network.endpoints import namespace_of
from kubeassay.analysis.network.judgements import SYSTEM_NAMESPACES, unknown_pods
from kubeassay.analysis.network.makers import makers_of
from kubeassay.analysis.network.services import pod_index
from kubeassay.analysis.network.workloads import CONTROLLER_LABELS, workloads
from kubeassay.analysis.selectors import Selector
from kubeassay.checks.check import NotJudged, Passed, Said, Violation
from kubeassay.checks.label_hints import meant_labels, unmet_requirement, wanted_label
from kubeassay.model import Inventory, Object, Path

#: More workloads of a namespace than one looks through for what was meant.
_MANY = 500
#: The same of names and values of labels.
_MANY_NAMES = 2000
#: Shorter names are parts of others by chance.
_SHORT = 3


@dataclass(frozen=True, slots=True)
class Empty:
    """A selector that selects nothing. ``at``: from the object's root to the selector; ``plain``: it is a map of
    labels, not a LabelSelector. ``who`` and ``does``: how a message begins (``Service a/b``, ``leads nowhere``).
    ``meant``: whether it can be told, by something else than labels and names, that it is for a workload that is among
    the inputs."""

    obj: Object
    who: str
    does: str
    selector: Selector
    at: Path
    plain: bool = False
    meant: Callable[[], bool] = lambda: False


class Around:
    """What else is in the namespaces of an inventory."""

    def __init__(self, inventory: Inventory) -> None:
        self._labels: dict[str, list[Mapping[str, str]]] = defaultdict(list)
        #: Names of workloads, and the values of their labels.
        self._names: dict[str, set[str]] = defaultdict(set)
        for workload in workloads(inventory):
            self._labels[workload.namespace].append(workload.labels)
            self._names[workload.namespace].update((workload.obj.ref.name, *workload.labels.values()))
        self._index = pod_index(inventory)
        self._unknown: Mapping[str, Object] = unknown_pods(inventory)
        self._makers = makers_of(inventory)

    def judge(self, empty: Empty) -> Said:
        """A finding where labels are mistaken; else why that is not known."""
        namespace, selector = namespace_of(empty.obj), empty.selector
        labels = self._labels.get(namespace, ())
        if self._elsewhere(empty):
            return _unsure(empty, "unknown-namespace", "it, or what it would select, does not state a namespace")
        if selector.invalid:
            return _unsure(empty, "invalid-object", selector.invalid)
        if not labels:
            return _unsure(empty, "no-objects", f"no workload of namespace {namespace} is among the inputs")
        if selector.everything:
            return Passed(empty.obj)
        if all(requirement.operator in ("NotIn", "DoesNotExist") for requirement in selector.requirements):
            return _unsure(empty, "no-objects", "it leaves some pods out, and all that there are are among them")
        # To look through thousands of labels for each of thousands of selectors would take too long.
        many = len(labels) > _MANY
        requirement = selector.requirements[0] if many else unmet_requirement(selector, labels)
        hint = "" if many else meant_labels(requirement, labels, near=True)
        if requirement.key in CONTROLLER_LABELS:
            return _unsure(empty, "unknown-labels", f"label {requirement.key} is given to pods when they are made")
        if not hint and namespace in SYSTEM_NAMESPACES:
            detail = f"what runs in namespace {namespace} is mostly not among the inputs"
            return _unsure(empty, "no-objects", detail)
        maker = self._unknown.get(namespace) or self._makers.of(namespace)
        if not hint and maker is not None:
            return _unsure(empty, "unsupported", f"{maker.ref} may make pods in namespace {namespace}")
        if not hint and not many and not self._is_for_one(empty, labels):
            detail = f"nothing of namespace {namespace} is like what it selects, which may come from elsewhere"
            return _unsure(empty, "no-objects", detail)
        words = f"no workload of namespace {namespace} has"
        if many:
            words = f"{words} {selector}"
        elif any(requirement.holds(one) for one in labels):
            words = f"{words} {selector} together"
        else:
            words = f"{words} {wanted_label(requirement)}{meant_labels(requirement, labels)}"
        path = requirement.path[1:] if empty.plain else requirement.path
        return Violation((*empty.at, *path), f"{empty.who} {empty.does}: {words}", obj=empty.obj)

    def _is_for_one(self, empty: Empty, labels: Sequence[Mapping[str, str]]) -> bool:
        """Whether anything shows that it is for a workload that is among the inputs, and not for one that an operator,
        a chart or the cloud makes: it is read from a cluster with all else, part of its selector is fulfilled, or
        something has a like name."""
        requirements = [one for one in empty.selector.requirements if one.operator in ("In", "Exists")]
        if empty.obj.get("metadata", "uid") is not None:
            return True
        if len(requirements) > 1 and any(one.holds(of) for one in requirements for of in labels):
            return True
        own = {empty.obj.ref.name, *(value for one in requirements for value in one.values)}
        others = self._names.get(namespace_of(empty.obj), set())
        if len(others) > _MANY_NAMES:
            return True
        return any(_alike(first, second) for first in own for second in others) or empty.meant()

    def _elsewhere(self, empty: Empty) -> bool:
        """Whether it would select something if both went to one namespace, which one of them does not state."""
        stated = empty.selector.labels
        return bool(stated) and any(
            empty.selector.matches(workload.labels)
            and (workload.obj.ref.namespace is None or empty.obj.ref.namespace is None)
            for workload in self._index.with_labels(None, stated)
        )


def _alike(first: str, second: str) -> bool:
    """Whether two names are the same, or one has the other as a part: gateway, api-gateway."""
    if len(first) < _SHORT or len(second) < _SHORT:
        return first == second and first != ""
    return f"-{first}-" in f"-{second}-" or f"-{second}-" in f"-{first}-"


def _unsure(empty: Empty, reason: str, detail: str) -> NotJudged:
    return NotJudged(reason, f"{empty.who} selects nothing here: {detail}", empty.obj)
