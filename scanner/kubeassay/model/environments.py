"""What a result says of several environments that were judged at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kubeassay.model.object import ObjectRef
from kubeassay.model.place import Location

if TYPE_CHECKING:
    from kubeassay.model.result import Summary


@dataclass(frozen=True, slots=True)
class RenderedManifest:
    """A kustomization or chart that was rendered. ``file``: what asks for it; ``made_by``: the tool and its version."""

    file: str
    made_by: str


@dataclass(frozen=True, slots=True)
class EnvironmentResult:
    """One environment. ``summary`` counts what was judged for it, with the files that all have in common."""

    name: str
    profile: str
    kubernetes_version: str
    summary: Summary


@dataclass(frozen=True, slots=True)
class Difference:
    """An object that some environments have and others lack. ``object``: as the first of those that have it calls it,
    which is at ``location``."""

    object: ObjectRef
    location: Location
    present: tuple[str, ...]
    absent: tuple[str, ...]
