"""Descriptive forms: what documents write down in words of their own, and not as objects.

Each form is recognised by the words of its keys, at any depth. One that is recognised and whose values are not
understood is noted, never passed over.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from kubeassay.analysis.quantity import parse_quantity
from kubeassay.model.document import Block, Node
from kubeassay.policy.document import objects, security
from kubeassay.policy.document.clauses import Clauses, Use
from kubeassay.policy.document.words import (
    is_name,
    is_placeholder,
    not_meant,
    singular,
    slug,
    squashed,
    without_parentheses,
    words,
)

Keys = tuple[str, ...]

#: Words of keys of tiers and namespaces that say what kind of thing it is, and not which.
_GENERIC = frozenset(
    {
        "container", "pod", "service", "tier", "resource", "limit", "request", "workload", "the", "for", "of", "all",
        "default", "namespace", "quota", "application", "requirement", "standard", "configuration", "per", "each",
        "every", "and", "a", "in",
    }
)  # fmt: skip
#: Words that turn a list into the opposite, or into a part of one.
_OTHERWISE = frozenset(
    {"excluded", "exclude", "except", "exempt", "ignored", "forbidden", "without", "deprecated", "no"}
)


def read(keys: Keys, node: Node, block: Block, clauses: Clauses) -> bool:
    """Read a value in whatever form it has. False where it has none: its children are looked at then."""
    return any(form(keys, node, block, clauses) for form in _FORMS)


# --- namespaces ---


def namespaces_in(keys: Keys, node: Node) -> Iterator[tuple[str, int, str]]:
    """(name, line, description) of a list of namespaces; nothing where the node is none."""
    if not keys or not _is_namespace_list(keys[-1]):
        return
    stack = [node]
    while stack:
        here = stack.pop()
        for member in here.members:
            if isinstance(member.value, str):
                name, _, description = member.value.partition(" ")
                if is_name(name.rstrip(":")) and (not description or not description[0].isalnum()):
                    yield name.rstrip(":"), member.line, description.strip(" -–—:()")
            elif "name" in member.entries and isinstance(member.entries["name"].value, str):
                if is_name(member.entries["name"].value):
                    yield member.entries["name"].value, member.line, _description(member)
            elif len(member.entries) == 1:
                ((name, said),) = member.entries.items()
                if is_name(name):
                    yield name, member.line, said.text if said.is_scalar else _description(said)
        for key, child in here.entries.items():
            if not_meant(key) or _OTHERWISE & set(words(key)):
                continue
            if child.members or (child.entries and _is_namespace_list(key)):
                stack.append(child)
            elif is_name(key) and (child.value is None or isinstance(child.value, str)):
                yield key, child.line, child.text


def application_namespaces_in(keys: Keys, node: Node) -> list[str]:
    """The namespaces of a list that are said to be those of applications."""
    if _APPLICATIONS & set(words(keys[-1])):
        return [name for name, _, _ in namespaces_in(keys, node)]
    return [name for key, child in node.entries.items() for name in application_namespaces_in((*keys, key), child)]


_APPLICATIONS = frozenset({"application", "app", "workload"})


def _is_namespace_list(key: str) -> bool:
    said = words(without_parentheses(key))
    if "namespace" not in said or "quota" in said or key == "namespace":
        return False
    # "Namespace Labels" and "Namespace Policies" are about namespaces, and list something else.
    behind = said[said.index("namespace") + 1 :]
    if behind and behind[0] not in _BY and behind[-1] not in _ARRANGED:
        return False
    return not _OTHERWISE & set(said) and not not_meant(key)


#: Each list is demanded with the names of all: beyond this, the first ones are.
_MAX_LISTED = 20_000
_BY = frozenset({"per", "by", "in", "of", "for", "on", "at"})
#: Words behind that of namespaces that still announce a list of them.
_ARRANGED = frozenset(
    {
        "list", "organization", "organisation", "structure", "layout", "strategy", "overview", "design", "model",
        "hierarchy", "plan", "name", "inventory", "catalog", "catalogue", "map", "mapping", "separation", "tier",
        "architecture", "configuration", "definition", "allocation", "environment", "team",
    }
)  # fmt: skip


def _description(node: Node) -> str:
    return " ".join(child.text for key, child in node.entries.items() if key != "name" and child.is_scalar)


def _namespace_list(keys: Keys, node: Node, block: Block, clauses: Clauses) -> bool:
    found = sorted(namespaces_in(keys, node), key=lambda found: found[1])
    # One value below such a key ("Namespace: payments") says where something else stands.
    if not found or (len(found) == 1 and not node.members):
        return False
    if not any(here.members for here in node.descendants()):
        clauses.note("assumed", node.line, " / ".join(keys), "its keys are read as the names of namespaces")
    lines = {line for _, line, _ in found}
    for named in [n for n in node.descendants() if n.line in lines]:
        if named.is_scalar:
            clauses.account(named)
        elif "name" in named.entries or len(named.entries) == 1:
            _account_namespace(keys, named, block, clauses)
    # Lists in several places are one list: whoever is in none of them is unknown.
    names = list(clauses.facts.namespaces)
    clauses.facts.namespace_lists += 1
    if clauses.facts.namespace_lists * len(names) > _MAX_LISTED:
        return True
    anyway = ["default", "kube-system", "kube-public", "kube-node-lease"]
    for name, line in clauses.facts.used_namespaces.items():
        if name not in names and name not in anyway:
            anyway.append(name)
            clauses.note(
                "contradiction", line, f"namespace {name}",
                f"an object stands in it, and it is not among the documented namespaces (line {node.line}); it is taken"
                " for one that something else creates",
            )  # fmt: skip
    clauses.add(
        "namespaces", "The documented namespaces, and no others", block, node.line,
        rules=clauses.use("documented-namespaces", {"namespaces": names, "present_anyway": anyway}),
    )  # fmt: skip
    return True


#: Keys of a namespace in a list that describe it.
_DESCRIBING = frozenset(
    {"description", "purpose", "owner", "team", "content", "contain", "note", "comment", "use", "usage", "workload"}
)


def _account_namespace(keys: Keys, node: Node, block: Block, clauses: Clauses) -> None:
    """What a list says of a namespace beside its name: its labels are demanded, its description is not."""
    if "name" in node.entries:
        name, said = node.entries["name"].text, node
        clauses.account(node.entries["name"])
    else:
        ((name, said),) = node.entries.items()
        if said.is_scalar:
            clauses.account(said)
    if not is_name(name):
        return
    for key, child in said.entries.items():
        if child in clauses.accounted or (child.is_scalar and _DESCRIBING & set(words(key))):
            clauses.account(child)
        elif words(key) == ("label",) and (labels := _labels(child)) is not None:
            clauses.account(child)
            fields = [
                {"path": f'metadata.labels["{label}"]', "equals": value.text, "line": value.line}
                for label, value in labels.items()
            ]
            expected = {"object": {"apiVersion": "v1", "kind": "Namespace", "name": name}, "required": False}
            clauses.add(
                f"namespace/{name}", f"Namespace {name} has the documented labels", block, child.line,
                expectations=[{**expected, "fields": fields}],
            )  # fmt: skip
        elif not child.is_scalar:
            walk((*keys, f"namespace {name}", key), child, block, clauses)


def _core(key: str, generic: frozenset[str] = _GENERIC) -> str:
    """A key as a name, without the words that say what kind of thing it is. A namespace may well be called ads."""
    return "-".join(part for part in slug(key).split("-") if singular(part) not in generic)


def namespace_of_key(key: str, clauses: Clauses) -> str | None:
    """The namespace that a key names: ``Frontend Namespace``, or the name of a documented one."""
    if key in clauses.facts.namespaces:
        return key
    said = words(key)
    if "namespace" not in said:
        return None
    rest = _core(key)
    name = slug(re.sub(r"(?i)namespaces?", " ", key))
    for candidate in (name, rest):
        called = clauses.facts.namespace_called(candidate) if candidate else None
        if called is not None or candidate in clauses.facts.used_namespaces:
            return called or candidate
    return rest if is_name(rest) else None


def scope(keys: Keys, clauses: Clauses, section: tuple[str, ...] = ()) -> list[str]:
    """The namespace that something below these keys and headings is for; empty for all."""
    facts = clauses.facts
    for number, key in enumerate((*reversed(keys), *reversed(section))):
        name = namespace_of_key(key, clauses)
        if name is None:
            continue
        known = name in facts.namespaces or name in facts.used_namespaces
        # "Namespace Defaults" names none; "Payments Namespace" and "Namespace payments" do, where no list has it, too.
        if known or (number < len(keys) and not facts.namespaces and _names_one(key)):
            return [name]
    return []


def _names_one(key: str) -> bool:
    first, _, rest = key.partition(" ")
    return words(key)[-1] == "namespace" or (words(first) == ("namespace",) and is_name(rest))


# --- quotas ---

_QUOTA_RESOURCE = re.compile(
    r"(?:requests\.|limits\.)?(?:cpu|memory|storage|ephemeral-storage|hugepages-\w+)\Z|requests\.[\w.-]+/[\w.-]+\Z"
    r"|pods\Z|services(?:\.loadbalancers|\.nodeports)?\Z|secrets\Z|configmaps\Z|persistentvolumeclaims\Z"
    r"|replicationcontrollers\Z|resourcequotas\Z|count/[\w./-]+\Z|[\w.-]+\.storageclass\.storage\.k8s\.io/[\w./-]+\Z"
)
#: Words of a key → the resource of a quota.
_IN_WORDS: Mapping[str, str] = {
    "cpurequest": "requests.cpu", "requestcpu": "requests.cpu", "requestedcpu": "requests.cpu",
    "memoryrequest": "requests.memory", "requestmemory": "requests.memory", "requestedmemory": "requests.memory",
    "cpulimit": "limits.cpu", "limitcpu": "limits.cpu", "memorylimit": "limits.memory", "limitmemory": "limits.memory",
    "storage": "requests.storage", "requeststorage": "requests.storage", "storagerequest": "requests.storage",
    "pvcs": "persistentvolumeclaims", "persistentvolumeclaim": "persistentvolumeclaims",
    "volumeclaim": "persistentvolumeclaims",
    "pvc": "persistentvolumeclaims", "pod": "pods", "maxpod": "pods", "service": "services",
    "loadbalancer": "services.loadbalancers", "nodeport": "services.nodeports", "secret": "secrets",
    "configmap": "configmaps",
}  # fmt: skip


def _quota(keys: Keys, node: Node, block: Block, clauses: Clauses) -> bool:
    """Quotas by namespace: ``Resource Quota … / Frontend Namespace / … / requests.cpu``, or the other way round."""
    at = next((number for number, key in enumerate(keys) if "quota" in words(key)), None)
    if at is None or not node.entries:
        return False
    named = [(number, name) for number, key in enumerate(keys) if (name := namespace_of_key(key, clauses)) is not None]
    # The key below the one that says quota names the namespace, where no key does so by itself.
    if not named and len(keys) == at + 2 and any(_resources(node, "")):
        name = _core(keys[-1])
        named = [(len(keys) - 1, name)] if is_name(name) else []
    if not named or len(keys) - 1 != max(at, named[-1][0]):
        return False
    found = list(_resources(node, ""))
    if not found:
        return False
    namespace = named[-1][1]
    hard: dict[str, Any] = {}
    lines: dict[str, int] = {}
    for resource, value in found:
        clauses.account(value)
        if resource in hard:
            clauses.note(
                "contradiction", value.line, f"{resource} of {namespace}",
                f"line {lines[resource]} says it, too: the lesser is demanded",
            )  # fmt: skip
            if (parse_quantity(value.value) or 0) >= (parse_quantity(hard[resource]) or 0):
                continue
        hard[resource], lines[resource] = (
            value.value if isinstance(value.value, int | float) else value.text,
            value.line,
        )
    if namespace not in clauses.facts.namespaces and clauses.facts.namespaces:
        reason = "the list of namespaces does not have it"
        clauses.note("contradiction", node.line, f"namespace {namespace}", reason)
    # A clause for each value, so that a finding names its line.
    for name, value in hard.items():
        clauses.add(
            f"quota/{namespace}/{name}", f"{name} of namespace {namespace}: {value}", block, lines[name],
            rules=clauses.use("documented-quota", {"quotas": {namespace: {name: value}}}),
        )  # fmt: skip
    return True


def _resources(node: Node, prefix: str) -> Iterator[tuple[str, Node]]:
    """(resource, value) of what a quota says, at any depth below its namespace."""
    for key, child in node.entries.items():
        if child.is_scalar:
            resource = _resource(f"{prefix}{key}" if prefix else key) or _resource(key)
            if resource is not None and parse_quantity(child.value) is not None:
                yield resource, child
            continue
        word = squashed(key)
        inner = "requests." if word == "request" else "limits." if word == "limit" else prefix
        yield from _resources(child, inner)


def _resource(key: str) -> str | None:
    if _QUOTA_RESOURCE.match(key):
        # A bare "cpu" is the old name of its request.
        return f"requests.{key}" if key in ("cpu", "memory", "storage") else key
    for prefix in ("requests.", "limits."):
        if key.startswith(prefix) and squashed(key) in ("requestcpu", "requestmemory", "limitcpu", "limitmemory"):
            return f"{prefix}{words(key)[-1]}"
    return _IN_WORDS.get(squashed(key))


def without_quota(clauses: Clauses) -> None:
    """Tell which namespaces have no quota where others have one: what runs in them is bounded by nothing."""
    with_quota = {clause.id.split("/")[1] for clause in clauses.found if clause.id.startswith("quota/")}
    with_quota |= {
        expected["object"]["namespace"]
        for clause in clauses.found
        for expected in clause.expectations
        if expected["object"]["kind"] == "ResourceQuota" and "namespace" in expected["object"]
    }
    without = [name for name in clauses.facts.own_namespaces if name not in with_quota]
    if with_quota and without:
        line = min(clauses.facts.namespaces[name][0] for name in without)
        reason = f"no quota is documented for them, as for {', '.join(sorted(with_quota))}"
        clauses.note("contradiction", line, f"namespaces {', '.join(without)}", reason)


# --- resources of containers ---

_CONTAINER_RESOURCES = {
    ("request", "cpu"): "requests_cpu",
    ("request", "memory"): "requests_memory",
    ("limit", "cpu"): "limits_cpu",
    ("limit", "memory"): "limits_memory",
}


#: Words that make of a value one that others may differ from.
_BOUNDS = frozenset(
    {
        "max", "maximum", "min", "minimum", "default", "total", "sum", "ratio", "range", "average", "typical", "burst",
        "baseline", "from", "to", "up", "least", "most",
    }
)  # fmt: skip


def _container_resources(keys: Keys, node: Node, block: Block, clauses: Clauses) -> bool:
    """``Frontend Containers: requests: cpu: 100m``: also ``CPU request: 100m``."""
    if not keys or any(
        "quota" in said or "limitrange" in squashed(key) or {"range", "total", "sum"} & set(said)
        for key in keys
        for said in [words(key)]
    ):
        return False
    demanded: dict[str, Any] = {}
    taken: list[Node] = []
    for key, child in node.entries.items():
        said = words(key)
        for kind in ("request", "limit"):
            if kind not in said or len(said) > 3 or _BOUNDS & set(said):
                continue
            pairs = [(said, child)] if child.is_scalar else [(words(k), c) for k, c in child.entries.items()]
            for names, value in pairs:
                resource = next((name for name in ("cpu", "memory") if name in names), None)
                if _BOUNDS & set(names):
                    continue
                if resource is not None and value.is_scalar and parse_quantity(value.value) is not None:
                    parameter = _CONTAINER_RESOURCES[kind, resource]
                    if parameter in demanded:
                        clauses.note("contradiction", value.line, " / ".join(keys), f"a second {kind} of {resource}")
                        clauses.account(value)
                        continue
                    demanded[parameter] = value.value
                    taken.append(value)
    if not demanded:
        return False
    # What is a default is what some differ from.
    match = _tier(keys, clauses) if "default" not in words(keys[-1]) else None
    if match is None:
        reason = "which containers are meant is not said: no namespace or workload of the document is called so"
        clauses.note("not-understood", node.line, " / ".join(keys), reason)
        clauses.account(node)
        return True
    clauses.account(*taken)
    name = slug(word for word in words(keys[-1]) if word not in _GENERIC) or "containers"
    for (parameter, value), place in zip(demanded.items(), taken, strict=True):
        shown = parameter.replace("_", ".")
        clauses.add(
            f"container-resources/{name}/{shown}", f"{keys[-1]}: {shown} {value}", block, place.line,
            rules=clauses.use("container-resources", {parameter: value}, **match),
        )  # fmt: skip
    return True


def _tier(keys: Keys, clauses: Clauses) -> dict[str, list[str]] | None:
    """Which containers a key means, as a match; None where it does not say."""
    facts = clauses.facts
    core = [word for word in words(keys[-1]) if word not in _GENERIC]
    if not core:
        spaces = scope(keys[:-1], clauses)
        return {"namespaces": spaces or facts.own_namespaces} if spaces or facts.own_namespaces else {}
    name = slug(core)
    called = facts.namespace_called(name)
    if called is not None:
        return {"namespaces": [called]}
    # "data: Database proxies and data services" says that the tier "Database Proxy" runs there.
    described = facts.namespaces_described(name)
    if len(described) == 1:
        line = facts.namespaces[described[0]][0]
        reason = f"read as the containers of namespace {described[0]}, which line {line} describes by these words"
        clauses.note("assumed", line, keys[-1], reason)
        return {"namespaces": described}
    for space, workloads in facts.workloads.items():
        for workload in (name, _core(keys[-1])):
            if workload in workloads:
                return {"namespaces": [space] if space else [], "names": [workload]}
    return None


# --- security settings ---


def _security(keys: Keys, node: Node, block: Block, clauses: Clauses) -> bool:
    if not any(security.is_setting(key) for key in node.entries):
        return False
    spaces = scope(keys, clauses, block.section)
    rest = list(security.settings(keys, node, block, clauses, spaces))
    policy = next((key for key in keys if "podsecuritypolicy" in squashed(key)), None)
    if policy is not None and _minor(clauses.facts.kubernetes_version) >= _LAST_POD_SECURITY_POLICY:
        clauses.note(
            "contradiction", node.line, policy,
            "PodSecurityPolicy left Kubernetes in 1.25, and the document's version is"
            f" {clauses.facts.kubernetes_version}: pods are held to its settings themselves, and Pod Security"
            " Admission is its successor",
        )  # fmt: skip
        clauses.add(
            "pod-security/left-over", "PodSecurityPolicy is succeeded by Pod Security Admission", block, node.line,
            rules=clauses.use("pod-security-policy-left-over"),
        )  # fmt: skip
    for key, child in rest:
        walk((*keys, key), child, block, clauses)
        if child.is_scalar and child not in clauses.accounted:
            # Among settings a sentence is a setting, too: "Service account token: not mounted".
            clauses.account(child)
            clauses.note("not-understood", child.line, " / ".join((*keys[-1:], key)), "no form of it is known")
    return True


_LAST_POD_SECURITY_POLICY = 25


def _minor(version: str) -> int:
    match = re.match(r"v?1\.([0-9]{1,3})", version)
    return int(match[1]) if match else 0


# --- clusters and node groups ---

#: What is said of a cluster: a rule with its parameters, or else the fields of an expectation.
_Cluster = tuple[str, dict[str, Any]] | list[Use]
_CLUSTER_CONFIG = {"apiVersion": "eksctl.io/v1alpha5", "kind": "ClusterConfig"}
_AWS_REGION = re.compile(r"[a-z]{2}(?:-[a-z]+){1,2}-[0-9]\Z")
_LOG_TYPES = {
    "apiserver": "api", "api": "api", "audit": "audit", "authenticator": "authenticator",
    "controllermanager": "controllerManager", "scheduler": "scheduler",
}  # fmt: skip
_AMI_FAMILIES = {"AL2": "AmazonLinux2", "AL2023": "AmazonLinux2023", "BOTTLEROCKET": "Bottlerocket"}
_CNI_ADDONS = {"amazonvpccni": "vpc-cni", "awsvpccni": "vpc-cni", "vpccni": "vpc-cni"}
_VERSION_TEXT = re.compile(r"v?1\.[0-9]{1,3}(?:\.[0-9]+)?\Z")
_SIZE = re.compile(r"(?P<number>[0-9]+)\s*(?:GB|GiB|Gi|G)?\Z", re.IGNORECASE)


def _cluster_field(keys: Keys, node: Node, block: Block, clauses: Clauses) -> bool:
    """One value of a cluster's configuration."""
    if not keys:
        return False
    word = squashed(keys[-1])
    # A version, a region and a CNI belong to many things; only in the neighbourhood of a cluster are they its own.
    around = [w for text in (*keys[:-1], *block.section) for w in words(text)]
    if "eks" not in around and not clauses.facts.cluster_name:
        return False
    if "cluster" not in around and "control" not in around and "networking" not in around and "eks" not in around:
        return False
    if word in _ZONES and "multi" in words(node.text) and {"az", "zone"} & set(words(node.text)):
        uses = clauses.use("node-groups-in-one-zone")
        clauses.add(f"cluster/{slug(keys[-1])}", f"{keys[-1]}: {node.text}", block, node.line, rules=uses)
        if uses:
            clauses.account(node)
        return bool(uses)
    made = _CLUSTER_FIELDS.get(word)
    said = made(node) if made is not None else None
    if said is None:
        return False
    uses = clauses.use(*said) if isinstance(said, tuple) else []
    expected: list[Use] = []
    if isinstance(said, list):
        wanted = {**_CLUSTER_CONFIG, "name": clauses.facts.cluster_name or "*"}
        expected.append({"object": wanted, "fields": [{**field, "line": node.line} for field in said]})
    elif not uses:
        return False
    clauses.account(node)
    title = f"{keys[-1]}: {security.shown(node)}"
    clauses.add(f"cluster/{slug(keys[-1])}", title, block, node.line, rules=uses, expectations=expected)
    return True


