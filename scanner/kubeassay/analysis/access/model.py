"""The vocabulary of access: subjects, rules and grants."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from kubeassay.model import Object, Path

#: The API group of roles and bindings.
GROUP = "rbac.authorization.k8s.io"

SubjectKind = Literal["User", "Group", "ServiceAccount"]


@dataclass(frozen=True, slots=True, order=True)
class Subject:
    """Who is granted something. ``namespace`` is a service account's; empty for users and groups."""

    kind: SubjectKind
    name: str
    namespace: str = ""

    def __str__(self) -> str:
        where = f"{self.namespace}/" if self.kind == "ServiceAccount" else ""
        return f"{self.kind} {where}{self.name}"


@dataclass(frozen=True, slots=True)
class PolicyRule:
    """One rule of a role: what it grants, and where it stands.

    ``obj`` is the Role or ClusterRole that states it (for an aggregated ClusterRole, the one it comes from); None for
    a role of Kubernetes itself that is not among the inputs. ``path``: from that object's root to the rule.
    """

    verbs: tuple[str, ...]
    api_groups: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    resource_names: tuple[str, ...] = ()
    non_resource_urls: tuple[str, ...] = ()
    obj: Object | None = None
    path: Path = ()

    def __str__(self) -> str:
        verbs = ", ".join(self.verbs)
        if self.non_resource_urls:
            return f"{verbs} on {', '.join(self.non_resource_urls)}"
        groups = ", ".join(group or "core" for group in self.api_groups)
        names = f" named {', '.join(self.resource_names)}" if self.resource_names else ""
        return f"{verbs} on {', '.join(self.resources)} ({groups}){names}"


@dataclass(frozen=True, slots=True)
class Grant:
    """One rule that one subject has through one binding.

    ``namespace`` None: in all namespaces and on cluster-scoped resources (through a ClusterRoleBinding); otherwise in
    that namespace alone. ``binding`` None: a binding of Kubernetes itself that is not among the inputs.
    ``subject_path`` leads from the binding's root to the subject. ``bootstrap``: both role and binding are Kubernetes'
    own, unchanged.
    """

    subject: Subject
    rule: PolicyRule
    namespace: str | None
    role_kind: Literal["Role", "ClusterRole"]
    role_name: str
    binding: Object | None
    binding_name: str
    subject_path: Path = ()
    bootstrap: bool = False
