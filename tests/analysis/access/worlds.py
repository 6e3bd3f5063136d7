"""Random RBAC objects, and what the tests of access share."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Iterator
from typing import Any

from kubeassay.analysis.access.grants import groups_of, username
from kubeassay.analysis.access.model import Subject
from kubeassay.analysis.access.review import Request
from kubeassay.model import Inventory
from kubeassay.sources.manifests import read_bytes

GROUP = "rbac.authorization.k8s.io"
AGGREGATE = f"{GROUP}/aggregate-to-"

NAMESPACES = ("shop", "kube-system", "default")
VERBS = ("get", "list", "create", "update", "*")
API_GROUPS = ("", "apps", "example.com", "*")
RESOURCES = ("pods", "pods/exec", "pods/log", "*/exec", "secrets", "deployments", "deployments/scale", "*", "*/scale")
NAMES = ("one", "two", "")
URLS = ("/metrics", "/metrics/*", "/logs/*", "*", "/api*", "/metrics/**", "/")
LABELS = (f"{AGGREGATE}admin", f"{AGGREGATE}view", "team")
ROLE_NAMES = ("reader", "writer", "all", "one", "two", "three")
SUBJECTS = (
    {"kind": "User", "name": "alice"},
    {"kind": "User", "name": "system:serviceaccount:shop:web"},
    {"kind": "User", "name": "system:anonymous", "apiGroup": GROUP},
    {"kind": "Group", "name": "devs"},
    {"kind": "Group", "name": "system:authenticated", "apiGroup": GROUP},
    {"kind": "Group", "name": "system:unauthenticated"},
    {"kind": "Group", "name": "system:serviceaccounts"},
    {"kind": "Group", "name": "system:serviceaccounts:shop"},
    {"kind": "ServiceAccount", "name": "web", "namespace": "shop"},
    {"kind": "ServiceAccount", "name": "web", "namespace": "kube-system"},
    {"kind": "ServiceAccount", "name": "web"},
)
ASKING = (
    Subject("User", "alice"),
    Subject("User", "bob"),
    Subject("User", "system:anonymous"),
    Subject("User", "system:serviceaccount:shop:web"),
    Subject("ServiceAccount", "web", "shop"),
    Subject("ServiceAccount", "web", "kube-system"),
    Subject("Group", "devs"),
    Subject("Group", "system:unauthenticated"),
    Subject("Group", "system:serviceaccounts:shop"),
)


def inventory(*objects: dict[str, Any], file: str = "rbac.yaml") -> Inventory:
    """Objects, read from one file in which each is a document."""
    text = "\n---\n".join(json.dumps(obj) for obj in objects)
    read = read_bytes(text.encode(), file)
    assert not read.errors
    return Inventory(read.objects)


def role(name: str, *rules: Any, namespace: str | None = None, **metadata: Any) -> dict[str, Any]:
    kind = "ClusterRole" if namespace is None else "Role"
    metadata |= {"name": name} | ({} if namespace is None else {"namespace": namespace})
    return {"apiVersion": f"{GROUP}/v1", "kind": kind, "metadata": metadata, "rules": list(rules)}


def aggregated(name: str, *selectors: Any, rules: Iterable[Any] = (), **metadata: Any) -> dict[str, Any]:
    return role(name, *rules, **metadata) | {"aggregationRule": {"clusterRoleSelectors": list(selectors)}}


def rule(verbs: str = "get", groups: str = "", resources: str = "pods", names: str | None = None) -> dict[str, Any]:
    """A rule, its lists written with commas."""
    stated: dict[str, Any] = {
        "verbs": verbs.split(","),
        "apiGroups": groups.split(","),
        "resources": resources.split(","),
    }
    return stated if names is None else stated | {"resourceNames": names.split(",")}


def binding(name: str, to: str, *subjects: Any, namespace: str | None = None, **metadata: Any) -> dict[str, Any]:
    """A binding to a role written as ``ClusterRole/name`` or ``Role/name``."""
    kind, _, role_name = to.partition("/")
    metadata |= {"name": name} | ({} if namespace is None else {"namespace": namespace})
    return {
        "apiVersion": f"{GROUP}/v1",
        "kind": "ClusterRoleBinding" if namespace is None else "RoleBinding",
        "metadata": metadata,
        "roleRef": {"apiGroup": GROUP, "kind": kind, "name": role_name},
        "subjects": list(subjects),
    }


def user(name: str) -> dict[str, Any]:
    return {"kind": "User", "apiGroup": GROUP, "name": name}


def group(name: str) -> dict[str, Any]:
    return {"kind": "Group", "apiGroup": GROUP, "name": name}


def account(namespace: str, name: str) -> dict[str, Any]:
    return {"kind": "ServiceAccount", "namespace": namespace, "name": name}


def random_rule(source: random.Random, *, urls: bool) -> dict[str, Any]:
    some = _some(source)
    if urls and source.random() < 0.2:
        return {"verbs": some(VERBS), "nonResourceURLs": some(URLS)}
    found = {"verbs": some(VERBS), "apiGroups": some(API_GROUPS), "resources": some(RESOURCES)}
    if source.random() < 0.3:
        found["resourceNames"] = some(NAMES)
    return found


def _some(source: random.Random) -> Any:
    return lambda values: source.sample(values, source.choice((1, 2, 3, 3)))


def random_world(source: random.Random) -> list[dict[str, Any]]:
    """Roles and bindings that an API server takes, no two of one name; some roles are aggregated, some bindings refer
    to nothing."""
    objects = []
    for name in source.sample(ROLE_NAMES, 4):
        rules = [random_rule(source, urls=True) for _ in range(source.randrange(5))]
        labels = {label: "true" for label in LABELS if source.random() < 0.25}
        if source.random() < 0.3:
            selectors: list[Any] = [
                source.choice(
                    (
                        {"matchLabels": {source.choice(LABELS): "true"}},
                        {"matchExpressions": [{"key": "team", "operator": "Exists"}]},
                        {"matchExpressions": [{"key": "team", "operator": "DoesNotExist"}], "matchLabels": labels},
                    )
                )
                for _ in range(source.choice((1, 1, 2)))
            ]
            objects.append(aggregated(name, *selectors, rules=rules, labels=labels))
        else:
            objects.append(role(name, *rules, labels=labels))
    for name in source.sample(ROLE_NAMES, 3):
        namespace = source.choice(NAMESPACES)
        rules = [random_rule(source, urls=False) for _ in range(source.randrange(3))]
        objects.append(role(name, *rules, namespace=namespace))
    for number in range(source.randrange(3, 12)):
        subjects = source.sample(SUBJECTS, source.choice((0, 1, 2, 4)))
        if source.random() < 0.4:
            to = f"ClusterRole/{source.choice((*ROLE_NAMES, 'view', 'admin', 'system:node'))}"
            subjects = [s for s in subjects if s["kind"] != "ServiceAccount" or "namespace" in s]
            objects.append(binding(f"b{number}", to, *subjects))
        else:
            to = f"{source.choice(('Role', 'ClusterRole'))}/{source.choice((*ROLE_NAMES, 'edit'))}"
            objects.append(binding(f"b{number}", to, *subjects, namespace=source.choice(NAMESPACES)))
    source.shuffle(objects)
    return objects


def random_request(source: random.Random) -> Request:
    if source.random() < 0.15:
        url = source.choice(("/metrics", "/metrics/a", "/logs/", "/logs", "/api/v1", "/", "/healthz", "/version"))
        return Request(source.choice(("get", "list", "post")), url=url)
    return Request(
        verb=source.choice((*VERBS, "watch")),
        group=source.choice((*API_GROUPS, "batch")),
        resource=source.choice(("pods", "secrets", "deployments", "*", "namespaces")),
        subresource=source.choice(("", "", "", "exec", "log", "scale")),
        name=source.choice(("", "", "one", "two", "three")),
        namespace=source.choice((*NAMESPACES, "", "other")),
    )


def request_json(subject: Subject, request: Request, groups: Iterable[str] = ()) -> dict[str, Any]:
    """A question as the program of tests/upstream_kubernetes/rbac reads it."""
    return {
        "user": username(subject),
        "groups": list(groups_of(subject, groups)),
        "verb": request.verb,
        "group": request.group,
        "resource": request.resource,
        "subresource": request.subresource,
        "name": request.name,
        "namespace": request.namespace,
        "path": request.url,
    }


def controlled(objects: list[dict[str, Any]], source: random.Random) -> list[dict[str, Any]]:
    """The objects once the controller of aggregated ClusterRoles has nothing left to do. It is written anew here, as a
    loop over random roles, to be compared with the one step in which kubeassay does it."""
    roles = {obj["metadata"]["name"]: dict(obj) for obj in objects if obj["kind"] == "ClusterRole"}
    changed = True
    while changed:
        changed = False
        names = list(roles)
        source.shuffle(names)
        for name in names:
            found = roles[name]
            if not found.get("aggregationRule"):
                continue
            rules: list[Any] = []
            for selector in found["aggregationRule"]["clusterRoleSelectors"]:
                for other in sorted(roles):
                    if other != name and _selected(selector, roles[other]["metadata"].get("labels") or {}):
                        rules += [r for r in roles[other].get("rules") or () if r not in rules]
            # It applies no ``rules`` when there are none, so what is stated stays.
            if rules and rules != (found.get("rules") or []):
                found["rules"] = rules
                changed = True
    return [roles[obj["metadata"]["name"]] if obj["kind"] == "ClusterRole" else obj for obj in objects]


def _selected(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    return all(
        (expression["key"] in labels) == (expression["operator"] == "Exists")
        for expression in selector.get("matchExpressions") or ()
    )


def cyclic(objects: list[dict[str, Any]]) -> bool:
    """Whether aggregated ClusterRoles are members of each other: then the controller's order decides."""
    roles = {obj["metadata"]["name"]: obj for obj in objects if obj["kind"] == "ClusterRole"}

    def members(name: str) -> Iterator[str]:
        for selector in (roles[name].get("aggregationRule") or {}).get("clusterRoleSelectors", ()):
            for other in roles:
                if other != name and _selected(selector, roles[other]["metadata"].get("labels") or {}):
                    yield other

    def reaches(start: str) -> bool:
        seen: set[str] = set()
        pending = [start]
        while pending:
            for other in members(pending.pop()):
                if other == start:
                    return True
                if other not in seen:
                    seen.add(other)
                    pending.append(other)
        return False

    return any(reaches(name) for name in roles)


