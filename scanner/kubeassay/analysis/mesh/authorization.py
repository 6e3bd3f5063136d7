"""AuthorizationPolicies of Istio: which apply to a workload, and which requests they let through.

Source: istio/istio @eed52eb: pilot/pkg/model/policyattachment.go (ShouldAttachPolicy), pilot/pkg/model/authorization.go
(ListAuthorizationPolicies: the root namespace, then the workload's own; selectors hold in both),
pilot/pkg/security/authz/builder/builder.go (AUDIT logs, DENY comes before ALLOW, no ALLOW policy lets everything
through, one that is in effect denies the rest; annotation istio.io/dry-run), pkg/config/validation/validation.go
(ValidateAuthorizationPolicy) and pkg/config/security/security.go. That ztunnel enforces as a TCP proxy does:
pilot/pkg/serviceregistry/ambient/authorization.go.
"""

from __future__ import annotations

import ipaddress
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from kubeassay.analysis.mesh.authorization_rules import (
    CLAIMS,
    DESTINATION_IP,
    ENVOY,
    HEADERS,
    OF_IDENTITY,
    OF_TOKEN,
    OPERATION_FIELDS,
    PORT,
    REMOTE_IP,
    SERVICE_ACCOUNT,
    SNI,
    SOURCE_FIELDS,
    SOURCE_IP,
    TRUST_DOMAIN,
    Request,
    Rule,
    TrustDomains,
    as_ztunnel,
    matches,
    rule_of,
    template_problem,
)
from kubeassay.analysis.mesh.settings import mesh_settings
from kubeassay.analysis.network.endpoints import Workload, namespace_of
from kubeassay.analysis.reading import items, mapping, string
from kubeassay.model import Inventory, Object, Path

GROUP = "security.istio.io"
Action = Literal["ALLOW", "DENY", "AUDIT", "CUSTOM"]
_ACTIONS: tuple[Action, ...] = ("ALLOW", "DENY", "AUDIT", "CUSTOM")
DRY_RUN = "istio.io/dry-run"
#: The label of pods that are a gateway (or a waypoint) of the Gateway API: its name.
GATEWAY_NAME = "gateway.networking.k8s.io/gateway-name"
#: The label of a waypoint's pods, and of what uses one.
MANAGED, WAYPOINT_CONTROLLER = "gateway.istio.io/managed", "istio.io-mesh-controller"


@dataclass(frozen=True, slots=True)
class TargetRef:
    """What a policy is attached to by name. ``path``: from the policy's root to the reference."""

    group: str
    kind: str
    name: str
    namespace: str
    path: Path


@dataclass(frozen=True, slots=True)
class Problem:
    """Why Istio's validation refuses an object: where, and in words."""

    path: Path
    words: str


@dataclass(frozen=True, slots=True, eq=False)
class Policy:
    """An AuthorizationPolicy. ``selector`` None: none, which selects all of the namespace (of the mesh, in the root
    namespace). ``refused``: what Istio refuses it for; a policy that is refused has no effect."""

    obj: Object
    namespace: str
    name: str
    action: Action
    rules: tuple[Rule, ...]
    selector: Mapping[str, str] | None
    target_refs: tuple[TargetRef, ...]
    provider: str
    dry_run: bool
    refused: tuple[Problem, ...]

    def __str__(self) -> str:
        return f"AuthorizationPolicy {self.namespace}/{self.name}"

    @property
    def nothing(self) -> bool:
        """Whether it has no rules: as an ALLOW policy it allows nothing."""
        return not self.rules


@dataclass(frozen=True, slots=True)
class Attached:
    """The policies that apply to a workload, by action, the root namespace's first. ``dry_run`` are without effect;
    ``refused`` would apply if Istio took them."""

    allow: tuple[Policy, ...] = ()
    deny: tuple[Policy, ...] = ()
    custom: tuple[Policy, ...] = ()
    audit: tuple[Policy, ...] = ()
    dry_run: tuple[Policy, ...] = ()
    refused: tuple[Policy, ...] = ()

    @property
    def denies_by_default(self) -> bool:
        """Whether what no rule allows is denied."""
        return bool(self.allow)


