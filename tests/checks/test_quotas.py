"""Rules of kubeassay.checks.quotas."""

from __future__ import annotations

from typing import Any

import pytest

from checks.network_outcomes import Outcome, each_outcome, outcomes
from kit import failing, plan_of, profile_of, run_within_seconds, scan_text
from kubeassay.model import Inventory
from kubeassay.sources.manifests import read_bytes

QUOTA = "ResourceQuota shop/q"
WEB = "Deployment shop/web"


def quota(hard: str, extra: str = "", name: str = "q", namespace: str = "shop") -> str:
    return f"""
---
apiVersion: v1
kind: ResourceQuota
metadata: {{name: {name}, namespace: {namespace}}}
spec: {{hard: {{{hard}}}, {extra}}}
"""


def limits(entries: str, name: str = "limits") -> str:
    return f"""
---
apiVersion: v1
kind: LimitRange
metadata: {{name: {name}, namespace: shop}}
spec: {{limits: [{entries}]}}
"""


def deployment(resources: str = "{}", spec: str = "", pod: str = "", annotations: str = "{}", name: str = "web") -> str:
    return f"""
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}, namespace: shop}}
spec:
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{annotations: {annotations}}}
    spec: {{containers: [{{name: app, resources: {resources}}}], {pod}}}
  {spec}
"""


def autoscaler(low: int, high: int) -> str:
    return f"""
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {{name: web, namespace: shop}}
spec: {{minReplicas: {low}, maxReplicas: {high}, scaleTargetRef: {{apiVersion: apps/v1, kind: Deployment, name: web}}}}
"""


def claim(name: str, size: str) -> str:
    return f"""
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {{name: {name}, namespace: shop}}
spec: {{resources: {{requests: {{storage: {size}}}}}}}
"""


NAMESPACE = "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n"
MESHED = "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {istio-injection: enabled}}\n"


def fail(about: str, path: str) -> Outcome:
    return Outcome("fail", about, path)


def passed(about: str) -> Outcome:
    return Outcome("pass", about, "")


def unknown(about: str) -> Outcome:
    return Outcome("not-judged", about, "unknown-demand")


# --- namespaces ---


@pytest.mark.parametrize(
    ("text", "parameters", "expected"),
    [
        (NAMESPACE + deployment(), {}, {fail("Namespace shop", "metadata.name")}),
        (deployment(), {}, {fail(WEB, "metadata.namespace")}),
        (NAMESPACE, {}, set()),
        (NAMESPACE, {"namespaces": ["s*"]}, {fail("Namespace shop", "metadata.name")}),
        (NAMESPACE + deployment(), {"namespaces": ["other"]}, set()),
        (NAMESPACE + deployment(), {"excluded_namespaces": ["shop"]}, set()),
        (NAMESPACE + deployment() + quota("pods: 5"), {}, {passed("Namespace shop")}),
        (NAMESPACE + deployment() + quota(""), {}, {fail("Namespace shop", "metadata.name")}),
        (NAMESPACE + deployment() + quota("pods: -5"), {}, {fail("Namespace shop", "metadata.name")}),
        (NAMESPACE + deployment() + quota("pods: 5", namespace="other"), {}, {fail("Namespace shop", "metadata.name")}),
        (deployment().replace("namespace: shop", "namespace: kube-system"), {}, set()),
        (deployment().replace(", namespace: shop", ""), {}, set()),
    ],
)
def test_a_namespace_without_a_quota(text: str, parameters: dict[str, Any], expected: set[Outcome]) -> None:
    assert outcomes("namespace-without-quota", text, **parameters) == expected


