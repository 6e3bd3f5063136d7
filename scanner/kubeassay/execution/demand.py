"""What to judge by: the plan of what options, a configuration or a fleet's target demand."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any

from kubeassay.engine.plan import Plan, make_plan
from kubeassay.model import (
    NEWEST_KNOWN,
    Control,
    Exception_,
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
from kubeassay.policy.library import Library, check_control_ids
from kubeassay.sources.files import display_name, is_markdown

if TYPE_CHECKING:
    from kubeassay.engine.in_tree import Imports
    from kubeassay.policy.document.importing import Imported

DEFAULT_PROFILE = "recommended"
_NAMED = 3
_TOLD = 10
#: Instead of a file of another tool: what is where such tools look for it.
AUTO = "auto"


@dataclass(frozen=True, slots=True)
class Demand:
    """What somebody wants judged by. Files are named as they are to be opened; a baseline is a name or a file."""

    profile: str = DEFAULT_PROFILE
    #: The profile of this name in the folder ``profile``; else that profile has to be for it.
    environment: str = ""
    baselines: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    exceptions: tuple[str, ...] = ()
    #: Files with exceptions of other tools, or :data:`AUTO`.
    imports: tuple[str, ...] = ()
    #: Whether exceptions in what is scanned hold; None: what the profile says.
    in_tree_exceptions: bool | None = None
    #: The day that exceptions are judged by; None: this day in UTC.
    today: datetime.date | None = None
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
    #: The plan at another version; None where it was said which.
    plan_at: Callable[[KubernetesVersion], Plan] | None = None

    def of_server(self, version: str) -> Demanded:
        """The same, at the version that a server says of itself, where nobody says another."""
        if self.plan_at is None:
            return self
        try:
            wanted = KubernetesVersion.parse(version)
        except ValueError:
            return self
        return self if wanted == self.version else replace(self, plan=self.plan_at(wanted), version=wanted)


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
    plan_at = partial(
        make_plan,
        profile,
        library,
        exceptions=_exceptions(demand.exceptions, demand.imports, library),
        imports=_tools(demand.imports),
        pod_template_paths=demand.pod_template_paths,
        show=demand.show,
        today=demand.today,
        in_tree_exceptions=demand.in_tree_exceptions,
    )
    return Demanded(
        plan_at(wanted),
        tuple(_not_understood(imported)),
        wanted,
        plan_at if demand.kubernetes_version is None else None,
    )


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


def policy_notes(demand: Demanded, result: Result) -> Iterator[str]:
    """What the user should know of the policy that was used, in lines: nothing of it changes the result."""
    if demand.version > NEWEST_KNOWN:
        yield f"warning: Kubernetes {demand.version} is newer than the newest known, {NEWEST_KNOWN}; its rules hold"
    unmapped = [use for use in result.exceptions if use.state == "unmapped"]
    for use in unmapped[:_TOLD]:
        yield f"note: {use.exception.file}:{use.exception.line}: not imported: {use.problem}"
    if len(unmapped) > _TOLD:
        yield f"note: {len(unmapped) - _TOLD} more exceptions were not imported"
    if any(active.rule.subject == "exception" for active in demand.plan.rules):
        # Findings tell the rest.
        holding = [use for use in result.exceptions if use.state == "holds" and use.exception.origin == "file"]
        idle = [use.exception for use in holding if not use.findings]
        told = {finding.location for finding in result.findings if finding.rule == "exception-unused"}
        ids = [e.id for e in idle if not any((at.file, at.start_line) == (e.file, e.line) for at in told)]
        if ids:
            more = f" and {len(ids) - _NAMED} more" if len(ids) > _NAMED else ""
            said = "match no finding, and not all that they name was judged"
            yield f"note: exceptions that {said}: {', '.join(ids[:_NAMED])}{more}"
        return
    for use in result.exceptions:
        exception = use.exception
        where = f"{exception.file}:{exception.line}" if exception.line else exception.file
        if use.state in ("unmapped", "elsewhere"):
            continue
        if use.state != "holds":
            said = f"does not hold: {use.problem}"
        elif not use.findings:
            said = "matches no finding"
        else:
            continue
        yield f"warning: {where}: exception {exception.id} {said}"


def _exceptions(files: Sequence[str], imports: Sequence[str], library: Library) -> list[Exception_]:
    """The exceptions of files, and of those of other tools."""
    if not files and not imports:
        return []
    # Imported here: most scans have none.
    from kubeassay.policy.exceptions import check_ids, exceptions_from

    found = [
        exception for file in files for exception in exceptions_from(FilePath(file), library.rules, display_name(file))
    ]
    if imports:
        found += _imported_exceptions(imports)
    check_ids(found)
    return found


def _imported_exceptions(imports: Sequence[str]) -> list[Exception_]:
    from kubeassay.policy.exception_imports import imported

    named, around = imported_files(imports)
    found = [exception for file in named for exception in imported(FilePath(file), display_name(file))]
    # These come with what is scanned, as annotations do.
    found += (exception for file in around for exception in imported(FilePath(file), file, in_tree=True))
    return found


def imported_files(imports: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    """The files of other tools' exceptions: those that the user names, and those that ``auto`` finds."""
    from kubeassay.policy.exception_imports import WELL_KNOWN

    named = [file for file in dict.fromkeys(imports) if file != AUTO]
    known = set(map(display_name, named))
    around = [file for file in WELL_KNOWN if AUTO in imports and FilePath(file).is_file() and file not in known]
    return named, around


def _tools(imports: Sequence[str]) -> Imports:
    """The other tools whose exceptions in manifests hold."""
    if AUTO not in imports:
        return {}
    from kubeassay.policy.exception_imports import IN_MANIFESTS, equivalents

    return {tool: equivalents(tool) for tool in IN_MANIFESTS}


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
