"""Kubernetes objects that stand in a document, as clauses.

Where a rule judges what an object means, the clause is that rule: a documented NetworkPolicy demands paths, not that a
policy has these words. Any other object is an expectation, with a field for each value that it states.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from kubeassay.analysis.sensitive import sensitive_paths
from kubeassay.checks.documented_object import bound_problem
from kubeassay.model import Path, format_path
from kubeassay.model.document import Block, Node
from kubeassay.policy.document import security
from kubeassay.policy.document.clauses import Clauses, Use
from kubeassay.policy.document.words import is_name, is_placeholder, slug

_API_VERSION = re.compile(r"(?P<group>[a-z0-9.-]+/)?v[0-9]+(?:(?:alpha|beta)[0-9]+)?\Z")
_KIND = re.compile(r"[A-Z][A-Za-z0-9]*\Z")
_NAME = re.compile(r"[a-z0-9A-Z]([a-z0-9A-Z.:_-]*[a-z0-9A-Z])?\Z")
#: Keys by which the items of lists of the API are told apart.
_NAMING = ("name", "containerName")
_KEY_OF_ITEM = re.compile(r"[^\]\"]+\Z")

#: Labels that say which namespace is meant: the one that the API server sets, and those that people set.
_NAMESPACE_LABELS = ("kubernetes.io/metadata.name", "name", "namespace", "ns")
#: Labels whose value is, by convention, the name of the workload.
_WORKLOAD_LABELS = ("app.kubernetes.io/name", "app", "k8s-app")
#: Fields that name a workload beside its kind.
_TARGETS = ("scaleTargetRef", "targetRef", "workloadRef")


def kind_of(node: Node) -> str | None:
    """The kind of an object; None where the node is none."""
    entries = node.entries
    api_version, kind = entries.get("apiVersion"), entries.get("kind")
    if api_version is None or kind is None or not isinstance(kind.value, str):
        return None
    if not isinstance(api_version.value, str) or not _API_VERSION.match(api_version.value):
        return None
    return kind.value if _KIND.match(kind.value) else None


def members_of(node: Node) -> list[Node] | None:
    """The objects of a List; None for anything else."""
    kind = kind_of(node)
    if kind is None or not kind.endswith("List") or "items" not in node.entries:
        return None
    return list(node.entries["items"].members)


def text_at(node: Node, *path: str) -> str:
    """The text at a path of mappings; empty where there is none."""
    for step in path:
        found = node.entries.get(step)
        if found is None:
            return ""
        node = found
    return node.value if isinstance(node.value, str) else node.text if node.is_scalar else ""


def group_of(node: Node) -> str:
    """The API group of an object."""
    return text_at(node, "apiVersion").rpartition("/")[0]


def namespace_of(node: Node) -> str:
    return text_at(node, "metadata", "namespace")


def name_of(node: Node) -> str:
    return text_at(node, "metadata", "name")


# --- what other clauses are read by ---


def learn(node: Node, clauses: Clauses) -> None:
    """Take the names that an object gives to namespaces, workloads and groups."""
    facts = clauses.facts
    kind, namespace = kind_of(node), namespace_of(node)
    if is_name(namespace):
        facts.used_namespaces.setdefault(namespace, node.line)
    if kind == "Namespace" and not group_of(node) and is_name(name_of(node)):
        facts.namespaces.setdefault(name_of(node), (node.line, ""))
    if kind in ("Deployment", "StatefulSet", "DaemonSet", "Rollout") and is_name(name_of(node)):
        _remember(facts.workloads, namespace, name_of(node))
    for target in _TARGETS:
        name = text_at(node, "spec", target, "name")
        if is_name(name) and text_at(node, "spec", target, "kind"):
            _remember(facts.workloads, namespace, name)
    if kind == "NetworkPolicy" and group_of(node) == "networking.k8s.io" and not _selector(node):
        facts.denied |= {
            (namespace, direction) for direction in directions(node) if not _opens_everything(node, direction)
        }
    if kind in ("RoleBinding", "ClusterRoleBinding"):
        for subject in node.entries.get("subjects", _NOTHING).members:
            if text_at(subject, "kind") == "Group":
                _remember(facts.groups, text_at(subject, "name"), text_at(node, "roleRef", "name"))


_NOTHING = Node(None, 0)


def _remember(where: dict[str, list[str]], key: str, name: str) -> None:
    names = where.setdefault(key, [])
    if name not in names:
        names.append(name)


# --- clauses ---


def clause_of(node: Node, block: Block, clauses: Clauses) -> None:
    """The clause of one object."""
    kind, group = kind_of(node), group_of(node)
    assert kind is not None
    clauses.account(node)
    for here in node.descendants():
        if here.below is not None:
            reason = "a value with more below it: an object has one or the other"
            clauses.note("not-understood", here.line, title_of(node), reason)
    name = name_of(node)
    if name and (is_placeholder(name) or not _NAME.match(name)):
        clauses.note("not-understood", node.line, f"{kind} {name}", "its name is a placeholder, not that of an object")
        return
    if namespace_of(node) and not is_name(namespace_of(node)):
        reason = "its namespace is a placeholder, not that of an object"
        clauses.note("not-understood", node.line, f"{kind} {namespace_of(node)}/{name}", reason)
        return
    made = _BY_KIND.get((group, kind))
    if made is None or not made(node, block, clauses):
        _expected(node, block, clauses)


def _id(node: Node) -> str:
    parts = [slug(kind_of(node) or ""), namespace_of(node), name_of(node)]
    return "/".join(part for part in parts if part)


def title_of(node: Node) -> str:
    """``PersistentVolumeClaim data/database-storage``."""
    named = "/".join(part for part in (namespace_of(node), name_of(node)) if part)
    return f"{kind_of(node)} {named}".rstrip()


def expectation(node: Node, fields: list[Use]) -> Use:
    """The expectation of an object, with fields."""
    wanted: dict[str, Any] = {"apiVersion": text_at(node, "apiVersion"), "kind": kind_of(node)}
    if namespace_of(node):
        wanted["namespace"] = namespace_of(node)
    if name_of(node):
        wanted["name"] = name_of(node)
    expected: Use = {"object": wanted}
    if fields:
        expected["fields"] = fields
    return expected


def _expected(node: Node, block: Block, clauses: Clauses) -> None:
    if not name_of(node):
        clauses.note(
            "not-understood", node.line, title_of(node), "it has no name, so which object is meant is not said"
        )
        return
    fields = list(_fields(node, clauses))
    title = f"{title_of(node)} as documented"
    clauses.add(_id(node), title, block, node.line, expectations=[expectation(node, fields)], obj=node)


#: What says which object it is, or what a cluster says of it.
_NO_DEMAND: frozenset[Path] = frozenset(
    {("apiVersion",), ("kind",), ("metadata", "name"), ("metadata", "namespace"), ("status",)}
    | {("metadata", key) for key in ("generateName", "uid", "resourceVersion", "creationTimestamp", "generation")}
)


def _fields(node: Node, clauses: Clauses) -> Iterator[Use]:
    """A field for each value of an object: each scalar, each list as a whole; of a list whose items have names, each
    item's values."""
    # Whatever stands in a document is no secret any more, and still not to be repeated.
    secrets = _above(sensitive_paths(node.plain))
    type_ = group_of(node), kind_of(node) or ""
    stack: list[tuple[str, Path, Node]] = [("", (), node)]
    while stack:
        shown, path, here = stack.pop()
        if path in _NO_DEMAND:
            continue
        if isinstance(here.value, Mapping) and here.value:
            stack += [(joined(shown, key), (*path, key), child) for key, child in reversed(list(here.value.items()))]
            continue
        for number, (naming, name, member) in reversed(list(enumerate(item_names(here) or ()))):
            base = f"{shown}[{naming}={name}]"
            for key, child in reversed(list(member.entries.items())):
                if key != naming:
                    stack.append((joined(base, key), (*path, number, key), child))
            # Its presence is all that an item says whose other values are empty.
            if all(key == naming or child.value is None or child.value == {} for key, child in member.entries.items()):
                yield {"path": f"{base}.{naming}", "present": True, "line": member.line}
        if item_names(here) is not None:
            continue
        if path in secrets:
            yield {"path": shown, "present": True, "line": here.line}
            continue
        if here.value is None or (not here.is_scalar and not here.value):
            # null and {} say nothing of most fields; [] says that there is none.
            if isinstance(here.value, tuple):
                yield {"path": shown, "equals": [], "default": [], "line": here.line}
            elif here.value is not None and path[-1] in _SELECTORS:
                # An empty selector selects everything, none of a disruption budget nothing.
                yield {
                    "path": shown,
                    "equals": {},
                    **({} if type_[0] == "policy" else {"default": {}}),
                    "line": here.line,
                }
            continue
        if any(is_placeholder(value) for value in _scalars(here)):
            clauses.note("not-understood", here.line, f"{title_of(node)}: {shown}", "a placeholder, not a value")
            continue
        operator = _OPERATORS.get((*type_, shown), "equals")
        if bound_problem({"path": shown, operator: here.plain}) is not None:
            operator = "equals"
        field = {"path": shown, operator: here.plain}
        default = _DEFAULTS.get(type_, {}).get(shown)
        if default is not None:
            field["default"] = default
        yield {**field, "line": here.line}


