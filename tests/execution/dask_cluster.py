"""A Dask scheduler and workers on loopback, as processes, for tests."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from kit import end_with_parent

_PATIENCE = 60.0


@dataclass
class DaskCluster:
    """A scheduler; workers are started one by one. Used in a ``with`` block, at the end of which all are stopped."""

    folder: Path
    #: What both programs are given: of TLS.
    arguments: tuple[str, ...] = ()
    address: str = ""
    scheduler: subprocess.Popen[bytes] | None = None
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def executor(self) -> str:
        """As a user names it."""
        return self.address.replace("tcp://", "dask://")

    def start(self, environment: Mapping[str, str] | None = None) -> None:
        self.folder.mkdir(exist_ok=True)
        command = ["dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", *self.arguments]
        if self.arguments:
            command += ["--protocol", "tls"]
        self.scheduler, self.address = self._program("scheduler", command, r"Scheduler at:\s+(\S+)", environment)

    def start_worker(self, environment: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
        """A worker without a nanny, which would start it again."""
        name = f"worker{len(self.workers)}"
        command = ["dask_worker", self.address, "--nthreads", "1", "--host", "127.0.0.1", "--no-dashboard"]
        command += ["--no-nanny", "--local-directory", str(self.folder / name), "--name", name, *self.arguments]
        process, _ = self._program(name, command, r"Registered to:\s+(\S+)", environment)
        self.workers.append(process)
        return process

    def _program(
        self, name: str, command: list[str], said: str, environment: Mapping[str, str] | None = None
    ) -> tuple[subprocess.Popen[bytes], str]:
        log = self.folder / f"{name}.log"
        module, *arguments = command
        with log.open("wb") as stream:
            process = subprocess.Popen(
                [sys.executable, "-m", f"distributed.cli.{module}", *arguments],
                stdout=stream,
                stderr=stream,
                cwd=self.folder,
                preexec_fn=end_with_parent,
                # Workers find the code and the tests where this process does now: each test module that is collected
                # adds its folder.
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **(environment or {})},
            )
        deadline = time.monotonic() + _PATIENCE
        while (match := re.search(said, log.read_text(encoding="utf-8"))) is None:
            if process.poll() is not None or time.monotonic() > deadline:
                process.kill()
                raise AssertionError(f"{name} did not start: {log.read_text(encoding='utf-8')[-2000:]}")
            time.sleep(0.1)
        return process, match[1]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in (*self.workers, *filter(None, [self.scheduler])):
            process.kill()
            process.wait()


@contextlib.contextmanager
def dask_cluster(
    folder: Path,
    *,
    workers: int = 2,
    arguments: tuple[str, ...] = (),
    environment: Mapping[str, str] | None = None,
) -> Iterator[DaskCluster]:
    """A cluster with some workers."""
    with DaskCluster(folder, arguments) as cluster:
        cluster.start(environment)
        for _ in range(workers):
            cluster.start_worker()
        yield cluster
