"""Where an object holds secret values in the clear: what rules report, and what no report may show.

Detection is by the name of a variable or flag, and by values whose form gives them away. A reference to a secret kept
elsewhere (a file, a ``$(VARIABLE)``, the name of a Secret) is not a secret.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any, Literal

from kubeassay.analysis.workloads import BUILT_IN_GROUPS
from kubeassay.model import Object, Path

#: What made a value a secret: the name that it has, or its own form.
Evidence = Literal["name", "value"]

#: Words of a name (between _, -, . or a change of case) that mean a credential.
_SECRET_WORDS = frozenset(
    """
    PASSWORD PASSWD PASSPHRASE PASSCODE PWD REQUIREPASS SECRET TOKEN APIKEY CREDENTIAL CREDENTIALS
    """.split()  # noqa: SIM905 - words in lines can be read and sorted
)
#: Endings of a last word that mean a credential: PGPASSWORD, SMTP_PASS (but not COMPASS).
_SECRET_ENDINGS = ("PASSWORD", "PASSWD", "APIKEY")
#: Pairs of words that mean a credential together.
_SECRET_PAIRS = frozenset(
    {
        ("API", "KEY"),
        ("PRIVATE", "KEY"),
        ("ACCESS", "KEY"),
        ("ACCOUNT", "KEY"),
        ("AUTH", "KEY"),
        ("ENCRYPTION", "KEY"),
        ("SECRET", "KEY"),
        ("SIGNING", "KEY"),
        ("MASTER", "KEY"),
    }
)
#: Last words of names whose value is about a credential but is none.
_HARMLESS_ENDINGS = frozenset(
    """
    ALGO ALGORITHM ALLOWED AUDIENCE BACKEND CHARACTERS CHARS CLASS COUNT DIR DIRECTORY DISABLED DURATION ENABLE ENABLED
    ENDPOINT ENGINE EXPIRATION EXPIRE EXPIRES EXPIRY FIELD FILE FILENAME FLAG FOLDER FORMAT GENERATOR HEADER HOST ID
    INTERVAL ISSUER KIND LABEL LENGTH LIFETIME LIMIT LOCATION MANAGER MODE MOUNT NAME NAMESPACE NAMES PATH POLICY PORT
    PREFIX PROVIDER QUOTA REF REGION REQUIRED RETRIES ROLE ROTATION SELECTOR SERVICE SINK SIZE STORE STRATEGY SUFFIX
    TIME TIMEOUT TTL TYPE URI URL USERNAME VALIDITY VERSION
    """.split()  # noqa: SIM905
)
#: Last words that mean a credential by themselves, but not together: the key under which a header is found.
_HARMLESS_PAIRS = frozenset({("HEADER", "KEY")})
#: Secrets that are values by themselves: ``--client-secret abc`` names no Secret.
_SECRET_VALUES = frozenset(
    ("API", "APP", "CLIENT", "CONSUMER", "COOKIE", "HMAC", "JWT", "OAUTH", "SESSION", "SHARED", "SIGNING", "WEBHOOK")
)

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")

#: In front of a password: a reference or a text that stands for one is none.
_NO_REFERENCE = r"(?![$<{%*]|#\{)"
_PLACEHOLDER = r"(?i:redacted|placeholder|replace[_-]?me|hidden|masked|x{3,})"
_NO_PLACEHOLDER = rf"(?!{_PLACEHOLDER}(?:[@;&\s]|\Z))"

#: Texts of which it is remembered whether they are secret: longer ones are hardly ever the same.
_SHORT = 64
#: Every form below but URLs and connection strings is at least this long.
_SHORTEST_TOKEN = 14
#: Forms of values that give a credential away: texts of which one must be in the value (a quick look first, for most
#: values are short words, numbers and host names), and the form itself.
_SECRET_FORMS: tuple[tuple[tuple[str, ...], re.Pattern[str]], ...] = (
    (("-----BEGIN ",), re.compile(r"-----BEGIN (?:[A-Z0-9]{1,20} ){0,5}PRIVATE KEY")),
    (("AKIA", "ASIA"), re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b")),
    (("ghp_", "gho_", "ghu_", "ghs_", "ghr_"), re.compile(r"\bgh[pousr]_[A-Za-z0-9]{30,}")),
    (("github_pat_",), re.compile(r"\bgithub_pat_[A-Za-z0-9_]{30,}")),
    (("glpat-",), re.compile(r"\bglpat-[A-Za-z0-9_-]{20,}")),
    (("xox",), re.compile(r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}")),
    (("AIza",), re.compile(r"\bAIza[A-Za-z0-9_-]{35}")),
    (("sk_live_",), re.compile(r"\bsk_live_[A-Za-z0-9]{16,}")),
    # No part of a token begins another attempt: the search is linear.
    (
        ("eyJ",),
        re.compile(r"(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{10,}+\.eyJ[A-Za-z0-9_-]{10,}+\.[A-Za-z0-9_-]{10,}"),
    ),
    # A URL with a password that is no reference: user:$(PASSWORD)@host is none, nor is a port in a list of hosts. The
    # search begins at the colon, for a scheme could begin anywhere.
    (
        ("://",),
        re.compile(rf"(?<=[A-Za-z0-9+.-])://[^\s:/@?#]*+:{_NO_REFERENCE}(?!\d{{1,5}}[,;]){_NO_PLACEHOLDER}[^\s/@]++@"),
    ),
    # ADO.NET, JDBC, libpq, Azure.
    (
        ("assword=", "ASSWORD=", "wd=", "WD=", "AccountKey=", "SharedAccessKey="),
        re.compile(
            rf"(?:^|[;?&\s])(?:password|pwd|AccountKey|SharedAccessKey)={_NO_REFERENCE}{_NO_PLACEHOLDER}[^;&\s]",
            re.IGNORECASE,
        ),
    ),
)

_REFERENCE = re.compile(
    r"\$\([A-Za-z_][\w.-]*\)\Z|\$\{?[A-Za-z_]\w*\}?\Z|<[^>]*>\Z|\{\{.*\}\}\Z|\*+\Z|%[A-Z_]+%\Z|#\{[^}]*\}#?\Z"
)
#: A part that the kubelet fills in.
_EXPANSION = re.compile(r"\$\([A-Za-z_][\w.-]*\)")
_IS_PLACEHOLDER = re.compile(_PLACEHOLDER + r"\Z")
#: The name of a file, with folders or none.
_FILE_NAME = re.compile(
    r"(?:[\w.~-]+[\\/])*+[\w.-]+\."
    r"(?:json|ya?ml|pem|key|crt|cer|der|p12|pfx|jks|txt|conf|cfg|ini|toml|properties|env|gpg|asc|token)\Z",
    re.IGNORECASE,
)
#: What can only be the name of an object: words of letters, joined by dashes; behind its namespace, or not.
_OBJECT_NAME = re.compile(r"(?:[a-z]+(?:-[a-z]+)*/)?[a-z]+(?:-[a-z]+)+\Z|[a-z]+(?:-[a-z]+)*/[a-z]+\Z")
#: What may be the name of an object, behind its namespace or not (DNS-1123).
_DNS_NAME = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?/)?[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?\Z")
_NOT_SECRET = re.compile(
    r"[0-9.]+(?:ms|s|m|h|d)?\Z|true\Z|false\Z|yes\Z|no\Z|none\Z|null\Z|(?:\.{0,2}|~)/[\w./-]*\Z", re.IGNORECASE
)
#: A Windows path or a URL without credentials.
_PLACE = re.compile(r"[A-Za-z]:[\\/]|[a-z][a-z0-9+.-]*://", re.IGNORECASE)


def _words(name: str) -> list[str]:
    """The words of a name in capitals, without a number at its end."""
    words = [word.upper() for word in _WORDS.findall(name)]
    while words and words[-1].isdigit():
        words.pop()
    return words


@lru_cache(maxsize=4096)
def names_secret(name: str) -> bool:
    """Whether a variable or flag of this name holds a credential: DB_PASSWORD, apiKey; not TOKEN_TTL, SECRET_NAME."""
    words = _words(name)
    if not words or words[-1] in _HARMLESS_ENDINGS or tuple(words[-2:]) in _HARMLESS_PAIRS:
        return False
    if not _SECRET_WORDS.isdisjoint(words):
        return True
    if words[-1] == "PASS" or words[-1].endswith(_SECRET_ENDINGS):
        return True
    return any(pair in _SECRET_PAIRS for pair in pairwise(words))


def is_secret_value(value: str) -> bool:
    """Whether a value's form gives a credential away: a private key, a cloud or Git token, a URL with a password."""
    return _short_is_secret(value) if len(value) <= _SHORT else _is_secret_value(value)


