"""KTO with MLX from a finished SFT run: its adapter is where the policy starts and its reference, asked once."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import mlx.core as mx
import mlx.nn as nn

from lib import runs
from lib.batches import file_order
from lib.cli import progress
from lib.kto_loss import needs_kl
from lib.kto_plan import check_start, epoch_order, partners, planned_batches, swap_completion
from lib.loss_mlx import kto_losses, make_batch, row_logps, sft_loss
from lib.model_mlx import DTYPES, load_adapter, load_base, read_weights, save_adapter
from lib.references import reference_file, remembered
from lib.rendering import Rendered
from lib.sentinel import is_saturated
from lib.training_mlx import Loop, Meter, Steps, added, run_training


class Pairs:
    """Batches of rows and of their mismatched twins, each row's prompt with the completion of its KL partner."""

    def __init__(self, rows: list[Rendered], desirable: list[bool], batches: list[list[int]], pad_id: int):
        self.rows, self.desirable, self.batches, self.pad_id = rows, desirable, batches, pad_id
        self.partner = partners(batches)
        self.file: Path | None = None

    def own(self, indices: list[int]):
        rows = [self.rows[i] for i in indices]
        return make_batch([row.input_ids for row in rows], [row.labels for row in rows], self.pad_id)

    def mismatched(self, indices: list[int]):
        twins = [swap_completion(self.rows[i], self.rows[self.partner[i]]) for i in indices]
        return make_batch([ids for ids, _ in twins], [labels for _, labels in twins], self.pad_id)


def mismatched_logps(model, pairs: Pairs, indices: list[int], config):
    """(rows,) log-probabilities of the mismatched completions, nats; 0 for a loss without KL."""
    return row_logps(model, pairs.mismatched(indices)) if needs_kl(config) else mx.zeros(len(indices))


def reference_logps(model, pairs: Pairs, batches: list[list[int]], config) -> dict[int, tuple[float, float]]:
    """For each row the log-probability of its completion and of its mismatched one under the model as it is now.

    The batches are those of the training, so that the first step sees the same numbers.
    """
    found = {}
    for indices in progress(batches, desc="Reference", unit="batch"):
        own, other = row_logps(model, pairs.own(indices)), mismatched_logps(model, pairs, indices, config)
        found.update(zip(indices, zip(own.tolist(), other.tolist(), strict=True), strict=True))
    return found


def known_reference(model, pairs: Pairs, job) -> dict[int, tuple[float, float]]:
    """reference_logps of all batches, asked for or from the disk; pairs.file is then where they are kept."""
    pairs.file = reference_file(
        job.base,
        job.adapter,
        platform=job.platform,
        kl=needs_kl(job.config),
        machine=str(mx.default_device()),
        versions={name: version for name, version in runs.versions().items() if name in ("mlx", "mlx-lm")},
    )

    def ask(missing):
        return reference_logps(model, pairs, missing, job.config)

    return remembered(pairs.file, job.rows, pairs.batches, ask)


class KtoGradients:
    """The function for Loop: a step's loss is the mean of its micro-batches' mean losses, as in TRL."""

    def __init__(self, model, pairs: Pairs, reference: dict, config, must_start_at_zero: bool):
        self.model, self.pairs, self.reference, self.config = model, pairs, reference, config
        self.must_start_at_zero = must_start_at_zero

    def __call__(self, group, meter, watcher):
        total, summed = 0.0, None
        for indices, share in group:
            loss, ratios, kl = self.objective(indices, share)
            (value, rewards, policy), found = nn.value_and_grad(self.model, loss)()
            summed = added(summed, found)
            mx.eval(value, rewards, policy, summed)
            if self.must_start_at_zero:
                check_start(mx.abs(mx.concatenate([rewards, ratios])).max().item(), self.pairs.file)
                self.must_start_at_zero = False
            self.record(meter, indices, rewards.tolist(), policy.tolist(), kl.item())
            watcher.count(sum(len(self.pairs.rows[i].input_ids) for i in indices))
            total += value.item()
        return total, summed

    def objective(self, indices: list[int], share: float):
        """(function to (share * mean loss, rewards, log-probabilities), log-ratios of the mismatched rows, KL)."""
        known = mx.array([self.reference[i] for i in indices])
        desirable = mx.array([self.pairs.desirable[i] for i in indices])
        ratios = mismatched_logps(self.model, self.pairs, indices, self.config) - known[:, 1]
        kl = mx.maximum(ratios.mean(), 0)
        mx.eval(ratios, kl)  # outside of the gradient
        batch = self.pairs.own(indices)

        def loss():
            policy = row_logps(self.model, batch)
            losses, rewards = kto_losses(policy, known[:, 0], desirable, kl, self.config)
            held = self.config.sft_weight * sft_loss(policy, batch, desirable) if self.config.sft_weight else 0
            return (losses.mean() + held) * share, rewards, policy

        return loss, ratios, kl

    def record(self, meter, indices: list[int], rewards: list[float], policy: list[float], kl: float) -> None:
        """Means for the log under trl's names: kl, rewards/chosen, rewards/rejected, rewards/margins, logps/..."""
        meter.add("kl", kl)
        meter.add("saturated", sum(is_saturated(reward, kl, self.config.beta) for reward in rewards) / len(rewards))
        means = {}
        for name, label in (("chosen", True), ("rejected", False)):
            places = [place for place, i in enumerate(indices) if self.pairs.desirable[i] is label]
            if places:
                means[name] = sum(rewards[place] for place in places) / len(places)
                meter.add(f"rewards/{name}", means[name])
                meter.add(f"logps/{name}", sum(policy[place] for place in places) / len(places))
        if len(means) == 2:
            meter.add("rewards/margins", means["chosen"] - means["rejected"])


