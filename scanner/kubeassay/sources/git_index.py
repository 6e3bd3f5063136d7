"""The files that a git repository tracks, read from its index.

Git ignores only what it does not track: a file that was added stays part of the repository whatever ``.gitignore``
says, and a scan that left it out could be evaded by one line. The index is read as a file, since running git would run
what the repository's configuration names. Format: git's Documentation/gitformat-index.txt, versions 2, 3 and 4.
"""

from __future__ import annotations

import hashlib
import os
import struct
from bisect import bisect_left

_HEADER = struct.Struct(">4sLL")
_FIXED = 42  # an entry's ctime to flags, less the object's hash
_EXTENDED = 0x4000


class TrackedFiles:
    """The paths that the index of one repository holds."""

    def __init__(self, root: str) -> None:
        """``root``: the real path of the work tree. A missing or unreadable index tracks nothing."""
        self._root = root
        self._paths = sorted(_tracked(root))

    def tracks(self, real: str, *, directory: bool) -> bool:
        """Whether the file is tracked, or any file below the directory."""
        name = os.fsencode(os.path.relpath(real, self._root)).replace(os.sep.encode(), b"/")
        wanted = name + b"/" if directory else name
        position = bisect_left(self._paths, wanted)
        if position == len(self._paths):
            return False
        return self._paths[position].startswith(wanted) if directory else self._paths[position] == wanted


def _tracked(root: str) -> set[bytes]:
    git = os.path.join(root, ".git")
    try:
        if os.path.isfile(git):
            # A worktree or submodule: "gitdir: PATH".
            with open(git, encoding="utf-8") as pointer:
                git = os.path.join(root, pointer.read(4096).removeprefix("gitdir:").strip())
    except (OSError, ValueError):  # ValueError: no text
        return set()
    paths, shared = _paths(_content(os.path.join(git, "index")))
    if shared:
        # A split index: what it deletes of the shared one counts as tracked here, which reads a file too many at most.
        paths += _paths(_content(os.path.join(git, f"sharedindex.{shared}")))[0]
    return set(paths)


def _content(path: str) -> bytes:
    try:
        if not os.path.isfile(path):  # a FIFO or a device would not end
            return b""
        with open(path, "rb") as stream:
            return stream.read()
    except (OSError, ValueError):  # ValueError: a path with NUL
        return b""


def _hash_size(index: bytes) -> int:
    """20 bytes in most repositories, 32 in those of object format sha256: the index ends with its own hash."""
    return 32 if hashlib.sha256(index[:-32]).digest() == index[-32:] else 20


def _paths(index: bytes) -> tuple[list[bytes], str]:
    """The paths of an index, and the hash that names the shared index that it adds to ("": none)."""
    if len(index) < _HEADER.size:
        return [], ""
    signature, version, count = _HEADER.unpack_from(index)
    if signature != b"DIRC" or version not in (2, 3, 4):
        return [], ""
    hash_size = _hash_size(index)
    fixed = _FIXED + hash_size
    paths: list[bytes] = []
    position = _HEADER.size
    previous = b""
    try:
        for _ in range(count):
            start = position
            (flags,) = struct.unpack_from(">H", index, start + fixed - 2)
            position = start + fixed + (2 if flags & _EXTENDED else 0)
            strip = 0
            if version == 4:
                strip, position = _offset(index, position)
            end = index.index(b"\0", position)
            previous = previous[: len(previous) - strip] + index[position:end] if version == 4 else index[position:end]
            paths.append(previous)
            # Versions 2 and 3 pad an entry with one to eight zeros, to a multiple of eight bytes.
            position = end + 1 if version == 4 else start + (end - start) // 8 * 8 + 8
    except (struct.error, ValueError, IndexError):
        # Cut short: what was read is tracked all the same.
        return paths, ""
    while position + 8 <= len(index) - hash_size:
        name, size = struct.unpack_from(">4sL", index, position)
        if name == b"link":
            return paths, index[position + 8 : position + 8 + hash_size].hex()
        position += 8 + size
    return paths, ""


def _offset(index: bytes, position: int) -> tuple[int, int]:
    """The variable-width number of version 4, and the position after it."""
    byte = index[position]
    value = byte & 0x7F
    while byte & 0x80:
        position += 1
        byte = index[position]
        value = ((value + 1) << 7) | (byte & 0x7F)
    return value, position + 1
