"""What a build does to each object, done again with values that know where they come from.

It follows Kustomize's order (api v0.21.1, internal/target/kusttarget.go, accumulateTarget, and
kusttarget_configplugin.go): resources, generators, components, then the fields of the kustomization in
:meth:`Replay._transform`'s order. Nothing is judged by the outcome: it is compared with what Kustomize itself made, and
what does not agree is not claimed. What is not reproduced here is a doubt about what it may have changed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from kubeassay.analysis.reading import items
from kubeassay.analysis.workloads import BUILT_IN_GROUPS
from kubeassay.model import Object, Path
from kubeassay.sources.kustomize_fields import (
    ANNOTATIONS,
    CLUSTER_SCOPED,
    KEEP_NAMES,
    NAMESPACE_REFERENCES,
    REPLICAS,
    SELECTORS,
    TEMPLATES,
    FieldSpec,
    image_with,
    labels_match,
    name_matches,
    parse_field_path,
)
from kubeassay.sources.kustomize_graph import Kustomization
from kubeassay.sources.kustomize_nodes import (
    CannotApplyError,
    Node,
    Origin,
    apply_operations,
    at,
    changed,
    copy_of,
    doubt,
    everywhere,
    merge,
    node_of,
    plain,
)
from kubeassay.sources.kustomize_texts import SourceTexts

#: How many objects, and changes of one, are followed at most. A base that is read in ten places counts ten times.
_MOST_STEPS = 200_000


class TooMuchError(Exception):
    """The build is larger than what is followed."""


@dataclass(slots=True)
class Built:
    """An object on its way through a build. ``names``: (name, namespace) that it had, the last one has it now.
    ``entry``: what of the outermost kustomization it came by. ``unsure``: where something may have been added that is
    not reproduced: a path, and by what. ``doubted``: what may have changed any of it."""

    node: Node
    group: str
    version: str
    kind: str
    names: list[tuple[str, str]]
    entry: Origin
    generated: bool = False
    unsure: list[tuple[Path, Origin]] = field(default_factory=list)
    doubted: Origin | None = None

    @property
    def name(self) -> str:
        return self.names[-1][0]

    @property
    def namespace(self) -> str:
        return self.names[-1][1]

    def rename(self, name: str, namespace: str) -> None:
        if (name, namespace) != self.names[-1]:
            self.names.append((name, namespace))

    def doubt(self, by: Origin) -> None:
        self.doubted = by
        doubt(self.node, by)


class Replay:
    """One build, done again. ``top``: what a deployer puts on top of it, if anything: its places are in no file."""

    def __init__(
        self, texts: SourceTexts, folders: Mapping[str, Kustomization], start: str, top: Object | None = None
    ) -> None:
        self.texts = texts
        self.folders = folders
        self.steps = 0
        self.built: list[Built] = self._accumulate(folders[start], [])
        if top is not None:
            self.built = self._transform(Kustomization("", ""), top, self.built)

    def _step(self) -> None:
        self.steps += 1
        if self.steps > _MOST_STEPS:
            raise TooMuchError

    # What there is.

    def _accumulate(self, at_: Kustomization, built: list[Built]) -> list[Built]:
        self._step()
        of = self.texts.kustomization(at_.file)
        for reference in at_.references:
            if reference.use == "resource":
                entry = self._origin(of, reference.path, "names it")
                if reference.folder:
                    found = self._accumulate(self.folders[reference.target], [])
                else:
                    found = list(self._objects(reference.target, entry))
                for one in found:
                    one.entry = entry
                built += found
        self._generate(of, built)
        for reference in at_.references:
            if reference.use == "component":
                before = set(map(id, built))
                built = self._accumulate(self.folders[reference.target], built)
                entry = self._origin(of, reference.path, "names it")
                for one in built:
                    if id(one) not in before:
                        one.entry = entry
        return self._transform(at_, of, built)

    def _origin(self, of: Object, path: Path, said: str) -> Origin:
        return Origin(of, path, f"{self.texts.said(of)} {said}", own=False)

    def _objects(self, file: str, entry: Origin) -> Iterator[Built]:
        for obj in self.texts.objects(file):
            self._step()
            node = node_of(obj.value, Origin(obj, (), "its own file states it"))
            group, _, version = obj.ref.api_version.rpartition("/")
            name = obj.ref.name if obj.get("metadata", "name") else ""
            yield Built(node, group, version, obj.ref.kind, [(name, obj.ref.namespace or "")], entry)

    def _generate(self, of: Object, built: list[Built]) -> None:
        for key, kind in (("configMapGenerator", "ConfigMap"), ("secretGenerator", "Secret")):
            for number, entry in enumerate(_members(of.value.get(key))):
                self._step()
                name, namespace = entry.get("name"), entry.get("namespace")
                step = "name" if isinstance(name, str) else None
                origin = self._origin(of, (key, number, step) if step else (key, number), f"generates it by {key}")
                if entry.get("behavior") in ("merge", "replace"):
                    for one in built:
                        if one.kind == kind and any(name == known for known, _ in one.names):
                            one.doubt(origin)
                    continue
                names = [(str(name or ""), namespace if isinstance(namespace, str) else "")]
                node = Node({"metadata": Node({"name": Node(name, origin)}, origin)}, origin)
                one = Built(node, "", "v1", kind, names, origin, generated=True)
                one.doubt(origin)
                built.append(one)

    # What a kustomization changes.

    def _transform(self, at_: Kustomization, of: Object, built: list[Built]) -> list[Built]:
        value = of.value
        for number, entry in enumerate(items(value.get("patchesStrategicMerge"))):
            built = self._patch(at_, of, ("patchesStrategicMerge", number), entry, None, built)
        for number, patch in enumerate(_members(value.get("patches"))):
            built = self._patch_entry(at_, of, ("patches", number), patch, built)
        for one in built:
            self._step()
            self._names(of, one)
            self._labels(of, one)
        for number, patch in enumerate(_members(value.get("patchesJson6902"))):
            built = self._patch_entry(at_, of, ("patchesJson6902", number), patch, built)
        for one in built:
            self._replicas(of, one)
            self._images(of, one)
            self._replacements(at_, of, one)
        for number, _ in enumerate(items(value.get("transformers"))):
            for one in built:
                one.doubt(self._origin(of, ("transformers", number), "changes it by a transformer"))
        for number, option in enumerate(items(value.get("buildMetadata"))):
            origin = self._origin(of, ("buildMetadata", number), "adds it by buildMetadata")
            for one in built:
                one.unsure.append((("metadata", "labels" if option == "managedByLabel" else "annotations"), origin))
        for key in ("configurations", "crds", "vars"):
            for number, _ in enumerate(items(value.get(key))):
                for one in built:
                    one.doubted = self._origin(of, (key, number), f"may change it by {key}")
        return built

    def _patch_entry(
        self, at_: Kustomization, of: Object, path: Path, patch: dict[str, Any], built: list[Built]
    ) -> list[Built]:
        if isinstance(patch.get("path"), str):
            return self._patch(at_, of, (*path, "path"), patch["path"], patch, built)
        return self._patch(at_, of, (*path, "patch"), patch.get("patch"), patch, built)

    def _patch(
        self, at_: Kustomization, of: Object, path: Path, text: Any, entry: dict[str, Any] | None, built: list[Built]
    ) -> list[Built]:
        """Apply what one entry says. ``entry``: the entry of ``patches``, with its target."""
        here = self._origin(of, path, "has a patch that may change it")
        reference = at_.at(path)
        if reference is not None:
            patches = self.texts.patches(reference.target)
        elif isinstance(text, str):
            patches = self.texts.inline(of, path)
        else:
            patches = None
        target = entry.get("target") if entry else None
        options = entry.get("options") if entry else None
        if patches is None or (isinstance(options, dict) and any(options.values())):
            # It is not read here, or changes names, by which all that follows is chosen.
            for one in built:
                one.doubt(here)
            return built
        said = f"the patch {self.texts.name(patches[0])}" if reference is not None and patches else "a patch"
        if reference is None:
            said = f"a patch in {self.texts.name(of)}"
        left = []
        for one in built:
            self._step()
            if self._patched(one, patches, target, f"{said} sets it", here):
                left.append(one)
        return left

    def _patched(self, one: Built, patches: Iterable[Object], target: Any, said: str, here: Origin) -> bool:
        """Whether an object is still there after the patches that are for it."""
        for patch in patches:
            value: Any = patch.value
            if target is None:
                meant: bool | None = isinstance(value, dict) and _is_for(value, one)
            else:
                meant = _selected(target, one)
            if meant is None:
                one.doubt(here)
            if not meant:
                continue
            origin = Origin(patch, (), said)
            before = copy_of(one.node)
            try:
                if isinstance(value, list):
                    apply_operations(one.node, value, origin)
                elif not self._merged(one, value, origin):
                    return False
            except CannotApplyError:
                one.node = before
                one.doubt(origin if not isinstance(value, list) else here)
            self._renamed(one)
        return True

    @staticmethod
    def _merged(one: Built, value: dict[str, Any], origin: Origin) -> bool:
        kept = {key: at(one.node, (key,)) for key in ("apiVersion", "kind")}
        name, namespace = at(one.node, ("metadata", "name")), at(one.node, ("metadata", "namespace"))
        if not merge(one.node, value, origin, by_key=one.group in BUILT_IN_GROUPS):
            return False
        # What names the object, a patch does not change (resmap/reswrangler.go and resource.go, ApplySmPatch): one with
        # a target may even say another apiVersion.
        one.node.value.update({key: node for key, node in kept.items() if node is not None})
        metadata = one.node.value.get("metadata")
        if metadata is not None and isinstance(metadata.value, dict):
            for key, node in (("name", name), ("namespace", namespace)):
                if node is not None:
                    metadata.value[key] = node
                else:
                    metadata.value.pop(key, None)
        return True

    @staticmethod
    def _renamed(one: Built) -> None:
        """Keep up with a JSON patch that changes what names an object."""
        name, namespace, kind = (
            at(one.node, path) for path in (("metadata", "name"), ("metadata", "namespace"), ("kind",))
        )
        one.rename(
            name.value if name is not None and isinstance(name.value, str) else one.name,
            namespace.value if namespace is not None and isinstance(namespace.value, str) else "",
        )
        if kind is not None and isinstance(kind.value, str) and not one.generated:
            one.kind = kind.value

    def _names(self, of: Object, one: Built) -> None:
        value = of.value
        namespace = value.get("namespace")
        if isinstance(namespace, str) and namespace:
            self._namespace(of, one, namespace)
        for key in ("namePrefix", "nameSuffix"):
            part = value.get(key)
            if not (isinstance(part, str) and part) or (one.kind in KEEP_NAMES):
                continue
            origin = self._origin(of, (key,), f"makes it by {key}")
            name = part + one.name if key == "namePrefix" else one.name + part
            for metadata in everywhere(one.node, ("metadata",)):
                metadata.value["name"] = Node(name, origin, origin)
            one.rename(name, one.namespace)

    def _namespace(self, of: Object, one: Built, namespace: str) -> None:
        origin = self._origin(of, ("namespace",), "sets it by namespace")
        builtin = one.group in BUILT_IN_GROUPS
        if builtin and one.kind == "Namespace":
            for metadata in everywhere(one.node, ("metadata",), origin):
                metadata.value["name"] = Node(namespace, origin)
            one.rename(namespace, one.namespace)
        elif not (builtin and one.kind in CLUSTER_SCOPED):
            for metadata in everywhere(one.node, ("metadata",), origin):
                metadata.value["namespace"] = Node(namespace, origin)
            one.rename(one.name, namespace)
        for path in NAMESPACE_REFERENCES:
            found = at(one.node, path)
            if found is not None:
                doubt(found, origin)
                one.unsure.append((path, origin))

    def _labels(self, of: Object, one: Built) -> None:
        value = of.value
        for number, entry in enumerate(_members(value.get("labels"))):
            specs: tuple[FieldSpec, ...] = (FieldSpec("metadata/labels"),)
            if entry.get("includeSelectors") is True:
                specs = (*TEMPLATES, *SELECTORS)
            elif entry.get("includeTemplates") is True:
                specs = TEMPLATES
            path: Path = ("labels", number, "pairs")
            self._pairs(of, one, path, entry.get("pairs"), specs, "labels")
            for position, custom in enumerate(items(entry.get("fields"))):
                origin = self._origin(of, ("labels", number, "fields", position), "sets labels in a field")
                steps = custom.get("path") if isinstance(custom, dict) else None
                if isinstance(steps, str):
                    self._unsure(one, tuple(re.split(r"/", steps.replace("[]", ""))), origin)
                else:
                    one.doubt(origin)
        self._pairs(of, one, ("commonLabels",), value.get("commonLabels"), (*TEMPLATES, *SELECTORS), "commonLabels")
        pairs = value.get("commonAnnotations")
        self._pairs(of, one, ("commonAnnotations",), pairs, ANNOTATIONS, "commonAnnotations")

    def _pairs(self, of: Object, one: Built, path: Path, pairs: Any, specs: Iterable[FieldSpec], said: str) -> None:
        if not isinstance(pairs, dict):
            return
        for spec in specs:
            if not spec.fits(one.group, one.kind):
                continue
            create = self._origin(of, path, f"makes it by {said}") if spec.create and pairs else None
            for mapping in everywhere(one.node, spec.steps, create):
                for key, text in pairs.items():
                    self._step()
                    origin = self._origin(of, (*path, key), f"sets it by {said}")
                    mapping.value[key] = Node(text if isinstance(text, str) else _go_text(text), origin)
                    mapping.removed.pop(key, None)

    def _unsure(self, one: Built, path: Path, origin: Origin) -> None:
        """Something below a path of keys may have been changed, or added."""
        plain_keys = tuple(step for step in path if isinstance(step, str))
        found = at(one.node, plain_keys)
        if found is not None:
            doubt(found, origin)
        else:
            # It may lie behind a list: all that is known of the first step may have changed.
            first = at(one.node, plain_keys[:1])
            if first is not None:
                doubt(first, origin)
        one.unsure.append((plain_keys[:1], origin))

    def _replicas(self, of: Object, one: Built) -> None:
        if one.kind not in REPLICAS:
            return
        for number, entry in enumerate(_members(of.value.get("replicas"))):
            if not any(entry.get("name") == name for name, _ in one.names):
                continue
            origin = self._origin(of, ("replicas", number, "count"), "sets it by replicas")
            for spec in everywhere(one.node, ("spec",), origin):
                spec.value["replicas"] = Node(entry.get("count", 0), origin)

    def _images(self, of: Object, one: Built) -> None:
        if one.kind == "CustomResourceDefinition":
            return
        for key in ("images", "imageTags"):
            for number, image in enumerate(_members(of.value.get(key))):
                self._step()
                given = next((part for part in ("newTag", "digest", "tagSuffix", "newName") if image.get(part)), None)
                origin = self._origin(of, (key, number, given) if given else (key, number), f"sets it by {key}")

                def change(container: Node, image: dict[str, Any] = image, origin: Origin = origin) -> None:
                    found = container.value.get("image")
                    if found is None or not isinstance(found.value, str):
                        return
                    made = image_with(found.value, image)
                    if made is None:
                        doubt(found, origin)
                    elif made != "":
                        container.value["image"] = Node(made, origin, None if made == image.get("newName") else origin)

                changed(one.node, ("containers", "initContainers"), change)
                for path in (("spec", "volumes"), ("spec", "template", "spec", "volumes")):
                    for volume in everywhere(one.node, (*path, "image")):
                        doubt(volume, origin)

    def _replacements(self, at_: Kustomization, of: Object, one: Built) -> None:
        for number, entry in enumerate(_members(of.value.get("replacements"))):
            reference = at_.at(("replacements", number, "path"))
            if reference is None:
                self._replacement(of, ("replacements", number), entry, one)
                continue
            read = self.texts.patches(reference.target)
            for document in read or ():
                value: Any = document.value
                for position, member in enumerate(value if isinstance(value, list) else [value]):
                    path: Path = (position,) if isinstance(value, list) else ()
                    self._replacement(document, path, member, one)
            if read is None:
                one.doubt(self._origin(of, ("replacements", number, "path"), "may replace it"))

    def _replacement(self, of: Object, path: Path, entry: Any, one: Built) -> None:
        targets = entry.get("targets") if isinstance(entry, dict) else None
        for number, target in enumerate(_members(targets)):
            select = target.get("select")
            if isinstance(select, dict) and _selected(select, one, any_name=True) is False:
                continue
            paths = target.get("fieldPaths")
            for position, text in enumerate(paths if isinstance(paths, list) and paths else ["metadata.name"]):
                self._step()
                where: Path = (*path, "targets", number, "fieldPaths", position)
                if not isinstance(paths, list) or not paths:
                    where = where[:-2]
                origin = self._origin(of, where, "sets it by replacements")
                steps = parse_field_path(text) if isinstance(text, str) else None
                if steps is None:
                    one.doubt(origin)
                    continue
                matched = list(_matching(one.node, steps))
                for node in matched:
                    doubt(node, origin)
                if not matched:
                    one.unsure.append((tuple(step for step in steps[:1] if isinstance(step, str)), origin))


def _matching(node: Node, steps: tuple[Any, ...]) -> Iterator[Node]:
    """The nodes that a field path of a replacement means. ``("name", "app")``: the members of a list that have it."""
    if not steps:
        yield node
        return
    step, rest = steps[0], steps[1:]
    if isinstance(node.value, dict) and isinstance(step, str):
        if step == "*":
            for child in node.value.values():
                yield from _matching(child, rest)
        elif step in node.value:
            yield from _matching(node.value[step], rest)
    elif isinstance(node.value, list):
        for number, member in enumerate(node.value):
            if isinstance(step, tuple):
                found = at(member, (step[0],)) if step[0] else member
                if found is None or str(plain(found)) != step[1]:
                    continue
            elif step not in ("*", str(number)):
                continue
            yield from _matching(member, rest)


def _is_for(patch: dict[str, Any], one: Built) -> bool:
    """Whether a strategic merge patch without a target names an object, as it is or was called."""
    metadata = patch.get("metadata")
    api_version = patch.get("apiVersion")
    if not isinstance(metadata, dict) or not isinstance(api_version, str) or patch.get("kind") != one.kind:
        return False
    group, _, version = api_version.rpartition("/")
    if (group, version) != (one.group, one.version):
        return False
    scoped = one.group in BUILT_IN_GROUPS and one.kind in CLUSTER_SCOPED
    wanted = metadata.get("name"), "" if scoped else (metadata.get("namespace") or "default")
    return any(wanted == (name, "" if scoped else (namespace or "default")) for name, namespace in one.names)


def _selected(target: Any, one: Built, *, any_name: bool = False) -> bool | None:
    """Whether a selector means an object; None where that is not known (resmap/reswrangler.go, Select)."""
    if not isinstance(target, dict):
        return None
    names = one.names if any_name else [one.names[0], one.names[-1]]
    scoped = one.group in BUILT_IN_GROUPS and one.kind in CLUSTER_SCOPED
    verdicts: list[bool | None] = [
        name_matches(target.get("group"), [one.group]),
        name_matches(target.get("version"), [one.version]),
        name_matches(target.get("kind"), [one.kind]),
        name_matches(target.get("name"), [name for name, _ in names]),
    ]
    if target.get("namespace"):
        known = [namespace or "default" for _, namespace in names]
        verdicts.append(None if scoped else name_matches(target["namespace"], known))
    for key, path in (("labelSelector", "labels"), ("annotationSelector", "annotations")):
        if target.get(key):
            found = at(one.node, ("metadata", path))
            held = plain(found) if found is not None and isinstance(found.value, dict) else {}
            sure = found is None or (found.doubt is None and not one.generated)
            verdicts.append(labels_match(target[key], held) if sure else None)
    if False in verdicts:
        return False
    return None if None in verdicts else True


def _go_text(value: Any) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else "" if value is None else str(value)


def _members(value: Any) -> list[dict[str, Any]]:
    """The members of a list; what is no mapping counts as an empty one, so that numbers stay."""
    return [member if isinstance(member, dict) else {} for member in items(value)]
