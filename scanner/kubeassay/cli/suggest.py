"""``kubeassay suggest``"""

from __future__ import annotations

import gzip
import io
import json
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click

from kubeassay.analysis.access.grants import Access, Role, grants
from kubeassay.analysis.access.model import GROUP, PolicyRule
from kubeassay.analysis.access.objects import DEFAULT_NAMESPACE
from kubeassay.analysis.access.suggest import AuditedRequest, Usage, audited_requests
from kubeassay.cli.access import not_evaluated, rule_fields, tell
from kubeassay.cli.exits import COMPLIES, INCOMPLETE
from kubeassay.cli.inputs import CONTEXT, input_options, read_inputs
from kubeassay.cli.manifest_text import manifest_text
from kubeassay.policy.library import suggestion
from kubeassay.reporting.texts import plural, printable

_KINDS = {"role": "Role", "clusterrole": "ClusterRole"}
#: A log is read line by line, so a line has to fit into memory, with what it becomes; etcd takes 1.5 MiB for an object.
_MAX_LINE = 16 * 2**20
#: What is one document over many lines has to fit as a whole.
_MAX_DOCUMENT = 128 * 2**20
_SHOWN_ERRORS = 10


@click.command(context_settings=CONTEXT)
@click.argument("role")
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@click.option(
    "--used",
    "logs",
    multiple=True,
    required=True,
    metavar="AUDIT_LOG",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="An audit log of the API server: JSON lines, or an EventList; .gz is unpacked. Repeats.",
)
@click.option("--names", is_flag=True, help="Allow only the objects that were named (resourceNames).")
@input_options
@click.pass_context
def suggest(
    ctx: click.Context, /, role: str, paths: tuple[str, ...], logs: tuple[Path, ...], names: bool, **options: Any
) -> int:
    """Suggest the least role that allows what a role was used for.

    ROLE is ClusterRole/NAME, Role/NAMESPACE/NAME, or a name that only one role has. PATH is where the role and its
    bindings are; without one the working directory is read.

    The audit logs say which requests the role's subjects made; those that the role allows are what it needs. The role
    is written as YAML to standard output, with what was not used in comments. A log covers a while: what is needed
    once a year may not be in it. Nor are checks in passing (bind, escalate, approve, finalizers): the comments name
    them apart.

    \b
    kubeassay suggest Role/shop/web --used audit.log manifests/
    kubeassay suggest ClusterRole/operator --used audit.log --used audit-1.log.gz --names

    Exit codes: 0; 2 wrong usage; 3 something was not readable or not known, or the logs have nothing of the role.
    """
    # Of refused objects only those of RBAC matter here, and the analysis tells them itself.
    read = read_inputs(paths, options, concerns=lambda _: False)
    access = grants(read.inventory)
    found = _find(access, role)
    usage = Usage(access, found, names=names)
    log = _Log()
    for path in logs:
        for audited in log.requests(path):
            usage.add(audited)
    rules = usage.rules()
    _print(usage, rules, log)
    log.tell()
    if not rules:
        click.echo(f"Warning: {printable(_silence(usage))}: the role that is written has no rules", err=True)
    unknown = not_evaluated(read, access, ())
    if not options["quiet"]:
        tell(unknown)
    # That nothing was seen is no reason to take everything away.
    return INCOMPLETE if (unknown or log.errors or not rules) and not options["allow_incomplete"] else COMPLIES


def _find(access: Access, text: str) -> Role:
    kind, slash, rest = text.partition("/")
    wanted = _KINDS.get(kind.lower()) if slash else None
    if wanted is None and slash:
        raise click.UsageError(f"{text}: write a role as ClusterRole/NAME or Role/NAMESPACE/NAME")
    candidates = list(access.roles)
    if wanted == "ClusterRole":
        candidates = [role for role in candidates if role.kind == wanted and role.name == rest]
    elif wanted == "Role":
        namespace, slash, name = rest.rpartition("/")
        where = namespace if slash else DEFAULT_NAMESPACE
        candidates = [r for r in candidates if r.kind == wanted and r.name == name and r.namespace == where]
    else:
        candidates = [role for role in candidates if role.name == text]
    if not candidates:
        raise click.UsageError(f"no role {text} is among the inputs{suggestion(text, map(_reference, access.roles))}")
    references = sorted(set(map(_reference, candidates)))
    if len(references) > 1:
        raise click.UsageError(f"{text} may be {', '.join(references)}: say which")
    if len(candidates) > 1:
        files = sorted({role.obj.file for role in candidates if role.obj is not None})
        raise click.UsageError(
            f"{text} is stated more than once ({', '.join(files)}): give the PATHs of one environment"
        )
    return candidates[0]


def _silence(usage: Usage) -> str:
    """Why no rule is needed."""
    reference = _reference(usage.role)
    if not usage.bound:
        return f"no binding among the inputs gives {reference} to anybody"
    if not usage.asked:
        return f"nothing in the log was asked by those who have {reference}"
    return f"nothing that those who have {reference} asked in the log is allowed by it"


