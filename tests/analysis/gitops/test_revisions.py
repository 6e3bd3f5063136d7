"""What revisions of sources name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeassay.analysis.gitops.revisions import chart_version, git_revision, image_tag


@pytest.mark.parametrize(
    ("revision", "kind"),
    [
        ("", "branch"),
        ("HEAD", "branch"),
        ("main", "branch"),
        ("develop", "branch"),
        ("feature/JIRA-12", "branch"),
        ("env/prod2", "branch"),
        ("refs/heads/v1", "branch"),
        ("refs/pull/12/head", "branch"),
        ("stable", "branch"),
        ("refs/tags/release", "pinned"),
        ("d9ca1f3f9d1f4c6d8a1a2b3c4d5e6f7a8b9c0d1e", "pinned"),
        ("d9ca1f3", "pinned"),
        ("v1.2.3", "pinned"),
        ("1.2", "unknown"),
        ("v1", "unknown"),
        ("v2025.8.1", "pinned"),
        ("v2025.8.2-rc.1", "pinned"),
        ("1.0.0+build.5", "pinned"),
        ("frontend-v1.2.3", "pinned"),
        ("charts/web/1.2.3-rc.1", "pinned"),
        ("2025-08-01", "pinned"),
        ("release-20250801.2", "pinned"),
        ("1.x", "range"),
        ("1.2.*", "range"),
        ("^1.2.0", "range"),
        ("~1.2", "range"),
        (">=1.0.0 <2.0.0", "range"),
        (">= 1.0, < 2", "range"),
        ("1.0 - 2.0", "range"),
        ("1.x || 2.x", "range"),
        ("*", "newest"),
        (">=0.0.0", "newest"),
        ("release-1.31", "unknown"),
        ("v1-dev2", "unknown"),
        ("main2", "unknown"),
        ("x" * 100 + "1" * 200, "unknown"),
    ],
)
def test_revisions_of_git(revision: str, kind: str) -> None:
    assert git_revision(revision) == kind


@pytest.mark.parametrize(
    ("version", "kind"),
    [
        ("", "newest"),
        ("*", "newest"),
        ("latest", "newest"),
        ("1.2.3", "pinned"),
        ("v1", "pinned"),
        ("1.x.x", "range"),
        ("~1.4.0", "range"),
        ("one", "unknown"),
    ],
)
def test_versions_of_charts(version: str, kind: str) -> None:
    assert chart_version(version) == kind


@pytest.mark.parametrize(
    ("tag", "kind"),
    [("", "newest"), ("latest", "newest"), ("1.2.3", "pinned"), ("6.x", "range"), ("main", "unknown")],
)
def test_tags_of_artifacts(tag: str, kind: str) -> None:
    assert image_tag(tag) == kind


@given(st.text(st.sampled_from("0123456789abcdef"), min_size=7, max_size=40))
def test_what_is_a_commit_to_argo_cd_is_pinned(commit: str) -> None:
    assert git_revision(commit) == "pinned"


@given(st.integers(0, 99), st.integers(0, 99), st.integers(0, 99), st.sampled_from(["", "v"]))
def test_versions_stay_and_their_ranges_follow(major: int, minor: int, patch: int, prefix: str) -> None:
    version = f"{prefix}{major}.{minor}.{patch}"
    assert git_revision(version) == chart_version(version) == image_tag(version) == "pinned"
    for comparison in (f"^{version}", f"~{version}", f">={version} <{prefix}{major + 1}", f"{prefix}{major}.x"):
        if comparison.strip(">=v") not in ("0.0.0 <1", "0.x"):
            assert git_revision(comparison) == "range"
            assert chart_version(comparison) == "range"


@given(st.text(max_size=300))
def test_any_text_is_something(text: str) -> None:
    assert git_revision(text) in ("pinned", "range", "newest", "branch", "unknown")
    assert chart_version(text) in ("pinned", "range", "newest", "unknown")
