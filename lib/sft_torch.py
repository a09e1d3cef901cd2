"""Supervised fine-tuning with trl and peft: our masks and batches, the head on completion tokens only."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import torch
from datasets import Dataset
from trl import SFTConfig, SFTTrainer

from lib.batches import length_grouped, longest_first, packs
from lib.cli import log
from lib.distributed_torch import inside, run_inside, whole_state
from lib.loss_torch import label_logps
from lib.model_torch import check_trainer, prepared, save_adapter
from lib.rendering import IGNORED, Rendered
from lib.training_torch import PlannedMixin, arguments, run_training, tensors


class CompletionTrainer(PlannedMixin, SFTTrainer):
    """trl's SFTTrainer whose loss is computed at the labelled positions alone; the value is the same."""

    @inside
    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        logps, _, correct = label_logps(model, inputs["input_ids"], inputs["labels"], inputs.get("position_ids"))
        count = logps.numel() if num_items_in_batch is None else num_items_in_batch
        loss = -logps.sum() / torch.as_tensor(count).clamp(min=1)
        if num_items_in_batch is not None:  # the tokens of all processes, whose gradients are averaged
            loss = loss * self.accelerator.num_processes
        self._metrics["train" if model.training else "eval"]["mean_token_accuracy"].append(
            correct.item() / max(logps.numel(), 1)
        )
        if model.training and self.counter is not None:
            self.counter(int(inputs["attention_mask"].sum()))
        return (loss, {}) if return_outputs else loss

    counter = None


def collator(pad_id: int):
    """A function from rows, or packs of them, to one padded batch. Padding behind a pack is a row of its own."""

    def collate(rows):
        batch = tensors([row["input_ids"] for row in rows], [row["labels"] for row in rows], pad_id)
        if "position_ids" in rows[0]:
            length = batch["input_ids"].shape[1]
            places = [row["position_ids"] + list(range(length - len(row["position_ids"]))) for row in rows]
            batch["position_ids"] = torch.tensor(places)
        return batch

    return collate


def as_dataset(rows: list[Rendered]) -> Dataset:
    return Dataset.from_dict({"input_ids": [row.input_ids for row in rows], "labels": [row.labels for row in rows]})


def packed_dataset(rows: list[Rendered], capacity: int) -> Dataset:
    """The rows in packs of at most capacity tokens: ids and labels one behind another, positions from 0 in each row."""
    found = packs([len(row.input_ids) for row in rows], capacity)
    tokens = sum(len(row.input_ids) for row in rows)
    share = 100 * tokens / (capacity * len(found))
    log(f"Packing: {len(rows)} rows in {len(found)} packs of at most {capacity} tokens, {share:.0f} % full")
    return Dataset.from_dict(
        {
            "input_ids": [[token for i in pack for token in rows[i].input_ids] for pack in found],
            # A row's first token is never predicted: what stands before it is another row.
            "labels": [[label for i in pack for label in [IGNORED, *rows[i].labels[1:]]] for pack in found],
            "position_ids": [[place for i in pack for place in range(len(rows[i].input_ids))] for pack in found],
        }
    )


def make_trainer(model, tokenizer, rows: list[Rendered], config, run: Path, platform: str, resume=False):
    """A trainer over the rows, or packs of them, ready to train, with its length-grouped plan."""
    settings = arguments(config, run, platform, resume) | {"bf16": model.dtype == torch.bfloat16}
    dataset = packed_dataset(rows, config.max_length) if config.packing else as_dataset(rows)
    trainer = CompletionTrainer(
        model=model,
        args=SFTConfig(**settings, dataset_kwargs={"skip_prepare_dataset": True}),
        train_dataset=dataset,
        processing_class=tokenizer,
        data_collator=collator(tokenizer.pad_token_id),
    )
    lengths = [len(ids) for ids in dataset["input_ids"]]
    trainer.config = config
    trainer.plan = lambda epoch: longest_first(length_grouped(lengths, config.batch_size, config.seed, epoch), lengths)
    return trainer


@torch.no_grad()
def mean_loss(model, tokenizer, rows: list[Rendered], batch_size: int) -> float | None:
    """Mean negative log-likelihood of the rows' label tokens, nats; None without rows."""
    if not rows:
        return None
    model.eval()
    ordered = sorted(rows, key=lambda row: len(row.input_ids))
    total, count = 0.0, 0
    for start in range(0, len(ordered), batch_size):
        part = ordered[start : start + batch_size]
        batch = tensors([row.input_ids for row in part], [row.labels for row in part], tokenizer.pad_token_id)
        device = next(model.parameters()).device
        logps, _, _ = label_logps(model, *(batch[k].to(device) for k in ("input_ids", "labels")))
        total, count = total - logps.sum().item(), count + logps.numel()
    return total / count


def train(job) -> dict:
    """Train an adapter on job.rows, save it as final_model, and return the figures for done.json."""
    model = prepared(job)
    trainer = make_trainer(model, job.tokenizer, job.rows, job.config, job.run, job.platform, job.resume)
    check_trainer(trainer, job)
    if job.held_out:
        trainer.held_out_loss = partial(mean_loss, model, job.tokenizer, job.held_out, job.config.batch_size)
    seconds = run_training(trainer, job)
    eval_loss = run_inside(trainer, mean_loss, model, job.tokenizer, job.held_out, job.config.batch_size)
    save_adapter(model, job.tokenizer, job.run / "final_model", whole_state(trainer))
    tokens = sum(len(row.input_ids) for row in job.rows) * job.config.epochs
    return {
        "steps": trainer.state.global_step,
        "train_loss": trainer.state.log_history[-1].get("train_loss"),
        "eval_loss": eval_loss,
        "seconds": round(seconds, 1),
        "tokens_per_s": round(tokens / seconds, 1),
        **trainer.early.figures(),
    }


def evaluate(job, adapter: Path) -> dict:
    """The adapter's loss on the held-out rows, nats a token."""
    model = prepared(job, adapter)
    loss = mean_loss(model, job.tokenizer, job.held_out, job.config.batch_size)
    return {"eval_loss": loss, "rows": len(job.held_out)}