def cluster_name_in(keys: Keys, node: Node) -> str:
    """The name of the cluster, where a value states it."""
    if keys and squashed(keys[-1]) in ("clustername", "eksclustername") and isinstance(node.value, str):
        return node.value if is_name(node.value) else ""
    return ""


def kubernetes_version_in(keys: Keys, node: Node) -> str:
    """The version of Kubernetes, where a value states it: as it is written, for 1.30 is no number."""
    if keys and squashed(keys[-1]) in ("kubernetesversion", "k8sversion", "eksversion") and node.is_scalar:
        text = without_parentheses(node.text)
        return text.removeprefix("v") if _VERSION_TEXT.match(text) else ""
    return ""


def _name_field(node: Node) -> _Cluster | None:
    return ("documented-cluster", {"name": node.value}) if is_name(node.value) else None


def _version_field(node: Node) -> _Cluster | None:
    version = kubernetes_version_in(("Kubernetes Version",), node)
    return ("documented-cluster", {"version": ".".join(version.split(".")[:2])}) if version else None


def _region_field(node: Node) -> _Cluster | None:
    region = without_parentheses(node.text)
    return ("documented-cluster", {"region": region}) if _AWS_REGION.match(region) else None


def _endpoint_field(node: Node) -> _Cluster | None:
    said = set(words(node.text))
    if not said & {"private", "public"}:
        return None
    # A rule knows the private one alone.
    if said >= {"private", "public"}:
        return "cluster-endpoint-not-private", {}
    return [
        {"path": f"vpc.clusterEndpoints.{kind}Access", "equals": kind in said, "default": kind == "public"}
        for kind in ("private", "public")
    ]


