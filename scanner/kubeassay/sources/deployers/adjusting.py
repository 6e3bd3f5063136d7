"""What a deployer makes of an object before it applies it: which namespace, labels and variables it gets, and where
that is stated."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import yaml

from kubeassay.analysis.reading import mapping
from kubeassay.model import MadeOf, Object, Path, SourceDocument, Traced
from kubeassay.sources.cache import digest_of
from kubeassay.sources.deployers.envsubst import is_disabled, substituted
from kubeassay.sources.deployers.model import Substitution, UnfollowableError
from kubeassay.sources.deployers.namespaces import Scopes, destined
from kubeassay.sources.kustomize_origin import SET_BY_DEPLOYER
from kubeassay.sources.manifests import read_bytes
from kubeassay.sources.yaml_reader import read_text

_VARIABLE = re.compile(r"\$\{#?([_A-Za-z][_A-Za-z0-9]*)")


class AsWritten:
    """The tracer (:class:`~kubeassay.model.Tracer`) of a file that is deployed as it is: its objects' places are in
    it. ``name``: what reports call the file."""

    def __init__(self, content: bytes, name: str) -> None:
        self._content, self._name = content, name
        self._document: SourceDocument | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return AsWritten, (self._content, self._name)

    def trace(self, obj: Object, path: Path, *, key: bool = False) -> Traced:
        """Where a field of an object stands."""
        if self._document is None:
            read = read_bytes(self._content, self._name)
            self._document = SourceDocument(self._name, read.text, read.had_bom, tuple(read.objects))
        own = self._document.objects[obj.number]
        missing = object()
        stated = own.get(*path, default=missing) is not missing
        return Traced(own.locate(path, key=key), "stated" if stated else "parent", "", self._document, own, path)


@dataclass(frozen=True, slots=True)
class Stating:
    """An object of a deployer, whose fields say what becomes of others. ``document``: the file that it stands in."""

    obj: Object
    document: SourceDocument

    def at(self, path: Path, said: str) -> Traced:
        """The place of a field. ``said``: what it says of others, as a sentence without a capital and a full stop."""
        if self.obj.made_of is not None:
            return replace(self.obj.made_of.trace(self.obj, path), said=said)
        return Traced(self.obj.locate(path), "stated", said, self.document, self.obj, path)


@dataclass(frozen=True, slots=True)
class Adjustment:
    """What a deployer makes of each object. ``namespace``: for those that state none; ``labels`` and ``annotations``
    are set on all; ``substitution`` is applied before. ``by``: what says so, and ``namespace_path`` and
    ``metadata_path`` where in it. ``who``: how messages call it."""

    scopes: Scopes
    by: Stating
    who: str
    namespace: str = ""
    namespace_path: Path = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    metadata_path: Path = ()
    substitution: Substitution | None = None
    #: Where it says what it changes of a kustomization; empty where that is nothing.
    overrides_path: Path = ()

    @property
    def digest(self) -> str:
        """Of all that it makes of objects, and of where it says that that is stated; but for the scopes, which follow
        from all objects."""
        filled_in = self.substitution or Substitution({})
        origins = [
            (name, str(obj.ref), obj.file, list(path)) for name, (obj, path) in sorted(filled_in.origins.items())
        ]
        stated = [
            *(self.who, self.namespace, self.namespace_path, self.metadata_path, self.overrides_path),
            *(sorted(self.labels.items()), sorted(self.annotations.items())),
            *(sorted(filled_in.variables.items()), origins, filled_in.strict, self.substitution is None),
            *(self.by.obj.file, self.by.obj.number, self.by.document.name),
        ]
        return digest_of([("by", self.by.document.text.encode("utf-8", "surrogatepass"))], repr(stated))

    def __call__(self, obj: Object) -> Object:
        """The object as it is deployed. Raises UnfollowableError for one that the deployer refuses."""
        made = obj if self.substitution is None else _filled_in(obj, self.substitution)
        for key, more in (("labels", self.labels), ("annotations", self.annotations)):
            if more:
                metadata = mapping(made.value.get("metadata"))
                stated = {**mapping(metadata.get(key)), **more}
                made = made.as_deployed(made.ref, {**made.value, "metadata": {**metadata, key: stated}})
        made, _ = destined(made, self.namespace, self.scopes)
        if (made is not obj or self.overrides_path) and obj.made_of is not None:
            made = made if made is not obj else obj.with_value(obj.value)
            made.made_of = MadeOf(_Adjusted(self, obj), obj.made_of.steps)
        return made


@dataclass(frozen=True, slots=True)
class Released:
    """What Helm makes of each object that it installs: one that states no namespace gets that of the release. Of a
    custom resource it is not known here whether it has one."""

    namespace: str

    @property
    def digest(self) -> str:
        """Of all that it makes of objects."""
        return self.namespace

    def __call__(self, obj: Object) -> Object:
        """The object as it is installed."""
        if obj.ref.namespace or _built_in().of(obj.ref) != "namespaced":
            return obj
        made, _ = destined(obj, self.namespace, _built_in())
        if obj.made_of is not None:
            made.made_of = MadeOf(_Original(obj), obj.made_of.steps)
        return made


@cache
def _built_in() -> Scopes:
    return Scopes()


class _Original:
    """The tracer of an object whose fields are stated where those of another are."""

    def __init__(self, original: Object) -> None:
        self._original = original

    def trace(self, obj: Object, path: Path, *, key: bool = False) -> Traced:
        """Where a field is stated."""
        assert self._original.made_of is not None
        return self._original.made_of.trace(self._original, path, key=key)


class _Adjusted:
    """The tracer of an object that was changed after it was rendered."""

    def __init__(self, adjustment: Adjustment, original: Object) -> None:
        self._adjustment, self._original = adjustment, original

    def trace(self, obj: Object, path: Path, *, key: bool = False) -> Traced:
        """Where a field of the changed object is stated."""
        by, original = self._adjustment, self._original
        assert original.made_of is not None
        if path == ("metadata", "namespace") and obj.ref.namespace != original.ref.namespace:
            return by.by.at(by.namespace_path, f"{by.who} says the namespace")
        if len(path) > 2 and path[0] == "metadata":
            set_ = {"labels": by.labels, "annotations": by.annotations}.get(str(path[1]), {})
            if path[2] in set_:
                return by.by.at((*by.metadata_path, *path[1:3]), f"{by.who} sets it")
        missing = object()
        before, after = original.get(*path, default=missing), obj.get(*path, default=missing)
        traced = original.made_of.trace(original, path, key=key)
        if by.overrides_path and traced.state == "rendering" and traced.said == SET_BY_DEPLOYER:
            return replace(by.by.at(by.overrides_path, f"{by.who} sets it"), state="rendering")
        if by.substitution is None or before == after or isinstance(after, dict | list):
            return traced
        return replace(traced, state="rendering", said=_filled_in_by(before, by.substitution, by.who))


def _filled_in_by(before: Any, substitution: Substitution, who: str) -> str:
    """What says the variables that a text has."""
    said = []
    for name in dict.fromkeys(_VARIABLE.findall(before) if isinstance(before, str) else ()):
        origin = substitution.origins.get(name)
        if origin is not None:
            place = origin[0].locate(origin[1])
            said.append(f"{name} of {place.file}:{place.start_line}")
    if said:
        return f"{who} fills in {', '.join(said)}"
    return f"{who} fills it in"


class _Dumper(yaml.CSafeDumper):
    """Writes objects as Flux does before it fills in variables: texts of several lines as blocks."""


def _text(dumper: yaml.CSafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def _filled_in(obj: Object, substitution: Substitution) -> Object:
    """An object with its variables filled in in its text, as it is written anew: what quotes the source has does not
    matter. What becomes a number is one."""
    if is_disabled(obj.value):
        return obj
    text = yaml.dump(obj.value, Dumper=_Dumper, allow_unicode=True, width=2**31 - 1)
    if "$" not in text:
        return obj
    read = read_text(substituted(text, substitution).text, obj.file)
    root = read.documents[0].root if len(read.documents) == 1 and not read.errors else None
    if not isinstance(root, dict):
        raise UnfollowableError("template", f"{obj.ref} is no YAML with its variables filled in")
    ref = obj.ref
    metadata = mapping(root.get("metadata"))
    named = replace(
        ref,
        api_version=_string(root.get("apiVersion"), ref.api_version),
        kind=_string(root.get("kind"), ref.kind),
        namespace=_string(metadata.get("namespace"), ""),
        name=_string(metadata.get("name"), ref.name),
    )
    return obj.as_deployed(replace(named, namespace=named.namespace or None), root)


def _string(value: Any, otherwise: str) -> str:
    return value if isinstance(value, str) else otherwise
