"""Exact sets of integers as sorted, disjoint, non-adjacent inclusive intervals: ports, and addresses as numbers."""

from __future__ import annotations

from collections.abc import Iterable

#: Sorted; each interval ends at least two below where the next begins.
Intervals = tuple[tuple[int, int], ...]


def intervals(pairs: Iterable[tuple[int, int]]) -> Intervals:
    """The set that some inclusive intervals make together; they may overlap, be empty (end below start) or unsorted."""
    joined: list[tuple[int, int]] = []
    for start, end in sorted(pair for pair in pairs if pair[0] <= pair[1]):
        if joined and start <= joined[-1][1] + 1:
            if end > joined[-1][1]:
                joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return tuple(joined)


def union(first: Intervals, second: Intervals) -> Intervals:
    """What is in either."""
    if not first or not second:
        return first or second
    return first if first == second else intervals((*first, *second))


def intersection(first: Intervals, second: Intervals) -> Intervals:
    """What is in both."""
    found: list[tuple[int, int]] = []
    i = j = 0
    while i < len(first) and j < len(second):
        start, end = max(first[i][0], second[j][0]), min(first[i][1], second[j][1])
        if start <= end:
            found.append((start, end))
        if first[i][1] < second[j][1]:
            i += 1
        else:
            j += 1
    return tuple(found)


def difference(first: Intervals, second: Intervals) -> Intervals:
    """What is in the first and not in the second."""
    found: list[tuple[int, int]] = []
    j = 0
    for start, end in first:
        while j < len(second) and second[j][1] < start:
            j += 1
        k = j
        while k < len(second) and second[k][0] <= end:
            if second[k][0] > start:
                found.append((start, second[k][0] - 1))
            start = max(start, second[k][1] + 1)
            k += 1
        if start <= end:
            found.append((start, end))
    return tuple(found)
