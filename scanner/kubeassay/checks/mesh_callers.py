"""Who may call a workload in effect, against who is documented to."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from kubeassay.analysis.mesh.authorization import Attached, Policies, authorization
from kubeassay.analysis.mesh.authorization_rules import (
    LOCAL,
    METHOD,
    NAMESPACE,
    OF_IDENTITY,
    PORT,
    PRINCIPAL,
    SERVICE_ACCOUNT,
    TRUST_DOMAIN,
    Request,
    Term,
)
from kubeassay.analysis.mesh.callers import Caller, may_call
from kubeassay.analysis.mesh.membership import Membership
from kubeassay.analysis.mesh.mtls import Mtls, WorkloadMtls, mtls
from kubeassay.analysis.mesh.waypoints import waypoints
from kubeassay.analysis.network.endpoints import Workload
from kubeassay.analysis.network.workloads import workloads
from kubeassay.checks.check import Context, NotApplicable, NotJudged, Passed, Said, Violation, check
from kubeassay.checks.network_common import matches, shown
from kubeassay.model import Inventory, Object, Path

#: A name that nothing has: what a rule says of it, it says of anything that is not listed.
_OTHER = "any-other"
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "OPTIONS", "TRACE")


@dataclass(frozen=True, slots=True)
class _Documented:
    """A documented caller of a workload. ``callers``: patterns of namespaces or namespace/service-account; "*" is
    anybody, without an identity, too. Empty ``methods`` and ``ports``: all."""

    callers: tuple[str, ...]
    methods: frozenset[str]
    ports: frozenset[int]

    def names(self, identity: _Identity | None) -> bool:
        if "*" in self.callers:
            return True
        return identity is not None and any(_means(pattern, identity) for pattern in self.callers)


@dataclass(frozen=True, slots=True, order=True)
class _Identity:
    """Whose certificate a caller shows."""

    namespace: str
    service_account: str
    #: Empty: the mesh's own.
    trust_domain: str = ""

    def __str__(self) -> str:
        if self.trust_domain:
            return f"{self.namespace}/{self.service_account} of trust domain {self.trust_domain}"
        if self.namespace == _OTHER:
            return "any other namespace"
        if self.service_account == _OTHER:
            return f"any service account of namespace {self.namespace}"
        return f"{self.namespace}/{self.service_account}"

    def principal(self, trust_domain: str) -> str:
        return f"{self.trust_domain or trust_domain}/ns/{self.namespace}/sa/{self.service_account}"


def _means(pattern: str, identity: _Identity) -> bool:
    namespace, slash, account = pattern.partition("/")
    if identity.trust_domain:
        return False
    return fnmatch.fnmatchcase(identity.namespace, namespace) and (
        not slash or fnmatch.fnmatchcase(identity.service_account, account)
    )


@dataclass(slots=True)
class _Findings:
    """What a policy lets through beyond what is documented, by place."""

    by_place: dict[tuple[int, Path], tuple[Object, list[str]]] = field(default_factory=dict)

    def add(self, obj: Object, path: Path, words: str) -> None:
        _, listed = self.by_place.setdefault((id(obj), path), (obj, []))
        if words not in listed:
            listed.append(words)


@check("documented-callers")
def documented_callers(inventory: Inventory, context: Context) -> Iterator[Said]:
    """Callers are tried one by one: each identity that there is, one of each namespace that a policy names, one that
    nobody names, and none at all where plain text is taken."""
    stated = context.parameters["callers"]
    if not stated:
        yield NotApplicable()
        return
    policies, modes = authorization(inventory), mtls(inventory)
    known = frozenset(_Identity(workload.namespace, workload.service_account) for workload in workloads(inventory))
    # Whoever names a trust domain trusts it, whatever the policy is about.
    terms = (
        term
        for policy in policies.all
        for rule in policy.rules
        for source in rule.sources
        for term in source.of(*OF_IDENTITY)
    )
    asked = _Asked(known, frozenset(domain for term in terms for domain, _, _ in _of_term(term) if domain))
    for workload in workloads(inventory):
        documented = [_documented(entry) for entry in stated if _is_meant(entry, workload)]
        if documented:
            yield from _judged(workload, documented, policies, modes, asked)
    for entry in stated:
        for pattern in _patterns(entry["to"]):
            if not any(matches(pattern, workload) for workload in workloads(inventory)):
                yield NotJudged("no-objects", f"no workload that {pattern} means is among the inputs")


def _patterns(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value]


def _is_meant(entry: Mapping[str, Any], workload: Workload) -> bool:
    return any(matches(pattern, workload) for pattern in _patterns(entry["to"]))


def _documented(entry: Mapping[str, Any]) -> _Documented:
    return _Documented(
        tuple(_patterns(entry["from"])), frozenset(entry.get("methods", ())), frozenset(entry.get("ports", ()))
    )


def _judged(
    workload: Workload,
    documented: list[_Documented],
    policies: Policies,
    modes: Mtls,
    asked: _Asked,
) -> Iterator[Said]:
    state = modes.of(workload)
    membership: Membership = state.membership
    if membership.kind == "unknown":
        yield NotJudged(membership.reason or "unknown-mesh", f"{workload}: {membership.words}", workload.obj)
        return
    if membership.kind in ("outside", "proxyless"):
        words = f"{workload} has no proxy, so that no AuthorizationPolicy restricts its callers: {membership.words}"
        obj, path = membership.place
        yield Violation(("metadata", "name"), words, obj=workload.obj, related=(("what decides", obj, path),))
        return
    attached = policies.attached(workload, ztunnel=membership.kind == "ambient")
    waypoint = next((p for p in policies.all if p.target_refs and p.namespace == workload.namespace), None)
    if membership.kind == "ambient" and waypoint is not None:
        words = (
            f"{waypoint} is enforced by a waypoint, and which of the traffic to {workload} passes it is not followed"
        )
        yield NotJudged("unsupported", words, workload.obj)
        return
    through = waypoints(modes.inventory).unknown(workload)
    if through:
        yield NotJudged("unsupported", through, workload.obj)
        return
    if attached.refused:
        words = f"{attached.refused[0]} applies to {workload}, and Istio refuses it"
        yield NotJudged("invalid-object", words, workload.obj)
        return
    if not attached.denies_by_default and not any("*" in entry.callers and not entry.methods for entry in documented):
        words = f"no AuthorizationPolicy allows anything at {workload}, so any caller may do anything"
        yield Violation(
            ("metadata", "name"), f"{words}, and documented callers are {_said(documented)}", obj=workload.obj
        )
        return
    plain, doubt = _takes_plain_text(state)
    tried = _tried(attached, documented, (LOCAL, *policies.trust.names), asked)
    if tried is None:
        words = f"the policies of {workload} name more identities than are tried"
        yield NotJudged("unsupported", words, workload.obj)
        return
    identities: list[_Identity | None] = [*tried]
    if plain is not False:
        identities.append(None)
    found = _Findings()
    asker = _Asker(attached, policies, membership.kind == "ambient", asked)
    for identity in identities:
        _beyond(workload, identity, documented, asker, found)
    bypassed = [] if any("*" in entry.callers for entry in documented) else list(_bypassed(state))
    yield from bypassed
    missing = list(_missing(workload, documented, asker, tried))
    for obj, listed in found.by_place.values():
        path = next(place for (of, place), value in found.by_place.items() if of == id(obj) and value[1] is listed)
        yield Violation(
            path, f"{workload} may be called by {_callers(listed)}; documented: {_said(documented)}", obj=obj
        )
    for words in missing:
        related = tuple(
            (f"{policy} denies by default", policy.obj, ("metadata", "name")) for policy in attached.allow[:3]
        )
        yield Violation(("metadata", "name"), words, obj=workload.obj, related=related)
    if doubt and not found.by_place:
        yield NotJudged("unknown-mtls", f"{workload}: {doubt}", workload.obj)
    elif not found.by_place and not missing and not bypassed:
        yield Passed(workload.obj)


_NOBODY = "a caller without an identity"


def _callers(listed: list[str]) -> str:
    """Those of a place in words. Who stands for all others comes first."""
    everybody = [text for text in (_NOBODY, "any other namespace") if text in listed]
    if len(everybody) == 2:
        return "anybody, also without an identity"
    return shown([*everybody, *(text for text in listed if text not in everybody)])


def _said(documented: list[_Documented]) -> str:
    texts = []
    for entry in documented:
        what = [f"methods {', '.join(sorted(entry.methods))}"] if entry.methods else []
        what += [f"ports {', '.join(map(str, sorted(entry.ports)))}"] if entry.ports else []
        texts.append(f"{', '.join(entry.callers)}{f' ({chr(59).join(what)})' if what else ''}")
    return "; ".join(texts)


def _bypassed(state: WorkloadMtls) -> Iterator[Violation]:
    """The ports that the proxy does not see: no policy is enforced there."""
    for port in state.ports:
        # Without a place it is the proxy's own port.
        if port.bypass is not None and port.bypass.place is not None:
            words = f"port {port.number} of {state.workload} passes the proxy by, so that any caller may use it"
            obj, path = port.bypass.place
            yield Violation(path, f"{words}: {port.bypass.words}", obj=obj)


def _takes_plain_text(state: WorkloadMtls) -> tuple[bool | None, str]:
    """Whether callers without a certificate are served, by a proxy that enforces policies; None: not known, and why."""
    if state.membership.kind == "gateway":
        return True, ""
    decisions = [port.decision for port in state.ports if port.bypass is None] or [state.default]
    doubt = next((decision.unknown for decision in decisions if decision.mode is None), "")
    if any(decision.mode not in ("STRICT", None) for decision in decisions):
        return True, ""
    return (None, doubt) if doubt else (False, "")


@dataclass(slots=True)
class _Asked:
    """What is asked of all workloads together: answers of the same policies are the same, and there is an end to it.

    ``known``: the identities that there are. ``domains``: trust domains that policies name. ``left``: how many rules
    may still be tried.
    """

    known: frozenset[_Identity]
    domains: frozenset[str]
    left: int = 3_000_000
    answers: dict[tuple[Any, ...], tuple[Caller, ...]] = field(default_factory=dict)


#: More identities than any policy that is written by hand tells apart.
_MANY = 20_000


def _tried(
    attached: Attached, documented: list[_Documented], own: Iterable[str], asked: _Asked
) -> list[_Identity] | None:
    """Identities that tell the values apart that policies and the documentation name, whether there are such or not:
    each namespace with each service account, since a rule may ask for both by different fields. None: too many."""
    rules = [rule for policy in (*attached.allow, *attached.deny) for rule in policy.rules]
    terms = [term for rule in rules for source in rule.sources for term in source.of(*OF_IDENTITY)]
    named = {pair for term in terms for pair in _of_term(term)}
    for entry in documented:
        for pattern in entry.callers:
            namespace, _, account = pattern.partition("/")
            named.add(("", namespace.replace("*", _OTHER), account.replace("*", _OTHER)))
    domains = sorted({domain for domain in asked.domains | {d for d, _, _ in named} if domain not in own} | {""})
    namespaces = sorted({namespace for _, namespace, _ in named if namespace} | {_OTHER})
    accounts = sorted({account for _, _, account in named if account} | {_OTHER})
    count = len(domains) * len(namespaces) * len(accounts)
    # What two wildcards mean together only names tell that fit both.
    patterns = any("*" in value.text.strip("*") or value.text.strip("*") != value.text != "*"
                   for term in terms for value in (*term.values, *term.not_values))  # fmt: skip
    known = asked.known if patterns else frozenset()
    if count > _MANY or (count + len(known)) * (len(rules) + 1) > asked.left:
        return None
    asked.left -= (count + len(known)) * (len(rules) + 1)
    made = {_Identity(space, account, domain) for domain in domains for space in namespaces for account in accounts}
    return sorted(made | known)


def _of_term(term: Term) -> Iterator[tuple[str, str, str]]:
    """(trust domain, namespace, service account) that a term's values name; empty: any."""
    for value in (*term.values, *term.not_values):
        text = value.text
        if term.attribute == NAMESPACE:
            yield "", text.replace("*", _OTHER), ""
        elif term.attribute == SERVICE_ACCOUNT:
            namespace, _, account = text.partition("/")
            yield "", namespace, account
        elif term.attribute == TRUST_DOMAIN:
            yield text.replace("*", _OTHER), "", ""
        else:
            yield _of_principal(text)


