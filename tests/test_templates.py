"""The chat templates that we ship: what they render, and that llama-server renders and parses the same."""

import json
import re

import pytest
import requests

from lib.errors import CannotRun
from lib.ollama import template_text
from lib.server import serve
from lib.templates import MODES, as_shipped, name_of, own_template, split, template_for
from lib.toolset import load_toolset
from tests.gguf_support import write_toy_gguf

ARGUMENTS = {
    "context": {"sessionId": "s"},
    "path": "Büro/π.md",
    "limit": 10,
    "deep": [True, None, 1.5, {"a": "\n\"'<>"}],
}
TOOL = {
    "type": "function",
    "function": {
        "name": "set_mode",
        "description": "Switches.",
        "parameters": {
            "type": "object",
            "properties": {
                "mode": {"type": "string", "enum": ["on"]},
                "id": {"type": "string", "pattern": "^id_[0-9]{3}$"},
            },
            "required": ["mode", "id"],
            "additionalProperties": False,
        },
    },
}


def call(name="set_mode", arguments=None):
    return {"id": "c1", "type": "function", "function": {"name": name, "arguments": arguments or {"mode": "on"}}}


CONVERSATIONS = {
    "question": [{"role": "user", "content": "Hello"}],
    "system": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "  Two\n\nlines  "}],
    "call": [
        {"role": "user", "content": "Go"},
        {"role": "assistant", "content": "", "tool_calls": [call(arguments=ARGUMENTS)]},
        {"role": "tool", "tool_call_id": "c1", "content": json.dumps(ARGUMENTS, ensure_ascii=False)},
        {"role": "assistant", "content": "Done: 100 %"},
        {"role": "user", "content": "Again"},
    ],
    "words before two calls": [
        {"role": "user", "content": "Go"},
        {"role": "assistant", "content": "I start.", "tool_calls": [call(), call("get_tools", {"tools": []})]},
        {"role": "tool", "tool_call_id": "c1", "content": "{}"},
        {"role": "tool", "tool_call_id": "c2", "content": '{"a": 1}'},
    ],
}


def rendered(messages, mode="none", tools=None):
    chat = pytest.importorskip("transformers.utils.chat_template_utils")
    texts, _ = chat.render_jinja_template(
        [messages], tools=tools, chat_template=template_for(mode), add_generation_prompt=True
    )
    return texts[0]


def test_a_call_is_json_in_tool_call_tags_and_a_result_is_a_turn_of_its_own():
    assert rendered(CONVERSATIONS["words before two calls"]) == (
        "<|im_start|>user\nGo<|im_end|>\n"
        "<|im_start|>assistant\nI start.\n"
        '<tool_call>\n{"name": "set_mode", "arguments": {"mode": "on"}}\n</tool_call>\n'
        '<tool_call>\n{"name": "get_tools", "arguments": {"tools": []}}\n</tool_call><|im_end|>\n'
        "<|im_start|>tool\n{}<|im_end|>\n"
        '<|im_start|>tool\n{"a": 1}<|im_end|>\n'
        "<|im_start|>assistant\n"
    )


def test_arguments_are_written_as_in_the_data():
    text = rendered(CONVERSATIONS["call"])
    assert f'"arguments": {json.dumps(ARGUMENTS, ensure_ascii=False)}}}' in text


def test_without_a_system_message_there_is_none():
    assert rendered(CONVERSATIONS["question"]) == "<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n"


def test_tools_reach_the_prompt_as_the_mode_says():
    tools = load_toolset().openai_tools()
    question = CONVERSATIONS["system"]
    assert rendered(question, "none", tools) == rendered(question)
    names = rendered(question, "names", tools)
    assert names.startswith(
        f"<|im_start|>system\nBe brief.\n\nTools: {', '.join(t['function']['name'] for t in tools)}<|im_end|>\n"
    )
    full = rendered(question, "full", tools)
    assert all(json.dumps(tool, ensure_ascii=False) in full for tool in tools)
    assert full.count("<|im_start|>system") == 1


@pytest.mark.parametrize("mode", MODES)
def test_without_tools_all_modes_are_the_same(mode):
    assert rendered(CONVERSATIONS["call"], mode) == rendered(CONVERSATIONS["call"])


def test_every_turn_only_adds_to_the_text():
    messages = CONVERSATIONS["call"]
    end = len("<|im_start|>assistant\n")
    for count in range(1, len(messages)):
        assert rendered(messages).startswith(rendered(messages[:count])[:-end])


def test_unknown_modes_and_names_are_refused():
    with pytest.raises(CannotRun, match="choose one of: none, names, full"):
        template_for("all")
    with pytest.raises(CannotRun, match="Known: smollm2"):
        template_for("none", "mistral")


def test_a_shipped_template_is_recognized_by_its_text():
    assert [name_of(template_for(mode)) for mode in MODES] == [("smollm2", mode) for mode in MODES]
    assert name_of("{{ messages }}") is None


@pytest.mark.parametrize("mode", MODES)
def test_the_ollama_form_has_balanced_blocks_and_announces_tools(mode):
    text = template_text(template_for(mode))
    actions = re.findall(r"\{\{-?\s*(\w+|/\*)", text)
    assert sum(a in ("if", "range", "with", "define") for a in actions) == actions.count("end")
    assert ".Tools" in text and ".ToolCalls" in text and "MODE" not in text
    assert text.endswith("<|im_start|>assistant\n")
    for part in ("<|im_end|>\n", "<tool_call>\n{", "}\n</tool_call>"):
        assert part in text and part.replace("\n", "\\n").replace('"', '\\"') in template_for(mode)


