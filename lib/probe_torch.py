"""Which dtype a machine trains in: a second of matrix products in bfloat16 and in float32 decides, and is shown."""

from __future__ import annotations

import json
import time

import torch

from lib.cli import log
from lib.jsonl import write_json
from lib.ranks import is_first

SHAPE = (1024, 768, 2048)  # tokens, width in, width out: a linear layer of a small model over a micro-batch
SECONDS = 0.5  # for each dtype
DTYPES = {"bfloat16": torch.bfloat16, "float32": torch.float32}
PROBE = "probe.json"  # in the run, so that a resumed one trains in the dtype that it began with


def speed(dtype: torch.dtype, seconds: float = SECONDS) -> float:
    """GFLOP/s of a linear layer's forward product and the two of its backward pass on this CPU."""
    tokens, wide, out = SHAPE
    own = torch.Generator().manual_seed(0)  # the training's random numbers stay as they are
    shapes = ((tokens, wide), (out, wide), (tokens, out))
    x, weight, grad = (torch.randn(shape, generator=own).to(dtype) for shape in shapes)
    done, start = -1, time.perf_counter()
    while done < 1 or time.perf_counter() - start < seconds:
        _ = x @ weight.T, grad @ weight, grad.T @ x
        done += 1
        if done == 0:  # the first round pays for the kernels' set-up
            start = time.perf_counter()
    return done * 6 * tokens * wide * out / (time.perf_counter() - start) / 1e9


def probe() -> dict:
    """{"dtype": the faster one, "bfloat16": GFLOP/s, "float32": GFLOP/s}; also said aloud."""
    speeds = {name: round(speed(dtype), 1) for name, dtype in DTYPES.items()}
    best = max(speeds, key=speeds.get)
    log(f"Dtype: {best} ({', '.join(f'{name} {value:g} GFLOP/s' for name, value in speeds.items())})")
    return {"dtype": best, **speeds}


def choose_dtype(job) -> torch.dtype:
    """The recipe's dtype; for `auto` bfloat16 on a GPU, and on a CPU what the probe found when the run began."""
    if job.config.dtype != "auto":
        return DTYPES[job.config.dtype]
    if job.platform == "cuda":
        return torch.bfloat16
    kept = job.run / PROBE
    if kept.is_file():
        return DTYPES[json.loads(kept.read_text(encoding="utf-8"))["dtype"]]
    found = probe()
    if job.evaluated is None and is_first():
        write_json(kept, found)
    return DTYPES[found["dtype"]]
