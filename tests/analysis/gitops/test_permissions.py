"""What an AppProject permits, against Argo CD's own code and against cases read from it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kit import Ask, asking, go_program
from kubeassay.analysis.gitops.globs import matches
from kubeassay.analysis.gitops.permissions import (
    Destination,
    destination_permitted,
    normalized_url,
    resolved,
    source_permitted,
)

# No brace that stays open: upstream's compiler panics at some of these.
PIECES = st.sampled_from(
    ["a", "b", "ab", "/", "*", "**", "?", "[ab]", "[!a]", "[a-c]", "{a,b}", "{a,b*}", "}", ",", "\\", "-"]
)
PATTERNS = st.lists(PIECES, max_size=5).map("".join)
WORDS = st.text("ab/-", max_size=6)

SCHEMES = st.sampled_from(["https://", "http://", "ssh://git@", "git@", "oci://", "git://", "", "HTTPS://"])
HOSTS = st.sampled_from(["git.example", "git.example:8443", "*.example", "git.example:port", "*", "GIT.example"])
SPLITS = st.sampled_from(["/", ":", "/team/", ":team/"])
REPOS = st.sampled_from(["web", "web.git", "*", "**", "w?b", "we[a-c]", "team/web", "", "web/", "Web"])
URLS = st.one_of(st.tuples(SCHEMES, HOSTS, SPLITS, REPOS).map("".join), st.sampled_from(["*", "", "web", ":x", "1a:b"]))
DENIALS = st.booleans().map(lambda denied: "!" if denied else "")
SOURCE_PATTERNS = st.tuples(DENIALS, URLS).map("".join)

SERVERS = st.sampled_from(["https://kubernetes.default.svc", "https://one.example", "https://two.example"])
NAMES = st.sampled_from(["in-cluster", "one", "two"])
NAMESPACES = st.sampled_from(["shop", "shop-eu", "kube-system", "", "data"])
GLOBS = st.sampled_from(["*", "", "shop", "shop-*", "kube-*", "one", "https://*.example", "in-cluster", "*-eu", "t?o"])
DESTINATIONS = st.builds(
    Destination,
    st.tuples(DENIALS, st.one_of(SERVERS, GLOBS)).map("".join),
    st.tuples(DENIALS, st.one_of(NAMES, GLOBS)).map("".join),
    st.tuples(DENIALS, st.one_of(NAMESPACES, GLOBS)).map("".join),
)
CLUSTERS = st.builds(Destination, SERVERS, NAMES, NAMESPACES)


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    """Argo CD's own AppProject."""
    with asking(go_program("upstream_argocd", "./appproject", tmp_path_factory.mktemp("appproject"))) as ask:
        yield ask


def stated(destination: Destination) -> dict[str, str]:
    return {"server": destination.server, "name": destination.name, "namespace": destination.namespace}


many = settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@many
@given(PATTERNS, st.lists(WORDS, min_size=1, max_size=8))
def test_patterns_of_namespaces_match_as_upstream(upstream: Ask, pattern: str, words: list[str]) -> None:
    project = {"destinations": [{"server": "*", "namespace": f"{pattern}"}]}
    answer = upstream({"project": project, "destinations": [{"server": "s", "namespace": word} for word in words]})
    # An item of a project is denied by "!", which no pattern here begins with.
    for word, permitted in zip(words, answer["destinations"], strict=True):
        assert (pattern == "*" or matches(pattern, word)) in (permitted, None)


@many
@given(st.lists(SOURCE_PATTERNS, max_size=4), st.lists(URLS, min_size=1, max_size=6))
def test_sources_are_permitted_as_upstream(upstream: Ask, patterns: list[str], urls: list[str]) -> None:
    answer = upstream({"project": {"sourceRepos": patterns}, "sources": urls})
    for url, permitted, normal in zip(urls, answer["sources"], answer["urls"], strict=True):
        assert normalized_url(url) in (normal, None)
        assert source_permitted(patterns, url) in (permitted, None)


@many
@given(st.lists(DESTINATIONS, max_size=4), st.lists(CLUSTERS, min_size=1, max_size=6))
def test_destinations_are_permitted_as_upstream(
    upstream: Ask, items: list[Destination], clusters: list[Destination]
) -> None:
    project = {"destinations": list(map(stated, items))}
    answer = upstream({"project": project, "destinations": list(map(stated, clusters))})
    assert [destination_permitted(items, cluster) for cluster in clusters] == answer["destinations"]


@many
@given(st.lists(DESTINATIONS, max_size=3), CLUSTERS, st.booleans())
def test_what_is_said_without_one_name_of_the_cluster_holds_for_every_such_name(
    items: list[Destination], cluster: Destination, by_name: bool
) -> None:
    """Against brute force: the other name may be any."""
    half = Destination("" if by_name else cluster.server, cluster.name if by_name else "", cluster.namespace)
    said = destination_permitted(items, half)
    if resolved(half)[1] == "" or said is None:
        return
    for other in ("one", "two", "in-cluster", "shop-1", "https://one.example", "anything"):
        full = Destination(other if by_name else cluster.server, cluster.name if by_name else other, cluster.namespace)
        assert destination_permitted(items, full) == said


@pytest.mark.parametrize(
    ("pattern", "text", "separators", "expected"),
    [
        ("https://git.example/*", "https://git.example/web", "/", True),
        ("https://git.example/*", "https://git.example/team/web", "/", False),
        ("https://git.example/**", "https://git.example/team/web", "/", True),
        ("shop-*", "shop-eu/x", "", True),
        ("[a-", "a", "", False),
        ("[]", "]", "", False),
        ("{a,b}c", "bc", "", True),
        ("{a*,b}c", "bc", "", None),
        ("a***", "ab", "/", None),
        ("a*a", "a", "", True),
        ("a*a", "a", "/", False),
        ("a**a", "a", "/", True),
        ("?", "", "", True),
        ("{a,b", "b", "", None),
        ("{a,}", "a", "", None),
        ("\\*", "*", "", True),
        ("\\*", "a", "", False),
    ],
)
def test_patterns(pattern: str, text: str, separators: str, expected: bool | None) -> None:
    assert matches(pattern, text, separators) is expected


def test_a_hostile_pattern_takes_no_time() -> None:
    assert not matches("*a" * 400 + "b", "a" * 2000)


@pytest.mark.parametrize(
    ("patterns", "url", "expected"),
    [
        (["https://git.example/team/*"], "https://git.example/team/web.git", True),
        (["https://git.example/team/*"], "git@git.example:team/web", False),
        (["git@git.example:team/*"], "ssh://git@git.example/team/web", True),
        (["*", "!https://git.example/secret/*"], "https://git.example/secret/web", False),
        (["!https://git.example/secret/*"], "https://elsewhere.example/web", True),
        (["*"], "https://git.example/{{name}}", True),
        (["https://git.example/*"], "https://git.example/{{name}}", None),
        ([], "https://git.example/web", False),
    ],
)
def test_sources(patterns: list[str], url: str, expected: bool | None) -> None:
    assert source_permitted(patterns, url) is expected
