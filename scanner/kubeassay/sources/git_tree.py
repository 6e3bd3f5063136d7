"""The manifests of a repository at another revision, for a comparison with the working tree.

Git gives the commit's files as they are stored (``ls-tree``, ``cat-file``): neither hooks nor filters nor attributes of
the repository are run or applied. They are written to a folder, so that they are discovered as the working tree is.
"""

from __future__ import annotations

import glob
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath

from kubeassay.sources.files import EXTENSIONS, Discovery, UsageError, discover, display_name, is_within
from kubeassay.sources.kustomize import KUSTOMIZATION_NAMES

#: Of a scan's own ignore files; what a commit holds is tracked, so that .gitignore hides none of it.
_IGNORE_FILE = ".kubeassayignore"
_REGULAR, _EXECUTABLE, _LINK, _SUBMODULE = b"100644", b"100755", b"120000", b"160000"
#: Parts of names that git refuses, and that a tree which was not made by git may have all the same.
_REFUSED = frozenset({"", ".", "..", ".git"})
#: What git tells its hooks of the repository that it works at. The paths say which one is meant here: with GIT_DIR,
#: git would take any folder for the root of its working tree.
_OF_HOOKS = ("GIT_DIR", "GIT_WORK_TREE", "GIT_COMMON_DIR", "GIT_INDEX_FILE", "GIT_PREFIX")


@dataclass(frozen=True, slots=True)
class TreeAt:
    """``commit``: its hash. ``left_out``: submodules, whose files are in other repositories. ``root``: the real path of
    the folder that has the commit's files, and ``repository`` that of the working tree which they are of. ``named``:
    what reports call a file by its path below ``root``. ``too_many``: of the files that a rendering may need, so many
    were left out, since all together are too large."""

    commit: str
    discovery: Discovery
    left_out: tuple[str, ...]
    root: str
    repository: str
    named: Callable[[str], str]
    too_many: int = 0


@dataclass(frozen=True, slots=True)
class _Entry:
    mode: bytes
    object: bytes
    #: Relative to the repository's root.
    name: str


def tree_at(
    revision: str,
    paths: Sequence[str],
    folder: Path,
    *,
    ignore: bool,
    max_file_size: int,
    render: bool = False,
    follow: bool = False,
) -> TreeAt:
    """What the paths of the working tree name in a commit. ``folder``: an empty one, which has to be there while the
    files are read. ``revision``: as git has it; with ``...`` at its end, the merge base of it and HEAD. ``render``:
    whether kustomizations and charts are to be rendered, which may need any file of the repository; ``follow``: whether
    what deployers deploy is, which may.

    Raises UsageError where the paths are of no repository, or it has no such revision.
    """
    root = _root(paths)
    commit = _commit(root, revision)
    names = [os.path.relpath(os.path.realpath(_static(path)), root) for path in paths]
    entries = list(_entries(root, commit, names))
    named = {os.path.relpath(os.path.realpath(path), root) for path in paths}
    chosen = [entry for entry in entries if _is_wanted(entry, named)]
    too_many = 0
    if follow or (render and any(os.path.basename(entry.name) in _RENDERABLE for entry in chosen)):
        known = {entry.name for entry in chosen}
        small, too_many = _small(root, _entries(root, commit, ["."]))
        chosen += [entry for entry in small if entry.name not in known]
    real_folder = os.path.realpath(folder)
    # The root of a repository, or ignore files around the folder would be about it.
    os.mkdir(os.path.join(real_folder, ".git"))
    _store(chosen, _contents(root, chosen), real_folder)
    arguments = [os.path.join(real_folder, os.path.relpath(_absolute(path), root)) for path in paths]
    there = [argument for argument in arguments if os.path.lexists(argument) or glob.glob(argument, recursive=True)]
    found = discover(there, ignore=ignore, max_file_size=max_file_size)
    folders = {os.path.join(real_folder, name): _static(path) for path, name in zip(paths, names, strict=True)}
    renamed = {name: _name(path, folders) for name, path in found.paths.items()}
    found.files = [replace(file, name=_name(file.path, folders)) for file in found.files]
    found.paths = {_name(path, folders): path for path in found.paths.values()}
    for renderable in (found.kustomizations, found.charts):
        renderable[:] = [
            replace(one, file=_name(os.path.join(one.directory, os.path.basename(one.file)), folders))
            for one in renderable
        ]
    found.skipped = [
        replace(entry, file=renamed.get(entry.file) or _name_of_skipped(entry.file, folders)) for entry in found.skipped
    ]
    submodules = tuple(entry.name for entry in entries if entry.mode == _SUBMODULE)
    return TreeAt(
        commit,
        found,
        submodules,
        real_folder,
        root,
        partial(_name, folders=_and_root(folders, real_folder, root)),
        too_many,
    )


