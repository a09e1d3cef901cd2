"""Put a labelled file into KTO order: True and False in turn, rows of one prompt more than 32 rows apart.

\b
    python -m scripts.interleave my.jsonl --out build/interleaved.jsonl
    python -m scripts.interleave my.jsonl --out my.jsonl --force
    python -m scripts.interleave my.jsonl --out build/interleaved.jsonl --json

Rows of either form; their lines are copied byte by byte. No KL partner then shares a prompt at batch sizes 2, 4, 8, 16
and 24. Rows that find no place are counted on stderr with the reason, followed by advice on label weights, learning
rate and beta (sources: python -m pydoc lib.kto_advice). Rows are not held in memory, only some 90 bytes of each. Exit
2, and nothing written, when a row has no true or false label.
"""

import json
from array import array
from pathlib import Path

import click

from lib.cli import command, json_option, log, option, progress, workers_option
from lib.errors import CannotRun

REASONS = {
    "surplus": "there are more rows of this label than of the other",
    "crowded": "other rows of the same prompt stand too near every place",
}


@command(help=__doc__)
@click.argument("data", type=click.Path(path_type=Path))
@option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="File to write.")
@option("--force", is_flag=True, help="Allow OUT to be DATA.")
@workers_option
@json_option
def main(data, out, force, workers, as_json):
    from lib.chunks import fitting_workers
    from lib.interleaving import arrange
    from lib.jsonl import open_lines, refuse_overwriting
    from lib.kto_advice import advise
    from lib.labelled_file import copy_rows, read_labelled

    open_lines(data).close()
    refuse_overwriting(data, out, force)
    with progress(total=data.stat().st_size, desc=str(data), unit="B") as bar:
        source = read_labelled(data, bar.update, workers or fitting_workers([data]))
    if not all(source.counts().values()):
        raise CannotRun(f"{data}: every row has the same label. KTO needs rows labelled true and rows labelled false.")
    order = arrange(source.labels, source.prompts)
    report = {"data": str(data), "out": str(out), **order_report(source, order)}
    with progress(total=sum(source.sizes), desc=str(out), unit="B") as bar:
        copy_rows(source, order, out, bar.update)
    for line in summary(report):
        log(line)
    if as_json:
        advice = {"data": advise(**source.counts()), "out": advise(**source.counts(order))}
        report["left_over_lines"] = list(report["left_over_lines"])
        click.echo(json.dumps(report | {"advice": advice}, indent=1))


def order_report(source, order) -> dict:
    """Counts of rows in, out and left over with the reason, and what the checks of the order found."""
    from lib.interleaving import BATCH_SIZES, close_pairs, room_for, shared_prompt_partners

    placed = bytearray(len(source.labels))
    for row in order:
        placed[row] = True
    rows, written, room = source.counts(), source.counts(order), room_for(source.labels)
    surplus = {"true": rows["true"] - room[True], "false": rows["false"] - room[False]}
    clashes = shared_prompt_partners(order, source.prompts.__getitem__)
    return {
        "rows": rows,
        "written": written,
        "left_over": {
            "surplus": surplus,
            "crowded": {label: rows[label] - written[label] - surplus[label] for label in rows},
        },
        "left_over_lines": array("q", (line for row, line in enumerate(source.lines) if not placed[row])),
        "alternates": all(source.labels[row] == (place % 2 == 0) for place, row in enumerate(order)),
        "close_pairs": len(close_pairs(order, lambda row: (source.prompts[row],))),
        "shared_prompt_partners": {size: sum(found == size for found, _ in clashes) for size in BATCH_SIZES},
        "last_row_alone": [size for size in BATCH_SIZES if len(order) % size == 1],
    }


def summary(report):
    """The report for people, line by line."""
    from lib.kto_advice import sentences

    rows, written, lines = report["rows"], report["written"], report["left_over_lines"]
    yield f"{report['out']}: {sum(written.values())} rows, True and False in turn"
    for why, found in report["left_over"].items():
        if any(found.values()):
            yield f"left over: {found['true']} true, {found['false']} false: {REASONS[why]}"
    if lines:
        yield f"left-over lines: {', '.join(map(str, lines[:10]))}{', ... (--json lists all)' if lines[10:] else ''}"
    if alone := ", ".join(map(str, report["last_row_alone"])):
        yield f"at batch size {alone} the last row stands alone: TRL pairs it with itself, `make kto` leaves none alone"
    yield from sentences(**written)
    if rows != written:
        yield "if you train on the whole file instead:"
        yield from sentences(**rows)[:-2]


if __name__ == "__main__":
    main()
