"""Node selectors, node affinity, taints and tolerations, against the scheduler's own helpers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kit import answered, go_program, objects_in
from kubeassay.analysis.platform.node_groups import clusters
from kubeassay.analysis.platform.scheduling import placement
from kubeassay.model import Inventory


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return go_program("upstream_kubernetes", "./scheduling", tmp_path_factory.mktemp("scheduling"))


KEYS = st.sampled_from(["tier", "disk", "example.com/cores", "bad key", "metadata.name", "kubernetes.io/hostname"])
VALUES = st.sampled_from(["", "a", "b", "5", "6", "10", "-1", "+5", "bad value!", "n1", "9223372036854775808"])
EFFECTS = st.sampled_from(["", "NoSchedule", "PreferNoSchedule", "NoExecute"])


def some(**optional: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=optional)


REQUIREMENTS = st.lists(
    some(
        key=KEYS,
        operator=st.sampled_from(["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt", "Near"]),
        values=st.lists(VALUES, max_size=2),
    ),
    max_size=3,
)
PODS = some(
    nodeSelector=st.dictionaries(KEYS, VALUES, max_size=2),
    tolerations=st.lists(
        some(
            key=st.sampled_from(["", "tier", "disk"]),
            operator=st.sampled_from(["", "Equal", "Exists", "Lt", "Near"]),
            value=VALUES,
            effect=EFFECTS,
        ),
        max_size=3,
    ),
    affinity=st.builds(
        lambda terms: {
            "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
        },
        st.lists(some(matchExpressions=REQUIREMENTS, matchFields=REQUIREMENTS), max_size=3),
    ),
)
LABELS = st.dictionaries(
    st.sampled_from(["tier", "disk", "example.com/cores", "kubernetes.io/hostname"]), VALUES, max_size=3
)
TAINTS = st.lists(
    st.fixed_dictionaries({"key": st.sampled_from(["tier", "disk"]), "value": VALUES, "effect": EFFECTS}), max_size=2
)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(cases=st.lists(st.tuples(PODS, LABELS, TAINTS), min_size=40, max_size=80))
def test_the_scheduler_says_the_same(upstream: Path, cases: list[tuple[Any, Any, Any]]) -> None:
    asked = [
        {
            "pod": {"spec": spec},
            "node": {"metadata": {"name": "n1", "labels": labels}, "spec": {"taints": taints}},
        }
        for spec, labels, taints in cases
    ]
    for one, answer in zip(asked, answered(upstream, asked), strict=True):
        node = {"apiVersion": "v1", "kind": "Node", **one["node"]}
        (cluster,) = clusters(Inventory(objects_in(json.dumps(node))))
        (group,) = cluster.groups
        (shape,) = group.shapes
        pod = placement(one["pod"]["spec"])
        assert pod.selected(shape).fits is answer["selected"], one
        taint = next(pod.untolerated(shape.taints), None)
        assert (str(taint) if taint is not None else "") == answer["untolerated"], one
