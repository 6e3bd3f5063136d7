"""Quotas and limit ranges: whether namespaces have them, whether they are as documented, what they refuse, and whether
what is declared fits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any

from kubeassay.analysis.access.resources import resource_types
from kubeassay.analysis.autoscaling.horizontal import HorizontalAutoscaler, scaling
from kubeassay.analysis.environments import nearest
from kubeassay.analysis.network.judgements import SYSTEM_NAMESPACES
from kubeassay.analysis.quantity import parse_quantity, shown
from kubeassay.analysis.quota.admission import (
    PlacedBreach,
    Refusals,
    Unstated,
    pods,
    refused_by_limit_ranges,
    refused_by_quotas,
    refused_claims,
)
from kubeassay.analysis.quota.amounts import Amount
from kubeassay.analysis.quota.demand import Consumer, Demand, Space, demand
from kubeassay.analysis.quota.fit import Line, Part, Phase, fits
from kubeassay.analysis.quota.limit_ranges import LimitRange
from kubeassay.analysis.quota.pod_resources import resource_list
from kubeassay.analysis.quota.quotas import Quota
from kubeassay.analysis.quota.resource_names import is_counted, is_of_claims, is_of_pods
from kubeassay.analysis.reading import mapping
from kubeassay.checks.check import (
    ContainerSubject,
    Context,
    NotApplicable,
    NotJudged,
    Passed,
    Said,
    Violation,
    check,
)
from kubeassay.checks.network_common import is_one_of
from kubeassay.checks.network_common import shown as listed
from kubeassay.model import Inventory, Object, Path

#: How many of many things a message names.
_NAMED = 3
_HARD: Path = ("spec", "hard")


# --- namespaces that have none ---


def _judged(of: Demand, context: Context) -> Iterator[Space]:
    """The namespaces that are demanded to have something: those that the parameters name, and where they name none
    those with pods that are not Kubernetes' own."""
    named = context.parameters["namespaces"]
    for name in of.names:
        if not name or is_one_of(name, context.parameters["excluded_namespaces"]):
            continue
        if named:
            if is_one_of(name, named):
                yield of.space(name)
            continue
        space = of.space(name) if name not in SYSTEM_NAMESPACES else None
        if space is not None and space.first_with_pods is not None:
            yield space


def _place(space: Space) -> tuple[Object, Path] | None:
    """Where a finding about a namespace points: at the Namespace, or at what first states it."""
    if space.obj is not None:
        return space.obj, ("metadata", "name")
    first = space.first_with_pods or next(iter(space.objects), None)
    return None if first is None else (first, ("metadata", "namespace"))


@check("namespace-without-quota")
def namespace_without_quota(inventory: Inventory, context: Context) -> Iterator[Said]:
    for space in _judged(demand(inventory, context.kubernetes_version.minor), context):
        place = _place(space)
        if place is None:
            continue
        obj, path = place
        if any(not one.refused and one.hard for one in space.quotas):
            yield Passed(obj)
            continue
        message = f"namespace {space.name} has no ResourceQuota"
        if space.quotas:
            message = f"no ResourceQuota of namespace {space.name} has an effect"
        related = tuple((f"{one} limits nothing, or is refused", one.obj, _HARD) for one in space.quotas[:_NAMED])
        yield Violation(path, message, obj=obj, related=related)


@check("namespace-without-limit-range")
def namespace_without_limit_range(inventory: Inventory, context: Context) -> Iterator[Said]:
    """A LimitRange of type Container with a default or a bound for each of the resources asked for."""
    wanted = [str(name) for name in context.parameters["resources"]]
    for space in _judged(demand(inventory, context.kubernetes_version.minor), context):
        place = _place(space)
        if place is None:
            continue
        obj, path = place
        ranges = [one for one in space.limit_ranges if not one.refused]
        # A bound gives a default, too: max that of the limit and the request, min that of the request.
        given = {name for one in ranges for name in one.defaults.requests}
        missing = [name for name in wanted if name not in given]
        if not missing:
            yield Passed(obj)
        elif ranges:
            message = f"no LimitRange of namespace {space.name} gives containers a default of {' or '.join(missing)}"
            related = tuple((f"{one} gives none", one.obj, ("spec", "limits")) for one in ranges[:_NAMED])
            yield Violation(path, message, obj=obj, related=related)
        else:
            yield Violation(path, f"namespace {space.name} has no LimitRange", obj=obj)