def make_loop(model, job) -> Loop:
    """The training of job.rows against the model as it is now, the reference."""
    model.eval()  # no dropout: policy and reference must be the same at the start
    batches = planned_batches(job.rows, job.desirable, job.config)
    pairs = Pairs(job.rows, job.desirable, batches, job.tokenizer.pad_token_id)
    reference = known_reference(model, pairs, job)
    gradients = KtoGradients(model, pairs, reference, job.config, not job.resume)
    steps = Steps(
        lambda epoch: epoch_order(batches, job.config, epoch), max(1.0, job.config.epochs), job.config.grad_accumulation
    )
    return Loop(job, model, steps, gradients, least_rows=2)  # KL is estimated from the rows of a part


def train(job) -> dict:
    """Train from the SFT adapter on job.rows, save final_model, and return the figures for done.json."""
    model = load_adapter(load_base(job.base, DTYPES[job.config.dtype]), job.adapter)
    loop = make_loop(model, job)
    if job.held_out and job.config.eval_every:
        held = replace(job, rows=job.held_out, desirable=list(job.held_desirable))
        batches = file_order(len(held.rows), held.config.batch_size)
        pairs = Pairs(held.rows, held.desirable, batches, held.tokenizer.pad_token_id)
        measure = KtoGradients(model, pairs, known_reference(model, pairs, held), held.config, must_start_at_zero=False)
        loop.held_out_loss = lambda: evaluated(measure, batches)["loss"]
    seconds = run_training(loop)
    save_adapter(model, job.tokenizer, job.run / "final_model")
    last = defaultdict(lambda: None, loop.last)
    return {
        "steps": loop.step,
        "train_loss": loop.meter.total / loop.step,
        "kl": last["kl"],
        "rewards/margins": last["rewards/margins"],
        "seconds": round(seconds, 1),
        **loop.early.figures(),
    }


def evaluate(job, adapter: Path) -> dict:
    """Mean loss, KL and rewards of the adapter over the rows, against the SFT adapter that KTO starts from."""
    model = load_adapter(load_base(job.base, DTYPES[job.config.dtype]), job.adapter)
    model.eval()
    batches = planned_batches(job.rows, job.desirable, job.config)
    pairs = Pairs(job.rows, job.desirable, batches, job.tokenizer.pad_token_id)
    reference = known_reference(model, pairs, job)
    read_weights(model, adapter)
    return evaluated(KtoGradients(model, pairs, reference, job.config, must_start_at_zero=False), batches)


def evaluated(gradients: KtoGradients, batches: list[list[int]]) -> dict:
    """Means over the batches of loss, kl, rewards and log-probabilities; and how many rows there were."""
    meter = Meter()
    for indices in progress(batches, desc="Evaluating", unit="batch"):
        loss, _, kl = gradients.objective(indices, 1.0)
        value, rewards, policy = loss()
        gradients.record(meter, indices, rewards.tolist(), policy.tolist(), kl.item())
        meter.losses.append(value.item())
    return meter.drain() | {"rows": sum(map(len, batches))}
