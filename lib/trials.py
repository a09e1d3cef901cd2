"""Measured steps, each in a process of its own: one corrects the memory forecast, more find the largest batch."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

from lib.cli import log
from lib.config import TRAINERS
from lib.errors import CannotRun
from lib.memory import GIB, Plan, Shape, largest_batch, says_full, total

SECONDS = 1800


@dataclass(frozen=True)
class Trial:
    """What a probe's process is told: method, platform, base (a model's folder), and the recipe as a dict."""

    method: str
    platform: str
    base: str
    settings: dict


@dataclass(frozen=True)
class Measured:
    """A step that was tried: rows at once, bytes forecast, bytes at its peak (None: it did not fit)."""

    batch: int
    predicted: float
    peak: float | None


def run_trial(trial: Trial) -> float | None:
    """Bytes at the peak of two steps over the longest rows; None when memory was full. CannotRun for any other end."""
    command = [sys.executable, "-m", f"lib.trial_{TRAINERS[trial.platform]}", json.dumps(asdict(trial))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
    if done.returncode == 0:
        return json.loads(done.stdout.splitlines()[-1])["peak"]
    words = done.stderr.strip()
    if done.returncode == -9 or "MemoryError" in words or says_full(words):
        return None
    raise CannotRun(f"the probe failed: {words.splitlines()[-1] if words else done.returncode}")


def probe(shape: Shape, plan: Plan, budget: float, measure: Callable[[int], float | None]) -> list[Measured]:
    """The steps that were tried, the last that fits being the largest found.

    The first is the recipe's batch, or the largest that should fit; its factor then names the largest one that divides
    the rows of an update, which is tried, too. measure(batch): bytes at the peak, None when it did not fit.
    """
    update, tried = plan.batch * plan.accumulation, []

    def attempt(batch: int) -> Measured:
        found = Measured(batch, total(shape, replace(plan, batch=batch)), measure(batch))
        log(f"batch {batch}: {'did not fit' if found.peak is None else f'{found.peak / GIB:.2f} GiB'}")
        tried.append(found)
        return found

    batch = max(1, min(plan.batch, largest_batch(shape, plan, budget)))
    while (first := attempt(batch)).peak is None:
        if batch == 1:
            raise CannotRun("not even one row fits. Use --gradient-checkpointing, a smaller --max-length or SIZE.")
        batch //= 2
    factor = first.peak / first.predicted
    wanted = min(update, largest_batch(shape, plan, budget, factor))
    larger = [size for size in range(batch + 1, wanted + 1) if update % size == 0]
    while larger and attempt(larger[-1]).peak is None:
        larger.pop()
    return sorted(tried, key=lambda one: (one.peak is not None, one.batch))


def summary(plan: Plan, tried: list[Measured], budget: float) -> dict:
    """The trials in GiB, the factor of the last, and the flags for the largest batch that fits."""
    best = tried[-1]
    accumulation = plan.batch * plan.accumulation // best.batch
    trials = [
        {"batch": one.batch, "predicted": one.predicted / GIB, "peak": one.peak and one.peak / GIB} for one in tried
    ]
    return {
        "length": plan.length,
        "budget": budget / GIB,
        "trials": trials,
        "factor": best.peak / best.predicted,
        "flags": ["--batch-size", str(best.batch), "--grad-accumulation", str(accumulation)],
    }


def lines(result: dict) -> list[str]:
    """The summary for a terminal."""
    shown = [f"{'batch':>6}{'predicted':>12}{'measured':>12}   rows of {result['length']} tokens, GiB"]
    for one in result["trials"]:
        measured = "too much" if one["peak"] is None else f"{one['peak']:.2f}"
        shown.append(f"{one['batch']:>6}{one['predicted']:>12.2f}{measured:>12}")
    corrected = f'make fit FIT_ARGS="--factor {result["factor"]:.2f}"'
    return [*shown, f"measured / predicted: {result['factor']:.2f} ({corrected}); room: {result['budget']:.2f} GiB"]
