"""The kinds that analyses of everything at once are made of."""

from __future__ import annotations

from kit import LIBRARY
from kubeassay.analysis.facts import FACTS, kinds_of
from kubeassay.analysis.network.policies import FOREIGN_KINDS
from kubeassay.analysis.workloads import TEMPLATE_PATHS


def test_connectivity_sees_every_policy_that_it_knows_or_must_not_guess_about() -> None:
    assert {kind for _, kind in FOREIGN_KINDS} <= set(FACTS["Connectivity"])


def test_names_of_analyses_are_no_kinds() -> None:
    assert not set(FACTS) & {kind for kinds in FACTS.values() for kind in kinds}
    assert not set(FACTS) & {kind for _, kind in TEMPLATE_PATHS}


def test_needs_are_written_out_once_each() -> None:
    assert kinds_of(["Grants", "Role", "Secret"]) == (
        "Role",
        "ClusterRole",
        "RoleBinding",
        "ClusterRoleBinding",
        "Secret",
    )
    assert not set(FACTS) & {kind for rule in LIBRARY.rules.values() for kind in rule.needs}
