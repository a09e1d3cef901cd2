"""Base models with LoRA adapters in PyTorch: load, attach, save. The one place that decides dtypes and quantization."""

from __future__ import annotations

from importlib import import_module, util
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model, load_peft_weights, set_peft_model_state_dict
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, BitsAndBytesConfig, set_seed

from lib.config import TARGETS
from lib.disk import whole_folder
from lib.errors import CannotRun
from lib.fast_torch import speed_up
from lib.probe_torch import choose_dtype
from lib.ranks import is_first, local_rank


def prepared(job, adapter: Path | None = None):
    """The job's base model with fresh LoRA matrices, or with a saved adapter, and its fast layers in place."""
    if uses_unsloth(job):
        return import_module("lib.unsloth_torch").prepared(job, adapter)
    base = load_base(job.base, job.platform, job.config.four_bit, choose_dtype(job))
    model = add_lora(base, job.config) if adapter is None else load_adapter(base, adapter)
    speed_up(model)
    return model


def uses_unsloth(job) -> bool:
    return job.platform == "cuda" and job.config.unsloth


def check_trainer(trainer, job) -> None:
    """CannotRun when the trainer is not the one that was asked for."""
    if uses_unsloth(job):
        import_module("lib.unsloth_torch").require_patched_trainer(trainer)


def load_base(folder: Path, platform: str, four_bit: bool = True, dtype=torch.bfloat16):
    """The base model for training: in dtype on the CPU; on CUDA 4-bit nf4, or dtype without four_bit, unless the
    checkpoint is quantized already."""
    try:
        if platform == "cuda":
            if not torch.cuda.is_available():
                raise CannotRun("PLATFORM is cuda, but PyTorch sees no GPU. Check the driver: make doctor.")
            quantization = BitsAndBytesConfig(
                load_in_4bit=True,
                bnb_4bit_quant_type="nf4",
                bnb_4bit_use_double_quant=True,
                bnb_4bit_compute_dtype=dtype,
                bnb_4bit_quant_storage=dtype,  # FSDP2 shards floating-point weights only
            )
            model = AutoModelForCausalLM.from_pretrained(
                folder,
                dtype=dtype,
                device_map={"": local_rank()},
                quantization_config=quantization if four_bit else None,
                attn_implementation="flash_attention_2" if util.find_spec("flash_attn") else "sdpa",
            )
        else:
            torch.set_flush_denormal(True)  # a trained model's attention underflows, and denormals are slow
            model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, attn_implementation="sdpa")
    except (OSError, ValueError) as error:
        raise CannotRun(f"{folder}: the base model cannot be loaded ({error}).") from error
    model.config.use_cache = False
    return model


def add_lora(model, config):
    """The model with fresh LoRA matrices, drawn with the recipe's seed, on every linear layer of the blocks."""
    set_seed(config.seed)
    lora = LoraConfig(
        r=config.lora_rank,
        lora_alpha=config.lora_alpha,
        lora_dropout=config.lora_dropout,
        target_modules=TARGETS,
        task_type="CAUSAL_LM",
    )
    return get_peft_model(model, lora)


def load_adapter(model, folder: Path):
    """The model with a saved adapter, trainable."""
    try:
        return PeftModel.from_pretrained(model, folder, is_trainable=True)
    except (OSError, ValueError, RuntimeError) as error:
        raise CannotRun(f"{folder}: the adapter does not fit this base model ({error}).") from error


def read_weights(model, folder: Path) -> None:
    """Put another adapter's weights into the model's LoRA layers; CannotRun when they do not fit."""
    try:
        set_peft_model_state_dict(model, load_peft_weights(str(folder), device="cpu"))
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise CannotRun(f"{folder}: the adapter does not fit this base model ({error}).") from error


def save_adapter(model, tokenizer, folder: Path, state: dict | None = None) -> None:
    """Write adapter and tokenizer (with its chat template) to folder, whole or not at all; the first process does it.

    state: the weights, where the model itself has only shards of them.
    """
    if not is_first():
        return
    try:
        with whole_folder(folder) as part:
            model.save_pretrained(part, selected_adapters=["default"], state_dict=state)
            tokenizer.save_pretrained(part)
    except (OSError, SafetensorError) as error:  # safetensors has an error of its own for a full disk
        raise CannotRun(f"{folder}: cannot be written ({error}). Free some disk, then RESUME=1.") from error
