"""Manifests built to evade, to break and to exhaust, through the command: what is found, where, and the exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from kubeassay.cli.main import cli
from kubeassay.sources.manifests import read_bytes

_SCANNER = Path(__file__).parents[2] / "scanner"

Place = tuple[str, str, int, int]


@dataclass
class Scan:
    """What a scan said: findings and errors as sets, the exit code."""

    code: int
    #: (rule, file, line, column)
    found: set[Place] = field(default_factory=set)
    #: (file, line)
    errors: set[tuple[str, int | None]] = field(default_factory=set)
    #: (file, reason)
    skipped: set[tuple[str, str]] = field(default_factory=set)
    #: (file, reason)
    not_evaluated: set[tuple[str | None, str]] = field(default_factory=set)
    messages: list[str] = field(default_factory=list)


def read_scan(code: int, output: str) -> Scan:
    result: dict[str, Any] = json.loads(output)
    return Scan(
        code,
        {
            (r["rule"], r["location"]["file"], r["location"]["startLine"], r["location"]["startColumn"])
            for r in result["results"]
        },
        {(e["file"], e["line"]) for e in result["errors"]},
        {(s["file"], s["reason"]) for s in result["skipped"]},
        {(n["file"], n["reason"]) for n in result["notEvaluated"]},
        [e["message"] for e in result["errors"]],
    )


def scan(*arguments: str, stdin: bytes | None = None) -> Scan:
    """Run the command in this process."""
    ran = CliRunner().invoke(
        cli,
        ["scan", *(arguments or (".",)), "--profile", "pss-baseline", "--format", "json"],
        input=stdin,
        standalone_mode=False,
    )
    if ran.exception is not None:
        raise ran.exception
    return read_scan(ran.return_value, ran.stdout)


@pytest.fixture(autouse=True)
def _in_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def put(name: str, content: str | bytes) -> None:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


POD = """\
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  containers:
  - name: app
    image: registry.example/app:1.0