#: Selectors of objects; an empty one selects all of them.
_SELECTORS = frozenset({"selector", "podSelector", "namespaceSelector", "objectSelector", "labelSelector"})


def joined(path: str, step: str | int) -> str:
    """A written path, and one step more."""
    part = format_path((step,))
    return part if not path else f"{path}{part}" if part.startswith("[") else f"{path}.{part}"


def _above(paths: Iterable[Path]) -> set[Path]:
    """Paths, and those of everything that holds what stands there."""
    return {path[:end] for path in paths for end in range(1, len(path) + 1)}


#: Who has more than this has what is documented; what is too much, quotas say. Of options, a document lists those that
#: it wants.
_OPERATORS: Mapping[tuple[str, str, str], str] = {
    ("storage.k8s.io", "StorageClass", "parameters.iops"): "atLeast",
    ("storage.k8s.io", "StorageClass", "parameters.throughput"): "atLeast",
    ("", "PersistentVolumeClaim", "spec.resources.requests.storage"): "atLeast",
    ("argoproj.io", "Application", "spec.syncPolicy.syncOptions"): "superset",
}
#: What the API server, or a controller, makes of a field that an object leaves out (pkg/apis/*/defaults.go of
#: kubernetes; the CRDs of the others): an object that leaves it out says the same as a document that writes it down.
_DEFAULTS: Mapping[tuple[str, str], Mapping[str, Any]] = {
    ("storage.k8s.io", "StorageClass"): {
        "reclaimPolicy": "Delete", "volumeBindingMode": "Immediate", "allowVolumeExpansion": False,
    },
    ("autoscaling", "HorizontalPodAutoscaler"): {
        "spec.minReplicas": 1,
        "spec.behavior.scaleDown.stabilizationWindowSeconds": 300,
        "spec.behavior.scaleUp.stabilizationWindowSeconds": 0,
        "spec.behavior.scaleDown.selectPolicy": "Max", "spec.behavior.scaleUp.selectPolicy": "Max",
    },
    ("", "PersistentVolumeClaim"): {"spec.volumeMode": "Filesystem"},
    ("", "Service"): {"spec.type": "ClusterIP", "spec.sessionAffinity": "None"},
    ("apps", "Deployment"): {
        "spec.replicas": 1, "spec.strategy.type": "RollingUpdate", "spec.revisionHistoryLimit": 10,
        "spec.progressDeadlineSeconds": 600,
    },
    ("apps", "StatefulSet"): {"spec.replicas": 1, "spec.podManagementPolicy": "OrderedReady"},
    ("argoproj.io", "Application"): {
        "spec.syncPolicy.automated.prune": False, "spec.syncPolicy.automated.selfHeal": False,
    },
    ("policy", "PodDisruptionBudget"): {"spec.unhealthyPodEvictionPolicy": "IfHealthyBudget"},
}  # fmt: skip


