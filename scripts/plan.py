"""Say what the data still lacks and what to write next, cheapest first: requests, records, intents, worlds.

\b
    python -m scripts.plan
    python -m scripts.plan --count 100 --json

Compares datasets/scenarios/ and the shipped positives with what lib/gaps.py wants. Exit code 1 when something lacks.
"""

import json
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

import click

from lib.cli import command, console, json_option, log, option, progress


@command(help=__doc__)
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@option("--scenarios", type=click.Path(path_type=Path), default="datasets/scenarios", help="Folder of the material.")
@option("--count", type=click.IntRange(min=1), default=20, help="How many to print.")
@json_option
@click.pass_context
def main(ctx, files, scenarios, count, as_json):
    material = import_module("lib.synth.material").load_material(scenarios)
    found = import_module("lib.gaps").find_gaps(
        material, count_rows(files or [Path("datasets/syngen_tools_sft.jsonl")])
    )
    if as_json:
        click.echo(json.dumps([asdict(gap) for gap in found], ensure_ascii=False, indent=1))
    else:
        show(found, count)
    ctx.exit(1 if found else 0)


def count_rows(files):
    """The coverage of some files."""
    chat, jsonl = import_module("lib.chat"), import_module("lib.jsonl")
    coverage = import_module("lib.coverage").Coverage(import_module("lib.toolset").load_toolset())
    for path in files:
        for _, row in progress(jsonl.read_rows(path), desc=str(path), unit="row"):
            coverage.add(chat.example_from_row(row)[0])
    return coverage


def show(found, count: int) -> None:
    """The cheapest gaps as a table, the total on stderr."""
    from rich.table import Table

    table = Table("minutes", "file", "what to write", "have", "want", box=None, pad_edge=False)
    for gap in found[:count]:
        table.add_row(str(gap.minutes), gap.file, gap.what, str(gap.have), str(gap.want))
    console(120).print(table)
    log(f"{len(found)} gaps, about {sum(gap.minutes for gap in found) / 60:.0f} hours of writing")


if __name__ == "__main__":
    main()
