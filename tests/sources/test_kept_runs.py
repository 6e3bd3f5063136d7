"""An answer that was kept is the one that the program would give, or is not used."""

from __future__ import annotations

from pathlib import Path

import pytest

from kubeassay.sources.kept_runs import run_kept
from kubeassay.sources.rendering import Limits
from kubeassay.sources.tools import Ran

_LIMITS = Limits(seconds=20)
#: Counts how often it ran, and prints a file of its folder.
_PROGRAM = """\
#!/bin/sh
echo run >> "{count}"
echo "said of $1" >&2
/bin/cat "$1/file.yaml" || exit 1
"""


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KUBEASSAY_CACHE", "on")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    made = tmp_path / "program"
    made.write_text(_PROGRAM.format(count=tmp_path / "count"))
    made.chmod(0o755)
    return made


def _ask(program: Path, text: str, name: str = "one", limits: Limits = _LIMITS, *more: str) -> Ran:
    folder = program.parent / name
    folder.mkdir(exist_ok=True)
    (folder / "file.yaml").write_text(text)
    ran, _ = run_kept([str(program), str(folder), *more], limits, folder=str(folder))
    return ran


def _runs(program: Path) -> int:
    count = program.parent / "count"
    return len(count.read_text().splitlines()) if count.exists() else 0


def test_the_same_files_are_rendered_once_whatever_folder_they_are_copied_to(program: Path) -> None:
    first, second = _ask(program, "a: 1\n"), _ask(program, "a: 1\n", "two")
    assert _runs(program) == 1
    assert first.output == second.output == b"a: 1\n"
    # What it says names the folder of this run.
    assert (first.said, second.said) == (
        f"said of {program.parent / 'one'}\n",
        f"said of {program.parent / 'two'}\n",
    )


@pytest.mark.parametrize("change", ["content", "name", "argument", "program", "link"])
def test_what_an_answer_depends_on_is_asked_anew(program: Path, change: str) -> None:
    _ask(program, "a: 1\n")
    folder = program.parent / "one"
    match change:
        case "content":
            assert _ask(program, "a: 2\n").output == b"a: 2\n"
        case "name":
            (folder / "other.yaml").write_text("")
            _ask(program, "a: 1\n")
        case "argument":
            _ask(program, "a: 1\n", "one", _LIMITS, "--more")
        case "program":
            program.write_text(program.read_text() + "# another\n")
            _ask(program, "a: 1\n")
        case "link":
            (folder / "link").symlink_to("file.yaml")
            _ask(program, "a: 1\n")
    assert _runs(program) == 2


_POD = """\
apiVersion: v1
kind: Pod
metadata: {name: a}
spec: {containers: [{name: a, image: "a:1", env: [{name: NAME, value: hunter2-hunter2}]}]}
"""


def test_what_holds_no_secret_is_kept(program: Path) -> None:
    for _ in range(2):
        _ask(program, _POD)
    assert _runs(program) == 1


@pytest.mark.parametrize(
    "text",
    [
        _POD.replace("NAME", "DB_PASSWORD"),
        "a: [\n",
        "kind: Secret\n",
        "a: 1\n---\n  kind:  'Secret'\n",
        '{"kind":"Secret"}\n',
        "kind: SecretList\n",
    ],
)
def test_no_secret_is_kept(program: Path, text: str) -> None:
    _ask(program, text)
    assert _ask(program, text).output == text.encode()
    assert _runs(program) == 2


def test_a_failure_is_not_kept(program: Path) -> None:
    folder = program.parent / "empty"
    folder.mkdir()
    for _ in range(2):
        ran, _ = run_kept([str(program), str(folder)], _LIMITS, folder=str(folder))
        assert ran.code == 1
    assert _runs(program) == 2


def test_nothing_is_kept_of_a_run_that_may_load(program: Path) -> None:
    limits = Limits(seconds=20, network=True)
    for _ in range(2):
        _ask(program, "a: 1\n", "one", limits)
    assert _runs(program) == 2


@pytest.mark.parametrize("off", ["option", "environment"])
def test_the_cache_can_be_off(program: Path, monkeypatch: pytest.MonkeyPatch, off: str) -> None:
    _ask(program, "a: 1\n")
    if off == "environment":
        monkeypatch.setenv("KUBEASSAY_CACHE", "off")
    _ask(program, "a: 1\n", "one", Limits(seconds=20, cache=off != "option"))
    assert _runs(program) == 2


def test_an_entry_that_was_written_over_is_not_used(program: Path) -> None:
    _ask(program, "a: 1\n")
    (entry,) = (program.parent / "cache" / "kubeassay" / "entries").iterdir()
    entry.write_bytes(entry.read_bytes().replace(b"a: 1", b"a: 2"))
    assert _ask(program, "a: 1\n").output == b"a: 1\n"
    assert _runs(program) == 2
