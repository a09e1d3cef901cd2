"""What a memory probe trains on: rows of random tokens, all of the full length."""

from __future__ import annotations

import json
import random
from importlib import import_module
from pathlib import Path

from lib.config import METHODS, load_config, load_size
from lib.rendering import IGNORED, Rendered
from lib.training import Job
from lib.trials import Trial

STEPS = 2  # the second has the optimizer's moments in memory
TRAINED = 0.25  # share of a row's tokens that are labels


def full_rows(count: int, length: int, vocabulary: int) -> list[Rendered]:
    """Rows of random tokens of this length, a quarter of them trained."""
    rng, prompt = random.Random(17), length - max(1, int(length * TRAINED))
    rows = []
    for _ in range(count):
        ids = [rng.randrange(vocabulary) for _ in range(length)]
        roles = ["prompt"] * prompt + ["trained"] * (length - prompt)
        rows.append(Rendered("", ids, [IGNORED] * prompt + ids[prompt:], prompt, roles))
    return rows


def adapter_config(trial: Trial):
    """The SFT recipe that names the adapter's rank: the trial's own, or the usual one, from which a KTO starts."""
    if trial.method == "sft":
        return METHODS["sft"](**trial.settings)
    return load_config("sft", load_size("tiny", trial.platform, "sft"), {})[0]


def job_of(trial: Trial, folder: Path) -> Job:
    """A job over just enough full rows, with both labels in turn, that leaves its files in folder."""
    config, base = METHODS[trial.method](**trial.settings), Path(trial.base)
    vocabulary = json.loads((base / "config.json").read_text(encoding="utf-8"))["vocab_size"]
    packed = 2 if getattr(config, "packing", False) else 1  # rows of half the length, two in a pack
    count = STEPS * config.batch_size * config.grad_accumulation
    rows = full_rows(packed * count, config.max_length // packed, vocabulary)
    labels = [place % 2 == 0 for place in range(len(rows))]
    tokenizer = import_module("lib.tokenizer_torch").load_tokenizer(base, None)
    return Job(trial.method, trial.platform, config, folder, base, tokenizer, rows, [], labels, None, False)
