"""Templates of ApplicationSets: ``{{name}}`` (fasttemplate) and the part of Go's templates that is reproduced here.

Go templates: actions of pipelines and ``if``, fields, ``index``, literals, and the functions of ``_FUNCTIONS``, each as
Go and sprig v3 have it. All else (range, with, variables, define, other functions) is told, never guessed.
Upstream: argo-cd v3.6, applicationset/utils, Replace; Go, text/template/exec.go.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from kubeassay.sources.deployers.model import UnfollowableError

Parameters = Mapping[str, Any]
#: A template, and what comes of it.
MAX_TEMPLATE = 2**18
_MAX_OUTPUT = 2**20
_MAX_DEPTH = 50
_INVALID_NAME = re.compile(r"[^-a-z0-9.]")


class _Withheld:
    """In place of a value that a Secret holds: a template that has it is not followed."""

    __slots__ = ()


WITHHELD = _Withheld()


class _NoValue:
    """What a key gives that is not there; it is written ``<no value>``."""

    __slots__ = ()


_NONE = _NoValue()


def sanitized(name: str) -> str:
    """A name as ``normalize`` has it (SanitizeName)."""
    return _INVALID_NAME.sub("-", name.lower())[:253].strip("-.")


def go_text(value: Any) -> str:
    """A value as Go's ``%v`` writes it. Numbers of parameters are floating-point, all of them (see ``from_json``)."""
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, dict):
        return "map[" + " ".join(f"{key}:{go_text(value[key])}" for key in sorted(value)) + "]"
    if isinstance(value, list):
        return "[" + " ".join(map(go_text, value)) + "]"
    if isinstance(value, _Withheld):
        raise UnfollowableError("secret", "a parameter stands in a Secret")
    return str(value)


