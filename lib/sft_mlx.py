"""Supervised fine-tuning with MLX and mlx-lm's LoRA layers: the torch trainer's recipe, batches, masks and figures."""

from __future__ import annotations

from functools import partial

import mlx.core as mx
import mlx.nn as nn
from mlx.utils import tree_map

from lib.batches import length_grouped, longest_first
from lib.loss_mlx import label_logps, make_batch
from lib.model_mlx import DTYPES, add_lora, load_adapter, load_base, save_adapter
from lib.rendering import Rendered
from lib.training_mlx import Loop, Steps, added, run_training


def batch_of(rows: list[Rendered], pad_id: int):
    return make_batch([row.input_ids for row in rows], [row.labels for row in rows], pad_id)


def loss(model, batch, count: int):
    """(minus the mean log-probability of the labels, how many were the top choice)."""
    logps, correct = label_logps(model, batch)
    return -logps.sum() / count, correct


def gradients_of(model, rows: list[Rendered], pad_id: int):
    """The function for Loop: a step's loss is the mean over all label tokens of its micro-batches, as in one batch."""

    def gradients(group, meter, watcher):
        total, summed = 0.0, None
        batches = [batch_of([rows[i] for i in indices], pad_id) for indices, _ in group]
        count = max(1, sum(batch.labels for batch in batches))
        for batch in batches:
            watcher.count(batch.tokens)
            if not batch.labels:
                continue
            (value, correct), found = nn.value_and_grad(model, partial(loss, model, batch, count))()
            summed = added(summed, found)
            mx.eval(value, correct, summed)
            total += value.item()
            meter.add("mean_token_accuracy", correct.item() / batch.labels)
        return total, summed or tree_map(mx.zeros_like, model.trainable_parameters())

    return gradients


def mean_loss(model, rows: list[Rendered], pad_id: int, batch_size: int) -> float | None:
    """Mean negative log-likelihood of the rows' label tokens, nats; None without rows."""
    if not rows:
        return None
    model.eval()
    ordered = sorted(rows, key=lambda row: len(row.input_ids))
    total, count = 0.0, 0
    for start in range(0, len(ordered), batch_size):
        batch = batch_of(ordered[start : start + batch_size], pad_id)
        if batch.labels:
            total, count = total - label_logps(model, batch)[0].sum().item(), count + batch.labels
    return total / count


def held_out_loss(model, job) -> float:
    """The loss on the held-out rows in the middle of a training."""
    loss = mean_loss(model, job.held_out, job.tokenizer.pad_token_id, job.config.batch_size)
    model.train()
    return loss


def make_loop(model, job) -> Loop:
    """The training of job.rows, with its length-grouped plan."""
    config, lengths = job.config, [len(row.input_ids) for row in job.rows]

    def plan(epoch):
        return longest_first(length_grouped(lengths, config.batch_size, config.seed, epoch), lengths)

    model.train()
    steps = Steps(plan, config.epochs, config.grad_accumulation)
    return Loop(job, model, steps, gradients_of(model, job.rows, job.tokenizer.pad_token_id))


def train(job) -> dict:
    """Train an adapter on job.rows, save it as final_model, and return the figures for done.json."""
    model = add_lora(load_base(job.base, DTYPES[job.config.dtype]), job.config)
    loop = make_loop(model, job)
    if job.held_out:
        loop.held_out_loss = partial(held_out_loss, model, job)
    seconds = run_training(loop)
    eval_loss = mean_loss(model, job.held_out, job.tokenizer.pad_token_id, job.config.batch_size)
    save_adapter(model, job.tokenizer, job.run / "final_model")
    tokens = sum(len(row.input_ids) for row in job.rows) * job.config.epochs
    return {
        "steps": loop.step,
        "train_loss": loop.meter.total / loop.step,
        "eval_loss": eval_loss,
        "seconds": round(seconds, 1),
        "tokens_per_s": round(tokens / seconds, 1),
        **loop.early.figures(),
    }


def evaluate(job, adapter) -> dict:
    """The adapter's loss on the held-out rows, nats a token."""
    model = load_adapter(load_base(job.base, DTYPES[job.config.dtype]), adapter)
    loss = mean_loss(model, job.held_out, job.tokenizer.pad_token_id, job.config.batch_size)
    return {"eval_loss": loss, "rows": len(job.held_out)}
