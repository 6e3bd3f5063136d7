"""Work that may hang, in threads that nobody waits for: what ends the program ends them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TypeVar

_T = TypeVar("_T")


class TookTooLongError(Exception):
    """Some work was not done in its time. Nobody knows what it is still doing."""


def within(seconds: float, work: Callable[[], _T]) -> _T:
    """What ``work`` returns, or raises. Raises TookTooLongError where that takes longer.

    Timeouts of sockets do not bound it: names are resolved without one, and a server may send a byte now and then.
    """
    answers: SimpleQueue[tuple[list[_T], BaseException | None]] = SimpleQueue()

    def run() -> None:
        try:
            answers.put(([work()], None))
        except BaseException as error:
            answers.put(([], error))

    Thread(target=run, daemon=True).start()
    try:
        answer, error = answers.get(timeout=seconds)
    except Empty:
        raise TookTooLongError from None
    if error is not None:
        raise error
    return answer[0]


def each(work: Callable[[_T], object], subjects: Iterable[_T], threads: int) -> None:
    """Do the work for each of the subjects, some at a time. Raises what one of them raises, and then does not wait for
    the others; nor does an interrupt."""
    waiting: SimpleQueue[_T] = SimpleQueue()
    done: SimpleQueue[BaseException | None] = SimpleQueue()
    count = 0
    for subject in subjects:
        waiting.put(subject)
        count += 1

    def run() -> None:
        while True:
            try:
                subject = waiting.get_nowait()
            except Empty:
                return
            try:
                work(subject)
                done.put(None)
            except BaseException as error:
                done.put(error)
                return

    for _ in range(min(threads, count)):
        Thread(target=run, daemon=True).start()
    for _ in range(count):
        error = done.get()
        if error is not None:
            raise error
