"""Charts that want more than to be rendered: with the real Helm, each told in one clear message, or harmless."""

from __future__ import annotations

import io
import json
import os
import socket
import tarfile
import threading
import time
import zlib
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from charts import METADATA, WEB, render, scanned, use_helm, web_chart, write
from kit import run_command
from kubeassay.sources import tools

_SUB = "apiVersion: v2\nname: db\nversion: 1.0.0\n"
_DB = WEB.replace("web", "db").replace("{{ .Values.privileged }}", "true")
_DEPENDS = METADATA + 'dependencies:\n  - name: db\n    version: 1.0.0\n    repository: "https://charts.example"\n'
#: A template that prints what an expression gives.
_SHOWS = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: shows}\ndata:\n  shown: {{ %s | quote }}\n"
_PRIVILEGED = "privileged-container"


@pytest.fixture(autouse=True)
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    use_helm(monkeypatch)
    (tmp_path / "tree/.git").mkdir(parents=True)
    (tmp_path / "secret.txt").write_text("of-nobodys-business")
    (tmp_path / "secret.yaml").write_text("privileged: true\n")
    monkeypatch.chdir(tmp_path / "tree")
    return tmp_path / "tree"


def refused(message: str, file: str, *arguments: str, line: int | None = None, seconds: float = 30) -> dict[str, Any]:
    """Scan the chart; there is one error, of a file, and no object of the chart has passed or failed."""
    began = time.monotonic()
    result, code, said = scanned("--helm", "chart", *arguments)
    assert time.monotonic() - began < seconds
    (error,) = result["errors"]
    assert (code, error["file"]) == (3, file), error
    assert message in error["message"], error
    assert "\n" not in error["message"]
    assert len(error["message"]) < 1000
    assert line is None or error["line"] == line
    assert result["results"] == []
    assert result["summary"]["pass"] == 0
    assert "kubeassay-helm-" not in error["message"]
    assert "of-nobodys-business" not in json.dumps(result) + said
    return error


def rendered(*arguments: str) -> dict[str, Any]:
    result, _, said = scanned("--helm", "chart", "--fail-on", "none", *arguments)
    assert result["errors"] == [], result["errors"]
    assert "of-nobodys-business" not in json.dumps(result) + said
    return result


def found(result: Mapping[str, Any], rule: str = _PRIVILEGED) -> set[tuple[str, str, int]]:
    """(object, file, line) of the findings of a rule."""
    return {
        (each["object"]["name"], each["location"]["file"], each["location"]["startLine"])
        for each in result["results"]
        if each["rule"] == rule and each["outcome"] == "fail"
    }


def shown(expression: str, tree: Path, **more: Any) -> str:
    """What an expression gives in a template."""
    web_chart(tree / "chart", {"templates/shows.yaml": _SHOWS % expression})
    output = render(tree / "chart", **more)
    assert not output.errors, output.errors
    (line,) = [line for line in output.text.split("\n") if line.startswith("  shown:")]
    return line.removeprefix("  shown: ").strip('"')


# --- packed sub-charts ---


def packed(members: Mapping[str, bytes | str], change: Callable[[tarfile.TarInfo], None] | None = None) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, content in members.items():
            data = content.encode() if isinstance(content, str) else content
            member = tarfile.TarInfo(name)
            member.size = len(data)
            if change is not None:
                change(member)
            archive.addfile(member, io.BytesIO(data))
    return stream.getvalue()


_GOOD: Mapping[str, bytes | str] = {
    "db/Chart.yaml": _SUB,
    "db/values.yaml": "privileged: true\n",
    "db/templates/db.yaml": WEB.replace("web", "db"),
}


def test_a_packed_sub_chart_is_judged_at_what_asks_for_it_or_states_it(tree: Path) -> None:
    write(tree, {"chart/charts/db-1.0.0.tgz": packed(_GOOD)})
    web_chart(tree / "chart", {"Chart.yaml": _DEPENDS})
    assert found(rendered()) == {("db", "chart/Chart.yaml", 5)}
    web_chart(tree / "chart", {"Chart.yaml": _DEPENDS, "values.yaml": "privileged: false\ndb:\n  privileged: true\n"})
    assert found(rendered()) == {("db", "chart/values.yaml", 3)}
    web_chart(tree / "chart", {"values.yaml": "privileged: false\n"})
    assert found(rendered()) == {("db", "chart/Chart.yaml", 2)}


