"""What namespaces need: which objects count against quotas, for how much, and how many of them there are at rest, at
the maximum of their autoscalers, and while they are rolled out.

Sources: kubernetes v1.37.1, pkg/controller/deployment/util/deployment_util.go (ResolveFenceposts: a surge in percent is
rounded up), pkg/apis/apps/v1/defaults.go (25 %), pkg/controller/job/job_controller.go (no more pods than completions
are missing), pkg/controller/statefulset/stateful_set_utils.go (names of claims), pkg/controller/volume/ephemeral. That
a namespace needs the maximum of its autoscalers and the surge of a rollout is derived from these; Kubernetes states no
such sum.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from math import ceil
from typing import Any, Literal

from kubeassay.analysis.access.resources import resource_types
from kubeassay.analysis.autoscaling.horizontal import HorizontalAutoscaler, scaling, workload_behind
from kubeassay.analysis.autoscaling.vertical import VerticalAutoscaler, limit_at, verticals
from kubeassay.analysis.network.endpoints import owner_among, owner_of
from kubeassay.analysis.network.makers import makers_of
from kubeassay.analysis.network.workloads import unknown_workloads, workloads
from kubeassay.analysis.platform.node_groups import clusters
from kubeassay.analysis.platform.scheduling import placement, runtime_class
from kubeassay.analysis.quota.amounts import NOTHING, UNKNOWN, Amount, exactly
from kubeassay.analysis.quota.injection import injection, proxy_resources, with_proxy
from kubeassay.analysis.quota.limit_ranges import LimitRange, in_effect, limit_ranges
from kubeassay.analysis.quota.pod_resources import (
    ContainerResources,
    Defaults,
    PodResources,
    Resources,
    pod_resources,
    resource_list,
)
from kubeassay.analysis.quota.quotas import (
    ClaimFacts,
    PodFacts,
    Quota,
    claim_facts,
    pod_facts,
    quota,
    usage_of_claim,
    usage_of_pod,
    usage_of_resource_claim,
    usage_of_service,
    wants_default_class,
)
from kubeassay.analysis.quota.resource_names import (
    CLAIMS_AS_EXTENDED_SINCE,
    COUNT_ALIASES,
    DEVICE_CLASS,
    OF_CLAIMS,
    OF_DEVICE_CLASS,
    OF_STORAGE_CLASS,
)
from kubeassay.analysis.reading import items, mapping, string, whole
from kubeassay.analysis.storage.classes import storage_classes
from kubeassay.analysis.workloads import BUILT_IN_GROUPS, TEMPLATE_PATHS, PodTemplate, templates_of
from kubeassay.model import Inventory, Object, Path

ConsumerKind = Literal["pod", "claim", "object", "unknown"]

_ONE = exactly(1)
_ROLLOUT = ("argoproj.io", "Rollout")
_DEVICES = "resource.k8s.io"
#: In a usage: devices of any class.
ANY_DEVICES = "devices"
#: In a usage: what a claim counts for in any StorageClass that the usage does not name.
ANY_CLASS = f"*{OF_STORAGE_CLASS}"
_DEPLOYMENTS = frozenset({("apps", "Deployment"), ("extensions", "Deployment")})
_DAEMON_SETS = frozenset({("apps", "DaemonSet"), ("extensions", "DaemonSet")})
#: Kinds that count for the pods that were made of them.
_MAKERS = (TEMPLATE_PATHS.keys() | {_ROLLOUT}) - {("", "Pod"), ("", "PodTemplate")}
#: Groups whose kinds make Secrets, and no pods.
_SECRET_MAKERS = frozenset({"acme.cert-manager.io", "cert-manager.io", "external-secrets.io", "secrets.hashicorp.com"})
_ENDED = frozenset({"Succeeded", "Failed"})


@dataclass(frozen=True, slots=True)
class Counts:
    """How many there are: ``rest``; ``maximum``; and ``surge``, how many more while a rollout at the maximum lasts.
    ``why``: why only bounds are known."""

    rest: Amount = NOTHING
    maximum: Amount = NOTHING
    surge: Amount = NOTHING
    why: str = ""


@dataclass(frozen=True, slots=True)
class Variant:
    """One of the ways in which admission may complete a pod, where it is not known which it takes.

    ``proxy``: where the mesh's proxy stands in the pod spec then; None without one. ``proxy_known``: whether what it
    needs is known.
    """

    resources: PodResources
    facts: PodFacts
    proxy: Path | None = None
    proxy_known: bool = True

    def place(self, container: ContainerResources) -> Path | None:
        """Where a container stands in the pod spec as it is written; None for the mesh's proxy."""
        if container.path == self.proxy:
            return None
        field, number = container.path
        # The proxy comes first in its list.
        shift = self.proxy is not None and self.proxy[0] == field
        return (field, int(number) - 1) if shift else container.path


