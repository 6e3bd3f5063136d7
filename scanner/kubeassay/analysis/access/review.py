"""Questions to the authorizer: may this subject do that, and who may.

Source: kubernetes v1.37.1, plugin/pkg/auth/authorizer/rbac: rbac.go (Authorize), subject_locator.go (AllowedSubjects);
apiserver v0.37.1, pkg/authorization/authorizerfactory (the group system:masters is allowed everything before RBAC is
asked) and pkg/endpoints/request/requestinfo.go (the namespace of a request).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from kubeassay.analysis.access.grants import MASTERS, Access, MissingRole, Role, canonical, groups_of, username
from kubeassay.analysis.access.matching import allows_resource, allows_url
from kubeassay.analysis.access.model import Grant, Subject


@dataclass(frozen=True, slots=True)
class Request:
    """What a SubjectAccessReview asks. ``namespace`` empty: of the whole cluster, or in all namespaces. ``url``: a path
    that is no resource, in place of one."""

    verb: str
    group: str = ""
    resource: str = ""
    subresource: str = ""
    name: str = ""
    namespace: str = ""
    url: str = ""

    def __str__(self) -> str:
        if self.url:
            return f"{self.verb} {self.url}"
        what = f"{self.resource}.{self.group}" if self.group else self.resource
        what += f"/{self.subresource}" if self.subresource else ""
        what += f" {self.name}" if self.name else ""
        return f"{self.verb} {what} " + (f"in namespace {self.namespace}" if self.namespace else "cluster-wide")


@dataclass(frozen=True, slots=True)
class Review:
    """The answer for one subject. ``grants``: all that allow it. ``bypass``: it is in system:masters, which no
    authorizer is asked about. ``unknown``: bindings that apply to it there, and whose role is not known."""

    allowed: bool
    groups: tuple[str, ...]
    grants: tuple[Grant, ...]
    bypass: bool
    unknown: tuple[MissingRole, ...]


@dataclass(frozen=True, slots=True)
class Allowed:
    """Who is allowed: ``grants`` that allow it, sorted by subject. The group system:masters is, whatever they say.
    ``unknown``: bindings that apply there, and whose role is not known."""

    grants: tuple[Grant, ...]
    unknown: tuple[MissingRole, ...]


def review(access: Access, subject: Subject, request: Request, groups: Iterable[str] = ()) -> Review:
    """Whether a subject may do something, and by which grants. ``groups``: those it is in besides the ones that every
    such subject is in (:func:`groups_of`)."""
    found = groups_of(subject, groups)
    numbers = _Numbers(request)
    grants = [
        grant
        for binding, bound in access.bound_to(subject, found)
        if _applies(binding.namespace, request)
        for grant in binding.grants(bound, numbers.of(binding.role))
    ]
    bypass = MASTERS in found
    unknown = tuple(
        missing
        for missing in access.missing_roles
        if _applies(missing.namespace, request)
        and any(_is(bound.subject, subject, found) for bound in missing.subjects)
    )
    return Review(bool(grants) or bypass, found, tuple(grants), bypass, unknown)


def who_can(access: Access, request: Request) -> Allowed:
    """All subjects that bindings name and that may do something, with the grants that allow it."""
    numbers = _Numbers(request)
    grants = [
        grant
        for binding in access.bindings
        if _applies(binding.namespace, request) and numbers.of(binding.role)
        for bound in binding.subjects
        for grant in binding.grants(bound, numbers.of(binding.role))
    ]
    unknown = (missing for missing in access.missing_roles if _applies(missing.namespace, request) and missing.subjects)
    return Allowed(tuple(sorted(grants, key=lambda grant: canonical(grant.subject))), tuple(unknown))


def _applies(namespace: str | None, request: Request) -> bool:
    # A RoleBinding is asked about requests in its own namespace only; paths and requests across namespaces have none.
    return namespace is None or (namespace == request.namespace and not request.url)


def _is(bound: Subject, subject: Subject, groups: tuple[str, ...]) -> bool:
    if bound.kind == "Group":
        return bound.name in groups
    return subject.kind != "Group" and username(bound) == username(subject)


class _Numbers:
    """Which rules of a role allow a request, found once for each role."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._known: dict[int, tuple[int, ...]] = {}

    def of(self, role: Role) -> tuple[int, ...]:
        numbers = self._known.get(id(role))
        if numbers is None:
            asked = self._request
            numbers = self._known[id(role)] = tuple(
                number
                for number, rule in enumerate(role.rules)
                if (
                    allows_url(rule, asked.verb, asked.url)
                    if asked.url
                    else allows_resource(rule, asked.verb, asked.group, asked.resource, asked.subresource, asked.name)
                )
            )
        return numbers
