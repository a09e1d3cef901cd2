"""KTO with trl and peft from a finished SFT run: its adapter is where the policy starts and its reference."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import torch
from datasets import Dataset
from trl import KTOConfig, KTOTrainer

from lib import runs
from lib.batches import file_order
from lib.cli import progress
from lib.distributed_torch import first_alone, inside, whole_state
from lib.kto_loss import needs_kl
from lib.kto_plan import check_start, epoch_order, partners, planned_batches, swap_completion
from lib.loss_torch import base_of, branch_logps, kto_losses, row_logps, sft_loss
from lib.model_torch import check_trainer, prepared, read_weights, save_adapter
from lib.references import reference_file, remembered
from lib.rendering import Rendered
from lib.sentinel import is_saturated
from lib.training_torch import PlannedMixin, arguments, run_training, tensors


class PlannedKtoTrainer(PlannedMixin, KTOTrainer):
    """trl's KTOTrainer on our rendered rows, batches and losses; its own dataset preparation is skipped."""

    least_rows = 2  # of a part: KL is estimated from its rows
    counter = None
    must_start_at_zero = True
    reference_file = None

    def _prepare_dataset(self, dataset, *args, **kwargs):
        return dataset

    @inside
    def _compute_loss(self, model, inputs, return_outputs=False):
        policy, ratios = both_logps(model, inputs)
        ratios = ratios - inputs["reference_kl"]
        kl = ratios.mean().clamp(min=0)
        losses, rewards = kto_losses(policy, inputs["reference"], inputs["desirable"], kl, self.config)
        if self.must_start_at_zero and model.training:
            check_start(torch.cat([rewards, ratios]).abs().max().item(), self.reference_file)
            self.must_start_at_zero = False
        self.record(model, inputs["desirable"], rewards, policy.detach(), kl)
        if self.counter is not None and model.training:
            self.counter(int(inputs["attention_mask"].sum()))
        loss = losses.mean()
        if self.config.sft_weight:
            held = sft_loss(policy, inputs["labels"], inputs["desirable"])
            self._metrics["train" if model.training else "eval"]["sft_loss"].append(held.item())
            loss = loss + self.config.sft_weight * held
        return (loss, {}) if return_outputs else loss

    def record(self, model, desirable, rewards, policy, kl) -> None:
        """Means for the log under trl's names: kl, rewards/chosen, rewards/rejected, rewards/margins, logps/..."""
        store = self._metrics["train" if model.training else "eval"]
        store["kl"].append(kl.item())
        flat = [is_saturated(reward, store["kl"][-1], self.config.beta) for reward in rewards.tolist()]
        store["saturated"].append(sum(flat) / len(flat))
        for name, rows in (("chosen", desirable), ("rejected", ~desirable)):
            if rows.any():
                store[f"rewards/{name}"].append(rewards[rows].mean().item())
                store[f"logps/{name}"].append(policy[rows].mean().item())
        if desirable.any() and not desirable.all():
            store["rewards/margins"].append(store["rewards/chosen"][-1] - store["rewards/rejected"][-1])


class Collator:
    """Padded batches of rows and their mismatched twins, with the reference log-probabilities once they are known.

    What the loss asks for: no twins where it needs no KL, the twins' completions alone where the prompt is shared.
    """

    def __init__(self, rows: list[Rendered], desirable: list[bool], batches: list[list[int]], pad_id: int, config):
        self.rows, self.desirable, self.pad_id = rows, desirable, pad_id
        self.partner, self.config = partners(batches), config
        self.reference: dict[int, tuple[float, float]] = {}

    def __call__(self, items: list[dict]) -> dict[str, torch.Tensor]:
        indices = [item["index"] for item in items]
        rows = [self.rows[i] for i in indices]
        batch = tensors([row.input_ids for row in rows], [row.labels for row in rows], self.pad_id)
        if needs_kl(self.config):
            twins = [swap_completion(row, self.rows[self.partner[i]]) for i, row in zip(indices, rows, strict=True)]
            if self.config.shared_prefix:
                batch["prompt_length"] = torch.tensor([row.prompt_length for row in rows])
                twins = [
                    tuple(part[row.prompt_length :] for part in twin) for row, twin in zip(rows, twins, strict=True)
                ]
            mismatched = tensors([ids for ids, _ in twins], [labels for _, labels in twins], self.pad_id)
            batch |= {f"kl_{name}": tensor for name, tensor in mismatched.items()}
        batch["desirable"] = torch.tensor([self.desirable[i] for i in indices])
        if self.reference:
            known = torch.tensor([self.reference[i] for i in indices])
            batch["reference"], batch["reference_kl"] = known[:, 0], known[:, 1]
        return batch


def both_logps(model, batch) -> tuple[torch.Tensor, torch.Tensor]:
    """(log-probability of each row's completion, of its mismatched one without a gradient), nats; 0 without KL."""
    own = batch["input_ids"], batch["labels"]
    if "prompt_length" in batch:
        return branch_logps(model, *own, batch["prompt_length"], batch["kl_input_ids"], batch["kl_labels"])
    other = torch.zeros(len(own[0]), device=own[0].device)
    if "kl_input_ids" in batch:
        with torch.no_grad():
            other = row_logps(model, batch["kl_input_ids"], batch["kl_labels"])
    return row_logps(model, *own), other


