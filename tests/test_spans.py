"""Where the model's turns are in a rendered conversation: for each family's real template, and against TRL's masks."""

import pytest

from lib.errors import CannotRun
from lib.spans import assistant_spans
from tests.template_support import (
    CONVERSATION,
    FAMILIES,
    FIXTURES,
    NATIVE,
    TOOLS,
    WORDS,
    drawer,
    golden,
    original,
    trl_template,
)

# Templates of which TRL keeps a twin for training with a mask of its own, and what that one trains of the words that a
# server writes before each turn: those that write calls, and those that know none.
CALLING = {
    "qwen2_5": "",
    "qwen3": "",
    "qwen3_instruct_2507": "",
    "qwen3_vl": "",
    "qwen3_5_nothink": "<think></think>",
    "qwen3_5_think": "<think>",
    "qwen3_6": "<think>",
    "qwen3_8": "<think>",
    "gptoss": "<|start|>assistant",
    "glm4moe": "",
    "lfm2_v2": "",
}
TALKING = dict.fromkeys(("llama3", "qwen2_5_vl", "gemma", "gemma3", "phi3", "phi3_5", "cohere", "cohere2", "lfm2"), "")


@pytest.mark.parametrize("family", FAMILIES)
def test_the_turns_are_where_the_golden_file_marks_them(family):
    assert golden(family) == (FIXTURES / "masks" / f"{family}.txt").read_text(encoding="utf-8")


def spans_of(template, family, messages, tools=None):
    draw = drawer(template, family, tools)
    text = draw(messages, False)
    return text, assistant_spans(draw, messages, text, FAMILIES[family][3])


@pytest.mark.parametrize("family", NATIVE)
def test_a_turn_begins_where_a_server_hands_over_and_ends_with_a_token_that_stops(family):
    template = original(family)
    text, spans = spans_of(template, family, CONVERSATION, TOOLS)
    draw = drawer(template, family, TOOLS)
    assert len(spans) == 4
    for index, (start, end) in zip((1, 3, 5, 7), spans, strict=True):
        prompt = draw(CONVERSATION[:index], True)
        assert text[:start].endswith(prompt[-12:]), "the generation prompt stands before it"
        assert text[start:end].endswith(FAMILIES[family][3])
    trained = "".join(text[start:end] for start, end in spans)
    assert trained.count("Moby Dick.md") == trained.count("Emma.md") == trained.count("Ishmael") == 1
    assert "What does" not in trained and '"text"' not in trained and "Reads a page" not in trained


def generation_ranges(template, family, messages, tools):
    """TRL's own mask: the characters inside the generation blocks of its training template."""
    chat = pytest.importorskip("transformers.utils.chat_template_utils")
    _, bos, eos, _ = FAMILIES[family]
    texts, ranges = chat.render_jinja_template(
        [messages], tools=tools, chat_template=template, return_assistant_tokens_mask=True, bos_token=bos, eos_token=eos
    )
    return texts[0], ranges[0]


def characters(ranges):
    return {place for start, end in ranges for place in range(start, end)}


@pytest.mark.parametrize("name", [*CALLING, *TALKING])
def test_the_turns_are_those_of_trl_s_training_template(name):
    # What matters of a family here is the token that ends its turns.
    template, family = trl_template(f"{name}_training"), "gptoss" if name in ("gptoss", "phi3", "phi3_5") else "qwen2_5"
    messages, tools = (CONVERSATION, TOOLS) if name in CALLING else (WORDS, None)
    text, theirs = generation_ranges(template, family, messages, tools)
    found, spans = spans_of(template, family, messages, tools)
    assert found == text and len(spans) == sum(message["role"] == "assistant" for message in messages)
    ours, theirs = characters(spans), characters(theirs)
    rest = "".join(text[place] for place in sorted(theirs - ours))
    # Some of TRL's blocks begin before the words that a server writes for the model, or end behind the line break.
    assert ours <= theirs and rest.replace("\n", "") == (CALLING | TALKING)[name] * len(spans)


REWRITING = (
    "{{ messages | length }}{% for m in messages %}<{{ m.role }}>{{ m.content }}<|im_end|>{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


def test_a_template_that_rewrites_what_stands_before_is_searched():
    text, spans = spans_of(REWRITING, "ours", WORDS)
    assert [text[start:end] for start, end in spans] == [f"{m['content']}<|im_end|>" for m in WORDS[1::2]]
    assert text.startswith("4<user>")


def test_a_turn_that_ends_otherwise_in_the_middle_ends_with_its_special_token():
    template = REWRITING.replace("<|im_end|>", "{{ '<|last|>' if loop.last else '<|im_end|>' }}")
    text, spans = spans_of(template, "ours", WORDS)
    assert [text[start:end][-10:] for start, end in spans] == ["<|im_end|>", "h.<|last|>"]


@pytest.mark.parametrize(
    "template, messages, said",
    [
        (original("smollm2"), CONVERSATION, "does not write the tool call of message 2"),
        (original("smollm3"), CONVERSATION, "does not write the tool call of message 2"),
        ("{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}", CONVERSATION, "tool call of message 2"),
        (REWRITING.replace("<assistant>{% endif", "<other>{% endif"), WORDS, "otherwise than its generation prompt"),
        ("{{ messages | length }}{% if add_generation_prompt %}>{% endif %}", WORDS, "leaves out message"),
    ],
)
def test_what_a_template_does_not_write_where_it_is_served_is_refused(template, messages, said):
    with pytest.raises(CannotRun, match=said):
        spans_of(template, "ours", messages)


def test_a_conversation_that_the_assistant_begins_is_refused():
    with pytest.raises(CannotRun, match="begins with the assistant"):
        spans_of(REWRITING, "ours", WORDS[1:])
