"""Architecture documents as policy: reading one, and judging the objects in it by the rules.

A document may demand what the rules forbid, and say in one place what it denies in another. What it demands against
the rules is not demanded of anybody: the rule is demanded in its stead, and the contradiction told.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml

from kubeassay.engine.plan import Plan, make_plan
from kubeassay.execution.scan import scan
from kubeassay.model import NEWEST_KNOWN, Finding, KubernetesVersion, Target, parse_path
from kubeassay.model.document import Document, Node
from kubeassay.policy.document.assembled import assembled
from kubeassay.policy.document.contradictions import Broken, resolved
from kubeassay.policy.document.importing import Imported, import_document
from kubeassay.policy.library import Library
from kubeassay.sources.files import Discovery
from kubeassay.sources.markdown import read_document

#: The profile that the document's own objects are judged by.
_PROFILE = "strict"
#: Rules that miss other objects: a document does not write out all that there is.
_ABOUT_OTHERS = frozenset(
    {
        "binding-to-missing-role",
        "binding-to-missing-service-account",
        "documented-namespaces",
        "policy-peer-matches-nothing",
        "policy-selects-nothing",
        "tainted-group-unused",
        "unused-role",
    }
)


def imported(path: Path, library: Library) -> Imported:
    """What a document demands. Raises UsageError where it cannot be read, PolicyError where it demands nothing."""
    document = read_document(path)
    found = import_document(document, {rule.id: rule.severity for rule in library.rules.values()})
    return resolved(found, document, list(_broken(document, found, library)), library.rules)


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
        # A document does not describe all of an object: only what it says can be against a rule.
        if number >= len(own) and not nodes[number].has(steps):
            continue
        by_itself = (finding.rule, number, finding.path) in alone
        broken.append(Broken(finding.rule, finding.severity, finding.message, nodes[number], steps, by_itself))
    return broken


def _findings(plan: Plan, nodes: Sequence[Node], name: str) -> Iterator[tuple[int, Finding]]:
    """(number of the object, finding). Objects are written anew, so that a place is a path: the document's own lines
    are found by it."""
    texts = [yaml.safe_dump(node.plain, sort_keys=False) for node in nodes]
    if not texts:
        return
    starts: list[int] = []
    line = 1
    for text in texts:
        starts.append(line)
        line += text.count("\n") + 1
    content = "---\n".join(texts).encode()
    result = scan(plan, Discovery(), Target("manifests", name), stdin=content, stdin_name=name)
    for finding in result.findings:
        if finding.outcome == "fail":
            yield bisect_right(starts, finding.location.start_line) - 1, finding


def _version(text: str) -> KubernetesVersion:
    try:
        return KubernetesVersion.parse(text) if text else NEWEST_KNOWN
    except ValueError:
        return NEWEST_KNOWN
