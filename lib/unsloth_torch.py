"""Unsloth behind the interface of lib/model_torch.py: the same model with its kernels, or an error where it fell back.

Written against unsloth 2026.10.7. Import this before anything that imports transformers, trl or peft: unsloth patches
their classes, and where a patch fails it goes on with the plain ones after a mere warning.
"""

from __future__ import annotations

import json
from pathlib import Path

import unsloth

# isort: split
import torch

from lib.batches import LENGTH_STEP
from lib.config import TARGETS, KtoConfig
from lib.errors import CannotRun
from lib.ranks import local_rank

PLAIN = "Take plain trl and peft instead: --no-unsloth."


def prepared(job, adapter: Path | None = None):
    """The base model with fresh LoRA matrices, or with a saved adapter, all attention layers in unsloth's version."""
    try:
        model, _ = unsloth.FastLanguageModel.from_pretrained(
            str(job.base),
            max_seq_length=longest(job.config),
            dtype=torch.bfloat16,
            load_in_4bit=job.config.four_bit,
            use_gradient_checkpointing=checkpointing(job.config),
            use_exact_model_name=True,
            device_map={"": local_rank()},
        )
    except (OSError, ValueError, RuntimeError, NotImplementedError) as error:
        raise CannotRun(f"{job.base}: unsloth cannot load the base model ({error}). {PLAIN}") from error
    model.config.use_cache = False
    model = add_lora(model, job.config, lora_settings(job.config, adapter))
    if adapter is not None:
        from lib.model_torch import read_weights

        read_weights(model, adapter)
    require_patched(model)
    return model


def longest(config) -> int:
    """Tokens of the longest row that the model may see, padding included; unsloth cuts a longer one without a word.

    KTO's mismatched rows are one row's prompt with another's completion.
    """
    padded = -(-config.max_length // LENGTH_STEP) * LENGTH_STEP
    return 2 * padded if isinstance(config, KtoConfig) else padded


def checkpointing(config) -> str | bool:
    """Unsloth's own checkpointing, which moves activations to the host meanwhile; False where none is wanted."""
    return "unsloth" if config.gradient_checkpointing else False


def lora_settings(config, adapter: Path | None) -> dict:
    """Rank, alpha and dropout: the adapter's own where one is loaded, otherwise the recipe's."""
    if adapter is None:
        return {"r": config.lora_rank, "lora_alpha": config.lora_alpha, "lora_dropout": config.lora_dropout}
    try:
        saved = json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8"))
        return {name: saved[name] for name in ("r", "lora_alpha", "lora_dropout")}
    except (OSError, ValueError, KeyError) as error:
        raise CannotRun(f"{adapter}: holds no adapter of PEFT's form ({error}).") from error


def add_lora(model, config, settings: dict):
    """The model with fresh LoRA matrices, drawn with the recipe's seed, on every linear layer of the blocks."""
    return unsloth.FastLanguageModel.get_peft_model(
        model,
        target_modules=TARGETS,
        bias="none",
        use_gradient_checkpointing=checkpointing(config),
        random_state=config.seed,
        **settings,
    )


def is_patched(module) -> bool:
    """Whether the module's forward comes from unsloth, as a function of its own or out of its compiled cache."""
    forward = getattr(module.forward, "__func__", module.forward)
    return "unsloth" in (getattr(forward, "__module__", "") or "")


def require_patched(model) -> None:
    """CannotRun unless every attention layer computes the way of unsloth."""
    attention = [module for module in model.modules() if type(module).__name__.endswith("Attention")]
    plain = [module for module in attention if not is_patched(module)]
    if plain or not attention:
        kind = f", a {type(plain[0]).__name__} for one" if plain else ""
        raise CannotRun(
            f"unsloth fell back to transformers' own code in {len(plain)} of {len(attention)} attention layers{kind}. "
            f"{PLAIN}"
        )


def require_patched_trainer(trainer) -> None:
    """CannotRun unless the trainer builds upon unsloth's version of trl's class."""
    if not any("Unsloth" in kind.__name__ for kind in type(trainer).__mro__):
        base = next(kind for kind in type(trainer).__mro__ if kind.__module__.split(".")[0] != "lib")
        raise CannotRun(
            f"unsloth fell back to trl's own {base.__name__}: it could not patch the installed trl. Install the "
            f"versions that it knows (make setup PLATFORM=cuda). {PLAIN}"
        )
