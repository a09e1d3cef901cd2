"""Measure a run's GGUF files: size, load time, tokens a second, and with its evaluations which quant to take, and why.

\b
    python -m scripts.bench_gguf                                  # the newest finished run
    python -m scripts.bench_gguf --run runs/20251122_110000-kto-tiny --rounds 5

Writes quants.md and quants.html beside the files. Pass rates come from `make ladder`, KL and tops from `make gguf`.
"""

import importlib

import click

from lib.cli import command, console, log, option


@command(help=__doc__)
@click.option("--run", "run_name", help="A finished run. Default: the newest.")
@option("--rounds", type=click.IntRange(min=1), default=3, help="Servers started for each file; medians are shown.")
def main(run_name, rounds):
    quants = importlib.import_module("evaluator.quants")
    speed = importlib.import_module("lib.gguf_speed")
    jsonl = importlib.import_module("lib.jsonl")
    reports = importlib.import_module("evaluator.reports")
    run = importlib.import_module("lib.runs").finished_run(run_name)
    rows = quants.quants_of(run)
    for number, row in enumerate(rows, start=1):
        log(f"Measuring {row['path'].name} ({number} of {len(rows)}).")
        row |= speed.measure(row["path"], rounds)
    rows = quants.judged(rows)
    _, why = quants.choice(rows)
    jsonl.write_text(run / "gguf" / "quants.md", quants.markdown(rows, why))
    jsonl.write_text(run / "gguf" / "quants.html", quants.page(run, rows, why))
    console().print(reports.console_table(f"Quants of {run.name}", quants.HEAD, quants.table_rows(rows)))
    click.echo(why)
    log(f"Written: {run}/gguf/quants.md, {run}/gguf/quants.html")


if __name__ == "__main__":
    main()
