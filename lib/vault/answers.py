"""The text that stands in for a language model's answer: picked from what was given, the same every time."""

import re

from lib.vault.frontmatter import body_of
from lib.vault.matching import words
from lib.vault.state import Model

MARK = "[simulated]"
NOTICE = "Simulated: no model was called; the answer is put together from the request and what was given with it."
REQUEST_LENGTH = 200
SENTENCES = 3
SENTENCE_LENGTH = 240
MAX_SENTENCES = 2000
CHARACTERS_PER_TOKEN = 4
SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n+")
MARKUP = " \t#>*-+|"


def answer(prompt: str, sources: list[tuple[str, str]], agent: str = "", max_tokens: float | None = None) -> str:
    """The simulated answer: the request, and the sentences of the sources that share most words with it.

    sources: (name, text) of each file or earlier answer
    """
    parts = [f"{MARK} Answer{f' by {agent}' if agent else ''} to: {_short(prompt, REQUEST_LENGTH)}"]
    picked = _picked(prompt, sources)
    parts += [f"- {sentence} ({name})" for name, sentence in picked]
    if not sources:
        parts.append("No files were given with the request.")
    elif not picked:
        parts.append(f"Nothing to quote in: {', '.join(name for name, _ in sources)}")
    text = "\n".join(parts)
    if max_tokens is not None and max_tokens >= 1:
        # The mark stays whole however small the cap is.
        text = text[: max(int(max_tokens) * CHARACTERS_PER_TOKEN, len(MARK))]
    return text


def _picked(prompt: str, sources: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """(name, sentence) of the best sentences, in the order they stand in the sources."""
    wanted = {word for word in words(prompt) if len(word) > 3}
    ranked = []
    for name, text in sources:
        sentences = [part.strip(MARKUP) for part in SENTENCE_END.split(body_of(text))]
        for sentence in list(dict.fromkeys(part for part in sentences if part))[:MAX_SENTENCES]:
            ranked.append((-len(wanted & set(words(sentence))), len(ranked), name, _short(sentence, SENTENCE_LENGTH)))
    best = sorted(sorted(ranked)[:SENTENCES], key=lambda entry: entry[1])
    return [(name, sentence) for _, _, name, sentence in best]


def _short(text: str, length: int) -> str:
    text = " ".join(text.split())
    return text if len(text) <= length else text[:length].rstrip() + "..."


def tokens(text: str) -> int:
    """About how many tokens a text has, at four characters a token."""
    return -(-len(text) // CHARACTERS_PER_TOKEN)


def usage_and_cost(given: str, answered: str, model: Model | None) -> dict:
    """`usage` and `cost` of one answer; models without a known price cost 0."""
    prompt_tokens, completion_tokens = tokens(given), tokens(answered)
    input_cost = round(prompt_tokens * (model.input_price if model else 0) / 1_000_000, 8)
    output_cost = round(completion_tokens * (model.output_price if model else 0) / 1_000_000, 8)
    return {
        "usage": {
            "promptTokens": prompt_tokens,
            "completionTokens": completion_tokens,
            "totalTokens": prompt_tokens + completion_tokens,
        },
        "cost": {
            "inputCost": input_cost,
            "outputCost": output_cost,
            "totalCost": round(input_cost + output_cost, 8),
            "currency": "USD",
        },
    }
