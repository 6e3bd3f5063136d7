"""Values of parameters are validated when the policy is loaded."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from kit import LIBRARY, run_command
from kubeassay.policy.errors import PolicyError
from kubeassay.policy.library import Library
from kubeassay.policy.parameters import FORMATS, parameter_problem

PATH = {"from": "shop", "to": "data"}
METRIC = {"type": "Pods", "name": "requests"}


def _profile(folder: Path, rule: str, **parameters: Any) -> str:
    control = {"id": "X-1", "title": "x", "rules": [{"id": rule, "parameters": parameters}]}
    spec = {"title": "x", "controls": [control]}
    path = folder / "profile.yaml"
    document = {"apiVersion": "kubeassay.dev/v1", "kind": "Profile", "metadata": {"name": "x"}, "spec": spec}
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return path.as_posix()


@pytest.mark.parametrize(
    ("rule", "parameter", "value", "said"),
    [
        ("cross-environment-path", "environments", {"dev": "*-dev"}, 'dev: "*-dev" is not a list'),
        ("cross-environment-path", "environments", {"dev": []}, "dev: [] should be non-empty"),
        ("cross-environment-path", "environments", ["*-dev"], '["*-dev"] is not a mapping'),
        ("data-tier-ingress-open", "ports", "443", '"443" is not a list'),
        ("data-tier-ingress-open", "ports", ["5432"], '[0]: "5432" is not a whole number'),
        ("data-tier-ingress-open", "ports", [True], "[0]: true is not a whole number"),
        ("egress-to-api-server", "ports", [0], "[0]: 0 is less than the minimum of 1"),
        ("egress-to-api-server", "api_server", ["10.0.0.0/33"], '[0]: "10.0.0.0/33" is not an address or a CIDR'),
        ("egress-to-api-server", "allowed", "argocd", '"argocd" is not a list'),
        ("egress-to-internet", "most_addresses", "1", '"1" is not a whole number'),
        ("egress-to-internet", "most_addresses", True, "true is not a whole number"),
        ("egress-to-internet", "isolated_only", "yes", '"yes" is not true or false'),
        ("dns-egress-missing", "dns_ports", [65536], "[0]: 65536 is greater than the maximum of 65535"),
        ("default-deny-ingress-missing", "excluded_namespaces", [1], "[0]: 1 is not a text"),
        ("path-not-allowed", "allowed_paths", [{**PATH, "ports": 53}], "[0].ports: 53 is not a list"),
        ("path-not-allowed", "allowed_paths", [{**PATH, "ports": [0]}], "[0].ports[0]: 0 is less than"),
        ("path-not-allowed", "allowed_paths", [{**PATH, "ports": ["9-8"]}], '"9-8" is not a port'),
        ("path-not-allowed", "allowed_paths", [{"from": "shop"}], "[0]: to is missing"),
        ("path-not-allowed", "allowed_paths", [{**PATH, "port": [1]}], "there is no port here (did you mean ports?)"),
        ("path-not-allowed", "allowed_paths", [{**PATH, "to": "10.0.0.0/33"}], '[0].to: "10.0.0.0/33" is not internet'),
        ("allowed-path-closed", "allowed_paths", [{**PATH, "from": ["shop", ""]}], '[0].from[1]: "" is not internet'),
        ("documented-roles", "groups", {"developers": "view"}, 'developers: "view" is not a list'),
        ("documented-roles", "roles", {"view": [{"verb": ["get"]}]}, "verb"),
        ("documented-namespaces", "namespaces", "shop", '"shop" is not a list'),
        ("escalation-path", "allowed_subjects", ["platform-admins"], '"platform-admins" is not a subject'),
        ("documented-object", "fields", [{"path": "x", "equal": 1}], "there is no equal here (did you mean equals?)"),
        ("documented-object", "fields", [{"path": "x", "ordered": True}], "[0]: needs one of equals, oneOf, superset"),
        ("documented-object", "fields", [{"path": "x", "absent": True, "equals": 1}], "[0]: 'equals' is not one of"),
        ("documented-object", "fields", [{"path": "x..y", "equals": 1}], '[0].path: "x..y" is not a path of a field'),
        ("namespace-pod-security-labels", "level", "restrictd", "'restrictd' is not one of"),
        # Nothing can be compared with what is no quantity.
        ("documented-quota", "quotas", {"shop": {"limits.cpu": "8 cores"}}, '"8 cores" is not a quantity'),
        ("vpa-maximum-above-limit", "limits", {"memory": "2GB"}, 'memory: "2GB" is not a quantity'),
        ("limit-to-request-ratio", "max_cpu", "4x", '"4x" is not a quantity'),
        ("limit-to-request-ratio", "max_memory", [4], "[4] is not a text or a number"),
        ("autoscaler-metrics-differ", "metrics", [{**METRIC, "value": "10/s"}], '[0].value: "10/s" is not a quantity'),
    ],
)
def test_a_value_of_another_form_is_no_policy(rule: str, parameter: str, value: Any, said: str, tmp_path: Path) -> None:
    profile = _profile(tmp_path, rule, **{parameter: value})
    with pytest.raises(PolicyError) as error:
        Library().profile(profile)
    assert str(error.value).startswith(f"{profile}: control X-1: rule {rule}: parameter {parameter}")
    assert said in str(error.value)


def test_a_scan_by_such_a_profile_ends_with_exit_code_2(tmp_path: Path) -> None:
    profile = _profile(tmp_path, "data-tier-ingress-open", ports="443")
    assert run_command("scan", "--profile", profile, tmp_path.as_posix()).exit_code == 2


def test_what_a_profile_sets_for_a_rule_of_a_baseline_is_validated_too(tmp_path: Path) -> None:
    path = tmp_path / "profile.yaml"
    path.write_text(
        "{apiVersion: kubeassay.dev/v1, kind: Profile, metadata: {name: x}, spec: {title: x, baselines: ["
        "{name: network-isolation, parameters: {data-tier-ingress-open: {ports: '443'}}}]}}",
        encoding="utf-8",
    )
    with pytest.raises(PolicyError, match=r'rule data-tier-ingress-open: parameter ports: "443" is not a list'):
        Library().profile(path.as_posix())


def test_a_date_is_nothing_that_a_rule_can_be_given(tmp_path: Path) -> None:
    profile = _profile(tmp_path, "container-resources", limits_cpu=yaml.safe_load("2024-01-01"))
    with pytest.raises(PolicyError, match="parameter limits_cpu: is nothing that JSON can say"):
        Library().profile(profile)


def test_defaults_examples_and_bundled_policy_fit() -> None:
    given = [(rule, p.name, p.default) for rule in LIBRARY.rules.values() for p in rule.parameters]
    for rule in LIBRARY.rules.values():
        given += [(rule, name, value) for example in rule.examples for name, value in example.parameters.items()]
    controls = [control for baseline in LIBRARY.baselines.values() for control in baseline.controls]
    controls += [control for name in LIBRARY.profile_names for control in LIBRARY.profile(name).controls]
    for control in controls:
        for use in control.rules:
            given += [(LIBRARY.rules[use.rule], name, value) for name, value in use.parameters.items()]
    for rule, name, value in given:
        parameter = next(p for p in rule.parameters if p.name == name)
        assert parameter_problem(parameter.type, parameter.schema, value) is None, (rule.id, name, value)


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("cidr", ["10.0.0.0/8", "10.0.0.1", "fd00::/8"], ["10.0.0.0/33", "shop", ""]),
        ("namespaces", ["shop", "*-dev", "shop-[ab]", "*"], ["", "Shop", "shop/web", "a b"]),
        ("workloads", ["shop", "shop/*", "*/*", "shop/db[Deploy*]", "a/b.c[Db]#spec.x"], ["", "shop/", "10.0.0.0/33"]),
        ("path-end", ["internet", "dns", "*", "10.0.0.0/8", "::/0", "a/b[Pod]"], ["10.0.0.0/33", "1.2.3", ":"]),
        ("ports", ["1", "65535/UDP", "1-2", "5-5/SCTP"], ["0", "65536", "2-1", "53/udp", "x", "5\n"]),
        ("quantity", ["8", "500m", "1.5Gi", "1e3", "-1"], ["8 cores", "2GB", "", "1.5.0"]),
        ("subject", ["Group a", "User a b", "ServiceAccount a/b"], ["a", "Group ", "ServiceAccount a", "group a"]),
    ],
)
def test_formats(name: str, good: list[str], bad: list[str]) -> None:
    fits = FORMATS[name][1]
    assert [text for text in good if not fits(text)] == []
    assert [text for text in bad if fits(text)] == []


RULE = """\
apiVersion: kubeassay.dev/v1
kind: Rule
metadata: {id: own}
spec:
  title: x
  area: own
  severity: low
  subject: object
  rationale: x
  remediation: x
  expression: "true"
  messageExpression: "'x'"
  parameters:
    a: {type: array, default: [], schema: SCHEMA}
"""


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ("{items: {type: nothing}}", "parameter a: its schema is none"),
        ("{items: {$ref: 'http://example.invalid/x.json'}}", "a schema names another that there is not"),
        ("{items: {maximum: 3}}", "4 is greater than the maximum of 3"),
    ],
)
def test_rules_of_ones_own_state_schemas(schema: str, said: str, tmp_path: Path) -> None:
    rule = tmp_path / "own.yaml"
    rule.write_text(RULE.replace("SCHEMA", schema), encoding="utf-8")
    with pytest.raises(PolicyError) as error:
        Library(rule_paths=[rule]).profile(_profile(tmp_path, "own", a=[4]))
    assert said in str(error.value)


def test_bundled_policy_is_loaded_without_jsonschema() -> None:
    code = (
        "import sys; from kubeassay.policy.library import Library;"
        "Library().profile('merajutasa/production'); assert 'jsonschema' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
