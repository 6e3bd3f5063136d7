"""What a rule of a role allows, as the API server's RBAC authorizer decides.

Source: kubernetes v1.37.1, pkg/apis/rbac/v1/evaluation_helpers.go and plugin/pkg/auth/authorizer/rbac/rbac.go
(RuleAllows); covering: component-helpers v0.37.1, auth/rbac/validation/policy_comparator.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import product

from kubeassay.analysis.access.model import PolicyRule

ALL = "*"


def allows_resource(
    rule: PolicyRule, verb: str, group: str, resource: str, subresource: str = "", name: str = ""
) -> bool:
    """Whether a rule allows a request on a resource. ``name`` empty: a request that names no object (list, create)."""
    verbs = rule.verbs
    if verb not in verbs and ALL not in verbs:
        return False
    groups = rule.api_groups
    if group not in groups and ALL not in groups:
        return False
    # A rule with names allows nothing to a request without one.
    if rule.resource_names and name not in rule.resource_names:
        return False
    resources = rule.resources
    if ALL in resources:
        return True
    if not subresource:
        return resource in resources
    # A resource does not stand for its subresources: "pods" is not "pods/exec".
    return f"{resource}/{subresource}" in resources or f"*/{subresource}" in resources


def allows_url(rule: PolicyRule, verb: str, url: str) -> bool:
    """Whether a rule allows a request on a path that is no resource (``/metrics``)."""
    if verb not in rule.verbs and ALL not in rule.verbs:
        return False
    return any(url_matches(pattern, url) for pattern in rule.non_resource_urls)


def url_matches(pattern: str, url: str) -> bool:
    """Whether a nonResourceURL stands for a path. All stars at its end are taken off, as upstream does."""
    return pattern == url or (pattern.endswith(ALL) and url.startswith(pattern.rstrip(ALL)))


def uncovered(having: Sequence[PolicyRule], wanted: Iterable[PolicyRule]) -> Iterator[PolicyRule]:
    """What of ``wanted`` no rule of ``having`` allows, in the smallest rules there are: one verb, group, resource and
    name each. A rule must cover such a piece alone; a wildcard is covered by a wildcard only."""
    for rule in wanted:
        if any(_covers(owner, rule) for owner in having):
            continue
        for piece in pieces(rule):
            if not any(_covers(owner, piece) for owner in having):
                yield piece


def pieces(rule: PolicyRule) -> Iterator[PolicyRule]:
    """The smallest rules that allow together what a rule allows; they stand where it stands."""
    for group, resource, verb in product(rule.api_groups, rule.resources, rule.verbs):
        for name in rule.resource_names or (None,):
            names = () if name is None else (name,)
            yield PolicyRule((verb,), (group,), (resource,), names, (), rule.obj, rule.path)
    for url, verb in product(rule.non_resource_urls, rule.verbs):
        yield PolicyRule((verb,), (), (), (), (url,), rule.obj, rule.path)


def _covers(owner: PolicyRule, rule: PolicyRule) -> bool:
    if not _within(rule.verbs, owner.verbs):
        return False
    if rule.non_resource_urls:
        return all(any(url_matches(p, url) for p in owner.non_resource_urls) for url in rule.non_resource_urls)
    if not _within(rule.api_groups, owner.api_groups):
        return False
    if owner.resource_names and not (rule.resource_names and set(rule.resource_names) <= set(owner.resource_names)):
        return False
    return ALL in owner.resources or all(_resource_covered(owner, resource) for resource in rule.resources)


def _within(wanted: tuple[str, ...], having: tuple[str, ...]) -> bool:
    return ALL in having or all(value in having for value in wanted)


def _resource_covered(owner: PolicyRule, resource: str) -> bool:
    if resource in owner.resources:
        return True
    _, slash, subresource = resource.partition("/")
    return bool(slash) and f"*/{subresource}" in owner.resources
