"""Permissions that a change gives and takes, compared with what the authorizer answers before and after."""

from __future__ import annotations

import random
from typing import Any

import pytest

from analysis.access import worlds
from kubeassay.analysis.access.grants import canonical, grants, groups_of
from kubeassay.analysis.access.model import Subject
from kubeassay.analysis.access.review import review as access_review
from kubeassay.analysis.review.access import escalation_changes, permission_changes
from kubeassay.model import NEWEST_KNOWN, Inventory, PermissionChange

MINOR = NEWEST_KNOWN.minor
WEB = worlds.account("shop", "web")


def gained(before: Inventory, after: Inventory) -> list[tuple[str, str, str | None, tuple[str, ...]]]:
    return [(c.change, c.subject, c.namespace, c.permissions) for c in permission_changes(before, after, MINOR)]


def world(*rules: dict[str, Any], namespace: str | None = "shop", subject: dict[str, Any] = WEB) -> Inventory:
    kind = "ClusterRole" if namespace is None else "Role"
    return worlds.inventory(
        worlds.role("r", *rules, namespace=namespace),
        worlds.binding("b", f"{kind}/r", subject, namespace=namespace),
    )


@pytest.mark.parametrize("seed", range(60))
def test_who_may_do_more_is_told_to_have_gained(seed: int) -> None:
    source = random.Random(seed)
    before, after = (worlds.inventory(*worlds.random_world(source)) for _ in range(2))
    changes = permission_changes(before, after, MINOR)
    back = permission_changes(after, before, MINOR)
    swapped = {"gained": "lost", "lost": "gained"}
    assert {(c.change, c.subject, c.namespace, c.permissions) for c in changes} == {
        (swapped[c.change], c.subject, c.namespace, c.permissions) for c in back
    }
    assert not permission_changes(before, before, MINOR)
    assert not escalation_changes(before, before, MINOR)
    for _ in range(120):
        subject, request = source.choice(worlds.ASKING), worlds.random_request(source)
        was, now = (access_review(grants(side, MINOR), subject, request) for side in (before, after))
        if was.allowed == now.allowed:
            continue
        wanted = "gained" if now.allowed else "lost"
        assert any(
            c.change == wanted and c.subject in _names(subject) and c.namespace in (None, request.namespace)
            for c in changes
        ), (subject, request)


def _names(subject: Subject) -> set[str]:
    return {str(canonical(subject)), *(f"Group {group}" for group in groups_of(subject))}


def test_what_was_implied_before_is_no_gain() -> None:
    everything = worlds.rule("*", "*", "*")
    assert gained(worlds.inventory(), world(everything)), "or nothing below would mean anything"
    assert gained(world(everything), world(everything, worlds.rule("get", "", "secrets"))) == []
    wide = world(everything, namespace=None)
    both = Inventory([*wide.objects, *world(worlds.rule("get", "", "secrets")).objects])
    assert gained(wide, both) == [], "what holds in the whole cluster holds in a namespace"
    of_group = world(everything, namespace=None, subject=worlds.group("system:serviceaccounts:shop"))
    assert gained(of_group, Inventory([*of_group.objects, *world(everything).objects])) == []


def test_a_wildcard_is_more_than_what_it_covers_today() -> None:
    (change,) = gained(world(worlds.rule("get", "", "pods")), world(worlds.rule("*", "", "pods")))
    assert change == ("gained", "ServiceAccount shop/web", "shop", ("* on pods (core)",))


def test_rule_and_binding_are_named_with_their_lines() -> None:
    (change,) = permission_changes(worlds.inventory(), world(worlds.rule("get", "", "secrets")), MINOR)
    assert [(cause.effect, str(cause.object)) for cause in change.causes] == [
        ("grants", "Role shop/r"),
        ("binds", "RoleBinding shop/b"),
    ]
    assert all(cause.location is not None for cause in change.causes)


def test_a_role_that_was_not_known_before_makes_a_gain_uncertain() -> None:
    binding = worlds.binding("b", "Role/r", WEB, namespace="shop")
    (change,) = permission_changes(
        worlds.inventory(binding), worlds.inventory(worlds.role("r", worlds.rule(), namespace="shop"), binding), MINOR
    )
    assert isinstance(change, PermissionChange)
    assert "before the change RoleBinding shop/b binds Role r, which is not among the inputs" in change.uncertain


def test_paths_to_cluster_admin_are_opened_and_closed() -> None:
    admin = worlds.inventory(worlds.binding("b", "ClusterRole/cluster-admin", WEB))
    (opened,) = escalation_changes(worlds.inventory(), admin, MINOR)
    assert (opened.change, opened.subject, opened.was, opened.now) == (
        "opened",
        "ServiceAccount shop/web",
        "nothing",
        "cluster-admin",
    )
    (closed,) = escalation_changes(admin, worlds.inventory(), MINOR)
    assert (closed.change, closed.was, closed.now) == ("closed", "cluster-admin", "nothing")
    assert closed.steps == opened.steps
    # Kubernetes' own subjects may have been able to before.
    masters = worlds.inventory(worlds.binding("b", "ClusterRole/cluster-admin", worlds.group("system:masters")))
    assert escalation_changes(worlds.inventory(), masters, MINOR) == ()
