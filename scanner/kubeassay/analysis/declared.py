"""What a manifest declares and what a cluster has: which field is which, and whether they say the same.

Only what the manifest states counts. An API server adds defaults, controllers and webhooks add members to lists that it
merges by a key, and quantities are written otherwise: none of that is a difference. Which lists those are, and by which
key, is what Kubernetes' own types say (``patchMergeKey`` in k8s.io/api v0.33, ``listMapKeys`` for applied ones); every
other list is one value, in which a member more is a difference.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from kubeassay.analysis import meaning
from kubeassay.model import Path

#: Lists that an API server merges: field → what tells their members apart.
_MERGED: Mapping[str, tuple[str, ...]] = {
    "containers": ("name",),
    "env": ("name",),
    "ephemeralContainers": ("name",),
    "hostAliases": ("ip",),
    "imagePullSecrets": ("name",),
    "initContainers": ("name",),
    "secrets": ("name",),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
    "volumeDevices": ("devicePath",),
    "volumeMounts": ("mountPath",),
    "volumes": ("name",),
}
_CONTAINER_PORT = ("containerPort", "protocol")
_SERVICE_PORT = ("port", "protocol")
#: Lists that admission adds to, though none says who is who: what is declared has to be among them.
_ADDED_TO = frozenset({"tolerations"})
#: Lists of which the order counts.
_ORDERED = frozenset({"args", "command"})
#: What an API server does not store where it is ``false``, 0 or empty: fields that are no pointers (k8s.io/api v0.33).
_NOT_STORED = frozenset(
    {
        "deprecated", "exclusiveMaximum", "exclusiveMinimum", "globalDefault", "healthCheckNodePort", "hostIPC",
        "hostNetwork", "hostPID", "hostPort", "initialDelaySeconds", "insecureSkipTLSVerify", "minReadySeconds",
        "nodePort", "nullable", "paused", "preserveUnknownFields", "publishNotReadyAddresses", "readOnly", "stdin",
        "stdinOnce", "tty", "uniqueItems", "unschedulable", "x-kubernetes-embedded-resource",
        "x-kubernetes-int-or-string",
    }
)  # fmt: skip
#: What an API server fills in where it is empty.
_FILLED_IN = frozenset(
    {
        "apiGroup", "clusterIP", "dnsPolicy", "imagePullPolicy", "operator", "protocol", "restartPolicy",
        "schedulerName", "scheme", "serviceAccount", "sessionAffinity", "terminationMessagePath",
        "terminationMessagePolicy", "type",
    }
)  # fmt: skip
#: What is stored where it is empty: that it stands there says something.
_STORED_EMPTY = frozenset({"emptyDir", "podSelector", "namespaceSelector"})
#: Of metadata, what is the author's.
_METADATA = ("labels", "annotations")
#: Pairs of list members that are compared, at most: beyond, lists in another order count as different.
_MOST_PAIRS = 20_000


@dataclass(frozen=True, slots=True)
class Difference:
    """A field that the manifest states and the cluster has otherwise. ``path`` is in the manifest. ``live`` None: the
    cluster does not have it; ``more``: how many members a list of the cluster has that the manifest does not state."""

    path: Path
    declared: Any
    live: Any
    more: int = 0


def differences(declared: Mapping[str, Any], live: Mapping[str, Any]) -> Iterator[Difference]:
    """In what a live object differs from what its manifest declares. Identity, status and what else only a server
    writes are not compared. Both are of the same version of the API."""
    work = _Work()
    stated, given = declared.get("metadata"), live.get("metadata")
    for name in _METADATA:
        values = stated.get(name) if isinstance(stated, dict) else None
        if isinstance(values, dict):
            found = given.get(name) if isinstance(given, dict) else None
            yield from work.mapping(values, found if isinstance(found, dict) else {}, ("metadata", name))
    for key, value in declared.items():
        if key not in ("apiVersion", "kind", "metadata", "status"):
            yield from work.field(key, value, live, (key,))


def equal(declared: Any, live: Any, path: Path) -> bool:
    """Whether a value of a manifest, at a path, is what the cluster has there."""
    return next(iter(_Work().value(declared, live, path)), None) is None


class _Work:
    """One comparison, and how many pairs of members it may still compare."""

    __slots__ = ("pairs",)

    def __init__(self) -> None:
        self.pairs = _MOST_PAIRS

    def mapping(self, declared: Mapping[str, Any], live: Mapping[str, Any], path: Path) -> Iterator[Difference]:
        for key, value in declared.items():
            yield from self.field(key, value, live, (*path, key))

    def field(self, key: str, value: Any, live: Mapping[str, Any], path: Path) -> Iterator[Difference]:
        if key in live and live[key] is not None:
            yield from self.value(value, live[key], path)
        elif not is_nothing(key, value):
            yield Difference(path, value, None)

    def value(self, declared: Any, live: Any, path: Path) -> Iterator[Difference]:
        if declared is None:
            # Of a null the API server makes the default.
            return
        if isinstance(declared, dict) and isinstance(live, dict):
            yield from self.mapping(declared, live, path)
        elif isinstance(declared, list) and isinstance(live, list):
            yield from self.members(declared, live, path)
        elif not _same(declared, live, path):
            yield Difference(path, declared, live)

    def members(self, declared: list[Any], live: list[Any], path: Path) -> Iterator[Difference]:
        keys = merge_keys(path, declared)
        if keys and all(isinstance(member, dict) for member in live):
            by_key = {identity(member, keys): member for member in live}
            for number, member in enumerate(declared):
                found = by_key.get(identity(member, keys))
                if found is None:
                    yield Difference((*path, number), member, None)
                else:
                    yield from self.value(member, found, (*path, number))
            return
        if path[-1] in _ORDERED:
            if len(declared) != len(live) or not all(
                _same(one, other, path) for one, other in zip(declared, live, strict=True)
            ):
                yield Difference(path, declared, live)
            return
        yield from self._unkeyed(declared, live, path)

    def _unkeyed(self, declared: list[Any], live: list[Any], path: Path) -> Iterator[Difference]:
        left = dict.fromkeys(range(len(live)))
        alone = []
        for number, member in enumerate(declared):
            # Mostly they stand in the same order.
            first = (number,) if number in left else ()
            for other in chain(first, [other for other in left if other != number]):
                self.pairs -= 1
                if self.pairs < 0:
                    # Alike as they are written, or not known to be.
                    if declared != live:
                        yield Difference(path, declared, live)
                    return
                if next(self.value(member, live[other], (*path, number)), None) is None:
                    del left[other]
                    break
            else:
                alone.append(number)
        if len(alone) == 1 and len(left) == 1:
            # One for one: it is the same, changed.
            number, other = alone[0], next(iter(left))
            yield from self.value(declared[number], live[other], (*path, number))
            return
        for number in alone:
            yield Difference((*path, number), declared[number], None)
        if len(live) > len(declared) and left and path[-1] not in _ADDED_TO:
            yield Difference(path, declared, live, more=len(live) - len(declared))


def is_nothing(key: str, value: Any) -> bool:
    """Whether a declared value is not stored, because it says what its absence says."""
    if value is None:
        return True
    if value == {} or value == []:
        return key not in _STORED_EMPTY
    if isinstance(value, dict):
        return all(is_nothing(name, member) for name, member in value.items())
    return value == "" or (key in _NOT_STORED and not value)


def _same(declared: Any, live: Any, path: Path) -> bool:
    """Whether two scalars are one value: quantities where the API has them, else as they are written."""
    if isinstance(declared, dict | list) or isinstance(live, dict | list):
        return False
    if isinstance(declared, bool) or isinstance(live, bool):
        return declared is live
    if declared == live and isinstance(declared, str) == isinstance(live, str):
        return True
    if declared == "" and (path[-1] in _FILLED_IN or path[-2:] == ("httpGet", "path")):
        return True
    if path[-1] == "maxLimitRequestRatio" or path[-2:] == ("target", "value"):
        return meaning.same(declared, live, quantity=True)
    return path[0] != "metadata" and meaning.holds_quantity(path) and meaning.same(declared, live, quantity=True)


def merge_keys(path: Path, members: Sequence[Any]) -> tuple[str, ...]:
    """What tells the members of a list apart, in the order of importance; nothing where it is one value."""
    if not path or not all(isinstance(member, dict) for member in members):
        return ()
    if path[-1] == "ports":
        keys: tuple[str, ...] = _SERVICE_PORT if path == ("spec", "ports") else _CONTAINER_PORT
    else:
        keys = _MERGED.get(str(path[-1]), ())
    if not keys or not all(keys[0] in member for member in members):
        return ()
    # Two of one key are a mistake, of which nobody knows which is which.
    return keys if len({identity(member, keys) for member in members}) == len(members) else ()


def identity(member: Mapping[str, Any], keys: Sequence[str]) -> tuple[Any, ...]:
    """What a member of a list is told apart by."""
    return tuple((member.get(key) or "TCP") if key == "protocol" else _hashable(member.get(key)) for key in keys)


def _hashable(value: Any) -> Any:
    return value if isinstance(value, str | int | float | bool) or value is None else repr(value)


def declared_path(live: Any, declared: Any, path: Path) -> Path | None:
    """The path in a manifest of a field of a live object: members of lists are those of the same key, or that say the
    same, wherever they stand. What the manifest does not have is named as the live object has it; None where a member
    of a list is not the manifest's, and so what is below it is not, either."""
    found: list[str | int] = []
    for number, step in enumerate(path):
        if isinstance(step, str):
            found.append(step)
            live = live.get(step) if isinstance(live, dict) else None
            declared = declared.get(step) if isinstance(declared, dict) else None
            continue
        if not isinstance(declared, list):
            return (*found, *path[number:]) if declared is None else None
        member = live[step] if isinstance(live, list) and 0 <= step < len(live) else None
        position = _position(member, step, declared, tuple(found))
        if position is None:
            return None
        found.append(position)
        live, declared = member, declared[position]
    return tuple(found)


def _position(member: Any, step: int, declared: list[Any], path: Path) -> int | None:
    """Which member of a declared list a live member is."""
    keys = merge_keys(path, declared)
    if keys:
        if not isinstance(member, dict):
            return None
        wanted = identity(member, keys)
        return next((n for n, one in enumerate(declared) if identity(one, keys) == wanted), None)
    order = sorted(range(len(declared)), key=lambda number: number != step)
    return next((number for number in order[:_MOST_PAIRS] if equal(declared[number], member, (*path, number))), None)
