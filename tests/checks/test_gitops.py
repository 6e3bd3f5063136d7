"""Rules of kubeassay.checks.gitops_sources and gitops_projects: where they point, and what they must not report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checks.storage_kit import failures, found, messages, passed
from kit import failing, plan_of, profile_of, run_within_seconds, scan_text
from kubeassay.execution.scan import scan
from kubeassay.model import Target
from kubeassay.sources.files import discover

SERVER = "https://kubernetes.default.svc"
REPO = "https://git.example/team/shop"


def source(repo: str = REPO, revision: str | None = "v1.4.0", **fields: str) -> str:
    """A source, in flow style."""
    parts = [f'repoURL: "{repo}"'] + ([f'targetRevision: "{revision}"'] if revision is not None else [])
    parts += [f"{name}: {value}" for name, value in ({"path": "deploy"} | fields).items()]
    return f"{{{', '.join(parts)}}}"


def application(
    name: str = "web",
    *,
    project: str = "shop",
    sources: str = source(),
    field: str = "source",
    to: str = f'{{server: "{SERVER}", namespace: shop}}',
    policy: str = "{automated: {}}",
    more: str = "",
    namespace: str = "argocd",
) -> str:
    """Lines: 5 the project, 7 the source, 8 the destination, 9 the policy."""
    return f"""---
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  project: {project}
  {field}: {sources}
  destination: {to}
  syncPolicy: {policy}
{more}"""


def application_set(template: str = "", **fields: Any) -> str:
    app = application(**fields).replace("kind: Application\n", "kind: ApplicationSet\n")
    head, _, spec = app.partition("spec:\n")
    indented = "".join(f"    {line}\n" for line in spec.splitlines())
    return f"{head}spec:\n  generators: []\n  template:\n    spec:\n{indented}{template}"


def project(
    name: str = "shop",
    repos: str = f'["{REPO}"]',
    destinations: str = f'[{{server: "{SERVER}", namespace: shop}}]',
    **fields: str,
) -> str:
    lines = ["---", "apiVersion: argoproj.io/v1alpha1", "kind: AppProject"]
    lines += [f"metadata: {{name: {name}, namespace: argocd}}", "spec:"]
    lines += [f"  sourceRepos: {repos}", f"  destinations: {destinations}"]
    lines += [f"  {field}: {value}" for field, value in fields.items()]
    return "\n".join(lines) + "\n"


def flux(kind: str, spec: str, namespace: str = "shop") -> str:
    group = {"Kustomization": "kustomize", "HelmRelease": "helm"}.get(kind, "source")
    return (
        f"---\napiVersion: {group}.toolkit.fluxcd.io/v1\nkind: {kind}\n"
        f"metadata: {{name: web, namespace: {namespace}}}\nspec: {spec}\n"
    )


A = "Application web"
AT_REVISION = "spec.source.targetRevision"


# --- revisions ---

MUTABLE = "gitops-revision-mutable"


@pytest.mark.parametrize("revision", ["HEAD", "main", "*", None, ""])
def test_a_revision_that_follows_pushes(revision: str | None) -> None:
    assert failures(MUTABLE, application(sources=source(revision=revision))) == {(A, AT_REVISION, 7)}


@pytest.mark.parametrize("revision", ["v1.4.0", "1.x", "d9ca1f3f9d1f4c6d8a1a2b3c4d5e6f7a8b9c0d1e", "web-v1.4.0"])
def test_a_revision_that_stays(revision: str) -> None:
    assert failures(MUTABLE, application(sources=source(revision=revision))) == set()
    assert passed(MUTABLE, application(sources=source(revision=revision))) == (1, 0)


def test_a_revision_that_may_be_either_is_not_judged() -> None:
    assert passed(MUTABLE, application(sources=source(revision="release-1.31"))) == (0, 1)


@pytest.mark.parametrize("policy", ["{}", "null", "{automated: null}", "{automated: {enabled: false}}", "[a]"])
def test_who_synchronises_by_hand_looks_at_what_it_is(policy: str) -> None:
    text = application(sources=source(revision="HEAD"), policy=policy)
    assert passed(MUTABLE, text) == (0, 0)
    assert failures(MUTABLE, text) == set()
    assert failures(MUTABLE, text, manual=True) == {(A, AT_REVISION, 7)}


def test_each_source_counts() -> None:
    several = (
        f"[{source(revision='HEAD')}, {source('oci://r.example/x', 'latest')}, {source(chart='web', revision='1.x')}]"
    )
    assert failures(MUTABLE, application(sources=several, field="sources")) == {
        (A, "spec.sources[0].targetRevision", 7),
        (A, "spec.sources[1].targetRevision", 7),
    }
    hydrated = f"{{drySource: {source(revision='HEAD')}, syncSource: {{targetBranch: env, path: a}}}}"
    assert failures(MUTABLE, application(sources=hydrated, field="sourceHydrator")) == {
        (A, "spec.sourceHydrator.drySource.targetRevision", 7)
    }
    # sources come before source (ApplicationSpec.GetSource).
    both = application(sources=source(revision="HEAD"), more=f"  sources: [{source()}]\n")
    assert failures(MUTABLE, both) == set()


def test_clusters_and_revisions_can_be_excepted() -> None:
    text = application(sources=source(revision="HEAD"))
    assert failures(MUTABLE, text, allowed=["HEAD"]) == set()
    assert failures(MUTABLE, text, allowed=["main"]) != set()
    assert passed(MUTABLE, text, clusters=["prod-*"]) == (0, 0)
    named = application(sources=source(revision="HEAD"), to="{name: prod-eu, namespace: shop}")
    assert failures(MUTABLE, named, clusters=["prod-*"]) != set()
    filled_in = application_set(sources=source(revision="HEAD"), to="{name: '{{name}}', namespace: shop}")
    assert passed(MUTABLE, filled_in, clusters=["prod-*"]) == (0, 1)


def test_templates_of_application_sets_are_judged_where_they_are_literal() -> None:
    text = application_set(sources=source(revision="main"))
    assert failures(MUTABLE, text) == {("ApplicationSet web", "spec.template.spec.source.targetRevision", 10)}
    assert passed(MUTABLE, application_set(sources=source(revision="{{ .branch }}"))) == (0, 1)


@pytest.mark.parametrize(
    "patch",
    [
        "  templatePatch: 'spec: {source: {targetRevision: HEAD}}'\n",
        "  generators: [{git: {template: {spec: {source: {targetRevision: HEAD}}}}}]\n",
        "  generators: [{matrix: {generators: [{list: {template: {spec: {project: default}}}}]}}]\n",
    ],
)
def test_what_a_patch_makes_of_a_template_is_not_known(patch: str) -> None:
    text = application_set()
    patched = text.replace("  generators: []\n", patch if "generators" in patch else f"  generators: []\n{patch}")
    rules = {
        "application-default-project", "application-destination-privileged", "gitops-ignores-security-field", MUTABLE,
        "gitops-secret-in-values", "gitops-source-plain-text", "gitops-sync-option-unsafe",
    }  # fmt: skip
    for rule in rules:
        assert passed(rule, text)[1] == 0
        assert passed(rule, patched) == (0, 1), rule
    with_project = found("application-project-missing", patched + project())
    assert {(kind, reason) for kind, _, reason in with_project} == {("not-judged", "not-rendered")}
    # It may be the patch that has it synchronised.
    assert passed(MUTABLE, application_set(policy="{}")) == (0, 0)
    assert passed(MUTABLE, patched.replace("{automated: {}}", "{}")) == (0, 1)


@pytest.mark.parametrize(
    ("kind", "spec", "path"),
    [
        ("GitRepository", "{ref: {branch: main}}", "spec.ref.branch"),
        ("GitRepository", "{}", "spec.ref.branch"),
        ("GitRepository", "{ref: {name: refs/heads/main}}", "spec.ref.name"),
        ("GitRepository", "{ref: {branch: main, tag: v1}}", None),
        ("GitRepository", "{ref: {branch: main, semver: 1.x}}", None),
        ("GitRepository", "{ref: {branch: main, commit: abc}}", None),
        ("GitRepository", "{ref: {name: refs/heads/main, commit: abc}}", None),
        ("OCIRepository", "{}", "spec.ref"),
        ("OCIRepository", "{ref: {tag: latest}}", "spec.ref.tag"),
        ("OCIRepository", "{ref: {tag: latest, digest: 'sha256:1'}}", None),
        ("HelmRelease", "{chart: {spec: {chart: web}}}", "spec.chart.spec.version"),
        ("HelmRelease", "{chart: {spec: {chart: web, version: '1.x'}}}", None),
        ("HelmRelease", "{chartRef: {kind: OCIRepository, name: web}}", None),
        ("HelmChart", "{chart: web, version: '*'}", "spec.version"),
    ],
)
def test_what_flux_follows(kind: str, spec: str, path: str | None) -> None:
    assert {said[1] for said in failures(MUTABLE, flux(kind, spec))} == ({path} if path else set())


def test_a_kind_of_another_group_is_no_application() -> None:
    text = application(sources=source(revision="HEAD")).replace("argoproj.io/v1alpha1", "app.k8s.io/v1beta1")
    assert passed(MUTABLE, text) == (0, 0)
    assert failures(MUTABLE, text) == set()


# --- transport ---

PLAIN = "gitops-source-plain-text"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (application(sources=source("http://git.example/a")), {(A, "spec.source.repoURL", 7)}),
        (application(sources=source("git://git.example/a")), {(A, "spec.source.repoURL", 7)}),
        (application(sources=source("HTTP://git.example/a")), {(A, "spec.source.repoURL", 7)}),
        (application(sources=source("git@git.example:a")), set()),
        (application(sources=source("ssh://git@git.example/a")), set()),
        (flux("GitRepository", '{url: "http://git.example/a"}'), {("GitRepository web", "spec.url", 5)}),
        (flux("HelmRepository", '{url: "http://git.example"}'), {("HelmRepository web", "spec.url", 5)}),
        (
            flux("OCIRepository", '{url: "oci://r.example/a", insecure: true}'),
            {("OCIRepository web", "spec.insecure", 5)},
        ),
        (flux("Bucket", "{endpoint: minio, insecure: true}"), {("Bucket web", "spec.insecure", 5)}),
        (flux("Bucket", "{endpoint: minio}"), set()),
    ],
)
def test_sources_in_plain_text(text: str, expected: set[Any]) -> None:
    assert failures(PLAIN, text) == expected
    assert failures(PLAIN, text, allowed_hosts=["git.*"]) == {e for e in expected if "insecure" in e[1]}


@pytest.mark.parametrize(("url", "judged"), [("{{ url }}", False), ("${URL}/a", False), ("https://{{ host }}/a", True)])
def test_how_a_source_is_fetched_may_be_filled_in(url: str, judged: bool) -> None:
    for text in (application_set(sources=source(url)), flux("GitRepository", f'{{url: "{url}"}}')):
        assert passed(PLAIN, text) == ((1, 0) if judged else (0, 1))


def test_a_password_in_an_address_is_not_told() -> None:
    (said,) = messages(PLAIN, application(sources=source("http://me:hunter2@git.example/a")))
    assert "hunter2" not in said


# --- projects ---


@pytest.mark.parametrize("name", ["default", '""', "null"])
def test_an_application_in_the_default_project(name: str) -> None:
    assert failures("application-default-project", application(project=name)) == {(A, "spec.project", 6)}
    assert found("application-project-missing", application(project=name), complete=True) == set()


def test_an_application_in_a_project_of_its_own() -> None:
    assert failures("application-default-project", application()) == set()


def test_projects_that_are_not_there() -> None:
    rule, about = "application-project-missing", "Application argocd/web"
    assert found(rule, application()) == {("not-judged", "", "missing-input")}
    assert found(rule, application(), complete=True) == {("fail", about, "spec.project")}
    assert found(rule, application() + project("other")) == {("fail", about, "spec.project")}
    assert found(rule, application() + project()) == {("pass", about, "")}
    assert found(rule, application_set(project='"{{team}}"'), complete=True) == set()


@pytest.mark.parametrize(
    ("repos", "repo", "expected"),
    [
        (f'["{REPO}"]', REPO + ".git", "pass"),
        ('["https://git.example/*"]', REPO, "fail"),
        ('["https://git.example/**"]', REPO, "pass"),
        ('["https://git.example/*/shop"]', REPO, "pass"),
        ('["git@git.example:team/shop"]', REPO, "fail"),
        ('["*", "!https://git.example/team/*"]', REPO, "fail"),
        ("[]", REPO, "fail"),
        ("null", REPO, "fail"),
        ('["*"]', "https://git.example/a b", "pass"),
        ('["https://git.example/*"]', "https://git.example/a b", "not-judged"),
        ('["https://git.example/{a,b*}"]', "https://git.example/b", "not-judged"),
    ],
)
def test_sources_that_a_project_permits(repos: str, repo: str, expected: str) -> None:
    said = found("application-source-not-permitted", application(sources=source(repo)) + project(repos=repos))
    words = {"fail": "spec.source.repoURL", "pass": "", "not-judged": "unsupported"}[expected]
    assert said == {(expected, "Application argocd/web", words)}


@pytest.mark.parametrize(
    ("destinations", "to", "expected"),
    [
        (f'[{{server: "{SERVER}", namespace: shop}}]', f'{{server: "{SERVER}", namespace: shop}}', "pass"),
        ("[{name: in-cluster, namespace: 'shop*'}]", f'{{server: "{SERVER}", namespace: shop-eu}}', "pass"),
        (f'[{{server: "{SERVER}", namespace: "*"}}]', "{name: in-cluster, namespace: shop}", "pass"),
        (f'[{{server: "{SERVER}", namespace: shop}}]', f'{{server: "{SERVER}", namespace: data}}', "fail"),
        (
            "[{server: '*', namespace: '*'}, {server: '*', namespace: '!data'}]",
            f'{{server: "{SERVER}", namespace: data}}',
            "fail",
        ),
        ("[{server: '*', namespace: shop}]", "{name: prod, namespace: shop}", "pass"),
        ("[{name: prod, namespace: shop}]", "{server: 'https://prod.example', namespace: shop}", "not-judged"),
        ("[{name: other, namespace: shop}]", "{name: prod, namespace: shop}", "fail"),
        ("[]", f'{{server: "{SERVER}", namespace: shop}}', "fail"),
    ],
)
def test_destinations_that_a_project_permits(destinations: str, to: str, expected: str) -> None:
    text = application(to=to) + project(destinations=destinations)
    words = {"fail": "spec.destination.namespace", "pass": "", "not-judged": "missing-input"}[expected]
    assert found("application-destination-not-permitted", text) == {(expected, "Application argocd/web", words)}


def test_destinations_that_nothing_here_decides() -> None:
    rule = "application-destination-not-permitted"
    own = project(permitOnlyProjectScopedClusters="true")
    assert found(rule, application() + own) == {("not-judged", "Application argocd/web", "missing-input")}
    assert found(rule, application()) == set()
    generated = application_set(to='{server: "{{server}}", namespace: shop}') + project()
    assert found(rule, generated) == {("not-judged", "ApplicationSet argocd/web", "not-rendered")}


@pytest.mark.parametrize("namespace", ["kube-system", "kube-public", "argocd"])
def test_destinations_of_the_system(namespace: str) -> None:
    rule = "application-destination-privileged"
    text = application(to=f'{{server: "{SERVER}", namespace: {namespace}}}')
    assert failures(rule, text) == {(A, "spec.destination.namespace", 8)}
    assert failures(rule, application()) == set()
    assert bool(failures(rule, text, own_namespace=False)) == (namespace != "argocd")


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        (project(), set()),
        (project(repos='["*"]'), {"spec.sourceRepos[0]"}),
        (project(repos='["!https://git.example/secret", "*"]'), {"spec.sourceRepos[1]"}),
        (project(destinations="[{server: '**', namespace: '**'}]"), {"spec.destinations[0].namespace"}),
        (project(destinations="[{server: '*', namespace: '*'}]"), {"spec.destinations[0].namespace"}),
        (project(destinations=f'[{{server: "{SERVER}", namespace: "*"}}]'), {"spec.destinations[0].namespace"}),
        (project(destinations="[{server: '*', namespace: '*'}, {server: '*', namespace: '!kube-*'}]"), set()),
        (project(destinations="[{server: '*', namespace: shop}]"), set()),
        (project(repos="3", destinations="[null, 3]"), set()),
    ],
)
def test_a_project_that_permits_everything(text: str, paths: set[str]) -> None:
    assert {path for _, path, _ in failures("app-project-permits-everything", text)} == paths


@pytest.mark.parametrize(
    ("listed", "reported"),
    [
        ("[{group: '*', kind: '*'}]", True),
        ("[{group: rbac.authorization.k8s.io, kind: '*'}]", True),
        ("[{group: '', kind: Namespace}]", False),
        ("[{group: apps, kind: '*'}]", False),
        ("[]", False),
    ],
)
def test_a_project_that_permits_cluster_scoped_resources(listed: str, reported: bool) -> None:
    paths = {path for _, path, _ in failures("app-project-cluster-resources", project(clusterResourceWhitelist=listed))}
    assert paths == ({"spec.clusterResourceWhitelist[0].kind"} if reported else set())


def test_of_several_projects_of_a_name_the_nearest_counts(tmp_path: Path) -> None:
    for folder, namespace in (("a", "shop"), ("b", "data")):
        (tmp_path / folder).mkdir()
        to = f'{{server: "{SERVER}", namespace: {namespace}}}'
        (tmp_path / folder / "app.yaml").write_text(application(f"web-{folder}", to=to))
        (tmp_path / folder / "project.yaml").write_text(project(destinations=f"[{to}]"))
    result = scan(
        plan_of(profile_of("application-destination-not-permitted")),
        discover((str(tmp_path),)),
        Target("manifests", "x"),
    )
    assert failing(result) == []
    assert result.summary.passed == 2


# --- options and differences ---


def test_options_that_leave_a_safeguard_out() -> None:
    text = application(policy="{syncOptions: [CreateNamespace=true, Validate=false, Replace=false]}")
    assert failures("gitops-sync-option-unsafe", text) == {(A, "spec.syncPolicy.syncOptions[1]", 9)}


@pytest.mark.parametrize(
    ("entry", "path"),
    [
        ("{kind: Deployment, jsonPointers: [/spec/replicas]}", None),
        ("{kind: Deployment, jsonPointers: [/spec]}", "jsonPointers[0]"),
        ("{kind: Deployment, jsonPointers: [/metadata/labels/a, /spec/template/spec/hostNetwork]}", "jsonPointers[1]"),
        (
            "{kind: Deployment, jsonPointers: [/spec/template/spec/containers/0/securityContext/privileged]}",
            "jsonPointers[0]",
        ),
        ("{kind: Deployment, jsonPointers: [/spec/template/spec/containers/0]}", "jsonPointers[0]"),
        ("{kind: Deployment, jsonPointers: [/spec/template/spec/containers/0/image]}", None),
        ("{kind: RoleBinding, jsonPointers: [/subjects]}", "jsonPointers[0]"),
        ("{kind: Role, jsonPointers: [/rules]}", "jsonPointers[0]"),
        ("{kind: ClusterRole, jsonPointers: [/rules]}", None),
        ("{kind: A, jqPathExpressions: ['.webhooks[].clientConfig.caBundle']}", None),
        ("{kind: A, jqPathExpressions: ['.spec.template.spec.securityContext']}", "jqPathExpressions[0]"),
        ("{kind: A, jqPathExpressions: [.spec]}", "jqPathExpressions[0]"),
        ("{kind: A, jqPathExpressions: ['.spec.replicas']}", None),
    ],
)
def test_differences_of_security_fields_that_are_ignored(entry: str, path: str | None) -> None:
    text = application(more=f"  ignoreDifferences: [{entry}]\n")
    expected = {(A, f"spec.ignoreDifferences[0].{path}", 10)} if path else set()
    assert failures("gitops-ignores-security-field", text) == expected


# --- secrets ---

SECRET = "hunter2-not-real"


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        (
            application(sources=source(helm=f"{{parameters: [{{name: db.password, value: {SECRET}}}]}}")),
            {"spec.source.helm.parameters[0].value"},
        ),
        (
            application(sources=source(helm=f"{{valuesObject: {{db: {{password: {SECRET}}}}}}}")),
            {"spec.source.helm.valuesObject.db.password"},
        ),
        (
            application(sources=source(helm=f'{{values: "db:\\n  password: {SECRET} # x\\n"}}')),
            {"spec.source.helm.values"},
        ),
        (application(sources=source(helm='{values: "db:\\n  existingSecret: web-db\\n"}')), set()),
        (application(sources=source(helm='{values: "password: ${PASSWORD}"}')), set()),
        (application(sources=source(helm="{parameters: [{name: secret.mountpoint, value: vault-kv2}]}")), set()),
        (application(sources=source(helm="{values: 3, parameters: [null, 3]}")), set()),
        (
            application(sources=source(plugin=f"{{env: [{{name: API_TOKEN, value: {SECRET}}}]}}")),
            {"spec.source.plugin.env[0].value"},
        ),
        (
            flux("HelmRelease", f"{{values: {{env: [{{name: DB_PASSWORD, value: {SECRET}}}]}}}}"),
            {"spec.values.env[0].value"},
        ),
        (
            flux("Kustomization", f"{{postBuild: {{substitute: {{db_password: {SECRET}}}}}}}"),
            {"spec.postBuild.substitute.db_password"},
        ),
        (flux("HelmRelease", "{values: {auth: {existingSecret: web-db, replicas: 3}}}"), set()),
    ],
)
def test_credentials_in_values(text: str, paths: set[str]) -> None:
    rule = "gitops-secret-in-values"
    assert {path for _, path, _ in failures(rule, text)} == paths
    assert not any(SECRET in said for said in messages(rule, text))
    result = scan_text(plan_of(profile_of(rule)), text)
    assert SECRET not in repr(failing(result))


# --- Flux ---


def test_whose_rights_flux_uses() -> None:
    rule = "flux-without-service-account"
    assert failures(rule, flux("Kustomization", "{prune: true}")) == {
        ("Kustomization web", "spec.serviceAccountName", 5)
    }
    assert failures(rule, flux("HelmRelease", "{serviceAccountName: ''}")) != set()
    assert failures(rule, flux("HelmRelease", "{serviceAccountName: deployer}")) == set()
    kustomize = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nmetadata: {name: a}\n"
    assert passed(rule, kustomize) == (0, 0)


@pytest.mark.parametrize(("spec", "reported"), [("{prune: true}", False), ("{prune: false}", True), ("{}", True)])
def test_what_flux_leaves_behind(spec: str, reported: bool) -> None:
    assert bool(failures("flux-prune-disabled", flux("Kustomization", spec))) == reported


@pytest.mark.parametrize(
    ("text", "path"),
    [
        (flux("Kustomization", "{sourceRef: {name: a, namespace: others}}"), "spec.sourceRef.namespace"),
        (flux("Kustomization", "{sourceRef: {name: a, namespace: shop}}"), None),
        (flux("Kustomization", "{sourceRef: {name: a, namespace: flux-system}}"), None),
        (
            flux("HelmRelease", "{chart: {spec: {sourceRef: {namespace: others}}}}"),
            "spec.chart.spec.sourceRef.namespace",
        ),
        (flux("HelmRelease", "{chartRef: {namespace: others}}"), "spec.chartRef.namespace"),
    ],
)
def test_sources_of_other_namespaces(text: str, path: str | None) -> None:
    assert {said[1] for said in failures("flux-cross-namespace-source", text)} == ({path} if path else set())


# --- what is scanned ---


def test_sources_that_are_scanned(tmp_path: Path) -> None:
    (tmp_path / "shop" / "deploy").mkdir(parents=True)
    (tmp_path / "shop" / "deploy" / "all.yaml").write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n")
    (tmp_path / "apps.yaml").write_text(
        application()
        + application("other", sources=source(path="deply"))
        + application("c", sources=source(chart="c"))
        + application("d", sources=source(kustomize="{namePrefix: x-}"))
    )

    def scanned(**parameters: Any) -> tuple[set[tuple[str, str, int]], list[str], int]:
        plan = plan_of(profile_of("deployed-source-not-scanned", **parameters))
        result = scan(plan, discover((str(tmp_path),)), Target("manifests", "x"))
        places = {(f.object.name, f.path, f.location.start_line) for f in failing(result)}
        return places, sorted(said.reason for said in result.not_evaluated), result.summary.passed

    assert scanned() == (set(), ["not-rendered"] * 3, 1)
    assert scanned(repositories=[REPO + ".git"]) == ({("other", "spec.source.path", 16)}, ["not-rendered"] * 2, 1)
    patch = "  templatePatch: 'spec: {source: {path: elsewhere}}'\n"
    (tmp_path / "set.yaml").write_text(application_set().replace("  template:\n", f"{patch}  template:\n"))
    assert scanned() == (set(), ["not-rendered"] * 4, 1)


# --- robustness ---

VALUES = st.sampled_from(["3", "[a, 1, null]", "{a: {b: 1}}", "null", "x", '""', "true", "[[]]", "{source: {helm: 1}}"])
FIELDS = st.sampled_from(
    ["project", "source", "sources", "destination", "syncPolicy", "ignoreDifferences", "sourceHydrator", "template"]
)
RULES = (
    MUTABLE,
    PLAIN,
    "application-default-project",
    "application-project-missing",
    "application-source-not-permitted",
    "application-destination-not-permitted",
    "application-destination-privileged",
    "app-project-permits-everything",
    "app-project-cluster-resources",
    "gitops-sync-option-unsafe",
    "gitops-ignores-security-field",
    "gitops-secret-in-values",
    "deployed-source-not-scanned",
)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(FIELDS, VALUES), st.sampled_from(["Application", "ApplicationSet", "AppProject"]))
def test_hostile_values_end_no_rule(fields: dict[str, str], kind: str) -> None:
    spec = "".join(f"  {name}: {value}\n" for name, value in fields.items()) or "  {}\n"
    text = f"---\napiVersion: argoproj.io/v1alpha1\nkind: {kind}\nmetadata: {{name: web, namespace: argocd}}\n"
    text += f"spec:\n{spec}"
    text += application("other") + project(repos="[1, null, [x]]", destinations="[1, null, {server: [x]}]")
    for rule in RULES:
        failures(rule, text)


def test_cost_is_linear_in_applications_and_projects() -> None:
    run_within_seconds(
        "from checks.storage_kit import found\n"
        "from checks.test_gitops import application, project\n"
        "text = ''.join(application(f'a{n}', project=f'p{n}') + project(f'p{n}') for n in range(500))\n"
        f"[found(rule, text) for rule in {RULES[3:6]!r}]",
        seconds=60,
    )
