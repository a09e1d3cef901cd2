"""Every foreign format becomes the same example, and every row that cannot be read says why."""

import json

import pytest
from click.testing import CliRunner

from lib.chat import Call, Result, Text
from lib.importing import FORMATS, Rejected, import_row
from lib.jsonl import read_rows, write_rows
from scripts.import_rows import main

CALL = {"name": "get_weather", "arguments": {"city": "Lima", "days": 2}}
ANSWER = {"temperature": 19}
TOOL = {"name": "get_weather", "description": "", "parameters": {"type": "object", "properties": {}}}


def share(*turns):
    return {"conversations": [{"from": speaker, "value": value} for speaker, value in turns]}


WHOLE = {  # formats that hold request, call, result and closing words
    "openai": {"messages": [
        {"role": "user", "content": "Weather in Lima?"},
        {"role": "assistant", "content": None, "tool_calls": [
            {"id": "c1", "type": "function", "function": {**CALL, "arguments": json.dumps(CALL["arguments"])}}]},
        {"role": "tool", "tool_call_id": "c1", "content": json.dumps(ANSWER)},
        {"role": "assistant", "content": "19 degrees."},
    ]},
    "upstream": {"conversations": [
        {"role": "user", "content": "Weather in Lima?"},
        {"role": "assistant", "content": f"tool_call: get_weather\narguments: {json.dumps(CALL['arguments'])}\n\n"
                                         f"Result: {json.dumps(ANSWER)}\n\n19 degrees."},
    ]},
    "sharegpt": share(("human", "Weather in Lima?"), ("function_call", json.dumps(CALL)),
                      ("observation", json.dumps(ANSWER)), ("gpt", "19 degrees.")),
    "hermes": share(("human", "Weather in Lima?"), ("gpt", f"<tool_call>\n{json.dumps(CALL)}\n</tool_call>"),
                    ("tool", f"<tool_response>\n{json.dumps(ANSWER)}\n</tool_response>"), ("gpt", "19 degrees.")),
    "toolace": share(("user", "Weather in Lima?"), ("assistant", '[get_weather(city="Lima", days=2)]'),
                     ("tool", json.dumps(ANSWER)), ("assistant", "19 degrees.")),
    "glaive": {"system": "", "chat": "USER: Weather in Lima?\n\n\nASSISTANT: <functioncall> "
               '{"name": "get_weather", "arguments": \'{"city": "Lima", "days": 2}\'} <|endoftext|>\n\n\n'
               'FUNCTION RESPONSE: {"temperature": 19}\n\n\nASSISTANT: 19 degrees. <|endoftext|>\n\n\n'},
}  # fmt: skip


@pytest.mark.parametrize("name", WHOLE)
def test_formats_with_results_become_the_same_turns(name):
    _, (example,) = import_row(WHOLE[name])
    request, answer = example.turns
    assert request.role == "user" and request.text == "Weather in Lima?"
    call, result, closing = answer.parts
    assert (call.name, call.arguments) == (CALL["name"], CALL["arguments"])
    assert isinstance(result, Result) and result.content == ANSWER and closing == Text("19 degrees.")


def test_xlam_reads_lists_and_json_text():
    for tools, answers in (([TOOL], [CALL]), (json.dumps([TOOL]), json.dumps([CALL, CALL]))):
        name, (example,) = import_row({"query": "Weather?", "tools": tools, "answers": answers})
        assert name == "xlam" and example.calls[0] == Call("get_weather", CALL["arguments"])
        assert example.tools[0]["function"]["name"] == "get_weather"
    assert len(example.calls) == 2


def test_a_pair_becomes_a_true_and_a_false_row():
    _, examples = import_row({"prompt": "Hi", "chosen": "Hello.", "rejected": "Go away."})
    assert [(e.label, e.turns[1].text) for e in examples] == [(True, "Hello."), (False, "Go away.")]
    messages = [{"role": "user", "content": "Hi"}]
    said = [[*messages, {"role": "assistant", "content": text}] for text in ("Hello.", "No.")]
    _, examples = import_row({"prompt": messages, "chosen": said[0], "rejected": said[1]})
    assert [len(example.turns) for example in examples] == [2, 2]


