"""Write docs/rules/, docs/baselines.md, docs/commands.md and the outputs in pages from what they describe.

``--check`` writes nothing, and fails where a file differs from what would be written.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import click

from kubeassay.cli.main import cli
from kubeassay.model import Control, Rule
from kubeassay.policy.library import Library

ROOT = Path(__file__).parent.parent
NOTE = "<!-- Written by .ci/generate_docs.py: change the source, then run `make generate`. -->\n"


def rule_page(rule: Rule, controls: list[tuple[str, Control]]) -> str:
    lines = [
        NOTE,
        f"# {rule.id}",
        "",
        f"**{rule.title}** · {rule.severity} · area {rule.area} · judged per {rule.subject}",
    ]
    lines += ["", "## Why", "", rule.rationale, "", "## How to comply", "", rule.remediation, ""]
    if rule.fix:
        lines += [
            "## Fix",
            "",
            "```yaml",
            *(f"{path}: {json.dumps(value)}" for path, value in rule.fix.items()),
            "```",
            "",
        ]
    if rule.parameters:
        lines += ["## Parameters", "", "| name | type | default | meaning |", "| --- | --- | --- | --- |"]
        for p in rule.parameters:
            meaning = " ".join(p.description.split()).replace("|", "\\|")
            lines.append(f"| `{p.name}` | {p.type} | `{json.dumps(p.default)}` | {meaning} |")
        lines.append("")
    if rule.expression:
        lines += ["## Expression", "", "```cel", rule.expression.strip(), "```", ""]
    if controls:
        lines += ["## Demanded by", ""]
        for baseline, control in controls:
            section = control.source.section or control.title
            clause = f"[{section}]({control.source.url})" if control.source.url else section
            lines.append(f"- {baseline} {control.id}: {control.source.document}, {clause}")
        lines.append("")
    if rule.references:
        lines += ["## References", ""]
        for catalogue, value in rule.references.items():
            if isinstance(value, dict):
                text = ", ".join(f"{version}: {identifier}" for version, identifier in value.items())
            else:
                text = ", ".join(value) if isinstance(value, list) else value
            lines.append(f"- {catalogue}: {text}")
        lines.append("")
    for example in rule.examples:
        given = f" with `{json.dumps(example.parameters)}`" if example.parameters else ""
        lines += [f"## Example that {example.outcome}{given}", "", "```yaml", example.text.rstrip(), "```", ""]
    return "\n".join(lines)


def rule_index(library: Library) -> str:
    lines = [
        NOTE,
        "# Rules",
        "",
        "| rule | area | severity | Pod Security Standards check |",
        "| --- | --- | --- | --- |",
    ]
    for rule in library.rules.values():
        pss = f"`{rule.references['pss']}`" if "pss" in rule.references else ""
        lines.append(f"| [{rule.id}]({rule.id}.md): {rule.title} | {rule.area} | {rule.severity} | {pss} |")
    return "\n".join([*lines, ""])


def baselines_page(library: Library) -> str:
    lines = [NOTE, "# Baselines and profiles", ""]
    for baseline in library.baselines.values():
        lines += [f"## Baseline {baseline.name}: {baseline.title}", "", baseline.description, ""]
        lines += ["| control | clause | rules |", "| --- | --- | --- |"]
        for control in baseline.controls:
            rules = ", ".join(f"[{use.rule}](rules/{use.rule}.md)" for use in control.rules)
            lines.append(
                f"| {control.id} {control.title} | {control.source.section or control.source.document} | {rules} |"
            )
        lines.append("")
    lines += ["## Profiles", "", "| profile | controls | Kubernetes | what it is |", "| --- | --- | --- | --- |"]
    for name in library.profile_names:
        profile = library.profile(name)
        about = " ".join(profile.description.split()) or profile.title
        lines.append(f"| `{name}` | {len(profile.controls)} | {profile.kubernetes_version} | {about} |")
    return "\n".join([*lines, ""])


def commands_page() -> str:
    lines = [NOTE, "# Commands", ""]
    context = click.Context(cli, info_name="kubeassay", max_content_width=100, terminal_width=100)
    lines += ["```text", cli.get_help(context), "```", ""]
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        assert command is not None
        inner = click.Context(command, info_name=name, parent=context, max_content_width=100, terminal_width=100)
        lines += [f"## kubeassay {name}", "", "```text", command.get_help(inner), "```", ""]
        for member, part in command.commands.items() if isinstance(command, click.Group) else ():
            of_member = click.Context(part, info_name=member, parent=inner, max_content_width=100, terminal_width=100)
            lines += [f"## kubeassay {name} {member}", "", "```text", part.get_help(of_member), "```", ""]
    return "\n".join(lines)


#: A block with examples that are run: in it stands what the commands print.
EXAMPLES = re.compile(r"```console\n(?P<commands>\$ .*?)```", re.DOTALL)


def printed(command: str, folder: Path) -> str:
    """What a command of a page prints, in a folder that has the examples."""
    done = subprocess.run(
        ["/bin/sh", "-c", f'"{sys.executable}" -m kubeassay.cli.main {command}'],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        env={**os.environ, "COLUMNS": "100"},
    )
    return done.stdout


def with_outputs(text: str) -> str:
    """The text of a page, with what the commands in its console blocks print."""

    def block(match: re.Match[str]) -> str:
        commands = re.findall(r"^\$ kubeassay (.*)$", match["commands"], re.MULTILINE)
        lines = [f"$ kubeassay {command}\n{printed(command, Path(folder))}" for command in commands]
        return f"```console\n{''.join(lines)}```" if lines else match[0]

    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(ROOT / "examples", Path(folder) / "examples")
        return EXAMPLES.sub(block, text)


def pages() -> Iterator[tuple[Path, str]]:
    library = Library()
    demanded: dict[str, list[tuple[str, Control]]] = {}
    for baseline in library.baselines.values():
        for control in baseline.controls:
            for use in control.rules:
                demanded.setdefault(use.rule, []).append((baseline.name, control))
    for rule in library.rules.values():
        yield ROOT / "docs" / "rules" / f"{rule.id}.md", rule_page(rule, demanded.get(rule.id, []))
    yield ROOT / "docs" / "rules" / "README.md", rule_index(library)
    yield ROOT / "docs" / "baselines.md", baselines_page(library)
    yield ROOT / "docs" / "commands.md", commands_page()
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        text = page.read_text("utf-8")
        if EXAMPLES.search(text):
            yield page, with_outputs(text)


def main() -> int:
    wanted = dict(pages())
    stale = set((ROOT / "docs" / "rules").glob("*.md")) - set(wanted)
    different = [path for path, text in wanted.items() if not path.is_file() or path.read_text("utf-8") != text]
    if "--check" in sys.argv[1:]:
        for path in sorted([*different, *stale]):
            print(f"{path.relative_to(ROOT)} is not what `make generate` writes")
        return 1 if different or stale else 0
    for path in stale:
        path.unlink()
    for path in different:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(wanted[path], encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
