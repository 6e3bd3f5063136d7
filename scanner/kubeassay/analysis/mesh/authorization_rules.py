"""Rules of Istio's AuthorizationPolicies, and whether a request fulfils one.

Source: istio/istio @eed52eb, pilot/pkg/security/authz/model (model.go: a source's and an operation's fields are joined
by AND, the values of a field by OR; generator.go: how each value is matched; errors make an ALLOW rule go, and only
their value of a DENY rule), pilot/pkg/security/authz/matcher, pilot/pkg/security/trustdomain/bundle.go.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from kubeassay.analysis.reading import items, mapping, string
from kubeassay.model import Path

#: Attributes, as ``when`` names them; those of operations have the names of their fields.
PRINCIPAL, NAMESPACE = "source.principal", "source.namespace"
SERVICE_ACCOUNT, TRUST_DOMAIN = "source.serviceAccount", "source.trustDomain"
SOURCE_IP, REMOTE_IP, DESTINATION_IP = "source.ip", "remote.ip", "destination.ip"
REQUEST_PRINCIPAL, AUDIENCES = "request.auth.principal", "request.auth.audiences"
PRESENTER, CLAIMS, HEADERS = "request.auth.presenter", "request.auth.claims", "request.headers"
PORT, SNI, ENVOY = "destination.port", "connection.sni", "experimental.envoy.filters."
METHOD, URL_PATH, HOST = "methods", "paths", "hosts"

#: In a policy it stands for the mesh's own trust domain, whatever that is.
LOCAL = "cluster.local"

#: Attributes that only a peer's certificate tells: without mTLS a caller has none of them.
OF_IDENTITY = frozenset({PRINCIPAL, NAMESPACE, SERVICE_ACCOUNT, TRUST_DOMAIN})
#: Attributes that a token tells.
OF_TOKEN = (REQUEST_PRINCIPAL, AUDIENCES, PRESENTER, CLAIMS)

#: Field of a source, or of an operation → attribute; "not" and a capital letter before it for what must not hold.
SOURCE_FIELDS: Mapping[str, str] = {
    "principals": PRINCIPAL,
    "requestPrincipals": REQUEST_PRINCIPAL,
    "serviceAccounts": SERVICE_ACCOUNT,
    "trustDomains": TRUST_DOMAIN,
    "namespaces": NAMESPACE,
    "remoteIpBlocks": REMOTE_IP,
    "ipBlocks": SOURCE_IP,
}
OPERATION_FIELDS: Mapping[str, str] = {"hosts": HOST, "methods": METHOD, "paths": URL_PATH, "ports": PORT}


def is_http(attribute: str) -> bool:
    """Whether only an HTTP request has an attribute."""
    return attribute in (METHOD, URL_PATH, HOST) or attribute.startswith((*OF_TOKEN, HEADERS))


@dataclass(frozen=True, slots=True)
class Value:
    """One value of a field, and where it stands."""

    text: str
    path: Path


@dataclass(frozen=True, slots=True)
class Term:
    """What a rule asks of one attribute: one of ``values`` (empty: any), and none of ``not_values``. ``path``: from the
    policy's root to the field or condition that states it."""

    attribute: str
    values: tuple[Value, ...]
    not_values: tuple[Value, ...]
    path: Path