# --- as documented ---


@check("documented-quota")
def documented_quota(inventory: Inventory, context: Context) -> Iterator[Said]:
    """Of several quotas in a namespace the least limit of a resource holds; one with scopes does not limit all."""
    documented: Mapping[str, Any] = context.parameters["quotas"]
    if not documented:
        yield NotApplicable()
        return
    exact = context.parameters["exact"]
    of = demand(inventory, context.kubernetes_version.minor)
    for name, limits in documented.items():
        space = of.space(name)
        quotas = [one for one in space.quotas if not one.refused and not one.scopes]
        if not quotas:
            yield _undocumented(space)
            continue
        failed: dict[tuple[int, Path, str], Violation] = {}
        for group in _together(quotas):
            for one in _against(group, limits, exact=exact):
                failed[id(one.obj), one.path, one.message] = one
        yield from failed.values()
        wrong = {number for number, _, _ in failed}
        yield from (Passed(one.obj) for one in quotas if id(one.obj) not in wrong)


def _undocumented(space: Space) -> Said:
    """Without its limits: of several clauses that each ask for one, it is one finding."""
    words = f"namespace {space.name} has no ResourceQuota, and is documented to have one"
    place = _place(space)
    if place is None:
        return NotJudged("missing-input", f"{words}; nothing of this namespace is among the inputs")
    return Violation(place[1], words, obj=place[0])


def _together(quotas: Sequence[Quota]) -> Iterator[list[Quota]]:
    """Quotas that one cluster can have together: to each those of other names that are nearest to it."""
    told: set[tuple[int, ...]] = set()
    for one in quotas:
        name = one.obj.ref.name
        group = nearest([other for other in quotas if other is one or other.obj.ref.name != name], one.obj.file)
        key = tuple(map(id, group))
        if key not in told:
            told.add(key)
            yield group


def _against(quotas: Sequence[Quota], limits: Mapping[str, Any], *, exact: bool) -> Iterator[Violation]:
    for resource, text in limits.items():
        wanted = parse_quantity(text)
        if wanted is None:
            continue
        stated = [one for one in quotas if resource in one.hard]
        if not stated:
            # It belongs after what the quota has already.
            last = next(reversed(list(quotas[0].hard)), None)
            path = _HARD if last is None else (*_HARD, last)
            words = f"{quotas[0]} does not limit {resource}; {text} is documented"
            yield Violation(path, words, key=True, obj=quotas[0].obj)
            continue
        least = min(stated, key=lambda one: one.hard[resource])
        has = least.hard[resource]
        if has > wanted or (exact and has != wanted):
            words = f"{least} limits {resource} to {mapping(least.obj.get(*_HARD)).get(resource)}, {text} is documented"
            yield Violation((*_HARD, resource), words, obj=least.obj)


# --- what is refused ---


@check("quota-refuses-pods")
def quota_refuses_pods(inventory: Inventory, context: Context) -> Iterator[Said]:
    minor = context.kubernetes_version.minor
    of = demand(inventory, minor)
    for space in map(of.space, of.names):
        for consumer in pods(space.consumers) if space.quotas else ():
            refusals = refused_by_quotas(consumer, space.quotas, minor)
            by_container: dict[Path | None, list[Unstated]] = {}
            for one in refusals.unstated:
                by_container.setdefault(one.path, []).append(one)
            for path, missing in by_container.items():
                yield _refusal(consumer, path, missing)
            if not by_container:
                yield _admitted(consumer, refusals, "a quota")


def _admitted(consumer: Consumer, refusals: Refusals, by: str) -> Said:
    if refusals.perhaps:
        cause = "what admission makes of them"
        if not all(variant.proxy_known for variant in consumer.variants):
            cause = "the resources of the proxy that is injected, which are not among the inputs"
        detail = f"whether {by} refuses the pods of {consumer.obj.ref} depends on {cause}"
        return NotJudged("unknown-demand", detail, consumer.obj)
    return Passed(consumer.obj)


