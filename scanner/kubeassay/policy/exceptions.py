"""Exceptions: those of files, and the statements that stand in what is scanned.

A statement, in a comment or a line of an annotation, is ``RULE… [KEY=VALUE]…``: rules by their ids, then ``reason``,
``owner``, ``expires``, ``container``, ``path``, values with spaces in quotes.
"""

from __future__ import annotations

import datetime
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from kubeassay.analysis.network.connections import read_ports
from kubeassay.analysis.selectors import label_selector
from kubeassay.model import ConnectionScope, Exception_, GrantScope, SubjectMatch
from kubeassay.model.place import parse_pattern
from kubeassay.policy.errors import PolicyError
from kubeassay.policy.library import load_valid, match_from, suggestion

#: Rules on exceptions are in this area; nothing excepts from them.
AREA = "exceptions"
_PREFIX = "exception-"
_KEYS = ("reason", "owner", "expires", "container", "path")
#: Whoever writes a manifest may write long ones, to keep a scan from its end.
_LONGEST_STATEMENT = 10_000
_LONGEST_ID = 100
#: What may narrow an exception; one of these has to.
_SCOPES = ("match", "selector", "files", "fingerprint", "grant", "connection")


def has_wildcard(pattern: str) -> bool:
    """Whether a shell pattern may match several texts."""
    return any(character in pattern for character in "*?[")


def is_date(text: str) -> bool:
    """Whether a text is a day, as ``2027-03-31``."""
    try:
        return len(text) == len("2027-03-31") and bool(datetime.date.fromisoformat(text))
    except ValueError:
        return False


def exceptions_from(path: Path, known_rules: Iterable[str], name: str | None = None) -> tuple[Exception_, ...]:
    """The exceptions of a file, which reports call ``name``. Raises PolicyError, also for an exception to a rule that
    does not exist, or that would match everything."""
    document = load_valid(path, "exceptions")
    places = _places(path)
    known = frozenset(known_rules)
    name = path.as_posix() if name is None else name
    found = []
    for number, entry in enumerate(document["spec"]["exceptions"]):
        line, column = places[number] if number < len(places) else (1, 1)
        try:
            exception = _exception(entry, known)
        except ValueError as error:
            raise PolicyError(f"{path}:{line}:{column}: exception {number + 1}{error}") from None
        found.append(replace(exception, id=exception.id or f"{name}#{number + 1}", file=name, line=line, column=column))
    return tuple(found)


def check_ids(exceptions: Iterable[Exception_]) -> None:
    """Findings name exceptions by id alone, so an id must not mean two. Raises PolicyError."""
    seen: dict[str, Exception_] = {}
    for exception in exceptions:
        other = seen.setdefault(exception.id, exception)
        if other is not exception:
            where = f"{exception.file}:{exception.line}"
            raise PolicyError(f"{where}: exception {exception.id} exists already ({other.file}:{other.line})")


def _places(path: Path) -> list[tuple[int, int]]:
    """Line and column of each exception of a (valid) file."""
    # Imported here: few scans have exceptions.
    import yaml
    from yaml.cyaml import CSafeLoader

    root = yaml.compose(path.read_text("utf-8-sig"), Loader=CSafeLoader)
    for step in ("spec", "exceptions"):
        assert isinstance(root, yaml.MappingNode)
        root = [value for key, value in root.value if key.value == step][-1]
    assert isinstance(root, yaml.SequenceNode)
    return [(node.start_mark.line + 1, node.start_mark.column + 1) for node in root.value]


