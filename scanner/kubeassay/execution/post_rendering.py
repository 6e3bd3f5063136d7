"""Post-renderers of a HelmRelease: Kustomize on what a chart made, and where what they leave and change is stated."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from kubeassay.analysis.declared import declared_path
from kubeassay.model import Object, Path, ReadError, Traced, Tracer
from kubeassay.sources.cache import digest_of
from kubeassay.sources.deployers.adjusting import Stating
from kubeassay.sources.kustomize_build import build
from kubeassay.sources.manifests import read_bytes
from kubeassay.sources.rendering import KustomizeDemand, Limits, Output

_RENDERED = "rendered.yaml"


def post_rendered(
    output: Output, patches: Sequence[Mapping[str, object]], by: Stating, who: str, limits: Limits
) -> Output:
    """What post-renderers make of what was rendered. ``patches``: of each, the fields of a kustomization. ``by``: the
    release, which ``who`` names."""
    if output.tracer is None:
        return output
    text, made_by = output.text, output.made_by
    for patch in patches:
        with tempfile.TemporaryDirectory(prefix="kubeassay-", ignore_cleanup_errors=True) as scratch:
            folder = os.path.realpath(scratch)
            with open(os.path.join(folder, _RENDERED), "x", encoding="utf-8", errors="surrogatepass") as stream:
                stream.write(text)
            with open(os.path.join(folder, "kustomization.yaml"), "x", encoding="utf-8") as stream:
                # JSON is YAML.
                json.dump({**patch, "resources": [_RENDERED]}, stream, default=str)
            made = build(KustomizeDemand(folder, "kustomization.yaml", folder), limits)
        if made.tracer is None:
            at = by.obj.locate(_POST_RENDERERS)
            errors = (
                ReadError(at.file, f"{who}: its post-renderers fail: {error.message}", at.start_line, at.start_column)
                for error in made.errors
            )
            return replace(output, text="", tracer=None, errors=(*output.errors, *errors))
        text = made.text
    tracer = _PostRendered(output.tracer, output.text, by, who)
    stated = json.dumps([*map(dict, patches), by.obj.file, by.obj.number, who], default=str)
    document = by.document.text.encode("utf-8", "surrogatepass")
    digest = output.digest and digest_of([("by", document)], output.digest, stated)
    return replace(output, text=text, tracer=tracer, made_by=made_by, digest=digest)


_POST_RENDERERS = ("spec", "postRenderers")


class _PostRendered:
    """The tracer of what post-renderers made: what they leave is stated where the chart states it."""

    def __init__(self, tracer: Tracer, text: str, by: Stating, who: str) -> None:
        self._tracer, self._text, self._by, self._who = tracer, text, by, who
        self._objects: dict[tuple[str, ...], list[Object]] | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return _PostRendered, (self._tracer, self._text, self._by, self._who)

    def trace(self, obj: Object, path: Path, *, key: bool = False) -> Traced:
        """Where a field comes from; see :class:`~kubeassay.model.Tracer`."""
        before = self._before(obj)
        there = None if before is None else declared_path(obj.value, before.value, path)
        if before is not None and there is not None:
            missing = object()
            if before.get(*there, default=missing) == obj.get(*path, default=missing) or not path:
                return self._tracer.trace(before, there, key=key)
            if before.get(*there, default=missing) is missing and obj.get(*path, default=missing) is missing:
                return self._tracer.trace(before, there, key=key)
        said = f"the post-renderers of {self._who} may have set it"
        return replace(self._by.at(_POST_RENDERERS, said), state="rendering")

    def _before(self, obj: Object) -> Object | None:
        if self._objects is None:
            self._objects = {}
            for one in read_bytes(self._text.encode("utf-8", "surrogatepass"), obj.file).objects:
                self._objects.setdefault(_identity(one), []).append(one)
        found = self._objects.get(_identity(obj), ())
        return found[0] if len(found) == 1 else None


def _identity(obj: Object) -> tuple[str, ...]:
    ref = obj.ref
    return ref.group, ref.kind, ref.namespace or "", ref.name