def _refusal(consumer: Consumer, path: Path | None, missing: Sequence[Unstated]) -> Violation:
    """What one container does not state; without a path it is the mesh's proxy."""
    assert consumer.template is not None
    fields: dict[str, list[str]] = {}
    for one in missing:
        kind, _, resource = one.name.rpartition(".")
        listed = fields.setdefault("limits" if kind == "limits" else "requests", [])
        listed.extend([resource] if resource not in listed else ())
    container = missing[0].container
    quotas = list(dict.fromkeys(str(by) for one in missing for by in one.quotas))
    stated = " and ".join(f"no {field[:-1]} of {' or '.join(names)}" for field, names in sorted(fields.items()))
    refuse = "refuse" if len(quotas) > 1 else "refuses"
    words = f"container {container} sets {stated}, and {', '.join(quotas[:_NAMED])} {refuse} such pods"
    related = [(f"{by} limits {one.name}", by.obj, (*_HARD, one.name)) for one in missing for by in one.quotas]
    if path is None:
        annotations = (*consumer.template.path, "metadata", "annotations")
        return Violation(annotations, f"injected {words}", obj=consumer.obj, related=tuple(related[:_NAMED]))
    place: Path = (*consumer.template.spec_path, *path, "resources")
    if len(fields) == 1:
        ((field, names),) = fields.items()
        place = (*place, field, names[0]) if len(names) == 1 else (*place, field)
    return Violation(place, words, container=container, obj=consumer.obj, related=tuple(related[:_NAMED]))


@check("limit-range-violated")
def limit_range_violated(inventory: Inventory, context: Context) -> Iterator[Said]:
    of = demand(inventory, context.kubernetes_version.minor)
    for space in map(of.space, of.names):
        if not space.limit_ranges:
            continue
        for consumer in pods(space.consumers):
            refusals = refused_by_limit_ranges(consumer, space.limit_ranges)
            for placed in refusals.breaches:
                yield _breach(consumer, placed)
            if not refusals.breaches:
                yield _admitted(consumer, refusals, "a LimitRange")
        for consumer, found in refused_claims(space.consumers, space.limit_ranges):
            for breach in found:
                words = f"claim {breach.words} by {breach.limit_range}"
                bound = ((f"{breach.limit_range} says so", breach.limit_range.obj, breach.path),)
                yield Violation(consumer.path, words, obj=consumer.obj, related=bound)
            if not found:
                yield Passed(consumer.obj)


def _breach(consumer: Consumer, placed: PlacedBreach) -> Violation:
    template, breach = consumer.template, placed.breach
    assert template is not None
    related = ((f"{breach.limit_range} says so", breach.limit_range.obj, breach.path),)
    if breach.container is None:
        words = f"pod in all {breach.words} by {breach.limit_range}"
        return Violation(template.spec_path, words, obj=consumer.obj, related=related)
    name = breach.container.name
    words = f"container {name} {breach.words} by {breach.limit_range}"
    if placed.path is None:
        annotations = (*template.path, "metadata", "annotations")
        return Violation(annotations, f"injected {words}", obj=consumer.obj, related=related)
    path = (*template.spec_path, *placed.path, "resources", f"{breach.at}s", breach.resource)
    return Violation(path, words, container=name, obj=consumer.obj, related=related)


@check("quota-or-limit-range-refused")
def quota_or_limit_range_refused(inventory: Inventory, context: Context) -> Iterator[Said]:
    of = demand(inventory, context.kubernetes_version.minor)
    for space in map(of.space, of.names):
        both: tuple[Quota | LimitRange, ...] = (*space.quotas, *space.limit_ranges)
        for one in both:
            for refused in one.refused:
                yield Violation(refused.path, f"an API server refuses {one}: {refused.reason}", obj=one.obj)
            if not one.refused:
                yield Passed(one.obj)


