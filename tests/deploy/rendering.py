"""deploy/ as Kustomize and Helm render it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import go_tools
import pytest
import yaml

ROOT = Path(__file__).parent.parent.parent
KUSTOMIZE = ROOT / "deploy" / "kustomize"
CHART = ROOT / "deploy" / "helm" / "kubeassay"
STRICT = ROOT / "deploy" / "strict"
#: What the chart is rendered for. Helm knows no cluster here.
KUBERNETES = "1.33"

Manifest = dict[str, Any]


def tool(name: str) -> Path:
    """A program that `make tools` installed, or that is on PATH; without it the test is skipped, and says so."""
    at = go_tools.path(name)
    if at.is_file():
        return at
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"NO {name}: `make tools` installs it")
    return Path(found)


def run(*command: str | Path, code: int = 0) -> str:
    """What a program prints; a test fails where it does not end with the code."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    assert done.returncode == code, f"{done.stdout}\n{done.stderr}"
    return done.stdout if code == 0 else done.stderr


def kustomized(folder: str) -> str:
    return run(tool("kustomize"), "build", KUSTOMIZE / folder)


def charted(*values: str, release: str = "kubeassay", namespace: str = "kubeassay") -> str:
    sets = [argument for value in values for argument in ("--set-json", value)]
    return run(tool("helm"), "template", release, CHART, "--namespace", namespace, "--kube-version", KUBERNETES, *sets)


def objects(text: str) -> dict[tuple[str, str], Manifest]:
    """By kind and name."""
    found = {}
    for manifest in yaml.safe_load_all(text):
        if manifest is not None:
            key = manifest["kind"], manifest["metadata"]["name"]
            assert key not in found
            found[key] = manifest
    return found