def item_names(node: Node) -> list[tuple[str, str, Node]] | None:
    """(key, name, item) of a list whose items are told apart by a key of theirs, as paths of expectations write it."""
    if not isinstance(node.value, tuple) or not node.value:
        return None
    for key in _NAMING:
        names = [text_at(member, key) for member in node.value]
        if len(set(names)) < len(names):
            continue
        if all(name and _KEY_OF_ITEM.match(name) and not is_placeholder(name) for name in names):
            return [(key, name, member) for name, member in zip(names, node.value, strict=True)]
    return None


def _scalars(node: Node) -> Iterator[Any]:
    stack = [node]
    while stack:
        here = stack.pop()
        if here.is_scalar:
            yield here.value
        else:
            stack.extend(child for _, child in here.children())


# --- kinds that rules judge by meaning ---


def _namespace(node: Node, block: Block, clauses: Clauses) -> bool:
    """Its existence is the clause of the list of namespaces; its labels are an expectation."""
    fields = list(_fields(node, clauses))
    if fields:
        expected = expectation(node, fields)
        expected["required"] = False
        clauses.add(_id(node), f"{title_of(node)} as documented", block, node.line, expectations=[expected], obj=node)
    return True


def _cluster_role(node: Node, block: Block, clauses: Clauses) -> bool:
    rules = node.entries.get("rules")
    if rules is None or "aggregationRule" in node.entries or not name_of(node):
        return False
    stated = [
        {key: child.plain for key, child in rule.entries.items() if key in _POLICY_RULE} for rule in rules.members
    ]
    if not all(rule.get("verbs") for rule in stated):
        clauses.note("not-understood", rules.line, title_of(node), "a rule of it has no verbs")
        return True
    namespace = namespace_of(node) if kind_of(node) == "Role" else ""
    parameters = {"roles": {f"{namespace}/{name_of(node)}" if namespace else name_of(node): stated}}
    clauses.add(
        _id(node), f"{title_of(node)} grants what is documented, and nothing else", block, node.line,
        rules=clauses.use("documented-roles", parameters), obj=node,
    )  # fmt: skip
    return True