@pytest.mark.parametrize(
    ("entries", "fails"),
    [
        (None, True),
        ("{type: Pod, max: {cpu: 1, memory: 1Gi}}", True),
        ("{type: Container, default: {cpu: 1}}", True),
        ("{type: Container, default: {cpu: 1}, min: {memory: 1Mi}}", False),
        ("{type: Container, max: {cpu: 1, memory: 1Gi}}", False),
        ("{type: Container, max: {cpu: 1, memory: 1Gi}, min: {cpu: 2}}", True),
    ],
)
def test_a_namespace_without_a_limit_range(entries: str | None, fails: bool) -> None:
    text = NAMESPACE + deployment() + (limits(entries) if entries is not None else "")
    expected = fail("Namespace shop", "metadata.name") if fails else passed("Namespace shop")
    assert outcomes("namespace-without-limit-range", text) == {expected}


# --- as documented ---

DOCUMENTED = {"shop": {"limits.cpu": "8", "requests.storage": "100Gi"}}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (quota("limits.cpu: 8000m, requests.storage: 0.09Ti"), {passed(QUOTA)}),
        (quota("limits.cpu: 80, requests.storage: 100Gi"), {fail(QUOTA, 'spec.hard["limits.cpu"]')}),
        (quota("limits.cpu: 8, requests.storage: 0.1Ti"), {fail(QUOTA, 'spec.hard["requests.storage"]')}),
        # What is missing belongs after what is there.
        (quota("limits.cpu: 8, pods: 5"), {fail(QUOTA, "spec.hard.pods")}),
        # The least limit of several quotas holds.
        (
            quota("limits.cpu: 80, requests.storage: 1Gi") + quota("limits.cpu: 4", name="r"),
            {passed(QUOTA), passed("ResourceQuota shop/r")},
        ),
        # One that does not count all pods limits not all of them.
        (
            quota("limits.cpu: 80, requests.storage: 1Gi") + quota("limits.cpu: 4", "scopes: [Terminating]", name="r"),
            {fail(QUOTA, 'spec.hard["limits.cpu"]')},
        ),
        (NAMESPACE, {fail("Namespace shop", "metadata.name")}),
        (deployment(), {fail(WEB, "metadata.namespace")}),
        (quota("pods: 5", namespace="other"), {Outcome("not-judged", "", "missing-input")}),
    ],
)
def test_a_documented_quota(text: str, expected: set[Outcome]) -> None:
    assert outcomes("documented-quota", text, quotas=DOCUMENTED) == expected


def test_quotas_of_an_environment_are_judged_together() -> None:
    """Each with what is nearest of other names, in its own folder or above it."""
    files = {
        "all": quota("requests.storage: 100Gi"),
        "all/dev": quota("limits.cpu: 8", name="cpu"),
        "all/test": quota("limits.cpu: 80", name="cpu"),
        "all/prod": quota("limits.cpu: 4", name="cpu"),
    }
    objects = [obj for at, text in files.items() for obj in read_bytes(text.encode(), f"{at}/all.yaml").objects]
    (active,) = plan_of(profile_of("documented-quota", quotas=DOCUMENTED)).rules
    found = {(type(one).__name__, one.obj.file) for one in active.function(Inventory(objects), active.context)}
    assert found == {
        ("Passed", "all/all.yaml"),
        ("Passed", "all/dev/all.yaml"),
        ("Violation", "all/test/all.yaml"),
        ("Passed", "all/prod/all.yaml"),
    }


def test_a_second_quota_of_a_name_is_judged_too() -> None:
    text = quota("limits.cpu: 8, requests.storage: 1Gi") + quota("limits.cpu: 80, requests.storage: 1Gi")
    assert {one.kind for one in outcomes("documented-quota", text, quotas=DOCUMENTED)} == {"pass", "fail"}


def test_a_lower_limit_is_a_finding_where_it_has_to_be_exact() -> None:
    text = quota("limits.cpu: 4, requests.storage: 100Gi")
    assert outcomes("documented-quota", text, quotas=DOCUMENTED, exact=True) == {fail(QUOTA, 'spec.hard["limits.cpu"]')}
    assert outcomes("documented-quota", text) == set()


# --- what is refused ---

