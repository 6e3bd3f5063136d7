"""Which files of a tree are manifests, and which are something else that only looks like one."""

from __future__ import annotations

import glob
import os
import stat
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from kubeassay.model import DeploymentResult, ReadError, Skipped
from kubeassay.sources.git_index import TrackedFiles
from kubeassay.sources.kustomize import KUSTOMIZATION_NAMES, UsedFiles, used_files

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

    from kubeassay.sources.rendering import Rendering

EXTENSIONS = (".yaml", ".yml", ".json")
IGNORE_FILES = (".gitignore", ".kubeassayignore")
#: Directories that never hold manifests of the tree itself.
_NEVER = frozenset({".git"})
#: A larger file is refused with an error. Reading takes roughly 40 times a file's size in memory.
DEFAULT_MAX_FILE_SIZE = 32 * 2**20


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file to read. ``path`` opens it, ``name`` is what reports call it, ``size`` is in bytes.

    ``content``: its bytes, where they are at hand (from an API server or an archive); ``path`` means nothing then.
    ``live``: the JSON of the objects of a cluster by their names, of which this is one; its places are in the text that
    it is written as (sources/live_objects.py). ``path`` means nothing then, either.

    ``rendering``: what made its text, where nobody wrote it; its places are in other files. ``part``: whether it is
    part of such a text, so that nothing of it is judged by itself; only exceptions in its comments matter.

    ``role`` is what the file seems to be by its name, as the reason and detail of a skip. It is that only where it
    holds no object: any file can be given any name.
    """

    path: str
    name: str
    size: int
    role: tuple[str, str] | None = None
    content: bytes | None = None
    live: Mapping[str, bytes] | None = None
    rendering: Rendering | None = None
    part: bool = False


@dataclass(frozen=True, slots=True)
class Renderable:
    """A folder of which manifests can be made. ``directory``: its real path; ``file``: the file that asks for it
    (``kustomization.yaml``, ``Chart.yaml``), as reports name it; ``tree``: the real path of the scanned folder that it
    is in."""

    directory: str
    file: str
    tree: str


@dataclass(slots=True)
class Discovery:
    """The files of a target in a fixed order, and all that was seen and is not among them."""

    files: list[SourceFile] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    errors: list[ReadError] = field(default_factory=list)
    #: Name of a file → that of a kustomization which makes other objects of those that stand in it.
    changed_by: dict[str, str] = field(default_factory=dict)
    #: Kustomizations that only list files: what they make stands in these.
    listings: set[str] = field(default_factory=set)
    #: Kustomizations that no other one of the tree uses, and charts that are not part of another.
    kustomizations: list[Renderable] = field(default_factory=list)
    charts: list[Renderable] = field(default_factory=list)
    #: Real paths of the files, and of those that were skipped for what renders them, by their names.
    paths: dict[str, str] = field(default_factory=dict)
    #: What rendering says of itself, a line each.
    notes: list[str] = field(default_factory=list)
    #: What deployers that were followed deploy, each with the names of the files that hold its objects.
    deployments: list[tuple[DeploymentResult, frozenset[str]]] = field(default_factory=list)
    #: (API group, kind) of deployers' objects that were followed: what they deploy is among the files, or is told.
    followed: frozenset[tuple[str, str]] = frozenset()


class UsageError(ValueError):
    """A path that the user named does not exist or matches nothing."""


def is_markdown(name: str) -> bool:
    """Whether a file is a document by its name."""
    return name.lower().endswith((".md", ".markdown"))


def is_within(path: str, folder: str) -> bool:
    """Whether a path is a folder, or below it. Both are absolute and normal."""
    return path == folder or path.startswith(os.path.join(folder, ""))


def display_name(path: str) -> str:
    """A path as reports name it: relative to the working directory, ``/`` between its parts, valid Unicode."""
    relative = os.path.relpath(path) if os.path.isabs(path) else os.path.normpath(path)
    name = os.fsencode(relative).decode("utf-8", "backslashreplace")
    return name.replace(os.sep, "/") if os.sep != "/" else name


def discover(arguments: Sequence[str], *, ignore: bool = True, max_file_size: int = DEFAULT_MAX_FILE_SIZE) -> Discovery:
    """The manifest files that paths, directories and glob patterns name.

    Files that are named themselves are read whatever their extension and whatever is ignored. Symbolic links are
    followed where the user names one, or where they stay inside the tree. Raises UsageError for a path that does not
    exist.
    """
    walk = _Walk(ignore, max_file_size)
    for argument in arguments:
        for path in _expand(argument):
            if os.path.isdir(path):
                walk.tree(path)
            else:
                walk.single(path)
    return walk.finish()


def names_files(argument: str) -> bool:
    """Whether an argument is a file or directory, or a pattern of some."""
    try:
        return bool(_expand(argument))
    except (UsageError, OSError, ValueError):
        # Nothing of that name, or no name that a file could have.
        return False


def _expand(argument: str) -> Iterable[str]:
    if os.path.lexists(argument):
        return (argument,)
    if glob.has_magic(argument):
        matches = sorted(glob.glob(argument, recursive=True, include_hidden=False))
        if matches:
            return matches
        raise UsageError(f"no file matches {argument}")
    raise UsageError(f"{argument} does not exist")


class _Ignore(NamedTuple):
    """The patterns of one ignore file, and the real path of its directory."""

    base: str
    spec: GitIgnoreSpec
    of_git: bool


class _Walk:
    def __init__(self, ignore: bool, max_file_size: int) -> None:
        self.ignore = ignore
        self.max_file_size = max_file_size
        self.found = Discovery()
        #: Real path → the name of the kustomization that uses the file as a patch.
        self.patches: dict[str, str] = {}
        self.resources: set[str] = set()
        #: Real path → the file, in order of discovery; links wait until all real files are known.
        self.files: dict[str, SourceFile] = {}
        self.links: list[tuple[str, str]] = []
        #: What each kustomization uses, by its path.
        self.kustomizations: dict[str, UsedFiles] = {}
        self.by_folder: dict[str, UsedFiles] | None = None
        self.trees: list[str] = []
        #: Real paths of the directories that were read.
        self.walked: set[str] = set()
        self.repositories: dict[str, TrackedFiles] = {}
        #: Kustomizations and charts of the trees, by their real paths.
        self.to_build: dict[str, Renderable] = {}
        self.to_template: dict[str, Renderable] = {}

    def skip(self, path: str, reason: str, detail: str) -> None:
        self.found.skipped.append(Skipped(display_name(path), reason, detail))

    def fail(self, path: str, message: str) -> None:
        self.found.errors.append(ReadError(file=display_name(path), message=message))

    # --- one file that the user named ---

    def single(self, path: str) -> None:
        directory = os.path.dirname(os.path.abspath(path))
        # A patch is often given by itself (pre-commit passes changed files): its kustomization is near it.
        for parent in (directory, *map(str, list(Path(directory).parents)[:3])):
            self.kustomization(parent)
            if os.path.lexists(os.path.join(parent, ".git")):
                break
        if os.path.basename(path) in KUSTOMIZATION_NAMES and os.path.isfile(path):
            self.renderable_kustomization(os.path.dirname(path) or ".", os.path.realpath(directory))
        if os.path.basename(os.path.dirname(os.path.abspath(path))) == "templates" and os.path.isfile(
            os.path.join(os.path.dirname(directory), "Chart.yaml")
        ):
            self.skip(
                path, "helm-template", "a template of a Helm chart: render it (helm template CHART | kubeassay scan -)"
            )
            return
        self.add(path)

    def renderable_kustomization(self, directory: str, tree: str) -> None:
        file = next((name for name in KUSTOMIZATION_NAMES if os.path.isfile(os.path.join(directory, name))), None)
        if file is not None:
            real = os.path.realpath(directory)
            self.to_build.setdefault(real, Renderable(real, display_name(os.path.join(directory, file)), tree))

    def kustomization(self, directory: str) -> None:
        for name in KUSTOMIZATION_NAMES:
            path = os.path.join(directory, name)
            if path in self.kustomizations or not os.path.isfile(path):
                continue
            used = self.kustomizations[path] = used_files(path)
            self.resources.update(used.resources)
            self.patches.update(dict.fromkeys(used.patches, f"{os.path.basename(os.path.abspath(directory))}/{name}"))

    def add(self, path: str, role: tuple[str, str] | None = None) -> None:
        try:
            self.found_file(path, display_name(path), os.path.realpath(path), os.stat(path), role)
        except OSError as error:
            self.fail(path, f"cannot be read: {error.strerror}")

    def found_file(self, path: str, name: str, real: str, status: os.stat_result, role: tuple[str, str] | None) -> None:
        if not stat.S_ISREG(status.st_mode):
            self.fail(path, "is not a regular file")
            return
        if status.st_size > self.max_file_size:
            self.fail(
                path,
                f"is larger than {self.max_file_size // 2**20} MiB ({status.st_size / 2**20:.0f} MiB); "
                "raise the limit with --max-file-size",
            )
            return
        if role is None and os.path.basename(path) in KUSTOMIZATION_NAMES:
            role = ("kustomization", "a kustomization: render it (kustomize build DIR | kubeassay scan -)")
        self.files.setdefault(real, SourceFile(path, name, status.st_size, role))

    # --- a tree ---

    def tree(self, root: str) -> None:
        real_root = os.path.realpath(root)
        self.trees.append(real_root)
        specs = list(self.parent_specs(real_root)) if self.ignore else []
        if self.ignored(real_root, specs, True):
            # A directory that is named itself is read, as a file is. Rendered manifests often are in an ignored one.
            specs = []
        self.directory(root, real_root, specs, in_chart=False)

    def parent_specs(self, real_root: str) -> Iterator[_Ignore]:
        """Ignore files above the tree, up to the root of its repository, outermost first."""
        parents = []
        directory = real_root
        while not os.path.lexists(os.path.join(directory, ".git")):
            parent = os.path.dirname(directory)
            if parent == directory:
                return
            directory = parent
            parents.append(directory)
        for parent in reversed(parents):
            yield from self.specs_in(parent, parent)

    def specs_in(self, path: str, real: str) -> Iterator[_Ignore]:
        for name in IGNORE_FILES:
            ignore_file = os.path.join(path, name)
            if not os.path.isfile(ignore_file):
                continue
            # Imported here: most trees that a pull request scans are small, and the import takes longer than they do.
            from pathspec import GitIgnoreSpec

            try:
                with open(ignore_file, encoding="utf-8", errors="replace") as lines:
                    spec = GitIgnoreSpec.from_lines(lines.read().splitlines())
                    yield _Ignore(real, spec, name == ".gitignore")
            except (OSError, ValueError) as error:
                self.fail(ignore_file, f"cannot be used: {error}")

    def ignored(self, real: str, specs: list[_Ignore], directory: bool) -> bool:
        for ignore in reversed(specs):
            relative = os.path.relpath(real, ignore.base).replace(os.sep, "/")
            verdict = ignore.spec.check_file(relative + "/" if directory else relative).include
            if verdict is not None:
                return verdict and not (ignore.of_git and self.tracked(real, directory))
        return False

    def tracked(self, real: str, directory: bool) -> bool:
        """Whether git tracks the file, or any below the directory: it ignores only what it does not track."""
        root = os.path.dirname(real)
        while not os.path.lexists(os.path.join(root, ".git")):
            parent = os.path.dirname(root)
            if parent == root:
                return False
            root = parent
        if root not in self.repositories:
            self.repositories[root] = TrackedFiles(root)
        return self.repositories[root].tracks(real, directory=directory)

    def directory(self, path: str, real: str, specs: list[_Ignore], *, in_chart: bool) -> None:
        try:
            with os.scandir(path) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            self.fail(path, f"cannot be read: {error.strerror}")
            return
        self.walked.add(real)
        names = {entry.name for entry in entries}
        if self.ignore and not names.isdisjoint(IGNORE_FILES):
            specs = [*specs, *self.specs_in(path, real)]
        if not names.isdisjoint(KUSTOMIZATION_NAMES):
            self.kustomization(path)
            self.renderable_kustomization(path, self.trees[-1])
        chart = "Chart.yaml" in names
        if chart and not in_chart:
            file = display_name(os.path.join(path, "Chart.yaml"))
            self.to_template.setdefault(real, Renderable(real, file, self.trees[-1]))
        # Worked out once for the directory: in a large tree, resolving each path by itself takes longer than reading
        # the directories.
        prefix = _prefix(display_name(path))
        for entry in entries:
            name = entry.name
            entry_path = os.path.join(path, name)
            entry_real = os.path.join(real, name)
            if entry.is_symlink():
                manifest = name.lower().endswith(EXTENSIONS)
                # To git, a link to a directory is a file.
                if manifest and specs and self.ignored(entry_real, specs, False):
                    self.skip(entry_path, "ignored", "a file that an ignore file names")
                elif manifest or os.path.isdir(entry_path):
                    self.links.append((entry_path, real))
                continue
            if entry.is_dir(follow_symlinks=False):
                if name in _NEVER:
                    continue
                if specs and self.ignored(entry_real, specs, True):
                    self.skip(entry_path, "ignored", "a directory that an ignore file names")
                elif chart and name == "templates":
                    self.templates(entry_path)
                else:
                    self.directory(entry_path, entry_real, specs, in_chart=in_chart or chart)
                continue
            if not name.lower().endswith(EXTENSIONS) and name not in KUSTOMIZATION_NAMES:
                continue
            if specs and self.ignored(entry_real, specs, False):
                self.skip(entry_path, "ignored", "a file that an ignore file names")
            else:
                shown = prefix + os.fsencode(name).decode("utf-8", "backslashreplace")
                try:
                    status = entry.stat(follow_symlinks=False)
                except OSError as error:
                    self.fail(entry_path, f"cannot be read: {error.strerror}")
                    continue
                self.found_file(entry_path, shown, entry_real, status, _chart_role(name) if chart else None)

    def templates(self, path: str) -> None:
        for directory, directories, names in os.walk(path):
            directories.sort()
            for name in sorted(names):
                if name.lower().endswith(EXTENSIONS):
                    template = os.path.join(directory, name)
                    self.found.paths[display_name(template)] = os.path.realpath(template)
                    self.skip(
                        template,
                        "helm-template",
                        "a template of a Helm chart: render it (helm template CHART | kubeassay scan -)",
                    )

    # --- what can be told only when everything was seen ---

    def finish(self) -> Discovery:
        for path, real_directory in self.links:
            self.link(path, real_directory)
        listings = self.mere_listings()
        for real, file in self.files.items():
            if file.role is not None and file.role[0] == "kustomization" and os.path.dirname(real) in listings:
                file = replace(
                    file, role=("not-kubernetes", "a kustomization that only lists files, which are scanned")
                )
            self.found.paths[file.name] = real
            patch = self.patches.get(real)
            if patch is not None and real not in self.resources:
                self.skip(
                    file.path, "kustomize-patch", f"a patch of {patch}: it is judged when its kustomization is rendered"
                )
            else:
                self.found.files.append(file)
        self.found.files.sort(key=lambda file: file.name)
        used, components = self.used(), self.components()
        chosen = {real for real in self.to_build if real not in used and real not in components | listings}
        chosen |= set(self.only_in_cycles(chosen | components | listings))
        self.found.kustomizations = [found for real, found in sorted(self.to_build.items()) if real in chosen]
        self.found.charts = [found for _, found in sorted(self.to_template.items())]
        self.found.changed_by = dict(self.changed_files())
        self.found.listings = {display_name(path) for path, used in self.kustomizations.items() if not used.changes}
        return self.found

    def used(self) -> set[str]:
        """The real paths of all that kustomizations have as resources."""
        return {real for kustomization in self.kustomizations.values() for real in kustomization.resources}

    def components(self) -> set[str]:
        """The real paths of the folders of Components."""
        return {os.path.realpath(os.path.dirname(path)) for path, uses in self.kustomizations.items() if uses.component}

    def mere_listings(self) -> set[str]:
        """The folders of kustomizations of which all that they make stands in files that are scanned. Where two list
        the same file, each makes an object of it, in another cluster perhaps."""
        outermost = set(self.to_build) - self.used() - self.components()
        reached = {folder: self.reached(folder) for folder in outermost}
        shared = Counter(real for several in reached.values() for real in several)
        return {
            folder
            for folder in self.to_build
            if self.only_lists(folder) and all(shared[real] < 2 for real in reached.get(folder, ()))
        }

    def reached(self, folder: str) -> set[str]:
        """The real paths of what a kustomization has as resources, and of what these have."""
        found, waiting = set[str](), [folder]
        while waiting:
            uses = self.used_in(waiting.pop())
            more = uses.resources - found if uses is not None else ()
            found.update(more)
            waiting += more
        return found

    def only_in_cycles(self, others: Iterable[str]) -> Iterator[str]:
        """Of kustomizations that use each other in a circle, and that no other one uses, one of each circle: the tool
        says of it what is wrong."""
        reached, waiting = set[str](), list(others)
        for left in (None, *sorted(self.to_build)):
            if left is not None:
                if left in reached:
                    continue
                yield left
                waiting.append(left)
            while waiting:
                folder = waiting.pop()
                if folder not in reached:
                    reached.add(folder)
                    uses = self.used_in(folder)
                    waiting += uses.resources if uses is not None else ()

    def only_lists(self, real: str) -> bool:
        """Whether the kustomization of a folder makes nothing but what stands in files of the tree, and what others
        make that do so, too."""
        waiting, seen = [real], set[str]()
        while waiting:
            folder = waiting.pop()
            if folder in seen:
                continue
            seen.add(folder)
            used = self.used_in(folder)
            if used is None or used.changes or used.component:
                return False
            for resource in used.resources:
                if os.path.isdir(resource):
                    waiting.append(resource)
                elif resource not in self.files:
                    return False
        return True

    def used_in(self, folder: str) -> UsedFiles | None:
        """What the kustomization of a folder (a real path) uses; None where there is none that was read."""
        if self.by_folder is None:
            # Asked for at the end, when all were read.
            self.by_folder = {
                os.path.realpath(os.path.dirname(path)): used for path, used in self.kustomizations.items()
            }
        return self.by_folder.get(folder)

    def changed_files(self) -> Iterator[tuple[str, str]]:
        """The files that reach a kustomization which changes what stands in them, through others that may only list
        them, each with it."""
        for path, used in sorted(self.kustomizations.items()):
            if not used.changes:
                continue
            waiting, seen = sorted(used.resources), set[str]()
            while waiting:
                real = waiting.pop()
                if real in seen:
                    continue
                seen.add(real)
                if real in self.files:
                    yield self.files[real].name, display_name(path)
                else:
                    further = self.used_in(real)
                    waiting += sorted(further.resources) if further is not None else ()

    def link(self, path: str, real_directory: str) -> None:
        target = os.path.realpath(path)
        if not os.path.exists(target):
            self.fail(path, "is a symbolic link to nothing, or to itself")
            return
        if target in self.files:
            self.skip(path, "symlink", f"a symbolic link to {self.files[target].name}, which is scanned")
            return
        tree = self.tree_of(real_directory)
        if os.path.isdir(target):
            if target in self.walked:
                self.skip(path, "symlink", "a symbolic link to a directory of the scanned tree")
            else:
                self.fail(path, "is a symbolic link to a directory that is not scanned itself; it is not followed")
        elif tree is not None and is_within(target, tree):
            self.add(path)
        else:
            self.fail(path, "is a symbolic link out of the scanned tree; it is not followed")

    def tree_of(self, real_directory: str) -> str | None:
        """The scanned tree that a directory belongs to."""
        return next((tree for tree in self.trees if is_within(real_directory, tree)), None)


def _prefix(directory: str) -> str:
    return "" if directory == "." else directory if directory.endswith("/") else directory + "/"


def _chart_role(name: str) -> tuple[str, str] | None:
    """What a file beside a Chart.yaml is by its name."""
    if name in ("Chart.yaml", "Chart.lock"):
        return "not-kubernetes", "the description of a Helm chart"
    if name == "values.schema.json":
        return "not-kubernetes", "the values schema of a Helm chart"
    if name.startswith("values") and not name.lower().endswith(".json"):
        return "helm-values", "the values of a Helm chart"
    return None
