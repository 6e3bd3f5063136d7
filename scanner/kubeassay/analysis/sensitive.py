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

from kubeassay.analysis.workloads import pod_templates
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
    ALGORITHM ALLOWED AUDIENCE CLASS COUNT DIR DIRECTORY DISABLED DURATION ENABLE ENABLED ENDPOINT ENGINE EXPIRATION
    EXPIRE EXPIRES EXPIRY FIELD FILE FILENAME FOLDER FORMAT HEADER HOST ID INTERVAL ISSUER KIND LABEL LENGTH LIFETIME
    LIMIT LOCATION MANAGER MODE MOUNT NAME NAMESPACE NAMES PATH POLICY PORT PREFIX PROVIDER QUOTA REF REGION REQUIRED
    RETRIES ROLE ROTATION SELECTOR SERVICE SIZE STORE STRATEGY SUFFIX TIME TIMEOUT TTL TYPE URI URL USERNAME VALIDITY
    VERSION
    """.split()  # noqa: SIM905
)
#: What only identifies the holder of a key, although its name holds the words of one.
_IDENTIFIERS = frozenset({("ACCESS", "KEY", "ID")})

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")

#: Every form below but URLs and connection strings is at least this long.
_SHORTEST_TOKEN = 14
#: Forms of values that give a credential away: texts of which one must be in the value (a quick look first, for most
#: values are short words, numbers and host names), and the form itself.
_SECRET_FORMS: tuple[tuple[tuple[str, ...], re.Pattern[str]], ...] = (
    (("-----BEGIN ",), re.compile(r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY")),
    (("AKIA", "ASIA"), re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b")),
    (("ghp_", "gho_", "ghu_", "ghs_", "ghr_"), re.compile(r"\bgh[pousr]_[A-Za-z0-9]{30,}")),
    (("github_pat_",), re.compile(r"\bgithub_pat_[A-Za-z0-9_]{30,}")),
    (("glpat-",), re.compile(r"\bglpat-[A-Za-z0-9_-]{20,}")),
    (("xox",), re.compile(r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}")),
    (("AIza",), re.compile(r"\bAIza[A-Za-z0-9_-]{35}")),
    (("sk_live_",), re.compile(r"\bsk_live_[A-Za-z0-9]{16,}")),
    (("eyJ",), re.compile(r"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}")),
    # A URL with a password that is no reference: user:$(PASSWORD)@host is none.
    (("@",), re.compile(r"\b[a-zA-Z][a-zA-Z0-9+.-]*://[^\s:/@?#]*:(?![$<{%*])[^\s/@]+@")),
    # ADO.NET, JDBC, libpq, Azure.
    (
        ("assword=", "ASSWORD=", "wd=", "WD=", "AccountKey=", "SharedAccessKey="),
        re.compile(r"(?:^|[;?&\s])(?:password|pwd|AccountKey|SharedAccessKey)=(?![$<{%*])[^;&\s]+", re.IGNORECASE),
    ),
)

_REFERENCE = re.compile(r"\$\([A-Za-z_][\w.-]*\)\Z|\$\{?[A-Za-z_]\w*\}?\Z|<[^>]*>\Z|\{\{.*\}\}\Z|\*+\Z|%[A-Z_]+%\Z")
_NOT_SECRET = re.compile(
    r"[0-9.]+(?:ms|s|m|h|d)?\Z|true\Z|false\Z|yes\Z|no\Z|none\Z|null\Z|(?:\.{0,2}|~)/[\w./-]*\Z", re.IGNORECASE
)
#: A Windows path or a URL without credentials.
_PLACE = re.compile(r"[A-Za-z]:\\|[a-z][a-z0-9+.-]*://", re.IGNORECASE)


@lru_cache(maxsize=4096)
def names_secret(name: str) -> bool:
    """Whether a variable or flag of this name holds a credential: DB_PASSWORD, apiKey; not TOKEN_TTL, SECRET_NAME."""
    words = [word.upper() for word in _WORDS.findall(name)]
    while words and words[-1].isdigit():
        words.pop()
    if not words or words[-1] in _HARMLESS_ENDINGS or tuple(words[-3:]) in _IDENTIFIERS:
        return False
    if not _SECRET_WORDS.isdisjoint(words):
        return True
    if words[-1] == "PASS" or words[-1].endswith(_SECRET_ENDINGS):
        return True
    return any(pair in _SECRET_PAIRS for pair in pairwise(words))


def is_secret_value(value: str) -> bool:
    """Whether a value's form gives a credential away: a private key, a cloud or Git token, a URL with a password."""
    if len(value) < _SHORTEST_TOKEN and "@" not in value and "=" not in value:
        return False
    for hints, form in _SECRET_FORMS:
        for hint in hints:
            if hint in value and form.search(value) is not None:
                return True
    return False


def _could_be_secret(value: str) -> bool:
    """Whether a value under a secret's name can be the secret itself: not a switch, a time, a path or a reference."""
    text = value.strip()
    return bool(
        text
        and _REFERENCE.match(text) is None
        # Digits alone are a time or a count under most names, but a password of four or more is a password.
        and (_NOT_SECRET.match(text) is None or (text.isdigit() and len(text) >= 4))
        and _PLACE.match(text) is None
    )


#: Names of whole files, which may hold a credential or none.
_CONFIGURATION = (".yaml", ".yml", ".json", ".ini", ".conf", ".cfg", ".config", ".toml", ".properties", ".xml", ".txt")
#: Endings of keys whose values are in Secrets only because they belong to a credential.
_NO_CREDENTIALS = ("name", "namespace", "user", "address", "host", "port", "ca.crt", "tls.crt", ".pub")
_ASSIGNMENT = re.compile(
    r"(?:password|passwd|passphrase|secret|token|api[_-]?key|private[_-]?key|access[_-]?key)"
    r"[\w.-]*[\"']?[ \t]*[:=>][ \t]*[\"']?(?![\s$<{%*\"'#;])\S",
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
    if names_secret(name) and _could_be_secret(value):
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
                if _could_be_secret(value):
                    yield number, name
                    continue
        elif previous and _could_be_secret(item):
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
        if "\n" not in value.strip() and names_secret(key) and _could_be_secret(value):
            yield key, "name"
        elif is_secret_value(value):
            yield key, "value"


def sensitive_value_paths(obj: Object) -> list[Path]:
    """The paths of all values of an object that no report may show.

    Every value of a Secret, and the entries of ConfigMaps, variables and arguments of containers that hold a secret in
    the clear.
    """
    found: list[Path] = []
    if obj.ref.kind == "ConfigMap" and obj.ref.group == "":
        return [("data", key) for key, _ in config_map_secrets(obj)]
    if obj.ref.kind == "Secret" and obj.ref.group == "":
        for field in ("data", "stringData"):
            values = obj.value.get(field)
            if isinstance(values, dict):
                found += [(field, key) for key in values]
        # kubectl keeps the whole object, values included, in this annotation.
        applied = "kubectl.kubernetes.io/last-applied-configuration"
        if obj.get("metadata", "annotations", applied) is not None:
            found.append(("metadata", "annotations", applied))
        return found
    for pod in pod_templates(obj):
        for container in pod.containers:
            found += [(*container.path, "env", number, "value") for number, _, _ in secret_environment(container.spec)]
            found += [(*container.path, field, number) for field, number, _ in secret_arguments(container.spec)]
    return found