"""
PRIVILEGED = POD + "    securityContext: {privileged: true}\n"
#: Where PRIVILEGED is found.
AT = (8, 35)
GOOD = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\n"


def privileged(file: str = "pod.yaml", line: int = AT[0], column: int = AT[1]) -> Place:
    return ("privileged-container", file, line, column)


# --- every way to write it ---


@pytest.mark.parametrize(
    ("text", "found"),
    [
        *(
            (POD + f"    securityContext:\n      privileged: {word}\n", {privileged(line=9, column=19)})
            for word in (
                "true",
                "True",
                "TRUE",
                "yes",
                "Yes",
                "YES",
                "on",
                "On",
                "ON",
                "y",
                "Y",
                "!!bool yes",
                '!!bool "on"',
                "&a yes",
            )
        ),
        *(
            (POD.replace("spec:", f"spec:\n  hostNetwork: {word}"), {("host-namespaces", "pod.yaml", 5, 16)})
            for word in ("on", "yes", "Y", "TRUE")
        ),
        (POD + "    securityContext: {privileged: yes}\n", {privileged()}),
        (POD + '    securityContext: {"privileged" : True}\n', {privileged(column=38)}),
        (POD + '    "securityContext": {"privileged":true}\n', {privileged(column=38)}),
        (POD + "    'securityContext':\n      ? privileged\n      : on\n", {privileged(line=10, column=9)}),
        (POD + '    "\\x73ecurityContext": {"privile\\u0067ed": yes}\n', {privileged(column=47)}),
        (
            POD + "    securityContext:\n      privileged:\n\n        # no\n        yes\n",
            {privileged(line=12, column=9)},
        ),
        # The last of two keys holds.
        (POD + "    securityContext: {privileged: false, privileged: true}\n", {privileged(column=54)}),
        (POD + "    securityContext: {privileged: true, privileged: false}\n", set()),
        (PRIVILEGED + "    securityContext: {}\n", set()),
        (POD + "    securityContext: {}\n    securityContext: {privileged: true}\n", {privileged(line=9)}),
        (PRIVILEGED + "spec: {containers: [{name: b, image: c}]}\n", set()),
        (POD + "    securityContext: {privileged: .inf, privileged: true}\n", {privileged(column=53)}),
        # Anchors and merges carry values; they are found where they are written.
        ("x: &x {privileged: yes}\n" + POD + "    securityContext: *x\n", {privileged(line=1, column=20)}),
        ("x: &x {privileged: yes}\n" + POD + "    securityContext: {<<: *x}\n", {privileged(line=1, column=20)}),
        (
            "x: &x {privileged: yes}\n" + POD + "    securityContext: {privileged: no, <<: *x}\n",
            {privileged(line=1, column=20)},
        ),
        ("x: &x {privileged: yes}\n" + POD + "    securityContext: {<<: *x, privileged: no}\n", set()),
        (
            "x: &x {privileged: yes}\n" + POD + "    securityContext: {<<: [*x, {privileged: no}]}\n",
            {privileged(line=1, column=20)},
        ),
        (
            "x: &x\n  securityContext: {privileged: yes}\n" + POD + "    <<: *x\n",
            {privileged(line=2, column=33)},
        ),
        ("x: &x no\ny: &x yes\n" + POD + "    securityContext: {privileged: *x}\n", {privileged(line=2, column=4)}),
        ("x: <<\n" + POD + "    securityContext:\n      <<: {privileged: on}\n", {privileged(line=10, column=24)}),
        # Strings are no booleans; nor are words that other libraries read as such.
        (POD + "    securityContext: {privileged: 'false'}\n", set()),
        (PRIVILEGED.replace("\n", "\r\n"), {privileged()}),
        (PRIVILEGED.replace("\n", "\r"), {privileged()}),
        ("\ufeff" + PRIVILEGED, {privileged()}),
        ("\ufeff---\n" + PRIVILEGED, {privileged(line=9)}),
        ("# \U0001f600\n" + PRIVILEGED, {privileged(line=9)}),
        (PRIVILEGED.replace("{privileged", "{\U0001f600: 1, privileged"), {privileged(column=42)}),
        ("%YAML 1.1\n---\n" + PRIVILEGED, {privileged(line=10)}),
        ("# a\n--- # b\n" + PRIVILEGED + "... # c\n", {privileged(line=10)}),
        ("--- !!map\n" + PRIVILEGED, {privileged(line=9)}),
        (GOOD + "---\n" + PRIVILEGED + "---\n" + GOOD, {privileged(line=12)}),
    ],
)
def test_ways_to_write_it(text: str, found: set[Place]) -> None:
    put("pod.yaml", text)
    read = scan()
    assert read.found == found
    assert (read.errors, read.code == 1) == (set(), bool(found))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_encodings(encoding: str) -> None:
    put("pod.yaml", PRIVILEGED.encode(encoding))
    assert scan().found == {privileged()}


JSON_POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "web", "annotations": {"a": "\U0001f600"}},
    "spec": {"containers": [{"name": "a", "image": "b", "securityContext": {"privileged": True}}]},
}


@pytest.mark.parametrize("name", ["pod.json", "pod.JSON", "pod.yaml", "pod.txt"])
@pytest.mark.parametrize("indent", [None, 1, "\t"])
@pytest.mark.parametrize("ascii_only", [True, False])
def test_json(name: str, indent: Any, ascii_only: bool) -> None:
    text = json.dumps(JSON_POD, indent=indent, ensure_ascii=ascii_only)
    put(name, text)
    before = text[: text.index("true")]
    line = before.rpartition("\n")[2]
    place = (before.count("\n") + 1, len(line.encode("utf-16-le")) // 2 + 1)
    assert scan(name).found == {privileged(name, *place)}


def test_json_values_one_after_another() -> None:
    put("pods.json", "\n".join(json.dumps(JSON_POD) for _ in range(2)) + "\n")
    assert {(file, line) for _, file, line, _ in scan().found} == {("pods.json", 1), ("pods.json", 2)}


def test_a_dump_of_a_list() -> None:
    put("list.json", json.dumps({"apiVersion": "v1", "kind": "List", "items": [JSON_POD, JSON_POD]}, indent=1))
    lines = Path("list.json").read_text().splitlines()
    expected = {number for number, line in enumerate(lines, 1) if "privileged" in line}
    assert {line for _, _, line, _ in scan().found} == expected


def test_standard_input() -> None:
    assert scan("-", stdin=PRIVILEGED.encode()).found == {privileged("stdin")}
    assert scan("-", stdin=b"a: \xff").errors == {("stdin", 1)}
    assert scan("-", stdin=b"").code == 3


def test_text_after_the_end_of_a_document_is_an_error() -> None:
    """Kubernetes' clients stop at it; what stands before it is read."""
    put("pod.yaml", PRIVILEGED + "...\n" + PRIVILEGED)
    read = scan()
    assert (read.found, read.errors) == ({privileged()}, {("pod.yaml", 10)})