_POLICY_RULE = ("apiGroups", "resources", "resourceNames", "nonResourceURLs", "verbs")


def _binding(node: Node, block: Block, clauses: Clauses) -> bool:
    """Its groups have the documented roles, and nobody else is bound by it."""
    subjects = node.entries.get("subjects", _NOTHING)
    names = [text_at(subject, "name") for subject in subjects.members]
    if not name_of(node) or not names or not all(names) or any(map(is_placeholder, names)):
        return False
    groups = [text_at(subject, "name") for subject in subjects.members if text_at(subject, "kind") == "Group"]
    only: Use = {"path": "subjects[*].name", "oneOf": list(dict.fromkeys(names)), "line": subjects.line}
    if len(groups) < len(names):
        title = f"{title_of(node)} as documented"
        expected = expectation(node, [*_fields(node, clauses), only])
        clauses.add(_id(node), title, block, node.line, expectations=[expected], obj=node)
        return True
    parameters = {"groups": {group: clauses.facts.groups[group] for group in groups}}
    reference = [field for field in _fields(node, clauses) if field["path"].startswith("roleRef.")]
    # How the binding of the groups is called is not theirs to say; what is called so has these subjects.
    expected = {**expectation(node, [*reference, only]), "required": False}
    clauses.add(
        _id(node), f"{', '.join(groups)}: the documented roles", block, node.line,
        rules=clauses.use("documented-roles", parameters), expectations=[expected], obj=node,
    )  # fmt: skip
    return True


def directions(node: Node) -> list[str]:
    """The directions that a NetworkPolicy isolates its pods for."""
    spec = node.entries.get("spec", _NOTHING)
    stated = spec.entries.get("policyTypes")
    if stated is None:
        return ["ingress", "egress"] if "egress" in spec.entries else ["ingress"]
    found = [str(member.value).lower() for member in stated.members]
    return [direction for direction in dict.fromkeys(found) if direction in ("ingress", "egress")]


def _selector(node: Node) -> Mapping[str, Any]:
    selector = node.entries.get("spec", _NOTHING).entries.get("podSelector", _NOTHING).plain
    stated = selector if isinstance(selector, dict) else {}
    return {key: value for key, value in stated.items() if value}


def _rules(node: Node, direction: str) -> tuple[Node, ...]:
    return node.entries.get("spec", _NOTHING).entries.get(direction, _NOTHING).members


def _opens_everything(node: Node, direction: str) -> bool:
    """Whether a rule of a NetworkPolicy opens a direction to everybody on every port, so that it closes little."""
    for rule in _rules(node, direction):
        peers = rule.entries.get("to" if direction == "egress" else "from", _NOTHING).members
        if not rule.entries.get("ports", _NOTHING).members and (not peers or any(map(_is_anybody, peers))):
            return True
    return False


def _is_anybody(peer: Node) -> bool:
    # A block of addresses is meant for what is outside: it opens no pod to another.
    spaces, pods = peer.entries.get("namespaceSelector"), peer.entries.get("podSelector")
    return spaces is not None and not spaces.plain and (pods is None or not pods.plain)


def _network_policy(node: Node, block: Block, clauses: Clauses) -> bool:
    selector = _selector(node)
    for direction in directions(node):
        rules = _rules(node, direction)
        if selector:
            _isolation(node, block, clauses, direction, selector)
        elif not rules or (namespace_of(node) and not _opens_everything(node, direction)):
            _default_deny(node, block, clauses, direction)
        for rule in rules:
            _paths(node, rule, direction, selector, block, clauses)
    if not directions(node):
        clauses.note("not-understood", node.line, title_of(node), "it is for neither ingress nor egress")
    return True


