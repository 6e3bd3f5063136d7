"""Reports to standard output and to files."""

from __future__ import annotations

import os
import stat
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from kubeassay.model import Result
from kubeassay.policy.library import suggestion
from kubeassay.reporting import FORMATS, RenderOptions, render
from kubeassay.reporting.texts import utc

_F = TypeVar("_F", bound=Callable[..., Any])


#: The path of standard output.
STDOUT = "-"


class Time(click.ParamType[int]):
    """Seconds since 1970."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        try:
            if value == "now":
                return int(time.time())
            seconds = int(value) if value.isascii() and value.isdigit() else int(_instant(value).timestamp())
            utc(seconds)
        except (ValueError, OverflowError, OSError):
            self.fail(f"{value!r} is no time: now, 2026-11-25T01:17:04Z, or seconds since 1970.", param, ctx)
        return seconds


def _instant(text: str) -> datetime:
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError("a time without its zone is none")
    return instant


def details_options(command: _F) -> _F:
    """Options of reports in some formats."""
    command = click.option("--link-base", default="", metavar="URL", help="What links to files begin with (markdown).")(
        command
    )
    return click.option(
        "--timestamp",
        type=Time(),
        envvar="SOURCE_DATE_EPOCH",
        metavar="now|TIME",
        help="Say when the run was (prometheus, junit, oscal): RFC 3339, or seconds since 1970.  "
        "[default: SOURCE_DATE_EPOCH, or no time]",
    )(command)


def parse_outputs(values: Sequence[str]) -> list[tuple[str, str]]:
    """``FORMAT=PATH``, or ``PATH`` with the usual ending of a format → (format, path). Raises click.UsageError."""
    outputs: list[tuple[str, str]] = []
    for value in values:
        name, equals, path = value.partition("=")
        if not equals:
            name, path = _format_by_suffix(value), value
        elif name not in FORMATS:
            raise click.UsageError(f"'{name}' is not a report format{suggestion(name, FORMATS)}: {', '.join(FORMATS)}.")
        if not path:
            raise click.UsageError(f"--output {value}: no path is given.")
        outputs.append((name, path))
    paths = [path for _, path in outputs]
    for path in paths:
        if paths.count(path) > 1:
            raise click.UsageError(f"--output: two reports would be written to {path}.")
    return outputs


def _format_by_suffix(value: str) -> str:
    if value in FORMATS:
        raise click.UsageError(f"--output {value}: write {value}=PATH, or --format {value} for standard output.")
    # The longest: .accepted.json is no .json.
    endings = sorted((form for form in FORMATS.values() if form.suffix), key=lambda form: -len(form.suffix))
    for form in endings:
        if value.endswith(form.suffix):
            return form.name
    raise click.UsageError(f"--output {value}: write FORMAT=PATH; the formats are {', '.join(FORMATS)}.")


def write_reports(result: Result, format_name: str, outputs: Sequence[tuple[str, str]], options: RenderOptions) -> None:
    """Write every report; to standard output where no path is given."""
    if not outputs:
        report = render(format_name, result, options)
        for warning in report.warnings:
            click.echo(f"warning: {warning}", err=True)
        stream = sys.stdout.buffer
        for document in report.documents:
            stream.write(document)
        stream.flush()
        return
    plain = replace(options, colour=False, quiet=False)
    for name, path in outputs:
        report = render(name, result, plain)
        for warning in report.warnings:
            click.echo(f"warning: {warning}", err=True)
        for number, document in enumerate(report.documents):
            if path == STDOUT:
                sys.stdout.buffer.write(document)
                sys.stdout.buffer.flush()
                continue
            write_file(Path(path) if number == 0 else _numbered(Path(path), number + 1), document)


def _numbered(path: Path, number: int) -> Path:
    """``results.sarif`` → ``results-2.sarif``."""
    return path.with_name(f"{path.stem}-{number}{path.suffix}")


def write_file(path: Path, document: bytes, option: str = "--output") -> None:
    """Write by renaming a finished file, so that nobody ever reads half a report. Devices are written to directly, as
    is what /dev/stdout leads to: it is a link, which would be replaced. ``option``: what named the path."""
    try:
        if path.exists() and (not path.is_file() or _is_link_of_a_process(path)):
            path.write_bytes(document)
            return
        descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(document)
            Path(temporary).chmod(_mode(path))
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        named = f"{option} {path}".strip()
        raise click.UsageError(f"{named}: cannot be written: {error.strerror}") from None


def _is_link_of_a_process(path: Path) -> bool:
    return path.is_symlink() and path.absolute().parts[1:2] in (("dev",), ("proc",))


def _mode(path: Path) -> int:
    """The rights of a file that is there, or those of any new file: mkstemp's are private."""
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        mask = os.umask(0)
        os.umask(mask)
        return 0o666 & ~mask
