"""Values of charts that may be secret are shown nowhere: not in what Helm says, and not in a report."""

from __future__ import annotations

import json
from base64 import b64encode
from pathlib import Path

import pytest

from charts import scanned, use_helm, web_chart
from kit import run_command


@pytest.fixture(autouse=True)
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    use_helm(monkeypatch)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("template", "values"),
    [
        ("a: {{ fail (printf `no: %s` .Values.database.password) }}\n", "database: {password: zanzibar-correct}\n"),
        ("a: {{ .Values.database.password | b64enc | fail }}\n", "database: {password: zanzibar-correct}\n"),
        (
            "a: {{ .Values.database.password | fail }}\n",
            "database:\n  password: |\n    line one\n    zanzibar-correct\n",
        ),
        ("a: {{ mustToDate `2006` .Values.db.token }}\n", "db: {token: zanzibar-correct}\n"),
        ("kind: Secret\nstringData:\n  x: {{ fail .Values.plain }}\n", "plain: zanzibar-correct\n"),
        ("kind: Secret\nstringData:\n  x: {{ .Values.plain | b64enc | fail }}\n", "plain: zanzibar-correct\n"),
        ('kind: Secret\nstringData:\n  x: {{ "zanzibar-correct" | fail }}\n', ""),
        ('kind: ConfigMap\ndata:\n  password: {{ fail "zanzibar-correct" }}\n', ""),
        ('kind: Secret\nstringData:\n  x: {{ index "zanzibar-correct" "a" }}\n', ""),
        ("kind: Secret\nstringData: {{ .Values.plain }}\n x: zanzibar-correct\n", "plain: zanzibar-correct\n"),
    ],
)
def test_no_secret_is_in_what_helm_says(tree: Path, template: str, values: str) -> None:
    web_chart(tree / "chart", {"templates/secret.yaml": template, "values.yaml": values or "{}\n"})
    result, code, said = scanned("--helm", "chart")
    (error,) = result["errors"]
    assert (code, error["file"]) == (3, "chart/templates/secret.yaml")
    for text in ("zanzibar", b64encode(b"zanzibar-correct").decode()):
        assert text not in json.dumps(result) + said


@pytest.mark.parametrize(
    ("secret", "values"),
    [
        ("stringData: {key: zanzibar-correct}\n", "{}\n"),
        ("stringData:\n  key: {{ .Values.plain }}\n", "plain: zanzibar-correct\n"),
        ("stringData:\n  {{- toYaml .Values.plain | nindent 2 }}\n", "plain: {key: zanzibar-correct}\n"),
        ("data:\n  key: {{ .Values.plain | b64enc }}\n", "plain: zanzibar-correct\n"),
        ('data:\n  key: {{ "zanzibar-correct" | b64enc }}\n', "{}\n"),
        ('data:\n  key: {{ .Values.plain | default "zanzibar-correct" | b64enc }}\n', "{}\n"),
        ("stringData:\n  key: |\n    zanzibar-correct\n", "{}\n"),
    ],
)
def test_no_secret_is_in_a_report(tree: Path, secret: str, values: str) -> None:
    head = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\n"
    web_chart(tree / "chart", {"templates/s.yaml": head + secret, "values.yaml": values})
    for form in ("terminal", "json", "sarif", "html", "markdown", "gitlab"):
        done = run_command("scan", "--render", "--helm", "chart", "--fail-on", "none", "-f", form)
        assert "secret-in-manifest" in done.stdout, form
        for text in ("zanzibar", b64encode(b"zanzibar-correct").decode()):
            assert text not in done.stdout + done.stderr, form
