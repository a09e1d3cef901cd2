"""A base model's tokenizer with the chat template we train with: the same on every platform, whatever trains."""

from __future__ import annotations

from pathlib import Path

from transformers import AutoTokenizer

from lib.templates import own_template


def load_tokenizer(folder: Path, chat_template: str | None, tools_in_prompt: str | None = None):
    """The folder's tokenizer, padding on the right, with this chat template or its own: as we ship it, given a mode."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = chat_template or own_template(tokenizer.chat_template, tools_in_prompt)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    tokenizer.padding_side = "right"
    return tokenizer
