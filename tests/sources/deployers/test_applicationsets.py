"""The Applications that ApplicationSets make. Cases: argo-cd v3.6, applicationset/generators and utils, their tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from deployer_trees import CONFIG_MAP, URL, follow, said, tree

from kit import objects_in, run_within_seconds
from kubeassay.sources.deployers.applicationsets import generated_applications
from kubeassay.sources.deployers.follow import Followed
from kubeassay.sources.deployers.generators import flattened
from kubeassay.sources.deployers.model import UnfollowableError
from kubeassay.sources.deployers.paths import BadPatternError, files_matching, path_match, pathspec_match
from kubeassay.sources.deployers.repositories import Repositories, Repository
from kubeassay.sources.deployers.templates import from_json, go_text, replace, sanitized


def appset(generators: str, *, name: str = "'{{path.basename}}'", path: str = "'{{path}}'", spec: str = "") -> str:
    """The text of a set: generators as YAML flow or block that is indented by four spaces."""
    return f"""apiVersion: argoproj.io/v1alpha1
kind: ApplicationSet
metadata: {{name: all, namespace: argocd}}
spec:
{spec}
  generators:
{generators}
  template:
    metadata: {{name: {name}}}
    spec:
      project: shop
      source: {{repoURL: {URL}, path: {path}}}
      destination: {{server: https://kubernetes.default.svc, namespace: shop}}
"""


GO = "  goTemplate: true\n  goTemplateOptions: [missingkey=error]"


def made(found: Followed) -> list[tuple[str, str]]:
    """(name, path of its source) of what a set makes."""
    return [(one.obj.ref.name, one.obj.get("spec", "source", "path")) for one in found.deployments]


def folders(root: Path, *names: str) -> Path:
    return tree(root, {f"{name}/web.yaml": CONFIG_MAP for name in names})


# --- git ---


@pytest.mark.parametrize("go", [False, True])
def test_folders_of_the_tree(tmp_path: Path, go: bool) -> None:
    root = folders(tmp_path, "apps/a", "apps/b", "apps/b/deep", "apps/old", "apps/.hidden", "other/c")
    text = appset(
        f"    - git: {{repoURL: {URL}, directories: [{{path: apps/*}}, {{path: apps/old, exclude: true}}]}}",
        name="'{{.path.basename}}'" if go else "'{{path.basename}}'",
        path="'{{.path.path}}'" if go else "'{{ path }}'",
        spec=GO if go else "",
    )
    found = follow(root, text)
    assert made(found) == [("a", "apps/a"), ("b", "apps/b")]
    assert [len(one.sources) for one in found.deployments] == [1, 1]
    assert not found.not_followed
    # Places are those of the set's template.
    place = found.deployments[0].obj.locate(("spec", "source", "path"))
    assert (place.file, place.start_line) == ("test.yaml", 13 if go else 12)
    assert found.deployments[0].made_by is not None


def test_parameters_of_a_path(tmp_path: Path) -> None:
    root = folders(tmp_path, "apps/Web_One/prod")
    generator = (
        f"    - git: {{repoURL: {URL}, directories: [{{path: 'apps/*/prod'}}], values: {{x: 'v-{{{{path[1]}}}}'}}}}"
    )
    name = "'{{path[0]}}-{{path[2]}}-{{values.x}}-{{path.basenameNormalized}}-{{gone}}'"
    assert made(follow(root, appset(generator, name=name)))[0][0] == "apps-prod-v-Web_One-prod-{{gone}}"
    prefixed = generator.replace("repoURL", "pathParamPrefix: p, repoURL").replace("path[1]", "p.path[1]")
    assert made(follow(root, appset(prefixed, name="'{{values.x}}'", path="'{{p.path}}'")))[0] == (
        "v-Web_One",
        "apps/Web_One/prod",
    )
    go = appset(
        generator.replace("{{path[1]}}", "{{ index .path.segments 1 }}"),
        name="'{{ index .path.segments 1 | normalize }}-{{ .values.x | lower }}'",
        path="'{{.path.path}}'",
        spec=GO,
    )
    assert made(follow(root, go)) == [("web-one-v-web_one", "apps/Web_One/prod")]


@pytest.mark.parametrize("go", [False, True])
def test_files_of_the_tree(tmp_path: Path, go: bool) -> None:
    files = {
        "c/a/config.json": '{"name": "a", "cluster": {"owner": "x", "ids": ["i", "j"]}, "num": 3}',
        "c/b/config.yaml": "- {name: b1, cluster: {owner: w, ids: [k, l]}, num: 4}\n"
        "- {name: b2, cluster: {owner: w, ids: [m, o]}, num: 5}\n",
    }
    root = tree(tmp_path, files)
    generator = f"    - git: {{repoURL: {URL}, files: [{{path: 'c/**/config.*'}}]}}"
    if go:
        name = "'{{.name}}-{{.cluster.owner}}-{{index .cluster.ids 1}}-{{.num}}-{{.path.filename}}'"
        found = follow(root, appset(generator, name=name, path="'{{.path.path}}'", spec=GO))
    else:
        name = "'{{name}}-{{cluster.owner}}-{{cluster.ids.1}}-{{num}}-{{path.filename}}'"
        found = follow(root, appset(generator, name=name))
    assert made(found) == [
        ("a-x-j-3-config.json", "c/a"),
        ("b1-w-l-4-config.yaml", "c/b"),
        ("b2-w-o-5-config.yaml", "c/b"),
    ]


def test_patterns_of_files_that_two_ways_of_globbing_read_differently_are_noted(tmp_path: Path) -> None:
    root = tree(tmp_path, {"a/config.json": '{"id": "x"}', "a/b/config.json": '{"id": "y"}'})
    found = follow(
        root,
        appset(
            f"    - git: {{repoURL: {URL}, files: [{{path: 'a*/config.json'}}]}}", name="'{{id}}'", path="'{{path}}'"
        ),
    )
    assert [name for name, _ in made(found)] == ["y", "x"]
    assert any("globbing" in note for note in found.notes)


def test_another_repository_is_told(tmp_path: Path) -> None:
    root = folders(tmp_path, "apps/a")
    text = appset("    - git: {repoURL: 'https://other.example/x', directories: [{path: '*'}]}")
    assert said(follow(root, text).not_followed) == {("other-repository", 7)}


# --- list, matrix, merge, selectors ---


def test_lists(tmp_path: Path) -> None:
    root = folders(tmp_path, "apps/a", "apps/b")
    flat = "    - list: {elements: [{id: a, values: {x: '1'}}, {id: b, values: {x: '2'}}]}"
    assert made(follow(root, appset(flat, name="'{{id}}-{{values.x}}'", path="'apps/{{id}}'"))) == [
        ("a-1", "apps/a"),
        ("b-2", "apps/b"),
    ]
    # What is no text is refused without Go templates, and a number with them.
    number = "    - list: {elements: [{id: a, x: 2}]}"
    assert said(follow(root, appset(number, name="'{{id}}'")).not_followed) == {("invalid-object", 7)}
    assert made(follow(root, appset(number, name="'{{.id}}-{{.x}}'", path="'apps/a'", spec=GO))) == [("a-2", "apps/a")]
    text = "    - list: {elements: [], elementsYaml: '[{id: a}]'}"
    assert made(follow(root, appset(text, name="'{{id}}'", path="'apps/{{id}}'"))) == [("a", "apps/a")]


def test_matrix_fills_in_its_second_generator(tmp_path: Path) -> None:
    root = folders(tmp_path, "prod/a", "prod/b", "dev/a")
    generator = f"""    - matrix:
        generators:
          - list: {{elements: [{{env: prod}}, {{env: dev}}]}}
          - git: {{repoURL: {URL}, directories: [{{path: '{{{{env}}}}/*'}}]}}"""
    assert made(follow(root, appset(generator, name="'{{env}}-{{path.basename}}'"))) == [
        ("prod-a", "prod/a"),
        ("prod-b", "prod/b"),
        ("dev-a", "dev/a"),
    ]
    go = generator.replace("{{env}}", "{{.env}}")
    found = follow(root, appset(go, name="'{{.env}}-{{.path.basename}}'", path="'{{.path.path}}'", spec=GO))
    assert [name for name, _ in made(found)] == ["prod-a", "prod-b", "dev-a"]


def test_matrix_refuses_two_values_of_one_name(tmp_path: Path) -> None:
    generator = """    - matrix:
        generators:
          - list: {elements: [{a: '1'}]}
          - list: {elements: [{a: '2'}]}"""
    found = follow(folders(tmp_path, "x"), appset(generator))
    assert not found.deployments
    assert [error.line for error in found.errors] == [7]


@pytest.mark.parametrize("go", [False, True])
def test_merge(tmp_path: Path, go: bool) -> None:
    generator = """    - merge:
        mergeKeys: [id]
        generators:
          - list: {elements: [{id: a, p: apps/a, x: base}, {id: b, p: apps/b, x: base}]}
          - list: {elements: [{id: b, x: over}, {id: c, x: none}]}"""
    dot = "." if go else ""
    found = follow(
        folders(tmp_path, "apps/a", "apps/b"),
        appset(generator, name=f"'{{{{{dot}id}}}}-{{{{{dot}x}}}}'", path=f"'{{{{{dot}p}}}}'", spec=GO if go else ""),
    )
    assert made(found) == [("a-base", "apps/a"), ("b-over", "apps/b")]


def test_merge_refuses_keys_that_are_not_unique(tmp_path: Path) -> None:
    generator = """    - merge:
        mergeKeys: [id]
        generators:
          - list: {elements: [{id: a}, {id: a, x: w}]}
          - list: {elements: [{id: a}]}"""
    found = follow(folders(tmp_path, "x"), appset(generator))
    assert [error.line for error in found.errors] == [7]


def test_a_selector_takes_some_of_what_a_generator_makes(tmp_path: Path) -> None:
    root = folders(tmp_path, "apps/a", "apps/b", "apps/c")
    elements = "list: {elements: [{id: a, t: 'https://x/1'}, {id: b, t: w}, {id: c}]}"
    for selector, names in {
        "{matchLabels: {t: 'https://x/1'}}": ["a"],
        "{matchExpressions: [{key: t, operator: In, values: [w, z]}]}": ["b"],
        "{matchExpressions: [{key: t, operator: NotIn, values: [w]}]}": ["a", "c"],
        "{matchExpressions: [{key: t, operator: Exists}]}": ["a", "b"],
        "{matchExpressions: [{key: t, operator: DoesNotExist}]}": ["c"],
    }.items():
        text = appset(f"    - {{{elements}, selector: {selector}}}", name="'{{id}}'", path="'apps/{{id}}'")
        assert [name for name, _ in made(follow(root, text))] == names


# --- clusters ---

_SECRET = """apiVersion: v1
kind: Secret
metadata:
  name: cluster-one
  namespace: argocd
  labels: {argocd.argoproj.io/secret-type: cluster, env: prod}
  annotations: {region: eu}
stringData: {name: hidden-name, server: https://hidden.example, config: hidden-token}
---
"""


def test_its_own_cluster_is_followed_and_the_others_are_told(tmp_path: Path) -> None:
    root = folders(tmp_path, "apps/a")
    found = follow(root, appset("    - clusters: {}", name="'{{name}}'", path="apps/a"))
    assert made(found) == [("in-cluster", "apps/a")]
    assert said(found.not_followed) == {("generator", 7)}
    selected = appset("    - clusters: {selector: {matchLabels: {env: prod}}}", name="'{{name}}'", path="apps/a")
    assert said(follow(root, selected).not_followed) == {("generator", 7)}


def test_clusters_are_known_by_the_metadata_of_their_secrets(tmp_path: Path) -> None:
    root = folders(tmp_path, "apps/a")
    generator = "    - clusters: {selector: {matchLabels: {env: prod}}}"
    name = "'{{metadata.labels.env}}-{{metadata.annotations.region}}'"
    text = _SECRET + appset(generator, name=name, path="apps/a").replace(
        "https://kubernetes.default.svc", "'{{server}}'"
    )
    found = follow(root, text)
    assert made(found) == [("prod-eu", "apps/a")]
    assert found.deployments[0].destination.server == ""
    # A name that stands in a Secret is not shown, and nothing is made of it.
    hidden = follow(root, _SECRET + appset(generator, name="'{{name}}-x'", path="apps/a"))
    assert not hidden.deployments
    assert {problem.reason for problem in hidden.not_followed} == {"secret"}
    assert "hidden" not in repr((hidden, found.notes, found.not_followed))


@pytest.mark.parametrize("name", ["scmProvider", "pullRequest", "plugin", "clusterDecisionResource", "unheardOf"])
def test_generators_that_ask_elsewhere_are_told(tmp_path: Path, name: str) -> None:
    found = follow(folders(tmp_path, "x"), appset(f"    - {name}: {{}}"))
    assert said(found.not_followed) == {("generator", 7)}


# --- templates ---


def test_a_generator_has_a_template_of_its_own(tmp_path: Path) -> None:
    root = folders(tmp_path, "apps/a", "apps/other")
    generator = """    - list:
        elements: [{id: a}]
        template: {metadata: {}, spec: {source: {path: apps/other, repoURL: ''}, destination: {}}}"""
    assert made(follow(root, appset(generator, name="'{{id}}'"))) == [("a", "apps/other")]


def test_a_template_patch(tmp_path: Path) -> None:
    root = folders(tmp_path, "apps/a", "apps/b")
    patch = """  goTemplate: true
  templatePatch: |
    spec:
      project: stolen
      {{- if eq .id "b" }}
      source: {directory: {recurse: true}}
      {{- else }}
      source: {targetRevision: v{{ .id }}}
      {{- end }}"""
    found = follow(
        root,
        appset("    - list: {elements: [{id: a}, {id: b}]}", name="'{{.id}}'", path="'apps/{{.id}}'", spec=patch),
    )
    specs = [one.obj.get("spec") for one in found.deployments]
    assert [spec["project"] for spec in specs] == ["shop", "shop"]
    assert [spec["source"].get("targetRevision") for spec in specs] == ["va", None]
    assert [spec["source"].get("directory") for spec in specs] == [None, {"recurse": True}]


def test_two_applications_of_one_name_are_refused(tmp_path: Path) -> None:
    root = folders(tmp_path, "apps/a")
    found = follow(root, appset("    - list: {elements: [{id: a}, {id: b}, {id: c}]}", name="same", path="apps/a"))
    assert not found.deployments
    assert {error.line for error in found.errors} == {9}


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("{{a}}-{{ b }}", "1-{{ b }}"),
        ("{{a.b}}", "2"),
        ("{{}}", "{{}}"),
        ("no", "no"),
        ("{{n}}", "{{n}}"),
    ],
)
def test_flat_templates(text: str, made: str) -> None:
    assert replace(text, {"a": "1", "a.b": "2", "n": 3.0}, False) == made


_DATA: dict[str, Any] = from_json(
    {"a": "Web", "b": {"c": "x-y", "n": 3, "big": 1000000, "f": 0.5, "t": True}, "l": ["p", "q"], "e": "", "s": " s "}
)


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("{{.a}}-{{ .b.c }}", "Web-x-y"),
        ("{{ $.b.c }}", "x-y"),
        ("{{ .a | lower }}", "web"),
        ('{{ lower .a | printf "%s-%s" .b.c }}', "x-y-web"),
        ("{{ index .l 1 }}", "q"),
        ('{{ index .b "c" }}', "x-y"),
        ('{{ (index .b "c") | upper }}', "X-Y"),
        ("{{ .b.n }} {{ .b.big }} {{ .b.f }} {{ .b.t }}", "3 1e+06 0.5 true"),
        ("{{ .l }}", "[p q]"),
        ("{{ .b.gone }}", "<no value>"),
        ("{{ .gone.gone }}", "<no value>"),
        ('{{ default "d" .e }}{{ .gone | default `r` }}', "dr"),
        ('{{ replace "-" "_" .b.c }}', "x_y"),
        ('{{ trimPrefix "W" .a }}{{ .s | trim }}', "ebs"),
        ('{{ join "," .l }}', "p,q"),
        ('{{ splitList "-" .b.c | last }}', "y"),
        ("{{ trunc 2 .a }}{{ trunc -2 .a }}", "Weeb"),
        ("{{ quote .a }}", '"Web"'),
        ("a {{- .a -}} b", "aWebb"),
        ("a{{/* no */}}b", "ab"),
        ('{{ if eq .a "Web" }}y{{ else }}n{{ end }}', "y"),
        ("{{ if and .e .a }}y{{ else if not .e }}z{{ else }}n{{ end }}", "z"),
        ('{{ if hasKey .b "c" }}y{{ end }}', "y"),
        ('{{ "}}" }}', "}}"),
    ],
)
def test_go_templates(text: str, made: str) -> None:
    assert replace(text, _DATA, True) == made


@pytest.mark.parametrize(
    "text",
    [
        "{{ range .l }}{{ . }}{{ end }}",
        "{{ with .a }}x{{ end }}",
        "{{ $x := .a }}",
        '{{ define "x" }}{{ end }}',
        "{{ sha256sum .a }}",
        '{{ env "HOME" }}',
        "{{ .a.b }}",
        "{{ index .l 7 }}",
        '{{ index .b "gone" }}',
        "{{ lower .b }}",
        "{{ .b.n | add 1 }}",
        "{{ if eq .b.n 3 }}x{{ end }}",
        "{{ .a",
        "{{ }}",
        "{{ if .a }}",
        "{{ end }}",
        "{{ (.a }}",
        "{{ .a .b }}",
    ],
)
def test_go_templates_that_are_not_reproduced_are_told(text: str) -> None:
    with pytest.raises(UnfollowableError):
        replace(text, _DATA, True)


def test_missing_keys_are_errors_where_the_set_says_so() -> None:
    with pytest.raises(UnfollowableError):
        replace("{{ .gone }}", _DATA, True, ("missingkey=error",))
    with pytest.raises(UnfollowableError):
        replace("{{ .a }}", _DATA, True, ("unheard=of",))


def test_numbers_and_names_as_go_writes_them() -> None:
    numbers = {
        3: "3",
        100000: "100000",
        1000000: "1e+06",
        123456789: "1.23456789e+08",
        0.00001: "1e-05",
        -2.25: "-2.25",
    }
    assert {number: go_text(float(number)) for number in numbers} == numbers
    assert go_text({"b": 1.0, "a": [True, None]}) == "map[a:[true <nil>] b:1]"
    assert sanitized("-My_App.Name-") == "my-app.name"
    assert dict(flattened({"a": {"b": [1, {"c": 2}]}})) == {"a.b.0": 1, "a.b.1.c": 2}


# --- patterns ---


@pytest.mark.parametrize(
    ("pattern", "path", "found"),
    [
        ("apps/*", "apps/a", True),
        ("apps/*", "apps/a/b", False),
        ("*", "apps", True),
        ("apps/[a-c]?", "apps/bx", True),
        ("apps/[^a]", "apps/a", False),
        ("apps/\\*", "apps/*", True),
        ("**/x", "a/b/x", False),
    ],
)
def test_patterns_of_folders(pattern: str, path: str, found: bool) -> None:
    assert path_match(pattern, path) is found


@pytest.mark.parametrize("pattern", ["[", "a\\", "[]a]", "*" + "a*" * 40])
def test_bad_patterns(pattern: str) -> None:
    with pytest.raises(BadPatternError):
        path_match(pattern, "a")


def test_patterns_of_git() -> None:
    assert pathspec_match("a/**/c.json", "a/b/x/c.json")
    assert pathspec_match("a/*.json", "a/b/c.json")
    assert pathspec_match("a", "a/b/c.json")
    assert not pathspec_match("a", "ab/c.json")
    assert not pathspec_match("**/c.json", "c.json")
    with pytest.raises(BadPatternError):
        pathspec_match(":(exclude)a", "a")


def test_patterns_do_not_follow_links_out_of_the_tree(tmp_path: Path) -> None:
    outside = tree(tmp_path / "out", {"x.yaml": ""}, git=False)
    root = tree(tmp_path / "in", {"a/x.yaml": "", "a/b/x.yaml": ""}, git=False)
    (root / "link").symlink_to(outside)
    (root / "a/loop").symlink_to("..")
    assert files_matching(str(root), "**/x.yaml") == ["a/b/x.yaml", "a/x.yaml"]
    assert files_matching(str(root), "*/x.yaml") == ["a/x.yaml"]


# --- what is hostile ---


def test_large_sets_end() -> None:
    run_within_seconds(
        """
import tempfile, os
from kit import objects_in
from kubeassay.sources.deployers.applicationsets import generated_applications
from kubeassay.sources.deployers.repositories import Repositories, Repository
def run(generators, spec=""):
    text = "apiVersion: argoproj.io/v1alpha1\\nkind: ApplicationSet\\nmetadata: {name: a}\\nspec:\\n" + spec
    text += "  generators: " + generators + "\\n  template: {metadata: {name: '{{id}}{{m}}'}, spec: {}}\\n"
    made = generated_applications(objects_in(text)[0], Repositories(Repository(root)), [])
    return len(made.applications), made.findings.not_followed
root = os.path.realpath(tempfile.mkdtemp())
many = "[" + ",".join("{id: 'x%d'}" % n for n in range(10_000)) + "]"
assert run("[{list: {elements: %s}}]" % many)[0] == 10_000
assert run("[{list: {elements: %s}}]" % many.replace("{id: 'x0'}", "{id: a}, {id: b}"))[1][0].reason == "limit"
other = many.replace("id:", "m:")
bomb = "[{matrix: {generators: [{list: {elements: %s}}, {list: {elements: %s}}]}}]" % (many, other)
assert run(bomb)[1][0].reason == "limit"
for n in range(50):
    os.makedirs(f"{root}/d{n}/e/f")
globs = ",".join("{path: '*a*b*c*%d*'}" % n for n in range(30_000))
assert run("[{git: {repoURL: 'https://a/b', directories: [%s]}}]" % globs)[1][0].reason == "limit"
""",
        seconds=60,
    )


def test_template_bombs_end() -> None:
    run_within_seconds(
        """
from kubeassay.sources.deployers.model import UnfollowableError
from kubeassay.sources.deployers.templates import replace
deep = "{{" + "(" * 5000 + ".a" + ")" * 5000 + "}}"
for text, go in (("{{a}}" * 20000, False), ("{{.a}}" * 20000, True), (deep, True),
                 ("{{if .a}}" * 5000, True), ("{{" * 50000, True), ("{{`" * 9999, True), ('{{ "' * 9999, True)):
    try:
        replace(text, {"a": "x" * 10000}, go)
    except UnfollowableError:
        continue
    raise AssertionError(text[:20])
""",
        seconds=30,
    )


@pytest.mark.parametrize(
    "spec",
    [
        "",
        "{generators: x}",
        "{generators: [1, null, {}], template: []}",
        "{generators: [{list: {elements: [[], 1]}}]}",
        "{generators: [{list: {elements: [{id: a}]}, git: {}}]}",
        "{generators: [{matrix: {generators: [{matrix: {generators: [{}, {}]}}, {}]}}]}",
        "{generators: [{merge: {generators: [], mergeKeys: [1]}}]}",
        "{generators: [{clusters: {selector: {matchExpressions: [{key: 1}]}}}]}",
        "{goTemplate: true, goTemplateOptions: [1], generators: [{list: {elements: [{id: {}}]}}], "
        "template: {metadata: {name: '{{.id}}'}}}",
        "{generators: [{list: {elements: [{id: a}]}}], template: {metadata: {name: 'x'}}, templatePatch: '[1]'}",
        "{generators: [{list: {elements: [{id: a}]}}], template: {metadata: {name: 'x'}}, "
        "templatePatch: '{$patch: delete}'}",
    ],
)
def test_sets_of_any_form_give_no_traceback(spec: str) -> None:
    (obj,) = objects_in(
        f"apiVersion: argoproj.io/v1alpha1\nkind: ApplicationSet\nmetadata: {{name: a}}\nspec: {spec}\n"
    )
    found = generated_applications(obj, Repositories(Repository("/nowhere")), [])
    assert found is not None
    assert found.findings.errors or found.findings.not_followed or found.applications