class Policies:
    """All AuthorizationPolicies of an inventory, in reading order."""

    def __init__(self, inventory: Inventory, root_namespace: str, trust: TrustDomains) -> None:
        self.root_namespace = root_namespace
        self.trust = trust
        self.all = tuple(policy_of(obj) for obj in inventory.of_kind("AuthorizationPolicy", GROUP) if obj.ref.name)
        self._of_ztunnel: dict[int, Policy] = {}
        self._order = {id(policy): number for number, policy in enumerate(self.all)}
        #: (namespace, a label of the selector) → policies; None: those without a selector.
        self._index: dict[tuple[str, tuple[str, str] | None], list[Policy]] = defaultdict(list)
        for policy in self.all:
            label = next(iter(sorted((policy.selector or {}).items())), None)
            self._index[policy.namespace, label].append(policy)

    def attached(self, workload: Workload, *, ztunnel: bool = False) -> Attached:
        """The policies that apply to a workload's pods; with ``ztunnel`` as that enforces them, which takes ALLOW and
        DENY alone, and of their rules what it knows."""
        if ztunnel:
            common = self.attached(workload)
            return replace(
                common,
                allow=tuple(map(self._as_ztunnel, common.allow)),
                deny=tuple(map(self._as_ztunnel, common.deny)),
                custom=(),
            )
        found: dict[str, list[Policy]] = defaultdict(list)
        for policy in self.selecting(workload.namespace, workload.labels):
            if policy.refused:
                found["refused"].append(policy)
            elif policy.dry_run and policy.action != "CUSTOM":
                found["dry_run"].append(policy)
            else:
                found[policy.action.lower()].append(policy)
        return Attached(**{name: tuple(policies) for name, policies in found.items()})

    def _as_ztunnel(self, policy: Policy) -> Policy:
        found = self._of_ztunnel.get(id(policy))
        if found is None:
            rules = tuple(as_ztunnel(rule, allow=policy.action == "ALLOW") for rule in policy.rules)
            found = self._of_ztunnel[id(policy)] = replace(policy, rules=rules)
        return found

    def selecting(self, namespace: str, labels: Mapping[str, str]) -> Iterator[Policy]:
        """The policies that are attached to pods of a namespace with these labels, refused ones included."""
        gateway = labels.get(GATEWAY_NAME)
        waypoint = labels.get(MANAGED) == WAYPOINT_CONTROLLER
        for space in dict.fromkeys((self.root_namespace, namespace)):
            places = [None, *labels.items()]
            candidates = [policy for place in places for policy in self._index.get((space, place), ())]
            for policy in sorted(candidates, key=lambda policy: self._order[id(policy)]):
                if policy.target_refs:
                    if gateway is not None and self._targets(policy, namespace, gateway, waypoint):
                        yield policy
                elif not (gateway is not None and waypoint) and (policy.selector or {}).items() <= labels.items():
                    yield policy

    def _targets(self, policy: Policy, namespace: str, gateway: str, waypoint: bool) -> bool:
        """Whether a policy's references are to a gateway; those to Services are the waypoint's, one by one."""
        for ref in policy.target_refs:
            if waypoint and policy.namespace == self.root_namespace and _is(ref, "GatewayClass"):
                if ref.name == "istio-waypoint":
                    return True
            elif (
                policy.namespace == namespace
                and ref.namespace in ("", namespace)
                and _is(ref, "Gateway")
                and ref.name == gateway
            ):
                return True
        return False


def _is(ref: TargetRef, kind: str) -> bool:
    return ref.group == "gateway.networking.k8s.io" and ref.kind == kind


def decide(attached: Attached, request: Request, trust: TrustDomains) -> bool | None:
    """Whether policies let a request through; None where that depends on attributes that are not known, or on an
    external authorizer that a CUSTOM policy asks."""
    denied = _any_rule(attached.deny, request, trust, allow=False)
    if denied:
        return False
    if not attached.allow:
        allowed: bool | None = True
    else:
        allowed = _any_rule(attached.allow, request, trust, allow=True)
    if allowed is False:
        return False
    asked = _any_rule(attached.custom, request, trust, allow=False)
    return None if denied is None or allowed is None or asked is not False else True


def _any_rule(policies: Iterable[Policy], request: Request, trust: TrustDomains, *, allow: bool) -> bool | None:
    result: bool | None = False
    for policy in policies:
        for rule in policy.rules:
            held = matches(rule, request, allow=allow, trust=trust)
            if held:
                return True
            if held is None:
                result = None
    return result


# --- reading ---


