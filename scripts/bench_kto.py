"""Compare our KTO on the CPU with a plain TRL script, and with a tuned one: same rows, LoRA, batch size and beta.

Each leg is a process of its own; the legs alternate. Plain TRL runs as its documentation shows, with the system's
allocator settings; the tuned script has precomputed reference log-probabilities, bf16 weights, no checkpointing and our
allocator settings. Ours shares the prompt between a row's two completions. All start from a fresh adapter. Tokens a
second count the rows' own tokens without padding, over the reference pass and one epoch; `later_epochs` leaves the
reference pass out. Loss and margin are those of 32 held-out rows afterwards, computed alike for every leg.

\b
    python -m scripts.bench_kto
    python -m scripts.bench_kto --rows 96 --rounds 3
"""

import click

from lib.bench import compared, run_legs, table
from lib.cli import command, option

TARGETS = {"plain": 4.0, "tuned": 1.8}  # times as fast
NOISE = 0.02  # of a loss between 0 and 1
LEGS = ("plain", "ours", "tuned")
COLUMNS = {"tokens_per_s": ".1f", "later_epochs": ".1f", "eval_loss": ".4f", "margin": ".4f"}


@command(help=__doc__)
@option("--rows", type=click.IntRange(min=32), default=64, help="Rows to train on; 32 more measure the loss.")
@option("--rounds", type=click.IntRange(min=1), default=2, help="How often each leg runs.")
@click.pass_context
def main(ctx, rows, rounds):
    found = run_legs("lib.bench_kto_torch", LEGS, rounds, "datasets/syngen_tools_kto.jsonl", rows)
    lines, met = compared(found, TARGETS, NOISE)
    for line in table(found, COLUMNS) + lines:
        click.echo(line)
    ctx.exit(0 if met else 1)


if __name__ == "__main__":
    main()