def _logging_field(node: Node) -> _Cluster | None:
    texts = [member.value for member in node.members]
    types = [_LOG_TYPES.get(squashed(str(text))) for text in texts]
    if not types or None in types:
        return None
    return "control-plane-logging", {"types": types}


def _cni_field(node: Node) -> _Cluster | None:
    addon = _CNI_ADDONS.get(squashed(node.text)) if node.is_scalar else None
    return ("documented-cluster", {"addons": [addon]}) if addon is not None else None


_CLUSTER_FIELDS: Mapping[str, Callable[[Node], _Cluster | None]] = {
    "clustername": _name_field, "eksclustername": _name_field,
    "kubernetesversion": _version_field, "k8sversion": _version_field, "eksversion": _version_field,
    "region": _region_field, "awsregion": _region_field,
    "apiserverendpoint": _endpoint_field, "apiendpoint": _endpoint_field, "clusterendpoint": _endpoint_field,
    "endpointaccess": _endpoint_field, "loggingenabled": _logging_field, "logging": _logging_field,
    "controlplanelogging": _logging_field, "controlplanelog": _logging_field, "cniplugin": _cni_field,
    "cni": _cni_field,
}  # fmt: skip

#: What is said of a node group: (parameter of documented-node-groups, value, line); taints by key and effect.
_Stated = tuple[str, Any, int]
_ReadGroup = Callable[[Node], list[_Stated] | None]