def test_files_and_standard_input_together() -> None:
    put("pod.yaml", PRIVILEGED)
    assert scan("-", "pod.yaml", stdin=PRIVILEGED.encode()).found == {privileged("stdin"), privileged("pod.yaml")}


# --- Lists ---


def indented(text: str, spaces: int) -> str:
    return "".join(" " * spaces + line for line in text.splitlines(keepends=True))


def test_lists_in_lists() -> None:
    text = PRIVILEGED
    for depth in range(9):
        text = "apiVersion: v1\nkind: List\nitems:\n-\n" + indented(text, 2)
        put("pod.yaml", text)
        assert scan().found == {privileged(line=AT[0] + 4 * (depth + 1), column=AT[1] + 2 * (depth + 1))}


def test_lists_deeper_than_any_are_an_error() -> None:
    text = PRIVILEGED
    for _ in range(12):
        text = "apiVersion: v1\nkind: List\nitems:\n-\n" + indented(text, 2)
    put("pod.yaml", text)
    read = scan()
    assert (read.code, {file for file, _ in read.errors}) == (3, {"pod.yaml"})


def test_members_of_a_typed_list() -> None:
    member = PRIVILEGED.removeprefix("apiVersion: v1\nkind: Pod\n")
    put("pod.yaml", "apiVersion: v1\nkind: PodList\nitems:\n-\n" + indented(member, 2))
    assert scan().found == {privileged(line=10, column=37)}


@pytest.mark.parametrize(
    "items",
    [
        "[1]",
        "[null]",
        "['a']",
        "[[]]",
        "[{}]",
        "[{apiVersion: v1}]",
        "[{kind: Pod}]",
        "[{apiVersion: 1, kind: Pod}]",
        "[{apiVersion: v1, kind: ''}]",
    ],
)
def test_members_of_lists_that_are_no_objects_are_errors(items: str) -> None:
    put("list.yaml", f"apiVersion: v1\nkind: List\nitems: {items}\n---\n{PRIVILEGED}")
    read = scan()
    assert read.found == {privileged("list.yaml", line=12)}
    assert read.errors == {("list.yaml", 3)}


@pytest.mark.parametrize(
    "head",
    [
        "apiVersion: example.com/v1\nkind: Settings\n",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n",
        "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n",
        "apiVersion: v1\nkind: PodList\n",
        "apiVersion: x\nkind: List\n",
    ],
)
def test_whatever_has_items_is_a_list_to_clients(head: str) -> None:
    put("list.yaml", head + "items:\n-\n" + indented(PRIVILEGED, 2))
    assert scan().found == {privileged("list.yaml", line=head.count("\n") + 2 + AT[0], column=AT[1] + 2)}


def test_items_without_a_type_have_that_of_what_holds_them() -> None:
    member = PRIVILEGED.removeprefix("apiVersion: v1\nkind: Pod\n")
    put("pod.yaml", POD + "items:\n-\n" + indented(member, 2))
    assert scan().found == {privileged(line=15, column=37)}


def test_items_that_are_no_objects_are_data_where_the_kind_is_no_list() -> None:
    put("a.yaml", GOOD + "items: [a, {b: c}, null, [d]]\n")
    read = scan()
    assert (read.found, read.errors, read.code) == (set(), set(), 0)


@pytest.mark.parametrize("kind", ["List", "PodList"])
def test_items_that_are_no_list_are_an_error(kind: str) -> None:
    put("list.yaml", f"apiVersion: v1\nkind: {kind}\nitems: {{a: 1}}\n")
    assert scan().errors == {("list.yaml", 3)}


@pytest.mark.parametrize("items", ["", "[]", "null"])
def test_empty_lists(items: str) -> None:
    put("list.yaml", f"apiVersion: v1\nkind: List\nitems: {items}\n")
    assert scan().errors == set()


