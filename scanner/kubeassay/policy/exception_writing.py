"""New entries in a file of exceptions, which otherwise stays as it is: comments, order, style.

The text is put where the list ends, and read again: where that does not give the old exceptions and the new ones,
nothing is written.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import yaml
from yaml.cyaml import CSafeLoader

from kubeassay.model import Finding
from kubeassay.model.result import identity
from kubeassay.policy.errors import PolicyError
from kubeassay.policy.validation import DaysAreTexts

HEADER = "apiVersion: kubeassay.dev/v1\nkind: Exceptions\nspec:\n  exceptions:\n"
_SPECIAL = re.compile(r"[*?\[]")
_CONTAINER = re.compile(r"(?<=ontainers)\[[0-9]+\]")


def entry_for(finding: Finding, *, reason: str, owner: str, expires: str, files: Sequence[str] = ()) -> dict[str, Any]:
    """The narrowest exception to a finding: its rule, object, container and field, and the finding's identity, which
    is another where the item of a list at this place is another."""
    ref = finding.object
    match: dict[str, Any] = {"kinds": [literal(ref.kind)], "namespaces": [literal(ref.namespace or "")]}
    if ref.name:
        match["names"] = [literal(ref.name)]
    if finding.container:
        match["containers"] = [literal(finding.container)]
    entry: dict[str, Any] = {"rule": finding.rule, "match": match}
    if files:
        entry["files"] = [literal(file) for file in files]
    path = finding.path
    if finding.container and "]" not in finding.container:
        path = _CONTAINER.sub(f"[name={finding.container}]", path, count=1)
    if path and not re.search(r"\[[0-9]+\]", path):
        entry["path"] = path
    entry["fingerprint"] = identity(finding)
    entry["reason"] = reason
    if owner:
        entry["owner"] = owner
    if expires:
        entry["expires"] = expires
    return entry


def literal(text: str) -> str:
    """A shell pattern that means a text alone."""
    return _SPECIAL.sub(r"[\g<0>]", text)


def appended(text: str, entries: Sequence[Mapping[str, Any]]) -> str:
    """The text of a (valid) file of exceptions with entries at its end; of a new one where ``text`` is empty. Raises
    PolicyError with the entries where the text is such that they cannot be put there."""
    new = _appended(text or HEADER, entries)
    before = list(yaml.load(text, Loader=DaysAreTexts)["spec"]["exceptions"]) if text else []
    try:
        after: Any = yaml.load(new, Loader=DaysAreTexts)
        known = after["spec"]["exceptions"]
    except (yaml.YAMLError, TypeError, KeyError):
        known = None
    if known != [*before, *entries]:
        raise PolicyError(f"cannot be added to as it is written; add by hand:\n{_block(entries, 4)}")
    return new


def _appended(text: str, entries: Sequence[Mapping[str, Any]]) -> str:
    newline = "\r\n" if "\r\n" in text else "\n"
    if text == HEADER:
        return text + _block(entries, 4)
    listed, key = _list(text)
    end = listed.end_mark.index
    if listed.flow_style and listed.value:
        last = _end(listed.value[-1])
        return text[:last] + "".join(f", {json.dumps(entry, ensure_ascii=False)}" for entry in entries) + text[last:]
    if listed.flow_style:
        block = newline + _block(entries, key.start_mark.column + 2).replace("\n", newline).rstrip("\r\n")
        return text[: listed.start_mark.index].rstrip(" \t") + block + text[end:]
    end = _end(listed)
    if end and text[end - 1] not in "\r\n":
        found = re.compile(r"\r\n|\n|\r").search(text, end)
        end = len(text) if found is None else found.end()
        if found is None:
            text += newline
            end = len(text)
    block = _block(entries, listed.start_mark.column).replace("\n", newline)
    return text[:end] + block + text[end:]


def _list(text: str) -> tuple[Any, Any]:
    """The node of the exceptions, and that of its key."""
    node: Any = yaml.compose(text, Loader=CSafeLoader)
    key: Any = None
    for step in ("spec", "exceptions"):
        key, node = [(key, value) for key, value in node.value if key.value == step][-1]
    return node, key


def _end(node: Any) -> int:
    """Where the last thing of a node ends. A block itself ends where the next thing begins."""
    if isinstance(node, yaml.ScalarNode) or node.flow_style or not node.value:
        end: int = node.end_mark.index
        return end
    last = node.value[-1]
    return _end(last[1] if isinstance(last, tuple) else last)


def _block(entries: Sequence[Mapping[str, Any]], indent: int) -> str:
    text = yaml.safe_dump(
        [dict(entry) for entry in entries], sort_keys=False, allow_unicode=True, width=1000, default_flow_style=None
    )
    return "".join(" " * indent + line for line in text.splitlines(keepends=True))
