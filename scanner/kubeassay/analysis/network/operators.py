"""Pods of custom resources whose operators are known here: no template stands in these objects.

Source: prometheus-operator (github.com/prometheus-operator/prometheus-operator). Labels: makeSelectorLabels in
pkg/{prometheus/server,prometheus/agent,alertmanager,thanos}/operator.go, over podMetadata.labels, over the version.
Ports: pkg/prometheus/server/statefulset.go @cec7972, pkg/prometheus/common.go @d306259 (MakeContainerPorts),
pkg/alertmanager/statefulset.go @00cbd49, pkg/thanos/statefulset.go @01b1a0e, pkg/operator/config_reloader.go @ab87afc.

Labels that the operator itself is told to add to everything (its flag ``--labels``) stand in no such object, and are
not known here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from kubeassay.analysis.network.endpoints import ContainerPort
from kubeassay.analysis.reading import mapping, string
from kubeassay.analysis.selectors import labels_of
from kubeassay.model import Object, Path

MONITORING = "monitoring.coreos.com"


@dataclass(frozen=True, slots=True)
class OperatorPods:
    """The pods that an operator makes of an object."""

    labels: Mapping[str, str]
    ports: tuple[ContainerPort, ...]
    host_network: bool
    service_account: str


def known_operator_pods(obj: Object) -> OperatorPods | None:
    """The pods that an operator makes of an object, without the containers that the object adds to them; None for the
    kinds that are not known here."""
    if obj.ref.group != MONITORING or obj.ref.kind not in _NAME_LABELS:
        return None
    spec = mapping(obj.value.get("spec"))
    return OperatorPods(
        labels=_labels(obj.ref.kind, obj.ref.name, spec),
        ports=tuple(_ports(obj.ref.kind, spec)),
        host_network=spec.get("hostNetwork") is True,
        service_account=string(spec.get("serviceAccountName")) or "default",
    )


def operator_replicas(obj: Object) -> tuple[int, int] | None:
    """How many StatefulSets an operator makes of an object, and how many pods each has; None where that is not known.

    Of a Prometheus one a shard, at least one (pkg/prometheus/statefulset.go, shardsNumber
    and ReplicasNumberPtr). A number below 0 is the default there, and 0 elsewhere.
    """
    if obj.ref.group != MONITORING or obj.ref.kind not in _NAME_LABELS or obj.get("spec", "mode") == "DaemonSet":
        return None
    numbers: list[int] = []
    for field in ("shards", "replicas"):
        stated = obj.get("spec", field)
        if stated is not None and (not isinstance(stated, int) or isinstance(stated, bool)):
            return None
        numbers.append(1 if stated is None else stated)
    shards, replicas = numbers
    if obj.ref.kind.startswith("Prometheus"):
        return max(shards, 1), 1 if replicas < 0 else replicas
    return 1, max(replicas, 0)


#: Kind → (value of app.kubernetes.io/name, labels that have the object's name).
_NAME_LABELS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "Prometheus": ("prometheus", ("operator.prometheus.io/name", "prometheus")),
    "PrometheusAgent": ("prometheus-agent", ("operator.prometheus.io/name",)),
    "Alertmanager": ("alertmanager", ("alertmanager",)),
    "ThanosRuler": ("thanos-ruler", ("thanos-ruler",)),
}


def _labels(kind: str, name: str, spec: Mapping[str, object]) -> Mapping[str, str]:
    labels: dict[str, str] = {}
    version = string(spec.get("version"))
    # Without a version in the object it is the operator's default, which its own version decides.
    if version and kind != "ThanosRuler":
        labels["app.kubernetes.io/version"] = version.removeprefix("v")
    labels.update(labels_of({"metadata": spec.get("podMetadata")}))
    application, named = _NAME_LABELS[kind]
    labels["app.kubernetes.io/name"] = application
    labels["app.kubernetes.io/managed-by"] = "prometheus-operator"
    for label in ("app.kubernetes.io/instance", *named):
        labels[label] = name
    # One StatefulSet a shard, each with its number: with several no one value holds for all pods, so none is stated.
    # A DaemonSet (of an agent) has no shards.
    shards = spec.get("shards")
    several = isinstance(shards, int) and shards > 1
    if kind.startswith("Prometheus") and not several and spec.get("mode") != "DaemonSet":
        labels["operator.prometheus.io/shard"] = "0"
    return labels


def _ports(kind: str, spec: Mapping[str, object]) -> Iterator[ContainerPort]:
    """The ports that serve others. What listens on the loopback address alone is left out."""
    web: Path = ("spec", "portName") if string(spec.get("portName")) else ("spec",)
    name = string(spec.get("portName")) or "web"
    number = {"Alertmanager": 9093, "ThanosRuler": 10902}.get(kind, 9090)
    if spec.get("listenLocal") is not True:
        yield ContainerPort(name, "TCP", number, web)
        yield ContainerPort("reloader-web", "TCP", 8080, ("spec",))
    if kind == "Alertmanager":
        yield ContainerPort("mesh-tcp", "TCP", 9094, ("spec",))
        yield ContainerPort("mesh-udp", "UDP", 9094, ("spec",))
    if kind == "ThanosRuler":
        yield ContainerPort("grpc", "TCP", 10901, ("spec",))
    if kind == "Prometheus" and isinstance(spec.get("thanos"), dict):
        thanos = mapping(spec["thanos"])
        for port, local, sidecar_number in (("http", "httpListenLocal", 10902), ("grpc", "grpcListenLocal", 10901)):
            if thanos.get("listenLocal") is not True and thanos.get(local) is not True:
                yield ContainerPort(port, "TCP", sidecar_number, ("spec", "thanos"))
