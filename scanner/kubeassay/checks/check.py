"""What a Python check is: a function of one subject that yields the places that break its rule.

A check is pure: it reads the subject and the context and yields :class:`Violation`; it decides no outcome, severity or
exit code. It is marked with the id of its rule and the Kubernetes version from which it holds::

    @check("proc-mount")
    def proc_mount(container: Container, context: Context) -> Iterator[Violation]: ...

    @check("proc-mount", since="1.35")
    def proc_mount_1_35(container: Container, context: Context) -> Iterator[Violation]: ...

Of several functions with one id, the one with the newest ``since`` not above the judged version is used; before the
first, the rule does not apply. The subject is what the rule file's ``subject`` says: an
:class:`~kubeassay.model.Object` for ``object``, ``workload`` and ``namespace``, a
:class:`~kubeassay.analysis.workloads.PodTemplate` for ``pod``, a :class:`ContainerSubject` for ``container``, an
:class:`~kubeassay.model.Inventory` for ``inventory``, an
:class:`~kubeassay.checks.exceptions.ExceptionSubject` for ``exception``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar

from kubeassay.analysis.workloads import Container, PodTemplate
from kubeassay.model import Inventory, KubernetesVersion, Object, Path

if TYPE_CHECKING:
    from kubeassay.analysis.network.connections import Connections


class ContainerSubject(NamedTuple):
    """The subject of a container rule: the container and the pod template that it belongs to."""

    container: Container
    pod: PodTemplate


@dataclass(frozen=True, slots=True)
class Context:
    """What a check may know besides its subject: the judged Kubernetes version, the rule's parameters (all set), and
    the objects of the kinds that the rule names as its ``context``, from all files."""

    kubernetes_version: KubernetesVersion
    parameters: Mapping[str, Any]
    inventory: Inventory = dataclasses.field(default_factory=Inventory)


class Way(NamedTuple):
    """Connections from each of some ends to each of others, by the names that messages call them."""

    sources: tuple[str, ...]
    destinations: tuple[str, ...]
    connections: Connections


@dataclass(frozen=True, slots=True)
class Repair:
    """How one violation is mended, where its rule's file cannot say it: ``rename`` the key at ``path`` to ``value``,
    ``set`` the scalar there to ``value``, ``quote`` it as it is written, ``join`` the list item there with the one
    before it."""

    how: Literal["rename", "set", "quote", "join"]
    path: Path
    value: str | int | bool | None = None


@dataclass(frozen=True, slots=True)
class Violation:
    """One place that breaks the rule.

    ``path``: from the object's root to the key or value; of a missing field, the path it would have. ``container``: the
    name of the container concerned. ``key``: point at the key, not at the value. ``sensitive``: the value must not be
    shown. ``base``: what the rule's fix is relative to, where that is not the subject itself (for a pod rule, the
    container's path). ``fixable``: False where the rule's fix would make an object that is refused or does not run.
    ``obj``: the object concerned, for an inventory rule. ``related``: (message, object, path). ``repair``: what mends
    it, where the rule's file has no fix. ``clauses``: (message, file, line) of a document that demands it. ``also``:
    the other places of one violation that stands at several. ``ways``: all ways between workloads that it is about;
    none where these are too many to be told one by one.
    """

    path: Path
    message: str
    container: str | None = None
    key: bool = False
    sensitive: bool = False
    base: Path | None = None
    fixable: bool = True
    obj: Object | None = None
    related: tuple[tuple[str, Object, Path], ...] = ()
    repair: Repair | None = None
    clauses: tuple[tuple[str, str, int], ...] = ()
    also: tuple[Path, ...] = ()
    ways: tuple[Way, ...] = ()


@dataclass(frozen=True, slots=True)
class NotJudged:
    """What a check yields in place of violations when the subject cannot be judged. ``reason`` and ``detail``: see
    :class:`kubeassay.model.NotEvaluated`."""

    reason: str
    detail: str
    obj: Object | None = None


@dataclass(frozen=True, slots=True)
class Passed:
    """What a rule on the inventory yields for an object that it judged and found compliant: only the rule knows which
    objects those are. For other subjects, yielding nothing says it."""

    obj: Object


@dataclass(frozen=True, slots=True)
class NotApplicable:
    """What a check yields when its rule says nothing about the subject: neither a failure nor a pass."""


#: What a check says of its subject, or, on the inventory, of one object.
Said = Violation | NotJudged | NotApplicable | Passed
CheckFunction = Callable[[Any, Context], Iterable[Said]]
_F = TypeVar("_F", bound=CheckFunction)


def check(rule_id: str, *, since: str = "1.0") -> Callable[[_F], _F]:
    """Mark a function as the check of a rule from a Kubernetes version on."""

    def mark(function: _F) -> _F:
        function.__dict__["__check__"] = (rule_id, KubernetesVersion.parse(since))
        return function

    return mark