# --- what is no object, and what only looks like none ---


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("empty.yaml", "", "empty"),
        ("comments.yaml", "# only\n# comments\n", "empty"),
        ("separators.yaml", "---\n---\n...\n", "empty"),
        ("package.json", '{"name": "a", "version": "1.0.0", "kind": "module"}', "not-kubernetes"),
        ("tsconfig.json", '{\n  // a comment\n  "a": 1,\n}', "not-kubernetes"),
        ("docker-compose.yaml", "services:\n  web: {image: nginx, privileged: true}\n", "not-kubernetes"),
        ("workflow.yaml", "on: [push]\njobs:\n  a: {runs-on: x, steps: [{run: a}]}\n", "not-kubernetes"),
        ("scalar.yaml", "just text\n", "not-kubernetes"),
        ("list.yaml", "- a\n- b\n", "not-kubernetes"),
        (
            "template.yaml",
            "apiVersion: v1\nkind: Pod\nmetadata:\n  {{- with .Values.x }}\n  labels: {{ . }}\n  {{- end }}\n",
            "helm-template",
        ),
    ],
)
def test_files_that_hold_no_object(name: str, text: str, reason: str) -> None:
    put(name, text)
    put("good.yaml", GOOD)
    read = scan()
    assert read.skipped == {(name, reason)}
    assert (read.found, read.errors) == (set(), set())
    # What a template makes is not known.
    assert read.code == (3 if reason == "helm-template" else 0)


@pytest.mark.parametrize(
    "text",
    [
        POD.replace("kind: Pod\n", ""),
        POD.replace("apiVersion: v1\n", ""),
        POD.replace("v1", "1", 1),
        POD.replace("v1", "[v1]", 1),
        POD.replace("v1", "''", 1),
        POD.replace("Pod", "yes", 1),
    ],
)
def test_objects_without_a_type_are_errors(text: str) -> None:
    put("pod.yaml", text)
    put("good.yaml", GOOD)
    read = scan()
    assert (read.code, {file for file, _ in read.errors}) == (3, {"pod.yaml"})


@pytest.mark.parametrize("kind", ["pod", "POD", "Pods"])
def test_a_kind_in_the_wrong_case_is_not_judged_and_not_passed(kind: str) -> None:
    put("pod.yaml", PRIVILEGED.replace("Pod", kind, 1))
    read = scan()
    assert ("pod.yaml", "unknown-kind") in read.not_evaluated
    assert read.code == 3


def test_a_definition_whose_schema_has_containers() -> None:
    put(
        "crd.yaml",
        "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: a.b.c}\nspec:\n"
        "  versions:\n  - schema:\n      openAPIV3Schema:\n        properties:\n          spec:\n"
        "            properties:\n              containers: {items: {properties: {privileged: {default: true}}}}\n",
    )
    read = scan()
    assert (read.found, read.errors, read.code) == (set(), set(), 0)


# --- broken ones ---


@pytest.mark.parametrize(
    "broken",
    [
        "a: [\n",
        "a: 'x\n",
        "\tb: 1\n",
        "a: b: c\n",
        "a: *b\n",
        "a: @\n",
        "? [a]\n: b\n",
        "a: .inf\n",
        "a: &a [*a]\n",
        "a: \x07\n",
        "a: !!int x\n",
        "[" * 10_000 + "\n",
        "".join(" " * depth + "a:\n" for depth in range(1000)),
    ],
)
def test_a_broken_document_between_two_good_ones(broken: str) -> None:
    put("pod.yaml", PRIVILEGED + "---\n" + broken + "---\n" + PRIVILEGED)
    read = scan()
    assert read.found == {privileged(), privileged(line=9 + len(broken.splitlines()) + 1 + AT[0])}
    assert {file for file, _ in read.errors} == {"pod.yaml"}
    assert read.code == 1


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"a: \xff\n", 1),
        (PRIVILEGED.encode("latin-1") + b"# caf\xe9\n", 9),
        (PRIVILEGED.encode("utf-16-le"), 1),
        (b"\xff\xfe" + b"a", 1),
        (b"\x00" * 100, 1),
        (PRIVILEGED.encode() + b"# \x00\n", 9),
        (b"\x89PNG\r\n\x1a\n", 1),
        (b"a: \xed\xa0\xbd\n", 1),
    ],
)
def test_what_is_no_text_is_an_error(content: bytes, line: int) -> None:
    put("pod.yaml", content)
    put("good.yaml", GOOD)
    read = scan()
    assert (read.code, read.errors) == (3, {("pod.yaml", line)})


@pytest.mark.parametrize("name", ["a b.yaml", "a\nb.yaml", "a\x1b[31m.yaml", "é.yaml", "a'\"<&>.yaml"])
def test_findings_in_files_with_odd_names(name: str) -> None:
    put(name, PRIVILEGED)
    assert scan().found == {privileged(name)}


