"""Compare our SFT on the CPU with a plain TRL script, and with a tuned one: same rows, LoRA and batch size.

Each leg is a process of its own; the legs alternate. Plain TRL runs as its documentation shows, with the system's
allocator settings; the tuned script has bf16 weights, no checkpointing and our allocator settings. `packed` is ours
with `packing` on. Tokens a second count no padding; the loss is that of 64 held-out rows after the same epoch.

\b
    python -m scripts.bench_sft
    python -m scripts.bench_sft --rows 96 --rounds 3
"""

import click

from lib.bench import compared, run_legs, table
from lib.cli import command, option

TARGETS = {"plain": 5.0, "tuned": 2.0}  # times as fast
NOISE = 0.03  # nats: other batches of the same rows move the loss of 16 steps as far
LEGS = ("plain", "ours", "tuned", "packed")


@command(help=__doc__)
@option("--rows", type=click.IntRange(min=32), default=64, help="Rows to train on; 64 more measure the loss.")
@option("--rounds", type=click.IntRange(min=1), default=2, help="How often each leg runs.")
@click.pass_context
def main(ctx, rows, rounds):
    found = run_legs("lib.bench_sft_torch", LEGS, rounds, "datasets/syngen_tools_sft.jsonl", rows)
    lines, met = compared(found, TARGETS, NOISE)
    for line in table(found, {"tokens_per_s": ".1f", "eval_loss": ".4f"}) + lines:
        click.echo(line)
    ctx.exit(0 if met else 1)


if __name__ == "__main__":
    main()
