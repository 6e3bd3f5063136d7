"""What templates change of the values that they are given, as far as their texts say.

Values are mappings that all templates of a chart share: ``set .Values "a" …`` in one changes what another prints. Then
a values file may have the very value of a field and yet not be what states it. So what a template may have changed
counts as unknown, by the names of keys: which template runs first is not followed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from kubeassay.model import Path
from kubeassay.sources.go_template import TOKEN, Scope, Template, resolve

_CHANGING = re.compile(r"\b(?:set|unset|(?:must)?[mM]erge(?:Overwrite)?)\b")
#: A template in a text that is none, but that ``tpl`` may be given.
_CHANGING_TEXT = re.compile(rf"\{{\{{(?:(?!\}}\}}).)*?{_CHANGING.pattern}", re.DOTALL)
_RUNS_TEXTS = re.compile(r"\btpl\b")
_MERGES = re.compile(r"(?:must)?[mM]erge(?:Overwrite)?\Z")
_COPYING = frozenset({"deepCopy", "mustDeepCopy", "fromYaml", "fromJson", "mustFromJson"})
#: New at the top, with what was there before in them.
_SHALLOW = frozenset({"dict", "omit", "pick"})


@dataclass(frozen=True, slots=True)
class Changes:
    """``keys``: the keys of values that some template sets, or merges into; None: it may be any."""

    keys: frozenset[str] | None = frozenset()

    def touch(self, path: Path) -> bool:
        """Whether the entry at a path of the context (``Values``, ``image``) may be another than values state."""
        return self.keys is None or not self.keys.isdisjoint(map(str, path))


def changes_in(templates: Iterable[Template | str], others: Iterable[str] = ()) -> Changes:
    """What templates change; of one that cannot be read (it comes as its text) that is everything, where it has any of
    the functions that do. ``others``: values and files, which ``tpl`` may run as templates."""
    keys: set[str] = set()
    runs_texts = False
    for template in templates:
        text = template if isinstance(template, str) else template.text
        runs_texts = runs_texts or _RUNS_TEXTS.search(text) is not None
        if not _CHANGING.search(text):
            continue
        if isinstance(template, str):
            return Changes(None)
        for key in _changed_by(template):
            if key is None:
                return Changes(None)
            keys.add(key)
    if runs_texts and any(_CHANGING_TEXT.search(text) for text in others):
        return Changes(None)
    return Changes(frozenset(keys))


def _changed_by(template: Template) -> Iterator[str | None]:
    """The keys that a template changes; None for any."""
    for action in template.actions:
        if not _CHANGING.search(action.code):
            continue
        tokens = TOKEN.findall(action.code)
        scope = template.scope(action.start)
        for number, token in enumerate(tokens):
            if token in ("set", "unset"):
                yield from _set(_operands(tokens, number), template, scope)
            elif _MERGES.match(token):
                yield from _merged(_operands(tokens, number), template, scope)


def _operands(tokens: list[str], function: int) -> list[list[str]]:
    """What stands behind a function as its operands: a word, or what is in brackets."""
    found: list[list[str]] = []
    depth = 0
    for token in tokens[function + 1 :]:
        if depth == 0 and token in (")", "|"):
            break
        if depth:
            found[-1].append(token)
        else:
            found.append([token])
        depth += (token == "(") - (token == ")")
    return found


def _set(operands: list[list[str]], template: Template, scope: Scope) -> Iterator[str | None]:
    if len(operands) < 2:
        # A pipe gives the rest, or it is no call of it (a key named set).
        yield None
        return
    into, key = operands[:2]
    if _is_new(into, template, shallow=True):
        return
    literal = key[0][1:-1] if len(key) == 1 and re.fullmatch(r'"[^"\\]*"|`[^`]*`', key[0]) else None
    yield literal


def _merged(operands: list[list[str]], template: Template, scope: Scope) -> Iterator[str | None]:
    if not operands:
        yield None
        return
    into, *sources = operands
    changed = [] if _is_new(into, template, shallow=False) else [into]
    # What was merged first lies in there as it is, and what comes next is merged into that.
    changed += [source for source in sources[:-1] if not _is_new(source, template, shallow=False)]
    for each in changed:
        reference = resolve(" ".join(each), scope)
        names = [step for step in reference or () if isinstance(step, str)]
        yield names[-1] if names else None


def _is_new(tokens: list[str], template: Template, *, shallow: bool) -> bool:
    """Whether an expression is a mapping that no values have. ``shallow``: what is in it may be of values."""
    while len(tokens) > 2 and tokens[0] == "(" and tokens[-1] == ")":
        tokens = tokens[1:-1]
    if len(tokens) == 1 and re.fullmatch(r"\$\w+", tokens[0]):
        return _is_new_variable(tokens[0], template, shallow=shallow)
    if not tokens:
        return False
    last = len(tokens) - 1 - tokens[::-1].index("|") if "|" in tokens else -1
    if tokens[last + 1] in _COPYING:
        return True
    if tokens == ["dict"]:
        return True
    return shallow and tokens[0] in _SHALLOW and last == -1


def _is_new_variable(name: str, template: Template, *, shallow: bool) -> bool:
    """Whether all that a template assigns to a variable is new."""
    pattern = re.escape(name) + r"(?!\w)"
    assigned = re.compile(rf"(?:(?:with|if)\s+)?{pattern}\s*:?=\s*(?P<value>.+)\Z", re.DOTALL)
    itself = re.compile(rf"(?:must)?[mM]erge(?:Overwrite)?\s+{pattern}|set\s+{pattern}")
    found = False
    for action in template.actions:
        code = action.code
        if re.match(rf"range\b[^=]*{pattern}[^=]*:?=", code):
            return False
        if not shallow and re.search(rf"\bset\s+{pattern}", code):
            # It may have got what values have.
            return False
        match = assigned.match(code)
        if match is None:
            if re.search(rf"{pattern}\s*:?=", code):
                return False
            continue
        found = True
        if not (itself.match(match["value"]) or _is_new(TOKEN.findall(match["value"]), template, shallow=shallow)):
            return False
    return found
