"""How a Cluster Autoscaler is set: its flags, and what tags of node groups say instead.

Sources: kubernetes/autoscaler, cluster-autoscaler/FAQ.md (What are the parameters to CA?) and
cloudprovider/aws/README.md (auto-discovery; tags k8s.io/cluster-autoscaler/node-template/autoscaling-options/…);
flags: Go's flag package and pflag (``--flag=value``, ``--flag value``; a flag that is said twice has its last value,
but those that make lists).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from kubeassay.analysis.platform.node_groups import NodeGroup
from kubeassay.analysis.reading import items, string
from kubeassay.analysis.workloads import Container
from kubeassay.model import Path

#: What the autoscaler does where a flag is not given (v1.25 to v1.34).
DEFAULTS: Mapping[str, str] = {
    "scale-down-delay-after-add": "10m",
    "scale-down-delay-after-delete": "",
    "scale-down-delay-after-failure": "3m",
    "scale-down-enabled": "true",
    "scale-down-gpu-utilization-threshold": "0.5",
    "scale-down-unneeded-time": "10m",
    "scale-down-unready-time": "20m",
    "scale-down-utilization-threshold": "0.5",
    "scan-interval": "10s",
}
_TAG = "k8s.io/cluster-autoscaler/node-template/autoscaling-options/"
_DURATION = re.compile(r"(?:[0-9]+(?:\.[0-9]*)?(?:ns|us|µs|ms|s|m|h))+\Z")
#: Without an exponent: one of nine digits would cost memory to write out.
_DECIMAL = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)\Z")
#: Longer texts are neither numbers nor durations that mean anything.
_LONGEST = 64
_PART = re.compile(r"([0-9]+(?:\.[0-9]*)?)(ns|us|µs|ms|s|m|h)")
_SECONDS: Mapping[str, Fraction] = {
    "ns": Fraction(1, 10**9),
    "us": Fraction(1, 10**6),
    "µs": Fraction(1, 10**6),
    "ms": Fraction(1, 1000),
    "s": Fraction(1),
    "m": Fraction(60),
    "h": Fraction(3600),
}


@dataclass(frozen=True, slots=True)
class Flag:
    """``path``: from the object's root to the argument that has the value."""

    name: str
    value: str
    path: Path


@dataclass(frozen=True, slots=True)
class NodeRange:
    """What ``--nodes=minimum:maximum:name`` says."""

    minimum: int
    maximum: int
    name: str
    path: Path


def flags(container: Container) -> tuple[Flag, ...]:
    """The flags of a container's command and arguments, in order. A flag without a value is "true"."""
    words = [
        (word if isinstance(word, str) else "", (*container.path, field, number))
        for field in ("command", "args")
        for number, word in enumerate(items(container.spec.get(field)))
    ]
    found: list[Flag] = []
    position = 0
    while position < len(words):
        word, path = words[position]
        position += 1
        if not re.match(r"--?[A-Za-z]", word):
            continue
        name, equals, value = word.lstrip("-").partition("=")
        # A flag that is on or off takes no word after it.
        if not equals and position < len(words) and not words[position][0].startswith(("-", "true", "false")):
            value, path = words[position]
            position += 1
        elif not equals:
            value = "true"
        found.append(Flag(name, value, path))
    return tuple(found)


def is_readable(container: Container) -> bool:
    """Whether the flags are words of the command, and not text that a shell or a template makes them of."""
    words = [string(word) for field in ("command", "args") for word in items(container.spec.get(field))]
    return bool(words) and words[0].rpartition("/")[2] not in ("sh", "bash", "ash") and "{{" not in "".join(words)


def last(found: tuple[Flag, ...], name: str) -> Flag | None:
    """The flag that counts of those with one name."""
    return next((flag for flag in reversed(found) if flag.name == name), None)


def node_ranges(found: tuple[Flag, ...]) -> tuple[NodeRange, ...]:
    """The node groups that are named one by one."""
    ranges: list[NodeRange] = []
    for flag in found:
        match = re.match(r"([0-9]{1,9}):([0-9]{1,9}):(.+)\Z", flag.value) if flag.name == "nodes" else None
        if match:
            ranges.append(NodeRange(int(match[1]), int(match[2]), match[3], flag.path))
    return tuple(ranges)


def discovery_tags(found: tuple[Flag, ...]) -> tuple[Mapping[str, str | None], ...]:
    """The tags of each ``--node-group-auto-discovery=asg:tag=key,key=value``; None: any value."""
    asked: list[Mapping[str, str | None]] = []
    for flag in found:
        kind, _, tags = flag.value.partition(":tag=")
        if flag.name == "node-group-auto-discovery" and kind == "asg" and tags:
            pairs = (tag.partition("=") for tag in tags.split(","))
            asked.append({key: value if equals else None for key, equals, value in pairs})
    return tuple(asked)


def is_discovered(group: NodeGroup, asked: Mapping[str, str | None]) -> bool | None:
    """Whether auto-discovery by tags finds a group; None where that depends on tags that are not stated. EKS gives
    managed groups the two usual tags by itself (Amazon EKS, Managed node groups)."""
    tags = dict(group.tags)
    if group.managed:
        tags.setdefault("k8s.io/cluster-autoscaler/enabled", "true")
        tags.setdefault(f"k8s.io/cluster-autoscaler/{group.cluster}", "owned")
    for key, value in asked.items():
        if key not in tags:
            return None if group.live or not group.managed else False
        if value is not None and tags[key] != value:
            return False
    return True


def is_of(name: str, group: str) -> bool:
    """Whether the name of an Auto Scaling group is that of a node group of a name: EKS and eksctl put it between others
    (``eks-NAME-UUID``, ``eksctl-CLUSTER-nodegroup-NAME-NodeGroup-…``)."""
    return bool(group) and re.search(rf"(?:\A|-){re.escape(group)}(?:-|\Z)", name) is not None


def group_option(group: NodeGroup, flag: str) -> tuple[str, Path] | None:
    """What a tag of a node group says instead of a flag, and where; None where there is none."""
    key = _TAG + flag.replace("-", "")
    value = group.tags.get(key)
    return None if value is None else (value, (*group.place("tags"), key))


def comparable(value: Any) -> Any:
    """A flag's value by its meaning: a number, a duration in seconds, or the text itself."""
    text = str(value).strip()
    if len(text) > _LONGEST:
        return text
    if _DURATION.match(text):
        return ("seconds", sum(Fraction(number.rstrip(".")) * _SECONDS[unit] for number, unit in _PART.findall(text)))
    return Fraction(text) if _DECIMAL.match(text) else text
