"""A fleet file: clusters and repositories that are audited together."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from kubeassay.analysis.selectors import parse_selector
from kubeassay.model import KubernetesVersion
from kubeassay.policy.errors import PolicyError
from kubeassay.policy.library import Library, load_valid

#: What only clusters are asked for.
_OF_CLUSTERS = ("context", "kubeconfig", "namespaces", "selector")
#: Keys of targets that are files.
_OF_FILES = ("directory", "follow", "repositories")
#: Ends of files among names of profiles and baselines.
_YAML, _MARKDOWN = (".yaml", ".yml"), (".md", ".markdown")


@dataclass(frozen=True, slots=True)
class FleetTarget:
    """One cluster or repository, with what it is judged by. All that a worker gets to know: plain texts, of which those
    that name files are relative to ``folder``, which is absolute."""

    name: str
    folder: str
    #: Files of a repository, or a snapshot; empty for a cluster.
    paths: tuple[str, ...] = ()
    #: Of a repository: the deployers to follow, and (address, folder) of other repositories.
    follow: tuple[str, ...] = ()
    repositories: tuple[tuple[str, str], ...] = ()
    context: str | None = None
    kubeconfig: str | None = None
    #: None: all.
    namespaces: tuple[str, ...] | None = None
    selector: str = ""
    #: None: the default one.
    profile: str | None = None
    environment: str = ""
    #: None: the server's, or the profile's.
    kubernetes_version: str | None = None
    baselines: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    exceptions: tuple[str, ...] = ()
    fail_on: str = "high"
    allow_incomplete: bool = False

    @property
    def kind(self) -> Literal["manifests", "cluster"]:
        return "manifests" if self.paths else "cluster"


@dataclass(frozen=True, slots=True)
class Fleet:
    """A fleet file. ``targets`` are in the file's order."""

    name: str
    file: str
    targets: tuple[FleetTarget, ...]


def fleet_from(path: Path) -> Fleet:
    """The fleet of a file. Raises PolicyError: ``FILE:LINE:COLUMN: message``."""
    document = load_valid(path, "fleet")
    spec = document["spec"]
    defaults: Mapping[str, Any] = spec.get("defaults", {})
    folder = os.path.dirname(os.path.abspath(path))
    bundled = frozenset(Library().profile_names)
    if "selector" in defaults:
        _check_selector(path, ("spec", "defaults", "selector"), defaults["selector"])
    seen: dict[str, int] = {}
    targets = []
    for number, entry in enumerate(spec["targets"]):
        where = ("spec", "targets", number)
        first = seen.setdefault(entry["name"], number)
        if first != number:
            raise _mistake(path, (*where, "name"), f"target {first + 1} is called {entry['name']}, too")
        if "paths" in entry:
            for key in _OF_CLUSTERS:
                if key in entry:
                    raise _mistake(path, (*where, key), f"{key} is for clusters, and this target has paths")
        else:
            for key in _OF_FILES:
                if key in entry:
                    raise _mistake(path, (*where, key), f"{key} is for paths, and this target is a cluster")
        if "selector" in entry:
            _check_selector(path, (*where, "selector"), entry["selector"])
        targets.append(_target({**defaults, **entry}, folder, bundled))
    return Fleet(document.get("metadata", {}).get("name", path.stem), path.as_posix(), tuple(targets))


def _check_selector(path: Path, where: Sequence[str | int], selector: str) -> None:
    try:
        parse_selector(selector)
    except ValueError as error:
        raise _mistake(path, where, str(error)) from None


def _mistake(path: Path, where: Sequence[str | int], message: str) -> PolicyError:
    # Imported here, as in load_valid: it takes long to import.
    from kubeassay.policy.validation import mistake

    return mistake(path, where, message)


def _target(entry: Mapping[str, Any], fleet_folder: str, bundled: frozenset[str]) -> FleetTarget:
    folder = os.path.normpath(os.path.join(fleet_folder, entry.get("directory", ".")))

    def moved(name: str) -> str:
        """A file of the fleet's folder, as it is opened from the target's."""
        if os.path.isabs(name) or name.startswith("~"):
            return name
        return Path(os.path.relpath(os.path.join(fleet_folder, name), folder)).as_posix()

    def files(key: str) -> tuple[str, ...]:
        return tuple(map(moved, entry.get(key, ())))

    cluster = "paths" not in entry
    profile = entry.get("profile")
    # A file, or a folder with one for each environment.
    if (
        profile is not None
        and not _is_bundled(profile, bundled)
        and (profile.endswith(_YAML) or os.path.exists(os.path.join(fleet_folder, profile)))
    ):
        profile = moved(profile)
    version = entry.get("kubernetesVersion")
    kubeconfig = entry.get("kubeconfig") if cluster else None
    return FleetTarget(
        name=entry["name"],
        folder=folder,
        paths=tuple(entry.get("paths", ())),
        follow=tuple(entry.get("follow", ())),
        repositories=tuple(sorted(entry.get("repositories", {}).items())),
        context=entry.get("context") if cluster else None,
        kubeconfig=None if kubeconfig is None else moved(kubeconfig),
        namespaces=tuple(entry["namespaces"]) if cluster and "namespaces" in entry else None,
        selector=entry.get("selector", "") if cluster else "",
        profile=profile,
        environment=entry.get("environment", ""),
        kubernetes_version=None if version is None else str(KubernetesVersion.parse(version)),
        baselines=tuple(
            moved(name) if name.lower().endswith((*_YAML, *_MARKDOWN)) else name for name in entry.get("baselines", ())
        ),
        rules=files("rules"),
        exceptions=files("exceptions"),
        fail_on=entry.get("failOn", "high"),
        allow_incomplete=entry.get("allowIncomplete", False),
    )


def _is_bundled(profile: str, bundled: frozenset[str]) -> bool:
    return profile in bundled or any(name.startswith(f"{profile}/") for name in bundled)
