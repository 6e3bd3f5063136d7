"""Exceptions that were written for other tools: what they accept here, where a rule here demands the same.

Which of their checks are which rules is data (baselines/equivalents). What has no equal, or cannot be narrowed as it
was meant, accepts nothing and is told.

Sources: docs/docs/configuration/filtering.md of aquasecurity/trivy; api/kyverno/v2/policy_exception_types.go of
kyverno/kyverno, with the names of the rules that Kyverno generates for what makes pods;
docs/configuring-kubelinter.md of stackrox/kube-linter; docs/2.Basics/Suppressing and Skipping Policies.md of
bridgecrewio/checkov.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml

from kubeassay import content
from kubeassay.analysis.reading import items, mapping, string
from kubeassay.model import Exception_, Origin, SubjectMatch
from kubeassay.policy.errors import PolicyError
from kubeassay.policy.exceptions import is_date, problem_of
from kubeassay.policy.library import load_bundled
from kubeassay.policy.validation import DaysAreTexts, text_of

#: Files of other tools that are read where they are, unless they are named.
WELL_KNOWN = (".trivyignore.yaml", ".trivyignore")
#: The tools whose exceptions stand in manifests.
IN_MANIFESTS: tuple[Origin, ...] = ("kube-linter", "checkov")

_TRIVY_ID = re.compile(r"(?:AVD-)?KSV-?0*([1-9][0-9]{0,3})\Z")
_TRIVY_MISCONFIGURATION = re.compile(r"(?:AVD-)?(?:KSV|KCV)|AVD-")
#: Kyverno's rules on pods, and those that it generates from them → what these match.
_GENERATED: Mapping[str, tuple[str, ...]] = {
    "": ("Pod",),
    "autogen-": ("DaemonSet", "Deployment", "Job", "ReplicaSet", "ReplicationController", "StatefulSet"),
    "autogen-cronjob-": ("CronJob",),
}
_NARROWING = frozenset({"kinds", "name", "names", "namespaces", "selector", "operations"})


@dataclass(frozen=True, slots=True)
class Equal:
    """A rule, or what it finds at some paths (a pattern), that demands what another tool's check demands."""

    rule: str
    path: str = ""


Equivalents = Mapping[str, tuple[Equal, ...]]


def equivalents(tool: str) -> Equivalents:
    """The checks of a tool that have equals, by their ids."""
    document = load_bundled(content.folder("baselines") / "equivalents" / f"{tool}.yaml")
    checks: Mapping[str, Any] = document["spec"]["checks"]
    return {check: tuple(Equal(one["rule"], one.get("path", "")) for one in equal) for check, equal in checks.items()}


def no_equal(check: str, tool: str) -> str:
    """What is said of a check without an equal."""
    return f"{check} of {tool} has no equal here"


def imported(path: Path, name: str, *, in_tree: bool = False) -> list[Exception_]:
    """The exceptions of a file of another tool, which reports call ``name``. What accepts nothing has no rule, and says
    why as its reason. Raises PolicyError for a file that is none of those that are known."""
    text = text_of(path)
    found = list(_of_documents(path, text) if path.suffix in (".yaml", ".yml") else _of_lines(text))
    seen: dict[str, int] = {}
    exceptions = []
    for exception in found:
        key = f"{name}:{exception.line}#{exception.id}"
        seen[key] = seen.get(key, 0) + 1
        number = f".{seen[key]}" if seen[key] > 1 else ""
        exceptions.append(replace(exception, id=key + number, file=name, in_tree=in_tree))
    return exceptions


def _unmapped(check: str, why: str, origin: Origin, line: int) -> Exception_:
    return Exception_(check, "", SubjectMatch(), why, line=line, origin=origin)


# Trivy


def _of_lines(text: str) -> Iterator[Exception_]:
    """``.trivyignore``: an id a line, ``exp:DATE`` behind it perhaps, comments above it."""
    known = equivalents("trivy")
    comment: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            comment = [*comment, line.strip().lstrip("#").strip()] if words else []
            continue
        expires = next((word.removeprefix("exp:") for word in words if word.startswith("exp:")), "")
        yield from _trivy(words[0], known, " ".join(filter(None, comment)), expires, (), number)


