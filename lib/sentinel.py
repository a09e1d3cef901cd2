"""Watches the figures of a training and ends one that has gone bad, with a diagnosis and one change to try."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from pathlib import Path

from lib.checkpoints import retreat
from lib.config import PUBLISHED_KTO_LEARNING_RATES
from lib.errors import CannotRun

ROWS = 3  # logged rows in a row that must agree: one bad batch is no collapse
STEPS = 15  # and the steps that they must cover for KTO, whose figures are small differences
MEMORY = 40  # rows that tell what is usual
OUTLIER = 6.0  # robust standard deviations
SPIKE = 1.5  # times the usual loss
FALL = 5.0  # nats: the answer is 150 times less likely than it was
KL_ALIVE, KL_DEAD = 0.1, 1e-3  # nats
SATURATED = 0.9  # share of rows
FLAT = 0.01  # a row is saturated when sigmoid's slope is below this, a twenty-fifth of its highest


@dataclass(frozen=True)
class Finding:
    """What went wrong, since which step, and the one change to try: a flag of the training script with its value."""

    since: int
    what: str
    change: str


class Collapse(CannotRun):
    """Ends a training that has gone bad; finding says how."""

    def __init__(self, finding: Finding):
        super().__init__(finding.what)
        self.finding = finding


def report(collapse: Collapse, run: Path, method: str) -> CannotRun:
    """The collapse with what is left of the run: checkpoints since it began are set aside as bad-N."""
    good = retreat(run, collapse.finding.since)
    left = f"The last good checkpoint is {good}" if good else "No checkpoint was written before"
    return CannotRun(
        f"{run} was stopped: {collapse.finding.what} (since step {collapse.finding.since}). {left}. "
        f'Change one thing: make {method} {method.upper()}_ARGS="{collapse.finding.change}"'
    )


class Sentinel:
    """check(row) for every logged row, in order; remember(rows) for those of before a resume."""

    def __init__(self, method: str, config):
        self.config, self.rules = config, RULES[method]
        self.rows: list[dict] = []

    def remember(self, rows: list[dict]) -> None:
        """Rows of the log that were fine."""
        self.rows = [row for row in rows if "loss" in row]

    def check(self, row: dict) -> None:
        """Collapse when this row and those before it show that the training has gone bad."""
        if "loss" not in row:
            return
        self.rows.append(row)
        for rule in self.rules:
            if finding := rule(self.rows, self.config):
                raise Collapse(finding)


def is_saturated(reward: float, kl: float, beta: float) -> bool:
    """Whether KTO's loss of a row has hardly a slope left; reward: beta times its log-ratio; kl in nats."""
    share = 1 / (1 + math.exp(-max(-30.0, min(30.0, reward - beta * kl))))
    return share * (1 - share) < FLAT


def lower_rate(config) -> str:
    return f"--learning-rate {config.learning_rate / 4:.2g}"


def slower_or_closer(config) -> str:
    """A lower learning rate while it is above KTO's published ones, then a stronger pull to the reference."""
    if config.learning_rate > PUBLISHED_KTO_LEARNING_RATES[0]:
        return lower_rate(config)
    return f"--beta {config.beta * 2:g}"


def not_a_number(rows, config) -> Finding | None:
    """A loss or gradient that is NaN or infinite."""
    row = rows[-1]
    for name in ("loss", "grad_norm"):
        if name in row and (row[name] is None or not math.isfinite(row[name])):  # JSON has no NaN but null
            what = f"{name} is not a number any more: the numbers have run over"
            return Finding(row["step"], what, lower_rate(config))
    return None


def broken_weights(step: int, config) -> Finding:
    """For an adapter with weights that are no numbers, found when it was to be saved."""
    return Finding(step, "the adapter's weights are not finite any more; no checkpoint of them", lower_rate(config))


def spike(rows, config) -> Finding | None:
    """The last ROWS losses all far above the usual."""
    recent, usual = rows[-ROWS:], [row["loss"] for row in rows[-ROWS - MEMORY : -ROWS]]
    if len(usual) < 2 * ROWS:
        return None
    middle = statistics.median(usual)
    spread = 1.4826 * statistics.median(abs(loss - middle) for loss in usual)
    limit = max(middle + OUTLIER * spread, SPIKE * middle)
    if all(row["loss"] > limit for row in recent):
        mean = statistics.fmean(row["loss"] for row in recent)
        what = f"the loss has jumped from {middle:.3g} to {mean:.3g} and stays there"
        return Finding(recent[0]["step"], what, lower_rate(config))
    return None


def tail(rows: list[dict]) -> list[dict] | None:
    """The last rows, at least ROWS, that cover STEPS steps; None while there are too few."""
    for count in range(ROWS, len(rows)):
        if rows[-1]["step"] - rows[-count - 1]["step"] >= STEPS:
            return rows[-count:]
    return None


def ratio(rows: list[dict], label: str, config) -> float | None:
    """Mean log-ratio to the reference of the rows of a label ('chosen' or 'rejected'), nats; None where unknown."""
    values = [row[f"rewards/{label}"] for row in rows if f"rewards/{label}" in row]
    return statistics.fmean(values) / config.beta if values else None


def both_fall(rows, config) -> Finding | None:
    """Good and bad answers have become much less likely than under the SFT model, and go on falling."""
    recent = tail(rows)
    if recent is None:
        return None
    half = len(recent) // 2
    good, bad = ratio(recent, "chosen", config), ratio(recent, "rejected", config)
    first, last = ratio(recent[:half], "chosen", config), ratio(recent[half:], "chosen", config)
    if None in (good, bad, first, last) or good > -FALL or bad > -FALL or last >= first:
        return None
    what = f"good answers fall with the bad ones ({good:.1f} and {bad:.1f} nats below the SFT model) and go on falling"
    return Finding(recent[0]["step"], what, slower_or_closer(config))


def kl_gone(rows, config) -> Finding | None:
    """KL was alive and is 0 now, while good answers are less likely than before the training."""
    recent = tail(rows)
    if recent is None or any(row.get("kl", 1.0) > KL_DEAD for row in recent):
        return None
    good = ratio(recent, "chosen", config)
    highest = max((row.get("kl", 0.0) for row in rows), default=0.0)
    if good is None or good >= -1 or highest < KL_ALIVE:
        return None
    what = f"KL was {highest:.2g} and is 0 now, with good answers {good:.1f} nats below the SFT model: all answers fall"
    return Finding(recent[0]["step"], what, slower_or_closer(config))


def saturation(rows, config) -> Finding | None:
    """Nearly no row has a gradient left."""
    recent = tail(rows)
    if recent is None or any(row.get("saturated", 0.0) < SATURATED for row in recent):
        return None
    share = statistics.fmean(row["saturated"] for row in recent)
    what = f"{share:.0%} of the rows have no gradient left: the model is as far from the SFT model as the loss can see"
    return Finding(recent[0]["step"], what, lower_rate(config))


RULES = {
    "sft": (not_a_number, spike),
    "kto": (not_a_number, spike, both_fall, kl_gone, saturation),
}