def _is_secret_value(value: str) -> bool:
    if len(value) < _SHORTEST_TOKEN and "@" not in value and "=" not in value:
        return False
    for hints, form in _SECRET_FORMS:
        for hint in hints:
            if hint in value and form.search(value) is not None:
                return True
    return False


#: Objects of a cluster say the same again and again.
_short_is_secret = lru_cache(maxsize=16384)(_is_secret_value)


def _could_be_secret(value: str) -> bool:
    """Whether a value under a secret's name can be the secret itself: not a switch, a time, a path or a reference."""
    text = value.strip()
    return bool(
        text
        and _REFERENCE.match(text) is None
        # Digits alone are a time or a count under most names, but a password of four or more is a password.
        and (_NOT_SECRET.match(text) is None or (text.isdigit() and len(text) >= 4))
        and _PLACE.match(text) is None
        and _EXPANSION.search(text) is None
        and _FILE_NAME.match(text) is None
        and _IS_PLACEHOLDER.match(text) is None
    )


def _names_object(name: str, value: str, *, bare: bool = False) -> bool:
    """Whether a value under a secret's name is, by its form, the name of a Secret: KUBECONFIG_SECRET=my-kubeconfig.

    A name that ends in SECRET may mean either. ``bare``: the value follows a flag as an argument of its own, as
    names of objects mostly do (``--secret web``).
    """
    words = _words(name)
    if words == ["PASS"]:
        # A port or a count.
        return value.isdigit()
    if words[-1] != "SECRET":
        return False
    if bare and _SECRET_VALUES.isdisjoint(words):
        return _DNS_NAME.match(value) is not None
    return (bare or len(words) > 1) and _OBJECT_NAME.match(value) is not None


