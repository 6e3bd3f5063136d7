"""The programs that render manifests (kustomize, kubectl, helm): which there are, and how one is run.

What they are given is untrusted, so a run has little: no environment of the user's, no credentials, no network unless
that is allowed, and limits of time, memory and output. That it reads no file that it should not is up to the caller,
who gives it a folder with copies of what it may read (nothing here keeps it from reading others).
"""

from __future__ import annotations

import json
import mmap
import os
import re
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Literal

from kubeassay.sources.rendering import Limits

#: Kind of tool → the programs that do it, in the order in which they are looked for: the environment variable with its
#: path, its name on PATH, and the sub-command that renders.
_PROGRAMS: Mapping[str, tuple[tuple[str, str, tuple[str, ...]], ...]] = {
    "kustomize": (
        ("KUBEASSAY_KUSTOMIZE", "kustomize", ("build",)),
        ("KUBEASSAY_KUBECTL", "kubectl", ("kustomize",)),
    ),
    "helm": (("KUBEASSAY_HELM", "helm", ()),),
}
#: How each is asked for its version.
_VERSION: Mapping[str, tuple[str, ...]] = {
    "kustomize": ("version",),
    "kubectl": ("version", "--client", "-o", "json"),
    "helm": ("version", "--short"),
}
_VERSION_LIMITS = Limits(seconds=20, bytes=2**16)
#: Helm that is built from source without more says but v3.19.
_VERSION_NUMBER = re.compile(r"\bv\d+\.\d+(?:\.\d+(?:-[0-9A-Za-z.]+)?)?")
#: Of what a tool says on stderr, this much is kept: its end.
_MOST_SAID = 2**16
#: What a run may allocate. Kustomize needs some 100 MB for a thousand objects.
_MOST_MEMORY = 4 * 2**30
#: A port where nothing listens: programs that ask a proxy find none.
_NO_PROXY = "http://127.0.0.1:9"
_PROXIES = ("http_proxy", "https_proxy", "all_proxy")
#: What a run that may load has of the user's environment: the way out, and whom to trust there.
_WAY_OUT = frozenset(
    {"SSL_CERT_FILE", "SSL_CERT_DIR", "no_proxy", "NO_PROXY", *_PROXIES, *(name.upper() for name in _PROXIES)}
)


class ToolMissingError(Exception):
    """There is no program to render with; the text says which, and how one is named."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A program. ``name``: ``kustomize``, ``kubectl`` or ``helm``. ``command``: its absolute path, and the sub-command
    that builds a kustomization. ``version``: as ``v5.8.1``; empty where it does not say. ``built_in``: of kubectl, the
    version of the Kustomize in it."""

    name: str
    command: tuple[str, ...]
    version: str
    built_in: str = ""

    @property
    def made_by(self) -> str:
        """As reports name it."""
        said = f"{self.name} {self.version}".strip()
        return f"{said} (kustomize {self.built_in})" if self.built_in else said


@dataclass(frozen=True, slots=True)
class Ran:
    """What came of a run. ``failure``: why it was not run to its end, or None; what it printed until then does not
    count. ``code``: its exit code, not 0 where there is a failure. ``said``: the end of what it wrote to stderr."""

    output: bytes
    said: str
    code: int
    failure: str | None = None


def find(kind: Literal["kustomize", "helm"]) -> Tool:
    """The program for a kind of sources: the one that an environment variable names, else the first on PATH.

    It is looked for, and asked for its version, once per process. Raises ToolMissingError.
    """
    variables = tuple(os.environ.get(variable, "") for variable, _, _ in _PROGRAMS[kind])
    found = _find(kind, variables, os.environ.get("PATH", ""))
    if isinstance(found, str):
        raise ToolMissingError(found)
    return found


@cache
def _find(kind: str, variables: tuple[str, ...], search: str) -> Tool | str:
    programs = list(zip(_PROGRAMS[kind], variables, strict=True))
    # What a variable names is meant, before what PATH happens to have.
    for (variable, name, more), named in programs:
        if named:
            path = os.path.abspath(named)
            if not (os.path.isfile(path) and os.access(path, os.X_OK)):
                return f"{variable} names no program: {named}"
            return _tool(name, path, more)
    for (_, name, more), _ in programs:
        # Not what lies where the command happens to be run: that may be the scanned tree.
        path = shutil.which(name, path=_absolute(search)) or ""
        if path:
            return _tool(name, path, more)
    names = " or ".join(name for _, name, _ in _PROGRAMS[kind])
    return f"{names} is not installed (on PATH, or named by {_PROGRAMS[kind][0][0]})"


def _absolute(search: str) -> str:
    return os.pathsep.join(entry for entry in search.split(os.pathsep) if os.path.isabs(entry))


def _tool(name: str, path: str, more: tuple[str, ...]) -> Tool:
    ran = run((path, *_VERSION[name]), _VERSION_LIMITS)
    printed = "" if ran.failure or ran.code else ran.output.decode("utf-8", "replace")
    built_in = ""
    if name == "kubectl":
        with suppress(ValueError, TypeError, AttributeError, KeyError):
            answer = json.loads(printed)
            built_in = str(answer.get("kustomizeVersion") or "")
            printed = str(answer["clientVersion"]["gitVersion"])
    number = _VERSION_NUMBER.search(printed)
    version = number[0] if number else ""
    if name == "helm" and version.count(".") < 2:
        version = _built_from(path, version) or version
    return Tool(name, (path, *more), version, built_in)


