"""What the generators of an ApplicationSet make: parameters of one Application each (argo-cd v3.6,
applicationset/generators).

List, git (directories and files of the tree), clusters (of Secrets in the tree, by their metadata), matrix and merge.
What asks something outside of the tree (SCM, pull requests, plugins, other clusters) is told.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kubeassay.analysis.reading import items, mapping, string
from kubeassay.analysis.selectors import label_selector, labels_of
from kubeassay.model import Object, Path
from kubeassay.sources.deployers.model import Findings, UnfollowableError
from kubeassay.sources.deployers.paths import (
    BadPatternError,
    TooManyError,
    files_matching,
    path_match,
    pathspec_match,
    walk,
)
from kubeassay.sources.deployers.repositories import Repositories, revision_note
from kubeassay.sources.deployers.templates import WITHHELD, from_json, go_text, replace, sanitized
from kubeassay.sources.files import is_within
from kubeassay.sources.manifests import regular_content
from kubeassay.sources.yaml_reader import read_text

Params = dict[str, Any]
#: Applications that one set may make here.
MAX_PARAMETERS = 10_000
_MAX_FILE = 2**20
_MAX_DEPTH = 3
_MAX_COMPARISONS = 3_000_000
_NOT_GENERATORS = frozenset({"selector"})
_SECRET_TYPE = "argocd.argoproj.io/secret-type"
#: Annotations of a cluster's Secret that are no parameters.
_OWN_ANNOTATIONS = frozenset(
    {
        "argocd.argoproj.io/refresh",
        "argocd.argoproj.io/hydrate",
        "argocd.argoproj.io/tracking-id",
        "argocd.argoproj.io/installation-id",
        "kubectl.kubernetes.io/last-applied-configuration",
    }
)


@dataclass(slots=True)
class Generating:
    """What the generators of one set work with. ``secrets``: those of clusters that lie in the tree."""

    repositories: Repositories
    secrets: Sequence[Object]
    go: bool
    options: tuple[str, ...]
    findings: Findings
    made: int = 0
    compared: int = 0
    #: What was read of the trees: a generator in a matrix asks for the same again and again.
    trees: dict[tuple[str, bool], list[tuple[str, bool]]] = field(default_factory=dict)
    globbed: dict[tuple[str, str], frozenset[str]] = field(default_factory=dict)
    contents: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def tree(self, root: str, hidden: bool) -> list[tuple[str, bool]]:
        """All that ``walk`` finds. Raises TooManyError."""
        key = (root, hidden)
        if key not in self.trees:
            self.trees[key] = list(walk(root, hidden=hidden))
        return self.trees[key]

    def compare(self, patterns: int, paths: int, path: Path) -> None:
        """Count comparisons before they are made. Raises UnfollowableError where they are too many."""
        self.compared += patterns * paths
        if self.compared > _MAX_COMPARISONS:
            raise UnfollowableError("limit", "its patterns are compared with too many paths", path)

    def fill(self, text: str, parameters: Mapping[str, Any], path: Path) -> str:
        """A template filled in; what cannot be is said at ``path``."""
        try:
            return replace(text, parameters, self.go, self.options)
        except UnfollowableError as problem:
            raise UnfollowableError(problem.reason, problem.detail, path) from None

    def count(self, more: int, path: Path) -> None:
        """Count what is made, of all generators. Raises UnfollowableError where it is too much."""
        self.made += more
        if self.made > 10 * MAX_PARAMETERS:
            raise UnfollowableError("limit", "its generators make too many parameters", path)


def parameters(
    generator: Mapping[str, Any], path: Path, context: Generating, outer: Params | None = None
) -> list[Params]:
    """The parameters that a generator makes. ``path``: to it from the set's root. ``outer``: those of the generator
    that it is combined with, which fill in its fields. Raises UnfollowableError."""
    names = [name for name, stated in generator.items() if name not in _NOT_GENERATORS and stated is not None]
    if len(names) != 1:
        raise UnfollowableError("generator", "a generator is not of one type", path)
    name = names[0]
    make = _GENERATORS.get(name)
    if make is None:
        raise UnfollowableError("generator", f"the generator {name} asks what is not in the tree", (*path, name))
    stated = mapping(generator[name])
    if outer:
        stated = _interpolated(stated, outer, (*path, name), context)
    found = make(stated, (*path, name), context)
    context.count(len(found), path)
    selector = generator.get("selector")
    if selector is not None:
        found = [one for one in found if _selected(mapping(selector), one, (*path, "selector"))]
    return found


def _interpolated(value: Any, outer: Params, path: Path, context: Generating) -> Any:
    """A generator with the templates in it filled in; ``values`` keep those that ask for what is not known yet."""
    if isinstance(value, str):
        return context.fill(value, outer, path)
    if isinstance(value, list):
        return [_interpolated(item, outer, (*path, number), context) for number, item in enumerate(value)]
    if not isinstance(value, dict):
        return value
    made = {}
    for key, item in value.items():
        if key == "values" and isinstance(item, dict) and path[-1] in ("git", "clusters", "list"):
            made[key] = {name: _early(string(text), outer, context) for name, text in item.items()}
        elif key != "template":
            made[context.fill(str(key), outer, path)] = _interpolated(item, outer, (*path, key), context)
    return made


def _early(text: str, outer: Params, context: Generating) -> str:
    if not context.go:
        return replace(text, outer, False)
    try:
        return replace(text, outer, True, ("missingkey=error",))
    except UnfollowableError as problem:
        if problem.reason == "secret":
            raise
        # It speaks of what this generator makes.
        return text


def flattened(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Scalars by their paths with dots (flatten, DotStyle)."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from flattened(item, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from flattened(item, f"{prefix}.{number}" if prefix else str(number))
    else:
        yield prefix, value


def _selected(selector: Mapping[str, Any], made: Params, path: Path) -> bool:
    """Whether a selector of a generator takes parameters. Its values may be any text (LabelSelectorAsSelector)."""
    values = dict(flattened(made))

    def text(key: str) -> str | None:
        if key not in values:
            return None
        if values[key] is WITHHELD:
            raise UnfollowableError("secret", f"its selector asks for {key}, which stands in a Secret", path)
        return go_text(values[key])

    for key, wanted in mapping(selector.get("matchLabels")).items():
        if text(key) != string(wanted):
            return False
    for number, expression in enumerate(map(mapping, items(selector.get("matchExpressions")))):
        key, operator = string(expression.get("key")), string(expression.get("operator"))
        stated = [string(one) for one in items(expression.get("values"))]
        found = text(key)
        if operator not in ("In", "NotIn", "Exists", "DoesNotExist") or (operator.endswith("In") != bool(stated)):
            raise UnfollowableError("invalid-object", "its selector is refused", (*path, "matchExpressions", number))
        holds = found in stated if operator.endswith("In") else found is not None
        if holds == (operator in ("NotIn", "DoesNotExist")):
            return False
    return True


# --- list ---


def _list(stated: Mapping[str, Any], path: Path, context: Generating) -> list[Params]:
    made: list[Params] = []
    elements = items(stated.get("elements"))
    if len(elements) > MAX_PARAMETERS:
        raise UnfollowableError("limit", f"a list has more than {MAX_PARAMETERS} elements", (*path, "elements"))
    for number, element in enumerate(elements):
        at: Path = (*path, "elements", number)
        if not isinstance(element, dict):
            raise UnfollowableError("invalid-object", "an element of a list is no mapping", at)
        made.append(from_json(element) if context.go else _flat_element(element, at))
    text = string(stated.get("elementsYaml"))
    if text:
        read = read_text(text, "elementsYaml")
        root = read.documents[0].root if len(read.documents) == 1 and not read.errors else None
        if not isinstance(root, list) or not all(isinstance(one, dict) for one in root):
            raise UnfollowableError("generator", "its elementsYaml is no list of mappings", (*path, "elementsYaml"))
        made += [from_json(one) for one in root]
    return made


def _flat_element(element: Mapping[str, Any], path: Path) -> Params:
    made: Params = {}
    for key, value in element.items():
        for name, item in (
            [(f"values.{one}", value[one]) for one in value]
            if key == "values" and isinstance(value, dict)
            else [(key, value)]
        ):
            if not isinstance(item, str):
                raise UnfollowableError("invalid-object", f"the parameter {name} of a list is no text", (*path, key))
            made[name] = item
    return made


# --- git ---


def _git(stated: Mapping[str, Any], path: Path, context: Generating) -> list[Params]:
    url = string(stated.get("repoURL"))
    if "{{" in url:
        raise UnfollowableError("template", "its repoURL is filled in elsewhere", (*path, "repoURL"))
    found = context.repositories.find(url)
    if found is None:
        raise UnfollowableError(
            "other-repository",
            "its repository is another than the tree's: --repo URL=DIR says where that lies",
            (*path, "repoURL"),
        )
    if found.assumed:
        context.findings.note(
            f"nothing says which repository the tree is: {context.findings.who} is followed as if it were its own"
        )
    note = revision_note(context.findings.who, string(stated.get("revision")), found.repository)
    if note:
        context.findings.note(note)
    try:
        if items(stated.get("directories")):
            made = list(_directories(stated, path, found.root, context))
        elif items(stated.get("files")):
            made = list(_files(stated, path, found.root, context))
        else:
            raise UnfollowableError("invalid-object", "a git generator has neither directories nor files", path)
    except TooManyError as error:
        raise UnfollowableError("limit", f"its repository holds {error}", path) from None
    values = mapping(stated.get("values"))
    for one in made:
        _add_values(one, values, (*path, "values"), context)
    return made


def _add_values(made: Params, values: Mapping[str, Any], path: Path, context: Generating) -> None:
    filled = {key: context.fill(string(text), made, (*path, key)) for key, text in values.items()}
    if context.go:
        if filled:
            made["values"] = filled
    else:
        made.update({f"values.{key}": text for key, text in filled.items()})


def _base(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2] or "."


def _path_parameters(folder: str, file: str, prefix: str, go: bool) -> Params:
    """``path`` and what belongs to it. ``file``: the name of a file in the folder, "" for the folder alone."""
    made: dict[str, Any] = {"basename": _base(folder), "basenameNormalized": sanitized(_base(folder))}
    if file:
        made |= {"filename": file, "filenameNormalized": sanitized(file)}
    segments = folder.split("/")
    if go:
        tree = {"path": {"path": folder, "segments": segments, **made}}
        return {prefix: tree} if prefix else tree
    name = f"{prefix}.path" if prefix else "path"
    flat = {name: folder, **{f"{name}.{key}": value for key, value in made.items()}}
    return flat | {f"{name}[{number}]": part for number, part in enumerate(segments) if part}


def _directories(stated: Mapping[str, Any], path: Path, root: str, context: Generating) -> Iterator[Params]:
    wanted = [
        (string(mapping(one).get("path")), mapping(one).get("exclude") is True)
        for one in items(stated.get("directories"))
    ]
    prefix = string(stated.get("pathParamPrefix"))
    count = 0
    tree = context.tree(root, hidden=False)
    context.compare(len(wanted), len(tree), (*path, "directories"))
    for folder, is_folder in tree:
        if not is_folder:
            continue
        kept = False
        for pattern, exclude in wanted:
            try:
                matched = path_match(pattern, folder)
            except BadPatternError:
                # Argo CD passes over such an item.
                continue
            if matched and exclude:
                kept = False
                break
            kept = kept or matched
        if kept:
            count += 1
            if count > MAX_PARAMETERS:
                raise UnfollowableError("limit", f"more than {MAX_PARAMETERS} folders match", (*path, "directories"))
            yield _path_parameters(folder, "", prefix, context.go)


def _files(stated: Mapping[str, Any], path: Path, root: str, context: Generating) -> Iterator[Params]:
    files = [relative for relative, is_folder in context.tree(root, hidden=True) if not is_folder]
    context.compare(len(items(stated.get("files"))), 2 * len(files), (*path, "files"))
    chosen: set[str] = set()
    left: set[str] = set()
    for number, one in enumerate(map(mapping, items(stated.get("files")))):
        pattern = string(one.get("path"))
        at: Path = (*path, "files", number, "path")
        try:
            found = {file for file in files if pathspec_match(pattern or ".", file)}
        except BadPatternError:
            raise UnfollowableError("generator", f"the pattern {pattern} is not understood here", at) from None
        try:
            if (root, pattern) not in context.globbed:
                context.globbed[root, pattern] = frozenset(files_matching(root, pattern))
            strict: set[str] | frozenset[str] = context.globbed[root, pattern] & set(files)
        except BadPatternError:
            strict = found
        if strict != found:
            context.findings.note(
                f"{context.findings.who}: {pattern} matches other files where Argo CD has its new globbing on; "
                "it is followed as by default"
            )
        (left if one.get("exclude") is True else chosen).update(found)
    prefix = string(stated.get("pathParamPrefix"))
    for file in sorted(chosen - left):
        folder, _, name = file.rpartition("/")
        real = os.path.join(root, file)
        if real not in context.contents:
            context.contents[real] = _objects_of_file(root, file, (*path, "files"))
        for found_object in context.contents[real]:
            made = from_json(found_object) if context.go else {}
            if not context.go:
                made = {key: go_text(item) for key, item in flattened(from_json(found_object))}
            made |= _path_parameters(folder or ".", name, prefix, context.go)
            yield made


def _objects_of_file(root: str, file: str, path: Path) -> list[dict[str, Any]]:
    """The mappings of a file: one, or a list of some; an empty file is an empty one."""
    real = os.path.realpath(os.path.join(root, file))
    if not is_within(real, root):
        raise UnfollowableError("generator", f"{file} leads out of the repository by a symbolic link", path, error=True)
    try:
        content = regular_content(real, _MAX_FILE + 1)
        text = (content or b"").decode("utf-8-sig")
    except (OSError, UnicodeDecodeError):
        raise UnfollowableError("generator", f"{file} cannot be read", path) from None
    if content is None or len(content) > _MAX_FILE:
        raise UnfollowableError("limit", f"{file} is too large", path)
    read = read_text(text, file)
    if read.errors or len(read.documents) > 1:
        raise UnfollowableError("generator", f"{file} cannot be read as one document", path)
    found = read.documents[0].root if read.documents else None
    if found is None:
        return [{}]
    if isinstance(found, dict):
        return [found]
    if isinstance(found, list) and all(isinstance(one, dict) for one in found):
        return found
    raise UnfollowableError("generator", f"{file} holds no mapping", path)


# --- clusters ---


def _clusters(stated: Mapping[str, Any], path: Path, context: Generating) -> list[Params]:
    selector = mapping(stated.get("selector"))
    wanted = label_selector(selector)
    if wanted.invalid:
        raise UnfollowableError("invalid-object", "its selector is refused", (*path, "selector"))
    values = mapping(stated.get("values"))
    made: list[Params] = []
    for secret in context.secrets:
        labels = dict(labels_of(secret.value))
        if wanted.matches(labels):
            made.append(_of_cluster(secret, labels, context.go))
    if wanted.everything:
        # Which of the Secrets is that of the cluster itself stands in them: with any it is not known.
        if not context.secrets:
            name = "in-cluster"
            made.append(
                {"name": name, "nameNormalized": name, "server": "https://kubernetes.default.svc", "project": ""}
            )
        else:
            context.findings.add(
                UnfollowableError("generator", "whether it makes one for its own cluster stands in Secrets", path)
            )
    said = "which clusters are registered is not in the tree"
    if not context.secrets:
        problem = UnfollowableError("generator", f"{said}, beside its own" if made else said, path)
        if not made:
            raise problem
        context.findings.add(problem)
    for one in made:
        _add_values(one, values, (*path, "values"), context)
    return [{"clusters": made}] if stated.get("flatList") is True else made


def _of_cluster(secret: Object, labels: dict[str, str], go: bool) -> Params:
    stated = mapping(secret.get("metadata", "annotations"))
    annotations = {key: string(value) for key, value in stated.items() if key not in _OWN_ANNOTATIONS}
    made: Params = dict.fromkeys(("name", "nameNormalized", "server", "project"), WITHHELD)
    if go:
        made["metadata"] = ({"annotations": annotations} if stated else {}) | ({"labels": labels} if labels else {})
        return made
    return (
        made
        | {f"metadata.annotations.{key}": value for key, value in annotations.items()}
        | {f"metadata.labels.{key}": value for key, value in labels.items()}
    )


def cluster_secrets(objects: Sequence[Object]) -> list[Object]:
    """The Secrets of clusters that Argo CD deploys to."""
    return [
        obj
        for obj in objects
        if obj.ref.kind == "Secret" and obj.get("metadata", "labels", _SECRET_TYPE) == "cluster" and obj.ref.group == ""
    ]


# --- matrix, merge ---


def _children(stated: Mapping[str, Any], path: Path) -> list[Mapping[str, Any]]:
    children = [mapping(one) for one in items(stated.get("generators"))]
    if sum(step in ("matrix", "merge") for step in path) > _MAX_DEPTH:
        raise UnfollowableError("generator", "generators are nested too deep", path, error=True)
    if len(children) < 2:
        raise UnfollowableError("invalid-object", "it needs two generators", path, error=True)
    return children


def _matrix(stated: Mapping[str, Any], path: Path, context: Generating) -> list[Params]:
    children = _children(stated, path)
    if len(children) > 2:
        raise UnfollowableError("invalid-object", "a matrix has more than two generators", path, error=True)
    made: list[Params] = []
    for outer in parameters(children[0], (*path, "generators", 0), context):
        for inner in parameters(children[1], (*path, "generators", 1), context, outer):
            context.count(1, path)
            made.append(_over(inner, outer, path) if context.go else _combined(outer, inner, path))
    return made


def _combined(first: Params, second: Params, path: Path) -> Params:
    """Both, as text; Argo CD refuses two values of one name (utils, CombineStringMaps)."""
    made = {key: value if value is WITHHELD else go_text(value) for key, value in first.items()}
    for key, value in second.items():
        text = value if value is WITHHELD else go_text(value)
        if key in made and (made[key] != text or text is WITHHELD):
            raise UnfollowableError("generator", f"both generators of a matrix make {key}", path, error=True)
        made[key] = text
    return made


def _over(below: Params, above: Params, path: Path) -> Params:
    """``above`` over ``below``, mappings in each other (mergo, with overriding)."""
    made = dict(below)
    for key, value in above.items():
        under = made.get(key)
        if isinstance(under, dict) and isinstance(value, dict):
            made[key] = _over(under, value, path)
        elif under and value is not WITHHELD and not value and value is not under:
            # Which of the two holds depends on their types.
            raise UnfollowableError("generator", f"an empty {key} is merged with one that is not", path)
        else:
            made[key] = value
    return made


def _merge(stated: Mapping[str, Any], path: Path, context: Generating) -> list[Params]:
    children = _children(stated, path)
    keys = sorted({string(key) for key in items(stated.get("mergeKeys"))})
    if not keys:
        raise UnfollowableError("invalid-object", "a merge has no mergeKeys", path, error=True)
    sets = [
        _by_key(parameters(child, (*path, "generators", number), context), keys, path)
        for number, child in enumerate(children)
    ]
    base = sets[0]
    for other in sets[1:]:
        for key in base.keys() & other.keys():
            base[key] = _over(base[key], other[key], path) if context.go else base[key] | other[key]
    return list(base.values())


def _by_key(made: list[Params], keys: Sequence[str], path: Path) -> dict[str, Params]:
    found: dict[str, Params] = {}
    for one in made:
        if any(one.get(key) is WITHHELD for key in keys):
            raise UnfollowableError("secret", "a key of a merge stands in a Secret", (*path, "mergeKeys"))
        name = json.dumps([one.get(key) for key in keys], sort_keys=True)
        if name in found:
            raise UnfollowableError("generator", "several parameters of a merge have the same keys", path, error=True)
        found[name] = one
    return found


_GENERATORS = {"list": _list, "git": _git, "clusters": _clusters, "matrix": _matrix, "merge": _merge}
