"""What the timed trainings of lib/bench_sft_torch.py and lib/bench_kto_torch.py share: a clock and plain settings."""

from __future__ import annotations

import tempfile
import time

from peft import LoraConfig
from transformers import TrainerCallback

from lib.model_torch import TARGETS

WARM_UP = 2  # steps that are not timed: the first pays for page faults and kernels' first shapes


class Clock(TrainerCallback):
    """Seconds, and tokens without padding, from the end of step WARM_UP to the end of the last step."""

    def __init__(self, trainer):
        self.seen = 0
        compute_loss = trainer.compute_loss

        def counted(model, inputs, *others, **named):
            self.seen += int(inputs["attention_mask"].sum())
            return compute_loss(model, inputs, *others, **named)

        trainer.compute_loss = counted
        trainer.add_callback(self)

    def on_step_end(self, args, state, control, **_):
        if state.global_step == WARM_UP:
            self.start, self.before = time.perf_counter(), self.seen
        elif state.global_step > WARM_UP:
            self.seconds, self.tokens = time.perf_counter() - self.start, self.seen - self.before


def plain_settings(config, tuned: bool) -> dict:
    """A plain script's arguments for trl's SFTConfig or KTOConfig; tuned: bf16 weights and no checkpointing as well."""
    return {
        "output_dir": tempfile.mkdtemp(),
        "learning_rate": config.learning_rate,
        "num_train_epochs": 1,
        "per_device_train_batch_size": config.batch_size,
        "gradient_accumulation_steps": config.grad_accumulation,
        "max_length": config.max_length,
        "lr_scheduler_type": "linear",
        "warmup_steps": config.warmup_fraction,
        "use_cpu": True,
        "report_to": "none",
        "disable_tqdm": True,
        "save_strategy": "no",
        "seed": config.seed,
        "gradient_checkpointing": not tuned,
        "model_init_kwargs": {"dtype": "bfloat16"} if tuned else None,
    }


def plain_lora(config) -> LoraConfig:
    """The recipe's LoRA as a plain script asks PEFT for it."""
    return LoraConfig(r=config.lora_rank, lora_alpha=config.lora_alpha, target_modules=TARGETS, task_type="CAUSAL_LM")
