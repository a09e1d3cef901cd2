"""A random Llama of two layers with a byte-level tokenizer, written to a folder: real code paths in seconds."""

from pathlib import Path

from lib.templates import template_for

SPECIAL = ["<unk>", "<|im_start|>", "<|im_end|>", "<pad>"]


def write_tiny_model(folder: Path, seed: int = 0) -> Path:
    """The folder with config, weights (fp32 on disk) and tokenizer; vocabulary of bytes and four special tokens."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: number for number, token in enumerate(SPECIAL + alphabet)}
    raw = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    raw.add_special_tokens(SPECIAL)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw, unk_token="<unk>", bos_token="<|im_start|>", eos_token="<|im_end|>", pad_token="<pad>"
    )
    tokenizer.chat_template = template_for("none")
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(vocabulary),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=4096,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=3,
        tie_word_embeddings=True,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def row(question: str, answer: str, label=None) -> dict:
    """A row in the text form."""
    turns = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return {"conversations": turns} if label is None else {"conversations": turns, "label": label}


def call_row(number: int, label=None) -> dict:
    """A short row with one call, its result and a closing sentence."""
    session = f"session_17000000{number:05d}_abc{number:06d}"
    answer = (
        f'tool_call: noteKeeper_add\narguments: {{"context": {{"sessionId": "{session}"}}, "text": "note {number}"}}'
        f'\n\nResult: {{"success": true, "id": {number}}}\n\nAdded note {number}.'
    )
    return row(f"Please add note number {number}.", answer, label)
