"""Places that are claimed for fields of a chart are proved: what is changed there changes the field.

Every scalar of every object that a chart renders to is asked for its place. Where a place is said to state it, the
text there is replaced, the chart is rendered again, and the field has to be another one (tests/chart_proof.py).
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from chart_proof import claims, fields_of, parents, prove, prove_parents, replaced
from charts import storefront, use_helm
from kubeassay.model import Location

#: What values files are given, and parameters.
VALUES: dict[str, tuple[tuple[str, ...], tuple[tuple[str, bool], ...]]] = {
    "default": ((), ()),
    "staging, production": (("values-staging.yaml", "values-production.yaml"), ()),
    "production, parameters": (
        ("values-production.yaml",),
        (("privileged=true", False), ("sidecars.logs.image=registry.example/x:1", False)),
    ),
}


@pytest.fixture(autouse=True)
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    use_helm(monkeypatch)
    monkeypatch.chdir(tmp_path)
    storefront(tmp_path)
    return tmp_path


def _options(tree: Path, values: str) -> dict[str, Any]:
    files, parameters = VALUES[values]
    paths = tuple(str(tree / "charts/storefront" / file) for file in files)
    return {"values": paths, "parameters": parameters, "hooks": True}


@pytest.mark.parametrize("values", list(VALUES))
def test_what_is_changed_at_the_place_of_a_field_changes_it(tree: Path, values: str) -> None:
    chart, options = tree / "charts/storefront", _options(tree, values)
    traced = claims(chart, **options)
    stated = [each for each in traced.values() if each.state == "stated"]
    # Of a chart that is written as most are, most places are known.
    assert len(stated) > 0.7 * len(traced)
    prove(chart, traced, **options)


def test_the_chart_that_helm_creates_is_as_it_is_said_to_be(tree: Path) -> None:
    subprocess.run([os.environ["KUBEASSAY_HELM"], "create", "made"], check=True, capture_output=True, cwd=tree)
    values = tree / "made/values.yaml"
    values.write_text(values.read_text().replace("enabled: false", "enabled: true"))
    traced = claims(tree / "made", hooks=True)
    assert {ref.kind for ref, _ in traced} > {"Deployment", "Ingress", "HorizontalPodAutoscaler", "Pod"}
    assert len([each for each in traced.values() if each.state == "stated"]) > len(traced) / 2
    prove(tree / "made", traced, hooks=True)


@pytest.mark.parametrize("values", ["default", "staging, production"])
def test_what_is_renamed_at_the_nearest_parent_of_a_missing_field_is_gone(tree: Path, values: str) -> None:
    chart, options = tree / "charts/storefront", _options(tree, values)
    found = parents(chart, **options)
    assert len({each.location for each in found.values()}) > 20
    prove_parents(chart, found, **options)


def test_a_wrong_place_would_be_found(tree: Path) -> None:
    """The proof can fail: the line of the values file that does not hold changes nothing."""
    chart = tree / "charts/storefront"
    before = fields_of(chart, **_options(tree, "staging, production"))
    lines = (chart / "values.yaml").read_text().split("\n")
    number = lines.index("  automount: false") + 1
    with replaced(Location("charts/storefront/values.yaml", number, 14, number, 19)) as old:
        assert old == "false"
        assert fields_of(chart, **_options(tree, "staging, production")) == before
        assert fields_of(chart, **_options(tree, "default")) != before
