"""Who is bound to what: everybody, nobody, everything.

Sources: Kubernetes, "Role Based Access Control Good Practices"; CIS Kubernetes Benchmark, 5.1.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator

from kubeassay.analysis.access.grants import (
    ANONYMOUS,
    AUTHENTICATED,
    MASTERS,
    SERVICE_ACCOUNTS,
    UNAUTHENTICATED,
    Binding,
)
from kubeassay.analysis.access.model import PolicyRule, Subject
from kubeassay.analysis.fields import problems_of
from kubeassay.analysis.network.endpoints import namespace_of
from kubeassay.checks.check import Context, NotJudged, Passed, Violation, check
from kubeassay.checks.rbac_common import (
    Related,
    access_of,
    is_everything,
    named,
    own_subjects,
    stated_bindings,
    title,
)
from kubeassay.model import Inventory

_PUBLIC_NAMESPACE = "kube-public"
_SYSTEM_NAMESPACE = "kube-system"
_READ = frozenset({"get", "list", "watch", "head"})
#: What the API server shows to everybody by default, and what relying parties of its tokens need.
_PUBLIC_URLS = frozenset(
    {
        *("/healthz", "/livez", "/readyz", "/version", "/version/", "/healthz/*", "/livez/*", "/readyz/*"),
        *("/openid/v1/jwks", "/openid/v1/jwks/", "/.well-known/openid-configuration"),
        *("/.well-known/openid-configuration/", "/.well-known/*"),
    }
)
#: What every authenticated user is shown by default: kubernetes v1.37.1, system:discovery.
_DISCOVERY_URLS = _PUBLIC_URLS | {"/api", "/api/*", "/apis", "/apis/*", "/openapi", "/openapi/*"}
_SELF_REVIEWS = frozenset({"selfsubjectaccessreviews", "selfsubjectrulesreviews", "selfsubjectreviews"})


# --- who ---


def _bound_to(
    inventory: Inventory, context: Context, concerns: Callable[[Subject], str], harmless: Callable[[PolicyRule], bool]
) -> Iterator[Violation | Passed]:
    """Bindings that name certain subjects. ``concerns``: what to say of a subject; empty for the others."""
    for binding, obj in stated_bindings(access_of(inventory, context)):
        failed = False
        for bound in own_subjects(binding):
            said = concerns(bound.subject)
            if not said or _public(binding) or all(harmless(rule) for rule in binding.role.rules):
                continue
            failed = True
            message = f"{obj.ref} gives {title(binding.role)} to {bound.subject.name}: {said}"
            yield Violation((*bound.path, "name"), message, obj=obj, related=_role_related(binding))
        if not failed:
            yield Passed(obj)


def _role_related(binding: Binding) -> Related:
    role = binding.role
    return () if role.obj is None else ((f"{title(role)} grants this", role.obj, ("rules",)),)


def _public(binding: Binding) -> bool:
    """Reading in the namespace that is there to be read by everybody: kubeadm puts the cluster's address there."""
    return binding.namespace == _PUBLIC_NAMESPACE and all(_READ.issuperset(rule.verbs) for rule in binding.role.rules)


def _shows_public_urls(rule: PolicyRule) -> bool:
    return (
        bool(rule.non_resource_urls)
        and _READ.issuperset(rule.verbs)
        and _PUBLIC_URLS.issuperset(rule.non_resource_urls)
    )


def _shows_discovery(rule: PolicyRule) -> bool:
    if rule.non_resource_urls:
        return _READ.issuperset(rule.verbs) and _DISCOVERY_URLS.issuperset(rule.non_resource_urls)
    return set(rule.verbs) == {"create"} and _SELF_REVIEWS.issuperset(rule.resources)


@check("binding-to-anonymous")
def binding_to_anonymous(inventory: Inventory, context: Context) -> Iterator[Violation | Passed]:
    def concerns(subject: Subject) -> str:
        if (subject.kind, subject.name) in (("User", ANONYMOUS), ("Group", UNAUTHENTICATED)):
            return "anyone who reaches the API server, without logging in"
        return ""

    return _bound_to(inventory, context, concerns, _shows_public_urls)


@check("binding-to-all-authenticated")
def binding_to_all_authenticated(inventory: Inventory, context: Context) -> Iterator[Violation | Passed]:
    def concerns(subject: Subject) -> str:
        if subject.kind != "Group":
            return ""
        if subject.name == AUTHENTICATED:
            return "everyone who can log in, and every pod"
        return "every pod of the cluster that has a token" if subject.name == SERVICE_ACCOUNTS else ""

    return _bound_to(inventory, context, concerns, _shows_discovery)


@check("binding-to-system-masters")
def binding_to_system_masters(inventory: Inventory, context: Context) -> Iterator[Violation | Passed]:
    def concerns(subject: Subject) -> str:
        if (subject.kind, subject.name) == ("Group", MASTERS):
            return "its members may do everything already, and no binding can take that from them"
        return ""

    return _bound_to(inventory, context, concerns, lambda rule: False)


@check("default-service-account-bound")
def default_service_account_bound(inventory: Inventory, context: Context) -> Iterator[Violation | Passed]:
    for binding, obj in stated_bindings(access_of(inventory, context)):
        failed = False
        for bound in own_subjects(binding):
            subject = bound.subject
            if subject.kind == "ServiceAccount" and subject.name == "default":
                failed = True
                message = (
                    f"{obj.ref} gives {title(binding.role)} to the ServiceAccount default of namespace"
                    f" {subject.namespace}: every pod there that names no other one has it"
                )
                yield Violation((*bound.path, "name"), message, obj=obj, related=_role_related(binding))
        if not failed:
            yield Passed(obj)


