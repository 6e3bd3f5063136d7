"""Edits of a manifest that give a field the value that a rule wants, in the style of the text around it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import yaml

from kubeassay.model import Edit, Fix, Object, Path, parse_path

#: Anchors and aliases: an edit at one place would change others.
_COLON = re.compile(r"[ \t]*:")
_SHARED = re.compile(r"(?:^|[\s\[{,:-])[&*][A-Za-z0-9_]|<<\s*:")


def make_fix(obj: Object, text: str, base: Path, values: Mapping[str, Any], description: str) -> Fix | None:
    """Edits that set ``values`` (paths relative to ``base`` → value). None where no safe edit is known."""
    if _shares_values(obj, text):
        return None
    missing: dict[Path, dict[str, Any]] = {}
    edits: list[Edit] = []
    for relative, value in values.items():
        path = (*base, *parse_path(relative))
        parent, steps = _deepest(obj, path)
        if not steps:
            edit = _replace(obj, text, path, value)
            if edit is None:
                return None
            edits.append(edit)
            continue
        target = missing.setdefault(parent, {})
        for step in steps[:-1]:
            if not isinstance(step, str):
                return None
            target = target.setdefault(step, {})
        if not isinstance(steps[-1], str):
            return None
        target[steps[-1]] = value
    for parent, entries in missing.items():
        edit = _insert(obj, text, parent, entries)
        if edit is None:
            return None
        edits.append(edit)
    return Fix(description, tuple(edits))


#: What stands before the mapping of a list item in block style.
_ITEM = re.compile(r"( *)-( +)\Z")


def join_fix(obj: Object, text: str, path: Path, description: str) -> Fix | None:
    """An edit that makes a list item, a mapping, one with the item before it: its dash goes. None where they have a
    key in common, or are not written one below the other."""
    *parents, number = path
    if not isinstance(number, int) or number < 1 or _shares_values(obj, text):
        return None
    values = [obj.get(*parents, index) for index in (number - 1, number)]
    leads: list[re.Match[str]] = []
    for index, value in zip((number - 1, number), values, strict=True):
        span = obj.value_offsets((*parents, index))
        if not isinstance(value, dict) or not value or span is None or text[span[0]] in "{&*!":
            return None
        line_start = text.rfind("\n", 0, span[0]) + 1
        lead = _ITEM.match(text, line_start, span[0])
        if lead is None:
            return None
        leads.append(lead)
    if leads[0][0] != leads[1][0] or not values[0].keys().isdisjoint(values[1]):
        return None
    dash = leads[1].end(1)
    return Fix(description, (Edit(obj.spans.region(dash, dash + 1), " "),))


def _shares_values(obj: Object, text: str) -> bool:
    known: bool | None = obj.facts.get("shares values")
    if known is None:
        document = obj.value_offsets(())
        known = obj.facts["shares values"] = document is None or (
            (text.find("&", *document) != -1 or text.find("<<", *document) != -1)
            and _SHARED.search(text, *document) is not None
        )
    return known


def _deepest(obj: Object, path: Path) -> tuple[Path, Path]:
    """The longest existing beginning of a path, and the steps that are missing after it."""
    for length in range(len(path), -1, -1):
        if obj.value_offsets(path[:length]) is not None:
            return path[:length], path[length:]
    return (), path


def _replace(obj: Object, text: str, path: Path, value: Any) -> Edit | None:
    span = obj.value_offsets(path)
    assert span is not None
    old = text[span[0] : span[1]]
    if "\n" in old or not old:
        return None
    return Edit(obj.spans.region(*span), json.dumps(value, ensure_ascii=False))


def _insert(obj: Object, text: str, parent: Path, entries: dict[str, Any]) -> Edit | None:
    """Insert entries before the first one of an existing mapping, where its indentation is known."""
    span = obj.value_offsets(parent)
    assert span is not None
    value = obj.get(*parent)
    if value is None and text[span[0] : span[1]].strip() == "":
        # "key:" with nothing behind it.
        key = obj.key_offsets(parent)
        if key is None:
            return None
        colon = _COLON.match(text, key[1])
        if colon is None:
            # A key without a colon (in flow style, or behind "?"): any colon that follows belongs to another.
            return None
        return Edit(obj.spans.region(colon.end(), colon.end()), " " + json.dumps(entries))
    if not isinstance(value, dict):
        return None
    flow = json.dumps(entries, ensure_ascii=False)
    if text[span[0] : span[0] + 1] == "{":
        if not value:
            return Edit(obj.spans.region(*span), flow)
        return Edit(obj.spans.region(span[0] + 1, span[0] + 1), flow[1:-1] + ", ")
    if not value:
        return None
    first = obj.key_offsets((*parent, next(iter(value))))
    if first is None or first[0] != span[0]:
        return None
    line_start = text.rfind("\n", 0, first[0]) + 1
    lead = text[line_start : first[0]]
    if lead.strip(" -"):
        return None
    # As the line before ends; the first line has none before it, and the end of itself.
    before = text[line_start - 2 : line_start] if line_start else text[: text.find("\n") + 1][-2:]
    newline = "\r\n" if before == "\r\n" else "\n"
    indent = newline + " " * len(lead)
    block = indent.join(_block(json.dumps(entries))) + indent
    return Edit(obj.spans.region(first[0], first[0]), block)


@lru_cache(maxsize=256)
def _block(entries: str) -> tuple[str, ...]:
    dumped: str = yaml.safe_dump(json.loads(entries), sort_keys=False, default_flow_style=False)
    return tuple(dumped.rstrip("\n").split("\n"))
