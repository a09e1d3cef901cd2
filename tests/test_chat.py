"""lib/chat.py and lib/messages.py: rows of both forms become the same examples and come back without loss."""

import copy
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.chat import (
    Call,
    Example,
    Result,
    Text,
    Turn,
    dump_arguments,
    example_from_row,
    native_messages,
    to_native_row,
    to_text_row,
)
from tests import rows
from tests.test_call_text import objects, turns, words

ids = st.text(alphabet="abc0189", min_size=1, max_size=9)
said = turns().filter(bool) | words.map(lambda text: (Text(text),))


@st.composite
def examples(draw):
    """Conversations of one to three exchanges, with or without a system message, label, tools and further keys."""
    found = [Turn("system", (Text(draw(words)),))] if draw(st.booleans()) else []
    for _ in range(draw(st.integers(1, 3))):
        found += [Turn("user", (Text(draw(words)),)), Turn("assistant", draw(said))]
    tools = draw(st.none() | st.lists(objects, max_size=2).map(tuple))
    return Example(tuple(found), draw(st.none() | st.booleans()), tools, draw(st.sampled_from([{}, {"source": [1]}])))


def errors(faults) -> list:
    return [fault for fault in faults if fault.severity == "error"]


@settings(max_examples=80, deadline=None)
@given(examples())
def test_an_example_survives_the_text_form_and_its_row_survives_the_example(example):
    row = to_text_row(example)
    read, faults = example_from_row(json.loads(json.dumps(row)))
    assert (read, errors(faults)) == (example, [])
    assert to_text_row(read) == row


@settings(max_examples=80, deadline=None)
@given(examples())
def test_an_example_survives_the_native_form_and_its_row_survives_the_example(example):
    row = to_native_row(example)
    read, faults = example_from_row(json.loads(json.dumps(row)))
    assert (read, errors(faults)) == (example, [])
    assert to_native_row(read) == row


@settings(max_examples=80, deadline=None)
@given(examples())
def test_the_two_forms_hold_the_same_example(example):
    through_text, _ = example_from_row(to_text_row(example))
    assert to_native_row(through_text) == to_native_row(example)


def test_a_text_row_is_written_as_the_format_says():
    example, faults = example_from_row(rows.row())
    assert faults == []
    assert to_text_row(example) == rows.row()
    assert example.label is True
    assert [call.name for call in example.calls] == ["contentManager_readContent"]


def test_a_native_row_becomes_one_assistant_turn_and_comes_back():
    row = rows.native_row()
    example, faults = example_from_row(row)
    assert faults == []
    assert [turn.role for turn in example.turns] == ["system", "user", "assistant"]
    assert [type(part) for part in example.turns[2].parts] == [Text, Call, Call, Result, Result, Text]
    assert to_native_row(example) == row


def test_native_messages_give_arguments_as_objects():
    example, _ = example_from_row(rows.row())
    messages = native_messages(example)
    assert messages[1]["tool_calls"][0]["function"]["arguments"] == rows.arguments(filePath="Garden/Plan.md")
    assert [message["role"] for message in messages] == ["user", "assistant", "tool", "assistant"]


def test_call_ids_have_nine_characters_and_join_calls_to_results():
    example, _ = example_from_row(rows.native_row())
    messages = native_messages(example)
    made = [call["id"] for message in messages for call in message.get("tool_calls", [])]
    answered = [message["tool_call_id"] for message in messages if message["role"] == "tool"]
    assert made == answered == ["call00001", "call00002"]


def test_foreign_ids_and_results_out_of_order_are_kept():
    row = rows.native_row()
    first, second = row["messages"][2]["tool_calls"]
    first["id"], second["id"] = "abc", "def"
    row["messages"][3]["tool_call_id"], row["messages"][4]["tool_call_id"] = "def", "abc"
    example, faults = example_from_row(row)
    assert faults == []
    assert [part.id for part in example.turns[2].parts if isinstance(part, Result)] == ["def", ""]
    assert to_native_row(example) == row


def test_a_result_after_an_unanswered_call_belongs_to_the_later_call():
    parts = (Call("a", {}), Text("Hm."), Call("b", {}), Result(1))
    messages = native_messages(Example((Turn("user", (Text("x"),)), Turn("assistant", parts))))
    assert messages[2]["tool_calls"][0]["id"] == messages[3]["tool_call_id"] == "call00002"


def test_a_result_never_answers_a_call_of_an_earlier_exchange():
    ask = Turn("user", (Text("x"),))
    turns = (ask, Turn("assistant", (Call("a", {}),)), ask, Turn("assistant", (Call("b", {}), Result(1))))
    assert native_messages(Example(turns))[-1]["tool_call_id"] == "call00002"


def test_arguments_are_written_readably():
    assert dump_arguments({"a": "ä\n", "b": [1, None]}) == '{"a": "ä\\n", "b": [1, null]}'


def test_rows_handed_in_are_not_changed():
    for row in (rows.row(), rows.native_row()):
        before = copy.deepcopy(row)
        example, _ = example_from_row(row)
        to_text_row(example), to_native_row(example)
        assert row == before


