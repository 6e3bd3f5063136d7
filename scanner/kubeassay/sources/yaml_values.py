"""What a YAML scalar means to Kubernetes' clients.

They read YAML with sigs.k8s.io/yaml: go-yaml v2's resolution of YAML 1.1 scalars, then a conversion to JSON. PyYAML's own
resolver differs (``0o10``, ``1:30``, ``y``, dates), and each difference would be a way to hide a value from a scan.
Followed: go.yaml.in/yaml/v2 v2.4.4 resolve.go and decode.go; sigs.k8s.io/yaml v1.6.0 yaml.go.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
import struct
from typing import Any, Final

_TRUE = ("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON")
_FALSE = ("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF")
_NULL = ("", "~", "null", "Null", "NULL")

#: Plain scalars with a fixed meaning. The special floats come out of the table of go-yaml, also with a sign.
_WORDS: Final[dict[str, Any]] = {
    **dict.fromkeys(_TRUE, True),
    **dict.fromkeys(_FALSE, False),
    **dict.fromkeys(_NULL, None),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), math.inf),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), -math.inf),
}

_NUMBER_START = frozenset("+-0123456789")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z")
# After a leading dot go-yaml hands the text to Go's ParseFloat, which accepts underscores only in base-prefixed
# literals; what remains are decimal fractions.
_DOT_FLOAT = re.compile(r"\.[0-9]+(?:[eE][-+]?[0-9]+)?\Z")
_INTEGER = re.compile(
    r"(?P<sign>[-+]?)(?:0[xX](?P<hex>[0-9a-fA-F]+)|0[bB](?P<bin>[01]+)|0[oO]?(?P<oct>[0-7]+)|(?P<dec>0|[1-9][0-9]*))\Z"
)
_MAX_UINT64 = 2**64 - 1
_MIN_INT64 = -(2**63)
_MAX_INT64 = 2**63 - 1

TAG_PREFIX = "tag:yaml.org,2002:"


class ScalarError(ValueError):
    """A scalar that Kubernetes' clients refuse. The message is for people."""


def resolve_plain(text: str) -> Any:
    """The JSON value of a plain (unquoted, untagged) scalar.

    Raises ScalarError for ``.inf`` and ``.nan``, which JSON cannot carry.
    """
    if text in _WORDS:
        return _json_number(_WORDS[text], text)
    first = text[0]
    if first in _NUMBER_START:
        return _json_number(_resolve_number(text), text)
    if first == "." and _DOT_FLOAT.match(text):
        return _json_number(float(text), text)
    return text


def resolve_tagged(tag: str, text: str) -> Any:
    """The JSON value of a scalar with an explicit tag. Unknown tags are ignored, and leave a string."""
    short = tag.removeprefix(TAG_PREFIX) if tag.startswith(TAG_PREFIX) else None
    if short == "binary":
        try:
            return base64.b64decode("".join(text.split()), validate=True).decode("utf-8", "replace")
        except (binascii.Error, ValueError) as error:
            raise ScalarError("!!binary value contains invalid base64 data") from error
    if short not in ("str", "bool", "int", "float", "null", "timestamp"):
        return text
    if short == "str":
        return text
    value = _WORDS[text] if text in _WORDS else _resolve_number_or_text(text)
    kind = _kind(value)
    if short == "float" and kind == "int":
        kind = "float"
    if short == "timestamp" and kind == "str":
        return text
    if kind != short:
        raise ScalarError(f"cannot decode {text!r} as a !!{short}")
    return _json_number(value, text)


def key_text(value: Any) -> str:
    """A mapping key as JSON has it: ``y:`` is "true", ``1:`` is "1". Raises ScalarError for null and collections."""
    if isinstance(value, str):
        return value
    if value is True:
        return "true"
    if value is False:
        return "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        # Go formats such keys with 32-bit precision and the shortest digits that read back equal.
        single = struct.unpack("f", struct.pack("f", value))[0] if abs(value) < 3.4e38 else value
        for digits in range(1, 18):
            shortest = f"{single:.{digits}g}"
            if struct.pack("f", float(shortest)) == struct.pack("f", single):
                return shortest
        return repr(single)
    raise ScalarError("a mapping key must be a string, a number or a boolean")


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "int"
    if isinstance(value, float):
        return "float"
    return "str"


def _resolve_number_or_text(text: str) -> Any:
    if text[0] in _NUMBER_START:
        return _resolve_number(text)
    if text[0] == "." and _DOT_FLOAT.match(text):
        return float(text)
    return text


def _resolve_number(text: str) -> Any:
    plain = text.replace("_", "")
    match = _INTEGER.match(plain)
    if match is not None:
        sign = -1 if match["sign"] == "-" else 1
        # Go's ParseUint takes no sign, so a signed number has the range of int64.
        largest = _MAX_INT64 if match["sign"] else _MAX_UINT64
        digits = (match["hex"], 16), (match["bin"], 2), (match["oct"], 8), (match["dec"], 10)
        for group, base in digits:
            if group is not None and len(group) <= 64:
                number = sign * int(group, base)
                if _MIN_INT64 <= number <= largest:
                    return number
    if _FLOAT.match(plain):
        number_or_infinity = float(plain)
        # Go's ParseFloat reports a range error, and the text stays a string.
        if not math.isinf(number_or_infinity):
            return number_or_infinity
    return text


def _json_number(value: Any, text: str) -> Any:
    """A float that JSON writes without a fraction is read back as an integer: ``1e3`` is 1000 to an API server."""
    if not isinstance(value, float):
        return value
    if math.isnan(value) or math.isinf(value):
        raise ScalarError(f"{text} has no JSON form")
    if value.is_integer() and abs(value) < 1e21:
        return int(value)
    return value