def _reference(role: Role) -> str:
    return f"{role.kind}/{role.namespace}/{role.name}" if role.namespace else f"{role.kind}/{role.name}"


class _Log:
    """Reads audit logs, and keeps what was wrong with them."""

    def __init__(self) -> None:
        self.events = 0
        self.first = self.last = ""
        self.errors = 0
        self._messages: list[str] = []

    def requests(self, path: Path) -> Iterator[AuditedRequest]:
        """What a log says was asked and allowed."""
        for line, value in self._values(path):
            for event in _events(value):
                try:
                    found = list(audited_requests(event))
                except ValueError as error:
                    self._error(path, line, str(error))
                    continue
                self.events += 1
                stamp = event.get("requestReceivedTimestamp")
                if isinstance(stamp, str):
                    self.first = min(self.first or stamp, stamp)
                    self.last = max(self.last, stamp)
                yield from found

    def tell(self) -> None:
        """Say on standard error what was wrong."""
        for message in self._messages:
            click.echo(printable(message), err=True)
        if self.errors > len(self._messages):
            click.echo(f"and {plural(self.errors - len(self._messages), 'more line')} like these", err=True)

    def _values(self, path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
        """The JSON objects of a log, each with its line; broken lines are noted, never shown: they may hold secrets."""
        try:
            with _open(path) as stream:
                for number, line in _lines(stream):
                    if line is None:
                        self._error(path, number, f"longer than {_MAX_LINE // 2**20} MiB, skipped")
                        continue
                    if not line.strip():
                        continue
                    if number == 1 and line.strip() == b"{":
                        # One document over many lines, as kubectl and some exporters write it.
                        line += stream.read(_MAX_DOCUMENT)
                        if stream.read(1):
                            self._error(path, None, f"one document of more than {_MAX_DOCUMENT // 2**20} MiB")
                            return
                    value = _parsed(line)
                    if value is None:
                        self._error(path, number, "not a JSON object")
                    else:
                        yield number, value
        except zlib.error:
            self._error(path, None, "cannot be read: zlib.error")
        except (OSError, EOFError) as error:
            self._error(path, None, f"cannot be read: {type(error).__name__}")

    def _error(self, path: Path, line: int | None, message: str) -> None:
        self.errors += 1
        if len(self._messages) < _SHOWN_ERRORS:
            place = f"{path}:{line}" if line is not None else str(path)
            self._messages.append(f"{place}: {message}")


def _open(path: Path) -> gzip.GzipFile | io.BufferedReader:
    return gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")


def _lines(stream: gzip.GzipFile | io.BufferedReader) -> Iterator[tuple[int, bytes | None]]:
    """The lines of a log with their numbers; None for one that is too long, which is never held as a whole."""
    number = 0
    while line := stream.readline(_MAX_LINE + 1):
        number += 1
        if len(line) <= _MAX_LINE or line.endswith(b"\n"):
            yield number, line
            continue
        while line and not line.endswith(b"\n"):
            line = stream.readline(2**20)
        yield number, None


def _parsed(text: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _events(value: dict[str, Any]) -> Iterable[dict[str, Any]]:
    """An event, or those of an EventList, which may leave out the type of its members."""
    items = value.get("items")
    if value.get("kind") != "EventList" or not isinstance(items, list):
        return (value,)
    head = {"apiVersion": value.get("apiVersion"), "kind": "Event"}
    return (head | event if isinstance(event, dict) else {} for event in items)


def _print(usage: Usage, used: list[PolicyRule], log: _Log) -> None:
    role = usage.role
    users = plural(len(usage.users), "user")
    lines = [
        f"The least role for {_reference(role)}: what it was used for.",
        f"{plural(usage.requests, 'request')} of {users} in {plural(log.events, 'audit event')}"
        + (f" from {log.first} to {log.last}." if log.first else "."),
    ]
    if not usage.bound:
        lines.append("No binding among the inputs gives the role to anybody.")
    if role.aggregated:
        lines.append("The role is aggregated: a controller writes its rules from those of other roles.")
    for title, rules in (
        ("Kept, as requests may rest on it; an audit log does not tell whether they do:", usage.kept()),
        ("Left out, although an audit log does not tell whether it is used:", usage.untold()),
        ("Not used:", usage.unused()),
        ("Used in part, by wildcards:", usage.narrowed()),
    ):
        if rules:
            lines += [title, *(f"  {rule}" for rule in rules)]
    for line in lines:
        click.echo(f"# {printable(line)}")
    metadata = {"name": role.name} | ({"namespace": role.namespace} if role.namespace else {})
    manifest = {
        "apiVersion": f"{GROUP}/v1",
        "kind": role.kind,
        "metadata": metadata,
        "rules": [{field: list(values) for field, values in rule_fields(rule)} for rule in used],
    }
    click.echo(manifest_text(manifest), nl=False)
