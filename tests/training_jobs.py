"""Jobs over a few rows and a tiny Llama with an adapter that is not zero, for tests of the trainers."""

from pathlib import Path

from lib.chat import example_from_row
from lib.config import load_config, load_size
from lib.templates import template_for
from lib.tokenizer_torch import load_tokenizer
from lib.training import Job
from lib.training_rows import render_rows
from tests.tiny_model import call_row, row

SETTINGS = {
    "sft": {"lora_rank": 4, "lora_alpha": 8, "lora_dropout": 0.0, "whole_share": 1.0, "context_share": 1.0},
    "kto": {"beta": 0.3, "desirable_weight": 1.2, "max_grad_norm": 0.5},
}
COMMON = {"batch_size": 2, "grad_accumulation": 2, "learning_rate": 5e-3, "warmup_fraction": 0.3, "log_every": 1}


def make_job(method: str, folder: Path, run: Path, platform: str = "cpu", **overrides) -> Job:
    """A job over nine rows: calls for SFT, short answers with labels for KTO."""
    rows = [call_row(i) for i in range(9)]
    if method == "kto":
        rows = [row(f"Add note {i}{'!' * i}", f"Done {i * i}.", i % 3 != 0) for i in range(9)]
    settings = COMMON | SETTINGS[method] | {"epochs": 2.0} | overrides
    config, _ = load_config(method, load_size("tiny", platform, method), settings)
    tokenizer = load_tokenizer(folder, template_for("none"))
    examples = [(str(i), example_from_row(item)[0]) for i, item in enumerate(rows)]
    rendered, kept, _ = render_rows(examples, tokenizer, config)
    (run / "checkpoints").mkdir(parents=True, exist_ok=True)
    labels = [example.label is not False for example in kept]
    return Job(method, platform, config, run, folder, tokenizer, rendered, rendered[:3], labels, None, False)


def torch_model(folder: Path, seed: int = 1):
    """The model in fp32 with LoRA matrices that are not zero."""
    import torch
    from transformers import AutoModelForCausalLM

    from lib import model_torch

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    config, _ = load_config("sft", load_size("tiny", "cpu", "sft"), SETTINGS["sft"])
    model = model_torch.add_lora(model, config)
    shift(model, seed)
    return model.train()


def shift(model, seed: int) -> None:
    """Move every LoRA B matrix by something drawn with the seed."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            parameter.data += 0.05 * torch.randn(parameter.shape, generator=generator)
