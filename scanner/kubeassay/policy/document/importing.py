"""From a document to a baseline: first what it calls things, then what it demands, then what is left over."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from kubeassay.model import Severity
from kubeassay.model.document import Block, Document, Node
from kubeassay.policy.document import forms, objects, security
from kubeassay.policy.document.clauses import Clause, Clauses, Facts, Note
from kubeassay.policy.document.words import not_meant, slug, words
from kubeassay.policy.errors import PolicyError

#: Languages of blocks that are drawn, not read.
_DIAGRAMS = frozenset({"mermaid", "plantuml", "dot", "graphviz", "d2"})
#: What says that clusters are those of EKS, whose versions and images have an end of their own.
_EKS = frozenset({"eks", "aws", "amazon", "ami", "eksctl"})
_LETTERS = re.compile(r"[^\W\d_]{2}")


@dataclass(frozen=True, slots=True)
class Imported:
    """A baseline as its file would state it, and what is to be told of the document."""

    baseline: dict[str, Any]
    clauses: tuple[Clause, ...]
    notes: tuple[Note, ...]
    #: The objects of the document, in its order.
    objects: tuple[Node, ...]
    #: What the document calls things.
    facts: Facts


def import_document(document: Document, severities: Mapping[str, Severity]) -> Imported:
    """Read a document as policy. ``severities``: the rules of the library, with their own severities.

    Raises PolicyError where no block of it holds anything that is demanded.
    """
    clauses = Clauses(severities)
    document = replace(document, blocks=tuple(_meant(document.blocks, clauses)))
    found = list(_learn(document, clauses))
    for block in document.blocks:
        for node in block.nodes:
            forms.walk((), node, block, clauses)
    security.contradictions(clauses)
    forms.without_quota(clauses)
    _stated_twice(clauses)
    _leftovers(document, clauses)
    for problem in document.problems:
        clauses.note(
            "assumed" if _was_read(problem.message) else "not-understood", problem.line or 0, "", problem.message
        )
    if not clauses.found:
        blocks = [block for block in document.blocks if block.language == "yaml"]
        said = f"none of its {len(blocks)} YAML blocks holds a demand" if blocks else "it holds no YAML block"
        raise PolicyError(f"{document.file}: nothing to judge by: {said}")
    ordered = sorted(clauses.found, key=lambda clause: (clause.line, clause.id))
    return Imported(
        baseline=baseline_of(document, ordered),
        clauses=tuple(ordered),
        notes=tuple(sorted(clauses.notes, key=lambda note: (note.line, note.kind, note.subject))),
        objects=tuple(found),
        facts=clauses.facts,
    )


def _meant(blocks: Iterable[Block], clauses: Clauses) -> Iterator[Block]:
    """The blocks, without what stands below headings that say that it is not demanded."""
    for block in blocks:
        heading = next((heading for heading in block.section if not_meant(heading)), None)
        if heading is None or not block.nodes:
            yield block
            continue
        reason = f"it stands below the heading {heading}, so it is not, or not plainly, demanded"
        clauses.note("not-understood", block.line, " / ".join(block.section), reason)


def _was_read(message: str) -> bool:
    return "not read" not in message and "nothing of the block" not in message


def _stated_twice(clauses: Clauses) -> None:
    """Tell what two places say otherwise of one thing: both are demanded, and nothing can comply."""
    stated: dict[tuple[Any, ...], tuple[Any, int]] = {}
    for clause in clauses.found:
        said: list[tuple[tuple[Any, ...], Any, int]] = []
        for expected in clause.expectations:
            wanted = tuple(sorted(expected["object"].items()))
            for field in expected.get("fields", ()):
                # The sizes of node groups are compared where they are read.
                if "equals" in field and not field["path"].startswith("managedNodeGroups"):
                    said.append(((wanted, field["path"]), field["equals"], field.get("line", clause.line)))
        for use in clause.rules:
            match = repr(use.get("match"))
            for name, value in use.get("parameters", {}).items():
                if use["id"] == "container-resources":
                    said.append(((use["id"], match, name), value, clause.line))
                elif use["id"] in ("documented-quota", "documented-roles") and isinstance(value, dict):
                    for key, member in value.items():
                        parts = member.items() if use["id"] == "documented-quota" else [("rules", member)]
                        said += [((use["id"], name, key, part), one, clause.line) for part, one in parts]
        for key, value, line in said:
            earlier, first = stated.setdefault(key, (value, line))
            if earlier != value and first != line:
                what = key[1] if isinstance(key[0], tuple) else key[-1]
                clauses.note(
                    "contradiction", line, f"{clause.title}: {what}", f"line {first} says otherwise of the same"
                )


def _learn(document: Document, clauses: Clauses) -> Iterator[Node]:
    """Take the names from everywhere: a clause may stand above the list that explains it. Yields the objects."""
    facts = clauses.facts
    for block in document.blocks:
        facts.on_eks = facts.on_eks or any(_EKS & set(words(text)) for text in (document.title, *block.section))
        stack: list[tuple[tuple[str, ...], Node]] = [((), node) for node in reversed(block.nodes)]
        while stack:
            keys, node = stack.pop()
            members = objects.members_of(node)
            if members is not None:
                stack += [(keys, member) for member in reversed(members)]
                continue
            if keys and not_meant(keys[-1]):
                continue
            facts.on_eks = facts.on_eks or (bool(keys) and not _EKS.isdisjoint(words(keys[-1])))
            if objects.kind_of(node) is not None:
                objects.learn(node, clauses)
                yield node
                continue
            listed = list(forms.namespaces_in(keys, node))
            if len(listed) > 1 or (listed and node.members):
                for name, line, description in sorted(listed, key=lambda found: found[1]):
                    facts.namespaces.setdefault(name, (line, description))
                facts.application_namespaces += forms.application_namespaces_in(keys, node)
                continue
            facts.cluster_name = facts.cluster_name or forms.cluster_name_in(keys, node)
            facts.kubernetes_version = facts.kubernetes_version or forms.kubernetes_version_in(keys, node)
            children = [((*keys, step) if isinstance(step, str) else keys, child) for step, child in node.children()]
            stack += reversed(children)


def _leftovers(document: Document, clauses: Clauses) -> None:
    for block in document.blocks:
        if block.language != "yaml":
            what = (
                "a diagram"
                if block.language in _DIAGRAMS
                else "a table"
                if block.language == "table"
                else f"a block of {block.language}"
            )
            said = f"{what}, not YAML" if block.language else "a block without a language, and no object in it"
            clauses.note("not-read", block.line, " / ".join(block.section), said)
            continue
        if not block.nodes:
            clauses.note("no-demand", block.line, " / ".join(block.section), "an empty block")
        for node in block.nodes:
            _leftover((), node, clauses)
    for line, heading in document.bare_sections:
        clauses.note("prose", line, heading, "a section without a block")


def _leftover(keys: tuple[str, ...], node: Node, clauses: Clauses) -> None:
    """Note what nothing accounts for: as high in the tree as possible."""
    if node in clauses.accounted:
        return
    if keys and not clauses.accounts_within(node):
        _not_judged(keys, node, list(_leaves(keys[-1], node)), clauses)
        return
    children = list(node.children())
    if keys and node.below is not None:
        # What is below it has a form, and the value itself has none.
        _not_judged(keys, node, [(keys[-1], node)], clauses)
    if not children and not keys:
        clauses.note("not-understood", node.line, node.text[:80], "a text alone, without a key")
    for step, child in children:
        _leftover((*keys, step) if isinstance(step, str) else keys, child, clauses)


def _not_judged(keys: tuple[str, ...], node: Node, leaves: list[tuple[str, Node]], clauses: Clauses) -> None:
    # An empty list or mapping is no sentence: it may forbid all that could stand in it.
    prose = bool(leaves) and all(
        isinstance(leaf.value, str) and _is_sentence(leaf.value) and not forms.is_known(key) for key, leaf in leaves
    )
    reason = "said in words, which nothing judges" if prose else "no form of it is known"
    clauses.note("prose" if prose else "not-understood", node.line, " / ".join(keys), reason)


def _is_sentence(text: str) -> bool:
    """Whether a text is a sentence, or a part of one: two words of letters."""
    return sum(1 for word in text.split() if _LETTERS.search(word)) > 1


def _leaves(key: str, node: Node) -> Iterator[tuple[str, Node]]:
    """(the key that it stands below, scalar) of all that a value holds."""
    stack = [(key, node)]
    while stack:
        above, here = stack.pop()
        if here.is_scalar:
            yield above, here
        stack.extend((step if isinstance(step, str) else above, child) for step, child in here.children())


# --- the baseline ---


def baseline_of(document: Document, clauses: Iterable[Clause]) -> dict[str, Any]:
    """The baseline that some clauses of a document make, as its file would state it."""
    return {
        "apiVersion": "kubeassay.dev/v1",
        "kind": "Baseline",
        "metadata": {"name": slug(document.title) or "document"},
        "spec": {
            "title": document.title,
            "area": "architecture",
            "description": f"What {document.file} demands, imported from it.\n",
            "standard": {"document": document.title, "file": document.file},
            "controls": [_control(document, clause) for clause in clauses],
        },
    }


def _control(document: Document, clause: Clause) -> dict[str, Any]:
    source: dict[str, Any] = {"document": document.title, "section": clause.section, "file": document.file}
    if not clause.section:
        del source["section"]
    control: dict[str, Any] = {"id": clause.id, "title": clause.title, "source": {**source, "line": clause.line}}
    if clause.rules:
        control["rules"] = list(clause.rules)
    if clause.expectations:
        control["expectations"] = list(clause.expectations)
    return control


def as_yaml(baseline: Mapping[str, Any]) -> str:
    """A baseline as the text of its file: always the same for the same document."""
    # Imported here: only a command that writes needs it.
    import yaml

    class Dumper(yaml.SafeDumper):
        """Lists below their keys are indented, as everywhere in this project; nothing is written by reference."""

        def ignore_aliases(self, data: Any) -> bool:
            return True

        def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
            super().increase_indent(flow, False)

    stream = io.StringIO()
    yaml.dump(baseline, stream, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=120)
    return stream.getvalue()