@dataclass(frozen=True, slots=True, eq=False)
class Consumer:
    """Things of one sort that count against quotas, made by one object.

    ``path``: from the object's root to what says how much each needs (a pod spec, a claim's request). ``usage``: what
    one counts for, by the names that quotas have for it; ``why``: why only bounds of it are known, or nothing.
    ``variants``: for pods. ``claim``: for claims. ``counts.surge`` counts with that of the other consumers of ``obj``.
    ``number_path``: where the number stands, or would.
    """

    kind: ConsumerKind
    obj: Object
    path: Path
    usage: Mapping[str, Amount]
    counts: Counts
    number_path: Path = ()
    why: str = ""
    variants: tuple[Variant, ...] = ()
    claim: ClaimFacts | None = None
    requests: Resources = field(default_factory=dict)
    template: PodTemplate | None = None

    def __post_init__(self) -> None:
        assert (self.kind == "claim") == (self.claim is not None)


class Space:
    """One namespace: its Namespace object, where it is among the inputs, its quotas and limit ranges (those that an API
    server refuses included), and what counts in it. ``name`` is empty for what states no namespace."""

    def __init__(
        self,
        name: str,
        obj: Object | None,
        quotas: Sequence[Quota],
        limit_ranges: Sequence[LimitRange],
        objects: Sequence[Object],
        find: Callable[[str], Iterator[Consumer]],
    ) -> None:
        self.name = name
        self.obj = obj
        self.quotas = tuple(quotas)
        self.limit_ranges = tuple(limit_ranges)
        #: The namespaced objects that state the namespace, in reading order.
        self.objects = objects
        self._find = find

    @cached_property
    def consumers(self) -> tuple[Consumer, ...]:
        """What counts in it. It is asked only where there is something that it counts against."""
        return tuple(self._find(self.name))

    @cached_property
    def first_with_pods(self) -> Object | None:
        """The first object that makes pods."""
        kinds = TEMPLATE_PATHS.keys() - {("", "PodTemplate")} | {_ROLLOUT}
        return next((obj for obj in self.objects if (obj.ref.group, obj.ref.kind) in kinds), None)


