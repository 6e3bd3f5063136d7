"""Words of keys and values, however they are spelled: ``Run as non-root``, ``runAsNonRoot`` and ``RUN_AS_NON_ROOT``."""

from __future__ import annotations

import re
from collections.abc import Iterable

#: Letters of any script, with the digits in and behind them; parts of camel case.
_WORD = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z0-9]+|[A-Z][A-Z0-9]*|[^\W\d_A-Za-z]+")
_DNS_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\Z")
_PARENTHESES = re.compile(r"\s*\([^()]*\)")

_YES = frozenset(
    {"yes", "true", "on", "required", "require", "enabled", "enable", "mandatory", "must", "always", "enforced"}
)
_NO = frozenset(
    {
        "no",
        "false",
        "off",
        "forbidden",
        "forbid",
        "disallowed",
        "never",
        "disabled",
        "disable",
        "prohibited",
        "denied",
        "deny",
        "none",
    }
)
_NOT = frozenset({"not", "no", "non"})
#: Words after which a yes is not a plain one.
_QUALIFIED = frozenset(
    {
        "except",
        "unless",
        "preferably",
        "recommended",
        "optional",
        "should",
        "where",
        "when",
        "if",
        "only",
        "may",
        "planned",
        "later",
    }
)
_ALLOWED = frozenset({"allowed", "allow", "permitted", "permit"})


def words(text: str) -> tuple[str, ...]:
    """The words of a text, in lower case and in the singular."""
    return tuple(singular(word.lower()) for word in _WORD.findall(text))


def squashed(text: str) -> str:
    """The words without what stands between them: what a key is compared by."""
    return "".join(words(text))


#: Names that end in s.
_NO_PLURALS = frozenset(
    {"kubernetes", "eks", "aks", "aws", "dns", "tls", "mtls", "https", "gcs", "efs", "ebs", "nfs", "rds"}
)


def singular(word: str) -> str:
    """An English noun in the singular: good enough to compare two spellings of one."""
    if word in _NO_PLURALS:
        return word
    if len(word) > 4 and word.endswith("ies"):
        return f"{word[:-3]}y"
    if len(word) > 4 and word.endswith(("sses", "xes", "ches", "shes")):
        return word[:-2]
    if len(word) > 2 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


def slug(text: str | Iterable[str]) -> str:
    """A text as a name of Kubernetes: ``Database Proxy`` is ``database-proxy``. Keeps the plural."""
    parts = _WORD.findall(text) if isinstance(text, str) else list(text)
    return "-".join(part.lower() for part in parts if part.isascii())


#: Words of headings and keys below which the opposite stands, or what does not hold (any more, or yet).
_NOT_MEANT = frozenset(
    {
        "antipattern", "avoid", "bad", "deprecated", "disallowed", "draft", "excluded", "exempt", "exempted",
        "exemption", "exception", "forbidden", "former", "future", "insecure", "legacy", "mistake", "obsolete",
        "planned", "prohibited", "proposal", "proposed", "rejected", "roadmap", "superseded", "violation", "wrong",
    }
)  # fmt: skip
_NOT_TO_DO = re.compile(r"\b(?:do not|don['’]t|not to do|never do|anti-pattern|not allowed|no longer)\b", re.IGNORECASE)


def not_meant(text: str) -> bool:
    """Whether a heading or key says that what stands below it is not demanded: ``Forbidden settings``, ``Roadmap``."""
    return not _NOT_MEANT.isdisjoint(words(text)) or _NOT_TO_DO.search(text) is not None


def without_parentheses(text: str) -> str:
    """``ap-southeast-1 (Singapore)`` is ``ap-southeast-1``."""
    return _PARENTHESES.sub("", text).strip()


def is_name(text: object) -> bool:
    """Whether a text can be the name of a namespace."""
    return isinstance(text, str) and _DNS_LABEL.match(text) is not None


def truth(value: object) -> bool | None:
    """Whether a value says yes or no; None where it says neither."""
    if isinstance(value, bool):
        return value
    if not isinstance(value, str):
        return None
    # "true (except the node agents)" is no plain yes, either.
    if _QUALIFIED & set(_plain(value)):
        return None
    said = _plain(without_parentheses(value))
    if not said:
        return None
    if any(word in _ALLOWED for word in said):
        return not any(word in _NOT for word in said)
    if said[0] in _NO or (said[0] in _NOT and len(said) > 1):
        return False
    return True if said[0] in _YES else None


def _plain(text: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(text)]


def is_placeholder(value: object) -> bool:
    """Whether a value only says that one belongs there: ``<name>``, ``${VERSION}``, ``{{ .Values.x }}``, ``...``."""
    return (
        isinstance(value, str)
        and re.search(r"\A<[^<>]*>\Z|\$\{|\{\{|\A\.\.\.\Z|\A…\Z|\A(?:TODO|TBD|FIXME)\b", value) is not None
    )
