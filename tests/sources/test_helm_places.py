"""Findings of a chart stand where a template or a values file states them: with the real Helm, on a chart of our own.

The chart is ``fixtures/charts/storefront``: a library chart and a sub-chart in its folder, one that lies beside it
under another name, hooks, and three values files.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from kit import give_program, run_command
from kubeassay.model import Object, Traced
from kubeassay.model import Path as FieldPath
from kubeassay.sources.helm_template import template
from kubeassay.sources.manifests import read_bytes
from kubeassay.sources.rendering import HelmDemand, Limits, Output

CHARTS = Path(__file__).parent.parent.parent / "fixtures" / "charts"
RULES = frozenset(
    {
        "allow-privilege-escalation",
        "capabilities-baseline",
        "host-namespaces",
        "image-tag-latest",
        "privileged-container",
        "proc-mount",
        "run-as-user",
        "secret-in-environment",
    }
)
STAGING = "storefront/values-staging.yaml"
PRODUCTION = "storefront/values-production.yaml"

#: What holds whichever values are given: (rule, object, container, file:line:column).
ALWAYS = {
    "allow-privilege-escalation notifications mailer mailer/templates/deployment.yaml:15:11",
    "allow-privilege-escalation storefront metrics storefront/charts/shoplib/templates/_security.tpl:3:27",
    "allow-privilege-escalation storefront debugger storefront/templates/_helpers.tpl:19:3",
    "allow-privilege-escalation storefront web storefront/templates/deployment.yaml:26:11",
    "allow-privilege-escalation storefront logs storefront/templates/deployment.yaml:45:11",
    "allow-privilege-escalation storefront proxy storefront/templates/deployment.yaml:45:11",
    "allow-privilege-escalation import import storefront/templates/job.yaml:14:39",
    "capabilities-baseline storefront debugger storefront/templates/_helpers.tpl:23:13",
    "host-namespaces storefront - storefront/templates/deployment.yaml:17:16",
    "image-tag-latest cache cache storefront/charts/cache/values.yaml:1:8",
    "privileged-container storefront logs storefront/values.yaml:24:17",
    "proc-mount notifications mailer mailer/values.yaml:2:12",
    "run-as-user storefront debugger storefront/templates/_helpers.tpl:21:16",
}
IN_STAGING = {
    "allow-privilege-escalation cache cache storefront/values-staging.yaml:10:13",
    # A text that is made of two values is at the line that makes it.
    "image-tag-latest storefront web storefront/templates/deployment.yaml:23:11",
    "privileged-container storefront proxy storefront/values-staging.yaml:8:17",
    "privileged-container storefront web storefront/values-staging.yaml:2:13",
}
IN_PRODUCTION = {
    "host-namespaces cache - storefront/values-production.yaml:12:16",
    "image-tag-latest storefront metrics storefront/values-production.yaml:10:10",
    "privileged-container notifications mailer storefront/values-production.yaml:14:15",
    "run-as-user storefront - storefront/values-production.yaml:4:14",
    "secret-in-environment storefront web storefront/values-production.yaml:8:13",
}
OF_HOOKS = {
    "allow-privilege-escalation connection ask storefront/templates/tests/connection.yaml:11:7",
    "allow-privilege-escalation migrate migrate storefront/templates/migrate.yaml:14:11",
    "host-namespaces connection - storefront/templates/tests/connection.yaml:9:16",
    "privileged-container migrate migrate storefront/templates/migrate.yaml:15:25",
}


@pytest.fixture(autouse=True)
def _helm(monkeypatch: pytest.MonkeyPatch) -> None:
    give_program("helm", monkeypatch)


@pytest.fixture
def charts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the charts, which is the working directory."""
    shutil.copytree(CHARTS, tmp_path / "charts")
    monkeypatch.chdir(tmp_path / "charts")
    return tmp_path / "charts"


def _scanned(*arguments: str) -> dict[str, Any]:
    done = run_command("scan", "--render", "--helm", "storefront", "-f", "json", "--fail-on", "none", *arguments)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _failing(result: dict[str, Any], *rules: str) -> list[dict[str, Any]]:
    return [x for x in result["results"] if x["outcome"] == "fail" and x["rule"] in (rules or RULES)]


