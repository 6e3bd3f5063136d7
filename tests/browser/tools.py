"""What the tests of the HTML report in a browser need: ``python tests/browser/tools.py`` installs it, once per machine.

Chromium and its driver come from where the machine has them, or by apt on Debian. axe-core, which judges accessibility,
is unpacked into ``$XDG_CACHE_HOME/kubeassay/tools`` (``~/.cache`` by default); npm verifies what it downloads.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

AXE_VERSION = "4.14.1"


class UnavailableError(Exception):
    """Why there is no browser, or no axe-core, to be had here."""


def chromium() -> str | None:
    """The browser."""
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def driver() -> str | None:
    """Its driver."""
    return shutil.which("chromedriver")


def axe() -> Path:
    """The file of axe-core, there or not."""
    cache = os.environ.get("XDG_CACHE_HOME", "")
    base = Path(cache) if os.path.isabs(cache) else Path.home() / ".cache"  # noqa: PTH117
    return base / "kubeassay" / "tools" / f"axe-core-{AXE_VERSION}" / "axe.min.js"


def missing() -> list[str]:
    """What is not there."""
    found = {"Chromium": chromium(), "chromedriver": driver(), "axe-core": axe().is_file()}
    return [name for name, there in found.items() if not there]


def install() -> None:
    """Install what is missing. Raises UnavailableError where that does not work."""
    if not (chromium() and driver()):
        if shutil.which("apt-get") is None:
            raise UnavailableError("install Chromium and chromedriver: there is no apt-get here to do it")
        sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
        for command in (["update", "-qq"], ["install", "-y", "-qq", "chromium", "chromium-driver"]):
            _run([*sudo, "apt-get", *command])
    if not axe().is_file():
        if shutil.which("npm") is None:
            raise UnavailableError("axe-core is a package of npm, which is not installed")
        with tempfile.TemporaryDirectory() as folder:
            _run(["npm", "pack", "--silent", f"axe-core@{AXE_VERSION}"], cwd=folder)
            archive = Path(folder) / f"axe-core-{AXE_VERSION}.tgz"
            with tarfile.open(fileobj=io.BytesIO(archive.read_bytes())) as package:
                member = package.extractfile("package/axe.min.js")
                assert member is not None
                axe().parent.mkdir(parents=True, exist_ok=True)
                partial = axe().with_suffix(".part")
                partial.write_bytes(member.read())
                partial.replace(axe())


def _run(command: list[str], cwd: str | None = None) -> None:
    print("+", *command, file=sys.stderr)
    try:
        subprocess.run(command, cwd=cwd, check=True, stdout=subprocess.DEVNULL)
    except (OSError, subprocess.CalledProcessError) as error:
        raise UnavailableError(f"{' '.join(command)}: {error}") from None


if __name__ == "__main__":
    try:
        install()
    except UnavailableError as problem:
        sys.exit(f"{problem}")
    left = missing()
    if left:
        sys.exit(f"still missing: {', '.join(left)}")
    print(f"{chromium()}, {driver()}, {axe()}")
