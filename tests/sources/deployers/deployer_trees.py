"""Trees of files, and the objects in them, for tests of deployers."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from kit import objects_in
from kubeassay.model import Object
from kubeassay.sources.deployers.follow import Followed, Follower
from kubeassay.sources.deployers.model import Deployment, NotFollowed
from kubeassay.sources.deployers.repositories import Repositories, local_repository

URL = "https://git.example/shop/deploy.git"
_CONFIG = f'[core]\n\tbare = false\n[remote "origin"]\n\turl = {URL}\n'
KUSTOMIZATION = "resources: [web.yaml]\n"
CHART = "apiVersion: v2\nname: web\nversion: 1.0.0\n"
CONFIG_MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\n"


def tree(folder: Path, files: Mapping[str, str], *, git: bool = True) -> Path:
    """Write files below a folder; with ``git`` as a repository of the remote ``URL``, on branch main."""
    every = dict(files)
    if git:
        every |= {".git/config": _CONFIG, ".git/HEAD": "ref: refs/heads/main\n"}
    for name, text in every.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return Path(os.path.realpath(folder))


def repositories(root: Path, named: Mapping[str, str] | None = None) -> Repositories:
    """The repositories of a scan of a tree."""
    return Repositories(local_repository(str(root)), named)


def app(source: str, *, name: str = "web", rest: str = "") -> str:
    """The text of an Application with one source: its fields, indented by four spaces."""
    return f"""apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {{name: {name}, namespace: argocd}}
spec:
  project: shop
  destination: {{server: https://kubernetes.default.svc, namespace: shop}}
  source:
    repoURL: {URL}
{source}
{rest}
"""


def follow(root: Path, text: str | Iterable[Object], named: Mapping[str, str] | None = None) -> Followed:
    """What is found of the objects of a text, once nothing more is given."""
    follower = Follower(repositories(root, named))
    found = follower.follow(objects_in(text) if isinstance(text, str) else text)
    last = follower.finish()
    found.not_followed += last.not_followed
    return found


def one(root: Path, text: str, named: Mapping[str, str] | None = None) -> Deployment:
    """The only deployment of a text."""
    found = follow(root, text, named)
    assert len(found.deployments) == 1, (found.deployments, found.not_followed, found.errors)
    return found.deployments[0]


def said(problems: Iterable[NotFollowed]) -> set[tuple[str, int]]:
    """(reason, line) of what was not followed."""
    return {(problem.reason, problem.line) for problem in problems}
