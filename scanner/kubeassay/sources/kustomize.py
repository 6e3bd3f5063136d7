"""What a kustomization says of the files around it. Nothing is rendered here."""

from __future__ import annotations

import os
from typing import Any

from kubeassay.sources.yaml_reader import read_text

KUSTOMIZATION_NAMES = ("kustomization.yaml", "kustomization.yml", "Kustomization")
#: A kustomization is a page of text; a larger file is not one.
_MAX_SIZE = 2**20


def patch_files(kustomization: str) -> dict[str, str]:
    """The files that a kustomization uses as patches or other non-objects: real path → the kustomization's base name.

    A file that is also listed as a resource is an object of its own, and not among them.
    """
    try:
        if os.path.getsize(kustomization) > _MAX_SIZE:
            return {}
        with open(kustomization, encoding="utf-8-sig") as stream:
            documents = read_text(stream.read(), kustomization).documents
    except (OSError, UnicodeDecodeError):
        # The file itself is read later as every other file is, and its error reported there.
        return {}
    directory = os.path.dirname(os.path.abspath(kustomization))
    patches: set[str] = set()
    resources: set[str] = set()
    for document in documents:
        root = document.root
        if not isinstance(root, dict):
            continue
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
    own = os.path.basename(kustomization)
    return {
        os.path.realpath(os.path.join(directory, patch)): f"{os.path.basename(directory)}/{own}"
        for patch in patches - resources
        if "://" not in patch
    }


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
