"""kubeassay's Pod Security checks against Kubernetes' own, k8s.io/pod-security-admission, at every level and version.

Needs Go, and the module (from the module cache or a proxy); skipped without.
"""

from __future__ import annotations

import json
import random
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml

from checks.pod_security_cases import (
    CASES,
    CHECKS,
    LEVELS,
    MINORS,
    active_rules,
    random_pod,
    rule_spec,
    violations,
)
from kit import answered, go_program
from kubeassay.model import KubernetesVersion

_MODULE = Path(__file__).parent.parent / "upstream"

#: (level, minor version) → ids of the upstream checks that do not allow the pod.
Verdicts = dict[tuple[str, int], frozenset[str]]


@pytest.fixture(scope="session")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program of tests/upstream, built."""
    return go_program("upstream", ".", tmp_path_factory.mktemp("upstream"))


@pytest.fixture(scope="session")
def testdata(upstream: Path) -> Path:
    """The folder of upstream's own test pods: <level>/v1.N/{pass,fail}/*.yaml."""
    listed = subprocess.run(
        ["go", "list", "-m", "-f", "{{.Dir}}", "k8s.io/pod-security-admission"],
        cwd=_MODULE,
        capture_output=True,
        text=True,
    )
    data = Path(listed.stdout.strip()) / "test" / "testdata"
    if listed.returncode or not data.is_dir():
        pytest.skip("the module cache holds no test data of k8s.io/pod-security-admission")
    return data


#: (level, minor version) → (upstream id, (rule, place in its versions)) of the checks that hold.
_PLAN: dict[tuple[str, int], list[tuple[str, tuple[str, int]]]] = {
    (level, minor): [
        (
            rule_spec(rule)["references"]["pss"],
            (rule, sum(since <= KubernetesVersion(minor) for since, _ in CHECKS[rule]) - 1),
        )
        for rule in active_rules(level, minor)
    ]
    for level in ("baseline", "restricted")
    for minor in MINORS
}


def ours(pod: dict[str, Any]) -> Verdicts:
    fails = {
        (rule, number): bool(violations(pod, function, since.minor))
        for rule, versions in CHECKS.items()
        for number, (since, function) in enumerate(versions)
    }
    return {key: frozenset(pss for pss, version in plan if fails[version]) for key, plan in _PLAN.items()}


def theirs(program: Path, pods: Iterable[dict[str, Any]]) -> list[Verdicts]:
    answers: list[Verdicts] = []
    for response in answered(program, ({"pod": pod} for pod in pods)):
        assert "error" not in response, response["error"]
        verdicts: Verdicts = {}
        for result in response["results"]:
            for minor in range(result["from"], result["to"] + 1):
                verdicts[result["level"], minor] = frozenset(result["failing"])
        answers.append(verdicts)
    return answers


def _assert_same(program: Path, pods: list[dict[str, Any]]) -> None:
    answers = theirs(program, pods)
    assert len(answers) == len(pods)
    for pod, expected in zip(pods, answers, strict=True):
        found = ours(pod)
        if found != expected:
            differences = {
                key: {
                    "only ours": sorted(found[key] - expected[key]),
                    "only upstream": sorted(expected[key] - found[key]),
                }
                for key in expected
                if found[key] != expected[key]
            }
            pytest.fail(f"{json.dumps(pod, indent=1)}\n{differences}")


def test_ids_versions_levels_and_overrides_are_those_of_upstream(upstream: Path) -> None:
    listed = subprocess.run([upstream, "checks"], capture_output=True, text=True, check=True).stdout
    expected = {
        (line["id"], line["level"], line["since"], tuple(line["overrides"]))
        for line in map(json.loads, listed.splitlines())
    }
    found = {
        (
            rule_spec(rule)["references"]["pss"],
            LEVELS[rule],
            f"v{since}",
            tuple(rule_spec(other)["references"]["pss"] for other in rule_spec(rule).get("overrides", [])),
        )
        for rule, versions in CHECKS.items()
        for since, _ in versions
    }
    assert found == expected


def test_the_cases_fail_the_same_checks(upstream: Path) -> None:
    _assert_same(upstream, [case.pod for case in CASES])


@pytest.mark.parametrize("seed", range(8))
def test_random_pods_fail_the_same_checks(upstream: Path, seed: int) -> None:
    source = random.Random(seed)
    _assert_same(upstream, [random_pod(source) for _ in range(1000)])


_TEST_POD = re.compile(r"([a-z_]+?)\d*\Z")


def test_upstream_test_pods_pass_and_fail(upstream: Path, testdata: Path) -> None:
    names = {pss.lower() for plan in _PLAN.values() for pss, _ in plan}
    pods: dict[str, dict[str, Any]] = {}
    verdicts: dict[str, Verdicts] = {}
    read = 0
    wrong: list[str] = []
    for path in sorted(testdata.rglob("*.yaml")):
        level, version, outcome = path.relative_to(testdata).parts[:3]
        text = path.read_text(encoding="utf-8")
        if text not in verdicts:
            pods[text] = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
            verdicts[text] = ours(pods[text])
        read += 1
        minor = KubernetesVersion.parse(version).minor
        failing = {pss.lower() for pss in verdicts[text][level, minor]}
        match = _TEST_POD.match(path.stem)
        subject = match[1] if match else ""
        holds = {pss.lower() for pss, _ in _PLAN[level, minor]}
        if outcome == "pass":
            right = not failing
        else:
            # A file may be named after a check that another one overrides at this version.
            right = subject in failing if subject in holds else bool(failing)
            assert subject in names, path
        if not right:
            wrong.append(f"{path.relative_to(testdata)}: {sorted(failing)}")
    assert read > 0
    assert wrong == []
    _assert_same(upstream, list(pods.values()))
