"""The results of one audit after the other in a folder: ``audit --history`` and ``report DIR``.

Each audit has a folder of its own, named after the time at which it began (UTC): ``20261125T021700Z``, with
``report.html``, ``result.sarif`` and, written last, ``result.json``: without that a folder is no result. Everything
else in the folder of a history is left alone. ``failed`` stands beside them where something could not be published.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from kubeassay.model import Result
from kubeassay.reporting.result_json import from_json
from kubeassay.reporting.texts import plural, printable
from kubeassay.sources.files import UsageError

KEPT = 30
#: In the order in which they are written.
_REPORTS = (("html", "report.html"), ("sarif", "result.sarif"), ("json", "result.json"))
_RESULT = "result.json"
#: Stands beside a result that could not be published: it is tried again, and what is new is to be new then, too.
_FAILED = "failed"
_NAME = re.compile(r"\d{8}T\d{6}Z\Z", re.ASCII)
_FORM = "%Y%m%dT%H%M%SZ"
#: What an audit that was ended left behind is removed after this time: until then one may still be writing it.
_ABANDONED = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class History:
    """A folder of results. ``keep``: how many of them stay."""

    root: Path
    keep: int
    #: The folder of the audit that is running.
    now: Path

    @classmethod
    def opened(cls, root: str, keep: int) -> History:
        """Raises UsageError for what is no folder that can be written to: said before a cluster is read."""
        path = Path(root)
        if not path.is_dir():
            # It is not made: where a volume should be mounted, results would be written beside it.
            raise UsageError(
                f"--history {root}: " + ("is no folder" if path.exists() else "there is no such folder; make it")
            )
        if not os.access(path, os.W_OK | os.X_OK):
            raise UsageError(f"--history {root}: cannot be written to")
        return cls(path, keep, path / _now().strftime(_FORM))

    def outputs(self) -> list[tuple[str, str]]:
        """(format, path) of the reports of this audit; the last one makes it a result."""
        return [(name, str(self.now / file)) for name, file in _REPORTS]

    def begin(self) -> None:
        """Make the folder of this audit, and room for it."""
        self.prune()
        try:
            self.now.mkdir()
        except FileExistsError:
            raise UsageError(f"--history: {self.now} is there already: another audit began in this second") from None
        except OSError as error:
            raise UsageError(f"--history: {self.now} cannot be made: {error.strerror}") from None

    def previous(self, profile: str, cluster: str) -> tuple[str, Result] | None:
        """The newest result of a cluster by a profile, and its file. One that cannot be read is told, and passed over:
        a night's damage is not to end all later ones."""
        for folder in results(self.root):
            if (folder / _FAILED).exists():
                continue
            file = folder / _RESULT
            try:
                result = from_json(file.read_bytes())
            except OSError as error:
                _say(f"warning: {file}: cannot be read: {error.strerror}")
                continue
            except ValueError as error:
                _say(f"warning: {file}: is not a result of kubeassay: {error}")
                continue
            if result.target.kind == "cluster" and (result.target.name, result.profile.name) == (cluster, profile):
                return str(file), result
        return None

    def fail(self) -> None:
        """Later audits are not compared with this one."""
        try:
            (self.now / _FAILED).touch()
        except OSError as error:
            raise UsageError(f"--history: {self.now / _FAILED} cannot be written: {error.strerror}") from None

    def prune(self) -> None:
        """Remove all but the newest results, and what unfinished audits left. What cannot be removed is told."""
        for folder in [*results(self.root)[self.keep :], *self._abandoned()]:
            try:
                shutil.rmtree(folder)
            except OSError as error:
                _say(f"warning: {folder}: cannot be removed: {error.strerror}")

    def _abandoned(self) -> Iterator[Path]:
        before = (_now() - _ABANDONED).strftime(_FORM)
        yield from (folder for folder in _folders(self.root) if folder.name < before and not _complete(folder))


def results(root: Path) -> list[Path]:
    """The folders of finished audits, the newest first."""
    return [folder for folder in _folders(root) if _complete(folder)]


def newest(root: Path) -> Path:
    """The JSON of the newest result. Raises UsageError where there is none."""
    found = results(root)
    if not found:
        raise UsageError(f"{root}: holds no result of an audit with --history")
    return found[0] / _RESULT


def say_first(root: Path, profile: str, cluster: str) -> None:
    """That there is nothing to compare with."""
    _say(f"compared with nothing: {root} holds no earlier result of cluster {cluster} by profile {profile}")


def say_kept(history: History) -> None:
    """How many results there are now."""
    _say(f"{history.root}: {plural(len(results(history.root)), 'result')}, the newest {history.keep} are kept")


def _folders(root: Path) -> list[Path]:
    try:
        names = sorted((entry.name for entry in os.scandir(root) if entry.is_dir(follow_symlinks=False)), reverse=True)
    except OSError as error:
        raise UsageError(f"{root}: cannot be read: {error.strerror}") from None
    return [root / name for name in names if _NAME.match(name)]


def _complete(folder: Path) -> bool:
    return (folder / _RESULT).is_file()


def _now() -> datetime:
    return datetime.now(UTC)


def _say(text: str) -> None:
    click.echo(printable(text), err=True)
