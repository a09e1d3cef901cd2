"""What every trainer shows and obeys: the metrics row, the live table, and a clean stop at Ctrl-C or SIGTERM."""

from __future__ import annotations

import contextlib
import signal
import time

from lib.cli import log

COLUMNS = ("step", "epoch", "loss", "learning_rate", "grad_norm", "kl", "rewards/margins", "tokens_per_s", "memory_gb")
HEADER_EVERY = 20  # rows


class Watcher:
    """Writes a logged step to the run's metrics and to the console as a table row; the sentinel may end it there."""

    def __init__(self, metrics, method: str, sentinel=None):
        self.metrics, self.sentinel = metrics, sentinel
        self.columns = [name for name in COLUMNS if method == "kto" or name not in ("kl", "rewards/margins")]
        self.rows = self.tokens = 0
        self.started = self.since = time.monotonic()

    def count(self, tokens: int) -> None:
        """Add the tokens of a batch that was just computed, padding left out."""
        self.tokens += tokens

    def write(self, step: int, values: dict, memory_gb: float) -> None:
        """One row: the values, then tokens a second since the last row, peak memory in GB, seconds since the start."""
        now = time.monotonic()
        tokens, self.tokens = self.tokens, 0
        values = values | {
            "tokens_per_s": round(tokens / max(now - self.since, 1e-9), 1),
            "memory_gb": round(memory_gb, 3),
            "elapsed_s": round(now - self.started, 1),
        }
        self.since = now
        row = self.metrics.write(step, **values)
        if self.rows % HEADER_EVERY == 0:
            log("".join(f"{name.rsplit('/')[-1]:>14}" for name in self.columns))
        log("".join(f"{shown(row.get(name)):>14}" for name in self.columns))
        self.rows += 1
        if self.sentinel:
            self.sentinel.check(row)


def say_smaller(step: int, config, pieces: int, least_rows: int) -> None:
    """Say that memory was full and with what the training goes on; pieces: parts that each micro-batch is cut into."""
    batch, steps = max(least_rows, config.batch_size // pieces), config.grad_accumulation * pieces
    log(
        f"Out of memory at step {step}. Doing it again, and going on, with batches of {batch} and {steps} of them an "
        f"update. To start so: --batch-size {batch} --grad-accumulation {steps}."
    )


def shown(value) -> str:
    """A cell of the table."""
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


class Stop:
    """Ctrl-C or SIGTERM sets `stopped`, for the trainer to finish its step and save; a second one stops at once."""

    def __init__(self):
        self.stopped = False

    def ask(self, *_):
        if self.stopped:
            raise KeyboardInterrupt
        self.stopped = True
        log("Stopping after this step; the checkpoint is saved. Press Ctrl-C again to stop at once.")

    @contextlib.contextmanager
    def listening(self):
        """Signals set the mark while training runs; the old handlers come back afterwards."""
        old = {number: signal.signal(number, self.ask) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in old.items():
                signal.signal(number, handler)
