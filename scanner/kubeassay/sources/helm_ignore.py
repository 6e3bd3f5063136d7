"""What ``.helmignore`` leaves out of a chart (helm v3.19.5, pkg/ignore/rules.go, pkg/chart/loader/directory.go).

Helm decides by itself what it renders; here it is said which files it has not seen, so that they are told as such and
not taken for a part of what was rendered.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

FILE = ".helmignore"
#: What Helm leaves out of every chart.
_ALWAYS = "templates/.?*"


@dataclass(frozen=True, slots=True)
class _Rule:
    matches: re.Pattern[str]
    negated: bool
    folders: bool
    #: Whether the whole path has to match, else its last part.
    whole: bool

    def ignores(self, path: str, is_folder: bool) -> bool | None:
        """Whether a path is left out; None where the next rule decides."""
        name = path if self.whole else path.rpartition("/")[2]
        if self.negated:
            # As Helm has it: what such a rule does not match is left out.
            return None if not (self.folders and not is_folder) and self.matches.match(name) else True
        if self.folders and not is_folder:
            return None
        return True if self.matches.match(name) else None


def ignored(text: str, keys: Iterable[str]) -> frozenset[str]:
    """Those of a chart's files, by their paths in it, that its ``.helmignore`` leaves out."""
    rules = list(_rules(text))
    known: dict[str, bool] = {}

    def leaves_out(path: str, is_folder: bool) -> bool:
        if path not in known:
            above = path.rpartition("/")[0]
            known[path] = (bool(above) and leaves_out(above, True)) or next(
                (True for rule in rules if rule.ignores(path, is_folder)), False
            )
        return known[path]

    return frozenset(key for key in keys if leaves_out(key, False))


def _rules(text: str) -> Iterator[_Rule]:
    for line in [*text.removeprefix("\ufeff").split("\n"), _ALWAYS]:
        rule = line.strip()
        if not rule or rule.startswith("#"):
            continue
        negated = rule.startswith("!")
        rule = rule.removeprefix("!")
        folders = rule.endswith("/")
        rule = rule.removesuffix("/")
        matches = _pattern(rule.removeprefix("/"))
        # Helm refuses a chart with what is no pattern.
        if matches is not None:
            yield _Rule(matches, negated, folders, "/" in rule)


_PIECE = re.compile(r"\*|\?|\[(?P<not>\^?)(?P<class>(?:\\.|[^\]\\])+)\]|\\(?P<escaped>.)|[^\[\\]", re.DOTALL)


def _pattern(glob: str) -> re.Pattern[str] | None:
    """A pattern of Go's ``filepath.Match``."""
    parts: list[str] = []
    position = 0
    while position < len(glob):
        piece = _PIECE.match(glob, position)
        if piece is None:
            return None
        position = piece.end()
        if piece[0] == "*":
            # One after the other they would take too long to match.
            parts += [] if parts[-1:] == ["[^/]*"] else ["[^/]*"]
        elif piece[0] == "?":
            parts.append("[^/]")
        elif piece["class"] is not None:
            inner = re.sub(r"\\(.)|([\[&~|^])", lambda found: "\\" + (found[1] or found[2]), piece["class"])
            parts.append(f"(?!/)[{piece['not']}{inner}]")
        else:
            parts.append(re.escape(piece["escaped"] or piece[0]))
    try:
        return re.compile("".join(parts) + r"\Z", re.DOTALL)
    except re.error:
        return None