#: Names of whole files, which may hold a credential or none.
_CONFIGURATION = (".yaml", ".yml", ".json", ".ini", ".conf", ".cfg", ".config", ".toml", ".properties", ".xml", ".txt")
#: Endings of keys whose values are in Secrets only because they belong to a credential.
_NO_CREDENTIALS = ("name", "namespace", "user", "address", "host", "port", "ca.crt", "tls.crt", ".pub")
_ASSIGNMENT = re.compile(
    r"(?:password|passwd|passphrase|secret|token|api[_-]?key|private[_-]?key|access[_-]?key)"
    r"[\w.-]{0,64}+[\"']?[ \t]*+[:=>][ \t]*+[\"']?(?![\s$<{%*\"'#;])\S",
    re.IGNORECASE,
)


def holds_credential(key: str, value: Any, *, encoded: bool) -> bool:
    """Whether a value of a Secret is one: not empty, not a placeholder, not encrypted, and no configuration file
    without a credential. ``encoded``: in base64."""
    if not isinstance(value, str):
        return value is not None
    text = value.strip()
    if encoded:
        try:
            text = b64decode(text, validate=False).decode("utf-8").strip()
        except ValueError:
            # Binary, or a placeholder in place of base64: the text itself decides.
            text = value.strip()
    if not text or _REFERENCE.match(text) is not None or text.startswith(("ENC[", "ref+", "vault:", "op://")):
        return False
    if key.lower().endswith(_NO_CREDENTIALS):
        return is_secret_value(text)
    if key.endswith(_CONFIGURATION):
        return is_secret_value(text) or _ASSIGNMENT.search(text) is not None
    return True


def secret_evidence(name: str, value: Any) -> Evidence | None:
    """Why the value of an environment variable is a secret in the clear; None where it is none."""
    if type(value) is int:
        # Kubernetes refuses it, but the digits of a password are there all the same.
        value = str(value)
    if not isinstance(value, str) or not value:
        return None
    if names_secret(name) and _could_be_secret(value) and not _names_object(name, value):
        return "name"
    return "value" if is_secret_value(value) else None


def secret_environment(container: Mapping[str, Any]) -> Iterator[tuple[int, str, Evidence]]:
    """(index, name, evidence) of each variable of a container whose literal value is a secret."""
    variables = container.get("env")
    if not isinstance(variables, list):
        return
    for number, variable in enumerate(variables):
        if not isinstance(variable, dict):
            continue
        value = variable.get("value")
        if value:
            name = variable.get("name")
            name = name if isinstance(name, str) else ""
            evidence = secret_evidence(name, value)
            if evidence is not None:
                yield number, name, evidence