@torch.no_grad()
def reference_logps(model, collate: Collator, batches: list[list[int]]) -> dict[int, tuple[float, float]]:
    """For each row the log-probability of its completion and of its mismatched one under the model as it is now.

    The batches are those of the training, so that the first step sees the same numbers to the last bit.
    """
    found, device = {}, next(model.parameters()).device
    model.eval()
    for indices in progress(batches, desc="Reference", unit="batch"):
        batch = {name: value.to(device) for name, value in collate([{"index": i} for i in indices]).items()}
        own, other = both_logps(model, batch)
        found.update(zip(indices, zip(own.tolist(), other.tolist(), strict=True), strict=True))
    return found


def add_reference(model, collate: Collator, batches: list[list[int]], job) -> Path | None:
    """Give the collator the model's own log-probabilities, asked for or from the disk; the file they are kept in."""
    path = reference_file(
        job.base,
        job.adapter,
        platform=job.platform,
        dtype=str(model.dtype),
        attention=base_of(model).config._attn_implementation,
        kl=needs_kl(job.config),
        shared=job.config.shared_prefix,
        machine=[torch.get_num_threads(), torch.backends.cpu.get_cpu_capability()]
        if job.platform == "cpu"
        else [torch.cuda.get_device_name(), job.config.four_bit, job.config.unsloth],
        versions={name: version for name, version in runs.versions().items() if name in ("torch", "transformers")},
    )
    collate.reference = remembered(path, job.rows, batches, lambda missing: reference_logps(model, collate, missing))
    return path


def make_trainer(model, tokenizer, job) -> PlannedKtoTrainer:
    """A trainer over job.rows with its reference log-probabilities."""
    batches = planned_batches(job.rows, job.desirable, job.config)
    collate = Collator(job.rows, job.desirable, batches, tokenizer.pad_token_id, job.config)
    settings = arguments(job.config, job.run, job.platform, job.resume) | {
        "bf16": model.dtype == torch.bfloat16,
        "num_train_epochs": max(1.0, job.config.epochs),
        "beta": job.config.beta,
    }
    args = KTOConfig(**settings)  # made first: it brings the processes together
    with first_alone():
        path = add_reference(model, collate, batches, job)
    trainer = PlannedKtoTrainer(
        model=model,
        args=args,
        train_dataset=Dataset.from_dict({"index": list(range(len(job.rows)))}),
        processing_class=tokenizer,
        data_collator=collate,
    )
    trainer.plan = lambda epoch: epoch_order(batches, job.config, epoch)
    trainer.config, trainer.reference_file = job.config, path
    trainer.must_start_at_zero = not job.resume
    return trainer


def held_out_loss(model, job):
    """A function: the mean loss on the held-out rows, against the model as it is now; None where none is asked for."""
    if not (job.held_out and job.config.eval_every):
        return None
    batches = file_order(len(job.held_out), job.config.batch_size)
    collate = Collator(job.held_out, job.held_desirable, batches, job.tokenizer.pad_token_id, job.config)
    with first_alone():
        add_reference(model, collate, batches, replace(job, rows=job.held_out))
    return lambda: evaluated(model, collate, batches, job.config)["loss"]


def train(job) -> dict:
    """Train from the SFT adapter on job.rows, save final_model, and return the figures for done.json."""
    model = prepared(job, job.adapter)
    trainer = make_trainer(model, job.tokenizer, job)
    trainer.held_out_loss = held_out_loss(model, job)
    check_trainer(trainer, job)
    seconds = run_training(trainer, job)
    save_adapter(model, job.tokenizer, job.run / "final_model", whole_state(trainer))
    history = trainer.state.log_history
    last = defaultdict(lambda: None, **next((row for row in reversed(history) if "rewards/margins" in row), {}))
    return {
        "steps": trainer.state.global_step,
        "train_loss": history[-1].get("train_loss"),
        "kl": last["kl"],
        "rewards/margins": last["rewards/margins"],
        "seconds": round(seconds, 1),
        **trainer.early.figures(),
    }


def evaluate(job, adapter: Path) -> dict:
    """Mean loss, KL and rewards of the adapter over the rows, against the SFT adapter that KTO starts from."""
    model = prepared(job, job.adapter)
    batches = planned_batches(job.rows, job.desirable, job.config)
    collate = Collator(job.rows, job.desirable, batches, job.tokenizer.pad_token_id, job.config)
    add_reference(model, collate, batches, job)
    read_weights(model, adapter)
    return evaluated(model, collate, batches, job.config)


@torch.no_grad()
def evaluated(model, collate: Collator, batches: list[list[int]], config) -> dict:
    """Means over the batches: loss, kl, rewards of both labels and their margin; and how many rows there were."""
    device, found = next(model.parameters()).device, defaultdict(list)
    for indices in progress(batches, desc="Evaluating", unit="batch"):
        batch = {name: value.to(device) for name, value in collate([{"index": i} for i in indices]).items()}
        policy, other = both_logps(model, batch)
        kl = (other - batch["reference_kl"]).mean().clamp(min=0)
        losses, rewards = kto_losses(policy, batch["reference"], batch["desirable"], kl, config)
        found["loss"].append(losses.mean().item())
        found["kl"].append(kl.item())
        for name, rows in (("chosen", batch["desirable"]), ("rejected", ~batch["desirable"])):
            if rows.any():
                found[f"rewards/{name}"].append(rewards[rows].mean().item())
        if batch["desirable"].any() and not batch["desirable"].all():
            found["rewards/margins"].append(found["rewards/chosen"][-1] - found["rewards/rejected"][-1])
    return {name: sum(values) / len(values) for name, values in found.items()} | {"rows": sum(map(len, batches))}
