"""A process that takes two training steps in MLX over rows of the full length and says how much memory they took."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import mlx.core as mx
from mlx_lm.tuner.trainer import grad_checkpoint

from lib import kto_mlx, sft_mlx
from lib.memory import RUNTIME
from lib.model_mlx import add_lora, load_base
from lib.trial_rows import adapter_config, job_of
from lib.trials import Trial
from lib.watching import Watcher


def main(trial: Trial) -> None:
    """Print {"peak": bytes}: MLX's peak, and what the interpreter takes beside it."""
    model = add_lora(load_base(Path(trial.base)), adapter_config(trial))
    with tempfile.TemporaryDirectory() as folder:
        job = job_of(trial, Path(folder))
        loop = (sft_mlx if trial.method == "sft" else kto_mlx).make_loop(model, job)
        if job.config.gradient_checkpointing:
            grad_checkpoint(model.layers[0])
        for step in range(loop.steps.total):
            loop.advance(step, Watcher(None, trial.method))
    print(json.dumps({"peak": mx.get_peak_memory() + RUNTIME["mlx"]}))


if __name__ == "__main__":
    main(Trial(**json.loads(sys.argv[1])))
