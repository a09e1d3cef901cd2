"""Has the server read the whole prompt? Its token count against the least that what was sent must come to.

Some servers cut a prompt that does not fit and answer all the same, and the model is blamed for what it never saw.
Chat templates differ too much for an exact count, so only what no template explains counts as cut.
"""

import json
import re
from functools import lru_cache

from evaluator.replies import Reply
from lib.json_text import json_bytes

# A tokenizer splits between letters and everything else, so each run of letters is a token or more. Some pieces of
# SentencePiece models join a sign to a word or two short words: a quarter is taken off for those.
_WORD = re.compile(r"[^\W\d_]+")
_SHARE = 0.75
OVERHEAD = 300  # tokens that a template may add of its own, its default system prompt included
SHRUNK = 0.8  # a later prompt holds the earlier one; thoughts that a template drops make it a little shorter
SMALLEST_CONTEXT = 2048
ROUND = 1024  # contexts are multiples of it


def least_tokens(text: str) -> int:
    """Fewer tokens than this no text of so many words has."""
    return int(_SHARE * len(_WORD.findall(text)))


@lru_cache(maxsize=8)  # the same tools are sent with every request
def _least_tokens(written: bytes) -> int:
    return least_tokens(written.decode())


def most_tokens(text: str) -> int:
    """More tokens than this no tokenizer and no template make of a text: one for each byte, and the template's own."""
    return len(text.encode("utf-8", "replace")) + OVERHEAD


def tools_text(tools: list[dict] | None) -> str:
    return json.dumps(tools, ensure_ascii=False) if tools else ""


def context_for(needed: int, reply_tokens: int) -> int:
    """A context that surely holds a prompt of at least `needed` tokens, and the reply: a power of two."""
    size = 4096
    while size < 3 * needed + reply_tokens:
        size *= 2
    return size


def cut(reply: Reply, texts: list[str], tools: list[dict] | None, window: int, before: int) -> tuple[str, int]:
    """(what shows that the prompt, or the reply by lack of room, was cut; tokens that the prompt has at least).

    "" when nothing shows it. texts: the contents of the messages; window: tokens that a request may use, 0 when
    unknown; before: prompt tokens of the conversation's step before, 0 when there was none.
    """
    read = reply.prompt_tokens or 0
    said = "\n".join(texts)
    needed = least_tokens(said)
    if read > most_tokens(said):  # only then has the template put the tools into the prompt, or part of them
        needed += _least_tokens(json_bytes(tools)) if tools else 0
    if reply.truncated:
        return "the server cut the prompt, as it says itself", needed
    if not read:
        return "", needed
    if window and read >= window - 1:
        return f"the prompt fills the whole context of {window} tokens", needed
    if window and reply.finish == "length" and read + (reply.reply_tokens or 0) >= window - 1:
        return f"prompt and reply fill the whole context of {window} tokens", needed
    if read < SHRUNK * before:
        return f"the server read {read} tokens, after {before} of the same conversation a step before", needed
    # A template may name the tools and leave their schemas out: that alone is no cut, a context about full is.
    some = read <= most_tokens(said)
    full = read >= window / 2 if window else read >= SMALLEST_CONTEXT and read % ROUND == 0
    if read < needed and (some or full):
        return f"the server read {read} tokens of a prompt that has at least {needed}", needed
    return "", needed
