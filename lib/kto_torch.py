"""KTO with trl and peft from a finished SFT run: its adapter is where the policy starts and its reference."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import torch
from datasets import Dataset
from trl import KTOConfig, KTOTrainer

from lib import runs
from lib.batches import file_order, kl_partners, label_grouped, longest_first, order_report
from lib.cli import log, progress
from lib.errors import CannotRun
from lib.fast_torch import speed_up
from lib.loss_torch import kto_losses, row_logps
from lib.model_torch import load_adapter, load_base, save_adapter
from lib.rendering import Rendered
from lib.training_torch import MetricsCallback, PlannedMixin, StopCallback, arguments, run_training, tensors

FIRST_STEP_TOLERANCE = 1e-3  # nats: policy and reference are the same weights before the first update


class PlannedKtoTrainer(PlannedMixin, KTOTrainer):
    """trl's KTOTrainer on our rendered rows, batches and losses; its own dataset preparation is skipped."""

    config = None
    counter = None
    must_start_at_zero = True

    def _prepare_dataset(self, dataset, *args, **kwargs):
        return dataset

    def _compute_loss(self, model, inputs, return_outputs=False):
        with torch.no_grad():
            partner = row_logps(model, *(inputs[f"kl_{name}"] for name in ("input_ids", "labels")))
        policy = row_logps(model, inputs["input_ids"], inputs["labels"])
        kl = (partner - inputs["reference_kl"]).mean().clamp(min=0)
        losses, rewards = kto_losses(policy, inputs["reference"], inputs["desirable"], kl, self.config)
        if self.must_start_at_zero and model.training:
            check_start(rewards, partner - inputs["reference_kl"])
            self.must_start_at_zero = False
        self.record(model, inputs["desirable"], rewards, policy.detach(), kl)
        if self.counter is not None and model.training:
            self.counter(int(inputs["attention_mask"].sum()))
        loss = losses.mean()
        return (loss, {}) if return_outputs else loss

    def record(self, model, desirable, rewards, policy, kl) -> None:
        """Means for the log under trl's names: kl, rewards/chosen, rewards/rejected, rewards/margins, logps/..."""
        store = self._metrics["train" if model.training else "eval"]
        store["kl"].append(kl.item())
        for name, rows in (("chosen", desirable), ("rejected", ~desirable)):
            if rows.any():
                store[f"rewards/{name}"].append(rewards[rows].mean().item())
                store[f"logps/{name}"].append(policy[rows].mean().item())
        if desirable.any() and not desirable.all():
            store["rewards/margins"].append(store["rewards/chosen"][-1] - store["rewards/rejected"][-1])


def check_start(rewards, log_ratios) -> None:
    """CannotRun unless rewards and KL of the first step are 0: the reference would not be the SFT model otherwise."""
    worst = max(rewards.abs().max().item(), log_ratios.abs().max().item())
    if not worst <= FIRST_STEP_TOLERANCE:
        raise CannotRun(
            f"at the first step rewards and KL must be 0, but reach {worst:.3g}: the reference is not the model that "
            "KTO starts from. Delete the run's reference.pt, or name the SFT run: --from-run runs/<name>."
        )


def swap_completion(row: Rendered, partner: Rendered) -> tuple[list[int], list[int]]:
    """(ids, labels) of row's prompt with partner's completion."""
    ids = row.input_ids[: row.prompt_length] + partner.input_ids[partner.prompt_length :]
    return ids, row.labels[: row.prompt_length] + partner.labels[partner.prompt_length :]


class Collator:
    """Padded batches of rows and their mismatched twins, with the reference log-probabilities once they are known."""

    def __init__(self, rows: list[Rendered], desirable: list[bool], batches: list[list[int]], pad_id: int):
        self.rows, self.desirable, self.pad_id = rows, desirable, pad_id
        self.partner = {a: b for batch in batches for a, b in zip(batch, kl_partners(batch), strict=True)}
        self.reference: dict[int, tuple[float, float]] = {}

    def __call__(self, items: list[dict]) -> dict[str, torch.Tensor]:
        indices = [item["index"] for item in items]
        rows = [self.rows[i] for i in indices]
        batch = tensors([row.input_ids for row in rows], [row.labels for row in rows], self.pad_id)
        twins = [swap_completion(self.rows[i], self.rows[self.partner[i]]) for i in indices]
        mismatched = tensors([ids for ids, _ in twins], [labels for _, labels in twins], self.pad_id)
        batch |= {f"kl_{name}": tensor for name, tensor in mismatched.items()}
        batch["desirable"] = torch.tensor([self.desirable[i] for i in indices])
        if self.reference:
            known = torch.tensor([self.reference[i] for i in indices])
            batch["reference"], batch["reference_kl"] = known[:, 0], known[:, 1]
        return batch


