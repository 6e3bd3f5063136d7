"""Programs that render are found as documented, and have nothing that they are not given."""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
import time
from pathlib import Path

import pytest

from kubeassay.sources import tools
from kubeassay.sources.rendering import Limits

LIMITS = Limits(seconds=20, bytes=10_000)


def python(program: str, limits: Limits = LIMITS) -> tools.Ran:
    return tools.run((sys.executable, "-I", "-c", program), limits)


def script(path: Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)
    return str(path)


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KUBEASSAY_KUSTOMIZE", "KUBEASSAY_KUBECTL", "KUBEASSAY_HELM"):
        monkeypatch.delenv(name, raising=False)


def test_kustomize_comes_before_kubectl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    answer = json.dumps({"clientVersion": {"gitVersion": "v1.33.2"}, "kustomizeVersion": "v5.6.0"})
    kubectl = script(tmp_path / "kubectl", f"echo '{answer}'")
    assert tools.find("kustomize") == tools.Tool("kubectl", (kubectl, "kustomize"), "v1.33.2", "v5.6.0")
    assert tools.find("kustomize").made_by == "kubectl v1.33.2 (kustomize v5.6.0)"
    script(tmp_path / "kustomize", "echo '{Version:kustomize/v4.5.7 GitCommit:56d82a8 BuildDate:2022}'")
    other = tmp_path / "other"
    other.mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path}:{other}")
    assert tools.find("kustomize").made_by == "kustomize v4.5.7"
    monkeypatch.setenv("KUBEASSAY_KUBECTL", kubectl)
    assert tools.find("kustomize").command == (kubectl, "kustomize")


def test_a_variable_that_names_no_program_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBEASSAY_HELM", str(tmp_path / "none"))
    with pytest.raises(tools.ToolMissingError, match="KUBEASSAY_HELM names no program"):
        tools.find("helm")


def test_what_lies_in_the_current_folder_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script(tmp_path / "helm", f"touch {tmp_path}/ran; echo v3.0.0")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", ".::bin")
    with pytest.raises(tools.ToolMissingError, match="helm is not installed"):
        tools.find("helm")
    assert not (tmp_path / "ran").exists()


def test_the_version_is_asked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBEASSAY_HELM", script(tmp_path / "helm", f"echo . >> {tmp_path}/asked; echo v3.1.2+g1"))
    assert tools.find("helm") is tools.find("helm")
    assert tools.find("helm").version == "v3.1.2"
    assert (tmp_path / "asked").read_text() == ".\n"


@pytest.mark.parametrize(
    ("said", "version"),
    [("v3.19", "v3.19"), ("v3.19.5+g1f7d1a6", "v3.19.5"), ("v4.0.0-rc.1+g1", "v4.0.0-rc.1"), ("none", "")],
)
def test_helm_says_its_version_however_it_was_built(
    said: str, version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Built from source without its Makefile, it knows no more than the first two numbers.
    monkeypatch.setenv("KUBEASSAY_HELM", script(tmp_path / "helm", f"echo {said}"))
    assert tools.find("helm").version == version
    assert tools.find("helm").made_by == f"helm {version}".strip()


def test_a_run_has_nothing_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KUBECONFIG", "AWS_SECRET_ACCESS_KEY", "HELM_PLUGINS", "KUSTOMIZE_PLUGIN_HOME", "SSH_AUTH_SOCK"):
        monkeypatch.setenv(name, "/of/the/user")
    monkeypatch.setenv("HTTPS_PROXY", "http://user:password@proxy")
    program = "import os, json; print(json.dumps([dict(os.environ), os.listdir(os.environ['HOME']), os.getcwd()]))"
    given, files, folder = json.loads(python(program).output)
    assert "/of/the/user" not in given.values()
    assert given["HTTPS_PROXY"] == given["http_proxy"] == "http://127.0.0.1:9"
    assert files == []
    assert folder == given["HOME"] != os.environ["HOME"]
    assert not Path(folder).exists()
    allowed = json.loads(python(program, Limits(20, 10_000, network=True)).output)[0]
    assert allowed["HTTPS_PROXY"] == "http://user:password@proxy"
    assert "AWS_SECRET_ACCESS_KEY" not in allowed


def test_a_run_gets_no_input() -> None:
    assert python("import sys; print(repr(sys.stdin.read()))").output == b"''\n"


def test_the_time_limit_ends_children_too(tmp_path: Path) -> None:
    child = f"import time; time.sleep(3); open({str(tmp_path / 'late')!r}, 'w')"
    program = f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {child!r}]); time.sleep(60)"
    began = time.monotonic()
    ran = python(program, Limits(seconds=1))
    assert ran.failure == "took longer than 1 s"
    assert ran.code != 0
    assert time.monotonic() - began < 3
    time.sleep(3)
    assert not (tmp_path / "late").exists()


def test_a_child_that_keeps_the_output_open_does_not_outlast_the_limit() -> None:
    program = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])"
    began = time.monotonic()
    assert python(program, Limits(seconds=1)).failure == "took longer than 1 s"
    assert time.monotonic() - began < 10


def test_endless_output_is_cut_while_it_is_read() -> None:
    ran = python("while True: print('x' * 1000)")
    assert ran.failure == "printed more than 10000 bytes"
    assert len(ran.output) <= 10_000


def test_of_stderr_the_end_is_kept() -> None:
    ran = python("import sys; sys.stderr.write('x' * 10**6 + 'the reason'); sys.exit(3)")
    assert (ran.code, ran.failure) == (3, None)
    assert ran.said.endswith("the reason")
    assert len(ran.said) <= 2**16


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits of memory are set on Linux")
def test_memory_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "_MOST_MEMORY", 100 * 2**20)
    assert python("import time; time.sleep(0.5); bytearray(2**28)").code != 0


def test_what_cannot_be_started_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "_offline", lambda: ())
    ran = tools.run((str(tmp_path / "none"),), LIMITS)
    assert ran.failure == "none cannot be started: No such file or directory"


@pytest.mark.skipif(not tools.network_is_cut(), reason="this system makes no network namespaces for its users")
def test_without_permission_there_is_no_network() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        program = f"import socket; socket.create_connection(('127.0.0.1', {port}), 5)"
        assert python(program).code != 0
        accepting = threading.Thread(target=server.accept, daemon=True)
        accepting.start()
        assert python(program, Limits(20, 10_000, network=True)).code == 0


def test_files_keep_their_owner_without_network(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("here")
    (tmp_path / "mine").chmod(0o600)
    assert python(f"print(open({str(tmp_path / 'mine')!r}).read(), open('new', 'w').write('x'))").output == b"here 1\n"