def test_a_packed_sub_chart_in_a_packed_sub_chart_is_judged(tree: Path) -> None:
    inner = packed({name.replace("db/", "in/"): str(text).replace("db", "in") for name, text in _GOOD.items()})
    outer = packed({**_GOOD, "db/values.yaml": "privileged: false\n", "db/charts/in-1.0.0.tgz": inner})
    web_chart(tree / "chart", {"Chart.yaml": _DEPENDS, "charts/db-1.0.0.tgz": outer})
    assert found(rendered()) == {("in", "chart/Chart.yaml", 5)}


def _linked(kind: bytes, target: str) -> Callable[[tarfile.TarInfo], None]:
    def change(member: tarfile.TarInfo) -> None:
        if member.name.endswith("link.yaml"):
            member.type, member.linkname, member.size = kind, target, 0

    return change


@pytest.mark.parametrize(
    ("archive", "message"),
    [
        (b"no archive", "no archive that can be read"),
        (packed(_GOOD)[:-30], "no archive that can be read"),
        (b"", "no archive"),
        (packed({**_GOOD, "../../../evil.yaml": "x"}), "names that lead out of it"),
        (packed({**_GOOD, "db/templates/../../../../evil.yaml": "x"}), "names that lead out of it"),
        (packed({**_GOOD, "/etc/evil.yaml": "x"}), "names that lead out of it"),
        (packed({**_GOOD, "db/templates/..\\..\\..\\..\\evil.yaml": "x"}), "names that lead out of it"),
        (packed({**_GOOD, "db/templates/a\nb.yaml": "x"}), "names that are not printed"),
        (packed({**_GOOD, "db/templates/link.yaml": ""}, _linked(tarfile.SYMTYPE, "/etc/passwd")), "links or devices"),
        (packed({**_GOOD, "db/templates/link.yaml": ""}, _linked(tarfile.LNKTYPE, "db/values.yaml")), "links or dev"),
        (packed({**_GOOD, "db/templates/link.yaml": ""}, _linked(tarfile.FIFOTYPE, "")), "links or devices"),
        (packed({"db/values.yaml": "a: 1\n"}), "without a Chart.yaml"),
    ],
)
def test_a_packed_sub_chart_that_is_refused_is_told(tree: Path, archive: bytes, message: str) -> None:
    web_chart(tree / "chart", {"Chart.yaml": _DEPENDS, "charts/db-1.0.0.tgz": archive})
    refused(message, "chart/charts/db-1.0.0.tgz")
    # In another packed chart it is none the better.
    outer = packed({**_GOOD, "db/charts/in-1.0.0.tgz": archive})
    web_chart(tree / "chart", {"Chart.yaml": _DEPENDS, "charts/db-1.0.0.tgz": outer})
    refused(message, "chart/charts/db-1.0.0.tgz")
    assert not list(tree.parent.glob("**/evil.yaml"))


def bomb(megabytes: int) -> bytes:
    """The beginning of a gzip stream of an archive with a file of zeros."""
    head = tarfile.TarInfo("db/big.bin")
    head.size = megabytes * 2**20
    stream = zlib.compressobj(9, wbits=31)
    first = stream.compress(head.tobuf()) + stream.flush(zlib.Z_FULL_FLUSH)
    # What refers to nothing in front of it may be repeated.
    zeros = stream.compress(bytes(2**20)) + stream.flush(zlib.Z_FULL_FLUSH)
    return first + zeros * megabytes


def test_a_packed_sub_chart_of_gigabytes_is_not_unpacked(tree: Path) -> None:
    archive = bomb(2500)
    assert zlib.decompressobj(wbits=31).decompress(archive, 2**20)[257:262] == b"ustar"
    assert len(archive) < 4 * 2**20
    web_chart(tree / "chart", {"Chart.yaml": _DEPENDS, "charts/db-1.0.0.tgz": archive})
    refused("an archive of more than", "chart/charts/db-1.0.0.tgz", seconds=10)


# --- dependencies that are not there ---


