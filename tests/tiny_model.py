"""A random Llama of two layers with a byte-level tokenizer, written to a folder: real code paths in seconds."""

from pathlib import Path

from lib.templates import template_for


def write_tiny_model(folder: Path, seed: int = 0) -> Path:
    """The folder with config, weights (fp32 on disk) and tokenizer; vocabulary of bytes and four special tokens."""
    from lib.random_model_torch import write_random_model

    return write_random_model(folder, template_for("none"), seed=seed)


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