APP = "spec.template.spec.containers[0].resources"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (quota("limits.cpu: 4") + deployment(), {fail(WEB, f"{APP}.limits.cpu")}),
        (quota("requests.cpu: 4") + deployment("{limits: {cpu: 1}}"), {passed(WEB)}),
        (quota("cpu: 4, memory: 4") + deployment(), {fail(WEB, f"{APP}.requests")}),
        (quota("cpu: 4, limits.memory: 4") + deployment(), {fail(WEB, APP)}),
        (quota("requests.ephemeral-storage: 4, pods: 4") + deployment(), {passed(WEB)}),
        (quota("limits.cpu: 4", "scopes: [Terminating]") + deployment(), {passed(WEB)}),
        (quota("limits.cpu: -4") + deployment(), {passed(WEB)}),
        (quota("limits.cpu: 4") + limits("{type: Container, default: {cpu: 1}}") + deployment(), {passed(WEB)}),
        (quota("limits.cpu: 4") + limits("{type: Container, max: {cpu: 1}}") + deployment(), {passed(WEB)}),
        (
            quota("limits.cpu: 4") + deployment("{limits: {cpu: 1}}", pod="initContainers: [{name: first}]"),
            {fail(WEB, "spec.template.spec.initContainers[0].resources.limits.cpu")},
        ),
        # What the pod states as a whole does.
        (quota("limits.cpu: 4") + deployment(pod="resources: {limits: {cpu: 1}}"), {passed(WEB)}),
        (MESHED + quota("limits.cpu: 4") + deployment("{limits: {cpu: 1}}"), {unknown(WEB)}),
        (
            MESHED
            + quota("limits.cpu: 4")
            + deployment("{limits: {cpu: 1}}", annotations="{sidecar.istio.io/proxyCPU: '1'}"),
            {fail(WEB, "spec.template.metadata.annotations")},
        ),
        (
            MESHED
            + quota("limits.cpu: 4")
            + deployment("{limits: {cpu: 1}}", annotations="{sidecar.istio.io/proxyCPULimit: '1'}"),
            {passed(WEB)},
        ),
        # The proxy stands before the pod's own containers.
        (MESHED + quota("limits.cpu: 4") + deployment(), {fail(WEB, f"{APP}.limits.cpu")}),
    ],
)
def test_pods_that_a_quota_refuses(text: str, expected: set[Outcome]) -> None:
    assert outcomes("quota-refuses-pods", text) == expected


def test_a_pod_as_a_whole_counts_from_1_34_on() -> None:
    text = quota("limits.cpu: 4") + deployment(pod="resources: {limits: {cpu: 1}}")
    for version, refused in (("1.33", True), ("1.34", False)):
        result = scan_text(plan_of(profile_of("quota-refuses-pods"), version), text)
        assert bool(failing(result)) is refused


@pytest.mark.parametrize(
    ("entries", "resources", "path"),
    [
        ("{type: Container, max: {cpu: 1}}", "{limits: {cpu: 2}}", f"{APP}.limits.cpu"),
        ("{type: Container, max: {cpu: 1}}", "{requests: {cpu: 2}}", f"{APP}.requests.cpu"),
        ("{type: Container, min: {cpu: 1}}", "{requests: {cpu: 500m}}", f"{APP}.requests.cpu"),
        ("{type: Container, min: {cpu: 1}}", "{requests: {cpu: 1}}", None),
        ("{type: Container, max: {cpu: 1}}", "{}", None),
        ("{type: Container, maxLimitRequestRatio: {cpu: 2}}", "{requests: {cpu: 1}, limits: {cpu: 2}}", None),
        (
            "{type: Container, maxLimitRequestRatio: {cpu: 2}}",
            "{requests: {cpu: 1}, limits: {cpu: 2001m}}",
            f"{APP}.limits.cpu",
        ),
        ("{type: Container, maxLimitRequestRatio: {cpu: 2}}", "{}", f"{APP}.requests.cpu"),
        ("{type: Pod, max: {cpu: 1}}", "{limits: {cpu: 2}}", "spec.template.spec"),
        ("{type: Pod, max: {memory: 1}}", "{limits: {cpu: 2}}", "spec.template.spec"),
    ],
)
def test_pods_that_a_limit_range_refuses(entries: str, resources: str, path: str | None) -> None:
    found = outcomes("limit-range-violated", limits(entries) + deployment(resources))
    assert found == {passed(WEB) if path is None else fail(WEB, path)}