def _shown(finding: dict[str, Any]) -> str:
    at = finding["location"]
    name = finding["object"]["name"].removeprefix("release-name-")
    container = finding.get("container") or "-"
    return f"{finding['rule']} {name} {container} {at['file']}:{at['startLine']}:{at['startColumn']}"


@pytest.mark.parametrize(
    ("arguments", "more"),
    [
        pytest.param((), set(), id="own values"),
        pytest.param(("--values", STAGING), IN_STAGING, id="staging"),
        pytest.param(("--values", PRODUCTION), IN_PRODUCTION, id="production"),
        pytest.param(
            ("--values", STAGING, "--values", PRODUCTION), IN_STAGING | IN_PRODUCTION, id="production on staging"
        ),
        pytest.param(("--hooks",), OF_HOOKS, id="hooks"),
    ],
)
@pytest.mark.usefixtures("charts")
def test_each_finding_stands_at_what_states_it(arguments: Sequence[str], more: set[str]) -> None:
    result = _scanned(*arguments)
    assert result["errors"] == []
    assert {_shown(finding) for finding in _failing(result)} == ALWAYS | more


@pytest.mark.usefixtures("charts")
def test_the_last_values_file_that_states_a_value_is_its_place() -> None:
    Path("last.yaml").write_text("# Last.\n\nprivileged: true\nsidecars: {logs: {privileged: true}}\n")
    result = _scanned("--values", STAGING, "--values", "last.yaml")
    places = {_shown(finding) for finding in _failing(result, "privileged-container")}
    assert places == {
        "privileged-container storefront web last.yaml:3:13",
        "privileged-container storefront logs last.yaml:4:31",
        "privileged-container storefront proxy storefront/values-staging.yaml:8:17",
    }


@pytest.mark.usefixtures("charts")
def test_what_a_parameter_sets_is_at_the_line_that_prints_it() -> None:
    result = _scanned("--values", STAGING, "--set", "privileged=true", "--set", "notifications.privileged=true")
    found = {_shown(finding): finding["message"] for finding in _failing(result, "privileged-container")}
    web = found.pop("privileged-container storefront web storefront/templates/deployment.yaml:27:13")
    assert "a parameter sets privileged" in web
    mailer = found.pop("privileged-container notifications mailer mailer/templates/deployment.yaml:16:13")
    assert "a parameter sets notifications.privileged" in mailer
    assert {place.rpartition(" ")[2] for place in found} == {
        "storefront/values-staging.yaml:8:17",
        "storefront/values.yaml:24:17",
    }


@pytest.mark.usefixtures("charts")
def test_hooks_and_tests_are_told_and_not_judged() -> None:
    result = _scanned()
    told = [(entry["file"], entry["line"], entry["reason"], entry["detail"]) for entry in result["skipped"]]
    migrate, connection = "storefront/templates/migrate.yaml", "storefront/templates/tests/connection.yaml"
    assert told == [
        (migrate, 6, "helm-hook", "Job release-name-migrate runs as a hook (pre-install,pre-upgrade)"),
        (connection, 6, "helm-hook", "Pod release-name-connection runs as a hook (test)"),
    ]
    assert not {"release-name-migrate", "release-name-connection"} & {x["object"]["name"] for x in result["results"]}
    assert _scanned("--hooks")["skipped"] == []


@pytest.mark.usefixtures("charts")
def test_a_value_that_the_schema_refuses_is_told_where_it_is_stated() -> None:
    Path("wrong.yaml").write_text("# Two mistakes.\nreplicas: 0\nprivileged: perhaps\n")
    result = _scanned("--values", PRODUCTION, "--values", "wrong.yaml")
    assert result["results"] == []
    assert [(error["file"], error["line"]) for error in result["errors"]] == [("wrong.yaml", 2), ("wrong.yaml", 3)]
    assert "schema refuses replicas" in result["errors"][0]["message"]