def test_findings_in_a_file_whose_name_is_no_text() -> None:
    put(os.fsdecode(b"a\xff.yaml"), PRIVILEGED)
    assert scan().found == {privileged("a\\xff.yaml")}


# --- deep, large, and made to exhaust ---


def test_a_finding_deep_inside() -> None:
    """A custom resource may nest as deep as it likes beside a pod that is judged."""
    deep = "x: " + "{a: " * 300 + "1" + "}" * 300 + "\n"
    put("pod.yaml", PRIVILEGED + deep)
    read = scan()
    assert (read.found, read.errors) == ({privileged()}, set())


def test_nesting_up_to_the_limit_breaks_nothing() -> None:
    put("pod.yaml", PRIVILEGED + "metadata: {name: web, annotations: " + "[" * 395 + "]" * 395 + "}\n")
    put(
        "deep.yaml",
        "apiVersion: example.com/v1\nkind: Deep\nmetadata: {name: a}\nspec: " + "{a: " * 395 + "1" + "}" * 395 + "\n",
    )
    read = scan()
    assert read.found == {privileged()}
    assert read.errors == set()


def _in_subprocess(*arguments: str) -> tuple[Scan, float, int]:
    """A scan in a process of its own: what it said, its seconds, and the most memory that it held, in MiB."""
    program = (
        "import resource, sys\n"
        "def peak():\n"
        "    # ru_maxrss of a new process begins with what its parent held; the kernel's own figure does not.\n"
        "    try:\n"
        "        status = open('/proc/self/status').read()\n"
        "        return int(status.partition('VmHWM:')[2].split()[0])\n"
        "    except OSError:\n"
        "        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "from kubeassay.cli.main import cli\n"
        "code = cli.main(sys.argv[1:], standalone_mode=False)\n"
        "print(peak(), file=sys.stderr)\n"
        "sys.exit(code)\n"
    )
    began = time.monotonic()
    ran = subprocess.run(
        [sys.executable, "-c", program, "scan", *arguments, "--profile", "pss-baseline", "--format", "json", "-j", "1"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(_SCANNER)},
        timeout=300,
    )
    took = time.monotonic() - began
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return read_scan(ran.returncode, ran.stdout), took, int(ran.stderr.splitlines()[-1]) // unit


def bomb(levels: int, form: str) -> str:
    lines = [f"a0: &a0 {form.format('x, ' * 8 + 'x')}"]
    lines += [f"a{n + 1}: &a{n + 1} {form.format(', '.join([f'*a{n}'] * 9))}" for n in range(levels)]
    return "\n".join(lines) + "\n"


BOMBS = {
    "aliases": bomb(9, "[{}]"),
    "merges": "a0: &a0 {k: 1}\n"
    + "".join(f"a{n + 1}: &a{n + 1} {{k{n}: 1, <<: [{', '.join([f'*a{n}'] * 9)}]}}\n" for n in range(12)),
    "brackets": "[" * 2_000_000,
    "braces": "{{ " * 700_000,
    "dashes": "- " * 1_000_000,
    "questions": "? " * 1_000_000,
    "lines": "".join(" " * n + "a:\n" for n in range(1500)),
    "flow lines": "[\n" * 10_000 + "]\n" * 10_000,
    "documents": "---\na: 1\n" * 150_000,
    "broken documents": "---\n[\n" * 20_000,
    "marks": "a: 1\n" + "\ufeff\n" * 200_000,
    "tags": "a: " + "-!" * 1_000_000,
    "colons": "[" + "a:," * 50_000 + "]",
    "escapes": 'a: "' + "\\'" * 50_000 + '"',
    "private use": "".join(map(chr, range(0xE000, 0xF8FF))) + "\n\ufeffa: 1\n",
}


@pytest.mark.parametrize("kind", sorted(BOMBS))
def test_bombs_are_refused(kind: str) -> None:
    put("bomb.yaml", BOMBS[kind])
    put("pod.yaml", PRIVILEGED)
    read, took, memory = _in_subprocess(".")
    assert read.found == {privileged()}
    # An error, or a template, or no object: never silence.
    assert {file for file, _ in read.errors} | {file for file, _ in read.skipped} == {"bomb.yaml"}
    # Two of them are a hundred thousand documents, and twenty thousand errors.
    assert took < (20 if "documents" in kind else 5)
    assert memory < (300 if "documents" in kind else 200)


