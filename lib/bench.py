"""The legs of a benchmark of training, each a process of its own, their table, and ours against each of them."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys

from lib.cli import log
from lib.errors import CannotRun

ALLOCATOR = {
    "MALLOC_MMAP_THRESHOLD_": "4294967296",
    "MALLOC_TRIM_THRESHOLD_": "17179869184",
    "MALLOC_TOP_PAD_": "268435456",
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1:glibc.malloc.mxfast=0:glibc.malloc.tcache_max=32",
}  # as configs/platforms/cpu.mk sets them
PLAIN = "plain"  # the leg that runs as TRL's documentation shows, with the system's allocator settings


def leg(module: str, kind: str, *arguments) -> dict:
    """The figures, one JSON object, of `python -m module kind arguments` in a fresh process."""
    environment = {name: value for name, value in os.environ.items() if name not in ALLOCATOR}
    if kind != PLAIN:
        environment |= ALLOCATOR
    line = [sys.executable, "-m", module, kind, *map(str, arguments)]
    done = subprocess.run(line, capture_output=True, text=True, env=environment)
    if done.returncode != 0:
        said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise CannotRun(f"the {kind} leg failed: {said[-1]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def run_legs(module: str, kinds, rounds: int, *arguments) -> dict[str, list[dict]]:
    """The figures of every leg in every round; the legs alternate, so that a busy machine slows all of them."""
    log(f"load average before: {os.getloadavg()[0]:.2f}")
    found = {kind: [] for kind in kinds}
    for number in range(rounds):
        for kind in kinds:
            figures = leg(module, kind, *arguments)
            found[kind].append(figures)
            log(f"round {number + 1}: {figures}")
    return found


def median(found: dict[str, list[dict]], kind: str, name: str) -> float:
    return statistics.median(figures[name] for figures in found[kind])


def table(found: dict[str, list[dict]], columns: dict[str, str]) -> list[str]:
    """A line for each leg with the median of each column's figure (name -> format), and the spread of tokens_per_s."""
    lines = [f"{'leg':<10}" + "".join(f"{name:>14}" for name in columns) + f"{'spread':>16}"]
    for kind, figures in found.items():
        cells = "".join(f"{format(median(found, kind, name), form):>14}" for name, form in columns.items())
        speeds = sorted(row["tokens_per_s"] for row in figures)
        lines.append(f"{kind:<10}{cells}{f'{speeds[0]:.1f}-{speeds[-1]:.1f}':>16}")
    return lines


def compared(found: dict[str, list[dict]], targets: dict[str, float], noise: float) -> tuple[list[str], bool]:
    """(a line for each other leg: ours against it, the target, the losses apart; whether all of that is as wanted).

    targets: leg -> times as fast; noise: how far the held-out losses may be apart, nats.
    """
    lines, met = [], True
    for kind, target in targets.items():
        ratio = median(found, "ours", "tokens_per_s") / median(found, kind, "tokens_per_s")
        apart = median(found, "ours", "eval_loss") - median(found, kind, "eval_loss")
        lines.append(f"ours/{kind} {ratio:.2f} (target {target:g}), loss {apart:+.4f} (within {noise:g})")
        met &= ratio >= target and abs(apart) <= noise
    return lines, met
