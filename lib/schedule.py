"""The learning rate of every step, on all platforms: linear warm-up and decay, and a second stage where asked."""

from __future__ import annotations

import math


def rate_share(config, total: int, step: int) -> float:
    """What share of the peak learning rate a step takes; steps count from 0, total is how many there are.

    config: warmup_fraction w, stage_step s, stage_factor f. With W = ceil(w total), the share is step / W while
    step < W, then (total - step) / (total - W); from step s on (when s is not 0) it is multiplied by f. It depends on
    nothing but these numbers, so a resumed run takes the same rates.
    """
    warm_up = math.ceil(total * config.warmup_fraction)
    share = step / warm_up if step < warm_up else max(0, total - step) / max(1, total - warm_up)
    return share * config.stage_factor if 0 < config.stage_step <= step else share