# --- what ---


@check("cluster-admin-binding")
def cluster_admin_binding(inventory: Inventory, context: Context) -> Iterator[Violation | Passed]:
    allowed = set(context.parameters["allowed_subjects"])
    for binding, obj in stated_bindings(access_of(inventory, context)):
        everything = next((rule for rule in binding.role.rules if is_everything(rule)), None)
        # The group system:masters gains nothing by it: binding-to-system-masters tells.
        subjects = [
            bound.subject
            for bound in own_subjects(binding)
            if str(bound.subject) not in allowed and bound.subject != Subject("Group", MASTERS)
        ]
        if binding.namespace is not None or everything is None or not subjects:
            yield Passed(obj)
            continue
        granted = f"{title(binding.role)} grants every verb on every resource"
        message = f"{obj.ref} makes {named(subjects)} cluster-admin: {granted}"
        related: Related = ()
        if everything.obj is not None:
            related = ((f"{title(binding.role)} grants this", everything.obj, everything.path),)
        yield Violation(("roleRef", "name"), message, obj=obj, related=related)


# --- what is missing ---


@check("binding-to-missing-role")
def binding_to_missing_role(inventory: Inventory, context: Context) -> Iterator[Violation | NotJudged | Passed]:
    """Judged where roles of that kind are among the inputs; else the role may well be kept elsewhere. A name with
    ``system:`` that Kubernetes does not have is the distribution's."""
    access = access_of(inventory, context)
    role_scopes = {(role.kind, role.namespace) for role in access.roles if role.obj is not None}
    for missing in access.missing_roles:
        where = (missing.namespace or "") if missing.role_kind == "Role" else ""
        name = f"{where}/{missing.role_name}" if where else missing.role_name
        if missing.role_name.startswith("system:") or (missing.role_kind, where) not in role_scopes:
            detail = f"{missing.binding.ref} binds {missing.role_kind} {name}, which is not among the inputs"
            yield NotJudged("missing-input", detail, missing.binding)
            continue
        message = (
            f"{missing.binding.ref} binds {missing.role_kind} {name}, which is neither among the inputs nor one of"
            " Kubernetes itself: whoever creates it decides what the subjects may do"
        )
        yield Violation(missing.path, message, obj=missing.binding)
    for _, obj in stated_bindings(access):
        yield Passed(obj)


@check("binding-to-missing-service-account")
def binding_to_missing_service_account(
    inventory: Inventory, context: Context
) -> Iterator[Violation | NotJudged | Passed]:
    """Judged where the namespace, or service accounts of it, are among the inputs. Every namespace has an account named
    default, and kube-system those of the controllers."""
    accounts: dict[str, set[str]] = defaultdict(set)
    for account in inventory.of_kind("ServiceAccount", ""):
        accounts[namespace_of(account)].add(account.ref.name)
    for binding, obj in stated_bindings(access_of(inventory, context)):
        failed = False
        for bound in own_subjects(binding):
            subject = bound.subject
            if (
                subject.kind != "ServiceAccount"
                or subject.name == "default"
                or subject.namespace == _SYSTEM_NAMESPACE
                or subject.name in accounts.get(subject.namespace, ())
            ):
                continue
            failed = True
            if subject.namespace not in accounts:
                yield NotJudged("missing-input", f"{obj.ref} binds {subject}, which is not among the inputs", obj)
                continue
            message = f"{obj.ref} binds {subject}, which is not among the inputs: whoever creates it has its rights"
            yield Violation((*bound.path, "name"), message, obj=obj)
        if not failed:
            yield Passed(obj)


@check("cross-namespace-binding")
def cross_namespace_binding(inventory: Inventory, context: Context) -> Iterator[Violation | Passed]:
    for binding, obj in stated_bindings(access_of(inventory, context)):
        if binding.namespace is None or (binding.role.obj is None and binding.role.kind == "Role"):
            # Kubernetes' own Roles in kube-system and kube-public are there for accounts of other namespaces.
            yield Passed(obj)
            continue
        failed = False
        for bound in own_subjects(binding):
            subject = bound.subject
            if subject.kind == "ServiceAccount" and subject.namespace not in (binding.namespace, _SYSTEM_NAMESPACE):
                failed = True
                message = (
                    f"{obj.ref} gives {title(binding.role)} to {subject}, of another namespace: who runs pods in"
                    f" {subject.namespace} has these rights in {binding.namespace}"
                )
                yield Violation((*bound.path, "namespace"), message, obj=obj, related=_role_related(binding))
        if not failed:
            yield Passed(obj)


# --- what an API server refuses ---


@check("rbac-object-refused")
def rbac_object_refused(inventory: Inventory, context: Context) -> Iterator[Violation | Passed]:
    access = access_of(inventory, context)
    for refused in access.refused:
        if any(problem.kind == "mistyped" for problem in problems_of(refused.obj, context.kubernetes_version.minor)):
            # mistyped-field tells of values of a wrong type, wherever they stand.
            continue
        message = f"{refused.obj.ref}: an API server refuses it, so it grants nothing: {refused.reason}"
        yield Violation(refused.path, message, obj=refused.obj)
    for role in access.roles:
        if role.obj is not None:
            yield Passed(role.obj)
    for _, obj in stated_bindings(access):
        yield Passed(obj)