@check("quota-resource-not-counted")
def quota_resource_not_counted(inventory: Inventory, context: Context) -> Iterator[Said]:
    """What a quota names and nothing is counted against: any prefixed name is accepted."""
    minor = context.kubernetes_version.minor
    types = resource_types(inventory)
    groups = {one.group for one in types.all}
    of = demand(inventory, minor)
    for space in map(of.space, of.names):
        for one in space.quotas:
            if one.refused:
                continue
            wrong = False
            for resource in one.hard:
                words = _not_counted(one, resource, minor)
                if not words and resource.startswith("count/"):
                    plural, _, group = resource.removeprefix("count/").partition(".")
                    if group in groups and types.get(group, plural) is None:
                        words = f"there is no resource {plural} in {'group ' + group if group else 'the core group'}"
                if words:
                    wrong = True
                    path = (*_HARD, resource)
                    yield Violation(path, f"{one} limits nothing by {resource}: {words}", key=True, obj=one.obj)
            if not wrong:
                yield Passed(one.obj)


def _not_counted(of: Quota, resource: str, minor: int) -> str:
    if not is_counted(resource, minor):
        if resource.startswith("limits."):
            return f"of {resource.removeprefix('limits.')} only requests are counted"
        return "nothing is counted by this name"
    if not of.scopes:
        return ""
    # Only pods have scopes, and claims that of their VolumeAttributesClass.
    by_class = all(scope.name == "VolumeAttributesClass" for scope in of.scopes)
    counted = is_of_claims(resource) if by_class else is_of_pods(resource, minor)
    return "" if counted else f"a quota with scope {of.scopes[0].name} counts no such objects"


# --- what does not fit ---


def _lines(inventory: Inventory, context: Context, *, claims: bool | None = None) -> Iterator[list[Line]]:
    """The lines of each quota: those on claims, those on all else, or all."""
    for fit in fits(inventory, context.kubernetes_version.minor):
        by_quota: dict[int, list[Line]] = {}
        for line in fit.lines:
            if claims is None or is_of_claims(line.resource) == claims:
                by_quota.setdefault(id(line.quota), []).append(line)
        yield from by_quota.values()


def _judge(inventory: Inventory, context: Context, phase: Phase, before: Phase | None) -> Iterator[Said]:
    """What does not fit in a phase, once it fits, or may, in the one before."""
    for lines in _lines(inventory, context, claims=False):
        failed, unknown = False, []
        for line in lines:
            answer = line.fits(phase)
            if answer is False:
                failed = True
                if before is None or line.fits(before) is not False:
                    yield _excess(inventory, line, phase)
            elif answer is None:
                unknown.append(line)
        if not failed:
            yield _rest(lines[0].quota, unknown, phase)


def _rest(of: Quota, unknown: Sequence[Line], phase: Phase) -> Said:
    if not unknown:
        return Passed(of.obj)
    reasons = list(dict.fromkeys(reason for line in unknown for reason in line.unknown[phase]))
    names = ", ".join(line.resource for line in unknown)
    return NotJudged(
        "unknown-demand", f"what is needed of {names} of {of} is not known: {listed(reasons, '; ')}", of.obj
    )


def _excess(inventory: Inventory, line: Line, phase: Phase) -> Violation:
    resource = line.resource
    parts = sorted(line.parts, key=lambda part: -_in_phase(part, phase).low)
    parts = [part for part in parts if _in_phase(part, phase).low]
    base: Phase = "rest" if phase == "rest" else "maximum"
    words = f"{resource}: {_need(parts, base, line)}"
    if phase == "surge" and line.rolled is not None:
        adds = line.surge.low - line.maximum.low
        of = "surge" if len({id(part.consumer.obj) for part in parts}) == 1 else f"the rollout of {line.rolled.ref}"
        words = f"{words}, {of} adds {shown(resource, adds)}"
    words = f"{words}, {line.quota} has {shown(resource, line.hard)}"
    related: list[tuple[str, Object, Path]] = []
    for part in parts[:_NAMED]:
        consumer = part.consumer
        each = shown(resource, part.each.low)
        related.append((f"{consumer.obj.ref} needs {each} each", consumer.obj, consumer.path))
        for scaler in _scalers(inventory, consumer) if phase != "rest" else ():
            related.append((f"{scaler} allows {scaler.maximum} replicas", scaler.obj, scaler.maximum_path))
    return Violation((*_HARD, resource), words, obj=line.quota.obj, related=tuple(related))


