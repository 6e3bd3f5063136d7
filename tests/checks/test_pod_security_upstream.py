"""kubeassay's Pod Security checks against Kubernetes' own, k8s.io/pod-security-admission, at every level and version.

Needs Go, and the module (from the module cache or a proxy); skipped without.
"""

from __future__ import annotations

import copy
import itertools
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
    ALLOWED_VOLUMES,
    CASES,
    CHECKS,
    FORBIDDEN_VOLUMES,
    HARMLESS_CAPABILITIES,
    LEVELS,
    MINORS,
    SYSCTLS,
    active_rules,
    compliant_pod,
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
    _assert_same(upstream, [_random_pod(source) for _ in range(1000)])


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


def _random_pod(source: random.Random) -> dict[str, Any]:
    """A pod in which any field that a check reads may be set, often to something odd that still decodes."""
    pod: dict[str, Any] = source.choice(
        (compliant_pod(), {"apiVersion": "v1", "kind": "Pod", "metadata": {}, "spec": {}})
    )
    spec = pod["spec"]
    often = source.choice((0.02, 0.1, 0.4))

    def maybe(at: dict[str, Any], key: str, *values: Any) -> None:
        if source.random() < often:
            at[key] = copy.deepcopy(source.choice((*values, None)))

    for kind in ("containers", "initContainers", "ephemeralContainers"):
        maybe(spec, kind, [{}], [{}, {"name": "app"}], [None, {"name": ""}], [])
    maybe(pod, "metadata", {"annotations": _random_annotations(source)}, {"annotations": None})
    for field in ("hostNetwork", "hostPID", "hostIPC", "hostUsers"):
        maybe(spec, field, True, False)
    maybe(spec, "os", {"name": "windows"}, {"name": "linux"}, {"name": "Windows"}, {"name": None}, {})
    maybe(spec, "volumes", [_random_volume(source) for _ in range(source.randrange(4))])
    lists = [spec.get(kind) or [] for kind in ("containers", "initContainers", "ephemeralContainers")]
    containers = [member for member in itertools.chain(*lists) if member is not None]
    for place in (spec, *containers):
        maybe(place, "securityContext", {})
        context = place.get("securityContext")
        if context is None:
            context = {}
            maybe(place, "securityContext", context)
            context = place.get("securityContext") or {}
        for name in ("appArmorProfile", "seccompProfile"):
            types = ("RuntimeDefault", "Localhost", "Unconfined", "", None, "runtime/default")
            maybe(context, name, {}, *({"type": value} for value in types))
        maybe(context, "seLinuxOptions", {}, _random_selinux(source), _random_selinux(source))
        maybe(context, "windowsOptions", {}, *({"hostProcess": value} for value in (True, False, None)))
        maybe(context, "runAsNonRoot", True, False)
        maybe(context, "runAsUser", 0, 1, 10001)
        if place is spec:
            maybe(context, "sysctls", [_random_sysctl(source) for _ in range(source.randrange(4))])
            continue
        maybe(context, "privileged", True, False)
        maybe(context, "allowPrivilegeEscalation", True, False)
        maybe(context, "procMount", "Default", "Unmasked", "")
        maybe(context, "capabilities", {}, _random_capabilities(source), _random_capabilities(source))
        maybe(place, "ports", [], *([_random_port(source) for _ in range(2)] for _ in range(3)))
        for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
            maybe(place, probe, _random_handler(source), _random_handler(source))
        hooks = {hook: _random_handler(source) for hook in ("postStart", "preStop") if source.random() < 0.5}
        maybe(place, "lifecycle", hooks, {"preStop": None})
    return pod


def _random_annotations(source: random.Random) -> dict[str, Any]:
    keys = ["seccomp.security.alpha.kubernetes.io/pod", "example.com/a"]
    for prefix in (
        "container.apparmor.security.beta.kubernetes.io/",
        "container.seccomp.security.alpha.kubernetes.io/",
    ):
        keys += [prefix + name for name in ("app", "setup", "proxy", "debug", "nobody", "", "containers[0]")]
    values = ("runtime/default", "docker/default", "localhost/a", "localhost", "unconfined", "", None)
    return {key: source.choice(values) for key in source.sample(keys, source.randrange(1, 4))}


def _random_volume(source: random.Random) -> dict[str, Any] | None:
    if source.random() < 0.1:
        return None
    sources = {**ALLOWED_VOLUMES, **FORBIDDEN_VOLUMES, "hostPath": {"path": "/"}}
    volume: dict[str, Any] = {"name": source.choice(("data", "", None))}
    for name in source.sample(sorted(sources), source.choice((0, 1, 1, 1, 2))):
        volume[name] = source.choice((sources[name], {}, None))
    return volume


def _random_selinux(source: random.Random) -> dict[str, Any]:
    types = ("container_t", "container_init_t", "container_kvm_t", "container_engine_t", "spc_t", "", None)
    options = {
        "type": source.choice(types),
        "user": source.choice(("u", "", None)),
        "role": source.choice(("r", "", None)),
    }
    return {key: options[key] for key in source.sample(sorted(options), source.randrange(4))}


def _random_sysctl(source: random.Random) -> dict[str, Any] | None:
    names = (*SYSCTLS, "kernel.msgmax", "net.ipv4.tcp_rmem ", "")
    return source.choice(({"name": source.choice(names), "value": "1"}, {"name": source.choice(names)}, {}, None))


def _random_capabilities(source: random.Random) -> dict[str, Any]:
    names = (*HARMLESS_CAPABILITIES, "NET_BIND_SERVICE", "NET_RAW", "SYS_ADMIN", "ALL", "all", "CAP_CHOWN", "", None)
    capabilities: dict[str, Any] = {}
    for key in ("add", "drop"):
        some = [source.choice(names) for _ in range(source.randrange(3))]
        capabilities[key] = source.choice((some, ["ALL"], ["NET_BIND_SERVICE"], [], None))
    return capabilities


def _random_port(source: random.Random) -> dict[str, Any] | None:
    return source.choice(({"containerPort": 80}, {"hostPort": source.choice((0, 80, None))}, {}, None))


def _random_handler(source: random.Random) -> dict[str, Any]:
    hosts = ("", None, "127.0.0.1", "web.example")
    handler: dict[str, Any] = {}
    for request in ("httpGet", "tcpSocket"):
        if source.random() < 0.5:
            handler[request] = source.choice(({"host": source.choice(hosts), "port": 80}, {"port": "http"}, {}, None))
    return handler
