"""Who may do what against the SubjectAccessReviews of an API server, and its default roles against our tables."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Iterable, Iterator
from typing import Any

from analysis.access.worlds import ASKING, cyclic, inventory, random_request, random_world, request_json
from kubeassay.analysis.access.grants import grants
from kubeassay.analysis.access.model import PolicyRule, Subject
from kubeassay.analysis.access.review import Request, review, who_can
from live.api_server import Client, OwnServer

RBAC = "/apis/rbac.authorization.k8s.io/v1"
WORLDS = 12
QUESTIONS = 40


def asked(client: Client, subject: Subject, request: Request) -> bool:
    """Whether the API server says that a subject may do something."""
    stated = request_json(subject, request)
    spec: dict[str, Any] = {"user": stated["user"], "groups": stated["groups"]}
    if request.url:
        spec["nonResourceAttributes"] = {"path": request.url, "verb": request.verb}
    else:
        names = ("verb", "group", "resource", "subresource", "name", "namespace")
        spec["resourceAttributes"] = {name: stated[name] for name in names}
    obj = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "metadata": {}, "spec": spec}
    return bool(client.must_create(obj)["status"]["allowed"])


def asked_until(client: Client, subject: Subject, request: Request, wanted: bool) -> bool:
    """The same; an answer that is not the one wanted must stay: the authorizer learns of objects by watching them."""
    for _ in range(10):
        if asked(client, subject, request) == wanted:
            return wanted
        time.sleep(0.3)
    return not wanted


def marker(number: int) -> list[dict[str, Any]]:
    """Objects that, once they are known to the authorizer, say that those made before them are."""
    rule = {"verbs": [f"verb{number}"], "apiGroups": ["kubeassay.test"], "resources": ["markers"]}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": f"marker{number}"}
    subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "marker"}
    version = "rbac.authorization.k8s.io/v1"
    return [
        {"apiVersion": version, "kind": "ClusterRole", "metadata": {"name": f"marker{number}"}, "rules": [rule]},
        {
            "apiVersion": version,
            "kind": "ClusterRoleBinding",
            "metadata": {"name": f"marker{number}"},
            "roleRef": reference,
            "subjects": [subject],
        },
    ]


@contextlib.contextmanager
def world_on(client: Client, world: Iterable[dict[str, Any]], number: int) -> Iterator[None]:
    """A cluster with these objects, until they are known to the authorizer."""
    world = [*world, *marker(number)]
    # The kinds are watched separately, each in order.
    order = {"ClusterRole": 0, "Role": 1, "RoleBinding": 2, "ClusterRoleBinding": 3}
    try:
        for obj in sorted(world, key=lambda one: order[one["kind"]]):
            client.must_create(obj)
        request = Request(f"verb{number}", "kubeassay.test", "markers")
        wait(lambda: asked(client, Subject("User", "marker"), request))
        wait(lambda: settled(client))
        yield
    finally:
        # The controller of aggregated roles may write one anew that it had just read.
        wait(lambda: {client.delete(obj).status for obj in world} == {404})


def settled(client: Client) -> bool:
    """Whether aggregated roles no longer change."""

    def rules() -> list[Any]:
        return [one.get("rules") for one in cluster_roles(client) if one.get("aggregationRule")]

    before = rules()
    time.sleep(0.5)
    return rules() == before


def cluster_roles(client: Client) -> list[dict[str, Any]]:
    return [{"kind": "ClusterRole", **item} for item in client.get(f"{RBAC}/clusterroles")["items"]]


def wait(until: Any) -> None:
    deadline = time.monotonic() + 30
    while not until():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_access_reviews_say_the_same(own_server: OwnServer, controllers: OwnServer) -> None:
    client, minor = own_server.admin, own_server.minor
    client.namespace("shop")
    source = random.Random(6)
    defaults = cluster_roles(client)
    wrong: list[Any] = []
    seen = {True: 0, False: 0}
    number = 0
    while number < WORLDS:
        world = random_world(source)
        if cyclic([*world, *defaults]):
            continue
        number += 1
        access = grants(inventory(*world), minor)
        with world_on(client, world, number):
            for _ in range(QUESTIONS):
                subject, request = source.choice(ASKING), random_request(source)
                found = review(access, subject, request)
                expected = asked_until(client, subject, request, found.allowed)
                seen[expected] += 1
                listed = {grant.subject for grant in who_can(access, request).grants}
                named = any(Subject("Group", group) in listed for group in found.groups) or any(
                    grant.subject in listed for grant in found.grants
                )
                if found.allowed != expected or named != expected:
                    wrong.append((world, subject, request, expected, found))
    assert not wrong, f"{len(wrong)} differences: {wrong[:3]}"
    assert min(seen.values()) > 30, seen


def test_the_default_roles_are_those_of_our_tables(own_server: OwnServer) -> None:
    access = grants(inventory(), own_server.minor)

    def plain(rule: PolicyRule) -> tuple[tuple[str, ...], ...]:
        fields = (rule.verbs, rule.api_groups, rule.resources, rule.resource_names, rule.non_resource_urls)
        return tuple(tuple(sorted(field)) for field in fields)

    def stated(rule: dict[str, Any]) -> tuple[tuple[str, ...], ...]:
        fields = ("verbs", "apiGroups", "resources", "resourceNames", "nonResourceURLs")
        return tuple(tuple(sorted(rule.get(field) or ())) for field in fields)

    theirs = {
        (kind, item["metadata"].get("namespace", ""), item["metadata"]["name"]): {
            stated(rule) for rule in item.get("rules") or ()
        }
        for kind, plural in (("ClusterRole", "clusterroles"), ("Role", "roles"))
        for item in own_server.admin.get(f"{RBAC}/{plural}")["items"]
        if item["metadata"].get("labels", {}).get("kubernetes.io/bootstrapping") and not item.get("aggregationRule")
    }
    ours = {
        (role.kind, role.namespace, role.name): {plain(rule) for rule in role.rules}
        for role in access.roles
        if not role.aggregated
    }
    assert ours == theirs
    bound = {(one.kind, one.namespace or "", one.name, one.role.name) for one in access.bindings}
    assert bound == {
        (kind, item["metadata"].get("namespace", ""), item["metadata"]["name"], item["roleRef"]["name"])
        for kind, plural in (("ClusterRoleBinding", "clusterrolebindings"), ("RoleBinding", "rolebindings"))
        for item in own_server.admin.get(f"{RBAC}/{plural}")["items"]
        if item["metadata"].get("labels", {}).get("kubernetes.io/bootstrapping") and item.get("subjects")
    }
