"""What the two Pod Security Standards levels share: places that carry a security context."""

from __future__ import annotations

from collections.abc import Sequence

from kubeassay.analysis.reading import quoted
from kubeassay.analysis.workloads import Container, PodTemplate
from kubeassay.checks.check import Violation
from kubeassay.model import Path

#: What carries a ``securityContext``: the pod's spec, or one container.
Place = PodTemplate | Container

# A tuple, not a set: ``in`` must not raise on what cannot be hashed.
SECCOMP_TYPES = ("RuntimeDefault", "Localhost")


def violation(place: Place, field: Path, message: str) -> Violation:
    """A violation at ``field`` of a pod spec or container. The message is what the place does ("runs privileged")."""
    if isinstance(place, PodTemplate):
        return Violation((*place.spec_path, *field), f"pod {message}")
    return Violation((*place.path, *field), f"container {place.name} {message}", container=place.name, base=place.path)


def places(pod: PodTemplate) -> tuple[Place, ...]:
    """The pod, then its containers, as Pod Security Admission visits them."""
    return (pod, *pod.containers)


def proc_mount_violations(container: Container) -> Sequence[Violation]:
    """The container's procMount, where it is set to anything but Default (an empty string included)."""
    value = container.security_context.get("procMount")
    if value is None or value == "Default" or not isinstance(value, str):
        return ()
    return (violation(container, ("securityContext", "procMount"), f"sets procMount to {quoted(value)}"),)