def _scalers(inventory: Inventory, consumer: Consumer) -> Iterator[HorizontalAutoscaler]:
    for scaler in scaling(inventory).of(consumer.obj):
        if scaler.active and not scaler.reference.wrong and scaler.maximum is not None:
            yield scaler


def _in_phase(part: Part, phase: Phase) -> Amount:
    return part.rest if phase == "rest" else part.maximum if phase == "maximum" else part.maximum + part.surge


def _need(parts: Sequence[Part], phase: Phase, line: Line) -> str:
    """What needs how much, in words."""
    needed = line.needed(phase)
    total = ("" if needed.exact else "at least ") + shown(line.resource, needed.low)
    takers = list({id(part.consumer.obj): part.consumer.obj for part in parts}.values())
    if len(parts) == 1:
        counts = parts[0].consumer.counts
        number = counts.rest.low if phase == "rest" else counts.maximum.low
        if parts[0].consumer.kind == "pod" and parts[0].consumer.obj.ref.kind != "Pod":
            what = "pod" if parts[0].consumer.obj.ref.kind in ("CronJob", "DaemonSet", "Job") else "replica"
            several = f"{what}s of {takers[0].ref} need" if number != 1 else f"{what} of {takers[0].ref} needs"
            return f"{number} {several} {total}"
        return f"{takers[0].ref} needs {total}"
    names = [f"{part.consumer.obj.ref} {shown(line.resource, _in_phase(part, phase).low)}" for part in parts]
    return f"{len(takers)} objects need {total} ({listed(names, '; ')})"


@check("quota-exceeded-at-rest")
def quota_exceeded_at_rest(inventory: Inventory, context: Context) -> Iterator[Said]:
    yield from _judge(inventory, context, "rest", None)


@check("quota-exceeded-at-maximum")
def quota_exceeded_at_maximum(inventory: Inventory, context: Context) -> Iterator[Said]:
    yield from _judge(inventory, context, "maximum", "rest")


@check("quota-exceeded-during-rollout")
def quota_exceeded_during_rollout(inventory: Inventory, context: Context) -> Iterator[Said]:
    yield from _judge(inventory, context, "surge", "maximum")


@check("autoscaler-maximum-exceeds-quota")
def autoscaler_maximum_exceeds_quota(inventory: Inventory, context: Context) -> Iterator[Said]:
    """The same, said of the autoscalers: a maximum that cannot be reached, or not be rolled out at."""
    said: dict[int, tuple[HorizontalAutoscaler, Line, str]] = {}
    judged: dict[int, HorizontalAutoscaler] = {}
    unknown: dict[int, str] = {}
    for fit in fits(inventory, context.kubernetes_version.minor):
        for line in fit.lines:
            for part in line.parts:
                for scaler in _scalers(inventory, part.consumer):
                    judged[id(scaler)] = scaler
                    # What does not fit at rest does not fail for the maximum.
                    if line.fits("rest") is False or not (part.maximum.low > part.rest.low or part.surge.low):
                        continue
                    if line.fits("maximum") is False:
                        said[id(scaler)] = (scaler, line, "")
                    elif line.fits("surge") is False and line.rolled is part.consumer.obj:
                        said.setdefault(id(scaler), (scaler, line, " while it is rolled out"))
                    elif None in (line.fits("maximum"), line.fits("surge")):
                        unknown.setdefault(id(scaler), listed(line.unknown["surge"], "; "))
    for number, scaler in judged.items():
        if number in said:
            _, line, when = said[number]
            phase: Phase = "surge" if when else "maximum"
            needed = shown(line.resource, line.needed(phase).low)
            words = f"{scaler.maximum} replicas do not fit{when}: {line.resource} needs {needed}"
            words = f"{words} then, {line.quota} has {shown(line.resource, line.hard)}"
            related = ((f"{line.quota} limits it", line.quota.obj, (*_HARD, line.resource)),)
            yield Violation(scaler.maximum_path, words, obj=scaler.obj, related=related)
        elif number in unknown:
            detail = f"whether {scaler.maximum} replicas of {scaler} fit is not known: {unknown[number]}"
            yield NotJudged("unknown-demand", detail, scaler.obj)
        else:
            yield Passed(scaler.obj)


