"""Texts of Go's template language, as far as they can be understood without running them.

What stands here is a reading of the text: where its actions are, which block each place is in, and what ``.`` means
there, as a path from the root context (``Values``, ``image``). What is not understood is None, never a guess.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple


class Each(NamedTuple):
    """A step of a reference: the entry that a ``range`` is at, by the range's number in its template."""

    range: int


#: A path from the root context of a chart; ``()`` is that context.
Reference = tuple[str | Each, ...]


@dataclass(frozen=True, slots=True)
class Action:
    """``{{ … }}``: the offsets of its delimiters, and the code between them (nothing of a comment)."""

    start: int
    end: int
    code: str
    trims_left: bool = False
    trims_right: bool = False


class TemplateTextError(ValueError):
    """A text is no template that Go would take, or one with more in it than this follows."""


#: Of templates that people write; of more, what names mean at each place would fill the memory.
_MOST_VARIABLES = 250
_MOST_BLOCKS = 100
#: Of an expression. One with more is not understood, which is said of the place.
_MOST_TOKENS = 200


_DELIMITED = re.compile(r'"(?:[^"\\\n]|\\.)*"|`[^`]*`|\'(?:[^\'\\\n]|\\.)*\'|\}\}|.', re.DOTALL)


def actions_of(text: str) -> list[Action]:
    """The actions of a text, in order. Raises TemplateTextError (text/template/parse/lex.go says what they are)."""
    found: list[Action] = []
    position = 0
    while (start := text.find("{{", position)) != -1:
        inner = start + 2
        trims_left = text[inner : inner + 1] == "-" and text[inner + 1 : inner + 2] in (" ", "\t", "\r", "\n")
        if trims_left:
            inner += 2
        if text.startswith("/*", inner):
            close = text.find("*/", inner + 2)
            end = -1 if close == -1 else text.find("}}", close)
            if end == -1:
                raise TemplateTextError("an unclosed comment")
            found.append(Action(start, end + 2, "", trims_left, text[close + 2 : end].strip() == "-"))
        else:
            end = _end(text, inner)
            trims_right = text[end - 1] == "-" and text[end - 2] in " \t\r\n" and end - 1 > inner
            code = text[inner : end - 1 if trims_right else end].strip()
            found.append(Action(start, end + 2, code, trims_left, trims_right))
        position = found[-1].end
    return found


def _end(text: str, position: int) -> int:
    for match in _DELIMITED.finditer(text, position):
        if match[0] == "}}":
            return match.start()
    raise TemplateTextError("an unclosed action")


@dataclass(frozen=True, slots=True)
class Scope:
    """What names mean at a place. ``dot`` and ``root``: ``.`` and ``$``. ``ranges``: (number, variable of the key) of
    the ranges around it, outermost first."""

    dot: Reference | None
    root: Reference | None
    variables: Mapping[str, Reference | None] = field(default_factory=dict)
    ranges: tuple[tuple[int, str], ...] = ()
    define: str = ""


@dataclass(frozen=True, slots=True)
class Call:
    """``include`` or ``template`` of a named template, with what it is given there."""

    name: str
    given: Reference | None


@dataclass(frozen=True, slots=True)
class Range:
    """A ``range``. ``insert``: what to put at the offset ``at``, so that its key has a name."""

    number: int
    at: int
    insert: str


_WORD = re.compile(r"[A-Za-z_]\w*")
_RANGE = re.compile(
    r"range\s+(?:(?P<key>\$\w+)\s*,\s*(?P<entry>\$\w+)\s*:=\s*|(?P<only>\$\w+)\s*:=\s*)?(?P<of>.+)\Z", re.DOTALL
)
_ASSIGNED = re.compile(r"(?:with|if|else if|else with)?\s*(?P<name>\$\w+)\s*:?=\s*(?P<value>.+)\Z", re.DOTALL)
_CALL = re.compile(r'\b(?:include|template)\s+(?:"([^"\\]+)"|`([^`]+)`)\s*(\$?[.\w$]*)')
_DEFINE = re.compile(r'(?:define|block)\s+(?:"([^"\\]+)"|`([^`]+)`)')
_PATH = re.compile(r"\$?(?:\w+)?(?:\.\w+)+|\.|\$\w*")


