"""Start-up: a plain scan imports only what it uses."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from kubeassay.reporting import FORMATS

PROBE = """
import sys
from kubeassay.cli.main import main
try:
    main(sys.argv[1:])
except SystemExit as exit_:
    code = exit_.code
heavy = {"kubernetes", "jinja2", "jsonschema", "cel_expr_python", "rich", "pathspec", "multiprocessing", "asyncio"}
print("CODE", code, "IMPORTED", *sorted(heavy & {name.partition(".")[0] for name in sys.modules}))
"""


def imported(*arguments: str) -> str:
    done = subprocess.run([sys.executable, "-c", PROBE, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[-1]


@pytest.mark.parametrize("form", [form for form in FORMATS if form != "html"])
def test_a_plain_scan_imports_nothing_heavy(tmp_path: Path, form: str) -> None:
    (tmp_path / "a.yaml").write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n")
    report = tmp_path / "report"
    assert imported("scan", str(tmp_path), "-o", f"{form}={report}") == "CODE 0 IMPORTED"


def test_the_version_imports_nothing_heavy() -> None:
    assert imported("--version") == "CODE 0 IMPORTED"


def test_what_is_used_is_imported(tmp_path: Path) -> None:
    """The probe sees imports: this keeps the tests above honest."""
    (tmp_path / "a.yaml").write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n")
    (tmp_path / ".gitignore").write_text("b\n")
    report = tmp_path / "report.html"
    assert imported("scan", str(tmp_path), "-o", f"html={report}") == "CODE 0 IMPORTED jinja2 pathspec"


CHECKS = """
import sys
from kubeassay.cli.main import main
try:
    main(sys.argv[1:])
except SystemExit:
    pass
families = ("kubeassay.checks.pod_security", "kubeassay.checks.mesh")
print(*sorted(name for name in sys.modules if name.startswith(families)))
"""


def test_a_scan_imports_only_the_checks_of_its_profile(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n")
    command = [sys.executable, "-c", CHECKS, "scan", str(tmp_path), "-o", f"json={tmp_path / 'report'}"]
    done = subprocess.run([*command, "-p", "pss-baseline"], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["kubeassay.checks.pod_security_baseline", "kubeassay.checks.pod_security_common"]