@torch.no_grad()
def reference_logps(model, collate: Collator, batches: list[list[int]]) -> dict[int, tuple[float, float]]:
    """For each row the log-probability of its completion and of its mismatched one under the model as it is now.

    The batches are those of the training, so that the first step sees the same numbers to the last bit.
    """
    found, device = {}, next(model.parameters()).device
    model.eval()
    for indices in progress(batches, desc="Reference", unit="batch"):
        batch = {name: value.to(device) for name, value in collate([{"index": i} for i in indices]).items()}
        own = row_logps(model, batch["input_ids"], batch["labels"])
        other = row_logps(model, batch["kl_input_ids"], batch["kl_labels"])
        found.update(zip(indices, zip(own.tolist(), other.tolist(), strict=True), strict=True))
    return found


def cached_reference(model, collate: Collator, batches: list[list[int]], path: Path) -> dict[int, tuple[float, float]]:
    """reference_logps, kept in the run's reference.pt so that a resumed run measures against the same numbers."""
    if path.is_file():
        return torch.load(path, weights_only=True)
    found = reference_logps(model, collate, batches)
    part = path.with_name(path.name + ".part")
    torch.save(found, part)
    part.replace(path)
    return found


def planned_batches(rows: list[Rendered], desirable: list[bool], config) -> list[list[int]]:
    """The micro-batches that the training will use, reported; `epochs` below 1 asks for that share of them only."""
    lengths = [len(row.input_ids) for row in rows]
    prompts = [tuple(row.input_ids[: row.prompt_length]) for row in rows]
    if config.order == "file":
        batches = file_order(len(rows), config.batch_size)
    else:
        batches = label_grouped(lengths, desirable, prompts, config.batch_size, config.seed)
    if config.epochs < 1:
        steps = -(-len(batches) * config.epochs // config.grad_accumulation)
        batches = batches[: max(1, int(steps)) * config.grad_accumulation]
    if config.order == "grouped":
        batches = longest_first(batches, lengths)
    found = order_report(batches, desirable, prompts)
    log(
        f"Order: {found['rows']} rows, {found['desirable']} desirable, "
        f"{'strictly alternating' if found['alternating'] else 'not strictly alternating'}; "
        f"{found['one_label_batches']} of {len(batches)} batches with one label, "
        f"{found['same_prompt_partners']} KL partners of the same prompt"
    )
    return batches


def make_trainer(model, tokenizer, job) -> PlannedKtoTrainer:
    """A trainer over job.rows with its reference log-probabilities."""
    batches = planned_batches(job.rows, job.desirable, job.config)
    collate = Collator(job.rows, job.desirable, batches, tokenizer.pad_token_id)
    collate.reference = cached_reference(model, collate, batches, job.run / "reference.pt")
    settings = arguments(job.config, job.run, job.platform, job.resume) | {
        "num_train_epochs": max(1.0, job.config.epochs),
        "beta": job.config.beta,
    }
    trainer = PlannedKtoTrainer(
        model=model,
        args=KTOConfig(**settings),
        train_dataset=Dataset.from_dict({"index": list(range(len(job.rows)))}),
        processing_class=tokenizer,
        data_collator=collate,
    )
    trainer.plan = lambda epoch: batches
    trainer.config = job.config
    trainer.must_start_at_zero = not job.resume
    return trainer


def train(job) -> dict:
    """Train from the SFT adapter on job.rows, save final_model, and return the figures for done.json."""
    model = load_adapter(load_base(job.base, job.platform), job.adapter)
    speed_up(model)
    trainer = make_trainer(model, job.tokenizer, job)
    metrics, stop = runs.Metrics(job.run), StopCallback()
    watcher = MetricsCallback(metrics, job.platform, "kto")
    trainer.counter = watcher.count
    trainer.add_callback(watcher)
    trainer.add_callback(stop)
    seconds = run_training(trainer, stop, metrics, job.run, job.resume)
    save_adapter(model, job.tokenizer, job.run / "final_model")
    history = trainer.state.log_history
    last = defaultdict(lambda: None, **next((row for row in reversed(history) if "rewards/margins" in row), {}))
    return {
        "steps": trainer.state.global_step,
        "train_loss": history[-1].get("train_loss"),
        "kl": last["kl"],
        "rewards/margins": last["rewards/margins"],
        "seconds": round(seconds, 1),
    }
