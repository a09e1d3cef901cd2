"""The argument checker for anybody's calls: a table of verdicts, and the command."""

import json

import pytest
from click.testing import CliRunner

from evaluator.arguments import assign, assign_in_order
from evaluator.check import main
from tests.argument_support import A1, A2, B1, INTEGER, TEXT, WANT_A1, WANT_ANY, WANT_B, F, codes, row


def one(accepted, given, mode="exact"):
    """The codes for one call of f against one expected call of it."""
    return codes(row([{"f": accepted}], [("f", given)]), mode)


# accepted values, arguments, right in mode exact?, right in mode text?
VALUES = [
    # texts
    ({"s": ["Rome"]}, {"s": "Rome"}, True, True),
    ({"s": ["Rome"]}, {"s": "rome"}, False, True),
    ({"s": ["Rome"]}, {"s": " ROME\n"}, False, True),
    ({"s": ["New York"]}, {"s": "new  york"}, False, True),
    ({"s": ["New York"]}, {"s": "newyork"}, False, False),
    ({"s": ["Daily/2024-12-30.md"]}, {"s": "daily20241230md"}, False, False),
    ({"s": ["April 1, 2024"]}, {"s": "April 1 2024"}, False, False),
    ({"s": ["-5"]}, {"s": "5"}, False, False),
    ({"s": ["1.5"]}, {"s": "15"}, False, False),
    ({"s": ["it's"]}, {"s": 'it"s'}, False, False),
    ({"s": ["Straße"]}, {"s": "STRASSE"}, False, True),
    ({"s": ["café"]}, {"s": "cafe\u0301"}, False, True),
    ({"s": ["日本"]}, {"s": "日本"}, True, True),
    ({"s": ["😀"]}, {"s": "😁"}, False, False),
    ({"s": ["a\u0000b"]}, {"s": "a\u0000b"}, True, True),
    ({"s": ["Rome"]}, {"s": ""}, False, False),
    # alternatives and what may be left out
    ({"s": ["Rome", "Roma"]}, {"s": "Roma"}, True, True),
    ({"s": ["Rome", "Roma"]}, {"s": "Paris"}, False, False),
    ({"s": ["Rome"], "o": ["C", ""]}, {"s": "Rome"}, True, True),
    ({"s": ["Rome"], "o": ["C", ""]}, {"s": "Rome", "o": "C"}, True, True),
    ({"s": ["Rome"], "o": ["C", ""]}, {"s": "Rome", "o": "F"}, False, False),
    ({"s": ["Rome"], "o": ["C", ""]}, {"s": "Rome", "o": None}, False, False),
    ({"s": ["Rome"], "o": ["C"]}, {"s": "Rome"}, False, False),
    ({"n": [3, ""]}, {}, True, True),
    ({"n": [3, ""]}, {"n": ""}, False, False),
    ({"s": ["Rome"]}, {"s": "Rome", "o": "C"}, False, False),
    ({"s": ["Rome"]}, {"s": "Rome", "invented": 1}, False, False),
    ({"s": []}, {"s": "Rome"}, False, False),
    ({}, {}, True, True),
    ({}, {"s": "Rome"}, False, False),
    # numbers, truth values, null
    ({"n": [1]}, {"n": 1}, True, True),
    ({"n": [1]}, {"n": 1.0}, True, True),
    ({"n": [1]}, {"n": True}, False, False),
    ({"n": [1]}, {"n": "1"}, False, False),
    ({"n": [1]}, {"n": 1.5}, False, False),
    ({"n": [0]}, {"n": False}, False, False),
    ({"n": [0]}, {"n": -0.0}, True, True),
    ({"n": [2**60]}, {"n": 2**60 + 1}, False, False),
    ({"n": [10**400]}, {"n": 10**400}, True, True),
    ({"n": [1]}, {"n": 10**400}, False, False),
    ({"x": [5]}, {"x": 5.0}, True, True),
    ({"x": [0.3]}, {"x": 0.1 + 0.2}, True, True),
    ({"x": [0.3]}, {"x": 0.3001}, False, False),
    ({"x": [5e-12]}, {"x": 8.854e-12}, False, False),
    ({"x": [1.5]}, {"x": 10**400}, False, False),
    ({"x": [0]}, {"x": 1e-300}, False, False),
    ({"b": [True]}, {"b": True}, True, True),
    ({"b": [True]}, {"b": 1}, False, False),
    ({"b": [True]}, {"b": "true"}, False, False),
    ({"b": [True, False]}, {"b": False}, True, True),
    ({"free": [None]}, {"free": None}, True, True),
    ({"free": [None]}, {"free": 0}, False, False),
    ({"free": [1]}, {"free": True}, False, False),
    # lists
    ({"l": [["a", "b"]]}, {"l": ["a", "b"]}, True, True),
    ({"l": [["a", "b"]]}, {"l": ["A ", "b"]}, False, True),
    ({"l": [["a", "b"]]}, {"l": ["b", "a"]}, False, False),
    ({"l": [["a", "b"]]}, {"l": ["a"]}, False, False),
    ({"l": [["a", "b"]]}, {"l": ["a", "b", "b"]}, False, False),
    ({"l": [["a", "b"]]}, {"l": "a"}, False, False),
    ({"l": [["a"], ["b"]]}, {"l": ["b"]}, True, True),
    ({"l": [[]]}, {"l": []}, True, True),
    ({"l": [["a"]]}, {"l": []}, False, False),
    ({"free": [[[1, 2], [3, 4]]]}, {"free": [[1, 2], [3, 4.0]]}, True, True),
    ({"free": [[[1, 2], [3, 4]]]}, {"free": [[1, 2], [3, True]]}, False, False),
    ({"free": [[1, "a"]]}, {"free": [True, "a"]}, False, False),
    # objects: their fields hold accepted values in turn
    ({"d": [{"city": ["Rome", "Roma"], "zip": ["1", ""]}]}, {"d": {"city": "Roma"}}, True, True),
    ({"d": [{"city": ["Rome"], "zip": ["1", ""]}]}, {"d": {"zip": "1", "city": "ROME"}}, False, True),
    ({"d": [{"city": ["Rome"], "zip": ["1", ""]}]}, {"d": {"city": "Rome", "zip": "2"}}, False, False),
    ({"d": [{"city": ["Rome"], "zip": ["1"]}]}, {"d": {"city": "Rome"}}, False, False),
    ({"d": [{"city": ["Rome"]}]}, {"d": {"city": "Rome", "land": "IT"}}, False, False),
    ({"d": [{"city": ["Rome"]}, {"city": ["Paris"]}]}, {"d": {"city": "Paris"}}, True, True),
    ({"d": [{"city": "Rome"}]}, {"d": {"city": "Rome"}}, True, True),
    ({"d": [{"city": ["Rome"]}]}, {"d": "Rome"}, False, False),
    ({"d": [{}]}, {"d": {}}, True, True),
    ({"free": [{"a": [{"b": ["x", "y"]}]}]}, {"free": {"a": {"b": "y"}}}, True, True),
    ({"free": [{"a": [{"b": ["x", "y"]}]}]}, {"free": {"a": {"b": "z"}}}, False, False),
    ({"free": [{"hand": [["A", "K"]]}]}, {"free": {"hand": ["A", "K"]}}, True, True),
    ({"free": [{"tags": ["a", "b"]}]}, {"free": {"tags": ["a", "b"]}}, True, True),
    ({"free": [[{"k": ["v", "w"]}, {"k": ["u"]}]]}, {"free": [{"k": "w"}, {"k": "u"}]}, True, True),
    ({"free": [[{"k": ["v", "w"]}, {"k": ["u"]}]]}, {"free": [{"k": "u"}, {"k": "v"}]}, False, False),
    ({"free": [{"n": [1]}]}, {"free": {"n": True}}, False, False),
    # rules in place of the list
    ({"s": {"glob": "*.md"}}, {"s": "a/b.md"}, True, True),
    ({"s": {"glob": "*.md"}}, {"s": "a/b.txt"}, False, False),
    ({"s": {"regex": "[a-c]+"}}, {"s": "abc"}, True, True),
    ({"s": {"regex": "[a-c]+"}}, {"s": "abcd"}, False, False),
    ({"s": {"regex": "a"}}, {"s": "a\n"}, False, False),
    ({"x": {"number": 10, "tolerance": 0.1}}, {"x": 10.9}, True, True),
    ({"x": {"number": 10, "tolerance": 0.1}}, {"x": 11.5}, False, False),
    ({"s": {"any": True}}, {"s": "whatever"}, True, True),
    ({"s": {"any": True}}, {"s": 7}, False, False),
    ({"s": {"any": True, "optional": True}}, {}, True, True),
    ({"s": {"absent": True}}, {}, True, True),
    ({"s": {"absent": True}}, {"s": "x"}, False, False),
    ({"s": {"text": "Rome"}}, {"s": "ROME"}, True, True),
    ({"s": {"exact": "Rome"}}, {"s": "ROME"}, False, False),
    ({"l": {"set": ["a", "b"]}}, {"l": ["b", "a"]}, True, True),
    ({"l": {"set": ["a", "b"]}}, {"l": ["B", "a"]}, False, True),
    ({"s": {"contains": ["milk"]}}, {"s": "Buy MILK"}, True, True),
]


