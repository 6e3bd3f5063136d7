"""What a cluster's objects are judged at, and what is said of those that were not judged."""

from __future__ import annotations

from typing import Any

import pytest

from kit import plan_of, profile_of
from kubeassay.execution.audit import audit, wanted
from kubeassay.sources.snapshot import Snapshot, live_file


@pytest.mark.parametrize(
    ("status", "is_said"),
    [
        ({}, True),
        ({"active": 1}, True),
        ({"conditions": [{"type": "Suspended", "status": "True"}]}, True),
        ({"conditions": [{"type": "Failed", "status": "False"}]}, True),
        (
            {"conditions": [{"type": "SuccessCriteriaMet", "status": "True"}, {"type": "Complete", "status": "True"}]},
            False,
        ),
        ({"conditions": [{"type": "Failed", "status": "True"}]}, False),
    ],
)
def test_a_job_that_may_go_on_drifts(status: dict[str, Any], is_said: bool) -> None:
    def template(image: str) -> dict[str, Any]:
        return {"template": {"spec": {"containers": [{"name": "app", "image": image}]}}}

    reference = {"apiVersion": "batch/v1", "kind": "CronJob", "name": "n", "uid": "1", "controller": True}
    objects: list[dict[str, Any]] = [
        {"kind": "CronJob", "metadata": {"name": "n", "uid": "1"}, "spec": {"jobTemplate": {"spec": template("a:1")}}},
        {"kind": "Job", "metadata": {"name": "n-1", "ownerReferences": [reference]}, "spec": template("b:1")},
    ]
    objects[1]["status"] = status
    for obj in objects:
        obj["apiVersion"] = "batch/v1"
        obj["metadata"]["namespace"] = "shop"
    plan = plan_of(profile_of("allow-privilege-escalation"))
    files = dict(live_file("c", obj) for obj in objects)
    found = audit(plan, Snapshot("c", "v1.33.1", files=files, asked=tuple(wanted(plan).kinds)))
    assert [n.reason for n in found.not_evaluated] == ["drift"] * is_said