def secret_arguments(container: Mapping[str, Any]) -> Iterator[tuple[str, int, str]]:
    """(field, index, flag) of each item of ``command`` and ``args`` that holds a secret.

    Known are ``--password=value``, ``--password value`` (the value's item is the place) and values whose form gives
    them away, in a script also. The flag is "" for the latter.
    """
    for field in ("command", "args"):
        items = container.get(field)
        if isinstance(items, list):
            for number, flag in _secret_items(items):
                yield field, number, flag


def _secret_items(items: Sequence[Any]) -> Iterator[tuple[int, str]]:
    flag = ""
    for number, item in enumerate(items):
        previous, flag = flag, ""
        if not isinstance(item, str) or not item:
            continue
        if item[0] == "-" and len(item) < 200:
            name, equals, value = item.partition("=")
            if names_secret(name):
                if not equals:
                    flag = name if name.startswith("--") else ""
                    continue
                if _could_be_secret(value) and not _names_object(name, value):
                    yield number, name
                    continue
        elif previous and _could_be_secret(item) and not _names_object(previous, item, bare=True):
            yield number, previous
            continue
        if is_secret_value(item):
            yield number, ""


def config_map_secrets(obj: Object) -> Iterator[tuple[str, Evidence]]:
    """(key, evidence) of each entry of a ConfigMap whose value is a secret in the clear.

    A whole file is judged by the forms that give a credential away, a single value also by the name of its key.
    """
    data = obj.value.get("data")
    if not isinstance(data, dict):
        return
    for key, value in data.items():
        if not isinstance(value, str) or not value:
            continue
        evidence = secret_evidence(key if "\n" not in value.strip() else "", value)
        if evidence is not None:
            yield key, evidence


def sensitive_paths(value: Any) -> list[Path]:
    """The paths of all scalars in a document that are or may be secret.

    More than the rules report: every scalar of a Secret but its type and names; wherever it stands, what has a secret's
    name or form; of a variable or header of a secret's name every field, for a misspelt one holds the value as well.
    Where a null is among them, its key holds the secret (``{password:hunter2}``).
    """
    found: list[Path] = []
    if isinstance(value, dict):
        _search_mapping(value, (), found)
        several: list[Path] = []
        _search_custom(value, (), several)
        if several:
            known = set(found)
            found += (path for path in several if path not in known)
    return found


#: kubectl keeps the whole object, values included, in this annotation.
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
#: Fields whose texts are names.
_NAMES = frozenset({"apiVersion", "kind", "name", "namespace"})
#: Lists whose members pair a name with a value.
_NAMED_VALUES = frozenset({"env", "httpHeaders"})
#: What a variable's reference is made of: names, no values.
_REFERENCE_FIELDS = frozenset(
    {"apiVersion", "containerName", "divisor", "fieldPath", "key", "name", "optional", "path", "resource", "volumeName"}
)
_SECRET_HEADERS = ("authorization", "auth", "cookie", "key", "session", "signature", "token")
_ASSIGNMENT_HINTS = ("pass", "secret", "token", "key")
_SWITCHES = frozenset({"", "true", "false", "yes", "no", "on", "off"})
_KEY_WITH_VALUE = re.compile(r"[^:=]*[:=](?=.)", re.DOTALL)
_MENTION = re.compile(r"pass|pwd|secret|token|credential|auth|key", re.IGNORECASE)
#: An image with user:password in front of its registry.
_DIGEST_AT_END = re.compile(r"[^@]*@[A-Za-z0-9+._-]+:[0-9a-fA-F]*\Z")


#: Last words of keys below a secret's name whose value is none, beside those of :data:`_HARMLESS_ENDINGS`.
_HARMLESS_BELOW = frozenset({"SECONDS", "REFERENCE"})


def has_user(image: str) -> bool:
    """Whether an image's text holds more than a reference in front of an @: a user, perhaps with a password."""
    return "@" in image and _DIGEST_AT_END.match(image) is None


def shown_key(key: str) -> str:
    """A key as a message may name it: in ``{value:hunter2}``, which lacks a space, the value is a part of it."""
    match = _KEY_WITH_VALUE.match(key)
    return key if match is None else f"{match[0]}…"