def policy_of(obj: Object) -> Policy:
    """The policy that an object states."""
    spec = mapping(obj.value.get("spec"))
    stated = spec.get("action")
    action: Action = next((known for known in _ACTIONS if known == stated), "ALLOW")
    annotations = mapping(obj.get("metadata", "annotations"))
    namespace = namespace_of(obj)
    return Policy(
        obj=obj,
        namespace=namespace,
        name=obj.ref.name,
        action=action,
        rules=tuple(rule_of(rule, ("spec", "rules", n), namespace) for n, rule in enumerate(items(spec.get("rules")))),
        selector=selector_of(spec),
        target_refs=target_refs_of(spec),
        provider=string(mapping(spec.get("provider")).get("name")),
        # As Go's strconv.ParseBool reads it; what it cannot read is no dry run.
        dry_run=annotations.get(DRY_RUN) in ("1", "t", "T", "TRUE", "true", "True"),
        refused=tuple(_problems(spec, action)),
    )


def selector_of(spec: Mapping[str, Any]) -> Mapping[str, str] | None:
    """The labels that a WorkloadSelector asks for; None where there is none."""
    selector = spec.get("selector")
    if not isinstance(selector, dict):
        return None
    return {key: string(value) for key, value in mapping(selector.get("matchLabels")).items()}


def target_refs_of(spec: Mapping[str, Any]) -> tuple[TargetRef, ...]:
    """The references of a policy; the older single one counts where the list is empty (GetTargetRefs)."""
    places: list[tuple[Path, Any]] = [
        (("spec", "targetRefs", n), r) for n, r in enumerate(items(spec.get("targetRefs")))
    ]
    if not places and isinstance(spec.get("targetRef"), dict):
        places = [(("spec", "targetRef"), spec["targetRef"])]
    return tuple(_target_ref(mapping(ref), path) for path, ref in places)


def _target_ref(ref: Mapping[str, Any], path: Path) -> TargetRef:
    group, kind, name, namespace = (string(ref.get(key)) for key in ("group", "kind", "name", "namespace"))
    return TargetRef(group, kind, name, namespace, path)


# --- what Istio refuses ---


def selector_problems(spec: Mapping[str, Any]) -> Iterator[Problem]:
    """Why a policy's selector or references are refused (validateOneOfSelectorType, validateWorkloadSelector,
    validatePolicyTargetReference)."""
    stated = [key for key in ("selector", "targetRef", "targetRefs") if spec.get(key)]
    if isinstance(spec.get("selector"), dict) and "selector" not in stated:
        stated.insert(0, "selector")
    if len(stated) > 1:
        yield Problem(("spec", stated[1]), f"{' and '.join(stated)} exclude each other")
    for key, value in mapping(mapping(spec.get("selector")).get("matchLabels")).items():
        if not key or "*" in key or "*" in string(value):
            yield Problem(("spec", "selector", "matchLabels", key), "a selector takes no wildcards and no empty keys")
    for ref in target_refs_of(spec):
        if not ref.name:
            yield Problem((*ref.path, "name"), "targetRef has no name")
        if ref.namespace:
            yield Problem((*ref.path, "namespace"), "targetRef cannot name another namespace")
        if (ref.group, ref.kind) not in _TARGETS:
            yield Problem((*ref.path, "kind"), f"targetRef cannot name {ref.group or 'core'}/{ref.kind}")


#: ("core" may be written out.)
_TARGETS = frozenset(
    {
        ("", "Service"),
        ("core", "Service"),
        ("gateway.networking.k8s.io", "Gateway"),
        ("gateway.networking.k8s.io", "GatewayClass"),
        ("networking.istio.io", "ServiceEntry"),
    }
)


def _problems(spec: Mapping[str, Any], action: Action) -> Iterator[Problem]:
    yield from selector_problems(spec)
    stated = spec.get("action")
    if stated is not None and stated not in _ACTIONS:
        yield Problem(("spec", "action"), f"{stated} is no action: {', '.join(_ACTIONS)}")
    rules = spec.get("rules")
    if rules is not None and not isinstance(rules, list):
        yield Problem(("spec", "rules"), "rules is no list")
    provider = string(mapping(spec.get("provider")).get("name"))
    if not rules and action in ("CUSTOM", "DENY"):
        yield Problem(("spec", "action"), f"{action} without rules never applies; an empty rule applies to everything")
    elif action == "CUSTOM" and not provider:
        yield Problem(("spec", "provider"), "CUSTOM needs provider.name")
    if spec.get("provider") is not None and action != "CUSTOM":
        yield Problem(("spec", "provider"), f"{action} takes no provider")
    for number, rule in enumerate(items(rules)):
        path: Path = ("spec", "rules", number)
        if not isinstance(rule, dict):
            yield Problem(path, "a rule cannot be null" if rule is None else "a rule is a mapping")
            continue
        yield from _part_problems(rule, path, "from", "source", SOURCE_FIELDS, action)
        yield from _part_problems(rule, path, "to", "operation", OPERATION_FIELDS, action)
        for n, condition in enumerate(items(rule.get("when"))):
            yield from _condition_problems(mapping(condition), (*path, "when", n), action)


