"""lib/json_text.py: nothing is lost unnoticed when JSON is read."""

import json
from hashlib import sha256

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.json_text import Written, dump_json, json_bytes, read_json, read_json_prefix

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


@given(json_values)
def test_what_is_dumped_is_read_back(value):
    assert read_json(dump_json(value)) == (value, [])


@given(json_values, st.sampled_from([(",", ":"), (", ", ": "), (" ,\t", " :\n")]), st.booleans())
def test_other_spacing_and_escapes_are_read_alike(value, separators, escaped):
    text = json.dumps(value, separators=separators, ensure_ascii=escaped)
    read, faults = read_json(text)
    assert (read, faults) == (value, [])


@given(st.integers(min_value=2**63, max_value=10**40))
def test_large_integers_stay_exact(number):
    assert read_json(f'{{"n": {number}, "m": [-{number}]}}') == ({"n": number, "m": [-number]}, [])


@pytest.mark.parametrize(
    "text, key",
    [
        ('{"a": 1, "a": 1}', "a"),
        ('{"b": {"a": 1, "c": 2, "a": 3}}', "a"),
        ('{"b": [{"x:y": ":", "x:y": ":"}]}', "x:y"),
        ('{"a" : 1, "a" :2}', "a"),
        ('{"a": ":", "b": "\\u003a", "b": 1}', "b"),
        ('{"a": 1, "\\u0061": 2}', "a"),
        ('{"a":1,"a":1,"text":"say \\"a\\": b"}', "a"),
    ],
)
def test_a_key_given_twice_is_reported_however_deep(text, key):
    value, faults = read_json(text)
    assert [fault.code for fault in faults] == ["duplicate-key"]
    assert repr(key) in faults[0].message
    assert value == json.loads(text)


keys = st.text(alphabet='ab":\\', max_size=3)


@given(st.lists(st.tuples(keys, st.text(alphabet='":,\\ a', max_size=4)), max_size=5))
def test_duplicates_are_found_exactly_when_there_are_some(pairs):
    text = "{" + ", ".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in pairs) + "}"
    value, faults = read_json(text)
    assert value == dict(pairs)
    assert bool(faults) == (len({key for key, _ in pairs}) < len(pairs))


@pytest.mark.parametrize(
    "text, words",
    [
        ("{", "Expecting property name"),
        ("", "Expecting value at the end"),
        ('{"a": NaN}', "NaN is no JSON value"),
        ('{"a": -Infinity}', "-Infinity is no JSON value"),
        ('{"a": 1e999}', "too large"),
        ('{"a": ' + "1" * 5000 + "}", "not JSON"),
        ('{"a": 1} {', "unexpected text after the JSON"),
        ('{"a": "\\x"}', "Invalid"),
        ("[" * 10_000 + "]" * 10_000, "nested deeper"),
        ('{"a":' * 10_000 + "1" + "}" * 10_000, "nested deeper"),
        ("[" * 300 + "]" * 300, "nested deeper"),
    ],
)
def test_what_is_no_json_is_one_fault(text, words):
    value, faults = read_json(text)
    assert value is None
    assert [fault.code for fault in faults] == ["not-json"]
    assert words in faults[0].message
    assert faults[0].message.isprintable() and len(faults[0].message) < 200


def test_the_offset_of_a_fault_is_where_reading_stopped():
    assert read_json('{"a": 1, b}')[1][0].offset == 9
    assert read_json('{"a": 1} x')[1][0].offset == 9


@pytest.mark.parametrize("char", ["\n", "\t", "\x00", "\x1f"])
def test_raw_control_characters_in_strings_are_read_and_warned_about(char):
    value, faults = read_json(f'{{"a": "x{char}y"}}')
    assert value == {"a": f"x{char}y"}
    assert [(fault.code, fault.severity, fault.offset) for fault in faults] == [("raw-control", "warning", 8)]
    assert f"U+{ord(char):04X}" in faults[0].message


@pytest.mark.parametrize("text", ['{"a": "\\ud800"}', '{"a": "x\\uDFFF y"}', '{"\\udabc": 1}', '{"a": "\ud800"}'])
def test_half_a_surrogate_pair_is_an_encoding_fault(text):
    assert [(fault.code, fault.severity) for fault in read_json(text)[1]] == [("bad-encoding", "error")]


def test_a_whole_surrogate_pair_is_fine():
    assert read_json('{"a": "\\ud83d\\ude00"}') == ({"a": "\U0001f600"}, [])


def test_a_prefix_ends_where_its_value_ends():
    assert read_json_prefix(' {"a": 1}\n\nResult: {}') == ({"a": 1}, 9, [])


def test_ten_megabytes_with_a_fault_at_the_end_are_read():
    text = json.dumps({"a": 'x\\":" ' * 1_000_000, "b": ["y"] * 100_000, "c": "z"}).replace("z", "\n")
    value, faults = read_json(text)
    assert len(value["a"]) == 6_000_000 and value["c"] == "\n"
    assert [(fault.code, fault.offset) for fault in faults] == [("raw-control", text.index("\n"))]


def test_the_fast_reader_agrees_that_the_sample_is_json():
    assert orjson.loads('{"a": 1, "a": 2}') == {"a": 2}  # the loss that this module is there to notice


@given(st.lists(json_values, max_size=3), json_values)
def test_a_list_that_is_written_once_is_the_same_json_wherever_it_stands(items, other):
    assert json.loads(json_bytes({"a": Written(items), "b": [other]})) == {"a": items, "b": [other]}


@given(st.lists(json_values, max_size=3))
def test_a_list_that_is_written_once_can_be_named_by_its_digest(items):
    named = json.loads(json_bytes({"a": Written(items), "b": 1}, named=True))
    assert named == {"a": sha256(json_bytes(items)).hexdigest(), "b": 1}
