"""A content-addressed store on this machine: what was computed of some bytes, by the digest of all that it is made of.

It lies in ``$XDG_CACHE_HOME/kubeassay/entries`` (else ``~/.cache/kubeassay/entries``), which nobody but its owner may
write to: where that does not hold, nothing is read or kept. An entry is a file; its name is a digest of its kind, its
key, and this module's format. Each carries a digest of its name and content, so that one which is cut short, or was
moved to another's place, is not taken for what it is not: it is removed. Contents are bytes that callers have to read
as untrusted data, never anything that executes.

Nothing here raises, and nothing here is needed: without a cache everything is computed. Several processes, forks of
one among them, may use it at a time: an entry appears as a whole, or not at all.

What is kept must hold no values of Secrets; that is up to callers.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import stat
import time
from collections.abc import Iterable, Iterator, Mapping

#: Changed with what the bytes of an entry mean.
_FORMAT = b"kubeassay cache 1\n"
_DIGEST_SIZE = 32
#: Bytes of all entries together.
DEFAULT_MAX_SIZE = 256 * 2**20
#: An entry takes no more than this part of them.
_LARGEST_PART = 4
#: When they are too many, those used longest ago are removed until so much is left.
_LEFT = 0.8
#: Seconds after which a file that was not finished is of a process that is no more.
_ABANDONED = 3600
_TEMPORARY = ".new-"


def digest_of(files: Iterable[tuple[str, bytes]], *more: str) -> str:
    """The digest of files by their names and contents, in whatever order they come, and of what else matters:
    arguments, the version of a tool."""
    whole = hashlib.blake2b(digest_size=_DIGEST_SIZE)
    for text in more:
        _add(whole, b"more", text.encode("utf-8", "surrogatepass"))
    for name, content in sorted(files):
        _add(whole, b"name", name.encode("utf-8", "surrogatepass"))
        _add(whole, b"content", content)
    return whole.hexdigest()


def _add(digest: hashlib.blake2b, what: bytes, content: bytes) -> None:
    # With its length, so that no two sequences of parts are the same bytes.
    digest.update(b"%s %d\n" % (what, len(content)))
    digest.update(content)


def cache_folder(environment: Mapping[str, str] | None = None) -> str | None:
    """Where the cache is; None where it is switched off (``KUBEASSAY_CACHE=off``), or there is no place for it."""
    environment = os.environ if environment is None else environment
    if environment.get("KUBEASSAY_CACHE", "").lower() in ("off", "0", "no", "false"):
        return None
    home = environment.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(home):
        # The specification of base directories has relative paths ignored.
        home = os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(home, "kubeassay") if os.path.isabs(home) else None


class Cache:
    """The entries of one folder."""

    def __init__(self, folder: int, version: str, max_size: int = DEFAULT_MAX_SIZE) -> None:
        """``folder``: a descriptor of it, so that no other can take its place."""
        self._folder = folder
        self._version = version.encode()
        self._max_size = max_size

    @classmethod
    def open(cls, root: str | None, *, version: str, max_size: int = DEFAULT_MAX_SIZE) -> Cache | None:
        """The cache below a folder, which is made where it is not there. None where it is not safe, or cannot be used.
        ``version``: of what computes; entries of another are not found."""
        if root is None or not hasattr(os, "geteuid") or os.open not in os.supports_dir_fd:
            return None
        try:
            os.makedirs(root, mode=0o700, exist_ok=True)
            parent = _owned_folder(root, None)
            if parent is None:
                return None
            try:
                with contextlib.suppress(FileExistsError):
                    os.mkdir("entries", 0o700, dir_fd=parent)
                folder = _owned_folder("entries", parent)
            finally:
                os.close(parent)
        except (OSError, ValueError):
            return None
        return None if folder is None else cls(folder, version, max_size)

    def close(self) -> None:
        os.close(self._folder)

    def get(self, kind: str, key: str) -> bytes | None:
        """What was kept under a key; None where there is nothing, or nothing that can be relied upon."""
        name = self._name(kind, key)
        try:
            descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=self._folder)
        except OSError:
            return None
        try:
            with open(descriptor, "rb") as stream:
                status = os.fstat(descriptor)
                if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
                    return None
                entry = stream.read(self._largest + 1)
                content = _content(name, entry) if len(entry) <= self._largest else None
                if content is not None:
                    # When it was last used.
                    os.utime(descriptor)
        except OSError:
            return None
        if content is None:
            self._remove(name)
        return content

    def put(self, kind: str, key: str, content: bytes) -> None:
        """Keep what was computed. It is not kept where it is too large, or cannot be written."""
        name = self._name(kind, key)
        entry = _FORMAT + _checksum(name, content) + content
        if len(entry) > self._largest:
            return
        new = f"{_TEMPORARY}{os.getpid()}-{secrets.token_hex(8)}"
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            with open(os.open(new, flags, 0o600, dir_fd=self._folder), "wb") as stream:
                stream.write(entry)
            os.rename(new, name, src_dir_fd=self._folder, dst_dir_fd=self._folder)
        except OSError:
            self._remove(new)
        with contextlib.suppress(OSError):
            self._shrink()

    @property
    def _largest(self) -> int:
        return self._max_size // _LARGEST_PART

    def _name(self, kind: str, key: str) -> str:
        whole = hashlib.blake2b(digest_size=_DIGEST_SIZE)
        for part in (_FORMAT, self._version, kind.encode(), key.encode("utf-8", "surrogatepass")):
            _add(whole, b"part", part)
        return whole.hexdigest()

    def _remove(self, name: str) -> None:
        with contextlib.suppress(OSError):
            os.unlink(name, dir_fd=self._folder)

    def _entries(self) -> Iterator[tuple[str, os.stat_result]]:
        for name in os.listdir(self._folder):
            with contextlib.suppress(OSError):
                yield name, os.stat(name, dir_fd=self._folder, follow_symlinks=False)

    def _shrink(self) -> None:
        """Remove what was used longest ago, where there is too much; and what was never finished."""
        entries = []
        for name, status in self._entries():
            if name.startswith(_TEMPORARY):
                if status.st_mtime < time.time() - _ABANDONED:
                    self._remove(name)
            else:
                entries.append((status.st_mtime, name, status.st_size))
        total = sum(size for _, _, size in entries)
        if total <= self._max_size:
            return
        for _, name, size in sorted(entries):
            self._remove(name)
            total -= size
            if total <= self._max_size * _LEFT:
                return


def _owned_folder(path: str, parent: int | None) -> int | None:
    """A descriptor of a folder that belongs to the user, and that no one else may write to; None for another."""
    # The home of caches itself may be a symbolic link of the user's; what lies in it may not.
    follow = os.O_NOFOLLOW if parent is not None else 0
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | follow, dir_fd=parent)
    status = os.fstat(descriptor)
    if status.st_uid == os.geteuid() and not status.st_mode & 0o022:
        return descriptor
    os.close(descriptor)
    return None


def _checksum(name: str, content: bytes) -> bytes:
    whole = hashlib.blake2b(digest_size=_DIGEST_SIZE)
    _add(whole, b"name", name.encode())
    _add(whole, b"content", content)
    return whole.digest()


def _content(name: str, entry: bytes) -> bytes | None:
    """The content of an entry; None for one that is damaged, or another's."""
    begin = len(_FORMAT) + _DIGEST_SIZE
    content = entry[begin:]
    sound = entry.startswith(_FORMAT) and entry[len(_FORMAT) : begin] == _checksum(name, content)
    return content if sound else None
