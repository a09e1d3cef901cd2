"""What the SFT and KTO trainers share: rows to tensors, planned batches, metrics, checkpoints, a clean stop."""

from __future__ import annotations

import os
import sys
import time
from functools import partial
from pathlib import Path

import torch
from accelerate.data_loader import prepare_data_loader
from safetensors import SafetensorError
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader
from transformers import PrinterCallback, TrainerCallback

from lib import runs
from lib.batches import pad_rows
from lib.checkpoints import step_of
from lib.distributed_torch import agreed, first_alone, open_forward, own_batches, shared_figures
from lib.errors import CannotRun
from lib.model_torch import read_weights
from lib.ranks import is_first, world_size
from lib.rendering import IGNORED
from lib.safe_torch import EarlyStopCallback, RestoreCallback, SafeMixin, is_out_of_memory, resume_point, train_from
from lib.schedule import rate_share
from lib.sentinel import Collapse, Sentinel, report
from lib.stopping import EarlyStop
from lib.watching import Stop, Watcher

DISK_WORDS = ("No space left", "unexpected pos", "file write failed", "File too large")


class PlannedBatches:
    """A batch sampler that hands out plan(epoch); accelerate tells it the epoch and skips batches on resume."""

    def __init__(self, plan):
        self.plan, self.batches = plan, plan(0)

    def set_epoch(self, epoch: int) -> None:
        self.batches = self.plan(epoch)

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self):
        return iter(self.batches)


class PlannedMixin(SafeMixin):
    """Trainer methods that both methods override: our batches in our order, and no model card for each checkpoint.

    plan: epoch -> its micro-batches; config: the recipe.
    """

    plan = None
    config = None

    def get_train_dataloader(self):
        batches = PlannedBatches(lambda epoch: own_batches(self.plan(epoch)))
        loader = DataLoader(self.train_dataset, batch_sampler=batches, collate_fn=self.data_collator, num_workers=0)
        # The batches are this process's own already: nothing is left to share out.
        alone = {"num_processes": 1, "process_index": 0}
        return prepare_data_loader(loader, self.accelerator.device, **alone, put_on_device=True)

    def log(self, logs, *args, **kwargs):
        mode = "train" if self.model.training else "eval"
        self._metrics[mode] = shared_figures(self._metrics[mode])
        super().log(logs, *args, **kwargs)

    def create_scheduler(self, num_training_steps: int, optimizer=None):
        """The two-stage schedule as one that checkpoints carry on; transformers' own linear one without a stage."""
        if self.lr_scheduler is None and self.config.stage_step:
            shares = partial(rate_share, self.config, num_training_steps)
            self.lr_scheduler = LambdaLR(optimizer or self.optimizer, shares)
            self._created_lr_scheduler = True
        return super().create_scheduler(num_training_steps, optimizer)

    def create_model_card(self, *args, **kwargs):
        """The card is written once, at upload."""


def pad(sequences: list[list[int]], value: int) -> torch.Tensor:
    """(rows, longest, rounded up to LENGTH_STEP) with the sequences on the left and value behind them."""
    return torch.tensor(pad_rows(sequences, value))


def tensors(ids: list[list[int]], labels: list[list[int]], pad_id: int) -> dict[str, torch.Tensor]:
    """input_ids, attention_mask and labels of one padded batch."""
    padded = pad(ids, pad_id)
    mask = pad([[1] * len(row) for row in ids], 0)
    return {"input_ids": padded, "attention_mask": mask, "labels": pad(labels, IGNORED)}


def arguments(config, run: Path, platform: str, resume: bool) -> dict:
    """Keyword arguments for trl's SFTConfig and KTOConfig that follow from ours."""
    if config.report_to == "wandb":  # which transformers tells its project by the environment alone
        os.environ.setdefault("WANDB_PROJECT", config.project)
    return {
        "output_dir": str(run / "checkpoints"),
        "learning_rate": config.learning_rate,
        "num_train_epochs": config.epochs,
        "warmup_steps": config.warmup_fraction,  # transformers 5: below 1 it is a share of all steps
        "weight_decay": config.weight_decay,
        "max_grad_norm": config.max_grad_norm,
        "per_device_train_batch_size": config.batch_size,
        "gradient_accumulation_steps": config.grad_accumulation // world_size(),
        "gradient_checkpointing": config.gradient_checkpointing,
        "max_length": config.max_length,
        "logging_steps": config.log_every,
        "logging_first_step": True,
        "logging_nan_inf_filter": False,  # a NaN is to be seen
        "save_steps": config.save_every,
        "lr_scheduler_type": "linear",
        "optim": "paged_adamw_8bit" if platform == "cuda" else "adamw_torch_fused",
        "bf16": True,  # autocast: LoRA's fp32 masters are multiplied in bf16
        "use_cpu": platform == "cpu",
        "ddp_backend": "gloo" if platform == "cpu" and world_size() > 1 else None,
        "ddp_find_unused_parameters": False if world_size() > 1 else None,
        "ddp_timeout": 24 * 3600,  # seconds: the others wait for what the first computes alone
        "seed": config.seed,
        "report_to": config.report_to,
        "project": config.project,
        "run_name": run.name,
        "trackio_static_space_id": False,  # transformers would publish a local board as a Space on the Hub
        "disable_tqdm": not sys.stderr.isatty(),
        "remove_unused_columns": False,
        "dataloader_pin_memory": platform == "cuda",
        "eval_strategy": "no",
        "log_level": "error",
        "restore_callback_states_from_checkpoint": resume,
    }