def test_a_missing_sub_chart_is_told_with_its_line_and_how_to_get_it(tree: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        web_chart(
            tree / "chart",
            {"Chart.yaml": _DEPENDS.replace("https://charts.example", f"http://127.0.0.1:{server.getsockname()[1]}")},
        )
        error = refused("the dependency db is not vendored", "chart/Chart.yaml", line=5)
        assert "helm dependency build, or --allow-network" in error["message"]
        with pytest.raises(TimeoutError):
            server.accept()


def test_each_missing_sub_chart_is_told(tree: Path) -> None:
    more = "  - name: queue\n    version: 2.0.0\n    repository: oci://charts.example/queue\n"
    web_chart(tree / "chart", {"Chart.yaml": _DEPENDS + more})
    result, code, _ = scanned("--helm", "chart")
    assert code == 3
    assert [(error["line"], error["message"].split()[2]) for error in result["errors"]] == [(5, "db"), (8, "queue")]


@pytest.mark.parametrize(
    ("repository", "message"),
    [
        ("file://../../outside", "lies outside of what is scanned"),
        ("file:///etc", "lies outside of what is scanned"),
        ("file://../none", "is no chart"),
        ("file://.", "holds the chart itself"),
        ("file://..", "is no chart"),
        ("file://../other", "is not named db"),
    ],
)
def test_a_sub_chart_elsewhere_has_to_be_one_in_the_tree(tree: Path, repository: str, message: str) -> None:
    write(tree.parent, {"outside/Chart.yaml": _SUB, "tree/other/Chart.yaml": METADATA})
    web_chart(tree / "chart", {"Chart.yaml": _DEPENDS.replace("https://charts.example", repository)})
    refused(message, "chart/Chart.yaml", line=5)


def test_charts_that_depend_on_each_other_come_to_an_end(tree: Path) -> None:
    web_chart(tree / "chart", {"Chart.yaml": _DEPENDS.replace("https://charts.example", "file://../db")})
    back = _SUB + 'dependencies:\n  - name: web\n    version: 1.0.0\n    repository: "file://../chart"\n'
    write(tree, {"db/Chart.yaml": back, "db/templates/db.yaml": _DB})
    result, _, said = scanned("--helm", "chart", "--fail-on", "none")
    assert {name for name, _, _ in found(result)} == {"db"}
    assert "web, which a sub-chart depends on, is not vendored" in said


# --- links, and what is no file ---


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("templates/link.yaml", "../../../secret.yaml"),
        ("templates/link", "../../.."),
        ("values.yaml", "../../secret.yaml"),
        ("secret.txt", "../../secret.txt"),
        ("absolute.txt", "/etc/passwd"),
        ("charts/out", "../../../outside"),
        ("charts/out-1.0.0.tgz", "../../../secret.txt"),
        ("crds/link.yaml", "../../../secret.yaml"),
        ("values.schema.json", "../../secret.txt"),
        (".helmignore", "../../secret.txt"),
        ("Chart.lock", "../../secret.txt"),
    ],
)
def test_a_link_out_of_the_tree_is_told_and_not_followed(tree: Path, name: str, target: str) -> None:
    write(tree.parent, {"outside/Chart.yaml": _SUB})
    web_chart(tree / "chart", {"templates/shows.yaml": _SHOWS % '.Files.Get "secret.txt"'})
    link = tree / "chart" / name
    link.unlink(missing_ok=True)
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(target)
    refused("a symbolic link that leads out of what is scanned", f"chart/{name}")


def test_the_chart_s_own_description_as_a_link_out_of_the_tree_is_not_followed(tree: Path) -> None:
    web_chart(tree / "chart")
    (tree.parent / "Chart.yaml").write_text(METADATA)
    (tree / "chart/Chart.yaml").unlink()
    (tree / "chart/Chart.yaml").symlink_to("../../Chart.yaml")
    refused("a symbolic link that leads out of what is scanned", "chart/Chart.yaml")