def _trivy(
    check: str, known: Equivalents, reason: str, expires: str, paths: Sequence[str], line: int
) -> Iterator[Exception_]:
    number = _TRIVY_ID.match(check)
    if number is None and not _TRIVY_MISCONFIGURATION.match(check):
        return  # about vulnerabilities, secrets or licences
    equal = known.get(f"KSV-{int(number[1]):04d}", ()) if number is not None else ()
    if not equal:
        yield _unmapped(check, no_equal(check, "Trivy"), "trivy", line)
        return
    if expires and not is_date(expires):
        yield _unmapped(check, f"{expires} is no day", "trivy", line)
        return
    files: list[str] = []
    for path in paths:
        patterns = _as_shell_patterns(path)
        if not patterns:
            yield _unmapped(check, f"the pattern of paths {path} is not understood", "trivy", line)
        files += patterns
    if paths and not files:
        return
    for one in equal:
        yield Exception_(
            check,
            one.rule,
            SubjectMatch(),
            reason or f"accepted for Trivy, as {check}",
            path=one.path,
            expires=expires,
            line=line,
            files=tuple(files) or ("*",),
            origin="trivy",
        )


def _as_shell_patterns(path: str) -> list[str]:
    """Shell patterns that mean what a pattern of paths means, in which ``*`` stops at ``/``; none where there are
    none."""
    if any(character in path for character in "?[]{}\\") or "*" in path.replace("**", ""):
        return []
    path = path.removeprefix("./")
    if path.startswith("**/"):
        rest = path.removeprefix("**/").replace("**", "*")
        return [rest, f"*/{rest}"]
    return [path.replace("**", "*")]


# YAML


def _of_documents(path: Path, text: str) -> Iterator[Exception_]:
    try:
        nodes = list(yaml.compose_all(text, Loader=DaysAreTexts))
        documents = list(yaml.load_all(text, Loader=DaysAreTexts))
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        raise PolicyError(f"{path}{where}: {getattr(error, 'problem', None) or 'is not readable YAML'}") from None
    for node, document in zip(nodes, documents, strict=True):
        line = node.start_mark.line + 1
        if not isinstance(document, dict):
            raise PolicyError(f"{path}:{line}: holds no exceptions of another tool")
        if document.get("kind") == "PolicyException":
            yield from _kyverno(document, line)
        elif "apiVersion" not in document and {"misconfigurations", "vulnerabilities"}.intersection(document):
            yield from _trivy_document(path, document, node)
        else:
            raise PolicyError(f"{path}:{line}: is neither a PolicyException of Kyverno nor a .trivyignore.yaml")


def _trivy_document(path: Path, document: Mapping[str, Any], node: Any) -> Iterator[Exception_]:
    known = equivalents("trivy")
    entries = document.get("misconfigurations")
    if entries is None:
        return
    if not isinstance(entries, list):
        raise PolicyError(f"{path}:{node.start_mark.line + 1}: misconfigurations is no list")
    listed = next(value for key, value in node.value if key.value == "misconfigurations")
    for entry, place in zip(entries, listed.value, strict=True):
        line = place.start_mark.line + 1
        stated = mapping(entry)
        paths = stated.get("paths")
        if not string(stated.get("id")) or not all(isinstance(text, str) for text in items(paths)):
            raise PolicyError(f"{path}:{line}: an entry needs an id, and paths that are texts")
        if paths is not None and not isinstance(paths, list):
            raise PolicyError(f"{path}:{line}: paths is no list")
        expires = stated.get("expired_at")
        yield from _trivy(
            stated["id"],
            known,
            string(stated.get("statement")),
            "" if expires is None else str(expires),
            items(paths),
            line,
        )


# Kyverno


