"""Manifests that mean what they say: fields and types as the API server understands them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache

from kubeassay.analysis.fields import (
    FieldProblem,
    has_fields,
    nearest_name,
    problems_of,
)
from kubeassay.analysis.workloads import TEMPLATE_PATHS
from kubeassay.checks.check import Context, NotApplicable, Repair, Violation, check
from kubeassay.model import Object, Path, format_path

#: Fields whose loss weakens a pod. Whatever stands inside a securityContext counts besides.
SECURITY_FIELDS = frozenset(
    {
        "allowPrivilegeEscalation",
        "appArmorProfile",
        "automountServiceAccountToken",
        "capabilities",
        "fsGroup",
        "fsGroupChangePolicy",
        "hostIPC",
        "hostNetwork",
        "hostPID",
        "hostPath",
        "hostPort",
        "hostUsers",
        "privileged",
        "procMount",
        "readOnly",
        "readOnlyRootFilesystem",
        "runAsGroup",
        "runAsNonRoot",
        "runAsUser",
        "runtimeClassName",
        "seLinuxOptions",
        "seccompProfile",
        "securityContext",
        "serviceAccountName",
        "shareProcessNamespace",
        "supplementalGroups",
        "sysctls",
        "windowsOptions",
    }
)


@cache
def _security_field(name: str) -> str | None:
    """The security field that a name spells, rightly or nearly so."""
    if name in SECURITY_FIELDS:
        return name
    return nearest_name(name, sorted(SECURITY_FIELDS))


#: Kinds of which every field decides who may do what.
_SECURITY_KINDS = frozenset({"NetworkPolicy", "Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"})


#: Kinds that have pods besides: of other kinds no field weakens one.
_POD_KINDS = frozenset(kind for _, kind in TEMPLATE_PATHS)


def _concerns_security(problem: FieldProblem, kind: str) -> bool:
    if kind not in _SECURITY_KINDS and kind not in _POD_KINDS:
        return False
    if kind in _SECURITY_KINDS and problem.path[0] != "metadata":
        return True
    if "securityContext" in problem.path[:-1]:
        return True
    meant = (problem.suggestion or problem.found).rpartition(".")[2]
    # A known field of another name is what was meant, however near its name is: hostIP is not hostIPC.
    return meant in SECURITY_FIELDS if problem.suggestion else _security_field(meant) is not None


def _unknown(obj: Object, context: Context) -> Iterator[FieldProblem]:
    for problem in problems_of(obj, context.kubernetes_version.minor):
        # What the system writes back is never read from a manifest.
        if problem.kind == "unknown" and problem.path[0] != "status":
            yield problem


def _unknown_message(problem: FieldProblem) -> str:
    message = f"the API server drops field {problem.found}, which {problem.expected} does not have"
    suggestion = problem.suggestion
    if suggestion is None:
        return message
    if "." in suggestion:
        return f"{message}; it belongs at {suggestion}"
    return f"{message}; the field is called {suggestion}"


def _right_name(problem: FieldProblem) -> Repair | None:
    """What a key should have been called, where only its letters' case, or the marks between its words, are wrong."""
    key, suggestion = problem.path[-1], problem.suggestion
    if not isinstance(key, str) or suggestion is None or _words(key) != _words(suggestion):
        return None
    return Repair("rename", problem.path, suggestion)


def _words(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()


@check("dropped-security-field")
def dropped_security_field(obj: Object, context: Context) -> Iterable[Violation]:
    if not problems_of(obj, context.kubernetes_version.minor):
        return ()
    return [
        Violation(problem.path, _unknown_message(problem), key=True, repair=_right_name(problem))
        for problem in _unknown(obj, context)
        if _concerns_security(problem, obj.ref.kind)
    ]


def _nothing(obj: Object) -> Iterable[NotApplicable]:
    """Of a kind whose fields are not known nothing is said."""
    return () if has_fields(obj.ref.api_version, obj.ref.kind) else (NotApplicable(),)


@check("unknown-field")
def unknown_field(obj: Object, context: Context) -> Iterable[Violation | NotApplicable]:
    if not problems_of(obj, context.kubernetes_version.minor):
        return _nothing(obj)
    return [
        Violation(problem.path, _unknown_message(problem), key=True, repair=_right_name(problem))
        for problem in _unknown(obj, context)
        if not _concerns_security(problem, obj.ref.kind)
    ]


@check("mistyped-field")
def mistyped_field(obj: Object, context: Context) -> Iterable[Violation | NotApplicable]:
    problems = problems_of(obj, context.kubernetes_version.minor)
    if not problems:
        return _nothing(obj)
    return [
        Violation(
            problem.path,
            f"the API server refuses {problem.found} in {format_path(problem.path)}, which takes {problem.expected}",
            sensitive=_may_be_secret(obj, problem.path),
            repair=_right_type(obj, problem),
        )
        for problem in problems
        if problem.kind == "mistyped"
    ]


_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,8}")


def _right_type(obj: Object, problem: FieldProblem) -> Repair | None:
    """A scalar that says what was meant, but not in the field's type."""
    value = obj.get(*problem.path)
    # What a Secret keeps is base64: between quotes it would be something else.
    encoded = obj.ref.kind == "Secret" and problem.path[0] == "data"
    if problem.expected == "a string" and isinstance(value, bool | int | float) and not encoded:
        return Repair("quote", problem.path)
    if problem.expected == "true or false" and value in ("true", "false"):
        return Repair("set", problem.path, value == "true")
    if problem.expected == "an integer" and isinstance(value, str) and _INTEGER.fullmatch(value):
        return Repair("set", problem.path, int(value))
    return None


def _may_be_secret(obj: Object, path: Path) -> bool:
    return obj.ref.kind == "Secret" or "env" in path or "args" in path or "command" in path


@check("duplicate-key")
def duplicate_key(obj: Object, context: Context) -> Iterable[Violation]:
    if not obj.duplicate_keys:
        return ()
    return [
        Violation(
            path,
            f"key {path[-1] if path else ''} stands {_times(len(locations))}; only the last one counts",
            key=True,
        )
        for path, locations in obj.duplicate_keys
    ]


def _times(count: int) -> str:
    return "twice" if count <= 2 else f"{count} times"
