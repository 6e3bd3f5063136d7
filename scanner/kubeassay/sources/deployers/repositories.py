"""Which folder of this machine holds what lies in a repository of an address.

The scanned tree is the repository of its remotes; of others the user says the folder (``--repo URL=DIR``). Nothing is
fetched, and git is not run: its configuration is read as text, without what it includes.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from kubeassay.analysis.gitops.revisions import git_revision
from kubeassay.sources.manifests import regular_content

_MOST = 2**18
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_SCP = re.compile(r"(?:[^/@:\s]+@)?([^/:\s]+):(?!//)(.*)\Z", re.DOTALL)
_DEFAULT_PORTS = {"https": "443", "http": "80", "ssh": "22", "git": "9418"}
_SECTION = re.compile(r"\s*\[\s*([A-Za-z0-9.-]+)(?:\s+\"((?:[^\"\\]|\\.)*)\")?\s*\]")
_BRANCH = re.compile(r"ref: refs/heads/(\S+)\s*\Z")


def repository_key(url: str) -> str:
    """An address as it is compared: without scheme, user, password, default port, query and ``.git``, in lower case.

    Argo CD compares less (util/git, NormalizeGitURL: case, ``.git`` and the form ``user@host:path``); that an address
    of ssh and one of https mean one repository is what this adds: a remote is often cloned by the other of the two.
    "" for what is no address.
    """
    text = url.strip()
    scheme = _SCHEME.match(text)
    if scheme:
        kind = scheme[0][:-3].lower()
        host, _, path = text[scheme.end() :].partition("/")
        host = host.rpartition("@")[2]
        port = _DEFAULT_PORTS.get(kind)
        if port is not None:
            host = host.removesuffix(f":{port}")
        path = re.split(r"[?#]", path, maxsplit=1)[0]
    else:
        scp = _SCP.match(text)
        if scp is None:
            # A path of this machine, or a registry without its scheme.
            return text.lower().rstrip("/").removesuffix(".git").rstrip("/")
        host, path = scp[1], scp[2]
    path = path.strip("/").removesuffix(".git").rstrip("/")
    return f"{host}/{path}".lower().rstrip("/") if host else ""


@dataclass(frozen=True, slots=True)
class Repository:
    """A folder that holds a repository. ``root``: its real path. ``keys``: the addresses that it is known by, as they
    are compared. ``branch``: the one that is checked out, "" where that is not known."""

    root: str
    keys: frozenset[str] = frozenset()
    branch: str = ""


def local_repository(tree: str) -> Repository:
    """The repository that a tree is of: the nearest folder above with ``.git``, else the tree itself, without
    addresses. ``tree``: a folder's path."""
    real = os.path.realpath(tree)
    folder = real
    while True:
        if os.path.lexists(os.path.join(folder, ".git")):
            return _of_git(folder)
        parent = os.path.dirname(folder)
        if parent == folder:
            return Repository(real)
        folder = parent


def _of_git(root: str) -> Repository:
    directory = os.path.join(root, ".git")
    if os.path.isfile(directory):
        pointer = _text(directory).strip()
        target = os.path.normpath(os.path.join(root, pointer.removeprefix("gitdir:").strip()))
        # Of a worktree or a submodule. Anything else that a file of a tree points to is not opened.
        if not pointer.startswith("gitdir:") or not re.search(r"/(worktrees|modules)/", target):
            return Repository(root)
        directory = target
    common = directory
    shared = _text(os.path.join(directory, "commondir")).strip()
    if shared:
        common = os.path.normpath(os.path.join(directory, shared))
    branch = _BRANCH.match(_text(os.path.join(directory, "HEAD")))
    urls = remote_urls(_text(os.path.join(common, "config")))
    return Repository(root, frozenset(map(repository_key, urls)) - {""}, branch[1] if branch else "")


def remote_urls(config: str) -> tuple[str, ...]:
    """The addresses of the remotes in the text of a git configuration."""
    urls: list[str] = []
    section = ""
    for line in config.splitlines():
        match = _SECTION.match(line)
        if match:
            section = match[1].lower() if match[2] is not None else ""
            line = line[match.end() :]
        name, equals, value = line.partition("=")
        if section == "remote" and equals and name.strip().lower() == "url":
            urls.append(re.sub(r"\s[#;].*", "", value).strip().strip('"'))
    return tuple(url for url in urls if url)


def _text(path: str) -> str:
    try:
        content = regular_content(path, _MOST)
    except (OSError, ValueError):
        return ""
    return (content or b"").decode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class Found:
    """A repository's folder. ``assumed``: nothing says that the tree is this repository, and nothing that it is not."""

    root: str
    repository: Repository
    assumed: bool = False


class Repositories:
    """The folders of repositories by their addresses."""

    def __init__(self, tree: Repository, named: Mapping[str, str] | None = None) -> None:
        """``named``: address → folder, as the user says (it comes before the tree's remotes)."""
        self.tree = tree
        self._spoken_of: set[str] = set()
        self._named: dict[str, str] = {}
        self._folders: dict[str, Repository] = {}
        for url, folder in (named or {}).items():
            real = os.path.realpath(folder)
            self._named[repository_key(url)] = real
            self._folders[real] = local_repository(real) if os.path.isdir(real) else Repository(real)

    def speak_of(self, urls: Iterable[str]) -> None:
        """Learn which addresses of git repositories the objects of the tree name."""
        self._spoken_of.update(filter(None, map(repository_key, urls)))

    def find(self, url: str) -> Found | None:
        """The folder of a repository; None where nothing says it.

        A tree that has no remote is taken for the one repository that its objects speak of: a copy of one, often. Where
        they speak of several, nothing says which of them it is.
        """
        key = repository_key(url)
        if key in self._named:
            root = self._named[key]
            return Found(root, self._folders[root])
        if key and key in self.tree.keys:
            return Found(self.tree.root, self.tree)
        if not self.tree.keys and not self._named and key and len(self._spoken_of) < 2:
            return Found(self.tree.root, self.tree, assumed=True)
        return None


def revision_note(who: str, revision: str, repository: Repository) -> str:
    """What to say where an object names a revision that may be another than the one that lies in the tree; ""
    where there is nothing to say."""
    text = revision.strip().removeprefix("refs/heads/")
    if text in ("", "HEAD", "refs/HEAD") or text == repository.branch:
        return ""
    if not repository.branch and text in ("main", "master"):
        return ""
    what = "branch" if git_revision(revision) == "branch" else "revision"
    return f"{who} deploys {what} {text}; what lies in the tree is judged"