def _kyverno(document: Mapping[str, Any], line: int) -> Iterator[Exception_]:
    metadata, spec = mapping(document.get("metadata")), mapping(document.get("spec"))
    called = "/".join(filter(None, (string(metadata.get("namespace")), string(metadata.get("name")))))
    check = called or "PolicyException"
    problem = _not_followed(document, spec)
    if problem:
        yield _unmapped(check, problem, "kyverno", line)
        return
    known = equivalents("kyverno")
    for accepted in map(mapping, items(spec.get("exceptions"))):
        policy, rules = string(accepted.get("policyName")), [string(r) for r in items(accepted.get("ruleNames"))]
        # Rule here → the kinds that the rules there are for.
        kinds_of: dict[Equal, list[str]] = {}
        for name, equal in known.items():
            known_policy, _, known_rule = name.partition("/")
            if _matches(policy, known_policy):
                kinds = [
                    kind
                    for prefix, generated in _GENERATED.items()
                    if any(_matches(rule, prefix + known_rule) for rule in rules)
                    for kind in generated
                ]
                for one in equal if kinds else ():
                    kinds_of.setdefault(one, []).extend(kinds)
        named = f"{policy}/{','.join(rules)}"
        if not kinds_of:
            yield _unmapped(check, no_equal(named, "Kyverno"), "kyverno", line)
        for one, kinds in kinds_of.items():
            for resources in _resources(spec):
                yield _accepted_by_kyverno(check, named, one, kinds, resources, line)


def _not_followed(document: Mapping[str, Any], spec: Mapping[str, Any]) -> str:
    """What of a PolicyException would have to be evaluated to know what it accepts; empty where nothing."""
    if string(document.get("apiVersion")) not in ("kyverno.io/v2", "kyverno.io/v2beta1", "kyverno.io/v2alpha1"):
        return f"PolicyExceptions of {document.get('apiVersion')} are not followed"
    for field in ("conditions", "podSecurity"):
        if spec.get(field):
            return f"spec.{field} is not followed"
    match = mapping(spec.get("match"))
    if not items(match.get("any")) and len(items(match.get("all"))) != 1:
        return "spec.match is followed where it has any, or one entry of all"
    if match.get("any") and match.get("all"):
        return "spec.match has both any and all"
    for entry in map(mapping, (*items(match.get("any")), *items(match.get("all")))):
        resources = mapping(entry.get("resources"))
        extra = sorted({*entry} - {"resources"} | {*resources} - _NARROWING)
        if extra or not resources:
            return f"spec.match is not followed: {', '.join(extra) or 'no resources'}"
        operations = resources.get("operations")
        if operations and not {"CREATE", "UPDATE"}.intersection(map(str, items(operations))):
            return "spec.match is about other operations than creating and changing"
        if "*" in str(resources.get("selector", "")) or "?" in str(resources.get("selector", "")):
            return "spec.match.resources.selector has wildcards, which are not followed"
    return ""


def _resources(spec: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    match = mapping(spec.get("match"))
    for entry in (*items(match.get("any")), *items(match.get("all"))):
        yield mapping(mapping(entry).get("resources"))


def _accepted_by_kyverno(
    check: str, named: str, one: Equal, kinds: Sequence[str], resources: Mapping[str, Any], line: int
) -> Exception_:
    # A kind may have its group and version in front: apps/v1/Deployment.
    stated = [string(kind).rpartition("/")[2] for kind in items(resources.get("kinds"))]
    meant = sorted({kind for kind in kinds if not stated or any(_matches(pattern, kind) for pattern in stated)})
    names = [string(name) for name in (*items(resources.get("names")), resources.get("name")) if name]
    exception = Exception_(
        check,
        one.rule,
        SubjectMatch(
            namespaces=tuple(_shell(string(text)) for text in items(resources.get("namespaces"))),
            kinds=tuple(meant),
            names=tuple(map(_shell, names)),
        ),
        f"accepted for Kyverno, by PolicyException {check}",
        path=one.path,
        line=line,
        selector=mapping(resources.get("selector")),
        origin="kyverno",
    )
    if not meant:
        why = f"{named} is not for {', '.join(stated)}: its rules for what makes pods are named autogen-…"
        return _unmapped(check, why, "kyverno", line)
    problem = problem_of(exception)
    return _unmapped(check, problem, "kyverno", line) if problem else exception


def _shell(pattern: str) -> str:
    """A pattern of Kyverno, which has ``*`` and ``?`` alone, as a shell pattern."""
    return pattern.replace("[", "[[]")


def _matches(pattern: str, text: str) -> bool:
    return fnmatchcase(text, _shell(pattern))
