"""Write scanner/kubeassay/analysis/kubernetes_fields.json from the JSON Schemas in the package kubernetes-validate.

    python .ci/generate_fields.py [--check]

``--check`` writes nothing and exits with 1 where the file differs from what would be written. The schemas are made from
the OpenAPI document that each Kubernetes release publishes. The table holds no descriptions, only names and shapes::

    {"minors": [25, 37],
     "kinds": {"apps/v1": {"Deployment": "Deployment", ...}, ...},
     "types": {"Container": {"args": "[string]", "resizePolicy": ["[ContainerResizePolicy]", 27, null], ...}, ...},
     "served": {"apps/v1": {"Deployment": [null, null], ...}, ...}}

A shape is ``string``, ``integer``, ``number``, ``boolean``, ``int-or-string``, ``quantity``, ``time``, ``any``,
the name of a type, ``[shape]`` (a list) or ``{shape}`` (a mapping with free keys). A field that not every release has
carries the first minor version that has it and the first that no longer has it. ``served`` lists all kinds of the
built-in groups likewise.
"""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

from generated_table import write_or_check

OUTPUT = Path(__file__).parent.parent / "scanner" / "kubeassay" / "analysis" / "kubernetes_fields.json"

SPECIAL = {
    "io.k8s.apimachinery.pkg.api.resource.Quantity": "quantity",
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": "int-or-string",
    "io.k8s.apimachinery.pkg.apis.meta.v1.Time": "time",
    "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime": "time",
    "io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1": "any",
    "io.k8s.apimachinery.pkg.runtime.RawExtension": "any",
    # Either of two types, or any JSON: their schemas say nothing.
    **dict.fromkeys(
        (
            f"io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.{name}"
            for name in ("JSON", "JSONSchemaPropsOrArray", "JSONSchemaPropsOrBool", "JSONSchemaPropsOrStringArray")
        ),
        "any",
    ),
}

#: Registered in every group for the API server's own use; nobody writes one in a file.
NOT_OBJECTS = {"DeleteOptions", "WatchEvent", "Status", "APIGroup", "APIGroupList", "APIResourceList", "APIVersions"}

Schema = dict[str, Any]


def schemas() -> dict[int, dict[str, Schema]]:
    """Minor version → definitions."""
    spec = importlib.util.find_spec("kubernetes_validate")
    if spec is None or spec.origin is None:
        raise SystemExit("install kubernetes-validate first")
    folder = Path(spec.origin).parent / "kubernetes-json-schema"
    found = {}
    for path in folder.glob("v1.*.0-local-strict/_definitions.json"):
        minor = int(path.parent.name.split(".")[1])
        found[minor] = json.loads(path.read_text(encoding="utf-8"))["$defs"]
    return dict(sorted(found.items()))


def shape_of(schema: Schema) -> tuple[str, str | None]:
    """The shape of a field, with the full name of the type that it mentions."""
    reference = schema.get("$ref")
    if reference is not None:
        name = reference.rpartition("/")[2]
        return (SPECIAL[name], None) if name in SPECIAL else (name, name)
    types = schema.get("type", [])
    types = [types] if isinstance(types, str) else types
    types = [t for t in types if t != "null"]
    # Of no type, or of several: schemas in CustomResourceDefinitions.
    if len(types) != 1:
        return "any", None
    (scalar,) = types
    if scalar == "array":
        shape, name = shape_of(schema["items"])
        return f"[{shape}]", name
    if scalar == "object":
        if "additionalProperties" not in schema:
            return "any", None
        shape, name = shape_of(schema["additionalProperties"])
        return f"{{{shape}}}", name
    return scalar, None


def span(minors: list[int], all_minors: list[int]) -> list[int | None]:
    """[first minor version, first minor version without it]; None for the ends of what is known."""
    first, last = minors[0], minors[-1]
    if minors != [m for m in all_minors if first <= m <= last]:
        raise SystemExit(f"a gap in {minors}")
    return [first if first != all_minors[0] else None, last + 1 if last != all_minors[-1] else None]


def build() -> dict[str, Any]:
    versions = schemas()
    all_minors = list(versions)
    served: dict[str, dict[str, list[int]]] = {}
    roots: dict[tuple[str, str], str] = {}
    for minor, definitions in versions.items():
        for name, schema in definitions.items():
            for gvk in schema.get("x-kubernetes-group-version-kind", ()):
                api_version = "/".join(part for part in (gvk["group"], gvk["version"]) if part)
                if gvk["kind"] in NOT_OBJECTS:
                    continue
                minors = served.setdefault(api_version, {}).setdefault(gvk["kind"], [])
                if minor not in minors:
                    minors.append(minor)
                # A list is unpacked when it is read.
                if not gvk["kind"].endswith("List"):
                    roots[api_version, gvk["kind"]] = name

    # Field → shape in each release that has it, for every type that is reachable in any release.
    fields: dict[str, dict[str, dict[int, str]]] = {}
    reachable: set[str] = set()
    for minor, definitions in versions.items():
        waiting = list(roots.values())
        seen = set(waiting)
        while waiting:
            name = waiting.pop()
            table = fields.setdefault(name, {})
            if name not in definitions:
                continue
            for field, schema in definitions[name].get("properties", {}).items():
                shape, target = shape_of(schema)
                table.setdefault(field, {})[minor] = shape
                if target is not None and target not in seen:
                    seen.add(target)
                    waiting.append(target)
        reachable |= seen

    short: dict[str, str] = {}
    for name in sorted(reachable):
        last = name.rpartition(".")[2]
        same = [other for other in reachable if other.rpartition(".")[2] == last]
        short[name] = last if len(same) == 1 else ".".join(name.split(".")[-3:])

    types: dict[str, dict[str, Any]] = {}
    for name in sorted(reachable):
        known_in = [m for m in all_minors if name in versions[m]]
        table = types[short[name]] = {}
        for field, by_minor in sorted(fields[name].items()):
            shape = by_minor[max(by_minor)]
            for full in sorted(short, key=len, reverse=True):
                shape = shape.replace(full, short[full])
            # A type that is younger than the table says so where it is used, not in each of its fields.
            since, until = span(sorted(by_minor), [m for m in known_in if m <= max(known_in)])
            table[field] = shape if since is None and until is None else [shape, since, until]

    return {
        "minors": [all_minors[0], all_minors[-1]],
        "kinds": {
            api_version: {
                kind: short[roots[api_version, kind]] for kind in sorted(kinds) if (api_version, kind) in roots
            }
            for api_version, kinds in sorted(served.items())
        },
        "types": types,
        "served": {
            api_version: {kind: span(minors, all_minors) for kind, minors in sorted(kinds.items())}
            for api_version, kinds in sorted(served.items())
        },
    }


def text_of(table: dict[str, Any]) -> str:
    """One line a type or API version: small, and its differences can be read."""
    parts = [f'"minors": {json.dumps(table["minors"])}']
    for section in ("kinds", "types", "served"):
        lines = [f"  {json.dumps(k)}: {json.dumps(v, separators=(',', ':'))}" for k, v in table[section].items()]
        parts.append(f'"{section}": {{\n' + ",\n".join(lines) + "\n}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


if __name__ == "__main__":
    raise SystemExit(write_or_check(OUTPUT, text_of(build())))
