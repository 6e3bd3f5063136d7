"""Which of several objects of one name belong to a file: a tree often holds one for each environment."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Protocol, TypeVar

from kubeassay.model import Object, shared_folders


class _HasObject(Protocol):
    @property
    def obj(self) -> Object: ...


_T = TypeVar("_T", bound=_HasObject)


def nearest(things: Sequence[_T], file: str) -> list[_T]:
    """Things, those of each object once: of several objects of one name (a tree often holds one for each environment)
    those of the one whose file shares most folders with ``file``, the first of these. All are of one namespace."""
    groups: dict[tuple[str, str, str], dict[int, Object]] = defaultdict(dict)
    for thing in things:
        ref = thing.obj.ref
        if ref.name:
            groups[ref.group, ref.kind, ref.name][id(thing.obj)] = thing.obj
    left_out: set[int] = set()
    for group in groups.values():
        if len(group) < 2:
            continue
        shared = {key: shared_folders(obj.file, file) for key, obj in group.items()}
        most = max(shared.values())
        best = next(key for key, number in shared.items() if number == most)
        # Of a name that an API server completes (generateName) there are as many as are applied.
        generated = group[best].ref.name.endswith("*")
        left_out.update(key for key in group if key != best and not (generated and shared[key] == most))
    return [thing for thing in things if id(thing.obj) not in left_out]
