"""Measures an audit beside kubectl's reading of the same objects, on a real API server.

    python tests/bench/cluster.py                        # 5,000 pods in 50 namespaces, with what belongs to them
    python tests/bench/cluster.py --pods 1000 5000 20000 # several sizes, each on a server of its own
    python tests/bench/cluster.py --kubeconfig FILE      # a cluster as it is; kubectl reads its Secrets, too

`kubeassay audit` (profiles recommended and strict) and `kubectl get KINDS --all-namespaces -o json`, for the kinds that
the strict profile reads, run in turn, so that a change of the machine's speed meets all of them; the first round is not
counted. The API server runs on the same machine, and takes its share of it from both. Memory is that of the process
tree, sampled in a run of its own.

JSON: the bytes that kubectl prints, indented, and the same objects without blanks. The server sends more than that:
who wrote an object (managedFields) kubectl leaves out.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import cluster_load

from bench import Memory, Program, kubeassay_command, peak_memory, timed
from live import build
from live.api_server import OwnServer

PROFILES = ("recommended", "strict")
#: 1: findings; 3: something was not evaluated.
AUDITED = frozenset({0, 1, 3})


@dataclass(frozen=True, slots=True)
class Measured:
    """Medians in seconds, memory in MB."""

    wall: float
    cpu: float
    memory: Memory


@contextmanager
def _cluster(pods: int, folder: Path) -> Iterator[Path]:
    """The kubeconfig of a server with so many pods."""
    with OwnServer(build.build(), folder) as server:
        begin = time.perf_counter()
        cluster_load.fill(server.admin, pods)
        print(f"\n{pods} pods were made in {time.perf_counter() - begin:.0f} s", flush=True)
        yield server.kubeconfig


def _kinds(audit: tuple[str, ...], work: Path, kubeconfig: Path) -> list[str]:
    """The kinds that an audit reads, as kubectl names them."""
    snapshot = work / "snapshot.jsonl"
    command = (*audit, "snapshot", "--kubeconfig", str(kubeconfig), "-p", "strict", "-o", str(snapshot), "-q")
    timed(Program("kubeassay snapshot", command, frozenset({0, 3})), work)
    with snapshot.open(encoding="utf-8") as lines:
        header: dict[str, Any] = json.loads(next(lines))
    snapshot.unlink()
    return [str(kind) for kind in header["read"]]


def measure(kubeconfig: Path, work: Path, rounds: int) -> None:
    """Print what each program takes, and the ratios."""
    audit = kubeassay_command()
    if audit is None:
        raise SystemExit("kubeassay is not installed: set KUBEASSAY to its command line")
    kinds = _kinds(audit, work, kubeconfig)
    read = work / "read.json"
    kubectl = build.build() / "kubectl"
    get = (str(kubectl), "--kubeconfig", str(kubeconfig), "get", ",".join(kinds), "--all-namespaces", "-o", "json")
    programs = [Program("kubectl get", get, frozenset({0}), read)]
    for profile in PROFILES:
        arguments = ("audit", "--kubeconfig", str(kubeconfig), "-p", profile, "-o", f"json={work / profile}.json")
        programs.append(Program(f"audit {profile}", (*audit, *arguments), AUDITED))
    measured = _measured(programs, work, rounds)
    printed = read.stat().st_size / 1e6
    items = json.loads(read.read_bytes())["items"]
    plain = sum(len(json.dumps(item, ensure_ascii=False, separators=(",", ":")).encode()) for item in items) / 1e6
    what = f"{len(items)} objects of {len(kinds)} kinds"
    print(f"{what}: {printed:.1f} MB of JSON as printed, {plain:.1f} MB without blanks")
    base = measured["kubectl get"]
    print(f"{'':<20}{'wall s':>8}{'CPU s':>8}{'PSS MB':>8}{'RSS MB':>8}{'/ read':>8}{'/ printed':>10}{'/ plain':>9}")
    for name, row in measured.items():
        memory = row.memory
        print(
            f"{name:<20}{row.wall:>8.2f}{row.cpu:>8.2f}{memory.proportional:>8.0f}{memory.resident:>8.0f}"
            f"{row.wall / base.wall:>8.2f}{memory.resident / printed:>10.2f}{memory.resident / plain:>9.2f}",
            flush=True,
        )
    print("/ read: wall beside kubectl's; / printed, / plain: RSS beside the JSON's size")


def _measured(programs: list[Program], work: Path, rounds: int) -> dict[str, Measured]:
    for program in programs:
        timed(program, work)
    runs: dict[str, list[Any]] = {program.name: [] for program in programs}
    for _ in range(rounds):
        for program in programs:
            runs[program.name].append(timed(program, work))
    return {
        program.name: Measured(
            statistics.median(run.wall for run in runs[program.name]),
            statistics.median(run.cpu for run in runs[program.name]),
            peak_memory(program, work),
        )
        for program in programs
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure an audit beside kubectl's reading of the same objects.")
    parser.add_argument("--pods", type=int, nargs="+", default=[5_000], help="sizes of the load")
    parser.add_argument("--rounds", type=int, default=3, help="counted runs of each program")
    parser.add_argument("--kubeconfig", type=Path, help="measure this cluster as it is, and make nothing in it")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kubeassay-bench-") as temporary:
        try:
            if arguments.kubeconfig:
                measure(arguments.kubeconfig.resolve(), Path(temporary), arguments.rounds)
                return
            for number, pods in enumerate(arguments.pods):
                work = Path(temporary) / str(number)
                work.mkdir()
                with _cluster(pods, work / "server") as kubeconfig:
                    measure(kubeconfig, work, arguments.rounds)
        except build.UnavailableError as missing:
            sys.exit(f"no API server: {missing}")


if __name__ == "__main__":
    main()
