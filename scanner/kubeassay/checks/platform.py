"""What a documented architecture says of the platform as a whole."""

from __future__ import annotations

from collections.abc import Iterator

from kubeassay.analysis.network.workloads import workloads
from kubeassay.checks.check import Context, NotApplicable, NotJudged, Passed, Said, Violation, check
from kubeassay.model import Inventory, Object


@check("documented-namespaces")
def documented_namespaces(inventory: Inventory, context: Context) -> Iterator[Said]:
    """Namespaces that are declared and those that workloads name, against the documented ones."""
    documented = list(dict.fromkeys(context.parameters["namespaces"]))
    if not documented:
        yield NotApplicable()
        return
    known = {*documented, *context.parameters["present_anyway"]}
    declared: dict[str, Object] = {}
    for obj in inventory.of_kind("Namespace", ""):
        if obj.ref.name not in known:
            yield Violation(("metadata", "name"), f"namespace {obj.ref.name} is not among the documented ones", obj=obj)
        declared.setdefault(obj.ref.name, obj)
    if not declared:
        yield NotJudged(
            "no-objects", "no Namespace is among the inputs, so whether the documented ones are declared is not known"
        )
    missing = [name for name in documented if name not in {*declared, *context.parameters["present_anyway"]}]
    used: set[str] = set()
    order = {id(obj): number for number, obj in enumerate(inventory)}
    for workload in sorted(workloads(inventory), key=lambda workload: order[id(workload.obj)]):
        space = workload.namespace
        # One that states no namespace goes wherever it is applied to: that is another finding.
        if space in used or not workload.obj.ref.namespace:
            continue
        words = ""
        if space not in known and space not in declared:
            words = f"namespace {space} of {workload} is not among the documented ones"
        elif declared and space in missing:
            words = f"namespace {space} of {workload} is documented and not declared"
        if words:
            used.add(space)
            yield Violation(("metadata", "namespace"), words, obj=workload.obj)
    if not declared:
        return
    first = next(iter(declared.values()))
    unused = [name for name in missing if name not in used]
    if unused:
        are = "documented namespaces are" if len(unused) > 1 else "documented namespace is"
        yield Violation(("metadata", "name"), f"{len(unused)} {are} not declared: {', '.join(unused)}", obj=first)
    for name, obj in declared.items():
        if name in known and not (unused and obj is first):
            yield Passed(obj)