class Template:
    """One template file. ``given``: what the named templates that it defines are given, where that is known."""

    def __init__(self, text: str, given: Mapping[str, Reference | None] | None = None) -> None:
        self.text = text
        self.actions = actions_of(text)
        self.calls: list[Call] = []
        self.ranges: list[Range] = []
        self._starts: list[int] = [0]
        self._scopes: list[Scope] = [Scope((), ())]
        self._understand(given or {})

    def scope(self, offset: int) -> Scope:
        """What names mean at an offset."""
        return self._scopes[bisect_right(self._starts, offset) - 1]

    def _understand(self, given: Mapping[str, Reference | None]) -> None:
        # (the scope around the block, its keyword)
        open_blocks: list[tuple[Scope, str]] = []
        scope = self._scopes[0]
        for action in self.actions:
            code = action.code
            word = _WORD.match(code)
            keyword = word[0] if word else ""
            self._call(code, scope)
            if keyword in ("if", "with", "range", "define", "block"):
                open_blocks.append((scope, keyword))
                if len(open_blocks) > _MOST_BLOCKS:
                    raise TemplateTextError("too many blocks in blocks")
                scope = self._opened(action, keyword, scope, given)
            elif keyword == "else" and open_blocks:
                around, opened = open_blocks[-1]
                rest = code[4:].strip()
                scope = around
                if rest.startswith("with") or (opened == "with" and not rest):
                    scope = Scope(resolve(rest[4:], around) if rest else around.dot, *_rest(around))
            elif keyword == "end":
                if not open_blocks:
                    raise TemplateTextError("an end without a block")
                scope, _ = open_blocks.pop()
            else:
                assigned = _ASSIGNED.match(code) if code.startswith("$") else None
                if assigned:
                    # One that is set again in a block is not followed.
                    again = ":=" not in code[: assigned.start("value")]
                    value = None if again else resolve(assigned["value"], scope)
                    scope = _with_variable(scope, assigned["name"], value)
                    if again:
                        open_blocks = [(_with_variable(s, assigned["name"], None), k) for s, k in open_blocks]
            self._starts.append(action.end)
            self._scopes.append(scope)
        if open_blocks:
            raise TemplateTextError("a block without an end")

    def _opened(self, action: Action, keyword: str, scope: Scope, given: Mapping[str, Reference | None]) -> Scope:
        code = action.code
        if keyword in ("define", "block"):
            match = _DEFINE.match(code)
            name = (match[1] or match[2]) if match else ""
            dot = given.get(name) if keyword == "define" else None
            return Scope(dot, dot, {}, (), name or "?")
        if keyword == "range":
            return self._ranged(action, scope)
        assigned = _ASSIGNED.match(code)
        value = assigned["value"] if assigned else code[len(keyword) :]
        reference = resolve(value, scope)
        if assigned:
            scope = _with_variable(scope, assigned["name"], reference)
        return scope if keyword == "if" else Scope(reference, *_rest(scope))

    def _ranged(self, action: Action, scope: Scope) -> Scope:
        match = _RANGE.match(action.code)
        if match is None:
            return Scope(None, *_rest(scope))
        number = len(self.ranges)
        of = resolve(match["of"], scope)
        entry = None if of is None else (*of, Each(number))
        at = self.text.index("range", action.start) + len("range")
        key = match["key"] or f"$kubeassayKey{number}"
        insert = "" if match["key"] else f" {key}," if match["only"] else f" {key}, $kubeassayEntry{number} :="
        self.ranges.append(Range(number, at, insert))
        variables = dict(scope.variables)
        if match["key"]:
            variables[match["key"]] = None
        if name := match["entry"] or match["only"]:
            variables[name] = entry
        return Scope(entry, scope.root, variables, (*scope.ranges, (number, key)), scope.define)

    def _call(self, code: str, scope: Scope) -> None:
        for match in _CALL.finditer(code):
            given = resolve(match[3], scope) if match[3] else None
            # The key that a range is at is known only in its own text.
            if given is not None and any(isinstance(step, Each) for step in given):
                given = None
            self.calls.append(Call(match[1] or match[2], given))


def _rest(scope: Scope) -> tuple[Reference | None, Mapping[str, Reference | None], tuple[tuple[int, str], ...], str]:
    return scope.root, scope.variables, scope.ranges, scope.define


def _with_variable(scope: Scope, name: str, value: Reference | None) -> Scope:
    if len(scope.variables) > _MOST_VARIABLES:
        raise TemplateTextError("too many variables")
    return Scope(scope.dot, scope.root, {**scope.variables, name: value}, scope.ranges, scope.define)


def resolve(code: str, scope: Scope) -> Reference | None:
    """What a path (``.a.b``, ``$.a``, ``$x.a``) refers to."""
    code = code.strip()
    while code.startswith("(") and code.endswith(")"):
        code = code[1:-1].strip()
    if not _PATH.fullmatch(code):
        return None
    head, *steps = code.split(".")
    steps = [step for step in steps if step]
    base = scope.dot if not head else scope.root if head == "$" else scope.variables.get(head)
    return None if base is None else (*base, *steps)


