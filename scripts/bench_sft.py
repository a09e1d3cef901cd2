"""Compare our SFT on the CPU with a plain TRL script, and with a tuned one: same rows, LoRA and batch size.

Each leg is a process of its own; the legs alternate. Plain TRL runs as its documentation shows, with the system's
allocator settings; the tuned script has bf16 weights, no checkpointing and our allocator settings.

\b
    python -m scripts.bench_sft
    python -m scripts.bench_sft --rows 96 --rounds 3
"""

import json
import os
import statistics
import subprocess
import sys

import click

from lib.cli import command, log, option
from lib.errors import CannotRun

ALLOCATOR = {
    "MALLOC_MMAP_THRESHOLD_": "4294967296",
    "MALLOC_TRIM_THRESHOLD_": "17179869184",
    "MALLOC_TOP_PAD_": "268435456",
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1:glibc.malloc.mxfast=0:glibc.malloc.tcache_max=32",
}  # as configs/platforms/cpu.mk sets them
TARGET = 3.0  # times plain TRL
LEGS = ("plain", "ours", "tuned")


def leg(kind: str, data: str, rows: int) -> dict:
    """The figures of one training in a fresh process."""
    environment = {name: value for name, value in os.environ.items() if name not in ALLOCATOR}
    if kind != "plain":
        environment |= ALLOCATOR
    line = [sys.executable, "-m", "lib.bench_torch", kind, data, str(rows)]
    done = subprocess.run(line, capture_output=True, text=True, env=environment)
    if done.returncode != 0:
        raise CannotRun(f"the {kind} leg failed: {done.stderr.strip().splitlines()[-1]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


@command(help=__doc__)
@option("--data", default="datasets/syngen_tools_sft.jsonl", help="Rows to train on, and 64 more to measure the loss.")
@option("--rows", type=click.IntRange(min=32), default=64, help="Rows to train on.")
@option("--rounds", type=click.IntRange(min=1), default=2, help="How often each leg runs.")
@click.pass_context
def main(ctx, data, rows, rounds):
    log(f"load average before: {os.getloadavg()[0]:.2f}")
    found = {kind: [] for kind in LEGS}
    for number in range(rounds):
        for kind in LEGS:
            figures = leg(kind, data, rows)
            found[kind].append(figures)
            log(f"round {number + 1}: {figures}")
    speeds = {kind: statistics.median(f["tokens_per_s"] for f in found[kind]) for kind in LEGS}
    click.echo(f"{'leg':<8}{'tokens/s':>10}{'eval loss':>11}")
    for kind in LEGS:
        click.echo(f"{kind:<8}{speeds[kind]:>10.1f}{statistics.median(f['eval_loss'] for f in found[kind]):>11.4f}")
    ratio = speeds["ours"] / speeds["plain"]
    click.echo(f"ours/plain {ratio:.2f} (target {TARGET:g}), ours/tuned {speeds['ours'] / speeds['tuned']:.2f}")
    ctx.exit(0 if ratio >= TARGET else 1)


if __name__ == "__main__":
    main()
