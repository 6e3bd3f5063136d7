"""Access reviews against Kubernetes' own RBAC authorizer, validation and reconciliation.

Needs Go, and the modules (from the module cache or a proxy); skipped without.
"""

from __future__ import annotations

import json
import random
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml

from analysis.access.worlds import (
    ASKING,
    REFUSED,
    TAKEN,
    controlled,
    cyclic,
    inventory,
    random_request,
    random_rule,
    random_world,
    request_json,
    role,
)
from kit import answered, go_program
from kubeassay.analysis.access.grants import Access, grants
from kubeassay.analysis.access.matching import uncovered
from kubeassay.analysis.access.model import PolicyRule, Subject
from kubeassay.analysis.access.objects import rbac_objects
from kubeassay.analysis.access.resources import built_in
from kubeassay.analysis.access.review import Request, review, who_can

_MODULE = Path(__file__).parent.parent.parent / "upstream_kubernetes"
_NEWEST = 37


@pytest.fixture(scope="session")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program tests/upstream_kubernetes/rbac, built."""
    return go_program("upstream_kubernetes", "./rbac", tmp_path_factory.mktemp("upstream_rbac"))


def _sources() -> Path:
    """The sources of Kubernetes that the program was built from."""
    listed = subprocess.run(
        ["go", "list", "-m", "-f", "{{.Dir}}", "k8s.io/kubernetes"], cwd=_MODULE, capture_output=True, text=True
    )
    folder = Path(listed.stdout.strip())
    if listed.returncode or not (folder / "api").is_dir():
        pytest.skip("the module cache holds no sources of k8s.io/kubernetes")
    return folder


@pytest.fixture(scope="session")
def defaults(upstream: Path) -> list[dict[str, Any]]:
    """The roles and bindings that an API server of the newest release creates."""
    folder = _sources() / "plugin" / "pkg" / "auth" / "authorizer" / "rbac" / "bootstrappolicy" / "testdata"
    found = []
    for path in sorted(folder.glob("*.yaml")):
        if "featuregates" not in path.name:
            found += yaml.load(path.read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))["items"]
    return found


def ask(program: Path, lines: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    answers = answered(program, lines)
    assert [answer["error"] for answer in answers if "error" in answer] == []
    return answers


def shown(subject: Subject) -> str:
    return f"{subject.kind}/{subject.namespace}/{subject.name}"


def our_subjects(access: Access, request: Request) -> list[str]:
    return sorted({shown(g.subject) for g in who_can(access, request).grants} | {"Group//system:masters"})


@pytest.mark.parametrize("seed", range(6))
def test_random_worlds_are_judged_alike(upstream: Path, defaults: list[dict[str, Any]], seed: int) -> None:
    source = random.Random(seed)
    worlds = []
    while len(worlds) < 50:
        world = random_world(source)
        if not cyclic([*world, *defaults]):
            worlds.append(world)
    questions = [[(source.choice(ASKING), random_request(source)) for _ in range(20)] for _ in worlds]
    lines = (
        {
            "objects": controlled([*world, *defaults], source),
            "requests": [request_json(subject, request) for subject, request in asked],
        }
        for world, asked in zip(worlds, questions, strict=True)
    )
    wrong: list[Any] = []
    allowed = 0
    for world, asked, answer in zip(worlds, questions, ask(upstream, lines), strict=True):
        assert "refused" not in answer
        access = grants(inventory(*world))
        for (subject, request), expected, subjects in zip(asked, answer["allowed"], answer["subjects"], strict=True):
            found = review(access, subject, request)
            allowed += found.allowed
            if found.allowed != expected or our_subjects(access, request) != subjects:
                wrong.append((world, subject, request, expected))
    assert wrong == []
    assert allowed > 80


@pytest.mark.parametrize("seed", range(3))
def test_what_an_aggregation_without_end_may_grant_is_granted(defaults: list[dict[str, Any]], seed: int) -> None:
    source = random.Random(seed)
    worlds = 0
    while worlds < 60:
        world = random_world(source)
        if not cyclic([*world, *defaults]):
            continue
        worlds += 1
        access = grants(inventory(*world))
        ours = {(r.name): r.rules for r in access.roles if r.kind == "ClusterRole" and r.obj is not None}
        for obj in controlled([*world, *defaults], source):
            if obj["kind"] == "ClusterRole" and obj["metadata"]["name"] in ours:
                wanted = [_policy_rule(r) for r in obj["rules"]]
                assert list(uncovered(ours[obj["metadata"]["name"]], wanted)) == []


def _policy_rule(stated: dict[str, Any]) -> PolicyRule:
    fields = ("verbs", "apiGroups", "resources", "resourceNames", "nonResourceURLs")
    return PolicyRule(*(tuple(stated.get(field) or ()) for field in fields))


def _plain(found: PolicyRule) -> tuple[tuple[str, ...], ...]:
    return (found.verbs, found.api_groups, found.resources, found.resource_names, found.non_resource_urls)


@pytest.mark.parametrize("seed", range(3))
def test_rules_cover_each_other_alike(upstream: Path, seed: int) -> None:
    source = random.Random(seed)
    pairs = [
        tuple([random_rule(source, urls=True) for _ in range(source.choice((1, 2, 3)))] for _ in range(2))
        for _ in range(1500)
    ]
    answers = ask(upstream, ({"owner": owner, "servant": servant} for owner, servant in pairs))
    for (owner, servant), answer in zip(pairs, answers, strict=True):
        found = uncovered([_policy_rule(r) for r in owner], [_policy_rule(r) for r in servant])
        expected = {_plain(_policy_rule(r)) for r in answer.get("uncovered", ())}
        assert {_plain(r) for r in found} == expected, (owner, servant)


def test_what_an_api_server_refuses_is_refused(upstream: Path) -> None:
    (answer,) = ask(upstream, [{"objects": [*REFUSED, *TAKEN]}])
    assert [entry["index"] for entry in answer["refused"]] == list(range(len(REFUSED)))
    for obj in REFUSED:
        refused = rbac_objects(inventory(obj)).refused
        assert [r.obj.value for r in refused] == [obj]
        assert refused[0].reason
    for obj in TAKEN:
        assert rbac_objects(inventory(obj)).refused == ()


@pytest.mark.parametrize("seed", range(2))
def test_defaults_are_restored_alike(upstream: Path, defaults: list[dict[str, Any]], seed: int) -> None:
    source = random.Random(seed)
    expected = [obj for obj in defaults if obj["kind"] == "ClusterRole" and not obj.get("aggregationRule")]
    cases = []
    for default in source.sample(expected, 25):
        kept = [r for r in default["rules"] or () if source.random() < 0.6]
        extra = [random_rule(source, urls=True) for _ in range(source.randrange(3))]
        off = {"annotations": {"rbac.authorization.kubernetes.io/autoupdate": "false"}}
        cases.append((role(default["metadata"]["name"], *kept, *extra, **source.choice(({}, off))), default))
    answers = ask(upstream, ({"existing": existing, "expected": default} for existing, default in cases))
    for (existing, _), answer in zip(cases, answers, strict=True):
        wanted = [_policy_rule(r) for r in answer["reconciled"]["rules"] or ()]
        found = next(r for r in grants(inventory(existing)).roles if r.obj is not None)
        assert list(uncovered(found.rules, wanted)) == []
        assert list(uncovered(wanted, found.rules)) == []


def test_the_tables_hold_what_the_newest_release_creates(defaults: list[dict[str, Any]]) -> None:
    access = grants(inventory(), _NEWEST)
    roles = {
        (r.kind, r.namespace, r.name): {_plain(rule) for rule in r.rules} for r in access.roles if not r.aggregated
    }
    expected = {
        (obj["kind"], obj["metadata"].get("namespace", ""), obj["metadata"]["name"]): {
            tuple(tuple(sorted(field)) for field in _plain(_policy_rule(r))) for r in obj["rules"] or ()
        }
        for obj in defaults
        if obj["kind"].endswith("Role") and not obj.get("aggregationRule")
    }
    assert roles == expected
    bound = {
        (b.kind, b.namespace, b.name, b.role.name): {shown(s.subject) for s in b.subjects} for b in access.bindings
    }
    assert bound == {
        (obj["kind"], obj["metadata"].get("namespace"), obj["metadata"]["name"], obj["roleRef"]["name"]): {
            f"{s['kind']}/{s.get('namespace', '')}/{s['name']}" for s in obj["subjects"]
        }
        for obj in defaults
        if obj["kind"].endswith("Binding") and obj.get("subjects")
    }


@pytest.mark.usefixtures("upstream")
def test_the_tables_hold_the_resources_of_the_newest_release() -> None:
    folder = _sources() / "api" / "discovery"
    expected = {}
    for path in folder.glob("api*__*.json"):
        document = json.loads(path.read_text(encoding="utf-8"))
        group = document.get("groupVersion", "").rpartition("/")[0]
        for resource in document.get("resources", ()):
            expected[group, resource["name"]] = (resource["namespaced"], set(resource["verbs"]))
    found = {}
    for resource in built_in():
        found[resource.group, resource.name] = (resource.namespaced, set(resource.verbs))
        for name, verbs in resource.subresources.items():
            found[resource.group, f"{resource.name}/{name}"] = (resource.namespaced, set(verbs))
    assert {key: found.get(key) for key in expected} == expected