def given_to(templates: Iterable[str]) -> dict[str, Reference | None]:
    """What each named template of a chart is given, where all that call it give it the same. Computed names are not
    seen."""
    texts = list(templates)
    # As though all got the root context; what is found not to be so changes what others get.
    given: dict[str, Reference | None] = {}
    for text in texts:
        for match in _DEFINE.finditer(text):
            given[match[1] or match[2]] = ()
    for _ in range(6):
        found: dict[str, set[Reference | None]] = {name: set() for name in given}
        for text in texts:
            try:
                template = Template(text, given)
            except TemplateTextError:
                # What it calls is not known.
                return dict.fromkeys(given)
            for call in template.calls:
                if call.name in found:
                    found[call.name].add(call.given)
        now = {name: next(iter(values)) if len(values) == 1 else None for name, values in found.items()}
        if now == given:
            return given
        given = now
    return dict.fromkeys(given)


# --- expressions ---


@dataclass(frozen=True, slots=True)
class Expression:
    """What an action prints: an entry of the context, through functions that keep its value.

    ``default``: what is printed where there is no such entry, as a literal or another reference. ``encoded``: in
    base64. ``block``: as YAML.
    """

    reference: Reference
    default: str | Reference | None = None
    encoded: bool = False
    block: bool = False


#: Functions that print a scalar as it is, whatever they do to its type.
_KEEPING = frozenset(
    {"quote", "squote", "toString", "int", "int64", "float64", "trim", "toJson", "html", "nindent", "indent", "toYaml"}
)
TOKEN = re.compile(r'"(?:[^"\\\n]|\\.)*"|`[^`]*`|[()|]|[^\s()|]+')


def expression(code: str, scope: Scope) -> Expression | None:
    """What the code of an action prints; None where it is more than this understands."""
    stages: list[list[str]] = [[]]
    depth = 0
    tokens = TOKEN.findall(code)
    if len(tokens) > _MOST_TOKENS:
        return None
    for token in tokens:
        depth += (token == "(") - (token == ")")
        if token == "|" and depth == 0:
            stages.append([])
        else:
            stages[-1].append(token)
    found = _operand(stages[0], scope)
    for stage in stages[1:]:
        if found is None or not stage:
            return None
        found = _through(found, stage, scope)
    return found


def _operand(tokens: list[str], scope: Scope) -> Expression | None:
    enclosed = False
    while len(tokens) > 2 and tokens[0] == "(" and tokens[-1] == ")" and _closes(tokens) == len(tokens) - 1:
        tokens, enclosed = tokens[1:-1], True
    if enclosed and "|" in tokens:
        return expression(" ".join(tokens), scope)
    if len(tokens) == 1:
        reference = resolve(tokens[0], scope)
        return None if reference is None else Expression(reference)
    if len(tokens) < 2 or "|" in tokens:
        return None
    # A function with the entry as its last argument.
    if tokens[-1] == ")":
        start = len(tokens) - 1
        depth = 0
        for number in range(len(tokens) - 1, -1, -1):
            depth += (tokens[number] == ")") - (tokens[number] == "(")
            if depth == 0:
                start = number
                break
        last, before = tokens[start:], tokens[:start]
    else:
        last, before = tokens[-1:], tokens[:-1]
    operand = _operand(last, scope)
    return None if operand is None else _through(operand, before, scope)


def _closes(tokens: list[str]) -> int:
    depth = 0
    for number, token in enumerate(tokens):
        depth += (token == "(") - (token == ")")
        if depth == 0:
            return number
    return -1


def _through(operand: Expression, stage: list[str], scope: Scope) -> Expression | None:
    name, *arguments = stage
    if name == "default" and len(arguments) == 1 and operand.default is None:
        text = arguments[0]
        literal = text[1:-1] if text[:1] in ('"', "`") and "\\" not in text else None
        if literal is None and re.fullmatch(r"-?\d+|true|false", text):
            literal = text
        other = literal if literal is not None else resolve(text, scope)
        # A default that is not understood is not guessed.
        return None if other is None else Expression(operand.reference, other, operand.encoded, operand.block)
    if name == "b64enc" and not arguments and not operand.encoded:
        return Expression(operand.reference, operand.default, True, operand.block)
    if name in ("nindent", "indent") and len(arguments) == 1:
        return operand
    if name in _KEEPING and not arguments:
        return Expression(operand.reference, operand.default, operand.encoded, operand.block or name == "toYaml")
    if name == "required" and len(arguments) == 1:
        return operand
    if name == "tpl":
        return None
    return None
