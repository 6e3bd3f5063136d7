"""Scanning manifest files: reading and the rules on single objects run in as many processes as there are cores.

Workers are forked, so they inherit the plan, and send back findings only (and the objects that rules on the whole
inventory need). Where a platform cannot fork, or the input is small, everything runs in this process.
"""

from __future__ import annotations

import gc
import os
import pickle
import sys
from collections.abc import Callable, Iterable, Sequence

from kubeassay.engine.evaluate import Evaluation, Partial, finish
from kubeassay.engine.findings import SourceText
from kubeassay.engine.plan import Plan
from kubeassay.model import ReadError, Result, Target
from kubeassay.sources.files import Discovery, SourceFile
from kubeassay.sources.manifests import ReadFile, read_bytes, read_file
from kubeassay.sources.yaml_reader import PlainScalars

#: Below this many bytes of manifests a second process costs more than it saves.
_WORTH_A_PROCESS = 400_000
#: More processes than this gain nothing: what remains is done by one.
_MAX_PROCESSES = 16

Progress = Callable[[int], None]


def available_processes() -> int:
    """The processor cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on every platform
        return os.cpu_count() or 1


def scan(
    plan: Plan,
    discovery: Discovery,
    target: Target,
    *,
    stdin: bytes | None = None,
    stdin_name: str = "stdin",
    processes: int | None = None,
    progress: Progress | None = None,
) -> Result:
    """Judge what was discovered, and what came from standard input.

    ``progress`` is called with the number of bytes that were done since the last call.
    """
    files = discovery.files
    total = sum(file.size for file in files)
    wanted = min(processes or available_processes(), _MAX_PROCESSES, max(1, total // (_WORTH_A_PROCESS // 2)))
    # Millions of small values are made and none of them in cycles: the collector would only walk them in vain.
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        evaluation = Evaluation(plan)
        partial = evaluation.partial
        partial.errors += discovery.errors
        partial.skipped += discovery.skipped
        texts: dict[str, SourceText] = {}
        if stdin is not None:
            read = read_bytes(stdin, stdin_name)
            texts[stdin_name] = _evaluate(evaluation, read)
        if wanted > 1 and hasattr(os, "fork"):
            for part in _forked(plan, files, wanted, progress):
                partial.add(part)
        else:
            _run(evaluation, files, progress)
        evaluation.inventory(_texts(texts, {file.name: file for file in files}))
        return finish(plan, partial, target)
    finally:
        if was_enabled:
            gc.enable()


def _texts(known: dict[str, SourceText], files: dict[str, SourceFile]) -> Callable[[str], SourceText | None]:
    """The texts of files, read again when a finding on the inventory points into one."""

    def text(name: str) -> SourceText | None:
        if name not in known:
            if name not in files:
                return None
            read = read_file(files[name])
            known[name] = SourceText(read.text, read.had_bom)
        return known[name]

    return text


def _evaluate(evaluation: Evaluation, read: ReadFile) -> SourceText:
    source = SourceText(read.text, read.had_bom)
    evaluation.partial.errors += read.errors
    evaluation.partial.skipped += read.skipped
    evaluation.file(read.objects, source)
    return source


def _run(evaluation: Evaluation, files: Iterable[SourceFile], progress: Progress | None = None) -> None:
    remembered: PlainScalars = {}
    for file in files:
        _evaluate(evaluation, read_file(file, remembered))
        if progress is not None:
            progress(file.size)


def _shares(files: Sequence[SourceFile], count: int) -> list[list[SourceFile]]:
    """The files in shares of about equal size, the largest files dealt out first."""
    shares: list[list[SourceFile]] = [[] for _ in range(count)]
    loads = [0] * count
    for file in sorted(files, key=lambda file: -file.size):
        least = loads.index(min(loads))
        shares[least].append(file)
        # Opening a file costs about as much as reading two thousand characters of one.
        loads[least] += file.size + 2000
    return shares


def _forked(plan: Plan, files: Sequence[SourceFile], count: int, progress: Progress | None) -> Iterable[Partial]:
    shares = _shares(files, count)
    workers = [_start(plan, share) for share in shares[1:]]
    evaluation = Evaluation(plan)
    _run(evaluation, shares[0], progress)
    yield evaluation.partial
    for share, (process, pipe) in zip(shares[1:], workers, strict=True):
        yield _received(plan, share, process, pipe)
        if progress is not None:
            progress(sum(file.size for file in share))


def _start(plan: Plan, files: Sequence[SourceFile]) -> tuple[int, int]:
    """Evaluate files in a new process. Returns its id, and the pipe that its result comes through."""
    receiving, sending = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    process = os.fork()
    if process:
        os.close(sending)
        return process, receiving
    status = 1
    try:
        os.close(receiving)
        evaluation = Evaluation(plan)
        _run(evaluation, files)
        with open(sending, "wb") as stream:
            pickle.dump(evaluation.partial, stream, pickle.HIGHEST_PROTOCOL)
        status = 0
    finally:
        # Not sys.exit: nothing of the parent's (buffers, handlers) may run twice.
        os._exit(status)


def _received(plan: Plan, files: Sequence[SourceFile], process: int, pipe: int) -> Partial:
    """The result of a worker. Files on which workers die are found by halving, and named."""
    with open(pipe, "rb") as stream:
        content = stream.read()
    _, status = os.waitpid(process, 0)
    if status == 0:
        partial = pickle.loads(content)
        assert isinstance(partial, Partial)
        return partial
    if len(files) == 1:
        message = "cannot be read: the process that read it ended abnormally"
        return Partial(errors=[ReadError(file=files[0].name, message=message)], files=1)
    partial = Partial(passed=[0] * len(plan.rules), not_judged=[0] * len(plan.rules))
    middle = len(files) // 2
    for half in (files[:middle], files[middle:]):
        partial.add(_received(plan, half, *_start(plan, half)))
    return partial