def test_a_pod_that_is_refused_by_one_of_two_defaults_is_no_pass() -> None:
    text = limits("{type: Container, default: {cpu: 500m}}", "a") + limits("{type: Pod, max: {cpu: 1}}", "b")
    assert outcomes("limit-range-violated", text + deployment()) == {passed(WEB)}
    text += limits("{type: Container, default: {cpu: 2}}", "c")
    assert outcomes("limit-range-violated", text + deployment()) == {unknown(WEB)}
    assert outcomes("limit-range-violated", text + deployment("{limits: {cpu: 2}}")) == {
        fail(WEB, "spec.template.spec")
    }


_CPU = "spec.template.spec.containers[0].resources.requests.cpu"


@pytest.mark.parametrize(
    ("entries", "resources", "path"),
    [
        # The API server gives the container the limit, and then refuses a request above it.
        ("{type: Container, default: {cpu: 500m}}", "{requests: {cpu: 1}}", _CPU),
        ("{type: Container, default: {cpu: 500m}}", "{requests: {cpu: 500m}}", None),
        ("{type: Container, default: {cpu: 500m}}", "{requests: {cpu: 1}, limits: {cpu: 2}}", None),
        ("{type: Container, default: {cpu: 500m}}", "{requests: {memory: 1Gi}}", None),
        ("{type: Container, max: {cpu: 500m}}", "{requests: {cpu: 1}}", _CPU),
        ("{type: Container, defaultRequest: {cpu: 2}}", "{limits: {cpu: 1}}", None),
        ("{type: Pod, max: {cpu: 500m}}", "{requests: {cpu: 100m}, limits: {cpu: 200m}}", None),
        (
            "{type: Container, default: {hugepages-2Mi: 4Mi}}",
            "{requests: {hugepages-2Mi: 2Mi}}",
            "spec.template.spec.containers[0].resources.requests.hugepages-2Mi",
        ),
    ],
)
def test_a_default_limit_below_the_request_refuses_pods(entries: str, resources: str, path: str | None) -> None:
    found = outcomes("limit-range-violated", limits(entries) + deployment(resources))
    assert found == {passed(WEB) if path is None else fail(WEB, path)}


def test_claims_that_a_limit_range_refuses() -> None:
    text = limits("{type: PersistentVolumeClaim, min: {storage: 1Gi}, max: {storage: 10Gi}}")
    text += claim("small", "1Mi") + claim("right", "10Gi") + claim("large", "11Gi")
    path = "spec.resources.requests.storage"
    assert outcomes("limit-range-violated", text) == {
        fail("PersistentVolumeClaim shop/small", path),
        passed("PersistentVolumeClaim shop/right"),
        fail("PersistentVolumeClaim shop/large", path),
    }


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        (quota("requests.gpu: 4"), {'spec.hard["requests.gpu"]'}),
        (quota("pods: 1500m"), {"spec.hard.pods"}),
        (quota("pods: many"), {"spec.hard.pods"}),
        (quota("pods: 5", "scopes: [Always]"), {"spec.scopes[0]"}),
        (quota("requests.cpu: 5", "scopes: [BestEffort]"), {"spec.scopes[0]"}),
        (quota("pods: 5", "scopes: [BestEffort, NotBestEffort]"), {"spec.scopes[1]"}),
        (
            quota("pods: 5", "scopeSelector: {matchExpressions: [{scopeName: PriorityClass, operator: In}]}"),
            {"spec.scopeSelector.matchExpressions[0]"},
        ),
        (quota("pods: 5, requests.example.com/gpu: 4"), set()),
    ],
)
def test_quotas_that_are_refused(text: str, paths: set[str]) -> None:
    expected = {fail(QUOTA, path) for path in paths} or {passed(QUOTA)}
    assert outcomes("quota-or-limit-range-refused", text) == expected


