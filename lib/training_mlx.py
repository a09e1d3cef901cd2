"""What SFT and KTO share in MLX: steps, schedule, metrics, and checkpoints from which a run goes on exactly.

Schedule, accumulation and logged values are those of transformers' Trainer, so that a recipe means the same.
"""

from __future__ import annotations

import json
import math
import time
from collections import defaultdict
from importlib import import_module
from pathlib import Path

import mlx.core as mx
import mlx.optimizers as optim
from mlx.utils import tree_flatten, tree_map, tree_unflatten

from lib import runs
from lib.batches import can_be_halved, cut
from lib.checkpoints import last_good, rotate, seal, set_aside
from lib.cli import log, progress
from lib.disk import whole_folder
from lib.errors import CannotRun
from lib.jsonl import write_json
from lib.memory import says_full
from lib.model_mlx import read_weights, write_adapter
from lib.schedule import rate_share
from lib.sentinel import Collapse, Sentinel, broken_weights, report
from lib.stopping import BEST, EarlyStop
from lib.watching import Stop, Watcher, say_smaller

OPTIMIZER, STATE = "optimizer.safetensors", "trainer_state.json"


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
        """A copy, for a checkpoint or to go back to."""
        figures = {name: list(values) for name, values in self.figures.items()}
        return {"losses": list(self.losses), "figures": figures, "total": self.total}

    def restore(self, state: dict) -> None:
        self.losses, self.total = state["losses"], state["total"]
        self.figures = defaultdict(list, state["figures"])


def added(one, other):
    """The sum of two trees of gradients; the first may be None."""
    return other if one is None else tree_map(mx.add, one, other)


class Loop:
    """Optimizer steps over LoRA matrices.

    gradients(group, meter, watcher) gives (loss, gradients) of a step's group, a list of (rows of a micro-batch, its
    share of the step); held_out_loss(): the loss on the held-out rows, or None; least_rows: of a micro-batch that is
    cut because memory was full.
    """

    def __init__(self, job, model, steps: Steps, gradients, least_rows: int = 1):
        self.job, self.model, self.steps, self.gradients = job, model, steps, gradients
        weight_decay = job.config.weight_decay
        self.optimizer = optim.AdamW(learning_rate=0.0, weight_decay=weight_decay, bias_correction=True)
        self.optimizer.init(model.trainable_parameters())
        self.meter, self.step = Meter(), 0
        self.last: dict = {}
        self.early, self.held_out_loss = EarlyStop(job.config.eval_every, job.config.patience), None
        self.pieces, self.least_rows = 1, least_rows

    def run(self, watcher: Watcher, stop: Stop, report) -> None:
        """Train to the end, to an early stop, or to the step in which the user asked to stop (KeyboardInterrupt)."""
        config = self.job.config
        for step in progress(range(self.step, self.steps.total), desc=self.job.method.upper(), unit="step"):
            if self.early.stopped:
                break
            rate, norm = self.advance(step, watcher)
            found = self.evaluate()
            if self.step % config.log_every == 0 or self.step == 1 or found:
                epoch = self.step / self.steps.per_epoch
                self.last = self.meter.drain() | {"grad_norm": norm, "learning_rate": rate, "epoch": epoch} | found
                watcher.write(self.step, self.last, mx.get_peak_memory() / 1e9)
                report(self.step, self.last)
            ends = self.step == self.steps.total or self.early.stopped
            if self.step % config.save_every == 0 or ends or stop.stopped:
                self.save()
            if stop.stopped and not ends:
                raise KeyboardInterrupt

    def advance(self, step: int, watcher: Watcher) -> tuple[float, float]:
        """One optimizer step; (its learning rate, the norm of its gradients before clipping)."""
        rate = self.job.config.learning_rate * rate_share(self.job.config, self.steps.total, step)
        loss, gradients = self.gradients_of_step(step, watcher)
        gradients, norm = optim.clip_grad_norm(gradients, self.job.config.max_grad_norm)
        self.optimizer.learning_rate = rate
        self.optimizer.update(self.model, gradients)
        mx.eval(self.model.trainable_parameters(), self.optimizer.state, norm)
        self.meter.losses.append(loss)
        self.meter.total += loss
        self.step = step + 1
        return rate, norm.item()

    def gradients_of_step(self, step: int, watcher: Watcher):
        """(loss, gradients); when memory is full, once more with micro-batches half as large and twice as many."""
        while True:
            mx.random.seed(self.job.config.seed * 1_000_003 + step)  # dropout needs no saved state that way
            kept = self.meter.state()
            group = self.steps.group(step)
            parts = [
                (part, len(part) / len(rows) / len(group))
                for rows in group
                for part in cut(rows, self.pieces, self.least_rows)
            ]
            try:
                return self.gradients(parts, self.meter, watcher)
            except RuntimeError as error:
                if not says_full(str(error)) or not can_be_halved(group, self.pieces, self.least_rows):
                    raise
            self.meter.restore(kept)
            self.halve()

    def halve(self) -> None:
        """Twice as many parts from now on, said aloud."""
        self.pieces *= 2
        mx.clear_cache()
        say_smaller(self.step + 1, self.job.config, self.pieces, self.least_rows)

    def evaluate(self) -> dict:
        """The evaluation loss when it is due; the best adapter so far is kept in the run's folder best/."""
        if self.held_out_loss is None or not self.early.is_due(self.step, self.steps.total):
            return {}
        loss = self.held_out_loss()
        if self.early.see(self.step, loss):
            with whole_folder(self.job.run / BEST) as part:
                write_adapter(self.model, part)
        return {"eval_loss": loss}

    def save(self) -> None:
        """checkpoints/checkpoint-N, whole or not at all, with a digest of every file; older ones beyond two go."""
        weights = [value for _, value in tree_flatten(self.model.trainable_parameters())]
        if not all(mx.isfinite(value).all().item() for value in weights):
            raise Collapse(broken_weights(self.step, self.job.config))
        with whole_folder(self.job.run / "checkpoints" / f"checkpoint-{self.step}") as part:
            write_adapter(self.model, part)
            mx.save_safetensors(str(part / OPTIMIZER), dict(tree_flatten(self.optimizer.state)))
            state = {"global_step": self.step, "max_steps": self.steps.total, "meter": self.meter.state()}
            state |= {"last": self.last, "pieces": self.pieces, "early": self.early.state()}
            write_json(part / STATE, state)
            seal(part)
        rotate(self.job.run)

    def load(self, folder: Path) -> None:
        """Go on from a checkpoint; OSError, ValueError, KeyError, RuntimeError or CannotRun when it is damaged."""
        state = json.loads((folder / STATE).read_text(encoding="utf-8"))
        optimizer = tree_unflatten(list(mx.load(str(folder / OPTIMIZER)).items()))
        mx.eval(optimizer)
        read_weights(self.model, folder)
        self.optimizer.state = optimizer
        self.meter.restore(state["meter"])
        self.early.restore(state["early"])
        self.step, self.last, self.pieces = state["global_step"], state["last"], state["pieces"]


