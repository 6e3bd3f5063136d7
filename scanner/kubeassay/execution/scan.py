"""Scanning manifest files: reading and the rules on single objects run in as many processes as there are cores.

Workers are forked, so they inherit the plan, and send back findings, and those objects that rules judge others by. They
get these objects of all workers, and judge by them. Where a platform cannot fork, or the input is small, everything
runs in this process.
"""

from __future__ import annotations

import contextlib
import marshal
import os
import pickle
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, BinaryIO

from kubeassay.engine.evaluate import Evaluation, Found, Partial, finish
from kubeassay.engine.findings import SourceText
from kubeassay.engine.plan import ActiveRule, Plan, accepting_rules
from kubeassay.execution.collector import idle_collector
from kubeassay.execution.cores import available_processes
from kubeassay.model import Inventory, LiveObject, NotEvaluated, Object, ObjectRef, ReadError, Result, Target
from kubeassay.sources.files import Discovery, SourceFile, UsageError
from kubeassay.sources.live_objects import without_places
from kubeassay.sources.manifests import ReadFile, read_bytes, read_file
from kubeassay.sources.snapshot import place_of
from kubeassay.sources.yaml_reader import PlainScalars

#: Below this many bytes of manifests a second process costs more than it saves.
_WORTH_A_PROCESS = 400_000
#: A scan of fewer bytes takes about as long as looking its result up (execution/remembered.py).
WORTH_REMEMBERING = 400_000
#: Objects from which on a process for half of the rules on the inventory is worth starting.
_WORTH_JUDGING_APART = 500
#: Files with findings of rules on the inventory from which on a process for half of them is worth starting.
_WORTH_FINDING_APART = 60
#: More processes than this gain nothing: what remains is done by one.
_MAX_PROCESSES = 16

#: So many files are kept that were read again: findings point from one into others, and back.
_TEXTS_AT_HAND = 128

Progress = Callable[[int], None]


