"""Drift: in what a cluster is not what manifests declare."""

from __future__ import annotations

from dataclasses import dataclass

from kubeassay.model.object import ObjectRef
from kubeassay.model.place import Location


@dataclass(frozen=True, slots=True)
class MissingObject:
    """An object that a manifest declares and the cluster does not have."""

    object: ObjectRef
    location: Location


@dataclass(frozen=True, slots=True)
class ChangedField:
    """A field that a manifest states and the cluster has otherwise. ``path`` and ``location`` are in the manifest;
    ``file`` is the object's place in the cluster. ``detail`` is a sentence for people, without secrets."""

    object: ObjectRef
    path: str
    detail: str
    location: Location
    file: str


@dataclass(frozen=True, slots=True)
class UndeclaredObject:
    """An object of the cluster that no manifest declares, in a namespace that one declares."""

    object: ObjectRef
    file: str


@dataclass(frozen=True, slots=True)
class NotCompared:
    """What may be drift or none. ``reason`` is a word for programs: ``ambiguous``, ``forbidden``, ``not-readable``,
    ``not-read``, ``not-rendered``, ``not-served``, ``other-version``, ``hook``, ``elsewhere``; ``detail`` is a sentence
    for people. ``file`` is that of the manifest, or the place of an object of the cluster."""

    reason: str
    detail: str
    file: str | None = None


@dataclass(frozen=True, slots=True)
class Drift:
    """The comparison of manifests (``sources``: the folders as they were named) with a cluster. Sorted."""

    sources: tuple[str, ...]
    missing: tuple[MissingObject, ...] = ()
    changed: tuple[ChangedField, ...] = ()
    undeclared: tuple[UndeclaredObject, ...] = ()
    not_compared: tuple[NotCompared, ...] = ()

    def __bool__(self) -> bool:
        """Whether anything differs."""
        return bool(self.missing or self.changed or self.undeclared)
