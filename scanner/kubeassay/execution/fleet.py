"""Auditing one target of a fleet, wherever that runs."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace

from kubeassay.execution.audit import audit, wanted
from kubeassay.execution.demand import DEFAULT_PROFILE, Demand, Demanded, demanded, policy_notes
from kubeassay.execution.environments import differences, environments, judge
from kubeassay.execution.scan import scan
from kubeassay.model import KubernetesVersion, Outcome, Result, Target
from kubeassay.policy.errors import PolicyError
from kubeassay.policy.fleet import FleetTarget
from kubeassay.reporting.result_json import to_json
from kubeassay.sources.cluster import Api, connect, read_cluster, server_version
from kubeassay.sources.files import Discovery, UsageError, discover, display_name
from kubeassay.sources.snapshot import Snapshot, is_snapshot, read


@dataclass(frozen=True, slots=True)
class TargetAnswer:
    """What came of a target: its result as JSON, which is the stable form, or why there is none (``error``, a line)."""

    result: bytes = b""
    error: str = ""
    #: What the user should know of the policy, in lines.
    notes: tuple[str, ...] = ()


def audit_target(
    target: FleetTarget, *, processes: int = 1, show: Iterable[Outcome] = (), pictures: bool = False
) -> TargetAnswer:
    """Audit a target. ``pictures``: with maps for the reports that show them. It changes the working directory, so it
    needs a process of its own.

    Everything is read here, where this runs: files, policy and kubeconfig, which may name programs that give
    credentials.
    """
    try:
        _kubeconfigs_stay()
        try:
            os.chdir(target.folder)
        except OSError as error:
            raise UsageError(f"{target.folder}: {error.strerror}") from None
        version = target.kubernetes_version
        demand = Demand(
            profile=target.profile or DEFAULT_PROFILE,
            environment=target.environment,
            baselines=target.baselines,
            rules=target.rules,
            exceptions=target.exceptions,
            kubernetes_version=None if version is None else KubernetesVersion.parse(version),
            show=frozenset(show),
        )
        if target.kind == "cluster":
            return _of_cluster(target, demand, processes, pictures)
        snapshots = [path for path in target.paths if is_snapshot(path)]
        if not snapshots:
            return _of_paths(target, demanded(demand), processes, pictures)
        if len(target.paths) > 1:
            raise UsageError(f"{snapshots[0]} is a snapshot of a cluster: it is judged by itself")
        snapshot = read(snapshots[0])
        return _of_snapshot(snapshot, demanded(demand, snapshot.version), processes, pictures)
    except (PolicyError, UsageError) as error:
        first, *others = str(error).splitlines()
        return TargetAnswer(error=first + (f" (and {len(others)} more)" if others else ""))


def _kubeconfigs_stay() -> None:
    """Kubeconfigs that the environment names are relative to where the program was started."""
    files = [os.path.expanduser(file) for file in os.environ.get("KUBECONFIG", "").split(os.pathsep) if file]
    if files:
        os.environ["KUBECONFIG"] = os.pathsep.join(map(os.path.abspath, files))


def _of_cluster(target: FleetTarget, demand: Demand, processes: int, pictures: bool) -> TargetAnswer:
    # What is wrong with the policy is said before a cluster is asked.
    by = demanded(demand)
    api = Api(connect(kubeconfig=target.kubeconfig, context=target.context))
    version = server_version(api)
    by = by.of_server(version)
    snapshot = read_cluster(
        api, wanted(by.plan), version=version, namespaces=target.namespaces, selector=target.selector
    )
    return _of_snapshot(snapshot, by, processes, pictures)


def _of_snapshot(snapshot: Snapshot, by: Demanded, processes: int, pictures: bool) -> TargetAnswer:
    result = audit(by.plan, snapshot, not_evaluated=by.not_understood, processes=processes)
    if pictures:
        # Imported here: it has the analyses of all areas.
        from kubeassay.execution.pictures import with_pictures_of_cluster

        result = with_pictures_of_cluster(result, snapshot, by.version)
    return _answer(by, result)


def _of_paths(target: FleetTarget, by: Demanded, processes: int, pictures: bool) -> TargetAnswer:
    discovery = _rendered(target, discover(target.paths), by)
    where = Target("manifests", ", ".join(map(display_name, target.paths)))

    def judged(by: Demanded, discovery: Discovery) -> Result:
        result = scan(by.plan, discovery, where, processes=processes, not_evaluated=by.not_understood)
        if pictures:
            from kubeassay.execution.pictures import with_pictures_of_files

            result = with_pictures_of_files(result, discovery, by.version, None)
        return result

    found = environments(discovery)
    result = judge([(environment, by) for environment in found], judged, lambda: differences(found))
    if discovery.deployments:
        from kubeassay.execution.following import with_deployments

        result = with_deployments(result, [(environment.name, environment.discovery) for environment in found])
    answer = _answer(by, result)
    return replace(answer, notes=(*answer.notes, *discovery.notes))


def _rendered(target: FleetTarget, discovery: Discovery, by: Demanded) -> Discovery:
    """What was discovered, rendered as a scan renders it, and followed where the target says so."""
    if os.environ.get("KUBEASSAY_RENDER", "").lower() in ("0", "false", "no", "off") and not target.follow:
        return discovery
    # Imported here: few trees are rendered.
    from kubeassay.execution.following import Follow, followed
    from kubeassay.execution.rendering import RenderOptions, rendered
    from kubeassay.sources.rendering import HelmDemand

    options = RenderOptions(chart_options=HelmDemand("", "", "", kube_version=str(by.version)))
    if not target.follow:
        return rendered(discovery, options)
    return followed(discovery, options, Follow(frozenset(target.follow), dict(target.repositories)))


def _answer(by: Demanded, result: Result) -> TargetAnswer:
    return TargetAnswer(to_json(result), "", tuple(policy_notes(by, result)))
