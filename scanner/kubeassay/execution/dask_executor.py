"""The workers of a Dask cluster that is there already (the extra ``dask``).

Each task runs in a process of its own beside a worker's: it may be killed when it takes too long, and takes no worker
with it when it crashes. Whoever controls the scheduler or a worker controls what is answered, and, since answers are
pickled, the client: TLS (``tls://``) keeps others out.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
import warnings
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar
from uuid import uuid4

from kubeassay import __version__
from kubeassay.execution.executors import Done, Task
from kubeassay.execution.own_process import LostError, in_own_process, one_line
from kubeassay.sources.files import UsageError

_T = TypeVar("_T")

#: Seconds that a scheduler gets to answer, and to have a worker.
_CONNECT = 10.0
#: Seconds after which tasks are given up that no worker is left for.
_NO_WORKER = 30.0
#: How often it is asked whether there still are workers, in seconds.
_ASK = 2.0
_PAUSE = 0.1
#: Asked of workers by a function that every Python has: a worker without kubeassay has none of ours.
_VERSION_OF = "__import__('kubeassay').__version__"
#: What the client and the workers have to have in common to understand each other; differences are told.
_PROTOCOL = ("dask", "distributed", "cloudpickle", "msgpack", "tornado")


class Dask:
    """Tasks on the workers of a scheduler."""

    #: A worker's cores are for its other tasks.
    processes = 1

    def __init__(self, address: str, *, jobs: int | None = None, timeout: float | None = None) -> None:
        """Raises UsageError where there is no scheduler, no worker, or another kubeassay on one."""
        try:
            import distributed
        except ImportError:
            raise UsageError("running on Dask needs the extra: pip install 'kubeassay[dask]'") from None
        self._dask: Any = distributed
        self._address = address
        self._timeout = timeout
        # What becomes of connections and workers is said where it matters: with the task that is lost.
        for name in list(logging.root.manager.loggerDict):
            if name.startswith("distributed"):
                logging.getLogger(name).setLevel(logging.CRITICAL)
        self._client: Any = self._connected()
        try:
            self._client.wait_for_workers(1, timeout=_CONNECT)
            threads = sum(self._client.nthreads().values())
            self.warnings: Sequence[str] = self._differences()
        except UsageError:
            self._close()
            raise
        except Exception as error:
            self._close()
            raise UsageError(f"the Dask scheduler at {address} has no worker: {one_line(error)}") from None
        self._at_a_time = jobs or max(1, threads)

    def _connected(self) -> Any:
        said = f"no Dask scheduler answers at {self._address}"
        host, _, port = self._address.partition("://")[2].rpartition(":")
        try:
            # The client would try for long what is refused at once.
            socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT).close()
        except (OSError, OverflowError) as error:
            raise UsageError(f"{said}: {getattr(error, 'strerror', None) or one_line(error)}") from None
        try:
            # The client itself would wait for ever for something else that listens there.
            identity = asyncio.run(asyncio.wait_for(self._identity(), _CONNECT))
            if identity.get("type") != "Scheduler":
                raise UsageError(f"{said}: it is a {identity.get('type')}")
            with warnings.catch_warnings():
                # Of differing versions, which are told in a line each.
                warnings.simplefilter("ignore")
                return self._dask.Client(self._address, timeout=_CONNECT, set_as_default=False, name="kubeassay")
        except UsageError:
            raise
        except TimeoutError:
            raise UsageError(f"{said} within {_CONNECT:g} seconds") from None
        except Exception as error:  # of sockets, TLS, settings, and what another protocol answers
            raise UsageError(f"{said}: {one_line(error)}") from None

    async def _identity(self) -> dict[str, Any]:
        arguments = self._dask.Security().get_connection_args("client")
        async with self._dask.rpc(self._address, connection_args=arguments) as scheduler:
            identity: dict[str, Any] = await scheduler.identity()
            return identity

    def _differences(self) -> list[str]:
        """Versions that differ between here and the workers. Raises UsageError for another version of kubeassay."""
        answers = self._client.run(eval, _VERSION_OF, on_error="return")
        for worker, answer in sorted(answers.items()):
            if isinstance(answer, BaseException):
                raise UsageError(f"Dask worker {worker} has no kubeassay: {one_line(answer)}")
            if answer != __version__:
                raise UsageError(f"Dask worker {worker} has kubeassay {answer}, and here is {__version__}")
        found = self._client.get_versions(packages=["kubernetes"])
        ours = found["client"]["packages"]
        said = []
        for name, theirs in (("the Dask scheduler", found["scheduler"]), *sorted(found["workers"].items())):
            where = name if theirs is found["scheduler"] else f"Dask worker {name}"
            packages = theirs["packages"]
            # A scheduler runs none of our code.
            for package in (*_PROTOCOL, *(() if theirs is found["scheduler"] else ("kubernetes",))):
                if packages.get(package) != ours.get(package):
                    there, here = packages.get(package) or "no", ours.get(package) or "none"
                    said.append(f"{where} has {package} {there}, and here is {here}".replace("no and", "none, and"))
            if _minor(packages["python"]) != _minor(ours["python"]):
                said.append(f"{where} runs Python {_minor(packages['python'])}, and here is {_minor(ours['python'])}")
        return said

    def completed(self, tasks: Sequence[Task[_T]]) -> Iterator[Done[_T]]:
        run = uuid4().hex
        waiting = list(reversed(tasks))
        running: dict[Any, str] = {}
        alone_since: float | None = None
        while waiting or running:
            while waiting and len(running) < self._at_a_time:
                task = waiting.pop()
                key = f"kubeassay-{run}-{task.name}"
                try:
                    future = self._client.submit(
                        in_own_process, task.call, self._timeout, key=key, pure=False, retries=0
                    )
                except Exception:  # the client is closed when its scheduler is gone
                    yield Done(task.name, None, self._gone())
                else:
                    running[future] = task.name
            ended = [future for future in running if future.status != "pending"]
            for future in ended:
                yield self._done(running.pop(future), future)
            if ended or not running:
                continue
            try:
                with self._client.as_current():
                    self._dask.wait(list(running), timeout=_ASK, return_when="FIRST_COMPLETED")
                alone_since = None
            except TimeoutError:  # nothing has ended: are there workers yet?
                alone_since = self._alone_since(alone_since)
            except Exception:  # one was cancelled, as its status says, or the client is closed
                time.sleep(_PAUSE)
            why = ""
            if self._client.status in ("closing", "closed"):
                why = self._gone()
            elif alone_since is not None and time.monotonic() - alone_since > _NO_WORKER:
                why = f"no worker of the Dask scheduler at {self._address} is left"
            if why:
                for future, name in running.items():
                    future.release()
                    yield Done(name, None, why)
                running.clear()

    def _alone_since(self, before: float | None) -> float | None:
        """Since when there is no worker; None where there are some."""
        try:
            workers = self._client.nthreads()
        except Exception:  # no answer: the futures are cancelled when the scheduler is given up
            return before
        return None if workers else before or time.monotonic()

    def _done(self, name: str, future: Any) -> Done[Any]:
        try:
            return Done(name, future.result())
        except LostError as lost:
            return Done(name, None, str(lost))
        except self._dask.scheduler.KilledWorker as killed:
            return Done(
                name, None, f"its Dask worker ended, as did others that tried it ({killed.last_worker.address})"
            )
        except Exception as error:
            if future.cancelled():
                return Done(name, None, self._gone())
            return Done(name, None, f"its Dask worker failed: {type(error).__name__}: {one_line(error)}")
        finally:
            # The answer is on a worker, too, as long as the future is held.
            future.release()

    def _gone(self) -> str:
        return f"the Dask scheduler at {self._address} is gone"

    def _close(self) -> None:
        try:
            self._client.close(timeout=_ASK)
        except Exception as error:  # its scheduler is gone, which was told already
            logging.getLogger(__name__).debug("closing the client: %s", error)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()


def _minor(python: str) -> str:
    return ".".join(python.split(".")[:2])