def test_links_within_the_tree_are_followed_and_circles_are_told(tree: Path) -> None:
    web_chart(tree / "chart", {"values.yaml": ""})
    write(tree, {"shared/values.yaml": "privileged: true\n"})
    (tree / "chart/values.yaml").unlink()
    (tree / "chart/values.yaml").symlink_to("../shared/values.yaml")
    ((name, file, line),) = found(rendered())
    assert (name, line) == ("web", 1)
    assert file in ("chart/values.yaml", "shared/values.yaml")
    (tree / "chart/templates/again").symlink_to("..")
    refused("a symbolic link to a folder that it is in", "chart/templates/again")


@pytest.mark.parametrize("name", ["templates/pipe.yaml", "values.yaml", "pipe", "charts/db-1.0.0.tgz"])
def test_a_pipe_is_told_and_not_waited_for(tree: Path, name: str) -> None:
    web_chart(tree / "chart")
    (tree / "chart" / name).unlink(missing_ok=True)
    (tree / "chart" / name).parent.mkdir(exist_ok=True)
    os.mkfifo(tree / "chart" / name)
    refused("is not a regular file", f"chart/{name}", seconds=10)


def test_what_has_to_be_a_file_and_is_a_folder_is_told(tree: Path) -> None:
    web_chart(tree / "chart")
    (tree / "chart/values.yaml").unlink()
    write(tree, {"chart/values.yaml/x": "a: 1\n"})
    assert found(rendered("--set", "privileged=true")) == {("web", "chart/templates/web.yaml", 13)}
    (tree / "chart/Chart.yaml").unlink()
    write(tree, {"chart/Chart.yaml/x": "a: 1\n"})
    done = run_command("scan", "--render", "--helm", "chart")
    assert done.exit_code == 2
    assert "there is no Chart.yaml in it" in done.stderr
    # Among others it is none, and its templates are told as such.
    result, code, _ = scanned(".")
    assert code in (1, 3)
    assert result["notEvaluated"] or result["errors"] or result["skipped"]


def test_what_is_no_text_is_told(tree: Path) -> None:
    web_chart(tree / "chart", {"templates/latin.yaml": b"# caf\xe9\n" + (_SHOWS % '"x"').encode()})
    refused("UTF-8", "chart/templates/latin.yaml")
    web_chart(tree / "chart", {"templates/latin.yaml": b"", "notes.bin": bytes(range(256))})
    assert rendered("--set", "privileged=true")["results"]
    web_chart(tree / "chart", {"values.yaml": b"privileged: \xff\xfe\n"})
    result, code, _ = scanned("--helm", "chart")
    assert code == 3
    (error,) = result["errors"]
    assert error["file"] == "chart/values.yaml"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="names of files are texts here")
def test_names_of_files_are_any_bytes(tree: Path) -> None:
    web_chart(tree / "chart")
    (tree / "chart/templates" / os.fsdecode(b"caf\xe9.yaml")).write_text(_DB)
    result, _, _ = scanned("--helm", "chart", "--fail-on", "none")
    assert {name for name, _, _ in found(result)} == {"db"} or result["errors"]
    (tree / "chart/templates" / os.fsdecode(b"caf\xe9.yaml")).unlink()
    (tree / "chart/templates/a\n---\n# Source: web/templates/web.yaml\nb.yaml").parent.mkdir(parents=True)
    (tree / "chart/templates/a\n---\n# Source: web/templates/web.yaml\nb.yaml").write_text(_DB)
    result, code, _ = scanned("--helm", "chart")
    (error,) = result["errors"]
    assert (code, result["results"]) == (3, [])
    assert "its name has characters that are not printed" in error["message"]


# --- what templates ask for ---


@pytest.mark.parametrize(
    ("expression", "gives"),
    [
        ('.Files.Get "../secret.txt"', ""),
        ('.Files.Get "../../secret.txt"', ""),
        ('.Files.Get "/etc/passwd"', ""),
        ('len (.Files.Glob "../**")', "0"),
        ('len (.Files.Glob "/**")', "0"),
        ('.Files.Get "templates/web.yaml"', ""),
        ('lookup "v1" "Secret" "default" "db" | toJson', "{}"),
        ('lookup "v1" "Namespace" "" "" | toJson', "{}"),
        ('getHostByName "localhost"', ""),
        ('tpl "{{ .Values.privileged }}" .', "false"),
        ('.Capabilities.APIVersions.Has "example.com/v1"', "false"),
        (".Release.Service", "Helm"),
        (".Capabilities.KubeVersion.Version", "v1.31"),
        ('osBase "/a/b"', "b"),
    ],
)
def test_templates_see_the_chart_and_nothing_else(
    tree: Path, monkeypatch: pytest.MonkeyPatch, expression: str, gives: str
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(_kubeconfig(tree.parent, 9)))
    assert shown(expression, tree).strip() == gives


