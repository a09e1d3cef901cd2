"""Measure the datasets against the quality gates of configs/gates.yaml: variety, coverage, label leaks, order, proofs.

\b
    python -m scripts.gates
    python -m scripts.gates --page build/gates
    python -m scripts.gates --kto my_pairs.jsonl --json

Without --sft and --kto both shipped sets are measured. Proofs are read from the .proof.jsonl beside a
file. Exit code 1 when a gate fails; what makes it fail is printed below the table.
"""

import json
from pathlib import Path

import click

from lib.cli import command, console, json_option, log, progress

SFT, KTO = Path("datasets/syngen_tools_sft.jsonl"), Path("datasets/syngen_tools_kto.jsonl")


@command(help=__doc__)
@click.option("--sft", type=click.Path(path_type=Path), help="A set of good answers; rows labelled false are left out.")
@click.option("--kto", type=click.Path(path_type=Path), help="A set with both labels.")
@json_option
@click.option("--page", type=click.Path(path_type=Path), help="Folder for gates.md and gates.html.")
@click.pass_context
def main(ctx, sft, kto, as_json, page):
    if not sft and not kto:
        sft, kto = SFT, KTO
    sheets = ([sft_sheet(sft)] if sft else []) + ([kto_sheet(kto)] if kto else [])
    if page:
        write_page(sheets, page)
    if as_json:
        click.echo(json.dumps([to_dict(sheet) for sheet in sheets], ensure_ascii=False, indent=1))
    else:
        for sheet in sheets:
            print_sheet(sheet)
    ctx.exit(1 if any(sheet.failed for sheet in sheets) else 0)


def sft_sheet(path):
    """The set of good answers, judged."""
    from lib.gates import judge, load_dataset, load_gates
    from lib.gates_page import Sheet, sft_charts
    from lib.sft_figures import measure_sft
    from lib.toolset import load_toolset

    gates, data, toolset = load_gates()["sft"], load_dataset(path, reading(path)), load_toolset()
    verdicts = judge(gates, measure_sft(data, toolset))
    return Sheet("Good answers", str(path), len(data.rows), tuple(verdicts), sft_charts(data, toolset, gates))


def kto_sheet(path):
    """The KTO set, judged."""
    from lib.gates import judge, load_dataset, load_gates
    from lib.gates_page import Sheet, feature_table, kto_charts
    from lib.kto_figures import measure_kto
    from lib.toolset import load_toolset

    data = load_dataset(path, reading(path))
    figures, shapes = measure_kto(data, load_toolset())
    verdicts = tuple(judge(load_gates()["kto"], figures))
    return Sheet("KTO", str(path), len(data.rows), verdicts, kto_charts(shapes), feature_table(shapes))


def reading(path):
    """A progress bar for a file."""
    return lambda rows: progress(rows, desc=path.name, unit="row")


def write_page(sheets, folder):
    from lib.gates_page import html, markdown
    from lib.jsonl import write_text

    write_text(folder / "gates.md", markdown(sheets))
    write_text(folder / "gates.html", html(sheets))
    log(f"Wrote {folder / 'gates.md'} and {folder / 'gates.html'}")


def to_dict(sheet):
    gates = [verdict.to_dict() for verdict in sheet.verdicts]
    features = [{"feature": name, "auc": auc, "best_rule": rule} for name, auc, rule in sheet.features]
    return {"path": sheet.path, "rows": sheet.rows, "failed": len(sheet.failed), "gates": gates, "features": features}


def print_sheet(sheet):
    """The table on stdout, then the failing gates with their causes."""
    from rich.table import Table

    from lib.gates_page import HEADINGS, cells

    table = Table(*HEADINGS, box=None, pad_edge=False)
    for verdict in sheet.verdicts:
        table.add_row(*cells(verdict), style="red" if verdict.passes is False else "")
    click.echo(f"\n{sheet.summary}\n")
    console(markup=False).print(table)
    if sheet.features:
        told = (f"{name} {auc:.3f}" for name, auc, _ in sheet.features[:8])
        click.echo(f"\nmost telling features, AUC: {', '.join(told)}")
    for verdict in sheet.failed:
        click.echo(f"\n{verdict.gate.what}:")
        for cause in verdict.figure.causes[:8]:
            click.echo(f"  {cause}")


if __name__ == "__main__":
    main()
