"""Set evaluations side by side: one row each, in the given order.

\b
    python -m evaluator.compare runs/*/eval/*/results.json
    python -m evaluator.compare build/eval/base-native build/eval/sft-native --markdown
"""

from pathlib import Path

import click

from lib.cli import command, log


@command(help=__doc__)
@click.argument("results", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--markdown", is_flag=True, help="Write the table as Markdown.")
def main(results, markdown):
    """Prints the table; what makes the rows hard to compare goes to stderr."""
    from rich.console import Console

    from evaluator.reports import differing_settings, ladder_table

    for warning in differing_settings(list(results)):
        log(f"Warning: {warning}")
    table, text = ladder_table(list(results))
    if markdown:
        click.echo(text)
    else:
        Console(highlight=False).print(table)


if __name__ == "__main__":
    main(prog_name="python -m evaluator.compare")
