"""When to measure the held-out rows during a training, which adapter was best, and when more steps are of no use."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from lib.cli import log

BEST = "best"  # the run's folder with the adapter of the lowest evaluation loss


@dataclass
class EarlyStop:
    """Counts evaluations. every: steps between them, 0 for none; patience: how many may bring nothing, 0: any number.

    best: lowest evaluation loss so far, of step best_step; waited: evaluations since; stopped: patience is at an end.
    """

    every: int
    patience: int
    best: float | None = None
    best_step: int = 0
    waited: int = 0
    stopped: bool = False

    def is_due(self, step: int, total: int) -> bool:
        """Whether the held-out rows are measured behind this step: every so often, and behind the last one."""
        return bool(self.every) and (step % self.every == 0 or step == total)

    def see(self, step: int, loss: float) -> bool:
        """Take in an evaluation loss; whether it is the lowest so far."""
        if self.best is None or loss < self.best:
            self.best, self.best_step, self.waited = loss, step, 0
            return True
        self.waited += 1
        if self.patience and self.waited >= self.patience:
            self.stopped = True
            log(
                f"Stopping early: {self.waited} evaluations without a loss below {self.best:.4g}, which was that of "
                f"step {self.best_step}."
            )
        return False

    def best_adapter(self, run: Path) -> Path:
        """The folder with the adapter that becomes final_model, which is said."""
        log(f"Taking the adapter of step {self.best_step}: evaluation loss {self.best:.4g}.")
        return run / BEST

    def state(self) -> dict:
        """For a checkpoint."""
        return asdict(self)

    def restore(self, state: dict) -> None:
        self.best, self.best_step = state["best"], state["best_step"]
        self.waited, self.stopped = state["waited"], state["stopped"]

    def figures(self) -> dict:
        """For done.json: the step whose adapter became final_model; nothing where no evaluation was asked for."""
        return {} if self.best is None else {"best_step": self.best_step}
