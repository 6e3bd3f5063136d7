from __future__ import annotations

import multiprocessing
import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeassay.sources.cache import Cache, cache_folder, digest_of


def opened(root: Path, **options: int) -> Cache:
    cache = Cache.open(str(root), version="1", **options)
    assert cache is not None
    return cache


def entries(root: Path) -> list[Path]:
    return sorted((root / "entries").iterdir())


def test_what_was_put_is_got_by_its_kind_and_key_alone(tmp_path: Path) -> None:
    cache = opened(tmp_path / "kubeassay")
    cache.put("result", "a", b"content")
    assert cache.get("result", "a") == b"content"
    assert cache.get("result", "b") is None
    assert cache.get("rendering", "a") is None
    other = Cache.open(str(tmp_path / "kubeassay"), version="2")
    assert other is not None
    assert other.get("result", "a") is None


def test_only_the_owner_can_read_it(tmp_path: Path) -> None:
    cache = opened(tmp_path / "home" / "kubeassay")
    cache.put("result", "a", b"content")
    (entry,) = entries(tmp_path / "home" / "kubeassay")
    assert stat.S_IMODE((tmp_path / "home" / "kubeassay").stat().st_mode) == 0o700
    assert stat.S_IMODE(entry.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(entry.stat().st_mode) == 0o600


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777])
@pytest.mark.parametrize("folder", [".", "entries"])
def test_a_folder_that_others_may_write_to_is_not_used(tmp_path: Path, folder: str, mode: int) -> None:
    opened(tmp_path / "kubeassay").put("result", "a", b"poison")
    (tmp_path / "kubeassay" / folder).chmod(mode)
    assert Cache.open(str(tmp_path / "kubeassay"), version="1") is None


def test_a_folder_of_someone_else_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened(tmp_path / "kubeassay")
    me = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: me + 1)
    assert Cache.open(str(tmp_path / "kubeassay"), version="1") is None


def test_a_link_in_place_of_the_folder_of_entries_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "kubeassay").mkdir(mode=0o700)
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (tmp_path / "kubeassay" / "entries").symlink_to(tmp_path / "elsewhere")
    assert Cache.open(str(tmp_path / "kubeassay"), version="1") is None


