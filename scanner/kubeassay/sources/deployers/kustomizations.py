"""Kustomizations as deployers change them: the fields that the file has after their edits.

Argo CD runs ``kustomize edit`` (argo-cd v3.6, util/kustomize, Build; kustomize v5, commands/edit), Flux's controller
writes the file itself (fluxcd/pkg, kustomize/kustomize_generator.go).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from kubeassay.analysis.reading import items, mapping, string
from kubeassay.model import Path
from kubeassay.sources.deployers.model import UnfollowableError
from kubeassay.sources.deployers.paths import OutsideError, is_inside, resolve
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
    if not is_inside(real, root):
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
    added: dict[str, object] = {"pairs": wanted, "includeSelectors": False}
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
