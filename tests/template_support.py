"""The chat templates of other families, rendered without a tokenizer, and the conversation that golden files hold."""

import json
from importlib.util import find_spec
from pathlib import Path

import pytest

from lib.spans import assistant_spans
from lib.templates import as_shipped, template_for

FIXTURES = Path(__file__).parent / "fixtures" / "templates"
V03 = {  # what Mistral-7B-Instruct-v0.3 writes otherwise than Nemo
    "[AVAILABLE_TOOLS][": "[AVAILABLE_TOOLS] [",
    '"[INST]"': '"[INST] "',
    "[TOOL_CALLS][": "[TOOL_CALLS] [",
    '{{- message["content"] + eos_token}}': '{{- " " + message["content"]|trim + eos_token}}',
    "[TOOL_RESULTS]{": "[TOOL_RESULTS] {",
}
# family -> (where its template is, beginning and end of text, the tokens that end a turn)
FAMILIES = {
    "mistral_v03": ("mistral_nemo", "<s>", "</s>", ("</s>",)),
    "mistral_nemo": ("mistral_nemo", "<s>", "</s>", ("</s>",)),
    "qwen2_5": ("trl:qwen2_5", "", "<|im_end|>", ("<|im_end|>", "<|endoftext|>")),
    "qwen3": ("trl:qwen3", "", "<|im_end|>", ("<|im_end|>", "<|endoftext|>")),
    "llama3_1": ("trl:llama3_1", "<|begin_of_text|>", "<|eot_id|>", ("<|eot_id|>", "<|eom_id|>")),
    "llama3_2": ("trl:llama3_2", "<|begin_of_text|>", "<|eot_id|>", ("<|eot_id|>", "<|eom_id|>")),
    "smollm2": ("smollm2", "", "<|im_end|>", ("<|im_end|>",)),
    "smollm3": ("smollm3", "", "<|im_end|>", ("<|im_end|>",)),
    "hermes": ("hermes2_pro", "<|begin_of_text|>", "<|im_end|>", ("<|im_end|>",)),
    "gptoss": ("trl:gptoss", "", "<|return|>", ("<|end|>", "<|return|>", "<|call|>")),
    "ours": ("ours", "", "<|im_end|>", ("<|im_end|>",)),
}
NATIVE = [name for name in FAMILIES if name not in ("smollm2", "smollm3")]  # these templates write no calls


def original(family: str) -> str:
    """The family's template as its model is shipped with it."""
    place = FAMILIES[family][0]
    if place == "ours":
        return template_for("full")
    if place.startswith("trl:"):
        found = find_spec("trl")
        if found is None:
            pytest.skip("trl is not installed")
        return trl_template(place.removeprefix("trl:"))
    text = (FIXTURES / f"{place}.jinja").read_text(encoding="utf-8")
    if family == "mistral_v03":
        for nemo, v03 in V03.items():
            assert nemo in text
            text = text.replace(nemo, v03)
    return text


def trl_template(name: str) -> str:
    folder = Path(find_spec("trl").origin).parent / "chat_templates"
    path = folder / f"{name}.jinja"
    if not path.is_file():
        pytest.skip(f"this trl has no {name}.jinja")
    return path.read_text(encoding="utf-8")


def drawer(template: str, family: str, tools=None):
    """draw(messages, add_generation_prompt): the text."""
    chat = pytest.importorskip("transformers.utils.chat_template_utils")
    _, bos, eos, _ = FAMILIES[family]

    def draw(messages, add_generation_prompt):
        settings = {"add_generation_prompt": add_generation_prompt, "bos_token": bos, "eos_token": eos}
        texts, _ = chat.render_jinja_template([messages], tools=tools, chat_template=template, **settings)
        return texts[0]

    return draw


def call(name: str, number: int, **arguments) -> dict:
    function = {"name": name, "arguments": arguments}
    return {
        "role": "assistant",
        "content": "",
        "tool_calls": [{"id": f"call{number:05d}", "type": "function", "function": function}],
    }


def answer(number: int, text: str) -> dict:
    return {"role": "tool", "tool_call_id": f"call{number:05d}", "content": text}


TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "shelf_read",
            "description": "Reads a page.",
            "parameters": {"type": "object", "properties": {"path": {"type": "string", "description": "A book."}}},
        },
    }
]
CONVERSATION = [
    {"role": "user", "content": "What does Moby Dick begin with?"},
    call("shelf_read", 1, path="Moby Dick.md", page=1),
    answer(1, '{"text": "Call me Ishmael."}'),
    {"role": "assistant", "content": "With these words: Call me Ishmael."},
    {"role": "user", "content": "And Emma?"},
    call("shelf_read", 2, path="Emma.md"),
    answer(2, '{"text": "Emma Woodhouse"}'),
    {"role": "assistant", "content": "Emma Woodhouse, handsome, clever, and rich."},
]
WORDS = [message for message in CONVERSATION if message["role"] in ("user", "assistant") and message["content"]]


def marked(family: str, messages=None, tools=None) -> str:
    """The conversation's text, ⟦ and ⟧ around the assistant's turns."""
    draw = drawer(as_shipped(original(family), "full"), family, tools)
    messages = messages or CONVERSATION
    text = draw(messages, False)
    for start, end in reversed(assistant_spans(draw, messages, text, FAMILIES[family][3])):
        text = f"{text[:start]}⟦{text[start:end]}⟧{text[end:]}"
    return text


def golden(family: str) -> str:
    """What masks/FAMILY.txt holds: the conversation with a tool, or its words where a template writes no calls."""
    return marked(family, tools=TOOLS) if family in NATIVE else marked(family, WORDS)


if __name__ == "__main__":
    for name in FAMILIES:
        (FIXTURES / "masks" / f"{name}.txt").write_text(golden(name), encoding="utf-8")
        print(json.dumps(name))
