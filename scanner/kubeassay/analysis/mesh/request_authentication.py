"""RequestAuthentications of Istio: which tokens a workload takes, and whether a policy asks for one.

Source: istio/istio @eed52eb, pilot/pkg/security/authn/policy_applier.go (a request without a token passes; only one
with a token that is not valid is refused), pkg/config/validation/validation.go (ValidateRequestAuthentication).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from kubeassay.analysis.mesh.authorization import (
    GROUP,
    Attached,
    Problem,
    TargetRef,
    selector_of,
    selector_problems,
    target_refs_of,
)
from kubeassay.analysis.mesh.authorization_rules import OF_TOKEN, Rule, Term
from kubeassay.analysis.network.endpoints import namespace_of
from kubeassay.analysis.reading import items, mapping, string
from kubeassay.model import Inventory, Object, Path


@dataclass(frozen=True, slots=True, eq=False)
class RequestAuthentication:
    """One object. ``jwks_uris``: where keys are fetched from, with the places."""

    obj: Object
    namespace: str
    selector: Mapping[str, str] | None
    target_refs: tuple[TargetRef, ...]
    issuers: tuple[str, ...]
    jwks_uris: tuple[tuple[str, Path], ...]
    refused: tuple[Problem, ...]

    def __str__(self) -> str:
        return f"RequestAuthentication {self.namespace}/{self.obj.ref.name}"


def request_authentications(inventory: Inventory) -> tuple[RequestAuthentication, ...]:
    """All RequestAuthentications, in reading order."""
    return tuple(_read(obj) for obj in inventory.of_kind("RequestAuthentication", GROUP) if obj.ref.name)


def _read(obj: Object) -> RequestAuthentication:
    spec = mapping(obj.value.get("spec"))
    rules = [(("spec", "jwtRules", n), mapping(rule)) for n, rule in enumerate(items(spec.get("jwtRules")))]
    uris: list[tuple[str, Path]] = []
    for path, rule in rules:
        uris += ((string(rule[key]), (*path, key)) for key in ("jwksUri", "jwks_uri") if string(rule.get(key)))
    return RequestAuthentication(
        obj=obj,
        namespace=namespace_of(obj),
        selector=selector_of(spec),
        target_refs=target_refs_of(spec),
        issuers=tuple(string(rule.get("issuer")) for _, rule in rules),
        jwks_uris=tuple(uris),
        refused=tuple(_problems(obj)),
    )


def _problems(obj: Object) -> Iterator[Problem]:
    spec = mapping(obj.value.get("spec"))
    yield from selector_problems(spec)
    for number, rule in enumerate(items(spec.get("jwtRules"))):
        rule = mapping(rule)
        path: Path = ("spec", "jwtRules", number)
        uri = string(rule.get("jwksUri")) or string(rule.get("jwks_uri"))
        if not string(rule.get("issuer")) and not uri:
            yield Problem((*path, "issuer"), "a rule needs an issuer, or jwksUri")
        if uri and not uri.lower().startswith(("http://", "https://")):
            yield Problem((*path, "jwksUri"), f"{uri} is no URL of http or https")
        for n, audience in enumerate(items(rule.get("audiences"))):
            if not string(audience):
                yield Problem((*path, "audiences", n), "an audience cannot be empty")


def token_required(attached: Attached) -> bool:
    """Whether some policy asks for a token: an ALLOW rule that holds only with one (others may open what needs
    none), or a DENY rule for requests without one."""
    if any(_only_without(rule) for policy in attached.deny for rule in policy.rules):
        return True
    rules = [rule for policy in attached.allow for rule in policy.rules]
    return bool(attached.allow) and any(_asks(rule) for rule in rules)


def _asks(rule: Rule) -> bool:
    return all(any(_of_token(term) and term.values for term in source.terms) for source in rule.sources)


def _only_without(rule: Rule) -> bool:
    return any(_of_token(term) and term.not_values for source in rule.sources for term in source.terms)


def _of_token(term: Term) -> bool:
    return term.attribute.startswith(OF_TOKEN)
