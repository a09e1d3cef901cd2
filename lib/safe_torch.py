"""What keeps a torch training safe: whole checkpoints with all sums of the log, early stop, a full memory survived."""

from __future__ import annotations

import gc
import json
from contextlib import nullcontext
from pathlib import Path

import torch
from accelerate.utils import broadcast_object_list
from transformers import TrainerCallback, TrainerState

from lib.batches import can_be_halved, cut
from lib.checkpoints import last_good, rotate, seal
from lib.cli import log
from lib.disk import whole_folder
from lib.jsonl import write_json
from lib.memory import says_full
from lib.ranks import is_first, rank, world_size
from lib.sentinel import Collapse, broken_weights
from lib.stopping import BEST, EarlyStop
from lib.watching import say_smaller


def meter_file(number: int) -> str:
    """The file in a checkpoint with what transformers' own state leaves out, one for each process."""
    return f"meter-{number}.json"


def read_meter(checkpoint: Path) -> dict:
    """This process's sums; the first one's where fewer processes wrote the checkpoint."""
    path = checkpoint / meter_file(rank())
    path = path if path.is_file() else checkpoint / meter_file(0)
    return json.loads(path.read_text(encoding="utf-8"))


def is_out_of_memory(error: Exception) -> bool:
    """Whether the error is a full memory, of the GPU or of the process."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and says_full(str(error))
    )


class SafeMixin:
    """Trainer methods for SFT and KTO.

    config: the recipe; pieces: into how many parts each micro-batch is cut since memory was full; early: EarlyStop;
    held_out_loss(): the loss on the held-out rows, or None.
    """

    config = None
    early = EarlyStop(0, 0)
    held_out_loss = None

    pieces = 1
    least_rows = 1  # of a part
    part = None  # the folder that a checkpoint is being written to

    # ------------------------------------------------------------ memory
    def training_step(self, model, inputs, num_items_in_batch=None):
        """Forward and backward of a micro-batch; when memory is full, all of the step's so far again in smaller parts.

        Parts are weighted by their rows, so the update stays that of the whole micro-batch (for KTO but for the KL
        estimate, which each part makes from its own rows).
        """
        self.step_inputs = [*getattr(self, "step_inputs", []), inputs]
        batches = [inputs]
        while (loss := self.attempt(model, batches, num_items_in_batch)) is None:
            self.halve()
            model.zero_grad()  # a backward pass that was cut short has left some of its gradients
            batches = self.step_inputs
        if self.accelerator.sync_gradients:
            self.step_inputs = []
        return loss

    def attempt(self, model, batches, num_items_in_batch):
        """The loss of the last of these micro-batches; None when memory was full and smaller parts are possible."""
        kept = {name: list(values) for name, values in self._metrics["train"].items()}
        try:
            return [self.in_pieces(model, inputs, num_items_in_batch) for inputs in batches][-1]
        except (RuntimeError, MemoryError) as error:
            rows = [range(len(inputs["input_ids"])) for inputs in batches]
            # Of several processes one alone would wait for the others' gradients once more than they for its own.
            if not is_out_of_memory(error) or world_size() > 1:
                raise
            if not can_be_halved(rows, self.pieces, self.least_rows):
                raise
        self._metrics["train"].clear()
        self._metrics["train"].update(kept)
        return None

    def in_pieces(self, model, inputs, num_items_in_batch):
        """The micro-batch's loss, its gradients added."""
        if self.pieces == 1:
            return super().training_step(model, inputs, num_items_in_batch)
        rows, whole = len(inputs["input_ids"]), self.current_gradient_accumulation_steps
        total = 0.0
        try:
            for part in cut(range(rows), self.pieces, self.least_rows):
                # Trainer divides a mean loss by this; one over all label tokens of the step needs no weight.
                self.current_gradient_accumulation_steps = whole * rows / len(part)
                own = {name: value[part[0] : part[-1] + 1] for name, value in inputs.items()}
                total = total + super().training_step(model, own, num_items_in_batch)
        finally:
            self.current_gradient_accumulation_steps = whole
        return total

    def halve(self) -> None:
        """Twice as many parts from now on, said aloud."""
        self.pieces *= 2
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        say_smaller(self.state.global_step + 1, self.config, self.pieces, self.least_rows)

    # ------------------------------------------------------- checkpoints

    def _load_from_checkpoint(self, resume_from_checkpoint, model=None):
        """The checkpoint's adapter too, where a reference's lies beside it: transformers 5.17 loads that one alone."""
        super()._load_from_checkpoint(resume_from_checkpoint, model)
        model = model or self.model
        if len(getattr(model, "peft_config", ())) > 1:
            model.load_adapter(resume_from_checkpoint, "default", is_trainable=True)
            model.set_adapter("default")

    def _get_output_dir(self, trial=None):
        return str(self.part) if self.part else super()._get_output_dir(trial)

    def _save_checkpoint(self, model, trial):
        """checkpoints/checkpoint-N, whole or not at all, with a digest of every file; older ones beyond two go.

        Of several processes each writes its own random state and sums, the first one all the rest.
        """
        check_finite(self.model, self.config, self.state.global_step)
        run, wait = Path(self.args.output_dir).parent, self.accelerator.wait_for_everyone
        target = run / "checkpoints" / f"checkpoint-{self.state.global_step}"
        with whole_folder(target) if is_first() else nullcontext(target.with_name(f"{target.name}.part")) as part:
            wait()
            self.part = part
            super()._save_checkpoint(model, trial)
            self.part = None
            write_json(part / target.name / meter_file(rank()), self.meter())
            wait()
            if is_first():
                for path in (part / target.name).iterdir():
                    path.rename(part / path.name)
                (part / target.name).rmdir()
                seal(part)
        if is_first():
            rotate(run)
        wait()

    def meter(self) -> dict:
        """The sums since the last logged row and since the start, and what the training has decided by itself."""
        return {
            "loss": self._tr_loss.item(),
            "total_loss": self._total_loss_scalar,
            "last_logged": self._globalstep_last_logged,
            "metrics": dict(self._metrics["train"]),
            "pieces": self.pieces,
            "early": self.early.state(),
        }

    def restore(self, meter: dict) -> None:
        """Go on with these sums, so that rows behind a resume are those of an uninterrupted run."""
        self._tr_loss.fill_(meter["loss"])
        self._total_loss_scalar, self._globalstep_last_logged = meter["total_loss"], meter["last_logged"]
        self._metrics["train"].update(meter["metrics"])
        self._initial_global_step = 0  # the mean loss of done.json is over all steps
        self.pieces = meter["pieces"]
        self.early.restore(meter["early"])


