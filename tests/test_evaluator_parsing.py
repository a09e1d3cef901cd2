"""Which calls a reply's text holds: every syntax, and every place where a call is only talked about."""

import pytest

from evaluator.parsing import MAX_MARKS, MAX_VALUE, delivered_calls, find_calls
from lib.chat import Call, Result, Text, dump_arguments, print_text

MOVE = ("vaultManager_moveNote", {"path": "a.md", "newPath": "b.md"})
X1 = ("x", {"a": 1})
LIST = ("listDirectory", {"path": ""})
MOVE_JSON = '{"name": "vaultManager_moveNote", "arguments": {"path": "a.md", "newPath": "b.md"}}'
LIST_JSON = '{"name": "listDirectory", "arguments": {"path": ""}}'
MOVE_TEXT = 'tool_call: vaultManager_moveNote\narguments: {"path": "a.md", "newPath": "b.md"}'
BROKEN = None  # a call is meant, its arguments are no JSON object

# what the model wrote, and the calls in it: (name, arguments)
REPLIES = {
    "nothing": ("", []),
    "prose": ("Which note do you mean?", []),
    "prose with a tool's name": ("I would use vaultManager_moveNote for that.", []),
    "our form": (MOVE_TEXT, [MOVE]),
    "our form with words before": (f"Moving it.\n\n{MOVE_TEXT}", [MOVE]),
    "our form with an invented result": (f'{MOVE_TEXT}\n\nResult: {{"success": true}}\n\nMoved.', [MOVE]),
    "our form inside an invented result": (
        f'{MOVE_TEXT}\n\nResult: {{"text": "tool_call: x"}}\n\ntool_call: listDirectory\narguments: {{"path": ""}}',
        [MOVE, LIST],
    ),
    "our form with Windows line ends": (MOVE_TEXT.replace("\n", "\r\n"), [MOVE]),
    "our form, arguments broken": ('tool_call: x\narguments: {"path": "a.md"', [("x", BROKEN)]),
    "our form, arguments missing": ("tool_call: x\nand then nothing", [("x", BROKEN)]),
    "our form, arguments a list": ("tool_call: x\narguments: [1]", [("x", BROKEN)]),
    "our form in the middle of a line": ("Write tool_call: x and arguments: {} to call.", []),
    "our form, a name with a blank": ('tool_call: two words\narguments: {"a": 1}', [("two words", {"a": 1})]),
    "Hermes": (f"<tool_call>\n{MOVE_JSON}\n</tool_call>", [MOVE]),
    "Hermes on one line": (f"<tool_call>{LIST_JSON}</tool_call>", [LIST]),
    "Hermes twice": (f"<tool_call>{MOVE_JSON}</tool_call>\n<tool_call>{LIST_JSON}</tool_call>", [MOVE, LIST]),
    "Hermes with a list": (f"<tool_call>[{MOVE_JSON}, {LIST_JSON}]</tool_call>", [MOVE, LIST]),
    "Hermes never closed": (f"<tool_call>\n{MOVE_JSON}", [MOVE]),
    "Hermes with words round it": (f"Sure.\n<tool_call>{LIST_JSON}</tool_call>\nDone.", [LIST]),
    "Hermes, parameters for arguments": ('<tool_call>{"name": "x", "parameters": {"a": 1}}</tool_call>', [X1]),
    "Hermes, arguments as a string": (
        '<tool_call>{"name": "x", "arguments": "{\\"a\\": 1}"}</tool_call>',
        [("x", {"a": 1})],
    ),
    "Hermes, no arguments": ('<tool_call>{"name": "listModels"}</tool_call>', [("listModels", {})]),
    "Hermes, a function inside": (
        '<tool_call>{"type": "function", "function": {"name": "x", "arguments": {"a": 1}}}</tool_call>',
        [("x", {"a": 1})],
    ),
    "Hermes, cut off": ('<tool_call>{"name": "x", "arguments": {"a": "b', [("x", BROKEN)]),
    "Hermes, cut off, then a good one": (
        f'<tool_call>{{"name": "x", "arguments": {{</tool_call><tool_call>{LIST_JSON}</tool_call>',
        [("x", BROKEN), LIST],
    ),
    "Hermes, no name": ('<tool_call>{"arguments": {}}</tool_call>', [("", {})]),
    "Hermes, not a number": ('<tool_call>{"name": "x", "arguments": {"a": NaN}}</tool_call>', [("x", BROKEN)]),
    "Hermes, Infinity": ('<tool_call>{"name": "x", "arguments": {"a": -Infinity}}</tool_call>', [("x", BROKEN)]),
    "Hermes, a key twice": ('<tool_call>{"name": "x", "arguments": {"a": 1, "a": 2}}</tool_call>', [("x", BROKEN)]),
    "Hermes, too deep": ('<tool_call>{"name": "x", "arguments": ' + '{"a":' * 10_000, [("x", BROKEN)]),
    "Hermes, a raw line break in a string": (
        '<tool_call>{"name": "x", "arguments": {"a": "b\nc"}}</tool_call>', [("x", BROKEN)]),
    "Hermes, half a surrogate pair": (
        '<tool_call>{"name": "x", "arguments": {"a": "\\ud800"}}</tool_call>', [("x", BROKEN)]),
    "Hermes, 400 digits": (
        '<tool_call>{"name": "x", "arguments": {"a": ' + "9" * 400 + "}}</tool_call>",
        [("x", {"a": int("9" * 400)})],
    ),
    "Hermes, a control character in the name": (
        '<tool_call>{"name": "x\\u0000y", "arguments": {}}</tool_call>',
        [("x\x00y", {})],
    ),
    "Hermes, code in an argument": (
        '<tool_call>{"name": "x", "arguments": {"content": "```\\n<think>`a`</think>"}}</tool_call>',
        [("x", {"content": "```\n<think>`a`</think>"})],
    ),
    "Hermes mark only mentioned": ("Calls go between <tool_call> and </tool_call>.", []),
    "Mistral": (f"[TOOL_CALLS] [{MOVE_JSON}]", [MOVE]),
    "Mistral, several": (f"[TOOL_CALLS][{MOVE_JSON}, {LIST_JSON}]</s>", [MOVE, LIST]),
    "Mistral, newer": ('[TOOL_CALLS]listDirectory{"path": ""}', [LIST]),
    "Mistral, newer with marks": ('[TOOL_CALLS]listDirectory[CALL_ID]abc123def[ARGS]{"path": ""}', [LIST]),
    "Mistral, newer, several": (
        '[TOOL_CALLS]listDirectory[ARGS]{"path": ""}[TOOL_CALLS]x[ARGS]{"a": 1}',
        [LIST, ("x", {"a": 1})],
    ),
    "Mistral, broken": ('[TOOL_CALLS][{"name": "x", "arguments": {]', [("x", BROKEN)]),
    "LM Studio": (f"[TOOL_REQUEST]{MOVE_JSON}[END_TOOL_REQUEST]", [MOVE]),
    "LM Studio, several": (
        f"[TOOL_REQUEST]\n{MOVE_JSON}\n[END_TOOL_REQUEST]\n[TOOL_REQUEST]{LIST_JSON}[END_TOOL_REQUEST]",
        [MOVE, LIST],
    ),
    "Llama 3": ('{"name": "x", "parameters": {"a": 1}}', [("x", {"a": 1})]),
    "Llama 3 with its mark": ('<|python_tag|>{"name": "x", "parameters": {"a": 1}}<|eom_id|>', [("x", {"a": 1})]),
    "Llama 3, several": (
        '{"name": "x", "parameters": {"a": 1}}; {"name": "y", "parameters": {}}',
        [("x", {"a": 1}), ("y", {})],
    ),
    "Llama 3 after a thought": ('<think>hm</think>\n{"name": "x", "parameters": {}}', [("x", {})]),
    "JSON with words behind it": ('{"name": "x", "parameters": {}} is how one would call it', []),
    "JSON that is no call": ('{"name": "Pat Doyle", "city": "Leeds"}', []),
    "a list that is no call": ("[1, 2, 3]", []),
    "fenced JSON": (f"```json\n{MOVE_JSON}\n```", [MOVE]),
    "fenced JSON with words": (f"I will do that:\n\n```json\n{LIST_JSON}\n```\nThen we see.", [LIST]),
    "fenced JSON without a language": (f"```\n{LIST_JSON}\n```", [LIST]),
    "fenced JSON that is no call": ('```json\n{"a": 1}\n```', []),
    "fenced code with a call in our form": (f"```\n{MOVE_TEXT}\n```", []),
    "fenced code with a Hermes call": (f"~~~\n<tool_call>{MOVE_JSON}</tool_call>\n~~~", []),
    "a fence never closed": (f"```\n<tool_call>{MOVE_JSON}</tool_call>", []),
    "fenced example beside a real call": (f"```json\n{MOVE_JSON}\n```\n<tool_call>{LIST_JSON}</tool_call>", [LIST]),
    "back-ticks": (f"Write `<tool_call>{LIST_JSON}</tool_call>` to list.", []),
    "a thought": (f"<think>maybe <tool_call>{MOVE_JSON}</tool_call></think>No.", []),
    "a thought never closed": (f"<think><tool_call>{MOVE_JSON}</tool_call>", []),
    "a thought opened in the prompt": (f"use {MOVE_JSON}?</think><tool_call>{LIST_JSON}</tool_call>", [LIST]),
    "a thought in our form": (
        f"<think>\n{MOVE_TEXT}\n</think>\n\ntool_call: listDirectory\narguments: {{\"path\": \"\"}}", [LIST]),
    "a thought in Mistral's words": (f"[THINK]{MOVE_JSON}[/THINK]Nothing to do.", []),
}  # fmt: skip


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
    "unit", ["tool_call: x\narguments: {\n", "<tool_call>{", "`", "<think>", "Result: [", "```\n", "["]
)
def test_a_looping_reply_gives_a_bounded_number_of_calls(unit):
    assert len(find_calls(unit * (MAX_VALUE // len(unit)))) <= MAX_MARKS
