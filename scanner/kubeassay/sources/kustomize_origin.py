"""Which line of which source file states a field of an object that Kustomize built.

The build is done again with values that know their places (sources/kustomize_replay.py), and the outcome is compared
with what Kustomize made. A place is claimed as the field's own only where both agree, on the whole object; where they
do not, something that is not reproduced took part.
"""

from __future__ import annotations

import os
import re
from typing import Any, Literal

from kubeassay.analysis.declared import identity
from kubeassay.model import Object, ObjectRef, Path, SourceDocument, Traced
from kubeassay.sources.kustomize_graph import Graph
from kubeassay.sources.kustomize_nodes import Node, Origin, at, doubt, plain
from kubeassay.sources.kustomize_replay import Built, Replay, TooMuchError
from kubeassay.sources.kustomize_texts import SourceTexts
from kubeassay.sources.rendering import KustomizeDemand

#: What Kustomize puts behind the names of what it generates.
_HASH = re.compile(r"-[a-z0-9]{10}\Z")


#: Said of a field that what deploys the kustomization sets, which stands in no file of the build.
SET_BY_DEPLOYER = "what deploys it sets it"


class KustomizeTracer:
    """Finds places of the objects of one build. It has the texts of the build's files, and runs nothing."""

    def __init__(self, demand: KustomizeDemand, graph: Graph) -> None:
        self._demand = demand
        self._graph = graph
        self._read: tuple[SourceTexts, dict[tuple[str, str, str], list[Built]]] | None = None
        self._documents: dict[str, SourceDocument] = {}
        #: By the identity of a rendered value, which is kept so that no other gets it.
        self._agreed: dict[int, tuple[Any, Built, bool]] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return KustomizeTracer, (self._demand, self._graph)

    def trace(self, obj: Object, path: Path, *, key: bool = False) -> Traced:
        try:
            texts, built = self._replayed()
            one, agreed = self._matched(obj, built)
        except (TooMuchError, RecursionError):
            return self._nowhere("the build is too large to follow what its parts change")
        if one is None:
            return self._nowhere("what makes this object could not be found")
        return self._trace(texts, one, agreed, obj.value, path, key)

    def _replayed(self) -> tuple[SourceTexts, dict[tuple[str, str, str], list[Built]]]:
        if self._read is None:
            texts = SourceTexts(self._demand, self._graph.files)
            index: dict[tuple[str, str, str], list[Built]] = {}
            self._read = texts, index
            overrides, top = self._demand.overrides, None
            if overrides:
                top = Object.without_document(
                    ObjectRef("", "Kustomization", None, ""), dict(overrides), self._demand.name, (), 0
                )
            for one in Replay(texts, self._graph.folders, self._start, top).built:
                index.setdefault((one.group, one.kind, one.name), []).append(one)
        return self._read

    @property
    def _start(self) -> str:
        return os.path.realpath(self._demand.directory)

    def _matched(self, obj: Object, built: dict[tuple[str, str, str], list[Built]]) -> tuple[Built | None, bool]:
        """What became an object, and whether it became exactly that."""
        known = self._agreed.get(id(obj.value))
        if known is not None:
            return known[1:]
        ref = obj.ref
        found = list(built.get((ref.group, ref.kind, ref.name), ()))
        without = _HASH.sub("", ref.name)
        if not found and without != ref.name:
            found = [one for one in built.get((ref.group, ref.kind, without), ()) if one.generated]
        if len(found) > 1:
            found = [one for one in found if (one.namespace or "default") == (ref.namespace or "default")]
        if len(found) != 1:
            return None, False
        one = found[0]
        agreed = one.doubted is None and not one.generated
        agreed = agreed and _agrees(one.node, obj.value, (), [path for path, _ in one.unsure])
        self._agreed[id(obj.value)] = obj.value, one, agreed
        return one, agreed

    def _trace(self, texts: SourceTexts, one: Built, agreed: bool, value: Any, path: Path, key: bool) -> Traced:
        node: Node | None = one.node
        nodes = [one.node]
        for number, step in enumerate(path):
            if not _has(value, step):
                return self._absent(texts, one, nodes, path[number:], agreed)
            node = _member(node, value, step) if node is not None else None
            value = value[step]
            if node is None:
                return self._rendering(texts, one, path, nodes)
            nodes.append(node)
        assert node is not None
        if not agreed or node.doubt is not None or (not isinstance(value, dict | list) and node.value != value):
            return self._rendering(texts, one, path, nodes)
        if type(node.value) is not type(value) and not isinstance(value, dict | list):
            return self._rendering(texts, one, path, nodes)
        return self._at(texts, node.origin, (), "stated", key=key)

    def _absent(self, texts: SourceTexts, one: Built, nodes: list[Node], left: Path, agreed: bool) -> Traced:
        removed = nodes[-1].removed.get(left[0]) if isinstance(left[0], str) else None
        if removed is not None and agreed:
            said = removed.said.removesuffix(" sets it")
            return self._at(texts, Origin(removed.obj, removed.path, f"{said} removes it"), (), "parent", key=True)
        # Not a mapping that a field of a kustomization made.
        depth = len(nodes) - 1
        while depth and not nodes[depth].origin.own:
            depth -= 1
        origin = nodes[depth].origin
        if one.generated or not origin.own:
            return self._rendering(texts, one, (), nodes)
        if depth < len(nodes) - 1:
            left = ()
        said = "no source states it, and this is what it would stand in"
        state: Literal["parent", "rendering"] = "parent" if one.doubted is None else "rendering"
        return self._at(texts, Origin(origin.obj, origin.path, said), left, state)

    def _rendering(self, texts: SourceTexts, one: Built, path: Path, nodes: list[Node]) -> Traced:
        """What may have set a field: what is known to have touched it, else what names the object."""
        by = nodes[-1].doubt
        if by is None:
            by = next((origin for prefix, origin in reversed(one.unsure) if path[: len(prefix)] == prefix), None)
        by = by or one.doubted or one.entry
        return self._at(texts, by, (), "rendering")

    def _at(
        self,
        texts: SourceTexts,
        origin: Origin,
        more: Path,
        state: Literal["stated", "parent", "rendering"],
        *,
        key: bool = False,
    ) -> Traced:
        obj = origin.obj
        if not obj.spans.offsets:
            # What a deployer puts on top stands in no file of the build.
            return self._nowhere(SET_BY_DEPLOYER)
        document = self._document(texts, obj.file)
        location = origin.locate(more, key=key)
        if state == "rendering":
            return Traced(location, state, origin.said, document)
        return Traced(location, state, origin.said, document, obj, (*origin.path, *more))

    def _document(self, texts: SourceTexts, name: str) -> SourceDocument:
        found = self._documents.get(name)
        if found is None:
            found = self._documents[name] = texts.document(name)
        return found

    def _nowhere(self, said: str) -> Traced:
        """The kustomization that was asked for."""
        texts = SourceTexts(self._demand, self._graph.files) if self._read is None else self._read[0]
        of = texts.kustomization(self._graph.folders[self._start].file)
        key = next((key for key in ("resources", "bases", "components") if key in of.value), None)
        location = of.locate((key,) if key else (), key=True)
        return Traced(location, "rendering", said, self._document(texts, of.file))