_ZONES = frozenset({"highavailability", "availability", "availabilityzone", "zone"})
_GROUP_WORDS = frozenset({"node", "group", "pool", "worker", "nodegroup", "nodepool", "managed"})


def _node_group(keys: Keys, node: Node, block: Block, clauses: Clauses) -> bool:
    """``Application Node Group``: instance types, sizes, labels, taints, image, capacity, disk."""
    if not keys or not node.entries:
        return False
    about_nodes = [key for key in keys if {"node", "nodegroup", "nodepool"} & set(words(key))]
    by_word = {squashed(key): child for key, child in node.entries.items()}
    known = [word for word in by_word if word in _GROUP_FIELDS]
    if not about_nodes or len(known) < 2:
        return False
    name = _core(keys[-1], _GROUP_WORDS)
    if not is_name(name):
        return False
    stated: list[_Stated] = []
    options: dict[str, Any] = {}
    for key, child in node.entries.items():
        word = squashed(key)
        if word in _GROUP_OPTIONS and (option := _option(child)) is not None:
            options[_GROUP_OPTIONS[word]] = option
            clauses.account(child)
            continue
        if word in _CLUSTER_OPTIONS and _option(child) is not None:
            _cluster_option(name, key, child, block, clauses)
            clauses.account(child)
            continue
        made = _GROUP_FIELDS.get(word)
        if made is None:
            walk((*keys, key), child, block, clauses)
            continue
        clauses.account(child)
        said = made(child)
        if said is None:
            clauses.note("not-understood", child.line, " / ".join((*keys, key)), "its value is not understood")
            continue
        stated += said
    _compare_sizes(name, stated, clauses)
    scaled = any({"autoscaler", "scaling", "scaler"} & set(words(key)) for key in keys[:-1])
    uses = _node_group_uses(name, stated, options, clauses, scaled=scaled)
    id_ = f"node-group-scaling/{name}" if scaled else f"node-group/{name}"
    clauses.add(id_, f"Node group {name} as documented", block, node.line, rules=uses)
    return True


