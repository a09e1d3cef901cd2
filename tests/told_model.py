"""A GGUF model written by hand that says one text, whatever it is asked: each token follows from the one before."""

from pathlib import Path

import numpy as np
import yaml

from lib.templates import template_for
from tests.gguf_support import SPECIAL, byte_characters, writer_of_one_layer, written

END = SPECIAL.index("<|im_end|>")
PIECE = 7  # characters; a whole mark such as <tool_call> must not be one token that the server does not expect


def pieces_of(text: str) -> list[str]:
    """The text in pieces of which no two are alike."""
    pieces: list[str] = []
    start = 0
    while start < len(text):
        length = PIECE
        while text[start : start + length] in pieces and start + length < len(text):
            length += 1
        pieces.append(text[start : start + length])
        start += length
    return pieces


def write_told_gguf(path: Path, template: str, text: str) -> Path:
    """path, now a model that answers `text` and ends its turn: for prompts that end with a line break.

    Embeddings are one-hot and all layers are zero, so the output matrix alone says which token follows which.
    """
    byte_tokens, pieces = byte_characters(), pieces_of(text)
    tokens = [*SPECIAL, *byte_tokens, *pieces]
    width = -(-len(tokens) // 32) * 32
    writer = writer_of_one_layer(path, template, tokens, len(SPECIAL), width, context=32768)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(END)
    writer.add_add_bos_token(False)
    output = np.zeros((len(tokens), width), dtype=np.float32)
    output[END, :] = 0.5  # what has no successor ends the turn
    first = len(SPECIAL) + len(byte_tokens)
    chain = [len(SPECIAL) + ord("\n"), *range(first, len(tokens)), END]
    for before, after in zip(chain, chain[1:], strict=False):
        output[after, before] = 2.0
    writer.add_tensor("token_embd.weight", np.eye(len(tokens), width, dtype=np.float32))
    writer.add_tensor("output.weight", output)
    writer.add_tensor("output_norm.weight", np.ones(width, dtype=np.float32))
    for name in ("attn_norm", "ffn_norm"):
        writer.add_tensor(f"blk.0.{name}.weight", np.ones(width, dtype=np.float32))
    for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
        writer.add_tensor(f"blk.0.{name}.weight", np.zeros((width, width), dtype=np.float32))
    for name, shape in (("ffn_gate", (32, width)), ("ffn_up", (32, width)), ("ffn_down", (width, 32))):
        writer.add_tensor(f"blk.0.{name}.weight", np.zeros(shape, dtype=np.float32))
    return written(writer, path)


def write_told_run(run: Path, form: str, answer: str) -> Path:
    """The folder, now a finished run whose GGUF says the answer."""
    (run / "gguf").mkdir()
    write_told_gguf(run / "gguf" / "told-f16.gguf", template_for(), answer)
    (run / "config.yaml").write_text(yaml.safe_dump({"settings": {"format": form, "tools_in_prompt": "none"}}))
    (run / "done.json").write_text("{}")
    return run