def memory_gb(platform: str) -> float:
    """Peak memory so far: of the GPU, or of this process."""
    if platform == "cuda":
        return torch.cuda.max_memory_allocated() / 1e9
    if os.name == "nt":
        import psutil

        return psutil.Process().memory_info().peak_wset / 1e9
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e9 if sys.platform == "darwin" else 1e6)


class MetricsCallback(Watcher, TrainerCallback):
    """Writes each logged step to the run's metrics and to the console as a table row."""

    def __init__(self, metrics, method: str, sentinel, platform: str):
        super().__init__(metrics, method, sentinel)
        self.platform = platform

    def count(self, tokens: int) -> None:
        super().count(tokens * world_size())  # batches of one step are alike in length

    def on_log(self, args, state, control, logs=None, **_):
        if "loss" in logs and is_first():
            values = {name: value for name, value in logs.items() if name not in ("num_tokens", "entropy")}
            self.write(state.global_step, values, memory_gb(self.platform))


class StopCallback(Stop, TrainerCallback):
    """Ctrl-C or SIGTERM: finish the step, save a checkpoint, then stop; a second Ctrl-C stops at once."""

    def on_step_end(self, args, state, control, **_):
        if agreed(self.stopped, Path(args.output_dir).parent):
            self.stopped = control.should_save = control.should_training_stop = True


def open_metrics(run: Path) -> runs.Metrics:
    """The run's log, made by the first process and opened by all, of which only the first writes."""
    with first_alone():
        return runs.Metrics(run)


def run_training(trainer, job) -> float:
    """Train to the end, to an early stop or to a clean stop; seconds taken. KeyboardInterrupt when the user stopped it.

    The trainer's model then holds the best adapter, where evaluations during the training were asked for.
    """
    run, metrics, stop = job.run, open_metrics(job.run), StopCallback()
    sentinel = Sentinel(job.method, job.config)
    trainer.early = EarlyStop(job.config.eval_every, job.config.patience)
    watcher = MetricsCallback(metrics, job.method, sentinel, job.platform)
    trainer.counter = watcher.count
    with first_alone():
        checkpoint = resume_point(run, job.resume)
    if job.resume and is_first():
        sentinel.remember(metrics.drop_after(step_of(checkpoint) if checkpoint else -1))
    trainer.remove_callback(PrinterCallback)  # our table row says the same
    for callback in (RestoreCallback(trainer, checkpoint), EarlyStopCallback(trainer, run), watcher, stop):
        trainer.add_callback(callback)
    if world_size() > 1:
        open_forward(trainer.model)
    started = time.monotonic()
    try:
        with stop.listening():
            train_from(trainer, checkpoint)
    except Collapse as collapse:
        raise report(collapse, run, job.method) from None
    except (RuntimeError, MemoryError, OSError, SafetensorError) as error:
        if sentence := explained(error, run):
            raise CannotRun(sentence) from error
        raise
    finally:
        metrics.close()
    if stop.stopped:
        raise KeyboardInterrupt
    if trainer.early.best is not None:
        read_weights(trainer.model, trainer.early.best_adapter(run))
    return time.monotonic() - started


def explained(error: Exception, run: Path) -> str | None:
    """A sentence for people where the error is a full memory or disk; None for any other."""
    text = " ".join(str(error).split())
    if is_out_of_memory(error):
        return "out of memory, even in the smallest batches. Use --gradient-checkpointing or a smaller --max-length."
    # torch.save and safetensors have errors of their own for a disk that takes no more.
    if isinstance(error, OSError | SafetensorError) or any(word in text for word in DISK_WORDS):
        return f"{run}: a checkpoint could not be written ({text}). Free some disk, then RESUME=1."
    return None
