"""Profiles that extend others, and leave out or replace some of their controls."""

from __future__ import annotations

from pathlib import Path

import pytest

from kit import LIBRARY
from kubeassay.policy.errors import PolicyError

PARENT = """
apiVersion: kubeassay.dev/v1
kind: Profile
metadata: {name: parent}
spec:
  title: Parent
  controls:
    - {id: A-1, title: one, rules: [{id: node-name-set}]}
    - {id: A-2, title: two, rules: [{id: privileged-container}]}
"""


def profile(folder: Path, spec: str) -> Path:
    (folder / "parent.yaml").write_text(PARENT)
    child = folder / "child.yaml"
    parent = (folder / "parent.yaml").as_posix()
    head = "apiVersion: kubeassay.dev/v1\nkind: Profile\nmetadata: {name: child}\nspec:\n  title: Child\n"
    child.write_text(head + spec.replace("PARENT", parent))
    return child


def test_a_control_is_replaced_by_one_of_the_same_id(tmp_path: Path) -> None:
    child = profile(
        tmp_path,
        """
  extends: [{profile: PARENT, exclude: [A-1]}]
  controls: [{id: A-1, title: other, rules: [{id: tolerates-every-taint}]}]
""",
    )
    controls = LIBRARY.profile(str(child)).controls
    assert [(c.id, c.title, c.rules[0].rule) for c in controls] == [
        ("A-2", "two", "privileged-container"),
        ("A-1", "other", "tolerates-every-taint"),
    ]


def test_both_forms_take_everything_else(tmp_path: Path) -> None:
    for extends in ("[PARENT]", "[{profile: PARENT}]"):
        assert [c.id for c in LIBRARY.profile(str(profile(tmp_path, f"  extends: {extends}\n"))).controls] == [
            "A-1",
            "A-2",
        ]
    only = profile(tmp_path, "  extends: [{profile: PARENT, exclude: [A-2]}]\n")
    assert [c.id for c in LIBRARY.profile(str(only)).controls] == ["A-1"]


def test_an_id_that_there_is_not_and_one_that_is_there_twice(tmp_path: Path) -> None:
    wrong = profile(tmp_path, "  extends: [{profile: PARENT, exclude: [A-3]}]\n")
    with pytest.raises(PolicyError, match=r"profile parent has no control A-3 \(did you mean"):
        LIBRARY.profile(str(wrong))
    twice = profile(tmp_path, "  extends: [PARENT]\n  controls: [{id: A-1, title: x, rules: [{id: node-name-set}]}]\n")
    with pytest.raises(PolicyError, match="both have a control A-1; a profile that is to have another one excludes it"):
        LIBRARY.profile(str(twice))
    unknown = profile(tmp_path, "  extends: [{profile: PARENT, without: [A-1]}]\n")
    with pytest.raises(PolicyError):
        LIBRARY.profile(str(unknown))


def test_what_is_not_stated_of_the_target_is_the_first_parents(tmp_path: Path) -> None:
    """Its clauses are meant for that version: judged by a newer one, some would pass that fail."""
    child = profile(tmp_path, "  extends: [merajutasa/production, recommended]\n")
    found = LIBRARY.profile(str(child))
    assert (found.kubernetes_version, found.environment) == ("1.28", "production")
    child = profile(tmp_path, '  kubernetesVersion: "1.31"\n  environment: test\n  extends: [merajutasa/production]\n')
    found = LIBRARY.profile(str(child))
    assert (found.kubernetes_version, found.environment) == ("1.31", "test")
    child = profile(tmp_path, "  controls: [{id: A-1, title: x, rules: [{id: node-name-set}]}]\n")
    assert LIBRARY.profile(str(child)).kubernetes_version == "latest"
