"""One timed KTO for scripts/bench_kto.py, in a process of its own: plain trl, tuned trl, or ours."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch
from datasets import Dataset
from transformers import set_seed
from trl import KTOConfig, KTOTrainer

from lib import kto_torch
from lib.base_model import fetch
from lib.bench_torch import Clock, plain_lora, plain_settings
from lib.config import load_config, load_size
from lib.fast_torch import speed_up
from lib.kto_plan import planned_batches
from lib.model_torch import add_lora, load_base
from lib.templates import template_for
from lib.tokenizer_torch import load_tokenizer
from lib.training import Job
from lib.training_rows import load_examples, render_rows

HELD_OUT = 32  # rows that the loss is measured on afterwards
SFT_ADAPTER = {"lora_rank": 32, "lora_alpha": 64}  # tiny's; fresh, so that the reference is the base


class TimedReference:
    """Adds up the seconds of a function that computes reference log-probabilities before the training."""

    def __init__(self, function):
        self.function, self.seconds = function, 0.0

    def __call__(self, *arguments, **named):
        start = time.perf_counter()
        found = self.function(*arguments, **named)
        self.seconds += time.perf_counter() - start
        return found


def text_rows(rows, desirable, tokenizer) -> Dataset:
    """The rows as trl's prompt, completion and label; the texts split into the tokens that ours have."""

    def text(ids):
        return tokenizer.decode(ids, clean_up_tokenization_spaces=False)

    cut = [(text(row.input_ids[: row.prompt_length]), text(row.input_ids[row.prompt_length :])) for row in rows]
    return Dataset.from_list(
        [{"prompt": p, "completion": c, "label": label} for (p, c), label in zip(cut, desirable, strict=True)]
    )


def plain(job, tuned: bool):
    """(what a reader of trl's documentation writes, its reference pass); tuned: references precomputed as well."""
    settings = KTOConfig(**plain_settings(job.config, tuned), beta=job.config.beta, precompute_ref_log_probs=tuned)
    reference = TimedReference(KTOTrainer._precompute_ref_logps)
    KTOTrainer._precompute_ref_logps = lambda self, *arguments: reference(self, *arguments)
    set_seed(job.config.seed)
    trainer = KTOTrainer(
        str(job.base),
        args=settings,
        train_dataset=text_rows(job.rows, job.desirable, job.tokenizer),
        processing_class=job.tokenizer,
        peft_config=plain_lora(load_config("sft", load_size("tiny", "cpu", "sft"), SFT_ADAPTER)[0]),
    )
    return trainer, reference


def ours(job):
    """(our trainer from a fresh adapter, its reference pass)."""
    sft, _ = load_config("sft", load_size("tiny", "cpu", "sft"), SFT_ADAPTER)
    model = add_lora(load_base(job.base, "cpu"), sft)
    speed_up(model)
    reference = kto_torch.reference_logps = TimedReference(kto_torch.reference_logps)
    return kto_torch.make_trainer(model, job.tokenizer, job), reference


def held_out_figures(model, job, rows, desirable) -> dict:
    """Loss, KL and margin of the held-out rows, the base being the reference; computed alike for every leg."""
    config = replace(job.config, shared_prefix=False)
    batches = planned_batches(rows, desirable, config)
    collate = kto_torch.Collator(rows, desirable, batches, job.tokenizer.pad_token_id, config)
    with torch.no_grad():
        with model.disable_adapter():
            collate.reference = kto_torch.reference_logps(model, collate, batches)
        return kto_torch.evaluated(model, collate, batches, config)


def main(kind: str, data: str, count: int) -> None:
    """Print one JSON object: rows, steps, tokens a second with and without the reference pass, held-out figures."""
    size = load_size("tiny", "cpu", "kto")
    settings = {"epochs": 1.0, "loss_type": "kto", "shared_prefix": kind == "ours"}
    config, _ = load_config("kto", size, settings)
    folder = fetch(size.base)
    tokenizer = load_tokenizer(folder, template_for("none"))
    rows, examples, _ = render_rows(load_examples([data])[: count + HELD_OUT], tokenizer, config)
    desirable = [example.label is not False for example in examples]
    run = Path(tempfile.mkdtemp())
    job = Job("kto", "cpu", config, run, folder, tokenizer, rows[:count], [], desirable[:count], None, False)
    trainer, reference = ours(job) if kind == "ours" else plain(job, kind == "tuned")
    clock = Clock(trainer)
    trainer.train()
    tokens, training = sum(len(row.input_ids) for row in job.rows), clock.tokens / clock.seconds
    figures = {
        "kind": kind,
        "rows": len(job.rows),
        "steps": trainer.state.global_step,
        "seconds": round(clock.seconds, 1),
        "reference_s": round(reference.seconds, 1),
        "tokens_per_s": round(tokens / (tokens / training + reference.seconds), 1),
        "later_epochs": round(training, 1),
        "threads": torch.get_num_threads(),
    }
    apart = held_out_figures(trainer.model, job, rows[count:], desirable[count:])
    figures |= {"eval_loss": round(apart["loss"], 4), "margin": round(apart["rewards/margins"], 4)}
    print(json.dumps(figures))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
