"""What SFT and KTO share in MLX: steps, schedule, metrics, and checkpoints from which a run goes on exactly.

Schedule, accumulation and logged values are those of transformers' Trainer, so that a recipe means the same.
"""

from __future__ import annotations

import json
import math
import shutil
import time
from collections import defaultdict
from importlib import import_module
from pathlib import Path

import mlx.core as mx
import mlx.optimizers as optim
from mlx.utils import tree_flatten, tree_map, tree_unflatten

from lib import runs
from lib.cli import log, progress
from lib.disk import sha256, whole_folder
from lib.errors import CannotRun
from lib.jsonl import write_json
from lib.model_mlx import WEIGHTS, read_weights, write_adapter
from lib.schedule import rate_share
from lib.watching import Stop, Watcher

OPTIMIZER, STATE = "optimizer.safetensors", "trainer_state.json"
KEPT = 2  # checkpoints


class Steps:
    """Which micro-batches make up each optimizer step. plan(epoch) lists an epoch's micro-batches."""

    def __init__(self, plan, epochs: float, accumulation: int):
        self.plan, self.accumulation = plan, accumulation
        self.per_epoch = math.ceil(len(plan(0)) / accumulation)
        self.total = math.ceil(epochs * self.per_epoch)
        self.epoch, self.batches = 0, plan(0)

    def group(self, step: int) -> list[list[int]]:
        """The micro-batches of a step, counted from 0; the last step of an epoch may have fewer."""
        epoch, place = divmod(step, self.per_epoch)
        if epoch != self.epoch:
            self.epoch, self.batches = epoch, self.plan(epoch)
        start = place * self.accumulation
        return self.batches[start : start + self.accumulation]


class Meter:
    """Losses and figures since the last logged row, and the sum of all losses; JSON in a checkpoint."""

    def __init__(self):
        self.losses: list[float] = []
        self.figures: dict[str, list[float]] = defaultdict(list)
        self.total = 0.0

    def add(self, name: str, value: float) -> None:
        """A figure of one micro-batch."""
        self.figures[name].append(value)

    def drain(self) -> dict:
        """Means since the last time, which are forgotten."""
        found = {"loss": sum(self.losses) / len(self.losses)}
        found |= {name: sum(values) / len(values) for name, values in self.figures.items()}
        self.losses, self.figures = [], defaultdict(list)
        return found

    def state(self) -> dict:
        return {"losses": self.losses, "figures": dict(self.figures), "total": self.total}

    def restore(self, state: dict) -> None:
        self.losses, self.total = state["losses"], state["total"]
        self.figures = defaultdict(list, state["figures"])


def added(one, other):
    """The sum of two trees of gradients; the first may be None."""
    return other if one is None else tree_map(mx.add, one, other)


class Loop:
    """Optimizer steps over LoRA matrices. gradients(group, meter, watcher) gives a step's (loss, gradients)."""

    def __init__(self, job, model, steps: Steps, gradients):
        self.job, self.model, self.steps, self.gradients = job, model, steps, gradients
        weight_decay = job.config.weight_decay
        self.optimizer = optim.AdamW(learning_rate=0.0, weight_decay=weight_decay, bias_correction=True)
        self.optimizer.init(model.trainable_parameters())
        self.meter, self.step = Meter(), 0
        self.last: dict = {}

    def run(self, watcher: Watcher, stop: Stop, report) -> None:
        """Train to the end, or to the step in which the user asked to stop (then KeyboardInterrupt)."""
        config = self.job.config
        for step in progress(range(self.step, self.steps.total), desc=self.job.method.upper(), unit="step"):
            rate, norm = self.advance(step, watcher)
            if self.step % config.log_every == 0 or self.step == 1:
                epoch = self.step / self.steps.per_epoch
                self.last = self.meter.drain() | {"grad_norm": norm, "learning_rate": rate, "epoch": epoch}
                watcher.write(self.step, self.last, mx.get_peak_memory() / 1e9)
                report(self.step, self.last)
            if self.step % config.save_every == 0 or self.step == self.steps.total or stop.stopped:
                self.save()
            if stop.stopped and self.step < self.steps.total:
                raise KeyboardInterrupt

    def advance(self, step: int, watcher: Watcher) -> tuple[float, float]:
        """One optimizer step; (its learning rate, the norm of its gradients before clipping)."""
        mx.random.seed(self.job.config.seed * 1_000_003 + step)  # dropout needs no saved state that way
        rate = self.job.config.learning_rate * rate_share(self.job.config, self.steps.total, step)
        loss, gradients = self.gradients(self.steps.group(step), self.meter, watcher)
        gradients, norm = optim.clip_grad_norm(gradients, self.job.config.max_grad_norm)
        self.optimizer.learning_rate = rate
        self.optimizer.update(self.model, gradients)
        mx.eval(self.model.trainable_parameters(), self.optimizer.state, norm)
        self.meter.losses.append(loss)
        self.meter.total += loss
        self.step = step + 1
        return rate, norm.item()

    def save(self) -> None:
        """checkpoints/checkpoint-N, whole or not at all; older ones beyond KEPT go."""
        folder = self.job.run / "checkpoints"
        with whole_folder(folder / f"checkpoint-{self.step}") as part:
            write_adapter(self.model, part)
            mx.save_safetensors(str(part / OPTIMIZER), dict(tree_flatten(self.optimizer.state)))
            state = {"global_step": self.step, "max_steps": self.steps.total, "meter": self.meter.state()}
            digests = {name: sha256(part / name) for name in (WEIGHTS, OPTIMIZER)}
            write_json(part / STATE, state | {"last": self.last, "files": digests})
        for old in checkpoints(self.job.run)[KEPT:]:
            shutil.rmtree(old)

    def load(self, folder: Path) -> None:
        """Go on from a checkpoint; OSError, ValueError, KeyError, RuntimeError or CannotRun when it is damaged."""
        state = json.loads((folder / STATE).read_text(encoding="utf-8"))
        for name, digest in state["files"].items():
            if sha256(folder / name) != digest:
                raise ValueError(f"{name} is not what was written")
        optimizer = tree_unflatten(list(mx.load(str(folder / OPTIMIZER)).items()))
        mx.eval(optimizer)
        read_weights(self.model, folder)
        self.optimizer.state = optimizer
        self.meter.restore(state["meter"])
        self.step, self.last = state["global_step"], state["last"]