def _isolation(node: Node, block: Block, clauses: Clauses, direction: str, selector: Mapping[str, Any]) -> None:
    """The pods that a policy selects are closed to everything that no policy opens."""
    namespace, facts = namespace_of(node), clauses.facts
    if {(namespace, direction), ("", direction)} & facts.denied or _opens_everything(node, direction):
        return
    if not namespace:
        # Where it opens something, this is told of its paths.
        if not _rules(node, direction):
            reason = "it names no namespace, so whose paths it closes is not said"
            clauses.note("not-understood", node.line, title_of(node), reason)
        return
    pods = _pods(namespace, selector, node, clauses)
    if not pods:
        return
    clauses.add(
        f"{_id(node)}/{direction}", f"Only what is allowed {_OPEN[direction]} {_ends(_one(pods))}", block, node.line,
        rules=clauses.use("documented-isolation", {direction: pods}), obj=node,
    )  # fmt: skip


_OPEN = {"ingress": "reaches", "egress": "leaves"}


def _default_deny(node: Node, block: Block, clauses: Clauses, direction: str) -> None:
    namespace = namespace_of(node)
    facts = clauses.facts
    namespaces = [namespace] if namespace else [n for n in facts.namespaces if not n.startswith("kube-")]
    if not namespace:
        reason = "it names no namespace, and a policy holds in one only: every documented namespace is held to it"
        clauses.note("contradiction", node.line, title_of(node), reason)
    parameters = {"namespaces": namespaces} if namespaces else None
    uses = clauses.use(f"default-deny-{direction}-missing", parameters)
    clauses.note(
        "assumed", node.line, title_of(node),
        "documented paths are held to be open; which others may be is not said, so none is found to be too many: rule"
        " path-not-allowed takes the list",
    )  # fmt: skip
    if namespace and uses:
        # Other namespaces are not its business.
        uses[0]["parameters"]["excluded_namespaces"] = [f"[!{namespace[0]}]*", *_others(namespace)]
    if not namespace:
        uses += clauses.use("network-policy-without-namespace")
    clauses.add(
        f"{_id(node)}/{direction}",
        f"{direction.capitalize()} is denied by default",
        block,
        node.line,
        rules=uses,
        obj=node,
    )


def _others(name: str) -> list[str]:
    """Shell patterns that together match every name that begins as this one does and is another."""
    patterns = [f"{name}?*"]
    for end in range(1, len(name)):
        patterns += [name[:end], f"{name[:end]}[!{name[end]}]*"]
    return patterns


def _paths(node: Node, rule: Node, direction: str, selector: Mapping[str, Any], block: Block, clauses: Clauses) -> None:
    """The paths that one rule of a policy opens are meant to be open."""
    namespace = namespace_of(node)
    if not namespace:
        reason = "it names no namespace, so whose paths it opens is not said"
        clauses.note("not-understood", rule.line, title_of(node), reason)
        return
    own = _pods(namespace, selector, node, clauses)
    peers = rule.entries.get("to" if direction == "egress" else "from", _NOTHING).members
    if not peers:
        clauses.note("assumed", rule.line, title_of(node), f"a rule for {direction} without peers demands no path")
        return
    ports = list(_ports(rule, clauses, node))
    others: list[str] = []
    for peer in peers:
        others += _peer(peer, namespace, node, clauses)
    if not own or not others:
        return
    entry: dict[str, Any] = (
        {"from": _one(own), "to": _one(others)} if direction == "egress" else {"from": _one(others), "to": _one(own)}
    )
    if ports:
        entry["ports"] = ports
    title = f"{_ends(entry['from'])} reaches {_ends(entry['to'])}{' on ' + ', '.join(map(str, ports)) if ports else ''}"
    uses = clauses.use("allowed-path-closed", {"allowed_paths": [entry]})
    if any(_asks_for_unset_label(peer) for peer in peers):
        uses += clauses.use("policy-peer-matches-nothing")
    clauses.add(_id(node), title, block, node.line, rules=uses, obj=node)


def _one(ends: list[str]) -> str | list[str]:
    ends = list(dict.fromkeys(ends))
    return ends[0] if len(ends) == 1 else ends


def _ends(value: str | list[str]) -> str:
    return value if isinstance(value, str) else ", ".join(value)


