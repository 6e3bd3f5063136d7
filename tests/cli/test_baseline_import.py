"""``kubeassay baseline import``, and documents as baselines of a scan."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from kit import run_command

DOCUMENT = """# House rules

## Pods

```yaml
Pod security:
  privileged: false
```

## Priorities

```yaml
Priority of the shop:
  apiVersion: scheduling.k8s.io/v1
  kind: PriorityClass
  metadata:
    name: shop
  value: 10
```
"""
MANIFEST = """apiVersion: scheduling.k8s.io/v1
kind: PriorityClass
metadata: {name: shop}
value: 20
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rules.md").write_text(DOCUMENT, "utf-8")
    (tmp_path / "priority.yaml").write_text(MANIFEST, "utf-8")
    return tmp_path


def test_the_baseline_is_written_and_what_is_told_goes_to_standard_output(folder: Path) -> None:
    done = run_command("baseline", "import", "rules.md", "-o", "out/deep")
    assert done.exit_code == 0
    assert done.stdout == "rules.md: 2 clauses\n"
    assert done.stderr == "baseline: out/deep/house-rules.yaml\n"
    baseline = yaml.safe_load((folder / "out" / "deep" / "house-rules.yaml").read_text("utf-8"))
    assert [(c["id"], c["source"]["file"], c["source"]["line"]) for c in baseline["spec"]["controls"]] == [
        ("pod-security/privileged", "rules.md", 7),
        ("priority-class/shop", "rules.md", 13),
    ]
    listed = run_command("baselines", "house-rules", "--baseline", "out/deep/house-rules.yaml")
    assert listed.exit_code == 0


def test_without_a_folder_the_baseline_is_standard_output(folder: Path) -> None:
    done = run_command("baseline", "import", "rules.md", "--name", "ours")
    assert yaml.safe_load(done.stdout)["metadata"]["name"] == "ours"
    assert done.stderr == "rules.md: 2 clauses\n"


def test_what_is_told_as_json(folder: Path) -> None:
    (folder / "rules.md").write_text(f"{DOCUMENT}\n```yaml\nleft over: 7\n```\n", "utf-8")
    done = run_command("baseline", "import", "rules.md", "-o", ".", "-f", "json")
    told = json.loads(done.stdout)
    assert [clause["line"] for clause in told["clauses"]] == [7, 13]
    assert told["notes"] == [
        {"kind": "not-understood", "line": 22, "subject": "left over", "reason": "no form of it is known"}
    ]
    assert done.exit_code == 3
    assert run_command("baseline", "import", "rules.md", "-o", ".", "--allow-incomplete").exit_code == 0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "doc.md: cannot be read: No such file or directory"),
        (b"", "doc.md: nothing to judge by: it holds no YAML block"),
        (b"```yaml\nprivileged: \xff\n", "doc.md:2: is not UTF-8 text: invalid start byte"),
        (b"```yaml\n" + b"[" * 5000, "doc.md: nothing to judge by: none of its 1 YAML blocks holds a demand"),
    ],
)
def test_what_cannot_be_a_policy_is_one_clear_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    if content is not None:
        (tmp_path / "doc.md").write_bytes(content)
    for arguments in (["baseline", "import", "doc.md"], ["scan", ".", "--baseline", "doc.md"]):
        done = run_command(*arguments)
        assert done.exit_code == 2
        assert message in done.stderr


def test_a_folder_is_no_document_and_a_file_no_folder(folder: Path) -> None:
    assert "is not a regular file" in run_command("baseline", "import", str(folder)).stderr
    assert "cannot be made" in run_command("baseline", "import", "rules.md", "-o", "priority.yaml/x").stderr
    assert "not a name" in run_command("baseline", "import", "rules.md", "--name", "../x").stderr


def test_a_scan_by_a_document(folder: Path) -> None:
    done = run_command("scan", "priority.yaml", "--baseline", "rules.md", "-f", "json")
    (finding,) = [
        result for result in json.loads(done.stdout)["results"] if result["controls"] == ["priority-class/shop"]
    ]
    assert finding["location"]["startLine"] == 4
    assert [(place["location"]["file"], place["location"]["startLine"]) for place in finding["related"]] == [
        ("rules.md", 18)
    ]
    assert done.exit_code == 1
    text = run_command("scan", "priority.yaml", "--baseline", "rules.md").stdout
    assert "is 20; rules.md line 18 demands 10" in " ".join(text.split())


def test_what_a_document_says_and_nothing_judges_is_not_evaluated(folder: Path) -> None:
    (folder / "rules.md").write_text(f"{DOCUMENT}\n```yaml\nleft over: 7\n```\n", "utf-8")
    (folder / "priority.yaml").write_text(MANIFEST.replace("20", "10"), "utf-8")
    arguments = ["scan", "priority.yaml", "--baseline", "rules.md", "--fail-on", "none", "-f", "json"]
    done = run_command(*arguments)
    assert [n["detail"] for n in json.loads(done.stdout)["notEvaluated"] if n["reason"] == "not-understood"] == [
        "rules.md:22: left over: no form of it is known"
    ]
    assert done.exit_code == 3


def test_a_document_in_a_configuration(folder: Path) -> None:
    (folder / "config.yaml").write_text(
        "apiVersion: kubeassay.dev/v1\nkind: Configuration\nspec: {paths: [priority.yaml], baselines: [rules.md]}\n",
        "utf-8",
    )
    done = run_command("scan", "--config", "config.yaml", "-f", "json")
    assert "priority-class/shop" in [control for r in json.loads(done.stdout)["results"] for control in r["controls"]]


def test_a_document_that_is_called_as_a_bundled_baseline(folder: Path) -> None:
    (folder / "storage.md").write_text(DOCUMENT.replace("# House rules", "# Storage"), "utf-8")
    done = run_command("scan", "priority.yaml", "--baseline", "storage.md", "--format", "json")
    (finding,) = [one for one in json.loads(done.stdout)["results"] if one["rule"] == "documented-object"]
    assert finding["controls"] == ["priority-class/shop"]
    done = run_command("baseline", "import", "storage.md", "-o", "out")
    assert done.stderr == "baseline: out/storage-document.yaml\n"


def test_two_documents_may_say_the_same(folder: Path) -> None:
    (folder / "more.md").write_text(DOCUMENT.replace("value: 10", "value: 11"), "utf-8")
    done = run_command(
        "scan",
        "priority.yaml",
        "--baseline",
        "rules.md",
        "--baseline",
        "more.md",
        "--baseline",
        "rules.md",
        "-f",
        "json",
    )
    found = [one for one in json.loads(done.stdout)["results"] if one["rule"] == "documented-object"]
    assert {(tuple(one["controls"]), one["message"].partition("; ")[2]) for one in found} == {
        (("priority-class/shop",), "rules.md line 18 demands 10"),
        (("house-rules-document/priority-class/shop",), "more.md line 18 demands 11"),
    }
