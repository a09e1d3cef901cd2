"""Compare trainings in one table: steps, losses, KL, speed and memory, and which settings are not the same.

\b
    python -m scripts.compare_runs runs/20261122_101500-sft-tiny runs/20261122_111500-sft-tiny
    python -m scripts.compare_runs                      # the newest runs, up to eight
"""

import json
from pathlib import Path

import click

from lib.cli import command, console, json_option
from lib.errors import CannotRun

MOST = 8


@command(help=__doc__)
@click.argument("places", nargs=-1, metavar="[RUN]...", type=click.Path(path_type=Path))
@json_option
def main(places, as_json):
    from lib import run_figures, runs

    places = list(places) or sorted(path.parent for path in runs.RUNS.glob("*/config.yaml"))[-MOST:]
    if not places:
        raise CannotRun(f"there is no run in {runs.RUNS}/ yet. Make one: make sft.")
    found = [run_figures.read_run(place) for place in places]
    figures = [run_figures.figures(run) for run in found]
    settings = [run_figures.settings_of(run) for run in found]
    apart = run_figures.differing(settings)
    if as_json:
        both = zip(found, figures, settings, strict=True)
        rows = [
            {"run": run.name, "figures": f, "settings": {name: s.get(name) for name in apart}} for run, f, s in both
        ]
        click.echo(json.dumps(rows, ensure_ascii=False, indent=1))
        return
    show("figure", [run.name for run in found], figures)
    if apart:
        show("differs", [run.name for run in found], [{name: s.get(name, "") for name in apart} for s in settings])


def show(head, names, columns):
    """A table with a column a run."""
    from rich.table import Table

    table = Table(head, *names)
    for row in dict.fromkeys(name for column in columns for name in column):
        table.add_row(row, *(column.get(row, "–") for column in columns))
    console(30 + 30 * len(names)).print(table)  # a run's name takes as much


if __name__ == "__main__":
    main()