class RestoreCallback(TrainerCallback):
    """Puts a checkpoint's sums back once transformers has cleared its own."""

    def __init__(self, trainer, checkpoint: Path | None):
        self.trainer, self.checkpoint = trainer, checkpoint

    def on_train_begin(self, args, state, control, **_):
        if self.checkpoint:
            self.trainer.restore(read_meter(self.checkpoint))


class EarlyStopCallback(TrainerCallback):
    """Measures the held-out rows, keeps the best adapter in the run's folder best/, and ends the training."""

    def __init__(self, trainer, run: Path):
        self.trainer, self.run = trainer, run

    def on_step_end(self, args, state, control, model=None, **_):
        early = self.trainer.early
        if self.trainer.held_out_loss is None or not early.is_due(state.global_step, state.max_steps):
            return
        loss = broadcast_object_list([self.trainer.held_out_loss()])[0]  # one verdict for all processes
        model.train()
        self.trainer._metrics["train"]["eval_loss"].append(loss)  # so that it stands in the step's row
        control.should_log = True
        if early.see(state.global_step, loss) and is_first():
            with whole_folder(self.run / BEST) as part:
                self.trainer.model.save_pretrained(part, selected_adapters=["default"])
        if early.stopped:
            control.should_save = control.should_training_stop = True


def check_finite(model, config, step: int) -> None:
    """Collapse when a trained weight is no number: such a checkpoint would take the place of a good one."""
    if not all(p.isfinite().all() for p in model.parameters() if p.requires_grad):
        raise Collapse(broken_weights(step, config))


def train_from(trainer, checkpoint: Path | None) -> None:
    """trainer.train from the checkpoint; one behind which the training had stopped early only gets its figures back."""
    meter = read_meter(checkpoint) if checkpoint else None
    if meter is None or not meter["early"]["stopped"]:
        trainer.train(resume_from_checkpoint=checkpoint and str(checkpoint))
        return
    trainer.early.restore(meter["early"])
    trainer.state = TrainerState.load_from_json(str(checkpoint / "trainer_state.json"))
    mean = (meter["total_loss"] + meter["loss"]) / trainer.state.global_step
    trainer.state.log_history.append({"train_loss": mean})


def resume_point(run: Path, resume: bool) -> Path | None:
    """The checkpoint to go on from, which is None at a start."""
    checkpoint = last_good(run) if resume else None
    if resume and checkpoint is None:
        log("No checkpoint yet: starting from the first step.")
    return checkpoint
