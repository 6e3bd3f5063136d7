"""Parameters of the EFS CSI driver (aws-efs-csi-driver, pkg/driver/controller.go, CreateVolume; docs/README.md).

Names and values are compared with their case. What the driver does not know it leaves alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from kubeassay.analysis.reading import quoted
from kubeassay.analysis.storage.classes import StorageClass, is_placeholder
from kubeassay.analysis.storage.ebs import ParameterProblem

_KNOWN = frozenset(
    """
    provisioningMode fileSystemId directoryPerms uid gid gidRangeStart gidRangeEnd basePath subPathPattern
    ensureUniqueDirectory reuseAccessPoint az
    """.split()  # noqa: SIM905 - words in lines can be read and sorted
)
ACCESS_POINTS = "efs-ap"
#: EFS API, CreateAccessPoint, FileSystemId: the driver splits volume handles at colons, so an ARN does not do.
_FILE_SYSTEM = re.compile(r"fs-[0-9a-f]{8,40}\Z")
#: EFS API, CreationInfo, Permissions.
_PERMISSIONS = re.compile(r"[0-7]{3,4}\Z")
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}\Z")


def problems(cls: StorageClass) -> Iterator[ParameterProblem]:
    """What is wrong with the parameters of a class that the EFS driver serves."""
    mode = cls.parameters.get("provisioningMode")
    if mode is None:
        message = f"the EFS driver needs provisioningMode: {ACCESS_POINTS}"
        yield ParameterProblem("refused", None, message, missing="provisioningMode")
    elif mode.value != ACCESS_POINTS and not is_placeholder(mode.value):
        message = f"the EFS driver knows no provisioning mode {quoted(mode.value[:40])}, {ACCESS_POINTS} alone"
        yield ParameterProblem("refused", mode, message)
    system = cls.parameters.get("fileSystemId")
    if system is None:
        yield ParameterProblem("refused", None, "the EFS driver needs a fileSystemId", missing="fileSystemId")
    elif not _FILE_SYSTEM.match(system.value) and not is_placeholder(system.value):
        message = f"{quoted(system.value[:60])} is no id of an EFS file system: fs- and 8 to 40 hexadecimal digits"
        yield ParameterProblem("refused", system, message)
    permissions = cls.parameters.get("directoryPerms")
    if permissions is not None and not _PERMISSIONS.match(permissions.value) and not is_placeholder(permissions.value):
        message = f"directoryPerms {quoted(permissions.value[:40])} are not three or four octal digits"
        yield ParameterProblem("refused", permissions, message)
    yield from _of_groups(cls)
    for name, parameter in cls.parameters.items():
        if name not in _KNOWN:
            near = next((known for known in sorted(_KNOWN) if known.lower() == name.lower()), None)
            meant = f"; it knows {near}" if near is not None else ""
            yield ParameterProblem("ignored", parameter, f"the EFS driver knows no parameter {name}{meant}")


def _of_groups(cls: StorageClass) -> Iterator[ParameterProblem]:
    numbers: dict[str, int] = {}
    for name in ("uid", "gid", "gidRangeStart", "gidRangeEnd"):
        parameter = cls.parameters.get(name)
        if parameter is None or is_placeholder(parameter.value):
            continue
        if not _INTEGER.match(parameter.value) or int(parameter.value) < (0 if len(name) == 3 else 1):
            yield ParameterProblem("refused", parameter, f"{name} is no number that the driver takes")
            return
        numbers[name] = int(parameter.value)
    start, end = cls.parameters.get("gidRangeStart"), cls.parameters.get("gidRangeEnd")
    if (start is None) != (end is None):
        missing = "gidRangeEnd" if end is None else "gidRangeStart"
        yield ParameterProblem("refused", start or end, f"gidRangeStart and gidRangeEnd go together: no {missing}")
    elif {"gidRangeStart", "gidRangeEnd"} <= numbers.keys() and numbers["gidRangeEnd"] <= numbers["gidRangeStart"]:
        yield ParameterProblem("refused", end, "gidRangeEnd must be greater than gidRangeStart")
