"""Names of resources, as quotas, limit ranges and pods may use them.

Source: kubernetes v1.37.1, pkg/apis/core/helper/helpers.go and pkg/apis/core/v1/helper/helpers.go (IsNativeResource,
IsExtendedResourceName, the standard names); pkg/apis/core/validation/validation.go (validateResourceName).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction

from kubeassay.analysis.quota.pod_resources import Resources

#: k8s.io/apimachinery, pkg/util/validation: IsQualifiedName.
_NAME = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?\Z")
_PREFIX = re.compile(r"(?=.{1,253}\Z)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\Z")

#: The prefix of device classes that are asked for as if they were extended resources (k8s.io/api/resource/v1,
#: ResourceDeviceClassPrefix); quotas count them from the minor version of the second constant on.
DEVICE_CLASS = "deviceclass.resource.kubernetes.io/"
_DEVICE_CLASSES_SINCE = 35
#: From which on claims of devices count as extended resources, too (feature DRAExtendedResource, on since 1.36).
CLAIMS_AS_EXTENDED_SINCE = 36

_POD_NAMES = frozenset(
    {
        "cpu",
        "memory",
        "ephemeral-storage",
        *(f"{of}.{name}" for of in ("requests", "limits") for name in ("cpu", "memory", "ephemeral-storage")),
    }
)
#: Names that need no prefix in a quota, but for huge pages.
STANDARD_QUOTA_NAMES = _POD_NAMES | {
    "configmaps",
    "persistentvolumeclaims",
    "pods",
    "replicationcontrollers",
    "requests.storage",
    "resourcequotas",
    "secrets",
    "services",
    "services.loadbalancers",
    "services.nodeports",
}
_WHOLE_NUMBERS = STANDARD_QUOTA_NAMES - _POD_NAMES - {"requests.storage"}
_HUGE_PAGES = ("hugepages-", "requests.hugepages-")

#: Names that make every container of a pod state the resource, once a quota limits it.
MUST_BE_STATED = frozenset({"cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory"})


def is_qualified(name: str) -> bool:
    """Whether a text is a name with or without a prefix (IsQualifiedName)."""
    prefix, slash, own = name.rpartition("/")
    return bool(_NAME.match(own)) and (not slash or bool(_PREFIX.match(prefix)))


def is_native(name: str) -> bool:
    """Whether a resource is Kubernetes' own: without a prefix, or with one below kubernetes.io."""
    return "/" not in name or "kubernetes.io/" in name


def is_extended(name: str) -> bool:
    """Whether containers can ask for a resource that is not Kubernetes' own (``example.com/gpu``)."""
    return not is_native(name) and not name.startswith("requests.") and is_qualified(f"requests.{name}")


def is_whole(name: str) -> bool:
    """Whether a resource is counted in whole numbers (IsIntegerResourceName)."""
    return name in _WHOLE_NUMBERS or is_extended(name)


def is_of_pods(name: str, minor: int) -> bool:
    """Whether a quota's resource is counted on pods (podEvaluator.MatchingResources)."""
    if name in _POD_NAMES or name in ("pods", "count/pods") or name.startswith(_HUGE_PAGES):
        return True
    return name.startswith("requests.") and (
        not is_native(name) or (minor >= _DEVICE_CLASSES_SINCE and name.startswith(f"requests.{DEVICE_CLASS}"))
    )


#: Names that claims are counted by, in all and of one StorageClass.
OF_CLAIMS = ("persistentvolumeclaims", "requests.storage")
#: What a quota's resource for claims of one StorageClass has after the name of the class.
OF_STORAGE_CLASS = ".storageclass.storage.k8s.io/"
#: The same for devices of one DeviceClass.
OF_DEVICE_CLASS = ".deviceclass.resource.k8s.io/devices"
_ENDS_OF_CLAIMS = tuple(OF_STORAGE_CLASS + name for name in OF_CLAIMS)


def is_of_claims(name: str) -> bool:
    """Whether a quota's resource is counted on PersistentVolumeClaims (pvcEvaluator.MatchingResources)."""
    return name in OF_CLAIMS or name == "count/persistentvolumeclaims" or name.endswith(_ENDS_OF_CLAIMS)


def is_of_services(name: str) -> bool:
    """Whether a quota's resource is counted on Services (serviceEvaluator.MatchingResources)."""
    return name in ("count/services", "services", "services.nodeports", "services.loadbalancers")


#: Names of objects that are counted (``count/secrets`` apart), by the resource that they count (registry.go,
#: legacyObjectCountAliases).
COUNT_ALIASES: Mapping[str, str] = {
    "configmaps": "configmaps",
    "replicationcontrollers": "replicationcontrollers",
    "resourcequotas": "resourcequotas",
    "secrets": "secrets",
}


def is_counted(name: str, minor: int) -> bool:
    """Whether anything is counted against a quota's resource. Kubernetes accepts other names, and ignores them."""
    return (
        is_of_pods(name, minor)
        or is_of_claims(name)
        or is_of_services(name)
        or name in COUNT_ALIASES
        or name.startswith("count/")
        or name.endswith(OF_DEVICE_CLASS)
    )


def pod_usage(requests: Resources, limits: Resources, minor: int) -> dict[str, Fraction]:
    """What a pod counts for in quotas, by the names that quotas have for it (podComputeUsageHelper)."""
    usage = {"pods": Fraction(1)}
    for name in ("cpu", "memory", "ephemeral-storage"):
        if name in requests:
            usage[name] = usage[f"requests.{name}"] = requests[name]
        if name in limits:
            usage[f"limits.{name}"] = limits[name]
    for name, value in requests.items():
        if name.startswith("hugepages-"):
            usage[name] = usage[f"requests.{name}"] = value
        elif is_extended(name) or (minor >= _DEVICE_CLASSES_SINCE and name.startswith(DEVICE_CLASS)):
            usage[f"requests.{name}"] = value
    return usage


def wrong_quota_name(name: str) -> str:
    """Why an API server refuses a name in a quota; empty where it does not (ValidateResourceQuotaResourceName)."""
    if not is_qualified(name):
        return f'"{name}" is no name of a resource'
    if "/" not in name and name not in STANDARD_QUOTA_NAMES and not name.startswith(_HUGE_PAGES):
        return f"{name} is not a resource that a quota knows"
    return ""


def wrong_limit_name(name: str, limit_type: str) -> str:
    """Why an API server refuses a name in a LimitRange (validateLimitRangeResourceName); empty where it does not."""
    if not is_qualified(name):
        return f'"{name}" is no name of a resource'
    of_containers = limit_type in ("Container", "Pod")
    if "/" not in name:
        known = ("cpu", "memory", "ephemeral-storage")
        if of_containers and name not in known and not name.startswith("hugepages-"):
            return f"{name} is not a resource of containers"
        if not of_containers and name not in STANDARD_QUOTA_NAMES | {"storage"} and not name.startswith(_HUGE_PAGES):
            return f"{name} is not a resource"
    elif of_containers and not is_native(name) and not is_extended(name):
        return f"{name} is not a resource of containers"
    return ""


def is_overcommitted(name: str) -> bool:
    """Whether a limit may be above the request (IsOvercommitAllowed)."""
    return is_native(name) and not name.startswith("hugepages-")
