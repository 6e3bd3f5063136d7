"""What templates do with values, each by itself: no place is claimed that changes nothing, and the plain ones are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from chart_proof import claims, prove
from charts import METADATA, use_helm, write

_HEAD = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: odd\ndata:\n"


@pytest.fixture(autouse=True)
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    use_helm(monkeypatch)
    monkeypatch.chdir(tmp_path)
    return tmp_path


#: Name → (template below ``data:``, values, key → where its value is stated or None where that is not claimed).
IDIOMS: Mapping[str, tuple[str, str, Mapping[str, str | None]]] = {
    "plain": ("  x: {{ .Values.a }}\n", "a: one\n", {"x": "values.yaml:1"}),
    "set before": (
        '  {{- $_ := set .Values "a" "one" }}\n  x: {{ .Values.a }}\n',
        "a: one\n",
        {"x": None},
    ),
    "set in a helper": (
        '  {{- include "change" . }}\n  x: {{ .Values.a }}\n'
        '{{- define "change" }}{{ $_ := set .Values "a" "one" }}{{ end }}\n',
        "a: one\n",
        {"x": None},
    ),
    "merged over": (
        "  {{- $_ := mergeOverwrite .Values.a .Values.b }}\n  x: {{ .Values.a.c }}\n",
        "a: {c: one}\nb: {c: one}\n",
        {"x": None},
    ),
    "set, of a copy": (
        '  {{- $v := deepCopy .Values }}\n  {{- $_ := set $v "a" "two" }}\n  x: {{ .Values.a }}\n',
        "a: one\n",
        {"x": "values.yaml:1"},
    ),
    "set, of a new one": (
        '  {{- $v := dict }}\n  {{- $_ := set $v "a" "two" }}\n  x: {{ .Values.a }}\n',
        "a: one\n",
        {"x": "values.yaml:1"},
    ),
    "set, of an entry of a range": (
        '  {{- range $k, $v := .Values.a }}{{ $_ := set $v "c" "one" }}{{ end }}\n  x: {{ .Values.a.b.c }}\n',
        "a: {b: {c: one}}\n",
        {"x": None},
    ),
    "set, through another variable": (
        '  {{- $v := .Values.a }}\n  {{- $w := $v }}\n  {{- $_ := set $w "c" "one" }}\n  x: {{ .Values.a.c }}\n',
        "a: {c: one}\n",
        {"x": None},
    ),
    "set, by a key that is computed": (
        '  {{- $_ := set .Values (lower "A") "one" }}\n  x: {{ .Values.a }}\n',
        "a: one\n",
        {"x": None},
    ),
    "set, by a template among the values": (
        "  {{- $_ := tpl .Values.b . }}\n  x: {{ .Values.a }}\n",
        'a: one\nb: \'{{ $_ := set .Values "a" "one" }}\'\n',
        {"x": None},
    ),
    "set, by a template in a file": (
        '  {{- $_ := tpl (.Files.Get "set.tpl") . }}\n  x: {{ .Values.a }}\n',
        "a: one\n",
        {"x": None},
    ),
    "a template among the values that changes nothing": (
        "  {{- $_ := tpl .Values.b . }}\n  x: {{ .Values.a }}\n",
        "# To be set by whoever installs it.\na: one\nb: '{{ .Values.a }}'\n",
        {"x": "values.yaml:2"},
    ),
    "set by a pipe": ('  {{- $_ := "one" | set .Values "a" }}\n  x: {{ .Values.a }}\n', "a: one\n", {"x": None}),
    "set, of what a block prints": (
        '  {{- $_ := set .Values.a "x" "one" }}\n  {{- toYaml .Values.a | nindent 2 }}\n',
        "a:\n  x: one\n",
        {"x": None},
    ),
    "set, elsewhere": (
        '  {{- $_ := set .Values "b" "one" }}\n  x: {{ .Values.a }}\n',
        "a: one\n",
        {"x": "values.yaml:1"},
    ),
    "merged into a new one": (
        "  {{- $v := merge (dict) .Values.a }}\n  x: {{ .Values.a.c }}\n",
        "a: {c: one}\n",
        {"x": "values.yaml:1"},
    ),
    "two merged into a new one": (
        "  {{- $v := mergeOverwrite (dict) .Values.a .Values.b }}\n  x: {{ .Values.a.c.d }}\n",
        "a: {c: {d: one}}\nb: {c: {d: one}}\n",
        {"x": None},
    ),
    "merged by a pipe": (
        "  {{- $_ := .Values.b | mergeOverwrite .Values.a }}\n  x: {{ .Values.a.c }}\n",
        "a: {c: one}\nb: {c: one}\n",
        {"x": None},
    ),
    "unset": (
        '  {{- $_ := unset .Values.a "c" }}\n  x: {{ .Values.a.c | default "one" }}\n',
        "a: {c: one}\n",
        {"x": None},
    ),
    "default of another": ("  x: {{ .Values.a | default .Values.b }}\n", "a: one\nb: one\n", {"x": "values.yaml:1"}),
    "default that holds": ("  x: {{ .Values.a | default .Values.b }}\n", "a: ''\nb: one\n", {"x": None}),
    "default literal": ('  x: {{ .Values.a | default "one" }}\n', "b: one\n", {"x": "templates/odd.yaml:6"}),
    "default literal of zero": (
        '  x: {{ .Values.a | default "0" | quote }}\n',
        "a: 0\n",
        {"x": "templates/odd.yaml:6"},
    ),
    "coalesce": ("  x: {{ coalesce .Values.a .Values.b }}\n", "a: one\nb: one\n", {"x": None}),
    "ternary": ('  x: {{ ternary "one" "two" .Values.a }}\n', "a: true\n", {"x": None}),
    "if and else": (
        "  x: {{ if .Values.a }}{{ .Values.b }}{{ else }}{{ .Values.c }}{{ end }}\n",
        "a: false\nb: one\nc: one\n",
        {"x": None},
    ),
    "if of lines": (
        "  {{- if .Values.a }}\n  x: one\n  {{- else }}\n  x: one\n  {{- end }}\n",
        "a: false\n",
        {"x": "templates/odd.yaml:9"},
    ),
    "with": ("  {{- with .Values.a }}\n  x: {{ .b }}\n  {{- end }}\n", "a: {b: one}\nb: one\n", {"x": "values.yaml:1"}),
    "else of with": (
        "  {{- with .Values.a }}\n  x: {{ . }}\n  {{- else }}\n  x: {{ .Values.b }}\n  {{- end }}\n",
        "a: ''\nb: one\n",
        {"x": "values.yaml:2"},
    ),
    "else with": (
        "  {{- with .Values.a }}\n  x: {{ . }}\n  {{- else with .Values.b }}\n  x: {{ . }}\n  {{- end }}\n",
        "a: ''\nb: one\n",
        {"x": "values.yaml:2"},
    ),
    "a variable": ("  {{- $v := .Values.a }}\n  x: {{ $v }}\n", "a: one\n", {"x": "values.yaml:1"}),
    "a variable set again": (
        "  {{- $v := .Values.a }}\n  {{- if .Values.b }}{{ $v = .Values.b }}{{ end }}\n  x: {{ $v }}\n",
        "a: one\nb: one\n",
        {"x": None},
    ),
    "a variable declared in a block": (
        "  {{- $v := .Values.a }}\n  {{- if .Values.b }}{{ $v := .Values.b }}{{ end }}\n  x: {{ $v }}\n",
        "a: one\nb: one\n",
        {"x": "values.yaml:1"},
    ),
    "range of a list": (
        "  {{- range $i, $e := .Values.a }}\n  x{{ $i }}: {{ $e }}\n  {{- end }}\n",
        "a:\n- one\n- one\n",
        {"x0": None, "x1": None},
    ),
    "range of a list's entries": (
        "  {{- range .Values.a }}\n  {{ .k }}: {{ .v }}\n  {{- end }}\n",
        "a:\n- {k: x, v: one}\n- {k: z, v: one}\n",
        {"x": None, "z": None},
    ),
    "keys of ranges": (
        "  {{- range $k, $v := .Values.a }}\n  {{ $k }}: {{ $v }}\n  {{- end }}\n",
        "a:\n  x: one\n  z: one\n",
        {"x": None, "z": None},
    ),
    "range whose variable is set again": (
        '  {{- $v := "one" }}\n  {{- range .Values.a }}\n  {{- $v = . }}\n  {{- end }}\n  x: {{ $v }}\n',
        "a: [one]\n",
        {"x": None},
    ),
    "a helper given a dictionary": (
        '  x: {{ include "p" (dict "v" .Values.a) }}\n{{- define "p" }}{{ .v }}{{ end }}\n',
        "a: one\nv: one\n",
        {"x": None},
    ),
    "a helper of lines given a value": (
        '  {{- include "p" .Values.a | nindent 2 }}\n{{- define "p" }}\nx: {{ .b }}\n{{- end }}\n',
        "a: {b: one}\nb: one\n",
        {"x": "values.yaml:1"},
    ),
    "a helper given two things": (
        '  {{- include "p" .Values.a | nindent 2 }}\n  {{- include "p" .Values.c | nindent 2 }}\n'
        '{{- define "p" }}\n{{ .k }}: {{ .b }}\n{{- end }}\n',
        "a: {k: x, b: one}\nc: {k: z, b: one}\n",
        {"x": None, "z": None},
    ),
    "tpl": ("  x: {{ tpl .Values.a . }}\n", "a: '{{ .Values.b }}'\nb: one\n", {"x": None}),
    "tpl of what is plain": ("  x: {{ tpl .Values.a . }}\n", "a: one\n", {"x": None}),
    "upper": ("  x: {{ .Values.a | upper }}\n", "a: ONE\n", {"x": None}),
    "two actions": ("  x: {{ .Values.a }}{{ .Values.b }}\n", "a: one\nb: ''\n", {"x": None}),
    "index": ('  x: {{ index .Values "a" "b" }}\n', "a: {b: one}\n", {"x": None}),
    "brackets": ("  x: {{ ((.Values.a).b) }}\n", "a: {b: one}\n", {"x": None}),
    "the values as a variable": ("  {{- $v := .Values }}\n  x: {{ $v.a }}\n", "a: one\n", {"x": "values.yaml:1"}),
    "an anchor": ("  x: {{ .Values.b }}\n", "a: &a one\nb: *a\n", {"x": "values.yaml:1"}),
    "a merge key": ("  x: {{ .Values.b.c }}\n", "a: &a\n  c: one\nb:\n  <<: *a\n", {"x": "values.yaml:2"}),
    "a key twice": ("  x: {{ .Values.a }}\n", "a: one\na: one\n", {"x": "values.yaml:2"}),
    "a block": (
        "  {{- toYaml .Values.a | nindent 2 }}\n",
        "a:\n  z: two\n  x: one\n",
        {"x": "values.yaml:3", "z": "values.yaml:2"},
    ),
    "a block with keys left out": (
        '  {{- toYaml (omit .Values.a "z") | nindent 2 }}\n  z: two\n',
        "a:\n  z: two\n  x: one\n",
        {"z": "templates/odd.yaml:7"},
    ),
    "a text of lines": ("  x: |\n    {{- .Values.a | nindent 4 }}\n", "a: |\n  one\n  two\n", {"x": None}),
    "a text of the template's": (
        "  {{- if true }}\n  x: |\n    one\n\n    two\n  {{- end }}\n",
        "",
        {"x": "templates/odd.yaml:7"},
    ),
    "a text of the template's, included": (
        '  {{- include "p" . | nindent 2 }}\n{{- define "p" }}\nx: |\n  one\n  two\n{{- end }}\n',
        "",
        {"x": "templates/odd.yaml:8"},
    ),
    "texts that go on": (
        "  x: one\n    two\n    - three\n    four\n  z: one\n",
        "",
        {"z": "templates/odd.yaml:10"},
    ),
    "texts that go on, and a value": (
        "  w: one\n\n     two\n  x: {{ .Values.a }}\n",
        "a: one\n",
        {"x": "values.yaml:1"},
    ),
    "a file of lines": (
        '  {{- .Files.Get "lines.yaml" | nindent 2 }}\n',
        "",
        {"w": None},
    ),
    "a file of lines, and a value": (
        '  x: {{ .Values.a }}\n  {{- .Files.Get "lines.yaml" | nindent 2 }}\n',
        "a: one\n",
        {"x": "values.yaml:1", "w": None},
    ),
    "a folded text": ("  x: >-\n    one\n    two\n", "", {"x": "templates/odd.yaml:6"}),
    "a text with an action": ("  x: |\n    one {{ .Values.a }}\n", "a: two\n", {"x": None}),
    "a comment": ("  x: one{{/* of course */}}\n", "", {"x": "templates/odd.yaml:6"}),
    "a number": ("  x: {{ .Values.a | quote }}\n", "a: 010\n", {"x": "values.yaml:1"}),
    "a large number": ("  x: {{ .Values.a | quote }}\n", "a: 12345678\n", {"x": None}),
    "a flow mapping": ("  {x: {{ .Values.a }}, z: {{ .Values.b }}}\n", "a: one\nb: one\n", {"x": None, "z": None}),
    "printf": ('  x: {{ printf "%s" .Values.a }}\n', "a: one\n", {"x": None}),
    "a file": ('  x: {{ .Files.Get "note.txt" | trim }}\n', "", {"x": None}),
    "the chart's version": ("  x: {{ .Chart.AppVersion }}\n", "", {"x": "Chart.yaml:4"}),
    "the release": ("  x: {{ .Release.Name }}\n", "", {"x": None}),
    "a value that states a key": ("  {{ .Values.k }}: {{ .Values.a }}\n", "k: x\na: one\n", {"x": None}),
    "fields of one name": (
        "  x: {{ .Values.a }}\n"
        "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: other}\ndata:\n  x: {{ .Values.b }}\n",
        "a: one\nb: one\n",
        {"x": "values.yaml:1"},
    ),
}


@pytest.mark.parametrize("idiom", list(IDIOMS))
def test_only_what_states_a_field_is_said_to(tree: Path, idiom: str) -> None:
    template, values, expected = IDIOMS[idiom]
    files = {
        "odd/Chart.yaml": METADATA + "appVersion: one\n",
        "odd/values.yaml": values,
        "odd/templates/odd.yaml": _HEAD + template,
        "odd/note.txt": "one\n",
        "odd/lines.yaml": "w: one\n",
    }
    if "set.tpl" in template:
        files["odd/set.tpl"] = '{{ $_ := set .Values "a" "one" }}'
    write(tree, files)
    traced = claims(tree / "odd")
    prove(tree / "odd", traced)
    of = {ref.name: ref for ref, _ in traced}
    for key, place in expected.items():
        found = traced[of["odd"], ("data", key)]
        at = f"{found.location.file.removeprefix('odd/')}:{found.location.start_line}"
        if place is not None:
            assert (found.state, at) == ("stated", place), found.said
        elif found.state == "stated":
            # More than was asked for: the proof has held.
            pytest.fail(f"{at} is claimed")


_SUB = "apiVersion: v2\nname: db\nversion: 1.0.0\n"
_DEPENDS = METADATA + "dependencies:\n  - name: db\n    version: 1.0.0\n"
#: Name → (files, values files given, key of the sub-chart's ConfigMap → where its value is stated, or None).
LAYERS: Mapping[str, tuple[Mapping[str, str], tuple[str, ...], Mapping[str, str | None]]] = {
    "the sub-chart's own": ({"charts/db/values.yaml": "a: one\n"}, (), {"x": "charts/db/values.yaml:1"}),
    "ignored, and the default": (
        {
            ".helmignore": "/values.yaml\n",
            "values.yaml": "db: {a: one}\nb: one\n",
            "charts/db/values.yaml": "a: one\n",
            "templates/y.yaml": _HEAD.replace("odd", "top") + '  y: {{ .Values.b | default "one" }}\n',
        },
        (),
        {"x": None},
    ),
    "the sub-chart's, ignored": (
        {
            ".helmignore": "charts/db/values.yaml\n",
            "charts/db/values.yaml": "a: one\n",
            "charts/db/templates/x.yaml": _HEAD + '  x: {{ .Values.a | default "one" }}\n',
        },
        (),
        {"x": None},
    ),
    "the parent's": (
        {"charts/db/values.yaml": "a: one\n", "values.yaml": "db:\n  a: one\n"},
        (),
        {"x": "values.yaml:2"},
    ),
    "a file's, over the parent's": (
        {"charts/db/values.yaml": "a: one\n", "values.yaml": "db:\n  a: one\n", "more.yaml": "db:\n\n  a: one\n"},
        ("more.yaml",),
        {"x": "more.yaml:3"},
    ),
    "the last file's": (
        {"more.yaml": "db: {a: one}\n", "last.yaml": "# Last.\ndb: {a: one}\n"},
        ("more.yaml", "last.yaml"),
        {"x": "last.yaml:2"},
    ),
    "not the first file's": (
        {"more.yaml": "db: {a: one}\n", "last.yaml": "db: {b: two}\n"},
        ("more.yaml", "last.yaml"),
        {"x": "more.yaml:1"},
    ),
    "deleted by null, and a default": (
        {
            "charts/db/values.yaml": "a: one\n",
            "values.yaml": "db: {a: null}\n",
            "charts/db/templates/x.yaml": _HEAD + '  x: {{ .Values.a | default "one" }}\n',
        },
        (),
        {"x": "charts/db/templates/x.yaml:6"},
    ),
    "null, and a later file": (
        {"values.yaml": "db: {a: one}\n", "more.yaml": "db: {a: null}\n", "last.yaml": "db: {a: one}\n"},
        ("more.yaml", "last.yaml"),
        {"x": "last.yaml:1"},
    ),
    "global of the parent": (
        {"values.yaml": "global:\n  a: one\n", "charts/db/templates/x.yaml": _HEAD + "  x: {{ .Values.global.a }}\n"},
        (),
        {"x": "values.yaml:2"},
    ),
    "global of both": (
        {
            "values.yaml": "global:\n  a: one\n",
            "charts/db/values.yaml": "global:\n  a: one\n",
            "charts/db/templates/x.yaml": _HEAD + "  x: {{ .Values.global.a }}\n",
        },
        (),
        {"x": "values.yaml:2"},
    ),
    "global below the sub-chart's key": (
        {
            "values.yaml": "global: {a: one}\ndb: {global: {a: one}}\n",
            "charts/db/templates/x.yaml": _HEAD + "  x: {{ .Values.global.a }}\n",
        },
        (),
        {"x": "values.yaml:1"},
    ),
    "imported by the parent": (
        {
            "Chart.yaml": _DEPENDS + "    import-values: [{child: out, parent: in}]\n",
            "charts/db/values.yaml": "a: one\nout: {a: one}\n",
            "values.yaml": "other: {}\n",
            "templates/y.yaml": _HEAD.replace("odd", "top") + "  y: {{ .Values.in.a }}\n",
        },
        (),
        {},
    ),
    "imported over the parent's": (
        {
            "Chart.yaml": _DEPENDS + "    import-values: [{child: out, parent: in}]\n",
            "charts/db/values.yaml": "a: one\nout: {a: one}\n",
            "values.yaml": "in: {a: one}\n",
            "templates/y.yaml": _HEAD.replace("odd", "top") + "  y: {{ .Values.in.a }}\n",
        },
        (),
        {},
    ),
    "exported by the sub-chart": (
        {
            "Chart.yaml": _DEPENDS + "    import-values: [out]\n",
            "charts/db/values.yaml": "a: one\nexports: {out: {in: {a: one}}}\n",
            "values.yaml": "in: {a: one}\n",
            "templates/y.yaml": _HEAD.replace("odd", "top") + "  y: {{ .Values.in.a }}\n",
        },
        (),
        {},
    ),
    "a scalar where the sub-chart has a mapping": (
        {
            "charts/db/values.yaml": "a: {b: one}\n",
            "values.yaml": "db: {a: {c: two}}\n",
            "charts/db/templates/x.yaml": _HEAD + "  x: {{ .Values.a.b }}\n",
        },
        (),
        {"x": "charts/db/values.yaml:1"},
    ),
    "a list over a list": (
        {
            "charts/db/values.yaml": "a: [one, two]\n",
            "values.yaml": "db:\n  a:\n    - one\n",
            "charts/db/templates/x.yaml": _HEAD + "{{ range $k, $v := .Values.a }}  x{{ $k }}: {{ $v }}\n{{ end }}",
        },
        (),
        {},
    ),
    "a dash in the sub-chart's name": (
        {
            "Chart.yaml": _DEPENDS + "    alias: my-db\n",
            "values.yaml": "db: {a: two}\nmy-db: {a: one}\n",
        },
        (),
        {"x": "values.yaml:2"},
    ),
    "set by the sub-chart in the global values": (
        {
            "values.yaml": "global:\n  a: one\n",
            "charts/db/templates/x.yaml": _HEAD
            + '  {{- $_ := set .Values.global "a" "one" }}\n  x: {{ .Values.global.a }}\n',
            "templates/y.yaml": _HEAD.replace("odd", "top") + "  y: {{ .Values.global.a }}\n",
        },
        (),
        {"x": None},
    ),
    "set by the parent in the sub-chart's values": (
        {
            "charts/db/values.yaml": "a: one\n",
            "templates/y.yaml": _HEAD.replace("odd", "top") + '  y: {{ set .Values.db "a" "one" | toJson | quote }}\n',
        },
        (),
        {"x": None},
    ),
}


@pytest.mark.parametrize("layers", list(LAYERS))
def test_only_the_layer_that_holds_is_said_to_state_a_value(tree: Path, layers: str) -> None:
    files, values, expected = LAYERS[layers]
    chart = {
        "Chart.yaml": _DEPENDS,
        "charts/db/Chart.yaml": _SUB,
        "charts/db/templates/x.yaml": _HEAD + "  x: {{ .Values.a }}\n",
        **files,
    }
    write(tree / "odd", chart)
    given = {"values": tuple(str(tree / "odd" / file) for file in values)}
    traced = claims(tree / "odd", **given)
    prove(tree / "odd", traced, **given)
    of = {ref.name: ref for ref, _ in traced}
    for key, place in expected.items():
        found = traced[of["odd"], ("data", key)]
        at = f"{found.location.file.removeprefix('odd/')}:{found.location.start_line}"
        if place is not None:
            assert (found.state, at) == ("stated", place), found.said
        elif found.state == "stated":
            pytest.fail(f"{at} is claimed")
