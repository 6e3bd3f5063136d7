"""Who may call a workload, by the AuthorizationPolicies that apply to it, in words and as data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from kubeassay.analysis.mesh.authorization import Attached, Policy
from kubeassay.analysis.mesh.authorization_rules import (
    HOST,
    METHOD,
    NAMESPACE,
    OF_IDENTITY,
    PORT,
    PRINCIPAL,
    REMOTE_IP,
    REQUEST_PRINCIPAL,
    SERVICE_ACCOUNT,
    SOURCE_IP,
    TRUST_DOMAIN,
    URL_PATH,
    Request,
    Rule,
    Term,
    Terms,
    TrustDomains,
    applies,
    matches,
    terms_hold,
)
from kubeassay.model import Path

#: Attribute → (one, several), as words say it.
_WORDS: Mapping[str, tuple[str, str]] = {
    PRINCIPAL: ("principal", "principals"),
    NAMESPACE: ("namespace", "namespaces"),
    SERVICE_ACCOUNT: ("service account", "service accounts"),
    TRUST_DOMAIN: ("trust domain", "trust domains"),
    SOURCE_IP: ("address", "addresses"),
    REMOTE_IP: ("original address", "original addresses"),
    REQUEST_PRINCIPAL: ("request principal", "request principals"),
    METHOD: ("method", "methods"),
    URL_PATH: ("path", "paths"),
    HOST: ("host", "hosts"),
    PORT: ("port", "ports"),
}
Effect = Literal["allow", "deny", "ask"]


@dataclass(frozen=True, slots=True, eq=False)
class Caller:
    """What one source of one rule says: these callers may (may not, may if a provider agrees) do these operations.

    ``policy`` is None where no ALLOW policy applies, so that everybody may do everything. ``path``: from the policy's
    root to the source (to the rule, where it states none). ``in_effect`` False: a rule that Istio skips here, because
    the workload is not served as HTTP.
    """

    effect: Effect
    policy: Policy | None
    rule: Rule | None
    source: Terms | None
    path: Path
    in_effect: bool = True

    @property
    def who(self) -> str:
        return said(self.source.terms, "anyone") if self.source is not None else "anyone"

    @property
    def operations(self) -> tuple[str, ...]:
        """What they may do, one alternative each; empty: everything."""
        if self.rule is None or any(not operation.terms for operation in self.rule.operations):
            return ()
        return tuple(said(operation.terms, "everything") for operation in self.rule.operations)

    def values(self, attribute: str) -> tuple[str, ...]:
        """The values that the source, or any operation, asks of an attribute."""
        terms = [*(self.source.terms if self.source else ())]
        terms += [term for operation in (self.rule.operations if self.rule else ()) for term in operation.terms]
        return tuple(dict.fromkeys(v.text for term in terms if term.attribute == attribute for v in term.values))

    def __str__(self) -> str:
        may = {"allow": "may", "deny": "may not", "ask": f"may if {self._provider} agrees"}[self.effect]
        return f"{self.who} {may} use {' or '.join(self.operations) or 'everything'}"

    @property
    def _provider(self) -> str:
        return self.policy.provider if self.policy is not None else ""


def callers(attached: Attached, *, http: bool = True) -> tuple[Caller, ...]:
    """What the policies that are attached to a workload say: what CUSTOM asks, what DENY denies, what ALLOW allows, in
    the order in which Istio asks. Without any allowed: nobody may call it.

    Whether it has a proxy at all, which enforces policies, is another question: see membership. Waypoints, which may
    ask more than ztunnel does, are not followed.

    ``http`` False: over TCP, as ztunnel sees all traffic: rules that ask for HTTP are not in effect there.
    """
    found: list[Caller] = []
    effects: tuple[tuple[Effect, tuple[Policy, ...]], ...] = (
        ("ask", attached.custom),
        ("deny", attached.deny),
        ("allow", attached.allow),
    )
    for effect, policies in effects:
        found += (caller for policy in policies for caller in _of(policy, effect, http))
    if not attached.denies_by_default:
        found.append(Caller("allow", None, None, None, ()))
    return tuple(found)


def _of(policy: Policy, effect: Effect, http: bool) -> Iterator[Caller]:
    for rule in policy.rules:
        in_effect = not rule.unknown and (effect != "allow" or applies(rule, http=http))
        for source in rule.sources:
            yield Caller(effect, policy, rule, source, source.path, in_effect)


def may_call(attached: Attached, request: Request, trust: TrustDomains) -> tuple[Caller, ...]:
    """What lets a request through: the sources of ALLOW rules that may hold for it. Empty: nothing does, or a DENY rule
    surely holds. ``request``: what is known of it; the rest may be anything."""
    for policy in attached.deny:
        if any(matches(rule, request, allow=False, trust=trust) for rule in policy.rules):
            return ()
    if not attached.denies_by_default:
        return (Caller("allow", None, None, None, ()),)
    return tuple(
        Caller("allow", policy, rule, source, source.path)
        for policy in attached.allow
        for rule in policy.rules
        if matches(rule, request, allow=True, trust=trust) is not False
        for source in rule.sources
        if terms_hold(source, request, trust) is not False
    )


def said(terms: Iterable[Term], nothing: str) -> str:
    """Terms in words; ``nothing`` where there are none."""
    texts: list[str] = []
    for term in terms:
        one, several = _WORDS.get(term.attribute, (term.attribute, term.attribute))
        if term.values:
            texts.append(_listed(one, several, [value.text for value in term.values]))
        if term.not_values:
            texts.append("not " + _listed(one, several, [value.text for value in term.not_values]))
    return ", ".join(texts) or nothing


def _listed(one: str, several: str, values: list[str]) -> str:
    shown = values if len(values) < 5 else [*values[:3], f"{len(values) - 3} more"]
    return f"{one if len(values) == 1 else several} {' or '.join(shown)}"


def needs_identity(terms: Terms) -> tuple[Term, ...]:
    """The terms that only a caller's certificate can fulfil, or break."""
    return terms.of(*OF_IDENTITY)