def _node_group_uses(
    name: str, stated: list[_Stated], options: dict[str, Any], clauses: Clauses, *, scaled: bool
) -> list[Use]:
    """What is documented of a node group, as a use of the rule on node groups, or on their autoscaler."""
    group: dict[str, Any] = {}
    merged: dict[str, dict[Any, Any]] = {}
    for parameter, value, _ in stated:
        if isinstance(value, dict):
            merged.setdefault(parameter, {}).update(value)
        else:
            group[parameter] = value
    if "labels" in merged:
        group["labels"] = merged["labels"]
    if "taints" in merged:
        group["taints"] = list(merged["taints"].values())
    if not scaled:
        return clauses.use("documented-node-groups", {"groups": {name: group}}) if group else []
    bounds: dict[str, Any] = {key: group[key] for key in ("minimum", "maximum") if key in group}
    if options:
        bounds["options"] = options
    return clauses.use("documented-cluster-autoscaler", {"groups": {name: bounds}})


#: Parameter of documented-node-groups → the field of eksctl that it is stated in.
EKSCTL_FIELDS = {
    "instance_types": "instanceTypes", "minimum": "minSize", "maximum": "maxSize", "desired": "desiredCapacity",
    "image": "amiFamily", "disk": "volumeSize", "labels": "labels", "taints": "taints",
}  # fmt: skip
#: Words of a key → the option of the Cluster Autoscaler that a node group may have of its own.
_GROUP_OPTIONS = {
    "targetutilization": "scale-down-utilization-threshold",
    "utilizationthreshold": "scale-down-utilization-threshold",
    "scaledownutilizationthreshold": "scale-down-utilization-threshold",
    "scaledownunneededtime": "scale-down-unneeded-time",
    "scaledownunreadytime": "scale-down-unready-time",
}
#: … and that holds for the whole cluster.
_CLUSTER_OPTIONS = {
    "scaledowndelay": "scale-down-delay-after-add",
    "scaledowndelayafteradd": "scale-down-delay-after-add",
    "scaledowndelayafterdelete": "scale-down-delay-after-delete",
}
_SPAN = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?(?:ms|s|m|h))+\Z")
_PERCENT = re.compile(r"([0-9]{1,3}(?:\.[0-9]+)?)\s*%\Z")


