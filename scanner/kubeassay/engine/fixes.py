"""Edits of a manifest that give a field the value that a rule wants, in the style of the text around it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

import yaml

from kubeassay.checks.check import Repair
from kubeassay.model import Edit, Fix, Object, Path, SpanTable, parse_path

_LINE_END = re.compile(r"\r\n|\n|\r")
#: What may stand behind a value on its line.
_AFTER = re.compile(r"[ \t]*(?:[ \t]#.*)?")
_COLON = re.compile(r"[ \t]*:")
#: A scalar that is the same text between quotes.
_PLAIN_WORD = re.compile(r"[A-Za-z0-9_.+~-]+")
#: Anchors and aliases: an edit at one place would change others.
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


def make_repair(obj: Object, text: str, repair: Repair, description: str) -> Fix | None:
    """Edits that mend one violation. None where no safe edit is known."""
    if _shares_values(obj, text):
        return None
    how = {"join": _join, "rename": _rename, "set": _set, "quote": _quote}[repair.how]
    edits = how(obj, text, repair)
    return Fix(description, edits) if edits else None


def _rename(obj: Object, text: str, repair: Repair) -> tuple[Edit, ...]:
    span = obj.key_offsets(repair.path)
    holder = obj.get(*repair.path[:-1])
    if span is None or not isinstance(holder, dict) or repair.value in holder:
        return ()
    key = text[span[0] : span[1]]
    # One that is written otherwise (with escapes, or twice) is left to its author.
    quote = key[:1] if key[:1] in ("'", '"') else ""
    if key != f"{quote}{repair.path[-1]}{quote}" or any(path == repair.path for path, _ in obj.duplicate_keys):
        return ()
    return (Edit(obj.spans.region(*span), f"{quote}{repair.value}{quote}"),)


def _set(obj: Object, text: str, repair: Repair) -> tuple[Edit, ...]:
    edit = _replace(obj, text, repair.path, repair.value) if obj.value_offsets(repair.path) else None
    return () if edit is None else (edit,)


def _quote(obj: Object, text: str, repair: Repair) -> tuple[Edit, ...]:
    """Quotes around a plain scalar: what stands there is no part of the edits, so it may be a secret."""
    span = obj.value_offsets(repair.path)
    if span is None or not _PLAIN_WORD.fullmatch(text, *span):
        return ()
    return tuple(Edit(obj.spans.region(offset, offset), '"') for offset in span)


def _join(obj: Object, text: str, repair: Repair) -> tuple[Edit, ...]:
    """A list item, a mapping, becomes one with the item before it: its dash goes. Not where they have a key in common,
    or are not written one below the other."""
    *parents, number = repair.path
    if not isinstance(number, int) or number < 1:
        return ()
    values = [obj.get(*parents, index) for index in (number - 1, number)]
    leads: list[re.Match[str]] = []
    for index, value in zip((number - 1, number), values, strict=True):
        span = obj.value_offsets((*parents, index))
        if not isinstance(value, dict) or not value or span is None or text[span[0]] in "{&*!":
            return ()
        line_start = text.rfind("\n", 0, span[0]) + 1
        lead = _ITEM.match(text, line_start, span[0])
        if lead is None:
            return ()
        leads.append(lead)
    if leads[0][0] != leads[1][0] or not values[0].keys().isdisjoint(values[1]):
        return ()
    dash = leads[1].end(1)
    return (Edit(obj.spans.region(dash, dash + 1), " "),)


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
    """Insert entries behind the first one of an existing mapping, or before it where it has several lines, if the
    indentation is known."""
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
        return Edit(obj.spans.region(colon.end(), colon.end()), " " + _flow(obj, text, entries))
    if not isinstance(value, dict):
        return None
    if text[span[0] : span[0] + 1] == "{":
        flow = _flow(obj, text, entries)
        if not value:
            return Edit(obj.spans.region(*span), flow)
        last = obj.value_offsets((*parent, list(value)[-1]))
        if last is not None and last[0] < last[1] and not text[last[1] : span[1] - 1].strip(" "):
            return Edit(obj.spans.region(last[1], last[1]), ", " + flow[1:-1])
        return Edit(obj.spans.region(span[0] + 1, span[0] + 1), flow[1:-1] + ", ")
    if not value:
        return None
    key = next(iter(value))
    first = obj.key_offsets((*parent, key))
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
    block = indent.join(_block(json.dumps(entries)))
    line_end = _only_scalar_of_its_line(obj, text, (*parent, key), value[key])
    if line_end is not None:
        # What an item is called stays first: "- name: app".
        return Edit(obj.spans.region(line_end, line_end), indent + block)
    return Edit(obj.spans.region(first[0], first[0]), block + indent)


def _only_scalar_of_its_line(obj: Object, text: str, path: Path, value: Any) -> int | None:
    """Where the line ends on which an entry stands whose value is a scalar; None where it has more lines, or others
    share the line."""
    key, span = obj.key_offsets(path), obj.value_offsets(path)
    if key is None or span is None or isinstance(value, dict | list) or span[0] == span[1]:
        return None
    end = _LINE_END.search(text, key[0])
    line_end = len(text) if end is None else end.start()
    # A scalar in several lines, in quotes, plain or as a block.
    if span[1] > line_end or text[span[0]] in "|>" or _AFTER.fullmatch(text, span[1], line_end) is None:
        return None
    return line_end


def _flow(obj: Object, text: str, entries: dict[str, Any]) -> str:
    """Entries in flow style: as JSON where the document is."""
    document = obj.value_offsets(())
    if document is None or text[document[0] : document[0] + 1] == "{":
        return json.dumps(entries, ensure_ascii=False)
    dumped: str = yaml.safe_dump(entries, sort_keys=False, default_flow_style=True, width=float("inf"))
    return dumped.strip()


class _Dumper(yaml.SafeDumper):
    """Lists of scalars on one line, as people write them."""


_Dumper.add_representer(
    list, lambda dumper, value: dumper.represent_sequence("tag:yaml.org,2002:seq", value, flow_style=True)
)


@lru_cache(maxsize=256)
def _block(entries: str) -> tuple[str, ...]:
    dumped: str = yaml.dump(json.loads(entries), Dumper=_Dumper, sort_keys=False, default_flow_style=False)
    return tuple(dumped.rstrip("\n").split("\n"))


def touch(edit: Edit, other: Edit) -> bool:
    """Whether two edits of a file change the same place, or insert at the same one: the second would have to be made
    for what the first has left."""
    return _end(edit) >= _start(other) and _end(other) >= _start(edit)


def _start(edit: Edit) -> tuple[int, int]:
    return edit.location.start_line, edit.location.start_column


def _end(edit: Edit) -> tuple[int, int]:
    return edit.location.end_line, edit.location.end_column


def applied(spans: SpanTable, text: str, edits: Iterable[Edit]) -> str:
    """A text with edits of it, of which no two :func:`touch`. ``spans``: of any object of the file."""
    for edit in sorted(edits, key=_start, reverse=True):
        text = text[: spans.offset(*_start(edit))] + edit.text + text[spans.offset(*_end(edit)) :]
    return text
