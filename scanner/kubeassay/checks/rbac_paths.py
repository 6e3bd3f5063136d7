"""Rights that nobody granted: paths of subjects, and of workloads, to cluster-admin and to the node.

Source: Kubernetes, "Role Based Access Control Good Practices", privilege escalation risks.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

from kubeassay.analysis.access.escalation import (
    OUTCOMES,
    Escalation,
    Escalations,
    Outcome,
    escalations,
)
from kubeassay.analysis.access.running import account_of, holds_token
from kubeassay.analysis.network.endpoints import Workload
from kubeassay.analysis.network.exposure import exposures
from kubeassay.analysis.network.workloads import workloads
from kubeassay.checks.check import Context, Passed, Violation, check
from kubeassay.checks.rbac_common import MAX_NAMED, Related, access_of, named, stated_bindings
from kubeassay.model import Inventory, Object, Path

#: In what order ways in are told, where a workload has several: the first is the nearest to everybody.
_WAYS_IN = ("load-balancer", "ingress", "gateway", "istio-gateway", "route", "external-ip", "node-port", "host-port")


def _found(inventory: Inventory, context: Context) -> Escalations:
    return escalations(inventory, context.kubernetes_version.minor)


@check("escalation-path")
def escalation_path(inventory: Inventory, context: Context) -> Iterator[Violation | Passed]:
    return _of_subjects(inventory, context, "cluster-admin")


@check("node-access-path")
def node_access_path(inventory: Inventory, context: Context) -> Iterator[Violation | Passed]:
    """Of subjects that do not become cluster-admin: those are on every node anyway."""
    return _of_subjects(inventory, context, "node")


def _of_subjects(inventory: Inventory, context: Context, outcome: Outcome) -> Iterator[Violation | Passed]:
    """One finding a subject, at the binding that the path begins with; one for all where a binding gives many subjects
    the same path. Whoever is granted everything needs no path (cluster-admin-binding), and a member of a group is told
    of there."""
    found = _found(inventory, context)
    allowed = set(context.parameters["allowed_subjects"])
    failed: set[int] = set()
    together: dict[tuple[int, tuple[str, ...]], list[tuple[Escalation, Object, Path]]] = defaultdict(list)
    for subject in found.subjects:
        if str(subject) in allowed or found.default(subject):
            continue
        path = found.path(subject, outcome)
        if path is None or path.assumptions or path.direct or path.group is not None or path.default:
            continue
        if outcome == "node" and _certain(found.path(subject, "cluster-admin")):
            continue
        place = _first_binding(path)
        if place is not None:
            failed.add(id(place[0]))
            together[id(place[0]), tuple(step.how for step in path.steps)].append((path, *place))
    for same in together.values():
        if len(same) <= MAX_NAMED + 1:
            for path, obj, at in same:
                yield Violation((*at, "name"), _message(path), obj=obj, related=_related(path))
            continue
        # In the order in which the binding has them.
        same.sort(key=lambda one: int(one[2][-1]))
        path, obj, at = same[0]
        message = f"{named(one[0].subject for one in same)} {_OUTCOME[outcome]}, each by itself: {_steps(path)}"
        also = tuple((*other, "name") for _, _, other in same[1:])
        yield Violation((*at, "name"), message, obj=obj, related=_related(path), also=also)
    for _, obj in stated_bindings(access_of(inventory, context)):
        if id(obj) not in failed:
            yield Passed(obj)


def _certain(path: Escalation | None) -> bool:
    return path is not None and not path.assumptions


def _first_binding(path: Escalation) -> tuple[Object, Path] | None:
    """The binding of the inputs by which the path begins, and the subject in it."""
    for use in path.steps[0].uses:
        if use.grant is not None and use.grant.binding is not None and not use.grant.bootstrap:
            return use.grant.binding, use.grant.subject_path
    return None


_OUTCOME: Mapping[Outcome, str] = {"cluster-admin": "can become cluster-admin", "node": "can become root on a node"}


def _message(path: Escalation) -> str:
    return f"{path.subject} {_OUTCOME[path.outcome]}: {_steps(path)}"


def _steps(path: Escalation) -> str:
    """The steps in a sentence."""
    return "; ".join(f"{step.who if number else 'it'} {step.how}" for number, step in enumerate(path.steps))


def _related(path: Escalation) -> Related:
    """The rules and bindings of the steps, and what else they go through."""
    found: dict[tuple[int, Path], tuple[str, Object, Path]] = {}
    for number, step in enumerate(path.steps, start=1):
        for use in step.uses:
            if use.rule.obj is not None:
                message = f"step {number}: {use.allowed.verb} {use.allowed.resource}"
                found.setdefault(
                    (id(use.rule.obj), use.allowed.verb_path), (message, use.rule.obj, use.allowed.verb_path)
                )
            if use.grant is not None and use.grant.binding is not None:
                message = f"step {number}: {use.grant.subject} is bound to {use.grant.role_kind} {use.grant.role_name}"
                key = (id(use.grant.binding), use.grant.subject_path)
                found.setdefault(key, (message, use.grant.binding, use.grant.subject_path))
        if step.evidence is not None:
            key = (id(step.evidence), ())
            found.setdefault(key, (f"step {number}: {step.evidence.ref}", step.evidence, ("metadata", "name")))
    return tuple(found.values())


@check("workload-can-escalate")
def workload_can_escalate(inventory: Inventory, context: Context) -> Iterator[Violation | Passed]:
    """Workloads whose service account can become cluster-admin or root on a node, and whether they are exposed."""
    if not any(True for _ in stated_bindings(access_of(inventory, context))):
        # Without any binding, the inputs do not tell what the accounts may do.
        return
    found = _found(inventory, context)
    allowed = set(context.parameters["allowed_subjects"])
    ways_in = exposures(inventory).by_workload
    for workload in workloads(inventory):
        account = account_of(workload)
        path = next((p for outcome in OUTCOMES if (p := found.path(account, outcome)) and _certain(p)), None)
        if path is None or str(account) in allowed or not holds_token(inventory, workload):
            yield Passed(workload.obj)
            continue
        reaches = "is cluster-admin" if path.direct else f"{_OUTCOME[path.outcome]}: {_steps(path)}"
        message = f"{workload.obj.ref} runs as {account}, which {reaches}"
        related = _related(path)
        way = min(
            (e for e in ways_in.get(workload, ()) if e.kind in _WAYS_IN),
            key=lambda e: _WAYS_IN.index(e.kind),
            default=None,
        )
        if way is not None:
            outside = way.via[0]
            message += f"; it is exposed on {way.protocol} {way.port} by {outside.obj.ref}"
            related = (*related, (f"exposed: {outside.words}", outside.obj, outside.path))
        yield Violation(_account_path(workload), message, obj=workload.obj, related=related)


def _account_path(workload: Workload) -> Path:
    if workload.template is None:
        return ("spec", "serviceAccountName")
    spec = workload.template.spec
    # The older name of the field; the newer one wins.
    name = "serviceAccount" if "serviceAccount" in spec and "serviceAccountName" not in spec else "serviceAccountName"
    return (*workload.template.spec_path, name)
