"""One tiny Llama with one LoRA adapter in PyTorch and in MLX, in fp32, and jobs over a few rows."""

import json
import shutil
from pathlib import Path

import pytest

pytest.importorskip("mlx_lm", exc_type=ImportError, reason="MLX is not installed: make test does it on Linux")

import mlx.core as mx

from lib import model_mlx
from lib.chat import example_from_row
from lib.config import load_config, load_size
from lib.templates import template_for
from lib.tokenizer_torch import load_tokenizer
from lib.training import Job, render_rows
from tests.tiny_model import call_row, row, write_tiny_model

SETTINGS = {
    "sft": {"lora_rank": 4, "lora_alpha": 8, "lora_dropout": 0.0, "whole_share": 1.0, "context_share": 1.0},
    "kto": {"beta": 0.3, "desirable_weight": 1.2, "max_grad_norm": 0.5},
}
COMMON = {"batch_size": 2, "grad_accumulation": 2, "learning_rate": 5e-3, "warmup_fraction": 0.3, "log_every": 1}


def write_model(folder: Path) -> Path:
    """The tiny model with a rope base that is not mlx-lm's default, kept where transformers 5 keeps it."""
    write_tiny_model(folder)
    path = folder / "config.json"
    config = json.loads(path.read_text())
    assert "rope_theta" not in config
    config["rope_parameters"]["rope_theta"] = 500.0
    path.write_text(json.dumps(config))
    return folder


def make_job(method: str, folder: Path, run: Path, **overrides) -> Job:
    """A job over nine rows: calls for SFT, short answers with labels for KTO."""
    rows = [call_row(i) for i in range(9)]
    if method == "kto":
        rows = [row(f"Add note {i}{'!' * i}", f"Done {i * i}.", i % 3 != 0) for i in range(9)]
    settings = COMMON | SETTINGS[method] | {"epochs": 2.0} | overrides
    config, _ = load_config(method, load_size("tiny", "mlx", method), settings)
    tokenizer = load_tokenizer(folder, template_for("none"))
    examples = [(str(i), example_from_row(item)[0]) for i, item in enumerate(rows)]
    rendered, kept, _ = render_rows(examples, tokenizer, config)
    (run / "checkpoints").mkdir(parents=True, exist_ok=True)
    labels = [example.label is not False for example in kept]
    return Job(method, "mlx", config, run, folder, tokenizer, rendered, rendered[:3], labels, None, False)


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


def mlx_name(name: str) -> str:
    """mlx-lm's name of a LoRA matrix of PEFT."""
    name = name.removeprefix("base_model.model.").removesuffix(".default.weight")
    return name.replace("lora_A", "lora_a").replace("lora_B", "lora_b")


def lora_of(model, gradients: bool = False) -> dict:
    """mlx-lm's names -> the torch model's LoRA matrices, or their gradients, turned as mlx-lm keeps them."""
    ours = [(name, p) for name, p in model.named_parameters() if "lora_" in name and ".default." in name]
    found = {name: p.grad if gradients else p.data for name, p in ours}
    return {mlx_name(name): mx.array(value.T.contiguous().numpy()) for name, value in found.items()}


def mlx_twin(model, folder: Path):
    """The same model and adapter in MLX."""
    config, _ = load_config("sft", load_size("tiny", "mlx", "sft"), SETTINGS["sft"])
    twin = model_mlx.add_lora(model_mlx.load_base(folder, mx.float32), config)
    weights = lora_of(model)
    assert {name: value.shape for name, value in model_mlx.trainable(twin).items()} == {
        name: value.shape for name, value in weights.items()
    }
    twin.load_weights(list(weights.items()), strict=False)
    return twin


def worst(one: dict, other: dict) -> float:
    """The largest difference between two sets of matrices of the same names."""
    assert one.keys() == other.keys()
    return max(mx.abs(one[name] - other[name]).max().item() for name in one)


def plain_rope(folder: Path, target: Path) -> Path:
    """A copy of the model whose rope base also stands where mlx-lm's own commands look for it."""
    shutil.copytree(folder, target)
    config = json.loads((target / "config.json").read_text())
    (target / "config.json").write_text(json.dumps(config | {"rope_theta": config["rope_parameters"]["rope_theta"]}))
    return target