def _absolute(path: str) -> str:
    """The real path of a path whose last parts may be a pattern."""
    static = _static(path)
    return os.path.normpath(os.path.join(os.path.realpath(static), os.path.relpath(path, static)))


def _static(path: str) -> str:
    """A path as it is, or the folder in front of its first wildcard."""
    if os.path.lexists(path) or not glob.has_magic(path):
        return path
    parts = Path(path).parts
    number = next(number for number, part in enumerate(parts) if glob.has_magic(part))
    return os.path.join(*parts[:number]) if number else "."


def _name(path: str, folders: Mapping[str, str]) -> str:
    """What the working tree's file is called. ``folders``: those of the copy → those that the user named."""
    around = (pair for pair in folders.items() if is_within(path, os.path.normpath(pair[0])))
    there, here = max(around, key=lambda pair: len(pair[0]))
    return display_name(os.path.join(here, os.path.relpath(path, there)))


def _name_of_skipped(file: str, folders: Mapping[str, str]) -> str:
    """What the working tree calls what was not read in the copy, as files that an ignore file names."""
    path = os.path.abspath(file)
    return _name(path, folders) if any(is_within(path, os.path.normpath(folder)) for folder in folders) else file


def _and_root(folders: Mapping[str, str], there: str, here: str) -> Mapping[str, str]:
    """Folders of the copy → those of the working tree, with the roots of both: what is deployed may lie anywhere."""
    return {**folders, there: folders.get(there, here)}


def _root(paths: Sequence[str]) -> str:
    roots = set()
    for path in paths:
        real = os.path.realpath(_static(path))
        folder = real if os.path.isdir(real) else os.path.dirname(real)
        # It may be gone in the working tree.
        while not os.path.isdir(folder):
            folder = os.path.dirname(folder)
        roots.add(
            os.path.realpath(_git(folder, "rev-parse", "--show-toplevel").decode("utf-8", "surrogateescape")[:-1])
        )
    if len(roots) > 1:
        raise UsageError(
            f"--since: the paths are of several repositories: {', '.join(sorted(map(display_name, roots)))}"
        )
    return roots.pop()


def _commit(root: str, revision: str) -> str:
    name = revision.removesuffix("...")
    try:
        found = _git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    except UsageError:
        raise UsageError(
            f"--since {revision}: the repository has no such revision (a shallow clone has few: fetch more of it)"
        ) from None
    commit = found.decode().strip()
    if not revision.endswith("..."):
        return commit
    try:
        return _git(root, "merge-base", commit, "HEAD").decode().strip()
    except UsageError:
        raise UsageError(
            f"--since {revision}: it has no commit in common with HEAD (a shallow clone has few: fetch more of it)"
        ) from None


def _entries(root: str, commit: str, names: Sequence[str]) -> Iterator[_Entry]:
    for name in names:
        if name == ".." or name.startswith("../"):
            raise UsageError(f"--since: {name} is outside of the repository")
    # Without "--" and patterns: a name with a star is that name.
    wanted = [*names, *sorted(_around(names))]
    listed = _git(root, "--literal-pathspecs", "ls-tree", "-r", "-z", "--full-tree", commit, *_unless_all(wanted))
    for line in listed.split(b"\0"):
        if line:
            description, _, path = line.partition(b"\t")
            mode, _, number = description.split(b" ")
            yield _Entry(mode, number, os.fsdecode(path))


#: All of a repository that a rendering may need is this much at most, in bytes; of one file, this much.
_MOST_OF_ALL, _MOST_OF_ONE = 256 * 2**20, 4 * 2**20
#: Files that ask for a rendering.
_RENDERABLE = frozenset({*KUSTOMIZATION_NAMES, "Chart.yaml"})


def _small(root: str, entries: Iterator[_Entry]) -> tuple[list[_Entry], int]:
    """The files of a commit that a rendering may need, and links: those that are not too large; and how many of them
    are left out for what all have together."""
    files = [entry for entry in entries if entry.mode in (_REGULAR, _EXECUTABLE, _LINK)]
    questions = b"".join(entry.object + b"\n" for entry in files)
    answers = _git(root, "cat-file", "--batch-check=%(objectsize)", questions=questions).split(b"\n")
    chosen: list[_Entry] = []
    total = left_out = 0
    for entry, answer in zip(files, answers, strict=False):
        size = int(answer) if answer.isdigit() else _MOST_OF_ONE + 1
        if size > _MOST_OF_ONE:
            continue
        if total + size > _MOST_OF_ALL:
            left_out += 1
            continue
        total += size
        chosen.append(entry)
    return chosen, left_out


