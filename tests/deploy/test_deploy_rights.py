"""What the audit may do in a cluster: to list what rules need, and nothing else."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import generate_deploy
import pytest
import yaml

from deploy.rendering import KUSTOMIZE, ROOT
from kit import LIBRARY
from kubeassay.analysis.facts import FACTS, kinds_of
from kubeassay.analysis.workloads import BUILT_IN_GROUPS
from kubeassay.engine.live import TEMPLATE_KINDS
from kubeassay.engine.plan import make_plan
from kubeassay.execution.audit import wanted
from kubeassay.model import KubernetesVersion

SCANNER = ROOT / "scanner" / "kubeassay"


def granted(*files: str) -> set[tuple[str, str]]:
    """(API group, resource) of the roles of the base."""
    found: set[tuple[str, str]] = set()
    for file in files or ("clusterrole.yaml", "clusterrole-secrets.yaml"):
        role = yaml.safe_load((KUSTOMIZE / "base" / file).read_text(encoding="utf-8"))
        for rule in role["rules"]:
            assert set(rule) == {"apiGroups", "resources", "verbs"}
            assert rule["verbs"] == ["list"]
            members = {(group, resource) for group in rule["apiGroups"] for resource in rule["resources"]}
            assert not members & found
            found |= members
    return found


def test_the_generated_files_are_up_to_date() -> None:
    assert generate_deploy.main(["--check"]) == 0


def test_there_is_no_wildcard_and_no_subresource() -> None:
    assert not [name for pair in granted() for name in pair if "*" in name or "/" in name]


def test_secrets_are_granted_by_the_one_role_that_can_be_left_out() -> None:
    assert granted("clusterrole-secrets.yaml") == {("", "secrets")}
    assert ("", "secrets") not in granted("clusterrole.yaml")


@pytest.mark.parametrize("profile", LIBRARY.profile_names)
def test_every_profile_has_what_it_needs(profile: str) -> None:
    kinds = set(generate_deploy.resources().values()) | generate_deploy.NOT_SERVED
    needed = wanted(make_plan(LIBRARY.profile(profile), LIBRARY, KubernetesVersion.parse("latest"))).kinds
    assert needed <= kinds


def test_of_kubernetes_own_kinds_nothing_is_granted_that_no_rule_needs() -> None:
    needed = set(kinds_of(name for rule in LIBRARY.rules.values() for name in (*rule.needs, *rule.context)))
    # Pods, and what has templates of them, are judged by themselves.
    needed |= TEMPLATE_KINDS | {"Namespace"}
    own = {kind for (group, _), kind in generate_deploy.resources().items() if group in BUILT_IN_GROUPS}
    assert own - needed == set()
    assert "Event" not in own


def asked_for() -> Iterator[tuple[str, str | None]]:
    """(kind, API group) that the code asks an inventory for by name: ``inventory.of_kind("Gateway", GROUP)``."""
    for file in SCANNER.rglob("*.py"):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        constants = {
            target.id: node.value.value
            for node in tree.body
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "of_kind":
                kind, group = [*node.args, None][:2]
                if isinstance(kind, ast.Constant):
                    of = group.value if isinstance(group, ast.Constant) else None
                    yield str(kind.value), constants.get(group.id) if isinstance(group, ast.Name) else of


def test_custom_resources_that_the_code_names_are_granted() -> None:
    """An analysis that needs every custom resource asks for some by name: those matter in every cluster."""
    resources = generate_deploy.resources()
    known = {(kind, group) for (group, _), kind in resources.items()}
    asked = {(kind, group) for kind, group in asked_for() if group is not None and group not in BUILT_IN_GROUPS}
    assert len(asked) > 10
    assert asked - known == set()


def test_groups_and_kinds_of_custom_resources_stand_in_the_code() -> None:
    """A resource in the table that nothing in the code knows is a mistake, or left over."""
    code = "\n".join(file.read_text(encoding="utf-8") for file in SCANNER.rglob("*.py"))
    names = {name for members in FACTS.values() for name in members} | {
        name for rule in LIBRARY.rules.values() for name in rule.needs
    }
    for members in generate_deploy.NAMED.values():
        for kind in members.values():
            assert kind in names or f'"{kind}"' in code, kind


def test_a_kind_of_no_known_group_ends_the_generator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        generate_deploy, "NAMED", {group: m for group, m in generate_deploy.NAMED.items() if group != "keda.sh"}
    )
    with pytest.raises(SystemExit, match="of which API group are ScaledObject"):
        generate_deploy.resources()


def test_what_differs_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(generate_deploy, "ROOT", tmp_path)
    assert generate_deploy.main(["--check"]) == 1
    assert "deploy/kustomize/base/clusterrole.yaml is not what `make generate` writes" in capsys.readouterr().out
