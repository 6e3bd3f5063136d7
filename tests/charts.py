"""What tests of charts need: Helm, charts of a few files, and what a scan of them says."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kit import give_program, run_command
from kubeassay.sources.helm_template import template
from kubeassay.sources.rendering import HelmDemand, Limits, Output

CHARTS = Path(__file__).resolve().parents[1] / "fixtures" / "charts"
#: A Deployment of which one container is privileged where the values say so.
WEB = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
        - name: web
          image: registry.example/web:1.0
          securityContext:
            privileged: {{ .Values.privileged }}
"""
METADATA = "apiVersion: v2\nname: web\nversion: 1.0.0\n"


def use_helm(monkeypatch: pytest.MonkeyPatch) -> str:
    """Let charts be rendered by the Helm that `make tools` builds; without it the test is skipped, and says so."""
    return str(give_program("helm", monkeypatch))


def write(folder: Path, files: Mapping[str, str | bytes]) -> None:
    """Write files below a folder."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)


def web_chart(folder: Path, files: Mapping[str, str | bytes] | None = None) -> None:
    """A chart of one Deployment that complies with privileged-container, in ``folder``; ``files`` are more of it."""
    write(
        folder,
        {
            "Chart.yaml": METADATA,
            "values.yaml": "privileged: false\n",
            "templates/web.yaml": WEB,
            **(files or {}),
        },
    )


def storefront(folder: Path) -> None:
    """A copy of the charts of fixtures/charts."""
    shutil.copytree(CHARTS, folder / "charts")


def demand_of(chart: Path, **more: Any) -> HelmDemand:
    """The demand for a chart in the current folder, which is the root."""
    name = f"{os.path.relpath(chart)}/Chart.yaml"
    return replace(HelmDemand(str(chart), name, str(Path.cwd()), kube_version="1.31"), **more)


def render(chart: Path, limits: Limits | None = None, **more: Any) -> Output:
    """What a chart in the current folder is rendered to."""
    return template(demand_of(chart, **more), limits or Limits())


def scanned(*arguments: str) -> tuple[dict[str, Any], int, str]:
    """The result of a scan that renders, its exit code, and what it said beside."""
    done = run_command("scan", "--render", "--format", "json", *arguments)
    assert done.stdout, done.stderr
    assert "Traceback" not in done.stderr
    return json.loads(done.stdout), done.exit_code, done.stderr


def places(result: Mapping[str, Any]) -> set[tuple[str, str, str | None, str, int, int, int]]:
    """(rule, object, container, file, line, column, end column) of the findings."""
    return {
        (
            finding["rule"],
            f"{finding['object']['kind']} {finding['object']['name']}",
            finding.get("container"),
            finding["location"]["file"],
            finding["location"]["startLine"],
            finding["location"]["startColumn"],
            finding["location"]["endColumn"],
        )
        for finding in result["results"]
        if finding["outcome"] == "fail"
    }


def leaves(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The paths of all scalars in a value."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, (*path, key))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from leaves(inner, (*path, number))
    else:
        yield path