def _of_principal(text: str) -> tuple[str, str, str]:
    """What a principal, or the pattern of one, names: its parts, where the wildcard's end is filled up."""
    parts = text.replace("*", "", 1).split("/") if text != "*" else []
    if text.startswith("*") and text != "*":
        parts = [*[""] * (5 - len(parts)), *parts]
        cut = next((n for n, part in enumerate(parts) if part), len(parts))
        parts = (
            [_OTHER + part if n == cut and part else part for n, part in enumerate(parts)] if cut in (2, 4) else parts
        )
    elif text.endswith("*") and len(parts) in (3, 5):
        parts[-1] += _OTHER
    parts = [*parts, *[""] * (5 - len(parts))]
    # No name has a wildcard in it: where Istio takes one literally, nobody matches.
    domain, _, namespace, _, account = (part.replace("*", _OTHER) for part in parts[:5])
    return ("" if text.startswith("*") else domain), namespace, account


@dataclass(frozen=True, slots=True)
class _Asker:
    attached: Attached
    policies: Policies
    ambient: bool
    asked: _Asked

    def ask(self, identity: _Identity | None, **known: Any) -> tuple[Caller, ...]:
        """What may let a caller through; of the rest of its request nothing is known."""
        of = tuple(id(policy) for policy in (*self.attached.allow, *self.attached.deny))
        key = (of, self.ambient, identity, *known.items())
        found = self.asked.answers.get(key)
        if found is None:
            found = self.asked.answers[key] = self._ask(identity, known)
        return found

    def _ask(self, identity: _Identity | None, known: Mapping[str, Any]) -> tuple[Caller, ...]:
        trust = replace(self.policies.trust, literal=self.ambient)
        attributes = {PRINCIPAL: identity.principal(trust.own) if identity is not None else None}
        if "method" in known:
            attributes[METHOD] = known["method"]
        if "port" in known:
            attributes[PORT] = known["port"]
        found = () if self.ambient else may_call(self.attached, Request(attributes), trust)
        if "method" not in known and not found:
            found = may_call(self.attached, Request(attributes, http=False), trust)
        return found


