"""Paths in a repository, that never leave it, and patterns of them as Go has them.

Patterns are compared without regular expressions, part by part, in time that is at worst the product of both lengths.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from kubeassay.sources.files import is_within

#: Entries of folders that are looked at for one pattern or folder.
MAX_ENTRIES = 200_000
_LONGEST_PATTERN = 1024
_MOST_STARS = 32


class OutsideError(ValueError):
    """A path that leads out of the repository."""


class TooManyError(ValueError):
    """More files than are looked at."""


class BadPatternError(ValueError):
    """A pattern that does not compile, or is written in a way that is not reproduced here."""


def resolve(root: str, *parts: str) -> str:
    """The real path of something in a repository, whether it is there or not. Raises OutsideError where the path, or a
    link on it, leaves the repository. ``root``: a real path."""
    if any("\0" in part for part in parts):
        raise OutsideError("has a NUL character")
    joined = os.path.normpath(os.path.join(root, *parts))
    if not is_within(joined, root):
        raise OutsideError("leaves the repository")
    try:
        real = os.path.realpath(joined)
    except (OSError, ValueError):
        raise OutsideError("cannot be resolved") from None
    if not is_within(real, root):
        raise OutsideError("leads out of the repository by a symbolic link")
    return real


@dataclass(frozen=True, slots=True)
class _Any:
    """``?`` and classes: one character. ``members`` None: any."""

    ranges: tuple[tuple[str, str], ...] | None
    negated: bool = False

    def holds(self, character: str) -> bool:
        if self.ranges is None:
            return True
        return any(first <= character <= last for first, last in self.ranges) != self.negated


_STAR = None
_Tokens = list[str | _Any | None]


@lru_cache(maxsize=4096)
def _tokens(pattern: str, negations: str) -> _Tokens:
    """A pattern's parts; a list that nobody changes."""
    if pattern.count("*") > _MOST_STARS:
        raise BadPatternError(pattern)
    tokens: _Tokens = []
    position = 0

    def character() -> str:
        nonlocal position
        if position >= len(pattern):
            raise BadPatternError(pattern)
        found = pattern[position]
        position += 1
        if found == "\\":
            if position >= len(pattern):
                raise BadPatternError(pattern)
            found = pattern[position]
            position += 1
        return found

    while position < len(pattern):
        now = pattern[position]
        if now == "*":
            position += 1
            if not tokens or tokens[-1] is not _STAR:
                tokens.append(_STAR)
        elif now == "?":
            position += 1
            tokens.append(_Any(None))
        elif now == "[":
            position += 1
            negated = pattern[position : position + 1] in tuple(negations)
            position += negated
            ranges: list[tuple[str, str]] = []
            while not (pattern[position : position + 1] == "]" and ranges):
                if pattern[position : position + 1] in ("]", "-"):
                    raise BadPatternError(pattern)
                first = last = character()
                if pattern[position : position + 1] == "-":
                    position += 1
                    last = character()
                ranges.append((first, last))
            position += 1
            tokens.append(_Any(tuple(ranges), negated))
        else:
            tokens.append(character())
    return tokens


def _fits(tokens: _Tokens, text: str) -> bool:
    """Whether a text matches as a whole; a star is any text."""
    at, position, star, resumed = 0, 0, -1, 0
    while position < len(text):
        token = tokens[at] if at < len(tokens) else ""
        if at < len(tokens) and token is _STAR:
            star, resumed = at, position
            at += 1
        elif at < len(tokens) and (token.holds(text[position]) if isinstance(token, _Any) else token == text[position]):
            at += 1
            position += 1
        elif star >= 0:
            resumed += 1
            at, position = star + 1, resumed
        else:
            return False
    return all(token is _STAR for token in tokens[at:])


def path_match(pattern: str, path: str) -> bool:
    """Go's path.Match: ``*`` and ``?`` are of one part of a path. Raises BadPatternError."""
    if len(pattern) > _LONGEST_PATTERN:
        raise BadPatternError(pattern)
    wanted = [_tokens(part, "^") for part in pattern.split("/")]
    parts = path.split("/")
    return len(wanted) == len(parts) and all(map(_fits, wanted, parts))


