"""What to judge by: the plan of what options, a configuration or a fleet's target demand."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any

from kubeassay.engine.evaluate import has_expired
from kubeassay.engine.plan import Plan, make_plan
from kubeassay.model import (
    NEWEST_KNOWN,
    Control,
    KubernetesVersion,
    NotEvaluated,
    Outcome,
    Path,
    Profile,
    Result,
    RuleUse,
    Source,
    parse_path,
)
from kubeassay.policy.errors import PolicyError
from kubeassay.policy.library import Library, check_control_ids, exceptions_from
from kubeassay.sources.files import is_markdown

if TYPE_CHECKING:
    from kubeassay.policy.document.importing import Imported

DEFAULT_PROFILE = "recommended"


@dataclass(frozen=True, slots=True)
class Demand:
    """What somebody wants judged by. Files are named as they are to be opened; a baseline is a name or a file."""

    profile: str = DEFAULT_PROFILE
    #: The profile of this name in the folder ``profile``; else that profile has to be for it.
    environment: str = ""
    baselines: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    exceptions: tuple[str, ...] = ()
    #: None: what the server says of itself, or the profile.
    kubernetes_version: KubernetesVersion | None = None
    #: (API group, kind) → paths of pod templates in custom resources.
    pod_template_paths: Mapping[tuple[str, str], tuple[Path, ...]] = field(default_factory=dict)
    #: Outcomes that get a record of their own, besides failures and exceptions.
    show: frozenset[Outcome] = frozenset()


@dataclass(frozen=True, slots=True)
class Demanded:
    """The plan, what of the policy nothing judges, and the version that is judged by, as it was asked for."""

    plan: Plan
    not_understood: tuple[NotEvaluated, ...]
    version: KubernetesVersion


def demanded(demand: Demand, server_version: str | None = None) -> Demanded:
    """The plan of a demand. ``server_version``: what a server says of its version, which is judged by where nobody says
    another; the profile's where there is none, or it is not understood. Raises PolicyError, and UsageError for a
    document that cannot be read."""
    rule_paths = [FilePath(path) for path in demand.rules]
    imported = _imported([name for name in demand.baselines if is_markdown(name)], rule_paths)
    library = Library(
        rule_paths,
        [FilePath(name) for name in demand.baselines if name.endswith((".yaml", ".yml"))],
        [(found.baseline, file) for file, found in imported.items()],
    )
    profile = _with_own_rules(library, _with_baselines(_profile(library, demand), library, demand.baselines))
    wanted = demand.kubernetes_version
    if wanted is None and server_version is not None:
        with contextlib.suppress(ValueError):
            wanted = KubernetesVersion.parse(server_version)
    if wanted is None:
        wanted = KubernetesVersion.parse(profile.kubernetes_version)
    plan = make_plan(
        profile,
        library,
        wanted,
        exceptions=[
            exception for file in demand.exceptions for exception in exceptions_from(FilePath(file), library.rules)
        ],
        pod_template_paths=demand.pod_template_paths,
        show=demand.show,
    )
    return Demanded(plan, tuple(_not_understood(imported)), wanted)


def _profile(library: Library, demand: Demand) -> Profile:
    name, environment = demand.profile, demand.environment
    if not environment:
        return library.profile(name)
    member = f"{name}/{environment}"
    if member in library.profile_names:
        return library.profile(member)
    files = (f"{member}{ending}" for ending in (".yaml", ".yml"))
    profile = library.profile(next((file for file in files if FilePath(file).is_file()), name))
    if profile.environment != environment:
        other = f"for {profile.environment}" if profile.environment else "for no environment in particular"
        raise PolicyError(f"profile {profile.name} is {other}, not for {environment}")
    return profile


def template_paths(config: Mapping[str, Any]) -> dict[tuple[str, str], tuple[Path, ...]]:
    """The ``podTemplatePaths`` of a configuration. Raises PolicyError for a path that is none."""
    paths: dict[tuple[str, str], tuple[Path, ...]] = {}
    for entry in config.get("podTemplatePaths", ()):
        key = (entry.get("group", ""), entry["kind"])
        try:
            paths[key] = (*paths.get(key, ()), parse_path(entry["path"]))
        except ValueError as error:
            raise PolicyError(f"podTemplatePaths: {error}") from None
    return paths


def policy_warnings(demand: Demanded, result: Result) -> list[str]:
    """What the user should know of the policy that was used: nothing of it changes the result."""
    lines = []
    if demand.version > NEWEST_KNOWN:
        lines.append(f"Kubernetes {demand.version} is newer than the newest known, {NEWEST_KNOWN}; its rules hold")
    used = {finding.exception for finding in result.findings if finding.exception is not None}
    for exception, _ in demand.plan.exceptions:
        where = f"{exception.file}:{exception.line}" if exception.line else exception.file
        if has_expired(exception):
            lines.append(f"{where}: exception {exception.id} expired on {exception.expires}")
        elif exception.id not in used:
            lines.append(f"{where}: exception {exception.id} matches no finding")
    return lines


def _with_baselines(profile: Profile, library: Library, names: Sequence[str]) -> Profile:
    chosen = []
    for name in names:
        if name.endswith((".yaml", ".yml")) or is_markdown(name):
            chosen.append(next(b for b in library.baselines.values() if b.file == FilePath(name).as_posix()))
        else:
            chosen.append(library.baseline(name))
    if not chosen:
        return profile
    known = {(control.baseline, control.id) for control in profile.controls}
    added = [c for baseline in chosen for c in baseline.controls if (c.baseline, c.id) not in known]
    check_control_ids((*profile.controls, *added), "--baseline")
    return replace(
        profile,
        controls=(*profile.controls, *added),
        baselines=(*profile.baselines, *(b for b in chosen if b not in profile.baselines)),
    )


def _imported(names: Sequence[str], rule_paths: Sequence[FilePath]) -> dict[str, Imported]:
    """What the documents among the baselines demand, by file."""
    if not names:
        return {}
    # Imported here: few scans are by a document.
    from kubeassay.execution.documents import all_imported

    return all_imported([FilePath(name) for name in names], Library(rule_paths))


def _not_understood(documents: Mapping[str, Imported]) -> list[NotEvaluated]:
    """What a document says and nothing judges: no pass."""
    return [
        NotEvaluated("not-understood", f"{file}:{note.line}: {note.subject or 'a block'}: {note.reason}", file=file)
        for file, found in documents.items()
        for note in found.notes
        if note.kind == "not-understood"
    ]


def _with_own_rules(library: Library, profile: Profile) -> Profile:
    """The profile with the user's rules that no control of it demands: who names a rule file wants it to run."""
    demanded = {use.rule for control in profile.controls for use in control.rules}
    own = tuple(
        Control(rule.id, rule.title, "own-rules", Source(rule.file), (RuleUse(rule.id),))
        for rule in library.own_rules
        if rule.id not in demanded
    )
    return replace(profile, controls=(*profile.controls, *own))