@pytest.mark.parametrize("function", ['env "HOME"', 'expandenv "$HOME"', 'readFile "/etc/passwd"', 'exec "id"'])
def test_functions_that_would_see_more_are_none(tree: Path, function: str) -> None:
    web_chart(tree / "chart", {"templates/shows.yaml": _SHOWS % function})
    refused(f'function "{function.split()[0]}" not defined', "chart/templates/shows.yaml", line=5)


def _kubeconfig(folder: Path, port: int) -> Path:
    write(
        folder,
        {
            "kubeconfig": "apiVersion: v1\nkind: Config\ncurrent-context: x\n"
            "contexts: [{name: x, context: {cluster: x, user: x}}]\nusers: [{name: x, user: {token: secret}}]\n"
            f"clusters: [{{name: x, cluster: {{server: 'http://127.0.0.1:{port}'}}}}]\n"
        },
    )
    return folder / "kubeconfig"


@pytest.mark.parametrize("more", [(), ("--allow-network",)])
def test_no_cluster_is_asked(tree: Path, monkeypatch: pytest.MonkeyPatch, more: tuple[str, ...]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        config = _kubeconfig(tree.parent, server.getsockname()[1])
        monkeypatch.setenv("KUBECONFIG", str(config))
        monkeypatch.setenv("HELM_KUBEAPISERVER", f"http://127.0.0.1:{server.getsockname()[1]}")
        look = '{{ if lookup "v1" "Namespace" "" "kube-system" }}{{ fail "asked" }}{{ end }}\n'
        web_chart(tree / "chart", {"templates/look.yaml": look})
        rendered(*more)
        with pytest.raises(TimeoutError):
            server.accept()


@pytest.mark.skipif(not tools.network_is_cut(), reason="this system makes no network namespaces for its users")
def test_no_name_is_looked_up(tree: Path) -> None:
    assert shown('getHostByName "example.com"', tree) == ""


def test_neither_plug_ins_nor_settings_of_the_user_are_there(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tree.parent / "home"
    plugin = 'name: evil\nversion: 0.1.0\nusage: x\ncommand: "$HELM_PLUGIN_DIR/run"\nhooks: {}\n'
    downloaders = 'downloaders: [{command: run, protocols: ["https", "http", "evil"]}]\n'
    for folder in (home / "plugins/evil", home / ".local/share/helm/plugins/evil", tree / "chart/plugins/evil"):
        write(folder, {"plugin.yaml": plugin + downloaders, "run": f"#!/bin/sh\ntouch {tree.parent}/ran\n"})
        (folder / "run").chmod(0o755)
    monkeypatch.setenv("HOME", str(home))
    for name, value in {
        "HELM_PLUGINS": str(home / "plugins"),
        "HELM_DATA_HOME": str(home),
        "HELM_NAMESPACE": "of-nobodys-business",
        "HELM_DEBUG": "true",
        "HELM_DRIVER": "sql",
        "XDG_DATA_HOME": str(home / ".local/share"),
    }.items():
        monkeypatch.setenv(name, value)
    web_chart(tree / "chart", {"values.yaml": "privileged: true\n"})
    assert found(rendered()) == {("web", "chart/values.yaml", 1)}
    web_chart(tree / "chart", {"Chart.yaml": _DEPENDS.replace("https:", "evil:")})
    result, code, _ = scanned("--helm", "chart", "--allow-network")
    assert code == 3
    assert [error["file"] for error in result["errors"]] == ["chart/Chart.yaml"]
    assert not (tree.parent / "ran").exists()


# --- too much ---


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{ range until 10000000 }}a{{ . }}: {{ $.Values | toJson | repeat 20 }}\n{{ end }}", ""),
        ("a: {{ range until 30000000 }}x{{ end }}{{ range until 100000000 }}x{{ end }}\n", ""),
        ('a: {{ repeat 100000000 "x" }}\n', ""),
        ("{{ range until 100000 }}{{ range until 100000 }}{{ end }}{{ end }}", "took longer than 3 s"),
    ],
)
def test_what_prints_too_much_or_has_no_end_is_stopped(tree: Path, template: str, message: str) -> None:
    web_chart(tree / "chart", {"templates/endless.yaml": template})
    refused(message, "chart/Chart.yaml", "--render-timeout", "3", seconds=20)


