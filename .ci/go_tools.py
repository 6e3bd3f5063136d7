"""Install the Go programs that tests render deploy/ with, once per machine: ``python .ci/go_tools.py``.

They lie in ``$XDG_CACHE_HOME/kubeassay/tools/NAME-VERSION`` (``~/.cache`` by default). Their versions are such that the
Go 1.26 of the tests builds them. From nothing that takes about a minute and a half.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

#: Name → the package and its version.
TOOLS = {
    "kustomize": ("sigs.k8s.io/kustomize/kustomize/v5", "v5.8.1"),
    "helm": ("helm.sh/helm/v3/cmd/helm", "v3.19.5"),
}


#: Name → what its linker is told. Helm's own build tells it the version (its Makefile), and Helm says v3.19 without.
_LINKED = {"helm": "-X helm.sh/helm/v3/internal/version.version={version}"}


class InstallError(Exception):
    """Why a program is not to be had here."""


def path(name: str) -> Path:
    """Where a program is, or would be."""
    cache = os.environ.get("XDG_CACHE_HOME", "")
    base = Path(cache) if os.path.isabs(cache) else Path.home() / ".cache"  # noqa: PTH117
    return base / "kubeassay" / "tools" / f"{name}-{TOOLS[name][1]}" / name


def _linker(name: str, version: str) -> list[str]:
    return [f"-ldflags={_LINKED[name].format(version=version)}"] if name in _LINKED else []


def install(name: str) -> Path:
    """The program, built where it is not there yet."""
    at = path(name)
    if at.is_file():
        return at
    if not shutil.which("go"):
        raise InstallError("Go is not installed")
    package, version = TOOLS[name]
    print(f"building {name} {version} in {at.parent}", file=sys.stderr, flush=True)
    at.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=at.parent) as scratch:
        done = subprocess.run(
            ["go", "install", *_linker(name, version), f"{package}@{version}"],
            env={**os.environ, "GOBIN": scratch},
            capture_output=True,
            text=True,
            check=False,
            # What else runs on the machine goes first.
            preexec_fn=lambda: os.nice(10),
        )
        if done.returncode:
            raise InstallError(done.stderr.strip()[-1000:])
        # Several may install at the same time.
        Path(scratch, name).replace(at)
    return at


if __name__ == "__main__":
    for tool in TOOLS:
        try:
            print(install(tool))
        except InstallError as missing:
            print(f"NO {tool}: {missing}", file=sys.stderr)