def _pods(namespace: str, selector: Mapping[str, Any], node: Node, clauses: Clauses) -> list[str]:
    """The ends of paths that a pod selector of a namespace means."""
    labels = selector.get("matchLabels") or {}
    if not selector or (not labels and not selector.get("matchExpressions")):
        # Every pod of the namespace: those that the document names, where it names any.
        return [f"{namespace}/{name}" for name in clauses.facts.workloads.get(namespace, ())] or [namespace]
    if namespace == "kube-system" and labels.get("k8s-app") == "kube-dns":
        return ["dns"]
    for label in _WORKLOAD_LABELS:
        value = labels.get(label)
        if is_name(value) and not selector.get("matchExpressions"):
            return [f"{namespace}/{value}"]
    clauses.note(
        "not-understood", node.line, title_of(node),
        f"which workload of {namespace} it selects is not said by its name (label {', '.join(_WORKLOAD_LABELS)})",
    )  # fmt: skip
    return []


def _peer(peer: Node, namespace: str, node: Node, clauses: Clauses) -> list[str]:
    block = peer.entries.get("ipBlock")
    if block is not None:
        if "except" in block.entries:
            clauses.note("not-understood", block.line, title_of(node), "a block of addresses with exceptions")
            return []
        cidr = text_at(block, "cidr")
        return ["internet" if cidr in ("0.0.0.0/0", "::/0") else cidr] if cidr else []
    namespaces = [namespace]
    spaces = peer.entries.get("namespaceSelector")
    if spaces is not None:
        found = _namespaces(spaces.plain or {})
        if found is None:
            reason = "which namespaces it selects is not said by their names"
            clauses.note("not-understood", spaces.line, title_of(node), reason)
            return []
        namespaces = found
        if _asks_for_unset_label(peer):
            labels = spaces.plain["matchLabels"]
            said = ", ".join(f"{key}={value}" for key, value in labels.items())
            clauses.note(
                "contradiction", spaces.line, title_of(node),
                f"it selects namespaces by the label {said}, which nothing sets of itself; the API server sets"
                " kubernetes.io/metadata.name",
            )  # fmt: skip
    pods = peer.entries.get("podSelector")
    selector = (pods.plain if pods is not None else None) or {}
    if namespaces == ["*"] and not selector:
        return ["*"]
    return [end for name in namespaces for end in _pods(name, selector, node, clauses)]


def _asks_for_unset_label(peer: Node) -> bool:
    """Whether a peer asks namespaces for a label that nothing sets of itself."""
    spaces = peer.entries.get("namespaceSelector", _NOTHING).plain
    labels = (spaces or {}).get("matchLabels") or {}
    return bool(labels) and "kubernetes.io/metadata.name" not in labels


def _namespaces(selector: Mapping[str, Any]) -> list[str] | None:
    """The names of the namespaces that a selector means; None where it does not say."""
    labels, expressions = selector.get("matchLabels") or {}, selector.get("matchExpressions") or []
    if not labels and not expressions:
        return ["*"]
    if len(labels) + len(expressions) != 1:
        return None
    if labels:
        ((label, value),) = labels.items()
        return [value] if label in _NAMESPACE_LABELS and is_name(value) else None
    (expression,) = expressions
    if not isinstance(expression, dict) or expression.get("key") not in _NAMESPACE_LABELS:
        return None
    values = expression.get("values")
    if expression.get("operator") != "In" or not isinstance(values, list) or not all(map(is_name, values)):
        return None
    return values


def _ports(rule: Node, clauses: Clauses, node: Node) -> Iterator[int | str]:
    for entry in rule.entries.get("ports", _NOTHING).members:
        port, protocol = entry.entries.get("port"), text_at(entry, "protocol") or "TCP"
        if port is None or not isinstance(port.value, int) or protocol not in ("TCP", "UDP", "SCTP"):
            clauses.note("not-understood", entry.line, title_of(node), "a port that is not a number")
            continue
        end = entry.entries.get("endPort")
        text = f"{port.value}-{end.value}" if end is not None and isinstance(end.value, int) else str(port.value)
        if protocol != "TCP":
            yield f"{text}/{protocol}"
        else:
            yield text if "-" in text else port.value


# --- autoscaling ---


