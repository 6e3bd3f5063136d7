"""Build the API server of the live tests from server/, once per machine: ``python tests/live/build.py``.

The binaries lie in ``$XDG_CACHE_HOME/kubeassay/live/<key>`` (``~/.cache`` by default), the key made of the sources, the
modules' checksums and the Go version. From nothing that takes about 8 minutes of CPU; ``GOFLAGS=-p=1`` makes it gentle.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

SERVER = Path(__file__).parent / "server"
BINARIES = ("certificates", "etcd", "kube-apiserver", "kube-controller-manager", "kubectl")
KUBERNETES = "k8s.io/kubernetes v"


class UnavailableError(Exception):
    """Why there is no API server to be had here: no Go, or no modules."""


class BuildError(Exception):
    """What is there does not build."""


def kubernetes_version() -> str:
    """The version that server/go.mod names: 1.33.13."""
    for line in (SERVER / "go.mod").read_text(encoding="utf-8").splitlines():
        if line.strip().startswith(KUBERNETES):
            return line.strip().removeprefix(KUBERNETES)
    raise BuildError("server/go.mod names no version of k8s.io/kubernetes")


def folder() -> Path:
    """Where the binaries of these sources and this Go are, or would be."""
    if not shutil.which("go"):
        raise UnavailableError("Go is not installed")
    digest = hashlib.sha256()
    for path in sorted(SERVER.rglob("*")):
        if path.is_file():
            digest.update(f"{path.relative_to(SERVER)}\0".encode() + path.read_bytes())
    asked = subprocess.run(["go", "env", "GOVERSION", "GOOS", "GOARCH"], cwd=SERVER, capture_output=True, text=True)
    if asked.returncode:
        raise BuildError(f"go: {asked.stderr.strip()}")
    digest.update(asked.stdout.encode())
    cache = os.environ.get("XDG_CACHE_HOME", "")
    base = Path(cache) if os.path.isabs(cache) else Path.home() / ".cache"  # noqa: PTH117
    return base / "kubeassay" / "live" / f"{kubernetes_version()}-{digest.hexdigest()[:16]}"


def built() -> Path | None:
    """The folder with the binaries, if they are built."""
    at = folder()
    return at if all((at / name).is_file() for name in BINARIES) else None


def build() -> Path:
    """The folder with the binaries; builds them where they are not there yet. One process at a time does."""
    at = folder()
    at.parent.mkdir(parents=True, exist_ok=True)
    with (at.parent / f"{at.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if built():
            return at
        print(f"building {', '.join(BINARIES)} {kubernetes_version()} in {at}: minutes", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory(dir=at.parent) as scratch:
            _go_build(Path(scratch))
            shutil.rmtree(at, ignore_errors=True)
            at.mkdir()
            for name in BINARIES:
                Path(scratch, name).rename(at / name)
    return at


def _go_build(into: Path) -> None:
    version = kubernetes_version()
    major, minor, _ = version.split(".")
    stamped = {"gitVersion": f"v{version}", "gitMajor": major, "gitMinor": minor}
    flags = " ".join(["-s -w", *(f"-X k8s.io/component-base/version.{key}={value}" for key, value in stamped.items())])
    command = ["go", "build", "-buildvcs=false", "-ldflags", flags, "-o", f"{into}{os.sep}", "./..."]
    listed = subprocess.run(["go", "list", "-deps", "./..."], cwd=SERVER, capture_output=True, text=True)
    if listed.returncode:
        raise UnavailableError(f"its modules cannot be had: {listed.stderr.strip()[-1000:]}")
    # What else runs on the machine goes first.
    if subprocess.run(command, cwd=SERVER, preexec_fn=lambda: os.nice(10)).returncode:
        raise BuildError(f"`{' '.join(command)}` failed in {SERVER}")


if __name__ == "__main__":
    try:
        print(build())
    except UnavailableError as missing:
        print(f"NO API SERVER for the live tests: {missing}", file=sys.stderr)
    except BuildError as error:
        sys.exit(str(error))
