"""The manifests of a repository at another revision, for a comparison with the working tree.

Git gives the commit's files as they are stored (``ls-tree``, ``cat-file``): neither hooks nor filters nor attributes of
the repository are run or applied. They are written to a folder, so that they are discovered as the working tree is.
"""

from __future__ import annotations

import glob
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from kubeassay.sources.files import EXTENSIONS, Discovery, UsageError, discover, display_name
from kubeassay.sources.kustomize import KUSTOMIZATION_NAMES

#: Of a scan's own ignore files; what a commit holds is tracked, so that .gitignore hides none of it.
_IGNORE_FILE = ".kubeassayignore"
_REGULAR, _EXECUTABLE, _LINK, _SUBMODULE = b"100644", b"100755", b"120000", b"160000"


@dataclass(frozen=True, slots=True)
class TreeAt:
    """``commit``: its hash. ``left_out``: submodules, whose files are in other repositories."""

    commit: str
    discovery: Discovery
    left_out: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Entry:
    mode: bytes
    object: bytes
    #: Relative to the repository's root.
    name: str


def tree_at(revision: str, paths: Sequence[str], folder: Path, *, ignore: bool, max_file_size: int) -> TreeAt:
    """What the paths of the working tree name in a commit. ``folder``: an empty one, which has to be there while the
    files are read. ``revision``: as git has it; with ``...`` at its end, the merge base of it and HEAD.

    Raises UsageError where the paths are of no repository, or it has no such revision.
    """
    root = _root(paths)
    commit = _commit(root, revision)
    names = [os.path.relpath(os.path.realpath(_static(path)), root) for path in paths]
    entries = list(_entries(root, commit, names))
    named = {os.path.relpath(os.path.realpath(path), root) for path in paths}
    chosen = [entry for entry in entries if _is_wanted(entry, named)]
    real_folder = os.path.realpath(folder)
    for entry, content in zip(chosen, _contents(root, [entry.object for entry in chosen]), strict=True):
        _store(entry, content, real_folder)
    arguments = [os.path.join(real_folder, os.path.relpath(_absolute(path), root)) for path in paths]
    there = [argument for argument in arguments if os.path.lexists(argument) or glob.glob(argument, recursive=True)]
    found = discover(there, ignore=ignore, max_file_size=max_file_size)
    folders = {os.path.join(real_folder, name): _static(path) for path, name in zip(paths, names, strict=True)}
    found.files = [replace(file, name=_name(file.path, folders)) for file in found.files]
    submodules = tuple(entry.name for entry in entries if entry.mode == _SUBMODULE)
    return TreeAt(commit, found, submodules)


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
    there, here = max((pair for pair in folders.items() if _is_in(path, pair[0])), key=lambda pair: len(pair[0]))
    return display_name(os.path.join(here, os.path.relpath(path, there)))


def _is_in(path: str, folder: str) -> bool:
    return os.path.commonpath((path, os.path.normpath(folder))) == os.path.normpath(folder)


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
    listed = _git(root, "--literal-pathspecs", "ls-tree", "-r", "-z", "--full-tree", commit, *_unless_all(names))
    for line in listed.split(b"\0"):
        if line:
            description, _, path = line.partition(b"\t")
            mode, _, number = description.split(b" ")
            yield _Entry(mode, number, os.fsdecode(path))


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


def _contents(root: str, objects: Sequence[bytes]) -> Iterator[bytes]:
    answer = _git(root, "cat-file", "--batch", questions=b"".join(number + b"\n" for number in objects))
    position = 0
    for _ in objects:
        end = answer.index(b"\n", position)
        size = int(answer[position:end].split(b" ")[2])
        yield answer[end + 1 : end + 1 + size]
        position = end + 1 + size + 1


def _store(entry: _Entry, content: bytes, folder: str) -> None:
    path = os.path.join(folder, entry.name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if entry.mode == _LINK:
        # One that leads out of the tree leads nowhere here, and is told as such.
        target = os.path.normpath(os.path.join(os.path.dirname(path), os.fsdecode(content)))
        if target.startswith(folder + os.sep):
            os.symlink(os.fsdecode(content), path)
        return
    with open(path, "wb") as stream:
        stream.write(content)


def _git(folder: str, *arguments: str, questions: bytes = b"") -> bytes:
    try:
        done = subprocess.run(
            ["git", "--no-optional-locks", "-c", "core.fsmonitor=false", "-C", folder, *arguments],
            input=questions,
            capture_output=True,
            check=False,
            # Nothing is asked of a person, or of a server: what a partial clone lacks is an error.
            env={**os.environ, "GIT_TERMINAL_PROMPT": "0", "GIT_NO_LAZY_FETCH": "1", "LC_ALL": "C"},
        )
    except FileNotFoundError:
        raise UsageError("--since needs git, which is not on PATH") from None
    if done.returncode:
        said = " ".join(done.stderr.decode("utf-8", "replace").split()) or f"git {arguments[0]} failed"
        raise UsageError(f"--since: {said}")
    return done.stdout
