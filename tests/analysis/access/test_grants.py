"""Grants and reviews: subjects, groups, places, duplicates, scale."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.access.worlds import (
    API_GROUPS,
    GROUP,
    NAMES,
    NAMESPACES,
    RESOURCES,
    SUBJECTS,
    VERBS,
    account,
    aggregated,
    binding,
    group,
    inventory,
    role,
    rule,
    user,
)
from kubeassay.analysis.access.grants import canonical, grants, groups_of
from kubeassay.analysis.access.model import Subject
from kubeassay.analysis.access.objects import rbac_objects
from kubeassay.analysis.access.review import Request, review, who_can
from kubeassay.model import Inventory, format_path
from kubeassay.sources.manifests import read_bytes

ALICE = Subject("User", "alice")
WEB = Subject("ServiceAccount", "web", "shop")
READ = Request("get", "", "pods", namespace="shop")


@pytest.mark.parametrize(
    ("subject", "groups"),
    [
        (ALICE, {"system:authenticated"}),
        (WEB, {"system:serviceaccounts", "system:serviceaccounts:shop", "system:authenticated"}),
        (
            Subject("User", "system:serviceaccount:shop:web"),
            {"system:serviceaccounts", "system:serviceaccounts:shop", "system:authenticated"},
        ),
        (Subject("User", "system:anonymous"), {"system:unauthenticated"}),
        (Subject("Group", "devs"), {"devs", "system:authenticated"}),
        (Subject("Group", "system:unauthenticated"), {"system:unauthenticated"}),
        (
            Subject("Group", "system:serviceaccounts:shop"),
            {"system:serviceaccounts:shop", "system:serviceaccounts", "system:authenticated"},
        ),
    ],
)
def test_groups(subject: Subject, groups: set[str]) -> None:
    assert set(groups_of(subject)) == groups
    assert set(groups_of(subject, ["more"])) == groups | {"more"}


def test_a_user_may_be_a_service_account() -> None:
    assert canonical(Subject("User", "system:serviceaccount:shop:web")) == WEB
    for name in ("system:serviceaccount:shop", "system:serviceaccount:a:b:c", "system:serviceaccount::web", "web"):
        assert canonical(Subject("User", name)) == Subject("User", name)
    for bound in (account("shop", "web"), user("system:serviceaccount:shop:web")):
        access = grants(inventory(role("r", rule()), binding("b", "ClusterRole/r", bound)))
        for asking in (WEB, Subject("User", "system:serviceaccount:shop:web")):
            assert review(access, asking, READ).allowed
        assert WEB in access.subjects


def test_masters_may_do_everything() -> None:
    off = {"annotations": {"rbac.authorization.kubernetes.io/autoupdate": "false"}}
    access = grants(inventory(binding("cluster-admin", "ClusterRole/cluster-admin", **off)))
    found = review(access, ALICE, Request("break", "a", "b", "c"), ["system:masters"])
    assert (found.allowed, found.bypass, found.grants) == (True, True, ())
    assert review(access, Subject("Group", "system:masters"), Request("get", url="/any")).bypass


def test_grants_know_their_places() -> None:
    text = f"""\
apiVersion: {GROUP}/v1
kind: ClusterRole
metadata: {{name: reader}}
rules:
  - apiGroups: [""]
    resources: [secrets]
    verbs: [list]
  - apiGroups: [""]
    resources: [pods]
    verbs: [get]
---
apiVersion: {GROUP}/v1beta1
kind: RoleBinding
metadata: {{name: b, namespace: shop}}
roleRef: {{kind: ClusterRole, name: reader}}
subjects:
  - kind: User
    name: bob
  - kind: User
    name: alice
