"""The least role that allows what a role's subjects did, from an audit log.

Source: apiserver v0.37.1, pkg/apis/audit/v1/types.go (the event), pkg/audit/request.go (how it is filled),
pkg/endpoints/filters/authorization.go (its decision as an annotation), pkg/endpoints/filters/impersonation (what an
impersonation asks the authorizer), pkg/endpoints/handlers/patch.go and update.go (what a request that creates asks);
kubernetes v1.37.1, pkg/registry/core/pod/rest/authorize.go (what a websocket asks). What the API server asks besides is
named where it is used.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import unquote

from kubeassay.analysis.access.grants import AUTHENTICATED, SERVICE_ACCOUNTS, UNAUTHENTICATED, Access, Role, canonical
from kubeassay.analysis.access.grants import username as username_of
from kubeassay.analysis.access.matching import ALL, allows_resource, allows_url, pieces
from kubeassay.analysis.access.model import GROUP, PolicyRule, Subject
from kubeassay.analysis.access.review import Request
from kubeassay.analysis.reading import items, mapping, string

AUDIT_GROUP = "audit.k8s.io"
_NO_NAME = ("create", "deletecollection")
_WRITE = ("create", "update", "patch")
_CERTIFICATES = "certificates.k8s.io"
_AUTHENTICATION = "authentication.k8s.io"
_NODE = "system:node:"
_NODES = "system:nodes"

#: A websocket is opened with GET; since Kubernetes 1.35 (AuthorizePodWebsocketUpgradeCreatePermission) it is asked for
#: the verb of the older protocols as well, which open with POST.
_STREAMS = ("pods/exec", "pods/attach", "pods/portforward")

#: Writing to a resource → what the API server may ask besides, which is in no event: the verb, and on what.
#: kubernetes v1.37.1: pkg/registry/rbac/escalation_check.go; plugin/pkg/admission/certificates: approval, signing,
#: ctbattest; pkg/registry/certificates/podcertificaterequest/strategy.go.
_MAY_REST_ON: dict[tuple[str, str], tuple[str, str, tuple[str, ...]]] = {
    (GROUP, "rolebindings"): ("bind", GROUP, ("roles", "clusterroles")),
    (GROUP, "clusterrolebindings"): ("bind", GROUP, ("clusterroles",)),
    (GROUP, "roles"): ("escalate", GROUP, ("roles",)),
    (GROUP, "clusterroles"): ("escalate", GROUP, ("clusterroles",)),
    (_CERTIFICATES, "certificatesigningrequests/approval"): ("approve", _CERTIFICATES, ("signers",)),
    (_CERTIFICATES, "certificatesigningrequests/status"): ("sign", _CERTIFICATES, ("signers",)),
    (_CERTIFICATES, "podcertificaterequests/status"): ("sign", _CERTIFICATES, ("signers",)),
    (_CERTIFICATES, "clustertrustbundles"): ("attest", _CERTIFICATES, ("signers",)),
}

#: The verbs that requests have (pkg/endpoints/request/requestinfo.go). All others are asked about in passing.
_REQUEST_VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection", "proxy", ALL)


@dataclass(frozen=True, slots=True)
class AuditedRequest:
    """A request that an authorizer allowed. ``complete``: the event is the last one about it. ``assumed``: no event
    tells whether the authorizer was asked; where the request has no name then, nor about which object."""

    user: str
    groups: tuple[str, ...]
    request: Request
    complete: bool
    assumed: bool = False


def audited_requests(event: Mapping[str, Any]) -> Iterator[AuditedRequest]:
    """What an event of an audit log says was asked and allowed: the request, what it needs besides, and for one in
    another's name the impersonation. Nothing for an event of a request that was denied, or that is not yet answered.

    Raises ValueError for what is no audit event.
    """
    if string(event.get("apiVersion")).partition("/")[0] != AUDIT_GROUP or event.get("kind") != "Event":
        raise ValueError("not an event of audit.k8s.io")
    stage = event.get("stage")
    if stage not in ("ResponseStarted", "ResponseComplete") or _denied(event):
        return
    # A watch has answered long before it ends; its permission counts, the request is counted when it is complete.
    complete = stage == "ResponseComplete"
    user = mapping(event.get("user"))
    request = _request(event)
    other = mapping(event.get("impersonatedUser"))
    if other:
        constraint = string(mapping(event.get("authenticationMetadata")).get("impersonationConstraint"))
        for asked in _impersonation(other, constraint, request):
            yield AuditedRequest(string(user.get("username")), _groups(user), asked, False)
        user = other
    name, groups = string(user.get("username")), _groups(user)
    yield AuditedRequest(name, groups, request, complete)
    if _creates(event, request):
        yield AuditedRequest(name, groups, replace(request, verb="create"), False)
    for asked in _in_passing(request):
        yield AuditedRequest(name, groups, asked, False, assumed=True)


def _creates(event: Mapping[str, Any], request: Request) -> bool:
    """Whether the authorizer was asked for ``create`` as well, about the same object."""
    if request.verb in ("patch", "update"):
        # Of what was not there, as a server-side apply makes it.
        return bool(mapping(event.get("responseStatus")).get("code") == 201)
    return request.verb == "get" and not request.group and _resource(request) in _STREAMS


def _in_passing(request: Request) -> Iterator[Request]:
    found = _MAY_REST_ON.get((request.group, _resource(request)))
    if found is None or request.verb not in _WRITE:
        return
    verb, group, resources = found
    # What is bound, and whose signer it is, stands in the objects; only a role is asked about by its own name.
    name = request.name if verb == "escalate" else ""
    for resource in resources:
        yield Request(verb, group, resource, "", name, "" if resource == "signers" else request.namespace)


def _resource(request: Request) -> str:
    return f"{request.resource}/{request.subresource}" if request.subresource else request.resource


def _denied(event: Mapping[str, Any]) -> bool:
    decision = mapping(event.get("annotations")).get("authorization.k8s.io/decision")
    if decision is not None:
        return bool(decision != "allow")
    # Without the annotation a 403 may also come from admission, after authorization; it does not say.
    return mapping(event.get("responseStatus")).get("code") == 403


def _groups(user: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(group for group in items(user.get("groups")) if isinstance(group, str))


def _request(event: Mapping[str, Any]) -> Request:
    verb = string(event.get("verb"))
    ref = mapping(event.get("objectRef"))
    resource = string(ref.get("resource"))
    if not resource:
        path = string(event.get("requestURI")).partition("?")[0]
        return Request(verb, url=unquote(path) or "/")
    subresource = string(ref.get("subresource"))
    # The log takes the name of a created object from its body; the authorizer is asked without one.
    name = "" if verb in _NO_NAME and not subresource else string(ref.get("name"))
    return Request(verb, string(ref.get("apiGroup")), resource, subresource, name, string(ref.get("namespace")))


def _impersonation(user: Mapping[str, Any], constraint: str, request: Request) -> Iterator[Request]:
    """What was asked before a request in the name of a user. ``constraint``: the verb that took the place of
    ``impersonate`` (constrained impersonation, on by default since Kubernetes 1.36); the request itself is asked about
    with another one then."""
    verb = constraint or "impersonate"
    # Only what has been there for long is in the core group.
    group = _AUTHENTICATION if constraint else ""
    username = string(user.get("username"))
    subject = canonical(Subject("User", username))
    mode = constraint.partition(":")[2]
    if subject.kind == "ServiceAccount":
        yield Request(verb, group, "serviceaccounts", "", subject.name, subject.namespace)
    elif mode in ("associated-node", "arbitrary-node"):
        # The node of the pod that asks is not asked about by name.
        yield Request(verb, group, "nodes", "", "*" if mode == "associated-node" else username.removeprefix(_NODE))
    else:
        yield Request(verb, group, "users", "", subject.name)
    for name in _groups(user):
        # The API server adds these groups itself.
        own = (AUTHENTICATED, UNAUTHENTICATED, *((_NODES,) if constraint else ()))
        if name not in own and not name.startswith(SERVICE_ACCOUNTS):
            yield Request(verb, group, "groups", "", name)
    if uid := string(user.get("uid")):
        yield Request(verb, _AUTHENTICATION, "uids", "", uid)
    for key, values in mapping(user.get("extra")).items():
        for value in items(values):
            if isinstance(value, str):
                yield Request(verb, _AUTHENTICATION, "userextras", str(key), value)
    if constraint:
        yield replace(request, verb=f"impersonate-on:{mode}:{request.verb}")


class Usage:
    """What of one role was used. ``names``: keep the names of objects where requests named one."""

    def __init__(self, access: Access, role: Role, *, names: bool = False) -> None:
        self.role = role
        #: How many requests of those who have the role there were, how many of them it allowed, and who made these.
        self.asked = 0
        self.requests = 0
        self.users: set[str] = set()
        self._names = names
        #: Who has the role → in which namespaces (None: in all, and beyond them).
        self._by_user: dict[str, set[str | None]] = defaultdict(set)
        self._by_group: dict[str, set[str | None]] = defaultdict(set)
        for binding in access.bindings:
            if binding.role is role:
                for bound in binding.subjects:
                    if bound.subject.kind == "Group":
                        self._by_group[bound.subject.name].add(binding.namespace)
                    else:
                        self._by_user[username_of(bound.subject)].add(binding.namespace)
        self._pieces = [piece for rule in role.rules for piece in pieces(rule)]
        self._used_pieces: set[int] = set()
        self._tells_names = names or any(piece.resource_names for piece in self._pieces)
        #: Requests reduced to what a rule can tell apart → the rule that allows them.
        self._known: dict[tuple[Request, bool], tuple[PolicyRule, ...]] = {}
        self._used: dict[PolicyRule, None] = {}
        self._kept: dict[PolicyRule, None] = {}

    @property
    def bound(self) -> bool:
        """Whether any binding gives the role to somebody."""
        return bool(self._by_user or self._by_group)

    def add(self, audited: AuditedRequest) -> None:
        """Count a request in, if the role was given to who made it, and allows it."""
        request = audited.request
        if not self._has(audited.user, audited.groups, None if request.url else request.namespace):
            return
        name = request.name if self._tells_names else ""
        asked = Request(request.verb, request.group, request.resource, request.subresource, name, "", request.url)
        key = asked, audited.assumed
        if key not in self._known:
            self._known[key] = self._keep(asked) if audited.assumed else self._note(asked)
        self.asked += not audited.assumed
        if self._known[key] and not audited.assumed:
            self.users.add(audited.user)
            self.requests += audited.complete

    def _has(self, user: str, groups: Iterable[str], namespace: str | None) -> bool:
        where = [self._by_user.get(user, ()), *(self._by_group.get(group, ()) for group in groups)]
        return any(None in some or namespace in some for some in where)

    def _keep(self, request: Request) -> tuple[PolicyRule, ...]:
        """What the role allows of a request that may have been made."""
        found = []
        for number, piece in enumerate(self._pieces):
            names = piece.resource_names
            for name in (request.name,) if request.name or not names else names:
                if _allows(piece, replace(request, name=name)):
                    self._used_pieces.add(number)
                    kept = (name,) if names or (self._names and name) else ()
                    found.append(PolicyRule((request.verb,), (request.group,), (_resource(request),), kept))
        self._kept.update(dict.fromkeys(found))
        return tuple(found)

    def _note(self, request: Request) -> tuple[PolicyRule, ...]:
        allowing = [number for number, piece in enumerate(self._pieces) if _allows(piece, request)]
        if not allowing:
            return ()
        self._used_pieces.update(allowing)
        if request.url:
            rule = PolicyRule((request.verb,), non_resource_urls=(request.url,))
        else:
            # Where only rules with names allow it, a rule without would allow more than the role does.
            restricted = all(self._pieces[number].resource_names for number in allowing)
            names = (request.name,) if restricted or (self._names and request.name) else ()
            rule = PolicyRule((request.verb,), (request.group,), (_resource(request),), names)
        self._used[rule] = None
        return (rule,)

    def rules(self) -> list[PolicyRule]:
        """The fewest permissions that allow what was used and what is kept, merged where that allows nothing more;
        sorted."""
        return merged((*self._used, *self._kept))

    def kept(self) -> list[PolicyRule]:
        """The permissions that requests in the log may rest on, which no log tells; sorted."""
        return merged(self._kept)

    def unused(self) -> list[PolicyRule]:
        """The permissions of the role that nothing used; sorted."""
        return merged(piece for piece in self._left_out() if _told(piece))

    def untold(self) -> list[PolicyRule]:
        """The permissions of the role that are in no audit log, used or not, and that nothing in it may rest on;
        sorted."""
        return merged(piece for piece in self._left_out() if not _told(piece))

    def narrowed(self) -> list[PolicyRule]:
        """The permissions with wildcards that were used; the least role has only what of them was used."""
        return merged(self._pieces[number] for number in self._used_pieces if _has_wildcard(self._pieces[number]))

    def _left_out(self) -> Iterator[PolicyRule]:
        return (piece for number, piece in enumerate(self._pieces) if number not in self._used_pieces)


def _told(piece: PolicyRule) -> bool:
    """Whether an audit log tells of the use of a piece of a rule."""
    if piece.non_resource_urls:
        return True
    (verb,), (group,), (resource,) = piece.verbs, piece.api_groups, piece.resources
    if verb not in _REQUEST_VERBS and not verb.startswith("impersonate"):
        return False
    resource, _, subresource = resource.partition("/")
    # Who sets blockOwnerDeletion is asked for the owner's finalizers: kubernetes v1.37.1, plugin/pkg/admission/gc.
    if subresource == "finalizers":
        return False
    # Served by the kubelet, which asks for itself: kubernetes v1.37.1, pkg/kubelet/server/auth.go.
    if group == "" and resource == "nodes" and subresource not in ("", "status"):
        return False
    if group == _CERTIFICATES:
        # Asked about by the approver of the controller manager: pkg/controller/certificates/approver/sarapprove.go.
        return resource != "signers" and subresource not in ("nodeclient", "selfnodeclient")
    return True


def _allows(rule: PolicyRule, request: Request) -> bool:
    if request.url:
        return allows_url(rule, request.verb, request.url)
    return allows_resource(rule, request.verb, request.group, request.resource, request.subresource, request.name)


def _has_wildcard(rule: PolicyRule) -> bool:
    values = (*rule.verbs, *rule.api_groups, *rule.resources)
    return (
        ALL in values
        or any(resource.startswith("*/") for resource in rule.resources)
        or any(url.endswith(ALL) for url in rule.non_resource_urls)
    )


def merged(rules: Iterable[PolicyRule]) -> list[PolicyRule]:
    """Rules with one verb, group, resource and name each, joined to fewer that allow the same. The order is that of
    groups, resources, names, verbs; paths come last."""
    verbs: dict[tuple[str, str, str], set[str]] = defaultdict(set)
    url_verbs: dict[str, set[str]] = defaultdict(set)
    for rule in rules:
        for url in rule.non_resource_urls:
            url_verbs[url].update(rule.verbs)
        for group in rule.api_groups:
            for resource in rule.resources:
                for name in rule.resource_names or (None,):
                    # A name may be the empty one; no name sorts before it.
                    verbs[group, resource, "" if name is None else f"={name}"].update(rule.verbs)
    # What is allowed on all objects need not be allowed on one.
    by_names: dict[tuple[str, str, tuple[str, ...]], set[str]] = defaultdict(set)
    for (group, resource, name), found in verbs.items():
        left = found - verbs.get((group, resource, ""), set()) if name else found
        if left:
            by_names[group, resource, tuple(sorted(left))].add(name)
    by_resources: dict[tuple[str, tuple[str, ...], tuple[str, ...]], set[str]] = defaultdict(set)
    for (group, resource, allowed), names in by_names.items():
        # Verbs that are left to a name are none of those on all objects, so the two never meet here.
        some = tuple(sorted(name.removeprefix("=") for name in names if name))
        by_resources[group, allowed, some].add(resource)
    by_groups: dict[tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]], set[str]] = defaultdict(set)
    for (group, allowed, some), resources in by_resources.items():
        by_groups[tuple(sorted(resources)), some, allowed].add(group)
    found_rules = sorted(
        (tuple(sorted(groups)), resources, some, allowed) for (resources, some, allowed), groups in by_groups.items()
    )
    by_verbs: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for url, found in url_verbs.items():
        by_verbs[tuple(sorted(found))].add(url)
    urls = sorted((tuple(sorted(found)), allowed) for allowed, found in by_verbs.items())
    return [
        *(PolicyRule(allowed, groups, resources, some) for groups, resources, some, allowed in found_rules),
        *(PolicyRule(allowed, non_resource_urls=found) for found, allowed in urls),
    ]
