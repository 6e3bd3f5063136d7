"""What the checks on networks share: how they name workloads, where they point, and what they do not judge."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from kubeassay.analysis.network.connectivity import Connectivity
from kubeassay.analysis.network.endpoints import Workload
from kubeassay.analysis.network.judgements import SYSTEM_NAMESPACES, by_namespace, foreign_of, perhaps_governed
from kubeassay.analysis.network.policies import DIRECTIONS, Direction
from kubeassay.checks.check import NotJudged
from kubeassay.model import Object, Path

#: How many of many things a message names.
_NAMED = 3


def names(ends: Iterable[Workload]) -> list[str]:
    """The names of workloads, each once."""
    return list(dict.fromkeys(end.name for end in ends))


def shown(texts: Sequence[str], separator: str = ", ") -> str:
    """Texts as a message lists them."""
    more = f" and {len(texts) - _NAMED} more" if len(texts) > _NAMED else ""
    return separator.join(texts[:_NAMED]) + more


def matches(pattern: str, end: Workload) -> bool:
    """Whether a pattern (``namespace``, ``namespace/name``, ``namespace/name[Kind]``, with shell wildcards) means a
    workload."""
    place = pattern.partition("#")[2]
    if place and place != end.name.partition("#")[2]:
        return False
    own, _, kind = end.name.partition("[")
    return matches_name(pattern, end.namespace, own.partition("/")[2], kind.partition("]")[0])


def matches_name(pattern: str, namespace: str, name: str, kind: str | None = None) -> bool:
    """Whether a pattern means something of a name. ``kind`` None: of any kind."""
    # A bracket names the kind: it is no set of characters.
    wanted, _, of_kind = pattern.partition("[")
    space, slash, of_name = wanted.partition("/")
    if not fnmatch.fnmatchcase(namespace, space):
        return False
    if not slash:
        return True
    if of_kind and kind is not None and not fnmatch.fnmatchcase(kind, of_kind.partition("]")[0]):
        return False
    return fnmatch.fnmatchcase(name, of_name)


def is_one_of(namespace: str, patterns: Iterable[Any]) -> bool:
    """Whether a namespace matches one of some shell patterns."""
    return any(fnmatch.fnmatchcase(namespace, str(pattern)) for pattern in patterns)


def judged_namespaces(net: Connectivity, excluded: Iterable[Any] = ()) -> Iterator[tuple[str, list[Workload]]]:
    """The namespaces that hold workloads which policies apply to, with these: neither those of Kubernetes itself nor
    ``excluded``, and no workloads on the node's network, of which it is not certain."""
    patterns = tuple(excluded)
    for namespace, members in by_namespace(net.workloads).items():
        own = [end for end in members if not end.host_network]
        if own and namespace not in SYSTEM_NAMESPACES and not is_one_of(namespace, patterns):
            yield namespace, own


def namespace_place(net: Connectivity, namespace: str, members: Sequence[Workload]) -> tuple[Object, Path] | None:
    """Where a finding about a namespace points: at the Namespace, or where none is among the inputs, at where its first
    workload names it."""
    obj = net.namespaces[namespace].obj
    if obj is not None:
        return obj, ("metadata", "name")
    return (members[0].obj, ("metadata", "namespace")) if members else None


def not_evaluated(net: Connectivity, namespace: str, obj: Object | None) -> NotJudged | None:
    """Why the workloads of a namespace cannot be judged: a policy governs them that is not evaluated."""
    foreign = foreign_of(net, namespace)
    if foreign is None:
        return None
    return NotJudged(
        "unsupported", f"{foreign.obj.ref} governs the workloads of namespace {namespace} and is not evaluated", obj
    )


def labels_unknown(net: Connectivity, namespace: str, direction: Direction, obj: Object) -> NotJudged | None:
    """Why it is not known what governs a namespace: a policy of the cluster asks for its labels, which no object
    states."""
    policy = perhaps_governed(net, namespace, direction)
    if policy is None:
        return None
    detail = f"{policy} selects namespaces by their labels, and those of namespace {namespace} are not known"
    return NotJudged("unknown-namespace-labels", detail, obj)


def refused(net: Connectivity, end: Workload) -> NotJudged | None:
    """Why a workload cannot be judged: a policy selects it that an API server refuses."""
    for direction in DIRECTIONS:
        for policy in net.governing(end, direction):
            if policy.refused:
                reason = policy.refused[0].reason
                return NotJudged("invalid-object", f"{policy} governs {end}, and is refused: {reason}", end.obj)
    return None


def nothing_isolates(net: Connectivity, end: Workload, direction: Direction) -> str:
    """How a message begins that says that a workload is open because no rule closes it. Policies of the cluster may
    close some of it, and are not nothing."""
    return "no NetworkPolicy isolates" if net.governing(end, direction) else "nothing isolates"