@pytest.mark.usefixtures("charts")
def test_the_schema_s_words_on_a_secret_are_not_told() -> None:
    secret = "a-password-that-is-longer-than-forty-characters"
    Path("wrong.yaml").write_text(f"database:\n  password: {secret}\n")
    done = run_command("scan", "--render", "--helm", "storefront", "--values", "wrong.yaml", "-f", "json")
    (error,) = json.loads(done.stdout)["errors"]
    assert (error["file"], error["line"], done.exit_code) == ("wrong.yaml", 2, 3)
    assert secret not in done.output


@pytest.mark.usefixtures("charts")
def test_a_template_that_fails_is_told_where_helm_says() -> None:
    # Of fail, Helm names only the outermost template.
    helpers = Path("storefront/templates/_helpers.tpl")
    helpers.write_text(helpers.read_text().replace(".Chart.AppVersion | quote", 'fail "no version"'))
    (error,) = _scanned()["errors"]
    assert (error["file"], error["line"]) == ("storefront/templates/deployment.yaml", 6)
    assert error["message"].endswith("no version")


@pytest.mark.parametrize(
    ("file", "before", "after", "line"),
    [
        ("storefront/templates/service.yaml", "{{ .Values.service.port }}", "{{ .Values.service.port", 10),
        ("storefront/templates/service.yaml", ".Values.service.port", ".Values.service.port.number", 10),
        ("storefront/templates/_helpers.tpl", ".Chart.AppVersion | quote", ".Chart.AppVersion.major | quote", 9),
        ("storefront/charts/cache/templates/statefulset.yaml", ".Values.image | quote", "noSuchFunction", 16),
        ("mailer/templates/deployment.yaml", ".Values.procMount", 'required "give it" .Values.none', 17),
    ],
)
def test_an_error_of_a_template_is_told_at_its_line(
    charts: Path, file: str, before: str, after: str, line: int
) -> None:
    text = (charts / file).read_text()
    assert before in text
    (charts / file).write_text(text.replace(before, after))
    result = _scanned()
    assert result["results"] == []
    assert [(error["file"], error["line"]) for error in result["errors"]] == [(file, line)]
    assert "Error:" not in result["errors"][0]["message"]


# --- proof by mutation: what is claimed to state a field does state it ---


def _rendered(charts: Path, chart: str, values: Sequence[str], sets: Sequence[str]) -> tuple[Output, list[Object]]:
    demand = HelmDemand(
        str(charts / chart),
        f"{chart}/Chart.yaml",
        str(charts),
        values=tuple(str(charts / name) for name in values),
        parameters=tuple((text, False) for text in sets),
        kube_version="1.34",
        hooks=True,
    )
    output = template(demand, Limits())
    read = read_bytes(output.text.encode(), "rendered")
    assert not read.errors, read.errors
    return output, read.objects


_Claim = tuple[Traced, list[tuple[int, FieldPath]]]


