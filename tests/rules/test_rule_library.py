"""The bundled policy as a whole: every file valid, every rule implemented once, every example true."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from kit import LIBRARY, failing, objects_in, plan_of, profile_of, scan_text
from kubeassay import content
from kubeassay.analysis.facts import CUSTOM_RESOURCES, FACTS, WORKLOADS, kinds_of
from kubeassay.analysis.fields import served_kinds
from kubeassay.checks import registry
from kubeassay.engine.fixes import applied
from kubeassay.model import Example, Inventory, Rule
from kubeassay.policy.library import EXPECTATION
from kubeassay.policy.validation import validated
from kubeassay.sources.files import discover
from kubeassay.sources.manifests import read_file

ROOT = Path(__file__).parent.parent.parent
RULE_FILES = sorted(content.folder("rules").rglob("*.yaml"))
EXAMPLES = [
    pytest.param(rule, example, id=f"{rule.id}-{example.outcome}-{number}")
    for rule in LIBRARY.rules.values()
    for number, example in enumerate(rule.examples)
]


@pytest.mark.parametrize("path", RULE_FILES, ids=lambda path: path.stem)
def test_a_rule_file_fits_its_schema_and_stands_in_the_folder_of_its_area(path: Path) -> None:
    document = validated(path, "rule")
    area = document["spec"]["area"]
    assert path.parent.name == area, f"a rule of area {area} stands in rules/{area}/"
    # Rules are looked up by the names of their files.
    assert path.stem == document["metadata"]["id"]


@pytest.mark.parametrize("path", sorted(content.folder("baselines").glob("*.yaml")), ids=lambda path: path.stem)
def test_a_baseline_file_fits_its_schema(path: Path) -> None:
    assert validated(path, "baseline")["metadata"]["name"] == path.stem


@pytest.mark.parametrize("name", LIBRARY.profile_names)
def test_a_profile_fits_its_schema_and_can_be_planned(name: str) -> None:
    document = validated(content.folder("baselines") / "profiles" / f"{name}.yaml", "profile")
    assert document["metadata"]["name"] == name
    plan_of(name)
    plan_of(name, "1.0")


def test_every_rule_has_exactly_one_implementation() -> None:
    by_expression = {rule.id for rule in LIBRARY.rules.values() if rule.expression is not None}
    by_check = set(registry.built_in())
    assert by_expression & by_check == set(), "an expression and a function marked @check: one is too many"
    without = set(LIBRARY.rules) - by_expression - by_check
    assert not without, "no expression, and no function marked @check in a module that checks.MODULES names"
    assert by_check <= set(LIBRARY.rules), "a function marked @check with an id that no file in rules/ has"


def test_the_module_of_a_check_is_known_without_importing_it() -> None:
    holding: dict[str, set[str]] = {}
    for rule_id, versions in registry.built_in().items():
        holding[rule_id] = {function.__module__ for _, function in versions}
    by_text = registry.modules_by_rule()
    assert by_text is not None
    assert {rule_id: set(modules) for rule_id, modules in by_text.items()} == holding


def test_checks_are_found_without_the_texts_of_their_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "modules_by_rule", lambda: None)
    assert set(registry.built_in_of(["privileged-container", "no-such-rule"])) == {"privileged-container"}


def test_every_rule_is_demanded_by_a_bundled_baseline_or_profile() -> None:
    demanded = {use.rule for b in LIBRARY.baselines.values() for control in b.controls for use in control.rules}
    demanded |= {
        use.rule
        for name in LIBRARY.profile_names
        for control in LIBRARY.profile(name).controls
        for use in control.rules
    }
    # Controls use it by their expectations.
    lacking = set(LIBRARY.rules) - demanded - {EXPECTATION}
    assert not lacking, "no control in baselines/ names it, so that no profile runs it"


@pytest.mark.parametrize("rule", LIBRARY.rules.values(), ids=lambda rule: rule.id)
def test_a_rule_has_examples_of_both_outcomes_and_known_overrides(rule: Rule) -> None:
    assert {example.outcome for example in rule.examples} == {"fails", "passes"}
    assert set(rule.overrides) <= set(LIBRARY.rules)


@pytest.mark.parametrize(("rule", "example"), EXAMPLES)
def test_an_example_has_its_outcome(rule: Rule, example: Example) -> None:
    profile = profile_of(rule.id, **example.parameters)
    if rule.subject == "exception":
        # It is judged by what the rule finds that it is to.
        profile = replace(profile, controls=(*profile.controls, *profile_of("privileged-container").controls))
    result = scan_text(plan_of(profile, in_tree_exceptions=rule.id != "exception-refused"), example.text)
    assert result.errors == ()
    assert [n for n in result.not_evaluated if n.reason == "rule-error"] == []
    failed = [finding for finding in failing(result) if finding.area == rule.area]
    if example.outcome == "fails":
        found = {finding.rule for finding in failed}
        assert found == {rule.id}, "is every kind that the example takes in the rule's needs?"
    else:
        assert failed == []


#: What analyses put into Inventory.facts → the analysis of FACTS that a rule names, or the kinds that it names itself.
ASKED: dict[str, str | tuple[str, ...]] = {
    **{name: name for name in FACTS},
    "network.connectivity": "Connectivity",
    "Openings": "Connectivity",
    "Policies": "Authorization",
    **dict.fromkeys(("ClientTls", "Memberships", "MeshSettings", "Mtls", "Waypoints"), "Mesh"),
    "_Clusters": "Clusters",
    "_Placed": "Scheduling",
    **dict.fromkeys(("Demand", "Fits"), "Quotas"),
    **dict.fromkeys(("Access", "InEffect", "RbacObjects"), "Grants"),
    **dict.fromkeys(("Definitions", "JudgedResource"), (CUSTOM_RESOURCES, "CustomResourceDefinition")),
    "LimitRanges": ("LimitRange",),
    "Makers": (CUSTOM_RESOURCES,),
    "ResourceTypes": ("CustomResourceDefinition",),
    "PodIndex": (WORKLOADS,),
    "Services": ("Service", WORKLOADS),
    "StorageClass": ("StorageClass",),
    "_Found": (WORKLOADS,),
    "_workloads_by_policy": "Authorization",
}
BUILT_IN_KINDS = {kind for kinds in served_kinds().values() for kind in kinds} | {WORKLOADS}
SEVERAL = [
    obj
    for file in discover([str(ROOT / "fixtures/merajutasa/violating/production"), str(ROOT / "examples/shop")]).files
    for obj in read_file(file).objects
]


def _asked(inventory: Inventory) -> set[str]:
    keys = (key[0] if isinstance(key, tuple) else key for key in inventory.facts)
    return {getattr(key, "__name__", key) for key in keys}


@pytest.mark.parametrize(
    "rule", [rule for rule in LIBRARY.rules.values() if rule.subject == "inventory"], ids=lambda rule: rule.id
)
def test_a_rule_needs_all_that_the_analyses_are_made_of_that_it_asks(rule: Rule) -> None:
    """Or what it says depends on which rules run beside it: a pass may be wrong without them."""
    worlds = [(Inventory(objects_in(example.text)), example.parameters) for example in rule.examples]
    for inventory, parameters in [*worlds, (Inventory(SEVERAL), rule.examples[0].parameters)]:
        (active,) = plan_of(profile_of(rule.id, **parameters)).rules
        list(active.function(inventory, active.context))
        for name in _asked(inventory):
            assert name in ASKED, f"{name} of Inventory.facts: say in ASKED which analysis of facts.py it belongs to"
            analysis = ASKED[name]
            kinds = kinds_of((analysis,) if isinstance(analysis, str) else analysis)
            custom = CUSTOM_RESOURCES in active.rule.needs
            missing = {kind for kind in kinds if not (custom and kind not in BUILT_IN_KINDS)} - {*active.rule.needs}
            assert not missing, f"it asks {name}: name {analysis} in its needs"


@pytest.mark.parametrize(
    ("rule", "example"), [p for p in EXAMPLES if p.values[1].outcome == "fails" and p.values[0].fix]
)
def test_applying_the_fixes_of_a_rule_mends_its_example(rule: Rule, example: Example) -> None:
    plan = plan_of(profile_of(rule.id, **example.parameters))
    text = example.text
    findings = failing(scan_text(plan, text))
    fixed = [finding for finding in findings if finding.fix is not None]
    # One at a time, as a person accepts them: each fix is made for the text as it is.
    remaining = len(findings)
    while fixed:
        assert fixed[0].fix is not None
        text = applied(objects_in(text)[0].spans, text, fixed[0].fix.edits)
        result = scan_text(plan, text)
        assert result.errors == ()
        findings = failing(result)
        assert len(findings) < remaining, text
        remaining = len(findings)
        fixed = [finding for finding in findings if finding.fix is not None]