def _has(value: Any, step: str | int) -> bool:
    if isinstance(step, str):
        return isinstance(value, dict) and step in value
    return isinstance(value, list) and 0 <= step < len(value)


def _member(node: Node, rendered: Any, step: str | int) -> Node | None:
    """The node of a member of a rendered value: of a list by what tells its members apart."""
    if isinstance(step, str):
        return at(node, (step,))
    members = _pairs(node, rendered)
    return members[step] if members is not None else None


def _pairs(node: Node, rendered: list[Any]) -> list[Node] | None:
    """The node of each member of a rendered list; None where it is not known which is which."""
    if not isinstance(node.value, list) or len(node.value) != len(rendered):
        return None
    values = [plain(member) for member in node.value]
    if values == rendered or not all(isinstance(member, dict) for member in (*values, *rendered)):
        return list(node.value)
    for keys in _KEYS:
        of_node = [identity(value, keys) for value in values if keys[0] in value]
        of_rendered = [identity(value, keys) for value in rendered if keys[0] in value]
        if len(of_node) == len(set(of_node)) == len(rendered) and set(of_node) == set(of_rendered):
            by = dict(zip(of_node, node.value, strict=True))
            return [by[one] for one in of_rendered]
    return list(node.value)


#: What is true, and what is false, in YAML 1.1 alone.
_WORDS = {True: frozenset({"yes", "on", "y"}), False: frozenset({"no", "off", "n"})}
_KEYS = (("name",), ("containerPort", "protocol"), ("port", "protocol"), ("mountPath",), ("topologyKey",))


def _agrees(node: Node, rendered: Any, path: Path, unsure: list[Path]) -> bool:
    """Whether Kustomize made the value of a node. Differences are taken where something is known to take part that
    is not reproduced: they become doubts, and so do names of other objects, which follow these."""
    if isinstance(node.value, dict) and isinstance(rendered, dict):
        mine = {key for key, child in node.value.items() if not _nothing(child.value)}
        theirs = {key for key, value in rendered.items() if not _nothing(value)}
        if node.doubt is None and not all(_is_unsure((*path, key), unsure) for key in mine ^ theirs):
            return False
        return all(_agrees(node.value[key], rendered[key], (*path, key), unsure) for key in sorted(mine & theirs))
    if isinstance(node.value, list) and isinstance(rendered, list):
        pairs = _pairs(node, rendered)
        if pairs is not None:
            return all(
                _agrees(member, value, (*path, number), unsure)
                for number, (member, value) in enumerate(zip(pairs, rendered, strict=True))
            )
    elif type(node.value) is type(rendered) and node.value == rendered:
        return True
    elif isinstance(node.value, bool) and isinstance(rendered, str) and rendered.lower() in _WORDS[node.value]:
        # To Kustomize, which reads YAML 1.2, such a word is a text.
        node.doubt = node.doubt or node.origin
        return True
    elif isinstance(node.value, str) and isinstance(rendered, str) and node.value and node.value in rendered:
        # The name of another object, which got a prefix, a suffix or a hash.
        node.doubt = node.doubt or node.origin
        return True
    if node.doubt is not None or _is_unsure(path, unsure):
        doubt(node, node.doubt or node.origin)
        return True
    return False


def _is_unsure(path: Path, unsure: list[Path]) -> bool:
    return any(path[: len(prefix)] == prefix for prefix in unsure)


def _nothing(value: Any) -> bool:
    return value is None or value == {}
