"""Whether the values that baselines and profiles set for the parameters of rules are of the form that these state.

A value of another form would switch a rule off without a word (a text is a list of its letters, none of which is a
namespace), or end in the middle of a check.
"""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from kubeassay.analysis.network.connections import addresses, read_ports
from kubeassay.analysis.quantity import parse_quantity
from kubeassay.checks.documented_object import is_path
from kubeassay.policy.errors import PolicyError

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

_TYPES: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
    "string": ("a text", lambda value: isinstance(value, str)),
    # To Python, true is a number.
    "integer": ("a whole number", lambda value: isinstance(value, int) and not isinstance(value, bool)),
    "number": ("a number", lambda value: isinstance(value, int | float) and not isinstance(value, bool)),
    "boolean": ("true or false", lambda value: isinstance(value, bool)),
    "array": ("a list", lambda value: isinstance(value, list)),
    "object": ("a mapping", lambda value: isinstance(value, dict)),
    "any": ("a value", lambda value: True),
}

#: Names of namespaces are DNS labels, so nothing else can match one.
_NAMESPACES = re.compile(r"[a-z0-9*?!\[\]-]+\Z")
_WORKLOADS = re.compile(r"[a-z0-9*?-]+(/[a-z0-9.*?-]+(\[[A-Za-z0-9*?]+\](#\S+)?)?)?\Z")
_SUBJECT = re.compile(r"((User|Group) .+|ServiceAccount [a-z0-9-]+/[a-z0-9.-]+)\Z", re.DOTALL)


def _is_ports(text: str) -> bool:
    return read_ports(text) is not None


def _is_cidr(text: str) -> bool:
    return addresses(text) is not None


def _is_quantity(text: str) -> bool:
    return parse_quantity(text) is not None


def _is_date(text: str) -> bool:
    try:
        return datetime.date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


#: What JSON Schema has no words for: the formats of a rule's own, what they are called, and what they take.
FORMATS: Mapping[str, tuple[str, Callable[[str], bool]]] = {
    "cidr": ("an address or a CIDR", _is_cidr),
    "date": ("a date, as 2026-11-24", _is_date),
    "namespaces": ("the name of a namespace, or a pattern of such", lambda text: bool(_NAMESPACES.match(text))),
    "workloads": (
        "a namespace, namespace/name or namespace/name[Kind], with shell wildcards",
        lambda text: bool(_WORKLOADS.match(text)),
    ),
    "field-path": ('a path of a field, as spec.hard["requests.cpu"]', is_path),
    "path-end": (
        "internet, dns, a CIDR, or a namespace, namespace/name or namespace/name[Kind], with shell wildcards",
        lambda text: _is_cidr(text) or bool(_WORKLOADS.match(text)),
    ),
    "ports": ("a port, as 8080, 8000-8080 or 53/UDP", _is_ports),
    "quantity": ("a quantity, as 500m or 2Gi", _is_quantity),
    "subject": (
        'a subject, as "Group admins", "User alice" or "ServiceAccount namespace/name"',
        lambda text: bool(_SUBJECT.match(text)),
    ),
}


def parameter_problem(type_name: str, schema: Mapping[str, Any], value: Any) -> str | None:
    """What is wrong with the value of a parameter: None where nothing is."""
    what, fits = _TYPES[type_name]
    if not fits(value):
        return f"{_shown(value)} is not {what}"
    try:
        # As the plan does it: a date, or keys of several types, are nothing that a rule can be given.
        value = json.loads(json.dumps(value, sort_keys=True, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        return f"is nothing that JSON can say: {error}"
    return _schema_problem(schema, value) if schema else None


def _schema_problem(schema: Mapping[str, Any], value: Any) -> str | None:
    # Imported here: jsonschema takes longer to import than a small scan takes.
    import referencing.exceptions
    from jsonschema import Draft202012Validator, FormatChecker
    from jsonschema.exceptions import best_match

    from kubeassay.policy.validation import registry

    formats = FormatChecker(formats=())
    for name, (_, fits) in FORMATS.items():
        formats.checks(name)(lambda text, fits=fits: not isinstance(text, str) or fits(text))
    validator = Draft202012Validator(dict(schema), registry=registry(), format_checker=formats)
    try:
        error = best_match(validator.iter_errors(value))
    except referencing.exceptions.Unresolvable as error:
        raise PolicyError(f"a schema names another that there is not: {error}") from None
    return None if error is None else _message(error)


def _message(error: ValidationError) -> str:
    # Here, not above: the library imports this module.
    from kubeassay.policy.library import suggestion
    from kubeassay.policy.validation import wants

    text = error.message
    value: Any = error.instance
    wanted: Any = error.validator_value
    if error.validator == "format":
        text = f"{_shown(value)} is not {FORMATS[wanted][0]}"
    elif error.validator == "additionalProperties" and isinstance(error.schema, Mapping):
        known = error.schema.get("properties", {})
        unknown = next((key for key in value if key not in known), "")
        text = f"there is no {unknown} here{suggestion(unknown, known)}: {', '.join(known)}"
    elif error.validator == "required":
        text = f"{', '.join(name for name in wanted if name not in value)} is missing"
    elif wants(error):
        text = f"needs one of {', '.join(wants(error))}"
    elif error.validator == "type":
        types = wanted if isinstance(wanted, list) else [wanted]
        text = f"{_shown(value)} is not {' or '.join(_TYPES[name][0] for name in types if name in _TYPES)}"
    where = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in error.absolute_path)
    return f"{where.lstrip('.')}: {text}" if where else text


def _shown(value: Any) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 80 else f"{text[:77]}..."
