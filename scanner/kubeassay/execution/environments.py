"""A tree that renders the same objects several times holds several environments: each is judged by itself.

What a folder ``overlays/staging`` makes and what ``overlays/production`` makes are never in one cluster, so no object
of one may be judged by those of the other. What only one rendering makes, and files that stand for themselves, are
judged with every environment, unless a folder that they are in is called as one.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from kubeassay.engine.merging import merged
from kubeassay.execution.demand import Demanded
from kubeassay.model import Difference, Object, RenderedManifest, Result
from kubeassay.sources.files import Discovery, SourceFile
from kubeassay.sources.manifests import read_file, regular_content
from kubeassay.sources.rendering import RENDERED

#: (API group, kind, namespace, name)
_Identity = tuple[str, str, str | None, str]
#: Behind the name of what Kustomize generates: hexadecimal digits, some of them in the place of others
#: (kustomize, api/hasher/hasher.go: encode).
_HASH = re.compile(r"-[2456789bcdfghkmt]{10}\Z")


@dataclass(frozen=True, slots=True)
class Environment:
    """One of several environments of a tree, with all that is judged together. ``name`` is empty where there is but
    one. ``as_files``: no environment, but files in which rendered objects stand, too, as they are."""

    name: str
    discovery: Discovery
    as_files: bool = False


def _identity(obj: Object) -> _Identity:
    return obj.ref.group, obj.ref.kind, obj.ref.namespace, obj.ref.name


class _Made:
    """A rendered file, and what it makes."""

    def __init__(self, file: SourceFile) -> None:
        self.file = file
        self.objects: set[_Identity] = {_identity(obj) for obj in read_file(file).objects if obj.ref.name}
        #: The others that make some of these, too, each with how many.
        self.rivals: dict[str, tuple[_Made, int]] = {}

    @property
    def name(self) -> str:
        return self.file.name

    @cached_property
    def folders(self) -> list[str]:
        """By which it is told from its rivals: the folders of what deploys it, its own, and what that is called."""
        file, deployed_by = self.file.rendering.asked_by if self.file.rendering is not None else ("", "")
        return [*_folders(file), *_folders(self.name), *filter(None, [deployed_by])]

    @cached_property
    def label(self) -> str:
        """What its environment is called: the folder in which its path parts from those of its rivals, as most of what
        they have in common says: two applications of one environment may both make its Namespace."""
        named = self.file.rendering.environment if self.file.rendering is not None else ""
        if named or not self.rivals:
            return named
        parted = Counter[int]()
        for rival, shared in self.rivals.values():
            parted[self._parting(rival)] += shared
        del parted[-1]
        if parted:
            # The innermost of several that as much speaks for.
            return self.folders[max(parted, key=lambda number: (parted[number], number))]
        return self.folders[-1] if self.folders else self.name.removesuffix(RENDERED)

    def _parting(self, rival: _Made) -> int:
        """Which of its folders is the first that a rival's path does not have there; -1 where all are in that path."""
        ours, theirs = self.folders, rival.folders
        return next((number for number, name in enumerate(ours) if theirs[number : number + 1] != [name]), -1)

    def excludes(self, rival: _Made, shared: int) -> bool:
        """Whether both make the same, for the most part: they are never in one cluster."""
        return 2 * shared >= min(len(self.objects), len(rival.objects))


def _folders(file: str) -> list[str]:
    return [part for part in file.split("/")[:-1] if part not in ("", ".", "..")]


def environments(discovery: Discovery) -> list[Environment]:
    """The environments of what was discovered and rendered, in the order of their names; a single one without a name
    where nothing is made twice. Every file is in one of them, or in several."""
    made = [_Made(file) for file in discovery.files if file.rendering is not None]
    _find_rivals(made)
    labels = _labels(made)
    doubles = _doubles(discovery.files, made)
    names = sorted({*labels.values()} - {""})
    if not names and not doubles:
        return [Environment("", discovery)]
    found = []
    for name in names or ["rendered"]:
        chosen = [one for one in made if labels[one.name] in ("", name)]
        objects = set[_Identity]().union(*(one.objects for one in chosen))
        without = {file for file, same in doubles.items() if same & objects}
        found.append(_environment(name, discovery, names, {one.name for one in chosen}, without))
    if doubles:
        # What stands in files and is rendered, too: the rendered form of an environment, perhaps, that was committed.
        same = set[_Identity]().union(*doubles.values())
        alone = {one.name for one in made if not labels[one.name] and not one.objects & same}
        files = [
            file
            for file in discovery.files
            if file.name in alone
            or (file.rendering is None and (file.name in doubles or not _named_by(file.name, names)))
        ]
        called = "files" if "files" not in names else "files as they stand"
        found.append(Environment(called, replace(discovery, files=files), as_files=True))
    return found


