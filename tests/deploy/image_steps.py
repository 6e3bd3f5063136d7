"""Take the steps of deploy/image/Dockerfile where no container engine runs: ``python tests/deploy/image_steps.py``.

What is copied is copied into a folder, what is run is run, with the paths of the image (/src, /opt) below that folder
and this Python in place of the image's. So what is missing in the image's context, or in what is installed, is seen;
what the base image has and a container runtime does is not.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from dockerfile_parse import DockerfileParser

ROOT = Path(__file__).parent.parent.parent
DOCKERFILE = ROOT / "deploy" / "image" / "Dockerfile"
IGNORE = ROOT / ".dockerignore"
_IMAGE_PATH = re.compile(r"(?<![\w/.-])(/(?:src|opt)\b)")


def steps() -> list[tuple[str, str]]:
    """(instruction, what it says), in order."""
    with DOCKERFILE.open("rb") as file:
        structure = DockerfileParser(fileobj=file).structure
    return [(step["instruction"], step["value"]) for step in structure if step["instruction"] != "COMMENT"]


def sent() -> list[str]:
    """The files of the checkout that an engine is sent: those that .dockerignore leaves. The last pattern decides that
    matches a file or a folder that it is in, from the root (moby/patternmatcher, MatchesOrParentMatches)."""
    patterns = [line for line in IGNORE.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    rules = [(not line.startswith("!"), _matcher(line.removeprefix("!"))) for line in patterns]

    def ignored(name: str) -> bool:
        parts = name.split("/")
        above = ["/".join(parts[:number]) for number in range(1, len(parts) + 1)]
        verdicts = [ignores for ignores, matcher in rules if any(map(matcher.fullmatch, above))]
        return bool(verdicts) and verdicts[-1]

    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return sorted(name for name in listed.stdout.split("\0") if name and not ignored(name))


def _matcher(pattern: str) -> re.Pattern[str]:
    """``**/`` is any number of folders, ``*`` anything within a name."""
    parts = re.split(r"(\*\*/|\*)", pattern)
    return re.compile("".join({"**/": "(?:.*/)?", "*": "[^/]*"}.get(part, re.escape(part)) for part in parts))


def main() -> int:
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch).resolve()
        image = [(name, value) for name, value in steps() if name in ("COPY", "RUN")]
        for name, value in image:
            if name == "COPY" and "--from" not in value:
                *sources, target = shlex.split(value)
                copy(sources, root / "src" / target, folder=target.endswith("/"))
            elif name == "RUN":
                run(root, value)
        program = root / "opt" / "kubeassay" / "bin" / "kubeassay"
        # The extra is there: without it the answer is another.
        asked = subprocess.run(
            [program, "audit"], env={"PATH": "/usr/bin:/bin", "HOME": str(root)}, capture_output=True, text=True
        )
        if "there is no kubeconfig" not in asked.stderr or asked.returncode != 2:
            print(f"kubeassay audit: {asked.returncode} {asked.stderr}", file=sys.stderr)
            return 1
        if (root / "opt" / "kubeassay" / "bin" / "pip").exists():
            print("the image has pip", file=sys.stderr)
            return 1
    print("the steps of the Dockerfile give a kubeassay that audits")
    return 0


def copy(sources: list[str], target: Path, *, folder: bool) -> None:
    files = sent()
    for source in sources:
        for file in files:
            if file == source or file.startswith(f"{source}/"):
                # A folder's content goes into the target; a file is the target, or goes into it.
                to = target / Path(file).relative_to(source)
                if file == source:
                    to = target / Path(file).name if folder else target
                to.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(ROOT / file, to)


def run(root: Path, command: str) -> None:
    python = root / "bin" / "python"
    if not python.exists():
        python.parent.mkdir(parents=True)
        python.symlink_to(sys.executable)
    here = _IMAGE_PATH.sub(lambda path: f"{root}{path[1]}", command)
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
    subprocess.run(
        ["/bin/sh", "-ec", here],
        cwd=root / "src",
        env={**environment, "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}"},
        check=True,
    )


if __name__ == "__main__":
    sys.exit(main())
