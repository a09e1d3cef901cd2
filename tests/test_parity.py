"""The gate between trained and served: quiet on every family's template, and each planted fault named."""

import pytest

from lib import ollama, parity
from lib.gguf_check import asker
from lib.gguf_metadata import read_text
from lib.parity import CALLS, HF, LLAMA, OLLAMA, STOPS, Case, Gate, check
from lib.parity_cases import READ, TOOLS, asked, called, cases, result, said
from lib.server import serve
from lib.templates import MODES, as_shipped, template_for
from tests.gguf_support import SPECIAL, toy_tokenizer, write_toy_gguf
from tests.template_support import original

WORDS = ("INST", "/INST", "TOOL_CALLS", "AVAILABLE_TOOLS", "/AVAILABLE_TOOLS", "TOOL_RESULTS", "/TOOL_RESULTS")
MISTRAL = ["<s>", "</s>", *(f"[{word}]" for word in WORDS)]
# family -> its special tokens, and which of them begin a text and end it
TOKENS = {
    "ours": (SPECIAL, 1, 2),
    "qwen2_5": (SPECIAL, 0, 2),
    "qwen3": (SPECIAL, 0, 2),
    "mistral_v03": (MISTRAL, 0, 1),
    "llama3_2": (["<|begin_of_text|>", "<|eot_id|>", "<|start_header_id|>", "<|end_header_id|>", "<|eom_id|>"], 0, 1),
}  # fmt: skip
WRITE_BOS = ("mistral_v03", "llama3_2")


COMPARED = [("ours", mode) for mode in MODES] + [
    ("mistral_v03", "none"),
    ("mistral_v03", "names"),
    ("qwen2_5", "none"),
    ("qwen2_5", "full"),
    ("qwen3", "names"),
    ("llama3_2", "none"),
]


def gate_of(folder, family, template, served=None, tokens=None):
    """(a context with the gate, the template in its GGUF) for a toy model of the family."""
    special, bos, eos = tokens or TOKENS[family]
    settings = {"special": special, "bos": bos, "eos": eos}
    path = folder / f"{family}.gguf"
    write_toy_gguf(path, served or template, add_bos=family in WRITE_BOS, **settings)
    return (
        serve(path, context=8192, parallel=1),
        toy_tokenizer(template, **settings),
        read_text(path, "tokenizer.chat_template"),
    )


def report_of(folder, family, template, served=None, tokens=None):
    server, tokenizer, found = gate_of(folder, family, template, served, tokens)
    with server as running:
        return check(Gate(tokenizer, template, asker(running)), found)


def test_there_are_more_than_thirty_conversations_of_every_kind():
    found = cases()
    assert len(found) == len({case.name for case in found}) >= 30
    ends = [case.messages[-1]["role"] for case in found]
    assert ends.count("tool") >= 8 and ends.count("user") >= 20
    assert sum(bool(case.answer.get("tool_calls")) for case in found) >= 20
    assert all(set(call["function"]["arguments"]) == set(sorted(call["function"]["arguments"])) for case in found
               for call in case.answer.get("tool_calls", ()))  # fmt: skip


@pytest.mark.parametrize("family, mode", COMPARED)
def test_what_is_trained_is_what_everyone_serves(llama, tmp_path, family, mode):
    template = template_for(mode) if family == "ours" else as_shipped(original(family), mode)
    report = report_of(tmp_path, family, template)
    assert [str(finding) for finding in report.findings] == []
    total, left = report.conversations, len(report.left_out.get(HF, {}))
    assert left == (1 if family == "llama3_2" else 0), "Llama's template takes one call in a turn"
    assert report.agreed[HF] == report.agreed[LLAMA] == total - left
    assert report.agreed.get(OLLAMA, 0) == (0 if mode == "full" else total - left)
    assert report.agreed[CALLS] >= 20 and report.agreed[STOPS] == 1


FEW = [
    Case("plain", [asked("What does it begin with?")], READ),
    Case("after a result", [asked("Read."), READ, result("{}")], said("Done.")),
]


@pytest.fixture
def few(monkeypatch):
    monkeypatch.setattr(parity, "cases", lambda: FEW)


def faults(report):
    return {finding.fault for finding in report.findings}


def test_tools_that_are_dropped_are_named(llama, few, tmp_path):
    template = template_for("full")
    report = report_of(tmp_path, "ours", template, served=template_for("none"))
    assert faults(report) == {"template replaced", "tools dropped"}
    assert "5 of 5 tools are in the trained prompt, 0 in this one" in str(report.findings[1])


