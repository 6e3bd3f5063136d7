"""Write scanner/kubeassay/analysis/kubernetes_lifecycle.json: which API versions of Kubernetes' kinds are deprecated.

    python .ci/generate_lifecycle.py [--check]

Run by hand, for it needs Go and the modules below. ``--check`` writes nothing and exits with 1 where the file differs
from what would be written. The facts are those that API servers warn by: the files
``zz_generated.prerelease-lifecycle.go`` of the modules, read as text. Of several releases of a module the newest that
has a kind counts. Which release no longer serves a kind the published schemas say better where they know it
(``served`` in kubernetes_fields.json): some alpha versions went earlier than was announced. The table::

    {"source": ["k8s.io/api v0.33.13", ...],
     "deprecated": {"policy/v1beta1": {"PodDisruptionBudget": [21, 25, "policy/v1"], ...}, ...}}

A kind has the release that deprecates it, the one that no longer serves it, and the API version to use instead; the
latter two are null where they are not known.
"""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

from generated_table import write_or_check

ANALYSIS = Path(__file__).parent.parent / "scanner" / "kubeassay" / "analysis"
OUTPUT = ANALYSIS / "kubernetes_lifecycle.json"

#: Modules, oldest release first: later ones no longer have what is long gone.
MODULES = (
    "k8s.io/api@v0.32.3",
    "k8s.io/api@v0.33.13",
    "k8s.io/api@v0.34.2",
    "k8s.io/api@v0.36.1",
    "k8s.io/api@v0.37.1",
    "k8s.io/apiextensions-apiserver@v0.37.1",
    "k8s.io/kube-aggregator@v0.34.0",
)
#: Not in those files: kinds of a stable version, by the comments at their types in k8s.io/api core/v1/types.go, and one
#: whose type is gone, by the "Deprecated API Migration Guide" of kubernetes.io.
ELSEWHERE: dict[str, dict[str, list[Any]]] = {
    "v1": {"ComponentStatus": [19, None, None], "Endpoints": [33, None, "discovery.k8s.io/v1"]},
    "policy/v1beta1": {"PodSecurityPolicy": [21, 25, None]},
}

_RELEASE = re.compile(
    r"func \(in \*(\w+)\) APILifecycle(Deprecated|Removed)\(\) \(major, minor int\) \{\s*return 1, (\d+)"
)
_REPLACEMENT = re.compile(
    r"func \(in \*(\w+)\) APILifecycleReplacement\(\) schema\.GroupVersionKind \{\s*"
    r'return schema\.GroupVersionKind\{Group: "([^"]*)", Version: "([^"]*)"'
)
_GROUP = re.compile(r'GroupName\s*=\s*"([^"]*)"')


def folder_of(module: str) -> Path:
    done = subprocess.run(["go", "mod", "download", "-json", module], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{module}: {done.stdout}{done.stderr}")
    return Path(json.loads(done.stdout)["Dir"])


def group_of(folder: Path) -> str:
    for file in (folder / "register.go", folder / "zz_generated.register.go", folder.parent / "register.go"):
        match = _GROUP.search(file.read_text(encoding="utf-8")) if file.is_file() else None
        if match is not None:
            return match[1]
    raise SystemExit(f"{folder}: of which group is it?")


def build() -> dict[str, Any]:
    served = json.loads((ANALYSIS / "kubernetes_fields.json").read_text(encoding="utf-8"))["served"]
    found: dict[str, dict[str, list[Any]]] = {}
    for module in MODULES:
        for file in sorted(folder_of(module).rglob("zz_generated.prerelease-lifecycle.go")):
            group = group_of(file.parent)
            api_version = f"{group}/{file.parent.name}" if group else file.parent.name
            text = file.read_text(encoding="utf-8")
            kinds: dict[str, list[Any]] = {}
            for kind, what, minor in _RELEASE.findall(text):
                kinds.setdefault(kind, [None, None, None])[what == "Removed"] = int(minor)
            for kind, new_group, version in _REPLACEMENT.findall(text):
                if kind in kinds:
                    kinds[kind][2] = f"{new_group}/{version}" if new_group else version
            for kind, facts in kinds.items():
                if kind.endswith("List") or facts[0] is None:
                    continue
                known = served.get(api_version, {}).get(kind)
                if known is not None and known[1] is not None:
                    facts[1] = known[1]
                found.setdefault(api_version, {})[kind] = facts
    for api_version, kinds in ELSEWHERE.items():
        found.setdefault(api_version, {}).update(kinds)
    return {
        "source": [module.replace("@", " ") for module in MODULES],
        "deprecated": {version: dict(sorted(kinds.items())) for version, kinds in sorted(found.items())},
    }


def text_of(table: dict[str, Any]) -> str:
    lines = [f"  {json.dumps(k)}: {json.dumps(v, separators=(',', ':'))}" for k, v in table["deprecated"].items()]
    return f'{{\n"source": {json.dumps(table["source"])},\n"deprecated": {{\n' + ",\n".join(lines) + "\n}\n}\n"


if __name__ == "__main__":
    raise SystemExit(write_or_check(OUTPUT, text_of(build())))
