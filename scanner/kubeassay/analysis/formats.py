"""Patterns and formats of strings, as an API server judges them in custom resources.

Formats: k8s.io/apiextensions-apiserver v0.37.1 pkg/apiserver/validation/formats.go, and what is known of the functions
of k8s.io/kube-openapi pkg/validation/strfmt that they name. What these may see otherwise is not decided here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from typing import Any


@lru_cache(maxsize=1)
def _expression() -> Any:
    # Imported here: few scans have a custom resource with a pattern.
    from cel_expr_python import cel

    text = cel.Type.STRING
    return cel.NewEnv(variables={"value": text, "pattern": text}).compile("value.matches(pattern)")


@lru_cache(maxsize=4096)
def matches(pattern: str, value: str) -> bool | None:
    """Whether a pattern matches somewhere in a value; None where RE2 does not understand the pattern."""
    try:
        answer = _expression().eval(data={"value": value, "pattern": pattern}).plain_value()
    except Exception:  # the binding raises whatever RE2 says
        return None
    return answer if isinstance(answer, bool) else None


_DATE = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})\Z")
_TIME = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]+)?(z|[+-][0-9]{2}:[0-9]{2})\Z", re.IGNORECASE)
_UUID = re.compile(r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}\Z", re.IGNORECASE)
_DURATION = re.compile(r"[+-]?(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|ms|s|m|h))+\Z")
_URI = re.compile(r"([a-z][a-z0-9+.-]*://[a-z0-9.-]+(:[0-9]+)?)?(/[\w./~-]*)?\Z", re.IGNORECASE | re.ASCII)
_HOST = re.compile(r"([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*\Z", re.IGNORECASE)
_EMAIL = re.compile(r"[a-z0-9._+-]+@[a-z0-9-]+(\.[a-z0-9-]+)+\Z", re.IGNORECASE)
_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?\Z")


def _date(value: str) -> bool | None:
    from datetime import date

    match = _DATE.match(value)
    if match is None:
        return False
    try:
        date(*(int(part) for part in match.groups()))
    except ValueError:
        return None if match[1] == "0000" else False
    return True


def _date_time(value: str) -> bool | None:
    day, _, time = value.upper().partition("T")
    if not time or _date(day) is False:
        return False
    return True if _TIME.match(time) and _date(day) else None


def _address(kind: type[IPv4Address] | type[IPv6Address]) -> Callable[[str], bool | None]:
    def test(value: str) -> bool | None:
        if ":" in value and "." in value:
            return None
        try:
            kind(value)
        except ValueError:
            return False
        return "%" not in value

    return test


def _surely(pattern: re.Pattern[str]) -> Callable[[str], bool | None]:
    """Of a format that is wider than the pattern."""
    return lambda value: True if len(value) <= 4096 and pattern.match(value) else None


#: Formats that an API server judges by what is not reproduced here.
_UNSURE = (
    "bsonobjectid", "cidr", "creditcard", "hexcolor", "isbn", "isbn10", "isbn13", "k8sshortname", "k8slongname",
    "mac", "rgbcolor", "ssn", "uuid3", "uuid4", "uuid5",
)  # fmt: skip

#: Format, without dashes → whether a value has it; None where that is not certain. An API server ignores the others.
FORMATS: Mapping[str, Callable[[str], bool | None]] = {
    "datetime": _date_time,
    "date": _date,
    "ipv4": _address(IPv4Address),
    "ipv6": _address(IPv6Address),
    "uuid": lambda value: _UUID.match(value) is not None,
    "byte": _surely(_BASE64),
    "duration": _surely(_DURATION),
    "uri": _surely(_URI),
    "hostname": _surely(_HOST),
    "email": _surely(_EMAIL),
    **dict.fromkeys(_UNSURE, lambda value: None),
}
