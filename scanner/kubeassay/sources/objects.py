"""Kubernetes objects in the documents of a file: Lists unpacked, everything that is no object named."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kubeassay.model import Location, Object, ObjectRef, Path, ReadError, Skipped
from kubeassay.sources.yaml_reader import Document

#: API groups of files that tools read beside manifests, and that no API server ever sees → reason for skipping.
_TOOL_GROUPS = {
    "kustomize.config.k8s.io": "kustomization",
    "kubeassay.dev": "not-kubernetes",
}
_MAX_LIST_DEPTH = 10


def objects_of(document: Document) -> Iterator[Object | ReadError | Skipped]:
    """The objects of a document; in place of one that cannot be read an error, of what is no object a skip."""
    root = document.root
    file = document.spans.file
    if root is None:
        return
    if not isinstance(root, dict):
        yield Skipped(file, "not-kubernetes", "a document without apiVersion and kind", document.line)
        return
    yield from _objects(document, root, (), 0, None, _duplicates_by_object(document))


_Duplicates = dict[Path, list[tuple[Path, tuple[Location, ...]]]]


def _duplicates_by_object(document: Document) -> _Duplicates:
    """The duplicate keys by the path of the List member that they are in, at every level of Lists in Lists."""
    found: _Duplicates = {}
    for path, places in document.duplicate_keys:
        size = 0
        found.setdefault((), []).append((path, places))
        while size < 2 * _MAX_LIST_DEPTH and path[size : size + 1] == ("items",) and len(path) > size + 2:
            size += 2
            found.setdefault(path[:size], []).append((path[size:], places))
    return found


def _objects(
    document: Document,
    value: dict[str, Any],
    prefix: Path,
    depth: int,
    list_type: tuple[str, str] | None,
    duplicates: _Duplicates,
) -> Iterator[Object | ReadError | Skipped]:
    spans = document.spans
    api_version, kind = value.get("apiVersion"), value.get("kind")
    if list_type is not None:
        # Members of a typed list (a raw API response) carry no type of their own.
        api_version = api_version if api_version is not None else list_type[0]
        kind = kind if kind is not None else list_type[1]

    def error(path: Path, message: str) -> ReadError:
        place = spans.locate(document.root, prefix + path)
        return ReadError(file=spans.file, line=place.start_line, column=place.start_column, message=message)

    if api_version is None or kind is None:
        # Only metadata or spec beside one of the two says that an object was meant: many tools use "kind" alone.
        if ("metadata" in value and ("spec" in value or api_version is None)) and (api_version or kind):
            missing = "apiVersion" if api_version is None else "kind"
            yield error((), f"an object without {missing}")
        elif prefix:
            yield error((), "a member of a List has no apiVersion and kind")
        else:
            yield Skipped(spans.file, "not-kubernetes", "a document without apiVersion and kind", document.line)
        return
    for field, text in (("apiVersion", api_version), ("kind", kind)):
        if not isinstance(text, str) or not text:
            yield error((field,), f"{field} must be a non-empty string")
            return
    is_list = kind.endswith("List")
    if "items" in value or kind == "List":
        items = value.get("items")
        if isinstance(items, list):
            if depth >= _MAX_LIST_DEPTH:
                yield error((), f"Lists nested deeper than {_MAX_LIST_DEPTH} levels")
                return
            member_type = None if kind == "List" else (api_version, kind.removesuffix("List"))
            for number, member in enumerate(items):
                path: Path = (*prefix, "items", number)
                if isinstance(member, dict) and (is_list or _is_object(member)):
                    yield from _objects(document, member, path, depth + 1, member_type, duplicates)
                elif is_list:
                    yield error(("items", number), "a member of a List is not an object")
        elif is_list and items is not None:
            yield error(("items",), "the items of a List must be a list")
        # kubectl takes a document of any kind for a List when it has items (apimachinery v0.37.1,
        # unstructured/helpers.go, decode); an API server takes it for what its kind says. It is read as both.
        if is_list:
            return
    group = api_version.rpartition("/")[0]
    if group in _TOOL_GROUPS:
        yield Skipped(spans.file, _TOOL_GROUPS[group], f"{kind}: read by a tool, not by an API server", document.line)
        return
    metadata = value.get("metadata")
    if not isinstance(metadata, dict):
        metadata = {}
    name, namespace = metadata.get("name"), metadata.get("namespace")
    if not isinstance(name, str) or not name:
        generated = metadata.get("generateName")
        name = f"{generated}*" if isinstance(generated, str) and generated else ""
    if list_type is not None:
        value = {"apiVersion": api_version, "kind": kind, **value} if "kind" not in value else value
    yield Object(
        ref=ObjectRef(api_version, kind, namespace if isinstance(namespace, str) and namespace else None, name),
        value=value,
        spans=spans,
        root=document.root,
        prefix=prefix,
        duplicate_keys=tuple(duplicates.get(prefix, ())),
    )


def _is_object(member: dict[str, Any]) -> bool:
    """Whether an item of what is no List by its kind looks like an object. kubectl gives it its parent's type."""
    return ("apiVersion" in member and "kind" in member) or "spec" in member or "metadata" in member
