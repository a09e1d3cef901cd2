"""Base models with LoRA adapters in MLX: load, attach, save, all in mlx-lm's own forms, which its commands read."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import mlx.core as mx
import mlx.nn as nn
from mlx.utils import tree_flatten
from mlx_lm.tuner.utils import linear_to_lora_layers
from mlx_lm.utils import load_model

from lib.config import TARGETS
from lib.disk import whole_folder
from lib.errors import CannotRun
from lib.jsonl import write_json

WEIGHTS, SETTINGS = "adapters.safetensors", "adapter_config.json"
ALL_LAYERS = -1
DTYPES = {"auto": mx.bfloat16, "bfloat16": mx.bfloat16, "float32": mx.float32}


@dataclass(frozen=True)
class Lora:
    """mlx-lm's `lora_parameters`: its scale is our alpha/rank; keys: which layers of a block have matrices."""

    rank: int
    scale: float
    dropout: float
    keys: list[str]


def load_base(folder: Path, dtype=mx.bfloat16):
    """The base model, frozen; its weights in dtype, unless the checkpoint is quantized: that stays as it is."""
    try:
        model, config = load_model(folder, model_config=rope_settings(folder))
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise CannotRun(f"{folder}: the base model cannot be loaded ({error}).") from error
    if not config.get("quantization"):
        model.set_dtype(dtype)
    model.freeze()
    return model


def rope_settings(folder: Path) -> dict:
    """rope_theta and rope_scaling as mlx-lm reads them, where a config of transformers 5 keeps them as rope_parameters.

    Without them mlx-lm takes its default base of 10,000 and says nothing.
    """
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    rope = config.get("rope_parameters") or {}
    if "rope_theta" not in rope or "rope_theta" in config:
        return {}
    scaling = {name: value for name, value in rope.items() if name != "rope_theta"}
    plain = scaling.get("rope_type", "default") == "default"
    return {"rope_theta": rope["rope_theta"], "rope_scaling": None if plain else scaling}


def lora_keys(model) -> list[str]:
    """Names inside a block of the linear layers that get LoRA matrices, the ones PEFT finds by TARGETS."""
    linear = (nn.Linear, nn.QuantizedLinear)
    return sorted(
        {
            name
            for layer in model.layers
            for name, module in layer.named_modules()
            if name.rsplit(".", 1)[-1] in TARGETS and isinstance(module, linear)
        }
    )


def add_lora(model, config):
    """The model with fresh LoRA matrices, drawn with the recipe's seed, on every linear layer of the blocks."""
    mx.random.seed(config.seed)
    scale = config.lora_alpha / config.lora_rank
    return attach(model, Lora(config.lora_rank, scale, config.lora_dropout, lora_keys(model)))


def attach(model, lora: Lora):
    """The model with the described LoRA layers, which alone are trainable; it remembers the description."""
    linear_to_lora_layers(model, ALL_LAYERS, asdict(lora))
    model.lora = lora
    return model


def load_adapter(model, folder: Path):
    """The model with a saved adapter, trainable."""
    try:
        saved = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
        attach(model, Lora(**saved["lora_parameters"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CannotRun(f"{folder}: holds no adapter of mlx-lm's form ({error}).") from error
    return read_weights(model, folder)


def read_weights(model, folder: Path):
    """The model with the folder's weights in its LoRA layers; CannotRun unless names and shapes are exactly theirs."""
    try:
        weights = mx.load(str(folder / WEIGHTS))
        mx.eval(weights)
    except (OSError, ValueError, RuntimeError) as error:
        raise CannotRun(f"{folder / WEIGHTS}: cannot be read ({error}).") from error
    wanted = {name: value.shape for name, value in trainable(model).items()}
    if {name: value.shape for name, value in weights.items()} != wanted:
        raise CannotRun(f"{folder}: the adapter does not fit this base model (other layers or shapes).")
    model.load_weights(list(weights.items()), strict=False)
    return model


def trainable(model) -> dict[str, mx.array]:
    """Name -> LoRA matrix."""
    return dict(tree_flatten(model.trainable_parameters()))


def write_adapter(model, folder: Path) -> None:
    """The adapter's weights and description as files in an existing folder."""
    mx.save_safetensors(str(folder / WEIGHTS), trainable(model))
    settings = {"fine_tune_type": "lora", "num_layers": ALL_LAYERS, "lora_parameters": asdict(model.lora)}
    write_json(folder / SETTINGS, settings)


def save_adapter(model, tokenizer, folder: Path) -> None:
    """Write adapter and tokenizer (with its chat template) to folder, whole or not at all."""
    try:
        with whole_folder(folder) as part:
            write_adapter(model, part)
            tokenizer.save_pretrained(part)
    except (OSError, RuntimeError) as error:  # MLX has an error of its own for a full disk
        raise CannotRun(f"{folder}: cannot be written ({error}). Free some disk, then RESUME=1.") from error
