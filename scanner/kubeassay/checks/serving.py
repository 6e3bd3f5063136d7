"""Pods behind Services: whether there are some, whether they say when they can serve, whether a rollout leaves any."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from kubeassay.analysis.autoscaling.disruption import read_bound
from kubeassay.analysis.autoscaling.horizontal import scaling
from kubeassay.analysis.network.services import Service, services
from kubeassay.analysis.network.workloads import workloads
from kubeassay.analysis.reading import items, mapping
from kubeassay.analysis.selectors import label_selector
from kubeassay.checks.check import ContainerSubject, Context, NotJudged, Passed, Said, Violation, check
from kubeassay.checks.selected_pods import Around, Empty
from kubeassay.model import Inventory, Path


@check("service-selects-nothing")
def service_selects_nothing(inventory: Inventory, context: Context) -> Iterator[Said]:
    facts = services(inventory)
    around: Around | None = None
    free: Mapping[str, set[int | str]] | None = None
    for obj, service in facts.by_object.items():
        if service.manual:
            continue
        if service.workloads:
            yield Passed(obj)
            continue
        around = around or Around(inventory)
        selector = label_selector({"matchLabels": obj.get("spec", "selector")})
        free = free if free is not None else _without_service(inventory)
        meant = partial(_serves_its_ports, service, free.get(service.namespace, set()))
        at: Path = ("spec", "selector")
        yield around.judge(Empty(obj, str(service), "leads nowhere", selector, at, plain=True, meant=meant))


def _without_service(inventory: Inventory) -> Mapping[str, set[int | str]]:
    """By namespace, the ports, as numbers and names, of the workloads that no Service leads to."""
    served = {id(workload) for service in services(inventory).by_object.values() for workload in service.workloads}
    found: dict[str, set[int | str]] = defaultdict(set)
    for workload in workloads(inventory):
        if id(workload) not in served:
            found[workload.namespace].update(port.number for port in workload.ports)
            found[workload.namespace].update(port.name for port in workload.ports if port.name)
    return found


def _serves_its_ports(service: Service, free: Container[int | str]) -> bool:
    return any(port.target in free for port in service.ports)


@check("service-port-unresolved")
def service_port_unresolved(inventory: Inventory, context: Context) -> Iterator[Said]:
    facts = services(inventory)
    broken = {(id(one.obj), one.path): one for one in facts.dangling if one.path[-1] == "targetPort"}
    for obj, service in facts.by_object.items():
        if not service.workloads:
            continue
        clean = True
        for port in service.ports:
            found = broken.get((id(obj), (*port.path, "targetPort")))
            if found is None:
                continue
            clean = False
            if found.certain:
                yield Violation(found.path, f"port {port.number} of {service} leads nowhere: {found.words}", obj=obj)
            else:
                detail = f"{service} may select pods that are not known"
                yield NotJudged("unsupported", detail, obj)
        if clean:
            yield Passed(obj)


@check("readiness-probe-missing")
def readiness_probe_missing(inventory: Inventory, context: Context) -> Iterator[Said]:
    """Of what a Service leads to. Any container with a probe, or a readiness gate, keeps traffic away until then."""
    leading: dict[int, Service] = {}
    for service in services(inventory).by_object.values():
        # Pods that must find each other before they are ready have such a Service.
        unready = service.obj.get("spec", "publishNotReadyAddresses") is True
        for workload in () if unready or not service.ports else service.workloads:
            if id(workload) in leading or workload.template is None or workload.obj.ref.kind in ("Job", "CronJob"):
                continue
            leading[id(workload)] = service
            template = workload.template
            running = [one for one in template.containers if one.type in ("container", "sidecar")]
            probes = [mapping(container.spec.get("readinessProbe")) for container in running]
            if items(template.spec.get("readinessGates")) or any(probes):
                yield Passed(workload.obj)
            elif running:
                words = f"{workload} gets traffic from {service} as soon as it starts: it has no readiness probe"
                related = ((f"{service} leads to it", service.obj, ("spec", "selector")),)
                path = (*running[0].path, "readinessProbe")
                yield Violation(path, words, container=running[0].name, obj=workload.obj, related=related)


@check("liveness-probe-equals-readiness")
def liveness_probe_equals_readiness(subject: ContainerSubject, context: Context) -> Iterable[Violation]:
    spec = subject.container.spec
    liveness, readiness = mapping(spec.get("livenessProbe")), mapping(spec.get("readinessProbe"))
    if _handler(liveness) is None or _handler(liveness) != _handler(readiness):
        return ()
    # How long each waits until it acts; one that waits longer is a second chance.
    if _patience(liveness) > _patience(readiness):
        return ()
    path: Path = (*subject.container.path, "livenessProbe")
    words = f"container {subject.container.name} is restarted by the probe that also takes it out of service"
    return (Violation(path, words, container=subject.container.name),)


def _handler(probe: Mapping[str, Any]) -> Any:
    http = probe.get("httpGet")
    if isinstance(http, dict):
        return ("httpGet", {"path": "/", "scheme": "HTTP", **http})
    return next(((name, probe[name]) for name in ("tcpSocket", "grpc", "exec") if probe.get(name) is not None), None)


def _patience(probe: Mapping[str, Any]) -> tuple[int, int]:
    """Seconds until a probe that fails from the start acts, and until one that began to fail does
    (kubernetes pkg/apis/core/v1/defaults.go, SetDefaults_Probe)."""

    def number(field: str, default: int) -> int:
        value = probe.get(field)
        return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else default

    failing = number("failureThreshold", 3) * number("periodSeconds", 10)
    return failing, number("initialDelaySeconds", 0)


@check("rollout-takes-all-down")
def rollout_takes_all_down(inventory: Inventory, context: Context) -> Iterator[Said]:
    facts = scaling(inventory)
    for obj in inventory.of_kind("Deployment", "apps"):
        replicas = facts.replicas(obj)
        if replicas is None:
            yield NotJudged("unknown-replicas", f"how many pods {obj.ref} has is not known", obj)
            continue
        if replicas.minimum < 2:
            continue
        strategy = mapping(obj.get("spec", "strategy"))
        stated = mapping(strategy.get("rollingUpdate")).get("maxUnavailable")
        bound = read_bound(stated)
        number = f"all {replicas.minimum} pods"
        if strategy.get("type") == "Recreate":
            words = f"a rollout of {obj.ref} stops {number} before it starts one: its strategy is Recreate"
            yield Violation(("spec", "strategy", "type"), words, obj=obj)
        elif bound is not None and bound.down(replicas.minimum) >= replicas.minimum:
            words = f"a rollout of {obj.ref} may stop {number} at once: maxUnavailable is {bound}"
            yield Violation(("spec", "strategy", "rollingUpdate", "maxUnavailable"), words, obj=obj)
        elif bound is None and stated is not None:
            words = f"maxUnavailable of {obj.ref} is neither a number of pods nor a percentage of them"
            yield NotJudged("invalid-object", words, obj)
        else:
            yield Passed(obj)
