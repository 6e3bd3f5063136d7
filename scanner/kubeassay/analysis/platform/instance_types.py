"""What EC2 instances have: virtual CPUs and memory, as EC2 sells them.

Source: Amazon EC2 Instance Types (https://docs.aws.amazon.com/ec2/latest/instancetypes/): general purpose (gp.html),
compute optimized (co.html), memory optimized (mo.html). Only families whose sizes all have one amount of memory a
virtual CPU, and the burstable ones. What is not here is not known: whoever asks must not take it for nothing.

What a pod can request is less: the kernel, the kubelet and the system take a part, which depends on the image and its
settings.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

_GIB = 2**30


@dataclass(frozen=True, slots=True)
class Machine:
    """``cpu``: virtual CPUs. ``memory``: bytes."""

    cpu: Fraction
    memory: Fraction


_CPUS: Mapping[str, int] = {
    "medium": 1,
    "large": 2,
    "xlarge": 4,
    "2xlarge": 8,
    "4xlarge": 16,
    "8xlarge": 32,
    "9xlarge": 36,
    "12xlarge": 48,
    "16xlarge": 64,
    "18xlarge": 72,
    "24xlarge": 96,
    "32xlarge": 128,
    "48xlarge": 192,
}
_TO_24 = ("large", "xlarge", "2xlarge", "4xlarge", "8xlarge", "12xlarge", "16xlarge", "24xlarge")
_TO_32 = (*_TO_24, "32xlarge")
_TO_48 = (*_TO_32, "48xlarge")
_GRAVITON_2 = ("medium", "large", "xlarge", "2xlarge", "4xlarge", "8xlarge", "12xlarge", "16xlarge")
_GRAVITON_4 = (*_GRAVITON_2, "24xlarge", "48xlarge")
_INTEL_7 = ("large", "xlarge", "2xlarge", "4xlarge", "8xlarge", "12xlarge", "16xlarge", "24xlarge", "48xlarge")
_C5 = ("large", "xlarge", "2xlarge", "4xlarge", "9xlarge", "12xlarge", "18xlarge", "24xlarge")

#: Family → GiB of memory a virtual CPU, and its sizes.
_FAMILIES: Mapping[str, tuple[int, tuple[str, ...]]] = {
    **dict.fromkeys(("m5", "m5a", "m5ad", "m5d", "m5dn", "m5n"), (4, _TO_24)),
    **dict.fromkeys(("m6i", "m6id", "m6idn", "m6in"), (4, _TO_32)),
    "m6a": (4, _TO_48),
    **dict.fromkeys(("m6g", "m6gd", "m7g", "m7gd"), (4, _GRAVITON_2)),
    "m7i": (4, _INTEL_7),
    "m7a": (4, ("medium", *_TO_48)),
    "m8g": (4, _GRAVITON_4),
    **dict.fromkeys(("c5", "c5d"), (2, _C5)),
    **dict.fromkeys(("c5a", "c5ad"), (2, _TO_24)),
    **dict.fromkeys(("c6i", "c6id", "c6in"), (2, _TO_32)),
    "c6a": (2, _TO_48),
    **dict.fromkeys(("c6g", "c6gd", "c6gn", "c7g", "c7gd", "c7gn"), (2, _GRAVITON_2)),
    "c7i": (2, _INTEL_7),
    "c7a": (2, ("medium", *_TO_48)),
    "c8g": (2, _GRAVITON_4),
    **dict.fromkeys(("r5", "r5a", "r5ad", "r5b", "r5d", "r5dn", "r5n"), (8, _TO_24)),
    **dict.fromkeys(("r6i", "r6id", "r6idn", "r6in"), (8, _TO_32)),
    "r6a": (8, _TO_48),
    **dict.fromkeys(("r6g", "r6gd", "r7g", "r7gd"), (8, _GRAVITON_2)),
    "r7i": (8, _INTEL_7),
    "r7a": (8, ("medium", *_TO_48)),
    "r8g": (8, _GRAVITON_4),
}
#: Burstable sizes → virtual CPUs, and memory in GiB.
_BURSTABLE: Mapping[str, tuple[int, Fraction]] = {
    "nano": (2, Fraction(1, 2)),
    "micro": (2, Fraction(1)),
    "small": (2, Fraction(2)),
    "medium": (2, Fraction(4)),
    "large": (2, Fraction(8)),
    "xlarge": (4, Fraction(16)),
    "2xlarge": (8, Fraction(32)),
}

#: After the generation's number come letters that say what is special; g is Graviton (before it, in g5, graphics).
_FAMILY = re.compile(r"(?P<class>[a-z]+)[0-9]+(?P<special>[a-z]*)(-[a-z0-9]+)?\Z")


def machine(instance_type: str) -> Machine | None:
    """What an instance type has; None for one that is not known here."""
    family, _, size = instance_type.partition(".")
    if family in ("t3", "t3a", "t4g") and size in _BURSTABLE:
        cpu, memory = _BURSTABLE[size]
        return Machine(Fraction(cpu), memory * _GIB)
    ratio, sizes = _FAMILIES.get(family, (0, ()))
    if size not in sizes:
        return None
    return Machine(Fraction(_CPUS[size]), Fraction(_CPUS[size] * ratio * _GIB))


def architecture(instance_type: str) -> str | None:
    """``arm64`` or ``amd64``; None where the name does not tell. Source: Amazon EC2 instance type naming conventions
    (https://docs.aws.amazon.com/ec2/latest/instancetypes/instance-type-names.html)."""
    family, dot, _ = instance_type.partition(".")
    match = _FAMILY.match(family)
    if match is None or not dot:
        return None
    # Mac instances are of both kinds, and no node of Kubernetes.
    if match["class"] == "mac":
        return None
    return "arm64" if match["class"] == "a" or "g" in match["special"] else "amd64"
