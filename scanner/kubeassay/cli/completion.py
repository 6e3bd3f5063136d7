"""``kubeassay completion``"""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> int:
    """Print the completion script of a shell.

    For bash: eval "$(kubeassay completion bash)"
    """
    from kubeassay.cli.main import cli

    completion_class = get_completion_class(shell)
    assert completion_class is not None
    click.echo(completion_class(cli, {}, "kubeassay", "_KUBEASSAY_COMPLETE").source())
    return 0
