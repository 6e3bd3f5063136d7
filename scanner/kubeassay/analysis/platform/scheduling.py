"""Whether pods fit nodes, as the scheduler decides.

Sources: kubernetes v1.37.1, pkg/scheduler/framework/plugins (nodeaffinity, tainttoleration, noderesources,
nodename), pkg/controller/daemon/util/daemonset_util.go (AddOrUpdateDaemonPodTolerations);
k8s.io/component-helpers v0.37.1, scheduling/corev1/nodeaffinity/nodeaffinity.go (a term without expressions and fields
matches nothing, one that cannot be parsed neither; terms are alternatives); k8s.io/api v0.37.1, core/v1/toleration.go;
kubernetes v1.37.1, plugin of admission runtimeclass and pkg/util/tolerations (a RuntimeClass adds its node selector and
its tolerations).

What is decided elsewhere is left out: what other pods on a node take, topology, volumes' zones, admission plug-ins that
are off by default, and tolerations by comparison (Lt, Gt), which are off up to 1.37 and so tolerate nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

from kubeassay.analysis.platform.node_groups import NodeShape, Taint
from kubeassay.analysis.quantity import shown
from kubeassay.analysis.quota.pod_resources import Defaults, Resources, pod_resources, resource_list
from kubeassay.analysis.reading import items, mapping, string
from kubeassay.analysis.selectors import label_selector
from kubeassay.model import NEWEST_KNOWN, Inventory, Object, Path

#: Effects that keep a pod off a node; PreferNoSchedule only ranks nodes.
BLOCKING_EFFECTS = ("NoSchedule", "NoExecute")
_METADATA_NAME = "metadata.name"
_INTEGER = re.compile(r"[+-]?[0-9]+\Z")

_EPHEMERAL = "ephemeral-storage"

#: Of what instance types have, the share that pods can count on: the kernel, the kubelet and the system take a part
#: that depends on the image, its settings and the number of pods. A request between the share and all is not judged.
_SURE = {"cpu": Fraction(9, 10), "memory": Fraction(3, 4), _EPHEMERAL: Fraction(3, 4)}

Cause = Literal["selector", "taint", "resources"]


@dataclass(frozen=True, slots=True)
class Requirement:
    """One condition on one label, or on one field (``is_field``). ``path``: from the pod spec to what states it."""

    key: str
    operator: str
    values: tuple[str, ...]
    path: Path
    is_field: bool = False

    def holds(self, value: str | None) -> bool:
        """Whether a label of that value (None: no such label) fulfils it."""
        if self.operator == "In":
            # A field that a node lacks reads as the empty text.
            return (value or "" if self.is_field else value) in self.values
        if self.operator == "NotIn":
            return (value or "" if self.is_field else value) not in self.values
        if self.operator == "Exists":
            return value is not None
        if self.operator == "DoesNotExist":
            return value is None
        found, bound = _integer(value), _integer(self.values[0])
        if found is None or bound is None:
            return False
        return found > bound if self.operator == "Gt" else found < bound


@dataclass(frozen=True, slots=True)
class Toleration:
    """``path``: from the pod spec."""

    key: str
    operator: str
    value: str
    effect: str
    path: Path

    def tolerates(self, taint: Taint) -> bool:
        if self.effect and self.effect != taint.effect:
            return False
        if self.key and self.key != taint.key:
            return False
        if self.operator in ("", "Equal"):
            return self.value == taint.value
        return self.operator == "Exists"

    @property
    def everything(self) -> bool:
        """Whether it tolerates taints of any key."""
        return not self.key and self.operator == "Exists"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a pod fits; None where that depends on what is not known. ``cause``: the first thing against it, in the
    scheduler's order; ``path`` (from the pod spec) and ``words`` say what it is. ``resource``: of which there is not
    enough."""

    fits: bool | None
    cause: Cause | None = None
    path: Path = ()
    words: str = ""
    resource: str = ""


