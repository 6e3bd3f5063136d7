"""Default roles and bindings: what inputs change of them, and what an API server restores."""

from __future__ import annotations

from typing import Any

import pytest

from analysis.access.worlds import AGGREGATE, aggregated, binding, group, inventory, role, rule, user
from kubeassay.analysis.access.bootstrap import bootstrap, changes, known_minors
from kubeassay.analysis.access.grants import grants
from kubeassay.analysis.access.model import Subject
from kubeassay.analysis.access.review import Request, review
from kubeassay.model import format_path

OFF = {"annotations": {"rbac.authorization.kubernetes.io/autoupdate": "false"}}


def changed(*objects: dict[str, Any]) -> set[tuple[str, str, str, bool]]:
    return {(c.kind, str(c), format_path(c.path), c.lasting) for c in changes(inventory(*objects))}


def as_stated(name: str, minor: int, namespace: str = "") -> dict[str, Any]:
    """A default role as an API server of a release creates it."""
    default = bootstrap(minor).roles[namespace, name]
    fields = ("verbs", "api_groups", "resources", "resource_names", "non_resource_urls")
    names = ("verbs", "apiGroups", "resources", "resourceNames", "nonResourceURLs")
    rules = [
        {key: list(getattr(r, field)) for key, field in zip(names, fields, strict=True) if getattr(r, field)}
        for r in default.rules
    ]
    return role(name, *rules, namespace=namespace or None, labels=dict(default.labels))


@pytest.mark.parametrize("minor", known_minors())
@pytest.mark.parametrize("name", ["cluster-admin", "system:kube-scheduler", "system:controller:job-controller"])
def test_a_default_of_any_release_is_no_change(minor: int, name: str) -> None:
    assert changed(as_stated(name, minor), as_stated(name, minor) | {"metadata": {"name": name, **OFF}}) == set()


def test_a_release_that_is_not_known_counts_as_the_nearest() -> None:
    assert bootstrap(3) is bootstrap(known_minors()[0])
    assert bootstrap(99) is bootstrap(known_minors()[-1])


def test_additions_are_told_with_their_place() -> None:
    discovery = as_stated("system:discovery", 37)
    discovery["rules"].append(rule("list", "", "secrets"))
    assert changed(discovery) == {
        ("rule-added", "adds to ClusterRole system:discovery: list on secrets (core)", "rules[1]", True)
    }
    bound = binding(
        "system:discovery",
        "ClusterRole/system:discovery",
        group("system:authenticated"),
        group("system:unauthenticated"),
    )
    assert changed(bound) == {
        (
            "subject-added",
            "adds Group system:unauthenticated to ClusterRoleBinding system:discovery",
            "subjects[1]",
            True,
        )
    }


def test_removals_last_only_where_kubernetes_is_told_to_leave_them() -> None:
    text = "takes from ClusterRole cluster-admin: * on * (*)"
    urls = "takes from ClusterRole cluster-admin: * on *"
    assert changed(role("cluster-admin")) == {("rule-removed", t, "rules", False) for t in (text, urls)}
    assert changed(role("cluster-admin", **OFF)) == {("rule-removed", t, "rules", True) for t in (text, urls)}
    subject = "takes Group system:masters from ClusterRoleBinding cluster-admin"
    bound = binding("cluster-admin", "ClusterRole/cluster-admin", **OFF)
    assert changed(bound) == {("subject-removed", subject, "subjects", True)}
    moved = binding("cluster-admin", "ClusterRole/view")
    assert changed(moved) == {
        ("role-changed", "binds ClusterRoleBinding cluster-admin to another role", "roleRef.name", False)
    }


def test_aggregation_into_a_default_role_is_told() -> None:
    label = {f"{AGGREGATE}view": "true"}
    assert changed(role("more", rule(), labels=label)) == {
        ("aggregated", "adds its rules to ClusterRole view", f'metadata.labels["{AGGREGATE}view"]', True)
    }
    assert changed(role("more", rule(), labels={f"{AGGREGATE}view": "false"})) == set()
    selectors = [{"matchLabels": {f"{AGGREGATE}admin": "true"}}, {"matchLabels": {"team": "a"}}]
    assert changed(aggregated("admin", *selectors)) == {
        (
            "selector-added",
            "adds to ClusterRole admin every ClusterRole with team=a",
            "aggregationRule.clusterRoleSelectors[1]",
            True,
        )
    }


def allowed(subject: Subject, request: Request, *objects: dict[str, Any]) -> bool:
    return review(grants(inventory(*objects)), subject, request).allowed


ALICE = Subject("User", "alice")
SECRETS = Request("get", "", "secrets", namespace="shop")


@pytest.mark.parametrize(
    ("objects", "expected"),
    [
        ([binding("a", "ClusterRole/edit", user("alice"), namespace="shop")], True),
        ([binding("a", "ClusterRole/view", user("alice"), namespace="shop")], False),
        # What a role lacks is restored.
        ([role("cluster-admin"), binding("a", "ClusterRole/cluster-admin", user("alice"))], True),
        ([role("cluster-admin", **OFF), binding("a", "ClusterRole/cluster-admin", user("alice"))], False),
        # The controller overwrites what an aggregated role states.
        ([role("view", rule("*", "*", "*")), binding("a", "ClusterRole/view", user("alice"))], False),
        ([role("view", rule("*", "*", "*"), **OFF), binding("a", "ClusterRole/view", user("alice"))], True),
        (
            [
                role("more", rule("get", "", "secrets"), labels={f"{AGGREGATE}view": "true"}),
                binding("a", "ClusterRole/admin", user("alice"), namespace="shop"),
            ],
            True,
        ),
    ],
)
def test_defaults_are_in_effect(objects: list[dict[str, Any]], expected: bool) -> None:
    assert allowed(ALICE, SECRETS, *objects) is expected


def test_default_bindings_are_in_effect_unless_a_copy_that_stays_says_otherwise() -> None:
    version = Request("get", url="/version")
    anonymous = Subject("User", "system:anonymous")
    name = "system:public-info-viewer"
    assert allowed(anonymous, version)
    assert allowed(anonymous, version, binding(name, f"ClusterRole/{name}"))
    assert not allowed(anonymous, version, binding(name, f"ClusterRole/{name}", **OFF))
    # An API server makes a binding to another role anew.
    assert allowed(anonymous, version, binding(name, "ClusterRole/view"))


def test_grants_say_what_is_kubernetes_own() -> None:
    access = grants(
        inventory(
            as_stated("system:basic-user", 30),
            binding("system:basic-user", "ClusterRole/system:basic-user", group("system:authenticated"), user("alice")),
            binding("mine", "ClusterRole/system:basic-user", user("bob")),
        )
    )
    found = {(g.subject.name, g.bootstrap) for g in access.grants if g.role_name == "system:basic-user"}
    assert found == {("system:authenticated", True), ("alice", False), ("bob", False)}
    assert all(g.bootstrap for g in grants(inventory()).grants)


def test_an_account_of_a_controller_keeps_its_default() -> None:
    request = Request("delete", "batch", "jobs", namespace="shop")
    controller = Subject("ServiceAccount", "ttl-after-finished-controller", "kube-system")
    assert allowed(controller, request)
    assert not allowed(Subject("ServiceAccount", "ttl-after-finished-controller", "shop"), request)
