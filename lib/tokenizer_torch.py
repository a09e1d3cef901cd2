"""A base model's tokenizer with the chat template we train with: the same on every platform, whatever trains."""

from __future__ import annotations

from pathlib import Path

from transformers import AutoTokenizer


def load_tokenizer(folder: Path, chat_template: str | None):
    """The folder's tokenizer with our chat template when the size has one, padding on the right."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    if chat_template is not None:
        tokenizer.chat_template = chat_template
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    tokenizer.padding_side = "right"
    return tokenizer
