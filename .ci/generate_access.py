"""Write bootstrap_roles.json and api_resources.json in scanner/kubeassay/analysis/access from Kubernetes' own sources.

    python .ci/generate_access.py

Needs Go, which fetches the sources of each release named below (a module of about 50 MB each) where the module cache
lacks them. Facts are taken, no text: names, rules, subjects, labels; names, verbs and scopes of resources.

``bootstrap_roles.json`` comes from plugin/pkg/auth/authorizer/rbac/bootstrappolicy/testdata, which upstream's own
tests compare with what an API server creates. A part that not every release has carries the first minor version that
has it (``since``) and the first that no longer has it (``until``); ``gated`` marks what only an API server with all
alpha and beta features creates.

``api_resources.json`` comes from api/discovery, the discovery documents of an API server with all features: API groups
in the order in which it offers them, the core group first.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parent.parent / "scanner" / "kubeassay" / "analysis" / "access"

RELEASES = {
    28: "v1.28.15",
    29: "v1.29.6",
    30: "v1.30.14",
    31: "v1.31.14",
    32: "v1.32.13",
    33: "v1.33.13",
    34: "v1.34.4",
    35: "v1.35.4",
    36: "v1.36.3",
    37: "v1.37.1",
}

#: The file → whether it describes an API server with every feature on.
ROLE_FILES = {
    "cluster-roles.yaml": False,
    "controller-roles.yaml": False,
    "namespace-roles.yaml": False,
    "cluster-roles-featuregates.yaml": True,
}
BINDING_FILES = ("cluster-role-bindings.yaml", "controller-role-bindings.yaml", "namespace-role-bindings.yaml")

RULE_FIELDS = ("verbs", "apiGroups", "resources", "resourceNames", "nonResourceURLs")

#: Part (as JSON) → the minor versions that have it.
Parts = dict[str, set[int]]


def sources() -> dict[int, Path]:
    """Minor version → the folder of that release's sources."""
    folders = {}
    with tempfile.TemporaryDirectory() as scratch:
        Path(scratch, "go.mod").write_text("module generate\n", encoding="utf-8")
        for minor, version in RELEASES.items():
            command = ["go", "mod", "download", "-json", f"k8s.io/kubernetes@{version}"]
            answer = subprocess.run(command, cwd=scratch, capture_output=True, text=True, check=True)
            folders[minor] = Path(json.loads(answer.stdout)["Dir"])
    return folders


