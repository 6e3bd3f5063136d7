"""What the two Pod Security Standards levels share: places that carry a security context, and reading what Go reads.

Kubernetes decodes a null list item or map value to the zero value of its type, and a null field to "not set". The
checks read plain values the same way. A value of another type can only come from a custom resource; it counts as not
set, or as the zero value inside a list.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kubeassay.analysis.workloads import Container, PodTemplate
from kubeassay.checks.check import Violation
from kubeassay.model import Path

#: What carries a ``securityContext``: the pod's spec, or one container.
Place = PodTemplate | Container

# A tuple, not a set: ``in`` must not raise on what cannot be hashed.
SECCOMP_TYPES = ("RuntimeDefault", "Localhost")

_NOTHING: Mapping[str, Any] = {}


def violation(place: Place, field: Path, message: str) -> Violation:
    """A violation at ``field`` of a pod spec or container. The message is what the place does ("runs privileged")."""
    if isinstance(place, PodTemplate):
        return Violation((*place.spec_path, *field), f"pod {message}")
    return Violation((*place.path, *field), f"container {place.name} {message}", container=place.name, base=place.path)


def places(pod: PodTemplate) -> tuple[Place, ...]:
    """The pod, then its containers, as Pod Security Admission visits them."""
    return (pod, *pod.containers)


def items(value: Any) -> Sequence[Any]:
    """The items of a list; none where there is no list."""
    return value if isinstance(value, list) else ()


def mapping(value: Any) -> Mapping[str, Any]:
    """A mapping; empty where there is none."""
    return value if isinstance(value, dict) else _NOTHING


def string(value: Any) -> str:
    """A string; empty where there is none."""
    return value if isinstance(value, str) else ""


def quoted(value: str) -> str:
    """A value as a message shows it: an empty one must be seen."""
    return value or '""'


def proc_mount_violations(container: Container) -> Sequence[Violation]:
    """The container's procMount, where it is set to anything but Default (an empty string included)."""
    value = container.security_context.get("procMount")
    if value is None or value == "Default" or not isinstance(value, str):
        return ()
    return (violation(container, ("securityContext", "procMount"), f"sets procMount to {quoted(value)}"),)
