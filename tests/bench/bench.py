"""Measures kubeassay beside kubeconform, kube-score and kube-linter on one corpus.

    python tests/bench/bench.py             # wall, CPU and memory of every program found, and ratios to kube-score
                                            # (kubeassay also a second time on the unchanged tree, from its cache)
    python tests/bench/bench.py --linear    # kubeassay on 1,000, 5,000 and 20,000 objects
    python tests/bench/bench.py --startup   # kubeassay --version, and a scan of one small file

The programs run in turn, so that a change of the machine's speed meets all of them. The first round warms the file
cache and is not counted. A run is timed alone: its report goes to a file, and memory is sampled in a run of its own.
CPU is user and system time of the program and of every child that it waited for.

kubeassay is looked for in $KUBEASSAY (a command line), beside this Python, on PATH, and last in the checkout. Others
are looked for in $KUBEASSAY_PEERS (a folder), on PATH and in ~/go/bin.

kubeconform validates against the schemas of the package kubernetes-validate where that is installed. Without it, it
parses and skips, and its line says so.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import util
from pathlib import Path

import corpus

CHECKOUT = Path(__file__).resolve().parents[2]
SAMPLE_SECONDS = 0.01
LINEAR_SIZES = (1_000, 5_000, 20_000)
SCHEMA_VERSION = "v1.28.0-local-strict"

SMALL_FILE = """\
apiVersion: v1
kind: Pod
metadata:
  name: web
spec:
  containers:
    - name: app
      image: registry.example/app:1.0
      securityContext:
        privileged: true
