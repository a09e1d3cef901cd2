"""Compare the memory forecast with the peak RSS of real training steps on the CPU, each in a process of its own.

\b
    python -m scripts.bench_memory

SmolLM2-135M with the recipe's adapter. Exit 1 when a forecast is more than 15 % off. Run it under `make bench`, which
sets the allocator as a training has it.
"""

from dataclasses import asdict, replace
from importlib import import_module

import click

from lib.cli import command, log
from lib.config import load_config, load_size
from lib.memory import GIB, plan_of, total

LIMIT = 0.15
CASES = (  # method, batch, length, checkpointing
    ("sft", 4, 512, False),
    ("sft", 1, 2048, False),
    ("sft", 2, 2048, True),
    ("sft", 8, 1024, True),
    ("kto", 4, 768, False),
)


@command(help=__doc__)
@click.pass_context
def main(ctx):
    base = load_size("tiny", "cpu", "sft").base
    folder = import_module("lib.base_model").fetch(base)
    shape, trials = import_module("lib.model_config").shape_of(str(folder)), import_module("lib.trials")
    worst = 0.0
    click.echo(f"{'method':<8}{'batch':>6}{'length':>8}{'checkpoints':>13}{'forecast':>10}{'peak RSS':>10}{'off':>8}")
    for method, batch, length, checkpointing in CASES:
        config, _ = load_config(method, load_size("tiny", "cpu", method), {"max_length": length})
        config = replace(config, batch_size=batch, grad_accumulation=1, epochs=1.0, log_every=1)
        config = replace(config, gradient_checkpointing=checkpointing)
        peak = trials.run_trial(trials.Trial(method, "cpu", str(folder), asdict(config)))
        if peak is None:
            log(f"{method} {batch} x {length}: memory was full")
            continue
        forecast = total(shape, plan_of(shape, "cpu", config))
        off = forecast / peak - 1
        worst = max(worst, abs(off))
        shown = f"{method:<8}{batch:>6}{length:>8}{'yes' if checkpointing else 'no':>13}"
        click.echo(f"{shown}{forecast / GIB:>10.2f}{peak / GIB:>10.2f}{off:>+8.1%}")
    ctx.exit(1 if worst > LIMIT else 0)


if __name__ == "__main__":
    main()
