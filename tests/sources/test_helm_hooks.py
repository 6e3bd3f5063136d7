"""What Helm runs as a hook, and what it prints as it stands: told by what Helm makes of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from charts import WEB, scanned, use_helm, web_chart

_DB = WEB.replace("web", "db").replace("{{ .Values.privileged }}", "true")


@pytest.fixture(autouse=True)
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    use_helm(monkeypatch)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _rendered() -> dict[str, Any]:
    result, _, _ = scanned("--helm", "chart", "--fail-on", "none")
    assert result["errors"] == [], result["errors"]
    return result


def found(result: Mapping[str, Any]) -> set[tuple[str, str, int]]:
    """(object, file, line) of the findings of privileged-container."""
    return {
        (each["object"]["name"], each["location"]["file"], each["location"]["startLine"])
        for each in result["results"]
        if each["rule"] == "privileged-container" and each["outcome"] == "fail"
    }


_CRD = """\
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: shops.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {kind: Shop, plural: shops}
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}]
"""


def test_what_stands_in_crds_is_judged_as_it_stands(tree: Path) -> None:
    # With a head as Helm prints it, and what would be a hook in a template.
    hooked = WEB.replace("{name: web}", "{name: extra, annotations: {helm.sh/hook: test}}", 1)
    text = f"{_CRD}---\n# Source: web/templates/web.yaml\n{hooked.replace('{{ .Values.privileged }}', 'true')}"
    web_chart(tree / "chart", {"crds/all.yaml": text, "values.yaml": "privileged: true\n"})
    lines = text.split("\n")
    line = next(number for number, each in enumerate(lines, 1) if "privileged: true" in each)
    result = _rendered()
    assert found(result) == {("extra", "chart/crds/all.yaml", line), ("web", "chart/values.yaml", 1)}
    assert [each for each in result["skipped"] if each["reason"] == "helm-hook"] == []


def test_a_list_is_no_hook_for_what_is_in_it(tree: Path) -> None:
    items = [
        WEB.replace("{{ .Values.privileged }}", "true"),
        _DB.replace("{name: db}", "{name: db, annotations: {helm.sh/hook: test}}", 1),
    ]
    text = "apiVersion: v1\nkind: List\nitems:\n" + "".join(
        "".join(f"{'- ' if number == 0 else '  '}{line}\n" for number, line in enumerate(item.rstrip().split("\n")))
        for item in items
    )
    web_chart(tree / "chart", {"templates/web.yaml": text})
    assert {name for name, _, _ in found(_rendered())} == {"web", "db"}


def test_a_hook_that_helm_does_not_know_is_told(tree: Path) -> None:
    text = WEB.replace("{name: web}", "{name: web, annotations: {helm.sh/hook: whenever}}", 1)
    web_chart(tree / "chart", {"templates/web.yaml": text})
    _, _, said = scanned("--helm", "chart", "--fail-on", "none")
    assert "skipping unknown hook" in said
