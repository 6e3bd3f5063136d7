"""What the revision of a source names: what is deployed stays, follows releases, or follows every push.

Argo CD takes a revision for a commit, a version, a range of versions or the name of a branch or tag, in this order
(argo-cd v3.5, util/git/client.go, lsRemote; util/versions, MaxVersion). Whether a name is a branch or a tag only the
repository knows: names without a digit are taken for branches, names that end in a version of three numbers for tags.
"""

from __future__ import annotations

import re
from typing import Literal

#: ``pinned``: a commit, a tag or a version. ``range``: the newest release that fits. ``newest``: the newest release,
#: whichever it is. ``branch``: the head of a branch. ``unknown``: a branch or a tag.
Revision = Literal["pinned", "range", "newest", "branch", "unknown"]

_COMMIT = re.compile(r"[0-9A-Fa-f]{7,64}\Z")
#: Masterminds/semver, NewVersion: one to three numbers, with a v or without.
_VERSION = re.compile(r"v?[0-9]+(?:\.[0-9]+){0,2}(?:-[0-9A-Za-z.-]+)?(?:\+[0-9A-Za-z.-]+)?\Z")
#: A version of three numbers. v1 and 1.2 are names of branches and tags, too, that move with each release.
_RELEASE = re.compile(r"v?[0-9]+\.[0-9]+\.[0-9]+(?:-[0-9A-Za-z.-]+)?(?:\+[0-9A-Za-z.-]+)?\Z")
_COMPARISON = re.compile(
    r"\s*(?:(?:=|!=|>=|=>|<=|=<|>|<|~>|~|\^)?\s*v?(?:[0-9]+|[xX*])(?:\.(?:[0-9]+|[xX*])){0,2}"
    r"(?:-[0-9A-Za-z.-]+)?(?:\+[0-9A-Za-z.-]+)?)\s*\Z"
)
_HYPHEN = re.compile(r"(\S+)\s+-\s+(\S+)")
_ANY = frozenset({"*", "x", "X", ">=0", ">=0.0.0", ">=0.0.0-0", ">0", ">0.0.0", ">0.0.0-0", ">= 0", ">= 0.0.0"})
#: A tag of one of several things in a repository: frontend-v1.2.3, charts/web/1.2.3, release-1.2.3-rc.1.
_TAG = re.compile(r".*[-_/@]v?[0-9]+(?:\.[0-9]+){2}(?:[-+.][0-9A-Za-z.+-]*)?\Z", re.DOTALL)
#: A day or a build: 2025-08-01, 20250801, release-20250801.1.
_DATE = re.compile(r"(?:.*[-_/v])?20[0-9]{2}[-._]?[0-9]{2}[-._]?[0-9]{2}(?:[-._][0-9A-Za-z.]+)?\Z", re.DOTALL)
_LONGEST = 256
#: Prefixes of branches whose names may have digits.
_BRANCHES = ("feature/", "feat/", "fix/", "bugfix/", "hotfix/", "env/", "environments/", "refs/heads/", "refs/pull/")


def _is_range(text: str) -> bool:
    """Masterminds/semver, NewConstraint: alternatives of comparisons, joined by commas or spaces."""
    for alternative in text.split("||"):
        plain = _HYPHEN.sub(r">=\1 <=\2", alternative)
        # A space may stand between an operator and its version.
        plain = re.sub(r"([=!<>~^])\s+", r"\1", plain)
        parts = re.split(r"[,\s]+", plain.strip())
        if not all(_COMPARISON.match(part) for part in parts):
            return False
    return True


def git_revision(revision: str) -> Revision:
    """What the revision of a Git repository names. "" is the repository's default branch."""
    text = revision.strip()
    if text in ("", "HEAD", "refs/HEAD") or text.startswith(_BRANCHES):
        return "branch"
    if len(text) > _LONGEST:
        return "unknown"
    if _COMMIT.match(text) or text.startswith("refs/tags/") or _RELEASE.match(text) or _DATE.match(text):
        return "pinned"
    if _VERSION.match(text):
        # Argo CD takes it for a name, not for a range.
        return "unknown"
    if _is_range(text):
        return "newest" if text in _ANY else "range"
    if _TAG.match(text):
        return "pinned"
    return "branch" if not any(character.isdigit() for character in text) else "unknown"


def chart_version(version: str) -> Revision:
    """What the version of a Helm chart names. "" is the newest one."""
    text = version.strip()
    if text in ("", "latest") or text in _ANY:
        return "newest"
    if len(text) > _LONGEST:
        return "unknown"
    if _VERSION.match(text):
        return "pinned"
    return "range" if _is_range(text) else "unknown"


def image_tag(tag: str) -> Revision:
    """What a tag of an OCI artifact names: latest, a version, a range, or a name that may move."""
    text = tag.strip()
    if text in ("", "latest") or text in _ANY:
        return "newest"
    if len(text) > _LONGEST:
        return "unknown"
    if _RELEASE.match(text) or text.startswith("sha256:") or _TAG.match(text):
        return "pinned"
    if _VERSION.match(text):
        return "unknown"
    return "range" if _is_range(text) else "unknown"