def test_bfcl_takes_the_first_accepted_value_and_leaves_out_what_may_be():
    row = {"id": "simple_1", "question": [[{"role": "user", "content": "Weather?"}]], "function": [TOOL]}
    truth = [{"get_weather": {"city": ["Lima", "Lima, Peru"], "days": ["", 1], "place": [{"x": [1], "y": ["", 2]}]}}]
    _, (example,) = import_row(row, {"simple_1": truth})
    assert example.calls == [Call("get_weather", {"city": "Lima", "place": {"x": 1}})]
    with pytest.raises(Rejected, match="no simple_1"):
        import_row(row)


def test_strings_of_toolace_hold_names_with_blanks_brackets_in_strings_and_literals():
    text = "[News Search/API(q=\"a (b), 'c' ]\", n=-2, flags=[True, None], deep={'k': 1.5}), second()]"
    _, (example,) = import_row(share(("user", "x"), ("assistant", text)))
    first, second = example.calls
    assert first == Call("News Search/API", {"q": "a (b), 'c' ]", "n": -2, "flags": [True, None], "deep": {"k": 1.5}})
    assert second == Call("second", {})


REJECTED = {
    "unknown-format": {"text": "a"},
    "bad-row": ["a"],
    "unknown-role": share(("pope", "x"), ("gpt", "y")),
    "no-request": share(("gpt", "y")),
    "no-answer": share(("human", "x")),
    "bad-content": share(("human", 3), ("gpt", "y")),
    "not-json": share(("human", "x"), ("function_call", '{"name": "a", "arguments": {')),
    "bad-call": share(("human", "x"), ("gpt", '<tool_call>{"name": "a"}')),
    "stray-result": share(("human", "x"), ("observation", "{}"), ("gpt", "y")),
    "bad-label": {"prompt": "x", "completion": "y", "label": "yes"},
    "bad-tools": {"query": "x", "tools": ["a"], "answers": [CALL]},
}


@pytest.mark.parametrize("code", REJECTED)
def test_rejects_have_codes(code):
    with pytest.raises(Rejected) as rejected:
        import_row(REJECTED[code])
    assert rejected.value.code == code and len(str(rejected.value)) > 10


@pytest.mark.parametrize(
    "arguments", ["x=__import__('os').getcwd()", "x=open('a')", "**{'a': 1}", "1", "x=" + "(" * 300, "x=1]"]
)
def test_strings_that_are_no_literals_are_rejected_and_never_evaluated(arguments):
    with pytest.raises(Rejected) as rejected:
        import_row(share(("user", "x"), ("assistant", f"[f({arguments})]")))
    assert rejected.value.code == "bad-call"


def test_rows_in_are_rows_out_plus_rejects(tmp_path):
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    good = [*WHOLE.values(), {"prompt": "Hi", "chosen": "Hello.", "rejected": "No."}]
    write_rows(source, [*good, *(row for row in REJECTED.values() if isinstance(row, dict))])
    with open(source, "ab") as handle:
        handle.write(b'{"cut\n[1]\n\n' + b"[" * 20_000 + b"\n")
    result = CliRunner().invoke(main, [str(source), "--out", str(out), "--json"])
    assert result.exit_code == 1, result.output
    report = json.loads(result.stdout)
    rejects = [row for _, row in read_rows(out.with_suffix(".rejects.jsonl"))]
    assert report["rows"] == sum(report["formats"].values()) + len(rejects) == len(good) + len(REJECTED) - 1 + 3
    assert report["written"] == len(good) + 1 == sum(1 for _ in read_rows(out))
    assert {reject["code"] for reject in rejects} >= REJECTED.keys() and all(reject["line"] for reject in rejects)


def test_the_file_read_is_never_written_over(tmp_path):
    source = tmp_path / "in.jsonl"
    write_rows(source, [WHOLE["openai"]])
    result = CliRunner().invoke(main, [str(source), "--out", str(source)])
    assert result.exit_code == 2 and "Name another" in result.output
    assert len(FORMATS) == 7