def test_tools_that_were_not_trained_are_named(llama, few, tmp_path):
    report = report_of(tmp_path, "ours", template_for("none"), served=template_for("names"))
    assert faults(report) == {"template replaced", "tools added"}


def test_a_second_bos_is_named(llama, few, tmp_path, monkeypatch):
    template, own = as_shipped(original("mistral_v03"), "none"), ollama.template_text
    monkeypatch.setattr(ollama, "template_text", lambda jinja: "<s>" + own(jinja))
    report = report_of(tmp_path, "mistral_v03", template)
    assert faults(report) == {"double BOS"} and {finding.view for finding in report.findings} == {OLLAMA}


def test_a_template_by_which_ollama_finds_no_call_is_named(llama, few, tmp_path, monkeypatch):
    monkeypatch.setattr(ollama, "call_mark", lambda go: "<|im_start|>assistant")
    report = report_of(tmp_path, "ours", template_for("none"))
    assert faults(report) == {"call lost"} and {finding.view for finding in report.findings} == {OLLAMA}


def test_an_end_of_turn_that_does_not_stop_is_named(llama, few, tmp_path):
    tokens = (["<|endoftext|>", "<|im_start|>", "<|im_done|>"], 1, 0)
    template = template_for("none").replace("<|im_end|>", "<|im_done|>")
    report = report_of(tmp_path, "ours", template, tokens=tokens)
    assert "missing stop" in faults(report)
    assert "<|im_done|> (token 2) closes the trained answers" in " ".join(map(str, report.findings))


def test_another_template_is_named(llama, few, tmp_path):
    template = template_for("none")
    report = report_of(
        tmp_path, "ours", template, served=template.replace("<|im_start|>assistant", "<|im_start|>model")
    )
    assert faults(report) >= {"template replaced", "text differs"}


def test_ids_of_another_length_are_named(llama, tmp_path, monkeypatch):
    call = called("shelf_read", path="a.md")
    call["tool_calls"][0]["id"] = "call_1"
    monkeypatch.setattr(parity, "cases", lambda: [Case("old id", [asked("Read."), call, result("{}")])])
    report = report_of(tmp_path, "mistral_v03", as_shipped(original("mistral_v03"), "none"))
    assert faults(report) == {"wrong id length"}


def test_a_day_that_moves_is_named(llama, few, tmp_path):
    template = original("llama3_2")  # as its model is shipped: it writes today's date
    tokenizer_side = as_shipped(template, "none")
    report = report_of(
        tmp_path, "llama3_2", tokenizer_side, served=tokenizer_side.replace('"26 Jul 2024"', 'strftime_now("%d %b %Y")')
    )
    assert faults(report) == {"template replaced", "date drift"}


def test_a_call_that_comes_back_otherwise_is_named(few, tmp_path):
    tokenizer = toy_tokenizer(template_for("none"))
    answers = iter(
        [{"content": "No."}, {"tool_calls": [{"function": {"name": "shelf_read", "arguments": '{"path": "b"}'}}]}]
    )

    def ask(path, body):
        return {"choices": [{"message": next(answers)}]}

    gate = Gate(tokenizer, template_for("none"), ask)
    layout = parity.lay_out([*FEW[0].messages, READ], tokenizer)
    found = [parity.call_fault(gate, FEW[0], layout, parity.end_token(layout)).fault for _ in range(2)]
    assert found == ["call lost", "call changed"]


def test_a_tokenizer_that_splits_otherwise_is_named():
    tokenizer = toy_tokenizer(template_for("none"))
    fault, detail = parity.named(tokenizer, parity.View("ab", [5, 6]), parity.View("ab", [7]))
    assert fault == "tokenizer differs" and "gives 1 tokens instead of 2" in detail
    assert parity.named(tokenizer, parity.View("<|im_start|>a", [1, 5]), parity.View("a", [5]))[0] == "missing BOS"


def test_the_report_reads_as_a_line_for_each_view():
    report = parity.Report(2, {HF: 2, LLAMA: 1}, {OLLAMA: {"a": "no TEMPLATE", "b": "no TEMPLATE"}})
    report.findings.append(parity.Finding("double BOS", LLAMA, "a", "twice"))
    assert parity.lines(report.as_dict()) == [
        "transformers: 2 of 2 agree",
        "llama.cpp: 1 of 2 agree",
        "Ollama: none of 2 compared (no TEMPLATE)",
    ]


def test_the_tools_are_the_same_for_every_mode():
    assert len({tool["function"]["name"] for tool in TOOLS}) == len(TOOLS) == 5
