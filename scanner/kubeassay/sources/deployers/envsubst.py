"""Variables that Flux fills in in what it has built (``postBuild``): fluxcd/pkg, envsubst and
kustomize/kustomize_varsub.go.

``${name}``, with a default (``:-``, ``:=``, ``=``; ``:?`` and ``:+`` mean the same to it), a part (``:from:length``),
case (``^ ^^ , ,,``), length (``${#name}``), a pattern taken away (``# ## % %%``) or replaced (``/ // /# /%``). ``$$``
is a dollar, ``$name`` stays. One pass, in time that is linear but for patterns.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kubeassay.model import Object, Path
from kubeassay.sources.deployers.model import Substitution, UnfollowableError
from kubeassay.sources.deployers.paths import BadPatternError, whole_match

_NAME = re.compile(r"[_A-Za-z][_A-Za-z0-9]*\Z")
_MAX_DEPTH = 30
_MAX_OUTPUT = 64 * 2**20
#: A value that a pattern is taken away from: each of its ends is compared.
_MAX_PATTERN_VALUE = 4096
_DISABLED = "kustomize.toolkit.fluxcd.io/substitute"


@dataclass(frozen=True, slots=True)
class Use:
    """A place of a text at which a variable was filled in. ``line``: of the text that came of it, from 1."""

    line: int
    variable: str
    #: The object that states the variable and where; None where nothing does.
    origin: tuple[Object, Path] | None


@dataclass(frozen=True, slots=True)
class Substituted:
    """A text with its variables filled in, and where."""

    text: str
    uses: tuple[Use, ...] = ()


def is_disabled(value: Mapping[str, Any]) -> bool:
    """Whether an object says that nothing is filled in in it."""
    metadata = value.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    return any(
        isinstance(stated := metadata.get(field), dict) and stated.get(_DISABLED) == "disabled"
        for field in ("labels", "annotations")
    )


def substituted(text: str, substitution: Substitution) -> Substituted:
    """The text of one object with its variables filled in. Raises UnfollowableError for what Flux refuses."""
    variables = substitution.variables
    if not variables:
        return Substituted(text)
    wrong = next((name for name in variables if not _NAME.match(name)), None)
    if wrong is not None:
        raise UnfollowableError("template", f"{wrong} is no name of a variable")
    run = _Run(text, variables, substitution.strict)
    made = run.all()
    uses = []
    line, at = 1, 0
    for offset, name in run.uses:
        line += made.count("\n", at, offset)
        at = offset
        uses.append(Use(line, name, substitution.origins.get(name)))
    return Substituted(made, tuple(uses))


def _bad(what: str) -> UnfollowableError:
    return UnfollowableError("template", f"a substitution is not valid: {what}")


class _Run:
    """One pass over a text."""

    def __init__(self, text: str, variables: Mapping[str, str], strict: bool) -> None:
        self.text, self.variables, self.strict = text, variables, strict
        self.at = 0
        #: (offset in what is made, variable) in order.
        self.uses: list[tuple[int, str]] = []

    def peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def all(self) -> str:
        made: list[str] = []
        size = 0
        while (dollar := self.text.find("$", self.at)) >= 0:
            made.append(self.text[self.at : dollar])
            size += len(made[-1])
            following = self.text[dollar + 1 : dollar + 2]
            self.at = dollar + (2 if following in ("{", "$") else 1)
            if following == "{":
                begin = len(self.uses)
                made.append(self.function(0))
                self.uses[begin:] = [(size, name) for _, name in self.uses[begin:]]
            else:
                made.append("$")
            size += len(made[-1])
            if size > _MAX_OUTPUT:
                raise UnfollowableError("limit", "what substitutions make is too large")
        return "".join((*made, self.text[self.at :]))

    def function(self, depth: int) -> str:
        """What a substitution makes; behind its ``${`` before, behind its ``}`` after."""
        if depth > _MAX_DEPTH:
            raise UnfollowableError("limit", "substitutions are nested too deep")
        if self.peek() == "#":
            self.at += 1
            value = self.value(self.name())
            self.close()
            return str(len(_plain(value)))
        name = self.name()
        sign = self.peek()
        if sign == ":" and self.text[self.at + 1 : self.at + 2] in tuple("=-?+"):
            self.at += 2
            return self.default(name, depth)
        if sign == "=":
            self.at += 1
            return self.default(name, depth)
        if sign == ":":
            self.at += 1
            return self.part(name, depth)
        if sign and sign in ",^":
            return self.cased(name)
        if sign == "/":
            return self.replaced(name, depth)
        if sign and sign in "#%":
            return self.removed(name, sign, depth)
        self.close()
        return self.value(name)

    def name(self) -> str:
        begin = self.at
        while (character := self.peek()) and (character.isalpha() or character.isdigit() or character == "_"):
            self.at += 1
        if begin == self.at:
            raise _bad("it has no name")
        return self.text[begin : self.at]

    def value(self, name: str, needed: bool = True) -> str:
        if name not in self.variables and self.strict and needed:
            raise _bad(f"{name} is not stated")
        self.uses.append((0, name))
        return self.variables.get(name, "")

    def close(self) -> None:
        if self.peek() != "}":
            raise _bad("it has no end")
        self.at += 1

    def parameter(self, stops: str, depth: int, escapes: bool = False) -> str:
        """Text up to one of the stops, or one substitution in it."""
        if self.text.startswith("${", self.at):
            self.at += 2
            return self.function(depth + 1)
        made: list[str] = []
        begin = self.at
        while (character := self.peek()) and not self.text.startswith("${", self.at):
            pair = self.text[self.at : self.at + 2]
            if escapes and pair in ("$$", "\\/", "\\\\"):
                made.append(pair[1])
                self.at += 2
                continue
            if character in stops:
                break
            made.append(character)
            self.at += 1
        if begin == self.at:
            raise _bad("a part of it is missing")
        return "".join(made)

    def default(self, name: str, depth: int) -> str:
        made: list[str] = []
        while self.peek() != "}":
            made.append(self.parameter("}", depth))
        self.close()
        return self.value(name, needed=False) or "".join(made)

    def part(self, name: str, depth: int) -> str:
        first = self.parameter(":}", depth)
        second = None
        if self.peek() == ":":
            while self.peek() == ":":
                self.at += 1
            second = self.parameter("}", depth)
        self.close()
        value = _plain(self.value(name))
        if not re.fullmatch(r"[+-]?[0-9]{1,9}", first) or (
            second is not None and not re.fullmatch(r"[+-]?[0-9]{1,9}", second)
        ):
            if re.fullmatch(r"[+-]?[0-9]+", first) and second is not None and len(second) < 10:
                return value
            if not re.search(r"[0-9]{10}", first + (second or "")):
                return value
            raise _bad("a number is too large")
        begin = int(first)
        begin = max(len(value) + begin, 0) if begin < 0 else begin
        if second is None:
            return value[begin:]
        length = int(second)
        if begin + length >= len(value):
            return value[begin:]
        if length < 0:
            raise _bad("a length is negative")
        return value[begin : begin + length]

    def cased(self, name: str) -> str:
        begin = self.at
        while self.at - begin < 2 and self.peek() and self.peek() in ",^":
            self.at += 1
        sign = self.text[begin : self.at]
        self.close()
        value = self.value(name)
        if sign == ",":
            return value[:1].lower() + value[1:]
        if sign == "^":
            return value[:1].upper() + value[1:]
        return {",,": value.lower(), "^^": value.upper()}.get(sign, value)

    def removed(self, name: str, sign: str, depth: int) -> str:
        begin = self.at
        while self.at - begin < 2 and self.peek() == sign:
            self.at += 1
        longest = self.at - begin == 2
        pattern = self.parameter("}", depth)
        self.close()
        value = self.value(name)
        if len(value) > _MAX_PATTERN_VALUE or len(pattern) > 256:
            raise UnfollowableError("limit", "a value or pattern of a substitution is too long")
        if sign == "%":
            return _trimmed(value[::-1], pattern[::-1], longest)[::-1]
        return _trimmed(value, pattern, longest)

    def replaced(self, name: str, depth: int) -> str:
        self.at += 1
        sign = self.peek() if self.peek() and self.peek() in "/#%" else ""
        self.at += len(sign)
        old = self.parameter("/", depth, escapes=True)
        if self.peek() != "/":
            raise _bad("a part of it is missing")
        while self.peek() == "/":
            self.at += 1
        new = None if self.peek() == "}" else self.parameter("}", depth, escapes=True)
        self.close()
        value = self.value(name)
        if sign == "#":
            return value if new is None or not value.startswith(old) else new + value[len(old) :]
        if sign == "%":
            return value if new is None or not value.endswith(old) else value.removesuffix(old) + new
        return value.replace(old, new or "", -1 if sign == "/" else 1)


def _plain(value: str) -> str:
    # It counts bytes, and may cut a character.
    if not value.isascii():
        raise _bad("the length of what is not ASCII")
    return value


def _trimmed(value: str, pattern: str, longest: bool) -> str:
    """A value without what of its beginning matches."""
    sizes = range(len(value), 0, -1) if longest else range(1, len(value) + 1)
    try:
        size = next((size for size in sizes if whole_match(pattern, value[:size])), 0)
    except BadPatternError:
        return value
    return value[size:]