def test_without_a_place_there_is_no_cache(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert Cache.open(str(tmp_path / "file" / "kubeassay"), version="1") is None
    assert Cache.open(str(tmp_path / "a\0b"), version="1") is None
    assert Cache.open(None, version="1") is None


@given(position=st.integers(min_value=0), bit=st.integers(min_value=0, max_value=7))
def test_a_damaged_entry_is_ignored_and_removed(
    tmp_path_factory: pytest.TempPathFactory, position: int, bit: int
) -> None:
    root = tmp_path_factory.mktemp("cache") / "kubeassay"
    cache = opened(root)
    cache.put("result", "a", b"some content of an entry")
    (entry,) = entries(root)
    content = bytearray(entry.read_bytes())
    content[position % len(content)] ^= 1 << bit
    entry.write_bytes(content)
    assert cache.get("result", "a") is None
    assert entries(root) == []


@pytest.mark.parametrize("length", [0, 5, 40, 60])
def test_an_entry_that_was_cut_short_is_ignored(tmp_path: Path, length: int) -> None:
    cache = opened(tmp_path / "kubeassay")
    cache.put("result", "a", b"some content of an entry")
    (entry,) = entries(tmp_path / "kubeassay")
    entry.write_bytes(entry.read_bytes()[:length])
    assert cache.get("result", "a") is None


def test_an_entry_in_the_place_of_another_is_ignored(tmp_path: Path) -> None:
    cache = opened(tmp_path / "kubeassay")
    cache.put("result", "a", b"nothing was found")
    (of_a,) = entries(tmp_path / "kubeassay")
    cache.put("result", "b", b"much was found")
    of_b = next(entry for entry in entries(tmp_path / "kubeassay") if entry != of_a)
    of_b.write_bytes(of_a.read_bytes())
    assert cache.get("result", "b") is None
    assert cache.get("result", "a") == b"nothing was found"


def test_an_entry_that_is_a_link_or_a_pipe_is_not_read(tmp_path: Path) -> None:
    cache = opened(tmp_path / "kubeassay")
    cache.put("result", "a", b"content")
    (entry,) = entries(tmp_path / "kubeassay")
    moved = entry.rename(tmp_path / "moved")
    entry.symlink_to(moved)
    assert cache.get("result", "a") is None
    entry.unlink()
    os.mkfifo(entry)
    assert cache.get("result", "a") is None


def test_what_was_used_longest_ago_goes_first(tmp_path: Path) -> None:
    cache = opened(tmp_path / "kubeassay", max_size=10_000)
    for number in range(8):
        cache.put("result", str(number), b"x" * 1_100)
        for entry in entries(tmp_path / "kubeassay"):
            status = entry.stat()
            os.utime(entry, (status.st_atime - 10, status.st_mtime - 10))
    # The first was used just now.
    assert cache.get("result", "0") is not None
    cache.put("result", "8", b"x" * 1_100)
    left = {number for number in range(9) if cache.get("result", str(number)) is not None}
    assert left == {0, 4, 5, 6, 7, 8}
    assert sum(entry.stat().st_size for entry in entries(tmp_path / "kubeassay")) <= 10_000


def test_what_is_too_large_is_not_kept(tmp_path: Path) -> None:
    cache = opened(tmp_path / "kubeassay", max_size=10_000)
    cache.put("result", "a", b"x" * 3_000)
    assert cache.get("result", "a") is None
    assert entries(tmp_path / "kubeassay") == []


def test_files_that_were_never_finished_are_removed(tmp_path: Path) -> None:
    cache = opened(tmp_path / "kubeassay")
    abandoned = tmp_path / "kubeassay" / "entries" / ".new-1-2"
    begun = tmp_path / "kubeassay" / "entries" / ".new-1-3"
    abandoned.touch()
    begun.touch()
    os.utime(abandoned, (0, 0))
    cache.put("result", "a", b"content")
    assert not abandoned.exists()
    assert begun.exists()


def _put_and_get(root: str, content: bytes) -> None:
    cache = Cache.open(root, version="1", max_size=200_000)
    assert cache is not None
    for number in range(50):
        cache.put("result", str(number % 5), content)
        assert cache.get("result", str(number % 5)) in (None, b"a" * 9_000, b"b" * 9_000)


def test_several_processes_use_it_at_a_time(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    root = str(tmp_path / "kubeassay")
    processes = [
        context.Process(target=_put_and_get, args=(root, letter * 9_000)) for letter in (b"a", b"b") for _ in range(2)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0, 0]


def test_where_it_is() -> None:
    home = Path.home()
    assert cache_folder({"XDG_CACHE_HOME": "/var/cache/me"}) == "/var/cache/me/kubeassay"
    assert cache_folder({}) == f"{home}/.cache/kubeassay"
    # A relative one is ignored: it would be of whatever folder is scanned.
    assert cache_folder({"XDG_CACHE_HOME": "cache"}) == f"{home}/.cache/kubeassay"
    assert cache_folder({"KUBEASSAY_CACHE": "off"}) is None


@given(st.lists(st.tuples(st.text(), st.binary()), max_size=4), st.lists(st.text(), max_size=3))
def test_a_digest_is_of_all_that_it_is_given_in_any_order(files: list[tuple[str, bytes]], more: list[str]) -> None:
    digest = digest_of(files, *more)
    assert digest == digest_of(reversed(files), *more)
    assert digest != digest_of([*files, ("", b"")], *more)
    assert digest != digest_of(files, *more, "")
    for number, (name, content) in enumerate(files):
        changed = [*files[:number], (name, content + b"x"), *files[number + 1 :]]
        assert digest != digest_of(changed, *more)


def test_a_digest_tells_where_a_name_ends() -> None:
    assert digest_of([("a", b"bc")]) != digest_of([("ab", b"c")])
    assert digest_of([("a", b"")], "b") != digest_of([("a", b"b")])
    assert digest_of([], "a", "b") != digest_of([], "ab")
