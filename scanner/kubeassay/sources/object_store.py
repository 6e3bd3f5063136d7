"""The objects of a cluster in memory.

Objects of one kind are much alike, so many of them together are compressed to a tenth. They are read again in about
the order in which they came, a block at a time; the blocks that were read last are kept as they are.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from typing import Self

_BLOCK = 64 * 1024
#: Blocks kept unpacked, in bytes together: objects of several kinds are asked for in turn.
_AT_HAND = 4 * 1024 * 1024


class ObjectStore(Mapping[str, bytes]):
    """JSON of objects by their places, in the order of these. It is filled by one thread, then read by one."""

    __slots__ = ("_at_hand", "_at_hand_bytes", "_blocks", "_index", "_open", "_open_bytes", "_sorted")

    def __init__(self) -> None:
        #: The number of its block, and where it begins and ends there.
        self._index: dict[str, tuple[int, int, int]] = {}
        self._sorted = True
        self._blocks: list[bytes] = []
        #: What belongs to the block that is not full yet.
        self._open: list[bytes] = []
        self._open_bytes = 0
        #: The blocks that were read last, the latest at the end.
        self._at_hand: dict[int, bytes] = {}
        self._at_hand_bytes = 0

    @classmethod
    def of(cls, objects: Mapping[str, bytes]) -> Self:
        store = cls()
        for name, content in objects.items():
            store.add(name, content)
        return store

    def add(self, name: str, content: bytes) -> None:
        """Keep an object, in place of one that was called the same."""
        start = self._open_bytes
        self._index[name] = (len(self._blocks), start, start + len(content))
        self._sorted = False
        self._open.append(content)
        self._open_bytes += len(content)
        if self._open_bytes >= _BLOCK:
            self._close()

    def update(self, other: ObjectStore) -> None:
        """Take over everything that is in another one."""
        self._close()
        other._close()
        before = len(self._blocks)
        self._blocks += other._blocks
        self._index.update({name: (block + before, start, end) for name, (block, start, end) in other._index.items()})
        self._sorted = False

    def size(self, name: str) -> int:
        """The bytes of an object."""
        _, start, end = self._index[name]
        return end - start

    def __getitem__(self, name: str) -> bytes:
        number, start, end = self._index[name]
        return self._block(number)[start:end]

    def __contains__(self, name: object) -> bool:
        return name in self._index

    def __len__(self) -> int:
        return len(self._index)

    def __iter__(self) -> Iterator[str]:
        if not self._sorted:
            self._index = dict(sorted(self._index.items()))
            self._sorted = True
        return iter(self._index)

    def _close(self) -> None:
        if self._open:
            self._blocks.append(zlib.compress(b"".join(self._open), 1))
            self._open.clear()
            self._open_bytes = 0

    def _block(self, number: int) -> bytes:
        if number == len(self._blocks):
            self._close()
        block = self._at_hand.pop(number, None)
        if block is None:
            block = zlib.decompress(self._blocks[number])
            self._at_hand_bytes += len(block)
            while self._at_hand and self._at_hand_bytes > _AT_HAND:
                self._at_hand_bytes -= len(self._at_hand.pop(next(iter(self._at_hand))))
        self._at_hand[number] = block
        return block
