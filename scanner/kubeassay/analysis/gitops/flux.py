"""Flux: sources, Kustomizations and HelmReleases.

Shapes and precedence: fluxcd source-controller, kustomize-controller and helm-controller, their api folders (v1, v2).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kubeassay.analysis.gitops.revisions import Revision, chart_version, git_revision, image_tag
from kubeassay.analysis.reading import mapping, string
from kubeassay.model import Object, Path

SOURCES, KUSTOMIZE, HELM = "source.toolkit.fluxcd.io", "kustomize.toolkit.fluxcd.io", "helm.toolkit.fluxcd.io"


@dataclass(frozen=True, slots=True)
class Followed:
    """What a source follows. ``path``: to the field that says so, or would."""

    revision: Revision
    stated: str
    path: Path


def followed(obj: Object) -> Followed | None:
    """What a source, or a HelmRelease's chart, follows; None for an object that follows nothing by itself."""
    group, kind = obj.ref.group, obj.ref.kind
    if group == SOURCES and kind == "GitRepository":
        return _git(mapping(obj.get("spec", "ref")))
    if group == SOURCES and kind == "OCIRepository":
        ref = mapping(obj.get("spec", "ref"))
        # The digest comes before a range, and a range before the tag.
        return _first(ref, ("digest", None), ("semver", chart_version), ("tag", image_tag)) or Followed(
            "newest", "latest", ("spec", "ref")
        )
    if group == HELM and kind == "HelmRelease" and isinstance(obj.get("spec", "chart", "spec"), dict):
        version = string(obj.get("spec", "chart", "spec", "version"))
        return Followed(chart_version(version), version, ("spec", "chart", "spec", "version"))
    if group == SOURCES and kind == "HelmChart":
        version = string(obj.get("spec", "version"))
        return Followed(chart_version(version), version, ("spec", "version"))
    return None


def _git(ref: Any) -> Followed:
    # Commit, name, range, tag, branch: the first that is set (GitRepositoryRef).
    found = _first(ref, ("commit", None), ("name", git_revision), ("semver", chart_version), ("tag", None))
    if found is not None:
        return found
    return Followed("branch", string(ref.get("branch")) or "master", ("spec", "ref", "branch"))


def _first(ref: Any, *fields: tuple[str, Any]) -> Followed | None:
    for field, kind in fields:
        value = string(ref.get(field))
        if value:
            return Followed(kind(value) if kind is not None else "pinned", value, ("spec", "ref", field))
    return None