def _exception(entry: Mapping[str, Any], known: frozenset[str]) -> Exception_:
    """An exception, without id or place. Raises ValueError with the rest of a sentence."""
    rule = entry["rule"]
    problem = rule_problem(rule, known)
    if problem:
        raise ValueError(f": {problem}")
    grant, connection = entry.get("grant", {}), entry.get("connection", {})
    exception = Exception_(
        id=entry.get("id", ""),
        rule=rule,
        match=match_from(entry.get("match")),
        reason=entry.get("reason", ""),
        path=entry.get("path", ""),
        fingerprint=entry.get("fingerprint", ""),
        owner=entry.get("owner", ""),
        expires=str(entry.get("expires", "")),
        selector=entry.get("selector", {}),
        files=tuple(entry.get("files", ())),
        environments=tuple(entry.get("environments", ())),
        clusters=tuple(entry.get("clusters", ())),
        grant=GrantScope(tuple(grant.get("subjects", ())), tuple(grant.get("roles", ()))),
        connection=ConnectionScope(
            tuple(connection.get("from", ())), tuple(connection.get("to", ())), tuple(connection.get("ports", ()))
        ),
    )
    if not any(entry.get(scope) for scope in _SCOPES) or (exception.match == SubjectMatch() and "match" in entry):
        raise ValueError(" matches everything; name what it is for under match")
    problem = problem_of(exception)
    if problem:
        raise ValueError(f": {problem}")
    return exception


def rule_problem(rule: str, known: Iterable[str]) -> str:
    """Why an exception cannot be to a rule (or a pattern of rules); empty where it can."""
    if rule.startswith(_PREFIX):
        return f"nothing is excepted from rule {rule}"
    if not any(fnmatchcase(name, rule) for name in known):
        return f"unknown rule {rule}{suggestion(rule, known)}"
    return ""


def problem_of(exception: Exception_) -> str:
    """What of an exception means nothing; empty where all means something."""
    if exception.expires and not is_date(exception.expires):
        return f"expires: {exception.expires} is no day; write it as 2027-03-31"
    if exception.path:
        try:
            parse_pattern(exception.path)
        except ValueError as error:
            return f"path: {error}"
    if exception.selector:
        selector = label_selector(exception.selector)
        if selector.invalid:
            return f"selector: {selector.invalid}"
        if selector.everything:
            return "selector: an empty selector matches everything"
    for ports in exception.connection.ports:
        if read_ports(ports) is None:
            return f"connection.ports: {ports} is no port; write 5432, 8000-8080 or 53/UDP"
    return ""


@dataclass(frozen=True, slots=True)
class Statement:
    """What a comment or a line of an annotation states. ``problem``: why it means nothing; then nothing else holds."""

    rules: tuple[str, ...] = ()
    reason: str = ""
    owner: str = ""
    expires: str = ""
    container: str = ""
    path: str = ""
    problem: str = ""


def statement(text: str, known_rules: Iterable[str]) -> Statement:
    """Read a statement."""
    if len(text) > _LONGEST_STATEMENT:
        return Statement(problem=f"has more than {_LONGEST_STATEMENT:,} characters")
    try:
        words = shlex.split(text)
    except ValueError as error:
        return Statement(problem=f"cannot be read: {str(error).lower()}")
    rules: list[str] = []
    values: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            if values:
                return Statement(tuple(rules), problem=f"{word}: rules come first, and values with spaces in quotes")
            rules += filter(None, word.split(","))
            overlong = next((rule for rule in rules if len(rule) > _LONGEST_ID), None)
            if overlong is not None:
                return Statement(problem=f"unknown rule {overlong[:_LONGEST_ID]}…")
        elif key not in _KEYS:
            key = key if len(key) <= _LONGEST_ID else f"{key[:_LONGEST_ID]}…"
            return Statement(tuple(dict.fromkeys(rules)), problem=f"unknown key {key}{suggestion(key, _KEYS)}")
        elif key in values:
            return Statement(tuple(rules), problem=f"{key} is given twice")
        elif not value:
            return Statement(tuple(rules), problem=f"{key} is empty")
        else:
            values[key] = value
    if not rules:
        return Statement(problem="names no rule")
    rules = list(dict.fromkeys(rules))
    for rule in rules:
        problem = f"{rule} is a pattern; name each rule" if has_wildcard(rule) else rule_problem(rule, known_rules)
        if problem:
            return Statement(tuple(rules), problem=problem)
    problem = problem_of(
        Exception_("", "", SubjectMatch(), "", path=values.get("path", ""), expires=values.get("expires", ""))
    )
    return Statement(tuple(rules), **values, problem=problem)