def _fields(value: Any, path: FieldPath = ()) -> Iterator[FieldPath]:
    """The paths of all scalars."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _fields(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _fields(inner, (*path, index))
    else:
        yield path


def _changed(text: str) -> str:
    """Another scalar of the same sort."""
    if text in ("true", "false"):
        return "false" if text == "true" else "true"
    if re.fullmatch(r"[\d.]+", text):
        return f"{text[:-1]}{(int(text[-1]) + 1) % 8}"
    inner = text.strip("\"'")
    return text.replace(inner, f"{inner[:-1]}x{inner[-1]}")


def _mutate(charts: Path, traced: Traced) -> tuple[Path, str]:
    """Change what stands at a place; the file, and what it was."""
    at = traced.location
    assert at.start_line == at.end_line, at
    file = charts / at.file
    before = file.read_text()
    lines = before.split("\n")
    line = lines[at.start_line - 1]
    stated = line[at.start_column - 1 : at.end_column - 1]
    lines[at.start_line - 1] = line[: at.start_column - 1] + _changed(stated) + line[at.end_column - 1 :]
    file.write_text("\n".join(lines))
    return file, before


def _claims(output: Output, objects: Sequence[Object]) -> tuple[dict[tuple[str, int, int], _Claim], int]:
    """What is said to be stated, by its place; and how many fields there are."""
    assert output.tracer is not None
    claimed: dict[tuple[str, int, int], _Claim] = {}
    fields = 0
    for number, obj in enumerate(objects):
        for path in _fields(obj.value):
            fields += 1
            traced = output.tracer.trace(obj, path)
            # With other words there Helm leaves the object out, or sorts it elsewhere.
            if traced.state == "stated" and path[-1] not in ("kind", "apiVersion", "helm.sh/hook"):
                at = traced.location
                claimed.setdefault((at.file, at.start_line, at.start_column), (traced, []))[1].append((number, path))
    return claimed, fields


def _wrong(charts: Path, chart: str, values: Sequence[str], sets: Sequence[str] = ()) -> tuple[list[Any], int, int]:
    """Fields that do not change with what is said to state them; how many are claimed, and how many there are."""
    output, objects = _rendered(charts, chart, values, sets)
    claimed, fields = _claims(output, objects)
    wrong: list[Any] = []
    for place, (traced, of) in claimed.items():
        file, before = _mutate(charts, traced)
        try:
            # Objects are compared by their numbers: their names change, too.
            again, mutated = _rendered(charts, chart, values, sets)
            if again.errors or len(mutated) != len(objects):
                wrong.append((place, again.errors))
                continue
            wrong += [(place, path) for n, path in of if mutated[n].get(*path) == objects[n].get(*path)]
        finally:
            file.write_text(before)
    return wrong, sum(len(of) for _, of in claimed.values()), fields


@pytest.mark.parametrize("values", [(), (STAGING,), (STAGING, PRODUCTION)], ids=["own", "staging", "production"])
def test_a_field_changes_with_what_is_said_to_state_it(charts: Path, values: Sequence[str]) -> None:
    """Of every field of every object: a place that has nothing to do with it fails here."""
    wrong, claimed, fields = _wrong(charts, "storefront", values)
    assert wrong == [], wrong
    # The test tests something: most of what a chart prints has a place that states it.
    assert claimed > 0.6 * fields


#: Templates that do much with values, each an entry of a ConfigMap's data.
TWISTED = {
    "Chart.yaml": """\
apiVersion: v2
name: twisted
version: 1.0.0
dependencies:
  - {name: part, alias: left, version: ">=1.0.0"}
  - {name: part, alias: right, version: ">=1.0.0"}
""",
    "values.yaml": """\
global: {region: north}
same: word
other: word
empty: ""
none: null
zero: 0
off: false
mode: 0644
big: 1000000
float: 1.5
dotted.key: dots
anchor: &shared {deep: anchored}
aliased: *shared
nested: {a: {b: {c: inner}}}
list: [first, second, third]
objects:
  - {name: one, value: word}
  - {name: two, value: word}
map: {k1: word, k2: word}
switch: {enabled: true, chosen: chosen, left: left-out}
text: |
  line one
  line two
template: "{{ .Values.same }}"
left: {own: of-parent}
""",
    "more.yaml": """\
nested: {a: {b: {c: over}}}
list: [other]
map: {k2: over, k3: new}
left: {own: null}
empty: null
""",
    "templates/_named.tpl": """\
{{- define "named.plain" -}}
n1: {{ .Values.same }}
n2: fixed
{{- end -}}
{{- define "named.given" -}}
g1: {{ .value }}
g2: {{ .name | quote }}
{{- end -}}
{{- define "named.word" -}}{{ .Values.same }}{{- end -}}
""",
    "templates/map.yaml": """\
{{- $same := .Values.same }}
{{- $changed := .Values.same }}
{{- if .Values.switch.enabled }}{{- $changed = .Values.other }}{{- end }}
apiVersion: v1
kind: ConfigMap
metadata:
  name: twisted