def _find_rivals(made: Sequence[_Made]) -> None:
    makers: dict[_Identity, list[_Made]] = defaultdict(list)
    for one in made:
        for identity in one.objects:
            makers[identity].append(one)
    for several in makers.values():
        for one in several:
            for other in several:
                if other is not one:
                    _, shared = one.rivals.get(other.name, (other, 0))
                    one.rivals[other.name] = other, shared + 1


def _labels(made: Sequence[_Made]) -> dict[str, str]:
    """File → what its environment is called; empty for what belongs to all."""
    labels = {one.name: one.label for one in made}
    # Two that make the same are never one environment, whatever their folders are called.
    for whole in (False, True):
        known = dict(labels)
        for one in made:
            if any(known[name] == known[one.name] and one.excludes(*rival) for name, rival in one.rivals.items()):
                path = one.name.removesuffix(RENDERED)
                labels[one.name] = path if whole else path.rpartition("/")[0] or path
    names = set(labels.values()) - {""}
    for one in made:
        labels[one.name] = labels[one.name] or _named_by(one.name, names)
    return labels


def _named_by(file: str, names: Collection[str]) -> str:
    """The environment that the innermost of a file's folders is called as; empty where none is."""
    path = file.rpartition("/")[0]
    while path:
        if path in names:
            return path
        path, _, folder = path.rpartition("/")
        if folder in names:
            return folder
    return ""


def _doubles(files: Iterable[SourceFile], made: Sequence[_Made]) -> dict[str, set[_Identity]]:
    """Files of which most objects are rendered, too, with these. Only files in which the names stand are read."""
    objects = set[_Identity]().union(*(one.objects for one in made))
    names = {name.encode("utf-8", "surrogatepass") for _, _, _, name in objects}
    found: dict[str, set[_Identity]] = {}
    for file in files:
        if file.rendering is not None or file.part or file.live is not None or not names:
            continue
        try:
            content = regular_content(file.path) if file.content is None else file.content
        except OSError:
            # Told where it is read.
            continue
        if content is None or not any(name in content for name in names):
            continue
        own = set(map(_identity, read_file(file).objects))
        same = objects & own
        # Where it is but a few, as a Namespace, the file is what it seems, and rules say what is ambiguous.
        if same and 2 * len(same) >= len(own):
            found[file.name] = same
    return found


def _environment(
    name: str, discovery: Discovery, names: Collection[str], rendered: set[str], without: set[str]
) -> Environment:
    """``rendered``: the rendered files that are in it; ``without``: files that are not."""

    def belongs(file: SourceFile) -> bool:
        if file.rendering is not None:
            return file.name in rendered
        return file.name not in without and _named_by(file.name, names) in ("", name)

    return Environment(name, replace(discovery, files=[file for file in discovery.files if belongs(file)]))


def differences(found: Sequence[Environment]) -> list[Difference]:
    """The objects that some environments have and others lack, in the order of their names. An environment's own name
    in an object's (``staging-db``, namespace ``staging``) is taken for that of any, and so is the hash of its content
    that Kustomize gives a name."""
    found = [environment for environment in found if not environment.as_files]
    places: dict[_Identity, dict[str, Object]] = defaultdict(dict)
    for environment in found:
        for file in environment.discovery.files:
            if file.part:
                continue
            for obj in read_file(file).objects:
                if obj.ref.name:
                    places[_anywhere(_identity(obj), environment.name)].setdefault(environment.name, obj)
    names = [environment.name for environment in found]
    told = []
    for having in places.values():
        if len(having) == len(names):
            continue
        obj = next(iter(having.values()))
        present = tuple(name for name in names if name in having)
        absent = tuple(name for name in names if name not in having)
        told.append(Difference(obj.ref, obj.locate(("metadata", "name")), present, absent))
    return sorted(told, key=lambda difference: (difference.absent, difference.object.kind, str(difference.object)))


def _anywhere(identity: _Identity, environment: str) -> _Identity:
    group, kind, namespace, name = identity
    if kind in ("ConfigMap", "Secret"):
        name = _HASH.sub("-*", name)
    word = re.compile(rf"(?<![a-z0-9]){re.escape(environment)}(?![a-z0-9])")
    return group, kind, None if namespace is None else word.sub("*", namespace), word.sub("*", name)


def judge(
    found: Sequence[tuple[Environment, Demanded]],
    scan_one: Callable[[Demanded, Discovery], Result],
    told: Callable[[], Sequence[Difference]],
) -> Result:
    """The result of environments, each judged by what is demanded of it. ``scan_one`` judges one; ``told``: how they
    differ."""
    results = {environment.name: scan_one(by, environment.discovery) for environment, by in found}
    files = {file.name: file for environment, _ in found for file in environment.discovery.files}
    rendered = tuple(
        RenderedManifest(name.removesuffix(RENDERED), file.rendering.made_by)
        for name, file in sorted(files.items())
        if file.rendering is not None and not file.rendering.written
    )
    if len(results) == 1:
        (result,) = results.values()
        return replace(result, rendered=rendered)
    return replace(merged(results, told()), rendered=rendered)
