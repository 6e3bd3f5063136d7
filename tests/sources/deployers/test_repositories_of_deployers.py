"""Which repository an address is, and where it lies."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from deployer_trees import URL, repositories, tree

from kit import git
from kubeassay.sources.deployers.repositories import (
    Repositories,
    Repository,
    local_repository,
    remote_urls,
    repository_key,
    revision_note,
)


@pytest.mark.parametrize(
    "url",
    [
        "https://github.com/shop/deploy",
        "https://github.com/shop/deploy.git",
        "https://github.com/Shop/Deploy.git/",
        "https://somebody:token@github.com/shop/deploy",
        "https://github.com:443/shop/deploy",
        "http://github.com/shop/deploy?ref=main",
        "ssh://git@github.com/shop/deploy.git",
        "ssh://git@github.com:22/shop/deploy",
        "git@github.com:shop/deploy.git",
        "github.com:shop/deploy",
        "  https://github.com/shop/deploy  ",
    ],
)
def test_forms_of_one_address_are_the_same(url: str) -> None:
    assert repository_key(url) == "github.com/shop/deploy"


@pytest.mark.parametrize(
    "url",
    [
        "https://github.com/shop/deploy2",
        "https://github.com/shop",
        "https://github.com:8443/shop/deploy",
        "https://gitlab.com/shop/deploy",
        "https://github.com.evil.example/shop/deploy",
        "https://evil.example/github.com/shop/deploy",
        "",
    ],
)
def test_other_addresses_are_others(url: str) -> None:
    assert repository_key(url) != "github.com/shop/deploy"


def test_remotes_are_read_from_the_text_of_a_configuration() -> None:
    text = (
        '[core]\n\turl = no\n[remote "origin"]\n\turl = https://a.example/x ; said\n\tfetch = +refs/*\n'
        '[branch "url"]\n\turl = no\n[include]\n\tpath = /etc/passwd\n[remote "up"] url = git@b.example:y.git\n'
    )
    assert remote_urls(text) == ("https://a.example/x", "git@b.example:y.git")


def test_a_folder_of_a_repository_is_of_the_whole_repository(tmp_path: Path) -> None:
    root = tree(tmp_path, {"apps/web.yaml": ""})
    found = local_repository(str(root / "apps"))
    assert (found.root, found.branch, found.keys) == (str(root), "main", frozenset({repository_key(URL)}))


def test_a_worktree_has_the_remotes_of_its_repository(tmp_path: Path) -> None:
    root = tree(tmp_path / "main", {"a": "x"}, git=False)
    git(root, "init", "--quiet", "--initial-branch=main")
    git(root, "remote", "add", "origin", URL)
    git(root, "add", ".")
    git(root, "commit", "--quiet", "-m", "a")
    git(root, "worktree", "add", "--quiet", "-b", "topic", str(tmp_path / "other"))
    found = local_repository(str(tmp_path / "other"))
    assert (found.root, found.branch) == (os.path.realpath(tmp_path / "other"), "topic")
    assert found.keys == {repository_key(URL)}


def test_a_pointer_to_anything_else_is_not_opened(tmp_path: Path) -> None:
    secret = tree(tmp_path / "elsewhere", {"config": f'[remote "x"]\nurl = {URL}\n'}, git=False)
    root = tree(tmp_path / "tree", {".git": f"gitdir: {secret}\n"}, git=False)
    assert local_repository(str(root)) == Repository(str(root))


def test_what_the_user_names_comes_before_the_remotes(tmp_path: Path) -> None:
    root = tree(tmp_path / "here", {"a": ""})
    other = tree(tmp_path / "there", {"a": ""}, git=False)
    known = repositories(root, {"git@git.example:shop/deploy": str(other)})
    found = known.find(URL)
    assert found is not None
    assert (found.root, found.assumed) == (str(other), False)


def test_a_tree_without_remotes_is_taken_for_what_it_speaks_of_and_says_so(tmp_path: Path) -> None:
    found = Repositories(Repository(str(tmp_path))).find(URL)
    assert found is not None
    assert found.assumed
    assert Repositories(Repository(str(tmp_path), frozenset({"other.example/x"}))).find(URL) is None


@pytest.mark.parametrize(
    ("revision", "branch", "told"),
    [
        ("", "main", False),
        ("HEAD", "topic", False),
        ("main", "main", False),
        ("refs/heads/main", "main", False),
        ("main", "", False),
        ("master", "", False),
        ("release", "", True),
        ("main", "topic", True),
        ("v1.2.3", "main", True),
        ("0d3f5e8", "main", True),
    ],
)
def test_another_revision_is_told(revision: str, branch: str, told: bool) -> None:
    assert bool(revision_note("Application web", revision, Repository("/x", branch=branch))) == told