def _beyond(
    workload: Workload, identity: _Identity | None, documented: list[_Documented], asker: _Asker, found: _Findings
) -> None:
    """Note what lets a caller do what is not documented for it."""
    who = str(identity) if identity is not None else _NOBODY
    entries = [entry for entry in documented if entry.names(identity)]
    if not entries:
        for caller in asker.ask(identity):
            found.add(*_place(caller, workload, ()), who)
        return
    if all(entry.methods for entry in entries):
        allowed = frozenset[str]().union(*(entry.methods for entry in entries))
        others: dict[tuple[int, Path], tuple[Object, Path, list[str]]] = {}
        for method in (*(m for m in _METHODS if m not in allowed), _OTHER):
            for caller in asker.ask(identity, method=method):
                obj, path = _place(caller, workload, (METHOD,))
                others.setdefault((id(obj), path), (obj, path, []))[2].append(method)
        for obj, path, methods in others.values():
            what = "any other" if _OTHER in methods else ", ".join(methods)
            found.add(obj, path, f"{who} with {what} method")
    if all(entry.ports for entry in entries):
        ports = frozenset[int]().union(*(entry.ports for entry in entries))
        for port in workload.ports:
            if port.protocol == "TCP" and port.number not in ports:
                for caller in asker.ask(identity, port=port.number):
                    found.add(*_place(caller, workload, (PORT,)), f"{who} on port {port.number}")


