"""Charts that want more than to be rendered: with the real Helm. Each is told by one clear message, or does nothing."""

from __future__ import annotations

import gzip
import io
import json
import os
import socket
import tarfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from kit import give_program, run_command, run_within_seconds

CHART = "apiVersion: v2\nname: web\nversion: 1.0.0\n"
#: A pod with one finding that is looked for.
POD = """\
apiVersion: v1
kind: Pod
metadata: {name: NAME}
spec:
  containers: [{name: a, image: "registry.example/a:1", securityContext: {privileged: true}}]
"""
#: What lies outside of the tree, and must be in no output.
OUTSIDE = "content-of-a-file-outside"


@pytest.fixture(autouse=True)
def _helm(monkeypatch: pytest.MonkeyPatch) -> None:
    give_program("helm", monkeypatch)


@pytest.fixture(autouse=True)
def _tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A chart in ``in/chart``, in the working directory ``in``, beside a file that it has nothing to do with."""
    (tmp_path / "outside.yaml").write_text(f"# {OUTSIDE}\nkey: {OUTSIDE}\n")
    (tmp_path / "in").mkdir()
    monkeypatch.chdir(tmp_path / "in")
    _put("chart/Chart.yaml", CHART)
    _put("chart/templates/pod.yaml", POD.replace("NAME", "web"))


def _put(name: str, content: str | bytes) -> None:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def _config_map(value: str) -> None:
    """A template that prints a value."""
    text = f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: probe}}\ndata:\n  value: {value}\n"
    _put("chart/templates/probe.yaml", text)


def _scanned(*arguments: str, path: str = "chart") -> tuple[dict[str, Any], int]:
    """The result, and the exit code. The command raises for nothing; what is outside is in no output."""
    done = run_command("scan", "--render", "-f", "json", "--fail-on", "none", *arguments, path)
    assert "Traceback" not in done.output
    assert OUTSIDE not in done.output
    found: dict[str, Any] = json.loads(done.stdout)
    return found, done.exit_code


def _refused(*arguments: str) -> tuple[str, int | None, str]:
    """The place and the words of the one error of a chart, of which nothing is judged."""
    result, code = _scanned(*arguments)
    assert result["results"] == []
    assert code == 3
    (error,) = result["errors"]
    assert "\n" not in error["message"]
    return error["file"], error.get("line"), error["message"]


def _privileged(*arguments: str) -> set[str]:
    """The names of the privileged pods of a chart that is rendered without an error."""
    result, code = _scanned(*arguments)
    assert (result["errors"], code) == ([], 0)
    return {
        finding["object"]["name"]
        for finding in result["results"]
        if finding["rule"] == "privileged-container" and finding["outcome"] == "fail"
    }


def _packed(members: Iterable[tuple[str, str | bytes]], *odd: tarfile.TarInfo) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, content in members:
            content = content.encode() if isinstance(content, str) else content
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        for info in odd:
            archive.addfile(info)
    return stream.getvalue()


def _sub(name: str, *more: tuple[str, str | bytes]) -> bytes:
    """A packed chart with a pod of its name."""
    return _packed(
        [
            (f"{name}/Chart.yaml", f"apiVersion: v2\nname: {name}\nversion: 1.0.0\n"),
            (f"{name}/templates/pod.yaml", POD.replace("NAME", name)),
            *((f"{name}/{path}", content) for path, content in more),
        ]
    )


# --- packed sub-charts ---


def test_a_packed_sub_chart_is_rendered_and_so_is_one_in_it() -> None:
    _put("chart/charts/db-1.0.0.tgz", _sub("db", ("charts/log-1.0.0.tgz", _sub("log"))))
    assert _privileged() == {"web", "db", "log"}
    result, _ = _scanned()
    files = {x["location"]["file"] for x in result["results"] if x["object"]["name"] in ("db", "log")}
    # No line of the tree has them.
    assert files == {"chart/Chart.yaml"}


def _linked(kind: bytes) -> bytes:
    info = tarfile.TarInfo("db/templates/link.yaml")
    info.type, info.linkname = kind, "../../../../outside.yaml"
    return _packed([("db/Chart.yaml", CHART.replace("web", "db"))], info)


def _bomb() -> bytes:
    """Some gigabytes of zeros in a few megabytes, made of the same part again and again."""
    part = gzip.compress(b"\0" * 2**24)
    return part * 200


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (lambda: _sub("db")[:80], "no archive that can be read"),
        (lambda: b"no archive", "no archive that can be read"),
        (lambda: b"", "no archive that can be read"),
        (lambda: _packed([("db/templates/pod.yaml", POD)]), "without a Chart.yaml"),
        (lambda: _packed([("db/Chart.yaml", CHART), ("../../../escaped.yaml", POD)]), "lead out of it"),
        (lambda: _packed([("db/Chart.yaml", CHART), ("/etc/escaped.yaml", POD)]), "lead out of it"),
        (lambda: _packed([("db/Chart.yaml", CHART), ("db\\..\\..\\escaped.yaml", POD)]), "lead out of it"),
        (lambda: _linked(tarfile.SYMTYPE), "holds links or devices"),
        (lambda: _linked(tarfile.LNKTYPE), "holds links or devices"),
        (lambda: _linked(tarfile.CHRTYPE), "holds links or devices"),
        (_bomb, "of more than"),
    ],
)
def test_an_archive_that_is_none_or_wants_more_is_refused(content: Callable[[], bytes], words: str) -> None:
    _put("chart/charts/db-1.0.0.tgz", content())
    started = time.monotonic()
    file, _, message = _refused()
    assert (file, words in message) == ("chart/charts/db-1.0.0.tgz", True), message
    assert time.monotonic() - started < 20
    assert not Path("../escaped.yaml").exists()


def test_archives_together_unpack_to_no_more_than_one_may() -> None:
    part = _packed([("p/Chart.yaml", CHART.replace("web", "p")), ("p/data", b"\0" * 2**24)])
    # As many archives in one, of some kilobytes each.
    _put("chart/charts/db.tgz", _sub("db", *((f"charts/p{n}.tgz", part) for n in range(100))))
    file, _, message = _refused()
    assert (file, "an archive of more than" in message) == ("chart/charts/db.tgz", True)


def test_charts_in_charts_under_many_names_are_not_multiplied() -> None:
    folder = "chart"
    for level in range(6):
        aliases = "".join(f"  - {{name: n{level}, alias: a{n}, version: 1.0.0}}\n" for n in range(40))
        name = "web" if not level else f"n{level - 1}"
        _put(f"{folder}/Chart.yaml", f"{CHART.replace('web', name)}dependencies:\n{aliases}")
        folder += f"/charts/n{level}"
    _put(f"{folder}/Chart.yaml", CHART.replace("web", "n5"))
    started = time.monotonic()
    file, _, message = _refused()
    assert "more than 1000 sub-charts" in message
    assert file.endswith("Chart.yaml")
    assert time.monotonic() - started < 20


def test_links_that_multiply_folders_are_not_followed_for_ever() -> None:
    for level in range(40):
        Path(f"chart/data/{level}").mkdir(parents=True)
        if level:
            for name in ("a", "b"):
                Path(f"chart/data/{level - 1}/{name}").symlink_to(f"../{level}")
    assert _refused() == ("chart/Chart.yaml", None, "the chart has more than 20000 folders")


@pytest.mark.parametrize("target", [".", "..", "../templates", "../../chart"])
def test_a_link_to_a_folder_that_it_is_in_is_refused(target: str) -> None:
    Path("chart/templates/sub").symlink_to(target)
    file, _, message = _refused()
    assert (file, "a symbolic link to a folder that it is in" in message) == ("chart/templates/sub", True)


# --- dependencies that are not there ---


def test_a_dependency_that_is_not_vendored_is_told_and_not_loaded() -> None:
    server = socket.create_server(("127.0.0.1", 0))
    server.settimeout(0)
    port = server.getsockname()[1]
    _put(
        "chart/Chart.yaml",
        f"{CHART}dependencies:\n  - {{name: other, version: 1.0.0, repository: 'file://../other'}}\n"
        f"  - {{name: db, version: 1.0.0, repository: 'http://127.0.0.1:{port}'}}\n",
    )
    _put("other/Chart.yaml", CHART.replace("web", "other"))
    file, line, message = _refused()
    assert (file, line) == ("chart/Chart.yaml", 6)
    assert "db is not vendored" in message
    assert "helm dependency build, or --allow-network" in message
    with server, pytest.raises(BlockingIOError):
        # Nobody has asked.
        server.accept()


def test_a_dependency_that_its_condition_leaves_out_is_not_needed() -> None:
    entry = "{name: db, version: 1.0.0, repository: 'https://charts.example', condition: db.enabled}"
    _put("chart/Chart.yaml", f"{CHART}dependencies: [{entry}]\n")
    _put("chart/values.yaml", "db: {enabled: false}\n")
    assert _privileged() == {"web"}
    assert _refused("--helm", "chart", "--set", "db.enabled=true")[0] == "chart/Chart.yaml"


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("file://../../elsewhere", "outside of what is scanned"),
        ("file:///etc", "outside of what is scanned"),
        ("file://..", "is no chart"),
        ("file://.", "holds the chart itself"),
        ("file://../none", "is no chart"),
    ],
)
def test_a_folder_that_is_no_sub_chart_is_refused(where: str, words: str) -> None:
    _put("../elsewhere/Chart.yaml", CHART.replace("web", "db"))
    _put("chart/Chart.yaml", f"{CHART}dependencies:\n  - {{name: db, version: 1.0.0, repository: '{where}'}}\n")
    file, line, message = _refused()
    assert (file, line) == ("chart/Chart.yaml", 5)
    assert words in message


# --- reading what is outside ---


@pytest.mark.parametrize(
    "name", ["templates/link.yaml", "values.yaml", "values.schema.json", "data.txt", "crds/link.yaml", "charts/db"]
)
def test_a_link_that_leads_out_is_not_followed(name: str) -> None:
    at = Path("chart", name)
    at.parent.mkdir(parents=True, exist_ok=True)
    at.symlink_to(Path("../outside.yaml").resolve())
    _config_map('{{ .Files.Get "data.txt" | quote }}')
    file, _, message = _refused()
    assert file == f"chart/{name}"
    assert "leads out of what is scanned" in message


def test_a_values_file_that_is_a_link_out_is_not_read_unless_it_is_named() -> None:
    Path("linked.yaml").symlink_to(Path("../outside.yaml").resolve())
    # Whom the user names, is read: it is his file.
    assert _privileged("--helm", "chart", "--values", "linked.yaml") == {"web"}


@pytest.mark.parametrize(
    "code",
    [
        '.Files.Get "../outside.yaml"',
        '.Files.Get "/etc/hostname"',
        '.Files.Get "../../outside.yaml"',
        '(.Files.Glob "../**").AsConfig',
        '(.Files.Glob "/etc/host*").AsConfig',
        'tpl "{{ .Files.Get \\"../outside.yaml\\" }}" .',
        'lookup "v1" "Secret" "kube-system" "any"',
        'lookup "v1" "Namespace" "" ""',
        'getHostByName "localhost"',
    ],
)
def test_a_function_gets_nothing_from_outside(code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(Path("../outside.yaml").resolve()))
    _fail_if_there_is(code)
    assert _privileged() == {"web"}


def _fail_if_there_is(code: str) -> None:
    """A template that fails where a function gives something. What is nothing differs by the function."""
    nothing = 'has $got (list "" "map[]" "{}")'
    _config_map(f'{{{{ $got := {code} | toString }}}}{{{{ if not ({nothing}) }}}}{{{{ fail "got" }}}}{{{{ end }}}}x')


@pytest.mark.parametrize("code", ['.Files.Get "data.txt"', '(.Files.Glob "*.txt").AsConfig', 'tpl "{{ 1 }}" .'])
def test_a_function_gets_what_is_in_the_chart(code: str) -> None:
    _put("chart/data.txt", "x")
    _fail_if_there_is(code)
    assert _refused()[2].endswith("got")


@pytest.mark.parametrize("code", ['env "HOME"', 'expandenv "$HOME"', 'env "KUBEASSAY_PROBE"'])
def test_there_is_no_environment(code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBEASSAY_PROBE", OUTSIDE)
    _config_map(f"{{{{ {code} | quote }}}}")
    file, line, message = _refused()
    assert (file, line) == ("chart/templates/probe.yaml", 5)
    assert "not defined" in message


def test_programs_of_the_user_s_are_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = tmp_path / "ran"
    program = tmp_path / "plugins" / "evil" / "evil.sh"
    _put(str(program), f"#!/bin/sh\ntouch {ran}\ncat\n")
    program.chmod(0o755)
    manifest = (
        "name: evil\nversion: 1.0.0\nusage: x\ndescription: x\ncommand: $HELM_PLUGIN_DIR/evil.sh\n"
        "downloaders: [{command: evil.sh, protocols: [evil]}]\nhooks: {install: $HELM_PLUGIN_DIR/evil.sh}\n"
    )
    _put(str(program.parent / "plugin.yaml"), manifest)
    monkeypatch.setenv("HELM_PLUGINS", str(tmp_path / "plugins"))
    monkeypatch.setenv("HELM_POST_RENDERER", str(program))
    monkeypatch.setenv("HELM_DRIVER", "sql")
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    assert _privileged() == {"web"}
    _put("chart/Chart.yaml", f"{CHART}dependencies: [{{name: db, version: 1.0.0, repository: 'evil://x'}}]\n")
    _refused()
    _refused("--allow-network")
    assert not ran.exists()


# --- using more than there is ---


def test_output_without_end_is_cut() -> None:
    _config_map('"{{ range until 10000000 }}{{ . }} is one more line of what nobody reads {{ end }}"')
    started = time.monotonic()
    _, _, message = _refused("--render-timeout", "5")
    assert "printed more than" in message or "took longer than" in message or "memory" in message
    assert time.monotonic() - started < 25


def test_a_template_without_end_is_stopped() -> None:
    _config_map("{{ range until 100000 }}{{ range until 100000 }}{{ end }}{{ end }}")
    started = time.monotonic()
    file, _, message = _refused("--render-timeout", "2")
    assert (file, message) == ("chart/Chart.yaml", "the chart is not rendered: helm took longer than 2 s")
    assert time.monotonic() - started < 10


@pytest.mark.parametrize(
    "text",
    [
        '{{ define "a" }}{{ include "a" . }}{{ end }}{{ include "a" . }}',
        '{{ define "a" }}{{ template "a" . }}{{ end }}{{ template "a" . }}',
        '{{ define "a" }}{{ tpl "{{ include \\"a\\" . }}" . }}{{ end }}{{ include "a" . }}',
    ],
)
def test_a_template_that_includes_itself_is_told(text: str) -> None:
    _put("chart/templates/again.yaml", text)
    file, _, message = _refused("--render-timeout", "20")
    assert file in ("chart/templates/again.yaml", "chart/Chart.yaml")
    assert len(message) < 700


def test_ten_thousand_templates_are_rendered() -> None:
    for number in range(10_000):
        _put(f"chart/templates/{number}.yaml", f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: c-{number}}}\n")
    assert _privileged() == {"web"}


def test_more_files_than_a_chart_has_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kubeassay.sources.helm_chart.MAX_FILES", 5)
    for number in range(6):
        _put(f"chart/templates/{number}.yaml", "a: b\n")
    assert _refused()[2] == "the chart has more than 5 files"


def test_values_whose_aliases_multiply_do_not_fill_the_memory() -> None:
    levels = "".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]\n" for n in range(1, 12))
    _put("bomb.yaml", f"l0: &l0 [x, x, x, x, x, x, x, x, x]\n{levels}")
    started = time.monotonic()
    file, _, _ = _refused("--helm", "chart", "--values", "bomb.yaml")
    assert file in ("bomb.yaml", "chart/Chart.yaml")
    assert time.monotonic() - started < 30


@pytest.mark.parametrize(
    "text",
    [
        "{{/* " + "{{ " * 100_000 + "*/}}",
        "# x: " + " " * 200_000 + "y",
        " " * 200_000 + "\nx: y",
        "a: {{ " + "(" * 40 + "printf .Values.x" + ")" * 40 + " }}",
        "a: {{ " + "(" * 3000 + ".Values.x" + ")" * 3000 + " | quote }}",
        "".join(f"{{{{ $v{n} := .Values.x }}}}\n" for n in range(20_000)),
        "{{ if true }}" * 3000 + "{{ end }}" * 3000,
        "".join('x{n}:\n  {{ include "h" . }}\n'.replace("{n}", str(n)) for n in range(20_000)),
        "a: {{ " + 'printf "%s" (' * 80 + ".Values.x" + ")" * 80 + " }}",
        '{{ define "h" }}h{{ end }}' + '{{ include "h" . }}' * 20_000,
    ],
    ids=["opened", "spaces", "blank", "calls", "parentheses", "variables", "blocks", "lines", "functions", "includes"],
)
def test_reading_a_template_takes_no_longer_than_rendering_it(text: str) -> None:
    """What Helm renders in a moment: places are looked for in it, in a process that would not end otherwise."""
    _put("chart/templates/_h.tpl", '{{ define "h" }}y{{ end }}')
    _put("chart/values.yaml", "x: word\n")
    _put("chart/templates/long.yaml", f"{POD.replace('NAME', 'long')}---\n{text}\n")
    code = (
        "from kit import run_command\n"
        "done = run_command('scan', '--render', '-f', 'json', '--fail-on', 'none', 'chart')\n"
        "assert 'Traceback' not in done.output and 'long' in done.output, done.output[-500:]\n"
    )
    run_within_seconds(code, seconds=30)


@pytest.mark.parametrize(
    "code",
    [
        "(" * 40 + "printf .Values.x" + ")" * 40,
        "(" * 3000 + ".Values.x" + ")" * 3000,
        "quote (" * 60 + ".Values.x" + ")" * 60,
        "quote (" * 3000 + ".Values.x" + ")" * 3000,
        "(" * 60 + "1 | 2" + ")" * 60,
        "(1 | " * 60 + "1" + ")" * 60,
    ],
)
def test_an_expression_is_understood_soon_or_not_at_all(code: str) -> None:
    program = f"from kubeassay.sources.go_template import Scope, expression\nexpression({code!r}, Scope((), ()))"
    run_within_seconds(program, seconds=10)


# --- what is no chart ---


def test_a_pipe_among_the_templates_is_not_waited_for() -> None:
    os.mkfifo("chart/templates/pipe.yaml")
    assert _refused() == ("chart/templates/pipe.yaml", None, "is not a regular file: the chart is not rendered")


def test_a_template_that_is_no_utf_8_is_told() -> None:
    _put("chart/templates/latin.yaml", b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: l}\ndata: {a: \xe9}\n")
    assert _refused()[0] == "chart/templates/latin.yaml"


def test_values_that_are_no_utf_8_or_no_mapping_are_told() -> None:
    for content in (b"a: \xe9\n", b"- a\n", b"a: [\n", b"\x00\x00", b"a: {{ b }}\n"):
        _put("bad.yaml", content)
        file, _, message = _refused("--helm", "chart", "--values", "bad.yaml")
        assert file == "bad.yaml", (content, message)


@pytest.mark.parametrize(
    "name", ['"a\\nb"', "../../escaped", "/etc", "a/b", '".."', '""', '"a b"', "'{{ .Values }}'", '"# Source: x"']
)
def test_a_chart_with_a_strange_name_is_refused_or_rendered_under_it(name: str) -> None:
    _put("chart/Chart.yaml", f"apiVersion: v2\nname: {name}\nversion: 1.0.0\n")
    result, _ = _scanned()
    # Judged, or told: never neither.
    judged = {finding["object"]["name"] for finding in result["results"]}
    told = [error["file"] for error in result["errors"]]
    assert (judged, told) in (({"web"}, []), (set(), ["chart/Chart.yaml"]))
    assert not Path("../escaped").exists()


def test_a_folder_named_as_the_chart_s_file_is_makes_no_chart() -> None:
    Path("chart/Chart.yaml").unlink()
    _put("chart/Chart.yaml/file.yaml", "a: b\n")
    result, _ = _scanned()
    assert "rendered" not in result


def test_a_kubernetes_version_that_does_not_fit_is_told() -> None:
    _put("chart/Chart.yaml", f'{CHART}kubeVersion: ">=1.99.0"\n')
    file, line, message = _refused()
    assert (file, line) == ("chart/Chart.yaml", 4)
    assert "kubeVersion: >=1.99.0" in message


def test_an_old_cluster_is_what_the_chart_sees() -> None:
    condition = 'semverCompare "<1.25-0" .Capabilities.KubeVersion.Version'
    _put("chart/templates/old.yaml", f"{{{{- if {condition} }}}}\n{POD.replace('NAME', 'old')}{{{{- end }}}}\n")
    assert _privileged() == {"web"}
    assert _privileged("--helm", "chart", "--kube-version", "1.24") == {"web", "old"}


# --- what is in a chart besides ---


def test_what_helm_does_not_render_is_not_rendered() -> None:
    _put("chart/templates/NOTES.txt", POD.replace("NAME", "notes"))
    _put("chart/.helmignore", "drafts/\n*.bak.yaml\ntemplates/left.yaml\n")
    _put("chart/templates/left.yaml", '{{ fail "ignored" }}\n')
    _put("chart/templates/x.bak.yaml", '{{ fail "ignored" }}\n')
    assert _privileged() == {"web"}


@pytest.mark.parametrize(
    "rules",
    [
        "templates/a.yaml",
        "/templates/a.yaml",
        "a.yaml",
        "*.yaml",
        "templates/",
        "templates",
        "sub/",
        "templates/sub",
        "templates/*/a.yaml",
        "templates/?.yaml",
        "[ab].yaml",
        "[^a].yaml",
        "[b-c].yaml",
        "# a.yaml\n\n  b.yaml  ",
        "!a.yaml\n",
        "!*.yaml\nb.yaml",
        "!templates/",
        "\\a.yaml",
        "templates/sub/a.yaml\ncharts/",
        "charts/db/templates/a.yaml",
        "db",
        "/a.yaml",
        "\ufeffa.yaml",
        "charts/db/Chart.yaml",
    ],
)
def test_what_helm_ignores_is_told_and_never_lost(rules: str) -> None:
    """Each manifest is rendered, or told as none that was judged: as Helm has it, which is asked."""
    files = ["templates/a.yaml", "templates/b.yaml", "templates/sub/a.yaml", "templates/sub/b.yaml"]
    files += [f"charts/db/{name}" for name in files]
    _put("chart/charts/db/Chart.yaml", CHART.replace("web", "db"))
    for number, file in enumerate(files):
        _put(f"chart/{file}", POD.replace("NAME", f"p{number}"))
    _put("chart/.helmignore", rules)
    result, _ = _scanned()
    judged = {finding["location"]["file"].removeprefix("chart/") for finding in result["results"]}
    told = {entry["file"].removeprefix("chart/") for entry in result["skipped"]}
    if result["errors"]:
        assert judged <= set(files)
    if not result["errors"]:
        ignored = {entry["file"] for entry in result["skipped"] if entry["reason"] == "helm-ignored"}
        assert {f"chart/{file}" for file in set(files) - judged} == ignored - {"chart/templates/pod.yaml"}
    assert (judged | told) >= set(files)


@pytest.mark.parametrize("name", ["_off", ".hidden"])
def test_a_folder_that_helm_takes_for_no_sub_chart_is_judged_as_it_stands(name: str) -> None:
    _put(f"chart/charts/{name}/deploy/pod.yaml", POD.replace("NAME", "other"))
    _put(f"chart/charts/{name}/templates/pod.yaml", POD.replace("NAME", "another"))
    assert _privileged() == {"web", "other", "another"}


@pytest.mark.parametrize("text", ["", "{{ if false }}a: b{{ end }}", "# Nothing.\n", "---\n---\n"])
def test_a_chart_may_print_nothing(text: str) -> None:
    _put("chart/templates/pod.yaml", text)
    result, code = _scanned()
    # Where nothing was judged, nothing complies.
    assert (result["errors"], result["results"], code) == ([], [], 3)
    _put("chart/charts/sub/Chart.yaml", CHART.replace("web", "sub"))
    _put("chart/charts/sub/templates/pod.yaml", POD.replace("NAME", "sub"))
    assert _privileged() == {"sub"}


def test_custom_resource_definitions_are_taken_as_they_stand() -> None:
    _put("chart/crds/pods.yaml", POD.replace("NAME", "{{ crd }}").replace("{{ crd }}", "in-crds"))
    result, _ = _scanned()
    (place,) = [
        (finding["location"]["file"], finding["location"]["startLine"])
        for finding in result["results"]
        if finding["rule"] == "privileged-container" and finding["object"]["name"] == "in-crds"
    ]
    assert place == ("chart/crds/pods.yaml", 5)


def test_documents_that_are_there_twice_are_both_judged() -> None:
    _put("chart/templates/twice.yaml", f"{POD.replace('NAME', 'twice')}---\n{POD.replace('NAME', 'twice')}")
    result, _ = _scanned()
    lines = [
        finding["location"]["startLine"]
        for finding in result["results"]
        if finding["rule"] == "privileged-container" and finding["object"]["name"] == "twice"
    ]
    assert sorted(lines) == [5, 11]


@pytest.mark.parametrize(
    "template",
    [
        '{{ fail (printf "wrong: %s" .Values.database.password) }}',
        "{{ .Values.database.password | atoi | div 0 }}{{ required .Values.database.password .Values.none }}",
        "{{ .Values.database.password | b64enc | fail }}",
        "{{ .Values.database.password | toDate }}",
        "a: {{ .Values.database.password }}: :\n b",
        '{{ index .Values .Values.database.password "x" }}',
        "{{ semver .Values.database.password }}",
        '{{ .Values.database.password | mustToDate "2006" }}',
        "{{ .Values.database.password | upper | fail }}",
    ],
)
@pytest.mark.parametrize("given", ["file", "set"])
def test_a_secret_in_what_helm_says_is_not_told(template: str, given: str) -> None:
    secret = "Correct-Horse-77"
    _put("chart/values.yaml", "database: {password: none}\n")
    _put("secret.yaml", f"database:\n  password: {secret}\n")
    _put("chart/templates/fails.yaml", template)
    how = ("--values", "secret.yaml") if given == "file" else ("--set", f"database.password={secret}")
    done = run_command("scan", "--render", "--helm", "chart", *how, "-f", "json")
    (error,) = json.loads(done.stdout)["errors"]
    assert error["file"] == "chart/templates/fails.yaml"
    assert secret.lower() not in done.output.lower()
    assert "Q29ycmVjdC1Ib3JzZS03Nw" not in done.output


@pytest.mark.parametrize("given", ["file", "set"])
def test_what_a_secret_is_made_of_is_not_told_whatever_it_is_called(given: str) -> None:
    words = "Correct-Horse-77"
    _put("chart/values.yaml", "broker: {dsn: none}\n")
    _put("more.yaml", f"broker: {{dsn: {words}}}\n")
    secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\nstringData: {dsn: '{{ .Values.broker.dsn }}'}\n"
    _put("chart/templates/secret.yaml", secret)
    _put("chart/templates/fails.yaml", "{{ fail .Values.broker.dsn }}")
    how = ("--values", "more.yaml") if given == "file" else ("--set", f"broker.dsn={words}")
    done = run_command("scan", "--render", "--helm", "chart", *how, "-f", "json")
    assert [error["file"] for error in json.loads(done.stdout)["errors"]] == ["chart/templates/fails.yaml"]
    assert words not in done.output


@pytest.mark.parametrize(
    ("content", "line"),
    [("a: 1\nb: [\n", 3), ("- a\n", None), ("a: 1\nb: c: d\n", 2), ("password: {Horse-77: {{ x }}}\n", 1)],
)
@pytest.mark.parametrize("which", ["chart/values.yaml", "chart/charts/db/values.yaml"])
def test_values_of_a_chart_that_cannot_be_read_are_told(content: str, line: int | None, which: str) -> None:
    _put("chart/charts/db/Chart.yaml", CHART.replace("web", "db"))
    _put(which, content)
    result, code = _scanned()
    assert (result["results"], code) == ([], 3)
    # The file is read on its own as well, where it is no YAML.
    assert {error["file"] for error in result["errors"]} == {which}
    (error,) = [error for error in result["errors"] if error["message"].startswith("the values cannot be read: ")]
    assert error["line"] == line
    assert "Horse" not in error["message"]
    assert "/tmp" not in error["message"]


@pytest.mark.parametrize("report", ["terminal", "json", "sarif", "html", "markdown", "gitlab"])
def test_no_report_shows_a_secret_of_a_chart(report: str) -> None:
    _put("chart/values.yaml", "broker: {dsn: Horse-71}\ndatabase:\n  password: Horse-72\nmany:\n  a: Horse-73\n")
    _put("more.yaml", "broker: {dsn: Horse-74}\nmany: {b: Horse-75}\n")
    _put("chart/templates/_h.tpl", '{{ define "h" }}h: {{ .Values.broker.dsn }}\nl: Horse-76{{ end }}')
    secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\nstringData:\n  literal: Horse-77 # Horse-77 it is\n"
    secret += "  dsn: {{ .Values.broker.dsn }}\n  both: {{ .Values.database.password }}@{{ .Values.broker.dsn }}\n"
    secret += '  {{- toYaml .Values.many | nindent 2 }}\n  {{- include "h" . | nindent 2 }}\n'
    secret += '  url: "amqp://user:Horse-78@{{ .Release.Name }}"\n  default: {{ .Values.none | default "Horse-79" }}\n'
    secret += "  {{- range $k, $v := .Values.many }}\n  r{{ $k }}: {{ $v }}\n  {{- end }}\n"
    _put("chart/templates/secret.yaml", secret)
    job = POD.replace("NAME", "job").replace("image:", "env: [{name: DB_PASSWORD, value: Horse-80}], image:")
    _put("chart/templates/job.yaml", job)
    arguments = ("--helm", "chart", "--values", "more.yaml", "--set", "many.c=Horse-81", "--profile", "strict")
    done = run_command("scan", "--render", *arguments, "-f", report)
    assert "secret-in-manifest" in done.output
    assert "Horse" not in done.output
