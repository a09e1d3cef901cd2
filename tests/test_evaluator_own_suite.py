"""A suite of one's own: tools in any usual form, cases without a vault, BFCL's question and answer files."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from evaluator import rescore
from evaluator.__main__ import main
from evaluator.own_tools import load_tools
from evaluator.results import read_result
from lib.errors import CannotRun
from lib.toolset import DEFAULT_TOOLS, load_toolset
from tests.commands import outcome
from tests.loopback import chat, serving

DAYS_AS_INT = {"days": {"type": "int"}}
WEATHER = {
    "type": "object",
    "properties": {
        "city": {"type": "string"},
        "days": {"type": "integer", "default": 1},
        "unit": {"type": "string", "enum": ["C", "F"]},
    },
    "required": ["city"],
    "additionalProperties": False,
}
NOTE = {"type": "object", "properties": {"context": {"type": "string"}}, "required": ["context"]}


def function(name, parameters, **more):
    return {"name": name, "description": f"Does {name}", "parameters": parameters, **more}


BARE = [function("weather", WEATHER), function("note", NOTE)]
FORMS = {
    "OpenAI's list": [{"type": "function", "function": tool} for tool in BARE],
    "the same under tools": {"tools": [{"type": "function", "function": tool} for tool in BARE]},
    "a bare list": BARE,
    "MCP's": {"tools": [{"name": tool["name"], "inputSchema": tool["parameters"]} for tool in BARE]},
    "a map of schemas": {"weather": WEATHER, "note": NOTE},
    "a map of tools": {"weather": {"parameters": WEATHER}, "note": {"parameters": NOTE, "description": "x"}},
    "types of another language": [
        function("weather", {**WEATHER, "type": "dict", "properties": WEATHER["properties"] | DAYS_AS_INT}),
        function("note", {**NOTE, "type": "dict"}),
    ],
}  # fmt: skip


def written(path, content):
    """A JSON file, or JSON Lines for a list of rows in a .jsonl."""
    lines = [json.dumps(row) for row in content] if path.suffix == ".jsonl" else [json.dumps(content)]
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_tools_gives_the_same_toolset(tmp_path, form):
    toolset = load_tools(written(tmp_path / "mine.json", FORMS[form]))
    assert list(toolset.tools) == ["weather", "note"]
    assert toolset.openai_tools()[0]["function"]["parameters"]["properties"]["days"]["type"] == "integer"
    assert toolset.check("weather", {"city": "Rome", "days": 2}) == []
    assert sorted(f.code for f in toolset.check("weather", {"days": 1.5})) == ["missing-required", "wrong-type"]
    assert [f.code for f in toolset.check("weather", {"city": "Rome", "unit": "K"})] == ["bad-enum"]
    assert toolset.check("note", {"context": "a text, not our context"}) == []
    assert toolset.check("wether", {})[0].message.endswith("Did you mean weather?")


def test_a_file_in_our_own_form_is_read_as_ours(tmp_path):
    copy = tmp_path / "tools.json"
    copy.write_bytes(Path(DEFAULT_TOOLS).read_bytes())
    assert load_tools(copy).tools == load_toolset().tools
    assert not any(tool.foreign for tool in load_tools(DEFAULT_TOOLS).tools.values())


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ([{"description": "x"}], "tools[0]: it has no name"),
        ([function("a", WEATHER), function("a", WEATHER)], "tools[1]: the name a is used twice"),
        ([function("a", {"type": "string"})], 'a: parameters must be a JSON Schema of type "object"'),
        ([function("a", {"type": "object", "properties": {"x": {"type": "texd"}}})], "a: its parameters are no JSON"),
        ([function("a", {"$ref": "http://x.invalid/y"})], "a: its parameters are no JSON Schema"),
        ([function("a", WEATHER, effect="deadly")], "effect is 'deadly'"),
        ({"weather": "yes"}, "weather: is no object"),
        ({"weather": {"city": {}}}, "weather: is neither a JSON Schema nor"),
        ([], "there is no tool in it"),
        ("x", "a JSON str"),
    ],
)
def test_faulty_tools_are_refused_by_name_and_place(tmp_path, content, said):
    path = written(tmp_path / "mine.json", content)
    with pytest.raises(CannotRun) as caught:
        load_tools(path)
    assert str(path) in caught.value.message and said in caught.value.message


# ------------------------------------------------------------------------------------------- evaluations


def evaluate(server, out, *arguments):
    """(exit code, stderr) of `python -m evaluator` against a server."""
    line = ["--backend", "openai", "--url", server.url, "--out", out, "--parallel", 1, "--no-probe", *arguments]
    code, _, said = outcome(main, *line)
    return code, said


def answering(replies):
    """A server whose model gives the reply of the question it is asked."""

    def answer(path, body, number):
        return {"data": [{"id": "m"}]} if body is None else replies[body["messages"][-1]["content"]]

    return answer


def outcomes(out):
    return {
        record["id"]: record["outcome"] if record["outcome"] == "pass" else record["findings"][0]["code"]
        for record in read_result(out)["records"]
    }


MINE = [
    {"id": "right", "question": "q1", "tools": ["weather"], "arguments": [{"city": "Rome"}]},
    {"id": "default", "question": "q2", "tools": ["weather"], "arguments": [{"city": "Rome"}]},
    {"id": "value", "question": "q3", "tools": ["weather"], "arguments": [{"city": {"one_of": ["Rome", "Roma"]}}]},
    {"id": "schema", "question": "q4", "tools": ["weather"], "arguments": [{"city": "Rome", "unit": {"any": True}}]},
    {"id": "two", "question": "q5", "tools": ["weather", "note"], "arguments": [{"city": "Rome"}, {"context": "Hi"}]},
    {"id": "extra", "question": "q6", "tools": ["weather"], "arguments": [{"city": "Rome"}]},
    {"id": "words", "question": "q7", "goal": {"reply": ["sorry"]}},
    {"id": "silent", "question": "q8"},
]
REPLIES = {
    "q1": chat(None, [("weather", {"city": "rome"})]),
    "q2": chat(None, [("weather", {"city": "Rome", "days": 1})]),
    "q3": chat(None, [("weather", {"city": "Paris"})]),
    "q4": chat(None, [("weather", {"city": "Rome", "unit": "K"})]),
    "q5": chat(None, [("weather", {"city": "Rome"}), ("note", {"context": "hi"})]),
    "q6": chat(None, [("weather", {"city": "Rome"}), ("note", {"context": "x"})]),
    "q7": chat("Sorry, I cannot."),
    "q8": chat(None, [("weather", {"city": "Rome"})]),
}
EXPECTED = {
    "right": "pass", "default": "pass", "value": "wrong-argument", "schema": "bad-enum", "two": "pass",
    "extra": "extra-call", "words": "pass", "silent": "unexpected-call",
}  # fmt: skip


def test_cases_without_a_vault_are_judged_by_schema_and_arguments_and_nothing_is_run(tmp_path):
    tools, prompts = written(tmp_path / "mine.json", BARE), written(tmp_path / "mine.jsonl", MINE)
    with serving(answering(REPLIES)) as server:
        code, err = evaluate(server, tmp_path / "out", "--prompts", prompts, "--tools", tools)
        sent = server.asked("/v1/chat/completions")
    assert code == 0, err
    assert outcomes(tmp_path / "out") == EXPECTED
    assert len(sent) == len(MINE), "one request a case: there is no result to go on with"
    assert {tool["function"]["name"] for tool in sent[0]["tools"]} == {"weather", "note"}
    records = read_result(tmp_path / "out")["records"]
    assert records[0]["steps"][0]["results"] == [{}]


def test_our_own_tools_can_be_asked_for_without_a_vault(tmp_path):
    from tests.loopback import CONTEXT

    case = {"id": "a", "question": "q", "tools": ["contentManager_readContent"], "arguments": [{"filePath": "A.md"}]}
    call = ("contentManager_readContent", {"context": CONTEXT, "filePath": "A.md"})
    with serving(answering({"q": chat(None, [call])})) as server:
        code, err = evaluate(server, tmp_path / "out", "--prompts", written(tmp_path / "mine.jsonl", [case]))
    assert code == 0 and outcomes(tmp_path / "out") == {"a": "pass"}, err


def question(case_id, text, functions=None, system=None, **more):
    turn = [{"role": "user", "content": text}]
    turn = [{"role": "system", "content": system}, *turn] if system else turn
    return {"id": case_id, "question": [turn], "function": functions or [POWER], **more}


POWER = {
    "name": "math.power",
    "description": "Raises",
    "parameters": {
        "type": "dict",
        "properties": {"base": {"type": "float"}, "exponent": {"type": "integer"}, "mod": {"type": "integer"}},
        "required": ["base", "exponent"],
    },
}
TRUTH = [{"math.power": {"base": [3.0, 3], "exponent": [4], "mod": ["", 1]}}]
QUESTIONS = [
    question("simple_0", "three to the fourth"),
    question("simple_1", "three to the fifth", system="Be brief."),
    question("simple_2", "both", [POWER, function("weather", WEATHER)]),
]
ANSWERS = [
    {"id": "simple_0", "ground_truth": TRUTH},
    {"id": "simple_1", "ground_truth": [{"math.power": {"base": [3], "exponent": [5], "mod": [""]}}]},
    {"id": "simple_2", "ground_truth": [*TRUTH, {"weather": {"city": ["Rome"], "days": [""], "unit": [""]}}]},
]
GIVEN = {
    "three to the fourth": chat(None, [("math_power", {"base": 3, "exponent": 4})]),
    "three to the fifth": chat(None, [("math_power", {"base": 3, "exponent": 4})]),
    "both": chat(None, [("weather", {"city": "rome"}), ("math_power", {"base": 3.0, "exponent": 4, "mod": 1})]),
    "nothing fits": chat("I have no tool for that."),
    "nothing fits either": chat(None, [("math_power", {"base": 1, "exponent": 1})]),
}


def bfcl_files(folder, answers="possible_answer/simple.json"):
    """(questions, answers) as BFCL ships them: JSON Lines that are called .json."""
    paths = folder / "simple.json", folder / answers
    for path, content in zip(paths, (QUESTIONS, ANSWERS), strict=True):
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n".join(map(json.dumps, content)))
    return paths


def test_bfcl_files_are_read_as_they_are(tmp_path):
    questions, _ = bfcl_files(tmp_path)
    with serving(answering(GIVEN)) as server:
        code, err = evaluate(server, tmp_path / "out", "--prompts", questions)
        first, second, third = server.asked("/v1/chat/completions")
    assert code == 0, err
    assert outcomes(tmp_path / "out") == {"simple_0": "pass", "simple_1": "wrong-argument", "simple_2": "pass"}
    assert [tool["function"]["name"] for tool in first["tools"]] == ["math_power"]
    assert first["tools"][0]["function"]["parameters"]["type"] == "object"
    assert [message["role"] for message in second["messages"]] == ["system", "user"]
    assert len(third["tools"]) == 2
    record = read_result(tmp_path / "out")["records"][1]
    assert record["tools"] == ["math_power"] and record["right_tool"] and record["valid_call"]


def test_answers_may_lie_elsewhere_and_old_answers_are_judged_again(tmp_path):
    questions, answers = bfcl_files(tmp_path, "elsewhere.json")
    with serving(answering(GIVEN)) as server:
        code, err = evaluate(server, tmp_path / "out", "--prompts", questions)
        assert code == 2 and f"{questions}:1: no answer to simple_0" in err and "--answers" in err
        code, err = evaluate(server, tmp_path / "out", "--prompts", questions, "--answers", answers)
    assert code == 0, err
    assert outcomes(tmp_path / "out")["simple_1"] == "wrong-argument"
    answers.write_text(answers.read_text().replace('"exponent": [5]', '"exponent": [4, 5]'))
    result = CliRunner().invoke(rescore.main, [str(tmp_path / "out"), "--prompts", str(questions)])
    assert result.exit_code == 1 and "simple_1: model_fail -> pass" in result.stdout, result.output


def test_a_file_of_irrelevance_wants_no_call(tmp_path):
    rows = [question("irrelevance_0", "nothing fits"), question("irrelevance_1", "nothing fits either")]
    with serving(answering(GIVEN)) as server:
        code, err = evaluate(server, tmp_path / "out", "--prompts", written(tmp_path / "irrelevance.jsonl", rows))
    assert code == 0, err
    assert outcomes(tmp_path / "out") == {"irrelevance_0": "pass", "irrelevance_1": "unexpected-call"}


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (question("a", "x", ground_truth=[{"power": {}}]), "is not among the tools"),
        (question("a", "x", ground_truth={"math.power": {}}), "must be a list"),
        (question("a", "x", ground_truth=[{"math.power": {"base": 3}}]), "needs a list of accepted values"),
        (question("a", "x", [POWER, {**POWER, "name": "math_power"}], ground_truth=[]), "is used twice"),
        (question("a", "x", [{"name": "f", "parameters": {"type": "list"}}], ground_truth=[]), 'of type "object"'),
        ({**question("a", "x"), "question": [[{"role": "user", "content": "x"}]] * 2}, "a conversation of 2 turns"),
        ({**question("a", "x"), "question": [[{"role": "assistant", "content": "x"}]]}, "one user message"),
        ({**question("a", "x"), "id": None}, "id must be a text"),
        ({"id": "a", "question": "x", "tools": ["wether"]}, "unknown tools: wether"),
        ({"id": "a", "question": "x", "gold": [{"name": "weather", "arguments": {}}]}, "weather cannot be run here"),
        (
            {"id": "a", "question": "x", "tools": ["weather"], "arguments": {"city": "x"}},
            "arguments must be a list",
        ),
        ({"id": "a", "question": "x", "tools": "weather"}, "tools must be a list of names"),
        ({"id": "a", "question": "x", "gold": ["weather"]}, "gold must be a list of calls"),
        ({"id": "a", "question": "x", "vault": {"notes": {"a.md": 5}}}, "fixture: "),
        (
            {"id": "a", "question": "x", "goal": {"exists": ["A.md"]}},
            "nothing decides the goals exists",
        ),
    ],
)
def test_faulty_cases_are_refused_with_file_and_line(tmp_path, row, said):
    prompts = written(tmp_path / "mine.jsonl", [{"id": "fine", "question": "q8"}, row])
    tools = written(tmp_path / "mine.json", BARE)
    with serving(answering(REPLIES)) as server:
        code, err = evaluate(server, tmp_path / "out", "--prompts", prompts, "--tools", tools)
    assert code == 2 and f"{prompts}:2: " in err and said in err


def test_foreign_tools_are_not_asked_for_in_the_text_form(tmp_path):
    tools, prompts = written(tmp_path / "mine.json", BARE), written(tmp_path / "mine.jsonl", MINE)
    with serving(answering(REPLIES)) as server:
        code, err = evaluate(server, tmp_path / "out", "--prompts", prompts, "--tools", tools, "--format", "text")
    assert code == 2 and "FORMAT=native" in err
