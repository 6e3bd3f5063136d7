"""Manifest against cluster: what is the same field, and what says the same."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kubeassay.analysis.declared import declared_path, differences, equal
from kubeassay.model import format_path, parse_path


def of(text: str) -> dict[str, Any]:
    value: dict[str, Any] = yaml.safe_load(text)
    return value


def changed(declared: str, live: str) -> set[str]:
    return {format_path(difference.path) for difference in differences(of(declared), of(live))}


@pytest.mark.parametrize(
    ("declared", "live"),
    [
        # What a server adds.
        ("spec: {replicas: 1}", "spec: {replicas: 1, paused: true}\nstatus: {}"),
        ("spec: {ports: [{port: 80}]}", "spec: {ports: [{port: 80, protocol: TCP, targetPort: 80}]}"),
        ("spec: {containers: [{name: a}]}", "spec: {containers: [{name: a, imagePullPolicy: Always}, {name: proxy}]}"),
        ("spec: {tolerations: [{key: a}]}", "spec: {tolerations: [{key: b}, {key: a, operator: Equal}]}"),
        ("metadata: {labels: {a: b}}", "metadata: {labels: {a: b, c: d}, uid: x}"),
        # What it does not store, because its absence says the same.
        ("spec: {hostNetwork: false, nodeName: '', volumes: [], securityContext: {}, a: null}", "spec: {}"),
        ("spec: {securityContext: {seLinuxOptions: {level: ''}}}", "spec: {}"),
        ("roleRef: {apiGroup: '', name: a}", "roleRef: {apiGroup: rbac.authorization.k8s.io, name: a}"),
        # What it writes otherwise.
        ("spec: {hard: {cpu: 2, memory: 1024Mi}}", "spec: {hard: {cpu: 2000m, memory: 1Gi}}"),
        ("spec: {resources: {limits: {cpu: 0.5}}}", "spec: {resources: {limits: {cpu: 500m}}}"),
        # In another order.
        (
            "spec: {containers: [{name: a, x: 1}, {name: b, x: 2}]}",
            "spec: {containers: [{name: b, x: 2}, {name: a, x: 1}]}",
        ),
        ("rules: [{verbs: [get, list]}, {verbs: [watch]}]", "rules: [{verbs: [watch]}, {verbs: [list, get]}]"),
        (
            "spec: {ports: [{port: 53, protocol: UDP}, {port: 53}]}",
            "spec: {ports: [{port: 53, protocol: TCP}, {port: 53, protocol: UDP}]}",
        ),
        # Whose it is not.
        (
            "status: {a: 1}\nmetadata: {creationTimestamp: null, resourceVersion: '7'}",
            "metadata: {resourceVersion: '8'}",
        ),
    ],
)
def test_what_is_no_difference(declared: str, live: str) -> None:
    assert changed(declared, live) == set()


@pytest.mark.parametrize(
    ("declared", "live", "paths"),
    [
        ("spec: {replicas: 1}", "spec: {replicas: 2}", {"spec.replicas"}),
        ("spec: {replicas: 0}", "spec: {}", {"spec.replicas"}),
        ("spec: {a: {allowPrivilegeEscalation: false}}", "spec: {a: {}}", {"spec.a.allowPrivilegeEscalation"}),
        ("spec: {a: {allowPrivilegeEscalation: false}}", "spec: {}", {"spec.a"}),
        ("spec: {hostNetwork: false}", "spec: {hostNetwork: true}", {"spec.hostNetwork"}),
        (
            "spec: {volumes: [{name: a, emptyDir: {}}]}",
            "spec: {volumes: [{name: a, hostPath: {path: /}}]}",
            {"spec.volumes[0].emptyDir"},
        ),
        ("spec: {containers: [{name: a}, {name: b}]}", "spec: {containers: [{name: b}]}", {"spec.containers[0]"}),
        (
            "spec: {containers: [{name: a, image: x}]}",
            "spec: {containers: [{name: b}, {name: a, image: y}]}",
            {"spec.containers[0].image"},
        ),
        # A rule, a peer or a verb more widens what is declared.
        ("rules: [{verbs: [get]}]", "rules: [{verbs: [get, list]}]", {"rules[0].verbs"}),
        ("rules: [{verbs: [get]}]", "rules: [{verbs: [get]}, {verbs: [list]}]", {"rules"}),
        (
            "spec: {ingress: [{from: [{a: b}], ports: [{port: 1}]}]}",
            "spec: {ingress: [{from: [{a: b}], ports: [{port: 1}, {port: 2}]}]}",
            {"spec.ingress[0].ports"},
        ),
        ("rules: [{a: 1}, {a: 2}]", "rules: [{a: 3}, {a: 4}]", {"rules[0]", "rules[1]"}),
        ("spec: {args: [a, b]}", "spec: {args: [b, a]}", {"spec.args"}),
        ("spec: {storageClassName: ''}", "spec: {storageClassName: a}", {"spec.storageClassName"}),
        ("spec: {env: [{name: a, value: ''}]}", "spec: {env: [{name: a, value: b}]}", {"spec.env[0].value"}),
        # Texts are no quantities.
        ("spec: {env: [{name: a, value: '1'}]}", "spec: {env: [{name: a, value: 1000m}]}", {"spec.env[0].value"}),
        ("metadata: {labels: {limits: '1'}}", "metadata: {labels: {limits: 1000m}}", {"metadata.labels.limits"}),
        ("metadata: {labels: {a: b}}", "metadata: {}", {"metadata.labels.a"}),
        ("data: {a: '1'}", "data: {a: '2'}", {"data.a"}),
    ],
)
def test_what_is_a_difference(declared: str, live: str, paths: set[str]) -> None:
    assert changed(declared, live) == paths


@pytest.mark.parametrize(
    ("live", "declared", "path", "there"),
    [
        ("spec: {a: 1}", "spec: {a: 1}", "spec.a", "spec.a"),
        ("spec: {}", "spec: {}", "spec.a.b", "spec.a.b"),
        (
            "c: {containers: [{name: x}, {name: y}]}",
            "c: {containers: [{name: y}]}",
            "c.containers[1].image",
            "c.containers[0].image",
        ),
        ("c: {containers: [{name: x}, {name: y}]}", "c: {containers: [{name: y}]}", "c.containers[0].image", None),
        ("c: {containers: [{name: x}]}", "c: {}", "c.containers[0].image", "c.containers[0].image"),
        # Members without a key are those that say the same.
        ("i: [{p: 1, q: 2}, {p: 3}]", "i: [{p: 3}, {p: 1}]", "i[0].p", "i[1].p"),
        ("args: [a, b]", "args: [b, a]", "args[0]", "args[1]"),
        ("args: [a, a]", "args: [a, a]", "args[1]", "args[1]"),
        ("i: [{p: 1}]", "i: [{p: 2}]", "i[0].p", None),
    ],
)
def test_a_field_is_found_in_the_manifest(live: str, declared: str, path: str, there: str | None) -> None:
    found = declared_path(of(live), of(declared), parse_path(path))
    assert found == (None if there is None else parse_path(there))


_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(0, 3) | st.sampled_from(("", "a", "1", "1000m")),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(("containers", "env", "name", "limits", "ports", "port", "verbs")), inner, max_size=3
        )
    ),
    max_leaves=12,
)


# A busy machine draws slowly.
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(_values)
def test_everything_is_what_it_is(value: Any) -> None:
    assert equal(value, value, ("spec",)) or not isinstance(value, dict | list)
    assert list(differences({"spec": value}, {"spec": value})) == []


def test_long_lists_in_another_order_end() -> None:
    members = [{"a": number} for number in range(3_000)]
    found = list(differences({"rules": members}, {"rules": members[::-1]}))
    assert [difference.path for difference in found] == [("rules",)]
    assert list(differences({"rules": members}, {"rules": members})) == []
