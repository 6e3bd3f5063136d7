"""Parameters of the EBS CSI driver: what it refuses, what it leaves without effect, how fast a volume is.

Read from aws-ebs-csi-driver: pkg/driver/controller.go (CreateVolume) for names and forms, pkg/cloud/cloud.go
(CreateDisk, capIOPS) for types and limits. Names are compared in small letters, values as they are. Limits are those
of EC2 since September 2025: drivers before that cap gp3 at 16000 IOPS, and io2 at 500 for each GiB.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import Literal

from kubeassay.analysis.reading import mapping
from kubeassay.analysis.storage.classes import Parameter, StorageClass, is_placeholder

#: What happens to a parameter: no volume is made, or the driver pays no heed.
Effect = Literal["refused", "ignored"]


@dataclass(frozen=True, slots=True)
class ParameterProblem:
    """A parameter that is refused or ignored. ``parameter`` None: one that is missing, under the name ``missing``."""

    effect: Effect
    parameter: Parameter | None
    message: str
    missing: str = ""


@dataclass(frozen=True, slots=True)
class VolumeType:
    """Provisioned IOPS of a volume type, and for each GiB of its size: 0 where there are none."""

    min_iops: int = 0
    max_iops: int = 0
    per_gib: int = 0


TYPES: Mapping[str, VolumeType] = {
    "gp2": VolumeType(),
    "gp3": VolumeType(3_000, 80_000, 500),
    "io1": VolumeType(100, 64_000, 50),
    "io2": VolumeType(100, 256_000, 1_000),
    "sbg1": VolumeType(),
    "sbp1": VolumeType(),
    "sc1": VolumeType(),
    "st1": VolumeType(),
    "standard": VolumeType(),
}
DEFAULT_TYPE = "gp3"
#: What every gp3 volume has, and gets for nothing: IOPS, and MiB/s.
GP3_IOPS, GP3_THROUGHPUT = 3_000, 125
_GP3_MAX_THROUGHPUT = 2_000
#: MiB/s may be at most a quarter of the IOPS.
_IOPS_PER_THROUGHPUT = 4

_KNOWN = frozenset(
    """
    type iopspergb allowautoiopspergbincrease iops throughput encrypted kmskeyid blockexpress blocksize inodesize
    bytesperinode numberofinodes ext4bigalloc ext4clustersize fstype
    """.split()  # noqa: SIM905 - words in lines can be read and sorted
)
#: What the translation of the in-tree provisioner takes out (csi-translation-lib, plugins/aws_ebs.go).
_IN_TREE_ONLY = frozenset({"zone", "zones"})
#: Case counts here.
_TAG_PREFIX = "tagSpecification"
_FLAGS = ("encrypted", "blockexpress", "ext4bigalloc", "allowautoiopspergbincrease")
_FORMATTING = ("blocksize", "inodesize", "bytesperinode", "numberofinodes", "ext4clustersize")
#: What the driver's ParseInt takes, to 32 bits.
_INTEGER = re.compile(r"[+-]?[0-9]{1,10}\Z")
_MAX_INT32 = 2**31 - 1


def _integer(value: str) -> int | None:
    if not _INTEGER.match(value):
        return None
    number = int(value)
    return number if -_MAX_INT32 - 1 <= number <= _MAX_INT32 else None


def volume_type(cls: StorageClass) -> str:
    """The type that volumes of a class get."""
    return cls.value("type") or DEFAULT_TYPE


def is_encrypted(cls: StorageClass) -> bool:
    """Whether the driver asks for encryption: ``encrypted`` is exactly "true", or a key is named (CreateDisk). Of two
    spellings of a parameter either may be the last that the driver reads: a mapping of Go has no order."""
    stated = [value for key, value in mapping(cls.obj.get("parameters")).items() if str(key).lower() == "encrypted"]
    key = cls.value("kmskeyid")
    return (bool(stated) and all(value == "true" for value in stated)) or (bool(key) and not is_placeholder(key))


@dataclass(frozen=True, slots=True)
class Performance:
    """What a class gives its volumes, whatever their size. ``per_gib``: IOPS for each GiB; 0: not by size."""

    type: str
    iops: int
    throughput: int
    per_gib: int


def performance(cls: StorageClass) -> Performance | None:
    """How fast volumes of a class are as far as the class decides it; None where a parameter is not understood."""
    kind = volume_type(cls)
    if kind not in TYPES:
        return None
    numbers: list[int] = []
    for name in ("iops", "throughput", "iopspergb"):
        number = _integer(cls.value(name)) if name in cls.parameters else 0
        if number is None:
            return None
        numbers.append(number)
    iops, throughput, per_gib = numbers
    limits = TYPES[kind]
    if not limits.max_iops:
        iops = per_gib = 0
    if kind == "gp3":
        # The driver passes on what is above 0; else EC2 gives the baseline.
        iops = max(iops, GP3_IOPS) if not per_gib else 0
        throughput = max(throughput, GP3_THROUGHPUT)
    else:
        throughput = 0
    return Performance(kind, iops, throughput, per_gib)


def iops_of_size(cls: StorageClass, size: Fraction) -> tuple[int, int] | None:
    """The IOPS that a class asks for, and the most that a volume of ``size`` bytes can have; None where the class asks
    for none (capIOPS)."""
    kind = volume_type(cls)
    asked = _integer(cls.value("iops"))
    if kind not in TYPES or not TYPES[kind].max_iops or asked is None or asked <= 0 or "iopspergb" in cls.parameters:
        return None
    return asked, max(ceil(size / 2**30), 1) * TYPES[kind].per_gib


def baseline_parameters(cls: StorageClass) -> tuple[Parameter, ...]:
    """The parameters of a gp3 class that ask for the baseline, where none asks for more."""
    speed = performance(cls)
    if speed is None or speed != Performance("gp3", GP3_IOPS, GP3_THROUGHPUT, 0):
        return ()
    return tuple(cls.parameters[name] for name in ("iops", "throughput") if name in cls.parameters)


def problems(cls: StorageClass) -> Iterator[ParameterProblem]:
    """What is wrong with the parameters of a class that the EBS driver serves."""
    in_tree = cls.provisioner != cls.driver
    for name, parameter in cls.parameters.items():
        if name in _KNOWN or parameter.key.startswith(_TAG_PREFIX) or (in_tree and name in _IN_TREE_ONLY):
            continue
        yield ParameterProblem("refused", parameter, f"the EBS driver knows no parameter {parameter.key}")
    kind = volume_type(cls)
    limits = TYPES.get(kind)
    if limits is None and not is_placeholder(kind):
        yield ParameterProblem("refused", cls.parameters["type"], f"EBS has no volume type {kind}")
    for name in ("iops", "throughput", "iopspergb"):
        number = cls.parameters.get(name)
        if number is not None and not is_placeholder(number.value) and _integer(number.value) is None:
            yield ParameterProblem("refused", number, f"{number.key} is no whole number: {number.value[:40]}")
    for name in _FORMATTING:
        size = cls.parameters.get(name)
        if size is not None and not is_placeholder(size.value) and not size.value.isalnum():
            yield ParameterProblem("refused", size, f"{size.key} has other characters than letters and digits")
    if limits is not None:
        yield from _of_performance(cls, kind, limits)
    for name in _FLAGS:
        flag = cls.parameters.get(name)
        if flag is not None and flag.value not in ("true", "false") and not is_placeholder(flag.value):
            yield ParameterProblem("ignored", flag, f'the driver knows "true" alone for {flag.key}')
    if cls.value("blockexpress") == "true" and kind != "io2" and not is_placeholder(kind):
        yield ParameterProblem("refused", cls.parameters["blockexpress"], "Block Express is for volumes of type io2")
    if "ext4clustersize" in cls.parameters and cls.value("ext4bigalloc") != "true":
        yield ParameterProblem("refused", cls.parameters["ext4clustersize"], "ext4ClusterSize needs ext4BigAlloc")
    if "fstype" in cls.parameters and not in_tree:
        yield ParameterProblem(
            "ignored", cls.parameters["fstype"], "the driver takes the file system from csi.storage.k8s.io/fstype alone"
        )


def _of_performance(cls: StorageClass, kind: str, limits: VolumeType) -> Iterator[ParameterProblem]:
    iops, per_gib, throughput = (_integer(cls.value(name)) or 0 for name in ("iops", "iopspergb", "throughput"))
    if not limits.max_iops:
        for name in ("iops", "iopspergb"):
            if name in cls.parameters:
                parameter = cls.parameters[name]
                yield ParameterProblem("ignored", parameter, f"volumes of type {kind} have no {parameter.key} to set")
    elif iops > 0 and per_gib > 0:
        yield ParameterProblem("refused", cls.parameters["iops"], "iops and iopsPerGB exclude each other")
    elif iops > 0:
        stated = cls.parameters["iops"]
        if iops < limits.min_iops and cls.value("allowautoiopspergbincrease") != "true":
            yield ParameterProblem(
                "refused", stated, f"{kind} has at least {limits.min_iops} IOPS, {iops} are asked for"
            )
        if iops > limits.max_iops:
            yield ParameterProblem(
                "ignored", stated, f"{kind} has at most {limits.max_iops} IOPS, {iops} are asked for"
            )
    elif kind in ("io1", "io2") and per_gib <= 0 and not _unclear(cls, "iops", "iopspergb"):
        yield ParameterProblem("refused", None, f"{kind} needs iops or iopsPerGB", missing="iops")
    if "throughput" not in cls.parameters:
        return
    stated = cls.parameters["throughput"]
    if kind != "gp3":
        yield ParameterProblem("ignored", stated, f"volumes of type {kind} have no throughput to set")
    elif throughput > 0:
        least, most = GP3_THROUGHPUT, _GP3_MAX_THROUGHPUT
        if not least <= throughput <= most:
            message = f"gp3 has {least} to {most} MiB/s, {throughput} are asked for"
            yield ParameterProblem("refused", stated, message)
        elif per_gib <= 0 and throughput * _IOPS_PER_THROUGHPUT > max(iops, GP3_IOPS) and not _unclear(cls, "iops"):
            message = f"{throughput} MiB/s need {throughput * _IOPS_PER_THROUGHPUT} IOPS, the class gives"
            yield ParameterProblem("refused", stated, f"{message} {max(iops, GP3_IOPS)}")


def _unclear(cls: StorageClass, *names: str) -> bool:
    return any(is_placeholder(cls.value(name)) for name in names)
