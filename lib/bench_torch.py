"""One timed training for scripts/bench_sft.py, in a process of its own: plain trl, tuned trl, or ours."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

import torch
from peft import LoraConfig
from transformers import TrainerCallback, set_seed
from trl import SFTConfig, SFTTrainer

from lib.base_model import fetch
from lib.config import load_config, load_size
from lib.fast_torch import speed_up
from lib.model_torch import TARGETS, add_lora, load_base
from lib.sft_torch import as_dataset, make_trainer, mean_loss
from lib.templates import template_for
from lib.tokenizer_torch import load_tokenizer
from lib.training import load_examples, render_rows

WARM_UP = 2  # steps that are not timed: the first pays for page faults and kernels' first shapes


class Clock(TrainerCallback):
    """Seconds from the end of step WARM_UP to the end of the last step."""

    def on_step_end(self, args, state, control, **_):
        if state.global_step == WARM_UP:
            self.start = time.perf_counter()
        self.seconds = time.perf_counter() - self.start if state.global_step > WARM_UP else 0.0


def plain(folder: Path, tokenizer, rows, config, tuned: bool):
    """What a reader of trl's documentation writes; tuned: bf16 weights and no checkpointing as well."""
    settings = SFTConfig(
        output_dir=tempfile.mkdtemp(),
        learning_rate=config.learning_rate,
        num_train_epochs=1,
        per_device_train_batch_size=config.batch_size,
        gradient_accumulation_steps=config.grad_accumulation,
        max_length=config.max_length,
        lr_scheduler_type="linear",
        warmup_steps=config.warmup_fraction,
        use_cpu=True,
        report_to="none",
        disable_tqdm=True,
        save_strategy="no",
        seed=config.seed,
        gradient_checkpointing=not tuned,
        model_init_kwargs={"dtype": "bfloat16"} if tuned else None,
    )
    lora = LoraConfig(r=config.lora_rank, lora_alpha=config.lora_alpha, target_modules=TARGETS, task_type="CAUSAL_LM")
    set_seed(config.seed)
    return SFTTrainer(
        str(folder), args=settings, train_dataset=as_dataset(rows), processing_class=tokenizer, peft_config=lora
    )


def ours(folder: Path, tokenizer, rows, config):
    model = add_lora(load_base(folder, "cpu"), config)
    speed_up(model)
    return make_trainer(model, tokenizer, rows, config, Path(tempfile.mkdtemp()), "cpu")


def main(kind: str, data: str, count: int) -> None:
    """Print one JSON object: rows, tokens and trained tokens a second, seconds, and the held-out loss afterwards."""
    config, _ = load_config("sft", load_size("tiny", "cpu", "sft"), {"epochs": 1.0})
    folder = fetch(load_size("tiny", "cpu", "sft").base)
    tokenizer = load_tokenizer(folder, template_for("none"))
    examples = [item for item in load_examples([data]) if item[1].label is not False]
    rows, _, _ = render_rows(examples[: count + 64], tokenizer, config)
    train, held_out = rows[:count], rows[count:]
    trainer = (
        ours(folder, tokenizer, train, config)
        if kind == "ours"
        else plain(folder, tokenizer, train, config, kind == "tuned")
    )
    clock = Clock()
    trainer.add_callback(clock)
    trainer.train()
    timed = (trainer.state.global_step - WARM_UP) / trainer.state.global_step
    tokens = sum(len(row.input_ids) for row in train) * timed
    figures = {
        "kind": kind,
        "rows": len(train),
        "steps": trainer.state.global_step,
        "seconds": round(clock.seconds, 1),
        "tokens_per_s": round(tokens / clock.seconds, 1),
        "eval_loss": round(mean_loss(trainer.model, tokenizer, held_out, config.batch_size), 4),
        "threads": torch.get_num_threads(),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