STRUCTURE = {
    "no object": (["x"], "bad-row", "", "the row is a list, not an object"),
    "no conversation": ({"label": True}, "bad-row", "", '"conversations" is missing'),
    "an empty conversation": ({"conversations": []}, "bad-row", "", "is empty"),
    "a conversation that is no list": ({"conversations": {}}, "bad-row", "", "is no list"),
    "a turn that is no object": ({"conversations": ["hi"]}, "bad-turn", "turn 1", "must be an object"),
    "a turn without role": ({"conversations": [{"from": "human"}]}, "unknown-role", "turn 1", "ShareGPT"),
    "an unknown role": ({"conversations": [{"role": "human", "content": "x"}]}, "unknown-role", "turn 1", "'human'"),
    "a role of another form": ({"conversations": [{"role": "tool", "content": "x"}]}, "unknown-role", "turn 1", "tool"),
    "no content": ({"conversations": [{"role": "user"}]}, "bad-content", "turn 1", "is missing"),
    "content that is no text": ({"conversations": [{"role": "user", "content": []}]}, "bad-content", "turn 1", "[]"),
    "a label that is no bool": (rows.row(label="true"), "bad-label", "", "'true'"),
    "a label of 1": (rows.row(label=1), "bad-label", "", "not 1"),
    "a label of null": (rows.row(label=None), "bad-label", "", "None"),
    "tools that are no list": (rows.row(tools={}), "bad-row", "", '"tools" must be'),
}


@pytest.mark.parametrize("case", STRUCTURE)
def test_a_fault_of_structure_is_named_and_placed(case):
    row, code, place, words_in_message = STRUCTURE[case]
    _, faults = example_from_row(row)
    assert [(fault.code, fault.place, fault.severity) for fault in faults] == [(code, place, "error")]
    assert words_in_message in faults[0].message


def test_unknown_keys_are_warnings_and_those_of_the_row_are_kept():
    row = rows.row(source="hand")
    row["conversations"][0]["weight"] = 1
    example, faults = example_from_row(row)
    assert sorted((fault.code, fault.severity, fault.place) for fault in faults) == [
        ("unknown-key", "warning", ""),
        ("unknown-key", "warning", "turn 1"),
    ]
    assert to_text_row(example)["source"] == "hand"


def test_faults_of_a_turn_carry_turn_line_and_column():
    text = f"Well,\nthen:\n\n{rows.call_text(args='{x}')}"
    _, faults = example_from_row(rows.row(text))
    assert [(fault.code, fault.place) for fault in faults] == [("not-json", "turn 2, line 5, column 13")]


NATIVE = {
    "calls that are no list": (lambda m: m[2].update(tool_calls={}), "bad-call", "turn 3"),
    "a call without function": (lambda m: m[2]["tool_calls"][0].pop("function"), "bad-call", "turn 3, call 1"),
    "an id that is no text": (lambda m: m[2]["tool_calls"][0].update(id=7), "bad-call", "turn 3, call 1"),
    "arguments that are no JSON": (
        lambda m: m[2]["tool_calls"][1]["function"].update(arguments="{"),
        "not-json",
        "turn 3, call 2, character 2 of its arguments",
    ),
    "arguments that are a list": (
        lambda m: m[2]["tool_calls"][1]["function"].update(arguments="[]"),
        "not-json",
        "turn 3, call 2",
    ),
    "arguments with a key twice": (
        lambda m: m[2]["tool_calls"][1]["function"].update(arguments='{"a": 1, "a": 2}'),
        "duplicate-key",
        "turn 3, call 2, character 1 of its arguments",
    ),
    "a result that is no JSON": (lambda m: m[4].update(content="ok"), "bad-result", "turn 5, character 1"),
    "a result that answers no call": (lambda m: m[4].update(tool_call_id="zzz"), "stray-result", "turn 5"),
    "a result before any call": (lambda m: m.insert(2, dict(m[3])), "stray-result", "turn 3"),
    "an answer without words": (lambda m: m[5].update(content=" "), "empty-answer", "turn 6"),
}


@pytest.mark.parametrize("case", NATIVE)
def test_a_fault_of_a_native_row_is_named_and_placed(case):
    change, code, place = NATIVE[case]
    row = rows.native_row()
    change(row["messages"])
    _, faults = example_from_row(row)
    assert (code, place) in [(fault.code, fault.place) for fault in faults]


def test_a_call_without_words_may_have_no_content():
    row = rows.native_row()
    row["messages"][2]["content"] = None
    example, faults = example_from_row(row)
    assert faults == []
    assert isinstance(example.turns[2].parts[0], Call)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["role", "content", "conversations", "messages", "tool_calls", "function", "label", "id", "name"]
            )
            | st.text(max_size=3),
            inner | st.sampled_from(["user", "assistant", "tool", "tool_call: x\narguments: {}"]),
            max_size=5,
        )
    ),
    max_leaves=20,
)


@settings(max_examples=300, deadline=None)
@given(json_values, st.sampled_from([None, "conversations", "messages"]))
def test_any_json_row_gives_an_example_and_faults(value, key):
    example, faults = example_from_row({key: value} if key else value)
    assert isinstance(example, Example)
    assert example.turns or faults
    for fault in faults:
        assert fault.message.isprintable() and len(fault.message) < 300