class Demand:
    """The namespaces of an inventory, and what they need."""

    def __init__(self, inventory: Inventory, minor: int) -> None:
        self.inventory = inventory
        self.minor = minor
        self._quotas = _by_namespace(quota(obj) for obj in inventory.of_kind("ResourceQuota", ""))
        self._ranges: dict[str, list[LimitRange]] = defaultdict(list)
        for one in limit_ranges(inventory).all:
            self._ranges[one.obj.ref.namespace or ""].append(one)
        self._objects: dict[str, list[Object]] = defaultdict(list)
        kinds = {(one.group, one.kind): one for one in resource_types(inventory).all}
        self._resources = kinds
        for obj in inventory:
            known = kinds.get((obj.ref.group, obj.ref.kind))
            if known is None or known.namespaced:
                self._objects[obj.ref.namespace or ""].append(obj)
        self._spaces: dict[str, Space] = {}
        #: Of LimitRanges, by their ids.
        self._orders: dict[tuple[int, ...], tuple[Defaults, ...]] = {}

    @cached_property
    def _owned(self) -> _Ownership:
        return _Ownership(self.inventory)

    @cached_property
    def _opaque(self) -> Mapping[str, list[tuple[Object, Path]]]:
        found: dict[str, list[tuple[Object, Path]]] = defaultdict(list)
        for obj, path in self._operators():
            found[obj.ref.namespace or ""].append((obj, path))
        return found

    @cached_property
    def _priority(self) -> str:
        return _default_priority_class(self.inventory)

    @cached_property
    def _loose(self) -> Mapping[tuple[str, str], HorizontalAutoscaler]:
        """By kind and name of their targets, the autoscalers whose targets are not among the inputs."""
        found = (one for one in scaling(self.inventory).all if one.active and one.made_by is None)
        return {(one.reference.kind, one.reference.name): one for one in found if one.target is None}

    @cached_property
    def _claims(self) -> _Claims:
        return _Claims(self.inventory)

    @property
    def stated(self) -> Set[str]:
        """The namespaces that namespaced objects state; the empty name is that of those that state none."""
        return self._objects.keys()

    @property
    def names(self) -> list[str]:
        """The namespaces that are declared, or that anything namespaced states, sorted."""
        declared = {obj.ref.name for obj in self.inventory.of_kind("Namespace", "") if obj.ref.name}
        return sorted(declared | self._objects.keys())

    def space(self, name: str) -> Space:
        """A namespace, with what counts in it."""
        found = self._spaces.get(name)
        if found is None:
            found = self._spaces[name] = Space(
                name,
                self.inventory.nearest("", "Namespace", None, name, "") if name else None,
                self._quotas.get(name, ()),
                self._ranges.get(name, ()),
                self._objects.get(name, ()),
                self._consumers,
            )
        return found

    # --- what counts ---

    def _consumers(self, name: str) -> Iterator[Consumer]:
        ranges = self._ranges.get(name, ())
        for obj in self._objects.get(name, ()):
            if not _is_applied(obj):
                continue
            yield from self._of_object(obj)
            group, kind = obj.ref.group, obj.ref.kind
            if (group, kind) == ("", "PersistentVolumeClaim"):
                yield self._claim(obj, _STORAGE, obj.value, Counts(_ONE, _ONE))
            elif (group, kind) == ("", "Service"):
                usage = _exactly(usage_of_service(obj.value))
                yield Consumer("object", obj, ("spec", "type"), usage, Counts(_ONE, _ONE))
            else:
                yield from self._of_workload(obj, ranges)
        for obj, path in self._opaque.get(name, ()):
            why = f"what {obj.ref} makes is its operator's to decide"
            yield Consumer("unknown", obj, path, {}, Counts(UNKNOWN, UNKNOWN, UNKNOWN, why), why=why)
        maker = makers_of(self.inventory).of(name) if name else None
        if maker is not None:
            why = f"{maker.ref} may deploy to this namespace"
            yield Consumer("unknown", maker, ("kind",), {}, Counts(UNKNOWN, UNKNOWN, NOTHING, why), why=why)
        yield from self._made_by_controllers(name)

    def _of_object(self, obj: Object) -> Iterator[Consumer]:
        """An object as such: it counts for ``count/…`` (objectCountEvaluator), and what controllers make of it does."""
        group, kind = obj.ref.group, obj.ref.kind
        if kind in ("Pod", "PersistentVolumeClaim", "Service", "Event") and group in ("", "events.k8s.io"):
            return
        known = self._resources.get((group, kind))
        plural = known.name if known is not None else _guess(kind)
        name = f"count/{plural}.{group}" if group else f"count/{plural}"
        usage = {name: _ONE}
        if not group and plural in COUNT_ALIASES:
            usage[COUNT_ALIASES[plural]] = _ONE
        if (group, kind) == (_DEVICES, "ResourceClaim"):
            usage.update(self._of_devices(mapping(obj.get("spec"))))
        yield Consumer("object", obj, ("kind",), usage, Counts(_ONE, _ONE))

    def _made_by_controllers(self, name: str) -> Iterator[Consumer]:
        """What the cluster's own controllers make, as far as quotas on counts are concerned."""
        objects = self._objects.get(name, ())
        named = {(obj.ref.group, obj.ref.kind, obj.ref.name) for obj in objects}
        perhaps = Amount(Fraction(0), Fraction(1))
        first = objects[0] if objects else None
        if first is None:
            return
        for kind, plural, made in (
            ("ConfigMap", "configmaps", "kube-root-ca.crt"),
            ("ServiceAccount", "serviceaccounts", "default"),
        ):
            if ("", kind, made) not in named:
                usage = {f"count/{plural}": perhaps, **({plural: perhaps} if plural in COUNT_ALIASES else {})}
                why = f"the cluster adds {kind} {made}"
                yield Consumer("object", first, ("metadata", "namespace"), usage, Counts(_ONE, _ONE), why=why)
        at_least_one = Amount(Fraction(1), None)
        # What was made already counts by itself.
        present = {owner for obj in objects if obj.ref.group == "apps" and (owner := owner_of(obj)) is not None}
        for group, kind, resource, of_each in (
            ("apps", "Deployment", "count/replicasets.apps", at_least_one),
            ("apps", "StatefulSet", "count/controllerrevisions.apps", at_least_one),
            ("apps", "DaemonSet", "count/controllerrevisions.apps", at_least_one),
            ("batch", "CronJob", "count/jobs.batch", UNKNOWN),
            ("", "Service", "count/endpoints", UNKNOWN),
            ("", "Service", "count/endpointslices.discovery.k8s.io", UNKNOWN),
        ):
            for obj in objects:
                if (obj.ref.group, obj.ref.kind) == (group, kind) and _is_applied(obj):
                    why = f"how many {resource.partition('/')[2]} {obj.ref} has at a time is not known"
                    number = UNKNOWN if (kind, obj.ref.name) in present else of_each
                    yield Consumer("object", obj, ("kind",), {resource: number}, Counts(_ONE, _ONE), why=why)
        for obj in objects:
            if obj.ref.kind == "SealedSecret" or obj.ref.group in _SECRET_MAKERS:
                usage = {"count/secrets": UNKNOWN, "secrets": UNKNOWN}
                why = f"{obj.ref} may make Secrets"
                yield Consumer("object", obj, ("kind",), usage, Counts(_ONE, _ONE), why=why)

    # --- pods ---

    def _of_workload(self, obj: Object, ranges: Sequence[LimitRange]) -> Iterator[Consumer]:
        group, kind = obj.ref.group, obj.ref.kind
        if group in BUILT_IN_GROUPS:
            if kind == "PodTemplate" or self._owned.speaks_for(obj):
                return
            templates = templates_of(obj)
        elif (group, kind) == _ROLLOUT:
            behind = workload_behind(self.inventory, obj)
            templates = templates_of(behind) if behind is not None else ()
            templates = templates if len(templates) == 1 else ()
        else:
            return
        ranges = in_effect(ranges, obj.file)
        for template in templates:
            counts, number_path = self._counts(obj)
            pod = self._pod(obj, template, ranges, counts, number_path)
            scalers = [one for one in verticals(self.inventory).of(obj) if one.mode != "Off"]
            yield from self._resized(pod, scalers[0], template, ranges) if scalers else (pod,)
            yield from self._claims_of(obj, template, counts, number_path)

    def _pod(
        self, obj: Object, template: PodTemplate, ranges: Sequence[LimitRange], counts: Counts, number_path: Path
    ) -> Consumer:
        variants, why = self.variants(template, ranges)
        ended = obj.ref.kind == "Pod" and obj.get("status", "phase") in _ENDED
        usage: dict[str, Amount] = {}
        if ended:
            usage["count/pods"] = _ONE
        else:
            usage = _joined([usage_of_pod(variant.resources, self.minor) for variant in variants])
            if why:
                for name in ("cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory"):
                    usage[name] = Amount(usage.get(name, NOTHING).low, None)
            elif any(not one.exact for one in usage.values()):
                why = "in which order LimitRanges apply, or where the mesh puts its proxy, is not known"
        if obj.ref.kind in ("Job", "CronJob"):
            # Pods that have ended stay until their Job goes.
            usage["count/pods"] = Amount(Fraction(1), None)
            why = why or "its pods that have ended stay until their Job goes"
        return Consumer("pod", obj, template.spec_path, usage, counts, number_path, why, variants, template=template)

    def _resized(
        self, pod: Consumer, scaler: VerticalAutoscaler, template: PodTemplate, ranges: Sequence[LimitRange]
    ) -> Iterator[Consumer]:
        """A pod as it is applied, and as an autoscaler may make it when there is load."""
        counts = pod.counts
        yield replace(pod, counts=Counts(counts.rest, NOTHING, NOTHING, counts.why))
        usage = dict(pod.usage)
        bounds: list[Mapping[str, Amount]] = []
        unbounded: set[str] = set()
        for most in (False, True):
            spec, without = _resized_spec(template.spec, scaler, most=most)
            unbounded |= without
            variants, _ = self.variants(replace(template, spec=spec), ranges)
            bounds.append(_joined([usage_of_pod(variant.resources, self.minor) for variant in variants]))
        least, greatest = bounds
        for resource in ("cpu", "memory"):
            for name in (resource, f"requests.{resource}", f"limits.{resource}"):
                low, high = least.get(name, NOTHING).low, greatest.get(name, NOTHING).high
                known = resource not in unbounded and usage.get(name, NOTHING).high is not None
                usage[name] = Amount(min(low, usage.get(name, NOTHING).low), high if known else None)
        why = f"{scaler} sets its cpu and memory"
        yield replace(pod, usage=usage, counts=replace(counts, rest=NOTHING), why=why)

    def variants(self, template: PodTemplate, ranges: Sequence[LimitRange]) -> tuple[tuple[Variant, ...], str]:
        """The ways in which admission may complete a pod of a template, and why more about its cpu and memory is not
        known (empty: it is)."""
        spec = template.spec
        why = ""
        specs: list[tuple[Mapping[str, Any], Path | None]] = [(spec, None)]
        proxy: Mapping[str, Any] | None = {}
        injected = injection(template, self.inventory)
        if injected.added is not False:
            proxy = proxy_resources(template, self.inventory)
            if injected.added is None:
                why = injected.words
            elif proxy is None:
                why = "what the injected proxy needs is not among the inputs"
            without = [] if injected.added else specs
            specs = [*without, (with_proxy(spec, proxy or {}, sidecar=False), ("containers", 0))]
            if items(spec.get("initContainers")):
                specs.append((with_proxy(spec, proxy or {}, sidecar=True), ("initContainers", 0)))
        overhead: Resources | None = None
        runtime = string(spec.get("runtimeClassName"))
        if runtime:
            class_ = runtime_class(self.inventory, spec, template.obj.file)
            if class_ is not None:
                overhead = resource_list(class_.get("overhead", "podFixed"))
            elif not mapping(spec.get("overhead")):
                why = why or f"RuntimeClass {runtime} is not among the inputs, so the overhead of the pod is not known"
        found: list[Variant] = []
        key = tuple(map(id, ranges))
        if key not in self._orders:
            self._orders[key] = _orders(ranges)
        for defaults in self._orders[key]:
            for one, at in specs:
                resources = pod_resources(one, minor=self.minor, defaults=(defaults,), overhead=overhead)
                facts = pod_facts(one, resources, self._priority, self.minor)
                variant = Variant(resources, facts, at, proxy is not None)
                if variant not in found:
                    found.append(variant)
        if any(variant.resources.invalid for variant in found):
            why = why or "a quantity of the pod is none"
        if any(_below_nothing(variant.resources) for variant in found):
            why = why or "a quantity of the pod is below 0, for which an API server refuses it"
        return tuple(found), why

    def _claims_of(self, obj: Object, template: PodTemplate, counts: Counts, number_path: Path) -> Iterator[Consumer]:
        for number, volume in enumerate(items(template.spec.get("volumes"))):
            stated = mapping(mapping(volume).get("ephemeral")).get("volumeClaimTemplate")
            if isinstance(stated, dict):
                path = (*template.spec_path, "volumes", number, "ephemeral", "volumeClaimTemplate")
                named = self._claims.of_pod(obj, string(mapping(volume).get("name")))
                yield self._claim(obj, (*path, *_STORAGE), stated, _less(counts, named), number_path)
        for number, stated in enumerate(items(template.spec.get("resourceClaims"))):
            name = string(mapping(stated).get("resourceClaimTemplateName"))
            if name:
                path = (*template.spec_path, "resourceClaims", number, "resourceClaimTemplateName")
                made = self.inventory.nearest(_DEVICES, "ResourceClaimTemplate", obj.ref.namespace, name, obj.file)
                if made is None:
                    why = f"ResourceClaimTemplate {name} is not among the inputs"
                    usage = {"count/resourceclaims.resource.k8s.io": _ONE, ANY_DEVICES: UNKNOWN}
                else:
                    why, usage = "", self._of_devices(mapping(made.get("spec", "spec")))
                yield Consumer("object", obj, path, usage, counts, number_path, why)
        if (obj.ref.group, obj.ref.kind) != ("apps", "StatefulSet"):
            return
        start = whole(obj.get("spec", "ordinals", "start")) or 0
        for number, stated in enumerate(items(obj.get("spec", "volumeClaimTemplates"))):
            stated = mapping(stated)
            path = ("spec", "volumeClaimTemplates", number)
            name = f"{string(mapping(stated.get('metadata')).get('name'))}-{obj.ref.name}"
            present = self._claims.ordinals(obj, name)
            yield self._claim(obj, (*path, *_STORAGE), stated, _without(counts, present, start), number_path)

    def _claim(
        self, obj: Object, path: Path, claim: Mapping[str, Any], counts: Counts, number_path: Path = ()
    ) -> Consumer:
        requests = resource_list(mapping(mapping(claim.get("spec")).get("resources")).get("requests"))
        usage = _exactly(usage_of_claim(claim))
        why = ""
        if wants_default_class(claim):
            usage, why = self._of_default_class(usage)
        facts = claim_facts(claim)
        return Consumer("claim", obj, path, usage, counts, number_path, why, claim=facts, requests=requests)

    def _of_default_class(self, usage: Mapping[str, Amount]) -> tuple[dict[str, Amount], str]:
        """What a claim counts for that names no class: an admission plug-in gives it the default one before quotas see
        it (plugin/pkg/admission/storage/storageclass/setdefault), of several the newest."""
        classes = storage_classes(self.inventory)
        defaults = [name for name, found in classes.items() if any(one.default_path is not None for one in found)]
        of_class = {name: usage[name] for name in OF_CLAIMS if name in usage}
        added = dict(usage)
        if not defaults:
            added.update((f"{ANY_CLASS}{name}", amount.perhaps) for name, amount in of_class.items())
            added.update((f"{name}{OF_STORAGE_CLASS}{of}", NOTHING) for name in classes for of in of_class)
            return added, "it names no StorageClass, and which is the default is not among the inputs"
        for name in defaults:
            for of, amount in of_class.items():
                added[f"{name}{OF_STORAGE_CLASS}{of}"] = amount if len(defaults) == 1 else amount.perhaps
        return added, "" if len(defaults) == 1 else "it names no StorageClass, and several are the default"

    def _of_devices(self, spec: Mapping[str, Any]) -> dict[str, Amount]:
        """What a ResourceClaim counts for: its devices also as the extended resources that stand for their classes, on
        condition that the class states one (claimEvaluator.addExtendedResourceQuota and MatchingResources)."""
        usage = _exactly(usage_of_resource_claim(spec))
        if self.minor < CLAIMS_AS_EXTENDED_SINCE:
            return usage
        for resource, amount in list(usage.items()):
            name = resource.removesuffix(OF_DEVICE_CLASS)
            if name == resource:
                continue
            class_ = self.inventory.nearest(_DEVICES, "DeviceClass", None, name, "")
            stated = "" if class_ is None else string(class_.get("spec", "extendedResourceName"))
            usage[f"requests.{DEVICE_CLASS}{name}"] = amount if stated else amount.perhaps
            if stated:
                usage[f"requests.{stated}"] = amount
        return usage

    # --- how many ---

    def _counts(self, obj: Object) -> tuple[Counts, Path]:
        group, kind = obj.ref.group, obj.ref.kind
        spec = mapping(obj.value.get("spec"))
        if kind == "Pod":
            return Counts(_ONE, _ONE), ()
        if (group, kind) in _DAEMON_SETS:
            return self._of_daemon_set(obj), ("spec",)
        if kind in ("Job", "CronJob"):
            return _of_job(obj), ("spec",)
        replicas = scaling(self.inventory).replicas(obj)
        if replicas is None:
            return Counts(UNKNOWN, UNKNOWN, UNKNOWN, "how many replicas it has is not known"), ("spec", "replicas")
        rest = exactly(max(replicas.minimum, 0))
        most = None if replicas.maximum is None else max(replicas.maximum, replicas.minimum, 0)
        maximum = Amount(rest.low, None) if most is None else exactly(most)
        why = "" if most is not None else f"{replicas.by} states no maximum"
        loose = None if replicas.by is not None else self._loose.get((kind, obj.ref.name))
        if loose is not None and (loose.obj.ref.namespace is None or obj.ref.namespace is None):
            rest = rest | exactly(max(loose.minimum or 0, 0))
            maximum, most = Amount(rest.low, None), None
            why = f"whether {loose} scales it is not known: they do not both state their namespace"
        surge = _surge(obj, spec, most) if (group, kind) in _DEPLOYMENTS or (group, kind) == _ROLLOUT else NOTHING
        return Counts(rest, maximum, surge, why), replicas.path if replicas.obj is obj else ("spec",)

    def _of_daemon_set(self, obj: Object) -> Counts:
        """One pod for each node that it selects and whose taints it tolerates, whether there is room or not
        (pkg/controller/daemon/daemon_controller.go, NodeShouldRunDaemonPod)."""
        update = mapping(obj.get("spec", "updateStrategy"))
        stated = mapping(update.get("rollingUpdate")).get("maxSurge")
        rolls = stated not in (None, 0, "0%") and update.get("type") != "OnDelete"
        why = "on how many nodes it runs is not known"
        known = clusters(self.inventory)
        templates = templates_of(obj)
        if len(known) != 1 or known[0].elsewhere or known[0].fargate or not templates:
            # A live one says on how many nodes it runs now.
            now = whole(obj.get("status", "desiredNumberScheduled"))
            rest = UNKNOWN if now is None else exactly(max(now, 0))
            return Counts(rest, Amount(rest.low, None), UNKNOWN if rolls else NOTHING, why)
        spec = templates[0].spec
        class_ = runtime_class(self.inventory, spec, obj.file)
        place = placement(spec, kind="DaemonSet", runtime_class=class_, minor=self.minor)
        rest, maximum = NOTHING, NOTHING
        for group in known[0].groups:
            chosen = {
                None if place.unknown else place.selected(shape).fits and not any(place.untolerated(shape.taints))
                for shape in group.shapes
            }
            if chosen == {False}:
                continue
            low = Fraction(0) if chosen != {True} else None
            if group.live:
                here = Fraction(len(group.nodes))
                nodes = most = Amount(here if low is None else low, here)
            else:
                least = group.minimum if group.minimum is not None else 0
                desired = group.desired if group.desired is not None else group.maximum
                nodes = Amount(Fraction(least) if low is None else low, None if desired is None else Fraction(desired))
                high = None if group.maximum is None else Fraction(group.maximum)
                most = Amount((high or nodes.low) if low is None else low, high)
            rest, maximum = rest + nodes, maximum + most
        total = None if maximum.high is None else int(maximum.high)
        surge = scaled(stated, total) if rolls else 0
        return Counts(rest, maximum, UNKNOWN if surge is None else exactly(surge), why)

    def _operators(self) -> Iterator[tuple[Object, Path]]:
        """Custom resources that make pods of which nothing else among the inputs tells."""
        seen: set[int] = set()
        found: list[tuple[Object, Path]] = list(unknown_workloads(self.inventory))
        found += [
            (workload.obj, workload.template.path if workload.template is not None else ("spec",))
            for workload in workloads(self.inventory)
            if workload.obj.ref.group not in BUILT_IN_GROUPS
        ]
        for obj, path in found:
            if id(obj) in seen or self._owned.is_owner(obj):
                continue
            seen.add(id(obj))
            if (obj.ref.group, obj.ref.kind) == _ROLLOUT and workload_behind(self.inventory, obj) is not None:
                continue
            yield obj, path or ("spec",)


