"""Kustomizations that have nothing in common but a base: in each something else takes part."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from sources.test_kustomize_places import BASE


def _trees(text: str) -> dict[str, dict[str, str]]:
    """Behind ``===`` stands a tree's name, and that of the one that it adds to; behind ``---`` a file's name."""
    found: dict[str, dict[str, str]] = {"BASE": dict(BASE)}
    for tree in text.removeprefix("=== ").split("\n=== "):
        first, *files = f"{tree.rstrip()}\n".split("\n--- ")
        name, *adds_to = first.split()
        made = dict(found[adds_to[0]]) if adds_to else {}
        for file in files:
            at, _, content = file.partition("\n")
            made[at] = content if content.endswith("\n") else f"{content}\n"
        found[name] = made
    return found


_ALL = _trees(Path(__file__).with_suffix(".txt").read_text("utf-8"))
#: Each with an ``over/kustomization.yaml``, which is to be built.
TREES: Mapping[str, Mapping[str, str]] = {
    **{name: files for name, files in _ALL.items() if "over/kustomization.yaml" in files},
    "crlf": {name: text.replace("\n", "\r\n") for name, text in _ALL["p-merge"].items()},
}
