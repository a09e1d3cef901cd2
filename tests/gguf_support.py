"""A GGUF file of a few kilobytes: one random layer, one token for each byte, a family's special tokens."""

from pathlib import Path

import numpy as np

WIDTH, CONTEXT = 32, 8192
USER_DEFINED, CONTROL, NORMAL = 4, 3, 1  # llama.cpp's token types
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]


def byte_characters() -> list[str]:
    """The printable character that byte-level BPE writes for each byte."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    extra = iter(range(256, 512))
    return [chr(byte if byte in plain else next(extra)) for byte in range(256)]


def writer_of_one_layer(path: Path, template: str, tokens: list[str], special: int, width: int, context=CONTEXT):
    """A GGUFWriter with shape and tokenizer: `special` control tokens, one for each byte, and others."""
    import gguf

    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(context)
    writer.add_embedding_length(width)
    writer.add_block_count(1)
    writer.add_feed_forward_length(WIDTH)
    writer.add_head_count(2)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(width // 2)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types([CONTROL] * special + [NORMAL] * 256 + [USER_DEFINED] * (len(tokens) - special - 256))
    # llama.cpp wants one; its result is no token
    writer.add_token_merges([f"{tokens[special + 104]} {tokens[special + 105]}"])
    writer.add_chat_template(template)
    return writer


def written(writer, path: Path) -> Path:
    """path, with all that the writer was given."""
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def write_toy_gguf(path: Path, template: str, broken=False, special=SPECIAL, bos=1, eos=2, add_bos=False) -> Path:
    """path, now a model that llama.cpp loads; broken fills it with NaN; bos and eos are places in special."""
    tokens = [*special, *byte_characters()]
    writer = writer_of_one_layer(path, template, tokens, len(special), WIDTH)
    writer.add_bos_token_id(bos)
    writer.add_eos_token_id(eos)
    writer.add_add_bos_token(add_bos)
    numbers = np.random.default_rng(0)

    def weights(*shape):
        values = numbers.standard_normal(shape).astype(np.float32) * 0.1
        return np.full_like(values, np.nan) if broken else values

    writer.add_tensor("token_embd.weight", weights(len(tokens), WIDTH))
    writer.add_tensor("output_norm.weight", weights(WIDTH) + 1)
    for name in ("attn_norm", "ffn_norm"):
        writer.add_tensor(f"blk.0.{name}.weight", weights(WIDTH) + 1)
    for name in ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"):
        writer.add_tensor(f"blk.0.{name}.weight", weights(WIDTH, WIDTH))
    return written(writer, path)


def toy_tokenizer(template: str, special=SPECIAL, bos=1, eos=2):
    """The Hugging Face tokenizer with the same tokens under the same ids."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {token: number for number, token in enumerate([*special, *byte_characters()])}
    raw = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    raw.decoder = decoders.ByteLevel()
    raw.add_special_tokens(list(special))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, bos_token=special[bos], eos_token=special[eos])
    tokenizer.chat_template = template
    return tokenizer