_STORAGE: Path = ("spec", "resources", "requests", "storage")


def demand(inventory: Inventory, minor: int) -> Demand:
    """What the namespaces of an inventory need on Kubernetes 1.``minor``."""
    known: dict[int, Demand] = inventory.facts.setdefault(Demand, {})
    if minor not in known:
        known[minor] = Demand(inventory, minor)
    return known[minor]


def _by_namespace(quotas: Iterable[Quota]) -> Mapping[str, list[Quota]]:
    found: dict[str, list[Quota]] = defaultdict(list)
    for one in quotas:
        found[one.namespace].append(one)
    return found


def _is_applied(obj: Object) -> bool:
    """Whether an object is one that a cluster stores: some kinds are read by tools alone."""
    return not obj.ref.group.endswith(("kustomize.config.k8s.io", "kubeassay.dev"))


def _exactly(usage: Mapping[str, Fraction]) -> dict[str, Amount]:
    return {name: exactly(max(value, Fraction(0))) for name, value in usage.items()}


def _below_nothing(pod: PodResources) -> bool:
    lists = [one for container in pod.containers for one in (container.requests, container.limits)]
    lists += [pod.level.requests, pod.level.limits] if pod.level is not None else []
    return any(value < 0 for one in (*lists, pod.overhead) for value in one.values())