def key_of(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def spans_of(minors: set[int]) -> Iterator[dict[str, int]]:
    """The stretches of releases in a set, as the keys that say so; nothing to say for a stretch over all of them."""
    known = list(RELEASES)
    start: int | None = None
    for minor in [*known, known[-1] + 1]:
        if minor in minors:
            start = minor if start is None else start
        elif start is not None:
            span = {}
            if start != known[0]:
                span["since"] = start
            if minor <= known[-1]:
                span["until"] = minor
            yield span
            start = None


def dated(parts: Parts, gated: Parts | None = None) -> list[Any]:
    """Each part with the releases that have it; of ``gated`` ones, those releases where ``parts`` lacks it."""
    rows = [json.loads(part) | span for part, minors in parts.items() for span in spans_of(minors)]
    for part, minors in (gated or {}).items():
        rows += [json.loads(part) | span | {"gated": True} for span in spans_of(minors - parts.get(part, set()))]
    return rows


def rule_of(stated: dict[str, Any]) -> dict[str, list[str]]:
    unknown = set(stated) - set(RULE_FIELDS)
    if unknown:
        raise SystemExit(f"fields of a rule that this program does not know: {sorted(unknown)}")
    return {field: sorted(stated[field]) for field in RULE_FIELDS if stated.get(field)}


def bootstrap(folders: dict[int, Path]) -> dict[str, Any]:
    roles: dict[tuple[str, str], dict[str, Parts]] = {}
    bindings: dict[tuple[str, str], dict[str, Any]] = {}
    for minor, folder in folders.items():
        testdata = folder / "plugin" / "pkg" / "auth" / "authorizer" / "rbac" / "bootstrappolicy" / "testdata"
        for name, gated in ROLE_FILES.items():
            for item in items_of(testdata / name, missing_is_fine=gated):
                role = roles.setdefault(identity(item), {"self": {}, "rules": {}, "gated": {}})
                meta = item["metadata"]
                described = {"labels": meta["labels"]}
                if item.get("aggregationRule"):
                    described["clusterRoleSelectors"] = item["aggregationRule"]["clusterRoleSelectors"]
                rules = role["gated" if gated else "rules"]
                for rule in item["rules"] or ():
                    rules.setdefault(key_of(rule_of(rule)), set()).add(minor)
                if not gated:
                    role["self"].setdefault(key_of(described), set()).add(minor)
        for name in BINDING_FILES:
            for item in items_of(testdata / name):
                reference = {key: item["roleRef"][key] for key in ("kind", "name")}
                binding = bindings.setdefault(identity(item), {"roleRef": reference, "subjects": {}})
                if binding["roleRef"] != reference:
                    raise SystemExit(f"{item['metadata']['name']} refers to different roles in different releases")
                for subject in item.get("subjects") or ():
                    stated = {key: subject[key] for key in ("kind", "namespace", "name") if key in subject}
                    binding["subjects"].setdefault(key_of(stated), set()).add(minor)
    return {
        "minors": [min(RELEASES), max(RELEASES)],
        "roles": [
            {"namespace": namespace, "name": name, "is": dated(role["self"])}
            | {"rules": dated(role["rules"], role["gated"])}
            for (namespace, name), role in sorted(roles.items())
            if role["self"]
        ],
        "bindings": [
            {"namespace": namespace, "name": name}
            | {"roleRef": binding["roleRef"], "subjects": dated(binding["subjects"])}
            for (namespace, name), binding in sorted(bindings.items())
        ],
    }


def identity(item: dict[str, Any]) -> tuple[str, str]:
    """(namespace, name): the namespace is empty for what is of the whole cluster."""
    return item["metadata"].get("namespace", ""), item["metadata"]["name"]


def items_of(path: Path, *, missing_is_fine: bool = False) -> list[dict[str, Any]]:
    if missing_is_fine and not path.is_file():
        return []
    items: list[dict[str, Any]] = yaml.safe_load(path.read_text(encoding="utf-8"))["items"]
    return items


def resources(folders: dict[int, Path]) -> dict[str, list[dict[str, Any]]]:
    """API group → its resources; what only older releases have stands after what the newest has."""
    groups: dict[str, dict[str, dict[str, Any]]] = {"": {}}
    for _, folder in sorted(folders.items(), reverse=True):
        discovery = folder / "api" / "discovery"
        known = json.loads((discovery / "apis.json").read_text(encoding="utf-8"))["groups"]
        for group in ["", *(entry["name"] for entry in known)]:
            found = groups.setdefault(group, {})
            newer = set(found)
            documents = sorted(discovery.glob(f"apis__{group}__*.json" if group else "api__v1.json"), key=precedence)
            for path in documents:
                add_version(found, newer, json.loads(path.read_text(encoding="utf-8")), path.stem.rpartition("__")[2])
    return {group: list(found.values()) for group, found in groups.items() if found}


def precedence(path: Path) -> tuple[int, str]:
    """Stable versions first, then beta, then alpha."""
    version = path.stem.rpartition("__")[2]
    return ("alpha" in version) * 2 + ("beta" in version), version


def add_version(found: dict[str, dict[str, Any]], newer: set[str], document: dict[str, Any], version: str) -> None:
    subresources = [entry for entry in document["resources"] if "/" in entry["name"]]
    for entry in document["resources"]:
        name = entry["name"]
        if "/" in name or name in newer:
            continue
        resource = found.setdefault(name, {"name": name, "singular": entry["singularName"], "kind": entry["kind"]})
        resource.setdefault("versions", []).append(version)
        if entry.get("shortNames"):
            resource.setdefault("shortNames", entry["shortNames"])
        resource.setdefault("namespaced", entry["namespaced"])
        resource.setdefault("verbs", entry["verbs"])
        below = resource.setdefault("subresources", {})
        for sub in subresources:
            parent, _, part = sub["name"].partition("/")
            if parent == name:
                below.setdefault(part, sub["verbs"])


def lines(rows: Iterable[Any], indent: str) -> str:
    return ",\n".join(indent + json.dumps(row, ensure_ascii=False) for row in rows)


def as_text_of_roles(table: dict[str, Any]) -> str:
    def block(entry: dict[str, Any], field: str) -> str:
        head = json.dumps({key: value for key, value in entry.items() if key != field}, ensure_ascii=False)[:-1]
        rows = lines(entry[field], "   ")
        return f'  {head}, "{field}": [\n{rows}]}}' if rows else f'  {head}, "{field}": []}}'

    def blocks(entries: list[dict[str, Any]], field: str) -> str:
        return ",\n".join(block(entry, field) for entry in entries)

    return (
        f'{{"minors": {json.dumps(table["minors"])},\n "roles": [\n{blocks(table["roles"], "rules")}],\n'
        f' "bindings": [\n{blocks(table["bindings"], "subjects")}]}}\n'
    )


def as_text_of_resources(table: dict[str, list[dict[str, Any]]]) -> str:
    rows = (f" {json.dumps(group)}: {json.dumps(found)}" for group, found in table.items())
    return "{\n" + ",\n".join(rows) + "\n}\n"


def write(name: str, table: Any, as_text: Callable[[Any], str]) -> None:
    text = as_text(table)
    if json.loads(text) != table:
        raise SystemExit(f"{name} does not read back as it was written")
    (FOLDER / name).write_text(text, encoding="utf-8")


def main() -> None:
    folders = sources()
    write("bootstrap_roles.json", bootstrap(folders), as_text_of_roles)
    write("api_resources.json", resources(folders), as_text_of_resources)


if __name__ == "__main__":
    main()