def test_members_with_duplicate_keys() -> None:
    text = "apiVersion: v1\nkind: List\nitems:\n" + "- {apiVersion: v1, kind: ConfigMap, x: 1, x: 2}\n" * 20_000
    read = read_bytes(text.encode(), "list.yaml")
    assert not read.errors
    assert [[place.start_line for _, places in found.duplicate_keys for place in places] for found in read.objects] == [
        [line, line] for line in range(4, 20_004)
    ]


def test_a_file_of_50_megabytes() -> None:
    filler = (
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: filler}\ndata:\n  text: |\n"
        + ("    " + "x" * 995 + "\n") * 1000
    )
    large = (filler + "---\n") * 50 + PRIVILEGED
    put("large.yaml", large)
    line = large.count("\n")
    refused = scan()
    assert (refused.code, refused.found, refused.errors) == (3, set(), {("large.yaml", None)})
    assert ["--max-file-size" in message for message in refused.messages] == [True]
    read, took, _ = _in_subprocess(".", "--max-file-size", "64")
    assert read.found == {privileged("large.yaml", line=line)}
    assert took < 60


def test_the_module_runs_as_a_command() -> None:
    put("pod.yaml", PRIVILEGED)
    ran = subprocess.run(
        [sys.executable, "-m", "kubeassay.cli.main", "scan", ".", "--profile", "pss-baseline", "--format", "json"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(_SCANNER)},
    )
    assert read_scan(ran.returncode, ran.stdout).found == {privileged()}
    assert (ran.returncode, ran.stderr) == (1, "")


# --- trees ---


def test_a_tree_of_everything() -> None:
    """One bad file of each kind costs only itself."""
    put("a/pod.yaml", PRIVILEGED)
    put("b/broken.yaml", "a: [\n")
    put("c/.kubeassayignore", "pod.yaml\n")
    put("c/pod.yaml", PRIVILEGED)
    put("chart/Chart.yaml", "apiVersion: v2\nname: a\n")
    put("chart/values.yaml", "privileged: true\n")
    put("chart/templates/pod.yaml", PRIVILEGED)
    put("kustomize/kustomization.yaml", "resources: [pod.yaml]\npatches: [{path: patch.yaml}]\n")
    put("kustomize/pod.yaml", PRIVILEGED)
    put("kustomize/patch.yaml", PRIVILEGED)
    put("d/latin.yaml", b"a: \xe9\n")
    os.mkfifo("d/fifo.yaml")
    Path("d/out.yaml").symlink_to("/etc/passwd")
    read = scan()
    assert read.found == {privileged("a/pod.yaml"), privileged("kustomize/pod.yaml")}
    assert read.errors == {("b/broken.yaml", 2), ("d/latin.yaml", 1), ("d/fifo.yaml", None), ("d/out.yaml", None)}
    assert read.skipped == {
        ("c/pod.yaml", "ignored"),
        ("chart/Chart.yaml", "not-kubernetes"),
        ("chart/values.yaml", "helm-values"),
        ("chart/templates/pod.yaml", "helm-template"),
        ("kustomize/kustomization.yaml", "kustomization"),
        ("kustomize/patch.yaml", "kustomize-patch"),
    }
    assert scan("--no-ignore", ".").found - read.found == {privileged("c/pod.yaml")}


def test_the_number_of_processes_changes_nothing() -> None:
    for number in range(40):
        put(f"{number % 7}/{number}.yaml", PRIVILEGED + "# " + "x" * 30_000 + "\n")
    put("0/broken.yaml", "a: [\n")
    one, many = scan(".", "--jobs", "1"), scan(".", "--jobs", "4")
    assert one == many
    assert one.found == {privileged(f"{number % 7}/{number}.yaml") for number in range(40)}


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ('{"apiVersio\\u006e": "v1", "kin\\u0064": "Pod", "x": ' + "[" * 600 + "]" * 600 + "}", True),
        ('{"apiVersion": "v1", "kind": "Pod", "x": [}', True),
        ('{// a comment\n"compilerOptions": {}}', False),
    ],
)
def test_an_unreadable_json_file_is_an_error_where_it_could_be_an_object(text: str, error: bool) -> None:
    read = read_bytes(text.encode(), "a.json")
    assert (bool(read.errors), bool(read.skipped)) == (error, not error)
