"""Where independent pieces of work run: on this machine, or on the workers of a Dask cluster."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Generic, Protocol, Self, TypeVar

from kubeassay.execution.cores import available_processes
from kubeassay.execution.own_process import LostError, OwnProcess
from kubeassay.sources.files import UsageError

_T = TypeVar("_T")

LOCAL, PROCESSES = "local", "processes"
#: Beginnings of addresses of Dask schedulers, and what Dask calls them.
_DASK = {"dask://": "tcp://", "tls://": "tls://"}


@dataclass(frozen=True, slots=True)
class Task(Generic[_T]):
    """A piece of work: a call that can be pickled, as its answer can be."""

    name: str
    call: Callable[[], _T]


@dataclass(frozen=True, slots=True)
class Done(Generic[_T]):
    """What became of a task: its answer, or in one line why there is none."""

    name: str
    answer: _T | None
    error: str = ""


class Executor(Protocol):
    """Runs tasks. Used in a ``with`` block, at the end of which nothing of it runs any more."""

    #: How many processes a task may use.
    processes: int
    #: What the user should know of where the work runs.
    warnings: Sequence[str]

    def completed(self, tasks: Sequence[Task[_T]]) -> Iterator[Done[_T]]:
        """What becomes of each task, in the order in which they end. A task that fails stops no other. At most as many
        answers wait to be taken as tasks run at a time."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def executor_of(text: str, count: int, *, jobs: int | None = None, timeout: float | None = None) -> Executor:
    """The executor that a user names: ``local``, ``processes``, ``dask://HOST:PORT`` or ``tls://HOST:PORT``.

    ``count``: how many tasks there are; ``jobs``: how many processes may be used, of Dask how many tasks may run at a
    time; ``timeout``: seconds that a task may take. Raises UsageError.
    """
    if text == LOCAL:
        return Processes(1, processes=jobs or available_processes(), timeout=timeout)
    if text == PROCESSES:
        cores = jobs or available_processes()
        at_a_time = max(1, min(cores, count))
        return Processes(at_a_time, processes=cores // at_a_time, timeout=timeout)
    for beginning, protocol in _DASK.items():
        host, colon, port = text.removeprefix(beginning).rpartition(":")
        if text.startswith(beginning) and host and colon and port.isdigit():
            # Imported here: it needs the extra, and takes a while.
            from kubeassay.execution.dask_executor import Dask

            return Dask(f"{protocol}{host}:{port}", jobs=jobs, timeout=timeout)
    raise UsageError(f"--executor {text}: expected {LOCAL}, {PROCESSES}, dask://HOST:PORT or tls://HOST:PORT")


class Processes:
    """This machine: each task in a process of its own, some at a time."""

    warnings: Sequence[str] = ()

    def __init__(self, at_a_time: int, *, processes: int = 1, timeout: float | None = None) -> None:
        self.processes = processes
        self._timeout = timeout
        self._threads = ThreadPoolExecutor(at_a_time)
        self._at_a_time = at_a_time
        self._lock = threading.Lock()
        self._living: set[OwnProcess[Any]] = set()
        self._closed = False

    def completed(self, tasks: Sequence[Task[_T]]) -> Iterator[Done[_T]]:
        waiting = iter(tasks)
        running: dict[Future[_T], str] = {}
        while True:
            while len(running) < self._at_a_time and (task := next(waiting, None)) is not None:
                running[self._threads.submit(self._run, task.call)] = task.name
            if not running:
                return
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                name = running.pop(future)
                try:
                    ended = Done(name, future.result())
                except LostError as lost:
                    ended = Done(name, None, str(lost))
                del future
                yield ended

    def _run(self, call: Callable[[], _T]) -> _T:
        with self._lock:
            if self._closed:
                raise LostError("interrupted")
            try:
                process = OwnProcess(call, self._timeout)
            except OSError as error:
                raise LostError(f"no process can be started: {error.strerror}") from None
            self._living.add(process)
        try:
            return process.answer()
        finally:
            with self._lock:
                self._living.discard(process)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._closed = True
            for process in self._living:
                process.kill()
        self._threads.shutdown(cancel_futures=True)
