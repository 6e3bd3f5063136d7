"""Pod templates: where they are found, what they hold, and where pods are made that nothing tells of."""

from __future__ import annotations

import pytest

from kit import objects_in, plan_of, scan_text
from kubeassay.analysis.workloads import TEMPLATE_PATHS, operator_pods, pod_templates
from kubeassay.model import format_path, parse_path

SPEC = (
    "{initContainers: [{name: a, image: x}, {name: b, image: x, restartPolicy: Always}],"
    " containers: [{name: c, image: x}], ephemeralContainers: [{name: d, image: x}]}"
)
TEMPLATE = f"{{metadata: {{labels: {{a: b}}}}, spec: {SPEC}}}"


def nested(path: tuple[object, ...], value: str) -> str:
    for step in reversed(path):
        value = f"{{{step}: {value}}}"
    return value[1:-1]


@pytest.mark.parametrize(("kind", "path"), TEMPLATE_PATHS.items(), ids=lambda value: "/".join(map(str, value)))
def test_built_in_kinds_have_their_template_where_kubernetes_has_it(
    kind: tuple[str, str], path: tuple[str, ...]
) -> None:
    version = f"{kind[0]}/v1" if kind[0] else "v1"
    text = f"apiVersion: {version}\nkind: {kind[1]}\n"
    text += f"metadata: {{name: a}}\nspec: {SPEC}\n" if not path else nested(path, TEMPLATE) + "\n"
    (template,) = pod_templates(objects_in(text)[0])
    assert (template.path, template.built_in) == (path, True)
    assert [(c.type, c.name, format_path(c.path[-2:])) for c in template.containers] == [
        ("init", "a", "initContainers[0]"),
        ("sidecar", "b", "initContainers[1]"),
        ("container", "c", "containers[0]"),
        ("ephemeral", "d", "ephemeralContainers[0]"),
    ]


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        (f"apiVersion: argoproj.io/v1alpha1\nkind: Rollout\nspec: {{template: {TEMPLATE}}}", {"spec.template"}),
        (f"apiVersion: serving.knative.dev/v1\nkind: Service\nspec: {{template: {TEMPLATE}}}", {"spec.template"}),
        (
            f"apiVersion: apps.openshift.io/v1\nkind: DeploymentConfig\nspec: {{template: {TEMPLATE}}}",
            {"spec.template"},
        ),
        (
            f"apiVersion: a.example/v1\nkind: Two\nspec: {{x: [{{template: {TEMPLATE}}}], z: {SPEC}}}",
            {"spec.x[0].template", "spec.z"},
        ),
        (f"apiVersion: v1\nkind: Service\nspec: {{template: {TEMPLATE}}}", set()),
        ("apiVersion: a.example/v1\nkind: A\nspec: {containers: [a, b]}", set()),
        ("apiVersion: a.example/v1\nkind: A\nspec: {containers: {type: array}}", set()),
        (
            "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\n"
            "spec: {schema: {containers: [{name: a}]}}",
            set(),
        ),
    ],
)
def test_a_custom_resource_is_searched_by_shape(text: str, paths: set[str]) -> None:
    assert {format_path(t.path) for t in pod_templates(objects_in(text)[0])} == paths


def test_a_configured_path_adds_to_what_the_shape_gives_away() -> None:
    (obj,) = objects_in(f"apiVersion: a.example/v1\nkind: A\nspec: {{one: {{template: {TEMPLATE}}}, two: {SPEC}}}")
    found = pod_templates(obj, {("a.example", "A"): (parse_path("spec.two"),)})
    assert [format_path(t.spec_path) for t in found] == ["spec.two", "spec.one.template.spec"]