"""
    access = grants(Inventory(read_bytes(text.encode(), "a.yaml").objects))
    (found,) = review(access, ALICE, READ).grants
    assert (found.subject, found.namespace, found.role_name, found.binding_name) == (ALICE, "shop", "reader", "b")
    assert found.binding is not None
    assert found.rule.obj is not None
    assert format_path(found.subject_path) == "subjects[1]"
    assert found.binding.locate(found.subject_path).start_line == 19
    assert found.rule.obj.locate(found.rule.path).start_line == 8
    bound = access.bound_to(ALICE, groups_of(ALICE))
    assert {one.subject.name for _, one in bound} == {"alice", "system:authenticated"}
    assert [rule.resources for binding, _ in access.bound_to(ALICE) for rule in binding.role.rules] == [
        ("secrets",),
        ("pods",),
    ]


@pytest.mark.parametrize(
    ("members", "granted"),
    [
        ([], {("delete",)}),
        ([role("empty", labels={"a": "1"})], {("delete",)}),
        ([aggregated("none", {"matchLabels": {"b": "1"}}, labels={"a": "1"})], {("delete",)}),
        (
            [aggregated("kept", {"matchLabels": {"b": "1"}}, labels={"a": "1"}, rules=[rule("watch", "", "pods")])],
            {("watch",)},
        ),
        ([role("part", rule("get", "", "pods"), labels={"a": "1"})], {("get",)}),
    ],
)
def test_what_an_aggregated_role_states_stays_where_its_members_have_no_rules(
    members: list[Any], granted: set[tuple[str, ...]]
) -> None:
    # The controller applies no rules then, and so takes none away.
    whole = aggregated("whole", {"matchLabels": {"a": "1"}}, rules=[rule("delete", "", "secrets")])
    found = next(r for r in grants(inventory(whole, *members)).roles if r.name == "whole")
    assert {one.verbs for one in found.rules} == granted


def test_a_rule_of_an_aggregated_role_keeps_its_place() -> None:
    access = grants(
        inventory(
            aggregated("all", {"matchLabels": {"a": "1"}}, rules=[rule("*", "*", "*")]),
            aggregated("some", {"matchLabels": {"b": "1"}}, labels={"a": "1"}),
            role("part", rule(), labels={"b": "1"}),
            binding("b", "ClusterRole/all", user("alice")),
        )
    )
    (found,) = review(access, ALICE, READ).grants
    assert found.role_name == "all"
    assert found.rule.obj is not None
    assert found.rule.obj.ref.name == "part"
    assert not review(access, ALICE, Request("get", "", "secrets")).allowed


def test_roles_that_do_not_exist_grant_nothing_and_are_told() -> None:
    access = grants(
        inventory(
            role("there", rule(), namespace="other"),
            binding("a", "Role/there", user("alice"), namespace="shop"),
            binding("b", "ClusterRole/nowhere", group("devs")),
        )
    )
    assert {(m.binding.ref.name, m.role_kind, m.role_name, m.namespace) for m in access.missing_roles} == {
        ("a", "Role", "there", "shop"),
        ("b", "ClusterRole", "nowhere", None),
    }
    found = review(access, ALICE, READ)
    assert (found.allowed, [m.role_name for m in found.unknown]) == (False, ["there"])
    assert [m.role_name for m in review(access, Subject("Group", "devs"), READ).unknown] == ["nowhere"]
    assert {m.role_name for m in who_can(access, READ).unknown} == {"there", "nowhere"}
    assert {m.role_name for m in who_can(access, Request("get", url="/a")).unknown} == {"nowhere"}


def test_an_object_that_is_refused_grants_nothing() -> None:
    access = grants(
        inventory(
            role("r", rule()), binding("b", "ClusterRole/r", user("alice"), {"kind": "ServiceAccount", "name": "a"})
        )
    )
    assert not review(access, ALICE, READ).allowed
    assert [(r.obj.ref.name, format_path(r.path)) for r in access.refused] == [("b", "subjects[1].namespace")]


def test_other_systems_of_access_are_told() -> None:
    openshift = {"apiVersion": "authorization.openshift.io/v1", "kind": "ClusterRole", "metadata": {"name": "a"}}
    crossplane = {"apiVersion": "iam.aws.upbound.io/v1beta1", "kind": "Role", "metadata": {"name": "a"}}
    assert [obj.ref.api_version for obj in rbac_objects(inventory(openshift, crossplane)).foreign] == [
        "authorization.openshift.io/v1"
    ]


def test_the_oldest_version_of_the_api() -> None:
    old = binding("b", "ClusterRole/r", {"kind": "User", "apiVersion": f"{GROUP}/v1alpha1", "name": "*"})
    access = grants(inventory(role("r", rule()), old | {"apiVersion": f"{GROUP}/v1alpha1"}))
    assert review(access, ALICE, READ).allowed
    assert not review(access, Subject("User", "system:anonymous"), READ).allowed
    newer = grants(inventory(role("r", rule()), binding("b", "ClusterRole/r", user("*"))))
    assert not review(newer, ALICE, READ).allowed


def test_each_environment_has_its_own_role() -> None:
    def environment(name: str, verbs: str) -> list[Any]:
        objects = (
            role("r", rule(verbs)),
            aggregated("sum", {"matchLabels": {"part": "1"}}),
            role("part", rule(verbs, "", "secrets"), labels={"part": "1"}),
            binding("b", "ClusterRole/r", user(name)),
            binding("s", "ClusterRole/sum", user(name)),
        )
        return list(inventory(*objects, file=f"overlays/{name}/rbac.yaml").objects)

    access = grants(Inventory([*environment("dev", "delete"), *environment("prod", "get")]))
    for resource in ("pods", "secrets"):
        for name, verb, other in (("dev", "delete", "get"), ("prod", "get", "delete")):
            assert review(access, Subject("User", name), Request(verb, "", resource)).allowed
            assert not review(access, Subject("User", name), Request(other, "", resource)).allowed


def test_a_namespace_that_nobody_states_is_the_default_one_and_cluster_roles_have_none() -> None:
    stated = binding("b", "Role/r", user("alice"), {"kind": "ServiceAccount", "name": "web"}, namespace="default")
    del stated["metadata"]["namespace"]
    access = grants(inventory(role("r", rule(), namespace="default"), stated))
    for subject in (ALICE, Subject("ServiceAccount", "web", "default")):
        assert review(access, subject, Request("get", "", "pods", namespace="default")).allowed
    odd = role("r", rule())
    odd["metadata"]["namespace"] = "shop"
    assert review(grants(inventory(odd, binding("b", "ClusterRole/r", user("alice")))), ALICE, READ).allowed


# --- against a matcher that knows no index ---

_RULES = st.fixed_dictionaries(
    {
        "verbs": st.lists(st.sampled_from(VERBS), min_size=1, max_size=2),
        "apiGroups": st.lists(st.sampled_from(API_GROUPS), min_size=1, max_size=2),
        "resources": st.lists(st.sampled_from(RESOURCES), min_size=1, max_size=3),
    },
    optional={"resourceNames": st.lists(st.sampled_from(NAMES), max_size=2)},
)
_REQUESTS = st.builds(
    Request,
    verb=st.sampled_from(VERBS),
    group=st.sampled_from(API_GROUPS),
    resource=st.sampled_from(("pods", "secrets", "deployments")),
    subresource=st.sampled_from(("", "exec", "scale")),
    name=st.sampled_from(NAMES),
    namespace=st.sampled_from((*NAMESPACES, "")),
)


@st.composite
def _worlds(draw: st.DrawFn) -> list[dict[str, Any]]:
    objects = []
    for name in ("a", "b"):
        objects.append(role(name, *draw(st.lists(_RULES, max_size=3))))
        for namespace in NAMESPACES:
            objects.append(role(name, *draw(st.lists(_RULES, max_size=2)), namespace=namespace))
    for number in range(draw(st.integers(1, 5))):
        namespace = draw(st.sampled_from((*NAMESPACES, None)))
        kind = "ClusterRole" if namespace is None else draw(st.sampled_from(("Role", "ClusterRole")))
        usable = [s for s in SUBJECTS if namespace or s["kind"] != "ServiceAccount" or "namespace" in s]
        subjects = draw(st.lists(st.sampled_from(usable), max_size=3, unique_by=str))
        objects.append(binding(f"b{number}", f"{kind}/{draw(st.sampled_from('ab'))}", *subjects, namespace=namespace))
    return objects


def _matches(stated: dict[str, Any], request: Request) -> bool:
    wanted = request.resource + (f"/{request.subresource}" if request.subresource else "")
    resources = {"*", wanted} | ({f"*/{request.subresource}"} if request.subresource else set())
    return (
        bool({"*", request.verb} & set(stated["verbs"]))
        and bool({"*", request.group} & set(stated["apiGroups"]))
        and bool(resources & set(stated["resources"]))
        and (not stated.get("resourceNames") or request.name in stated["resourceNames"])
    )


@settings(max_examples=200, deadline=None)
@given(_worlds(), _REQUESTS)
def test_who_can_is_what_a_search_through_everything_finds(objects: list[dict[str, Any]], request: Request) -> None:
    expected = set()
    for bound in objects:
        if "roleRef" not in bound:
            continue
        namespace = bound["metadata"].get("namespace")
        if namespace is not None and namespace != request.namespace:
            continue
        for found in objects:
            same = found["kind"] == bound["roleRef"]["kind"] and found["metadata"]["name"] == bound["roleRef"]["name"]
            if same and (found["kind"] == "ClusterRole" or found["metadata"]["namespace"] == namespace):
                for number, stated in enumerate(found["rules"]):
                    if _matches(stated, request):
                        for subject in bound["subjects"]:
                            where = subject.get("namespace", namespace) if subject["kind"] == "ServiceAccount" else ""
                            expected.add((subject["kind"], where, subject["name"], bound["metadata"]["name"], number))
    access = grants(inventory(*objects))
    answer = [g for g in who_can(access, request).grants if not g.bootstrap]
    found_by_us = {
        (g.subject.kind, g.subject.namespace, g.subject.name, g.binding_name, g.rule.path[-1]) for g in answer
    }
    assert found_by_us == expected
    assert len(answer) == len(expected)
    for g in answer:
        assert review(access, g.subject, request).allowed


def test_thousands_of_roles_and_bindings_take_a_moment() -> None:
    objects = []
    for number in range(3000):
        objects.append(role(f"r{number}", rule(), rule("list", "", "secrets")))
        to = "admin" if number % 10 == 0 else f"r{number}"
        subjects = (user(f"u{number}"), account(f"n{number % 50}", "web"))
        objects.append(binding(f"b{number}", f"ClusterRole/{to}", *subjects, namespace=f"n{number % 50}"))
    found = inventory(*objects)
    start = time.process_time()
    access = grants(found)
    for number in range(200):
        assert review(
            access, Subject("User", f"u{number}"), Request("get", "", "pods", namespace=f"n{number % 50}")
        ).allowed
    assert len(who_can(access, Request("list", "", "secrets", namespace="n1")).grants) > 100
    assert time.process_time() - start < 2
