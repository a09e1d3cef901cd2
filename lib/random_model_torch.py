"""Random models in any shape, written as Hugging Face folders: real code paths without a download."""

from __future__ import annotations

from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

from lib.config import TARGETS
from lib.templates import template_for

SPECIAL = ["<unk>", "<|im_start|>", "<|im_end|>", "<pad>"]
TWO_LAYERS = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 4096,
    "tie_word_embeddings": True,
}
# Mistral-7B's shape (its config.json), which is Llama's architecture with grouped queries: 7.25 billion parameters.
SEVEN_B = {
    "vocab_size": 32768,
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "max_position_embeddings": 32768,
    "tie_word_embeddings": False,
}


def write_tokenizer(folder: Path, chat_template: str) -> int:
    """A byte-level tokenizer with four special tokens, saved; the size of its vocabulary."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: number for number, token in enumerate(SPECIAL + alphabet)}
    raw = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    raw.add_special_tokens(SPECIAL)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw, unk_token="<unk>", bos_token="<|im_start|>", eos_token="<|im_end|>", pad_token="<pad>"
    )
    tokenizer.chat_template = chat_template
    tokenizer.save_pretrained(folder)
    return len(vocabulary)


def write_random_model(folder: Path, chat_template: str, shape=None, seed: int = 0, dtype=torch.float32) -> Path:
    """The folder with config, weights in dtype and a byte-level tokenizer, whose vocabulary the shape may exceed."""
    shape = TWO_LAYERS | (shape or {})
    shape.setdefault("vocab_size", write_tokenizer(folder, chat_template))
    torch.manual_seed(seed)
    tokens = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 3}
    config = AutoConfig.for_model(**{"model_type": "llama"} | tokens | shape, dtype=dtype)
    # Drawn in dtype and on the GPU where there is one: 7B in fp32 would not fit a 24 GB card.
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        model = AutoModelForCausalLM.from_config(config, dtype=dtype)
    model.save_pretrained(folder)
    return folder


def write_model_with_adapter(folder: Path, shape: dict, dtype=torch.bfloat16) -> None:
    """A random model of the shape, and beside it in adapter/ a fresh LoRA of rank 32, as an SFT run leaves one."""
    write_random_model(folder, template_for("none"), shape, dtype=dtype)
    with torch.device("meta"):  # the adapter needs the names and shapes of the base, not its weights
        model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder))
    settings = {"r": 32, "lora_alpha": 64, "target_modules": TARGETS, "task_type": "CAUSAL_LM"}
    model = get_peft_model(model, LoraConfig(base_model_name_or_path=str(folder), **settings))
    for name, parameter in list(model.named_parameters()):
        if "lora_" in name:
            owner, _, leaf = name.rpartition(".")
            drawn = torch.zeros(parameter.shape) if "lora_B" in name else torch.randn(parameter.shape)
            setattr(model.get_submodule(owner), leaf, torch.nn.Parameter(drawn / parameter.shape[1]))
    model.save_pretrained(folder / "adapter")
