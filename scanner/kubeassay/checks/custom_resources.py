"""Custom resources held against the definitions that stand beside them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from kubeassay.analysis.custom_resources import JudgedResource, judged_resources
from kubeassay.analysis.structural import ResourceProblem
from kubeassay.checks.check import Context, NotJudged, Passed, Repair, Violation, check
from kubeassay.model import Inventory


@check("custom-resource-field-unknown")
def custom_resource_field_unknown(inventory: Inventory, context: Context) -> Iterator[Violation | Passed | NotJudged]:
    for judged in judged_resources(inventory, context.kubernetes_version.minor):
        yield from _said(judged, "unknown")


@check("custom-resource-invalid")
def custom_resource_invalid(inventory: Inventory, context: Context) -> Iterator[Violation | Passed | NotJudged]:
    for judged in judged_resources(inventory, context.kubernetes_version.minor):
        yield from _said(judged, "invalid")


def _said(judged: JudgedResource, kind: Literal["unknown", "invalid"]) -> Iterator[Violation | Passed | NotJudged]:
    obj, judgement = judged.obj, judged.judgement
    silent = True
    for problem in dict.fromkeys(judgement.problems):
        if problem.kind == kind:
            silent = False
            yield Violation(
                problem.path,
                problem.message,
                key=kind == "unknown",
                # What a field is for is not known: what stands in it may be a secret.
                sensitive=isinstance(obj.get(*problem.path), str) and problem.path[0] not in ("apiVersion", "metadata"),
                obj=obj,
                related=(("the definition", judged.definition.obj, ("spec", "versions")),),
                repair=_repair(judged, problem),
            )
    if not silent:
        return
    if judgement.unjudged is not None:
        yield NotJudged("unsupported", f"{obj.ref}: {judgement.unjudged}", obj)
    elif kind == "unknown" or not judgement.rules:
        # Rules in CEL are not evaluated, so what has some is not said to be valid.
        yield Passed(obj)


def _repair(judged: JudgedResource, problem: ResourceProblem) -> Repair | None:
    key = problem.path[-1]
    if problem.suggestion is not None and isinstance(key, str) and _letters(key) == _letters(problem.suggestion):
        return Repair("rename", problem.path, problem.suggestion)
    value = judged.obj.get(*problem.path)
    if problem.expected == "a string" and isinstance(value, bool | int | float):
        return Repair("quote", problem.path)
    if problem.expected == "true or false" and value in ("true", "false"):
        return Repair("set", problem.path, value == "true")
    return None


def _letters(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()