def _joined(usages: Sequence[Mapping[str, Fraction]]) -> dict[str, Amount]:
    """What is one of several usages."""
    found: dict[str, Amount] = {}
    for name in sorted({name for usage in usages for name in usage}):
        # What is refused for being below 0 leaves no more to others.
        values = [max(usage.get(name, Fraction(0)), Fraction(0)) for usage in usages]
        found[name] = Amount(min(values), max(values))
    return found


#: Ways in which LimitRanges may be applied that are looked into.
_MOST_ORDERS = 32


def _orders(ranges: Sequence[LimitRange]) -> tuple[Defaults, ...]:
    """What LimitRanges give containers, in each order in which they may be applied, as far as that matters: the first
    to state a default wins, and which comes first is not defined (LimitRanger lists them from an index). Of very many
    ways those that give least and most of a resource are enough."""
    defaults = [one.defaults for one in ranges]
    values: dict[tuple[str, str], dict[Fraction, int]] = defaultdict(dict)
    merged_requests: dict[str, Fraction] = {}
    merged_limits: dict[str, Fraction] = {}
    for number, one in enumerate(defaults):
        for of, resources, merged in (
            ("requests", one.requests, merged_requests),
            ("limits", one.limits, merged_limits),
        ):
            for name, value in resources.items():
                merged.setdefault(name, value)
                values[of, name].setdefault(value, number)
    first: dict[int, None] = {}
    for found in values.values():
        if len(found) > 1:
            first.update({found[min(found)]: None, found[max(found)]: None})
    if len(defaults) <= _MOST_ORDERS and first:
        first = dict.fromkeys(range(len(defaults)))
    if not first:
        return (Defaults(merged_requests, merged_limits),)
    return tuple(
        Defaults({**merged_requests, **defaults[number].requests}, {**merged_limits, **defaults[number].limits})
        for number in list(first)[:_MOST_ORDERS]
    )