def from_json(value: Any) -> Any:
    """A value as Go decodes it from JSON, which it is made before it is a parameter: every number is floating-point."""
    if isinstance(value, dict):
        return {str(key): from_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [from_json(item) for item in value]
    if isinstance(value, int) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            return math.inf
    return value


def _number(value: float) -> str:
    if math.isinf(value) or math.isnan(value):
        return "NaN" if math.isnan(value) else ("+Inf" if value > 0 else "-Inf")
    # The shortest digits that read as the same number.
    digits = next(text for size in range(17) if float(text := f"{value:.{size}e}") == value)
    mantissa, _, exponent = digits.partition("e")
    power = int(exponent)
    if power < -4 or power >= 6:
        return f"{mantissa}e{'-' if power < 0 else '+'}{abs(power):02d}"
    return f"{value:.{max(len(mantissa.lstrip('-').replace('.', '')) - 1 - power, 0)}f}"


def flat_replace(text: str, parameters: Parameters) -> str:
    """``{{name}}`` filled in with parameters that are text; what is none stays as it is. Raises UnfollowableError."""
    if "{{" not in text or len(text) > MAX_TEMPLATE:
        if len(text) > MAX_TEMPLATE:
            raise UnfollowableError("limit", "a template is too large")
        return text
    if not re.search(r"\{\{[^\n]*\}\}", text):
        return text
    made: list[str] = []
    position = size = 0
    while (start := text.find("{{", position)) >= 0:
        end = text.find("}}", start + 2)
        if end < 0:
            raise UnfollowableError("template", "a template has no end")
        tag = text[start + 2 : end]
        value = parameters.get(tag.strip())
        if isinstance(value, _Withheld):
            raise UnfollowableError("secret", "a parameter stands in a Secret")
        made += [text[position:start], value if tag.strip() and isinstance(value, str) else text[start : end + 2]]
        size += len(made[-1])
        if size > _MAX_OUTPUT:
            raise UnfollowableError("limit", "what a template makes is too large")
        position = end + 2
    return "".join((*made, text[position:]))


def replace(text: str, parameters: Parameters, go: bool, options: Sequence[str] = ()) -> str:
    """A template filled in. ``options``: ``goTemplateOptions``. Raises UnfollowableError."""
    if not go:
        return flat_replace(text, parameters)
    if "{{" not in text:
        return text
    if len(text) > MAX_TEMPLATE:
        raise UnfollowableError("limit", "a template is too large")
    missing = "default"
    for option in options:
        key, _, value = option.partition("=")
        if key != "missingkey" or value not in ("default", "invalid", "zero", "error"):
            raise UnfollowableError("template", f"the option {option} is not known")
        missing = value
    try:
        return _Run(dict(parameters), missing).text(_parsed(text))
    except RecursionError:
        raise UnfollowableError("limit", "a template is nested too deep") from None


# --- parsing ---


@dataclass(slots=True)
class _If:
    """Branches: (condition, what is written); a condition None is ``else``."""

    branches: list[tuple[_Pipeline | None, list[Any]]] = field(default_factory=list)


#: An operand: ("field", names) of the data, ("value", value), ("pipe", pipeline, names), ("function", name).
_Operand = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class _Pipeline:
    commands: tuple[tuple[_Operand, ...], ...]


_TOKEN = re.compile(
    r"\s*(?:(?P<string>\"(?:[^\"\\\n]|\\.)*\")|(?P<raw>`[^`]*`)|(?P<number>-?[0-9]+(?![0-9A-Za-z_.]))"
    r"|(?P<field>\$?(?:\.[A-Za-z_][A-Za-z0-9_]*)+)|(?P<dot>\.(?![0-9A-Za-z_])|\$(?![A-Za-z_]))"
    r"|(?P<word>[A-Za-z_][A-Za-z0-9_]*)|(?P<sign>[()|]))(?P<space>\s*)"
)


def _unsupported(what: str) -> UnfollowableError:
    return UnfollowableError("template", f"{what} in a Go template is not evaluated here")


@lru_cache(maxsize=512)
def _parsed(text: str) -> list[Any]:
    root: list[Any] = []
    #: The lists that nodes are added to, innermost last, with the ``if`` that each belongs to.
    open_lists: list[tuple[list[Any], _If | None]] = [(root, None)]
    position = 0
    trim = False
    while True:
        start = text.find("{{", position)
        literal = text[position : start if start >= 0 else len(text)]
        literal = literal.lstrip(" \t\r\n") if trim else literal
        trim = False
        if start < 0:
            open_lists[-1][0].append(literal)
            break
        begin = start + 2
        if text[begin : begin + 1] == "-" and text[begin + 1 : begin + 2] in tuple(" \t\r\n"):
            literal = literal.rstrip(" \t\r\n")
            begin += 1
        open_lists[-1][0].append(literal)
        inner = text[begin:].lstrip()
        if inner.startswith("/*"):
            end = text.find("*/", begin)
            close = text.find("}}", end)
            if end < 0 or close < 0:
                raise UnfollowableError("template", "a template has no end")
            trim = text[end + 2 : close].strip() == "-"
            position = close + 2
            continue
        end = _action_end(text, begin)
        action = text[begin:end]
        if action.endswith("-") and action[-2:-1] in tuple(" \t\r\n"):
            action, trim = action[:-1], True
        position = end + 2
        _act(action.strip(), open_lists)
        if len(open_lists) > _MAX_DEPTH:
            raise UnfollowableError("limit", "a template is nested too deep")
    if len(open_lists) > 1:
        raise UnfollowableError("template", "an if of a template has no end")
    return root


def _action_end(text: str, begin: int) -> int:
    """Where the ``}}`` of an action stands, which is in no string."""
    position = begin
    while position < len(text):
        if text.startswith("}}", position):
            return position
        character = text[position]
        if character in '"`':
            position += 1
            while position < len(text) and text[position] != character:
                position += 2 if character == '"' and text[position] == "\\" else 1
        position += 1
    raise UnfollowableError("template", "a template has no end")


def _act(action: str, open_lists: list[tuple[list[Any], _If | None]]) -> None:
    word = re.match(r"[a-z]+\b", action)
    keyword = word[0] if word else ""
    rest = action[len(keyword) :].strip()
    nodes, current = open_lists[-1]
    if keyword == "if":
        made = _If([(_pipeline(rest), [])])
        nodes.append(made)
        open_lists.append((made.branches[-1][1], made))
    elif keyword == "else" and current is not None:
        if rest and not rest.startswith("if "):
            raise _unsupported(f"else {rest.split()[0]}")
        if current.branches[-1][0] is None:
            raise UnfollowableError("template", "a template has two else")
        current.branches.append((_pipeline(rest[3:]) if rest else None, []))
        open_lists[-1] = (current.branches[-1][1], current)
    elif keyword == "end" and current is not None and not rest:
        open_lists.pop()
    elif keyword in ("range", "with", "define", "template", "block", "break", "continue", "else", "end"):
        raise _unsupported(keyword)
    else:
        nodes.append(_pipeline(action))


def _pipeline(text: str) -> _Pipeline:
    tokens: list[tuple[str, str, bool]] = []
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None or match.lastgroup is None:
            raise _unsupported(text[position:].strip()[:20] or "an empty action")
        kind = next(name for name in match.groupdict() if name != "space" and match[name] is not None)
        tokens.append((kind, match[kind], bool(match["space"])))
        position = match.end()
    pipeline, end = _commands(tokens, 0, 0)
    if end != len(tokens):
        raise _unsupported("a parenthesis")
    return pipeline


def _commands(tokens: list[tuple[str, str, bool]], position: int, depth: int) -> tuple[_Pipeline, int]:
    if depth > _MAX_DEPTH:
        raise UnfollowableError("limit", "a template is nested too deep")
    commands: list[tuple[_Operand, ...]] = []
    command: list[_Operand] = []
    while True:
        kind, text, _ = tokens[position] if position < len(tokens) else ("end", "", False)
        if kind == "end" or text in ("|", ")"):
            if not command:
                raise _unsupported("an empty action")
            if command[0][0] != "function" and (len(command) > 1 or commands):
                raise _unsupported("a value that is called")
            commands.append(tuple(command))
            command = []
            if text != "|":
                return _Pipeline(tuple(commands)), position
            position += 1
            continue
        if text == "(":
            inner, position = _commands(tokens, position + 1, depth + 1)
            if position >= len(tokens) or tokens[position][1] != ")":
                raise _unsupported("a parenthesis")
            spaced = tokens[position][2]
            names: tuple[str, ...] = ()
            if not spaced and position + 1 < len(tokens) and tokens[position + 1][0] == "field":
                position += 1
                names = tuple(tokens[position][1].lstrip("$.").split("."))
            command.append(("pipe", inner, names))
        else:
            command.append(_operand(kind, text))
        position += 1


def _operand(kind: str, text: str) -> _Operand:
    if kind == "string":
        try:
            if re.search(r"\\[^\"\\nrtu/bf]", text):
                raise ValueError(text)
            return ("value", json.loads(text.replace("\t", "\\t")))
        except ValueError:
            raise _unsupported("an escape") from None
    if kind == "raw":
        return ("value", text[1:-1])
    if kind == "number":
        return ("value", int(text))
    if kind == "field":
        return ("field", tuple(text.removeprefix("$").lstrip(".").split(".")))
    if kind == "dot":
        return ("field", ())
    if text in ("true", "false"):
        return ("value", text == "true")
    if text in ("nil",):
        raise _unsupported("nil")
    if text not in _FUNCTIONS and text not in ("index", "and", "or", "default"):
        raise _unsupported(f"the function {text}")
    return ("function", text)


# --- running ---


class _Run:
    def __init__(self, data: dict[str, Any], missing: str) -> None:
        self.data = data
        self.missing = missing
        self.size = 0

    def text(self, nodes: list[Any]) -> str:
        made: list[str] = []
        for node in nodes:
            if isinstance(node, str):
                found = node
            elif isinstance(node, _Pipeline):
                found = _printed(self.pipeline(node))
            else:
                found = next(
                    (
                        self.text(inner)
                        for condition, inner in node.branches
                        if condition is None or _truth(self.pipeline(condition))
                    ),
                    "",
                )
            self.size += len(found)
            if self.size > _MAX_OUTPUT:
                raise UnfollowableError("limit", "what a template makes is too large")
            made.append(found)
        return "".join(made)

    def pipeline(self, pipeline: _Pipeline) -> Any:
        value: Any = None
        for number, command in enumerate(pipeline.commands):
            piped = (value,) if number else ()
            if command[0][0] == "function":
                value = self.call(command[0][1], [self.operand(one) for one in command[1:]] + list(piped))
            else:
                value = self.operand(command[0])
        return value

    def operand(self, operand: _Operand) -> Any:
        if operand[0] == "value":
            return operand[1]
        if operand[0] == "function":
            return self.call(operand[1], [])
        value, names = (self.pipeline(operand[1]), operand[2]) if operand[0] == "pipe" else (self.data, operand[1])
        for name in names:
            value = self.field(value, name)
        return value

    def field(self, value: Any, name: str) -> Any:
        if isinstance(value, dict):
            if name in value:
                return value[name]
        elif value is not _NONE and value is not None:
            raise UnfollowableError("template", f"a template asks for .{name} of what is no mapping")
        if self.missing == "error":
            raise UnfollowableError("template", f"a template asks for .{name}, which no generator makes")
        if self.missing == "zero":
            raise UnfollowableError(
                "template", f"a template asks for .{name}, which no generator makes (missingkey=zero)"
            )
        return _NONE

    def call(self, name: str, arguments: list[Any]) -> Any:
        if any(isinstance(one, _Withheld) for one in arguments):
            raise UnfollowableError("secret", "a parameter stands in a Secret")
        if name == "index":
            return self.index(arguments)
        if name in ("and", "or"):
            for one in arguments:
                if _truth(one) == (name == "or"):
                    return one
            if not arguments:
                raise _unsupported(f"{name} without arguments")
            return arguments[-1]
        if name == "default":
            if len(arguments) not in (1, 2):
                raise _unsupported("default with these arguments")
            return arguments[-1] if _truth(arguments[-1]) else arguments[0]
        types, function = _FUNCTIONS[name]
        if types is not None and (
            len(types) != len(arguments)
            or not all(
                isinstance(one, kind) and (kind is not int or not isinstance(one, bool))
                for one, kind in zip(arguments, types, strict=True)
            )
        ):
            raise _unsupported(f"{name} with these arguments")
        if any(one is _NONE for one in arguments):
            raise _unsupported(f"{name} of what is not there")
        return function(*arguments)

    def index(self, arguments: list[Any]) -> Any:
        if not arguments:
            raise _unsupported("index without arguments")
        value = arguments[0]
        for key in arguments[1:]:
            if isinstance(value, dict) and isinstance(key, str):
                if key not in value:
                    # The zero value of the map's type, which is not known here.
                    raise UnfollowableError("template", "index of a template asks for a key that is not there")
                value = value[key]
            elif isinstance(value, list) and isinstance(key, int) and not isinstance(key, bool):
                if not 0 <= key < len(value):
                    raise UnfollowableError("template", "index of a template asks for an item that is not there")
                value = value[key]
            else:
                raise _unsupported("index with these arguments")
        return value


def _printed(value: Any) -> str:
    if value is _NONE or value is None:
        return "<no value>"
    return go_text(value)


def _truth(value: Any) -> bool:
    if isinstance(value, _Withheld):
        raise UnfollowableError("secret", "a parameter stands in a Secret")
    return value is not _NONE and bool(value)


def _equal(first: Any, *others: Any) -> bool:
    if not others:
        raise _unsupported("eq of one value")
    for one in (first, *others):
        if not isinstance(one, str | bool):
            # Numbers of JSON are floating-point, literals are not: Go refuses to compare them.
            raise _unsupported("a comparison of what is no text")
    if any(type(one) is not type(first) for one in others):
        raise _unsupported("a comparison of different types")
    return first in others


def _joined(separator: str, values: list[Any]) -> str:
    return separator.join("" if one is None else go_text(one) for one in values if one is not None)


def _printf(template: str, *values: Any) -> str:
    waiting = list(values)

    def one(match: re.Match[str]) -> str:
        if match[0] == "%%":
            return "%"
        if not waiting or match[0] not in ("%s", "%v"):
            raise _unsupported("printf with this format")
        value = waiting.pop(0)
        if match[0] == "%s" and not isinstance(value, str):
            raise _unsupported("printf of what is no text")
        return go_text(value)

    made = re.sub(r"%.?", one, template, flags=re.DOTALL)
    if waiting:
        raise _unsupported("printf with these arguments")
    return made


def _truncated(size: int, text: str) -> str:
    if not text.isascii():
        raise _unsupported("trunc of what is not ASCII")
    if size < 0:
        return text[size:] if len(text) + size > 0 else text
    return text[:size]


def _split(separator: str, text: str) -> list[Any]:
    return list(text.split(separator)) if separator else list(text)


def _end(values: list[Any], at: int) -> Any:
    if not values:
        raise _unsupported("first or last of an empty list")
    return values[at]


def _quoted(text: str) -> str:
    if not text.isascii() or not text.isprintable():
        raise _unsupported("quote of such text")
    return json.dumps(text)


#: Function → types of its arguments (None: it looks itself), and what it does. Pipes pass the last argument.
_FUNCTIONS: dict[str, tuple[tuple[type, ...] | None, Callable[..., Any]]] = {
    "lower": ((str,), str.lower),
    "upper": ((str,), str.upper),
    "trim": ((str,), lambda text: text.strip(" \t\n\v\f\r\x85\xa0")),
    "trimPrefix": ((str, str), lambda prefix, text: text.removeprefix(prefix)),
    "trimSuffix": ((str, str), lambda suffix, text: text.removesuffix(suffix)),
    "trimAll": ((str, str), lambda characters, text: text.strip(characters) if characters else text),
    "replace": ((str, str, str), lambda old, new, text: text.replace(old, new)),
    "nospace": ((str,), lambda text: "".join(text.split())),
    "trunc": ((int, str), _truncated),
    "contains": ((str, str), lambda part, text: part in text),
    "hasPrefix": ((str, str), lambda prefix, text: text.startswith(prefix)),
    "hasSuffix": ((str, str), lambda suffix, text: text.endswith(suffix)),
    "hasKey": ((dict, str), lambda values, key: key in values),
    "splitList": ((str, str), _split),
    "join": ((str, list), _joined),
    "first": ((list,), lambda values: _end(values, 0)),
    "last": ((list,), lambda values: _end(values, -1)),
    "quote": ((str,), _quoted),
    "normalize": ((str,), sanitized),
    "printf": (None, _printf),
    "toString": ((object,), go_text),
    "eq": (None, _equal),
    "ne": (None, lambda first, *others: not _equal(first, *others)),
    "not": ((object,), lambda value: not _truth(value)),
    "empty": ((object,), lambda value: not _truth(value)),
}
