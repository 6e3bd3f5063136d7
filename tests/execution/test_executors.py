"""Executors: whatever becomes of one task, the others have their answers, and nothing runs on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from kubeassay.execution.executors import Done, Task, executor_of
from kubeassay.execution.own_process import LostError, in_own_process
from kubeassay.sources.files import UsageError


def division(number: int) -> float:
    print("not among the answer")
    return 1 / number


def where_colorsys_is() -> str | None:
    import colorsys

    return colorsys.__file__


def crash(with_signal: int) -> None:
    os.kill(os.getpid(), with_signal)


def leave() -> None:
    sys.stderr.write("Traceback\nthe end of it\n")
    sys.stderr.flush()
    os._exit(7)


def unpicklable() -> object:
    return lambda: None


def hang(file: str) -> None:
    """Start a process that hangs, too; the file gets the ids of both."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    Path(file).write_text(f"{os.getpid()} {child.pid}")
    time.sleep(60)


def is_running(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def ended(processes: list[int]) -> bool:
    deadline = time.monotonic() + 10
    while any(map(is_running, processes)):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


@pytest.mark.parametrize("executor", ["local", "processes"])
def test_a_task_that_fails_stops_no_other(executor: str) -> None:
    tasks = [
        Task("good", partial(division, 4)),
        Task("error", partial(division, 0)),
        Task("killed", partial(crash, signal.SIGKILL)),
        Task("crashed", partial(crash, signal.SIGSEGV)),
        Task("left", leave),
        Task("unpicklable", unpicklable),
        Task("large", partial(bytes, 5_000_000)),
    ]
    with executor_of(executor, len(tasks), jobs=3) as running:
        done = {entry.name: entry for entry in running.completed(tasks)}
    assert done.keys() == {task.name for task in tasks}
    assert done["good"] == Done("good", 0.25)
    assert done["large"].answer == bytes(5_000_000)
    errors = {name: entry.error for name, entry in done.items() if entry.error}
    here = Path(__file__).name
    assert errors.pop("error").startswith(f"ZeroDivisionError: division by zero ({here}:")
    assert errors.pop("killed") == "its process was ended by SIGKILL, perhaps for want of memory"
    assert errors.pop("crashed") == "its process was ended by SIGSEGV"
    assert errors.pop("left") == "its process ended with code 7: the end of it"
    assert "pickle" in errors.pop("unpicklable")
    assert not errors


def test_a_task_that_takes_too_long_is_ended_with_what_it_started(tmp_path: Path) -> None:
    file = tmp_path / "ids"
    with executor_of("processes", 2, jobs=2, timeout=2) as running:
        done = {entry.name: entry for entry in running.completed([Task("a", partial(hang, str(file)))])}
    assert done["a"].error == "timed out after 2 seconds"
    assert ended([int(number) for number in file.read_text().split()])


def test_leaving_the_block_ends_what_still_runs(tmp_path: Path) -> None:
    file = tmp_path / "ids"
    started = time.monotonic()
    with executor_of("processes", 2, jobs=2) as running:
        for done in running.completed([Task("quick", partial(division, 1)), Task("slow", partial(hang, str(file)))]):
            assert done.name == "quick"
            while not (file.exists() and file.read_text().count(" ")):
                time.sleep(0.05)
            break
    assert time.monotonic() - started < 30
    assert ended([int(number) for number in file.read_text().split()])


def test_tasks_wait_until_answers_are_taken(tmp_path: Path) -> None:
    """No more answers than run at a time are in memory, however slowly they are taken."""
    files = [tmp_path / str(number) for number in range(6)]
    tasks = [Task(file.name, partial(Path.touch, file)) for file in files]
    with executor_of("processes", len(tasks), jobs=2) as running:
        for taken, _ in enumerate(running.completed(tasks), 1):
            time.sleep(0.7)
            assert sum(file.exists() for file in files) <= taken + 2
    assert all(file.exists() for file in files)


def test_cores_are_shared_out() -> None:
    assert executor_of("local", 8, jobs=4).processes == 4
    assert executor_of("processes", 8, jobs=4).processes == 1
    assert executor_of("processes", 2, jobs=5).processes == 2
    assert executor_of("processes", 0, jobs=2).processes == 2


def test_modules_do_not_come_from_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("colorsys", "pickle", "struct"):
        (tmp_path / f"{module}.py").write_text("# of a scanned tree")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    file = in_own_process(where_colorsys_is)
    assert file is not None
    assert not Path(file).is_relative_to(tmp_path)


def test_what_cannot_be_read_is_told() -> None:
    with pytest.raises(LostError, match=r"^the work cannot be read: "):
        in_own_process(_Unreadable())


class _Unreadable:
    def __call__(self) -> None: ...

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return int, ("no number",)


@pytest.mark.parametrize("text", ["threads", "dask://", "dask://host", "dask://:8786", "tcp://host:1", "dask://host:x"])
def test_an_unknown_executor_is_wrong_usage(text: str) -> None:
    with pytest.raises(UsageError, match="expected local, processes, dask://HOST:PORT or tls://HOST:PORT"):
        executor_of(text, 1)