def checkpoints(run: Path) -> list[Path]:
    """The run's whole checkpoints, newest first."""
    found = [path for path in (run / "checkpoints").glob("checkpoint-*") if path.name.rsplit("-", 1)[-1].isdigit()]
    return sorted(found, key=lambda path: -int(path.name.rsplit("-", 1)[-1]))


def resume(loop: Loop, run: Path) -> None:
    """Bring the loop to the newest checkpoint that can be read; a damaged one is set aside, which is said."""
    for folder in checkpoints(run):
        try:
            return loop.load(folder)
        except (OSError, ValueError, KeyError, RuntimeError, CannotRun) as error:
            log(f"{folder} is damaged ({error}); going back to the one before.")
            folder.rename(folder.with_name(folder.name.replace("checkpoint-", "broken-")))
    log("No checkpoint yet: starting from the first step.")


def reporter(config, run: Path):
    """A function (step, values) for trackio or W&B, which take the same calls, and the one that ends the report."""
    if config.report_to == "none":
        return (lambda step, values: None), (lambda: None)
    try:
        board = import_module(config.report_to)
    except ImportError:
        install = f"{config.report_to} is not installed: .venv/bin/python -m pip install {config.report_to}"
        raise CannotRun(f"report_to is {config.report_to}, but {install}") from None
    board.init(project=config.project, name=run.name, config=runs.read_manifest(run)["settings"])
    return (lambda step, values: board.log({f"train/{name}": v for name, v in values.items()}, step=step)), board.finish


def run_training(loop: Loop) -> float:
    """Train to the end or to a clean stop; seconds taken. Ends in KeyboardInterrupt when the user stopped it."""
    job = loop.job
    metrics, stop = runs.Metrics(job.run), Stop()
    if job.config.gradient_checkpointing:
        import_module("mlx_lm.tuner.trainer").grad_checkpoint(loop.model.layers[0])
    if mx.metal.is_available():
        mx.set_wired_limit(mx.device_info()["max_recommended_working_set_size"])
    if job.resume:
        resume(loop, job.run)
        metrics.drop_after(loop.step or -1)
    report, end = reporter(job.config, job.run)
    started = time.monotonic()
    try:
        with stop.listening():
            loop.run(Watcher(metrics, job.method), stop, report)
    except (RuntimeError, OSError) as error:
        if sentence := explained(error, job.run):
            raise CannotRun(sentence) from error
        raise
    finally:
        metrics.close()
        end()
    return time.monotonic() - started


def explained(error: Exception, run: Path) -> str | None:
    """A sentence for people where the error is a full memory or disk; None for any other."""
    text = str(error)
    if any(word in text.lower() for word in ("out of memory", "insufficient memory", "malloc")):
        return "out of memory. Use a smaller --batch-size with more --grad-accumulation, or --gradient-checkpointing."
    if isinstance(error, OSError) or any(word in text for word in ("save_safetensors", "No space left", "[write]")):
        return f"{run}: a checkpoint could not be written ({text}). Free some disk, then RESUME=1."
    return None
