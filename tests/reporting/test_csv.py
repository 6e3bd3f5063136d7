from __future__ import annotations

import csv
import io
from dataclasses import replace

import pytest

from kubeassay.model import ObjectRef, Result
from kubeassay.reporting import RenderOptions, render
from reporting.samples import CLEAN, FAILING
from reporting.validity import as_csv as valid


def rows(result: Result, options: RenderOptions | None = None) -> list[dict[str, str]]:
    [document] = render("csv", result, options).documents
    valid(document, result)
    return list(csv.DictReader(io.StringIO(document.decode("utf-8"), newline="")))


def test_a_row_is_a_finding_with_its_control_and_clause() -> None:
    [row] = rows(replace(CLEAN, findings=FAILING.findings[:1]))
    assert (row["outcome"], row["severity"], row["rule"]) == ("fail", "critical", "privileged-container")
    assert (row["file"], row["line"], row["column"]) == ("apps/web site.yaml", "14", "25")
    assert row["controls"] == "PS-01"
    assert row["clauses"].startswith("PS-01 Privileged containers (Pod Security Standards, Baseline")


def test_what_was_not_judged_has_rows_of_its_own() -> None:
    found = [(row["outcome"], row["reason"], row["file"], row["line"]) for row in rows(FAILING)]
    assert found[:4] == [
        ("not-read", "read-error", "apps/broken.yaml", "3"),
        ("not-read", "read-error", "apps/secret.yaml", ""),
        ("not-evaluated", "not-rendered", "", ""),
        ("not-evaluated", "rule-error", "apps/odd.yaml", ""),
    ]


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        (" =1", "' =1"),
        ("＝1", "'＝1"),
        ("\t=1", r"\x09=1"),
        ("\r=1", r"\x0d=1"),
        ('a,"b"\n=1', r'a,"b"\x0a=1'),
        ("a=b", "a=b"),
        ("a;=1", "a;'=1"),
        ("a; =1;-1;b", "a;' =1;'-1;b"),
        ('a;"=1";b', 'a;\'"=1";b'),
    ],
)
def test_no_cell_is_a_formula(text: str, cell: str) -> None:
    finding = replace(FAILING.findings[0], message=text, object=ObjectRef(text, text, text, text), path=text)
    [row] = rows(replace(CLEAN, findings=(finding,)))
    assert {row[column] for column in ("message", "apiVersion", "kind", "namespace", "name", "path")} == {cell}


def test_passes_are_rows_where_asked() -> None:
    result = replace(CLEAN, findings=(replace(FAILING.findings[0], outcome="pass"),))
    assert rows(result) == []
    assert [row["outcome"] for row in rows(result, RenderOptions(show=frozenset({"pass"})))] == ["pass"]
