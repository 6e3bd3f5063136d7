"""Rules on exceptions: what an auditor asks of what was accepted. They judge when everything else was judged."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

from kubeassay.analysis.selectors import label_selector
from kubeassay.checks.check import Context, NotApplicable, Violation, check
from kubeassay.model import Exception_, ExceptionUse

#: ``unused``: all objects that it names were judged, and nothing found. ``gone``: not all of them are among the inputs,
#: or it names them by a pattern. ``unknown``: something of it was not judged.
Usage = Literal["used", "unused", "gone", "unknown"]

#: Texts of which each character is of one alone.
_UNLIKE = ("ab", "Cd", "5e", "fg-hi.jk/lm6n", "opqrstuvwxyzABDEFG0123")

_PLACES = {"annotation": "an annotation", "comment": "a comment"}


@dataclass(frozen=True, slots=True)
class ExceptionSubject:
    """The subject of a rule on exceptions. ``whole``: the target is known to be all that there is, as a cluster that
    was read without gaps."""

    use: ExceptionUse
    usage: Usage
    whole: bool = False


def named(exception: Exception_) -> str:
    """What a message calls an exception."""
    if exception.in_tree:
        return f"the exception to {exception.rule or 'no rule'}, in {_PLACES.get(exception.origin, 'the tree')},"
    return f"exception {exception.id} to {exception.rule}"


@check("exception-expired")
def expired(subject: ExceptionSubject, context: Context) -> Iterator[Violation | NotApplicable]:
    if subject.use.state == "expired":
        exception = subject.use.exception
        yield Violation((), f"{named(exception)} expired on {exception.expires}: what it accepted is found again")


@check("exception-unused")
def unused(subject: ExceptionSubject, context: Context) -> Iterator[Violation | NotApplicable]:
    whole = subject.whole or context.parameters["whole"]
    if subject.use.state != "holds" or subject.usage == "unknown" or (subject.usage == "gone" and not whole):
        yield NotApplicable()
    elif subject.usage == "unused":
        where = "there" if subject.use.exception.in_tree else "of what it names"
        yield Violation((), f"{named(subject.use.exception)} accepts nothing: the rule finds nothing {where}")
    elif subject.usage == "gone":
        yield Violation((), f"{named(subject.use.exception)} accepts nothing: nothing was found of what it names")


@check("exception-too-broad")
def too_broad(subject: ExceptionSubject, context: Context) -> Iterator[Violation | NotApplicable]:
    if subject.use.state != "holds":
        yield NotApplicable()
        return
    exception, most = subject.use.exception, context.parameters["max_findings"]
    if any(character in exception.rule for character in "*?["):
        yield Violation((), f"{named(exception)} is to all rules of that pattern, also to those that come later")
    elif _every_object(exception):
        yield Violation((), f"{named(exception)} matches every object")
    elif subject.use.findings > most:
        said = f"accepts {subject.use.findings} findings, more than {most}"
        yield Violation((), f"{named(exception)} {said}: name what it is for")


def _every_object(exception: Exception_) -> bool:
    """Whether nothing that it states narrows it to some objects."""
    if exception.in_tree and exception.origin != "trivy":
        return False
    match = exception.match
    grant, connection = exception.grant, exception.connection
    lists = (
        *(match.namespaces, match.kinds, match.names, match.containers, exception.files),
        *(grant.subjects, grant.roles, connection.sources, connection.destinations),
    )
    narrowed = any(patterns and not any(map(_fits_all, patterns)) for patterns in lists)
    # What a label must not be narrows nothing where there are no labels.
    selects = exception.selector and any(
        requirement.operator in ("In", "Exists") for requirement in label_selector(exception.selector).requirements
    )
    return not (narrowed or exception.fingerprint or match.labels or selects or connection.ports)


def _fits_all(pattern: str) -> bool:
    """Whether a shell pattern fits texts that have nothing in common, as ``*``, ``?*`` and ``[!_]*`` do."""
    return all(fnmatchcase(text, pattern) for text in _UNLIKE)


@check("exception-incomplete")
def incomplete(subject: ExceptionSubject, context: Context) -> Iterator[Violation | NotApplicable]:
    if subject.use.state == "incomplete":
        yield Violation((), f"{named(subject.use.exception)} does not hold: it {subject.use.problem}")


@check("exception-refused")
def refused(subject: ExceptionSubject, context: Context) -> Iterator[Violation | NotApplicable]:
    if subject.use.state == "refused":
        yield Violation((), f"{named(subject.use.exception)} does not hold: what is scanned cannot except itself here")
    elif not subject.use.exception.in_tree:
        yield NotApplicable()


@check("exception-malformed")
def malformed(subject: ExceptionSubject, context: Context) -> Iterator[Violation | NotApplicable]:
    if subject.use.state == "malformed":
        yield Violation((), f"{named(subject.use.exception)} does not hold: {subject.use.problem}")
    elif not subject.use.exception.in_tree:
        yield NotApplicable()
