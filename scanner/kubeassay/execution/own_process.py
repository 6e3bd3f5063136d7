"""A piece of work in a process of its own: whatever becomes of it, its caller goes on.

It is a fresh interpreter, not a fork: callers have threads (of an executor, or of a Dask worker), and a fork of those
may hang. It may change its working directory, start processes, use up memory or crash.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, Generic, TypeVar

_T = TypeVar("_T")

#: The interpreter's first words. The path of modules is the caller's; never the working directory, which may be of a
#: scanned tree.
_START = (
    "import pickle, sys; sys.path[:] = pickle.load(sys.stdin.buffer);"
    " from kubeassay.execution.own_process import main; main()"
)
#: So much longer than its caller waits a process lives by itself, in case its caller is no more.
_GRACE = 30.0
#: Bytes of what a process said that are read when it has failed.
_SAID = 4000


class LostError(Exception):
    """The work has no answer; the message is one line that says why."""


class OwnProcess(Generic[_T]):
    """A process that makes one call, which has to be picklable, as its answer has to be."""

    def __init__(self, call: Callable[[], _T], timeout: float | None = None) -> None:
        """``timeout``: seconds that the answer is waited for."""
        self._timeout = timeout
        path = [os.path.abspath(entry) for entry in sys.path]
        self._question = pickle.dumps(path) + pickle.dumps((call, timeout), pickle.HIGHEST_PROTOCOL)
        self._said: BinaryIO = tempfile.TemporaryFile()  # noqa: SIM115 - closed in answer
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", _START],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            # A group of its own, so that processes which it starts end with it.
            start_new_session=True,
        )

    def answer(self) -> _T:
        """Wait for the answer. Raises LostError where there is none."""
        with self._said, self._process:
            try:
                answered, _ = self._process.communicate(self._question, self._timeout)
            except subprocess.TimeoutExpired:
                self.kill()
                raise LostError(f"timed out after {self._timeout:g} seconds") from None
            except BaseException:
                self.kill()
                raise
            code = self._process.returncode
            if code:
                raise LostError(self._ended(code))
        try:
            value, error = pickle.loads(answered)
        except Exception as broken:  # of what is no pickle anything may come
            raise LostError(f"its answer cannot be read: {one_line(broken)}") from None
        if error is not None:
            raise LostError(error)
        answer: _T = value
        return answer

    def kill(self) -> None:
        """End the process, and those that it started."""
        if self._process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if hasattr(os, "killpg"):
                os.killpg(self._process.pid, signal.SIGKILL)
            else:
                self._process.kill()

    def _ended(self, code: int) -> str:
        if code < 0:
            try:
                name = signal.Signals(-code).name
            except ValueError:
                name = f"signal {-code}"
            hint = ", perhaps for want of memory" if name == "SIGKILL" else ""
            return f"its process was ended by {name}{hint}"
        size = self._said.seek(0, os.SEEK_END)
        self._said.seek(max(0, size - _SAID))
        lines = self._said.read().decode("utf-8", "replace").strip().splitlines()
        return f"its process ended with code {code}{': ' + one_line(lines[-1]) if lines else ''}"


def one_line(error: object) -> str:
    """What an error says, on one line."""
    return " ".join(str(error).split())[:500] or type(error).__name__


def in_own_process(call: Callable[[], _T], timeout: float | None = None) -> _T:
    """The answer of a call that another process makes. Raises LostError."""
    return OwnProcess(call, timeout).answer()


def main() -> None:
    """What the process does: one call, read from standard input, whose answer is written to standard output."""
    with os.fdopen(os.dup(1), "wb") as answers:
        # What else is printed must not get among the answer.
        os.dup2(2, 1)
        try:
            call, timeout = pickle.load(sys.stdin.buffer)
        except Exception as error:
            answer: tuple[Any, str | None] = (None, f"the work cannot be read: {one_line(error)}")
        else:
            if timeout is not None:
                _end_after(timeout + _GRACE)
            answer = _answered(call)
        pickle.dump(answer, answers, pickle.HIGHEST_PROTOCOL)


def _answered(call: Callable[[], _T]) -> tuple[_T | None, str | None]:
    try:
        return call(), None
    except Exception as error:
        # A mistake of the tool: whoever reports it needs its place.
        frame = traceback.extract_tb(error.__traceback__)[-1]
        return None, f"{type(error).__name__}: {one_line(error)} ({Path(frame.filename).name}:{frame.lineno})"


def _end_after(seconds: float) -> None:
    """End this process when nobody waits for it any more. Those that it started end when it is gone."""
    if hasattr(signal, "alarm"):
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(int(seconds))
