"""Whether all that one source (or operation) of an AuthorizationPolicy allows is allowed by another."""

from __future__ import annotations

from kubeassay.analysis.mesh.authorization_rules import (
    HOST,
    LOCAL,
    NAMESPACE,
    PORT,
    PRINCIPAL,
    SERVICE_ACCOUNT,
    SOURCE_IP,
    TRUST_DOMAIN,
    Term,
    Terms,
)


def covers(broad: Terms, narrow: Terms) -> bool:
    """Whether every request that fulfils ``narrow`` surely fulfils ``broad``. A False may be ignorance."""
    return all(_implied(term, narrow) for term in broad.terms)


def _implied(broad: Term, narrow: Terms) -> bool:
    return (not broad.values or any(_within(term, broad) for term in narrow.terms)) and (
        not broad.not_values or any(_outside(term, broad) for term in narrow.terms)
    )


def _within(narrow: Term, broad: Term) -> bool:
    """Whether every value of one term is one of another's."""
    patterns = [value.text for value in broad.values]
    return bool(narrow.values) and all(
        _among(narrow.attribute, value.text, broad.attribute, patterns) for value in narrow.values
    )


def _outside(narrow: Term, broad: Term) -> bool:
    """Whether what a term asks for is surely none of what another excludes."""
    excluded = {value.text for value in broad.not_values}
    if narrow.attribute != broad.attribute:
        return False
    if narrow.not_values and excluded <= {value.text for value in narrow.not_values}:
        return True
    texts = {value.text for value in narrow.values}
    # What texts without wildcards stand for: an address may be written in several ways.
    exact = broad.attribute in (PRINCIPAL, NAMESPACE, SERVICE_ACCOUNT, PORT, "methods", "paths")
    return exact and bool(texts) and not texts & excluded and not any("*" in text for text in texts | excluded)


def _among(attribute: str, text: str, of: str, patterns: list[str]) -> bool:
    if attribute == of:
        return any(_pattern_covers(of, pattern, text) for pattern in patterns)
    namespace = domain = None
    if attribute == PRINCIPAL and "*" not in text:
        parts = text.split("/")
        if len(parts) == 5 and parts[1] == "ns" and parts[3] == "sa":
            domain, namespace = parts[0], parts[2]
    elif attribute == SERVICE_ACCOUNT:
        namespace = text.partition("/")[0]
    if of == NAMESPACE and namespace is not None:
        return any(_pattern_covers(of, pattern, namespace) for pattern in patterns)
    if of == TRUST_DOMAIN and domain is not None and domain != LOCAL:
        return domain in patterns
    return False


def _pattern_covers(attribute: str, pattern: str, text: str) -> bool:
    if pattern == text:
        return True
    if attribute in (SOURCE_IP, "remote.ip", "destination.ip", PORT):
        return False
    if attribute == HOST:
        pattern, text = pattern.lower(), text.lower()
    if pattern == "*":
        return True
    if "*" in text or "{" in text or "{" in pattern:
        return False
    if pattern.startswith("*") and "*" not in pattern[1:]:
        return text.endswith(pattern[1:])
    return pattern.endswith("*") and "*" not in pattern[:-1] and text.startswith(pattern[:-1])
