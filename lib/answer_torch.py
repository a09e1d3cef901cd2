"""Answers of a model that PyTorch loads here: base with adapter, or a merged folder, without any server."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from peft import PeftModel

from lib.model_torch import load_base
from lib.tokenizer_torch import load_tokenizer


class Model:
    """A loaded model with its tokenizer, whose chat template is the one it was trained with."""

    def __init__(self, folder: Path, adapter: Path | None, platform: str):
        transformers.logging.disable_progress_bar()
        self.tokenizer = load_tokenizer(adapter or folder, None)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # what these libraries tell each other
            model = load_base(folder, platform)
            self.model = PeftModel.from_pretrained(model, adapter) if adapter else model
        self.model.eval()

    def prompt(self, messages: list[dict], tools: list[dict] | None) -> str:
        """The conversation through the chat template, up to where the model goes on."""
        return self.tokenizer.apply_chat_template(messages, tools=tools, tokenize=False, add_generation_prompt=True)

    @torch.no_grad()
    def complete(self, prompt: str, sampling: Any, stop: Sequence[str]) -> tuple[str, bool, int, int]:
        """(text before the first stop, whether it was cut off, prompt tokens, new tokens).

        sampling: an object with temperature, top_p, seed and max_tokens.
        """
        torch.manual_seed(sampling.seed)
        read = self.tokenizer(prompt, add_special_tokens=False, return_tensors="pt").to(self.model.device)
        drawn = {"do_sample": True, "temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": 0}
        written = self.model.generate(
            **read,
            max_new_tokens=sampling.max_tokens,
            use_cache=True,
            eos_token_id=self.tokenizer.eos_token_id,
            pad_token_id=self.tokenizer.pad_token_id,
            **({"stop_strings": list(stop), "tokenizer": self.tokenizer} if stop else {}),
            **(drawn if sampling.temperature else {"do_sample": False}),
        )
        start = read["input_ids"].shape[1]
        new = written[0][start:]
        ended = bool(len(new)) and int(new[-1]) == self.tokenizer.eos_token_id
        text = self.tokenizer.decode(new[:-1] if ended else new, skip_special_tokens=False)
        cut = min((place for mark in stop if (place := text.find(mark)) >= 0), default=len(text))
        return text[:cut], not ended and cut == len(text) and len(new) >= sampling.max_tokens, start, len(new)
