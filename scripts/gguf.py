"""Write a model as GGUF: f16 and quants; Ollama's Modelfile and LM Studio's folder.

Each file is loaded and generates; a quant's predictions are compared with those of f16; and what will be served is
compared with what was trained, token by token: exit 1 when it differs.

\b
    python -m scripts.gguf                       # the newest finished run
    python -m scripts.gguf --run runs/20251122_101500-kto-tiny --quants "Q4_K_M Q8_0"
    python -m scripts.gguf --base --size tiny    # the untrained base, to compare with
"""

import importlib
import json
from pathlib import Path

import click

from lib.cli import command, json_option, log, option


@command(help=__doc__)
@click.option("--run", "run_name", help="A finished run. Default: it asks at a terminal, else the newest.")
@click.option("--base", is_flag=True, help="Export the untrained base of --size instead of a run.")
@option("--size", default="tiny", help="Whose base, with --base.")
@option("--platform", default="cpu", help="Whose base, with --base: cuda, mlx or cpu.")
@option("--tools-in-prompt", default="none", help="Which template, with --base: none, names or full.")
@option("--quants", default="Q4_K_M Q5_K_M Q8_0", help="llama.cpp types, separated by blanks; f16 is always made.")
@click.option("--imatrix", is_flag=True, envvar="IMATRIX", help="Weigh by an importance matrix of the training rows.")
@json_option
def main(run_name, base, size, platform, tools_in_prompt, quants, imatrix, as_json):
    gguf = importlib.import_module("lib.gguf")
    source = importlib.import_module("lib.gguf_source")
    run = None if base else chosen_run(run_name)
    kinds = gguf.check_quants(quants.replace(",", " ").split())  # before a base is fetched
    job, make_source = source.of_base(size, platform, tools_in_prompt) if base else source.of_run(run)
    rows = gguf.export(job, kinds, make_source, imatrix)
    if as_json:
        click.echo(json.dumps({"name": job.name, "folder": str(job.out), "files": rows}, indent=1))
        return
    show(job.out, rows)
    report = gguf.read_manifest(job).get("parity")
    for line in importlib.import_module("lib.parity").lines(report) if report else ():
        click.echo(f"parity: {line}")
    desktop = importlib.import_module("lib.desktop")
    log(f"Ollama:    {desktop.load_ollama(job.name, job.out)}")
    log(f"LM Studio: {desktop.load_lm_studio(job.name, job.out)}")
    log("llama.cpp: make serve " + (f"MODEL={rows[-1]['path']}" if base else f"RUN={job.out.parent}"))


def chosen_run(name: str | None) -> Path:
    """The named run; picked from a list where there are several and somebody can be asked, else the newest."""
    asking = importlib.import_module("lib.asking")
    if name or not asking.may_ask() or len(asking.finished_runs()) < 2:
        return importlib.import_module("lib.runs").finished_run(name)
    return asking.ask_run(importlib.import_module("evaluator.scores").in_short)


def show(folder: Path, rows: list[dict]) -> None:
    """The files as a table on stdout."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    divergence = importlib.import_module("lib.divergence")
    heads = ("type", "MB", "of f16", "KL", "same top token", "")
    table = Table(*heads, box=box.SIMPLE_HEAD, title=str(folder))
    for row in rows:
        share = f"{100 * row['bytes'] / rows[0]['bytes']:.0f} %"
        state = "made, proved" if row["made"] else "kept"
        near = (divergence.shown(row), f"{100 * row['top']:.1f} %") if "kl" in row else ("", "")
        table.add_row(row["type"], f"{row['bytes'] / 1e6:.0f}", share, *near, state)
    Console().print(table)


if __name__ == "__main__":
    main()
