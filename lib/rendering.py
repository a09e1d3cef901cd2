"""An example as the model sees it: token ids and a loss mask. The only place where text becomes training tokens.

Trained: the calls, their arguments, closing texts, the end-of-turn token and, in the text format, the words `Result:`
with which the model hands over. Not trained: prompts, results, and the characters of ids that nothing before shows.

Ids in a call's `context` belong to the host, which overwrites them. Where the prompt does not show them, the model's
view carries HOST_IDS instead of the row's own. Being the same everywhere they are trained: masked, the model filled
ids with zeros up to the length that a server's grammar set, and not every server has one.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

from lib.chat import Call, Example, Result, Text, Turn, dump_arguments, native_messages, print_text
from lib.errors import CannotRun
from lib.messages import with_short_ids
from lib.spans import assistant_spans

IGNORED = -100  # the label that PyTorch's and TRL's losses skip
HOST_IDS = {"sessionId": "session_1234567890123_abcdefghi", "workspaceId": "ws_1234567890123_abcdefghi"}
CONTEXT_ID = {
    "sessionId": re.compile(r"session_[0-9]{13}_[a-z0-9]{9}"),
    "workspaceId": re.compile(r"ws_[0-9]{13}_[a-z0-9]{9}"),
}
HOST = ("prompt", "result")  # roles whose tokens the model does not write
TRAINED = ("trained", "context")
ANY_ID = re.compile(r"\b([a-z]+_)([0-9]{13})_([a-z0-9]{9})\b")
RESULT_MARK = "Result:"
CONTEXT_OBJECT = re.compile(r'"context"\s*:\s*\{')
JSON = json.JSONDecoder(strict=False)


@dataclass(frozen=True)
class Rendered:
    """input_ids and labels of equal length (labels: the id where trained, IGNORED elsewhere); prompt_length in tokens;
    roles: for each token 'prompt', 'trained', 'context' (trained, too: a call's context object), 'result' or 'id'."""

    text: str
    input_ids: list[int]
    labels: list[int]
    prompt_length: int
    roles: list[str]
    name_end: int = 0  # tokens through the name of the first call; 0 where none is made

    @property
    def trained(self) -> int:
        return sum(label != IGNORED for label in self.labels)

    def first(self, length: int) -> Rendered:
        """The same row without the tokens from length on."""
        return replace(self, input_ids=self.input_ids[:length], labels=self.labels[:length], roles=self.roles[:length])

    @property
    def without_context(self) -> Rendered:
        """The same row with a loss on everything but the context objects of its calls."""
        masked = [IGNORED if role == "context" else label for label, role in zip(self.labels, self.roles, strict=True)]
        return replace(self, labels=masked)

    @property
    def first_call_end(self) -> int:
        """Where the row could end with its first call: before the host's tokens that answer it."""
        hosted = (place for place, role in enumerate(self.roles) if place > self.prompt_length and role in HOST)
        return next(hosted, len(self.roles))


def map_strings(value: Any, change) -> Any:
    """The JSON value with every string, keys left alone, replaced by change(string)."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {key: map_strings(item, change) for key, item in value.items()}
    if isinstance(value, list):
        return [map_strings(item, change) for item in value]
    return value


def shown_text(example: Example) -> str:
    """What the user and the system say, which the model can read before it answers."""
    turns = (turn for turn in example.turns if turn.role != "assistant")
    return "\n".join(part.text for turn in turns for part in turn.parts if isinstance(part, Text))


def with_host_ids(example: Example) -> Example:
    """The example with HOST_IDS for the well-formed context ids that its prompt does not show; results follow suit."""
    shown, mapping = shown_text(example), {}
    for call in example.calls:
        context = call.arguments.get("context") if isinstance(call.arguments, dict) else None
        for field, pattern in CONTEXT_ID.items():
            value = context.get(field) if isinstance(context, dict) else None
            if isinstance(value, str) and pattern.fullmatch(value) and value not in shown:
                mapping[value] = HOST_IDS[field]
    if not mapping:
        return example
    pattern = re.compile("|".join(map(re.escape, mapping)))

    def change(text: str) -> str:
        return pattern.sub(lambda match: mapping[match.group()], text)

    def change_part(part):
        if isinstance(part, Text):
            return replace(part, text=change(part.text))
        if isinstance(part, Call):
            return replace(part, arguments=map_strings(part.arguments, change))
        return replace(part, content=map_strings(part.content, change), raw=None)

    turns = tuple(
        Turn(turn.role, tuple(map(change_part, turn.parts))) if turn.role == "assistant" else turn
        for turn in example.turns
    )
    return replace(example, turns=turns)


def messages_of(example: Example, format: str) -> list[dict]:
    """The chat template's input: native tool calls, or plain text turns in the `tool_call:` form."""
    if format == "native":
        return with_short_ids(native_messages(example))
    return [{"role": turn.role, "content": print_text(turn.parts)} for turn in example.turns]


def result_ranges(example: Example, format: str, text: str, position: int) -> list[tuple[int, int]]:
    """Character ranges of tool results in the assistant's own text, from position on: only the text form has them.

    The blank line behind a result is the model's: a prompt that ends in it is split into other tokens than a text that
    goes on.
    """
    if format == "native":
        return []
    ranges = []
    for turn in example.turns:
        for part in turn.parts:
            if not isinstance(part, Result):
                continue
            body = part.raw if part.raw is not None else dump_arguments(part.content)
            mark = text.index(f"{RESULT_MARK} {body}", position)
            position = mark + len(RESULT_MARK) + 1 + len(body)
            ranges.append((mark + len(RESULT_MARK), position))
    return ranges


def context_ranges(text: str, spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Character ranges of the context objects in the assistant's calls, from behind the brace through the other."""
    ranges = []
    for start, end in spans:
        for match in CONTEXT_OBJECT.finditer(text, start, end):
            try:
                _, stop = JSON.raw_decode(text, match.end() - 1)
            except ValueError:  # a negative row may well be no JSON
                continue
            ranges.append((match.end(), stop))
    return ranges


def unknowable_ids(text: str, spans: list[tuple[int, int]], results: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Ranges of the digits and letters of ids in trained text that nothing before shows; HOST_IDS are known to all."""
    ranges = []
    for start, end in spans:
        for match in ANY_ID.finditer(text, start, end):
            if any(low <= match.start() < high for low, high in results):
                continue
            if match.group() not in HOST_IDS.values() and not is_shown(text, match, spans, results):
                ranges += [match.span(2), match.span(3)]
    return ranges


def is_shown(text: str, match: re.Match, spans, results) -> bool:
    """Whether the id stands earlier in a place that the model did not write: outside the spans, or in a result."""
    position = text.find(match.group())
    while position != -1 and position < match.start():
        written = any(low <= position < high for low, high in spans)
        if not written or any(low <= position < high for low, high in results):
            return True
        position = text.find(match.group(), position + 1)
    return False


def template(tokenizer, messages, tools, add_generation_prompt=False) -> str:
    """The chat template's text; CannotRun in plain words when the tokenizer has none or refuses the messages."""
    if not tokenizer.chat_template:
        raise CannotRun("this base model has no chat template. Name an instruct model, or give the size a `template`.")
    try:
        return tokenizer.apply_chat_template(
            messages, tools=tools, tokenize=False, add_generation_prompt=add_generation_prompt
        )
    except Exception as error:  # jinja raises what the template's author chose
        raise CannotRun(f"the chat template refuses this conversation: {error}") from error


def special_tokens(tokenizer) -> list[str]:
    """The texts of the tokenizer's special tokens, among them those that end a turn."""
    return [token.content for token in tokenizer.added_tokens_decoder.values() if token.special]


def tokenize(tokenizer, text: str, cuts: list[int]) -> tuple[list[int], list[tuple[int, int]]]:
    """(ids, character range of each), with a token's edge at every cut.

    A server encodes the prompt, and the model goes on from there: where the whole text has no edge at a cut, the pieces
    are encoded apart. Not always: SentencePiece puts a blank before each text that it is given.
    """
    whole = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    if set(cuts) <= {low for low, _ in whole["offset_mapping"]} | {len(text)}:
        return whole["input_ids"], [tuple(place) for place in whole["offset_mapping"]]
    ids, offsets = [], []
    for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True):
        piece = tokenizer(text[start:end], add_special_tokens=False, return_offsets_mapping=True)
        ids += piece["input_ids"]
        offsets += [(start + low, start + high) for low, high in piece["offset_mapping"]]
    return ids, offsets


def overlaps(low: int, high: int, ranges: list[tuple[int, int]]) -> bool:
    return any(low < end and start < high for start, end in ranges)


@dataclass(frozen=True)
class Layout:
    """A conversation's text, the character ranges of the assistant's turns in it, its token ids and their ranges."""

    text: str
    spans: list[tuple[int, int]]
    input_ids: list[int]
    offsets: list[tuple[int, int]]

    def prompt_length(self, turn: int = 0) -> int:
        """How many tokens stand before the assistant's turn of that number."""
        return sum(high <= self.spans[turn][0] for _, high in self.offsets)


def lay_out(messages: list[dict], tokenizer, tools=None) -> Layout:
    """The messages through the tokenizer's chat template; CannotRun when there is nothing to train on."""

    def draw(messages: list[dict], add_generation_prompt: bool) -> str:
        return template(tokenizer, messages, tools, add_generation_prompt)

    text = draw(messages, False)
    spans = assistant_spans(draw, messages, text, special_tokens(tokenizer))
    if not spans:
        raise CannotRun("the conversation has no assistant turn, so there is nothing to train on.")
    return Layout(text, spans, *tokenize(tokenizer, text, [start for start, _ in spans]))


def render(example: Example, tokenizer, format="native", tools=None) -> Rendered:
    """The example's token ids and labels through the tokenizer's chat template.

    tools: OpenAI-style tool list for templates that put tools into the prompt, or None (the toolset learnt by heart).
    """
    view = with_host_ids(example)
    layout = lay_out(messages_of(view, format), tokenizer, tools)
    text, spans = layout.text, layout.spans
    results = result_ranges(view, format, text, spans[0][0])
    ids_hidden, contexts = unknowable_ids(text, spans, results), context_ranges(text, spans)
    roles = []
    for low, high in layout.offsets:
        if not any(start <= low and high <= end for start, end in spans):
            roles.append("prompt")
        elif overlaps(low, high, results):
            roles.append("result")
        else:
            inside = "context" if overlaps(low, high, contexts) else "trained"
            roles.append("id" if overlaps(low, high, ids_hidden) else inside)
    labels = [token if role in TRAINED else IGNORED for token, role in zip(layout.input_ids, roles, strict=True)]
    named = through_name(view, text, spans[0][0], layout.offsets)
    return Rendered(text, layout.input_ids, labels, layout.prompt_length(), roles, named)


def through_name(example: Example, text: str, position: int, offsets: list[tuple[int, int]]) -> int:
    """How many tokens the text has through the name of the first call, looked for from position on; 0 without one."""
    name = next((call.name for call in example.calls), "")
    place = text.find(name, position) if name else -1
    return sum(low < place + len(name) for low, _ in offsets) if place >= 0 else 0


def rows_digest(rows: list[Rendered]) -> str:
    """sha256 of all token ids and labels in order: equal on every platform for equal data, tokenizer and template."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(json.dumps([row.input_ids, row.labels]).encode())
    return digest.hexdigest()


def role_counts(rows: list[Rendered]) -> Counter:
    """Tokens per role over all rows."""
    return Counter(role for row in rows for role in row.roles)


def check_trained_share(rows: list[Rendered]) -> None:
    """CannotRun when nothing or everything would be trained: the mask is wrong then, whatever the data say."""
    counts = role_counts(rows)
    trained = sum(counts[role] for role in TRAINED)
    if trained == 0:
        raise CannotRun("no token would be trained (0 %): the chat template hides the assistant's turns from the mask.")
    if trained == sum(counts.values()):
        raise CannotRun("every token would be trained (100 %): the mask does not see where the prompt ends.")
