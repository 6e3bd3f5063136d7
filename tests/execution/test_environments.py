"""Which files of a tree are judged together, and what comes of several environments: rendered texts, without a tool."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path as FilePath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kit import failing, plan_of, profile_of
from kubeassay.engine.comparison import accept, compare
from kubeassay.execution.demand import Demanded
from kubeassay.execution.environments import Environment, differences, environments, judge
from kubeassay.execution.scan import scan
from kubeassay.model import (
    NEWEST_KNOWN,
    Exception_,
    Finding,
    Location,
    MadeOf,
    Object,
    Path,
    Result,
    SourceDocument,
    SubjectMatch,
    Target,
    Traced,
)
from kubeassay.sources.files import Discovery, SourceFile
from kubeassay.sources.rendering import RENDERED, Rendering

_BASE = SourceDocument("base/all.yaml", "# The base.\n" * 9)


class _AtTheBase:
    """A tracer to which every field of an object comes of a line of the base."""

    def trace(self, obj: Object, path: Path, *, key: bool = False) -> Traced:
        line = 2 if obj.ref.kind == "Deployment" else 3
        return Traced(Location(_BASE.name, line, 1, line, 3), "stated", "", _BASE)


def made(folder: str, *texts: str, environment: str = "", file: str = "kustomization.yaml") -> SourceFile:
    """What came of the kustomization of a folder."""
    content = "---\n".join(texts).encode()
    name = f"{folder}/{file}"
    steps = ((f"rendered by a tool in {folder}", Location(name, 1, 1, 1, 1)),)
    rendering = Rendering(MadeOf(_AtTheBase(), steps), "kustomize v5", environment=environment)
    return SourceFile("", name + RENDERED, len(content), content=content, rendering=rendering)


def plain(name: str, *texts: str, part: bool = False) -> SourceFile:
    content = "---\n".join(texts).encode()
    return SourceFile("", name, len(content), content=content, part=part)


def app(name: str, *, privileged: bool = False, namespace: str = "shop") -> str:
    privilege = "\n          securityContext: {privileged: true}" if privileged else ""
    return f"""\
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      containers:
        - name: app
          image: registry.example/{name}:1{privilege}
