"""One timed SFT for scripts/bench_sft.py, in a process of its own: plain trl, tuned trl, or ours, packed or not."""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import torch
from transformers import set_seed
from trl import SFTConfig, SFTTrainer

from lib.base_model import fetch
from lib.bench_torch import Clock, plain_lora, plain_settings
from lib.config import load_config, load_size
from lib.fast_torch import speed_up
from lib.model_torch import add_lora, load_base
from lib.sft_torch import as_dataset, make_trainer, mean_loss
from lib.templates import template_for
from lib.tokenizer_torch import load_tokenizer
from lib.training_rows import load_examples, render_rows

HELD_OUT = 64  # rows that the loss is measured on afterwards
PACK = 4  # rows of average length in a pack, as many as tiny's batch has


def plain(folder: Path, tokenizer, rows, config, tuned: bool):
    """What a reader of trl's documentation writes."""
    settings = SFTConfig(**plain_settings(config, tuned))
    set_seed(config.seed)
    return SFTTrainer(
        str(folder),
        args=settings,
        train_dataset=as_dataset(rows),
        processing_class=tokenizer,
        peft_config=plain_lora(config),
    )


def ours(folder: Path, tokenizer, rows, config):
    model = add_lora(load_base(folder, "cpu"), config)
    speed_up(model)
    return make_trainer(model, tokenizer, rows, config, Path(tempfile.mkdtemp()), "cpu")


def packed(config, rows):
    """The recipe with one pack a batch, which holds as many tokens as a batch of rows."""
    mean = sum(len(row.input_ids) for row in rows) / len(rows)
    longest = max(len(row.input_ids) for row in rows)
    return replace(config, packing=True, batch_size=1, max_length=max(longest, round(PACK * mean)))


def main(kind: str, data: str, count: int) -> None:
    """Print one JSON object: rows, steps, seconds, tokens a second, and the held-out loss afterwards."""
    config, _ = load_config("sft", load_size("tiny", "cpu", "sft"), {"epochs": 1.0})
    folder = fetch(load_size("tiny", "cpu", "sft").base)
    tokenizer = load_tokenizer(folder, template_for("none"))
    examples = [item for item in load_examples([data]) if item[1].label is not False]
    rows, _, _ = render_rows(examples[: count + HELD_OUT], tokenizer, config)
    train, held_out = rows[:count], rows[count:]
    if kind in ("plain", "tuned"):
        trainer = plain(folder, tokenizer, train, config, kind == "tuned")
    else:
        trainer = ours(folder, tokenizer, train, packed(config, train) if kind == "packed" else config)
    clock = Clock(trainer)
    trainer.train()
    figures = {
        "kind": kind,
        "rows": len(train),
        "steps": trainer.state.global_step,
        "seconds": round(clock.seconds, 1),
        "tokens_per_s": round(clock.tokens / clock.seconds, 1),
        "eval_loss": round(mean_loss(trainer.model, tokenizer, held_out, config.batch_size), 4),
        "threads": torch.get_num_threads(),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
