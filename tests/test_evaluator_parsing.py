"""Which calls a reply's text holds: every syntax, and every place where a call is only talked about.

tests/fixtures/replies.jsonl, one reply a line: `text` as the model wrote it, `calls` as [name, arguments]; arguments
null: a call is meant, its arguments are no JSON object.
"""

import json
from pathlib import Path

import pytest

from evaluator.parsing import MAX_MARKS, MAX_VALUE, delivered_calls, find_calls
from lib.chat import Call, Result, Text, dump_arguments, print_text

MOVE_TEXT = 'tool_call: vaultManager_moveNote\narguments: {"path": "a.md", "newPath": "b.md"}'
ROWS = map(json.loads, Path("tests/fixtures/replies.jsonl").read_text(encoding="utf-8").splitlines())
REPLIES = {row["kind"]: (row["text"], [tuple(call) for call in row["calls"]]) for row in ROWS}
REPLIES["Hermes, too deep"] = ('<tool_call>{"name": "x", "arguments": ' + '{"a":' * 10_000, [("x", None)])


def test_the_table_holds_every_syntax():
    found = {call.source for text, _ in REPLIES.values() for call in find_calls(text)}
    assert len(REPLIES) > 120 and found == {"text", "hermes", "function", "mistral", "lmstudio", "llama3", "fenced"}


@pytest.mark.parametrize("kind", REPLIES)
def test_text_holds_these_calls(kind):
    text, expected = REPLIES[kind]
    assert [(call.name, call.arguments) for call in find_calls(text)] == expected


@pytest.mark.parametrize("kind", [kind for kind, (_, calls) in REPLIES.items() if any(c[1] is None for c in calls)])
def test_broken_call_says_what_is_wrong(kind):
    assert all(call.problem for call in find_calls(REPLIES[kind][0]) if call.arguments is None)


def test_call_in_our_form_ends_where_its_arguments_end():
    text = f"{MOVE_TEXT}\nResult: invented"
    assert text[: find_calls(text)[0].end] == MOVE_TEXT


def test_what_the_dataset_form_prints_is_found_with_the_same_arguments():
    calls = [Call("a_b", {"context": {"x": 'tool_call: "`\n'}, "n": 1.5}), Call("c", {})]
    text = print_text([Text("First."), calls[0], Result({"success": True}), calls[1], Result({"x": "Result: {"})])
    found = find_calls(text)
    assert [(call.name, call.arguments) for call in found] == [(call.name, call.arguments) for call in calls]
    assert [dump_arguments(call.arguments) for call in found] == [dump_arguments(call.arguments) for call in calls]


@pytest.mark.parametrize(
    "entry, expected",
    [
        ({"function": {"name": "x", "arguments": '{"a": 1}'}}, ("x", {"a": 1})),
        ({"function": {"name": "x", "arguments": {"a": 1}}}, ("x", {"a": 1})),
        ({"function": {"name": "x", "arguments": ""}}, ("x", {})),
        ({"function": {"name": "x"}}, ("x", {})),
        ({"function": {"name": "x", "arguments": '{"a": '}}, ("x", None)),
        ({"function": {"name": "x", "arguments": "[]"}}, ("x", None)),
        ({"function": {"name": "x", "arguments": 7}}, ("x", None)),
        ({"function": {"name": "x", "arguments": None}}, ("x", None)),
        ({"function": {"name": 7, "arguments": "{}"}}, ("", {})),
        ("nonsense", ("", None)),
        (None, ("", None)),
    ],
)
def test_delivered_call_is_read_whatever_its_shape(entry, expected):
    (call,) = delivered_calls([entry])
    assert (call.name, call.arguments) == expected
    assert bool(call.problem) == (call.arguments is None or not call.name)


def test_tool_calls_that_are_no_list_are_no_calls():
    assert delivered_calls(None) == delivered_calls({"name": "x"}) == []


@pytest.mark.parametrize(
    "unit",
    [
        "tool_call: x\narguments: {\n",
        "<tool_call>{",
        "`",
        "`a``b",
        "a`````",
        "tool_call: a   ",
        "<think>",
        "Result: [",
        "```\n",
        "[",
        "{}",
        " \n",
        "<function=x><parameter=a>",
        "<function=x>",
        "<|python_tag|>f(",
        "<|python_tag|>f(a=1);",
        "f(a=1);",
        "> ",
        "<pre>",
    ],
)
def test_a_looping_reply_gives_a_bounded_number_of_calls(unit):
    assert len(find_calls(unit * (MAX_VALUE // len(unit)))) <= MAX_MARKS