@pytest.mark.parametrize(
    ("entries", "paths"),
    [
        ("{type: Container, min: {cpu: 2}, max: {cpu: 1}}", {"spec.limits[0].min.cpu", "spec.limits[0].max.cpu"}),
        (
            "{type: Container, default: {cpu: 2}, max: {cpu: 1}}",
            {"spec.limits[0].default.cpu", "spec.limits[0].max.cpu"},
        ),
        ("{type: Node}", {"spec.limits[0].type"}),
        ("{type: Pod}, {type: Pod}", {"spec.limits[1].type"}),
        ("{type: Pod, default: {cpu: 1}}", {"spec.limits[0].default"}),
        ("{type: PersistentVolumeClaim}", {"spec.limits[0]"}),
        ("{type: Container, maxLimitRequestRatio: {cpu: 500m}}", {"spec.limits[0].maxLimitRequestRatio.cpu"}),
        ("{type: Container, max: {cpu: 1}}", set()),
    ],
)
def test_limit_ranges_that_are_refused(entries: str, paths: set[str]) -> None:
    about = "LimitRange shop/limits"
    found = outcomes("quota-or-limit-range-refused", limits(entries))
    assert found == ({passed(about)} if not paths else found)
    assert {one.words for one in found if one.kind == "fail"} <= paths
    assert bool(paths) == any(one.kind == "fail" for one in found)


@pytest.mark.parametrize(
    ("hard", "extra", "wrong"),
    [
        ("limits.example.com/gpu: 1", "", "limits.example.com/gpu"),
        ("example.com/gpu: 1", "", "example.com/gpu"),
        ("requests.example.com/gpu: 1, hugepages-2Mi: 1", "", None),
        ("count/deployment.apps: 1", "", "count/deployment.apps"),
        ("count/deployments.apps: 1, count/widgets.example.com: 1", "", None),
        ("count/deployments.apps: 1, pods: 1", "scopes: [BestEffort]", "count/deployments.apps"),
        ("count/pods: 1, pods: 1", "scopes: [BestEffort]", None),
        (
            "persistentvolumeclaims: 1, count/pods: 1",
            "scopeSelector: {matchExpressions: [{scopeName: VolumeAttributesClass, operator: Exists}]}",
            "count/pods",
        ),
    ],
)
def test_limits_that_nothing_is_counted_against(hard: str, extra: str, wrong: str | None) -> None:
    found = outcomes("quota-resource-not-counted", quota(hard, extra))
    assert found == {passed(QUOTA) if wrong is None else fail(QUOTA, f'spec.hard["{wrong}"]')}


# --- what does not fit ---

CPUS = "{requests: {cpu: 500m}, limits: {cpu: 1}}"
LIMIT = fail(QUOTA, 'spec.hard["limits.cpu"]')


@pytest.mark.parametrize(
    ("limit", "rest", "maximum", "rollout"),
    [
        (2, "fail", "fail", "fail"),
        (3, "pass", "fail", "fail"),
        (15, "pass", "pass", "fail"),
        (19, "pass", "pass", "pass"),
    ],
)
def test_each_phase_that_does_not_fit_is_told_once(limit: int, rest: str, maximum: str, rollout: str) -> None:
    text = quota(f"limits.cpu: {limit}") + deployment(CPUS) + autoscaler(3, 15)
    answers = {"at-rest": rest, "at-maximum": maximum, "during-rollout": rollout}
    told = False
    for phase, answer in answers.items():
        found = outcomes(f"quota-exceeded-{phase}", text)
        if answer == "pass":
            assert found == {passed(QUOTA)}
        else:
            # What did not fit before is not told again, and is no pass.
            assert found == (set() if told else {LIMIT})
            told = True