def _default_priority_class(inventory: Inventory) -> str:
    """The PriorityClass of pods that name none (plugin/pkg/admission/priority: of several, the one of least value)."""
    found = [
        (value if isinstance(value := obj.value.get("value"), int) else 0, obj.ref.name)
        for obj in inventory.of_kind("PriorityClass", "scheduling.k8s.io")
        if obj.value.get("globalDefault") is True
    ]
    return min(found)[1] if found else ""


def _guess(kind: str) -> str:
    """The resource of a kind that no definition among the inputs tells (meta.UnsafeGuessKindToResource)."""
    name = kind.lower()
    if name.endswith("y"):
        return f"{name[:-1]}ies"
    return f"{name}es" if name.endswith("s") else f"{name}s"


# How many


def _of_job(obj: Object) -> Counts:
    spec = mapping(obj.value.get("spec"))
    cron = obj.ref.kind == "CronJob"
    job = mapping(mapping(spec.get("jobTemplate")).get("spec")) if cron else spec
    parallelism = 1 if job.get("parallelism") is None else whole(job.get("parallelism"))
    completions = whole(job.get("completions"))
    if parallelism is None:
        return Counts(UNKNOWN, UNKNOWN, NOTHING, "its parallelism is no number")
    # Without completions of its own a Job with a parallelism has as many pods at a time as that.
    pods = max(parallelism if completions is None else min(parallelism, completions), 0)
    if not cron:
        conditions = (mapping(condition) for condition in items(obj.get("status", "conditions")))
        if any(one.get("type") in ("Complete", "Failed") and one.get("status") == "True" for one in conditions):
            return Counts()
        if spec.get("suspend") is True:
            return Counts(NOTHING, Amount(Fraction(0), Fraction(pods)), NOTHING, "it is suspended")
        return Counts(exactly(pods), exactly(pods))
    if spec.get("suspend") is True:
        return Counts()
    if string(spec.get("concurrencyPolicy")) in ("Forbid", "Replace"):
        return Counts(NOTHING, exactly(pods))
    return Counts(NOTHING, Amount(Fraction(pods), None), NOTHING, "its runs may overlap (concurrencyPolicy Allow)")


