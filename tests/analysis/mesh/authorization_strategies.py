"""AuthorizationPolicies and requests that meet often."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

NAMES = ["a", "b", "ab"]
SPACES = ["shop", "shop-dev", "mesh-root"]
LABELS = [{"app": "web"}, {"app": "web", "tier": "front"}, {"app": "db"}]
DOMAINS = ["cluster.local", "td.example", "old.example"]


def _of(*values: str) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(values), min_size=1, max_size=2, unique=True)


_IDENTITIES = [f"{domain}/ns/{space}/sa/{name}" for domain in DOMAINS for space in SPACES for name in NAMES]
_ADDRESSES = ["10.0.0.1", "10.0.0.0/8", "10.1.0.0/16", "192.168.0.7/32", "fd00::/8", "fd00::1"]
_TEXTS = ["GET", "G*", "*T", "*", "POST"]
FIELDS = {
    "principals": _of(
        *_IDENTITIES, "*", "*/ns/shop/sa/a", "cluster.local/ns/shop/*", "*/sa/b", "sa/b", "*local/ns/shop/sa/a"
    ),
    "namespaces": _of("shop", "shop-dev", "shop*", "*", "*dev", "s*p", "mesh-root"),
    "serviceAccounts": _of("a", "shop/a", "shop/ab", "mesh-root/b"),
    "trustDomains": _of(*DOMAINS, "*", "td.*", "*.example"),
    "ipBlocks": _of(*_ADDRESSES),
    "remoteIpBlocks": _of(*_ADDRESSES),
    "requestPrincipals": _of("iss/sub", "*", "*/sub", "iss/*", "https://iss.example/sub", "is*", "*ub", "sub"),
    "methods": _of(*_TEXTS),
    "hosts": _of("shop.example", "*.example", "shop*", "*", "SHOP.example"),
    "paths": _of("/", "/v1", "/v1/*", "*/info", "*", "/v1/{*}/info", "/v1/{**}", "/{*}"),
    "ports": _of("80", "8080", "443"),
}
_CONDITIONS = {
    "request.headers[X-Token]": _of("t", "t*", "*", "*t"),
    "source.ip": _of(*_ADDRESSES),
    "remote.ip": _of(*_ADDRESSES),
    "source.namespace": FIELDS["namespaces"],
    "source.principal": FIELDS["principals"],
    "source.serviceAccount": FIELDS["serviceAccounts"],
    "source.trustDomain": FIELDS["trustDomains"],
    "request.auth.principal": FIELDS["requestPrincipals"],
    "request.auth.audiences": _of("aud", "au*", "*"),
    "request.auth.claims[group]": _of("admin", "ad*", "*"),
    "destination.ip": _of(*_ADDRESSES),
    "destination.port": FIELDS["ports"],
    "connection.sni": _of("shop.example", "*.example", "*"),
}
_SOURCE = ["principals", "namespaces", "ipBlocks", "remoteIpBlocks", "requestPrincipals", "trustDomains"]
_OPERATION = ["methods", "hosts", "paths", "ports"]


@st.composite
def _part(draw: st.DrawFn, fields: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for field in draw(st.lists(st.sampled_from(fields), min_size=1, max_size=2, unique=True)):
        negated = "not" + field[0].upper() + field[1:]
        for name in draw(st.sampled_from([[field], [field], [negated], [field, negated]])):
            found[name] = draw(FIELDS[field])
    return found


@st.composite
def _condition(draw: st.DrawFn) -> dict[str, Any]:
    key = draw(st.sampled_from(sorted(_CONDITIONS)))
    names = draw(st.sampled_from([["values"], ["values"], ["notValues"], ["values", "notValues"]]))
    return {"key": key, **{name: draw(_CONDITIONS[key]) for name in names}}


@st.composite
def _rule(draw: st.DrawFn) -> dict[str, Any]:
    rule: dict[str, Any] = {}
    parts = draw(st.sampled_from(["", "f", "t", "w", "ft", "ft", "ftw"]))
    if "f" in parts:
        source = st.one_of(_part(_SOURCE), _part(["serviceAccounts", "trustDomains", "ipBlocks"]))
        rule["from"] = [{"source": one} for one in draw(st.lists(source, min_size=1, max_size=2))]
    if "t" in parts:
        rule["to"] = [{"operation": one} for one in draw(st.lists(_part(_OPERATION), min_size=1, max_size=2))]
    if "w" in parts:
        rule["when"] = draw(st.lists(_condition(), min_size=1, max_size=2))
    return rule


@st.composite
def policies(draw: st.DrawFn, actions: tuple[str, ...] = ("ALLOW", "ALLOW", "DENY", "AUDIT")) -> list[dict[str, Any]]:
    found = []
    for number in range(draw(st.integers(0, 4))):
        spec: dict[str, Any] = {"action": draw(st.sampled_from(actions))}
        if spec["action"] == "ALLOW" and draw(st.booleans()):
            del spec["action"]
        rules = draw(st.lists(_rule(), max_size=2))
        if rules or spec.get("action") == "DENY":
            spec["rules"] = rules or [{}]
        if draw(st.booleans()):
            spec["selector"] = {"matchLabels": draw(st.sampled_from(LABELS))}
        elif not draw(st.integers(0, 5)):
            reference = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "gw"}
            spec["targetRefs"] = [reference]
        metadata: dict[str, Any] = {"name": f"p{number}", "namespace": draw(st.sampled_from(SPACES))}
        if not draw(st.integers(0, 5)):
            metadata["annotations"] = {"istio.io/dry-run": draw(st.sampled_from(["true", "false", "yes", "T"]))}
        found.append(
            {
                "apiVersion": "security.istio.io/v1",
                "kind": "AuthorizationPolicy",
                "metadata": metadata,
                "spec": spec,
            }
        )
    return found


requests = st.fixed_dictionaries(
    {
        "Principal": st.sampled_from([None, None, *_IDENTITIES, *_IDENTITIES[:3]]),
        "SourceIP": st.sampled_from(["10.0.0.1", "10.1.2.3", "192.168.0.7", "fd00::1"]),
        "RemoteIP": st.sampled_from(["10.0.0.1", "10.1.2.3", "192.168.0.7", "fd00::1"]),
        "DestinationIP": st.sampled_from(["10.0.0.1", "10.1.2.3", "fd00::1"]),
        "Port": st.sampled_from([80, 8080, 5432]),
        "SNI": st.sampled_from(["", "shop.example", "example"]),
        "Method": st.sampled_from(["GET", "POST", "PUT"]),
        "Path": st.sampled_from(["/", "/v1", "/v1/", "/v1/a/info", "/v1/a/b", "/info", "/a"]),
        "Host": st.sampled_from(["shop.example", "Shop.Example", "shop", "api.example"]),
        "Headers": st.sampled_from([{}, {"x-token": "t"}, {"x-token": "st"}, {"x-token": ""}]),
        "Token": st.sampled_from([None, ("iss", "sub"), ("https://iss.example", "sub"), ("iss", "other")]),
        "Audiences": st.sampled_from([["aud"], ["other", "audit"], []]),
        "Group": st.sampled_from([["admin"], ["user"], []]),
        "HTTP": st.booleans(),
    }
)
worlds = st.fixed_dictionaries(
    {
        "Root": st.just("mesh-root"),
        "Namespace": st.sampled_from(SPACES),
        "Labels": st.sampled_from([*LABELS, {}, {"gateway.networking.k8s.io/gateway-name": "gw", "app": "web"}]),
        "TrustDomains": st.sampled_from(
            [["cluster.local"], ["td.example"], ["td.example", "old.example"], ["td.example", "*.example"]]
        ),
    }
)


def attributes(request: dict[str, Any]) -> dict[str, Any]:
    """A request as kubeassay states it."""
    token = request["Token"]
    return {
        "source.principal": request["Principal"],
        "source.ip": request["SourceIP"],
        "remote.ip": request["RemoteIP"],
        "destination.ip": request["DestinationIP"],
        "destination.port": request["Port"],
        "connection.sni": request["SNI"],
        "methods": request["Method"],
        "paths": request["Path"],
        "hosts": request["Host"],
        "request.headers[x-token]": request["Headers"].get("x-token"),
        "request.auth.principal": token,
        "request.auth.audiences": tuple(request["Audiences"]) if token else None,
        "request.auth.claims[group]": tuple(request["Group"]) if token else None,
    }
