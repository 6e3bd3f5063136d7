"""What a YAML scalar means to Kubernetes' clients.

They read YAML with sigs.k8s.io/yaml: go-yaml v2's resolution of YAML 1.1 scalars, then a conversion to JSON. PyYAML's
own resolver differs (``0o10``, ``1:30``, ``y``, dates), and each difference would be a way to hide a value from a scan.
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
# After a leading dot go-yaml hands the text to Go's ParseFloat, which accepts underscores between digits only.
_DOT_FLOAT = re.compile(r"\.[0-9]+(?:_[0-9]+)*(?:[eE][-+]?[0-9]+(?:_[0-9]+)*)?\Z")
_INTEGER = re.compile(
    r"(?P<sign>[-+]?)(?:0[xX](?P<hex>[0-9a-fA-F]+)|0[bB](?P<bin>[01]+)|0[oO]?(?P<oct>[0-7]+)|(?P<dec>0|[1-9][0-9]*))\Z"
)
# go-yaml's own reading of what follows 0b allows a sign there.
_SIGNED_BINARY = re.compile(r"0b(?P<digits>[-+][01]{1,64})\Z")
_TIMESTAMP = re.compile(
    r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}"
    r"(?:[Tt][0-9]{1,2}:[0-9]{1,2}:[0-9]{1,2}(?:[.,][0-9]+)?(?:Z|[-+][0-9]{2}:[0-9]{2})"
    r"|\x20[0-9]{1,2}:[0-9]{1,2}:[0-9]{1,2}(?:[.,][0-9]+)?)?\Z"
)
_MAX_UINT64 = 2**64 - 1
_MIN_INT64 = -(2**63)
_MAX_INT64 = 2**63 - 1

_NOT_UTF8 = re.compile("[\ud800-\udfff]")

TAG_PREFIX = "tag:yaml.org,2002:"


class ScalarError(ValueError):
    """A scalar that Kubernetes' clients refuse. The message never holds the scalar, which may be secret."""


def resolve_plain(text: str) -> Any:
    """The JSON value of a plain (unquoted, untagged) scalar.

    Raises ScalarError for ``.inf`` and ``.nan``, which JSON cannot carry.
    """
    return _json_number(_plain(text))


def resolve_tagged(tag: str, text: str) -> Any:
    """The JSON value of a scalar with an explicit tag. Unknown tags are ignored, and leave a string."""
    return _json_number(_tagged(tag, text))


def plain_key(text: str) -> tuple[str, bool]:
    """A plain scalar as a mapping key, and whether it is a string as a value too: ``y:`` is "true", ``0x1:`` is "1".

    Raises ScalarError for null.
    """
    value = _plain(text)
    return _key_text(value), value.__class__ is str


def tagged_key(tag: str, text: str) -> str:
    """A scalar with an explicit tag as a mapping key. Raises ScalarError as :func:`plain_key` does."""
    return _key_text(_tagged(tag, text))


def _plain(text: str) -> Any:
    """What go-yaml decodes a plain scalar to, before the conversion to JSON."""
    return _WORDS[text] if text in _WORDS else _resolve_number_or_text(text)


def _tagged(tag: str, text: str) -> Any:
    short = tag.removeprefix(TAG_PREFIX) if tag.startswith(TAG_PREFIX) else None
    if short == "binary":
        try:
            content = base64.b64decode(text.replace("\n", "").replace("\r", ""), validate=True)
        except (binascii.Error, ValueError) as error:
            raise ScalarError("!!binary value contains invalid base64 data") from error
        # Go's JSON encoder replaces each byte that is not of UTF-8, one by one.
        return _NOT_UTF8.sub("\ufffd", content.decode("utf-8", "surrogateescape"))
    if short not in ("bool", "int", "float", "null", "timestamp"):
        return text
    value = _plain(text)
    kind = _kind(value)
    if short == "float" and kind == "int" and value <= _MAX_INT64:
        return float(value)
    if short == "timestamp" and kind == "str" and _TIMESTAMP.match(text):
        return text
    if kind != short:
        raise ScalarError(f"a value cannot be decoded as a !!{short}")
    return value


def _key_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        if value > _MAX_INT64:
            raise ScalarError("a number is too large for a mapping key")
        return str(value)
    if isinstance(value, float):
        return _float_key(value)
    raise ScalarError("a mapping key must be a string, a number or a boolean")


def _float_key(value: float) -> str:
    """Go's ``strconv.FormatFloat(value, 'g', -1, 32)``: the shortest digits that give the same 32-bit number."""
    if math.isnan(value):
        return ".nan"
    try:
        single: float = struct.unpack("<f", struct.pack("<f", value))[0]
    except OverflowError:
        single = math.copysign(math.inf, value)
    if math.isinf(single):
        return ".inf" if single > 0 else "-.inf"
    shortest = next(text for text in (f"{single:.{digits}e}" for digits in range(17)) if _as_single(text) == single)
    return repr(float(shortest)).removesuffix(".0") if -4 <= int(shortest.partition("e")[2]) < 6 else shortest


def _as_single(text: str) -> float | None:
    try:
        return struct.unpack("<f", struct.pack("<f", float(text)))[0]  # type: ignore[no-any-return]
    except OverflowError:
        return None


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
    if text[0] == "." and _DOT_FLOAT.match(text) and not math.isinf(float(text)):
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
    signed = _SIGNED_BINARY.match(plain)
    if signed is not None and _MIN_INT64 <= int(signed["digits"], 2) <= _MAX_INT64:
        return int(signed["digits"], 2)
    return text


def _json_number(value: Any) -> Any:
    """A float that JSON writes without a fraction is read back as an integer: ``1e3`` is 1000 to an API server."""
    if not isinstance(value, float):
        return value
    if math.isnan(value) or math.isinf(value):
        raise ScalarError("an infinity, or what is not a number, has no JSON form")
    if value.is_integer() and abs(value) < 1e21:
        # Written with the shortest digits that tell it from other floats, and zeros.
        digits, _, exponent = repr(value).partition("e")
        whole, _, fraction = digits.partition(".")
        return int(whole + fraction) * 10 ** (int(exponent) - len(fraction)) if exponent else int(value)
    return value
