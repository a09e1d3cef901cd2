"""Lines that are no cases, calls that are no calls, and anything in any place: a verdict each, never an exception."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluator.argument_checker import check_line, check_row
from evaluator.values import fault_of
from tests.argument_support import WANT_A1, codes, row


@pytest.mark.parametrize(
    "arguments, code",
    [
        ('{"n": 1}', None),
        (' {"n": 1e0} ', None),
        ('{"n": 1', "bad-json"),
        ("", "missing-argument"),
        ("[]", "bad-json"),
        ("null", "bad-json"),
        ('{"n": 1, "n": 1}', "bad-json"),
        ('{"n": NaN}', "bad-json"),
        ('{"n": Infinity}', "bad-json"),
        ('{"n": 1e400}', "bad-json"),
        ('{"n": ' + "9" * 400 + "}", "wrong-argument"),
        ('{"n": ' + "9" * 9000 + "}", "bad-json"),
        ('{"n": ' + "[" * 10_000 + "]" * 10_000 + "}", "bad-json"),
        ('{"n": "\\ud800"}', "bad-json"),
        ('{"n": 1} {"n": 1}', "bad-json"),
        ("{'n': 1}", "bad-json"),
        ([], "bad-json"),
        (None, "bad-json"),
        (7, "bad-json"),
        ({"n": "x" * 10_000_000}, "wrong-type"),
        ({"n": 1, "bad\u0007na\u200bme": 2}, "unexpected-argument"),
    ],
)
def test_arguments_may_be_an_object_or_json_text_and_odd_ones_are_findings(arguments, code):
    found = codes(row([WANT_A1], [("f", arguments)]))
    assert code in found if code else found == set()
    for finding in check_row(row([WANT_A1], [("f", arguments)]), "exact")["findings"]:
        assert finding["message"].isprintable() and len(finding["message"]) < 700


@pytest.mark.parametrize("calls", [["f"], [None], [{"arguments": {}}], [{"name": 7}], [{"name": ""}], [[]]])
def test_calls_that_are_no_calls_are_findings(calls):
    assert "bad-json" in codes({**row([WANT_A1], []), "calls": calls})


@pytest.mark.parametrize(
    "rule, fault",
    [
        ({"text": "a"}, ""),
        ({"exact": [1]}, ""),
        ("plain", ""),
        ({"set": ["a", {"regex": "a+"}]}, ""),
        ({"number": 1, "tolerance": 0.5, "optional": True}, ""),
        ({"text": 5}, "text needs a text"),
        ({"contains": "a"}, "contains needs a list of texts"),
        ({"items": "a"}, "items needs a list"),
        ({"fields": []}, "fields needs an object"),
        ({"fields": {"a": {"glob": 1}}}, "glob needs a text"),
        ({"one_of": ["a", {"regex": "["}]}, "'[' is no regular expression"),
        ({"number": True}, "number and tolerance need numbers"),
        ({"number": 1, "tolerance": -1}, "tolerance must not be negative"),
    ],
)
def test_rule_that_cannot_be_used_says_why(rule, fault):
    assert fault_of(rule) == fault


BAD_CASES = [
    b"nope",
    b'{"id": "c"',
    b"[]",
    b"7",
    b"\xff\xfe",
    b'{"id": "c"}',
    b'{"tools": [], "expected": [], "calls": []}',
    b'{"id": null, "tools": [], "expected": [], "calls": []}',
    b'{"id": 1e400, "tools": [], "expected": [], "calls": []}',
    b'{"id": true, "tools": [], "expected": [], "calls": []}',
    b'{"id": ["c"], "tools": [], "expected": [], "calls": []}',
    b'{"id": "c", "tools": {}, "expected": [], "calls": []}',
    b'{"id": "c", "tools": [{}], "expected": [], "calls": []}',
    b'{"id": "c", "tools": [{"name": "f", "effect": "odd"}], "expected": [], "calls": []}',
    b'{"id": "c", "tools": [], "expected": [{"f": {}}], "calls": []}',
    b'{"id": "c", "tools": [{"name": "f"}], "expected": [{}], "calls": []}',
    b'{"id": "c", "tools": [{"name": "f"}], "expected": [{"f": []}], "calls": []}',
    b'{"id": "c", "tools": [{"name": "f"}], "expected": [{"f": {"x": 5}}], "calls": []}',
    b'{"id": "c", "tools": [{"name": "f"}], "expected": [{"f": {"x": {"regex": "("}}}], "calls": []}',
    b'{"id": "c", "tools": [{"name": "f"}], "expected": [{"f": {"x": {"contains": 5}}}], "calls": []}',
    b'{"id": "c", "tools": [{"name": "f"}], "expected": [{"f": {"x": {"number": "5"}}}], "calls": []}',
    b'{"id": "c", "tools": [{"name": "f"}], "expected": [{"f": {}}], "calls": [], "order": [[0, 0]]}',
    b'{"id": "c", "tools": [{"name": "f"}], "expected": [{"f": {}}], "calls": [], "order": [[0, 1]]}',
    b'{"id": "c", "tools": [], "expected": [], "calls": [], "extra": "some"}',
    b'{"id": "c", "tools": [], "expected": [], "calls": {}}',
]


@pytest.mark.parametrize("line", BAD_CASES)
def test_line_that_is_no_case_is_one_finding(line):
    verdict = check_line(line, "exact")
    assert not verdict["valid"] and [finding["code"] for finding in verdict["findings"]] == ["bad-case"]
    try:
        readable = json.loads(line)["id"]
    except (ValueError, TypeError, KeyError):
        readable = None
    assert verdict["id"] == (readable if isinstance(readable, str) else None)


@pytest.mark.parametrize(
    "arguments", ['{"n": NaN}', '{"n": 1, "n": 2}', '{"n": ' + "[" * 10_000 + "]" * 10_000 + "}", '{"n": "\\ud800"}']
)
def test_arguments_in_the_line_that_are_no_json_keep_the_cases_id(arguments):
    line = json.dumps(row([WANT_A1], [("f", "HERE")])).replace('"HERE"', arguments)
    verdict = check_line(line.encode(), "exact")
    assert verdict["id"] == "c" and [finding["code"] for finding in verdict["findings"]] == ["bad-json"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "$ref", "type", ""]), inner),
    max_leaves=8,
)
WORDS = st.sampled_from(["f", "n", "type", "properties", "items", "one_of", "regex", "set", "fields", "number", "any"])
WILD = st.recursive(JSON, lambda inner: st.dictionaries(WORDS, inner, max_size=3) | st.lists(inner, max_size=2))


@settings(max_examples=150, deadline=None)
@given(
    wild=WILD,
    at=st.sampled_from(
        ["row", "id", "tools", "tool", "parameters", "property", "expected", "accepted", "value", "calls", "call"]
        + ["arguments", "argument", "order", "extra"]
    ),
    mode=st.sampled_from(["exact", "text"]),
)
def test_any_json_in_any_place_gets_a_verdict(wild, at, mode):
    case = row([{"f": {"n": [1], "s": ["x", ""]}}], [("f", {"n": 1})])
    tool = {"name": "f", "parameters": {"properties": {"n": {}}}}
    places = {
        "row": lambda: wild,
        "tool": lambda: {**case, "tools": [wild, tool]},
        "parameters": lambda: {**case, "tools": [{"name": "f", "parameters": wild}]},
        "property": lambda: {**case, "tools": [{"name": "f", "parameters": {"properties": {"n": wild}}}]},
        "accepted": lambda: {**case, "expected": [{"f": {"n": wild}}]},
        "value": lambda: {**case, "expected": [{"f": {"n": [wild]}}]},
        "call": lambda: {**case, "calls": [wild]},
        "arguments": lambda: {**case, "calls": [{"name": "f", "arguments": wild}]},
        "argument": lambda: {**case, "calls": [{"name": "f", "arguments": {"n": wild}}]},
    }
    made = places[at]() if at in places else {**case, at: wild}
    for verdict in (check_row(made, mode), check_line(json.dumps(made).encode(), mode)):
        assert verdict.keys() == {"id", "valid", "findings"} and verdict["valid"] is (not verdict["findings"])
        json.dumps(verdict, ensure_ascii=False).encode()


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_get_a_verdict(line):
    assert check_line(line, "exact")["findings"]
