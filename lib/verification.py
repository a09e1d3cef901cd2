"""The proof of an installation: its packages are imported, and a random two-layer model trains with each method."""

from __future__ import annotations

import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path

from lib.errors import CannotRun

PACKAGES = {
    "cpu": ("torch", "transformers", "datasets", "peft", "trl"),
    "cuda": ("torch", "bitsandbytes", "transformers", "datasets", "peft", "trl"),
    "mlx": ("mlx.core", "mlx_lm", "transformers"),
}
SETTINGS = {
    "learning_rate": 1e-3,
    "epochs": 1.0,
    "batch_size": 4,
    "grad_accumulation": 1,
    "log_every": 1,
    "save_every": 100,
    "max_length": 512,
    "unsloth": False,  # its kernels want real shapes; doctor and the first run look after them
    "four_bit": False,
}
LORA = {
    "lora_rank": 4,
    "lora_alpha": 8,
    "lora_dropout": 0.0,
    "eval_fraction": 0.0,
    "whole_share": 1.0,
    "context_share": 1.0,
}
ROWS = 8


def steps(platform: str) -> Iterator[tuple[str, str, str]]:
    """(name, what was seen, what went wrong or "") of each step; the last one is the first that failed."""
    with tempfile.TemporaryDirectory() as folder:
        parts = {
            "packages": lambda: imported(platform),
            "sft": lambda: trained("sft", platform, Path(folder)),
            "kto": lambda: trained("kto", platform, Path(folder)),
        }
        if platform == "cuda":
            parts["unsloth"] = unsloth_starts
        for name, part in parts.items():
            started = time.monotonic()
            try:
                seen = part()
            except Exception as error:  # whatever a broken package raises is the finding
                yield name, "", f"{type(error).__name__}: {' '.join(str(error).split())[:500]}"
                return
            yield name, f"{seen} ({time.monotonic() - started:.0f} s)", ""


def imported(platform: str) -> str:
    """The packages with their versions."""
    names = []
    for name in PACKAGES[platform]:
        module = import_module(name)
        names.append(f"{name.split('.')[0]} {getattr(module, '__version__', '')}".strip())
    return ", ".join(names)


def unsloth_starts() -> str:
    """Its version, imported in a process of its own: it patches what it finds."""
    line = [sys.executable, "-c", "import unsloth; print(unsloth.__version__)"]
    done = subprocess.run(line, capture_output=True, text=True, timeout=600)
    if done.returncode != 0:
        raise CannotRun(f"{done.stderr.strip().splitlines()[-1]} Without it: --no-unsloth")
    return f"unsloth {done.stdout.strip().splitlines()[-1]}"


def trained(method: str, platform: str, folder: Path) -> str:
    """What a training of ROWS rows came to; KTO goes on from the SFT run in the same folder."""
    from lib.chat import example_from_row
    from lib.config import load_config, load_size
    from lib.templates import template_for
    from lib.training import Job, trainer
    from lib.training_rows import render_rows

    base = folder / "model"
    if not base.is_dir():
        import_module("lib.random_model_torch").write_random_model(base, template_for("none"))
    settings = SETTINGS | (LORA if method == "sft" else {})
    config, _ = load_config(method, load_size("tiny", platform, method), settings)
    tokenizer = import_module("lib.tokenizer_torch").load_tokenizer(base, template_for("none"))
    examples = [(str(n), example_from_row(row(n, n % 2 == 0))[0]) for n in range(ROWS)]
    rows, kept, _ = render_rows(examples, tokenizer, config)
    run = folder / method
    (run / "checkpoints").mkdir(parents=True)
    (run / "logs").mkdir()
    labels = [example.label is not False for example in kept]
    job = Job(method, platform, config, run, base, tokenizer, rows, [], labels, None, False)
    if method == "kto":
        job = replace(job, adapter=folder / "sft/final_model")
    figures = trainer(method, platform).train(job)
    if not math.isfinite(figures["train_loss"]) or not any((run / "final_model").glob("adapter*.safetensors")):
        raise CannotRun(f"{method} ended with a loss of {figures['train_loss']} and no whole adapter.")
    return f"{figures['steps']} steps, loss {figures['train_loss']:.3f}"


def row(number: int, label: bool) -> dict:
    """A short question with a short answer, no two alike."""
    turns = [
        {"role": "user", "content": f"What is {number} and {number}?"},
        {"role": "assistant", "content": f"It is {2 * number if label else 'a secret'}{'!' * number}"},
    ]
    return {"conversations": turns, "label": label}