def resume(loop: Loop, run: Path) -> None:
    """Bring the loop to the newest checkpoint that can be read; a damaged one is set aside, which is said."""
    while folder := last_good(run):
        try:
            return loop.load(folder)
        except (OSError, ValueError, KeyError, RuntimeError, CannotRun) as error:
            log(f"{folder} is damaged ({error}); going back to the one before.")
            set_aside(folder, "broken")
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
    sentinel = Sentinel(job.method, job.config)
    if job.resume:
        resume(loop, job.run)
        sentinel.remember(metrics.drop_after(loop.step or -1))
    send, end = reporter(job.config, job.run)
    started = time.monotonic()
    try:
        with stop.listening():
            loop.run(Watcher(metrics, job.method, sentinel), stop, send)
    except Collapse as collapse:
        raise report(collapse, job.run, job.method) from None
    except (RuntimeError, OSError) as error:
        if sentence := explained(error, job.run):
            raise CannotRun(sentence) from error
        raise
    finally:
        metrics.close()
        end()
    if loop.early.best is not None:
        read_weights(loop.model, loop.early.best_adapter(job.run))
    return time.monotonic() - started


def explained(error: Exception, run: Path) -> str | None:
    """A sentence for people where the error is a full memory or disk; None for any other."""
    text = str(error)
    if says_full(str(error)):
        return "out of memory, even in the smallest batches. Use --gradient-checkpointing or a smaller --max-length."
    if isinstance(error, OSError) or any(word in text for word in ("save_safetensors", "No space left", "[write]")):
        return f"{run}: a checkpoint could not be written ({text}). Free some disk, then RESUME=1."
    return None