def _option(node: Node) -> str | float | None:
    """The value of an option: a duration, or a share."""
    text = node.text.strip()
    share = _PERCENT.match(text)
    if share is not None:
        return float(share[1]) / 100
    if isinstance(node.value, float | int) and not isinstance(node.value, bool):
        return node.value
    return text if _SPAN.match(text) else None


def _cluster_option(name: str, key: str, node: Node, block: Block, clauses: Clauses) -> None:
    """An option that the whole cluster has, documented for one group."""
    flag, value = _CLUSTER_OPTIONS[squashed(key)], _option(node)
    earlier = clauses.facts.autoscaler_flags.get(flag)
    if earlier is None and value is not None:
        clauses.facts.autoscaler_flags[flag] = (value, node.line)
        clauses.add(
            f"cluster-autoscaler/{flag}", f"{key}: {node.text}", block, node.line,
            rules=clauses.use("documented-cluster-autoscaler", {"flags": {flag: value}}),
        )  # fmt: skip
    elif earlier is not None and earlier[0] != value:
        clauses.note(
            "contradiction", node.line, f"{key} of node group {name}",
            f"the autoscaler has one --{flag} for the cluster; line {earlier[1]} says {earlier[0]}, which is demanded",
        )  # fmt: skip


def _compare_sizes(name: str, stated: list[_Stated], clauses: Clauses) -> None:
    """Several places may give a node group's sizes."""
    for parameter, value, line in stated:
        if parameter in ("minimum", "maximum", "desired", "disk"):
            what = f"{EKSCTL_FIELDS[parameter]} of node group {name}"
            earlier, first = clauses.facts.sizes.setdefault(what, (value, line))
            if earlier != value:
                clauses.note("contradiction", line, what, f"line {first} says {earlier}, not {value}")