_FITS = Verdict(True)
_NOT_TOLD = "whether it carries the labels that are selected"


@dataclass(frozen=True, slots=True)
class Placement:
    """What a pod spec says of the nodes that it may run on.

    ``selector``: node selector, all of it demanded. ``terms``: alternatives, each with all its requirements; None where
    none are stated. ``node_name``: set where the pod passes the scheduler by. ``unknown``: why the scheduler cannot be
    followed (empty: it can).
    """

    selector: tuple[Requirement, ...]
    terms: tuple[tuple[Requirement, ...], ...] | None
    tolerations: tuple[Toleration, ...]
    requests: Resources
    node_name: str
    unknown: str = ""

    @property
    def selects(self) -> bool:
        """Whether it demands anything of the nodes."""
        return bool(self.selector) or self.terms is not None

    @property
    def key(self) -> tuple[Any, ...]:
        """Equal for pods that fit the same nodes."""
        return (
            self.selector,
            self.terms,
            self.tolerations,
            tuple(sorted(self.requests.items())),
            self.node_name,
            self.unknown,
        )

    def on(self, shape: NodeShape) -> Verdict:
        """Whether the pod fits an empty node of a shape."""
        selected = self.selected(shape)
        if selected.fits is False:
            return selected
        taint = next(self.untolerated(shape.taints), None)
        if taint is not None:
            return Verdict(False, "taint", ("tolerations",), f"taint {taint} is not tolerated")
        room = self._room(shape)
        return room if room.fits is False or selected.fits is True else selected

    def untolerated(self, taints: Iterable[Taint]) -> Iterator[Taint]:
        """The taints that keep the pod off."""
        for taint in taints:
            if taint.effect in BLOCKING_EFFECTS and not any(own.tolerates(taint) for own in self.tolerations):
                yield taint

    def selected(self, shape: NodeShape) -> Verdict:
        """Whether the pod's node selector and required node affinity take nodes of a shape."""
        for requirement in self.selector:
            if _all_hold((requirement,), shape) is False:
                return Verdict(False, "selector", requirement.path, _not_carried(requirement, shape))
        if self.terms is None:
            answer = _all_hold(self.selector, shape)
            return Verdict(answer, "selector", ("nodeSelector",), "" if answer else _NOT_TOLD)
        path: Path = ("affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution")
        answers = [_all_hold((*self.selector, *term), shape) for term in self.terms]
        if any(answers):
            return _FITS
        if None in answers:
            return Verdict(None, "selector", path, _NOT_TOLD)
        words = "no term of its node affinity matches"
        if len(self.terms) == 1:
            wrong = next((one for one in self.terms[0] if _all_hold((one,), shape) is False), None)
            if wrong is not None:
                path, words = wrong.path, _not_carried(wrong, shape)
        return Verdict(False, "selector", path, words)

    def _room(self, shape: NodeShape) -> Verdict:
        # Disks of the instance itself may come to the volume that is stated.
        unknown = ""
        for name, amount in self.requests.items():
            if not amount:
                continue
            has = shape.resources.get(name)
            if has is None and not shape.exhaustive:
                unknown = unknown or name
            elif has is None or (amount > has and (shape.exhaustive or name != _EPHEMERAL)):
                words = f"requests {shown(name, amount)} of {name}, and a node has {shown(name, has or Fraction(0))}"
                return Verdict(False, "resources", (), words, name)
            elif not shape.exhaustive and amount > has * _SURE.get(name, 1):
                unknown = unknown or name
        return Verdict(None, "resources", (), f"whether it has room for the {unknown}") if unknown else _FITS


def runtime_class(inventory: Inventory, spec: Mapping[str, Any], file: str) -> Object | None:
    """The RuntimeClass that a decoded PodSpec of a file names; None where it names none that is among the inputs."""
    name = string(spec.get("runtimeClassName"))
    return inventory.nearest("node.k8s.io", "RuntimeClass", None, name, file) if name else None