"""


@dataclass(frozen=True, slots=True)
class Program:
    """One program under measurement. Commands run in the corpus folder."""

    name: str
    command: tuple[str, ...]
    exits: frozenset[int]
    """Exit codes that say that the program did its work, findings or not."""
    report: Path | None = None
    """Where standard output goes. None where the program writes its report itself."""


@dataclass(frozen=True, slots=True)
class Run:
    """Wall and CPU in seconds, and the exit code."""

    wall: float
    cpu: float
    code: int


# ------------------------------------------------------------------------------------------------ measuring


def _start(program: Program, folder: Path) -> subprocess.Popen[bytes]:
    # Standard error is dropped: some programs write a line for each file.
    if program.report is None:
        return subprocess.Popen(program.command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with program.report.open("wb") as report:
        return subprocess.Popen(program.command, cwd=folder, stdout=report, stderr=subprocess.DEVNULL)


def timed(program: Program, folder: Path) -> Run:
    """One undisturbed run. Raises SystemExit where the program failed, since a failed run measures nothing."""
    begin = time.perf_counter()
    process = _start(program, folder)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - begin
    code = os.waitstatus_to_exitcode(status)
    # The process is reaped. Popen must not wait for it again.
    process.returncode = code
    if code not in program.exits:
        raise SystemExit(f"{program.name} ended with exit code {code}: {shlex.join(program.command[:8])}")
    return Run(wall, usage.ru_utime + usage.ru_stime, code)


@dataclass(frozen=True, slots=True)
class Memory:
    """Largest sums of memory over a process tree, in MB; 0 where the system has no /proc.

    ``proportional``: a page that n processes share counts as 1/n in each. ``resident``: it counts in each of them.
    """

    proportional: float
    resident: float


def peak_memory(program: Program, folder: Path) -> Memory:
    """Memory of a run that is sampled every 10 ms."""
    process = _start(program, folder)
    done = threading.Event()
    peaks = [0, 0]

    def sample() -> None:
        while not done.wait(SAMPLE_SECONDS):
            sizes = [_kilobytes(pid) for pid in _tree(process.pid)]
            peaks[:] = (max(peak, sum(column)) for peak, column in zip(peaks, zip(*sizes, strict=True), strict=True))

    sampler = threading.Thread(target=sample, daemon=True)
    sampler.start()
    process.wait()
    done.set()
    sampler.join()
    return Memory(peaks[0] / 1000, peaks[1] / 1000)


def _tree(root: int) -> list[int]:
    """Process ids of a process and its descendants, those that still exist."""
    found, left = [], [root]
    while left:
        pid = left.pop()
        found.append(pid)
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            try:
                left.extend(int(child) for child in children.read_text().split())
            except OSError:
                continue
    return found


def _kilobytes(pid: int) -> tuple[int, int]:
    """Proportional and resident set size."""
    found = {"Pss": 0, "Rss": 0}
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            name, _, size = line.partition(":")
            if name in found:
                found[name] = int(size.split()[0])
    except OSError:
        # The process ended between two looks.
        pass
    return found["Pss"], found["Rss"]


# ------------------------------------------------------------------------------------------------ programs


def _find(name: str) -> str | None:
    folders = [os.environ.get("KUBEASSAY_PEERS", ""), os.environ["PATH"], str(Path.home() / "go" / "bin"), ""]
    return shutil.which(name, path=os.pathsep.join(folder for folder in folders if folder))


def kubeassay_command() -> tuple[str, ...] | None:
    """The command line that starts kubeassay, or None where it is not installed."""
    if given := os.environ.get("KUBEASSAY"):
        return tuple(shlex.split(given))
    beside = Path(sys.executable).with_name("kubeassay")
    if beside.is_file():
        return (str(beside),)
    if found := shutil.which("kubeassay"):
        return (found,)
    if (CHECKOUT / "scanner" / "kubeassay" / "cli" / "main.py").is_file():
        os.environ["PYTHONPATH"] = str(CHECKOUT / "scanner")
        return (sys.executable, "-m", "kubeassay.cli.main")
    return None


def kubeassay_program(command: tuple[str, ...], folder: Path, work: Path) -> Program:
    # 3: nothing failed, but something was not evaluated.
    return Program(
        "kubeassay",
        (*command, "scan", str(folder), "--output", f"sarif={work / 'kubeassay.sarif'}"),
        frozenset({0, 1, 3}),
    )


def _local_schemas(work: Path) -> Path | None:
    """JSON Schemas from kubernetes-validate as files that refer to one another, since the others are on the network."""
    spec = util.find_spec("kubernetes_validate")
    if spec is None or spec.origin is None:
        return None
    source = Path(spec.origin).parent / "kubernetes-json-schema" / SCHEMA_VERSION
    if not source.is_dir():
        return None
    target = work / "schemas"
    target.mkdir(exist_ok=True)
    for schema in source.glob("*.json"):
        text = schema.read_text(encoding="utf-8")
        # An identity on the network makes every relative reference one to the network.
        lines = [line for line in text.splitlines() if '"$id": "https://kubernetes.io/api/' not in line]
        text = "\n".join(lines).replace('"/api/_definitions.json#', f'"file://{target}/_definitions.json#')
        # The identity may have been the last key.
        (target / schema.name).write_text(_without_trailing_comma(text), encoding="utf-8")
    return target


def _without_trailing_comma(text: str) -> str:
    head, brace, _ = text.rpartition("}")
    stripped = head.rstrip()
    return stripped.removesuffix(",") + "\n" + brace + "\n"


def peers(folder: Path, work: Path) -> list[Program]:
    """The other programs that are installed here."""
    programs: list[Program] = []
    command: tuple[str, ...]
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.yaml"))
    if found := _find("kubeconform"):
        schemas = _local_schemas(work)
        # Without schemas every object is parsed and skipped. A location must be given, or it would ask the network.
        location = f"{schemas or work / 'none'}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json"
        name = "kubeconform" if schemas else "kubeconform (parse only)"
        arguments = ("-ignore-missing-schemas", "-output", "json", "-n", str(os.cpu_count() or 1))
        command = (found, *arguments, "-schema-location", location, ".")
        programs.append(Program(name, command, frozenset({0, 1}), work / "kubeconform.json"))
    if found := _find("kube-score"):
        # It takes files, not folders.
        command = (found, "score", "--output-format", "sarif", *files)
        programs.append(Program("kube-score", command, frozenset({0, 1}), work / "kube-score.sarif"))
    if found := _find("kube-linter"):
        command = (found, "lint", "--format", "sarif", ".")
        programs.append(Program("kube-linter", command, frozenset({0, 1}), work / "kube-linter.sarif"))
    return programs


# ------------------------------------------------------------------------------------------------ reports


def compare(folder: Path, work: Path, rounds: int) -> None:
    """Prints medians of all programs and their ratios to kube-score."""
    programs = peers(folder, work)
    if command := kubeassay_command():
        programs.insert(0, kubeassay_program(command, folder, work))
        # What it did before it did for a tree that has not changed since.
        kept = ("env", "KUBEASSAY_CACHE=on", f"XDG_CACHE_HOME={work / 'cache'}", *command)
        programs.insert(1, replace(kubeassay_program(kept, folder, work), name="kubeassay, unchanged"))
    else:
        print("kubeassay: not found")
    if not programs:
        raise SystemExit("none of the programs is installed")
    runs: dict[str, list[Run]] = {program.name: [] for program in programs}
    for program in programs:
        timed(program, folder)
    for _ in range(rounds):
        for program in programs:
            runs[program.name].append(timed(program, folder))
    walls = {name: statistics.median(run.wall for run in measured) for name, measured in runs.items()}
    cpus = {name: statistics.median(run.cpu for run in measured) for name, measured in runs.items()}
    base = walls.get("kube-score")
    print(f"{'program':<26}{'wall s':>8}{'min':>8}{'max':>8}{'CPU s':>8}{'peak MB':>9}{'wall/kube-score':>17}")
    for program in programs:
        name = program.name
        all_walls = [run.wall for run in runs[name]]
        memory = peak_memory(program, folder).proportional
        ratio = f"{walls[name] / base:.2f}" if base else "-"
        spread = f"{min(all_walls):>8.2f}{max(all_walls):>8.2f}"
        print(f"{name:<26}{walls[name]:>8.2f}{spread}{cpus[name]:>8.2f}{memory:>9.0f}{ratio:>17}")


def linear(cache: Callable[[int], Path], work: Path, rounds: int) -> None:
    """Prints the time of kubeassay for each object, at three sizes of the corpus."""
    command = _needed()
    print(f"{'objects':>8}{'wall s':>9}{'ms/object':>11}{'CPU s':>9}")
    for objects in LINEAR_SIZES:
        folder = cache(objects)
        program = kubeassay_program(command, folder, work)
        timed(program, folder)
        runs = [timed(program, folder) for _ in range(rounds)]
        wall, cpu = statistics.median(run.wall for run in runs), statistics.median(run.cpu for run in runs)
        print(f"{objects:>8}{wall:>9.2f}{1000 * wall / objects:>11.3f}{cpu:>9.2f}")


def startup(work: Path, rounds: int) -> None:
    """Prints what kubeassay takes to do next to nothing."""
    command = _needed()
    small = work / "small"
    small.mkdir()
    (small / "pod.yaml").write_text(SMALL_FILE, encoding="utf-8")
    programs = [
        Program("python -c pass", (sys.executable, "-c", "pass"), frozenset({0})),
        Program("kubeassay --version", (*command, "--version"), frozenset({0})),
        Program("scan of one file", (*command, "scan", str(small)), frozenset({0, 1, 3})),
    ]
    print(f"{'run':<22}{'wall s':>8}{'CPU s':>8}")
    for program in programs:
        timed(program, small)
        runs = [timed(program, small) for _ in range(rounds)]
        wall, cpu = statistics.median(run.wall for run in runs), statistics.median(run.cpu for run in runs)
        print(f"{program.name:<22}{wall:>8.3f}{cpu:>8.3f}")


def _needed() -> tuple[str, ...]:
    command = kubeassay_command()
    if command is None:
        raise SystemExit("kubeassay is not installed: set KUBEASSAY to its command line")
    return command


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure kubeassay beside its peers on a made-up corpus.")
    parser.add_argument("--objects", type=int, default=corpus.DEFAULT_OBJECTS)
    parser.add_argument("--seed", type=int, default=corpus.DEFAULT_SEED)
    parser.add_argument("--rounds", type=int, default=5, help="counted runs of each program")
    parser.add_argument("--corpus", type=Path, help="use this folder of manifests in place of a made-up one")
    parser.add_argument("--cache", type=Path, help="keep made-up corpora in this folder")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--linear", action="store_true", help="time for each object at three sizes")
    what.add_argument("--startup", action="store_true", help="time to do next to nothing")
    arguments = parser.parse_args()

    # What is measured is work, not what was kept of an earlier round.
    os.environ["KUBEASSAY_CACHE"] = "off"
    with tempfile.TemporaryDirectory(prefix="kubeassay-bench-") as temporary:
        work = Path(temporary)

        def made(objects: int) -> Path:
            folder: Path = (arguments.cache or work) / f"corpus-{objects}-{arguments.seed}"
            # The mark is made last and stands outside: a corpus that was cut short is not taken for a whole one.
            mark = folder.with_suffix(".complete")
            if not mark.exists():
                if folder.exists():
                    shutil.rmtree(folder)
                corpus.write(folder, objects, arguments.seed)
                mark.touch()
            return folder.resolve()

        if arguments.startup:
            startup(work, arguments.rounds)
        elif arguments.linear:
            linear(made, work, arguments.rounds)
        else:
            folder = arguments.corpus.resolve() if arguments.corpus else made(arguments.objects)
            files = [path for path in folder.rglob("*") if path.is_file()]
            size = sum(path.stat().st_size for path in files)
            print(f"{folder.name}: {len(files)} files, {size / 1e6:.1f} MB; {os.cpu_count()} processors")
            compare(folder, work, arguments.rounds)


if __name__ == "__main__":
    main()