def test_the_numbers_are_in_the_message() -> None:
    text = quota("limits.cpu: 16") + deployment(CPUS) + autoscaler(3, 15)
    (found,) = outcomes("quota-exceeded-during-rollout", text)
    assert found.message == (
        "limits.cpu: 15 replicas of Deployment shop/web need 15, surge adds 4, ResourceQuota shop/q has 16"
    )
    assert found.related == (
        "Deployment shop/web spec.template.spec",
        "HorizontalPodAutoscaler shop/web spec.maxReplicas",
    )
    text = quota("limits.cpu: 2") + deployment(CPUS, "replicas: 2") + deployment(CPUS, name="api")
    (found,) = outcomes("quota-exceeded-at-rest", text)
    assert found.message == (
        "limits.cpu: 2 objects need 3 (Deployment shop/web 2; Deployment shop/api 1), ResourceQuota shop/q has 2"
    )


APPLICATION = """
---
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: web, namespace: argocd}
spec: {source: {repoURL: https://git.example/web, path: elsewhere}, destination: {namespace: shop}}
"""


@pytest.mark.parametrize("phase", ["at-rest", "at-maximum", "during-rollout"])
def test_what_is_not_known_is_no_pass(phase: str) -> None:
    text = quota("limits.cpu: 16") + deployment(CPUS) + APPLICATION
    assert outcomes(f"quota-exceeded-{phase}", text) == {unknown(QUOTA)}


def test_each_of_several_quotas_must_admit() -> None:
    text = quota("limits.cpu: 16") + quota("limits.cpu: 1", name="r") + deployment(CPUS, "replicas: 2")
    assert outcomes("quota-exceeded-at-rest", text) == {
        passed(QUOTA),
        fail("ResourceQuota shop/r", 'spec.hard["limits.cpu"]'),
    }


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        (2, passed("HorizontalPodAutoscaler shop/web")),
        (3, fail("HorizontalPodAutoscaler shop/web", "spec.maxReplicas")),
        (15, fail("HorizontalPodAutoscaler shop/web", "spec.maxReplicas")),
        (19, passed("HorizontalPodAutoscaler shop/web")),
    ],
)
def test_an_autoscaler_whose_maximum_does_not_fit(limit: int, expected: Outcome) -> None:
    text = quota(f"limits.cpu: {limit}") + deployment(CPUS) + autoscaler(3, 15)
    assert outcomes("autoscaler-maximum-exceeds-quota", text) == {expected}


def test_what_others_need_at_the_maximum_may_not_be_known() -> None:
    """Although it is known that another workload cannot be rolled out then."""
    rolled = "replicas: 3\n  strategy: {rollingUpdate: {maxSurge: 100%}}"
    other = deployment(spec=rolled, name="other")
    job = """
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: job, namespace: shop}
spec: {jobTemplate: {spec: {template: {spec: {containers: [{name: a}]}}}}}
"""
    web = deployment(spec="strategy: {type: Recreate}") + autoscaler(1, 4)
    about = "HorizontalPodAutoscaler shop/web"
    rule = "autoscaler-maximum-exceeds-quota"
    # 4 and 3 are needed, 3 more while the other one is rolled out; and a run of the job, at least.
    assert outcomes(rule, quota("pods: 9") + web + other) == {passed(about)}
    assert outcomes(rule, quota("pods: 9") + web + other + job) == {Outcome("not-judged", about, "unknown-demand")}
    assert outcomes(rule, quota("pods: 7") + web + other + job) == {fail(about, "spec.maxReplicas")}