def _part_problems(
    rule: Mapping[str, Any], path: Path, of: str, inner: str, fields: Mapping[str, str], action: Action
) -> Iterator[Problem]:
    # An empty list is taken for none, which is any: decoding makes no difference between the two.
    for number, entry in enumerate(items(rule.get(of))):
        at: Path = (*path, of, number)
        part = mapping(entry).get(inner)
        if not isinstance(part, dict):
            yield Problem(at, f"{of} needs {inner}")
            continue
        at = (*at, inner)
        names = {name: fields[field] for field in fields for name in (field, "not" + field[0].upper() + field[1:])}
        if not any(items(part.get(name)) for name in names):
            yield Problem(at, f"{inner} states nothing")
        kinds = {names[name] for name in names if items(part.get(name))}
        if SERVICE_ACCOUNT in kinds and kinds & (OF_IDENTITY - {SERVICE_ACCOUNT, TRUST_DOMAIN}):
            yield Problem((*at, "serviceAccounts"), "serviceAccounts exclude namespaces and principals")
        for name, attribute in names.items():
            if action == "CUSTOM" and items(part.get(name)) and (attribute in OF_IDENTITY or attribute in OF_TOKEN):
                yield Problem((*at, name), f"CUSTOM takes no {name}")
            yield from _value_problems(attribute, part.get(name), (*at, name))


def _condition_problems(condition: Mapping[str, Any], path: Path, action: Action) -> Iterator[Problem]:
    key = string(condition.get("key"))
    if not key:
        yield Problem((*path, "key"), "a condition needs a key")
        return
    if not items(condition.get("values")) and not items(condition.get("notValues")):
        yield Problem(path, f"{key} has neither values nor notValues")
    if key.startswith((HEADERS, CLAIMS, ENVOY)):
        at = key.find("[")
        if not (key.endswith("]") and 0 < at < len(key) - 2):
            yield Problem((*path, "key"), f"{key} has no name in brackets, as in {HEADERS}[x-token]")
    elif key not in (*OF_IDENTITY, *OF_TOKEN, SOURCE_IP, REMOTE_IP, DESTINATION_IP, PORT, SNI):
        yield Problem((*path, "key"), f"{key} is no attribute that Istio knows")
        return
    if action == "CUSTOM" and (key in OF_IDENTITY or key.startswith("request.auth.")):
        yield Problem((*path, "key"), f"CUSTOM takes no {key}")
    for name in ("values", "notValues"):
        yield from _value_problems(key, condition.get(name), (*path, name))


def _value_problems(attribute: str, values: Any, path: Path) -> Iterator[Problem]:
    if values is not None and not isinstance(values, list):
        yield Problem(path, f"{path[-1]} is no list")
    if attribute == SERVICE_ACCOUNT and len(items(values)) > 16:
        yield Problem(path, "more than 16 service accounts")
    for number, value in enumerate(items(values)):
        at = (*path, number)
        if not isinstance(value, str) or not value:
            yield Problem(at, "a value is a string, and not empty")
        elif attribute in (SOURCE_IP, REMOTE_IP, DESTINATION_IP):
            try:
                ipaddress.ip_network(value, strict=False)
            except ValueError:
                yield Problem(at, f"{value} is neither an address nor a CIDR")
        elif attribute == PORT and (not re.fullmatch(r"[0-9]{1,10}", value) or int(value) > 65535):
            yield Problem(at, f"{value} is no port")
        elif attribute == SERVICE_ACCOUNT and (
            "*" in value or value.count("/") > 1 or not all(value.split("/")) or len(value) > 320
        ):
            yield Problem(at, f"{value} is no service account, as name or namespace/name, without wildcards")
        elif attribute == TRUST_DOMAIN and ("/" in value or "*" in value[1:-1] or value.count("*") > 1):
            yield Problem(at, f"{value} is no trust domain, with at most one wildcard at its start or its end")
        elif attribute == "paths":
            words = template_problem(value)
            if words:
                yield Problem(at, words)


def authorization(inventory: Inventory) -> Policies:
    """The AuthorizationPolicies of an inventory, with the root namespace and the trust domain that its mesh has."""
    found: Policies | None = inventory.facts.get(Policies)
    if found is None:
        settings = mesh_settings(inventory)
        trust = TrustDomains((settings.trust_domain, *settings.trust_domain_aliases))
        found = inventory.facts[Policies] = Policies(inventory, settings.root_namespace, trust)
    return found
