"""Objects that others are judged by, and that are not judged themselves (``Live.elsewhere``)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from kubeassay.analysis.workloads import pod_templates
from kubeassay.checks.check import Violation
from kubeassay.engine.live import Live
from kubeassay.model import Inventory, Object, Path

#: Group, kind, namespace and name: one object of a cluster, in whatever version it is written.
Identity = tuple[str, str, str | None, str]


def identity(obj: Object) -> Identity | None:
    """What names an object; None for one whose name the server makes, and is another each time."""
    ref = obj.ref
    return (ref.group, ref.kind, ref.namespace, ref.name) if ref.name and not ref.name.endswith("*") else None


def without_replaced(objects: Iterable[Object], declared: set[Identity], live: Live) -> list[Object]:
    """Objects without those elsewhere that judged files declare, too: what these say is what will be there."""
    return [obj for obj in objects if obj.file not in live.elsewhere or identity(obj) not in declared]


def namespaces_of(declared: Iterable[Identity]) -> set[str | None]:
    """The namespaces that objects are in, or are."""
    return {name if kind == "Namespace" and not group else namespace for group, kind, namespace, name in declared}


def at_judged(
    violation: Violation,
    inventory: Inventory,
    live: Live,
    template_paths: Mapping[tuple[str, str], tuple[Path, ...]],
) -> Violation | None:
    """What is found at an object elsewhere, at the first judged object that it is about, too: one that it goes through
    (the role that a binding binds), or of a namespace a workload in it. None where there is none."""
    obj = violation.obj
    if obj is None or obj.file not in live.elsewhere:
        return None
    related = violation.related
    place = next(((other, path) for _, other, path in related if live.judges(other)), None)
    if place is None and obj.ref.kind == "Namespace" and not obj.ref.group:
        inside = next(
            (
                one
                for one in inventory
                if one.ref.namespace == obj.ref.name and live.judges(one) and pod_templates(one, template_paths)
            ),
            None,
        )
        place = None if inside is None else (inside, ("metadata", "namespace"))
    if place is None:
        return None
    where, path = place
    return Violation(
        path,
        f"{violation.message} (found at {obj.ref}, which is not judged here)",
        obj=where,
        related=(
            (f"found at {obj.ref}", obj, violation.path),
            *(one for one in related if (one[1], one[2]) != (where, path)),
        ),
        ways=violation.ways,
        fixable=False,
    )