def _around(names: Sequence[str]) -> set[str]:
    """What above the names says what of them is read, and as what."""
    folders = {str(parent) for name in names for parent in PurePosixPath(name).parents}
    return {
        os.path.join("" if folder == "." else folder, name)
        for folder in folders
        for name in (_IGNORE_FILE, *KUSTOMIZATION_NAMES, "Chart.yaml")
    }


def _unless_all(names: Sequence[str]) -> Sequence[str]:
    return () if "." in names else ("--", *names)


def _is_wanted(entry: _Entry, named: set[str]) -> bool:
    if entry.mode not in (_REGULAR, _EXECUTABLE, _LINK):
        return False
    return (
        entry.name in named
        or entry.mode == _LINK
        or entry.name.lower().endswith(EXTENSIONS)
        or os.path.basename(entry.name) in (_IGNORE_FILE, *KUSTOMIZATION_NAMES)
    )


def _contents(root: str, entries: Sequence[_Entry]) -> Iterator[bytes]:
    answer = _git(root, "cat-file", "--batch", questions=b"".join(entry.object + b"\n" for entry in entries))
    position = 0
    for entry in entries:
        end = answer.index(b"\n", position)
        said = answer[position:end].split(b" ")
        if len(said) != 3:
            raise UsageError(f"--since: the repository lacks {display_name(entry.name)} as it was (git fsck says more)")
        size = int(said[2])
        yield answer[end + 1 : end + 1 + size]
        position = end + 1 + size + 1


def _store(entries: Sequence[_Entry], contents: Iterator[bytes], folder: str) -> None:
    links: list[tuple[str, bytes]] = []
    for entry, content in zip(entries, contents, strict=True):
        if not _REFUSED.isdisjoint(entry.name.split("/")):
            raise UsageError(f"--since: the commit has a file {display_name(entry.name)}, which git would not make")
        path = os.path.join(folder, entry.name)
        if entry.mode == _LINK:
            links.append((path, content))
            continue
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            # Never one that is there: two entries of one name.
            with open(path, "xb") as stream:
                stream.write(content)
        except OSError as error:
            raise UsageError(
                f"--since: {display_name(entry.name)} of the commit cannot be written to {folder}: {error.strerror}"
            ) from None
    # After the files: none is written through a link.
    _link(links, folder)


def _link(links: Sequence[tuple[str, bytes]], folder: str) -> None:
    """Make links; not those that lead out of the tree, which lead nowhere here, and are told as such."""
    made = []
    for path, content in links:
        target = os.path.normpath(os.path.join(os.path.dirname(path), os.fsdecode(content)))
        if not _is_below(target, folder) or not _is_below(os.path.realpath(path), folder):
            continue
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            os.symlink(content, os.fsencode(path))
            made.append(path)
        except (OSError, ValueError):
            # A name that no file can have (ValueError: with NUL), or that another entry has.
            continue
    # One may lead out by way of others.
    for path in made:
        if not _is_below(os.path.realpath(path), folder):
            os.unlink(path)


def _is_below(path: str, folder: str) -> bool:
    return path.startswith(folder + os.sep)


def _git(folder: str, *arguments: str, questions: bytes = b"") -> bytes:
    environment = {name: value for name, value in os.environ.items() if name not in _OF_HOOKS}
    # Nothing is asked of a person, or of a server: what a partial clone lacks is an error.
    environment |= {"GIT_TERMINAL_PROMPT": "0", "GIT_NO_LAZY_FETCH": "1", "GIT_ALLOW_PROTOCOL": "none", "LC_ALL": "C"}
    try:
        done = subprocess.run(
            ["git", "--no-optional-locks", "-c", "core.fsmonitor=false", "-C", folder, *arguments],
            input=questions,
            capture_output=True,
            check=False,
            env=environment,
        )
    except FileNotFoundError:
        raise UsageError("--since needs git, which is not on PATH") from None
    if done.returncode:
        said = " ".join(done.stderr.decode("utf-8", "replace").split()) or f"git {arguments[0]} failed"
        raise UsageError(f"--since: {said}")
    return done.stdout