"""


def of_kind(kind: str, name: str, namespace: str | None = "shop", group: str = "v1", more: str = "") -> str:
    where = f", namespace: {namespace}" if namespace else ""
    return f"apiVersion: {group}\nkind: {kind}\nmetadata: {{name: {name}{where}}}\n{more}"


def config(name: str) -> str:
    return of_kind("ConfigMap", name)


SHOP = of_kind("Namespace", "shop", None)
DENY = of_kind(
    "NetworkPolicy", "deny", group="networking.k8s.io/v1", more="spec: {podSelector: {}, policyTypes: [Ingress]}\n"
)


def grouped(*files: SourceFile) -> dict[str, list[str]]:
    """The environments, each with its files."""
    return {one.name: [shortly(file.name) for file in one.discovery.files] for one in environments(Discovery([*files]))}


def shortly(name: str) -> str:
    return name.removesuffix("/kustomization.yaml" + RENDERED)


def result_of(*files: SourceFile, rules: Iterable[str] = ("privileged-container",), **options: object) -> Result:
    """The result of a tree, as ``kubeassay scan`` makes it."""
    by = Demanded(plan_of(profile_of(*rules), **options), (), NEWEST_KNOWN)  # type: ignore[arg-type]
    found = environments(Discovery([*files]))
    return judge(
        [(one, by) for one in found],
        lambda by, discovery: scan(by.plan, discovery, Target("manifests", "tree")),
        partial(differences, found),
    )


def told(findings: Iterable[Finding]) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(f.rule, f.object.name, f.environments) for f in findings]


# Which files are together


def test_a_tree_that_makes_nothing_twice_is_one_environment_without_a_name() -> None:
    assert grouped(made("web", app("web")), made("api", app("api")), plain("ns.yaml", SHOP)) == {
        "": ["web", "api", "ns.yaml"]
    }


def test_overlays_of_several_applications_are_together_by_their_folders() -> None:
    files = [
        made(f"apps/{name}/overlays/{environment}", app(name), config(f"{name}-settings"))
        for name in ("api", "web")
        for environment in ("development", "production", "staging")
    ]
    # An application that only production has; one that no folder is for; what stands for itself.
    files += [made("apps/audit/overlays/production", app("audit")), made("apps/dns", app("dns")), plain("p.yaml", DENY)]
    assert grouped(*files) == {
        name: [
            f"apps/api/overlays/{name}",
            f"apps/web/overlays/{name}",
            *(["apps/audit/overlays/production"] if name == "production" else []),
            "apps/dns",
            "p.yaml",
        ]
        for name in ("development", "production", "staging")
    }


def test_the_environment_may_stand_above_the_application() -> None:
    names = [f"{env}/{name}" for env in ("production", "staging") for name in ("api", "web")]
    files = [made(name, app(name.partition("/")[2])) for name in names]
    assert grouped(*files) == {"production": names[:2], "staging": names[2:]}


def test_a_namespace_that_every_application_makes_parts_no_applications() -> None:
    files = [
        made(f"apps/{name}/{env}", SHOP, app(name), config(f"{name}-a"), config(f"{name}-b"))
        for name in ("api", "web")
        for env in ("production", "staging")
    ]
    assert grouped(*files) == {
        env: [f"apps/{name}/{env}" for name in ("api", "web")] for env in ("production", "staging")
    }
    # It is one object of an environment, so nothing of it is ambiguous.
    assert result_of(*files, rules=("default-deny-ingress-missing",)).not_evaluated == ()


def test_nested_environments_and_those_whose_name_begins_alike() -> None:
    files = [
        made("overlays/production", app("web")),
        made("overlays/production/eu", app("web")),
        made("overlays/production-us", app("web")),
        plain("overlays/production/eu/extra.yaml", config("eu")),
        plain("overlays/production/extra.yaml", config("extra")),
        plain("docs/eu.yaml", config("common")),
    ]
    found = grouped(*files)
    assert {name: files for name, files in found.items() if name != "production"} == {
        "eu": ["overlays/production/eu", "overlays/production/eu/extra.yaml", "docs/eu.yaml"],
        "production-us": ["overlays/production-us", "docs/eu.yaml"],
    }
    assert found["production"] == ["overlays/production", "overlays/production/extra.yaml", "docs/eu.yaml"]


def test_two_that_make_the_same_are_never_one_environment() -> None:
    # A chart that is rendered twice, and two folders of one name.
    chart = "charts/web"
    found = grouped(made(chart, app("web"), file="Chart.yaml"), made(chart, app("web"), file="Chart.yaml (2)"))
    assert found == {
        "charts/web/Chart.yaml": [f"charts/web/Chart.yaml{RENDERED}"],
        "charts/web/Chart.yaml (2)": [f"charts/web/Chart.yaml (2){RENDERED}"],
    }
    several = [made(f"{team}/{env}/web", app("web")) for team in ("blue", "red") for env in ("production", "staging")]
    together = grouped(*several)
    assert sorted(file for files in together.values() for file in files) == sorted(
        map(shortly, (f.name for f in several))
    )
    assert all(len(files) == 1 for files in together.values())


def test_what_asks_for_a_rendering_may_name_its_environment() -> None:
    files = [
        made("a", app("web"), environment="live"),
        made("b", app("web"), environment="test"),
        made("c", app("api"), environment="live"),
    ]
    assert grouped(*files) == {"live": ["a", "c"], "test": ["b"]}


def test_parts_of_renderings_are_no_committed_ones() -> None:
    files = [
        made("overlays/production", app("web")),
        made("overlays/staging", app("web")),
        plain("base/web.yaml", app("web"), part=True),
    ]
    assert set(grouped(*files)) == {"production", "staging"}


def test_committed_renderings_are_judged_beside_and_not_with_what_is_rendered() -> None:
    files = [
        made("overlays/production", app("web")),
        made("overlays/staging", app("web")),
        plain("committed/production.yaml", app("web")),
        plain("staging/only.yaml", DENY),
        plain("common.yaml", SHOP),
    ]
    assert grouped(*files) == {
        "production": ["overlays/production", "common.yaml"],
        "staging": ["overlays/staging", "staging/only.yaml", "common.yaml"],
        # Nothing of a single environment counts for what may be another's.
        "files": ["committed/production.yaml", "common.yaml"],
    }


def test_a_single_rendering_that_is_committed_too_is_judged() -> None:
    assert grouped(made("deploy", app("web")), plain("committed.yaml", app("web")), plain("p.yaml", DENY)) == {
        "rendered": ["deploy", "p.yaml"],
        "files": ["committed.yaml", "p.yaml"],
    }


def test_an_environment_may_be_called_files() -> None:
    files = [made("files", app("web")), made("other", app("web")), plain("committed.yaml", app("web"))]
    assert grouped(*files) == {
        "files": ["files"],
        "other": ["other"],
        "files as they stand": ["committed.yaml"],
    }
    result = result_of(*files)
    assert [environment.name for environment in result.environments] == ["files", "other", "files as they stand"]


def test_a_file_that_shares_a_namespace_with_a_rendering_is_no_committed_one() -> None:
    mixed = plain("policies.yaml", SHOP, DENY, config("a"), config("b"))
    assert grouped(made("a/production", app("web"), SHOP), made("a/staging", app("web"), SHOP), mixed) == {
        "production": ["a/production", "policies.yaml"],
        "staging": ["a/staging", "policies.yaml"],
    }


_FOLDERS = st.lists(st.sampled_from(["apps", "web", "production", "staging", "files", "rendered", "a b"]), max_size=3)
_NAMES = st.lists(st.sampled_from("abcd"), min_size=1, max_size=3, unique=True)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(_FOLDERS, _NAMES, st.booleans()), max_size=6))
def test_every_file_is_in_an_environment_and_no_two_are_called_the_same(
    tree: list[tuple[list[str], list[str], bool]],
) -> None:
    files = [
        made("/".join((*folders, f"f{number}")), *map(config, names))
        if rendered
        else plain("/".join((*folders, f"f{number}.yaml")), *map(config, names))
        for number, (folders, names, rendered) in enumerate(tree)
    ]
    found = environments(Discovery(files))
    assert {file.name for one in found for file in one.discovery.files} == {file.name for file in files}
    assert len({one.name for one in found}) == len(found)
    if len(found) > 1:
        assert all(one.name for one in found)
    for one in found:
        rendered = [set(names) for file in one.discovery.files if file.rendering for names in [_names_in(file)]]
        for number, names in enumerate(rendered):
            # Nothing that is made for the most part twice is in one environment.
            assert all(2 * len(names & other) < min(len(names), len(other)) for other in rendered[:number])


def _names_in(file: SourceFile) -> set[str]:
    assert file.content is not None
    return {line.partition("name: ")[2][0] for line in file.content.decode().splitlines() if "name: " in line}


# What is judged of them


def test_the_policy_of_one_environment_never_counts_for_another() -> None:
    production, staging = made("o/production", app("web")), made("o/staging", app("web"), DENY)
    result = result_of(production, staging, rules=("default-deny-ingress-missing",))
    assert told(failing(result)) == [("default-deny-ingress-missing", "web", ("production",))]
    # Nor where it stands in a file of that environment; in one of all it counts for all.
    bare = made("o/staging", app("web"))
    of_one = result_of(production, bare, plain("staging/p.yaml", DENY), rules=("default-deny-ingress-missing",))
    assert told(failing(of_one)) == [("default-deny-ingress-missing", "web", ("production",))]
    of_all = result_of(production, bare, plain("p.yaml", DENY), rules=("default-deny-ingress-missing",))
    assert failing(of_all) == []


def test_what_all_find_at_one_line_is_one_finding_whose_identity_stays() -> None:
    bad = app("web", privileged=True)
    alone = result_of(made("o/production", bad))
    two = result_of(made("o/production", bad), made("o/staging", bad))
    three = result_of(made("o/production", bad), made("o/staging", bad), made("o/development", app("web")))
    assert told(failing(alone)) == told(failing(two)) == [("privileged-container", "web", ())]
    assert told(failing(three)) == [("privileged-container", "web", ("production", "staging"))]
    (first,), (second,), (third,) = failing(alone), failing(two), failing(three)
    for finding in (second, third):
        assert (finding.fingerprint, finding.line_hash, finding.location) == (
            first.fingerprint,
            first.line_hash,
            first.location,
        )
    # How each came to be is told of all.
    assert [related.message for related in second.related] == [
        f"rendered by a tool in o/{name}" for name in ("production", "staging")
    ]
    for before, now in ((alone, two), (two, three), (three, two)):
        changes = compare(before, now)
        assert (len(changes.unchanged), changes.new, changes.fixed, changes.unknown) == (1, (), (), ())


def test_counts_are_of_each_environment_and_of_all_together() -> None:
    bad = app("web", privileged=True)
    result = result_of(made("o/production", bad), made("o/staging", bad), plain("common.yaml", app("common")))
    assert (result.summary.fail, result.summary.objects, result.summary.files) == (1, 4, 4)
    assert result.summary.by_severity["critical"] == 1
    assert [(one.name, one.summary.fail, one.summary.objects) for one in result.environments] == [
        ("production", 1, 2),
        ("staging", 1, 2),
    ]
    assert [(made.file, made.made_by) for made in result.rendered] == [
        (f"o/{name}/kustomization.yaml", "kustomize v5") for name in ("production", "staging")
    ]
    # What was recorded to be accepted is so in each of them.
    (finding,) = failing(result)
    now, _ = accept(result, {(finding.rule, finding.fingerprint): [()]}, "accepted.json")
    assert [(one.summary.fail, one.summary.excepted) for one in now.environments] == [(0, 1), (0, 1)]


def test_what_an_environment_alone_has_was_not_judged_without_it() -> None:
    production, staging = made("o/production", app("web")), made("o/staging", app("web", privileged=True))
    before = result_of(production, staging, made("o/test", app("web")))
    gone = compare(before, result_of(production, made("o/test", app("web"))))
    assert (told(gone.unknown), gone.fixed) == ([("privileged-container", "web", ("staging",))], ())
    mended = compare(before, result_of(production, made("o/staging", app("web")), made("o/test", app("web"))))
    assert (mended.unknown, told(mended.fixed)) == ((), [("privileged-container", "web", ("staging",))])


def test_what_could_not_be_judged_in_one_environment_is_told_with_its_name() -> None:
    result = result_of(
        made("o/production", app("web")), made("o/staging", app("web"), of_kind("Widget", "w", group="v9"))
    )
    assert [entry.detail.endswith("(in staging)") for entry in result.not_evaluated] == [True]


# Exceptions


def accepting(name: str, id_: str = "EX-1") -> Exception_:
    match = SubjectMatch(kinds=("Deployment",), names=(name,), namespaces=("shop",))
    return Exception_(id_, "privileged-container", match, "known", file="exceptions.yaml", line=4)


_RULES = ("privileged-container", "exception-unused", "exception-too-broad", "exception-expired")


def test_an_exception_that_one_environment_needs_is_not_without_use() -> None:
    files = [made("o/production", app("web", privileged=True)), made("o/staging", app("web"))]
    result = result_of(*files, rules=_RULES, exceptions=[accepting("web")])
    assert failing(result) == []
    assert [(f.exception, f.environments) for f in result.findings] == [("EX-1", ("production",))]
    assert [(use.exception.id, use.findings) for use in result.exceptions] == [("EX-1", 1)]
    assert [one.summary.fail for one in result.environments] == [0, 0]


def test_an_exception_that_none_needs_is() -> None:
    files = [made("o/production", app("web")), made("o/staging", app("web"))]
    result = result_of(*files, rules=_RULES, exceptions=[accepting("web")])
    assert told(failing(result)) == [("exception-unused", "exceptions.yaml", ())]


def test_an_exception_for_one_environment_alone_is_judged_there() -> None:
    """Each environment of a matrix may have exceptions of its own."""
    good, profile = app("web"), profile_of(*_RULES)
    found = [Environment(name, Discovery([made(f"o/{name}", good)])) for name in ("production", "staging")]
    unused, expired = accepting("web"), replace(accepting("web", "EX-2"), line=9, expires="2020-01-01")
    demands = [
        Demanded(plan_of(profile, exceptions=exceptions), (), NEWEST_KNOWN) for exceptions in ([unused, expired], [])
    ]
    result = judge(
        list(zip(found, demands, strict=True)),
        lambda by, discovery: scan(by.plan, discovery, Target("manifests", "matrix")),
        tuple,
    )
    assert {(f.rule, f.environments) for f in failing(result)} == {
        ("exception-unused", ("production",)),
        ("exception-expired", ("production",)),
    }


def test_what_is_excepted_in_one_environment_and_fails_in_another_is_both_and_unchanged() -> None:
    bad, profile = app("web", privileged=True), profile_of("privileged-container")
    found = [Environment(name, Discovery([made(f"o/{name}", bad)])) for name in ("production", "staging")]

    def judged(*exceptions: list[Exception_]) -> Result:
        demands = [Demanded(plan_of(profile, exceptions=own), (), NEWEST_KNOWN) for own in exceptions]
        return judge(
            list(zip(found, demands, strict=True)),
            lambda by, discovery: scan(by.plan, discovery, Target("manifests", "matrix")),
            tuple,
        )

    before, now = judged([], []), judged([accepting("web")], [])
    assert {(f.outcome, f.environments) for f in now.findings} == {
        ("excepted", ("production",)),
        ("fail", ("staging",)),
    }
    changes = compare(before, now)
    assert [f.environments for f in changes.unchanged] == [("staging",)]
    assert (changes.new, changes.fixed) == ((), ())
    assert len(compare(before, judged([accepting("web")], [accepting("web")])).excepted) == 1


# How they differ


def test_objects_that_some_lack_are_told() -> None:
    found = environments(
        Discovery(
            [
                made("o/production", app("web"), DENY, config("settings-5k6gtm9bhd"), config("production-flags")),
                made("o/staging", app("web"), config("settings-77fcm2dkt4"), config("staging-flags")),
                made("o/test", app("web"), config("settings-9d2ct66hbg"), config("test-flags"), config("mocks")),
                plain("common.yaml", SHOP),
            ]
        )
    )
    assert [(str(one.object), one.present, one.absent) for one in differences(found)] == [
        ("ConfigMap shop/mocks", ("test",), ("production", "staging")),
        ("NetworkPolicy shop/deny", ("production",), ("staging", "test")),
    ]


def test_committed_renderings_lack_nothing() -> None:
    files = [made("o/a", app("web"), SHOP), made("o/b", app("web"), SHOP), plain("committed.yaml", app("web"))]
    assert differences(environments(Discovery(files))) == []


@pytest.mark.parametrize("name", ["a.b", "x/y", "", "("])
def test_any_name_of_an_environment_is_no_pattern(name: str) -> None:
    found = [Environment(name, Discovery([made("a", config("axb"))])), Environment("z", Discovery([]))]
    assert [str(one.object) for one in differences(found)] == ["ConfigMap shop/axb"]


def test_files_that_are_gone_meanwhile_are_no_failure(tmp_path: FilePath) -> None:
    gone = SourceFile(str(tmp_path / "gone.yaml"), "gone.yaml", 3)
    result = result_of(made("o/a", app("web")), made("o/b", app("web")), gone)
    assert [error.file for error in result.errors] == ["gone.yaml"]