def placement(
    spec: Mapping[str, Any],
    *,
    kind: str = "Pod",
    runtime_class: Object | None = None,
    minor: int = NEWEST_KNOWN.minor,
    defaults: Iterable[Defaults] = (),
) -> Placement:
    """What a decoded PodSpec says, with what a DaemonSet (``kind``), the pod's RuntimeClass and the LimitRanges of its
    namespace (``defaults``) add."""
    runtime = mapping(runtime_class.get("scheduling")) if runtime_class is not None else {}
    name = string(spec.get("runtimeClassName"))
    scheduler = string(spec.get("schedulerName"))
    unknown = ""
    if name and runtime_class is None:
        unknown = f"RuntimeClass {name} is not among the inputs, and may select nodes"
    if scheduler not in ("", "default-scheduler"):
        unknown = f"scheduler {scheduler} decides where it runs"
    overhead = resource_list(runtime_class.get("overhead", "podFixed")) if runtime_class is not None else None
    selector = tuple(_node_selector(spec.get("nodeSelector"), ("nodeSelector",)))
    if runtime:
        selector += tuple(_node_selector(runtime.get("nodeSelector"), ("runtimeClassName",)))
    tolerations = stated_tolerations(spec)
    if runtime:
        tolerations += tuple(_tolerations(runtime.get("tolerations"), ("runtimeClassName",)))
    if kind == "DaemonSet":
        tolerations += _daemon_tolerations(spec.get("hostNetwork") is True)
    return Placement(
        selector=selector,
        terms=_terms(spec),
        tolerations=tolerations,
        requests=pod_resources(spec, minor=minor, defaults=defaults, overhead=overhead).requests,
        node_name=string(spec.get("nodeName")),
        unknown=unknown,
    )


def joined(verdicts: Iterable[Verdict]) -> bool | None:
    """Whether a pod fits one of several: None where none surely takes it and not all surely refuse it."""
    answer: bool | None = False
    for verdict in verdicts:
        if verdict.fits is True:
            return True
        if verdict.fits is None:
            answer = None
    return answer


def _node_selector(value: Any, path: Path) -> Iterator[Requirement]:
    for key, wanted in mapping(value).items():
        wanted = "" if wanted is None else wanted
        if isinstance(wanted, str):
            yield Requirement(
                key, "In", (wanted,), (*path, key) if len(path) == 1 and path[0] != "runtimeClassName" else path
            )


def _terms(spec: Mapping[str, Any]) -> tuple[tuple[Requirement, ...], ...] | None:
    where: Path = ("affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution")
    value: Any = spec
    for step in where:
        value = mapping(value).get(str(step))
    if not isinstance(value, dict):
        return None
    terms: list[tuple[Requirement, ...]] = []
    for number, term in enumerate(items(value.get("nodeSelectorTerms"))):
        path = (*where, "nodeSelectorTerms", number)
        term = mapping(term)
        requirements = [
            *_requirements(term.get("matchExpressions"), (*path, "matchExpressions"), is_field=False),
            *_requirements(term.get("matchFields"), (*path, "matchFields"), is_field=True),
        ]
        # One that cannot be parsed, and one without any, match no node.
        if requirements and None not in requirements:
            terms.append(tuple(one for one in requirements if one is not None))
    return tuple(terms)


def _requirements(value: Any, path: Path, *, is_field: bool) -> Iterator[Requirement | None]:
    """The requirements of a list; None for one that cannot be parsed."""
    for number, entry in enumerate(items(value)):
        entry = mapping(entry)
        key, operator = string(entry.get("key")), string(entry.get("operator"))
        values = tuple(member if isinstance(member, str) else "" for member in items(entry.get("values")))
        if is_field:
            valid = operator in ("In", "NotIn") and len(values) == 1
        elif operator in ("Gt", "Lt"):
            asked = {"matchExpressions": [{"key": key, "operator": "In", "values": list(values)}]}
            valid = len(values) == 1 and _integer(values[0]) is not None and not label_selector(asked).invalid
        else:
            asked = {"matchExpressions": [{"key": key, "operator": operator, "values": list(values)}]}
            valid = not label_selector(asked).invalid
        yield Requirement(key, operator, values, (*path, number), is_field) if valid else None