@idle_collector()
def scan(
    plan: Plan,
    discovery: Discovery,
    target: Target,
    *,
    stdin: bytes | None = None,
    stdin_name: str = "stdin",
    processes: int | None = None,
    progress: Progress | None = None,
    not_evaluated: Iterable[NotEvaluated] = (),
) -> Result:
    """Judge what was discovered, and what came from standard input. ``not_evaluated``: what is known before to go
    unjudged, whatever is read.

    ``progress`` is called with the number of bytes that were done since the last call.
    """
    if target.kind == "cluster":
        plan = replace(plan, exceptions=plan.exceptions.at(target.name, accepting_rules(plan.rules)))
    if discovery.followed:
        plan = replace(plan, live=replace(plan.live, followed=discovery.followed))
    files = discovery.files
    total = sum(file.size for file in files)
    wanted = min(processes or available_processes(), _MAX_PROCESSES, max(1, total // (_WORTH_A_PROCESS // 2)))
    evaluation = Evaluation(plan)
    texts = _Texts(files, stdin_name, stdin)
    if stdin is not None:
        _evaluate(evaluation, texts.read(stdin_name))
    # A lock that another thread holds (one, say, that waits for a server and was given up) stays held in a fork.
    if not hasattr(os, "fork") or threading.active_count() > 1:
        wanted = 1
    if wanted > 1:
        partial = _forked(evaluation, files, wanted, texts, progress)
    else:
        _run(evaluation, files, progress)
        evaluation.settle(evaluation.partial)
        evaluation.join(evaluation.context(evaluation.partial.kept), texts.again)
        partial = evaluation.partial
    partial.errors += discovery.errors
    partial.not_evaluated += not_evaluated
    partial.skipped += discovery.skipped
    evaluation.put(partial)
    _find(evaluation, _judge(evaluation, texts, wanted), texts, wanted)
    result = finish(plan, evaluation.partial, target)
    if plan.count_by_file:
        result = replace(result, objects=_told_of(result, texts, evaluation.partial.passed_in))
    return result


def _told_of(result: Result, texts: _Texts, passed: Mapping[str, int]) -> dict[str, LiveObject]:
    """The objects of a cluster of which a result tells, by their places there: a finding may stand in a manifest."""
    files = {place_of(result.target.name, ref) for ref in {finding.object for finding in result.findings}}
    files.update(entry.file for entry in result.not_evaluated if entry.file is not None)
    objects = {}
    for file in sorted(files):
        obj = texts.object_in(file)
        if obj is not None:
            uid = obj.get("metadata", "uid")
            objects[file] = LiveObject(obj.ref, uid if isinstance(uid, str) else "", passed.get(file, 0))
    return objects


class _Texts:
    """Files, read again when a finding that came of several files points into one."""

    def __init__(self, files: Sequence[SourceFile], stdin_name: str, stdin: bytes | None) -> None:
        self._files = {file.name: file for file in files}
        self._stdin_name = stdin_name
        self._stdin = stdin
        #: The files that were asked for last, the latest at the end.
        self._read: dict[str, tuple[ReadFile, SourceText]] = {}

    def read(self, name: str) -> ReadFile:
        return self._at_hand(name)[0]

    def _at_hand(self, name: str) -> tuple[ReadFile, SourceText]:
        found = self._read.pop(name, None)
        if found is None:
            if self._stdin is not None and name == self._stdin_name:
                read = read_bytes(self._stdin, name)
            else:
                read = read_file(self._files[name])
            found = read, SourceText(read.given, read.had_bom, read.objects, read.marked)
            while len(self._read) >= _TEXTS_AT_HAND:
                del self._read[next(iter(self._read))]
        self._read[name] = found
        return found

    def object_in(self, name: str) -> Object | None:
        """The object of a cluster of that name, without its places; None where there is none."""
        file = self._files.get(name)
        return None if file is None or file.live is None else without_places(file.live[name], name)

    def again(self, name: str, number: int) -> tuple[Object, SourceText]:
        """An object by its file and its number in it."""
        read, source = self._at_hand(name)
        if number >= len(read.objects):
            raise UsageError(f"{name} changed while it was scanned")
        return read.objects[number], source


def _evaluate(evaluation: Evaluation, read: ReadFile) -> None:
    if read.part:
        evaluation.part(SourceText(read.given, read.had_bom, read.objects, read.marked))
        return
    evaluation.partial.errors += read.errors
    if read.name in evaluation.plan.live.elsewhere:
        evaluation.partial.skipped += (skipped for skipped in read.skipped if skipped.hides_objects)
        evaluation.elsewhere(read.objects)
        return
    evaluation.partial.skipped += read.skipped
    evaluation.file(read.objects, SourceText(read.given, read.had_bom, read.objects, read.marked))


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


def _forked(
    evaluation: Evaluation, files: Sequence[SourceFile], count: int, texts: _Texts, progress: Progress | None
) -> Partial:
    shares = _shares(files, count)
    workers = [_Worker(evaluation.plan, share, texts) for share in shares[1:]]
    _run(evaluation, shares[0], progress)
    together = evaluation.take()
    living: list[_Worker] = []
    for worker in workers:
        for survivor, part in worker.first(progress):
            together.add(part)
            living += survivor
    evaluation.settle(together)
    if evaluation.joins:
        context = evaluation.context(together.kept)
        packed = _packed(context)
        for worker in living:
            worker.send(packed)
        evaluation.join(context, texts.again)
        together.add(evaluation.take())
        for worker in living:
            together.add(worker.second())
    for worker in living:
        worker.end()
    return together


def _judge(evaluation: Evaluation, texts: _Texts, processes: int) -> Found:
    """Evaluate the rules on the inventory. Where there is much to judge, another process, which has all objects from
    this one, evaluates those of some areas; what it does not answer is done here."""
    inventory = evaluation.everything()
    ours, theirs = _areas(evaluation.plan)
    if processes < 2 or len(inventory) < _WORTH_JUDGING_APART or not theirs:
        return evaluation.inventory(inventory, texts.again)
    helper = _Fork(evaluation, lambda: evaluation.inventory(inventory, texts.again, theirs), inventory)
    found = evaluation.inventory(inventory, texts.again, ours)
    answer = helper.answer()
    if answer is None:
        others = evaluation.inventory(inventory, texts.again, theirs)
    else:
        part, others = answer
        evaluation.partial.add(part)
    for file, violations in others.items():
        found[file] += violations
    return found


def _areas(plan: Plan) -> tuple[set[str], set[str]]:
    """The areas of rules on the inventory in two sets of about equally many rules. Rules of one area mostly ask one
    analysis, which each process has to make for itself."""
    count = Counter(active.rule.area for active, _ in plan.of_subject("inventory"))
    shares: tuple[set[str], set[str]] = (set(), set())
    loads = [0, 0]
    for area, rules in sorted(count.items(), key=lambda item: (-item[1], item[0])):
        least = loads.index(min(loads))
        shares[least].add(area)
        loads[least] += rules
    return shares


def _find(evaluation: Evaluation, found: Found, texts: _Texts, processes: int) -> None:
    """Make the findings of rules on the inventory. Each is in a file that has to be read again, so where there are many
    another process takes half of the files; what it does not answer is done here."""
    files = list(found)
    if processes < 2 or len(files) < _WORTH_FINDING_APART:
        evaluation.find(found, files, texts.again)
        return
    middle = len(files) // 2
    helper = _Fork(evaluation, lambda: evaluation.find(found, files[middle:], texts.again))
    evaluation.find(found, files[:middle], texts.again)
    answer = helper.answer()
    if answer is None:
        evaluation.find(found, files[middle:], texts.again)
    else:
        evaluation.partial.add(answer[0])


def _forked_process(work: Callable[[], None]) -> int:
    """Start a process that does one piece of work, and ends; its id."""
    sys.stdout.flush()
    sys.stderr.flush()
    process = os.fork()
    if process:
        return process
    status = 1
    try:
        work()
        status = 0
    finally:
        # Not sys.exit: nothing of the parent's (buffers, handlers) may run twice.
        os._exit(status)


class _Fork:
    """A forked process that does one piece of work, beginning with what this process has."""

    def __init__(self, evaluation: Evaluation, work: Callable[[], Any], inventory: Inventory | None = None) -> None:
        """``inventory``: objects that the answer may name, which do not travel."""
        self._plan = evaluation.plan
        self._objects = inventory.objects if inventory is not None else ()
        receiving, answering = os.pipe()

        def answered() -> None:
            os.close(receiving)
            evaluation.put(Partial.of(evaluation.plan))
            came = work()
            with open(answering, "wb") as results:
                _Pickler(results, self._objects).dump((evaluation.take(), came))

        self._process = _forked_process(answered)
        os.close(answering)
        self._results = open(receiving, "rb")  # noqa: SIM115 - closed in answer

    def answer(self) -> tuple[Partial, Any] | None:
        """What was evaluated, and what the work returned; None where the process ended abnormally."""
        with self._results:
            try:
                answer: tuple[Partial, Any] | None = _Unpickler(self._results, self._objects, self._plan).load()
            except (EOFError, pickle.UnpicklingError):
                answer = None
        os.waitpid(self._process, 0)
        return answer


class _Pickler(pickle.Pickler):
    """Names objects and rules that the other process has by their numbers."""

    def __init__(self, file: BinaryIO, objects: Sequence[Object]) -> None:
        super().__init__(file, pickle.HIGHEST_PROTOCOL)
        self._numbers = {id(obj): number for number, obj in enumerate(objects)}

    def persistent_id(self, obj: Any) -> tuple[str, int] | None:
        if isinstance(obj, Object):
            number = self._numbers.get(id(obj))
            return None if number is None else ("object", number)
        return ("rule", obj.number) if isinstance(obj, ActiveRule) else None


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: BinaryIO, objects: Sequence[Object], plan: Plan) -> None:
        super().__init__(file)
        self._known: Mapping[str, Sequence[Any]] = {"object": objects, "rule": plan.rules}

    def persistent_load(self, pid: tuple[str, int]) -> Any:
        kind, number = pid
        return self._known[kind][number]


def _packed(objects: Iterable[Object]) -> bytes:
    """Objects without their places, for another process: marshal is twice as fast as pickle on plain values."""
    return marshal.dumps(
        [
            (ref.api_version, ref.kind, ref.namespace, ref.name, obj.value, obj.file, obj.prefix, obj.number)
            for obj in objects
            for ref in (obj.ref,)
        ]
    )


def _unpacked(packed: bytes) -> list[Object]:
    return [
        Object.without_document(ObjectRef(api_version, kind, namespace, name), value, file, prefix, number)
        for api_version, kind, namespace, name, value, file, prefix, number in marshal.loads(packed)
    ]


class _Worker:
    """A forked process that evaluates a share of the files: first by themselves, then with the objects of all files."""

    def __init__(self, plan: Plan, files: Sequence[SourceFile], texts: _Texts) -> None:
        self._plan = plan
        self._files = files
        self._texts = texts
        receiving, answering = os.pipe()
        telling, listening = os.pipe()[::-1]

        def work() -> None:
            os.close(receiving)
            os.close(telling)
            self._work(listening, answering)

        self._process = _forked_process(work)
        os.close(answering)
        os.close(listening)
        self._results = open(receiving, "rb")  # noqa: SIM115 - closed in end
        self._orders = open(telling, "wb")  # noqa: SIM115 - closed in end

    def _work(self, listening: int, answering: int) -> None:
        evaluation = Evaluation(self._plan)
        _run(evaluation, self._files)
        with open(answering, "wb") as results, open(listening, "rb") as orders:
            part = evaluation.take()
            kept, part.kept = part.kept, []
            pickle.dump((part, _packed(kept)), results, pickle.HIGHEST_PROTOCOL)
            results.flush()
            if evaluation.joins:
                evaluation.join(_unpacked(pickle.load(orders)), self._texts.again)
                pickle.dump((evaluation.take(), b""), results, pickle.HIGHEST_PROTOCOL)

    def first(self, progress: Progress | None = None) -> Iterator[tuple[list[_Worker], Partial]]:
        """What came of the files by themselves. Files on which workers die are found by halving, and named."""
        part = self._load()
        if part is not None:
            if progress is not None:
                progress(sum(file.size for file in self._files))
            yield [self], part
            return
        self.end()
        if len(self._files) == 1:
            message = "cannot be read: the process that read it ended abnormally"
            error = ReadError(file=self._files[0].name, message=message)
            lost = Partial.of(self._plan)
            lost.errors.append(error)
            lost.files = int(self._files[0].name not in self._plan.live.elsewhere)
            yield [], lost
            return
        middle = len(self._files) // 2
        for half in (self._files[:middle], self._files[middle:]):
            yield from _Worker(self._plan, half, self._texts).first(progress)

    def send(self, packed: bytes) -> None:
        """Give the worker the (packed) objects of all files that its rules may need."""
        # A worker that died meanwhile is noticed when its answer is read.
        with contextlib.suppress(BrokenPipeError):
            pickle.dump(packed, self._orders, pickle.HIGHEST_PROTOCOL)
            self._orders.flush()

    def second(self) -> Partial:
        """What came of the files together with the others."""
        part = self._load()
        if part is not None:
            return part
        said = (
            f"a worker process ended abnormally: rules that need other objects did not judge {len(self._files)} files"
        )
        lost = Partial.of(self._plan)
        lost.not_evaluated.append(NotEvaluated("rule-error", said))
        return lost

    def _load(self) -> Partial | None:
        try:
            part, kept = pickle.load(self._results)
        except (EOFError, pickle.UnpicklingError):
            return None
        assert isinstance(part, Partial)
        if kept:
            part.kept = _unpacked(kept)
        return part

    def end(self) -> None:
        """Close the pipes and wait for the process."""
        self._results.close()
        with contextlib.suppress(BrokenPipeError):
            self._orders.close()
        os.waitpid(self._process, 0)
