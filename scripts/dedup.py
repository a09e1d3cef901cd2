"""Leave out the rows of a file that say what an earlier row says: in the same words, or nearly so.

\b
    python -m scripts.dedup my.jsonl --out build/different.jsonl
    python -m scripts.dedup my.jsonl --out build/different.jsonl --jaccard 0.8
    python -m scripts.dedup my.jsonl --out my.jsonl --force --jaccard 1 --json

Rows are compared as whole conversations: label, words, calls and results; not the session and workspace that a context
names, nor case and spacing of words, nor the form of the row. Nearly the same: word 3-grams of this Jaccard or more,
found by MinHash (a pair at the very threshold with a chance of .95 or more). The first row stays. OUT.left_out.jsonl
lists the others: line, why, which line stays, how alike. Rows stay on disk: 8 bytes of each are in memory, and beside
OUT some 140 bytes of each while this runs. Exit code 0 whether or not rows were left out.
"""

import json
import tempfile
from pathlib import Path

import click

from lib.cli import command, json_option, log, option, workers_option


@command(help=__doc__)
@click.argument("data", type=click.Path(path_type=Path))
@option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="File to write.")
@option("--jaccard", type=click.FloatRange(0.3, 1), default=0.9, help="Likeness to leave out; 1: equal rows only.")
@option("--force", is_flag=True, help="Allow OUT to be DATA.")
@workers_option
@json_option
def main(data, out, jaccard, force, workers, as_json):
    from lib.chunks import fitting_workers
    from lib.dedup import find_duplicates, write_kept
    from lib.jsonl import open_lines, refuse_overwriting

    open_lines(data).close()
    refuse_overwriting(data, out, force)
    out.parent.mkdir(parents=True, exist_ok=True)
    left_out = out.with_suffix(".left_out.jsonl")
    with tempfile.TemporaryDirectory(prefix=".dedup-", dir=out.parent) as folder:
        found = find_duplicates(data, jaccard, Path(folder), workers or fitting_workers([data]))
        counts = write_kept(found, out, left_out)
    for entry, _ in zip(found.left_out(), range(5), strict=False):
        log(f"{data}:{entry['line']}: {entry['why']} as line {entry['as']} ({entry['likeness']:g})")
    if as_json:
        click.echo(json.dumps({"data": str(data), "out": str(out), "left_out": str(left_out), **counts}, indent=1))
    else:
        click.echo(
            f"{out}: {counts['kept']} of {counts['rows']} rows; left out: {counts['same']} say the same as an earlier "
            f"row, {counts['alike']} nearly the same (Jaccard {jaccard:g} and more)"
        )
        log(f"Line by line: {left_out}")


if __name__ == "__main__":
    main()
