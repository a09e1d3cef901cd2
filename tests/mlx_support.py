"""One tiny Llama with one LoRA adapter in PyTorch and in MLX, in fp32, and jobs over a few rows."""

import json
import shutil
from pathlib import Path

import pytest

pytest.importorskip("mlx_lm", exc_type=ImportError, reason="MLX is not installed: make test does it on Linux")

import mlx.core as mx

from lib import model_mlx
from lib.config import load_config, load_size
from tests import training_jobs as jobs
from tests.tiny_model import write_tiny_model
from tests.training_jobs import SETTINGS


def write_model(folder: Path) -> Path:
    """The tiny model with a rope base that is not mlx-lm's default, kept where transformers 5 keeps it."""
    write_tiny_model(folder)
    path = folder / "config.json"
    config = json.loads(path.read_text())
    assert "rope_theta" not in config
    config["rope_parameters"]["rope_theta"] = 500.0
    path.write_text(json.dumps(config))
    return folder


def make_job(method: str, folder: Path, run: Path, **overrides):
    return jobs.make_job(method, folder, run, "mlx", **overrides)


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