@dataclass(frozen=True, slots=True)
class Terms:
    """All must hold: a source with the conditions on the caller, or an operation with those on what is called.

    ``path``: to the ``source`` or ``operation``, where there is one, else to the rule.
    """

    terms: tuple[Term, ...]
    path: Path
    stated: bool

    def of(self, *attributes: str) -> tuple[Term, ...]:
        return tuple(term for term in self.terms if term.attribute in attributes)


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: one of its sources and one of its operations must hold. There is at least one of each; one without
    terms holds for every request. ``unknown``: the attribute that makes Istio skip the rule."""

    path: Path
    sources: tuple[Terms, ...]
    operations: tuple[Terms, ...]
    unknown: str

    @property
    def matches_everything(self) -> bool:
        """Whether every request fulfils it, whatever it is."""
        return not self.unknown and any(not s.terms for s in self.sources) and any(not o.terms for o in self.operations)


@dataclass(frozen=True, slots=True)
class TrustDomains:
    """The mesh's own trust domain, then its aliases. ``literal``: policies are taken by the letter, as ztunnel does,
    so that none stands for another."""

    names: tuple[str, ...] = ("cluster.local",)
    literal: bool = False

    @property
    def own(self) -> str:
        return self.names[0]


@dataclass(frozen=True, slots=True)
class Request:
    """A request, or what is known of it. ``attributes`` that are absent are not known; None: the request has none (a
    caller without mTLS has no source.principal).

    Of the attributes of identities only source.principal is stated (``cluster.local/ns/shop/sa/web``);
    destination.port is a number, request.auth.principal (issuer, subject), request.auth.audiences and claims are tuples
    of strings. ``http`` False: a TCP connection, of which a proxy sees nothing of HTTP.
    """

    attributes: Mapping[str, Any]
    http: bool = True


#: What ztunnel knows of a connection, as fields of rules and as keys of conditions.
_OF_ZTUNNEL = frozenset({PRINCIPAL, NAMESPACE, SOURCE_IP, DESTINATION_IP, PORT})


def as_ztunnel(rule: Rule, *, allow: bool) -> Rule:
    """A rule as istiod gives it to ztunnel (istio/istio @eed52eb, pilot/pkg/serviceregistry/ambient/authorization.go,
    handleRule). It says nothing of trust domains of sources, so that they restrict nothing; with what else ztunnel does
    not know, a rule of an ALLOW policy goes as a whole, and another one loses it."""

    def kept(terms: Terms) -> Terms:
        return replace(terms, terms=tuple(term for term in terms.terms if not unknown_to_ztunnel(rule, term)))

    terms = [term for part in (*rule.sources, *rule.operations) for term in part.terms]
    lost = next((term.attribute for term in terms if unknown_to_ztunnel(rule, term) == "all"), "") if allow else ""
    sources, operations = tuple(map(kept, rule.sources)), tuple(map(kept, rule.operations))
    return replace(rule, sources=sources, operations=operations, unknown=rule.unknown or lost)


def unknown_to_ztunnel(rule: Rule, term: Term) -> str:
    """Whether ztunnel does not know a term of a rule: "all" where an ALLOW rule goes with it, "term" where only the
    term goes; empty where it knows it."""
    condition = term.path[len(rule.path) : len(rule.path) + 1] == ("when",)
    if term.attribute in _OF_ZTUNNEL or (term.attribute == SERVICE_ACCOUNT and not condition):
        return ""
    return "term" if term.attribute == TRUST_DOMAIN and not condition else "all"


def rule_of(value: Any, path: Path, namespace: str) -> Rule:
    """The rule that a policy of a namespace states at a path. Service accounts are completed by the namespace."""
    value = mapping(value)
    of_caller: list[Term] = []
    of_call: list[Term] = []
    unknown = ""
    for number, condition in enumerate(items(value.get("when"))):
        condition = mapping(condition)
        key, at = string(condition.get("key")), (*path, "when", number)
        of = namespace if key == SERVICE_ACCOUNT else ""
        values, not_values = _values(condition, "values", at, of), _values(condition, "notValues", at, of)
        term = Term(key, values, not_values, (*at, "key"))
        if key in (DESTINATION_IP, PORT, SNI) or key.startswith(ENVOY):
            of_call.append(term)
        elif key in (SOURCE_IP, REMOTE_IP, *OF_IDENTITY, REQUEST_PRINCIPAL, AUDIENCES, PRESENTER) or key.startswith(
            (HEADERS, CLAIMS)
        ):
            of_caller.append(term)
        else:
            unknown = unknown or key or "(empty)"
    return Rule(
        path=path,
        sources=_alternatives(value, path, "from", "source", SOURCE_FIELDS, of_caller, namespace),
        operations=_alternatives(value, path, "to", "operation", OPERATION_FIELDS, of_call, namespace),
        unknown=unknown,
    )


def _alternatives(
    rule: Mapping[str, Any],
    path: Path,
    of: str,
    inner: str,
    fields: Mapping[str, str],
    conditions: list[Term],
    namespace: str,
) -> tuple[Terms, ...]:
    found: list[Terms] = []
    for number, entry in enumerate(items(rule.get(of))):
        at: Path = (*path, of, number, inner)
        stated = mapping(mapping(entry).get(inner))
        terms: list[Term] = []
        for field, attribute in fields.items():
            negated = "not" + field[0].upper() + field[1:]
            space = namespace if attribute == SERVICE_ACCOUNT else ""
            values, not_values = _values(stated, field, at, space), _values(stated, negated, at, space)
            if values or not_values:
                terms.append(Term(attribute, values, not_values, (*at, field if values else negated)))
        found.append(Terms((*terms, *conditions), at, True))
    return tuple(found) or (Terms(tuple(conditions), path, False),)


def _values(value: Mapping[str, Any], field: str, path: Path, namespace: str = "") -> tuple[Value, ...]:
    texts = ((string(text), (*path, field, n)) for n, text in enumerate(items(value.get(field))))
    return tuple(Value(f"{namespace}/{t}" if namespace and "/" not in t else t, at) for t, at in texts)


# --- matching ---


class _WrongError(Exception):
    """A value, or a key, of which no matcher can be made."""


#: Whether what a request has of an attribute matches one value.
_Matcher = Callable[[Any], bool]


def matches(rule: Rule, request: Request, *, allow: bool, trust: TrustDomains) -> bool | None:
    """Whether a request fulfils a rule; None where that depends on attributes that are not known.

    ``allow``: the rule is one of an ALLOW policy. Such a rule goes as a whole when anything in it cannot be matched (an
    attribute of HTTP on a TCP connection); of another policy only what cannot be matched goes, so it matches more.
    """
    if rule.unknown or (allow and not applies(rule, http=request.http)):
        return False
    return _all(
        _any(terms_hold(terms, request, trust) for terms in alternatives)
        for alternatives in (rule.sources, rule.operations)
    )


def applies(rule: Rule, *, http: bool) -> bool:
    """Whether a rule of an ALLOW policy is in effect on HTTP requests, or on TCP connections: see :func:`matches`."""
    return not rule.unknown and not any(
        wrong_value(term, http=http) for terms in (*rule.sources, *rule.operations) for term in terms.terms
    )


def wrong_value(term: Term, *, http: bool = True) -> str:
    """Why no matcher can be made of a term; empty where one can."""
    try:
        for value in (*term.values, *term.not_values):
            _matcher(term.attribute, value.text, http)
    except _WrongError as wrong:
        return str(wrong)
    return ""


def terms_hold(terms: Terms, request: Request, trust: TrustDomains) -> bool | None:
    """Whether a request fulfils a source or an operation, of which goes what cannot be matched; None where that
    depends on attributes that are not known."""
    return _all(
        _one_of(term.attribute, values, request, trust, wanted)
        for term in terms.terms
        for values, wanted in ((term.values, True), (term.not_values, False))
    )


def _all(parts: Iterable[bool | None]) -> bool | None:
    result: bool | None = True
    for part in parts:
        if part is False:
            return False
        if part is None:
            result = None
    return result


def _any(parts: Iterable[bool | None]) -> bool | None:
    result: bool | None = False
    for part in parts:
        if part:
            return True
        if part is None:
            result = None
    return result


def _one_of(
    attribute: str, values: tuple[Value, ...], request: Request, trust: TrustDomains, wanted: bool
) -> bool | None:
    made: list[_Matcher] = []
    for text in _migrated(attribute, tuple(value.text for value in values), trust):
        try:
            made.append(_matcher(attribute, text, request.http))
        except _WrongError:
            continue
    if not made:
        return True
    key = PRINCIPAL if attribute in OF_IDENTITY else attribute
    if key.startswith(HEADERS):
        # Names of headers are compared without case.
        key = key.lower()
    if key not in request.attributes:
        return None
    found = request.attributes[key]
    return (found is not None and any(matcher(found) for matcher in made)) == wanted


@lru_cache(maxsize=8192)
def _matcher(attribute: str, value: str, http: bool) -> _Matcher:
    if not http and is_http(attribute):
        raise _WrongError(f"{attribute} is of HTTP only")
    if attribute == PRINCIPAL:
        return _principal(value)
    if attribute == NAMESPACE:
        parts = tuple(f"*/ns/{value}/*".split("*"))
        return lambda identity: _glob(parts, f"spiffe://{identity}")
    if attribute == SERVICE_ACCOUNT:
        return _service_account(value)
    if attribute == TRUST_DOMAIN:
        return _trust_domain(value)
    if attribute in (SOURCE_IP, REMOTE_IP, DESTINATION_IP):
        return _address(value)
    if attribute == PORT:
        return _port(value)
    if attribute == REQUEST_PRINCIPAL:
        return _request_principal(value)
    if attribute == HOST:
        lower = _string(value.lower(), present="")
        return lambda host: lower(host.lower())
    if attribute == METHOD or attribute.startswith(HEADERS):
        if attribute != METHOD:
            _bracketed(attribute.removeprefix(HEADERS))
        return _string(value, present="")
    if attribute == URL_PATH:
        return _template(value) if "{*}" in value or "{**}" in value else _string(value)
    if attribute in (AUDIENCES, PRESENTER) or attribute.startswith(CLAIMS):
        if attribute.startswith(CLAIMS):
            _bracketed(attribute.removeprefix(CLAIMS))
        one = _string(value)
        return lambda claims: any(one(claim) for claim in claims)
    if attribute.startswith(ENVOY) and "[" not in attribute:
        raise _WrongError(f"{attribute} has no key in brackets")
    return _string(value)


def _string(value: str, *, present: str = " ") -> _Matcher:
    """Exact, prefix*, *suffix, or * for what is there; with ``present`` empty also for what is there and empty."""
    if value == "*":
        return lambda text: bool(text or not present)
    if value.startswith("*"):
        return lambda text: text.endswith(value[1:])
    if value.endswith("*"):
        return lambda text: text.startswith(value[:-1])
    return lambda text: bool(text == value)


def _principal(value: str) -> _Matcher:
    if value == "*":
        return bool
    if value.startswith("*"):
        # The expression is spiffe://.*REST: the scheme is not a part of what the wildcard stands for.
        return lambda identity: identity.endswith(value[1:])
    if value.endswith("*"):
        return lambda identity: identity.startswith(value[:-1])
    return lambda identity: bool(identity == value)


def _glob(parts: tuple[str, ...], text: str) -> bool:
    """Whether a text is these parts, with anything between them."""
    first, *middle, last = parts
    if len(text) < len(first) + len(last) or not text.startswith(first) or not text.endswith(last):
        return False
    at, end = len(first), len(text) - len(last)
    for part in middle:
        at = text.find(part, at, end)
        if at < 0:
            return False
        at += len(part)
    return True


def _service_account(value: str) -> _Matcher:
    namespace, _, name = value.partition("/")
    pattern = re.compile(f"[^/].*/ns/{re.escape(namespace)}/(.+/|)sa/{re.escape(name)}(/.+)?", re.DOTALL)
    return lambda identity: pattern.fullmatch(identity) is not None


def _trust_domain(value: str) -> _Matcher:
    if value == "*":
        return lambda identity: True
    first, star, last = value.partition("*")
    if not star:
        return lambda identity: identity.startswith(f"{value}/")

    def holds(identity: str) -> bool:
        domain, slash, _ = identity.partition("/")
        return bool(slash) and _glob((first, last), domain)

    return holds


def _address(value: str) -> _Matcher:
    try:
        network = ipaddress.ip_network(value, strict=False)
    except ValueError:
        raise _WrongError(f"{value} is no address") from None

    def holds(address: str) -> bool:
        try:
            return ipaddress.ip_address(address) in network
        except ValueError:
            return False

    return holds


def _port(value: str) -> _Matcher:
    if not re.fullmatch(r"[0-9]{1,10}", value) or int(value) > 65535:
        raise _WrongError(f"{value} is no port")
    return lambda port: bool(port == int(value))


def _request_principal(value: str) -> _Matcher:
    """Issuer and subject are matched each by itself; the last slash divides them, since an issuer may be a URL."""
    issuer, slash, subject = value.rpartition("/")
    if not slash:
        issuer, subject = value, ""
    if value == "*":
        of_issuer = of_subject = _string("*")
    elif value.startswith("*"):
        of_issuer = _string(issuer) if slash else _string("*")
        of_subject = _exactly(subject) if slash else _string(value)
    elif value.endswith("*"):
        of_issuer = _exactly(issuer) if slash else _string(value)
        of_subject = _string(subject) if slash else _string("*")
    else:
        of_issuer, of_subject = _exactly(issuer), _exactly(subject)
    return lambda token: bool(of_issuer(token[0]) and of_subject(token[1]))


def _exactly(value: str) -> _Matcher:
    return lambda text: bool(text == value)


def _bracketed(name: str) -> None:
    if not name.startswith("[") or not name.endswith("]"):
        raise _WrongError(f"{name or 'it'} has no name in brackets")


_LITERAL = re.compile(r"[-a-zA-Z0-9._~%!$&'()+,;:@=]+")


_SEGMENT = r"[-a-zA-Z0-9._~%!$&'()+,;:@=]"


def template_problem(value: str) -> str:
    """Why a path is no template that Istio takes (CheckValidPathTemplate); empty where it is one, or none at all."""
    template = "{*}" in value or "{**}" in value
    rest = False
    for segment in value.strip("/").split("/"):
        if segment in ("{*}", "{**}"):
            if rest:
                return f"{value}: {{**}} is the last wildcard of a path"
            rest = segment == "{**}"
        elif "{" in segment or "}" in segment:
            return f"{value}: braces stand for one whole segment of a path"
        elif template and not _LITERAL.fullmatch(segment):
            return f"{value}: {segment} is no segment of a path"
    return ""


def _template(value: str) -> _Matcher:
    """Envoy's URI templates: {*} is one segment of a path, {**} any rest of it."""
    problem = template_problem(value)
    if problem:
        raise _WrongError(problem)
    words = {"{*}": f"{_SEGMENT}+", "{**}": f"(?:{_SEGMENT}|/)*"}
    pattern = re.compile("/".join(words.get(part) or re.escape(part) for part in value.split("/")))
    return lambda path: pattern.fullmatch(path) is not None


