"""What git tracks is scanned, whatever .gitignore says."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from kit import git
from kubeassay.sources.files import discover
from kubeassay.sources.git_index import TrackedFiles

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    for name in ("a.yaml", "kept/b.yaml", "kept/c.yaml", "built/d.yaml", "ünïcode name.yaml", "kept-out/e.yaml"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("a: 1\n")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "a.yaml", "kept/b.yaml", "ünïcode name.yaml")
    (tmp_path / ".gitignore").write_text("*.yaml\nkept\nbuilt/\n")
    return tmp_path


@pytest.mark.parametrize("version", ["2", "4"])
def test_the_index_is_read_in_every_version(repository: Path, version: str) -> None:
    git(repository, "update-index", "--index-version", version)
    tracked = TrackedFiles(str(repository))
    assert tracked.tracks(str(repository / "a.yaml"), directory=False)
    assert tracked.tracks(str(repository / "ünïcode name.yaml"), directory=False)
    assert tracked.tracks(str(repository / "kept"), directory=True)
    assert not tracked.tracks(str(repository / "kept/c.yaml"), directory=False)
    assert not tracked.tracks(str(repository / "kept"), directory=False)
    assert not tracked.tracks(str(repository / "ke"), directory=True)
    assert not tracked.tracks(str(repository / "built"), directory=True)
    assert not tracked.tracks(str(repository / "zzz.yaml"), directory=False)


def test_an_extended_entry_is_read(repository: Path) -> None:
    git(repository, "update-index", "--skip-worktree", "a.yaml")
    tracked = TrackedFiles(str(repository))
    assert tracked.tracks(str(repository / "a.yaml"), directory=False)
    assert tracked.tracks(str(repository / "kept/b.yaml"), directory=False)


def test_a_split_index_is_read_with_the_one_it_shares(repository: Path) -> None:
    git(repository, "update-index", "--split-index")
    git(repository, "add", "-f", "built/d.yaml")
    assert list((repository / ".git").glob("sharedindex.*"))
    tracked = TrackedFiles(str(repository))
    assert tracked.tracks(str(repository / "a.yaml"), directory=False)
    assert tracked.tracks(str(repository / "built"), directory=True)


def test_an_index_of_sha256_is_read(tmp_path: Path) -> None:
    try:
        git(tmp_path, "init", "-q", "--object-format=sha256")
    except subprocess.CalledProcessError:
        pytest.skip("this git knows no sha256")
    for name in ("a.yaml", "folder/b.yaml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("a: 1\n")
        git(tmp_path, "add", name)
    tracked = TrackedFiles(str(tmp_path))
    assert tracked.tracks(str(tmp_path / "a.yaml"), directory=False)
    assert tracked.tracks(str(tmp_path / "folder"), directory=True)
    assert not tracked.tracks(str(tmp_path / "c.yaml"), directory=False)


def test_tracked_files_are_scanned_and_others_are_named_as_ignored(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repository)
    found = discover(["."])
    assert {file.name for file in found.files} == {"a.yaml", "kept/b.yaml", "ünïcode name.yaml"}
    assert {s.file for s in found.skipped if s.reason == "ignored"} == {"built", "kept/c.yaml", "kept-out/e.yaml"}


def test_a_kubeassayignore_holds_for_tracked_files_too(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repository)
    (repository / ".kubeassayignore").write_text("a.yaml\n")
    assert "a.yaml" not in {file.name for file in discover(["."]).files}


def test_a_linked_work_tree_has_an_index_of_its_own(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    git(repository, "commit", "-qm", "x")
    other = tmp_path_factory.mktemp("w") / "tree"
    git(repository, "worktree", "add", "-q", str(other))
    assert TrackedFiles(str(other)).tracks(str(other / "a.yaml"), directory=False)


@pytest.mark.parametrize(
    "content", [b"", b"DIRC", b"DIRC\0\0\0\x09\0\0\0\x01", b"DIRC\0\0\0\x02\0\0\0\x05short", b"x" * 100]
)
def test_a_broken_index_tracks_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git/index").write_bytes(content)
    assert not TrackedFiles(str(tmp_path)).tracks(str(tmp_path / "a.yaml"), directory=False)