_INSTANCE_TYPE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\Z")


def _number(parameter: str) -> _ReadGroup:
    def made(node: Node) -> list[_Stated] | None:
        if not isinstance(node.value, int) or isinstance(node.value, bool):
            return None
        return [(parameter, node.value, node.line)]

    return made


def _sizes(node: Node) -> list[_Stated] | None:
    stated: list[_Stated] = []
    for key, child in node.entries.items():
        made = _SIZES.get(squashed(key))
        sizes = made(child) if made is not None else None
        if sizes is None:
            return None
        stated += sizes
    return stated or None


def _instance_types(node: Node) -> list[_Stated] | None:
    if isinstance(node.value, str):
        types: list[Any] = re.split(r"\s*[,/|]\s*|\s+or\s+", node.value.strip())
    else:
        types = [member.value for member in node.members]
    types = [without_parentheses(type_) if isinstance(type_, str) else type_ for type_ in types]
    if not types or not all(isinstance(type_, str) and _INSTANCE_TYPE.match(type_) for type_ in types):
        return None
    return [("instance_types", types, node.line)]


def _labels(node: Node) -> Mapping[str, Node] | None:
    if not node.entries or not all(child.is_scalar for child in node.entries.values()):
        return None
    if any('"' in key or is_placeholder(child.value) for key, child in node.entries.items()):
        return None
    return node.entries


def _group_labels(node: Node) -> list[_Stated] | None:
    labels = _labels(node)
    return None if labels is None else [("labels", {key: child.text for key, child in labels.items()}, node.line)]


def _taints(node: Node) -> list[_Stated] | None:
    if isinstance(node.value, tuple) and not node.value:
        return [("taints", [], node.line)]
    taints: dict[tuple[str, str], dict[str, str]] = {}
    for member in node.members:
        entries = {squashed(key): child.text for key, child in member.entries.items() if child.is_scalar}
        if "key" not in entries or "effect" not in entries or "]" in entries["key"]:
            return None
        # Two taints of one key are told, not taken for one.
        if any(key == entries["key"] for key, _ in taints):
            return None
        taints[entries["key"], entries["effect"]] = {
            part: entries[part] for part in ("key", "value", "effect") if part in entries
        }
    return [("taints", taints, node.line)] if taints else None


def _ami(node: Node) -> list[_Stated] | None:
    family = _AMI_FAMILIES.get(node.text.upper().partition("_")[0])
    return [("image", family, node.line)] if family else None


def _capacity(node: Node) -> list[_Stated] | None:
    capacity = {"ondemand": "on-demand", "spot": "spot"}.get(squashed(node.text))
    return [("capacity_type", capacity, node.line)] if capacity else None


def _disk(node: Node) -> list[_Stated] | None:
    match = _SIZE.match(node.text)
    return [("disk", int(match["number"]), node.line)] if match else None


_SIZES: Mapping[str, _ReadGroup] = {
    **dict.fromkeys(("minsize", "min", "minimum", "minnode", "mincount"), _number("minimum")),
    **dict.fromkeys(("maxsize", "max", "maximum", "maxnode", "maxcount"), _number("maximum")),
    **dict.fromkeys(("desiredcapacity", "desiredsize", "desired"), _number("desired")),
}
_GROUP_FIELDS: Mapping[str, _ReadGroup] = {
    **_SIZES,
    "scalingconfiguration": _sizes, "scaling": _sizes, "autoscaling": _sizes,
    **dict.fromkeys(("instancetype", "machinetype", "vmsize", "vmtype", "nodetype"), _instance_types),
    "nodelabel": _group_labels, "label": _group_labels, "taint": _taints, "nodetaint": _taints,
    "amitype": _ami, "amifamily": _ami, "capacitytype": _capacity,
    **dict.fromkeys(("disk", "disksize", "osdisksize", "bootdisksize", "rootvolumesize", "volumesize"), _disk),
}  # fmt: skip


