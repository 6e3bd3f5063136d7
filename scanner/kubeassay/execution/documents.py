"""Architecture documents as policy: reading one, and judging the objects in it by the rules.

A document may demand what the rules forbid, and say in one place what it denies in another. What it demands against
the rules is not demanded of anybody: the rule is demanded in its stead, and the contradiction told.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence, Set
from dataclasses import replace
from itertools import count
from pathlib import Path

from kubeassay.engine.plan import Plan, make_plan
from kubeassay.execution.scan import scan
from kubeassay.model import NEWEST_KNOWN, Finding, KubernetesVersion, Target, parse_path
from kubeassay.model.document import Document, Node
from kubeassay.policy.document.assembled import assembled
from kubeassay.policy.document.clauses import Note
from kubeassay.policy.document.contradictions import Broken, resolved
from kubeassay.policy.document.importing import Imported, import_document
from kubeassay.policy.errors import PolicyError
from kubeassay.policy.library import Library, baseline_from
from kubeassay.sources.files import Discovery, display_name
from kubeassay.sources.markdown import read_document

#: The profile that the document's own objects are judged by.
_PROFILE = "strict"
#: Rules that miss other objects: a document does not write out all that there is.
_ABOUT_OTHERS = frozenset(
    {
        "authorization-policy-missing",
        "authorization-policy-selects-nothing",
        "authorization-policy-unknown-identity",
        "autoscaler-target-missing",
        "binding-to-missing-role",
        "binding-to-missing-service-account",
        "claim-not-declared",
        "claim-storage-class-missing",
        "claim-unused",
        "default-deny-egress-missing",
        "default-deny-ingress-missing",
        "disruption-budget-missing",
        "disruption-budget-selects-nothing",
        "documented-namespaces",
        "istio-control-plane-missing",
        "namespace-without-injection",
        "namespace-without-isolation",
        "namespace-without-limit-range",
        "namespace-without-quota",
        "policy-peer-matches-nothing",
        "policy-selects-nothing",
        "tainted-group-unused",
        "unused-role",
        "workload-outside-mesh",
    }
)


#: Rules that miss ports and requests of workloads: those that the document names alone have none but what it describes.
_ABOUT_WHAT_IS_NOT_SAID = frozenset({"autoscaler-metric-without-requests", "policy-named-port-unresolved"})


def imported(path: Path, library: Library) -> Imported:
    """What a document demands. Raises UsageError where it cannot be read, PolicyError where it demands nothing."""
    document = read_document(path, display_name(str(path)))
    found = _fitting(import_document(document, {rule.id: rule.severity for rule in library.rules.values()}), library)
    if not found.clauses:
        raise PolicyError(f"{document.file}: nothing to judge by: {found.notes[0].reason}")
    found = resolved(found, document, list(_broken(document, found, library)), library.rules)
    return _apart(found, set(library.baselines), set())


def _fitting(found: Imported, library: Library) -> Imported:
    """An import without the clauses that state what no rule takes (a size below zero): told, for with one of them the
    whole would be no policy."""
    controls = baseline_from(found.baseline, "").controls
    clauses, notes = [], list(found.notes)
    for clause, control in zip(found.clauses, controls, strict=True):
        problem = next(filter(None, map(library.problem_of, control.rules)), None)
        if problem is None:
            clauses.append(clause)
        else:
            notes.append(Note("not-understood", clause.line, clause.title, f"its value is no demand: {problem}"))
    return replace(found, clauses=tuple(clauses), notes=tuple(notes))


def all_imported(paths: Sequence[Path], library: Library) -> dict[str, Imported]:
    """What several documents demand, by file. What two of them call alike stays apart."""
    found: dict[str, Imported] = {}
    names, ids = set(library.baselines), set[str]()
    for path in paths:
        if path.as_posix() in found:
            continue
        one = found[path.as_posix()] = _apart(imported(path, library), names, ids)
        names.add(one.baseline["metadata"]["name"])
        ids |= {control["id"] for control in one.baseline["spec"]["controls"]}
    return found


def _apart(found: Imported, names: Set[str], ids: Set[str]) -> Imported:
    """An import whose baseline, and whose controls, are called as no other is: a document may be titled Storage."""
    title: str = found.baseline["metadata"]["name"]
    name = next(one for one in _numbered(title) if one not in names)
    controls = found.baseline["spec"]["controls"]
    if any(control["id"] in ids for control in controls):
        # All of them, so that they are seen to belong together.
        controls = [{**control, "id": f"{name}/{control['id']}"} for control in controls]
    elif name == title:
        return found
    spec = {**found.baseline["spec"], "controls": controls}
    return replace(found, baseline={**found.baseline, "metadata": {"name": name}, "spec": spec})


def _numbered(title: str) -> Iterator[str]:
    yield title
    yield f"{title}-document"
    yield from (f"{title}-document-{number}" for number in count(2))


def _broken(document: Document, found: Imported, library: Library) -> list[Broken]:
    """What the document's objects break among the rules, by themselves and beside what is described in words."""
    others = list(assembled(found))
    own = list(found.objects)
    if not own and not others:
        return []
    plan = make_plan(library.profile(_PROFILE), library, _version(found.facts.kubernetes_version))
    alone = {(finding.rule, number, finding.path) for number, finding in _findings(plan, own, document.file)}
    nodes = own + [node for node, _ in others]
    told = len(own) + sum(documented for _, documented in others)
    broken: list[Broken] = []
    for number, finding in _findings(plan, nodes, document.file):
        if finding.rule in _ABOUT_OTHERS or number >= told:
            continue
        try:
            steps = parse_path(finding.path)
        except ValueError:
            steps = ()
        # A document does not say all of an object: only what it says can be against a rule.
        if not nodes[number].has(steps):
            continue
        by_itself = (finding.rule, number, finding.path) in alone
        if finding.rule in _ABOUT_WHAT_IS_NOT_SAID and not by_itself:
            continue
        severity = library.rule(finding.rule).severity
        broken.append(Broken(finding.rule, severity, finding.message, nodes[number], steps, by_itself))
    return broken


def _findings(plan: Plan, nodes: Sequence[Node], name: str) -> Iterator[tuple[int, Finding]]:
    """(number of the object, finding). Objects are written anew, each on a line of its own: a finding has its path in
    the object, and the document's own line is found by that."""
    if not nodes:
        return
    # JSON, so that every text stays one.
    content = "\n---\n".join(json.dumps(node.plain, ensure_ascii=False) for node in nodes).encode()
    result = scan(plan, Discovery(), Target("manifests", name), stdin=content, stdin_name=name)
    for finding in result.findings:
        if finding.outcome == "fail":
            yield finding.location.start_line // 2, finding


def _version(text: str) -> KubernetesVersion:
    try:
        return KubernetesVersion.parse(text) if text else NEWEST_KNOWN
    except ValueError:
        return NEWEST_KNOWN