def may_hold_secret(text: str) -> bool:
    """Whether some source text, which is no value by itself, may hold a secret."""
    return _MENTION.search(text) is not None or is_secret_value(text)


def _search_mapping(value: dict[str, Any], path: Path, found: list[Path]) -> None:
    kind = value.get("kind")
    if (
        kind.__class__ is str
        and kind.lower() in ("secret", "secretlist")
        # A reference to a Secret has a kind and a name.
        and (not path or not value.keys().isdisjoint(("apiVersion", "metadata", "data", "stringData")))
    ):
        _search_secret(value, path, found)
        return
    if "value" in value and _is_secret_entry(value, header=False):
        _search_entry(value, path, found)
        return
    for key, child in value.items():
        of = child.__class__
        if of is str:
            if key in _NAMES or not child:
                continue
            if (
                has_user(child)
                if key == "image"
                else key == _LAST_APPLIED or _may_be_secret(child) or (names_secret(key) and not _is_harmless(child))
            ):
                found.append((*path, key))
        elif of is dict:
            _search_mapping(child, (*path, key), found)
        elif of is list:
            _search_list(child, (*path, key), found)
        elif names_secret(key) if of is int or of is float else child is None and _holds_value(key):
            found.append((*path, key))


def _search_custom(value: dict[str, Any], path: Path, found: list[Path]) -> None:
    """Of custom resources, and of those in a List, what stands below a secret's name: ``passwords: [x]``. Kubernetes'
    own fields of such names hold references (``imagePullSecrets``)."""
    api_version = value.get("apiVersion")
    if isinstance(api_version, str) and api_version.rpartition("/")[0] not in BUILT_IN_GROUPS:
        _search_below(value, path, found)
        return
    members = value.get("items")
    if isinstance(members, list):
        for number, member in enumerate(members):
            if isinstance(member, dict):
                _search_custom(member, (*path, "items", number), found)


def _search_below(value: Any, path: Path, found: list[Path]) -> None:
    if isinstance(value, list):
        for number, member in enumerate(value):
            if isinstance(member, dict | list):
                _search_below(member, (*path, number), found)
        return
    for key, child in value.items():
        if isinstance(child, dict | list):
            several = _names_secrets(key)
            if several is None:
                _search_below(child, (*path, key), found)
            else:
                _add_below(child, (*path, key), found, numbers=several)
        elif isinstance(child, str) and _names_secrets(key) and not _is_harmless(child):
            found.append((*path, key))


@lru_cache(maxsize=4096)
def _names_secrets(name: str) -> bool | None:
    """Whether a name ends in a word for several credentials (True) or one (False); None where it ends in neither."""
    words = _words(name)
    if not words:
        return None
    last = words[-1]
    one = last[:-1] if last.endswith("S") and not last.endswith("SS") else last
    if one in _SECRET_WORDS or one.endswith(_SECRET_ENDINGS) or (len(words) > 1 and (words[-2], one) in _SECRET_PAIRS):
        return one != last
    return None


def _add_below(value: dict[str, Any] | list[Any], path: Path, found: list[Path], *, numbers: bool) -> None:
    """All texts below a secret's name, but those whose own names say that they are none. ``numbers``: those, too."""
    for key, child in value.items() if isinstance(value, dict) else enumerate(value):
        if isinstance(key, str) and (key in _REFERENCE_FIELDS or key in _NAMES or _is_harmless_below(key)):
            continue
        if isinstance(child, dict | list):
            _add_below(child, (*path, key), found, numbers=numbers)
        elif isinstance(child, str):
            if not _is_harmless(child):
                found.append((*path, key))
        elif not isinstance(child, bool) and child is not None and (numbers or isinstance(key, int)):
            found.append((*path, key))


@lru_cache(maxsize=4096)
def _is_harmless_below(key: str) -> bool:
    words = _words(key)
    return bool(words) and (words[-1] in _HARMLESS_ENDINGS or words[-1] in _HARMLESS_BELOW)


def _holds_value(key: str) -> bool:
    """Whether a key without a value holds a secret itself."""
    name = shown_key(key)
    return name != key and names_secret(name)


