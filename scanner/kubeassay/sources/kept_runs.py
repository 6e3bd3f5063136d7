"""Runs of the programs that render, of which the answer is kept: on the same files a program need not run again.

What a run's answer depends on is the program (its path, size and date), its arguments, and the files of the folder that
it is given, which are copies of what it may read. A run that may reach the network, one that failed, and one whose
answer holds a Secret, or something else that may be secret, is not kept.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence

from kubeassay import __version__
from kubeassay.analysis.sensitive import sensitive_paths
from kubeassay.sources.cache import Cache, cache_folder, digest_of
from kubeassay.sources.manifests import read_bytes
from kubeassay.sources.rendering import Limits
from kubeassay.sources.tools import Ran, run

_KIND = "run"
#: Stands for the folder of a run, which is another each time.
_FOLDER = "\0folder\0"
_SECRET = re.compile(rb"""\bkind["']?\s*:\s*["']?(?:Secret|SecretList)\b""")


def run_kept(command: Sequence[str], limits: Limits, *, folder: str) -> tuple[Ran, str]:
    """As :func:`kubeassay.sources.tools.run`, on a folder that holds all that the program reads; the answer may be that
    of an earlier run. Beside it, the digest of all that it depends on; empty where it may depend on more."""
    if limits.network:
        return run(command, limits, folder=folder), ""
    key = _key(command, limits, folder)
    store = Cache.open(cache_folder(), version=__version__) if limits.cache and key else None
    if store is None:
        return run(command, limits, folder=folder), key
    try:
        found = _read(store.get(_KIND, key), folder)
        if found is not None:
            return found, key
        ran = run(command, limits, folder=folder)
        if ran.failure is None and ran.code == 0 and not _may_hold_secret(ran.output):
            store.put(_KIND, key, _written(ran, folder))
        return ran, key
    finally:
        store.close()


def _may_hold_secret(output: bytes) -> bool:
    """Whether an answer holds a Secret, or something else that no report would show: a password in a variable."""
    if _SECRET.search(output):
        return True
    read = read_bytes(output, "")
    return bool(read.errors) or any(True for obj in read.objects for _ in sensitive_paths(obj.value))


def _key(command: Sequence[str], limits: Limits, folder: str) -> str:
    try:
        program = os.stat(command[0])
        files = list(_files(folder))
    except OSError:
        return ""
    stated = [argument.replace(folder, _FOLDER) for argument in command]
    return digest_of(files, json.dumps(stated), str(program.st_size), str(program.st_mtime_ns), str(limits.bytes))


def _files(folder: str) -> Iterator[tuple[str, bytes]]:
    """All below a folder, each with what it is: a folder, a file with its content, a link with where it leads."""
    for directory, directories, names in os.walk(folder):
        for name in (*directories, *names):
            path = os.path.join(directory, name)
            relative = os.path.relpath(path, folder)
            if os.path.islink(path):
                yield f"{relative}@", os.fsencode(os.readlink(path))
            elif os.path.isdir(path):
                yield f"{relative}/", b""
            else:
                with open(path, "rb") as stream:
                    yield relative, stream.read()


def _written(ran: Ran, folder: str) -> bytes:
    said = json.dumps(ran.said.replace(folder, _FOLDER)).encode()
    return b"%d\n%s%s" % (len(said), said, ran.output)


def _read(kept: bytes | None, folder: str) -> Ran | None:
    if kept is None:
        return None
    length, newline, rest = kept.partition(b"\n")
    try:
        size = int(length)
        said = json.loads(rest[:size])
    except ValueError:
        return None
    if not newline or not isinstance(said, str):
        return None
    return Ran(rest[size:], said.replace(_FOLDER, folder), 0)
