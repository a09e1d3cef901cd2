"""lib/call_text.py: the text form of an assistant turn, read with exact positions and printed without loss."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.call_text import Call, Result, Text, parse_text, print_text

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
objects = st.dictionaries(st.text(max_size=5), json_values, max_size=4)
names = st.text(alphabet="abcXYZ_0189", min_size=1, max_size=12)
odd_words = st.sampled_from(
    ["a tool_call: b", "see\n\nbelow", "Results:", '{"a": 1}', " x", "x\n", "\r\nx\r", " \n\n x"]
)
plain_words = st.text(max_size=20).filter(
    lambda text: text.strip() and "tool_call:" not in text and "Result:" not in text
)
words = plain_words | odd_words
PIECES = [
    "tool_call: x\n",
    "arguments: {}",
    "arguments: ",
    "Result: {}",
    "Result: ",
    "\n",
    "\n\n",
    " ",
    "{",
    '"',
    "}",
    "é",
]


@st.composite
def turns(draw):
    """Parts of an assistant turn: words never next to words, results after as many calls."""
    parts = []
    for _ in range(draw(st.integers(0, 4))):
        if draw(st.booleans()) and not (parts and isinstance(parts[-1], Text)):
            parts.append(Text(draw(words)))
        calls = draw(st.lists(st.builds(Call, names, objects), min_size=1, max_size=3))
        results = draw(st.lists(st.builds(Result, json_values), max_size=len(calls)))
        parts += calls + results
        if draw(st.booleans()):
            parts.append(Text(draw(words)))
    return tuple(parts)


@settings(max_examples=100, deadline=None)
@given(turns())
def test_printed_parts_are_read_back_as_they_were(parts):
    read, faults = parse_text(print_text(parts))
    assert read == parts
    assert [fault for fault in faults if fault.severity == "error"] == []


@settings(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=14).map("".join))
def test_any_text_is_read_and_reading_its_print_changes_nothing(text):
    parts, _ = parse_text(text)
    again, _ = parse_text(print_text(parts))
    assert again == parts


def test_the_canonical_text_is_read_into_its_parts():
    text = 'I look.\n\ntool_call: a_b\narguments: {"x": 1}\n\nResult: {"success": true}\n\nDone.'
    parts, faults = parse_text(text)
    assert parts == (Text("I look."), Call("a_b", {"x": 1}), Result({"success": True}), Text("Done."))
    assert faults == []
    assert print_text(parts) == text


@pytest.mark.parametrize(
    "text",
    [
        'tool_call: a\narguments: {"x": 1}\nResult: {"y": 2}\nDone.',
        '  tool_call: a\n  arguments: {"x": 1}\n\n  Result: {"y": 2}\n\nDone.',
        'tool_call:a\narguments:{"x":1}\n\n\nResult:{"y":2}\n\nDone.',
        '\ntool_call: a  \narguments:\t{"x": 1}  \n\nResult: \n{"y": 2}\n\nDone.',
        'tool_call: a\r\narguments: {"x": 1}\r\n\r\nResult: {"y": 2}\r\n\r\nDone.',
        'tool_call: a\narguments: {\n  "x": 1\n}\n\nResult: {\n  "y": 2\n}\n\nDone.',
        'tool_call: a\narguments:\n{"x": 1}\n\nResult: {"y": 2}\n\nDone.',
    ],
)
def test_other_spacing_is_read_alike(text):
    parts, faults = parse_text(text)
    assert parts == (Call("a", {"x": 1}), Result({"y": 2}), Text("Done."))
    assert faults == []


def test_raw_line_breaks_inside_strings_are_read_and_warned_about():
    text = 'tool_call: a\narguments: {"x": "one\n\ntwo"}\n\nResult: {"y": "three\nfour"}'
    parts, faults = parse_text(text)
    assert parts == (Call("a", {"x": "one\n\ntwo"}), Result({"y": "three\nfour"}))
    assert [(fault.code, fault.severity, text[fault.offset]) for fault in faults] == [
        ("raw-control", "warning", "\n")
    ] * 2


def test_a_mention_within_a_sentence_is_words():
    text = "I would write tool_call: x here, and arguments: y."
    assert parse_text(text) == ((Text(text),), [])


def test_broken_arguments_are_kept_as_written_and_placed():
    text = 'tool_call: a\narguments: {"x": }\n\nResult: {"success": true}\n\ntool_call: b\narguments: {}'
    parts, faults = parse_text(text)
    assert parts[0] == Call("a", {}, "", '{"x": }')
    assert parts[1:] == (Result({"success": True}), Call("b", {}))
    assert [(fault.code, text[fault.offset :][:2]) for fault in faults] == [("not-json", "}\n")]
    assert print_text(parts) == text


@pytest.mark.parametrize("written", ["[1]", '"x"', "null", "3", '{"a": 1}}', '{"a": 1', "nothing", '{"a": NaN}', ""])
def test_arguments_that_are_no_object_are_a_fault(written):
    parts, faults = parse_text(f"tool_call: a\narguments: {written}\n\nResult: {{}}")
    assert [type(part) for part in parts] == [Call, Result]
    assert (parts[0].arguments, parts[0].raw) == ({}, written)
    assert [fault.code for fault in faults] == ["not-json"]


@pytest.mark.parametrize("written", ["nothing", '{"a": 1}}', '{"a": [...]}'])
def test_a_result_that_is_no_json_is_kept_as_written(written):
    parts, faults = parse_text(f"tool_call: a\narguments: {{}}\n\nResult: {written}\n\nDone.")
    assert parts == (Call("a", {}), Result(None, written), Text("Done."))
    assert [fault.code for fault in faults] == ["bad-result"]


@pytest.mark.parametrize(
    "text, codes",
    [
        ("tool_call: a", ["bad-call"]),
        ("tool_call: a\n\narguments: {}", ["bad-call"]),
        ('  "tool_call: a\narguments: {}', ["bad-call"]),
        ("tool_call:\narguments: {}", ["bad-call"]),
        ("Done.\nResult: {}", ["stray-result"]),
        ("tool_call: a\narguments: {}\n\nResult: {}\n\nResult: {}", ["stray-result"]),
    ],
)
def test_what_looks_like_a_call_or_result_and_is_none_is_reported(text, codes):
    assert [fault.code for fault in parse_text(text)[1]] == codes


def test_calls_without_results_and_results_after_several_calls_are_read():
    text = "tool_call: a\narguments: {}\n\ntool_call: b\narguments: {}\n\nResult: 1\n\nResult: 2"
    assert parse_text(text)[0] == (Call("a", {}), Call("b", {}), Result(1), Result(2))


@pytest.mark.parametrize(
    "parts",
    [
        [Result({})],
        [Call("a", {}), Result({}), Result({})],
        [Call("a", {}), Text("x"), Result({})],
        [Call("a\nb", {})],
        [Call("", {})],
        [Call("a", {}), Text("Result: I see")],
        [Text("x\ntool_call: a\narguments: {}")],
    ],
)
def test_parts_that_text_cannot_hold_are_refused(parts):
    with pytest.raises(ValueError):
        print_text(parts)


HOSTILE = {
    "calls without end": 'tool_call: x\narguments: {"a": "',
    "calls without results": "tool_call: x\narguments: {}\n\n",
    "broken results": "tool_call: x\narguments: {}\n\nResult: {\n\n",
    "mentions": "tool_call: ",
    "lines": "tool_call: x\n",
    "results": "Result: \n",
    "blanks": " ",
    "line breaks": "\n \n",
    "braces": "tool_call: x\narguments: {{{{{{{{\n",
    "quotes": 'tool_call: x\narguments: {"\n',
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_megabyte_of_hostile_text_is_read_to_its_end(case):
    # Any quadratic step would take minutes here.
    text = HOSTILE[case] * (1_000_000 // len(HOSTILE[case]))
    if case == "calls without results":
        text += "Result: {\n\n" * 30_000
    parts, faults = parse_text(text)
    assert parts or faults or not text.strip()
    assert sum(isinstance(part, Result) for part in parts) == (30_000 if case == "calls without results" else 0) + (
        text.count("Result") if case == "broken results" else 0
    )


def test_a_ten_megabyte_string_is_read():
    text = 'tool_call: a\narguments: {"x": "' + "word " * 2_000_000 + '"}\n\nResult: {"success": true}'
    parts, faults = parse_text(text)
    assert len(parts[0].arguments["x"]) == 10_000_000 and faults == []