@pytest.mark.parametrize("accepted, given, exact, text", VALUES)
def test_value_is_accepted_or_not_in_each_mode(accepted, given, exact, text):
    assert (one(accepted, given) == set()) is exact
    assert (one(accepted, given, "text") == set()) is text


# expected, calls, further keys, codes
CALLS = [
    ([], [], {}, set()),
    ([], [A1], {}, {"unexpected-call"}),
    ([], [B1], {"extra": "read_only_ok"}, set()),
    ([WANT_A1], [], {}, {"no-call"}),
    ([WANT_A1], [B1], {}, {"wrong-tool", "extra-call"}),
    ([WANT_A1], [A1, A1], {}, {"extra-call"}),
    ([WANT_A1, WANT_A1], [A1], {}, {"missing-call"}),
    ([WANT_A1, WANT_A1], [A1, A1], {}, set()),
    ([WANT_A1, WANT_B], [A1], {}, {"missing-call"}),
    ([WANT_A1, WANT_B], [B1, A1], {}, set()),
    ([WANT_ANY, WANT_A1], [A1, A2], {}, set()),  # taking the first that fits leaves the second without one
    ([WANT_ANY, WANT_A1], [A2, A1], {}, set()),
    ([WANT_A1, WANT_ANY], [A2, A1], {}, set()),
    ([WANT_ANY, WANT_A1], [A2, A2], {}, {"wrong-argument"}),
    ([WANT_A1], [A1, B1], {"extra": "read_only_ok"}, set()),
    ([WANT_A1], [A1, A2], {"extra": "read_only_ok"}, {"extra-call"}),
    ([WANT_A1], [A1, A2], {"extra": "any"}, set()),
    ([WANT_A1], [A2, A1], {"extra": "any"}, set()),
    ([WANT_A1], [A1, ("drop", {"s": "x"})], {"extra": "any"}, {"destructive-extra"}),
    ([WANT_A1], [A1, ("g", {})], {"extra": "any"}, {"missing-required"}),
    ([WANT_A1], [A1, ("nothing", {})], {"extra": "any"}, {"unknown-tool"}),
    ([WANT_A1, WANT_B], [B1, A1], {"order": [[0, 1]]}, {"wrong-order"}),
    ([WANT_A1, WANT_B], [A1, B1], {"order": [[0, 1]]}, set()),
    ([WANT_ANY, WANT_B, WANT_A1], [A1, B1, A1], {"order": [[0, 1], [1, 2]]}, set()),
    ([WANT_A1, WANT_B, WANT_ANY], [A1, B1, A1], {"order": [[1, 0]]}, set()),
    ([WANT_A1, WANT_B, WANT_ANY], [A1, B1, A2], {"order": [[1, 0]]}, {"wrong-order"}),
]