def _environments(keys: Keys, node: Node, block: Block, clauses: Clauses) -> bool:
    """``Development Cluster: acme-dev``: what the clusters are called."""
    names = {
        key: child
        for key, child in node.entries.items()
        if words(key)[-1:] == ("cluster",) and is_name(child.value) and len(words(key)) > 1
    }
    if len(names) < 2:
        return False
    for key, child in node.entries.items():
        if key not in names:
            walk((*keys, key), child, block, clauses)
            continue
        for member in child.members:
            clauses.note("prose", member.line, f"{key}: {member.text}", "said in words, which nothing judges")
        clauses.account(child)
    wanted = {**_CLUSTER_CONFIG, "name": "*"}
    field: Use = {"path": "metadata.name", "oneOf": [child.value for child in names.values()], "line": node.line}
    clauses.add(
        "clusters", "Clusters are called as documented", block, node.line,
        expectations=[{"object": wanted, "required": False, "fields": [field]}],
    )  # fmt: skip
    own = clauses.facts.cluster_name
    if own and own not in field["oneOf"]:
        clauses.note("contradiction", node.line, own, "the cluster's name is not among those of the environments")
    return True


# --- the mesh ---


def _mesh(keys: Keys, node: Node, block: Block, clauses: Clauses) -> bool:
    """Istio: its control plane is installed, its proxy is in every pod of the application namespaces."""
    if not keys or not {"istio", "mesh"} & {word for text in (*keys, *block.section) for word in words(text)}:
        return False
    said = set(words(keys[-1]))
    namespaces = clauses.facts.application_namespaces or clauses.facts.own_namespaces
    parameters = {"namespaces": namespaces} if namespaces else None
    if said & {"component", "version", "namespace"} and "control" in {word for key in keys for word in words(key)}:
        names = {squashed(key) for member in node.members for key in (*member.entries, str(member.value or ""))}
        uses = clauses.use("istio-control-plane-missing", parameters) if names & _CONTROL_PLANE else []
        title = f"Istio's control plane: {security.shown(node)}"
    elif said in ({"service", "mesh"}, {"mesh"}) and squashed(node.text).startswith("istio"):
        uses = clauses.use("istio-control-plane-missing", parameters)
        title = f"{keys[-1]}: {node.text}"
    elif (
        said >= {"sidecar"} and isinstance(node.value, str) and set(words(node.value)) & {"inject", "injected", "each"}
    ):
        uses = [
            *clauses.use("namespace-without-injection", parameters), *clauses.use("workload-outside-mesh", parameters),
        ]  # fmt: skip
        title = f"{keys[-1]}: {node.text}"
    else:
        return False
    if not uses:
        return False
    clauses.account(node)
    clauses.add(f"mesh/{slug(keys[-1])}", title, block, node.line, rules=uses)
    return True


#: What Istio's control plane is made of, and was before it became one program.
_CONTROL_PLANE = frozenset({"istiod", "pilot", "citadel", "galley", "mixer"})


# --- what is left over ---


def is_known(key: str) -> bool:
    """Whether a key is one whose values some form reads, so that what it says is a demand, however it is said."""
    word = squashed(key)
    return (
        any(word in vocabulary for vocabulary in (_IN_WORDS, _GROUP_FIELDS, _GROUP_OPTIONS, _CLUSTER_OPTIONS))
        or word in _CLUSTER_FIELDS
        or _QUOTA_RESOURCE.match(key) is not None
        or security.is_setting(key)
    )


# --- walking ---

_FORMS = (
    _namespace_list,
    _quota,
    _environments,
    _node_group,
    _cluster_field,
    _container_resources,
    _security,
    _mesh,
)


def walk(keys: Keys, node: Node, block: Block, clauses: Clauses) -> None:
    """Read a value and, where it has no form of its own, what is below it."""
    if node in clauses.accounted:
        return
    if keys and not_meant(keys[-1]) and not security.is_any_setting(keys[-1]):
        clauses.account(node)
        clauses.note(
            "not-understood", node.line, " / ".join(keys), "its key says that it is not, or not plainly, demanded"
        )
        return
    members = objects.members_of(node)
    if members is not None:
        clauses.account(node)
        for member in members:
            walk(keys, member, block, clauses)
        return
    if objects.kind_of(node) is not None:
        objects.clause_of(node, block, clauses)
        return
    if read(keys, node, block, clauses):
        return
    for step, child in node.children():
        if isinstance(step, str):
            walk((*keys, step), child, block, clauses)
            continue
        naming, name = _name_of_item(child)
        walk((*keys, name) if name else keys, child, block, clauses)
        if name and clauses.accounts_within(child):
            clauses.account(child.entries[naming])


#: Keys of an item of a list that say what it is about.
_NAMING = frozenset(
    {"name", "namespace", "workload", "service", "component", "tier", "app", "application", "container", "deployment"}
)


def _name_of_item(node: Node) -> tuple[str, str]:
    """(key, name) of an item of a list that names what it is about: read as if it stood below that name."""
    for key, child in node.entries.items():
        if squashed(key) in _NAMING and isinstance(child.value, str) and len(node.entries) > 1:
            return key, f"{child.value} namespace" if squashed(key) == "namespace" else child.value
    return "", ""


__all__ = ["cluster_name_in", "kubernetes_version_in", "namespaces_in", "read", "walk"]
