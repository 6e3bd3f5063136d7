"""Everything that was read, at once: for commands that ask questions of a whole target."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from kubeassay.analysis.fields import FieldProblem, problems_of, without
from kubeassay.analysis.workloads import pod_templates
from kubeassay.execution.collector import idle_collector
from kubeassay.model import Inventory, KubernetesVersion, Object, ReadError, Skipped
from kubeassay.sources.files import Discovery
from kubeassay.sources.manifests import ReadFile, read_bytes, read_file
from kubeassay.sources.yaml_reader import PlainScalars


@dataclass(frozen=True, slots=True)
class Invalid:
    """An object that an API server refuses for a value of the wrong type, the first of perhaps several."""

    obj: Object
    problem: FieldProblem


@dataclass(frozen=True, slots=True)
class ReadInventory:
    """The objects of a target, and what of it could not be read. Of ``invalid`` workloads, what is mistyped is left
    out of the inventory. ``environments``: the names of those that it has objects of, where they are several."""

    inventory: Inventory
    errors: tuple[ReadError, ...]
    skipped: tuple[Skipped, ...]
    invalid: tuple[Invalid, ...]
    environments: tuple[str, ...] = ()


@idle_collector()
def read_inventory(
    discovery: Discovery, version: KubernetesVersion, *, stdin: bytes | None = None, stdin_name: str = "stdin"
) -> ReadInventory:
    """Read all files (and standard input) into one inventory, in the order of the files."""
    objects: list[Object] = []
    errors = list(discovery.errors)
    skipped = list(discovery.skipped)
    invalid: list[Invalid] = []
    remembered: PlainScalars = {}

    def reads() -> Iterable[ReadFile]:
        if stdin is not None:
            yield read_bytes(stdin, stdin_name)
        for file in discovery.files:
            yield read_file(file, remembered)

    for read in reads():
        if read.part:
            continue
        errors += read.errors
        skipped += read.skipped
        for obj in read.objects:
            problems = [problem for problem in problems_of(obj, version.minor) if problem.kind == "mistyped"]
            if problems:
                invalid.append(Invalid(obj, problems[0]))
                # Analyses of other kinds tell themselves what an API server would make of a mistyped value.
                if pod_templates(obj):
                    obj = obj.with_value(without(obj.value, problems))
            objects.append(obj)
    objects.sort(key=lambda obj: obj.file)
    return ReadInventory(Inventory(objects), tuple(errors), tuple(skipped), tuple(invalid))