@pytest.mark.parametrize(
    ("spec", "paths"),
    [
        # A compliant list of containers beside, above or below the real template hides nothing.
        (f"{{containers: [{{name: a}}], template: {TEMPLATE}}}", {"spec", "spec.template.spec"}),
        (f"{{containers: [{{name: a}}], x: {{template: {TEMPLATE}}}}}", {"spec", "spec.x.template.spec"}),
        (f"{{spec: {{containers: [{{name: a}}], template: {TEMPLATE}}}}}", {"spec.spec", "spec.spec.template.spec"}),
        # A pod template of which an operator fills in the rest.
        ("{podTemplate: {spec: {initContainers: [{name: a}], hostNetwork: true}}}", {"spec.podTemplate.spec"}),
        ("{template: {spec: {containers: [null, {image: a}]}}}", {"spec.template.spec"}),
    ],
)
def test_nothing_hides_a_template(spec: str, paths: set[str]) -> None:
    (obj,) = objects_in(f"apiVersion: a.example/v1\nkind: A\nspec: {spec}")
    assert {format_path(t.spec_path) for t in pod_templates(obj)} == paths


def test_patterns_of_policies_are_no_pods() -> None:
    text = (
        "apiVersion: kyverno.io/v1\nkind: ClusterPolicy\n"
        "spec: {rules: [{validate: {pattern: {spec: {containers: [{name: '*', image: '*:*'}], hostPID: true}}}}]}"
    )
    (obj,) = objects_in(text)
    assert pod_templates(obj) == ()
    assert operator_pods(obj, ()) is None


def test_exemptions_do_not_hold_in_custom_resources() -> None:
    spec = "{os: {name: windows}, hostUsers: false, containers: [{name: a}]}"
    (custom,) = objects_in(f"apiVersion: a.example/v1\nkind: A\nspec: {spec}")
    (pod,) = objects_in(f"apiVersion: v1\nkind: Pod\nmetadata: {{name: a}}\nspec: {spec}")
    assert [(t.windows, t.user_namespace) for o in (custom, pod) for t in pod_templates(o)] == [
        (False, False),
        (True, True),
    ]


@pytest.mark.parametrize(
    ("text", "sign"),
    [
        ("apiVersion: monitoring.coreos.com/v1\nkind: Prometheus\nspec: {image: a}", "spec.image"),
        ("apiVersion: tekton.dev/v1\nkind: Task\nspec: {steps: [{name: a, image: b}]}", "spec.steps[0].image"),
        (
            "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nspec: {templates: [{container: {image: a}}]}",
            "spec.templates[0].container.image",
        ),
        (
            "apiVersion: kafka.strimzi.io/v1\nkind: Kafka\nspec: {kafka: {template: {pod: {}}}}",
            "spec.kafka.template.pod",
        ),
        (f"apiVersion: argoproj.io/v1alpha1\nkind: Rollout\nspec: {{template: {TEMPLATE}}}", None),
        (f"apiVersion: a.example/v1\nkind: A\nspec: {{template: {TEMPLATE}, image: a}}", "spec.image"),
        ("apiVersion: argoproj.io/v1alpha1\nkind: Application\nspec: {source: {kustomize: {images: [a]}}}", None),
        ("apiVersion: v1\nkind: ConfigMap\ndata: {image: a}", None),
        ("apiVersion: kubevirt.io/v1\nkind: VM\nspec: {volumes: [{hostPath: {path: /}}]}", "spec.volumes[0].hostPath"),
        ("apiVersion: a.example/v1\nkind: A\nspec: {hostNetwork: true}", "spec.hostNetwork"),
        ("apiVersion: a.example/v1\nkind: A\nspec: {hostNetwork: false, privileged: null}", None),
    ],
)
def test_pods_that_an_operator_makes_in_its_own_way_are_noticed(text: str, sign: str | None) -> None:
    (obj,) = objects_in(text)
    found = operator_pods(obj, pod_templates(obj))
    assert (None if found is None else format_path(found)) == sign
    reasons = {n.reason for n in scan_text(plan_of("pss-baseline"), text).not_evaluated}
    assert ("unsupported" in reasons) == (sign is not None)
