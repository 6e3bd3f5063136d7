"""``--matrix``: several environments, each rendered and judged by what it is for, in one report."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path as FilePath
from typing import Any

from kubeassay.cli.judging import demand_of
from kubeassay.cli.rendering import follow_options, render_options, say_notes
from kubeassay.execution.demand import Demand, Demanded, demanded
from kubeassay.execution.environments import Environment
from kubeassay.execution.rendering import Wanted, chart_named, rendered
from kubeassay.model import KubernetesVersion
from kubeassay.policy.errors import PolicyError
from kubeassay.policy.library import load_valid
from kubeassay.sources.files import UsageError, discover
from kubeassay.sources.rendering import HelmDemand


def matrix(file: str, paths: Sequence[str], options: Mapping[str, Any]) -> list[tuple[Environment, Demanded]]:
    """The environments of a configuration file, read and rendered, with what each is judged by. ``paths``: what belongs
    to all of them. Raises PolicyError and UsageError."""
    spec = load_valid(FilePath(file), "configuration")["spec"]
    entries = spec.get("environments")
    if not entries:
        raise UsageError(f"--matrix {file}: it has no environments")
    names = [entry["name"] for entry in entries]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise PolicyError(f"{file}: two environments are called {twice}")
    return [_environment(file, entry, spec, paths, options) for entry in entries]


def _environment(
    file: str, entry: Mapping[str, Any], spec: Mapping[str, Any], paths: Sequence[str], options: Mapping[str, Any]
) -> tuple[Environment, Demanded]:
    name = entry["name"]
    by = demanded(_demand(entry, spec, options))
    folders = (*paths, *spec.get("paths", ()), *entry.get("paths", ()))
    if not (folders or entry.get("kustomize") or entry.get("helm")):
        raise UsageError(f"--matrix {file}: environment {name} names nothing to scan")
    discovery = discover(folders, ignore=not options["no_ignore"], max_file_size=options["max_file_size"] * 2**20)
    chosen = render_options(options, by.version)
    chosen = replace(chosen, kustomize=(*chosen.kustomize, *entry.get("kustomize", ())))
    charts = [_chart(chart, chosen.chart_options) for chart in entry.get("helm", ())]
    follow = follow_options(
        {
            **options,
            "follow": (*options["follow"], *entry.get("follow", ())),
            "repositories": (
                *options["repositories"],
                *(f"{url}={folder}" for url, folder in entry.get("repositories", {}).items()),
            ),
        }
    )
    if follow is None:
        discovery = rendered(discovery, chosen, charts)
    else:
        # Imported here: few environments are followed.
        from kubeassay.execution.following import followed

        discovery = followed(discovery, chosen, follow, charts)
    say_notes(discovery, options, name)
    return Environment(name, discovery), by


def _demand(entry: Mapping[str, Any], spec: Mapping[str, Any], options: Mapping[str, Any]) -> Demand:
    common = demand_of(options, spec)
    version = entry.get("kubernetesVersion")
    return replace(
        common,
        profile=entry.get("profile", common.profile),
        environment=entry.get("environment", ""),
        baselines=(*common.baselines, *entry.get("baselines", ())),
        rules=(*common.rules, *entry.get("rules", ())),
        exceptions=(*common.exceptions, *entry.get("exceptions", ())),
        kubernetes_version=common.kubernetes_version if version is None else KubernetesVersion.parse(str(version)),
        show=options["show"],
    )


def _chart(entry: Mapping[str, Any], common: HelmDemand) -> Wanted:
    values = tuple(os.path.realpath(file) for file in entry.get("values", ()))
    missing = next((file for file in values if not FilePath(file).is_file()), None)
    if missing is not None:
        raise UsageError(f"chart {entry['chart']}: there are no values in {os.path.relpath(missing)}")
    return chart_named(
        entry["chart"],
        replace(
            common,
            release=entry.get("release", common.release),
            namespace=entry.get("namespace", common.namespace),
            values=(*common.values, *values),
            named=common.named | frozenset(values),
            parameters=(
                *common.parameters,
                *((text, False) for text in entry.get("set", ())),
                *((text, True) for text in entry.get("setString", ())),
            ),
            kube_version=entry.get("kubeVersion", common.kube_version),
            api_versions=(*common.api_versions, *entry.get("apiVersions", ())),
            hooks=entry.get("hooks", common.hooks),
        ),
    )
