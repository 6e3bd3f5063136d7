"""The one registry of Python checks: rule id → versions of its check. Filled by looking, not by import side effects."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from types import ModuleType

from kubeassay.checks import MODULES
from kubeassay.checks.check import CheckFunction
from kubeassay.model import KubernetesVersion

#: Rule id → (from version, function), oldest first.
Registry = Mapping[str, tuple[tuple[KubernetesVersion, CheckFunction], ...]]


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
