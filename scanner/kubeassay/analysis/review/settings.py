"""What protects namespaces and workloads and is set otherwise in two inventories: the Pod Security Standard that is
enforced, the mTLS mode of ports, and who may call through the mesh."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

from kubeassay.analysis.mesh.mtls import mtls
from kubeassay.analysis.mesh.served import NOT_KNOWN, Served, served
from kubeassay.analysis.network.connectivity import connectivity
from kubeassay.analysis.network.endpoints import namespace_of
from kubeassay.analysis.reading import mapping
from kubeassay.analysis.review.causes import cause
from kubeassay.model import Inventory, Object, Path
from kubeassay.model.review import Cause, Direction, SettingChange, Side

_ENFORCE = "pod-security.kubernetes.io/enforce"
#: Weakest first. A namespace without a label enforces nothing, unless the cluster has a default.
_LEVELS = ("none", "privileged", "baseline", "restricted")
_ABSENT = "not among the inputs"
#: Weakest first.
_MODES = ("none", "DISABLE", "PERMISSIVE", "STRICT")


def setting_changes(before: Inventory, after: Inventory) -> tuple[SettingChange, ...]:
    found = [*_standards(before, after), *_mesh(before, after)]
    order = {"weaker": 0, "other": 1, "stronger": 2}
    return tuple(sorted(found, key=lambda one: (one.kind, order[one.direction], one.subjects, one.was, one.now)))


# --- Pod Security Standards ---


def _standards(before: Inventory, after: Inventory) -> Iterator[SettingChange]:
    old, new = _namespaces(before), _namespaces(after)
    used = ({namespace_of(obj) for obj in inventory if obj.ref.kind != "Namespace"} for inventory in (before, after))
    in_use_before, in_use_after = used
    for name in sorted({*old, *new}):
        if not (name in old or name in in_use_before) or not (name in new or name in in_use_after):
            # The whole namespace is new or gone.
            continue
        was, now = _standard(old.get(name)), _standard(new.get(name))
        if was != now:
            both: tuple[tuple[Side, Object | None], ...] = (("after", new.get(name)), ("before", old.get(name)))
            yield SettingChange(
                "pod-security",
                _direction(was[0], now[0], _LEVELS),
                (f"Namespace {name}",),
                _standard_text(was),
                _standard_text(now),
                tuple(_labelled(side, obj) for side, obj in both if obj is not None),
            )


def _namespaces(inventory: Inventory) -> Mapping[str, Object]:
    found: dict[str, Object] = {}
    for obj in inventory.of_kind("Namespace", ""):
        found.setdefault(obj.ref.name, obj)
    return found


def _standard(obj: Object | None) -> tuple[str, str]:
    """The level and the version that a namespace enforces. Pod Security Admission takes an unknown level for restricted
    (k8s.io/pod-security-admission v0.37.1, api/helpers.go)."""
    if obj is None:
        return _ABSENT, ""
    labels = mapping(mapping(obj.value.get("metadata")).get("labels"))
    level, version = labels.get(_ENFORCE), labels.get(f"{_ENFORCE}-version")
    if not isinstance(level, str):
        return "none", ""
    return (level if level in _LEVELS[1:] else "restricted"), version if isinstance(version, str) else "latest"


def _standard_text(standard: tuple[str, str]) -> str:
    level, version = standard
    return f"{level} ({version})" if version else level


def _labelled(side: Side, obj: Object) -> Cause:
    path: Path = ("metadata", "labels", _ENFORCE)
    return cause(side, "sets", str(obj.ref), obj, path)


def _direction(was: str, now: str, order: tuple[str, ...]) -> Direction:
    if was not in order or now not in order or was == now:
        return "other"
    return "weaker" if order.index(now) < order.index(was) else "stronger"


# --- mesh ---


def _mesh(before: Inventory, after: Inventory) -> Iterator[SettingChange]:
    if not (mtls(before).settings.present or mtls(after).settings.present):
        return
    old, new = _served(before), _served(after)
    modes: dict[tuple[str, str, Cause, Cause], list[str]] = defaultdict(list)
    callers: dict[tuple[tuple[str, ...], tuple[str, ...]], list[str]] = defaultdict(list)
    for key in sorted({*old, *new}):
        if key not in old or key not in new:
            continue
        was, now = old[key], new[key]
        words = f"{key[0]} port {key[1]}" if key[1] else key[0]
        if was.mode != now.mode:
            modes[was.mode, now.mode, _decided("after", now), _decided("before", was)].append(words)
        if was.callers != now.callers:
            callers[was.callers, now.callers].append(words)
    for (mode_before, mode_after, *causes), subjects in modes.items():
        direction = _direction(mode_before, mode_after, _MODES)
        yield SettingChange("mtls", direction, tuple(subjects), mode_before, mode_after, tuple(causes))
    for (some, others), subjects in callers.items():
        yield SettingChange("callers", "other", tuple(subjects), _listed(some), _listed(others))


def _served(inventory: Inventory) -> Mapping[tuple[str, int], Served]:
    """The ports of workloads, by the name of the workload and the number of the port."""
    found: dict[tuple[str, int], Served] = {}
    state = mtls(inventory)
    names = set(connectivity(inventory).names)
    for workload in state.workloads:
        if workload.name not in names:
            continue
        for row in served(inventory, state.of(workload)):
            found.setdefault((workload.name, row.port.number if row.port is not None else 0), row)
    return found


def _decided(side: Side, row: Served) -> Cause:
    words, place = row.why
    if place is None:
        return Cause(side, "sets", words)
    return cause(side, "sets", words, *place)


def _listed(callers: tuple[str, ...]) -> str:
    return "; ".join(callers) or NOT_KNOWN
