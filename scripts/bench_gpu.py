"""Measure SFT and KTO steps of a 7B-shaped random model on one GPU: ours, ours with unsloth, plain trl, plain unsloth.

\b
    python -m scripts.bench_gpu
    python -m scripts.bench_gpu --bits 4 --steps 10 --length 1024 --json
    python -m scripts.bench_gpu --small            # a model of two layers, to try the bench itself in a minute

Each leg is a process of its own. MFU is useful work (see lib/bench_gpu_torch.py) over this card's own best matrix
product. Without a GPU there is nothing to measure: exit 0 with a sentence, so that `make bench` goes on.
"""

import json
import subprocess
import sys
from pathlib import Path

import click

from lib.cli import command, json_option, log, option
from lib.errors import CannotRun

LEGS = ("ours", "ours-unsloth", "trl", "unsloth")


@command(help=__doc__)
@option("--leg", "legs", type=click.Choice(LEGS), multiple=True, default=LEGS, help="What to measure.")
@option("--method", "methods", type=click.Choice(["sft", "kto"]), multiple=True, default=("sft", "kto"))
@option("--bits", type=click.Choice(["4", "16"]), multiple=True, default=("4", "16"), help="Of the base weights.")
@option("--steps", type=click.IntRange(min=1), default=10, help="Timed steps of a leg.")
@option("--length", type=click.IntRange(min=64), default=1024, help="Tokens a row; a micro-batch has two rows.")
@option("--folder", type=click.Path(path_type=Path), default="build/bench-gpu", help="Where the model is kept (15 GB).")
@click.option("--small", is_flag=True, help="Two layers of the same widths.")
@json_option
def main(legs, methods, bits, steps, length, folder, small, as_json):
    from lib.needs import output_of

    card = output_of("nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader")
    if not card:
        log("No NVIDIA GPU here; nothing was measured. On one: make setup PLATFORM=cuda, then this command.")
        return
    model = prepare_model(folder.with_name(f"{folder.name}-small") if small else folder, small)
    peak = part("peak")["tflops"]
    log(f"{card.splitlines()[0]}: {peak:.0f} TFLOP/s in bf16 products")
    found = [
        leg_figures(leg, method, int(width), steps, length, model)
        for method in methods
        for width in bits
        for leg in legs
    ]
    found = [one | {"mfu": round(one["tflops"] / peak, 3)} if "tflops" in one else one for one in found]
    click.echo(json.dumps({"card": card, "matmul_tflops": round(peak, 1), "legs": found}) if as_json else table(found))


def part(*values):
    """The JSON that one process of lib/bench_gpu_torch.py prints; CannotRun with its last words when it fails."""
    line = [sys.executable, "-m", "lib.bench_gpu_torch", *map(str, values)]
    done = subprocess.run(line, capture_output=True, text=True)
    if done.returncode != 0:
        raise CannotRun((done.stderr.strip().splitlines() or ["no message"])[-1][:300])
    return json.loads(done.stdout.strip().splitlines()[-1])


def prepare_model(folder, small):
    """The folder of the random model with a fresh adapter for KTO, written once."""
    from lib.disk import require_free

    if not (folder / "adapter/adapter_config.json").is_file():
        require_free(folder, 2_000_000_000 if small else 16_000_000_000, "the random model")
        log(f"Writing a random model into {folder}.")
        folder.mkdir(parents=True, exist_ok=True)
        part("model", folder, 2 if small else 32)
    return folder


def leg_figures(leg, method, bits, steps, length, model):
    """The figures of one leg, or {"leg", "method", "bits", "error"} when it failed (out of memory, not installed)."""
    try:
        figures = part(leg, method, bits, steps, length, model)
    except CannotRun as error:
        figures = {"leg": leg, "method": method, "bits": bits, "error": error.message}
    log(str(figures))
    return figures


def table(found):
    """A Markdown table, ready for the README."""
    lines = [
        "| method | bits | leg | tokens/s | MFU | peak GB | make fit | loss |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for one in found:
        if "error" in one:
            lines.append(f"| {one['method']} | {one['bits']} | {one['leg']} | failed: {one['error'][:80]} | | | | |")
        else:
            cells = (one["tokens_per_s"], f"{one['mfu']:.1%}", one["peak_gb"], one["forecast_gb"], one["loss"])
            lines.append(f"| {one['method']} | {one['bits']} | {one['leg']} | {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
