"""The command ``kubeassay`` (and ``kubectl assay``)."""

from __future__ import annotations

import gc
import io
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from keyword import iskeyword
from pathlib import Path
from typing import Any, TextIO

import click

from kubeassay import __version__
from kubeassay.cli.exits import USAGE
from kubeassay.reporting.texts import inert, printable, printable_lines

#: Command → the module that defines it, and its one-line help: a module is imported only for its own command.
_COMMANDS = {
    "scan": ("kubeassay.cli.scan", "Judge manifests by a profile."),
    "fix": ("kubeassay.cli.fix", "Apply the fixes of findings to manifests."),
    "audit": ("kubeassay.cli.audit", "Judge a running cluster by a profile."),
    "snapshot": ("kubeassay.cli.audit", "Store what an audit reads of a cluster, to judge it later."),
    "fleet": ("kubeassay.cli.fleet", "Audit many clusters and repositories."),
    "rights": ("kubeassay.cli.rights", "Print the ClusterRole that an audit of a cluster needs."),
    "reach": ("kubeassay.cli.reach", "Say who reaches whom, by all network policies together."),
    "mesh": ("kubeassay.cli.mesh", "Say who is in the mesh, what it encrypts, and who may call whom."),
    "can": ("kubeassay.cli.can", "Say whether a subject may do something, and why."),
    "who-can": ("kubeassay.cli.who_can", "Say who may do something, and why."),
    "suggest": ("kubeassay.cli.suggest", "Suggest the least role that allows what a role was used for."),
    "escalations": ("kubeassay.cli.escalations", "Say who can become cluster-admin or root on a node, and how."),
    "quota": ("kubeassay.cli.quota", "Say what each namespace needs of its quotas, and what is left."),
    "rules": ("kubeassay.cli.rules", "List the rules."),
    "explain": ("kubeassay.cli.explain", "Explain a rule: what it demands, why, and how to comply."),
    "baseline": ("kubeassay.cli.baseline", "Make a baseline of an architecture document."),
    "baselines": ("kubeassay.cli.baselines", "List the baselines and profiles, or the controls of one."),
    "compare": ("kubeassay.cli.compare", "Say what is new, fixed and unchanged between two JSON results."),
    "except": ("kubeassay.cli.except_", "Accept findings: add exceptions to a file."),
    "report": ("kubeassay.cli.report", "Render a JSON result in another format."),
    "completion": ("kubeassay.cli.completion", "Print the completion script of a shell."),
}


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        name = cmd_name.replace("-", "_")
        command = getattr(import_module(_COMMANDS[cmd_name][0]), f"{name}_" if iskeyword(name) else name)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and args[0] not in _COMMANDS:
            from kubeassay.policy.library import suggestion

            raise click.UsageError(f"No such command '{args[0]}'{suggestion(args[0], _COMMANDS)}.", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="kubeassay")
def cli() -> None:
    """A policy-as-code compliance scanner for Kubernetes.

    It loads documented baselines, evaluates them against manifests, and says, with the exact line and the clause of
    the document, what does not comply, what does, and what could not be judged.
    """


def _nowhere() -> TextIO:
    return Path(os.devnull).open("w", encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave the process with its exit code."""
    # Closed by whoever started it.
    sys.stdout = sys.stdout or _nowhere()
    sys.stderr = sys.stderr or _nowhere()
    for stream in (sys.stdout, sys.stderr):
        # What a terminal's encoding lacks is shown as its code, not as a traceback.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        # The shell's completion script calls the program with this variable set; click answers only in this mode.
        standalone = "_KUBEASSAY_COMPLETE" in os.environ
        code: Any = cli.main(
            prog_name="kubeassay",
            complete_var="_KUBEASSAY_COMPLETE",
            args=list(arguments) if arguments is not None else None,
            standalone_mode=standalone,
        )
    except click.exceptions.Exit as exit_:
        code = exit_.exit_code
    except click.ClickException as error:
        # It may quote what a file or a server says.
        said = io.StringIO()
        error.show(said)
        click.echo("\n".join(map(inert, printable_lines(said.getvalue()).split("\n"))), nl=False, err=True)
        code = USAGE
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted.", err=True)
        code = 130
    except BrokenPipeError:
        # The reader of our output (head, less) has gone: nothing more to say, and nothing to flush.
        sys.stderr.close()
        code = 141
    except OSError as error:
        # What a command reads or writes by name it tells by itself: this is the output, on a full disk perhaps. What
        # is left of it would be tried again at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        click.echo(printable(f"Error: {error.filename or 'standard output'}: {error.strerror or error}"), err=True)
        code = USAGE
    # The interpreter would walk all that there is once more, to free what the end of the process frees.
    gc.freeze()
    sys.exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    main()