def _autoscaler(node: Node, block: Block, clauses: Clauses) -> bool:
    """Its metrics are judged by a rule that knows what they mean, the rest as an expectation."""
    metrics = node.entries.get("spec", _NOTHING).entries.get("metrics")
    stated = [_metric(metric) for metric in metrics.members] if metrics is not None else []
    known = [metric for metric in stated if metric is not None]
    if metrics is None or not known or len(known) < len(stated) or not name_of(node):
        return False
    namespaces = [namespace_of(node)] if namespace_of(node) else []
    uses = clauses.use("autoscaler-metrics-differ", {"metrics": known}, namespaces=namespaces, names=[name_of(node)])
    if not uses:
        return False
    fields = [field for field in _fields(node, clauses) if not field["path"].startswith("spec.metrics")]
    clauses.add(
        _id(node),
        f"{title_of(node)} as documented",
        block,
        node.line,
        expectations=[expectation(node, fields)],
        obj=node,
    )
    title = f"{title_of(node)} scales by the documented metrics"
    clauses.add(f"{_id(node)}/metrics", title, block, metrics.line, rules=uses, obj=node)
    return True


def _metric(node: Node) -> dict[str, Any] | None:
    """A metric of a HorizontalPodAutoscaler (v2), as autoscaler-metrics-differ takes it."""
    type_ = text_at(node, "type")
    source = node.entries.get(f"{type_[:1].lower()}{type_[1:]}", _NOTHING)
    name = text_at(source, "name") or text_at(source, "metric", "name")
    target = source.entries.get("target", _NOTHING)
    if not name or is_placeholder(name):
        return None
    metric: dict[str, Any] = {"type": type_, "name": name}
    if text_at(source, "container"):
        metric["container"] = text_at(source, "container")
    for field, parameter in (("averageUtilization", "utilization"), ("averageValue", "value"), ("value", "value")):
        value = target.entries.get(field)
        if value is not None and value.is_scalar and not is_placeholder(value.value):
            metric[parameter] = value.value
            return metric
    return None


# --- the mesh ---

#: Where policies hold for the whole mesh, unless it is configured otherwise.
_ROOT_NAMESPACE = "istio-system"


def _peer_authentication(node: Node, block: Block, clauses: Clauses) -> bool:
    """STRICT means STRICT in effect, for every workload of the namespace. The object itself is demanded, too."""
    namespace = namespace_of(node)
    selects = "selector" in node.entries.get("spec", _NOTHING).entries
    if text_at(node, "spec", "mtls", "mode") == "STRICT" and not selects and namespace:
        everywhere = namespace == _ROOT_NAMESPACE
        uses = clauses.use("mtls-not-strict", None if everywhere else {"namespaces": [namespace]})
        title = f"mTLS is STRICT {'everywhere' if everywhere else f'in namespace {namespace}'}"
        clauses.add(f"{_id(node)}/mode", title, block, node.line, rules=uses, obj=node)
    return False


def _authorization_policy(node: Node, block: Block, clauses: Clauses) -> bool:
    """Who may call, in effect: not that a policy has these words."""
    spec, namespace = node.entries.get("spec", _NOTHING), namespace_of(node)
    rules = spec.entries.get("rules", _NOTHING).members
    if text_at(spec, "action") in ("", "ALLOW") and not rules and name_of(node):
        # It allows nothing: a rule would allow something.
        fields = [field for field in _fields(node, clauses) if field["path"] != "spec.rules"]
        fields.append({"path": "spec.rules", "equals": [], "default": [], "line": spec.line or node.line})
        if "action" not in spec.entries:
            fields.append(
                {"path": "spec.action", "equals": "ALLOW", "default": "ALLOW", "line": spec.line or node.line}
            )
        title = f"{title_of(node)} as documented"
        clauses.add(_id(node), title, block, node.line, expectations=[expectation(node, fields)], obj=node)
        return True
    if text_at(spec, "action") not in ("", "ALLOW") or not namespace or not rules or "targetRefs" in spec.entries:
        return False
    to = _pods(namespace, spec.entries.get("selector", _NOTHING).plain or {}, node, clauses)
    callers = [_caller(rule) for rule in rules]
    if not to or not clauses.has("documented-callers") or any(caller is None for caller in callers):
        return False
    known = [caller for caller in callers if caller is not None]
    only_from = [caller for caller in known if set(caller) == {"from"}]
    only_to = [caller for caller in known if "from" not in caller]
    if len(known) == 2 and len(only_from) == len(only_to) == 1:
        clauses.note(
            "contradiction", rules[1].line, title_of(node),
            f"callers (line {rules[0].line}) and operations (line {rules[1].line}) are two rules, so they are"
            " alternatives; they are read as the one rule that is meant",
        )  # fmt: skip
        known = [{**only_from[0], **only_to[0]}]
    entries = [{"to": _one(to), "from": caller.get("from", ["*"]), **caller} for caller in known]
    title = f"Callers of {_ends(_one(to))}: {', '.join(end for caller in entries for end in caller['from'])}"
    uses = clauses.use("documented-callers", {"callers": entries})
    clauses.add(_id(node), title, block, node.line, rules=uses, obj=node)
    return True