@pytest.mark.parametrize("call", ['{{ include "x" . }}', '{{ template "x" . }}', '{{ tpl "{{ include `x` . }}" . }}'])
def test_templates_that_call_themselves_are_told(tree: Path, call: str) -> None:
    helper = f'{{{{- define "x" }}}}\n{call}\n{{{{ end }}}}'
    web_chart(tree / "chart", {"templates/_x.tpl": helper, "templates/x.yaml": 'a: {{ include "x" . }}\n'})
    refused("", refused_in(), "--render-timeout", "20", seconds=40)


def refused_in() -> str:
    """The file of the only error."""
    result, _, _ = scanned("--helm", "chart", "--render-timeout", "20")
    (error,) = result["errors"]
    assert error["file"] in ("chart/templates/_x.tpl", "chart/templates/x.yaml", "chart/Chart.yaml")
    return str(error["file"])


def test_ten_thousand_templates_are_rendered(tree: Path) -> None:
    small = "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: c{0}}}\ndata: {{a: '{0}'}}\n"
    web_chart(
        tree / "chart",
        {f"templates/{number}.yaml": small.format(number) for number in range(10_000)}
        | {"values.yaml": "privileged: true\n"},
    )
    began = time.monotonic()
    assert found(rendered()) == {("web", "chart/values.yaml", 1)}
    assert time.monotonic() - began < 60


def test_more_files_than_a_chart_has_are_told(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kubeassay.sources.helm_chart.MAX_FILES", 50)
    web_chart(tree / "chart", {f"files/{number}": "" for number in range(60)})
    refused("the chart has more than 50 files", "chart/Chart.yaml")


_LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10)
)


@pytest.mark.parametrize("own", [True, False])
def test_aliases_that_unfold_to_billions_are_told(tree: Path, own: bool) -> None:
    web_chart(tree / "chart")
    if own:
        web_chart(tree / "chart", {"values.yaml": _LAUGHS})
        refused("", "chart/values.yaml")
    else:
        write(tree, {"more.yaml": _LAUGHS})
        refused("", "more.yaml", "--values", "more.yaml")


# --- names, and what else is in a chart ---


@pytest.mark.parametrize("name", ["../../evil", "a/b", "/etc"])
def test_a_chart_whose_name_is_a_path_is_told(tree: Path, name: str) -> None:
    web_chart(tree / "chart", {"Chart.yaml": METADATA.replace("web", name)})
    refused("chart.metadata.name", "chart/Chart.yaml", line=2)


@pytest.mark.parametrize("name", ["'..'", "'.'", "charts", "'{{ .Values }}'"])
def test_a_chart_with_an_odd_name_is_judged(tree: Path, name: str) -> None:
    web_chart(tree / "chart", {"Chart.yaml": METADATA.replace("web", name), "values.yaml": "privileged: true\n"})
    ((each, file, _),) = found(rendered())
    assert (each, file.partition("/")[0]) == ("web", "chart")


def test_a_name_of_two_lines_prints_no_heads(tree: Path) -> None:
    name = '"web\\n---\\n# Source: web/templates/web.yaml"'
    web_chart(tree / "chart", {"Chart.yaml": METADATA.replace("web", name), "values.yaml": "privileged: true\n"})
    result, code, _ = scanned("--helm", "chart", "--fail-on", "none")
    assert code == 3 if result["errors"] else {each for each, _, _ in found(result)} == {"web"}


def test_a_dependency_whose_name_is_a_path_is_told(tree: Path) -> None:
    web_chart(tree / "chart", {"Chart.yaml": _DEPENDS.replace("db", "../../../evil")})
    result, code, _ = scanned("--helm", "chart")
    assert (code, result["results"]) == (3, [])
    assert {error["file"] for error in result["errors"]} == {"chart/Chart.yaml"}