data:
  plain: {{ .Values.same }}
  quoted: {{ .Values.same | quote }}
  twice: {{ .Values.same }}{{ .Values.other }}
  variable: {{ $same }}
  changed: {{ $changed }}
  default: {{ .Values.empty | default "fallback" }}
  default2: {{ default .Values.other .Values.none }}
  default3: {{ .Values.zero | default 7 | quote }}
  default4: {{ .Values.same | default .Values.other }}
  coalesce: {{ coalesce .Values.empty .Values.other .Values.same }}
  ternary: {{ ternary .Values.switch.chosen .Values.switch.left .Values.switch.enabled }}
  either: {{ if .Values.switch.enabled }}{{ .Values.switch.chosen }}{{ else }}{{ .Values.switch.left }}{{ end }}
  mode: {{ .Values.mode | quote }}
  big: {{ .Values.big | quote }}
  bigint: {{ .Values.big | int | quote }}
  float: {{ .Values.float | quote }}
  dotted: {{ index .Values "dotted.key" }}
  anchored: {{ .Values.anchor.deep }}
  aliased: {{ .Values.aliased.deep }}
  nested: {{ .Values.nested.a.b.c }}
  item: {{ index .Values.list 0 }}
  firsts: {{ first .Values.list }}
  upper: {{ .Values.same | upper }}
  encoded: {{ .Values.same | b64enc }}
  template: {{ tpl .Values.template . }}
  printf: {{ printf "%s" .Values.same }}
  include: {{ include "named.word" . }}
  region: {{ .Values.global.region }}
  chart: {{ .Chart.Version }}
  text: |
    plain {{ .Values.same }}
    same: {{ .Values.same }}
  folded: {{ .Values.text | quote }}
  {{- with .Values.nested.a }}
  with: {{ .b.c }}
  root: {{ $.Values.same }}
  {{- end }}
  {{- with .Values.none }}
  never: {{ . }}
  {{- else }}
  otherwise: {{ .Values.other }}
  {{- end }}
  {{- range .Values.list }}
  list-{{ . }}: {{ . }}
  {{- end }}
  {{- range $i, $each := .Values.objects }}
  object-{{ $i }}: {{ $each.value }}
  name-{{ $i }}: {{ .name }}
  {{- end }}
  {{- range $key, $value := .Values.map }}
  {{ $key }}: {{ $value }}
  {{- end }}
  {{- range reverse .Values.list }}
  reversed-{{ . }}: {{ . }}
  {{- end }}
  {{- range $n, $entry := until 2 }}
  until-{{ $n }}: n{{ $entry }}
  {{- end }}
  {{- include "named.plain" . | nindent 2 }}
  {{- include "named.given" (dict "value" .Values.other "name" .Values.same) | nindent 2 }}
  {{- toYaml (omit .Values.map "k1") | replace "k" "o" | nindent 2 }}
  {{- toYaml (merge (dict "m1" "given") .Values.map) | replace "k" "p" | nindent 2 }}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: flow, labels: {a: {{ .Values.same }}, b: {{ .Values.other }}}}
data: {{ toJson .Values.map }}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: block
data:
  {{- toYaml .Values.map | nindent 2 }}
""",
    "charts/part/Chart.yaml": "apiVersion: v2\nname: part\nversion: 1.0.0\n",
    "charts/part/values.yaml": "own: of-part\nglobal: {region: south}\n",
    "charts/part/templates/map.yaml": """\
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .Chart.Name }}
data:
  own: {{ .Values.own | quote }}
  region: {{ .Values.global.region }}
  version: {{ .Chart.Version }}
""",
}


@pytest.mark.parametrize(
    ("values", "sets"),
    [
        ((), ()),
        (("twisted/more.yaml",), ()),
        (("twisted/more.yaml",), ("same=set", "list[0]=set", "map.k1=set", "right.own=set", "global.region=set")),
    ],
    ids=["own", "more", "set"],
)
def test_templates_that_twist_values_are_not_misread(
    tmp_path: Path, values: Sequence[str], sets: Sequence[str]
) -> None:
    for name, text in TWISTED.items():
        path = tmp_path / "twisted" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    wrong, claimed, fields = _wrong(tmp_path, "twisted", values, sets)
    assert wrong == [], wrong
    assert claimed > 0.02 * fields