def _caller(rule: Node) -> dict[str, Any] | None:
    """A rule of an AuthorizationPolicy, as documented-callers takes it; None where that cannot say it."""
    if set(rule.entries) - {"from", "to"} or not rule.entries:
        return None
    callers: list[str] = []
    for source in rule.entries.get("from", _NOTHING).members:
        stated = source.entries.get("source", _NOTHING)
        if not stated.entries or len(stated.entries) > 1:
            return None
        ((kind, values),) = stated.entries.items()
        for value in values.members:
            name = _identity(kind, value.text)
            if name is None:
                return None
            callers.append(name)
    caller: dict[str, Any] = {"from": list(dict.fromkeys(callers))} if callers else {}
    operations = rule.entries.get("to", _NOTHING).members
    if len(operations) > 1:
        return None
    for operation in operations:
        stated = operation.entries.get("operation", _NOTHING)
        if not stated.entries or set(stated.entries) - {"methods", "ports"}:
            return None
        if "methods" in stated.entries:
            caller["methods"] = [method.text for method in stated.entries["methods"].members]
        if "ports" in stated.entries:
            ports = [port.text for port in stated.entries["ports"].members]
            if not all(port.isdecimal() for port in ports):
                return None
            caller["ports"] = [int(port) for port in ports]
    return caller or None


def _identity(kind: str, text: str) -> str | None:
    """A source as a namespace, or namespace/service-account: ``cluster.local/ns/shop/sa/web``."""
    if kind == "namespaces":
        return text if is_name(text) else None
    match = re.fullmatch(r"(?:[^/]+/)?ns/([a-z0-9-]+)/sa/([a-z0-9.-]+)", text) if kind == "principals" else None
    return f"{match[1]}/{match[2]}" if match else None


# --- pods ---


def _pod_security_policy(node: Node, block: Block, clauses: Clauses) -> bool:
    """Its settings hold for pods; the kind itself left Kubernetes in 1.25."""
    spec = node.entries.get("spec", _NOTHING)
    for key, child in security.settings((title_of(node),), spec, block, clauses, []):
        clauses.note("not-understood", child.line, f"{title_of(node)}: {key}", "no rule judges this setting")
    clauses.add(
        f"{_id(node)}/left-over", "PodSecurityPolicy is succeeded by Pod Security Admission", block, node.line,
        rules=clauses.use("pod-security-policy-left-over"),
    )  # fmt: skip
    return True


def _secret(node: Node, block: Block, clauses: Clauses) -> bool:
    """A Secret need not stand in manifests, and its values are not compared."""
    if name_of(node):
        clauses.note("assumed", node.line, title_of(node), "what it holds is to be there where it is declared")
        expected = {**expectation(node, list(_fields(node, clauses))), "required": False}
        title = f"{title_of(node)} as documented"
        clauses.add(_id(node), title, block, node.line, expectations=[expected], obj=node)
        return True
    return False


_Made = Callable[[Node, Block, Clauses], bool]
_BY_KIND: Mapping[tuple[str, str], _Made] = {
    ("", "Namespace"): _namespace,
    ("", "Secret"): _secret,
    ("rbac.authorization.k8s.io", "ClusterRole"): _cluster_role,
    ("rbac.authorization.k8s.io", "Role"): _cluster_role,
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): _binding,
    ("rbac.authorization.k8s.io", "RoleBinding"): _binding,
    ("networking.k8s.io", "NetworkPolicy"): _network_policy,
    ("policy", "PodSecurityPolicy"): _pod_security_policy,
    ("extensions", "PodSecurityPolicy"): _pod_security_policy,
    ("autoscaling", "HorizontalPodAutoscaler"): _autoscaler,
    ("security.istio.io", "PeerAuthentication"): _peer_authentication,
    ("security.istio.io", "AuthorizationPolicy"): _authorization_policy,
}

__all__ = [
    "clause_of",
    "expectation",
    "group_of",
    "kind_of",
    "learn",
    "members_of",
    "name_of",
    "namespace_of",
    "text_at",
    "title_of",
]
