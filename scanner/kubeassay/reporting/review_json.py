"""The review of a change in the JSON form of a result."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

from kubeassay.model import (
    Cause,
    EscalationChange,
    ExposureChange,
    PathChange,
    PermissionChange,
    Review,
    SettingChange,
    Unseen,
    WorkloadChange,
)
from kubeassay.model.review import Change, Direction, SettingKind, Side, State
from kubeassay.reporting.json_nodes import Node, read_location, read_object
from kubeassay.reporting.result_json import location_as_json, object_as_json

_SIDES = get_args(Side)
_STATES = get_args(State)
_DIRECTIONS = get_args(Direction)
_SETTINGS = get_args(SettingKind)


def review_as_json(review: Review) -> dict[str, Any]:
    """A review with all that it knows. ``change`` of a path is made of its states."""
    return {
        "complete": review.complete,
        "paths": [
            {
                "change": path.change,
                "was": path.was,
                "now": path.now,
                "sources": path.sources,
                "destinations": path.destinations,
                "connections": path.connections,
                "causes": _causes(path.causes),
                **_environments(path),
            }
            for path in review.paths
        ],
        "workloads": [
            {
                "change": one.change,
                "workload": one.workload,
                "ingress": one.ingress,
                "egress": one.egress,
                "location": location_as_json(one.location),
                **_environments(one),
            }
            for one in review.workloads
        ],
        "permissions": [
            {
                "change": one.change,
                "subject": one.subject,
                "namespace": one.namespace,
                "permissions": one.permissions,
                "uncertain": one.uncertain,
                "causes": _causes(one.causes),
                **_environments(one),
            }
            for one in review.permissions
        ],
        "escalations": [
            {
                "change": one.change,
                "subject": one.subject,
                "was": one.was,
                "now": one.now,
                "steps": one.steps,
                "causes": _causes(one.causes),
                **_environments(one),
            }
            for one in review.escalations
        ],
        "exposures": [
            {
                "change": one.change,
                "kind": one.kind,
                "text": one.text,
                "workloads": one.workloads,
                "ports": one.ports,
                "public": one.public,
                "causes": _causes(one.causes),
                **_environments(one),
            }
            for one in review.exposures
        ],
        "settings": [
            {
                "kind": one.kind,
                "direction": one.direction,
                "subjects": one.subjects,
                "was": one.was,
                "now": one.now,
                "causes": _causes(one.causes),
                **_environments(one),
            }
            for one in review.settings
        ],
        "unseen": [{"side": one.side, "text": one.text, "unread": one.unread} for one in review.unseen],
    }


def _environments(one: Change) -> dict[str, Any]:
    # What all environments have does not say so.
    return {"environments": one.environments} if one.environments else {}


def _causes(causes: Sequence[Cause]) -> list[dict[str, Any]]:
    return [
        {
            "side": cause.side,
            "effect": cause.effect,
            "text": cause.text,
            "object": None if cause.object is None else object_as_json(cause.object),
            "location": None if cause.location is None else location_as_json(cause.location),
        }
        for cause in causes
    ]


def read_review(node: Node) -> Review:
    """What :func:`review_as_json` writes. Raises ValueError on anything else."""
    return Review(
        paths=node["paths"].tuple_of(_read_path),
        workloads=node["workloads"].tuple_of(_read_workload),
        permissions=node["permissions"].tuple_of(_read_permission),
        escalations=node["escalations"].tuple_of(_read_escalation),
        exposures=node["exposures"].tuple_of(_read_exposure),
        settings=node["settings"].tuple_of(_read_setting),
        unseen=node["unseen"].tuple_of(
            lambda one: Unseen(one["side"].one_of(_SIDES), one["text"].text(), one["unread"].boolean())
        ),
    )


def _read_path(node: Node) -> PathChange:
    return PathChange(
        node["was"].one_of(_STATES),
        node["now"].one_of(_STATES),
        node["sources"].texts(),
        node["destinations"].texts(),
        node["connections"].text(),
        _read_causes(node),
        environments=_read_environments(node),
    )


def _read_workload(node: Node) -> WorkloadChange:
    return WorkloadChange(
        node["change"].one_of(("added", "removed")),
        node["workload"].text(),
        node["ingress"].text(),
        node["egress"].text(),
        read_location(node["location"]),
        environments=_read_environments(node),
    )


def _read_permission(node: Node) -> PermissionChange:
    return PermissionChange(
        node["change"].one_of(("gained", "lost")),
        node["subject"].text(),
        node["namespace"].text_or_none(),
        node["permissions"].texts(),
        _read_causes(node),
        node["uncertain"].text(),
        environments=_read_environments(node),
    )


def _read_escalation(node: Node) -> EscalationChange:
    return EscalationChange(
        node["change"].one_of(("opened", "closed")),
        node["subject"].text(),
        node["was"].text(),
        node["now"].text(),
        node["steps"].texts(),
        _read_causes(node),
        environments=_read_environments(node),
    )


def _read_exposure(node: Node) -> ExposureChange:
    return ExposureChange(
        node["change"].one_of(("opened", "closed")),
        node["kind"].text(),
        node["text"].text(),
        node["workloads"].texts(),
        node["ports"].text(),
        node["public"].optional(Node.boolean),
        _read_causes(node),
        environments=_read_environments(node),
    )


def _read_setting(node: Node) -> SettingChange:
    return SettingChange(
        node["kind"].one_of(_SETTINGS),
        node["direction"].one_of(_DIRECTIONS),
        node["subjects"].texts(),
        node["was"].text(),
        node["now"].text(),
        _read_causes(node),
        environments=_read_environments(node),
    )


def _read_environments(node: Node) -> tuple[str, ...]:
    return node.tuple_where_given("environments", Node.text)


def _read_causes(node: Node) -> tuple[Cause, ...]:
    return node["causes"].tuple_of(
        lambda one: Cause(
            one["side"].one_of(_SIDES),
            one["effect"].text(),
            one["text"].text(),
            one["object"].optional(read_object),
            one["location"].optional(read_location),
        )
    )
