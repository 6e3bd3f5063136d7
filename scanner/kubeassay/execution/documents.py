"""Architecture documents as policy: reading one, and judging the objects in it by the rules.

A document may demand what the rules forbid, and say in one place what it denies in another. What it demands against
the rules is not demanded of anybody: the rule is demanded in its stead, and the contradiction told.
"""

from __future__ import annotations

from bisect import bisect_right
from pathlib import Path

import yaml

from kubeassay.engine.plan import make_plan
from kubeassay.execution.scan import scan
from kubeassay.model import NEWEST_KNOWN, KubernetesVersion, Target, parse_path
from kubeassay.model.document import Document
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
    """What the document's objects break among the rules, each at its line."""
    others = list(assembled(found))
    nodes = [*found.objects, *(node for node, _ in others)]
    if not nodes:
        return []
    plan = make_plan(library.profile(_PROFILE), library, _version(found.facts.kubernetes_version))
    broken: list[Broken] = []
    # Written anew, so that a place is a path: the document's own lines are found by it.
    texts = [yaml.safe_dump(node.plain, sort_keys=False) for node in nodes]
    content = "---\n".join(texts).encode()
    starts: list[int] = []
    line = 1
    for text in texts:
        starts.append(line)
        line += text.count("\n") + 1
    told = len(found.objects) + sum(documented for _, documented in others)
    result = scan(plan, Discovery(), Target("manifests", document.file), stdin=content, stdin_name=document.file)
    for finding in result.findings:
        number = bisect_right(starts, finding.location.start_line) - 1
        if finding.outcome != "fail" or finding.rule in _ABOUT_OTHERS or number >= told:
            continue
        try:
            steps = parse_path(finding.path)
        except ValueError:
            steps = ()
        # A document does not describe all of an object: only what it says can be against a rule.
        if number >= len(found.objects) and not nodes[number].has(steps):
            continue
        broken.append(Broken(finding.rule, finding.severity, finding.message, nodes[number], steps))
    return broken


def _version(text: str) -> KubernetesVersion:
    try:
        return KubernetesVersion.parse(text) if text else NEWEST_KNOWN
    except ValueError:
        return NEWEST_KNOWN