def test_claims_that_do_not_fit() -> None:
    text = quota("requests.storage: 500Gi, persistentvolumeclaims: 5")
    assert outcomes("storage-quota-exceeded", text + claim("media", "500Gi")) == {passed(QUOTA)}
    found = each_outcome("storage-quota-exceeded", text + claim("media", "500Gi") + claim("reports", "50Gi"))
    assert set(found) == {
        fail(QUOTA, 'spec.hard["requests.storage"]'),
        fail("PersistentVolumeClaim shop/reports", "spec.resources.requests.storage"),
    }
    assert {one.message for one in found} == {
        "requests.storage: 2 objects need 550Gi (PersistentVolumeClaim shop/media 500Gi; PersistentVolumeClaim"
        " shop/reports 50Gi), ResourceQuota shop/q has 500Gi",
        "requests.storage: needs 50Gi, ResourceQuota shop/q has 0 left of 500Gi",
    }
    # One that does not fit alone is told once.
    alone = each_outcome("storage-quota-exceeded", text + claim("media", "501Gi"))
    assert alone == [fail(QUOTA, 'spec.hard["requests.storage"]')]
    assert outcomes("storage-quota-exceeded", text + claim("media", "1Gi") + APPLICATION) == {unknown(QUOTA)}
    # Other resources of the same quota are other rules' business.
    assert outcomes("quota-exceeded-at-rest", text + claim("media", "501Gi")) == set()


@pytest.mark.parametrize(
    ("size", "percent", "expected"),
    [
        ("500Gi", 0, fail(QUOTA, 'spec.hard["requests.storage"]')),
        ("499Gi", 0, passed(QUOTA)),
        ("450Gi", 10, fail(QUOTA, 'spec.hard["requests.storage"]')),
        ("449Gi", 10, passed(QUOTA)),
    ],
)
def test_a_quota_that_is_used_up(size: str, percent: int, expected: Outcome) -> None:
    text = quota("requests.storage: 500Gi") + claim("media", size)
    assert outcomes("quota-without-headroom", text, percent=percent) == {expected}


def test_a_quota_of_nothing_is_not_used_up() -> None:
    assert outcomes("quota-without-headroom", quota("requests.storage: 0, pods: 5")) == {passed(QUOTA)}
    assert outcomes("quota-without-headroom", quota("requests.storage: 1") + claim("a", "2")) == set()
    assert outcomes("quota-without-headroom", quota("pods: 5") + deployment() + APPLICATION) == {unknown(QUOTA)}


# --- containers ---


@pytest.mark.parametrize(
    ("resources", "path"),
    [
        ("{requests: {cpu: 100m}, limits: {cpu: 1}}", None),
        ("{requests: {cpu: 100m}, limits: {cpu: 1001m}}", f"{APP}.limits.cpu"),
        ("{requests: {memory: 1Gi}, limits: {memory: 4Gi}}", None),
        ("{requests: {memory: 1G}, limits: {memory: 4Gi}}", f"{APP}.limits.memory"),
        ("{requests: {cpu: 0}, limits: {cpu: 1}}", f"{APP}.limits.cpu"),
        ("{limits: {cpu: 8}}", None),
        ("{requests: {cpu: 8}}", None),
        ("{requests: {cpu: x}, limits: {cpu: 8}}", None),
    ],
)
def test_a_limit_that_is_a_large_multiple_of_the_request(resources: str, path: str | None) -> None:
    result = scan_text(plan_of(profile_of("limit-to-request-ratio")), deployment(resources))
    assert [finding.path for finding in failing(result)] == ([] if path is None else [path])


def test_a_finding_points_at_the_line_of_the_limit() -> None:
    text = """\
apiVersion: v1
kind: ResourceQuota
metadata: {name: q, namespace: shop}
spec:
  hard:
    pods: 5
    limits.cpu: "1"
""" + deployment(CPUS, "replicas: 2")
    (finding,) = failing(scan_text(plan_of(profile_of("quota-exceeded-at-rest")), text))
    assert (finding.location.start_line, finding.location.start_column) == (7, 17)
    assert [related.location.start_line for related in finding.related] == [17]


