"""Kustomizations as deployers change them: the fields that the file has after their edits (``argocd_edits``,
``flux_edits``), and the same as a kustomization on top of it, where that means the same (``on_top``).

Argo CD runs ``kustomize edit`` (argo-cd v3.6, util/kustomize, Build; kustomize v5, commands/edit), Flux's controller
writes the file itself (fluxcd/pkg, kustomize/kustomize_generator.go).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from kubeassay.analysis.reading import items, mapping, string
from kubeassay.model import Path
from kubeassay.sources.deployers.model import UnfollowableError
from kubeassay.sources.deployers.paths import OutsideError, resolve
from kubeassay.sources.files import is_within
from kubeassay.sources.kustomize import KUSTOMIZATION_NAMES
from kubeassay.sources.manifests import regular_content
from kubeassay.sources.yaml_reader import read_text

_MAX_SIZE = 2**20
#: In place of a name, a tag or a digest: that of the file stays.
_KEPT = "*"
_Fields = dict[str, object]


def kustomization_file(directory: str) -> str | None:
    """The name of the kustomization file in a folder."""
    return next((name for name in KUSTOMIZATION_NAMES if os.path.isfile(os.path.join(directory, name))), None)


def read_kustomization(directory: str, root: str, path: Path) -> Mapping[str, Any]:
    """What the kustomization file of a folder states. Raises UnfollowableError, at ``path``, where it cannot be read;
    ``root``: the real path that it has to lie in."""
    name = kustomization_file(directory)
    problem = "its kustomization cannot be read, which its changes are made in"
    if name is None:
        raise UnfollowableError("no-path", "there is no kustomization file in its path", path)
    real = os.path.realpath(os.path.join(directory, name))
    if not is_within(real, root):
        raise UnfollowableError("overrides", "its kustomization leads out of the repository", path, error=True)
    try:
        content = regular_content(real, _MAX_SIZE + 1)
        text = (content or b"").decode("utf-8-sig")
    except (OSError, UnicodeDecodeError):
        raise UnfollowableError("overrides", problem, path) from None
    read = read_text(text, name)
    if content is None or len(content) > _MAX_SIZE or read.errors or len(read.documents) != 1:
        raise UnfollowableError("overrides", problem, path)
    stated = read.documents[0].root
    if not isinstance(stated, dict):
        raise UnfollowableError("overrides", problem, path)
    return stated


def split_image(image: str) -> tuple[str, str, str]:
    """Name, tag and digest of an image (kustomize, internal/image, Split)."""
    slash = max(image.find("/"), 0)
    at, colon = image.find("@", slash), image.find(":", slash)
    if at >= 0 and (colon < 0 or at < colon):
        return image[:at], "", image[at + 1 :]
    if colon < 0:
        return image, "", ""
    if at >= 0:
        return image[:colon], image[colon + 1 : at], image[at + 1 :]
    return image[:colon], image[colon + 1 :], ""


def edited_images(stated: Any, images: list[str]) -> list[dict[str, str]] | None:
    """The ``images`` of a kustomization after ``edit set image``; None where the command refuses one of them."""
    wanted: dict[str, dict[str, str]] = {}
    for argument in images:
        key, equals, value = argument.partition("=")
        name, tag, digest = split_image(value if equals else argument)
        if name == argument:
            return None
        new = {"newTag": tag, "digest": digest}
        if equals and key:
            wanted[key] = {"newName": name, **new}
        else:
            wanted[name] = {"newName": "", **new}
    for image in map(mapping, items(stated)):
        name = string(image.get("name"))
        before = {field: string(image.get(field)) for field in ("newName", "newTag", "digest")}
        before |= {field: value for field, value in image.items() if field not in ("name", *before)}
        after = wanted.get(name)
        wanted[name] = before if after is None else {f: before[f] if v == _KEPT else v for f, v in after.items()}
    made = []
    for name in sorted(wanted):
        fields = {field: "" if value == _KEPT else value for field, value in wanted[name].items()}
        made.append({"name": name, **{field: value for field, value in fields.items() if value}})
    return made


def argocd_edits(
    kustomize: Mapping[str, Any], stated: Mapping[str, Any], directory: str, root: str, expand: Callable[[str], str]
) -> _Fields:
    """The fields of a kustomization that ``spec.source.kustomize`` changes, as they are after that.

    ``expand`` fills in build variables. Raises UnfollowableError, with paths from ``kustomize``.
    """
    made: _Fields = {}
    for field in ("namePrefix", "nameSuffix", "namespace"):
        if string(kustomize.get(field)):
            made[field] = kustomize[field]
    if items(kustomize.get("images")):
        images = edited_images(stated.get("images"), [expand(string(i)) for i in items(kustomize["images"])])
        if images is None:
            raise UnfollowableError("overrides", "an image has neither a new name nor a tag nor a digest", ("images",))
        made["images"] = images
    if items(kustomize.get("replicas")):
        made["replicas"] = _replicas(stated.get("replicas"), items(kustomize["replicas"]))
    labels = mapping(kustomize.get("commonLabels"))
    if labels:
        made |= _labels(kustomize, stated, {key: expand(string(value)) for key, value in labels.items()})
    annotations = mapping(kustomize.get("commonAnnotations"))
    if annotations:
        fill = expand if kustomize.get("commonAnnotationsEnvsubst") is True else str
        wanted = {key: fill(string(value)) for key, value in annotations.items()}
        made["commonAnnotations"] = _merged(
            stated.get("commonAnnotations"),
            wanted,
            kustomize.get("forceCommonAnnotations") is True,
            ("commonAnnotations",),
        )
    if items(kustomize.get("patches")):
        made["patches"] = [*items(stated.get("patches")), *items(kustomize["patches"])]
    components = [string(component) for component in items(kustomize.get("components"))]
    if kustomize.get("ignoreMissingComponents") is True:
        components = [one for one in components if _is_component(directory, one, root)]
    if components:
        before = list(items(stated.get("components")))
        made["components"] = [*before, *(one for one in components if one not in before)]
    return made


def _is_component(directory: str, component: str, root: str) -> bool:
    try:
        return kustomization_file(resolve(root, os.path.relpath(directory, root), component)) is not None
    except OutsideError:
        return False


def _replicas(stated: Any, wanted: Any) -> list[dict[str, object]]:
    counts: dict[str, object] = {}
    for number, replica in enumerate(map(mapping, wanted)):
        count = replica.get("count")
        if isinstance(count, str) and count.isascii() and count.isdigit():
            count = int(count)
        if isinstance(count, bool) or not isinstance(count, int):
            raise UnfollowableError("overrides", "a count of replicas is no number", ("replicas", number, "count"))
        counts[string(replica.get("name"))] = count
    before = {string(one.get("name")): one.get("count") for one in map(mapping, items(stated))}
    return [{"name": name, "count": count} for name, count in sorted((before | counts).items())]


def _labels(kustomize: Mapping[str, Any], stated: Mapping[str, Any], wanted: dict[str, str]) -> _Fields:
    force = kustomize.get("forceCommonLabels") is True
    templates = kustomize.get("labelIncludeTemplates") is True
    if kustomize.get("labelWithoutSelector") is not True:
        if templates:
            raise UnfollowableError(
                "overrides", "labelIncludeTemplates needs labelWithoutSelector", ("labelIncludeTemplates",)
            )
        return {"commonLabels": _merged(stated.get("commonLabels"), wanted, force, ("commonLabels",))}
    labels = [dict(mapping(entry)) for entry in items(stated.get("labels"))]
    settings = (False, templates)
    for entry in labels:
        of_entry = (entry.get("includeSelectors") is True, entry.get("includeTemplates") is True)
        if of_entry == settings and not entry.get("fields"):
            entry["pairs"] = _merged(entry.get("pairs"), wanted, force, ("commonLabels",))
            return {"labels": labels}
    added: dict[str, object] = {"pairs": wanted}
    if templates:
        added["includeTemplates"] = True
    return {"labels": [*labels, added]}


def _merged(stated: Any, wanted: Mapping[str, str], force: bool, path: Path) -> dict[str, object]:
    for key, value in wanted.items():
        if not force and key in mapping(stated):
            raise UnfollowableError("overrides", f"its kustomization has {key} already, and it is not forced", path)
        # kustomize takes quotes around the value of an argument away.
        if value.startswith(("'", '"')) or ":" in key:
            raise UnfollowableError("overrides", "a value is quoted, or a key has a colon", (*path, key))
    return {**mapping(stated), **wanted}


def flux_edits(spec: Mapping[str, Any], stated: Mapping[str, Any]) -> _Fields:
    """The fields of a kustomization that a Flux Kustomization (or a post-renderer) changes, as they are after that."""
    made: _Fields = {}
    if string(spec.get("targetNamespace")):
        made["namespace"] = spec["targetNamespace"]
    for field in ("namePrefix", "nameSuffix"):
        if string(spec.get(field)):
            made[field] = spec[field]
    if items(spec.get("patches")):
        made["patches"] = [*items(stated.get("patches")), *items(spec["patches"])]
    for field in ("patchesStrategicMerge", "patchesJson6902"):
        if items(spec.get(field)):
            made[field] = [*items(stated.get(field)), *items(spec[field])]
    if items(spec.get("images")):
        images = [dict(mapping(image)) for image in items(stated.get("images"))]
        for wanted in map(mapping, items(spec["images"])):
            new = {key: wanted[key] for key in ("name", "newName", "newTag", "digest") if string(wanted.get(key))}
            at = next((n for n, one in enumerate(images) if one.get("name") == wanted.get("name")), None)
            if at is None:
                images.append(new)
            else:
                images[at] = new
        made["images"] = images
    if items(spec.get("components")):
        made["components"] = [*items(stated.get("components")), *items(spec["components"])]
    return made


#: What a kustomization on top would not see, or would see later: then the edits of the file are not reproduced.
_LATE = ("replacements", "vars", "transformers", "validators", "configurations", "openapi", "crds")
#: Field of a kustomization → what a patch has in it that the field changes as well. "": any patch.
_TOUCHED = {
    "namePrefix": ("",),
    "nameSuffix": ("",),
    "patchesJson6902": ("",),
    "namespace": ("namespace",),
    "commonLabels": ("labels", "matchLabels", "selector", "labelSelector"),
    "labels": ("labels", "matchLabels", "selector", "labelSelector"),
    "commonAnnotations": ("annotations", "annotationSelector"),
    "images": ("image",),
    "replicas": ("replicas",),
}


def on_top(edits: Mapping[str, object], stated: Mapping[str, Any], directory: str, root: str) -> _Fields:
    """The fields of a kustomization on top of one that make of it what ``edits`` of the file itself would make.

    ``stated``: the file as it is, in ``directory``. Raises UnfollowableError, with paths from the field, where the two
    would differ: what a file does comes in an order of its own.
    """
    made: _Fields = {}
    late = next((field for field in _LATE if stated.get(field)), None)
    if edits and late is not None:
        raise UnfollowableError("overrides", f"its kustomization has {late}, which come after what is changed of it")
    for field, value in edits.items():
        if field in ("namePrefix", "nameSuffix"):
            if string(stated.get(field)):
                raise UnfollowableError("overrides", f"its kustomization has a {field} itself", (field,))
            made[field] = value
        elif field == "namespace":
            made[field] = value
        elif field == "images":
            made[field] = _images_on_top(items(value), items(stated.get("images")))
        elif field == "replicas":
            made[field] = [one for one in items(value) if one not in items(stated.get("replicas"))]
        elif field in ("commonLabels", "labels", "commonAnnotations"):
            made[field] = _pairs_on_top(field, value, stated)
        elif field == "patches":
            added = items(value)[len(items(stated.get("patches"))) :]
            made[field] = [_patch_on_top(one, n, stated, directory, root) for n, one in enumerate(map(mapping, added))]
        else:
            raise UnfollowableError("overrides", f"its {field} are put into the kustomization itself", (field,))
    return made


def _images_on_top(edited: Any, stated: Any) -> list[object]:
    before = {string(mapping(one).get("name")): mapping(one) for one in stated}
    changed = [one for one in map(mapping, edited) if one != before.get(string(one.get("name")))]
    renamed = {string(one.get("newName")) for one in before.values()} - {""}
    for image in changed:
        name, known = string(image.get("name")), before.get(string(image.get("name")))
        keeps = known is not None and (known.get("newName") or not (image.get("newTag") or image.get("digest")))
        if keeps or name in renamed or string(image.get("newName")) in before.keys() - {name}:
            raise UnfollowableError(
                "overrides", f"its kustomization renames or sets the image {name} itself", ("images",)
            )
    return list(changed)


def _pairs_on_top(field: str, edited: object, stated: Mapping[str, Any]) -> object:
    def pairs(of: str, value: Any) -> dict[str, object]:
        found: dict[str, object] = {}
        for entry in [{"pairs": value}] if of != "labels" else items(value):
            found |= mapping(mapping(entry).get("pairs"))
        return found

    before = pairs(field, stated.get(field))
    added = {key: value for key, value in pairs(field, edited).items() if before.get(key) != value}
    if field == "commonAnnotations":
        return added
    path: Path = ("commonLabels",)
    other = "labels" if field == "commonLabels" else "commonLabels"
    if added.keys() & pairs(other, stated.get(other)).keys() or stated.get("patchesJson6902"):
        raise UnfollowableError("overrides", f"its kustomization sets the same in {other}, or patches late", path)
    if field == "commonLabels":
        return added
    entry = next(dict(one) for one in map(mapping, items(edited)) if added.items() <= mapping(one.get("pairs")).items())
    return [{**entry, "pairs": added}]


def _patch_on_top(
    patch: Mapping[str, Any], number: int, stated: Mapping[str, Any], directory: str, root: str
) -> dict[str, object]:
    """A patch with its text in it, whose file would not be found from another folder."""
    path: Path = ("patches", number)
    text = string(patch.get("patch"))
    if not text and string(patch.get("path")):
        text = _patch_text(string(patch["path"]), directory, root, path)
    read = read_text(text, "patch")
    if read.errors or not read.documents:
        raise UnfollowableError("overrides", "a patch cannot be read", path)
    words = {word for document in read.documents for word in _words(document.root)} | set(_words(patch.get("target")))
    for field, touched in _TOUCHED.items():
        if stated.get(field) and ("" in touched or words & set(touched)):
            raise UnfollowableError(
                "overrides",
                f"a patch changes what {field} of its kustomization, which come later, change as well",
                path,
            )
    return {key: value for key, value in patch.items() if key in ("target", "options")} | {"patch": text}


def _patch_text(stated: str, directory: str, root: str, path: Path) -> str:
    try:
        content = regular_content(resolve(root, os.path.relpath(directory, root), stated), _MAX_SIZE)
        return (content or b"").decode("utf-8-sig")
    except OutsideError as error:
        raise UnfollowableError("overrides", f"the file of a patch {error}", path, error=True) from None
    except (OSError, UnicodeDecodeError):
        raise UnfollowableError("overrides", f"the patch {stated} cannot be read", path) from None


def _words(value: Any) -> Iterator[str]:
    """The fields that a patch speaks of: its keys, and the parts of the paths of a JSON patch."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield str(key)
            if key in ("path", "from") and isinstance(item, str):
                yield from item.split("/")
            yield from _words(item)
    elif isinstance(value, list):
        for item in value:
            yield from _words(item)
