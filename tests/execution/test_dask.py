"""The Dask executor, on a real scheduler and two workers."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from execution.dask_cluster import DaskCluster, dask_cluster
from execution.test_executors import crash, division, ended, hang
from kubeassay.execution import dask_executor
from kubeassay.execution.executors import Done, Executor, Task, executor_of
from kubeassay.sources.files import UsageError

dask_config = pytest.importorskip("dask.config")
pytest.importorskip("distributed")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskCluster]:
    with dask_cluster(tmp_path_factory.mktemp("dask")) as started:
        yield started


def test_a_task_that_fails_stops_no_other(cluster: DaskCluster, tmp_path: Path) -> None:
    file = tmp_path / "ids"
    tasks = [
        Task("slow", partial(hang, str(file))),
        Task("good", partial(division, 4)),
        Task("error", partial(division, 0)),
        Task("killed", partial(crash, signal.SIGKILL)),
        Task("large", partial(bytes, 20_000_000)),
    ]
    with executor_of(cluster.executor, len(tasks), timeout=5) as running:
        assert running.processes == 1
        assert running.warnings == []
        done = {entry.name: entry for entry in running.completed(tasks)}
    assert done["good"] == Done("good", 0.25)
    assert done["large"].answer == bytes(20_000_000)
    assert done["error"].error.startswith("ZeroDivisionError: division by zero (test_executors.py:")
    assert done["killed"].error == "its process was ended by SIGKILL, perhaps for want of memory"
    assert done["slow"].error == "timed out after 5 seconds"
    assert len(done) == len(tasks)
    assert ended([int(number) for number in file.read_text().split()])
    assert all(worker.poll() is None for worker in cluster.workers)


def test_both_workers_are_used(cluster: DaskCluster) -> None:
    with executor_of(cluster.executor, 4) as running:
        parents = {done.answer for done in running.completed([Task(str(n), slow_parent) for n in range(4)])}
    assert parents == {worker.pid for worker in cluster.workers}


def slow_parent() -> int:
    time.sleep(0.5)
    return os.getppid()


def taken(running: Executor, tasks: list[Task[None]], after_first: list[subprocess.Popen[bytes]]) -> dict[str, str]:
    """The error of each task; some processes are killed when the first is done."""
    errors: dict[str, str] = {}
    for done in running.completed(tasks):
        if not errors:
            for process in after_first:
                process.kill()
        errors[done.name] = done.error
    return errors


SLEEPS = [Task("0", partial(time.sleep, 0.1)), *(Task(str(number), partial(time.sleep, 3)) for number in (1, 2, 3))]


def test_workers_and_a_scheduler_that_die(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_executor, "_NO_WORKER", 3.0)
    # So long the client tries to find a scheduler again.
    monkeypatch.setattr(dask_executor, "_CONNECT", 6.0)
    with dask_cluster(tmp_path / "dask", environment={"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "0"}) as dying:
        with executor_of(dying.executor, 1) as running:
            (done,) = running.completed([Task("evil", partial(end_the_worker, [w.pid for w in dying.workers]))])
        assert done.error.startswith("its Dask worker ended, as did others that tried it (tcp://127.0.0.1:")

    with dask_cluster(tmp_path / "other") as dying:
        with executor_of(dying.executor, len(SLEEPS)) as running:
            errors = taken(running, SLEEPS, dying.workers[:1])
        assert errors == {"0": "", "1": "", "2": "", "3": ""}, "the other worker does its work"

        with executor_of(dying.executor, len(SLEEPS)) as running:
            errors = taken(running, SLEEPS, dying.workers)
        said = f"no worker of the Dask scheduler at {dying.address} is left"
        assert errors == {"0": "", "1": said, "2": said, "3": said}

        dying.start_worker()
        assert dying.scheduler is not None
        with executor_of(dying.executor, len(SLEEPS)) as running:
            errors = taken(running, SLEEPS, [dying.scheduler])
        said = f"the Dask scheduler at {dying.address} is gone"
        assert errors == {"0": "", "1": said, "2": said, "3": said}


def end_the_worker(workers: list[int]) -> None:
    assert os.getppid() in workers
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(60)


def refused(executor: str) -> str:
    with pytest.raises(UsageError) as error, executor_of(executor, 1):
        pass
    return str(error.value)


def test_no_scheduler_is_told(cluster: DaskCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_executor, "_CONNECT", 2.0)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        port = silent.getsockname()[1]
        assert refused(f"dask://127.0.0.1:{port}") == (
            f"no Dask scheduler answers at tcp://127.0.0.1:{port}: Connection refused"
        )
        silent.listen()
        assert refused(f"dask://127.0.0.1:{port}") == (
            f"no Dask scheduler answers at tcp://127.0.0.1:{port} within 2 seconds"
        )
    assert refused(cluster.executor.replace("dask:", "tls:")).startswith(
        f"no Dask scheduler answers at {cluster.address.replace('tcp:', 'tls:')}: "
    )


def test_a_scheduler_without_workers_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_executor, "_CONNECT", 2.0)
    with dask_cluster(tmp_path / "dask", workers=0) as empty:
        assert refused(empty.executor).startswith(f"the Dask scheduler at {empty.address} has no worker: ")


def test_workers_that_lack_kubeassay_or_have_another_one_are_told(tmp_path: Path) -> None:
    other = tmp_path / "other"
    (other / "kubeassay").mkdir(parents=True)
    package = other / "kubeassay" / "__init__.py"
    package.write_text("__version__ = '0.0.1'\n")
    with dask_cluster(tmp_path / "dask", workers=0) as odd:
        worker = odd.start_worker(environment={"PYTHONPATH": os.pathsep.join([str(other), *filter(None, sys.path)])})
        said = refused(odd.executor)
        assert said.startswith("Dask worker tcp://127.0.0.1:")
        assert said.endswith(" has kubeassay 0.0.1, and here is 0.1.0")
        worker.kill()
        worker.wait()
        package.write_text("raise ModuleNotFoundError(\"No module named 'kubeassay'\")\n")
        odd.start_worker(environment={"PYTHONPATH": os.pathsep.join([str(other), *filter(None, sys.path)])})
        assert refused(odd.executor).endswith(" has no kubeassay: No module named 'kubeassay'")


def test_other_packages_that_differ_are_told(cluster: DaskCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    from distributed import versions

    def ours(package: str) -> str | None:
        return {"distributed": "1.0", "kubernetes": None}.get(package, version(package))

    version = versions._version_cached
    monkeypatch.setattr(versions, "_version_cached", ours)
    with executor_of(cluster.executor, 1) as running:
        told = running.warnings
    there, kubernetes = version("distributed"), version("kubernetes")
    assert told[0] == f"the Dask scheduler has distributed {there}, and here is 1.0"
    assert len(told) == 5
    for line in told[1:]:
        assert line.startswith("Dask worker tcp://127.0.0.1:")
        assert line.endswith(
            (f" has distributed {there}, and here is 1.0", f" has kubernetes {kubernetes}, and here is none")
        )


def test_the_missing_extra_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert refused("dask://127.0.0.1:8786") == "running on Dask needs the extra: pip install 'kubeassay[dask]'"


def test_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client's certificate is where Dask's own configuration says."""
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    made = subprocess.run(
        f"openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1"
        f" -out {certificate} -keyout {key}".split(),
        capture_output=True,
        check=False,
    )
    if made.returncode:
        pytest.skip("openssl is not there to make a certificate")
    files = ("--tls-ca-file", certificate, "--tls-cert", certificate, "--tls-key", key)
    with dask_cluster(tmp_path / "dask", workers=1, arguments=tuple(map(str, files))) as closed:
        assert closed.executor.startswith("tls://")
        assert refused(closed.executor).startswith(f"no Dask scheduler answers at {closed.address}: TLS ")
        for name in ("ca-file", "client.cert", "client.key"):
            file = key if name.endswith("key") else certificate
            dask_config.set({f"distributed.comm.tls.{name}": str(file)})
        try:
            with executor_of(closed.executor, 1) as running:
                (done,) = running.completed([Task("good", partial(division, 4))])
        finally:
            dask_config.refresh()
    assert done == Done("good", 0.25)
