"""Compare the memory forecast with the peak RSS of real training steps on the CPU, each in a process of its own.

\b
    python -m scripts.bench_memory                 # all
    python -m scripts.bench_memory --only held-out

Two tables: the trainings that the constants of lib/memory.py were fitted on, and others that they were not: other
ranks, lengths, batches, packing, KTO, and random models of other shapes. Exit 1 when a forecast is more than 15 % too
low, which costs a training, or 20 % too high, which costs a batch. Run it under `make bench`, which sets the allocator
as a training has it.
"""

from dataclasses import asdict, dataclass, replace
from importlib import import_module
from pathlib import Path

import click

from lib.cli import command, log
from lib.config import load_config, load_size
from lib.memory import GIB, plan_of, read_shape, total

LOWEST, HIGHEST = -0.15, 0.20
SMOLLM2 = "SmolLM2-135M-Instruct"
# What config.json says of two other models; their weights are drawn at random.
SHAPES = {
    "SmolLM2-360M": {
        "hidden_size": 960, "num_hidden_layers": 32, "num_attention_heads": 15, "num_key_value_heads": 5,
        "intermediate_size": 2560, "vocab_size": 49152, "tie_word_embeddings": True,
    },
    "Qwen2.5-0.5B": {
        "model_type": "qwen2", "hidden_size": 896, "num_hidden_layers": 24, "num_attention_heads": 14,
        "num_key_value_heads": 2, "intermediate_size": 4864, "vocab_size": 151936, "tie_word_embeddings": True,
    },
}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A training: method, rows at once, their length, what else its recipe says, and the peak in GiB as measured."""

    method: str
    batch: int
    length: int
    settings: dict
    measured: float
    base: str = SMOLLM2


CHECKPOINTS = {"gradient_checkpointing": True}
FITTED = (
    Case("sft", 1, 64, {}, 0.948),
    Case("sft", 4, 512, {}, 2.95),
    Case("sft", 1, 2048, {}, 2.48),
    Case("sft", 4, 512, CHECKPOINTS, 1.362),
    Case("sft", 2, 2048, CHECKPOINTS, 1.708),
    Case("sft", 8, 1024, CHECKPOINTS, 2.58),
    Case("kto", 4, 768, {}, 4.20),
)
HELD_OUT = (
    Case("sft", 6, 256, {"lora_rank": 8}, 2.28),
    Case("sft", 3, 1024, {"lora_rank": 128}, 4.77),
    Case("sft", 1, 1536, {"packing": True}, 2.37),
    Case("sft", 16, 128, CHECKPOINTS, 1.40),
    Case("kto", 8, 384, {}, 3.82),
    Case("kto", 2, 1536, CHECKPOINTS, 1.53),
    Case("sft", 2, 768, {}, 4.29, "SmolLM2-360M"),
    Case("sft", 3, 1024, CHECKPOINTS, 2.165, "SmolLM2-360M"),
    Case("sft", 2, 512, {}, 3.78, "Qwen2.5-0.5B"),
    Case("kto", 2, 512, CHECKPOINTS, 2.24, "Qwen2.5-0.5B"),
)
TABLES = {"fitted": FITTED, "held-out": HELD_OUT}


def config_of(case):
    """The tiny recipe with the case's settings."""
    given = {"max_length": case.length, "batch_size": case.batch} | case.settings
    config, _ = load_config(case.method, load_size("tiny", "cpu", case.method), given)
    return replace(config, grad_accumulation=1, epochs=1.0, log_every=1)


def shape_of(base):
    """The shape of a case's base model."""
    return read_shape(SHAPES[base], base) if base in SHAPES else import_module("lib.model_config").shape_of(base)


def forecast(case):
    """GiB that the case should take."""
    return total(shape_of(case.base), plan_of(shape_of(case.base), "cpu", config_of(case))) / GIB


def folder_of(base):
    """The folder of a case's base model; a random one is written once."""
    if base not in SHAPES:
        return import_module("lib.base_model").fetch(base)
    folder = Path("build/bench-memory") / base
    if not (folder / "model.safetensors").is_file():
        import_module("lib.random_model_torch").write_model_with_adapter(folder, SHAPES[base])
    return folder


def measure(case):
    """GiB at the peak of the case's steps; None where memory was full."""
    trials = import_module("lib.trials")
    peak = trials.run_trial(trials.Trial(case.method, "cpu", str(folder_of(case.base)), asdict(config_of(case))))
    return peak and peak / GIB


@command(help=__doc__)
@click.option("--only", type=click.Choice(list(TABLES)), help="One of the tables.")
@click.pass_context
def main(ctx, only):
    met = True
    for name in [only] if only else TABLES:
        click.echo(
            f"{name:<24}{'method':<8}{'batch':>6}{'length':>8}{'forecast':>10}{'peak RSS':>10}{'off':>8}  recipe"
        )
        for case in TABLES[name]:
            peak = measure(case)
            if peak is None:
                log(f"{case}: memory was full")
                continue
            off = forecast(case) / peak - 1
            met &= LOWEST <= off <= HIGHEST
            shown = f"{case.base:<24}{case.method:<8}{case.batch:>6}{case.length:>8}"
            more = " ".join(f"{key}={value}" for key, value in case.settings.items())
            click.echo(f"{shown}{forecast(case):>10.2f}{peak:>10.2f}{off:>+8.1%}  {more}")
    ctx.exit(0 if met else 1)


if __name__ == "__main__":
    main()
