"""Patterns as Argo CD compares them: github.com/gobwas/glob, in linear time.

``*`` is any text without a separator, ``**`` any text, ``?`` one character that is no separator, ``[abc]``, ``[!abc]``,
``[a-z]`` one of a set, ``{a,b}`` alternatives, and a backslash takes the meaning of the next character away. Read from
gobwas/glob v0.2.3, syntax/lexer and syntax/ast; a pattern that it refuses matches nothing (argo-cd util/glob, Match).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

_SPECIAL = frozenset("*?[{\\")
_Test = Callable[[str], bool]


class BadPatternError(ValueError):
    """A pattern that does not compile."""


@dataclass(slots=True)
class _Automaton:
    """States by number; the last is the end. ``free``: where a state leads without a character."""

    free: list[list[int]] = field(default_factory=list)
    step: list[tuple[_Test, int] | None] = field(default_factory=list)

    def state(self) -> int:
        self.free.append([])
        self.step.append(None)
        return len(self.free) - 1

    def closure(self, states: set[int]) -> set[int]:
        found, waiting = set(states), list(states)
        while waiting:
            for following in self.free[waiting.pop()]:
                if following not in found:
                    found.add(following)
                    waiting.append(following)
        return found


#: A pattern of one star with text around it, without any other special character.
_ONE_STAR = re.compile(r"([^*?\[{\\]*)\*+([^*?\[{\\]*)\Z", re.DOTALL)
#: A pattern that is one character which is no separator, or not of a set.
_ONE_OTHER = re.compile(r"\?\Z|\[!(?:.-.|[^\]\\-][^\]\\]*)\]\Z", re.DOTALL)
#: Alternatives of text, none of them empty.
_PLAIN_BRACES = re.compile(r"\{[^{}*?\[\\,]+(?:,[^{}*?\[\\,]+)*\}")


def matches(pattern: str, text: str, separators: str = "") -> bool | None:
    """Whether a text matches a pattern as a whole; None for patterns that upstream matches by rules of its own.

    Those are alternatives that are empty, open or more than text (upstream misses some of what they mean, and panics at
    some), three stars in a row where there are separators, and a backslash at the end.
    """
    if _SPECIAL.isdisjoint(pattern):
        return pattern == text
    if ("***" in pattern and separators) or "{" in _PLAIN_BRACES.sub("", pattern) or pattern.endswith("\\"):
        return None
    around = _ONE_STAR.match(pattern)
    if around is not None and (not separators or "**" in pattern):
        # Upstream compares both ends, which may overlap: "a*a" matches "a".
        return text.startswith(around[1]) and text.endswith(around[2])
    if not text and _ONE_OTHER.match(pattern):
        # The end of the text is a character to upstream, and not one of the set.
        return True
    compiled = _compiled(pattern, separators)
    if compiled is None:
        return False
    automaton, end = compiled
    states = automaton.closure({0})
    for character in text:
        reached = {step[1] for state in states if (step := automaton.step[state]) is not None and step[0](character)}
        if not reached:
            return False
        states = automaton.closure(reached)
    return end in states


@lru_cache(maxsize=4096)
def _compiled(pattern: str, separators: str) -> tuple[_Automaton, int] | None:
    parser = _Parser(pattern, separators)
    try:
        return parser.automaton, parser.parse()
    except BadPatternError:
        return None


class _Parser:
    """Builds the automaton of a pattern, from left to right."""

    def __init__(self, pattern: str, separators: str) -> None:
        self.pattern, self.position = pattern, 0
        self.automaton = _Automaton()
        self.not_separator: _Test = lambda character: character not in separators
        #: Of each open brace: the state before it, and the ends of its alternatives so far.
        self.open: list[tuple[int, list[int]]] = []

    def parse(self) -> int:
        """Returns the end state."""
        now = self.automaton.state()
        while self.position < len(self.pattern):
            character = self.pattern[self.position]
            self.position += 1
            if character == "{":
                self.open.append((now, []))
                now = self._after(now)
            elif character == "," and self.open:
                before, ends = self.open[-1]
                ends.append(now)
                now = self._after(before)
            elif character == "}" and self.open:
                now = self._close(now)
            elif character == "*":
                if self.pattern[self.position : self.position + 1] == "*":
                    self.position += 1
                    now = self._any(now, lambda _: True)
                else:
                    now = self._any(now, self.not_separator)
            elif character == "?":
                now = self._one(now, self.not_separator)
            elif character == "[":
                now = self._one(now, self._set())
            else:
                now = self._text(now, character)
        # A brace that is not closed ends with the pattern.
        while self.open:
            now = self._close(now)
        return now

    def _after(self, before: int) -> int:
        state = self.automaton.state()
        self.automaton.free[before].append(state)
        return state

    def _close(self, now: int) -> int:
        _, ends = self.open.pop()
        end = self.automaton.state()
        for state in (*ends, now):
            self.automaton.free[state].append(end)
        return end

    def _any(self, before: int, test: _Test) -> int:
        state = self._after(before)
        self.automaton.step[state] = (test, state)
        return self._after(state)

    def _one(self, before: int, test: _Test) -> int:
        state, end = self._after(before), self.automaton.state()
        self.automaton.step[state] = (test, end)
        return end

    def _text(self, now: int, character: str) -> int:
        if character == "\\":
            if self.position == len(self.pattern):
                return now
            character = self.pattern[self.position]
            self.position += 1
        return self._one(now, character.__eq__)

    def _next(self) -> str:
        if self.position == len(self.pattern):
            raise BadPatternError(self.pattern)
        self.position += 1
        return self.pattern[self.position - 1]

    def _set(self) -> _Test:
        first = self._next()
        negated = first == "!"
        if negated:
            first = self._next()
        if self.pattern[self.position : self.position + 1] == "-":
            self.position += 1
            last = self._next()
            if self._next() != "]" or last < first:
                raise BadPatternError(self.pattern)
            return lambda character: (first <= character <= last) != negated
        self.position -= 1
        members: set[str] = set()
        while (character := self._next()) != "]":
            members.add(self._next() if character == "\\" else character)
        if not members:
            raise BadPatternError(self.pattern)
        return lambda character: (character in members) != negated
