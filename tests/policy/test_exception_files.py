"""Exceptions as files and statements state them."""

from __future__ import annotations

from pathlib import Path

import pytest

from kit import LIBRARY
from kubeassay.model import ConnectionScope, Exception_, GrantScope, SubjectMatch
from kubeassay.policy.errors import PolicyError
from kubeassay.policy.exceptions import Statement, check_ids, exceptions_from, statement


def read(tmp_path: Path, *entries: str) -> tuple[Exception_, ...]:
    file = tmp_path / "e.yaml"
    body = "".join(f"    - {entry}\n" for entry in entries)
    file.write_text(f"apiVersion: kubeassay.dev/v1\nkind: Exceptions\nspec:\n  exceptions:\n{body}")
    return exceptions_from(file, LIBRARY.rules, "e.yaml")


def test_everything_that_a_file_may_state(tmp_path: Path) -> None:
    first, second = read(
        tmp_path,
        "{id: A, rule: privileged-container, match: {namespaces: ['', a-*], kinds: [Pod], names: [x], containers: [c],"
        " labels: {a: b}}, selector: {matchExpressions: [{key: k, operator: Exists}]}, files: ['a/*'],"
        " path: 'spec.containers[name=c].securityContext', environments: [prod], clusters: [c1], reason: r, owner: o,"
        " expires: 2027-01-31}",
        "{rule: 'network-*', grant: {subjects: [User a], roles: [Role b]},"
        " connection: {from: [a/*], to: [internet], ports: ['53/UDP']}}",
    )
    assert first == Exception_(
        id="A",
        rule="privileged-container",
        match=SubjectMatch(("", "a-*"), ("Pod",), ("x",), ("c",), (("a", "b"),)),
        reason="r",
        path="spec.containers[name=c].securityContext",
        owner="o",
        expires="2027-01-31",
        file="e.yaml",
        line=5,
        column=7,
        selector={"matchExpressions": [{"key": "k", "operator": "Exists"}]},
        files=("a/*",),
        environments=("prod",),
        clusters=("c1",),
    )
    assert (second.id, second.line, second.reason) == ("e.yaml#2", 6, "")
    assert second.grant == GrantScope(("User a",), ("Role b",))
    assert second.connection == ConnectionScope(("a/*",), ("internet",), ("53/UDP",))


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("{rule: privileged-contaner, match: {names: [a]}}", "did you mean privileged-container"),
        ("{rule: nothing-*, match: {names: [a]}}", "unknown rule nothing-*"),
        ("{rule: exception-expired, match: {names: [a]}}", "nothing is excepted from rule exception-expired"),
        ("{rule: exception-*, match: {names: [a]}}", "nothing is excepted from rule exception-*"),
        ("{rule: privileged-container}", "needs one of match, selector, files, fingerprint, grant, connection"),
        ("{rule: privileged-container, match: {}}", "match: must not be empty"),
        ("{rule: privileged-container, match: {labels: {}}}", "labels: must not be empty"),
        ("{rule: privileged-container, selector: {}}", "selector: must not be empty"),
        ("{rule: privileged-container, selector: {matchLabels: {}}}", "matchLabels: must not be empty"),
        (
            "{rule: privileged-container, selector: {matchExpressions: [{key: a b, operator: In, values: [c]}]}}",
            "selector",
        ),
        ("{rule: privileged-container, match: {names: [a]}, expires: 2027-02-31}", "2027-02-31 is no day"),
        ("{rule: privileged-container, match: {names: [a]}, expires: '2027-13-01'}", "2027-13-01 is no day"),
        ("{rule: privileged-container, match: {names: [a]}, path: 'a..['}", "path: not a field path"),
        ("{rule: privileged-container, connection: {ports: [http]}}", "http is no port"),
    ],
)
def test_what_means_nothing_is_refused_with_its_place(tmp_path: Path, entry: str, message: str) -> None:
    with pytest.raises(PolicyError) as raised:
        read(tmp_path, entry)
    assert message in str(raised.value)
    assert "e.yaml:5:" in str(raised.value)


def test_an_id_means_one_exception(tmp_path: Path) -> None:
    entry = "{id: A, rule: privileged-container, match: {names: [a]}}"
    with pytest.raises(PolicyError, match=r"e.yaml:6: exception A exists already \(e.yaml:5\)"):
        check_ids(read(tmp_path, entry, entry))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            'privileged-container reason="it\'s the driver" owner=a expires=2027-01-31 container=c path=spec.x',
            Statement(("privileged-container",), "it's the driver", "a", "2027-01-31", "c", "spec.x"),
        ),
        ("privileged-container,host-ports sysctls", Statement(("privileged-container", "host-ports", "sysctls"))),
        ("privileged-container privileged-container", Statement(("privileged-container",))),
    ],
)
def test_a_statement(text: str, expected: Statement) -> None:
    assert statement(text, LIBRARY.rules) == expected


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "names no rule"),
        ("reason=r", "names no rule"),
        ("privileged-contaner", "unknown rule privileged-contaner (did you mean privileged-container?)"),
        ("*", "* is a pattern; name each rule"),
        ("privileged-*", "privileged-* is a pattern; name each rule"),
        ("exception-expired", "nothing is excepted from rule exception-expired"),
        ('privileged-container reason="no end', "cannot be read: no closing quotation"),
        ("privileged-container reason=because it must", "it: rules come first, and values with spaces in quotes"),
        ("privileged-container resaon=r", "unknown key resaon (did you mean reason?)"),
        ("privileged-container owner=a owner=b", "owner is given twice"),
        ("privileged-container owner=", "owner is empty"),
        ("privileged-container expires=soon", "expires: soon is no day; write it as 2027-03-31"),
        ("privileged-container path=[", "path: not a field path: '[' (at character 1)"),
    ],
)
def test_a_statement_that_means_nothing_says_why(text: str, problem: str) -> None:
    assert statement(text, LIBRARY.rules).problem == problem
