"""Which fields Kustomize's own transformers set, and how they choose objects.

Field specifications are those of api v0.21.1, internal/konfig/builtinpluginconsts. Patterns of selectors are regular
expressions of whoever wrote the kustomization: only such are matched as cannot take long, the others answer None.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """A path of keys, in objects of a kind; ``create``: whether mappings on it are made."""

    path: str
    kind: str | None = None
    group: str | None = None
    create: bool = True
    steps: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "steps", tuple(self.path.split("/")))

    def fits(self, group: str, kind: str) -> bool:
        return self.kind in (None, kind) and self.group in (None, group)


def _templates(last: str, *, claims: bool) -> tuple[FieldSpec, ...]:
    template, job = f"spec/template/metadata/{last}", f"spec/jobTemplate/metadata/{last}"
    specs = [
        FieldSpec(f"metadata/{last}"),
        *(FieldSpec(template, kind) for kind in ("ReplicationController", "Deployment", "ReplicaSet", "DaemonSet")),
        FieldSpec(template, "StatefulSet", "apps" if claims else None),
        FieldSpec(template, "Job", "batch"),
        FieldSpec(job, "CronJob", "batch"),
        FieldSpec(f"spec/jobTemplate/spec/template/metadata/{last}", "CronJob", "batch"),
    ]
    if claims:
        specs.append(FieldSpec(f"spec/volumeClaimTemplates/metadata/{last}", "StatefulSet", "apps"))
    return tuple(specs)


TEMPLATES = _templates("labels", claims=True)
ANNOTATIONS = _templates("annotations", claims=False)
_POD = "spec/template/spec"
_TERMS = tuple(
    f"{_POD}/affinity/{affinity}/{when}"
    for affinity in ("podAffinity", "podAntiAffinity")
    for when in (
        "preferredDuringSchedulingIgnoredDuringExecution/podAffinityTerm/labelSelector/matchLabels",
        "requiredDuringSchedulingIgnoredDuringExecution/labelSelector/matchLabels",
    )
)
SELECTORS = (
    FieldSpec("spec/selector", "Service"),
    FieldSpec("spec/selector", "ReplicationController"),
    FieldSpec("spec/selector/matchLabels", "Deployment"),
    FieldSpec("spec/selector/matchLabels", "ReplicaSet"),
    FieldSpec("spec/selector/matchLabels", "DaemonSet"),
    FieldSpec("spec/selector/matchLabels", "StatefulSet", "apps"),
    *(
        FieldSpec(path, kind, "apps", create=False)
        for kind in ("Deployment", "StatefulSet")
        for path in (*_TERMS, f"{_POD}/topologySpreadConstraints/labelSelector/matchLabels")
    ),
    FieldSpec("spec/selector/matchLabels", "Job", "batch", create=False),
    FieldSpec("spec/jobTemplate/spec/selector/matchLabels", "CronJob", "batch", create=False),
    FieldSpec("spec/selector/matchLabels", "PodDisruptionBudget", "policy", create=False),
    *(
        FieldSpec(f"spec/{path}podSelector/matchLabels", "NetworkPolicy", "networking.k8s.io", create=False)
        for path in ("", "ingress/from/", "egress/to/")
    ),
)
#: Kinds whose ``spec.replicas`` the field ``replicas`` sets.
REPLICAS = frozenset({"Deployment", "ReplicaSet", "ReplicationController", "StatefulSet"})
#: Kinds that get no prefix and no suffix.
KEEP_NAMES = frozenset({"CustomResourceDefinition", "APIService", "Namespace"})
#: Kinds of Kubernetes' own groups that are in no namespace.
CLUSTER_SCOPED = frozenset(
    {
        "APIService", "CSIDriver", "CSINode", "CertificateSigningRequest", "ClusterRole", "ClusterRoleBinding",
        "ClusterTrustBundle", "ComponentStatus", "CustomResourceDefinition", "DeviceClass", "FlowSchema", "IPAddress",
        "IngressClass", "MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding", "MutatingWebhookConfiguration",
        "Namespace", "Node", "PersistentVolume", "PodSecurityPolicy", "PriorityClass", "PriorityLevelConfiguration",
        "ResourceSlice", "RuntimeClass", "SelfSubjectAccessReview", "SelfSubjectRulesReview", "ServiceCIDR",
        "StorageClass", "StorageVersionMigration", "SubjectAccessReview", "TokenReview", "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding", "ValidatingWebhookConfiguration", "VolumeAttachment",
        "VolumeAttributesClass",
    }
)  # fmt: skip
#: Where other objects' namespaces stand, which follow.
NAMESPACE_REFERENCES = (
    ("subjects",),
    ("webhooks",),
    ("spec", "service"),
    ("spec", "conversion"),
    ("spec", "claimRef"),
    ("spec", "paramRef"),
)

_SIMPLE = re.compile(r"(?:[A-Za-z0-9_.-]|\.\*|\|)*\Z")
#: A ``.*`` more multiplies the time that a match may take by the length of a name.
_MOST_STARS = 3


def name_matches(pattern: Any, values: Sequence[str]) -> bool | None:
    """Whether one of the values matches the pattern of a selector, as a whole; None where that is not known."""
    if pattern is None or pattern == "":
        return True
    if not isinstance(pattern, str) or not _SIMPLE.match(pattern) or pattern.count("*") > _MOST_STARS:
        return None
    if len(pattern) > 300 or any(len(value) > 300 for value in values):
        return None
    found = re.compile(f"(?:{pattern})")
    return any(found.fullmatch(value) is not None for value in values)


_REQUIREMENT = re.compile(r"(!?)([A-Za-z0-9_./-]+)(?:\s*(==|=|!=)\s*([A-Za-z0-9_.-]*))?\Z")


def labels_match(selector: Any, labels: Any) -> bool | None:
    """Whether labels match a selector of equalities; None for any other selector."""
    if not isinstance(selector, str) or not isinstance(labels, dict):
        return None
    for part in selector.split(","):
        match = _REQUIREMENT.match(part.strip())
        if match is None or (match[1] and match[3]):
            return None
        absent, key, operator, value = match.groups()
        if operator is None:
            holds = (key in labels) != bool(absent)
        else:
            holds = (labels.get(key) == value) == (operator != "!=")
        if not holds:
            return False
    return True


_TAG, _DIGEST = r"(?::([a-zA-Z0-9_.{}-]*))?", r"(?:@(sha256:[a-zA-Z0-9_.{}-]*))?"


def image_with(value: str, image: dict[str, Any]) -> str | None:
    """What an entry of ``images`` makes of an image; "" where it is for another, None where that is not known."""
    name = image.get("name")
    if not isinstance(name, str) or any(
        not isinstance(image.get(part, ""), str) for part in ("newName", "newTag", "digest", "tagSuffix")
    ):
        return None
    if re.fullmatch(r"[A-Za-z0-9._/:-]*", name) is None:
        return None
    # The name is a pattern to Kustomize, in which a dot is any character.
    pattern = re.escape(name).replace(r"\.", ".")
    match = re.fullmatch(f"({pattern}){_TAG}{_DIGEST}", value)
    if match is None:
        return ""
    base, tag, digest = image.get("newName") or match[1], match[2] or "", match[3] or ""
    if image.get("newTag") or image.get("digest"):
        tag, digest = image.get("newTag") or "", image.get("digest") or ""
    elif image.get("tagSuffix"):
        tag, digest = tag + image["tagSuffix"], ""
    made = base + (f":{tag}" if tag else "") + (f"@{digest}" if digest else "")
    return str(made)


_FIELD = re.compile(r"\[([^\[\]=]*)=([^\[\]]*)\]|((?:[^.\[\]\\]|\\.)+)")


def parse_field_path(text: str) -> tuple[str | tuple[str, str], ...] | None:
    """The steps of a field path of replacements: keys, indices, ``*``, and ``[name=app]`` as a pair; None for what is
    not understood."""
    steps: list[str | tuple[str, str]] = []
    position = 0
    while position < len(text):
        match = _FIELD.match(text, position)
        if match is None:
            return None
        steps.append(re.sub(r"\\(.)", r"\1", match[3]) if match[3] is not None else (match[1], match[2]))
        position = match.end()
        if position < len(text):
            if text[position] == ".":
                position += 1
            elif text[position] != "[":
                return None
    return tuple(steps) or None
