"""SmolLM2-135M-Instruct from a GGUF file: bf16 safetensors and the tokenizer in its original form."""

import contextlib
import json
import os
from pathlib import Path

import torch
import transformers
from tokenizers import Tokenizer, decoders, pre_tokenizers

from lib.jsonl import write_json, write_text

# What a GGUF does not carry exactly: the float was rounded, the names are llama.cpp's.
CONFIG = {"_name_or_path": "HuggingFaceTB/SmolLM2-135M-Instruct", "rms_norm_eps": 1e-5, "pad_token_id": 0}
TOKENIZER_CONFIG = {
    "tokenizer_class": "PreTrainedTokenizerFast",
    "bos_token": "<|im_start|>",
    "eos_token": "<|im_end|>",
    # Not the end-of-turn token: a loss or a stop that leaves padding out must not leave that one out as well.
    "pad_token": "<|endoftext|>",
    "unk_token": "<|endoftext|>",
    "model_max_length": 8192,
    "clean_up_tokenization_spaces": False,
    "add_prefix_space": False,
}


def widen_smollm2(gguf: Path, folder: Path) -> None:
    """Write config, bf16 weights, tokenizer and the model's own chat template into folder."""
    settings = {"gguf_file": gguf.name, "dtype": torch.bfloat16}
    if hasattr(transformers, "GgufConfig"):  # transformers before 5.20 dequantizes by itself
        settings["quantization_config"] = transformers.GgufConfig(dequantize=True)
    with quiet():
        model = transformers.AutoModelForCausalLM.from_pretrained(str(gguf.parent), **settings)
        tokenizer = transformers.AutoTokenizer.from_pretrained(str(gguf.parent), gguf_file=gguf.name)
        model.save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config.pop("_model_name_or_path", None)
    # mlx-lm reads it here and would take 10,000 otherwise; transformers 5 keeps it in rope_parameters alone.
    rope = {"rope_theta": config["rope_parameters"]["rope_theta"]} if "rope_parameters" in config else {}
    write_json(folder / "config.json", config | CONFIG | rope)
    write_json(folder / "generation_config.json", {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0})
    original_form(tokenizer.backend_tokenizer).save(str(folder / "tokenizer.json"))
    write_json(folder / "tokenizer_config.json", TOKENIZER_CONFIG)
    write_text(folder / "chat_template.jinja", tokenizer.chat_template)
    (folder / "model.safetensors").chmod(0o644)


def original_form(tokenizer: Tokenizer) -> Tokenizer:
    """The tokenizer with SmolLM2's own splitting (each digit alone), which transformers' GGUF reader leaves out."""
    content = json.loads(tokenizer.to_str())
    content["pre_tokenizer"] = content["decoder"] = content["post_processor"] = None
    content["model"]["continuing_subword_prefix"] = content["model"]["end_of_word_suffix"] = None
    rebuilt = Tokenizer.from_str(json.dumps(content))
    rebuilt.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    rebuilt.decoder = decoders.ByteLevel()
    return rebuilt


@contextlib.contextmanager
def quiet():
    """Keeps transformers' bars and warnings about the conversion off the terminal while the block runs."""
    verbosity = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()
    try:
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):
            yield
    finally:
        transformers.logging.set_verbosity(verbosity)
