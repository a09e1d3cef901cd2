"""Where the assistant's turns stand in a rendered conversation, whatever its chat template does.

Most templates only append: then a turn reaches from the end of the generation prompt before it through the text that
it adds. Others rewrite what stands before (Mistral moves the tools to the last request, Qwen3 drops an empty thought
from earlier turns, gpt-oss ends only its last turn with another token). There a message is found by what changes in
the text when its words are replaced by a sentinel.
"""

from os.path import commonprefix

from lib.errors import CannotRun

# Two that begin and end differently, so that no text looks like both at its edges.
SENTINELS = ("qzSentinelOne", "Zq sentinel twO")


def assistant_spans(draw, messages: list[dict], text: str, end_tokens=()) -> list[tuple[int, int]]:
    """Character ranges in text of the assistant's turns: from the end of the generation prompt through the end-of-turn.

    draw(messages, add_generation_prompt) renders; text is draw(messages, False); end_tokens: the tokenizer's special
    tokens. CannotRun when a turn is not where a server would let the model write it, or is not in the text at all.
    """
    spans = []
    for index, message in enumerate(messages):
        if message["role"] != "assistant":
            continue
        if index == 0:
            raise CannotRun("the conversation begins with the assistant; a request must come first.")
        start, end = appended(draw, messages, index, text) or searched(draw, messages, index, text, end_tokens)
        check_calls(message, text[start:end], index)
        spans.append((start, end))
    return spans


def appended(draw, messages: list[dict], index: int, text: str) -> tuple[int, int] | None:
    """The turn's range where the text up to it, and through it, is the beginning of the whole; None elsewhere."""
    before, through = draw(messages[:index], True), draw(messages[: index + 1], False).rstrip()
    if text.startswith(before) and text.startswith(through) and len(through) > len(before):
        return len(before), len(through)
    return None


def searched(draw, messages: list[dict], index: int, text: str, end_tokens) -> tuple[int, int]:
    """The turn's range, found from the words of the message before it and its own."""
    through = draw(messages[: index + 1], False)
    opening = generation_prompt(draw, messages[:index])
    place = text.find(opening, words(draw, messages, index - 1, text)[1])
    start, last = place + len(opening), words(draw, messages, index, text)[1]
    if not 0 <= place <= start <= last:
        raise CannotRun(
            f"the chat template begins message {index + 1} otherwise than its generation prompt does, so the model "
            "would be trained on another text than it is served. Use a template whose turns begin like its prompt."
        )
    closing = through[words(draw, messages[: index + 1], index, through)[1] :].rstrip()
    if text.startswith(closing, last):
        return start, last + len(closing)
    ends = [place + len(token) for token in end_tokens if (place := text.find(token, last)) >= 0]
    if not ends:
        raise CannotRun(f"the chat template rewrites message {index + 1} when others follow, and no end is in sight.")
    return start, min(ends)


def generation_prompt(draw, messages: list[dict]) -> str:
    """What the template puts before an answer: what it adds on request, else all behind the last message's words."""
    before, plain = draw(messages, True), draw(messages, False)
    if before.startswith(plain) and before != plain:
        return before.removeprefix(plain)
    return before[words(draw, messages, len(messages) - 1, before, True)[1] :]


def words(draw, messages: list[dict], index: int, text: str, prompt: bool = False) -> tuple[int, int]:
    """The range of text = draw(messages, prompt) that changes with the words of a message."""
    low, behind = len(text), len(text)
    for sentinel in SENTINELS:
        changed = [*messages[:index], with_words(messages[index], sentinel), *messages[index + 1 :]]
        other = draw(changed, prompt)
        if other == text:
            role = messages[index]["role"]
            raise CannotRun(f"the chat template leaves out message {index + 1} ({role}), so nothing can be trained.")
        same = len(commonprefix([text, other]))
        low = min(low, same)
        behind = min(behind, len(commonprefix([text[same:][::-1], other[same:][::-1]])))
    return low, len(text) - behind


def with_words(message: dict, sentinel: str) -> dict:
    """The message with the sentinel for its words: the arguments of its calls, otherwise its content."""
    if not message.get("tool_calls"):
        return message | {"content": sentinel}
    calls = [
        call | {"function": call["function"] | {"arguments": {sentinel: sentinel}}} for call in message["tool_calls"]
    ]
    return message | {"tool_calls": calls}


def check_calls(message: dict, turn: str, index: int) -> None:
    """CannotRun when a call of the message is not in its turn: templates that know no tools drop it without a word."""
    for call in message.get("tool_calls") or ():
        if call["function"]["name"] not in turn:
            raise CannotRun(
                f"the chat template does not write the tool call of message {index + 1}, so the model would never "
                "learn it. Give the size a `template` (lib/templates), or train with FORMAT=text."
            )