def _surge(obj: Object, spec: Mapping[str, Any], replicas: int | None) -> Amount:
    """How many pods a rollout adds to so many replicas."""
    strategy = mapping(spec.get("strategy"))
    if (obj.ref.group, obj.ref.kind) == _ROLLOUT:
        if isinstance(strategy.get("blueGreen"), dict):
            preview = whole(mapping(strategy["blueGreen"]).get("previewReplicaCount"))
            number = replicas if preview is None else preview
            return UNKNOWN if number is None else exactly(max(number, 0))
        stated = mapping(strategy.get("canary")).get("maxSurge")
    else:
        if strategy.get("type") == "Recreate":
            return NOTHING
        stated = mapping(strategy.get("rollingUpdate")).get("maxSurge")
    number = scaled("25%" if stated is None else stated, replicas)
    return UNKNOWN if number is None else exactly(number)


_PERCENT = re.compile(r"([0-9]{1,9})%\Z")


def scaled(value: Any, total: int | None) -> int | None:
    """A number, or a share in percent of a total, rounded up (intstr.GetScaledValueFromIntOrPercent); None for what is
    neither, or where the total is not known."""
    number = whole(value)
    if number is not None:
        return max(number, 0)
    match = _PERCENT.match(value) if isinstance(value, str) else None
    if match is None or total is None:
        return None
    return ceil(Fraction(int(match[1]) * total, 100))