@check("storage-quota-exceeded")
def storage_quota_exceeded(inventory: Inventory, context: Context) -> Iterator[Said]:
    """Findings at the limit, and, where several want a part of it, at each claim that it has no room for, in reading
    order."""
    for lines in _lines(inventory, context, claims=True):
        failed, unknown = False, []
        for line in lines:
            phase: Phase = "rest" if line.fits("rest") is False else "surge"
            if line.fits(phase) is False:
                failed = True
                yield _excess(inventory, line, phase)
                yield from _too_much(line, phase)
            elif line.fits(phase) is None:
                unknown.append(line)
        if not failed:
            yield _rest(lines[0].quota, unknown, "surge")


def _too_much(line: Line, phase: Phase) -> Iterator[Violation]:
    left = line.hard
    if sum(1 for part in line.parts if _in_phase(part, phase).low) < 2:
        return
    for part in line.parts:
        need = _in_phase(part, phase).low
        if need <= left:
            left -= need
            continue
        consumer, resource = part.consumer, line.resource
        words = f"{resource}: needs {shown(resource, need)}, {line.quota} has {shown(resource, left)} left"
        words = f"{words} of {shown(resource, line.hard)}"
        related = ((f"{line.quota} limits it", line.quota.obj, (*_HARD, resource)),)
        yield Violation(consumer.path, words, obj=consumer.obj, related=related)


@check("quota-without-headroom")
def quota_without_headroom(inventory: Inventory, context: Context) -> Iterator[Said]:
    """What is left of a limit when all is there that is declared. What does not fit is another finding."""
    percent = context.parameters["percent"]
    for lines in _lines(inventory, context):
        clean, unknown = True, []
        for line in lines:
            if not line.hard or line.fits("surge") is False:
                clean = clean and not line.hard
                continue
            left = line.hard - line.surge.low
            if left * 100 <= line.hard * percent:
                clean = False
                needed = ("" if line.surge.exact else "at least ") + shown(line.resource, line.surge.low)
                words = f"{line.resource}: {needed} of {shown(line.resource, line.hard)} are needed,"
                words = f"{words} {shown(line.resource, left) if left else 'nothing'} is left"
                parts = sorted(line.parts, key=lambda part: -_in_phase(part, "surge").low)[:_NAMED]
                related = tuple(
                    (
                        f"{part.consumer.obj.ref} needs {shown(line.resource, _in_phase(part, 'surge').low)}",
                        part.consumer.obj,
                        part.consumer.path,
                    )
                    for part in parts
                    if _in_phase(part, "surge").low
                )
                yield Violation((*_HARD, line.resource), words, obj=line.quota.obj, related=related)
            elif line.surge.high is None or (line.hard - line.surge.high) * 100 <= line.hard * percent:
                unknown.append(line)
        if clean:
            yield _rest(lines[0].quota, unknown, "surge")


# --- containers ---


@check("limit-to-request-ratio")
def limit_to_request_ratio(subject: ContainerSubject, context: Context) -> Iterable[Violation]:
    """A limit without a request is its own request, and one without a limit has no ratio."""
    container = subject.container
    stated = mapping(container.spec.get("resources"))
    limits, requests = resource_list(stated.get("limits")), resource_list(stated.get("requests"))
    found = []
    for resource in ("cpu", "memory"):
        bound = parse_quantity(context.parameters[f"max_{resource}"])
        limit, request = limits.get(resource), requests.get(resource)
        if bound is None or limit is None or request is None or limit <= request * bound:
            continue
        if limit <= 0 or request < 0:
            # An API server refuses what is below 0.
            continue
        ratio = "of any size" if not request else f"{_ratio(limit / request)} times"
        words = f"container {container.name} has a {resource} limit of {shown(resource, limit)}, {ratio} its request"
        words = f"{words} of {shown(resource, request)}; at most {_ratio(bound)} times is allowed"
        path = (*container.path, "resources", "limits", resource)
        found.append(Violation(path, words, container=container.name))
    return found


def _ratio(value: Fraction) -> str:
    return str(value) if value.denominator == 1 else f"{float(value):.1f}"
