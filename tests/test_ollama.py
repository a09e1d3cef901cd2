"""Ollama's side: its Go TEMPLATE writes what the jinja template writes, for every family and mode that has one."""

import pytest

from lib import ollama
from lib.parity_cases import TOOLS, cases
from lib.templates import MODES, as_shipped, template_for
from tests.template_support import FAMILIES, drawer, original

WITH_TEMPLATE = ("mistral_v03", "mistral_nemo", "qwen2_5", "qwen3", "llama3_1", "llama3_2")


@pytest.mark.parametrize("mode", ["none", "names"])
@pytest.mark.parametrize("family", ["ours", *WITH_TEMPLATE])
def test_the_go_template_writes_the_jinja_template_s_text(family, mode):
    jinja = template_for(mode) if family == "ours" else as_shipped(original(family), mode)
    go = ollama.template_text(jinja)
    draw, compared = drawer(jinja, family, TOOLS), 0
    for case in cases():
        if family.startswith("llama") and any(len(m.get("tool_calls", ())) > 1 for m in case.messages):
            continue  # its jinja takes one call in a turn
        compared += 1
        expected = draw(case.messages, True).removeprefix(FAMILIES[family][1])
        assert ollama.render(go, case.messages, TOOLS) == expected, case.name
    assert compared >= 35


@pytest.mark.parametrize("mode", MODES)
def test_a_template_of_ours_announces_tools_in_every_mode(mode):
    assert ".Tools" in ollama.template_text(template_for(mode))


@pytest.mark.parametrize("family", WITH_TEMPLATE)
def test_other_families_announce_tools_and_name_the_token_that_ends_a_turn(family):
    jinja = as_shipped(original(family), "none")
    assert ".Tools" in ollama.template_text(jinja) and FAMILIES[family][2] in ollama.stops(jinja)


@pytest.mark.parametrize("jinja", ["{{ messages }}", "full", "unshipped"])
def test_what_is_left_to_ollama(jinja):
    known = {"full": as_shipped(original("qwen2_5"), "full"), "unshipped": original("qwen2_5")}
    assert ollama.template_text(known.get(jinja, jinja)) is None


def test_system_texts_are_joined_and_turns_of_one_role_merged():
    messages = [{"role": "system", "content": "A"}, {"role": "user", "content": "B"}, {"role": "user", "content": "C"}]
    text = ollama.render(ollama.template_text(template_for()), messages)
    assert text == "<|im_start|>system\nA<|im_end|>\n<|im_start|>user\nB\n\nC<|im_end|>\n<|im_start|>assistant\n"


def test_arguments_come_sorted_as_from_a_go_map():
    call = {"id": "c", "function": {"name": "f", "arguments": {"b": [1, {"z": None, "a": 1.5}], "a": "<x>\n"}}}
    text = ollama.render(ollama.template_text(template_for()), [{"role": "assistant", "tool_calls": [call]}])
    assert '"arguments": {"a": "<x>\\n", "b": [1, {"a": 1.5, "z": null}]}}' in text


@pytest.mark.parametrize(
    "family, mark",
    [(family, "[TOOL_CALLS]") for family in ("mistral_v03", "mistral_nemo")]
    + [(family, "<tool_call>") for family in ("ours", "qwen2_5", "qwen3")]
    + [(family, "{") for family in ("llama3_1", "llama3_2")],
)
def test_ollama_waits_for_what_a_call_begins_with(family, mark):
    jinja = template_for("none") if family == "ours" else as_shipped(original(family), "none")
    found = ollama.call_mark(ollama.template_text(jinja))
    assert found.startswith(mark)
    answers = [case.answer for case in cases() if case.answer.get("tool_calls")]
    text = drawer(jinja, family, TOOLS)([*cases()[0].messages, answers[0]], False)
    assert found in text.partition(cases()[0].messages[0]["content"])[2], "in the answer, not in the prompt"


@pytest.mark.parametrize("text, mark", [
    ("{{ if .ToolCalls }} {{ range .ToolCalls }}[call] {{ .ID }}{{ end }}{{ end }}", "[call]"),
    ("{{ range .Messages }}{{ if .Content }}{{ else if and .Role .ToolCalls }}<call>{{ end }}{{ end }}", "<call>"),
    ("{{ if (or .ToolCalls) }}a{{ end }}{{ if .ToolCalls }}{{ .Content }}b{{ end }}", "{"),
    ("{{ if .Tools }}a{{ end }}", "{"),
])  # fmt: skip
def test_the_mark_of_a_call_is_found_as_ollama_finds_it(text, mark):
    assert ollama.call_mark(text) == mark
