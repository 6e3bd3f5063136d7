"""Rules as CEL expressions (Common Expression Language, as ValidatingAdmissionPolicy uses it).

Variables of an expression: ``object`` (the whole object); for a rule on pods or containers ``pod`` (the pod spec) and
``metadata`` (that of the pod template); for a rule on containers ``container``; and ``params``. Besides the standard
library: optionals (``.?field.orValue(…)``), strings, ``cel.bind`` and Kubernetes' quantity library.

A quantity is a map with one entry, the exact number as a reduced fraction, so that ``==`` compares by value: the
binding cannot carry opaque types. Semantics of the functions: k8s.io/apiserver pkg/cel/library/quantity.go.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any

from cel_expr_python import cel
from cel_expr_python.ext import ext_bindings, ext_optional, ext_strings

from kubeassay.analysis.quantity import parse_quantity
from kubeassay.checks.check import CheckFunction, ContainerSubject, Context, NotJudged, Violation
from kubeassay.model import Object, Path, Rule, Subject, parse_path
from kubeassay.policy.errors import PolicyError

_TYPE = cel.Type
_QUANTITY = _TYPE.Map(_TYPE.STRING, _TYPE.DYN)
_VARIABLES: Mapping[Subject, tuple[str, ...]] = {
    "object": ("object", "params"),
    "workload": ("object", "params"),
    "namespace": ("object", "params"),
    "pod": ("object", "pod", "metadata", "params"),
    "container": ("object", "pod", "metadata", "container", "params"),
}
_MAX_INT64, _MIN_INT64 = 2**63 - 1, -(2**63)
_COMPILE_ERROR = re.compile(r"ERROR: <input>:(?P<line>\d+):(?P<column>\d+): (?P<message>[^\n]*)")


def _pack(number: Fraction) -> dict[str, str]:
    return {"quantity": f"{number.numerator}/{number.denominator}"}


def _unpack(value: Mapping[str, Any]) -> Fraction:
    text = value.get("quantity")
    if not isinstance(text, str):
        raise ValueError("not a quantity")
    return Fraction(text)


def _quantity(text: str) -> dict[str, str]:
    number = parse_quantity(text)
    if number is None:
        raise ValueError(f"not a quantity: {text}")
    return _pack(number)


def _as_integer(value: Mapping[str, Any]) -> int:
    number = _unpack(value)
    if number.denominator != 1 or not _MIN_INT64 <= number <= _MAX_INT64:
        raise ValueError("the quantity is not a 64-bit integer")
    return int(number)


def _is_integer(value: Mapping[str, Any]) -> bool:
    number = _unpack(value)
    return number.denominator == 1 and _MIN_INT64 <= number <= _MAX_INT64


def _sign(number: Fraction) -> int:
    return (number > 0) - (number < 0)


def _functions() -> list[Any]:
    def member(name: str, result: Any, parameters: tuple[Any, ...], implementation: Any) -> Any:
        types = "_".join("q" if p is _QUANTITY else "int" for p in parameters)
        return cel.Overload(
            f"quantity_{name}_{types}",
            return_type=result,
            parameters=[_QUANTITY, *parameters],
            is_member=True,
            impl=implementation,
        )

    def declared(name: str, *overloads: Any) -> Any:
        return cel.FunctionDecl(name, list(overloads))

    def comparison(name: str, result: Any, compare: Any) -> Any:
        return declared(name, member(name, result, (_QUANTITY,), lambda a, b: compare(_sign(_unpack(a) - _unpack(b)))))

    def arithmetic(name: str, combine: Any) -> Any:
        return declared(
            name,
            member(name, _QUANTITY, (_QUANTITY,), lambda a, b: _pack(combine(_unpack(a), _unpack(b)))),
            member(name, _QUANTITY, (_TYPE.INT,), lambda a, b: _pack(combine(_unpack(a), b))),
        )

    def of_string(name: str, result: Any, implementation: Any) -> Any:
        return declared(
            name,
            cel.Overload(
                f"{name}_string", return_type=result, parameters=[_TYPE.STRING], is_member=False, impl=implementation
            ),
        )

    return [
        of_string("quantity", _QUANTITY, _quantity),
        of_string("isQuantity", _TYPE.BOOL, lambda text: parse_quantity(text) is not None),
        declared("sign", member("sign", _TYPE.INT, (), lambda a: _sign(_unpack(a)))),
        declared("isInteger", member("isInteger", _TYPE.BOOL, (), _is_integer)),
        declared("asInteger", member("asInteger", _TYPE.INT, (), _as_integer)),
        declared("asApproximateFloat", member("asApproximateFloat", _TYPE.DOUBLE, (), lambda a: float(_unpack(a)))),
        comparison("isGreaterThan", _TYPE.BOOL, lambda sign: sign > 0),
        comparison("isLessThan", _TYPE.BOOL, lambda sign: sign < 0),
        comparison("compareTo", _TYPE.INT, lambda sign: sign),
        arithmetic("add", lambda a, b: a + b),
        arithmetic("sub", lambda a, b: a - b),
    ]


def _environment(subject: Subject) -> Any:
    return cel.NewEnv(
        variables=dict.fromkeys(_VARIABLES[subject], _TYPE.DYN),
        extensions=[ext_optional.ExtOptional(), ext_strings.ExtStrings(), ext_bindings.ExtBindings()],
        functions=_functions(),
    )


def _compile(environment: Any, rule: Rule, field: str, expression: str, wanted: Any) -> Any:
    try:
        compiled = environment.compile(expression)
    except RuntimeError as error:
        match = _COMPILE_ERROR.search(str(error))
        where = f"line {match['line']}, column {match['column']}: {match['message']}" if match else str(error)
        raise PolicyError(f"{rule.file}: {field}: {where}") from None
    if compiled.return_type() not in (wanted, _TYPE.DYN):
        raise PolicyError(f"{rule.file}: {field} is not a {wanted.name().lower()}")
    return compiled


class EvaluationError(RuntimeError):
    """An expression that failed on a subject: a mistake of the rule, not a verdict."""


def _evaluate(compiled: Any, rule: Rule, field: str, data: Mapping[str, Any], wanted: type) -> Any:
    try:
        value = compiled.eval(data=data).plain_value()
    except Exception as error:  # the binding raises whatever a function or a conversion raised
        raise EvaluationError(f"{rule.id}: {field}: {error}") from error
    if not isinstance(value, wanted):
        raise EvaluationError(f"{rule.id}: {field}: {value}")
    return value


def expression_check(rule: Rule) -> CheckFunction:
    """The check of a rule that is an expression. Raises PolicyError where the rule cannot be compiled."""
    assert rule.expression is not None
    if rule.subject not in _VARIABLES:
        raise PolicyError(f"{rule.file}: a rule on subject {rule.subject} needs a Python check, not an expression")
    environment = _environment(rule.subject)
    expression = _compile(environment, rule, "expression", rule.expression, _TYPE.BOOL)
    message = (
        _compile(environment, rule, "messageExpression", rule.message_expression, _TYPE.STRING)
        if rule.message_expression
        else None
    )
    try:
        field: Path = parse_path(rule.field) if rule.field else ()
    except ValueError as error:
        raise PolicyError(f"{rule.file}: field: {error}") from None

    def run(subject: Any, context: Context) -> Iterator[Violation | NotJudged]:
        base, data, container = _variables(subject)
        data["params"] = context.parameters
        if _evaluate(expression, rule, "expression", data, bool):
            return
        text = rule.title if message is None else _evaluate(message, rule, "messageExpression", data, str)
        yield Violation(path=(*base, *field), message=text, container=container)

    return run


def _variables(subject: Any) -> tuple[Path, dict[str, Any], str | None]:
    if isinstance(subject, Object):
        return (), {"object": subject.value}, None
    if isinstance(subject, ContainerSubject):
        pod, container = subject.pod, subject.container
        return (
            container.path,
            {"object": pod.obj.value, "pod": pod.spec, "metadata": pod.metadata, "container": container.spec},
            container.name,
        )
    return subject.spec_path, {"object": subject.obj.value, "pod": subject.spec, "metadata": subject.metadata}, None