@pytest.fixture(scope="module")
def url(llama, tmp_path_factory):
    """A llama-server with a toy model that carries our template."""
    model = write_toy_gguf(tmp_path_factory.mktemp("toy") / "toy.gguf", template_for())
    with serve(model, context=2048, parallel=1) as server:
        yield server.url


def ask(url, path, **body):
    answer = requests.post(url + path, json=body, timeout=60)
    assert answer.ok, answer.text
    return answer.json()


def wire(messages):
    """Messages as clients send them: arguments as JSON text, and spelled unlike ours."""
    changed = json.loads(json.dumps(messages))
    for tool_call in (c for message in changed for c in message.get("tool_calls", [])):
        tool_call["function"]["arguments"] = json.dumps(tool_call["function"]["arguments"], separators=(",", ":"))
    return changed


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_llama_server_renders_what_transformers_renders(url, name):
    messages = CONVERSATIONS[name]
    if messages[-1]["role"] == "tool":
        messages = [*messages, {"role": "user", "content": "Go on"}]
    assert ask(url, "/apply-template", messages=wire(messages))["prompt"] == rendered(messages)


def test_forty_seven_tools_cost_no_prompt_token(url):
    messages = CONVERSATIONS["question"]
    bare = ask(url, "/v1/chat/completions", messages=messages, max_tokens=1)["usage"]["prompt_tokens"]
    tools = load_toolset().openai_tools()
    assert len(tools) == 47
    full = ask(url, "/v1/chat/completions", messages=messages, max_tokens=1, tools=tools)["usage"]["prompt_tokens"]
    assert full == bare < 60


def test_a_call_comes_back_as_a_native_tool_call(url):
    from openai import OpenAI

    # Begun with <tool_call>, the toy's random answer can only go on as the grammar that llama-server makes of TOOL.
    messages = [{"role": "user", "content": "Go"}, {"role": "assistant", "content": "<tool_call>\n{"}]
    client = OpenAI(base_url=f"{url}/v1", api_key="none")
    answer = client.chat.completions.create(
        model="toy", messages=messages, tools=[TOOL], tool_choice="required", max_tokens=200, temperature=0
    )
    function = answer.choices[0].message.tool_calls[0].function
    assert function.name == "set_mode"
    arguments = json.loads(function.arguments)
    assert list(arguments) == ["mode", "id"] and arguments["mode"] == "on"
    assert re.fullmatch("id_[0-9]{3}", arguments["id"])


def test_another_mode_can_be_asked_for_in_a_request(url):
    prompt = ask(
        url,
        "/apply-template",
        messages=CONVERSATIONS["question"],
        tools=[TOOL],
        chat_template_kwargs={"tools_in_prompt": "names"},
    )["prompt"]
    assert prompt == rendered(CONVERSATIONS["question"], "names", [TOOL])


OWN = (
    "{{ bos_token }}{% if tools %}T{% for t in tools %}[{{ t.function.name }}]{% endfor %}{% endif %}"
    "{{ strftime_now('%d %b %Y') }}{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}\n"
)


def text_of(template, tools=None, messages=None, **settings):
    chat = pytest.importorskip("transformers.utils.chat_template_utils")
    messages = messages or [{"role": "user", "content": "Hi"}]
    return chat.render_jinja_template([messages], tools=tools, chat_template=template, bos_token="<s>", **settings)[0][
        0
    ]


def test_a_base_s_own_template_is_shipped_with_one_day_and_the_tools_that_were_trained():
    system = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    shipped = {mode: as_shipped(OWN, mode) for mode in MODES}
    assert text_of(shipped["none"], [TOOL]) == text_of(shipped["none"]) == "<s>26 Jul 2024<user>Hi"
    assert text_of(shipped["names"], [TOOL]) == "<s>26 Jul 2024<system>Tools: set_mode<user>Hi"
    assert text_of(shipped["names"], [TOOL], system) == "<s>26 Jul 2024<system>Be brief.\n\nTools: set_mode<user>Hi"
    assert text_of(shipped["full"], [TOOL]) == "<s>T[set_mode]26 Jul 2024<user>Hi"
    assert text_of(shipped["none"], [TOOL], tools_in_prompt="full") == text_of(shipped["full"], [TOOL])


def test_mistral_s_system_text_stands_where_it_is_trained_and_served():
    own = "{% for message in loop_messages %}{% if loop.last and system_message is defined %}S{% endif %}{% endfor %}"
    assert "if loop.first and system_message is defined" in as_shipped(own, "none")


@pytest.mark.parametrize("mode", MODES)
def test_shipping_a_template_again_changes_nothing(mode):
    shipped = as_shipped(OWN, mode)
    assert as_shipped(shipped, mode) == shipped and split(shipped)[0] == mode
    assert as_shipped(shipped, "full") == as_shipped(OWN, "full")
    assert as_shipped(template_for("none"), mode) == template_for(mode)


def test_of_several_templates_the_one_for_tools_is_taken():
    assert split(own_template({"default": "a", "tool_use": "b"}, "full"))[1] == "b"
    assert split(own_template({"default": "a"}, "full"))[1] == "a" and own_template(None, "none") is None
    assert own_template({"default": "a", "tool_use": "b"}, None) == "b"


def test_a_template_that_loops_over_tools_unasked_gets_an_empty_list():
    shipped = as_shipped("{% for t in tools %}{{ t.function.name }}{% endfor %}.", "none")
    assert text_of(shipped, [TOOL]) == "."