def _built_from(path: str, version: str) -> str:
    """The version of the module that a program in Go was made of, where that is a version beginning as it says; Go
    writes it into every program (debug/buildinfo)."""
    pattern = re.compile(rb"\nmod\t[^\t\n]{1,200}\t(" + re.escape(version).encode() + rb"\.[0-9A-Za-z.+-]{1,40})[\t\n]")
    with (
        suppress(OSError, ValueError),
        open(path, "rb") as stream,
        mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as program,
    ):
        if found := pattern.search(program):
            return found[1].decode()
    return ""


def run(command: Sequence[str], limits: Limits, *, folder: str | None = None) -> Ran:
    """Run a program under the limits. Never raises for what it does.

    ``command``: its absolute path and its arguments. ``folder``: where it runs; by default an empty one. It gets no
    input. Beyond the limits it is killed, with all that it started in its session.
    """
    with tempfile.TemporaryDirectory(prefix="kubeassay-", ignore_cleanup_errors=True) as home:
        prefix = () if limits.network else _offline()
        try:
            process = subprocess.Popen(
                [*prefix, *command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=folder or home,
                env=environment(home, limits.network),
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            said = error.strerror if isinstance(error, OSError) else str(error)
            return Ran(b"", "", 127, f"{os.path.basename(command[0])} cannot be started: {said}")
        with process:
            try:
                _limit(process.pid, limits)
                output, words, failure = _read(process, limits)
            finally:
                # Whatever it left behind, and however this ended.
                with suppress(OSError):
                    os.killpg(process.pid, signal.SIGKILL)
        code = process.returncode
        return Ran(output, words.decode("utf-8", "replace"), code or 1 if failure else code, failure)


def environment(home: str, network: bool) -> dict[str, str]:
    """The whole environment of a run, with an empty folder as its home. Without permission for the network it finds
    no other program, and no proxy."""
    made = {
        "HOME": home,
        "TMPDIR": home,
        "XDG_CACHE_HOME": f"{home}/cache",
        "XDG_CONFIG_HOME": f"{home}/config",
        "XDG_DATA_HOME": f"{home}/data",
        "XDG_STATE_HOME": f"{home}/state",
        "KUBECONFIG": os.devnull,
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        # Git would also take addresses that run a program, or that are folders of this machine.
        "GIT_ALLOW_PROTOCOL": "https:ssh",
    }
    if network:
        made["PATH"] = _absolute(os.environ.get("PATH", ""))
        made.update((name, value) for name, value in os.environ.items() if name in _WAY_OUT)
    else:
        made["PATH"] = f"{home}/none"
        made.update((name, _NO_PROXY) for proxy in _PROXIES for name in (proxy, proxy.upper()))
    return made


@cache
def _offline() -> tuple[str, ...]:
    """What runs a program in a network namespace with nothing in it; empty where this system does not let us."""
    if not sys.platform.startswith("linux"):
        return ()
    unshare = shutil.which("unshare", path="/usr/bin:/bin:/usr/sbin:/sbin")
    if unshare is None:
        return ()
    # With the user's own id mapped where unshare knows how (util-linux 2.36), so that files keep their owner.
    for options in (("--user", "--map-current-user", "--net"), ("--user", "--net")):
        command = (unshare, *options, "--")
        with suppress(OSError, subprocess.SubprocessError):
            tried = subprocess.run(
                [*command, unshare, "--version"], capture_output=True, stdin=subprocess.DEVNULL, timeout=10, check=False
            )
            if tried.returncode == 0:
                return command
    return ()


def network_is_cut() -> bool:
    """Whether a run without permission for the network has none, whatever it tries (else it only finds no proxy)."""
    return bool(_offline())


def _limit(pid: int, limits: Limits) -> None:
    if not sys.platform.startswith("linux"):
        return
    import resource

    bounds = (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_DATA, _MOST_MEMORY),
        (resource.RLIMIT_FSIZE, max(limits.bytes, 2**20)),
    )
    for what, most in bounds:
        # It may have ended already, or have a lower limit.
        with suppress(OSError, ValueError):
            _, hard = resource.prlimit(pid, what)
            most = most if hard == resource.RLIM_INFINITY else min(most, hard)
            resource.prlimit(pid, what, (most, most))


def _read(process: subprocess.Popen[bytes], limits: Limits) -> tuple[bytes, bytes, str | None]:
    """What a process prints and says until it ends or exceeds a limit, and which that was."""
    assert process.stdout is not None
    assert process.stderr is not None
    until = time.monotonic() + limits.seconds
    output, said = bytearray(), bytearray()
    too_long = f"took longer than {limits.seconds:g} s"
    with selectors.DefaultSelector() as waiting:
        waiting.register(process.stdout, selectors.EVENT_READ)
        waiting.register(process.stderr, selectors.EVENT_READ)
        while waiting.get_map():
            left = until - time.monotonic()
            if left <= 0:
                return bytes(output), bytes(said), too_long
            for key, _ in waiting.select(left):
                stream = key.fileobj
                read = os.read(key.fd, 2**16)
                if not read:
                    waiting.unregister(stream)
                elif stream is process.stderr:
                    said += read
                    del said[:-_MOST_SAID]
                elif len(output) + len(read) > limits.bytes:
                    return bytes(output), bytes(said), f"printed more than {limits.bytes} bytes"
                else:
                    output += read
    try:
        process.wait(max(until - time.monotonic(), 0))
    except subprocess.TimeoutExpired:
        return bytes(output), bytes(said), too_long
    return bytes(output), bytes(said), None