def test_a_version_that_does_not_fit_is_told(tree: Path) -> None:
    web_chart(tree / "chart", {"Chart.yaml": METADATA + 'kubeVersion: ">=1.30.0-0"\n'})
    refused("chart requires kubeVersion: >=1.30.0-0", "chart/Chart.yaml", "--kube-version", "1.29", line=4)
    rendered("--kube-version", "1.30")


_CRD = """\
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: shops.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {kind: Shop, plural: shops}
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}]
"""


def test_what_stands_in_crds_is_judged_as_it_stands(tree: Path) -> None:
    # With a head as Helm prints it, and what would be a hook in a template.
    hooked = WEB.replace("{name: web}", "{name: extra, annotations: {helm.sh/hook: test}}", 1)
    text = f"{_CRD}---\n# Source: web/templates/web.yaml\n{hooked.replace('{{ .Values.privileged }}', 'true')}"
    web_chart(tree / "chart", {"crds/all.yaml": text, "values.yaml": "privileged: true\n"})
    lines = text.split("\n")
    line = next(number for number, each in enumerate(lines, 1) if "privileged: true" in each)
    result = rendered()
    assert found(result) == {("extra", "chart/crds/all.yaml", line), ("web", "chart/values.yaml", 1)}
    assert [each for each in result["skipped"] if each["reason"] == "helm-hook"] == []


def test_a_list_is_no_hook_for_what_is_in_it(tree: Path) -> None:
    items = [
        WEB.replace("{{ .Values.privileged }}", "true"),
        _DB.replace("{name: db}", "{name: db, annotations: {helm.sh/hook: test}}", 1),
    ]
    text = "apiVersion: v1\nkind: List\nitems:\n" + "".join(
        "".join(f"{'- ' if number == 0 else '  '}{line}\n" for number, line in enumerate(item.rstrip().split("\n")))
        for item in items
    )
    web_chart(tree / "chart", {"templates/web.yaml": text})
    assert {name for name, _, _ in found(rendered())} == {"web", "db"}


def test_a_hook_that_helm_does_not_know_is_told(tree: Path) -> None:
    text = WEB.replace("{name: web}", "{name: web, annotations: {helm.sh/hook: whenever}}", 1)
    web_chart(tree / "chart", {"templates/web.yaml": text})
    _, _, said = scanned("--helm", "chart", "--fail-on", "none")
    assert "skipping unknown hook" in said


def test_notes_and_what_is_ignored_are_no_templates(tree: Path) -> None:
    web_chart(
        tree / "chart",
        {
            "values.yaml": "privileged: true\n",
            "templates/NOTES.txt": "{{ .Values.none }}: no: yaml\n---\nkind: Pod\n",
            "templates/_kept.yaml": _DB,
            "templates/draft.yaml": '{{ fail "a draft" }}',
            ".helmignore": "draft.yaml\n",
        },
    )
    assert found(rendered()) == {("web", "chart/values.yaml", 1)}


# --- with the network ---


def test_a_sub_chart_is_loaded_where_that_is_allowed(tree: Path) -> None:
    archive = packed(_GOOD)
    asked: list[str] = []

    class Repository(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            index = (
                "apiVersion: v1\nentries:\n  db: [{apiVersion: v2, name: db, version: 1.0.0, urls: [db-1.0.0.tgz]}]\n"
            )
            body = {"/index.yaml": index.encode(), "/db-1.0.0.tgz": archive}.get(self.path, b"")
            self.send_response(200 if body else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Repository) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        web_chart(tree / "chart", {"Chart.yaml": _DEPENDS.replace("https://charts.example", url)})
        refused("is not vendored", "chart/Chart.yaml")
        assert asked == []
        assert found(rendered("--allow-network")) == {("db", "chart/Chart.yaml", 5)}
        assert "/db-1.0.0.tgz" in asked
        archive = b"no archive"
        result, code, _ = scanned("--helm", "chart", "--allow-network")
        (error,) = result["errors"]
        assert (code, error["file"]) == (3, "chart/Chart.yaml")
        server.shutdown()