@pytest.mark.parametrize(
    ("entry", "resources", "path"),
    [
        ("default: {cpu: 500m}", "{requests: {cpu: 2}}", f"{APP}.requests.cpu"),
        ("default: {cpu: 500m}", "{requests: {cpu: 500m}}", None),
        # With a limit of its own it is given none; that this one is below the request is another rule's finding.
        ("default: {cpu: 500m}", "{requests: {cpu: 2}, limits: {cpu: 1}}", None),
        ("default: {cpu: 500m}", "{limits: {cpu: 2}}", None),
        ("default: {example.com/gpu: 2}", "{requests: {example.com/gpu: 1}}", f'{APP}.requests["example.com/gpu"]'),
        # One finding, at the bound.
        ("max: {cpu: 500m}", "{requests: {cpu: 2}}", f"{APP}.requests.cpu"),
    ],
)
def test_a_request_above_the_limit_that_a_container_is_given(entry: str, resources: str, path: str | None) -> None:
    found = each_outcome("limit-range-violated", limits(f"{{type: Container, {entry}}}") + deployment(resources))
    assert found == [passed(WEB) if path is None else fail(WEB, path)]
    if entry.startswith("default"):
        assert all(one.related == (f"LimitRange shop/limits spec.limits[0].{_entry(entry)}",) for one in found if path)


def test_a_default_limit_above_that_of_the_pod() -> None:
    text = limits("{type: Container, default: {cpu: 2}}") + deployment("{}", pod="resources: {limits: {cpu: 1}}")
    assert outcomes("limit-range-violated", text) == {fail(WEB, f"{APP}.limits.cpu")}
    assert outcomes("limit-range-violated", text.replace("{cpu: 1}", "{cpu: 2}")) == {passed(WEB)}


def _entry(entry: str) -> str:
    resource = entry.partition("{")[2].partition(":")[0]
    return f'default["{resource}"]' if "/" in resource else f"default.{resource}"


CLASSED = "gold.storageclass.storage.k8s.io/persistentvolumeclaims"


def test_a_claim_without_a_class_counts_for_the_default_one() -> None:
    rule = "storage-quota-exceeded"
    text = quota(f"{CLASSED}: 0") + claim("data", "1Gi")
    gold = "---\napiVersion: storage.k8s.io/v1\nkind: StorageClass\nprovisioner: a\nmetadata: {name: gold%s}\n"
    default = gold % ", annotations: {storageclass.kubernetes.io/is-default-class: 'true'}"
    assert outcomes(rule, text + default) == {fail(QUOTA, f'spec.hard["{CLASSED}"]')}
    # Which class is the default is not known, but that this one is not.
    assert outcomes(rule, text) == {unknown(QUOTA)}
    assert outcomes(rule, text + gold % "") == {passed(QUOTA)}
    assert outcomes(rule, text.replace("resources:", "storageClassName: '', resources:")) == {passed(QUOTA)}
    assert outcomes(rule, text.replace("resources:", "storageClassName: tin, resources:") + default) == {passed(QUOTA)}
    two = default + default.replace("name: gold", "name: tin")
    assert outcomes(rule, text + two) == {unknown(QUOTA)}


def test_numbers_of_thousands_of_digits_are_numbers() -> None:
    many = "9" * 5000
    assert outcomes(
        "quota-exceeded-at-rest", quota(f"requests.cpu: '{many}'") + deployment("{requests: {cpu: 1}}")
    ) == {passed(QUOTA)}
    text = quota("requests.cpu: 5") + deployment(f"{{requests: {{cpu: '{many}'}}}}")
    assert outcomes("quota-exceeded-at-rest", text) == {fail(QUOTA, 'spec.hard["requests.cpu"]')}


def test_hundreds_of_limit_ranges_and_quotas_are_quick() -> None:
    text = "".join(deployment("{requests: {cpu: 1}}", name=f"d{number}") for number in range(400))
    text += "".join(
        limits(f"{{type: Container, default: {{cpu: {number + 2}}}}}", f"l{number}") for number in range(400)
    )
    text += "".join(quota("pods: 1000, requests.cpu: 1000, limits.cpu: 1", name=f"q{number}") for number in range(100))
    code = """
import sys
from checks.network_outcomes import outcomes
assert len(outcomes("quota-exceeded-at-rest", sys.stdin.read())) == 100
"""
    run_within_seconds(code, text)
