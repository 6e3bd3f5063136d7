"""What a kustomization says of the files around it. Nothing is rendered here."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from kubeassay.sources.yaml_reader import read_text

KUSTOMIZATION_NAMES = ("kustomization.yaml", "kustomization.yml", "Kustomization")
#: A kustomization is a page of text; a larger file is not one.
_MAX_SIZE = 2**20


@dataclass(frozen=True, slots=True)
class UsedFiles:
    """The real paths that a kustomization names. What is a resource anywhere is an object, whatever else it is.

    ``changes``: whether it makes other objects of its resources (names, namespaces, patches), or has some that are not
    here, and does not only list files.
    """

    patches: frozenset[str] = frozenset()
    resources: frozenset[str] = frozenset()
    changes: bool = False
    #: Whether it is a Component, which is only rendered as part of a kustomization.
    component: bool = False


#: What a kustomization says that changes no resource.
_LISTING = frozenset({"apiVersion", "kind", "metadata", "resources", "bases"})


def used_files(kustomization: str) -> UsedFiles:
    """The files that a kustomization uses as patches or other non-objects, and those that are its resources."""
    try:
        if os.path.getsize(kustomization) > _MAX_SIZE:
            return UsedFiles()
        with open(kustomization, encoding="utf-8-sig") as stream:
            documents = read_text(stream.read(), kustomization).documents
    except (OSError, UnicodeDecodeError):
        # The file itself is read later as every other file is, and its error reported there.
        return UsedFiles()
    directory = os.path.dirname(os.path.abspath(kustomization))
    patches: set[str] = set()
    resources: set[str] = set()
    changes = component = False
    for document in documents:
        root = document.root
        if not isinstance(root, dict):
            continue
        changes = changes or not root.keys() <= _LISTING
        component = component or root.get("kind") == "Component"
        for key in ("patches", "patchesJson6902", "replacements"):
            for entry in _list(root.get(key)):
                if isinstance(entry, dict) and isinstance(entry.get("path"), str):
                    patches.add(entry["path"])
        for key in ("patchesStrategicMerge", "configurations", "transformers", "generators", "crds", "openapi"):
            for entry in _list(root.get(key)):
                # A strategic merge patch may also stand inline, in several lines.
                if isinstance(entry, str) and "\n" not in entry:
                    patches.add(entry)
        for key in ("resources", "bases", "components"):
            resources.update(entry for entry in _list(root.get(key)) if isinstance(entry, str))
    found = _real_paths(directory, resources)
    changes = changes or len(found) < len(resources) or not all(map(os.path.exists, found))
    return UsedFiles(_real_paths(directory, patches), found, changes, component)


def _real_paths(directory: str, names: Iterable[str]) -> frozenset[str]:
    return frozenset(
        os.path.realpath(os.path.join(directory, name)) for name in names if "://" not in name and "\0" not in name
    )


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