@pytest.mark.parametrize("expected, calls, more, wanted", CALLS)
def test_calls_are_paired_whatever_their_order(expected, calls, more, wanted):
    assert codes(row(expected, calls, **more)) == wanted


def test_openai_shapes_of_tools_and_calls_are_read():
    case = row([WANT_A1], [], tools=[{"type": "function", "function": F}])
    case["calls"] = [{"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"n": 1}'}}]
    assert codes(case) == set()


def test_schema_of_a_tool_that_is_not_called_does_not_matter():
    assert codes(row([WANT_A1], [A1], tools=[F, {"name": "bad", "parameters": {"type": "vector"}}])) == set()


def test_value_accepted_to_the_letter_is_right_whatever_its_schema_says():
    tool = {"name": "f", "parameters": {"properties": {"u": {"enum": ["celsius"]}, "n": INTEGER}, "required": ["u"]}}
    assert codes(row([{"f": {"u": ["Celsius"]}}], [("f", {"u": "Celsius"})], tools=[tool]), "text") == set()
    assert codes(row([{"f": {"u": ["Celsius"]}}], [("f", {"u": "CELSIUS"})], tools=[tool]), "text") == {"bad-enum"}
    assert codes(row([{"f": {"u": ["celsius", ""]}}], [("f", {})], tools=[tool])) == {"missing-required"}


def test_parameter_called_context_is_a_parameter_like_any_other():
    tool = {"name": "f", "parameters": {"properties": {"context": TEXT}, "required": ["context"]}}
    assert codes(row([{"f": {"context": ["x"]}}], [("f", {"context": 1})], tools=[tool])) == {
        "wrong-type",
        "wrong-argument",
    }
    assert codes(row([{"f": {"context": ["x"]}}], [("f", {})], tools=[tool])) == {
        "missing-required",
        "missing-argument",
    }


def test_parameter_name_with_a_bar_is_one_name():
    assert codes(row([{"f": {"a|b": [1]}}], [("f", {"a|b": 1})])) == set()


def test_assignment_is_the_best_one():
    costs = [[0, 0, None], [0, 1, None], [None, 0, 5]]
    assert assign(3, 3, lambda i, j: costs[i][j]) == [1, 0, 2]
    assert assign(2, 1, lambda i, j: None) == [None, None] and assign(1, 2, lambda i, j: 1 - j) == [1]


def test_search_for_an_order_ends():
    assert assign_in_order([[0, 1], [0, 1]], [(1, 0)]) == [1, 0]
    assert assign_in_order([list(range(30))] * 30 + [[]], [(1, 0)]) is None


def run(tmp_path, lines, *options):
    (tmp_path / "in.jsonl").write_bytes(b"\n".join(lines))
    out = tmp_path / "out.jsonl"
    answer = CliRunner().invoke(main, ["--cases", str(tmp_path / "in.jsonl"), "--out", str(out), *options])
    return answer.exit_code, [json.loads(line) for line in out.read_text().splitlines()] if out.exists() else None


def line_of(case):
    return json.dumps(case).encode()


def test_one_line_in_one_line_out_and_exit_code_1_when_one_is_not_valid(tmp_path):
    lines = [line_of(row([WANT_A1], [A1])), b"nope", b"", line_of({**row([WANT_A1], [A2]), "id": 3})]
    code, found = run(tmp_path, lines)
    assert code == 1
    assert [(one["id"], one["valid"]) for one in found] == [("c", True), (None, False), (3, False)]
    assert found[1]["findings"][0]["code"] == "bad-case"


def test_the_documented_line_gets_the_documented_verdict(tmp_path):
    weather = {"city": TEXT, "unit": {"type": "string", "enum": ["metric", "imperial"]}}
    tool = {"name": "weather", "parameters": {"type": "object", "properties": weather, "required": ["city"]}}
    wanted = [{"weather": {"city": ["Rome", "Roma"], "unit": ["metric", ""]}}]
    calls = [{"name": "weather", "arguments": {"city": "Roma"}}]
    right = {"id": "a", "tools": [tool], "expected": wanted, "calls": calls}
    code, found = run(tmp_path, [line_of(right), line_of({**right, "id": "b", "expected": []})])
    assert code == 1 and found[0] == {"id": "a", "valid": True, "findings": []}
    message = "weather was not asked for"
    assert found[1] == {"id": "b", "valid": False, "findings": [{"code": "unexpected-call", "message": message}]}


def test_exit_code_0_when_all_are_valid_and_the_mode_counts(tmp_path):
    lines = [line_of(row([{"f": {"s": ["Rome"]}}], [("f", {"s": " rome"})]))]
    assert run(tmp_path, lines, "--mode", "text") == (0, [{"id": "c", "valid": True, "findings": []}])
    assert run(tmp_path, lines, "--mode", "exact")[0] == 1


@pytest.mark.parametrize("lines", [[], [b"", b"  "]])
def test_exit_code_2_and_no_file_when_there_is_nothing_to_check(tmp_path, lines):
    assert run(tmp_path, lines) == (2, None)


def test_exit_code_2_when_the_file_is_missing(tmp_path):
    answer = CliRunner().invoke(main, ["--cases", str(tmp_path / "no.jsonl"), "--out", str(tmp_path / "out.jsonl")])
    assert answer.exit_code == 2 and not (tmp_path / "out.jsonl").exists()
