"""What a kustomization says of the files around it. Nothing is rendered here."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from kubeassay.analysis.reading import items
from kubeassay.model import Path
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


#: How what an entry names is read.
Use = Literal["resource", "component", "plug-in", "file"]
#: Fields that put files into the data of objects.
GENERATORS = ("configMapGenerator", "secretGenerator")
#: Fields that name files which are no objects by themselves, though they may look like some.
_PATCHES = frozenset(
    {
        *("patches", "patchesJson6902", "patchesStrategicMerge", "replacements"),
        *("configurations", "transformers", "generators", "crds"),
    }
)
#: What a kustomization says that changes no resource.
_LISTING = frozenset({"apiVersion", "kind", "metadata", "resources", "bases"})


def used_files(kustomization: str) -> UsedFiles:
    """The files that a kustomization uses as patches or other non-objects, and those that are its resources."""
    try:
        if os.path.getsize(kustomization) > _MAX_SIZE:
            return UsedFiles()
        with open(kustomization, encoding="utf-8-sig") as stream:
            read = read_text(stream.read(), kustomization)
    except (OSError, UnicodeDecodeError):
        # The file itself is read later as every other file is, and its error reported there.
        return UsedFiles()
    directory = os.path.dirname(os.path.abspath(kustomization))
    patches: set[str] = set()
    resources: set[str] = set()
    component = False
    # What is none, and what says a thing twice, is for the tool to refuse.
    changes = bool(read.errors) or len(read.documents) > 1
    for document in read.documents:
        root = document.root
        if not isinstance(root, dict):
            changes = changes or root is not None
            continue
        lists = (root.get(key) for key in ("resources", "bases"))
        listed = all(one is None or (isinstance(one, list) and all(isinstance(e, str) for e in one)) for one in lists)
        changes = changes or not listed or bool(document.duplicate_keys) or not root.keys() <= _LISTING
        component = component or root.get("kind") == "Component"
        for path, entry, use in entries(root):
            if use in ("resource", "component"):
                resources.add(entry)
            elif path[0] in _PATCHES:
                patches.add(entry)
    found = _real_paths(directory, resources)
    changes = changes or len(found) < len(resources) or not all(map(os.path.exists, found))
    return UsedFiles(_real_paths(directory, patches), found, changes, component)


def _real_paths(directory: str, names: Iterable[str]) -> frozenset[str]:
    return frozenset(
        os.path.realpath(os.path.join(directory, name)) for name in names if "://" not in name and "\0" not in name
    )


def entries(root: dict[str, Any]) -> Iterator[tuple[Path, str, Use]]:
    """What a kustomization names: where, what, and how it is read."""
    for key, use in _LISTS:
        for number, entry in enumerate(items(root.get(key))):
            if isinstance(entry, str) and not (key in _INLINE and is_inline(entry)):
                yield (key, number), entry, use
    for key in ("patches", "patchesJson6902", "replacements"):
        for number, entry in enumerate(items(root.get(key))):
            if isinstance(entry, dict) and isinstance(entry.get("path"), str):
                yield (key, number, "path"), entry["path"], "file"
    for key in GENERATORS:
        for number, entry in enumerate(items(root.get(key))):
            if not isinstance(entry, dict):
                continue
            for position, file in enumerate(items(entry.get("files"))):
                if isinstance(file, str):
                    yield (key, number, "files", position), file.partition("=")[2] if "=" in file else file, "file"
            for position, file in enumerate(items(entry.get("envs"))):
                if isinstance(file, str):
                    yield (key, number, "envs", position), file, "file"
            if isinstance(entry.get("env"), str):
                yield (key, number, "env"), entry["env"], "file"
    schema = root.get("openapi")
    if isinstance(schema, dict) and isinstance(schema.get("path"), str):
        yield ("openapi", "path"), schema["path"], "file"


_LISTS: tuple[tuple[str, Use], ...] = (
    ("resources", "resource"),
    ("bases", "resource"),
    ("components", "component"),
    ("patchesStrategicMerge", "file"),
    ("configurations", "file"),
    ("crds", "file"),
    ("generators", "plug-in"),
    ("transformers", "plug-in"),
    ("validators", "plug-in"),
)
#: Lists of which an entry may also be YAML text.
_INLINE = frozenset({"patchesStrategicMerge", "generators", "transformers", "validators"})


def is_inline(entry: str) -> bool:
    """Whether an entry is a text and not the name of a file."""
    return "\n" in entry or ": " in entry or entry.lstrip().startswith(("{", "["))
