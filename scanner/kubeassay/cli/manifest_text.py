"""Manifests that a command prints: YAML that every reader of it takes for the same."""

from __future__ import annotations

import re
from typing import Any

import yaml

_ONE_LINE = 2**31
#: With a letter first, sigs.k8s.io/yaml takes only words for something else (go.yaml.in/yaml v2.4.4, resolve.go). What
#: begins with a digit, a sign or a dot may be a number there that is none to PyYAML (1e3), and the reverse.
_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9/.-]*")
_WORDS = ("y", "yes", "n", "no", "true", "false", "on", "off", "null")


class _Dumper(yaml.SafeDumper):
    """Quotes what a reader may take for something else."""


def _write_string(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    plain = _PLAIN.fullmatch(text) is not None and text.lower() not in _WORDS
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if plain else '"')


_Dumper.add_representer(str, _write_string)


def manifest_text(manifest: Any) -> str:
    """A manifest, or a part of one, with its fields in their order."""
    text: str = yaml.dump(manifest, Dumper=_Dumper, sort_keys=False, default_flow_style=False, width=_ONE_LINE)
    return text
