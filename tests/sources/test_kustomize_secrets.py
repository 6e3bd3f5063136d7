"""What Kustomize says of a failure often quotes what it was working on. No value of a Secret is told by that."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from kit import give_program, run_command
from kubeassay.sources.kustomize_graph import walk
from kubeassay.sources.kustomize_secrets import may_quote_secret
from kubeassay.sources.rendering import KustomizeDemand, Limits

VALUE = "tr0ub4dor"
SECRET = f"apiVersion: v1\nkind: Secret\nmetadata: {{name: s}}\nstringData: {{key: {VALUE}}}\n"
#: Kustomizations that do not build, with the files that go with them.
BROKEN: dict[str, tuple[str, Mapping[str, str]]] = {
    # Objects before and after, as JSON.
    "validator": (
        "resources: [s.yaml]\nvalidators:\n- |-\n  apiVersion: builtin\n  kind: LabelTransformer\n"
        "  metadata: {name: m}\n  labels: {app: web}\n  fieldSpecs: [{path: metadata/labels, create: true}]\n",
        {"s.yaml": SECRET},
    ),
    # The contents of a node that is no mapping.
    "replacement": (
        "resources: [s.yaml]\nreplacements:\n- source: {kind: Secret, fieldPath: stringData.key.x}\n"
        "  targets: [{select: {kind: Secret}, fieldPaths: [metadata.name]}]\n",
        {"s.yaml": SECRET},
    ),
    # A value as Go prints it.
    "map": (
        "resources: [s.yaml]\nnamePrefix: x-\n",
        {"s.yaml": SECRET + f"immutable: {{{{key: {VALUE}}}: other}}\n"},
    ),
    "patch": (
        "resources: [s.yaml]\npatches:\n- target: {kind: Secret}\n"
        f'  patch: "[{{op: add, path: /stringData/x, value: {VALUE}}}]"\n',
        {"s.yaml": SECRET},
    ),
    "literal": (f"secretGenerator: [{{name: s, literals: [{VALUE}]}}]\n", {}),
    "twice": (f"secretGenerator: [{{name: s, literals: [a={VALUE}, a={VALUE}]}}]\n", {}),
    "type": (f"secretGenerator: [{{name: s, literals: {{key: {VALUE}}}}}]\n", {}),
    "name": (
        "resources: [s.yaml]\nnamePrefix: x-\n",
        {"s.yaml": f"apiVersion: v1\nkind: Secret\nmetadata: {{name: [s]}}\nstringData: {{key: {VALUE}}}\n"},
    ),
}


def _write(root: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        (root / name).write_text(text)


@pytest.mark.parametrize("case", sorted(BROKEN))
def test_no_value_of_a_secret_is_told(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    give_program("kustomize", monkeypatch)
    monkeypatch.chdir(tmp_path)
    text, files = BROKEN[case]
    _write(tmp_path, {"kustomization.yaml": text, **files})
    done = run_command("scan", "--render", "-f", "json", "--fail-on", "none", ".")
    assert done.exit_code == 3
    errors = json.loads(done.stdout)["errors"]
    assert {"kustomization.yaml"} <= {error["file"] for error in errors}
    assert VALUE not in json.dumps(errors)
    assert VALUE not in done.output


@pytest.mark.parametrize(
    ("said", "quotes"),
    [
        ("accumulating resources: no such file", False),
        (f"what is {VALUE}?", True),
        # As a Secret has it in its data.
        ("what is dHIwdWI0ZG9y?", True),
        ("unexpected battery-staple here", True),
        ("unexpected key1 here", False),
        ("nodes unequal: x", True),
        ("in patched-in", True),
    ],
)
def test_values_that_the_files_of_a_build_have_are_known(said: str, quotes: bool, tmp_path: Path) -> None:
    _write(
        tmp_path,
        {
            "kustomization.yaml": (
                "resources: [s.yaml]\nsecretGenerator: [{name: g, envs: [e.env]}]\npatches:\n"
                "- target: {kind: Secret}\n  patch: '[{op: add, path: /stringData/x, value: patched-in}]'\n"
            ),
            "s.yaml": SECRET,
            "e.env": "key1=battery-staple\n",
        },
    )
    demand = KustomizeDemand(str(tmp_path), "kustomization.yaml", str(tmp_path))
    graph = walk(demand, Limits())
    assert not graph.errors
    assert may_quote_secret(said, demand, graph) is quotes