def _resized_spec(
    spec: Mapping[str, Any], scaler: VerticalAutoscaler, *, most: bool
) -> tuple[dict[str, Any], set[str]]:
    """A pod spec with the least, or the most, that an autoscaler may set, and the resources that it bounds nowhere."""
    unbounded: set[str] = set()
    containers: list[Any] = []
    for stated in items(spec.get("containers")):
        stated = mapping(stated)
        name = string(stated.get("name"))
        policy = scaler.policy(name)
        resources = mapping(stated.get("resources"))
        limits = resource_list(resources.get("limits"))
        requests = {**limits, **resource_list(resources.get("requests"))}
        before = dict(requests)
        for resource in ("cpu", "memory"):
            if not scaler.controls(name, resource):
                continue
            bounds: Resources = {} if policy is None else policy.maximum if most else policy.minimum
            request, limit = before.get(resource), limits.get(resource)
            if most and resource not in bounds:
                unbounded.add(resource)
                continue
            bound = bounds.get(resource, Fraction(0))
            # What is applied may be outside of the bounds until the autoscaler acts.
            bound = max(bound, request or bound) if most else min(bound, bound if request is None else request)
            requests[resource] = bound
            if policy is not None and policy.requests_only:
                continue
            scaled_limit = limit_at(request, limit, bound)
            if scaled_limit is not None:
                limits[resource] = scaled_limit
        quantities = {
            "requests": {key: _quantity(value) for key, value in requests.items()},
            "limits": {key: _quantity(value) for key, value in limits.items()},
        }
        containers.append({**stated, "resources": quantities})
    return {**spec, "containers": containers}, unbounded


def _quantity(value: Fraction) -> str:
    return f"{ceil(value * 10**9)}n"


# Claims that are among the inputs already


class _Claims:
    """The claims that are among the inputs, which would otherwise count a second time: with what needs them."""

    def __init__(self, inventory: Inventory) -> None:
        self._ordinals: dict[tuple[str | None, str], set[int]] = defaultdict(set)
        self._names: set[tuple[str | None, str]] = set()
        for obj in inventory.of_kind("PersistentVolumeClaim", ""):
            self._names.add((obj.ref.namespace, obj.ref.name))
            name, dash, ordinal = obj.ref.name.rpartition("-")
            if dash and ordinal.isascii() and ordinal.isdecimal() and len(ordinal) < 10:
                self._ordinals[obj.ref.namespace, name].add(int(ordinal))

    def ordinals(self, obj: Object, name: str) -> set[int]:
        """The ordinals of a StatefulSet's claims of a name that are there already."""
        return self._ordinals.get((obj.ref.namespace, name), set())

    def of_pod(self, obj: Object, volume: str) -> int:
        """How many claims of a Pod's ephemeral volume are there already."""
        return int(obj.ref.kind == "Pod" and (obj.ref.namespace, f"{obj.ref.name}-{volume}") in self._names)


def _less(counts: Counts, present: int) -> Counts:
    return counts if not present else Counts(NOTHING, NOTHING, counts.surge, counts.why)


def _without(counts: Counts, present: set[int], start: int) -> Counts:
    def left(amount: Amount) -> Amount:
        def less(number: Fraction) -> Fraction:
            return number - sum(1 for ordinal in present if start <= ordinal < start + number)

        return Amount(less(amount.low), None if amount.high is None else less(amount.high))

    return Counts(left(counts.rest), left(counts.maximum), counts.surge, counts.why)


# Who made what


class _Ownership:
    """What was made by something among the inputs that counts for it."""

    def __init__(self, inventory: Inventory) -> None:
        self._objects: dict[tuple[str | None, str, str], Object] = {}
        for obj in inventory:
            self._objects.setdefault((obj.ref.namespace, obj.ref.kind, obj.ref.name), obj)
        self._owners: set[int] = set()
        for obj in inventory:
            if obj.ref.kind in ("Pod", "ReplicaSet", "Job", "StatefulSet", "Deployment", "DaemonSet"):
                for owner in self._chain(obj):
                    self._owners.add(id(owner))

    def speaks_for(self, obj: Object) -> bool:
        """Whether a workload that an object was made by counts for it."""
        return any((owner.ref.group, owner.ref.kind) in _MAKERS for owner in self._chain(obj))

    def is_owner(self, obj: Object) -> bool:
        """Whether a workload among the inputs was made by an object."""
        return id(obj) in self._owners

    def _chain(self, obj: Object) -> Iterator[Object]:
        seen = {id(obj)}
        owner = owner_among(self._objects, obj)
        while owner is not None and id(owner) not in seen:
            seen.add(id(owner))
            yield owner
            owner = owner_among(self._objects, owner)