def pathspec_match(pattern: str, path: str) -> bool:
    """Whether ``git ls-files -- PATTERN`` lists a file: ``*`` matches slashes as well, and a folder all that is in it.
    Raises BadPatternError for what has a meaning of its own there."""
    if pattern.startswith(":") or len(pattern) > _LONGEST_PATTERN:
        raise BadPatternError(pattern)
    pattern = os.path.normpath(pattern) if not is_pattern(pattern) else pattern.removeprefix("./")
    if pattern == ".":
        return True
    if path == pattern or path.startswith(pattern.rstrip("/") + "/"):
        return True
    return is_pattern(pattern) and _fits(_tokens(pattern, "!^"), path)


def is_pattern(text: str) -> bool:
    """Whether Argo CD takes a text for a pattern."""
    return any(character in text for character in "*?[")


def files_matching(root: str, pattern: str) -> list[str]:
    """The paths in ``root`` that a pattern with ``**`` means (doublestar, Glob), in order, relative to it; links of
    folders are not entered by ``**``. Raises BadPatternError, TooManyError."""
    if len(pattern) > _LONGEST_PATTERN or any(character in pattern for character in "{}"):
        raise BadPatternError(pattern)
    parts: list[_Tokens | str] = []
    for text in pattern.split("/"):
        if text == "**":
            if not parts or parts[-1] != "**":
                parts.append("**")
        elif "**" in text or text in ("", ".", ".."):
            # What doublestar makes of these depends on more than the part.
            raise BadPatternError(pattern)
        else:
            parts.append(_tokens(text, "!^"))
    found: set[str] = set()
    seen: set[tuple[str, int]] = set()
    waiting: list[tuple[str, int]] = [("", 0)]
    entries = 0
    while waiting:
        folder, number = waiting.pop()
        if (folder, number) in seen:
            continue
        seen.add((folder, number))
        part = parts[number]
        last = number + 1 == len(parts)
        if part == "**" and not last:
            waiting.append((folder, number + 1))
        try:
            listed = sorted(os.scandir(os.path.join(root, folder)), key=lambda entry: entry.name)
        except OSError:
            continue
        entries += len(listed)
        if entries > MAX_ENTRIES:
            raise TooManyError(f"{pattern} looks at more than {MAX_ENTRIES} files")
        for entry in listed:
            name = f"{folder}/{entry.name}" if folder else entry.name
            if entry.name == ".git":
                continue
            if isinstance(part, str):
                if last:
                    found.add(name)
                if entry.is_dir(follow_symlinks=False):
                    waiting.append((name, number))
            elif _fits(part, entry.name):
                if last:
                    found.add(name)
                elif entry.is_dir() and is_within(os.path.realpath(entry.path), root):
                    waiting.append((name, number + 1))
    return sorted(found, key=lambda name: name.split("/"))


def walk(root: str, *, hidden: bool = True) -> Iterator[tuple[str, bool]]:
    """(path relative to ``root``, whether it is a folder) of all below it, in the order of Go's filepath.Walk. Links
    are no folders; ``.git`` is left out, and where ``hidden`` is False every folder that a dot begins. Raises
    TooManyError."""
    entries = 0
    waiting: list[tuple[str, bool]] = []

    def enter(folder: str) -> None:
        nonlocal entries
        try:
            listed = sorted(os.scandir(os.path.join(root, folder)), key=lambda entry: entry.name, reverse=True)
        except OSError:
            return
        entries += len(listed)
        if entries > MAX_ENTRIES:
            raise TooManyError(f"more than {MAX_ENTRIES} files")
        for entry in listed:
            is_folder = entry.is_dir(follow_symlinks=False)
            if entry.name == ".git" or (is_folder and not hidden and entry.name.startswith(".")):
                continue
            waiting.append((f"{folder}/{entry.name}" if folder else entry.name, is_folder))

    enter("")
    while waiting:
        path, is_folder = waiting.pop()
        yield path, is_folder
        if is_folder:
            enter(path)


def whole_match(pattern: str, text: str) -> bool:
    """A pattern of any text, whose ``*`` matches slashes as well. Raises BadPatternError."""
    return _fits(_tokens(pattern, "^"), text)