# --- trust domains ---


def _migrated(attribute: str, values: tuple[str, ...], trust: TrustDomains) -> Iterable[str]:
    """The values of a policy with the trust domain and its aliases in place of one of them
    (Bundle.ReplaceTrustDomainAliases, ExpandTrustDomainAliases)."""
    if trust.literal:
        return values
    if attribute == TRUST_DOMAIN:
        found = [name for value in values for name in (trust.names if value in trust.names else (value,))]
    elif attribute == PRINCIPAL:
        found = [name for value in values for name in _with_aliases(value, trust)]
    else:
        return values
    return dict.fromkeys(found)


def _with_aliases(principal: str, trust: TrustDomains) -> Iterable[str]:
    domain, *rest = principal.split("/")
    # What is no identity as Kubernetes' service accounts have them, and any trust domain, stay as they are.
    if len(rest) != 4 or domain == "*":
        return (principal,)
    if domain != LOCAL and not any(_meets(domain, name) for name in trust.names):
        return (principal,)
    after = "/".join(rest)
    return (principal if _ends_as(name, domain) else f"{name}/{after}" for name in trust.names)


def _meets(first: str, second: str) -> bool:
    """Whether one of two trust domains, either of which may have a wildcard, is meant by the other (stringMatch)."""
    return first == second or any(
        _ends_as(one, other) or _begins_as(one, other) for one, other in ((first, second), (second, first))
    )


def _ends_as(text: str, pattern: str) -> bool:
    return pattern.startswith("*") and text.endswith(pattern[1:])


def _begins_as(text: str, pattern: str) -> bool:
    return pattern.endswith("*") and text.startswith(pattern[:-1])
