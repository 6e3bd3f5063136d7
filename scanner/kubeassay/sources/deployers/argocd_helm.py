"""Helm charts as an Application has them templated (argo-cd v3.6, reposerver/repository, helmTemplate)."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

from kubeassay.analysis.reading import items, mapping, string
from kubeassay.model import Path
from kubeassay.sources.deployers.model import UnfollowableError
from kubeassay.sources.deployers.paths import (
    BadPatternError,
    OutsideError,
    TooManyError,
    files_matching,
    is_pattern,
    resolve,
)
from kubeassay.sources.deployers.variables import BuildVariables
from kubeassay.sources.files import display_name, is_within
from kubeassay.sources.manifests import regular_content
from kubeassay.sources.rendering import HelmDemand

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
#: The content of a file parameter becomes an argument of a program.
_MAX_PARAMETER_FILE = 64 * 2**10

#: ``$name`` of another source → the real path of the root of its repository; None: nothing says where that lies.
References = Mapping[str, str | None]


def helm_demand(
    helm: Mapping[str, Any],
    chart: str,
    root: str,
    *,
    name: str,
    namespace: str,
    references: References,
    variables: BuildVariables,
    asked_by: str,
) -> HelmDemand:
    """What to template. ``helm``: of the source; ``chart`` and ``root``: real paths. ``name``: the Application's;
    ``namespace``: of its destination.

    Raises UnfollowableError, with paths from the source: a chart is not rendered without some of its values.
    """
    if not os.path.isfile(os.path.join(chart, "Chart.yaml")):
        raise UnfollowableError("no-path", "there is no Chart.yaml in its path", ("path",))
    return HelmDemand(
        chart=chart,
        name=display_name(os.path.join(chart, "Chart.yaml")),
        root=root,
        release=string(helm.get("releaseName")) or name,
        namespace=string(helm.get("namespace")) or namespace or "default",
        values=tuple(_value_files(helm, chart, root, references, variables)),
        inline=inline_values(helm),
        parameters=tuple(_parameters(helm, chart, root, references, variables)),
        kube_version=string(helm.get("kubeVersion")) or None,
        api_versions=tuple(string(one) for one in items(helm.get("apiVersions"))),
        skip_crds=helm.get("skipCrds") is True,
        asked_by=asked_by,
    )


def inline_values(helm: Mapping[str, Any]) -> str:
    """``valuesObject`` as JSON, of which YAML takes every text for what it is; else ``values`` as it is written."""
    stated = helm.get("valuesObject")
    if isinstance(stated, dict):
        return json.dumps(stated, ensure_ascii=False)
    return string(helm.get("values"))


def _value_files(
    helm: Mapping[str, Any], chart: str, root: str, references: References, variables: BuildVariables
) -> Iterator[str]:
    stated = [string(one) for one in items(helm.get("valueFiles"))]
    ignore_missing = helm.get("ignoreMissingValueFiles") is True
    located = [
        _locate(text, chart, root, references, variables, ("helm", "valueFiles", number))
        for number, text in enumerate(stated)
    ]
    # A file that is named by itself takes its own turn, not that of a pattern which means it too.
    explicit = {
        os.path.normpath(os.path.join(base, relative)) for base, relative in located if not is_pattern(relative)
    }
    taken: set[str] = set()
    for number, (base, relative) in enumerate(located):
        path: Path = ("helm", "valueFiles", number)
        if is_pattern(relative):
            found = [os.path.join(base, one) for one in _matching(base, relative, stated[number], path)]
            if not found and not ignore_missing:
                raise UnfollowableError("values", f"no file matches {stated[number]}", path)
            found = [one for one in found if one not in explicit]
        else:
            found = [os.path.join(base, relative)]
        for one in found:
            real = _inside(one, base, stated[number], path)
            if not os.path.isfile(real):
                if ignore_missing and not os.path.lexists(real):
                    continue
                raise UnfollowableError("values", f"the values file {stated[number]} is not there", path)
            if one not in taken:
                taken.add(one)
                yield real


def _matching(base: str, pattern: str, stated: str, path: Path) -> list[str]:
    try:
        return files_matching(base, pattern)
    except BadPatternError:
        raise UnfollowableError("values", f"the pattern {stated} is not understood here", path) from None
    except TooManyError as error:
        raise UnfollowableError("limit", str(error), path) from None


def _locate(
    stated: str, chart: str, root: str, references: References, variables: BuildVariables, path: Path
) -> tuple[str, str]:
    """The root that a file has to lie in, and its path from there, not yet resolved."""
    first, slash, rest = stated.partition("/")
    if first.startswith("$") and first in references:
        base = references[first]
        if base is None:
            raise UnfollowableError(
                "other-repository", f"it is not known where the repository of {first} lies: --repo says it", path
            )
        text = slash + variables.expand(rest, path)
        folder = base
    else:
        text, folder, base = variables.expand(stated, path), chart, root
    if _URL.match(text):
        raise UnfollowableError("values", f"{stated} is an address: its values are not fetched", path)
    joined = os.path.normpath(os.path.join(base, text.lstrip("/")) if text.startswith("/") else folder + "/" + text)
    if not is_within(joined, base) or "\0" in text:
        raise UnfollowableError("values", f"{stated} leaves the repository", path, error=True)
    return base, os.path.relpath(joined, base)


def _inside(file: str, base: str, stated: str, path: Path) -> str:
    try:
        return resolve(base, os.path.relpath(file, base))
    except OutsideError as error:
        raise UnfollowableError("values", f"{stated} {error}", path, error=True) from None


def _parameters(
    helm: Mapping[str, Any], chart: str, root: str, references: References, variables: BuildVariables
) -> Iterator[tuple[str, bool]]:
    plain: dict[str, str] = {}
    texts: dict[str, str] = {}
    for number, parameter in enumerate(map(mapping, items(helm.get("parameters")))):
        value = variables.expand(string(parameter.get("value")), ("helm", "parameters", number, "value"))
        (texts if parameter.get("forceString") is True else plain)[string(parameter.get("name"))] = _cleaned(value)
    yield from ((f"{name}={value}", False) for name, value in plain.items())
    yield from ((f"{name}={value}", True) for name, value in texts.items())
    for number, parameter in enumerate(map(mapping, items(helm.get("fileParameters")))):
        path: Path = ("helm", "fileParameters", number, "path")
        stated = string(parameter.get("path"))
        base, relative = _locate(stated, chart, root, references, variables, path)
        content = _file_parameter(_inside(os.path.join(base, relative), base, stated, path))
        if content is None:
            raise UnfollowableError("values", f"the file {stated} of a parameter cannot be read", path)
        # --set-file sets the text of a file: the same text, with every character taken as it is.
        yield f"{string(parameter.get('name'))}={_escaped(content)}", True


def _file_parameter(real: str) -> str | None:
    try:
        content = regular_content(real, _MAX_PARAMETER_FILE + 1)
        if content is None or len(content) > _MAX_PARAMETER_FILE or b"\0" in content:
            return None
        return content.decode("utf-8")
    except (OSError, UnicodeDecodeError):
        return None


def _cleaned(value: str) -> str:
    """A value with its commas escaped, unless it is a list in braces (util/helm, cleanSetParameters)."""
    if value.startswith("{") and value.endswith("}"):
        return value
    return re.sub(r"(?<!\\),", r"\\,", value)


def _escaped(text: str) -> str:
    return re.sub(r"[\\,{}\[\]=]", r"\\\g<0>", text)