def _place(caller: Caller, workload: Workload, of: tuple[str, ...]) -> tuple[Object, Path]:
    """Where a rule says what lets a caller through: of an operation where that is what lets it, else its source."""
    if caller.policy is None or caller.rule is None or caller.source is None:
        return workload.obj, ("metadata", "name")
    obj = caller.policy.obj
    operations = [term for operation in caller.rule.operations for term in operation.terms]
    limiting = [term for term in operations if term.attribute in of]
    if limiting:
        return obj, limiting[0].path
    if caller.source.terms:
        return obj, caller.source.terms[0].path
    return obj, operations[0].path if operations else caller.rule.path


def _missing(
    workload: Workload,
    documented: list[_Documented],
    asker: _Asker,
    identities: Sequence[_Identity],
) -> Iterator[str]:
    """The documented callers that policies refuse."""
    for entry in documented:
        for pattern in entry.callers:
            namespace, slash, account = pattern.partition("/")
            if "*" in pattern or "?" in pattern or "[" in pattern:
                continue
            tried = (
                [_Identity(namespace, account)]
                if slash
                else [i for i in identities if i.namespace == namespace and not i.trust_domain]
            )
            for method in sorted(entry.methods) or [""]:
                for port in sorted(entry.ports) or [0]:
                    request: dict[str, Any] = {
                        **({"method": method} if method else {}),
                        **({"port": port} if port else {}),
                    }
                    if not any(asker.ask(identity, **request) for identity in tried):
                        what = f" with method {method}" if method else ""
                        what += f" on port {port}" if port else ""
                        yield f"{pattern} is documented to call {workload}{what}, and no AuthorizationPolicy allows it"
