"""``kubeassay report``"""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from pathlib import Path

import click

from kubeassay.cli.history import newest
from kubeassay.cli.outputs import details_options, parse_outputs, write_reports
from kubeassay.reporting import FORMATS, RenderOptions
from kubeassay.reporting.result_json import from_json
from kubeassay.reporting.texts import printable
from kubeassay.sources.files import UsageError


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("file", metavar="RESULT.json")
@click.option("--format", "-f", "format_name", type=click.Choice(list(FORMATS)), default="terminal", show_default=True)
@click.option(
    "--output",
    "-o",
    "outputs",
    multiple=True,
    metavar="FORMAT=PATH",
    help="Write to a file instead (-: standard output). Repeats.",
)
@click.option("--sarif-category", metavar="TEXT", help="GitHub's category of the analysis.")
@click.option("--sarif-split", is_flag=True, help="Write several SARIF files when one would exceed GitHub's limit.")
@details_options
@click.option(
    "--allow-incomplete", is_flag=True, help="Tell what was not judged, but not as a failure (junit, github)."
)
@click.option(
    "--compare", "earlier", metavar="RESULT.json", help="Show what is new, fixed and unchanged since then (html)."
)
@click.option("--quiet", "-q", is_flag=True, help="Print the summary only.")
@click.pass_context
def report(
    ctx: click.Context,
    file: str,
    format_name: str,
    outputs: tuple[str, ...],
    sarif_category: str | None,
    sarif_split: bool,
    timestamp: int | None,
    link_base: str,
    allow_incomplete: bool,
    earlier: str | None,
    quiet: bool,
) -> int:
    """Render the JSON result of an earlier scan in another format (- for standard input).

    Of a folder that audit --history writes to, the newest result.
    """
    try:
        if file != "-" and Path(file).is_dir():
            file = str(newest(Path(file)))
        content = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        result = from_json(content)
    except UsageError as error:
        raise click.UsageError(str(error), ctx) from None
    except OSError as error:
        raise click.UsageError(f"{file}: cannot be read: {error.strerror}", ctx) from None
    except ValueError as error:
        raise click.UsageError(f"{file}: is not a result of kubeassay: {error}", ctx) from None
    if earlier is not None:
        # Imported here: few reports are compared.
        from kubeassay.cli.judging import of_another_target, read_result
        from kubeassay.engine.comparison import compare

        try:
            previous = read_result(earlier, f"--compare {earlier}")
        except UsageError as error:
            raise click.UsageError(str(error), ctx) from None
        for line in of_another_target(previous, result, earlier):
            click.echo(printable(line), err=True)
        result = replace(result, comparison=compare(previous, result))
    write_reports(
        result,
        format_name,
        parse_outputs(outputs),
        RenderOptions(
            colour=sys.stdout.isatty(),
            width=shutil.get_terminal_size((100, 24)).columns,
            quiet=quiet,
            show=frozenset({"fail", "excepted", "pass", "not-evaluated"}),
            sarif_category=sarif_category,
            sarif_split=sarif_split,
            time=timestamp,
            link_base=link_base,
            allow_incomplete=allow_incomplete,
            pictures=True,
        ),
    )
    return 0