REFUSED = [
    role("a/b"),
    role(".."),
    role("a%b", namespace="shop"),
    role("a", {"verbs": []}),
    role("a", {"verbs": ["get"]}),
    role("a", {"verbs": ["get"], "apiGroups": [""]}),
    role("a", {"verbs": ["get"], "resources": ["pods"]}),
    role("a", None),
    role("a", {"verbs": ["get"], "nonResourceURLs": ["/"]}, namespace="shop"),
    role("a", {"verbs": ["get"], "nonResourceURLs": ["/"], "resources": ["pods"]}),
    role("a", {"verbs": ["get"], "nonResourceURLs": ["/"], "apiGroups": [""]}),
    role("a", {"verbs": "get", "apiGroups": [""], "resources": ["pods"]}),
    role("a", {"verbs": ["get"], "apiGroups": [""], "resources": [1]}),
    role("a", rule()) | {"rules": {}},
    role("a", rule(), labels={"a": 1}),
    role("a", rule(), annotations={"a": True}),
    aggregated("a"),
    role("a") | {"aggregationRule": {}},
    aggregated("a", {"matchExpressions": [{"key": "a", "operator": "In"}]}),
    aggregated("a", {"matchExpressions": [{"key": "a", "operator": "Exists", "values": ["b"]}]}),
    aggregated("a", {"matchExpressions": [{"key": "a", "operator": "Has"}]}),
    aggregated("a", {"matchLabels": {"a": 1}}),
    aggregated("a", {"matchLabels": ["a"]}),
    aggregated("a", {"matchExpressions": {}}),
    role("a") | {"aggregationRule": []},
    binding("a", "Role/x"),
    binding("a", "ClusterRole/"),
    binding("a", "ClusterRole/a/b"),
    binding("a", "Group/x", namespace="shop"),
    binding("a", "/x", namespace="shop"),
    binding("a", "ClusterRole/x") | {"roleRef": {"apiGroup": "apps", "kind": "ClusterRole", "name": "x"}},
    binding("a", "ClusterRole/x") | {"roleRef": None},
    binding("a", "ClusterRole/x", {"kind": "ServiceAccount", "name": "web"}),
    binding("a", "ClusterRole/x", account("shop", "Web")),
    binding("a", "ClusterRole/x", account("shop", "web_1"), namespace="shop"),
    binding("a", "ClusterRole/x", account("shop", "web") | {"apiGroup": GROUP}),
    binding("a", "ClusterRole/x", account("shop", "web") | {"apiGroup": "v1"}),
    binding("a", "ClusterRole/x", user("")),
    binding("a", "ClusterRole/x", user("a") | {"apiGroup": "x"}),
    binding("a", "ClusterRole/x", group("a") | {"apiGroup": "v1"}),
    binding("a", "ClusterRole/x", {"kind": "Robot", "name": "a"}),
    binding("a", "ClusterRole/x", {"name": "a"}),
    binding("a", "ClusterRole/x", None),
    binding("a", "ClusterRole/x", {"kind": "User", "name": 5}),
    binding("a", "ClusterRole/x") | {"subjects": "alice"},
]
TAKEN = [
    role("a"),
    role("system:a*:b"),
    role("a") | {"rules": None},
    role("a", rule(), namespace="shop"),
    role("a", {"verbs": [None], "apiGroups": [None], "resources": [""]}),
    role("a", {"verbs": ["get"], "nonResourceURLs": ["/"], "resources": [], "apiGroups": None}),
    role("a", rule() | {"unknown": 1}),
    role("a", rule(), labels={"a": None}),
    role("a") | {"aggregationRule": None},
    aggregated("a", {}),
    aggregated("a", None),
    aggregated("a", {"matchExpressions": [{"key": "a", "operator": "Exists", "values": None}]}),
    binding("a", "ClusterRole/x") | {"subjects": None},
    binding("a", "ClusterRole/x", {"kind": "User", "name": "a"}, {"kind": "Group", "name": "g", "namespace": "x"}),
    binding("a", "ClusterRole/x", {"kind": "ServiceAccount", "name": "web"}, namespace="shop"),
    binding("a", "ClusterRole/x", account("shop", "web.example") | {"apiGroup": ""}),
    binding("a", "ClusterRole/x") | {"roleRef": {"kind": "ClusterRole", "name": "x"}},
]
