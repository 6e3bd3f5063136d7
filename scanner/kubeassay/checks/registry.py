"""The one registry of Python checks: rule id → versions of its check. Filled by looking, not by import side effects.

To import all modules takes longer than to judge a small file, so those are imported that hold what a plan asks for.
Which these are, their texts say: a function is marked in a line that begins with ``@check("<rule id>"``.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from types import ModuleType

from kubeassay.checks import MODULES
from kubeassay.checks.check import CheckFunction
from kubeassay.model import KubernetesVersion

#: Rule id → (from version, function), oldest first.
Registry = Mapping[str, tuple[tuple[KubernetesVersion, CheckFunction], ...]]

_MARK = re.compile(rb'^@check\(\s*"([^"\\]+)"', re.MULTILINE)


def collect(modules: Iterable[ModuleType]) -> Registry:
    """The checks that are defined in ``modules``. Raises ValueError where two have one id and one version."""
    found: dict[str, dict[KubernetesVersion, CheckFunction]] = {}
    for module in modules:
        for function in vars(module).values():
            mark = getattr(function, "__check__", None)
            if mark is None or getattr(function, "__module__", None) != module.__name__:
                continue
            rule_id, since = mark
            versions = found.setdefault(rule_id, {})
            if since in versions:
                raise ValueError(f"rule {rule_id} has two checks from Kubernetes {since}")
            versions[since] = function
    return {rule_id: tuple(sorted(versions.items(), key=lambda item: item[0])) for rule_id, versions in found.items()}


def built_in() -> Registry:
    """The checks of kubeassay itself."""
    return collect(importlib.import_module(name) for name in MODULES)


def built_in_of(ids: Iterable[str]) -> Registry:
    """Those checks of kubeassay itself that have one of these ids: no module is imported that holds none of them."""
    holding = modules_by_rule()
    if holding is None:
        found = built_in()
    else:
        names = {name for rule_id in ids for name in holding.get(rule_id, ())}
        found = collect(importlib.import_module(name) for name in MODULES if name in names)
    return {rule_id: found[rule_id] for rule_id in ids if rule_id in found}


@cache
def modules_by_rule() -> Mapping[str, tuple[str, ...]] | None:
    """The modules that hold the checks of each rule, by their texts; None where the texts are not at hand (installed
    without them, or in an archive)."""
    folder = Path(__file__).parent
    holding: dict[str, dict[str, None]] = {}
    for name in MODULES:
        try:
            text = (folder / f"{name.rpartition('.')[2]}.py").read_bytes()
        except OSError:
            return None
        for rule_id in _MARK.findall(text):
            holding.setdefault(rule_id.decode(), {})[name] = None
    return {rule_id: tuple(names) for rule_id, names in holding.items()}


def plug_ins() -> Registry:
    """The checks of installed packages: modules named by entry points of the group ``kubeassay.checks``."""
    # Imported here: reading every installed package's metadata takes longer than a small scan, and only rules that
    # are neither bundled nor expressions need it.
    from importlib.metadata import entry_points

    return collect(entry.load() for entry in entry_points(group="kubeassay.checks"))


def at_version(
    versions: tuple[tuple[KubernetesVersion, CheckFunction], ...], version: KubernetesVersion
) -> CheckFunction | None:
    """The function that holds at ``version``; None where the rule does not apply yet."""
    chosen = None
    for since, function in versions:
        if since <= version:
            chosen = function
    return chosen