def stated_tolerations(spec: Mapping[str, Any]) -> tuple[Toleration, ...]:
    """The tolerations that a decoded PodSpec states itself."""
    return tuple(_tolerations(spec.get("tolerations"), ("tolerations",)))


def _tolerations(value: Any, path: Path) -> Iterator[Toleration]:
    for number, entry in enumerate(items(value)):
        entry = mapping(entry)
        yield Toleration(
            string(entry.get("key")),
            string(entry.get("operator")),
            string(entry.get("value")),
            string(entry.get("effect")),
            (*path, number) if path[-1] == "tolerations" else path,
        )


def _daemon_tolerations(host_network: bool) -> tuple[Toleration, ...]:
    """What the DaemonSet controller adds to its pods."""
    added = [("not-ready", "NoExecute"), ("unreachable", "NoExecute")]
    added += [(state, "NoSchedule") for state in ("disk-pressure", "memory-pressure", "pid-pressure", "unschedulable")]
    if host_network:
        added.append(("network-unavailable", "NoSchedule"))
    return tuple(Toleration(f"node.kubernetes.io/{name}", "Exists", "", effect, ()) for name, effect in added)


def _all_hold(requirements: Iterable[Requirement], shape: NodeShape) -> bool | None:
    """Whether some node of a shape fulfils all requirements; None where that depends on what is not known."""
    by_key: dict[tuple[str, bool], list[Requirement]] = {}
    for requirement in requirements:
        by_key.setdefault((requirement.key, requirement.is_field), []).append(requirement)
    answer: bool | None = True
    for (key, is_field), conditions in by_key.items():
        candidates = _candidates(key, is_field, shape)
        if candidates is None:
            if _contradict(conditions):
                return False
            answer = None
        elif not any(all(one.holds(value) for one in conditions) for value in candidates):
            return False
    return answer


def _candidates(key: str, is_field: bool, shape: NodeShape) -> Iterable[str | None] | None:
    """The values that a label or field of some node of a shape has (None in it: there is none); None: not known."""
    if is_field:
        return (None,) if key != _METADATA_NAME else shape.names
    if key in shape.labels:
        return (shape.labels[key],)
    if key in shape.choices:
        return shape.choices[key]
    return None if shape.is_unknown(key) else (None,)


def _contradict(conditions: Iterable[Requirement]) -> bool:
    """Whether no value at all fulfils requirements on one label, as far as they name values."""
    conditions = list(conditions)
    named = next((one for one in conditions if one.operator == "In"), None)
    if named is not None:
        return not any(all(one.holds(value) for one in conditions) for value in named.values)
    operators = {one.operator for one in conditions}
    return "DoesNotExist" in operators and not operators.isdisjoint(("Exists", "Gt", "Lt"))


def _integer(value: str | None) -> int | None:
    """As strconv.ParseInt reads it: 64 bits."""
    if value is None or len(value) > 20 or not _INTEGER.match(value):
        return None
    number = int(value)
    return number if -(2**63) <= number < 2**63 else None


def _not_carried(requirement: Requirement, shape: NodeShape) -> str:
    candidates = _candidates(requirement.key, requirement.is_field, shape)
    values = sorted(value for value in candidates or () if value is not None)
    has = f"has {', '.join(values[:3])}" if values else "has no such label"
    wanted = ", ".join(requirement.values[:3])
    text = {"In": f"= {wanted}", "NotIn": f"not {wanted}", "Exists": "", "DoesNotExist": "absent"}.get(
        requirement.operator, f"{'>' if requirement.operator == 'Gt' else '<'} {wanted}"
    )
    return f"{requirement.key} {text}".rstrip() + f" is demanded, and it {has}"
