"""A process that takes two training steps over rows of the full length and says how much memory they took."""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import torch

from lib import kto_torch, sft_torch
from lib.model_torch import prepared
from lib.training_torch import memory_gb
from lib.trial_rows import adapter_config, job_of
from lib.trials import Trial


def peak_bytes(platform: str) -> float:
    """Peak memory of this process: its own, or on the GPU all that the allocator took, with CUDA's context."""
    if platform != "cuda":
        return memory_gb(platform) * 1e9
    free, whole = torch.cuda.mem_get_info()
    context = whole - free - torch.cuda.memory_reserved()
    return torch.cuda.max_memory_reserved() + max(0, context)


def main(trial: Trial) -> None:
    """Print {"peak": bytes}."""
    with tempfile.TemporaryDirectory() as folder:
        job = job_of(trial, Path(folder))
        model = prepared(replace(job, config=adapter_config(trial)))
        if trial.method == "sft":
            trainer = sft_torch.make_trainer(model, job.tokenizer, job.rows, job.config, job.run, job.platform)
        else:
            trainer = kto_torch.make_trainer(model, job.tokenizer, job)
        trainer.train()
    print(json.dumps({"peak": peak_bytes(trial.platform)}))


if __name__ == "__main__":
    main(Trial(**json.loads(sys.argv[1])))
