"""Markdown of a scan since a revision: what the change does to security, for the comment of a pull request.

GitHub refuses a comment of more than 65,536 characters, and a step summary of more than 1 MiB: the smaller of both
holds, whatever becomes of the page. The last line is a comment that names the category: by it the page is found again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from kubeassay.model import Cause, Finding, Location, PathChange, Result, Review
from kubeassay.model.review import Change, Side
from kubeassay.reporting.markdown_page import Page, details, link, plain, prose
from kubeassay.reporting.options import RenderOptions, Report
from kubeassay.reporting.review_texts import (
    cause_words,
    counted_changes,
    ends,
    only_there,
    scope,
    silence,
    states,
    unseen_by_text,
)
from kubeassay.reporting.statements import (
    RANK,
    counted,
    gaps,
    incomplete,
    is_complete,
    listed,
    scanned,
    stands_in_a_file,
    subject,
)
from kubeassay.reporting.texts import plural

#: What GitHub takes of a comment, in characters; bytes are never fewer.
LIMIT = 65_536
_RESERVE = 6 * 1024
#: No table takes more of what is left than this part of it.
_SHARE = 2
#: What a name of a category may have in it, so that it ends no comment.
_UNUSUAL = re.compile(r"[^A-Za-z0-9 ._/:-]|-(?=-)|-\Z")


def marker(category: str) -> str:
    """The comment by which a page of a category is found again."""
    return f"<!-- kubeassay: {_UNUSUAL.sub('_', category)[:200]} -->"


def write_review(result: Result, options: RenderOptions) -> Report:
    review = result.review
    assert review is not None
    page = Page(LIMIT - _RESERVE)
    writer = _Writer(page, result, review, options)
    writer.paths()
    writer.permissions()
    writer.exposures()
    writer.protections()
    writer.findings()
    writer.not_evaluated()
    category = options.sarif_category or f"kubeassay/{result.profile.name}"
    lines = [*_head(result, review, page.left), *page.lines, marker(category)]
    return Report((("\n".join(lines) + "\n").encode("utf-8"),))


def _head(result: Result, review: Review, left: dict[str, int]) -> Iterator[str]:
    complete = is_complete(result) and review.complete
    words = re.sub(r"(?<=[0-9] )(?=finding)|(?<=No )(?=finding)", "new ", counted(result), count=1)
    yield f"## kubeassay: {plain(words)}" + ("" if complete else ", not complete")
    yield ""
    changed = counted_changes(review)
    yield f"**{plain('This change: ' + ', '.join(changed) if changed else silence(review).capitalize())}.**"
    yield ""
    if not is_complete(result):
        yield f"**Not everything was judged, so silence is no pass: {plain(incomplete(result))}.**"
        yield ""
    if not review.complete:
        number = len({one.text for one in review.unseen if one.unread})
        yield f"**Not everything was read on both sides ({plural(number, 'part')}), so silence is no “unchanged”.**"
        yield ""
    yield plain(scanned(result))
    if result.comparison is not None:
        comparison = result.comparison
        parts = [f"{len(comparison.new):,} new, {len(comparison.fixed):,} fixed"]
        parts.append(f"{len(comparison.unchanged):,} as before")
        parts += [f"{len(comparison.excepted):,} excepted"] if comparison.excepted else []
        parts += [f"{len(comparison.unknown):,} not judged now"] if comparison.unknown else []
        yield f"<br>Findings: {', '.join(parts)}"
    yield ""
    if left:
        words = ", ".join(f"{number:,} {what}" for what, number in left.items())
        yield f"**Not listed, since a comment holds 65,536 characters: {words}.** Another report has them."
        yield ""


class _Writer:
    """Writes the sections. What opens is told openly, what closes is folded away."""

    def __init__(self, page: Page, result: Result, review: Review, options: RenderOptions) -> None:
        self.page = page
        self.result = result
        self.review = review
        self.options = options

    def table(
        self, title: str, what: str, head: Sequence[str], rows: Iterable[Sequence[str]], *, folded: bool = False
    ) -> None:
        listed_rows = list(rows)
        if not listed_rows:
            return
        name = f"{title} ({len(listed_rows):,})"
        opening = details(name) if folded else [f"**{plain(name)}**"]
        self.page.table(what, opening, head, listed_rows, "</details>" if folded else "", most=self.page.room // _SHARE)

    def section(self, title: str, *, there: bool) -> None:
        if there:
            lines = [f"### {title}", ""]
            self.page.lines += lines
            self.page.room -= sum(len(line) + 1 for line in lines)

    def paths(self) -> None:
        review = self.review
        self.section("Network paths", there=bool(review.paths or review.workloads))
        of = {kind: [path for path in review.paths if path.change == kind] for kind in ("opened", "closed")}
        head = ("from", "to", "connections", "by")
        self.table("Opened", "network paths opened", head, map(self._path, of["opened"]))
        self.table("Closed", "network paths closed", head, map(self._path, of["closed"]), folded=True)
        unsure = [path for path in review.paths if path.change in ("uncertain", "certain")]
        rows = ([*self._path(path)[:3], plain(states(path)), self._path(path)[3]] for path in unsure)
        head_of_unsure = ("from", "to", "connections", "was → is", "by")
        self.table("Not evaluated on one side", "network paths not evaluated", head_of_unsure, rows)
        kinds: tuple[tuple[str, str, Side], ...] = (
            ("added", "New workloads", "after"),
            ("removed", "Removed workloads", "before"),
        )
        for change, title, side in kinds:
            self.table(
                title,
                f"workloads {change}",
                ("workload", "open to it", "open from it"),
                (
                    [
                        "<br>".join(
                            [plain(one.workload), self._place(one.location, side), *filter(None, [self._by(one, ())])]
                        ),
                        plain(one.ingress),
                        plain(one.egress),
                    ]
                    for one in review.workloads
                    if one.change == change
                ),
                folded=change == "removed",
            )

    def _path(self, path: PathChange) -> list[str]:
        return [_ends(path.sources), _ends(path.destinations), plain(path.connections), self._by(path, path.causes)]

    def permissions(self) -> None:
        review = self.review
        self.section("Permissions", there=bool(review.permissions or review.escalations))
        for word in ("gained", "lost"):
            rows = (
                [
                    plain(one.subject),
                    plain(scope(one.namespace)),
                    "<br>".join(map(plain, ends(one.permissions)))
                    + (f"<br>perhaps not new: {plain(one.uncertain)}" if one.uncertain else ""),
                    self._by(one, one.causes),
                ]
                for one in review.permissions
                if one.change == word
            )
            head = ("who", "where", "what", "by")
            self.table(word.capitalize(), f"grants {word}", head, rows, folded=word == "lost")
        for word in ("opened", "closed"):
            rows = (
                [
                    plain(one.subject),
                    plain(f"{one.was} → {one.now}"),
                    "<br>".join(plain(step) for step in one.steps),
                    self._by(one, one.causes),
                ]
                for one in review.escalations
                if one.change == word
            )
            head = ("who", "could become → can become", "how", "by")
            self.table(f"Escalations {word}", f"escalations {word}", head, rows, folded=word == "closed")

    def exposures(self) -> None:
        self.section("Exposures", there=bool(self.review.exposures))
        for word in ("opened", "closed"):
            rows = (
                [
                    plain(one.text),
                    _ends(one.workloads) or "what is not among the inputs",
                    plain(one.ports),
                    {True: "yes", False: "no", None: "not known"}[one.public],
                    self._by(one, one.causes),
                ]
                for one in self.review.exposures
                if one.change == word
            )
            head = ("what", "exposes", "ports of the pods", "to the Internet", "by")
            self.table(word.capitalize(), f"exposures {word}", head, rows, folded=word == "closed")

    def protections(self) -> None:
        self.section("Protections", there=bool(self.review.settings))
        names = {"pod-security": "Pod Security Standard", "mtls": "mTLS mode", "callers": "who may call"}
        titles = {"weaker": "Weaker", "other": "Changed", "stronger": "Stronger"}
        for direction, title in titles.items():
            rows = (
                [_ends(one.subjects), names[one.kind], plain(one.was), plain(one.now), self._by(one, one.causes)]
                for one in self.review.settings
                if one.direction == direction
            )
            head = ("of", "what", "was", "is", "by")
            self.table(title, f"protections {direction}", head, rows, folded=direction == "stronger")

    def findings(self) -> None:
        found = [finding for finding in listed(self.result, self.options) if finding.outcome == "fail"]
        head = ("severity", "object", "finding", "place")
        self.section("Findings", there=bool(found or (self.result.comparison and self.result.comparison.fixed)))
        self.table("New", "new findings", head, map(self._finding, found))
        comparison = self.result.comparison
        fixed = sorted(comparison.fixed, key=lambda finding: RANK[finding.severity]) if comparison else []
        self.table("Fixed", "fixed findings", head, (self._finding(one, gone=True) for one in fixed), folded=True)
        rules = sorted({finding.rule for finding in found} & set(self.result.rules))
        remedies = (
            [f"<code>{plain(name)}</code><br>{plain(rule.title)}", prose(rule.remediation)]
            for name in rules
            for rule in (self.result.rules[name],)
        )
        self.table("How to comply", "rules' texts", ("rule", "how"), remedies, folded=True)

    def _finding(self, finding: Finding, *, gone: bool = False) -> list[str]:
        place = finding.location
        shown = f"<code>{plain(place.file)}:{place.start_line}</code>"
        if not gone and stands_in_a_file(finding, self.result):
            shown = link(place, self.options.link_base)
        message = f"{plain(finding.message)} <code>{plain(finding.rule)}</code>"
        return [finding.severity, plain(subject(finding)), message, shown]

    def not_evaluated(self) -> None:
        causes: dict[tuple[str, str], list[str]] = {}
        for gap in gaps(self.result):
            # One cause often stops many rules.
            rules = causes.setdefault((gap.reason, gap.text), [])
            if gap.rule is not None:
                rules.append(gap.rule)
        unseen = list(unseen_by_text(self.review.unseen))
        self.section("Not evaluated", there=bool(causes or unseen))
        rows = ([plain(why), plain(text), plain(", ".join(of) or "all")] for (why, text), of in causes.items())
        self.table("By rules", "causes for not judging", ("reason", "what", "rules"), rows, folded=True)
        compared = ([side, "not read" if unread else "not evaluated", plain(text)] for side, text, unread in unseen)
        self.table("In the comparison", "limits of the comparison", ("side", "", "what"), compared, folded=True)

    def _by(self, one: Change, causes: Iterable[Cause]) -> str:
        """What does it, and in which environments, where not all have it."""
        where = [plain(only_there(one))] if one.environments else []
        return "<br>".join([*map(self._cause, causes), *where])

    def _cause(self, cause: Cause) -> str:
        words = plain(cause_words(cause))
        return words if cause.location is None else f"{words} ({self._place(cause.location, cause.side)})"

    def _place(self, place: Location, side: Side) -> str:
        """A place; of the side before, the line of a file that may have others now, so that it is no link."""
        if side == "before":
            return f"<code>{plain(place.file)}:{place.start_line}</code>"
        return link(place, self.options.link_base)


def _ends(names: Sequence[str]) -> str:
    return "<br>".join(map(plain, ends(names)))
