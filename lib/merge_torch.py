"""A LoRA adapter folded into its base: a Hugging Face folder in bf16, made shard by shard so that any size fits."""

import json
import shutil
from importlib.util import find_spec
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from lib.base_model import MODEL_WEIGHTS
from lib.cli import progress
from lib.disk import require_free, whole_folder
from lib.errors import CannotRun
from lib.jsonl import write_json

PREFIX = "base_model.model."
# PEFT features that change more than W + scale * B A; our trainings use none of them.
UNSUPPORTED = ("use_dora", "rank_pattern", "alpha_pattern", "modules_to_save", "layer_replication", "lora_bias")
TOKENIZER_FILES = ("tokenizer*", "special_tokens_map.json", "added_tokens.json", "vocab.*", "merges.txt", "*.jinja")
LEFT_OUT = ("*.safetensors", "*.safetensors.index.json", "*.bin", "*.pth", "*.gguf", "optimizer*")


def merge(base: Path, adapter: Path, target: Path) -> Path:
    """target: base with the adapter's change added to its weights, and the adapter's tokenizer and chat template."""
    shards = sorted(base.glob(MODEL_WEIGHTS))
    if not shards:
        raise CannotRun(f"{base}: holds no {MODEL_WEIGHTS} to merge into.")
    if "quantization_config" in json.loads((base / "config.json").read_text(encoding="utf-8")):
        raise CannotRun(f"{base}: its weights are quantized; merging needs the 16-bit model it was made from.")
    size = sum(shard.stat().st_size for shard in shards)
    require_free(target, int(1.1 * size), "merging")
    changes = adapter_changes(adapter)
    waiting = set(changes)
    with whole_folder(target) as part:
        copy_files(base, part, exclude=LEFT_OUT)
        copy_files(adapter, part, include=TOKENIZER_FILES)
        places, total = {}, 0
        for shard in progress(shards, desc="Merging", unit="shard"):
            tensors = merged_shard(shard, changes, waiting)
            save_file(tensors, part / shard.name, metadata={"format": "pt"})
            places.update(dict.fromkeys(tensors, shard.name))
            total += sum(tensor.nbytes for tensor in tensors.values())
        if waiting:
            raise CannotRun(f"{adapter} does not fit {base}: the base has no {sorted(waiting)[0]}.")
        if len(shards) > 1:
            write_json(part / "model.safetensors.index.json", {"metadata": {"total_size": total}, "weight_map": places})
        config = json.loads((part / "config.json").read_text(encoding="utf-8"))
        config.pop("torch_dtype", None)
        write_json(part / "config.json", config | {"dtype": "bfloat16"})
    return target


def adapter_changes(adapter: Path) -> dict[str, tuple[torch.Tensor, torch.Tensor, float]]:
    """Name of a base weight -> (A, B, scale) of its LoRA change, from PEFT's form or mlx-lm's."""
    try:
        config = json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8"))
        if "lora_parameters" in config:
            return mlx_changes(load_file(adapter / "adapters.safetensors"), config["lora_parameters"]["scale"])
        weights = load_file(adapter / "adapter_model.safetensors")
    except FileNotFoundError as error:
        raise CannotRun(f"{adapter}: holds no LoRA adapter ({Path(error.filename or 'its weights').name}).") from error
    used = [name for name in UNSUPPORTED if config.get(name)]
    if used or config.get("bias", "none") != "none":
        raise CannotRun(f"{adapter}: uses {', '.join(used) or 'bias'}, which cannot be merged here; plain LoRA can.")
    rank = config["r"]
    scale = config["lora_alpha"] / (rank**0.5 if config.get("use_rslora") else rank)
    changes = {}
    for key, tensor in weights.items():
        if key.endswith(".lora_A.weight"):
            module = key.removesuffix(".lora_A.weight")
            changes[f"{module.removeprefix(PREFIX)}.weight"] = (tensor, weights[f"{module}.lora_B.weight"], scale)
    return changes


def mlx_changes(weights: dict[str, torch.Tensor], scale: float) -> dict[str, tuple[torch.Tensor, torch.Tensor, float]]:
    """The same from the weights of an mlx-lm adapter, whose matrices are the transposes of PEFT's."""
    changes = {}
    for key, tensor in weights.items():
        if key.endswith(".lora_a"):
            module = key.removesuffix(".lora_a")
            changes[f"{module}.weight"] = (tensor.T, weights[f"{module}.lora_b"].T, scale)
    return changes


def merged_shard(shard: Path, changes: dict, waiting: set[str]) -> dict[str, torch.Tensor]:
    """The shard's tensors in bf16 with their changes added in fp32; names that were changed leave `waiting`."""
    tensors = {}
    with safe_open(shard, framework="pt") as handle:
        for name in handle.keys():  # noqa: SIM118 - not a dict
            tensor = handle.get_tensor(name)
            if name in changes:
                a, b, scale = changes[name]
                tensor = tensor.float() + scale * (b.float() @ a.float())
                waiting.discard(name)
            tensors[name] = tensor.to(torch.bfloat16).contiguous() if tensor.is_floating_point() else tensor
    return tensors


def copy_files(source: Path, target: Path, include=("*",), exclude=()) -> None:
    """Copy the plain files of a folder that match; what lies in target under the same name is replaced."""
    for path in source.iterdir():
        if path.is_file() and any(path.match(p) for p in include) and not any(path.match(p) for p in exclude):
            shutil.copyfile(path, target / path.name)


def to_4bit(merged: Path, target: Path) -> Path:
    """target: a merged folder with its linear layers in nf4 and doubly quantized scales, as QLoRA trains on them."""
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    # nf4 takes .5 bytes a weight and its scales .03; embeddings and head stay in 16 bits.
    require_free(target, int(0.6 * sum(path.stat().st_size for path in merged.glob("*.safetensors"))), "4-bit weights")
    quantized = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )
    device = 0 if torch.cuda.is_available() else "cpu"
    with whole_folder(target) as part:
        settings = {"quantization_config": quantized, "dtype": torch.bfloat16, "device_map": {"": device}}
        AutoModelForCausalLM.from_pretrained(merged, **settings).save_pretrained(part)
        copy_files(merged, part, include=TOKENIZER_FILES)
    return target


def require_4bit() -> None:
    """CannotRun unless bitsandbytes is there, which makes 4-bit weights on GPUs and on processors."""
    if find_spec("bitsandbytes") is None:
        raise CannotRun("METHOD=merged_4bit needs bitsandbytes: .venv/bin/pip install bitsandbytes")