def _search_list(members: list[Any], path: Path, found: list[Path]) -> None:
    field = path[-1] if path else ""
    flag = False
    for number, member in enumerate(members):
        of = member.__class__
        after_flag, flag = flag, False
        if of is dict:
            if field in _NAMED_VALUES and _is_secret_entry(member, header=field == "httpHeaders"):
                _search_entry(member, (*path, number), found)
            else:
                _search_mapping(member, (*path, number), found)
        elif of is list:
            _search_list(member, (*path, number), found)
        elif of is str:
            # --password=value, --password value, and PASSWORD=value among variables.
            name, equals, text = member.partition("=")
            if len(name) < 200 and (equals or member[:1] == "-") and names_secret(name):
                flag = not equals
                if equals and not _is_harmless(text):
                    found.append((*path, number))
            elif (after_flag and member[:1] != "-" and not _is_harmless(member)) or _may_be_secret(member):
                found.append((*path, number))
        elif after_flag and (of is int or of is float):
            found.append((*path, number))


def _is_harmless(text: str) -> bool:
    """Whether a text under a secret's name is a switch or a reference."""
    text = text.strip()
    return text.lower() in _SWITCHES or _REFERENCE.match(text) is not None


def _may_be_secret(text: str) -> bool:
    """Whether a text has the form of a credential, or assigns one: in a script, a query, a configuration file."""
    return _short_may_be_secret(text) if len(text) <= _SHORT else _text_may_be_secret(text)


def _text_may_be_secret(text: str) -> bool:
    if is_secret_value(text):
        return True
    if "=" not in text and ":" not in text and ">" not in text:
        return False
    lower = text.lower()
    return any(hint in lower for hint in _ASSIGNMENT_HINTS) and _ASSIGNMENT.search(text) is not None


_short_may_be_secret = lru_cache(maxsize=16384)(_text_may_be_secret)


def _is_secret_entry(entry: dict[str, Any], *, header: bool) -> bool:
    """Whether a pair of name and value is a secret's. One without a name is when any of its texts could name one."""
    name = entry.get("name")
    if isinstance(name, str):
        if names_secret(name) or (header and name.lower().endswith(_SECRET_HEADERS)):
            return True
        return any(key != "name" and _holds_secret(child) for key, child in entry.items())
    return any(isinstance(child, str) and (names_secret(child) or is_secret_value(child)) for child in entry.values())


def _holds_secret(value: Any) -> bool:
    if isinstance(value, str):
        return is_secret_value(value)
    if isinstance(value, dict):
        return any(map(_holds_secret, value.values()))
    return isinstance(value, list) and any(map(_holds_secret, value))


def _search_entry(entry: dict[str, Any], path: Path, found: list[Path]) -> None:
    for key, child in entry.items():
        if key == "valueFrom" and isinstance(child, dict):
            for source, reference in child.items():
                if isinstance(reference, dict):
                    for field, value in reference.items():
                        if field not in _REFERENCE_FIELDS:
                            _add_scalars(value, (*path, key, source, field), found)
                else:
                    _add_scalars(reference, (*path, key, source), found)
        elif key != "name" and not (isinstance(child, str) and _is_harmless(child)):
            _add_scalars(child, (*path, key), found)


def _search_secret(secret: dict[str, Any], path: Path, found: list[Path]) -> None:
    """Every scalar of a Secret (or of a list of Secrets) but its type and names."""
    for key, child in secret.items():
        if key in ("apiVersion", "kind", "type", "immutable") and not isinstance(child, dict | list):
            if key == "immutable" and not isinstance(child, bool):
                found.append((*path, key))
        elif key == "metadata" and isinstance(child, dict):
            for field, value in child.items():
                if field not in ("name", "namespace", "labels", "uid") or (
                    isinstance(value, dict | list) and field != "labels"
                ):
                    _add_scalars(value, (*path, key, field), found)
        elif key == "items" and isinstance(child, list):
            for number, member in enumerate(child):
                if isinstance(member, dict):
                    _search_secret(member, (*path, key, number), found)
                else:
                    _add_scalars(member, (*path, key, number), found)
        else:
            _add_scalars(child, (*path, key), found)


def _add_scalars(value: Any, path: Path, found: list[Path]) -> None:
    if isinstance(value, dict):
        for key, child in value.items():
            _add_scalars(child, (*path, key), found)
    elif isinstance(value, list):
        for number, child in enumerate(value):
            _add_scalars(child, (*path, number), found)
    elif value is not None or (isinstance(path[-1], str) and shown_key(path[-1]) != path[-1]):
        found.append(path)
